"""Payment operations whose outcome is unknown, and the results of settling them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments.payees import PayeePayout
    from moorage.contracts.payments.subscriptions import Subscription
    from moorage.contracts.payments.values import Capture, Payment, Refund, Void
    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money

Receipt: TypeAlias = "Capture | PayeePayout | Payment | Refund | Subscription | Void"
"""The vendor's result of an operation that moves money."""


class NextStep(StrEnum):
    """The step that settles an operation with an unknown outcome."""

    WAIT = "wait"
    """Wait, because its caller may still be working on it."""
    ASK_AGAIN = "ask_again"
    """Send the request again under the same key, which has no second effect."""
    REPEAT = "repeat"
    """Repeat the operation, because doing it twice has the same effect as doing it once."""
    LOOK_UP = "look_up"
    """Search the payment at the vendor by our reference."""
    PERSON = "person"
    """Wait for a person to look at the vendor and close it.

    The vendor cannot be asked, or it has not listed the payment within the time that it promises.
    """
    CIPHER = "cipher"
    """Open the hub with the cipher that sealed the stored request.

    Without it, this process can neither settle nor close the payment.
    """


class SettledAs(StrEnum):
    """The result of settling an operation."""

    DONE = "done"
    REFUSED = "refused"
    NOT_DONE = "not_done"


class Inconclusive(StrEnum):
    """The reason why a request to the vendor did not reveal an operation's outcome."""

    NO_ANSWER = "no_answer"
    """The vendor could not be asked, or did not respond."""
    NOT_LISTED = "not_listed"
    """The vendor lists no payment with our reference and amount."""
    SEVERAL_LISTED = "several_listed"
    """The vendor lists several payments with our reference and amount, so a person must choose."""
    REFUSED = "refused"
    """The vendor refused the question, for example because the account may not list payments."""


@frozen(kw_only=True)
class VendorQuestion:
    """The latest request to the vendor that did not reveal an operation's outcome.

    Attributes:
        at: time of the question.
        count: number of such questions since the operation was first requested.
        result: reason that the question did not settle it.
        error: name of the error that the question ended with, such as "CircuitOpen".
    """

    at: datetime
    count: int
    result: Inconclusive
    error: str | None = None


@frozen(kw_only=True)
class UnsettledPayment:
    """An operation that moves money and has an unknown outcome.

    Attributes:
        idempotency_key: key of the request.
        tenant: tenant of the payment.
        operation: operation of the contract, such as "charge" or "refund".
        accounts: accounts to which the request may have been sent.
        reference: the caller's own name of the payment, transfer or subscription, if the
            operation begins one.
        amount: amount; for a subscription, the amount of one charge for one piece. None for
            the whole amount, or if unknown.
        payment: the payment that it changes; None if it begins one.
        since: time of the first request.
        wait: seconds for which its caller may still be working on it.
        next: step that settles it.
        is_readable: False if the stored request is sealed with keys that this process does not
            have; then reference, amount and payment are None.
        last_question: the latest question to the vendor that did not settle it; None if there was
            none.
        vendors: vendors of these accounts, as far as the accounts are configured.
        listed_by: time from which the vendor's list shows the payment if it was made; None if
            the list does not prove that.
        listed_within: seconds in which the vendor lists a payment; None if the list does not
            prove that.
    """

    idempotency_key: str
    tenant: str | None
    operation: str
    accounts: tuple[str, ...]
    reference: str | None
    amount: Money | None
    payment: Ref | None
    since: datetime
    wait: float
    next: NextStep
    is_readable: bool = True
    last_question: VendorQuestion | None = None
    vendors: tuple[str, ...] = ()
    listed_by: datetime | None = None
    listed_within: float | None = None

    @property
    def is_proven_absent(self) -> bool:
        """True if the vendor's list proves that the payment was never made."""
        last_question = self.last_question
        return (
            self.next is NextStep.PERSON
            and self.listed_by is not None
            and last_question is not None
            and last_question.result is Inconclusive.NOT_LISTED
        )


@frozen(kw_only=True)
class SettledPayment:
    """The settled outcome of an operation.

    Attributes:
        payment: the operation.
        outcome: done, refused by the vendor, or never sent.
        receipt: the vendor's result if it was done: a Payment, Capture, Refund, Void, PayeePayout
            or Subscription.
        error: the error that the vendor's response raised.
    """

    payment: UnsettledPayment
    outcome: SettledAs
    receipt: Any = field(default=None, repr=False)
    error: Exception | None = None
