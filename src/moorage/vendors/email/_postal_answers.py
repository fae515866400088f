"""Parsing of Postal's answers about messages, and its refusals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus, RecipientOutcome
from moorage.vendors.email._common import masked, outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.email import EmailMessage

_STATUSES: Final = {
    "Pending": EmailStatus.QUEUED,
    "Held": EmailStatus.QUEUED,
    "Sent": EmailStatus.DELIVERED,
    "SoftFail": EmailStatus.DEFERRED,
    "HardFail": EmailStatus.BOUNCED,
    "Bounced": EmailStatus.BOUNCED,
    "HoldCancelled": EmailStatus.CANCELED,
}
_KINDS: Final[dict[str, Any]] = {
    "AccessDenied": sdk.AuthenticationFailed,
    "InvalidServerAPIKey": sdk.AuthenticationFailed,
    "parameter-error": sdk.InvalidRequest,
    "NoRecipients": sdk.InvalidRequest,
    "NoContent": sdk.InvalidRequest,
    "TooManyToAddresses": sdk.InvalidRequest,
    "TooManyCCAddresses": sdk.InvalidRequest,
    "TooManyBCCAddresses": sdk.InvalidRequest,
    "FromAddressMissing": sdk.InvalidRequest,
    "AttachmentMissingName": sdk.InvalidRequest,
    "AttachmentMissingData": sdk.InvalidRequest,
}
"""Errors by Postal's codes, or by the status in an answer without a code."""
_REFUSED: Final = frozenset({"error", "parameter-error"})
_ID: Final = re.compile(r"[1-9][0-9]{0,18}")


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for an answer; Postal refuses requests with the HTTP status 200."""
    answer = sdk.error_answer(response)
    status = answer.text("status")
    if response.status >= 500 or status not in _REFUSED:
        return None
    code = answer.text("data.code") or status
    words = masked(answer.text("data.message") or "")
    kind = _KINDS.get(code, sdk.VendorRejected)
    return sdk.refusal(kind, "Postal", response, code, words or None)


def ids_of(ref: sdk.Ref) -> list[int]:
    """Postal's ids of a message, one for each recipient.

    Raises:
        InvalidData: the reference has no ids. Postal's database would take a number at the
            beginning of another text for the id of another message.
    """
    ids = (ref.other("message") or ref.id).split(",")
    if not all(_ID.fullmatch(id_) for id_ in ids):
        raise sdk.InvalidData(
            "The reference does not contain Postal's ids of the message.",
            field="ref",
            remedy="Pass the whole reference of a receipt or an event.",
        )
    return [int(id_) for id_ in ids]


def data_of(response: sdk.Response) -> sdk.Answer:
    """The data of a successful answer.

    Raises:
        VendorFailed: the answer is not that of Postal's API.
    """
    fields = sdk.read_answer(response)
    if fields.text("status") != "success":
        raise sdk.malformed(response, "status")
    return fields.object("data")


def read_receipt(wire: sdk.Wire, message: EmailMessage, response: sdk.Response) -> EmailReceipt:
    """Parse the receipt of an accepted message."""
    data = data_of(response)
    entries = data.object("messages").raw
    ids = [sdk.as_answer(entries.get(address.wire)).integer("id") for address in message.everybody]
    if not all(ids):
        raise sdk.malformed(response, "id for each recipient")
    id_ = sdk.required(data.text("message_id"), response, "message_id")
    return EmailReceipt(
        ref=wire.ref(id_, message=",".join(map(str, ids))),
        status=EmailStatus.QUEUED,
        recipients=outcomes(message.everybody, EmailStatus.QUEUED),
        raw=sdk.read_answer(response).raw,
    )


def read_message(ref: sdk.Ref, answers: Sequence[tuple[sdk.Answer, sdk.Response]]) -> EmailReceipt:
    """Parse the state of a message from the answers about each recipient and their deliveries.

    If the recipients' states differ, the message has the first state that is not final, or else
    has been sent.
    """
    messages = [message for message, _ in answers]
    recipients = tuple(_outcome(message, response) for message, response in answers)
    states = [outcome.status for outcome in recipients]
    pending_states = [state for state in states if not state.final]
    return EmailReceipt(
        ref=ref,
        status=states[0] if len(set(states)) == 1 else [*pending_states, EmailStatus.SENT][0],
        vendor_status=messages[0].text("status.status"),
        recipients=recipients,
        raw=messages[0].raw if len(messages) == 1 else [message.raw for message in messages],
    )


def _outcome(message: sdk.Answer, response: sdk.Response) -> RecipientOutcome:
    status = _STATUSES.get(message.text("status.status") or "", EmailStatus.UNKNOWN)
    deliveries = list(sdk.read_answer(response).objects("data"))
    last_delivery = deliveries[-1] if deliveries else sdk.as_answer(None)
    is_failure = status is EmailStatus.BOUNCED
    words = masked(last_delivery.text("output") or last_delivery.text("details") or "")
    return RecipientOutcome(
        email=message.text("details.rcpt_to") or "",
        status=status,
        reason=(words or None) if is_failure else None,
    )
