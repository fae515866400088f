"""Writing JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import encode_json, refuse_constant
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
    """JSON values are read back unchanged."""
    assert value == json.loads(encode_json(value))


def test_json_is_compact_utf8() -> None:
    """JSON is sent without white space, in unescaped UTF-8."""
    assert '{"a":[1,"ü"]}'.encode() == encode_json({"a": [1, "ü"]})


def _endless() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), Decimal(1), Secret("x"), "\ud800", {1, 2}, _endless(), b""]
)
def test_unencodable_values_are_refused(value: Any) -> None:
    """A value that JSON cannot hold is refused by field name, without the value."""
    with pytest.raises(InvalidData) as caught:
        encode_json(value)
    assert "json" == caught.value.field


def test_nan_is_not_json() -> None:
    """The constants that Python's parser accepts beyond JSON are refused."""
    with pytest.raises(ValueError, match="NaN"):
        json.loads("[NaN]", parse_constant=refuse_constant)


@pytest.mark.parametrize(
    "value, error", [(Decimal(1), "TypeError"), ("\ud800", "UnicodeEncodeError")]
)
def test_error_names_pythons_error_class(value: object, error: str) -> None:
    """The error names Python's error class, and quotes nothing."""
    with pytest.raises(InvalidData) as caught:
        encode_json(value)
    assert f"The value cannot be written as JSON ({error})." == caught.value.message
