"""Properties that are computed once, even if several threads read them first."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moorage import Bulkhead
from moorage.domain.values.shared_property import shared_property
from tests.parts.ways_of_use import run_threads

if TYPE_CHECKING:
    from collections.abc import Generator


class Harbour:
    """An object with a shared property that another thread may compute at the same time."""

    def __init__(self) -> None:
        self.others: list[object] = []

    @shared_property
    def pilot(self) -> object:
        """The pilot, computed at the first use."""
        if not self.others:
            # Simulates another thread that comes in between and computes the value first.
            self.others.append(None)
            self.others[0] = self.pilot
        return object()


def test_value_that_was_stored_first_is_used_by_all_threads() -> None:
    """If two threads compute a shared property at once, both get the value stored first."""
    harbour = Harbour()
    assert harbour.pilot is harbour.others[0]
    assert harbour.pilot is harbour.others[0]
    assert "The pilot, computed at the first use." == Harbour.pilot.__doc__


@contextmanager
def _frequent_switches() -> Generator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def test_bulkhead_works_for_threads_that_use_it_first_at_same_time() -> None:
    """If threads use a bulkhead for the first time at the same moment, they share its slots."""
    with _frequent_switches():
        for _ in range(50):
            _check_slots_are_shared(Bulkhead(1, 6))


def _check_slots_are_shared(bulkhead: Bulkhead) -> None:
    inner_lock = threading.Lock()

    def visit(_: int) -> bool:
        with bulkhead.guard():
            is_alone = inner_lock.acquire(blocking=False)
            if is_alone:
                inner_lock.release()
            return is_alone

    assert [True] * 6 == run_threads(6, visit)
