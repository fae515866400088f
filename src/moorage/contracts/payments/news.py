"""Events of payments, and the changes that they make to a known payment.

Laws of `advance`:

1. An older event, or one that may be older, never takes progress back: a payment goes from open to
   authorised, voided, captured and refunded, and no total shrinks.
2. Among captured, refunded and disputed, a certainly newer event may go back, since a refund may
   fail and a dispute may be won. Among the open states, any event that is not older may.
3. A dispute begins only by an event that is not older, since it may be over by now.
4. A capture or refund is counted once, however often it is reported.
5. A payment without a vendor's id, whose reference says `unnamed`, takes the id of the first event
   that carries our own reference.
6. An event that only hints at a change alters nothing until the vendor was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import attrs

from moorage.contracts.payments.states import DisputeState, MoveState, PaymentState
from moorage.contracts.payments.values import Capture, Payment, Refund
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

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
_OPEN: Final = 1
_TAKEN: Final = 5
_NOT_DONE: Final = {MoveState.FAILED, MoveState.CANCELED}
_OVER: Final = {MoveState.SUCCEEDED, *_NOT_DONE}


@attrs.frozen(kw_only=True)
class PaymentEvent:
    """An event of a payment, capture, refund, dispute or payout, reported by the vendor.

    Attributes:
        id: unique id of the event.
        ref: reference of the payment at the vendor, or of the payout.
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
        capture, refund, dispute, payout: the object that the event is about, besides the payment.
        ask: True if the event only says that something has changed, so that the vendor must be
            asked.
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
    payment: Payment | None = attrs.field(default=None, eq=False)
    capture: Capture | None = None
    refund: Refund | None = None
    dispute: Dispute | None = None
    payout: Payout | None = None
    ask: bool = False
    raw: Any = attrs.field(default=None, repr=False, eq=False)

    def expect(self, asked: Money) -> None:
        """Raise unless the event's amounts equal the requested amount; call it before booking.

        In a handler of the inbox the event is then kept, and waits for a person.

        Args:
            asked: requested amount.

        Raises:
            InvalidData: the amount, or the captured amount, differs.
        """
        for told in (self.amount, self.captured):
            if told is not None and told != asked:
                raise InvalidData(
                    f"The requested amount of {self.reference or self.ref.id} is {asked},"
                    f" but the event says {told}.",
                    field="amount",
                    remedy="Look at the payment at the vendor; book nothing until then.",
                )


def told_by(event: PaymentEvent, payment: Payment) -> PaymentEvent:
    """Complete an event that only hints at a change with the payment that the vendor returned."""
    return attrs.evolve(
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
    )


def state_of(
    amount: Money | None, captured: Money | None, refunded: Money | None
) -> PaymentState | None:
    """The state that follows from the totals of a payment; None if nothing was captured.

    Args:
        amount: requested amount, or the most that will be captured.
        captured: captured total.
        refunded: refunded total.
    """
    if captured is None or captured.minor <= 0:
        return None
    if refunded is not None and refunded.minor > 0:
        whole = refunded.minor >= captured.minor
        return PaymentState.REFUNDED if whole else PaymentState.PARTIALLY_REFUNDED
    whole = amount is None or captured.minor >= amount.minor
    return PaymentState.CAPTURED if whole else PaymentState.PARTIALLY_CAPTURED


def advance(before: Payment, news: Payment | PaymentEvent) -> Payment:
    """The payment after an event or a newer answer, however late it arrives.

    Args:
        before: the known payment.
        news: an event or an answer; of an event with a complete payment, that payment is used.

    Raises:
        InvalidData: the event is of another payment.
    """
    if isinstance(news, PaymentEvent):
        news = _as_payment(before, news)
    if _thing(before.ref) != _thing(news.ref):
        if not _is_named_by(before.ref, news):
            raise InvalidData(
                "The event belongs to another payment.",
                field="news",
                remedy="Find the payment that the reference of the event names.",
            )
        before = attrs.evolve(before, ref=news.ref)
    later = _is_later(before, news)
    captures = _joined(before.captures, news.captures, later=later)
    refunds = _joined(before.refunds, news.refunds, later=later)
    taken = attrs.evolve(
        before,
        captures=captures,
        refunds=refunds,
        # A capture reduces the authorised amount, whenever it is reported.
        authorized=(news.captures and news.authorized) or before.authorized,
        captured=_total(before.captured, before.captures, captures),
        refunded=_total(before.refunded, before.refunds, refunds),
    )
    derived = state_of(before.amount, taken.captured, taken.refunded)
    moved = captures != before.captures or refunds != before.refunds
    if derived is not None and moved and _goes_on(before.state, derived, later=later):
        taken = attrs.evolve(taken, state=derived, next_action=None)
    captured = _grown(taken.captured, news.captured)
    lost = any(refund.state in _NOT_DONE for refund in refunds)
    refunded = taken.refunded if lost else _grown(taken.refunded, news.refunded)
    if news.state is PaymentState.UNKNOWN or not _goes_on(taken.state, news.state, later=later):
        taken = attrs.evolve(taken, captured=captured, refunded=refunded)
        return taken if moved or taken != before else before
    said = {
        name: value
        for name in ("vendor_state", "amount", "authorized", "captured", "refunded", "decline")
        if (value := getattr(news, name)) is not None
    }
    if later is not True:
        said |= {"captured": captured, "refunded": refunded}
    kept = {
        name: getattr(news, name) or getattr(before, name)
        for name in ("means", "client_token", "reference", "created_at", "authorized_until")
    }
    return attrs.evolve(
        taken,
        state=news.state,
        next_action=news.next_action,
        as_of=before.as_of if later is False else news.as_of or before.as_of,
        raw=news.raw,
        **said,
        **kept,
    )


def _grown(known: Money | None, told: Money | None) -> Money | None:
    """A total after an event that may be older, or may not include the newest changes."""
    if known is None or told is None:
        return told if known is None else known
    return max(known, told)


def _is_named_by(ref: Ref, news: Payment) -> bool:
    """True if the event carries the vendor's id of a payment known only by our own reference."""
    same = (ref.vendor, ref.account) == (news.ref.vendor, news.ref.account)
    return same and ref.other("unnamed") is not None and ref.id == news.reference


def _as_payment(before: Payment, event: PaymentEvent) -> Payment:
    if event.payment is not None:
        return attrs.evolve(event.payment, as_of=event.payment.as_of or event.at)
    state = event.state or PaymentState.UNKNOWN
    if _was_given_up(event.dispute) and before.state is PaymentState.DISPUTED:
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


def _was_given_up(dispute: Dispute | None) -> bool:
    return dispute is not None and dispute.state in {DisputeState.WON, DisputeState.CLOSED}


def _goes_on(before: PaymentState, after: PaymentState, *, later: bool | None) -> bool:
    was, comes = _RANKS[before], _RANKS[after]
    if after is PaymentState.DISPUTED:
        return later is not False
    if comes > was or before is after:
        return later is not False or comes > was
    if was == comes == _OPEN:
        return later is not False
    return min(was, comes) >= _TAKEN and later is True


def _is_later(before: Payment, news: Payment) -> bool | None:
    """True if the event is newer than the known payment; None if that is unknown."""
    if before.as_of is None or news.as_of is None or before.as_of == news.as_of:
        return None
    return news.as_of > before.as_of


def _joined(known: tuple[M, ...], told: Iterable[M], *, later: bool | None) -> tuple[M, ...]:
    """Merge captures or refunds by id; an old event does not reopen a finished one."""
    by_id = {_thing(move.ref): move for move in known}
    for move in told:
        before = by_id.get(_thing(move.ref))
        if before is None or before.state not in _OVER or (move.state in _OVER and later):
            by_id[_thing(move.ref)] = move
    return tuple(by_id.values())


def _total(said: Money | None, before: tuple[_Move, ...], after: tuple[_Move, ...]) -> Money | None:
    """A total, updated by the changed states of single captures or refunds.

    The vendor's total may already include changes that the single entries do not show.
    """
    known, total = _sum(before), _sum(after)
    if known == total:
        return said
    if total is None:
        total = known and known * 0
    counted = 0 if known is None else known.minor
    if said is None or total is None or said.minor == counted:
        return total
    return max(said, total)


def _sum(moves: tuple[_Move, ...]) -> Money | None:
    amounts = [
        move.amount
        for move in moves
        if move.state is MoveState.SUCCEEDED and move.amount is not None
    ]
    return sum(amounts[1:], amounts[0]) if amounts else None


def _thing(ref: Ref) -> tuple[str, str, str]:
    return ref.vendor, ref.account, ref.id
