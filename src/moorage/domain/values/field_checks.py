"""Validators for the fields of settings, whose errors name the field and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

    import attrs

    from moorage.domain.values.durations import Validator


def is_filled(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check that a field's value is a string or a series, and is not empty."""
    if not isinstance(value, (str, tuple, list)) or not value:
        raise ConfigurationError(
            f"{attribute.name} is empty, or is not of its type.",
            path=attribute.name,
            remedy="Set it to a value that is not empty.",
        )


def is_among(words: Collection[str]) -> Validator:
    """Return a validator that accepts only these words."""

    def validator(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or value not in words:
            raise ConfigurationError(
                f"{attribute.name} is not one of its allowed values.",
                path=attribute.name,
                remedy=f"Use one of: {', '.join(words)}.",
            )

    return validator


def in_range(least: float, most: float) -> Validator:
    """Return a validator that accepts numbers from `least` to `most`."""

    def validator(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_number and least <= value <= most):
            raise ConfigurationError(
                f"{brief_repr(value)} is out of range for {attribute.name}.",
                path=attribute.name,
                remedy=f"Set a number from {least} to {most}.",
            )

    return validator
