"""Lists the slowest tests, so that the workers of a run can share them evenly.

`python -m tools.long_tests build/tests.xml` reads the report that pytest wrote with `--junitxml`,
and writes three lists:

- `tests/long_tests.txt`, the long tests, of which CI and `make test` draw a few;
- `tests/busy_tests.txt`, further tests that take much processor time, of which `make test` draws a
  few. Of a listed test that the report lacks, the entry stays;
- `tests/shared_modules.txt`, the modules that all workers collect, because they take long as a
  whole. The longest comes first.

With `--busy`, it writes only the list of busy tests. A report of `make test` is enough for that.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from tools.command_line import tool_parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEST_SHARE: Final = 0.0002
"""A test is long if one case takes more than this share of the whole run."""

BUSY_SHARE: Final = 0.0003
"""A test is busy if one case takes more than this share of the processor time of all tests."""

FIXTURE_SHARE: Final = 0.01
"""If a case takes more than this share of the whole run, all tests of its module are long.

They usually share the fixture that takes so long, and the first of them makes it.
"""

MODULE_SHARE: Final = 0.0035
"""A module is shared if its tests together take more than this share of the whole run.

Such modules take about half of a run, so half of the workers run the tests of the others alone.
"""

TESTS: Final = Path("tests/long_tests.txt")
BUSY: Final = Path("tests/busy_tests.txt")
MODULES: Final = Path("tests/shared_modules.txt")


def seconds(report: str) -> dict[str, list[float]]:
    """Return the seconds of each test's cases in a report, by pytest's id of the test."""
    times: dict[str, list[float]] = defaultdict(list)
    for test, case in _cases(report):
        times[test].append(float(case.get("time", "0")))
    return times


def processor_seconds(report: str) -> dict[str, list[float]]:
    """Return the processor seconds of each test's cases in a report, by pytest's id of the test."""
    times: dict[str, list[float]] = defaultdict(list)
    for test, case in _cases(report):
        for spent in case.iterfind("properties/property[@name='processor_seconds']"):
            times[test].append(float(spent.get("value", "0")))
    return times


def _cases(report: str) -> Iterator[tuple[str, ET.Element]]:
    """Yield the cases in a report, each with the id of its test."""
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = case.get("name", "").partition("[")[0]
        yield _id_of(case.get("classname", ""), name), case


def long_tests(times: dict[str, list[float]]) -> list[str]:
    """Return the ids of the slow tests, in alphabetical order."""
    total = sum(map(sum, times.values()))
    dear_modules = {
        _module_of(test) for test, cases in times.items() if max(cases) > total * FIXTURE_SHARE
    }
    return sorted(
        test
        for test, cases in times.items()
        if sum(cases) / len(cases) > total * TEST_SHARE or _module_of(test) in dear_modules
    )


def busy_tests(times: dict[str, list[float]], listed: Iterable[str]) -> list[str]:
    """Return the ids of tests that take much processor time, in alphabetical order.

    Args:
        times: the processor seconds of each test's cases.
        listed: the busy tests of earlier reports, which stay if `times` lacks them.
    """
    threshold = BUSY_SHARE * sum(map(sum, times.values()))
    busy = {test for test, cases in times.items() if sum(cases) / len(cases) > threshold}
    return sorted(busy.union(listed).difference(times.keys() - busy))


def shared_modules(times: dict[str, list[float]]) -> list[str]:
    """Return the modules that are slow as a whole, longest first."""
    sums: dict[str, float] = defaultdict(float)
    for test, cases in times.items():
        sums[_module_of(test)] += sum(cases)
    threshold = sum(sums.values()) * MODULE_SHARE
    return sorted(
        (module for module, time in sums.items() if time > threshold),
        key=lambda module: (-sums[module], module),
    )


def _module_of(test: str) -> str:
    return test.partition("::")[0]


def _id_of(place: str, name: str) -> str:
    """Return pytest's id of a test, from its module's and class's dotted name."""
    parts = place.split(".")
    end = next(n for n, part in enumerate(parts, 1) if part.startswith("test_"))
    return "::".join(["/".join(parts[:end]) + ".py", *parts[end:], name])


def main(report: Path, *, is_busy_only: bool = False) -> None:
    """Write the lists of slow tests and of slow modules from a test report."""
    text = report.read_text(encoding="utf-8")
    listed = BUSY.read_text(encoding="utf-8").split()
    lists = {BUSY: busy_tests(processor_seconds(text), listed)}
    if not is_busy_only:
        times = seconds(text)
        lists |= {TESTS: long_tests(times), MODULES: shared_modules(times)}
    for path, names in lists.items():
        path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


if __name__ == "__main__":
    PARSER = tool_parser("long_tests", __doc__)
    PARSER.add_argument("report", type=Path, help="the report, such as build/tests.xml")
    PARSER.add_argument("--busy", action="store_true", help="write only the list of busy tests")
    ARGUMENTS = PARSER.parse_args()
    main(ARGUMENTS.report, is_busy_only=ARGUMENTS.busy)
