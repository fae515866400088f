"""Reading and writing JSON text."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import decode_json, encode_json, refuse_constant
from moorage.errors import InvalidData

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda children: st.lists(children) | st.dictionaries(
        st.text(st.characters(codec="utf-8")), children
    ),
)  # fmt: skip


@given(values)
def test_json_round_trip(value: Any) -> None:
    """JSON values that were written are read back unchanged."""
    assert value == json.loads(encode_json(value))


@given(
    values,
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    st.text(" \t\r\n", max_size=3),
    st.text(" \t\r\n", max_size=3),
)
def test_json_is_read_in_every_encoding(value: Any, encoding: str, before: str, after: str) -> None:
    """JSON is parsed in each encoding that the standard allows, with white space around it."""
    text = before + json.dumps(value) + after
    assert value == decode_json(text.encode(encoding))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b"[", b"{}x", b"[] []", b'{"a":1}\xc2\xa0', b"[1,]", b"[nul]", b"[NaN]"),
        *(b'["\xff"]', b"<html>", b'{"a" 1}', b'"a', b"{}\x00", b"[" * 200_000),
    ],
)
def test_other_text_is_not_read_as_json(body: bytes) -> None:
    """Text that is cut off, continues after the JSON, or is not JSON is refused."""
    with pytest.raises((ValueError, RecursionError)):
        decode_json(body)


def test_json_is_compact_utf8() -> None:
    """JSON is written without white space, in unescaped UTF-8."""
    assert '{"a":[1,"ü"]}'.encode() == encode_json({"a": [1, "ü"]})


def _endless() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), Decimal(1), Secret("x"), "\ud800", {1, 2}, _endless(), b""]
)
def test_unencodable_values_are_refused(value: Any) -> None:
    """The error for a value that JSON cannot hold has the field's name, and not the value."""
    with pytest.raises(InvalidData) as excinfo:
        encode_json(value)
    assert "json" == excinfo.value.field


def test_nan_is_not_json() -> None:
    """NaN and Infinity are refused as JSON, even though Python's parser accepts them."""
    with pytest.raises(ValueError, match="NaN"):
        json.loads("[NaN]", parse_constant=refuse_constant)


@pytest.mark.parametrize(
    "value, error", [(Decimal(1), "TypeError"), ("\ud800", "UnicodeEncodeError")]
)
def test_error_names_pythons_error_class(value: object, error: str) -> None:
    """The error for invalid JSON names Python's error class, and quotes nothing."""
    with pytest.raises(InvalidData) as excinfo:
        encode_json(value)
    assert f"The value cannot be written as JSON ({error})." == excinfo.value.message
