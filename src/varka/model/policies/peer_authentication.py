"""PeerAuthentication merged: the mesh's, then the namespace's, then the workload's, then its ports'.

On each level the oldest counts. UNSET takes what the level above says; at the top that is PERMISSIVE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field

from varka.model.memo import Kept
from varka.model.routing.visibility import selected
from varka.model.security import MutualTls, MutualTlsMode
from varka.resources import Parsed, security

Policy = Parsed[security.PeerAuthentication]


class Level(Struct, frozen=True, kw_only=True, eq=False):
    """The policies of one namespace: the one without selector that counts, and those for workloads, oldest first."""

    general: Policy | None = None
    workloads: tuple[Policy, ...] = ()


class Peers(Struct, frozen=True, kw_only=True, eq=False):
    """All PeerAuthentications. `scope` of two namespaces is the same object only if nothing there changed."""

    mesh: Policy | None = None
    namespaces: Mapping[str, Level] = field(default_factory=dict)

    def of(self, namespace: str, labels: Mapping[str, str]) -> MutualTls:
        """What a workload accepts."""
        level = self.namespaces.get(namespace, _NO_LEVEL)
        workload = next((policy for policy in level.workloads if selected(_selector(policy), labels.items())), None)
        return merge(self.mesh, level.general, workload)

    def inputs(self, namespace: str) -> tuple[object, ...]:
        """The objects that decide about a namespace, for a memo."""
        return (self.mesh, self.namespaces.get(namespace, _NO_LEVEL))


_NO_LEVEL = Level()


def index(policies: Iterable[Policy], root_namespace: str, kept: Kept) -> Peers:
    """File the policies by namespace. Those with a selector in the root namespace apply to nothing, as in Istio."""
    mesh: Policy | None = None
    general: dict[str, Policy] = {}
    workloads: dict[str, list[Policy]] = {}
    for policy in sorted(policies, key=lambda policy: policy.meta.age_order):
        namespace = policy.meta.namespace
        if _selector(policy):
            if namespace != root_namespace:
                workloads.setdefault(namespace, []).append(policy)
        elif namespace == root_namespace:
            mesh = mesh or policy
        else:
            general.setdefault(namespace, policy)
    levels: dict[str, Level] = {}
    for namespace in sorted(general.keys() | workloads.keys()):
        ours = kept.tuple(("workloads", namespace), tuple(workloads.get(namespace, ())))
        top = general.get(namespace)
        levels[namespace] = kept.get(("level", namespace), (top, ours), partial(Level, general=top, workloads=ours))
    return Peers(mesh=mesh, namespaces=levels)


def merge(mesh: Policy | None, namespace: Policy | None, workload: Policy | None) -> MutualTls:
    """The mode of one workload and its ports, from the policy that counts on each level."""
    mode = MutualTlsMode.PERMISSIVE
    for policy in (mesh, namespace, workload):
        mode = _mode(policy.spec.mtls if policy is not None and policy.spec is not None else None) or mode
    ports: dict[int, MutualTlsMode] = {}
    if workload is not None and workload.spec is not None:
        for port, mtls in sorted(workload.spec.port_level_mtls.items()):
            if port.isdecimal():
                ports[int(port)] = _mode(mtls) or mode
    return MutualTls(mode=mode, ports=ports)


def _mode(mtls: security.MutualTls | None) -> MutualTlsMode | None:
    return None if mtls is None or mtls.mode == "UNSET" else MutualTlsMode(mtls.mode)


def _selector(policy: Policy) -> dict[str, str]:
    return policy.spec.selector.match_labels if policy.spec is not None and policy.spec.selector is not None else {}
