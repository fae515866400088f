"""Checks of subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.payments import (
    BillingInterval,
    Customer,
    Money,
    MoveState,
    PaymentsCapability,
    SubscriptionRequest,
    SubscriptionState,
)
from moorage.errors import ConnectionFailed, InvalidData, VendorFailed, VendorRejected
from moorage.testing.kits._contract_harness import with_body
from moorage.testing.kits._payments_harness import FIRST, Harness
from moorage.testing.kits._payments_stored import FAR
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SlowAnswer

if TYPE_CHECKING:
    from moorage.contracts.payments import Subscription, SubscriptionCharge
    from moorage.contracts.ref import Ref

Open: TypeAlias = Callable[[], Harness]

_AMOUNT: Final = Money("20.05", "EUR")
_BUYER: Final = Customer(name="Ada Byron", email="ada@erp.example", phone="+919000090000")
_QUARTER: Final = BillingInterval("month", 3)
_YEAR: Final = BillingInterval("year")
_NEW_WORD: Final = "levitated"


def subscription_request(harness: Harness, **fields: Any) -> SubscriptionRequest:
    """Return a request for a subscription paid with the subject's stored payment method."""
    source, customer = harness.subject.subscriber or (None, _BUYER)
    values: dict[str, Any] = {
        "amount": _AMOUNT,
        "interval": _QUARTER,
        "source": source,
        "customer": customer,
        "reference": "SUB-7",
        "return_url": "https://shop.example/back",
        **fields,
    }
    return SubscriptionRequest(**values)


async def consented_subscription(harness: Harness, subscription: Subscription) -> Subscription:
    """Return a subscription after the buyer has taken the next action, if any."""
    if subscription.next_action is None:
        return subscription
    consent: Any = harness.subject.consent
    require(consent is not None, "The subject has no buyer who could consent.")
    consent(subscription.ref.id)
    current: Subscription = await harness("get_subscription", subscription.ref)
    require(current.next_action is None, "A buyer who has consented is asked again.")
    return current


async def a_subscription_is_created_once(make: Open) -> None:
    """A subscription is created once per idempotency key, and can be looked up."""
    async with make() as harness:
        if PaymentsCapability.SUBSCRIPTIONS not in harness.capabilities:
            return
        request = subscription_request(harness)
        missing_call = harness("create_subscription", request, idempotency_key=None)
        await harness.refused(InvalidData, missing_call, "A subscription without a key")
        count = len(harness.sandbox.requests)
        created: Subscription = await harness("create_subscription", request, idempotency_key="s-0")
        steps = len(harness.sandbox.requests) - count
        require(
            request.source or created.next_action,
            "A buyer without a stored payment method is not asked to pay.",
        )
        _check_new(await consented_subscription(harness, created), request)
        ids = {created.ref.id}
        for step in range(steps):
            key = f"s-{step + 1}"
            next_request = attrs.evolve(request, reference=f"SUB-{step + 8}")
            harness.sandbox.fail(*[SlowAnswer(0.0)] * step, Lost())
            lost_call = harness("create_subscription", next_request, idempotency_key=key)
            await harness.refused(ConnectionFailed, lost_call, "A lost answer")
            repeated: Subscription = await harness(
                "create_subscription", next_request, idempotency_key=key
            )
            ids.add(repeated.ref.id)
        subscription_ids = {
            item.ref.id for item in (await harness("list_subscriptions", account=FIRST)).items
        }
        require(
            subscription_ids == ids and len(ids) == steps + 1,
            "The vendor does not have exactly one subscription per idempotency key.",
        )
        current: Subscription = await harness("get_subscription", created.ref)
        require(current.ref == created.ref, "Another subscription was looked up.")
        _check_new(current, request)
        require(current.next_action is None, "A buyer who has consented is asked again.")
        yearly = subscription_request(harness, interval=_YEAR, reference="SUB-year")
        charged_yearly: Subscription = await harness(
            "create_subscription", yearly, idempotency_key="s-y"
        )
        require(
            charged_yearly.interval == _YEAR,
            f"An interval of a year is read as {charged_yearly.interval}.",
        )
        harness.sandbox.fail(AlteredAnswer(partial(with_body, b"{}")))
        broken_call = harness(
            "create_subscription", attrs.evolve(request, reference="SUB-x"), idempotency_key="s-x"
        )
        await harness.refused(VendorFailed, broken_call, "An empty answer")


def _check_new(subscription: Subscription, request: SubscriptionRequest) -> None:
    """Check that a new subscription has the requested properties."""
    state = subscription.state
    require(state is SubscriptionState.ACTIVE, f"A new subscription is {state}.")
    require(subscription.amount == request.amount, f"{_AMOUNT} became {subscription.amount}.")
    require(
        subscription.interval == request.interval,
        f"The subscription's interval is {subscription.interval}.",
    )
    require(
        subscription.quantity in {None, 1},
        f"A subscription to one piece has the quantity {subscription.quantity}.",
    )
    require(subscription.reference == request.reference, "The reference is lost.")
    require(subscription.next_charge_at is not None, "The next charge has no time.")
    require(subscription.raw, "The result lacks the vendor's raw response.")
    source = request.source
    require(not source or source not in f"{request!r}{subscription!r}", "A source is shown.")


async def a_buyer_consents_to_a_subscription(make: Open) -> None:
    """A subscription without payment source waits for the buyer at a URL, which no repr shows."""
    async with make() as harness:
        if PaymentsCapability.SUBSCRIPTION_CONSENT not in harness.capabilities:
            return
        request = subscription_request(harness, source=None)
        created: Subscription = await harness("create_subscription", request, idempotency_key="s-1")
        state, action = created.state, created.next_action
        require(state is SubscriptionState.PENDING, f"A subscription without consent is {state}.")
        require(created.amount == request.amount, f"{_AMOUNT} became {created.amount}.")
        require(
            created.interval == request.interval,
            f"The subscription's interval is {created.interval}.",
        )
        require(created.next_charge_at is None, "A subscription without consent is charged.")
        url = "" if action is None else action.url or ""
        require(url.startswith("https://"), f"The buyer has no URL but {url!r}.")
        require(url not in repr(created), "The buyer's URL is shown.")
        waiting_subscription: Subscription = await harness("get_subscription", created.ref)
        require(
            waiting_subscription.next_action == action,
            "A buyer who has not consented has another step.",
        )
        subscription = await consented_subscription(harness, waiting_subscription)
        require(
            subscription.state is SubscriptionState.ACTIVE,
            f"After the consent, the subscription is {subscription.state}.",
        )


async def a_subscription_starts_later(make: Open) -> None:
    """A subscription with a start date is not charged earlier."""
    async with make() as harness:
        if PaymentsCapability.SUBSCRIPTIONS not in harness.capabilities:
            return
        request = subscription_request(harness, starts_at=FAR)
        requested: Subscription = await harness(
            "create_subscription", request, idempotency_key="s-1"
        )
        created = await consented_subscription(harness, requested)
        state = created.state
        require(
            state is SubscriptionState.TRIALING, f"A subscription that starts later is {state}."
        )
        require(
            created.next_charge_at == FAR,
            f"The subscription is charged at {created.next_charge_at}.",
        )


async def a_subscription_is_changed(make: Open) -> None:
    """A change of a subscription takes effect, and an invalid one is refused before sending."""
    async with make() as harness:
        if PaymentsCapability.SUBSCRIPTIONS not in harness.capabilities:
            return
        ref = await _new_subscription(harness)
        count = len(harness.sandbox.requests)
        change = partial(harness, "change_subscription", ref)
        await harness.refused(
            InvalidData, change(idempotency_key="c-1"), "A change without any new value"
        )
        foreign_call = change(amount=Money("5", "CHF"), idempotency_key="c-2")
        await harness.refused(InvalidData, foreign_call, "An amount in another currency")
        require(len(harness.sandbox.requests) == count, "A wrong change was sent.")
        new_amount = Money("30.10", "EUR")
        changed_subscription = await consented_subscription(
            harness, await change(amount=new_amount, idempotency_key="c-3")
        )
        require(
            changed_subscription.amount == new_amount,
            f"{new_amount} became {changed_subscription.amount}.",
        )
        if PaymentsCapability.SUBSCRIPTION_QUANTITY in harness.capabilities:
            larger_subscription = await consented_subscription(
                harness, await change(quantity=4, idempotency_key="c-4")
            )
            require(
                (larger_subscription.quantity, larger_subscription.amount) == (4, new_amount),
                "The quantity is lost.",
            )
        current: Subscription = await harness("get_subscription", ref)
        require(current.amount == new_amount, "The change is lost.")
        require(current.interval == _QUARTER, f"The interval became {current.interval}.")


async def a_subscription_ends(make: Open) -> None:
    """A cancelled subscription is not charged or changed any more, and stays cancelled."""
    async with make() as harness:
        if PaymentsCapability.SUBSCRIPTIONS not in harness.capabilities:
            return
        ref = await _new_subscription(harness)
        if PaymentsCapability.SUBSCRIPTION_PERIOD_END in harness.capabilities:
            ending: Subscription = await harness(
                "cancel_subscription", ref, at_period_end=True, idempotency_key="x-1"
            )
            state = ending.state
            require(
                state is SubscriptionState.ACTIVE, f"A subscription that ends later is {state}."
            )
            require(ending.ends_at is not None, "The end has no time.")
            require(ending.next_charge_at is None, "A subscription that ends is charged again.")
        harness.sandbox.fail(Lost())
        lost_call = harness("cancel_subscription", ref, idempotency_key="x-2")
        await harness.refused(ConnectionFailed, lost_call, "A lost answer")
        for key in ("x-2", "x-3"):
            ended_subscription: Subscription = await harness(
                "cancel_subscription", ref, idempotency_key=key
            )
            state = ended_subscription.state
            require(state is SubscriptionState.CANCELED, f"A cancelled subscription is {state}.")
            require(
                ended_subscription.next_charge_at is None,
                "A cancelled subscription is charged again.",
            )
        late_call = harness("change_subscription", ref, amount=_AMOUNT, idempotency_key="x-4")
        await harness.refused(VendorRejected, late_call, "A change of a cancelled subscription")
        unknown_ref = attrs.evolve(ref, id="unknown")
        for operation in ("cancel_subscription", "change_subscription"):
            fields: dict[str, Any] = {} if operation[1] == "a" else {"amount": _AMOUNT}
            unknown_call = harness(operation, unknown_ref, idempotency_key=operation, **fields)
            await harness.refused(VendorRejected, unknown_call, f"An unknown {operation}")


async def an_unknown_subscription_state_is_unknown(make: Open) -> None:
    """A subscription's unknown state is reported as unknown."""
    async with make() as harness:
        if PaymentsCapability.SUBSCRIPTIONS not in harness.capabilities:
            return
        ref = await _new_subscription(harness)
        changed_subscription: Subscription = await harness.with_status(
            _NEW_WORD, "get_subscription", ref, in_all=True
        )
        require(
            changed_subscription.state is SubscriptionState.UNKNOWN,
            f"An unknown state is read as {changed_subscription.state}.",
        )


async def charges_of_a_subscription_are_reported(make: Open) -> None:
    """Webhooks report a subscription's renewals and failed charges, with amounts."""
    async with make() as harness:
        if PaymentsCapability.SUBSCRIPTIONS not in harness.capabilities:
            return
        ref = await _new_subscription(harness)
        count = len(harness.sandbox.sent)
        if harness.subject.renew is not None:
            harness.subject.renew(ref.id, True)
            harness.subject.renew(ref.id, False)
        charges: list[SubscriptionCharge] = []
        verifier = harness.verifier(replay_guard=False)
        for notice in harness.sandbox.sent[count:]:
            for webhook in verifier.verify(**notice.arguments()):
                for event in harness.hub.events(FIRST, webhook):
                    event_state = await harness("follow_up", event)
                    charge = event_state.subscription_charge
                    if charge is not None and charge not in charges:
                        charges.append(charge)
        states = [charge.state for charge in charges]
        require(states == [MoveState.SUCCEEDED, MoveState.FAILED], f"Reported were {states}.")
        require(
            {charge.subscription for charge in charges} == {ref},
            "A different subscription was charged.",
        )
        require({charge.amount for charge in charges} == {_AMOUNT}, "The amount is wrong.")
        require(len({charge.id for charge in charges}) == len(charges), "Charges share an id.")


async def _new_subscription(harness: Harness) -> Ref:
    request = subscription_request(harness)
    created: Subscription = await harness("create_subscription", request, idempotency_key="s-1")
    return (await consented_subscription(harness, created)).ref


SUBSCRIPTIONS: Final = (
    a_subscription_is_created_once,
    a_buyer_consents_to_a_subscription,
    a_subscription_starts_later,
    a_subscription_is_changed,
    a_subscription_ends,
    an_unknown_subscription_state_is_unknown,
    charges_of_a_subscription_are_reported,
)
