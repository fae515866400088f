"""Imports lxml and zeep at their first use; both have no type annotations."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def etree() -> Any:
    """Return the module `lxml.etree`."""
    return import_module("lxml.etree")


@cache
def zeep(name: str) -> Any:
    """Return a module of the package zeep."""
    return import_module(f"zeep.{name}")
