"""Alert runners of asynchronous hubs, over real channels."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import AsyncHub, CircuitState, ConfigurationError, Service
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger
from moorage.hub.alerts import (
    AlertDelivery,
    AlertRule,
    AlertSettings,
    AsyncAlertRunner,
    CallFigures,
    ChannelSettings,
    FigureQuery,
)
from moorage.testing import Behaviour, VendorServer
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from tests.monitoring.test_alert_runner import OPEN, configuration

if TYPE_CHECKING:
    from moorage.hub.alerts import AlertRound

FAILING = AlertRule(name="failing", when="error_rate", above=0.4, minimum_calls=2)


def test_alert_fires_once_and_recovers() -> None:
    """A function, an async function and a webhook as channels each receive every change once."""

    async def main() -> list[str]:
        deliveries: list[str] = []

        async def tell(delivery: AlertDelivery) -> None:
            await asyncio.sleep(0)
            deliveries.append(f"async {delivery.notification.subject}")

        def record_delivery(delivery: AlertDelivery) -> None:
            deliveries.append(f"sync {delivery.notification.subject}")

        with VendorServer() as receiver:
            receiver.always(Behaviour(204))
            services = [Service("vat", "http://127.0.0.1:9"), Service("ops", receiver.url)]
            webhook = ChannelSettings(kind="webhook", service="ops")
            settings = AlertSettings(rules=[OPEN], channels={"ops": webhook})
            async with AsyncHub([], services=services) as hub:
                runner = AsyncAlertRunner(
                    hub, settings, channels={"tell": tell, "note": record_delivery}
                )
                await hub.manager.set_circuit("vat", CircuitState.FORCED_OPEN)
                rounds = [await runner.evaluate(), await runner.evaluate()]
                assert [3, 0] == [len(item.delivered) for item in rounds]
                assert ["firing"] == [alert.stage.value for alert in (await runner.book()).alerts]
                silence = await runner.silence(60, "known", rule="open")
                assert (silence,) == (await runner.book()).silences
            (request,) = receiver.requests
        assert "[warning] open: vat" == json.loads(request.body)["subject"]
        return deliveries

    assert ["async [warning] open: vat", "sync [warning] open: vat"] == asyncio.run(main())


def test_channel_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """If an asynchronous channel fails, the alert is sent again; the error's text is not logged."""

    async def main() -> tuple[AlertRound, AlertRound]:
        is_broken = True

        async def tell(_: AlertDelivery) -> None:
            await asyncio.sleep(0)
            if is_broken:
                raise OSError("password=swordfish")

        async with AsyncHub([], services=[Service("vat", "http://127.0.0.1:9")]) as hub:
            settings = AlertSettings(rules=[OPEN])
            runner = AsyncAlertRunner(hub, settings, channels={"tell": tell})
            await hub.manager.set_circuit("vat", CircuitState.FORCED_OPEN)
            first = await runner.evaluate()
            is_broken = False
            return first, await runner.evaluate()

    with caplog.at_level(logging.ERROR, "moorage.alerts"):
        first, second = asyncio.run(main())
    assert (1, 0, 0, 1) == (
        *(len(first.failed), len(first.delivered)),
        *(len(second.failed), len(second.delivered)),
    )
    assert "could not deliver an alert (OSError)" in caplog.text
    assert "swordfish" not in caplog.text


def test_mail_goes_out_through_the_hub() -> None:
    """An alert is mailed through the account of the asynchronous hub."""
    sandbox = SendGridSandbox()
    account = {
        "kind": "sendgrid",
        "credentials": sandbox.api_key,
        "sender": "Ops <ops@example.com>",
    }
    settings = configuration("email", account, "ada@example.com")

    async def main() -> int:
        async with moorage.aopen(settings, http=AsyncSandboxHttpClient(sandbox)) as hub:
            await hub.manager.set_circuit("vat", CircuitState.FORCED_OPEN)
            return len((await AsyncAlertRunner(hub).evaluate()).delivered)

    assert 1 == asyncio.run(main())
    assert "[warning] open: vat" == sandbox.delivered[0].subject


@pytest.mark.parametrize("source", ["metrics", "log"])
def test_alert_rules_use_asynchronous_hub_metrics(source: str) -> None:
    """Alert rules use an asynchronous hub's metrics, or else its integration log."""

    async def main() -> Any:
        with VendorServer() as vendor:
            settings: dict[str, Any] = {
                "services": {"vat": {"base_url": vendor.url, "retry": {"preset": "none"}}}
            }
            ports: dict[str, Any] = {}
            if source == "metrics":
                settings["metrics"] = {"url": "memory:"}
            else:
                ports["log"] = AsyncMemoryIntegrationLogger()
            async with moorage.aopen(settings, **ports) as hub:
                runner = AsyncAlertRunner(hub, AlertSettings(rules=[FAILING]))
                for status in (200, 503):
                    vendor.respond(status)
                    try:
                        await hub.manager.call("vat", moorage.Request.get("/"))
                    except moorage.VendorFailed:
                        continue
                measurements = await runner.measure()
                return measurements["failing"][0].value, await runner.check()

    value, checked_alerts = asyncio.run(main())
    assert (0.5, [True]) == (value, [active for *_, active in checked_alerts])


def test_metrics_function_of_a_program_may_be_asynchronous() -> None:
    """A program's own metrics function may be asynchronous; a hub without metrics is refused."""

    async def figures(query: FigureQuery) -> CallFigures:
        await asyncio.sleep(0)
        return CallFigures(calls=int(query.window), error_rate=0.75)

    async def main() -> Any:
        async with AsyncHub([]) as hub:
            runner = AsyncAlertRunner(hub, AlertSettings(rules=[FAILING]), figures=figures)
            with pytest.raises(ConfigurationError, match="neither metrics nor"):
                AsyncAlertRunner(hub, AlertSettings(rules=[FAILING]))
            return (await runner.measure())["failing"][0].value

    assert 0.75 == asyncio.run(main())


def test_runner_goes_on_until_it_is_stopped() -> None:
    """An asynchronous runner evaluates until its event is set, and reports each result."""
    results: list[bool] = []

    async def main() -> None:
        stop = asyncio.Event()

        def tell(result: AlertRound) -> None:
            results.append(result.evaluated)
            if len(results) == 3:
                stop.set()

        async with AsyncHub([]) as hub:
            runner = AsyncAlertRunner(hub, AlertSettings(rules=[OPEN], every=0.001))
            await runner.run(stop, on_result=tell)

    asyncio.run(main())
    assert [True, True, True] == results
