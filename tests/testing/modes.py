"""One test for both modes: what is awaitable is awaited, what is plain is there already."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, TypeAlias

Either: TypeAlias = Any
"""A port of either mode, or what comes of calling one."""


def now(value: Either) -> Either:
    """The result of a call, awaited if necessary."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value
