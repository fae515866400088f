"""The logs of containers, in parts of about a megabyte.

The Engine finds the place of a time by reading the log from its beginning. So the connection of a
part that is not the last one stays open for the next part, or else reading a log would take a time
that grows with the square of its size.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.adapters.steps._docker_wire import entries, refusal, understood
from moorage.domain.steps.runs import LogChunk
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    import http.client

    from moorage.adapters.steps._docker_wire import Engine
    from moorage.domain.steps.runs import LogStream

LOG_DRIVER: Final[dict[str, Any]] = {
    "Type": "local",
    "Config": {"max-size": "100m", "max-file": "10", "compress": "false"},
}
"""The driver that keeps bytes as they are; that of JSON replaces those that are not UTF-8.

It does not compress: the Engine leaves out all compressed files if the first is before a time.
"""

_PART: Final = 1024 * 1024
_ENTRY: Final = 16 * 1024
"""The number of bytes at which the Engine cuts a line into entries."""

_GONE: Final = frozenset({404, 409})
_REFUSED: Final = 400
_MOST_OPEN: Final = 16
"""The number of logs whose connections stay open; further ones are read from their beginning."""


class DockerLogs:
    """Reads the logs of an Engine's containers.

    Args:
        engine: the Engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readings: dict[tuple[str, LogStream, str], _Reading] = {}
        self._lock = Lock()

    def read(
        self, name: str, stream: LogStream, mark: str, timeout: float, *, is_over: bool
    ) -> LogChunk:
        """Return the part of a container's output after a mark.

        Args:
            name: the name of the container.
            stream: the output.
            mark: the mark.
            timeout: seconds for each step of the exchange.
            is_over: whether the container has ended.

        Raises:
            ConnectorError: the Engine cannot be reached, or refuses the request.
        """
        with self._lock:
            reading = self._readings.pop((name, stream, mark), None)
        reading = reading or _Reading(mark, is_over=is_over)
        try:
            with reading.connection as connection:
                if not reading.is_open:
                    with understood():
                        since = seconds_of(reading.since)
                    query = {stream: "1", "timestamps": "1", "since": since}
                    path = f"/containers/{quote(name, safe='')}/logs"
                    answer = connection.enter_context(
                        self._engine.answer("GET", path, timeout, query=query)
                    )
                    if answer.status in _GONE:
                        # Another follower removes the container; the next look finds none.
                        return LogChunk(b"", mark, is_last=False)
                    if answer.status >= _REFUSED:
                        raise refusal(answer.status, answer.read(_PART))
                    reading.begin(answer)
                is_whole = reading.read()
                if not is_whole:
                    reading.connection = connection.pop_all()
        except ConnectionFailed:
            # Whole entries that arrived before the connection broke are not lost.
            if not reading.size:
                raise
            return LogChunk(reading.take(), reading.mark, is_last=False)
        chunk = LogChunk(reading.take(), reading.mark, is_last=is_whole and reading.is_over)
        if not is_whole:
            self._keep((name, stream, chunk.mark), reading)
        return chunk

    def forget(self, name: str | None = None) -> None:
        """Close the connections of a container's logs, or of all."""
        with self._lock:
            keys = [key for key in self._readings if name in {None, key[0]}]
            readings = [self._readings.pop(key) for key in keys]
        for reading in readings:
            reading.connection.close()

    def _keep(self, key: tuple[str, LogStream, str], reading: _Reading) -> None:
        """Keep a connection for the next part; if there are too many, close the oldest."""
        with self._lock:
            surplus = list(self._readings)[: max(0, len(self._readings) + 1 - _MOST_OPEN)]
            left = [self._readings.pop(item) for item in (*surplus, key) if item in self._readings]
            self._readings[key] = reading
        for other in left:
            other.connection.close()


class _Reading:
    """A log that is being read, and the place in it.

    A mark is the time of the last entry, the number of entries then, and whether a line break is
    missing after it: the Engine cuts long lines into entries, and may lose their end.

    Attributes:
        is_over: whether the container had ended when the reading began.
        since: the time of the last entry.
        size: the number of bytes that were read and not taken.
        is_open: whether the Engine answers already.
        connection: closes the connection.
    """

    def __init__(self, mark: str, *, is_over: bool) -> None:
        self.is_over = is_over
        self.since, number, self._torn = mark.split("#") if mark else ("", "0", "")
        self._skipped = self._count = int(number)
        self._parts: list[bytes] = []
        self.size = 0
        self.is_open = False
        self.connection = ExitStack()

    def begin(self, answer: http.client.HTTPResponse) -> None:
        """Take the Engine's answer."""
        self._entries = entries(answer)
        self.is_open = True

    def read(self) -> bool:
        """Read about a megabyte; return whether that was all."""
        for entry in self._entries:
            if entry.time == self.since and self._skipped:
                self._skipped -= 1
                continue
            self._count = self._count + 1 if entry.time == self.since else 1
            self.since = entry.time
            self._parts.append(b"\n" + entry.data if self._torn else entry.data)
            self.size += len(self._parts[-1])
            is_cut = len(entry.data) == _ENTRY
            self._torn = "" if is_cut or entry.data.endswith(b"\n") else "open"
            if self.size >= _PART:
                return False
        return True

    def take(self) -> bytes:
        """Return the bytes that were read."""
        data = b"".join(self._parts)
        self._parts, self.size = [], 0
        return data

    @property
    def mark(self) -> str:
        """The mark after the last entry."""
        return f"{self.since}#{self._count}#{self._torn}" if self.since else ""


def seconds_of(time: str, later: int = 0) -> str:
    """Return a time of the Engine as its queries take it: seconds, with nanoseconds.

    Args:
        time: the time; empty for the beginning of all times.
        later: the number of whole seconds to add.
    """
    if not time:
        return "0"
    whole, _, fraction = time.removesuffix("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return f"{int(moment.timestamp()) + later}.{fraction or 0:0<9}"
