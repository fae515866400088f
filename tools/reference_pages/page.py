"""A reference page, and the objects that the names on it stand for."""

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import moorage


class Page(NamedTuple):
    """A reference page, with its path, its title and the names that it documents.

    A name without a module is exported by `moorage`; `module:name` is a name to import from that
    module, `module:*` is everything public that the module defines, and `module:` the module.
    """

    path: str
    title: str
    about: str
    names: tuple[str, ...]


def public_classes(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public classes defined in a module."""
    for name, value in vars(module).items():
        if (
            inspect.isclass(value)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        ):
            yield name, value


def members_of(name: str) -> list[tuple[str, Any]]:
    """Return each name and object that an entry of a page stands for."""
    path, colon, target = name.partition(":")
    if not colon:
        return [(name, getattr(moorage, name))]
    module = importlib.import_module(path)
    if not target:
        return [(path, module)]
    if target != "*":
        return [(target, getattr(module, target))]
    return list(public_classes(module))
