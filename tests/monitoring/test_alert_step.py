"""Decisions about alerts: hysteresis, silences, grouping and repetition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError
from moorage.domain.monitoring.alert_figures import (
    CallFigures,
    FigureQuery,
    figure_queries,
    from_figures,
    from_health,
)
from moorage.domain.monitoring.alert_settings import AlertSettings, ChannelSettings
from moorage.domain.monitoring.alerts import (
    Alert,
    AlertRule,
    AlertStage,
    Change,
    Measurement,
    Notification,
    Severity,
    Silence,
    next_alerts,
)
from moorage.domain.monitoring.health import Health, HealthConcern, HealthReason, HealthState

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rule(**fields: Any) -> AlertRule:
    """Return an alert rule about the error rate, with these fields changed."""
    options: dict[str, Any] = {"name": "failing", "when": "error_rate", "above": 0.5, **fields}
    return AlertRule(**options)


class Evaluations:
    """Alert evaluations at one-minute intervals, and the alerts that they sent."""

    def __init__(self, *rules: AlertRule) -> None:
        self.rules = rules
        self.alerts: tuple[Alert, ...] = ()
        self.silences: tuple[Silence, ...] = ()
        self.now = NOW
        self.last: tuple[Notification, ...] = ()

    def evaluate_values(self, **values: float | None) -> list[tuple[str, Change]]:
        """Evaluate these values of each subject once, and return the alerts that are sent."""
        items = tuple(
            Measurement(subject=name, value=value, text=f"{value}")
            for name, value in values.items()
        )
        measured_measurements = {item.name: items for item in self.rules}
        return self.take(measured_measurements)

    def take(self, measured: dict[str, tuple[Measurement, ...]]) -> list[tuple[str, Change]]:
        """Run one evaluation, and return the alerts that were sent."""
        self.now += MINUTE
        self.alerts, self.last = next_alerts(
            self.rules, measured, self.alerts, self.silences, self.now
        )
        return [(n.subject, n.change) for item in self.last for n in item.notices]


FIRING, STILL, RECOVERED = Change.FIRING, Change.STILL_FIRING, Change.RECOVERED


def test_alert_fires_and_recovers() -> None:
    """An alert is sent once when it fires, and once when it recovers."""
    line = Evaluations(rule())

    assert [] == line.evaluate_values(vat=0.5)
    assert [("vat", FIRING)] == line.evaluate_values(vat=0.6)
    assert [] == line.evaluate_values(vat=0.7)
    assert [("vat", RECOVERED)] == line.evaluate_values(vat=0.4)
    assert () == line.alerts


def test_alert_is_held_before_it_fires() -> None:
    """A peak shorter than the rule's hold time sends no alert."""
    line = Evaluations(rule(hold=120))

    assert [] == line.evaluate_values(vat=0.6)
    assert AlertStage.PENDING is line.alerts[0].stage
    assert [] == line.evaluate_values(vat=0.1)
    assert [[], [], [("vat", FIRING)]] == [line.evaluate_values(vat=0.6) for _ in range(3)]


def test_metric_between_firing_and_clearing_threshold_changes_nothing() -> None:
    """A metric between the firing and the clearing threshold changes nothing."""
    line = Evaluations(rule(clear=0.2))

    reported_changes = [line.evaluate_values(vat=value) for value in (0.3, 0.6, 0.3, 0.6, 0.2, 0.3)]
    assert [[], [("vat", FIRING)], [], [], [("vat", RECOVERED)], []] == reported_changes


def test_rule_can_fire_when_a_metric_falls_below_its_threshold() -> None:
    """A rule can fire when a metric falls below its threshold."""
    line = Evaluations(rule(when="calls", above=None, below=10, clear=20))

    reported_changes = [line.evaluate_values(vat=value) for value in (10, 9, 15, 20)]
    assert [[], [("vat", FIRING)], [], [("vat", RECOVERED)]] == reported_changes


def test_active_alert_is_sent_again_after_the_repeat_interval() -> None:
    """An alert that stays active is sent again after the repeat interval."""
    line = Evaluations(rule(repeat=120), rule(name="quiet", repeat=0))

    report_counts = [len(line.evaluate_values(vat=0.6)) for _ in range(5)]
    assert [2, 0, 1, 0, 1] == report_counts
    assert [("vat", STILL)] == [(n.subject, n.change) for n in line.last[0].notices]


def test_during_silence_no_alert_is_sent() -> None:
    """No alert is sent during a silence; a change during the silence is sent afterwards."""
    line = Evaluations(rule(repeat=0))
    line.silences = (Silence(until=NOW + 3.5 * MINUTE, reason="maintenance", subject="vat"),)

    assert [("bank", FIRING)] == line.evaluate_values(vat=0.6, bank=0.6)
    assert [("bank", RECOVERED)] == line.evaluate_values(vat=0.6)
    assert [] == line.evaluate_values(vat=0.6)
    assert [("vat", FIRING)] == line.evaluate_values(vat=0.6)
    line.silences = (Silence(until=NOW + 6.5 * MINUTE, reason="maintenance", rule="failing"),)
    assert [] == line.evaluate_values(vat=0.1)
    assert [] == line.evaluate_values(vat=0.6)
    assert [] == line.evaluate_values(vat=0.6)
    line.silences = (Silence(until=NOW + 8.5 * MINUTE, reason="maintenance"),)
    assert [] == line.evaluate_values(vat=0.1)
    assert [("vat", RECOVERED)] == line.evaluate_values(vat=0.1)


def test_silence_of_another_rule_does_not_affect_an_alert() -> None:
    """A silence of another rule or subject does not affect an alert."""
    line = Evaluations(rule())
    silence_end = NOW + 60 * MINUTE
    line.silences = (
        Silence(until=silence_end, reason="x", rule="other"),
        Silence(until=silence_end, reason="x", rule="failing", subject="bank"),
    )

    assert [("vat", FIRING)] == line.evaluate_values(vat=0.6)


def test_alert_stays_active_while_its_metric_is_missing() -> None:
    """If no new values arrive, an alert stays active; if its subject is removed, it recovers."""
    line = Evaluations(rule())
    line.evaluate_values(vat=0.6)

    assert [] == line.take({})
    assert AlertStage.FIRING is line.alerts[0].stage
    assert [("vat", RECOVERED)] == line.take({"failing": ()})


def test_alerts_of_a_removed_rule_are_dropped_without_notification() -> None:
    """Alerts of a removed rule are dropped without a notification."""
    line = Evaluations(rule())
    line.evaluate_values(vat=0.6)
    line.rules = ()

    assert ([], ()) == (line.take({}), line.alerts)


def test_alerts_of_one_group_with_same_channels_share_one_notification() -> None:
    """Alerts of one group with the same channels share one notification."""
    line = Evaluations(
        rule(name="a", group="money", severity="critical"),
        rule(name="b", group="money"),
        rule(name="c"),
        rule(name="d", group="money", channels="ops"),
    )
    line.evaluate_values(vat=0.6)

    groups = [(item.group, item.channels, len(item.notices)) for item in line.last]
    assert [("money", (), 2), ("c", (), 1), ("money", ("ops",), 1)] == groups
    assert "[critical] a: vat and 1 more" == line.last[0].subject
    assert "[warning] c: vat" == line.last[1].subject
    assert "firing: c, vat, since 2026-11-23 03:01:00 UTC. 0.6" == line.last[1].text
    line.evaluate_values(vat=0.1)
    assert "[recovered] c: vat" == line.last[1].subject
    assert "recovered" == line.last[0].as_dict()["notices"][0]["change"]


VALUES = st.one_of(st.none(), st.floats(0, 1))
SILENT = st.integers(0, 30)


@given(
    steps=st.lists(st.dictionaries(st.sampled_from(["vat", "bank"]), VALUES), max_size=30),
    hold=st.integers(0, 3),
    repeat=st.sampled_from([0, 120, 300]),
    clear=st.sampled_from([0.1, 0.3, 0.5]),
    silent_from=SILENT,
    silent_for=SILENT,
)
def test_alert_rules_hold_in_any_history(
    *,
    steps: list[dict[str, float | None]],
    hold: int,
    repeat: int,
    clear: float,
    silent_from: int,
    silent_for: int,
) -> None:
    """In any history, firing and recovery alternate, and repeats and silences follow the rule."""
    line = Evaluations(
        rule(hold=60 * hold, repeat=repeat, clear=clear), rule(name="two", group="g")
    )
    last_changes: dict[tuple[str, str], tuple[Change, datetime]] = {}
    silence = Silence(until=NOW + (silent_from + silent_for) * MINUTE, reason="x", rule="failing")
    for number, values in enumerate(steps):
        line.silences = (silence,) if number >= silent_from else ()
        line.evaluate_values(**values)
        notices = [notice for item in line.last for notice in item.notices]
        assert len(notices) == len({(n.rule, n.subject) for n in notices})
        for notice in notices:
            key = (notice.rule, notice.subject)
            change, changed_at = last_changes.get(key, (RECOVERED, NOW))
            if notice.change is FIRING:
                assert change is RECOVERED
                assert line.now - notice.since >= timedelta(seconds=60 * hold) or key[0] == "two"
            else:
                assert change is not RECOVERED
            if notice.change is STILL and notice.rule == "failing":
                assert line.now - changed_at >= timedelta(seconds=repeat)
            last_changes[key] = notice.change, line.now
            is_silenced = any(s.covers(*key, line.now) for s in line.silences)
            assert not is_silenced
        for alert in line.alerts:
            is_silenced = any(s.covers(alert.rule, alert.subject, line.now) for s in line.silences)
            if alert.stage is AlertStage.FIRING and not is_silenced:
                assert last_changes[alert.rule, alert.subject][0] is not RECOVERED


# --- rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"when": "luck"}, "The metric .luck. is unknown"),
        ({"above": float("nan")}, "nan is not a threshold"),
        ({"above": None}, "has no threshold"),
        ({"below": 0.1}, "has two thresholds"),
        ({"clear": 0.6}, "would clear while it still fires"),
        ({"above": None, "below": 0.5, "clear": 0.4}, "would clear while it still fires"),
        ({"when": "absence", "above": None, "clear": 1}, "has a threshold, but absence fires only"),
        ({"objective": 1.0}, "objective 1.0 is not between 0 and 1"),
        ({"above": 1.5}, "never fires with a threshold of 1.5"),
        ({"above": None, "below": 2}, "always fires with a threshold of 2"),
        ({"objective": 0.9}, "watches error_rate, but `objective` has no effect on error_rate"),
        (
            {"when": "burn_rate", "above": 2, "window": 60, "minimum_calls": 10},
            "has a short window of 300 seconds",
        ),
    ],
)
def test_rule_with_a_contradictory_condition_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    """A rule whose condition contradicts itself is refused; the error contains the rule's name."""
    with pytest.raises(ConfigurationError, match=f"'failing' .*{message}|{message}"):
        rule(**fields)


def test_duplicate_rules_and_unknown_channels_are_refused() -> None:
    """Duplicate rule names, unknown channels and channels without a destination are refused."""
    with pytest.raises(ConfigurationError, match="Another alert rule is named"):
        AlertSettings(rules=[rule(), rule()])
    with pytest.raises(ConfigurationError, match="unknown channel 'ops'"):
        AlertSettings(rules=[rule(channels="ops")])
    with pytest.raises(ConfigurationError, match="has no `to`"):
        ChannelSettings(kind="email")
    with pytest.raises(ConfigurationError, match="is not a kind of alert channel"):
        ChannelSettings(kind="pigeon")
    with pytest.raises(ConfigurationError, match="kind email does not use `service`"):
        ChannelSettings(kind="email", to="a@example.com", service="vat")
    assert "whsec" not in repr(ChannelSettings(kind="webhook", service="ops", secrets="whsec_x"))


# --- measurements -----------------------------------------------------------------------


FIGURES = CallFigures(calls=200, error_rate=0.02, p50=0.1, p90=0.3, p95=0.5, p99=2.0)


@pytest.mark.parametrize(
    "fields, figures, value, text",
    [
        ({}, FIGURES, 0.02, "2.0% of 200 calls in 3600 s failed."),
        (
            {},
            CallFigures(calls=9, error_rate=1.0),
            None,
            ("9 calls in 3600 s are too few for a decision."),
        ),
        ({}, CallFigures(calls=99), None, "99 calls in 3600 s are too few for a decision."),
        ({"when": "p90"}, FIGURES, 0.3, "p90 of 200 calls is 0.300 s."),
        ({"when": "p95"}, FIGURES, 0.5, "p95 of 200 calls is 0.500 s."),
        ({"when": "p99"}, CallFigures(calls=5, p99=1.0), None, "5 calls in 3600 s are too few for"),
        (
            {"when": "p99"},
            CallFigures(calls=50),
            None,
            ("50 calls in 3600 s are too few for a decision."),
        ),
        ({"when": "calls"}, FIGURES, 200.0, "200 calls in 3600 s."),
        ({"when": "absence", "above": None}, CallFigures(calls=0), 0.0, "0 calls in 3600 s."),
    ],
)
def test_metrics_become_a_measured_value_and_a_sentence(
    fields: dict[str, Any], figures: CallFigures, value: float | None, text: str
) -> None:
    """Metrics become a measured value and a sentence; if there are too few calls, no value."""
    measurement = from_figures(rule(**fields), (figures,))

    assert (value, "all calls") == (measurement.value, measurement.subject)
    assert measurement.text.startswith(text)


def test_burn_rate_needs_both_windows() -> None:
    """A burn-rate rule fires only if the budget burns over both the long and the short window."""
    burning = rule(when="burn_rate", above=14.4, service="vat", operation="op", objective=0.99)
    long_query, short_query = figure_queries(burning)
    excess_figures = attrs.evolve(FIGURES, error_rate=0.2)

    assert FigureQuery(service="vat", operation="op", window=3600.0) == long_query
    assert 300.0 == short_query.window
    measurement = from_figures(burning, (excess_figures, FIGURES))
    assert ("vat/op", 2.0) == (measurement.subject, round(measurement.value or 0, 6))
    assert not burning.is_active(measurement.value, firing=False)
    assert burning.is_active(
        from_figures(burning, (excess_figures, excess_figures)).value, firing=False
    )
    assert None is from_figures(burning, (excess_figures, CallFigures(calls=1))).value


def test_absence_rule_fires_without_any_call() -> None:
    """A rule about absent calls needs no threshold."""
    absence_rule = rule(when="absence", above=None)

    assert absence_rule.is_active(0.0, firing=False)
    assert not absence_rule.is_active(1.0, firing=True)


def reason(part: str, concern: HealthConcern, amount: float = 1.0) -> HealthReason:
    """Return a reason of a health assessment."""
    return HealthReason(part, concern, HealthState.DEGRADED, "It is bad.", "Mend it.", amount)


def test_reasons_of_health_are_measured() -> None:
    """A health rule measures each part with that reason; with a threshold, by its amount."""
    health = Health(
        at=NOW,
        state=HealthState.DEGRADED,
        reasons=(
            reason("outbox", HealthConcern.DEAD_LETTERS, 7),
            reason("inbox", HealthConcern.DEAD_LETTERS, 2),
            reason("outbox", HealthConcern.DEAD_LETTERS, 3),
            reason("vat", HealthConcern.CIRCUIT_OPEN, 0.0),
        ),
    )
    dead_rule = rule(when="dead_letters", above=None)
    count_rule = rule(when="dead_letters", above=5, service="outbox")
    circuit = rule(when="circuit_open", above=None)

    assert () == figure_queries(dead_rule)
    assert {"outbox": 1.0, "inbox": 1.0} == {
        m.subject: m.value for m in from_health(dead_rule, health)
    }
    assert [("outbox", 7)] == [(m.subject, m.value) for m in from_health(count_rule, health)]
    (measurement,) = from_health(circuit, health)
    assert circuit.is_active(measurement.value, firing=False)
    assert "It is bad. Mend it." == measurement.text
    assert Severity.WARNING is circuit.severity
