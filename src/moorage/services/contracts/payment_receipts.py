"""The receipt of a payment operation that a person has settled as done."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.contracts.payments import (
    Capture,
    MoveState,
    PayeePayout,
    Payment,
    PaymentsCapability,
    PaymentState,
    Refund,
    Subscription,
    SubscriptionRequest,
    Void,
    payment_ref,
)
from moorage.contracts.payments.requests import stated_amount
from moorage.contracts.ref import Ref
from moorage.errors import InvalidData
from moorage.services.contracts.payment_effects import requested_payment, started_order

if TYPE_CHECKING:
    from moorage.contracts.payments.unsettled import Receipt
    from moorage.contracts.routes import Account
    from moorage.domain.values.money import Money
    from moorage.services.contracts.payment_effects import EffectRecord
    from moorage.services.contracts.payments import PaymentsFlows
    from moorage.services.contracts.unsettled_effects import UnsettledEffect

RECEIPTS: Final[dict[str, type[Receipt]]] = {
    "capture": Capture,
    "refund": Refund,
    "void": Void,
    "pay_payee": PayeePayout,
    "create_subscription": Subscription,
}
"""The class of receipt for each payment operation that does not start a payment."""


def receipt_not_found_error(message: str, account: str) -> InvalidData:
    """Return the error for an operation whose receipt was not found at an account."""
    error = InvalidData(
        message, field="receipt", remedy="Pass the receipt, or its id at the vendor."
    )
    error.service = account
    return error


def listing_sentence(matches: list[Payment]) -> str:
    """Return a sentence that the vendor lists no matching payment, or several."""
    if not matches:
        return "The vendor lists no payment with this reference and amount."
    ids = ", ".join(match.ref.id for match in matches)
    return f"The vendor lists {len(matches)} payments with this reference and amount: {ids}."


def missing_search_reason(record: EffectRecord, kind: type[Receipt]) -> str:
    """Return the reason that an operation's receipt cannot be looked up at the vendor."""
    if record.unreadable is not None:
        return (
            "The receipt cannot be looked up, because the stored request of this"
            f" {record.operation} cannot be read."
        )
    if kind is not Payment:
        return (
            f"A {record.operation} cannot be looked up by the payment's reference, because"
            " it has a separate id."
        )
    return "This payment cannot be looked up, because the vendor cannot list its payments."


def receipt_ref(effect: UnsettledEffect, accounts: list[Account], receipt: Ref | str) -> Ref:
    """Return the reference of a payment, from a full reference or from only the vendor's id."""
    names = {account.name for account in accounts}
    if isinstance(receipt, str) and receipt.count(":") < 2:
        request = effect.record.request
        payment_of_effect = None if request is None else requested_payment(request)
        name = accounts[0].name if payment_of_effect is None else payment_of_effect.account
        receipt = Ref(accounts[0].vendor.name, name, receipt)
    ref = Ref.parse(receipt, "receipt")
    if ref.account not in names:
        raise InvalidData(
            f"The reference belongs to the account {ref.account!r}, but the operation was"
            f" requested at {', '.join(sorted(names))}.",
            field="receipt",
            remedy="Pass the reference that the payment has at that account.",
        )
    return ref


async def receipt_of(
    effect: UnsettledEffect, flows: PaymentsFlows, account: Account, ref: Ref
) -> Receipt:
    """Return the receipt of a payment operation, read from the vendor or from known fields."""
    operation, capabilities = effect.record.operation, account.vendor.capabilities
    report = effect.report(None)
    if operation == "pay_payee":
        payout = await flows.get_payee_payout(ref)
        _check_same_payment(payout, report.amount, report.reference)
        return payout
    if operation == "create_subscription":
        request = effect.record.request
        order = None if request is None else started_order(request)
        customer = order.customer_id if isinstance(order, SubscriptionRequest) else ""
        if customer and ref.other("customer") is None:
            # Some vendors find a subscription only by its customer.
            ref = ref.with_related(customer=customer)
        subscription = await flows.get_subscription(ref)
        _check_same_payment(subscription, report.amount, report.reference)
        return subscription
    parent = report.payment
    if operation in {"capture", "void"} and parent is None:
        parent = ref  # the request that names the payment is not available here
    if operation == "refund":
        if PaymentsCapability.LOOK_UP_REFUND in capabilities:
            return await flows.get_refund(ref)
        return Refund(ref=ref, payment=parent, state=MoveState.PENDING, amount=report.amount)
    if operation == "capture" and parent is not None:
        return Capture(ref=ref, payment=parent, state=MoveState.PENDING, amount=report.amount)
    if operation == "void" and parent is not None:
        return Void(ref=ref, payment=parent, state=MoveState.PENDING)
    amount = report.amount if parent is None else stated_amount(parent)
    if PaymentsCapability.LOOK_UP not in capabilities:
        full_ref = ref if amount is None else payment_ref(partial(_ref_at, ref), ref.id, amount)
        return Payment(
            ref=full_ref, state=PaymentState.PENDING, amount=amount, reference=report.reference
        )
    payment = await flows.get(ref)
    _check_same_payment(payment, amount, report.reference)
    return payment


def _ref_at(at: Ref, id: str, /, **related: str | None) -> Ref:
    nonempty = {name: value for name, value in related.items() if value}
    return Ref(at.vendor, at.account, id, nonempty)


def _check_same_payment(
    payment: Payment | PayeePayout | Subscription, amount: Money | None, reference: str | None
) -> None:
    """Raise an error if a payment's amount or reference differs from the request's."""
    for field, expected, actual in (
        ("amount", amount, payment.amount),
        ("reference", reference, payment.reference),
    ):
        if expected is not None and actual is not None and expected != actual:
            raise InvalidData(
                f"The {field} of {payment.ref} is {actual}, but the request has {expected}.",
                field="receipt",
                remedy="Pass the payment that was made with this idempotency key.",
            )
