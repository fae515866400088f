"""Common parts of the fake clouds, which run steps as local processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from moorage import LocalPlatform, RunSpec, Step
from moorage.adapters.clocks.system import SystemClock
from moorage.domain.http.requests import Response
from moorage.domain.steps.runs import STREAMS
from moorage.domain.values.json_text import encode_json
from moorage.testing import FakeVendor, ScriptedHttpClient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from moorage.domain.http.requests import Request
    from moorage.domain.steps.runs import LogStream, RunStatus

_LONG = 3600.0


def json_response(document: Any, status: int = 200) -> Response:
    """Return a response with a JSON document."""
    return Response(status, {"Content-Type": "application/json"}, encode_json(document))


class AheadClock:
    """A clock that runs ahead, so that a run's log is complete as soon as the run ends.

    Args:
        seconds: seconds for which a cloud still stores lines of the log after the end.
    """

    def __init__(self, seconds: float = 6) -> None:
        self._clock = SystemClock()
        self._ahead = timedelta(seconds=seconds)

    def nanoseconds(self) -> int:
        """Return the nanoseconds since an arbitrary moment."""
        return self._clock.nanoseconds()

    def utc(self) -> datetime:
        """Return the UTC time of the clock that is ahead."""
        return self._clock.utc() + self._ahead


class StepHost:
    """A host that runs the commands of a fake cloud as local processes.

    Args:
        folder: where they run.
        grace: seconds between the request to end and the kill.
    """

    def __init__(self, folder: Path, grace: float = 2.0) -> None:
        self._platform = LocalPlatform(folder)
        self._grace = grace

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout: float = _LONG,
    ) -> None:
        """Start a command."""
        step = Step("cloud", command, environment=environment, timeout=timeout, grace=self._grace)
        self._platform.start(RunSpec(name=name, step=step), 30.0)

    def remove(self, name: str) -> None:
        """Forget a command that has ended."""
        self._platform.remove(name, 30.0)

    def status(self, name: str) -> RunStatus:
        """Return the status of a command."""
        status = self._platform.status(name, 30.0)
        assert status is not None
        return status

    def stop(self, name: str) -> None:
        """Stop a command."""
        self._platform.stop(name, self._grace, 30.0)

    def text(self, name: str) -> str:
        """Return the current content of stdout and stderr."""
        return "".join(self._output(name, stream) for stream in STREAMS)

    def lines(self, name: str, streams: tuple[LogStream, ...] = STREAMS) -> list[str]:
        """Return the complete lines of stdout and stderr; at the end, also incomplete ones."""
        lines: list[str] = []
        is_over = self.status(name).is_over
        for stream in streams:
            *full_lines, torn = self._output(name, stream).split("\n")
            lines += full_lines
            if torn and is_over:
                lines.append(torn)
        return lines

    def _output(self, name: str, stream: LogStream) -> str:
        data, position = b"", ""
        while True:
            chunk = self._platform.logs(name, stream, position, 30.0)
            data, position = data + chunk.data, chunk.position
            if not chunk.data:
                return data.decode("utf-8", "replace")


class FakeCloud(ABC):
    """A fake cloud API, which records the requests.

    Attributes:
        vendor: receives the requests.
        queued: answers that the next requests get instead.
    """

    def __init__(self) -> None:
        self.vendor = FakeVendor(self._receive)
        self.queued: list[Response | BaseException] = []
        self.lock = Lock()

    @property
    def http(self) -> ScriptedHttpClient:
        """Return an HTTP client that reaches this fake server."""
        return ScriptedHttpClient(self.vendor)

    def _receive(self, request: Request, url: str) -> Response:
        with self.lock:
            if self.queued:
                answer = self.queued.pop(0)
                if isinstance(answer, BaseException):
                    raise answer
                return answer
            return self.answer(request, url)

    @abstractmethod
    def answer(self, request: Request, url: str) -> Response:
        """Return the response to a request."""
