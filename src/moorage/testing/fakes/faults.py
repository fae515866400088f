"""A simulated network with chosen faults: in memory, on virtual time, reproducible.

```python
from moorage import ConnectorManager, Request, Response, Service
from moorage.testing import FakeVendor, FaultNetwork, FaultSchedule, LostAnswer, Refused
from moorage.testing import VirtualClock, VirtualSleeper

clock = VirtualClock()
sleeper = VirtualSleeper(clock)
faults = FaultSchedule([Refused(), LostAnswer()])  # of the first two requests
network = FaultNetwork(FakeVendor(Response(200)), faults, sleeper=sleeper)
vat = Service("vat", base_url="https://vat.example")
manager = ConnectorManager([vat], http=network, clock=clock, sleeper=sleeper)
print(manager.call("vat", Request.get("/rates")).status)  # → 200

print(faults)  # → FaultSchedule([Refused(), LostAnswer(), None])
faults = FaultSchedule.random(7, {LostAnswer(): 0.1, Refused(): 0.2})  # the same for each seed
```

| fault | the vendor processes the request | what the client gets | may have been processed |
|---|---|---|---|
| `Refused` | no | `ConnectionFailed` | no |
| `LostRequest` | no | `ConnectionFailed` | yes |
| `LostAnswer` | yes | `ConnectionFailed` | yes |
| `Delay` | yes | the answer, or `AttemptTimeout` | yes |
| `CutMidBody` | yes | the beginning, then `ConnectionFailed` | yes |
| `Garbage` | yes | `VendorFailed` | it was answered |
| `RateLimited` | no | a response, 429 | it was answered |
| `ServerError` | no | a response, 5xx | it was answered |
"""

from __future__ import annotations

import math
from itertools import count
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import attrs

from moorage.domain.http.requests import Response
from moorage.domain.values.durations import is_count, is_seconds, plain_seconds, share
from moorage.errors import AttemptTimeout, ConfigurationError, ConnectionFailed, VendorFailed
from moorage.runtime.flows import as_async, run_now
from moorage.testing.fakes.http import (
    AsyncScriptedHttpClient,
    AsyncScriptedIncoming,
    FakeVendor,
    ScriptedHttpClient,
    ScriptedIncoming,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from moorage.domain.auth.sent_values import SecretLearner
    from moorage.domain.http.requests import Request, Timeouts
    from moorage.ports.clock import AsyncSleeper, Sleeper
    from moorage.ports.http import AsyncHttpClient, AsyncIncoming, HttpClient, Incoming


class _Closable(Protocol):
    def close(self) -> None: ...


Arrived = TypeVar("Arrived", bound="Response | _Closable")


@attrs.frozen
class Refused:
    """A fault: the connection is refused, and the request is not sent."""


@attrs.frozen
class LostRequest:
    """A fault: the request is lost with its connection, and the client cannot detect that."""


@attrs.frozen
class LostAnswer:
    """A fault: the vendor executes the request, but the connection breaks before its response."""


@attrs.frozen
class Delay:
    """A fault: the vendor executes the request, but its response is delayed."""

    seconds: float = attrs.field(converter=plain_seconds, validator=is_seconds)


@attrs.frozen
class CutMidBody:
    """A fault: the connection breaks after some bytes of the response's body."""

    after: int = attrs.field(default=1, validator=is_count)


@attrs.frozen
class RateLimited:
    """A fault: the vendor responds with 429, possibly with the seconds to wait."""

    retry_after: float | None = attrs.field(
        default=None, converter=plain_seconds, validator=attrs.validators.optional(is_seconds)
    )


@attrs.frozen
class ServerError:
    """A fault: the vendor responds with a server error, and has done nothing."""

    status: int = 503


@attrs.frozen
class Garbage:
    """A fault: the vendor executes the request, but its response is not HTTP."""


Fault: TypeAlias = (
    Refused | LostRequest | LostAnswer | Delay | CutMidBody | RateLimited | ServerError | Garbage
)


class FaultSchedule:
    """The fault of each request in order of arrival; None means no fault.

    Requests after the last scheduled one have no fault. Its `repr` is the code that made it;
    `print` writes Python code for a schedule that repeats the faults so far.

    Args:
        faults: the fault of each request, in order.
    """

    def __init__(self, faults: Iterable[Fault | None] = ()) -> None:
        scheduled_errors = list(faults)
        for fault in scheduled_errors:
            if fault is not None and not isinstance(fault, Fault):
                raise ConfigurationError(
                    f"{fault!r} is not a fault.",
                    path="faults",
                    remedy="Give faults such as Refused(), or None for a request without a fault.",
                )
        self._made = f"{scheduled_errors!r}"
        self._coming = iter(scheduled_errors)
        self._applied: list[Fault | None] = []
        self._lock = Lock()

    @classmethod
    def random(cls, seed: int, rates: Mapping[Fault, float]) -> FaultSchedule:
        """Return a schedule that draws random faults at these rates from a seed."""
        for rate in rates.values():
            share(rate, "rates")
        if math.fsum(rates.values()) > 1:
            raise ConfigurationError(
                "The rates of all faults add up to more than 1.",
                path="rates",
                remedy="Give each rate as a share of all requests; the rest meet no fault.",
            )
        rates = dict(rates)
        draws = Random(seed)  # noqa: S311 - to draw the same every time is what it is for
        schedule = cls()
        schedule._made = f".random({seed!r}, {rates!r})"
        schedule._coming = (_draw_fault(draws.random(), rates) for _ in count())
        return schedule

    @property
    def applied(self) -> tuple[Fault | None, ...]:
        """The faults that have been applied to requests so far, in order."""
        with self._lock:
            return tuple(self._applied)

    def next(self) -> Fault | None:
        """Return the next request's fault; None means no fault."""
        with self._lock:
            fault = next(self._coming, None)
            self._applied.append(fault)
            return fault

    def __repr__(self) -> str:
        arguments = self._made
        return f"FaultSchedule{arguments if arguments.startswith('.') else f'({arguments})'}"

    def __str__(self) -> str:
        return f"FaultSchedule({list(self.applied)!r})"


class FaultNetwork:
    """An `HttpClient` with scheduled network faults between itself and the vendor.

    Args:
        vendor: the fake vendor, or any HTTP client, behind the network.
        faults: the schedule of faults.
        sleeper: waits during a delay; give a virtual one.
    """

    def __init__(
        self, vendor: FakeVendor | HttpClient, faults: FaultSchedule, *, sleeper: Sleeper
    ) -> None:
        self.faults = faults
        self._inner = ScriptedHttpClient(vendor) if isinstance(vendor, FakeVendor) else vendor
        self.learn_secrets: SecretLearner | None = getattr(self._inner, "learn_secrets", None)
        self._sleep = as_async(sleeper.sleep)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request with its scheduled fault."""
        return run_now(
            _partial_response(
                self.faults.next(),
                timeouts,
                self._sleep,
                lambda: as_async(self._inner.send)(request, url, timeouts),
            )
        )

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Incoming:
        """Send a request with its scheduled fault; reading the body may be cut off."""
        fault = self.faults.next()
        head = run_now(
            _head_of_response(
                fault,
                timeouts,
                self._sleep,
                lambda: as_async(self._inner.open)(request, url, timeouts),
            )
        )
        if isinstance(head, Response):
            return ScriptedIncoming(head)
        return _CutIncoming(head, fault.after) if isinstance(fault, CutMidBody) else head

    def close(self) -> None:
        """Close the HTTP client behind the simulated network."""
        self._inner.close()


class AsyncFaultNetwork:
    """An `AsyncHttpClient` with scheduled network faults between itself and the vendor.

    Args:
        vendor: the fake vendor, or any HTTP client, behind the network.
        faults: the schedule of faults.
        sleeper: waits during a delay; give a virtual one.
    """

    def __init__(
        self, vendor: FakeVendor | AsyncHttpClient, faults: FaultSchedule, *, sleeper: AsyncSleeper
    ) -> None:
        self.faults = faults
        self._inner = AsyncScriptedHttpClient(vendor) if isinstance(vendor, FakeVendor) else vendor
        self.learn_secrets: SecretLearner | None = getattr(self._inner, "learn_secrets", None)
        self._sleep = sleeper.sleep

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request with its scheduled fault."""
        return await _partial_response(
            self.faults.next(),
            timeouts,
            self._sleep,
            lambda: self._inner.send(request, url, timeouts),
        )

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncIncoming:
        """Send a request with its scheduled fault; reading the body may be cut off."""
        fault = self.faults.next()
        head = await _head_of_response(
            fault, timeouts, self._sleep, lambda: self._inner.open(request, url, timeouts)
        )
        if isinstance(head, Response):
            return AsyncScriptedIncoming(head)
        return _AsyncCutIncoming(head, fault.after) if isinstance(fault, CutMidBody) else head

    async def close(self) -> None:
        """Close the HTTP client behind the simulated network."""
        await self._inner.close()


class _CutIncoming:
    def __init__(self, inner: Incoming, after: int) -> None:
        self._inner = inner
        self._left = after
        self.status, self.headers = inner.status, inner.headers

    def read(self) -> bytes:
        piece = self._inner.read()[: self._left]
        self._left -= len(piece)
        return _piece_or_error(piece)

    def close(self) -> None:
        self._inner.close()


class _AsyncCutIncoming:
    def __init__(self, inner: AsyncIncoming, after: int) -> None:
        self._inner = inner
        self._left = after
        self.status, self.headers = inner.status, inner.headers

    async def read(self) -> bytes:
        piece = (await self._inner.read())[: self._left]
        self._left -= len(piece)
        return _piece_or_error(piece)

    def close(self) -> None:
        self._inner.close()


async def _partial_response(
    fault: Fault | None,
    timeouts: Timeouts,
    sleep: Callable[[float], Awaitable[None]],
    send: Callable[[], Awaitable[Response]],
) -> Response:
    """Return the part of a response that the client receives before the connection breaks."""
    response = await _head_of_response(fault, timeouts, sleep, send)
    if isinstance(fault, CutMidBody):
        raise _connection_cut()
    return response


async def _head_of_response(
    fault: Fault | None,
    timeouts: Timeouts,
    sleep: Callable[[float], Awaitable[None]],
    exchange: Callable[[], Awaitable[Arrived]],
) -> Arrived | Response:
    """Return the part of a response that the client receives before the body."""
    fault_response = _fail_request(fault)
    if fault_response is not None:
        return fault_response
    head = await exchange()
    try:
        await _fail_response(fault, timeouts, sleep)
    except BaseException:
        if not isinstance(head, Response):
            head.close()
        raise
    return head


def _fail_request(fault: Fault | None) -> Response | None:
    """Apply a fault that stops a request before the vendor: return a response or raise an error."""
    match fault:
        case Refused():
            raise ConnectionFailed("The connection was refused.", may_have_been_processed=False)
        case LostRequest():
            raise _closed_connection()
        case RateLimited(retry_after=seconds):
            wait = {} if seconds is None else {"Retry-After": f"{math.ceil(seconds)}"}
            return Response(429, wait)
        case ServerError(status=status):
            return Response(status)
        case _:
            return None


async def _fail_response(
    fault: Fault | None, timeouts: Timeouts, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Apply a fault to the vendor's response: raise an error, or delay the response."""
    match fault:
        case LostAnswer():
            raise _closed_connection()
        case Garbage():
            raise VendorFailed("The vendor's answer is not HTTP.")
        case Delay(seconds=seconds):
            await _wait_for_delay(seconds, timeouts, sleep)
        case _:
            pass


async def _wait_for_delay(
    seconds: float, timeouts: Timeouts, sleep: Callable[[float], Awaitable[None]]
) -> None:
    timeout_seconds = [bound for bound in (timeouts.read, timeouts.total) if bound is not None]
    patience = min(timeout_seconds, default=math.inf)
    await sleep(min(seconds, patience))
    if seconds >= patience:
        raise AttemptTimeout(f"The vendor did not answer within the timeout of {patience} s.")


def _draw_fault(draw: float, rates: Mapping[Fault, float]) -> Fault | None:
    for fault, rate in rates.items():
        draw -= rate
        if draw < 0:
            return fault
    return None


def _closed_connection() -> ConnectionFailed:
    # The same error for a lost request and a lost response, because the client cannot distinguish
    # them.
    return ConnectionFailed("The vendor closed the connection without an answer.")


def _piece_or_error(piece: bytes) -> bytes:
    if piece:
        return piece
    raise _connection_cut()


def _connection_cut() -> ConnectionFailed:
    return ConnectionFailed("The vendor cut its answer off.")
