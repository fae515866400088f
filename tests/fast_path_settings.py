"""Scenarios of calls to one service, run on the fast path and on the general path."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs

from moorage import (
    AsyncConnectorManager,
    AttemptStarted,
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    CredentialNotFound,
    Credentials,
    OperationAttempt,
    Request,
    Response,
    Service,
    Timeouts,
)
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.observation.integration_log import IntegrationLog, LogQuery
from tests.parts.ways_of_use import AsyncSleeper, Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage import Event


BASE = "https://vendor.example/v1"


class CallInterrupted(BaseException):
    """An exception like KeyboardInterrupt, which interrupts a call."""


ANSWERS: dict[str, Callable[[], Any]] = {
    "ok": lambda: Response(200, body=b"yes"),
    "json": lambda: Response(200, {"Content-Type": "application/json"}, b'{"id": 7}'),
    "cut json": lambda: Response(200, {"Content-Type": "application/json"}, b'{"id": 7'),
    "gone": lambda: Response(304),
    "interim": lambda: Response(101),
    "spent": lambda: Response(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"}),
    "some left": lambda: Response(200, {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "3"}),
    "moved": lambda: Response(301, {"Location": "https://other.example"}),
    "wrong": lambda: Response(422, body=b'{"error": {"code": "no_such_rate"}}'),
    "unknown": lambda: Response(401),
    "too many": lambda: Response(429, {"Retry-After": "2"}),
    "down": lambda: Response(503),
    "down for long": lambda: Response(503, {"Retry-After": "90"}),
    "refused": lambda: ConnectionFailed("refused.", may_have_been_processed=False),
    "cut off": lambda: ConnectionFailed("cut off.", may_have_been_processed=True),
    "late": lambda: AttemptTimeout("late.", may_have_been_processed=True),
    "foreign": lambda: ValueError("a secret"),
    "no answer": lambda: None,
    "stopped": CallInterrupted,
    "cancelled": asyncio.CancelledError,
}


CREDENTIALS: dict[str, Callable[[int], Any]] = {
    "token": lambda number: Credentials.bearer(f"token-{number}"),
    "same token": lambda _: Credentials.bearer("token"),
    "header": lambda number: Credentials.api_key(f"key-{number}", header="X-Key"),
    "query": lambda number: Credentials.api_key(f"key-{number}", query="key"),
    "pair": lambda number: Credentials.basic("erp", f"word-{number}"),
    "digest": lambda number: Credentials.digest("erp", f"word-{number}"),
    "wrong": lambda _: "token",
    "missing": lambda _: CredentialNotFound("missing."),
    "foreign": lambda _: ValueError("a secret"),
    "stopped": lambda _: CallInterrupted(),
}


class Provider:
    """A credential provider that returns scripted credentials, and then the same token again."""

    def __init__(self, clock: Clock, lookups: list[tuple[str, float]]) -> None:
        self._clock = clock
        self._lookups = list(lookups)
        self.calls: list[str] = []

    def get(self, service: str, tenant: str | None) -> Any:
        """Record the lookup, advance the time, and return the next credentials."""
        kind, takes = self._lookups.pop(0) if self._lookups else ("same token", 0.0)
        self.calls.append(f"{kind} of {service}, {tenant}")
        self._clock.advance(takes)
        answer = CREDENTIALS[kind](len(self.calls))
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def refresh(self, service: str, tenant: str | None, stale: Any) -> Any:
        """Record the renewal of the stale credentials, and return the next credentials."""
        self.calls.append(f"renewal of {stale.secret.reveal()}")
        return self.get(service, tenant)


class AsyncProvider:
    """The asynchronous variant of `Provider`."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def get(self, service: str, tenant: str | None) -> Any:
        """Return the next credentials."""
        return self._provider.get(service, tenant)

    async def refresh(self, service: str, tenant: str | None, stale: Any) -> Any:
        """Return the next credentials."""
        return self._provider.refresh(service, tenant, stale)


class AwaitedStore:
    """An in-memory store that suspends its caller, as a network store does."""

    durable = False
    reach = "process"
    mixes_tags = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states = MemoryStorage(clock)
        self.post = self._states.post
        self.takes = 0.0

    async def execute(self, command: Any, timeout: float | None = None) -> Any:
        """Advance the time, and run a command."""
        self._clock.advance(self.takes)
        await asyncio.sleep(0)
        return self._states.execute(command, timeout)


class Vendor:
    """A vendor that returns scripted responses one after another, and then successes."""

    def __init__(self, clock: Clock, answers: list[tuple[str, float]]) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.got: list[Any] = []

    def answer(self, request: Request, url: str, timeouts: Any) -> Any:
        """Record the request, advance the time, and return the next response."""
        self.got.append((request, url, round(timeouts.total, 3)))
        kind, takes = self._answers.pop(0) if self._answers else ("ok", 0.0)
        self._clock.advance(takes)
        answer = ANSWERS[kind]()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class SyncClient(Vendor):
    """A synchronous HTTP client that returns scripted responses."""

    send = Vendor.answer
    open = Vendor.answer

    def close(self) -> None:
        """Do nothing."""


class AsyncClient(Vendor):
    """An asynchronous HTTP client that returns scripted responses."""

    async def send(self, request: Request, url: str, timeouts: Any) -> Any:
        """Return the next scripted response."""
        return self.answer(request, url, timeouts)

    open = send

    async def close(self) -> None:
        """Do nothing."""


def error_facts(error: Any) -> Any:
    """Return the properties of an error and its causes that must be equal on both paths."""
    if not isinstance(error, ConnectorError):
        return type(error), str(error)
    cause = error.__cause__
    return (
        type(error),
        str(error),
        error.service,
        error.operation,
        error.attempts,
        getattr(error, "status", None),
        error.retryable,
        error.retry_at,
        getattr(error, "may_have_been_processed", None),
        None if cause is None else error_facts(cause) if isinstance(cause, Exception) else cause,
    )


@attrs.frozen
class ScenarioOutcome:
    """Results of a scenario, which are compared between the two paths.

    It has the results, requests, lookups, pauses, events, log entries, and the final circuits.
    """

    ends: list[Any]
    got: list[Any]
    lookups: list[str]
    slept: list[float]
    events: list[Event]
    entries: tuple[IntegrationLog, ...]
    circuits: list[Any]


@attrs.frozen(kw_only=True)
class Setting:
    """A scenario of calls, with its services and the vendor's responses.

    Attributes:
        mode: "sync", "async", or "distant" for an asynchronous manager with an `AwaitedStore`.
        services: the services.
        answers: the answers of the vendor.
        observed: whether there are observers and a log.
        listening: whether there is an observer of all events, but no log.
        logged: whether there is a log, but no observer.
        fast: whether the fast path may be used.
        options: the options of each call.
        failures_only: whether there is an observer of failures instead.
        keys: the idempotency keys of the calls; calls after the last key have none.
        lookups: the credentials that the provider returns.
    """

    mode: str
    services: list[Service]
    answers: list[Any]
    observed: bool = False
    listening: bool = False
    logged: bool = False
    fast: bool = True
    options: dict[str, Any] = attrs.field(factory=dict)
    failures_only: bool = False
    keys: list[str | None] = attrs.field(factory=list)
    lookups: list[Any] = attrs.field(factory=list)

    def send(self, requests: list[Request]) -> ScenarioOutcome:
        """Send requests one after another."""
        return self._play([("call", request) for request in requests])

    def run(self, number: int) -> ScenarioOutcome:
        """Call the scenario's function this many times."""
        return self._play([("run", None)] * number)

    def perform(self, number: int, *, repeatable: bool) -> ScenarioOutcome:
        """Perform an operation this many times."""
        return self._play([("perform", repeatable)] * number)

    def _play(self, calls: list[Any]) -> ScenarioOutcome:
        clock = Clock()
        events: list[Event] = []
        log = MemoryIntegrationLogger()
        ports: dict[str, Any] = {
            "clock": clock,
            "randomness": FixedRandom(),
            "ids": Numbers(),
            "observers": [
                *[events.append, StartObserver(events)][: 2 * self.observed],
                *[events.append] * self.listening,
                *[FailureObserver(events)] * self.failures_only,
            ],
        }
        circuits: list[Any] = []
        watched = self._circuits()
        provider = Provider(clock, self.lookups)
        vendor: Any = (SyncClient if self.mode == "sync" else AsyncClient)(clock, self.answers)

        def answer_in_time(total: float = 1.0) -> Any:
            return vendor.answer(Request.get("/"), "", Timeouts(total=total))

        async def answer_async(total: float = 1.0) -> Any:
            return answer_in_time(total)

        def sync() -> list[Any]:
            ports["log"] = log if self.observed or self.logged else None
            ports["credentials"] = provider
            manager: Any = ConnectorManager(self.services, http=vendor, sleeper=clock, **ports)
            self._slow_down(manager)
            end_events = []
            for (method_name, request), options in zip(calls, self._options(), strict=False):
                try:
                    end_events.append(
                        getattr(manager, method_name)(
                            "v", work_of(method_name, request, answer_in_time), **options
                        )
                    )
                except BaseException as error:  # noqa: BLE001 - compared
                    end_events.append(error_facts(error))
            circuits.extend(manager.circuit_state("v", **names) for names in watched)
            return end_events

        async def run_async() -> list[Any]:
            has_log = self.observed or self.logged
            ports["log"] = AsyncMemoryIntegrationLogger(log) if has_log else None
            ports["credentials"] = AsyncProvider(provider)
            ports["state"] = AwaitedStore(clock) if self.mode == "distant" else None
            manager: Any = AsyncConnectorManager(
                self.services, http=vendor, sleeper=AsyncSleeper(clock), **ports
            )
            self._slow_down(manager)
            end_events = []
            for (method_name, request), options in zip(calls, self._options(), strict=False):
                work = work_of(method_name, request, answer_async)
                try:
                    end_events.append(await getattr(manager, method_name)("v", work, **options))
                except BaseException as error:  # noqa: BLE001 - compared
                    end_events.append(error_facts(error))
            circuits.extend([await manager.circuit_state("v", **names) for names in watched])
            return end_events

        end_events = sync() if self.mode == "sync" else asyncio.run(run_async())
        entries = log.find(LogQuery(limit=1000)).items
        return ScenarioOutcome(
            end_events, vendor.got, provider.calls, clock.slept, events, entries, circuits
        )

    def _circuits(self) -> list[dict[str, Any]]:
        """Return the arguments that select each circuit of the first service."""
        service = self.services[0]
        if service.circuit is None:
            return []
        return [{"region": region.name} for region in service.regions] or [{}]

    def _options(self) -> Iterator[dict[str, Any]]:
        """Yield the options for each call, one after another."""
        for key in self.keys:
            yield self.options | ({} if key is None else {"idempotency_key": key})
        while True:
            yield self.options

    def _slow_down(self, manager: Any) -> None:
        if not self.fast:
            manager._easy = manager._direct = manager._performed = {}  # noqa: SLF001 - the plans of the fast path


@attrs.frozen
class FindOperation:
    """An operation that sends a request to the vendor."""

    answer: Callable[[float], Any]
    repeatable: bool = attrs.field(kw_only=True)
    name: str = "rates.find"
    system: str = "vendor"
    safe: bool = False

    def perform(self, attempt: OperationAttempt) -> Any:
        """Make one attempt of the operation."""
        return self.answer(attempt.timeout)

    def translate_error(self, error: Exception) -> ConnectorError | None:
        """Classify exceptions that are not moorage's."""
        if isinstance(error, ValueError):
            return ConnectionFailed("judged.", may_have_been_processed=False)
        return None


class StartObserver:
    """An observer that keeps only events for the start of attempts."""

    event_classes = (AttemptStarted,)

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def __call__(self, event: Event) -> None:
        """Keep the event."""
        self._events.append(event)


class FailureObserver:
    """An observer that keeps only events of failures."""

    failures_only = True

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def __call__(self, event: Event) -> None:
        """Keep the event."""
        self._events.append(event)


def work_of(method_name: str, value: Any, answer: Callable[..., Any]) -> Any:
    """Return the request, function or operation that a scenario calls."""
    return FindOperation(answer, repeatable=value) if method_name == "perform" else value or answer


class Numbers:
    """An id generator that counts upwards."""

    def __init__(self) -> None:
        self._count = 0

    def new(self) -> str:
        """Return the next id."""
        self._count += 1
        return f"id-{self._count}"


class FixedRandom:
    """A source of random numbers that always returns the same fractions."""

    def __init__(self) -> None:
        self._count = 0

    def fraction(self) -> float:
        """Return one half."""
        return 0.5

    def token(self) -> int:
        """Return the next number of a count."""
        self._count += 1
        return self._count
