"""File access rights checked as for an ordinary user."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def without_privileges() -> Generator[None]:
    """Check access rights as for an ordinary user, even if root runs the tests."""
    user, effective, saved = os.getresuid()
    os.setresuid(user or 65_534, effective, saved)
    try:
        yield
    finally:
        os.setresuid(user, effective, saved)
