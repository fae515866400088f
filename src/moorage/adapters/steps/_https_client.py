"""Sends requests to a platform's API, each over a separate connection and within a time limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.domain.http.requests import Request
from moorage.domain.http.response import Response
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.secrets.frames import without_frames
from moorage.domain.secrets.value_mask import mask_error, value_mask
from moorage.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    LocalFailure,
    VendorFailed,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from moorage.domain.secrets.secret import Secret

_SHORTEST: Final = 0.1
"""The shortest time limit of a request in seconds."""

_REMEDY: Final = "Check the URL of the API, its certificate and `ca_file`, and the network."


class HttpsClient:
    """Sends requests to the API of a platform.

    No connection is kept, so the client need not be closed, and no request meets a connection that
    the other side has just closed.

    Args:
        name: the name of the platform in messages.
        context: the TLS settings; they must verify certificates.
        largest_answer: the largest number of bytes of an answer.
    """

    def __init__(self, name: str, context: ssl.SSLContext, largest_answer: int) -> None:
        self._name = name
        self._largest_answer = largest_answer
        self._http = StdlibHttpClient(ssl_context=context, max_body=largest_answer, keep_alive=0)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        *,
        content: bytes | None = None,
        secret: Secret | None = None,
        cuts_answer: bool = False,
    ) -> Response:
        """Send one request, and return its response with any status.

        Args:
            method: the method.
            url: the absolute URL.
            headers: the header fields.
            timeout: the time limit in seconds, for everything from the name's look-up to the last
                byte of the answer.
            content: the body.
            secret: the credential, which errors must not show.
            cuts_answer: whether only the beginning of an answer that is too large is returned;
                otherwise such an answer is an error.

        Raises:
            ConnectorError: the API cannot be reached, or its answer is not valid.
        """
        # A range of a compressed form could not be decompressed, and its size has another limit.
        fields = {"Accept-Encoding": "identity", **headers}
        request = Request(cast("Any", method), "", headers=fields, body=content or b"")
        timeouts = Timeouts(total=max(_SHORTEST, round(timeout, 3)))
        problem: ConnectorError
        try:
            if cuts_answer:
                return self._beginning(request, url, timeouts)
            return self._http.send(request, url, timeouts)
        except ConnectorError as error:
            problem = self._problem(error)
        if secret is not None:
            mask_error(problem, value_mask([secret.reveal_bytes()]))
        problem.__context__ = None
        raise without_frames(problem)

    def _beginning(self, request: Request, url: str, timeouts: Timeouts) -> Response:
        """Send a request, and return its response with at most `largest_answer` bytes."""
        answer = self._http.open(request, url, timeouts)
        try:
            pieces: list[bytes] = []
            size = 0
            while size < self._largest_answer and (piece := answer.read()):
                pieces.append(piece)
                size += len(piece)
        finally:
            answer.close()
        body = b"".join(pieces)[: self._largest_answer]
        return Response(answer.status, headers=answer.headers, body=body)

    def _problem(self, error: ConnectorError) -> ConnectorError:
        """Return an error of the HTTP client with the name of the platform."""
        if isinstance(error, AttemptTimeout):
            return AttemptTimeout(
                f"The request to {self._name} took too long: {error.message}",
                may_have_been_processed=error.may_have_been_processed,
            )
        if isinstance(error, ConnectionFailed) and not isinstance(error, LocalFailure):
            return ConnectionFailed(
                f"The request to {self._name} failed: {error.message}",
                may_have_been_processed=error.may_have_been_processed,
                remedy=_REMEDY,
            )
        if isinstance(error, VendorFailed):
            return VendorFailed(
                f"The response of {self._name} cannot be used: {error.message}",
                status=error.status,
                retryable=error.retryable,
            )
        return error
