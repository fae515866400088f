"""Checks JSON requests to a vendor against excerpts of the vendor's API description."""

from __future__ import annotations

from typing import Any, TypeAlias

from tools.descriptions import Description, problems_of

Json: TypeAlias = Any
"""Any JSON value."""


def problems(root: Json, method: str, path: str, body: Json) -> list[str]:
    """Return the problems of a JSON request body, by a description."""
    description = Description(root)
    operations = description.operations(method, path)
    if not operations:
        return [f"There is no {method} {path}."]
    (operation,) = operations
    schema = operation.parts["requestBody"]["content"]["application/json"]["schema"]
    return problems_of(description, schema, body, "writeOnly")
