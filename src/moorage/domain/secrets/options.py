"""The options of vendors and connectors: an error about an option contains the option's name.

Programs pass options to constructors, which is the first time that their types can be checked. An
option of the wrong type must be refused immediately: otherwise it fails later, in a call, as an
error of Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.frozen_values import fields_of
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import is_encodable, with_article
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    import attrs

K = TypeVar("K")

_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "str": ((str,), "a str"),
    "int": ((int,), "an int"),
    "float": ((int, float, timedelta), "a float"),
    "bool": ((bool,), "a bool"),
    "Secret": ((Secret,), "a Secret or a str"),
}
"""The types of values, and the words for them in messages, by the name in an annotation."""

_SERIES: Final = late_pattern(r"(?:tuple\[(\w+), \.\.\.\]|(?:frozenset|list)\[(\w+)\])")
_TABLE: Final = late_pattern(r"(?:dict|Mapping)\[str, (\w+)\]")
_VALID_TEXT: Final = "a str without unpaired surrogates"


def checked_options(kind: type[K]) -> type[K]:
    """Return an attrs class whose constructor's errors name the wrong option, but show no secret.

    After construction, each option has a value of its declared type. The constructor raises
    `ConfigurationError` for another type, and for a value that a converter or validator of the
    option cannot handle.
    """
    build: Any = kind.__init__

    @wraps(build)
    def construct(self: Any, /, *args: Any, **options: Any) -> None:
        refusal: Exception | None
        try:
            build(self, *args, **options)
        except Exception as error:  # noqa: BLE001 - returned as it is unless an option is at fault
            refusal = _named_error(error, self, options)
        else:
            refusal = _type_error((field, getattr(self, field.name)) for field in _fields(self))
        if refusal is None:
            return
        try:
            raise refusal
        finally:
            # Otherwise the traceback refers to this frame and the frame to the error: a cycle.
            del refusal

    cast("Any", kind).__init__ = construct
    return with_careful_constructor(kind)


def maybe_secret(value: Any) -> Any:
    """Return a string or bytes as a `Secret`, and any other value unchanged for a later check."""
    return Secret(value) if isinstance(value, (str, bytes)) else value


def as_series(value: Any) -> Any:
    """Return one or more strings as a tuple; other values are returned for a later check."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        return cast("Any", value)
    return tuple(value)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]  # of anything


def option_of(error: ConnectorError) -> str:
    """Return the option, or part of an option, that an error is about; "" if it has none."""
    place = error.path if isinstance(error, ConfigurationError) else getattr(error, "field", None)
    return str(place or "")


def first_name(error: ConnectorError) -> str:
    """Return the name of the option that an error is about, without a path below it, or ""."""
    return option_of(error).partition(".")[0].partition("[")[0]


def rename(error: ConnectorError, option: str) -> None:
    """Change the option's name in an error."""
    if isinstance(error, ConfigurationError):
        error.path = option
    elif isinstance(error, InvalidData):
        error.field = option


def _fields(value: Any) -> tuple[attrs.Attribute[Any], ...]:
    return tuple(field for field in fields_of(value.__class__) if field.init)


def _named_error(error: Exception, value: Any, options: Mapping[str, Any]) -> Exception:
    """Return the error of a constructor with the name of the wrong option, if one is wrong."""
    fields = {field.name: field for field in _fields(value)}
    named_option = first_name(error) if isinstance(error, ConnectorError) else ""
    if not options.keys() <= fields.keys():
        return error
    for name, option in options.items():
        # An error about two options names one of them; the other one may have the wrong type.
        own_error = None if name == named_option else _own_error(fields[name], value, option)
        if isinstance(own_error, ConnectorError):
            if first_name(own_error) != name:
                rename(own_error, name)
            return own_error
        if own_error is not None and not isinstance(error, ConnectorError):
            return ConfigurationError(
                f"{name} has an invalid value ({type(own_error).__name__}).",
                path=name,
                remedy="Set a value with the type and form that the option's description requires.",
            )
    return error


def _own_error(field: attrs.Attribute[Any], value: Any, option: Any) -> Exception | None:
    """Check one option by its converter, type and validator, and return the error, if any."""
    convert: Any = cast("Any", field).converter
    try:
        converted_option = option if convert is None else convert(option)
        wrong_type = _type_error([(field, converted_option)])
        if wrong_type is None and field.validator is not None:
            field.validator(value, field, converted_option)
    except Exception as error:  # noqa: BLE001 - the caller names the option
        return error
    return wrong_type


def _type_error(
    options: Iterable[tuple[attrs.Attribute[Any], Any]],
) -> ConfigurationError | None:
    """Return the error for the first value that does not have the type of its field."""
    for field, value in options:
        if value is field.default:
            continue
        expected = _expected_types(field.type, value)
        if expected is not None:
            return ConfigurationError(
                f"{field.name} must be {expected}, not {with_article(type(value).__name__)}.",
                path=field.name,
                remedy=f"Use {expected}.",
            )
    return None


def _expected_types(annotation: object, value: object) -> str | None:
    """Return a description of the accepted types; None if the value has one of them."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    names = [name.strip().removeprefix("sdk.") for name in text.split(" | ")]
    if value is None and "None" in names:
        return None
    expectations = [_expectation(name, value) for name in names if name != "None"]
    return " or ".join(cast("list[str]", expectations)) if all(expectations) else None


def _expectation(name: str, value: Any) -> str | None:
    """Return a description of the accepted values; None if this value is accepted."""
    types = _TYPES.get(name)
    if types is not None:
        is_kind = isinstance(value, types[0]) and (name == "bool" or not isinstance(value, bool))
        if is_kind and isinstance(value, str) and not is_encodable(value):
            return _VALID_TEXT
        return None if is_kind else types[1]
    series, table = _SERIES.fullmatch(name), _TABLE.fullmatch(name)
    if series is not None:
        item = series[1] or series[2]
        is_series = isinstance(value, (tuple, list, frozenset, set))
        entries = cast("Iterable[Any]", value) if is_series else ()
        is_kind = is_series and not any(_expectation(item, entry) for entry in entries)
        return None if is_kind else f"a list of {_TYPES[item][0][0].__name__}"
    if table is not None:
        is_table = isinstance(value, Mapping)
        is_kind = is_table and not any(
            _expectation("str", key) or _expectation(table[1], entry)
            for key, entry in cast("Mapping[Any, Any]", value).items()
        )
        return None if is_kind else "a dict with names of type str"
    return None
