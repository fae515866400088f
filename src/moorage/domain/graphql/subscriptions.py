"""GraphQL subscriptions over a WebSocket, in the protocol graphql-transport-ws."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.graphql.answers import read_message
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret
from moorage.domain.service.messages import Arrival, json_message
from moorage.domain.values.json_text import is_object
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.graphql.documents import GraphQLDocument
    from moorage.errors import ConnectorError

_REASONS: Final[dict[int, tuple[type[ConnectorError], str]]] = {
    4400: (InvalidRequest, "The server does not understand a message of the subscription."),
    4401: (AuthenticationFailed, "The server has not accepted the connection yet."),
    4403: (AuthenticationFailed, "The server refused the parameters of the connection."),
    4406: (VendorRejected, "The server does not support graphql-transport-ws."),
    4408: (ConnectionFailed, ("The parameters of the connection arrived too late at the server.")),
    4409: (VendorRejected, "The server already has a subscription with this id."),
    4429: (RateLimitExceeded, "The server received two requests to open the connection."),
}
"""The errors for the close codes of the protocol graphql-transport-ws."""


@attrs.frozen
class GraphQLSubscription:
    """A GraphQL subscription, made by `GraphQL.subscription` and started by a WebSocket connector.

    Attributes:
        document: the document.
        variables: the values of its variables.
        cursor: the variable that gets the position of the last message after a lost connection;
            None if the document has none.
    """

    document: GraphQLDocument
    variables: Mapping[str, Any] = attrs.field(repr=False)
    cursor: str | None

    def payload(self, position: str | None) -> dict[str, Any]:
        """Return the payload that starts the subscription, after a position if it is not None."""
        cursor_variable = {} if position is None or self.cursor is None else {self.cursor: position}
        payload: dict[str, Any] = {
            "query": self.document.text,
            "variables": {**self.variables, **cursor_variable},
        }
        name = self.document.name
        return payload if name is None else {**payload, "operationName": name}


@with_careful_constructor
@attrs.frozen
class GraphQLMessages:
    """The codec of the protocol graphql-transport-ws for a WebSocket connector.

    Attributes:
        parameters: the payload of `connection_init`, such as a token. A value may be a `Secret`.
    """

    parameters: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    def __attrs_post_init__(self) -> None:
        self.opening()  # parameters that cannot be encoded are refused now

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The name of the WebSocket subprotocol."""
        return ("graphql-transport-ws",)

    def opening(self) -> str:
        """Return the message `connection_init`, which opens the protocol's session."""
        revealed_parameters = {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in self.parameters.items()
        }
        return json_message(
            {"type": "connection_init", "payload": revealed_parameters}, "parameters"
        )

    def request(self, _identity: str, _payload: Any, /) -> str:
        """Refuse to send a query or mutation over the WebSocket: HTTP is used for them."""
        raise InvalidData(
            "Queries and mutations cannot be sent over a WebSocket connection.",
            field="payload",
            remedy="Create the operation with `GraphQL.query` or `GraphQL.mutation`, and"
            " perform it with a manager.",
        )

    def subscription(self, identity: str, payload: Any, position: str | None, /) -> str:
        """Return the message that starts a GraphQL subscription."""
        if not isinstance(payload, GraphQLSubscription):
            raise InvalidData(
                "The payload is not a GraphQL subscription.",
                field="payload",
                remedy="Create the payload with `GraphQL.subscription`.",
            )
        return json_message(
            {"id": identity, "type": "subscribe", "payload": payload.payload(position)}, "variables"
        )

    def cancellation(self, identity: str, /) -> str:
        """Return the message that ends a GraphQL subscription."""
        return json.dumps({"id": identity, "type": "complete"})

    def read(self, message: str | bytes, /) -> Arrival:
        """Parse a message that the server sent."""
        body = json.loads(message)
        kind = body.get("type") if is_object(body) else None
        if kind == "connection_ack":
            return Arrival(is_ready=True, has_value=False)
        if kind == "ping":
            return Arrival(answer=json.dumps({"type": "pong"}), has_value=False)
        if kind == "pong":
            return Arrival(has_value=False)
        identity = str(body.get("id")) if is_object(body) else ""
        if kind == "complete":
            return Arrival(id=identity, is_last=True, has_value=False)
        if kind not in {"next", "error"}:
            raise InvalidData(
                "The server sent a message that is not part of the protocol graphql-transport-ws.",
                field="message",
                remedy="Check which protocol the server uses.",
            )
        payload = body.get("payload")
        result = read_message(payload if kind == "next" else {"errors": payload})
        if isinstance(result, Exception):
            return Arrival(id=identity, error=result)
        return Arrival(id=identity, value=result)

    def closing_error(self, code: int, _reason: str, /, *, was_sent: bool) -> ConnectorError | None:
        """Return the error that a close code of the protocol stands for."""
        if was_sent or code not in _REASONS:
            return None
        kind, message = _REASONS[code]
        if kind is ConnectionFailed:
            return ConnectionFailed(message, may_have_been_processed=False)
        return kind(
            message,
            remedy=f"Look up the code {code} in the server's log, and check `parameters`.",
        )
