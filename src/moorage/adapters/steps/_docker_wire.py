"""Requests to a Docker Engine over its Unix socket, and parsing of its log frames."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import contextmanager
from io import IOBase
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from moorage.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from moorage.domain.steps.runs import LogStream

_HEADER: Final = 8
_STDERR: Final = 2
"""The first byte of the header of an entry that belongs to the standard error."""

_LARGEST_ANSWER: Final = 64 * 1024 * 1024
_SERVER_ERROR: Final = 500
_CONFLICT: Final = 409
_MISSING: Final = 404
_BAD_REQUEST: Final = 400
_PODMAN_REFUSALS: Final = {
    b"already in use": _CONFLICT,
    b"cannot be removed without force": _CONFLICT,
    # The container was removed while Podman was responding.
    b"no such container": _MISSING,
    b"command that was not found": _BAD_REQUEST,
    b"OCI permission denied": _BAD_REQUEST,
}
"""Parts of the messages of Podman's failures, and the statuses that the Docker Engine has there."""

_PODMAN: Final = "Libpod/"
"""The beginning of Podman's name in the header `Server`."""

_CLIENT_ERROR: Final = 400
_MISREADING_ERRORS: Final = (
    *(ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError),
)
"""The errors of a block that looks for something that an answer does not have."""


class _Connection(http.client.HTTPConnection):
    """A connection to a Docker Engine."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Entry(NamedTuple):
    """An entry of a container's log.

    Attributes:
        time: the entry's time, as the Engine writes it.
        data: the entry's bytes.
        stream: the output that it belongs to.
    """

    time: str
    data: bytes
    stream: LogStream


class Engine:
    """Sends requests to a Docker Engine, each over its own connection.

    Args:
        path: the Engine's Unix socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def ask(
        self,
        method: str,
        path: str,
        timeout: float,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        allowed: frozenset[int] = frozenset(),
    ) -> tuple[int, bytes]:
        """Send a request, and return the answer's status and body.

        Args:
            method: the HTTP method.
            path: the path below the Engine's root.
            timeout: seconds for each step of the exchange.
            query: the query.
            body: bytes, which are sent as an archive, or a value that is sent as JSON.
            allowed: statuses of failures that the caller expects.

        Raises:
            ConnectorError: the Engine cannot be reached, or refuses the request.
        """
        with self.answer(method, path, timeout, query=query, body=body) as answer:
            content = answer.read(_LARGEST_ANSWER)
            status = answer.status
            if status == _SERVER_ERROR:
                statuses = (code for words, code in _PODMAN_REFUSALS.items() if words in content)
                status = next(statuses, status)
            if status >= _CLIENT_ERROR and status not in allowed:
                raise refusal(status, content)
            return status, content

    @contextmanager
    def answer(
        self,
        method: str,
        path: str,
        timeout: float,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Generator[http.client.HTTPResponse]:
        """Send a request, and yield the response, which the block need not read completely.

        Args:
            method: the HTTP method.
            path: the path below the Engine's root.
            timeout: seconds for each step of the exchange.
            query: the query.
            body: an archive as bytes or as an open file, or a value that is sent as JSON.
            headers: further headers.

        Raises:
            ConnectorError: the Engine cannot be reached.
        """
        connection = _Connection(self.path, timeout)
        is_archive = isinstance(body, (bytes, IOBase))
        content = body if body is None or is_archive else json.dumps(body).encode()
        kind = "application/x-tar" if is_archive else "application/json"
        is_connected = False
        try:
            connection.connect()
            is_connected = True
            target = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, target, content, {"Content-Type": kind, **(headers or {})})
            with connection.getresponse() as answer:
                yield answer
        except TimeoutError:
            raise AttemptTimeout("The Docker Engine did not answer in time.") from None
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionFailed(
                f"The Docker Engine at {self.path} cannot be reached ({type(error).__name__}).",
                may_have_been_processed=is_connected,
                remedy="Check that the Engine runs, and that this user may use its socket.",
            ) from None
        finally:
            connection.close()


def is_of_podman(answer: http.client.HTTPResponse) -> bool:
    """Return whether an answer is from Podman."""
    return (answer.getheader("Server") or "").startswith(_PODMAN)


def container_path(name: str, action: str) -> str:
    """Return the URL path of a request about a container."""
    return f"/containers/{quote(name, safe='')}/{action}"


def progress(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the Engine's progress lines of a pull or build."""
    while line := answer.readline(_LARGEST_ANSWER):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise VendorFailed("The Docker Engine's progress report ends within a line.") from None
        if isinstance(value, dict):
            yield value


@contextmanager
def check_understood() -> Generator[None]:
    """Convert failures to interpret an Engine's answer, in a `with` block, to one error of moorage.

    Raises:
        VendorFailed: the block read a value that the answer does not contain.
    """
    try:
        yield
    except _MISREADING_ERRORS:
        raise VendorFailed(
            "The Docker Engine sent a response that moorage cannot read.",
            remedy="Check that the socket is that of a Docker Engine.",
        ) from None


def message_of(content: bytes) -> str:
    """Return the message in the body of an error response."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return content[:200].decode("utf-8", "replace")


def refusal(status: int, content: bytes) -> ConnectorError:
    """Return the error for an unsuccessful answer of the Engine."""
    message = message_of(content)
    if status >= _SERVER_ERROR:
        return VendorFailed(
            f"The Docker Engine failed: {message}", status=status, vendor_message=message
        )
    return VendorRejected(
        f"The Docker Engine refused: {message}", status=status, vendor_message=message
    )


def entries(answer: http.client.HTTPResponse) -> Iterator[Entry]:
    """Yield the entries of a log with timestamps, without an incomplete last entry."""
    while True:
        header = answer.read(_HEADER)
        if len(header) < _HEADER:
            return
        size = int.from_bytes(header[4:], "big")
        if size > _LARGEST_ANSWER:
            raise VendorFailed("The Docker Engine sent a log that moorage cannot read.")
        content = answer.read(size)
        if len(content) < size:
            return
        time, _, data = content.partition(b" ")
        stream: LogStream = "stderr" if header[0] == _STDERR else "stdout"
        yield Entry(time.decode("ascii", "replace"), data, stream)
