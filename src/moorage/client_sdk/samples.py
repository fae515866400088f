"""Sample values of the types of a generated client, for its tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs

from moorage.client_sdk.limits import Discriminator, Items, Member, Number, OneOf, Text
from moorage.client_sdk.open_enum import UNSET

_SAMPLES: Final[dict[Any, Any]] = {
    str: "text",
    bool: True,
    int: 1,
    Decimal: Decimal("1.50"),
    datetime: datetime(2030, 1, 31, 12, 30, tzinfo=UTC),
    date: date(2030, 1, 31),
    UUID: UUID("6f1c8a52-0a6e-4b59-9a3c-3d1f2b7c9e10"),
    bytes: b"bytes",
    NoneType: None,
    Any: None,
}
_MAX_DEPTH: Final = 3


def sample(kind: Any, *limits: Any, depth: int = 0) -> Any:
    """Return a small value of a type that fulfils its limits.

    Optional fields are set in the upper levels, and left out in the levels below.

    Args:
        kind: the type, such as a class of a generated client.
        limits: the limits of the value.
        depth: the number of levels above the value.
    """
    for limit in limits:
        if isinstance(limit, OneOf):
            return limit.values[0]
    if kind in _SAMPLES:
        return _limited_sample(_SAMPLES[kind], kind, limits)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        value = sample(arguments[0], *arguments[1:], depth=depth)
        tables = [limit for limit in arguments[1:] if isinstance(limit, Discriminator)]
        return _with_discriminator(value, tables[0]) if tables else value
    if origin is Sequence:
        least_items = next((limit.least for limit in limits if isinstance(limit, Items)), 0)
        count = least_items if depth > _MAX_DEPTH else max(least_items, 1)
        maximum = next((limit.most for limit in limits if isinstance(limit, Items)), None)
        count = count if maximum is None else min(count, maximum)
        return tuple(sample(arguments[0], depth=depth + 1) for _ in range(count))
    if origin is Mapping:
        return {} if depth > _MAX_DEPTH else {"name": sample(arguments[1], depth=depth + 1)}
    if origin in {Union, UnionType}:
        return sample(_alternative(arguments, depth), *limits, depth=depth)
    if attrs.has(kind):
        return _sample_object(kind, depth)
    return next(iter(kind))


def _alternative(kinds: tuple[Any, ...], depth: int) -> Any:
    """Return the alternative of a union to use; in deep levels null, if it is allowed."""
    if depth > _MAX_DEPTH and NoneType in kinds:
        return NoneType
    return next(item for item in kinds if item is not NoneType and get_args(item) != (UNSET,))


def _sample_object(kind: type[Any], depth: int) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    arguments: dict[str, Any] = {}
    for attribute in attrs.fields(kind):
        is_required = attribute.default is attrs.NOTHING
        if attribute.name != "other_fields" and (is_required or depth <= _MAX_DEPTH):
            member = attribute.metadata.get("member", Member(attribute.name))
            value = sample(hints[attribute.name], *member.limits, depth=depth + 1)
            arguments[attribute.name] = value
    return kind(**arguments)


def _with_discriminator(value: Any, table: Discriminator) -> Any:
    """Return an object with the discriminator that determines its class."""
    name = next(key for key, item in table.classes.items() if item == value.__class__.__name__)
    field = next(
        attribute.name
        for attribute in attrs.fields(value.__class__)
        if attribute.metadata.get("member", Member(attribute.name)).name == table.member
    )
    return attrs.evolve(value, **{field: name})


def _limited_sample(value: Any, kind: Any, limits: tuple[Any, ...]) -> Any:
    for limit in limits:
        if isinstance(limit, Text) and kind is str:
            value = (value + "x" * max(0, limit.least - len(value)))[: limit.most]
        elif isinstance(limit, Number) and kind in {int, Decimal}:
            value = _number(limit, kind)
    return value


def _number(limit: Number, kind: type[int | Decimal]) -> int | Decimal:
    """Return a number within limits; if there is none, any number."""
    lower_bounds = [Decimal(bound) for bound in (limit.least, limit.above) if bound is not None]
    upper = [Decimal(bound) for bound in (limit.most, limit.below) if bound is not None]
    middle_value = [(max(lower_bounds) + min(upper)) / 2] if lower_bounds and upper else []
    numbers: list[int | Decimal] = [
        *(Decimal(1), *lower_bounds, *upper, *middle_value),
        *(bound + 1 for bound in lower_bounds),
        *(bound - 1 for bound in upper),
    ]
    if kind is int:
        roundings = (ROUND_CEILING, ROUND_FLOOR)
        numbers = [
            int(Decimal(number).to_integral_value(rounding))
            for number in numbers
            for rounding in roundings
        ]
    return next((number for number in numbers if limit.problem(number) is None), numbers[0])
