"""HTTP/1.1 as bytes: encodes requests, and parses responses piece by piece.

Nothing here uses a socket or a clock. Laws:

1. The parsed response is the same however its bytes were split into pieces.
2. Everything has a limit that is checked while reading: the head with all interim heads, the number
   of fields, the size line of a chunk, the trailers, the body.
3. A response whose end is ambiguous is refused.

The end of a body, by the first row that applies (RFC 9112, 6.3):

| response | body |
|---|---|
| to HEAD, or with status 204 or 304 | none |
| Transfer-Encoding, and Content-Length or HTTP/1.0 or other than `chunked` | refused |
| Transfer-Encoding | chunks, then trailers, which are dropped |
| Content-Length, all of them the same number | that many bytes |
| Content-Length otherwise | refused |
| any other | up to the end of the connection, which is not reused |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from moorage.domain.http.headers import first_values_of
from moorage.domain.http.requests import BodyStream, Headers
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    from moorage.domain.http.requests import Request

USER_AGENT: Final = "moorage"
AUTHENTICATION_REQUIRED: Final = 407  # true for a response that a proxy sent
_TYPICALLY_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})

BODILESS: Final = frozenset({204, 304})
"""Statuses of responses without a body, whatever their headers say."""
_CONNECTION_FIELDS: Final = frozenset({"connection", "keep-alive"})
_SWITCHING_STATUS: Final = 101
_FIRST_FINAL: Final = 200
_LAST_STATUS: Final = 999
_LEAST_HEAD: Final = len("HTTP/1.1 200 \r\n\r\n")

_VERSION_START: Final = b"HTTP/1."
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_STATUS_LINE: Final = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_REASON: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LONGEST_SIZE_LINE: Final = 1024
_KEEP_ALIVE_TIMEOUT: Final = re.compile(
    r"(?:^|[,;\s])timeout\s*=\s*([0-9]{1,6})(?![0-9])", re.IGNORECASE
)


class NotHttp(Exception):
    """Raised for bytes that are not a valid response; the message continues "The response …"."""


class ResponseTooLarge(NotHttp):
    """Raised for a response that exceeds a limit."""


class ResponseCutOff(Exception):
    """Raised if the connection ended before the response was complete."""


@attrs.frozen
class Limits:
    """The size limits of a response.

    Attributes:
        head: the maximum number of bytes before the body, and again of the trailers after it.
        fields: the maximum number of header fields.
        body: the maximum number of bytes of the body as transferred; None for no limit.
    """

    head: int
    fields: int
    body: int | None


class Head(NamedTuple):
    """The head of a response: everything before its body.

    `idle` is the number of seconds for which the vendor keeps an idle connection open: None if it
    does not say, negative if it closes the connection.
    """

    status: int
    reason: str
    headers: Headers
    idle: float | None


def encode_head(
    request: Request, target: str, host: str, proxy_field: Callable[[], str] | None = None
) -> bytes:
    """Return the head of a request, with the fields of `fields_to_send`.

    Args:
        request: the request.
        target: the request target: a path, or a URL for a proxy.
        host: the value of `Host`.
        proxy_field: returns the line that authenticates at a proxy.
    """
    fields = fields_to_send(request, host)
    # No code below raises an error, because the locals contain secrets in plain text.
    lines = [f"{name}: {value}\r\n" for name, value in fields]
    if proxy_field is not None and "proxy-authorization" not in request.headers:
        lines.append(proxy_field())
    head = f"{request.method.value} {target} HTTP/1.1\r\n{''.join(lines)}\r\n"
    return head.encode("latin-1")


def fields_to_send(request: Request, host: str) -> list[tuple[str, str]]:
    """Return the header fields of a request, including the one that delimits its body.

    The request's own fields come first, unchanged; those that contradict the framing of the body
    are refused.

    Args:
        request: the request.
        host: the value of `Host`.
    """
    names = first_values_of(request.headers)
    length = request.body.length if isinstance(request.body, BodyStream) else len(request.body)
    if "transfer-encoding" in names or "content-length" in names:
        _check_framing(request.headers, length)
    fields = (
        [*request.headers.pairs] if "host" in names else [("Host", host), *request.headers.pairs]
    )
    if "user-agent" not in names:
        fields.append(("User-Agent", USER_AGENT))
    if "accept-encoding" not in names:
        # A range of a compressed form could not be decompressed.
        fields.append(("Accept-Encoding", "identity" if "range" in names else "gzip, deflate"))
    if length is None:
        fields.append(("Transfer-Encoding", "chunked"))
    elif "content-length" not in names and (length or request.method in _TYPICALLY_WITH_BODY):
        fields.append(("Content-Length", str(length)))
    return fields


def _check_framing(headers: Headers, length: int | None) -> None:
    if "transfer-encoding" in headers:
        raise framing_error(
            "Transfer-Encoding", "Remove the header. A body of unknown length is sent in chunks."
        )
    if headers.get_all("content-length") != (str(length),):
        raise framing_error(
            "Content-Length", "Remove the header, or set it to the length of the body."
        )


def framing_error(name: str, remedy: str) -> InvalidData:
    """Return the error for a header field that contradicts the announced length of the body."""
    return InvalidData(
        f"The header {name} contradicts the body.",
        field=f"headers.{name}",
        remedy=remedy,
    )


class ResponseReader:
    """Parses one response from pieces of any size.

    Attributes:
        head: everything before the body, once it is complete.
        done: whether the response is complete.
    """

    __slots__ = (
        "_buffer",
        "_interim_bytes",
        "_limits",
        "_pieces",
        "_remaining",
        "_searched",
        "_size",
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
        self._pieces: list[bytes] = []
        self._remaining = 0  # bytes still missing from the body or the current chunk
        self._searched = 0  # number of buffered bytes already searched for the end of the head
        self._size = 0  # bytes of the body so far
        self._interim_bytes = 0  # bytes of interim responses' heads
        # A function, because a bound method would create a reference cycle per response.
        self._step: Callable[[ResponseReader], bool] = ResponseReader._head

    def feed(self, data: bytes) -> None:
        """Add bytes of the response and parse them.

        Raises:
            NotHttp: the bytes are not a response.
            TooLarge: the response exceeds a limit.
        """
        self._buffer += data
        while self._buffer and not self.done and self._step(self):
            pass

    def begin(self, status: int, reason: str, fields: list[tuple[str, str]]) -> None:
        """Accept the head of a response that another library has parsed.

        Raises:
            NotHttp: it is not the head of a response.
            TooLarge: it exceeds a limit.
        """
        headers = headers_of_head(self._limits, status, reason, fields)
        self.head = Head(status, reason, headers, None)
        self._set_framing(status, headers, is_http_1_0=False)

    def end(self) -> None:
        """Record the end of the connection; raise an error if the response is incomplete.

        Raises:
            CutOff: the response is not complete.
        """
        if self._step is ResponseReader._read_to_end:
            self.done = True
        elif not self.done:
            raise ResponseCutOff

    def take(self) -> bytes:
        """Return the bytes of the body that arrived since the last `take`."""
        pieces = self._pieces
        if not pieces:
            return b""
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return piece

    @property
    def silent(self) -> bool:
        """True if no byte of the response has arrived yet."""
        return self.head is None and not self._buffer and not self._interim_bytes

    @property
    def surplus(self) -> bool:
        """True if surplus bytes follow the response."""
        return bool(self._buffer)

    @property
    def reusable(self) -> bool:
        """True if the connection can be used for another request.

        It cannot be used after surplus bytes, which would be taken for the next response.
        """
        if self.head is None or not self.done or self.surplus:
            return False
        return self._step is not ResponseReader._read_to_end and (self.head.idle or 0) >= 0

    def _head(self) -> bool:
        buffer, limit = self._buffer, self._limits.head - self._interim_bytes
        if not (buffer.startswith(_VERSION_START) or _VERSION_START.startswith(buffer)):
            raise NotHttp("is not HTTP/1.1")
        end = self._find_end(limit, "has a head")
        if not end:
            return False
        status_line, *lines = _header_lines(buffer[:end])
        match = _STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise NotHttp("has a malformed status line")
        headers = self._fields(lines)
        del buffer[:end]
        status = int(match[2])
        if status < _FIRST_FINAL:
            check_status(status)
            self._interim_bytes += end
            return True
        is_http_1_0 = match[1] == "0"
        self.head = Head(
            status, match[3] or "", headers, _keep_alive_seconds(headers, is_http_1_0=is_http_1_0)
        )
        self._set_framing(status, headers, is_http_1_0=is_http_1_0)
        return True

    def _find_end(self, limit: int, part: str) -> int:
        """Return the length of the head in the received bytes; 0 if the head is incomplete."""
        match = _HEAD_END.search(self._buffer, self._searched)
        end = match.end() if match else 0
        if (end or len(self._buffer)) > limit:
            raise ResponseTooLarge(f"{part} of more than {self._limits.head} bytes")
        self._searched = 0 if end else max(0, len(self._buffer) - 2)
        return end

    def _fields(self, lines: list[str]) -> Headers:
        _check_count(lines, self._limits)
        pairs: list[tuple[str, str]] = []
        for line in lines:
            name, colon, value = line.partition(":")
            if line.startswith((" ", "\t")) and pairs:  # a folded header line (RFC 9112, 5.2)
                name, value_so_far = pairs.pop()
                continuation = line.lstrip(" \t")
                pairs.append((name, f"{value_so_far} {continuation}"))
            elif not colon:
                raise NotHttp("has a malformed header field")
            else:
                pairs.append((name, value))
        return _checked_headers(pairs, self._limits)

    def _set_framing(self, status: int, headers: Headers, *, is_http_1_0: bool) -> None:
        if self._to_head or status in BODILESS:
            self.done = True
            return
        is_chunked, length = body_framing(headers, is_http_1_0=is_http_1_0)
        if is_chunked:
            self._step = ResponseReader._chunk_size
        elif length is not None:
            self._remaining = length
            self._count_bytes(self._remaining)
            self._step = ResponseReader._read_counted
            self.done = not self._remaining
        else:
            self._step = ResponseReader._read_to_end

    def _count_bytes(self, count: int) -> None:
        self._size += count
        if self._limits.body is not None and self._size > self._limits.body:
            raise ResponseTooLarge(f"has a body of more than {self._limits.body} bytes")

    def _read_counted(self) -> bool:
        self._take_body_bytes()
        self.done = not self._remaining
        return False

    def _read_to_end(self) -> bool:
        self._count_bytes(len(self._buffer))
        self._remaining = len(self._buffer)
        self._take_body_bytes()
        return False

    def _take_body_bytes(self) -> None:
        """Set the received bytes of the body aside for the next `take`."""
        buffer = self._buffer
        if len(buffer) <= self._remaining:
            self._pieces.append(bytes(buffer))
            self._remaining -= len(buffer)
            buffer.clear()
        else:
            self._pieces.append(bytes(memoryview(buffer)[: self._remaining]))
            del buffer[: self._remaining]
            self._remaining = 0

    def _chunk_size(self) -> bool:
        buffer = self._buffer
        end = buffer.find(b"\r\n", 0, _LONGEST_SIZE_LINE + 2)
        if end < 0 and len(buffer) < _LONGEST_SIZE_LINE + 2:
            return False
        match = _SIZE_LINE.fullmatch(buffer, 0, max(0, end))
        if match is None:
            raise NotHttp("has a malformed chunk")
        size = int(match[1], 16)
        del match  # a match would keep the buffer from changing its size
        self._count_bytes(size)
        start = end + 2
        if size and buffer.startswith(b"\r\n", start + size):  # the usual case: the whole chunk
            self._pieces.append(bytes(memoryview(buffer)[start : start + size]))
            del buffer[: start + size + 2]
            return True
        del buffer[:start]
        self._remaining = size
        self._step = ResponseReader._chunk if size else ResponseReader._trailers
        return True

    def _chunk(self) -> bool:
        self._take_body_bytes()
        if self._remaining:
            return False
        self._step = ResponseReader._chunk_end
        return True

    def _chunk_end(self) -> bool:
        buffer = self._buffer
        if not buffer.startswith(b"\r\n"):
            if buffer == b"\r":
                return False
            raise NotHttp("has a malformed chunk")
        del buffer[:2]
        self._step = ResponseReader._chunk_size
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
            self._fields(_header_lines(buffer[:end]))
        del buffer[:end]
        self.done = True
        return False


def headers_of_head(
    limits: Limits, status: int, reason: str, fields: list[tuple[str, str]]
) -> Headers:
    """Return the header fields of a response whose head another library has parsed.

    Raises:
        NotHttp: the head is not that of a response.
        TooLarge: the head exceeds a limit.
    """
    size = sum([len(name) + len(value) for name, value in fields])
    if size + len(reason) + 4 * len(fields) + _LEAST_HEAD > limits.head:
        raise ResponseTooLarge(f"has a head of more than {limits.head} bytes")
    check_status(status)
    if not _FIRST_FINAL <= status <= _LAST_STATUS or _REASON.fullmatch(reason) is None:
        raise NotHttp("has a malformed status line")
    return _checked_headers(fields, limits)


def _checked_headers(pairs: list[tuple[str, str]], limits: Limits) -> Headers:
    _check_count(pairs, limits)
    try:
        return Headers(pairs)
    except InvalidData as error:
        raise NotHttp("has a malformed header field") from error


def _check_count(fields: Sized, limits: Limits) -> None:
    if len(fields) > limits.fields:
        raise ResponseTooLarge(f"has more than {limits.fields} header fields")


def _header_lines(head: bytearray) -> list[str]:
    # A bare line feed ends a line too; a bare carriage return does not.
    return head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")


def check_status(status: int) -> None:
    """Refuse a response that switches protocols, because moorage never requests this."""
    if status == _SWITCHING_STATUS:
        raise NotHttp("switches to another protocol")


def body_framing(headers: Headers, *, is_http_1_0: bool) -> tuple[bool, int | None]:
    """Return whether the body is chunked; if not, also its length if known.

    Raises:
        NotHttp: the end of the response is ambiguous.
    """
    first_values = first_values_of(headers)
    lengths = first_values.get("content-length")
    if (
        lengths is not None
        and "transfer-encoding" not in first_values
        and len(first_values) == len(headers.pairs)
        and _LENGTH.fullmatch(lengths)
    ):
        return False, int(lengths)
    codings = _combined_values(headers, "transfer-encoding")
    lengths = _combined_values(headers, "content-length")
    if codings is not None:
        if is_http_1_0 or lengths is not None or codings.lower() != "chunked":
            raise NotHttp("has ambiguous headers about the length of its body")
        return True, None
    if lengths is None:
        return False, None
    if "," in lengths:
        lengths, *other_lengths = {length.strip(" \t") for length in lengths.split(",")}
        lengths = "contradictory" if other_lengths else lengths
    if not _LENGTH.fullmatch(lengths):
        raise NotHttp("has invalid or contradictory lengths")
    return False, int(lengths)


def _combined_values(headers: Headers, name: str) -> str | None:
    """Return all values of a header field as one list."""
    value = headers.get(name)
    if value is None or len(headers) == len(headers.pairs):
        return value
    return ",".join(headers.get_all(name))


def _keep_alive_seconds(headers: Headers, *, is_http_1_0: bool) -> float | None:
    """Return how many seconds the server keeps the connection open; negative if it closes now."""
    if not is_http_1_0 and not headers.has_any(_CONNECTION_FIELDS):
        return None
    options = _combined_values(headers, "connection")
    connection_options = (
        [option.strip(" \t") for option in options.lower().split(",")] if options else ()
    )
    if "close" in connection_options or (is_http_1_0 and "keep-alive" not in connection_options):
        return -1
    keep_alive = headers.get("keep-alive")
    match = _KEEP_ALIVE_TIMEOUT.search(keep_alive) if keep_alive else None
    return float(match[1]) if match else None
