"""The body of a request: bytes, or a stream that some sources can open again for a retry."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.text import brief_repr
from moorage.errors import InvalidData


@runtime_checkable
class Readable(Protocol):
    """A binary file, or another object with such a `read` method."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes of the file; b"" at its end."""
        ...


Chunks: TypeAlias = Iterator[bytes] | AsyncIterator[bytes]
Source: TypeAlias = Readable | Iterator[bytes] | AsyncIterable[bytes]
Opener: TypeAlias = Callable[[], Source | Iterable[bytes]]
Body: TypeAlias = "bytes | BodyStream"
BodyInput: TypeAlias = "bytes | bytearray | memoryview | BodyStream | Source | Opener | None"

_CHUNK = 65_536


def _body_error(source: object) -> InvalidData:
    return InvalidData(
        f"A body of type {type(source).__name__} cannot be sent.",
        field="body",
        remedy="Pass bytes, a binary file, an iterator of bytes, or a function that opens"
        " one. For JSON, use Request.post(path, json=...). For a form, use form=....",
    )


def _is_count(_: BodyStream, __: object, value: Any) -> None:
    if value is not None and (type(value) is not int or value < 0):
        raise InvalidData(
            f"{brief_repr(value)} is not a valid length of a body.",
            field="length",
            remedy="Pass the number of bytes, or None if it is unknown.",
        )


@frozen
class BodyStream:
    """A request body that is read while it is sent.

    Attributes:
        open: a function that returns the chunks from the first byte on. If the body is not
            replayable, a second call raises `InvalidData`.
        length: the number of bytes, if known beforehand.
        replayable: whether `open` may be called again, so that an attempt may be repeated.
    """

    open: Callable[[], Chunks] = field(repr=False)
    length: int | None = field(default=None, validator=_is_count)
    replayable: bool = False

    @classmethod
    def of(cls, source: Source | Opener, *, length: int | None = None) -> BodyStream:
        """Return a body stream from an open source, or from a function that opens one.

        A function makes the stream replayable. An open source is an iterator, a generator or a
        binary file, synchronous or asynchronous; it can be read only once.
        """
        if _is_open(source):
            return cls(_single_read(source), length)
        if callable(source):
            return cls(lambda: _chunks(source()), length, replayable=True)
        raise _body_error(source)


def as_body(source: BodyInput) -> Body:
    """Return a request body in a form that HTTP clients can send."""
    if isinstance(source, (bytes, BodyStream)):
        return source
    if source is None:
        return b""
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    return BodyStream.of(source)


def _is_open(source: object) -> TypeGuard[Source]:
    return isinstance(source, (Iterator, AsyncIterable, Readable))


def _single_read(source: Source) -> Callable[[], Chunks]:
    sources = [source]

    def open_once() -> Chunks:
        try:
            return _chunks(sources.pop())
        except IndexError:
            raise InvalidData(
                "This body has already been read, so it cannot be sent again.",
                field="body",
                remedy="Pass a function that opens the body, so that moorage can open it again.",
            ) from None

    return open_once


def _chunks(source: Source | Iterable[bytes]) -> Chunks:
    if isinstance(source, AsyncIterable):
        return aiter(source)
    if isinstance(source, Readable):
        return _read_chunks(source)
    if isinstance(source, Iterable) and not isinstance(source, (str, bytes, bytearray)):
        return iter(source)
    raise _body_error(source)


def _read_chunks(file: Readable) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield _bytes(chunk)


def _bytes(chunk: object) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    raise InvalidData(
        f"The file of the body returned {type(chunk).__name__}, not bytes.",
        field="body",
        remedy="Open the file in binary mode.",
    )
