"""PayPal's transaction report, a list of captures and payouts.

A report covers 31 days at most, so that a longer time is read as several reports, the newest first.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Page,
    Payment,
    PaymentState,
    Payout,
    PayoutState,
    payment_ref,
)
from moorage.vendors.payments._common import is_within
from moorage.vendors.payments._paypal_answers import money

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.payments import PaymentQuery

_MAX_PERIOD: Final = timedelta(days=31)
_LONGEST_PAGE: Final = 500
_FIRST_DAY: Final = datetime(1999, 1, 1, tzinfo=UTC)
"""The earliest time for which PayPal reports transactions."""

_PAYMENTS: Final = "T00"
_WITHDRAWALS: Final = "T04"
_STATES: Final = {
    "S": PaymentState.CAPTURED,
    "P": PaymentState.PENDING,
    "D": PaymentState.FAILED,
    "V": PaymentState.REFUNDED,
}
_PAYOUTS: Final = {
    "S": PayoutState.PAID,
    "P": PayoutState.PENDING,
    "D": PayoutState.FAILED,
    "V": PayoutState.CANCELED,
}


@attrs.frozen
class ReportPage:
    """One page of a report, and the period of the report."""

    since: datetime
    until: datetime
    page: int

    def query(self, limit: int) -> dict[str, Any]:
        """The request for this page."""
        return {
            "start_date": _written_time(self.since),
            "end_date": _written_time(self.until),
            "fields": "transaction_info",
            "page_size": min(limit, _LONGEST_PAGE),
            "page": self.page,
        }

    def following(self, query: PaymentQuery, pages: int) -> str | None:
        """The next page, given the number of pages of this report."""
        if self.page < pages:
            # With microseconds, so that every page has the same end as the first page.
            return f"{self.until.astimezone(UTC).isoformat()},{self.page + 1}"
        if query.since is not None and query.since < self.since:
            return f"{_written_time(self.since)},1"
        return None


async def reported(
    wire: sdk.Wire,
    query: PaymentQuery,
    after: sdk.Ref | None,
    read_one: Callable[[sdk.MakeRef, sdk.Answer], Any],
) -> Page[Any]:
    """A page of the report, with its transactions converted."""
    period = report_period(query, after, wire.now())
    request = sdk.Request.get("/v1/reporting/transactions", query=period.query(query.limit))
    response = await wire.send(request)
    body = sdk.read_answer(response)
    if not sdk.is_list(body.raw.get("transaction_details", [])):
        raise sdk.malformed(response, "transaction_details")
    elements = (
        transaction_detail.object("transaction_info")
        for transaction_detail in body.objects("transaction_details")
    )
    results = (item for element in elements if (item := read_one(wire.ref, element)) is not None)
    # A report includes its last second, which is also the first second of the next period.
    edge = query.until if after is None else period.until
    items = (
        element
        for element in results
        if is_within(attrs.evolve(query, until=edge), element.created_at)
    )
    next_stretch = period.following(query, body.integer("total_pages") or 0)
    return Page(tuple(items), None if next_stretch is None else wire.ref(next_stretch))


def report_period(query: PaymentQuery, after: sdk.Ref | None, now: datetime) -> ReportPage:
    """The period that a report request covers; without a start, the last 31 days.

    Raises:
        InvalidData: the cursor is not the `next` of a page of this report.
    """
    stretch_end, page = query.until or now, 1
    if after is not None:
        stretch_end, page = _read_next(after)
    stretch_end = max(stretch_end, _FIRST_DAY)
    stretch_start = stretch_end - _MAX_PERIOD
    return ReportPage(
        stretch_start if query.since is None else max(stretch_start, query.since), stretch_end, page
    )


def _read_next(after: sdk.Ref) -> tuple[datetime, int]:
    end_time, _, number = after.id.rpartition(",")
    end = sdk.as_time(end_time)
    if end is None or not number.isdecimal():
        raise sdk.InvalidData(
            "The cursor does not identify a page of PayPal's report.",
            field="after",
            remedy="Pass the `next` of the previous page.",
        )
    return end, int(number)


def _written_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def payment_in(make: sdk.MakeRef, info: sdk.Answer) -> Payment | None:
    """The payment of a capture in the report; None for other transactions."""
    key, amount = _id_in_group(info, _PAYMENTS), money(info, "transaction_amount")
    if key is None or amount is None or amount.minor <= 0:
        return None
    status = info.text("transaction_status")
    state = _STATES.get(status or "", PaymentState.UNKNOWN)
    return Payment(
        ref=payment_ref(make, key, amount, capture=key),
        state=state,
        vendor_state=status,
        amount=amount,
        captured=amount if state is PaymentState.CAPTURED else None,
        reference=info.text("custom_field"),
        created_at=info.time("transaction_initiation_date"),
        as_of=info.time("transaction_updated_date"),
        raw=info.raw,
    )


def payout_in(make: sdk.MakeRef, info: sdk.Answer) -> Payout | None:
    """The payout of a bank withdrawal in the report; None for other transactions."""
    key, amount = _id_in_group(info, _WITHDRAWALS), money(info, "transaction_amount")
    if key is None:
        return None
    status = info.text("transaction_status")
    return Payout(
        ref=make(key),
        state=_PAYOUTS.get(status or "", PayoutState.UNKNOWN),
        vendor_state=status,
        # Money that leaves the account at PayPal arrives at the bank.
        amount=None if amount is None else amount * -1,
        created_at=info.time("transaction_initiation_date"),
        raw=info.raw,
    )


def _id_in_group(info: sdk.Answer, group: str) -> str | None:
    """The id of a transaction in this group of event codes; None for others."""
    code = info.text("transaction_event_code") or ""
    return info.text("transaction_id") if code.startswith(group) else None
