"""Lists the tests that take most of the time of a run, of which `make test` draws a few.

`python -m tools.long_tests build/tests.xml` reads the report that pytest wrote with `--junitxml`,
and writes `tests/long_tests.txt`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

SHARE: Final = 0.0002
"""A test is long if one case of it takes more than this share of the whole run."""

LIST: Final = Path("tests/long_tests.txt")


def long_tests(report: str) -> list[str]:
    """Return the ids of the long tests in the text of a report, in order."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = case.get("name", "").partition("[")[0]
        seconds[_id_of(case.get("classname", ""), name)].append(float(case.get("time", "0")))
    total = sum(map(sum, seconds.values()))
    return sorted(
        test for test, times in seconds.items() if sum(times) / len(times) > total * SHARE
    )


def _id_of(place: str, name: str) -> str:
    """Return pytest's id of a test, from the dotted name of its module and class."""
    parts = place.split(".")
    end = next(n for n, part in enumerate(parts, 1) if part.startswith("test_"))
    return "::".join(["/".join(parts[:end]) + ".py", *parts[end:], name])


def main(arguments: list[str]) -> None:
    """Write the list from the report with the given path."""
    names = long_tests(Path(arguments[0]).read_text(encoding="utf-8"))
    LIST.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
