"""`moorage payments`: list, settle and close payments with an unknown outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED
from moorage.cli.numbers import Count
from moorage.cli.places import opened_hub
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.contracts.payments import UnsettledPayment, VendorQuestion

_COLUMNS = (
    "key",
    "tenant",
    "operation",
    "amount",
    "reference",
    "account",
    "since",
    "next",
    "last question",
)

_OTHER_SERVICES: Final = (
    "This command lists payments only. For other services, run `moorage logs list --status"
    " unknown`."
)


def unsettled(*, context: Context) -> CommandResult:
    """List payments with an unknown outcome; exit with 1 if there are any.

    The list contains payments of the payments contract only. For calls of other services, see
    `moorage logs list --status unknown` and `moorage keys resolve`.

    Args:
        context: the options that all commands share.
    """
    context.state()  # raises an error if no other process shares the store
    with opened_hub(context) as hub:
        payments = hub.unsettled_payments()
    if not payments:
        return CommandResult({"payments": []}, ["no payment is unsettled", _OTHER_SERVICES])
    return CommandResult(
        {"payments": [_payment_row(payment) for payment in payments]}, [_table(payments)], FAILED
    )


def settle(*, limit: Count = 100, context: Context) -> CommandResult:
    """Ask vendors for unknown outcomes of payments and settle them; run it from a timer.

    Args:
        limit: the maximum number of payments.
        context: the options that all commands share.
    """
    context.state()
    with opened_hub(context) as hub:
        settled_payments = hub.settle_payments(limit=limit)
    rows = [
        {**_payment_row(settlement.payment), "outcome": settlement.outcome.value}
        for settlement in settled_payments
    ]
    lines = [
        f"{settlement.payment.idempotency_key}: {_OUTCOMES[settlement.outcome]}"
        for settlement in settled_payments
    ]
    return CommandResult({"settled": rows}, lines or ["nothing was settled"])


def close(
    idempotency_key: str,
    /,
    *,
    done: bool = False,
    not_done: bool = False,
    reference: str | None = None,
    tenant: str | None = None,
    keys_lost: bool = False,
    reason: str = "",
    context: Context,
) -> CommandResult:
    """Close a payment after you have checked its outcome at the vendor.

    Args:
        idempotency_key: the payment's key, as `moorage payments unsettled` lists it.
        done: the vendor executed the payment.
        not_done: the vendor did not execute the payment, so its key may be used again.
        reference: the vendor's payment id, which repeats of the key then return; by default, the
            payment is found by your reference.
        tenant: the tenant of the payment.
        keys_lost: close the payment without its stored request and answer, because their encryption
            keys are lost for ever; requires a reason, and with --done also --reference.
        reason: the reason, for the audit trail.
        context: the options that all commands share.
    """
    if done is not_done:
        raise ConfigurationError(
            "The outcome of the payment is missing.",
            path="--done",
            remedy="Pass either --done or --not-done.",
        )
    context.state()
    with opened_hub(context) as hub:
        payment = hub.close_payment(
            idempotency_key,
            done=done,
            receipt=reference,
            tenant=tenant,
            keys_lost=keys_lost,
            reason=reason,
        )
    outcome = "done" if done else "not done"
    lines = [f"{idempotency_key} is closed as {outcome}"]
    if keys_lost:
        lines.append(
            "Lost with the keys: the encrypted data of the request (amount, reference) and of"
            " the vendor's answer"
        )
    return CommandResult(
        {
            **_payment_row(payment),
            "outcome": "done" if done else "not_done",
            "keys_lost": keys_lost,
        },
        lines,
    )


_OUTCOMES = {
    "done": "was done",
    "refused": "was refused by the vendor",
    "not_done": "was never sent",
}


def _payment_row(payment: UnsettledPayment) -> dict[str, Any]:
    return {
        "idempotency_key": payment.idempotency_key,
        "tenant": payment.tenant,
        "operation": payment.operation,
        "amount": None if payment.amount is None else str(payment.amount),
        "reference": payment.reference,
        "payment": None if payment.payment is None else str(payment.payment),
        "accounts": list(payment.accounts),
        "since": payment.since.isoformat(),
        "wait": payment.wait,
        "next": payment.next.value,
        "last_question": _question_row(payment.last_question),
    }


def _question_row(question: VendorQuestion | None) -> dict[str, Any] | None:
    if question is None:
        return None
    return {
        "at": question.at.isoformat(),
        "count": question.count,
        "result": question.result.value,
        "error": question.error,
    }


def _question_cell(question: VendorQuestion | None) -> str | None:
    if question is None:
        return None
    error = "" if question.error is None else f" ({question.error})"
    return f"{question.result.value}{error}"


def _table(payments: list[UnsettledPayment]) -> Table:
    return Table(
        _COLUMNS,
        (
            (
                payment.idempotency_key,
                payment.tenant,
                payment.operation,
                payment.amount,
                payment.reference or payment.payment,
                ", ".join(payment.accounts),
                payment.since.isoformat(timespec="seconds"),
                payment.next.value,
                _question_cell(payment.last_question),
            )
            for payment in payments
        ),
    )
