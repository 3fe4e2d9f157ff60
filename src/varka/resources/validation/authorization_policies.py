"""AuthorizationPolicy: actions, providers, and rules whose values can match something."""

from __future__ import annotations

import re

from varka.resources import security as written
from varka.resources.parsing import Meta
from varka.resources.validation import names
from varka.resources.validation.findings import Findings

_DRY_RUN = "istio.io/dry-run"
_PLAIN_KEYS = {
    "source.ip",
    "source.namespace",
    "source.principal",
    "source.serviceAccount",
    "remote.ip",
    "destination.ip",
    "destination.port",
    "connection.sni",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
}
_MAPS = re.compile(r"request\.headers\[.+\]|request\.auth\.claims(\[.+\])+|experimental\.envoy\.filters\..+\[.+\]")
_TOKENS = ("request_principals", "not_request_principals")
_NOT_FOR_CUSTOM = ("namespaces", "not_namespaces", "principals", "not_principals", *_TOKENS)
_TCP_ONLY = (
    "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope due to the use of only HTTP attributes in a DENY rule; "
    "it is recommended to explicitly specify the port"
)


def check(spec: written.AuthorizationPolicy, meta: Meta, found: Findings) -> None:
    """Check a whole AuthorizationPolicy."""
    names.check_targets(spec.selector, spec.target_ref, spec.target_refs, found)
    _check_action(spec, meta, found)
    for index, rule in enumerate(spec.rules):
        path = f"spec.rules[{index}]"
        for number, source in enumerate(rule.from_):
            _check_source(source.source, f"{path}.from[{number}].source", found)
        for number, to in enumerate(rule.to):
            _check_operation(to.operation, f"{path}.to[{number}].operation", found)
        for number, when in enumerate(rule.when):
            _check_condition(when, f"{path}.when[{number}]", found)
        if spec.action == "CUSTOM":
            _check_custom(rule, path, found)
        if spec.action == "DENY" and _denies_tcp(rule):
            found.warning(path, _TCP_ONLY, "DeniesTcp")


def _check_action(spec: written.AuthorizationPolicy, meta: Meta, found: Findings) -> None:
    if spec.action == "CUSTOM":
        if spec.provider is None or not spec.provider.name:
            found.error("spec.provider", "CUSTOM action must have a provider with a name")
        if not spec.rules:
            found.error("spec.rules", "CUSTOM action without rules is meaningless as it will never be triggered")
    elif spec.provider is not None:
        found.error("spec.provider", f"provider must not be set with action {spec.action}")
    if spec.action == "DENY" and not spec.rules:
        found.error("spec.rules", "DENY action without rules is meaningless as it will never be triggered; use ALLOW without rules to deny all")
    dry = meta.annotations.get(_DRY_RUN)
    if dry is not None:
        path = f"metadata.annotations[{_DRY_RUN}]"
        if spec.action not in {"ALLOW", "DENY"}:
            found.error(path, f"{_DRY_RUN} is only supported with actions ALLOW and DENY")
        if dry.lower() not in {"true", "false", "1", "0", "t", "f"}:
            found.error(path, f"{dry!r} is neither true nor false")


def _check_source(source: written.Source | None, path: str, found: Findings) -> None:
    if source is None or source == written.Source():
        found.error(path, "`from.source` cannot be empty")
        return
    _check_values(source, path, found)
    for name in ("ip_blocks", "not_ip_blocks", "remote_ip_blocks", "not_remote_ip_blocks"):
        for block in getattr(source, name):
            if block and not names.is_subnet(block):
                found.error(f"{path}.{_camel(name)}", f"{block!r} is not an IP address or CIDR block")
    others = source.principals or source.not_principals or source.namespaces or source.not_namespaces
    if (source.service_accounts or source.not_service_accounts) and others:
        found.error(path, "cannot set serviceAccounts with namespaces or principals")
    for name in ("service_accounts", "not_service_accounts"):
        for account in getattr(source, name):
            if "*" in account or account.count("/") > 1:
                found.error(f"{path}.{_camel(name)}", f"{account!r} is not of the form namespace/name")


def _check_operation(operation: written.Operation | None, path: str, found: Findings) -> None:
    if operation is None or operation == written.Operation():
        found.error(path, "`to.operation` cannot be empty")
        return
    _check_values(operation, path, found)
    for name in ("ports", "not_ports"):
        for port in getattr(operation, name):
            if port and not _is_port(port):
                found.error(f"{path}.{_camel(name)}", f"{port!r} is not a port")
    for name in ("paths", "not_paths"):
        for item in getattr(operation, name):
            if ("{*}" in item or "{**}" in item) and not _is_template(item):
                found.error(f"{path}.{_camel(name)}", f"{item!r} is no valid path template; use {{*}} for one segment and {{**}} for the rest")


def _is_template(path: str) -> bool:
    segments = [segment for segment in path.split("/") if "{" in segment or "}" in segment]
    return all(segment in {"{*}", "{**}"} for segment in segments) and "*" not in path.replace("{*}", "").replace("{**}", "")


def _check_values(given: written.Source | written.Operation, path: str, found: Findings) -> None:
    for name in given.__struct_fields__:
        if "" in getattr(given, name):
            found.error(f"{path}.{_camel(name)}", "must not have an empty value")


def _check_condition(when: written.When, path: str, found: Findings) -> None:
    if not when.key:
        found.error(f"{path}.key", "`key` cannot be empty")
        return
    if not when.values and not when.not_values:
        found.error(path, "at least one of `values` or `notValues` must be set for key " + when.key)
    if "" in when.values or "" in when.not_values:
        found.error(path, "must not have an empty value")
    if when.key not in _PLAIN_KEYS and not _MAPS.fullmatch(when.key):
        found.error(f"{path}.key", f"unknown attribute: {when.key}")
    for value in (*when.values, *when.not_values):
        if when.key in {"source.ip", "destination.ip", "remote.ip"} and not names.is_subnet(value):
            found.error(path, f"{value!r} is not an IP address or CIDR block")
        if when.key == "destination.port" and not _is_port(value):
            found.error(path, f"{value!r} is not a port")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= 65535


def _check_custom(rule: written.Rule, path: str, found: Findings) -> None:
    """The server is asked before identities are known to the rules: they cannot choose by them."""
    for number, item in enumerate(rule.from_):
        for name in _NOT_FOR_CUSTOM if item.source is not None else ():
            if getattr(item.source, name):
                found.error(f"{path}.from[{number}].source.{_camel(name)}", f"{_camel(name)} is currently not supported with CUSTOM action")
    for number, when in enumerate(rule.when):
        if when.key in {"source.namespace", "source.principal"} or when.key.startswith("request.auth."):
            found.error(f"{path}.when[{number}].key", f"{when.key} is currently not supported with CUSTOM action")


def _denies_tcp(rule: written.Rule) -> bool:
    """Whether a rule of a DENY policy asks for HTTP attributes and not for a port: on TCP its rest applies to everything."""
    operations = [item.operation for item in rule.to if item.operation is not None]
    if operations:
        return not any(operation.ports or operation.not_ports for operation in operations)
    sources = [item.source for item in rule.from_ if item.source is not None]
    plain = [name for name in written.Source.__struct_fields__ if name not in _TOKENS]
    return bool(sources) and not any(getattr(source, name) for source in sources for name in plain)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
