"""One object of the API in, one `Parsed` out; nothing that a user can write raises."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from varka.resources import conditions, decoding, kinds
from varka.resources.conditions import Condition, Severity
from varka.resources.gateway_api import kinds as gateway_api

S_co = TypeVar("S_co", covariant=True)


class Owner(Struct, frozen=True, kw_only=True):
    """The controller that an object belongs to."""

    kind: str
    name: str


class Meta(Struct, frozen=True, kw_only=True):
    """Who an object is. `created` is in seconds since the epoch, 0 when unknown."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    created: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None
    deleted: bool = False

    @property
    def key(self) -> str:
        """`namespace/name`, or the name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def age_order(self) -> tuple[float, str, str]:
        """Sorts the oldest first; equal ages by name, then by namespace."""
        return (self.created, self.name, self.namespace)


class Parsed(Struct, Generic[S_co], frozen=True, kw_only=True, eq=False):
    """A resource as read. `spec` is None when an error stands in its way; of a Kubernetes kind it is a slice of the whole object."""

    group: str
    version: str
    kind: str
    meta: Meta
    spec: S_co | None
    conditions: tuple[Condition, ...] = ()

    @property
    def ref(self) -> tuple[str, str, str]:
        """Kind, namespace and name."""
        return (self.kind, self.meta.namespace, self.meta.name)

    @property
    def failed(self) -> bool:
        return any(item.severity is Severity.ERROR for item in self.conditions)


def parse(obj: Mapping[str, Any]) -> Parsed[Any]:
    """Read an object of any kind; a kind that is not known here has no spec and says so."""
    api_version = _text(obj.get("apiVersion"))
    group, _, version = api_version.rpartition("/")
    kind = _text(obj.get("kind"))
    meta, found = _meta(obj.get("metadata"))
    spec: object = None
    known = kinds.BY_KIND.get((group, kind)) or gateway_api.BY_KIND.get((group, kind))
    core = kinds.CORE.get((group, kind))
    if known is not None:
        raw = obj.get("spec")
        spec, more = decoding.spec({} if raw is None else raw, known.spec)
        if version not in known.versions:
            more = (*more, conditions.error("apiVersion", f"{kind} has no version {version!r}; use {group}/{known.stored}", "UnknownVersion"))
    elif core is not None:
        spec, more = decoding.lenient(obj, core)
    else:
        more = (conditions.info("kind", f"{api_version}/{kind} is not read by the mesh", "UnknownKind"),)
    return Parsed(group=group, version=version, kind=kind, meta=meta, spec=spec, conditions=(*found, *more))


def _meta(raw: object) -> tuple[Meta, tuple[Condition, ...]]:
    if not isinstance(raw, Mapping):
        return Meta(name=""), (conditions.error("metadata", "must be an object with a name", "WrongType"),)
    found: list[Condition] = []
    generation = raw.get("generation")
    meta = Meta(
        name=_text(raw.get("name")),
        namespace=_text(raw.get("namespace")),
        uid=_text(raw.get("uid")),
        resource_version=_text(raw.get("resourceVersion")),
        generation=generation if isinstance(generation, int) else 0,
        created=_seconds(raw.get("creationTimestamp")),
        labels=_texts(raw.get("labels"), "metadata.labels", found),
        annotations=_texts(raw.get("annotations"), "metadata.annotations", found),
        owner=_owner(raw.get("ownerReferences")),
        deleted=bool(raw.get("deletionTimestamp")),
    )
    return meta, tuple(found)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _texts(value: object, path: str, found: list[Condition]) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        found.append(conditions.error(path, "must be a map of strings", "WrongType"))
        return {}
    wrong = [key for key, item in value.items() if not isinstance(item, str)]
    found.extend(conditions.error(f"{path}[{key}]", "must be a string; put it in quotes", "WrongType") for key in wrong)
    return {str(key): item for key, item in value.items() if isinstance(item, str)}


def _seconds(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else 0.0
    except ValueError:
        return 0.0


def _owner(value: object) -> Owner | None:
    if not isinstance(value, list):
        return None
    owners = [item for item in value if isinstance(item, Mapping)]
    found = next((item for item in owners if item.get("controller")), None)
    return Owner(kind=_text(found.get("kind")), name=_text(found.get("name"))) if found is not None else None
