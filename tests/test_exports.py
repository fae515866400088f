"""The public API: every export exists, has types and a docstring, and nothing else is exported."""

import ast
import importlib
import inspect
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest

import moorage
from moorage import errors

assert moorage.__file__
EXPORTS = ("open", *moorage.__all__)
"""All names that can be imported; a star import leaves Python's own `open` as it is."""

SOURCE = Path(moorage.__file__).read_text(encoding="utf-8")


def names_for_type_checkers() -> dict[str, str]:
    """Return each name that type checkers see, with its module."""
    fields: dict[str, str] = {}
    for node in ast.parse(SOURCE).body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" == ast.unparse(node.test):
            for statement in node.body:
                assert isinstance(statement, ast.ImportFrom)
                for name in statement.names:
                    # Only `X as X` is an export to a type checker.
                    assert name.name == name.asname
                    fields[name.name] = statement.module or ""
    return fields


def test_types_and_names_agree() -> None:
    """Type checkers see exactly the names that the package exports."""
    assert set(names_for_type_checkers()) == set(EXPORTS)


def test_exports_are_the_objects_that_type_checkers_see() -> None:
    """Each export is the same object as the one that type checkers see."""
    for name, home_directory in names_for_type_checkers().items():
        assert getattr(importlib.import_module(home_directory), name) is getattr(moorage, name)


def test_import_star_imports_all_exports_but_open() -> None:
    """`from moorage import *` imports all exports but `open`, and nothing else."""
    options: dict[str, object] = {}
    exec("from moorage import *", options)  # noqa: S102 - there is no other way to ask for a star
    del options["__builtins__"]

    assert set(moorage.__all__) == set(options)


def test_exports_are_cached() -> None:
    """An export is imported at its first use only."""
    moorage.__dict__.pop("Money", None)
    first = moorage.Money

    assert first is moorage.__dict__["Money"]
    assert "Money" in dir(moorage)


def test_misspelt_export_raises_attribute_error_with_its_name() -> None:
    """Using a misspelt export raises the usual AttributeError with the name."""
    with pytest.raises(AttributeError, match="'moorage' has no attribute 'Monkey'"):
        _ = moorage.Monkey  # type: ignore[attr-defined]  # misspelt on purpose


def test_every_error_is_exported() -> None:
    """Every error class can be imported from `moorage`."""
    public = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
    }

    assert set() == public - set(moorage.__all__)


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_are_documented(name: str) -> None:
    """Every export has its own docstring."""
    export = getattr(moorage, name)
    assert inspect.isfunction(export) or "__doc__" in vars(export)
    words = inspect.getdoc(export)

    assert words
    # attrs and enum generate a docstring if the author has written none.
    assert not words.startswith(f"{name}(")
    assert words != Enum.__doc__


@pytest.mark.parametrize("name", EXPORTS)
def test_methods_are_documented(name: str) -> None:
    """Every public method of an export has a docstring."""
    export = getattr(moorage, name)
    undocumented_members = [
        member
        for kind in (inspect.getmro(export) if isinstance(export, type) else ())
        if kind.__module__.startswith("moorage")
        for member, value in vars(kind).items()
        if not member.startswith("_")
        and (callable(value) or isinstance(value, (property, classmethod, staticmethod)))
        and not inspect.getdoc(value)
    ]

    assert [] == undocumented_members


def test_operations_are_loaded_by_name() -> None:
    """The operations module lists the operations of every contract, and nothing else."""
    operations = importlib.import_module("moorage.operations")
    contracts = ("Email", "Payments", "Shipping", "Sms", "Storage")

    names = {name for name in dir(operations) if name.removeprefix("Async") in contracts}

    assert {*contracts, *(f"Async{name}" for name in contracts)} == names
    assert names == {getattr(operations, name).__name__ for name in names}
    with pytest.raises(AttributeError, match="has no attribute 'Fax'"):
        _ = operations.Fax


def test_importing_error_does_not_import_managers() -> None:
    """Importing an error does not import the managers."""
    code = (
        "import sys; sys.path[:] = sys.argv[1:]; from moorage import ConnectorError; "
        "print([name for name in sys.modules if name.startswith('moorage.')])"
    )
    output = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *filter(None, sys.path)],
        capture_output=True,
        check=True,
        text=True,
    ).stdout

    assert "['moorage.errors']" == output.strip()
