"""Parsing of Scaleway's answers about messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus, RecipientOutcome
from moorage.vendors.email._common import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.email import EmailMessage

_STATUSES: Final = {
    "new": EmailStatus.QUEUED,
    "sending": EmailStatus.QUEUED,
    "sent": EmailStatus.DELIVERED,
    "failed": EmailStatus.BOUNCED,
    "canceled": EmailStatus.CANCELED,
}
_FAILED: Final = {
    "blocklisted": EmailStatus.REJECTED,
    "send_before_expiration": EmailStatus.FAILED,
}
"""Statuses of failed messages, by flags for causes other than the server of the recipient."""


def ids_of(ref: sdk.Ref) -> list[str]:
    """The ids of a message, one for each recipient."""
    other_ids = ref.other("others")
    return [ref.id, *(other_ids.split(",") if other_ids else [])]


def read_receipt(wire: sdk.Wire, message: EmailMessage, response: sdk.Response) -> EmailReceipt:
    """Parse the receipt of an accepted message."""
    fields = sdk.read_answer(response)
    emails = list(fields.objects("emails"))
    ids = [email.text("id") or "" for email in emails]
    if len(ids) != len(message.everybody) or not all(ids):
        raise sdk.malformed(response, "id for each recipient")
    first_status = _status(emails[0])
    statuses = {_recipient_of(email).lower(): _status(email) for email in emails}
    return EmailReceipt(
        ref=wire.ref(ids[0], others=",".join(ids[1:]) or None),
        status=first_status,
        vendor_status=emails[0].text("status"),
        recipients=tuple(
            RecipientOutcome(
                email=address.email, status=statuses.get(address.wire.lower(), first_status)
            )
            for address in message.everybody
        ),
        raw=fields.raw,
    )


def read_message(ref: sdk.Ref, emails: Sequence[sdk.Answer]) -> EmailReceipt:
    """Parse the state of a message from the answers about its recipients.

    If the recipients' states differ, the message has the first state that is not final, or else
    has been sent.
    """
    states = [_status(email) for email in emails]
    pending_states = [state for state in states if not state.final]
    return EmailReceipt(
        ref=ref,
        status=states[0] if len(set(states)) == 1 else [*pending_states, EmailStatus.SENT][0],
        vendor_status=emails[0].text("status"),
        recipients=tuple(map(_outcome, emails)),
        raw=emails[0].raw if len(emails) == 1 else [email.raw for email in emails],
    )


def _status(email: sdk.Answer) -> EmailStatus:
    status = _STATUSES.get(email.text("status") or "", EmailStatus.UNKNOWN)
    if status is not EmailStatus.BOUNCED:
        return status
    return next((_FAILED[flag] for flag in email.texts("flags") if flag in _FAILED), status)


def _outcome(email: sdk.Answer) -> RecipientOutcome:
    status = _status(email)
    last_try = next(iter([*email.objects("last_tries")][-1:]), sdk.as_answer(None))
    is_failure = status in {EmailStatus.BOUNCED, EmailStatus.REJECTED, EmailStatus.FAILED}
    words = masked(last_try.text("message") or email.text("status_details") or "")
    return RecipientOutcome(
        email=_recipient_of(email),
        status=status,
        code=last_try.text("code") if is_failure else None,
        reason=(words or None) if is_failure else None,
    )


def _recipient_of(email: sdk.Answer) -> str:
    # The second name is deprecated, and the only one in some of Scaleway's examples.
    return email.text("mail_rcpt") or email.text("rcpt_to") or ""
