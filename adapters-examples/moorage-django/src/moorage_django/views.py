"""The endpoint that receives vendors' webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.http import HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from moorage import ConnectorError
from moorage.domain.webhooks.replies import reply_to
from moorage.hub.receiving import from_django
from moorage_django.runtime import process

if TYPE_CHECKING:
    from django.http import HttpRequest


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST", "PUT"])
@transaction.non_atomic_requests
def receive(request: HttpRequest, account: str) -> HttpResponse:
    """Verify and store a webhook, and respond; its handlers run later.

    The response to a forged webhook gives no reason. A webhook is answered with 2xx only after it
    was stored.
    """
    hub = process.hub()
    try:
        known_account = hub.find_account(account)
        if known_account is None:
            return HttpResponse(status=404)
        webhook: dict[str, Any] = {**from_django(request), "tenant": _tenant(known_account.tenants)}
        inbox = process.inbox()
        entry = inbox.receive(account, **webhook)
    except ConnectorError as error:
        webhook_reply = reply_to(error)
    else:
        webhook_reply = inbox.reply(entry)
        process.webhook_came(entry.id)
    return HttpResponse(
        webhook_reply.body, status=webhook_reply.status, content_type=webhook_reply.content_type
    )


def _tenant(tenants: Any) -> str | None:
    """Return the endpoint's tenant; None if it serves several tenants."""
    return next(iter(tenants)) if tenants is not None and len(tenants) == 1 else None
