"""The pages of payments with an unknown outcome, and of the decision about one payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.dashboard.acts.payments import proposal_stamp, reason_of
from moorage.dashboard.layout import (
    facts,
    link,
    moment,
    section,
    span,
    state_mark,
    table,
)
from moorage.dashboard.markup import join_nodes, tag
from moorage.dashboard.pages.calls import key_calls
from moorage.dashboard.pages.closed import closed_page
from moorage.dashboard.pages.entries import queue_section
from moorage.dashboard.pages.view import Page
from moorage.dashboard.payment_words import (
    ASKABLE,
    listing_words,
    name_of,
    next_mark,
    next_words,
    noun_of,
    result_words,
    too_early_words,
    vendor_of,
)
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.errors import ConnectorError
from moorage.services.monitoring.unknown_calls import RECENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.payments import UnsettledPayment
    from moorage.dashboard.markup import Node
    from moorage.dashboard.pages.view import PageContext
    from moorage.dashboard.reading import Evidence
    from moorage.domain.idempotency.approval import Proposal
    from moorage.services.contracts.done_payments import DonePayment


def unknown_page(view: PageContext) -> Page:
    """Return the page of payments, other calls and queue entries whose outcome is unknown."""
    payments = view.reader.payments()
    sections: list[Node] = [
        section("Payments", _payments(view, payments)),
        section("Other calls", _calls(view)),
    ]
    for name in view.reader.boxes:
        if view.reader.count(name, EntryQuery(states={EntryState.UNKNOWN})).number:
            # The filter and the page of one queue do not apply to another queue.
            fields = {"box": name, **(view.fields if view.get("box") == name else {})}
            queue_view = view._replace(fields=fields)
            sections.append(queue_section(queue_view, EntryState.UNKNOWN))
    return Page("Unknown outcomes", sections)


def _payments(view: PageContext, payments: list[UnsettledPayment]) -> Node:
    if not payments:
        words = " The outcome of every payment of the payments contract is known."
        return tag("p", state_mark("all well", "good"), words)
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
                state_mark(*(next_mark(payment) if proposal is None else ("confirm", "warn"))),
                None if proposal is None else _proposal_words(proposal),
            ]
        )
    return table(("Payment", "Tenant", "Account", "First sent", "Next", "Decision"), rows)


def _calls(view: PageContext) -> Node:
    """Return calls with an unknown outcome that are not payments, for a person to settle."""
    if view.reader.log is None:
        words = "Without an integration log, this page cannot show calls of other services."
        return tag("p", words, class_="soft")
    calls = view.reader.unknown_calls()
    if not calls:
        words = (
            f"No call of the last {RECENT.days} days in the integration log has an unknown outcome"
            " to settle."
        )
        return tag("p", words, class_="soft")
    current_time = view.reader.now()
    rows: list[list[Node]] = [
        [
            link(view.request, moment(call.started_at, current_time), "/call", id=call.id),
            call.service,
            call.operation,
            call.tenant,
            tag("code", call.idempotency_key),
        ]
        for call in calls
    ]
    return join_nodes(
        table(("Began", "Service", "Operation", "Tenant", "Idempotency key"), rows),
        tag(
            "p",
            "Check at the vendor whether each call was done, then tell moorage the outcome with ",
            tag("code", "moorage keys resolve"),
            ".",
        ),
    )


def _proposal_words(proposal: Proposal) -> str:
    outcome = "done" if proposal.done else "not done"
    return f"{outcome}, proposed by {proposal.person}"


def payment_page(view: PageContext) -> Page:
    """Return the decision page of one payment: evidence, the vendor's answer, and the decision."""
    key, tenant = view.fields.get("key", ""), view.get("tenant")
    evidence = view.reader.open_evidence(key, tenant)
    if evidence is None:
        return closed_page(view, view.reader.closed(key, tenant))
    payment, current_time = evidence.payment, view.reader.now()
    payment_fields = {"key": payment.idempotency_key, "tenant": payment.tenant}
    payment_facts = facts(
        [
            ("Operation", payment.operation),
            ("Amount", _amount_words(payment)),
            ("Your reference", payment.reference),
            ("Same reference", _same_reference_links(view, payment)),
            (_payment_title(payment), None if payment.payment is None else payment.payment.id),
            ("Vendor", ", ".join(payment.vendors)),
            ("Account", ", ".join(payment.accounts)),
            ("Tenant", payment.tenant),
            ("Idempotency key", tag("code", payment.idempotency_key)),
            ("First sent", moment(payment.since, current_time)),
        ]
    )
    proof = (
        "A request was sent, and its outcome is unknown. Nothing on this page proves that the"
        " operation was done, and nothing proves that it was not done."
    )
    ask_act = view.act("payment-ask", **payment_fields) if payment.next in ASKABLE else None
    order = (
        "First ask the vendor (2). Only if the answer does not settle the outcome, look at"
        " the vendor's web page and decide (3)."
    )
    title = name_of(payment)
    return Page(
        title[0].upper() + title[1:],
        [
            section(
                "1. The evidence",
                tag("p", proof),
                None if ask_act is None else tag("p", order),
                payment_facts,
                key_calls(view, evidence.calls),
            ),
            section(
                "2. The vendor's answer",
                _result(payment, current_time),
                _paragraph(listing_words(payment, current_time)),
                tag("p", next_words(payment)),
                view.acts(ask_act),
            ),
            section("3. The decision", _decision(view, evidence, payment_fields)),
        ],
    )


def _paragraph(words: str | None) -> Node:
    return None if words is None else tag("p", words)


def _payment_title(payment: UnsettledPayment) -> str:
    """Return the label for the vendor's id of the payment that an operation changes."""
    return f"Payment of this {payment.operation}, at the vendor"


def _result(payment: UnsettledPayment, current_time: datetime) -> Node:
    """Return the result of the latest look-up that did not settle the payment; None without one."""
    last_question = payment.last_question
    if last_question is None:
        return None
    times = "once" if last_question.count == 1 else f"{last_question.count} times"
    return tag(
        "div",
        f"The vendor was asked {times}, and did not settle the outcome; last ",
        moment(last_question.at, current_time),
        f". {result_words(payment, last_question)}",
        class_="notice warn",
    )


def _amount_words(payment: UnsettledPayment) -> str:
    if not payment.is_readable:
        return "sealed"
    return "the whole amount" if payment.amount is None else str(payment.amount)


def _same_reference_links(view: PageContext, payment: UnsettledPayment) -> Node:
    """Return links to other payments with the same reference, which are easily confused."""
    if payment.reference is None:
        return None
    links: list[Node] = [
        tag("div", _payment_link(view, other_payment), ": unknown")
        for other_payment in view.reader.payments()
        if other_payment.reference == payment.reference
        and (other_payment.idempotency_key, other_payment.tenant)
        != (payment.idempotency_key, payment.tenant)
    ]
    try:
        done_payments = view.reader.recently_done(payment.reference)
    except ConnectorError as error:
        done_payments = []
        links.append(tag("div", f"Settled payments cannot be read: {error}"))
    for done_payment in done_payments:
        receipt = "" if done_payment.receipt_id is None else f", as {done_payment.receipt_id}"
        links.append(tag("div", _payment_link(view, done_payment), f": done{receipt}"))
    return join_nodes(*links) if links else None


def _payment_link(view: PageContext, payment: UnsettledPayment | DonePayment) -> Node:
    return link(
        view.request,
        name_of(payment),
        "/payment",
        key=payment.idempotency_key,
        tenant=payment.tenant,
    )


def _decision(view: PageContext, evidence: Evidence, where: Mapping[str, Any]) -> Node:
    payment, proposal, person = evidence.payment, evidence.proposal, view.person
    noun = noun_of(payment)
    advice = f"First look for this {noun} on the web page of {vendor_of(payment)}."
    acts = ("payment-done", "payment-not-done")
    if payment.is_proven_absent:
        acts = ("payment-not-done", "payment-done")
    if not payment.is_readable:
        advice = (
            "This page cannot decrypt what is stored about the payment. If any process has"
            " the encryption keys, decide on a page of that process. If the encryption keys are"
            " lost for ever, look at the vendor's web page first, then decide below."
        )
        acts = ("payment-done-keys-lost", "payment-not-done-keys-lost")
    decide = view.acts(*(view.act(act, **where) for act in acts))
    if payment.next.value == "wait":
        decide = tag(
            "p",
            f"You can decide in {payment.wait:.0f} s. Until then, the program that sent the"
            " request may still be working on it.",
        )
    if decide is None:
        return tag("p", "You may read this page, but you have no permission to decide.")
    if proposal is None:
        second_person_note = (
            " A second person then confirms your decision." if view.four_eyes else ""
        )
        return join_nodes(
            tag("p", advice + second_person_note), _not_done_warning(view, payment), decide
        )
    outcome = "done" if proposal.done else "not done"
    words = tag(
        "div",
        tag("strong", f"{proposal.person} says that the operation was {outcome}."),
        f" {reason_of(proposal)}",
        f" Its id at the vendor: {proposal.receipt}." if proposal.receipt else None,
        f" ({span(proposal.age)} ago)",
        class_="notice warn",
    )
    if person.is_same(proposal.person):
        hint = "You proposed this outcome. Another person has to confirm it."
        return join_nodes(words, tag("p", hint), view.acts(view.act("payment-withdraw", **where)))
    return join_nodes(
        words,
        None if proposal.done else _not_done_warning(view, payment),
        tag(
            "p",
            f"Confirm this only if you have looked at the web page of {vendor_of(payment)}"
            " yourself.",
        ),
        view.acts(
            view.act("payment-confirm", stamp=proposal_stamp(proposal), **where),
            view.act("payment-reject", **where),
        ),
    )


def _not_done_warning(view: PageContext, payment: UnsettledPayment) -> Node:
    """Return the warning to show before an operator records a payment as not made, or None."""
    warning = too_early_words(payment, view.reader.now())
    if warning is None:
        return None
    return tag("div", tag("strong", "Not done? "), warning, class_="notice warn")
