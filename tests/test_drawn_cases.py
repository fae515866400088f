"""The choice of cases that `make test` tries."""

from __future__ import annotations

from tests.support.drawn_cases import chosen_cases

MANY = [f"tests/test_a.py::test_many[{number}]" for number in range(103)]


def test_functions_with_few_cases_keep_them_all() -> None:
    """A test with few cases tries all of them, and a test without cases is always tried."""
    few = ["tests/test_a.py::test_one", *(f"tests/test_b.py::test_few[{n}]" for n in range(3))]
    assert set(few) == chosen_cases(few, seed=1)


def test_a_share_of_many_is_drawn() -> None:
    """Of many cases a share is drawn, the same for one seed in any order of collection."""
    first = chosen_cases(MANY, seed=1)
    assert len(first) == 3 + 100 // 8
    assert first == chosen_cases(reversed(MANY), seed=1)


def test_every_case_is_drawn_by_some_seed() -> None:
    """Another seed draws other cases, so that repeated runs try all."""
    assert set(MANY) == set().union(*(chosen_cases(MANY, seed) for seed in range(100)))
