"""The fingerprint of an idempotent function's arguments."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from itertools import combinations
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.idempotency.payload import payload_fingerprint
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.money import Money
from moorage.errors import InvalidData


class Mode(Enum):
    """An enumeration."""

    RED = "red"
    BLUE = "blue"


class WordEnum(StrEnum):
    """An enumeration of strings."""

    RED = "red"


class Number(IntEnum):
    """An enumeration of numbers."""

    ONE = 1


class UnprintableNumber(int):
    """A number whose conversion to text fails with an error that quotes its value."""

    def __repr__(self) -> str:
        raise ValueError("hunter2")


@attrs.frozen
class Item:
    """A class with two fields."""

    sku: str
    count: int = 1


@attrs.frozen
class Twin:
    """Another class with the same fields."""

    sku: str
    count: int = 1


DIFFERENT = [
    None,
    True,
    False,
    0,
    1,
    1.0,
    "1",
    "",
    "true",
    "null",
    b"1",
    b"",
    "b'1'",
    [],
    [1],
    [[1]],
    ["int", "1"],
    ["list"],
    {},
    {"1": 1},
    {"a": 1, "b": 2},
    {"a": 2, "b": 1},
    [1, 2],
    [2, 1],
    math.nan,
    math.inf,
    0.0,
    -0.0,
    1e300,
    10**30,
    Decimal(1),
    Decimal("1.0"),
    date(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1),  # noqa: DTZ001 - it differs from the aware one
    time(1, 2),
    "2026-01-01",
    UUID(int=1),
    Mode.RED,
    Mode.BLUE,
    WordEnum.RED,
    Number.ONE,
    Item("a"),
    Item("a", 2),
    Twin("a"),
    Money("1.00", "EUR"),
    Money("1.00", "USD"),
    "\ud800",
]


def test_different_payloads_have_different_fingerprints() -> None:
    """Payloads that look alike, such as 1, 1.0, "1" and True, have different fingerprints."""
    for first, second in combinations(DIFFERENT, 2):
        assert payload_fingerprint(first) != payload_fingerprint(second), (first, second)


@pytest.mark.parametrize(
    "one, other",
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1, "b": 1}, {"b": 1, "a": 1}),
        ({"a": {"c": 1, "b": 2}}, OrderedDict(a={"b": 2, "c": 1})),
        ([1, 2], (1, 2)),
        (WordEnum.RED, "red"),
        (Item("a"), Item(sku="a", count=1)),
        (math.nan, float("nan")),
    ],
)
def test_equal_payloads_have_equal_fingerprints(one: Any, other: Any) -> None:
    """A payload's fingerprint ignores the order of dict keys and the type of a sequence."""
    assert payload_fingerprint(one) == payload_fingerprint(other)
    assert 32 == len(payload_fingerprint(one))


def self_containing_list() -> list[Any]:
    """Return a list that contains itself."""
    payload: list[Any] = []
    payload.append(payload)
    return payload


@pytest.mark.parametrize(
    "payload",
    [
        object(),
        {1, 2},
        {1: "a"},
        {"a": object()},
        [lambda: 1],
        Secret("hunter2"),
        1j,
        self_containing_list(),
        UnprintableNumber(),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_payload_without_a_fingerprint_is_refused(payload: Any) -> None:
    """A payload without a fingerprint is refused; the error has a remedy, and not the payload."""
    with pytest.raises(InvalidData) as excinfo:
        payload_fingerprint(payload)

    assert "payload" == excinfo.value.field
    assert type(payload).__name__ in excinfo.value.message
    assert "JSON" in excinfo.value.remedy
    assert "hunter2" not in str(excinfo.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def are_equal_payloads(one: Any, other: Any) -> bool:
    """Return whether two payloads are equal, types included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(are_equal_payloads, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            are_equal_payloads(one[name], other[name]) for name in one
        )
    return repr(one) == repr(other)


@given(JSON, JSON)
def test_fingerprints_are_equal_only_for_equal_payloads(one: Any, other: Any) -> None:
    """Two payloads share a fingerprint if and only if they are equal."""
    assert are_equal_payloads(one, other) == (
        payload_fingerprint(one) == payload_fingerprint(other)
    )


class Shop:
    """A class that JSON cannot hold."""


@pytest.mark.parametrize(
    "payload, what", [([[1, Shop()], {}], "Shop"), ({"a": {7: 1}}, "key of type int")]
)
def test_error_names_the_incomparable_type(payload: Any, what: str) -> None:
    """The error for a payload without a fingerprint names the type, at any depth."""
    with pytest.raises(InvalidData, match=f"it holds a {what}"):
        payload_fingerprint(payload)


@pytest.mark.parametrize(
    "payload", [UnprintableNumber(), self_containing_list()], ids=["loud", "deep"]
)
def test_other_errors_are_not_quoted(payload: Any) -> None:
    """The error for a payload does not quote another error, because that may show a value."""
    with pytest.raises(InvalidData) as excinfo:
        payload_fingerprint(payload)

    assert excinfo.value.message.endswith("cannot be compared with a later one.")


def test_fingerprints_are_stable() -> None:
    """Payload fingerprints are a stored format that new versions keep."""
    payload = {"b": [1, 2.5, None, True], "a": b"\x01", "c": Money("1.00", "EUR")}

    assert (
        "494b40a5fc6956a1f1caa27935c8a8becb2b5a9176d7e28faf623c7b8035c8e4"
        == payload_fingerprint(payload).hex()
    )


def test_fingerprint_of_our_values_does_not_depend_on_their_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A moorage class may move to another module without changing the fingerprint of its values."""
    own_amount, local_item = Money("1.00", "EUR"), Item("a")
    previous_chunks = [payload_fingerprint(value) for value in (own_amount, local_item)]
    monkeypatch.setattr(Money, "__module__", "moorage.elsewhere")
    monkeypatch.setattr(Item, "__module__", "elsewhere")

    assert previous_chunks[0] == payload_fingerprint(own_amount)
    assert previous_chunks[1] != payload_fingerprint(local_item)
