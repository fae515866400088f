"""Parsing of Mandrill's answers about messages, and its refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus, RecipientOutcome
from moorage.vendors.email._common import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.email import EmailMessage

ID_NAME: Final = "moorage_id"
"""The metadata entry with the id of a message."""
_SENT: Final = {
    "sent": EmailStatus.SENT,
    "queued": EmailStatus.QUEUED,
    "scheduled": EmailStatus.SCHEDULED,
    "rejected": EmailStatus.REJECTED,
    "invalid": EmailStatus.REJECTED,
}
_STATES: Final = {
    "sent": EmailStatus.SENT,
    "queued": EmailStatus.QUEUED,
    "scheduled": EmailStatus.SCHEDULED,
    "bounced": EmailStatus.BOUNCED,
    "rejected": EmailStatus.REJECTED,
    "canceled": EmailStatus.CANCELED,
}
_DELIVERED: Final = "delivered"
_REFUSED: Final = frozenset({EmailStatus.REJECTED, EmailStatus.BOUNCED})
_KINDS: Final[dict[str, type[sdk.ConnectorError]]] = {
    "Invalid_Key": sdk.AuthenticationFailed,
    "ValidationError": sdk.InvalidRequest,
    "RequestLimitExceeded": sdk.RateLimitExceeded,
    "PaymentRequired": sdk.VendorRejected,
    "Unknown_Subaccount": sdk.VendorRejected,
    "Unknown_Template": sdk.VendorRejected,
    "Unknown_Message": sdk.VendorRejected,
    "Invalid_Reject": sdk.VendorRejected,
}
"""Errors by Mandrill's names, which may come with the status 500."""
_STATUSES: Final[dict[int, type[sdk.ConnectorError]]] = {
    400: sdk.InvalidRequest,
    401: sdk.AuthenticationFailed,
    422: sdk.InvalidRequest,
    429: sdk.RateLimitExceeded,
}


def is_id_name(name: str) -> bool:
    """True if a metadata entry of this name contains the message id."""
    return name == ID_NAME


def ids_of(ref: sdk.Ref) -> list[str]:
    """Mandrill's ids of a message, one for each recipient."""
    return (ref.other("message") or ref.id).split(",")


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for an answer; an answer with status 200 may refuse every recipient."""
    if sdk.is_success(response.status):
        return _refusal_of_all(response)
    error = sdk.error_answer(response)
    name = error.text("name")
    if name is None:
        return None
    # An unknown name with a status such as 500 does not tell whether the message was sent.
    by_status = _STATUSES.get(response.status, sdk.VendorRejected)
    kind: Any = _KINDS.get(name, None if response.status >= 500 else by_status)
    words = masked(error.text("message") or "")
    return kind and sdk.refusal(kind, "Mandrill", response, name, words or None)


def _refusal_of_all(response: sdk.Response) -> sdk.VendorRejected | None:
    if not response.body.startswith(b"["):
        return None
    try:
        results = sdk.read_answers(response)
    except sdk.ConnectorError:
        return None
    if not results or any(_result_status(result) is not EmailStatus.REJECTED for result in results):
        return None
    code = _code(results[0])
    return sdk.VendorRejected(
        f"Mandrill refused all recipients: {code}",
        status=response.status,
        vendor_code=code,
        response=response,
    )


def _result_status(result: sdk.Answer) -> EmailStatus:
    return _SENT.get(result.text("status") or "", EmailStatus.UNKNOWN)


def _code(result: sdk.Answer) -> str | None:
    return result.text("reject_reason") or result.text("status")


def read_receipt(
    wire: sdk.Wire, message: EmailMessage, id_: str, response: sdk.Response
) -> EmailReceipt:
    """Parse the receipt of a message accepted for at least one recipient."""
    results = {
        (result.text("email") or "").lower(): result for result in sdk.read_answers(response)
    }
    accepted = [
        item for item in results.values() if _result_status(item) is not EmailStatus.REJECTED
    ]
    ids = [sdk.required(item.text("_id"), response, "_id") for item in accepted]
    if len(results) != len(message.everybody) or not accepted:
        raise sdk.malformed(response, "result for each recipient")
    return EmailReceipt(
        ref=wire.ref(id_, message=",".join(ids)),
        status=_result_status(accepted[0]),
        vendor_status=accepted[0].text("status"),
        recipients=tuple(
            _outcome(address.email, results.get(address.wire.lower(), accepted[0]))
            for address in message.everybody
        ),
        raw=response.json(),
    )


def _outcome(email: str, result: sdk.Answer) -> RecipientOutcome:
    status = _result_status(result)
    code = _code(result) if status is EmailStatus.REJECTED else None
    return RecipientOutcome(email=email, status=status, code=code)


def read_message(ref: sdk.Ref, answers: Sequence[sdk.Answer]) -> EmailReceipt:
    """Parse the state of a message from the answers about its recipients.

    If the recipients' states differ, the message has the first state that is not final, or else
    has been sent.
    """
    states = [_state(answer) for answer in answers]
    pending_states = [state for state in states if not state.final]
    return EmailReceipt(
        ref=ref,
        status=states[0] if len(set(states)) == 1 else [*pending_states, EmailStatus.SENT][0],
        vendor_status=answers[0].text("state"),
        recipients=tuple(
            RecipientOutcome(
                email=answer.text("email") or "",
                status=state,
                code=answer.text("bounce_description") or answer.text("reject.reason")
                if state in _REFUSED
                else None,
                reason=masked(answer.text("diag") or "") or None if state in _REFUSED else None,
            )
            for answer, state in zip(answers, states, strict=True)
        ),
        raw=answers[0].raw if len(answers) == 1 else [answer.raw for answer in answers],
    )


def _state(answer: sdk.Answer) -> EmailStatus:
    status = _STATES.get(answer.text("state") or "", EmailStatus.UNKNOWN)
    is_delivered = any(event.text("type") == _DELIVERED for event in answer.objects("smtp_events"))
    return EmailStatus.DELIVERED if status is EmailStatus.SENT and is_delivered else status
