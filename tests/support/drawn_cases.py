"""Chooses a few cases of each test with many, and a few of the long tests, anew for each seed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

LEAST = 3
"""The number of cases that every test tries, or all if it has fewer."""

SHARE = 8
"""Of the cases beyond the least, a test tries one in so many."""

LONG_SHARE = 3
"""Of the cases drawn so from all long tests, one in so many is tried."""

_LONG_TESTS = Path(__file__).parent.with_name("long_tests.txt")


def long_tests() -> frozenset[str]:
    """Return the ids of the tests that take most of the time, without those of their cases."""
    return frozenset(_LONG_TESTS.read_text(encoding="utf-8").split())


def chosen_cases(
    cases: Iterable[str], seed: int, long_tests: Container[str] = frozenset()
) -> set[str]:
    """Return the ids of the cases to try: of each test function the first ones in a random order.

    Args:
        cases: ids such as `tests/test_manager.py::test_call[async-redis]`.
        seed: another seed draws other cases.
        long_tests: the test functions of which few cases are tried.
    """
    by_function: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        by_function[case.partition("[")[0]].append(case)
    chosen: set[str] = set()
    long_cases: list[str] = []
    for function, ids in by_function.items():
        drawn_ids = _drawn(ids, seed, LEAST, SHARE)
        if function in long_tests:
            long_cases += drawn_ids
        else:
            chosen.update(drawn_ids)
    return chosen.union(_drawn(long_cases, seed, 1, LONG_SHARE))


def _drawn(cases: list[str], seed: int, least: int, share: int) -> list[str]:
    """Return the least number of cases, and one in `share` of the others."""
    in_order = sorted(cases, key=lambda case: (crc32(f"{seed}::{case}".encode()), case))
    return in_order[: least + max(0, len(cases) - least) // share]
