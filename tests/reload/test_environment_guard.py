"""The environment guard: a copied database sends nothing until an operator allows it."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import sqlalchemy

import moorage
from moorage import (
    ConfigurationError,
    CopiedStore,
    Credentials,
    HeldBack,
    Hub,
    InvalidData,
    Request,
    Service,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import (
    AsyncSqliteCredentialProvider,
    SqliteCredentialProvider,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.tenants.memory import AsyncMemoryTenants, MemoryTenants
from moorage.adapters.tenants.sqlite import AsyncSqliteTenants, SqliteTenants
from moorage.domain.entries.queue import EntryQuery
from moorage.domain.http.fingerprint import digest
from moorage.domain.idempotency.claims import (
    Claim,
    ReadRecord,
    Verdict,
    WriteRecordOnce,
    store_answer,
)
from moorage.errors import StorageUnavailable
from moorage.hub.copied_stores import aneutralize, aowner, arearm, neutralize, owner, rearm
from moorage.hub.hub import AsyncHub
from moorage.services.environment_guard import EnvironmentGuard
from moorage.testing import VirtualClock
from moorage.wiring.store_urls import aopen_storage, open_storage
from tests.reload.harness import ReloadHarness, result_of
from tests.support.servers import mariadb_url, postgres_url, redis_url

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.anyio
EACH_MODE = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
GET = Request.get("/a")
CIPHER = AesGcmCipher(generate_keys())


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


def hub(town: ReloadHarness, storage: Any, environment: str | None, *, is_async: bool) -> Any:
    """Return a hub that belongs to an environment and has one service."""
    make: Any = AsyncHub if is_async else Hub
    return make(
        [],
        services=[Service("vat", "https://vat.example")],
        http=town.client(is_async=is_async),
        state=storage,
        environment_id=environment,
    )


@EACH_MODE
async def test_first_environment_that_uses_store_owns_it(is_async: bool) -> None:
    """The first environment that uses a store owns it; calls in other environments are refused."""
    harness, memory = ReloadHarness(), MemoryStorage()
    storage = AsyncMemoryStorage(memory) if is_async else memory
    await result_of(hub(harness, storage, "", is_async=is_async).manager.call("vat", GET))
    await result_of(hub(harness, storage, "production", is_async=is_async).manager.call("vat", GET))
    await result_of(hub(harness, storage, "production", is_async=is_async).manager.call("vat", GET))
    for name, environment_words in (("staging", "'staging'"), ("", "not named")):
        copied_hub = hub(harness, storage, name, is_async=is_async)
        for call in (copied_hub.manager.call, copied_hub.manager.stream):
            with pytest.raises(
                CopiedStore, match=f"but this environment is {environment_words}."
            ) as excinfo:
                await result_of(call("vat", GET, endpoint="read"))
            assert ("production", "vat") == (excinfo.value.owner, excinfo.value.service)
            assert "read" == excinfo.value.operation
            assert isinstance(excinfo.value, HeldBack)
        with pytest.raises(CopiedStore) as excinfo:
            await result_of(
                copied_hub.manager.run("vat", _return_one if is_async else _now, endpoint="read")
            )
        assert ("production", "vat") == (excinfo.value.owner, excinfo.value.service)
        assert "read" == excinfo.value.operation

    assert 3 == len(harness.sent)


def _now() -> int:
    return 1


async def _return_one() -> int:
    return 1


@EACH_MODE
async def test_rearm_allows_the_environment(is_async: bool) -> None:
    """After `rearm`, the owner and a second environment may send, but a third may not."""
    harness, memory = ReloadHarness(), MemoryStorage()
    storage: Any = AsyncMemoryStorage(memory) if is_async else memory
    first = hub(harness, storage, "production", is_async=is_async)
    await result_of(first.manager.call("vat", GET))
    copied_hub = hub(harness, storage, "staging", is_async=is_async)
    with pytest.raises(CopiedStore):
        await result_of(copied_hub.manager.call("vat", GET))

    previous_owner = await result_of((arearm if is_async else rearm)(storage, "staging"))

    await result_of(copied_hub.manager.call("vat", GET))
    await result_of(first.manager.call("vat", GET))
    with pytest.raises(CopiedStore):
        await result_of(hub(harness, storage, "third", is_async=is_async).manager.call("vat", GET))
    assert (
        "production" == previous_owner == await result_of((aowner if is_async else owner)(storage))
    )
    assert 3 == len(harness.sent)


@EACH_MODE
async def test_environment_is_checked_once(is_async: bool) -> None:
    """A process checks its environment before its first call only, and never without a name."""
    harness, memory = ReloadHarness(), MemoryStorage()
    claims: list[Any] = []

    class RecordingState(MemoryStorage):
        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            claims.extend([command] * isinstance(command, (WriteRecordOnce, ReadRecord)))
            return memory.execute(command, timeout)

    plain_state = RecordingState()
    storage: Any = AsyncMemoryStorage(plain_state) if is_async else plain_state
    for name, request in ((None, 0), ("production", 1), ("", 1)):
        claims.clear()
        if name == "":
            memory = MemoryStorage()
        guarded_hub = hub(harness, storage, name, is_async=is_async)
        for _ in range(3):
            await result_of(guarded_hub.manager.call("vat", GET))
        assert request == len(claims)


@EACH_MODE
async def test_status_does_not_rearm(is_async: bool) -> None:
    """Reading the status of a copied store does not allow the copy to send."""
    harness, memory = ReloadHarness(), MemoryStorage()
    storage: Any = AsyncMemoryStorage(memory) if is_async else memory
    await result_of((arearm if is_async else rearm)(storage, "production"))
    manager = hub(harness, storage, "staging", is_async=is_async).manager

    await result_of(manager.circuit_state("vat"))

    for _ in range(2):
        with pytest.raises(CopiedStore):
            await result_of(manager.call("vat", GET))
        with pytest.raises(CopiedStore):
            await result_of(manager.run("vat", _return_one if is_async else _now))
    assert [] == harness.sent


@EACH_MODE
async def test_check_is_repeated_until_the_store_replies(is_async: bool) -> None:
    """Calls continue while the store is unreadable, and stop once it names another owner."""
    harness, memory = ReloadHarness(), MemoryStorage()

    class FailingState(MemoryStorage):
        is_away = True

        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            if self.is_away and isinstance(command, WriteRecordOnce):
                raise StorageUnavailable("the store is away.")
            return memory.execute(command, timeout)

    failing_state = FailingState()
    storage: Any = AsyncMemoryStorage(failing_state) if is_async else failing_state
    rearm(memory, "production")
    manager = hub(harness, storage, "staging", is_async=is_async).manager
    for _ in range(2):
        await result_of(manager.call("vat", GET))
    assert 2 == len(harness.sent)

    failing_state.is_away = False

    async def until_known() -> None:
        # After a failed check, the store is not checked again for some time.
        while len(harness.sent) < 100_000:
            await result_of(manager.call("vat", GET))

    with pytest.raises(CopiedStore):
        await until_known()
    sent_before = len(harness.sent)
    with pytest.raises(CopiedStore):
        await result_of(manager.call("vat", GET))
    assert sent_before == len(harness.sent)


class _VirtualCore:
    """The store access of an environment guard, with a virtual clock and a store that may fail."""

    def __init__(self, memory: Any, *, takes: float = 0.0) -> None:
        self.memory = memory
        self.takes = takes
        self.now = 0
        self.told: list[float | None] = []

    async def execute(self, command: Any, timeout: float | None, /) -> Any:
        """Send the command to the store."""
        self.told.append(timeout)
        self.now += int(self.takes * 1e9)
        if self.memory is None:
            raise StorageUnavailable("the store is away.")
        return self.memory.execute(command)

    def nanoseconds(self) -> int:
        """Return the local clock's time in nanoseconds."""
        return self.now


def _claim_fence(memory: MemoryStorage) -> Any:
    """Claim the owner's record for ten seconds, as an earlier release does before it writes."""
    return memory.execute(
        Claim(
            "{:moorage}:fence:home",
            fingerprint=digest([]),
            owner=1,
            lease=10_000_000,
            ttl=10**12,
            target="",
            remembered=0,
        )
    )


async def test_unavailable_store_stops_no_call() -> None:
    """If the store is unavailable, the call continues and the next one checks again."""
    guard = EnvironmentGuard(_VirtualCore(None), "production")  # type: ignore[arg-type]  # what it needs of one

    await guard.check()

    assert guard.passed is False


@pytest.mark.parametrize("whose", ["production", "staging", None])
async def test_guard_does_not_wait_for_claim_of_killed_process(whose: str | None) -> None:
    """The guard does not wait for a claim whose process was killed."""
    memory = MemoryStorage(VirtualClock())
    assert Verdict.RUN is _claim_fence(memory).verdict
    core: Any = _VirtualCore(memory)
    guard = EnvironmentGuard(core, whose)

    await guard.check(1.0)

    assert guard.passed
    assert [1.0] == core.told
    assert whose == await guard.owner()


async def test_late_claim_holder_changes_nothing() -> None:
    """A process of an earlier release whose claim has expired does not change the record."""
    memory = MemoryStorage(VirtualClock())
    claim_answer = _claim_fence(memory)
    core: Any = _VirtualCore(memory)

    await EnvironmentGuard(core, "production").check()
    settlement = memory.execute(
        store_answer("{:moorage}:fence:home", claim_answer.fence, "staging", ttl=10**12)
    )

    assert not settlement.held
    assert "production" == settlement.answer


async def test_processes_check_the_store_once_each() -> None:
    """Processes that start together make one store call each; the first process is the owner."""
    memory = MemoryStorage(VirtualClock())
    core: Any = _VirtualCore(memory)
    for _ in range(200):
        await EnvironmentGuard(core, "production").check(1.0)

    assert [1.0] * 200 == core.told


async def test_each_check_gets_the_remaining_time() -> None:
    """A second store gets the check's remaining time, and is not read if no time is left."""
    memory = MemoryStorage(VirtualClock())
    await EnvironmentGuard(_VirtualCore(memory), "production").check()  # type: ignore[arg-type]  # what it needs of one
    core: Any = _VirtualCore(memory, takes=0.75)

    with pytest.raises(CopiedStore):
        await EnvironmentGuard(core, "staging").check(2.0)
    assert [2.0, 1.25] == core.told
    late_guard = EnvironmentGuard(core, "staging")
    await late_guard.check(0.75)
    assert not late_guard.passed
    assert [2.0, 1.25, 0.75] == core.told


async def test_failed_checks_take_a_tenth_of_the_time() -> None:
    """After a failed check of half a second, the next one comes 4.5 seconds later."""
    core: Any = _VirtualCore(None, takes=0.5)
    guard = EnvironmentGuard(core, "production")

    await guard.check(0.5)
    core.now += 4_499_999_999
    await guard.check(0.5)
    assert [0.5] == core.told
    core.now += 1
    core.memory = MemoryStorage(VirtualClock())
    await guard.check(0.5)

    assert guard.passed
    assert [0.5, 0.5] == core.told


@EACH_MODE
async def test_check_uses_the_calls_deadline(is_async: bool) -> None:
    """The check may take half of a call's timeout, which is subtracted from the call's time."""
    harness, memory = ReloadHarness(), MemoryStorage()
    reports: list[float | None] = []

    class RecordingState(MemoryStorage):
        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            reports.extend([timeout] * isinstance(command, WriteRecordOnce))
            return memory.execute(command, timeout)

    for timeout, check_time in ((None, 15.0), (3.0, 1.5)):
        storage: Any = AsyncMemoryStorage(RecordingState()) if is_async else RecordingState()
        manager = hub(harness, storage, "production", is_async=is_async).manager
        await result_of(manager.call("vat", GET, timeout=timeout))
        assert check_time == pytest.approx(reports.pop(), abs=0.5)
        fresh_manager = hub(harness, storage, "production", is_async=is_async).manager
        with pytest.raises(ConfigurationError) as excinfo:
            await result_of(fresh_manager.call("vat", GET, timeout=-1))
        assert "timeout" == excinfo.value.path
        with pytest.raises(InvalidData, match="not a str"):
            await result_of(fresh_manager.call("vat", "no request"))


@EACH_MODE
async def test_environment_in_the_configuration_reveals_a_copied_database(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_async: bool,
) -> None:
    """The environment in a configuration reveals that a database is a copy of production's."""
    monkeypatch.delenv("MOORAGE_ENVIRONMENT", raising=False)
    services = {"vat": {"base_url": "https://vat.example"}}

    def source(path: str, **more: Any) -> dict[str, Any]:
        state_url = f"sqlite:///{tmp_path}/{path}"
        fields: dict[str, Any] = {"production": {}, "staging": {}}
        return {"state": {"url": state_url, **more}, "services": services, "environments": fields}

    harness = ReloadHarness()
    live_hub = harness.open(source("live.db"), is_async=is_async, environment="production")
    await result_of(live_hub.manager.call("vat", GET))
    shutil.copy(tmp_path / "live.db", tmp_path / "copy.db")
    for suffix in ("-wal", "-shm"):
        if (tmp_path / f"live.db{suffix}").exists():
            shutil.copy(tmp_path / f"live.db{suffix}", tmp_path / f"copy.db{suffix}")

    for environment, state_options in (
        ("staging", {}),
        (None, {}),
        (None, {"environment_id": "x"}),
    ):
        guarded_hub = harness.open(
            source("copy.db", **state_options), is_async=is_async, environment=environment
        )
        with pytest.raises(CopiedStore):
            await result_of(guarded_hub.manager.call("vat", GET))
    named_hub = harness.open(source("copy.db", environment_id="production"), is_async=is_async)
    await result_of(named_hub.manager.call("vat", GET))
    memory = {"state": {"url": "memory:"}, "services": services}
    await result_of(harness.open(memory, is_async=is_async).manager.call("vat", GET))


@EACH_MODE
@pytest.mark.parametrize("state", [{}, {"url": "memory:"}], ids=["keys-only", "memory-and-keys"])
async def test_store_of_keys_alone_belongs_to_an_environment(
    tmp_path: Path, state: dict[str, str], is_async: bool
) -> None:
    """A separate store of keys is guarded even if limits and circuits are in memory."""
    harness = ReloadHarness()

    def source(environment: str) -> dict[str, Any]:
        keys_url = f"sqlite:///{tmp_path}/keys.db"
        return {
            "state": {**state, "keys_url": keys_url, "environment_id": environment},
            "services": {"vat": {"base_url": "https://vat.example"}},
        }

    live_hub = harness.open(source("production"), is_async=is_async)
    await result_of(live_hub.manager.call("vat", GET))
    copied_hub = harness.open(source("staging"), is_async=is_async)

    with pytest.raises(CopiedStore, match="production"):
        await result_of(copied_hub.manager.call("vat", GET))
    with pytest.raises(ConfigurationError) as excinfo:
        await result_of(live_hub.reload(source("staging")))

    assert "state.environment_id" == excinfo.value.path


@EACH_MODE
async def test_records_are_readable_by_every_release(is_async: bool) -> None:
    """Owner and allowed environments are stored under the keys that every release reads."""
    memory = MemoryStorage()
    requests: list[str] = []

    class RecordingState(MemoryStorage):
        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            requests.extend(command.keys)
            if isinstance(command, WriteRecordOnce):
                assert digest([]) == command.fingerprint
            return memory.execute(command, timeout)

    storage: Any = AsyncMemoryStorage(RecordingState()) if is_async else RecordingState()
    arm: Any = arearm if is_async else rearm
    await result_of(arm(storage, "production"))
    await result_of(arm(storage, "staging"))

    names = ("home", "armed:production", "armed:staging")
    assert {f"{{:moorage}}:fence:{name}" for name in names} == set(requests)
    with pytest.raises(InvalidData) as excinfo:
        await result_of(arm(storage, ""))
    assert "environment_id" == excinfo.value.field


@contextmanager
def _shared_store(kind: str, tmp_path: Path, *, is_async: bool) -> Generator[Any]:
    make: Any = aopen_storage if is_async else open_storage
    prefix = f"fence{uuid4().hex[:8]}"
    if kind == "sqlite":
        yield make(f"sqlite:///{tmp_path}/state.db")
        return
    if kind == "redis":
        yield make(redis_url(), prefix=f"{prefix}:")
        return
    url = postgres_url() if kind == "postgresql" else mariadb_url()
    shared_store = open_storage(url, prefix=f"{prefix}_")
    shared_store.migrate()
    shared_store.close()
    yield make(url, prefix=f"{prefix}_")
    driver = "psycopg" if kind == "postgresql" else "pymysql"
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername=f"{kind}+{driver}"))
    result = sqlalchemy.MetaData()
    result.reflect(engine, only=lambda name, _: name.startswith(prefix))
    result.drop_all(engine)
    engine.dispose()


@EACH_MODE
@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgresql", "mariadb"])
async def test_every_kind_of_store_keeps_name_of_its_owning_environment(
    kind: str, tmp_path: Path, is_async: bool
) -> None:
    """Every kind of store keeps the name of its owning environment."""
    with _shared_store(kind, tmp_path, is_async=is_async) as storage:
        ask, arm = (aowner, arearm) if is_async else (owner, rearm)
        assert await result_of(ask(storage)) is None
        assert "production" == await result_of(arm(storage, "production"))
        assert "production" == await result_of(arm(storage, "staging"))
        assert "production" == await result_of(ask(storage))
        await result_of(storage.aclose() if is_async else storage.close())


@EACH_MODE
async def test_copy_of_production_is_disarmed(tmp_path: Path, is_async: bool) -> None:
    """`neutralize` deletes a copy's credentials, tenants and pending entries, and counts them."""
    credential_store: Any = SqliteCredentialProvider(tmp_path / "c.db", CIPHER)
    credential_store.rotate("stripe", None, Credentials.bearer("token"))
    credential_store.rotate("stripe", "acme", Credentials.bearer("token"))
    tenants: Any = SqliteTenants(tmp_path / "t.db", CIPHER)
    tenants.put("acme", {})
    memory: Any = MemoryTenants({"a": {}, "b": {}})
    if is_async:
        credential_store = AsyncSqliteCredentialProvider(tmp_path / "c.db", CIPHER)
        tenants = AsyncSqliteTenants(tmp_path / "t.db", CIPHER)
        memory = AsyncMemoryTenants({"a": {}, "b": {}})

    class Outbox:
        def remove(self, query: EntryQuery) -> int:
            return 3 if query == EntryQuery() else 0

    class AsyncOutbox:
        async def remove(self, query: EntryQuery) -> int:
            return 3 if query == EntryQuery() else 0

    box = AsyncOutbox() if is_async else Outbox()
    make = aneutralize if is_async else neutralize

    assert 8 == await result_of(make(credential_store, tenants, memory, box))
    assert 3 == await result_of(make(credential_store, tenants, memory, box))
    assert not await result_of(credential_store.has("stripe", None))
    assert await result_of(tenants.version("acme")) is None
    with pytest.raises(ConfigurationError, match="has no method to empty it"):
        await result_of(make(object()))


@EACH_MODE
async def test_configured_environment_applies_to_a_store_of_the_host(*, is_async: bool) -> None:
    """The configuration's environment also applies to a store that the host passes in."""
    harness = ReloadHarness()
    state: Any = AsyncMemoryStorage() if is_async else MemoryStorage()
    fields = {"services": {"vat": {"base_url": "https://vat.example"}}}
    make: Any = moorage.aopen if is_async else moorage.open
    for environment in ("production", None):
        guarded_hub = make(
            fields, environment=environment, state=state, http=harness.client(is_async=is_async)
        )
        await result_of(guarded_hub.manager.call("vat", GET))

    copy = make(fields, environment="staging", state=state, http=harness.client(is_async=is_async))
    with pytest.raises(CopiedStore, match="production"):
        await result_of(copy.manager.call("vat", GET))
