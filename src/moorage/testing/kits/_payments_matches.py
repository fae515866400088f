"""Checks that several payments are never confused, and that each of them is read completely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.payments import (
    Money,
    Payment,
    PaymentQuery,
    PaymentsCapability,
    PaymentState,
    ThreeDs,
)
from moorage.contracts.ref import Ref
from moorage.errors import VendorRejected
from moorage.testing.kits._payments_harness import EUROS, FIRST, Harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.payments import Refund

Open: TypeAlias = Callable[[], Harness]

_REFERENCE: Final = "INV-7305"
_PAST: Final = PaymentQuery(until=datetime(1990, 1, 1, tzinfo=UTC))
_FUTURE: Final = PaymentQuery(since=datetime(2100, 1, 1, tzinfo=UTC))
_STATES_AFTER: Final = {
    "capture": frozenset({PaymentState.CAPTURED, PaymentState.PARTIALLY_CAPTURED}),
    "void": frozenset({PaymentState.VOIDED}),
    "refund": frozenset({PaymentState.REFUNDED, PaymentState.PARTIALLY_REFUNDED}),
}
_FEATURES: Final[Mapping[PaymentsCapability, Mapping[str, Any]]] = {
    PaymentsCapability.STATEMENT_DESCRIPTOR: {"statement_descriptor": "ACME"},
    PaymentsCapability.THREE_DS: {"three_ds": ThreeDs.ALWAYS},
}
_READ_FIELDS: Final = ("reference", "state", "amount", "captured", "refunded")


async def a_step_changes_only_its_payment(make: Open) -> None:
    """A capture, void or refund changes the payment that it names, and no other payment."""
    async with make() as harness:
        steps: tuple[tuple[PaymentsCapability, str, tuple[Any, ...]], ...] = (
            (PaymentsCapability.AUTHORIZE, "capture", (EUROS,)),
            (PaymentsCapability.VOID, "void", ()),
        )
        for capability, verb, arguments in steps:
            if capability in harness.capabilities:
                payments = [await harness.held(f"{verb}-{number}") for number in range(3)]
                await _check_step(harness, verb, payments, *arguments)
        payments = [await harness.taken(f"taken-{number}") for number in range(3)]
        await _check_step(harness, "refund", payments, Money("50.00", "EUR"))


async def _check_step(
    harness: Harness, verb: str, payments: list[Payment], *arguments: Any
) -> None:
    """Perform a step at the second of three payments, and check that the others are unchanged."""
    await harness(verb, payments[1].ref, *arguments, idempotency_key=f"{verb}-of-one")
    for number in (0, 2):
        payment = await harness.settled(payments[number])
        require(
            payment.ref.id == payments[number].ref.id,
            "The look-up of a payment returned another payment.",
        )
        require(
            payment.state not in _STATES_AFTER[verb],
            f"The {verb} of one payment changed another payment to {payment.state}.",
        )


async def each_refund_is_looked_up(make: Open) -> None:
    """Each of several refunds can be looked up, with its own amount."""
    async with make() as harness:
        if PaymentsCapability.LOOK_UP_REFUND not in harness.capabilities:
            return
        payment = await harness.taken("k-1")
        amounts = [Money("10.00", "EUR"), Money("20.00", "EUR")]
        refunds: list[Refund] = []
        for number, amount in enumerate(amounts):
            refund = await harness("refund", payment.ref, amount, idempotency_key=f"r-{number}")
            refunds.append(refund)
            harness.subject.happen()
        require(refunds[0].ref != refunds[1].ref, "Two refunds have the same reference.")
        for refund, amount in zip(refunds, amounts, strict=True):
            returned_refund: Refund = await harness("get_refund", refund.ref)
            require(
                returned_refund.ref == refund.ref,
                "The look-up of a refund returned another refund.",
            )
            require(
                returned_refund.amount == amount,
                f"A refund of {amount} was looked up as {returned_refund.amount}.",
            )


async def a_payment_keeps_its_reference(make: Open) -> None:
    """The caller's reference reaches the vendor, and is in the receipt and each later reading."""
    async with make() as harness:
        request_count = len(harness.sandbox.requests)
        order = harness.order(reference=_REFERENCE)
        payment: Payment = await harness("charge", order, idempotency_key="k-1")
        sent_texts = [
            f"{request.path} {request.query} {request.body!r}"
            for request in harness.sandbox.requests[request_count:]
        ]
        require(
            any(_REFERENCE in text for text in sent_texts),
            "The caller's reference is in no request of the charge.",
        )
        for reading, source in ((payment, "receipt"), (await harness.settled(payment), "payment")):
            require(
                reading.reference == _REFERENCE,
                f"The {source} has the reference {reading.reference!r}, not {_REFERENCE!r}.",
            )


async def stated_features_are_sent(make: Open) -> None:
    """A feature of a charge that the vendor states changes the request."""
    for capability, fields in _FEATURES.items():
        bodies: list[list[bytes]] = []
        for further_fields in ({}, fields):
            async with make() as harness:
                if capability not in harness.capabilities:
                    break
                order = harness.order(**further_fields)
                await harness("charge", order, idempotency_key="k-1")
                bodies.append([request.body for request in harness.sandbox.requests])
        require(
            not bodies or bodies[0] != bodies[1],
            f"The vendor states {capability}, but sends the same request with and without it.",
        )


async def a_listed_payment_is_complete(make: Open) -> None:
    """A listed payment equals the same payment when it is looked up."""
    async with make() as harness:
        if not {PaymentsCapability.LIST, PaymentsCapability.LOOK_UP} <= harness.capabilities:
            return
        payments = [
            await harness.held("k-1"),
            await harness.taken("k-2"),
            await harness.taken("k-3"),
        ]
        await harness("refund", payments[2].ref, Money("50.00", "EUR"), idempotency_key="r-1")
        harness.subject.happen()
        listed_payments = {
            payment.ref.id: payment for payment in (await harness("payments", account=FIRST)).items
        }
        for payment in payments:
            listed_payment = listed_payments.get(payment.ref.id)
            if listed_payment is not None:  # a vendor may list the charges of a payment instead
                _check_same_fields(listed_payment, await harness("get", payment.ref))


def _check_same_fields(listed: Payment, looked_up: Payment) -> None:
    for name in _READ_FIELDS:
        listed_value, value = getattr(listed, name), getattr(looked_up, name)
        require(
            listed_value == value,
            f"The {name} of a payment is {listed_value} in the list, but {value} in a look-up.",
        )


async def a_query_limits_the_list(make: Open) -> None:
    """Payments outside the period of a query are not listed."""
    async with make() as harness:
        if PaymentsCapability.LIST not in harness.capabilities:
            return
        await harness.taken("k-1")
        for query, period in ((_PAST, "before 1990"), (_FUTURE, "after 2100")):
            # A vendor may refuse a period in the future.
            with suppress(VendorRejected):
                page = await harness("payments", query, account=FIRST)
                require(not page.items, f"A query for payments {period} lists a payment of today.")


async def every_dispute_is_listed(make: Open) -> None:
    """A list of disputes contains each dispute once, at its own payment."""
    async with make() as harness:
        open_dispute = harness.subject.dispute
        if PaymentsCapability.DISPUTES not in harness.capabilities or open_dispute is None:
            return
        payments = [await harness.taken(f"k-{number}") for number in range(2)]
        dispute_ids = [open_dispute(payment.ref.id) for payment in payments]
        listed_disputes = (await harness("disputes", account=FIRST)).items
        require(
            sorted(dispute.ref.id for dispute in listed_disputes) == sorted(dispute_ids),
            "The list does not have each dispute exactly once.",
        )
        if PaymentsCapability.LOOK_UP_DISPUTE in harness.capabilities:
            for dispute_id in dispute_ids:
                ref = Ref(harness.subject.vendor.name, FIRST, dispute_id)
                dispute = await harness("get_dispute", ref)
                require(dispute.ref == ref, "The look-up of a dispute returned another dispute.")


MATCHES: Final = (
    a_step_changes_only_its_payment,
    each_refund_is_looked_up,
    a_payment_keeps_its_reference,
    stated_features_are_sent,
    a_listed_payment_is_complete,
    a_query_limits_the_list,
    every_dispute_is_listed,
)
