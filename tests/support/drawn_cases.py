"""Chooses some cases of each parametrised test and some of the long tests, by seed."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


class Draw(NamedTuple):
    """The numbers that decide which share of the test cases one run executes.

    Attributes:
        least: the number of cases that every test tries, or all if it has fewer.
        share: of the cases beyond the least, a test tries one in so many.
        long_share: of the cases drawn so from all long tests, one in so many is tried.
        covers: the parameters each of which is in a chosen case, unless the test is a long one.
            None stands for all that several cases of a test share, such as each vendor and each
            check of a conformance kit.
        lists: the generated lists of tests that count as long tests.
    """

    least: int
    share: int
    long_share: int
    covers: Container[str] | None
    lists: tuple[str, ...] = ("long_tests.txt",)


DRAWS: Final = {
    "some": Draw(least=2, share=12, long_share=1, covers=None),
    "few": Draw(least=2, share=12, long_share=3, covers=None),
    "one": Draw(
        least=1,
        share=24,
        long_share=9,
        covers=("sync", "async"),
        lists=("long_tests.txt", "busy_tests.txt"),
    ),
}
"""The draws by the names that `--cases` accepts."""

_LISTS: Final = Path(__file__).parents[1]


@cache
def long_tests(lists: tuple[str, ...]) -> frozenset[str]:
    """Return the ids of the tests in generated lists, without their parameters."""
    return frozenset(
        test for name in lists for test in (_LISTS / name).read_text(encoding="utf-8").split()
    )


def chosen_cases(cases: Iterable[str], seed: int, draw: Draw, *, is_long: bool) -> set[str]:
    """Return the ids of the cases of one test to run: the first ones of a random order.

    Args:
        cases: ids such as `tests/test_manager.py::test_call[async-redis]`.
        seed: another seed draws other cases.
        draw: the part of all cases to choose.
        is_long: whether the test is a long one, whose chosen cases are drawn once more.
    """
    ordered_ids = _ordered_by_chance(cases, seed)
    number = draw.least + max(0, len(ordered_ids) - draw.least) // draw.share
    if is_long:
        return set(ordered_ids[:number])
    covering_ids = _covering_cases(ordered_ids, draw.covers)
    other_ids = (case for case in ordered_ids if case not in covering_ids)
    return {*covering_ids, *islice(other_ids, max(0, number - len(covering_ids)))}


def chosen_long_cases(cases: Iterable[str], seed: int, draw: Draw) -> set[str]:
    """Return those of the chosen cases of long tests that this run tries.

    The choice of a case does not depend on the others, because workers collect different tests.
    """
    return {case for case in cases if _chance(case, seed) % draw.long_share == 0}


def _ordered_by_chance(cases: Iterable[str], seed: int) -> list[str]:
    return sorted(cases, key=lambda case: (_chance(case, seed), case))


def _chance(case: str, seed: int) -> int:
    return crc32(f"{seed}::{case}".encode())


def _parameters(case: str) -> frozenset[str]:
    """Return the parameters in a test id: `async` and `redis` for `test_call[async-redis]`."""
    return frozenset(case.partition("[")[2].removesuffix("]").replace(", ", "-").split("-"))


def _covering_cases(cases: list[str], parameters: Container[str] | None) -> list[str]:
    """Return cases that together contain each of these parameters, if any case has it."""
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
