"""A Kubernetes-like cluster on one Linux machine: processes, namespaces, addresses. Knows nothing of meshes.

`supervisor` runs on the host and keeps two children: `relay`, which listens on loopback and dials out, and `init`, the first
process of the cluster's own namespaces. `init` keeps `node` (API server, controllers, pod runtime, DNS, service addresses)
and the node's further processes. Everything a cluster writes is in one state folder.
"""
