"""The call, top to bottom: bulkheads, fallbacks, batches, events, and errors before anything."""

# ruff: noqa: ANN401, SLF001 - values of any kind, and a look inside

from __future__ import annotations

import threading
from typing import Any

import pytest

from mooring import (
    BulkheadConfig,
    BulkheadFull,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    ConnectorError,
    DeadlineExceeded,
    Endpoint,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    Jitter,
    OutcomeUnknown,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryPolicy,
    Service,
    StorageUnavailable,
    VendorFailed,
)
from mooring.adapters.memory import MemoryStorage
from mooring.domain.events import CallFinished, CallRefused, Event, ObserverFailed
from tests.support.colours import START, Interruption, World, in_both_colours

GET = Request.get("/rates")
POST = Request.post("/orders", json={"number": 1})


def vat(**options: object) -> Service:
    """A service with nothing but what a test gives it."""
    given = {"base_url": "https://vat.example", "circuit": None, "retry": None} | options
    return Service("vat", **given)  # type: ignore[arg-type]  # as each test says


# --- bulkhead ---


@in_both_colours
async def test_a_bulkhead_lets_so_many_in(world: World) -> None:
    """When as many calls as may are under way, the next is refused, and the refusal is told."""
    gates = [world.gate(), world.gate()]
    world.vendor.answers(*(gate.answering(200) for gate in gates))
    manager = world.watched(vat(bulkhead=BulkheadConfig(2)))

    async def call() -> Response:
        response: Response = await manager.call("vat", GET)
        return response

    started = [world.start(call) for _ in gates]
    for gate in gates:
        await gate.reached()
    with pytest.raises(BulkheadFull) as caught:
        await manager.call("vat", GET)
    for gate in gates:
        gate.open()
    for one in started:
        await one.result()

    assert ("vat", True, 0) == (
        caught.value.service,
        caught.value.retryable,
        caught.value.attempts,
    )
    assert "2 calls are under way" in caught.value.message
    assert [("BulkheadFull", 0.0)] == [
        (event.error, event.retry_after) for event in world.events if isinstance(event, CallRefused)
    ]
    await manager.call("vat", GET)


@in_both_colours
async def test_a_bulkhead_has_a_queue(world: World) -> None:
    """Who waits for a place gets it when one is free."""
    gate = world.gate()
    world.vendor.answers(gate.answering(200))
    manager = world.manager(vat(bulkhead=BulkheadConfig(1, max_waiting=1)))

    async def call() -> int:
        response: Response = await manager.call("vat", GET)
        return response.status

    started = [world.start(call)]
    await gate.reached()
    started.append(world.start(call))
    await world.wait(world.locks.arrived)
    with pytest.raises(BulkheadFull):
        await manager.call("vat", GET)
    gate.open()

    assert [200, 200] == [await one.result() for one in started]


@pytest.mark.parametrize(
    "max_wait, error", [(None, DeadlineExceeded), (3, BulkheadFull), (0, BulkheadFull)]
)
@in_both_colours
async def test_a_queue_is_left_in_time(
    world: World, max_wait: float | None, error: type[ConnectorError]
) -> None:
    """Who waits for a place waits no longer than it may, or than its deadline allows."""
    config = BulkheadConfig(1, max_waiting=9, max_wait=max_wait)
    manager = world.manager(vat(bulkhead=config, timeout=10))
    key = manager.manager._flows.plans.find("vat", None, None).bulkhead_key
    await world.locks.acquire(key, world, places=1, queue=0, timeout=0)
    world.impatient = True

    with pytest.raises(error) as caught:
        await manager.call("vat", GET)

    assert (10 if max_wait is None else max_wait) == world.clock.now
    assert (max_wait is None) == isinstance(caught.value.__cause__, BulkheadFull)


@in_both_colours
async def test_time_in_a_queue_is_the_calls(world: World) -> None:
    """What a call spent waiting for a place it cannot spend waiting for a limit."""
    gate = world.gate()
    world.vendor.answers(gate.answering(200))
    service = vat(
        bulkhead=BulkheadConfig(1, max_waiting=1), limits=RateLimitConfig(1, per=12), timeout=10
    )
    manager = world.manager(service)

    async def first() -> None:
        await manager.call("vat", GET)

    async def second() -> None:
        with pytest.raises(RateLimitExceeded):
            await manager.call("vat", GET)

    started = [world.start(first)]
    await gate.reached()
    started.append(world.start(second))
    await world.wait(world.locks.arrived)
    world.clock.advance(3)
    gate.open()
    for one in started:
        await one.result()

    assert 3 == world.clock.now


@in_both_colours
async def test_a_place_is_given_back_whatever_happens(world: World) -> None:
    """An error, an interruption and a success all give the place back."""
    world.vendor.answers(503, Interruption(), 200)
    manager = world.manager(vat(bulkhead=BulkheadConfig(1)))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    with pytest.raises(Interruption):
        await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert not any(world.locks.inside.values())


# --- fallback ---


@in_both_colours
async def test_a_fallback_answers_for_a_failure(world: World) -> None:
    """When a call has failed for good, its fallback answers, and that is told."""
    world.vendor.otherwise = 503
    manager = world.watched(vat(fallback=lambda error: f"instead of {error.status}"))

    assert "instead of 503" == await manager.call("vat", GET)

    finished: Any = world.events[-1]
    assert ("VendorFailed", True) == (finished.error, finished.fallback)


@in_both_colours
async def test_a_fallback_may_be_awaited(world: World) -> None:
    """On the asynchronous face a fallback may be asynchronous; the other refuses it by name."""
    world.vendor.otherwise = 503

    async def instead(_: ConnectorError) -> str:
        await world.breathe()
        return "instead"

    if world.is_awaited:
        assert "instead" == await world.manager(vat(fallback=instead)).call("vat", GET)
    else:
        with pytest.raises(ConfigurationError, match="instead is asynchronous"):
            world.manager(vat(fallback=instead))


@in_both_colours
async def test_an_endpoint_has_a_fallback_of_its_own(world: World) -> None:
    """An endpoint's fallback replaces the service's; None means none."""
    world.vendor.otherwise = 503
    service = vat(
        fallback=lambda _: "service's",
        endpoints=[Endpoint("own", fallback=lambda _: "own"), Endpoint("none", fallback=None)],
    )
    manager = world.manager(service)

    assert "service's" == await manager.call("vat", GET)
    assert "own" == await manager.call("vat", GET, endpoint="own")
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET, endpoint="none")


@in_both_colours
async def test_a_fallback_answers_for_an_open_circuit(world: World) -> None:
    """What was held back is a failure, too."""
    manager = world.manager(vat(circuit=CircuitBreakerConfig(), fallback=lambda _: "instead"))
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    assert "instead" == await manager.call("vat", GET)


@in_both_colours
async def test_a_fallback_hides_nothing_that_may_have_happened(world: World) -> None:
    """A fallback does not answer for an unknown outcome, a conflict, or a mistake of ours."""
    world.vendor.answers(503)
    manager = world.manager(vat(fallback=lambda _: "instead"))

    with pytest.raises(OutcomeUnknown):
        await manager.call("vat", POST, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await manager.call("vat", GET, idempotency_key="k")
    with pytest.raises(InvalidData):
        await manager.call("vat", Request.get("https://evil.example/"))
    with pytest.raises(ConfigurationError):
        await world.manager(Service("bare", fallback=lambda _: "instead")).call("bare", GET)


@in_both_colours
async def test_a_fallback_does_not_answer_for_a_stranger(world: World) -> None:
    """What a function raises of its own is raised as it is."""

    async def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await world.manager(vat(fallback=lambda _: "instead")).run("vat", fail)


# --- batches ---


@in_both_colours
async def test_each_item_has_its_own_result(world: World) -> None:
    """Results come in the order of the requests, and none raises for another."""

    async def by_path(sent: Any) -> int:
        return 200 if sent.path in {"/0", "/2"} else 422

    world.vendor.otherwise = by_path
    requests = (Request.get(f"/{number}") for number in range(4))

    results = await world.manager(vat()).call_many("vat", requests, at_once=2)

    assert [True, False, True, False] == [result.ok for result in results]
    assert InvalidRequest is type(results[1].error)
    assert [200, 200] == [results[number].unwrap().status for number in (0, 2)]


@in_both_colours
async def test_a_batch_survives_anything(world: World) -> None:
    """What is no request, and what a transform raises, are results as well."""

    def broken(request: Request) -> Request:
        if request.path == "/bad":
            raise KeyError("bad")
        return request

    manager = world.manager(vat(request_transforms=broken))

    results = await manager.call_many("vat", [GET, Request.get("/bad"), "/rates"])

    assert ["NoneType", "KeyError", "InvalidData"] == [type(r.error).__name__ for r in results]


@in_both_colours
async def test_a_batch_is_of_one_tenant_and_endpoint(world: World) -> None:
    """Tenant, endpoint and timeout are every item's."""
    service = vat(endpoints=Endpoint("slow", limits=RateLimitConfig(1, per=9)))
    manager = world.watched(service)

    results = await manager.call_many(
        "vat", [GET, GET], tenant="acme", endpoint="slow", timeout=3, at_once=1
    )

    assert [True, False] == [result.ok for result in results]
    assert {("acme", "slow")} == {(event.tenant, event.operation) for event in world.events}
    assert [3.0] == [sent.timeouts.total for sent in world.vendor.requests]
    assert 2 == len({event.request_id for event in world.events})


@in_both_colours
async def test_a_batch_is_sent_eight_at_a_time(world: World) -> None:
    """Unless it is said, eight items are under way at once."""
    manager = world.manager(vat())

    await manager.call_many("vat", [GET] * 9)

    assert 8 == world.gather.at_once


@in_both_colours
async def test_a_batch_may_have_keys(world: World) -> None:
    """Each request has its own key, so that a repeated batch repeats nothing."""
    manager = world.manager(vat())

    await manager.call_many("vat", [POST, POST], idempotency_keys=["a", "b"])
    results = await manager.call_many("vat", [POST, POST], idempotency_keys=["a", "b"])

    assert [True, True] == [result.unwrap().replayed for result in results]
    assert 2 == len(world.vendor.requests)


@in_both_colours
async def test_a_batch_needs_a_key_for_each(world: World) -> None:
    """As many keys as requests, and at least one at once."""
    manager = world.manager(vat())

    with pytest.raises(InvalidData) as caught:
        await manager.call_many("vat", [POST, POST], idempotency_keys=["a"])
    assert ("idempotency_keys", "vat") == (caught.value.field, caught.value.service)
    assert "2 requests and 1 idempotency keys" in caught.value.message
    assert "one key for each" in caught.value.remedy
    with pytest.raises(ConfigurationError) as wrong:
        await manager.call_many("vat", [GET], at_once=0)
    assert "at_once" == wrong.value.path


# --- errors before anything ---


@pytest.mark.parametrize(
    "options, named",
    [
        ({"service": "vatt"}, ("path", "service")),
        ({"service": ["vat"]}, ("path", "service")),
        ({"service": None}, ("path", "service")),
        ({"endpoint": "rats"}, ("field", "endpoint")),
        ({"endpoint": ""}, ("field", "endpoint")),
        ({"endpoint": ["rates"]}, ("field", "endpoint")),
        ({"tenant": ""}, ("field", "tenant")),
        ({"tenant": ["acme"]}, ("field", "tenant")),
        ({"tenant": "a\nb"}, ("field", "tenant")),
        ({"timeout": -1}, ("path", "timeout")),
        ({"timeout": 0}, ("path", "timeout")),
        ({"timeout": float("nan")}, ("path", "timeout")),
        ({"timeout": "3"}, ("path", "timeout")),
        ({"request_id": "a\nb"}, ("field", "request_id")),
        ({"request_id": 7}, ("field", "request_id")),
    ],
)
@pytest.mark.parametrize("way", ["call", "stream", "run"])
@in_both_colours
async def test_what_is_wrong_is_named(
    world: World, way: str, options: dict[str, Any], named: tuple[str, str]
) -> None:
    """A wrong argument is a typed error that names it and what to do, whatever is called."""
    manager = world.watched(vat(endpoints=Endpoint("rates")))
    given: dict[str, Any] = {"service": "vat"} | options
    service = given.pop("service")
    for calm in (manager, world.manager(vat(endpoints=Endpoint("rates")))):
        with pytest.raises((ConfigurationError, InvalidData)) as caught:
            await getattr(calm, way)(service, world.nothing if way == "run" else GET, **given)

        attribute, name = named
        assert name == getattr(caught.value, attribute)
        assert caught.value.remedy
        assert caught.value.request_id
        endpoint = given.get("endpoint")
        assert (endpoint if isinstance(endpoint, str) else None) == caught.value.operation
        assert (service if isinstance(service, str) else None) == caught.value.service

    assert ([], []) == (world.events, world.vendor.requests)


@in_both_colours
async def test_a_wrong_call_keeps_its_id(world: World) -> None:
    """An error before the call began carries the correlation id that was given."""
    with pytest.raises(ConfigurationError) as caught:
        await world.manager(vat()).call("vat", GET, timeout=-1, request_id="mine")

    assert "mine" == caught.value.request_id


@pytest.mark.parametrize("request_", ["/rates", None, b"GET"])
@in_both_colours
async def test_a_request_is_a_request(world: World, request_: Any) -> None:
    """What is no request is refused, with how to make one."""
    with pytest.raises(InvalidData, match="is not a request") as caught:
        await world.manager(vat()).call("vat", request_)

    assert ("request", "vat") == (caught.value.field, caught.value.service)
    assert "Request.get" in caught.value.remedy


@in_both_colours
async def test_an_unknown_service_lists_the_known(world: World) -> None:
    """The remedy for a wrong name is the right ones."""
    with pytest.raises(ConfigurationError, match="'tax'") as caught:
        await world.manager(vat(), Service("fx")).call("tax", GET)
    assert "fx, vat" in caught.value.remedy

    with pytest.raises(ConfigurationError, match="none"):
        await world.manager().call("tax", GET)


@in_both_colours
async def test_services_have_names_of_their_own(world: World) -> None:
    """Two services of one name, and what is no service, are refused at once."""
    with pytest.raises(ConfigurationError, match="'vat'") as caught:
        world.manager(vat(), vat())
    assert "services" == caught.value.path
    with pytest.raises(ConfigurationError, match="str is not a service"):
        world.manager("vat")


@in_both_colours
async def test_an_endpoint_that_can_never_be_granted_is_refused_at_once(world: World) -> None:
    """A cost above a limit's burst is found when the manager is made."""
    service = vat(limits=RateLimitConfig(1), endpoints=Endpoint("bulk", cost=2))

    with pytest.raises(InvalidData, match="cost of 2"):
        world.manager(service)


@in_both_colours
async def test_every_error_is_signed(world: World) -> None:
    """Every error says which call it ended, to whom, after how many attempts, and what to do."""
    world.vendor.otherwise = 503
    service = vat(endpoints=Endpoint("rates", path="/rates"), retry=RetryPolicy(2, 0))

    with pytest.raises(VendorFailed) as caught:
        await world.manager(service).call("vat", GET, request_id="mine")

    error = caught.value
    assert ("vat", "rates", 2, "mine") == (
        error.service,
        error.operation,
        error.attempts,
        error.request_id,
    )
    assert error.remedy in str(error)
    assert "vat.rates" in str(error)


@in_both_colours
async def test_a_nested_calls_error_keeps_its_own_name(world: World) -> None:
    """An error of one service, raised in a function of another, still names the first."""
    world.vendor.otherwise = 503
    manager = world.manager(vat(), Service("outer", retry=None))

    async def work() -> None:
        await manager.call("vat", GET)

    with pytest.raises(VendorFailed) as caught:
        await manager.run("outer", work)

    assert "vat" == caught.value.service


@pytest.mark.parametrize("service", [vat(limits=RateLimitConfig(1)), vat()])
@in_both_colours
async def test_a_functions_own_errors_are_signed(world: World, service: Service) -> None:
    """One of our errors raised by a function gets the name of the call, on the short way too."""

    async def fail() -> None:
        raise VendorFailed("broken", retryable=False)

    with pytest.raises(VendorFailed) as caught:
        await world.manager(service).run("vat", fail)

    assert ("vat", 1, "id-1") == (
        caught.value.service,
        caught.value.attempts,
        caught.value.request_id,
    )


@in_both_colours
async def test_a_refused_function_is_signed(world: World) -> None:
    """What holds a function back says whose it was, on the short way too."""
    manager = world.manager(vat(circuit=CircuitBreakerConfig()))
    await manager.run("vat", world.nothing)
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.run("vat", world.nothing)

    assert ("vat", 0, "id-1") == (
        caught.value.service,
        caught.value.attempts,
        caught.value.request_id,
    )


# --- functions ---


@in_both_colours
async def test_fifty_run_at_once(world: World) -> None:
    """Nothing of ours is held while a function runs: fifty meet inside one service."""
    manager = world.manager(vat(circuit=CircuitBreakerConfig(), limits=RateLimitConfig(1000)))
    await manager.run("vat", world.nothing)
    inside: list[int] = []
    barrier = threading.Barrier(50)
    everybody = world.event()

    async def meet() -> None:
        inside.append(1)
        if world.is_awaited:
            if len(inside) == 50:
                everybody.set()
            await world.wait(everybody)
        else:
            barrier.wait(10)

    async def call() -> None:
        await manager.run("vat", meet)

    assert [None] * 50 == await world.together(*[call] * 50)


@in_both_colours
async def test_a_decorated_function_is_protected(world: World) -> None:
    """A decorated function keeps its name and arguments, and every call goes through `run`."""
    manager = world.manager(vat(retry=RetryPolicy(2, 0)))
    left = [OSError()]

    async def add(one: int, *, two: int) -> int:
        """Add."""
        for error in left:
            left.remove(error)
            raise error
        return one + two

    plain = manager.plain(add)
    protected = manager.manager.protect("vat")(plain)
    value = protected(1, two=2)

    assert 3 == (await value if world.is_awaited else value)
    assert ("add", "Add.") == (protected.__name__, protected.__doc__)


@in_both_colours
async def test_generators_are_not_protected(world: World) -> None:
    """A generator's body would run unprotected, so it is refused by name."""

    def lines() -> Any:
        yield 1

    async def later() -> Any:
        yield 1

    for function in (lines, later):
        with pytest.raises(ConfigurationError, match=function.__name__):
            world.manager(vat()).manager.protect("vat")(function)


@in_both_colours
async def test_a_function_of_the_other_colour_is_refused(world: World) -> None:
    """A plain function on the asynchronous face, or the reverse, is a typed error."""
    manager = world.manager(vat())

    async def later() -> int:
        return 1

    def now() -> int:
        return 1

    wrong = now if world.is_awaited else later
    for service in (vat(), vat(bulkhead=BulkheadConfig(1))):
        manager = world.manager(service)
        for _ in range(2):
            with pytest.raises(ConfigurationError) as caught:
                await manager.call_as_is("run", "vat", wrong)
            assert ("function", "vat") == (caught.value.path, caught.value.service)
    if not world.is_awaited:
        with pytest.raises(ConfigurationError, match="later is asynchronous"):
            manager.manager.protect("vat")(later)


@in_both_colours
async def test_a_store_that_is_full_signs_the_short_way(world: World) -> None:
    """Also where a function takes the short way, an error of the store names the call."""
    world.store.memory = MemoryStorage(world.clock, max_entries=1)
    manager = world.manager(vat(circuit=CircuitBreakerConfig()))
    await manager.run("vat", world.nothing)

    for _ in range(2):
        with pytest.raises(StorageUnavailable) as caught:
            await manager.run("vat", world.nothing, tenant="acme")
        assert ("vat", True) == (caught.value.service, bool(caught.value.request_id))


@in_both_colours
async def test_many_tenants_do_not_pile_up(world: World) -> None:
    """Plans of tenants that call once are forgotten, and made anew."""
    manager = world.manager(vat())
    for number in range(10_050):
        await manager.run("vat", world.nothing, tenant=f"t{number}")

    assert len(manager.manager._flows.plans._made) <= 10_000
    await manager.run("vat", world.nothing, tenant="t0")


class Failing:
    """A function that fails so often, and then gives how often it was called."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def __call__(self) -> int:
        """Fail, or count."""
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return self.calls


@in_both_colours
async def test_a_calm_functions_failure_counts(world: World) -> None:
    """On the short way, too, failures open the circuit, and are counted once each."""
    manager = world.manager(vat(circuit=CircuitBreakerConfig(failures=3)))
    await manager.run("vat", world.nothing)

    for failures in range(1, 3):
        with pytest.raises(OSError):  # noqa: PT011 - the very one
            await manager.run("vat", Failing(OSError()).__call__)
        assert failures == (await manager.circuit_state("vat")).failures
    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await manager.run("vat", Failing(OSError()).__call__)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@in_both_colours
async def test_a_calm_functions_refusal_does_not_count(world: World) -> None:
    """On the short way, too, a refusal is no failure, and an unheard call is not counted."""
    manager = world.manager(vat(circuit=CircuitBreakerConfig(failures=1)))
    await manager.run("vat", world.nothing)

    for error in (InvalidRequest("no"), BulkheadFull("full")):
        with pytest.raises(type(error)):
            await manager.run("vat", Failing(error).__call__)

    state = await manager.circuit_state("vat")
    assert (2, 0) == (state.calls, state.failures)


@in_both_colours
async def test_a_calm_function_is_retried(world: World) -> None:
    """On the short way, too, a function is called again as the policy says, and gives its value."""
    manager = world.manager(vat(retry=RetryPolicy(3, 1.0, jitter=Jitter.NONE)))
    await manager.run("vat", world.nothing)

    assert 3 == await manager.run("vat", Failing(OSError(), OSError()).__call__)
    assert [1.0, 2.0] == world.sleeper.slept
    error = VendorFailed("broken")
    with pytest.raises(VendorFailed) as caught:
        await manager.run("vat", Failing(*[error] * 3).__call__)
    assert 3 == caught.value.attempts


@in_both_colours
async def test_a_function_that_waited_gives_its_value(world: World) -> None:
    """A function that waits for a limit first is called all the same, and retried."""
    manager = world.manager(vat(limits=RateLimitConfig(1), retry=RetryPolicy(2, 0)))
    await manager.run("vat", world.nothing)

    assert 2 == await manager.run("vat", Failing(OSError()).__call__)
    assert 2.0 == world.clock.now


@pytest.mark.parametrize("error, processed", [(OSError(), True), (BulkheadFull("x"), False)])
@in_both_colours
async def test_a_late_function_says_whether_it_may_have_acted(
    world: World,
    error: Exception,
    processed: bool,  # noqa: FBT001 - a case
) -> None:
    """Where a pause overran the deadline, the error says whether something may have happened."""
    manager = world.manager(vat(retry=RetryPolicy(2, 1)))
    await manager.run("vat", world.nothing)

    async def oversleep() -> None:
        world.clock.advance(60)

    world.sleeper.meanwhile.append(oversleep)
    with pytest.raises(DeadlineExceeded, match="deadline of 30 s") as caught:
        await manager.run("vat", Failing(error).__call__)

    assert processed == caught.value.may_have_been_processed
    assert error is caught.value.__cause__


# --- events ---


def told(events: list[Event]) -> list[str]:
    """What was told, in short."""
    return [
        " ".join(
            str(part)
            for part in (
                type(event).__name__,
                getattr(event, "attempt", None),
                getattr(event, "error", None),
                getattr(event, "status", None),
            )
            if part is not None
        )
        for event in events
    ]


@in_both_colours
async def test_what_a_success_tells(world: World) -> None:
    """A success is a start, an attempt and an end, all of one call."""
    manager = world.watched(vat(circuit=CircuitBreakerConfig()))

    await manager.call("vat", GET, tenant="acme")

    assert ["CallStarted", "AttemptFinished 1 200", "CallFinished 200"] == told(world.events)
    finished: Any = world.events[-1]
    assert (False, False, False) == (finished.fallback, finished.cancelled, finished.replayed)
    assert {("vat", "acme", "id-1", START)} == {
        (event.service, event.tenant, event.request_id, event.at) for event in world.events
    }


@in_both_colours
async def test_what_a_retry_tells(world: World) -> None:
    """A retry tells of the failed attempt, of the pause, and of how the circuit changed."""
    world.vendor.answers(world.after(2.0, Response(503, {"Retry-After": "3"})))
    service = vat(
        circuit=CircuitBreakerConfig(failures=1, shadow=True),
        limits=RateLimitConfig(1000),
        retry=RetryPolicy(2, 1.0, jitter=Jitter.NONE),
    )

    await world.watched(service).call("vat", GET)

    assert [
        "CallStarted",
        "AttemptFinished 1 VendorFailed 503",
        "CircuitChanged",
        "VendorPaused",
        "RetryScheduled 1 VendorFailed",
        "RateLimitWaited",
        "AttemptFinished 2 200",
        "CallFinished 200",
    ] == told(world.events)
    finished: Any = world.events[-1]
    assert (2, 5.001, START) == (finished.attempts, finished.duration, finished.started_at)
    paused, rested = world.events[3], world.events[4]
    assert (3.0, 3.0) == (paused.delay, rested.delay)  # type: ignore[attr-defined]
    assert [2.0, 0.0] == [e.duration for e in world.events if "Attempt" in type(e).__name__]  # type: ignore[attr-defined]


@in_both_colours
async def test_what_a_refusal_tells(world: World) -> None:
    """A call that was held back tells by what, and makes no attempt."""
    manager = world.watched(vat(limits=RateLimitConfig(1, per=60), max_limit_wait=0))
    await manager.call("vat", GET)
    world.events.clear()

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [
        "CallStarted",
        "CallRefused RateLimitExceeded",
        "CallFinished RateLimitExceeded",
    ] == told(world.events)
    refused: Any = world.events[1]
    assert 60.0 == refused.retry_after


@in_both_colours
async def test_what_a_replay_tells(world: World) -> None:
    """A repeated key tells of a replay and makes no attempt."""
    manager = world.watched(vat())
    await manager.call("vat", POST, idempotency_key="k")
    world.events.clear()

    await manager.call("vat", POST, idempotency_key="k")

    assert ["CallStarted", "IdempotencyReplayed", "CallFinished"] == told(world.events)
    finished: Any = world.events[-1]
    assert "k" == world.events[1].idempotency_key  # type: ignore[attr-defined]
    assert ("k", True, 0) == (finished.idempotency_key, finished.replayed, finished.attempts)


@in_both_colours
async def test_a_slow_attempt_is_told(world: World) -> None:
    """An attempt that took longer than the circuit calls slow says so."""
    world.vendor.answers(world.after(2.0, 200))
    manager = world.watched(vat(circuit=CircuitBreakerConfig(slow_call=1)))

    await manager.call("vat", GET)

    assert [True] == [e.slow for e in world.events if type(e).__name__ == "AttemptFinished"]  # type: ignore[attr-defined]


@in_both_colours
async def test_a_broken_observer_breaks_nothing(world: World) -> None:
    """An observer that raises breaks no call, and the others are told which and what."""

    def broken(_: Event) -> None:
        raise KeyError("hunter2")

    class Sulking:
        def __call__(self, event: Event) -> None:
            if isinstance(event, ObserverFailed):
                raise TypeError

    seen: list[Event] = []
    service = vat(endpoints=Endpoint("rates", path="/rates"))
    manager = world.manager(service, observers=[broken, Sulking(), seen.append])

    assert 200 == (await manager.call("vat", GET, tenant="acme")).status

    reports = [event for event in seen if isinstance(event, ObserverFailed)]
    assert [("KeyError", True, "vat", "rates", "acme", "id-1", START)] * 3 == [
        (
            report.error,
            "broken" in report.observer,
            report.service,
            report.operation,
            report.tenant,
            report.request_id,
            report.at,
        )
        for report in reports
    ]
    assert 3 == len([event for event in seen if not isinstance(event, ObserverFailed)])


@in_both_colours
async def test_a_log_gets_one_entry_for_each_call(world: World) -> None:
    """The integration log is an observer that keeps how each call ended."""
    entries: list[Any] = []

    class Log:
        def write(self, entry: object, /) -> None:
            entries.append(entry)

    world.vendor.answers(200, 503)
    manager = world.manager(vat(), log=Log())

    await manager.call("vat", GET)
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert ["vat", "vat"] == [entry.service for entry in entries]


@in_both_colours
async def test_the_end_is_told_with_what_is_known(world: World) -> None:
    """An event of the end carries the vendor's code and the last status."""
    world.vendor.answers(Response(422, {"Content-Type": "application/json"}, b'{"code": "E1"}'))
    manager = world.watched(vat())

    with pytest.raises(InvalidRequest):
        await manager.call("vat", GET)

    finished = world.events[-1]
    assert isinstance(finished, CallFinished)
    assert ("E1", 422, 1) == (finished.vendor_code, finished.status, finished.attempts)


@pytest.mark.parametrize("calm", [True, False])
@in_both_colours
async def test_a_function_may_turn_out_wrong_late(world: World, calm: bool) -> None:  # noqa: FBT001 - a case
    """A function that is of the other colour only at its second attempt is refused then."""
    service = vat(limits=RateLimitConfig(1), retry=RetryPolicy(2, 0))
    manager = world.manager(service)
    await manager.run("vat", world.nothing)
    if calm:
        world.clock.advance(9)
    left = [OSError()]

    async def later() -> int:
        return 1

    def act() -> Any:
        for error in left:
            left.remove(error)
            raise error
        return 1 if world.is_awaited else later()

    with pytest.raises(ConfigurationError) as caught:
        await manager.call_as_is("run", "vat", act)

    assert ("function", "vat") == (caught.value.path, caught.value.service)


@in_both_colours
async def test_a_limit_alone_has_nothing_to_give_back(world: World) -> None:
    """A function that is interrupted behind a limit, with no circuit, has used its turn."""
    manager = world.manager(vat(limits=RateLimitConfig(1)))

    async def act() -> None:
        raise Interruption

    await manager.run("vat", world.nothing)
    world.clock.advance(1)
    for _ in range(2):
        with pytest.raises(Interruption):
            await manager.run("vat", act)

    assert [1.0] == world.sleeper.slept


@in_both_colours
async def test_an_answer_may_be_lost_unseen(world: World) -> None:
    """Where nobody observes, an answer that cannot be kept is told to repeats only."""
    manager = world.manager(vat())

    async def act() -> object:
        return threading.Lock()

    await manager.run("vat", act, idempotency_key="k")
    with pytest.raises(InvalidData, match="could not be stored"):
        await manager.run("vat", act, idempotency_key="k")
