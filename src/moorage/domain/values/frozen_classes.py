"""Classes of immutable values. Their initialisers are compiled when they are first called."""

from __future__ import annotations

from operator import attrgetter
from reprlib import recursive_repr
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from moorage.domain.values.field_declarations import (
    NOTHING,
    Factory,
    Field,
    accepted_type,
    field,
    field_of_attrs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import attrs

Kind = TypeVar("Kind", bound=type)
Value = TypeVar("Value")


def frozen(kind: type | None = None, **options: bool) -> Any:
    """Turn a class into an immutable value with slots, as `attrs.frozen` does.

    Each annotated name is a field, whose details `field` declares. Methods that the class itself
    defines stay.

    Args:
        kind: the class. The fields of its base classes are inherited if those are made with it.
        options: `init`, `eq` and `repr` are False if the class needs no such method. With
            `kw_only`, its fields are given by name.
    """

    def freeze_class(kind: type) -> type:
        return _frozen_kind(kind, **options)

    return freeze_class if kind is None else freeze_class(kind)


def fields_of(kind: type) -> tuple[Field, ...]:
    """Return the fields of a class that `frozen` or attrs has made.

    Raises:
        TypeError: the class was made by neither `frozen` nor attrs.
    """
    for base in kind.__mro__:
        description = vars(base).get("__attrs_attrs__")
        if type(description) is _Description:
            return description.fields
        if description is not None:
            break
    import attrs  # noqa: PLC0415 - most programs describe only their own classes

    return tuple(map(field_of_attrs, attrs.fields(kind)))


def has_fields(kind: type) -> bool:
    """Return whether `frozen` or attrs has made a class or one of its bases."""
    metaclass = type(kind)
    return any("__attrs_attrs__" in vars(base) for base in (*type.mro(kind), *type.mro(metaclass)))


def as_dict(value: object) -> dict[str, Any]:
    """Return the fields of a value that `frozen` or attrs has made, by their names."""
    return {item.name: getattr(value, item.name) for item in fields_of(type(value))}


def evolve(value: Value, /, **changes: Any) -> Value:
    """Return a copy of an immutable value with some of its fields changed."""
    kind = type(value)
    for item in fields_of(kind):
        if item.init and item.alias not in changes:
            changes[item.alias] = getattr(value, item.name)
    return kind(**changes)


def _frozen_kind(
    kind: Kind,
    *,
    init: bool = True,
    eq: bool = True,
    repr: bool = True,  # noqa: A002 - the name of attrs' option
    kw_only: bool = False,
) -> Kind:
    body = dict(vars(kind))
    own_fields = _own_fields(kind, body, kw_only=kw_only)
    all_fields = _with_inherited(kind, own_fields)
    _check_order(kind, all_fields)
    adds_equality = eq and "__eq__" not in body
    if adds_equality and body.get("__hash__") is None:
        hashed_names = [
            item.name for item in all_fields if (item.eq if item.hash is None else item.hash)
        ]
        body["__hash__"] = _hash(_getter(hashed_names))
    if adds_equality:
        body["__eq__"] = _equality(_getter([item.name for item in all_fields if item.eq]))
    if repr and "__repr__" not in body:
        body["__repr__"] = _representation(all_fields)
    if init and "__init__" not in body:
        body["__init__"] = _LateInitialiser(all_fields)
    new_kind: Kind = _with_slots(
        kind,
        body
        | {
            "__attrs_attrs__": _Description(all_fields),
            "__match_args__": tuple(
                item.name for item in all_fields if item.init and not item.kw_only
            ),
            "__setattr__": refuse_change,
            "__delattr__": refuse_change,
            "__getstate__": as_dict,
            "__setstate__": _restore,
            "__replace__": evolve,
        },
        [item.name for item in own_fields],
    )
    return new_kind


def _own_fields(kind: type, body: dict[str, Any], *, kw_only: bool) -> list[Field]:
    own_fields: list[Field] = []
    for name, annotation in body.get("__annotations__", {}).items():
        if str(annotation).startswith(("ClassVar", "typing.ClassVar")):
            continue
        default = body.pop(name, NOTHING)
        if type(default).__module__.startswith("attr."):
            message = (
                f"{kind.__qualname__}.{name} is declared with attrs.field. Use moorage's"
                " field instead."
            )
            raise TypeError(message)
        item = default if isinstance(default, Field) else field(default=default)
        item.kw_only = item.kw_only or kw_only
        own_fields.append(item.named(name, annotation))
    return own_fields


def _with_inherited(kind: type, own_fields: Sequence[Field]) -> tuple[Field, ...]:
    known_fields: dict[str, Field] = {}
    for base in reversed(kind.__mro__[1:]):
        description = vars(base).get("__attrs_attrs__")
        if type(description) is _Description:
            for item in description.fields:
                known_fields.pop(item.name, None)
                known_fields[item.name] = item
    for item in own_fields:
        known_fields.pop(item.name, None)
    return (*known_fields.values(), *own_fields)


def _check_order(kind: type, all_fields: Sequence[Field]) -> None:
    earlier_has_default = False
    for item in all_fields:
        if item.init and not item.kw_only:
            if earlier_has_default and item.default is NOTHING:
                message = (
                    f"{kind.__qualname__}.{item.name} needs a default, because an"
                    " earlier field has one."
                )
                raise ValueError(message)
            earlier_has_default = earlier_has_default or item.default is not NOTHING


def _with_slots(kind: type, body: dict[str, Any], names: Sequence[str]) -> Any:
    bases = kind.__mro__[1:-1]
    slots = [
        name for name in names if not any(name in vars(base).get("__slots__", ()) for base in bases)
    ]
    if not any(base.__weakrefoffset__ for base in bases):
        slots.append("__weakref__")
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    body["__slots__"] = tuple(slots)
    body["__qualname__"] = kind.__qualname__
    new_kind: Any = type(kind)(kind.__name__, kind.__bases__, body)
    # Methods with `super()` refer to the class by a cell, which still contains the class without
    # slots.
    for function in _functions(body):
        if "__class__" in function.__code__.co_freevars:
            place = function.__code__.co_freevars.index("__class__")
            (function.__closure__ or ())[place].cell_contents = new_kind
    return new_kind


def _functions(body: dict[str, Any]) -> Iterator[FunctionType]:
    for member in body.values():
        for part in (member, getattr(member, "__func__", None), getattr(member, "fget", None)):
            if isinstance(part, FunctionType):
                yield part


class _Description:
    """The fields of a class, converted to attributes of attrs when attrs reads them."""

    __slots__ = ("attributes", "fields", "kind")

    kind: type

    def __init__(self, all_fields: tuple[Field, ...]) -> None:
        self.fields = all_fields
        self.attributes: tuple[attrs.Attribute[Any], ...] | None = None

    def __set_name__(self, owner: type, _name: str) -> None:
        self.kind = owner

    def __get__(self, value: object, owner: type) -> tuple[attrs.Attribute[Any], ...]:
        if self.attributes is None:
            self.attributes = field_attributes(self.kind.__name__, self.fields)
        return self.attributes


def field_attributes(name: str, all_fields: Iterable[Field]) -> tuple[attrs.Attribute[Any], ...]:
    """Return the fields of a class in the form of attrs; `name` is the name of the class."""
    import attrs  # noqa: PLC0415 - most programs do without it

    def default_of(item: Field) -> Any:
        if item.default is NOTHING:
            return attrs.NOTHING
        if isinstance(item.default, Factory):
            factory_class: Any = attrs.Factory
            return factory_class(*item.default)
        return item.default

    attributes: tuple[attrs.Attribute[Any], ...] = attrs.fields(
        attrs.make_class(
            name,
            {
                item.name: attrs.field(
                    default=default_of(item),
                    validator=item.validator,
                    converter=item.converter,
                    repr=item.repr,
                    eq=item.eq,
                    hash=item.hash,
                    init=item.init,
                    metadata=item.metadata,
                    type=item.type,
                    kw_only=item.kw_only,
                )
                for item in all_fields
            },
        )
    )
    return attributes


class _LateInitialiser:
    """The initialiser of a class until it is first called or accessed."""

    __slots__ = ("fields", "kind")

    kind: type

    def __init__(self, all_fields: tuple[Field, ...]) -> None:
        self.fields = all_fields

    def __set_name__(self, owner: type, _name: str) -> None:
        self.kind = owner

    def __get__(self, value: object, owner: type) -> Any:
        initialiser = _initialiser(self.kind, self.fields)
        self.kind.__init__ = initialiser  # type: ignore[misc]  # which later calls find at once
        return initialiser.__get__(value, owner)


def _initialiser(kind: type, all_fields: Sequence[Field]) -> FunctionType:
    """Compile the initialiser of a class."""
    names: dict[str, Any] = {"NOTHING": NOTHING}
    lines: list[str] = []
    checks: list[str] = []
    for number, item in enumerate(all_fields):
        text = _value_text(item, number)
        if text is None:
            continue
        names |= {
            f"set_{number}": getattr(kind, item.name).__set__,
            f"convert_{number}": item.converter,
            f"default_{number}": (
                item.default.factory if isinstance(item.default, Factory) else item.default
            ),
        }
        lines.append(f"set_{number}(self, {text})")
        if item.validator is not None:
            names |= {f"check_{number}": item.validator, f"field_{number}": item}
            checks.append(f"check_{number}(self, field_{number}, self.{item.name})")
    last_lines = ["self.__attrs_post_init__()"] if hasattr(kind, "__attrs_post_init__") else []
    head = f"def __init__({', '.join(_parameters(all_fields))}):"
    source = "\n ".join([head, *(lines + checks + last_lines or ["pass"])])
    exec(compile(source, f"<moorage {kind.__qualname__}.__init__>", "exec"), names)  # noqa: S102 - the names of fields
    initialiser: FunctionType = names.pop("__init__")
    initialiser.__module__ = kind.__module__
    initialiser.__qualname__ = f"{kind.__qualname__}.__init__"
    initialiser.__doc__ = "Create the value of its fields."
    initialiser.__annotations__ = _annotations(all_fields)
    return initialiser


def _value_text(item: Field, number: int) -> str | None:
    if isinstance(item.default, Factory):
        text = f"default_{number}({'self' if item.default.takes_self else ''})"
        if item.init:
            text = f"{text} if {item.alias} is NOTHING else {item.alias}"
    elif item.init:
        text = item.alias
    elif item.default is NOTHING:
        return None
    else:
        text = f"default_{number}"
    return text if item.converter is None else f"convert_{number}({text})"


def _parameters(all_fields: Sequence[Field]) -> list[str]:
    by_position, by_name = ["self"], ["*"]
    for number, item in enumerate(all_fields):
        if not item.init:
            continue
        default = ""
        if isinstance(item.default, Factory):
            default = "=NOTHING"
        elif item.default is not NOTHING:
            default = f"=default_{number}"
        (by_name if item.kw_only else by_position).append(f"{item.alias}{default}")
    return by_position if len(by_name) == 1 else by_position + by_name


def _annotations(all_fields: Sequence[Field]) -> dict[str, Any]:
    annotations: dict[str, Any] = {}
    for item in all_fields:
        annotation = item.type if item.converter is None else accepted_type(item.converter)
        if item.init and annotation is not None:
            annotations[item.alias] = annotation
    return annotations | {"return": None}


def refuse_change(*_: object) -> NoReturn:
    """Raise the error of attrs for a change of an immutable value."""
    from attrs.exceptions import FrozenInstanceError  # noqa: PLC0415 - for a mistake only

    raise FrozenInstanceError


def _restore(self: object, state: dict[str, Any]) -> None:
    for item in fields_of(type(self)):
        if item.name in state:
            getattr(type(self), item.name).__set__(self, state[item.name])


def _getter(names: Sequence[str]) -> Callable[[object], object]:
    return attrgetter(*names) if names else _no_values


def _no_values(_value: object) -> object:
    return None


def _equality(values_of: Callable[[object], object]) -> Callable[[object, object], bool]:
    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - becomes a class's method
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values_of(self) == values_of(other)

    return __eq__


def _hash(values_of: Callable[[object], object]) -> Callable[[object], int]:
    def __hash__(self: object) -> int:  # noqa: N807 - becomes a class's method
        return hash(values_of(self))

    return __hash__


def _representation(all_fields: tuple[Field, ...]) -> Callable[[object], str]:
    shown_fields = tuple(
        (item.name, repr if item.repr is True else cast("Callable[[object], str]", item.repr))
        for item in all_fields
        if item.repr
    )

    @recursive_repr("...")
    def __repr__(self: object) -> str:  # noqa: N807 - becomes a class's method
        values = ", ".join(f"{name}={show(getattr(self, name))}" for name, show in shown_fields)
        return f"{type(self).__qualname__.rpartition('>.')[2]}({values})"

    return __repr__
