"""A service in several places: where its attempts go, and where they go when one fails."""

from __future__ import annotations

import copy
import inspect
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from mooring import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    DeadlineExceeded,
    Endpoint,
    HedgeConfig,
    InvalidData,
    Jitter,
    OutcomeUnknown,
    RateLimitConfig,
    RateLimitExceeded,
    Region,
    Request,
    Response,
    RetryBudget,
    RetryBudgetExhausted,
    RetryPolicy,
    Service,
    StorageUnavailable,
    VendorFailed,
)
from tests.support.colours import START, Arriving, World, in_both_colours

if TYPE_CHECKING:
    from tests.support.colours import Face, Sent

EU = Region("eu", "https://eu.example/v1")
US = Region("us", "https://us.example/v1", tier=2)
GET = Request.get("/items")
POST = Request.post("/orders", json={"amount": "9.99"})
REFUSED = ConnectionFailed("refused.", may_have_been_processed=False)
CUT_OFF = ConnectionFailed("cut off.")
OPENS_AT_ONCE = CircuitBreakerConfig(failures=1, open_for=10)
HONOURED = {"idempotency_header": "Idempotency-Key"}


def shop(*regions: Region, **options: Any) -> Service:
    """A service in two places, of which the second stands by."""
    given: dict[str, Any] = {
        "circuit": CircuitBreakerConfig(),
        "retry": RetryPolicy(3, 1.0, jitter=Jitter.NONE),
    }
    return Service("shop", regions=regions or (EU, US), **given | options)


def where(sent: Sent) -> str:
    """The region that a request went to."""
    return (urlsplit(sent.url).hostname or "").partition(".")[0]


def went(world: World) -> list[str]:
    """The regions that requests went to, in order."""
    return [where(sent) for sent in world.vendor.requests]


def answers(world: World, **by_region: Any) -> None:
    """Let each region give its own answers in order, and then 200."""
    left: dict[str, deque[Any]] = {name: deque(given) for name, given in by_region.items()}

    async def answer(sent: Sent) -> Any:
        mine = left.get(where(sent))
        given: Any = mine.popleft() if mine else 200
        if isinstance(given, BaseException):
            # An error is signed by the call that it ends.
            return copy.copy(given)
        return await given(sent) if inspect.isfunction(given) else given

    world.vendor.otherwise = answer


async def opened(manager: Face, *names: str) -> None:
    """Force circuits open."""
    for name in names:
        await manager.set_circuit("shop", CircuitState.FORCED_OPEN, region=name)


@in_both_colours
async def test_the_first_tier_is_asked(world: World) -> None:
    """While all is well, requests go to the first tier, below its base URL."""
    manager = world.watched(shop())

    await manager.call("shop", GET)

    assert ["https://eu.example/v1/items"] == [sent.url for sent in world.vendor.requests]
    assert [None, "eu", "eu"] == [event.region for event in world.events]


@in_both_colours
async def test_the_draw_decides_by_weight(world: World) -> None:
    """Within a tier the draw decides, by the weights."""
    us = Region("us", "https://us.example", weight=3)
    manager = world.manager(shop(EU, us))

    for world.chance.draw in (0.0, 0.24, 0.26, 0.99):
        await manager.call("shop", GET)

    assert ["eu", "eu", "us", "us"] == went(world)


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@in_both_colours
async def test_what_never_left_goes_elsewhere_at_once(world: World, request_: Request) -> None:
    """Where a connection is refused the next region is asked without a pause."""
    answers(world, eu=[REFUSED])
    manager = world.watched(shop())

    response = await manager.call("shop", request_)

    assert (200, ["eu", "us"], []) == (response.status, went(world), world.sleeper.slept)
    last = world.events[-1]
    assert (2, "us") == (last.attempts, last.region)  # type: ignore[attr-defined]  # CallFinished


@in_both_colours
async def test_what_goes_at_once_needs_no_time_to_pause(world: World) -> None:
    """Who has less time left than a pause would take may still go elsewhere at once."""
    answers(world, eu=[REFUSED])
    manager = world.manager(shop())

    assert 200 == (await manager.call("shop", POST, timeout=0.5)).status
    assert ["eu", "us"] == went(world)


@in_both_colours
async def test_failing_over_is_an_attempt(world: World) -> None:
    """It counts among the attempts, and an error names the region of the last."""
    answers(world, eu=[REFUSED] * 9, us=[REFUSED] * 9)
    manager = world.manager(shop(retry=RetryPolicy(2)))

    with pytest.raises(ConnectionFailed) as caught:
        await manager.call("shop", POST)

    assert ["eu", "us"] == went(world)
    assert (2, "us") == (caught.value.attempts, caught.value.region)
    assert str(caught.value).startswith("shop in us: ")


@in_both_colours
async def test_failing_over_is_within_the_retry_budget(world: World) -> None:
    """Another region is asked only if the budget allows for one more attempt."""
    answers(world, eu=[REFUSED])
    budget = RetryBudget(ratio=0.01, floor=0)
    manager = world.manager(shop(retry_budget=budget))

    with pytest.raises(RetryBudgetExhausted):
        await manager.call("shop", GET)

    assert ["eu"] == went(world)


@in_both_colours
async def test_those_who_all_refuse_are_not_hammered(world: World) -> None:
    """Who comes back to a region it has tried pauses as for any retry."""
    answers(world, eu=[REFUSED, REFUSED], us=[REFUSED])
    manager = world.manager(shop(retry=RetryPolicy(4, 1.0, jitter=Jitter.NONE)))

    await manager.call("shop", GET)

    assert ["eu", "us", "eu", "us"] == went(world)
    assert [2.0, 4.0] == world.sleeper.slept


@in_both_colours
async def test_who_was_not_asked_comes_before_who_was(world: World) -> None:
    """A region that a call has tried is asked again only after those that it has not."""
    answers(world, eu=[REFUSED], us=[REFUSED])
    ap = Region("ap", "https://ap.example/v1", tier=3)
    manager = world.manager(shop(EU, US, ap))

    await manager.call("shop", POST)

    assert ["eu", "us", "ap"] == went(world)


@in_both_colours
async def test_a_first_attempt_is_no_retry(world: World) -> None:
    """Where no retry is allowed, a key is still sent once, and refused where it would be twice."""
    answers(world, eu=[REFUSED])
    budget = RetryBudget(ratio=0.01, floor=0)
    manager = world.manager(shop(retry_budget=budget, **HONOURED))

    with pytest.raises(RetryBudgetExhausted):
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)


@pytest.mark.parametrize("failure", [CUT_OFF, 503], ids=["cut off", "503"])
@in_both_colours
async def test_a_read_that_failed_goes_elsewhere_after_its_pause(
    world: World, failure: Any
) -> None:
    """What may have been processed and is harmless goes to another region, after the backoff."""
    answers(world, eu=[failure])
    manager = world.manager(shop())

    await manager.call("shop", GET)

    assert (["eu", "us"], [1.0]) == (went(world), world.sleeper.slept)


@pytest.mark.parametrize("failure", [CUT_OFF, 503], ids=["cut off", "503"])
@in_both_colours
async def test_what_may_have_been_processed_is_not_sent_again(world: World, failure: Any) -> None:
    """A POST without a key that may have been processed goes nowhere else."""
    answers(world, eu=[failure])
    manager = world.manager(shop())

    with pytest.raises((ConnectionFailed, VendorFailed)):
        await manager.call("shop", POST)

    assert ["eu"] == went(world)


@pytest.mark.parametrize(
    "endpoint, request_, moves",
    [
        (None, Request.put("/items/7"), True),
        (None, POST.evolve(idempotent=True), True),
        (Endpoint("any", path="/orders", idempotent=True), POST, True),
        (Endpoint("any", path="/items", idempotent=False), GET, False),
        (None, GET.evolve(idempotent=False), False),
    ],
)
@in_both_colours
async def test_what_is_declared_harmless_may_go_elsewhere(
    world: World, endpoint: Endpoint | None, request_: Request, *, moves: bool
) -> None:
    """The request or its endpoint says whether doing it twice is harmless, wherever it is done."""
    answers(world, eu=[CUT_OFF])
    manager = world.manager(shop(endpoints=endpoint or ()))

    if moves:
        await manager.call("shop", request_)
    else:
        with pytest.raises(ConnectionFailed):
            await manager.call("shop", request_)

    assert (["eu", "us"] if moves else ["eu"]) == went(world)


@in_both_colours
async def test_a_key_stays_where_it_was_sent(world: World) -> None:
    """Under a key what may have been processed is repeated in the same region, and only there."""
    answers(world, eu=[CUT_OFF, REFUSED, 200])
    manager = world.manager(shop(**HONOURED))

    await manager.call("shop", POST, idempotency_key="k")

    assert ["eu", "eu", "eu"] == went(world)
    assert [1.0, 2.0] == world.sleeper.slept


@in_both_colours
async def test_a_key_that_never_left_goes_elsewhere(world: World) -> None:
    """Until it may have been processed a key goes anywhere; then it stays there."""
    answers(world, eu=[REFUSED], us=[CUT_OFF])
    manager = world.manager(shop(**HONOURED))

    await manager.call("shop", POST, idempotency_key="k")

    assert ["eu", "us", "us"] == went(world)


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
@in_both_colours
async def test_whoever_repeats_a_key_asks_where_it_was_sent(world: World, *, apart: bool) -> None:
    """A key of unknown outcome is asked again in its region, whatever region would be first."""
    answers(world, eu=[REFUSED], us=[CUT_OFF])
    claims = World(world.colour).store
    claims._world = world  # noqa: SLF001 - of this world's colour
    claims.memory = type(claims.memory)(world.clock)
    others = {"claims": world.of_colour(claims)} if apart else {}
    manager = world.manager(shop(**HONOURED, retry=RetryPolicy(2)), **others)

    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST, idempotency_key="k")
    response = await manager.call("shop", POST, idempotency_key="k")

    assert 200 == response.status
    assert ["eu", "us", "us"] == went(world)


@in_both_colours
async def test_a_key_waits_for_its_region(world: World) -> None:
    """A key of unknown outcome is asked nowhere while the circuit of its region is open."""
    answers(world, eu=[CUT_OFF])
    manager = world.watched(shop(**HONOURED, retry=None))
    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST, idempotency_key="k")
    await opened(manager, "eu")
    world.events.clear()

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)
    assert "eu" == caught.value.region
    assert ["CallStarted", "CallRefused", "CallFinished"] == world.told()


@in_both_colours
async def test_a_key_of_a_region_that_is_gone_is_unknown(world: World) -> None:
    """A key that was sent to a region which is configured no more is a person's to resolve."""
    answers(world, eu=[CUT_OFF])
    with pytest.raises(ConnectionFailed):
        await world.manager(shop(**HONOURED, retry=None)).call("shop", POST, idempotency_key="k")

    with pytest.raises(OutcomeUnknown):
        await world.manager(shop(US, **HONOURED)).call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)


@in_both_colours
async def test_a_key_may_be_honoured_everywhere(world: World) -> None:
    """Where the vendor honours keys across regions, any of them may be asked again."""
    answers(world, eu=[CUT_OFF, CUT_OFF])
    everywhere = shop(**HONOURED, idempotency_across_regions=True, retry=RetryPolicy(2))
    manager = world.manager(everywhere)

    await manager.call("shop", POST, idempotency_key="k")
    with pytest.raises(ConnectionFailed):
        await world.manager(shop(EU, **HONOURED, idempotency_across_regions=True, retry=None)).call(
            "shop", POST, idempotency_key="l"
        )
    await opened(manager, "eu")
    await manager.call("shop", POST, idempotency_key="l")

    assert ["eu", "us", "eu", "us"] == went(world)


@in_both_colours
async def test_without_a_key_nothing_is_honoured(world: World) -> None:
    """What the vendor would honour under a key protects no request without one."""
    answers(world, eu=[CUT_OFF])
    manager = world.manager(shop(**HONOURED, idempotency_across_regions=True))

    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST)

    assert ["eu"] == went(world)


@in_both_colours
async def test_a_vendor_without_keys_leaves_a_key_unknown(world: World) -> None:
    """Where no key is honoured, what may have been processed is unknown, in every region."""
    answers(world, eu=[CUT_OFF])
    manager = world.manager(shop())

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)


@in_both_colours
async def test_a_harmless_request_with_a_key_goes_elsewhere(world: World) -> None:
    """A key binds nothing that is harmless to do twice."""
    answers(world, eu=[CUT_OFF])
    manager = world.manager(shop(**HONOURED))

    await manager.call("shop", Request.put("/items/7"), idempotency_key="k")

    assert ["eu", "us"] == went(world)


@in_both_colours
async def test_an_open_circuit_is_passed_over(world: World) -> None:
    """While the circuit of a region is open its calls go to the next, and nobody was refused."""
    answers(world, eu=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.events.clear()

    await manager.call("shop", POST)

    assert ["eu", "us"] == went(world)
    assert ["CallStarted", "AttemptFinished", "CallFinished"] == world.told()
    states = [await manager.circuit_state("shop", region=name) for name in ("eu", "us")]
    assert [CircuitState.OPEN, CircuitState.CLOSED] == [state.state for state in states]


@in_both_colours
async def test_a_circuit_that_opens_sends_the_call_on(world: World) -> None:
    """Where the circuit of a region opens on a failure, the same call goes to the next."""
    answers(world, eu=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE))

    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)
    changed = [event for event in world.events if type(event).__name__ == "CircuitChanged"]
    assert ["eu"] == [event.region for event in changed]


@in_both_colours
async def test_a_region_that_recovers_gets_its_probe(world: World) -> None:
    """When its open time is over, the next call is the region's probe; then all is as before."""
    answers(world, eu=[503])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    await manager.call("shop", GET)
    world.clock.advance(10)

    await manager.call("shop", GET)

    state = await manager.circuit_state("shop", region="eu")
    assert CircuitState.CLOSED is state.state
    assert ["eu", "us", "eu"] == went(world)


@in_both_colours
async def test_one_call_is_the_probe(world: World) -> None:
    """While a region's probe is under way the other calls go to the next region."""
    gate = world.gate()
    answers(world, eu=[503, gate.answering(200)])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.clock.advance(10)

    probe = world.start(lambda: manager.call("shop", GET))
    await gate.reached()
    await manager.call("shop", GET)
    gate.open()
    await probe.result()

    assert ["eu", "eu", "us"] == went(world)


@in_both_colours
async def test_all_open_is_refused(world: World) -> None:
    """Where every circuit is open the call is refused, until the first of them lets one in."""
    answers(world, eu=[503], us=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.clock.advance(4)
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.events.clear()

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", GET)

    assert (None, START + timedelta(seconds=10)) == (caught.value.region, caught.value.retry_at)
    assert (0, True) == (caught.value.attempts, caught.value.retryable)
    assert ["CallStarted", "CallRefused", "CallFinished"] == world.told()
    refused = world.events[1]
    assert (None, "CircuitBreakerOpen") == (refused.region, refused.error)  # type: ignore[attr-defined]  # CallRefused
    assert 6.0 == refused.retry_after  # type: ignore[attr-defined]  # CallRefused


@in_both_colours
async def test_all_opened_by_hand_is_refused(world: World) -> None:
    """Where every region is drained by hand, nobody knows when to come back."""
    manager = world.watched(shop())
    await opened(manager, "eu", "us")

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", GET)

    assert (None, False) == (caught.value.retry_at, caught.value.retryable)
    assert world.events[-2].retry_after > 1e9  # type: ignore[attr-defined]  # CallRefused


@in_both_colours
async def test_one_opened_by_hand_does_not_hide_when_another_opens(world: World) -> None:
    """Where one region is drained and the other is sick, the latter says when to come back."""
    answers(world, us=[503])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    await opened(manager, "eu")
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", GET)

    assert START + timedelta(seconds=10) == caught.value.retry_at


@in_both_colours
async def test_one_opened_by_hand_is_drained(world: World) -> None:
    """A region whose circuit is forced open gets no calls until it is closed again."""
    manager = world.watched(shop())
    await opened(manager, "eu")
    await manager.call("shop", GET)
    await manager.set_circuit("shop", CircuitState.CLOSED, region="eu")
    await manager.call("shop", GET)

    assert ["us", "eu"] == went(world)
    assert "eu" == world.events[0].region


@in_both_colours
async def test_nobody_else_lets_it_in(world: World) -> None:
    """Where no other region is open for calls the retry goes to the same one, after its pause."""
    answers(world, eu=[503, 503])
    manager = world.watched(shop())
    await opened(manager, "us")
    world.events.clear()

    await manager.call("shop", GET)

    assert ["eu", "eu", "eu"] == went(world)
    assert [1.0, 2.0] == world.sleeper.slept
    assert "CallRefused" not in world.told()


@in_both_colours
async def test_who_finds_nobody_pauses_as_it_would_have(world: World) -> None:
    """What never left, and found no other region, waits out the backoff before it comes back."""
    answers(world, eu=[REFUSED])
    manager = world.manager(shop())
    await opened(manager, "us")

    await manager.call("shop", POST)

    assert (["eu", "eu"], [1.0]) == (went(world), world.sleeper.slept)


@in_both_colours
async def test_who_finds_nobody_is_held_back(world: World) -> None:
    """Where its own region's circuit opened, and no other lets it in, the call is refused."""
    answers(world, eu=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE))
    await opened(manager, "us")

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", GET)

    assert isinstance(caught.value.__cause__, VendorFailed)
    assert (["eu"], "eu") == (went(world), caught.value.region)
    assert 1 == world.told().count("CallRefused")


@in_both_colours
async def test_who_may_not_leave_is_held_back(world: World) -> None:
    """Where a key must stay, and the circuit of its region opened, the call is refused."""
    answers(world, eu=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE, **HONOURED))

    with pytest.raises(CircuitBreakerOpen):
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)
    assert 1 == world.told().count("CallRefused")


@in_both_colours
async def test_who_stayed_once_may_leave_later(world: World) -> None:
    """Each attempt looks for another region anew, though no other let the one before in."""
    answers(world, eu=[503, 503])
    manager = world.manager(shop())
    await opened(manager, "us")

    async def closed() -> None:
        await manager.set_circuit("shop", CircuitState.CLOSED, region="us")

    world.sleeper.meanwhile.extend((world.nothing, closed))
    await manager.call("shop", GET)

    assert ["eu", "eu", "us"] == went(world)


@in_both_colours
async def test_the_last_failure_says_when_to_come_back(world: World) -> None:
    """Where no attempt is left the vendor's wish is in the error, though others were free."""
    answers(world, eu=[Response(503, {"Retry-After": "7"})])
    manager = world.manager(shop(retry=None))

    with pytest.raises(VendorFailed) as caught:
        await manager.call("shop", GET)

    assert START + timedelta(seconds=7) == caught.value.retry_at


@in_both_colours
async def test_a_wish_to_be_left_alone_is_a_regions_own(world: World) -> None:
    """A 503 with Retry-After keeps calls from its region, not from the others."""
    answers(world, eu=[Response(503, {"Retry-After": "3600"})])
    manager = world.watched(shop(limits=RateLimitConfig(100)))

    await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us", "eu"] == went(world)
    assert [1.0] == world.sleeper.slept
    assert "VendorPaused" not in world.told()


@in_both_colours
async def test_a_region_is_not_asked_before_it_wishes(world: World) -> None:
    """Within a call no region is asked again before its Retry-After, though others fail, too."""
    answers(world, eu=[Response(503, {"Retry-After": "3"})], us=[503])
    manager = world.manager(shop(retry=RetryPolicy(4, 1.0, jitter=Jitter.NONE)))

    await manager.call("shop", GET)

    assert ["eu", "us", "us"] == went(world)
    assert [0.0, 1.0, 3.0] == [sent.at for sent in world.vendor.requests]


@in_both_colours
async def test_who_has_nowhere_else_keeps_the_wish(world: World) -> None:
    """Where no other region lets the call in, Retry-After counts as it does with one."""
    answers(world, eu=[Response(503, {"Retry-After": "7"})])
    manager = world.manager(shop())
    await opened(manager, "us")

    await manager.call("shop", GET)

    assert [0.0, 7.0] == [sent.at for sent in world.vendor.requests]


@in_both_colours
async def test_limits_are_for_all_regions(world: World) -> None:
    """A vendor's 429 pauses every region, and a limit of ours is one for all."""
    answers(world, eu=[Response(429, {"Retry-After": "5"})])
    manager = world.watched(shop(limits=RateLimitConfig(1, per=1)))

    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)
    assert 5.0 <= world.vendor.requests[1].at
    assert "VendorPaused" in world.told()


@in_both_colours
async def test_a_vendors_limit_is_waited_for_elsewhere(world: World) -> None:
    """A 429 keeps the call from every region, where no limit of ours does."""
    answers(world, eu=[Response(429, {"Retry-After": "5"})])
    manager = world.manager(shop())

    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)
    assert [0.0, 5.0] == [sent.at for sent in world.vendor.requests]


@in_both_colours
async def test_a_used_up_limit_is_for_all_regions(world: World) -> None:
    """A success that says that nothing is left makes every region wait."""
    used_up = {"RateLimit-Limit": "9", "RateLimit-Remaining": "0", "RateLimit-Reset": "5"}
    answers(world, eu=[Response(200, used_up)])
    manager = world.watched(shop(limits=RateLimitConfig(100)))

    await manager.call("shop", GET)

    assert "VendorPaused" in world.told()


@in_both_colours
async def test_a_limit_is_not_evaded(world: World) -> None:
    """Who may not be let out for a limit is refused, whatever other regions there are."""
    manager = world.watched(shop(limits=RateLimitConfig(1, per=60), max_limit_wait=0))
    await manager.call("shop", GET)

    with pytest.raises(RateLimitExceeded):
        await manager.call("shop", GET)

    assert ["eu"] == went(world)
    assert 1 == world.told().count("CallRefused")


@in_both_colours
async def test_who_waits_finds_the_circuit_open(world: World) -> None:
    """Where a circuit opens while a call waits for a limit, it goes on to the next region."""
    manager = world.manager(shop(limits=RateLimitConfig(1, per=1)))
    await manager.call("shop", GET)

    async def meanwhile() -> None:
        await opened(manager, "eu")

    world.sleeper.meanwhile.append(meanwhile)
    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)


@in_both_colours
async def test_no_attempt_begins_after_the_deadline(world: World) -> None:
    """Failing over is within the deadline of the call."""
    answers(world, eu=[world.after(4.5, 503)])
    manager = world.manager(shop())

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET, timeout=5)
    assert ["eu"] == went(world)

    answers(world, eu=[world.hanging()])
    with pytest.raises(DeadlineExceeded):
        await manager.call("shop", GET, timeout=5)
    assert ["eu", "eu"] == went(world)


@in_both_colours
async def test_what_is_asked_in_a_hurry_leaves_no_later(world: World) -> None:
    """A second region's attempt has what is left of the time."""
    answers(world, eu=[world.after(1.0, REFUSED)])
    manager = world.manager(shop())

    await manager.call("shop", GET, timeout=5)

    assert [5.0, 4.0] == [sent.timeouts.total for sent in world.vendor.requests]


@in_both_colours
async def test_a_url_goes_where_it_points(world: World) -> None:
    """A request with a host in it goes to that region, first and always."""
    answers(world, us=[503, 503, 503])
    manager = world.manager(shop())

    with pytest.raises(VendorFailed):
        await manager.call("shop", Request.get("https://us.example/v1/items?page=2"))

    assert ["https://us.example/v1/items?page=2"] * 3 == [
        sent.url for sent in world.vendor.requests
    ]
    with pytest.raises(InvalidData, match="another origin"):
        await manager.call("shop", Request.get("https://other.example/v1/items"))


@in_both_colours
async def test_each_region_has_its_credentials(world: World) -> None:
    """A region's own credentials are sent there, the service's everywhere else."""
    answers(world, eu=[REFUSED])
    us = Region("us", US.base_url, tier=2, credentials=Credentials.bearer("for us"))
    manager = world.manager(shop(EU, us, credentials=Credentials.bearer("for all")))

    await manager.call("shop", GET)

    assert ["Bearer for all", "Bearer for us"] == [
        sent.header("Authorization") for sent in world.vendor.requests
    ]


@in_both_colours
async def test_a_credential_that_was_asked_for_goes_where_there_is_no_other(world: World) -> None:
    """A region's own credentials come before those of the provider."""

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("for all")

    answers(world, eu=[REFUSED])
    us = Region("us", US.base_url, tier=2, credentials=Credentials.bearer("for us"))
    service = shop(EU, us, needs_credentials=True)
    manager = world.manager(service, credentials=world.of_colour(Provider()))

    await manager.call("shop", GET)

    assert ["Bearer for all", "Bearer for us"] == [
        sent.header("Authorization") for sent in world.vendor.requests
    ]


@in_both_colours
async def test_anothers_error_is_in_no_region_of_ours(world: World) -> None:
    """An error that names another service does not get the region of this one."""

    def asks(_: Request) -> Request:
        raise ConnectionFailed("refused.", service="other")

    manager = world.manager(shop(request_transforms=asks, retry=None))

    with pytest.raises(ConnectionFailed) as caught:
        await manager.call("shop", POST)

    assert ("other", None) == (caught.value.service, caught.value.region)


@in_both_colours
async def test_a_renewed_credential_goes_where_the_old_one_was_refused(world: World) -> None:
    """After a 401 the same region is asked again, and it counts as no further attempt."""

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("old")

        async def refresh(self, *_: object) -> Credentials:
            return Credentials.bearer("new")

    answers(world, eu=[401])
    service = shop(needs_credentials=True, retry=None)
    manager = world.manager(service, credentials=world.of_colour(Provider()))

    await manager.call("shop", POST)

    assert ["eu", "eu"] == went(world)
    assert ["Bearer old", "Bearer new"] == [
        sent.header("Authorization") for sent in world.vendor.requests
    ]


@in_both_colours
async def test_a_stream_opens_elsewhere(world: World) -> None:
    """A stream that cannot be opened in one region is opened in the next, and counts there."""
    answers(world, eu=[REFUSED], us=[Response(200, body=b"all of it")])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    async with await manager.stream("shop", GET) as stream:
        assert [b"all of it"] == await stream.all()

    assert ["eu", "us"] == went(world)
    states = [await manager.circuit_state("shop", region=name) for name in ("eu", "us")]
    assert [CircuitState.OPEN, CircuitState.CLOSED] == [state.state for state in states]


@in_both_colours
async def test_a_stream_that_breaks_off_tells_of_its_region(world: World) -> None:
    """What becomes of a body is recorded for the region that it came from."""
    answers(world, eu=[Arriving(200, (), b"half", CUT_OFF)])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    with pytest.raises(ConnectionFailed) as caught:
        async with await manager.stream("shop", GET) as stream:
            await stream.all()

    assert "eu" == caught.value.region
    state = await manager.circuit_state("shop", region="eu")
    assert CircuitState.OPEN is state.state


@in_both_colours
async def test_a_hedge_goes_elsewhere(world: World) -> None:
    """The second request of a hedged read goes to another region, and its own circuit counts it."""
    gate = world.gate()
    answers(world, eu=[gate.answering(200)])
    manager = world.manager(shop(hedge=HedgeConfig(0.1), retry=None))

    started = world.start(lambda: manager.call("shop", GET))
    await gate.reached()
    world.gather.too_long.set()
    await started.result()
    gate.open()

    assert ["eu", "us"] == went(world)


@in_both_colours
async def test_several_hedges_go_to_several_places(world: World) -> None:
    """Each extra begins with another region; where none lets it in, it goes where the first is."""
    ap = Region("ap", "https://ap.example", tier=3)
    answers(world, eu=[503], us=[503, 503], ap=[503])
    manager = world.manager(shop(EU, US, ap, hedge=HedgeConfig(0.1, 3), retry=None))

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    assert ["eu", "us", "ap", "us"] == went(world)


@in_both_colours
async def test_a_hedge_stays_if_it_must(world: World) -> None:
    """Where the other regions are closed to it, or may not be asked, an extra stays."""
    answers(world, eu=[503, 200, 503])
    hedged = shop(
        hedge=HedgeConfig(0.1),
        retry=None,
        endpoints=Endpoint("never", path="/orders", idempotent=False),
        idempotency_across_regions=True,
    )
    manager = world.watched(hedged)

    await manager.call("shop", POST.evolve(idempotent=True))
    assert ["eu", "eu"] == went(world)

    await opened(manager, "us")
    await manager.call("shop", GET)
    assert ["eu"] * 4 == went(world)
    assert "CallRefused" not in world.told()


@in_both_colours
async def test_hedges_spread(world: World) -> None:
    """Extras that are under way together are in different regions."""
    ap = Region("ap", "https://ap.example", tier=3)
    first, second = world.gate(), world.gate()
    answers(world, eu=[first.answering(200)], us=[second.answering(200)])
    manager = world.manager(shop(EU, US, ap, hedge=HedgeConfig(0.1, 2), retry=None))

    started = world.start(lambda: manager.call("shop", GET))
    for gate in (first, second):
        await gate.reached()
        world.gather.too_long.set()
    await started.result()
    for gate in (first, second):
        gate.open()

    assert ["eu", "us", "ap"] == went(world)


@in_both_colours
async def test_a_hedge_does_not_wait(world: World) -> None:
    """An extra that would have to wait for a limit is not sent, in whatever region."""
    answers(world, eu=[503])
    limits = RateLimitConfig(1, per=1)
    manager = world.manager(shop(hedge=HedgeConfig(0.1), retry=None, limits=limits))

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    assert ["eu"] == went(world)


@in_both_colours
async def test_a_function_has_no_region(world: World) -> None:
    """A service in several regions protects no functions."""
    manager = world.watched(shop())

    with pytest.raises(ConfigurationError, match="a function is in no region") as caught:
        await manager.run("shop", world.nothing)

    assert "regions" == caught.value.path
    assert "Protect the function with a service of its own" in caught.value.remedy
    assert ["CallStarted", "CallFinished"] == world.told()


@in_both_colours
async def test_a_circuit_is_of_one_region(world: World) -> None:
    """Who asks for a circuit by hand says whose."""
    manager = world.manager(shop(), Service("vat", "https://vat.example"))

    for service, region, problem, known in (
        ("shop", None, "each region has a circuit", "Name one of: eu, us."),
        ("shop", "ap", "there is no region 'ap'", "Name one of: eu, us."),
        ("vat", "eu", "there is no region 'eu'", "Leave the region out."),
    ):
        with pytest.raises(ConfigurationError, match=problem) as caught:
            await manager.circuit_state(service, region=region)
        assert (known, "region") == (caught.value.remedy, caught.value.path)
        with pytest.raises(ConfigurationError):
            await manager.set_circuit(service, CircuitState.CLOSED, region=region)


@in_both_colours
async def test_without_circuits_only_failures_move_a_call(world: World) -> None:
    """A service without a circuit knows no sick region, but goes elsewhere all the same."""
    answers(world, eu=[REFUSED, REFUSED])
    manager = world.manager(shop(circuit=None))

    await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us", "eu", "us"] == went(world)


@in_both_colours
async def test_regions_go_on_without_their_store(world: World) -> None:
    """While the store is away each process knows the regions by itself."""
    answers(world, eu=[503])
    store = world.of_colour(world.store)
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, retry=None), state=store)
    world.store.is_away = StorageUnavailable("away.")

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)


@in_both_colours
async def test_transforms_see_a_request_of_no_region(world: World) -> None:
    """What transforms make of a request is joined to the region of each attempt."""
    answers(world, eu=[REFUSED])
    manager = world.manager(
        shop(request_transforms=lambda request: request.evolve(path="/changed"))
    )

    await manager.call("shop", GET)

    assert ["https://eu.example/v1/changed", "https://us.example/v1/changed"] == [
        sent.url for sent in world.vendor.requests
    ]
