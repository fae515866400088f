"""Validators for the options of accounts, and options with fixed choices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.vendor import choices
from moorage.domain.values.durations import count
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def matches(pattern: str, *, problem: str, remedy: str) -> Callable[..., None]:
    """Return a validator that accepts strings that match a pattern.

    Args:
        pattern: the regular expression that the whole string matches.
        problem: the message of the error, such as "This is not the id of an account."
        remedy: the action that corrects the value.
    """
    form = re.compile(pattern)

    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise ConfigurationError(problem, path=attribute.name, remedy=remedy)

    return check_value


def one_of(*words: str | int, problem: str, remedy: str | None = None) -> Callable[..., None]:
    """Return a validator that accepts only these words or numbers.

    Args:
        words: the allowed values.
        problem: the message of the error, such as "The vendor has no region of this name."
        remedy: the action that corrects the value; by default the words are listed.
    """
    listed_words = " or ".join(str(word) for word in words)

    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not any(type(value) is type(word) and value == word for word in words):
            raise ConfigurationError(
                problem, path=attribute.name, remedy=remedy or f"Use {listed_words}."
            )

    return check_value


def choice(default: str | int, *words: str | int, problem: str, remedy: str | None = None) -> Any:
    """Make an option with these allowed words or numbers, for use in configuration schemas.

    Args:
        default: the value if the account does not set the option.
        words: the allowed values.
        problem: the message of the error, such as "The vendor has no region of this name."
        remedy: the action that corrects the value; by default the words are listed.
    """
    return attrs.field(
        default=default,
        metadata=choices(*words),
        validator=one_of(*words, problem=problem, remedy=remedy),
    )


def whole_number(*, least: int = 1, most: int = 10**9) -> Callable[..., None]:
    """Return a validator that accepts integers in this range."""

    def check_value(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
        count(value, attribute.name, least=least, most=most)

    return check_value
