"""Conversion of values of a generated client's types from JSON and to JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.client_sdk.scalars import Mismatch
from moorage.client_sdk.shapes import ReadingState, limited_shape, shape_of
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.client_sdk.limits import Limit


def read_value(kind: Any, value: Any, *limits: Limit, checks: bool = False) -> Any:
    """Convert a parsed JSON value to a value of a type.

    Args:
        kind: the type, such as a class of a generated client, or `Sequence[str]`.
        value: the parsed JSON, in which decimal numbers are Decimals.
        limits: limits of the value.
        checks: True to check limits and to refuse unknown values of enumerations.

    Raises:
        InvalidData: the value does not fit the type; the error's `field` is its path.
    """
    shape = limited_shape(kind, limits) if limits else shape_of(kind)
    path, problem = "", "is nested too deeply"
    try:
        return shape.read(value, ReadingState(checks=checks))
    except Mismatch as error:
        path, problem = error.path, error.problem
    except RecursionError:
        pass
    raise _refusal(path, problem)


def write_value(kind: Any, value: Any, *limits: Limit, name: str = "", checks: bool = True) -> Any:
    """Convert a value of a type to a JSON value, in which decimal numbers are Decimals.

    Args:
        kind: the type, such as a class of a generated client, or `Sequence[str]`.
        value: the value.
        limits: limits of the value.
        name: the name of the value in errors.
        checks: True to check limits.

    Raises:
        InvalidData: the value is not of the type; the error's `field` is its path.
    """
    shape = limited_shape(kind, limits) if limits else shape_of(kind)
    path, problem = "", "is nested too deeply"
    try:
        return shape.write(value, checks=checks)
    except Mismatch as error:
        path, problem = error.path, error.problem
    except RecursionError:
        pass
    raise _refusal(".".join(part for part in (name, path) if part), problem)


def _refusal(path: str, problem: str) -> InvalidData:
    return InvalidData(
        f"{path or 'The value'} {problem}.",
        field=path or "value",
        remedy="Compare the value with the description of the API.",
    )
