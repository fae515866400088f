"""The choice of the test cases that `make test` runs."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.drawn_cases import DRAWS, Draw, chosen_cases, chosen_long_cases, long_tests
from tools.long_tests import busy_tests, processor_seconds, seconds, shared_modules
from tools.long_tests import long_tests as listed

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

FEW, ONE = DRAWS["few"], DRAWS["one"]
MANY = [f"tests/test_a.py::test_many[{number}]" for number in range(103)]


def _chosen_cases(
    cases: Iterable[str], seed: int, long: Container[str] = (), draw: Draw = FEW
) -> set[str]:
    """Return the test cases that one run chooses, as the pytest plugin chooses them."""
    chosen: dict[bool, set[str]] = {True: set(), False: set()}
    by_test = groupby(sorted(cases), lambda case: case.partition("[")[0])
    for test, its_cases in by_test:
        is_long = test in long
        chosen[is_long] |= chosen_cases(its_cases, seed, draw, is_long=is_long)
    return chosen[False] | chosen_long_cases(chosen[True], seed, draw)


def test_test_with_few_cases_runs_all_of_them() -> None:
    """All cases of a test with few cases run, and a test without cases always runs."""
    few_ids = ["tests/test_a.py::test_one", *(f"tests/test_b.py::test_few[{n}]" for n in range(2))]
    assert set(few_ids) == _chosen_cases(few_ids, seed=1)


def test_fraction_of_many_cases_is_chosen() -> None:
    """A fraction of many cases is chosen; a seed chooses the same cases in any collection order."""
    first = _chosen_cases(MANY, seed=1)
    assert len(first) == 2 + 101 // 12
    assert first == _chosen_cases(reversed(MANY), seed=1)


def test_every_case_is_drawn_by_some_seed() -> None:
    """Different seeds choose different cases, so that repeated runs cover all cases."""
    assert set(MANY) == set().union(*(_chosen_cases(MANY, seed) for seed in range(150)))


def test_every_value_of_a_parameter_has_a_chosen_case() -> None:
    """Each vendor and each check of a kit has a chosen case, unless the test takes long."""
    test = "tests/test_a.py::test_conforms"
    cases = [f"{test}[check{n}-{vendor}]" for n in range(20) for vendor in ("a", "b", "c, sync")]
    chosen = _chosen_cases(cases, seed=1)
    assert {f"check{n}" for n in range(20)} == {re.split(r"[\[-]", case)[1] for case in chosen}
    assert {"a]", "b]", "c, sync]"} == {case.split("-")[1] for case in chosen}
    assert len(chosen) < 25
    assert len(_chosen_cases(cases, 1, {test})) < 4


def test_few_long_cases_are_drawn() -> None:
    """A third of all cases of long tests runs, and every case runs with some seed."""
    long_ids = {f"tests/test_{file}.py::test_{n}" for file in "ab" for n in range(7)}
    cases = [f"{test}[{n}]" for test in sorted(long_ids) for n in range(1, 4)] + MANY

    numbers = [len(_chosen_cases(cases, seed, long_ids) - set(MANY)) for seed in range(90)]
    assert 8 < sum(numbers) / 90 < 11
    assert set(cases) == set().union(*(_chosen_cases(cases, seed, long_ids) for seed in range(200)))


def test_choice_of_long_tests_does_not_depend_on_other_tests() -> None:
    """Each worker chooses the same cases of a long test, although it collects other tests too."""
    long_ids = {f"tests/test_a.py::test_{n}" for n in range(40)}
    chosen = _chosen_cases(long_ids, 1, long_ids, ONE)
    assert chosen
    assert chosen == {case for case in long_ids if _chosen_cases([case], 1, long_ids, ONE)}


def test_one_case_of_each_test_is_drawn() -> None:
    """The smallest choice has a case of each test; over all seeds, every case is chosen."""
    pair = [f"tests/test_b.py::test_pair[{side}]" for side in ("left", "right")]
    long_ids = {f"tests/test_c.py::test_{n}" for n in range(19)}
    cases = [*pair, *MANY, *sorted(long_ids)]

    drawn = _chosen_cases(cases, 1, long_ids, ONE)
    assert 1 == len(drawn.intersection(pair))
    assert 1 + 102 // 24 == len(drawn.intersection(MANY))
    assert len(drawn & long_ids) < 8
    assert set(cases) == set().union(
        *(_chosen_cases(cases, seed, long_ids, ONE) for seed in range(300))
    )


def test_both_modes_are_drawn() -> None:
    """The smallest choice runs each test with synchronous and with asynchronous calls."""
    cases = [
        f"tests/test_a.py::test_call[{mode}-{store}]"
        for mode in ("sync", "async")
        for store in ("memory", "sqlite", "redis", "postgresql")
    ]
    pair = ["tests/test_b.py::test_pair[sync]", "tests/test_b.py::test_pair[async]"]
    for seed in range(20):
        assert set(pair) == _chosen_cases(pair, seed, draw=ONE)
        drawn = _chosen_cases(cases, seed, draw=ONE)
        assert ["async", "sync"] == sorted(re.split(r"[\[-]", case)[1] for case in drawn)


def test_long_tests_exist() -> None:
    """Each test in the lists of long and of busy tests is in its file."""
    missing = []
    for test in sorted(long_tests(ONE.lists)):
        path, _, name = test.partition("::")
        name = name.partition("::")[0]
        if not re.search(
            rf"^(async )?(def|class) {name}\b|^{name} = ", Path(path).read_text(), re.MULTILINE
        ):
            missing.append(test)
    assert not missing


def test_long_tests_are_listed_from_a_report() -> None:
    """Tests whose cases take more than a given part of the run are listed by pytest id."""
    report = """<testsuites><testsuite>
        <testcase classname="tests.a.test_b" name="test_long[1]" time="90" />
        <testcase classname="tests.a.test_c.TestC" name="runTest" time="900" />
        <testcase classname="tests.a.test_e" name="test_short" time="0.1" />
        <testcase classname="tests.a.test_d" name="test_short" time="0.1" />
        </testsuite></testsuites>"""
    times = seconds(report)
    assert ["tests/a/test_b.py::test_long", "tests/a/test_c.py::TestC::runTest"] == listed(times)
    assert ["tests/a/test_c.py", "tests/a/test_b.py"] == shared_modules(times)


def test_busy_tests_are_listed_by_processor_time() -> None:
    """Tests that take much processor time are listed, as are those that the report lacks."""
    case = """<testcase classname="tests.a.test_b" name="{}" time="90"><properties>
        <property name="processor_seconds" value="{}" /></properties></testcase>"""
    report = "".join((case.format("test_busy[1]", 9.5), case.format("test_waits", 0.001)))
    times = processor_seconds(f"<testsuites>{report}</testsuites>")
    listed_tests = ["tests/a/test_b.py::test_waits", "tests/test_c.py::test_not_run"]
    assert ["tests/a/test_b.py::test_busy", "tests/test_c.py::test_not_run"] == busy_tests(
        times, listed_tests
    )


def test_tests_that_share_a_slow_fixture_are_long() -> None:
    """A test is long if a test in its module took long to create the fixture that both use."""
    times = {f"tests/test_{n}.py::test_a": [1.0] * 9 for n in range(600)}
    times["tests/test_site.py::test_first"] = [90.0]
    times["tests/test_site.py::test_second"] = [0.1]
    assert ["tests/test_site.py::test_first", "tests/test_site.py::test_second"] == listed(times)


def test_modules_of_many_short_tests_are_shared() -> None:
    """A module that takes long is split among all workers, without its long tests."""
    times = {f"tests/test_{n}.py::test_a": [1.0] * 9 for n in range(6_000)}
    times["tests/test_many.py::test_b"] = [1.0] * 9_000
    assert not listed(times)
    assert ["tests/test_many.py"] == shared_modules(times)
