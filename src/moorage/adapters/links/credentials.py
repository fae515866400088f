"""Looks credentials up for opening a connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moorage.domain.auth.methods import Credentials, OAuthCredentials


async def current_credentials(
    provider: Any, service: str, stale: Any
) -> Credentials | OAuthCredentials | None:
    """Return the credentials of a service, which a synchronous or asynchronous provider has.

    Args:
        provider: the provider.
        service: the name of the service.
        stale: the credentials that the server refused; None if it refused none.
    """
    lookup = (
        provider.get(service, None) if stale is None else provider.refresh(service, None, stale)
    )
    return await lookup if asyncio.iscoroutine(lookup) else lookup  # type: ignore[no-any-return]  # of a port
