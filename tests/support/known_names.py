"""Compares the field names in a JSON value with the names that a vendor knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape = dict[str, Any]
"""The names of an object's fields under "", and the shapes of its nested objects by their name."""


def unknown_names(value: Any, shape: Shape, path: str = "") -> Iterator[str]:
    """Yield the path of each name in a JSON value that the expected shape lacks."""
    if isinstance(value, list):
        for item in value:
            yield from unknown_names(item, shape, path)
    elif isinstance(value, dict):
        names = set(shape[""].split())
        for name, item in value.items():
            if name not in names:
                yield f"{path}.{name}"
            yield from unknown_names(item, shape.get(name, {"": ""}), f"{path}.{name}")
