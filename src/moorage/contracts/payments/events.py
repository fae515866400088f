"""Events of payments, and the changes that they make to a known payment.

Laws of `advance`:

1. An older event, or an event that may be older, never undoes progress: a payment goes from open to
   authorised, voided, captured and refunded, and no total shrinks.
2. Among captured, refunded and disputed, a certainly newer event may go back, since a refund may
   fail and a dispute may be won; and to failed, since a bank may report late that a direct debit
   has failed. Among the open states, any event that is not older may.
3. A dispute begins only by an event that is not older, since it may be over by now.
4. A capture or refund is counted once, however often it is reported.
5. A payment without a vendor's id, whose reference says `unnamed`, takes the id of the first event
   that carries our own reference.
6. An event that only hints at a change alters nothing until the vendor was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from moorage.contracts.payments.states import DisputeState, MoveState, PaymentState
from moorage.contracts.payments.subscriptions import charge_of
from moorage.contracts.payments.values import Capture, Payment, Refund
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage.contracts.payments.subscriptions import Subscription, SubscriptionCharge
    from moorage.contracts.payments.values import Decline, Dispute, Payout
    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money

_Move: TypeAlias = "Capture | Refund"
M = TypeVar("M", Capture, Refund)

_RANKS: Final = {
    PaymentState.UNKNOWN: 0,
    PaymentState.REQUIRES_PAYMENT_METHOD: 1,
    PaymentState.REQUIRES_ACTION: 1,
    PaymentState.PENDING: 1,
    PaymentState.FAILED: 1,
    PaymentState.AUTHORIZED: 2,
    PaymentState.VOIDED: 3,
    PaymentState.EXPIRED: 3,
    PaymentState.PARTIALLY_CAPTURED: 4,
    PaymentState.CAPTURED: 5,
    PaymentState.PARTIALLY_REFUNDED: 6,
    PaymentState.REFUNDED: 7,
    PaymentState.DISPUTED: 8,
}
_OPEN_RANK: Final = 1
_TAKEN_RANK: Final = 5
_NOT_DONE: Final = {MoveState.FAILED, MoveState.CANCELED}
_FINAL_STATES: Final = {MoveState.SUCCEEDED, *_NOT_DONE}


@frozen(kw_only=True)
class PaymentEvent:
    """An event of a payment, capture, refund, dispute, payout or subscription, from the vendor.

    Attributes:
        id: unique id of the event.
        ref: reference of the payment at the vendor, or of the payout or the subscription.
        vendor_type: the vendor's own name of the event.
        state: state of the payment; None if the event does not state it.
        vendor_state: the vendor's own word for the state.
        at: time of the event by the vendor's clock.
        reference: our own name of the payment, if the event carries it. It finds a payment that
            gets its vendor's id only after the buyer has returned.
        amount: requested amount, if the event states it.
        authorized, captured, refunded: totals so far; None if not stated.
        decline: reason of a failed attempt.
        payment: the complete payment at that time, where the vendor sends it.
        capture, refund, dispute, payout, subscription: the object that the event is about, besides
            the payment.
        subscription_charge: charge of a subscription that succeeded or failed.
        ask: True if the event only states that the payment has changed, so that the vendor must
            be asked.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    vendor_type: str | None = None
    state: PaymentState | None = None
    vendor_state: str | None = None
    at: datetime | None = None
    reference: str | None = None
    amount: Money | None = None
    authorized: Money | None = None
    captured: Money | None = None
    refunded: Money | None = None
    decline: Decline | None = None
    payment: Payment | None = field(default=None, eq=False)
    capture: Capture | None = None
    refund: Refund | None = None
    dispute: Dispute | None = None
    payout: Payout | None = None
    subscription: Subscription | None = None
    subscription_charge: SubscriptionCharge | None = None
    ask: bool = False
    raw: Any = field(default=None, repr=False, eq=False)

    def expect(self, requested: Money) -> None:
        """Raise an error if the event's amounts differ from the requested one; call before booking.

        In a handler of the inbox the event is then kept, and waits for a person.

        Args:
            requested: requested amount.

        Raises:
            InvalidData: the amount, or the captured amount, differs.
        """
        for amount in (self.amount, self.captured):
            if amount is not None and amount != requested:
                raise InvalidData(
                    f"The requested amount of the payment {self.reference or self.ref.id} was"
                    f" {requested}, but the event reports {amount}.",
                    field="amount",
                    remedy="Check the payment in the vendor's dashboard before you book anything.",
                )


def completed_with(event: PaymentEvent, payment: Payment) -> PaymentEvent:
    """Complete an event without amounts from the payment that the vendor returned.

    The reason of a failure is taken from the event if the payment states none.
    """
    if payment.state is PaymentState.FAILED and payment.decline is None:
        payment = evolve(payment, decline=event.decline)
    return evolve(
        event,
        ask=False,
        ref=payment.ref,
        state=payment.state,
        vendor_state=payment.vendor_state,
        reference=payment.reference,
        amount=payment.amount,
        authorized=payment.authorized,
        captured=payment.captured,
        refunded=payment.refunded,
        decline=payment.decline,
        payment=payment,
        subscription_charge=charge_of(payment),
    )


def state_of(
    amount: Money | None, captured: Money | None, refunded: Money | None
) -> PaymentState | None:
    """The state of a payment with these totals; None if nothing was captured.

    Args:
        amount: requested amount, or the most that will be captured.
        captured: captured total.
        refunded: refunded total.
    """
    if captured is None or captured.minor <= 0:
        return None
    if refunded is not None and refunded.minor > 0:
        is_complete = refunded.minor >= captured.minor
        return PaymentState.REFUNDED if is_complete else PaymentState.PARTIALLY_REFUNDED
    is_complete = amount is None or captured.minor >= amount.minor
    return PaymentState.CAPTURED if is_complete else PaymentState.PARTIALLY_CAPTURED


def advance(before: Payment, update: Payment | PaymentEvent) -> Payment:
    """The payment after an event or a newer response, even if it arrives late.

    Args:
        before: the known payment.
        update: an event or a payment from a response; for an event with a complete payment,
            that payment is used.

    Raises:
        InvalidData: the event is of another payment.
    """
    if isinstance(update, PaymentEvent):
        update = _as_payment(before, update)
    if _identity(before.ref) != _identity(update.ref):
        if not _is_same_payment(before.ref, update):
            raise InvalidData(
                "The event belongs to another payment.",
                field="update",
                remedy="Look up the payment that `reference` of the event names.",
            )
        before = evolve(before, ref=update.ref)
    is_later = _is_later(before, update)
    captures = _merge_moves(before.captures, update.captures, is_later=is_later)
    refunds = _merge_moves(before.refunds, update.refunds, is_later=is_later)
    later_payment = evolve(
        before,
        captures=captures,
        refunds=refunds,
        # A capture reduces the authorised amount, even if it is reported late.
        authorized=(update.captures and update.authorized) or before.authorized,
        captured=_total(before.captured, before.captures, captures),
        refunded=_total(before.refunded, before.refunds, refunds),
    )
    derived_state = state_of(before.amount, later_payment.captured, later_payment.refunded)
    is_moved = captures != before.captures or refunds != before.refunds
    if (
        derived_state is not None
        and is_moved
        and _is_progress(before.state, derived_state, is_later=is_later)
    ):
        later_payment = evolve(later_payment, state=derived_state, next_action=None)
    captured_total = _larger_total(later_payment.captured, update.captured)
    has_failed_refund = any(refund.state in _NOT_DONE for refund in refunds)
    refunded_amount = (
        later_payment.refunded
        if has_failed_refund
        else _larger_total(later_payment.refunded, update.refunded)
    )
    if update.state is PaymentState.UNKNOWN or not _is_progress(
        later_payment.state, update.state, is_later=is_later
    ):
        later_payment = evolve(later_payment, captured=captured_total, refunded=refunded_amount)
        return later_payment if is_moved or later_payment != before else before
    update_fields = {
        name: value
        for name in ("vendor_state", "amount", "authorized", "captured", "refunded", "decline")
        if (value := getattr(update, name)) is not None
    }
    if is_later is not True:
        update_fields |= {"captured": captured_total, "refunded": refunded_amount}
    completed_fields = {
        name: getattr(update, name) or getattr(before, name)
        for name in (
            "means",
            "client_token",
            "reference",
            "subscription",
            "created_at",
            "authorized_until",
        )
    }
    return evolve(
        later_payment,
        state=update.state,
        next_action=update.next_action,
        as_of=before.as_of if is_later is False else update.as_of or before.as_of,
        raw=update.raw,
        **update_fields,
        **completed_fields,
    )


def _larger_total(before: Money | None, after: Money | None) -> Money | None:
    """A total after an event, although the event may be older than the total or incomplete."""
    if before is None or after is None:
        return after if before is None else before
    return max(before, after)


def _is_same_payment(ref: Ref, update: Payment) -> bool:
    """True if an event has the vendor's id for a payment known only by its reference so far."""
    same_account = (ref.vendor, ref.account) == (update.ref.vendor, update.ref.account)
    return same_account and ref.other("unnamed") is not None and ref.id == update.reference


def _as_payment(before: Payment, event: PaymentEvent) -> Payment:
    if event.payment is not None:
        return evolve(event.payment, as_of=event.payment.as_of or event.at)
    state = event.state or PaymentState.UNKNOWN
    if _is_withdrawn(event.dispute) and before.state is PaymentState.DISPUTED:
        state = state_of(before.amount, before.captured, before.refunded) or PaymentState.CAPTURED
    return Payment(
        ref=event.ref,
        state=state,
        vendor_state=event.vendor_state,
        amount=event.amount,
        reference=event.reference,
        authorized=event.authorized,
        captured=event.captured,
        refunded=event.refunded,
        decline=event.decline,
        captures=() if event.capture is None else (event.capture,),
        refunds=() if event.refund is None else (event.refund,),
        as_of=event.at,
        raw=event.raw,
    )


def _is_withdrawn(dispute: Dispute | None) -> bool:
    return dispute is not None and dispute.state in {DisputeState.WON, DisputeState.CLOSED}


def _is_progress(before: PaymentState, after: PaymentState, *, is_later: bool | None) -> bool:
    rank_before, rank_after = _RANKS[before], _RANKS[after]
    if after is PaymentState.DISPUTED:
        return is_later is not False
    if rank_after > rank_before or before is after:
        return is_later is not False or rank_after > rank_before
    if rank_before == rank_after == _OPEN_RANK:
        return is_later is not False
    may_go_back = rank_after >= _TAKEN_RANK or after is PaymentState.FAILED
    return rank_before >= _TAKEN_RANK and may_go_back and is_later is True


def _is_later(before: Payment, update: Payment) -> bool | None:
    """True if the event is newer than the known payment; None if that is unknown."""
    if before.as_of is None or update.as_of is None or before.as_of == update.as_of:
        return None
    return update.as_of > before.as_of


def _merge_moves(
    earlier_moves: tuple[M, ...], reported_moves: Iterable[M], *, is_later: bool | None
) -> tuple[M, ...]:
    """Merge captures or refunds by id; an old event never reopens a finished object."""
    by_id = {_identity(move.ref): move for move in earlier_moves}
    for move in reported_moves:
        known_move = by_id.get(_identity(move.ref))
        if (
            known_move is None
            or known_move.state not in _FINAL_STATES
            or (move.state in _FINAL_STATES and is_later)
        ):
            by_id[_identity(move.ref)] = move
    return tuple(by_id.values())


def _total(
    stated_total: Money | None, before: tuple[_Move, ...], after: tuple[_Move, ...]
) -> Money | None:
    """The total captured or refunded, updated by the changed states of captures or refunds.

    The vendor's total may already include changes that the single entries do not show.
    """
    sum_before, sum_after = _sum(before), _sum(after)
    if sum_before == sum_after:
        return stated_total
    if sum_after is None:
        sum_after = sum_before and sum_before * 0
    counted_minor = 0 if sum_before is None else sum_before.minor
    if stated_total is None or sum_after is None or stated_total.minor == counted_minor:
        return sum_after
    return max(stated_total, sum_after)


def _sum(moves: tuple[_Move, ...]) -> Money | None:
    amounts = [
        move.amount
        for move in moves
        if move.state is MoveState.SUCCEEDED and move.amount is not None
    ]
    return sum(amounts[1:], amounts[0]) if amounts else None


def _identity(ref: Ref) -> tuple[str, str, str]:
    return ref.vendor, ref.account, ref.id
