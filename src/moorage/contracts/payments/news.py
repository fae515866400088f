"""News of payments, and what they change in what is known.

Laws of `advance`:

1. What happened is never taken back by news that is older, or may be: a payment goes forward from
   open to authorised, given up, captured, given back, and no total shrinks.
2. Among captured, given back and disputed only news that is certainly newer goes back, since a
   refund may fail and a dispute may be won; among the open states, any that is not older.
3. A dispute begins only by news that is not older, since it may be over by now.
4. A capture or refund is counted once, however often it is told of.
5. A payment that the vendor had no name for yet, whose reference says `unnamed`, takes the name
   that the first news of our own reference has.
6. News that only say that there are some change nothing, until the vendor was asked.
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
    from moorage.domain.money import Money

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
    """News of a payment, a capture, a refund, a dispute or a payout.

    Attributes:
        id: what tells this news from any other.
        ref: the payment at the vendor; of a payout, the payout.
        vendor_type: what happened, in the vendor's word.
        state: how far the payment has come; None if the news says nothing of that by itself.
        vendor_state: the same in the vendor's word.
        at: when, by the vendor's clock.
        reference: our own word for the payment, if the news says it: a payment that the vendor
            names only after the buyer has come back is found by it.
        amount: what was asked for, if the news says it.
        authorized, captured, refunded: how much of it has come so far, in all; None is not said.
        decline: why a try failed.
        payment: all of the payment as it was then, where the vendor says it.
        capture, refund, dispute, payout: what it is about besides the payment.
        ask: the news only says that something has changed, and the vendor is to be asked what.
        raw: all that the vendor said.
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
        """Refuse news of an amount that was not asked, before anything is booked by it.

        In a handler of the inbox the news is kept then, and waits for a person.

        Args:
            asked: what was to be paid.

        Raises:
            InvalidData: the amount, or what was captured, is another.
        """
        for told in (self.amount, self.captured):
            if told is not None and told != asked:
                raise InvalidData(
                    f"{self.reference or self.ref.id} was to be {asked}, not {told}.",
                    field="amount",
                    remedy="Look at the payment at the vendor; book nothing until then.",
                )


def told_by(event: PaymentEvent, payment: Payment) -> PaymentEvent:
    """The news that an event only hinted at, by what the vendor said when it was asked."""
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
    """The state of a payment of which this much was captured and given back; None if nothing was.

    Args:
        amount: what was asked for, or is the most that will be captured.
        captured: how much was captured, in all.
        refunded: how much was given back, in all.
    """
    if captured is None or captured.minor <= 0:
        return None
    if refunded is not None and refunded.minor > 0:
        whole = refunded.minor >= captured.minor
        return PaymentState.REFUNDED if whole else PaymentState.PARTIALLY_REFUNDED
    whole = amount is None or captured.minor >= amount.minor
    return PaymentState.CAPTURED if whole else PaymentState.PARTIALLY_CAPTURED


def advance(before: Payment, news: Payment | PaymentEvent) -> Payment:
    """What is known of a payment after news of it, however late they are.

    Args:
        before: what was known.
        news: what an event or an answer says; of an event with a whole payment, that is taken.

    Raises:
        InvalidData: the news are of another payment.
    """
    if isinstance(news, PaymentEvent):
        news = _as_payment(before, news)
    if _thing(before.ref) != _thing(news.ref):
        if not _is_named_by(before.ref, news):
            raise InvalidData(
                "These are news of another payment.",
                field="news",
                remedy="Find the payment that the reference of the news names.",
            )
        before = attrs.evolve(before, ref=news.ref)
    later = _is_later(before, news)
    captures = _joined(before.captures, news.captures, later=later)
    refunds = _joined(before.refunds, news.refunds, later=later)
    taken = attrs.evolve(
        before,
        captures=captures,
        refunds=refunds,
        # What a capture sets free was authorised no longer, whenever that is told.
        authorized=(news.captures and news.authorized) or before.authorized,
        captured=_total(before.captured, before.captures, captures),
        refunded=_total(before.refunded, before.refunds, refunds),
    )
    derived = state_of(before.amount, taken.captured, taken.refunded)
    moved = captures != before.captures or refunds != before.refunds
    if derived is not None and moved and _goes_on(before.state, derived, later=later):
        taken = attrs.evolve(taken, state=derived, next_action=None)
    captured = _grown(taken.captured, news.captured)
    lost = any(one.state in _NOT_DONE for one in refunds)
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
    """A total after news that may be older, and may be of what the newest did not mention."""
    if known is None or told is None:
        return told if known is None else known
    return max(known, told)


def _is_named_by(ref: Ref, news: Payment) -> bool:
    """Whether a payment that went by our own reference has a name of the vendor's at last."""
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
    """Whether news are newer than what is known; None if nobody can say."""
    if before.as_of is None or news.as_of is None or before.as_of == news.as_of:
        return None
    return news.as_of > before.as_of


def _joined(known: tuple[M, ...], told: Iterable[M], *, later: bool | None) -> tuple[M, ...]:
    """Every capture or refund once; one that is over is not taken for open again by old news."""
    by_id = {_thing(move.ref): move for move in known}
    for move in told:
        before = by_id.get(_thing(move.ref))
        if before is None or before.state not in _OVER or (move.state in _OVER and later):
            by_id[_thing(move.ref)] = move
    return tuple(by_id.values())


def _total(said: Money | None, before: tuple[_Move, ...], after: tuple[_Move, ...]) -> Money | None:
    """A total, changed by what has become of single captures or refunds.

    A total of the vendor's that has more than is known singly may have these already.
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
