"""Functions that build tables from a vendor's words to values of a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from enum import StrEnum

E = TypeVar("E", bound="StrEnum")
M = TypeVar("M")


def words(meaning: M, text: str) -> dict[str, M]:
    """Return a table that gives each word of a text the same meaning."""
    return dict.fromkeys(text.split(), meaning)


def same(kind: type[E], text: str) -> dict[str, E]:
    """Return a table of words that have the same meaning at the vendor and in the contract."""
    return {word: kind(word) for word in text.split()}
