"""The command that installs an optional part of moorage."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ("install", "missing_package_error", "optional_module")


def install(*extras: str) -> str:
    """Return a sentence with the command that installs these optional parts of moorage.

    The package is not on a package index yet, so the command is for a checkout.

    Args:
        extras: names of optional dependencies; each package alone is enough.
    """
    commands = " or ".join(f"`pip install '.[{extra}]'`" for extra in extras)
    return f"Run {commands} in a checkout of moorage."


def optional_module(name: str, extra: str) -> Any:
    """Import and return a module of an optional dependency; the error names a missing extra.

    Args:
        name: the name of the module.
        extra: the name of the optional dependency.

    Raises:
        ImportError: the module is not installed; the message names the extra.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise missing_package_error(error, extra) from error


def missing_package_error(error: ImportError, extra: str) -> ImportError:
    """Return the error for a missing package, with the command that installs its extra."""
    package = (error.name or "needed").partition(".")[0]
    message = f"The package {package} is not installed. {install(extra)}"
    return ImportError(message, name=error.name)
