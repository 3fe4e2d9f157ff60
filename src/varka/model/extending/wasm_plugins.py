"""WasmPlugins for a proxy: the root namespace's first, in each the higher priority, then the older.

A module that cannot be had (`oci://` needs a registry) is left out; `acting` tells its owner.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field

from varka.model.extending import attachment
from varka.model.extending.attachment import Attachment
from varka.model.extending.wasm_code import CodeSource
from varka.model.memo import Kept
from varka.model.patches import Module, Phase, Traffic
from varka.model.view import Proxy
from varka.resources import Parsed, extensions

Source = Parsed[extensions.WasmPlugin]
PREFIX = "extensions.istio.io/wasmplugin/"
SCHEMES = ("http://", "https://", "file://")


class Plugin(Struct, frozen=True, kw_only=True, eq=False):
    """One WasmPlugin."""

    order: tuple[object, ...]
    attachment: Attachment
    module: Module
    source: CodeSource | None = None
    """What has to be fetched."""


class WasmPlugins(Struct, frozen=True, kw_only=True, eq=False):
    """All of them by namespace, in order."""

    namespaces: Mapping[str, tuple[Plugin, ...]] = field(default_factory=dict)
    root_namespace: str = ""

    @property
    def sources(self) -> frozenset[CodeSource]:
        """All that has to be fetched."""
        return frozenset(plugin.source for items in self.namespaces.values() for plugin in items if plugin.source is not None)

    def of(self, proxy: Proxy) -> tuple[Plugin, ...]:
        """The plugins of a proxy, in order."""
        if not self.namespaces:
            return ()
        return tuple(
            plugin
            for name in dict.fromkeys((self.root_namespace, proxy.namespace))
            for plugin in self.namespaces.get(name, ())
            if plugin.attachment.selects(proxy.labels, proxy.namespace, name, self.root_namespace)
        )


def index(sources: Iterable[Source], root_namespace: str, kept: Kept) -> WasmPlugins:
    """Convert and file all WasmPlugins that can be served."""
    found: dict[str, list[Plugin]] = {}
    for source in sources:
        if source.spec is not None and source.spec.url.startswith(SCHEMES):
            found.setdefault(source.meta.namespace, []).append(kept.get(source.meta.key, (source,), partial(_plugin, source)))
    return WasmPlugins(
        namespaces={name: tuple(sorted(items, key=lambda item: item.order)) for name, items in sorted(found.items())},
        root_namespace=root_namespace,
    )


def _plugin(source: Source) -> Plugin:
    spec, meta = source.spec, source.meta
    assert spec is not None
    references = (*((spec.target_ref,) if spec.target_ref is not None else ()), *spec.target_refs)
    labels = spec.selector.match_labels if spec.selector is not None else None
    return Plugin(
        order=(-(spec.priority or 0), *meta.age_order), attachment=attachment.of(labels, references), module=module(source), source=code_source(source)
    )


def code_source(source: Source) -> CodeSource | None:
    """What has to be fetched for a plugin; None when Envoy finds the module in a file."""
    spec = source.spec
    if spec is None or not spec.url.startswith(("http://", "https://")):
        return None
    version = f"{source.meta.uid}/{source.meta.generation}" if spec.image_pull_policy == "Always" else ""
    return CodeSource(url=spec.url, sha256=spec.sha256, version=version)


def module(source: Source) -> Module:
    """One WasmPlugin as it is meant."""
    spec, meta = source.spec, source.meta
    assert spec is not None
    environment = spec.vm_config.env if spec.vm_config is not None else ()
    return Module(
        name=f"{PREFIX}{meta.namespace}.{meta.name}",
        plugin_name=spec.plugin_name,
        url=spec.url,
        sha256=spec.sha256,
        network=spec.type == "NETWORK",
        phase=Phase(spec.phase),
        config=json.dumps(spec.plugin_config, sort_keys=True) if spec.plugin_config else "",
        fail_strategy=spec.fail_strategy,
        environment={item.name: item.value for item in environment if item.value_from == "INLINE"},
        host_environment=tuple(item.name for item in environment if item.value_from == "HOST"),
        traffic=tuple(
            Traffic(mode="CLIENT_AND_SERVER" if item.mode == "UNDEFINED" else item.mode, ports=tuple(port.number for port in item.ports)) for item in spec.match
        ),
    )
