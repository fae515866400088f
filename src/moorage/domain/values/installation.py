"""The command that installs an optional part of moorage."""

from __future__ import annotations

__all__ = ("install",)


def install(*extras: str) -> str:
    """Return the sentence that tells a user to install these extras.

    The package is not on a package index yet, so the command is for a checkout.

    Args:
        extras: names of optional dependencies; each of them alone is enough.
    """
    commands = " or ".join(f"`pip install '.[{extra}]'`" for extra in extras)
    return f"Run {commands} in a checkout of moorage."
