"""Requests to a Kubernetes cluster's API, and parsing of its logs."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from moorage.adapters.http.connections._tls import http_context
from moorage.adapters.steps._https_client import HttpsClient
from moorage.domain.http.transport import Tls
from moorage.domain.http.urls import origin_of, validate_base_url
from moorage.domain.resilience.vendor_hints import parse_retry_after
from moorage.domain.secrets.secret import Secret
from moorage.domain.secrets.value_mask import mask_error, value_mask
from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LARGEST_ANSWER: Final = 64 * 1024 * 1024
_PIECE_BYTES: Final = 16 * 1024
"""The number of bytes at which a container runtime cuts a line into pieces."""

_SETTINGS: Final = {
    "tls.authorities": "ca_file",
    "tls.certificate": "certificate_file",
    "tls.key": "certificate_file",
}
"""The settings of a platform, by the paths of the TLS settings that are made of them."""

_STAMP: Final = late_pattern(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ")


class Cluster:
    """Sends requests to a cluster's API.

    Args:
        server: the URL of the API, with https.
        ca_file: the certificates that the API's certificate must come from.
        token_file: the file of the token, which is read for each request, since it changes.
        certificate_file: the client's certificate, with its key; None if it has none.
    """

    def __init__(
        self, server: str, ca_file: str | None, token_file: str | None, certificate_file: str | None
    ) -> None:
        self._server = _checked_server(server)
        self._token_file = token_file
        tls = Tls(authorities=ca_file, certificate=certificate_file)
        try:
            context = http_context(tls)
        except ConfigurationError as error:
            raise ConfigurationError.of(
                [problem._replace(path=_SETTINGS[problem.path]) for problem in error.problems]
            ) from None
        self._http = HttpsClient("the Kubernetes API", context, _LARGEST_ANSWER)

    def ask(
        self,
        method: str,
        path: str,
        timeout: float,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        allowed: frozenset[int] = frozenset(),
        cuts_answer: bool = False,
    ) -> tuple[int, bytes]:
        """Send a request, and return the answer's status and body.

        Args:
            method: the method.
            path: the path below the URL of the API.
            timeout: the time limit in seconds.
            query: the parameters of the URL.
            body: a value that is sent as JSON.
            allowed: statuses of 300 and above that are not errors.
            cuts_answer: whether only the beginning of a very long answer, such as a log, is read.

        Raises:
            ConnectorError: the API cannot be reached, or refuses the request.
        """
        headers = {"Accept": "application/json, */*"}
        secret = None
        if self._token_file is not None:
            secret = Secret(self._token())
            headers["Authorization"] = f"Bearer {secret.reveal()}"
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            is_patch = method == "PATCH"
            headers["Content-Type"] = f"application/{'merge-patch+' if is_patch else ''}json"
        answer = self._http.send(
            method,
            f"{self._server}{path}{'?' + urlencode(query) if query else ''}",
            headers,
            timeout,
            content=content,
            secret=secret,
            cuts_answer=cuts_answer,
        )
        # The API itself never redirects; a proxy in front of it may redirect to its login page.
        if answer.status >= 300 and answer.status not in allowed:
            error = refusal(answer.status, answer.body, answer.header("Retry-After"))
            if secret is not None:
                mask_error(error, value_mask([secret.reveal_bytes()]))
            raise error
        return answer.status, answer.body

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


def _checked_server(server: str) -> str:
    """Return the URL of a cluster's API without slashes at its end, after checking it."""
    with suppress(InvalidData):
        origin = origin_of(validate_base_url(server))
        if origin is not None and origin[0] == "https":
            return server.rstrip("/")
    raise ConfigurationError(
        "The server of a Kubernetes platform is not a URL with https.",
        path="server",
        remedy="Give the URL of the API, such as 'https://10.0.0.1:6443'.",
    )


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
