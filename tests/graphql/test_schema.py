"""Checking GraphQL documents against the service's schema before they are sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from graphql import build_schema, introspection_from_schema

from moorage import ConfigurationError, GraphQL, GraphQLSchema, InvalidData
from tests.support.modules import uninstall

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SDL = """
type Order { id: ID! name: String }
type Query { orders(first: Int): [Order] }
type Mutation { add(id: ID!): Order }
"""
GOOD = "query Orders($first: Int) { orders(first: $first) { id name } }"
INTROSPECTION: Any = introspection_from_schema(build_schema(SDL))


@pytest.fixture(params=["sdl", "introspection", "answer", "file.graphql", "file.json"])
def schema(request: pytest.FixtureRequest, tmp_path: Path) -> GraphQLSchema:
    """Return the same schema from each kind of source."""
    if request.param == "sdl":
        return GraphQLSchema.from_sdl(SDL)
    if request.param == "introspection":
        return GraphQLSchema.from_introspection(INTROSPECTION)
    if request.param == "answer":
        return GraphQLSchema.from_introspection({"data": INTROSPECTION})
    file = tmp_path / request.param
    file.write_text(SDL if file.suffix == ".graphql" else json.dumps(INTROSPECTION), "utf-8")
    return GraphQLSchema.from_file(file)


def test_document_that_fits_the_schema_becomes_a_reusable_operation(schema: GraphQLSchema) -> None:
    """A document that fits the schema becomes an operation that can be used repeatedly."""
    shop = GraphQL("/graphql", schema=schema)
    names = [shop.query(GOOD).name for _ in range(2)]

    assert ["Orders", "Orders"] == names
    assert "Add" == shop.mutation("mutation Add { add(id: 1) { id } }").name


@pytest.mark.parametrize(
    "document, message",
    [
        ("{\n  orders { naem }\n}", "Line 2, column 12: Cannot query field 'naem' on type 'Order'"),
        ("query A { orders(last: 1) { id } }", "Line 1, column 18: Unknown argument 'last'"),
        ("query A { orders(: ) { id } }", "Line 1, column 18: Syntax Error"),
        (
            "{ a: aa b: bb c: cc d: dd e: ee f: ff g: gg }",
            r"Line 1, column 27: Cannot query field 'ee' on type 'Query'\. There are 2 more\.",
        ),
    ],
)
def test_document_that_does_not_fit_the_schema_is_refused(
    schema: GraphQLSchema, document: str, message: str
) -> None:
    """A document that does not fit the schema is refused.

    The error lists each problem's place and reason.
    """
    shop = GraphQL("/graphql", schema=schema)
    make: Any = shop.query
    for _ in range(2):
        with pytest.raises(InvalidData, match=message) as excinfo:
            make(document)
        assert "Correct the document" in (excinfo.value.remedy or "")


def test_input_that_is_not_a_schema_is_refused(tmp_path: Path) -> None:
    """Strings, introspection results and files that describe no schema are refused."""
    (tmp_path / "broken.json").write_text("{", "utf-8")
    (tmp_path / "list.json").write_text("[]", "utf-8")
    wrong_schema: Any = {"__schema": 5}
    cases: list[tuple[Callable[[], GraphQLSchema], str]] = [
        (lambda: GraphQLSchema.from_sdl("type Query {"), "the text is not valid"),
        (lambda: GraphQLSchema.from_sdl("type Query { a: Nothing }"), "Nothing"),
        (lambda: GraphQLSchema.from_sdl("type Order { id: ID }"), "Query root type"),
        (lambda: GraphQLSchema.from_introspection(wrong_schema), "introspection is not valid"),
        (lambda: GraphQLSchema.from_introspection({}), "introspection is not valid"),
        (lambda: GraphQLSchema.from_file(tmp_path / "list.json"), "list.json is not valid"),
        (lambda: GraphQLSchema.from_file(tmp_path / "broken.json"), "cannot be read"),
        (lambda: GraphQLSchema.from_file(tmp_path / "missing.graphql"), "FileNotFoundError"),
    ]
    for make, message in cases:
        with pytest.raises(ConfigurationError, match=message):
            make()


def test_number_of_remembered_documents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of checked documents that are kept in memory is limited."""
    monkeypatch.setattr("moorage.adapters.graphql.schema._MOST_DOCUMENTS", 100)
    schema = GraphQLSchema.from_sdl(SDL)
    for number in range(101):
        schema.check(f"{{ field_{number}: orders {{ id }} }}")
    assert 100 == len(schema._accepted)  # noqa: SLF001 - nobody else sees it


def test_without_graphql_core_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without graphql-core, the error states which extra to install."""
    uninstall(monkeypatch, "graphql")
    with pytest.raises(ConfigurationError, match="not installed") as excinfo:
        GraphQLSchema.from_sdl(SDL)

    assert "[graphql]" in (excinfo.value.remedy or "")
