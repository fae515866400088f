"""The error for a module that could not be loaded, for example for lack of files or memory."""

from __future__ import annotations

from typing import Final

from moorage.errors import LocalFailure

LOADING_ERRORS: Final = (ImportError, MemoryError, OSError)
"""Errors of an import that the machine or the installation has caused, and not the program."""


def not_loaded_error(name: str, failure: Exception) -> LocalFailure:
    """Return the error for a call that needs a module which could not be imported.

    Args:
        name: the name of the module or of its object, as the beginning of a sentence.
        failure: the error of the import.
    """
    reason = str(failure) or type(failure).__name__
    return LocalFailure(
        f"{name} could not be loaded ({reason}).",
        retryable=True,
        remedy="Close files that this process no longer needs, or raise its limits of open files"
        " and memory.",
    )
