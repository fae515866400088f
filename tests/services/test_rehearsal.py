"""The error and the event of a rehearsed (`dry_run`) call."""

from __future__ import annotations

from typing import Any

from moorage import Rehearsed, Request
from moorage.services.calling.rehearsal import held_back_error, shown_path
from moorage.testing import VirtualClock
from moorage.wiring.core_assembly import sync_core
from moorage.wiring.ports import Ports

CALL_FIELDS: dict[str, Any] = {"service": "vat", "operation": "ask", "request_id": "r-1"}


def test_rehearsal_emits_the_request() -> None:
    """In a rehearsal, observers get the request and its time, and the caller gets DryRun."""
    reports: list[Any] = []
    clock = VirtualClock()
    core = sync_core(Ports(clock=clock, observers=[reports.append])).core

    error = held_back_error(core, "POST /a", tenant="acme", **CALL_FIELDS)

    assert [Rehearsed(at=clock.utc(), tenant="acme", request="POST /a", **CALL_FIELDS)] == reports
    assert "POST /a was not sent, because this is a dry run." == error.message
    assert ("POST /a", CALL_FIELDS) == (
        error.request,
        {name: getattr(error, name) for name in CALL_FIELDS},
    )


def test_rehearsal_hides_the_query() -> None:
    """A rehearsal shows only the path of a request, since its query may be personal."""
    assert "/people" == shown_path(Request.get("/people?name=ada"))
