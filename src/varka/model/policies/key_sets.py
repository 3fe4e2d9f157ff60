"""JSON Web Key Sets (RFC 7517): whether one has a key that Envoy can check tokens with.

Envoy refuses a whole listener for a set without any, so it must be known before.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_CURVES = {
    "P-256": (2**256 - 2**224 + 2**192 + 2**96 - 1, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B),
    "P-384": (
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
    "P-521": (
        2**521 - 1,
        0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    ),
}
"""The prime and the coefficient b of y² = x³ - 3x + b (FIPS 186-4)."""
_CURVE_OF = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "": "P-256"}


@lru_cache(maxsize=256)
def usable(text: str) -> bool:
    """Whether the text is a key set with a key of a kind that Envoy knows, and without mistakes."""
    try:
        found = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    keys = found.get("keys") if isinstance(found, dict) else None
    return isinstance(keys, list) and any(isinstance(key, dict) and _usable(key) for key in keys)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _usable(key: Mapping[str, Any]) -> bool:
    check = {"RSA": _rsa, "EC": _elliptic, "OKP": _edwards, "oct": _symmetric}.get(str(key.get("kty")))
    try:
        return check is not None and check(key, key["alg"] if isinstance(key.get("alg"), str) else "")
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        return False


def _rsa(key: Mapping[str, Any], algorithm: str) -> bool:
    modulus, exponent = _number(key["n"]), _number(key["e"])
    sizes = 512 <= modulus.bit_length() <= 16384 and 2 <= exponent.bit_length() <= 33
    return algorithm[:2] in {"", "RS", "PS"} and sizes and modulus % 2 == exponent % 2 == 1


def _elliptic(key: Mapping[str, Any], algorithm: str) -> bool:
    prime, coefficient = _CURVES[key.get("crv") or _CURVE_OF[algorithm]]
    x, y = _number(key["x"]), _number(key["y"])
    return algorithm[:2] in {"", "ES"} and x < prime and y < prime and (y * y - x**3 + 3 * x - coefficient) % prime == 0


def _edwards(key: Mapping[str, Any], algorithm: str) -> bool:
    return algorithm in {"", "EdDSA"} and key["crv"] == "Ed25519" and len(_bytes(key["x"])) == 32


def _symmetric(key: Mapping[str, Any], algorithm: str) -> bool:
    return algorithm[:2] in {"", "HS"} and bool(_bytes(key["k"]))


def _bytes(text: str) -> bytes:
    bare = text.rstrip("=")
    if set(bare) & set("+/"):
        raise ValueError("not the alphabet of URLs")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")
