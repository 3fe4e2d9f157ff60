from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from tests.unit.agent.test_status_server import CERTIFICATE

from varka.agent import sds
from varka.agent.sds import SECRET_TYPE, SERVICE, SecretServer

LIMIT = 10.0
FIRST = replace(CERTIFICATE, chain_pem=b"chain 1", key_pem=b"key 1")
SECOND = replace(CERTIFICATE, chain_pem=b"chain 2", key_pem=b"key 2")


class Envoy:
    """One stream of secrets, as Envoy opens it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        method = channel.stream_stream(
            f"/{SERVICE}/StreamSecrets",
            request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
        )
        self._stream = method()

    async def ask(self, *names: str, nonce: str = "", refusal: str = "") -> None:
        """A request; with a nonce it is the answer to a response."""
        request = discovery_pb2.DiscoveryRequest(type_url=SECRET_TYPE, resource_names=names, response_nonce=nonce)
        if refusal:
            request.error_detail.message = refusal
        await self._stream.write(request)

    async def answer(self) -> tuple[str, dict[str, Any]]:
        """Nonce and secrets by name of the next response."""
        response = await asyncio.wait_for(self._stream.read(), LIMIT)
        secrets = [secret_pb2.Secret.FromString(one.value) for one in response.resources]
        return response.nonce, {secret.name: secret for secret in secrets}


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SecretServer]:
    monkeypatch.setattr(sds, "FILE_CHECK_SECONDS", 0.001)
    made = SecretServer(tmp_path / "sds" / "socket", tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def envoy(server: SecretServer, tmp_path: Path) -> AsyncIterator[Envoy]:
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/sds/socket") as channel:
        yield Envoy(channel)


def pair(secret: Any) -> tuple[bytes, bytes]:
    """Chain and key of a secret."""
    return secret.tls_certificate.certificate_chain.inline_bytes, secret.tls_certificate.private_key.inline_bytes


async def test_a_request_before_the_first_certificate_is_answered_when_it_comes(server: SecretServer, envoy: Envoy) -> None:
    """Envoy waits for it."""
    await envoy.ask("default")
    await server.publish(FIRST, b"root")
    nonce, secrets = await envoy.answer()
    assert (nonce, pair(secrets["default"])) == ("1", (b"chain 1", b"key 1"))


async def test_every_new_certificate_reaches_an_open_stream(server: SecretServer, envoy: Envoy) -> None:
    """Also without an acknowledgement of the one before."""
    await server.publish(FIRST, b"root")
    await envoy.ask("default")
    await envoy.answer()
    await server.publish(SECOND, b"root")
    nonce, secrets = await envoy.answer()
    assert (nonce, pair(secrets["default"])) == ("2", (b"chain 2", b"key 2"))


async def test_the_roots_to_believe(server: SecretServer, envoy: Envoy) -> None:
    """ROOTCA is the bundle that was published, without any key."""
    await server.publish(FIRST, b"root a, root b")
    await envoy.ask("ROOTCA")
    _, secrets = await envoy.answer()
    assert secrets["ROOTCA"].validation_context.trusted_ca.inline_bytes == b"root a, root b"
    assert secrets["ROOTCA"].WhichOneof("type") == "validation_context"


async def test_an_acknowledgement_and_a_refusal_bring_nothing_new(server: SecretServer, envoy: Envoy) -> None:
    """The next thing on the stream is the next certificate."""
    await server.publish(FIRST, b"root")
    await envoy.ask("default")
    nonce, _ = await envoy.answer()
    await envoy.ask("default", nonce=nonce)
    await envoy.ask("default", nonce=nonce, refusal="bad certificate")
    await server.publish(SECOND, b"root")
    assert (await envoy.answer())[0] == "2"


async def test_another_set_of_names_is_answered_at_once(server: SecretServer, envoy: Envoy) -> None:
    """With the same version."""
    await server.publish(FIRST, b"root")
    await envoy.ask("default")
    nonce, _ = await envoy.answer()
    await envoy.ask("default", "ROOTCA", nonce=nonce)
    assert sorted((await envoy.answer())[1]) == ["ROOTCA", "default"]


async def test_files_of_the_pod(server: SecretServer, envoy: Envoy, tmp_path: Path) -> None:
    """A DestinationRule's certificates come from the proxy's own file system; what is absent or not ours is left out."""
    (tmp_path / "etc").mkdir()
    for name in ("cert", "key", "root"):
        (tmp_path / "etc" / name).write_text(f"the {name}")
    await server.publish(FIRST, b"root")
    await envoy.ask("file-cert:/etc/cert~/etc/key", "file-root:/etc/root", "file-root:/etc/none", "kubernetes://other")
    _, secrets = await envoy.answer()
    assert pair(secrets.pop("file-cert:/etc/cert~/etc/key")) == (b"the cert", b"the key")
    assert secrets.pop("file-root:/etc/root").validation_context.trusted_ca.inline_bytes == b"the root"
    assert secrets == {}


async def test_the_socket_is_private_and_goes(tmp_path: Path) -> None:
    """Mode 0600; one that an earlier agent left is replaced; stopping removes it."""
    path = tmp_path / "socket"
    path.write_text("left")
    server = SecretServer(path, tmp_path)
    await server.start()
    assert stat.S_ISSOCK(path.stat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o600
    await server.stop()
    assert not path.exists()


async def test_changed_files_are_served_again(server: SecretServer, envoy: Envoy, tmp_path: Path) -> None:
    """A certificate on file that is replaced reaches Envoy by itself."""
    (tmp_path / "ca.pem").write_text("old")
    await server.publish(FIRST, b"roots")
    await envoy.ask("file-root:/ca.pem")
    _, secrets = await envoy.answer()
    assert secrets["file-root:/ca.pem"].validation_context.trusted_ca.inline_bytes == b"old"
    (tmp_path / "ca.pem").write_text("newer")
    _, secrets = await envoy.answer()
    assert secrets["file-root:/ca.pem"].validation_context.trusted_ca.inline_bytes == b"newer"


async def test_the_systems_authorities(server: SecretServer, envoy: Envoy, tmp_path: Path) -> None:
    """`file-root:system` is the bundle of the file system that the proxy sees."""
    bundle = tmp_path / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_text("bundle")
    await server.publish(FIRST, b"roots")
    await envoy.ask("file-root:system")
    _, secrets = await envoy.answer()
    assert secrets["file-root:system"].validation_context.trusted_ca.inline_bytes == b"bundle"
