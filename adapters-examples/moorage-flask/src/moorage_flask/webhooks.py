"""The blueprint with webhooks, health and the operations page.

A webhook is answered with 2xx after it was stored, and handled later. Its body is read before
anything parses it, up to the maximum size. The response to a forged webhook gives no reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response, request

from moorage import ConnectorError
from moorage.domain.webhooks.replies import reply_to
from moorage.hub.receiving import from_flask
from moorage_flask.current import current_moorage
from moorage_flask.health import add_health
from moorage_flask.operations import add_operations

if TYPE_CHECKING:
    from moorage import WebhookReply

_PREFIX: Final = "/moorage"
_NOT_FOUND: Final = 404


def blueprint() -> Blueprint:
    """Return the blueprint `moorage` for an application."""
    webhook_blueprint = Blueprint("moorage", __name__, url_prefix=_PREFIX)
    webhook_blueprint.add_url_rule(
        "/webhooks/<account>", "webhook", webhook, methods=["GET", "POST"]
    )
    add_health(webhook_blueprint)
    add_operations(webhook_blueprint)
    return webhook_blueprint


def webhook(account: str) -> Response:
    """Receive a webhook for an account; some vendors first send a GET request."""
    hub = current_moorage.hub
    try:
        if hub.find_account(account) is None:
            return Response(status=_NOT_FOUND)
        webhook_fields = from_flask(request)
    except ConnectorError as error:
        return _as_response(reply_to(error))
    return _as_response(current_moorage.inbox.answer(account, **webhook_fields))


def _as_response(reply: WebhookReply) -> Response:
    return Response(reply.body, reply.status, content_type=reply.content_type)
