"""Fingerprints that compare bytes before computing a digest, and copies of plain values."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.fingerprint import fingerprint, request_fingerprint
from moorage.domain.http.requests import Request
from moorage.domain.idempotency.claims import Claim, Verdict, store_answer
from moorage.domain.idempotency.payload import compared_payload, payload_fingerprint
from moorage.domain.values.fingerprints import LONGEST_KEPT, Fingerprint, digest_of
from moorage.domain.values.plain import DEEPEST, copy_function, is_plain
from moorage.errors import InvalidData
from tests.domain.state_store import StateStore

KEYS = st.text(max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from([0.0, 1.0, 1.5]) | KEYS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=3),
    max_leaves=4,
)
LAYOUTS: list[dict[str, Any]] = [
    {"separators": (",", ":")},
    {},
    {"indent": 1},
    {"separators": (",", ":"), "ensure_ascii": False},
    {"sort_keys": True},
]
BODIES = st.builds(
    lambda value, layout: json.dumps(value, **layout).encode(), VALUES, st.sampled_from(LAYOUTS)
) | st.sampled_from([b"", b"{", b"[NaN]", b'{"a":1,"a":1}', b"[1.00]", b"[-0]", b"[1e0]", b"\xff"])
REQUESTS = st.builds(
    lambda method, path, body, kind: Request(
        method, path, query={"a": "1"}, body=body, headers={"Content-Type": kind}
    ),
    st.sampled_from(["POST", "PUT"]),
    st.sampled_from(["/a", "/b"]),
    BODIES,
    st.sampled_from(["application/json", "text/plain"]),
)
PAYLOADS = (
    VALUES
    | st.binary(max_size=2)
    | st.tuples(VALUES, VALUES)
    | st.sampled_from([Decimal("1.0"), Decimal("1.00"), {"a": Decimal(1)}])
)


class Number(IntEnum):
    """An integer of a class derived from int."""

    ONE = 1


@given(REQUESTS, REQUESTS)
def test_comparing_two_requests_by_their_bytes_gives_same_result_as_by_their_digests(
    one: Request, other: Request
) -> None:
    """Comparing two requests by their bytes has the same result as by their digests."""
    alike = fingerprint(one) == fingerprint(other)
    assert alike == (request_fingerprint(one) == request_fingerprint(other))
    assert alike == (request_fingerprint(one) == fingerprint(other))
    assert alike == (fingerprint(one) == request_fingerprint(other))


@given(PAYLOADS, PAYLOADS)
def test_comparing_two_payloads_by_their_bytes_gives_same_result_as_by_their_digests(
    one: Any, other: Any
) -> None:
    """Comparing two payloads by their bytes has the same result as by their digests."""
    alike = payload_fingerprint(one) == payload_fingerprint(other)
    assert alike == (compared_payload(one) == compared_payload(other))
    assert alike == (compared_payload(one) == payload_fingerprint(other))


def test_equal_bytes_are_not_digested() -> None:
    """If two requests have equal bytes, their digests are not computed."""
    calls: list[bytes] = []

    def digested_bytes(content: bytes) -> bytes:
        calls.append(content)
        return content.lower()

    first, repeat, other_fingerprint = (
        Fingerprint(text, digested_bytes) for text in (b"a", b"a", b"A")
    )
    assert first == repeat
    assert [] == calls
    assert first == other_fingerprint
    assert [b"a", b"A"] == calls
    assert hash(first) == hash(other_fingerprint)
    assert [b"a", b"x"] == [digest_of(first), digest_of(b"x")]
    assert first != Fingerprint(b"b", digested_bytes)
    assert first != "a"
    assert "<Fingerprint>" == repr(first)


def test_long_content_is_not_kept() -> None:
    """Long or streamed request content is digested at once, and not kept in memory."""
    longest = Request.post("/a", body=b"x" * LONGEST_KEPT)
    assert isinstance(request_fingerprint(longest), Fingerprint)
    longer_request = Request.post("/a", body=b"x" * (LONGEST_KEPT + 1))
    assert fingerprint(longer_request) == request_fingerprint(longer_request)
    assert isinstance(request_fingerprint(longer_request), bytes)
    stream = Request.post("/a", body=lambda: iter([b"x"]))
    assert isinstance(request_fingerprint(stream), bytes)
    for payload in ("x" * LONGEST_KEPT, Decimal(1), Number.ONE):
        assert payload_fingerprint(payload) == compared_payload(payload)
        assert isinstance(compared_payload(payload), bytes)


@pytest.mark.parametrize("payload", [{1: "a"}, {"a": {2}}, object(), bytearray(b"a")])
def test_payloads_that_cannot_be_compared_are_refused_at_once(payload: object) -> None:
    """A payload without a fingerprint is refused at the first call already."""
    with pytest.raises(InvalidData, match="cannot be compared"):
        compared_payload(payload)


def test_repeated_request_that_differs_in_white_space_is_replayed() -> None:
    """A repeated request that differs only in white space is replayed.

    Other content raises a conflict.
    """
    store = StateStore()

    def claim(body: bytes) -> Claim:
        request = Request.post("/a", body=body, headers={"Content-Type": "application/json"})
        return Claim(
            "key",
            fingerprint=request_fingerprint(request),
            owner=1,
            lease=9,
            ttl=99,
            target="",
            remembered=0,
        )

    claim_answer = store.execute(claim(b'{"a":1}'))
    store.execute(store_answer("key", claim_answer.fence, "answer", ttl=99))
    verdicts = [
        store.execute(claim(body)).verdict for body in (b'{"a":1}', b'{ "a": 1 }', b'{"a":2}')
    ]
    assert [Verdict.REPLAY, Verdict.REPLAY, Verdict.CONFLICT] == verdicts


def nested_lists(levels: int) -> list[Any]:
    """Return lists nested this many levels deep."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value, plain",
    [
        (1, True),
        ({"a": [1, (b"", 1.0, None, True)]}, True),
        (nested_lists(DEEPEST), True),
        (nested_lists(DEEPEST + 1), False),
        ({1: 2}, False),
        ([{"a": Number.ONE}], False),
        ({"a": ({1},)}, False),
    ],
)
def test_value_of_plain_types_only_is_plain(value: object, plain: bool) -> None:
    """A value is plain if it consists of plain types only, up to a maximum depth."""
    assert plain == is_plain(value)


def test_value_that_contains_itself_is_not_plain() -> None:
    """A value that contains itself does not count as plain, but is still copied."""
    value: list[Any] = [1]
    value.append(value)
    assert not is_plain(value)
    copied_list = copy_function(copy.deepcopy)(value)
    assert copied_list[1] is copied_list
    assert copied_list is not value


@given(PAYLOADS)
def test_copies_are_those_of_deepcopy(value: Any) -> None:
    """A copy of a plain value equals the copy that `deepcopy` makes, in types and order too."""
    assert repr(copy.deepcopy(value)) == repr(copy_function(copy.deepcopy)(value))


def test_copies_share_what_the_value_shares() -> None:
    """If a value contains the same object twice, its copy contains the same copy twice."""
    part = {"a": [1]}
    copied_list = copy_function(copy.deepcopy)([part, part])
    assert copied_list[0] is copied_list[1]
    assert copied_list[0] is not part
    assert [part, part] == copied_list
