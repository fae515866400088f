"""Values of a configuration, read as their shapes say.

Nothing is raised: what is wrong is reported with its path, and everything else is read on.
"""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import WRONG, Wrong, key, near, quoted, under
from moorage.config.shapes import (
    Address,
    Anything,
    Either,
    Flag,
    Function,
    Kinded,
    Many,
    Moment,
    Named,
    Number,
    OneOf,
    SecretText,
    Table,
    Text,
    TimeOfDay,
)
from moorage.config.stand_ins import note_common, stand_ins
from moorage.domain.auth.keeping import secret_of
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.text import is_encodable
from moorage.wiring.catalog import function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.config.problems import Report
    from moorage.config.shapes import Field, Shape


class Filled(str):
    """A text that the environment has filled in: what it is read as depends on what is wanted."""

    __slots__ = ()


_WORDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    str: "a text",
    Filled: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    Secret: "a secret",
    Credentials: "a secret",
    OAuthCredentials: "a secret",
    type(None): "nothing",
    datetime: "a date with a time",
    date: "a date",
    time: "a time of day",
}


def read(shape: Shape, value: Any, path: str, report: Report) -> Any:
    """What a value is by its shape, or WRONG, as it may be already."""
    if value is WRONG:
        return WRONG
    if isinstance(value, Filled) and not isinstance(shape, (Text, SecretText, Address, Function)):
        value = read_value(value)
    return _READERS[type(shape)](shape, value, path, report)


def read_value(text: str) -> Any:
    """A text as a value of TOML; the text itself, if it is none."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return str(text)
    return found["value"] if len(found) == 1 else str(text)


def wanted(shape: Shape) -> str:
    """What belongs where such a shape stands, in words."""
    return _WANTED[type(shape)](shape)


def read_table(table: Table, value: Any, path: str, report: Report) -> Any:
    """The fields of a table, or what it makes of them."""
    if not is_object(value):
        return _refused(table, value, path, report)
    fields: dict[str, Any] = {}
    for name, one in value.items():
        field = table.fields.get(name) if isinstance(name, str) else None
        at = under(path, key(name))
        if field is None:
            names = sorted(table.fields)
            meant = near(str(name), names)
            known = f"Use {', '.join(names)}."
            report.add(at, f"{key(name)} has no meaning here.", known, nearest=meant)
        else:
            fields[name] = (
                None if one is None and field.nullable else read(field.shape, one, at, report)
            )
    for name, field in table.fields.items():
        if field.required and name not in value:
            at = under(path, name)
            report.add(at, "this is missing.", f"Write {wanted(field.shape)}{_said(field)}.")
    report.check_fields(table.kinds, fields, path)
    if table.make is None:
        report.stand_ins[path] = stand_ins(table, fields, read)
        return {name: one for name, one in fields.items() if one is not WRONG}
    if report.clear(path):
        return report.made(partial(table.make, **fields), path, value)
    make: Callable[..., Any] = table.make
    tries = [partial(_made, make, one, path) for one in stand_ins(table, fields, read)]
    note_common(report, path, tries)
    return WRONG


def _made(make: Callable[..., Any], fields: dict[str, Any], path: str, report: Report) -> Any:
    return report.made(partial(make, **fields), path, fields)


def kind_of(shape: Kinded, value: Any, path: str, name: str, report: Report) -> Table | None:
    """Which table stands there, by its `kind` or its own name."""
    if not is_object(value):
        _refused(shape, value, path, report)
        return None
    at = under(path, "kind")
    if "kind" not in value and not shape.named:
        known = f"Use one of: {', '.join(shape.names())}."
        report.add(at, "this is missing.", known)
        return None
    kind = value.get("kind", name)
    if not isinstance(kind, str):
        report.add(at, f"{_found(kind)} stands where a text belongs.", "Write its name.")
        return None
    if kind not in shape.names():
        known = f"Use one of: {', '.join(shape.names())}." if shape.names() else "Install one."
        found = f"{quoted(kind)} names no {shape.name}."
        report.add(at, found, known, nearest=near(kind, shape.names()))
        return None
    table = report.made(partial(shape.table, kind), path)
    return None if isinstance(table, Wrong) else table


def _read_text(shape: Shape, value: Any, path: str, report: Report) -> Any:
    if isinstance(value, str) and not is_encodable(value):
        return report.add(path, "this text is not valid Unicode.", "Write it anew.")
    return str(value) if isinstance(value, str) else _refused(shape, value, path, report)


def _read_secret(shape: Shape, value: Any, path: str, report: Report) -> Any:
    make = shape.make if isinstance(shape, SecretText) else None
    secret = value
    if isinstance(value, str):
        if not is_encodable(value):
            return report.add(path, "this text is not valid Unicode.", "Write it anew.")
        secret = Secret(str(value))
    elif isinstance(value, (Credentials, OAuthCredentials)):
        secret = value if make is not None else secret_of(value)
    if not isinstance(secret, (Secret, Credentials, OAuthCredentials)):
        return _refused(shape, value, path, report)
    return secret if make is None else report.made(partial(make, secret), path, exact=True)


def _read_flag(shape: Flag, value: Any, path: str, report: Report) -> Any:
    return value if isinstance(value, bool) else _refused(shape, value, path, report)


def _read_number(shape: Number, value: Any, path: str, report: Report) -> Any:
    kinds = int if shape.whole else (int, float, Decimal)
    if isinstance(value, kinds) and not isinstance(value, bool):
        return value
    if isinstance(value, timedelta) and not shape.whole:
        return value.total_seconds()
    return _refused(shape, value, path, report)


def _read_time(shape: TimeOfDay, value: Any, path: str, report: Report) -> Any:
    if isinstance(value, (str, time)):
        return value
    return _refused(shape, value, path, report)


def _read_moment(shape: Moment, value: Any, path: str, report: Report) -> Any:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        return _refused(shape, value, path, report)
    if moment.tzinfo is None:
        return report.add(path, "this time has no time zone.", f"Write {wanted(shape)}.")
    return moment


def _read_function(shape: Function, value: Any, path: str, report: Report) -> Any:
    if not isinstance(value, str):
        return value if callable(value) else _refused(shape, value, path, report)
    return report.made(partial(function, str(value)), path, exact=True)


def _read_choice(shape: OneOf, value: Any, path: str, report: Report) -> Any:
    if type(value) in {str, int} and value in shape.choices:
        return shape.meanings[shape.choices.index(value)] if shape.meanings else value
    known = [str(one) for one in shape.choices]
    meant = near(value, known) if isinstance(value, str) else None
    found = (
        f"{quoted(value)} is none of those that there are."
        if isinstance(value, str)
        else f"{_found(value)} stands where a choice belongs."
    )
    return report.add(path, found, f"Use one of: {', '.join(known)}.", nearest=meant)


def _read_either(shape: Either, value: Any, path: str, report: Report) -> Any:
    for one in shape.shapes:
        if _FITS[type(one)](value):
            return read(one, value, path, report)
    return _refused(shape, value, path, report)


def _read_many(shape: Many, value: Any, path: str, report: Report) -> Any:
    if not is_list(value):
        if isinstance(shape.of, (Text, SecretText)) and not _FITS[type(shape.of)](value):
            return _refused(shape, value, path, report)
        one = read(shape.of, value, path, report)
        return WRONG if one is WRONG else (one,)
    found = [read(shape.of, one, f"{path}[{place}]", report) for place, one in enumerate(value)]
    return WRONG if WRONG in found else tuple(found)


def _read_named(shape: Named, value: Any, path: str, report: Report) -> Any:
    if not is_object(value):
        return _refused(shape, value, path, report)
    found: dict[str, Any] = {}
    for name, one in value.items():
        at = under(path, key(name))
        if not isinstance(name, str):
            report.add(at, "a name is a text.", "Put it in quotation marks.")
        elif isinstance(shape.of, Kinded):
            table = kind_of(shape.of, one, at, name, report)
            found[name] = WRONG if table is None else read_table(table, one, at, report)
        else:
            found[name] = read(shape.of, one, at, report)
    return {name: one for name, one in found.items() if one is not WRONG}


def _read_anything(_: Shape, value: Any, __: str, ___: Report) -> Any:
    return value


def _refused(shape: Shape, value: Any, path: str, report: Report) -> Any:
    expected = wanted(shape)
    remedy, belongs = f"Write {expected}.", expected.partition(",")[0]
    if isinstance(value, (Secret, Credentials, OAuthCredentials)):
        remedy = f"Write {expected}; what is no secret can be written as ${{NAME}}."
    return report.add(path, f"{_found(value)} stands where {belongs} belongs.", remedy)


def _found(value: object) -> str:
    return _WORDS.get(type(value)) or f"a {type(value).__name__}"


def _said(field: Field) -> str:
    return f": {field.about.rstrip('.')}" if field.about else ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


_READERS: Final[Mapping[type, Callable[[Any, Any, str, Any], Any]]] = {
    Text: _read_text,
    SecretText: _read_secret,
    Address: _read_secret,
    Flag: _read_flag,
    Number: _read_number,
    TimeOfDay: _read_time,
    Moment: _read_moment,
    Function: _read_function,
    OneOf: _read_choice,
    Either: _read_either,
    Many: _read_many,
    Named: _read_named,
    Anything: _read_anything,
    Table: read_table,
}

_FITS: Final[Mapping[type, Callable[[Any], bool]]] = {
    Text: lambda value: isinstance(value, str),
    Function: lambda value: isinstance(value, str),
    OneOf: lambda value: isinstance(value, str),
    SecretText: lambda value: isinstance(value, (str, Secret, Credentials, OAuthCredentials)),
    Number: _is_number,
    Flag: lambda value: isinstance(value, bool),
    Table: is_object,
    Named: is_object,
    Many: is_list,
}

_WANTED: Final[Mapping[type, Callable[[Any], str]]] = {
    Text: lambda _: "a text",
    SecretText: lambda _: "a secret, such as secret://env/NAME",
    Address: lambda _: "a URL",
    Function: lambda _: "the name of an installed function",
    Flag: lambda _: "true or false",
    Number: lambda shape: "a whole number" if shape.whole else "a number",
    TimeOfDay: lambda _: "a time of day, such as 17:00",
    Moment: lambda _: "a date with a time and a time zone, such as 2030-01-31T12:00:00Z",
    OneOf: lambda shape: f"one of {', '.join(map(str, shape.choices))}",
    Either: lambda shape: " or ".join(dict.fromkeys(map(wanted, shape.shapes))),
    Many: lambda shape: f"{wanted(shape.of)}, or a list of such",
    Named: lambda _: "a table",
    Anything: lambda _: "a value",
    Table: lambda _: "a table",
    Kinded: lambda _: "a table",
}
