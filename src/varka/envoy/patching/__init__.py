"""What EnvoyFilters and WasmPlugins make of a configuration that is finished otherwise.

A patch works on Envoy's own messages: a resource is read back, changed and written again, once for all proxies that
get the same resource and the same patches. A proxy without patches pays nothing. Whatever a patch cannot do becomes a
`Problem`, and the resource is then left as it was before that patch.
"""
