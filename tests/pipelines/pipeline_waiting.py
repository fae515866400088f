"""Waiting for a condition in an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE: Final = 120.0
"""Seconds after which a test that hangs fails."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait up to a time limit until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - any condition may be asked for
            await asyncio.sleep(0.001)
