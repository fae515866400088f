"""Small AsyncAPI descriptions for tests."""

from __future__ import annotations

from typing import Any


def events(operations: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """Return a description of a shop's events with these operations, in version 3."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Shop events", "version": "1"},
        "operations": {} if operations is None else operations,
        **parts,
    }
