"""The pause of a pipeline, and the reports of its workers, in a shared store.

Laws:

1. A pause holds for every worker of the pipeline, also for those that start later, until it ends.
2. A report of a worker replaces its earlier one, and changes nothing of other workers.
3. Reports are bounded in number and age; a pause has no such bounds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.domain.state.keys import checked_name, state_key
from moorage.domain.values.durations import FOREVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.state.commands import State, States

_SECOND: Final = 1_000_000
_REPORT_LIFE: Final = 86_400 * _SECOND
"""Microseconds for which a worker's report is kept."""

_MAX_REPORTS: Final = 20
"""The maximum number of workers' reports that are kept."""


class WorkerReport(NamedTuple):
    """The latest report of a pipeline's worker.

    Attributes:
        worker: the name of the worker.
        age: the seconds since the report.
        fields: the state and the statistics of the pipeline in this worker.
    """

    worker: str
    age: float
    fields: Mapping[str, Any]


class PipelineStatus(NamedTuple):
    """The status of a pipeline: its pause and its workers.

    Attributes:
        paused: the reason of its pause; None if it is not paused.
        workers: the reports of its workers, the newest first.
    """

    paused: str | None
    workers: tuple[WorkerReport, ...]


def control_key(name: str) -> str:
    """Return the state key of a pipeline's pause and reports."""
    return state_key("pipeline", checked_name(name, "name"), None)


@attrs.frozen
class _Control:
    """The base class of commands on a pipeline's pause and reports.

    Attributes:
        key: the key of the pipeline.
    """

    key: str
    once = False
    durable = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The state key of the pipeline."""
        return (self.key,)


@attrs.frozen
class ReportWorker(_Control):
    """The command that stores a worker's report, and returns True if the pipeline is paused.

    Attributes:
        worker: the name of the worker.
        fields: the report, made of plain values.
    """

    worker: str
    fields: Mapping[str, Any]

    def apply(self, states: States, now: int, /) -> tuple[States, bool]:
        """Return the pipeline's state with this report added and old reports removed."""
        pause_reason, reports = _read_state(states[0])
        reports[self.worker] = [now, dict(self.fields)]
        newest_reports = sorted(reports.items(), key=lambda item: item[1][0], reverse=True)[
            :_MAX_REPORTS
        ]
        recent_reports = {
            worker: report for worker, report in newest_reports if now - report[0] < _REPORT_LIFE
        }
        return (_write_state(now, pause_reason, recent_reports),), pause_reason is not None


@attrs.frozen
class PausePipeline(_Control):
    """The command that pauses or resumes a pipeline; returns True if it was paused before.

    Attributes:
        reason: the reason of the pause; None to end it.
    """

    reason: str | None
    once = True
    durable = True

    def apply(self, states: States, now: int, /) -> tuple[States, bool]:
        """Return the pipeline's state after it was paused or resumed."""
        pause_reason, reports = _read_state(states[0])
        return (_write_state(now, self.reason, reports),), pause_reason is not None


@attrs.frozen
class ReadPipeline(_Control):
    """The command that reads a pipeline's pause and reports, as a `PipelineStatus`."""

    def apply(self, states: States, now: int, /) -> tuple[States, PipelineStatus]:
        """Return the unchanged state, and the pipeline's status in it."""
        pause_reason, reports = _read_state(states[0])
        workers = (
            WorkerReport(worker, max(0, now - at) / _SECOND, fields)
            for worker, (at, fields) in reports.items()
        )
        newest_reports = sorted(workers, key=lambda report: (report.age, report.worker))
        return states, PipelineStatus(pause_reason, tuple(newest_reports))


def _read_state(state: State | None) -> tuple[str | None, dict[str, Any]]:
    """Return the reason of a pipeline's pause, and the time and fields of each report."""
    if state is None:
        return None, {}
    pause_reason, reports = json.loads(state[2])
    return pause_reason, reports


def _write_state(now: int, pause_reason: str | None, reports: Mapping[str, Any]) -> State:
    text = json.dumps([pause_reason, reports], sort_keys=True)
    return (now, _REPORT_LIFE if pause_reason is None else FOREVER, text)
