"""A platform with scripted results, for tests of programs that run steps."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.steps.result import ExecutionResult, StepOutcome
from moorage.domain.steps.runs import EndReason, LogChunk, RunPhase, RunStatus
from moorage.domain.steps.step import ConnectorType
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.domain.steps.runs import LogStream, RunSpec
    from moorage.domain.steps.step import Step

_START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_REASONS: Final = {
    StepOutcome.CANCELLED: EndReason.STOPPED,
    StepOutcome.DEADLINE: EndReason.DEADLINE,
}
_PART: Final = 4096


class MockPlatform:
    """A `Platform` that runs nothing: each step ends at once with a result set by the test.

    Args:
        results: the results of each step, by its name; several results belong to its runs in turn,
            and the last of them to all further runs. An exception is raised instead of starting the
            run.
        default: the result of all other steps.
        type: the type of platform that it reports.
        endless: the names of steps whose runs go on until they are stopped.

    Attributes:
        started: the specifications of the started runs, in order.
        stopped: the names of the runs that were stopped.
        removed: the names of the runs that were removed.
    """

    def __init__(
        self,
        results: Mapping[str, _Scripted | Iterable[_Scripted]] | None = None,
        *,
        default: ExecutionResult | None = None,
        type: ConnectorType | str = ConnectorType.MOCK,  # noqa: A002 - the word of its users
        endless: Iterable[str] = (),
    ) -> None:
        self.type = ConnectorType(type)
        self.started: list[RunSpec] = []
        self.stopped: list[str] = []
        self.removed: list[str] = []
        self._default = default or ExecutionResult.success()
        self._endless = frozenset(endless)
        self._scripts = {
            name: deque([script] if isinstance(script, (ExecutionResult, Exception)) else script)
            for name, script in (results or {}).items()
        }
        empty = [name for name, script in self._scripts.items() if not script]
        if empty:
            raise InvalidData(
                f"No result is scripted for the step {empty[0]!r}.",
                field="results",
                remedy="Give at least one result, or leave the step out.",
            )
        self._runs: dict[str, tuple[RunSpec, ExecutionResult]] = {}
        self._lock = Lock()

    def validate(self, step: Step, /) -> None:
        """Accept every step."""

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:  # noqa: ARG002 - a parameter of the port
        """Start a run or find the run with its name; or raise the scripted exception."""
        with self._lock:
            if spec.name not in self._runs:
                result = self._next_result(spec.step.name)
                if isinstance(result, Exception):
                    raise result
                self._runs[spec.name] = spec, result
                self.started.append(spec)
            return self._status(spec.name)

    def status(self, name: str, timeout: float, /) -> RunStatus | None:  # noqa: ARG002 - a parameter of the port
        """Return the status of a run; None if no run has this name."""
        with self._lock:
            return self._status(name) if name in self._runs else None

    def logs(
        self,
        name: str,
        stream: LogStream,
        position: str,
        timeout: float,  # noqa: ARG002 - a parameter of the port
        /,
    ) -> LogChunk:
        """Return at most a few kilobytes of a run's scripted output, beginning at an offset."""
        with self._lock:
            run = self._runs.get(name)
            status = None if run is None else self._status(name)
        if run is None or status is None:
            return LogChunk(b"", position, is_last=True)
        start, output = int(position or 0), getattr(run[1], stream).encode()
        end = start + _PART
        is_last = status.is_over and end >= len(output)
        return LogChunk(output[start:end], str(min(end, len(output))), is_last)

    def stop(self, name: str, grace: float, timeout: float, /) -> None:  # noqa: ARG002 - a parameter of the port
        """End a run immediately, as if by SIGTERM."""
        with self._lock:
            if name in self._runs and not self._status(name).is_over:
                spec, result = self._runs[name]
                stopped = ExecutionResult(
                    exit_code=143,
                    stdout=result.stdout,
                    stderr=result.stderr,
                    outcome=StepOutcome.CANCELLED,
                )
                self._runs[name] = spec, stopped
                self.stopped.append(name)

    def runs(self, timeout: float, /) -> list[RunStatus]:  # noqa: ARG002 - a parameter of the port
        """Return the status of all runs."""
        with self._lock:
            return [self._status(name) for name in self._runs]

    def collect(
        self,
        name: str,
        path: str,
        limit: int,
        timeout: float,  # noqa: ARG002 - a parameter of the port
        /,
    ) -> bytes | None:
        """Return a scripted file of a run."""
        with self._lock:
            run = self._runs.get(name)
        content = None if run is None else run[1].files.get(path)
        return content if content is not None and len(content) <= limit else None

    def remove(self, name: str, timeout: float, /) -> None:  # noqa: ARG002 - a parameter of the port
        """Forget a finished run."""
        with self._lock:
            if name in self._runs and self._status(name).is_over:
                del self._runs[name]
                self.removed.append(name)

    def close(self) -> None:
        """Do nothing, because there are no connections."""

    def _next_result(self, step: str) -> _Scripted:
        script = self._scripts.get(step)
        if script is None:
            return self._default
        return script.popleft() if len(script) > 1 else script[0]

    def _status(self, name: str) -> RunStatus:
        spec, result = self._runs[name]
        facts: dict[str, Any] = {
            "name": name,
            "fingerprint": spec.step.fingerprint,
            "started_at": _START,
            "step": spec.step.name,
            "labels": spec.labels,
        }
        if spec.step.name in self._endless and result.outcome is not StepOutcome.CANCELLED:
            return RunStatus(phase=RunPhase.RUNNING, **facts)
        return RunStatus(
            phase=RunPhase.ENDED,
            exit_code=result.exit_code,
            reason=_REASONS.get(result.outcome, EndReason.EXITED),
            ended_at=_START,
            metadata=dict(result.metadata),
            **facts,
        )


_Scripted = ExecutionResult | Exception
