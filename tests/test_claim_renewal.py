"""Renewal of idempotency claims: the stores, the renewing thread or task, and batch sizes."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage import AsyncConnectorManager, ConnectorManager, Idempotency, Service
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.idempotency.claims import LEASE, Claim, Renew
from moorage.hub.internals import core_of
from moorage.services.core.renewal import NoRenewals
from moorage.wiring.renewing import claim_renewals, entry_renewals
from tests.adapters.forked import run_in_forked_child
from tests.support.intervening_thread import InterveningThread

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 30.0
SERVICE = Service("bank", circuit=None, retry=None)


def renewals(manager: Any) -> Any:
    """Return the object that renews a manager's idempotency claims."""
    return core_of(manager).renewals


class RecordingStore:
    """Another package's store, which uses a file and records its commands."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStorage(path)
        self.post = self.store.post
        self.commands: list[Any] = []
        self.renewed = threading.Event()

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command and record it."""
        self.commands.append(command)
        answer = self.store.execute(command, timeout)
        if type(command) is Renew:
            self.renewed.set()
        return answer


class AsyncRecordingStore:
    """An asynchronous store of another package that records its commands."""

    def __init__(self, path: Path) -> None:
        self.store = AsyncSqliteStorage(path)
        self.post = self.store.post
        self.commands: list[Any] = []
        self.renewed = asyncio.Event()

    async def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command and record it."""
        self.commands.append(command)
        answer = await self.store.execute(command, timeout)
        if type(command) is Renew:
            self.renewed.set()
        return answer


@pytest.mark.parametrize("claims", [False, True])
def test_long_call_is_renewed_in_the_store_of_its_claim(tmp_path: Path, claims: bool) -> None:
    """During a long synchronous call, a thread renews the claim in the claim's store."""
    store, other_store = (
        RecordingStore(tmp_path / "state.db"),
        RecordingStore(tmp_path / "other.db"),
    )
    options: dict[str, Any] = (
        {"state": other_store, "claims": store} if claims else {"state": store}
    )
    manager = ConnectorManager([SERVICE], **options)
    assert manager.run("bank", lambda: store.renewed.wait(PATIENCE), idempotency_key="k")
    claim = next(command for command in store.commands if type(command) is Claim)
    renew = next(command for command in store.commands if type(command) is Renew)
    assert (LEASE, claim.keys, LEASE) == (claim.lease, renew.keys, renew.lease)
    assert not any(type(command) is Renew for command in other_store.commands)


def test_long_call_is_renewed_in_its_event_loop(tmp_path: Path) -> None:
    """During a long asynchronous call, a task renews its claim, without a thread."""

    async def main() -> None:
        store = AsyncRecordingStore(tmp_path / "state.db")

        async def perform_effect() -> str:
            await asyncio.wait_for(store.renewed.wait(), PATIENCE)
            return "done"

        async with store.store:
            manager = AsyncConnectorManager([SERVICE], state=store)
            assert "done" == await manager.run("bank", perform_effect, idempotency_key="k")

    previous_threads = [
        thread for thread in threading.enumerate() if thread.name == "moorage-renewal"
    ]
    asyncio.run(main())
    later_threads = [thread for thread in threading.enumerate() if thread.name == "moorage-renewal"]
    assert set(later_threads) <= set(previous_threads)


def test_idempotency_object_without_manager_renews_its_claim_while_function_runs(
    tmp_path: Path,
) -> None:
    """An `Idempotency` object without a manager renews its claim while the function runs."""
    store = RecordingStore(tmp_path / "state.db")
    part = Idempotency(storage=store)
    assert part.call("k", lambda: store.renewed.wait(PATIENCE))


def test_store_in_memory_needs_no_renewals() -> None:
    """Claims in a memory store last for the whole call, so they need no renewal."""
    plain_manager = ConnectorManager([SERVICE], state=MemoryStorage())
    later_manager = AsyncConnectorManager([SERVICE], state=AsyncMemoryStorage())
    embedded_manager = ConnectorManager([SERVICE])
    assert [NoRenewals] * 3 == [
        type(renewals(item)) for item in (plain_manager, later_manager, embedded_manager)
    ]


def test_managers_of_one_store_share_a_renewal_thread(tmp_path: Path) -> None:
    """Managers over the same store share one renewal thread."""
    store, other_storage = (
        SqliteStorage(tmp_path / "state.db"),
        SqliteStorage(tmp_path / "other.db"),
    )
    manager, second_manager = (ConnectorManager([SERVICE], state=store) for _ in range(2))
    other_manager = ConnectorManager([SERVICE], state=other_storage)
    assert renewals(manager) is renewals(second_manager)
    assert renewals(manager) is not renewals(other_manager)


def test_only_clusters_are_renewed_by_tag(tmp_path: Path) -> None:
    """Claims are renewed per hash tag only in a cluster; other stores count as one server."""
    untagged_stores: list[Any] = [
        SqliteStorage(tmp_path / "state.db"),
        AsyncSqliteStorage(tmp_path / "state.db"),
        RedisStorage(),
        AsyncRedisStorage(),
        MemoryStorage(),
        AsyncMemoryStorage(),
    ]
    assert [True] * 6 == [item.mixes_tags for item in untagged_stores]
    assert not RedisStorage("redis+cluster://127.0.0.1:7000").mixes_tags


def test_forked_child_does_not_renew_its_parent_claims(tmp_path: Path) -> None:
    """A forked child does not renew its parent's claims."""
    store = RecordingStore(tmp_path / "state.db")
    manager = ConnectorManager([SERVICE], state=store)

    def perform_effect() -> tuple[int, int]:
        def count_renewals() -> tuple[int, int]:
            return len(renewals(manager)._held), threading.active_count()  # noqa: SLF001 - a look inside

        results: tuple[int, int] = run_in_forked_child(count_renewals)
        return results

    assert (0, 1) == manager.run("bank", perform_effect, idempotency_key="k")


class StoreInUse:
    """A store that another thread begins to use while its properties are read."""

    def __init__(self) -> None:
        self.other_thread = InterveningThread(self.read_renewals)
        self.core: Any = core_of(ConnectorManager([SERVICE]))

    @property
    def mixes_tags(self) -> bool:
        """Return False after another thread has begun to use the store."""
        self.other_thread.start()
        return False

    @property
    def shortest_lease(self) -> float:
        """Return a lease in seconds after another thread has begun to use the store."""
        self.other_thread.start()
        return 10.0

    def read_renewals(self) -> Any:
        """Return the object that renews the claims in this store."""
        return claim_renewals(self.core, self, None, is_async=False)


class EntryStoreInUse(StoreInUse):
    """A store of entries that another thread begins to use while its properties are read."""

    def read_renewals(self) -> Any:
        """Return the object that renews the leases of the entries in this store."""
        return entry_renewals(self.core, self, cast("Any", None), is_async=False)


@pytest.mark.parametrize("kind", [StoreInUse, EntryStoreInUse])
def test_managers_of_two_threads_share_renewals_of_store(kind: type[StoreInUse]) -> None:
    """Threads that use a store for the first time at once share one object that renews leases."""
    store = kind()
    assert store.read_renewals() is store.other_thread.result()
