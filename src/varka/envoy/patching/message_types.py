"""Envoy's messages by their full names; a module is imported when a message of its package is first asked for."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from google.protobuf import descriptor_pool, message_factory

PREFIXES = ("type.googleapis.com/", "types.googleapis.com/")
_PACKAGES = ("envoy.", "udpa.", "xds.", "google.protobuf.", "google.api.", "google.rpc.", "opentelemetry.")


def full_name(type_url: str) -> str:
    """`type.googleapis.com/envoy.…` without what stands before the slash."""
    return type_url.rpartition("/")[2]


@cache
def find(name: str) -> Any | None:
    """The class of a message, or None when nobody knows the name."""
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        _load(name.rpartition(".")[0])
        try:
            descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
        except KeyError:
            return None
    return message_factory.GetMessageClass(descriptor)


def _load(package: str) -> None:
    """Import all modules of a protobuf package, which has a folder of its own."""
    if not f"{package}.".startswith(_PACKAGES):
        return
    try:
        found = importlib.import_module(package)
    except ImportError:
        outer = package.rpartition(".")[0]
        if outer.count(".") >= 2:
            _load(outer)
        return
    for module in pkgutil.iter_modules(getattr(found, "__path__", ())):
        if module.name.endswith("_pb2"):
            importlib.import_module(f"{package}.{module.name}")
