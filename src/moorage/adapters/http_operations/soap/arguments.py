"""Arguments of SOAP operations: checked by name and type, and converted for zeep."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite, isinf
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.adapters.http_operations.soap.libraries import zeep
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import is_list
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORBIDDEN_CHARACTERS: Final = late_pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_INTEGER: Final = late_pattern(r"[+-]?[0-9]+")
_DECIMAL: Final = late_pattern(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_FLOAT: Final = late_pattern(rf"{_DECIMAL.pattern}(?:[eE][+-]?[0-9]+)?|-?INF|NaN")
_BOOLEANS: Final = frozenset({"true", "false", "1", "0"})
_MAX_DEPTH: Final = 60


class _UnfitError(ValueError):
    """Raised if an argument does not fit its type; the text describes the problem."""


def arguments_for(kind: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an operation for zeep, with secrets revealed.

    Args:
        kind: zeep's type of the operation's body.
        arguments: the arguments by name.

    Raises:
        InvalidData: a name is unknown, or a value is not of its type.
    """
    return cast("dict[str, Any]", _members(kind, arguments, ()))


def only_argument(element: Any, arguments: Mapping[str, Any]) -> Any:
    """Return the single argument of an operation whose body is one value.

    Raises:
        InvalidData: the argument is missing or wrong, or there are other arguments.
    """
    for name in arguments:
        if name != element.name:
            raise argument_error(
                str(name), f"does not exist; the operation accepts only {element.name}"
            )
    if element.name not in arguments:
        raise argument_error(element.name, "is missing")
    return _value(element.type, arguments[element.name], (element.name,), many=False)


def secrets_in(value: Any) -> Iterator[Secret]:
    """Yield the secrets in a value, including nested ones."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from secrets_in(item)
    elif is_list(value) or isinstance(value, tuple):
        for item in cast("list[Any]", value):
            yield from secrets_in(item)


def members_of(kind: Any) -> dict[str, Any]:
    """Return the elements and attributes of a zeep type by name."""
    return {**dict(getattr(kind, "elements", ())), **dict(getattr(kind, "attributes", ()))}


def argument_error(path: str, problem: str) -> InvalidData:
    """Return the error for an invalid argument of a SOAP operation."""
    return InvalidData(
        f"The argument {path} {problem}.",
        field=path,
        remedy="Pass a value that matches the WSDL's schema. `Soap.operations` shows the types.",
    )


def _members(kind: Any, values: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Convert a mapping to the values of a complex type for zeep."""
    members = members_of(kind)
    # zeep invents such names for wildcards and repeated groups.
    is_open = not hasattr(kind, "elements") or any(name.startswith("_") for name in members)
    result: dict[str, Any] = {}
    for name, value in values.items():
        item_path = (*path, str(name))
        if len(item_path) > _MAX_DEPTH:
            raise argument_error(".".join(path[:3]), "is nested too deeply")
        member = members.get(name)
        if member is None and not is_open:
            names = ", ".join(members) or "none"
            raise argument_error(
                ".".join(item_path), f"does not exist; the accepted arguments are: {names}"
            )
        accepts_many = member is None or getattr(member, "accepts_multiple", False)
        result[name] = _value(getattr(member, "type", None), value, item_path, many=accepts_many)
    return result


def _value(kind: Any, value: Any, path: tuple[str, ...], *, many: bool) -> Any:
    if isinstance(value, Secret):
        value = value.reveal()
    if value is None:
        return None
    if isinstance(kind, zeep("xsd.types.builtins").BuiltinType) and _has_items(value, many=many):
        raise argument_error(
            ".".join(path), f"is {with_article(type(value).__name__)}, not a single value"
        )
    if isinstance(value, Mapping):
        return _members(kind, cast("Mapping[str, Any]", value), path)
    if is_list(value) or isinstance(value, tuple):
        return [
            _value(kind, item, (*path, str(number)), many=False)
            for number, item in enumerate(cast("list[Any]", value))
        ]
    problem = None
    try:
        value = _single_value(kind, value)
    except _UnfitError as error:
        problem = str(error)
    if problem is not None:
        raise argument_error(".".join(path), problem)
    return value


def _has_items(value: Any, *, many: bool) -> bool:
    """Return whether a value is a mapping or list where a single value is expected."""
    return isinstance(value, Mapping) or (not many and isinstance(value, (list, tuple)))


def _single_value(kind: Any, value: Any) -> Any:
    """Convert a single value to the form that zeep writes.

    Raises:
        _UnfitError: the value is not of its type.
    """
    if isinstance(value, str) and _FORBIDDEN_CHARACTERS.search(value):
        raise _UnfitError("contains a character that XML does not allow")
    builtins = zeep("xsd.types.builtins")
    for name, write in _WRITERS.items():
        if isinstance(kind, getattr(builtins, name)):
            return write(value)
    if isinstance(kind, builtins.BuiltinType):
        return _text(value)
    return value


def _boolean(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, str) and value in _BOOLEANS):
        return value
    raise _UnfitError(f"is {with_article(type(value).__name__)}, not a boolean")


def _integer(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return value
    raise _UnfitError(f"is {with_article(type(value).__name__)} that is not an integer")


def _decimal(value: Any) -> Any:
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _UnfitError(f"is {with_article(type(value).__name__)} that is not a decimal number")


def _float(value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        return ("INF" if value > 0 else "-INF") if isinf(value) else "NaN"
    if isinstance(value, str) and _FLOAT.fullmatch(value):
        return value
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return value
    raise _UnfitError(f"is {with_article(type(value).__name__)} that is not a number")


def _moment_converter(
    kind: type[Any], excluded_kind: type[Any] | None = None
) -> Callable[[Any], Any]:
    """Return a function that converts a date, a time or an ISO text for zeep."""

    def write(value: Any) -> Any:
        if isinstance(value, kind) and (
            excluded_kind is None or not isinstance(value, excluded_kind)
        ):
            return value
        if isinstance(value, str):
            return value  # the schema decides whether the value is valid
        expected = f"{with_article(kind.__name__)} or its text in the form of ISO 8601"
        raise _UnfitError(f"is {with_article(type(value).__name__)}, not {expected}")

    return write


def _bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            b64decode(value, validate=True)
        except ValueError:
            pass
        else:
            return value
    raise _UnfitError("is not bytes or a Base64 string")


def _digits(value: Any) -> Any:
    return value.hex().upper() if isinstance(value, bytes) else _text(value)


def _duration(value: Any) -> Any:
    return value


def _text(value: Any) -> Any:
    if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise _UnfitError(f"is {with_article(type(value).__name__)}, not a string")


_WRITERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "Boolean": _boolean,
    "Integer": _integer,
    "Decimal": _decimal,
    "Float": _float,
    "Double": _float,
    "DateTime": _moment_converter(datetime),
    "Date": _moment_converter(date, datetime),
    "Time": _moment_converter(time),
    "Duration": _duration,
    "Base64Binary": _bytes,
    "HexBinary": _digits,
    "gYearMonth": _duration,
    "gYear": _duration,
    "gMonthDay": _duration,
    "gMonth": _duration,
    "gDay": _duration,
}
"""The writers of zeep's types; an integer is a decimal number to zeep, so it comes first."""
