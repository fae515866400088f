"""Small OpenAPI descriptions for tests."""

from __future__ import annotations

from typing import Any


def description(paths: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """Return an OpenAPI 3.1 description of a shop with these paths."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shop API", "version": "1"},
        "servers": [{"url": "https://shop.example/v1"}],
        "paths": {} if paths is None else paths,
        **parts,
    }


def operation(name: str, **parts: Any) -> dict[str, Any]:
    """Return an operation with an empty response."""
    return {"operationId": name, "responses": {"204": {"description": "Done."}}, **parts}


def parameter(name: str, place: str = "query", **parts: Any) -> dict[str, Any]:
    """Return a parameter of type string."""
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": {"type": "string"},
        **parts,
    }
