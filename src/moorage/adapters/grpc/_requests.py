"""The requests of a gRPC call: their bytes and metadata, and refusals before they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.auth.methods import authorise, needs_flow, negotiates
from moorage.domain.connectors.grpc_failures import request_too_large
from moorage.domain.http.requests import Request
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.grpc.methods import GrpcMethod
    from moorage.domain.auth.methods import Credentials, OAuthCredentials

Pairs: TypeAlias = "tuple[tuple[str, str], ...]"
"""Metadata as grpcio takes them."""

Authorization: TypeAlias = "tuple[Pairs, str]"
"""The metadata that carry credentials, and the secret in them."""

_RESERVED: Final = ("grpc-", ":")
_HEADERS_OF_HTTP: Final = frozenset({"content-type", "te", "user-agent", "host", "connection"})


def serialized(method: GrpcMethod[Any, Any], limit: int, request: Any) -> bytes:
    """Return the bytes of a request.

    Raises:
        InvalidData: the request is no message of the method's type.
        InvalidRequest: it has more than `limit` bytes.
    """
    try:
        data = method.serialize(request)
    except ConnectorError:
        raise
    except Exception:  # noqa: BLE001 - whatever the function of the user raises
        data = None
    # Raised outside the handler: the text of a foreign exception may contain the request.
    if not isinstance(data, bytes):
        raise InvalidData(
            f"The request of {method.name} cannot be written as a message.",
            field="request",
            remedy="Give a message of the type that the method takes.",
        )
    if len(data) > limit:
        raise request_too_large(len(data), limit)
    return data


def interrupted() -> LocalFailure:
    """Return the error that ends a call whose requests end before their time."""
    return LocalFailure(
        "The stream of requests failed before its end.",
        may_have_been_processed=True,
        remedy="Look at the cause of this error.",
    )


def metadata_of(values: Mapping[str, str]) -> Pairs:
    """Return metadata for grpcio.

    Raises:
        InvalidData: a name or a value cannot be sent.
    """
    for name, value in values.items():
        plain = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        reserved = name.lower().startswith(_RESERVED) or name.lower() in _HEADERS_OF_HTTP
        if not plain or reserved or name.lower().endswith("-bin"):
            raise InvalidData(
                "The metadata have a name that gRPC does not allow or keeps for itself.",
                field="metadata",
                remedy="Use letters, digits, '-', '_' and '.', and no name of HTTP or grpc-….",
            )
        if not (value.isascii() and value.isprintable()):
            raise InvalidData(
                f"The value of the metadata {name.lower()!r} has characters that cannot be sent.",
                field="metadata",
                remedy="Use printable ASCII.",
            )
    return tuple((name.lower(), value) for name, value in values.items())


def authorization_of(
    credentials: Credentials | OAuthCredentials,
) -> Authorization:
    """Return the metadata that carry credentials, and the secret in them to hide in messages.

    Raises:
        ConfigurationError: credentials of this kind cannot be sent as metadata.
    """
    if needs_flow(credentials) or negotiates(credentials):
        raise ConfigurationError(
            "Calls of gRPC carry bearer tokens, keys in a header, passwords or certificates only.",
            path="credentials",
            remedy="Use Credentials.bearer, Credentials.api_key, Credentials.basic or OAuth.",
        )
    headers = authorise(Request.get("/"), credentials).headers
    pairs = tuple((name.lower(), value) for name, value in headers.items())
    return pairs, pairs[0][1].rpartition(" ")[2] if pairs else ""
