"""Copies of a database send nothing until somebody says that they may."""

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
from moorage.domain.idempotency.claims import Claim, Verdict, WriteOnce, Written, complete
from moorage.errors import StorageUnavailable
from moorage.hub.copied_stores import ahome, aneutralize, arearm, home, neutralize, rearm
from moorage.hub.hub import AsyncHub
from moorage.services.environment_guard import EnvironmentGuard
from moorage.testing import VirtualClock
from moorage.wiring.store_urls import aopen_storage, open_storage
from tests.reload.world import Town, given
from tests.support.servers import mariadb_url, postgres_url, redis_url

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.anyio
EITHER = pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
GET = Request.get("/a")
CIPHER = AesGcmCipher(generate_keys())


@pytest.fixture
def anyio_backend() -> str:
    """The loop of the standard library."""
    return "asyncio"


def hub(town: Town, storage: Any, environment: str | None, *, awaited: bool) -> Any:
    """A hub of an environment, with one service."""
    make: Any = AsyncHub if awaited else Hub
    return make(
        [],
        services=[Service("vat", "https://vat.example")],
        http=town.client(awaited=awaited),
        state=storage,
        environment_id=environment,
    )


@EITHER
async def test_a_copy_sends_nothing(awaited: bool) -> None:
    """Under another name, or none, nothing leaves; the first name owns the store for ever."""
    town, memory = Town(), MemoryStorage()
    storage = AsyncMemoryStorage(memory) if awaited else memory
    await given(hub(town, storage, "", awaited=awaited).manager.call("vat", GET))
    await given(hub(town, storage, "production", awaited=awaited).manager.call("vat", GET))
    await given(hub(town, storage, "production", awaited=awaited).manager.call("vat", GET))
    for name, here in (("staging", "'staging'"), ("", "not named")):
        copied = hub(town, storage, name, awaited=awaited)
        for call in (copied.manager.call, copied.manager.stream):
            with pytest.raises(CopiedStore, match=f"but this environment is {here}.") as caught:
                await given(call("vat", GET, endpoint="read"))
            assert ("production", "vat") == (caught.value.home, caught.value.service)
            assert "read" == caught.value.operation
            assert isinstance(caught.value, HeldBack)
        with pytest.raises(CopiedStore) as caught:
            await given(copied.manager.run("vat", _later if awaited else _now, endpoint="read"))
        assert ("production", "vat") == (caught.value.home, caught.value.service)
        assert "read" == caught.value.operation

    assert 3 == len(town.sent)


def _now() -> int:
    return 1


async def _later() -> int:
    return 1


@EITHER
async def test_somebody_says_that_it_may(awaited: bool) -> None:
    """After `rearm` the environment sends, the first one still does, and no third."""
    town, memory = Town(), MemoryStorage()
    storage: Any = AsyncMemoryStorage(memory) if awaited else memory
    first = hub(town, storage, "production", awaited=awaited)
    await given(first.manager.call("vat", GET))
    copied = hub(town, storage, "staging", awaited=awaited)
    with pytest.raises(CopiedStore):
        await given(copied.manager.call("vat", GET))

    whose = await given((arearm if awaited else rearm)(storage, "staging"))

    await given(copied.manager.call("vat", GET))
    await given(first.manager.call("vat", GET))
    with pytest.raises(CopiedStore):
        await given(hub(town, storage, "third", awaited=awaited).manager.call("vat", GET))
    assert "production" == whose == await given((ahome if awaited else home)(storage))
    assert 3 == len(town.sent)


@EITHER
async def test_it_is_asked_once(awaited: bool) -> None:
    """A process asks before its first call, and never again; without a name nobody asks."""
    town, memory = Town(), MemoryStorage()
    claims: list[Any] = []

    class Watched(MemoryStorage):
        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            claims.extend([command] * isinstance(command, (WriteOnce, Written)))
            return memory.execute(command, timeout)

    plain = Watched()
    storage: Any = AsyncMemoryStorage(plain) if awaited else plain
    for name, request in ((None, 0), ("production", 1), ("", 1)):
        claims.clear()
        if name == "":
            memory = MemoryStorage()
        here = hub(town, storage, name, awaited=awaited)
        for _ in range(3):
            await given(here.manager.call("vat", GET))
        assert request == len(claims)


@EITHER
async def test_looking_lets_nothing_out(awaited: bool) -> None:
    """A copy that was only looked at, such as by a page of health, sends as little as before."""
    town, memory = Town(), MemoryStorage()
    storage: Any = AsyncMemoryStorage(memory) if awaited else memory
    await given((arearm if awaited else rearm)(storage, "production"))
    manager = hub(town, storage, "staging", awaited=awaited).manager

    await given(manager.circuit_state("vat"))

    for _ in range(2):
        with pytest.raises(CopiedStore):
            await given(manager.call("vat", GET))
        with pytest.raises(CopiedStore):
            await given(manager.run("vat", _later if awaited else _now))
    assert [] == town.sent


@EITHER
async def test_it_is_asked_until_it_is_known(awaited: bool) -> None:
    """Calls go on while nobody can say whose the store is, and stop as soon as somebody can."""
    town, memory = Town(), MemoryStorage()

    class Silent(MemoryStorage):
        away = True

        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            if self.away and isinstance(command, WriteOnce):
                raise StorageUnavailable("the store is away.")
            return memory.execute(command, timeout)

    silent = Silent()
    storage: Any = AsyncMemoryStorage(silent) if awaited else silent
    rearm(memory, "production")
    manager = hub(town, storage, "staging", awaited=awaited).manager
    for _ in range(2):
        await given(manager.call("vat", GET))
    assert 2 == len(town.sent)

    silent.away = False

    async def until_known() -> None:
        # After a look in vain nobody looks again for some time.
        while len(town.sent) < 100_000:
            await given(manager.call("vat", GET))

    with pytest.raises(CopiedStore):
        await until_known()
    before = len(town.sent)
    with pytest.raises(CopiedStore):
        await given(manager.call("vat", GET))
    assert before == len(town.sent)


class _Core:
    """A core with a clock that stands still unless its store takes time, or is away."""

    def __init__(self, memory: Any, *, takes: float = 0.0) -> None:
        self.memory = memory
        self.takes = takes
        self.now = 0
        self.told: list[float | None] = []

    async def execute(self, command: Any, timeout: float | None, /) -> Any:
        """Ask the store."""
        self.told.append(timeout)
        self.now += int(self.takes * 1e9)
        if self.memory is None:
            raise StorageUnavailable("the store is away.")
        return self.memory.execute(command)

    def nanoseconds(self) -> int:
        """The local clock."""
        return self.now


def _claimed(memory: MemoryStorage) -> Any:
    """What an earlier release does before it writes: it claims, for ten seconds."""
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


async def test_a_store_that_is_away_holds_nobody_back() -> None:
    """What cannot be known stops no call, and is asked again."""
    fence = EnvironmentGuard(_Core(None), "production")  # type: ignore[arg-type]  # what it needs of one

    await fence.check()

    assert fence.passed is False


@pytest.mark.parametrize("whose", ["production", "staging", None])
async def test_whoever_was_killed_while_asking_keeps_nobody_waiting(whose: str | None) -> None:
    """A claim that somebody left behind is no answer, and nobody waits for its end."""
    memory = MemoryStorage(VirtualClock())
    assert Verdict.RUN is _claimed(memory).verdict
    core: Any = _Core(memory)
    fence = EnvironmentGuard(core, whose)

    await fence.check(1.0)

    assert fence.passed
    assert [1.0] == core.told
    assert whose == await fence.home()


async def test_whoever_held_a_claim_gets_what_was_written() -> None:
    """An earlier release that claimed and came too late changes nothing."""
    memory = MemoryStorage(VirtualClock())
    claimed = _claimed(memory)
    core: Any = _Core(memory)

    await EnvironmentGuard(core, "production").check()
    settled = memory.execute(
        complete("{:moorage}:fence:home", claimed.fence, "staging", ttl=10**12)
    )

    assert not settled.held
    assert "production" == settled.answer


async def test_many_processes_ask_once_each() -> None:
    """Processes that start together make one store call each, and the first to come writes."""
    memory = MemoryStorage(VirtualClock())
    core: Any = _Core(memory)
    for _ in range(200):
        await EnvironmentGuard(core, "production").check(1.0)

    assert [1.0] * 200 == core.told


async def test_each_look_is_told_what_is_left() -> None:
    """The second look has what the first has left over, and none is asked without time."""
    memory = MemoryStorage(VirtualClock())
    await EnvironmentGuard(_Core(memory), "production").check()  # type: ignore[arg-type]  # as above
    core: Any = _Core(memory, takes=0.75)

    with pytest.raises(CopiedStore):
        await EnvironmentGuard(core, "staging").check(2.0)
    assert [2.0, 1.25] == core.told
    late = EnvironmentGuard(core, "staging")
    await late.check(0.75)
    assert not late.passed
    assert [2.0, 1.25, 0.75] == core.told


async def test_looking_in_vain_takes_a_tenth_of_the_time() -> None:
    """After a look that took half a second in vain, nobody looks for another four and a half."""
    core: Any = _Core(None, takes=0.5)
    fence = EnvironmentGuard(core, "production")

    await fence.check(0.5)
    core.now += 4_499_999_999
    await fence.check(0.5)
    assert [0.5] == core.told
    core.now += 1
    core.memory = MemoryStorage(VirtualClock())
    await fence.check(0.5)

    assert fence.passed
    assert [0.5, 0.5] == core.told


@EITHER
async def test_the_call_pays_for_the_question(awaited: bool) -> None:
    """Whose the store is may take half of a call's time, and what it took the call lacks."""
    town, memory = Town(), MemoryStorage()
    reports: list[float | None] = []

    class Watched(MemoryStorage):
        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            reports.extend([timeout] * isinstance(command, WriteOnce))
            return memory.execute(command, timeout)

    for timeout, half in ((None, 15.0), (3.0, 1.5)):
        storage: Any = AsyncMemoryStorage(Watched()) if awaited else Watched()
        manager = hub(town, storage, "production", awaited=awaited).manager
        await given(manager.call("vat", GET, timeout=timeout))
        assert half == pytest.approx(reports.pop(), abs=0.5)
        fresh = hub(town, storage, "production", awaited=awaited).manager
        with pytest.raises(ConfigurationError) as caught:
            await given(fresh.call("vat", GET, timeout=-1))
        assert "timeout" == caught.value.path
        with pytest.raises(InvalidData, match="not a str"):
            await given(fresh.call("vat", "no request"))


@EITHER
async def test_a_configuration_names_the_environment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    awaited: bool,
) -> None:
    """A dump of production's database is noticed elsewhere, by the name of the environment."""
    monkeypatch.delenv("MOORAGE_ENVIRONMENT", raising=False)
    services = {"vat": {"base_url": "https://vat.example"}}

    def source(path: str, **more: Any) -> dict[str, Any]:
        there = f"sqlite:///{tmp_path}/{path}"
        fields: dict[str, Any] = {"production": {}, "staging": {}}
        return {"state": {"url": there, **more}, "services": services, "environments": fields}

    town = Town()
    live = town.open(source("live.db"), awaited=awaited, environment="production")
    await given(live.manager.call("vat", GET))
    shutil.copy(tmp_path / "live.db", tmp_path / "copy.db")
    for suffix in ("-wal", "-shm"):
        if (tmp_path / f"live.db{suffix}").exists():
            shutil.copy(tmp_path / f"live.db{suffix}", tmp_path / f"copy.db{suffix}")

    for environment, more in (("staging", {}), (None, {}), (None, {"environment_id": "x"})):
        here = town.open(source("copy.db", **more), awaited=awaited, environment=environment)
        with pytest.raises(CopiedStore):
            await given(here.manager.call("vat", GET))
    custom = town.open(source("copy.db", environment_id="production"), awaited=awaited)
    await given(custom.manager.call("vat", GET))
    memory = {"state": {"url": "memory:"}, "services": services}
    await given(town.open(memory, awaited=awaited).manager.call("vat", GET))


@EITHER
async def test_what_was_said_holds_in_every_release(awaited: bool) -> None:
    """Whose a store is, and who may use it too, is written where each release looks for it."""
    memory = MemoryStorage()
    requests: list[str] = []

    class Watched(MemoryStorage):
        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            requests.extend(command.keys)
            if isinstance(command, WriteOnce):
                assert digest([]) == command.fingerprint
            return memory.execute(command, timeout)

    storage: Any = AsyncMemoryStorage(Watched()) if awaited else Watched()
    arm: Any = arearm if awaited else rearm
    await given(arm(storage, "production"))
    await given(arm(storage, "staging"))

    names = ("home", "armed:production", "armed:staging")
    assert {f"{{:moorage}}:fence:{name}" for name in names} == set(requests)
    with pytest.raises(InvalidData) as caught:
        await given(arm(storage, ""))
    assert "environment" == caught.value.field


@contextmanager
def _shared(kind: str, tmp_path: Path, *, awaited: bool) -> Generator[Any]:
    make: Any = aopen_storage if awaited else open_storage
    prefix = f"fence{uuid4().hex[:8]}"
    if kind == "sqlite":
        yield make(f"sqlite:///{tmp_path}/state.db")
        return
    if kind == "redis":
        yield make(redis_url(), prefix=f"{prefix}:")
        return
    url = postgres_url() if kind == "postgresql" else mariadb_url()
    plain = open_storage(url, prefix=f"{prefix}_")
    plain.migrate()
    plain.close()
    yield make(url, prefix=f"{prefix}_")
    driver = "psycopg" if kind == "postgresql" else "pymysql"
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername=f"{kind}+{driver}"))
    result = sqlalchemy.MetaData()
    result.reflect(engine, only=lambda name, _: name.startswith(prefix))
    result.drop_all(engine)
    engine.dispose()


@EITHER
@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgresql", "mariadb"])
async def test_every_store(kind: str, tmp_path: Path, awaited: bool) -> None:
    """Every store remembers whose it is."""
    with _shared(kind, tmp_path, awaited=awaited) as storage:
        ask, arm = (ahome, arearm) if awaited else (home, rearm)
        assert await given(ask(storage)) is None
        assert "production" == await given(arm(storage, "production"))
        assert "production" == await given(arm(storage, "staging"))
        assert "production" == await given(ask(storage))
        await given(storage.aclose() if awaited else storage.close())


@EITHER
async def test_a_copy_is_made_harmless(tmp_path: Path, awaited: bool) -> None:
    """Credentials, tenants and what waits to be sent are taken away, and counted."""
    plain: Any = SqliteCredentialProvider(tmp_path / "c.db", CIPHER)
    plain.rotate("stripe", None, Credentials.bearer("token"))
    plain.rotate("stripe", "acme", Credentials.bearer("token"))
    tenants: Any = SqliteTenants(tmp_path / "t.db", CIPHER)
    tenants.put("acme", {})
    memory: Any = MemoryTenants({"a": {}, "b": {}})
    if awaited:
        plain = AsyncSqliteCredentialProvider(tmp_path / "c.db", CIPHER)
        tenants = AsyncSqliteTenants(tmp_path / "t.db", CIPHER)
        memory = AsyncMemoryTenants({"a": {}, "b": {}})

    class Outbox:
        def remove(self, query: EntryQuery) -> int:
            return 3 if query == EntryQuery() else 0

    class AsyncOutbox:
        async def remove(self, query: EntryQuery) -> int:
            return 3 if query == EntryQuery() else 0

    box = AsyncOutbox() if awaited else Outbox()
    make = aneutralize if awaited else neutralize

    assert 8 == await given(make(plain, tenants, memory, box))
    assert 3 == await given(make(plain, tenants, memory, box))
    assert not await given(plain.has("stripe", None))
    assert await given(tenants.version("acme")) is None
    with pytest.raises(ConfigurationError, match="cannot be emptied"):
        await given(make(object()))


@EITHER
async def test_a_hosts_own_store_has_a_fence(*, awaited: bool) -> None:
    """A name that a configuration says holds for the store that a host gives, too."""
    town = Town()
    state: Any = AsyncMemoryStorage() if awaited else MemoryStorage()
    fields = {"services": {"vat": {"base_url": "https://vat.example"}}}
    make: Any = moorage.aopen if awaited else moorage.open
    for environment in ("production", None):
        opened = make(
            fields, environment=environment, state=state, http=town.client(awaited=awaited)
        )
        await given(opened.manager.call("vat", GET))

    copy = make(fields, environment="staging", state=state, http=town.client(awaited=awaited))
    with pytest.raises(CopiedStore, match="production"):
        await given(copy.manager.call("vat", GET))
