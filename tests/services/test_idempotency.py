"""A call with an idempotency key has only one effect, whatever its repeats and failures."""

from __future__ import annotations

import pickle
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    PaymentDeclined,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
)
from tests.services.one_effect import (
    LEASE,
    OTHER,
    POST,
    bank,
    charge,
    over_one_store,
)
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START

if TYPE_CHECKING:
    from collections.abc import Callable

# --- replaying ---


@sync_and_async
async def test_repeat_gets_the_stored_response(harness: Harness) -> None:
    """A repeated key gets the first response, marked as replayed, without another request."""
    harness.vendor.answers(Response(201, body=b"charged"))
    manager = harness.manager(bank())

    first, second = await charge(manager), await charge(manager)

    assert (False, True) == (first.replayed, second.replayed)
    assert first == second.evolve(replayed=False)
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_function_result_is_copied(harness: Harness) -> None:
    """Each repeat gets its own copy of the function's result, so changes to it stay local."""
    manager = harness.manager(bank())
    calls: list[int] = []

    async def perform_effect() -> dict[str, list[int]]:
        calls.append(1)
        return {"ids": [7]}

    for _ in range(3):
        answer = await manager.run("bank", perform_effect, idempotency_key="k", payload={"a": 1})
        assert {"ids": [7]} == answer
        answer["ids"].append(8)

    assert 1 == len(calls)


@sync_and_async
async def test_stored_response_expires(harness: Harness) -> None:
    """An idempotency key's response is replayed for its time to live; then the key is new again."""
    manager = harness.manager(bank(idempotency_ttl=100))
    await charge(manager)

    harness.clock.advance(99)
    assert (await charge(manager)).replayed
    harness.clock.advance(1)
    assert not (await charge(manager, OTHER)).replayed


def declined_error(_: Request, __: Response) -> PaymentDeclined:
    """Return an error, as a vendor's own classifier does for a declined payment."""
    error = PaymentDeclined("the card was declined.", vendor_code="51", status=402)
    error.add_note("try another card")
    return error


@sync_and_async
async def test_refusal_is_replayed(harness: Harness) -> None:
    """A repeated key raises the same final error, marked as replayed, and sends nothing."""
    manager = harness.manager(bank(classify=declined_error))
    refusals = []

    for _ in range(3):
        with pytest.raises(PaymentDeclined) as excinfo:
            await charge(manager)
        refusals.append(excinfo.value)

    assert [False, True, True] == [error.replayed for error in refusals]
    assert 1 == len({str(error) for error in refusals})
    assert [("51", 402, 1, "id-1", ["try another card"], None)] * 2 == [
        (e.vendor_code, e.status, e.attempts, e.request_id, e.__notes__, e.response)
        for e in refusals[1:]
    ]
    assert "51" == pickle.loads(pickle.dumps(refusals[2])).vendor_code  # noqa: S301 - our own
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_key_is_free_after_a_harmless_error(harness: Harness) -> None:
    """After an error that proves that nothing was done, the idempotency key can be used again."""
    unsent_error = ConnectionFailed("refused", may_have_been_processed=False)
    harness.vendor.answers(unsent_error, 401, 429)
    manager = harness.manager(bank())

    for kind in (ConnectionFailed, AuthenticationFailed, RateLimitExceeded):
        with pytest.raises(kind):
            await charge(manager)

    assert not (await charge(manager)).replayed
    assert 4 == len(harness.vendor.requests)


@sync_and_async
async def test_key_is_free_after_our_own_refusal(harness: Harness) -> None:
    """If the service's own rate limit refuses a call, its idempotency key stays free."""
    manager = harness.manager(bank(limits=RateLimitConfig(1, per=60), max_limit_wait=0))
    await charge(manager, key="first")

    with pytest.raises(RateLimitExceeded):
        await charge(manager)
    harness.clock.advance(60)

    assert not (await charge(manager)).replayed


# --- conflicts ---


@pytest.mark.parametrize("state", ["done", "refused", "free", "unknown", "in progress"])
@sync_and_async
async def test_another_payload_is_a_conflict_in_every_state(harness: Harness, state: str) -> None:
    """An idempotency key with another payload is refused, whatever the first call's outcome."""
    gate = harness.gate()
    answers: dict[str, Any] = {
        "done": 200,
        "refused": 422,
        "free": ConnectionFailed("refused", may_have_been_processed=False),
        "unknown": AttemptTimeout("late"),
        "in progress": gate.answering(200),
    }
    harness.vendor.answers(answers[state])
    manager = harness.manager(bank())

    async def make_first_charge() -> None:
        with suppress(ConnectorError):
            await charge(manager)

    running_charge = harness.start(make_first_charge)
    if state == "in progress":
        await gate.reached()
    else:
        await running_charge.result()
    with pytest.raises(IdempotencyConflict) as excinfo:
        await charge(manager, OTHER)
    gate.open()
    await running_charge.result()

    assert ("bank", 0) == (excinfo.value.service, excinfo.value.attempts)
    assert "a different payload" in excinfo.value.message
    assert 1 == len(harness.vendor.requests)


@pytest.mark.parametrize("other", [1.0, True, "1", None, [1], {"1": 1}])
@sync_and_async
async def test_payloads_that_look_alike_differ(harness: Harness, other: object) -> None:
    """The payloads 1, 1.0, "1" and True count as different."""
    manager = harness.manager(bank())
    await manager.run("bank", harness.do_nothing, idempotency_key="k", payload=1)

    with pytest.raises(IdempotencyConflict):
        await manager.run("bank", harness.do_nothing, idempotency_key="k", payload=other)


@sync_and_async
async def test_requests_and_functions_share_keys(harness: Harness) -> None:
    """A request and a function of one service cannot share an idempotency key."""
    manager = harness.manager(bank())
    await charge(manager)

    with pytest.raises(IdempotencyConflict):
        await manager.run("bank", harness.do_nothing, idempotency_key="k")


@sync_and_async
async def test_tenants_have_separate_keys(harness: Harness) -> None:
    """Two tenants can use the same idempotency key for separate calls."""
    manager = harness.manager(bank())

    for tenant in (None, "a", "b"):
        assert not (await charge(manager, OTHER if tenant else POST, tenant=tenant)).replayed

    assert 3 == len(harness.vendor.requests)


@pytest.mark.parametrize("key", ["", " ", "a\nb", "a\0", "ü", " a", "a ", "x" * 256, 7, b"k"])
@pytest.mark.parametrize("method", ["call", "run", "call_many", "resolve_key"])
@sync_and_async
async def test_invalid_keys_are_refused(harness: Harness, method: str, key: Any) -> None:
    """An invalid idempotency key raises an error, and the call is not made."""
    manager = harness.manager(bank())
    ways: dict[str, Callable[[], Any]] = {
        "call": lambda: charge(manager, key=key),
        "run": lambda: manager.run("bank", harness.do_nothing, idempotency_key=key),
        "resolve_key": lambda: manager.resolve_key("bank", key, done=False),
        "call_many": lambda: _only_result(
            manager.call_many("bank", [POST], idempotency_keys=[key])
        ),
    }
    with pytest.raises(InvalidData) as excinfo:
        await ways[method]()

    assert "idempotency_key" == excinfo.value.field
    assert excinfo.value.remedy
    assert [] == harness.vendor.requests


async def _only_result(results: Any) -> Any:
    (result,) = await results
    return result.unwrap()


@sync_and_async
async def test_batch_refuses_none_as_one_of_its_keys(harness: Harness) -> None:
    """A batch refuses None as one of its idempotency keys."""
    results = await harness.manager(bank()).call_many(
        "bank", [POST, POST], idempotency_keys=["a", None]
    )

    assert [True, False] == [result.ok for result in results]
    assert InvalidData is type(results[1].error)


@sync_and_async
async def test_payload_without_a_fingerprint_is_refused(harness: Harness) -> None:
    """A payload that cannot be fingerprinted is refused before the function is called."""
    manager = harness.watched(bank())

    with pytest.raises(InvalidData) as excinfo:
        await manager.run("bank", harness.do_nothing, idempotency_key="k", payload={object()})

    assert ("payload", "bank") == (excinfo.value.field, excinfo.value.service)
    assert ["CallStarted", "CallFinished"] == harness.event_names()


# --- in progress ---


@sync_and_async
async def test_repeat_waits_for_the_first_caller(harness: Harness) -> None:
    """A repeat waits while the first call is running, and then gets that call's response."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(Response(201, body=b"charged")))
    manager = harness.manager(bank())

    async def make_first_charge() -> Response:
        response: Response = await charge(manager)
        return response

    running_charge = harness.start(make_first_charge)
    await gate.reached()

    async def finish() -> None:
        gate.open()
        await running_charge.wait_until_over()

    for _ in range(3):
        harness.sleeper.meanwhile.append(harness.do_nothing)
    harness.sleeper.meanwhile.append(finish)
    second = await charge(manager)

    assert (True, b"charged") == (second.replayed, second.body)
    assert not (await running_charge.result()).replayed
    assert 1 == len(harness.vendor.requests)
    # Each look-up is later than the one before, but not much later.
    assert [0.00375, 0.0075, 0.015, 0.03] == harness.sleeper.slept[:4]
    assert max(harness.sleeper.slept) <= 0.25


@sync_and_async
async def test_waiting_repeat_ends_at_its_deadline(harness: Harness) -> None:
    """If a repeat reaches its deadline, the error says how long the first call may still run.

    It does not wait for a next look at the store that would come at its deadline.
    """
    gate = harness.gate()
    harness.vendor.answers(gate.answering(200))
    manager = harness.manager(bank())

    async def make_first_charge() -> None:
        await charge(manager)

    running_charge = harness.start(make_first_charge)
    await gate.reached()
    with pytest.raises(IdempotencyInProgress):
        await charge(manager, timeout=0.00375)
    assert [] == harness.sleeper.slept
    with pytest.raises(IdempotencyInProgress) as excinfo:
        await charge(manager, timeout=2)
    gate.open()
    await running_charge.result()

    assert "Another call is using this idempotency key" in excinfo.value.message
    assert harness.clock.now <= 2
    assert START + timedelta(seconds=LEASE) == excinfo.value.retry_at
    assert excinfo.value.retryable


@pytest.mark.parametrize("overrun, calls", [(-0.000000001, 1), (0, 0), (3, 0)])
@sync_and_async
async def test_repeat_past_its_deadline_does_not_run(
    harness: Harness, overrun: float, calls: int
) -> None:
    """If a repeat gets its key after its own deadline, it sends nothing and frees the key."""
    gate = harness.gate()
    manager = over_one_store(harness, bank())
    effects: list[int] = []

    async def raise_refusal() -> None:
        await gate.wait()
        raise ConnectionFailed("refused", may_have_been_processed=False)

    async def run_first() -> None:
        with pytest.raises(ConnectionFailed):
            await manager.run("bank", raise_refusal, idempotency_key="k")

    async def perform_effect() -> None:
        effects.append(1)

    async def pass_deadline() -> None:
        gate.open()
        await running_call.result()
        harness.clock.advance(2 + overrun - 0.00375)

    running_call = harness.start(run_first)
    await gate.reached()
    harness.sleeper.meanwhile.append(pass_deadline)
    with nullcontext() if calls else pytest.raises(DeadlineExceeded):
        await manager.run("bank", perform_effect, idempotency_key="k", timeout=2)

    assert calls == len(effects)
    await manager.run("bank", perform_effect, idempotency_key="k")
    assert 1 == len(effects)


@sync_and_async
async def test_concurrent_repeats_act_once(harness: Harness) -> None:
    """Many concurrent calls with one idempotency key have one effect."""
    # Waiting threads advance the virtual time while the first thread is still at work.
    manager = harness.manager(bank(limits=RateLimitConfig(1000), timeout=10_000_000))
    calls: list[int] = []

    async def perform_effect() -> int:
        calls.append(1)
        await harness.yield_to_tasks()
        return 7

    async def call() -> int:
        value: int = await manager.run("bank", perform_effect, idempotency_key="k")
        return value

    assert [7] * 16 == await harness.run_together(*[call] * 16)
    assert 1 == len(calls)
