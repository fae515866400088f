"""Alert rules, and the function that derives notifications from measurements.

Laws of `next_alerts`:

1. Between two notices that an alert fires there is a notice that it recovered. Until then, the
   first notice is only repeated, never sooner than the rule's `repeat`.
2. While a silence covers an alert, no notice of it is sent. When the silence ends, a notice follows
   if the alert's state differs from the last one sent.
3. Each notice is in exactly one notification, however notices are grouped.
4. An alert that could not be measured stays as it is.
"""

from __future__ import annotations

from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.monitoring.alert_conditions import FIGURES, Condition, contradictions
from moorage.domain.monitoring.health import HealthConcern
from moorage.domain.state.keys import checked_name
from moorage.domain.values.durations import count, if_given, is_seconds, is_wait, plain_seconds
from moorage.domain.values.frozen_values import evolve, field, fields_of, frozen
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import attrs

CONCERNS: Final = tuple(concern.value for concern in HealthConcern)
"""The kinds of health problems that an alert rule can watch."""


class Severity(StrEnum):
    """The urgency of an alert."""

    WARNING = "warning"
    CRITICAL = "critical"


def _name(value: object) -> str:
    return checked_name(value, "name")


def _texts(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _is_count(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    count(value, attribute.name, least=0)


def _is_watched(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in {*FIGURES, *CONCERNS}:
        raise ConfigurationError(
            f"The metric {brief_repr(value)} is unknown.",
            path=attribute.name,
            remedy=f"Use one of: {', '.join((*FIGURES, *CONCERNS))}.",
        )


def _is_threshold(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not isfinite(value):
        raise ConfigurationError(
            f"{brief_repr(value)} is not a threshold.",
            path=attribute.name,
            remedy="Set a finite number.",
        )


def _is_objective(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < 1:
        raise ConfigurationError(
            f"The objective {brief_repr(value)} is not between 0 and 1.",
            path=attribute.name,
            remedy="Set a share above 0 and below 1, such as 0.999.",
        )


@frozen(kw_only=True)
class AlertRule:
    """A rule that fires an alert if its condition is true.

    Attributes:
        name: The name of the rule.
        when: The metric or the health concern that is watched: `error_rate`, `calls`, `p50`,
            `p90`, `p95`, `p99` (seconds), `burn_rate`, `absence` (no call at all), or for example
            `circuit_open`, `budget_spent`, `dead_letters`, `unknown_outcomes`, `expires_soon`.
        service, operation, tenant: The calls that are watched; by default all. For a health
        concern, `service` is the affected part.
        above: The alert is active while the figure is above this.
        below: The alert is active while the figure is below this.
        clear: The threshold at which a firing alert ends, if it differs from the threshold at
            which the alert begins; so a
            metric that swings around one threshold does not fire again and again.
        window: Seconds over which calls are counted.
        short_window: Seconds of the second window of `burn_rate`, in which the budget must burn
            as fast.
        objective: The share of calls that should succeed, for `burn_rate`.
        minimum_calls: The number of calls below which rates and latencies are not judged.
        hold: Seconds for which the alert must be active before it fires.
        repeat: Seconds after which a notification is repeated if the alert still fires; 0 for
            never.
        group: Alerts of one group are reported in one notification; by default the alerts of one
            rule.
        severity: The urgency.
        channels: The names of the channels; by default all.
    """

    name: str = field(converter=_name)
    when: str = field(validator=_is_watched, metadata={"choices": (*FIGURES, *CONCERNS)})
    service: str | None = None
    operation: str | None = None
    tenant: str | None = None
    above: float | None = field(default=None, validator=if_given(_is_threshold))
    below: float | None = field(default=None, validator=if_given(_is_threshold))
    clear: float | None = field(default=None, validator=if_given(_is_threshold))
    window: float = field(default=3_600.0, converter=plain_seconds, validator=is_seconds)
    short_window: float = field(default=300.0, converter=plain_seconds, validator=is_seconds)
    objective: float = field(default=0.999, validator=_is_objective)
    minimum_calls: int = field(default=10, validator=_is_count)
    hold: float = field(default=0.0, converter=plain_seconds, validator=is_wait)
    repeat: float = field(default=14_400.0, converter=plain_seconds, validator=is_wait)
    group: str | None = None
    severity: Severity = field(default=Severity.WARNING, converter=Severity)
    channels: tuple[str, ...] = field(default=(), converter=_texts)

    def __attrs_post_init__(self) -> None:
        """Refuse conditions that are contradictory, or that are never or always true."""
        defaults = {field.name: field.default for field in fields_of(AlertRule)}
        changed_settings = {
            name for name, default in defaults.items() if getattr(self, name) != default
        }
        condition = Condition(
            when=self.when,
            above=self.above,
            below=self.below,
            clear=self.clear,
            window=self.window,
            short_window=self.short_window,
            objective=self.objective,
            changed=frozenset(changed_settings),
        )
        problems = [
            Problem(setting, f"The alert rule {self.name!r} {predicate}.", remedy)
            for setting, predicate, remedy in contradictions(condition)
        ]
        if problems:
            raise ConfigurationError.of(problems)

    def is_active(self, value: float | None, *, firing: bool) -> bool:
        """Return whether a value makes an alert active; `firing` states whether it was active.

        A value of None means no measurement.
        """
        if value is None:
            return False
        clear = self.clear if firing else None
        if self.below is not None:
            return value < (self.below if clear is None else clear)
        if self.when == "absence":
            return value == 0
        return value > ((self.above or 0.0) if clear is None else clear)


@frozen(kw_only=True)
class Measurement:
    """A measured value that an alert rule compares with its limit.

    Attributes:
        subject: the measured service or part; "all calls" for a metric of all services.
        value: the value; None if there are too few calls to judge.
        text: the measurement as a sentence.
    """

    subject: str
    value: float | None
    text: str


@frozen(kw_only=True)
class Silence:
    """A period during which no notifications about some alerts are sent.

    Attributes:
        until: the end of the silence (aware).
        reason: the reason for it, for people who read it.
        rule: the rule that is silent; by default all.
        subject: the service or part that is silent; by default all.
    """

    until: datetime
    reason: str
    rule: str | None = None
    subject: str | None = None

    def covers(self, rule: str, subject: str, now: datetime) -> bool:
        """Return whether the silence covers an alert of this rule and subject now."""
        return now < self.until and (self.rule, self.subject) in {
            (own_rule, own_subject) for own_rule in (None, rule) for own_subject in (None, subject)
        }


class AlertStage(StrEnum):
    """The progress of an alert from its first measurement to its end."""

    PENDING = "pending"
    FIRING = "firing"
    CLEARED = "cleared"


@frozen(kw_only=True)
class Alert:
    """An alert that is active, or whose end has not been reported yet.

    Attributes:
        rule: the name of its rule.
        subject: the service or part that it is about.
        stage: the alert's progress.
        since: the time since which it is active.
        notified_at: the time of the last notice that it fires; None if there was no notice.
        value: the last measured value.
        text: the last measurement as a sentence.
    """

    rule: str
    subject: str
    stage: AlertStage
    since: datetime
    notified_at: datetime | None = None
    value: float | None = None
    text: str = ""


class Change(StrEnum):
    """The kind of change that an alert notice reports, such as a recovery."""

    FIRING = "firing"
    STILL_FIRING = "still_firing"
    RECOVERED = "recovered"


@frozen(kw_only=True)
class AlertNotice:
    """A notice about the change of one alert.

    Attributes:
        rule: the name of its rule.
        subject: the service or part that it is about.
        change: the kind of change.
        severity: the urgency.
        since: the time since which the alert was active.
        text: the last measurement as a sentence.
    """

    rule: str
    subject: str
    change: Change
    severity: Severity
    since: datetime
    text: str


@frozen(kw_only=True)
class Notification:
    """A message about all changed alerts of one group.

    Attributes:
        group: the name of the group.
        at: the time at which it was decided.
        notices: the changes.
        channels: the names of the channels that it goes to; empty for all.
    """

    group: str
    at: datetime
    notices: tuple[AlertNotice, ...]
    channels: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The notification as one line."""
        worst_level = "recovered"
        if any(notice.change is not Change.RECOVERED for notice in self.notices):
            critical = any(notice.severity is Severity.CRITICAL for notice in self.notices)
            worst_level = "critical" if critical else "warning"
        first_notice, *other_notices = self.notices
        more_notices = f" and {len(other_notices)} more" if other_notices else ""
        return f"[{worst_level}] {first_notice.rule}: {first_notice.subject}{more_notices}"

    @property
    def text(self) -> str:
        """The whole notification, with a line for each notice."""
        return "\n".join(
            f"{notice.change.value.replace('_', ' ')}: {notice.rule}, {notice.subject}, since"
            f" {notice.since:%Y-%m-%d %H:%M:%S} UTC. {notice.text}"
            for notice in self.notices
        )

    def as_dict(self) -> dict[str, Any]:
        """The notification as plain values, for JSON."""
        return {
            "group": self.group,
            "at": self.at.isoformat(),
            "subject": self.subject,
            "notices": [
                {
                    "rule": notice.rule,
                    "subject": notice.subject,
                    "change": notice.change.value,
                    "severity": notice.severity.value,
                    "since": notice.since.isoformat(),
                    "text": notice.text,
                }
                for notice in self.notices
            ],
        }


def next_alerts(
    rules: Iterable[AlertRule],
    measured: Mapping[str, tuple[Measurement, ...]],
    alerts: Iterable[Alert],
    silences: Iterable[Silence],
    now: datetime,
) -> tuple[tuple[Alert, ...], tuple[Notification, ...]]:
    """Return the alerts after new measurements, and the notifications to send about them.

    Args:
        rules: the rules. Alerts of rules that no longer exist are dropped.
        measured: the measurements by the name of the rule; a rule that could not be measured is
            missing.
        alerts: the alerts before.
        silences: the silences.
        now: the time.

    Returns:
        The alerts from now on, and the notifications to send.
    """
    previous_alerts = {(alert.rule, alert.subject): alert for alert in alerts}
    silences = tuple(silences)
    remaining_alerts: list[Alert] = []
    groups: dict[tuple[str, tuple[str, ...]], list[AlertNotice]] = {}
    for rule in rules:
        alerts_of_rule = {
            subject: alert
            for (name, subject), alert in previous_alerts.items()
            if name == rule.name
        }
        measurements = {item.subject: item for item in measured.get(rule.name, ())}
        for subject in {**alerts_of_rule, **measurements}:
            alert = alerts_of_rule.get(subject)
            if rule.name in measured:
                alert = _next_alert(rule, subject, alert, measurements.get(subject), now)
            if alert is None:
                continue
            if any(silence.covers(rule.name, subject, now) for silence in silences):
                remaining_alerts.append(alert)
                continue
            later_alert, change = _alert_after_report(rule, alert, now)
            if later_alert is not None:
                remaining_alerts.append(later_alert)
            if change is not None:
                notice = AlertNotice(
                    rule=rule.name,
                    subject=subject,
                    change=change,
                    severity=rule.severity,
                    since=alert.since,
                    text=alert.text,
                )
                groups.setdefault((rule.group or rule.name, rule.channels), []).append(notice)
    notifications = tuple(
        Notification(group=group, at=now, notices=tuple(notices), channels=channels)
        for (group, channels), notices in groups.items()
    )
    return tuple(remaining_alerts), notifications


def _next_alert(
    rule: AlertRule,
    subject: str,
    alert: Alert | None,
    measurement: Measurement | None,
    now: datetime,
) -> Alert | None:
    """Return an alert after a new measurement; None if the alert has ended."""
    firing = alert is not None and alert.stage is AlertStage.FIRING
    value = None if measurement is None else measurement.value
    if not rule.is_active(value, firing=firing):
        if alert is None or alert.notified_at is None:
            return None
        text = alert.text if measurement is None else measurement.text
        return evolve(alert, stage=AlertStage.CLEARED, value=value, text=text)
    if alert is None:
        alert = Alert(rule=rule.name, subject=subject, stage=AlertStage.PENDING, since=now)
    is_held = (now - alert.since).total_seconds() >= rule.hold
    stage = (
        AlertStage.FIRING
        if is_held or alert.stage is not AlertStage.PENDING
        else AlertStage.PENDING
    )
    text = "" if measurement is None else measurement.text
    return evolve(alert, stage=stage, value=value, text=text)


def _alert_after_report(
    rule: AlertRule, alert: Alert, now: datetime
) -> tuple[Alert | None, Change | None]:
    """Return an alert after its notice was sent, and the change that the notice reported."""
    if alert.stage is AlertStage.CLEARED:
        return None, Change.RECOVERED
    if alert.stage is AlertStage.PENDING:
        return alert, None
    if alert.notified_at is None:
        return evolve(alert, notified_at=now), Change.FIRING
    age = (now - alert.notified_at).total_seconds()
    if rule.repeat and age >= rule.repeat:
        return evolve(alert, notified_at=now), Change.STILL_FIRING
    return alert, None
