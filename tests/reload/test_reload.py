"""Reloading the configuration while the hub is in use."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    Account,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    ConnectorManager,
    Hub,
    HubConfiguration,
    RateLimitConfig,
    RateLimitExceeded,
    Reloaded,
    Request,
    Route,
    Safety,
    Service,
)
from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.adapters.tenants.memory import AsyncMemoryTenants, MemoryTenants
from moorage.contracts.sms import SmsMessage
from moorage.vendors.sms.twilio import Twilio
from moorage.vendors.storage.local_files import LocalFiles
from tests.adapters.forked import run_in_forked_child
from tests.contracts.caller import MODES, PigeonHubs
from tests.contracts.external_sms_vendor import TextMessageVendor
from tests.reload.harness import ReloadHarness, result_of, services

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
GET = Request.get("/a")
ACME: Any = {"acme"}
MESSAGE = SmsMessage(to="+4915112345678", text="Hello")
PROBE: Any = {"service": "vat", "request": "/health", "every": 30}
RULE: Any = {"name": "slow", "when": "error_rate", "service": "vat", "above": 0.05}
OBJECTIVE: Any = {"name": "vat", "service": "vat", "availability": 0.99}
EACH_MODE = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


@EACH_MODE
async def test_next_call_uses_the_new_configuration(
    tmp_path: Path,
    is_async: bool,
) -> None:
    """After a reload the next call through the same manager uses the new file."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = harness.open(path, is_async=is_async)
    manager = hub.manager
    await result_of(manager.call("vat", GET))
    services(path, vat="https://two.example", new="https://new.example")

    result = await result_of(hub.reload())

    await result_of(manager.call("vat", GET))
    await result_of(manager.call("new", GET))
    assert [
        "https://one.example/a",
        "https://two.example/a",
        "https://new.example/a",
    ] == harness.sent
    assert (("services.new",), (), ("services.vat",)) == (
        result.added,
        result.removed,
        result.changed,
    )
    assert [result] == harness.kinds(Reloaded)
    assert hub.manager is manager
    await result_of(hub.close())


@EACH_MODE
async def test_invalid_file_is_not_applied(
    tmp_path: Path,
    is_async: bool,
) -> None:
    """A reload refuses an invalid file and names it; calls continue with the old configuration."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = harness.open(path, is_async=is_async)
    path.write_text('[services.vat]\nbase_url = "https://two.example"\nspeed = 1\n')

    with pytest.raises(ConfigurationError) as excinfo:
        await result_of(hub.reload())
    path.write_text('[sms]\nvendor = "nobody"\n[services.vat]\nbase_url = "https://x.example"')
    with pytest.raises(ConfigurationError):
        await result_of(hub.reload())

    await result_of(hub.manager.call("vat", GET))
    assert excinfo.value.path == "services.vat.speed"
    assert ["https://one.example/a"] == harness.sent
    assert [] == harness.kinds(Reloaded)


@EACH_MODE
async def test_reload_can_name_another_file_or_mapping(tmp_path: Path, is_async: bool) -> None:
    """A reload may use another file or mapping, which later reloads then read."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = harness.open(path, is_async=is_async)
    other_path = services(tmp_path / "other.toml", vat="https://two.example")

    await result_of(hub.reload(other_path))
    services(other_path, vat="https://three.example")
    result = await result_of(hub.reload())
    empty_reload = await result_of(
        hub.reload({"services": {"vat": {"base_url": "https://three.example"}}})
    )

    assert ("services.vat",) == result.changed
    assert () == empty_reload.changed


@MODES
async def test_hub_of_values_reloads_values(hub_class: type[Any]) -> None:
    """A hub made from objects accepts new objects in a reload, but cannot reload without any."""
    hubs = PigeonHubs()
    hub = hubs.hub(hub_class)
    contract_api = hub.sms()
    await result_of(contract_api.send(MESSAGE))
    configuration = HubConfiguration(
        accounts=hubs.accounts, routes=[Route("sms", "two", tenant="acme")]
    )
    configuration = HubConfiguration(
        accounts=configuration.accounts, routes=[*configuration.routes, Route("sms", "two")]
    )

    result = await result_of(hub.reload(configuration))

    receipt = await result_of(contract_api.send(MESSAGE))
    assert "two" == receipt.ref.account
    assert (("tenants.acme.sms",), ("sms",)) == (result.added, result.changed)
    with pytest.raises(ConfigurationError, match="not opened from a configuration file"):
        await result_of(hub.reload())
    with pytest.raises(ConfigurationError, match="not opened from a file"):
        hub.watch()


@EACH_MODE
async def test_store_cannot_change(tmp_path: Path, is_async: bool) -> None:
    """A reload with another store is refused, as that store lacks the keys used so far."""
    harness = ReloadHarness()
    first = {"state": {"url": f"sqlite:///{tmp_path}/one.db"}}
    other_state = {"state": {"url": f"sqlite:///{tmp_path}/two.db"}}
    hub = harness.open(first, is_async=is_async)

    with pytest.raises(ConfigurationError) as excinfo:
        await result_of(hub.reload(other_state))

    assert "state.url" == excinfo.value.path
    await result_of(hub.reload(first))


@EACH_MODE
async def test_limit_of_tenant_records_comes_from_the_configuration(is_async: bool) -> None:
    """The configuration limits tenants' records unless the program does; reloads keep the limit."""
    bounded: dict[str, Any] = {"state": {"url": "memory:", "records_per_tenant": 7}}
    hub = ReloadHarness().open(bounded, is_async=is_async)
    assert 7 == hub.manager._wired.core.tenant_records.bound  # noqa: SLF001 - as built

    with pytest.raises(ConfigurationError) as excinfo:
        await result_of(hub.reload({"state": {"url": "memory:"}}))

    assert "state.records_per_tenant" == excinfo.value.path
    other = ReloadHarness().open(bounded, is_async=is_async, records_per_tenant=8)
    assert 8 == other.manager._wired.core.tenant_records.bound  # noqa: SLF001 - as built


@EACH_MODE
@pytest.mark.parametrize(
    "first, other, path",
    [
        (
            {"health": {"probes": [PROBE]}},
            {"health": {"probes": [{**PROBE, "every": 9}]}},
            "health",
        ),
        ({}, {"health": {"probes": [PROBE]}}, "health"),
        ({"alerts": {"rules": [RULE]}}, {"alerts": {"rules": [{**RULE, "above": 0.1}]}}, "alerts"),
        ({"alerts": {"rules": [RULE]}}, {}, "alerts"),
        (
            {"objectives": [OBJECTIVE]},
            {"objectives": [{**OBJECTIVE, "availability": 0.9}]},
            "objectives",
        ),
    ],
    ids=["health", "new-health", "alerts", "removed-alerts", "objectives"],
)
async def test_monitoring_cannot_change(
    tmp_path: Path,
    is_async: bool,
    first: dict[str, Any],
    other: dict[str, Any],
    path: str,
) -> None:
    """A reload that changes the rules of health or alerts, or the objectives, is refused."""
    base = {
        "services": {"vat": {"base_url": "https://vat.example"}},
        "metrics": {"url": f"sqlite:///{tmp_path}/metrics.db"},
    }
    hub = ReloadHarness().open({**base, **first}, is_async=is_async)

    with pytest.raises(ConfigurationError) as excinfo:
        await result_of(hub.reload({**base, **other}))

    assert path == excinfo.value.path
    assert () == (await result_of(hub.reload({**base, **first}))).changed


TENANTS: dict[str, Any] = {"url": "sqlite:///tenants.db", "keys": generate_keys().text().reveal()}


@EACH_MODE
@pytest.mark.parametrize(
    "first, other, path",
    [
        ({"environment_id": "one"}, {"environment_id": "two"}, "state.environment_id"),
        ({}, {"environment_id": "two"}, "state.environment_id"),
    ],
)
async def test_environment_cannot_change(
    tmp_path: Path,
    is_async: bool,
    first: dict[str, str],
    other: dict[str, str],
    path: str,
) -> None:
    """A reload with another environment is refused, as the store was checked for the first."""
    url = {"url": f"sqlite:///{tmp_path}/one.db"}
    hub = ReloadHarness().open({"state": {**url, **first}}, is_async=is_async)

    with pytest.raises(ConfigurationError) as excinfo:
        await result_of(hub.reload({"state": {**url, **other}}))

    assert path == excinfo.value.path
    assert path in excinfo.value.remedy
    await result_of(hub.reload({"state": {**url, **first}}))
    opened_hub = ReloadHarness().open(
        {"state": {**url, **first}}, is_async=is_async, environment_id="mine"
    )
    await result_of(opened_hub.reload({"state": {**url, **other}}))
    memory = ReloadHarness().open({"state": {"url": "memory:", **first}}, is_async=is_async)
    await result_of(memory.reload({"state": {"url": "memory:", **other}}))


@EACH_MODE
@pytest.mark.parametrize(
    "other, paths",
    [
        ({**TENANTS, "url": "sqlite:///other.db"}, ["url"]),
        ({**TENANTS, "keys": generate_keys().text().reveal()}, ["keys"]),
        ({**TENANTS, "every": 7.0}, ["every"]),
        (None, ["url", "keys", "every"]),
    ],
    ids=["url", "keys", "every", "none"],
)
async def test_tenant_source_cannot_change(
    is_async: bool,
    other: dict[str, Any] | None,
    paths: list[str],
) -> None:
    """A reload that adds or changes the source of tenants is refused."""
    first, later_source = (
        {"tenants_from": TENANTS},
        {} if other is None else {"tenants_from": other},
    )
    for source, changed_source in ((first, later_source), (later_source, first)):
        hub = ReloadHarness().open(source, is_async=is_async)
        with pytest.raises(ConfigurationError) as excinfo:
            await result_of(hub.reload(changed_source))
        assert paths == [
            problem.path.removeprefix("tenants_from.") for problem in excinfo.value.problems
        ]
        await result_of(hub.reload(source))
    opened_hub = ReloadHarness().open(first, is_async=is_async, tenants=None, tenants_every=None)
    await result_of(opened_hub.reload(later_source))


@EACH_MODE
async def test_connectors_are_usable_during_a_reload(is_async: bool) -> None:
    """While a reload reads its source, the connectors and steps of the hub are usable."""
    is_reading, may_end = threading.Event(), threading.Event()

    class SlowSource(dict[str, Any]):
        def items(self) -> Any:
            is_reading.set()
            assert may_end.wait(30)
            return super().items()

    hub = ReloadHarness().open({}, is_async=is_async)
    with ThreadPoolExecutor() as pool:
        reloading = pool.submit(lambda: run_reload(hub, SlowSource(), is_async=is_async))
        assert is_reading.wait(30)
        assert 0 == len(hub.connectors)
        assert {} == hub.steps.steps
        assert not reloading.done()
        may_end.set()
        assert () == reloading.result().added


def run_reload(hub: Any, source: Any, *, is_async: bool) -> Reloaded:
    """Reload a hub in this thread, and return the changes."""
    changes: Reloaded = asyncio.run(hub.reload(source)) if is_async else hub.reload(source)
    return changes


@EACH_MODE
async def test_store_of_keys_cannot_change(tmp_path: Path, is_async: bool) -> None:
    """A reload with another store of idempotency keys is refused, and the error names it."""
    first, other = (
        {"state": {"keys_url": f"sqlite:///{tmp_path}/{name}.db"}} for name in ("one", "two")
    )
    hub = ReloadHarness().open(first, is_async=is_async)

    with pytest.raises(ConfigurationError) as excinfo:
        await result_of(hub.reload(other))

    assert "state.keys_url" == excinfo.value.path
    assert "its store of idempotency keys" in excinfo.value.message


@EACH_MODE
async def test_reload_accepts_the_hosts_tenants(is_async: bool) -> None:
    """Alerts may name services and accounts of tenants that the program looks up, also later."""
    channel = {"kind": "email", "to": ["ada@example.com"], "tenant": "acme"}
    source = {
        "alerts": {"rules": [{**RULE, "service": "acme.vat"}], "channels": {"mail": channel}},
        "metrics": {"url": "memory:"},
    }
    tenants = AsyncMemoryTenants() if is_async else MemoryTenants()
    hub = ReloadHarness().open(source, is_async=is_async, tenants=tenants)

    assert () == (await result_of(hub.reload(source))).changed


@EACH_MODE
async def test_hosts_tenant_refresh_wins(is_async: bool) -> None:
    """A refresh interval that the host passes overrides that of the file."""
    hub = ReloadHarness().open({"tenants_from": TENANTS}, is_async=is_async, tenants_every=10.0)

    assert () == (await result_of(hub.reload({"tenants_from": {**TENANTS, "every": 7.0}}))).changed


def test_hosts_store_wins() -> None:
    """If the host passes a store, a reload ignores the store in the configuration."""
    from moorage.adapters.state.memory import MemoryStorage  # noqa: PLC0415 - of this test alone

    hub = ReloadHarness().open({"state": {"url": "memory:"}}, is_async=False, state=MemoryStorage())

    assert () == hub.reload({"state": {"url": "redis://elsewhere"}}).changed


@EACH_MODE
async def test_service_state_survives_a_reload(is_async: bool) -> None:
    """The states of circuits, limits and keys survive a reload."""
    harness = ReloadHarness()

    def source(timeout: float) -> dict[str, Any]:
        limits = [{"rate": 2, "per": "day", "burst": 2}]
        common_settings = {"base_url": "https://a.example", "timeout": timeout}
        return {
            "services": {
                "limited": {**common_settings, "limits": limits, "max_limit_wait": 0.0},
                "broken": {**common_settings, "circuit": {}},
                "keyed": common_settings,
            }
        }

    hub = harness.open(source(5.0), is_async=is_async)
    manager = hub.manager
    await result_of(manager.call("limited", GET))
    await result_of(manager.set_circuit("broken", CircuitState.FORCED_OPEN))
    post = Request.post("/p", json={})
    await result_of(manager.call("keyed", post, idempotency_key="k"))

    result = await result_of(hub.reload(source(6.0)))

    assert ("services.broken", "services.keyed", "services.limited") == result.changed
    await result_of(manager.call("limited", GET))
    with pytest.raises(RateLimitExceeded):
        await result_of(manager.call("limited", GET))
    with pytest.raises(CircuitBreakerOpen):
        await result_of(manager.call("broken", GET))
    assert (await result_of(manager.call("keyed", post, idempotency_key="k"))).replayed
    assert 3 == len(harness.sent)


def test_thousand_calls_during_reloads() -> None:
    """During continuous reloads, calls from threads are neither lost nor repeated."""
    harness = ReloadHarness()
    hub = harness.open(_service_at("https://v0.example"), is_async=False)
    stop, loads = threading.Event(), 0

    def change() -> int:
        number = 0
        while not stop.is_set():
            number += 1
            hub.reload(_service_at(f"https://v{number}.example"))
        return number

    def call(number: int) -> str:
        answer: bytes = hub.manager.call("vat", Request.get(f"/{number}")).body
        return answer.decode()

    with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(16) as pool:
        changing = beside.submit(change)
        answers = list(pool.map(call, range(1_000)))
        stop.set()
        loads = changing.result()

    assert 1 <= loads
    assert sorted(answers) == sorted(harness.sent)
    assert [str(number) for number in range(1_000)] == [
        answer.rsplit("/", 1)[1] for answer in answers
    ]


def test_thousand_tasks_get_their_responses() -> None:
    """Calls in progress get their responses even if a reload removes their services."""

    async def main() -> list[str]:
        harness = ReloadHarness()
        harness.gate.clear()
        hub = harness.open(_service_at("https://old.example"), is_async=True)
        calls = [
            asyncio.ensure_future(hub.manager.call("vat", Request.post(f"/{number}", json={})))
            for number in range(1_000)
        ]
        while len(harness.sent) < 1_000:  # noqa: ASYNC110 - a list says when
            await asyncio.sleep(0)
        for number in range(5):
            await hub.reload({"services": {f"other{number}": {"base_url": "https://o.example"}}})
        harness.gate.set()
        answers = await asyncio.gather(*calls)
        with pytest.raises(ConfigurationError):
            await hub.manager.call("vat", GET)
        assert 1_000 == len(harness.sent)
        return [answer.body.decode() for answer in answers]

    assert [f"https://old.example/{number}" for number in range(1_000)] == asyncio.run(main())


@MODES
async def test_all_steps_of_operation_use_configuration_that_its_first_step_used(
    hub_class: type[Any],
) -> None:
    """All steps of an operation use the configuration that its first step used."""
    hubs = PigeonHubs()
    hub = hubs.hub(hub_class)
    previous_dispatcher = hub._live.dispatcher  # noqa: SLF001 - an operation under way holds it
    await result_of(
        hub.reload(
            HubConfiguration(accounts=[Account("three", TextMessageVendor(loft="one.example"))])
        )
    )
    wire = previous_dispatcher.wire(
        previous_dispatcher.directory.accounts["one"], None, None, keyed=False
    )

    answer = wire.send(Request.post("/letters", form={"to": "x", "text": "y"}))

    status = (await answer).status if hub_class is not Hub else _run_now(answer).status
    assert 201 == status
    assert "three" == (await result_of(hub.sms().send(MESSAGE))).ref.account


def test_unchanged_accounts_keep_their_transport(tmp_path: Path) -> None:
    """A reload keeps the transport of an unchanged account; a new vendor gets a new transport."""
    files, two = LocalFiles(root=str(tmp_path / "one")), LocalFiles(root=str(tmp_path / "two"))
    hub = Hub([Account("a", files), Account("b", files)])
    previous_transports = hub._live.dispatcher.transports  # noqa: SLF001 - nothing else tells

    hub.reload(HubConfiguration(accounts=[Account("a", files, cost="1"), Account("b", two)]))

    later_transports = hub._live.dispatcher.transports  # noqa: SLF001 - what is in use now
    assert later_transports["a"] is previous_transports["a"]
    assert later_transports["b"] is not previous_transports["b"]


def test_changes_are_listed_by_path() -> None:
    """A reload lists the paths of changed accounts, routes, services and safety, tenants' too."""
    sid, token = "AC" + "0" * 32, "hidden"
    twilio = Twilio(account_sid=sid, credentials=token)
    custom_account = Account("acme.twilio", twilio, tenants=ACME)
    first = HubConfiguration(
        accounts=[Account("twilio", twilio), custom_account], services=[Service("a")]
    )
    second = HubConfiguration(
        accounts=[Account("twilio", Twilio(account_sid=sid, credentials="other"))],
        routes=[Route("sms", "twilio", tenant="acme")],
        services=[Service("b")],
        safety=Safety(dry_run=True),
    )

    changes = first.changes(second)

    assert ("services.b", "tenants.acme.sms") == changes.added
    assert ("services.a", "tenants.acme.vendors.twilio") == changes.removed
    assert ("safety", "vendors.twilio") == changes.changed
    assert "hidden" not in repr((first, changes))


def test_manager_replaces_its_services() -> None:
    """A manager without a hub accepts new services; if they are invalid, it keeps the old ones."""
    harness = ReloadHarness()
    manager = ConnectorManager(
        [Service("a", "https://a.example")], http=harness.client(is_async=False)
    )
    manager.call("a", GET)
    manager.reload([Service("b", "https://b.example", limits=RateLimitConfig(5))])

    with pytest.raises(ConfigurationError):
        manager.reload([Service("c"), Service("c")])

    manager.call("b", GET)
    assert ["https://a.example/a", "https://b.example/a"] == harness.sent
    with pytest.raises(ConfigurationError):
        manager.call("a", GET)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_child_forked_during_a_reload_can_reload(tmp_path: Path) -> None:
    """A child forked while its parent reloads can itself reload."""
    path = services(tmp_path / "moorage.toml", vat="https://one.example")
    harness = ReloadHarness()
    hub = harness.open(path, is_async=False)
    services(path, vat="https://two.example")

    def call_after_reload() -> list[str]:
        hub.reload()
        hub.manager.call("vat", GET)
        return harness.sent

    held_event, finished_event = threading.Event(), threading.Event()

    def hold() -> None:
        with hub._reloading:  # noqa: SLF001 - as one that reads has it
            held_event.set()
            finished_event.wait()

    reading = threading.Thread(target=hold)
    reading.start()
    held_event.wait()
    assert ["https://two.example/a"] == run_in_forked_child(call_after_reload)
    finished_event.set()
    reading.join()
    hub.manager.call("vat", GET)
    assert ["https://one.example/a"] == harness.sent


def _service_at(url: str) -> dict[str, Any]:
    return {"services": {"vat": {"base_url": url}}}


def _run_now(flow: Any) -> Any:
    from moorage.runtime.flows import run_now  # noqa: PLC0415 - of this test alone

    return run_now(flow)
