"""Runs coroutines that never suspend, for the synchronous adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Answer = TypeVar("Answer")


def run_now(flow: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine that never suspends, and return its result."""
    try:
        flow.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what the coroutine returned
    flow.close()
    raise RuntimeError(
        f"{flow!r} of a synchronous adapter suspended, but it must run without waiting."
    )
