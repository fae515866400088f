"""Orders to pay pounds to an account in the United Kingdom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.bank.payment_orders.fields import (
    at_most,
    is_identifier,
    is_maybe_identifier,
    maybe_at_most,
)
from moorage.contracts.bank.sort_codes import SortCodeAccount
from moorage.contracts.validators import check_kind, is_a
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

_LARGEST_PENCE: Final = 10**15 - 1


def _is_short_identifier(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_identifier(_, attribute, value)
    at_most(31)(_, attribute, value)


def _is_sterling(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_kind(value, Money, attribute.name)
    if isinstance(value, Money) and value.currency == "GBP" and 0 < value.minor <= _LARGEST_PENCE:
        return
    raise InvalidData(
        "The amount of a payment by sort code must be in pounds, from 0.01 to 9999999999999.99.",
        field=attribute.name,
        remedy="Give Money('149.90', 'GBP'); for euros, give a CreditTransfer.",
    )


@frozen(kw_only=True)
class SterlingTransfer:
    """A payment in pounds to an account with a sort code.

    Attributes:
        end_to_end_id: your identifier, at most 31 characters, because Faster Payments has no more;
            `NOT_PROVIDED` for none.
        amount: pounds above zero.
        creditor_name: name of the owner of the account that is paid, at most 70 characters.
        creditor_account: account that is paid.
        reference: reference for the creditor, at most 18 characters, because Faster Payments has
            no more.
        instruction_id: identifier for your bank only; by default it is derived from the
            idempotency key.
    """

    end_to_end_id: str = field(validator=_is_short_identifier)
    amount: Money = field(validator=_is_sterling)
    creditor_name: str = field(repr=False, validator=at_most(70))
    creditor_account: SortCodeAccount = field(validator=is_a(SortCodeAccount))
    reference: str | None = field(default=None, repr=False, validator=maybe_at_most(18))
    instruction_id: str | None = field(default=None, validator=is_maybe_identifier)
