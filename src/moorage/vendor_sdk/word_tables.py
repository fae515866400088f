"""Functions that build tables from a vendor's words to values of a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from enum import StrEnum

E = TypeVar("E", bound="StrEnum")
M = TypeVar("M")


def words(meaning: M, text: str) -> dict[str, M]:
    """Return a table that gives each word of a string the same meaning."""
    return dict.fromkeys(text.split(), meaning)


def same(kind: type[E], text: str | None = None) -> dict[str, E]:
    """Return a table of words that have the same meaning at the vendor and in the contract.

    Args:
        kind: the contract's words.
        text: the vendor's words; by default all of the contract.
    """
    words_of_both = [*kind] if text is None else text.split()
    return {word: kind(word) for word in words_of_both}


def word_set(text: str) -> frozenset[str]:
    """Return the set of the words of a text, such as the vendor's codes of one meaning."""
    return frozenset(text.split())


def members_of(kind: type[E], text: str) -> frozenset[E]:
    """Return the members of an enumeration with these values, such as a vendor's capabilities.

    Args:
        kind: the enumeration.
        text: the values, separated by spaces.

    Raises:
        ValueError: the enumeration has no such value.
    """
    return frozenset(kind(value) for value in text.split())
