"""Finds out whether SQLite cannot open a file because this process lacks resources."""

from __future__ import annotations

import os
from typing import Final

from moorage.domain.resilience.health import is_exhaustion

EXHAUSTED_REMEDY: Final = "Raise the limit of open files of this process, or give it more memory."


def missing_resources_error() -> OSError | None:
    """Return an error if this process lacks the file descriptors or memory to open a file."""
    try:
        # Not the database: closing it would release the locks of this process's connections.
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error if is_exhaustion(error) else None
    return None
