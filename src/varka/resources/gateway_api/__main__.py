"""`python -m varka.resources.gateway_api`: the CustomResourceDefinitions of the Gateway API, as JSON."""

from __future__ import annotations

import json

from varka.resources import crds


def text() -> str:
    """One List of all definitions."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": crds.of_gateway_api()}, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(text(), end="")
