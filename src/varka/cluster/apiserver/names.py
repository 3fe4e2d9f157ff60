"""Which names, labels and annotations Kubernetes accepts, and the words with which it refuses the others."""

from __future__ import annotations

import re
from typing import Any

from varka.client.api import Object
from varka.cluster.apiserver.errors import Cause, invalid, required

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
    "character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an "
    "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def dns_label(field: str, value: str) -> list[Cause]:
    """What is wrong with a value that must be a DNS label (namespaces, container names)."""
    causes = [] if len(value) <= 63 else [invalid(field, value, "must be no more than 63 characters")]
    return causes if _LABEL.fullmatch(value) else [*causes, invalid(field, value, _LABEL_TEXT)]


def dns_subdomain(field: str, value: str) -> list[Cause]:
    """What is wrong with a value that must be a DNS subdomain (most object names)."""
    causes = [] if len(value) <= 253 else [invalid(field, value, "must be no more than 253 characters")]
    return causes if _SUBDOMAIN.fullmatch(value) else [*causes, invalid(field, value, _SUBDOMAIN_TEXT)]


def dns_1035_label(field: str, value: str) -> list[Cause]:
    """What is wrong with a value that must be a DNS label that begins with a letter (services)."""
    causes = [] if len(value) <= 63 else [invalid(field, value, "must be no more than 63 characters")]
    return causes if _LABEL_1035.fullmatch(value) else [*causes, invalid(field, value, _LABEL_1035_TEXT)]


def path_segment(field: str, value: str) -> list[Cause]:
    """What is wrong with a value that must only fit into a URL path (roles, role bindings)."""
    if value in (".", ".."):
        return [invalid(field, value, f"may not be '{value}'")]
    return [invalid(field, value, f"may not contain '{letter}'") for letter in "/%" if letter in value]


_CHECKS = {"namespaces": dns_label, "services": dns_label}
_PATH_GROUPS = ("rbac.authorization.k8s.io",)


def object_name(group: str, resource: str, field: str, value: str) -> list[Cause]:
    """What is wrong with an object's name, by the rule of its resource."""
    if group in _PATH_GROUPS:
        return path_segment(field, value)
    if not group and resource == "services":
        return dns_1035_label(field, value)
    return _CHECKS[resource](field, value) if not group and resource in _CHECKS else dns_subdomain(field, value)


def qualified_name(field: str, value: str) -> list[Cause]:
    """What is wrong with a label's or annotation's key."""
    prefix, slash, name = value.rpartition("/")
    if slash and not prefix:
        return [invalid(field, value, "prefix part must be non-empty")]
    causes: list[Cause] = []
    if slash and not _SUBDOMAIN.fullmatch(prefix):
        causes.append(invalid(field, value, "prefix part " + _SUBDOMAIN_TEXT))
    if not name:
        causes.append(invalid(field, value, "name part must be non-empty"))
    elif len(name) > 63:
        causes.append(invalid(field, value, "name part must be no more than 63 characters"))
    if not _QUALIFIED.fullmatch(name):
        causes.append(invalid(field, value, _QUALIFIED_TEXT))
    return causes


def label_map(field: str, values: dict[str, Any]) -> list[Cause]:
    """What is wrong with a map of labels."""
    causes: list[Cause] = []
    for key, value in values.items():
        causes += qualified_name(field, key)
        if not isinstance(value, str):
            continue
        if len(value) > 63:
            causes.append(invalid(field, value, "must be no more than 63 characters"))
        if not _LABEL_VALUE.fullmatch(value):
            causes.append(invalid(field, value, _VALUE_TEXT))
    return causes


def metadata(group: str, resource: str, obj: Object) -> list[Cause]:
    """What is wrong with an object's name, labels and annotations."""
    meta = obj["metadata"]
    name = meta.get("name") or ""
    causes = object_name(group, resource, "metadata.name", name) if name else [required("metadata.name", "name or generateName is required")]
    causes += label_map("metadata.labels", meta.get("labels") or {})
    annotations = meta.get("annotations") or {}
    for key in annotations:
        causes += qualified_name("metadata.annotations", key.lower())
    if sum(len(key) + len(value) for key, value in annotations.items() if isinstance(value, str)) > 262144:
        causes.append(Cause("metadata.annotations", "FieldValueTooLong", "Too long: may not be more than 262144 bytes"))
    for finalizer in meta.get("finalizers") or ():
        causes += qualified_name("metadata.finalizers", finalizer)
    for position, owner in enumerate(meta.get("ownerReferences") or ()):
        for part in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(part):
                causes.append(Cause(f"metadata.ownerReferences[{position}].{part}", "FieldValueInvalid", f'Invalid value: "": {part} must not be empty'))
    return causes
