"""Tenants that the hub looks up, and that change while it is in use."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from threading import Barrier, BrokenBarrierError, Thread
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, HubConfiguration, InvalidData, StorageUnavailable
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.tenants.memory import AsyncMemoryTenants, MemoryTenants
from moorage.adapters.tenants.sqlite import AsyncSqliteTenants, SqliteTenants
from moorage.contracts.sms import SmsMessage
from moorage.hub.hub_runtime import HubRuntime
from moorage.parts.oauth_token_refresher import OAuthTokenRefresher
from moorage.testing import VirtualClock, tenants_conformance
from moorage.testing.kits.checks import name_of
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.testing.sandboxes.sms.vonage import VonageSandbox
from moorage.wiring.store_urls import aopen_tenants, open_tenants
from tests.reload.harness import result_of
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

pytestmark = pytest.mark.anyio
EACH_MODE = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
MESSAGE = SmsMessage(to="+4915112345678", text="Hello")
RING = generate_keys()
CIPHER = AesGcmCipher(RING)


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


class TenantHarness:
    """A hub that looks up its tenants, and the vendors that it calls.

    Attributes:
        tenants: what is known of them; asked in the hub's mode.
        broken: what is raised in place of an answer, if anything is.
        asked: how often something was asked.
    """

    def __init__(self, *, is_async: bool, source: Any = None) -> None:
        self.twilio, self.vonage = TwilioSandbox(), VonageSandbox()
        self.clock = VirtualClock()
        self.tenants = MemoryTenants()
        self.broken: Exception | None = None
        self.asked = 0
        client = AsyncSandboxHttpClient if is_async else SandboxHttpClient
        make: Any = moorage.aopen if is_async else moorage.open
        self.hub = make(
            {"vendors": {"twilio": self.a_twilio()}, **(source or {})},
            http=client(self.twilio, self.vonage),
            clock=self.clock,
            tenants=_AsyncPort(self) if is_async else _SyncPort(self),
            tenants_every=10.0,
        )

    def a_twilio(self) -> dict[str, Any]:
        """Return the settings of an account at Twilio."""
        return {
            "account_sid": self.twilio.account_sid,
            "credentials": self.twilio.auth_token,
            "sender": "+15005550006",
        }

    def a_vonage(self) -> dict[str, Any]:
        """Return the settings of an account at Vonage."""
        return {
            "api_key": self.vonage.api_key,
            "credentials": self.vonage.api_secret,
            "sender": "ACME",
        }

    async def send(self, tenant: str | None) -> Any:
        """Send a message for a tenant."""
        return await result_of(self.hub.sms(tenant).send(MESSAGE))

    def ask(self) -> None:
        """Return the tenant port's result, synchronous or asynchronous like the hub."""
        self.asked += 1
        if self.broken is not None:
            raise self.broken


class _SyncPort:
    def __init__(self, landlord: TenantHarness) -> None:
        self.landlord = landlord

    def version(self, tenant: str, /) -> Any:
        """Return the version of a tenant."""
        self.landlord.ask()
        return self.landlord.tenants.version(tenant)

    def tables(self, tenant: str, /) -> Any:
        """Return the tenant's current tables."""
        return self.landlord.tenants.tables(tenant)


class _AsyncPort:
    def __init__(self, landlord: TenantHarness) -> None:
        self.landlord = landlord

    async def version(self, tenant: str, /) -> Any:
        """Return the version of a tenant."""
        self.landlord.ask()
        return self.landlord.tenants.version(tenant)

    async def tables(self, tenant: str, /) -> Any:
        """Return the tenant's current tables."""
        return self.landlord.tenants.tables(tenant)


@EACH_MODE
async def test_secret_that_becomes_readable_is_used_without_a_restart(
    tmp_path: Path, is_async: bool
) -> None:
    """A tenant whose secret could not be read works seconds after the secret can be read."""
    harness = TenantHarness(is_async=is_async)
    secret = tmp_path / "vonage-key"
    account = {**harness.a_vonage(), "credentials": f"secret://file/{secret}"}
    harness.tenants.put("acme", {"vendors": {"vonage": account}, "sms": {"vendor": "vonage"}})

    with pytest.raises(ConfigurationError) as refused:
        await harness.send("acme")
    assert refused.value.retryable
    secret.write_text(harness.vonage.api_secret)
    harness.clock.advance(10)

    assert "acme.vonage" == (await harness.send("acme")).ref.account


@EACH_MODE
async def test_changed_account_is_used_without_a_restart(is_async: bool) -> None:
    """A tenant's changed account is used within seconds; data at the old one stays reachable."""
    harness = TenantHarness(is_async=is_async)
    harness.tenants.put(
        "acme", {"vendors": {"twilio": harness.a_twilio()}, "sms": {"vendor": "twilio"}}
    )
    first = await harness.send("acme")
    harness.tenants.put(
        "acme",
        {
            "vendors": {"twilio": harness.a_twilio(), "vonage": harness.a_vonage()},
            "sms": {"vendor": "vonage"},
        },
    )

    assert "acme.twilio" == (await harness.send("acme")).ref.account
    harness.clock.advance(10.0)
    assert "acme.vonage" == (await harness.send("acme")).ref.account
    assert first.ref == (await result_of(harness.hub.sms("acme").get(first.ref))).ref

    harness.tenants.put(
        "acme", {"vendors": {"vonage": harness.a_vonage()}, "sms": {"vendor": "vonage"}}
    )
    harness.clock.advance(10.0)
    with pytest.raises(InvalidData, match="account configured while"):
        await result_of(harness.hub.sms("acme").get(first.ref))


@EACH_MODE
async def test_look_ups_are_cached(is_async: bool) -> None:
    """Known and unknown tenants are looked up once per refresh interval."""
    harness = TenantHarness(is_async=is_async)
    harness.tenants.put("acme", {})
    for _ in range(3):
        assert "twilio" == (await harness.send("acme")).ref.account
    await harness.send(None)
    assert 1 == harness.asked

    harness.clock.advance(10.0)
    await harness.send("acme")
    await harness.send("acme")
    assert 2 == harness.asked


@EACH_MODE
async def test_unknown_or_invalid_tenant_raises_error_with_its_path(is_async: bool) -> None:
    """An unknown or invalid tenant raises an error with the tenant's path; other tenants work."""
    harness = TenantHarness(is_async=is_async)
    harness.tenants.put("fine", {})
    harness.tenants.put("acme", {"vendors": {"twilio": {"speed": 5}}})
    harness.tenants.put("none", {"sms": {"vendor": "nobody"}})
    for tenant, path in (
        ("stranger", "tenants.stranger"),
        ("acme", "tenants.acme.vendors.twilio"),
        ("none", "tenants.none.sms.vendor"),
    ):
        for _ in range(2):
            with pytest.raises(ConfigurationError) as excinfo:
                await harness.send(tenant)
            assert str(excinfo.value.path).startswith(path)
    assert "The tenant is not configured." == (await _refusal_of(harness, "stranger")).message
    assert (
        "Correct the tenant's name, or store a" in (await _refusal_of(harness, "stranger")).remedy
    )
    with pytest.raises(InvalidData) as unnamed_excinfo:
        await harness.send("\n")
    assert "tenant" == unnamed_excinfo.value.field

    assert "twilio" == (await harness.send("fine")).ref.account
    assert "twilio" == (await harness.send(None)).ref.account
    harness.tenants.put("acme", {})
    harness.clock.advance(10.0)
    assert "twilio" == (await harness.send("acme")).ref.account
    harness.tenants.remove("acme")
    harness.clock.advance(10.0)
    with pytest.raises(ConfigurationError):
        await harness.send("acme")


async def _refusal_of(harness: TenantHarness, tenant: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as excinfo:
        await harness.send(tenant)
    return excinfo.value


@EACH_MODE
async def test_data_of_a_person_can_be_exported_and_erased_at_a_tenant(is_async: bool) -> None:
    """A person's data can be exported and erased at a tenant's own account."""
    harness = TenantHarness(is_async=is_async)
    harness.tenants.put(
        "acme", {"vendors": {"vonage": harness.a_vonage()}, "sms": {"vendor": "vonage"}}
    )

    receipt = await result_of(harness.hub.sms("acme", subject="customer-ada").send(MESSAGE))

    assert "acme.vonage" == receipt.ref.account
    with pytest.raises(InvalidData) as excinfo:
        harness.hub.sms("acme", subject="")
    assert "subject" == excinfo.value.field


@EACH_MODE
async def test_result_of_the_tenant_port_that_is_no_table_is_refused(is_async: bool) -> None:
    """A result of the tenant port that is not a table is refused."""
    harness = TenantHarness(is_async=is_async)

    class InvalidTenants(MemoryTenants):
        def version(self, tenant: str, /) -> int | None:
            return 1

        def tables(self, tenant: str, /) -> Any:
            return ["none"]

    harness.tenants = InvalidTenants()
    with pytest.raises(ConfigurationError, match="The value is a list, not a table"):
        await harness.send("acme")


@EACH_MODE
async def test_cached_tenants_keep_their_accounts_during_an_outage(is_async: bool) -> None:
    """During an outage cached tenants keep their accounts; others get an error with the reason."""
    harness = TenantHarness(is_async=is_async)
    harness.tenants.put(
        "acme", {"vendors": {"vonage": harness.a_vonage()}, "sms": {"vendor": "vonage"}}
    )
    await harness.send("acme")
    harness.broken = OSError("the database of password hunter2")
    harness.clock.advance(10.0)

    assert "acme.vonage" == (await harness.send("acme")).ref.account
    with pytest.raises(StorageUnavailable) as excinfo:
        await harness.send("other")
    assert "hunter2" not in str(excinfo.value)


@EACH_MODE
async def test_looked_up_tenant_takes_precedence_over_the_configuration(is_async: bool) -> None:
    """A tenant may be in the configuration; its looked-up accounts take precedence."""
    harness = TenantHarness(is_async=is_async)
    fields = {"vendors": {"vonage": harness.a_vonage()}, "sms": {"vendor": "vonage"}}
    source = {"vendors": {"twilio": harness.a_twilio()}, "tenants": {"acme": fields}}
    await result_of(harness.hub.reload(source))

    assert "acme.vonage" == (await harness.send("acme")).ref.account
    harness.tenants.put("acme", {"sms": {"vendor": "twilio"}})
    harness.clock.advance(10.0)
    assert "twilio" == (await harness.send("acme")).ref.account
    harness.tenants.put("acme", {"vendors": {"vonage": harness.a_vonage()}})
    harness.clock.advance(10.0)
    assert "acme.vonage" == (await harness.send("acme")).ref.account


@EACH_MODE
async def test_shared_configuration_changes_for_tenants(is_async: bool) -> None:
    """A reload applies to tenants in the cache without another look-up."""
    harness = TenantHarness(is_async=is_async)
    harness.tenants.put("acme", {})
    await harness.send("acme")
    await result_of(
        harness.hub.reload({"vendors": {"other": {"kind": "twilio", **harness.a_twilio()}}})
    )

    assert "other" == (await harness.send("acme")).ref.account
    assert 1 == harness.asked


@EACH_MODE
async def test_accounts_of_tenants_are_found(is_async: bool) -> None:
    """After a look-up, the hub finds a tenant's account by its name."""
    harness = TenantHarness(is_async=is_async)
    harness.tenants.put("acme", {"vendors": {"vonage": harness.a_vonage()}})

    await result_of(harness.hub.look_up("acme"))

    assert "vonage" == harness.hub.account("acme.vonage").vendor.name
    with pytest.raises(ConfigurationError):
        await result_of(harness.hub.look_up("stranger"))


async def test_accounts_stay_available_during_a_refresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """During a refresh, a webhook in another thread still finds its account."""
    harness = TenantHarness(is_async=False)
    harness.tenants.put("acme", {"vendors": {"vonage": harness.a_vonage()}})
    harness.hub.look_up("acme")
    previous_account = harness.hub.account("acme.vonage")
    results: list[Any] = []
    make: Any = HubRuntime.dispatcher_of_tenant

    def dispatcher_of_tenant(*value: Any) -> Any:
        results.append(harness.hub.account("acme.vonage"))
        return make(*value)

    monkeypatch.setattr(HubRuntime, "dispatcher_of_tenant", dispatcher_of_tenant)
    harness.tenants.put("acme", {"vendors": {"vonage": {**harness.a_vonage(), "sender": "OTHER"}}})
    harness.clock.advance(10.0)
    harness.hub.look_up("acme")

    assert [previous_account] == results
    assert "OTHER" == harness.hub.account("acme.vonage").vendor.sender


@EACH_MODE
async def test_account_names_are_unambiguous(is_async: bool) -> None:
    """An account name with a dot is refused, as it could be another tenant's account."""
    harness = TenantHarness(is_async=is_async)
    harness.tenants.put(
        "acme", {"vendors": {"fr.vonage": {"kind": "vonage", **harness.a_vonage()}}}
    )
    harness.tenants.put("acme.fr", {"vendors": {"vonage": harness.a_vonage()}})
    with pytest.raises(ConfigurationError, match="The name contains a dot") as excinfo:
        await result_of(harness.hub.look_up("acme"))
    assert 'tenants.acme.vendors."fr.vonage"' == excinfo.value.path
    await result_of(harness.hub.look_up("acme.fr"))
    assert {"acme.fr"} == harness.hub.account("acme.fr.vonage").tenants


async def test_all_threads_share_one_token_refresher_per_hub(tmp_path: Path) -> None:
    """All threads share one token refresher per hub, which is closed at the end."""
    fixture = fixture_of("ups", tmp_path)
    tables = {"vendors": {"ups": fixture.options}, "shipping": {"vendor": "ups"}}
    sandbox: Any = fixture.sandbox
    hub = moorage.open(
        {}, http=SandboxHttpClient(sandbox), tenants=MemoryTenants({"acme": tables, "ajax": tables})
    )
    runtime: Any = hub._runtime  # noqa: SLF001 - two threads that meet in it
    hubs: list[Any] = []
    barrier = Barrier(2)

    def refresher(*value: Any, **more: Any) -> Any:
        hubs.append(value)
        with suppress(BrokenBarrierError):
            barrier.wait(0.1)
        return OAuthTokenRefresher(*value, **more)

    _, provider = runtime._oauth_classes()  # noqa: SLF001 - two threads that meet in it
    runtime._oauth_classes = lambda: (refresher, provider)  # noqa: SLF001 - two threads that meet in it
    looking = [Thread(target=hub.look_up, args=(name,)) for name in ("acme", "ajax")]
    for item in looking:
        item.start()
    for element in looking:
        element.join()

    assert {"acme.ups", "ajax.ups"} == {
        hub.account(f"{text}.ups").name for text in ("acme", "ajax")
    }
    assert 1 == len(hubs)


@EACH_MODE
async def test_cached_tenants_are_bounded(is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of cached tenants is bounded."""
    monkeypatch.setattr("moorage.services.contracts.tenants._MOST_TENANTS", 2)
    harness = TenantHarness(is_async=is_async)
    for number in range(5):
        harness.tenants.put(f"t{number}", {})
        await harness.send(f"t{number}")
    tenants_by_name = harness.hub._live.tenants.cached_dispatcher  # noqa: SLF001 - nothing else tells
    assert [3, 4] == [number for number in range(5) if tenants_by_name(f"t{number}") is not None]


def test_tenant_port_of_the_wrong_mode_is_refused() -> None:
    """A tenant port of the wrong mode, or without its methods, is refused when the hub opens."""
    with pytest.raises(ConfigurationError, match="but the hub is not"):
        moorage.open({}, tenants=AsyncMemoryTenants())
    with pytest.raises(ConfigurationError, match="but the hub is not"):
        moorage.aopen({}, tenants=MemoryTenants())
    with pytest.raises(ConfigurationError, match="has no `version`"):
        moorage.open({}, tenants=object())


@EACH_MODE
async def test_configuration_names_the_tenant_store_and_its_keys(
    tmp_path: Path, is_async: bool
) -> None:
    """A configuration names the store of tenants and the keys that decrypt them."""
    twilio = TwilioSandbox()
    url = f"sqlite:///{tmp_path}/tenants.db"
    fields = {"account_sid": twilio.account_sid, "credentials": twilio.auth_token, "sender": "ACME"}
    keys = RING.text()
    SqliteTenants(tmp_path / "tenants.db", CIPHER).put("acme", {"vendors": {"twilio": fields}})
    make: Any = moorage.aopen if is_async else moorage.open
    client: Any = AsyncSandboxHttpClient if is_async else SandboxHttpClient
    hub = make(
        {"tenants_from": {"url": url, "keys": keys.reveal(), "every": 2.0}}, http=client(twilio)
    )

    receipt = await result_of(hub.sms("acme").send(MESSAGE))

    assert "acme.twilio" == receipt.ref.account
    assert twilio.auth_token.encode() not in (tmp_path / "tenants.db").read_bytes()


@pytest.mark.parametrize("make", [open_tenants, aopen_tenants])
def test_store_url_that_cannot_hold_tenants_is_refused(make: Callable[..., Any]) -> None:
    """A store URL that cannot hold tenants is refused, with the setting's path in the error."""
    for url in ("redis://here", "memory:", "sqlite:///", "nothing"):
        with pytest.raises(ConfigurationError) as excinfo:
            make(url, RING.text())
        assert "tenants_from.url" == excinfo.value.path
    assert "Tenants" in type(make("postgresql://here/db", RING.text())).__name__


def test_only_tables_are_stored(tmp_path: Path) -> None:
    """Storing tenants refuses values that are not tables, empty names and foreign databases."""
    tenants: Any = SqliteTenants(tmp_path / "tenants.db", CIPHER)
    with pytest.raises(InvalidData):
        tenants.put("acme", ["none"])
    with pytest.raises(InvalidData):
        tenants.put("", {})
    with closing(sqlite3.connect(tmp_path / "other.db")) as link:
        link.execute("CREATE TABLE t (a)")
    with pytest.raises(ConfigurationError, match="cannot store tenants"):
        SqliteTenants(tmp_path / "other.db", CIPHER).version("acme")


TenantSource = tuple[Any, "Callable[[str, Mapping[str, Any] | None], None]"]


def _put_function(plain: Any) -> Callable[[str, Mapping[str, Any] | None], None]:
    def put(name: str, tables: Mapping[str, Any] | None) -> None:
        if tables is None:
            plain.remove(name)
        else:
            plain.put(name, tables)

    return put


def _put_in_thread(is_async: Any) -> Callable[[str, Mapping[str, Any] | None], None]:
    """Store a tenant with the asynchronous methods, in a thread beside the test's event loop."""
    import asyncio  # noqa: PLC0415 - of this test alone
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - of this test alone

    def put(name: str, tables: Mapping[str, Any] | None) -> None:
        flow = is_async.remove(name) if tables is None else is_async.put(name, tables)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, flow).result()

    return put


@pytest.mark.parametrize("check", tenants_conformance.CHECKS, ids=name_of)
@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgresql", "mariadb"])
def test_synchronous_adapters_conform(check: Any, kind: str, tmp_path: Path) -> None:
    """Every synchronous tenants adapter passes the conformance kit."""
    with _made(kind, tmp_path, is_async=False) as tenants:
        check(lambda: (tenants, _put_function(tenants)))


@pytest.mark.parametrize("check", tenants_conformance.ASYNC_CHECKS, ids=name_of)
@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgresql", "mariadb"])
async def test_asynchronous_adapters_conform(check: Any, kind: str, tmp_path: Path) -> None:
    """Every asynchronous tenants adapter passes the conformance kit."""
    with _made(kind, tmp_path, is_async=True) as tenants:
        await check(lambda: (tenants, _put_in_thread(tenants)))


class _NewTenants:
    def __init__(self, kind: str, folder: Path, *, is_async: bool) -> None:
        self.tenants: Any
        self.drop: Callable[[], None] = lambda: None
        if kind == "memory":
            self.tenants = AsyncMemoryTenants() if is_async else MemoryTenants()
        elif kind == "sqlite":
            make: Any = AsyncSqliteTenants if is_async else SqliteTenants
            self.tenants = make(folder / "tenants.db", CIPHER)
        else:
            self._in_database(kind, is_async=is_async)

    def _in_database(self, kind: str, *, is_async: bool) -> None:
        from uuid import uuid4  # noqa: PLC0415 - of databases alone

        import sqlalchemy  # noqa: PLC0415 - of this test alone

        from moorage.adapters.tenants.sql import AsyncSqlTenants, SqlTenants  # noqa: PLC0415 - of this test alone

        url = postgres_url() if kind == "postgresql" else mariadb_url()
        prefix = f"ten{uuid4().hex[:8]}_"
        plain_tenants = SqlTenants(url, CIPHER, prefix=prefix)
        plain_tenants.migrate()
        assert f"{prefix}tenants" in SqlTenants.ddl(kind, prefix=prefix)
        assert kind in repr(plain_tenants)
        self.tenants = AsyncSqlTenants(url, CIPHER, prefix=prefix) if is_async else plain_tenants
        driver = "psycopg" if kind == "postgresql" else "pymysql"

        def drop() -> None:
            engine = sqlalchemy.create_engine(
                sqlalchemy.make_url(url).set(drivername=f"{kind}+{driver}")
            )
            with engine.begin() as link:
                link.execute(sqlalchemy.text(f"DROP TABLE {prefix}tenants"))
            engine.dispose()

        self.drop = drop

    def __enter__(self) -> Any:
        return self.tenants

    def __exit__(self, *_: object) -> None:
        self.drop()


_made = _NewTenants


def test_another_tenants_account_is_not_available() -> None:
    """A tenant cannot use an account that belongs to other tenants only."""
    harness = TenantHarness(is_async=False)
    other_tenant = {"vendors": {"vonage": harness.a_vonage()}, "sms": {"vendor": "vonage"}}
    harness.hub.reload(
        {"vendors": {"twilio": harness.a_twilio()}, "tenants": {"other": other_tenant}}
    )
    harness.tenants.put("acme", {})
    harness.hub.look_up("acme")

    dispatcher = harness.hub._live.tenants.cached_dispatcher("acme")  # noqa: SLF001 - nothing else tells

    assert ["twilio"] == list(dispatcher.directory.accounts)
    assert HubConfiguration().changes(HubConfiguration()).changed == ()
