"""A process that cannot start threads."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

# More than any address space has room for, because a system that promises memory beyond what it has
# gives a thread any smaller stack.
_TOO_LARGE: Final = 1 << 60


@contextmanager
def no_new_threads() -> Generator[None]:
    """Make the system refuse new threads of this process during the block."""
    size = threading.stack_size(_TOO_LARGE)
    try:
        with pytest.raises(RuntimeError):
            threading.Thread(target=int).start()
        yield
    finally:
        threading.stack_size(size)
