"""OpenAPI extensions and headers that state time limits and rate limits."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moorage.domain.http.headers import Headers
from moorage.domain.openapi.document import Node, UnmappedOperation
from moorage.domain.resilience.vendor_hints import rate_hint, retry_after
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.openapi.document import Document

_HEADER: Final = re.compile(r"rate-?limit|retry-?after|quota|throttl", re.IGNORECASE)
_SAMPLES: Final = ("1", '"default";r=1;t=1', '"default";q=1;w=1')
_POLICY: Final = "ratelimit-policy"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_LARGEST_TIMEOUT: Final = 1e300
"""An integer may be too large for a float."""

_TIMEOUTS: Final = (
    (("x-speakeasy-timeout",), 1e-3),
    (("x-google-backend", "deadline"), 1.0),
    (("x-amazon-apigateway-integration", "timeoutInMillis"), 1e-3),
)
"""The OpenAPI extensions that limit an operation's time, with their unit in seconds."""


def timeout_of(node: Node) -> float | None:
    """Return the timeout in seconds that an OpenAPI extension states; None if there is none."""
    for names, unit in _TIMEOUTS:
        part = node
        for name in names:
            part = part.child(name)
        number = part.value
        if isinstance(number, (int, float)) and not isinstance(number, bool) and number > 0:
            return float(min(number, _LARGEST_TIMEOUT)) * unit
    return None


def limit_headers(document: Document, operation: Node) -> Iterator[str]:
    """Yield the described response headers whose names suggest a rate limit or a pause."""
    for _, item in operation.child("responses").children():
        try:
            response = document.resolved(item)
        except UnmappedOperation:
            continue
        for name, _ in response.child("headers").children():
            if _HEADER.search(name):
                yield name


def is_read(header: str) -> bool:
    """Return whether moorage obeys this response header when it limits the rate of calls."""
    if header.lower() == _POLICY:
        return True
    try:
        samples = [Headers({header: sample}) for sample in _SAMPLES]
    except InvalidData:
        return False
    return any(
        retry_after(sample, _EPOCH) is not None or rate_hint(sample, _EPOCH) is not None
        for sample in samples
    )
