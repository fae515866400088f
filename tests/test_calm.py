"""A request sent by the face itself ends exactly as one that is sent by the flow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AsyncConnectorManager,
    AttemptTimeout,
    CircuitBreakerConfig,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    Credentials,
    DeadlineExceeded,
    RateLimitConfig,
    Request,
    Response,
    RetryBudget,
    RetryPolicy,
    Service,
)
from tests.parts.world import AsyncSleeper, Clock

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = "https://vendor.example/v1"

ANSWERS: dict[str, Callable[[], Any]] = {
    "ok": lambda: Response(200, body=b"yes"),
    "gone": lambda: Response(304),
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
}


class Vendor:
    """Answers as it was told, one after another, then well."""

    def __init__(self, clock: Clock, answers: list[tuple[str, float]]) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.got: list[Any] = []

    def answer(self, request: Request, url: str, timeouts: Any) -> Any:
        """Take the request, let the time pass that it takes, and give the next answer."""
        self.got.append((request, url, round(timeouts.total, 3)))
        kind, takes = self._answers.pop(0) if self._answers else ("ok", 0.0)
        self._clock.advance(takes)
        answer = ANSWERS[kind]()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Plain(Vendor):
    """For threads."""

    send = Vendor.answer
    open = Vendor.answer

    def close(self) -> None:
        """Nothing to do."""


class Awaited(Vendor):
    """For tasks."""

    async def send(self, request: Request, url: str, timeouts: Any) -> Any:
        """Answer."""
        return self.answer(request, url, timeouts)

    open = send

    async def close(self) -> None:
        """Nothing to do."""


def _told(error: Any) -> Any:
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
        None if cause is None else _told(cause) if isinstance(cause, Exception) else cause,
    )


def _played(
    mode: str,
    services: list[Service],
    requests: list[Request],
    answers: list[Any],
    **named: Any,
) -> tuple[list[Any], list[Any], list[float]]:
    """How each call ended, what the vendor got, and how long was slept."""
    clock = Clock()
    ended: list[Any] = []

    def plain() -> Vendor:
        vendor = Plain(clock, answers)
        manager = ConnectorManager(
            services, http=vendor, clock=clock, sleeper=clock, randomness=Same()
        )
        for request in requests:
            try:
                ended.append(manager.call("v", request, **named))
            except Exception as error:  # noqa: BLE001 - compared
                ended.append(_told(error))
        return vendor

    async def later() -> Vendor:
        vendor = Awaited(clock, answers)
        manager = AsyncConnectorManager(
            services, http=vendor, clock=clock, sleeper=AsyncSleeper(clock), randomness=Same()
        )
        for request in requests:
            try:
                ended.append(await manager.call("v", request, **named))
            except Exception as error:  # noqa: BLE001 - compared
                ended.append(_told(error))
        return vendor

    vendor = asyncio.run(later()) if mode == "awaited" else plain()
    return ended, vendor.got, clock.slept


class Same:
    """No chance at all."""

    def __init__(self) -> None:
        self._count = 0

    def fraction(self) -> float:
        """The middle."""
        return 0.5

    def token(self) -> int:
        """One after another."""
        self._count += 1
        return self._count


PROTECTIONS: list[dict[str, Any]] = [
    {},
    {"circuit": None, "retry": None},
    {"circuit": CircuitBreakerConfig(failures=2, open_for=5)},
    {"limits": (RateLimitConfig.per_second(1, burst=2),)},
    {"limits": (RateLimitConfig.per_second(1),), "max_limit_wait": 0},
    {"headers": {"User-Agent": "erp", "Accept": "*/*"}, "credentials": Credentials.basic("u", "p")},
    {"headers": {"Accept": "*/*"}},
    {"credentials": Credentials.api_key("k", query="key"), "retry": RetryPolicy(3, 0)},
    {"retry": RetryPolicy(4, 1.0), "retry_budget": RetryBudget(), "timeout": 10},
]
REQUESTS = [
    Request.get("/rates"),
    Request.get("/rates", headers={"accept": "text/csv", "Authorization": "mine"}),
    Request.get("/räte", query={"of": "EUR"}),
    Request.get("https://vendor.example/v1/next?page=2"),
    Request.get("https://other.example/v1/next"),
    Request.post("/charges", json={"amount": 1}),
    Request.delete("/charges/1"),
]


@pytest.mark.parametrize("mode", ["plain", "awaited"])
@given(data=st.data())
def test_both_ways_end_alike(mode: str, data: st.DataObject) -> None:
    """Whatever the vendor does, answers, errors, waits and what was sent are the same."""
    service = Service("v", base_url=BASE, **data.draw(st.sampled_from(PROTECTIONS)))
    requests = data.draw(st.lists(st.sampled_from(REQUESTS), min_size=2, max_size=5))
    takes = st.sampled_from([0.0, 0.5, 31.0])
    answers = data.draw(st.lists(st.tuples(st.sampled_from(list(ANSWERS)), takes), max_size=9))

    by_face = _played(mode, [service], requests, answers)
    by_flow = _played(mode, [service], requests, answers, request_id="of the flow")

    assert by_flow == by_face


def test_quick_call_teaches_a_recorder_what_it_sends() -> None:
    """A client that records learns the credentials of a call on the fast path too."""
    taught: list[Any] = []

    class Recorder:
        def send(self, *_: object) -> Response:
            return Response(200)

        def close(self) -> None:
            """Nothing to close."""

        def learn_secrets(self, *values: Any) -> None:
            taught.extend(values)

    vendor = Service("vat", base_url=BASE, credentials=Credentials.bearer("s3cr3t-key"))
    with ConnectorManager([vendor], http=cast("Any", Recorder())) as manager:
        manager.call("vat", Request.get("/"))
        taught.clear()
        assert 200 == manager.call("vat", Request.get("/")).status
    assert any("s3cr3t-key" in str(value) for value in taught)


def test_quick_function_that_overruns_its_time_is_cut_off() -> None:
    """An asynchronous function ends with the service's time, and is not tried again."""

    async def overrun() -> None:
        async with AsyncConnectorManager([Service("vat", timeout=0.01)]) as manager:
            assert "ok" == await manager.run("vat", lambda: asyncio.sleep(0, "ok"))
            await manager.run("vat", lambda: asyncio.sleep(3600))

    with pytest.raises(DeadlineExceeded):
        asyncio.run(overrun())


def test_quick_function_may_return_any_awaitable() -> None:
    """A future is awaited as a coroutine is."""

    async def ask() -> str:
        future = asyncio.get_running_loop().create_future()
        future.set_result("ok")
        async with AsyncConnectorManager([Service("vat")]) as manager:
            return await manager.run("vat", lambda: future)

    assert "ok" == asyncio.run(ask())
