"""A payment operation whose outcome is unknown, and the ways to settle it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import (
    Charge,
    Inconclusive,
    NextStep,
    PaymentsCapability,
    UnsettledPayment,
    VendorQuestion,
)
from moorage.contracts.vendor import UnknownOutcome
from moorage.domain.idempotency.unsettled import OpenOperation, is_absent
from moorage.domain.values.durations import SECOND, micros
from moorage.errors import ConfigurationError
from moorage.services.contracts.lost_keys import check_reason, readable_here
from moorage.services.contracts.payment_effects import (
    EffectRecord,
    effect_record,
    requested_amount,
    requested_payment,
    started_order,
)

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.routes import Account
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.core.core import Core

_PAUSE: Final = 60.0
"""Seconds until an operation of unknown outcome is looked up for the second time."""
_SHARE: Final = 0.1
"""The share of an operation's age after which it is looked up again."""
_LONGEST_PAUSE: Final = 3_600.0
_STEPS: Final = {
    UnknownOutcome.ASKED_AGAIN: NextStep.ASK_AGAIN,
    UnknownOutcome.REPEATED: NextStep.REPEAT,
}


class UnsettledEffect:
    """A payment operation whose outcome is unknown, with its record in the register."""

    def __init__(self, core: Core, opened: OpenOperation) -> None:
        self.opened = opened
        self.record: EffectRecord = effect_record(core, opened.what)
        self._now = core.utc()
        self.since = self._now - timedelta(microseconds=opened.age)

    def report(self, dispatcher: Dispatcher | None) -> UnsettledPayment:
        """Return the unsettled operation as the value that users of the hub get."""
        record = self.record
        accounts = [] if dispatcher is None else self.accounts(dispatcher)
        listed_within = self._listed_within(accounts)
        order = None if record.request is None else started_order(record.request)
        return UnsettledPayment(
            idempotency_key=record.key,
            tenant=record.tenant,
            operation=record.operation,
            accounts=record.accounts,
            reference=None if order is None else order.reference,
            amount=None if record.request is None else requested_amount(record.request),
            payment=None if record.request is None else requested_payment(record.request),
            since=self.since,
            wait=self.opened.remaining / SECOND,
            next=NextStep.WAIT if self.opened.remaining else self._next_step(dispatcher),
            is_readable=record.unreadable is None,
            last_question=self._last_question,
            vendors=tuple(dict.fromkeys(account.vendor.name for account in accounts)),
            listed_by=None if listed_within is None else self._listing_deadline(listed_within),
            listed_within=listed_within,
        )

    def _listed_within(self, accounts: list[Account]) -> float | None:
        """Return the seconds after which all vendors list a payment.

        None if a vendor never lists it.
        """
        if not (accounts and self.is_charge and _can_all_list_payments(accounts)):
            return None
        return max(account.vendor.listed_within for account in accounts)

    def _listing_deadline(self, listed_within: float) -> datetime:
        holder_left = timedelta(microseconds=self.opened.remaining - self.opened.idle)
        return self._now + holder_left + timedelta(seconds=listed_within)

    @property
    def _last_question(self) -> VendorQuestion | None:
        question = self.opened.last_question
        if question is None:
            return None
        return VendorQuestion(
            at=self._now - timedelta(microseconds=question.ago),
            count=question.times,
            result=Inconclusive(question.result),
            error=question.error,
        )

    def _next_step(self, dispatcher: Dispatcher | None) -> NextStep:
        """Return the next way to settle the operation, such as a look-up or a manual decision."""
        step = self.step(dispatcher)
        visible_span = (
            None if dispatcher is None else self._listed_within(self.accounts(dispatcher))
        )
        if step is not NextStep.LOOK_UP or visible_span is None:
            return step
        searched_idle = (
            None if self.opened.last_question is None else self.opened.last_question.searched
        )
        return NextStep.PERSON if is_absent(searched_idle, micros(visible_span)) else step

    @property
    def is_charge(self) -> bool:
        """True if the operation starts a payment, so that the vendor's list may contain it."""
        request = self.record.request
        return request is not None and isinstance(request.values[0], Charge)

    @property
    def pause(self) -> int:
        """The microseconds until the next look-up of this operation if it remains unknown."""
        share = self.opened.age / SECOND * _SHARE
        return micros(min(max(_PAUSE, share), _LONGEST_PAUSE))

    def check_readable(self) -> None:
        """Refuse to settle an operation whose stored request this process cannot read.

        The vendor's stored response cannot be read either, and may prove that the operation was
        done.

        Raises:
            ConfigurationError: the request cannot be read.
        """
        obstacle = self.record.unreadable
        if obstacle is not None:
            raise ConfigurationError(
                f"The stored request of this {self.record.operation} cannot be read here, so"
                f" the stored data cannot prove its outcome: {obstacle.message}",
                path="cipher",
                remedy="Open the hub with the cipher of the processes that send payments:"
                " pass `cipher=`, or write their keys under [cipher] in the"
                " configuration. Then try again. If the keys are lost for ever, close"
                " the payment with keys_lost=True, or `moorage payments close"
                " --keys-lost`.",
            ) from None

    def loses_request(self, *, done: bool, reason: str) -> bool:
        """Return whether closing the operation abandons a stored request that is unreadable.

        Raises:
            InvalidData: there is no reason, or the operation was done and its request is readable.
        """
        check_reason(reason)
        is_lost = self.record.unreadable is not None
        if done and not is_lost:
            raise readable_here(self.record.operation)
        return is_lost

    def accounts(self, dispatcher: Dispatcher) -> list[Account]:
        """Return the accounts that may have received the request and are still configured."""
        configured_accounts = dispatcher.directory.accounts
        return [
            configured_accounts[name]
            for name in self.record.accounts
            if name in configured_accounts
        ]

    def step(self, dispatcher: Dispatcher | None) -> NextStep:
        """Return the settling job's next step to find out the outcome."""
        if self.record.unreadable is not None:
            return NextStep.CIPHER
        accounts = [] if dispatcher is None else self.accounts(dispatcher)
        if dispatcher is None or not accounts or self.record.request is None:
            return NextStep.PERSON
        stated_outcome = accounts[0].vendor.unknown_outcomes.get(self.record.operation)
        services = dispatcher.calling.plans.services
        memory = min(_key_memory(services[account.name]) for account in accounts)
        span = sum(services[account.name].timeout for account in accounts)
        if (
            stated_outcome is not None
            and stated_outcome in _STEPS
            and self.opened.age / SECOND + span <= memory
        ):
            return _STEPS[stated_outcome]
        return (
            NextStep.LOOK_UP
            if _can_all_list_payments(accounts) and self.is_charge
            else NextStep.PERSON
        )


def _can_all_list_payments(accounts: list[Account]) -> bool:
    """Return whether the vendor of every account can list its payments."""
    return all(PaymentsCapability.LIST in account.vendor.capabilities for account in accounts)


def _key_memory(service: Any) -> float:
    """Return the seconds for which the vendor of a service remembers idempotency keys."""
    seconds: float = service.idempotency_ttl
    return (
        seconds if service.idempotency_memory is None else min(seconds, service.idempotency_memory)
    )
