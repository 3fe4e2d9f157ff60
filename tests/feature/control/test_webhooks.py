"""The admission webhooks over real TLS, and the bundles that make the API server trust them."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from tests.fakes.api import FakeApi

from varka.base.clock import SystemClock
from varka.client import resources
from varka.control.certificates.serving_certificate import ServingCertificate
from varka.control.injection.options import Options
from varka.control.webhook_server import BundlePatcher, WebhookServer
from varka.identity import authority, keys

HOST = "istiod.istio-system.svc"
POD = {"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "nginx", "image": "nginx"}]}}


@asynccontextmanager
async def serving() -> AsyncIterator[Any]:
    """A function that posts a review and gives the response."""
    now = datetime.now(UTC)
    root = authority.self_signed("cluster.local", now)
    key = keys.generate()
    certificate = ServingCertificate()
    certificate.use("".join(root.sign_server(key, [HOST], timedelta(days=1), now)).encode(), keys.to_pem(key), root.root_pem)
    server = WebhookServer(certificate, Options, lambda obj: obj.get("problems", []))
    port = await server.start("127.0.0.1", 0)
    context = ssl.create_default_context(cadata=root.root_pem.decode())
    async with aiohttp.ClientSession() as session:

        async def post(path: str, body: Any) -> Any:
            async with session.post(f"https://127.0.0.1:{port}{path}", data=json.dumps(body), ssl=context, server_hostname=HOST) as answer:
                return (await answer.json())["response"] if answer.status == 200 else answer.status

        yield post
    await server.stop()


def review(obj: Any) -> Any:
    """An AdmissionReview."""
    request = {"uid": "u1", "namespace": "default", "object": obj, "resource": {"group": "g", "version": "v1", "resource": "things"}}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


async def test_pod_gets_its_proxy() -> None:
    """As a JSON patch."""
    async with serving() as post:
        answer = await post("/inject", review(POD))
        patch = {one["path"]: one["value"] for one in json.loads(base64.b64decode(answer["patch"]))}
        assert (answer["uid"], answer["allowed"], answer["patchType"]) == ("u1", True, "JSONPatch")
        assert [one["name"] for one in patch["/spec/containers"]] == ["nginx", "istio-proxy"]


async def test_pod_that_opts_out_is_left_alone() -> None:
    """It is admitted without a patch."""
    async with serving() as post:
        assert await post("/inject", review({**POD, "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}})) == {"uid": "u1", "allowed": True}


async def test_pod_that_cannot_be_injected_is_refused_with_the_reason() -> None:
    """The user sees it where the pod is created."""
    async with serving() as post:
        answer = await post("/inject", review({**POD, "metadata": {"annotations": {"inject.istio.io/templates": "x"}}}))
        assert not answer["allowed"] and "unknown template" in answer["status"]["message"]


async def test_validation_tells_errors_and_warnings_apart() -> None:
    """Errors refuse, warnings are shown."""
    async with serving() as post:
        refused = await post("/validate", review({"problems": ["spec.x: is wrong", "warning: spec.y: is odd"]}))
        assert not refused["allowed"] and refused["status"]["message"] == "configuration is invalid: spec.x: is wrong"
        assert refused["warnings"] == ["spec.y: is odd"]
        assert (await post("/validate", review({"problems": ["warning: odd"]}))) == {"uid": "u1", "allowed": True, "warnings": ["odd"]}


@pytest.mark.parametrize("body", [{}, [], {"request": {}}])
async def test_body_that_is_no_review_is_a_bad_request(body: Any) -> None:
    """It does not look like an admission."""
    async with serving() as post:
        assert await post("/inject", body) == 400


async def test_bundle_is_written_into_our_webhooks_only() -> None:
    """And again when somebody takes it away."""
    api, clock = FakeApi(SystemClock()), SystemClock()
    ours = {"clientConfig": {"service": {"name": "istiod", "namespace": "istio-system"}}}
    theirs = {"clientConfig": {"service": {"name": "other", "namespace": "istio-system"}}}
    await api.create(resources.MUTATING_WEBHOOKS, {"metadata": {"name": "m"}, "webhooks": [ours, theirs]})
    task = asyncio.create_task(BundlePatcher(api, "istiod", "istio-system", lambda: b"PEM", clock).run())
    wanted = base64.b64encode(b"PEM").decode()

    async def bundles() -> list[str | None]:
        async with asyncio.timeout(5):
            while True:
                found = [one["clientConfig"].get("caBundle") for one in (api.one(resources.MUTATING_WEBHOOKS, "m") or {})["webhooks"]]
                if found[0] == wanted:
                    return found
                await asyncio.sleep(0.01)

    assert await bundles() == [wanted, None]
    api.change(resources.MUTATING_WEBHOOKS, "m", webhooks=[ours, theirs])
    assert await bundles() == [wanted, None]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("path", ["/inject", "/validate"])
@pytest.mark.parametrize(
    "body",
    [
        None,
        5,
        [],
        {"request": None},
        {"request": []},
        {"request": {"uid": 1}},
        {"request": {"uid": "a", "object": [1]}},
        {"request": {"uid": "a", "resource": "x"}},
    ],
)
async def test_reviews_of_wrong_types(path: str, body: Any) -> None:
    """They are the caller's mistake."""
    async with serving() as post:
        assert await post(path, body) == 400


@pytest.mark.parametrize(
    "obj",
    [
        {"metadata": []},
        {"metadata": {"labels": 5}},
        {"metadata": {}, "spec": "x"},
        {"spec": {"containers": 1}},
        {"spec": {"containers": [None]}},
        {"metadata": {"annotations": []}, "spec": {}},
    ],
)
async def test_pods_of_wrong_types_are_answered(obj: Any) -> None:
    """Whatever the API server lets through, the answer is a verdict."""
    async with serving() as post:
        assert (await post("/inject", review(obj)))["allowed"] in (True, False)
