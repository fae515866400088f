"""Payments, plain and awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring._bridge import awaited, blocking
from mooring.services.payments import PaymentsFlows

if TYPE_CHECKING:
    from mooring.services.desk import Desk


class Payments:
    """Takes payments through whichever vendor the configuration names."""

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._flows = PaymentsFlows(desk, tenant)

    create_intent = blocking(PaymentsFlows.create_intent)
    authorize = blocking(PaymentsFlows.authorize)
    charge = blocking(PaymentsFlows.charge)
    complete = blocking(PaymentsFlows.complete)
    capture = blocking(PaymentsFlows.capture)
    void = blocking(PaymentsFlows.void)
    refund = blocking(PaymentsFlows.refund)
    get = blocking(PaymentsFlows.get)
    get_refund = blocking(PaymentsFlows.get_refund)
    follow_up = blocking(PaymentsFlows.follow_up)
    settle = blocking(PaymentsFlows.settle)
    payments = blocking(PaymentsFlows.payments)
    disputes = blocking(PaymentsFlows.disputes)
    payouts = blocking(PaymentsFlows.payouts)


class AsyncPayments:
    """As `Payments`, awaited."""

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._flows = PaymentsFlows(desk, tenant)

    create_intent = awaited(PaymentsFlows.create_intent)
    authorize = awaited(PaymentsFlows.authorize)
    charge = awaited(PaymentsFlows.charge)
    complete = awaited(PaymentsFlows.complete)
    capture = awaited(PaymentsFlows.capture)
    void = awaited(PaymentsFlows.void)
    refund = awaited(PaymentsFlows.refund)
    get = awaited(PaymentsFlows.get)
    get_refund = awaited(PaymentsFlows.get_refund)
    follow_up = awaited(PaymentsFlows.follow_up)
    settle = awaited(PaymentsFlows.settle)
    payments = awaited(PaymentsFlows.payments)
    disputes = awaited(PaymentsFlows.disputes)
    payouts = awaited(PaymentsFlows.payouts)
