from __future__ import annotations

from datetime import UTC, datetime

import pytest

from varka.cluster.apiserver import tables
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.tables import columns, jsonpaths

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CREATED = "2026-01-01T11:55:00Z"


def _info(kind, group="", printer_columns=()):
    return ResourceInfo(group=group, version="v1", resource=kind.lower() + "s", kind=kind, printer_columns=printer_columns)


def _cells(kind, obj, group="", wide=False):
    meta = {"name": "x", "creationTimestamp": CREATED, **obj.get("metadata", {})}
    table = tables.render(_info(kind, group), [{**obj, "metadata": meta}], now=NOW)
    shown = [place for place, column in enumerate(table["columnDefinitions"]) if wide or not column["priority"]]
    names = [table["columnDefinitions"][place]["name"] for place in shown]
    return dict(zip(names, [table["rows"][0]["cells"][place] for place in shown], strict=True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (12000, "3h20m"),
        (28800, "8h"),
        (172799, "47h"),
        (172800, "2d"),
        (180000, "2d2h"),
        (86400 * 8, "8d"),
        (86400 * 729, "729d"),
        (86400 * 731, "2y1d"),
        (86400 * 365 * 9, "9y"),
    ],
)
def test_ages_are_written_as_kubectl_does(seconds, text):
    """A duration is shown in the one or two units that matter at its size."""
    assert columns.duration(seconds) == text


def _status(name="c", ready=True, restarts=0, last=None, **state):
    return {
        "name": name,
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": {"finishedAt": last}} if last else {},
    }


RUNNING = {"running": {}}
POD = {"spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}], "nodeName": "varka"}}


@pytest.mark.parametrize(
    ("status", "meta", "ready", "reason", "restarts"),
    [
        ({"phase": "Running", "containerStatuses": [_status(**RUNNING), _status(**RUNNING)]}, {}, "2/2", "Running", "0"),
        ({"phase": "Pending"}, {}, "0/2", "Pending", "0"),
        ({"phase": "Pending", "initContainerStatuses": [_status("i", False, waiting={"reason": "PodInitializing"})]}, {}, "0/2", "Init:0/1", "0"),
        ({"phase": "Pending", "initContainerStatuses": [_status("i", False, 2, terminated={"exitCode": 1, "reason": "Error"})]}, {}, "0/2", "Init:Error", "2"),
        ({"phase": "Pending", "initContainerStatuses": [_status("i", False, terminated={"exitCode": 137, "signal": 9})]}, {}, "0/2", "Init:Signal:9", "0"),
        ({"phase": "Pending", "containerStatuses": [_status(ready=False, waiting={"reason": "ContainerCreating"})]}, {}, "0/2", "ContainerCreating", "0"),
        ({"phase": "Pending", "containerStatuses": [_status(ready=False, waiting={"reason": "ErrImagePull"})]}, {}, "0/2", "ErrImagePull", "0"),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    _status(**RUNNING),
                    _status(ready=False, restarts=3, last="2026-01-01T11:59:55Z", waiting={"reason": "CrashLoopBackOff"}),
                ],
            },
            {},
            "1/2",
            "CrashLoopBackOff",
            "3 (5s ago)",
        ),
        ({"phase": "Succeeded", "containerStatuses": [_status(ready=False, terminated={"exitCode": 0, "reason": "Completed"})]}, {}, "0/2", "Completed", "0"),
        ({"phase": "Failed", "containerStatuses": [_status(ready=False, terminated={"exitCode": 2})]}, {}, "0/2", "ExitCode:2", "0"),
        (
            {
                "phase": "Running",
                "containerStatuses": [_status(ready=False, terminated={"exitCode": 0, "reason": "Completed"}), _status(**RUNNING)],
                "conditions": [{"type": "Ready", "status": "False"}],
            },
            {},
            "1/2",
            "NotReady",
            "0",
        ),
        ({"phase": "Running", "containerStatuses": [_status(**RUNNING), _status(**RUNNING)]}, {"deletionTimestamp": CREATED}, "2/2", "Terminating", "0"),
        ({"phase": "Failed", "reason": "Evicted"}, {}, "0/2", "Evicted", "0"),
    ],
)
def test_a_pod_shows_what_its_containers_do(status, meta, ready, reason, restarts):
    """READY, STATUS and RESTARTS follow the containers' states by Kubernetes' rules."""
    cells = _cells("Pod", {**POD, "metadata": meta, "status": status})
    assert cells == {"Name": "x", "Ready": ready, "Status": reason, "Restarts": restarts, "Age": "5m"}


def test_a_native_sidecar_counts_as_a_container():
    """An init container that always restarts counts in READY, and its restarts count after initialization."""
    spec = {"containers": [{"name": "a"}], "initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}]}
    sidecar = {**_status("istio-proxy", True, 1, **RUNNING), "started": True}
    pod = {"spec": spec, "status": {"phase": "Running", "initContainerStatuses": [sidecar], "containerStatuses": [_status("a", **RUNNING)]}}
    cells = _cells("Pod", pod)
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == ("2/2", "Running", "1")


def test_wide_pods_show_address_node_and_gates():
    """`-o wide` adds where the pod is."""
    pod = {"spec": {**POD["spec"], "readinessGates": [{"conditionType": "g"}]}, "status": {"podIP": "10.244.0.5", "podIPs": [{"ip": "10.244.0.5"}]}}
    cells = _cells("Pod", pod, wide=True)
    assert list(cells.items())[5:] == [("IP", "10.244.0.5"), ("Node", "varka"), ("Nominated Node", "<none>"), ("Readiness Gates", "0/1")]


def _service(kind="ClusterIP", status=None, **spec):
    ports = [{"port": 80, "nodePort": 31380, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    return {"spec": {"type": kind, "clusterIP": "10.96.0.5", "ports": ports, "selector": {"b": "2", "a": "1"}, **spec}, "status": status or {}}


@pytest.mark.parametrize(
    ("service", "external"),
    [
        (_service(), "<none>"),
        (_service(externalIPs=["1.2.3.4"]), "1.2.3.4"),
        (_service("LoadBalancer"), "<pending>"),
        (_service("LoadBalancer", {"loadBalancer": {"ingress": [{"ip": "127.0.0.2"}]}}), "127.0.0.2"),
        (_service("LoadBalancer", {"loadBalancer": {"ingress": [{"hostname": "a-long-name.example.com"}]}}), "a-long-name.e..."),
        (_service("ExternalName", externalName="example.com"), "example.com"),
    ],
)
def test_services_show_their_outside_address(service, external):
    """EXTERNAL-IP depends on the type; ports show their node ports."""
    cells = _cells("Service", service, wide=True)
    assert (cells["External-IP"], cells["Port(s)"], cells["Selector"]) == (external, "80:31380/TCP,53/UDP", "a=1,b=2")


@pytest.mark.parametrize(
    ("kind", "group", "obj", "cells"),
    [
        (
            "Deployment",
            "apps",
            {"spec": {"replicas": 3, "template": {}}, "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}},
            {"Name": "x", "Ready": "1/3", "Up-to-date": 2, "Available": 1, "Age": "5m"},
        ),
        ("ReplicaSet", "apps", {"spec": {"replicas": 2}, "status": {"replicas": 2}}, {"Name": "x", "Desired": 2, "Current": 2, "Ready": 0, "Age": "5m"}),
        ("StatefulSet", "apps", {"spec": {"replicas": 2}, "status": {"readyReplicas": 2}}, {"Name": "x", "Ready": "2/2", "Age": "5m"}),
        ("Namespace", "", {"status": {"phase": "Terminating"}}, {"Name": "x", "Status": "Terminating", "Age": "5m"}),
        ("ConfigMap", "", {"data": {"a": "", "b": ""}, "binaryData": {"c": ""}}, {"Name": "x", "Data": 3, "Age": "5m"}),
        ("Secret", "", {"type": "istio.io/ca-root", "data": {"a": ""}}, {"Name": "x", "Type": "istio.io/ca-root", "Data": 1, "Age": "5m"}),
        ("ServiceAccount", "", {}, {"Name": "x", "Secrets": 0, "Age": "5m"}),
        ("CustomResourceDefinition", "apiextensions.k8s.io", {}, {"Name": "x", "Created At": CREATED}),
        ("ClusterRole", "rbac.authorization.k8s.io", {}, {"Name": "x", "Created At": CREATED}),
        ("RoleBinding", "rbac.authorization.k8s.io", {"roleRef": {"kind": "Role", "name": "r"}}, {"Name": "x", "Role": "Role/r", "Age": "5m"}),
        ("MutatingWebhookConfiguration", "admissionregistration.k8s.io", {"webhooks": [{}, {}]}, {"Name": "x", "Webhooks": 2, "Age": "5m"}),
        (
            "Endpoints",
            "",
            {"subsets": [{"addresses": [{"ip": f"10.0.0.{n}"} for n in range(5)], "ports": [{"port": 80}]}]},
            {"Name": "x", "Endpoints": "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more...", "Age": "5m"},
        ),
        (
            "EndpointSlice",
            "discovery.k8s.io",
            {"addressType": "IPv4", "ports": None, "endpoints": [{"addresses": ["10.0.0.1"]}]},
            {"Name": "x", "AddressType": "IPv4", "Ports": "<unset>", "Endpoints": "10.0.0.1", "Age": "5m"},
        ),
        ("Lease", "coordination.k8s.io", {"spec": {"holderIdentity": "istiod"}}, {"Name": "x", "Holder": "istiod", "Age": "5m"}),
        (
            "Job",
            "batch",
            {
                "spec": {"completions": 1},
                "status": {
                    "succeeded": 1,
                    "startTime": CREATED,
                    "completionTime": "2026-01-01T11:55:07Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                },
            },
            {"Name": "x", "Status": "Complete", "Completions": "1/1", "Duration": "7s", "Age": "5m"},
        ),
        (
            "CronJob",
            "batch",
            {"spec": {"schedule": "* * * * *", "jobTemplate": {}}, "status": {"lastScheduleTime": "2026-01-01T11:59:00Z"}},
            {"Name": "x", "Schedule": "* * * * *", "Timezone": "<none>", "Suspend": "False", "Active": 0, "Last Schedule": "60s", "Age": "5m"},
        ),
        (
            "DaemonSet",
            "apps",
            {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}, "status": {"desiredNumberScheduled": 1}},
            {"Name": "x", "Desired": 1, "Current": 0, "Ready": 0, "Up-to-date": 0, "Available": 0, "Node Selector": "a=b", "Age": "5m"},
        ),
        (
            "HorizontalPodAutoscaler",
            "autoscaling",
            {
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": "istiod"},
                    "minReplicas": 1,
                    "maxReplicas": 5,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
                }
            },
            {"Name": "x", "Reference": "Deployment/istiod", "Targets": "cpu: <unknown>/80%", "MinPods": "1", "MaxPods": 5, "Replicas": 0, "Age": "5m"},
        ),
        (
            "PodDisruptionBudget",
            "policy",
            {"spec": {"minAvailable": 1}, "status": {"disruptionsAllowed": 0}},
            {"Name": "x", "Min Available": "1", "Max Unavailable": "N/A", "Allowed Disruptions": 0, "Age": "5m"},
        ),
        (
            "Ingress",
            "networking.k8s.io",
            {"spec": {"rules": [{"host": "a.example"}], "tls": [{}]}},
            {"Name": "x", "Class": "<none>", "Hosts": "a.example", "Address": "", "Ports": "80, 443", "Age": "5m"},
        ),
        ("NetworkPolicy", "networking.k8s.io", {"spec": {"podSelector": {}}}, {"Name": "x", "Pod-Selector": "<none>", "Age": "5m"}),
        ("Unheard", "of.example", {}, {"Name": "x", "Age": "5m"}),
    ],
)
def test_kinds_have_their_columns(kind, group, obj, cells):
    """The columns shown without `-o wide`, with their values."""
    assert _cells(kind, obj, group) == cells


def test_nodes_show_roles_and_state():
    """A node shows its roles, whether it takes pods, and its version."""
    node = {
        "metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.244.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.34.2", "osImage": "Debian"},
        },
    }
    cells = _cells("Node", node, wide=True)
    assert (cells["Status"], cells["Roles"], cells["Version"]) == ("Ready,SchedulingDisabled", "control-plane", "v1.34.2")
    assert (cells["Internal-IP"], cells["External-IP"], cells["OS-Image"], cells["Kernel-Version"]) == ("10.244.0.1", "<none>", "Debian", "<unknown>")


def test_events_begin_with_when_they_were_seen():
    """An event shows when it was last seen, how often, and of what; the rest is for `-o wide`."""
    event = {
        "type": "Warning",
        "reason": "BackOff",
        "message": " again ",
        "count": 4,
        "firstTimestamp": CREATED,
        "lastTimestamp": "2026-01-01T11:59:58Z",
        "involvedObject": {"kind": "Pod", "name": "a"},
    }
    assert _cells("Event", event) == {"Last Seen": "2s (x4 over 5m)", "Type": "Warning", "Reason": "BackOff", "Object": "pod/a", "Message": "again"}


def test_custom_columns_follow_their_paths():
    """Printer columns give strings, JSON for lists, ages for dates, numbers, and nothing for what is absent."""
    definitions = (
        {"name": "Gateways", "type": "string", "jsonPath": ".spec.gateways", "description": "The names of gateways"},
        {"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts"},
        {"name": "Port", "type": "integer", "jsonPath": ".spec.ports[0].number"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )
    conditions = [{"type": "Other", "status": "x"}, {"type": "Ready", "status": "True"}]
    spec = {"gateways": ["bookinfo-gateway"], "ports": [{"number": 80}], "on": False}
    obj = {"metadata": {"name": "v", "creationTimestamp": CREATED}, "spec": spec, "status": {"conditions": conditions}}
    table = tables.render(_info("VirtualService", "networking.istio.io", definitions), [obj], now=NOW)
    assert table["rows"][0]["cells"] == ["v", '["bookinfo-gateway"]', None, 80, "True", False, "5m"]
    assert table["columnDefinitions"][1] == {"name": "Gateways", "type": "string", "format": "", "description": "The names of gateways", "priority": 0}


def test_a_table_has_what_the_request_asks_for():
    """Rows carry the metadata, the whole object or nothing; the list's metadata is the table's."""
    pod = {"kind": "Pod", "metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Succeeded"}}
    shown = tables.render(_info("Pod"), [pod], now=NOW, metadata={"resourceVersion": "7"})
    assert (shown["kind"], shown["apiVersion"], shown["metadata"]) == ("Table", "meta.k8s.io/v1", {"resourceVersion": "7"})
    assert shown["rows"][0]["object"] == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}}
    assert shown["rows"][0]["conditions"][0]["type"] == "Completed"
    assert shown["columnDefinitions"][0]["format"] == "name"
    assert tables.render(_info("Pod"), [pod], "Object", now=NOW)["rows"][0]["object"] == pod
    assert "object" not in tables.render(_info("Pod"), [pod], "None", now=NOW)["rows"][0]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".a.b", [1]),
        ("{.a.b}", [1]),
        (".list[*].n", [1, 2]),
        (".list[1].n", [2]),
        (".list[-1].n", [2]),
        (".list[9].n", []),
        (r".map.x\.y/z", ["q"]),
        (".map['x.y/z']", ["q"]),
        ('.list[?(@.n!="1")].n', [2]),
        (".list[?(@.ok==true)].n", [2]),
        (".none.b", []),
    ],
)
def test_paths_find_what_they_name(path, values):
    """The forms of JSON path that printer columns use."""
    obj = {"a": {"b": 1}, "list": [{"n": 1}, {"n": 2, "ok": True}], "map": {"x.y/z": "q"}}
    assert jsonpaths.find(jsonpaths.compiled(path), obj) == values
