"""Requests to a Kubernetes cluster's API, and parsing of its logs."""

from __future__ import annotations

import http.client
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from moorage.domain.resilience.vendor_hints import parse_retry_after
from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LARGEST_ANSWER: Final = 64 * 1024 * 1024
_PIECE_BYTES: Final = 16 * 1024
"""The number of bytes at which a container runtime cuts a line into pieces."""

_STAMP: Final = late_pattern(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ")


class Cluster:
    """Sends requests to a cluster's API, each over its own connection.

    Args:
        server: the URL of the API, with https.
        ca_file: the certificates that the API's certificate must come from.
        token_file: the file of the token, which is read for each request, since it changes.
        certificate_file: the client's certificate, with its key; None if it has none.
    """

    def __init__(
        self, server: str, ca_file: str | None, token_file: str | None, certificate_file: str | None
    ) -> None:
        parts = urlsplit(server)
        if parts.scheme != "https" or parts.hostname is None or parts.username is not None:
            raise ConfigurationError(
                "The server of a Kubernetes platform is not a URL with https.",
                path="server",
                remedy="Give the URL of the API, such as 'https://10.0.0.1:6443'.",
            )
        self._host, self._port = parts.hostname, parts.port or 443
        self._root = parts.path.rstrip("/")
        self._token_file = token_file
        try:
            self._tls = ssl.create_default_context(cafile=ca_file)
            if certificate_file is not None:
                self._tls.load_cert_chain(certificate_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"A certificate of the cluster cannot be read ({type(error).__name__}).",
                path="ca_file",
                remedy="Give files in PEM format that this user may read.",
            ) from None

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

        Raises:
            ConnectorError: the API cannot be reached, or refuses the request.
        """
        headers = {"Accept": "application/json, */*"}
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            is_patch = method == "PATCH"
            headers["Content-Type"] = f"application/{'merge-patch+' if is_patch else ''}json"
        target = f"{self._root}{path}{'?' + urlencode(query) if query else ''}"
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=max(0.1, timeout), context=self._tls
        )
        is_connected = False
        try:
            connection.connect()
            is_connected = True
            connection.request(method, target, content, headers)
            with connection.getresponse() as answer:
                data, pause = answer.read(_LARGEST_ANSWER), answer.headers.get("Retry-After")
                if answer.length:
                    raise http.client.IncompleteRead(data, answer.length)
        except TimeoutError:
            raise AttemptTimeout(
                "The Kubernetes API did not answer in time.", may_have_been_processed=is_connected
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionFailed(
                f"The Kubernetes API at {self._host}, port {self._port}, cannot be reached"
                f" ({type(error).__name__}).",
                may_have_been_processed=is_connected,
                remedy="Check the server's URL, its certificate and `ca_file`, and the network.",
            ) from None
        finally:
            connection.close()
        # The API itself never redirects; a proxy in front of it may redirect to its login page.
        if answer.status >= 300 and answer.status not in allowed:
            raise refusal(answer.status, data, pause)
        return answer.status, data

    def _token(self) -> str:
        try:
            content = Path(self._token_file or "").read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"The token of the Kubernetes platform cannot be read ({type(error).__name__}).",
                path="token_file",
                remedy="Give the file of a service account's token that this user may read.",
            ) from None
        token = content.decode("latin-1").strip()
        if not token or not token.isascii() or not token.isprintable():
            raise ConfigurationError(
                "The file does not contain a token for the Kubernetes platform.",
                path="token_file",
                remedy="Give the file of a service account's token, which is one line of ASCII.",
            )
        return token


def refusal(status: int, content: bytes, pause: str | None = None) -> ConnectorError:
    """Return the error for an unsuccessful answer of the API."""
    try:
        message = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        message = content[:200].decode("utf-8", "replace")
    if status == 429:
        now = datetime.now(UTC)
        seconds = parse_retry_after(pause, now)
        return RateLimitExceeded(
            "The Kubernetes API limits the rate of requests.",
            status=status,
            retry_at=now + timedelta(seconds=1.0 if seconds is None else seconds),
        )
    if status in {401, 403}:
        return AuthenticationFailed(
            f"The Kubernetes API refused the token or the permission: {message}",
            status=status,
            vendor_message=message,
            remedy="Check the token, and the role that is bound to its account.",
        )
    if status < 400:
        return VendorFailed(
            "The server of the Kubernetes platform redirects to another address, as a login page"
            " does.",
            status=status,
            retryable=False,
            remedy="Give the URL of the API itself as `server`.",
        )
    kind = VendorFailed if status >= 500 else VendorRejected
    return kind(
        f"The Kubernetes API answered with the status {status}: {message}",
        status=status,
        vendor_message=message,
    )


class Entry(NamedTuple):
    """A log entry: its time as the API writes it, and its bytes."""

    time: str
    data: bytes


def entries(content: bytes, *, is_complete: bool) -> Iterator[Entry]:
    """Yield the entries of a log with timestamps.

    Old clusters write a timestamp in front of each piece of a long line, and new ones in front of
    the line. A last line without an end is left out, unless the log is complete. So is a line
    without a timestamp: it tells that the node has no log any more, because the pod was deleted.
    """
    for line in _lines(content):
        if not line.endswith(b"\n") and not is_complete:
            return
        if _STAMP.match(line) is None:
            continue
        time, _, data = line.partition(b" ")
        stamp = time.decode("ascii", "replace")
        while len(data) > _PIECE_BYTES and (match := _STAMP.match(data, _PIECE_BYTES)) is not None:
            yield Entry(stamp, data[:_PIECE_BYTES])
            stamp, data = match.group()[:-1].decode("ascii"), data[match.end() :]
        yield Entry(stamp, data)


def _lines(content: bytes) -> Iterator[bytes]:
    """Yield the lines between line feeds; other line separators are part of a line."""
    *whole_lines, partial_line = content.split(b"\n")
    for line in whole_lines:
        yield line + b"\n"
    if partial_line:
        yield partial_line
