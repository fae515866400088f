"""The payloads in a webhook's body: a single payload, or a payload for each item of a batch."""

from __future__ import annotations

import re
from binascii import Error as BinasciiError
from binascii import a2b_base64
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.domain.webhooks.choices import BodyForm
from moorage.domain.webhooks.delivery import json_of
from moorage.domain.webhooks.rejection import WebhookReason, rejection_error

if TYPE_CHECKING:
    from moorage.domain.webhooks.delivery import Delivery
    from moorage.domain.webhooks.scheme import WebhookScheme

_PAYLOAD_FIELD: Final = "bt_payload"
_JSON_FIELDS: Final = frozenset({"json", "mandrill_events", "payload"})
"""The names of a form's only field in which JSON stands."""
_XML_FIELDS: Final = {
    name: re.compile(rf"<{name}(?: [^>]*)?>([^<]{{1,200}})</{name}>")
    for name in ("kind", "timestamp")
}


def payload_of(scheme: WebhookScheme, delivery: Delivery) -> Any:
    """Return the webhook's body, parsed in the scheme's format."""
    if scheme.body is BodyForm.RAW:
        return None
    if scheme.body is BodyForm.ENCLOSED_XML:
        return _parse_enclosed(delivery.field(_PAYLOAD_FIELD) or "")
    if scheme.body is BodyForm.JSON or (scheme.body is BodyForm.EITHER and _is_json(delivery)):
        return delivery.json()
    if not delivery.body:
        return _flat(delivery.query()) if delivery.method == "GET" else {}
    return _of_form(delivery)


def _is_json(delivery: Delivery) -> bool:
    return bool(delivery.body) and not delivery.is_form()


def _of_form(delivery: Delivery) -> Any:
    form = delivery.form()
    if len(form) == 1 and (name := next(iter(form))) in _JSON_FIELDS:
        return json_of((delivery.field(name) or "").encode())
    return _flat(form)


def _flat(fields: dict[str, list[str]]) -> dict[str, Any]:
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _parse_enclosed(text: str) -> dict[str, Any]:
    try:
        document = str(a2b_base64("".join(text.split()), strict_mode=True), "utf-8")
    except (BinasciiError, ValueError):
        document = ""
    # A challenge must not make us sign a text that is also a valid document.
    if not document.lstrip(" \t\r\n").startswith("<"):
        raise rejection_error(
            WebhookReason.MALFORMED, "The base64 text in the field is not an XML document."
        )
    fields: dict[str, Any] = {"document": document}
    for name, pattern in _XML_FIELDS.items():
        if (match := pattern.search(document)) is not None:
            fields[name] = match[1]
    return fields


def items_of(payload: Any, path: str | None) -> list[Any]:
    """Return the items of a batch, or the payload itself as the only item."""
    if path is None or (path == "." and isinstance(payload, dict)):
        return [payload]
    level: list[Any] = [payload]
    steps = [] if path == "." else path.split(".")
    for step in steps:
        next_level: list[Any] = []
        for item in level:
            next_level.extend(_list_items(item) if step == "*" else (_member(item, step),))
        level = next_level
    return level if "*" in steps else [element for item in level for element in _list_items(item)]


def _list_items(item: Any) -> list[Any]:
    if isinstance(item, list):
        return item  # pyright: ignore[reportUnknownVariableType]  # of anything
    raise rejection_error(WebhookReason.MALFORMED, "The webhook has no list of events.")


def _member(item: Any, name: str) -> Any:
    if isinstance(item, dict) and name in item:
        return cast("dict[str, Any]", item)[name]
    raise rejection_error(WebhookReason.MALFORMED, f"The webhook has no {name}.")
