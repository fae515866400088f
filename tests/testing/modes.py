"""Runs one test in both modes: it awaits awaitable results, and returns others."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, TypeAlias

Either: TypeAlias = Any
"""A port of either mode, or what comes of calling one."""


def now(value: Either) -> Either:
    """The result of a call, awaited if necessary."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value
