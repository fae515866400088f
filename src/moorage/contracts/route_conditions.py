"""Conditions of routes: the countries and currencies to which a route applies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.calling_codes import COUNTRIES_OF_NUMBERS
from moorage.domain.values.countries import COUNTRIES
from moorage.domain.values.money import EXPONENTS
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    import attrs

_MISTAKEN_COUNTRIES: Final = {"UK": "GB", "EL": "GR", "EN": "GB"}
_CONDITION_TITLES: Final = {"countries": "a country", "currencies": "a currency"}
_CONDITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "email": (),
    "sms": ("countries",),
    "payments": ("countries", "currencies"),
    "storage": (),
    "shipping": ("countries",),
    "currencies": (),
    "tax": ("countries",),
}
"""The conditions that operations of a contract can meet, because they have such a value."""


def check_conditions(kind: str, conditions: Mapping[str, frozenset[str]]) -> None:
    """Refuse conditions that no operation of a contract could meet."""
    usable_conditions = _CONDITIONS.get(kind, tuple(conditions))
    problems = [
        Problem(
            name,
            f"No operation of {kind} has {_CONDITION_TITLES[name]}, so the route is never used.",
            f"Remove `{name}`.",
        )
        for name, codes in conditions.items()
        if codes and name not in usable_conditions
    ]
    unknown_countries = conditions["countries"] - COUNTRIES_OF_NUMBERS
    if kind == "sms" and unknown_countries:
        names = ", ".join(sorted(unknown_countries))
        problems.append(
            Problem(
                "countries",
                "moorage cannot tell from the calling code that a phone number belongs to"
                f" {names}, so this route would never be used for it.",
                "Remove this country; a route without `countries` is also used for these numbers,"
                " such as all that begin with +1.",
            )
        )
    if problems:
        raise ConfigurationError.of(problems)


def are_countries(_: object, attribute: attrs.Attribute[Any], value: frozenset[str]) -> None:
    """Refuse a set that contains anything but country codes."""
    for code in value:
        if code not in COUNTRIES:
            nearest = _MISTAKEN_COUNTRIES.get(code)
            raise ConfigurationError(
                f"{code[:20]!r} is not a country code.",
                path=attribute.name,
                remedy="Give codes of two letters (ISO 3166), such as DE."
                if nearest is None
                else f"Give {nearest}, the code of ISO 3166.",
            )


def are_currencies(_: object, attribute: attrs.Attribute[Any], value: frozenset[str]) -> None:
    """Refuse a set that contains anything but currency codes."""
    for code in value:
        if code not in EXPONENTS:
            raise ConfigurationError(
                f"{code[:20]!r} is not a currency code.",
                path=attribute.name,
                remedy="Give codes of three letters (ISO 4217), such as EUR.",
            )
