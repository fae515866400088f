"""The store for idempotency claims in a NATS bucket: conformance, crashes and lost replies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage import ConfigurationError, Request, Response, Service, StorageUnavailable
from moorage.adapters.messages.nats import Nats
from moorage.adapters.state._nats_wire import (
    MARK,
    ServerClock,
    check_bucket,
    subject_of,
    subject_word,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.state.nats import AsyncNatsStorage, NatsStorage
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.idempotency.claims import (
    Claim,
    Renew,
    Verdict,
    WriteRecordOfHolder,
    release_claim,
    store_answer,
)
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, HOUR, SECOND
from moorage.testing import FakeVendor, ScriptedHttpClient, name_of, state_conformance
from moorage.testing.kits._state_commands import Append, Write, new_key, read_command
from tests.support.nats_servers import PrivateNats
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from moorage.adapters.messages._nats_links import AsyncNatsLink


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateNats]:
    """Yield a private NATS server for this module's tests."""
    with PrivateNats() as server:
        yield server


@pytest.fixture(scope="module")
def store(server: PrivateNats) -> Iterator[NatsStorage]:
    """Yield a synchronous store in a separate bucket."""
    with NatsStorage(f"{server.url}/sync", timeout=60) as store:
        yield store


@pytest.mark.parametrize("check", state_conformance.CLAIM_CHECKS, ids=name_of)
def test_nats_storage_passes_conformance_kit_for_claims(store: NatsStorage, check: Any) -> None:
    """NatsStorage passes the conformance kit for claims."""
    check(lambda: store)


@pytest.mark.untraced
@pytest.mark.parametrize("check", state_conformance.TIMED_CLAIM_CHECKS, ids=name_of)
def test_store_passes_the_timed_conformance_checks(store: NatsStorage, check: Any) -> None:
    """NatsStorage passes the conformance checks for claims in which time passes."""
    check(lambda: (store, time.sleep))


@pytest.mark.parametrize("check", state_conformance.ASYNC_CLAIM_CHECKS, ids=name_of)
def test_async_nats_storage_passes_conformance_kit_for_claims(
    server: PrivateNats, check: Any
) -> None:
    """AsyncNatsStorage passes the conformance kit for claims."""

    async def run_check() -> None:
        async with AsyncNatsStorage(f"{server.url}/async", timeout=60) as store:
            await check(lambda: store)

    asyncio.run(run_check())


@pytest.mark.parametrize("check", state_conformance.ASYNC_TIMED_CLAIM_CHECKS, ids=name_of)
def test_async_store_passes_the_timed_conformance_checks(server: PrivateNats, check: Any) -> None:
    """AsyncNatsStorage passes the conformance checks for claims in which time passes."""

    async def run_check() -> None:
        async with AsyncNatsStorage(f"{server.url}/async", timeout=60) as store:
            await check(lambda: (store, time.sleep))

    asyncio.run(run_check())


def claim(key: str, owner: int, *, lease: int = HOUR) -> Claim:
    """Return the command with which this owner claims an idempotency key."""
    return Claim(
        key, fingerprint=b"f", owner=owner, lease=lease, ttl=DAY, target="", remembered=DAY
    )


class LosingLink:
    """A connection that loses one write's reply; the write may be stored and later overwritten."""

    def __init__(self, link: AsyncNatsLink, fates: list[str]) -> None:
        self._link = link
        self._fates = fates

    async def request(
        self, subject: str, payload: bytes, headers: dict[str, str], until: float
    ) -> Any:
        """Send a request; if it is a marked write, lose its reply."""
        if MARK not in headers or not self._fates:
            return await self._link.request(subject, payload, headers, until)
        fate = self._fates.pop()
        if fate != "missing":
            await self._link.request(subject, payload, headers, until)
        if fate == "overwritten":
            await self._link.request(subject, payload, {}, until)
        return PublishFault.TIMEOUT


@attrs.frozen(kw_only=True)
class LosingNats(Nats):
    """NATS servers behind connections that lose the replies to some writes."""

    fates: list[str] = attrs.field(factory=list[str])

    def async_links(self) -> Any:
        """Return connections that lose the replies to some writes."""
        links, fates = super().async_links(), self.fates

        class Links:
            @asynccontextmanager
            async def link(self, operation: str, timeout: float) -> AsyncGenerator[LosingLink]:
                async with links.link(operation, timeout) as link:
                    yield LosingLink(link, fates)

            async def close(self) -> None:
                await links.close()

        return Links()


def store_losing_reply(server: PrivateNats, fate: str) -> NatsStorage:
    """Return a store that loses the reply to its first write."""
    return NatsStorage(LosingNats(url=server.url, fates=[fate]), bucket="lost", timeout=60)


@pytest.mark.parametrize("fate", ["stored", "missing", "overwritten"])
def test_a_lost_reply_is_looked_up(server: PrivateNats, fate: str) -> None:
    """A write whose reply is lost takes effect once, and the caller owns the claim."""
    key = new_key()
    with store_losing_reply(server, fate) as store:
        first = store.execute(claim(key, 1))
        assert (Verdict.RUN, Verdict.BUSY) == (
            first.verdict,
            store.execute(claim(key, 2)).verdict,
        )
        assert (True,) == store.execute(Renew([(key, first.fence, DAY)], lease=HOUR))


@pytest.mark.parametrize("fate, expected", [("stored", (7,)), ("missing", (7,))])
def test_an_unrepeatable_command_runs_once(
    server: PrivateNats, fate: str, expected: tuple[int, ...]
) -> None:
    """A command that must not be repeated takes effect once even if its reply is lost."""
    key = new_key()
    with store_losing_reply(server, fate) as store:
        store.execute(Append(7, [key]))
        _, (state,) = store.execute(read_command(key))
        assert state is not None
        assert expected == state[2]


def test_an_unknown_outcome_is_an_error(server: PrivateNats) -> None:
    """If the outcome of a command that must not be repeated stays unknown, an error is raised."""
    command = Append(7, [new_key()])
    assert command.once
    with (
        store_losing_reply(server, "overwritten") as store,
        pytest.raises(StorageUnavailable, match="did not confirm"),
    ):
        store.execute(command)


def test_claims_survive_a_killed_server() -> None:
    """Claims and their stored results survive a kill and restart of the server."""
    with PrivateNats() as server, NatsStorage(server.url, timeout=60) as store:
        fencing_token = store.execute(claim("{:s}:key:a", 1)).fence
        store.execute(store_answer("{:s}:key:b", 0, ("value", 1), ttl=DAY))
        server.kill()
        with pytest.raises(StorageUnavailable):
            store.execute(claim("{:s}:key:a", 2), timeout=0.5)
        server.start()
        assert Verdict.BUSY is store.execute(claim("{:s}:key:a", 2)).verdict
        assert (True,) == store.execute(Renew([("{:s}:key:a", fencing_token, DAY)], lease=HOUR))


CLIENT = """
import sys
from moorage.adapters.state.nats import NatsStorage
from tests.adapters.test_nats_claims import claim
store = NatsStorage(sys.argv[1], timeout=60)
print(store.execute(claim(sys.argv[2], 1, lease=int(sys.argv[3]))).verdict.value, flush=True)
sys.stdin.read()
"""


def test_a_killed_owner_is_replaced_after_its_lease(server: PrivateNats) -> None:
    """Another process can take over a killed process's claim as soon as the claim's lease ends."""
    for lease, expected in ((HOUR, Verdict.BUSY), (1, Verdict.RUN)):
        key = new_key()
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, f"{server.url}/killed", key, str(lease)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.kill()
        with NatsStorage(f"{server.url}/killed", timeout=60) as store:
            assert expected is store.execute(claim(key, 2)).verdict


class RendezvousLink:
    """A link on which the first writes are sent only when a number of them have begun."""

    def __init__(self, link: AsyncNatsLink, number: int) -> None:
        self._link = link
        self._missing = number
        self._all_begun = asyncio.Event()

    async def request(
        self, subject: str, payload: bytes, headers: dict[str, str], until: float
    ) -> Any:
        """Send a request; a write waits until the other writes have begun."""
        if MARK in headers:
            self._missing -= 1
            if self._missing <= 0:
                self._all_begun.set()
            await asyncio.wait_for(self._all_begun.wait(), 10)
        return await self._link.request(subject, payload, headers, until)


@attrs.frozen
class RendezvousNats(Nats):
    """The settings of a server to which several writes are sent at the same time.

    Attributes:
        number: the number of writes.
    """

    number: int = 1

    def async_links(self) -> Any:
        """Return the links of the settings, on which writes wait for each other."""
        links, meetings = super().async_links(), list[RendezvousLink]()

        class Links:
            """The connections of the settings; every caller gets the same connection."""

            @asynccontextmanager
            async def link(self, operation: str, timeout: float) -> AsyncGenerator[RendezvousLink]:
                async with links.link(operation, timeout) as link:
                    if not meetings:
                        meetings.append(RendezvousLink(link, number))
                    yield meetings[0]

            async def close(self) -> None:
                await links.close()

        number = self.number
        return Links()


def test_many_claims_are_renewed_at_the_same_time(server: PrivateNats) -> None:
    """The renewals of several claims do not wait for each other, in either kind of store."""
    keys = [new_key() for _ in range(5)]
    with NatsStorage(f"{server.url}/renewals", timeout=60) as store:
        held_claims = [(key, store.execute(claim(key, 1)).fence, HOUR) for key in keys]
    settings = RendezvousNats(url=server.url, number=len(keys))

    with NatsStorage(settings, bucket="renewals", timeout=60) as sync_store:
        sync_answer = sync_store.execute(Renew(held_claims, lease=HOUR))

    async def renew() -> tuple[bool, ...]:
        async with AsyncNatsStorage(settings, bucket="renewals", timeout=60) as async_store:
            return await async_store.execute(Renew(held_claims, lease=2 * HOUR))

    assert (True,) * len(keys) == sync_answer == asyncio.run(renew())


def test_expired_states_are_purged(server: PrivateNats) -> None:
    """Housekeeping deletes expired states, except those that were written again meanwhile."""
    keys = [new_key() for _ in range(3)]
    with NatsStorage(f"{server.url}/purged", timeout=60) as store:
        store.execute(Write({keys[0]: "old"}, keep_for=0))
        store.execute(Write({keys[1]: "new"}))
        store.execute(Write({keys[2]: "old"}, keep_for=0))
        store.execute(Write({keys[2]: "new"}))
        assert 1 == store.housekeep() + store.housekeep()
        values = [store.execute(read_command(key))[1][0] for key in keys]
        assert [None, "new", "new"] == [state and state[2] for state in values]


def count_stored(server: PrivateNats, stream: str) -> int:
    """Return the number of messages of a stream."""
    number: int = server.ask(lambda js: js.stream_info(stream)).state.messages
    return number


def test_a_process_cleans_up_after_many_writes(server: PrivateNats) -> None:
    """A process that writes many states deletes expired ones itself, in sync and async mode."""
    with NatsStorage(f"{server.url}/cleaned", timeout=60) as store:
        for _ in range(100):
            store.execute(Write({new_key(): "old"}, keep_for=0))
        wait_until(lambda: count_stored(server, "KV_cleaned") <= 100, "cleaning up")

    async def write_many() -> None:
        async with AsyncNatsStorage(f"{server.url}/cleaned", timeout=60) as store:
            for _ in range(100):
                await store.execute(Write({new_key(): "old"}, keep_for=0))
            for _ in range(2):
                await store.housekeep()

    asyncio.run(write_many())
    assert 1 == count_stored(server, "KV_cleaned")


def test_a_full_bucket_refuses_new_claims() -> None:
    """A full bucket rejects writes with an error that states the cause, and loses no state."""
    with PrivateNats() as server:
        config = {"subjects": ["$KV.small.>"], "max_msgs_per_subject": 1, "discard": "new"}
        server.add_stream("KV_small", max_bytes=2_000, **config)
        with NatsStorage(server.url, bucket="small", timeout=60) as store:
            key = new_key()
            store.execute(Write({key: b"x" * 1_000}))
            with pytest.raises(StorageUnavailable, match="no more space"):
                store.execute(Write({new_key(): b"x" * 1_500}))
            assert store.execute(read_command(key))[1][0] is not None
            with pytest.raises(StorageUnavailable, match="a state of this size"):
                store.execute(Write({new_key(): b"x" * 2_000_000}))


async def delete(stream: str, js: Any) -> None:
    """Delete a stream."""
    await js.delete_stream(stream)


def test_deleted_bucket_raises_error_instead_of_being_created_again_without_its_keys(
    server: PrivateNats,
) -> None:
    """A deleted bucket raises an error instead of being created again without its keys."""
    with NatsStorage(f"{server.url}/gone", timeout=60) as store:
        store.execute(claim(new_key(), 1))
        server.ask(partial(delete, "KV_gone"))
        with pytest.raises(StorageUnavailable, match="no bucket 'gone'"):
            store.execute(claim(new_key(), 1))
    with (
        NatsStorage(f"{server.url}/never", create=False, timeout=60) as store,
        pytest.raises(StorageUnavailable, match="no bucket 'never'"),
    ):
        store.execute(claim(new_key(), 1))


@pytest.mark.parametrize(
    "setting, value",
    [
        ("max_age", 1),
        ("max_msgs", 10),
        ("max_msgs_per_subject", 5),
        ("discard", "old"),
        ("num_replicas", 1),
        ("storage", "memory"),
    ],
)
def test_a_bucket_that_may_lose_keys_is_refused(setting: str, value: object) -> None:
    """A bucket with settings that may lose keys is refused; the error names the setting."""
    config = {"storage": "file", "max_msgs_per_subject": 1, "discard": "new", "num_replicas": 3}
    config |= {"max_bytes": 9}
    check_bucket("keys", config, 3)
    with pytest.raises(ConfigurationError) as excinfo:
        check_bucket("keys", config | {setting: value}, 3)
    assert setting == excinfo.value.path


async def put_value(subject: str, value: bytes, js: Any) -> None:
    """Store a value as another program would."""
    await js.publish(subject, value)


def test_value_of_another_program_raises_an_error(server: PrivateNats) -> None:
    """A deleted key is treated as missing; a value that another program wrote raises an error."""
    with NatsStorage(f"{server.url}/foreign", timeout=60) as store:
        deleted_key, foreign_key = new_key(), new_key()
        store.execute(claim(deleted_key, 1))
        for key, value in ((deleted_key, b""), (foreign_key, b"foreign")):
            server.ask(partial(put_value, subject_of("foreign", key), value))
        assert Verdict.RUN is store.execute(claim(deleted_key, 2)).verdict
        with pytest.raises(moorage.StorageUnavailable, match="cannot be read"):
            store.execute(claim(foreign_key, 2))
        assert 0 == store.housekeep()


def test_post_on_a_foreign_value_does_not_block_other_posts(server: PrivateNats) -> None:
    """A posted command on a value that cannot be read is dropped, and the others are executed."""
    with NatsStorage(f"{server.url}/foreign", timeout=60) as store:
        foreign_key, key = new_key(), new_key()
        fence = store.execute(claim(key, 1)).fence
        server.ask(partial(put_value, subject_of("foreign", foreign_key), b"foreign"))

        store.post(release_claim(foreign_key, 1, ttl=HOUR))
        store.post(release_claim(key, fence, ttl=HOUR))

        assert Verdict.RUN is store.execute(claim(key, 2)).verdict


@pytest.mark.parametrize("url", ["nats://user:secret@127.0.0.1:9", "tls://user:secret@127.0.0.1:9"])
def test_a_server_that_is_away_is_named_without_its_password(url: str) -> None:
    """The error for an unreachable server, and the store's `repr`, do not show the password."""
    store = NatsStorage(f"{url}/keys", timeout=0.5)
    with pytest.raises(StorageUnavailable) as excinfo:
        store.execute(claim(new_key(), 1))
    assert "secret" not in f"{excinfo.value!r} {store!r}"
    store.post(Write({new_key(): 1}))
    with pytest.raises(StorageUnavailable):
        store.execute(claim(new_key(), 1))


@pytest.mark.parametrize("url", [7, "nats://host/two words", "nats://host/a/b", "http://host/keys"])
def test_a_wrong_url_is_refused(url: Any) -> None:
    """A URL that does not belong to a NATS bucket is refused before anything is sent."""
    with pytest.raises(ConfigurationError):
        NatsStorage(url)


def test_different_keys_have_different_subject_words_of_limited_length() -> None:
    """Different keys get different NATS subjects of limited length, whatever they contain."""
    texts = ["", "=", "=e", "=h", "a", "a.b", "a b", "*", ">", "é", "=C3=A9", "x" * 999, "x" * 998]
    words = [subject_word(text) for text in texts]
    assert len(texts) == len(set(words))
    assert 710 > max(map(len, words))
    assert subject_of("b", "{@t:s}:key:a") != subject_of("b", "{@t:s}:key.a")


def test_three_servers_make_it_durable() -> None:
    """A bucket is durable if it has three replicas or the program declares it durable."""
    url = "nats://host/keys"
    stores = [NatsStorage(url), NatsStorage(url, replicas=3), NatsStorage(url, durable=True)]
    assert [False, True, True] == [store.durable for store in stores]


def test_time_follows_the_server() -> None:
    """The estimated server time follows the server, and never goes back for small clock steps."""
    local_time = [0]
    clock = ServerClock(lambda: local_time[0] * 1_000, step=SMALL_STEP, every=30 * SECOND)
    assert clock.is_due()
    clock.measure(DAY)
    assert not clock.is_due()
    local_time[0] = 5
    assert DAY + 5 == clock.now()
    clock.learn(DAY + 3)
    assert DAY + 5 == clock.now()
    clock.learn(DAY + 9)
    assert DAY + 9 == clock.now()
    clock.measure(DAY + 9 - SMALL_STEP)
    assert DAY + 9 == clock.now()
    clock.measure(DAY - HOUR)
    assert DAY - HOUR == clock.now()
    local_time[0] += 30 * SECOND
    assert clock.is_due()


def test_manager_with_nats_bucket_returns_stored_answer_for_repeated_idempotency_key(
    server: PrivateNats,
) -> None:
    """A manager with a NATS bucket returns the stored answer for a repeated idempotency key."""
    vendor = FakeVendor()
    vendor.always(Response(200, body=b"paid"))
    service = Service("shop", base_url="https://shop.example", limits=())
    requests = []
    for _ in range(2):
        with moorage.ConnectorManager(
            [service],
            http=ScriptedHttpClient(vendor),
            state=MemoryStorage(),
            claims=NatsStorage(f"{server.url}/manager", timeout=60),
        ) as manager:
            response = manager.call("shop", Request.post("/pay"), idempotency_key="a")
            requests.append(response.body)
    assert ([b"paid"] * 2, 1) == (requests, len(vendor.requests))


def test_limits_and_circuits_are_refused() -> None:
    """A service with circuits or rate limits refuses a NATS bucket as its state store."""
    store = NatsStorage("nats://host/keys")
    service = Service("shop", base_url="https://shop.example")
    with pytest.raises(ConfigurationError, match="NatsStorage stores only claims") as excinfo:
        moorage.ConnectorManager([service], state=store)
    assert "claims=" in str(excinfo.value.remedy)
    with pytest.raises(ConfigurationError, match="stores only claims"):
        moorage.ConnectorManager([service], state=store, claims=MemoryStorage())
    moorage.ConnectorManager(
        [Service("shop", base_url="https://x.example", circuit=None)], state=store
    )


def test_lost_payments_are_not_kept_in_memory() -> None:
    """A service that moves money needs a durable state store besides a store for claims only."""
    keys = NatsStorage("nats://host/keys", durable=True)
    service = Service("shop", base_url="https://x.example", moves_money=True)
    tables = {"services": {"shop": {"base_url": "https://x.example", "moves_money": True}}}
    for state in (None, MemoryStorage()):
        with pytest.raises(ConfigurationError, match="would be in memory") as excinfo:
            moorage.ConnectorManager([service], claims=keys, state=state)
        assert "services.shop.moves_money" == excinfo.value.path
        assert "`state=`" in excinfo.value.remedy
    with pytest.raises(ConfigurationError, match="would be in memory") as excinfo:
        moorage.open(tables, claims=keys)
    assert "state.url" in excinfo.value.remedy
    moorage.ConnectorManager([attrs.evolve(service, volatile_keys=True)], claims=keys)
    moorage.ConnectorManager([service], claims=keys, state=SqliteStorage("unused.db"))


def test_a_command_on_several_claims_is_refused() -> None:
    """A command that must change several claims together is refused, with the reason."""
    record = WriteRecordOfHolder(new_key(), 1, new_key(), "b", fingerprint=b"", ttl=HOUR)
    with pytest.raises(ConfigurationError, match="one key at a time"):
        NatsStorage("nats://host/keys").execute(record)


def test_a_configuration_names_the_store_of_keys(server: PrivateNats) -> None:
    """A configuration can name a NATS bucket for idempotency keys besides the state store."""
    services = {"services": {"shop": {"base_url": "https://shop.example"}}}
    url = f"{server.url}/configured"
    with moorage.open({"state": {"url": "memory:", "keys_url": url}, **services}) as hub:
        assert hub.manager is not None
    with pytest.raises(ConfigurationError, match="stores only claims"):
        moorage.open({"state": {"url": url}, **services})
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open({"state": {"keys_url": "ftp://host"}, **services})
    assert "state.keys_url" in str(excinfo.value)
