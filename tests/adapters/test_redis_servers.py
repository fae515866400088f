"""The Redis store with TLS, Sentinel or a cluster, or on the host program's own Redis client."""

from __future__ import annotations

import asyncio
import gc
import subprocess
from contextlib import ExitStack, suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
import redis.crc

from moorage import (
    ConnectorManager,
    RateLimitConfig,
    RateLimitExceeded,
    Service,
    StorageUnavailable,
)
from moorage.adapters.state._redis_cluster import ClusterPool
from moorage.adapters.state._redis_server import RedisServer, UnsentError
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.domain.idempotency.claims import Claim, Verdict
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.service.plan import Plan
from moorage.domain.state.keys import own_key, state_key
from moorage.errors import ConfigurationError
from moorage.testing import state_conformance as kit
from moorage.testing.fakes.http_tls import certificate_files
from moorage.testing.kits._state_commands import Write, new_key
from moorage.testing.kits.checks import name_of
from tests.adapters.redis_modes import MODES, Count, SyncStore
from tests.support.ports import free_port
from tests.support.redis_servers import PrivateRedis
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENT = 20.0


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the store under test: synchronous or asynchronous."""
    return str(request.param)


def one_token(key: str) -> Admission:
    """Return a command that requests one token of a bucket."""
    gates = Gates(limits=[RateLimitConfig(100, burst=9).rule], limit_keys=[key])
    return Admission(gates, within=0, lease=1)


def check_both_paths(store: SyncStore) -> None:
    """Check that the store runs one command by script, and another by compare-and-swap."""
    command, key = one_token(new_key()), new_key()
    assert Answer.GO is store.execute(command)[0]
    assert [1, 2] == [store.execute(Count(key)) for _ in range(2)]
    assert 0 == store.housekeep()


# --- addresses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis+unknown://localhost",
        "redis+sentinel://localhost",
        "redis://localhost:port",
        "redis://[::1",
        "redis://me:12/word@host:1",
        "redis+cluster://me:12#word@host:1",
    ],
)
def test_invalid_urls_are_refused(mode: str, url: str) -> None:
    """An invalid Redis URL is refused at construction."""
    with pytest.raises(ConfigurationError, match="not a valid address of Redis"):
        SyncStore(mode, url)


def test_other_clients_are_refused(mode: str) -> None:
    """A Redis client of the wrong mode (sync or async), or any other object, is refused."""
    foreign_client: Any = redis.asyncio.Redis() if mode == "sync" else redis.Redis()
    for refused_client in (foreign_client, 6379, None):
        with pytest.raises(ConfigurationError, match="must be a URL or a Redis client"):
            SyncStore(mode, refused_client)


def test_ca_setting_without_tls_is_refused(mode: str) -> None:
    """The `ca` setting is refused without TLS."""
    for location in ("redis://localhost", redis.Redis(), "redis+cluster://localhost"):
        with pytest.raises(ConfigurationError, match=r"[Cc]ertificates"):
            SyncStore(mode, location, ca="ca.pem")


@pytest.mark.parametrize(
    "url, shown",
    [
        ("redis://me:word@host:1/2?protocol=3", "redis://me:***@host:1/2"),
        ("redis://:word@host", "redis://:***@host"),
        ("redis://host", "redis://host"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("rediss+cluster://u:w@a:1,b:2", "rediss+cluster://u:***@a:1,b:2"),
        ("redis+sentinel://:w@a,b:2/primary/3", "redis+sentinel://:***@a,b:2/primary/3"),
    ],
)
def test_a_store_shows_no_secret(mode: str, url: str, shown: str) -> None:
    """The `repr` of a Redis store shows its address without the password."""
    assert repr(SyncStore(mode, url).store).endswith(f"Storage('{shown}')")


def test_durability_must_be_declared(mode: str) -> None:
    """A Redis store counts as durable only with `durable=True`."""
    assert not SyncStore(mode, "redis://host").store.durable
    assert SyncStore(mode, "redis://host", durable=True).store.durable


# --- one server ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    """Yield a Redis server that also listens on a socket file."""
    with PrivateRedis("--unixsocket", "redis.sock") as start_redis:
        yield start_redis


def test_store_on_host_redis_client_uses_its_address_and_password(
    mode: str, server: PrivateRedis
) -> None:
    """A store on a host's Redis client uses its address and password, and does not change it."""
    options: Any = {"port": server.port, "db": 3, "decode_responses": True, "protocol": 3}
    client: Any = (redis if mode == "sync" else redis.asyncio).Redis(**options)
    with SyncStore(mode, client, timeout=PATIENT, prefix="p:") as store:
        check_both_paths(store)
        key = new_key()
        store.execute(Count(key))
        assert f":{server.port}" in repr(store.store)
    with redis.Redis(port=server.port, db=3) as second_client:
        assert second_client.exists(f"p:{key}")


def test_unix_url_connects_through_a_socket_file(mode: str, server: PrivateRedis) -> None:
    """A unix:// URL connects through a socket file."""
    with SyncStore(mode, f"unix://{server.folder}/redis.sock", timeout=PATIENT) as store:
        check_both_paths(store)
    client: Any = (redis if mode == "sync" else redis.asyncio).Redis(
        unix_socket_path=f"{server.folder}/redis.sock"
    )
    with SyncStore(mode, client, timeout=PATIENT) as store:
        check_both_paths(store)


# --- TLS -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Yield the URL and certificate of a Redis server that accepts only TLS."""
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    certificate, key = certificate_files(folder)
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    options = ("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file")
    try:
        start_redis = PrivateRedis("--port", "0", *options, str(certificate), *files)
    except AssertionError:
        pytest.skip("this redis-server was built without TLS")
    with start_redis:
        yield f"rediss://127.0.0.1:{port}/0", certificate


# A loop that ends right after a failed handshake has not closed its transport yet.
a_loop_ends_early = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@a_loop_ends_early
def test_tls_is_verified(mode: str, tls_redis: tuple[str, Path]) -> None:
    """A Redis server's certificate is trusted only if its authority is configured."""
    url, certificate = tls_redis
    with SyncStore(mode, url, timeout=PATIENT, ca=certificate) as store:
        check_both_paths(store)
    with (
        SyncStore(mode, url, timeout=PATIENT) as store,
        pytest.raises(StorageUnavailable, match=r"cannot be reached.*certificates"),
    ):
        store.execute(one_token(new_key()))
    gc.collect()


@a_loop_ends_early
def test_certificate_for_another_host_name_is_refused(
    mode: str, tls_redis: tuple[str, Path]
) -> None:
    """A Redis server's certificate for another host name is refused."""
    url, certificate = tls_redis
    with (
        SyncStore(mode, url.replace("127.0.0.1", "localhost"), timeout=9, ca=certificate) as store,
        pytest.raises(StorageUnavailable, match="cannot be reached"),
    ):
        store.execute(one_token(new_key()))
    gc.collect()


# --- Sentinel ------------------------------------------------------------------------


def test_command_after_a_failover_goes_to_the_new_primary(mode: str, tmp_path: Path) -> None:
    """When Sentinel names a new primary server, the next command is sent to that server."""
    with (
        PrivateRedis() as primary,
        PrivateRedis("--replicaof", f"127.0.0.1 {primary.port}") as replica,
    ):
        config = tmp_path / "sentinel.conf"
        config.write_text(
            f"sentinel monitor mine 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds mine 300\nsentinel failover-timeout mine 1000\n"
        )
        with (
            PrivateRedis("--sentinel", config=config) as sentinel,
            redis.Redis(port=replica.port) as replica_client,
            redis.Redis(port=sentinel.port) as request,
        ):
            wait_until(lambda: replica_client.info()["master_link_status"] == "up", "replication")
            wait_until(lambda: request.sentinel_slaves("mine"), "finding the replica")
            location = f"redis+sentinel://127.0.0.1:{sentinel.port}/mine/0"
            with SyncStore(mode, location, timeout=PATIENT) as store:
                check_both_paths(store)
                primary.kill()
                wait_until(lambda: _answers(store), "the failover")
                check_both_paths(store)
                assert "master" == replica_client.info()["role"]
            primary.start()


def _answers(store: SyncStore) -> bool:
    try:
        check_both_paths(store)
    except StorageUnavailable:
        return False
    return True


# --- a cluster -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[PrivateRedis]]:
    """Yield a Redis cluster of three nodes."""
    yield from nodes_of()


def nodes_of(*more: str) -> Iterator[list[PrivateRedis]]:
    """Yield a Redis cluster of three nodes with these options."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", *more)
    with ExitStack() as stack:
        nodes = [stack.enter_context(PrivateRedis(*options)) for _ in range(3)]
        places = [f"127.0.0.1:{node.port}" for node in nodes]
        subprocess.run(
            ["redis-cli", "--cluster", "create", *places, "--cluster-yes"],  # noqa: S607 - as found
            check=True,
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: all(map(sees_complete_cluster, nodes)), "agreeing on the cluster")
        yield nodes


def sees_complete_cluster(node: PrivateRedis) -> bool:
    """Return whether a node sees its cluster as complete."""
    client: Any
    with redis.Redis(port=node.port) as client:
        result = client.execute_command("CLUSTER INFO")
        return bool(result["cluster_state"] == "ok")


def url_of(cluster: list[PrivateRedis]) -> str:
    """Return a cluster URL that names two of the nodes."""
    return f"redis+cluster://127.0.0.1:{cluster[0].port},127.0.0.1:{cluster[1].port}"


@pytest.mark.parametrize("check", kit.CHECKS[3:], ids=name_of)
def test_store_on_redis_cluster_passes_conformance_kit_for_keys_of_one_node(
    check: kit.Check, cluster: list[PrivateRedis]
) -> None:
    """A store on a Redis cluster passes the conformance kit for keys of one node."""
    with RedisStorage(url_of(cluster), timeout=PATIENT) as store:
        check(lambda: one_node_store(store))


def one_node_store(store: Any) -> Any:
    """Return a store that puts all keys on one cluster node, for the conformance kit."""
    return OneNodeStore(store)


class OneNodeStore:
    """A store that puts all keys on one node of the cluster."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.post = lambda command: store.post(OneNodeCommand(command))
        if isinstance(store, AsyncRedisStorage):
            self.execute = self._execute_later
        else:
            self.execute = self._now

    def _now(self, command: Any, timeout: float | None = None) -> Any:
        return self._store.execute(OneNodeCommand(command), timeout)

    async def _execute_later(self, command: Any, timeout: float | None = None) -> Any:
        return await self._store.execute(OneNodeCommand(command), timeout)


class OneNodeCommand:
    """A wrapped command whose keys belong to one node of the cluster."""

    def __init__(self, command: Any) -> None:
        self.keys = tuple(f"{{home}}{key}" for key in command.keys)
        self.once = command.once
        self.apply = command.apply


def test_restarted_node_receives_the_script(mode: str, cluster: list[PrivateRedis]) -> None:
    """A cluster node that has lost the script receives it with the next call."""
    with SyncStore(mode, url_of(cluster), timeout=PATIENT) as store:
        for number in range(2):
            for node in cluster:
                client = redis.Redis(port=node.port)
                client.script_flush()
                client.close()
            claim_answer = store.execute(
                Claim(
                    f"{{forgetful:{mode}}}:key:{number}",
                    fingerprint=b"f",
                    owner=7,
                    lease=1_000_000,
                    ttl=1_000_000,
                    target="",
                    remembered=0,
                )
            )
            assert claim_answer.verdict is Verdict.RUN


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS[3:], ids=name_of)
def test_a_cluster_conforms_async(check: kit.AsyncCheck, cluster: list[PrivateRedis]) -> None:
    """An asynchronous store on a Redis cluster passes the conformance kit for keys of one node."""

    async def check_cluster() -> None:
        async with AsyncRedisStorage(url_of(cluster), timeout=PATIENT) as store:
            await check(lambda: one_node_store(store))

    asyncio.run(check_cluster())


def test_executed_and_posted_commands_go_to_cluster_node_that_has_their_keys(
    mode: str, cluster: list[PrivateRedis]
) -> None:
    """Executed and posted commands go to the cluster node that has their keys."""
    with SyncStore(mode, url_of(cluster), timeout=PATIENT) as store:
        check_both_paths(store)
        commands = [one_token(new_key()) for _ in range(30)]
        for command in commands:
            store.post(command)
            assert Answer.GO is store.execute(command)[0]
    sizes = []
    for node in cluster:
        with redis.Redis(port=node.port) as client:
            sizes.append(client.dbsize())
    assert all(sizes)


def test_keys_on_several_nodes_are_refused(mode: str, cluster: list[PrivateRedis]) -> None:
    """A command with keys on several cluster nodes is refused."""
    with (
        SyncStore(mode, url_of(cluster), timeout=PATIENT) as store,
        pytest.raises(StorageUnavailable, match=r"several nodes|slot"),
    ):
        store.execute(Write({"{a}": 1, "{b}": 2, "{c}": 3}))


def test_single_server_has_no_node_names(mode: str) -> None:
    """A single Redis server executes all commands together, without a division by node."""
    with PrivateRedis() as server, SyncStore(mode, server.url, timeout=PATIENT) as store:
        command = Count(new_key())
        store.execute(command)
        assert "" == store.node_of(command)


def test_single_cluster_node_is_refused(mode: str, cluster: list[PrivateRedis]) -> None:
    """The error for the address of a single cluster node suggests a redis+cluster:// URL."""
    commands = [one_token(f"{{{number}}}") for number in range(40)]
    with (
        SyncStore(mode, cluster[0].url, timeout=PATIENT) as store,
        pytest.raises(StorageUnavailable, match=r"is a cluster.*redis\+cluster://"),
    ):
        [store.execute(command) for command in commands]


def test_store_on_host_cluster_client_uses_its_nodes_and_settings(
    mode: str, cluster: list[PrivateRedis]
) -> None:
    """A store on a host's cluster client uses its nodes and settings."""
    if mode == "sync":
        client: Any = redis.cluster.RedisCluster(port=cluster[0].port, host="127.0.0.1")
    else:
        client = redis.asyncio.cluster.RedisCluster(port=cluster[0].port, host="127.0.0.1")
    with SyncStore(mode, client, timeout=PATIENT) as store:
        check_both_paths(store)
    if mode == "sync":
        client.close()


def test_evicting_cluster_is_refused(mode: str, cluster: list[PrivateRedis]) -> None:
    """A cluster's eviction policy that may remove live states is refused."""
    clients = [redis.Redis(port=node.port) for node in cluster]
    for client in clients:
        client.config_set("maxmemory", "1gb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with (
            SyncStore(mode, url_of(cluster), timeout=PATIENT) as store,
            pytest.raises(ConfigurationError, match="allkeys-lru"),
        ):
            store.execute(one_token(new_key()))
    finally:
        for client in clients:
            client.config_set("maxmemory", "0")
            client.close()


def test_keys_of_a_moved_slot_are_found_on_the_new_node(
    mode: str, cluster: list[PrivateRedis]
) -> None:
    """If a slot moves to another cluster node, the keys of the slot are found on that node."""
    with SyncStore(mode, url_of(cluster), timeout=PATIENT) as store:
        count = Count("{moving}:key")
        first = store.execute(count)
        _move_slot(redis.crc.key_slot(b"moorage:{moving}:key"), cluster)
        assert first + 1 == store.execute(count)


def _move_slot(slot: int, cluster: list[PrivateRedis]) -> None:
    """Move a slot and its keys from one node of the cluster to the next."""
    clients: list[Any] = [redis.Redis(port=node.port) for node in cluster]
    names = [client.execute_command("CLUSTER MYID").decode() for client in clients]
    keys = [client.execute_command("CLUSTER GETKEYSINSLOT", slot, 10) for client in clients]
    source = next(number for number, result in enumerate(keys) if result)
    target = (source + 1) % len(cluster)
    clients[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[source])
    clients[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[target])
    for key in keys[source]:
        clients[source].migrate("127.0.0.1", cluster[target].port, key, 0, 1000)
    for client in clients:
        client.execute_command("CLUSTER SETSLOT", slot, "NODE", names[target])
        client.close()


def test_a_cluster_that_is_gone_is_unavailable(mode: str) -> None:
    """The error for an unreachable cluster has its address without the password."""
    location = f"redis+cluster://u:secret-word@127.0.0.1:{free_port()}"
    with SyncStore(mode, location, timeout=1) as store:
        with pytest.raises(StorageUnavailable, match=r"u:\*\*\*@.*cannot be reached"):
            store.execute(one_token(new_key()))
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            store.housekeep()


def unreachable_cluster() -> ClusterPool:
    """Return cluster connections to an address where nothing listens."""
    url = f"redis+cluster://127.0.0.1:{free_port()}"
    return ClusterPool(RedisServer(url, is_async=False, timeout=1, ca=None, may_evict=False))


def test_wait_for_another_threads_discovery_is_bounded() -> None:
    """A thread that waits while another looks up the cluster nodes stops at its deadline."""
    links = unreachable_cluster()
    busy_type = links._loading  # noqa: SLF001 - as another thread holds it
    with busy_type, pytest.raises(UnsentError) as excinfo:
        links._load(monotonic() + 0.01, lambda: None)  # noqa: SLF001 - as `ask` calls it
    assert isinstance(excinfo.value.__cause__, redis.TimeoutError)


def test_discovered_nodes_are_shared_between_threads() -> None:
    """A thread uses the nodes that another thread has just discovered."""
    links = unreachable_cluster()
    end_time = monotonic() + PATIENT
    with pytest.raises(UnsentError):
        links._load(end_time, lambda: None)  # noqa: SLF001 - as `ask` calls it
    links._load(end_time, lambda: ("127.0.0.1", 1))  # noqa: SLF001 - as `ask` calls it


# --- a cluster that loses a node ---------------------------------------------------------


@pytest.fixture
def fault_tolerant_cluster() -> Iterator[list[PrivateRedis]]:
    """Yield a Redis cluster of three nodes that keeps working if one is lost."""
    yield from nodes_of("--cluster-require-full-coverage", "no")


def node_prefixes(cluster: list[PrivateRedis]) -> dict[int, str]:
    """Return a key prefix for each node of the cluster, by the node's port."""
    fields: dict[int, str] = {}
    with redis.cluster.RedisCluster(host="127.0.0.1", port=cluster[0].port) as client:
        for number in range(99):
            node: Any = client.get_node_from_key(f"{{h{number}}}")
            fields.setdefault(node.port, f"{{h{number}}}")
    return fields


def test_lost_node_affects_only_its_keys(
    mode: str, fault_tolerant_cluster: list[PrivateRedis]
) -> None:
    """If a cluster node is lost, the keys of the other nodes can still be used."""
    home_tags = node_prefixes(fault_tolerant_cluster)
    lost_redis, *other_redis = fault_tolerant_cluster
    with SyncStore(mode, url_of(fault_tolerant_cluster[1:]), timeout=PATIENT) as store:
        for node in fault_tolerant_cluster:
            assert 1 == store.execute(Count(f"{home_tags[node.port]}:1"))
            name = store.node_of(Count(f"{home_tags[node.port]}:1"))
            assert f"127.0.0.1:{node.port}" == name
        lost_redis.kill()
        for number in range(2, 5):
            with pytest.raises(StorageUnavailable, match="cannot be reached"):
                store.execute(Count(f"{home_tags[lost_redis.port]}:1"))
            for node in other_redis:
                assert number == store.execute(Count(f"{home_tags[node.port]}:1"))
    for place in (fault_tolerant_cluster[1:], fault_tolerant_cluster[:2]):
        with SyncStore(mode, url_of(place), timeout=PATIENT) as store:
            for node in other_redis:
                store.execute(Count(f"{home_tags[node.port]}:2"))


def test_tenants_limits_and_keys_on_other_nodes_still_work_if_cluster_node_is_killed(
    fault_tolerant_cluster: list[PrivateRedis],
) -> None:
    """If a cluster node is killed, tenants' limits and keys on the other nodes still work."""
    lost_redis, *other_redis = fault_tolerant_cluster
    bank = Service("bank", limits=RateLimitConfig(1, 3_600.0, 4), max_limit_wait=0, circuit=None)
    ledger = Service("ledger", circuit=None, retry=None)
    names = [f"n{number}" for number in range(60)]
    client: Any
    with redis.cluster.RedisCluster(
        host="127.0.0.1", port=fault_tolerant_cluster[0].port
    ) as client:
        tenants = {_port_of(client, state_key("limit", "bank", name)): name for name in names}
        keys = {_port_of(client, own_key("key", "ledger", None, name)): name for name in names}
    calls: list[str] = []
    with ExitStack() as stack:
        stores = [
            stack.enter_context(RedisStorage(url_of(fault_tolerant_cluster))) for _ in range(2)
        ]
        managers = [
            stack.enter_context(ConnectorManager([bank, ledger], state=store)) for store in stores
        ]
        for manager in managers:
            for node in fault_tolerant_cluster:
                manager.run("bank", lambda: None, tenant=tenants[node.port])
        lost_redis.kill()
        for manager in managers:
            # Withdrawing the claim, whose outcome is unknown, waits for the lost node.
            with pytest.raises(StorageUnavailable, match="cannot be reached"):
                manager.run(
                    "ledger", partial(calls.append, "lost"), idempotency_key=keys[lost_redis.port]
                )
        for node in other_redis:
            key = keys[node.port]
            for manager in managers * 2:
                manager.run("ledger", partial(calls.append, key), idempotency_key=key)
            assert 2 == sum(
                _is_admitted(manager, tenants[node.port]) for manager in managers for _ in range(3)
            )
    assert [keys[node.port] for node in other_redis] == calls


def _port_of(client: Any, key: str) -> int:
    """Return the port of the cluster node that stores a state."""
    return int(client.get_node_from_key(f"moorage:{key}").port)


def _is_admitted(manager: ConnectorManager, tenant: str) -> bool:
    """Return whether a tenant's rate limit admits a call."""
    with suppress(RateLimitExceeded):
        manager.run("bank", lambda: None, tenant=tenant)
        return True
    return False


def test_commands_go_to_the_node_that_took_over_the_slots(
    mode: str, fault_tolerant_cluster: list[PrivateRedis]
) -> None:
    """If a cluster node takes over the slots of a lost node, commands go to the new node."""
    home_tags = node_prefixes(fault_tolerant_cluster)
    lost_redis, replica, _ = fault_tolerant_cluster
    part = home_tags[lost_redis.port]
    with SyncStore(mode, url_of(fault_tolerant_cluster[1:]), timeout=PATIENT) as store:
        store.execute(Count(f"{part}:1"))
        give_slots(fault_tolerant_cluster, lost_redis, replica)
        lost_redis.kill()
        with suppress(StorageUnavailable):
            store.execute(Count(f"{part}:1"))
        store.execute(Count(f"{part}:1"))
        assert f"127.0.0.1:{replica.port}" == store.node_of(Count(f"{part}:1"))


def give_slots(cluster: list[PrivateRedis], lost: PrivateRedis, new_owner: PrivateRedis) -> None:
    """Make every node assign one node's slots to another node, without moving the keys."""
    clients: list[Any] = [redis.Redis(port=node.port) for node in cluster]
    try:
        new_owner_id = clients[cluster.index(new_owner)].execute_command("CLUSTER MYID")
        slots: Any = clients[0].execute_command("CLUSTER SLOTS")
        ranges = [(slot[0], slot[1]) for slot in slots if slot[2][1] == lost.port]
        for node, client in zip(cluster, clients, strict=True):
            if node is lost:
                continue
            for first, last_slot in ranges:
                for slot in range(first, last_slot + 1):
                    client.execute_command("CLUSTER SETSLOT", slot, "NODE", new_owner_id)
    finally:
        for client in clients:
            client.close()


def test_parts_of_a_limit_are_on_several_nodes(cluster: list[PrivateRedis]) -> None:
    """The parts of a limit are spread over a cluster's nodes; together they grant its burst."""
    limit = RateLimitConfig.per_hour(1, burst=40, parts=8)
    service = Service(f"vat-{new_key()}", limits=limit, max_limit_wait=0)
    granted = 0
    with (
        RedisStorage(url_of(cluster), timeout=PATIENT) as store,
        ConnectorManager([service], state=store) as manager,
    ):
        for number in range(300):
            with suppress(RateLimitExceeded):
                # The key of a call may be on another node than the part that it uses.
                manager.run(service.name, int, idempotency_key=str(number))
                granted += 1
        nodes = {store.node_of(part.question) for part in Plan(service, None, None).parts}

    assert 40 == granted
    assert len(nodes) > 1
