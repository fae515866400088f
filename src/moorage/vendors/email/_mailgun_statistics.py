"""The statistics of a domain at Mailgun, in pages of days."""

from __future__ import annotations

from datetime import UTC, datetime, time
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailCounts, EmailStatistics, StatisticsQuery

if TYPE_CHECKING:
    from datetime import date


_PAGE: Final = 1_000
_COUNTS: Final = (
    ("accepted_outgoing_count", "requested"),
    ("processed_count", "processed"),
    ("delivered_smtp_count", "delivered"),
    ("temporary_failed_count", "deferred"),
    ("bounced_count", "bounced"),
    ("permanent_failed_esp_block_count", "blocked"),
    ("suppressed_bounces_count", "dropped"),
    ("suppressed_unsubscribed_count", "dropped"),
    ("suppressed_complaints_count", "dropped"),
    ("opened_count", "opened"),
    ("unique_opened_count", "unique_opened"),
    ("clicked_count", "clicked"),
    ("unique_clicked_count", "unique_clicked"),
    ("complained_count", "complained"),
    ("unsubscribed_count", "unsubscribed"),
)


async def statistics(wire: sdk.Wire, domain: str, query: StatisticsQuery) -> EmailStatistics:
    """The statistics of a range of days, summed over all pages."""
    rows: list[sdk.Answer] = []
    days = (query.end - query.start).days + 1
    while True:
        body = metrics_body(domain, query, len(rows))
        request = sdk.Request.post("/v1/analytics/metrics", json=body).evolve(idempotent=True)
        response = await wire.send(request)
        fields = sdk.read_answer(response)
        page_rows = _read_rows(fields, response)
        rows += page_rows
        # Mailgun may allow a shorter page than requested, and states its length.
        page = fields.integer("pagination.limit") or _PAGE
        if len(page_rows) < page or len(rows) >= days:
            return _read_metrics(query, rows, response)


def metrics_body(domain: str, query: StatisticsQuery, skip: int) -> dict[str, Any]:
    """The body that requests statistics."""
    return {
        "start": _day_text(query.start, time.min),
        "end": _day_text(query.end, time(23, 59, 59)),
        "resolution": "day",
        "dimensions": ["time"],
        "metrics": [metric_name for metric_name, _ in _COUNTS],
        "filter": {
            "AND": [
                {
                    "attribute": "domain",
                    "comparator": "=",
                    "values": [{"label": domain, "value": domain}],
                }
            ]
        },
        "pagination": {"skip": skip, "limit": _PAGE},
    }


def _day_text(day: date, at: time) -> str:
    return format_datetime(datetime.combine(day, at, UTC))


def _read_rows(fields: sdk.Answer, response: sdk.Response) -> list[sdk.Answer]:
    """The rows on a page of statistics."""
    if not sdk.is_list(fields.value("items")):
        raise sdk.malformed(response, "items")
    return list(fields.objects("items"))


def _read_metrics(
    query: StatisticsQuery, rows: list[sdk.Answer], response: sdk.Response
) -> EmailStatistics:
    """Parse the email statistics in a response."""
    counted_pairs: list[tuple[date, EmailCounts]] = []
    for row in rows:
        day = sdk.required(row.time("dimensions.0.value"), response, "time")
        if query.start <= day.date() <= query.end:
            numbers = row.object("metrics")
            counted_pairs += [
                (day.date(), EmailCounts(**{field_name: numbers.integer(metric_name)}))
                for metric_name, field_name in _COUNTS
            ]
    return EmailStatistics.of(query, counted_pairs, [row.raw for row in rows])
