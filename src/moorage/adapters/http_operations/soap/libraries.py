"""The modules of lxml and zeep, which have no types, loaded when they are first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def etree() -> Any:
    """Return lxml's module for trees."""
    return import_module("lxml.etree")


def zeep(name: str) -> Any:
    """Return a module of zeep."""
    return import_module(f"zeep.{name}")
