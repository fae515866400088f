"""Steps of pyreqwest exchanges that differ between synchronous and asynchronous clients."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.http.connections._threads import run as run_now

if TYPE_CHECKING:
    from collections.abc import Coroutine

_Result = TypeVar("_Result")

__all__ = ("drop_response_async", "drop_response_sync", "run_later", "run_now")


def run_later(flow: Coroutine[Any, Any, _Result]) -> Coroutine[Any, Any, _Result]:
    """Return a coroutine unchanged, for the caller to await (sync clients use `run_now`)."""
    return flow


def drop_response_async(outgoing: Any) -> None:
    """Drop a response that was not read to its end."""
    # The coroutine never suspends.
    with contextlib.suppress(Exception, StopIteration):
        outgoing.__aexit__(None, None, None).send(None)


def drop_response_sync(outgoing: Any) -> None:
    """Drop a response that was not read to its end."""
    with contextlib.suppress(Exception):
        outgoing.__exit__(None, None, None)
