"""`moorage log`: list the calls of an integration log, and remove old ones."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.domain.observation.integration_log import IntegrationStatus, LogQuery
from moorage.errors import ConfigurationError
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.domain.observation.integration_log import IntegrationLog

_COLUMNS: Final = (
    "started_at",
    "id",
    "service",
    "operation",
    "tenant",
    "status",
    "duration",
    "attempts",
    "error",
)

LogUrl = Annotated[str | None, Parameter("--store", env_var="MOORAGE_LOG", show_env_var=True)]


def list_calls(
    *,
    store: LogUrl = None,
    service: str | None = None,
    tenant: str | None = None,
    status: IntegrationStatus | None = None,
    days: float | None = None,
    limit: int = 50,
    after: str | None = None,
    context: Context,
) -> CommandResult:
    """List calls of the integration log, newest first.

    Args:
        store: the URL of the log; by default the configured one.
        service: list only calls of this service.
        tenant: list only calls of this tenant.
        status: list only calls with this status.
        days: list only calls of the last days, such as 0.5.
        limit: the maximum number of calls.
        after: the `next` value of the previous page.
        context: the options that all commands share.
    """
    query = LogQuery(
        service=service,
        tenant=tenant,
        status=status,
        since=None if days is None else _ago(days, "--days"),
        limit=limit,
        after=after,
    )
    with _log(context, store) as log:
        page = log.find(query)
    calls = [_call_row(entry) for entry in page.items]
    lines: list[str | Table] = [Table(_COLUMNS, [call.values() for call in calls])]
    if page.next is not None:
        lines.append(f"More with --after {page.next}.")
    return CommandResult({"calls": calls, "next": page.next}, lines if calls else ["nothing"])


def remove_calls(*, store: LogUrl = None, older_than: float, context: Context) -> CommandResult:
    """Remove old calls from the integration log, such as once a day.

    Args:
        store: the URL of the log; by default the configured one.
        older_than: the minimum age of the calls, in days.
        context: the options that all commands share.
    """
    until = _ago(older_than, "--older-than")
    with _log(context, store) as log:
        removed = log.remove(LogQuery(until=until))
    return CommandResult({"removed": removed}, [f"{removed} removed"])


@contextmanager
def _log(context: Context, url: str | None) -> Generator[Any]:
    url = url or context.configured().log
    if url is None or url == "memory:":
        raise ConfigurationError(
            "The command needs an integration log that other processes share.",
            path="--store",
            remedy="Pass its URL, or configure it under [log].",
        )
    with open_log(url) as log:
        yield log


def _ago(days: float, path: str) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(days=days)
    except (OverflowError, ValueError):
        raise ConfigurationError(
            f"{days} days are too many for a date.", path=path, remedy="Pass fewer days."
        ) from None


def _call_row(entry: IntegrationLog) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in _COLUMNS}
    return {
        **fields,
        "started_at": entry.started_at.isoformat(timespec="seconds"),
        "status": entry.status.value,
        "duration": round(entry.duration, 3),
    }
