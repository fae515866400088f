"""Helper that runs one test with synchronous and with asynchronous code."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, TypeAlias

SyncOrAsync: TypeAlias = Any
"""A synchronous or asynchronous port, or the result of a call of one."""


def await_if_needed(value: SyncOrAsync) -> SyncOrAsync:
    """Return the result of a call, awaited if necessary."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value
