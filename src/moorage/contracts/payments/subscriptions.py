"""Subscriptions: amounts that a vendor regularly charges to a stored means of payment."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments.requests import (
    Customer,
    check_amount,
    check_currency,
    is_amount,
    is_reference,
    is_short,
    is_source,
)
from moorage.contracts.payments.states import MoveState, PaymentState
from moorage.contracts.payments.vendor import PaymentsCapability
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import OneOf, is_a, is_maybe, is_maybe_filled, is_moment
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    import attrs

    from moorage.contracts.payments.values import NextAction, Payment
    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money

_MAX_COUNT: Final = 1_000_000
_CHARGES: Final = {
    PaymentState.CAPTURED: MoveState.SUCCEEDED,
    PaymentState.FAILED: MoveState.FAILED,
    PaymentState.EXPIRED: MoveState.FAILED,
    PaymentState.VOIDED: MoveState.CANCELED,
}


class IntervalUnit(OneOf, field="unit"):
    """The unit of a billing interval."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class SubscriptionState(StrEnum):
    """The state of a subscription.

    `pending` waits for the buyer's consent, or for the first charge; `trialing` is not charged
    before its start; `past_due` has a charge that failed, and `paused` is not charged for now.
    `canceled` and `completed` are charged no more.
    """

    PENDING = "pending"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    CANCELED = "canceled"
    COMPLETED = "completed"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """True if the subscription is charged no more."""
        return self in {self.CANCELED, self.COMPLETED}


def check_quantity(value: object, field: str) -> None:
    """Refuse any value except a whole number from one to a million."""
    if type(value) is not int or not 0 < value <= _MAX_COUNT:
        raise InvalidData(
            f"The {field} must be a whole number from 1 to {_MAX_COUNT:,}.",
            field=field,
            remedy="Give a whole number, such as 1.",
        )


def _is_quantity(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_quantity(value, attribute.name)


@frozen
class BillingInterval:
    """The time between two charges of a subscription, such as `BillingInterval("month", 3)`.

    Attributes:
        unit: unit, also as a string such as "month".
        count: number of units.
    """

    unit: IntervalUnit = field(converter=IntervalUnit)
    count: int = field(default=1, validator=_is_quantity)


@frozen
class SubscriptionRequest:
    """A subscription to create.

    Attributes:
        amount: amount of one charge, for one piece.
        interval: time between two charges.
        source: the vendor's id of the stored means of payment, never a card number; None if the
            buyer enters one, and consents, on a page of the vendor.
        customer: the buyer; with the vendor's id if there is a source.
        reference: your own name of the subscription, such as a contract number.
        quantity: number of pieces; more than one needs a vendor with the capability
            `subscription_quantity`.
        description: text for the buyer; by default the reference.
        starts_at: time of the first charge, in the future; None to charge immediately. Vendors that
            charge by days take the day in UTC.
        return_url: URL that the buyer returns to from the vendor's page, where the vendor has one.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    amount: Money = field(validator=is_amount)
    interval: BillingInterval = field(validator=is_a(BillingInterval))
    source: str | None = field(
        default=None, validator=[is_maybe(str), is_source, is_short], repr=False
    )
    customer: Customer | None = field(default=None, kw_only=True, validator=is_maybe(Customer))
    reference: str = field(validator=[is_a(str), is_reference], kw_only=True)
    quantity: int = field(default=1, kw_only=True, validator=_is_quantity)
    description: str | None = field(
        default=None, kw_only=True, validator=[is_maybe_filled, is_short]
    )
    starts_at: datetime | None = field(default=None, kw_only=True, validator=is_moment)
    return_url: str | None = field(default=None, kw_only=True, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, kw_only=True, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a source without the vendor's id of its customer."""
        if self.source is not None and not self.customer_id:
            raise InvalidData(
                "A subscription that uses a stored means of payment must name the buyer's"
                " customer id at the vendor.",
                field="customer.id",
                remedy="Give the customer id that the vendor assigned to the buyer.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this subscription."""
        capabilities = subscription_needs(None if self.quantity == 1 else self.quantity)
        if self.source is None:
            return capabilities | {PaymentsCapability.SUBSCRIPTION_CONSENT}
        return capabilities | {PaymentsCapability.SUBSCRIPTION_SOURCE}

    @property
    def customer_id(self) -> str:
        """The vendor's id of the buyer; empty if there is none."""
        return "" if self.customer is None else self.customer.id or ""


@frozen(kw_only=True)
class Subscription:
    """A subscription at a vendor; a value that the vendor does not state is None.

    Attributes:
        ref: reference of the subscription, for looking it up, changing and cancelling it.
        state: state of the subscription.
        vendor_state: the vendor's own word for the state.
        amount: amount of one charge, for one piece.
        quantity: number of pieces.
        interval: time between two charges.
        customer: the vendor's id of the buyer.
        source: the vendor's id of the stored means of payment.
        reference: your own name of the subscription.
        starts_at: time of the first charge.
        next_charge_at: time of the next charge, in UTC; midnight where the vendor states a day.
        ends_at: time at which the subscription ends or has ended.
        created_at: time of creation.
        next_action: step in which the buyer consents to the subscription, or to a change of it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: SubscriptionState
    vendor_state: str | None = None
    amount: Money | None = None
    quantity: int | None = None
    interval: BillingInterval | None = None
    customer: str | None = None
    source: str | None = field(default=None, repr=False)
    reference: str | None = None
    starts_at: datetime | None = None
    next_charge_at: datetime | None = None
    ends_at: datetime | None = None
    created_at: datetime | None = field(default=None, eq=False)
    next_action: NextAction | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class SubscriptionCharge:
    """A charge of a subscription, as an event reports it.

    Attributes:
        id: the vendor's id of the charge, by which you notice that it is reported again.
        subscription: reference of the subscription.
        state: `succeeded` if the subscription was renewed, `failed` if the charge failed, and
            `canceled` if it will not be made.
        amount: charged amount, or the amount that was to be charged.
        payment: reference of the payment, if the vendor states it.
        next_attempt_at: time at which the vendor tries again after a failure.
    """

    id: str
    subscription: Ref
    state: MoveState
    amount: Money | None = None
    payment: Ref | None = None
    next_attempt_at: datetime | None = None


def charge_of(payment: Payment) -> SubscriptionCharge | None:
    """Return the payment as a charge of its subscription; None if it is not a finished charge."""
    state = _CHARGES.get(payment.state)
    if payment.subscription is None or state is None:
        return None
    return SubscriptionCharge(
        id=payment.ref.id,
        subscription=payment.subscription,
        state=state,
        amount=payment.amount,
        payment=payment.ref,
    )


def subscription_needs(quantity: int | None) -> frozenset[str]:
    """The capabilities that a vendor needs for a subscription.

    Args:
        quantity: requested number of pieces; None if it is not requested.
    """
    capabilities = {PaymentsCapability.SUBSCRIPTIONS}
    return frozenset(
        capabilities
        if quantity is None
        else {*capabilities, PaymentsCapability.SUBSCRIPTION_QUANTITY}
    )


def check_change(ref: Ref, amount: object, quantity: object) -> None:
    """Refuse a change without a new value, or with an invalid amount or quantity.

    Args:
        ref: reference of the subscription, which records its currency.
        amount: new amount; None to leave it.
        quantity: new quantity; None to leave it.

    Raises:
        InvalidData: nothing is to be changed, or a value is wrong.
    """
    if amount is None and quantity is None:
        raise InvalidData(
            "The change of the subscription must have an amount or a quantity.",
            field="amount",
            remedy="Give the new amount, the new quantity, or both.",
        )
    if amount is not None:
        check_currency(check_amount(amount), ref.other("currency"))
    if quantity is not None:
        check_quantity(quantity, "quantity")
