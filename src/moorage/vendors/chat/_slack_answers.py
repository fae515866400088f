"""Conversion of Slack's responses and events to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.chat import ChatEvent, ChatReceipt, ChatStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


_CREDENTIAL: Final = """
    access_denied accesslimited account_inactive bad_token ekm_access_denied
    enterprise_is_restricted invalid_auth invalid_token missing_scope no_permission
    not_allowed_token_type not_authed org_login_required token_expired token_revoked
    two_factor_setup_required
"""
_FAILURE: Final = "fatal_error internal_error service_unavailable update_failed"
_REQUEST: Final = """
    invalid_arg_name invalid_arguments invalid_array_arg invalid_attachments invalid_blocks
    invalid_blocks_format invalid_charset invalid_form_data invalid_json invalid_metadata_format
    invalid_metadata_schema invalid_post_type invalid_time json_not_object markdown_text_conflict
    missing_post_type msg_blocks_too_long msg_too_long no_text request_timeout time_in_past
    time_too_far too_many_attachments
"""
ERRORS: Final[Mapping[str, type[Any]]] = {
    **dict.fromkeys(_CREDENTIAL.split(), sdk.AuthenticationFailed),
    **dict.fromkeys(_FAILURE.split(), sdk.VendorFailed),
    **dict.fromkeys(_REQUEST.split(), sdk.InvalidRequest),
    **dict.fromkeys(
        ("ratelimited", "rate_limited", "message_limit_exceeded"), sdk.RateLimitExceeded
    ),
}
"""The class of error for each of Slack's error codes; any other code is a `VendorRejected`.

After `fatal_error` and `internal_error`, a part of the request may have been carried out.
"""
_PERSONS: Final = (None, "file_share", "me_message", "thread_broadcast", "bot_message")
"""The subtypes of Slack's events about new messages."""


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response; Slack sends most errors with a success status."""
    answer = sdk.error_answer(response)
    code = answer.text("error")
    if response.status >= 500 or answer.flag("ok") is not False or code is None:
        return None
    words = sdk.masked_words(" ".join(answer.texts("response_metadata.messages")))
    kind = ERRORS.get(code, sdk.VendorRejected)
    return sdk.refusal(kind, "Slack", response, code, words)


def moment(stamp: str | None) -> datetime | None:
    """The time in a Slack timestamp, which is also the message's id."""
    seconds = (stamp or "").partition(".")[0]
    return sdk.as_time(int(seconds)) if seconds.isascii() and seconds.isdigit() else None


def read_message(
    ref: sdk.MakeRef, status: ChatStatus, thread: str | None, response: sdk.Response
) -> ChatReceipt:
    """The receipt of a sent, changed or deleted message."""
    answer = sdk.read_answer(response)
    sdk.required(answer.flag("ok") or None, response, "ok")
    id_ = sdk.required(answer.text("ts"), response, "ts")
    channel = sdk.required(answer.text("channel"), response, "channel")
    made_ref = ref(id_, channel=channel, thread=thread)
    return ChatReceipt(ref=made_ref, status=status, at=moment(id_), raw=answer.raw)


def read_scheduled(ref: sdk.MakeRef, response: sdk.Response) -> ChatReceipt:
    """The receipt of a scheduled message."""
    answer = sdk.read_answer(response)
    sdk.required(answer.flag("ok") or None, response, "ok")
    id_ = sdk.required(answer.text("scheduled_message_id"), response, "scheduled_message_id")
    channel = sdk.required(answer.text("channel"), response, "channel")
    made_ref = ref(id_, channel=channel, scheduled="yes")
    send_time = moment(answer.text("post_at"))
    return ChatReceipt(ref=made_ref, status=ChatStatus.SCHEDULED, at=send_time, raw=answer.raw)


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[ChatEvent, ...]:
    """The new message in a webhook; empty if the webhook reports anything else."""
    answer = sdk.as_answer(event.payload)
    message = answer.object("event")
    id_, channel = message.text("ts"), message.text("channel")
    if (
        message.text("type") not in {"message", "app_mention"}
        or message.text("subtype") not in _PERSONS
        or id_ is None
        or channel is None
    ):
        return ()
    thread = message.text("thread_ts")
    return (
        ChatEvent(
            id=event.id,
            ref=ref(id_, channel=channel, thread=None if thread == id_ else thread),
            channel=channel,
            sender=message.text("user") or message.text("bot_id"),
            automatic=message.text("bot_id") is not None,
            text=message.text("text"),
            at=moment(id_),
            raw=answer.raw,
        ),
    )
