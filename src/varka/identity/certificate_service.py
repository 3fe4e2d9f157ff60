"""The wire form of Istio's certificate service, `istio.v1.auth.IstioCertificateService/CreateCertificate`.

No package ships these two messages, so they are described here (field numbers from Istio's `security/v1alpha1/ca.proto`)
and built when this module is imported.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
SERVICE = "istio.v1.auth.IstioCertificateService"
TOKEN_AUDIENCE = "istio-ca"

_FIELD = descriptor_pb2.FieldDescriptorProto


def _field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: Any, *, repeated: bool = False, type_name: str = "") -> None:
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    message.field.add(name=name, number=number, type=kind, label=label, type_name=type_name or None)


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="varka/identity/certificate_service.proto", package="istio.v1.auth", syntax="proto3", dependency=[struct_pb2.DESCRIPTOR.name]
    )
    request = file.message_type.add(name="IstioCertificateRequest")
    _field(request, "csr", 1, _FIELD.TYPE_STRING)
    _field(request, "validity_duration", 3, _FIELD.TYPE_INT64)
    _field(request, "metadata", 4, _FIELD.TYPE_MESSAGE, type_name=".google.protobuf.Struct")
    response = file.message_type.add(name="IstioCertificateResponse")
    _field(response, "cert_chain", 1, _FIELD.TYPE_STRING, repeated=True)
    return file


_POOL = descriptor_pool.Default()
_POOL.AddSerializedFile(_describe().SerializeToString())

IstioCertificateRequest: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("istio.v1.auth.IstioCertificateRequest"))
"""`csr` is PEM, `validity_duration` seconds (0: the authority's default)."""
IstioCertificateResponse: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("istio.v1.auth.IstioCertificateResponse"))
"""`cert_chain` is PEM, leaf first, root last."""
