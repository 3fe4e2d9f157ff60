"""EnvoyFilters whose patches may find nothing to hold on to, or do not fit what they are applied to."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message, Type
from varka.resources.traffic import envoy_filters as written

_ROUTES = {"ROUTE_CONFIGURATION", "HTTP_ROUTE"}
_FILTERS = {"NETWORK_FILTER", "HTTP_FILTER"}
_RELATIVE = {"REMOVE", "REPLACE", "INSERT_BEFORE", "INSERT_AFTER", "MERGE"}


def analyze(context: Context) -> Iterable[Message]:
    """Check every patch. A relative one without priority depends on what is there before it, the more so across versions of proxies."""
    versioned: set[str] = set()
    for item in context.all("EnvoyFilter"):
        for index, patch in enumerate(item.spec.config_patches):
            if patch.patch is None:
                break
            name = _target(patch)
            kind = _problem(item, patch, name in versioned)
            if kind is not None:
                yield kind.about(item, path=f"spec.configPatches[{index}].patch.operation")
            if patch.match is not None and patch.match.proxy is not None and patch.match.proxy.proxy_version:
                versioned.add(name)


def _problem(item: Read, patch: written.ConfigPatch, versioned: bool) -> Type | None:
    operation = patch.patch.operation if patch.patch is not None else ""
    if operation == "ADD" and patch.apply_to in _ROUTES:
        return catalog.ADD_MISUSED
    if operation == "REMOVE" and patch.apply_to in _ROUTES:
        return catalog.REMOVE_MISUSED
    if operation == "REPLACE" and patch.apply_to not in _FILTERS:
        return catalog.REPLACE_MISUSED
    if operation not in _RELATIVE or item.spec.priority:
        return None
    return catalog.RELATIVE_OPERATION_WITH_VERSION if versioned else catalog.RELATIVE_OPERATION


def _target(patch: written.ConfigPatch) -> str:
    """The filter that a patch is about: the one that it writes, else the one that it looks for."""
    value = patch.patch.value if patch.patch is not None else {}
    if not value:
        return ""
    if "name" in value:
        return str(value["name"])
    listener = patch.match.listener if patch.match is not None else None
    chain = listener.filter_chain if listener is not None else None
    return chain.filter.name if chain is not None and chain.filter is not None else ""
