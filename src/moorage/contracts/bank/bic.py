"""Codes of banks (BIC, ISO 9362)."""

from __future__ import annotations

import re
from typing import Final

from moorage.domain.values.countries import COUNTRIES
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

_BIC: Final = re.compile(r"[A-Z0-9]{4}([A-Z]{2})[A-Z0-9]{2}(?:[A-Z0-9]{3})?")


def _compact(value: object) -> str:
    if isinstance(value, Bic):
        return value.value
    if not isinstance(value, str):
        raise InvalidData(
            f"The BIC must be a string, not {with_article(type(value).__name__)}.",
            field="bic",
            remedy="Give a string such as 'COBADEFFXXX'.",
        )
    text = value.replace(" ", "")
    return text.upper() if text.isascii() else text


def _is_bic(_: object, __: object, value: str) -> None:
    match = _BIC.fullmatch(value)
    if match is None or match[1] not in COUNTRIES:
        raise InvalidData(
            "The BIC must have 8 or 11 letters and digits, of which the fifth and sixth are a"
            " country code.",
            field="bic",
            remedy="Give a BIC such as 'COBADEFFXXX', or leave it out if you only have the IBAN.",
        )


@frozen(repr=False)
class Bic:
    """The code of a bank, of eight characters, or eleven with a branch.

    Spaces and lower case are accepted. The repr shows the country only.

    Attributes:
        value: the code in capitals.
    """

    value: str = field(converter=_compact, validator=_is_bic)

    @property
    def country(self) -> str:
        """The two letters of the bank's country."""
        return self.value[4:6]

    def __repr__(self) -> str:
        return f"Bic('…{self.country}…{self.value[-4:]}')"


def maybe_bic(text: str | None) -> Bic | None:
    """Parse a string as a BIC; return None if it is not a valid BIC."""
    try:
        return None if text is None else Bic(text)
    except InvalidData:
        return None
