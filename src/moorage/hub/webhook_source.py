"""A pipeline source of the webhooks that an inbox has stored.

Laws:

1. A webhook is stored in the inbox before its sender is answered, and is done only when all its
   records are committed. So no webhook is lost if a process dies.
2. Webhooks about one object are delivered one after another, in the order of their arrival.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from moorage.domain.pipelines.records import SinkRecord, SourceRecord
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import seconds
from moorage.domain.values.result import Result
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, UnsupportedByVendor
from moorage.hub.inbox import AsyncWebhookInbox
from moorage.hub.internals import inbox_flows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from moorage.domain.entries.inbox import InboxEntry
    from moorage.domain.entries.renewal import HeldEntry
    from moorage.domain.pipelines.records import Offset, Partition
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.ports.pipelines import PollLimits, Revocation

_MOST_WEBHOOKS: Final = 100
"""The largest number of webhooks that are taken together."""


@attrs.define(eq=False)
class _Delivery:
    """A webhook that this source has taken from the inbox.

    Attributes:
        entry: the webhook as it was taken.
        lease: the delivery's lease, which is renewed.
        open: the ids of its records that are not committed yet.
    """

    entry: InboxEntry
    lease: HeldEntry
    open: set[str]


@with_careful_constructor
class WebhookSource:
    """A pipeline source of the events of webhooks in an inbox.

    Receive webhooks with `AsyncWebhookInbox.answer`, in this process or in another one. A webhook
    with several events becomes several records. Several sources may share an inbox, also with
    workers that call `handle`: each webhook goes to one of them.

    The payload of a record is the event as the vendor sent it, as JSON. Its topic is the account,
    its key the object of the webhook, and its attributes `webhook-account`, `webhook-vendor`,
    `webhook-type` and `webhook-tenant`.

    Args:
        inbox: the inbox.
        interval: seconds between two queries of an inbox that returned nothing.
    """

    commits: Literal["each", "prefix"] = "each"
    extend_every: float | None = None

    def __init__(self, inbox: AsyncWebhookInbox, *, interval: float | timedelta = 1.0) -> None:
        if not isinstance(inbox, AsyncWebhookInbox):
            raise ConfigurationError(
                f"An object of type {type(inbox).__name__} is not an asynchronous inbox.",
                path="inbox",
                remedy="Give an AsyncWebhookInbox, because pipelines run in an event loop.",
            )
        self._flows = inbox_flows_of(inbox)
        self._interval = seconds(interval, "interval")
        self._claiming: asyncio.Task[list[tuple[InboxEntry, HeldEntry]]] | None = None
        self._unread: list[_Delivery] = []
        self._deliveries: dict[str, _Delivery] = {}
        self._by_record: dict[str, _Delivery] = {}
        self._ready: list[SinkRecord] = []
        self._is_open = False

    async def open(self, revoked: Revocation, /) -> None:
        """Give back the webhooks that an earlier run of the source took, and start delivering."""
        if self._is_open:
            await revoked(None)
        await self.close()
        self._is_open = True

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord]:
        """Return the pipeline records of webhooks that are due."""
        time = asyncio.get_running_loop().time
        deadline = time() + limits.wait
        while not self._ready:
            await self._take_records(min(limits.records, _MOST_WEBHOOKS))
            time_left = deadline - time()
            if not self._ready:
                if time_left <= 0:
                    return []
                await asyncio.sleep(min(time_left, self._interval))
        count, size = 0, 0
        for record in self._ready[: limits.records]:
            size += len(record.payload)
            if count and size > limits.size:
                break
            count += 1
        records, self._ready = self._ready[:count], self._ready[count:]
        return records

    async def _take_records(self, limit: int) -> None:
        """Claim webhooks and make records of them; a cancelled call is continued by the next."""
        if not self._unread:
            await self._claim(limit)
        while self._unread:
            await self._deliver(self._unread[0])
            del self._unread[0]

    async def _claim(self, limit: int) -> None:
        claim_task = self._claiming or asyncio.create_task(self._flows.claim(limit))
        self._claiming = claim_task
        # The task is not awaited itself, or its result would be lost if this call is cancelled in
        # the moment in which the task ends.
        await asyncio.wait([claim_task])
        self._claiming = None
        claims = claim_task.result()
        self._unread = [_Delivery(entry, lease, set()) for entry, lease in claims]
        self._deliveries |= {delivery.entry.id: delivery for delivery in self._unread}

    async def _deliver(self, delivery: _Delivery) -> None:
        """Make records of a webhook; retry later if it cannot be read or confirmed."""
        entry = delivery.entry
        try:
            events = await self._flows.confirmed(entry)
        except ConnectorError as error:
            await self._flows.settled(entry, Result(error=error))
            self._flows.abandon(delivery.lease)
            self._forget(delivery)
            return
        records = [
            _sink_record(entry, event, number)
            for number, event in enumerate(events)
            if event.confirm is None
        ]
        if not records:
            await self._settle(delivery, is_done=True)
        for record in records:
            delivery.open.add(record.identity)
            self._by_record[record.identity] = delivery
        self._ready += records

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Mark as done the webhooks whose records are all committed."""
        for delivery in self._deliveries_of(records):
            delivery.open.difference_update(record.identity for record in records)
            if not delivery.open:
                await self._settle(delivery, is_done=True)

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Release webhooks, so that they are delivered again."""
        for delivery in self._deliveries_of(records):
            await self._settle(delivery, is_done=False)

    def _deliveries_of(self, records: Iterable[SinkRecord]) -> list[_Delivery]:
        """Return the webhooks of those records that this source has not released."""
        deliveries = (self._by_record.get(record.identity) for record in records)
        return list(dict.fromkeys(delivery for delivery in deliveries if delivery is not None))

    async def _settle(self, delivery: _Delivery, *, is_done: bool) -> None:
        await self._flows.settle_claim(delivery.entry, delivery.lease, is_done=is_done)
        self._forget(delivery)

    def _forget(self, delivery: _Delivery) -> None:
        self._deliveries.pop(delivery.entry.id, None)
        self._by_record = {
            id: other_delivery
            for id, other_delivery in self._by_record.items()
            if other_delivery is not delivery
        }
        self._ready = [record for record in self._ready if record.identity in self._by_record]

    async def extend(self, _: Sequence[SinkRecord], /) -> None:
        """Do nothing, because leases are renewed in the background."""

    async def seek(self, _: Partition, __: Offset, /) -> None:
        """Raise an error, because an inbox has no positions.

        Raises:
            UnsupportedByVendor: always.
        """
        raise UnsupportedByVendor(
            "An inbox of webhooks has no positions to which a pipeline could return.",
            remedy="To process a webhook again, call `inbox.replay`.",
        )

    async def close(self) -> None:
        """Give back the unfinished webhooks; if the store fails, they return when leases end."""
        self._is_open = False
        claiming_task, self._claiming = self._claiming, None
        deliveries = list(self._deliveries.values())
        self._unread, self._deliveries, self._by_record, self._ready = [], {}, {}, []
        with suppress(ConnectorError):
            if claiming_task is not None:
                claims = await claiming_task
                deliveries += [_Delivery(entry, lease, set()) for entry, lease in claims]
            for delivery in deliveries:
                await self._flows.settle_claim(delivery.entry, delivery.lease, is_done=False)


def _sink_record(entry: InboxEntry, event: WebhookEvent, number: int) -> SinkRecord:
    """Return a webhook's event as a pipeline record."""
    fields: dict[str, Any] = {
        "key": entry.lane,
        "id": f"{entry.id}/{number}",
        "published_at": event.time or entry.added_at,
        "attributes": [
            (f"webhook-{name}", text)
            for name, text in (
                ("account", entry.account),
                ("vendor", event.vendor),
                ("type", event.type or event.vendor_type),
                ("tenant", entry.tenant),
            )
            if text
        ],
    }
    try:
        record = SourceRecord.of_json(event.payload, **fields)
    except InvalidData:
        record = SourceRecord(event.body, **fields)
    return SinkRecord.from_source(record, entry.account)
