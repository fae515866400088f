"""Multipart forms with files, read back by the standard library's parser."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.body import BodyStream
from moorage.domain.http.fingerprint import fingerprint
from moorage.domain.http.multipart import FormFile
from moorage.domain.http.requests import Request
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ESCAPED = {"%22": '"', "%5C": "\\", "%0D": "\r", "%0A": "\n"}
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="%"))
CONTENTS = st.lists(st.binary(max_size=40))


def unescape(text: object) -> str | None:
    """Return a name without the escaping that browsers use."""
    if text is None:
        return None
    escaped_name = str(text)
    for escape, letter in ESCAPED.items():
        escaped_name = escaped_name.replace(escape, letter)
    return escaped_name


def body_bytes(request: Request) -> bytes:
    """Return the bytes of a body that streams synchronously or asynchronously."""
    if isinstance(request.body, bytes):
        return request.body
    chunks = request.body.open()
    if isinstance(chunks, Iterator):
        return b"".join(chunks)
    async_chunks = chunks

    async def collect_chunks() -> list[bytes]:
        return [chunk async for chunk in async_chunks]

    return b"".join(asyncio.run(collect_chunks()))


def read_parts(request: Request) -> list[tuple[str | None, str | None, str | None, bytes]]:
    """Return each part's name, file name, type and content, as the standard library reads them."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + body_bytes(request))
    parts = cast("list[Message]", message.get_payload())
    results: list[tuple[str | None, str | None, str | None, bytes]] = []
    for part in parts:
        raw_disposition = dict(part.raw_items())["Content-Disposition"]
        disposition = Message()  # with a header of letters, where the parser has kept bytes
        disposition["Content-Type"] = raw_disposition.encode("ascii", "surrogateescape").decode()
        name, filename = (unescape(disposition.get_param(key)) for key in ("name", "filename"))
        content = cast("bytes", part.get_payload(decode=True))
        results.append((name, filename, part["content-type"], content))
    return results


def stream_opener(*chunks: bytes) -> Callable[[], Iterator[bytes]]:
    """Return a function that opens a body of these chunks."""
    return lambda: iter(chunks)


def async_opener(*chunks: bytes) -> Callable[[], AsyncIterator[bytes]]:
    """Return an asynchronous function that opens a body of the same chunks."""

    async def yield_chunks() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return yield_chunks


@pytest.mark.parametrize("method", [Request.post, Request.put, Request.patch])
def test_multipart_form_has_its_fields_before_its_files(method: Callable[..., Request]) -> None:
    """A multipart form has its fields first and then its files, each with name and type."""
    request = method(
        "/documents",
        form={"kind": "invoice", "tag": ["a", "ü"]},
        files={"file": FormFile("R-1.pdf", b"%PDF", "application/pdf"), "raw": FormFile("x", b"")},
    )

    assert [
        ("kind", None, None, b"invoice"),
        ("tag", None, None, b"a"),
        ("tag", None, None, "ü".encode()),
        ("file", "R-1.pdf", "application/pdf", b"%PDF"),
        ("raw", "x", "application/octet-stream", b""),
    ] == read_parts(request)
    assert isinstance(request.body, bytes)
    assert ["Content-Type"] == [name for name, _ in request.headers.pairs]


def test_files_of_one_name_are_sent_in_order() -> None:
    """Several files of one name in a form are sent in order."""
    files = [("page", FormFile("1", b"one")), ("page", FormFile("2", b"two"))]

    assert [("page", "1", b"one"), ("page", "2", b"two")] == [
        (name, filename, content)
        for name, filename, _, content in read_parts(Request.post("/", files=files))
    ]


@given(
    fields=st.lists(st.tuples(NAMES, st.text())), files=st.lists(st.tuples(NAMES, NAMES, CONTENTS))
)
def test_form_round_trip(
    fields: list[tuple[str, str]], files: list[tuple[str, str, list[bytes]]]
) -> None:
    """The standard library finds exactly the parts of a multipart form of bytes or streams."""
    fields = [(name, value.encode("utf-8", "replace").decode()) for name, value in fields]
    expected = [
        *((name, None, value.encode()) for name, value in fields),
        *((name, filename, b"".join(chunks)) for name, filename, chunks in files),
    ]
    if not expected:
        return
    for open_ in (
        b"".join,
        lambda chunks: stream_opener(*chunks),
        lambda chunks: async_opener(*chunks),
    ):
        request = Request.post(
            "/",
            form=fields,
            files=[(name, FormFile(filename, open_(chunks))) for name, filename, chunks in files],
        )
        results = [(name, filename, content) for name, filename, _, content in read_parts(request)]
        assert expected == results


@pytest.mark.parametrize(
    "text", ['a"; filename="b', "a\\", 'a\\"', "a\r\nX: y", "a\r\n\r\nb", "a\n"]
)
def test_special_characters_in_names_add_no_fields(text: str) -> None:
    """Quotes, backslashes and line breaks in a form's names do not add fields."""
    request = Request.post("/", form={text: "v"}, files={text: FormFile(text, b"c")})

    assert [(text, None, None, b"v"), (text, text, "application/octet-stream", b"c")] == read_parts(
        request
    )
    assert 4 + 5 + 1 == body_bytes(request).count(b"\r\n")


@pytest.mark.parametrize(
    "make",
    [
        lambda: FormFile("a\0", b""),
        lambda: FormFile("a\x7f", b""),
        lambda: FormFile("\ud800", b""),
        lambda: FormFile(cast("str", None), b""),
        lambda: FormFile("a", cast("bytes", "text")),
        lambda: FormFile("a", b"", "text/plain\r\nX: y"),
        lambda: FormFile("a", b"", cast("str", None)),
        lambda: Request.post("/", files={"a\0": FormFile("a", b"")}),
        lambda: Request.post("/", form={"a\t": "b"}, files={}),
        lambda: Request.post("/", files=cast("Any", {"a": b"bytes"})),
        lambda: Request.post("/", files=cast("Any", [FormFile("a", b"")])),
        lambda: Request.post("/", files=cast("Any", 7)),
        lambda: Request.post("/", files={}, body=b"x"),
        lambda: Request.post("/", files={}, json={}, form={}),
        lambda: Request.post("/", files={}, headers={"Content-Type": "multipart/form-data"}),
    ],
)
def test_invalid_forms_are_refused(make: Callable[[], object]) -> None:
    """A form's name, content type or file that cannot be sent is refused."""
    with pytest.raises(InvalidData):
        make()


# --- length and replay of a form ---------------------------------------------


def test_form_length_needs_every_files_length() -> None:
    """A multipart form has a known length only if every file has one."""
    entry = FormFile("a", BodyStream.of(stream_opener(b"12", b"345"), length=5))
    unknown_file = FormFile("b", stream_opener(b"x"))
    request = Request.post("/", form={"a": "b"}, files={"known": entry})
    assert isinstance(request.body, BodyStream)
    assert len(body_bytes(request)) == request.body.length

    other_request = Request.post("/", files={"known": entry, "unknown": unknown_file})
    assert isinstance(other_request.body, BodyStream)
    assert None is other_request.body.length


def test_a_form_is_replayable_if_each_file_is() -> None:
    """A multipart form can be sent again only if each file can be opened again."""
    repeated_request = Request.post("/", files={"a": FormFile("a", stream_opener(b"x"))})
    first_request = Request.post("/", files={"a": FormFile("a", io.BytesIO(b"x"))})

    assert repeated_request.replayable
    assert body_bytes(repeated_request) == body_bytes(repeated_request)
    assert not first_request.replayable
    body_bytes(first_request)
    with pytest.raises(InvalidData, match="already been read"):
        body_bytes(first_request)


def test_streams_of_both_modes_go_together() -> None:
    """A form with one asynchronous file is streamed asynchronously."""
    files = {"a": FormFile("a", async_opener(b"one")), "b": FormFile("b", io.BytesIO(b"two"))}

    assert [b"one", b"two"] == [
        content for *_, content in read_parts(Request.post("/", files=files))
    ]


# --- the boundary ------------------------------------------------------------


def test_equal_forms_have_equal_fingerprints() -> None:
    """Equal multipart forms have the same fingerprint.

    Another content, name or order changes the fingerprint.
    """

    def form(content: bytes = b"x", filename: str = "a", name: str = "n", kind: str = "t") -> bytes:
        request = Request.post("/", form={"k": kind}, files={name: FormFile(filename, content)})
        return fingerprint(request)

    assert form() == form()
    other_chunks = {form(), form(b"y"), form(filename="b"), form(name="m"), form(kind="u")}
    assert 5 == len(other_chunks)


def test_fingerprint_depends_on_stream_length() -> None:
    """A file stream's length changes a form's fingerprint, and a stream differs from bytes."""

    def form(content: Any) -> bytes:
        request = Request.post("/", files={"n": FormFile("a", content)})
        return fingerprint(request)

    def stream(length: int | None) -> BodyStream:
        return BodyStream.of(stream_opener(b"x"), length=length)

    assert 4 == len({form(stream(1)), form(stream(2)), form(stream(None)), form(b"1")})
    assert form(stream(1)) == form(stream(1))


def test_boundary_depends_on_every_part() -> None:
    """Another name or content of any part changes a multipart form's boundary."""

    def boundary(first: str, content: Any) -> str:
        files = {"n": FormFile("a", content)}
        content_type = Request.post("/", form={"k": first}, files=files).headers["content-type"]
        result = re.fullmatch(r"multipart/form-data; boundary=(moorage-[0-9a-f]{40})", content_type)
        assert result is not None
        return result[1]

    streams = [BodyStream.of(stream_opener(b"x"), length=length) for length in (None, 1, 2)]
    boundaries = {boundary(first, content) for first in "st" for content in (b"x", b"y", *streams)}

    assert 10 == len(boundaries)


def test_invalid_content_type_is_refused() -> None:
    """A form file's content type that no header can hold is refused."""
    with pytest.raises(InvalidData, match="the header 'Content-Type'"):
        FormFile("a", b"", "text/plain\r\nX: y")


@given(cut=st.integers(0, 60), padding=st.binary(max_size=99))
def test_stream_with_the_boundary_is_refused(cut: int, padding: bytes) -> None:
    """Sending a file stream that contains the form's boundary raises an error."""
    boundary = Request.post("/", files={"n": FormFile("a", stream_opener())}).headers[
        "content-type"
    ]
    attack = b"\r\n--" + boundary.partition("boundary=")[2].encode() + b"\r\nContent-Disposition: x"
    whole_bytes = padding + attack
    for source in (
        stream_opener(whole_bytes[:cut], whole_bytes[cut:]),
        async_opener(whole_bytes[:cut], b"", whole_bytes[cut:]),
        stream_opener(*(bytes([byte]) for byte in whole_bytes)),
    ):
        request = Request.post("/", files={"n": FormFile("a", source)})
        with pytest.raises(InvalidData, match="boundary"):
            body_bytes(request)


def test_repr_hides_file_content() -> None:
    """The repr of a form's file does not show its content."""
    assert "h1dden" not in repr(FormFile("a", b"h1dden"))
