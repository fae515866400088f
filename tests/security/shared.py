"""What every chapter of a host's day needs."""

from __future__ import annotations

import inspect
from typing import Any


async def settled(value: Any) -> Any:
    """A value of either mode."""
    return await value if inspect.isawaitable(value) else value
