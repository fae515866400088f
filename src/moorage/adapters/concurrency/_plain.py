"""Running what never suspends: flows of adapters, written once for both colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Answer = TypeVar("Answer")


def run_now(flow: Coroutine[Any, Any, Answer]) -> Answer:
    """Run what never suspends to its end."""
    try:
        flow.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what the coroutine returned
    flow.close()
    raise RuntimeError(f"{flow!r} of a synchronous adapter was made to wait without blocking.")
