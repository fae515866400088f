"""Encoding of URL query parameters."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.query import as_pairs, encode_pairs
from moorage.errors import InvalidData

texts = st.text(st.characters(codec="utf-8"))


class Mode(StrEnum):
    """A subclass of str."""

    RED = "red"


@given(st.lists(st.tuples(texts, texts)))
def test_query_round_trip(pairs: list[tuple[str, str]]) -> None:
    """Encoded query parameters decode to the same pairs in order, and are ASCII."""
    encoded_text = encode_pairs(as_pairs(pairs, "query"))
    assert pairs == parse_qsl(
        encoded_text, keep_blank_values=True, strict_parsing=bool(encoded_text)
    )
    assert encoded_text.isascii()
    assert encoded_text.isprintable()
    assert " " not in encoded_text


@pytest.mark.parametrize(
    "given_, expected",
    [
        (None, ()),
        ({}, ()),
        ({"a": "1", "b": None, "c": 0}, (("a", "1"), ("c", "0"))),
        ({"a": [1, None, "x"], "b": ()}, (("a", "1"), ("a", "x"))),
        ({"a": True, "b": False}, (("a", "true"), ("b", "false"))),
        ([("a", 1), ("a", Mode.RED)], (("a", "1"), ("a", "red"))),
    ],
)
def test_values_become_text(given_: Any, expected: Any) -> None:
    """In a query, None is dropped, a list repeats the name, and booleans are in lower case."""
    actual = as_pairs(given_, "query")
    assert expected == actual
    assert {str} >= {type(text) for pair in actual for text in pair}


@pytest.mark.parametrize(
    "given_, field",
    [
        ({"a": 1.5}, "query.a"),
        ({"a": {"b": 1}}, "query.a"),
        ({"a": b"x"}, "query.a"),
        ({"a": [["x"]]}, "query.a"),
        ({"a": "\ud800"}, "query.a"),
        ({None: "x"}, "query"),
        ("a=1", "query"),
        ([("a", 1, 2)], "query"),
        (5, "query"),
    ],
)
def test_ambiguous_values_are_refused(given_: Any, field: str) -> None:
    """Floats, nested values and unsupported types raise an error that names the parameter."""
    with pytest.raises(InvalidData) as excinfo:
        as_pairs(given_, "query")
    assert field == excinfo.value.field


def test_error_names_the_values_type() -> None:
    """The error for an invalid query value names its type."""
    with pytest.raises(InvalidData, match=r"in query\.a is of type float"):
        as_pairs({"a": 1.5}, "query")  # type: ignore[arg-type]  # what the test is about


def test_a_space_is_percent_encoded() -> None:
    """In a query, all but unreserved characters are percent-encoded, as signatures demand."""
    assert "a%20b=%2F%2B~c" == encode_pairs((("a b", "/+~c"),))
