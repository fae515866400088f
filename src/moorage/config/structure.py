"""Reads the values of a configuration by the shapes of its settings.

A problem raises no error: it is reported with its path, and reading continues.
"""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import (
    REPORTED,
    ReportedProblem,
    key,
    path_below,
    quote_value,
    quote_word,
)
from moorage.config.shapes import (
    Address,
    AnyOf,
    AnyValue,
    DateTimeShape,
    Flag,
    Function,
    ListOf,
    NamedTable,
    Number,
    OneOf,
    SecretText,
    Table,
    TableByKind,
    Text,
    TimeOfDay,
)
from moorage.config.trial_values import report_common_problems, trial_values
from moorage.domain.auth.credential_codec import secret_of
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.text import is_encodable, with_article
from moorage.wiring.installed_vendors import function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.config.problems import Report
    from moorage.config.shapes import Field, Shape


class EnvironmentText(str):
    """A string from an environment variable, which is parsed as the type of its setting."""

    __slots__ = ()


_TEXT_SHAPES: Final = (Text, SecretText, Address, Function)
"""The shapes of settings whose value is a string."""

_WORDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    str: "a string",
    EnvironmentText: "a string",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    Secret: "a secret",
    Credentials: "a secret",
    OAuthCredentials: "a secret",
    type(None): "null",
    datetime: "a date with a time",
    date: "a date",
    time: "a time of day",
}


def read(shape: Shape, value: Any, path: str, report: Report) -> Any:
    """Convert a setting to the value that its shape describes; return WRONG if it is not valid."""
    if value is REPORTED:
        return REPORTED
    if isinstance(value, EnvironmentText):
        value = _value_of_variable(shape, value)
    return _READERS[type(shape)](shape, value, path, report)


def _value_of_variable(shape: Shape, text: EnvironmentText) -> Any:
    """Return the value of an environment variable for a setting of this shape.

    Where a string is accepted, a text such as a token of digits is not read as a number.
    """
    if isinstance(shape, _TEXT_SHAPES):
        return text
    value = read_value(text)
    if isinstance(shape, ListOf):
        return value if is_list(value) else text
    choices = shape.shapes if isinstance(shape, AnyOf) else ()
    other_choices = [choice for choice in choices if not isinstance(choice, _TEXT_SHAPES)]
    if len(other_choices) == len(choices) or any(
        _TYPE_CHECKS[type(choice)](value) for choice in other_choices
    ):
        return value
    return text


def read_value(text: str) -> Any:
    """Parse a string as a TOML value; return the string unchanged if it is not a TOML value."""
    try:
        parsed_table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return str(text)
    return parsed_table["value"] if len(parsed_table) == 1 else str(text)


def expectation(shape: Shape) -> str:
    """Return a phrase that describes the values that a setting of this shape accepts."""
    return _EXPECTATIONS[type(shape)](shape)


def read_table(table: Table, value: Any, path: str, report: Report) -> Any:
    """Read the settings of a table, and return them or the value created from them."""
    if not is_object(value):
        return _refuse_value(table, value, path, report)
    fields: dict[str, Any] = {}
    mistaken_names = set[str]()
    for name, entry in value.items():
        field = table.fields.get(name) if isinstance(name, str) else None
        entry_path = path_below(path, key(name))
        if field is None:
            names = sorted(table.fields)
            nearest_name = report.similar_word(str(name), names)
            mistaken_names.update([] if nearest_name is None else [nearest_name])
            remedy = f"Use {', '.join(names)}. {table.advice}".rstrip()
            report.add(
                entry_path, f"The setting {key(name)} is unknown.", remedy, nearest=nearest_name
            )
        else:
            fields[name] = (
                None
                if entry is None and field.nullable
                else read(field.shape, entry, entry_path, report)
            )
    for name, field in table.fields.items():
        if field.required and name not in value:
            entry_path = path_below(path, name)
            report.add(
                entry_path,
                "The setting is missing.",
                f"Write {expectation(field.shape)}{_purpose(field)}.",
            )
    report.check_fields(table.kinds, fields, path)
    mistaken_names.update(
        name for name in fields if not report.has_no_problem(path_below(path, key(name)))
    )
    if table.make is None:
        report.trial_values[path] = trial_values(table, fields, mistaken_names, read)
        return {name: value for name, value in fields.items() if value is not REPORTED}
    if report.has_no_problem(path):
        return report.make_or_report(partial(table.make, **fields), path, value)
    make_value: Callable[..., Any] = table.make
    tries = [
        partial(_make_instance, make_value, variant, path)
        for variant in trial_values(table, fields, mistaken_names, read)
    ]
    report_common_problems(report, path, tries)
    return REPORTED


def _make_instance(
    make: Callable[..., Any], fields: dict[str, Any], path: str, report: Report
) -> Any:
    return report.make_or_report(partial(make, **fields), path, fields)


def kind_of(shape: TableByKind, value: Any, path: str, name: str, report: Report) -> Table | None:
    """Return the table for the kind in a setting; the setting's name is the default kind."""
    if not is_object(value):
        _refuse_value(shape, value, path, report)
        return None
    kind_path = path_below(path, "kind")
    if "kind" not in value and not shape.named:
        remedy = f"Use one of: {', '.join(shape.names())}."
        report.add(kind_path, "The setting is missing.", remedy)
        return None
    kind = value.get("kind", name)
    if not isinstance(kind, str):
        report.add(
            kind_path,
            f"The value must be a string, not {_type_in_words(kind)}.",
            "Write the name of a kind.",
        )
        return None
    if kind not in shape.known and kind not in shape.names():
        remedy = f"Use one of: {', '.join(shape.names())}." if shape.names() else "Install one."
        message = f"There is no {shape.name} named {quote_word(kind)}."
        report.add(kind_path, message, remedy, nearest=report.similar_word(kind, shape.names()))
        return None
    table = report.make_or_report(partial(shape.table, kind), path)
    return None if isinstance(table, ReportedProblem) else table


def _read_text(shape: Shape, value: Any, path: str, report: Report) -> Any:
    if isinstance(value, str) and not is_encodable(value):
        return report.add(path, "The text is not valid Unicode.", "Write it again.")
    return str(value) if isinstance(value, str) else _refuse_value(shape, value, path, report)


def _read_secret(shape: Shape, value: Any, path: str, report: Report) -> Any:
    make_value = shape.make if isinstance(shape, SecretText) else None
    secret = value
    if isinstance(shape, Address) and _is_blank(value):
        remedy = "Set the URL, or remove the setting. An environment variable may be empty."
        return report.add(path, "The URL is empty.", remedy)
    if isinstance(value, str):
        if not is_encodable(value):
            return report.add(path, "The text is not valid Unicode.", "Write it again.")
        secret = Secret(str(value))
    elif isinstance(value, (Credentials, OAuthCredentials)):
        secret = value if make_value is not None else secret_of(value)
    if not isinstance(secret, (Secret, Credentials, OAuthCredentials)):
        return _refuse_value(shape, value, path, report)
    return (
        secret
        if make_value is None
        else report.make_or_report(partial(make_value, secret), path, exact=True)
    )


def _is_blank(value: object) -> bool:
    text = value.reveal() if isinstance(value, Secret) else value
    return isinstance(text, str) and not text.strip()


def _read_flag(shape: Flag, value: Any, path: str, report: Report) -> Any:
    return value if isinstance(value, bool) else _refuse_value(shape, value, path, report)


def _read_number(shape: Number, value: Any, path: str, report: Report) -> Any:
    kinds = int if shape.whole else (int, float, Decimal)
    if isinstance(value, kinds) and not isinstance(value, bool):
        return value
    if isinstance(value, timedelta) and not shape.whole:
        return value.total_seconds()
    return _refuse_value(shape, value, path, report)


def _read_time(shape: TimeOfDay, value: Any, path: str, report: Report) -> Any:
    if isinstance(value, (str, time)):
        return value
    return _refuse_value(shape, value, path, report)


def _read_moment(shape: DateTimeShape, value: Any, path: str, report: Report) -> Any:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        return _refuse_value(shape, value, path, report)
    if moment.tzinfo is None:
        return report.add(path, "The time has no time zone.", f"Write {expectation(shape)}.")
    return moment


def _read_function(shape: Function, value: Any, path: str, report: Report) -> Any:
    if not isinstance(value, str):
        return value if callable(value) else _refuse_value(shape, value, path, report)
    return report.make_or_report(partial(function, str(value)), path, exact=True)


def _read_choice(shape: OneOf, value: Any, path: str, report: Report) -> Any:
    if type(value) in {str, int} and value in shape.choices:
        return shape.meanings[shape.choices.index(value)] if shape.meanings else value
    choices = [str(choice) for choice in shape.choices]
    nearest = report.similar_word(value, choices) if isinstance(value, str) else None
    message = (
        f"{quote_value(value)} is not an allowed value."
        if isinstance(value, str)
        else f"The value is {_type_in_words(value)}, not an allowed value."
    )
    return report.add(path, message, f"Use one of: {', '.join(choices)}.", nearest=nearest)


def _read_any_of(shape: AnyOf, value: Any, path: str, report: Report) -> Any:
    for choice in shape.shapes:
        if _TYPE_CHECKS[type(choice)](value):
            return read(choice, value, path, report)
    return _refuse_value(shape, value, path, report)


def _read_list(shape: ListOf, value: Any, path: str, report: Report) -> Any:
    if not is_list(value):
        is_text = isinstance(shape.of, (Text, SecretText))
        if not shape.single or (is_text and not _TYPE_CHECKS[type(shape.of)](value)):
            return _refuse_value(shape, value, path, report)
        single_value = read(shape.of, value, path, report)
        return REPORTED if single_value is REPORTED else (single_value,)
    values = [
        read(shape.of, entry, f"{path}[{position}]", report) for position, entry in enumerate(value)
    ]
    return REPORTED if REPORTED in values else tuple(values)


def _read_named(shape: NamedTable, value: Any, path: str, report: Report) -> Any:
    if not is_object(value):
        return _refuse_value(shape, value, path, report)
    values: dict[str, Any] = {}
    for name, entry in value.items():
        entry_path = path_below(path, key(name))
        if not isinstance(name, str):
            report.add(entry_path, "The name must be a string.", "Put the name in quotation marks.")
        elif isinstance(shape.of, TableByKind):
            table = kind_of(shape.of, entry, entry_path, name, report)
            values[name] = (
                REPORTED if table is None else read_table(table, entry, entry_path, report)
            )
        else:
            values[name] = read(shape.of, entry, entry_path, report)
    return {name: entry for name, entry in values.items() if entry is not REPORTED}


def _read_kinded(shape: TableByKind, value: Any, path: str, report: Report) -> Any:
    if shape.other is not None and not (is_object(value) and "kind" in value):
        return read(shape.other, value, path, report)
    table = kind_of(shape, value, path, "", report)
    return REPORTED if table is None else read_table(table, value, path, report)


def _read_any_value(_: Shape, value: Any, __: str, ___: Report) -> Any:
    return value


def _refuse_value(shape: Shape, value: Any, path: str, report: Report) -> Any:
    expected_value = expectation(shape)
    remedy, kind_expected = f"Write {expected_value}.", expected_value.partition(",")[0]
    if isinstance(value, (Secret, Credentials, OAuthCredentials)):
        remedy = (
            f"Write {expected_value}. If the value is not secret, you can write it as ${{NAME}}."
        )
    return report.add(path, f"The value is {_type_in_words(value)}, not {kind_expected}.", remedy)


def _type_in_words(value: object) -> str:
    return _WORDS.get(type(value)) or with_article(type(value).__name__)


def _purpose(field: Field) -> str:
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
    DateTimeShape: _read_moment,
    Function: _read_function,
    OneOf: _read_choice,
    AnyOf: _read_any_of,
    ListOf: _read_list,
    NamedTable: _read_named,
    AnyValue: _read_any_value,
    Table: read_table,
    TableByKind: _read_kinded,
}

_TYPE_CHECKS: Final[Mapping[type, Callable[[Any], bool]]] = {
    Text: lambda value: isinstance(value, str),
    Function: lambda value: isinstance(value, str),
    OneOf: lambda value: isinstance(value, str),
    SecretText: lambda value: isinstance(value, (str, Secret, Credentials, OAuthCredentials)),
    Number: _is_number,
    Flag: lambda value: isinstance(value, bool),
    Table: is_object,
    NamedTable: is_object,
    ListOf: is_list,
}

_EXPECTATIONS: Final[Mapping[type, Callable[[Any], str]]] = {
    Text: lambda _: "a string",
    SecretText: lambda _: "a secret, such as secret://env/NAME",
    Address: lambda _: "a URL",
    Function: lambda _: "the name of an installed function",
    Flag: lambda _: "true or false",
    Number: lambda shape: "a whole number" if shape.whole else "a number",
    TimeOfDay: lambda _: "a time of day, such as 17:00",
    DateTimeShape: lambda _: "a date with a time and a time zone, such as 2030-01-31T12:00:00Z",
    OneOf: lambda shape: f"one of {', '.join(map(str, shape.choices))}",
    AnyOf: lambda shape: " or ".join(dict.fromkeys(map(expectation, shape.shapes))),
    ListOf: lambda shape: (
        f"{expectation(shape.of)}, or a list of them"
        if shape.single
        else f"a list, each entry {expectation(shape.of)}"
    ),
    NamedTable: lambda _: "a table",
    AnyValue: lambda _: "a value",
    Table: lambda _: "a table",
    TableByKind: lambda _: "a table",
}
