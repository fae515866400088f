"""The background event loop of synchronous connectors."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from moorage.adapters.concurrency import background
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import pytest


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_threads_that_begin_together_share_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """If several threads make the background loop at once, all use the same one."""
    both_make_one = Barrier(2)
    loops: list[asyncio.AbstractEventLoop] = []

    class Loop(asyncio.SelectorEventLoop):
        """An event loop that is made at the same time as another."""

        def __init__(self) -> None:
            super().__init__()
            loops.append(self)
            both_make_one.wait(120)

    monkeypatch.setattr(background, "_loops", {})
    monkeypatch.setattr(asyncio, "new_event_loop", Loop)
    worker = background.Background()
    with ThreadPoolExecutor(2) as threads:
        used_loops = [*threads.map(lambda _: worker.run(_running_loop()), range(2))]

    assert 1 == len({*used_loops})
    assert 2 == len(loops)
    # The other loop ends by itself.
    used_loops[0].call_soon_threadsafe(used_loops[0].stop)
    for loop in loops:
        wait_until(loop.is_closed, "the end of a loop")
