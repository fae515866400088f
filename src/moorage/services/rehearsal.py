"""What a rehearsal says in place of sending something."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from moorage.domain.events import Rehearsed
from moorage.errors import DryRun

if TYPE_CHECKING:
    from moorage.domain.http import Request
    from moorage.services.core import Core


def shown_path(request: Request) -> str:
    """The path of a request, without what is asked in it."""
    return urlsplit(request.path).path


def rehearsed(
    core: Core,
    request: str,
    *,
    service: str,
    operation: str | None = None,
    tenant: str | None = None,
    request_id: str | None = None,
) -> DryRun:
    """Tell what would have been sent, and make the error that says that it was not.

    Args:
        core: the ports.
        request: what it was, with nothing of its content.
        service: whom it would have been sent to.
        operation: what it would have been.
        tenant: whose it was.
        request_id: the id of the call.
    """
    if core.observers:
        core.tell(
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
        f"this is a rehearsal, so {request} was not sent.",
        request=request,
        service=service,
        operation=operation,
        request_id=request_id,
    )
