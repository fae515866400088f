"""What vendors say of payments, captures, refunds, disputes and payouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from moorage.contracts.payments.states import (
    DeclineReason,
    DisputeState,
    MoveState,
    NextActionType,
    PaymentState,
    PayoutState,
)
from moorage.contracts.vendor import no_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.domain.money import Money

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class NextAction:
    """What the buyer has to do before the payment can go on.

    Attributes:
        type: how they are brought to it.
        url: where to send them, for `redirect` and `post`.
        method: how, "GET" or "POST".
        fields: what to post there, or what the vendor's SDK or a page needs, in the vendor's words.
        token: what the vendor's SDK in the browser takes.
        expires_at: until when.
        vendor_type: the vendor's word for `type`.
    """

    type: NextActionType
    url: str | None = attrs.field(default=None, repr=False)
    method: str = "GET"
    fields: Mapping[str, Any] = attrs.field(factory=no_options, repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    expires_at: datetime | None = None
    vendor_type: str | None = None


@attrs.frozen(kw_only=True)
class Decline:
    """Why a payment was declined: our reason, and the vendor's code and words."""

    reason: DeclineReason
    vendor_code: str | None = None
    vendor_message: str | None = None


@attrs.frozen(kw_only=True)
class MeansOfPayment:
    """What was paid with, as far as anybody may know.

    Attributes:
        type: the vendor's word, such as "card".
        brand, last4, expires: of a card; `expires` is its year and month.
        wallet: the wallet that it was in.
        stored: the vendor's id of it, if it is kept for later.
    """

    type: str | None = None
    brand: str | None = None
    last4: str | None = attrs.field(default=None, repr=False)
    expires: tuple[int, int] | None = attrs.field(default=None, repr=False)
    wallet: str | None = None
    stored: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Capture:
    """Money that was authorised, taken.

    Attributes:
        ref: the capture at the vendor; the payment itself where captures have no id.
        payment: the payment that it belongs to.
        state: what became of it; asked for is `pending`, and not taken yet.
        vendor_state: the same in the vendor's word.
        amount: how much.
        reason: why it failed, in the vendor's word.
        at: when, if the vendor says.
        after: the payment as it then was, where the vendor says.
        raw: all that the vendor said.
    """

    ref: Ref
    payment: Ref
    state: MoveState
    vendor_state: str | None = None
    amount: Money | None = None
    reason: str | None = None
    at: datetime | None = attrs.field(default=None, eq=False)
    after: Payment | None = attrs.field(default=None, eq=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Refund:
    """Money given back.

    Attributes:
        ref: the refund at the vendor.
        payment: the payment that it belongs to; None if the vendor does not say.
        state: what became of it; asked for is `pending`, and not given back yet.
        vendor_state: the same in the vendor's word.
        amount: how much.
        reason: why it failed, in the vendor's word.
        at: when, if the vendor says.
        raw: all that the vendor said.
    """

    ref: Ref
    payment: Ref | None
    state: MoveState
    vendor_state: str | None = None
    amount: Money | None = None
    reason: str | None = None
    at: datetime | None = attrs.field(default=None, eq=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Void:
    """An authorisation that was given up.

    Attributes:
        ref: the giving up at the vendor; the payment itself where it has no id.
        payment: the payment.
        state: what became of it; asked for is `pending`, and not given up yet.
        vendor_state: the same in the vendor's word.
        after: the payment as it then was, where the vendor says.
        raw: all that the vendor said.
    """

    ref: Ref
    payment: Ref
    state: MoveState
    vendor_state: str | None = None
    after: Payment | None = attrs.field(default=None, eq=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Payment:
    """What a vendor says of a payment; None is what it does not say.

    Attributes:
        ref: the payment at the vendor, for whatever is done to it later.
        state: how far it has come.
        vendor_state: the same in the vendor's word.
        amount: what was asked for.
        authorized, captured, refunded: how much of it has come so far, in all.
        next_action: what the buyer has to do first.
        decline: why the last try failed.
        client_token: what the vendor's SDK in the browser takes.
        means: what was paid with.
        reference: our own word for it, as the vendor keeps it.
        captures, refunds: the single ones, as far as they are known.
        created_at: when it was made.
        authorized_until: when the authorisation lapses.
        as_of: the moment of which all this is true, by the vendor's clock.
        raw: all that the vendor said.
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
    client_token: str | None = attrs.field(default=None, repr=False)
    means: MeansOfPayment | None = None
    reference: str | None = None
    captures: tuple[Capture, ...] = attrs.field(default=(), eq=False)
    refunds: tuple[Refund, ...] = attrs.field(default=(), eq=False)
    created_at: datetime | None = attrs.field(default=None, eq=False)
    authorized_until: datetime | None = attrs.field(default=None, eq=False)
    as_of: datetime | None = attrs.field(default=None, eq=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)

    @property
    def authorised(self) -> Money | None:
        """The same as `authorized`."""
        return self.authorized

    @property
    def remaining(self) -> Money | None:
        """What can still be captured."""
        if self.state not in {PaymentState.AUTHORIZED, PaymentState.PARTIALLY_CAPTURED}:
            return None if self.amount is None else self.amount * 0
        if self.authorized is None or self.captured is None:
            return self.authorized
        return max(self.authorized - self.captured, self.authorized * 0)

    @property
    def refundable(self) -> Money | None:
        """What can still be given back."""
        if self.captured is None or self.refunded is None:
            return self.captured
        return max(self.captured - self.refunded, self.captured * 0)


@attrs.frozen(kw_only=True)
class Dispute:
    """A payment that the buyer, or their bank, wants back.

    Attributes:
        ref: the dispute at the vendor.
        payment: what it is about; None if the vendor does not say.
        state: how far it has come.
        vendor_state: the same in the vendor's word.
        amount: how much is disputed.
        reason: why, in the vendor's word.
        respond_by: until when evidence is taken.
        created_at: when it began.
        raw: all that the vendor said.
    """

    ref: Ref
    payment: Ref | None
    state: DisputeState
    vendor_state: str | None = None
    amount: Money | None = None
    reason: str | None = None
    respond_by: datetime | None = None
    created_at: datetime | None = attrs.field(default=None, eq=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Payout:
    """Money on its way from the vendor to our bank.

    Attributes:
        ref: the payout at the vendor.
        state: how far it has come.
        vendor_state: the same in the vendor's word.
        amount: how much; negative is taken from our bank.
        arrives: when it is expected there.
        reason: why it failed, in the vendor's word.
        created_at: when it began.
        raw: all that the vendor said.
    """

    ref: Ref
    state: PayoutState
    vendor_state: str | None = None
    amount: Money | None = None
    arrives: datetime | None = None
    reason: str | None = None
    created_at: datetime | None = attrs.field(default=None, eq=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen
class Page(Generic[T]):
    """Some of many, and where the next of them begin.

    Attributes:
        items: these.
        next: what to ask for the following page with; None after the last.
    """

    items: tuple[T, ...]
    next: Ref | None = None
