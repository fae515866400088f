"""The inputs of a signature other than the request: time, nonce and target."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

_DEFAULT_PORTS = {"http": 80, "https": 443}


class SigningContext(NamedTuple):
    """The time of a signature, and a random value that makes the signature unique."""

    now: datetime
    nonce: str


class Target(NamedTuple):
    """The parts of a URL that signatures cover: the `Host` header, the path and the query."""

    scheme: str
    host: str
    path: str
    query: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Return those parts of a URL from `join_url` that signatures cover."""
        parts = urlsplit(url)
        host = parts.netloc.lower()
        name, _, port = host.rpartition(":")
        if port.isdigit() and int(port) == _DEFAULT_PORTS[parts.scheme]:
            host = name
        return cls(parts.scheme, host, parts.path or "/", parts.query)
