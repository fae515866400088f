"""An answer whose body is read piece by piece, under the same protections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring.domain.admission import Report
from mooring.domain.circuit import Outcome
from mooring.domain.health import health
from mooring.domain.http import Response
from mooring.errors import AttemptTimeout, AuthenticationFailed, ConnectorError
from mooring.services.attempts import out_of_time
from mooring.services.exchange import Exchange, foreign

if TYPE_CHECKING:
    from mooring.domain.http import Headers, Request
    from mooring.ports.http import AsyncIncoming
    from mooring.services.attempts import Ending
    from mooring.services.call import Call
    from mooring.services.core import Core

_ERROR_BODY = 65_536
_FAILED = 400


class Streaming(Exchange):
    """The step that opens an answer and hands its body on."""

    __slots__ = ("_call", "_opened")

    def __init__(self, core: Core, call: Call, request: Request) -> None:
        super().__init__(core, call, request)
        self._call = call
        self._opened: Stream | None = None
        call.keeps_permit = call.keeps_place = True

    async def __call__(self, call: Call) -> Ending:
        """Open once; an answer that is a failure is read and judged here."""
        core = self._core
        incoming = None
        try:
            request, url, timeouts = await self.prepare(call)
            call.acted = True
            incoming = await core.open(request, url, timeouts)
            call.status = incoming.status
            if incoming.status < _FAILED:
                self._opened = Stream(core, call, incoming)
                incoming = None
                return self._opened, None
            body = await _some(incoming)
            response = Response(call.status, incoming.headers, body, url=url)
            return self.judge(call, response)
        except AuthenticationFailed as error:
            return None, await self._renew(call, error)
        except AttemptTimeout as error:
            return None, out_of_time(call) if call.remaining(core) <= 0 else error
        except ConnectorError as error:
            return None, error
        except Exception as error:  # noqa: BLE001 - the adapter's, made one of ours
            return None, foreign(error)
        finally:
            if incoming is not None:
                incoming.close()

    def let_go(self) -> None:
        """Give the bulkhead's place back, unless a stream is keeping it."""
        if self._opened is None:
            self._core.release(self._call.plan.bulkhead_key, self._call)


class Stream:
    """An answer at its headers.

    `read` returns the next piece of the body, b"" at its end. `settle` ends the stream: without an
    error before the end it is neutral. Both the permit and the place in the bulkhead are kept until
    then.
    """

    def __init__(self, core: Core, call: Call, incoming: AsyncIncoming) -> None:
        self._core = core
        self._call = call
        self._incoming = incoming
        self._ended = False
        self._settled = False

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self._incoming.status

    @property
    def headers(self) -> Headers:
        """The fields of the answer."""
        return self._incoming.headers

    async def read(self) -> bytes:
        """The next piece of the body; b"" at its end."""
        if self._settled:
            return b""
        call = self._call
        try:
            if call.remaining(self._core) <= 0:
                raise out_of_time(call)
            piece = await self._incoming.read()
        except ConnectorError as error:
            timed_out = isinstance(error, AttemptTimeout) and call.remaining(self._core) <= 0
            failure = out_of_time(call) if timed_out else error
            call.sign(self._core, failure)
            self.settle(failure)
            if failure is error:
                raise
            raise failure from error
        except Exception as error:
            failed = foreign(error)
            call.sign(self._core, failed)
            self.settle(failed)
            raise failed from error
        if not piece:
            self._ended = True
            self.settle(None)
        return piece

    def settle(self, error: BaseException | None) -> None:
        """End the stream; plain, and idempotent."""
        if self._settled:
            return
        self._settled = True
        call, core = self._call, self._core
        permit = call.permit
        outcome = Outcome.NEUTRAL
        if self._ended:
            outcome = Outcome.GOOD
        elif isinstance(error, ConnectorError):
            outcome = health(error)
        try:
            if permit is not None and (outcome is not Outcome.GOOD or permit[2]):
                core.post(Report(call.plan.gates, permit, outcome, core.reporter))
            core.release(call.plan.bulkhead_key, call)
        finally:
            self._incoming.close()


async def _some(incoming: AsyncIncoming) -> bytes:
    """The beginning of a failure's body: enough to see what the vendor says."""
    pieces, size = [], 0
    while size < _ERROR_BODY and (piece := await incoming.read()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)[:_ERROR_BODY]
