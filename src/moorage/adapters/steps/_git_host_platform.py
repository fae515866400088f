"""Starting, watching and stopping runs of steps, in the way that is common to all git hosts.

Laws:

1. A run is claimed before it is dispatched. The claim is an object on the host, such as a git ref,
   whose name only one caller can create. It contains a note with the facts of the run.
2. Only the caller that has the claim dispatches the run, and only once. If the answer is lost, the
   run is looked up by its name. A run that does not appear in time is lost; nothing is dispatched a
   second time.
3. If an error response proves that nothing was dispatched, the claim is removed.
4. All times come from the host's clock, so that no caller's clock matters.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.domain.steps.hosted_runs import (
    RunNote,
    hosted_status,
    is_late,
    must_be_killed,
)
from moorage.domain.steps.runs import LogChunk
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from moorage.domain.steps.hosted_runs import HostedRun
    from moorage.domain.steps.runs import LogStream, RunSpec, RunStatus
    from moorage.domain.steps.step import Step

_LARGE_PART: Final = 512 * 1024
"""The bytes of a part of a log after which the next part is there at once."""

_NOTHING_SENT: Final = (AuthenticationFailed, RateLimitExceeded, VendorRejected, InvalidData)


class Claim(NamedTuple):
    """A run's claim: its note, the host's time, and the version of the object that stores it."""

    note: RunNote
    now: datetime
    version: str = ""


class GitHost(Protocol):
    """The requests to a git host's API with which `GitHostRuns` starts, finds and ends runs.

    `claim` creates a claim, and returns None if another caller has created it. `change` changes the
    note of a claim, whatever others change at the same time. `begin` dispatches a run; it returns
    None if the host does not return the run's number. `find` looks for a run by its name.
    """

    def check(self, step: Step, /) -> None: ...

    def target(self, step: Step, /) -> str: ...

    def now(self, timeout: float, /) -> datetime: ...

    def claim(self, note: RunNote, timeout: float, /) -> Claim | None: ...

    def claim_of(self, name: str, timeout: float, /) -> Claim | None: ...

    def claims(self, timeout: float, /) -> Sequence[Claim]: ...

    def change(
        self, name: str, change: Callable[[RunNote], RunNote], timeout: float, /
    ) -> Claim | None: ...

    def give_back(self, name: str, timeout: float, /) -> None: ...

    def begin(self, spec: RunSpec, timeout: float, /) -> int | None: ...

    def find(self, note: RunNote, timeout: float, /) -> int | None: ...

    def run(self, note: RunNote, number: int, timeout: float, /) -> HostedRun | None: ...

    def cancel(self, number: int, timeout: float, /, *, is_forced: bool) -> None: ...

    def log(self, number: int, position: str, timeout: float, /, *, is_over: bool) -> LogChunk: ...

    def file(self, number: int, path: str, limit: int, timeout: float, /) -> bytes | None: ...


class GitHostRuns:
    """Runs steps on a git host.

    Args:
        host: the requests of the host.
        pace: shortest time in seconds between two requests for the state of a run.
        lost_after: seconds after a claim in which its run must appear.
    """

    def __init__(self, host: GitHost, pace: float, lost_after: float) -> None:
        self._host = host
        self._pace = pace
        self._lost_after = timedelta(seconds=lost_after)
        self._numbers: dict[str, int] = {}
        self._seen: dict[str, tuple[float, RunStatus]] = {}
        self._read: dict[str, float] = {}
        self._lock = ForkSafeLock()

    def validate(self, step: Step, /) -> None:
        """Refuse a step that a git host cannot run.

        Raises:
            InvalidData: the step names an image, has secrets, files or limits, or has no valid
                target.
        """
        problem = None
        if step.image is not None:
            problem = ("image", "names an image", "Name the image in the pipeline file.")
        elif step.secrets:
            remedy = (
                "Store them at the git host, which shows inputs to everybody who can see a run."
            )
            problem = ("secrets", "has secrets", remedy)
        elif step.workspace.gives_files:
            problem = ("workspace", "has files", "Let the step fetch them, or commit them.")
        elif step.resources != type(step.resources)():
            problem = ("resources", "limits its resources", "Choose a runner with these limits.")
        if problem is not None:
            field, text, remedy = problem
            raise InvalidData(
                f"The step {step.name!r} {text}, which a git host does not accept.",
                field=field,
                remedy=remedy,
            )
        self._host.check(step)

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find an existing run with its name.

        Raises:
            InvalidData: the host cannot run the step.
            AuthenticationFailed: the token lacks a right.
            VendorRejected: the host refuses the run, or a person must approve it.
            ConnectionFailed: the host cannot be reached.
        """
        self.validate(spec.step)
        deadline = monotonic() + timeout
        if self._host.claim_of(spec.name, timeout) is None:
            note = RunNote.of(
                spec,
                self._host.target(spec.step),
                owner=token_hex(16),
                now=self._host.now(timeout),
            )
            if self._host.claim(note, max(0.1, deadline - monotonic())) is not None:
                self._begin(spec, max(0.1, deadline - monotonic()))
        status = self._status_of_run(spec.name, max(0.1, deadline - monotonic()))
        if status is None:
            raise ConnectionFailed(f"The claim of the run {spec.name} was removed at its start.")
        return status

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; None if no run has this name.

        A run whose time limit has passed is asked to end.

        Raises:
            VendorRejected: a person must approve the run before it begins.
        """
        with self._lock.current:
            last_status = self._seen.get(name)
        if last_status is not None and monotonic() < last_status[0] + self._pace:
            return last_status[1]
        return self._status_of_run(name, timeout)

    def logs(self, name: str, stream: LogStream, position: str, timeout: float, /) -> LogChunk:
        """Return a run's output after `position`; a git host has one output per job."""
        status = self.status(name, timeout)
        number = self._numbers.get(name)
        is_over = status is None or status.is_over
        with self._lock.current:
            is_early = not is_over and monotonic() < self._read.get(name, 0.0)
        if stream == "stderr" or number is None or status is None or is_early:
            return LogChunk(b"", position, is_over)
        chunk = self._host.log(number, position, timeout, is_over=is_over)
        if len(chunk.data) < _LARGE_PART:
            with self._lock.current:
                self._read[name] = monotonic() + self._pace
        return chunk

    def stop(self, name: str, grace: float, timeout: float, /) -> None:
        """Ask a run to end; if `grace` is 0, kill it at once, otherwise the host's rules apply."""
        status = self._status_of_run(name, timeout, needs_approval=False)
        if status is None or status.is_over:
            return
        self._host.change(name, _as_stopped, timeout)
        number = self._numbers.get(name)
        if number is not None:
            self._host.cancel(number, timeout, is_forced=grace <= 0)
        with self._lock.current:
            self._seen.pop(name, None)

    def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs of this scope, by name."""
        claims = sorted(self._host.claims(timeout), key=lambda claim: claim.note.name)
        return [self._status(claim, timeout)[0] for claim in claims]

    def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a file from a run's artifact; None if it does not exist or is too large."""
        status, number = self._status_of_run(name, timeout), self._numbers.get(name)
        if status is None or not status.is_over or number is None:
            return None
        return self._host.file(number, path, limit, timeout)

    def remove(self, name: str, timeout: float, /) -> None:
        """Forget a finished run; the git host keeps its own record and the log of the run."""
        status = self._status_of_run(name, timeout)
        if status is not None and status.is_over:
            self._host.give_back(name, timeout)
            self._forget(name)

    def close(self) -> None:
        """Do nothing, because no connection stays open; the runs continue."""

    def _forget(self, name: str) -> None:
        with self._lock.current:
            for facts in (self._seen, self._numbers, self._read):
                facts.pop(name, None)

    def _begin(self, spec: RunSpec, timeout: float) -> None:
        """Start a run on the host, after this caller has claimed it."""
        try:
            number = self._host.begin(spec, timeout)
        except ConnectorError as error:
            is_of_host = isinstance(error, (ConnectionFailed, VendorFailed))
            may_run = is_of_host and error.may_have_been_processed
            if may_run and not isinstance(error, _NOTHING_SENT):
                # The run is looked up by its name.
                return
            with suppress(ConnectorError):
                self._host.give_back(spec.name, timeout)
            raise
        if number is not None:
            with self._lock.current:
                self._numbers[spec.name] = number
            # If the note contains no number, the run is looked up by its name.
            with suppress(ConnectorError):
                self._host.change(spec.name, lambda note: _with_number(note, number), timeout)

    def _status_of_run(
        self, name: str, timeout: float, *, needs_approval: bool = True
    ) -> RunStatus | None:
        """Return a run's status; end the run if its time limit is over.

        Args:
            name: the name of the run.
            timeout: the time limit in seconds.
            needs_approval: whether a run that a person must approve is an error.
        """
        claim = self._host.claim_of(name, timeout)
        if claim is None:
            self._forget(name)
            return None
        status, run = self._status(claim, timeout)
        if needs_approval and run is not None and run.approval is not None:
            raise VendorRejected(
                "The run waits for a person's approval.",
                remedy=f"Approve it at {run.approval}; then repeat the call with its key.",
            )
        if run is not None and is_late(claim.note, run, claim.now):
            self._end_late(claim, run, timeout)
        with self._lock.current:
            self._seen[name] = monotonic(), status
        return status

    def _status(self, claim: Claim, timeout: float) -> tuple[RunStatus, HostedRun | None]:
        """Return a claimed run's status, and the host's description of it."""
        note = claim.note
        number = self._numbers.get(note.name) or note.run
        if number is None:
            number = self._host.find(note, timeout)
            if number is not None and note.is_stopped:
                self._host.cancel(number, timeout, is_forced=False)
        if number is None:
            is_lost = claim.now > note.claimed_at + self._lost_after
            return hosted_status(note, None, is_lost=is_lost), None
        with self._lock.current:
            self._numbers[note.name] = number
        run = self._host.run(note, number, timeout)
        return hosted_status(note, run, is_lost=True), run

    def _end_late(self, claim: Claim, run: HostedRun, timeout: float) -> None:
        """Ask a run that exceeded its time limit to end; kill it after its grace period."""
        note = claim.note
        if not (note.is_late or note.is_stopped):
            self._host.change(note.name, _as_late, timeout)
            self._host.cancel(run.number, timeout, is_forced=False)
        elif must_be_killed(note, run, claim.now):
            self._host.cancel(run.number, timeout, is_forced=True)


def _as_stopped(note: RunNote) -> RunNote:
    return note if note.is_late else note.changed(is_stopped=True)


def _as_late(note: RunNote) -> RunNote:
    return note if note.is_stopped else note.changed(is_late=True)


def _with_number(note: RunNote, number: int) -> RunNote:
    return note.changed(run=number)
