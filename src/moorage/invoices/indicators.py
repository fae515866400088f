"""Indicators: XML elements that tell whether an amount is an allowance or a charge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.invoices.binding import (
    ElementPlace,
    Fields,
    SpecialElement,
    text_at,
    unreadable_element_error,
    write_nothing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.vendor_sdk.xml_text import XmlElement

ALLOWANCE: Final = frozenset({"false", "0"})
"""The indicators of an allowance."""

CHARGE: Final = frozenset({"true", "1"})
"""The indicators of a charge."""


def has_indicator(words: frozenset[str], *path: str) -> Callable[[XmlElement], bool]:
    """Return a test whether an element's indicator has one of these values."""
    return lambda element: text_at(element, *path) in words


def check_indicators(tag: str, *path: str) -> SpecialElement:
    """Return a table entry that refuses elements whose indicator is neither 'true' nor 'false'."""

    def read_element(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        del fields
        for element in parent.all(tag):
            if text_at(element, *path) not in ALLOWANCE | CHARGE:
                raise unreadable_element_error(
                    place.inside(tag).inside(path[0]),
                    "The indicator is neither 'true' nor 'false', so the element is neither an"
                    " allowance nor a charge (PEPPOL-EN16931-R043).",
                )

    return SpecialElement(read_element, write_nothing)
