"""Fields of immutable values, declared as for attrs."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Validator = Callable[[Any, Any, Any], object]

_NO_METADATA: Final[Mapping[Any, Any]] = MappingProxyType({})


class NoDefault(Enum):
    """The value that marks a field without a default."""

    NOTHING = "NOTHING"

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = NoDefault.NOTHING


class Factory(NamedTuple):
    """The function that creates the default of a field.

    With `takes_self`, it is called with the value, whose earlier fields are set.
    """

    factory: Callable[..., Any]
    takes_self: bool = False


class Field:
    """A field of an immutable value, with the names of the attributes of `attrs.Attribute`."""

    __slots__ = (
        *("alias", "converter", "default", "eq", "hash", "init", "kw_only", "metadata"),
        *("name", "repr", "type", "validator"),
    )

    name: str
    alias: str
    type: Any

    def __init__(
        self,
        *,
        default: Any,
        validator: Validator | None,
        converter: Callable[[Any], Any] | None,
        repr: bool | Callable[[Any], str],  # noqa: A002 - the name of attrs' option
        eq: bool,
        hash: bool | None,  # noqa: A002 - the name of attrs' option
        init: bool,
        metadata: Mapping[Any, Any],
        kw_only: bool,
    ) -> None:
        self.default = default
        self.validator = validator
        self.converter = converter
        self.repr = repr
        self.eq = eq
        self.hash = hash
        self.init = init
        self.metadata = metadata
        self.kw_only = kw_only

    def named(self, name: str, written: object) -> Field:
        """Return the field with its name and its annotated type filled in."""
        self.name = name
        self.alias = name.lstrip("_")
        self.type = written
        return self


def field(
    *,
    default: Any = NOTHING,
    factory: Callable[[], Any] | None = None,
    validator: Validator | list[Validator] | None = None,
    converter: Callable[[Any], Any] | None = None,
    repr: bool | Callable[[Any], str] = True,  # noqa: A002 - the name of attrs' option
    eq: bool = True,
    hash: bool | None = None,  # noqa: A002 - the name of attrs' option
    init: bool = True,
    metadata: Mapping[Any, Any] = _NO_METADATA,
    kw_only: bool = False,
) -> Field:
    """Declare a field of a class that `frozen` turns into an immutable value.

    The options are those of `attrs.field`.
    """
    return Field(
        default=default if factory is None else Factory(factory),
        validator=validator
        if validator is None or callable(validator)
        else _combined_validator(validator),
        converter=converter,
        repr=repr,
        eq=eq,
        hash=hash,
        init=init,
        metadata=metadata,
        kw_only=kw_only,
    )


def field_of_attrs(attribute: Any) -> Field:
    """Convert a field description of attrs to a `Field`."""
    is_required = repr(attribute.default) == "NOTHING"
    description = Field(
        default=NOTHING if is_required else attribute.default,
        validator=attribute.validator,
        converter=attribute.converter,
        repr=attribute.repr,
        eq=attribute.eq,
        hash=attribute.hash,
        init=attribute.init,
        metadata=attribute.metadata,
        kw_only=attribute.kw_only,
    ).named(attribute.name, attribute.type)
    description.alias = attribute.alias
    return description


def _combined_validator(validators: list[Validator]) -> Validator:
    def run_validators(instance: object, attribute: object, value: object) -> None:
        for validator in validators:
            validator(instance, attribute, value)

    return run_validators


def optional(converter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a converter that leaves None unchanged, and converts other values."""

    def convert(value: Any) -> Any:
        return None if value is None else converter(value)

    accepted = accepted_type(converter)
    convert.__annotations__ = {} if accepted is None else {"value": f"{accepted} | None"}
    return convert


def accepted_type(converter: Callable[[Any], Any]) -> object:
    """Return the annotated type of a converter's argument; None if it has no annotation."""
    annotation: dict[str, object] = getattr(converter, "__annotations__", {})
    return next((kind for name, kind in annotation.items() if name != "return"), None)
