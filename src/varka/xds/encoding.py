"""Responses as bytes, made once for all streams that are sent the same.

A response ends with its nonce, which is the stream's own and always of the same length; all that goes before it is the
same for every proxy that knows the same and is to know the same.
"""

from __future__ import annotations

from collections import OrderedDict

from varka.rpc.messages import Shared
from varka.xds.resource_set import Packed, text
from varka.xds.streams import Response

KEPT_BYTES = 16 << 20

Key = tuple[bool, str, str, tuple[Packed, ...], tuple[str, ...]]


class Encoder:
    """Remembers the responses that were sent last, up to a number of bytes."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._heads: OrderedDict[Key, Shared] = OrderedDict()
        self._size = 0

    def encode(self, response: Response) -> tuple[Shared, bytes]:
        """The serialised DeltaDiscoveryResponse or DiscoveryResponse, in two parts."""
        key = (response.delta, response.type_url, response.version, response.resources, response.removed)
        head = self._heads.get(key)
        if head is None:
            head = self._heads[key] = Shared(_delta(response) if response.delta else _world(response))
            self._size += len(head)
            while self._size > self._kept_bytes and len(self._heads) > 1:
                self._size -= len(self._heads.popitem(last=False)[1])
        return head, text(5, response.nonce)


def _delta(response: Response) -> bytes:
    return b"".join(
        [
            text(1, response.version),
            *(packed.delta_field for packed in response.resources),
            text(4, response.type_url),
            *(text(6, name) for name in response.removed),
        ]
    )


def _world(response: Response) -> bytes:
    return b"".join([text(1, response.version), *(packed.any_field for packed in response.resources), text(4, response.type_url)])
