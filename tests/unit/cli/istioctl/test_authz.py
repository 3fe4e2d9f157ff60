from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from tests.builders import views

from varka.analysis.authorization import callers, evaluation
from varka.analysis.authorization.callers import Caller
from varka.base.errors import VarkaError
from varka.cli.istioctl import authz, main
from varka.envoy import dump, generate
from varka.model.security import Action, AuthorizationPolicy, Authorizer, Operation, Rule
from varka.model.services import Protocol
from varka.model.view import ProxyView

CLIENT = "cluster.local/ns/default/sa/client"
POLICIES = (
    AuthorizationPolicy(name="ask", namespace="n", action=Action.CUSTOM, provider="x", authorizer=Authorizer(name="x", host="h", port=1), rules=(Rule(),)),
    AuthorizationPolicy(name="read", namespace="n", rules=(Rule(operations=(Operation(methods=("GET",)),)), Rule(operations=(Operation(ports=("1",)),)))),
    AuthorizationPolicy(name="no", namespace="root", action=Action.DENY, rules=(Rule(operations=(Operation(paths=("/admin",)),)),)),
    AuthorizationPolicy(name="try", namespace="n", action=Action.DENY, dry_run=True, rules=(Rule(),)),
    AuthorizationPolicy(name="note", namespace="n", action=Action.AUDIT, rules=(Rule(),)),
)


def view(*policies: AuthorizationPolicy, protocol: Protocol = Protocol.HTTP) -> ProxyView:
    """A workload with one port and these policies."""
    own = views.service("web", {8080: protocol})
    return views.view(views.sidecar("web"), views.outbound([]), [own], authorization=policies)


def test_check_lists_what_the_proxy_has(tmp_path: Path) -> None:
    """Policies by action, each once however many filter chains have it, with its number of rules."""
    listeners = [{"active_state": {"listener": dump.to_dict(item, proto_names=True)}} for item in generate.generate(view(*POLICIES)).listeners.values()]
    sections = [{"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": listeners}]
    (tmp_path / "dump.json").write_text(json.dumps({"configs": sections}))
    done = CliRunner().invoke(main.cli, ["x", "authz", "check", "-f", str(tmp_path / "dump.json")], catch_exceptions=False)
    assert done.output.splitlines() == [
        "ACTION           AuthorizationPolicy   RULES",
        "CUSTOM           ask.n                 1",
        "DENY             no.root               1",
        "DENY (dry run)   try.n                 1",
        "ALLOW            read.n                2",
        "AUDIT            note.n                1",
    ]


def asked(**given: Any) -> dict[str, Any]:
    """The command's flags."""
    return {"method": "GET", "path": "/", "host": "", "port": 0, "headers": (), "claims": "", "source_ip": "", "tcp": False, **given}


def test_what_is_left_out() -> None:
    """Port, host and protocol come from the workload's first port."""
    request = authz.request_of(view(), asked(headers=("X-User: ann", "x-forwarded-for: 10.0.0.1, 192.0.2.7"), claims='{"iss": "i"}'))
    assert (request.port, request.remote_ip, request.http and request.http.host) == (8080, "192.0.2.7", "web.default.svc.cluster.local")
    assert request.http is not None
    assert (request.http.headers["x-user"], request.http.tokens[0].claims) == ("ann", {"iss": "i"})
    assert authz.request_of(view(protocol=Protocol.TCP), asked()).http is None
    assert authz.request_of(view(), asked(tcp=True)).http is None


@pytest.mark.parametrize(("flags", "said"), [({"headers": ("x",)}, "is no header"), ({"claims": "x"}, "are no JSON"), ({"claims": "[]"}, "are no JSON object")])
def test_flags_that_cannot_be_read(flags: dict[str, Any], said: str) -> None:
    """The error says what to write."""
    with pytest.raises(VarkaError, match=said):
        authz.request_of(view(), asked(**flags))


def test_a_workload_without_ports() -> None:
    """Then a port must be named."""
    nobody = replace(view(), inbound=())
    with pytest.raises(VarkaError, match="--port"):
        authz.request_of(nobody, asked())
    assert authz.request_of(nobody, asked(port=9)).port == 9


def test_for_people() -> None:
    """The verdict stands first, then who asks, what the log will have, and every rule that was tried."""
    seen = view(*POLICIES[1:])
    request = replace(authz.request_of(seen, asked(path="/admin")), principal=CLIENT)
    assert authz.text(Caller(principal=CLIENT, workloads=("default/client",)), evaluation.of_view(seen, request)).splitlines() == [
        "DENIED: rule 0 of AuthorizationPolicy/root/no denies it",
        "",
        f"Caller:   {CLIENT}",
        "          default/client",
        "Log:      rbac_access_denied_matched_policy[ns[root]-policy[no]-rule[0]]",
        "Audit:    ns[n]-policy[note]-rule[0]",
        "",
        "ACTION   AuthorizationPolicy   RULE   RESULT",
        "DENY     no.root               0      matches",
        "ALLOW    read.n                0      matches",
        "ALLOW    read.n                1      the port must be 1",
    ]


def test_for_programs() -> None:
    """The same as JSON."""
    seen = view(POLICIES[1])
    found = authz.as_dict(Caller(), evaluation.of_view(seen, authz.request_of(seen, asked(method="POST"))))
    assert (found["verdict"], found["policy"], found["caller"]) == ("denied", None, {"principal": "", "workloads": []})
    assert found["tried"][0] == {"action": "ALLOW", "namespace": "n", "name": "read", "rule": 0, "unmet": "the method must be GET"}


def test_everybody() -> None:
    """One row a caller."""
    seen = view(POLICIES[2])
    request = authz.request_of(seen, asked())
    rows = authz.summary([(who, evaluation.of_view(seen, request)) for who in (Caller(principal=CLIENT), callers.Caller())])
    assert [row[:2] for row in rows] == [("CALLER", "VERDICT"), (CLIENT, "ALLOWED"), ("anyone without a certificate", "ALLOWED")]
