"""Follows the output of a step's run in an asynchronous program, while holding a lease.

`python -m tools.twins` makes `_run_following_sync.py` of this file.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from moorage.domain.entries.renewal import HeldClaim
from moorage.domain.idempotency.claims import LEASE, Claim, Verdict, release_claim
from moorage.domain.steps.following import (
    pause_after,
    pause_after_failures,
    pause_between_polls,
)
from moorage.domain.steps.runs import STREAMS, RunPhase, check_same_step
from moorage.errors import (
    ConnectorError,
    DeadlineExceeded,
    StepRunning,
    StorageUnavailable,
    VendorFailed,
)
from moorage.hub.internals import core_of
from moorage.ports.platform import AsyncEndWaiter
from moorage.runtime.flows import run_later

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.steps.following import FollowedRun
    from moorage.domain.steps.runs import RunSpec, RunStatus
    from moorage.hub._step_log_writer_async import AsyncLogWriter
    from moorage.hub.manager import AsyncConnectorManager
    from moorage.ports.platform import AsyncPlatform

LOOK: Final = 30.0
"""Seconds that one request of a follower may take."""

FINGERPRINT: Final = b"steps"
"""The fingerprint that is stored with the idempotency key of every step."""

_TIMEOUT: Final = 120.0
"""Seconds for which a follower repeats its requests while the platform does not answer."""

_READING_TIMEOUT: Final = 15.0
"""Seconds for which a file is asked for again while the platform answers that it failed.

The platform may fail for this file only, and then the run has its result without the file.
"""

_OVERDUE_SECONDS: Final = 5.0
"""Seconds after the time limit and grace period of a run at which a follower stops the run.

The run is stopped again after as many more seconds. The time limit is counted from the moment at
which a follower first sees that the run has started. Dates are not compared, because the clocks of
platforms differ from the clock of this process, which may be set, too.
"""

_CLAIM_AGAIN: Final = 500_000_000
_FOLLOWER_TTL: Final = 60_000_000


class AsyncRunReader:
    """Reads the output of runs, and repeats requests that fail temporarily.

    Args:
        platform: the platform of the runs.
        manager: the manager, whose clock and sleeper are used.
    """

    def __init__(self, platform: AsyncPlatform, manager: AsyncConnectorManager) -> None:
        self._platform = platform
        self._manager = manager

    async def read_to_end(
        self,
        name: str,
        followed_run: FollowedRun,
        writer: AsyncLogWriter,
        lease: AsyncFollowerLease | None = None,
        spec: RunSpec | None = None,
        *,
        patience: float | None = None,
    ) -> RunStatus | None:
        """Read the output of a run to its end, and return its last status.

        Args:
            name: the name of the run.
            followed_run: receives the output.
            writer: writes the lines to the user's log.
            lease: shows other processes that this one follows the run; None if the run is not to be
                settled.
            spec: the specification that the run was started with; None if the run is not to be
                settled.
            patience: the seconds for which to follow the run; by default until its end.

        Raises:
            StepRunning: the run has not ended after these seconds.
        """
        core = core_of(self._manager)
        start_time = core.nanoseconds()
        rounds: deque[bool] = deque(maxlen=40)
        failures, failing_since, has_ended = 0, 0, False
        stop_at: int | None = None
        while True:
            try:
                if lease is not None:
                    await lease.keep()
                status = await self._platform.status(name, LOOK)
                if status is None:
                    return None
                if spec is not None:
                    check_same_step(status, spec.step)
                is_new = await self.read(name, followed_run, writer)
                failures = 0
            except ConnectorError as error:
                failures += 1
                failing_since = core.nanoseconds() if failures == 1 else failing_since
                is_patient = core.nanoseconds() < failing_since + _TIMEOUT * 1e9
                gives_up = (
                    not error.retryable or not is_patient or self._has_waited(start_time, patience)
                )
                # Lines that were read before are stored even while the platform does not answer.
                await writer.write((), is_end=gives_up)
                if gives_up:
                    raise
                await run_later(core.sleep(pause_after_failures(failures)))
                continue
            if status.is_over and len(followed_run.ended) == len(STREAMS):
                return status
            stop_at = await self._stop_overdue(spec, status, stop_at)
            rounds.append(is_new)
            if self._has_waited(start_time, patience):
                await writer.write((), is_end=True)
                raise self._running(status)
            if not is_new:
                is_running = status.phase is RunPhase.RUNNING
                # If a platform reported an end too early, it is not asked again at once.
                has_ended = await self._pause(name, rounds, can_wait=is_running and not has_ended)

    def _has_waited(self, start_time: int, patience: float | None) -> bool:
        """Return whether the caller's time limit for waiting is over."""
        if patience is None:
            return False
        return core_of(self._manager).nanoseconds() >= start_time + patience * 1e9

    def _running(self, status: RunStatus) -> StepRunning:
        """Return the error for a run that has not ended, with the time of the next check."""
        now = core_of(self._manager).utc()
        age = 0.0 if status.started_at is None else (now - status.started_at).total_seconds()
        name = status.name if status.step is None else status.step
        return StepRunning(
            f"The step {name!r} is still running.",
            retry_at=now + timedelta(seconds=pause_between_polls(age)),
        )

    async def read(self, name: str, followed_run: FollowedRun, writer: AsyncLogWriter) -> bool:
        """Read the next part of each output stream, and return whether there was anything new."""
        is_new = False
        for stream in STREAMS:
            if stream not in followed_run.ended:
                position = followed_run.chunk_positions[stream]
                chunk = await self._platform.logs(name, stream, position, LOOK)
                await writer.write(followed_run.take(stream, chunk))
                is_new = is_new or len(chunk.data) > 0
        return is_new

    async def collect(
        self, name: str, path: str, largest_size: int, patience: float | None
    ) -> bytes | None:
        """Return a file that a run left; None if it does not exist.

        Args:
            name: the name of the run.
            path: the path of the file.
            largest_size: the largest size of the file in bytes.
            patience: the seconds for which to repeat requests while the platform does not answer;
                by default two minutes.

        Raises:
            ConnectorError: the platform does not answer, or cannot read the file.
        """
        core = core_of(self._manager)
        start_time, failures = core.nanoseconds(), 0
        while True:
            try:
                return await self._platform.collect(name, path, largest_size, LOOK)
            except ConnectorError as error:
                is_platform = isinstance(error, VendorFailed)
                limit_time = start_time + (_READING_TIMEOUT if is_platform else _TIMEOUT) * 1e9
                is_over = core.nanoseconds() >= limit_time or (
                    not is_platform and self._has_waited(start_time, patience)
                )
                if not error.retryable or is_over:
                    raise
                failures += 1
            await run_later(core.sleep(pause_after_failures(failures)))

    async def _pause(self, name: str, rounds: Sequence[bool], *, can_wait: bool) -> bool:
        """Pause before the next reading of a run; return whether the run ended during the pause."""
        platform = self._platform
        if can_wait and isinstance(platform, AsyncEndWaiter) and platform.can_wait:
            with suppress(ConnectorError):
                return await platform.wait(name, pause_after(rounds, ends_with_run=True))
        await run_later(core_of(self._manager).sleep(pause_after(rounds)))
        return False

    async def _stop_overdue(
        self, spec: RunSpec | None, status: RunStatus, stop_at: int | None
    ) -> int | None:
        """Stop a run that its platform did not end in time, if this reader may record its end.

        Returns:
            The time of the next attempt to stop the run; None if it is not known yet.
        """
        now = core_of(self._manager).nanoseconds()
        if spec is None or status.is_over or status.started_at is None:
            return stop_at
        if stop_at is None:
            return now + int((spec.step.timeout + spec.step.grace + _OVERDUE_SECONDS) * 1e9)
        if now < stop_at:
            return stop_at
        with suppress(ConnectorError):
            await self._platform.stop(spec.name, 0.0, LOOK)
        return now + int(_OVERDUE_SECONDS * 1e9)


class AsyncFollowerLease:
    """The lease by which a process shows that it is following a run."""

    def __init__(self, manager: AsyncConnectorManager, key: str) -> None:
        self._core = core_of(manager)
        self._key = key
        self._held: HeldClaim | None = None
        self._next = 0

    @property
    def fence(self) -> int:
        """The fencing token of the lease, which is higher for each later holder."""
        assert self._held is not None  # noqa: S101 - called by its holder
        return self._held.fence

    async def keep(self) -> None:
        """Take the lease and renew it from now on, unless another process owns it."""
        now = self._core.nanoseconds()
        is_held = self._held is not None and not self._held.lost
        if is_held or now < self._next or not self._core.renewals.renews:
            return
        self._next = now + _CLAIM_AGAIN
        # A failing store must not prevent a process from following a run.
        with suppress(StorageUnavailable, DeadlineExceeded):
            await self.acquire()

    async def acquire(self) -> bool:
        """Take the lease; return False if another process owns it."""
        core, start_time = self._core, self._core.nanoseconds()
        lease = core.renewals.lease(LEASE)
        command = Claim(
            self._key,
            fingerprint=FINGERPRINT,
            owner=core.token(),
            lease=lease,
            ttl=_FOLLOWER_TTL,
            target="",
            remembered=0,
        )
        claim_result = await run_later(core.execute(command, LOOK))
        if claim_result.verdict is not Verdict.RUN:
            return False
        end = start_time + lease * 1000
        self._held = HeldClaim(self._key, claim_result.fence, ttl=_FOLLOWER_TTL, until=end)
        core.renewals.keep(self._held)
        return True

    def release(self) -> None:
        """Release the lease."""
        held_lines, self._held = self._held, None
        if held_lines is not None:
            self._core.renewals.stop_renewing(held_lines)
            self._core.post(release_claim(self._key, held_lines.fence, ttl=_FOLLOWER_TTL))
