"""Chooses a few cases of each parametrised test and a few long tests, by seed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

LEAST = 2
"""The number of cases that every test tries, or all if it has fewer."""

SHARE = 12
"""Of the cases beyond the least, a test tries one in so many."""

LONG_SHARE = 3
"""Of the cases drawn so from all long tests, one in so many is tried."""

_LONG_TESTS = Path(__file__).parent.with_name("long_tests.txt")


def long_tests() -> frozenset[str]:
    """Return the ids of the slowest tests, without their parameters."""
    return frozenset(_LONG_TESTS.read_text(encoding="utf-8").split())


def chosen_cases(
    cases: Iterable[str], seed: int, long_tests: Container[str] = frozenset()
) -> set[str]:
    """Return the ids of the test cases to run: for each function, the first in a random order.

    A parameter that several cases of a test share, such as a vendor or a check of a conformance
    kit, is in at least one of its chosen cases, unless the test is a long one.

    Args:
        cases: ids such as `tests/test_manager.py::test_call[async-redis]`.
        seed: another seed draws other cases.
        long_tests: the test functions of which few cases are tried.
    """
    by_function: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        by_function[case.partition("[")[0]].append(case)
    selected_cases: set[str] = set()
    long_cases: list[str] = []
    for function, ids in by_function.items():
        number = LEAST + max(0, len(ids) - LEAST) // SHARE
        ordered_ids = _ordered_by_chance(ids, seed)
        if function in long_tests:
            long_cases += ordered_ids[:number]
        else:
            covering_ids = _covering_cases(ordered_ids)
            others = [case for case in ordered_ids if case not in covering_ids]
            selected_cases.update(covering_ids, others[: max(0, number - len(covering_ids))])
    return selected_cases.union(
        _ordered_by_chance(long_cases, seed)[: 1 + max(0, len(long_cases) - 1) // LONG_SHARE]
    )


def _ordered_by_chance(cases: list[str], seed: int) -> list[str]:
    return sorted(cases, key=lambda case: (crc32(f"{seed}::{case}".encode()), case))


def _parameters(case: str) -> frozenset[str]:
    """Return the parameters in a test id: `async` and `redis` for `test_call[async-redis]`."""
    return frozenset(re.split("-|, ", case.partition("[")[2].removesuffix("]")))


def _covering_cases(cases: list[str]) -> set[str]:
    """Return the cases with a shared parameter that no earlier case has."""
    counts = Counter(parameter for case in cases for parameter in _parameters(case))
    missing = {parameter for parameter, count in counts.items() if 1 < count < len(cases)}
    covering: set[str] = set()
    for case in cases:
        if not missing.isdisjoint(_parameters(case)):
            covering.add(case)
            missing -= _parameters(case)
    return covering
