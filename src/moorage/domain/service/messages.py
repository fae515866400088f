"""Messages on a connection that many requests and subscriptions share."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.errors import ConnectorError


@attrs.frozen(kw_only=True)
class Arrival:
    """A message that arrived on a connection, in parsed form.

    Attributes:
        id: the id of the request or the subscription that it belongs to; None if it belongs to the
            connection.
        value: the reply, or a message of the subscription.
        error: the error that the message reports for its request or subscription.
        position: the position of the message in the subscription, after which the server can
            continue when the connection was lost; None if the message has none.
        is_last: True if the subscription ends with this message.
        is_reply: True if the message is the reply to the request that began a subscription, and
            not a message of the subscription.
        has_value: False if the message only confirms or ends something.
        is_ready: True if the message accepts the connection; then requests may follow.
        answer: a message to send back immediately; None to send none.
    """

    id: str | None = None
    value: Any = attrs.field(default=None, repr=False)
    error: ConnectorError | None = None
    position: str | None = None
    is_last: bool = False
    is_reply: bool = False
    has_value: bool = True
    is_ready: bool = False
    answer: str | None = attrs.field(default=None, repr=False)


def json_message(body: Mapping[str, Any], field: str) -> str:
    """Encode a message as JSON.

    Args:
        body: the members of the message.
        field: the name of the caller's argument, for the error.

    Raises:
        InvalidData: a member cannot be written as JSON. The error contains no part of the message.
    """
    with suppress(InvalidData):
        return encode_json(body).decode()
    # The library's frames contain the message anyway, but this frame must not.
    del body
    raise InvalidData(
        f"The {field} of a message cannot be written as JSON.",
        field=field,
        remedy="Use valid texts, finite numbers, booleans, None, lists, and objects with text"
        " keys. No list or object may contain itself.",
    )
