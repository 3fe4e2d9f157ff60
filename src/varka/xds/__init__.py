"""How configuration gets to proxies: aggregated discovery, delta and state of the world.

A resource is a name, a type and bytes here (`base.wire`). `streams` holds what one stream was told and what it
answered, without any I/O; `resource_set` compares two states of one type, once for all streams; `server` moves the
bytes; `status` says how far each proxy has got.
"""
