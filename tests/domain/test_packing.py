"""Packing of plain values into bytes, and reading them back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData, Response
from moorage.domain.state.packing import _BINARY, _sized_header, pack_values, unpack_values
from moorage.testing.kits._state_commands import are_equal_values

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
    st.dates(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=20),
        st.lists(inner, max_size=20).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.booleans()), inner, max_size=20),
    ),
)

EDGES = [
    *(sign * 2**bits + by for bits in (5, 7, 8, 15, 16, 31, 32, 53, 63, 64) for sign in (1, -1)
      for by in (-1, 0, 1)),
    *("x" * size for size in (0, 31, 32, 255, 256, 65_535, 65_536)),
    *(b"x" * size for size in (0, 255, 256, 65_535, 65_536)),
    *((None,) * size for size in (0, 15, 16, 65_535, 65_536)),
    *([None] * size for size in (0, 255, 256, 65_536)),
    *(dict.fromkeys(range(size)) for size in (0, 15, 16, 65_535, 65_536)),
    "half a \ud800 pair",
    -0.0,
    float("inf"),
    datetime(2026, 11, 20, 9, 30, fold=1),  # noqa: DTZ001 - kept as naive as it is
    date(2026, 11, 20),
    Decimal("1.50"),
]  # fmt: skip


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values are equal, types included, at any depth."""
    if isinstance(one, list) and isinstance(other, list):
        return are_equal_values(tuple(one), tuple(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return is_same([*one.items()], [*other.items()])
    if isinstance(one, (tuple, list)) and type(one) is type(other):
        return len(one) == len(other) and all(map(is_same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.untraced
@given(st.lists(VALUES).map(tuple))
def test_values_round_trip(values: tuple[Any, ...]) -> None:
    """Packed values are read back with the same values and types."""
    assert is_same(unpack_values(pack_values(values)), values)


@pytest.mark.untraced
@pytest.mark.parametrize("value", EDGES, ids=lambda value: f"{type(value).__name__}-{value!r:.20}")
def test_values_at_size_limits_are_read_back_unchanged(value: object) -> None:
    """Values at the size limits of each encoding are read back unchanged."""
    assert is_same(unpack_values(pack_values((value, 1))), (value, 1))


@pytest.mark.parametrize(
    "value, packed",
    [
        (None, "c0"),
        (False, "c2"),
        (True, "c3"),
        (127, "7f"),
        (128, "cc80"),
        (256, "cd0100"),
        (65_536, "ce00010000"),
        (2**32, "cf0000000100000000"),
        (-32, "e0"),
        (-33, "d0df"),
        (-129, "d1ff7f"),
        (-32_769, "d2ffff7fff"),
        (-(2**31) - 1, "d3ffffffff7fffffff"),
        (-(2**63), "d38000000000000000"),
        (2**64, "c70902010000000000000000"),
        (-(2**63) - 1, "c70902ff7fffffffffffffff"),
        (2**71 - 1, "c709027fffffffffffffffff"),
        (1.5, "cb3ff8000000000000"),
        ("a", "a161"),
        ("a" * 32, "d920" + "61" * 32),
        (b"a", "c40161"),
        ((1, 2), "920102"),
        ({1: 2}, "810102"),
    ],
)
def test_packed_values_are_valid_messagepack(value: object, packed: str) -> None:
    """Packed values are valid MessagePack for any reader."""
    assert pack_values((value,)).hex() == packed


def test_packed_response_is_read_back_unchanged() -> None:
    """A packed response is read back with repeated header fields, their order and case."""
    headers = [("set-cookie", "a=1"), ("Set-Cookie", "b=2")]
    answer = Response(201, headers, b"\x00\xff", reason="Created", url="https://v/1", elapsed=0.25)
    (returned_value,) = unpack_values(pack_values((answer,)))
    assert returned_value == answer
    assert returned_value.headers.pairs == answer.headers.pairs


def test_named_tuple_is_read_back_as_a_tuple() -> None:
    """A packed named tuple is read back as a tuple."""

    class Point(NamedTuple):
        x: int

    assert unpack_values(pack_values((Point(1),))) == ((1,),)


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, [object()], {"a": object()}])
def test_other_types_are_refused(value: object) -> None:
    """The error for a value that cannot be packed names its type, at any depth."""
    with pytest.raises(InvalidData, match=r"A value of type (object|set|complex) cannot be stored"):
        pack_values((value,))


def test_too_long_values_are_refused() -> None:
    """A value beyond MessagePack's size limits cannot be packed."""
    with pytest.raises(InvalidData, match="A value is too long to be stored") as excinfo:
        _sized_header(_BINARY, 1 << 32)
    assert "value" == excinfo.value.field
    assert "Store a shorter value." == excinfo.value.remedy
    assert "c6ffffffff" == _sized_header(_BINARY, (1 << 32) - 1).hex()


def test_list_that_contains_itself_is_refused() -> None:
    """Packing a list that contains itself raises InvalidData."""
    endless_list: list[object] = []
    endless_list.append(endless_list)
    with pytest.raises(InvalidData, match="nested too deeply"):
        pack_values((endless_list,))


@given(st.binary(max_size=60))
def test_any_bytes_are_values_or_a_value_error(packed: bytes) -> None:
    """Reading any bytes returns values or raises ValueError."""
    try:
        unpack_values(packed)
    except ValueError:
        return


@pytest.mark.untraced
@given(st.lists(VALUES, min_size=1).map(tuple), st.data())
def test_truncated_bytes_raise_an_error(values: tuple[Any, ...], data: st.DataObject) -> None:
    """Packed values that were cut off raise ValueError or are read as the values before the cut."""
    packed_bytes = pack_values(values)
    cut_bytes = packed_bytes[: data.draw(st.integers(0, len(packed_bytes) - 1))]
    try:
        results = unpack_values(cut_bytes)
    except ValueError:
        return
    assert is_same(results, values[: len(results)])


@pytest.mark.parametrize(
    "packed",
    ["c1", "c4", "c402ff", "a2ff", "d9", "91", "9191", "81c0", "8190", "c700", "c70000", "c70105",
     "c70363616263", "c70563616263", "c7050667", "c1" * 50, "cb00", "cf00", "dd7fffffff",
     "91" * 5_000],
)  # fmt: skip
def test_garbage_is_a_value_error(packed: str) -> None:
    """Packed values with unknown codes, missing content or endless nesting raise ValueError."""
    with pytest.raises(ValueError, match="not values"):
        unpack_values(bytes.fromhex(packed))
