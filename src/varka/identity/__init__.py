"""Who a workload is: SPIFFE IDs, keys, the authority that signs, and when to sign anew.

Key material stays in the process that made it; only requests and certificates cross the borders of this package.
"""
