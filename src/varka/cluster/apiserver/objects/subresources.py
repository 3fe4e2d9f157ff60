"""Subresources that are views or actions and not parts of an object: scale, a pod's binding to a node, and eviction."""

from __future__ import annotations

import dataclasses
from typing import Any

from varka.base.clock import rfc3339
from varka.client.api import ApiError, Object, PatchType
from varka.cluster.apiserver import errors, selectors
from varka.cluster.apiserver.objects.deletion import DeleteOptions, Deletion
from varka.cluster.apiserver.objects.writes import Options, Writes, Written
from varka.cluster.apiserver.patches import merge
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.request import Attributes

_SCALE_PATHS = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def _read(obj: Object, path: str) -> Any:
    value: Any = obj
    for step in path.strip(".").split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _selector_text(selector: Any) -> str:
    if isinstance(selector, str) or not selector:
        return selector or ""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key, "DoesNotExist": f"!{key}"}
        parts.append(forms[expression["operator"]])
    return ",".join(parts)


def scale_of(info: ResourceInfo, obj: Object) -> Object:
    """The object as a Scale of autoscaling/v1."""
    paths = info.crd.scale if info.crd is not None else _SCALE_PATHS
    meta = obj["metadata"]
    shown = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if key in meta}
    status: Object = {"replicas": _read(obj, paths.get("statusReplicasPath", "")) or 0}
    selector = _read(obj, paths["labelSelectorPath"]) if "labelSelectorPath" in paths else None if info.crd is not None else obj["spec"].get("selector")
    text = _selector_text(selector)
    if text:
        status["selector"] = text
    replicas = _read(obj, paths.get("specReplicasPath", ".spec.replicas"))
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status}


class Subresources:
    """Acts through the same writes as everything else."""

    def __init__(self, writes: Writes, deletion: Deletion) -> None:
        self._writes = writes
        self._deletion = deletion

    def get_scale(self, attributes: Attributes) -> Object:
        """`GET …/scale`."""
        info = _info(attributes)
        return scale_of(info, self._writes.entry(info, attributes.namespace, attributes.name).object)

    async def set_scale(self, attributes: Attributes, kind: PatchType | None, body: Any, options: Options) -> Written:
        """`PUT` (kind None) or `PATCH …/scale`."""
        info = _info(attributes)
        for _ in range(20):
            obj = self._writes.entry(info, attributes.namespace, attributes.name).object
            current = scale_of(info, obj)
            current["spec"].setdefault("replicas", 0)
            new = _changed(current, kind, body)
            replicas = (new.get("spec") or {}).get("replicas", 0)
            if not isinstance(replicas, int) or isinstance(replicas, bool):
                text = "json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32"
                raise errors.bad_request(f'Scale in version "v1" cannot be handled as a Scale: {text}')
            if replicas < 0:
                cause = errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
                details = {"name": attributes.name, "group": "autoscaling", "kind": "Scale", "causes": [{"reason": cause.reason, "field": cause.field}]}
                raise ApiError(422, "Invalid", f'Scale.autoscaling "{attributes.name}" is invalid: {cause.field}: {cause.text}', details)
            given = (new.get("metadata") or {}).get("resourceVersion")
            if given and given != obj["metadata"]["resourceVersion"]:
                raise errors.conflict(info, attributes.name)
            patch = _nested((info.crd.scale if info.crd is not None else _SCALE_PATHS).get("specReplicasPath", ".spec.replicas"), replicas)
            patch["metadata"] = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            try:
                target = _without_subresource(attributes)
                written = await self._writes.patch(target, PatchType.MERGE, patch, dataclasses.replace(options, tracked_as="scale"))
            except ApiError as error:
                if error.code == 409 and not given:
                    continue
                raise
            return Written(object=scale_of(info, written.object), warnings=written.warnings)
        raise errors.conflict(info, attributes.name)

    async def bind(self, attributes: Attributes, body: Any, options: Options) -> Object:
        """`POST pods/NAME/binding`: give a pod its node."""
        info = _info(attributes)
        node = ((body.get("target") or {}) if isinstance(body, dict) else {}).get("name")
        if not node:
            raise errors.unprocessable(info, attributes.name, [errors.required("target.name")])
        pod = self._writes.entry(info, attributes.namespace, attributes.name).object
        if pod["spec"].get("nodeName"):
            raise errors.conflict(info, attributes.name, f'pod {attributes.name} is already assigned to node "{pod["spec"]["nodeName"]}"')
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": _now(self._writes)}
        # The condition comes first, and is merged by its type: as soon as a pod has a node, the kubelet writes its status.
        status = {"status": {"conditions": [scheduled]}}
        await self._writes.patch(_with_subresource(attributes, "status"), PatchType.STRATEGIC, status, options)
        await self._writes.patch(_without_subresource(attributes), PatchType.MERGE, {"spec": {"nodeName": node}}, options)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    async def evict(self, attributes: Attributes, body: Any) -> Object:
        """`POST pods/NAME/eviction`: delete a pod unless a PodDisruptionBudget forbids it (429)."""
        info = _info(attributes)
        pod = self._writes.entry(info, attributes.namespace, attributes.name).object
        labels = pod["metadata"].get("labels") or {}
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed", "Pending"):
            for entry in self._writes.store.list("poddisruptionbudgets.policy", attributes.namespace):
                budget = entry.object
                selector = (budget.get("spec") or {}).get("selector")
                if selector is None or not selectors.from_label_selector(selector)(labels):
                    continue
                if (budget.get("status") or {}).get("disruptionsAllowed", 0) < 1:
                    name = budget["metadata"]["name"]
                    cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {name} does not allow evicting pods currently"}
                    text = "Cannot evict pod as it would violate the pod's disruption budget."
                    raise ApiError(429, "TooManyRequests", text, {"causes": [cause]})
        given = (body.get("deleteOptions") if isinstance(body, dict) else None) or {}
        query = {"dryRun": "All"} if attributes.dry_run else {}
        await self._deletion.delete(_without_subresource(attributes), DeleteOptions.parse(given, query))
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _changed(current: Object, kind: PatchType | None, body: Any) -> Object:
    if kind is None:
        if not isinstance(body, dict):
            raise errors.bad_request("the body of a scale must be an object")
        return body
    if kind == PatchType.JSON:
        return merge.json_patch(current, body)
    result: Object = merge.merge_patch(current, body)
    return result


def _nested(path: str, value: Any) -> Object:
    for step in reversed(path.strip(".").split(".")):
        value = {step: value}
    nested: Object = value
    return nested


def _info(attributes: Attributes) -> ResourceInfo:
    if attributes.info is None:
        raise errors.path_not_found()
    return attributes.info


def _now(writes: Writes) -> str:
    return rfc3339(writes.clock.now())


def _without_subresource(attributes: Attributes) -> Attributes:
    return _with_subresource(attributes, "")


def _with_subresource(attributes: Attributes, subresource: str) -> Attributes:
    return dataclasses.replace(attributes, subresource=subresource, verb="patch")
