"""Imports objects of a program by names such as shop.orders:store."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from moorage.domain.secrets.frames import error_name
from moorage.errors import ConfigurationError


def import_object(name: str, path: str, remedy: str) -> Any:
    """Import an object by the name of a module and a name in it, and return the object.

    Args:
        name: the name, such as shop.orders:store.
        path: the setting or option with the name, for the error.
        remedy: the advice what to write instead.

    Raises:
        ConfigurationError: the object cannot be imported.
    """
    module, _, attribute = name.partition(":")
    try:
        target: Any = import_module(module)
        for part in attribute.split("."):
            target = getattr(target, part)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the program's own code may raise anything
        # The message of an error that the program itself raises may quote a secret.
        is_shown = isinstance(error, (ImportError, AttributeError, SyntaxError))
        reason = str(error) if is_shown else error_name(error)
    else:
        return target
    raise ConfigurationError(
        f"{name!r} cannot be imported ({reason}).",
        path=path,
        remedy=f"{remedy}, and start the command in the folder where your program starts.",
    )
