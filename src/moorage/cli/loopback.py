"""A listener for the OAuth redirect of a browser on this machine (RFC 8252), on 127.0.0.1 only.

Any local process may connect. So the request is limited in size and time, its content is never
shown, and its Host header must be this address, to prevent DNS rebinding.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from moorage.errors import ConfigurationError, DeadlineExceeded

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_HOST: Final = "127.0.0.1"
_PATH: Final = "/callback"
_MAX_HEAD: Final = 16_384
_CLIENT_TIMEOUT: Final = 5.0
_SECURITY_HEADERS: Final = (
    "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nConnection: close\r\n"
    "Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
)
_SUCCESS_TEXT: Final = "You may close this page and go back to the terminal."
_NOT_FOUND_TEXT: Final = "There is nothing here."


class LoopbackListener:
    """A listener on 127.0.0.1.

    Args:
        port: the port to listen on; 0 for any free port.
    """

    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._sock.bind((_HOST, port))
            self._sock.listen(8)
        except (OSError, OverflowError):
            self._sock.close()
            raise ConfigurationError(
                f"The port {port} of {_HOST} is not available.",
                path="--port",
                remedy="Pass another registered port, or none for any free port.",
            ) from None
        self._address = f"{_HOST}:{self._sock.getsockname()[1]}"

    @property
    def url(self) -> str:
        """The redirect URL for the browser."""
        return f"http://{self._address}{_PATH}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sock.close()

    def wait(self, timeout: float) -> str:
        """Wait for the browser's request and return its path and query.

        Raises:
            DeadlineExceeded: no request arrived in time.
        """
        deadline = time.monotonic() + timeout
        while (remaining_seconds := deadline - time.monotonic()) > 0:
            self._sock.settimeout(remaining_seconds)
            try:
                connection, _ = self._sock.accept()
                with connection:
                    target = self._answer(
                        connection, min(deadline, time.monotonic() + _CLIENT_TIMEOUT)
                    )
            except OSError:  # there is no connection, or it broke
                continue
            if target is not None:
                return target
        raise DeadlineExceeded(
            "The browser did not return in time.",
            remedy="Repeat the command, or pass a longer --timeout.",
        )

    def _answer(self, connection: socket.socket, deadline: float) -> str | None:
        """Answer one connection; return its path and query if it is the expected request."""
        received_bytes = b""
        while b"\r\n\r\n" not in received_bytes and len(received_bytes) <= _MAX_HEAD:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            piece = connection.recv(4096)
            if not piece:
                return None
            received_bytes += piece
        target = self._target(received_bytes) if b"\r\n\r\n" in received_bytes else None
        status, text = (
            ("404 Not Found", _NOT_FOUND_TEXT) if target is None else ("200 OK", _SUCCESS_TEXT)
        )
        page = f"<!doctype html><title>moorage</title><p>{text}</p>\n"
        connection.sendall(
            f"HTTP/1.1 {status}\r\n{_SECURITY_HEADERS}"
            f"Content-Length: {len(page)}\r\n\r\n{page}".encode()
        )
        return target

    def _target(self, head: bytes) -> str | None:
        lines = head.decode("latin-1").split("\r\n")
        method, _, tail = lines[0].partition(" ")
        target, _, version = tail.partition(" ")
        hosts = [line[5:].strip() for line in lines[1:] if line[:5].lower() == "host:"]
        is_redirect = method == "GET" and version.startswith("HTTP/1.") and hosts == [self._address]
        return target if is_redirect and target.partition("?")[0] == _PATH else None
