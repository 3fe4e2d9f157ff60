"""An xDS resource as bytes.

The `envoy` stage builds a resource once, the `xds` server sends it to every proxy that wants it; between them it is
a name, a type, a body and the digest of the body, and nothing looks inside.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class WireResource:
    """One serialised xDS resource.

    `body` is the message itself (not wrapped in Any), serialised deterministically; `version` is derived from it.
    """

    name: str
    type_url: str
    body: bytes
    version: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", hashlib.blake2b(self.body, digest_size=8).hexdigest())
