"""Streams: a caller reads a response in pieces, under the same protections as a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Response, join_url
from moorage.domain.resilience.circuit import Outcome
from moorage.domain.resilience.classify import is_success
from moorage.domain.resilience.gate_commands import Report
from moorage.domain.resilience.health import health
from moorage.domain.resilience.interruptions import (
    dropped_errors,
    handler_traceback,
    is_interruption,
)
from moorage.domain.secrets.frames import without_frames
from moorage.errors import AttemptTimeout, ConnectorError
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.exchange import Exchange
from moorage.services.core.foreign_errors import (
    http_failure,
    unusable_head_error,
    wrong_answer_error,
)

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request
    from moorage.ports.http import AsyncIncoming
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

_ERROR_BODY = 65_536


class StreamingExchange(Exchange):
    """The step that sends a request and returns the response's body as a stream."""

    __slots__ = ("_at", "_call", "_opened")

    def __init__(self, core: Core, call: Call, request: Request) -> None:
        super().__init__(core, call, request)
        self._call = call
        self._at: str | None = None
        self._opened: Stream | None = None
        call.keeps_permit = call.keeps_place = True
        call.has_less_time = call.streams = True

    async def __call__(self, call: Call) -> AttemptResult:
        """Send the request and return the stream; the body of a failure is read immediately."""
        core = self._core
        incoming = None
        try:
            incoming, error = await self._open(call)
            if incoming is None:
                call.mask(error)
                return AttemptResult(error=error)
            call.status = incoming.status
            challenge = self.read_challenge(call, incoming.status, incoming.headers)
            if is_success(incoming.status):
                pause = self.pause_after(call, incoming.headers)
                if call.content is not None:
                    call.content.receive(Response(incoming.status, incoming.headers))
                self._opened = Stream(core, call, incoming)
                incoming = None
                return AttemptResult(self._opened, None, pause)
            body = await _beginning_of_body(incoming)
            if challenge is not None:
                return challenge
            response = Response(incoming.status, incoming.headers, body, url=self._at)
            if call.content is not None:
                call.content.receive(response)
            result = await self.result_of_answer(call, call.mask_credential(response))
            call.mask(result.error)
        except ConnectorError as error:
            failure = without_frames(error)
        else:
            return result
        finally:
            if incoming is not None:
                incoming.close()
        call.mask(failure)
        return AttemptResult(error=failure)

    async def _open(self, call: Call) -> tuple[AsyncIncoming, None] | tuple[None, ConnectorError]:
        """Return the response when its headers arrive, or the error if no response arrives."""
        core, base = self._core, call.plan.base_url or ""
        (request, url, attempt), plain_request = await self.prepare(call)
        self._at = url if plain_request is None else join_url(base, plain_request)
        try:
            # The attempt's time limit applies to the headers and to each piece; the deadline, to
            # all of them.
            is_abandoned = call.remaining(core) / 1e9
            steps = attempt.within(attempt.total or is_abandoned)
            timeouts = attrs.evolve(
                attempt, connect=steps.connect, read=steps.read, total=is_abandoned
            )
            call.leave()
            return _checked_incoming(await core.open(request, url, timeouts)), None
        except ConnectorError as error:
            self.record_missing_answer(call, error)
            return None, error.with_traceback(None)
        finally:
            # The traceback of an interruption contains this frame, which must not show secrets.
            del request, url

    def release(self) -> None:
        """Give back the permit and the bulkhead slot of a stream that will not start."""
        if self._opened is not None:
            self._opened.settle()
        elif self._call.plan.bulkhead is not None:
            self._core.release(self._call.plan.bulkhead_key, self._call)


class Stream:
    """A response whose body the caller reads in pieces.

    The stream's permit and bulkhead slot are held until the stream ends. The observers are notified
    of the end only if the caller has received the stream, which sets `handed_over`.
    """

    def __init__(self, core: Core, call: Call, incoming: AsyncIncoming) -> None:
        self._core = core
        self._call = call
        self._incoming = incoming
        self._settled = False
        self.handed_over = False

    @property
    def status(self) -> int:
        """The status code of the response."""
        return self._incoming.status

    @property
    def headers(self) -> Headers:
        """The headers of the response."""
        return self._incoming.headers

    async def read(self) -> bytes:
        """Read the next chunk of the response's body; return b"" at the end."""
        if self._settled:
            return b""
        call, core = self._call, self._core
        outcome = Outcome.NEUTRAL
        failure: ConnectorError
        try:
            if call.remaining(core) > 0:
                piece = await self._incoming.read()
                if not isinstance(piece, bytes):
                    raise wrong_answer_error(piece, "the body's bytes")  # noqa: TRY301 - ends the stream as an error of the client does
                if not piece:
                    self._settle(call.outcome)
                return piece
            failure = call.deadline_error()
        except ConnectorError as error:
            outcome = health(error)
            is_late = isinstance(error, AttemptTimeout) and call.remaining(core) <= 0
            failure = call.deadline_error(error) if is_late else error
        except BaseException as error:  # the adapter's error becomes one of moorage's
            if not isinstance(error, Exception) or is_interruption(error):
                self.settle()
                # The inner frames contain the bytes that were read.
                error.__traceback__ = handler_traceback(error)
                raise
            outcome, failure = Outcome.FAILED, http_failure(error)
        call.mask(failure)
        call.sign(core, failure)
        self._settle(outcome, failure)
        try:
            raise without_frames(failure)
        finally:
            # Otherwise the traceback refers to this frame and the frame to the error: a cycle.
            del failure

    def settle(self) -> None:
        """Close the stream, and release its permit and bulkhead slot.

        Closing again does nothing. If it is closed before the last byte, the circuit counts neither
        a success nor a failure.
        """
        self._settle(Outcome.NEUTRAL)

    def _settle(self, outcome: Outcome, error: ConnectorError | None = None) -> None:
        if self._settled:
            return
        self._settled = True
        call, core = self._call, self._core
        plan, permit = call.plan, call.permit
        try:
            if permit is not None and (outcome is not Outcome.GOOD or permit[2]):
                core.post(Report(plan.gates, permit, outcome, core.reporter()))
            if plan.bulkhead is not None:
                core.release(plan.bulkhead_key, call)
        finally:
            self._incoming.close()
        if self.handed_over and core.observers:
            is_abandoned = error is None and outcome is Outcome.NEUTRAL
            core.notify(call.finished_event(core, error, cancelled=is_abandoned))


def _checked_incoming(incoming: AsyncIncoming) -> AsyncIncoming:
    """Return an HTTP client's response after a check that it can be read as a stream.

    Raises:
        ConnectionFailed: the HTTP client returned something else.
    """
    if not all(callable(getattr(incoming, name, None)) for name in ("read", "close")):
        raise wrong_answer_error(incoming, "a response with `read` and `close` methods")
    try:
        if isinstance(incoming.status, int) and isinstance(incoming.headers, Headers):
            return incoming
    except Exception as error:  # noqa: BLE001 - the client's error becomes one of moorage's
        failure = http_failure(error)
    else:
        failure = unusable_head_error(incoming.status, incoming.headers)
    with dropped_errors():
        incoming.close()
    raise failure


async def _beginning_of_body(incoming: AsyncIncoming) -> bytes:
    """Return as much of a failed response's body as is needed for the vendor's message.

    Raises:
        ConnectorError: the HTTP client cannot read it.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        while size < _ERROR_BODY and (piece := await incoming.read()):
            if not isinstance(piece, bytes):
                raise wrong_answer_error(piece, "the body's bytes")  # noqa: TRY301 - as an error of the client
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)[:_ERROR_BODY]
    except ConnectorError:
        raise
    except Exception as error:
        if is_interruption(error):
            raise
        raise http_failure(error) from None
    finally:
        # The traceback of an interruption contains this frame, which must not show the body.
        del pieces
