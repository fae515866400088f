"""Platforms, which run steps under names and remember the status of each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.steps.runs import LogChunk, LogStream, RunSpec, RunStatus
    from moorage.domain.steps.step import ConnectorType, Step


class DescribedPlatform(Protocol):
    """The members that synchronous and asynchronous platforms have in common.

    `type` is the type of the platform. `validate` raises `InvalidData` for a step that the platform
    cannot run, such as one without an image; it opens no connection.
    """

    @property
    def type(self) -> ConnectorType:
        """The type of the platform."""
        ...

    def validate(self, step: Step, /) -> None:
        """Refuse a step that the platform cannot run."""
        ...


class Platform(DescribedPlatform, Protocol):
    """A system that runs steps. A run has a name, and the platform remembers its runs.

    `start` starts a run, or finds the run that already has its name, and returns its status. Any
    number of callers may start the same name concurrently, in any number of processes: one run
    begins. A run goes on if the process that started it dies, and the platform itself ends it after
    the step's timeout, with everything that the step started: first with the signal SIGTERM, and
    with SIGKILL after the step's grace. A step sees only the declared environment. Each secret is
    in a file whose path is in the variable NAME_FILE, and no description that the platform shows
    contains it.

    `status` returns the status of a run, and None if the platform has no run of this name.

    `logs` returns the output of a run after a position; the empty string is the beginning.
    `logs` returns immediately, and at most about a megabyte: an empty part if there is nothing new.
    The same position always leads to the same bytes, over any number of connections.

    `stop` asks a run to end and returns immediately; the run is killed after `grace` seconds.
    Nothing happens if it has ended.

    `runs` returns the status of all runs that were started by `start` and not removed. If the
    platform cannot describe a run in time, the status of this run has the known facts and a
    `problem`; the other runs are returned as usual.

    `collect` returns a file of the working directory of a run that has ended; None if there is no
    such regular file inside the directory, or if it has more than `limit` bytes.

    `remove` removes a run that has ended, with its output; it does nothing if there is none.

    Each method ends within about `timeout` seconds, and raises errors of moorage only. Several
    threads may call the methods concurrently. `close` may be called repeatedly, and stops no run.
    """

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find the run of this name."""
        ...

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; None if no run has this name."""
        ...

    def logs(self, name: str, stream: LogStream, position: str, timeout: float, /) -> LogChunk:
        """Return the output of a run after `position`."""
        ...

    def stop(self, name: str, grace: float, timeout: float, /) -> None:
        """Ask a run to end, and have it killed after `grace` seconds."""
        ...

    def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs."""
        ...

    def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a file that a run has produced; None if it does not exist.

        Raises:
            ConnectorError: the file cannot be read now; if the error is not retryable, never.
        """
        ...

    def remove(self, name: str, timeout: float, /) -> None:
        """Remove a run that has ended."""
        ...

    def close(self) -> None:
        """Close the connections to the platform; runs continue."""
        ...


class AsyncPlatform(DescribedPlatform, Protocol):
    """The asynchronous `Platform`; `AsyncPlatformInThreads` adapts a synchronous one."""

    async def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Start a run, or find the run of this name."""
        ...

    async def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; None if no run has this name."""
        ...

    async def logs(
        self, name: str, stream: LogStream, position: str, timeout: float, /
    ) -> LogChunk:
        """Return the output of a run after `position`."""
        ...

    async def stop(self, name: str, grace: float, timeout: float, /) -> None:
        """Ask a run to end, and have it killed after `grace` seconds."""
        ...

    async def runs(self, timeout: float, /) -> Sequence[RunStatus]:
        """Return the status of all runs."""
        ...

    async def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Return a file that a run has produced; None if it does not exist.

        Raises:
            ConnectorError: the file cannot be read now; if the error is not retryable, never.
        """
        ...

    async def remove(self, name: str, timeout: float, /) -> None:
        """Remove a run that has ended."""
        ...

    async def close(self) -> None:
        """Close the connections to the platform; runs continue."""
        ...


@runtime_checkable
class EndWaiter(Protocol):
    """The optional methods of a platform that can wait for the end of a run.

    Without them the caller polls the status of the run, and notices the end a little late.
    `can_wait` is True if `wait` may be called. `wait` blocks until a run has ended, and returns
    True then; it returns False after `seconds`. `wait` raises errors of moorage only, after which
    the follower looks at the run as usual.
    """

    @property
    def can_wait(self) -> bool:
        """True if the platform can wait for the end of a run."""
        ...

    def wait(self, name: str, seconds: float, /) -> bool:
        """Wait up to some seconds for the end of a run; return whether the run has ended."""
        ...


@runtime_checkable
class AsyncEndWaiter(Protocol):
    """The asynchronous `EndWaiter`."""

    @property
    def can_wait(self) -> bool:
        """True if the platform can wait for the end of a run."""
        ...

    async def wait(self, name: str, seconds: float, /) -> bool:
        """Wait up to some seconds for the end of a run; return whether the run has ended."""
        ...


@attrs.frozen(kw_only=True)
class PlatformKind:
    """A kind of platform, which a package declares under the entry point `moorage.platforms`.

    Attributes:
        name: the name of the kind, which is also the type of its connectors.
        settings: the class of its settings, made with attrs. Each field is a setting of
            `[steps.NAME]`, with its description from the class's docstring. A field of the type
            `Secret` may be written as a reference such as "secret://env/NAME".
        build: makes a platform from its settings. `build` opens no connection.
    """

    name: str
    settings: type[Any]
    build: Callable[[Any], Platform]
