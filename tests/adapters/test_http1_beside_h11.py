"""Compares moorage's HTTP/1 response reader with h11's, and lists each difference with its reason.

Responses are built from valid and doubtful parts, and then a byte or two is changed. Most of them
are therefore almost valid, which is where readers differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.http.messages._http1 import Limits, NotHttp, ResponseCutOff, ResponseReader
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterable

Parsed: TypeAlias = "tuple[int, list[tuple[str, str]], bytes]"
"""Status, fields with names in lower case, and body."""

LIMITS: Final = Limits(head=20_000, fields=200, body=None)

STRICTER: Final = {
    "is not HTTP/1.1": "h11 reads any version as 1.1; what HTTP/2.0 says here would be a guess",
    "has a malformed status line": "a reason with a control character ends up in logs",
    "has a malformed header field": "so does a value; RFC 9110, 5.5 calls these characters invalid",
    "has ambiguous headers about the length of its body": "a proxy may take another end, and hand"
    " us the rest as the next response: a length beside chunks, or chunks in HTTP/1.0 (RFC 9112,"
    " 6.1)",
    "has a malformed chunk": "a control character in a chunk's extension",
}
"""The reasons for which we refuse what h11 accepts, with why."""

LOOSER: Final = (
    "Only Transfer-Encoding: chunked is supported",
    "bad Content-Length",
    "conflicting Content-Length headers",
    "multiple Transfer-Encoding headers",
)
"""h11's reasons to refuse what we accept: all of responses without a body.

No response to HEAD has one, and none with 204 or 304, whatever its fields say. Some servers get
these wrong, and nothing follows that could be read in two ways.
"""

EXAMPLES: Final = {
    "is not HTTP/1.1": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "has a malformed status line": b"HTTP/1.1 200 O\x7fK\r\nContent-Length: 0\r\n\r\n",
    "has a malformed header field": b"HTTP/1.1 200 OK\r\nA: \x01\r\nContent-Length: 0\r\n\r\n",
    "has ambiguous headers about the length of its body": b"HTTP/1.1 200 OK\r\n"
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "has a malformed chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;\x01\r\n"
    b"abc\r\n0\r\n\r\n",
}

STATUS_LINES: Final = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 299\r\n",
    b"HTTP/1.1 500 \r\n",
    b"HTTP/1.1 404 Not\tFound \xe4\r\n",
    b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 304 Not Modified\r\n",
    b"HTTP/1.1 200 OK\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 101 Switching\r\n",
    b"HTTP/1.1 099 OK\r\n",
    b"\r\nHTTP/1.1 200 OK\r\n",
    b"HTTP/2.0 200 OK\r\n",
)
FIELDS: Final = (
    b"Content-Type: text/plain\r\n",
    b"Set-Cookie:a=b \r\n",
    b"set-cookie: c\t\r\n",
    b"Empty:\r\n",
    b"Folded: one\r\n \t two\r\n\tthree\r\n",
    b"Latin: \xe9\xff\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, X\r\n",
    b"Bare: x\n",
    b"Space : x\r\n",
    b"NoColon\r\n",
    b": x\r\n",
    b"Control: a\x01b\r\n",
    b"Null: a\x00b\r\n",
    b"Return: a\rb\r\n",
    b"X-(Y): z\r\n",
)
FRAMINGS: Final = (
    b"",
    b"Content-Length: 3\r\n",
    b"Content-Length: 3\r\ncontent-length:3\r\n",
    b"Content-Length: 3, 3\r\n",
    b"Content-Length: 3, 4\r\n",
    b"Content-Length: 3\r\nContent-Length: 4\r\n",
    b"Content-Length: +3\r\n",
    b"Content-Length: 03\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 9999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: Chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
)
BODIES: Final = (
    b"",
    b"ab",
    b"abc",
    b"abcd",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    b"3;x=y\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n00\r\n\r\n",
    b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
    b"3\r\nabc\r\n0\r\nNo trailer\r\n\r\n",
    b"3\nabc\n0\n\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"-3\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n",
)
CHANGES: Final = (
    b"",
    b"\r\n",
    *(bytes([code]) for code in b"\r\n\t :,;+-01x\x00\x0b\x1f\x7f\x85\xa0"),
)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Draw responses that are valid, or almost valid."""
    fields = draw(st.lists(st.sampled_from(FIELDS), max_size=3))
    parts = [draw(st.sampled_from(STATUS_LINES)), *fields, draw(st.sampled_from(FRAMINGS))]
    response = bytearray(b"".join(parts) + b"\r\n" + draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(response) - 1))
        response[place : place + draw(st.integers(0, 1))] = draw(st.sampled_from(CHANGES))
    return bytes(response)


def read_with_moorage(response: bytes, method: str) -> Parsed | str:
    """Return the response as moorage's reader parses it, or the reason for a refusal."""
    reader = ResponseReader(LIMITS, to_head=method == "HEAD")
    try:
        reader.feed(response)
        reader.end()
    except NotHttp as error:
        return str(error)
    except ResponseCutOff:
        return "is cut off"
    assert reader.head is not None
    head = reader.head
    return head.status, _comparable(head.headers.pairs), reader.take()


def read_with_h11(response: bytes, method: str) -> Parsed | str:
    """Return the response as h11 parses it, or the reason why h11 refuses it."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "vendor.example")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(response)
    connection.receive_data(b"")
    body = b""
    head: h11.Response | None = None
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif not isinstance(event, h11.InformationalResponse):
                return f"is not finished: {event}"
    except h11.RemoteProtocolError as error:
        return str(error)
    assert head is not None
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
    return head.status_code, _comparable(fields), body


def _comparable(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return header fields in a form in which fields of the same meaning are equal.

    The h11 reader drops a repeated Content-Length, and lowercases Transfer-Encoding.
    """
    fields: list[tuple[str, str]] = []
    lengths = 0
    for spelling, value in pairs:
        name = spelling.lower()
        if name == "content-length":
            lengths += 1
            if lengths == 1:
                fields.append((name, value.partition(",")[0]))
        else:
            fields.append((name, value.lower() if name == "transfer-encoding" else value))
    return fields


def check(response: bytes, method: str) -> None:
    """Check that moorage's reader and h11 agree, or that their difference is a listed one."""
    result, h11_result = read_with_moorage(response, method), read_with_h11(response, method)
    if isinstance(result, str):
        assert isinstance(h11_result, str) or result in STRICTER
    elif isinstance(h11_result, str):
        assert h11_result in LOOSER
        assert method == "HEAD" or result[0] in {204, 304}
    else:
        assert h11_result == result


@pytest.mark.untraced
@pytest.mark.parametrize("status_line", STATUS_LINES)
def test_combinations_of_parts_are_read_alike(status_line: bytes) -> None:
    """Moorage's reader and h11 agree on each combination of body framing, header field and body."""
    heads = [status_line + framing for framing in FRAMINGS] + [
        status_line + field + b"Content-Length: 3\r\n" for field in FIELDS
    ]
    for head in heads:
        for body in BODIES:
            for method in ("GET", "HEAD"):
                check(head + b"\r\n" + body, method)


@examples(500)
@given(responses(), st.sampled_from(["GET", "HEAD"]))
def test_damaged_responses_are_read_alike(response: bytes, method: str) -> None:
    """If one byte changes, moorage's parser and h11 read the same response, or both refuse it."""
    check(response, method)


@pytest.mark.parametrize("reason", STRICTER)
def test_each_stricter_refusal_has_an_example(reason: str) -> None:
    """For each reason why only moorage refuses a response, an example exists that h11 accepts."""
    response = EXAMPLES[reason]

    assert reason == read_with_moorage(response, "GET")
    assert 200 == read_with_h11(response, "GET")[0]
