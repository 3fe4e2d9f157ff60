"""What changes generated configuration afterwards: EnvoyFilters and WasmPlugins, picked for a proxy and put in order."""
