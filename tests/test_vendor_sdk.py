"""The module `moorage.vendor_sdk`: its names, and what the built-in vendors import."""

import ast
import importlib
import inspect
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest

import moorage
from moorage import errors, vendor_sdk
from moorage.contracts.catalog import CONTRACTS, contract

assert vendor_sdk.__file__
SOURCE = Path(vendor_sdk.__file__)
VENDORS = SOURCE.parent.parent / "vendors"
EXAMPLE_PACKAGE = Path(__file__).parent / "packages" / "acme-vendor" / "src"
VALUES = {module.__name__ for kind in CONTRACTS for module in contract(kind).values}


def _names_for_type_checkers() -> dict[str, str]:
    """Return each name that type checkers see, with the module that defines it."""
    return {
        name.asname or "": statement.module or ""
        for node in ast.parse(SOURCE.read_text("utf-8")).body
        if isinstance(node, ast.If) and "TYPE_CHECKING" == ast.unparse(node.test)
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }


def _imported_modules(file: Path) -> set[str]:
    """Return the moorage modules that a file imports."""
    return {
        node.module or ""
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("moorage.")
    }


def test_types_and_names_agree() -> None:
    """Type checkers see exactly the listed names, each as the object that it is at run time."""
    typed_names = _names_for_type_checkers()

    assert set(vendor_sdk.__all__) == set(typed_names)
    for name, module in typed_names.items():
        assert getattr(importlib.import_module(module), name) is getattr(vendor_sdk, name)
        assert name in dir(vendor_sdk)


def test_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name raises the usual AttributeError."""
    with pytest.raises(AttributeError, match=r"'moorage\.vendor_sdk' has no attribute 'Wires'"):
        _ = vendor_sdk.Wires  # type: ignore[attr-defined]  # misspelt on purpose


@pytest.mark.parametrize("name", vendor_sdk.__all__)
def test_names_are_documented(name: str) -> None:
    """Each class and function of the module has its own docstring, and so have their methods."""
    export = getattr(vendor_sdk, name)
    if not (inspect.isclass(export) or inspect.isroutine(export)):
        assert "EXPONENTS" == name
        return
    words = inspect.getdoc(export)

    assert words
    assert not words.startswith(f"{name}(")
    assert words != Enum.__doc__


def test_name_that_moorage_also_exports_is_same_object() -> None:
    """A name that `moorage` also exports is the same object."""
    shared_names = set(vendor_sdk.__all__) & set(moorage.__all__)

    assert {"Request", "Service", "Secret", "VendorFailed"} <= shared_names
    assert all(getattr(vendor_sdk, name) is getattr(moorage, name) for name in shared_names)
    assert issubclass(vendor_sdk.VendorFailed, errors.ConnectorError)


@pytest.mark.parametrize(
    "file",
    [*VENDORS.rglob("*.py"), *EXAMPLE_PACKAGE.rglob("vendor.py")],
    ids=lambda file: file.stem,
)
def test_vendors_import_only_what_is_promised(file: Path) -> None:
    """Built-in vendors import only this module, contract values, and their contract's modules."""
    own_package = f"moorage.vendors.{file.parent.name}"
    packages = {value.rpartition(".")[0] for value in VALUES} - {"moorage.contracts"}

    assert set() == {
        module
        for module in _imported_modules(file)
        if module not in {"moorage.vendor_sdk", *VALUES, *packages}
        and not module.startswith(own_package)
    }


def test_importing_module_alone_loads_no_other_moorage_module() -> None:
    """Importing the module alone loads no other moorage module."""
    code = (
        "import sys; sys.path[:] = sys.argv[1:]; import moorage.vendor_sdk; "
        "print(sorted(name for name in sys.modules if name.startswith('moorage.')))"
    )
    output = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *filter(None, sys.path)],
        capture_output=True,
        check=True,
        text=True,
    ).stdout

    assert "['moorage.vendor_sdk']" == output.strip()
