"""The payment operations for users, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.bridge import awaited, blocking
from moorage.services.contracts.counter import Counter, current
from moorage.services.contracts.payments import PaymentsFlows

if TYPE_CHECKING:
    from moorage.services.contracts.counter import FindDesk


class Payments:
    """Takes payments through whichever vendor the configuration names."""

    def __init__(self, desk: FindDesk, tenant: str | None) -> None:
        self._flows = Counter(PaymentsFlows, desk, tenant)

    create_intent = blocking(current(PaymentsFlows.create_intent))
    authorize = blocking(current(PaymentsFlows.authorize))
    charge = blocking(current(PaymentsFlows.charge))
    complete = blocking(current(PaymentsFlows.complete))
    capture = blocking(current(PaymentsFlows.capture))
    void = blocking(current(PaymentsFlows.void))
    refund = blocking(current(PaymentsFlows.refund))
    get = blocking(current(PaymentsFlows.get))
    get_refund = blocking(current(PaymentsFlows.get_refund))
    follow_up = blocking(current(PaymentsFlows.follow_up))
    settle = blocking(current(PaymentsFlows.settle))
    payments = blocking(current(PaymentsFlows.payments))
    disputes = blocking(current(PaymentsFlows.disputes))
    payouts = blocking(current(PaymentsFlows.payouts))


class AsyncPayments:
    """The asynchronous version of `Payments`."""

    def __init__(self, desk: FindDesk, tenant: str | None) -> None:
        self._flows = Counter(PaymentsFlows, desk, tenant)

    create_intent = awaited(current(PaymentsFlows.create_intent))
    authorize = awaited(current(PaymentsFlows.authorize))
    charge = awaited(current(PaymentsFlows.charge))
    complete = awaited(current(PaymentsFlows.complete))
    capture = awaited(current(PaymentsFlows.capture))
    void = awaited(current(PaymentsFlows.void))
    refund = awaited(current(PaymentsFlows.refund))
    get = awaited(current(PaymentsFlows.get))
    get_refund = awaited(current(PaymentsFlows.get_refund))
    follow_up = awaited(current(PaymentsFlows.follow_up))
    settle = awaited(current(PaymentsFlows.settle))
    payments = awaited(current(PaymentsFlows.payments))
    disputes = awaited(current(PaymentsFlows.disputes))
    payouts = awaited(current(PaymentsFlows.payouts))
