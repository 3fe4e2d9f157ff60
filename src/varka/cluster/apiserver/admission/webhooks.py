"""Admission webhooks: servers outside of the API server that may change or refuse a write.

What Kubernetes does, in its order: mutating webhooks one after the other, each seeing what the one before left, then
once more those that ask for it when the object changed after their turn; validating ones all at once. A webhook
behind a Service is called at one of its ready endpoints, under the name `<service>.<namespace>.svc`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import uuid
from collections.abc import Callable

import jsonpatch

from varka.client.api import Api, ApiError, Gvr, Object
from varka.client.informers import Informers
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.access import reviews
from varka.cluster.apiserver.admission import webhook_calls, webhook_rules
from varka.cluster.apiserver.admission.webhook_rules import Call, Webhook
from varka.cluster.apiserver.registry import Registry, ResourceInfo
from varka.cluster.apiserver.request import Attributes
from varka.cluster.apiserver.schema import cel

log = logging.getLogger(__name__)

GROUP = "admissionregistration.k8s.io"
MUTATING = Gvr(GROUP, "v1", "mutatingwebhookconfigurations")
VALIDATING = Gvr(GROUP, "v1", "validatingwebhookconfigurations")
NAMESPACES = Gvr("", "v1", "namespaces")

OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


class WebhookAdmission:
    """`Admission` over the webhook configurations that the informers hold.

    `api` and `registry` are functions because both exist only after the server that this is plugged into.
    """

    def __init__(self, api: Callable[[], Api], registry: Callable[[], Registry]) -> None:
        self._api = api
        self._registry = registry
        self._client = webhook_calls.WebhookClient(api)
        self._webhooks: dict[bool, list[Webhook]] = {True: [], False: []}
        self._following: Informers | None = None

    def follow(self, informers: Informers) -> None:
        """Read the configurations from these informers, which somebody else runs."""
        self._following = informers
        for gvr, mutating in ((MUTATING, True), (VALIDATING, False)):
            informers.of(gvr).add_handler(lambda old, new, mutating=mutating: self._changed(mutating))  # type: ignore[misc]

    def _changed(self, mutating: bool) -> None:
        if self._following is not None:
            self._webhooks[mutating] = webhook_rules.in_order(self._following.of(MUTATING if mutating else VALIDATING), mutating=mutating)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._client.close()

    async def mutate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> tuple[Object | None, list[str]]:
        """Ask the mutating webhooks; the object as they left it, and their warnings."""
        warnings: list[str] = []
        asked: list[tuple[Call, Object | None]] = []
        current = obj
        for webhook in self._webhooks[True]:
            call = await self._concerning(webhook, attributes, operation, current, old)
            if call is not None:
                current = await self._mutate(call, attributes, operation, current, old, warnings)
                asked.append((call, current))
        for call, left in asked:
            if call.webhook.spec.get("reinvocationPolicy") == "IfNeeded" and current != left:
                current = await self._mutate(call, attributes, operation, current, old, warnings)
        return current, warnings

    async def validate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> list[str]:
        """Ask the validating webhooks, all at once; the first refusal in their order counts."""
        calls = [call for webhook in self._webhooks[False] if (call := await self._concerning(webhook, attributes, operation, obj, old)) is not None]
        if not calls:
            return []
        answers = await asyncio.gather(*(self._ask(call, attributes, operation, obj, old) for call in calls), return_exceptions=True)
        warnings: list[str] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                warnings += answer.get("warnings") or []
        return warnings

    async def _concerning(self, webhook: Webhook, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> Call | None:
        call = webhook_rules.concerning(webhook, attributes, operation, self._registry())
        if call is None:
            return None
        labels: dict[str, str] | None = None
        if webhook.spec.get("namespaceSelector"):
            labels = await self._namespace_labels(attributes, obj if obj is not None else old)
        if not webhook_rules.selected(webhook, attributes, labels, (obj, old)):
            return None
        if webhook.spec.get("matchConditions") and not _conditions_hold(call, review_request(call, attributes, operation, obj, old)):
            return None
        if attributes.dry_run and webhook.has_side_effects:
            raise errors.bad_request(f"admission webhook {json.dumps(webhook.name)} does not support dry run")
        return call

    async def _namespace_labels(self, attributes: Attributes, obj: Object | None) -> dict[str, str] | None:
        if not attributes.group and attributes.resource == "namespaces":
            metadata: Object = (obj or {}).get("metadata") or {}
        elif attributes.namespace:
            try:
                metadata = (await self._api().get(NAMESPACES, attributes.namespace))["metadata"]
            except ApiError as error:
                if error.code != 404:
                    raise
                metadata = {}
        else:
            return None
        return metadata.get("labels") or {}

    async def _mutate(self, call: Call, attributes: Attributes, operation: str, obj: Object | None, old: Object | None, warnings: list[str]) -> Object | None:
        answer = await self._ask(call, attributes, operation, obj, old)
        if answer is None:
            return obj
        warnings += answer.get("warnings") or []
        if not answer.get("patch"):
            return obj
        try:
            if answer.get("patchType") != "JSONPatch":
                raise webhook_calls.CallFailed(f"invalid response.patchType: {answer.get('patchType')!r}")
            operations = json.loads(base64.b64decode(answer["patch"]))
            if not operations or obj is None:
                return obj
            patched: Object = jsonpatch.JsonPatch(operations).apply(_as_version(obj, call.info))
            return {**patched, "apiVersion": obj["apiVersion"]} if "apiVersion" in obj else patched
        except (ValueError, TypeError, jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, webhook_calls.CallFailed) as error:
            return self._failed(call.webhook, str(error), obj)

    async def _ask(self, call: Call, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> Object | None:
        """The webhook's `response` when it allows; None when it could not be asked and is to be ignored; ApiError otherwise."""
        request = review_request(call, attributes, operation, obj, old)
        try:
            answer = await self._client.post(call.webhook, {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
            response = answer.get("response") if answer.get("kind") == "AdmissionReview" else None
            if not isinstance(response, dict):
                raise webhook_calls.CallFailed("webhook response is no AdmissionReview with a response")
            if response.get("uid") != request["uid"]:
                raise webhook_calls.CallFailed(f"expected response.uid={request['uid']!r}, got {response.get('uid')!r}")
        except webhook_calls.CallFailed as error:
            self._failed(call.webhook, str(error), None)
            return None
        if response.get("allowed"):
            return response
        raise denial(call.webhook.name, response.get("status") or {})

    def _failed(self, webhook: Webhook, text: str, obj: Object | None) -> Object | None:
        message = f'failed calling webhook "{webhook.name}": {text}'
        if webhook.fails_closed:
            raise errors.internal(message)
        log.warning("%s; failing open", message)
        return obj


def _conditions_hold(call: Call, request: Object) -> bool:
    """Whether all matchConditions are true; ApiError 403 when none is false, one cannot be evaluated and the webhook fails closed."""
    variables = {"object": request["object"], "oldObject": request["oldObject"], "request": request}
    failures: list[str] = []
    for condition in call.webhook.spec["matchConditions"]:
        try:
            if not cel.holds(condition["expression"], variables):
                return False
        except ValueError as error:
            failures.append(f"expression '{condition['expression']}' resulted in error: {error}")
    if not failures:
        return True
    text = "; ".join(failures)
    if call.webhook.fails_closed:
        raise errors.forbidden(call.info, request.get("name", ""), text)
    log.warning('webhook "%s" is passed over: %s', call.webhook.name, text)
    return False


def denial(name: str, result: Object) -> ApiError:
    """The refusal of a webhook as the caller sees it."""
    text = f'admission webhook "{name}" denied the request'
    if result.get("message"):
        text += f": {result['message']}"
    elif result.get("reason"):
        text += f": {result['reason']}"
    else:
        text += " without explanation"
    return ApiError(max(int(result.get("code") or 0), 400), str(result.get("reason") or ""), text, result.get("details") or None)


def review_request(call: Call, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> Object:
    """The `request` of an AdmissionReview."""
    info = call.info
    kind = _kind(info, attributes, obj if obj is not None else old)
    asked = {"group": attributes.group, "version": attributes.version, "resource": attributes.resource}
    name = attributes.name or ((obj or {}).get("metadata") or {}).get("name", "")
    request: Object = {
        "uid": str(uuid.uuid4()),
        "kind": {**kind, "version": info.version} if kind["group"] == info.group else kind,
        "resource": {**asked, "version": info.version},
        "requestKind": kind,
        "requestResource": asked,
    }
    if attributes.subresource:
        request["subResource"] = request["requestSubResource"] = attributes.subresource
    if name:
        request["name"] = name
    if attributes.namespace:
        request["namespace"] = attributes.namespace
    elif not attributes.group and attributes.resource == "namespaces" and name:
        request["namespace"] = name
    request["operation"] = operation
    request["userInfo"] = reviews.user_info(attributes.user)
    request["object"] = _as_version(obj, info)
    request["oldObject"] = _as_version(old, info)
    request["dryRun"] = attributes.dry_run
    if operation in OPTIONS:
        request["options"] = _options(operation, attributes)
    else:
        request["options"] = None
    return request


def _kind(info: ResourceInfo, attributes: Attributes, obj: Object | None) -> dict[str, str]:
    if attributes.subresource and obj and obj.get("kind"):
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        return {"group": group, "version": version, "kind": obj["kind"]}
    return {"group": attributes.group, "version": attributes.version, "kind": info.kind}


def _options(operation: str, attributes: Attributes) -> Object:
    options: Object = {"kind": OPTIONS[operation], "apiVersion": "meta.k8s.io/v1"}
    if attributes.dry_run:
        options["dryRun"] = ["All"]
    if operation != "DELETE":
        options.update({name: attributes.query[name] for name in ("fieldManager", "fieldValidation") if attributes.query.get(name)})
    return options


def _as_version(obj: Object | None, info: ResourceInfo) -> Object | None:
    """The object in the version that the webhook asked for: versions of one resource have the same fields here."""
    if obj is None or not str(obj.get("apiVersion", info.api_version)).startswith(f"{info.group}/" if info.group else "v"):
        return obj
    if "kind" in obj and obj["kind"] != info.kind:
        return obj
    return {**obj, "apiVersion": info.api_version, "kind": info.kind}
