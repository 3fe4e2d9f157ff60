from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from varka.model.policies import key_sets


def coded(number: int) -> str:
    """A number as key sets have it."""
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode().rstrip("=")


def elliptic(curve: ec.EllipticCurve, name: str) -> dict[str, Any]:
    """A new key on a curve."""
    numbers = ec.generate_private_key(curve).public_key().public_numbers()
    return {"kty": "EC", "crv": name, "x": coded(numbers.x), "y": coded(numbers.y)}


_NUMBERS = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
RSA = {"kty": "RSA", "n": coded(_NUMBERS.n), "e": coded(_NUMBERS.e)}
EC = elliptic(ec.SECP256R1(), "P-256")
ED = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
OCT = {"kty": "oct", "k": "c2VjcmV0"}


@pytest.mark.parametrize(
    "keys",
    [
        [RSA], [EC], [elliptic(ec.SECP384R1(), "P-384")], [elliptic(ec.SECP521R1(), "P-521")], [ED], [OCT],
        [{**RSA, "alg": "PS256"}], [{**RSA, "n": RSA["n"] + "="}], [{key: value for key, value in EC.items() if key != "crv"}],
        [{"kty": "none"}, RSA], [RSA, "x"], [{**RSA, "use": "enc", "kid": 3}],
    ],
)  # fmt: skip
def test_sets_that_envoy_takes(keys: list[Any]) -> None:
    """One good key of any kind is enough."""
    assert key_sets.usable(json.dumps({"keys": keys}))


@pytest.mark.parametrize(
    "keys",
    [
        [], [{"kty": "none"}], [{"n": RSA["n"], "e": RSA["e"]}], [{**RSA, "alg": "ES256"}], [{**RSA, "n": "abc"}], [{**RSA, "n": coded(_NUMBERS.n + 1)}],
        [{**RSA, "e": coded(1)}], [{"kty": "RSA", "n": RSA["n"]}], [{**RSA, "n": "+/" + RSA["n"]}], [{**RSA, "n": coded((1 << 16400) + 1)}],
        [{**EC, "crv": "secp256k1"}], [{**EC, "y": coded(1)}], [{**EC, "alg": "RS256"}], [{**ED, "x": "A" * 42}], [{**ED, "crv": "X25519"}],
        [{**OCT, "k": ""}], [{**OCT, "alg": "RS256"}], [{**OCT, "k": 3}],
    ],
)  # fmt: skip
def test_sets_that_envoy_refuses(keys: list[Any]) -> None:
    """No key is good."""
    assert not key_sets.usable(json.dumps({"keys": keys}))


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"keys":{}}', '{"keys":[],"keys":[]}', "\ufeff{}", '{"keys":NaN}', "[" * 100_000])
def test_texts_that_are_no_sets(text: str) -> None:
    """They are refused without an exception."""
    assert not key_sets.usable(text)
