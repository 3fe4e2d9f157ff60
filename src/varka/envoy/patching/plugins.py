"""WebAssembly modules in the filter chains of a proxy.

The filter in the listener only names the module; module and settings are a resource of their own that Envoy asks for by
that name (ECDS). So a new version of a module changes one resource, not every listener. Until a module has been fetched, and
if it cannot be, a filter takes its place that lets all requests pass (`FAIL_OPEN`) or none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from envoy.config.core.v3 import extension_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.rbac.v3 import rbac_pb2 as rbac_rules_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.http.wasm.v3 import wasm_pb2 as http_wasm_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.filters.network.wasm.v3 import wasm_pb2 as network_wasm_pb2
from envoy.extensions.wasm.v3 import wasm_pb2
from google.protobuf import wrappers_pb2

from varka.base.wire import WireResource
from varka.envoy import memo, messages, names
from varka.envoy.listeners import http_filters
from varka.envoy.patching import changing, listener_patches, values
from varka.model.patches import Context, Extensions, Module, Phase

RUNTIME = "envoy.wasm.runtime.v8"
_AUTHENTICATION = frozenset({"envoy.filters.http.jwt_authn"})
_AUTHORIZATION = frozenset({"envoy.filters.http.rbac", "envoy.filters.http.ext_authz"})
_POLICIES = {"FAIL_CLOSE": wasm_pb2.FailurePolicy.FAIL_CLOSED, "FAIL_OPEN": wasm_pb2.FailurePolicy.FAIL_OPEN, "FAIL_RELOAD": wasm_pb2.FailurePolicy.FAIL_RELOAD}

_resources: memo.Memo[WireResource] = memo.Memo(512)


def resources(extensions: Extensions) -> dict[str, WireResource]:
    """The modules as resources, in order of name."""
    return {module.name: _resources.get((module,), None, partial(_resource, module)) for module in sorted(extensions.modules, key=_name)}


def _name(module: Module) -> str:
    return module.name


def _resource(module: Module) -> WireResource:
    config = _plugin(module) if module.code is not None or module.url.startswith("file://") else _instead(module)
    return messages.resource(module.name, extension_pb2.TypedExtensionConfig(name=module.name, typed_config=messages.packed(config)))


def _plugin(module: Module) -> Any:
    vm = wasm_pb2.VmConfig(vm_id=module.name, runtime=RUNTIME)
    if module.code is not None:
        vm.code.local.inline_bytes = module.code
    else:
        vm.code.local.filename = module.url.removeprefix("file://")
    if module.environment or module.host_environment:
        variables = vm.environment_variables
        variables.host_env_keys.extend(module.host_environment)
        for key in sorted(module.environment):
            variables.key_values[key] = module.environment[key]
    plugin = wasm_pb2.PluginConfig(name=module.name, root_id=module.plugin_name, vm_config=vm, failure_policy=_POLICIES[module.fail_strategy])
    if module.config:
        plugin.configuration.CopyFrom(messages.packed(wrappers_pb2.StringValue(value=module.config)))
    return network_wasm_pb2.Wasm(config=plugin) if module.network else http_wasm_pb2.Wasm(config=plugin)


def _instead(module: Module) -> Any:
    """Rules that allow nobody refuse everyone; no rules at all refuse nobody."""
    rules = None if module.fail_strategy == "FAIL_OPEN" else rbac_rules_pb2.RBAC(action=rbac_rules_pb2.RBAC.ALLOW)
    if module.network:
        return network_rbac_pb2.RBAC(stat_prefix="wasm.", rules=rules)
    return http_rbac_pb2.RBAC(rules=rules)


def insert(listener: Any, modules: tuple[Module, ...], context: Context, declared: dict[int, frozenset[int]]) -> None:
    """Put the modules into the chains of a listener, in place; `declared`: listening port → ports that a gateway's servers say."""
    if listener.name == names.VIRTUAL_OUTBOUND:
        return
    port = listener.address.socket_address.port_value
    default = [listener.default_filter_chain] if listener.HasField("default_filter_chain") else []
    for chain in (*listener.filter_chains, *default):
        number = chain.filter_chain_match.destination_port.value if context is Context.SIDECAR_INBOUND else port
        ports = {number, *declared.get(number, ())}
        wanted = [module for module in modules if _concerns(module, context, ports)]
        manager = next((item for item in chain.filters if item.typed_config.type_url == messages.TYPE_PREFIX + listener_patches.MANAGER), None)
        if manager is not None:
            _into_manager(manager, [module for module in wanted if not module.network])
        else:
            _into_chain(chain, [module for module in wanted if module.network])


def _concerns(module: Module, context: Context, ports: set[int]) -> bool:
    if not module.traffic:
        return True
    side = "SERVER" if context is Context.SIDECAR_INBOUND else "CLIENT"
    return any(item.mode in {side, "CLIENT_AND_SERVER"} and (not item.ports or ports & set(item.ports)) for item in module.traffic)


def _into_manager(network_filter: Any, modules: list[Module]) -> None:
    if not modules:
        return
    manager = values.unpacked(network_filter.typed_config)
    items = list(manager.http_filters)
    http_filters.awake(items)
    for phase in Phase:
        found = [_http_filter(module) for module in modules if module.phase is phase]
        at = _place(items, phase)
        items = [*items[:at], *found, *items[at:]]
    changing.replace_all(manager.http_filters, items)
    network_filter.typed_config.CopyFrom(messages.packed(manager))


def _place(items: list[Any], phase: Phase) -> int:
    """In front of Istio's filters of that phase; without such, where they would be."""
    router = next((index for index, item in enumerate(items) if values.message_name(item.typed_config) == listener_patches.ROUTER), len(items))
    if phase in (Phase.UNSPECIFIED, Phase.STATS):
        return router
    listed = [item.name for item in items]
    authorization = next((index for index, name in enumerate(listed) if name in _AUTHORIZATION), None)
    after = max((index + 1 for index, name in enumerate(listed) if name in _AUTHENTICATION), default=None)
    if phase is Phase.AUTHZ:
        return authorization if authorization is not None else after if after is not None else _first(listed, router)
    authentication = next((index for index, name in enumerate(listed) if name in _AUTHENTICATION), None)
    return authentication if authentication is not None else authorization if authorization is not None else _first(listed, router)


def _first(listed: list[str], router: int) -> int:
    """Behind what keeps the caller's name for telemetry, which must see every request."""
    return min(router, 1) if listed and listed[0] == "envoy.filters.http.set_filter_state" else 0


def _http_filter(module: Module) -> Any:
    found = http_connection_manager_pb2.HttpFilter(name=module.name)
    found.config_discovery.config_source.CopyFrom(messages.ADS)
    found.config_discovery.type_urls.extend(messages.TYPE_PREFIX + kind.DESCRIPTOR.full_name for kind in (http_wasm_pb2.Wasm, http_rbac_pb2.RBAC))
    return found


def _into_chain(chain: Any, modules: list[Module]) -> None:
    if not modules or not chain.filters:
        return
    added = []
    for module in modules:
        found = listener_components_pb2.Filter(name=module.name)
        found.config_discovery.config_source.CopyFrom(messages.ADS)
        found.config_discovery.type_urls.extend(messages.TYPE_PREFIX + kind.DESCRIPTOR.full_name for kind in (network_wasm_pb2.Wasm, network_rbac_pb2.RBAC))
        added.append(found)
    kept = list(chain.filters)
    changing.replace_all(chain.filters, [*kept[:-1], *added, kept[-1]])
