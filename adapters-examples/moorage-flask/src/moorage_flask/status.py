"""The status page: calls, circuits, and buttons that repeat failed work.

It is there where the settings name a guard, and shown to whom the guard lets in. What changes
something is asked for by a form of the page itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flask import abort, redirect, render_template, request, url_for

from moorage import CircuitState, ConfigurationError, LogQuery
from moorage_flask.current import current_moorage

if TYPE_CHECKING:
    from flask import Blueprint
    from werkzeug.wrappers import Response


_DAY: Final = timedelta(days=1)
_RECENT: Final = 25
_OURS: Final = frozenset({"same-origin", "none"})


def add_status(blueprint: Blueprint) -> None:
    """Add the page and the routes of its buttons."""
    blueprint.add_url_rule("/status", "status", status, methods=["GET"])
    blueprint.add_url_rule(
        "/status/<any(inbox, outbox):box>/<entry>/<any(replay, drop):verb>",
        "settle",
        settle,
        methods=["POST"],
    )


def status() -> str:
    """Show every service, the latest calls, and the work that needs a person."""
    _guarded()
    log, since = current_moorage.log, datetime.now(UTC) - _DAY
    services = [
        {
            "name": name,
            "circuit": _circuit(name),
            "told": log.summarise(LogQuery(service=name, since=since)),
        }
        for name in sorted(current_moorage.hub.manager.flows.plans.services)
    ]
    return render_template(
        "moorage/status.html",
        services=services,
        calls=log.find(LogQuery(limit=_RECENT)).items,
        stuck=[
            (name, entry)
            for name, box in _boxes().items()
            for entry in box.stuck(limit=_RECENT).items
        ],
    )


def settle(box: str, entry: str, verb: str) -> Response:
    """Have something done again, or called off."""
    _guarded()
    if not _is_ours(request.headers.get("Sec-Fetch-Site"), request.origin, request.host):
        abort(403)
    boxes = _boxes()
    if box not in boxes:
        abort(404)
    getattr(boxes[box], verb)(entry)
    return redirect(url_for("moorage.status"), 303)


def _is_ours(site: str | None, origin: str | None, host: str) -> bool:
    """True if a form was sent from a page of this host, as far as the browser tells."""
    return (site is None or site in _OURS) and (origin is None or urlsplit(origin).netloc == host)


def _guarded() -> None:
    guard = current_moorage.settings.guard
    if guard is None:
        abort(404)
    if not guard():
        abort(403)


def _circuit(service: str) -> str | None:
    try:
        state: CircuitState = current_moorage.hub.manager.circuit_state(service).state
    except ConfigurationError:  # it has none, or one for each region
        return None
    return state.value


def _boxes() -> dict[str, Any]:
    boxes: dict[str, Any] = {"inbox": current_moorage.inbox}
    if current_moorage.host.database is not None:
        boxes["outbox"] = current_moorage.outbox
    return boxes
