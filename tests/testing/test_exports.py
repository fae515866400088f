"""The exports of `moorage.testing`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from moorage import testing


@pytest.mark.parametrize("name", sorted(testing.__all__))
def test_every_export_resolves(name: str) -> None:
    """Each exported name exists, has a docstring, and appears in `dir(moorage.testing)`."""
    result = getattr(testing, name)

    assert name in dir(testing)
    assert inspect.getdoc(result) or "Fault" == name


def test_every_public_module_is_exported() -> None:
    """Each public module of the package is exported, or has an exported name."""
    modules = {
        f"{room}.{module.name}"
        for room in ("cassettes", "fakes", "kits")
        for module in pkgutil.iter_modules([str(Path(testing.__file__).parent / room)])
        if not module.name.startswith("_")
    }
    exported_objects = {getattr(testing, name) for name in testing.__all__}
    homes = {
        value.__name__ if isinstance(value, ModuleType) else value.__module__
        for value in exported_objects
        if isinstance(value, (ModuleType, type, FunctionType))
    }

    assert modules == {base_url.removeprefix("moorage.testing.") for base_url in homes}


def test_kits_are_attributes_of_the_testing_package() -> None:
    """The conformance kits can be used as attributes of `moorage.testing`."""
    assert (
        importlib.import_module("moorage.testing.kits.state_conformance")
        is testing.state_conformance
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    """An unknown name in `moorage.testing` raises the same errors as in any other module."""
    name = "no_such_name"

    with pytest.raises(AttributeError, match=name):
        getattr(testing, name)


def test_types_and_names_agree() -> None:
    """Type checkers see the names and modules that exist at run time."""
    source = inspect.getsource(testing)
    for name in testing.__all__:
        assert f" import {name} as {name}\n" in source


def test_importing_moorage_testing_loads_only_this_package_and_moorage() -> None:
    """Importing `moorage.testing` loads only this package and `moorage`."""
    probe = (
        "import sys; before = set(sys.modules); import moorage.testing;"
        "print(sorted(name for name in set(sys.modules) - before if 'moorage' in name))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, check=True, text=True
    )

    assert "['moorage', 'moorage.testing']" == answer.stdout.strip()
