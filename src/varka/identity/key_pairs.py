"""Certificates with their keys as other people made them: whether a server could load them."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime


def usable(chain: bytes, key: bytes, now: float | None = None) -> bool:
    """Whether `chain` (PEM, the server's own certificate first) and the unencrypted private key can be read, and the time is right at `now` (seconds).

    Whether the two belong together is not asked, since Istio's analysis does not ask it either.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            certificate = x509.load_pem_x509_certificate(chain)
        serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    if now is None:
        return True
    return certificate.not_valid_before_utc <= datetime.fromtimestamp(now, UTC) <= certificate.not_valid_after_utc
