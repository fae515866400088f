"""The sentences with which pages describe a payment with an unknown outcome."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from moorage.contracts.payments import Inconclusive, NextStep
from moorage.dashboard.layout import span

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments import UnsettledPayment, VendorQuestion
    from moorage.services.contracts.done_payments import DonePayment

ASKABLE: Final = (NextStep.ASK_AGAIN, NextStep.REPEAT, NextStep.LOOK_UP)
"""The steps in which a person can ask the vendor."""

_SECOND: Final = timedelta(seconds=1)
_NOUNS: Final = {
    "charge": "payment",
    "authorize": "payment",
    "pay_payee": "transfer",
    "create_subscription": "subscription",
}
_EXAMPLES: Final = {
    "payment": "pi_…",
    "refund": "re_…",
    "subscription": "sub_…",
}
"""The form of ids at Stripe (https://docs.stripe.com/api, November 2026)."""

_RESULTS: Final = {
    Inconclusive.NO_ANSWER: "no answer",
    Inconclusive.NOT_LISTED: "not listed",
    Inconclusive.SEVERAL_LISTED: "several listed",
    Inconclusive.REFUSED: "refused",
}


def name_of(payment: UnsettledPayment | DonePayment) -> str:
    """Return the name of a payment: its operation, amount and reference."""
    amount = "the whole amount" if payment.amount is None else str(payment.amount)
    if not payment.is_readable:
        amount = "an unreadable amount"
    name = payment.reference or payment.idempotency_key
    if payment.payment is not None:
        name = f"of {payment.payment.id}"
    return f"{payment.operation} of {amount} ({name})"


def noun_of(payment: UnsettledPayment) -> str:
    """Return the noun for the object that an operation creates, such as "refund"."""
    return _NOUNS.get(payment.operation, payment.operation)


def vendor_of(payment: UnsettledPayment) -> str:
    """Return the vendor's name for use in the middle of a sentence."""
    return " or ".join(payment.vendors) or "the vendor"


def capitalize(words: str) -> str:
    """Return the text with a capital letter, as the beginning of a sentence."""
    return words[0].upper() + words[1:]


def id_label(payment: UnsettledPayment) -> str:
    """Return the label of the field for the vendor's id of an operation's result."""
    noun = noun_of(payment)
    qualifier = "" if payment.payment is None else ", not that of the payment"
    example = f" (at Stripe it looks like {_EXAMPLES[noun]})" if noun in _EXAMPLES else ""
    label = f"The {noun}'s own id at {vendor_of(payment)}{qualifier}{example}"
    if payment.listed_by is None:
        return label
    return f"{label}; leave this field empty to look for the payment by its reference"


def next_mark(payment: UnsettledPayment) -> tuple[str, str]:
    """Return a short label for the next step with a payment, and its mark, such as "bad"."""
    match payment.next:
        case NextStep.WAIT:
            return "wait", "warn"
        case NextStep.CIPHER:
            return "needs the cipher", "bad"
        case NextStep.PERSON:
            words, kind = "decide", "bad"
        case _:
            words, kind = "ask the vendor", "warn"
    last_question = payment.last_question
    return (
        words if last_question is None else f"{words} (asked: {_RESULTS[last_question.result]})",
        kind,
    )


def next_words(payment: UnsettledPayment) -> str:
    """Return the next step for a payment, as a sentence."""
    at_once = " A clear answer closes the payment at once, without a second person."
    return {
        NextStep.WAIT: f"Wait {payment.wait:.0f} s: the program that sent the request may still be"
        " working on it.",
        NextStep.ASK_AGAIN: "If you ask, moorage repeats the request under the same idempotency"
        " key, so nothing is done twice. If the first request never arrived, the vendor carries"
        " out the operation now." + at_once,
        NextStep.REPEAT: "If you ask, moorage repeats the operation; a second time has no further"
        " effect." + at_once,
        NextStep.LOOK_UP: "If you ask, moorage looks for one payment with this reference and"
        " amount at the vendor. The payment itself is not sent again." + at_once,
        NextStep.PERSON: f"{_manual_reason(payment)} Look at the vendor's web page, then decide"
        " below.",
        NextStep.CIPHER: "The stored request is encrypted, and this page has no key to decrypt"
        " it. Start the page with the cipher of the processes that send payments. If the"
        " encryption keys are lost for ever, say so below.",
    }[payment.next]


def _manual_reason(payment: UnsettledPayment) -> str:
    """Return the reason why only a person can settle a payment."""
    vendor = capitalize(vendor_of(payment))
    if payment.listed_by is None:
        return f"{vendor} cannot be asked about this {noun_of(payment)} from this page."
    if payment.is_proven_absent:
        return (
            f"{vendor} does not list the payment, although the time in which it lists payments"
            " is over."
        )
    return (
        f"{vendor} has not given a clear answer, although the time in which it lists payments"
        " is over."
    )


def result_words(payment: UnsettledPayment, question: VendorQuestion) -> str:
    """Return the result of the latest look-up that did not settle the payment, as a sentence."""
    error = "" if question.error is None else f" ({question.error})"
    return {
        Inconclusive.NO_ANSWER: f"The vendor could not be asked, or did not answer{error}.",
        Inconclusive.NOT_LISTED: "The vendor was asked, and lists no payment with the reference"
        f" {payment.reference} and the amount {payment.amount}.",
        Inconclusive.SEVERAL_LISTED: "The vendor was asked, and lists several payments with the"
        f" reference {payment.reference} and the amount {payment.amount}.",
        Inconclusive.REFUSED: f"The vendor refused the query{error}.",
    }[question.result]


def next_step_sentence(payment: UnsettledPayment, question: VendorQuestion, now: datetime) -> str:
    """Return the next step after a look-up that did not settle the payment, as a sentence."""
    return {
        Inconclusive.NO_ANSWER: "Ask the vendor again when its service works again. If you cannot"
        " wait, look for the payment on the vendor's web page.",
        Inconclusive.NOT_LISTED: listing_words(payment, now)
        or "Look for the payment on the vendor's web page.",
        Inconclusive.SEVERAL_LISTED: "Look on the vendor's web page which of these payments"
        " belongs to this idempotency key, and enter the id of that payment.",
        Inconclusive.REFUSED: "Look for the payment on the vendor's web page, or give the account"
        " the permission to list payments.",
    }[question.result]


def listing_words(payment: UnsettledPayment, now: datetime) -> str | None:
    """Explain when a payment that the vendor does not list counts as not made; None if never."""
    last_question, listed_by = payment.last_question, payment.listed_by
    is_ambiguous = last_question is not None and last_question.result is Inconclusive.SEVERAL_LISTED
    if listed_by is None or is_ambiguous or payment.next in {NextStep.ASK_AGAIN, NextStep.REPEAT}:
        return None
    listed_span = span(payment.listed_within or 0)
    rule = f"{capitalize(vendor_of(payment))} lists a payment within {listed_span}"
    counts = "and the vendor does not list the payment, the payment counts as not done."
    if payment.is_proven_absent and last_question is not None:
        return (
            f"{rule}. It was asked at {_clock(last_question.at)}, and did not list this"
            " payment, which therefore counts as not done."
        )
    if now < listed_by:
        return (
            f"{rule}. If you ask at {_clock(listed_by)} or later (in"
            f" {span((listed_by - now).total_seconds())}) {counts} Until then, it proves nothing"
            " that the payment is not listed."
        )
    return (
        f"{rule}. For this payment, that time ended at {_clock(listed_by)}. If you ask now {counts}"
    )


def too_early_words(payment: UnsettledPayment, now: datetime) -> str | None:
    """Return the warning to show before a payment is recorded as not done, if there is one."""
    last_question, vendor = payment.last_question, vendor_of(payment)
    if payment.next in {NextStep.ASK_AGAIN, NextStep.REPEAT}:
        return (
            f"Ask {vendor} first: the answer settles the outcome, and asking cannot carry out"
            " the operation twice."
        )
    if last_question is not None and last_question.result is Inconclusive.SEVERAL_LISTED:
        return (
            "The vendor lists several payments with this reference and amount, so this payment"
            " may have been done."
        )
    if payment.listed_by is None or payment.is_proven_absent:
        return None
    if now < payment.listed_by:
        return (
            f"It is too early to say that the payment was not done: {vendor} may list it until"
            f" {_clock(payment.listed_by)}."
        )
    return f"Ask {vendor} first: if the payment was done, {vendor} must list it by now."


def _clock(at: datetime) -> str:
    """Return a time as text, rounded up to the next second."""
    return f"{at.replace(microsecond=0) + _SECOND * bool(at.microsecond):%Y-%m-%d %H:%M:%S}"
