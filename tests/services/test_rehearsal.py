"""What a rehearsal says in place of sending something."""

from __future__ import annotations

from typing import Any

from moorage import Rehearsed, Request
from moorage.services.calling.rehearsal import rehearsed, shown_path
from moorage.testing import VirtualClock
from moorage.wiring.cores import plain_core
from moorage.wiring.ports import Ports

WHAT: dict[str, Any] = {"service": "vat", "operation": "ask", "request_id": "r-1"}


def test_what_would_have_been_sent_is_told() -> None:
    """Whoever listens hears what it was and when; the caller, that it was not sent."""
    reports: list[Any] = []
    clock = VirtualClock()
    core = plain_core(Ports(clock=clock, observers=[reports.append])).core

    error = rehearsed(core, "POST /a", tenant="acme", **WHAT)

    assert [Rehearsed(at=clock.utc(), tenant="acme", request="POST /a", **WHAT)] == reports
    assert "This is a rehearsal, so POST /a was not sent." == error.message
    assert ("POST /a", WHAT) == (
        error.request,
        {name: getattr(error, name) for name in WHAT},
    )


def test_what_is_asked_is_not_told() -> None:
    """Of a request its path is told: what stands behind it may be somebody's."""
    assert "/people" == shown_path(Request.get("/people?name=ada"))
