"""What the mesh means: an immutable snapshot of services, endpoints, routes and policies, and the part of it that one proxy may see.

`snapshot.build(inputs, previous)` puts the parsed resources together; `views.view(snapshot, proxy)` picks what Sidecar
scope, exportTo and selectors leave for one proxy. Both are pure. What did not change between two snapshots is the very
same object in both, so later stages may key their caches on identity; `memo` is how that comes about.
The dataclasses of `services`, `traffic`, `security` and `view` are the contract with the `envoy` stage.
"""
