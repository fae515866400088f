"""One test for both colours: what is awaitable is awaited, what is plain is there already."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, TypeAlias

Either: TypeAlias = Any
"""A port of either colour, or what comes of calling one."""


def now(given: Either) -> Either:
    """What a call returned, awaited if it must be."""
    return asyncio.run(given) if inspect.iscoroutine(given) else given
