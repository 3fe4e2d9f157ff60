"""The requests of the whole mesh, live, from the proxies' access logs.

`parsing` reads a line into a `record.Request`; `following` follows the logs of all proxies through the Kubernetes API and
gives requests as they come; `filters` says which of them somebody wants to see. Each request is told by two proxies, that
of the caller and that of the callee: `following` gives the callee's, and the caller's only where there is no other.
"""
