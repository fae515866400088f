"""The source of stored webhooks: each webhook is settled only after the sink has it."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AsyncWebhookInbox,
    ConfigurationError,
    InvalidData,
    Pipeline,
    PollLimits,
    StorageUnavailable,
    UnsupportedByVendor,
    VendorFailed,
)
from moorage.adapters.entries.memory import AsyncMemoryInbox, MemoryInbox
from moorage.adapters.entries.sqlite import AsyncSqliteInbox
from moorage.domain.webhooks.events import WebhookEvent
from moorage.hub.inbox import EntryQuery, EntryState
from moorage.hub.internals import inbox_flows_of
from moorage.hub.webhook_source import WebhookSource
from moorage.testing import MemoryDeadLetters, MemorySink, name_of, source_conformance
from tests.pipelines import webhook_worker
from tests.pipelines.pipeline_waiting import PATIENCE, until
from tests.pipelines.webhook_worker import delivery, open_hub

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from moorage import AsyncHub, Message, SinkRecord
    from moorage.hub.inbox import InboxEntry

MANY = PollLimits(1_000, 1_000_000, 0.001)


@pytest.fixture(name="hub")
def _hub() -> Generator[AsyncHub]:
    """Yield a hub with a Stripe account."""
    hub = open_hub()
    yield hub
    asyncio.run(hub.close())


def make_inbox(hub: AsyncHub, store: Any = None) -> AsyncWebhookInbox:
    """Return an inbox over a store, by default a new one in memory."""
    return AsyncWebhookInbox(hub, store or AsyncMemoryInbox(MemoryInbox()))


async def ignore_revocation(_: object) -> None:
    """Do nothing when partitions are revoked."""


async def states(inbox: AsyncWebhookInbox) -> list[EntryState]:
    """Return the states of all webhooks, oldest first."""
    return [entry.state for entry in reversed((await inbox.find(EntryQuery())).items)]


async def test_webhooks_are_records(hub: AsyncHub) -> None:
    """A record has the event as JSON, with its origin and its subject."""
    inbox = make_inbox(hub)
    entry = await inbox.receive("stripe", **delivery("evt_1", amount=5))
    source = WebhookSource(inbox, interval=0.01)
    await source.open(ignore_revocation)
    [record] = await source.poll(MANY)
    assert "evt_1" == record.json()["id"]
    assert (f"{entry.id}/0", "stripe", entry.lane) == (
        record.identity,
        record.topic,
        record.key and record.key.decode(),
    )
    assert [
        ("webhook-account", "stripe"),
        ("webhook-vendor", "stripe"),
        ("webhook-type", "charge.updated"),
    ] == list(record.attributes)
    assert [EntryState.CLAIMED] == await states(inbox)
    await source.commit([record])
    assert [EntryState.DONE] == await states(inbox)
    # A second commit, as if another worker had taken the webhook, changes nothing.
    await source.commit([record])
    await source.close()


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_pipeline_settles_after_the_sink(hub: AsyncHub, kind: str, tmp_path: Path) -> None:
    """A webhook is done only once the sink or the dead letters have its records."""
    file = AsyncSqliteInbox(tmp_path / "inbox.db", create=True)
    inbox = make_inbox(hub, file if kind == "file" else None)
    for number in range(4):
        await inbox.receive("stripe", **delivery(f"evt_{number}"))
    seen: list[list[EntryState]] = []

    async def record_states(record: SinkRecord) -> SinkRecord:
        seen.append(await states(inbox))
        return record

    def judge(record: SinkRecord) -> Exception | None:
        return InvalidData("This one is bad.") if record.json()["id"] == "evt_2" else None

    letters, sink = MemoryDeadLetters(), MemorySink(judge, reports_each_record=True)
    source = WebhookSource(inbox, interval=0.01)
    pipeline = Pipeline("webhooks", source, sink, dead_letters=letters, transforms=[record_states])
    run_task = asyncio.create_task(pipeline.run())
    await until(lambda: pipeline.statistics().committed == 4)
    pipeline.stop()
    await run_task
    assert ["evt_0", "evt_1", "evt_3"] == [value["id"] for value in sink.values]
    assert ["evt_2"] == [letter.record.json()["id"] for letter in letters.letters]
    assert EntryState.DONE not in seen[0]
    assert [EntryState.DONE] * 4 == await states(inbox)
    await file.aclose()


async def test_stopped_source_gives_webhooks_back(hub: AsyncHub) -> None:
    """A source that closes or reopens releases unfinished webhooks, without counting an attempt."""
    inbox = make_inbox(hub)
    await inbox.receive("stripe", **delivery("evt_1"))
    source = WebhookSource(inbox)
    for end in (source.close, lambda: source.open(ignore_revocation)):
        await source.open(ignore_revocation)
        [record] = await source.poll(MANY)
        await end()
        [entry] = (await inbox.find(EntryQuery())).items
        assert (EntryState.WAITING, 0) == (entry.state, entry.attempts)
        # This source no longer holds the webhook.
        await source.commit([record])
        assert [EntryState.WAITING] == await states(inbox)
    await source.close()


async def test_webhook_with_several_events_is_done_with_the_last(hub: AsyncHub) -> None:
    """A webhook with several events is done when the records of all events are done."""
    inbox = make_inbox(hub)
    entry = await inbox.receive("stripe", **delivery("evt_1"))
    [event] = inbox.webhooks(entry)
    events = (event, attrs.evolve(event, payload=b"no JSON", type="", vendor_type="other"), event)
    flows: Any = inbox_flows_of(inbox)  # no vendor sends this webhook
    flows.webhooks = lambda _: events
    source = WebhookSource(inbox)
    await source.open(ignore_revocation)
    first = await source.poll(PollLimits(100, 1, 0.001))
    rest = await source.poll(PollLimits(2, 1_000_000, 0.001))
    assert (1, 2) == (len(first), len(rest))
    assert event.body == rest[0].payload
    assert "other" in rest[0].values_of("webhook-type")
    await source.commit(rest)
    assert [EntryState.CLAIMED] == await states(inbox)
    await source.commit(first)
    assert [EntryState.DONE] == await states(inbox)
    await source.close()


async def test_confirmations_are_no_records(hub: AsyncHub) -> None:
    """A webhook that requests confirmation is confirmed and done, or retried later."""
    inbox = make_inbox(hub)
    await inbox.receive("stripe", **delivery("evt_1"))
    flows: Any = inbox_flows_of(inbox)  # Stripe asks for no confirmation
    asking = WebhookEvent(
        vendor="stripe", id="evt_1", type="a", vendor_type="a", confirm="https://example.com/"
    )
    flows.webhooks = lambda _: (asking,)
    failures: list[Exception | None] = [VendorFailed("Not now."), None]

    async def confirm(_: str, __: WebhookEvent) -> bool:
        if error := failures.pop(0):
            raise error
        return True

    flows._senders = attrs.evolve(flows._senders, confirm=confirm)  # noqa: SLF001 - the reader of this confirmation is private
    source = WebhookSource(inbox)
    await source.open(ignore_revocation)
    assert [] == await source.poll(MANY._replace(wait=0.0))
    [entry] = (await inbox.find(EntryQuery())).items
    assert (EntryState.WAITING, 1) == (entry.state, entry.attempts)
    assert "VendorFailed" in entry.error
    await inbox.replay(entry.id)
    assert [] == await source.poll(MANY)
    assert [EntryState.DONE] == await states(inbox)
    await source.close()


class UnsteadyInbox(AsyncMemoryInbox):
    """A store in memory that fails or hangs on request."""

    is_away = False
    hangs: asyncio.Event | None = None

    async def due(self, limit: int, /) -> tuple[InboxEntry, ...]:
        """Return the due entries; fail or hang if the test wants that."""
        if self.is_away:
            raise StorageUnavailable("It is away.")
        if self.hangs is not None:
            await self.hangs.wait()
        return await super().due(limit)


async def test_cancelled_poll_loses_nothing(hub: AsyncHub) -> None:
    """Webhooks that a cancelled poll was taking are delivered by the next poll, or released."""
    store = UnsteadyInbox(MemoryInbox())
    inbox = make_inbox(hub, store)
    await inbox.receive("stripe", **delivery("evt_1"))
    source = WebhookSource(inbox)
    for is_polled_again in (True, False):
        await source.open(ignore_revocation)
        store.hangs = asyncio.Event()
        polling = asyncio.create_task(source.poll(MANY))
        await asyncio.sleep(0)
        await until(lambda: source._claiming is not None)  # noqa: SLF001 - the moment to cut it off
        polling.cancel()
        await asyncio.wait([polling])
        store.hangs.set()
        if is_polled_again:
            assert 1 == len(await source.poll(MANY))
        await source.close()
        assert [EntryState.WAITING] == await states(inbox)


async def test_poll_that_is_cancelled_as_its_claim_ends_loses_nothing(hub: AsyncHub) -> None:
    """Webhooks that the store returned in the moment of a cancellation come with the next poll."""
    store = UnsteadyInbox(MemoryInbox())
    inbox = make_inbox(hub, store)
    await inbox.receive("stripe", **delivery("evt_1"))
    source = WebhookSource(inbox)
    await source.open(ignore_revocation)
    store.hangs = asyncio.Event()
    polling = asyncio.create_task(source.poll(MANY))
    await asyncio.sleep(0)
    claiming: Any = source._claiming  # noqa: SLF001 - its end is the moment to cut the poll off
    await asyncio.sleep(0)
    claiming.add_done_callback(lambda _: polling.cancel())
    store.hangs.set()
    await asyncio.wait([polling])

    assert polling.cancelled()
    assert 1 == len(await source.poll(MANY._replace(wait=0.0)))
    await source.close()


async def test_cancelled_poll_keeps_the_webhooks_it_was_reading(
    hub: AsyncHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a poll is cancelled between two webhooks, the next poll returns the records of both."""
    inbox = make_inbox(hub)
    for number in range(2):
        await inbox.receive("stripe", **delivery(f"evt_{number}"))
    flows, reading = inbox_flows_of(inbox), asyncio.Event()
    confirmed = type(flows).confirmed
    hangs = True

    async def hang_at_the_second(entry: InboxEntry) -> Sequence[WebhookEvent]:
        if hangs and entry.id == second.id:
            reading.set()
            await asyncio.Event().wait()
        return await confirmed(flows, entry)

    second = (await inbox.find(EntryQuery())).items[0]
    monkeypatch.setattr(flows, "confirmed", hang_at_the_second)
    source = WebhookSource(inbox)
    await source.open(ignore_revocation)
    polling = asyncio.create_task(source.poll(MANY))
    await asyncio.wait_for(reading.wait(), PATIENCE)
    polling.cancel()
    await asyncio.wait([polling])
    hangs = False
    records = [*await source.poll(MANY), *await source.poll(MANY)]
    assert ["evt_0", "evt_1"] == [record.json()["id"] for record in records]
    await source.commit(records)
    assert [EntryState.DONE] * 2 == await states(inbox)
    await source.close()


async def test_store_that_is_away_is_a_temporary_error(hub: AsyncHub) -> None:
    """If the store is unavailable, a poll raises a temporary error and the source can be closed."""
    store = UnsteadyInbox(MemoryInbox())
    source = WebhookSource(make_inbox(hub, store))
    await source.open(ignore_revocation)
    store.is_away = True
    with pytest.raises(StorageUnavailable) as excinfo:
        await source.poll(MANY)
    assert excinfo.value.retryable
    await source.close()


async def test_wrong_inbox_and_positions_are_refused(hub: AsyncHub) -> None:
    """Only an asynchronous inbox can be a source, and this source has no positions."""
    with pytest.raises(ConfigurationError, match="not an asynchronous inbox"):
        WebhookSource(object())  # type: ignore[arg-type]  # the mistake
    source = WebhookSource(make_inbox(hub))
    with pytest.raises(UnsupportedByVendor, match="no positions"):
        await source.seek(("stripe", None), 1)
    await source.extend([])


class Payloads(WebhookSource):
    """A webhook source whose records carry the payloads and keys that the conformance kit sends."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord]:
        """Return a poll's records with the content of the kit's messages."""
        records = await super().poll(limits)
        objects = [record.json()["data"]["object"] for record in records]
        return [
            attrs.evolve(record, payload=item["payload"].encode(), key=item["key"])
            for record, item in zip(records, objects, strict=True)
        ]


@pytest.mark.parametrize("check", source_conformance.CHECKS, ids=name_of)
async def test_source_passes_source_conformance_kit(
    check: source_conformance.Check, hub: AsyncHub
) -> None:
    """The source passes the source conformance kit."""
    inbox = make_inbox(hub)
    published = 0

    async def publish(messages: Sequence[Message]) -> None:
        nonlocal published
        for message in messages:
            published += 1
            fields = {"key": message.key and message.key.decode()}
            content = delivery(f"evt_{published}", payload=message.payload.decode(), **fields)
            await inbox.receive("stripe", **content)

    await check(
        source_conformance.SourceSubject(
            make=lambda: Payloads(inbox, interval=0.01),
            publish=publish,
            keeps=frozenset({"key"}),
        )
    )


async def test_killed_worker_loses_no_webhook(hub: AsyncHub, tmp_path: Path) -> None:
    """After kill -9 at any moment the next worker delivers every accepted webhook."""
    database, ids_file = tmp_path / "inbox.db", tmp_path / "ids"
    ids_file.touch()
    count = 120
    async with AsyncSqliteInbox(database, create=True) as store:
        inbox = AsyncWebhookInbox(hub, store, lease=1.5)
        for number in range(count):
            await inbox.receive("stripe", **delivery(f"evt_{number}"))
        for enough in (10, 50, count):
            program = [
                sys.executable,
                str(Path(webhook_worker.__file__)),
                str(database),
                str(ids_file),
            ]
            worker = await asyncio.create_subprocess_exec(*program)
            try:
                await until(partial(_has_count, ids_file, enough))
            finally:
                worker.kill()
                await asyncio.wait_for(worker.wait(), PATIENCE)
        assert {f"evt_{number}" for number in range(count)} == set(ids_file.read_text().split())


def _has_count(file: Path, count: int) -> bool:
    """Return whether a file has at least this many different lines."""
    return len(set(file.read_text().split())) >= count
