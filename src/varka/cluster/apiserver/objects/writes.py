"""Creating and changing objects: one way through identity, defaults, admission, checks and field ownership to the store.

Order as in Kubernetes: decode and default, mutating admission, default again, check, validating admission, store. A patch is
repeated when somebody else wrote in between; an update that names a resourceVersion is refused then.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from varka.base.clock import Clock, rfc3339
from varka.client.api import Object, PatchType
from varka.cluster.apiserver import errors, names
from varka.cluster.apiserver.kinds import defaults, pods, preparation, rules
from varka.cluster.apiserver.kinds.preparation import Preparation
from varka.cluster.apiserver.objects import intake
from varka.cluster.apiserver.patches import merge, ownership, strategic
from varka.cluster.apiserver.registry import Registry, ResourceInfo
from varka.cluster.apiserver.request import Admission, Attributes, Extensions, NoAdmission
from varka.cluster.apiserver.schema import decoding, structural, validation
from varka.cluster.store.database import Key
from varka.cluster.store.log import Entry
from varka.cluster.store.store import RevisionConflict, Store, StoreFailed

MAX_ATTEMPTS = 20
_GENERATED = frozenset(
    [
        "pods",
        "poddisruptionbudgets.policy",
        "ingresses.networking.k8s.io",
        "networkpolicies.networking.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "endpointslices.discovery.k8s.io",
        "persistentvolumeclaims",
        "replicationcontrollers",
    ]
)
_FIXED_META = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "generateName", "selfLink")

Change = Callable[[Object], Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to write: the field manager, `fieldValidation`, whether an apply takes fields away from others, nothing stored when `dry_run`.

    `tracked_as` is the subresource under which managedFields show the write, when it is not the request's.
    """

    manager: str = "unknown"
    validation: str = intake.WARN
    force: bool = False
    dry_run: bool = False
    tracked_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The object as the caller's version shows it, whether it is new, and warnings."""

    object: Object
    created: bool = False
    warnings: tuple[str, ...] = ()


class Writes:
    """Create, update and patch."""

    def __init__(self, store: Store, registry: Registry, extensions: Extensions, clock: Clock) -> None:
        self.store = store
        self.registry = registry
        self.extensions = extensions
        self.clock = clock
        self.preparation = Preparation(store)
        self.remove: Callable[[ResourceInfo, Entry], Any] = lambda info, entry: None
        """Removes an object whose last finalizer has gone; set by the deletion side."""

    @property
    def _admission(self) -> Admission:
        return self.extensions.admission or NoAdmission()

    def key(self, info: ResourceInfo, namespace: str, name: str) -> Key:
        """Where the store keeps an object."""
        return Key(info.key, namespace if info.namespaced else "", name)

    def entry(self, info: ResourceInfo, namespace: str, name: str) -> Entry:
        """The stored object; ApiError 404."""
        found = self.store.get(info.key, namespace if info.namespaced else "", name)
        if found is None:
            raise errors.not_found(info, name)
        return found

    async def create(self, attributes: Attributes, body: Any, options: Options) -> Written:
        """Create an object."""
        info = _info(attributes)
        obj = intake.check_identity(attributes, info, body)
        unknown: list[str] = []
        obj = intake.decode(info, obj, unknown)
        warnings = intake.unknown_fields(info, unknown, options.validation)
        return await self._create(attributes, info, obj, options, warnings)

    async def _create(
        self, attributes: Attributes, info: ResourceInfo, obj: Object, options: Options, warnings: list[str], *, applied: bool = False
    ) -> Written:
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        generated = not meta.get("name") and bool(meta.get("generateName"))
        if generated:
            meta["name"] = meta["generateName"][:58] + pods.random_suffix()
        self.preparation.check_namespace(info, obj)
        for name in _FIXED_META[:5]:
            meta.pop(name, None)
        identity = {"uid": str(uuid.uuid4()), "creationTimestamp": rfc3339(self.clock.now())}
        meta |= identity
        if "status" in info.subresources:
            obj.pop("status", None)
        if _has_generation(info):
            meta["generation"] = 1
        await self._complete(info, obj, None)
        obj, more = await self._admit(attributes, info, "CREATE", obj, None)
        obj["metadata"] |= identity  # reservations go by uid: no webhook may give an object another's
        warnings = warnings + more
        causes = self.preparation.finish(info, obj, None, dry_run=options.dry_run)
        if not applied:
            ownership.track(intake.schema_node(info), None, obj, self._writer(attributes, info, options))
        causes += self._check(info, obj, None)
        if causes:
            self.preparation.release(info, obj)
            raise errors.unprocessable(info, meta.get("name", ""), causes)
        attempts = 8 if generated else 1
        for attempt in range(attempts):
            try:
                warnings = warnings + await self._admission.validate(attributes, "CREATE", obj, None)
                stored = await self._store(info, obj, 0, options)
            except RevisionConflict:
                if attempt + 1 == attempts:
                    self.preparation.release(info, obj)
                    raise errors.already_exists(info, obj["metadata"]["name"]) from None
                obj["metadata"]["name"] = obj["metadata"]["generateName"][:58] + pods.random_suffix()
            except Exception:
                self.preparation.release(info, obj)
                raise
            else:
                return Written(object=intake.to_version(stored, info), created=True, warnings=tuple(warnings))
        raise AssertionError("unreachable")

    async def update(self, attributes: Attributes, body: Any, options: Options) -> Written:
        """Replace an object, or its status."""
        info = _info(attributes)
        obj = intake.check_identity(attributes, info, body)
        unknown: list[str] = []
        obj = intake.decode(info, obj, unknown)
        warnings = intake.unknown_fields(info, unknown, options.validation)
        expected = obj["metadata"].get("resourceVersion", "")
        if info.crd is not None and not expected:
            self.entry(info, attributes.namespace, attributes.name)
            cause = errors.Cause("metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0x0: must be specified for an update")
            raise errors.unprocessable(info, attributes.name, [cause])
        return await self._modify(attributes, info, lambda old: obj, options, warnings, expected=expected)

    async def patch(self, attributes: Attributes, kind: PatchType, patch: Any, options: Options) -> Written:
        """Change an object, or its status, by a patch; an apply creates what is not there."""
        info = _info(attributes)
        if kind == PatchType.APPLY:
            return await self._apply(attributes, info, patch, options)
        if kind == PatchType.STRATEGIC and info.crd is not None:
            accepted = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
            raise errors.unsupported_media(accepted)
        warnings: list[str] = []

        def change(old: Object) -> Object:
            current = intake.to_version(old, info)
            if kind == PatchType.JSON:
                new = merge.json_patch(current, patch)
            elif not isinstance(patch, dict):
                raise errors.bad_request("error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}")
            elif kind == PatchType.MERGE:
                new = merge.merge_patch(current, patch)
            else:
                new = strategic.apply(intake.schema_node(info), current, patch)
            unknown: list[str] = []
            obj = intake.decode(info, intake.check_identity(attributes, info, new), unknown)
            warnings[:] = intake.unknown_fields(info, unknown, options.validation, patch=errors.show(patch))
            return obj

        meta = patch.get("metadata") if isinstance(patch, dict) else None
        given = (meta.get("resourceVersion") or "") if isinstance(meta, dict) else ""
        return await self._modify(attributes, info, change, options, warnings, expected=str(given), retry=not given)

    async def _apply(self, attributes: Attributes, info: ResourceInfo, patch: Any, options: Options) -> Written:
        config = intake.check_identity(attributes, info, patch)
        unknown: list[str] = []
        decoded = intake.decode(info, config, unknown)
        warnings = intake.unknown_fields(info, unknown, options.validation)
        writer = self._writer(attributes, info, options)
        node = intake.schema_node(info)
        if self.store.get(info.key, attributes.namespace if info.namespaced else "", attributes.name) is None:
            if attributes.subresource:
                raise errors.not_found(info, attributes.name)
            created = intake.decode(info, ownership.apply(node, None, decoded, writer, options.force), [])
            return await self._create(attributes, info, created, options, warnings, applied=True)

        def change(old: Object) -> Object:
            merged = ownership.apply(node, intake.to_version(old, info), decoded, writer, options.force)
            return intake.decode(info, merged, [])

        given = decoded["metadata"].get("resourceVersion", "")
        return await self._modify(attributes, info, change, options, warnings, expected=given, retry=not given, applied=True)

    async def _modify(
        self,
        attributes: Attributes,
        info: ResourceInfo,
        change: Change,
        options: Options,
        warnings: list[str],
        *,
        expected: str = "",
        retry: bool = False,
        applied: bool = False,
    ) -> Written:
        for _ in range(MAX_ATTEMPTS):
            entry = self.entry(info, attributes.namespace, attributes.name)
            if expected and expected != str(entry.revision):
                raise errors.conflict(info, attributes.name)
            new = change(entry.object)
            try:
                return await self._replace(attributes, info, entry, new, options, warnings, applied)
            except RevisionConflict as conflict:
                if conflict.current is None:
                    raise errors.not_found(info, attributes.name) from None
                if expected and not retry:
                    raise errors.conflict(info, attributes.name) from None
        raise errors.conflict(info, attributes.name)

    async def _replace(
        self, attributes: Attributes, info: ResourceInfo, entry: Entry, new: Object, options: Options, warnings: list[str], applied: bool
    ) -> Written:
        old = intake.to_version(entry.object, info)
        given_uid = new["metadata"].get("uid")
        if given_uid and given_uid != old["metadata"]["uid"]:
            text = f"Precondition failed: UID in precondition: {given_uid}, UID in object meta: {old['metadata']['uid']}"
            raise errors.conflict(info, attributes.name, text)
        new = _keep(info, attributes.subresource, old, new)
        await self._complete(info, new, old)
        new, more = await self._admit(attributes, info, "UPDATE", new, old)
        new = _keep(info, attributes.subresource, old, new)
        causes = self.preparation.finish(info, new, old, dry_run=options.dry_run)
        _generation(info, old, new)
        if not applied:
            ownership.track(intake.schema_node(info), old, new, self._writer(attributes, info, options))
        causes += self._check(info, new, old, attributes.subresource)
        if causes:
            raise errors.unprocessable(info, attributes.name, causes)
        more += await self._admission.validate(attributes, "UPDATE", new, old)
        shown = tuple(warnings + more)
        new["metadata"]["resourceVersion"] = str(entry.revision)
        if intake.to_storage(new, info) == entry.object:
            return Written(object=intake.to_version(entry.object, info), warnings=shown)
        if _finished(new):
            if options.dry_run:
                return Written(object=new, warnings=shown)
            gone = await self.put(info, intake.to_storage(new, info), entry.revision)
            await self.remove(info, gone)
            return Written(object=intake.to_version(gone.object, info), warnings=shown)
        stored = await self._store(info, new, entry.revision, options)
        return Written(object=intake.to_version(stored, info), warnings=shown)

    async def _store(self, info: ResourceInfo, obj: Object, expected: int, options: Options) -> Object:
        obj = intake.to_storage(obj, info)
        meta = obj["metadata"]
        if options.dry_run:
            current = self.store.get(info.key, meta.get("namespace", ""), meta["name"])
            if (current.revision if current else 0) != expected:
                raise RevisionConflict(current)
            return obj
        return (await self.put(info, obj, expected)).object

    async def put(self, info: ResourceInfo, obj: Object, expected: int) -> Entry:
        """Store an object in its storage version; RevisionConflict, or ApiError 500 when the disk fails."""
        meta = obj["metadata"]
        try:
            return await self.store.put(self.key(info, meta.get("namespace", ""), meta["name"]), obj, expected)
        except StoreFailed as error:
            raise errors.internal(str(error)) from error

    async def _complete(self, info: ResourceInfo, obj: Object, old: Object | None) -> None:
        """Defaults, and what the kind's own admission adds."""
        if info.crd is not None:
            if info.crd.has_defaults:
                structural.default(info.crd.root, obj)
            return
        if info.key == "services" and old is not None:
            defaults.fill(info.key, obj)
            preparation.keep_service(obj, old)
        defaults.fill(info.key, obj)
        if old is None:
            await self.preparation.admit(info, obj)

    async def _admit(self, attributes: Attributes, info: ResourceInfo, operation: str, obj: Object, old: Object | None) -> tuple[Object, list[str]]:
        mutated, warnings = await self._admission.mutate(attributes, operation, obj, old)
        if mutated is None or mutated is obj:
            return obj, warnings
        result = intake.decode(info, mutated, [])
        await self._complete(info, result, old)
        return result, warnings

    def _check(self, info: ResourceInfo, obj: Object, old: Object | None, subresource: str = "") -> list[errors.Cause]:
        causes = names.metadata(info.group, info.resource, obj) if not subresource else []
        if info.crd is not None:
            return causes + validation.validate(info.crd.root, obj, old)
        if subresource:
            return causes
        node = intake.schema_node(info)
        missing = decoding.missing(node, obj)
        rule = rules.of(info.key)
        if missing:
            return causes + missing
        causes += rule.check(obj)
        if old is not None:
            causes += rule.compare(obj, old)
        return causes

    def _writer(self, attributes: Attributes, info: ResourceInfo, options: Options) -> ownership.Writer:
        subresource = options.tracked_as or attributes.subresource
        return ownership.Writer(manager=options.manager, api_version=info.api_version, subresource=subresource, time=rfc3339(self.clock.now()))


def _info(attributes: Attributes) -> ResourceInfo:
    if attributes.info is None:
        raise errors.path_not_found()
    return attributes.info


def _has_generation(info: ResourceInfo) -> bool:
    return info.crd is not None or info.group in ("apps", "batch") or info.key in _GENERATED


def _keep(info: ResourceInfo, subresource: str, old: Object, new: Object) -> Object:
    """The new object with everything from the old one that this request may not change."""
    if subresource:
        result = {key: value for key, value in old.items() if key not in ("metadata", "status")}
        if subresource == "finalize":
            result["spec"] = new.get("spec", {})
        elif subresource == "ephemeralcontainers":
            result["spec"] = {**old["spec"], "ephemeralContainers": (new.get("spec") or {}).get("ephemeralContainers") or []}
        elif subresource == "resize":
            result["spec"] = {**old["spec"], **{name: new["spec"][name] for name in ("containers", "initContainers") if name in new["spec"]}}
        status = (new if subresource in ("status", "approval") else old).get("status")
        if status is not None:
            result["status"] = status
        meta = {key: value for key, value in old["metadata"].items() if key != "managedFields"}
        if "managedFields" in new["metadata"]:
            meta["managedFields"] = new["metadata"]["managedFields"]
        result["metadata"] = meta
        return result
    result = dict(new)
    if "status" in info.subresources:
        result.pop("status", None)
        if "status" in old:
            result["status"] = old["status"]
    meta = result["metadata"] = dict(new["metadata"])
    for name in _FIXED_META:
        meta.pop(name, None)
        if name in old["metadata"]:
            meta[name] = old["metadata"][name]
    if "deletionTimestamp" in meta and set(meta.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ()):
        extra = sorted(set(meta["finalizers"]) - set(old["metadata"].get("finalizers") or ()))
        text = f"no new finalizers can be added if the object is being deleted, found new finalizers {errors.show(extra)}"
        raise errors.unprocessable(info, meta["name"], [errors.forbidden_value("metadata.finalizers", text)])
    return result


def _generation(info: ResourceInfo, old: Object, new: Object) -> None:
    """Count a change of what is wished for, in place."""
    if not _has_generation(info):
        return
    ignored = {"metadata", "apiVersion"} | ({"status"} if info.crd is None or "status" in info.subresources else set())
    before = {key: value for key, value in old.items() if key not in ignored}
    after = {key: value for key, value in new.items() if key not in ignored}
    current = old["metadata"].get("generation", 0)
    new["metadata"]["generation"] = current + 1 if before != after else current or 1


def _finished(obj: Object) -> bool:
    """Whether an object that is being deleted has nothing left that holds it."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if obj["kind"] == "Namespace" and obj["apiVersion"] == "v1" and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not meta.get("deletionGracePeriodSeconds")
