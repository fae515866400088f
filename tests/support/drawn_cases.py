"""Chooses some cases of each parametrised test and some of the long tests, by seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


class Draw(NamedTuple):
    """The part of all cases that a run tries.

    Attributes:
        least: the number of cases that every test tries, or all if it has fewer.
        share: of the cases beyond the least, a test tries one in so many.
        long_share: of the cases drawn so from all long tests, one in so many is tried.
        covers: the parameters each of which is in a chosen case, unless the test is a long one.
            None stands for all that several cases of a test share, such as each vendor and each
            check of a conformance kit.
    """

    least: int
    share: int
    long_share: int
    covers: Container[str] | None


DRAWS: Final = {
    "some": Draw(least=2, share=12, long_share=1, covers=None),
    "few": Draw(least=2, share=12, long_share=3, covers=None),
    "one": Draw(least=1, share=24, long_share=9, covers=("sync", "async")),
}
"""The draws by the names that `--cases` accepts."""

_LONG_TESTS = Path(__file__).parent.with_name("long_tests.txt")


def long_tests() -> frozenset[str]:
    """Return the ids of the slowest tests, without their parameters."""
    return frozenset(_LONG_TESTS.read_text(encoding="utf-8").split())


def chosen_cases(
    cases: Iterable[str], seed: int, draw: Draw, long_tests: Container[str]
) -> set[str]:
    """Return the ids of the test cases to run: for each function, the first in a random order.

    Args:
        cases: ids such as `tests/test_manager.py::test_call[async-redis]`.
        seed: another seed draws other cases.
        draw: the part of all cases to choose.
        long_tests: the test functions whose cases are drawn once more.
    """
    by_function: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        by_function[case.partition("[")[0]].append(case)
    selected_cases: set[str] = set()
    long_cases: list[str] = []
    for function, ids in by_function.items():
        number = draw.least + max(0, len(ids) - draw.least) // draw.share
        ordered_ids = _ordered_by_chance(ids, seed)
        if function in long_tests:
            long_cases += ordered_ids[:number]
        else:
            covering_ids = _covering_cases(ordered_ids, draw.covers)
            selected_cases.update(covering_ids)
            other_cases = (case for case in ordered_ids if case not in covering_ids)
            selected_cases.update(islice(other_cases, max(0, number - len(covering_ids))))
    number = 1 + max(0, len(long_cases) - 1) // draw.long_share
    return selected_cases.union(_ordered_by_chance(long_cases, seed)[:number])


def _ordered_by_chance(cases: list[str], seed: int) -> list[str]:
    return sorted(cases, key=lambda case: (crc32(f"{seed}::{case}".encode()), case))


def _parameters(case: str) -> frozenset[str]:
    """Return the parameters in a test id: `async` and `redis` for `test_call[async-redis]`."""
    return frozenset(case.partition("[")[2].removesuffix("]").replace(", ", "-").split("-"))


def _covering_cases(cases: list[str], parameters: Container[str] | None) -> list[str]:
    """Return the cases with one of these parameters that no earlier case has."""
    by_case = [(case, _parameters(case)) for case in cases]
    counts = Counter(parameter for _, names in by_case for parameter in names)
    missing = {
        parameter
        for parameter, count in counts.items()
        if count < len(cases) and (1 < count if parameters is None else parameter in parameters)
    }
    covering_cases = []
    for case, names in by_case:
        if not missing:
            break
        if not missing.isdisjoint(names):
            covering_cases.append(case)
            missing -= names
    return covering_cases
