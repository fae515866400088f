"""Alert runners over real stores and channels."""

from __future__ import annotations

import json
import logging
import math
from datetime import UTC, datetime, timedelta
from threading import Event as StopEvent
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage import (
    CircuitState,
    ConfigurationError,
    HealthMonitor,
    Hub,
    Service,
    StorageUnavailable,
    WebhookVerifier,
)
from moorage.adapters.metrics.memory import MemoryMetrics
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.monitoring.alert_book import (
    EMPTY,
    AddSilence,
    EvaluateAlerts,
    ReadAlerts,
    SettleDeliveries,
)
from moorage.domain.monitoring.alerts import Change, Measurement, Silence
from moorage.hub.alerts import (
    AlertDelivery,
    AlertRule,
    AlertRunner,
    AlertSettings,
    CallFigures,
    ChannelSettings,
    FigureQuery,
)
from moorage.testing import Behaviour, VendorServer, VirtualClock
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.chat.slack import SlackSandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.testing.sandboxes.sms.vonage import VonageSandbox
from moorage.wiring.store_urls import open_storage
from tests.support.configured import STORES, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
OPEN = AlertRule(name="open", when="circuit_open")
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class HubTeam:
    """Hubs with one store and one virtual clock; a test can make their services fail."""

    def __init__(self, state: Any = None, **options: Any) -> None:
        self.clock = VirtualClock(NOW)
        self.state = MemoryStorage(clock=self.clock) if state is None else state
        self.options = options
        self.sent: list[AlertDelivery] = []
        self.broken = False
        self.name = unique("vat")

    def hub(self) -> Hub:
        """Return a hub, as another process would open."""
        services = [Service(self.name, "http://127.0.0.1:9")]
        return Hub([], services=services, state=self.state, clock=self.clock, **self.options)

    def take(self, delivery: AlertDelivery) -> None:
        """Receive an alert, or reject it if the test requested a rejection."""
        if self.broken:
            raise OSError("password=swordfish")
        self.sent.append(delivery)

    def runner(self, hub: Hub, *rules: AlertRule, **options: Any) -> AlertRunner:
        """Return an alert runner with the test's channel only."""
        settings = AlertSettings(rules=rules or [OPEN])
        return AlertRunner(hub, settings, channels={"team": self.take}, **options)

    @property
    def sent_alerts(self) -> list[tuple[str, Change]]:
        """Return the alerts that were sent."""
        notices = [notice for item in self.sent for notice in item.notification.notices]
        return [(notice.subject, notice.change) for notice in notices]


def test_alert_fires_when_circuit_opens() -> None:
    """An alert fires when a circuit opens, and recovers when it is reset."""
    team = HubTeam()
    with team.hub() as hub:
        runner = team.runner(hub)
        assert runner.evaluate().evaluated
        hub.manager.set_circuit(team.name, CircuitState.FORCED_OPEN)
        for _ in range(3):
            team.clock.advance(31)
            runner.evaluate()
        assert ["firing"] == [alert.stage.value for alert in runner.book().alerts]
        hub.manager.set_circuit(team.name, CircuitState.CLOSED)
        team.clock.advance(31)
        runner.evaluate()

        assert EMPTY == runner.book()
    assert [(team.name, Change.FIRING), (team.name, Change.RECOVERED)] == team.sent_alerts


def test_one_process_at_time_evaluates_alerts() -> None:
    """One process at a time evaluates alerts; when it has stopped, another takes over."""
    team = HubTeam()
    with team.hub() as first, team.hub() as second:
        first.manager.set_circuit(team.name, CircuitState.FORCED_OPEN)
        runners = [team.runner(first), team.runner(second)]
        assert [True, False] == [runner.evaluate().evaluated for runner in runners]
        team.clock.advance(91)
        assert runners[1].evaluate().evaluated
        assert not runners[0].evaluate().evaluated

    assert [(team.name, Change.FIRING)] == team.sent_alerts


def test_refused_alert_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    """If a channel refuses an alert, the alert is logged, listed and sent again."""
    team = HubTeam()
    with team.hub() as hub:
        runner = team.runner(hub)
        hub.manager.set_circuit(team.name, CircuitState.FORCED_OPEN)
        team.broken = True
        with caplog.at_level(logging.ERROR, "moorage.alerts"):
            first = runner.evaluate()
            runner.evaluate()
        (waiting,) = runner.book().outgoing
        assert (2, "OSError") == (waiting.failures, waiting.error)
        assert [waiting.id] == [delivery.id for delivery in first.failed]
        team.broken = False
        assert 1 == len(runner.evaluate().delivered)
        assert () == runner.book().outgoing

    assert "could not deliver an alert (OSError), which will be sent again" in caplog.text
    assert "swordfish" not in caplog.text
    assert [(team.name, Change.FIRING)] == team.sent_alerts


def test_alert_outlives_the_process_that_decided_it() -> None:
    """If a process dies between deciding on an alert and sending it, the next process sends it."""
    team = HubTeam()
    with team.hub() as hub:
        hub.manager.set_circuit(team.name, CircuitState.FORCED_OPEN)
        dying_runner = team.runner(hub)
        dying_runner._flows._deliver = _die  # type: ignore[assignment, method-assign]  # noqa: SLF001 - as a kill would
        with pytest.raises(SystemExit):
            dying_runner.evaluate()
        team.clock.advance(91)
        team.runner(hub).evaluate()

    assert [(team.name, Change.FIRING)] == team.sent_alerts


def _die(_: AlertDelivery) -> None:
    raise SystemExit


def test_silence_of_alerts_applies_to_all_processes() -> None:
    """If one process silences alerts, all processes send none until the silence ends."""
    team = HubTeam()
    with team.hub() as first, team.hub() as second:
        silence = team.runner(second).silence(timedelta(hours=1), "maintenance", rule="open")
        runner = team.runner(first)
        assert (silence,) == runner.book().silences
        first.manager.set_circuit(team.name, CircuitState.FORCED_OPEN)
        runner.evaluate()
        assert [] == team.sent_alerts
        team.clock.advance(3_601)
        runner.evaluate()
        assert [(team.name, Change.FIRING)] == team.sent_alerts
        assert () == runner.book().silences
        with pytest.raises(ConfigurationError, match="There is no alert rule 'shut'"):
            runner.silence(60, "x", rule="shut")


@pytest.mark.parametrize("duration", [0, -60, math.nan, 1e308, timedelta(days=-1), timedelta.max])
def test_silence_needs_a_possible_duration(duration: float | timedelta) -> None:
    """A silence must have a positive and finite duration; otherwise nothing is silenced."""
    team = HubTeam()
    with team.hub() as hub:
        runner = team.runner(hub)
        with pytest.raises(ConfigurationError) as excinfo:
            runner.silence(duration, "maintenance")
        assert "duration" == excinfo.value.path
        assert () == runner.book().silences


class BrokenStorage:
    """A store that always fails."""

    def execute(self, *_: object) -> None:
        """Raise an error, because the store is unavailable."""
        raise StorageUnavailable("The disk is gone.")

    def post(self, *_: object) -> None:
        """Raise an error, because the store is unavailable."""


def test_loss_of_the_store_is_reported_by_alerts_in_memory() -> None:
    """If the store is lost, alerts are evaluated in memory, so the loss can be reported."""
    team = HubTeam(BrokenStorage())
    with team.hub() as hub:
        runner = team.runner(hub, AlertRule(name="store", when="store_unreachable"))
        for _ in range(2):
            runner.evaluate()
            team.clock.advance(31)

        assert [("state", Change.FIRING)] == team.sent_alerts
        with pytest.raises(StorageUnavailable):
            runner.silence(60, "x")


class FailingStorage(MemoryStorage):
    """A store in memory that can become unavailable.

    Attributes:
        is_away: True while the store does not respond.
    """

    reach = "network"
    is_away = False

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command, unless the store is unavailable."""
        if self.is_away:
            raise StorageUnavailable("The disk is gone.")
        return super().execute(command, timeout)


FAILING = AlertRule(name="failing", when="error_rate", above=0.1, service="vat", window=60)


def test_each_outage_of_the_store_starts_from_its_alerts() -> None:
    """Alerts that ended between two outages of the store fire again in the second outage."""
    team = HubTeam()
    storage = team.state = FailingStorage(clock=team.clock)
    rates = iter([0.0, 0.5, 0.0, 0.5])
    with team.hub() as hub:
        runner = team.runner(
            hub, FAILING, figures=lambda _: CallFigures(calls=100, error_rate=next(rates))
        )
        for is_away in (False, True, False, True):
            storage.is_away = is_away
            runner.evaluate()
            team.clock.advance(31)

    assert [("vat", Change.FIRING)] * 2 == team.sent_alerts


def test_active_and_silenced_alerts_are_known_in_an_outage() -> None:
    """In an outage of the store, active alerts do not fire again, and silences apply."""
    team = HubTeam()
    storage = team.state = FailingStorage(clock=team.clock)
    silenced = attrs.evolve(FAILING, name="silenced")

    def figures(_: FigureQuery) -> CallFigures:
        return CallFigures(calls=100, error_rate=0.5)

    with team.hub() as hub:
        runners = [team.runner(hub, FAILING, silenced, figures=figures) for _ in range(2)]
        runners[0].silence(3_600, "maintenance", rule="silenced")
        for is_away in (False, True, True):
            storage.is_away = is_away
            for runner in runners:
                runner.evaluate()
            team.clock.advance(31)

    assert [("vat", Change.FIRING)] == team.sent_alerts


def test_metrics_are_read_over_rule_window() -> None:
    """Metrics cover the rule's time window; if reading them fails, there is no measurement."""
    team = HubTeam()
    queries: list[FigureQuery] = []
    answers: list[CallFigures | Exception] = [
        CallFigures(calls=100, error_rate=0.5),
        StorageUnavailable("The log is away."),
        CallFigures(calls=100, error_rate=0.0),
    ]

    def figures(query: FigureQuery) -> CallFigures:
        queries.append(query)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    failing = AlertRule(name="failing", when="error_rate", above=0.1, service="vat", window=60)
    with team.hub() as hub:
        runner = team.runner(hub, failing, figures=figures)
        assert [(), ("failing",), ()] == [runner.evaluate().unmeasured for _ in range(3)]

    assert [FigureQuery(service="vat", window=60.0)] * 3 == queries
    assert [("vat", Change.FIRING), ("vat", Change.RECOVERED)] == team.sent_alerts


def test_failing_metrics_function_affects_only_its_own_rule(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the metrics function of a rule raises, only this rule is not measured."""
    team = HubTeam()

    def figures(_: FigureQuery) -> CallFigures:
        raise ValueError("password=swordfish")

    failing = AlertRule(name="failing", when="error_rate", above=0.1)
    with team.hub() as hub:
        hub.manager.set_circuit(team.name, CircuitState.FORCED_OPEN)
        assert ("failing",) == team.runner(
            hub, failing, OPEN, figures=figures
        ).evaluate().unmeasured

    assert [(team.name, Change.FIRING)] == team.sent_alerts
    assert ["The alert rule 'failing' cannot be measured: ValueError."] == caplog.messages


def test_alert_rules_use_the_log_of_the_hub_by_default() -> None:
    """By default alert rules read their metrics from the hub's integration log."""
    from moorage.adapters.logs.memory import MemoryIntegrationLogger  # noqa: PLC0415 - for this test

    rules = [
        AlertRule(name="failing", when="error_rate", above=0.4, minimum_calls=2),
        AlertRule(name="quiet", when="absence", service="vat"),
        AlertRule(name="slow", when="p90", above=100, minimum_calls=2),
    ]
    with VendorServer() as vendor:
        services = [Service("vat", vendor.url, retry=None)]
        with Hub([], services=services, log=MemoryIntegrationLogger()) as hub:
            runner = AlertRunner(hub, AlertSettings(rules=rules))
            assert [None, 0.0, None] == [item.value for _, item, _ in runner.check()]
            assert [False, True, False] == [active for *_, active in runner.check()]
            for status in (200, 503):
                vendor.respond(status)
                try:
                    hub.manager.call("vat", moorage.Request.get("/"))
                except moorage.VendorFailed:
                    continue
            rate, number, latency = [item.value for _, item, _ in runner.check()]
            assert (0.5, 2.0) == (rate, number)
            assert latency is not None
            assert latency > 0
    with Hub([]) as hub, pytest.raises(ConfigurationError, match="neither metrics nor"):
        AlertRunner(hub, AlertSettings(rules=rules))


def test_alert_rules_use_metrics_of_a_hub_that_has_them() -> None:
    """If a hub has metrics, alert rules use them."""
    rules = [
        AlertRule(name="failing", when="error_rate", above=0.4, minimum_calls=2),
        AlertRule(name="slow", when="p95", above=100, minimum_calls=1),
    ]
    with VendorServer() as vendor:
        source: dict[str, Any] = {
            "metrics": {"url": "memory:"},
            "services": {"vat": {"base_url": vendor.url, "retry": {"preset": "none"}}},
        }
        with moorage.open(source) as hub:
            runner = AlertRunner(hub, AlertSettings(rules=rules))
            assert [None, None] == [item.value for _, item, _ in runner.check()]
            for status in (200, 503):
                vendor.respond(status)
                try:
                    hub.manager.call("vat", moorage.Request.get("/"))
                except moorage.VendorFailed:
                    continue
            failing, slow_milliseconds = (item.value for _, item, _ in runner.check())

    assert 0.5 == failing
    assert slow_milliseconds is not None
    assert 0 < slow_milliseconds < 100


def test_metrics_of_a_short_window_have_all_of_its_calls() -> None:
    """A call within the last 60 seconds counts, even if it was in the clock's previous minute."""
    clock = VirtualClock(NOW + timedelta(seconds=30))
    quiet = AlertRule(name="quiet", when="absence", service="vat", window=60)
    with VendorServer() as vendor:
        services = [Service("vat", vendor.url)]
        with Hub([], services=services, observers=[MemoryMetrics()], clock=clock) as hub:
            runner = AlertRunner(hub, AlertSettings(rules=[quiet]))
            vendor.respond(200)
            hub.manager.call("vat", moorage.Request.get("/"))
            results: list[bool] = []
            for _ in range(3):
                clock.advance(35)
                results += [is_active for *_, is_active in runner.check()]

    assert [False, False, True] == results


def test_runner_goes_on_until_it_is_stopped() -> None:
    """A runner evaluates its rules until it is stopped, and reports each result."""
    stop = StopEvent()
    results: list[bool] = []

    def record_round(result: Any) -> None:
        results.append(result.evaluated)
        if len(results) == 3:
            stop.set()

    with Hub([]) as hub:
        AlertRunner(hub, AlertSettings(rules=[OPEN], every=0.001)).run(stop, on_result=record_round)

    assert [True, True, True] == results


# --- channels ---------------------------------------------------------------------------


def fire(
    hub: Hub,
    channels: dict[str, ChannelSettings],
    severity: str = "warning",
    monitor: HealthMonitor | None = None,
) -> AlertRunner:
    """Return an alert runner with these channels, after one alert has fired."""
    rule = AlertRule(name="open", when="circuit_open", severity=severity)
    settings = AlertSettings(rules=[rule], channels=channels)
    runner = AlertRunner(hub, settings, monitor=monitor)
    hub.manager.set_circuit("vat", CircuitState.FORCED_OPEN)
    runner.evaluate()
    return runner


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_alerts_are_logged_by_default(severity: str, caplog: pytest.LogCaptureFixture) -> None:
    """If no other channel is configured, an alert becomes a log record with all its fields."""
    with (
        Hub([], services=[Service("vat", "http://127.0.0.1:9")]) as hub,
        caplog.at_level(logging.INFO, "moorage.alerts"),
    ):
        monitor = HealthMonitor(hub)
        runner = fire(hub, {}, severity, monitor)
        hub.manager.set_circuit("vat", CircuitState.CLOSED)
        monitor.check()  # immediately, not after ten seconds
        runner.evaluate()

    records = [record for record in caplog.records if record.name == "moorage.alerts"]
    assert [severity.upper(), "INFO"] == [record.levelname for record in records]
    assert f"[{severity}] open: vat" in records[0].getMessage()
    assert "vat" == vars(records[0])["alert"]["notices"][0]["subject"]


def test_webhook_is_signed() -> None:
    """A webhook alert is sent with the hub's protections, and its receiver can verify it."""
    with VendorServer() as receiver:
        receiver.always(Behaviour(204))
        services = [Service("vat", "http://127.0.0.1:9"), Service("ops", receiver.url)]
        channel = ChannelSettings(kind="webhook", service="ops", path="/alerts", secrets=SECRET)
        unsigned_channel = ChannelSettings(kind="webhook", service="ops")
        with Hub([], services=services) as hub:
            fire(hub, {"ops": channel, "other": unsigned_channel})
        signed_request, plain_request = receiver.requests

    verifier = WebhookVerifier(name="ops", scheme="standard-webhooks", secrets=SECRET)
    (event,) = verifier.verify(body=signed_request.body, headers=signed_request.headers)
    assert ("/alerts", "/") == (signed_request.path, plain_request.path)
    assert "[warning] open: vat" == json.loads(signed_request.body)["subject"]
    assert event is not None
    assert "webhook-signature" not in {name.lower() for name, _ in plain_request.headers.pairs}
    with Hub([]) as hub, pytest.raises(ConfigurationError, match="unknown service 'ops'"):
        AlertRunner(hub, AlertSettings(channels={"ops": unsigned_channel}))


def configuration(kind: str, vendor: dict[str, Any], to: str | list[str]) -> dict[str, Any]:
    """Return a configuration with one rule and a channel of this kind."""
    return {
        "vendors": {"sender": vendor},
        kind: {"vendor": "sender"},
        "services": {"vat": {"base_url": "http://127.0.0.1:9"}},
        "alerts": {
            "rules": [{"name": "open", "when": "circuit_open"}],
            "channels": {"people": {"kind": kind, "to": to}},
        },
    }


def test_alerts_are_mailed_through_hub_email_account() -> None:
    """Alerts are mailed through the hub's email account."""
    sandbox = SendGridSandbox()
    account = {
        "kind": "sendgrid",
        "credentials": sandbox.api_key,
        "sender": "Ops <ops@example.com>",
    }
    settings = configuration("email", account, "ada@example.com")
    with moorage.open(settings, http=SandboxHttpClient(sandbox)) as hub:
        hub.manager.set_circuit("vat", CircuitState.FORCED_OPEN)
        assert 1 == len(AlertRunner(hub).evaluate().delivered)

    assert "[warning] open: vat" == sandbox.delivered[0].subject


def test_alerts_are_sent_as_text_messages_through_hub_account() -> None:
    """Alerts are sent as text messages through the hub's account."""
    sandbox = VonageSandbox()
    account = {
        "kind": "vonage",
        "api_key": sandbox.api_key,
        "credentials": sandbox.api_secret,
        "sender": "ACME",
    }
    settings = configuration("sms", account, "+447700900000")
    with moorage.open(settings, http=SandboxHttpClient(sandbox)) as hub:
        hub.manager.set_circuit("vat", CircuitState.FORCED_OPEN)
        assert 1 == len(AlertRunner(hub).evaluate().delivered)


def test_alerts_are_posted_into_named_channels_of_chat() -> None:
    """Alerts go to the named chat channels, or else to the channel in the account's settings."""
    sandbox = SlackSandbox()
    account = {"kind": "slack", "credentials": sandbox.token, "channel": "orders"}
    for channels in (["C0000000001"], []):
        settings = configuration("chat", account, channels)
        with moorage.open(settings, http=SandboxHttpClient(sandbox)) as hub:
            hub.manager.set_circuit("vat", CircuitState.FORCED_OPEN)
            assert 1 == len(AlertRunner(hub).evaluate().delivered)

    texts = [message.text.splitlines()[0] for message in sandbox.shown()]
    assert ["[warning] open: vat"] * 2 == texts


def test_outage_of_the_store_is_reported_through_accounts() -> None:
    """An alert about the store's outage is mailed, texted and posted without a key in the store."""
    mail, texts, chat = SendGridSandbox(), VonageSandbox(), SlackSandbox()
    tables = {
        "vendors": {
            "sendgrid": {"credentials": mail.api_key, "sender": "ops@example.com"},
            "vonage": {
                "api_key": texts.api_key,
                "credentials": texts.api_secret,
                "sender": "ACME",
            },
            "slack": {"credentials": chat.token, "channel": "orders"},
        },
        "alerts": {
            "rules": [{"name": "store", "when": "store_unreachable"}],
            "channels": {
                "mail": {"kind": "email", "to": "ada@example.com"},
                "texts": {"kind": "sms", "to": "+447700900000"},
                "chat": {"kind": "chat"},
            },
        },
    }
    client = SandboxHttpClient(mail, texts, chat)
    with moorage.open(tables, http=client, state=BrokenStorage()) as hub:
        delivered = AlertRunner(hub).evaluate().delivered

    assert {"mail", "texts", "chat"} == {item.channel for item in delivered}
    assert ["[warning] store: state"] == [message.subject for message in mail.delivered]


def test_pending_alerts_of_a_removed_channel_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A function can be a channel; pending alerts of a removed channel are written to the log."""
    deliveries: list[AlertDelivery] = []

    def raise_os_error(_: AlertDelivery) -> None:
        raise OSError

    with Hub([], services=[Service("vat", "http://127.0.0.1:9")]) as hub:
        function = ChannelSettings(kind="function", function=deliveries.append)
        first = fire(
            hub,
            {"good": function, "bad": ChannelSettings(kind="function", function=raise_os_error)},
        )
        assert 1 == len(deliveries)
        assert ["bad"] == [item.channel for item in first.book().outgoing]
        second = AlertRunner(hub, AlertSettings(rules=[OPEN], channels={"good": function}))
        second._flows._owner = first._flows._owner  # noqa: SLF001 - as after a reload
        with caplog.at_level(logging.WARNING, "moorage.alerts"):
            second.evaluate()
        assert () == second.book().outgoing

    assert "[warning] open: vat" in caplog.text


# --- the stored book --------------------------------------------------------------------


@pytest.fixture(params=STORES.values(), ids=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: Any) -> Iterator[Any]:
    """Yield a store that several processes share."""
    monkeypatch.chdir(tmp_path)
    make: Callable[[], str] = request.param
    storage = open_storage(make())
    migrate = getattr(storage, "migrate", None)
    if migrate is not None:
        migrate()
    yield storage
    storage.close()


def test_alert_states_are_read_back_unchanged_from_each_store(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts, silences and unsent notifications are stored and read unchanged, in each store."""
    key = (f"{{:moorage}}:alerts:{unique('book')}",)
    for command in (EvaluateAlerts, SettleDeliveries, AddSilence, ReadAlerts):
        monkeypatch.setattr(command, "keys", key)
    measurements = {
        "open": (Measurement(subject="vat", value=1.0, text="It is open – since 3 h."),)
    }

    def evaluate(owner: int) -> Any:
        command = EvaluateAlerts((OPEN,), measurements, ("a", "b"), NOW, owner=owner, lease=10**9)
        return store.execute(command)

    assert EMPTY == store.execute(ReadAlerts())
    deliveries = evaluate(1)
    assert ["a", "b"] == [item.channel for item in deliveries]
    assert deliveries == evaluate(1)
    assert None is evaluate(2)
    silence = Silence(until=NOW + timedelta(hours=1), reason="maintenance")
    store.execute(AddSilence(silence))
    store.execute(SettleDeliveries({deliveries[0].id: None, deliveries[1].id: "OSError"}))
    store.execute(SettleDeliveries({"another": None}))

    book = store.execute(ReadAlerts())
    assert [("open", "vat", NOW)] == [(item.rule, item.subject, item.since) for item in book.alerts]
    assert (silence,) == book.silences
    (waiting,) = book.outgoing
    assert ("b", 1, "OSError") == (waiting.channel, waiting.failures, waiting.error)
    assert deliveries[1].notification == waiting.notification


def test_channel_that_always_fails_has_a_bounded_number_of_notifications() -> None:
    """Only the newest notifications for a failing channel are stored; other channels lose none."""
    store = MemoryStorage()
    last_minute = 299
    for minute in range(last_minute + 1):
        now = NOW + timedelta(minutes=minute)
        value = float(minute % 2)
        measurements = {"open": (Measurement(subject="vat", value=value, text="Open."),)}
        command = EvaluateAlerts((OPEN,), measurements, ("a", "b"), now, owner=1, lease=10**9)
        deliveries = store.execute(command)
        assert deliveries is not None
        store.execute(
            SettleDeliveries({item.id: None for item in deliveries if item.channel == "b"})
        )

    waiting = store.execute(ReadAlerts()).outgoing
    assert 200 == len(waiting)
    assert {"a"} == {item.channel for item in waiting}
    end = NOW + timedelta(minutes=last_minute)
    assert end == max(item.notification.at for item in waiting)
