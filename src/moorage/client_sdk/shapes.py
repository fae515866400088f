"""Shapes, which convert the values of a type from JSON and to JSON.

A shape is made from a type annotation, such as `Sequence[Order] | None`. Numbers are not accepted
as texts, nor bools as numbers. A value of a union is read as the first alternative that fits with
all its limits and keeps all members of objects; or else as the first that fits with all its limits,
or as the first that fits. Each alternative is tried only once in each of these ways for each value,
so the time for reading is proportional to the length of the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property, lru_cache
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Protocol,
    TypeGuard,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from moorage.client_sdk.limits import AS_TEXT, Discriminator, Member
from moorage.client_sdk.open_enum import UNSET, OpenEnum
from moorage.client_sdk.scalars import DECIMAL_TEXT, SCALARS, Mismatch
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from moorage.client_sdk.limits import Limits

_OTHER_FIELDS: Final = "other_fields"


@attrs.frozen(eq=False)
class ReadingState:
    """The data that is shared while one value and all its parts are read.

    Attributes:
        checks: True if limits are checked.
        keeps_members: True if an object must not have members that its class does not have.
        tried: the results of tried alternatives, by alternative, value, and the fields above.
    """

    checks: bool
    keeps_members: bool = False
    tried: dict[tuple[int, int, bool, bool], Any] = attrs.field(
        factory=dict[tuple[int, int, bool, bool], Any]
    )

    @cached_property
    def attempts(self) -> tuple[ReadingState, ...]:
        """The states in which the alternatives of a union are tried, strictest first."""
        if self.keeps_members:
            return (self,)
        strict = self if self.checks else attrs.evolve(self, checks=True)
        strictest = attrs.evolve(strict, keeps_members=True)
        return (strictest, strict) if self.checks else (strictest, strict, self)


class Shape(Protocol):
    """Reads and writes the values of a type; both methods raise `Mismatch`."""

    def read(self, value: Any, _: ReadingState, /) -> Any:
        """Convert a JSON value to a Python value."""
        ...

    def write(self, value: Any, *, checks: bool) -> Any:
        """Convert a Python value to a JSON value."""
        ...


@lru_cache(maxsize=10_000)
def shape_of(kind: Any) -> Shape:
    """Return the shape of a type annotation in a generated client.

    Raises:
        TypeError: generated clients have no such annotation.
    """
    if kind in SCALARS:
        return SCALARS[kind]
    if kind is Any:
        return AnyShape()
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return limited_shape(arguments[0], tuple(arguments[1:]))
    if origin is Sequence:
        return ListShape(shape_of(arguments[0]))
    if origin is Mapping:
        return MapShape(shape_of(arguments[1]))
    if origin in {Union, UnionType}:
        return UnionShape(tuple(item for item in arguments if get_args(item) != (UNSET,)))
    if _is_enum(kind):
        return EnumShape(kind)
    if attrs.has(kind):
        return ObjectShape(kind)
    raise TypeError(kind)


def limited_shape(kind: Any, limits: Limits) -> Shape:
    """Return the shape of a type with limits of its values."""
    tables = [limit for limit in limits if isinstance(limit, Discriminator)]
    if AS_TEXT in limits:
        shape = _as_text(kind)
    elif tables:
        shape = UnionShape(get_args(kind), tables[0])
    else:
        shape = shape_of(kind)
    checked_limits = tuple(limit for limit in limits if limit is not AS_TEXT)
    return LimitedShape(shape, checked_limits) if checked_limits else shape


def _as_text(kind: Any) -> Shape:
    """Return the shape of a type in which every Decimal is a string."""
    if kind is Decimal:
        return DECIMAL_TEXT
    arguments = [item for item in get_args(kind) if get_args(item) != (UNSET,)]
    shapes = tuple(_as_text(item) if item is Decimal else shape_of(item) for item in arguments)
    return UnionShape(tuple(arguments), shapes=shapes)


class AnyShape:
    """The shape of any JSON value."""

    def read(self, value: Any, _: ReadingState, /) -> Any:
        """Return the JSON value unchanged."""
        return value

    def write(self, value: Any, *, checks: bool) -> Any:  # noqa: ARG002 - the signature of every shape
        """Return the JSON value unchanged."""
        return value


@attrs.frozen(eq=False)
class LimitedShape:
    """The shape of values with limits.

    Attributes:
        shape: the shape of the values.
        limits: the limits of the values.
    """

    shape: Shape
    limits: Limits

    def read(self, value: Any, reading: ReadingState, /) -> Any:
        """Convert a JSON value to a Python value."""
        if reading.checks:
            self._check(value)
        return self.shape.read(value, reading)

    def write(self, value: Any, *, checks: bool) -> Any:
        """Convert a Python value to a JSON value."""
        value_on_wire = self.shape.write(value, checks=checks)
        if checks:
            self._check(value_on_wire)
        return value_on_wire

    def _check(self, value: Any) -> None:
        for limit in self.limits:
            problem = limit.problem(value)
            if problem is not None:
                raise Mismatch(problem)


@attrs.frozen(eq=False)
class EnumShape:
    """The shape of an enumeration of texts.

    Attributes:
        kind: the enumeration.
    """

    kind: type[OpenEnum]

    def read(self, value: Any, reading: ReadingState, /) -> OpenEnum:
        """Return the enumeration's member; an unknown member only if limits are not checked."""
        member = self.kind(SCALARS[str].read(value, reading))
        if reading.checks and not member.is_known:
            raise Mismatch("is not one of the values in the description")
        return member

    def write(self, value: Any, *, checks: bool) -> str:
        """Return the text of a member."""
        if not isinstance(value, str):
            raise Mismatch(f"is not a string or a member of {self.kind.__name__}")
        text: str = SCALARS[str].write(value, checks=checks)
        if checks and not self.kind(value).is_known:
            raise Mismatch("is not one of the values in the description")
        return text


@attrs.frozen(eq=False)
class ListShape:
    """The shape of a list, which is read as a tuple.

    Attributes:
        item: the shape of its items.
    """

    item: Shape

    def read(self, value: Any, reading: ReadingState, /) -> tuple[Any, ...]:
        """Return the items as a tuple."""
        if not is_list(value):
            raise Mismatch("is not a list")
        items: list[Any] = []
        for position, element in enumerate(value):
            try:
                items.append(self.item.read(element, reading))
            except Mismatch as error:
                error.place.append(f"[{position}]")
                raise
        return tuple(items)

    def write(self, value: Any, *, checks: bool) -> list[Any]:
        """Return the items as a list."""
        if not _is_sequence(value):
            raise Mismatch("is not a list")
        items: list[Any] = []
        for position, element in enumerate(value):
            try:
                items.append(self.item.write(element, checks=checks))
            except Mismatch as error:
                error.place.append(f"[{position}]")
                raise
        return items


@attrs.frozen(eq=False)
class MapShape:
    """The shape of an object with arbitrary member names.

    Attributes:
        item: the shape of its values.
    """

    item: Shape

    def read(self, value: Any, reading: ReadingState, /) -> dict[str, Any]:
        """Return the values as a dict by their member names."""
        if not is_object(value):
            raise Mismatch("is not an object")
        return {name: _part(self.item, name, value[name], reading) for name in value}

    def write(self, value: Any, *, checks: bool) -> dict[str, Any]:
        """Return the values as a dict by their member names."""
        if not _is_mapping(value):
            raise Mismatch("is not a mapping")
        if not all(isinstance(name, str) for name in value):
            raise Mismatch("has a key that is not a string")
        return {name: _written_part(self.item, name, value[name], checks=checks) for name in value}


def _is_enum(kind: object) -> TypeGuard[type[OpenEnum]]:
    """Return whether a type is an enumeration of a generated client."""
    return isinstance(kind, type) and issubclass(kind, OpenEnum)


def _is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Return whether a value is a list or tuple, and not a string."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Return whether a value is a mapping."""
    return isinstance(value, Mapping)


def _part(shape: Shape, name: str, value: Any, reading: ReadingState) -> Any:
    try:
        return shape.read(value, reading)
    except Mismatch as error:
        error.place.append(f".{name}")
        raise


def _written_part(shape: Shape, name: str, value: Any, *, checks: bool) -> Any:
    try:
        return shape.write(value, checks=checks)
    except Mismatch as error:
        error.place.append(f".{name}")
        raise


class UnionShape:
    """The shape of a union of types.

    Attributes:
        kinds: the types.
        table: the discriminator that determines the class of an object; None if there is none.
    """

    def __init__(
        self,
        kinds: tuple[Any, ...],
        table: Discriminator | None = None,
        shapes: tuple[Shape, ...] = (),
    ) -> None:
        self.kinds = tuple(kind for kind in kinds if get_args(kind) != (UNSET,))
        self.table = table
        self._shapes = shapes

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of the types."""
        return self._shapes or tuple(map(shape_of, self.kinds))

    def read(self, value: Any, reading: ReadingState, /) -> Any:
        """Read the value as the first alternative that fits."""
        if value is None and NoneType in self.kinds:
            return None
        if self.table is not None and is_object(value):
            return self._discriminated_shape(value, self.table).read(value, reading)
        for attempt in reading.attempts:
            for shape in self.shapes:
                result = _try_alternative(shape, value, attempt)
                if not isinstance(result, Mismatch):
                    return result
        raise Mismatch("fits none of the alternatives in the description")

    def write(self, value: Any, *, checks: bool) -> Any:
        """Write the value with the first alternative that fits."""
        if value is None and NoneType in self.kinds:
            return None
        problem: Mismatch | None = None
        for kind, shape in zip(self.kinds, self.shapes, strict=True):
            if attrs.has(kind) and not isinstance(value, kind):
                continue
            try:
                return shape.write(value, checks=checks)
            except Mismatch as error:
                problem = error if problem is None or attrs.has(kind) else problem
        raise problem or Mismatch("fits none of the alternatives in the description")

    def _discriminated_shape(self, value: dict[str, Any], table: Discriminator) -> Shape:
        """Return the shape of the class that an object's discriminator names."""
        name = value.get(table.member)
        class_name = table.classes.get(name) if isinstance(name, str) else None
        for kind, shape in zip(self.kinds, self.shapes, strict=True):
            if class_name is not None and getattr(kind, "__name__", None) == class_name:
                return shape
        mismatch = Mismatch("does not name a class in the description")
        mismatch.place.append(f".{table.member}")
        raise mismatch


def _try_alternative(shape: Shape, value: Any, reading: ReadingState) -> Any:
    """Return the result or the mismatch of an alternative, which is tried only once per value."""
    key = id(shape), id(value), reading.checks, reading.keeps_members
    if key not in reading.tried:
        try:
            reading.tried[key] = shape.read(value, reading)
        except Mismatch as error:
            reading.tried[key] = error
    return reading.tried[key]


@attrs.frozen
class Field:
    """A field of a class, and its member in JSON.

    Attributes:
        name: the name of the attribute.
        member: the name in JSON.
        shape: the shape of its values.
        default: the value for a missing member; NOTHING if the member is required.
    """

    name: str
    member: str
    shape: Shape
    default: Any


class ObjectShape:
    """The shape of a class of a generated client.

    The fields are determined when the class is first used, because two classes may refer to each
    other.
    """

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind

    @cached_property
    def other(self) -> Shape | None:
        """The shape of additional members; None if they are dropped."""
        if _OTHER_FIELDS not in attrs.fields_dict(self.kind):
            return None
        return shape_of(get_type_hints(self.kind, include_extras=True)[_OTHER_FIELDS])

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields of the class that are members of the JSON object."""
        hints = get_type_hints(self.kind, include_extras=True)
        return tuple(
            _field(attribute, hints[attribute.name])
            for attribute in attrs.fields(self.kind)
            if attribute.name != _OTHER_FIELDS
        )

    def read(self, value: Any, reading: ReadingState, /) -> Any:
        """Return an instance of the class."""
        if not is_object(value):
            raise Mismatch("is not an object")
        arguments: dict[str, Any] = {}
        for field in self.fields:
            content = value.get(field.member)
            if content is None and field.default is None:
                continue
            if field.member in value:
                arguments[field.name] = _part(field.shape, field.member, content, reading)
            elif field.default is attrs.NOTHING:
                raise _missing_member(field.member)
        if self.other is not None:
            members = {field.member for field in self.fields}
            other_fields = {name: value[name] for name in value if name not in members}
            arguments[_OTHER_FIELDS] = self.other.read(other_fields, reading)
        elif reading.keeps_members and value.keys() - {field.member for field in self.fields}:
            raise Mismatch("has a member that the description does not have")
        return self.kind(**arguments)

    def write(self, value: Any, *, checks: bool) -> dict[str, Any]:
        """Return the JSON object for an instance of the class."""
        if not isinstance(value, self.kind):
            raise Mismatch(f"is not an instance of {self.kind.__name__}")
        members: dict[str, Any] = {}
        if self.other is not None:
            members.update(self.other.write(getattr(value, _OTHER_FIELDS), checks=checks))
        for field in self.fields:
            content = getattr(value, field.name)
            if content is UNSET or (content is None and field.default is None):
                members.pop(field.member, None)
            else:
                members[field.member] = _written_part(
                    field.shape, field.member, content, checks=checks
                )
        return members


def _field(attribute: attrs.Attribute[Any], kind: Any) -> Field:
    member = attribute.metadata.get("member", Member(attribute.name))
    shape = limited_shape(kind, member.limits) if member.limits else shape_of(kind)
    return Field(attribute.name, member.name, shape, attribute.default)


def _missing_member(member: str) -> Mismatch:
    mismatch = Mismatch("is missing")
    mismatch.place.append(f".{member}")
    return mismatch
