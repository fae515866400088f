"""Helpers of all chapters."""

from __future__ import annotations

import inspect
from typing import Any


async def settled(value: Any) -> Any:
    """Return a result of either mode."""
    return await value if inspect.isawaitable(value) else value
