"""What EnvoyFilters for BOOTSTRAP add to the file that Envoy starts with; Envoy itself merges it in."""

from __future__ import annotations

import json
from collections.abc import Iterable

from google.protobuf import json_format

from varka.envoy.patching import merging, values
from varka.model.patches import Context, Operation, Patch, Place


def addition(patches: Iterable[Patch], router: bool) -> str:
    """The merged values of the patches as JSON, empty when there are none; those that cannot be read are left out."""
    wanted = {Context.ANY, Context.GATEWAY} if router else {Context.ANY, Context.SIDECAR_INBOUND, Context.SIDECAR_OUTBOUND}
    result = values.MESSAGES[Place.BOOTSTRAP]()
    for patch in patches:
        if patch.place is Place.BOOTSTRAP and patch.operation is Operation.MERGE and patch.context in wanted:
            try:
                merging.merge(result, values.of(patch).message)
            except (values.Unusable, merging.Conflict):
                continue
    found = json_format.MessageToDict(result, preserving_proto_field_name=True)
    return json.dumps(found, sort_keys=True, separators=(",", ":")) if found else ""
