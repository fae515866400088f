"""Reading vendors' responses: missing or unexpected values become None without an error."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from moorage import Money, Response, VendorFailed
from moorage.vendor_sdk import (
    Answer,
    as_answer,
    as_decimal,
    as_minor,
    as_money,
    as_time,
    malformed,
    read_answer,
    read_answers,
    required_objects,
)

BODY: dict[str, Any] = {
    "text": "words",
    "half": "a\ud800",
    "empty": "",
    "number": 7,
    "digits": "12",
    "yes": True,
    "no": "FALSE",
    "price": "0.0750",
    "float": 0.1,
    "inner": {"deep": {"name": "x"}, "list": [{"n": 1}, "s", {"n": 2}]},
    "texts": ["a", 1, "b"],
    "at": "2031-05-06T07:08:09Z",
    "null": None,
}
MALFORMED_BODIES = (b"", b"[", b"[]", b"null", b"1", b'"a"', b"<html>", b"\xff")
NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize("body", MALFORMED_BODIES, ids=repr)
def test_missing_object_is_malformed(body: bytes) -> None:
    """A successful response that must be a JSON object and is not one is malformed."""
    with pytest.raises(VendorFailed) as excinfo:
        read_answer(Response(200, body=body))

    assert not excinfo.value.retryable
    assert 200 == excinfo.value.status


@pytest.mark.parametrize("body", [b"{}", b"", b"1", b"nonsense"], ids=repr)
def test_missing_list_is_malformed(body: bytes) -> None:
    """A successful response that must be a JSON list and is not one is malformed."""
    with pytest.raises(VendorFailed):
        read_answers(Response(200, body=body))


def test_list_is_of_objects() -> None:
    """Entries of a JSON list that are not JSON objects are skipped."""
    results = read_answers(Response(200, body=b'[{"a": 1}, 2, null, {"a": 3}]'))

    assert [1, 3] == [result.integer("a") for result in results]


@pytest.mark.parametrize("inner", [{}, {"n": None}, {"n": {}}, {"n": [{}, 1]}, {"n": "x"}])
def test_required_list_has_only_objects(inner: dict[str, Any]) -> None:
    """A list that a response must have is malformed if it is missing, or has other entries."""
    response = Response(200, body=b"{}")
    with pytest.raises(VendorFailed, match=r"no inner\.n"):
        required_objects(as_answer({"inner": inner}), "inner.n", response)
    assert [] == required_objects(as_answer({"n": []}), "n", response)


def test_object_is_read() -> None:
    """A response's object gives access to its fields, and its repr does not show their values."""
    assert "1" == read_answer(Response(200, body=b'{"a": 1}')).text("a")
    assert not as_answer(None)
    assert as_answer({"a": 1})
    assert "<Answer of 1 fields>" == repr(as_answer({"secret": 1}))


def test_error_names_the_missing_field() -> None:
    """If a success lacks a field that it must have, the error names the field."""
    assert "has no sid" in str(malformed(Response(201), "sid"))


@pytest.mark.parametrize(
    "method, path, expected",
    [
        ("value", "inner.deep.name", "x"),
        ("value", "inner.list.0.n", 1),
        ("value", "inner.list.9", None),
        ("value", "inner.list.n", None),
        ("value", "text.deep", None),
        ("text", "text", "words"),
        ("text", "empty", None),
        ("text", "number", "7"),
        ("text", "half", "a?"),
        ("text", "yes", None),
        ("text", "inner", None),
        ("integer", "number", 7),
        ("integer", "digits", 12),
        ("integer", "text", None),
        ("integer", "yes", None),
        ("integer", "float", None),
        ("flag", "yes", True),
        ("flag", "no", False),
        ("flag", "text", None),
        ("flag", "number", None),
        ("decimal", "price", Decimal("0.0750")),
        ("texts", "texts", ("a", "b")),
        ("texts", "text", ()),
        ("time", "at", datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("time", "null", None),
    ],
)
def test_fields_are_read_by_type(method: str, path: str, expected: object) -> None:
    """A field of a response is read as the wanted type, or as None."""
    assert expected == getattr(Answer(BODY), method)(path)


def test_nested_objects_are_read() -> None:
    """Objects nested in a response are read in turn; values that are not objects are skipped."""
    body = Answer(BODY)

    assert "x" == body.object("inner.deep").text("name")
    assert not body.object("text")
    assert [1, 2] == [item.integer("n") for item in body.objects("inner.list")]
    assert [] == [*body.objects("inner")]


@pytest.mark.parametrize(
    "value, expected",
    [
        ("12.50", Decimal("12.50")),
        ("-0.00750", Decimal("-0.00750")),
        ("+1", Decimal(1)),
        (7, Decimal(7)),
        (0.1, Decimal("0.1")),
        (5e-05, Decimal("0.00005")),
        (Decimal("1.10"), Decimal("1.10")),
        (True, None),
        (None, None),
        ("", None),
        ("1,5", None),
        ("NaN", None),
        (math.inf, None),
        ("1e999", None),
        ("9" * 25, None),
        ([1], None),
    ],
)
def test_number_is_exact(value: object, expected: Decimal | None) -> None:
    """A number in a response keeps all its digits."""
    assert expected == as_decimal(value)


@pytest.mark.parametrize(
    "amount, currency, expected",
    [
        ("12.50", "eur", Money("12.50", "EUR")),
        ("0.333", "EUR", None),
        ("12.50", "XXQ", None),
        ("12.50", None, None),
        ("a", "EUR", None),
    ],
)
def test_amount_is_read_as_money(amount: object, currency: object, expected: Money | None) -> None:
    """An amount in a response is read as money only if it is valid in its currency."""
    assert expected == as_money(amount, currency)


@pytest.mark.parametrize(
    "amount, currency, expected",
    [
        (1250, "eur", Money("12.50", "EUR")),
        (500, "JPY", Money(500, "JPY")),
        (True, "EUR", None),
        ("1250", "EUR", None),
        (1250, None, None),
        (1250, "XXQ", None),
    ],
)
def test_amount_in_minor_units_is_converted_by_decimals_of_its_currency(
    amount: object, currency: object, expected: Money | None
) -> None:
    """An amount in minor units is converted by the decimals of its currency."""
    assert expected == as_minor(amount, currency)


@pytest.mark.parametrize(
    "value, expected",
    [
        ("2031-05-06T12:00:00Z", NOON),
        ("2031-05-06T14:00:00+02:00", NOON),
        ("2031-05-06 12:00:00", NOON),
        ("Tue, 06 May 2031 12:00:00 +0000", NOON),
        (int(NOON.timestamp()), NOON),
        (NOON.timestamp(), NOON),
        (str(int(NOON.timestamp())), NOON),
        ("2031", None),
        ("yesterday", None),
        ("", None),
        ("2" * 65, None),
        ("9" * 30, None),
        ("0001-01-01T00:00:00+14:00", None),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        (10**30, None),
        (math.nan, None),
        ("9999-12-31T23:59:59-14:00", None),
        (True, None),
        (None, None),
    ],
    ids=ascii,
)
def test_times_are_read(value: object, expected: datetime | None) -> None:
    """Times in each format that vendors use are read and converted to UTC."""
    result = as_time(value)

    assert expected == result
    assert result is None or timedelta(0) == result.utcoffset()
