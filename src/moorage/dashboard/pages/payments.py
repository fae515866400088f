"""The pages of unknown outcomes, and of the decision about one payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.dashboard.acts.payments import name_of, proposal_stamp, reason_of
from moorage.dashboard.layout import (
    facts,
    link,
    mark,
    moment,
    section,
    span,
    table,
)
from moorage.dashboard.markup import joined, tag
from moorage.dashboard.pages.calls import outcome_kind
from moorage.dashboard.pages.entries import queue_section
from moorage.dashboard.pages.view import Page, spaced
from moorage.dashboard.reading import next_words, result_words
from moorage.domain.entries.queue import EntryQuery, EntryState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.payments import UnsettledPayment
    from moorage.dashboard.markup import Node
    from moorage.dashboard.pages.view import View
    from moorage.dashboard.reading import Evidence
    from moorage.domain.idempotency.approval import Proposal


def unknown_page(view: View) -> Page:
    """Payments and queue entries whose outcome is unknown."""
    payments = view.reader.payments()
    sections: list[Node] = [section("Payments", _payments(view, payments))]
    for name in view.reader.boxes:
        if view.reader.count(name, EntryQuery(states={EntryState.UNKNOWN})).number:
            queue_view = view._replace(fields={"box": name, "after": view.fields.get("after", "")})
            sections.append(queue_section(queue_view, EntryState.UNKNOWN))
    return Page("Unknown outcomes", sections)


def _payments(view: View, payments: list[UnsettledPayment]) -> Node:
    if not payments:
        return tag("p", mark("all well", "good"), " The outcome of every payment is known.")
    current_time = view.reader.now()
    rows: list[list[Node]] = []
    for payment in payments:
        proposal = view.reader.proposal(payment)
        rows.append(
            [
                _payment_link(view, payment),
                payment.tenant,
                ", ".join(payment.accounts),
                moment(payment.since, current_time),
                mark(*(_next_mark(payment) if proposal is None else ("confirm", "warn"))),
                None if proposal is None else _proposal_words(proposal),
            ]
        )
    return table(("Payment", "Tenant", "Account", "First sent", "Next", "Decision"), rows)


def _proposal_words(proposal: Proposal) -> str:
    outcome = "done" if proposal.done else "not done"
    return f"{outcome}, proposed by {proposal.person}"


def _next_mark(payment: UnsettledPayment) -> tuple[str, str]:
    return {
        "wait": ("wait", "warn"),
        "person": ("decide", "bad"),
        "cipher": ("needs the cipher", "bad"),
    }.get(payment.next.value, ("ask the vendor", "warn"))


def payment_page(view: View) -> Page:
    """Return the decision page of one payment: evidence, the vendor's answer, and the decision."""
    evidence = view.reader.evidence(view.fields.get("key", ""), view.get("tenant"))
    payment, current_time = evidence.payment, view.reader.now()
    payment_fields = {"key": payment.idempotency_key, "tenant": payment.tenant}
    must_wait = payment.next.value == "wait"
    payment_facts = facts(
        [
            ("Operation", payment.operation),
            ("Amount", _amount_words(payment)),
            ("Your reference", payment.reference),
            ("Same reference", _namesakes(view, payment)),
            (_payment_title(payment), None if payment.payment is None else payment.payment.id),
            ("Account", ", ".join(payment.accounts)),
            ("Tenant", payment.tenant),
            ("Idempotency key", tag("code", payment.idempotency_key)),
            ("First sent", moment(payment.since, current_time)),
        ]
    )
    proof = (
        "A request was sent, and its outcome is unknown. Nothing here proves that it was done,"
        " and nothing proves that it was not."
    )
    step = tag("p", next_words(payment))
    ask = (
        None
        if must_wait or payment.next.value in {"person", "cipher"}
        else view.act("payment-ask", **payment_fields)
    )
    title = name_of(payment)
    return Page(
        title[0].upper() + title[1:],
        [
            section("1. The evidence", tag("p", proof), payment_facts, _attempts(view, evidence)),
            section("2. The vendor's answer", _result(payment, current_time), step, view.acts(ask)),
            section("3. The decision", _decision(view, evidence, payment_fields)),
        ],
    )


def _payment_title(payment: UnsettledPayment) -> str:
    """The name of the vendor's id of the payment that an operation changes."""
    return f"Payment of this {payment.operation}, at the vendor"


def _result(payment: UnsettledPayment, current_time: datetime) -> Node:
    """The result of the latest question to the vendor; nothing, if nobody has asked in vain."""
    question = payment.last_question
    if question is None:
        return None
    times = "once" if question.count == 1 else f"{question.count} times"
    return tag(
        "div",
        f"Asked {times} without settling it, last ",
        moment(question.at, current_time),
        f". {result_words(question)}",
        class_="notice warn",
    )


def _amount_words(payment: UnsettledPayment) -> str:
    if not payment.is_readable:
        return "sealed"
    return "all of it" if payment.amount is None else str(payment.amount)


def _namesakes(view: View, payment: UnsettledPayment) -> Node:
    """Links to the other payments of the same reference, which are easily taken for this one."""
    links = [
        tag("div", _payment_link(view, other))
        for other in view.reader.payments()
        if other.reference == payment.reference is not None
        and (other.idempotency_key, other.tenant) != (payment.idempotency_key, payment.tenant)
    ]
    return joined(*links) if links else None


def _payment_link(view: View, payment: UnsettledPayment) -> Node:
    return link(
        view.request,
        name_of(payment),
        "/payment",
        key=payment.idempotency_key,
        tenant=payment.tenant,
    )


def _attempts(view: View, evidence: Evidence) -> Node:
    current_time = view.reader.now()
    rows: list[list[Node]] = [
        [
            link(view.request, moment(call.started_at, current_time), "/call", id=call.id),
            tag("code", call.id),
            call.service,
            mark(spaced(call.status.value), outcome_kind(call)),
            call.error,
            call.http_status,
            call.attempts,
            span(call.duration),
        ]
        for call in evidence.calls
    ]
    if not rows:
        return tag("p", "The integration log has no call under this key.", class_="soft")
    columns = ("Call", "Request id", "Account", "Outcome", "Error", "HTTP", "Attempts", "Took")
    return joined(tag("h3", "Calls under this key"), table(columns, rows))


def _decision(view: View, evidence: Evidence, where: Mapping[str, Any]) -> Node:
    payment, proposal, person = evidence.payment, evidence.proposal, view.person
    look = "Look at the vendor's web page for this payment first."
    acts = ("payment-done", "payment-not-done")
    if not payment.is_readable:
        look = (
            "This page cannot read what is stored about the payment. If any process has its keys,"
            " decide there. If they are lost for ever, look at the vendor's web page first."
        )
        acts = ("payment-done-keys-lost", "payment-not-done-keys-lost")
    decide = view.acts(*(view.act(act, **where) for act in acts))
    if payment.next.value == "wait":
        decide = tag("p", f"Decide when nobody can be at work on it: in {payment.wait:.0f} s.")
    if decide is None:
        return tag("p", "You may read this page, and not decide.")
    if proposal is None:
        second = " A second person then confirms your decision." if view.four_eyes else ""
        return joined(tag("p", look + second), decide)
    outcome = "done" if proposal.done else "not done"
    words = tag(
        "div",
        tag("strong", f"{proposal.person} says that it was {outcome}."),
        f" {reason_of(proposal)}",
        f" The vendor's id of it: {proposal.receipt}." if proposal.receipt else None,
        f" ({span(proposal.age)} ago)",
        class_="notice warn",
    )
    is_proposer = person.is_same(proposal.person)
    stamp = proposal_stamp(proposal)
    return joined(
        words,
        tag("p", "You proposed this. Another person has to confirm it.") if is_proposer else None,
        view.acts(
            None if is_proposer else view.act("payment-confirm", stamp=stamp, **where),
            view.act("payment-withdraw", **where),
        ),
    )
