"""The error for a module that could not be loaded, for example for lack of files or memory."""

from __future__ import annotations

from typing import Final

from moorage.errors import LocalFailure

LOADING_ERRORS: Final = (ImportError, MemoryError, OSError)
"""The errors that an import raises where the machine or the installation is at fault."""


def not_loaded_error(name: str, failure: Exception) -> LocalFailure:
    """Return the error for a call that could not go on without a module.

    Args:
        name: what the module contains, as the beginning of a sentence.
        failure: the error of the import.
    """
    reason = str(failure) or type(failure).__name__
    return LocalFailure(
        f"{name} could not be loaded ({reason}).",
        retryable=True,
        remedy="Close files that this process no longer needs, or raise its limits of open files"
        " and memory.",
    )
