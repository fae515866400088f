"""The transactions of a payout, with fees, for reconciliation with a bank statement."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage.contracts.payments.values import Payout
    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money


class PayoutItemKind(StrEnum):
    """The kind of a transaction in a payout; `other` for a kind that only this vendor has."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    FEE = "fee"
    RESERVE = "reserve"
    TRANSFER = "transfer"
    ADJUSTMENT = "adjustment"
    OTHER = "other"


@frozen(kw_only=True)
class PayoutItem:
    """One transaction in a payout; amounts that reduce the payout are negative.

    Attributes:
        id: the vendor's id of the transaction.
        kind: kind of the transaction.
        vendor_kind: the vendor's own word for the kind.
        payment: reference of the payment, if the vendor states it.
        refund: the vendor's id of the refund, if it is one and the vendor states it.
        gross: amount before fees.
        fee: fee that the vendor kept; negative if it was returned.
        net: amount that the payout contains: `gross` without `fee`.
        description: the vendor's text.
        at: time of the transaction.
        raw: the vendor's complete response.
    """

    id: str
    kind: PayoutItemKind
    vendor_kind: str | None = None
    payment: Ref | None = None
    refund: str | None = None
    gross: Money | None = None
    fee: Money | None = None
    net: Money | None = None
    description: str | None = None
    at: datetime | None = field(default=None, eq=False)
    raw: Any = field(default=None, repr=False, eq=False)


def unexplained_amount(payout: Payout, items: Iterable[PayoutItem]) -> Money:
    """The amount of a payout minus the sum of its transactions; zero if none is missing.

    Args:
        payout: the payout.
        items: all of its transactions, of every page.

    Raises:
        InvalidData: the payout or a transaction has no amount, or another currency.
    """
    remaining_amount = _stated_amount(payout.amount, payout.ref.id)
    for item in items:
        net = _stated_amount(item.net, item.id)
        if net.currency != remaining_amount.currency:
            raise InvalidData(
                f"The payout is in {remaining_amount.currency}, but its transaction {item.id} is in"
                f" {net.currency}.",
                field="items",
                remedy="Give only transactions of this payout.",
            )
        remaining_amount -= net
    return remaining_amount


def _stated_amount(amount: Money | None, name: str) -> Money:
    if amount is None:
        raise InvalidData(
            f"The vendor does not state an amount for {name}.",
            field="items",
            remedy="Look up the amount in the vendor's dashboard.",
        )
    return amount
