"""Requests to an authorisation server, with retries and a limit on the size of its responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.http.requests import Response, Timeouts
from moorage.domain.oauth.token_answer import LARGEST, Refusal, Refused
from moorage.domain.oauth.token_renewal import is_lost
from moorage.domain.oauth.token_request import token_request
from moorage.domain.resilience import retry
from moorage.domain.resilience.retry import RetryAfterDelay, RetryPolicy
from moorage.domain.secrets.frames import without_frames
from moorage.domain.signing.context import SigningContext
from moorage.errors import ConnectionFailed, ConnectorError, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.domain.http.requests import Request
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.grants import Parameters
    from moorage.services.core.core import Core

_SECOND: Final = 10**9


@attrs.frozen(kw_only=True)
class RequestLimits:
    """The number of attempts and the time limits of requests to an authorisation server."""

    retry: RetryPolicy
    request: float
    whole: float


@attrs.frozen(kw_only=True)
class ServerInquiry:
    """A request to one endpoint of an authorisation server, which may be sent several times.

    Attributes:
        endpoint: name of the endpoint.
        make_parameters: makes the parameters of the request; called for each attempt.
        read: interprets the response to a request that was sent at a given time.
        refusal: makes the error for a response that is not a success.
        repeatable: True if it may be sent again after a lost response.
    """

    endpoint: str
    make_parameters: Callable[[], Parameters]
    read: Callable[[Response, datetime], Any]
    refusal: Callable[[Refused | ConnectorError], tuple[ConnectorError, float | None]]
    repeatable: bool = True


class AuthorizationServerRequests:
    """Sends requests to an authorisation server as one OAuth client.

    Errors are returned instead of raised, so that no traceback contains what was sent.
    """

    def __init__(self, core: Core, client: OAuthClient, patience: RequestLimits) -> None:
        self._core = core
        self._client = client
        self._patience = patience
        self._nonce: str | None = None

    async def answer(self, inquiry: ServerInquiry, until: int | None = None) -> Any:
        """Send a request, with retries; return the response, or the error if there is none."""
        core, request_limits, attempts, delay, is_renewed = (
            self._core,
            self._patience,
            0,
            0.0,
            False,
        )
        if until is None:
            until = core.nanoseconds() + int(request_limits.whole * _SECOND)
        self._client.at(inquiry.endpoint)
        while True:
            attempts += 1
            answer = await self._send_inquiry(inquiry, until)
            if not isinstance(answer, (Refused, ConnectorError)):
                return answer
            if not is_renewed and isinstance(answer, Refused) and answer.why is Refusal.NONCE:
                self._nonce, is_renewed = answer.nonce, True
                continue
            decision = retry.decide(
                request_limits.retry,
                inquiry.refusal(answer)[0],
                attempt=attempts,
                repeatable=inquiry.repeatable or not is_lost(answer),
                retry_after=inquiry.refusal(answer)[1],
                remaining=(until - core.nanoseconds()) / _SECOND,
                previous=delay,
                draw=core.fraction(),
            )
            if not isinstance(decision, RetryAfterDelay):
                return answer
            delay = decision.delay
            await core.sleep(delay)

    async def _send_inquiry(self, inquiry: ServerInquiry, until: int) -> Any:
        """Send a request to the authorisation server once, and return the response or the error."""
        core, client = self._core, self._client
        time_left = (until - core.nanoseconds()) / _SECOND
        if time_left <= 0:
            return ConnectionFailed(
                "No time was left to send the request.", may_have_been_processed=False
            )
        asked_at = core.utc()
        context = SigningContext(asked_at, core.new_id())
        request, url = token_request(
            client,
            inquiry.make_parameters(),
            context,
            endpoint=inquiry.endpoint,
            nonce=self._nonce,
        )
        timeouts = Timeouts(total=min(self._patience.request, time_left))
        answer = await fetch(core, request, url, timeouts, LARGEST)
        return inquiry.read(answer, asked_at) if isinstance(answer, Response) else answer


async def fetch(
    core: Core, request: Request, url: str, timeouts: Timeouts, largest: int
) -> Response | ConnectorError:
    """Send a request; return the response, or an error if it fails or exceeds `largest` bytes.

    Errors are returned instead of raised, so that no traceback contains the request.
    """
    try:
        return await _read_response(core, request, url, timeouts, largest)
    except ConnectorError as error:
        failed_error = error
    return without_frames(failed_error)


async def _read_response(
    core: Core, request: Request, url: str, timeouts: Timeouts, largest: int
) -> Response:
    incoming = await core.open(request, url, timeouts)
    try:
        pieces: list[bytes] = []
        room_left = largest
        while piece := await incoming.read():
            room_left -= len(piece)
            if room_left < 0:
                raise VendorFailed(
                    f"The authorisation server sent a response of more than {largest} bytes.",
                    remedy="Check the server's URL. No authorisation server sends so large a"
                    " response.",
                )
            pieces.append(piece)
        return Response(incoming.status, headers=incoming.headers, body=b"".join(pieces))
    finally:
        incoming.close()
