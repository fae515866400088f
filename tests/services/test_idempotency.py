"""One effect per key, through the whole pipeline."""

# ruff: noqa: ANN401, SLF001 - values of any kind, and a look inside

from __future__ import annotations

import pickle
import threading
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mooring import (
    AttemptTimeout,
    AuthenticationFailed,
    BulkheadConfig,
    CircuitBreakerConfig,
    ConnectionFailed,
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    PaymentDeclined,
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
from mooring.domain.events import AnswerNotStored
from mooring.domain.idempotency import Claim
from mooring.services.attempts import attempt
from mooring.services.call import Call
from mooring.services.idempotency import Once, act_once
from tests.support.colours import START, Face, Interruption, World, in_both_colours

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE = 35.0
"""The deadline of a call, and five seconds."""
POST = Request.post("/charges", json={"amount": "9.99"})
OTHER = Request.post("/charges", json={"amount": "99.90"})


def bank(**options: object) -> Service:
    """A vendor that knows no keys and is protected by nothing else."""
    given = {"base_url": "https://bank.example", "circuit": None, "retry": None} | options
    return Service("bank", **given)  # type: ignore[arg-type]  # as each test says


def knowing(**options: object) -> Service:
    """A vendor that knows keys."""
    return bank(idempotency_header="Idempotency-Key", **options)


async def charge(manager: Face, request: Request = POST, key: str = "k", **options: Any) -> Any:
    """Charge once for the key."""
    return await manager.call("bank", request, idempotency_key=key, **options)


async def crash(world: World, manager: Face, *, sent: bool) -> None:
    """Let a caller die before or after its request left, with no time to clean up."""
    world.store.is_deaf = True
    if sent:
        world.vendor.answers(Interruption())
        died: type[BaseException] = Interruption
    else:
        # The admission with the sent mark is the second trip.
        world.store.fails_at[len(world.store.commands) + 2] = Interruption()
        died = Interruption
    with pytest.raises(died):
        await charge(manager)
    world.store.is_deaf = False


def over_one_store(world: World, *services: Service, **ports: Any) -> Face:
    """A manager over the store that counts its trips, in every colour."""
    return world.watched(*services, state=world.of_colour(world.store), **ports)


# --- replaying ---


@in_both_colours
async def test_a_repeat_gets_the_same_answer(world: World) -> None:
    """A repeated key is answered with the first answer, which says so, and nothing is sent."""
    world.vendor.answers(Response(201, body=b"charged"))
    manager = world.manager(bank())

    first, second = await charge(manager), await charge(manager)

    assert (False, True) == (first.replayed, second.replayed)
    assert first == second.evolve(replayed=False)
    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_a_functions_answer_is_copied(world: World) -> None:
    """A repeat gets a copy of what the function returned, whatever became of the original."""
    manager = world.manager(bank())
    calls: list[int] = []

    async def act() -> dict[str, list[int]]:
        calls.append(1)
        return {"ids": [7]}

    for _ in range(3):
        answer = await manager.run("bank", act, idempotency_key="k", payload={"a": 1})
        assert {"ids": [7]} == answer
        answer["ids"].append(8)

    assert 1 == len(calls)


@in_both_colours
async def test_an_answer_lives_for_its_time(world: World) -> None:
    """An answer is replayed until its time to live has passed; then the key is a new one."""
    manager = world.manager(bank(idempotency_ttl=100))
    await charge(manager)

    world.clock.advance(99)
    assert (await charge(manager)).replayed
    world.clock.advance(1)
    assert not (await charge(manager, OTHER)).replayed


def decline(_: Request, __: Response) -> PaymentDeclined:
    """A refusal as a vendor's own classifier tells of it."""
    error = PaymentDeclined("the card was declined.", vendor_code="51", status=402)
    error.add_note("try another card")
    return error


@in_both_colours
async def test_a_refusal_is_replayed(world: World) -> None:
    """A final refusal is an answer: a repeat raises the same, marked, and nothing is sent."""
    manager = world.manager(bank(classify=decline))
    refusals = []

    for _ in range(3):
        with pytest.raises(PaymentDeclined) as caught:
            await charge(manager)
        refusals.append(caught.value)

    assert [False, True, True] == [error.replayed for error in refusals]
    assert 1 == len({str(error) for error in refusals})
    assert [("51", 402, 1, "id-1", ["try another card"], None)] * 2 == [
        (e.vendor_code, e.status, e.attempts, e.request_id, e.__notes__, e.response)
        for e in refusals[1:]
    ]
    assert "51" == pickle.loads(pickle.dumps(refusals[2])).vendor_code  # noqa: S301 - our own
    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_what_never_happened_may_be_tried_again(world: World) -> None:
    """After an error that proves that nothing was done, the key is free for the same payload."""
    unsent = ConnectionFailed("refused", may_have_been_processed=False)
    world.vendor.answers(unsent, 401, 429)
    manager = world.manager(bank())

    for kind in (ConnectionFailed, AuthenticationFailed, RateLimitExceeded):
        with pytest.raises(kind):
            await charge(manager)

    assert not (await charge(manager)).replayed
    assert 4 == len(world.vendor.requests)


@in_both_colours
async def test_what_was_held_back_may_be_tried_again(world: World) -> None:
    """A call that our own limit refused leaves its key free."""
    manager = world.manager(bank(limits=RateLimitConfig(1, per=60), max_limit_wait=0))
    await charge(manager, key="first")

    with pytest.raises(RateLimitExceeded):
        await charge(manager)
    world.clock.advance(60)

    assert not (await charge(manager)).replayed


# --- conflicts ---


@pytest.mark.parametrize("state", ["done", "refused", "free", "unknown", "in progress"])
@in_both_colours
async def test_another_payload_is_a_conflict_in_every_state(world: World, state: str) -> None:
    """The same key with another payload is refused, whatever became of the first."""
    gate = world.gate()
    answers: dict[str, Any] = {
        "done": 200,
        "refused": 422,
        "free": ConnectionFailed("refused", may_have_been_processed=False),
        "unknown": AttemptTimeout("late"),
        "in progress": gate.answering(200),
    }
    world.vendor.answers(answers[state])
    manager = world.manager(bank())

    async def first() -> None:
        with suppress(ConnectorError):
            await charge(manager)

    started = world.start(first)
    if state == "in progress":
        await gate.reached()
    else:
        await started.result()
    with pytest.raises(IdempotencyConflict) as caught:
        await charge(manager, OTHER)
    gate.open()
    await started.result()

    assert ("bank", 0) == (caught.value.service, caught.value.attempts)
    assert "another payload" in caught.value.message
    assert 1 == len(world.vendor.requests)


@pytest.mark.parametrize("other", [1.0, True, "1", None, [1], {"1": 1}])
@in_both_colours
async def test_payloads_that_look_alike_differ(world: World, other: object) -> None:
    """1, 1.0, "1" and True are different payloads."""
    manager = world.manager(bank())
    await manager.run("bank", world.nothing, idempotency_key="k", payload=1)

    with pytest.raises(IdempotencyConflict):
        await manager.run("bank", world.nothing, idempotency_key="k", payload=other)


@in_both_colours
async def test_a_request_and_a_function_conflict(world: World) -> None:
    """A key names one effect of a service, be it a request or a function."""
    manager = world.manager(bank())
    await charge(manager)

    with pytest.raises(IdempotencyConflict):
        await manager.run("bank", world.nothing, idempotency_key="k")


@in_both_colours
async def test_tenants_never_meet(world: World) -> None:
    """The same key of two tenants is two keys."""
    manager = world.manager(bank())

    for tenant in (None, "a", "b"):
        assert not (await charge(manager, OTHER if tenant else POST, tenant=tenant)).replayed

    assert 3 == len(world.vendor.requests)


@pytest.mark.parametrize("key", ["", " ", "a\nb", "a\0", "ü", " a", "a ", "x" * 256, 7, b"k"])
@pytest.mark.parametrize("way", ["call", "run", "call_many", "resolve_key"])
@in_both_colours
async def test_a_bad_key_is_refused(world: World, way: str, key: Any) -> None:
    """What is no key is a typed error, never no protection."""
    manager = world.manager(bank())
    ways: dict[str, Callable[[], Any]] = {
        "call": lambda: charge(manager, key=key),
        "run": lambda: manager.run("bank", world.nothing, idempotency_key=key),
        "resolve_key": lambda: manager.resolve_key("bank", key, done=False),
        "call_many": lambda: _only(manager.call_many("bank", [POST], idempotency_keys=[key])),
    }
    with pytest.raises(InvalidData) as caught:
        await ways[way]()

    assert "idempotency_key" == caught.value.field
    assert caught.value.remedy
    assert [] == world.vendor.requests


async def _only(results: Any) -> Any:
    (result,) = await results
    return result.unwrap()


@in_both_colours
async def test_no_key_among_keys_is_refused(world: World) -> None:
    """Where each request is to have a key, None is none."""
    results = await world.manager(bank()).call_many(
        "bank", [POST, POST], idempotency_keys=["a", None]
    )

    assert [True, False] == [result.ok for result in results]
    assert InvalidData is type(results[1].error)


@in_both_colours
async def test_a_payload_that_cannot_be_compared_is_refused(world: World) -> None:
    """A payload without a fingerprint is refused before the function is called."""
    manager = world.watched(bank())

    with pytest.raises(InvalidData) as caught:
        await manager.run("bank", world.nothing, idempotency_key="k", payload={object()})

    assert ("payload", "bank") == (caught.value.field, caught.value.service)
    assert ["CallStarted", "CallFinished"] == world.told()


# --- in progress ---


@in_both_colours
async def test_a_repeat_waits_for_the_answer(world: World) -> None:
    """While the first caller is still acting, a repeat waits and gets its answer."""
    gate = world.gate()
    world.vendor.answers(gate.answering(Response(201, body=b"charged")))
    manager = world.manager(bank())

    async def first() -> Response:
        response: Response = await charge(manager)
        return response

    started = world.start(first)
    await gate.reached()

    async def finish() -> None:
        gate.open()
        await started.over()

    for _ in range(3):
        world.sleeper.meanwhile.append(world.nothing)
    world.sleeper.meanwhile.append(finish)
    second = await charge(manager)

    assert (True, b"charged") == (second.replayed, second.body)
    assert not (await started.result()).replayed
    assert 1 == len(world.vendor.requests)
    # Each look is later than the one before, and none much later.
    assert [0.00375, 0.0075, 0.015, 0.03] == world.sleeper.slept[:4]
    assert max(world.sleeper.slept) <= 0.25


@in_both_colours
async def test_a_repeat_waits_no_longer_than_its_deadline(world: World) -> None:
    """A repeat whose time is over is told until when the other caller may take."""
    gate = world.gate()
    world.vendor.answers(gate.answering(200))
    manager = world.manager(bank())

    async def first() -> None:
        await charge(manager)

    started = world.start(first)
    await gate.reached()
    with pytest.raises(IdempotencyInProgress) as caught:
        await charge(manager, timeout=2)
    gate.open()
    await started.result()

    assert "another caller is working" in caught.value.message
    assert world.clock.now <= 2
    assert START + timedelta(seconds=LEASE) == caught.value.retry_at
    assert caught.value.retryable


@in_both_colours
async def test_many_repeats_at_once_act_once(world: World) -> None:
    """However many callers use one key at the same time, there is one effect."""
    manager = world.manager(bank(limits=RateLimitConfig(1000)))
    calls: list[int] = []

    async def act() -> int:
        calls.append(1)
        await world.breathe()
        return 7

    async def call() -> int:
        value: int = await manager.run("bank", act, idempotency_key="k")
        return value

    assert [7] * 16 == await world.together(*[call] * 16)
    assert 1 == len(calls)


# --- crashes ---


@in_both_colours
async def test_a_crash_before_sending_frees_the_key_with_its_lease(world: World) -> None:
    """A caller that died before anything left is followed by another after its lease."""
    manager = over_one_store(world, bank())
    await crash(world, manager, sent=False)

    world.clock.advance(LEASE - 3)
    with pytest.raises(IdempotencyInProgress):
        await charge(manager, timeout=2)
    world.clock.advance(2)

    assert 200 == (await charge(manager)).status
    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_a_crash_after_sending_is_unknown(world: World) -> None:
    """What died after it left is never sent again to a vendor that knows no keys."""
    manager = over_one_store(world, bank())
    await crash(world, manager, sent=True)
    world.clock.advance(LEASE)

    with pytest.raises(OutcomeUnknown):
        await charge(manager)
    with pytest.raises(OutcomeUnknown) as caught:
        await charge(manager)

    assert ("k", False) == (caught.value.idempotency_key, caught.value.retryable)
    assert "'k' at bank" in (caught.value.lookup or "")
    assert "then settle the key" in caught.value.remedy
    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_a_crash_is_repaired_by_a_vendor_that_knows_keys(world: World) -> None:
    """What died after it left is asked again under the same key, with the same bytes."""
    manager = over_one_store(world, knowing())
    await crash(world, manager, sent=True)
    world.clock.advance(LEASE)

    assert 200 == (await charge(manager)).status
    assert ["k", "k"] == [sent.header("idempotency-key") for sent in world.vendor.requests]
    assert 1 == len({sent.request for sent in world.vendor.requests})
    assert (await charge(manager)).replayed


@in_both_colours
async def test_the_vendors_memory_is_not_outstayed(world: World) -> None:
    """A vendor that may have forgotten the key is not asked again."""
    manager = over_one_store(world, knowing(idempotency_memory=100))
    await crash(world, manager, sent=True)
    world.clock.advance(100 - LEASE + 1)

    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_a_late_holder_gets_the_stored_answer(world: World) -> None:
    """Who took longer than its lease cannot overwrite the answer of who took over."""
    gate = world.gate()
    world.vendor.answers(gate.answering(Response(200, body=b"late")), Response(200, body=b"kept"))
    manager = over_one_store(world, knowing())

    async def late() -> Response:
        response: Response = await charge(manager)
        return response

    started = world.start(late)
    await gate.reached()
    world.clock.advance(LEASE)
    assert b"kept" == (await charge(manager)).body
    gate.open()

    response = await started.result()
    assert (True, b"kept") == (response.replayed, response.body)


@in_both_colours
async def test_a_late_holder_makes_way_for_one_under_way(world: World) -> None:
    """Who took longer than its lease, while another is acting, gives no answer of its own."""
    gates = [world.gate(), world.gate()]
    world.vendor.answers(*(gate.answering(200) for gate in gates))
    manager = over_one_store(world, knowing())

    async def call() -> Any:
        return await charge(manager)

    started = []
    for gate in gates:
        started.append(world.start(call))
        await gate.reached()
        world.clock.advance(LEASE)
    gates[0].open()

    with pytest.raises(IdempotencyInProgress, match="longer than its claim"):
        await started[0].result()
    gates[1].open()
    assert 200 == (await started[1].result()).status


@in_both_colours
async def test_a_late_refusal_gives_way_to_the_stored_answer(world: World) -> None:
    """A refusal that comes after another holder's answer is not the key's answer."""
    gate = world.gate()
    world.vendor.answers(gate.answering(422), Response(200, body=b"kept"))
    manager = over_one_store(world, knowing())

    async def late() -> Any:
        return await charge(manager)

    started = world.start(late)
    await gate.reached()
    world.clock.advance(LEASE)
    await charge(manager)
    gate.open()

    assert b"kept" == (await started.result()).body


@in_both_colours
async def test_a_holder_that_nobody_replaced_completes(world: World) -> None:
    """Who took longer than its lease, and was asked after in vain, still leaves its answer."""
    gate = world.gate()
    world.vendor.answers(gate.answering(Response(200, body=b"late")))
    manager = over_one_store(world, bank())

    async def late() -> Any:
        return await charge(manager)

    started = world.start(late)
    await gate.reached()
    world.clock.advance(LEASE)
    with pytest.raises(OutcomeUnknown):
        await charge(manager)
    gate.open()

    assert b"late" == (await started.result()).body
    assert b"late" == (await charge(manager)).body


@in_both_colours
async def test_a_claim_that_lapsed_sends_nothing(world: World) -> None:
    """Who finds its claim lapsed before it sends leaves the key to others."""
    gate = world.gate()
    world.vendor.answers(gate.answering(200))
    manager = over_one_store(world, bank(bulkhead=BulkheadConfig(1, max_waiting=1)))

    async def first() -> None:
        await charge(manager, key="first")

    async def late() -> None:
        with pytest.raises(IdempotencyInProgress, match="claim ended"):
            await charge(manager)

    started = [world.start(first)]
    await gate.reached()
    started.append(world.start(late))
    await world.wait(world.locks.arrived)
    world.clock.advance(LEASE)
    gate.open()
    for one in started:
        await one.result()

    assert 1 == len(world.vendor.requests)
    assert not (await charge(manager)).replayed


# --- unknown ---


@pytest.mark.parametrize("answer", [503, AttemptTimeout("late"), ConnectionFailed("cut off")])
@in_both_colours
async def test_a_lost_answer_is_unknown(world: World, answer: Any) -> None:
    """What was sent, and whose answer was lost, is neither done nor free."""
    world.vendor.answers(answer)
    manager = world.manager(bank())

    with pytest.raises(OutcomeUnknown) as caught:
        await charge(manager)
    assert type(caught.value.__cause__) in {VendorFailed, AttemptTimeout, ConnectionFailed}
    assert 1 == caught.value.attempts

    with pytest.raises(OutcomeUnknown) as caught:
        await charge(manager)
    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_a_vendor_that_knows_keys_is_asked_again(world: World) -> None:
    """Where the vendor knows keys the error is the vendor's, and a repeat asks again."""
    world.vendor.answers(503)
    manager = world.manager(knowing())

    with pytest.raises(VendorFailed):
        await charge(manager)

    assert not (await charge(manager)).replayed
    assert 2 == len(world.vendor.requests)


@in_both_colours
async def test_a_functions_error_leaves_the_key_unknown(world: World) -> None:
    """An error that is not ours is raised as it is, and proves nothing about the effect."""
    manager = world.manager(bank())
    calls: list[int] = []

    async def act() -> None:
        calls.append(1)
        raise OSError("cut off")

    with pytest.raises(OSError, match="cut off"):
        await manager.run("bank", act, idempotency_key="k")
    with pytest.raises(OutcomeUnknown):
        await manager.run("bank", act, idempotency_key="k")

    assert 1 == len(calls)


@in_both_colours
async def test_an_error_after_the_answer_frees_nothing(world: World) -> None:
    """A transform that fails on the vendor's yes has not undone what the vendor did."""
    broken = [InvalidData("no JSON", field="body")]

    def parse(response: Response) -> Response:
        for error in broken:
            raise error
        return response

    manager = world.manager(bank(response_transforms=parse))

    with pytest.raises(OutcomeUnknown) as caught:
        await charge(manager)
    assert InvalidData is type(caught.value.__cause__)
    broken.clear()
    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_a_strangers_error_after_the_answer_frees_nothing(world: World) -> None:
    """The same holds for whatever else a transform may raise."""

    def parse(_: Response) -> Response:
        raise KeyError("id")

    manager = world.manager(bank(response_transforms=parse))

    with pytest.raises(KeyError):
        await charge(manager)
    with pytest.raises(OutcomeUnknown):
        await charge(manager)


@in_both_colours
async def test_a_conflict_after_a_lost_answer_is_not_the_answer(world: World) -> None:
    """A 409 to a repeat may mean that the vendor is still at work on the first attempt."""
    world.vendor.answers(AttemptTimeout("late"), 409)
    manager = world.manager(knowing(retry=RetryPolicy(2, 0)))

    with pytest.raises(VendorRejected):
        await charge(manager)

    assert 200 == (await charge(manager)).status


@in_both_colours
async def test_a_refusal_of_a_repeat_is_final_where_keys_are_known(world: World) -> None:
    """A vendor that knows keys gives a repeat the answer of the first attempt."""
    world.vendor.answers(AttemptTimeout("late"), 422)
    manager = world.manager(knowing(retry=RetryPolicy(2, 0)))

    for _ in range(2):
        with pytest.raises(InvalidRequest):
            await charge(manager)

    assert 2 == len(world.vendor.requests)


@in_both_colours
async def test_a_refusal_of_a_repeat_is_not_final_elsewhere(world: World) -> None:
    """A PUT that is refused after its first attempt was lost may have happened all the same."""
    world.vendor.answers(AttemptTimeout("late"), 412)
    manager = world.manager(bank(retry=RetryPolicy(2, 0)))
    put = Request.put("/orders/7", json={"n": 1})

    with pytest.raises(VendorRejected):
        await charge(manager, put)

    assert 200 == (await charge(manager, put)).status
    assert 3 == len(world.vendor.requests)


@in_both_colours
async def test_a_first_attempts_refusal_is_final(world: World) -> None:
    """A conflict in answer to the only attempt is the vendor's answer."""
    world.vendor.answers(409)
    manager = world.manager(bank())

    for _ in range(2):
        with pytest.raises(VendorRejected):
            await charge(manager)

    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_asking_again_keeps_what_may_have_happened(world: World) -> None:
    """Who asks again and provably reaches nobody leaves the key unknown, not free."""
    manager = over_one_store(world, knowing())
    await crash(world, manager, sent=True)
    world.clock.advance(LEASE)
    world.vendor.answers(ConnectionFailed("refused", may_have_been_processed=False))

    with pytest.raises(ConnectionFailed):
        await charge(manager)
    with pytest.raises(IdempotencyConflict):
        await charge(manager, OTHER)
    forgetful = over_one_store(world, bank())
    with pytest.raises(OutcomeUnknown):
        await charge(forgetful)


# --- settling by hand ---


@in_both_colours
async def test_a_key_is_settled_with_an_answer(world: World) -> None:
    """What was found at the vendor is what repeats get."""
    world.vendor.answers(AttemptTimeout("late"))
    manager = world.manager(bank())
    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    found = Response(201, body=b"found")
    assert await manager.resolve_key("bank", "k", done=True, answer=found)
    assert not await manager.resolve_key("bank", "k", done=True, answer=found)

    assert found.evolve(replayed=True) == await charge(manager)


@in_both_colours
async def test_a_key_is_settled_as_never_done(world: World) -> None:
    """What was not found at the vendor may be done under the same key."""
    world.vendor.answers(AttemptTimeout("late"))
    manager = world.manager(bank())
    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    assert await manager.resolve_key("bank", "k", done=False)

    assert not (await charge(manager)).replayed
    assert 2 == len(world.vendor.requests)


@in_both_colours
async def test_a_functions_key_is_settled_with_any_answer(world: World) -> None:
    """The answer of a function may be anything, nothing included."""
    manager = world.manager(bank())

    async def act() -> None:
        raise OSError

    for number, answer in enumerate((None, {"id": 7})):
        key = f"k{number}"
        with pytest.raises(OSError):  # noqa: PT011 - the very one
            await manager.run("bank", act, idempotency_key=key)
        assert await manager.resolve_key("bank", key, done=True, answer=answer)
        assert answer == await manager.run("bank", act, idempotency_key=key)


@in_both_colours
async def test_one_tenants_key_is_settled(world: World) -> None:
    """A key is settled for the tenant that is named, and for no other."""
    world.vendor.answers(AttemptTimeout("late"), AttemptTimeout("late"))
    manager = world.manager(bank())
    for tenant in (None, "acme"):
        with pytest.raises(OutcomeUnknown):
            await charge(manager, tenant=tenant)

    assert await manager.resolve_key("bank", "k", done=False, tenant="acme")

    assert 200 == (await charge(manager, tenant="acme")).status
    with pytest.raises(OutcomeUnknown):
        await charge(manager)


@in_both_colours
async def test_a_key_that_is_freed_keeps_no_answer(world: World) -> None:
    """An answer that is given for what was never done is not even copied."""
    world.vendor.answers(AttemptTimeout("late"))
    manager = world.manager(bank())
    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    assert await manager.resolve_key("bank", "k", done=False, answer=threading.Lock())


@in_both_colours
async def test_a_requests_key_wants_a_response(world: World) -> None:
    """A key that was settled with something else says so instead of giving it."""
    world.vendor.answers(AttemptTimeout("late"))
    manager = world.manager(bank())
    with pytest.raises(OutcomeUnknown):
        await charge(manager)
    await manager.resolve_key("bank", "k", done=True, answer={"id": 7})

    with pytest.raises(InvalidData, match="dict"):
        await charge(manager)


@in_both_colours
async def test_only_an_unknown_key_is_settled(world: World) -> None:
    """A key that is new or has its answer is left as it is; an unknown service is named."""
    manager = world.manager(bank())
    assert not await manager.resolve_key("bank", "k", done=False)
    await charge(manager)
    assert not await manager.resolve_key("bank", "k", done=False)
    assert (await charge(manager)).replayed

    with pytest.raises(Exception, match="No service") as caught:
        await manager.resolve_key("banc", "k", done=False)
    assert "banc" == caught.value.service  # type: ignore[attr-defined]


# --- answers that cannot be kept ---


@in_both_colours
async def test_an_answer_that_cannot_be_copied_is_given_once(world: World) -> None:
    """The first caller gets it; a repeat is told that the effect happened."""
    manager = world.watched(bank())
    lock = threading.Lock()

    async def act() -> object:
        return lock

    assert lock is await manager.run("bank", act, idempotency_key="k")
    with pytest.raises(InvalidData, match="could not be stored") as caught:
        await manager.run("bank", act, idempotency_key="k")

    assert "do not repeat" in caught.value.remedy
    assert ("k", "TypeError") == next(
        (event.idempotency_key, event.error)  # type: ignore[attr-defined]
        for event in world.events
        if type(event).__name__ == "AnswerNotStored"
    )


class Fickle:
    """Can be copied once."""

    def __init__(self, *copies: Exception | None) -> None:
        self._copies = list(copies)

    def __deepcopy__(self, _: object) -> Fickle:
        error = self._copies.pop(0)
        if error is not None:
            raise error
        return self


@pytest.mark.parametrize("error", [KeyError("hunter2"), InvalidData("unreadable")])
@in_both_colours
async def test_an_answer_that_cannot_be_given_back_is_told_of(
    world: World, error: Exception
) -> None:
    """A stored answer that cannot be read is a typed error, which does not quote it."""
    answer = Fickle(None, error)
    manager = world.manager(bank())

    async def act() -> object:
        return answer

    await manager.run("bank", act, idempotency_key="k")
    with pytest.raises(InvalidData) as caught:
        await manager.run("bank", act, idempotency_key="k")

    assert "hunter2" not in repr(caught.value)
    assert ("KeyError" if isinstance(error, KeyError) else "unreadable") in caught.value.message


# --- a store that fails ---


@in_both_colours
async def test_no_claim_means_no_call(world: World) -> None:
    """Where the key cannot be claimed nothing is sent, and the claim is withdrawn."""
    manager = over_one_store(world, bank())
    world.store.fails_at[1] = StorageUnavailable("away")

    with pytest.raises(StorageUnavailable) as caught:
        await charge(manager)

    assert ("bank", []) == (caught.value.service, world.vendor.requests)
    assert not (await charge(manager)).replayed


@in_both_colours
async def test_no_mark_means_no_call(world: World) -> None:
    """Where the sent mark cannot be written nothing is sent, and the key is free."""
    manager = over_one_store(world, bank())
    world.store.fails_at[2] = StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        await charge(manager)

    assert [] == world.vendor.requests
    assert not (await charge(manager)).replayed


@in_both_colours
async def test_an_answer_outlives_its_store(world: World) -> None:
    """Where the answer cannot be stored the caller gets it all the same, and it is told of."""
    manager = over_one_store(world, bank())
    world.store.is_deaf = True
    world.store.fails_at[3] = StorageUnavailable("away")

    assert 200 == (await charge(manager)).status

    assert ["StorageUnavailable"] == [
        event.error for event in world.events if isinstance(event, AnswerNotStored)
    ]
    world.clock.advance(LEASE)
    with pytest.raises(OutcomeUnknown):
        await charge(manager)
    assert 1 == len(world.vendor.requests)


@in_both_colours
async def test_an_answer_is_sent_after(world: World) -> None:
    """An answer whose storing failed on the way is handed over once more."""
    manager = over_one_store(world, bank())
    world.store.fails_at[3] = StorageUnavailable("away")

    await charge(manager)

    assert (await charge(manager)).replayed


@in_both_colours
async def test_a_refusal_outlives_its_store(world: World) -> None:
    """Where a refusal cannot be stored it is raised all the same."""
    world.vendor.otherwise = 422
    manager = over_one_store(world, bank())
    world.store.fails_at[3] = StorageUnavailable("away")

    with pytest.raises(InvalidRequest):
        await charge(manager)


@in_both_colours
async def test_an_error_outlives_its_store(world: World) -> None:
    """Where a key cannot be freed the error is still the call's own."""
    world.vendor.otherwise = 401
    manager = over_one_store(world, bank())
    world.store.fails_at[3] = StorageUnavailable("away")

    with pytest.raises(AuthenticationFailed):
        await charge(manager)


@in_both_colours
async def test_a_strangers_error_of_a_store_is_made_ours(world: World) -> None:
    """What a store should not raise becomes StorageUnavailable, and is not quoted."""
    manager = over_one_store(world, bank())
    world.store.fails_at[1] = ValueError("redis://:hunter2@host")

    with pytest.raises(StorageUnavailable, match="ValueError") as caught:
        await charge(manager)

    assert "hunter2" not in repr(caught.value)
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


@in_both_colours
async def test_a_store_that_cannot_clean_up_breaks_nothing(world: World) -> None:
    """A `post` that raises, which it must not, hides no error of the call."""
    manager = over_one_store(world, bank())
    world.store.post_fails = ValueError("closed")
    world.store.fails_at[1] = StorageUnavailable("away")

    with pytest.raises(StorageUnavailable, match="away"):
        await charge(manager)


# --- marks ---


@pytest.mark.parametrize("circuit", [None, CircuitBreakerConfig()])
@in_both_colours
async def test_the_mark_needs_no_other_protection(
    world: World, circuit: CircuitBreakerConfig | None
) -> None:
    """A claim is marked as sent before the request leaves, also where nothing else is asked."""
    manager = over_one_store(world, bank(circuit=circuit))
    stages: list[int] = []

    async def look(_: object) -> int:
        (state,) = [state for key, state in world.store.memory._cells.items() if ":key:" in key]
        stages.append(state[2])
        return 200

    world.vendor.answers(look)
    await charge(manager)

    assert [1] == stages
    assert 3 == len(world.store.commands)


@in_both_colours
async def test_a_key_is_claimed_for_the_calls_deadline(world: World) -> None:
    """The lease is what is left of the call's deadline, and five seconds."""
    manager = over_one_store(world, bank())

    await charge(manager, timeout=12)

    claims = [command for command in world.store.commands if isinstance(command, Claim)]
    assert [17_000_000] == [claim.lease for claim in claims]


# --- what proves that nothing was done ---


async def under_a_key(manager: Face, *errors: Exception, **options: Any) -> None:
    """Fail under a key of which a KeyError proves that nothing was done."""
    core, plans = manager.manager._flows.core, manager.manager._flows.plans
    plan = plans.find("bank", None, None)
    call = Call(plan, core.nanoseconds(), plan.span)
    left = list(errors)
    given: dict[str, Any] = {"remembered": 0.0} | options
    single = Once(
        key="k",
        at=plan.claim_key("k"),
        fingerprint=b"p",
        target="bank",
        ttl=60.0,
        encode=str,
        decode=str,
        lookup="it",
        nothing_done=(KeyError,),
        **given,
    )

    async def step(call: Call) -> tuple[None, Exception]:
        call.leave()
        return None, left.pop(0)

    _, failed = await act_once(core, call, single, lambda: attempt(core, call, step))
    raise failed or AssertionError


@in_both_colours
async def test_some_errors_prove_that_nothing_was_done(world: World) -> None:
    """An error that is known to prove it frees the key; any other leaves it unknown."""
    manager = over_one_store(world, bank())

    for _ in range(2):
        with pytest.raises(KeyError):
            await under_a_key(manager, KeyError())
    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await under_a_key(manager, OSError())
    with pytest.raises(OutcomeUnknown):
        await under_a_key(manager, KeyError())


@in_both_colours
async def test_nothing_proves_what_an_earlier_attempt_did(world: World) -> None:
    """An error of a repeat proves nothing of the attempt before it."""
    manager = over_one_store(world, bank(retry=RetryPolicy(2, 0)))

    with pytest.raises(KeyError):
        await under_a_key(manager, OSError(), KeyError())
    with pytest.raises(OutcomeUnknown):
        await under_a_key(manager, KeyError())


@in_both_colours
async def test_nothing_proves_what_an_earlier_holder_did(world: World) -> None:
    """Nor does an error of who asks again prove anything of the holder before."""
    manager = over_one_store(world, bank())

    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await under_a_key(manager, OSError())
    with pytest.raises(KeyError):
        await under_a_key(manager, KeyError(), remembered=600.0)
    with pytest.raises(OutcomeUnknown):
        await under_a_key(manager, KeyError())
