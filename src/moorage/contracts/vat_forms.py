"""The formats of VAT numbers, by their two-letter prefixes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_BRITISH: Final = "[0-9]{9}(?:[0-9]{3})?|(?:GD|HA)[0-9]{3}"
VAT_FORMS: Final[Mapping[str, str]] = {
    "AT": "U[0-9]{8}",
    "BE": "[01][0-9]{9}",
    "BG": "[0-9]{9,10}",
    "CY": "[0-9]{8}[A-Z]",
    "CZ": "[0-9]{8,10}",
    "DE": "[0-9]{9}",
    "DK": "[0-9]{8}",
    "EE": "[0-9]{9}",
    "EL": "[0-9]{9}",
    "ES": "[A-Z][0-9]{7}[A-Z0-9]|[0-9]{8}[A-Z]",
    "FI": "[0-9]{8}",
    "FR": "[A-Z0-9]{2}[0-9]{9}",
    "GB": _BRITISH,
    "HR": "[0-9]{11}",
    "HU": "[0-9]{8}",
    "IE": "[0-9][A-Z0-9+*][0-9]{5}[A-Z]|[0-9]{7}[A-Z]{2}",
    "IT": "[0-9]{11}",
    "LT": "[0-9]{9}(?:[0-9]{3})?",
    "LU": "[0-9]{8}",
    "LV": "[0-9]{11}",
    "MT": "[0-9]{8}",
    "NL": "[0-9]{9}B[0-9]{2}",
    "NO": "[0-9]{9}MVA",
    "PL": "[0-9]{10}",
    "PT": "[0-9]{9}",
    "RO": "[0-9]{2,10}",
    "SE": "[0-9]{12}",
    "SI": "[0-9]{8}",
    "SK": "[0-9]{10}",
    "XI": _BRITISH,
}
"""The form of the number that follows each prefix."""
COUNTRIES_BY_PREFIX: Final = {"EL": "GR", "XI": "GB"}
"""The ISO 3166 codes of the prefixes that differ from them."""
VAT_COUNTRIES: Final = frozenset(COUNTRIES_BY_PREFIX.get(prefix, prefix) for prefix in VAT_FORMS)
"""The ISO 3166 codes of the countries whose VAT numbers have a known form."""
