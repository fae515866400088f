"""The fingerprint by which a repeated request is recognised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage.domain.http.fingerprint import SAME_FINGERPRINT, digest, fingerprint
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


def _shuffle(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shuffle(value[key]) for key in reversed(value)}
    return [_shuffle(item) for item in value] if isinstance(value, list) else value


def _tag_with_type(value: object) -> object:
    """Return a value with its type, since Python considers 1, 1.0 and True equal."""
    if isinstance(value, dict):
        return {key: _tag_with_type(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tag_with_type(item) for item in value]
    return [type(value).__name__, repr(value)]


@given(values)
def test_layout_and_key_order_do_not_matter(value: Any) -> None:
    """JSON bodies that differ in key order, white space or escapes have the same fingerprint."""
    compact = json.dumps(value, separators=(",", ":"))
    spaced_text = json.dumps(_shuffle(value), indent=2, ensure_ascii=False)
    assert _json(compact) == _json(spaced_text)


@pytest.mark.parametrize("size, same", [(65_536, True), (65_537, False)])
def test_long_json_is_compared_by_bytes(size: int, same: bool) -> None:
    """Fingerprints compare JSON of up to 64 KiB by its values, and longer JSON by its bytes."""
    spaced_text = '{"a": "' + "x" * (size - 9) + '"}'
    compact = spaced_text.replace(" ", "")
    assert size == len(spaced_text)

    assert _json(spaced_text) == _json(spaced_text)
    assert same == (_json(spaced_text) == _json(compact + " " * (size - len(compact))))


@given(values, values)
def test_bodies_with_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    """JSON bodies whose values differ, even in type only, have different fingerprints."""
    assume(_tag_with_type(one) != _tag_with_type(other))
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
    """JSON bodies that differ in number format, repeated keys or syntax differ in fingerprint."""
    assert len(texts) == len({_json(text) for text in texts})


def test_other_content_types_are_compared_by_bytes() -> None:
    """A body without a JSON content type has a fingerprint of its bytes."""
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
def test_fingerprint_covers_each_part_of_a_request(other: Any) -> None:
    """A request's fingerprint covers method, path, query, content type and body."""
    request = Request.post("/x", query={"a": "1", "b": "2"}, body=b"y")
    assert fingerprint(request) != fingerprint(other)


def test_fingerprint_ignores_credentials_and_correlation_ids() -> None:
    """A request's fingerprint ignores credentials and correlation ids."""
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
    """A request's fingerprint is the same in every process and release."""
    request = Request.post("/x", query={"a": 1}, **body)
    assert digest == fingerprint(request).hex()


def test_streams_are_compared_by_length() -> None:
    """A replayable stream's fingerprint covers its length; other streams have no fingerprint."""
    by_length = {
        fingerprint(Request.put("/x", body=BodyStream.of(list, length=length)))
        for length in (1, 2, None)
    }
    assert 3 == len(by_length)
    with pytest.raises(InvalidData) as excinfo:
        fingerprint(Request.put("/x", body=iter([b"y"])))
    assert "body" == excinfo.value.field


def test_same_fingerprint_is_the_digest_of_no_parts() -> None:
    """The constant `SAME_FINGERPRINT` equals the digest that earlier releases computed."""
    assert digest([]) == SAME_FINGERPRINT
