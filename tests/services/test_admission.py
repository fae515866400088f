"""Being let in: limits, pauses and circuits, as a caller of the whole pipeline meets them."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import pytest

from mooring import (
    AuthenticationFailed,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    CredentialNotFound,
    DeadlineExceeded,
    Endpoint,
    InvalidData,
    Jitter,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryPolicy,
    Service,
    StorageUnavailable,
    VendorFailed,
    VendorRejected,
)
from mooring.domain.admission import Answer
from mooring.domain.durations import FOREVER
from mooring.domain.events import CircuitChanged, RateLimitWaited
from mooring.services.admission import why_not
from tests.support.colours import START, Interruption, World, in_both_colours

GET = Request.get("/rates")
OPENS_AT_ONCE = CircuitBreakerConfig(failures=1, open_for=10)


def vat(**options: object) -> Service:
    """A service with nothing but what a test gives it."""
    given = {"base_url": "https://vat.example", "circuit": None, "retry": None} | options
    return Service("vat", **given)  # type: ignore[arg-type]  # as each test says


def sent_at(world: World) -> list[float]:
    """When requests reached the vendor."""
    return [sent.at for sent in world.vendor.requests]


# --- limits ---


@in_both_colours
async def test_callers_wait_for_their_turn(world: World) -> None:
    """Past the burst, calls go at the rate of the limit."""
    manager = world.manager(vat(limits=RateLimitConfig(2, burst=1)))

    for _ in range(4):
        await manager.call("vat", GET)

    assert [0.0, 0.5, 1.0, 1.5] == sent_at(world)


@pytest.mark.parametrize("bound", ["max_limit_wait", "timeout", "timeout of the call"])
@in_both_colours
async def test_a_wait_that_is_too_long_is_refused_at_once(world: World, bound: str) -> None:
    """Who cannot have a turn in time is told at once when to come back, and takes nothing."""
    options = {} if bound == "timeout of the call" else {bound: 5}
    manager = world.manager(vat(limits=RateLimitConfig(1, per=10), **options))
    timeout = 5 if bound == "timeout of the call" else None
    await manager.call("vat", GET)

    for _ in range(3):
        with pytest.raises(RateLimitExceeded) as caught:
            await manager.call("vat", GET, timeout=timeout)
        assert START + timedelta(seconds=10) == caught.value.retry_at
        assert not caught.value.by_vendor
        assert "rate limit is reached" in caught.value.message

    world.clock.advance(10)
    await manager.call("vat", GET)
    assert [0.0, 10.0] == sent_at(world)


@pytest.mark.parametrize(
    "timeout, slept",
    [
        pytest.param(9.999, [], id="the turn comes too late"),
        pytest.param(10, [10.0], id="the turn comes as the time is over"),
        pytest.param(10.005, [10.0], id="the turn comes in time"),
    ],
)
@in_both_colours
async def test_a_turn_must_come_before_the_deadline(
    world: World, timeout: float, slept: list[float]
) -> None:
    """Who would have its turn after its time is over does not even wait for it."""
    manager = world.manager(vat(limits=RateLimitConfig(1, per=10), timeout=timeout))
    await manager.call("vat", GET)

    refusal = {9.999: RateLimitExceeded, 10: DeadlineExceeded}.get(timeout)
    with pytest.raises(refusal) if refusal else nullcontext():
        await manager.call("vat", GET)

    assert slept == world.sleeper.slept


@in_both_colours
async def test_waits_are_told(world: World) -> None:
    """Observers hear of every wait for a limit, and how long it is."""
    manager = world.watched(vat(limits=RateLimitConfig(2, burst=1)))

    for _ in range(2):
        await manager.call("vat", GET)

    assert [0.5] == [event.delay for event in world.events if isinstance(event, RateLimitWaited)]


@in_both_colours
async def test_a_refusal_that_took_nothing_leaves_nothing_behind(world: World) -> None:
    """Who is refused and holds nothing has nothing to give back."""
    service = vat(limits=RateLimitConfig(1), circuit=OPENS_AT_ONCE, max_limit_wait=0)
    manager = world.manager(service)
    await manager.call("vat", GET)

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [] == world.store.posted


@in_both_colours
async def test_a_refusal_is_not_tried_again(world: World) -> None:
    """What holds a call back is the caller's to wait for: a retry is for what the vendor did."""
    service = vat(limits=RateLimitConfig(1), max_limit_wait=0, retry=RetryPolicy(3, 0))
    manager = world.manager(service)
    await manager.call("vat", GET)

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [] == world.sleeper.slept


@in_both_colours
async def test_limits_are_asked_together(world: World) -> None:
    """A call takes from its service's limit and its endpoint's, or from neither."""
    slow = Endpoint("slow", path="/slow", limits=RateLimitConfig(1, per=100))
    manager = world.manager(
        vat(limits=RateLimitConfig(1, per=10, burst=2), endpoints=slow, max_limit_wait=0)
    )
    await manager.call("vat", Request.get("/slow"))
    for _ in range(3):
        with pytest.raises(RateLimitExceeded):
            await manager.call("vat", Request.get("/slow"))

    await manager.call("vat", GET)
    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)


@in_both_colours
async def test_a_call_may_cost_more(world: World) -> None:
    """An endpoint's cost is taken from every limit."""
    bulk = Endpoint("bulk", cost=3)
    manager = world.manager(vat(limits=RateLimitConfig(1, burst=3), endpoints=bulk))

    for _ in range(2):
        await manager.call("vat", GET, endpoint="bulk")

    assert [0.0, 3.0] == sent_at(world)


@in_both_colours
async def test_tenants_have_limits_of_their_own(world: World) -> None:
    """What one tenant uses up, another still has."""
    manager = world.manager(vat(limits=RateLimitConfig(1, per=60), max_limit_wait=0))

    for tenant in (None, "acme", "umbrella"):
        await manager.call("vat", GET, tenant=tenant)

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET, tenant="acme")


@pytest.mark.parametrize("status", [429, 503])
@in_both_colours
async def test_a_vendors_pause_holds_everybody_back(world: World, status: int) -> None:
    """After a `Retry-After` no caller's request leaves before it has passed."""
    world.vendor.answers(Response(status, {"Retry-After": "20"}))
    manager = world.manager(vat(limits=RateLimitConfig(100)))
    other = world.manager(vat(limits=RateLimitConfig(100)))

    with pytest.raises((RateLimitExceeded, VendorFailed)):
        await manager.call("vat", GET)
    await other.call("vat", GET)
    await manager.run("vat", world.nothing)

    assert 20.0 <= sent_at(world)[1] < 20.1


@pytest.mark.parametrize(
    "spent",
    [
        {"RateLimit-Remaining": "0", "RateLimit-Reset": "15"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(START.timestamp()) + 15)},
    ],
)
@in_both_colours
async def test_a_spent_allowance_holds_everybody_back(world: World, spent: dict[str, str]) -> None:
    """A success that says nothing is left is a success, and the next call waits for the reset."""
    world.vendor.answers(Response(200, spent), Response(200, {"RateLimit-Remaining": "0"}))
    manager = world.manager(vat(limits=RateLimitConfig(100)))

    for _ in range(3):
        assert 200 == (await manager.call("vat", GET)).status

    assert [0.0, 15.01] == sent_at(world)[:2]


@in_both_colours
async def test_a_spent_allowance_needs_a_limit(world: World) -> None:
    """A service without limits has nothing that could be paused."""
    world.vendor.answers(Response(200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "15"}))
    manager = world.manager(vat())

    for _ in range(2):
        await manager.call("vat", GET)

    assert [0.0, 0.0] == sent_at(world)


@in_both_colours
async def test_a_pause_moves_those_who_wait(world: World) -> None:
    """Who waits when the vendor asks for a pause waits through it too."""
    manager = world.watched(vat(limits=RateLimitConfig(1)))
    await manager.call("vat", GET)

    async def pause() -> None:
        world.pause(manager, "vat", 10.0)

    world.sleeper.meanwhile.append(pause)
    await manager.call("vat", GET)

    assert [0.0, 11.0] == sent_at(world)
    assert 2 == world.told().count("RateLimitWaited")


@in_both_colours
async def test_a_pause_past_the_deadline_ends_a_wait(world: World) -> None:
    """Who waits for a turn that moves past the deadline is told, and gives the place back."""
    manager = world.manager(vat(limits=RateLimitConfig(1), timeout=5))
    await manager.call("vat", GET)

    async def pause() -> None:
        world.pause(manager, "vat", 60.0)

    world.sleeper.meanwhile.append(pause)
    with pytest.raises(RateLimitExceeded) as caught:
        await manager.call("vat", GET)

    assert START + timedelta(seconds=61) == caught.value.retry_at
    assert 1 == len(world.vendor.requests)


@pytest.mark.parametrize("endpoint", [None, "slow"])
@pytest.mark.parametrize(
    "answer, wait, kind",
    [
        (Answer.CIRCUIT_OPEN, FOREVER, CircuitBreakerOpen),
        (Answer.LIMITED, 1_000_000, RateLimitExceeded),
    ],
)
@in_both_colours
async def test_a_refusal_says_of_whom_it_is(
    world: World, answer: Answer, wait: int, kind: type[Exception], endpoint: str | None
) -> None:
    """A refusal names service and endpoint by itself: not everybody who raises it signs it."""
    flows = world.manager(vat(endpoints=Endpoint("slow"))).manager._flows
    plan = flows.plans.find("vat", None, endpoint)

    error = why_not(flows.core, plan, answer, wait)

    assert (kind, "vat", endpoint) == (type(error), error.service, error.operation)


# --- circuits ---


async def fail(world: World, manager: object, times: int = 1) -> None:
    """Let calls of the vendor fail."""
    for _ in range(times):
        world.vendor.answers(503)
        with pytest.raises(VendorFailed):
            await manager.call("vat", GET)  # type: ignore[attr-defined]  # a face


@in_both_colours
async def test_a_circuit_opens(world: World) -> None:
    """After enough failures nothing is sent any more, and the refusal says when to come back."""
    manager = world.manager(vat(circuit=CircuitBreakerConfig(failures=3, open_for=30)))
    await fail(world, manager, 3)

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("vat", GET)

    assert START + timedelta(seconds=30) == caught.value.retry_at
    assert "has been failing" in caught.value.message
    world.clock.advance(29.999999)
    with pytest.raises(CircuitBreakerOpen) as last:
        await manager.call("vat", GET)
    assert START + timedelta(seconds=30) == last.value.retry_at
    assert (3, "vat", 0) == (
        len(world.vendor.requests),
        caught.value.service,
        caught.value.attempts,
    )


@in_both_colours
async def test_a_circuit_opens_between_attempts(world: World) -> None:
    """A retry that the circuit holds back is refused, with the failure as its cause."""
    world.vendor.otherwise = 503
    policy = RetryPolicy(5, 1.0, jitter=Jitter.NONE)
    service = vat(circuit=CircuitBreakerConfig(failures=2, open_for=30), retry=policy)

    with pytest.raises(CircuitBreakerOpen) as caught:
        await world.manager(service).call("vat", GET)

    assert 2 == len(world.vendor.requests) == caught.value.attempts
    assert VendorFailed is type(caught.value.__cause__)
    # It did not even wait for what would be refused.
    assert [1.0] == world.sleeper.slept
    assert START + timedelta(seconds=31) == caught.value.retry_at


@pytest.mark.parametrize("shadow", [False, True])
@in_both_colours
async def test_a_long_pause_outlasts_an_opening(world: World, shadow: bool) -> None:  # noqa: FBT001 - a case
    """A retry that comes after the open time is a probe; a shadow holds no retry back."""
    world.vendor.answers(503)
    policy = RetryPolicy(2, 5.0, jitter=Jitter.NONE)
    circuit = CircuitBreakerConfig(failures=1, open_for=60 if shadow else 5, shadow=shadow)

    await world.manager(vat(circuit=circuit, retry=policy)).call("vat", GET)

    assert [5.0] == world.sleeper.slept


@in_both_colours
async def test_a_quorum_is_of_reporters(world: World) -> None:
    """A circuit with a quorum opens only when as many managers have seen failures."""
    circuit = CircuitBreakerConfig(failures=2, quorum=2)
    one, other = world.manager(vat(circuit=circuit)), world.manager(vat(circuit=circuit))

    await fail(world, one, 4)
    assert CircuitState.CLOSED is (await one.circuit_state("vat")).state
    await fail(world, other)

    assert CircuitState.OPEN is (await one.circuit_state("vat")).state


@in_both_colours
async def test_a_probes_lease_is_an_attempts(world: World) -> None:
    """A probe's place is free when its attempt must have ended, though its call may go on."""
    gate = world.gate()
    manager = world.manager(vat(circuit=OPENS_AT_ONCE, attempt_timeout=5))
    await fail(world, manager)
    world.clock.advance(10)
    world.vendor.answers(gate.answering(200))

    async def probe() -> None:
        await manager.call("vat", GET, timeout=100)

    started = world.start(probe)
    await gate.reached()
    world.clock.advance(9)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)
    world.clock.advance(1)
    await manager.call("vat", GET)
    gate.open()
    await started.result()


@in_both_colours
async def test_refusals_do_not_open_it(world: World) -> None:
    """A service that refuses is alive and well."""
    world.vendor.otherwise = 404
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))

    for _ in range(3):
        with pytest.raises(VendorRejected):
            await manager.call("vat", GET)

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_a_vendor_that_hangs_opens_it(world: World) -> None:
    """No answer within the deadline is a failure, although the caller's time was over."""
    world.vendor.otherwise = world.hanging()
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))

    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_a_probe_closes_it(world: World) -> None:
    """After the open time one probe goes, and its success closes the circuit."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    await fail(world, manager)
    world.clock.advance(10)

    await manager.call("vat", GET)

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_a_failed_probe_opens_it_longer(world: World) -> None:
    """A probe's failure opens the circuit again, for twice as long."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    await fail(world, manager)
    world.clock.advance(10)
    await fail(world, manager)

    assert 20.0 == (await manager.circuit_state("vat")).retry_after


@in_both_colours
async def test_no_more_probes_than_configured(world: World) -> None:
    """While as many probes as may are under way, every other call is refused."""
    gates = [world.gate() for _ in range(2)]
    service = vat(circuit=CircuitBreakerConfig(failures=1, open_for=10, probes=2, successes=2))
    manager = world.manager(service)
    await fail(world, manager)
    world.clock.advance(10)

    async def probe() -> None:
        await manager.call("vat", GET)

    for gate in gates:
        world.vendor.answers(gate.answering(200))
    probes = [world.start(probe) for _ in gates]
    for gate in gates:
        await gate.reached()
    for _ in range(3):
        with pytest.raises(CircuitBreakerOpen) as caught:
            await manager.call("vat", GET)
        assert START + timedelta(seconds=10 + 35) == caught.value.retry_at
    assert 2 == (await manager.circuit_state("vat")).probes_under_way
    for gate in gates:
        gate.open()
    for one in probes:
        await one.result()

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_an_interrupted_probe_frees_its_place(world: World) -> None:
    """A probe whose caller is interrupted judges nothing, and the next call may probe at once."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    await fail(world, manager)
    world.clock.advance(10)
    world.vendor.answers(Interruption())

    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert 0 == (await manager.circuit_state("vat")).probes_under_way
    await manager.call("vat", GET)
    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_a_probe_frees_its_place_though_it_never_heard_of_it(world: World) -> None:
    """Where a probe was granted and the store's answer was lost, its place is free again."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE), state=world.of_colour(world.store))
    await fail(world, manager)
    world.clock.advance(10)
    world.store.lost_at[len(world.store.commands) + 2] = StorageUnavailable("cut off")

    await manager.call("vat", GET)

    world.clock.advance(1)
    state = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (state.state, state.probes_under_way)


@in_both_colours
async def test_a_probe_frees_its_place_though_it_cannot_read_of_it(world: World) -> None:
    """The same holds where an answer came, and the store's adapter could not read it."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE), state=world.of_colour(world.store))
    await fail(world, manager)
    world.clock.advance(10)
    world.store.lost_at[len(world.store.commands) + 2] = InvalidData("what is this?")

    with pytest.raises(InvalidData):
        await manager.call("vat", GET)

    state = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (state.state, state.probes_under_way)


@in_both_colours
async def test_a_probe_that_is_interrupted_late_has_judged(world: World) -> None:
    """What a probe has found out is kept, though its caller is interrupted as it tells of it."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE), state=world.of_colour(world.store))
    await fail(world, manager)
    world.clock.advance(10)
    world.store.fails_at[len(world.store.commands) + 3] = Interruption()

    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_a_failure_is_counted_once(world: World) -> None:
    """A failure that may have been told of is not told again by a caller that is interrupted."""
    circuit = CircuitBreakerConfig(failures=2)
    manager = world.manager(vat(circuit=circuit), state=world.of_colour(world.store))
    world.vendor.answers(503)
    world.store.lost_at[2] = Interruption()

    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert 1 == (await manager.circuit_state("vat")).failures


@in_both_colours
async def test_a_probe_that_never_left_judges_nothing(world: World) -> None:
    """A half-open circuit is not closed by a call that found no credential."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    await fail(world, manager)
    world.clock.advance(10)
    service = vat(circuit=OPENS_AT_ONCE, needs_credentials=True)

    with pytest.raises(CredentialNotFound):
        await world.manager(service).call("vat", GET)

    state = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (state.state, state.probes_under_way)


@in_both_colours
async def test_a_refusal_by_who_keeps_credentials_judges_nothing(world: World) -> None:
    """A half-open circuit is not closed because a secret manager refused us."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    await fail(world, manager)
    world.clock.advance(10)
    service = vat(circuit=OPENS_AT_ONCE, needs_credentials=True)

    class Refusing:
        """Knows credentials that it does not give."""

        async def get(self, *_: object) -> object:
            raise AuthenticationFailed("the vault refused us.", status=403)

        async def refresh(self, *_: object) -> object:
            raise NotImplementedError

    with pytest.raises(AuthenticationFailed):
        await world.manager(service, credentials=world.of_colour(Refusing())).call("vat", GET)

    state = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (state.state, state.probes_under_way)


@in_both_colours
async def test_a_late_answer_changes_nothing(world: World) -> None:
    """What a call of an earlier life of the circuit ends with is not counted in a later one."""
    gate = world.gate()
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    world.vendor.answers(gate.answering(503))

    async def early() -> None:
        with pytest.raises(VendorFailed):
            await manager.call("vat", GET)

    call = world.start(early)
    await gate.reached()
    await fail(world, manager)
    world.clock.advance(10)
    await manager.call("vat", GET)
    gate.open()
    await call.result()

    state = await manager.circuit_state("vat")
    assert (CircuitState.CLOSED, 0) == (state.state, state.failures)


@in_both_colours
async def test_endpoints_may_have_circuits_of_their_own(world: World) -> None:
    """What fails at one endpoint closes no other."""
    slow = Endpoint("slow", path="/slow", circuit=OPENS_AT_ONCE)
    manager = world.manager(vat(circuit=OPENS_AT_ONCE, endpoints=slow))
    world.vendor.answers(503)
    with pytest.raises(VendorFailed):
        await manager.call("vat", Request.get("/slow"))

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("vat", Request.get("/slow"))
    await manager.call("vat", GET)

    assert "slow" == caught.value.operation
    assert CircuitState.OPEN is (await manager.circuit_state("vat", endpoint="slow")).state


@in_both_colours
async def test_slow_answers_open_it(world: World) -> None:
    """Answers that take too long count, although they are good."""
    world.vendor.otherwise = world.after(2.0, 200)
    circuit = CircuitBreakerConfig(slow_call=1, minimum_calls=2, slow_call_rate=1.0)
    manager = world.manager(vat(circuit=circuit))

    for _ in range(2):
        assert 200 == (await manager.call("vat", GET)).status

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_slow_functions_open_it(world: World) -> None:
    """A function that takes too long counts like an answer, and so does one that fails slowly."""
    circuit = CircuitBreakerConfig(slow_call=1, minimum_calls=2, slow_call_rate=1.0)
    manager = world.manager(vat(circuit=circuit))

    async def dawdle() -> None:
        world.clock.advance(2)

    for _ in range(2):
        await manager.run("vat", dawdle)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_a_shadow_never_holds_back(world: World) -> None:
    """A circuit in the shadow counts, and lets every call through."""
    circuit = CircuitBreakerConfig(failures=1, shadow=True)
    manager = world.manager(vat(circuit=circuit))

    await fail(world, manager, 3)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_a_circuit_is_set_by_hand(world: World) -> None:
    """By hand a circuit is forced open, switched off, and reset; each is told of."""
    manager = world.watched(vat(circuit=OPENS_AT_ONCE))

    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("vat", GET)
    assert (False, None) == (caught.value.retryable, caught.value.retry_at)
    assert "opened by hand" in caught.value.message
    assert "Close it by hand" in caught.value.remedy

    await manager.set_circuit("vat", CircuitState.DISABLED)
    await fail(world, manager, 3)

    await manager.set_circuit("vat", CircuitState.CLOSED)
    await fail(world, manager)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)

    told = [event.state for event in world.events if isinstance(event, CircuitChanged)]
    assert [
        CircuitState.FORCED_OPEN,
        CircuitState.DISABLED,
        CircuitState.CLOSED,
        CircuitState.OPEN,
    ] == told


@in_both_colours
async def test_only_some_states_are_set_by_hand(world: World) -> None:
    """Half open is no state to set, and the error says which are."""
    with pytest.raises(ConfigurationError) as caught:
        await world.manager(vat(circuit=OPENS_AT_ONCE)).set_circuit("vat", CircuitState.HALF_OPEN)

    assert ("state", "vat") == (caught.value.path, caught.value.service)


@in_both_colours
async def test_a_service_without_a_circuit_has_none_to_read(world: World) -> None:
    """Asking for the circuit of a service that has none names the service and the remedy."""
    manager = world.manager(vat())

    for asked in (manager.circuit_state("vat"), manager.set_circuit("vat", CircuitState.CLOSED)):
        with pytest.raises(ConfigurationError) as caught:
            await asked
        assert ("circuit", "vat") == (caught.value.path, caught.value.service)
        assert "there is no circuit" in caught.value.message
        assert "CircuitBreakerConfig" in caught.value.remedy


@in_both_colours
async def test_a_circuit_that_opens_meanwhile_ends_a_wait(world: World) -> None:
    """Who waits for a limit while the circuit opens is refused, and gives the turn back."""
    manager = world.manager(vat(limits=RateLimitConfig(1), circuit=OPENS_AT_ONCE))
    await manager.call("vat", GET)

    async def open_it() -> None:
        await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    world.sleeper.meanwhile.append(open_it)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)
    assert 1 == len(world.vendor.requests)

    await manager.set_circuit("vat", CircuitState.CLOSED)
    await manager.call("vat", GET)
    assert 1.0 == sent_at(world)[1]


@in_both_colours
async def test_tenants_have_circuits_of_their_own(world: World) -> None:
    """One tenant's failing credentials hold no other back."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    world.vendor.answers(503)
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET, tenant="acme")

    await manager.call("vat", GET)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET, tenant="acme")


@in_both_colours
async def test_a_probe_that_overslept_frees_its_place(world: World) -> None:
    """A probe that waited for a limit past its deadline goes nowhere, and lets another probe."""
    service = vat(circuit=OPENS_AT_ONCE, limits=RateLimitConfig(1, per=20), timeout=30)
    manager = world.manager(service)
    await fail(world, manager)
    world.clock.advance(10)

    async def oversleep() -> None:
        world.clock.advance(30)

    world.sleeper.meanwhile.append(oversleep)
    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET)

    assert 0 == (await manager.circuit_state("vat")).probes_under_way
    await manager.call("vat", GET)


@in_both_colours
async def test_a_function_with_more_time_probes_as_long(world: World) -> None:
    """A function whose call was given more time than its service's holds its probe so long."""
    gate = world.gate()
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    await fail(world, manager)
    world.clock.advance(10)

    async def probe() -> None:
        await manager.run("vat", gate.stand, timeout=100)

    started = world.start(probe)
    await gate.reached()
    world.clock.advance(104)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)
    gate.open()
    await started.result()

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_by_hand_one_circuit_is_meant(world: World) -> None:
    """What is set by hand is the circuit of one tenant and endpoint, and no other."""
    slow = Endpoint("slow", circuit=OPENS_AT_ONCE)
    manager = world.watched(vat(circuit=OPENS_AT_ONCE, endpoints=slow))

    await manager.set_circuit("vat", CircuitState.FORCED_OPEN, tenant="acme", endpoint="slow")

    found = [
        (await manager.circuit_state("vat", tenant=tenant, endpoint=endpoint)).state
        for tenant in (None, "acme")
        for endpoint in (None, "slow")
    ]
    assert [CircuitState.CLOSED] * 3 + [CircuitState.FORCED_OPEN] == found
    (event,) = world.events
    assert ("acme", "slow") == (event.tenant, event.operation)
    with pytest.raises(ConfigurationError) as caught:
        await manager.set_circuit("vat", CircuitState.OPEN, endpoint="slow")
    assert ("vat", "slow") == (caught.value.service, caught.value.operation)
    with pytest.raises(InvalidData) as unknown:
        await manager.circuit_state("vat", endpoint="fast")
    assert ("vat", "fast") == (unknown.value.service, unknown.value.operation)
