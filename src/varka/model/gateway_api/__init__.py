"""The Kubernetes Gateway API, and Ingress, in the mesh's own terms.

`translation` reads GatewayClasses, Gateways, routes and grants and gives what the stages know: gateways and virtual
services, each named after what it came from; and the status that each of them is to have. `attaching` says which listeners
a route belongs to, `backends` where it may send, `http_rules` and `l4_rules` what it does. `ingresses` does the same for
Ingress. Pure; the control plane writes the statuses and makes the gateways' workloads.
"""
