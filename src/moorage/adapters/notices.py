"""Warnings to the operator about problems that do not make a call fail."""

from __future__ import annotations

import warnings


def give_notice(text: str, *, stacklevel: int = 1) -> None:
    """Emit a warning; where warnings are errors, write to the log `moorage` instead.

    So neither the current call nor the notice is lost.

    Args:
        text: the problem and its remedy.
        stacklevel: the caller that the warning names; 1 is the caller of this function.
    """
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=stacklevel + 1)
    except Exception:  # noqa: BLE001 - the host may turn warnings into errors
        from logging import getLogger  # noqa: PLC0415 - needed by few hosts, and takes a while

        getLogger("moorage").warning("%s", text)
