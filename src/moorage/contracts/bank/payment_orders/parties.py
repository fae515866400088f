"""The payers and payees of payment orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.bank.bic import Bic
from moorage.contracts.bank.iban import Iban
from moorage.contracts.bank.payment_orders.fields import at_most, maybe_at_most
from moorage.contracts.validators import are_all, as_tuple, is_maybe
from moorage.domain.values.countries import COUNTRIES
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs


def _is_country(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or value not in COUNTRIES:
        raise InvalidData(
            "The country is not a valid country code.",
            field=attribute.name,
            remedy="Give the two letters of ISO 3166, such as 'DE'.",
        )


@frozen(kw_only=True)
class PartyAddress:
    """A postal address in a SEPA file. The repr shows the country only.

    Attributes:
        country: ISO 3166 code of two letters.
        town, postal_code, street, building: the parts of a structured address; the town is at most
            35 characters, postal code and building 16, the street 70.
        lines: up to two lines of 70 characters for the rest. Banks accept lines without a town
            until November 2026.
    """

    country: str = field(validator=_is_country)
    town: str | None = field(default=None, repr=False, validator=maybe_at_most(35))
    postal_code: str | None = field(default=None, repr=False, validator=maybe_at_most(16))
    street: str | None = field(default=None, repr=False, validator=maybe_at_most(70))
    building: str | None = field(default=None, repr=False, validator=maybe_at_most(16))
    lines: tuple[str, ...] = field(
        default=(), repr=False, converter=as_tuple, validator=are_all(str)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse lines that are too many or too long."""
        if len(self.lines) > 2 or any(not 0 < len(line) <= 70 for line in self.lines):
            raise InvalidData(
                "An address has at most two lines of at most 70 characters.",
                field="lines",
                remedy="Give the town, postal code and street in separate fields.",
            )


@frozen(kw_only=True)
class BankParty:
    """A payer or payee with its account. The repr shows neither the name nor the address.

    Attributes:
        name: name of the account's owner, at most 70 characters.
        iban: account number; a string is parsed.
        bic: code of the bank; not needed in the SEPA area.
        address: postal address; needed for countries outside of the European Economic Area.
    """

    name: str = field(repr=False, validator=at_most(70))
    iban: Iban = field(converter=Iban)
    bic: Bic | None = field(default=None, converter=optional(Bic))
    address: PartyAddress | None = field(default=None, validator=is_maybe(PartyAddress))
