"""The actions on payments with an unknown outcome."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import KIND, SettledAs
from moorage.dashboard.acts.action_kinds import Act, always_permit
from moorage.dashboard.payment_words import (
    id_label,
    name_of,
    next_step_sentence,
    next_words,
    noun_of,
    result_words,
    too_early_words,
    vendor_of,
)
from moorage.dashboard.people import Group
from moorage.domain.idempotency.approval import Proposal, Propose
from moorage.errors import InvalidData
from moorage.hub.internals import core_of
from moorage.runtime.flows import run_now
from moorage.services.calling.manual_operations import ManualAct, perform_recorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.contracts.payments import UnsettledPayment
    from moorage.dashboard.acts.action_kinds import ActContext

_PROPOSALS: Final = 400
"""Characters of a proposal's reason that are stored."""


def _payment(context: ActContext) -> UnsettledPayment:
    return context.reader.evidence(context.required_value("key"), context.get("tenant")).payment


def _ask_vendor(context: ActContext) -> str:
    payment = _payment(context)
    settlement = context.reader.hub.settle_payment(
        payment.idempotency_key,
        tenant=payment.tenant,
        actor=context.person.name,
        reason=context.reason,
    )
    if settlement is None:
        return _still_unknown_words(_payment(context), context.reader.now())
    receipt = "" if settlement.receipt is None else f", as {settlement.receipt.ref.id}"
    return {
        SettledAs.DONE: f"The vendor says that the {name_of(payment)} was done{receipt}. It is"
        " settled.",
        SettledAs.REFUSED: f"The vendor says that the {name_of(payment)} was refused. It is"
        " settled.",
        SettledAs.NOT_DONE: f"The {name_of(payment)} was never sent. It is settled as not done.",
    }[settlement.outcome]


def _still_unknown_words(payment: UnsettledPayment, now: datetime) -> str:
    """Return the message after a look-up that did not settle the payment."""
    text = f"The outcome of the {name_of(payment)} is still unknown."
    last_question = payment.last_question
    if last_question is None:
        return (
            f"{text} Another request for this operation was sent in the meantime. Ask the"
            " vendor again later."
        )
    step_sentence = next_step_sentence(payment, last_question, now)
    return f"{text} {result_words(payment, last_question)} {step_sentence}"


def _close(
    context: ActContext,
    payment: UnsettledPayment,
    *,
    done: bool,
    receipt: str,
    keys_lost: bool,
) -> str:
    context.reader.hub.close_payment(
        payment.idempotency_key,
        done=done,
        receipt=receipt or None,
        tenant=payment.tenant,
        keys_lost=keys_lost,
        actor=context.person.name,
        reason=context.reason,
    )
    core = core_of(context.reader.hub.manager)
    run_now(core.execute(_proposal_handler(payment, None), None))
    if not done:
        return (
            f"The {name_of(payment)} is closed as not done. If your program calls again with"
            f" its idempotency key {payment.idempotency_key}, the operation is carried out."
        )
    done_payments = context.reader.done([(payment.tenant, payment.idempotency_key)])
    ids = "".join(f", as {item.receipt_id}" for item in done_payments if item.receipt_id)
    return f"The {name_of(payment)} is closed as done{ids}."


def _proposal_handler(payment: UnsettledPayment, proposal: Proposal | None) -> Propose:
    return Propose(KIND, payment.tenant, payment.idempotency_key, proposal)


def _record_proposal(
    context: ActContext, payment: UnsettledPayment, act_name: str, proposal: Proposal | None = None
) -> None:
    """Store or remove a proposal, and record this in the audit trail."""
    core = core_of(context.reader.hub.manager)
    manual_act = ManualAct(
        act=act_name,
        subject=f"payment {payment.idempotency_key}",
        actor=context.person.name,
        reason=context.reason,
        before={"operation": payment.operation, "tenant": payment.tenant},
        after=None if proposal is None else {"done": proposal.done, "receipt": proposal.receipt},
    )
    run_now(
        perform_recorded(
            core, manual_act, lambda: core.execute(_proposal_handler(payment, proposal), None)
        )
    )


def _decision_handler(*, done: bool, keys_lost: bool = False) -> Callable[[ActContext], str]:
    def perform_act(context: ActContext) -> str:
        payment, receipt = _payment(context), context.get("receipt") or ""
        if done and not receipt and payment.is_readable and payment.listed_by is None:
            raise _missing_id_error(payment)
        if not context.four_eyes:
            return _close(context, payment, done=done, receipt=receipt, keys_lost=keys_lost)
        reason = context.reason[:_PROPOSALS]
        proposal = Proposal(context.person.name, done, receipt, reason)
        _record_proposal(context, payment, "payment.propose", proposal)
        return (
            f"You propose that the {name_of(payment)} was {'' if done else 'not '}done."
            " A second person has to confirm your proposal."
        )

    return perform_act


def _missing_id_error(payment: UnsettledPayment) -> InvalidData:
    return InvalidData(
        f"The vendor's id of the {noun_of(payment)} is missing, and moorage cannot look for the"
        f" {noun_of(payment)} by a reference.",
        field="receipt",
        remedy=f"Copy the id from the web page of {vendor_of(payment)}.",
    )


def proposal_stamp(proposal: Proposal) -> str:
    """Return a text that identifies a proposal in its current version."""
    return sha256(repr(proposal[:4]).encode()).hexdigest()


def _confirm(context: ActContext) -> str:
    payment = _payment(context)
    proposal = context.reader.proposal(payment)
    if proposal is None or proposal_stamp(proposal) != context.required_value("stamp"):
        raise InvalidData(
            "The proposal has changed since you read it, or was withdrawn.",
            field="proposal",
            remedy="Load the page again to see what is proposed now.",
        )
    if context.person.is_same(proposal.person):
        raise InvalidData(
            "You proposed this outcome yourself.",
            field="person",
            remedy="Ask another person to confirm it.",
        )
    return _close(
        context,
        payment,
        done=proposal.done,
        receipt=proposal.receipt,
        keys_lost=not payment.is_readable,
    )


def _withdraw(context: ActContext) -> str:
    payment = _payment(context)
    _record_proposal(context, payment, "payment.withdraw")
    return f"The proposal for the {name_of(payment)} is withdrawn."


def _reject(context: ActContext) -> str:
    payment = _payment(context)
    _record_proposal(context, payment, "payment.reject")
    return f"The proposal for the {name_of(payment)} is rejected."


_CONSEQUENCES: Final = {
    True: "Every later call with its idempotency key then gets the receipt, and the vendor is not"
    " called again.",
    False: "Its idempotency key may then be used again: your program's next call with this key"
    " carries out the operation. If the vendor did carry it out before, it is then done twice.",
}


_KEYS_LOST: Final = (
    "The encryption keys of the stored request and answer are lost for ever. The"
    " payment is closed without them: its amount, your reference and the vendor's answer can no"
    " longer be verified. If any other process still has the encryption keys, close the payment"
    " there instead."
)


def _explain_decision(*, done: bool, keys_lost: bool = False) -> Callable[[ActContext], str]:
    def explain(context: ActContext) -> str:
        second_person_note = (
            " A second person has to confirm your decision." if context.four_eyes else ""
        )
        lost_note = f" {_KEYS_LOST}" if keys_lost else ""
        payment = _payment(context)
        warning = None if done else too_early_words(payment, context.reader.now())
        words = f"You say that the {name_of(payment)} was {'' if done else 'not '}done."
        doubt_note = "" if warning is None else f"{warning} "
        return f"{doubt_note}{words}{lost_note} {_CONSEQUENCES[done]}{second_person_note}"

    return explain


def _explain_confirmation(context: ActContext) -> str:
    payment = _payment(context)
    proposal = context.reader.proposal(payment)
    if proposal is None:
        return "The proposal was withdrawn. Go back and load the page again."
    outcome = "done" if proposal.done else "not done"
    receipt = f" Its id at the vendor: {proposal.receipt}." if proposal.receipt else ""
    lost_note = "" if payment.is_readable else f" {_KEYS_LOST}"
    warning = None if proposal.done else too_early_words(payment, context.reader.now())
    doubt_note = "" if warning is None else f"{warning} "
    return (
        f"{doubt_note}{proposal.person} says that the {name_of(payment)} was {outcome}.{receipt}"
        f"{lost_note} {reason_of(proposal)} {_CONSEQUENCES[proposal.done]}"
        " Confirm the proposal only if you have looked at the vendor's web page yourself."
    )


def _explain_removal(context: ActContext) -> str:
    return f"The outcome of the {name_of(_payment(context))} stays unknown."


def reason_of(proposal: Proposal) -> str:
    """Return a proposal's reason as a sentence."""
    end = "" if proposal.reason.endswith((".", "!", "?")) else "."
    return f"Reason: {proposal.reason}{end}"


def _list_of_payments(context: ActContext) -> str | None:
    """Return the page of all payments if this payment is now settled; otherwise None."""
    try:
        _payment(context)
    except InvalidData:
        return "/unknown"
    return None


_PAYMENT: Final[dict[str, Any]] = {
    "group": always_permit(Group.PAYMENTS),
    "fields": ("key", "tenant"),
    "back": ("/payment", ("key", "tenant")),
    "ends": _list_of_payments,
}
_CONFIRMATION: Final[dict[str, Any]] = {**_PAYMENT, "fields": ("key", "tenant", "stamp")}

PAYMENT_ACTS: Final = (
    Act(
        **_PAYMENT,
        name="payment-ask",
        title="Ask the vendor?",
        button="Ask the vendor",
        explain=lambda acting: next_words(_payment(acting)),
        perform=_ask_vendor,
    ),
    Act(
        **_PAYMENT,
        name="payment-done",
        title="Was the operation done?",
        button="The operation was done",
        asks=("receipt", lambda acting: id_label(_payment(acting))),
        needs_reason=True,
        explain=_explain_decision(done=True),
        perform=_decision_handler(done=True),
    ),
    Act(
        **_PAYMENT,
        name="payment-not-done",
        title="Was the operation not done?",
        button="The operation was not done",
        needs_reason=True,
        explain=_explain_decision(done=False),
        perform=_decision_handler(done=False),
    ),
    Act(
        **_PAYMENT,
        name="payment-done-keys-lost",
        title="Are the encryption keys lost, and was the operation done?",
        button="Keys lost; the operation was done",
        asks=("receipt", lambda acting: id_label(_payment(acting))),
        needs_reason=True,
        explain=_explain_decision(done=True, keys_lost=True),
        perform=_decision_handler(done=True, keys_lost=True),
    ),
    Act(
        **_PAYMENT,
        name="payment-not-done-keys-lost",
        title="Are the encryption keys lost, and was the operation not done?",
        button="Keys lost; the operation was not done",
        needs_reason=True,
        explain=_explain_decision(done=False, keys_lost=True),
        perform=_decision_handler(done=False, keys_lost=True),
    ),
    Act(
        **_CONFIRMATION,
        name="payment-confirm",
        title="Confirm the proposal?",
        button="Confirm",
        explain=_explain_confirmation,
        perform=_confirm,
    ),
    Act(
        **_PAYMENT,
        name="payment-withdraw",
        title="Withdraw the proposal?",
        button="Withdraw",
        explain=_explain_removal,
        perform=_withdraw,
    ),
    Act(
        **_PAYMENT,
        name="payment-reject",
        title="Reject the proposal?",
        button="Reject",
        needs_reason=True,
        explain=_explain_removal,
        perform=_reject,
    ),
)
