"""Liveness and readiness pages, if the settings enable them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, abort, request

from moorage.domain.monitoring.health_pages import health_answer
from moorage_flask.current import current_moorage

if TYPE_CHECKING:
    from flask import Blueprint

    from moorage.domain.monitoring.health import Health


def add_health(blueprint: Blueprint) -> None:
    """Add the liveness and readiness pages."""
    blueprint.add_url_rule("/<any(live, ready, health):page>", "health", health, methods=["GET"])


def health(page: str) -> Response:
    """Respond whether this process is alive or ready for requests, with reasons."""
    if not current_moorage.settings.health:
        abort(404)
    answer = health_answer(request.method, page, _read_health)
    return Response(answer.body, answer.status, headers=answer.headers)


def _read_health() -> Health:
    return current_moorage.health.recent()
