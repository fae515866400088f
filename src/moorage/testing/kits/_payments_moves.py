"""Checks of captures, voids and refunds at a payment vendor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from moorage.contracts.payments import (
    Capture,
    Money,
    MoveState,
    Payment,
    PaymentsCapability,
    PaymentState,
    Refund,
    Void,
)
from moorage.errors import (
    ConnectorError,
    InvalidData,
    VendorRejected,
)
from moorage.testing.kits._payments_harness import (
    EUROS,
    Harness,
)
from moorage.testing.kits.checks import require

Open: TypeAlias = Callable[[], Harness]


async def a_part_is_captured(make: Open) -> None:
    """A partial capture takes its part of the authorised amount, once per idempotency key."""
    async with make() as harness:
        if PaymentsCapability.PARTIAL_CAPTURE not in harness.capabilities:
            return
        payment: Payment = await harness("authorize", harness.order(), idempotency_key="k-1")
        payment_state = await harness.settled(payment)
        require(
            payment_state.state is PaymentState.AUTHORIZED, f"The payment is {payment_state.state}."
        )
        require(payment_state.remaining == EUROS, f"{payment_state.remaining} could be captured.")
        request_count, dollars = len(harness.sandbox.requests), Money("100.00", "USD")
        coroutine = harness("capture", payment.ref, dollars, idempotency_key="k-2")
        await harness.refused(InvalidData, coroutine, "Another currency")
        require(
            request_count == len(harness.sandbox.requests),
            "An amount in another currency was sent to the vendor.",
        )
        part = Money("100.00", "EUR")
        captures: list[Capture] = [
            await harness("capture", str(payment.ref), part, idempotency_key="k-3")
            for _ in range(2)
        ]
        require(captures[0] == captures[1], "A repeat captures again.")
        require(
            captures[0].state in {MoveState.SUCCEEDED, MoveState.PENDING},
            "The capture or refund failed.",
        )
        require(
            captures[0].amount == part and captures[0].raw,
            "The capture has no amount, or no raw data.",
        )
        payment_state = await harness.settled(payment_state)
        require(
            payment_state.state is PaymentState.PARTIALLY_CAPTURED,
            f"The payment is {payment_state.state}.",
        )
        require(payment_state.captured == part, f"{payment_state.captured} was captured.")
        require(
            payment_state.remaining == part * 0,
            f"After the capture of a part, {payment_state.remaining} can still be captured.",
        )


async def all_of_it_is_captured(make: Open) -> None:
    """A capture of the whole amount, stated or not, collects all that is authorised."""
    async with make() as harness:
        if PaymentsCapability.AUTHORIZE not in harness.capabilities:
            return
        for number, amounts in enumerate(((), (EUROS,))):
            payment: Payment = await harness(
                "authorize", harness.order(), idempotency_key=f"k-{number}"
            )
            payment_state = await harness.settled(payment)
            require(
                payment_state.state is PaymentState.AUTHORIZED,
                f"The payment is {payment_state.state}.",
            )
            for _ in range(2):
                await harness("capture", payment.ref, *amounts, idempotency_key=f"c-{number}")
            payment_state = await harness.settled(payment)
            require(
                payment_state.state is PaymentState.CAPTURED,
                f"The payment is {payment_state.state}.",
            )
            require(payment_state.captured == EUROS, f"{payment_state.captured} was captured.")


async def a_voided_payment_is_not_captured(make: Open) -> None:
    """A voided authorisation cannot be captured, and a voided payment stays voided."""
    async with make() as harness:
        if PaymentsCapability.VOID not in harness.capabilities:
            return
        payment: Payment = await harness.held("k-1")
        void: Void = await harness("void", payment.ref, idempotency_key="k-2")
        require(
            void.state in {MoveState.SUCCEEDED, MoveState.PENDING}, f"The void is {void.state}."
        )
        payment_state = await harness.settled(payment)
        require(
            payment_state.state is PaymentState.VOIDED, f"The payment is {payment_state.state}."
        )
        if PaymentsCapability.AUTHORIZE not in harness.capabilities:
            return
        try:
            late_capture: Capture = await harness(
                "capture", payment.ref, EUROS, idempotency_key="k-3"
            )
        except VendorRejected:
            return
        require(late_capture.state is MoveState.PENDING, "A voided authorisation was captured.")
        require(
            (await harness.settled(payment_state)).state is PaymentState.VOIDED,
            "A voided payment was captured.",
        )


async def money_is_refunded_in_parts(make: Open) -> None:
    """Refunds in parts are made once per idempotency key, and never exceed the captured amount."""
    async with make() as harness:
        payment: Payment = await harness("charge", harness.order(), idempotency_key="k-1")
        payment = await harness.settled(payment)
        part = Money("50.00", "EUR")
        request_count = len(harness.sandbox.requests)
        coroutine = harness("refund", payment.ref, Money("50.00", "USD"), idempotency_key="k-2")
        await harness.refused(InvalidData, coroutine, "Another currency")
        require(
            request_count == len(harness.sandbox.requests),
            "An amount in another currency was sent to the vendor.",
        )
        for key in ("r-1", "r-1", "r-2"):
            refund: Refund = await harness("refund", payment.ref, part, idempotency_key=key)
            require(
                refund.state in {MoveState.SUCCEEDED, MoveState.PENDING},
                "The capture or refund failed.",
            )
            require(
                refund.amount == part and refund.raw,
                "The refund has another amount, or no raw data.",
            )
        payment = await harness.settled(payment)
        harness.check_refunded(payment, part * 2)
        try:
            further_refund: Refund = await harness(
                "refund", payment.ref, EUROS, idempotency_key="r-3"
            )
        except VendorRejected:
            return
        require(
            further_refund.state is MoveState.PENDING,
            "A refund of more than the captured amount is reported as done.",
        )
        harness.check_refunded(await harness.settled(payment), part * 2)


async def a_forbidden_operation_is_refused(make: Open) -> None:
    """An operation that a payment's state forbids raises the same error class at every vendor."""
    async with make() as harness:
        payment = await harness.taken("k-1")
        steps: tuple[tuple[PaymentsCapability | None, str, tuple[Any, ...]], ...] = (
            (PaymentsCapability.AUTHORIZE, "capture", (EUROS,)),
            (PaymentsCapability.VOID, "void", ()),
            (None, "refund", (EUROS * 2,)),
        )
        for number, (capability, verb, arguments) in enumerate(steps):
            if capability is not None and capability not in harness.capabilities:
                continue
            try:
                move = await harness(verb, payment.ref, *arguments, idempotency_key=f"s-{number}")
            except ConnectorError as error:
                require(type(error) is VendorRejected, f"A {verb} ended with {error!r}.")
            else:
                require(
                    move.state is MoveState.PENDING, f"A {verb} that the state forbids was done."
                )


async def a_refund_without_amount_is_of_the_rest(make: Open) -> None:
    """A refund without an amount refunds what is left, or is refused before sending."""
    async with make() as harness:
        payment: Payment = await harness("charge", harness.order(), idempotency_key="k-1")
        payment = await harness.settled(payment)
        part = Money("50.00", "EUR")
        await harness("refund", payment.ref, part, idempotency_key="r-1")
        harness.subject.happen()
        request_count = len(harness.sandbox.requests)
        try:
            remaining_refund: Refund = await harness("refund", payment.ref, idempotency_key="r-2")
        except VendorRejected:
            require(
                request_count == len(harness.sandbox.requests),
                "The refused refund was sent nevertheless.",
            )
            return
        require(remaining_refund.amount == EUROS - part, f"{remaining_refund.amount} was refunded.")


MOVES: Final = (
    a_part_is_captured,
    all_of_it_is_captured,
    a_voided_payment_is_not_captured,
    money_is_refunded_in_parts,
    a_forbidden_operation_is_refused,
    a_refund_without_amount_is_of_the_rest,
)
