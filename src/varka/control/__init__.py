"""The control plane's process: it watches, computes, pushes, signs and injects.

`state` follows the API, `push` turns each change into configuration for every proxy that it concerns, `ca_service`
signs workload certificates, `injection` adds sidecars to pods, and `debug_server` tells what all of that is doing.
When the API cannot be reached, everything goes on with what is known.
"""
