"""The kind "grpc" of connectors in a configuration."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.auth.methods import Credentials
from moorage.domain.connectors.server_address import tls_of
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
    from moorage.adapters.grpc.connector_sync import GrpcConnector
    from moorage.adapters.grpc.descriptors import GrpcDescriptors
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.connector import AsyncPerformer, Performer

_MAX_BYTES: Final = 4 * 1024 * 1024


@checked_options
@attrs.frozen(kw_only=True)
class GrpcSettings:
    """A gRPC service over grpcio.

    Attributes:
        address: the host and the port, such as "orders.example:443".
        service: the service whose protections apply; by default the one of the connector's name.
        token: a bearer token that calls carry.
        plaintext: connects without TLS.
        authorities: a PEM file with the certificates to trust instead of the system's.
        certificate: a PEM file with the client certificate.
        key: the PEM file of the certificate's private key.
        key_password: the password that the key is encrypted with.
        descriptors: a file with the descriptions of the service, which protoc wrote with
            --include_imports --descriptor_set_out, for calls by name. By default the server is
            asked for them.
        idempotency_metadata: the name of the metadata that carry the idempotency key, where the
            service honours keys.
        connect_timeout: seconds for opening a connection.
        max_request_bytes: the size of the largest request that is sent.
        max_answer_bytes: the size of the largest answer that is accepted.
        keepalive: seconds between signs of life during calls; none by default.
        keepalive_timeout: seconds in which the server has to answer a sign of life.
    """

    address: str
    service: str | None = None
    token: Secret | None = attrs.field(default=None, converter=maybe_secret)
    plaintext: bool = False
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = attrs.field(default=None, converter=maybe_secret)
    descriptors: str | None = None
    idempotency_metadata: str = "idempotency-key"
    connect_timeout: float = 5.0
    max_request_bytes: int = _MAX_BYTES
    max_answer_bytes: int = _MAX_BYTES
    keepalive: float | None = None
    keepalive_timeout: float = 20.0

    def arguments(self, name: str) -> dict[str, Any]:
        """Return the constructor arguments of a connector with these settings."""
        has_tls = any((self.authorities, self.certificate, self.key, self.key_password))
        tls = tls_of(self)
        settings = attrs.asdict(
            self, filter=attrs.filters.exclude(*_FOREIGN_OPTIONS), recurse=False
        )
        return {
            **settings,
            "name": name,
            "descriptors": None if self.descriptors is None else _descriptors(self.descriptors),
            "tls": tls if has_tls else None,
            "credentials": None if self.token is None else Credentials.bearer(self.token),
        }


def _descriptors(path: str) -> GrpcDescriptors:
    from moorage.adapters.grpc.descriptors import (  # noqa: PLC0415 - loads protobuf
        GrpcDescriptors,
    )

    return GrpcDescriptors.of_file(path)


_FOREIGN_OPTIONS: Final = ("token", "authorities", "certificate", "key", "key_password")


def _build(name: str, settings: GrpcSettings, _: Performer) -> GrpcConnector:
    _require_grpcio()
    from moorage.adapters.grpc.connector_sync import GrpcConnector  # noqa: PLC0415 - loads grpcio

    return GrpcConnector(**settings.arguments(name))


def _build_async(name: str, settings: GrpcSettings, _: AsyncPerformer) -> AsyncGrpcConnector:
    _require_grpcio()
    from moorage.adapters.grpc.connector_async import AsyncGrpcConnector  # noqa: PLC0415 - loads grpcio

    return AsyncGrpcConnector(**settings.arguments(name))


def _require_grpcio() -> None:
    if find_spec("grpc") is None:
        raise ConfigurationError(
            "Connectors of the kind grpc need grpcio, which is not installed.",
            path="kind",
            remedy=install("grpc"),
        )


GRPC: Final = ConnectorKind(
    name="grpc", settings=GrpcSettings, build=_build, build_async=_build_async
)
"""The kind of connectors of gRPC services."""
