"""Checks JSON requests to a vendor against excerpts of the vendor's API description."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeAlias

from tools.descriptions import Description, files_of, problems_of, read_description

EXCERPTS: Final = Path(__file__).parents[1] / "vendors" / "descriptions"

Json: TypeAlias = Any
"""Any JSON value."""


def problems(root: Json, method: str, path: str, body: Json) -> list[str]:
    """Return the problems of a JSON request body, according to an API description."""
    description = Description(root)
    operations = description.operations(method, path)
    if not operations:
        return [f"There is no {method} {path}."]
    (operation,) = operations
    schema = operation.parts["requestBody"]["content"]["application/json"]["schema"]
    return problems_of(description, schema, body, "writeOnly")


def excerpt_problems(vendor: str, method: str, path: str, body: Json) -> list[str]:
    """Return the problems of a JSON request body, according to a vendor's API excerpts."""
    for file in files_of(EXCERPTS / vendor):
        found_problems = problems(read_description(file), method, path, body)
        if found_problems != [f"There is no {method} {path}."]:
            return found_problems
    return [f"There is no {method} {path}."]
