"""Looking after a configuration: reading it anew when its file has changed, or a signal comes."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import timedelta
    from types import FrameType, TracebackType

    from moorage.contracts.offer import Offer
    from moorage.domain.observation.events import Reloaded

R = TypeVar("R")

Source: TypeAlias = "Mapping[str, Any] | str | os.PathLike[str]"
"""What a configuration is read from: a file, or the mapping that one holds."""


class Origin:
    """Where the configuration of a hub comes from, and what reads it.

    Who prints the attributes of a hub sees none of a mapping, which may hold secrets.
    """

    __slots__ = ("_source", "read")

    def __init__(self, source: Source, read: Callable[[Source], Offer]) -> None:
        def held() -> Source:
            return source

        self._source = held
        self.read = read

    @property
    def source(self) -> Source:
        """The file, or the mapping."""
        return self._source()


async def beside(work: Callable[[], R]) -> R:
    """Do plain work that may take a moment in a thread, where an event loop must not wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # some other library's loop
        return work()
    return await asyncio.to_thread(work)


def _signals_need_main_thread() -> ConfigurationError:
    return ConfigurationError(
        "one of these signals cannot be listened for here.",
        path="signals",
        remedy="Watch in the main thread, and for signals such as signal.SIGHUP; or for none.",
    )


def _handler_not_restorable(number: signal.Signals) -> ConfigurationError:
    return ConfigurationError(
        f"{signal.Signals(number).name} is heard here by what is no Python, as by uWSGI, and could"
        " not be given back.",
        path="signals",
        remedy="Leave this signal to the host: watch with `every`, or for another signal.",
    )


class _Watch:
    """What both colours share: the file, and what it held when it was last looked at."""

    def __init__(
        self,
        origin: Origin | None,
        failed: Callable[[ConnectorError], None],
        every: float | timedelta | None,
        signals: Iterable[signal.Signals],
    ) -> None:
        if origin is None or isinstance(origin.source, Mapping):
            raise ConfigurationError(
                "this hub was not opened from a file.",
                path="configuration",
                remedy="Open it with moorage.open('moorage.toml'), or call `reload` yourself.",
            )
        self._path = Path(origin.source)
        self._failed = failed
        self._every = None if every is None else seconds(every, "every")
        self._signals = tuple(signals)
        self._read = self._seen = self._content()

    def _check_signals(self) -> None:
        """Refuse those that could not mean again what they mean now."""
        for number in self._signals:
            if signal.getsignal(number) is None:
                raise _handler_not_restorable(number)

    def _content(self) -> bytes | None:
        """What tells what the file holds from what it held; None if it cannot be read."""
        try:
            return sha256(self._path.read_bytes()).digest()
        except OSError:
            return None

    def _is_new(self) -> bool:
        """Whether the file holds something else than when this was asked last."""
        before, self._read = self._read, self._content()
        return before != self._read

    def _is_still(self) -> bool:
        """Whether the file holds what it held when this was asked last: nobody is at it."""
        before, self._seen = self._seen, self._content()
        return before == self._seen


class Watch(_Watch):
    """Reads a hub's configuration anew when its file says something else, as `Hub.watch` tells."""

    def __init__(
        self,
        origin: Origin | None,
        reload: Callable[[], Reloaded],
        failed: Callable[[ConnectorError], None],
        every: float | timedelta | None,
        signals: Iterable[signal.Signals],
    ) -> None:
        super().__init__(origin, failed, every, signals)
        self._reload = reload
        self._threads: list[threading.Thread] = []
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._before: dict[signal.Signals, Any] = {}

    def look(self, *, anyway: bool = False) -> Reloaded | None:
        """Read the configuration anew if its file holds something else than at the last look.

        Args:
            anyway: read it even if the file holds the same.

        Returns:
            What is another now; None if nothing was read, or what was read is wrong, which
            observers are told.
        """
        if not self._is_new() and not anyway:
            return None
        try:
            return self._reload()
        except ConnectorError as error:
            self._failed(error)
            return None

    def __enter__(self) -> Self:
        try:
            self._check_signals()
            for number in self._signals:
                self._before[number] = signal.signal(number, self._ring)
        except (OSError, ValueError):
            self._listen_no_more()
            raise _signals_need_main_thread() from None
        self._start()
        in_child(self, Watch._start_anew)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listen_no_more()
        self._bell.put(False)
        while self._threads:
            self._threads.pop().join()

    def _listen_no_more(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _start(self) -> None:
        self._bell = SimpleQueue()
        thread = threading.Thread(
            target=self._keep_looking, args=(self._bell,), name="moorage-watch", daemon=True
        )
        self._threads = [thread]
        thread.start()

    def _start_anew(self) -> None:  # pragma: no cover - runs in forked children
        """Look from a child as well, where the parent's thread is not."""
        if self._threads:
            self._start()

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        # Nothing else is safe wherever the main thread just is.
        self._bell.put(True)

    def _keep_looking(self, bell: SimpleQueue[bool]) -> None:
        while True:
            rung = None
            with suppress(Empty):
                rung = bell.get(timeout=self._every)
            if rung is False:
                return
            if rung or self._is_still():
                self.look(anyway=rung is True)


class AsyncWatch(_Watch):
    """As `Watch`, awaited, with a task in place of a thread."""

    def __init__(
        self,
        origin: Origin | None,
        reload: Callable[[], Awaitable[Reloaded]],
        failed: Callable[[ConnectorError], None],
        every: float | timedelta | None,
        signals: Iterable[signal.Signals],
    ) -> None:
        super().__init__(origin, failed, every, signals)
        self._reload = reload
        self._tasks: list[asyncio.Task[None]] = []
        self._before: dict[signal.Signals, Any] = {}

    async def look(self, *, anyway: bool = False) -> Reloaded | None:
        """Read the configuration anew if its file holds something else than at the last look.

        Args:
            anyway: read it even if the file holds the same.

        Returns:
            What is another now; None if nothing was read, or what was read is wrong, which
            observers are told.
        """
        if not await beside(self._is_new) and not anyway:
            return None
        try:
            return await self._reload()
        except ConnectorError as error:
            self._failed(error)
            return None

    async def __aenter__(self) -> Self:
        loop, bell = asyncio.get_running_loop(), asyncio.Event()
        self._check_signals()
        try:
            for number in self._signals:
                before = signal.getsignal(number)
                loop.add_signal_handler(number, bell.set)
                self._before[number] = before
        except RuntimeError:
            self._listen_no_more(loop)
            raise _signals_need_main_thread() from None
        self._tasks.append(loop.create_task(self._keep_looking(bell)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listen_no_more(asyncio.get_running_loop())
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            # To await the task itself would take who cancels us for its end.
            await asyncio.wait([task])

    def _listen_no_more(self, loop: asyncio.AbstractEventLoop) -> None:
        for number, handler in self._before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        self._before.clear()

    async def _keep_looking(self, bell: asyncio.Event) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), self._every)
            rung = bell.is_set()
            bell.clear()
            if rung or await beside(self._is_still):
                await self.look(anyway=rung)
