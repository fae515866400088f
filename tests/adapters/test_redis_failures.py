"""Failures of the Redis store raise moorage's own errors.

Each command takes effect at most once.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import redis

from moorage import RateLimitConfig, StateUnavailable, StorageUnavailable
from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.state._redis_pool import ConnectionPool
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.domain.idempotency.claims import Claim, Verdict, Withdraw, store_answer
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.state.codec import VERSION, pack
from moorage.errors import ConfigurationError, InvalidData
from moorage.testing.kits._state_commands import Write, new_key, read_command
from tests.adapters.redis_modes import MODES, Count, SyncStore
from tests.support.redis_servers import PrivateRedis, Proxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.state.commands import Command

PATIENT = 5.0
SHORT = 0.2


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    """Yield a Redis server that tests may stop if they start it again."""
    with PrivateRedis() as start_redis:
        yield start_redis


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the store under test: synchronous or asynchronous."""
    return str(request.param)


def one_token(key: str) -> Admission:
    """Return a command that requests one token of a bucket that hardly refills."""
    gates = Gates(limits=[RateLimitConfig(0.001, burst=1_000).rule], limit_keys=[key])
    return Admission(gates, within=0, lease=1)


def tokens_taken(store: SyncStore, command: Admission) -> int:
    """Return the number of tokens taken from the bucket."""
    _, (state,) = store.execute(read_command(*command.keys))
    rule: Any = command.gates.limits[0]
    return 0 if state is None else -((state[3] - rule.room) // rule.price)


def claim(key: str, owner: int = 1) -> Claim:
    """Return a command that claims an idempotency key and may safely run twice."""
    return Claim(
        key, fingerprint=b"f", owner=owner, lease=10**7, ttl=10**9, target="", remembered=0
    )


# --- Redis goes away -------------------------------------------------------------


def test_store_continues_to_work_if_redis_loses_its_states_and_script(
    mode: str, server: PrivateRedis
) -> None:
    """If Redis loses its states and its script, the store continues to work."""
    client = redis.Redis(port=server.port)
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        command = one_token(new_key())
        for _ in range(3):
            assert Answer.GO is store.execute(command)[0]
            assert 1 == tokens_taken(store, command)
            client.flushall()
            client.script_flush()
    client.close()


def test_a_server_that_was_restarted_is_used_again(mode: str, server: PrivateRedis) -> None:
    """After a restart of Redis, the next command uses a new connection and succeeds."""
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        store.execute(one_token(new_key()))
        server.kill()
        server.start()
        assert Answer.GO is store.execute(one_token(new_key()))[0]


def test_a_server_that_is_gone_is_unavailable(mode: str, server: PrivateRedis) -> None:
    """The error for an unreachable Redis has the address without the password, and a remedy."""
    location = f"redis://me:secret-word@127.0.0.1:{server.port}/0"
    with SyncStore(mode, location, timeout=PATIENT) as store:
        server.kill()
        with pytest.raises(StorageUnavailable, match=r"redis://me:\*\*\*@127") as excinfo:
            store.execute(one_token(new_key()))
        server.start()
    assert "cannot be reached" in str(excinfo.value)
    text = "".join(traceback.format_exception(excinfo.value))
    assert "secret-word" not in f"{text} {excinfo.value!r} {store.store!r}"


def test_command_to_redis_that_does_not_respond_fails_after_one_timeout(
    mode: str, server: PrivateRedis
) -> None:
    """A command to a Redis that does not respond fails after one timeout."""
    with SyncStore(mode, server.url, timeout=SHORT) as store:
        command = claim(new_key())
        store.execute(command)
        server.suspend()
        start_time = time.monotonic()
        with pytest.raises(StorageUnavailable, match="did not answer in time"):
            store.execute(command)
        with pytest.raises(StorageUnavailable, match="did not answer in time"):
            store.execute(command)
        duration = time.monotonic() - start_time
        server.resume()
    assert 2 * SHORT <= duration < 2 * PATIENT
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        assert Verdict.RUN is store.execute(command).verdict


def test_silent_server_fails_all_callers_together(server: PrivateRedis) -> None:
    """If Redis does not respond, all callers of an event loop fail after one common timeout."""

    async def callers() -> list[object]:
        store = AsyncRedisStorage(server.url, timeout=SHORT)
        command = one_token(new_key())
        await store.execute(command)
        server.suspend()
        requests = [store.execute(command) for _ in range(500)]
        results = await asyncio.gather(*requests, return_exceptions=True)
        server.resume()
        await store.aclose()
        return list(results)

    assert {StorageUnavailable} == set(map(type, asyncio.run(callers())))


# --- replies that are lost ---------------------------------------------------------


@pytest.mark.parametrize("stored", [0, 3])
def test_lost_grant_is_not_repeated(mode: str, stored: int, server: PrivateRedis) -> None:
    """If the reply to a token request is lost, the request is not sent again."""
    with Proxy(server.port) as proxy, SyncStore(mode, proxy.url, timeout=PATIENT) as store:
        command = one_token(new_key())
        store.execute(command)
        proxy.cuts, proxy.keep, calls_before = 1, stored, proxy.calls
        with pytest.raises(StorageUnavailable, match="closed the connection"):
            store.execute(command)
        assert 1 == proxy.calls - calls_before
        assert 2 == tokens_taken(store, command)


@pytest.mark.parametrize("stored", [0, 3])
def test_lost_claim_is_repeated_once(mode: str, stored: int, server: PrivateRedis) -> None:
    """If the reply to a claim is lost, the claim is sent once more."""
    with Proxy(server.port) as proxy, SyncStore(mode, proxy.url, timeout=PATIENT) as store:
        store.execute(claim(new_key()))
        command = claim(new_key())
        proxy.cuts, proxy.keep, calls_before = 1, stored, proxy.calls
        assert Verdict.RUN is store.execute(command).verdict
        assert 2 == proxy.calls - calls_before
        proxy.cuts, calls_before = 2, proxy.calls
        with pytest.raises(StorageUnavailable, match="closed the connection"):
            store.execute(command)
        assert 2 == proxy.calls - calls_before


@pytest.mark.parametrize("once", [True, False])
def test_write_with_a_lost_reply_is_repeated_only_if_its_command_allows_it(
    mode: str, once: bool, server: PrivateRedis
) -> None:
    """If the reply to a write is lost, the write is repeated only if its command allows it."""
    with Proxy(server.port) as proxy, SyncStore(mode, proxy.url, timeout=PATIENT) as store:
        command = Count(new_key(), once=once)
        store.execute(command)
        for cut in (1, 2):
            proxy.cuts = cut
            try:
                number = store.execute(command)
            except StorageUnavailable:
                proxy.cuts = 0
                continue
            assert not once or number > 1
        final_count = store.execute(command)
    assert final_count <= 4 if once else final_count >= 2


def test_forked_child_drops_posts_of_an_outage(server: PrivateRedis) -> None:
    """Commands posted in an outage are sent by the parent, and not by a forked child too."""
    with RedisStorage(server.url, timeout=PATIENT) as store:
        count = Count(new_key(), once=False)
        server.kill()
        store.post(Withdraw(count.keys[0], 1, ttl=1))
        store.post(count)

        restart_in_child()
        server.start()
        store.execute(one_token(new_key()))

        assert 1 == store.execute(count)


def test_posts_during_an_outage_are_sent_later(mode: str, server: PrivateRedis) -> None:
    """Commands posted while Redis is down are sent with the next command."""
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        command, key = one_token(new_key()), new_key()
        store.execute(command)
        server.kill()
        store.post(command)
        store.post(Withdraw(key, 1, ttl=1))
        store.post(Count(key))
        server.start()
        store.execute(one_token(new_key()))
        assert 1 == tokens_taken(store, command)


def test_posts_that_the_script_does_not_support_survive_an_outage(
    mode: str, server: PrivateRedis
) -> None:
    """A posted command that runs by compare-and-swap takes effect once after an outage."""
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        key, repeatable_key = new_key(), new_key()
        store.execute(one_token(new_key()))
        server.kill()
        store.post(Count(key))
        store.post(Count(repeatable_key, once=False))
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                store.execute(Count(new_key()))
        server.start()
        for _ in range(2):
            store.execute(one_token(new_key()))
        assert (2, 2) == (store.execute(Count(key)), store.execute(Count(repeatable_key)))


def test_posts_during_a_failover_are_sent_to_the_new_primary(
    mode: str, server: PrivateRedis
) -> None:
    """Commands posted while Redis is a replica are sent once it is a primary again."""
    with (
        PrivateRedis() as demoted_server,
        SyncStore(mode, demoted_server.url, timeout=PATIENT) as store,
        redis.Redis(port=demoted_server.port) as client,
    ):
        command = one_token(new_key())
        store.execute(command)
        client.replicaof("127.0.0.1", str(server.port))
        wait_until(lambda: client.info()["master_link_status"] == "up", "replication")
        store.post(command)
        with pytest.raises(StorageUnavailable, match="is a read-only replica"):
            store.execute(one_token(new_key()))
        client.replicaof("NO", "ONE")
        store.execute(one_token(new_key()))
        assert 1 == tokens_taken(store, command)


def test_all_posts_precede_the_next_command(mode: str, server: PrivateRedis) -> None:
    """All posted commands take effect before the next command, however many there are."""
    command = one_token(new_key())
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        store.execute(one_token(new_key()))
        server.kill()
        for _ in range(300):
            store.post(command)
        server.start()
        store.execute(one_token(new_key()))
        assert 300 == tokens_taken(store, command)


def test_close_sends_posts(mode: str, server: PrivateRedis) -> None:
    """Closing a store sends the posted commands that were not sent yet."""
    command = one_token(new_key())
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        store.execute(one_token(new_key()))
        server.kill()
        store.post(command)
        server.start()
        store.close()
        with pytest.raises(StorageUnavailable, match="The store is closed"):
            store.execute(command)
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        assert 1 == tokens_taken(store, command)


def test_posts_after_a_close_are_dropped(mode: str, server: PrivateRedis) -> None:
    """A command posted after the store was closed is dropped."""
    command = one_token(new_key())
    with (
        redis.Redis(port=server.port) as client,
        SyncStore(mode, server.url, timeout=PATIENT) as store,
    ):
        store.execute(one_token(new_key()))
        store.close()
        connection_counts = [len(client.client_list())]
        store.post(command)
        connection_counts.append(len(client.client_list()))
        store.close()
        connection_counts.append(len(client.client_list()))
    assert connection_counts[0] >= max(connection_counts)
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        assert 0 == tokens_taken(store, command)


def _pool_of(store: RedisStorage) -> ConnectionPool:
    """Return the connection pool of a store on a single Redis server."""
    pool = store._pool  # noqa: SLF001 - nothing else tells which of them are idle
    assert isinstance(pool, ConnectionPool)
    return pool


def test_idle_connections_are_closed_too_if_redis_closes_one_connection(
    server: PrivateRedis,
) -> None:
    """If Redis closes one connection, the idle connections are closed too."""
    store = RedisStorage(server.url, timeout=PATIENT)
    idle_connections = _pool_of(store)._idle  # noqa: SLF001 - which of them is taken is to be known
    store.housekeep()
    other_connection = idle_connections.pop()
    store.housekeep()
    idle_connections.insert(0, other_connection)
    server.suspend()
    with ThreadPoolExecutor() as pool:
        request = pool.submit(store.housekeep)
        wait_until(lambda: [other_connection] == idle_connections, "connection in use")
        server.kill()
    assert isinstance(request.exception(), StorageUnavailable)
    assert [] == idle_connections
    store.close()
    server.start()


def test_connections_in_use_close_after_their_command(server: PrivateRedis) -> None:
    """If the store is closed during a command, the command's connection closes afterwards."""
    store = RedisStorage(f"redis://127.0.0.1:{server.port}/0?client_name=held", timeout=PATIENT)
    with redis.Redis(port=server.port) as client:

        def is_held() -> bool:
            return "held" in [item["name"] for item in client.client_list()]

        store.housekeep()
        assert is_held()
        server.suspend()
        thread = threading.Thread(target=store.housekeep)
        thread.start()
        wait_until(lambda: not _pool_of(store)._idle, "connection in use")  # noqa: SLF001 - it is taken out first
        store.close()
        server.resume()
        thread.join()
        wait_until(lambda: not is_held(), "closed connection")


# --- stored values -----------------------------------------------------------------


@pytest.mark.parametrize(
    "stored, message",
    [
        (b"", "that moorage did not write"),
        (b"garbage", "cannot be read"),
        (b"\1", "cannot be read"),
        (pack((1, 2, 3)), "that moorage did not write"),
        (pack((1, 2, 3, 4, 5, 6, 7, "not peaks")), "that moorage did not write"),
        (pack((1, 2, 3, 4, 5, 6, 7, ()))[:-3], "cannot be read"),
        (bytes((VERSION + 1,)) + pack((1, 2, 3, 4, 5, 6, 7, ()))[1:], "Upgrade every process"),
    ],
    ids=range(7),
)
def test_foreign_values_are_refused(
    mode: str, stored: bytes, message: str, server: PrivateRedis
) -> None:
    """A key with a value that is not a state is refused, and the value is not changed."""
    with (
        redis.Redis(port=server.port) as client,
        SyncStore(mode, server.url, timeout=PATIENT) as store,
    ):
        command = one_token(new_key())
        client.set("moorage:" + command.keys[0], stored)
        with pytest.raises(StateUnavailable, match=message) as excinfo:
            store.execute(command)
        assert excinfo.value.key in (command.keys[0], None)
        assert stored == client.get("moorage:" + command.keys[0])


def test_the_state_that_cannot_be_used_is_named(mode: str, server: PrivateRedis) -> None:
    """If one of several states has a newer format, the error contains the state's key."""
    limits = [RateLimitConfig(1).rule] * 2
    later_bytes = bytes((VERSION + 1,)) + pack((1, 2, 3, 4, 5, 6, 7, ()))[1:]
    with (
        redis.Redis(port=server.port) as client,
        SyncStore(mode, server.url, timeout=PATIENT) as store,
    ):
        for stored_bytes in (later_bytes, None):
            keys = [new_key(), new_key()]
            if stored_bytes is None:
                client.lpush("moorage:" + keys[1], "theirs")
            else:
                client.set("moorage:" + keys[1], stored_bytes)
            gates = Gates(limits=limits, limit_keys=keys)
            for refused_admission in (Admission(gates, within=0, lease=0), Count(keys[1])):
                with pytest.raises(StateUnavailable) as excinfo:
                    store.execute(refused_admission)
                assert keys[1] == excinfo.value.key


def test_another_kind_of_value_is_refused(mode: str, server: PrivateRedis) -> None:
    """A key of the Redis type list is refused and not changed; other keys still work."""
    with (
        redis.Redis(port=server.port) as client,
        SyncStore(mode, server.url, timeout=PATIENT) as store,
    ):
        command, key = one_token(new_key()), new_key()
        client.lpush("moorage:" + command.keys[0], "theirs")
        client.lpush("moorage:" + key, "theirs")
        for refused_admission in (command, Count(key), Count(key, once=False)):
            with pytest.raises(StorageUnavailable, match="that moorage did not write"):
                store.execute(refused_admission)
        assert 1 == store.execute(Count(new_key()))
        assert [b"theirs"] == client.lrange("moorage:" + key, 0, -1)


def test_unreadable_state_fails_only_its_own_command_if_commands_share_round_trip(
    server: PrivateRedis,
) -> None:
    """If commands share a round trip, an unreadable state fails only the command that reads it."""

    async def callers() -> list[Any]:
        store = AsyncRedisStorage(server.url, timeout=PATIENT)
        good_key, bad_key, key, spoilt = new_key(), new_key(), new_key(), new_key()
        with redis.Redis(port=server.port) as client:
            client.set(f"moorage:{bad_key}", b"garbage")
            client.lpush(f"moorage:{spoilt}", "theirs")
        requests: list[Command[Any]] = [
            one_token(good_key),
            one_token(bad_key),
            Count(key),
            Count(spoilt),
        ]
        requests.append(requests[0])
        results = await asyncio.gather(*map(store.execute, requests), return_exceptions=True)
        await store.aclose()
        return list(results)

    one, two, three, four, five = asyncio.run(callers())
    assert (Answer.GO, 1, Answer.GO) == (one[0], three, five[0])
    assert isinstance(two, StorageUnavailable)
    assert isinstance(four, StorageUnavailable)


def test_unstorable_value_is_the_callers_error(mode: str, server: PrivateRedis) -> None:
    """Storing a value of an unsupported type raises InvalidData."""
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        key = new_key()
        with pytest.raises(InvalidData, match="object cannot be stored"):
            store.execute(Write({key: object()}))
        with pytest.raises(InvalidData, match="object cannot be stored"):
            store.execute(store_answer(key, 1, object(), ttl=1))
        store.post(store_answer(key, 1, object(), ttl=1))
        assert (None,) == store.execute(read_command(key))[1]


# --- refusals by Redis --------------------------------------------------------------


def test_writes_raise_storage_unavailable_if_redis_is_full_and_does_not_evict(
    mode: str, server: PrivateRedis
) -> None:
    """If Redis is full and does not evict, writes raise StorageUnavailable."""
    with (
        redis.Redis(port=server.port) as client,
        SyncStore(mode, server.url, timeout=PATIENT) as store,
    ):
        command = one_token(new_key())
        store.execute(command)
        client.config_set("maxmemory", "1mb")
        for refused_admission in (command, Count(new_key())):
            with pytest.raises(StorageUnavailable, match="is full"):
                store.execute(refused_admission)
        client.config_set("maxmemory", "0")
        assert 1 == tokens_taken(store, command)


def test_evicting_server_is_refused(mode: str, server: PrivateRedis) -> None:
    """A Redis eviction policy that may remove live states is refused."""
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", "1gb")
        client.config_set("maxmemory-policy", "volatile-lru")
        with SyncStore(mode, server.url, timeout=PATIENT) as store:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="volatile-lru"):
                    store.execute(one_token(new_key()))
        with SyncStore(mode, server.url, timeout=PATIENT, may_evict=True) as store:
            assert Answer.GO is store.execute(one_token(new_key()))[0]
        client.config_set("maxmemory", "0")
        with SyncStore(mode, server.url, timeout=PATIENT) as store:
            assert Answer.GO is store.execute(one_token(new_key()))[0]
        client.config_set("maxmemory-policy", "noeviction")


def test_replica_is_refused(mode: str, server: PrivateRedis) -> None:
    """The error for the address of a Redis replica states that the server is a replica."""
    with PrivateRedis("--replicaof", f"127.0.0.1 {server.port}") as replica:
        with redis.Redis(port=replica.port) as client:
            wait_until(lambda: client.info()["master_link_status"] == "up", "replication")
        with SyncStore(mode, replica.url, timeout=PATIENT) as store:
            for _ in range(2):
                with pytest.raises(StorageUnavailable, match="is a read-only replica"):
                    store.execute(one_token(new_key()))


def test_a_busy_server_is_unavailable(mode: str) -> None:
    """While Redis runs a long script, the store is unavailable; it recovers afterwards."""
    with (
        PrivateRedis("--busy-reply-threshold", "10") as busy_redis,
        redis.Redis(port=busy_redis.port) as client,
        SyncStore(mode, busy_redis.url, timeout=PATIENT) as store,
    ):
        store.execute(one_token(new_key()))
        script_thread = threading.Thread(target=_run_for_ever, args=(busy_redis.port,))
        script_thread.start()
        wait_until(lambda: _is_busy(client), "being busy")
        with pytest.raises(StorageUnavailable, match="is busy"):
            store.execute(one_token(new_key()))
        client.script_kill()
        script_thread.join()
        assert Answer.GO is store.execute(one_token(new_key()))[0]


def _run_for_ever(port: int) -> None:
    with redis.Redis(port=port) as client, pytest.raises(redis.ResponseError):
        client.eval("while true do end", 0)


def _is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.ResponseError:
        return True
    return False


def test_a_wrong_password_is_unavailable(mode: str) -> None:
    """The error for a missing or wrong Redis password states this cause, without the password."""
    with PrivateRedis("--requirepass", "right") as guarded_server:
        for user in ("", ":wrong-word@"):
            location = f"redis://{user}127.0.0.1:{guarded_server.port}/0"
            with SyncStore(mode, location, timeout=PATIENT) as store:
                with pytest.raises(StorageUnavailable, match="password") as excinfo:
                    store.execute(one_token(new_key()))
                assert "wrong-word" not in "".join(traceback.format_exception(excinfo.value))
        with SyncStore(
            mode, f"redis://:right@127.0.0.1:{guarded_server.port}/0", timeout=PATIENT
        ) as store:
            assert Answer.GO is store.execute(one_token(new_key()))[0]


def test_minimal_acl_is_enough(mode: str, server: PrivateRedis) -> None:
    """A Redis user who may run only a few commands on moorage's keys has enough permissions."""
    permissions = "on >word ~moorage:* +evalsha +eval +get +set +time +auth"
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", "few", *permissions.split())
        client.execute_command("ACL", "SETUSER", "none", "on", ">word", "~other:*", "+@all")
    location = f"127.0.0.1:{server.port}/0"
    with SyncStore(mode, f"redis://few:word@{location}", timeout=PATIENT) as store:
        assert Answer.GO is store.execute(one_token(new_key()))[0]
    with (
        SyncStore(mode, f"redis://none:word@{location}", timeout=PATIENT) as store,
        pytest.raises(StorageUnavailable, match="or a command"),
    ):
        store.execute(one_token(new_key()))


# --- a server that is slow ----------------------------------------------------------


def test_a_slow_server_is_waited_for(mode: str, server: PrivateRedis) -> None:
    """If a caller passes a longer timeout than the store's own, the caller's timeout applies."""
    with redis.Redis(port=server.port) as client, SyncStore(mode, server.url, timeout=0.2) as store:
        for command in (one_token(new_key()), Count(new_key())):
            client.client_pause(600)
            store.execute(command, PATIENT)
