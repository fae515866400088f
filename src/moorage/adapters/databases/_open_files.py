"""The reason why SQLite cannot open a file, which its own error does not contain."""

from __future__ import annotations

import os
from typing import Final

from moorage.domain.resilience.health import is_exhaustion

EXHAUSTED_REMEDY: Final = "Raise the limit of open files of this process, or give it more memory."


def lack_of_files() -> OSError | None:
    """Return the error if this process cannot open another file for lack of files or memory."""
    try:
        # Not the database: closing it would release the locks of this process's connections.
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error if is_exhaustion(error) else None
    return None
