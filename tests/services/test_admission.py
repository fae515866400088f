"""Rate limits, and the pauses and waits of calls, tested through the whole call pipeline."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import pytest

from moorage import (
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    DeadlineExceeded,
    Endpoint,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryPolicy,
    VendorFailed,
)
from moorage.domain.observation.events import PauseEnded, RateLimitWaited
from moorage.domain.resilience.admission import Answer
from moorage.domain.values.durations import FOREVER
from moorage.services.calling.admission import admission_error
from tests.services.vat import GET, OPENS_AT_ONCE, vat
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START


def sent_at(harness: Harness) -> list[float]:
    """Return the times at which requests reached the vendor, in seconds."""
    return [requests.at for requests in harness.vendor.requests]


@sync_and_async
async def test_callers_wait_for_their_turn(harness: Harness) -> None:
    """Once a rate limit's burst is used up, calls are sent at the rate of the limit."""
    manager = harness.manager(vat(limits=RateLimitConfig(2, burst=1)))

    for _ in range(4):
        await manager.call("vat", GET)

    assert [0.0, 0.5, 1.0, 1.5] == sent_at(harness)


@pytest.mark.parametrize("bound", ["max_limit_wait", "timeout", "timeout of the call"])
@sync_and_async
async def test_too_long_wait_is_refused_at_once(harness: Harness, bound: str) -> None:
    """A call that cannot be admitted before its deadline fails at once and uses no token."""
    options = {} if bound == "timeout of the call" else {bound: 5}
    manager = harness.manager(vat(limits=RateLimitConfig(1, per=10), **options))
    timeout = 5 if bound == "timeout of the call" else None
    await manager.call("vat", GET)

    for _ in range(3):
        with pytest.raises(RateLimitExceeded) as excinfo:
            await manager.call("vat", GET, timeout=timeout)
        assert START + timedelta(seconds=10) == excinfo.value.retry_at
        assert not excinfo.value.by_vendor
        assert "rate limit is reached" in excinfo.value.message

    harness.clock.advance(10)
    await manager.call("vat", GET)
    assert [0.0, 10.0] == sent_at(harness)


@pytest.mark.parametrize(
    "timeout, slept",
    [
        pytest.param(9.999, [], id="the turn comes too late"),
        pytest.param(10, [10.0], id="the turn comes as the time is over"),
        pytest.param(10.005, [10.0], id="the turn comes in time"),
    ],
)
@sync_and_async
async def test_slot_after_the_deadline_is_refused(
    harness: Harness, timeout: float, slept: list[float]
) -> None:
    """A call whose next free rate-limit slot is after its deadline is refused without waiting."""
    manager = harness.manager(vat(limits=RateLimitConfig(1, per=10), timeout=timeout))
    await manager.call("vat", GET)

    refusal = {9.999: RateLimitExceeded, 10: DeadlineExceeded}.get(timeout)
    with pytest.raises(refusal) if refusal else nullcontext():
        await manager.call("vat", GET)

    assert slept == harness.sleeper.slept


@sync_and_async
async def test_limit_waits_are_reported(harness: Harness) -> None:
    """Observers get an event with the length of every wait for a limit."""
    manager = harness.watched(vat(limits=RateLimitConfig(2, burst=1)))

    for _ in range(2):
        await manager.call("vat", GET)

    assert [0.5] == [event.delay for event in harness.events if isinstance(event, RateLimitWaited)]


@sync_and_async
async def test_refusal_without_a_grant_releases_nothing(harness: Harness) -> None:
    """A call refused by the rate limit sends no release command to the store."""
    service = vat(limits=RateLimitConfig(1), circuit=OPENS_AT_ONCE, max_limit_wait=0)
    manager = harness.manager(service)
    await manager.call("vat", GET)

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [] == harness.store.posted


@sync_and_async
async def test_limit_refusal_is_not_retried(harness: Harness) -> None:
    """A call that the service's own rate limit refuses is not retried."""
    service = vat(limits=RateLimitConfig(1), max_limit_wait=0, retry=RetryPolicy(3, 0))
    manager = harness.manager(service)
    await manager.call("vat", GET)

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [] == harness.sleeper.slept


@sync_and_async
async def test_service_and_endpoint_limits_are_taken_together(harness: Harness) -> None:
    """A call takes a token from its service's limit and its endpoint's limit, or from neither."""
    slow_endpoint = Endpoint("slow", path="/slow", limits=RateLimitConfig(1, per=100))
    manager = harness.manager(
        vat(limits=RateLimitConfig(1, per=10, burst=2), endpoints=slow_endpoint, max_limit_wait=0)
    )
    await manager.call("vat", Request.get("/slow"))
    for _ in range(3):
        with pytest.raises(RateLimitExceeded):
            await manager.call("vat", Request.get("/slow"))

    await manager.call("vat", GET)
    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)


@sync_and_async
async def test_cost_of_an_endpoint_is_taken_from_both_limits(harness: Harness) -> None:
    """An endpoint's cost in tokens is taken from both the service's and the endpoint's limit."""
    bulk = Endpoint("bulk", cost=3)
    manager = harness.manager(vat(limits=RateLimitConfig(1, burst=3), endpoints=bulk))

    for _ in range(2):
        await manager.call("vat", GET, endpoint="bulk")

    assert [0.0, 3.0] == sent_at(harness)


@sync_and_async
async def test_tenants_have_separate_limits(harness: Harness) -> None:
    """One tenant's calls do not affect the limits of other tenants."""
    manager = harness.manager(vat(limits=RateLimitConfig(1, per=60), max_limit_wait=0))

    for tenant in (None, "acme", "umbrella"):
        await manager.call("vat", GET, tenant=tenant)

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET, tenant="acme")


@pytest.mark.parametrize("status", [429, 503])
@sync_and_async
async def test_retry_after_pauses_all_callers(harness: Harness, status: int) -> None:
    """After a response with `Retry-After`, no caller's request is sent before that time is over."""
    harness.vendor.answers(Response(status, {"Retry-After": "20"}))
    manager = harness.manager(vat(limits=RateLimitConfig(100)))
    second_manager = harness.manager(vat(limits=RateLimitConfig(100)))

    with pytest.raises((RateLimitExceeded, VendorFailed)):
        await manager.call("vat", GET)
    await second_manager.call("vat", GET)
    await manager.run("vat", harness.do_nothing)

    assert 20.0 <= sent_at(harness)[1] < 20.1


@pytest.mark.parametrize(
    "spent",
    [
        {"RateLimit-Remaining": "0", "RateLimit-Reset": "15"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(START.timestamp()) + 15)},
    ],
)
@sync_and_async
async def test_used_up_allowance_pauses_all_callers(
    harness: Harness, spent: dict[str, str]
) -> None:
    """After a success that reports no remaining allowance, the next call waits for the reset."""
    harness.vendor.answers(Response(200, spent), Response(200, {"RateLimit-Remaining": "0"}))
    manager = harness.manager(vat(limits=RateLimitConfig(100)))

    for _ in range(3):
        assert 200 == (await manager.call("vat", GET)).status

    assert [0.0, 15.01] == sent_at(harness)[:2]


@sync_and_async
async def test_used_up_allowance_does_not_pause_a_service_without_limits(harness: Harness) -> None:
    """If a vendor reports a used-up allowance, a service without limits is not paused."""
    harness.vendor.answers(Response(200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "15"}))
    manager = harness.manager(vat())

    for _ in range(2):
        await manager.call("vat", GET)

    assert [0.0, 0.0] == sent_at(harness)


@sync_and_async
async def test_pause_extends_running_waits(harness: Harness) -> None:
    """A call that waits for a limit also waits through a vendor's pause."""
    manager = harness.watched(vat(limits=RateLimitConfig(1)))
    await manager.call("vat", GET)

    async def pause() -> None:
        harness.pause(manager, "vat", 10.0)

    harness.sleeper.meanwhile.append(pause)
    await manager.call("vat", GET)

    assert [0.0, 11.0] == sent_at(harness)
    assert 2 == harness.event_names().count("RateLimitWaited")


@sync_and_async
async def test_pause_past_the_deadline_ends_a_wait(harness: Harness) -> None:
    """If a pause makes a waiting call miss its deadline, the call is refused and frees its slot."""
    manager = harness.manager(vat(limits=RateLimitConfig(1), timeout=5))
    await manager.call("vat", GET)

    async def pause() -> None:
        harness.pause(manager, "vat", 60.0)

    harness.sleeper.meanwhile.append(pause)
    with pytest.raises(RateLimitExceeded) as excinfo:
        await manager.call("vat", GET)

    assert START + timedelta(seconds=61) == excinfo.value.retry_at
    assert 1 == len(harness.vendor.requests)


@pytest.mark.parametrize("endpoint", [None, "slow"])
@pytest.mark.parametrize(
    "answer, wait, kind",
    [
        (Answer.CIRCUIT_OPEN, FOREVER, CircuitBreakerOpen),
        (Answer.LIMITED, 1_000_000, RateLimitExceeded),
        (Answer.LIMITED, FOREVER, RateLimitExceeded),
    ],
)
@sync_and_async
async def test_refusal_names_service_and_endpoint(
    harness: Harness, answer: Answer, wait: int, kind: type[Exception], endpoint: str | None
) -> None:
    """The error of a refused call names its service and endpoint."""
    flows = harness.manager(vat(endpoints=Endpoint("slow"))).manager._flows
    plan = flows.plans.find("vat", None, endpoint)

    error = admission_error(flows.core, plan, answer, wait)

    assert (kind, "vat", endpoint) == (type(error), error.service, error.operation)


@sync_and_async
async def test_pause_raises_a_rate_limit_error(harness: Harness) -> None:
    """If a vendor's pause ends a call, the error is RateLimitExceeded, not CircuitBreakerOpen."""
    manager = harness.manager(vat(limits=RateLimitConfig(1, per=60), retry=None))
    harness.vendor.answers(Response(429, headers={"Retry-After": "9" * 20}))

    for by_vendor in (True, False):
        with pytest.raises(RateLimitExceeded) as excinfo:
            await manager.call("vat", GET)
        assert by_vendor is excinfo.value.by_vendor
        assert excinfo.value.retry_at is not None
        wait = excinfo.value.retry_at - START
        assert timedelta(hours=1) <= wait <= timedelta(hours=1, minutes=1)
    assert 1 == len(harness.vendor.requests)


ABSURD = [
    {"Retry-After": "9" * 20},
    {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
    {"RateLimit-Remaining": "0", "RateLimit-Reset": "4000000000"},
    {"Retry-After": str(int(START.timestamp() + 86_400) * 1000)},
]


@pytest.mark.parametrize("longest, seconds", [(3600.0, 3600), (60.0, 60)])
@pytest.mark.parametrize("headers", ABSURD, ids=str)
@sync_and_async
async def test_long_pause_is_capped_for_every_caller(
    harness: Harness, headers: dict[str, str], longest: float, seconds: int
) -> None:
    """A pause that a vendor asks for is capped at the service's maximum for every manager."""
    service = vat(limits=RateLimitConfig(100), retry=None, max_pause=longest, timeout=10)
    harness.vendor.answers(Response(429, headers))
    manager, second_manager = harness.manager(service), harness.manager(service)

    with pytest.raises(RateLimitExceeded) as excinfo:
        await manager.call("vat", GET)
    with pytest.raises(RateLimitExceeded) as held_back_excinfo:
        await second_manager.call("vat", GET)
    harness.clock.advance(seconds)
    await second_manager.call("vat", GET)

    assert START + timedelta(seconds=seconds) == excinfo.value.retry_at
    assert held_back_excinfo.value.retry_at is not None
    assert excinfo.value.retry_at is not None
    assert timedelta(seconds=1) > held_back_excinfo.value.retry_at - excinfo.value.retry_at
    assert excinfo.value.vendor_retry_after is not None
    assert 86_400 <= excinfo.value.vendor_retry_after
    assert 2 == len(harness.vendor.requests)


@sync_and_async
async def test_reset_limits_ends_a_pause(harness: Harness) -> None:
    """After `reset_limits`, calls continue at the limit's rate; an event reports the reset."""
    service = vat(limits=RateLimitConfig(1), retry=None, timeout=10)
    harness.vendor.answers(Response(429, {"Retry-After": "1800"}))
    manager, second_manager = harness.watched(service), harness.manager(service)
    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)
    harness.clock.advance(800)

    assert 1000.0 == await manager.reset_limits("vat")
    assert 0.0 == await second_manager.reset_limits("vat")
    await second_manager.call("vat", GET)
    await second_manager.call("vat", GET)

    assert [1000.0] == [
        result.remaining for result in harness.events if isinstance(result, PauseEnded)
    ]
    assert 1.0 == sum(harness.sleeper.slept) - 1.0


@sync_and_async
async def test_reset_of_missing_limits_raises_an_error(harness: Harness) -> None:
    """Resetting the limits of a service without limits raises an error."""
    with pytest.raises(ConfigurationError, match="no rate limit"):
        await harness.manager(vat()).reset_limits("vat")


@sync_and_async
async def test_absurd_reset_after_a_success_is_capped(harness: Harness) -> None:
    """If a vendor reports a reset time in the next century, calls pause for only an hour."""
    spent_response = Response(200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "3000000000"})
    harness.vendor.answers(spent_response)
    manager = harness.manager(vat(limits=RateLimitConfig(100), timeout=10))

    await manager.call("vat", GET)
    harness.clock.advance(3600)

    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_opening_circuit_ends_a_wait(harness: Harness) -> None:
    """A call that waits for a limit is refused if the circuit opens, and frees its slot."""
    manager = harness.manager(vat(limits=RateLimitConfig(1), circuit=OPENS_AT_ONCE))
    await manager.call("vat", GET)

    async def open_it() -> None:
        await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    harness.sleeper.meanwhile.append(open_it)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)
    assert 1 == len(harness.vendor.requests)

    await manager.set_circuit("vat", CircuitState.CLOSED)
    await manager.call("vat", GET)
    assert 1.0 == sent_at(harness)[1]
