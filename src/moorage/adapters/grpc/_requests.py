"""Builds the request of a gRPC call: its bytes, its metadata, and checks before sending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.auth.methods import authorise, needs_flow, negotiates
from moorage.domain.connectors.grpc_failures import request_too_large_error
from moorage.domain.http.requests import Request
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.adapters.grpc.methods import GrpcMethod
    from moorage.domain.auth.methods import Credentials, OAuthCredentials

Pairs: TypeAlias = "tuple[tuple[str, str | bytes], ...]"
"""Metadata as grpcio takes them."""

Metadata: TypeAlias = "Mapping[str, str | bytes]"
"""Metadata as callers give them: texts, or bytes under a name that ends in "-bin"."""

Authorization: TypeAlias = "tuple[tuple[tuple[str, str], ...], str]"
"""The metadata that carry credentials, and the secret in them."""

_RESERVED_PREFIXES: Final = ("grpc-", ":")
_HEADERS_OF_HTTP: Final = frozenset({"content-type", "te", "user-agent", "host", "connection"})


@attrs.frozen(kw_only=True)
class PreparedCall:
    """A prepared gRPC call: its method, request and metadata.

    Attributes:
        method: the method.
        request: the call's request, or the requests of the call's stream.
        metadata: the metadata of this call.
        lasts: the maximum number of seconds for a whole stream of answers.
        with_metadata: whether the result has the metadata of the answer.
    """

    method: GrpcMethod[Any, Any]
    request: Any = attrs.field(repr=False)
    metadata: Pairs = attrs.field(repr=False)
    lasts: float | None = None
    with_metadata: bool = False


def serialized(method: GrpcMethod[Any, Any], limit: int, request: Any) -> bytes:
    """Serialize a request, and refuse one that is too large.

    Raises:
        InvalidData: the request is not a message of the method's type.
        InvalidRequest: the request has more than `limit` bytes.
    """
    try:
        data = method.serialize(request)
    except ConnectorError:
        raise
    except Exception:  # noqa: BLE001 - whatever the function of the user raises
        data = None
    # Raised outside the handler, because the text of grpc's exception may contain the request.
    if not isinstance(data, bytes):
        raise InvalidData(
            f"The request of {method.name} could not be serialized.",
            field="request",
            remedy="Pass a message of the type that the method accepts.",
        )
    if len(data) > limit:
        raise request_too_large_error(len(data), limit)
    return data


def interrupted_requests_error() -> LocalFailure:
    """Return the error for a call whose stream of requests failed before its end."""
    return LocalFailure(
        "The stream of requests failed before its end.",
        may_have_been_processed=True,
        remedy="Read the cause of this error, and correct the code that yields the requests.",
    )


def metadata_of(values: Metadata) -> Pairs:
    """Check metadata, and return it as pairs for grpcio.

    Raises:
        InvalidData: a name or a value cannot be sent.
    """
    for name, value in values.items():
        plain = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        reserved = name.lower().startswith(_RESERVED_PREFIXES) or name.lower() in _HEADERS_OF_HTTP
        if not plain or reserved:
            raise InvalidData(
                "The metadata contains a name that gRPC reserves or does not allow.",
                field="metadata",
                remedy="Use letters, digits, '-', '_' and '.'. Do not use names of HTTP"
                " headers or names that begin with grpc-.",
            )
        is_binary = name.lower().endswith("-bin")
        if is_binary is not isinstance(value, bytes):
            raise InvalidData(
                f"The value of {name.lower()!r} in the metadata has the wrong type.",
                field="metadata",
                remedy="Pass bytes if the name ends with -bin, and a str otherwise.",
            )
        if not isinstance(value, bytes) and not _is_sendable(value):
            raise InvalidData(
                f"The value of {name.lower()!r} in the metadata contains characters that gRPC"
                " cannot send.",
                field="metadata",
                remedy="Use printable ASCII.",
            )
    return tuple((name.lower(), value) for name, value in values.items())


def _is_sendable(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def received_metadata(pairs: Iterable[Any] | None) -> Pairs:
    """Return a server's metadata as pairs of plain values."""
    return tuple((pair[0], pair[1]) for pair in pairs or ())


def authorization_of(
    credentials: Credentials | OAuthCredentials,
) -> Authorization:
    """Return the metadata that carries credentials, and the secret that messages must mask.

    Raises:
        ConfigurationError: credentials of this kind cannot be sent as metadata.
    """
    if needs_flow(credentials) or negotiates(credentials):
        raise ConfigurationError(
            "A gRPC call cannot use credentials of this kind.",
            path="credentials",
            remedy="Use Credentials.bearer, Credentials.api_key, Credentials.basic, OAuth or"
            " a client certificate.",
        )
    headers = authorise(Request.get("/"), credentials).headers
    pairs = tuple((name.lower(), value) for name, value in headers.items())
    return pairs, pairs[0][1].rpartition(" ")[2] if pairs else ""
