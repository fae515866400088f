"""Hubs made from configuration tables: accepted and refused settings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import (
    Account,
    AsyncHub,
    AsyncPlatformInThreads,
    CircuitBreakerConfig,
    ConfigurationError,
    RateLimitConfig,
    Request,
    RetryPolicy,
    Route,
    Service,
)
from moorage.config import read_configuration
from moorage.contracts.sms import SmsMessage
from moorage.domain.service.settings import BulkheadConfig
from moorage.testing import MockPlatform
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.vendors.sms.twilio import Twilio
from moorage.wiring import store_urls as opening
from tests.connectors.connector_harness import AsyncRecordingConnector, RecordingConnector
from tests.reload.harness import result_of

if TYPE_CHECKING:
    from pathlib import Path

SID = "AC" + "0" * 32
TWILIO: dict[str, Any] = {"account_sid": SID, "credentials": "token", "sender": "+15005550006"}
STRIPE: dict[str, Any] = {"kind": "stripe", "credentials": "sk"}
MESSAGE = SmsMessage(to="+4915112345678", text="Hello")


def test_configuration_file_that_only_names_vendor_is_valid(tmp_path: Path) -> None:
    """A configuration file that contains only a vendor's name is valid."""
    path = tmp_path / "moorage.toml"
    path.write_text(f'[vendors.twilio]\naccount_sid = "{SID}"\n')

    result = read_configuration(path)

    assert (Account("twilio", Twilio(account_sid=SID)),) == result.accounts
    assert ((), (), None) == (result.routes, result.services, result.state)


def test_accounts_routes_services_and_tenants_are_read_from_one_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Accounts, routes with rules, services and tenants' accounts are read from one file."""
    monkeypatch.setenv("TWILIO_TOKEN", "hidden")
    result = read_configuration(
        {
            "version": 1,
            "state": {"url": "memory:"},
            "sms": [
                {"vendor": "twilio"},
                {"vendor": ["main", "twilio"], "countries": ["de"], "prefer": "cost"},
            ],
            "vendors": {
                "twilio": {**TWILIO, "credentials": "secret://env/TWILIO_TOKEN"},
                "main": {
                    "kind": "twilio",
                    **TWILIO,
                    "cost": "0.07",
                    "webhook_secrets": ["new", "old"],
                    "timeout": 20.0,
                    "limits": [{"rate": 50, "per": "minute"}, {"rate": 2, "per": 3.0, "burst": 4}],
                    "retry": {"preset": "conservative"},
                    "circuit": {"failures": 3},
                    "bulkhead": {"max_concurrent": 4},
                },
            },
            "services": {
                "vat": {
                    "base_url": "https://vat.example",
                    "retry": {"max_attempts": 4},
                    "limits": {"rate": 1},
                }
            },
            "tenants": {
                "acme": {"sms": {"vendor": "own"}, "vendors": {"own": {"kind": "twilio", **TWILIO}}}
            },
        }
    )

    twilio, main, custom_account = result.accounts
    assert "hidden" == twilio.vendor.credentials.reveal()  # type: ignore[attr-defined]  # a vendor's own attribute
    assert {
        "timeout": 20.0,
        "limits": (RateLimitConfig.per_minute(50), RateLimitConfig(2, 3.0, 4)),
        "retry": RetryPolicy.conservative(),
        "circuit": CircuitBreakerConfig(failures=3),
        "bulkhead": BulkheadConfig(4),
    } == main.settings
    assert ["new", "old"] == [secret.reveal() for secret in main.webhook_secrets]
    assert ("acme.own", frozenset({"acme"})) == (custom_account.name, custom_account.tenants)
    assert (
        Route("sms", "twilio"),
        Route("sms", ["main", "twilio"], countries=["DE"], prefer="cost"),
        Route("sms", "acme.own", tenant="acme"),
    ) == result.routes
    assert (
        Service(
            "vat",
            "https://vat.example",
            retry=RetryPolicy(4),
            limits=(RateLimitConfig.per_second(1),),
        ),
    ) == result.services
    assert "memory:" == result.state


def test_configured_hub_calls_the_vendor_with_the_account_of_the_tenant() -> None:
    """A configured hub calls a vendor with the tenant's account if there is one."""
    sandbox = TwilioSandbox(auth_token="token")
    hub = moorage.open(
        {
            "state": {"url": "memory:"},
            "vendors": {"twilio": TWILIO},
            "services": {"api": {"base_url": "https://api.twilio.com"}},
        },
        http=SandboxHttpClient(sandbox),
    )

    assert "twilio" == hub.sms().send(MESSAGE).ref.account
    with pytest.raises(moorage.VendorRejected):
        hub.manager.call("api", Request.get("/nowhere"))
    # A store that is passed as an argument takes precedence over the file's store.
    moorage.open({"state": {"url": "nowhere:"}}, state=opening.open_storage("memory:"))


def test_url_of_state_store_may_be_secret_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL of the state store may be a secret reference, and is never shown."""
    monkeypatch.setenv("STATE_URL", "redis://:hidden@127.0.0.1/0")
    result = read_configuration({"state": {"url": "secret://env/STATE_URL"}})

    assert "redis://:hidden@127.0.0.1/0" == result.state
    assert "hidden" not in repr(result)


def test_configuration_opens_asynchronous_hub_as_well_as_synchronous_one() -> None:
    """A configuration opens an asynchronous hub as well as a synchronous one."""
    hub = moorage.aopen({"state": {"url": "memory:"}, "vendors": {"twilio": TWILIO}})

    assert isinstance(hub, AsyncHub)
    asyncio.run(hub.close())
    store = opening.aopen_storage("memory:")
    assert isinstance(moorage.aopen({"state": {"url": "nowhere:"}}, state=store), AsyncHub)


@pytest.mark.parametrize("value", [False, True], ids=["own", "given"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_hub_closes_only_the_store_that_it_opened(
    tmp_path: Path, *, is_async: bool, value: bool
) -> None:
    """A hub closes the store that it opened itself, but not a store that was passed to it."""
    url = f"sqlite:///{tmp_path}/moorage.db"
    configuration = {"state": {"url": url}, "services": {"api": {}}}
    # SQLite deletes its journal when the last connection is closed.
    journal = tmp_path / "moorage.db-wal"

    async def opened_and_closed() -> None:
        store = opening.aopen_storage(url)
        hub = moorage.aopen(configuration, **({"state": store} if value else {}))
        await hub.manager.circuit_state("api")
        assert journal.exists()
        await hub.close()
        assert value is journal.exists()
        await store.aclose()

    if is_async:
        asyncio.run(opened_and_closed())
        return
    store = opening.open_storage(url)
    hub = moorage.open(configuration, **({"state": store} if value else {}))
    hub.manager.circuit_state("api")
    assert journal.exists()
    hub.close()
    assert value is journal.exists()
    store.close()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_hub_closes_its_store_even_if_a_connector_fails(tmp_path: Path, is_async: bool) -> None:
    """If closing a connector or a step platform fails, a hub closes everything else too."""
    configuration = {"state": {"url": f"sqlite:///{tmp_path}/moorage.db"}, "services": {"api": {}}}
    journal: list[str] = []
    kind = AsyncRecordingConnector if is_async else RecordingConnector
    connector: Any = kind("diary", journal, "api")
    connector.failure = ConnectionResetError("The diary is gone.")

    class FailingPlatform(MockPlatform):
        def close(self) -> None:
            journal.append("close platform")
            raise OSError("The platform is gone.")

    def platform() -> Any:
        return AsyncPlatformInThreads(FailingPlatform()) if is_async else FailingPlatform()

    async def open_and_close(hub: Any) -> None:
        await result_of(hub.manager.circuit_state("api"))
        hub.connectors.add(connector)
        for name in ("one", "other"):
            hub.steps.register(name, platform)
            await result_of(hub.steps.get(name))
        with pytest.raises(ConnectionResetError):
            await result_of(hub.close())

    asyncio.run(open_and_close((moorage.aopen if is_async else moorage.open)(configuration)))

    assert ["close diary", "close platform", "close platform"] == journal
    # SQLite deletes its journal when the last connection is closed.
    assert not (tmp_path / "moorage.db-wal").exists()


def test_invalid_setting_of_an_account_is_refused() -> None:
    """An account's setting that is unknown, or not allowed for services, is refused."""
    for name in ("tymeout", "name"):
        account = Account("twilio", Twilio(account_sid=SID), settings={name: 3})
        with pytest.raises(ConfigurationError) as excinfo:
            moorage.Hub([account])
        assert f"vendors.twilio.{name}" == excinfo.value.path


def test_invalid_service_setting_has_its_path() -> None:
    """An invalid service setting of an account is reported with its path."""
    account = Account("twilio", Twilio(account_sid=SID), settings={"timeout": "soon"})
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.Hub([account])

    assert "vendors.twilio.timeout" == excinfo.value.path


@pytest.mark.parametrize("opened", [moorage.open, moorage.aopen], ids=["sync", "async"])
@pytest.mark.parametrize(
    "name, right_name",
    [("observer", "Did you mean observers? Use "), ("dry_run", "Use "), ("tenant", "Did you mean")],
)
def test_unknown_argument_of_open_is_refused_with_a_suggestion(
    opened: Any, name: str, right_name: str
) -> None:
    """The error for an unknown argument of `open` or `aopen` suggests the correct argument."""
    with pytest.raises(ConfigurationError) as excinfo:
        opened({}, **{name: ()})

    assert name == excinfo.value.path
    assert excinfo.value.remedy.startswith(right_name)


@pytest.mark.parametrize(
    "tables, path",
    [
        ({"vendors": {"stripe": STRIPE}}, "vendors.stripe.moves_money"),
        ({"vendors": {"a.b": STRIPE}}, 'vendors."a.b".moves_money'),
        ({"tenants": {"acme": {"vendors": {"b": STRIPE}}}}, "tenants.acme.vendors.b.moves_money"),
        ({"services": {"bank": {"moves_money": True}}}, "services.bank.moves_money"),
    ],
)
def test_payments_with_a_volatile_store_are_refused(tables: dict[str, Any], path: str) -> None:
    """A configuration with payments and a state store in memory is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open({"state": {"url": "memory:"}, **tables})

    assert path == excinfo.value.path
    assert "state.url" in excinfo.value.remedy
    assert "claims" not in excinfo.value.remedy


def test_mistake_in_account_of_some_tenants_has_its_name() -> None:
    """A mistake in an account for some tenants only is reported under that account's name."""
    vendor = Twilio(account_sid=SID)
    account = Account("twilio", vendor, tenants="acme", settings={"tymeout": 3})
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.Hub([account])
    assert "vendors.twilio.tymeout" == excinfo.value.path
    assert frozenset({"acme"}) == account.tenants
