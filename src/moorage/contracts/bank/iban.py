"""International bank account numbers (IBAN, ISO 13616)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.contracts.bank.check_digits import are_right
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from typing import NoReturn

_STRUCTURES: Final[dict[str, str]] = dict(
    re.findall(
        r"([A-Z]{2}) (\w+)",
        """
    AD 8n12c, AE 19n, AL 8n16c, AT 16n, AX 14n, AZ 4a20c, BA 16n, BE 12n, BG 4a6n8c, BH 4a14c,
    BI 23n, BL 10n11c2n, BR 23n1a1c, BY 4c4n16c, CH 5n12c, CR 18n, CY 8n16c, CZ 20n, DE 18n,
    DJ 23n, DK 14n, DO 4c20n, EE 16n, EG 25n, ES 20n, FI 14n, FK 2a12n, FO 14n, FR 10n11c2n,
    GB 4a14n, GE 2a16n, GF 10n11c2n, GG 4a14n, GI 4a15c, GL 14n, GP 10n11c2n, GR 7n16c, GT 24c,
    HN 4a20n, HR 17n, HU 24n, IE 4a14n, IL 19n, IM 4a14n, IQ 4a15n, IS 22n, IT 1a10n12c, JE 4a14n,
    JO 4a4n18c, KW 4a22c, KZ 3n13c, LB 4n20c, LC 4a24c, LI 5n12c, LT 16n, LU 3n13c, LV 4a13c,
    LY 21n, MC 10n11c2n, MD 20c, ME 18n, MF 10n11c2n, MK 3n10c2n, MN 16n, MQ 10n11c2n, MR 23n,
    MT 4a5n18c, MU 4a19n3a, NC 10n11c2n, NI 4a20n, NL 4a10n, NO 11n, OM 3n16c, PF 10n11c2n,
    PK 4a16c, PL 24n, PM 10n11c2n, PS 4a21c, PT 21n, QA 4a21c, RE 10n11c2n, RO 4a16c, RS 18n,
    RU 14n15c, SA 2n18c, SC 4a20n3a, SD 14n, SE 20n, SI 15n, SK 20n, SM 1a10n12c, SO 19n, ST 21n,
    SV 4a20n, TF 10n11c2n, TL 19n, TN 20n, TR 6n16c, UA 6n19c, VA 18n, VG 4a16n, WF 10n11c2n,
    XK 16n, YE 4a4n18c, YT 10n11c2n
    """,
    )
)
"""The structure of an IBAN after the check digits, by country: n is a digit, a a capital letter, c
either.

The source is SWIFT's IBAN registry; neighbouring parts of one class are added up.
"""

_CLASSES: Final = {"n": "[0-9]", "a": "[A-Z]", "c": "[A-Z0-9]"}
_PART: Final = re.compile(r"([0-9]+)([nac])")
_SPACES: Final = re.compile(r"[ \t\u00a0\u202f]+")


def _compact(value: object) -> str:
    if isinstance(value, Iban):
        return value.value
    if not isinstance(value, str):
        raise InvalidData(
            f"The IBAN must be a string, not {with_article(type(value).__name__)}.",
            field="iban",
            remedy="Give a string such as 'DE89 3704 0044 0532 0130 00'.",
        )
    text = _SPACES.sub("", value)
    return text.upper() if text.isascii() else text


def _pattern(country: str) -> str:
    structure = _STRUCTURES[country]
    return "".join(f"{_CLASSES[kind]}{{{count}}}" for count, kind in _PART.findall(structure))


def iban_length(country: str) -> int | None:
    """The length of a country's IBANs; None if the IBAN registry lacks the country."""
    structure = _STRUCTURES.get(country)
    return structure and 4 + sum(int(count) for count, _ in _PART.findall(structure))  # type: ignore[return-value]  # no structure is empty


def _raise_invalid(message: str, remedy: str) -> NoReturn:
    raise InvalidData(message, field="iban", remedy=remedy)


def _is_iban(_: object, __: object, value: str) -> None:
    country, account_part = value[:2], value[2:]
    length = iban_length(country)
    if length is None:
        _raise_invalid(
            "The IBAN does not begin with the code of a country that has IBANs.",
            "Give an IBAN, such as 'DE89 3704 0044 0532 0130 00', not a national number.",
        )
    if len(value) != length:
        _raise_invalid(
            f"An IBAN of {country} has {length} characters, but this one has {len(value)}.",
            "Copy the whole IBAN, without a label before or after it.",
        )
    if not re.fullmatch("[0-9]{2}" + _pattern(country), account_part):
        _raise_invalid(
            f"The IBAN has a letter or a digit where an IBAN of {country} cannot have one.",
            "Compare the IBAN with its source; 0 and O, or 1 and I, are easily confused.",
        )
    if not are_right(value):
        _raise_invalid(
            "The IBAN's check digits are wrong.",
            "Compare the IBAN with its source: one character is wrong, or two are swapped.",
        )


@frozen(repr=False)
class Iban:
    """An account number with a valid country, length, structure and check digits.

    Spaces and lower case are accepted. The repr shows the country and the last four characters
    only; `value` is the whole number.

    Attributes:
        value: the number in capitals, without spaces.
    """

    value: str = field(converter=_compact, validator=_is_iban)

    @property
    def country(self) -> str:
        """The two letters of the country."""
        return self.value[:2]

    @property
    def spaced(self) -> str:
        """The number in groups of four, as people read it."""
        return " ".join(self.value[start : start + 4] for start in range(0, len(self.value), 4))

    def __repr__(self) -> str:
        return f"Iban('{self.country}…{self.value[-4:]}')"


def maybe_iban(text: str | None) -> Iban | None:
    """Parse a string as an IBAN; return None if it is not a valid IBAN."""
    try:
        return None if text is None else Iban(text)
    except InvalidData:
        return None
