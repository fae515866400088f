"""Small AsyncAPI descriptions for tests."""

from __future__ import annotations

from typing import Any


def events(operations: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """Return an AsyncAPI 3 description of a shop's events with these operations."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Shop events", "version": "1"},
        "operations": {} if operations is None else operations,
        **parts,
    }
