"""Content types of requests and answers."""

from __future__ import annotations

import pytest

from varka.client.api import ApiError, PatchType
from varka.cluster.apiserver.rest import negotiation
from varka.cluster.apiserver.rest.negotiation import Wanted


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Wanted()),
        ("*/*", Wanted()),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Wanted(form="Table", version="v1")),
        ("application/vnd.kubernetes.protobuf,application/json", Wanted()),
        ("application/vnd.kubernetes.protobuf", Wanted()),
        ("application/yaml", Wanted(yaml=True)),
        ("application/yaml;q=0.1, application/json", Wanted()),
    ],
)
def test_wanted(accept: str, expected: Wanted) -> None:
    """The first form that the server has is taken, by quality."""
    assert negotiation.wanted(accept) == expected


def test_nothing_acceptable() -> None:
    """A form that the server does not have is refused with 406."""
    with pytest.raises(ApiError) as caught:
        negotiation.wanted("image/png")
    assert caught.value.code == 406


def test_apply_takes_yaml_and_json() -> None:
    """An apply's body is YAML, of which JSON is a part."""
    assert negotiation.decode_patch(PatchType.APPLY.value, b"a: {b: 1}") == (PatchType.APPLY, {"a": {"b": 1}})
    assert negotiation.decode_patch(PatchType.APPLY.value, b'{"a": [1]}') == (PatchType.APPLY, {"a": [1]})


def test_protobuf_goes_to_its_decoder() -> None:
    """A protobuf body is decoded by what is plugged in; broken ones are bad requests, and without a decoder it is 415."""
    assert negotiation.decode(negotiation.PROTOBUF, b"x", lambda data: {"got": data.decode()}) == {"got": "x"}

    def broken(data: bytes) -> dict[str, object]:
        raise ValueError("broken")

    with pytest.raises(ApiError) as bad:
        negotiation.decode(negotiation.PROTOBUF, b"x", broken)
    with pytest.raises(ApiError) as unknown:
        negotiation.decode(negotiation.PROTOBUF, b"x", None)
    assert (bad.value.code, unknown.value.code) == (400, 415)
