"""The cluster's network: pod links, service addresses, names, and the ways to and from the host.

All of it lives in the node's network namespace. `pods` gives each pod a routed link and an address, `services` maps service
addresses to endpoints with nftables, `dns` answers names, `egress` hands outside connections to the host relay, and `doors`
lets the relay in.
"""
