"""Looks up credentials when a connection is opened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moorage.domain.auth.methods import Credentials, OAuthCredentials


async def current_credentials(
    provider: Any, service: str, stale: Any
) -> Credentials | OAuthCredentials | None:
    """Return a service's credentials from a synchronous or asynchronous provider.

    Args:
        provider: the provider.
        service: the name of the service.
        stale: the credentials that the server refused, if any.
    """
    lookup = (
        provider.get(service, None) if stale is None else provider.refresh(service, None, stale)
    )
    return await lookup if asyncio.iscoroutine(lookup) else lookup  # type: ignore[no-any-return]  # of a port
