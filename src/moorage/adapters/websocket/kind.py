"""The connector kind `websocket` in configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.adapters.websocket.connector import AsyncWebSocketConnector, WebSocketConnector
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.connector import AsyncPerformer, Performer


@checked_options
@attrs.frozen(kw_only=True)
class WebSocketSettings:
    """The settings of a server that speaks JSON-RPC 2.0 over a WebSocket.

    Attributes:
        url: The address, such as wss://orders.example/ws.
        token: The token that opens the connection, as `Authorization: Bearer`.
        token_parameter: The parameter of the URL that has the token, instead of the header.
        subprotocol: The name of the subprotocol that the client offers.
        authorities: The file of the certificate authorities to trust; by default the system's.
        connect_timeout: Seconds for opening the connection.
        close_timeout: Seconds that the server has for its part of closing.
        heartbeat: Seconds between pings, and for their answers.
        max_message_bytes: The largest message in bytes.
        buffer_bytes: The bytes of a subscription's messages that wait to be taken.
        max_pending: The largest number of requests and subscriptions at a time.
    """

    url: str
    token: Secret | None = attrs.field(default=None, converter=maybe_secret)
    token_parameter: str | None = None
    subprotocol: str | None = None
    authorities: str | None = None
    connect_timeout: float = 5.0
    close_timeout: float = 2.0
    heartbeat: float = 20.0
    max_message_bytes: int = 2**20
    buffer_bytes: int = 2**23
    max_pending: int = 1000


def _options(name: str, settings: WebSocketSettings) -> dict[str, Any]:
    from moorage.domain.auth.methods import Credentials  # noqa: PLC0415 - few programs have one
    from moorage.domain.http.transport import Tls  # noqa: PLC0415 - few programs have one
    from moorage.domain.service.json_rpc_messages import JsonRpcMessages  # noqa: PLC0415 - few programs have one

    token, parameter = settings.token, settings.token_parameter
    credentials = None
    if token is not None:
        credentials = (
            Credentials.bearer(token)
            if parameter is None
            else Credentials.api_key(token, query=parameter)
        )
    subprotocols = () if settings.subprotocol is None else (settings.subprotocol,)
    return {
        "name": name,
        "codec": JsonRpcMessages(subprotocols=subprotocols),
        "credentials": credentials,
        "tls": None if settings.authorities is None else Tls(authorities=settings.authorities),
        "connect_timeout": settings.connect_timeout,
        "close_timeout": settings.close_timeout,
        "heartbeat": settings.heartbeat,
        "max_message_bytes": settings.max_message_bytes,
        "buffer_bytes": settings.buffer_bytes,
        "max_pending": settings.max_pending,
    }


def _build(name: str, settings: WebSocketSettings, _: Performer) -> WebSocketConnector:
    from moorage.adapters.websocket.connector import WebSocketConnector  # noqa: PLC0415 - few programs have one

    return WebSocketConnector(settings.url, **_options(name, settings))


def _build_async(
    name: str, settings: WebSocketSettings, _: AsyncPerformer
) -> AsyncWebSocketConnector:
    from moorage.adapters.websocket.connector import (  # noqa: PLC0415 - few programs have one
        AsyncWebSocketConnector,
    )

    return AsyncWebSocketConnector(settings.url, **_options(name, settings))


WEBSOCKET = ConnectorKind(
    name="websocket", settings=WebSocketSettings, build=_build, build_async=_build_async
)
