"""An outbox call with an unknown outcome is settled as soon as its outcome becomes known."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from moorage import (
    AsyncHub,
    AsyncOutbox,
    Hub,
    Outbox,
    OutcomeUnknown,
    PaymentDeclined,
    StorageUnavailable,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.entries.memory import AsyncMemoryOutbox, MemoryOutbox
from moorage.adapters.entries.sql import AsyncSqlOutbox, SqlOutbox
from moorage.adapters.entries.sqlite import AsyncSqliteOutbox, SqliteOutbox
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.contracts.payments import Charge, Money, SettledAs
from moorage.contracts.routes import Account
from moorage.domain.entries.queue import give_up, mark_unknown, replay_entry
from moorage.domain.observation.call_events import CallFinished
from moorage.domain.service.safety import Safety
from moorage.domain.values.result import Result
from moorage.hub.outbox import EntryQuery
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, Lost, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import Stripe
from tests.contracts.unsettled_harness import WAIT, KeylessStripe
from tests.support.servers import postgres_url
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORDER = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
DECLINED = attrs.evolve(ORDER, source="pm_card_chargeDeclined")


class KeylessShop:
    """A sync or async shop that accepts payments at a vendor without idempotency keys.

    Args:
        is_async: True for the asynchronous classes.
        outbox, state: the stores; in memory by default.
        kind: the vendor.
        ports: other ports of the hub.
    """

    def __init__(
        self,
        *,
        is_async: bool,
        outbox: Any = None,
        state: Any = None,
        kind: type[Stripe] = KeylessStripe,
        **ports: Any,
    ) -> None:
        self.clock = VirtualClock()
        self.stripe = StripeSandbox(now=lambda: self.clock.utc().timestamp())
        self.is_async = is_async
        self.calls: list[Any] = []
        memory, entries = MemoryStorage(self.clock), MemoryOutbox(self.clock)
        self.entries = entries
        self.state = state or (AsyncMemoryStorage(memory) if is_async else memory)
        self.store = outbox or (AsyncMemoryOutbox(entries) if is_async else entries)
        self.hub = self.hub_of(kind, **ports)
        self.outbox = self.outbox_with()

    def hub_of(self, kind: type[Stripe], **ports: Any) -> Any:
        """Return another hub with the same state store and vendor."""
        account = Account(
            "till",
            kind(credentials=self.stripe.api_key),
            settings={"volatile_keys": True, "circuit": None, "retry": None},
        )
        http: Any = AsyncSandboxHttpClient if self.is_async else SandboxHttpClient
        common_options: dict[str, Any] = {
            "http": http(self.stripe),
            "state": self.state,
            "clock": self.clock,
            "observers": [self._observe],
            **ports,
        }
        if self.is_async:
            return AsyncHub([account], **common_options)
        return Hub([account], sleeper=VirtualSleeper(self.clock), **common_options)

    def outbox_with(self, **options: Any) -> Any:
        """Return another outbox on the same store, synchronous or asynchronous like the first."""
        kind: Any = AsyncOutbox if self.is_async else Outbox
        return kind(self.store, clock=self.clock, **options)

    def _observe(self, event: Any) -> None:
        if isinstance(event, CallFinished):
            self.calls.append(event)

    async def do(self, method: Any, /, *values: Any, **options: Any) -> Any:
        """Call a synchronous or asynchronous method, and return its result."""
        answer = method(*values, **options)
        return await answer if self.is_async else answer

    async def entry_with_lost_response(self, charge: Charge = ORDER, **options: Any) -> Any:
        """Return an outbox entry whose payment was made but whose response was lost."""
        entry = await self.do(self.outbox.put, "payments", "charge", charge, **options)
        self.stripe.fail(Lost())
        assert 1 == (await self.deliver()).unknown
        return entry

    async def deliver(self, **options: Any) -> Any:
        """Deliver due calls once."""
        return await self.do(self.outbox.deliver, self.hub, **options)

    async def state_of(self, entry: Any) -> str:
        """Return the current state of an entry."""
        (result,) = (await self.do(self.outbox.find, EntryQuery(id=entry.id))).items
        return str(result.state.value)

    async def record_payment(self, entry: Any) -> None:
        """Record that the payment of an entry was made, as an operator does."""
        await self.do(self.hub.close_payment, entry.key, done=True)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def keyless_shop(request: pytest.FixtureRequest) -> KeylessShop:
    """Yield a synchronous and an asynchronous shop over stores in memory."""
    return KeylessShop(is_async=request.param)


STORES: dict[str, tuple[Any, Any, Any, Any]] = {
    "sqlite": (SqliteOutbox, SqliteStorage, AsyncSqliteOutbox, AsyncSqliteStorage),
    "postgresql": (SqlOutbox, SqlStorage, AsyncSqlOutbox, AsyncSqlStorage),
}


def test_job_settles_the_entry_of_a_payment(keyless_shop: KeylessShop) -> None:
    """When the vendor reports a payment's outcome, its entry is settled without a new charge."""

    async def body() -> None:
        entry = await keyless_shop.entry_with_lost_response()
        assert 0 == len(await keyless_shop.deliver())
        keyless_shop.clock.advance(WAIT)
        (settled_payment,) = await keyless_shop.do(keyless_shop.hub.settle_payments)
        assert SettledAs.DONE is settled_payment.outcome
        (worked_entry,) = (await keyless_shop.deliver()).worked
        assert (entry.id, "done") == (worked_entry.entry.id, worked_entry.entry.state)
        assert (True, "captured") == (worked_entry.answer.replayed, worked_entry.answer.state)
        assert 0 == len(await keyless_shop.deliver())
        assert 1 == len(keyless_shop.stripe.charges)

    run_plain(body())


@pytest.fixture(params=["sqlite", "postgresql"])
def store_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Any, Any]]:
    """Yield, for each kind of store, one URL for the entries and one for the state."""
    if request.param == "sqlite":
        yield "sqlite", (tmp_path / "calls.db", tmp_path / "state.db"), {}
        return
    url, schema = postgres_url(), f"doubts_{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
        yield "postgresql", (url, url), {"schema": schema}
        connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_entry_is_settled_in_every_store(
    store_urls: tuple[str, Any, Any], *, is_async: bool
) -> None:
    """Every kind of store settles an unknown payment; then the next call of its order is made."""
    kind, (calls, states_at), store_options = store_urls
    outboxes, states = STORES[kind][2 * is_async :][:2]

    async def body() -> None:
        store, state = (
            outboxes(calls, create=True, **store_options),
            states(states_at, **store_options),
        )
        shop = KeylessShop(is_async=is_async, outbox=store, state=state)
        await shop.do(store.migrate)
        await shop.do(state.migrate)
        entry = await shop.entry_with_lost_response(order="INV-7")
        later_entry = await shop.do(
            shop.outbox.put, "payments", "refund", "stripe:till:none", order="INV-7"
        )
        assert 0 == len(await shop.deliver())
        await shop.record_payment(entry)
        assert 1 == (await shop.deliver()).done
        assert ["done", "waiting"] == [await shop.state_of(item) for item in (entry, later_entry)]
        assert [later_entry.id] == [work.entry.id for work in (await shop.deliver()).worked]
        assert 1 == len(shop.stripe.charges)
        for element in (store, state):
            await shop.do(element.aclose if is_async else element.close)

    if is_async:
        asyncio.run(body())
    else:
        run_plain(body())


def test_stored_refusal_ends_the_entry(keyless_shop: KeylessShop) -> None:
    """If another caller with the same key receives a payment's decline, the entry also ends."""

    async def body() -> None:
        entry = await keyless_shop.entry_with_lost_response(DECLINED)
        other_hub = keyless_shop.hub_of(Stripe)
        with pytest.raises(PaymentDeclined):
            await keyless_shop.do(other_hub.payments().charge, DECLINED, idempotency_key=entry.key)
        (worked_entry,) = (await keyless_shop.deliver()).worked
        assert isinstance(worked_entry.error, PaymentDeclined)
        assert ("dead", 1) == (worked_entry.entry.state, worked_entry.entry.turn)

    run_plain(body())


def test_payment_closed_as_not_done_is_left_to_a_person(keyless_shop: KeylessShop) -> None:
    """If an operator records that a payment was not made, its entry waits for an operator."""

    async def body() -> None:
        entry = await keyless_shop.entry_with_lost_response()
        keyless_shop.clock.advance(WAIT)
        await keyless_shop.do(keyless_shop.hub.close_payment, entry.key, done=False)
        assert 0 == len(await keyless_shop.deliver())
        count = len(keyless_shop.calls)
        for _ in range(3):
            assert 0 == len(await keyless_shop.deliver())
        assert count == len(keyless_shop.calls)
        assert "unknown" == await keyless_shop.state_of(entry)
        assert [] == await keyless_shop.do(keyless_shop.hub.unsettled_payments)
        await keyless_shop.do(keyless_shop.outbox.replay, entry.id)
        assert 1 == (await keyless_shop.deliver()).done

    run_plain(body())


def test_round_settles_up_to_its_limit(keyless_shop: KeylessShop, stopped_event: Event) -> None:
    """A delivery's limit, stop event and ids also apply to entries with unknown outcomes."""

    async def body() -> None:
        charges = [attrs.evolve(ORDER, reference=f"INV-{number}") for number in range(2)]
        entries = [await keyless_shop.entry_with_lost_response(charge) for charge in charges]
        for entry in entries:
            await keyless_shop.record_payment(entry)
        assert 0 == len(await keyless_shop.deliver(stop=stopped_event))
        assert 0 == len(await keyless_shop.deliver(limit=0))
        assert 0 == len(await keyless_shop.deliver(ids=[entries[-1].id]))
        assert [1, 1, 0] == [len(await keyless_shop.deliver(limit=1)) for _ in range(3)]

    run_plain(body())


@pytest.fixture
def stopped_event() -> Event:
    """Return an event that is already set."""
    event = Event()
    event.set()
    return event


def test_worker_finds_unsettled_entries_on_next_page_even_if_dead_entries_fill_first(
    keyless_shop: KeylessShop,
) -> None:
    """A worker also settles entries on the second page, even if dead entries fill the first."""

    async def body() -> None:
        entry = await keyless_shop.entry_with_lost_response()
        await keyless_shop.record_payment(entry)
        for number in range(100):
            put = await keyless_shop.do(
                keyless_shop.outbox.put, "payments", "charge", ORDER, key=f"dead {number}"
            )
            keyless_shop.entries.swap(give_up(put, keyless_shop.clock.utc(), "tried"), put.fence)
        assert [0, 1, 0] == [len(await keyless_shop.deliver()) for _ in range(3)]
        assert "done" == await keyless_shop.state_of(entry)

    run_plain(body())


def test_entry_that_cannot_be_read_is_left_to_a_person(keyless_shop: KeylessShop) -> None:
    """A worker without the decryption key leaves an encrypted call to a person."""

    async def body() -> None:
        keyless_shop.outbox = keyless_shop.outbox_with(cipher=AesGcmCipher(generate_keys()))
        entry = await keyless_shop.entry_with_lost_response()
        await keyless_shop.record_payment(entry)
        keyless_shop.outbox = keyless_shop.outbox_with()
        assert 0 == len(await keyless_shop.deliver())
        assert "unknown" == await keyless_shop.state_of(entry)

    run_plain(body())


def test_dry_run_settles_no_outbox_entry(keyless_shop: KeylessShop) -> None:
    """In dry-run mode the hub settles no outbox entry."""

    async def body() -> None:
        entry = await keyless_shop.entry_with_lost_response()
        await keyless_shop.record_payment(entry)
        keyless_shop.hub = keyless_shop.hub_of(KeylessStripe, safety=Safety(dry_run=True))
        assert 0 == len(await keyless_shop.deliver())
        assert "unknown" == await keyless_shop.state_of(entry)

    run_plain(body())


def test_store_that_is_away_loses_nothing_that_was_done(keyless_shop: KeylessShop) -> None:
    """If the payment register is unavailable, a delivery still returns the calls that it made."""

    async def body() -> None:
        entry = await keyless_shop.entry_with_lost_response()
        await keyless_shop.do(keyless_shop.outbox.put, "payments", "charge", ORDER)

        def fail_to_store(*_: Any) -> Any:
            raise StorageUnavailable("away")

        flows = keyless_shop.outbox._flows  # noqa: SLF001 - what it does with a register
        register: Any = type("Away", (), {"closed": fail_to_store})()

        async def call(*_: Any) -> str:
            return "done"

        delivered_batch = await flows.deliver(call, register, limit=9, utc=keyless_shop.clock.utc)
        assert (1, 1) == (len(delivered_batch), delivered_batch.done)
        assert "unknown" == await keyless_shop.state_of(entry)

    run_plain(body())


# --- the worker that was late -------------------------------------------------------------


def _refusal() -> VendorRejected:
    return VendorRejected("no")


CASES: list[tuple[Callable[[], Any], tuple[str, int]]] = [
    (lambda: "done", ("done", 0)),
    (_refusal, ("dead", 1)),
    (lambda: VendorFailed("busy"), ("unknown", 0)),
    (lambda: OutcomeUnknown("lost"), ("unknown", 0)),
]


@pytest.mark.parametrize("batch", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize("makes, expected", CASES)
def test_late_worker_that_knows_the_outcome_replaces_the_unknown_outcome(
    tmp_path: Path, makes: Callable[[], Any], expected: tuple[str, int], *, batch: bool
) -> None:
    """A late worker's certain result replaces the unknown outcome that its successor stored."""
    store: Any = SqliteOutbox(tmp_path / "calls.db", create=True) if batch else MemoryOutbox()
    keyless_shop = KeylessShop(is_async=False, outbox=store)
    keyless_shop.outbox.put("payments", "charge", ORDER)

    async def call(entry: Any, *_: Any) -> Any:
        assert store.swap(mark_unknown(entry, store.now(), "OutcomeUnknown"), entry.fence)
        shop = makes()
        if isinstance(shop, Exception):
            raise shop
        return shop

    flows = keyless_shop.outbox._flows  # noqa: SLF001 - what it does with an answer
    run_plain(flows.deliver(call, keyless_shop.hub.unsettled, limit=1, utc=keyless_shop.clock.utc))
    (entry,) = keyless_shop.outbox.find(EntryQuery()).items
    assert expected == (entry.state.value, entry.turn)


def test_late_worker_leaves_an_entry_that_a_person_replays() -> None:
    """A late worker does not overrule an operator's decision to replay an entry."""
    shop = KeylessShop(is_async=False)
    shop.outbox.put("payments", "charge", ORDER)

    async def call(entry: Any, *_: Any) -> str:
        entry_with_lost_response = mark_unknown(entry, shop.entries.now(), "OutcomeUnknown")
        assert shop.entries.swap(entry_with_lost_response, entry.fence)
        assert shop.entries.swap(
            replay_entry(entry_with_lost_response, shop.entries.now()),
            entry_with_lost_response.fence,
        )
        return "done"

    flows = shop.outbox._flows  # noqa: SLF001 - what it does with an answer
    run_plain(flows.deliver(call, shop.hub.unsettled, limit=1, utc=shop.clock.utc))
    (entry,) = shop.outbox.find(EntryQuery()).items
    assert "waiting" == entry.state


def test_two_workers_settle_an_entry_once(keyless_shop: KeylessShop) -> None:
    """If two workers receive the outcome of an entry, only one of them settles it."""

    async def body() -> None:
        entry = await keyless_shop.entry_with_lost_response()
        await keyless_shop.record_payment(entry)
        (stored_entry,) = (
            await keyless_shop.do(keyless_shop.outbox.find, EntryQuery(id=entry.id))
        ).items
        flows = keyless_shop.outbox._flows  # noqa: SLF001 - a verb of the flow
        outcome = Result("receipt")
        assert 1 == len(await flows.settled(stored_entry, outcome))
        assert [] == await flows.settled(stored_entry, outcome)

    run_plain(body())
