"""What one signature is made of besides the request: when, where to, and under which nonce."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Occasion(NamedTuple):
    """When a request is signed, and what tells this signature from all others."""

    now: datetime
    nonce: str


class Target(NamedTuple):
    """A URL in the parts that are signed: the `Host` that is sent, the path and the query."""

    scheme: str
    host: str
    path: str
    query: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Take apart a URL that `join_url` made."""
        parts = urlsplit(url)
        host = parts.netloc.lower()
        name, _, port = host.rpartition(":")
        if port.isdigit() and int(port) == _DEFAULT_PORTS[parts.scheme]:
            host = name
        return cls(parts.scheme, host, parts.path or "/", parts.query)
