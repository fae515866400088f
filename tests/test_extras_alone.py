"""Checks that moorage works when only one optional dependency is installed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tools.extras import defects, uncovered_modules
from tools.extras_probe import absent_package, named_modules, problem_of, report

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
from importlib import import_module
from typing import TYPE_CHECKING
import json.tool as tool
from . import near

if TYPE_CHECKING:
    import redis
else:
    import sqlite3

def late():
    from colorsys import hls_to_rgb, no_such_name
    return import_module("wave")
"""
CORE = {
    "used": ["attrs"],
    "problems": [],
    "absent": {"m.redis": "redis", "m.both": "redis", "m.plugin": "pytest"},
}
REDIS = {
    "used": ["attrs", "redis"],
    "problems": [],
    "absent": {"m.both": "sql", "m.plugin": "pytest"},
}


def test_imports_at_run_time_are_named() -> None:
    """Imports inside functions and by literal name are found; imports for type checkers are not."""
    assert {
        ("importlib", "import_module"),
        ("typing", "TYPE_CHECKING"),
        ("json.tool", ""),
        ("sqlite3", ""),
        ("colorsys", "hls_to_rgb"),
        ("colorsys", "no_such_name"),
        ("wave", ""),
    } == set(named_modules(SOURCE))


def test_reason_is_given_for_module_or_name_that_cannot_be_imported() -> None:
    """A module or name that cannot be imported is reported with the reason."""
    assert "" == problem_of("colorsys", "hls_to_rgb") == problem_of("json", "tool")
    assert "ModuleNotFoundError: No module named 'no_such_package'" == problem_of(
        "no_such_package.inner"
    )
    assert problem_of("colorsys", "no_such_name").startswith("ModuleNotFoundError")


def test_missing_package_is_found_behind_the_error_that_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an error names the extra of a missing package, the error's cause is reported."""
    lines = [
        "from moorage.domain.values.installation import optional_module",
        'optional_module("no_such_package", "none")',
    ]
    (tmp_path / "needs_extra.py").write_text("\n".join(lines), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "ModuleNotFoundError: No module named 'no_such_package'" == problem_of("needs_extra")


@pytest.mark.parametrize(
    "problem, package",
    [
        ("ModuleNotFoundError: No module named 'redis.asyncio'; 'redis' is not a package", "redis"),
        ("ModuleNotFoundError: No module named 'attrs.gone'", ""),
        ("ImportError: cannot import name 'Redis'", ""),
        ("", ""),
    ],
)
def test_absent_package_is_no_defect(problem: str, package: str) -> None:
    """A package that is not installed is not a defect; a missing module of an installed one is."""
    assert package == absent_package(problem, frozenset({"attrs"}))


def test_report_lists_used_and_absent_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report lists used and absent packages, and each name that an installed package lacks."""
    folder = tmp_path / "sampled"
    (folder / "templates").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "templates" / "broken.py").write_text("this is no Python")
    (folder / "good.py").write_text("import attrs\n")
    (folder / "absent.py").write_text("import no_such_package.inner\n")
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "late.py").write_text("def late():\n    from attrs import no_such_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    try:
        result = report("sampled", frozenset({"attrs"}))
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "sampled"]:
            del sys.modules[name]

    assert {
        "used": ["attrs"],
        "problems": [
            "sampled.broken: ZeroDivisionError: division by zero",
            f"sampled.late names no_such_name: {problem_of('attrs', 'no_such_name')}",
        ],
        "absent": {"sampled.absent": "no_such_package"},
    } == result


def test_extra_has_defect_if_import_fails() -> None:
    """An extra has a defect if an import fails, or if no module imports any of its packages."""
    assert [] == defects(CORE, {"redis": REDIS})
    assert ["no extra: m.x: it breaks", "idle: no module names a package of it"] == defects(
        {**CORE, "problems": ["m.x: it breaks"]}, {"idle": CORE}
    )


def test_module_that_no_environment_can_import_is_reported() -> None:
    """A module that no environment can import is reported, unless only tests need it."""
    assert ["m.both: no extra alone can import it, which needs redis"] == uncovered_modules(
        CORE, {"redis": REDIS}
    )
