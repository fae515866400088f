"""Slow or silent Redis servers: every command ends at its caller's deadline.

The store's own timeout is so long that a command which ignores its caller's deadline would hang.
"""

from __future__ import annotations

import socket
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.crc
from redis import exceptions as wrong

from moorage import StorageUnavailable
from moorage.adapters.state._redis_cluster import as_redirection
from moorage.adapters.state._redis_socket import TimedSocket
from moorage.testing.kits._state_commands import Write, new_key, read_command
from tests.adapters.redis_modes import MODES, Count, SyncStore
from tests.adapters.test_redis_servers import (
    node_prefixes,
    nodes_of,
    one_token,
    sees_complete_cluster,
    url_of,
)
from tests.support.redis_servers import PrivateRedis, Proxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3_600.0
SHORT = 0.3
LONG = 60.0


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the store under test: synchronous or asynchronous."""
    return str(request.param)


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    """Yield a Redis server that works normally."""
    with PrivateRedis() as start_redis:
        yield start_redis


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[PrivateRedis]]:
    """Yield a Redis cluster of three nodes that keeps working if one is lost."""
    yield from nodes_of("--cluster-require-full-coverage", "no", "--cluster-node-timeout", "600000")


@pytest.mark.parametrize("connected", [False, True], ids=["new", "connected"])
def test_a_reply_that_trickles_ends_by_the_deadline(
    mode: str, server: PrivateRedis, *, connected: bool
) -> None:
    """If a Redis reply arrives byte by byte, the command fails at the caller's deadline."""
    with Proxy(server.port) as proxy, SyncStore(mode, proxy.url, timeout=HOUR) as store:
        if connected:
            store.execute(one_token(new_key()), LONG)
        proxy.trickles = True
        with pytest.raises(StorageUnavailable, match="did not answer in time"):
            store.execute(one_token(new_key()), SHORT)
        with pytest.raises(StorageUnavailable, match="did not answer in time"):
            store.execute(Count(new_key()), SHORT)


def test_a_node_that_falls_silent_ends_by_the_deadline(
    mode: str, cluster: list[PrivateRedis]
) -> None:
    """If a cluster node stops responding, only commands on its keys fail, at their deadlines."""
    home_tags = node_prefixes(cluster)
    silent_redis, *other_redis = cluster
    with SyncStore(mode, url_of(cluster), timeout=HOUR) as store:
        for node in cluster:
            store.execute(Count(f"{home_tags[node.port]}:{mode}"), LONG)
        silent_redis.suspend()
        try:
            for number in range(2, 5):
                with pytest.raises(StorageUnavailable, match="did not answer in time"):
                    store.execute(Count(f"{home_tags[silent_redis.port]}:{mode}"), SHORT)
                for node in other_redis:
                    assert number == store.execute(Count(f"{home_tags[node.port]}:{mode}"), LONG)
        finally:
            silent_redis.resume()
        assert store.execute(Count(f"{home_tags[silent_redis.port]}:{mode}"), LONG)


def test_finding_nodes_leaves_time_to_ask_another_if_one_cluster_node_is_silent(
    cluster: list[PrivateRedis],
) -> None:
    """If one cluster node is silent during a node lookup, there is time to query another node."""
    home_tags = node_prefixes(cluster)
    silent_redis, other_redis, _ = cluster
    silent_redis.suspend()
    try:
        for _ in range(3):
            with SyncStore("sync", url_of(cluster), timeout=2.0) as store:
                assert store.execute(Count(f"{home_tags[other_redis.port]}:learnt"), 8.0)
                for _ in range(2):
                    with pytest.raises(StorageUnavailable, match="did not answer in time"):
                        store.execute(Count(f"{home_tags[silent_redis.port]}:learnt"), SHORT)
                assert 0 == store.housekeep()
    finally:
        silent_redis.resume()


def test_expired_deadline_sends_nothing(server: PrivateRedis) -> None:
    """A command whose deadline has passed fails, on a new and on a used connection."""
    with SyncStore("sync", server.url, timeout=LONG) as store:
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="did not answer in time"):
                store.execute(one_token(new_key()), -1.0)
            store.execute(one_token(new_key()), LONG)


def test_checking_a_socket_for_bytes_never_blocks() -> None:
    """Checking a socket for bytes never blocks, even if the deadline is far away."""
    single_socket, other_socket = socket.socketpair()
    with single_socket, other_socket:
        timed_socket = TimedSocket(single_socket, inf)
        timed_socket.settimeout(0)
        with pytest.raises(BlockingIOError):
            timed_socket.recv(1)
        timed_socket.settimeout(1)
        timed_socket.until = monotonic() - 1
        with pytest.raises(TimeoutError):
            timed_socket.recv(1)


def test_a_cluster_without_slots_is_down() -> None:
    """In a cluster without slots, a command raises StorageUnavailable."""
    with (
        PrivateRedis("--cluster-enabled", "yes") as node,
        SyncStore("sync", url_of([node, node]), timeout=LONG) as store,
    ):
        with pytest.raises(StorageUnavailable, match="no node for this key"):
            store.execute(one_token(new_key()))
        assert 0 == store.housekeep()


def test_a_cluster_whose_only_node_is_lost_is_unavailable(mode: str) -> None:
    """If the only known cluster node is lost, each command tries it again and fails."""
    with PrivateRedis("--cluster-enabled", "yes") as node:
        with redis.Redis(port=node.port) as client:
            closing_client: Any = client
            closing_client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        wait_until(lambda: sees_complete_cluster(node), "having all slots")
        with SyncStore(mode, url_of([node, node]), timeout=LONG) as store:
            store.execute(one_token(new_key()))
            node.kill()
            for _ in range(2):
                with pytest.raises(StorageUnavailable, match="cannot be reached"):
                    store.execute(one_token(new_key()))


@pytest.mark.parametrize("kind", [wrong.MovedError, wrong.AskError])
def test_redirections_are_recognised_by_their_text(kind: type[wrong.AskError]) -> None:
    """A plain ResponseError is recognised as MOVED or ASK by its text."""
    code = kind.__name__.removesuffix("Error").upper()
    redirection = as_redirection(wrong.ResponseError(f"{code} 12182 host:7000"))

    assert type(redirection) is kind
    assert (12182, "host", 7000) == (redirection.slot_id, redirection.host, redirection.port)


def test_tryagain_reply_is_recognised_by_text_of_plain_response_error() -> None:
    """A plain ResponseError is recognised as TRYAGAIN by its text."""
    assert isinstance(
        as_redirection(wrong.ResponseError("TRYAGAIN Multiple keys request")), wrong.TryAgainError
    )


def test_reply_that_is_not_redirection_is_raised_unchanged() -> None:
    """A reply that is not a redirection is raised unchanged."""
    error = wrong.ResponseError("OOM command not allowed")

    assert error is as_redirection(error)


def test_keys_that_are_about_to_move_are_found(cluster: list[PrivateRedis]) -> None:
    """While a slot moves, its keys are found on either node; a command for both is refused."""
    part = "{about to move}"
    with SyncStore("sync", url_of(cluster), timeout=LONG) as store:
        store.execute(read_command(f"{part}:1"))
        port = int(store.node_of(read_command(f"{part}:1")).rpartition(":")[2])
    source, target, _ = sorted(cluster, key=lambda node: node.port != port)
    names = [f"moorage:{part}:{number}" for number in (1, 2)]
    slot = redis.crc.key_slot(names[0].encode())
    clients: list[Any] = [redis.Redis(port=node.port) for node in (source, target)]
    ids = [client.execute_command("CLUSTER MYID").decode() for client in clients]
    with SyncStore("sync", url_of(cluster), timeout=LONG) as store:
        for number in (1, 2):
            store.execute(Write({f"{part}:{number}": "here"}))
        clients[1].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
        clients[0].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
        clients[0].migrate("127.0.0.1", target.port, names[0], 0, 5_000)

        _, (result,) = store.execute(read_command(f"{part}:1"))
        with pytest.raises(StorageUnavailable):
            store.execute(read_command(f"{part}:1", f"{part}:2"), LONG)

        assert result is not None
        clients[0].migrate("127.0.0.1", target.port, names[1], 0, 5_000)
        for client in clients:
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
            client.close()
        assert all(store.execute(read_command(f"{part}:1", f"{part}:2"))[1])
