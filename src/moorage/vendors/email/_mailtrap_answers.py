"""Parsing of Mailtrap's responses and webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailEvent, EmailReceipt, EmailStatus, RejectReason
from moorage.vendors.email._common import (
    bare_address,
    check_some_readable,
    masked,
    original_metadata_name,
    receipt_of,
    texts_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email import EmailMessage

ID_VARIABLE: Final = "moorage_id"
"""The custom variable with the id of a message."""
_EVENTS: Final = {
    "delivery": EmailStatus.DELIVERED,
    "soft bounce": EmailStatus.DEFERRED,
    "bounce": EmailStatus.BOUNCED,
    "suspension": EmailStatus.DEFERRED,
    "reject": EmailStatus.REJECTED,
    "open": EmailStatus.OPENED,
    "click": EmailStatus.CLICKED,
    "spam": EmailStatus.COMPLAINED,
    "unsubscribe": EmailStatus.UNSUBSCRIBED,
}
_CAUSES: Final = {
    "bounce": RejectReason.BOUNCED,
    "reject": RejectReason.BLOCKED,
    "spam": RejectReason.SPAM,
    "unsubscribe": RejectReason.UNSUBSCRIBED,
}
_PERMANENT: Final = {"bounce": True, "soft bounce": False, "suspension": False}


def is_id_variable(name: str) -> bool:
    """True if a custom variable of this name contains the message id."""
    return name == ID_VARIABLE


def read_refusal(response: sdk.Response) -> tuple[str | None, str | None]:
    """The text of a refusal; Mailtrap's error responses have no code."""
    return None, _words(sdk.error_answer(response))


def _words(fields: sdk.Answer) -> str | None:
    """The error sentences of a request or message; None if there are none."""
    sentences = fields.texts("errors")
    return " ".join(sentences) or fields.text("errors") or fields.text("error")


def read_receipt(
    wire: sdk.Wire, message: EmailMessage, id_: str, response: sdk.Response
) -> EmailReceipt:
    """Parse the receipt of an accepted message."""
    return _receipt(wire, message, id_, sdk.read_answer(response), response)


def _receipt(
    wire: sdk.Wire, message: EmailMessage, id_: str, fields: sdk.Answer, response: sdk.Response
) -> EmailReceipt:
    if not fields.flag("success") or not fields.texts("message_ids"):
        raise sdk.malformed(response, "message_ids")
    return receipt_of(wire, id_, message.everybody, EmailStatus.QUEUED, fields.raw)


def read_batch(
    wire: sdk.Wire, sent: Mapping[str, EmailMessage], response: sdk.Response
) -> list[sdk.Result[EmailReceipt]]:
    """Parse the results of a bulk message.

    Args:
        wire: makes references.
        sent: the messages by their ids.
        response: the response.
    """
    entries = list(sdk.read_answer(response).objects("responses"))
    if len(entries) != len(sent):
        raise sdk.malformed(response, "result for each message")
    results = [
        _result(wire, message, id_, entry, response)
        for (id_, message), entry in zip(sent.items(), entries, strict=True)
    ]
    check_some_readable(results, response)
    return results


def _result(
    wire: sdk.Wire, message: EmailMessage, id_: str, entry: sdk.Answer, response: sdk.Response
) -> sdk.Result[EmailReceipt]:
    if entry.flag("success") is False:
        words = masked(_words(entry) or "")
        refusal = sdk.VendorRejected(
            f"Mailtrap refused: {words or 'no reason is given'}",
            vendor_message=words or None,
            service=wire.account,
        )
        return sdk.Result(error=refusal)
    try:
        return sdk.Result(_receipt(wire, message, id_, entry, response))
    except sdk.ConnectorError as error:
        return sdk.Result(error=error)


def read_event(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EmailEvent, ...]:
    """Convert a webhook item to events; none if it has no message id."""
    fields = sdk.as_answer(event.payload)
    message_id, kind = fields.text("message_id"), fields.text("event") or ""
    if message_id is None:
        return ()
    variables, category = texts_of(fields.value("custom_variables")), fields.text("category")
    return (
        EmailEvent(
            id=event.id,
            ref=ref(variables.get(ID_VARIABLE) or message_id, message=message_id),
            status=_EVENTS.get(kind, EmailStatus.UNKNOWN),
            vendor_status=kind or None,
            at=fields.time("timestamp"),
            email=bare_address(fields.text("email")),
            code=fields.text("response_code"),
            reason=fields.text("response") or fields.text("reason"),
            cause=_CAUSES.get(kind),
            permanent=_PERMANENT.get(kind),
            url=fields.text("url"),
            user_agent=fields.text("user_agent"),
            tags=() if category is None else (category,),
            metadata={
                original_metadata_name(name, is_id_variable): text
                for name, text in variables.items()
                if not is_id_variable(name)
            },
            raw=fields.raw,
        ),
    )
