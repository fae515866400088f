"""Parses HTTP requests for servers in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.http.requests import Headers

if TYPE_CHECKING:
    from typing import BinaryIO

_LONGEST_LINE: Final = 1_000_000


class RequestHead(NamedTuple):
    """The head of a request: everything before the body."""

    method: str
    target: str
    headers: Headers


def read_head(file: BinaryIO) -> RequestHead | None:
    """Return the head of the next request; None if no request follows.

    Raises:
        ValueError, InvalidData: it is not HTTP/1.1.
    """
    line = _line(file)
    if not line:
        return None
    method, target, version = line.split(" ")
    # Before version 3.12, Python requests tunnels with HTTP/1.0.
    is_supported = version == "HTTP/1.1" or (method, version) == ("CONNECT", "HTTP/1.0")
    if not is_supported or not method.isalpha() or not target.isprintable():
        raise ValueError("This is not a request.")
    pairs: list[tuple[str, str]] = []
    while line := _line(file):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("This is not a header field.")
        pairs.append((name, value))
    return RequestHead(method, target, Headers(pairs))


def read_body(file: BinaryIO, headers: Headers) -> bytes:
    """Return the body of a request, given the header fields of the request.

    Raises:
        EOFError: the client left before its end.
        ValueError: its length is not stated as HTTP/1.1 requires.
    """
    transfer_encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if transfer_encoding is None:
        return _read_exactly(file, int(length or "0"))
    if transfer_encoding != "chunked" or length is not None:
        raise ValueError(
            "The message has an unsupported Transfer-Encoding, or also a Content-Length."
        )
    body = bytearray()
    while size := int(_line(file), 16):
        body += _read_exactly(file, size)
        if _line(file):
            raise ValueError("The chunk is longer than its stated size.")
    if _line(file):
        raise ValueError("The message has trailers, which are not supported.")
    return bytes(body)


def _line(file: BinaryIO) -> str:
    line = file.readline(_LONGEST_LINE)
    if line and not line.endswith(b"\r\n"):
        raise ValueError("A line ends without a line break.")
    return line[:-2].decode("latin-1")


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    body = file.read(size)
    if len(body) < size:
        raise EOFError
    return body
