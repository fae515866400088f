"""Results of payment operations: payments, captures, refunds, disputes and payouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from moorage.contracts.payments.brands import card_brand
from moorage.contracts.payments.states import (
    DeclineReason,
    DisputeState,
    MoveState,
    NextActionType,
    PaymentState,
    PayoutState,
)
from moorage.contracts.replays import replay_field
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money

T = TypeVar("T")


@frozen(kw_only=True)
class NextAction:
    """The step that the buyer has to take before the payment can continue.

    Attributes:
        type: kind of step.
        url: URL to send the buyer to, for `redirect` and `post`.
        method: HTTP method for the URL, "GET" or "POST".
        fields: fields to post there, or values for the vendor's SDK or a page, in the vendor's
            terms.
        token: token for the vendor's SDK in the browser.
        expires_at: time until which the step can be taken.
        vendor_type: the vendor's own word for `type`.
    """

    type: NextActionType
    url: str | None = field(default=None, repr=False)
    method: str = "GET"
    fields: Mapping[str, Any] = field(factory=no_options, repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    vendor_type: str | None = None


@frozen(kw_only=True)
class Decline:
    """The reason for a decline, in the contract's terms and in the vendor's own."""

    reason: DeclineReason
    vendor_code: str | None = None
    vendor_message: str | None = None


@frozen(kw_only=True)
class MeansOfPayment:
    """A means of payment, such as a card, without secret details.

    Attributes:
        type: the vendor's own word, such as "card".
        brand: brand of a card under the same name at every vendor: "visa", "mastercard", "amex",
            "diners", "unionpay", "cartes_bancaires", "eftpos_au", or the vendor's word in lower
            case.
        last4, expires: last digits and expiry (year and month) of a card.
        wallet: wallet that held the card, in the vendor's own word.
        stored: the vendor's id of the means, if it is stored for later.
    """

    type: str | None = None
    brand: str | None = field(default=None, converter=card_brand)
    last4: str | None = field(default=None, repr=False)
    expires: tuple[int, int] | None = field(default=None, repr=False)
    wallet: str | None = None
    stored: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Capture:
    """A capture: authorised money that is collected.

    Attributes:
        ref: reference of the capture at the vendor; the payment's own where captures have no id.
        payment: reference of the payment.
        state: state of the capture; `pending` if requested and not yet done.
        vendor_state: the vendor's own word for the state.
        amount: captured amount.
        reason: the vendor's reason of a failure.
        at: time of the capture, if the vendor states it.
        after: the payment after the capture, where the vendor returns it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    payment: Ref
    state: MoveState
    vendor_state: str | None = None
    amount: Money | None = None
    reason: str | None = None
    at: datetime | None = field(default=None, eq=False)
    after: Payment | None = field(default=None, eq=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Refund:
    """A refund: money returned to the buyer.

    Attributes:
        ref: reference of the refund at the vendor.
        payment: reference of the payment; None if the vendor does not state it.
        state: state of the refund; `pending` if requested and not yet done.
        vendor_state: the vendor's own word for the state.
        amount: refunded amount.
        reason: the vendor's reason of a failure.
        at: time of the refund, if the vendor states it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    payment: Ref | None
    state: MoveState
    vendor_state: str | None = None
    amount: Money | None = None
    reason: str | None = None
    at: datetime | None = field(default=None, eq=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Void:
    """A void: the cancellation of an authorised payment.

    Attributes:
        ref: reference of the void at the vendor; the payment's own where voids have no id.
        payment: reference of the payment.
        state: state of the void; `pending` if requested and not yet done.
        vendor_state: the vendor's own word for the state.
        after: the payment after the void, where the vendor returns it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    payment: Ref
    state: MoveState
    vendor_state: str | None = None
    after: Payment | None = field(default=None, eq=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Payment:
    """A payment at a vendor; a value that the vendor does not state is None.

    Attributes:
        ref: reference of the payment, for later operations on it.
        state: state of the payment.
        vendor_state: the vendor's own word for the state.
        amount: requested amount.
        authorized, captured, refunded: totals so far.
        next_action: step that the buyer has to take first.
        decline: reason of the last failed attempt.
        client_token: token for the vendor's SDK in the browser.
        means: means of payment.
        reference: our own name of the payment, as stored by the vendor.
        captures, refunds: single captures and refunds that the vendor's response or event contains.
            Some vendors list all of them with each payment, others none, so an empty tuple proves
            nothing: `refunded` is the total, and no operation lists the refunds of a payment. Keep
            the reference of each `Refund` that `refund()` returns, and pass it to `get_refund()`.
        subscription: reference of the subscription that this payment is a charge of, if the vendor
            states it.
        created_at: time of creation.
        authorized_until: time at which the authorisation expires.
        as_of: time at which this state was current, by the vendor's clock.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: PaymentState
    vendor_state: str | None = None
    amount: Money | None = None
    authorized: Money | None = None
    captured: Money | None = None
    refunded: Money | None = None
    next_action: NextAction | None = None
    decline: Decline | None = None
    client_token: str | None = field(default=None, repr=False)
    means: MeansOfPayment | None = None
    reference: str | None = None
    captures: tuple[Capture, ...] = field(default=(), eq=False)
    refunds: tuple[Refund, ...] = field(default=(), eq=False)
    subscription: Ref | None = None
    created_at: datetime | None = field(default=None, eq=False)
    authorized_until: datetime | None = field(default=None, eq=False)
    as_of: datetime | None = field(default=None, eq=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def authorised(self) -> Money | None:
        """The value of `authorized`, in British spelling."""
        return self.authorized

    @property
    def remaining(self) -> Money | None:
        """The amount that can still be captured."""
        if self.state not in {PaymentState.AUTHORIZED, PaymentState.PARTIALLY_CAPTURED}:
            return None if self.amount is None else self.amount * 0
        if self.authorized is None or self.captured is None:
            return self.authorized
        return max(self.authorized - self.captured, self.authorized * 0)

    @property
    def refundable(self) -> Money | None:
        """The amount that can still be refunded."""
        if self.captured is None or self.refunded is None:
            return self.captured
        return max(self.captured - self.refunded, self.captured * 0)


@frozen(kw_only=True)
class Dispute:
    """A dispute: the buyer or their bank demands the money back.

    Attributes:
        ref: reference of the dispute at the vendor.
        payment: reference of the payment; None if the vendor does not state it.
        state: state of the dispute.
        vendor_state: the vendor's own word for the state.
        amount: disputed amount.
        reason: the vendor's own word for the reason.
        respond_by: deadline for evidence.
        created_at: time of creation.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    payment: Ref | None
    state: DisputeState
    vendor_state: str | None = None
    amount: Money | None = None
    reason: str | None = None
    respond_by: datetime | None = None
    created_at: datetime | None = field(default=None, eq=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Payout:
    """A payout: money transferred from the vendor to your bank.

    Attributes:
        ref: reference of the payout at the vendor.
        state: state of the payout.
        vendor_state: the vendor's own word for the state.
        amount: amount; negative if it is withdrawn from your bank.
        arrives: expected date of arrival.
        reason: the vendor's reason of a failure.
        created_at: time of creation.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: PayoutState
    vendor_state: str | None = None
    amount: Money | None = None
    arrives: datetime | None = None
    reason: str | None = None
    created_at: datetime | None = field(default=None, eq=False)
    raw: Any = field(default=None, repr=False, eq=False)


@frozen
class Page(Generic[T]):
    """One page of a list at a vendor.

    Attributes:
        items: items of this page.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[T, ...]
    next: Ref | None = None
