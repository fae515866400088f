"""The page of a payment whose outcome was unknown and has been settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.dashboard.layout import button, facts, moment, section, state_mark, table
from moorage.dashboard.markup import tag
from moorage.dashboard.pages.calls import key_calls
from moorage.dashboard.pages.view import Page
from moorage.dashboard.payment_words import capitalize, name_of

if TYPE_CHECKING:
    from moorage.dashboard.markup import Node
    from moorage.dashboard.pages.view import PageContext
    from moorage.dashboard.reading import ClosedPayment, Decision

_ACTS = {
    "settle": "asked the vendor",
    "withdraw": "withdrew the proposal",
    "reject": "rejected the proposal",
}


def closed_page(view: PageContext, payment: ClosedPayment) -> Page:
    """Return the page of a closed payment: its outcome, who decided it, and its calls."""
    done_payment, current_time = payment.done, view.reader.now()
    name = f"payment {payment.key}" if done_payment is None else name_of(done_payment)
    outcome_facts = facts(
        [
            ("Outcome", state_mark(*_outcome(payment))),
            ("Its id at the vendor", None if done_payment is None else done_payment.receipt_id),
            (
                "Settled",
                None if done_payment is None else moment(done_payment.at, current_time),
            ),
            ("Your reference", None if done_payment is None else done_payment.reference),
            ("Tenant", payment.tenant),
            ("Idempotency key", tag("code", payment.key)),
        ]
    )
    return Page(
        capitalize(name),
        [
            section(
                "The outcome",
                outcome_facts,
                tag("p", _outcome_words(payment)),
                tag("p", button(view.request, "All unknown outcomes", "/unknown")),
            ),
            section("Who decided", _decisions(view, payment)),
            section("The evidence", key_calls(view, payment.calls)),
        ],
    )


def _closing_decision(payment: ClosedPayment) -> Decision | None:
    """Return the decision that closed the payment; None if a request was sent after it."""
    decision = next(
        (item for item in payment.decisions if item.act == "close" and item.error is None), None
    )
    if decision is None:
        return None
    is_sent_again = any(call.attempts and call.started_at > decision.at for call in payment.calls)
    return None if is_sent_again else decision


def _outcome(payment: ClosedPayment) -> tuple[str, str]:
    if payment.done is not None:
        return "done", "good"
    decision = _closing_decision(payment)
    if decision is None:
        return "not unknown", "good"
    return ("done", "good") if decision.done else ("closed as not done", "good")


def _outcome_words(payment: ClosedPayment) -> str:
    """Return the sentence that states the consequence of a payment's outcome."""
    if payment.done is not None:
        return (
            "Every later call with this idempotency key gets this receipt, and the vendor is"
            " not called again."
        )
    decision = _closing_decision(payment)
    if decision is None or decision.done:
        return (
            "No call with this idempotency key has an unknown outcome. The calls below show"
            " what is known."
        )
    return "Your program's next call with this idempotency key carries out the operation."


def _decisions(view: PageContext, payment: ClosedPayment) -> Node:
    current_time = view.reader.now()
    rows: list[list[Node]] = [
        [moment(item.at, current_time), item.person, _decision_words(item), item.reason]
        for item in payment.decisions
    ]
    if not rows:
        words = "The audit trail has no decision of a person about this payment."
        return tag("p", words, class_="soft")
    return table(("When", "Person", "Decision", "Reason"), rows)


def _decision_words(decision: Decision) -> str:
    if decision.error is not None:
        return f"{decision.act} failed ({decision.error})"
    outcome = "done" if decision.done else "not done"
    words = {"propose": f"proposed: {outcome}", "close": f"closed as {outcome}", **_ACTS}
    return words.get(decision.act, decision.act)
