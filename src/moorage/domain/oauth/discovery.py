"""Discovery of an authorisation server: the request for its metadata, and the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.http.requests import Request
from moorage.domain.oauth.server import AuthorizationServer
from moorage.errors import InvalidData, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.http.requests import Response

LARGEST: Final = 262_144
"""The maximum size of an authorisation server's metadata, in bytes."""

_BUSY_STATUSES: Final = frozenset({408, 425, 429})


def metadata_request() -> Request:
    """Return the request for a server's metadata, to be sent to one possible URL after another."""
    return Request.get("/", headers={"Accept": "application/json"})


def read_metadata(issuer: str, response: Response) -> AuthorizationServer | None:
    """Return the server that a response describes; None if the response is not metadata.

    A redirect is not metadata, and neither is a web page that a site shows for every URL.

    Raises:
        VendorFailed: the response describes another server, or one that cannot be used.
    """
    if response.status != 200:
        return None
    try:
        metadata = response.json()
    except InvalidData:
        return None
    return AuthorizationServer.from_metadata(issuer, metadata)


def no_metadata_error(places: Sequence[str], statuses: Sequence[int]) -> VendorFailed:
    """Return the error for an issuer that publishes no metadata at any of these URLs."""
    statuses_by_place = ", ".join(
        f"{place} answers {status}" for place, status in zip(places, statuses, strict=True)
    )
    return VendorFailed(
        f"None of these places has metadata of the authorisation server: {statuses_by_place}.",
        status=statuses[-1],
        retryable=any(status >= 500 or status in _BUSY_STATUSES for status in statuses),
        remedy="Set the issuer exactly as the authorisation server writes it, or set the"
        " endpoints with AuthorizationServer.",
    )
