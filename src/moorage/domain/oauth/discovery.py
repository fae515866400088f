"""How a server's description of itself is asked for, and whether an answer is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.http import Request
from moorage.domain.oauth.server import AuthorizationServer
from moorage.errors import InvalidData, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.http import Response

LARGEST: Final = 262_144
"""Bytes that a description may have; those of large providers have some thousand."""

_BUSY: Final = frozenset({408, 425, 429})


def metadata_request() -> Request:
    """What is asked at each place where a description may lie."""
    return Request.get("/", headers={"Accept": "application/json"})


def read_metadata(issuer: str, response: Response) -> AuthorizationServer | None:
    """The server that an answer describes; None where there is no description.

    A redirect is none, and neither is the page that many a site shows for whatever it is asked.

    Raises:
        VendorFailed: it describes another server, or one that cannot be used.
    """
    if response.status != 200:
        return None
    try:
        told = response.json()
    except InvalidData:
        return None
    return AuthorizationServer.from_metadata(issuer, told)


def undescribed(places: Sequence[str], statuses: Sequence[int]) -> VendorFailed:
    """Nothing at any of these places is a description."""
    found = ", ".join(
        f"{place} answers {status}" for place, status in zip(places, statuses, strict=True)
    )
    return VendorFailed(
        f"The authorisation server does not describe itself: {found}, and that is no description.",
        status=statuses[-1],
        retryable=any(status >= 500 or status in _BUSY for status in statuses),
        remedy="Give the issuer exactly as the authorisation server writes it, or name its"
        " endpoints with AuthorizationServer.",
    )
