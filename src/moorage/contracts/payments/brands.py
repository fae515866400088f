"""Card brands, with one name for all vendors."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

_WORD_BREAKS: Final = re.compile(r"[\W_]+")
_NAMES: Final = MappingProxyType(
    {
        "american_express": "amex",
        "carte_bancaire": "cartes_bancaires",
        "cartebancaire": "cartes_bancaires",
        "cb_nationale": "cartes_bancaires",
        "china_union_pay": "unionpay",
        "china_unionpay": "unionpay",
        "cup": "unionpay",
        "diners_club": "diners",
        "discover_diners": "diners",
        "eftpos": "eftpos_au",
        "eftpos_australia": "eftpos_au",
        "master_card": "mastercard",
        "mc": "mastercard",
        "other_brand": "unknown",
        "union_pay": "unionpay",
    }
)
"""Other vendors' words for a brand, in lower case, and the name here."""


def card_brand(word: str | None) -> str | None:
    """The common name of a card brand, such as "visa" or "amex", from a vendor's name.

    For an unknown brand this is the vendor's word in lower case, with an underscore between words.
    For None, or a word without a letter or digit, it is None.
    """
    name = _WORD_BREAKS.sub("_", word or "").strip("_").lower()
    return _NAMES.get(name, name) or None
