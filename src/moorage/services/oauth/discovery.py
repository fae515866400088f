"""Discovery of an authorisation server's endpoints from the URL of its issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.http.requests import Timeouts
from moorage.domain.oauth.discovery import (
    LARGEST,
    metadata_request,
    no_metadata_error,
    read_metadata,
)
from moorage.domain.oauth.server import well_known
from moorage.errors import ConnectorError
from moorage.services.oauth.server_requests import fetch

if TYPE_CHECKING:
    from moorage.domain.oauth.server import AuthorizationServer
    from moorage.services.core.core import Core


async def discover_metadata(core: Core, issuer: str, timeout: float) -> AuthorizationServer:
    """Return the server's metadata, from the first well-known URL that provides metadata."""
    places, statuses = well_known(issuer), list[int]()
    for place in places:
        answer = await fetch(core, metadata_request(), place, Timeouts(total=timeout), LARGEST)
        if isinstance(answer, ConnectorError):
            raise answer
        server = read_metadata(issuer, answer)
        if server is not None:
            return server
        statuses.append(answer.status)
    raise no_metadata_error(places, statuses)
