"""The parts of a generated vendor that follow from its contract's declaration."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.catalog import CONTRACTS, contract
from moorage.contracts.ref import Ref
from moorage.domain.values.money import Money
from moorage.scaffold.declared_types import (
    DeclaredContract,
    DeclaredOperation,
    ValueField,
    declared_contract,
    fields_of,
    is_mapping,
    is_word,
    item_of,
    too_complex,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LONGEST_LINE: Final = 100
_ROWS: Final = {bytes: "base64", str: "text", int: "integer", bool: "flag", datetime: "time"}
"""The rows of `vendor_sdk` that read a type."""
_EXAMPLES: Final[dict[Any, str]] = {
    bytes: '"JVBERi0="',
    str: '"example"',
    int: "1",
    bool: "True",
    datetime: '"2031-05-06T07:08:09Z"',
}
"""The values of a type in the sandbox's answers, as Python writes them."""
_SENT_EXPRESSIONS: Final = {
    bytes: "b64encode({}).decode()",
    datetime: "{}.isoformat()",
    date: "{}.isoformat()",
    timedelta: "{}.total_seconds()",
    Decimal: "str({})",
    Ref: "{}.id",
    Money: '{{"amount": str({0}.amount), "currency": {0}.currency}}',
}
"""The expressions by which values of a type are sent."""
_SDK_CLASSES: Final = frozenset({Money, Ref})
"""The classes of values that `vendor_sdk` has."""


def declared_parts(kind: str) -> dict[str, str]:
    """Return the texts that replace the placeholders in the vendor template, by placeholder.

    Raises:
        ConfigurationError: the contract has an operation or a value that the template cannot
            express.
    """
    declared = declared_contract(kind)
    operations = declared.operations
    for operation in operations:
        if not attrs.has(operation.result):
            raise too_complex(f"The operation {operation.verb}")
    read_kinds = _read_kinds(operation.result for operation in operations)
    readings = map(_reading, read_kinds)
    objects = [_object(declared, *item) for item in _sent_kinds(declared).items()]
    bodies = [_body(declared, operation) for operation in operations]
    functions = "\n".join([*readings, *objects, *bodies]).strip() + "\n\n\n"
    methods = "\n".join(_method(declared, operation) for operation in operations)
    stated = _statement(kind, declared)
    return {
        "{title}": CONTRACTS[kind].lower(),
        "{capabilities}": "\n".join(_capability_rows(kind, declared)),
        "{stated}": stated,
        "{encoding}": "from base64 import b64encode\n" if "b64encode(" in functions else "",
        "{imports}": "\n".join(_imports(kind, declared, f"{functions}{stated}")),
        "{functions}": functions,
        "{methods}": methods,
        "{routes}": "\n".join(_route(declared, operation) for operation in operations),
        "{fields}": "\n".join(
            _entry(item.verb, [json.dumps(name) for name in _sent_fields(declared, item)])
            for item in operations
        ),
        "{answers}": "\n".join(_entry(item.verb, _examples(item)) for item in operations),
    }


def _capability_rows(kind: str, declared: DeclaredContract) -> Iterator[str]:
    """Yield the rows of a table with all capabilities of a contract."""
    for capability in contract(kind).capabilities:
        step = declared.steps.get(capability, "state it if Acme can do it")
        is_stated = capability in declared.needs
        yield f"| `{capability}` | yes | |" if is_stated else f"| `{capability}` | no | {step} |"


def _statement(kind: str, declared: DeclaredContract) -> str:
    """Return the code line that declares the vendor's capabilities; empty if there are none."""
    class_name = contract(kind).capabilities.__name__
    members = (contract(kind).capabilities(item) for item in declared.needs)
    names = ", ".join(f"{class_name}.{member.name}" for member in members)
    return f"    capabilities = frozenset({{{names}}})\n" if names else ""


# --- the vendor ----------------------------------------------------------------


def _imports(kind: str, declared: DeclaredContract, code: str) -> Iterator[str]:
    """Yield the import lines for the classes that the vendor's code uses."""
    classes = {contract(kind).capabilities, *_sent_kinds(declared)}
    for operation in declared.operations:
        classes |= {field.type for field in (*operation.values, *operation.named)}
    for read_kind in _read_kinds(operation.result for operation in declared.operations):
        classes |= {read_kind, *(field.type for field in fields_of(read_kind))}
    names: dict[str, list[str]] = {}
    for item in classes - _SDK_CLASSES:
        is_class = isinstance(item, type) and item.__module__ != str.__module__
        # A name in backquotes is a word of a docstring.
        if is_class and re.search(rf"(?<!`)\b{item.__name__}\b", code):
            names.setdefault(item.__module__, []).append(item.__name__)
    for module, in_module in sorted(names.items()):
        lines = _fitted_lines(f"from {module} import ", "(", sorted(in_module), ")")
        line = f"from {module} import {', '.join(sorted(in_module))}"
        yield line if len(line) <= _LONGEST_LINE else lines


def _fitted_lines(start: str, opening: str, items: list[str], closing: str) -> str:
    """Return code with a list of items, broken into lines as formatters do."""
    line = f"{start}{opening}{', '.join(items)}{closing}"
    if len(line) <= _LONGEST_LINE and "\n" not in line:
        return line
    margin = " " * (len(start) - len(start.lstrip(" ")))
    inner_line = f"{margin}    {', '.join(items)}"
    if len(inner_line) > _LONGEST_LINE or opening == "{" or start.startswith("from "):
        inner_line = "\n".join(f"{margin}    {item}," for item in items)
    return f"{start}{opening}\n{inner_line}\n{margin}{closing}"


def _path(operation: DeclaredOperation) -> str:
    return f"/v1/{operation.verb.replace('_', '-')}{'/{id}' if operation.by_reference else ''}"


def _http_method(declared: DeclaredContract, operation: DeclaredOperation) -> str:
    return "get" if operation.only_reads and not _sent_fields(declared, operation) else "post"


def _route(declared: DeclaredContract, operation: DeclaredOperation) -> str:
    line = f"{_http_method(declared, operation).upper()} {_path(operation)}"
    return f'            "{line}": partial(self._execute, "{operation.verb}"),'


def _method(declared: DeclaredContract, operation: DeclaredOperation) -> str:
    body = [f"json={operation.verb}_body"] if _sent_fields(declared, operation) else []
    arguments = [f'"{_path(operation)}"', *body, f"reads={_constant(operation.result)}"]
    start = f"    {operation.verb} = sdk.{_http_method(declared, operation)}"
    return _fitted_lines(start, "(", arguments, ")")


def _body(declared: DeclaredContract, operation: DeclaredOperation) -> str:
    """Return the code of the function that makes an operation's request body; "" if it has none."""
    fields = _sent_fields(declared, operation)
    if not fields:
        return ""
    parameters = ["_: Acme", *["__: sdk.Ref"][: operation.by_reference]]
    parameters += [f"{item.name}: {annotation(item)}" for item in operation.values]
    parameters += ["*"][: len(operation.named)]
    parameters += [f"{item.name}: {annotation(item)}" for item in operation.named]
    words = operation.verb.replace("_", " ")
    start = f"def {operation.verb}_body"
    return (
        f"\n{_fitted_lines(start, '(', parameters, ') -> dict[str, Any]:')}\n"
        f'    """The body of the request to {words}."""\n{_return_lines(fields)}'
    )


def _object(declared: DeclaredContract, kind: Any, annotation: str) -> str:
    """Return the code of a function that turns a value into a JSON object of a request body."""
    article = "An" if kind.__name__[0] in "AEIOU" else "A"
    return (
        f"\ndef {_function(kind)}(value: {annotation}) -> dict[str, Any]:\n"
        f'    """{article} `{kind.__name__}` as Acme writes it."""\n'
        f"{_return_lines(_sent_members(declared, 'value', kind))}"
    )


def _return_lines(fields: Mapping[str, str]) -> str:
    items = [f'"{name}": {expression}' for name, expression in fields.items()]
    items = [
        item
        if len(item) < _LONGEST_LINE - 8
        else item.replace(": ", ": (\n            ", 1) + "\n        )"
        for item in items
    ]
    return f"{_fitted_lines('    return ', '{', items, '}')}\n"


def annotation(field: ValueField) -> str:
    """Return the type of a parameter, as Python writes it."""
    if field.type not in {str, int, bool, *_SDK_CLASSES} and not attrs.has(field.type):
        return "Any"
    name = f"{'sdk.' if field.type in _SDK_CLASSES else ''}{field.type.__name__}"
    return f"{name} | None" if field.optional else name


def _sent_fields(declared: DeclaredContract, operation: DeclaredOperation) -> dict[str, str]:
    """Return the code that makes each field of a request body, by the field's name."""
    fields: dict[str, str] = {}
    is_only_value = len(operation.values) == 1 and not operation.named
    for item in (*operation.values, *operation.named):
        if (operation.verb, item.name) in declared.optional_fields and not item.required:
            continue
        if is_only_value and attrs.has(item.type) and item.type not in _SENT_EXPRESSIONS:
            fields |= _sent_members(declared, item.name, item.type)
        else:
            fields |= sent_field(item.name, item)
    return fields


def _sent_members(declared: DeclaredContract, expression: str, kind: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    for field in _required_members(declared, kind):
        fields |= sent_field(f"{expression}.{field.name}", field)
    return fields


def _required_members(declared: DeclaredContract, kind: Any) -> list[ValueField]:
    """Return the fields of a value that a vendor can use without further capabilities."""
    return [item for item in fields_of(kind) if (kind, item.name) not in declared.optional_fields]


def sent_field(expression: str, field: ValueField) -> dict[str, str]:
    """Return the code that sends a field, by its name; empty if its type has no JSON form."""
    sent_value = _sent_value(expression, field.type)
    if sent_value is None:
        return {}
    if field.optional and sent_value != expression:
        is_object = attrs.has(field.type) and field.type not in _SENT_EXPRESSIONS
        sent_value = (
            f"{expression} and {sent_value}"
            if is_object
            else f"None if {expression} is None else {sent_value}"
        )
    # A parameter `from` is called `from_`, because `from` is a Python keyword.
    return {field.name.rstrip("_"): sent_value}


def _sent_value(expression: str, kind: Any) -> str | None:
    """Return the code that turns a value into JSON; None if its type has no usual JSON form."""
    if kind in {str, int, float, bool} or is_word(kind):
        return expression
    if kind in _SENT_EXPRESSIONS:
        return _SENT_EXPRESSIONS[kind].format(expression)
    if is_mapping(kind):
        return f"dict({expression})"
    if (item_type := item_of(kind)) is not None:
        item = _sent_value("item", item_type)
        return item and (
            f"list({expression})" if item == "item" else f"[{item} for item in {expression}]"
        )
    return f"{_function(kind)}({expression})" if attrs.has(kind) else None


def _sent_kinds(declared: DeclaredContract) -> dict[Any, str]:
    """Return the classes of values in request bodies, as parameter types, inner ones first."""
    kinds: dict[Any, str] = {}

    def add(field: ValueField, *, is_body: bool) -> None:
        kind = item_of(field.type) or field.type
        if not attrs.has(kind) or kind in _SENT_EXPRESSIONS or kind in kinds:
            return
        for member in _required_members(declared, kind):
            add(member, is_body=False)
        if not is_body:
            kinds[kind] = "Any" if field.others else kind.__name__

    for operation in declared.operations:
        is_only_value = len(operation.values) == 1 and not operation.named
        for item in (*operation.values, *operation.named):
            if (operation.verb, item.name) not in declared.optional_fields or item.required:
                add(item, is_body=is_only_value)
    return kinds


def _read_kinds(results: Iterable[Any]) -> list[Any]:
    """Return the classes of results and of the values in them, inner classes first."""
    kinds: dict[Any, None] = {}
    for kind in results:
        inner_kinds = (item_of(field.type) or field.type for field in fields_of(kind))
        nested_kinds = [item for item in inner_kinds if _is_readable(item)]
        kinds |= dict.fromkeys([*_read_kinds(nested_kinds), kind])
    return [*kinds]


def _function(kind: Any) -> str:
    return _constant(kind).lower().removeprefix("_")


def _constant(kind: Any) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in kind.__name__)


def _reading(kind: Any) -> str:
    rows = {field.name: _row(kind, field) for field in fields_of(kind)}
    lines = "".join(f"    {name}={row},\n" for name, row in rows.items() if row)
    return f"{_constant(kind)} = sdk.Reading(\n    {kind.__name__},\n{lines})\n"


def _row(kind: Any, field: ValueField) -> str | None:
    """Return the code that parses a field of a response; None if the field keeps its default."""
    name = field.name
    if field.type is Ref and field.required:
        return 'sdk.ref_at("id")'
    if is_word(field.type):
        return _word_row(name, field.type)
    if field.type in _ROWS:
        row = f'sdk.{_ROWS[field.type]}("{name}")'
        return row if field.optional or not field.required else f'sdk.needed({row}, "{name}")'
    for row, inner_kind in (("each", item_of(field.type)), ("nested", field.type)):
        if _is_readable(inner_kind):
            return f'sdk.{row}("{name}", {_constant(inner_kind)})'
    if field.required:
        raise too_complex(f"The field {name} of {kind.__name__}")
    return None


def _is_readable(kind: Any) -> bool:
    """Return whether a class of values has required fields, all of which can be parsed."""
    if not attrs.has(kind) or kind in _SENT_EXPRESSIONS:
        return False
    types = [field.type for field in fields_of(kind) if field.required]
    return bool(types) and all(item in {*_ROWS, Ref} or is_word(item) for item in types)


def _word_row(name: str, kind: Any) -> str:
    # Most enumerations have a member for unknown values.
    member = "UNKNOWN" if "UNKNOWN" in kind.__members__ else _first_word(kind).name
    of = f"of=sdk.same({kind.__name__})"
    arguments = [f'"{name}"', of, f"otherwise={kind.__name__}.{member}"]
    return _fitted_lines(f"    {name}=sdk.word", "(", arguments, ")").partition("=")[2]


# --- the sandbox ---------------------------------------------------------------


def _entry(name: str, items: list[str]) -> str:
    """Return the code of a dictionary entry, with each item on a separate line."""
    lines = "".join(f"        {item},\n" for item in items)
    return f'    "{name}": {{\n{lines}    }},' if lines else f'    "{name}": {{}},'


def _examples(operation: DeclaredOperation) -> list[str]:
    """Return the code of an example response's fields, each with an example value."""
    examples = {field.name: _example(field.type) for field in fields_of(operation.result)}
    return [f'"{name}": {example}' for name, example in examples.items() if example]


def _example(kind: Any) -> str | None:
    """Return the code of an example value; None for a type that has no example."""
    if (item_type := item_of(kind)) is not None:
        item = _example(item_type)
        return item and f"[{item}]"
    if attrs.has(kind) and kind not in _SENT_EXPRESSIONS:
        members = (
            # A vendor states the id of a record, from which the reference is made.
            ("id", '"1"') if item.type is Ref else (item.name, _example(item.type))
            for item in fields_of(kind)
            if item.required
        )
        return "{" + ", ".join(f'"{name}": {value}' for name, value in members if value) + "}"
    return f'"{_first_word(kind)}"' if is_word(kind) else _EXAMPLES.get(kind)


def _first_word(words: Any) -> Any:
    return next(iter(words))
