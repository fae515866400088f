"""VAT numbers: their forms, checks by a register, and the results of checks.

The values of tax calculations are in `tax_calculation`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.validators import check_text, is_maybe
from moorage.contracts.vat_forms import COUNTRIES_BY_PREFIX, VAT_FORMS
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    import attrs

    from moorage.contracts.wire import Wire

KIND: Final = "tax"

_SEPARATORS: Final = late_pattern(r"[\s.\-/]+")
_NORWEGIAN: Final = late_pattern("[0-9]{9}MVA")
_NORWEGIAN_DIGITS: Final = late_pattern("NO[0-9]{9}")


class TaxCapability(StrEnum):
    """An optional feature of a vendor that checks VAT numbers or calculates taxes."""

    EU_NUMBERS = "eu_numbers"
    UK_NUMBERS = "uk_numbers"
    NORWEGIAN_NUMBERS = "norwegian_numbers"
    PROOF = "proof"
    TRADER_MATCH = "trader_match"
    CALCULATION = "calculation"
    INCLUSIVE_PRICES = "inclusive_prices"
    BUYER_VAT_NUMBERS = "buyer_vat_numbers"
    EXEMPTIONS = "exemptions"
    REVERSE_CHARGE = "reverse_charge"
    RECORDS = "records"
    REVERSALS = "reversals"


_REGISTERS: Final = {"GB": TaxCapability.UK_NUMBERS, "NO": TaxCapability.NORWEGIAN_NUMBERS}


def _is_prefix(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or value not in VAT_FORMS:
        raise InvalidData(
            "The VAT number does not begin with the prefix of a known country.",
            field=attribute.name,
            remedy=f"Give a VAT number that begins with one of: {', '.join(VAT_FORMS)}.",
        )


def _has_form(instance: VatNumber, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or re.fullmatch(VAT_FORMS[instance.prefix], value) is None:
        raise InvalidData(
            f"The VAT number does not have the form of numbers that begin with {instance.prefix}.",
            field=attribute.name,
            remedy="Compare the number with an invoice of the business, and write its letters as"
            " capitals.",
        )


@frozen
class VatNumber:
    """A VAT number in its country's form. Its repr hides the number; its str shows it.

    Attributes:
        prefix: the first two letters of the number: the country code of ISO 3166, but EL for
            Greece and XI for Northern Ireland.
        number: the rest, in capitals and without separators; a Norwegian one ends with MVA.
    """

    prefix: str = field(validator=_is_prefix)
    number: str = field(repr=False, validator=_has_form)

    @classmethod
    def parse(cls, text: VatNumber | str, *, field: str = "number") -> VatNumber:
        """Read a VAT number as people write it, with spaces, dots, hyphens or small letters.

        GR is read as EL, and a Norwegian number needs either NO or MVA.

        Args:
            text: the number with its prefix.
            field: name of the field for the error.

        Raises:
            InvalidData: it is not in the form of a VAT number.
        """
        if isinstance(text, VatNumber):
            return text
        check_text(text, field)
        compact_text = _SEPARATORS.sub("", text).upper()
        if _NORWEGIAN.fullmatch(compact_text):
            compact_text = f"NO{compact_text}"
        elif _NORWEGIAN_DIGITS.fullmatch(compact_text):
            compact_text = f"{compact_text}MVA"
        prefix = "EL" if compact_text[:2] == "GR" else compact_text[:2]
        try:
            return cls(prefix, compact_text[2:])
        except InvalidData as error:
            error.field = field
            raise

    @property
    def country(self) -> str:
        """The country's ISO 3166 code: GR for the prefix EL, and GB for the prefix XI."""
        return COUNTRIES_BY_PREFIX.get(self.prefix, self.prefix)

    @property
    def needs(self) -> TaxCapability:
        """The capability that a vendor needs to check this number."""
        return _REGISTERS.get(self.prefix, TaxCapability.EU_NUMBERS)

    def __str__(self) -> str:
        return f"{self.prefix}{self.number}"


@frozen(kw_only=True)
class Trader:
    """The details of a business, for a register to compare with its own data.

    Attributes:
        name: name of the business.
        street: street and house number.
        postal_code: postal code.
        city: city, town or village.
    """

    name: str | None = field(default=None, repr=False, validator=is_maybe(str))
    street: str | None = field(default=None, repr=False, validator=is_maybe(str))
    postal_code: str | None = field(default=None, repr=False, validator=is_maybe(str))
    city: str | None = field(default=None, repr=False, validator=is_maybe(str))

    def __attrs_post_init__(self) -> None:
        """Refuse a value that contains no detail of a business."""
        if not (self.name or self.street or self.postal_code or self.city):
            raise InvalidData(
                "The trader must have at least one detail to compare.",
                field="name",
                remedy="Give a name, a street, a postal code or a city, or leave the trader out.",
            )


class TraderMatch(StrEnum):
    """The result of comparing one detail of a business with the register."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class TraderMatches:
    """The result for each detail of a `Trader`; unknown if the register did not compare it."""

    name: TraderMatch = TraderMatch.UNKNOWN
    street: TraderMatch = TraderMatch.UNKNOWN
    postal_code: TraderMatch = TraderMatch.UNKNOWN
    city: TraderMatch = TraderMatch.UNKNOWN


@frozen(kw_only=True)
class VatCheck:
    """A register's response about a VAT number; an unavailable register raises an error.

    Attributes:
        number: the number that was checked.
        valid: True if the register lists the number as in use, False if it does not.
        name: name of the business; None if the register does not disclose it.
        address: address of the business in lines; None if the register does not disclose it.
        proof: consultation number, by which a tax office recognises the check; None without one.
        checked_at: time of the check by the register, or by this machine if it states none.
        matches: comparison with the `Trader`; None if nothing was to be compared.
        raw: the vendor's complete answer.
    """

    number: VatNumber
    valid: bool
    name: str | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)
    proof: str | None = None
    checked_at: datetime
    matches: TraderMatches | None = None
    raw: Any = field(default=None, repr=False, eq=False)


class TaxVendor(Protocol):
    """The operation of a vendor that checks VAT numbers."""

    async def check_vat_number(
        self,
        wire: Wire,
        number: VatNumber,
        /,
        *,
        requester: VatNumber | None,
        trader: Trader | None,
    ) -> VatCheck: ...
