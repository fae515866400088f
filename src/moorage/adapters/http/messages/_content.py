"""Bodies as they were before they were compressed, a bounded piece at a time."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, Protocol

from moorage.adapters.http.messages._http1 import NotHttp

if TYPE_CHECKING:
    from moorage.domain.http.requests import Headers

_PIECE: Final = 65_536
_ZLIB: Final = 15
_RAW: Final = -15
_GZIP: Final = 31
_MOST_CODINGS: Final = 3
_WINDOWS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def takes_as_it_is(request: Headers) -> bool:
    """Whether a request wants the body as it comes: its `Accept-Encoding` names `identity`."""
    codings = request.get("accept-encoding", "").lower().split(",")
    return any(coding.partition(";")[0].strip() == "identity" for coding in codings)


def inflater_for(headers: Headers) -> Inflater | None:
    """Return what undoes the codings of this body, or None if there are none or one is not known.

    A coding that is not known is handed over as it is: the headers tell of it.
    """
    listed = ",".join(headers.get_all("content-encoding")).lower().split(",")
    codings = [coding.strip() for coding in listed if coding.strip() not in {"", "identity"}]
    windows = [_WINDOWS[coding] for coding in codings if coding in _WINDOWS]
    if not windows or len(windows) < len(codings) or len(codings) > _MOST_CODINGS:
        return None
    inflater: Inflater = SingleInflater(windows[0])
    for window in windows[1:]:
        inflater = ChainedInflater(SingleInflater(window), inflater)
    return inflater


class Inflater(Protocol):
    """Undoes the codings of a body."""

    def feed(self, data: bytes) -> None:
        """Take compressed bytes; `take` until nothing comes before the next."""

    def take(self) -> bytes:
        """Return some more of the content, or nothing if that needs more bytes."""
        ...

    def end(self) -> None:
        """Take notice that nothing more will come."""


class ChainedInflater:
    """Undoes one coding after another: the `last` that was applied, then what was `before` it."""

    __slots__ = ("_before", "_last")

    def __init__(self, last: Inflater, before: Inflater) -> None:
        self._last = last
        self._before = before

    def feed(self, data: bytes) -> None:
        """Take compressed bytes; `take` until nothing comes before the next."""
        self._last.feed(data)

    def take(self) -> bytes:
        """Return some more of the content, or nothing if that needs more bytes."""
        while not (piece := self._before.take()):
            data = self._last.take()
            if not data:
                return b""
            self._before.feed(data)
        return piece

    def end(self) -> None:
        """Take notice that nothing more will come."""
        self._last.end()
        self._before.end()


class SingleInflater:
    """Undoes gzip, of several members too, and deflate, with its wrapper or without."""

    __slots__ = ("_begun", "_inflate", "_more", "_pending", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._inflate = zlib.decompressobj(window)
        self._begun = False
        self._more = False  # whether there may be content left of bytes that were taken in
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Take compressed bytes; `take` until nothing comes before the next."""
        self._pending += data
        # Only the second byte tells whether deflate has its wrapper.
        self._more = self._begun or len(self._pending) > 1

    def take(self) -> bytes:
        """Return some more of the content, or nothing if that needs more bytes."""
        piece = b""
        while self._more and not piece:
            if self._inflate.eof and not self._next_member():
                self._more = False
                break
            data, self._pending = self._pending, b""
            piece = self._decompress(data)
            self._pending = self._inflate.unused_data or self._inflate.unconsumed_tail
            self._more = bool(piece or self._pending)
        return piece

    def end(self) -> None:
        """Take notice that nothing more will come."""
        if not self._inflate.eof and (self._begun or self._pending):
            raise NotHttp("has a compressed body that is cut off")

    def _decompress(self, data: bytes) -> bytes:
        first, self._begun = not self._begun, True
        try:
            return self._inflate.decompress(data, _PIECE)
        except zlib.error:
            if not first or self._window != _ZLIB:
                raise NotHttp("has a malformed compressed body") from None
        # Some vendors mean the bare form by "deflate".
        self._window = _RAW
        self._inflate = zlib.decompressobj(_RAW)
        return self._decompress(data)

    def _next_member(self) -> bool:
        """Start over if another compressed stream follows the one that has ended."""
        self._pending = self._pending.lstrip(b"\0")
        if not self._pending:
            return False
        if self._window != _GZIP:
            raise NotHttp("has a compressed body that goes on after its end")
        self._inflate = zlib.decompressobj(_GZIP)
        return True
