"""Finds the option of an account or connector that caused an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from moorage.domain.secrets.options import first_name, option_of, rename
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.frozen_values import fields_of
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.errors import ConnectorError

Made = TypeVar("Made")
Owner = TypeVar("Owner")

_KIND: Final = "kind"
"""The setting that names the kind of the owner; it is not an option of the owner."""

_VALID_TEXT: Final = "a1"
"""A text that is valid for most options."""


def made_of(owner: Owner, make: Callable[[Owner], Made], place: str) -> Made:
    """Create an object from an owner's options with `make`; errors name the option at fault.

    Args:
        owner: the vendor or the settings whose fields are the options.
        make: makes values of the options, such as a vendor's services.
        place: the path of the options in the configuration.

    Raises:
        ConfigurationError, InvalidData: an option is wrong; the error has its path.
    """
    try:
        return make(owner)
    except (ConfigurationError, InvalidData) as error:
        refusal = error
    option = _KIND if option_of(refusal) == _KIND else wrong_option(owner, refusal, make)
    rename(refusal, place if option is None else f"{place}.{option}")
    try:
        raise refusal
    finally:
        # Otherwise the traceback refers to this frame and the frame to the error: a cycle.
        del refusal


def wrong_option(
    owner: Owner, error: ConnectorError, make: Callable[[Owner], object]
) -> str | None:
    """Return the option that an error is about; None if that is not certain.

    The error may name a field of a value that was made from an option, such as the base URL of a
    service. Then the option is the one for which `make` succeeds with another value.

    Args:
        owner: the vendor or the settings whose fields are the options.
        error: the error that `make` raised for the owner.
        make: makes values of the options, such as a vendor's services.
    """
    named_option = option_of(error)
    root = first_name(error)
    fields = fields_of(cast("Any", type(owner)))
    values = {field.name: getattr(owner, field.name) for field in fields if field.init}
    is_secret = named_option == "secret"
    names = sorted(
        values, key=lambda name: (name != root, isinstance(values[name], Secret) is not is_secret)
    )
    for name in names:
        other_values = {
            other_name: values[other_name] for other_name in names if other_name != name
        }
        if _can_make(make, owner, other_values) or _can_make(
            make, owner, other_values | {name: _VALID_TEXT}
        ):
            return named_option if name == root else name
    return named_option if root in values else None


def _can_make(make: Callable[[Owner], object], owner: Owner, values: dict[str, Any]) -> bool:
    """Return whether `make` succeeds for an owner with these options."""
    try:
        make(type(owner)(**values))
    except (ConfigurationError, InvalidData, TypeError):  # a required option is missing
        return False
    return True
