"""A store that spreads its states over shards."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConnectorManager,
    RateLimitConfig,
    RateLimitExceeded,
    Service,
    StateUnavailable,
    StorageUnavailable,
)
from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.state.redis import AsyncRedisStorage
from moorage.adapters.state.shards import AsyncShardedStorage, ShardedStorage
from moorage.adapters.state.sql import AsyncSqlStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.idempotency.claims import Claim, MarkSent, Verdict, release_claim, store_answer
from moorage.domain.state.keys import own_key, state_key
from moorage.domain.values.durations import HOUR, SECOND
from moorage.errors import ConfigurationError, InvalidData
from moorage.testing import VirtualClock
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.sql_harness import harnesses
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.domain.state.commands import States
    from tests.adapters.sql_harness import Harness

NAMES = ("memory", "file", "other")


class OneTagStore:
    """A store that gives all keys the same tag, for the conformance kit."""

    def __init__(self, store: Any, shard: str) -> None:
        number = next(
            number
            for number in range(99)
            if store.node_of(TaggedCommand(None, number, "k")) == shard
        )
        self.execute = lambda command, timeout=None: store.execute(
            TaggedCommand(command, number, *command.keys), timeout
        )
        self.post = lambda command: store.post(TaggedCommand(command, number, *command.keys))


class TaggedCommand:
    """A wrapper that adds the same tag to all keys of a command."""

    def __init__(self, command: Any, number: int, *keys: str, once: bool = False) -> None:
        self.keys = tuple(f"{{:kit:{number}}}:other:{key}" for key in keys)
        self.once, self.durable = getattr(command, "once", once), True
        self.apply: Any = getattr(command, "apply", None)

    def with_keys(self, *keys: str) -> TaggedCommand:
        """Return this command with other keys."""
        self.keys = keys
        return self


@pytest.mark.parametrize("shard", NAMES[:2])
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sharded_store_passes_conformance_kit_on_each_shard(
    check: kit.Check, shard: str, tmp_path: Path
) -> None:
    """A sharded store over memory and SQLite passes the conformance kit on each shard."""
    stores = {
        "memory": MemoryStorage(),
        "file": SqliteStorage(tmp_path / "a.db", timeout=20),
        "other": SqliteStorage(tmp_path / "b.db", timeout=20),
    }
    former_shards = {name: stores[name] for name in ("memory", "other")}
    with ShardedStorage(stores, former=former_shards if shard == "file" else None) as store:
        location = "file" if shard == "memory" else "memory, file"
        check(lambda: OneTagStore(store, location))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_sharded_store_passes_conformance_kit_while_states_move(
    check: kit.AsyncCheck, tmp_path: Path
) -> None:
    """An asynchronous sharded store over memory and SQLite passes the kit while states move."""

    async def run() -> None:
        memory = AsyncMemoryStorage()
        async with AsyncShardedStorage(
            {"memory": memory, "file": AsyncSqliteStorage(tmp_path / "a.db", timeout=20)},
            former={"memory": memory},
        ) as store:
            await check(lambda: OneTagStore(store, "memory, file"))

    asyncio.run(run())


@pytest.fixture(scope="module")
def postgres() -> Iterator[Harness]:
    """Yield a PostgreSQL database with tables for this module's tests."""
    with harnesses("postgresql") as harness:
        yield harness


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_servers_conform_as_shards(check: kit.AsyncCheck, postgres: Harness) -> None:
    """An asynchronous sharded store over Redis and PostgreSQL passes the kit while states move."""

    async def run() -> None:
        shards = {
            "redis": AsyncRedisStorage(redis_url(), timeout=60, prefix=f"{postgres.prefix}:"),
            "postgresql": AsyncSqlStorage(
                postgres.url.render_as_string(hide_password=False),
                timeout=60,
                prefix=postgres.prefix,
            ),
        }
        former_shards = {"redis": shards["redis"]}
        async with AsyncShardedStorage(shards, former=former_shards) as store:
            await check(lambda: OneTagStore(store, "redis, postgresql"))

    asyncio.run(run())


# --- adding a shard --------------------------------------------------------------------


def claim_of(key: str, owner: int) -> Claim:
    """Return a command that claims a key for a vendor that does not honour idempotency keys."""
    return Claim(
        own_key("key", "bank", None, key),
        fingerprint=b"",
        owner=owner,
        lease=SECOND,
        term=5 * SECOND,
        ttl=HOUR,
        target="",
        remembered=0,
    )


def test_no_effect_happens_twice_while_a_shard_is_added() -> None:
    """While a shard is added, a key never has two owners, even among old and new processes."""
    refusals = 0
    for seed in range(150):
        generator, clock = Random(seed), VirtualClock()
        stores = {name: MemoryStorage(clock) for name in "abc"}
        former_shards = {name: stores[name] for name in "ab"}
        old_storage, new_storage = (
            ShardedStorage(former_shards),
            ShardedStorage(stores, former=former_shards),
        )
        now, blocked_until = 0, dict[str, int]()
        for step in range(80):
            key = f"{seed}:{generator.randrange(4)}"
            process = generator.choice((old_storage, new_storage))
            try:
                claim_result = process.execute(claim_of(key, owner=step + 1))
            except StorageUnavailable:
                assert old_storage is process, (seed, step)
                refusals += 1
                continue
            if claim_result.verdict is Verdict.RUN:
                assert now >= blocked_until.get(key, 0), (seed, step)
                blocked_until[key] = now + _end_claim(process, key, claim_result.fence, generator)
            jump = generator.choice((0, 1, 5, 30, 4_500))
            clock.advance(jump / 5)
            now += jump
    assert refusals


def _end_claim(process: ShardedStorage, key: str, fence: int, chance: Random) -> int:
    """End a claim in a random way.

    Return the number of fifths of a second for which the claim still blocks other callers.
    """
    name = own_key("key", "bank", None, key)
    end = chance.choice(("sent", "done", "free", "crash"))
    if end == "free":
        process.post(release_claim(name, fence, ttl=HOUR))
        return 0
    if end == "crash":
        return 5
    assert process.execute(MarkSent(name, fence, ""))
    if end == "done":
        assert process.execute(store_answer(name, fence, "answer", ttl=HOUR)).held
        return 18_000
    return 18_025


class SwitchableShard(MemoryStorage):
    """A shard that can be made unavailable and records the commands that reach it."""

    is_away = False

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Any] = []

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command, or raise an error."""
        if self.is_away:
            raise StorageUnavailable("The shard is away.")
        self.commands.append(command)
        return super().execute(command, timeout)


class WriteForeignState:
    """A command that stores a state of another layout than that of claims."""

    once = durable = False

    def __init__(self, key: str) -> None:
        self.keys = (key,)

    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return a state with too few fields."""
        return ((now, HOUR),), None


def _name_on(store: Any, shard: str, key_of: Any) -> str:
    """Return a name whose state this shard stores."""
    return next(
        name
        for name in map("n{}".format, range(99))
        if store.node_of(TaggedCommand(None, 0).with_keys(key_of(name))) == shard
    )


def test_lost_shard_affects_only_its_own_keys() -> None:
    """While a shard is unavailable, tenants and keys on other shards are not affected."""
    shards = {name: SwitchableShard() for name in "ab"}
    store = ShardedStorage(shards)
    bank = Service("bank", limits=RateLimitConfig(1, 3_600.0, 2), max_limit_wait=0, circuit=None)
    managers = [ConnectorManager([bank], state=store) for _ in range(2)]
    tenants = {
        name: _name_on(store, name, lambda tenant: state_key("limit", "bank", tenant))
        for name in "ab"
    }
    key = _name_on(store, "a", lambda name: own_key("key", "bank", tenants["b"], name))
    other_key = _name_on(store, "b", lambda name: own_key("key", "bank", tenants["b"], name))
    shards["a"].is_away = True

    with pytest.raises(StorageUnavailable, match="away"):
        managers[0].run("bank", lambda: 1, tenant=tenants["b"], idempotency_key=key)
    for manager in managers:
        manager.run("bank", lambda: 1, tenant=tenants["b"], idempotency_key=other_key)
    managers[1].run("bank", lambda: 1, tenant=tenants["b"])
    with pytest.raises(RateLimitExceeded):
        managers[0].run("bank", lambda: 1, tenant=tenants["b"])
    managers[0].run("bank", lambda: 1, tenant=tenants["a"])


def test_posted_commands_reach_the_shard_of_their_state() -> None:
    """A posted command that may be repeated waits while its former shard is unavailable."""
    shards = {name: SwitchableShard() for name in "ab"}
    store = ShardedStorage(shards, former={"a": shards["a"]})
    name = _name_on(store, "a, b", lambda name: own_key("key", "bank", None, name))
    key = own_key("key", "bank", None, name)
    fencing_token = shards["a"].execute(claim_of(name, 1)).fence
    shards["a"].is_away = True
    store.post(release_claim(key, fencing_token, ttl=HOUR))
    store.post(TaggedCommand(None, 0, once=True).with_keys(key))
    store.post(TaggedCommand(None, 0).with_keys("{a}:1", "{b}:2"))
    with pytest.raises(StorageUnavailable):
        store.execute(claim_of(name, 2))
    shards["a"].is_away = False

    assert Verdict.RUN is store.execute(claim_of(name, 2)).verdict
    assert "Claim" == type(shards["b"].commands[-1]).__name__
    expected = ["Claim", "ExecuteOnFormerShard", "ExecuteOnFormerShard"]
    assert expected == [type(item).__name__ for item in shards["a"].commands]


def test_forked_child_drops_commands_that_wait_for_a_former_shard() -> None:
    """A forked child drops its parent's posted commands, so that they are not executed twice."""
    shards = {name: SwitchableShard() for name in "ab"}
    store = ShardedStorage(shards, former={"a": shards["a"]})
    name = _name_on(store, "a, b", lambda name: own_key("key", "bank", None, name))
    shards["a"].is_away = True
    store.post(release_claim(own_key("key", "bank", None, name), 1, ttl=HOUR))
    shards["a"].is_away = False

    restart_in_child()
    store.execute(claim_of(name, 1))

    assert ["ExecuteOnFormerShard"] == [type(item).__name__ for item in shards["a"].commands]


def test_post_on_unreadable_state_does_not_wait_for_a_former_shard() -> None:
    """A posted command on a state that the former shard cannot read is not tried again."""
    shards = {name: SwitchableShard() for name in "ab"}
    store = ShardedStorage(shards, former={"a": shards["a"]})
    name = _name_on(store, "a, b", lambda name: own_key("key", "bank", None, name))
    key = own_key("key", "bank", None, name)
    shards["a"].execute(WriteForeignState(key))

    store.post(release_claim(key, 1, ttl=HOUR))
    for _ in range(2):
        with pytest.raises(StateUnavailable):
            store.execute(claim_of(name, 1))

    expected = ["WriteForeignState", *["ExecuteOnFormerShard"] * 3]
    assert expected == [type(item).__name__ for item in shards["a"].commands]


def test_posted_commands_do_not_exceed_the_time_limit_of_the_next_command() -> None:
    """Commands that wait for a former shard get only the time of the command after them."""
    shards = {name: SwitchableShard() for name in "ab"}
    store = ShardedStorage(shards, former={"a": shards["a"]})
    name = _name_on(store, "a, b", lambda name: own_key("key", "bank", None, name))
    shards["a"].is_away = True
    for fence in range(3):
        store.post(release_claim(own_key("key", "bank", None, name), fence, ttl=HOUR))
    shards["a"].is_away = False

    store.execute(claim_of(name, 1), 0.0)
    expected = ["ExecuteOnFormerShard"]
    assert expected == [type(item).__name__ for item in shards["a"].commands]
    store.execute(claim_of(name, 1), 60.0)
    assert expected * 5 == [type(item).__name__ for item in shards["a"].commands]


class AsyncSwitchableShard(AsyncMemoryStorage):
    """An asynchronous shard that can be made to hang until the command's timeout."""

    is_away = False

    async def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command, or raise an error."""
        if self.is_away:
            await asyncio.Event().wait()
        return await super().execute(command, timeout)


def test_command_waits_for_no_posted_command_of_another_shard() -> None:
    """A command does not wait for commands posted to other shards, even to unavailable ones."""
    shards = {name: SwitchableShard() for name in "abc"}
    store = ShardedStorage(shards, former={name: shards[name] for name in "ab"})
    lost_key, moved_key, remaining_key = (
        _name_on(store, place, lambda name: own_key("key", "bank", None, name))
        for place in ("a, c", "b, c", "b")
    )
    shards["a"].is_away = True
    store.post(release_claim(own_key("key", "bank", None, lost_key), 1, ttl=HOUR))
    tried: list[Any] = []
    shards["a"].execute = lambda command, _timeout=None: tried.append(command)  # type: ignore[assignment,method-assign]  # records what reaches a lost shard
    for name in (moved_key, remaining_key):
        assert Verdict.RUN is store.execute(claim_of(name, 1)).verdict
    assert not tried


def test_command_for_other_shards_is_executed_at_once_while_former_shard_hangs() -> None:
    """While a former shard hangs, a command for other shards is executed at once."""

    async def main() -> None:
        shards = {name: AsyncSwitchableShard() for name in "abc"}
        store = AsyncShardedStorage(shards, former={name: shards[name] for name in "ab"})
        lost_key, moved_key = (
            _name_on(store, place, lambda name: own_key("key", "bank", None, name))
            for place in ("a, c", "b, c")
        )
        shards["a"].is_away = True
        store.post(release_claim(own_key("key", "bank", None, lost_key), 1, ttl=HOUR))
        coroutine = store.execute(claim_of(moved_key, 1), 60.0)
        with pytest.raises(StopIteration) as excinfo:
            coroutine.send(None)
        assert Verdict.RUN is excinfo.value.value.verdict
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(main())


def test_asynchronous_posts_are_executed_before_the_next_command() -> None:
    """If an asynchronous store posts the release of a claim, the former shard releases it too."""

    async def main() -> None:
        shards = {name: AsyncMemoryStorage() for name in "ab"}
        async with AsyncShardedStorage(shards, former={"a": shards["a"]}) as store:
            name = _name_on(store, "a, b", lambda name: own_key("key", "bank", None, name))
            key = own_key("key", "bank", None, name)
            fencing_token = (await shards["a"].execute(claim_of(name, 1))).fence
            store.post(release_claim(key, fencing_token, ttl=HOUR))
            assert Verdict.RUN is (await store.execute(claim_of(name, 2), 5.0)).verdict
            assert 0 == await store.housekeep()
            await store.migrate()
            store.post(release_claim(key, fencing_token, ttl=HOUR))

    asyncio.run(main())


def test_router_is_as_durable_and_as_shared_as_its_weakest_shard(tmp_path: Path) -> None:
    """A sharded store with one shard in memory is neither durable nor shared by processes."""
    file = SqliteStorage(tmp_path / "a.db")
    mixed = ShardedStorage({"a": file, "b": MemoryStorage()})
    assert (True, "machine") == (ShardedStorage({"a": file}).durable, file.reach)
    assert (False, "process", False) == (mixed.durable, mixed.reach, mixed.mixes_tags)
    assert f"ShardedStorage({file!r})" == repr(ShardedStorage({"a": file}))
    mixed.migrate()
    assert 0 == mixed.housekeep()
    mixed.close()


def test_wrong_shards_are_refused() -> None:
    """An empty list of shards, a changed first shard, and a command with two tags are refused."""
    store = MemoryStorage()
    with pytest.raises(ConfigurationError, match="list of shards is empty"):
        ShardedStorage({})
    with pytest.raises(ConfigurationError, match="first shard must not change"):
        ShardedStorage({"b": store, "a": store}, former={"a": store})
    with pytest.raises(InvalidData, match="different hash tags"):
        ShardedStorage({"a": store}).execute(TaggedCommand(None, 0).with_keys("{a}:1", "{b}:2"))


# --- all shards ------------------------------------------------------------------------


class FailingShard(MemoryStorage):
    """A shard whose maintenance fails, as if its server were unavailable."""

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__()
        self._name, self._calls = name, calls

    def _fail(self, action: str) -> Any:
        self._calls.append(f"{action} {self._name}")
        if self._name != "b":
            raise StorageUnavailable(f"Shard {self._name}: no connection.")
        return 3

    def housekeep(self, *, limit: int = 1_000) -> int:
        """Delete three expired states, or raise an error."""
        return self._fail("housekeep")  # type: ignore[no-any-return]  # a number

    def migrate(self) -> None:
        """Update the tables, or raise an error."""
        self._fail("migrate")

    def close(self) -> None:
        """Close the store, or raise an error."""
        self._fail("close")


class AsyncFailingShard(AsyncMemoryStorage):
    """An asynchronous shard whose maintenance fails."""

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__()
        self._shard = FailingShard(name, calls)

    async def housekeep(self, *, limit: int = 1_000) -> int:
        """Delete three expired states, or raise an error."""
        return self._shard.housekeep(limit=limit)

    async def migrate(self) -> None:
        """Update the tables, or raise an error."""
        self._shard.migrate()

    async def aclose(self) -> None:
        """Close the store, or raise an error."""
        self._shard.close()


ACTIONS = ("housekeep", "migrate", "close")
NOTES = [
    "The shard a raised this error. All shards were tried.",
    "The shard c failed too: Shard c: no connection. Check the store that holds the shared state.",
]


@pytest.mark.parametrize("action", ACTIONS)
def test_maintenance_reaches_the_shards_behind_one_that_fails(action: str) -> None:
    """If maintenance of a shard fails, all other shards are still cleaned, updated and closed."""
    calls: list[str] = []
    store = ShardedStorage({name: FailingShard(name, calls) for name in "abc"})
    with pytest.raises(StorageUnavailable, match="Shard a") as excinfo:
        getattr(store, action)()

    assert [f"{action} {name}" for name in "abc"] == calls
    assert NOTES == excinfo.value.__notes__


@pytest.mark.parametrize("action", ACTIONS)
def test_maintenance_continues_after_one_asynchronous_shard_fails(action: str) -> None:
    """If an asynchronous shard's maintenance fails, other shards are still cleaned and closed."""
    calls: list[str] = []

    async def main() -> None:
        store = AsyncShardedStorage({name: AsyncFailingShard(name, calls) for name in "abc"})
        await getattr(store, "aclose" if action == "close" else action)()

    with pytest.raises(StorageUnavailable, match="Shard a") as excinfo:
        asyncio.run(main())

    assert [f"{action} {name}" for name in "abc"] == calls
    assert NOTES == excinfo.value.__notes__
