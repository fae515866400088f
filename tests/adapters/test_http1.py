"""Encoding of HTTP/1.1 request heads, and incremental parsing of responses."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.adapters.http.messages._http1 import (
    Head,
    Limits,
    NotHttp,
    ResponseCutOff,
    ResponseReader,
    ResponseTooLarge,
    encode_head,
)
from moorage.domain.http.requests import BodyStream, Headers, Request
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS = Limits(head=2_000, fields=20, body=5_000)
OK = b"HTTP/1.1 200 OK\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def read_response(
    pieces: Iterable[bytes], *, to_head: bool = False, limits: Limits = LIMITS, ends: bool = True
) -> tuple[Head | None, bytes, bool, bool]:
    """Return a response's head and body, and whether it is complete and its connection reusable."""
    reader = ResponseReader(limits, to_head=to_head)
    body = b""
    for piece in pieces:
        reader.feed(piece)
        body += reader.take()
    if ends:
        reader.end()
    return reader.head, body, reader.done, reader.reusable


def outcome(pieces: Iterable[bytes], *, to_head: bool = False) -> object:
    """Return the result of reading a response, or its exception, for comparison."""
    try:
        return read_response(pieces, to_head=to_head)
    except (NotHttp, ResponseCutOff) as error:
        return type(error), str(error)


def cut_in_pieces(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Return the data cut into pieces at these positions."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def chunked_body(*chunks: bytes, trailers: bytes = b"") -> bytes:
    """Return a body in chunked encoding."""
    framed_bytes = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return framed_bytes + b"0\r\n" + trailers + b"\r\n"


# --- encoding of requests ----------------------------------------------------


def test_get_has_no_framing() -> None:
    """A GET request has the headers Host, User-Agent and Accept-Encoding, and no Content-Length."""
    expected = (
        b"GET /a?b=c HTTP/1.1\r\nHost: vat.example:8080\r\nUser-Agent: moorage\r\n"
        b"Accept-Encoding: gzip, deflate\r\n\r\n"
    )
    assert expected == encode_head(Request.get("/a"), "/a?b=c", "vat.example:8080")


def fields_of(request: Request) -> list[bytes]:
    """Return the header lines of the encoded request."""
    return encode_head(request, "/", "h").split(b"\r\n")[1:-2]


def test_fields_of_the_request_are_unchanged() -> None:
    """Request headers keep their case, order and repetition.

    Default values are added for missing headers.
    """
    custom_headers = [
        ("X-b", "1"),
        ("x-A", "2"),
        ("X-b", "ÿ"),
        ("user-agent", "me"),
        ("HOST", "other"),
    ]
    request = Request.get("/", headers=[*custom_headers, ("accept-encoding", "br")])

    expected = [f"{name}: {value}".encode("latin-1") for name, value in custom_headers]
    assert [*expected, b"accept-encoding: br"] == fields_of(request)


def test_range_requests_ask_for_identity() -> None:
    """A request with a Range header asks for no compression."""
    request = Request.get("/", headers={"Range": "bytes=0-9"})

    assert b"Accept-Encoding: identity" in fields_of(request)


@pytest.mark.parametrize(
    "request_, framing",
    [
        (Request.post("/", body=b"abc"), [b"Content-Length: 3"]),
        (Request.post("/"), [b"Content-Length: 0"]),
        (Request.put("/"), [b"Content-Length: 0"]),
        (Request.patch("/"), [b"Content-Length: 0"]),
        (Request.delete("/"), []),
        (Request.delete("/", body=b"x"), [b"Content-Length: 1"]),
        (Request.put("/", body=BodyStream.of(list, length=7)), [b"Content-Length: 7"]),
        (Request.put("/", body=BodyStream.of(list)), [b"Transfer-Encoding: chunked"]),
        (Request.post("/", body=b"abc", headers={"content-length": "3"}), [b"content-length: 3"]),
    ],
)
def test_request_of_known_length_is_sent_with_content_length(
    request_: Request, framing: list[bytes]
) -> None:
    """A request body of known length is sent with Content-Length.

    A body of unknown length is sent in chunks.
    """
    named_chunks = (b"content-length", b"transfer-encoding")

    assert framing == [
        line for line in fields_of(request_) if line.lower().startswith(named_chunks)
    ]


@pytest.mark.parametrize(
    "headers, body",
    [
        ({"Content-Length": "4"}, b"abc"),
        ({"Content-Length": "3, 3"}, b"abc"),
        ([("Content-Length", "3"), ("content-length", "3")], b"abc"),
        ({"Content-Length": "3"}, BodyStream.of(list)),
        ({"Transfer-Encoding": "chunked"}, BodyStream.of(list)),
    ],
)
def test_field_that_contradicts_the_body_is_refused(
    headers: dict[str, str], body: bytes | BodyStream
) -> None:
    """A Content-Length or Transfer-Encoding header that contradicts the request body is refused."""
    with pytest.raises(InvalidData, match="contradicts the body") as excinfo:
        encode_head(Request.post("/", headers=headers, body=body), "/", "h")

    assert excinfo.value.field in {"headers.Content-Length", "headers.Transfer-Encoding"}


# --- parsing of responses ----------------------------------------------------


@pytest.mark.parametrize(
    "answer, body, reusable",
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", b"abc", True),
        (OK + b"Content-Length: 0\r\n\r\n", b"", True),
        (OK + b"Content-Length: 3, 3\r\ncontent-length: 3\r\n\r\nabc", b"abc", True),
        (OK + b"Content-Length: 3\r\n\r\nabcd", b"abc", False),
        (OK + b"\r\nabc", b"abc", False),
        (OK + b"\r\n", b"", False),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n" + chunked_body(b"ab", b"c"), b"abc", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2 ;x=y\r\nab\r\n0\r\n\r\n", b"ab", True),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked_body(b"ab", trailers=b"X: y\r\n"),
            b"ab",
            True,
        ),
        (OK + b"Connection: x, Close\r\nContent-Length: 1\r\n\r\na", b"a", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", b"a", False),
        (b"HTTP/1.0 200\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na", b"a", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\nstray", b"", False),
        (EARLY + EARLY + OK + b"Content-Length: 1\r\n\r\na", b"a", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 1\n\na", b"a", True),
    ],
)
def test_length_headers_tell_where_the_body_ends(
    answer: bytes, body: bytes, reusable: bool
) -> None:
    """A response's length headers tell where its body ends and whether to reuse the connection."""
    head, received_bytes, is_finished, is_reusable = read_response([answer])

    assert (body, True, reusable) == (received_bytes, is_finished, is_reusable)
    assert head is not None


def test_response_to_head_has_no_body() -> None:
    """A response to a HEAD request has no body, whatever its headers announce."""
    answer = OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert (b"", True, True) == read_response([answer], to_head=True)[1:]


def test_response_headers_are_unchanged() -> None:
    """A response's headers keep their order, repetition and Latin-1 characters."""
    answer = (
        b"HTTP/1.1 299 B\xe4 d\r\nX-b: 1\r\nSet-Cookie: a\r\nset-cookie:b \r\nEmpty:\r\n"
        b"Folded: one\r\n \t two\r\n\t\xa0three\r\nKeep-Alive: max=3, timeout=5\r\n\r\n"
    )
    pairs = (
        ("X-b", "1"),
        ("Set-Cookie", "a"),
        ("set-cookie", "b"),
        ("Empty", ""),
        ("Folded", "one two \xa0three"),
        ("Keep-Alive", "max=3, timeout=5"),
    )
    head = read_response([answer])[0]

    assert Head(299, "Bä d", Headers(pairs), 5.0) == head
    assert head is not None
    assert pairs == head.headers.pairs


@pytest.mark.parametrize(
    "answer, words",
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is not HTTP/1.1"),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "is not HTTP/1.1"),
        (b"HTTP/2 200\r\n\r\n", "is not HTTP/1.1"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 020 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 O\x00K\r\n\r\n", "status line"),
        (b"HTTP/1.1 200OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "another protocol"),
        (OK + b"no colon\r\n\r\n", "header field"),
        (OK + b"Name : x\r\n\r\n", "header field"),
        (OK + b": x\r\n\r\n", "header field"),
        (OK + b" folded: x\r\n\r\n", "header field"),
        (OK + b"A: x\ry\r\n\r\n", "header field"),
        (OK + b"A: x\r\n \ry\r\n\r\n", "header field"),
        (OK + b"A: x\x00y\r\n\r\n", "header field"),
        (OK + b"A: x\r\r\n\r\n", "header field"),
        (OK + b"Content-Length: 3, 4\r\n\r\n", "contradict"),
        (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", "contradict"),
        (OK + b"Content-Length: -3\r\n\r\n", "contradict"),
        (OK + b"Content-Length: +3\r\n\r\n", "contradict"),
        (OK + b"Content-Length: 3 3\r\n\r\n", "contradict"),
        (OK + b"Content-Length: \xb2\r\n\r\n", "contradict"),
        (OK + b"Content-Length:\r\n\r\n", "contradict"),
        (OK + b"Content-Length: 3,\r\n\r\n", "contradict"),
        (OK + b"Content-Length: 9999999999999999999\r\n\r\n", "contradict"),
        (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "ambiguous"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "ambiguous"),
        (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", "ambiguous"),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "ambiguous"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\n", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;\x00\r\n", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 2_000, "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\nx", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nbad\r\n\r\n", "header field"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\n\r\n", "header field"),
    ],
)
def test_ambiguous_responses_are_refused(answer: bytes, words: str) -> None:
    """A response that two parsers could read differently is refused."""
    with pytest.raises(NotHttp, match=words) as excinfo:
        read_response([answer + b"\r\n"], ends=False)

    assert not isinstance(excinfo.value, ResponseTooLarge)


@pytest.mark.parametrize(
    "answer, words",
    [
        (b"HTTP/1.1 200 " + b"x" * 2_000, "a head of more than 2000 bytes"),
        (OK + b"A: b\r\n" * 21 + b"\r\n", "more than 20 header fields"),
        (EARLY * 60, "a head of more than 2000 bytes"),
        (EARLY * 30 + OK + b"A: " + b"x" * 900 + b"\r\n\r\n", "a head of more than 2000"),
        (OK + b"Content-Length: 5001\r\n\r\n", "a body of more than 5000 bytes"),
        (OK + b"\r\n" + b"x" * 5_001, "a body of more than 5000 bytes"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1389\r\n", "a body of more than 5000"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1_000, ""),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 400,
            "trailers of more than 2000 bytes",
        ),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 21 + b"\r\n",
            "more than 20 header fields",
        ),
    ],
)
def test_oversized_responses_are_refused(answer: bytes, words: str) -> None:
    """Each part of a response has a size limit; announced sizes are also checked."""
    if not words:
        assert not read_response([answer], ends=False)[2]
        return
    with pytest.raises(ResponseTooLarge, match=words):
        read_response([answer], ends=False)


def test_body_without_limit_is_read() -> None:
    """With `body=None` in the limits, a response body may have any size."""
    limits = Limits(head=2_000, fields=20, body=None)

    assert b"x" * 9_000 == read_response([OK + b"\r\n" + b"x" * 9_000], limits=limits)[1]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTT",
        OK,
        EARLY,
        OK + b"Content-Length: 3\r\n\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
    ],
)
def test_early_end_is_noticed(answer: bytes) -> None:
    """A connection that ends before its response is complete raises CutOff."""
    with pytest.raises(ResponseCutOff):
        read_response([answer])


def test_response_reader_is_silent_until_the_first_byte() -> None:
    """A response reader's `silent` is true until the first byte arrives."""
    reader = ResponseReader(LIMITS, to_head=False)
    assert reader.silent

    reader.feed(EARLY)
    assert not reader.silent


# --- responses in pieces -----------------------------------------------------

names = st.sampled_from(["A", "b-C", "X_1", "connection", "Keep-Alive"])
values = st.text(st.sampled_from("ab \t,=;1é"), max_size=12)
headers = st.lists(st.tuples(names, values), max_size=5).map(
    lambda pairs: "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")
)
bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=4)
framings = st.sampled_from(["length", "chunked", "close"])


@st.composite
def valid_responses(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """Draw valid responses, each with its header lines and its body."""
    fields, chunks, framing = draw(headers), draw(bodies), draw(framings)
    body = b"".join(chunks)
    status = b"HTTP/1.1 %d Reason\r\n" % draw(st.sampled_from([200, 201, 404, 500]))
    start = EARLY * draw(st.integers(0, 2)) + status + fields
    if framing == "length":
        return start + b"Content-Length: %d\r\n\r\n" % len(body) + body, fields, body
    if framing == "chunked":
        trailers = draw(headers)
        sent_bytes = chunked_body(*chunks, trailers=trailers)
        return start + b"Transfer-Encoding: chunked\r\n\r\n" + sent_bytes, fields, body
    return start + b"\r\n" + body, fields, body


cuts = st.lists(st.integers(0, 1_000), max_size=12)


@given(valid_responses(), cuts)
def test_response_round_trip(answer: tuple[bytes, bytes, bytes], places: list[int]) -> None:
    """Any valid response, divided into any pieces, is read back as it was written."""
    sent_bytes, fields, body = answer
    head, received_bytes, is_finished, _ = read_response(cut_in_pieces(sent_bytes, places))

    assert (body, True) == (received_bytes, is_finished)
    assert head is not None
    custom_headers = [line.split(":", 1) for line in fields.decode("latin-1").split("\r\n")[:-1]]
    assert [(name, value.strip(" \t")) for name, value in custom_headers] == [
        pair
        for pair in head.headers.pairs
        if pair[0] not in {"Content-Length", "Transfer-Encoding"}
    ]


@st.composite
def broken_responses(draw: st.DrawFn) -> bytes:
    """Draw responses in which something was changed, left out or inserted."""
    sent_bytes, _, _ = draw(valid_responses())
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(sent_bytes)))
        end = start + draw(st.integers(0, 3))
        put = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\0", b"0", b":", b"x" * 40])
        )
        sent_bytes = sent_bytes[:start] + put * draw(st.integers(1, 60)) + sent_bytes[end:]
    return sent_bytes


@given(broken_responses(), cuts, st.booleans())
@example(OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 1_022 + b"\r\n", [1_070], False)
@example(OK + b"A: " + b"x" * (2_000 - len(OK) - 7) + b"\r\n\r\n", [1_999], False)
@example(OK + b"A: " + b"x" * (2_001 - len(OK) - 7) + b"\r\n\r\n", [2_000], False)
def test_pieces_do_not_change_the_result(sent: bytes, places: list[int], to_head: bool) -> None:
    """A response is parsed equally whether it arrives whole, in chunks, or byte by byte."""
    whole_outcome = outcome([sent], to_head=to_head)

    assert whole_outcome == outcome(cut_in_pieces(sent, places), to_head=to_head)
    assert whole_outcome == outcome((bytes([byte]) for byte in sent), to_head=to_head)


@given(st.binary(max_size=200), cuts)
def test_arbitrary_bytes_raise_only_own_errors(sent: bytes, places: list[int]) -> None:
    """Arbitrary bytes are read as a response, refused as not HTTP, or reported as cut off."""
    outcome(cut_in_pieces(OK + sent, places))
    outcome(cut_in_pieces(OK + b"Transfer-Encoding: chunked\r\n\r\n" + sent, places))


@pytest.mark.parametrize(
    "status, reason, fields, words",
    [
        (200, "OK", [("A", "x" * 2_000)], "head of more than 2000 bytes"),
        (200, "OK", [("A", "x")] * 21, "more than 20 header fields"),
        (200, "OK", [("A", "x\r\nB: y")], "malformed header field"),
        (200, "O\nK", [], "malformed status line"),
        (99, "", [], "malformed status line"),
        (101, "", [("Upgrade", "x")], "switches to another protocol"),
        (200, "OK", [("Content-Length", "2"), ("Content-Length", "3")], "contradictory"),
    ],
)
def test_parsed_head_has_the_same_limits(
    status: int, reason: str, fields: list[tuple[str, str]], words: str
) -> None:
    """A response head that another library parsed is refused for the same reasons as raw bytes."""
    with pytest.raises(NotHttp, match=words):
        ResponseReader(LIMITS, to_head=False).begin(status, reason, fields)
