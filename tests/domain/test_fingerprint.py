"""The fingerprint that tells whether two requests are the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage.domain.http.fingerprint import fingerprint
from moorage.domain.http.requests import BodyStream, Request
from moorage.errors import InvalidData

keys = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | keys,
    lambda children: st.lists(children) | st.dictionaries(keys, children),
    max_leaves=10,
)


def _json(text: str) -> bytes:
    return fingerprint(
        Request.post("/x", body=text.encode(), headers={"Content-Type": "application/json"})
    )


def _shuffled(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(value)}
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


def _tagged(value: object) -> object:
    """Distinguish values that Python considers equal: 1, 1.0 and True."""
    if isinstance(value, dict):
        return {key: _tagged(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    return [type(value).__name__, repr(value)]


@given(values)
def test_layout_and_key_order_do_not_matter(value: Any) -> None:
    """A JSON body written in another order, with white space and escapes, is the same request."""
    compact = json.dumps(value, separators=(",", ":"))
    airy = json.dumps(_shuffled(value), indent=2, ensure_ascii=False)
    assert _json(compact) == _json(airy)


@pytest.mark.parametrize("size, same", [(65_536, True), (65_537, False)])
def test_long_json_is_compared_by_bytes(size: int, same: bool) -> None:
    """JSON of up to 64 KiB is compared by its values, longer JSON by its bytes."""
    airy = '{"a": "' + "x" * (size - 9) + '"}'
    compact = airy.replace(" ", "")
    assert size == len(airy)

    assert _json(airy) == _json(airy)
    assert same == (_json(airy) == _json(compact + " " * (size - len(compact))))


@given(values, values)
def test_different_values_differ(one: Any, other: Any) -> None:
    """Bodies whose values differ, even in type only, have different fingerprints."""
    assume(_tagged(one) != _tagged(other))
    assert _json(json.dumps(one)) != _json(json.dumps(other))


@pytest.mark.parametrize(
    "texts",
    [
        ["1", "1.0", '"1"', "true", "1.00", "1e0", "[1]", '{"number":"1"}'],
        ['{"a":1}', '{"a":1,"a":1}', '{"a":2,"a":1}', '{"a":1,"a":2}'],
        ['{"a":1}', '{"object":{"a":1}}', '[{"a":1}]'],
        ["1e400", "2e400", "0.1", "0.1000000000000000055"],
        ["{", "[NaN]", "[Infinity]", "", "null", '""'],
        ["[NaN]", "[ NaN]", "[NaN ]"],
        ["[" * 100_000, "[" * 100_001],
        ["1" * 5_000, "1" * 5_001],
    ],
)
def test_different_requests_have_different_fingerprints(texts: list[str]) -> None:
    """Numbers count digit by digit; repeated keys, nonsense and depth count byte by byte."""
    assert len(texts) == len({_json(text) for text in texts})


def test_other_content_types_are_compared_by_bytes() -> None:
    """A body without a JSON content type is compared by its bytes."""
    prints = {
        fingerprint(Request.post("/x", body=body, headers={"Content-Type": "text/plain"}))
        for body in (b"{}", b"{ }")
    }
    assert 2 == len(prints)


@pytest.mark.parametrize(
    "other",
    [
        Request.put("/x", query={"a": "1", "b": "2"}, body=b"y"),
        Request.post("/y", query={"a": "1", "b": "2"}, body=b"y"),
        Request.post("/x", query={"b": "2", "a": "1"}, body=b"y"),
        Request.post("/x", query={"a": "1b", "2": ""}, body=b"y"),
        Request.post("/x", query={"a": "1"}, body=b"y"),
        Request.post("/x", query={"a": "1", "b": "2"}, body=b"z"),
        Request.post("/x", query={"a": "1", "b": "2"}, body=b"y", headers={"Content-Type": "a/b"}),
        Request.post("/x", query={"a": "1", "b": "2"}, body=lambda: iter([b"y"])),
    ],
)
def test_every_part_counts(other: Any) -> None:
    """Method, path, query and its order, type and body each make a difference."""
    request = Request.post("/x", query={"a": "1", "b": "2"}, body=b"y")
    assert fingerprint(request) != fingerprint(other)


def test_other_headers_are_ignored() -> None:
    """Credentials and correlation ids may differ between attempts of one request."""
    request = Request.get("/x")
    assert fingerprint(request) == fingerprint(request.with_header("Authorization", "z"))
    assert 32 == len(fingerprint(request))


@pytest.mark.parametrize(
    "body, digest",
    [
        ({"body": b"y"}, "f46ad3b719819e350e23104d3264b1b356782e41e71e1c29cd58ab84e17a1e4d"),
        (
            {"json": {"b": [1, 2.5, None], "a": {}}},
            "1c467cc77956f0d4d1bed719ddd6cd053e97d9ab7da89e8ee8295814efdf751d",
        ),
        (
            {"body": BodyStream.of(list, length=7)},
            "51058d3f616e9f4613ef18f97b68731303a9d9922f42fd6ad57ede4cc3d7ab44",
        ),
    ],
    ids=["raw", "json", "stream"],
)
def test_fingerprint_is_stable(body: dict[str, Any], digest: str) -> None:
    """The stored digest does not change between processes or releases."""
    request = Request.post("/x", query={"a": 1}, **body)
    assert digest == fingerprint(request).hex()


def test_streams_are_compared_by_length() -> None:
    """Replayable streams are compared by length; others have no fingerprint."""
    by_length = {
        fingerprint(Request.put("/x", body=BodyStream.of(list, length=length)))
        for length in (1, 2, None)
    }
    assert 3 == len(by_length)
    with pytest.raises(InvalidData) as excinfo:
        fingerprint(Request.put("/x", body=iter([b"y"])))
    assert "body" == excinfo.value.field
