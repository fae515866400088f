"""Decompression of bodies in pieces, with bounded memory."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, Protocol

from moorage.adapters.http.messages._http1 import NotHttp, ResponseTooLarge

if TYPE_CHECKING:
    from moorage.domain.http.requests import Headers, Request

_PARTIAL_CONTENT: Final = 206
_PIECE_SIZE: Final = 65_536
_ZLIB: Final = 15
_RAW_DEFLATE_BITS: Final = -15
_GZIP: Final = 31
_MAX_CODINGS: Final = 3
_WINDOWS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def wants_identity(request: Headers) -> bool:
    """Return whether a request's `Accept-Encoding` excludes compressed responses."""
    accepted_codings = request.get("accept-encoding")
    if accepted_codings is None:
        return False
    codings = accepted_codings.lower().split(",")
    return any(coding.partition(";")[0].strip() == "identity" for coding in codings)


def decompressor_for(headers: Headers) -> Decompressor | None:
    """Return a decompressor for a body; None if it is uncompressed or its method is unknown.

    A body with an unknown coding is returned as it was received; its headers name the coding.
    """
    listed_codings = ",".join(headers.get_all("content-encoding")).lower().split(",")
    codings = [
        coding.strip() for coding in listed_codings if coding.strip() not in {"", "identity"}
    ]
    windows = [_WINDOWS[coding] for coding in codings if coding in _WINDOWS]
    if not windows or len(windows) < len(codings) or len(codings) > _MAX_CODINGS:
        return None
    decompressor: Decompressor = SingleDecompressor(windows[0])
    for window in windows[1:]:
        decompressor = ChainedDecompressor(SingleDecompressor(window), decompressor)
    return decompressor


def decompressor_of(request: Request, status: int, headers: Headers) -> Decompressor | None:
    """Return a decompressor for a response's body; None if the body is not decompressed."""
    if "content-encoding" not in headers or status == _PARTIAL_CONTENT:
        return None  # a part of a compressed body could not be decompressed
    return None if wants_identity(request.headers) else decompressor_for(headers)


class HeldBody:
    """A response body in memory, decompressed and limited in size.

    Args:
        decompressor: decompresses the body; None if the body is not compressed in a known way.
        max_body: the maximum number of bytes.
    """

    __slots__ = ("_decompressor", "_max_body", "_pieces", "_size")

    def __init__(self, decompressor: Decompressor | None, max_body: int) -> None:
        self._decompressor = decompressor
        self._max_body = max_body
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        """Add bytes as they were received.

        Raises:
            NotHttp: the bytes are not valid compressed data.
            TooLarge: the body has become too large.
        """
        decompressor = self._decompressor
        if decompressor is not None:
            decompressor.feed(data)
            data = decompressor.take()
        while data:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > self._max_body:
                raise ResponseTooLarge(f"has a body of more than {self._max_body} bytes")
            data = b"" if decompressor is None else decompressor.take()

    def whole(self) -> bytes:
        """Return the body, after all bytes were added.

        Raises:
            NotHttp: the compressed body is incomplete.
        """
        if self._decompressor is not None:
            self._decompressor.end()
        return b"".join(self._pieces)


class Decompressor(Protocol):
    """Decompresses a body."""

    def feed(self, data: bytes) -> None:
        """Add compressed bytes; before adding more, call `take` until it returns b""."""

    def take(self) -> bytes:
        """Return the next piece of the decompressed body; b"" if more bytes must be added."""
        ...

    def end(self) -> None:
        """Check that the compressed body is complete."""


class ChainedDecompressor:
    """Undoes several compressions of a body, in the reverse order of their application."""

    __slots__ = ("_before", "_last")

    def __init__(self, last: Decompressor, before: Decompressor) -> None:
        self._last = last
        self._before = before

    def feed(self, data: bytes) -> None:
        """Add compressed bytes; before adding more, call `take` until it returns b""."""
        self._last.feed(data)

    def take(self) -> bytes:
        """Return the next piece of the decompressed body; b"" if more bytes must be added."""
        while not (piece := self._before.take()):
            data = self._last.take()
            if not data:
                return b""
            self._before.feed(data)
        return piece

    def end(self) -> None:
        """Check that the compressed body is complete."""
        self._last.end()
        self._before.end()


class SingleDecompressor:
    """Decompresses gzip and deflate."""

    __slots__ = ("_inflate", "_may_have_content", "_pending", "_started", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._inflate = zlib.decompressobj(window)
        self._started = False
        self._may_have_content = False  # the added bytes may contain more content
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Add compressed bytes; before adding more, call `take` until it returns b""."""
        self._pending += data
        # Only the second byte shows whether deflate has a header.
        self._may_have_content = self._started or len(self._pending) > 1

    def take(self) -> bytes:
        """Return the next piece of the decompressed body; b"" if more bytes must be added."""
        piece = b""
        while self._may_have_content and not piece:
            if self._inflate.eof and not self._next_member():
                self._may_have_content = False
                break
            data, self._pending = self._pending, b""
            piece = self._decompress(data)
            self._pending = self._inflate.unused_data or self._inflate.unconsumed_tail
            self._may_have_content = bool(piece or self._pending)
        return piece

    def end(self) -> None:
        """Check that the compressed body is complete."""
        if not self._inflate.eof and (self._started or self._pending):
            raise NotHttp("has a truncated compressed body")

    def _decompress(self, data: bytes) -> bytes:
        is_first, self._started = not self._started, True
        try:
            return self._inflate.decompress(data, _PIECE_SIZE)
        except zlib.error:
            if not is_first or self._window != _ZLIB:
                raise NotHttp("has a malformed compressed body") from None
        # Some vendors send deflate without a header.
        self._window = _RAW_DEFLATE_BITS
        self._inflate = zlib.decompressobj(_RAW_DEFLATE_BITS)
        return self._decompress(data)

    def _next_member(self) -> bool:
        """Continue with the next gzip member, if another one follows."""
        self._pending = self._pending.lstrip(b"\0")
        if not self._pending:
            return False
        if self._window != _GZIP:
            raise NotHttp("has extra bytes after its compressed body")
        self._inflate = zlib.decompressobj(_GZIP)
        return True
