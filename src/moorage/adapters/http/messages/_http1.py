"""HTTP/1.1 as bytes: the head of a request, and an answer however it comes in pieces.

Nothing here touches a socket or a clock. Laws:

1. What is read from an answer does not depend on how its bytes were cut.
2. Nothing grows past its limit, and no limit is found too late: the head with every interim head
   before it, the number of fields, the size line of a chunk, the trailers, the body.
3. An answer whose end two readers could see in two places is refused.

The end of a body, by the first row that applies (RFC 9112, 6.3):

| answer | body |
|---|---|
| to HEAD, or with status 204 or 304 | none |
| Transfer-Encoding, and Content-Length or HTTP/1.0 or other than `chunked` | refused |
| Transfer-Encoding | chunks, then trailers, which are dropped |
| Content-Length, all of them the same number | that many bytes |
| Content-Length otherwise | refused |
| any other | up to the end of the connection, which is then not used again |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from moorage.domain.http.requests import BodyStream, Headers
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Request

USER_AGENT: Final = "moorage"
AUTHENTICATION_REQUIRED: Final = 407  # by a proxy
_TYPICALLY_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})

BODILESS: Final = frozenset({204, 304})
"""Statuses whose answers have no body, whatever their headers say."""
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200

_START: Final = b"HTTP/1."
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_STATUS_LINE: Final = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LONGEST_SIZE_LINE: Final = 1024
_IDLE: Final = re.compile(r"(?:^|[,;\s])timeout\s*=\s*([0-9]{1,6})(?![0-9])", re.IGNORECASE)


class NotHttp(Exception):
    """The bytes are no answer to the request; the message completes "The answer …"."""


class TooLarge(NotHttp):
    """The answer is larger than is accepted."""


class CutOff(Exception):
    """The connection ended before the answer did."""


@attrs.frozen
class Limits:
    """The most that is accepted of one answer.

    Attributes:
        head: bytes of everything before the body, and again of the trailers after it.
        fields: header fields.
        body: bytes of the body as it is transferred; None is any number.
    """

    head: int
    fields: int
    body: int | None


class Head(NamedTuple):
    """What came before the body.

    `idle` is for how many seconds the vendor says it keeps an idle connection, None if it does not
    say, and negative if it keeps none.
    """

    status: int
    reason: str
    headers: Headers
    idle: float | None


def encode_head(
    request: Request, target: str, host: str, introduction: Callable[[], str] | None = None
) -> bytes:
    """Return the head of a request, framed for the body it has.

    The request's own fields go out as they are and come before ours; those that would frame the
    body otherwise than it is are refused. Who has to say to a proxy who it is has an introduction.
    """
    given = {name.lower() for name, _ in request.headers.pairs}
    length = request.body.length if isinstance(request.body, BodyStream) else len(request.body)
    if "transfer-encoding" in given or "content-length" in given:
        _check_framing(request.headers, length)
    # From here on, where secrets are in plain sight, nothing raises.
    fields = [f"{name}: {value}\r\n" for name, value in request.headers.pairs]
    if "host" not in given:
        fields.insert(0, f"Host: {host}\r\n")
    if "user-agent" not in given:
        fields.append(f"User-Agent: {USER_AGENT}\r\n")
    if "accept-encoding" not in given:
        # A range of a compressed form could not be decompressed.
        coding = "identity" if "range" in given else "gzip, deflate"
        fields.append(f"Accept-Encoding: {coding}\r\n")
    if introduction is not None and "proxy-authorization" not in given:
        fields.append(introduction())
    if length is None:
        fields.append("Transfer-Encoding: chunked\r\n")
    elif "content-length" not in given and (length or request.method in _TYPICALLY_WITH_BODY):
        fields.append(f"Content-Length: {length}\r\n")
    head = f"{request.method.value} {target} HTTP/1.1\r\n{''.join(fields)}\r\n"
    return head.encode("latin-1")


def _check_framing(headers: Headers, length: int | None) -> None:
    if "transfer-encoding" in headers:
        raise _misframed("Transfer-Encoding", "leave it out; a body of unknown length is chunked")
    if headers.get_all("content-length") != (str(length),):
        raise _misframed("Content-Length", "leave it out, or give the body's own length")


def _misframed(name: str, remedy: str) -> InvalidData:
    return InvalidData(
        f"The header {name} does not say how the body is sent.",
        field=f"headers.{name}",
        remedy=f"Please {remedy}.",
    )


class AnswerReader:
    """Takes the bytes of one answer in pieces of any size.

    Attributes:
        head: everything before the body, once it is complete.
        done: whether the answer is complete.
    """

    __slots__ = (
        "_buffer",
        "_kept",
        "_left",
        "_limits",
        "_searched",
        "_size",
        "_spent",
        "_step",
        "_to_head",
        "done",
        "head",
    )

    def __init__(self, limits: Limits, *, to_head: bool) -> None:
        self.head: Head | None = None
        self.done = False
        self._limits = limits
        self._to_head = to_head
        self._buffer = bytearray()
        self._kept: list[bytes] = []
        self._left = 0  # bytes that the body, or this chunk of it, still has
        self._searched = 0  # bytes of the buffer that hold no end of a head
        self._size = 0  # bytes of the body so far
        self._spent = 0  # bytes of interim heads
        # A plain function: a bound one would be a reference cycle for each answer.
        self._step: Callable[[AnswerReader], bool] = AnswerReader._head

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            NotHttp: this is no answer.
            TooLarge: it is one that is larger than is accepted.
        """
        self._buffer += data
        while self._buffer and not self.done and self._step(self):
            pass

    def end(self) -> None:
        """Take notice that nothing more will come.

        Raises:
            CutOff: the answer is not complete.
        """
        if self._step is AnswerReader._rest:
            self.done = True
        elif not self.done:
            raise CutOff

    def take(self) -> bytes:
        """Return what has come of the body since the last time."""
        kept = self._kept
        if not kept:
            return b""
        piece = kept[0] if len(kept) == 1 else b"".join(kept)
        kept.clear()
        return piece

    @property
    def silent(self) -> bool:
        """Whether not a single byte has come."""
        return self.head is None and not self._buffer and not self._spent

    @property
    def surplus(self) -> bool:
        """Whether bytes have come that were not read as the answer's, or not yet."""
        return bool(self._buffer)

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another exchange.

        Not after bytes that belong to no answer: they would be taken for the next one.
        """
        if self.head is None or not self.done or self.surplus:
            return False
        return self._step is not AnswerReader._rest and (self.head.idle or 0) >= 0

    def _head(self) -> bool:
        buffer, limit = self._buffer, self._limits.head - self._spent
        if not (buffer.startswith(_START) or _START.startswith(buffer)):
            raise NotHttp("is not HTTP/1.1")
        end = self._find_end(limit, "has a head")
        if not end:
            return False
        status_line, *lines = _lines(buffer[:end])
        match = _STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise NotHttp("has a malformed status line")
        headers = self._fields(lines)
        del buffer[:end]
        status = int(match[2])
        if status < _FIRST_FINAL:
            check_status(status)
            self._spent += end
            return True
        old = match[1] == "0"
        self.head = Head(status, match[3] or "", headers, _idle(headers, old=old))
        self._frame(status, headers, old=old)
        return True

    def _find_end(self, limit: int, what: str) -> int:
        """Return where the empty line ends that the buffer must hold, or 0 while it does not."""
        found = _HEAD_END.search(self._buffer, self._searched)
        end = found.end() if found else 0
        if (end or len(self._buffer)) > limit:
            raise TooLarge(f"{what} of more than {self._limits.head} bytes")
        self._searched = 0 if end else max(0, len(self._buffer) - 2)
        return end

    def _fields(self, lines: list[str]) -> Headers:
        if len(lines) > self._limits.fields:
            raise TooLarge(f"has more than {self._limits.fields} header fields")
        pairs: list[tuple[str, str]] = []
        for line in lines:
            name, colon, value = line.partition(":")
            if line.startswith((" ", "\t")) and pairs:  # folded: RFC 9112, 5.2
                name, begun = pairs.pop()
                pairs.append((name, f"{begun} {line.lstrip()}"))
            elif not colon:
                raise NotHttp("has a malformed header field")
            else:
                pairs.append((name, value))
        try:
            return Headers(pairs)
        except InvalidData as error:
            raise NotHttp("has a malformed header field") from error

    def _frame(self, status: int, headers: Headers, *, old: bool) -> None:
        if self._to_head or status in BODILESS:
            self.done = True
            return
        chunked, length = framing(headers, old=old)
        if chunked:
            self._step = AnswerReader._chunk_size
        elif length is not None:
            self._left = length
            self._admit(self._left)
            self._step = AnswerReader._counted
            self.done = not self._left
        else:
            self._step = AnswerReader._rest

    def _admit(self, more: int) -> None:
        self._size += more
        if self._limits.body is not None and self._size > self._limits.body:
            raise TooLarge(f"has a body of more than {self._limits.body} bytes")

    def _counted(self) -> bool:
        self._keep_some()
        self.done = not self._left
        return False

    def _rest(self) -> bool:
        self._admit(len(self._buffer))
        self._left = len(self._buffer)
        self._keep_some()
        return False

    def _keep_some(self) -> None:
        """Move from the buffer to the body what has come of the bytes that are left."""
        buffer = self._buffer
        if len(buffer) <= self._left:
            self._kept.append(bytes(buffer))
            self._left -= len(buffer)
            buffer.clear()
        else:
            self._kept.append(bytes(memoryview(buffer)[: self._left]))
            del buffer[: self._left]
            self._left = 0

    def _chunk_size(self) -> bool:
        buffer = self._buffer
        end = buffer.find(b"\r\n", 0, _LONGEST_SIZE_LINE + 2)
        if end < 0 and len(buffer) < _LONGEST_SIZE_LINE + 2:
            return False
        match = _SIZE_LINE.fullmatch(buffer, 0, max(0, end))
        if match is None:
            raise NotHttp("has a malformed chunk")
        size = int(match[1], 16)
        del match  # which would pin the buffer's size
        del buffer[: end + 2]
        self._left = size
        self._admit(size)
        self._step = AnswerReader._chunk if size else AnswerReader._trailers
        return True

    def _chunk(self) -> bool:
        self._keep_some()
        if self._left:
            return False
        self._step = AnswerReader._chunk_end
        return True

    def _chunk_end(self) -> bool:
        buffer = self._buffer
        if not buffer.startswith(b"\r\n"):
            if buffer == b"\r":
                return False
            raise NotHttp("has a malformed chunk")
        del buffer[:2]
        self._step = AnswerReader._chunk_size
        return True

    def _trailers(self) -> bool:
        buffer = self._buffer
        if buffer == b"\r":
            return False
        end = 2
        if not buffer.startswith(b"\r\n"):
            end = self._find_end(self._limits.head, "has trailers")
            if not end:
                return False
            self._fields(_lines(buffer[:end]))
        del buffer[:end]
        self.done = True
        return False


def _lines(head: bytearray) -> list[str]:
    # A bare line feed ends a line too; a bare carriage return is no part of any.
    return head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")


def check_status(status: int) -> None:
    """Refuse an answer that ends HTTP on its connection, which nobody has asked for."""
    if status == _SWITCHING:
        raise NotHttp("switches to another protocol")


def framing(headers: Headers, *, old: bool) -> tuple[bool, int | None]:
    """Whether the body of an answer comes in chunks, and else its length, if it has one.

    Raises:
        NotHttp: the answer could end in more than one place.
    """
    codings = _combined(headers, "transfer-encoding")
    lengths = _combined(headers, "content-length")
    if codings is not None:
        if old or lengths is not None or codings.lower() != "chunked":
            raise NotHttp("frames its body in a way that is ambiguous")
        return True, None
    if lengths is None:
        return False, None
    if "," in lengths:
        lengths, *others = {length.strip(" \t") for length in lengths.split(",")}
        lengths = "contradictory" if others else lengths
    if not _LENGTH.fullmatch(lengths):
        raise NotHttp("has lengths that contradict each other or are none")
    return False, int(lengths)


def _combined(headers: Headers, name: str) -> str | None:
    """Return all values of this name as one list."""
    value = headers.get(name)
    if value is None or len(headers) == len(headers.pairs):
        return value
    return ",".join(headers.get_all(name))


def _idle(headers: Headers, *, old: bool) -> float | None:
    """For how long the vendor keeps the connection; negative if it does not."""
    options = _combined(headers, "connection")
    wishes = [option.strip(" \t") for option in options.lower().split(",")] if options else ()
    if "close" in wishes or (old and "keep-alive" not in wishes):
        return -1
    alive = headers.get("keep-alive")
    found = _IDLE.search(alive) if alive else None
    return float(found[1]) if found else None
