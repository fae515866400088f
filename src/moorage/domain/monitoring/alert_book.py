"""The alerts, silences and pending notifications, which all processes share.

A state is `(seen, keep_for, until, owner, text)`. The process with the random number `owner`
evaluates alone until the store's time `until`; `text` is the rest as JSON. One command both decides
and writes. So no notification is lost if its process dies: it stays in the state until it is
delivered.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.monitoring.alerts import (
    Alert,
    AlertNotice,
    AlertStage,
    Change,
    Notification,
    Severity,
    Silence,
    next_alerts,
)
from moorage.domain.state.commands import reading_time, refusing_unreadable_states
from moorage.domain.state.keys import state_key
from moorage.domain.values.durations import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.monitoring.alerts import AlertRule, Measurement
    from moorage.domain.state.commands import State, States

KEY: Final = state_key("alerts", "moorage", None, "book")
_RETENTION: Final = 90 * DAY
_MOST_WAITING: Final = 200
"""The number of notifications that wait for one channel at most."""

Stored: TypeAlias = "tuple[int, int, int, int, str]"


@attrs.frozen(kw_only=True)
class AlertDelivery:
    """A notification that is to be sent to one channel.

    Attributes:
        id: the notification's id, the same for each attempt.
        channel: the name of the channel.
        notification: the notification.
        failures: the number of failed attempts.
        error: the name of the last attempt's error class; None before the first attempt.
    """

    id: str
    channel: str
    notification: Notification
    failures: int = 0
    error: str | None = None


@attrs.frozen(kw_only=True)
class AlertBook:
    """The state of alerting: alerts, silences, and pending notifications.

    Attributes:
        alerts: the alerts that are active.
        silences: the silences that have not ended.
        outgoing: the notifications that no channel has accepted yet.
    """

    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
    outgoing: tuple[AlertDelivery, ...] = ()


EMPTY: Final = AlertBook()


class EvaluateAlerts:
    """The command that evaluates all alert rules, unless another process is doing so.

    Its result is the deliveries to make now; None if another process is evaluating.
    """

    once = False
    durable = False
    rules = ()
    keys = (KEY,)

    def __init__(
        self,
        rules: tuple[AlertRule, ...],
        measured: Mapping[str, tuple[Measurement, ...]],
        channels: tuple[str, ...],
        now: datetime,
        *,
        owner: int,
        lease: int,
    ) -> None:
        self._rules = rules
        self._measured = measured
        self._channels = channels
        self._now = now
        self._owner = owner
        self._lease = lease

    @refusing_unreadable_states
    def apply(self, states: States, now: int, /) -> tuple[States, tuple[AlertDelivery, ...] | None]:
        """Return the new state of alerting, and the notifications to send."""
        state_time, end_time, owner, book = _present_values(states[0], now)
        if owner != self._owner and state_time < end_time:
            return states, None
        silences = tuple(item for item in book.silences if item.until > self._now)
        alerts, notifications = next_alerts(
            self._rules, self._measured, book.alerts, book.silences, self._now
        )
        fresh_deliveries = tuple(
            AlertDelivery(id=_id_of(item, channel), channel=channel, notification=item)
            for item in notifications
            for channel in item.channels or self._channels
        )
        new_book = AlertBook(
            alerts=alerts,
            silences=silences,
            outgoing=newest_deliveries((*book.outgoing, *fresh_deliveries)),
        )
        return (
            _stored_book(new_book, state_time, state_time + self._lease, self._owner),
        ), new_book.outgoing


def newest_deliveries(deliveries: tuple[AlertDelivery, ...]) -> tuple[AlertDelivery, ...]:
    """Return the newest deliveries to each channel, which are few even if a channel always fails.

    Older notifications of the channel were logged when they failed.
    """
    counts: Counter[str] = Counter()
    newest: list[AlertDelivery] = []
    for delivery in reversed(deliveries):
        counts[delivery.channel] += 1
        if counts[delivery.channel] <= _MOST_WAITING:
            newest.append(delivery)
    return tuple(reversed(newest))


class SettleDeliveries:
    """The command that records which notifications were sent and which failed."""

    once = False
    durable = False
    rules = ()
    keys = (KEY,)

    def __init__(self, errors: Mapping[str, str | None]) -> None:
        self._errors = errors

    @refusing_unreadable_states
    def apply(self, states: States, now: int, /) -> tuple[States, None]:
        """Return the state of alerting after notifications were sent or failed.

        Delivered notifications are removed, and the failures of the others are counted.
        """
        state_time, end_time, owner, book = _present_values(states[0], now)
        outgoing_deliveries: list[AlertDelivery] = []
        for item in book.outgoing:
            error = self._errors.get(item.id)
            if item.id not in self._errors:
                outgoing_deliveries.append(item)
            elif error is not None:
                failures = item.failures + 1
                outgoing_deliveries.append(attrs.evolve(item, failures=failures, error=error))
        return (
            _stored_book(
                attrs.evolve(book, outgoing=tuple(outgoing_deliveries)), state_time, end_time, owner
            ),
        ), None


class AddSilence:
    """The command that adds a silence of alerts."""

    once = True
    durable = False
    rules = ()
    keys = (KEY,)

    def __init__(self, silence: Silence) -> None:
        self._silence = silence

    @refusing_unreadable_states
    def apply(self, states: States, now: int, /) -> tuple[States, None]:
        """Return the state of alerting with the new silence added."""
        state_time, end_time, owner, book = _present_values(states[0], now)
        new_book = attrs.evolve(book, silences=(*book.silences, self._silence))
        return (_stored_book(new_book, state_time, end_time, owner),), None


class ReadAlerts:
    """The command that reads the alerts, silences and pending notifications."""

    once = False
    durable = False
    rules = ()
    keys = (KEY,)

    @refusing_unreadable_states
    def apply(self, states: States, now: int, /) -> tuple[States, AlertBook]:
        """Return the alerts, silences and pending notifications."""
        return states, _present_values(states[0], now)[3]


def state_of(book: AlertBook) -> State:
    """Return a state with the alerts, silences and notifications of a book, owned by nobody."""
    return _stored_book(book, 0, 0, 0)


def _present_values(state: State | None, now: int) -> tuple[int, int, int, AlertBook]:
    if state is None:
        return now, 0, 0, EMPTY
    state_time, clock_step = reading_time(state[0], now)
    return state_time, state[2] - clock_step, state[3], _read_book(state[4])


def _stored_book(book: AlertBook, seen: int, until: int, owner: int) -> Stored:
    return (
        seen,
        _RETENTION,
        until,
        owner,
        json.dumps(attrs.asdict(book, value_serializer=_plain_value)),
    )


def _id_of(notification: Notification, channel: str) -> str:
    """Return a notification's id, which is the same in all processes, so none is added twice."""
    content = json.dumps([channel, notification.as_dict()]).encode()
    return sha256(content).hexdigest()[:32]


def _plain_value(_: object, __: object, value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _read_book(text: str) -> AlertBook:
    book = json.loads(text)
    return AlertBook(
        alerts=tuple(map(_alert, book["alerts"])),
        silences=tuple(Silence(**_timed_fields(item, "until")) for item in book["silences"]),
        outgoing=tuple(map(_delivery, book["outgoing"])),
    )


def _alert(item: dict[str, Any]) -> Alert:
    fields = _timed_fields(item, "since", "notified_at")
    fields["stage"] = AlertStage(item["stage"])
    return Alert(**fields)


def _delivery(item: dict[str, Any]) -> AlertDelivery:
    fields = _timed_fields(item["notification"], "at")
    fields["notices"] = tuple(map(_alert_notice, fields["notices"]))
    fields["channels"] = tuple(fields["channels"])
    delivery_fields = {name: value for name, value in item.items() if name != "notification"}
    return AlertDelivery(notification=Notification(**fields), **delivery_fields)


def _alert_notice(item: dict[str, Any]) -> AlertNotice:
    fields = _timed_fields(item, "since")
    fields["change"] = Change(item["change"])
    fields["severity"] = Severity(item["severity"])
    return AlertNotice(**fields)


def _timed_fields(item: dict[str, Any], *names: str) -> dict[str, Any]:
    times = {name: item[name] and datetime.fromisoformat(item[name]) for name in names}
    return {**item, **times}
