"""Lets asynchronous programs use a synchronous platform for steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.ports.platform import EndWaiter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.steps.runs import LogChunk, LogStream, RunSpec, RunStatus
    from moorage.domain.steps.step import ConnectorType, Step
    from moorage.ports.platform import Platform


class AsyncPlatformInThreads:
    """An `AsyncPlatform` that calls a synchronous platform in threads.

    Args:
        platform: the synchronous platform.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @property
    def type(self) -> ConnectorType:
        """The type of the platform."""
        return self._platform.type

    def validate(self, step: Step, /) -> None:
        """Refuse a step that the platform cannot run."""
        self._platform.validate(step)

    async def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find an existing run with its name."""
        return await run_in_thread(partial(self._platform.start, spec, timeout))

    async def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run."""
        return await run_in_thread(partial(self._platform.status, name, timeout))

    async def logs(
        self, name: str, stream: LogStream, position: str, timeout: float, /
    ) -> LogChunk:
        """Return the output of a run after `position`."""
        return await run_in_thread(partial(self._platform.logs, name, stream, position, timeout))

    @property
    def can_wait(self) -> bool:
        """True if the platform can wait for the end of a run."""
        return isinstance(self._platform, EndWaiter) and self._platform.can_wait

    async def wait(self, name: str, seconds: float, /) -> bool:
        """Wait some seconds for the end of a run; return whether it ended."""
        assert isinstance(self._platform, EndWaiter)  # noqa: S101 - `can_wait` says so
        return await run_in_thread(partial(self._platform.wait, name, seconds))

    async def stop(self, name: str, grace: float, timeout: float, /) -> None:
        """Ask a run to end."""
        await run_in_thread(partial(self._platform.stop, name, grace, timeout))

    async def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs."""
        return await run_in_thread(partial(self._platform.runs, timeout))

    async def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return an output file of a run."""
        return await run_in_thread(partial(self._platform.collect, name, path, limit, timeout))

    async def remove(self, name: str, timeout: float, /) -> None:
        """Remove a run that has ended."""
        await run_in_thread(partial(self._platform.remove, name, timeout))

    async def close(self) -> None:
        """Close the platform's connections."""
        await run_in_thread(self._platform.close)
