"""JSON-RPC 2.0 over one connection, with subscriptions as notifications."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.service.json_rpc import error_of
from moorage.domain.service.messages import Arrival, json_message
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.errors import ConnectorError

_VERSION: Final = "2.0"


@attrs.frozen(kw_only=True)
class JsonRpcMessages:
    """The codec of JSON-RPC 2.0; a payload is an object with `method` and perhaps `params`.

    A subscription is a request whose `params` get its id. The server then sends notifications whose
    `params` have the same id, and usually a position. After a lost connection the request is sent
    again, with the position of the last notification.

    Attributes:
        subscription_field: the member of `params` with the id of the subscription.
        position_field: the member of `params` with the position: in a notification its own, and in
            the repeated request that of the last notification.
        value_field: the member of a notification's `params` with its value.
        cancel_method: the method of the notification that ends a subscription; None if there is
            none.
        subprotocols: the names that the client offers.
    """

    subscription_field: str = "subscription"
    position_field: str = "mark"
    value_field: str = "result"
    cancel_method: str | None = None
    subprotocols: tuple[str, ...] = ()

    def opening(self) -> str | None:
        """Return None: a JSON-RPC connection needs no opening message."""
        return None

    def request(self, identity: str, payload: Any, /) -> str:
        """Return a JSON-RPC request with an id."""
        return json_message({**_call(payload), "id": int(identity)}, "payload")

    def subscription(self, identity: str, payload: Any, position: str | None, /) -> str:
        """Return the request that starts a subscription, after the given position if any."""
        call = _call(payload)
        parameters = call.get("params", {})
        if not is_object(parameters):
            raise InvalidData(
                "The params of the subscription are not an object, so moorage cannot add the"
                " subscription's id.",
                field="payload",
                remedy="Pass the params by name.",
            )
        extra_parameters = {self.subscription_field: identity}
        if position is not None:
            extra_parameters[self.position_field] = position
        body = {**call, "params": {**parameters, **extra_parameters}, "id": int(identity)}
        return json_message(body, "payload")

    def cancellation(self, identity: str, /) -> str | None:
        """Return the notification that ends a subscription."""
        if self.cancel_method is None:
            return None
        parameters = {self.subscription_field: identity}
        body = {"jsonrpc": _VERSION, "method": self.cancel_method, "params": parameters}
        return json_message(body, "id")

    def read(self, message: str | bytes, /) -> Arrival:
        """Parse a response or a subscription's notification; ignore other notifications."""
        body = json.loads(message)
        if not is_object(body):
            raise _not_json_rpc("is not an object")
        if "method" in body:
            return self._notification(body)
        problem = body.get("error")
        error = error_of(problem) if is_object(problem) else None
        if error is None and "result" not in body:
            raise _not_json_rpc("has no method, result or error")
        identity = body.get("id")
        return Arrival(
            id=None if identity is None else str(identity),
            value=body.get("result"),
            error=error,
            is_reply=True,
        )

    def closing_error(
        self,
        _code: int,
        _reason: str,
        /,
        *,
        was_sent: bool,  # noqa: ARG002 - a parameter of the interface
    ) -> ConnectorError | None:
        """Return None: JSON-RPC defines no codes for closed connections."""
        return None

    def _notification(self, body: Mapping[str, Any]) -> Arrival:
        parameters = body.get("params")
        fields = parameters if is_object(parameters) else {}
        identity, event_id = fields.get(self.subscription_field), fields.get(self.position_field)
        return Arrival(
            id=None if identity is None else str(identity),
            value=fields.get(self.value_field),
            position=None if event_id is None else str(event_id),
            has_value=self.value_field in fields,
        )


def _not_json_rpc(problem: str) -> InvalidData:
    return InvalidData(
        f"A message of the server {problem}, so it is not a valid JSON-RPC 2.0 message.",
        field="message",
        remedy="Configure the codec that the server uses in the connector.",
    )


def _call(payload: Any) -> dict[str, Any]:
    """Return the fields of a JSON-RPC request, without its id."""
    method = payload.get("method") if is_object(payload) else None
    parameters = payload.get("params") if is_object(payload) else None
    if not isinstance(method, str) or not (
        parameters is None or is_object(parameters) or is_list(parameters)
    ):
        raise InvalidData(
            "The payload of a JSON-RPC request must have the text `method`, and `params` as a"
            " list or an object.",
            field="payload",
            remedy='Pass a payload such as {"method": "orders.find", "params": {"id": 7}}.',
        )
    call: dict[str, Any] = {"jsonrpc": _VERSION, "method": method}
    return call if parameters is None else {**call, "params": parameters}
