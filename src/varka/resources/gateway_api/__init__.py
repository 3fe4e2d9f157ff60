"""The Kubernetes Gateway API, as far as a service mesh acts on it: one class a kind, and the table of kinds.

Source: gateway.networking.k8s.io 1.4, its API reference.
"""
