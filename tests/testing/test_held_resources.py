"""The resources that this process uses, as counted by checks for leaks."""

from __future__ import annotations

from moorage.testing.kits._held_resources import memory_after

_LOOK_UPS = 4_000
_HELD = 100_000
"""Objects that are many more than other tests of this process may give back meanwhile."""


def test_names_of_look_ups_do_not_count_as_growth() -> None:
    """Names that only Python's cache of attribute lookups keeps are not counted as memory."""
    memory_before = memory_after(None)
    names = [b"objects".decode() for _ in range(_LOOK_UPS)]
    looked_up = {getattr(memory_before, name) for name in names}

    growth = memory_after(names.clear).objects - memory_before.objects

    assert {memory_before.objects} == looked_up
    assert growth < _LOOK_UPS / 20


def test_kept_objects_count_as_growth() -> None:
    """Objects that are still in use count as memory in use; collected objects do not."""
    held: list[object] = []
    memory_before = memory_after(None)
    held.extend(object() for _ in range(_HELD))

    growth = memory_after(None).objects - memory_before.objects
    growth_afterwards = memory_after(held.clear).objects - memory_before.objects

    assert growth > _HELD * 0.9
    assert growth_afterwards < _HELD * 0.1
