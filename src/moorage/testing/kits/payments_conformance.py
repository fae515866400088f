"""Checks for every payment vendor.

`moorage scaffold vendor NAME --contract payments` writes a vendor, and a test that runs all
checks.

Each check takes a function that makes a new `PaymentsSubject`: the vendor, its sandbox, and what
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeAlias

from moorage.contracts.payments import (
    BuyerOutcome,
    DeclineReason,
    Money,
    MoveState,
    Payment,
    PaymentsCapability,
    PaymentState,
    Refund,
    Unsettled,
    buyer_notice,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.values.text import with_article
from moorage.errors import (
    ConnectionFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.testing.kits._contract_harness import (
    through_async_hub,
    through_hub,
    with_an_address,
    with_body,
)
from moorage.testing.kits._payments_disputes import DISPUTES
from moorage.testing.kits._payments_harness import (
    EUROS,
    FIRST,
    SECOND,
    Harness,
    PaymentsSubject,
    async_harness,
    sync_harness,
)
from moorage.testing.kits._payments_matches import MATCHES
from moorage.testing.kits._payments_moves import MOVES
from moorage.testing.kits._payments_orders import ORDERS
from moorage.testing.kits._payments_payees import PAYEES
from moorage.testing.kits._payments_refusals import REFUSALS
from moorage.testing.kits._payments_requests import REQUESTS
from moorage.testing.kits._payments_stored import STORED
from moorage.testing.kits._payments_subscriptions import SUBSCRIPTIONS
from moorage.testing.kits._payments_times import TIMES
from moorage.testing.kits.checks import in_thread, require
from moorage.testing.sandboxes.base import (
    AlteredAnswer,
    Lost,
)

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "PaymentsSubject"]

Factory: TypeAlias = Callable[[], PaymentsSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]

_STEPS: Final = 4
_NEW_STATE: Final = "levitated"
_OPEN_STATES: Final = frozenset({MoveState.PENDING, MoveState.UNKNOWN})
_TAKEN: Final = frozenset(
    {
        PaymentState.CAPTURED,
        PaymentState.PARTIALLY_CAPTURED,
        PaymentState.REFUNDED,
        PaymentState.PARTIALLY_REFUNDED,
    }
)
_MALFORMED: Final = (b"{}", b"[]", b"null", b"", b"<html></html>", b'{"id": "x"}')
_AMOUNTS: Final = (
    (Money("149.90", "EUR"), 14990),
    (Money("500", "JPY"), 500),
    (Money("500", "KRW"), 500),
    (Money("1.230", "BHD"), 1230),
    (Money("1.230", "KWD"), 1230),
    (Money("1.230", "JOD"), 1230),
    (Money("1.230", "OMR"), 1230),
    (Money("1.230", "TND"), 1230),
    (Money("0.1", "EUR") + Money("0.2", "EUR"), 30),
    (Money("9999999999.99", "USD"), 999999999999),
)


async def a_payment_is_taken_once(make: Open) -> None:
    """A payment is charged once per idempotency key; repeats return the same receipt."""
    async with make() as harness:
        order = harness.order()
        payments = [await harness("charge", order, idempotency_key="k-1") for _ in range(3)]
        payment: Payment = payments[0]
        require(payments[1] == payments[2] == payment, "A repeat has another receipt.")
        require(
            harness.subject.charged() == 1, "One idempotency key took its payment more than once."
        )
        require(payment.ref.vendor == harness.subject.vendor.name, "The receipt names no vendor.")
        require(payment.ref.account == FIRST, "The receipt names no account.")
        require(payment.vendor_state and payment.raw, "The result lacks the vendor's raw response.")
        require(Ref.parse(str(payment.ref)) == payment.ref, "A reference changes as text.")
        payment_state = await harness.settled(payment)
        require(
            payment_state.state is PaymentState.CAPTURED,
            f"A captured payment is {payment_state.state}.",
        )
        require(
            payment_state.amount == payment_state.captured == EUROS, "Another amount was taken."
        )
        conflicting_charge = harness(
            "charge", harness.order(reference="other"), idempotency_key="k-1"
        )
        error = await harness.refused(
            IdempotencyConflict, conflicting_charge, "A key for another payment"
        )
        require(
            buyer_notice(error).outcome is BuyerOutcome.UNKNOWN,
            "`buyer_notice()` does not report an idempotency conflict as an unknown outcome.",
        )
        await harness("charge", order, idempotency_key="k-2")
        require(harness.subject.charged() == 2, "A second idempotency key made no second charge.")


async def a_key_is_required(make: Open) -> None:
    """Operations that move money require an idempotency key."""
    async with make() as harness:
        ref = Ref(harness.subject.vendor.name, FIRST, "1")
        for unkeyed_call in (
            harness("charge", harness.order(), idempotency_key=None),
            harness("authorize", harness.order(), idempotency_key=None),
            harness("refund", ref, idempotency_key=None),
            harness("capture", ref, idempotency_key=None),
            harness("void", ref, idempotency_key=None),
        ):
            await harness.refused(InvalidData, unkeyed_call, "An effect without a key")
        require(harness.sandbox.requests == [], "A request was sent without an idempotency key.")


async def amounts_are_exact(make: Open) -> None:
    """The vendor receives the exact amount, in currencies with any number of decimals."""
    async with make() as harness:
        for number, (amount, minor) in enumerate(_AMOUNTS):
            key = f"k-{number}"
            charge_call = harness("charge", harness.order(amount=amount), idempotency_key=key)
            currencies = harness.subject.currencies
            if currencies is not None and amount.currency not in currencies:
                await harness.refused(InvalidData | VendorRejected, charge_call, f"{amount}")
                continue
            if harness.subject.largest is not None and minor > harness.subject.largest:
                await harness.refused(
                    InvalidData, charge_call, f"More than {harness.subject.largest}"
                )
                continue
            payment = await charge_call
            written_amount = harness.subject.written(harness.last_change())
            require(written_amount == minor, f"{amount} was written as {written_amount}.")
            require(payment.amount in {amount, None}, f"{amount} was read as {payment.amount}.")


async def a_decline_says_why(make: Open) -> None:
    """The error of a declined payment has moorage's and the vendor's reason, even on a repeat."""
    async with make() as harness:
        for source, reason in (
            (harness.subject.declined, harness.subject.decline_reason),
            (harness.subject.expired, DeclineReason.EXPIRED_CARD),
        ):
            for _ in range(2 if source is not None else 0):
                charge_call = harness(
                    "charge", harness.order(source), idempotency_key=f"k-{source}"[:60]
                )
                error = await harness.refused(PaymentDeclined, charge_call, "A declined payment")
                require(
                    reason is None or error.reason == reason,
                    f"The reason of the decline is {error.reason}, not {reason}.",
                )
                require(error.reason in set(DeclineReason), f"Declined for {error.reason}.")
                require(error.vendor_code is not None, "The result lacks the vendor's code.")
                require(
                    buyer_notice(error).outcome is BuyerOutcome.DECLINED,
                    "`buyer_notice()` does not return that the payment was declined.",
                )
        require(harness.subject.charged() == 0, "A declined payment was charged.")


async def a_buyer_may_be_asked_to_confirm(make: Open) -> None:
    """A payment that waits for the buyer is not a success, and has a URL for the buyer."""
    async with make() as harness:
        operation = "charge"
        if harness.subject.asks is None:
            if PaymentsCapability.COMPLETE not in harness.capabilities:
                return
            require(
                PaymentsCapability.INTENT in harness.capabilities,
                "The subject has no `asks`, which begins a payment that waits for the buyer.",
            )
            operation = "create_intent"
        order = harness.order(harness.subject.asks)
        payment: Payment = await harness(operation, order, idempotency_key="k-1")
        require(payment.state is PaymentState.REQUIRES_ACTION, f"The payment is {payment.state}.")
        action = payment.next_action
        action_details = () if action is None else (action.url, action.token, action.fields)
        require(any(action_details), "The receipt has no next action for the buyer.")
        exposed_texts = [
            text for text in action_details if isinstance(text, str) and text in repr(payment)
        ]
        require(not exposed_texts, "The repr shows the buyer's next action.")
        require(harness.subject.charged() == 0, "The buyer was not asked.")


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error, and charges no buyer."""
    async with make() as harness:
        for number, (refusal, kind) in enumerate(harness.subject.refusals):
            answer = with_an_address(refusal)
            harness.configure(FIRST)
            harness.sandbox.fail(answer)
            charge_call = harness("charge", harness.order(), idempotency_key=f"k-{number}")
            error = await harness.refused(kind, charge_call, f"Refusal {number}")
            require(
                type(error) is kind, f"Refusal {number} is {with_article(type(error).__name__)}."
            )
            require(error.service == FIRST, "A refusal names no account.")
            outcome = buyer_notice(error).outcome
            require(outcome is not BuyerOutcome.UNKNOWN, f"Refusal {number} is unknown.")
        require(harness.subject.charged() == 0, "A refused payment was charged.")


async def a_failure_is_an_unknown_outcome(make: Open) -> None:
    """An outage or malformed response is never reported as "nothing was charged"."""
    async with make() as harness:
        answers = [Response(status, body=b"<html></html>") for status in (408, 500, 503)]
        answers += [Response(200, {"Content-Type": "application/json"}, b) for b in _MALFORMED]
        for number, answer in enumerate(answers):
            harness.sandbox.fail(answer)
            charge_call = harness("charge", harness.order(), idempotency_key=f"k-{number}")
            kinds = harness.unanswered(VendorFailed)
            error = await harness.refused(kinds, charge_call, f"{answer.body!r}")
            require(
                buyer_notice(error).outcome is BuyerOutcome.UNKNOWN,
                "An unknown outcome is reported as known.",
            )


async def a_lost_answer_charges_nothing_twice(make: Open) -> None:
    """The outcome of a payment with a lost response is unknown, and nothing is charged twice.

    Repeating its idempotency key charges only once.
    """
    async with make() as harness:
        harness.sandbox.fail(Lost())
        charge_call = harness("charge", harness.order(), idempotency_key="k-1")
        kinds = harness.unanswered(ConnectionFailed)
        error = await harness.refused(kinds, charge_call, "A lost answer")
        require(
            buyer_notice(error).outcome is BuyerOutcome.UNKNOWN,
            "An unknown outcome is reported as known.",
        )
        unsettled = Unsettled(charge=harness.order(), idempotency_key="k-1")
        settled_payment = (await harness("settle", [unsettled]))[0].unwrap()
        require(
            harness.subject.charged() == 1, "After a lost response, the payment was made twice."
        )
        require(
            settled_payment == await harness("charge", harness.order(), idempotency_key="k-1"),
            "A repeat after a settled charge returns another payment.",
        )


async def an_unreadable_success_charges_nothing_twice(make: Open) -> None:
    """The outcome of a payment with an unreadable response is unknown, and nothing is paid twice.

    A repeat with its key returns the receipt.
    """
    async with make() as harness:
        for number, body in enumerate(_MALFORMED):
            key = f"k-{number}"
            harness.sandbox.fail(AlteredAnswer(partial(with_body, body)))
            charge_call = harness("charge", harness.order(), idempotency_key=key)
            error = await harness.refused(ConnectorError, charge_call, f"{body!r}")
            require(
                buyer_notice(error).outcome is BuyerOutcome.UNKNOWN,
                "An unknown outcome is reported as known.",
            )
            unsettled = Unsettled(charge=harness.order(), idempotency_key=key)
            settled_payment = (await harness("settle", [unsettled]))[0].unwrap()
            require(harness.subject.charged() == number + 1, f"{body!r} was paid for twice.")
            repeated_payment = await harness("charge", harness.order(), idempotency_key=key)
            require(settled_payment == repeated_payment, "A repeat has another receipt.")


async def an_unreadable_step_is_completed_once(make: Open) -> None:
    """If a step's response is unreadable, repeating the idempotency key completes the operation."""
    async with make() as harness:
        part = Money("50.00", "EUR")
        for step in range(_STEPS):
            payment: Payment = await harness.held(f"a-{step}")
            if PaymentsCapability.AUTHORIZE in harness.capabilities:
                await harness.despite("capture", payment.ref, EUROS, step=step, idempotency_key="c")
            await harness.settled(payment)
            await harness.despite(
                "refund", payment.ref, part, step=step, idempotency_key=f"r-{step}"
            )
            payment_state = await harness.settled(payment)
            require(payment_state.captured == EUROS, f"{payment_state.captured} was captured.")
            harness.check_refunded(payment_state, part)
            if PaymentsCapability.VOID not in harness.capabilities:
                continue
            voided_payment: Payment = await harness.held(f"v-{step}")
            await harness.despite(
                "void", voided_payment.ref, step=step, idempotency_key=f"w-{step}"
            )
            state = (await harness.settled(voided_payment)).state
            require(state is PaymentState.VOIDED, f"A voided payment is {state}.")


async def an_unknown_state_is_no_success(make: Open) -> None:
    """An unknown payment state is reported with the vendor's word, never as success."""
    async with make() as harness:
        part = Money("5.00", "EUR")
        order = harness.order()
        payment: Payment = await harness.with_status(
            _NEW_STATE, "charge", order, idempotency_key="k-1", other_key="k-2"
        )
        require(
            payment.state is PaymentState.UNKNOWN, f"An unknown state is read as {payment.state}."
        )
        require(payment.vendor_state == _NEW_STATE, "The result lacks a new status of the vendor.")
        ref = (await harness.settled(await harness("charge", order, idempotency_key="k-1"))).ref
        if PaymentsCapability.LOOK_UP in harness.capabilities:
            payment_state: Payment = await harness.with_status(_NEW_STATE, "get", ref)
            require(
                payment_state.state is PaymentState.UNKNOWN,
                f"An unknown state is read as {payment_state.state}.",
            )
        refund: Refund = await harness.with_status(
            _NEW_STATE, "refund", ref, part, idempotency_key="r-1", other_key="r-2"
        )
        require(
            refund.state in _OPEN_STATES, f"A refund's unknown state is read as {refund.state}."
        )
        if PaymentsCapability.LOOK_UP_REFUND in harness.capabilities:
            refund = await harness.with_status(_NEW_STATE, "get_refund", refund.ref)
            require(
                refund.state in _OPEN_STATES, f"A refund's unknown state is read as {refund.state}."
            )


async def a_pending_payment_is_no_success(make: Open) -> None:
    """A payment or refund in progress is pending, not captured or refunded."""
    async with make() as harness:
        part, order = Money("5.00", "EUR"), harness.order()
        word, refund_word = harness.subject.pending, harness.subject.pending_refund
        payment: Payment = await harness.with_status(
            word, "charge", order, idempotency_key="k-1", other_key="k-2"
        )
        require(payment.state is PaymentState.PENDING, f"A pending payment is {payment.state}.")
        ref = (await harness.settled(await harness("charge", order, idempotency_key="k-1"))).ref
        if PaymentsCapability.LOOK_UP in harness.capabilities:
            payment_state: Payment = await harness.with_status(word, "get", ref)
            require(
                payment_state.state is PaymentState.PENDING,
                f"A pending payment is {payment_state.state}.",
            )
        refund: Refund = await harness.with_status(
            refund_word, "refund", ref, part, idempotency_key="r-1", other_key="r-2"
        )
        require(refund.state is MoveState.PENDING, f"A pending refund is {refund.state}.")
        if PaymentsCapability.LOOK_UP_REFUND in harness.capabilities:
            refund = await harness.with_status(refund_word, "get_refund", refund.ref)
            require(refund.state is MoveState.PENDING, f"A pending refund is {refund.state}.")


async def an_unknown_webhook_state_is_no_success(make: Open) -> None:
    """A webhook with an unknown or pending state never reports success.

    The word of the vendor decides, whatever the webhook is called.
    """
    async with make() as harness:
        payment: Payment = await harness("charge", harness.order(), idempotency_key="k-1")
        harness.subject.happen()
        ref = (await harness.settled(payment)).ref
        await harness("refund", ref, Money("50.00", "EUR"), idempotency_key="k-2")
        harness.subject.happen()
        for word, refund_word in (
            (_NEW_STATE, _NEW_STATE),
            (harness.subject.pending, harness.subject.pending_refund),
        ):
            for event in harness.events_with_unknown_words(word, refund_word):
                if event.vendor_state == word:
                    require(event.state not in _TAKEN, f"A webhook's {word!r} is {event.state}.")
                refund = event.refund
                if refund is not None and refund.vendor_state == refund_word:
                    message = f"A webhook's refund of {refund_word!r} is {refund.state}."
                    require(refund.state in _OPEN_STATES, message)


async def amounts_in_webhooks_are_exact(make: Open) -> None:
    """Payment webhooks report exact amounts in currencies with three decimals or none."""
    for amount in (Money("1.230", "KWD"), Money("500", "JPY")):
        async with make() as harness:
            try:
                await harness("charge", harness.order(amount=amount), idempotency_key="k-1")
            except (InvalidData, VendorRejected):
                continue  # the vendor cannot represent or charge it, and has reported that
            harness.subject.happen()
            for notice in harness.sandbox.sent:
                for webhook in harness.verifier(replay_guard=False).verify(**notice.arguments()):
                    for event in harness.hub.events(FIRST, webhook):
                        for stated_amount in (event.amount, event.captured):
                            message = f"{amount} is {stated_amount} in a webhook."
                            require(
                                stated_amount is None or stated_amount in {amount, amount * 0},
                                message,
                            )


async def another_account_takes_over(make: Open) -> None:
    """A payment fails over to a second account only if the first certainly charged nothing."""
    async with make() as harness:
        connection_failure = ConnectionFailed(
            "The vendor cannot be reached.", may_have_been_processed=False
        )
        harness.sandbox.fail(connection_failure)
        payment: Payment = await harness("charge", harness.order(), idempotency_key="k-1")
        require(payment.ref.account == SECOND, "No other account took over.")
        repeated_payment = await harness("charge", harness.order(), idempotency_key="k-1")
        require(
            repeated_payment == payment and harness.subject.charged() == 1,
            "A repeat charged the buyer again, or returned another payment.",
        )


async def a_possible_payment_stays_at_its_account(make: Open) -> None:
    """A payment with a lost response is never tried at another vendor, even after a reload."""
    async with make() as harness:
        harness.sandbox.fail(Lost())
        charge_call = harness("charge", harness.order(), idempotency_key="k-1")
        await harness.refused(harness.unanswered(ConnectionFailed), charge_call, "A lost answer")
        harness.configure(SECOND, FIRST)
        payment: Payment = await harness("charge", harness.order(), idempotency_key="k-1")
        require(payment.ref.account == FIRST, "Another account took over.")
        require(
            harness.subject.charged() == 1,
            "A repeat charged the buyer again, or returned another payment.",
        )
        harness.subject.happen()
        refund: Refund = await harness("refund", payment.ref, idempotency_key="r-1")
        require(refund.ref.account == FIRST, "Another account refunded the payment.")


async def options_arrive(make: Open) -> None:
    """The caller's extra options for this vendor are sent.

    Options for other vendors are ignored.
    """
    async with make() as harness:
        option, word = harness.subject.option
        extra_options = {harness.subject.vendor.name: option, "another": {"other-option": "1"}}
        await harness("charge", harness.order(extra=extra_options), idempotency_key="k-1")
        body = harness.last_change().body
        require(word in body, "An option is lost.")
        require(b"other-option" not in body, "An extra option of another vendor was sent.")


async def payment_methods_are_not_shown(make: Open) -> None:
    """No repr of an order or receipt shows the payment method, and accounts hide secrets."""
    async with make() as harness:
        order = harness.order()
        payment = await harness("charge", order, idempotency_key="k-1")
        representation = f"{order!r}{payment!r}{harness.hub.account(FIRST)!r}"
        for secret_text in (harness.subject.pays, harness.subject.secret):
            require(secret_text not in representation, "A source or a secret is shown.")


async def events_are_accepted_if_signed(make: Open) -> None:
    """Signed webhooks have the same result in any order; unsigned ones are rejected."""
    async with make() as harness:
        payment: Payment = await harness.held("k-1")
        if PaymentsCapability.AUTHORIZE in harness.capabilities:
            await harness("capture", payment.ref, EUROS, idempotency_key="k-2")
        harness.subject.happen()
        part = Money("50.00", "EUR")
        await harness("refund", payment.ref, part, idempotency_key="k-3")
        harness.subject.happen()
        for backwards in (False, True):
            payment_state = await harness.after_webhooks(payment, backwards=backwards)
            require(payment_state.captured == EUROS, f"{payment_state.captured} was captured.")
            harness.check_refunded(payment_state, part)
        payment_state = await harness.after_webhooks(await harness.after_webhooks(payment))
        harness.check_refunded(payment_state, part)
        strange_verifier = harness.verifier(strange=True, replay_guard=False)
        acceptance = in_thread(
            lambda: strange_verifier.verify(**harness.sandbox.sent[0].arguments())
        )
        await harness.refused(WebhookRejected, acceptance, "A webhook with a forged signature")


_ALL_CHECKS: Final = (
    a_payment_is_taken_once,
    a_key_is_required,
    amounts_are_exact,
    a_decline_says_why,
    a_buyer_may_be_asked_to_confirm,
    a_refusal_has_its_type,
    a_failure_is_an_unknown_outcome,
    a_lost_answer_charges_nothing_twice,
    an_unreadable_success_charges_nothing_twice,
    an_unreadable_step_is_completed_once,
    an_unknown_state_is_no_success,
    a_pending_payment_is_no_success,
    an_unknown_webhook_state_is_no_success,
    amounts_in_webhooks_are_exact,
    *MOVES,
    *MATCHES,
    *REQUESTS,
    *STORED,
    *ORDERS,
    *DISPUTES,
    *PAYEES,
    *SUBSCRIPTIONS,
    *TIMES,
    another_account_takes_over,
    a_possible_payment_stays_at_its_account,
    *REFUSALS,
    options_arrive,
    payment_methods_are_not_shown,
    events_are_accepted_if_signed,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, sync_harness)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, async_harness)
