"""The admission webhooks on port 15017: `/inject` adds a proxy to a pod, `/validate` refuses what the mesh could not use."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from varka.base.errors import VarkaError
from varka.client.api import Object
from varka.control import metrics
from varka.control.certificates.serving_certificate import ServingCertificate
from varka.control.injection import pod_annotations, pods
from varka.control.injection.options import Options

log = logging.getLogger("varka.control.webhook")

MAX_REVIEW = 8 << 20

Validate = Callable[[Object], list[str]]
"""From a resource to what is wrong with it, empty when nothing is; warnings begin with `warning: `."""


class WebhookServer:
    """Answers AdmissionReviews. Options are looked up at every request.

    Whether a namespace has injection is the API server's decision, by the selectors of the webhook configuration: it
    knows a label that was set a moment ago, our copy may not.
    """

    def __init__(self, certificate: ServingCertificate, options: Callable[[], Options], validate: Validate) -> None:
        self._certificate = certificate
        self._options = options
        self._validate = validate
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        app = web.Application(client_max_size=MAX_REVIEW)
        for path, answer in (("/inject", self.inject), ("/validate", self.validate)):
            app.router.add_post(path, self._handler(answer))
            app.router.add_post(path + "/{tail:.*}", self._handler(answer))
        app.router.add_get("/ready", _ready)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=self._certificate.context, backlog=256).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _handler(self, answer: Callable[[Object], Object]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                review = json.loads(await request.read())
                asked = review["request"]
                uid = asked["uid"]
                if not all(isinstance(asked.get(field) or {}, dict) for field in ("object", "resource")) or not isinstance(uid, str):
                    raise TypeError("a part of the review has a wrong type")
            except (ValueError, KeyError, TypeError, AttributeError):
                return web.Response(status=400, text="the body is no AdmissionReview\n")
            response = {"uid": uid, **answer(asked)}
            version = review.get("apiVersion") or "admission.k8s.io/v1"
            return web.json_response({"apiVersion": version, "kind": "AdmissionReview", "response": response})

        return handle

    def inject(self, request: Object) -> Object:
        """The response to one review of a pod."""
        metrics.INJECTIONS.inc()
        pod, namespace = request.get("object") or {}, str(request.get("namespace") or "default")
        meta = pod.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        label = f"{namespace}/{meta.get('name') or str(meta.get('generateName') or '') + '?'}"
        try:
            injected = pods.inject(pod, namespace, None, self._options())
        except VarkaError as error:
            return self._failed(label, str(error))
        except Exception as error:
            log.exception("injecting %s failed", label)
            return self._failed(label, f"the pod cannot be injected: {error!r}")
        if injected is None:
            metrics.INJECTION_SKIPS.inc()
            log.info("%s: left as it is", label)
            return {"allowed": True}
        metrics.INJECTED.inc()
        log.info("%s: proxy added", label)
        warnings = pod_annotations.findings(meta.get("annotations") or {})
        for warning in warnings:
            log.warning("%s: %s", label, warning)
        patch = json.dumps(pods.patch(pod, injected)).encode()
        told = {"warnings": warnings} if warnings else {}
        return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(patch).decode(), **told}

    def _failed(self, label: str, message: str) -> Object:
        metrics.INJECTION_FAILURES.inc()
        log.warning("%s: %s", label, message)
        return {"allowed": False, "status": {"code": 400, "reason": "BadRequest", "message": message}}

    def validate(self, request: Object) -> Object:
        """The response to one review of a resource of Istio's."""
        obj = request.get("object") or {}
        kind = request.get("resource") or {}
        labels = {name: str(kind.get(name) or "") for name in ("group", "version", "resource")}
        try:
            found = self._validate(obj)
        except Exception as error:
            log.exception("validating %s failed", labels)
            found = [f"the resource cannot be read: {error!r}"]
        errors = [line for line in found if not line.startswith("warning: ")]
        warnings = [line.removeprefix("warning: ") for line in found if line.startswith("warning: ")]
        if errors:
            metrics.VALIDATION_FAILED.labels(reason="invalid_resource", **labels).inc()
            message = "configuration is invalid: " + ("; ".join(errors) if len(errors) < 2 else f"{len(errors)} errors: " + "; ".join(errors))
            return {"allowed": False, "status": {"code": 400, "reason": "BadRequest", "message": message}, **({"warnings": warnings} if warnings else {})}
        metrics.VALIDATION_PASSED.labels(**labels).inc()
        return {"allowed": True, **({"warnings": warnings} if warnings else {})}


async def _ready(_: web.Request) -> web.Response:
    return web.Response(text="ok")


class BundlePatcher:
    """Writes the root into the `caBundle` of the webhook configurations that point at this control plane."""

    def __init__(self, api: Any, service: str, namespace: str, bundle: Callable[[], bytes], clock: Any) -> None:
        from varka.client import resources
        from varka.client.informers import Informer

        self._api = api
        self._service = service
        self._namespace = namespace
        self._bundle = bundle
        self._clock = clock
        self._wake = asyncio.Event()
        self.settled = asyncio.Event()
        """Every configuration that was there at the start has been seen to."""
        self._informers = [Informer(api, gvr, clock=clock) for gvr in (resources.MUTATING_WEBHOOKS, resources.VALIDATING_WEBHOOKS)]
        for informer in self._informers:
            informer.add_handler(lambda _old, _new: self._wake.set())

    def refresh(self) -> None:
        """The root has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Keep them right until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers:
                tasks.create_task(informer.run())
            for informer in self._informers:
                await informer.synced.wait()
            self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                for informer in self._informers:
                    for obj in informer:
                        await self._patch(informer.gvr, obj)
                self.settled.set()

    async def _patch(self, gvr: Any, obj: Object) -> None:
        from varka.client.api import PatchType

        wanted = base64.b64encode(self._bundle()).decode()
        changes = []
        for number, webhook in enumerate(obj.get("webhooks") or []):
            client = webhook.get("clientConfig") or {}
            service = client.get("service") or {}
            if service.get("name") == self._service and service.get("namespace") == self._namespace and client.get("caBundle") != wanted:
                changes.append({"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": wanted})
        if not changes:
            return
        name = obj["metadata"]["name"]
        guard = {"op": "test", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]}
        try:
            await self._api.patch(gvr, name, [guard, *changes], type=PatchType.JSON)
            log.info("%s: certificate bundle written", name)
        except VarkaError as error:
            log.debug("%s was not patched: %s", name, error)
            await self._clock.sleep(0.2)
            self._wake.set()
