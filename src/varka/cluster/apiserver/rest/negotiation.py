"""Content types: in which form the caller wants the answer, and in which form it sent the body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from varka.client.api import ApiError, PatchType
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.request import BodyDecoder

MAX_BODY = 3 * 1024 * 1024
PROTOBUF = "application/vnd.kubernetes.protobuf"
_YAML = ("application/yaml", "application/x-yaml", "text/yaml")
_ACCEPTED = ("application/json", "application/yaml", PROTOBUF)
_PATCHES = tuple(kind.value for kind in PatchType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The form of the answer: `form` is empty, Table, PartialObjectMetadata, PartialObjectMetadataList or APIGroupDiscoveryList."""

    form: str = ""
    version: str = ""
    yaml: bool = False


@lru_cache(maxsize=256)
def wanted(accept: str) -> Wanted:
    """The first form of an Accept header that the server has; ApiError 406 when there is none."""
    ranges = []
    for order, part in enumerate(accept.split(",")):
        media, *parameters = [piece.strip() for piece in part.split(";")]
        values = dict(piece.split("=", 1) for piece in parameters if "=" in piece)
        try:
            quality = float(values.get("q", "1"))
        except ValueError:
            quality = 1.0
        ranges.append((-quality, order, media, values))
    for _, _, media, values in sorted(ranges, key=lambda item: item[:2]):
        if media in ("application/json", "*/*", "application/*", ""):
            return Wanted(form=values.get("as", ""), version=values.get("v", ""))
        if media in _YAML:
            return Wanted(yaml=True)
    if any(media == PROTOBUF or media.startswith("text/") for _, _, media, _ in ranges):
        return Wanted()
    raise ApiError(406, "NotAcceptable", "only the following media types are accepted: application/json, application/yaml")


def decode(content_type: str, data: bytes, protobuf: BodyDecoder | None) -> Any:
    """The body as JSON values; ApiError 400 when it is broken, 415 when its format is unknown."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("application/json", ""):
        return _json(data)
    if media in _YAML:
        return _yaml(data)
    if media == PROTOBUF and protobuf is not None:
        try:
            return protobuf(data)
        except ValueError as error:
            raise errors.bad_request(f"the body of the request is no Kubernetes protobuf: {error}") from error
    raise errors.unsupported_media(_ACCEPTED)


def decode_patch(content_type: str, data: bytes) -> tuple[PatchType, Any]:
    """Kind and content of a patch; ApiError 415 for an unknown kind."""
    media = content_type.partition(";")[0].strip().lower()
    if media not in _PATCHES:
        raise errors.unsupported_media(_PATCHES)
    kind = PatchType(media)
    return kind, _yaml(data) if kind == PatchType.APPLY else _json(data)


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = data[:40].decode(errors="replace")
        raise errors.bad_request(f"error decoding the body: it is no JSON ({error}): {text!r}") from error


def _yaml(data: bytes) -> Any:
    stripped = data.lstrip()
    if stripped[:1] in (b"{", b"["):
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return msgspec.json.decode(msgspec.json.encode(yaml.load(data, Loader=loader)))  # noqa: S506
    except (yaml.YAMLError, TypeError, UnicodeDecodeError, RecursionError, msgspec.MsgspecError) as error:
        raise errors.bad_request(f"error parsing YAML: {error}".replace("\n", " ")) from error
