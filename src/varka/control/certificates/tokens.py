"""Whose token is this: the API server's answer, which is the only thing that gives a workload its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Api
from varka.identity import certificate_service

_PREFIX = "system:serviceaccount:"
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"


class RejectedError(VarkaError):
    """The token does not prove a service account for this audience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A service account, and the pod that its token is bound to (empty when it is bound to none)."""

    namespace: str
    service_account: str
    pod: str = ""
    pod_uid: str = ""


async def review(api: Api, token: str, audience: str = certificate_service.TOKEN_AUDIENCE) -> Caller:
    """Ask the API server; RejectedError when it says no, other VarkaErrors when it cannot be asked."""
    if not token:
        raise RejectedError("no bearer token was sent", f"send the pod's token of audience {audience}")
    answer = await api.create(
        resources.TOKEN_REVIEWS,
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {"token": token, "audiences": [audience]}},
    )
    return _caller(answer.get("status") or {}, audience)


def _caller(status: dict[str, Any], audience: str) -> Caller:
    if not status.get("authenticated"):
        raise RejectedError(f"the token is not valid: {status.get('error') or 'the API server does not accept it'}", "mount a fresh token")
    if audience not in (status.get("audiences") or []):
        raise RejectedError("the token is for another audience", f"mount a token of audience {audience}")
    user = status.get("user") or {}
    name = str(user.get("username") or "")
    parts = name.removeprefix(_PREFIX).split(":")
    if not name.startswith(_PREFIX) or len(parts) != 2 or not all(parts):
        raise RejectedError(f"the token is that of {name or 'nobody'}, not of a service account", "use the token of the pod's service account")
    extra = user.get("extra") or {}
    return Caller(namespace=parts[0], service_account=parts[1], pod=_first(extra.get(_POD_NAME)), pod_uid=_first(extra.get(_POD_UID)))


def _first(values: object) -> str:
    return str(values[0]) if isinstance(values, list) and values else ""
