"""The kind of `extensions.istio.io`: WebAssembly modules in the filter chains of proxies."""

from __future__ import annotations

from typing import Annotated, Literal

from varka.resources.schema import FreeForm, NonEmpty, Schema, Spec
from varka.resources.selection import ONE_TARGET, References, TargetReference, WorkloadSelector

_SCHEMES = '["", "http", "https", "oci", "file"]'
_URL = (
    (
        f'isURL(self) ? (url(self).getScheme() in {_SCHEMES}) : (isURL("http://" + self) && url("http://" + self).getScheme() in {_SCHEMES})',
        "url must have schema one of [http, https, file, oci]",
    ),
)
_HOST_VALUE = (('(has(self.valueFrom) ? self.valueFrom : "") != "HOST" || !has(self.value)', "value may only be set when valueFrom is INLINE"),)


class EnvironmentVariable(Spec):
    """A variable that the module sees."""

    schema_rules = _HOST_VALUE

    name: Annotated[NonEmpty, Schema(required=True, maxLength=256)] = ""
    value_from: Literal["INLINE", "HOST"] = "INLINE"
    value: Annotated[str, Schema(maxLength=2048)] = ""


class VmConfig(Spec):
    """The virtual machine that a module runs in."""

    env: Annotated[
        tuple[EnvironmentVariable, ...],
        Schema(maxItems=256, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
    ] = ()


class PortNumberSelector(Spec):
    """A port of the workload."""

    number: Annotated[int, Schema(required=True, minimum=1, maximum=65535)] = 0


class TrafficSelector(Spec):
    """Which traffic the module sees."""

    mode: Literal["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"] = "UNDEFINED"
    ports: Annotated[
        tuple[PortNumberSelector, ...],
        Schema(**{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["number"]}),
    ] = ()


class WasmPlugin(Spec):
    """A WebAssembly module, where it comes from and where it is put."""

    schema_rules = ONE_TARGET

    selector: WorkloadSelector | None = None
    target_ref: TargetReference | None = None
    target_refs: References = ()
    url: Annotated[NonEmpty, Schema(required=True, rules=_URL)] = ""
    sha256: Annotated[str, Schema(pattern="(^$|^[a-f0-9]{64}$)")] = ""
    image_pull_policy: Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"] = "UNSPECIFIED_POLICY"
    image_pull_secret: Annotated[NonEmpty, Schema(maxLength=253)] = ""
    verification_key: str = ""
    plugin_config: FreeForm = {}
    plugin_name: Annotated[NonEmpty, Schema(maxLength=256)] = ""
    phase: Literal["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED_PHASE"
    priority: Annotated[int | None, Schema(format="int32", nullable=True)] = None
    fail_strategy: Literal["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"] = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    match: tuple[TrafficSelector, ...] = ()
    type: Literal["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"] = "UNSPECIFIED_PLUGIN_TYPE"
