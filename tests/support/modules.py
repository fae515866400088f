"""Making libraries unavailable during a test."""

import sys

import pytest


def uninstall(monkeypatch: pytest.MonkeyPatch, library: str, *prefixes: str) -> None:
    """Make a library unimportable, and reimport modules whose names begin with these prefixes.

    A package also holds its modules as attributes. They come back with the rest: else a later test
    would find another module there than the one that everybody has imported.
    """
    modules = {name: module for name, module in sys.modules.items() if name.startswith(prefixes)}
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        package = sys.modules.get(parent)
        if getattr(package, child, None) is module:
            monkeypatch.delattr(package, child)
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
