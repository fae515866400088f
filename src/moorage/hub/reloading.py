"""Reloads a hub when its configuration file changes or a signal arrives."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.concurrency.thread_start import start_thread
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError, ConnectorError, LocalFailure
from moorage.runtime.flows import documented_by

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import timedelta
    from types import FrameType, TracebackType

    from moorage.domain.observation.events import Reloaded
    from moorage.hub.origin import Origin

R = TypeVar("R")

_MAX_BYTES: Final = 16_000_001
"""The number of bytes that are compared; a configuration file with so many is refused."""


async def run_in_thread_if_needed(work: Callable[[], R]) -> R:
    """Run a synchronous function; use a thread if an asyncio event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # the event loop of another library
        return work()
    return await to_thread(work)


async def run_to_end(work: Callable[[], R], report: Callable[[R], object]) -> R:
    """Run a synchronous function in a thread, and report its result even to a cancelled caller.

    Without a running asyncio event loop, the function runs in this thread.

    Args:
        work: the function, which a cancellation cannot stop.
        report: receives the result before the caller does.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # the event loop of another library
        result = work()
        report(result)
        return result

    def report_result(ended_task: asyncio.Task[R]) -> None:
        if not ended_task.cancelled() and ended_task.exception() is None:
            report(ended_task.result())

    task = asyncio.create_task(to_thread(work))
    task.add_done_callback(report_result)
    return await asyncio.shield(task)


def _unusable_signal() -> ConfigurationError:
    return ConfigurationError(
        "This thread cannot handle one of these signals.",
        path="signals",
        remedy="Watch in the main thread and for signals such as signal.SIGHUP, or watch without"
        " signals.",
    )


def _handler_not_restorable(number: signal.Signals) -> ConfigurationError:
    return ConfigurationError(
        f"The handler of {signal.Signals(number).name} was not installed by Python (for example"
        " under uWSGI), so moorage cannot restore it.",
        path="signals",
        remedy="Leave this signal to the host: watch with `every`, or for another signal.",
    )


def _foreign_failure(error: Exception) -> ConnectorError:
    """Return the error of a watched reload that raised anything, without the exception's text."""
    if isinstance(error, ConnectorError):
        return error
    return LocalFailure(
        f"The reload raised {type(error).__name__}.",
        remedy="Call `reload` to see where; a vendor or connector of another package may be wrong.",
    )


class _WatchedFile:
    """The current configuration file of a hub, with the digest of its content when last checked."""

    def __init__(
        self,
        find_origin: Callable[[], Origin | None],
        failed: Callable[[ConnectorError], None],
        every: float | timedelta | None,
        signals: Iterable[signal.Signals],
    ) -> None:
        self._find_origin = find_origin
        if self._path() is None:
            raise ConfigurationError(
                "This hub was not opened from a file.",
                path="configuration",
                remedy="Open it with moorage.open('moorage.toml'), or call `reload` yourself.",
            )
        self._tell_failed_reload = failed
        self._every = None if every is None else seconds(every, "every")
        self._signals = tuple(dict.fromkeys(signals))
        self._read = self._seen = self._content()

    def _check_signals(self) -> None:
        """Refuse signals whose current handlers cannot be restored later."""
        for number in self._signals:
            try:
                handler = signal.getsignal(number)
            except (TypeError, ValueError):
                raise _unusable_signal() from None
            if handler is None:
                raise _handler_not_restorable(number)

    def _path(self) -> Path | None:
        """Return the path of the hub's current configuration file; None for a mapping."""
        origin = self._find_origin()
        if origin is None or isinstance(origin.source, Mapping):
            return None
        return Path(origin.source)

    def _content(self) -> bytes | None:
        """Return a digest of the configuration file's content; None if it cannot be read."""
        path = self._path()
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                return sha256(file.read(_MAX_BYTES)).digest()
        except OSError:
            return None

    def _has_changed(self) -> bool:
        """Return whether the configuration file has changed since the last call."""
        previous_bytes, self._read = self._read, self._content()
        return previous_bytes != self._read

    def _report_failure(self, error: ConnectorError) -> None:
        """Tell observers of a failed reload, and read the file again later if it has no mistake."""
        if error.retryable or not isinstance(error, ConfigurationError):
            self._read = None
        self._tell_failed_reload(error)

    def _is_unchanged(self) -> bool:
        """Return whether the file is the same as at the last call, so that no one is writing it."""
        last_content, self._seen = self._seen, self._content()
        return last_content == self._seen


class ConfigurationWatch(_WatchedFile):
    """Reloads a hub's configuration when its file changes; see `Hub.watch`."""

    def __init__(
        self,
        find_origin: Callable[[], Origin | None],
        reload: Callable[[], Reloaded],
        failed: Callable[[ConnectorError], None],
        every: float | timedelta | None,
        signals: Iterable[signal.Signals],
    ) -> None:
        super().__init__(find_origin, failed, every, signals)
        self._reload = reload
        self._threads: list[threading.Thread] = []
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._before: dict[signal.Signals, Any] = {}

    def check(self, *, anyway: bool = False) -> Reloaded | None:
        """Reload the configuration if its file has changed since the last call.

        Args:
            anyway: True to read the file even if it has not changed.

        Returns:
            The changes; None if the file was not read, or has a mistake, which observers are
                notified of.
        """
        if not self._has_changed() and not anyway:
            return None
        try:
            return self._reload()
        except ConnectorError as error:
            self._report_failure(error)
            return None

    def __enter__(self) -> Self:
        try:
            self._check_signals()
            for number in self._signals:
                self._before[number] = signal.signal(number, self._wake_watcher)
        except (OSError, ValueError):
            self._restore_handlers()
            raise _unusable_signal() from None
        try:
            self._start()
        except BaseException:
            self._restore_handlers()
            raise
        in_child(self, ConfigurationWatch._restart_thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore_handlers()
        self._bell.put(False)
        while self._threads:
            self._threads.pop().join()

    def _restore_handlers(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _start(self) -> None:
        self._bell = SimpleQueue()
        thread = threading.Thread(
            target=self._watch_file, args=(self._bell,), name="moorage-watch", daemon=True
        )
        start_thread(thread)
        self._threads = [thread]

    def _restart_thread(self) -> None:  # pragma: no cover - runs in forked children
        """Restart the watching thread in a forked child process."""
        if self._threads:
            self._start()

    def _wake_watcher(self, _number: int, _frame: FrameType | None) -> None:
        # A signal handler may do nothing else, because it may interrupt any code of the main
        # thread.
        self._bell.put(True)

    def _watch_file(self, wake_signal: SimpleQueue[bool]) -> None:
        while True:
            signal_arrived = None
            with suppress(Empty):
                signal_arrived = wake_signal.get(timeout=self._every)
            if signal_arrived is False:
                return
            if signal_arrived or self._is_unchanged():
                try:
                    self.check(anyway=signal_arrived is True)
                except Exception as error:  # noqa: BLE001 - the watch goes on, and observers hear of it
                    self._report_failure(_foreign_failure(error))


class AsyncConfigurationWatch(_WatchedFile):
    """The asynchronous `ConfigurationWatch`, which runs in a task instead of a thread."""

    def __init__(
        self,
        find_origin: Callable[[], Origin | None],
        reload: Callable[[], Awaitable[Reloaded]],
        failed: Callable[[ConnectorError], None],
        every: float | timedelta | None,
        signals: Iterable[signal.Signals],
    ) -> None:
        super().__init__(find_origin, failed, every, signals)
        self._reload = reload
        self._tasks: list[asyncio.Task[None]] = []
        self._before: dict[signal.Signals, Any] = {}

    @documented_by(ConfigurationWatch.check)
    async def check(self, *, anyway: bool = False) -> Reloaded | None:  # noqa: D102 - documented by its twin
        if not await run_in_thread_if_needed(self._has_changed) and not anyway:
            return None
        try:
            return await self._reload()
        except ConnectorError as error:
            self._report_failure(error)
            return None

    async def __aenter__(self) -> Self:
        loop, reload_event = asyncio.get_running_loop(), asyncio.Event()
        self._check_signals()
        try:
            for number in self._signals:
                previous_handler = signal.getsignal(number)
                loop.add_signal_handler(number, reload_event.set)
                self._before[number] = previous_handler
        except RuntimeError:
            self._restore_handlers(loop)
            raise _unusable_signal() from None
        self._tasks.append(loop.create_task(self._watch_file(reload_event)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore_handlers(asyncio.get_running_loop())
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            # Awaiting the task directly would confuse the cancellation of this caller with that of
            # the task.
            await asyncio.wait([task])

    def _restore_handlers(self, loop: asyncio.AbstractEventLoop) -> None:
        for number, handler in self._before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        self._before.clear()

    async def _watch_file(self, wake_signal: asyncio.Event) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(wake_signal.wait(), self._every)
            is_rung = wake_signal.is_set()
            wake_signal.clear()
            try:
                if is_rung or await run_in_thread_if_needed(self._is_unchanged):
                    await self.check(anyway=is_rung)
            except Exception as error:  # noqa: BLE001 - the watch goes on, and observers hear of it
                self._report_failure(_foreign_failure(error))
