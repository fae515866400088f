"""The payment operations for users, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.bridge import awaited, blocking
from moorage.services.contracts.live_configuration import CurrentOperations, on_current_dispatcher
from moorage.services.contracts.payments import PaymentsFlows

if TYPE_CHECKING:
    from moorage.services.contracts.live_configuration import FindDispatcher


class Payments:
    """Takes payments through whichever vendor the configuration names."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(PaymentsFlows, find_dispatcher, tenant)

    create_intent = blocking(on_current_dispatcher(PaymentsFlows.create_intent))
    authorize = blocking(on_current_dispatcher(PaymentsFlows.authorize))
    charge = blocking(on_current_dispatcher(PaymentsFlows.charge))
    complete = blocking(on_current_dispatcher(PaymentsFlows.complete))
    capture = blocking(on_current_dispatcher(PaymentsFlows.capture))
    void = blocking(on_current_dispatcher(PaymentsFlows.void))
    refund = blocking(on_current_dispatcher(PaymentsFlows.refund))
    get = blocking(on_current_dispatcher(PaymentsFlows.get))
    get_refund = blocking(on_current_dispatcher(PaymentsFlows.get_refund))
    follow_up = blocking(on_current_dispatcher(PaymentsFlows.follow_up))
    settle = blocking(on_current_dispatcher(PaymentsFlows.settle))
    payments = blocking(on_current_dispatcher(PaymentsFlows.payments))
    disputes = blocking(on_current_dispatcher(PaymentsFlows.disputes))
    payouts = blocking(on_current_dispatcher(PaymentsFlows.payouts))


class AsyncPayments:
    """The asynchronous version of `Payments`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(PaymentsFlows, find_dispatcher, tenant)

    create_intent = awaited(on_current_dispatcher(PaymentsFlows.create_intent))
    authorize = awaited(on_current_dispatcher(PaymentsFlows.authorize))
    charge = awaited(on_current_dispatcher(PaymentsFlows.charge))
    complete = awaited(on_current_dispatcher(PaymentsFlows.complete))
    capture = awaited(on_current_dispatcher(PaymentsFlows.capture))
    void = awaited(on_current_dispatcher(PaymentsFlows.void))
    refund = awaited(on_current_dispatcher(PaymentsFlows.refund))
    get = awaited(on_current_dispatcher(PaymentsFlows.get))
    get_refund = awaited(on_current_dispatcher(PaymentsFlows.get_refund))
    follow_up = awaited(on_current_dispatcher(PaymentsFlows.follow_up))
    settle = awaited(on_current_dispatcher(PaymentsFlows.settle))
    payments = awaited(on_current_dispatcher(PaymentsFlows.payments))
    disputes = awaited(on_current_dispatcher(PaymentsFlows.disputes))
    payouts = awaited(on_current_dispatcher(PaymentsFlows.payouts))
