"""Container logs, read in parts of about a megabyte.

The Engine finds the place of a time by reading the log from its beginning. So the connection of a
part that is not the last one stays open for the next part, or else reading a log would take a time
that grows with the square of its size.

The Engine drops the oldest entries of a log above its bound, and shows none that are before the
time from which it is asked. It reports neither, so a reading states that it may have a gap:

1. if the entries before its position are gone, or some of them;
2. if it reads a log from its oldest entry that is so large that older ones may be gone;
3. if an entry is older than the one before it, because the clock was set back.
"""

from __future__ import annotations

from contextlib import ExitStack
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.steps._docker_wire import (
    check_understood,
    container_path,
    entries,
    is_of_podman,
    refusal,
)
from moorage.domain.steps.log_times import SECOND, nanoseconds_of
from moorage.domain.steps.runs import STREAMS, LogChunk
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    import http.client

    from moorage.adapters.steps._docker_wire import Engine, Entry
    from moorage.domain.steps.runs import LogStream

_FILE_MEGABYTES: Final = 100
_MOST_FILES: Final = 10

LOG_DRIVER: Final[dict[str, Any]] = {
    "Type": "local",
    "Config": {
        "max-size": f"{_FILE_MEGABYTES}m",
        "max-file": str(_MOST_FILES),
        "compress": "false",
    },
}
"""The driver that keeps bytes as they are; that of JSON replaces those that are not UTF-8.

It does not compress: the Engine leaves out all compressed files if the first is before a time.
"""

_PART: Final = 1024 * 1024
_ENTRY: Final = 16 * 1024
"""The number of bytes at which the Engine cuts a line into entries."""

_FULL_SIZE: Final = (_FILE_MEGABYTES - 1) * (_MOST_FILES - 2) * 1024 * 1024
"""The bytes of a log, with those around its entries, from which on the oldest may be gone."""

_ENTRY_OVERHEAD: Final = 28
"""The number of bytes that the driver writes around an entry, at least."""

_LATEST: Final = 10
_CHECK_PAUSE: Final = 1.0
"""Seconds between two checks of whether the clock of the Engine was set back."""

_GONE_STATUSES: Final = frozenset({404, 409})
_FIRST_ERROR_STATUS: Final = 400
_MOST_CHECKS: Final = 1000
_MOST_OPEN: Final = 16
"""The number of logs whose connections stay open; further ones are read from their beginning."""


class DockerLogs:
    """Reads the logs of an Engine's containers.

    Args:
        engine: the Engine.
        full_size: the bytes of a log from which on its oldest entries may be gone.
    """

    def __init__(self, engine: Engine, full_size: int = _FULL_SIZE) -> None:
        self._engine = engine
        self._full = full_size
        self._checks: dict[tuple[str, LogStream], float] = {}
        self._readings: dict[tuple[str, LogStream, str], _LogPosition] = {}
        self._lock = Lock()

    def read(
        self, name: str, stream: LogStream, position: str, timeout: float, *, is_over: bool
    ) -> LogChunk:
        """Return the next part of a container's output after `position`.

        Args:
            name: the name of the container.
            stream: the output.
            position: where to begin, as an earlier part returned it; empty for the beginning.
            timeout: seconds for each step of the exchange.
            is_over: whether the container has ended.

        Raises:
            ConnectorError: the Engine cannot be reached, or refuses the request.
        """
        with self._lock:
            reading = self._readings.pop((name, stream, position), None)
        reading = reading or _LogPosition(position, self._full, is_over=is_over)
        try:
            with reading.connection as connection:
                if not reading.is_open:
                    with check_understood():
                        since = reading.seek()
                    query = {stream: "1", "timestamps": "1", "since": since}
                    path = container_path(name, "logs")
                    answer = connection.enter_context(
                        self._engine.answer("GET", path, timeout, query=query)
                    )
                    if answer.status in _GONE_STATUSES:
                        # Another follower removes the container; the next status request finds
                        # none.
                        return LogChunk(b"", position, is_last=False)
                    if answer.status >= _FIRST_ERROR_STATUS:
                        raise refusal(answer.status, answer.read(_PART))
                    reading.begin(answer)
                    if reading.is_divided:
                        reading.compare(self._oldest(name, timeout))
                is_whole = reading.read()
                if not is_whole:
                    reading.connection = connection.pop_all()
            if (
                is_whole
                and reading.may_miss_entries
                and self._is_due(name, stream, is_over=reading.is_over)
            ):
                reading.check(self._latest(name, stream, timeout))
        except ConnectionFailed:
            # Complete entries that arrived before the connection broke are kept.
            if not reading.size:
                raise
            return LogChunk(
                reading.take(), reading.position, is_last=False, has_gap=reading.has_gap
            )
        is_last = is_whole and reading.is_over
        chunk = LogChunk(reading.take(), reading.position, is_last=is_last, has_gap=reading.has_gap)
        if not is_whole:
            self._keep((name, stream, chunk.position), reading)
        return chunk

    def forget(self, name: str | None = None) -> None:
        """Close the connections of one container's logs, or of all."""
        with self._lock:
            keys = [key for key in self._readings if name in {None, key[0]}]
            readings = [self._readings.pop(key) for key in keys]
            if name is None:
                self._checks.clear()
            for stream in STREAMS:
                self._checks.pop((str(name), stream), None)
        for reading in readings:
            reading.connection.close()

    def _is_due(self, name: str, stream: LogStream, *, is_over: bool) -> bool:
        """Return whether to check a container's clock now: at its end, and from time to time."""
        now = monotonic()
        with self._lock:
            if not is_over and now < self._checks.get((name, stream), 0.0) + _CHECK_PAUSE:
                return False
            if len(self._checks) > _MOST_CHECKS:
                self._checks.clear()
            self._checks[name, stream] = now
            return True

    def _oldest(self, name: str, timeout: float) -> Entry | None:
        """Return the oldest entry that the Engine still has of a container's log."""
        query = {"stdout": "1", "stderr": "1", "timestamps": "1"}
        with self._engine.answer("GET", container_path(name, "logs"), timeout, query=query) as log:
            return None if log.status >= _FIRST_ERROR_STATUS else next(entries(log), None)

    def _latest(self, name: str, stream: LogStream, timeout: float) -> Entry | None:
        """Return the last entry of an output, if it is among the container's last entries."""
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": str(_LATEST)}
        with self._engine.answer("GET", container_path(name, "logs"), timeout, query=query) as log:
            latest_entries = () if log.status >= _FIRST_ERROR_STATUS else tuple(entries(log))
        return next((entry for entry in reversed(latest_entries) if entry.stream == stream), None)

    def _keep(self, key: tuple[str, LogStream, str], reading: _LogPosition) -> None:
        """Keep a connection for the next part; close the oldest if there are too many."""
        with self._lock:
            surplus = list(self._readings)[: max(0, len(self._readings) + 1 - _MOST_OPEN)]
            old_readings = [
                self._readings.pop(item) for item in (*surplus, key) if item in self._readings
            ]
            self._readings[key] = reading
        for old_reading in old_readings:
            old_reading.connection.close()


class _LogPosition:
    """A position in a log that is being read.

    As text, a position has four parts: the time of the last entry, the number of entries with this
    time, whether a line break is missing after them (the Engine cuts long lines into entries, and
    may lose their end), and whether an entry of an earlier time came before.

    Args:
        position: the position as text; empty for the beginning.
        full_size: the bytes of a log from which on its oldest entries may be gone.
        is_over: whether the container had ended when the reading began.

    Attributes:
        is_over: whether the container had ended when the reading began.
        since: the time of the last entry; if the clock was set back, the latest time.
        size: the number of bytes that were read and not taken.
        has_gap: whether entries may be missing.
        is_open: whether the Engine has begun its answer.
        connection: closes the connection.
    """

    def __init__(self, position: str, full_size: int, *, is_over: bool) -> None:
        self.is_over = is_over
        since, number, self._torn, self._later = (position or "#0##").split("#")
        self.since: str = since
        self._skipped = self._count = int(number)
        self._parts: list[bytes] = []
        self.size = 0
        self.has_gap = False
        self.is_open = False
        self.connection = ExitStack()
        self._first = 0
        self._loses_ends = True
        self._begins = not since
        self._room = full_size

    def seek(self) -> str:
        """Return the time from which the Engine must show the log.

        Podman shows only what is later than that, so it is a nanosecond before the last entry.
        """
        if not self.since:
            return "0"
        self._first = nanoseconds_of(self.since)
        return seconds_of(self.since, -1)

    def begin(self, answer: http.client.HTTPResponse) -> None:
        """Start reading from the Engine's answer."""
        # Podman splits long lines anywhere, and marks the end of each line.
        self._loses_ends = not is_of_podman(answer)
        self._entries = entries(answer)
        self._is_sought = bool(self._first)
        self.is_open = True

    @property
    def is_divided(self) -> bool:
        """True if the position is inside a line that was split into entries with the same time."""
        return self._loses_ends and self._is_sought and self._count > 1

    def compare(self, oldest: Entry | None) -> None:
        """Compare the position with the log's oldest entry, to detect lost entries."""
        with check_understood():
            if oldest is None or nanoseconds_of(oldest.time) < self._first:
                return
        self.has_gap = self.has_gap or bool(self._later)
        self._begins = True

    @property
    def may_miss_entries(self) -> bool:
        """True if a read from a time showed nothing new, as it does after a clock was set back."""
        return self._loses_ends and self._is_sought and not self.size

    def check(self, latest: Entry | None) -> None:
        """Compare the position with the output's last entry, to detect a clock set back."""
        with check_understood():
            if latest is not None and nanoseconds_of(latest.time) < nanoseconds_of(self.since):
                self.has_gap = True

    def read(self) -> bool:
        """Read about a megabyte; return whether the log ended before that."""
        for entry in self._entries:
            self._room -= len(entry.data) + _ENTRY_OVERHEAD
            if self._first:
                with check_understood():
                    time = nanoseconds_of(entry.time)
                if time < self._first:
                    continue
                self.has_gap = self.has_gap or time > self._first
                self._first = 0
            if entry.time == self.since and self._skipped:
                self._skipped -= 1
                continue
            self._place(entry)
            self._parts.append(b"\n" + entry.data if self._torn else entry.data)
            self.size += len(self._parts[-1])
            is_cut = self._loses_ends and len(entry.data) != _ENTRY
            self._torn = "open" if is_cut and not entry.data.endswith(b"\n") else ""
            if self.size >= _PART:
                return False
        is_full = self._begins and self._loses_ends and self._room <= 0
        self.has_gap = self.has_gap or is_full or bool(self._first or self._skipped)
        return True

    def _place(self, entry: Entry) -> None:
        """Move the position behind an entry, unless the entry is older than the one before it."""
        if entry.time == self.since:
            self._count += 1
        elif self._loses_ends and entry.time < self.since:
            self.has_gap = True
        else:
            # The other lines with the same timestamp were removed from the log.
            self.has_gap = self.has_gap or self._skipped > 0
            self._later = "later" if self.since else ""
            self.since, self._count, self._skipped = entry.time, 1, 0

    def take(self) -> bytes:
        """Return the bytes read since the last call."""
        data = b"".join(self._parts)
        self._parts, self.size = [], 0
        return data

    @property
    def position(self) -> str:
        """The position in the log after the last entry that was read."""
        if not self.since:
            return ""
        return f"{self.since}#{self._count}#{self._torn}#{self._later}"


def seconds_of(time: str, later: int = 0) -> str:
    """Convert a log time to the form of Docker's query parameters: seconds and nanoseconds.

    Args:
        time: the time.
        later: the number of nanoseconds to add.
    """
    seconds, nanoseconds = divmod(nanoseconds_of(time) + later, SECOND)
    return f"{seconds}.{nanoseconds:09}"
