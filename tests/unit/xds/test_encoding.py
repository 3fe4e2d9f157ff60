"""Responses as bytes."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from varka.base.wire import WireResource
from varka.xds.encoding import Encoder
from varka.xds.resource_set import ResourceSet
from varka.xds.streams import Request, Response, StreamState
from varka.xds.types import CLUSTER as CDS


def of(**bodies: str) -> ResourceSet:
    """A set of clusters."""
    return ResourceSet([WireResource(name=name, type_url=CDS, body=body.encode()) for name, body in bodies.items()])


def first(current: ResourceSet, *, delta: bool = True) -> Response:
    """What a new stream is sent."""
    state = StreamState(delta=delta)
    state.request(Request(type_url=CDS))
    (response,) = state.responses({CDS: current})
    return response


def test_encoded_delta_response_is_what_protobuf_would_make() -> None:
    """The concatenated bytes parse as the message that they stand for."""
    current = of(a="1" * 300, b="2")
    response = first(current)
    head, tail = Encoder().encode(response)
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(head.data + tail)
    assert [(one.name, one.version, one.resource.type_url, one.resource.value) for one in message.resources] == [
        ("a", current.version_of("a"), CDS, b"1" * 300),
        ("b", current.version_of("b"), CDS, b"2"),
    ]
    assert (message.type_url, message.nonce, list(message.removed_resources)) == (CDS, response.nonce, [])


def test_encoded_removal_names_what_is_gone() -> None:
    """Removed names are fields of the response, without resources."""
    response = Response(type_url=CDS, nonce="00000001", version="", removed=("a", "b"))
    head, tail = Encoder().encode(response)
    assert list(discovery_pb2.DeltaDiscoveryResponse.FromString(head.data + tail).removed_resources) == ["a", "b"]


def test_encoded_world_is_what_protobuf_would_make() -> None:
    """The older protocol has the version of the whole and no names."""
    current = of(a="1" * 300, b="2")
    response = first(current, delta=False)
    head, tail = Encoder().encode(response)
    message = discovery_pb2.DiscoveryResponse.FromString(head.data + tail)
    assert [(one.type_url, one.value) for one in message.resources] == [(CDS, b"1" * 300), (CDS, b"2")]
    assert (message.type_url, message.nonce, message.version_info) == (CDS, response.nonce, current.version)


def test_streams_that_are_sent_the_same_share_the_bytes() -> None:
    """Only the nonce is a stream's own."""
    current, encoder = of(a="1"), Encoder()
    one, other = first(current), first(current)
    assert encoder.encode(one)[0] is encoder.encode(other)[0]


@pytest.mark.parametrize("kept, same", [(10_000, True), (1, False)])
def test_memory_of_the_encoder_is_bounded(kept: int, same: bool) -> None:
    """What does not fit any more is made again, equal."""
    encoder, one, other = Encoder(kept), first(of(a="1" * 1000)), first(of(a="2" * 1000))
    before = encoder.encode(one)[0]
    encoder.encode(other)
    after = encoder.encode(one)[0]
    assert (after is before) is same
    assert after.data == before.data
