"""Payment operations of unknown outcome that were later settled as done."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from moorage.contracts.payments import KIND
from moorage.domain.idempotency.unsettled import ReadSettled, SettledOperation, effect_name
from moorage.domain.values.frozen_values import frozen
from moorage.errors import ConnectorError
from moorage.services.contracts.payment_effects import (
    effect_record,
    requested_amount,
    requested_payment,
    started_order,
    stored_receipt,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money
    from moorage.services.core.core import Core


@frozen(kw_only=True)
class DonePayment:
    """A payment operation of unknown outcome that a look-up or a person settled as done.

    Attributes:
        idempotency_key, tenant, operation, accounts, reference, amount, payment, is_readable: the
            same as in `UnsettledPayment`.
        receipt_id: the vendor's id of the operation; None if the receipt cannot be read here.
        at: time at which the operation was settled.
    """

    idempotency_key: str
    tenant: str | None
    operation: str
    accounts: tuple[str, ...]
    reference: str | None
    amount: Money | None
    payment: Ref | None
    is_readable: bool
    receipt_id: str | None
    at: datetime


async def done_payments(core: Core, keys: Iterable[tuple[str | None, str]]) -> list[DonePayment]:
    """Return the operations with these tenants and keys that were settled as done."""
    names = [effect_name(KIND, tenant, key) for tenant, key in keys]
    settle_result = await core.execute(ReadSettled(names), None) if names else ()
    return [_done_payment(core, item) for item in settle_result]


def _done_payment(core: Core, settled: SettledOperation) -> DonePayment:
    record = effect_record(core, settled.what)
    request = record.request
    order = None if request is None else started_order(request)
    try:
        receipt = stored_receipt(core, record.tenant, record.key, settled.answer)
    except ConnectorError:
        receipt = None
    return DonePayment(
        idempotency_key=record.key,
        tenant=record.tenant,
        operation=record.operation,
        accounts=record.accounts,
        reference=None if order is None else order.reference,
        amount=None if request is None else requested_amount(request),
        payment=None if request is None else requested_payment(request),
        is_readable=record.unreadable is None,
        receipt_id=None if receipt is None else receipt.ref.id,
        at=core.utc() - timedelta(microseconds=settled.ago),
    )
