"""Annotations that nobody knows, that stand on the wrong kind of object, that are deprecated, or whose value cannot be used."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message
from varka.resources import known_annotations

_KINDS = ("Namespace", "Service", "Pod", "Deployment")


def analyze(context: Context) -> Iterable[Message]:
    """Check Istio's annotations on the kinds that people put them on."""
    for kind in _KINDS:
        for item in context.all(kind):
            for name, value in item.meta.annotations.items():
                if known_annotations.ours(name):
                    yield from _one(item, name, value)


def _one(item: Read, name: str, value: str) -> Iterable[Message]:
    path = f"metadata.annotations[{name}]"
    known = known_annotations.KNOWN.get(name)
    if known is None:
        yield catalog.UNKNOWN_ANNOTATION.about(item, name, path=path)
        return
    replaced = name == known_annotations.INJECT
    if known.deprecated and not (replaced and known_annotations.INJECT in item.meta.labels):
        extra = f' in favor of the "{name}" label' if replaced else ""
        yield catalog.DEPRECATED_ANNOTATION.about(item, name, extra, path=path)
    if known_annotations.ANY in known.kinds:
        return
    if item.kind not in known.kinds:
        yield catalog.MISPLACED_ANNOTATION.about(item, name, ", ".join(known.kinds), path=path)
    elif known.check is not None:
        try:
            known.check(value)
        except ValueError as error:
            yield catalog.INVALID_ANNOTATION.about(item, name, error, path=path)
