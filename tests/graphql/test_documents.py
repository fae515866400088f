"""Parsing GraphQL documents as far as needed to find their operations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.domain.graphql.documents import GraphQLDocument, read_document

GOOD = [
    ("{ orders { id } }", "query", None),
    ("query { orders { id } }", "query", None),
    ("query Orders($first: Int = 3, $by: [By!]) @live { orders { id } }", "query", "Orders"),
    ('mutation Add { add(text: "}") { id } }', "mutation", "Add"),
    ('mutation { add(text: """ } "quoted" \\""" """) }', "mutation", None),
    ("subscription Changes { changed }", "subscription", "Changes"),
    (
        "# query Not { } \nquery Orders { orders { ...Part } } fragment Part on Order { id }",
        "query",
        "Orders",
    ),
    ("fragment Part on Order { id } query Orders { orders { ...Part } }", "query", "Orders"),
    ('"All of them" query Orders("from 0" $by: By) { orders { id } }', "query", "Orders"),
    (
        '"""The {first}"""\nmutation { add }\n"A part." fragment Part on Order { id }',
        "mutation",
        None,
    ),
    (
        "query Orders($filter: Filter = {open: true}) { orders(filter: $filter) { id } }",
        "query",
        "Orders",
    ),
]
BAD = [
    ("", "0 operations"),
    ("fragment Part on Order { id }", "0 operations"),
    ("{ a } { b }", "2 operations"),
    ("query A { a } query B { b }", "2 operations"),
    ('"Orders" "of today"', "0 operations"),
    ("query {", "not balanced"),
    ("query { a }}", "begins with '}'"),
    ("query Orders", "not balanced"),
    ("query Orders(", "not balanced"),
    ("orders { id }", "begins with 'orders'"),
    ('query { a(b: "open) }', "Line 1"),
    ("query {\n  ä\n}", "Line 2"),
    (None, "NoneType"),
]


@pytest.mark.parametrize("text, kind, name", GOOD)
def test_kind_and_name_of_the_only_operation_are_read(
    text: str, kind: str, name: str | None
) -> None:
    """The kind and the name of the only operation are found, despite any strings and comments."""
    assert GraphQLDocument(text, kind, name) == read_document(text)


@pytest.mark.parametrize("text, problem", BAD)
def test_text_without_exactly_one_operation_is_refused(text: str | None, problem: str) -> None:
    """A string without exactly one operation is refused; the error contains the reason."""
    with pytest.raises(InvalidData, match=problem) as excinfo:
        read_document(text)
    assert "document" == excinfo.value.field


@given(st.text(alphabet='{}()[]"\\#\n queryfragmentab$:!=@.,ä', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Any string is either parsed as a GraphQL document or refused with InvalidData."""
    try:
        document = read_document(text)
    except InvalidData:
        return
    assert document.kind in {"query", "mutation", "subscription"}
