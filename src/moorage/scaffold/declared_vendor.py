"""The parts of a new vendor that follow from the declaration of its contract."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.catalog import CONTRACTS, contract
from moorage.contracts.ref import Ref
from moorage.domain.values.money import Money
from moorage.scaffold.declared_types import (
    DeclaredOperation,
    ValueField,
    basic_needs,
    basic_operations,
    fields_of,
    is_word,
    item_of,
    too_complex,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST_LINE: Final = 100
_ROWS: Final = {str: "text", int: "integer", bool: "flag", datetime: "time"}
"""The rows of `vendor_sdk` that read a type."""
_EXAMPLES: Final = {
    str: '"example"',
    int: "1",
    bool: "True",
    datetime: '"2031-05-06T07:08:09Z"',
}
"""The values of a type in the sandbox's answers, as Python writes them."""
_SENT: Final = {
    datetime: "{}.isoformat()",
    date: "{}.isoformat()",
    timedelta: "{}.total_seconds()",
    Decimal: "str({})",
    Ref: "{}.id",
    Money: '{{"amount": str({0}.amount), "currency": {0}.currency}}',
}
"""The expressions by which values of a type are sent."""


def declared_parts(kind: str) -> dict[str, str]:
    """Return the texts that replace the places in the template, by place.

    Raises:
        ConfigurationError: the contract has an operation or a value that the template cannot
            express.
    """
    operations = list(basic_operations(kind))
    if not operations:
        raise too_complex(f"The contract {kind}")
    for operation in operations:
        _check_simple(operation)
    results = {item.result.__name__: item.result for item in operations}
    functions = [*map(_reading, results.values()), *map(_body, operations)]
    return {
        "{title}": CONTRACTS[kind].lower(),
        "{capabilities}": "\n".join(_capability_rows(kind)),
        "{stated}": _statement(kind),
        "{imports}": "\n".join(_imports(kind, operations)),
        "{functions}": "\n".join(functions).strip() + "\n\n\n",
        "{methods}": "\n".join(map(_method, operations)),
        "{routes}": "\n".join(map(_route, operations)),
        "{fields}": "\n".join(
            _entry(item.verb, [json.dumps(name) for name in _sent_fields(item)])
            for item in operations
        ),
        "{answers}": "\n".join(_entry(item.verb, _examples(item)) for item in operations),
    }


def _check_simple(operation: DeclaredOperation) -> None:
    has_one_subject = operation.by_reference + len(operation.values) == 1
    if not has_one_subject or not attrs.has(operation.result):
        raise too_complex(f"The operation {operation.verb}")


def _capability_rows(kind: str) -> Iterator[str]:
    """Yield the rows of a table with all capabilities of a contract."""
    needs = basic_needs(kind)
    for capability in contract(kind).capabilities:
        if capability in needs:
            yield f"| `{capability}` | yes | |"
        else:
            yield f"| `{capability}` | no | send its fields, and name it in `capabilities` |"


def _statement(kind: str) -> str:
    """Return the line that states the capabilities; nothing if there are none."""
    needs = basic_needs(kind)
    class_name = contract(kind).capabilities.__name__
    names = ", ".join(f"{class_name}.{contract(kind).capabilities(item).name}" for item in needs)
    return f"    capabilities = frozenset({{{names}}})\n" if needs else ""


# --- the vendor ----------------------------------------------------------------


def _imports(kind: str, operations: Iterable[DeclaredOperation]) -> Iterator[str]:
    """Yield the lines that import the classes of values and words."""
    classes: set[Any] = {contract(kind).capabilities} if basic_needs(kind) else set()
    for operation in operations:
        classes |= {operation.result, *(item.type for item in operation.values)}
        classes |= {field.type for field in fields_of(operation.result) if is_word(field.type)}
    names: dict[str, list[str]] = {}
    for item in classes:
        if item.__module__ != str.__module__:
            names.setdefault(item.__module__, []).append(item.__name__)
    for module, in_module in sorted(names.items()):
        line = f"from {module} import {', '.join(sorted(in_module))}"
        lines = "".join(f"    {name},\n" for name in sorted(in_module))
        is_short = len(line) <= _LONGEST_LINE
        yield line if is_short else f"from {module} import (\n{lines})"


def _path(operation: DeclaredOperation) -> str:
    end = "/{id}" if not any(attrs.has(item.type) for item in operation.values) else ""
    return f"/v1/{operation.verb.replace('_', '-')}{end}"


def _http_method(operation: DeclaredOperation) -> str:
    return "get" if operation.only_reads and not _sent_fields(operation) else "post"


def _route(operation: DeclaredOperation) -> str:
    line = f"{_http_method(operation).upper()} {_path(operation)}"
    return f'            "{line}": partial(self._execute, "{operation.verb}"),'


def _method(operation: DeclaredOperation) -> str:
    body = f"json={operation.verb}_body, " if _sent_fields(operation) else ""
    return (
        f"    {operation.verb} = sdk.{_http_method(operation)}("
        f'"{_path(operation)}", {body}reads={_constant(operation.result)})'
    )


def _body(operation: DeclaredOperation) -> str:
    """Return the function that makes the body of an operation; nothing if it has no body."""
    if not _sent_fields(operation):
        return ""
    subject = "".join(f", {item.name}: {item.type.__name__}" for item in operation.values)
    named = "".join(f", {item.name}: Any" for item in operation.named)
    parameters = f"_: Acme{subject or ', __: sdk.Ref'}{', *' if named else ''}{named}"
    lines = "".join(
        _line(f'        "{name}": ', expression)
        for name, expression in _sent_fields(operation).items()
    )
    operation_words = operation.verb.replace("_", " ")
    return (
        f"\ndef {operation.verb}_body({parameters}) -> dict[str, Any]:\n"
        f'    """The body of the request to {operation_words}."""\n'
        f"    return {{\n{lines}    }}\n"
    )


def _line(start: str, expression: str) -> str:
    """Return an item of a dictionary, whose expression is on a line of its own if it is long."""
    line = f"{start}{expression},"
    if len(line) <= _LONGEST_LINE:
        return f"{line}\n"
    return f"{start}(\n            {expression}\n        ),\n"


def _sent_fields(operation: DeclaredOperation) -> dict[str, str]:
    """Return the expressions of a body's fields, by name."""
    fields: dict[str, str] = {}
    for item in operation.values:
        if attrs.has(item.type):
            fields |= _sent_members(item.name, item.type)
    for item in operation.named:
        fields |= _sent_field(item.name, item)
    return fields


def _sent_members(expression: str, kind: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    for field in fields_of(kind):
        fields |= _sent_field(f"{expression}.{field.name}", field)
    return fields


def _sent_field(expression: str, field: ValueField) -> dict[str, str]:
    sent_value = _sent_value(expression, field.type)
    if sent_value is None:
        return {}
    is_converted = field.optional and sent_value != expression
    return {
        field.name: f"None if {expression} is None else {sent_value}"
        if is_converted
        else sent_value
    }


def _sent_value(expression: str, kind: Any) -> str | None:
    """Return the expression that sends a value; None if its type has no usual form in JSON."""
    if kind in {str, int, float, bool} or is_word(kind):
        return expression
    if kind in _SENT:
        return _SENT[kind].format(expression)
    if (item_type := item_of(kind)) is not None:
        item = _sent_value("item", item_type)
        if item is None:
            return None
        return f"list({expression})" if item == "item" else f"[{item} for item in {expression}]"
    if attrs.has(kind):
        members = _sent_members(expression, kind).items()
        return "{" + ", ".join(f'"{name}": {value}' for name, value in members) + "}"
    return None


def _constant(kind: Any) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in kind.__name__)


def _reading(kind: Any) -> str:
    rows = {field.name: _row(kind, field) for field in fields_of(kind)}
    lines = "".join(f"    {name}={row},\n" for name, row in rows.items() if row)
    return f"{_constant(kind)} = sdk.Reading(\n    {kind.__name__},\n{lines})\n"


def _row(kind: Any, field: ValueField) -> str | None:
    """Return the expression that reads a field; None to leave the field at its default."""
    name = field.name
    if field.type is Ref and field.required:
        return 'sdk.ref_at("id")'
    if is_word(field.type):
        return _word_row(name, field.type)
    if field.type in _ROWS:
        row = f'sdk.{_ROWS[field.type]}("{name}")'
        return row if field.optional or not field.required else f'sdk.needed({row}, "{name}")'
    if field.required:
        raise too_complex(f"The field {name} of {kind.__name__}")
    return None


def _word_row(name: str, kind: Any) -> str:
    # Most enumerations have a word for what is not known.
    member = "UNKNOWN" if "UNKNOWN" in kind.__members__ else _first_word(kind).name
    lines = wrap(" ".join(kind), 80, drop_whitespace=False)
    words = "\n            ".join(json.dumps(line) for line in lines)
    return (
        f'sdk.word(\n        "{name}",\n'
        f"        of=sdk.same(\n            {kind.__name__},\n            {words},\n        ),\n"
        f"        otherwise={kind.__name__}.{member},\n    )"
    )


# --- the sandbox ---------------------------------------------------------------


def _entry(name: str, items: list[str]) -> str:
    """Return an entry of a dictionary, with one of its items in each line."""
    lines = "".join(f"        {item},\n" for item in items)
    return f'    "{name}": {{\n{lines}    }},' if lines else f'    "{name}": {{}},'


def _examples(operation: DeclaredOperation) -> list[str]:
    """Return the fields of an answer with examples of their values."""
    return [
        f'"{field.name}": {_example(field.type)}'
        for field in fields_of(operation.result)
        if is_word(field.type) or field.type in _EXAMPLES
    ]


def _example(kind: Any) -> str:
    return f'"{_first_word(kind)}"' if is_word(kind) else _EXAMPLES[kind]


def _first_word(words: Any) -> Any:
    return next(iter(words))
