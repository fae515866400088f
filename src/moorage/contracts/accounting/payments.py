"""Payments of invoices and bills that were made elsewhere and are recorded in the books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import is_a, is_day, is_filled, is_maybe_filled
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import datetime as dt

    import attrs

    from moorage.contracts.ref import Ref


def _is_positive_money(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_a(Money)(_, attribute, value)
    if isinstance(value, Money) and value.minor <= 0:
        raise InvalidData(
            f"The {attribute.name} is not positive.",
            field=attribute.name,
            remedy=f"Give a positive {attribute.name}.",
        )


@frozen(kw_only=True)
class InvoicePayment:
    """A payment of an invoice or bill that was made elsewhere, to be recorded in the books.

    Attributes:
        amount: amount that was paid, in the currency of the invoice.
        account: bank or cash account, by the `id` of a `LedgerAccount`.
        date: date of the payment.
        reference: text that names the payment, such as the text in the bank statement.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    amount: Money = field(validator=_is_positive_money)
    account: str = field(validator=is_filled)
    date: dt.date = field(validator=is_day)
    reference: str | None = field(default=None, repr=False, validator=is_maybe_filled)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )


@frozen(kw_only=True)
class PaymentRecord:
    """A payment in the books.

    Attributes:
        ref: reference of the payment.
        invoice: reference of the invoice or bill that it pays.
        amount: amount of the payment.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    invoice: Ref
    amount: Money
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
