"""Codecs for messages on a connection that many requests and subscriptions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from moorage.domain.service.messages import Arrival
    from moorage.errors import ConnectorError


class MessageCodec(Protocol):
    """Encodes and decodes the messages of a protocol, without a connection of its own.

    `subprotocols` are the names that the client offers, in order; empty to offer none.

    `opening` returns the first message of a connection, or None if there is none. If it returns
    one, nothing else is sent until the server's message with `is_ready` has arrived.

    `request` and `subscription` return the message that begins a request or a subscription. The id
    is a decimal number as a string, which is unique within the connector. A subscription begins
    after `position`: that of the last message before the connection was lost, or that of the
    caller; None to begin without a position. `request` and `subscription` raise
    `InvalidData` for a payload that they cannot write.

    `cancellation` returns the message that ends a subscription, or None if there is none.

    `read` returns the meaning of a message, which is a string or bytes. Whatever it raises ends the
    connection, because a message that cannot be read may have been the reply to any request.

    `closing_error` returns the error that a code of the server from 4000 to 4999 stands for, or
    None if only the connection was lost. `was_sent` is True if the error is for a request that the
    server may have processed.
    """

    @property
    def subprotocols(self) -> tuple[str, ...]: ...

    def opening(self) -> str | None: ...

    def request(self, identity: str, payload: Any, /) -> str | bytes: ...

    def subscription(self, identity: str, payload: Any, position: str | None, /) -> str | bytes: ...

    def cancellation(self, identity: str, /) -> str | bytes | None: ...

    def read(self, message: str | bytes, /) -> Arrival: ...

    def closing_error(
        self, code: int, reason: str, /, *, was_sent: bool
    ) -> ConnectorError | None: ...
