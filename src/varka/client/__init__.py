"""The only way to a Kubernetes API server: one interface (`api`), a client over HTTPS (`http`), caches that follow a server (`informers`).

Nothing here knows a kind's fields: objects are the server's JSON, kinds are group, version and resource.
"""
