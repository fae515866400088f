"""The parts of a request as sent: its URL, and the chunks of a streamed body."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._wire import Origin
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from typing import Self

    from moorage.adapters.http.connections._wire import Network
    from moorage.domain.http.body import Chunks
    from moorage.domain.http.requests import BodyStream

_ORIGIN: Final = re.compile(
    r"(https?)://([a-z0-9._\-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE
)
_END_OF_HOST: Final = re.compile(r"[/?#]")
_PORTS: Final = {"http": 80, "https": 443}
_LAST_PORT: Final = 65_535


def locate(url: str) -> tuple[Origin, str, str]:
    """Return the origin of a URL, its `Host` field, and the request target.

    URLs without a query are kept; a query may hold a secret.

    Raises:
        InvalidData: the URL is not valid; the message does not repeat it.
    """
    return _split_url(url) if "?" in url else _kept(url)


def _split_url(url: str) -> tuple[Origin, str, str]:
    if not (url.isascii() and url.isprintable() and " " not in url):
        raise _invalid_url("contains a space, a control character or a non-ASCII character")
    path_match = _END_OF_HOST.search(url, url.find("://") + 3)
    start = path_match.start() if path_match else len(url)
    origin, host = origin_of(url[:start])
    target = url[start:].partition("#")[0]
    return origin, host, target if target.startswith("/") else f"/{target}"


_kept: Final = lru_cache(maxsize=256)(_split_url)


@lru_cache(maxsize=256)
def origin_of(text: str) -> tuple[Origin, str]:
    """Return the origin of a URL without a path, and its `Host` field."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise _invalid_url(
            "does not begin with http:// or https:// and a host, or contains a user name"
        )
    scheme, host = match[1].lower(), match[2].lower()
    port = int(match[3] or _PORTS[scheme])
    if not 0 < port <= _LAST_PORT:
        raise _invalid_url("contains an invalid port")
    host_field = host if port == _PORTS[scheme] else f"{host}:{port}"
    return Origin(host.strip("[]"), port, scheme == "https"), host_field


def _invalid_url(reason: str) -> InvalidData:
    return InvalidData(
        f"The URL {reason}.",
        field="url",
        remedy="Pass an absolute, percent-encoded URL, and put credentials into a header.",
    )


class Upload:
    """The body of a request, which is read from its source while it is sent.

    Attributes:
        first: the first piece, which is read before anything is sent.
    """

    __slots__ = ("_chunks", "_finished", "_network", "_remaining", "first")

    def __init__(self, network: Network, chunks: Chunks, length: int | None) -> None:
        self.first = b""
        self._network = network
        self._chunks = chunks
        self._remaining = length
        self._finished = False

    @classmethod
    async def of(
        cls, network: Network, stream: BodyStream, until: float, *, framed: bool = True
    ) -> Self:
        """Open the source of a body, and read the first piece."""
        upload = cls(network, stream.open(), stream.length)
        upload.first = await (upload.next(until) if framed else upload.piece(until))
        return upload

    async def next(self, until: float) -> bytes:
        """Return the next piece of the body, framed for sending; b"" at the end."""
        is_ended = self._finished
        piece = await self.piece(until)
        if self._remaining is not None or is_ended:
            return piece
        return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b"0\r\n\r\n"

    async def piece(self, until: float) -> bytes:
        """Return the next chunk of the body as its source yields it; b"" at the end."""
        chunk: object = b""
        while chunk == b"" and not self._finished:  # an empty chunk would end the body
            chunk = await self._network.pull(self._chunks, until)
            self._finished = chunk is None
        if self._finished:
            if self._remaining:
                raise _invalid_body(f"ended {self._remaining} bytes before its declared length")
            return b""
        if not isinstance(chunk, bytes):
            raise _invalid_body(f"returns {type(chunk).__name__}, not bytes")
        if self._remaining is not None:
            self._remaining -= len(chunk)
            if self._remaining < 0:
                raise _invalid_body("is longer than its declared length")
        return chunk


def _invalid_body(reason: str) -> InvalidData:
    return InvalidData(
        f"The body's stream {reason}.",
        field="body",
        remedy="Stream bytes, and set the length only if you know it.",
    )
