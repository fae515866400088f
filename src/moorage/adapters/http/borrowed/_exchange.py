"""One request and its answer by another library's client, written once for all of them.

| the library says | raised | may have been processed |
|---|---|---|
| it had no connection free in time | `AttemptTimeout` | no |
| not reached, not secured, in time or at all | `ConnectionFailed`, `AttemptTimeout` | no |
| the body's source failed | `LocalFailure` | if anything was sent |
| not sent in time, no answer in time | `AttemptTimeout` | yes |
| cut off before the end of the answer | `ConnectionFailed` | yes |
| an answer that is not HTTP, or too large | `VendorFailed` | it was answered |
| anything else | `ConnectionFailed` | if anything was sent |

"Anything was sent" is what the library tells; of one that does not tell, it is yes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from moorage.adapters.http.borrowed._engine import Lender, LentEngine, Stand, closed
from moorage.adapters.http.borrowed._trip import (
    Errand,
    FailedSource,
    Late,
    NotReached,
    Pieces,
    Trip,
)
from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.connections._wire import TimeIsUp, exhausted
from moorage.adapters.http.messages._http1 import CutOff, NotHttp, encode_head
from moorage.adapters.http.stdlib._exchange import Exchange
from moorage.domain.http.requests import BodyStream
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._wire import Network
    from moorage.adapters.http.messages._http1 import Limits
    from moorage.adapters.http.stdlib._engine import Settings
    from moorage.domain.http.requests import Request, Timeouts


class Carrier(Lender, Protocol):
    """A library's client that makes whole exchanges."""

    @property
    def closed(self) -> bool: ...

    def trip(self, errand: Errand) -> Trip: ...


class Trips(Stand):
    """Room for exchanges that a library makes.

    Attributes:
        lost: those that nobody ended, and nobody knows of any more.
    """

    def __init__(self, network: Network, places: int, carrier: Carrier) -> None:
        super().__init__(network, places)
        self.lender = self._carrier = carrier
        self.lost: deque[Trip] = deque()

    def trip(self, errand: Errand) -> Trip:
        """Return an exchange that has yet to begin."""
        while self.lost:
            self.lost.popleft().close()
        if self._carrier.closed:
            raise closed("The HTTP client that was given to moorage is closed.")
        return self._carrier.trip(errand)


class TripEngine(LentEngine):
    """Makes exchanges that a library carries.

    Args:
        network: how to wait.
        settings: those of the adapter.
        carrier: makes a client.
        given: whether that is one which the host has made.
    """

    def __init__(
        self, network: Network, settings: Settings, carrier: Callable[[], Carrier], *, given: bool
    ) -> None:
        super().__init__(network, settings, given=given)
        self._new_carrier = carrier

    def new_stand(self) -> Trips:
        """Make a client for this process and event loop, and room for it."""
        return Trips(self.network, self._settings.max_connections, self._new_carrier())

    async def _start(
        self, request: Request, url: str, timeouts: Timeouts, limits: Limits
    ) -> Exchange:
        origin, host, target = locate(url)
        if self.guide is not None:
            self.guide.check(origin)
        exchange = LentExchange(self, origin, timeouts, limits, request.method)
        await exchange.start(request, target, host)
        return exchange


class LentExchange(Exchange):
    """One request and its answer, carried by a library."""

    __slots__ = ()

    async def start(self, request: Request, target: str, host: str) -> None:
        """Send the request and read its answer up to the body."""
        # Views, because they do not show what they are of: crash reporters show locals.
        head, upload = memoryview(encode_head(request, target, host)), None
        if isinstance(request.body, BodyStream):
            upload = await self._open_body(request.body, framed=False)
            pieces = Pieces(upload.first, upload, self._deadline)
        else:
            pieces = Pieces(request.body, None, self._deadline)
        errand = Errand(self._origin, head, pieces, self._timeouts, self._deadline)
        try:
            trips = await self._take_place()
            trip = self._wire = trips.trip(errand)
            await self._ask(trip)
            while self._reader.head is None:
                await self._read_on(trip)
            self._begin_body(request)
        except BaseException:
            self._let_go()
            raise

    async def _take_place(self) -> Trips:
        pool = await super()._take_place()
        assert isinstance(pool, Trips)  # noqa: S101 - we make no others
        return pool

    async def _ask(self, trip: Trip) -> None:
        try:
            await trip.send(b"", self._until(None))
        except Late as late:
            raise self._late(late.step, late.what, sent=trip.sent) from None
        except TimeIsUp:
            raise self._late("total", "did not answer", sent=trip.sent) from None
        except NotHttp as error:
            raise self._no_answer(error) from None
        except NotReached as error:
            if error.exhausted:
                raise exhausted(self._whom, str(error)) from None
            raise ConnectionFailed(
                f"{self._whom} could not be reached: {error}.", may_have_been_processed=False
            ) from None
        except (CutOff, OSError) as error:
            raise self._cut_off(error) from None
        except FailedSource as failed:
            raise self._no_body(failed.error, sent=trip.sent) from failed.error

    def __del__(self) -> None:
        # Nobody closed it. The library would go on keeping its connection for it.
        if isinstance(self._pool, Trips) and isinstance(self._wire, Trip):
            self._pool.lost.append(self._wire)
        super().__del__()
