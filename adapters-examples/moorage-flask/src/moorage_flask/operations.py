"""The operations page in a Flask application, at `/moorage/operations/`.

The page exists only if the setting `PERSON` names a function that returns the person of a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Response, abort, current_app, request

from moorage import ConfigurationError
from moorage.dashboard import Dashboard, PageRequest
from moorage.dashboard.web import LARGEST_BODY, complete_body
from moorage_flask.current import current_moorage

if TYPE_CHECKING:
    from flask import Blueprint

_PATH: Final = "/operations"
_HEADERS: Final = ("cookie", "origin", "sec-fetch-site")
_METHODS: Final = ["GET", "HEAD", "POST"]


def add_operations(blueprint: Blueprint) -> None:
    """Add the page to the blueprint."""
    blueprint.add_url_rule(
        f"{_PATH}/", "operations", operations, methods=_METHODS, provide_automatic_options=False
    )
    blueprint.add_url_rule(
        f"{_PATH}/<path:page>",
        "operations_page",
        operations,
        methods=_METHODS,
        provide_automatic_options=False,
    )


def operations(page: str = "") -> Response:
    """Show a page, or perform an action, for an identified person."""
    identify = current_moorage.settings.person
    if identify is None:
        abort(404)
    person = identify()
    if person is None:
        abort(403)
    secret = current_app.secret_key
    if not secret:
        raise ConfigurationError(
            "The application has no secret key, which protects the forms of the operations page.",
            path="secret_key",
            remedy="Set app.secret_key to a long random string, the same in every process.",
        )
    text = secret if isinstance(secret, str) else secret.hex()
    has_outbox = current_moorage.host.database is not None
    dashboard = Dashboard(
        current_moorage.hub,
        secret=f"moorage operations page {text}",
        outbox=current_moorage.outbox if has_outbox else None,
        inbox=current_moorage.inbox,
        log=current_moorage.log,
        metrics=current_moorage.hub.metrics,
        four_eyes=current_moorage.settings.four_eyes,
    )
    body = complete_body(
        request.stream.read(LARGEST_BODY + 1), request.headers.get("Content-Length", "")
    )
    prefix = request.path[: len(request.path) - len(page) - 1]
    response = dashboard.respond(
        PageRequest(
            method=request.method,
            root=f"{request.script_root}{prefix}",
            path=f"/{page}",
            query=request.query_string.decode("latin-1"),
            body=body,
            content_type=request.headers.get("Content-Type", ""),
            host=request.headers.get("Host", ""),
            headers={name: request.headers[name] for name in _HEADERS if name in request.headers},
            secure=request.is_secure,
        ),
        person,
    )
    return Response(response.body, response.status, list(response.headers))
