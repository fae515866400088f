"""`moorage alerts`: evaluate alert rules, list alerts, and silence them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.numbers import Seconds
from moorage.cli.places import opened_hub
from moorage.errors import ConfigurationError
from moorage.hub.alerts import AlertRunner
from moorage.hub.worker import stopping

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.hub.alerts import AlertRound


@contextmanager
def _runner(context: Context) -> Generator[AlertRunner]:
    with opened_hub(context) as hub:
        if hub.alert_settings is None:
            raise ConfigurationError(
                "The configuration has no alert rules.",
                path="alerts",
                remedy="Add rules as [[alerts.rules]].",
            )
        yield AlertRunner(hub)


def run(*, once: bool = False, context: Context) -> CommandResult:
    """Evaluate the alert rules at intervals and send notifications, until SIGTERM or Ctrl-C.

    Several processes may run; one of them evaluates at a time. The exit code is 1 if a notification
    could not be sent.

    Args:
        once: evaluate once, then end.
        context: the options that all commands share.
    """
    context.state()
    counts = {"delivered": 0, "failed": 0}

    def print_round(result: AlertRound) -> None:
        counts["delivered"] += len(result.delivered)
        counts["failed"] = len(result.failed)
        for delivery in result.delivered:
            context.print_progress(f"{delivery.channel}: {delivery.notification.subject}")
        for delivery in result.failed:
            context.print_progress(f"{delivery.channel} failed: {delivery.notification.subject}")

    with _runner(context) as runner:
        if once:
            print_round(runner.evaluate())
        else:
            with stopping() as stop:
                context.print_progress("Evaluating; SIGTERM or Ctrl-C ends it.")
                runner.run(stop, on_result=print_round)
    line = f"{counts['delivered']} delivered, {counts['failed']} waiting to be sent again"
    return CommandResult(counts, [line], FAILED if counts["failed"] else OK)


def list_alerts(*, context: Context) -> CommandResult:
    """List active alerts, silences and unsent notifications; exit with 1 if there are any.

    Args:
        context: the options that all commands share.
    """
    context.state()
    with _runner(context) as runner:
        book = runner.book()
    alerts = [
        {
            "rule": alert.rule,
            "subject": alert.subject,
            "stage": alert.stage.value,
            "since": alert.since.isoformat(timespec="seconds"),
            "text": alert.text,
        }
        for alert in book.alerts
    ]
    silences = [
        {
            "rule": silence.rule,
            "subject": silence.subject,
            "until": silence.until.isoformat(timespec="seconds"),
            "reason": silence.reason,
        }
        for silence in book.silences
    ]
    unsent_notifications = [
        {
            "channel": delivery.channel,
            "subject": delivery.notification.subject,
            "failures": delivery.failures,
            "error": delivery.error,
        }
        for delivery in book.outgoing
    ]
    document: dict[str, list[dict[str, Any]]]
    document = {"alerts": alerts, "silences": silences, "unsent": unsent_notifications}
    tables = [_table(rows) for rows in document.values() if rows]
    code = FAILED if alerts or unsent_notifications else OK
    return CommandResult(document, tables or ["nothing"], code)


def silence(
    duration: Seconds,
    reason: str,
    *,
    rule: str | None = None,
    subject: str | None = None,
    context: Context,
) -> CommandResult:
    """Silence alerts for a while; an alert that is still active afterwards is notified then.

    Args:
        duration: the seconds.
        reason: the reason, which lists of silences show.
        rule: the name of the rule; by default all rules.
        subject: the service or component; by default all.
        context: the options that all commands share.
    """
    context.state()
    with _runner(context) as runner:
        new_silence = runner.silence(duration, reason, rule=rule, subject=subject)
    end_time = new_silence.until.isoformat(timespec="seconds")
    document = {"rule": rule, "subject": subject, "until": end_time, "reason": reason}
    return CommandResult(document, [f"silent until {end_time}"])


def check(*, context: Context) -> CommandResult:
    """Measure all rules now without notifying anybody; exit with 1 if any alert is active.

    Args:
        context: the options that all commands share.
    """
    with _runner(context) as runner:
        rows = [
            {
                "rule": rule.name,
                "subject": measurement.subject,
                "value": measurement.value,
                "active": rule_is_active,
                "text": measurement.text,
            }
            for rule, measurement, rule_is_active in runner.check()
        ]
    is_active = any(row["active"] for row in rows)
    return CommandResult(
        {"measurements": rows}, [_table(rows)] if rows else ["nothing"], FAILED if is_active else OK
    )


def _table(rows: list[dict[str, Any]]) -> Table:
    return Table(tuple(rows[0]), [tuple(row.values()) for row in rows])
