"""The pages of the integration log: the list of calls, and a single call."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from moorage.dashboard.layout import (
    choice_field,
    facts,
    link,
    moment,
    section,
    span,
    state_mark,
    table,
    text_field,
)
from moorage.dashboard.markup import join_nodes, tag
from moorage.dashboard.pages.view import Page, older_button, spaced_name
from moorage.dashboard.reading import (
    PAGE,
)
from moorage.domain.observation.integration_log import IntegrationStatus, LogQuery
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.dashboard.markup import Node
    from moorage.dashboard.pages.view import PageContext
    from moorage.domain.observation.integration_log import IntegrationLog, LogPage


_KINDS: Final = {
    IntegrationStatus.SUCCESS: "good",
    IntegrationStatus.REPLAYED: "good",
    IntegrationStatus.CACHED: "good",
    IntegrationStatus.FALLBACK: "warn",
    IntegrationStatus.HELD_BACK: "warn",
    IntegrationStatus.CANCELLED: "warn",
}

_FAILURES: Final = "failures"
"""The value of the field `status` that stands for every call that did not succeed."""


def calls_page(view: PageContext) -> Page:
    """Return a page of the integration log, filtered."""
    if view.reader.log is None:
        return Page("Calls", [section("Calls", tag("p", "No integration log is configured."))])
    status = view.get("status")
    hours = view.get("hours")
    query = LogQuery(
        service=view.get("service"),
        operation=view.get("operation"),
        tenant=view.get("tenant"),
        subject=view.get("subject"),
        id=view.get("id"),
        idempotency_key=view.get("idempotency_key"),
        trace_id=view.get("trace_id"),
        text=view.get("text"),
        status=None if status is None or status == _FAILURES else _status(status),
        failures=status == _FAILURES,
        since=None if hours is None else view.reader.now() - timedelta(hours=_period_hours(hours)),
        limit=PAGE,
        after=view.get("after"),
    )
    page = view.reader.calls(query)
    statuses = {"": "all", _FAILURES: "all failures"}
    statuses |= {item.value: spaced_name(item.value) for item in IntegrationStatus}
    form = tag(
        "form",
        text_field("service", "Service", view.get("service") or ""),
        text_field("operation", "Operation", view.get("operation") or ""),
        text_field("tenant", "Tenant", view.get("tenant") or ""),
        choice_field("status", "Status", statuses, status or ""),
        text_field("subject", "Subject", view.get("subject") or ""),
        text_field("id", "Request id", view.get("id") or ""),
        text_field("idempotency_key", "Idempotency key", view.get("idempotency_key") or ""),
        text_field("trace_id", "Trace", view.get("trace_id") or ""),
        text_field("text", "Text of the error", view.get("text") or ""),
        choice_field("hours", "Since", _PERIOD_WORDS, hours or ""),
        tag("div", tag("button", "Show")),
        class_="filter",
        method="get",
        action=view.request.link("/calls"),
    )
    return Page(
        "Calls",
        [
            tag(
                "section",
                form,
                calls_table(
                    view,
                    page.items,
                    "No call matches the filter."
                    if page.scanned is None
                    else "None of the searched calls matches the filter.",
                ),
                _scan_note(view, page),
                older_button(view, page.next),
            )
        ],
    )


def _scan_note(view: PageContext, page: LogPage) -> Node:
    """Return a note on how far back the search went, if it ended at a limit; else None."""
    if page.scanned_to is None:
        return None
    return tag(
        "p",
        f"Searched {page.scanned} calls, back to ",
        moment(page.scanned_to, view.reader.now()),
        ". Older calls may match too: press Older.",
        class_="soft",
    )


_PERIOD_WORDS: Final = {"": "ever", "1": "1 hour", "24": "1 day", "168": "1 week"}


def _status(value: str) -> IntegrationStatus:
    try:
        return IntegrationStatus(value)
    except ValueError:
        raise InvalidData(
            f"There is no status {value!r}.",
            field="status",
            remedy="Choose a status from the list.",
        ) from None


def _period_hours(value: str) -> float:
    if value not in _PERIOD_WORDS:
        raise InvalidData(
            f"{value!r} is not a period of this page.",
            field="hours",
            remedy="Choose a period from the list.",
        )
    return float(value)


def call_page(view: PageContext) -> Page:
    """Return the page of all log entries with one request id."""
    id = view.fields.get("id", "")
    entries = view.reader.calls(LogQuery(id=id, limit=PAGE)).items
    if not entries:
        raise InvalidData(
            f"The integration log has no call {id!r}.",
            field="id",
            remedy="The call may have been removed since. Go back to the list of calls.",
        )
    current_time = view.reader.now()
    sections = [
        section(
            f"{entry.service}: {entry.operation or 'call'}",
            facts(
                [
                    ("Outcome", state_mark(spaced_name(entry.status.value), outcome_kind(entry))),
                    ("Began", moment(entry.started_at, current_time)),
                    ("Duration", span(entry.duration)),
                    ("Attempts", entry.attempts),
                    ("Error", entry.error),
                    ("Message", entry.error_message),
                    ("Request", " ".join(filter(None, (entry.method, entry.route)))),
                    ("HTTP status", entry.http_status),
                    ("Vendor's code", entry.vendor_code),
                    ("Idempotency key", entry.idempotency_key),
                    ("Trace", entry.trace_id),
                    ("Vendor", entry.vendor),
                    ("Account", entry.account),
                    ("Tenant", entry.tenant),
                    ("Region", entry.region),
                    ("Subject", entry.subject),
                ]
            ),
            _content("What was sent", entry.request),
            _content("What came back", entry.response),
            tag(
                "p",
                link(
                    view.request,
                    "The service now",
                    "/service",
                    service=entry.service,
                    tenant=entry.tenant,
                ),
            ),
        )
        for entry in entries
    ]
    return Page(f"Call {id}", [*sections])


def _content(title: str, text: str | None) -> Node:
    """Return a stored request or response in a collapsible element; None if none is stored."""
    return None if text is None else tag("details", tag("summary", title), tag("pre", text))


def calls_table(view: PageContext, entries: Iterable[IntegrationLog], empty_text: str) -> Node:
    """Return log entries as a table; if there are none, the text `empty_text`."""
    current_time = view.reader.now()
    rows: list[list[Node]] = [
        [
            link(view.request, moment(entry.started_at, current_time), "/call", id=entry.id),
            entry.service,
            entry.operation,
            entry.tenant,
            state_mark(spaced_name(entry.status.value), outcome_kind(entry)),
            entry.error,
            span(entry.duration),
        ]
        for entry in entries
    ]
    if not rows:
        return tag("p", empty_text, class_="soft")
    return table(("Began", "Service", "Operation", "Tenant", "Outcome", "Error", "Took"), rows)


def key_calls(view: PageContext, calls: Iterable[IntegrationLog]) -> Node:
    """Return the calls under one idempotency key as a table."""
    current_time = view.reader.now()
    rows: list[list[Node]] = [
        [
            link(view.request, moment(call.started_at, current_time), "/call", id=call.id),
            tag("code", call.id),
            call.service,
            state_mark(spaced_name(call.status.value), outcome_kind(call)),
            call.error,
            call.http_status,
            call.attempts,
            span(call.duration),
        ]
        for call in calls
    ]
    if not rows:
        return tag("p", "The integration log has no call under this key.", class_="soft")
    columns = ("Call", "Request id", "Account", "Outcome", "Error", "HTTP", "Attempts", "Took")
    return join_nodes(tag("h3", "Calls under this key"), table(columns, rows))


def outcome_kind(entry: IntegrationLog) -> str:
    """Return the mark for a call's outcome: good, warn or bad."""
    return _KINDS.get(entry.status, "bad")
