"""Request bodies: allowed types, and which can be sent twice."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from moorage.domain.http.body import BodyStream, as_body
from moorage.errors import InvalidData

CONTENT = b"0123456789" * 10_000


def generate() -> Iterator[bytes]:
    """Yield two chunks of a body."""
    yield b"a"
    yield b"b"


async def generate_async() -> AsyncIterator[bytes]:
    """Yield one chunk of a body asynchronously."""
    yield b"a"


class AsyncFile:
    """A file with an asynchronous iterator."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return generate_async()

    async def read(self, size: int) -> bytes:
        """Raise an error, because the chunks must be iterated."""
        raise AssertionError


def stream_of(source: Any) -> BodyStream:
    """Return the stream for a body source."""
    stream = as_body(source)
    assert isinstance(stream, BodyStream)
    return stream


def read_chunks(stream: BodyStream) -> list[bytes]:
    """Return the chunks of a synchronous stream."""
    chunks = stream.open()
    assert isinstance(chunks, Iterator)
    return list(chunks)


@pytest.mark.parametrize(
    "given_, expected",
    [(b"x", b"x"), (None, b""), (bytearray(b"x"), b"x"), (memoryview(b"x"), b"x")],
)
def test_bytes_of_every_kind_are_bytes(given_: Any, expected: Any) -> None:
    """A bytes-like request body becomes bytes, and None becomes an empty body."""
    assert expected == as_body(given_)
    assert bytes is type(as_body(given_))


@pytest.mark.parametrize("make", [generate, lambda: iter([b"a", b"b"]), lambda: io.BytesIO(b"ab")])
def test_iterator_generator_and_open_file_are_read_once(make: Callable[[], Any]) -> None:
    """A body that is an iterator, a generator or an open file can be read once.

    A second read raises an error.
    """
    stream = stream_of(make())
    assert not stream.replayable
    assert b"ab" == b"".join(read_chunks(stream))
    with pytest.raises(InvalidData) as excinfo:
        stream.open()
    assert "body" == excinfo.value.field


@pytest.mark.parametrize(
    "opener", [generate, lambda: [b"a", b"b"], lambda: io.BytesIO(b"ab"), lambda: (b"ab",)]
)
def test_function_that_opens_a_body_is_replayable(opener: Callable[[], Any]) -> None:
    """A function that opens a body streams it from the start each time."""
    stream = stream_of(opener)
    assert stream.replayable
    assert b"ab" == b"".join(read_chunks(stream)) == b"".join(read_chunks(stream))


@pytest.mark.parametrize("make", [generate_async, AsyncFile])
def test_async_sources_give_async_chunks(make: Callable[[], Any]) -> None:
    """An asynchronous body is read through an asynchronous iterator of chunks."""
    chunks = stream_of(make()).open()
    assert isinstance(chunks, AsyncIterator)
    with pytest.raises(StopIteration) as stopped_excinfo:
        anext(chunks).__await__().send(None)
    assert b"a" == stopped_excinfo.value.value


def test_files_are_read_in_pieces() -> None:
    """A large file as a body is never read into memory as a whole."""
    chunks = read_chunks(stream_of(io.BytesIO(CONTENT)))
    assert CONTENT == b"".join(chunks)
    assert 1 < len(chunks)


@pytest.mark.parametrize("source", ["text", {"a": 1}, [b"a"], 5, object(), (b"x",)])
def test_unsendable_bodies_are_refused(source: Any) -> None:
    """Text or JSON values as a body are refused, with a hint to the right parameter."""
    with pytest.raises(InvalidData) as excinfo:
        as_body(source)
    assert "body" == excinfo.value.field
    assert f"A body of type {type(source).__name__} cannot be sent." == excinfo.value.message
    assert "json=" in excinfo.value.remedy


@pytest.mark.parametrize("opened", ["text", b"bytes", 5])
def test_function_that_returns_no_chunks_is_refused(opened: Any) -> None:
    """If a body function returns no chunks, opening the body raises an error."""
    with pytest.raises(InvalidData) as excinfo:
        stream_of(lambda: opened).open()
    assert "body" == excinfo.value.field
    assert f"A body of type {type(opened).__name__} cannot be sent." == excinfo.value.message


def test_files_in_text_mode_are_refused() -> None:
    """A file opened in text mode is refused as a body at its first chunk."""
    with pytest.raises(InvalidData) as excinfo:
        read_chunks(stream_of(io.StringIO("x")))
    assert "body" == excinfo.value.field
    assert "str, not bytes" in excinfo.value.message


def test_existing_body_stream_is_passed_on_unchanged() -> None:
    """An existing body stream is passed on unchanged, and its repr hides its function."""
    assert [0, 0] == [BodyStream.of(source, length=0).length for source in (generate, generate())]
    stream = BodyStream.of(generate, length=2)
    assert stream is as_body(stream)
    assert "BodyStream(length=2, replayable=True)" == repr(stream)


@pytest.mark.parametrize("length", [-1, True, 1.5, "2"])
def test_length_of_a_body_must_be_a_number_of_bytes(length: Any) -> None:
    """A body's length is a number of bytes or unknown; other values are refused."""
    with pytest.raises(InvalidData) as excinfo:
        BodyStream.of(generate, length=length)
    assert "length" == excinfo.value.field
