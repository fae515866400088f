"""The number of operations that tests for leaks perform."""

from __future__ import annotations

import os

_LONG = 10_000


def operations(usual: int) -> int:
    """Return the usual number of operations, or ten thousand if tests may take long."""
    return _LONG if os.environ.get("MOORAGE_LONG") else usual
