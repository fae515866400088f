"""Lists of transactions at Authorize.Net: the unsettled ones, and those of settled batches.

A page of payments is a page of the list of unsettled transactions, or of the list of a batch. The
list of batches covers at most 31 days, so it is requested for one period after the other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._authorize_net_requests import (
    PAGE,
    page_fields,
    question,
    time_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import PaymentQuery

_OVERLAP: Final = timedelta(seconds=1)
_PERIOD: Final = timedelta(days=31) - _OVERLAP
"""The period of one list of batches: Authorize.Net lists at most 31 days, with the overlap."""
_OLDEST: Final = timedelta(days=731)
"""How far a list without a start goes back."""
_UNSETTLED: Final = "unsettled"
_BATCHES: Final = "batches"


@attrs.frozen
class ListPosition:
    """A position in the list of all transactions.

    Attributes:
        end: end of the period whose batches are listed; None in the list of unsettled transactions.
        batch: id of the batch; None before the first batch of the period.
        page: number of the page in the list of unsettled transactions or of the batch.
    """

    end: datetime | None = None
    batch: str | None = None
    page: int = 1

    @classmethod
    def parse(cls, ref: sdk.Ref | None) -> ListPosition:
        """The position that a reference of a page names; the start if there is none."""
        if ref is None:
            return cls()
        end, batch, page = ref.other("end"), ref.other("batch"), ref.other("page") or "1"
        return cls(None if end is None else datetime.fromisoformat(end), batch, int(page))

    def reference(self, wire: sdk.Wire) -> sdk.Ref:
        """The reference of the page at this position."""
        return wire.ref(
            _UNSETTLED if self.end is None else _BATCHES,
            end=None if self.end is None else time_text(self.end),
            batch=self.batch,
            page=str(self.page),
        )


async def next_rows(
    wire: sdk.Wire, query: PaymentQuery, position: ListPosition
) -> tuple[list[sdk.Answer], ListPosition | None]:
    """The transactions at a position, newest first, and the next position; None at the end."""
    size = min(query.limit, PAGE)
    if position.end is None:
        rows, has_more = await unsettled_rows(wire, position.page, size)
        if has_more:
            return rows, attrs.evolve(position, page=position.page + 1)
        return rows, ListPosition(end=wire.now())
    start = max(position.end - _PERIOD, query.since or wire.now() - _OLDEST)
    is_last_period = start <= (query.since or wire.now() - _OLDEST)
    batches = await _batches(wire, start, position.end, with_start=is_last_period)
    batch = position.batch or next(iter(batches), None)
    earlier_period = ListPosition(end=start)
    after_period = None if is_last_period else earlier_period
    if batch is None:
        return [], after_period
    fields = {"batchId": batch, **page_fields(position.page, size)}
    rows, has_more = _rows(
        await wire.send(question("getTransactionList", **fields), reads=True), position.page, size
    )
    if has_more:
        return rows, attrs.evolve(position, batch=batch, page=position.page + 1)
    later_batches = batches[batches.index(batch) + 1 :] if batch in batches else []
    if later_batches:
        return rows, attrs.evolve(position, batch=later_batches[0], page=1)
    return rows, after_period


async def unsettled_rows(
    wire: sdk.Wire, page: int, size: int = PAGE
) -> tuple[list[sdk.Answer], bool]:
    """A page of unsettled transactions, newest first, and whether there are more."""
    request = question("getUnsettledTransactionList", **page_fields(page, size))
    return _rows(await wire.send(request, reads=True), page, size)


async def _batches(
    wire: sdk.Wire, start: datetime, end: datetime, *, with_start: bool
) -> list[str]:
    """The ids of the batches that were settled in a period, newest first.

    A period has its last second, and its first only if no earlier period follows, so that a batch
    at the boundary belongs to one period.
    """
    first, last = (moment.replace(microsecond=0) for moment in (start, end))
    request = question(
        "getSettledBatchList",
        firstSettlementDate=time_text(first),
        lastSettlementDate=time_text(last + _OVERLAP),
    )
    answer = sdk.read_answer(await wire.send(request, reads=True))
    times: Mapping[str, datetime] = {
        id_: (batch.time("settlementTimeUTC") or last).replace(microsecond=0)
        for batch in answer.objects("batchList")
        if (id_ := batch.text("batchId")) is not None
    }
    inside = [id_ for id_, time in times.items() if time <= last and (with_start or time > first)]
    return sorted(inside, key=lambda id_: (times[id_], id_), reverse=True)


def _rows(response: sdk.Response, page: int, size: int) -> tuple[list[sdk.Answer], bool]:
    """The transactions in a response, and whether there are more.

    Raises:
        VendorFailed: the response has neither transactions nor the message that there are none.
    """
    answer = sdk.read_answer(response)
    if not sdk.is_list(answer.value("transactions")):
        if answer.text("messages.resultCode") != "Ok":
            raise sdk.malformed(response, "transactions")
        return [], False
    rows = list(answer.objects("transactions"))
    total = answer.integer("totalNumInResultSet")
    return rows, len(rows) == size if total is None else page * size < total
