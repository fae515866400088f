"""Conversion of Telegram's requests and responses to values of the contract, and the reverse."""

from __future__ import annotations

import re
from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.chat import ChatEvent, ChatMessage, ChatReceipt, ChatStatus

LONGEST: Final = 4_096
_NAME: Final = re.compile(r"(?<!\w)@(?=\w)")
_NO_NAME: Final = "@\u2060"
"""An at sign with an invisible word joiner, so that Telegram does not take the following text as a
user name.
"""
_PAUSES: Final = range(10**9)
"""The plausible pauses in seconds; a pause out of this range is ignored as damaged."""
_MESSAGES: Final = ("message", "channel_post")
"""The fields of an update that contain a new message."""


_MISSING: Final = re.compile(r"\bmessage to [a-z ]+ not found")
"""Telegram's words for a message that does not exist; its status alone only says that the request
is wrong.
"""


def _error_code_and_text(response: sdk.Response) -> tuple[str | None, str | None]:
    answer = sdk.error_answer(response)
    return answer.text("error_code"), sdk.masked_words(answer.text("description"))


_REFUSALS: Final = sdk.Refusals(
    vendor="Telegram",
    statuses={
        400: sdk.InvalidRequest,
        401: sdk.AuthenticationFailed,
        # The path is always the same, except for the token.
        404: sdk.AuthenticationFailed,
        429: sdk.RateLimitExceeded,
    },
    read=_error_code_and_text,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for an error response, with the pause that Telegram requests."""
    error = _REFUSALS(request, response)
    if isinstance(error, sdk.InvalidRequest) and _MISSING.search(error.vendor_message or ""):
        words = error.vendor_message
        return sdk.refusal(sdk.VendorRejected, "Telegram", response, error.vendor_code, words)
    pause = sdk.error_answer(response).integer("parameters.retry_after")
    if isinstance(error, sdk.RateLimitExceeded) and pause is not None and pause in _PAUSES:
        error.vendor_retry_after = float(pause)
    return error


def content(message: ChatMessage) -> dict[str, Any]:
    """The request fields that contain the message.

    Raises:
        InvalidData: title, text and fields are longer than a message may be.
    """
    text, entities = "", list[dict[str, Any]]()
    parts = [(True, f"{message.title}\n")] if message.title else []
    parts.append((False, message.text))
    for label, value in message.fields:
        parts += [(True, f"\n{label}: "), (False, value)]
    for bold, part in parts:
        safe_part = _NAME.sub(_NO_NAME, part)
        if bold:
            entities.append({"type": "bold", "offset": _units(text), "length": _units(safe_part)})
        text += safe_part
    if len(text) > LONGEST:
        raise sdk.InvalidData(
            f"The message has {len(text)} characters, but Telegram accepts at most {LONGEST}.",
            field="text",
            remedy="Shorten the text, the title or the fields.",
        )
    rows = [[{"text": button.label, "url": button.url}] for button in message.buttons]
    return {
        "text": text,
        "entities": entities or None,
        "link_preview_options": {"is_disabled": True},
        "disable_notification": message.silent or None,
        "reply_markup": {"inline_keyboard": rows} if rows else None,
    }


def _units(text: str) -> int:
    """The length of a text in UTF-16 code units, in which Telegram counts positions."""
    return len(text.encode("utf-16-le")) // 2


def _message_ref(ref: sdk.MakeRef, message: sdk.Answer) -> sdk.Ref | None:
    id_, chat = message.text("message_id"), message.text("chat.id")
    return None if id_ is None or chat is None else ref(id_, channel=chat)


def read_message(ref: sdk.MakeRef, status: ChatStatus, response: sdk.Response) -> ChatReceipt:
    """The receipt of a sent or changed message."""
    answer = sdk.read_answer(response)
    sdk.required(answer.flag("ok") or None, response, "ok")
    message = answer.object("result")
    made_ref = sdk.required(_message_ref(ref, message), response, "message_id")
    change_time = message.time("edit_date") or message.time("date")
    return ChatReceipt(ref=made_ref, status=status, at=change_time, raw=answer.raw)


def read_deleted(ref: sdk.Ref, response: sdk.Response) -> ChatReceipt:
    answer = sdk.read_answer(response)
    sdk.required(answer.flag("result") or None, response, "result")
    return ChatReceipt(ref=ref, status=ChatStatus.DELETED, raw=answer.raw)


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[ChatEvent, ...]:
    """The new message in a webhook; empty if the webhook reports anything else."""
    answer = sdk.as_answer(event.payload)
    messages = [message for name in _MESSAGES if (message := answer.object(name))]
    return tuple(
        ChatEvent(
            id=event.id,
            ref=made_ref,
            channel=made_ref.other("channel") or "",
            sender=message.text("from.id") or message.text("sender_chat.id"),
            automatic=message.flag("from.is_bot") or False,
            text=message.text("text") or message.text("caption"),
            at=message.time("date"),
            raw=answer.raw,
        )
        for message in messages
        if (made_ref := _message_ref(ref, message)) is not None
    )


def number_of(ref: sdk.Ref) -> int:
    """Return a message's number within its chat, from its reference."""
    if ref.id.isascii() and ref.id.isdigit():
        return int(ref.id)
    raise sdk.InvalidData(
        "The reference does not contain the number of a Telegram message.",
        field="ref",
        remedy="Pass the `ref` of a receipt or an event, or the text that str(ref) returned.",
    )
