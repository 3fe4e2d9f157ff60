"""SPIFFE IDs as Istio forms them: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

SpiffeId = NewType("SpiffeId", str)
"""A URI of scheme `spiffe`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentity:
    """The three parts of a workload's SPIFFE ID."""

    trust_domain: str
    namespace: str
    service_account: str

    @property
    def uri(self) -> SpiffeId:
        return SpiffeId(f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}")


def parse(uri: str) -> WorkloadIdentity | None:
    """The identity that a URI names; None when it is no workload's SPIFFE ID."""
    if not uri.startswith("spiffe://"):
        return None
    parts = uri.removeprefix("spiffe://").split("/")
    if len(parts) != 5 or parts[1] != "ns" or parts[3] != "sa" or not all(parts):
        return None
    return WorkloadIdentity(trust_domain=parts[0], namespace=parts[2], service_account=parts[4])
