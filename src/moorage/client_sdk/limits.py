"""The limits that an API description sets for values, in addition to their types.

A limit returns the problem of a value as the end of a sentence, or None if there is no problem. It
never quotes the value, because that may be a secret.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Protocol, TypeAlias

import attrs

from moorage.domain.values.json_text import is_list


class Limit(Protocol):
    """A limit on the values of a type."""

    def problem(self, value: Any) -> str | None:
        """Return the problem of a JSON value, as the end of a sentence; None if it is valid."""
        ...


@attrs.frozen
class Text:
    """Limits of the number of characters of a string.

    Attributes:
        least: the smallest number.
        most: the largest number; None for no limit.
    """

    least: int = 0
    most: int | None = None

    def problem(self, value: Any) -> str | None:
        """Return the problem of a string; None if it is valid."""
        if not isinstance(value, str):
            return None
        if len(value) < self.least:
            return f"has fewer than {self.least} characters"
        if self.most is not None and len(value) > self.most:
            return f"has more than {self.most} characters"
        return None


@attrs.frozen
class Number:
    """Limits of a number.

    Attributes:
        least: the smallest number, as text; None for no limit.
        most: the largest number, as text; None for no limit.
        above: the exclusive lower bound, as text; None for no limit.
        below: the exclusive upper bound, as text; None for no limit.
    """

    least: str | None = None
    most: str | None = None
    above: str | None = None
    below: str | None = None

    def problem(self, value: Any) -> str | None:
        """Return the problem of a number; None if it is valid."""
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            return None
        if self.least is not None and value < Decimal(self.least):
            return f"is less than {self.least}"
        if self.most is not None and value > Decimal(self.most):
            return f"is more than {self.most}"
        if self.above is not None and value <= Decimal(self.above):
            return f"is not more than {self.above}"
        if self.below is not None and value >= Decimal(self.below):
            return f"is not less than {self.below}"
        return None


@attrs.frozen
class Items:
    """Limits of the number of items of a list.

    Attributes:
        least: the smallest number.
        most: the largest number; None for no limit.
    """

    least: int = 0
    most: int | None = None

    def problem(self, value: Any) -> str | None:
        """Return the problem of a list; None if it is valid."""
        if not is_list(value):
            return None
        if len(value) < self.least:
            return f"has fewer than {self.least} items"
        if self.most is not None and len(value) > self.most:
            return f"has more than {self.most} items"
        return None


@attrs.frozen(init=False)
class OneOf:
    """A limit to a few allowed strings, integers or booleans.

    Attributes:
        values: the allowed values, as JSON values.
    """

    values: tuple[str | int | bool, ...]

    def __init__(self, *values: str | int | bool) -> None:
        object.__setattr__(self, "values", values)

    def problem(self, value: Any) -> str | None:
        """Return the problem of a value; None if it is one of the allowed values."""
        if value is None or any(
            value == item and isinstance(value, bool) is isinstance(item, bool)
            for item in self.values
        ):
            return None
        return "is not one of the values in the description"


@attrs.frozen
class Discriminator:
    """The discriminator of a union: the member whose value determines the class of an object.

    Attributes:
        member: the name of the member in JSON.
        classes: the names of the classes, by the value of the member.
    """

    member: str
    classes: dict[str, str] = attrs.field(hash=False)

    def problem(self, value: Any) -> None:  # noqa: ARG002 - the signature of every limit
        """Return None, because the class of the object is checked instead."""
        return


class DecimalText:
    """Marks a decimal number that is a string in JSON."""

    def problem(self, value: Any) -> None:  # noqa: ARG002 - the signature of every limit
        """Return None, because the text is checked when it is read."""
        return


AS_TEXT: Final = DecimalText()
"""Marks a Decimal that is a string in JSON."""


@attrs.frozen(init=False)
class Member:
    """The properties of a field that its annotation does not state.

    Attributes:
        name: the name of the field in JSON.
        limits: the limits of the field's values.
    """

    name: str
    limits: tuple[Limit, ...]

    def __init__(self, name: str, *limits: Limit) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "limits", limits)


Limits: TypeAlias = tuple[Limit, ...]
