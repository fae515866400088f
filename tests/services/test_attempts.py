"""Attempts of a call: how many are made, the pauses between them, and their time limits."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    Backoff,
    BodyStream,
    CircuitBreakerConfig,
    ConnectionFailed,
    ConnectorError,
    CredentialNotFound,
    DeadlineExceeded,
    Endpoint,
    InvalidData,
    InvalidRequest,
    Jitter,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryBudget,
    RetryBudgetExhausted,
    RetryPolicy,
    Service,
    StorageUnavailable,
    VendorFailed,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.domain.resilience.gate_commands import Pause, Report
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

GET = Request.get("/rates")
POST = Request.post("/orders", json={"number": 1})
UNSENT = ConnectionFailed("refused", may_have_been_processed=False)
STEADY = RetryPolicy(3, 1.0, jitter=Jitter.NONE)


def vat(**options: object) -> Service:
    """Return a service with retries as its only protection, unless a test sets others."""
    value = {"base_url": "https://vat.example", "circuit": None, "retry": STEADY} | options
    return Service("vat", **value)  # type: ignore[arg-type]  # as each test says


@pytest.mark.parametrize("attempts", [1, 2, 3, 5])
@sync_and_async
async def test_max_attempts_includes_the_first(harness: Harness, attempts: int) -> None:
    """`max_attempts=3` means three attempts including the first, and the error counts them."""
    harness.vendor.otherwise = 503
    manager = harness.manager(vat(retry=RetryPolicy(attempts, 0)))

    with pytest.raises(VendorFailed) as excinfo:
        await manager.call("vat", GET)

    assert attempts == len(harness.vendor.requests) == excinfo.value.attempts


@sync_and_async
async def test_functions_are_retried(harness: Harness) -> None:
    """A function is called once per attempt, and the last attempt's error is raised unchanged."""
    errors = [OSError(number) for number in range(3)]
    remaining_errors = iter(errors)

    async def raise_error() -> None:
        raise next(remaining_errors)

    with pytest.raises(OSError, match="2") as excinfo:
        await harness.manager(vat()).run("vat", raise_error)

    assert errors[2] is excinfo.value
    assert [1.0, 2.0] == harness.sleeper.slept


@sync_and_async
async def test_success_ends_retries(harness: Harness) -> None:
    """After a successful attempt no further attempt is made."""
    harness.vendor.answers(503, Response(200, body=b"ok"), 500)

    response = await harness.manager(vat()).call("vat", GET)

    assert (b"ok", 2) == (response.body, len(harness.vendor.requests))


@sync_and_async
async def test_callers_share_a_policy(harness: Harness) -> None:
    """Callers that share one policy object count their attempts separately."""
    harness.vendor.otherwise = 503
    manager = harness.manager(vat(retry=RetryPolicy(3, 0)))

    async def call() -> None:
        await manager.call("vat", GET)

    errors = await harness.run_together(*[call] * 8)

    assert [3] * 8 == [error.attempts for error in errors]
    assert 24 == len(harness.vendor.requests)


@sync_and_async
async def test_backoff_gets_the_previous_delay(harness: Harness) -> None:
    """A backoff function that depends on the previous delay receives that delay."""
    harness.vendor.otherwise = 503
    policy = RetryPolicy(4, 2.0, backoff=Backoff.DECORRELATED)

    with pytest.raises(VendorFailed):
        await harness.manager(vat(retry=policy)).call("vat", GET)

    # Half way between 2 and three times the last delay.
    assert [4.0, 7.0, 11.5] == harness.sleeper.slept


@pytest.mark.parametrize("form", ["seconds", "date"])
@sync_and_async
async def test_retry_after_is_respected(harness: Harness, form: str) -> None:
    """`Retry-After`, as seconds or as a date, delays the next attempt until that time."""
    value = "7" if form == "seconds" else format_datetime(START + timedelta(seconds=7), usegmt=True)
    harness.vendor.answers(Response(503, {"Retry-After": value}))

    await harness.manager(vat()).call("vat", GET)

    assert [0.0, 7.0] == [requests.at for requests in harness.vendor.requests]


@sync_and_async
async def test_retry_after_is_not_shortened_by_a_longer_backoff(harness: Harness) -> None:
    """The longer one of the policy's delay and `Retry-After` is used."""
    harness.vendor.answers(Response(503, {"Retry-After": "1"}))

    await harness.manager(vat(retry=RetryPolicy(2, 9.0, jitter=Jitter.NONE))).call("vat", GET)

    assert [9.0] == harness.sleeper.slept


@sync_and_async
async def test_retry_after_above_the_cap_ends_the_call(harness: Harness) -> None:
    """If `Retry-After` exceeds the policy's maximum, the call fails; its error has the value."""
    harness.vendor.otherwise = Response(429, {"Retry-After": "3600"})

    with pytest.raises(RateLimitExceeded) as excinfo:
        await harness.manager(vat()).call("vat", GET)

    assert START + timedelta(hours=1) == excinfo.value.retry_at
    assert (1, []) == (len(harness.vendor.requests), harness.sleeper.slept)


@sync_and_async
async def test_last_error_has_retry_after(harness: Harness) -> None:
    """When all attempts are used up, the error still has the vendor's `Retry-After`."""
    harness.vendor.otherwise = Response(503, {"Retry-After": "5"})

    with pytest.raises(VendorFailed) as excinfo:
        await harness.manager(vat(retry=RetryPolicy(2, 1))).call("vat", GET)

    assert START + timedelta(seconds=10) == excinfo.value.retry_at


@sync_and_async
async def test_reset_time_works_like_retry_after(harness: Harness) -> None:
    """After a 429 that gives only the reset time of the rate limit, the retry is at that time."""
    limit_headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}
    harness.vendor.answers(Response(429, limit_headers))

    await harness.manager(vat()).call("vat", GET)

    assert [0.0, 12.0] == [requests.at for requests in harness.vendor.requests]


@pytest.mark.parametrize("after, slept", [(20, [20.0]), (0.5, [0.5]), (-5, [])])
@sync_and_async
async def test_function_is_not_called_before_the_retry_at_of_its_error(
    harness: Harness, after: float, slept: list[float]
) -> None:
    """If a function raises an error with `retry_at`, it is not called again before that time."""
    errors = [RateLimitExceeded("inner", retry_at=START + timedelta(seconds=after))]

    async def run_function() -> str:
        for error in errors:
            errors.remove(error)
            raise error
        return "done"

    assert "done" == await harness.manager(vat(retry=RetryPolicy(2, 0))).run("vat", run_function)
    assert slept == harness.sleeper.slept


@sync_and_async
async def test_possibly_processed_post_is_not_repeated(harness: Harness) -> None:
    """A POST that may have been processed is not sent again."""
    harness.vendor.otherwise = 503

    with pytest.raises(VendorFailed):
        await harness.manager(vat()).call("vat", POST)

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_unsent_post_is_repeated(harness: Harness) -> None:
    """A POST that was provably not sent is sent again."""
    harness.vendor.answers(UNSENT, UNSENT)

    assert 200 == (await harness.manager(vat()).call("vat", POST)).status


@pytest.mark.parametrize("error", [AttemptTimeout("late"), ConnectionFailed("cut off")])
@sync_and_async
async def test_post_on_a_broken_connection_is_not_repeated(
    harness: Harness, error: ConnectionFailed
) -> None:
    """A POST whose connection breaks after it was sent is not sent again."""
    harness.vendor.answers(error)

    with pytest.raises(type(error)):
        await harness.manager(vat()).call("vat", POST)

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_fast_path_repeats_only_unsent_posts(harness: Harness) -> None:
    """The fast path repeats a POST only if the earlier request was certainly not sent."""
    manager = harness.manager(vat())
    await manager.call("vat", GET)
    cut_off = ConnectionFailed("cut off")
    harness.vendor.answers(UNSENT, 200, cut_off)

    assert 200 == (await manager.call("vat", POST)).status
    with pytest.raises(ConnectionFailed) as excinfo:
        await manager.call("vat", POST)

    assert (cut_off, 1) == (excinfo.value, excinfo.value.attempts)
    assert 4 == len(harness.vendor.requests)


@pytest.mark.parametrize("memory", [0.5, 86_400])
@sync_and_async
async def test_honoured_key_makes_a_post_repeatable(harness: Harness, memory: float) -> None:
    """A POST with an idempotency key that the vendor honours is repeated with the same key."""
    harness.vendor.answers(503, AttemptTimeout("late"))
    service = vat(idempotency_header="Idempotency-Key", idempotency_memory=memory)
    manager = harness.manager(service)

    await manager.call("vat", POST, idempotency_key="order-1")

    assert ["order-1"] * 3 == [
        requests.header("idempotency-key") for requests in harness.vendor.requests
    ]
    assert 1 == len({requests.request for requests in harness.vendor.requests})


@sync_and_async
async def test_key_unknown_to_the_vendor_makes_nothing_repeatable(harness: Harness) -> None:
    """An idempotency key that the vendor does not receive does not make a request repeatable."""
    harness.vendor.otherwise = 503

    with pytest.raises(Exception, match="no response confirmed"):
        await harness.manager(vat()).call("vat", POST, idempotency_key="order-1")

    assert 1 == len(harness.vendor.requests)
    assert "order-1" not in dict(harness.vendor.requests[0].request.headers).values()


@pytest.mark.parametrize("declared", ["request", "endpoint"])
@sync_and_async
async def test_declared_idempotent_requests_are_repeated(harness: Harness, declared: str) -> None:
    """A request or an endpoint that is declared idempotent is repeated."""
    harness.vendor.answers(503)
    search = Request.post("/search", json={}).evolve(
        idempotent=True if declared == "request" else None
    )
    service = vat(endpoints=Endpoint("search", idempotent=True if declared == "endpoint" else None))

    await harness.manager(service).call("vat", search, endpoint="search")

    assert 2 == len(harness.vendor.requests)


def single_use_chunks() -> Iterator[bytes]:
    """Yield the only chunk of a body that can be read once."""
    yield b"all of it"


@sync_and_async
async def test_single_use_body_is_refused_with_retries(harness: Harness) -> None:
    """A call with a single-use body is refused at once if the service retries."""
    request = Request.put("/files/1", body=single_use_chunks())

    with pytest.raises(InvalidData) as excinfo:
        await harness.manager(vat()).call("vat", request)

    assert ("body", []) == (excinfo.value.field, harness.vendor.requests)


@pytest.mark.parametrize("retry", [None, STEADY])
@sync_and_async
async def test_single_use_body_is_sent_once(harness: Harness, retry: RetryPolicy | None) -> None:
    """Without retries a request with a single-use body is sent exactly once."""
    harness.vendor.otherwise = UNSENT
    request = Request.post("/files", body=single_use_chunks())

    with pytest.raises(ConnectionFailed):
        await harness.manager(vat(retry=retry)).call("vat", request)

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_reopenable_body_is_repeated(harness: Harness) -> None:
    """A body that is passed as a function is opened again for each attempt."""
    harness.vendor.answers(503)
    request = Request.put("/files/1", body=BodyStream.of(single_use_chunks))

    assert 200 == (await harness.manager(vat()).call("vat", request)).status


@sync_and_async
async def test_all_calls_of_service_share_its_retry_budget(harness: Harness) -> None:
    """All calls of a service share its retry budget; the error of a refused retry says so."""
    harness.vendor.otherwise = 503
    budget = RetryBudget(ratio=0.1, floor=2, period=60)
    manager = harness.manager(vat(retry=RetryPolicy(3, 0), retry_budget=budget))

    errors: list[Any] = [await _error(manager.call("vat", GET)) for _ in range(10)]

    # Two retries are free, and ten calls earn another one.
    assert 13 == len(harness.vendor.requests)
    assert VendorFailed is type(errors[0])
    assert RetryBudgetExhausted is type(errors[-2])
    assert "budget is used up" in errors[-2].message
    assert VendorFailed is type(errors[-2].__cause__)
    assert START + timedelta(seconds=60) == errors[-2].retry_at


@sync_and_async
async def test_first_attempt_takes_nothing_from_retry_budget(harness: Harness) -> None:
    """A first attempt uses up no retry budget, even in a call with its own timeout."""
    manager = harness.manager(vat(retry_budget=RetryBudget(ratio=0.1, floor=1, period=60)))

    for _ in range(3):
        assert 200 == (await manager.call("vat", GET, timeout=9)).status


@pytest.mark.parametrize("mistake", [TypeError("no text"), CredentialNotFound("none is kept.")])
@sync_and_async
async def test_programming_errors_earn_no_retry_budget(
    harness: Harness, mistake: Exception
) -> None:
    """Calls that end with a programming error leave the retry budget unchanged."""
    budget = RetryBudget(ratio=0.1, floor=1, period=60)
    manager = harness.manager(vat(retry=RetryPolicy(3, 0), retry_budget=budget))

    def mistaken() -> None:
        raise mistake

    for _ in range(50):
        assert mistake is await _error(manager.run("vat", mistaken))
    harness.vendor.otherwise = 503
    errors = [await _error(manager.call("vat", GET)) for _ in range(3)]

    # One retry is free, and three calls earn none.
    assert 4 == len(harness.vendor.requests)
    assert RetryBudgetExhausted is type(errors[-1])


async def _error(flow: Coroutine[Any, Any, Any]) -> Exception:
    try:
        await flow
    except Exception as error:  # noqa: BLE001 - it is what the test is about
        return error
    raise AssertionError("nothing was raised")


@sync_and_async
async def test_deadline_bounds_attempts_and_pauses(harness: Harness) -> None:
    """A call never lasts longer than its timeout, however many attempts are allowed."""
    harness.vendor.otherwise = harness.answer_after(3.0, 503)
    manager = harness.manager(vat(retry=RetryPolicy(99, 1.0, jitter=Jitter.NONE)))

    with pytest.raises(VendorFailed) as excinfo:
        await manager.call("vat", GET, timeout=9)

    assert harness.clock.now <= 9
    assert 2 == excinfo.value.attempts
    assert excinfo.value.retry_at == START + timedelta(seconds=harness.clock.now + 2)


@sync_and_async
async def test_attempt_timeout_is_capped_by_the_deadline(harness: Harness) -> None:
    """An attempt is limited by its own timeout or the call's remaining time, if that is shorter."""
    harness.vendor.otherwise = harness.answer_after(3.0, 503)
    manager = harness.manager(vat(attempt_timeout=8))

    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET, timeout=10)

    assert [8.0, 6.0, 1.0] == [requests.timeouts.total for requests in harness.vendor.requests]


@sync_and_async
async def test_error_of_passed_deadline_says_whether_request_may_have_been_processed(
    harness: Harness,
) -> None:
    """The error of a passed deadline says whether the request may have been processed."""
    harness.vendor.otherwise = harness.never_answer()

    with pytest.raises(DeadlineExceeded, match="deadline of 10 s") as excinfo:
        await harness.manager(vat()).call("vat", POST, timeout=10)

    assert 10 == harness.clock.now
    assert excinfo.value.may_have_been_processed
    assert AttemptTimeout is type(excinfo.value.__cause__)


@pytest.mark.parametrize(
    "custom, error", [(9.999999999, AttemptTimeout), (10, DeadlineExceeded), (20, DeadlineExceeded)]
)
@sync_and_async
async def test_attempt_timeout_and_deadline_have_different_errors(
    harness: Harness, custom: float, error: type[ConnectorError]
) -> None:
    """The timeout of an attempt and the deadline of the call raise different errors."""
    harness.vendor.otherwise = harness.never_answer()

    with pytest.raises(error):
        await harness.manager(vat(attempt_timeout=custom, timeout=10)).call("vat", POST)


@sync_and_async
async def test_retry_uses_the_last_nanosecond(harness: Harness) -> None:
    """A retry is made only if at least a nanosecond of the deadline remains after its pause."""
    harness.vendor.answers(503)

    assert 200 == (await harness.manager(vat()).call("vat", GET, timeout=1.000000001)).status


@sync_and_async
async def test_attempt_timeout_leaves_time_for_a_retry(harness: Harness) -> None:
    """If an attempt is stopped by its own timeout, the call makes another attempt."""
    harness.vendor.answers(harness.never_answer())

    assert 200 == (await harness.manager(vat(attempt_timeout=2)).call("vat", GET)).status
    assert [2.0, 2.0] == [requests.timeouts.total for requests in harness.vendor.requests]


@pytest.mark.parametrize("overrun", [29, 30])
@sync_and_async
async def test_pause_past_the_deadline_ends_the_call(harness: Harness, overrun: float) -> None:
    """No attempt follows a pause that would end at the deadline or later."""
    harness.vendor.otherwise = 503

    async def pass_deadline() -> None:
        harness.clock.advance(overrun)

    harness.sleeper.meanwhile.append(pass_deadline)
    with pytest.raises(DeadlineExceeded) as excinfo:
        await harness.manager(vat()).call("vat", GET)

    assert 1 == len(harness.vendor.requests)
    assert VendorFailed is type(excinfo.value.__cause__)


@sync_and_async
async def test_deadline_covers_waits_attempts_and_pauses(harness: Harness) -> None:
    """Waits for limits, attempts and pauses all count towards one deadline."""
    harness.vendor.otherwise = harness.answer_after(1.5, 503)
    limits = RateLimitConfig(1, per=4)
    manager = harness.manager(vat(limits=limits, retry=RetryPolicy(9, 1.0, jitter=Jitter.NONE)))

    for _ in range(5):
        start_time = harness.clock.now
        error = await _error(manager.call("vat", GET, timeout=6))
        assert harness.clock.now - start_time <= 6
        assert getattr(error, "retry_at", None) is not None


@sync_and_async
async def test_final_errors_are_not_retried(harness: Harness) -> None:
    """A request that the vendor refused permanently is not sent again."""
    harness.vendor.otherwise = 422

    with pytest.raises(InvalidRequest):
        await harness.manager(vat()).call("vat", GET)

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_programming_errors_are_not_retried(harness: Harness) -> None:
    """A TypeError that the called function raises is not retried."""
    calls: list[int] = []

    async def mistaken() -> None:
        calls.append(1)
        raise TypeError

    with pytest.raises(TypeError):
        await harness.manager(vat()).run("vat", mistaken)

    assert 1 == len(calls)


@pytest.mark.parametrize("answer", [503, Response(429, {"Retry-After": "1"})])
@sync_and_async
async def test_response_survives_a_failing_store(harness: Harness, answer: object) -> None:
    """If a store fails after the response came, the caller still gets the response."""
    harness.vendor.answers(answer)
    harness.store.fails_at[2] = StorageUnavailable("away")
    service = vat(limits=RateLimitConfig(9), circuit=CircuitBreakerConfig(), retry=None)

    with pytest.raises((VendorFailed, RateLimitExceeded)):
        await harness.manager(service, state=harness.of_mode(harness.store)).call("vat", GET)


class FullStore(MemoryStorage):
    """A store that admits calls, but raises StorageUnavailable when their outcome is recorded."""

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Raise StorageUnavailable for outcome and pause commands; execute all others."""
        if isinstance(command, (Report, Pause)):
            raise StorageUnavailable("the store is full.")
        return super().execute(command, timeout)


@pytest.mark.parametrize("answer", [503, Response(429, {"Retry-After": "1"})])
@sync_and_async
async def test_response_survives_a_full_store(harness: Harness, answer: object) -> None:
    """If the store fills up during a call, the caller still gets its response."""
    harness.vendor.answers(answer)
    full_store = FullStore(harness.clock)
    state = AsyncMemoryStorage(full_store) if harness.is_awaited else full_store
    service = vat(limits=RateLimitConfig(9), circuit=CircuitBreakerConfig(), retry=None)

    with pytest.raises((VendorFailed, RateLimitExceeded)):
        await harness.manager(service, state=state).call("vat", GET)


@sync_and_async
async def test_401_without_renewal_is_not_retried(harness: Harness) -> None:
    """After a 401 for a credential that cannot be renewed, the call fails without a retry."""
    harness.vendor.otherwise = 401

    with pytest.raises(AuthenticationFailed):
        await harness.manager(vat()).call("vat", GET)

    assert 1 == len(harness.vendor.requests)


@pytest.mark.parametrize("overrun", [-0.000000001, 0, 3])
@sync_and_async
async def test_no_attempt_begins_after_the_deadline(harness: Harness, overrun: float) -> None:
    """If the wait for a rate limit passes the deadline, the function is not called."""
    service = vat(limits=RateLimitConfig(1), circuit=CircuitBreakerConfig(), timeout=3)
    manager = harness.manager(service)
    calls: list[int] = []

    async def run_function() -> None:
        calls.append(1)

    async def pass_deadline() -> None:
        harness.clock.advance(2 + overrun)

    await manager.run("vat", run_function)
    harness.sleeper.meanwhile.append(pass_deadline)
    if overrun < 0:
        await manager.run("vat", run_function)
    else:
        with pytest.raises(DeadlineExceeded):
            await manager.run("vat", run_function)

    start_time = 2 if overrun < 0 else 1
    assert (start_time, start_time) == (len(calls), (await manager.circuit_state("vat")).calls)


@sync_and_async
async def test_longer_timeout_allows_a_longer_wait(harness: Harness) -> None:
    """A call with a longer timeout than its service may wait that long for a limit."""
    manager = harness.manager(vat(limits=RateLimitConfig(1, per=60), timeout=3))
    await manager.call("vat", GET)

    await manager.call("vat", GET, timeout=60.01)

    assert [0.0, 60.0] == [requests.at for requests in harness.vendor.requests]
