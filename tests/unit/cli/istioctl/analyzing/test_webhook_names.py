from __future__ import annotations

import socket
from typing import Any

import pytest

from varka.cli.istioctl.analyzing import webhook_names


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up; all but `known.example.com` are unknown."""
    found: list[str] = []

    def lookup(host: str, *_: object, **__: object) -> list[Any]:
        found.append(host)
        if host != "known.example.com":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return found


def configuration(name: str, *clients: object) -> dict[str, Any]:
    """A webhook for each client configuration."""
    return {"kind": "MutatingWebhookConfiguration", "metadata": {"name": name}, "webhooks": [{"clientConfig": client} for client in clients]}


def test_names_that_dns_does_not_know(asked: list[str]) -> None:
    """Each is looked up once; services of the cluster and URLs that are none are passed over."""
    gone, known = {"url": "https://gone.example.com:15017/inject"}, {"url": "https://known.example.com/inject"}
    given = [configuration("istio-sidecar-injector", gone, known, gone, {"service": {"name": "istiod"}}, {"url": "https://[half"}, {"url": 7})]
    assert webhook_names.unresolved(given) == {"gone.example.com"}
    assert sorted(asked) == ["gone.example.com", "known.example.com"]


def test_webhooks_of_others_are_left_alone(asked: list[str]) -> None:
    """And what is no webhook at all."""
    given = [configuration("other", {"url": "https://gone.example.com"}), {"kind": "Service", "metadata": {"name": "istio"}}, {"kind": "Pod"}]
    assert webhook_names.unresolved(given) == frozenset()
    assert asked == []
