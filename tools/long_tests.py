"""Lists the slowest tests, so that the workers of a run can share them evenly.

`python -m tools.long_tests build/tests.xml` reads the report that pytest wrote with `--junitxml`,
and writes two lists:

- `tests/long_tests.txt`, the long tests, of which `make test` draws a few;
- `tests/shared_modules.txt`, the modules that all workers collect, because they have long tests or
  take long as a whole. The longest comes first.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tools.command_line import tool_parser

TEST_SHARE: Final = 0.0002
"""A test is long if one case takes more than this share of the whole run."""

FIXTURE_SHARE: Final = 0.01
"""If a case takes more than this share of the whole run, all tests of its module are long.

They usually share the fixture that takes so long, and the first of them makes it.
"""

MODULE_SHARE: Final = 0.006
"""A module is long if its tests together take more than this share of the whole run."""

TESTS: Final = Path("tests/long_tests.txt")
MODULES: Final = Path("tests/shared_modules.txt")


def seconds(report: str) -> dict[str, list[float]]:
    """Return the total seconds of each test in a report, by pytest's id of the test."""
    times: dict[str, list[float]] = defaultdict(list)
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = case.get("name", "").partition("[")[0]
        times[_id_of(case.get("classname", ""), name)].append(float(case.get("time", "0")))
    return times


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


def shared_modules(times: dict[str, list[float]]) -> list[str]:
    """Return the modules with slow tests, or slow as a whole, longest first."""
    sums: dict[str, float] = defaultdict(float)
    for test, cases in times.items():
        sums[_module_of(test)] += sum(cases)
    threshold = sum(sums.values()) * MODULE_SHARE
    with_long_tests = {_module_of(test) for test in long_tests(times)}
    return sorted(
        (module for module, time in sums.items() if module in with_long_tests or time > threshold),
        key=lambda module: (-sums[module], module),
    )


def _module_of(test: str) -> str:
    return test.partition("::")[0]


def _id_of(place: str, name: str) -> str:
    """Return pytest's id of a test, from its module's and class's dotted name."""
    parts = place.split(".")
    end = next(n for n, part in enumerate(parts, 1) if part.startswith("test_"))
    return "::".join(["/".join(parts[:end]) + ".py", *parts[end:], name])


def main(report: Path) -> None:
    """Write the lists of slow tests and of slow modules from a test report."""
    times = seconds(report.read_text(encoding="utf-8"))
    for path, names in ((TESTS, long_tests(times)), (MODULES, shared_modules(times))):
        path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


if __name__ == "__main__":
    PARSER = tool_parser("long_tests", __doc__)
    PARSER.add_argument("report", type=Path, help="the report, such as build/tests.xml")
    main(PARSER.parse_args().report)
