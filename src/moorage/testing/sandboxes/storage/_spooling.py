"""The base of storage sandboxes, which keep bodies of any size on disk."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

import attrs

from moorage.domain.http.requests import Response
from moorage.errors import ConnectionFailed, ConnectorError
from moorage.testing.sandboxes.base import (
    UNREADABLE,
    AlteredAnswer,
    Lost,
    Refusal,
    Sandbox,
    state_field,
    unreadable_problem,
)
from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer, Reply
from moorage.testing.sandboxes.storage._s3_server import S3Server
from moorage.testing.sandboxes.storage._s3_store import Spool

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.testing.sandboxes.base import SandboxRequest

_SMALL: Final = 65_536


class SpoolingSandbox(Sandbox):
    """The base of storage sandboxes; subclasses execute requests and format errors.

    Attributes:
        unreadable_code: the code of the error response to a request that cannot be read.
    """

    unreadable_code = "InvalidArgument"

    folder: Path = state_field(lambda: Path(mkdtemp(prefix="moorage-storage-")))
    _cuts: deque[tuple[str, int]] = state_field(deque)

    def __attrs_post_init__(self) -> None:
        self._home = finalize(self, rmtree, self.folder, ignore_errors=True)

    @abstractmethod
    def done(self, request: SandboxRequest, spool: Spool) -> Reply:
        """Execute a request and return the response; raise `ErrorAnswer` to refuse the request."""

    @abstractmethod
    def refused(self, no: ErrorAnswer) -> Reply:
        """Return an error response in the vendor's format."""

    def close(self) -> None:
        """Delete all data; garbage collection does so too."""
        self._home()

    # --- faults over a socket ----------------------------------------------

    def cut(self, method: str, after: int) -> None:
        """Disconnect in the next request with this method, after this many body bytes."""
        with self._lock:
            self._cuts.append((method, after))

    def bytes_before_cut(self, method: str, length: int) -> int | None:
        """Return how many bytes of a request to read before disconnecting; None for all."""
        return self._next_cut(method, length) if method != "GET" else None

    def breaks_off(self, method: str, length: int) -> int | None:
        """Return how many response bytes to send before disconnecting; None for all."""
        return self._next_cut(method, length) if method == "GET" else None

    def _next_cut(self, method: str, length: int) -> int | None:
        with self._lock:
            if self._cuts and self._cuts[0][0] == method and self._cuts[0][1] < length:
                return self._cuts.popleft()[1]
            return None

    # --- requests ----------------------------------------------------------

    @contextmanager
    def serving(self) -> Generator[Any]:
        """Serve the sandbox on a local port; the result's `url` is its address."""
        with S3Server(self) as server:
            yield server

    def answer(self, request: SandboxRequest) -> Response:
        """Execute a request with its body in memory."""
        spool = Spool(self.folder)
        spool.write(request.body)
        spool.close()
        reply = self.handle(attrs.evolve(request, body=b""), spool)
        body = b"" if request.method == "HEAD" else b"".join(reply.chunks())
        return _response(reply, body)

    def handle(self, request: SandboxRequest, spool: Spool) -> Reply:
        """Execute a request with its body on disk."""
        with self._lock:
            small_bytes = spool.content() if spool.size <= _SMALL else b""
            self.requests.append(attrs.evolve(request, body=small_bytes))
            planned = self._next.popleft() if self._next else None
            try:
                if isinstance(planned, ConnectorError):
                    raise planned
                if isinstance(planned, Response):
                    return _reply(planned)
                reply = self._execute(request, spool)
            finally:
                if not spool.is_stored:
                    spool.drop()
            if isinstance(planned, Lost):
                raise ConnectionFailed("The answer was lost.")
            if isinstance(planned, AlteredAnswer):
                response = _response(reply, b"".join(reply.chunks()))
                return _reply(planned.change(response))
            self._delay_by(planned)
            return reply

    def _execute(self, request: SandboxRequest, spool: Spool) -> Reply:
        try:
            return self.done(request, spool)
        except ErrorAnswer as refusal:
            return self.refused(refusal)
        except Refusal as refusal:
            return _reply(refusal.response)
        except UNREADABLE as error:
            problem = unreadable_problem(error)
            return self.refused(ErrorAnswer(self.unreadable_code, 400, problem))


def _response(reply: Reply, body: bytes) -> Response:
    fields = {"Content-Length": str(reply.length), **reply.headers}
    return Response(reply.status, fields, body)


def _reply(response: Response) -> Reply:
    return Reply(response.status, dict(response.headers), response.body)
