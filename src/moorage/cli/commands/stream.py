"""`moorage stream`: run the pipelines of a configuration, and operate them."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import CUT_OFF, FAILED, OK
from moorage.cli.exit_deadline import ExitDeadline
from moorage.cli.numbers import Port, Seconds
from moorage.cli.places import import_from_working_folder, opened_async, opened_store
from moorage.domain.pipelines.control import (
    PausePipeline,
    ReadPipeline,
    WorkerReport,
    control_key,
)
from moorage.domain.pipelines.settings import PipelineState
from moorage.errors import ConfigurationError
from moorage.pipelines.running import run_in_limited_loop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.config.pipelines import PipelineSettings
    from moorage.domain.pipelines.control import PipelineStatus
    from moorage.domain.pipelines.settings import PipelineReport

_SILENT_SECONDS: Final = 30.0
"""Seconds after the last report of a running worker, when it is presumed dead."""

_SHOWN_SECONDS: Final = 600.0
"""Seconds for which a worker that has ended is shown, while another worker runs."""

_END_STATES: Final = frozenset({PipelineState.STOPPED.value, PipelineState.FAILED.value})
_NUMBERS: Final = ("received", "processed", "dead_letters", "retried", "records_in_flight")
_CURRENT_NUMBERS: Final = (*_NUMBERS, "lag")


def run(
    *names: str,
    interval: Seconds = 2.0,
    port: Port | None = None,
    host: str = "127.0.0.1",
    context: Context,
) -> CommandResult:
    """Run pipelines of the configuration until SIGTERM or Ctrl-C.

    SIGHUP reads the configuration again: changed pipelines are stopped gracefully and started anew,
    and the others continue. A configuration with a mistake is refused.

    SIGTERM and Ctrl-C stop the pipelines gracefully: batches in progress may run for `drain`
    seconds. The exit code is 0, or 5 if records were interrupted; they are delivered again. One
    second after that time the process ends, even if its event loop is blocked. If one pipeline
    fails, the others are stopped gracefully too.

    Args:
        names: the pipelines; by default all of them.
        interval: seconds between two reports to the store, for `stream status`.
        port: serve /metrics, /live, /ready and /health on this port; 0 for any free port.
        host: the address of --port; 0.0.0.0 for all addresses, as Kubernetes requires.
        context: the options that all commands share.
    """
    selected_pipelines(context, names)
    import_from_working_folder()
    with ExitDeadline(CUT_OFF) as deadline:
        running = _run(names, interval, (host, port), context, deadline)
        reports = run_in_limited_loop(running)
        deadline.code = code = OK if all(item.is_clean for item in reports.values()) else CUT_OFF
    rows = [
        {"name": name, "clean": report.is_clean, **_fields(report)}
        for name, report in reports.items()
    ]
    columns = ("pipeline", "clean", *_NUMBERS)
    lines = [
        [row["name"], "yes" if row["clean"] else "no", *(row[name] for name in _NUMBERS)]
        for row in rows
    ]
    return CommandResult({"pipelines": rows}, [Table(columns, lines)], code=code)


def status(*names: str, context: Context) -> CommandResult:
    """Show the state and the numbers of pipelines; exit with 1 if one needs a person.

    The workers report to the store of the configuration. A pipeline needs a person if it failed,
    or if none of its workers has reported for half a minute although the last has not ended. While
    a worker runs, those that ended more than ten minutes ago are left out.

    Args:
        names: the pipelines; by default all of them.
        context: the options that all commands share.
    """
    settings = selected_pipelines(context, names)
    with opened_store(context.state()) as store:
        statuses = [store.execute(ReadPipeline(control_key(item.name))) for item in settings]
    rows = [_row(item.name, current) for item, current in zip(settings, statuses, strict=True)]
    columns = ("pipeline", "state", "worker", "seconds ago", *_CURRENT_NUMBERS, "last error")
    lines = [_table_row(row, worker) for row in rows for worker in row["workers"] or [None]]
    needs_person = any(row["state"] in {"failed", "silent"} for row in rows)
    refused_letters = {
        f"{row['name']}: {worker['reload_error']}"
        for row in rows
        for worker in row["workers"]
        if worker.get("reload_error")
    }
    return CommandResult(
        {"pipelines": rows},
        [Table(columns, lines), *sorted(refused_letters)],
        code=FAILED if needs_person else OK,
    )


def pause(name: str, /, *, reason: str, context: Context) -> CommandResult:
    """Stop the workers of all processes from running a pipeline, until `stream resume`.

    A running pipeline begins to stop within the seconds between two reports.

    Args:
        name: the pipeline.
        reason: the reason, which `stream status` shows.
        context: the options that all commands share.
    """
    _set_paused(name, reason, context)
    return CommandResult({"name": name, "paused": reason}, [f"paused: {name} ({reason})"])


def resume(name: str, /, *, context: Context) -> CommandResult:
    """End the pause of a pipeline; exit with 1 if it is not paused.

    Args:
        name: the pipeline.
        context: the options that all commands share.
    """
    was_paused = _set_paused(name, None, context)
    line = f"resumed: {name}" if was_paused else f"The pipeline {name} is not paused."
    return CommandResult(
        {"name": name, "resumed": was_paused}, [line], code=OK if was_paused else FAILED
    )


def reset(name: str, /, *, to: str | None = None, context: Context) -> CommandResult:
    """Reset the stored position of a pipeline to the beginning, or to another position.

    moorage stores the positions of pipelines that read from a function, a file or an outbox table.
    A worker that is running the pipeline fails at its next commit; start it again.

    Args:
        name: the pipeline.
        to: the position to continue after, as JSON: 12, or '"a string"'; by default the beginning.
        context: the options that all commands share.
    """
    from moorage.domain.pipelines.checkpoints import (  # noqa: PLC0415 - only this command
        ResetCheckpoint,
        checkpoint_key,
    )

    [settings] = selected_pipelines(context, [name])
    if not settings.has_checkpoints:
        raise ConfigurationError(
            f"moorage does not store the position of the pipeline {name!r}; the source does.",
            path=f"pipelines.{name}.source",
            remedy="Move the position of the consumer group with the tools of the broker.",
        )
    positions = {} if to is None else {"0": _position(to)}
    if settings.row_checkpoints is not None:
        asyncio.run(_reset_row_checkpoints(settings, positions, context))
    else:
        with opened_store(context.state()) as store:
            store.execute(ResetCheckpoint(checkpoint_key(name), positions))
    place = "the beginning" if to is None else f"position {to}"
    return CommandResult({"name": name, "position": to}, [f"reset: {name} continues after {place}"])


def selected_pipelines(context: Context, names: Sequence[str]) -> tuple[PipelineSettings, ...]:
    """Return the pipelines with these names, or all of the configuration.

    Raises:
        ConfigurationError: there are no pipelines, or a name is unknown.
    """
    configured = {settings.name: settings for settings in context.configured().pipelines}
    for name in names:
        if name not in configured:
            raise ConfigurationError(
                f"There is no pipeline named {name[:80]!r}.",
                path="pipelines",
                remedy=f"Use one of: {', '.join(configured) or 'none is configured'}.",
            )
    if not configured:
        raise ConfigurationError(
            "The configuration has no pipelines.",
            path="pipelines",
            remedy="Add a table [pipelines.NAME] with a source and a sink.",
        )
    return tuple(configured[name] for name in names or configured)


async def _run(
    names: tuple[str, ...],
    interval: float,
    place: tuple[str, int | None],
    context: Context,
    deadline: ExitDeadline,
) -> dict[str, PipelineReport]:
    """Run pipelines in this event loop."""
    from moorage.cli.stream_worker import StreamWorker  # noqa: PLC0415 - only this command

    host, port = place
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(StreamWorker(names, interval, context))
        if port is not None:
            from moorage.cli.stream_pages import served_pages  # noqa: PLC0415 - only this command

            served_port = await stack.enter_async_context(served_pages(worker, host, port))
            context.print_progress(
                f"serving http://{host}:{served_port}/metrics, /live, /ready and /health"
            )
        return await worker.run(deadline)


async def _reset_row_checkpoints(
    settings: PipelineSettings, positions: dict[str, int | str], context: Context
) -> None:
    """Replace the position that a sink stores in the same database as its rows."""
    from moorage.config.pipeline_building import reset_row_checkpoints  # noqa: PLC0415 - only this command

    async with opened_async(context) as (hub, _):
        await reset_row_checkpoints(settings, hub, positions)


def _set_paused(name: str, reason: str | None, context: Context) -> bool:
    """Pause a pipeline or end its pause, and return whether it was paused."""
    selected_pipelines(context, [name])
    with opened_store(context.state()) as store:
        was_paused: bool = store.execute(PausePipeline(control_key(name), reason))
    return was_paused


def _fields(report: PipelineReport) -> dict[str, Any]:
    return {**attrs.asdict(report.statistics), "state": report.statistics.state.value}


def _row(name: str, current: PipelineStatus) -> dict[str, Any]:
    """Return the status of a pipeline as plain values."""
    return {
        "name": name,
        "state": _state(current),
        "paused": current.paused,
        "workers": [
            {
                "worker": report.worker,
                "seconds_ago": round(report.age, 1),
                "silent": _is_silent(report),
                **report.fields,
            }
            for report in _shown_workers(current.workers)
        ],
    }


def _table_row(row: Mapping[str, Any], worker: Mapping[str, Any] | None) -> list[Any]:
    """Return the row of a pipeline and one of its workers, with the state of this worker."""
    report = worker or {}
    names = ("worker", "seconds_ago", *_CURRENT_NUMBERS, "last_error")
    if worker is None or row["paused"] is not None:
        state = row["state"]
    else:
        state = "silent" if worker["silent"] else worker["state"]
    return [row["name"], state, *(report.get(name) for name in names)]


def _state(current: PipelineStatus) -> str:
    """Return the state of a pipeline: paused, or the state in its last report."""
    if current.paused is not None:
        return "paused"
    if not current.workers:
        return "never run"
    last_report = current.workers[0]
    return "silent" if _is_silent(last_report) else str(last_report.fields["state"])


def _shown_workers(reports: Sequence[WorkerReport]) -> list[WorkerReport]:
    """Return the reports to show: all, or without those of workers that ended long ago."""
    is_active = any(map(_is_active, reports))
    return [
        report
        for report in reports
        if not is_active or _is_active(report) or report.age <= _SHOWN_SECONDS
    ]


def _is_active(report: WorkerReport) -> bool:
    return not _is_silent(report) and report.fields["state"] not in _END_STATES


def _is_silent(report: WorkerReport) -> bool:
    return report.age > _SILENT_SECONDS and report.fields["state"] not in _END_STATES


def _position(text: str) -> int | str:
    """Return a position, as JSON expresses it.

    Raises:
        ConfigurationError: the position is neither a number nor a text.
    """
    try:
        position = json.loads(text)
    except ValueError:
        position = None
    if isinstance(position, (int, str)) and not isinstance(position, bool):
        return position
    raise ConfigurationError(
        "The position must be a whole number or a JSON string.",
        path="--to",
        remedy="Pass a number such as 12, or a string such as '\"a text\"' with both kinds of"
        " quotation marks.",
    )
