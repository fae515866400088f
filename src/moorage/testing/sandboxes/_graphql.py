"""The subset of GraphQL for sandboxes: one operation with variables and fragments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN: Final = re.compile(r'\.\.\.|\$?\w+|"(?:[^"\\]|\\.)*"|[{}()\[\]:!@=]')
_FRAGMENT: Final = "..."
_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}

Selection: TypeAlias = "tuple[Field, ...]"


class UnreadableError(Exception):
    """Raised if a GraphQL document is invalid, or uses features that this sandbox lacks."""


@attrs.frozen
class Field:
    """A selected field, or an inline fragment.

    Attributes:
        name: name of the field; of a fragment `...` and the name of its type.
        arguments: the field's arguments, with the values of variables filled in.
        directives: arguments of the field's directives, by name.
        selection: fields that are selected in this field.
    """

    name: str
    arguments: Mapping[str, Any]
    directives: Mapping[str, Mapping[str, Any]]
    selection: Selection


class _Reader:
    def __init__(self, document: str, variables: Mapping[str, Any]) -> None:
        self._tokens = _TOKEN.findall(document)
        self._variables = variables
        self._at = 0

    def operation(self) -> tuple[str, Selection]:
        kind = self._next()
        if self._peek() not in {"(", "{"}:
            self._next()
        if self._peek() == "(":
            while self._next() != ")":
                pass
        selection = self._selection()
        if kind not in {"query", "mutation"} or self._peek():
            raise UnreadableError(f"{kind} is not a single operation.")
        return kind, selection

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self, expected: str = "") -> str:
        token = self._peek()
        if not token or expected not in {"", token}:
            raise UnreadableError(f"{token or 'the end'} stands where {expected or 'more'} should.")
        self._at += 1
        return token

    def _selection(self) -> Selection:
        fields: list[Field] = []
        self._next("{")
        while self._peek() != "}":
            name = self._next()
            if name == _FRAGMENT:
                self._next("on")
                fields.append(Field(_FRAGMENT + self._next(), {}, {}, self._selection()))
                continue
            arguments = self._arguments()
            directives: dict[str, Mapping[str, Any]] = {}
            while self._peek() == "@":
                self._next()
                directive = self._next()
                directives[directive] = self._arguments()
            inner = self._selection() if self._peek() == "{" else ()
            fields.append(Field(name, arguments, directives, inner))
        self._next("}")
        return tuple(fields)

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if self._peek() != "(":
            return arguments
        self._next()
        while self._peek() != ")":
            name = self._next()
            self._next(":")
            arguments[name] = self._value(self._next())
        self._next(")")
        return arguments

    def _value(self, token: str) -> Any:
        if token == "[":
            values: list[Any] = []
            while self._peek() != "]":
                values.append(self._value(self._next()))
            self._next("]")
            return values
        if token.startswith("$"):
            return self._variables.get(token[1:])
        if token.startswith('"'):
            return token[1:-1]
        return int(token) if token.isdigit() else _WORDS.get(token, token)


def read_operation(document: str, variables: Mapping[str, Any]) -> tuple[str, Selection]:
    """Return the kind and root fields of an operation.

    Raises:
        UnreadableError: the document is not one operation of fields.
    """
    return _Reader(document, variables).operation()


def selected_fields(value: Any, field: Field, path: str) -> Any:
    """Return a value with only the selected fields.

    Raises:
        UnreadableError: a selected field does not exist, or an object has no selection.
    """
    if is_list(value):
        return [selected_fields(item, field, path) for item in value]
    if not is_object(value):
        if field.selection and value is not None:
            raise UnreadableError(f"{path} has no fields.")
        return value
    if not field.selection:
        raise UnreadableError(f"{path} must have a selection of fields.")
    result: dict[str, Any] = {}
    for inner in field.selection:
        if inner.name.startswith(_FRAGMENT):
            if value.get("__typename") == inner.name.removeprefix(_FRAGMENT):
                result |= selected_fields(value, inner, path)
        elif inner.name not in value:
            raise UnreadableError(f"Field '{inner.name}' doesn't exist on {path}")
        else:
            part = _page(value[inner.name], inner)
            result[inner.name] = selected_fields(part, inner, f"{path}.{inner.name}")
    return result


def _page(value: Any, field: Field) -> Any:
    """Return the requested page of a list or connection."""
    size = field.arguments.get("first")
    if size is None:
        return value
    if is_list(value):
        return value[:size]
    nodes = value.get("nodes")
    if nodes is None:
        return value
    cursor = field.arguments.get("after")
    start = 0 if cursor is None else int(cursor.removeprefix("cursor-"))
    page = {"hasNextPage": start + size < len(nodes), "endCursor": f"cursor-{start + size}"}
    return {"nodes": nodes[start : start + size], "pageInfo": page}
