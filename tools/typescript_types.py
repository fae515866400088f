"""Parses types in TypeScript declarations: interfaces, classes, aliases, enumerations.

A type without a counterpart in JSON, such as a function, a method or a conditional type, becomes
`AnyType`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN: Final = re.compile(
    r"""/\*.*?\*/|//[^\n]*|\s+"""
    r"""|(?P<token>[\w$]+|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`|=>|\.\.\.|.)""",
    re.DOTALL,
)
_CLOSING: Final = {"(": ")", "<": ">", "[": "]", "{": "}"}
_KINDS: Final = frozenset({"class", "const", "enum", "interface", "type"})
_MODIFIERS: Final = frozenset({"abstract", "declare", "public", "readonly"})
_HIDDEN: Final = frozenset({"get", "private", "protected", "set", "static"})
_OPERATORS: Final = frozenset(
    {"asserts", "false", "import", "infer", "keyof", "new", "readonly", "true", "typeof", "unique"}
)
_SCOPES: Final = frozenset({"module", "namespace"})


@attrs.frozen
class AnyType:
    """A type that tells nothing about the JSON value."""


@attrs.frozen
class Literal:
    """A type whose only value is this literal."""

    value: bool | float | str


@attrs.frozen
class Name:
    """A place where a named type is used.

    Attributes:
        name: the name, which may have dots.
        arguments: the types in angle brackets.
        scope: the file's name, and the namespaces in it, from which the name is looked up.
    """

    name: str
    arguments: tuple[Type, ...]
    scope: tuple[str, ...]


@attrs.frozen
class Values:
    """The type of a named value, such as `typeof Color`."""

    name: Name


@attrs.frozen
class Listing:
    """A list type."""

    item: Type


@attrs.frozen
class Union:
    """A union of types."""

    types: tuple[Type, ...]


@attrs.frozen
class Intersection:
    """An intersection of types."""

    types: tuple[Type, ...]


@attrs.frozen
class Keys:
    """The type of another type's field names."""

    owner: Type


@attrs.frozen
class Member:
    """The type of a field of another type, such as `T["id"]`."""

    owner: Type
    index: Type


@attrs.frozen
class MappedType:
    """A mapped type, which has one field for each of some names.

    Attributes:
        parameter: the type parameter that stands for the name in the type of the field.
        keys: the type of the names.
        value: the type of each field.
        is_optional: whether fields may be missing.
    """

    parameter: str
    keys: Type
    value: Type
    is_optional: bool


@attrs.frozen
class Field:
    """A field of an object."""

    name: str
    type: Type
    required: bool


@attrs.frozen
class Fields:
    """An object type.

    Attributes:
        fields: the fields.
        others: the type of fields with other names; None if there are none.
    """

    fields: tuple[Field, ...]
    others: Type | None


Type: TypeAlias = (
    AnyType
    | Fields
    | Intersection
    | Keys
    | Listing
    | Literal
    | MappedType
    | Member
    | Name
    | Union
    | Values
)


@attrs.frozen
class Declaration:
    """The declaration of a named type.

    Attributes:
        kind: its keyword; that of a value is `const`.
        parameters: the names of its parameters.
        type: what it stands for.
    """

    kind: str
    parameters: tuple[str, ...]
    type: Type


def value_name(name: str) -> str:
    """Return the name for declaring a value, since a type may have the same name."""
    return re.sub(r"(\w+)$", r"typeof-\1", name)


def declarations_of(file: str, text: str) -> Mapping[tuple[str, ...], Declaration]:
    """Return a file's types, by file name, namespaces and type names."""
    parser = _Parser(text)
    parser.read_scope((file,))
    return parser.declarations


class _Parser:
    """A parser of TypeScript declarations, with its current position."""

    def __init__(self, text: str) -> None:
        self._tokens = [match["token"] for match in _TOKEN.finditer(text) if match["token"]]
        self._position = 0
        self._scope: tuple[str, ...] = ()
        self.declarations: dict[tuple[str, ...], Declaration] = {}

    def read_scope(self, scope: tuple[str, ...]) -> None:
        """Read declarations until the end of the scope or file."""
        while self._token() not in {"", "}"}:
            self._scope = scope
            word, name = self._next(), self._token()
            if word == "import":
                while self._next()[:1] not in {"", "'", '"'}:
                    pass
            elif word in _SCOPES and self._token(1) == "{":
                self._position += 2
                self.read_scope((*scope, name))
                self._take("}")
            elif word in _KINDS and name.isidentifier():
                self._position += 1
                declaration = self._enum() if word == "enum" else self._declaration(word)
                name = value_name(name) if word == "const" else name
                self.declarations.setdefault((*scope, name), declaration)
            elif word in _CLOSING:
                self._position -= 1
                self._skip_bracket()

    def _token(self, offset: int = 0) -> str:
        position = self._position + offset
        return self._tokens[position] if position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._token()
        self._position += 1
        return token

    def _take(self, *tokens: str) -> bool:
        """If the next token is one of these, move past it; return whether it was."""
        is_next = self._token() in tokens
        self._position += is_next
        return is_next

    def _skip_bracket(self) -> None:
        """Skip a bracket and everything up to its closing bracket."""
        pending_brackets: list[str] = []
        while token := self._next():
            if token in _CLOSING:
                pending_brackets.append(_CLOSING[token])
            elif token == pending_brackets[-1]:
                pending_brackets.pop()
            if not pending_brackets:
                return

    def _declaration(self, kind: str) -> Declaration:
        parameters = self._parameters()
        if kind in {"const", "type"}:
            is_typed = self._take("=", ":")
            return Declaration(kind, parameters, self.type() if is_typed else AnyType())
        bases: list[Type] = []
        while self._token() not in {"", "{"}:
            is_base = self._next() != "implements"
            while self._token() not in {"", "extends", "implements", "{"}:
                base = self.type()
                bases += [base] if is_base else []
                self._take(",")
        fields = self._fields()
        return Declaration(kind, parameters, Intersection((*bases, fields)) if bases else fields)

    def _parameters(self) -> tuple[str, ...]:
        names: list[str] = []
        if self._take("<"):
            while not self._take(">", ""):
                names.append(self._next())
                while self._take("extends", "="):
                    self.type()
                self._take(",")
        return tuple(names)

    def _enum(self) -> Declaration:
        values: list[Type] = []
        self._take("{")
        while not self._take("}", ""):
            self._next()
            values.append(self.type() if self._take("=") else Literal(len(values)))
            self._take(",")
        return Declaration("enum", (), Union(tuple(values)))

    def _fields(self) -> Fields | MappedType:
        fields: list[Field] = []
        additional: Type | None = None
        mapped_type: MappedType | None = None
        self._take("{")
        while not self._take("}", ""):
            if self._take(";", ",", "-", "+"):
                continue
            is_hidden = False
            while self._token() in _MODIFIERS | _HIDDEN and self._token(1) not in set("?:(<;,"):
                is_hidden |= self._next() in _HIDDEN
            if self._token() in {"(", "<"}:
                self._type_of_member()
            elif self._token() == "[" and self._token(2) == "in":
                mapped_type = self._mapped_type()
            elif self._token() == "[":
                self._skip_bracket()
                additional = self._type_of_member()
            else:
                name = self._next().strip("'\"")
                required = not self._take("?")
                is_hidden |= self._token() in {"(", "<"}
                field = Field(name, self._type_of_member(), required)
                fields += [] if is_hidden else [field]
        return mapped_type or Fields(tuple(fields), additional)

    def _mapped_type(self) -> MappedType:
        parameter = self._token(1)
        self._position += 3
        keys = self.type()
        if self._take("as"):
            self.type()
        self._take("]")
        is_optional = self._token() == "?" or self._token(1) == "?"
        return MappedType(parameter, keys, self._type_of_member(), is_optional)

    def _type_of_member(self) -> Type:
        while self._token() in {"!", "(", "+", "-", "<", "?"}:
            if self._token() in _CLOSING:
                self._skip_bracket()
            else:
                self._position += 1
        return self.type() if self._take(":") else AnyType()

    def type(self) -> Type:
        """Read a type."""
        types: list[Type] = []
        self._take("|")
        while not types or self._take("|"):
            types.append(self._intersection())
        if self._take("extends"):
            self.type()
            for mark in "?:":
                self._take(mark)
                self.type()
            return AnyType()
        if self._take("is"):
            self.type()
            return AnyType()
        return types[0] if len(types) == 1 else Union(tuple(types))

    def _intersection(self) -> Type:
        types: list[Type] = []
        self._take("&")
        while not types or self._take("&"):
            types.append(self._postfix())
        return types[0] if len(types) == 1 else Intersection(tuple(types))

    def _postfix(self) -> Type:
        result = self._primary()
        while self._take("["):
            if self._take("]"):
                result = Listing(result)
            else:
                result = Member(result, self.type())
                self._take("]")
        return result

    def _primary(self) -> Type:
        token = self._token()
        if token == "{":
            return self._fields()
        if token in {"(", "<"}:
            return self._parenthesis()
        if token == "[":
            self._skip_bracket()
            return Listing(AnyType())
        if token.isidentifier() and token not in _OPERATORS:
            return self._name(self._dotted_name())
        self._position += 1
        if token == "keyof":
            return Keys(self._postfix())
        if token in {"asserts", "infer", "new", "unique"}:
            self._postfix()
            return AnyType()
        if token == "readonly":
            return self._postfix()
        if token == "typeof":
            return Values(self._name(value_name(self._dotted_name())))
        if token == "import":
            return self._imported_type()
        return self._value(token)

    def _imported_type(self) -> Type:
        """Read `import("file").Name`, where a file name without dots is in the package."""
        file = self._token(1).strip("'\"")
        self._skip_bracket()
        self._take(".")
        return self._name(self._dotted_name(), self._scope if file.startswith(".") else (file,))

    def _value(self, token: str) -> Type:
        if token[0] == "`":
            expression = re.fullmatch(r"`\$\{([\w.]+)\}`", token)
            return (
                Name(expression[1], (), self._scope)
                if expression
                else Name("string", (), self._scope)
            )
        if token[0] in {"'", '"'}:
            return Literal(token[1:-1])
        if token in {"false", "true"}:
            return Literal(token == "true")
        if token == "-" or token.isdigit():
            number = self._next() if token == "-" else token
            return Literal(-int(number) if token == "-" else int(number))
        return AnyType()

    def _parenthesis(self) -> Type:
        """Read a type in parentheses, or skip a function's type."""
        start = self._position
        while self._token() in {"(", "<"}:
            self._skip_bracket()
        if self._take("=>"):
            self.type()
            return AnyType()
        self._position = start + 1
        result = self.type()
        self._take(")")
        return result

    def _dotted_name(self) -> str:
        name = self._next()
        while self._take("."):
            name += f".{self._next()}"
        return name

    def _name(self, name: str, scope: tuple[str, ...] = ()) -> Name:
        arguments: list[Type] = []
        if self._take("<"):
            while not self._take(">", ""):
                arguments.append(self.type())
                self._take(",")
        return Name(name, tuple(arguments), scope or self._scope)
