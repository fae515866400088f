"""Notices for whoever runs this process, of what breaks no call."""

from __future__ import annotations

import warnings


def give_notice(text: str, *, stacklevel: int = 1) -> None:
    """Warn of something; where warnings are errors, write it to the log `moorage` instead.

    So neither the call that came upon it nor the notice is lost.

    Args:
        text: what happened, and what to do.
        stacklevel: the caller that the warning names; 1 is the caller of this function.
    """
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=stacklevel + 1)
    except Exception:  # noqa: BLE001 - whatever a host makes of a warning
        from logging import getLogger  # noqa: PLC0415 - needed by few hosts, and takes a while

        getLogger("moorage").warning("%s", text)
