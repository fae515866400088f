"""Starting, watching and stopping runs of steps, in the way that is common to all clouds.

Laws:

1. A cloud accepts one run per name; a repeated start finds the first run.
2. A run that was just started may not appear in lists yet. Until it does, it counts as started.
3. If a cloud has no time limit of its own, a caller that reads the status of a late run ends it.
4. All times come from the cloud's clock, so that no caller's clock matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.domain.steps.cloud_runs import is_late
from moorage.domain.steps.runs import STREAMS, EndReason, LogChunk
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.steps.cloud_runs import CloudRun
    from moorage.domain.steps.runs import LogStream, RunSpec, RunStatus
    from moorage.domain.steps.step import Step
    from moorage.ports.clock import Clock

_SECOND: Final = 1_000_000_000
_LISTING_SECONDS: Final = 60.0
"""Seconds after a start in which the cloud must show the run."""

_LARGE_CHUNK: Final = 16 * 1024
"""The bytes of a part of a log after which the next part is there at once."""


class Cloud(Protocol):
    """The requests to a cloud's API with which `CloudRuns` starts, finds and ends runs.

    `begin` starts a run, or returns the existing run of this name. `find` returns a run, and takes
    the run's place in the cloud if it is known. `end` asks a run to end for a reason, which `find`
    then reports. `log` returns a part of an output. `has_limit` is True if the cloud ends late
    runs, and `has_streams` is True if it keeps both outputs apart.
    """

    has_limit: bool
    has_streams: bool

    def check(self, step: Step, /) -> None: ...

    def begin(self, spec: RunSpec, timeout: float, /) -> CloudRun: ...

    def find(self, name: str, place: str | None, timeout: float, /) -> CloudRun | None: ...

    def end(self, run: CloudRun, reason: EndReason, timeout: float, /) -> None: ...

    def log(
        self, run: CloudRun, stream: LogStream, position: str, timeout: float, /
    ) -> LogChunk: ...

    def all(self, timeout: float, /) -> Sequence[CloudRun]: ...

    def remove(self, run: CloudRun, timeout: float, /) -> None: ...

    def close(self) -> None: ...


class _SeenRun(NamedTuple):
    """A run of a step, and the time at which its state was read from the cloud."""

    at: int
    run: CloudRun


class CloudRuns:
    """Runs steps in a cloud.

    Args:
        cloud: the requests of the cloud.
        pace: shortest time in seconds between two requests for the state of a run, and between two
            for the end of its output.
        clock: measures that time.
    """

    def __init__(self, cloud: Cloud, pace: float, clock: Clock) -> None:
        self._cloud = cloud
        self._pace = int(pace * _SECOND)
        self._clock = clock
        self._seen: dict[str, _SeenRun] = {}
        self._started: dict[str, int] = {}
        self._read: dict[tuple[str, LogStream], int] = {}
        self._lock = ForkSafeLock()

    def validate(self, step: Step, /) -> None:
        """Refuse a step that the cloud cannot run.

        Raises:
            InvalidData: the step has files, limits its processes, or has an option that this cloud
                does not support.
        """
        if step.workspace.gives_files or step.workspace.takes_files:
            raise InvalidData(
                f"The step {step.name!r} has files, but a cloud platform neither provides nor"
                " collects files.",
                field="workspace",
                remedy="Leave the files in a storage that the step reads and writes itself.",
            )
        if step.resources.processes is not None:
            raise InvalidData(
                f"The step {step.name!r} limits its processes, but a cloud platform cannot limit"
                " them.",
                field="resources.processes",
                remedy="Leave the limit out.",
            )
        self._cloud.check(step)

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find an existing run with its name.

        Raises:
            InvalidData: the cloud cannot run the step.
            AuthenticationFailed: a right is missing.
            VendorRejected: the cloud refuses the run.
            ConnectionFailed: the cloud cannot be reached.
        """
        self.validate(spec.step)
        run = self._cloud.find(spec.name, None, timeout)
        if run is None:
            run = self._cloud.begin(spec, timeout)
        now = self._clock.nanoseconds()
        with self._lock.current:
            self._started[spec.name] = now
            self._seen[spec.name] = _SeenRun(now, run)
        return run.status

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; None if no run has this name.

        A run whose time limit is over is asked to end, unless the cloud does that itself.
        """
        run = self._recent_run(name, timeout)
        return None if run is None else run.status

    def logs(self, name: str, stream: LogStream, position: str, timeout: float, /) -> LogChunk:
        """Return a run's output after `position`; most clouds have only stdout."""
        run = self._recent_run(name, timeout)
        now = self._clock.nanoseconds()
        if run is None or (stream == "stderr" and not self._cloud.has_streams):
            return LogChunk(b"", position, run is None or run.status.is_over)
        with self._lock.current:
            is_early = now < self._read.get((name, stream), 0)
        if is_early:
            return LogChunk(b"", position, is_last=False)
        chunk = self._cloud.log(run, stream, position, timeout)
        if len(chunk.data) < _LARGE_CHUNK:
            with self._lock.current:
                self._read[name, stream] = now + self._pace
        return chunk

    def stop(self, name: str, grace: float, timeout: float, /) -> None:  # noqa: ARG002 - clouds have their own
        """Ask a run to end; the cloud kills it after the cloud's grace period."""
        run = self._current_run(name, timeout)
        if run is not None and not run.status.is_over:
            self._cloud.end(run, EndReason.STOPPED, timeout)
            with self._lock.current:
                # The next status request asks the cloud.
                self._seen.pop(name, None)

    def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs that the cloud has for this platform, by name."""
        return sorted(
            (run.status for run in self._cloud.all(timeout)), key=lambda status: status.name
        )

    def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:  # noqa: ARG002 - there are none
        """Return None, because clouds collect no files."""
        return None

    def remove(self, name: str, timeout: float, /) -> None:
        """Remove a run that has ended, if the cloud can remove runs."""
        run = self._current_run(name, timeout)
        if run is not None and run.status.is_over:
            self._cloud.remove(run, timeout)
            self._forget(name)

    def close(self) -> None:
        """Close the connections; the runs continue."""
        self._cloud.close()

    def _recent_run(self, name: str, timeout: float) -> CloudRun | None:
        """Return a run, read from the cloud at most `pace` ago.

        End the run if it exceeds its limit.
        """
        now = self._clock.nanoseconds()
        with self._lock.current:
            last_status = self._seen.get(name)
        if last_status is not None and now < last_status.at + self._pace:
            return last_status.run
        run = self._current_run(name, timeout)
        if run is not None and not self._cloud.has_limit and is_late(run):
            self._cloud.end(run, EndReason.DEADLINE, timeout)
        return run

    def _current_run(self, name: str, timeout: float) -> CloudRun | None:
        """Return the current state of a run, as the cloud reports it."""
        with self._lock.current:
            last_status, started = self._seen.get(name), self._started.get(name)
        run = self._cloud.find(
            name, None if last_status is None else last_status.run.place, timeout
        )
        now = self._clock.nanoseconds()
        if run is None:
            if (
                last_status is not None
                and started is not None
                and now < started + _LISTING_SECONDS * _SECOND
            ):
                return last_status.run
            self._forget(name)
            return None
        with self._lock.current:
            self._seen[name] = _SeenRun(now, run)
        return run

    def _forget(self, name: str) -> None:
        with self._lock.current:
            self._seen.pop(name, None)
            self._started.pop(name, None)
            for stream in STREAMS:
                self._read.pop((name, stream), None)


def check_command_length(step: Step, length: int, most: int, cloud: str) -> None:
    """Refuse a step whose command and environment are too long for a cloud.

    Args:
        step: the step.
        length: the number of characters that would be sent.
        most: the number of characters that the cloud accepts.
        cloud: the name of the cloud in the message.
    """
    if length > most:
        raise InvalidData(
            f"The command and the environment of the step {step.name!r} are longer than the"
            f" {most:,} characters that {cloud} accepts.",
            field="command",
            remedy="Leave long texts in a storage that the step reads itself.",
        )


def check_no_secrets(step: Step, cloud: str, remedy: str) -> None:
    """Refuse a step with secrets, because the cloud would show them in plain text."""
    if step.secrets:
        raise InvalidData(
            f"The step {step.name!r} has secrets, which {cloud} would show to everybody who can"
            " see the run.",
            field="secrets",
            remedy=remedy,
        )
