"""The wire form of Istio's certificate service, `istio.v1.auth.IstioCertificateService/CreateCertificate`.

No package ships these two messages, so they are described here (field numbers from Istio's `security/v1alpha1/ca.proto`)
and built when this module is imported.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2

from varka.base.protobuf import Field, describe

SERVICE = "istio.v1.auth.IstioCertificateService"
METHOD = f"/{SERVICE}/CreateCertificate"
TOKEN_AUDIENCE = "istio-ca"

_MESSAGES = describe(
    "istio.v1.auth",
    {
        "IstioCertificateRequest": {
            "csr": Field(1, "string"),
            "validity_duration": Field(3, "int64"),
            "metadata": Field(4, ".google.protobuf.Struct"),
        },
        "IstioCertificateResponse": {"cert_chain": Field(1, "string", repeated=True)},
    },
    imports=(struct_pb2.DESCRIPTOR.name,),
)
IstioCertificateRequest: Any = _MESSAGES["IstioCertificateRequest"]
"""`csr` is PEM, `validity_duration` seconds (0: the authority's default)."""
IstioCertificateResponse: Any = _MESSAGES["IstioCertificateResponse"]
"""`cert_chain` is PEM, leaf first, root last."""
