"""Writes an excerpt of a GraphQL schema: the used fields, arguments and types.

    python -m tools.graphql_excerpts VENDOR SCHEMA EXCERPT

SCHEMA is the result of an introspection query in JSON, which may be compressed by gzip. EXCERPT
gets the part of the schema that the requests of the vendor's scenarios use.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLScalarType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_client_schema,
    get_named_type,
    is_specified_scalar_type,
    parse,
    type_from_ast,
    visit,
)

from moorage.testing.fakes.http import as_bytes
from tools.command_line import tool_parser
from tools.descriptions import exchanges_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphql import (
        DirectiveNode,
        FieldNode,
        GraphQLArgument,
        GraphQLDirective,
        GraphQLNamedType,
        GraphQLSchema,
        VariableDefinitionNode,
    )


class _UsedFields(Visitor):
    """Collects the fields and arguments that GraphQL documents use, by type name."""

    def __init__(self, schema: GraphQLSchema) -> None:
        super().__init__()
        self.info = TypeInfo(schema)
        self.schema = schema
        self.fields: dict[str, dict[str, set[str]]] = {}
        self.directives: set[str] = set()
        self.variables: Mapping[str, Any] = {}

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        """Record a directive."""
        self.directives.add(node.name.value)

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        """Record a field and its arguments."""
        owner = self.info.get_parent_type()
        if owner is not None:
            names = self.fields.setdefault(owner.name, {}).setdefault(node.name.value, set())
            names.update(argument.name.value for argument in node.arguments or ())

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        """Record the fields in a variable's value."""
        value = self.variables.get(node.variable.name.value)
        kind = type_from_ast(self.schema, node.type)
        if kind is not None:
            self._note(get_named_type(kind), value)

    def _note(self, kind: GraphQLNamedType, value: Any) -> None:
        if isinstance(kind, GraphQLInputObjectType):
            used_fields = self.fields.setdefault(kind.name, {})
            for item in value if isinstance(value, list) else [value or {}]:
                for name, part in item.items():
                    used_fields.setdefault(name, set())
                    self._note(get_named_type(kind.fields[name].type), part)


def excerpt(schema: GraphQLSchema, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Return the part of a schema that some requests use.

    Args:
        schema: the schema.
        requests: their documents and variables.
    """
    used_fields = _UsedFields(schema)
    for document, variables in requests:
        used_fields.variables = variables
        visit(parse(document), TypeInfoVisitor(used_fields.info, used_fields))
    names = set(used_fields.fields)
    for owner, fields in used_fields.fields.items():
        for name, arguments in fields.items():
            field = _fields_of(schema.type_map[owner])[name]
            names.add(get_named_type(field.type).name)
            names.update(get_named_type(field.args[word].type).name for word in arguments)
    directives = [part for part in schema.directives if part.name in used_fields.directives]
    texts = [
        f"directive @{part.name}{_arguments(part.args)} on {' | '.join(_places(part))}"
        for part in directives
    ]
    texts += [
        _text(schema.type_map[name], used_fields.fields.get(name, {})) for name in sorted(names)
    ]
    roots = {"query": schema.query_type, "mutation": schema.mutation_type}
    lines = [f"  {word}: {kind.name}" for word, kind in roots.items() if kind is not None]
    return "\n".join(["schema {", *lines, "}", *filter(None, texts)]) + "\n"


def _fields_of(kind: GraphQLNamedType) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(kind, "fields", {})
    return fields


def _places(directive: GraphQLDirective) -> list[str]:
    return [place.name for place in directive.locations]


def _arguments(arguments: Mapping[str, GraphQLArgument]) -> str:
    parts = [f"{name}: {argument.type}" for name, argument in arguments.items()]
    return f"({', '.join(parts)})" if parts else ""


def _text(kind: GraphQLNamedType, used_fields: Mapping[str, set[str]]) -> str:
    if isinstance(kind, GraphQLEnumType):
        return f"enum {kind.name} {{ {' '.join(sorted(kind.values))} }}"
    if isinstance(kind, GraphQLScalarType):
        return "" if is_specified_scalar_type(kind) else f"scalar {kind.name}"
    lines: list[str] = []
    for name, words in sorted(used_fields.items()):
        field = _fields_of(kind)[name]
        arguments = {
            word: part for word, part in getattr(field, "args", {}).items() if word in words
        }
        lines.append(f"  {name}{_arguments(arguments)}: {field.type}")
    word = "type" if isinstance(kind, GraphQLObjectType) else "input"
    return "\n".join([f"{word} {kind.name} {{", *lines, "}"])


def requests_of(vendor: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the documents and variables that a vendor's scenarios send."""
    bodies = [json.loads(as_bytes(exchange.request)) for exchange in exchanges_of(vendor)]
    return [(body["query"], body.get("variables", {})) for body in bodies]


def main(vendor: str, source: Path, target: Path) -> None:
    """Write the excerpt of a vendor's schema."""
    content = source.read_bytes()
    root = json.loads(gzip.decompress(content) if source.suffix == ".gz" else content)
    schema = build_client_schema(root.get("data", root), assume_valid=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(excerpt(schema, requests_of(vendor)), "utf-8")


if __name__ == "__main__":
    PARSER = tool_parser("graphql_excerpts", __doc__)
    PARSER.add_argument("vendor", metavar="VENDOR")
    PARSER.add_argument("schema", type=Path, metavar="SCHEMA")
    PARSER.add_argument("excerpt", type=Path, metavar="EXCERPT")
    OPTIONS = PARSER.parse_args()
    main(OPTIONS.vendor, OPTIONS.schema, OPTIONS.excerpt)
