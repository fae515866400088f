"""Helper that runs a test in both modes by awaiting awaitable results."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, TypeAlias

Either: TypeAlias = Any
"""A port of either mode, or what comes of calling one."""


def now(value: Either) -> Either:
    """Return the result of a call, awaited if necessary."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value
