"""Dry runs: report a request instead of sending it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from moorage.domain.observation.events import Rehearsed
from moorage.errors import DryRun

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request
    from moorage.services.core.core import Core


def shown_path(request: Request) -> str:
    """Return the path of a request without its query; of a whole URL, only scheme and host.

    The path of a whole URL may be a secret, as in a browser's push subscription.
    """
    parts = urlsplit(request.path)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/…" if host else parts.path


def held_back_error(
    core: Core,
    request: str,
    *,
    service: str,
    operation: str | None = None,
    tenant: str | None = None,
    request_id: str | None = None,
) -> DryRun:
    """Emit the event of a request that a dry run held back, and return the error for its caller.

    Args:
        core: the ports.
        request: description of the request, without its content.
        service: service that would have received the request.
        operation: operation that the request belongs to.
        tenant: tenant of the call.
        request_id: id of the call.
    """
    if core.observers:
        core.notify(
            Rehearsed(
                at=core.utc(),
                service=service,
                operation=operation,
                tenant=tenant,
                request_id=request_id,
                request=request,
            )
        )
    return DryRun(
        f"{request} was not sent, because this is a dry run.",
        request=request,
        service=service,
        operation=operation,
        request_id=request_id,
    )
