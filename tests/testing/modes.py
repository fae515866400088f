"""Helper that runs a test in both modes by awaiting awaitable results."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, TypeAlias

Either: TypeAlias = Any
"""A synchronous or asynchronous port, or the result of a call of one."""


def now(value: Either) -> Either:
    """Return the result of a call, awaited if necessary."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value
