"""Helpers for all simulated calls of the search for leaked secrets."""

from __future__ import annotations

import inspect
from typing import Any


async def await_if_needed(value: Any) -> Any:
    """Return a result, awaiting it if it is awaitable."""
    return await value if inspect.isawaitable(value) else value
