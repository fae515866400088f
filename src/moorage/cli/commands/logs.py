"""`moorage logs`: list, show, follow, export and remove the calls of an integration log."""

from __future__ import annotations

import select
import signal
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import attrs
from cyclopts import Parameter

from moorage.adapters.logs.export import PAGE, entries_of, export, plain_fields
from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.numbers import Age, Count, Days
from moorage.domain.observation.integration_log import CONTENT_FIELDS, IntegrationStatus, LogQuery
from moorage.errors import ConfigurationError
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from moorage.domain.observation.integration_log import IntegrationLog, LogPage

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
_KEY: Final = "idempotency_key"
"""The last column, if a call of the page has a key."""

LogUrl = Annotated[str | None, Parameter("--store", env_var="MOORAGE_LOG", show_env_var=True)]

_INTERVAL: Final = 1.0
"""Seconds between two readings of a log that is followed."""

_OVERLAP: Final = timedelta(minutes=2)
"""The entry of a call is stored at its end, so a call that began earlier may follow."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Filters:
    """Command-line options that select calls.

    Attributes:
        service: choose only calls of this service.
        operation: choose only calls of this operation, such as payments.charge.
        tenant: choose only calls of this tenant.
        region: choose only calls to this region.
        vendor: choose only calls of this vendor.
        account: choose only calls of this account.
        subject: choose only calls about this person.
        status: choose only calls with this status.
        failures: choose only calls that did not succeed: every status except success, replayed,
            cached and fallback.
        id: choose only calls with this correlation id.
        key: choose only calls with this idempotency key.
        trace: choose only calls of this trace.
        text: choose only calls with this text in their error or route.
        days: choose only calls of the last days, such as 0.5.
    """

    service: str | None = None
    operation: str | None = None
    tenant: str | None = None
    region: str | None = None
    vendor: str | None = None
    account: str | None = None
    subject: str | None = None
    status: IntegrationStatus | None = None
    failures: Annotated[bool, Parameter(negative="")] = False
    id: str | None = None
    key: str | None = None
    trace: str | None = None
    text: str | None = None
    days: Days | None = None

    def query(self, **fields: Any) -> LogQuery:
        """Return the query of the calls."""
        if self.days is not None:
            fields.setdefault("since", time_days_ago(self.days))
        return LogQuery(
            service=self.service,
            operation=self.operation,
            tenant=self.tenant,
            region=self.region,
            vendor=self.vendor,
            account=self.account,
            subject=self.subject,
            status=self.status,
            failures=self.failures,
            id=self.id,
            idempotency_key=self.key,
            trace_id=self.trace,
            text=self.text,
            **fields,
        )


_NO_FILTERS: Final = Filters()


def list_calls(
    *,
    store: LogUrl = None,
    filters: Filters = _NO_FILTERS,
    limit: Count = 50,
    after: str | None = None,
    context: Context,
) -> CommandResult:
    """List calls of the integration log, newest first.

    Args:
        store: the URL of the log; by default the configured one.
        filters: the calls to list.
        limit: the maximum number of calls.
        after: the `next` value of the previous page.
        context: the options that all commands share.
    """
    query = filters.query(limit=limit, after=after)
    with opened_log(context, store) as log:
        return list_of(log.find(query))


def list_of(page: LogPage) -> CommandResult:
    """Return the result that lists a page of the log, with the start of the next page."""
    calls = [_call_row(entry) for entry in page.items]
    has_key = any(call[_KEY] is not None for call in calls)
    columns = (*_COLUMNS, _KEY) if has_key else _COLUMNS
    rows = [[call[name] for name in columns] for call in calls]
    lines: list[str | Table] = [Table(columns, rows)]
    if not calls:
        lines = ["nothing"]
    scanned_to = None
    if page.scanned_to is not None:
        scanned_to = page.scanned_to.isoformat(timespec="seconds")
        lines.append(
            f"Looked through {page.scanned} entries, back to {scanned_to}."
            f" Continue with --after {page.next}."
        )
    elif page.next is not None:
        lines.append(f"More with --after {page.next}.")
    document = {
        "calls": [plain_fields(entry) for entry in page.items],
        "next": page.next,
        "scanned": page.scanned,
        "scanned_to": scanned_to,
    }
    return CommandResult(document, lines)


def show_call(id: str, *, store: LogUrl = None, context: Context) -> CommandResult:
    """Show everything that the integration log contains about one call.

    Requests and responses are stored, redacted, for services with `log_content`.

    Args:
        id: the correlation id of the call.
        store: the URL of the log; by default the configured one.
        context: the options that all commands share.
    """
    with opened_log(context, store) as log:
        entries = [*entries_of(log, LogQuery(id=id, limit=PAGE))]
    if not entries:
        raise ConfigurationError(
            f"The integration log has no call {id!r}.",
            path="id",
            remedy="Copy the id from `moorage logs list`, or pass the URL of another log with"
            " --store.",
        )
    lines: list[str] = []
    calls = [plain_fields(entry) for entry in entries]
    for call in calls:
        lines += [""] if lines else []
        lines += [
            f"{name}: {value}"
            for name, value in call.items()
            if value is not None and name not in CONTENT_FIELDS
        ]
        for name in CONTENT_FIELDS:
            if call[name] is not None:
                lines += ["", f"{name}:", *(f"  {line}" for line in call[name].splitlines())]
    return CommandResult({"calls": calls}, lines)


def export_calls(
    *,
    store: LogUrl = None,
    filters: Filters = _NO_FILTERS,
    format: Literal["csv", "jsonl", "parquet"] = "csv",  # noqa: A002 - the name of the option
    output: Path,
    context: Context,
) -> CommandResult:
    """Write calls of the integration log to a file, newest first.

    Args:
        store: the URL of the log; by default the configured one.
        filters: the calls to write.
        format: the format of the file: csv, jsonl for one JSON document a line, or parquet.
        output: the path of the file; an existing file is replaced.
        context: the options that all commands share.
    """
    query = filters.query(limit=PAGE)
    with opened_log(context, store) as log:
        try:
            number = export(format, entries_of(log, query), output)
        except OSError as error:
            problem = f"{output} cannot be written ({error.strerror})."
        else:
            return CommandResult({"exported": number}, [f"{number} exported"])
    raise ConfigurationError(problem, path="--output", remedy="Name a file that can be written.")


def follow_calls(
    *,
    store: LogUrl = None,
    filters: Filters = _NO_FILTERS,
    count: Count | None = None,
    context: Context,
) -> CommandResult:
    """Show new calls of the integration log until Ctrl-C, the oldest first.

    With --json, each call is one line. A call that took longer than two minutes is not shown.

    Args:
        store: the URL of the log; by default the configured one.
        filters: the calls to show.
        count: end after this number of calls.
        context: the options that all commands share.
    """
    shown_calls = 0
    previous_handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with opened_log(context, store) as log:
            if not context.as_json:
                context.print_progress("following the log")
            for entry in _new_entries(log, filters):
                if context.as_json:
                    context.print_json_line(plain_fields(entry))
                else:
                    row = _call_row(entry)
                    columns = _COLUMNS if row[_KEY] is None else (*_COLUMNS, _KEY)
                    cells = (row[name] for name in columns)
                    context.print_progress(
                        "  ".join("-" if cell is None else str(cell) for cell in cells)
                    )
                shown_calls += 1
                if shown_calls == count:
                    break
    except KeyboardInterrupt:
        pass  # Ctrl-C is the usual way to end this command
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
    return CommandResult({"shown": shown_calls}, [f"{shown_calls} shown"])


def _new_entries(log: Any, filters: Filters) -> Iterator[IntegrationLog]:
    """Yield the entries of calls that end from now on, until the output is closed."""
    begin, pause = datetime.now(UTC), Event()
    earlier_entries: set[IntegrationLog] | None = None
    while not _reader_is_gone():
        query = filters.query(since=begin - _OVERLAP, limit=PAGE)
        entries = [*entries_of(log, query)]
        if earlier_entries is not None:
            yield from (entry for entry in reversed(entries) if entry not in earlier_entries)
        earlier_entries = {*entries}
        begin = datetime.now(UTC)
        pause.wait(_INTERVAL)


def _reader_is_gone() -> bool:
    """Return whether the program that reads the standard output has closed it."""
    if not hasattr(select, "poll"):  # pragma: no cover - only on Windows
        return False
    poller = select.poll()
    with suppress(OSError):  # the output is not a file
        poller.register(sys.stdout.fileno(), 0)
        return bool(poller.poll(0))
    return False


def remove_calls(*, store: LogUrl = None, older_than: Age, context: Context) -> CommandResult:
    """Remove old calls from the integration log; run it once a day.

    Args:
        store: the URL of the log; by default the configured one.
        older_than: the minimum age of the calls, in days.
        context: the options that all commands share.
    """
    end_time = time_days_ago(older_than)
    with opened_log(context, store) as log:
        removed_calls = log.remove(LogQuery(until=end_time))
    return CommandResult({"removed": removed_calls}, [f"{removed_calls} removed"])


@contextmanager
def opened_log(context: Context, url: str | None) -> Generator[Any]:
    """Open the log of a URL, or else the configured log, for the block."""
    url = url or context.configured().log
    if url is None or url == "memory:":
        raise ConfigurationError(
            "The command needs an integration log that other processes share.",
            path="--store",
            remedy="Pass its URL, or configure it under [log].",
        )
    with open_log(url) as log:
        yield log


def time_days_ago(days: float) -> datetime:
    """Return the time this many days ago."""
    return datetime.now(UTC) - timedelta(days=days)


def _call_row(entry: IntegrationLog) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in (*_COLUMNS, _KEY)}
    return {
        **fields,
        "started_at": entry.started_at.isoformat(timespec="seconds"),
        "status": entry.status.value,
        "duration": round(entry.duration, 3),
    }
