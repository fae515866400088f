"""Values, names and keys in OData URLs."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData, ODataEnum, odata_field
from moorage.domain.odata.literals import arguments, key_path, literal
from tests.support.odata_server import Condition

GUID = UUID("0f0e0d0c-0b0a-0908-0706-050403020100")

NAIVE = datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (-7, "-7"),
        (1.5, "1.5"),
        (float("nan"), "NaN"),
        (float("inf"), "INF"),
        (Decimal("-Infinity"), "-INF"),
        (Decimal("sNaN"), "NaN"),
        (Decimal("1E+400"), "1" + "0" * 400),
        (Decimal("1.10"), "1.10"),
        (Decimal("1E+2"), "100"),
        (Decimal("1E-10"), "0.0000000001"),
        ("O'Brien", "'O''Brien'"),
        (b"\xff\xfe", "binary'__4='"),
        (GUID, str(GUID)),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4, 5), "03:04:05"),
        (timedelta(days=-1, microseconds=500_000), "duration'-PT86399.500000S'"),
        (timedelta(hours=2), "duration'PT7200S'"),
        (ODataEnum("Sales.Status", "Open,Paid"), "Sales.Status'Open,Paid'"),
    ],
)
def test_value_of_each_type_is_written_as_its_odata_literal(value: Any, text: str) -> None:
    """A value of each type is written as its OData literal."""
    assert text == literal(value)


@pytest.mark.parametrize("value", [object(), [1], {"a": 1}, "\ud800", NAIVE, Decimal("1E+2000")])
def test_value_that_odata_cannot_represent_is_refused(value: Any) -> None:
    """A value that OData cannot represent is refused; the error contains its field."""
    with pytest.raises(InvalidData) as excinfo:
        literal(value, "Name")
    assert "Name" == excinfo.value.field


@pytest.mark.parametrize("type_name, member", [("a b", "c"), ("a", "c'"), ("a", 3)])
def test_enumeration_whose_type_or_member_is_not_valid_name_is_refused(
    type_name: str, member: Any
) -> None:
    """An enumeration whose type or member is not a valid name is refused."""
    with pytest.raises(InvalidData):
        ODataEnum(type_name, member)


@pytest.mark.parametrize(
    "key, path",
    [
        (7, "(7)"),
        ("a'b/c)", "('a''b%2Fc%29')"),
        ({"A": 1, "B": "x,C=2"}, "(A=1,B='x%2CC%3D2')"),
        (GUID, f"({GUID})"),
    ],
)
def test_entity_key_is_one_literal_or_named_literals(key: Any, path: str) -> None:
    """An entity key of one or several values cannot break out of its parentheses in the URL."""
    assert path == key_path(key)


@pytest.mark.parametrize("key", [{}, {"A B": 1}, {"A": []}, object()])
def test_key_without_properties_or_with_invalid_names_is_refused(key: Any) -> None:
    """A key without properties, or with an invalid name or value, is refused."""
    with pytest.raises(InvalidData):
        key_path(key)


@given(st.text())
def test_independent_parser_reads_back_same_text_from_its_odata_literal(text: str) -> None:
    """An independent parser reads back the same text from its OData literal."""
    assert unquote(arguments({"P": text}, "key")) == f"P={literal(text)}"
    assert Condition(odata_field("P").eq(text).text, {"P": text}).holds()
    assert not Condition(odata_field("P").ne(text).text, {"P": text}).holds()


@pytest.mark.parametrize(
    "operator, expected",
    [("eq", False), ("ne", True), ("gt", True), ("ge", True), ("lt", False), ("le", False)],
)
def test_each_comparison_operator_of_field_gives_its_own_odata_condition(
    operator: str, expected: bool
) -> None:
    """Each comparison operator of a field has its own OData condition."""
    condition = getattr(odata_field("P"), operator)(3)
    assert expected == Condition(condition.text, {"P": 4}).holds()


def test_conditions_can_search_texts_and_list_values() -> None:
    """Conditions can search strings and list values, and unknown operators are refused."""
    name = odata_field("P")
    for condition in (name.contains("b"), name.startswith("a"), name.endswith("c")):
        assert Condition(condition.text, {"P": "abc"}).holds()
    assert Condition(name.is_in([1, 2]).text, {"P": 2}).holds()
    with pytest.raises(InvalidData, match=r"list of values .* is empty"):
        name.is_in([])
    with pytest.raises(InvalidData, match="operator is not an OData operator"):
        name.compare("or", 1)
