"""Tests of tables that do not keep their objects alive."""

from __future__ import annotations

import gc
import sys
import threading
from weakref import ref

from moorage.domain.values.weak_table import WeakTable
from tests.parts.ways_of_use import run_threads


class _Ship:
    """An object that a table refers to without keeping it alive."""


def test_table_has_values_of_living_objects() -> None:
    """A table has the latest value of each of its objects that still exists."""
    table: WeakTable[_Ship, int] = WeakTable()
    first, second, third = _Ship(), _Ship(), _Ship()
    table[first], table[second], table[third] = 0, 1, 2
    table[second] = 3
    del third
    gc.collect()
    assert [(first, 0), (second, 3)] == table.items()
    assert ([first, second], 2) == (list(table), len(table))


def test_removed_object_is_not_in_table() -> None:
    """An object is in the table until it is removed; removing it again has no effect."""
    table: WeakTable[_Ship, None] = WeakTable()
    ship = _Ship()
    table[ship] = None
    was_in_table = ship in table
    table.discard(ship)
    table.discard(ship)
    assert (True, False) == (was_in_table, ship in table)


def test_objects_do_not_keep_table() -> None:
    """A table that nobody uses is freed at once, while its objects remain."""
    table: WeakTable[_Ship, None] = WeakTable()
    ship = _Ship()
    table[ship] = None
    lost_table = ref(table)
    gc.disable()
    try:
        del table
        assert lost_table() is None
        del ship
    finally:
        gc.enable()


def test_threads_add_objects_while_others_iterate() -> None:
    """Threads may add and free objects while another thread reads the table."""
    table: WeakTable[_Ship, None] = WeakTable()
    kept_ships = [_Ship() for _ in range(200)]
    for ship in kept_ships:
        table[ship] = None
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    enough = threading.Event()

    def use(number: int) -> int:
        if number:
            while not enough.is_set():
                table[_Ship()] = None
            return 0
        try:
            return min(len(list(table)) for _ in range(2_000))
        finally:
            enough.set()

    try:
        assert run_threads(3, use)[0] >= len(kept_ships)
    finally:
        sys.setswitchinterval(interval)
