"""Chooses a few cases of each test with many, anew for each seed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST = 3
"""The number of cases that every test tries, or all if it has fewer."""

SHARE = 8
"""Of the cases beyond the least, a test tries one in so many."""


def chosen_cases(cases: Iterable[str], seed: int) -> set[str]:
    """Return the ids of the cases to try: of each test function the first ones in a random order.

    Args:
        cases: ids such as `tests/test_manager.py::test_call[async-redis]`.
        seed: another seed draws other cases.
    """
    by_function: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        by_function[case.partition("[")[0]].append(case)
    chosen: set[str] = set()
    for ids in by_function.values():
        ids.sort(key=lambda case: (crc32(f"{seed}::{case}".encode()), case))
        chosen.update(ids[: LEAST + max(0, len(ids) - LEAST) // SHARE])
    return chosen
