"""Runs functions that use Django's databases in threads, and closes the threads' connections."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from django.db import connections

from moorage.adapters.concurrency.gather import ThreadGather, daemon

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
Answer = TypeVar("Answer")


async def in_thread(
    alias: str, function: Callable[P, Answer], *args: P.args, **named: P.kwargs
) -> Answer:
    """Run a function that uses an alias's database in a thread."""
    return await asyncio.to_thread(closing_connection(alias, function), *args, **named)


def closing_connection(alias: str, function: Callable[P, Answer]) -> Callable[P, Answer]:
    """Wrap a function so that its thread closes the database connection when the function ends."""

    @wraps(function)
    def close_after(*args: P.args, **named: P.kwargs) -> Answer:
        try:
            return function(*args, **named)
        finally:
            connections[alias].close()

    return close_after


def gather() -> ThreadGather:
    """Return a `ThreadGather` whose threads close their database connections before they end."""
    return ThreadGather(start=lambda work: daemon(_close_afterwards(work)))


def _close_afterwards(work: Callable[[], None]) -> Callable[[], None]:
    def close_after() -> None:
        try:
            work()
        finally:
            connections.close_all()

    return close_after
