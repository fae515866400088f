"""A hub from plain tables: what they say, and what they cannot say."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

import mooring
from mooring import (
    Account,
    AsyncHub,
    CircuitBreakerConfig,
    ConfigurationError,
    RateLimitConfig,
    Request,
    RetryPolicy,
    Route,
    Service,
    opening,
)
from mooring.config import read_configuration
from mooring.contracts.sms import SmsMessage
from mooring.domain.service import BulkheadConfig
from mooring.testing.sandbox.base import SandboxHttpClient
from mooring.testing.sandbox.twilio import TwilioSandbox
from mooring.vendors.twilio import Twilio

if TYPE_CHECKING:
    from pathlib import Path

SID = "AC" + "0" * 32
TWILIO: dict[str, Any] = {"account_sid": SID, "credentials": "token", "sender": "+15005550006"}
MESSAGE = SmsMessage(to="+4915112345678", text="Hello")


def test_the_least(tmp_path: Path) -> None:
    """A file that names a vendor is enough."""
    path = tmp_path / "mooring.toml"
    path.write_text(f'[vendors.twilio]\naccount_sid = "{SID}"\n')

    found = read_configuration(path)

    assert (Account("twilio", Twilio(account_sid=SID)),) == found.accounts
    assert ((), (), None) == (found.routes, found.services, found.state)


def test_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts with settings, routes with rules, services, and tenants with accounts."""
    monkeypatch.setenv("TWILIO_TOKEN", "hidden")
    found = read_configuration(
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

    twilio, main, own = found.accounts
    assert "hidden" == twilio.vendor.credentials.reveal()  # type: ignore[attr-defined]
    assert {
        "timeout": 20.0,
        "limits": (RateLimitConfig.per_minute(50), RateLimitConfig(2, 3.0, 4)),
        "retry": RetryPolicy.conservative(),
        "circuit": CircuitBreakerConfig(failures=3),
        "bulkhead": BulkheadConfig(4),
    } == main.settings
    assert ["new", "old"] == [one.reveal() for one in main.webhook_secrets]
    assert ("acme.own", frozenset({"acme"})) == (own.name, own.tenants)
    assert (
        Route("sms", "twilio"),
        Route("sms", ["main", "twilio"], countries=["DE"], prefer="cost"),
        Route("sms", "acme.own", tenant="acme"),
    ) == found.routes
    assert (
        Service(
            "vat",
            "https://vat.example",
            retry=RetryPolicy(4),
            limits=(RateLimitConfig.per_second(1),),
        ),
    ) == found.services
    assert "memory:" == found.state


def test_a_hub_that_works() -> None:
    """What is configured is called, with the tenant's own account where it has one."""
    sandbox = TwilioSandbox(auth_token="token")
    hub = mooring.open(
        {
            "state": {"url": "memory:"},
            "vendors": {"twilio": TWILIO},
            "services": {"api": {"base_url": "https://api.twilio.com"}},
        },
        http=SandboxHttpClient(sandbox),
    )

    assert "twilio" == hub.sms().send(MESSAGE).ref.account
    with pytest.raises(mooring.VendorRejected):
        hub.manager.call("api", Request.get("/nowhere"))
    # What is given goes before what is named.
    mooring.open({"state": {"url": "nowhere:"}}, state=opening.open_storage("memory:"))


def test_the_stores_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL of a store may be a secret, and is not shown."""
    monkeypatch.setenv("STATE_URL", "redis://:hidden@127.0.0.1/0")
    found = read_configuration({"state": {"url": "secret://env/STATE_URL"}})

    assert "redis://:hidden@127.0.0.1/0" == found.state
    assert "hidden" not in repr(found)


def test_the_awaited_face() -> None:
    """The same configuration makes a hub to be awaited."""
    hub = mooring.aopen({"state": {"url": "memory:"}, "vendors": {"twilio": TWILIO}})

    assert isinstance(hub, AsyncHub)
    asyncio.run(hub.close())
    store = opening.aopen_storage("memory:")
    assert isinstance(mooring.aopen({"state": {"url": "nowhere:"}}, state=store), AsyncHub)


def wrong(**vendor: Any) -> dict[str, Any]:
    """A configuration whose account has these fields."""
    return {"vendors": {"twilio": {**TWILIO, **vendor}}}


@pytest.mark.parametrize(
    "source, path, said",
    [
        ({"smz": {}}, "smz", "Did you mean sms?"),
        ({"version": 2}, "version", "version 2"),
        ({"state": {"uri": ""}}, "state.uri", "Did you mean url?"),
        ({"state": "memory:"}, "state", "a str stands where a table belongs"),
        ({"vendors": {"twilo": {}}}, "vendors.twilo.kind", "Did you mean 'twilio'?"),
        ({"vendors": {"x9": {}}}, "vendors.x9.kind", "Use one of: "),
        ({"vendors": {"twilio": 3}}, "vendors.twilio", "a int stands where a table belongs"),
        (wrong(account_sd="x"), "vendors.twilio.account_sd", "Did you mean account_sid?"),
        (wrong(account_sid="x"), "vendors.twilio.account_sid", "not the SID"),
        (wrong(sender=7), "vendors.twilio.sender", "a int stands where a text belongs"),
        (wrong(api_key="secret://env/PATH"), "vendors.twilio.api_key", "a Secret stands"),
        (
            {"vendors": {"adyen": {"merchant_account": "x", "multiple_captures": "false"}}},
            "vendors.adyen.multiple_captures",
            "true or false",
        ),
        (wrong(cost="much"), "vendors.twilio", "does not describe a Account"),
        (wrong(credentials="secret://env/NOT_SET_0"), "vendors.twilio.credentials", "NAME"),
        (wrong(credentials="secret://vault/x"), "vendors.twilio.credentials", "cannot be found"),
        (wrong(limits={"rate": 1, "per": "year"}), "vendors.twilio.limits[0].per", "no period"),
        (wrong(limits=[{"rate": -1}]), "vendors.twilio.limits[0].rate", "not a rate"),
        (wrong(limits=[["x"]]), "vendors.twilio.limits[0]", "a list stands"),
        (wrong(retry={"preset": "mad"}), "vendors.twilio.retry.preset", "Use one of: default"),
        (wrong(retry={"preset": "none", "x": 1}), "vendors.twilio.retry.x", "no meaning"),
        (wrong(retry={"tries": 3}), "vendors.twilio.retry.tries", "no meaning"),
        (wrong(retry={"preset": []}), "vendors.twilio.retry.preset", "[] is no preset"),
        (wrong(circuit=7), "vendors.twilio.circuit", "a int stands"),
        (wrong(kind=7), "vendors.twilio.kind", "No vendor is named 7"),
        (wrong(cost=math.nan), "vendors.twilio.cost", "no price"),
        (wrong(api_key=7), "vendors.twilio.api_key", "a int stands where a text belongs"),
        (wrong(base_url="x"), "vendors.twilio.base_url", "base URL"),
        (wrong(headers=7), "vendors.twilio.headers", "Headers cannot be made"),
        ({"sms": {"vendor": 7}}, "sms.vendor", "named by a text"),
        ({"sms": [{"vendor": [["x"]]}]}, "sms[0].vendor", "named by a text"),
        ({"sms": {"vendor": ["x"], "countries": [7]}}, "sms", "(AttributeError)"),
        (None, "configuration", "a NoneType like this is no path"),
        ("\0", "configuration", "a str like this is no path"),
        (wrong(timeout="soon"), "vendors.twilio.timeout", "not a duration"),
        ({"sms": {}}, "sms.vendor", "names no account"),
        ({"sms": {"vendor": "twilio"}}, "sms.vendor", "none is configured"),
        ({"sms": [{"vendor": "x", "y": 1}]}, "sms[0].y", "no meaning"),
        ({"sms": [7]}, "sms[0]", "a int stands"),
        ({"tenants": {"acme": {"x": {}}}}, "tenants.acme.x", "no meaning"),
        ({"services": {"vat": {"x": 1}}}, "services.vat.x", "no meaning"),
        ({"services": {"vat": {"base_url": "ftp:"}}}, "services.vat.base_url", ""),
        (["vendors"], "configuration", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_has_a_place(source: Any, path: str, said: str) -> None:
    """Each mistake is refused with the path to it and what to write instead."""
    if isinstance(source, list):
        source = "nowhere.toml"
    with pytest.raises(ConfigurationError) as caught:
        mooring.open(source)

    assert path == caught.value.path
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["x = ", b"\xff\xfe"], ids=["no TOML", "no text"])
def test_a_file_that_is_none(tmp_path: Path, text: str | bytes) -> None:
    """A broken file is named."""
    path = tmp_path / "mooring.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ConfigurationError, match=r"mooring\.toml is no TOML"):
        mooring.open(path)


def test_a_setting_that_no_service_has() -> None:
    """An account's settings are those of services."""
    for name in ("tymeout", "name"):
        account = Account("twilio", Twilio(account_sid=SID), settings={name: 3})
        with pytest.raises(ConfigurationError) as caught:
            mooring.Hub([account])
        assert f"vendors.twilio.{name}" == caught.value.path


def test_a_setting_that_cannot_be() -> None:
    """What a service refuses of an account's settings has its place, too."""
    account = Account("twilio", Twilio(account_sid=SID), settings={"timeout": "soon"})
    with pytest.raises(ConfigurationError) as caught:
        mooring.Hub([account])

    assert "vendors.twilio.timeout" == caught.value.path
