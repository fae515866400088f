"""Tests each extra alone: `python -m tools.extras [EXTRA …]`.

The wheel is installed in a fresh environment for each extra, and checked as `tools.distribution`
checks it. There, every module is imported, and also every name of an installed package that moorage
uses, even inside functions. So an extra that lacks a package fails, although the package is there
when all extras are installed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from tools.command_line import tool_parser
from tools.distribution import NATIVE, ROOT, check_installation, product_of, wheel_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOR_TESTS: Final = frozenset({"pytest"})
"""Packages that a module needs and no extra has, because who runs it has them."""


def defects(core: Mapping[str, Any], reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the mistakes found in extras, from the reports of the environments they ran in.

    Args:
        core: the report of the environment without an extra.
        reports: the reports of the others, by their extras.
    """
    return [
        *(
            f"{extra}: {problem}"
            for extra, report in {"no extra": core, **reports}.items()
            for problem in report["problems"]
        ),
        *(
            f"{extra}: no module names a package of it"
            for extra, report in reports.items()
            if not set(report["used"]) - set(core["used"])
        ),
    ]


def uncovered_modules(
    core: Mapping[str, Any], reports: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the modules that no single extra makes importable, and their missing packages."""
    absent_packages = dict(core["absent"])
    for report in reports.values():
        absent_packages = {
            module: absent_packages[module]
            for module in absent_packages
            if module in report["absent"]
        }
    return [
        f"{module}: no extra alone can import it, which needs {package}"
        for module, package in sorted(absent_packages.items())
        if package not in FOR_TESTS
    ]


def main(names: Sequence[str]) -> int:
    """Test the named extras, or all that need no system library; return the exit code."""
    with TemporaryDirectory() as folder:
        wheel = wheel_of(ROOT, Path(folder))
        product = product_of(wheel)
        extras = names or [extra for extra in product.extras if extra not in NATIVE]
        core = check_installation(wheel, product.version, ())
        reports = {}
        for extra in extras:
            print(extra, flush=True)
            reports[extra] = check_installation(wheel, product.version, (extra,))
    lines = defects(core, reports) + ([] if names else uncovered_modules(core, reports))
    print(*lines, f"{len(extras)} extras, each alone; {len(lines)} defects", sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    PARSER = tool_parser("extras", __doc__)
    PARSER.add_argument("extras", nargs="*", metavar="EXTRA", help="all by default")
    sys.exit(main(PARSER.parse_args().extras))
