"""Idempotency keys after crashes and lost responses, and keys that an operator resolves."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from moorage import (
    AttemptTimeout,
    BulkheadConfig,
    ConnectionFailed,
    CredentialNotFound,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    Request,
    Response,
    RetryPolicy,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.payments import buyer_notice
from tests.services.one_effect import (
    LEASE,
    OTHER,
    bank,
    charge,
    crash,
    key_aware_bank,
    over_one_store,
)
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import Clock

# --- crashes ---


@sync_and_async
async def test_crash_before_sending_frees_the_key(harness: Harness) -> None:
    """If a caller dies before sending, its idempotency key is free when the claim's lease ends."""
    manager = over_one_store(harness, bank())
    await crash(harness, manager, sent=False)

    harness.clock.advance(LEASE - 3)
    with pytest.raises(IdempotencyInProgress):
        await charge(manager, timeout=2)
    harness.clock.advance(2)

    assert 200 == (await charge(manager)).status
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_crash_after_sending_is_unknown(harness: Harness) -> None:
    """After a crash in mid-request, nothing is repeated at a vendor without idempotency keys."""
    manager = over_one_store(harness, bank())
    await crash(harness, manager, sent=True)
    harness.clock.advance(LEASE)

    with pytest.raises(OutcomeUnknown):
        await charge(manager)
    with pytest.raises(OutcomeUnknown) as excinfo:
        await charge(manager)

    assert ("k", False) == (excinfo.value.idempotency_key, excinfo.value.retryable)
    assert "'k' at bank" in (excinfo.value.lookup or "")
    assert "then settle the key" in excinfo.value.remedy
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_crash_is_repaired_at_a_vendor_that_honours_keys(harness: Harness) -> None:
    """After a crash in mid-request, the request is repeated at a vendor that honours keys."""
    manager = over_one_store(harness, key_aware_bank())
    await crash(harness, manager, sent=True)
    harness.clock.advance(LEASE)

    assert 200 == (await charge(manager)).status
    assert ["k", "k"] == [
        requests.header("idempotency-key") for requests in harness.vendor.requests
    ]
    assert 1 == len({requests.request for requests in harness.vendor.requests})
    assert (await charge(manager)).replayed


@sync_and_async
async def test_request_is_not_repeated_at_another_host(harness: Harness) -> None:
    """A request whose response was lost is repeated at the same host only."""
    await crash(harness, over_one_store(harness, key_aware_bank()), sent=True)
    harness.clock.advance(LEASE)

    with pytest.raises(OutcomeUnknown):
        await charge(over_one_store(harness, key_aware_bank(base_url="https://other.example")))
    assert 1 == len(harness.vendor.requests)

    moved_bank = key_aware_bank(base_url="https://bank.example/v2")
    assert 200 == (await charge(over_one_store(harness, moved_bank))).status


@sync_and_async
async def test_no_repeat_after_the_vendor_forgets_keys(harness: Harness) -> None:
    """A request is not repeated once the vendor may have forgotten its idempotency key."""
    manager = over_one_store(harness, key_aware_bank(idempotency_memory=100))
    await crash(harness, manager, sent=True)
    harness.clock.advance(100 - LEASE + 1)

    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_late_holder_gets_the_stored_answer(harness: Harness) -> None:
    """A caller that lost its key to another caller after its lease returns the other's response."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(Response(200, body=b"late")), Response(200, body=b"kept"))
    manager = over_one_store(harness, key_aware_bank())

    async def charge_late() -> Response:
        response: Response = await charge(manager)
        return response

    running_charge = harness.start(charge_late)
    await gate.reached()
    harness.clock.advance(LEASE)
    assert b"kept" == (await charge(manager)).body
    gate.open()

    response = await running_charge.result()
    assert (True, b"kept") == (response.replayed, response.body)


@sync_and_async
async def test_late_holders_answer_is_used_by_its_successor(harness: Harness) -> None:
    """If two callers have sent under one idempotency key, both get the response that came first."""
    gates = [harness.gate(), harness.gate()]
    harness.vendor.answers(*(gate.answering(200) for gate in gates))
    manager = over_one_store(harness, key_aware_bank())

    async def call() -> Any:
        return await charge(manager)

    running_charges = []
    for gate in gates:
        running_charges.append(harness.start(call))
        await gate.reached()
        harness.clock.advance(LEASE)
    gates[0].open()

    first = await running_charges[0].result()
    gates[1].open()
    successor_response = await running_charges[1].result()
    assert (200, False, 200, True) == (
        first.status,
        first.replayed,
        successor_response.status,
        successor_response.replayed,
    )


@sync_and_async
async def test_late_refusal_does_not_replace_response_that_another_caller_stored_under_key(
    harness: Harness,
) -> None:
    """A late error does not replace a stored response of another caller with the same key."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(422), Response(200, body=b"kept"))
    manager = over_one_store(harness, key_aware_bank())

    async def charge_late() -> Any:
        return await charge(manager)

    running_charge = harness.start(charge_late)
    await gate.reached()
    harness.clock.advance(LEASE)
    await charge(manager)
    gate.open()

    assert b"kept" == (await running_charge.result()).body


@sync_and_async
async def test_late_holder_without_successor_completes(harness: Harness) -> None:
    """A caller whose lease has ended still stores its response if nobody took over its key."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(Response(200, body=b"late")))
    manager = over_one_store(harness, bank())

    async def charge_late() -> Any:
        return await charge(manager)

    running_charge = harness.start(charge_late)
    await gate.reached()
    harness.clock.advance(LEASE)
    with pytest.raises(OutcomeUnknown):
        await charge(manager)
    gate.open()

    assert b"late" == (await running_charge.result()).body
    assert b"late" == (await charge(manager)).body


@sync_and_async
async def test_expired_claim_sends_nothing(harness: Harness) -> None:
    """A caller whose claim expires before sending sends nothing, and frees the idempotency key."""
    clock = Clock(0)
    harness.store.memory = MemoryStorage(clock)
    gate = harness.gate()
    harness.vendor.answers(gate.answering(200))
    manager = over_one_store(harness, bank(bulkhead=BulkheadConfig(1, max_waiting=1)))

    async def charge_first() -> None:
        await charge(manager, key="first")

    async def charge_late() -> None:
        with pytest.raises(IdempotencyInProgress, match="lost its claim") as excinfo:
            await charge(manager)
        assert excinfo.value.retry_at is None

    running_charges = [harness.start(charge_first)]
    await gate.reached()
    running_charges.append(harness.start(charge_late))
    await harness.wait(harness.locks.arrived)
    clock.advance(LEASE)
    gate.open()
    for item in running_charges:
        await item.result()

    assert 1 == len(harness.vendor.requests)
    assert not (await charge(manager)).replayed


@sync_and_async
async def test_missing_credential_leaves_the_key_free(harness: Harness) -> None:
    """A call that finds no credential sends nothing, so its idempotency key can be used again."""
    service = bank(needs_credentials=True)
    with pytest.raises(CredentialNotFound):
        await charge(over_one_store(harness, service))

    assert not (await charge(over_one_store(harness, bank()))).replayed


# --- unknown ---


@pytest.mark.parametrize("answer", [503, AttemptTimeout("late"), ConnectionFailed("cut off")])
@sync_and_async
async def test_lost_response_is_unknown(harness: Harness, answer: Any) -> None:
    """If a request was sent and its response was lost, its idempotency key's outcome is unknown."""
    harness.vendor.answers(answer)
    manager = harness.manager(bank())

    with pytest.raises(OutcomeUnknown) as excinfo:
        await charge(manager)
    assert type(excinfo.value.__cause__) in {VendorFailed, AttemptTimeout, ConnectionFailed}
    assert 1 == excinfo.value.attempts

    with pytest.raises(OutcomeUnknown) as excinfo:
        await charge(manager)
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_vendor_that_honours_keys_is_asked_again(harness: Harness) -> None:
    """After an error, a repeat is sent again if the vendor honours idempotency keys."""
    harness.vendor.answers(503)
    manager = harness.manager(key_aware_bank())

    with pytest.raises(VendorFailed):
        await charge(manager)

    assert not (await charge(manager)).replayed
    assert 2 == len(harness.vendor.requests)


@sync_and_async
async def test_foreign_error_leaves_the_key_unknown(harness: Harness) -> None:
    """After an unexpected exception of a function, its idempotency key has an unknown outcome."""
    manager = harness.manager(bank())
    calls: list[int] = []

    async def perform_effect() -> None:
        calls.append(1)
        raise OSError("cut off")

    with pytest.raises(OSError, match="cut off"):
        await manager.run("bank", perform_effect, idempotency_key="k")
    with pytest.raises(OutcomeUnknown):
        await manager.run("bank", perform_effect, idempotency_key="k")

    assert 1 == len(calls)


@sync_and_async
async def test_response_transform_error_frees_no_key(harness: Harness) -> None:
    """A transform that fails on a successful response does not free the idempotency key."""
    pending_errors = [InvalidData("no JSON", field="body")]

    def parse(response: Response) -> Response:
        for error in pending_errors:
            raise error
        return response

    manager = harness.manager(bank(response_transforms=parse))

    with pytest.raises(OutcomeUnknown) as excinfo:
        await charge(manager)
    assert InvalidData is type(excinfo.value.__cause__)
    pending_errors.clear()
    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_foreign_transform_error_frees_no_key(harness: Harness) -> None:
    """If a response transform raises any exception, the key's outcome is unknown."""

    def parse(_: Response) -> Response:
        raise KeyError("id")

    manager = harness.manager(bank(response_transforms=parse))

    with pytest.raises(KeyError):
        await charge(manager)
    with pytest.raises(OutcomeUnknown):
        await charge(manager)


@sync_and_async
async def test_conflict_of_a_repeat_is_not_final(harness: Harness) -> None:
    """A 409 to a repeat is not final: the vendor may still be processing the first attempt."""
    harness.vendor.answers(AttemptTimeout("late"), 409)
    manager = harness.manager(key_aware_bank(retry=RetryPolicy(2, 0)))

    with pytest.raises(IdempotencyInProgress):
        await charge(manager)

    assert 200 == (await charge(manager)).status


@sync_and_async
async def test_refusal_of_a_keyed_repeat_is_final(harness: Harness) -> None:
    """If a vendor that honours keys rejects a repeat, this is the outcome of the first attempt."""
    harness.vendor.answers(AttemptTimeout("late"), 422)
    manager = harness.manager(key_aware_bank(retry=RetryPolicy(2, 0)))

    for _ in range(2):
        with pytest.raises(InvalidRequest):
            await charge(manager)

    assert 2 == len(harness.vendor.requests)


@sync_and_async
async def test_stored_refusal_says_that_nothing_was_done(harness: Harness) -> None:
    """An error that is replayed from its key, and what the buyer reads about it, agree."""
    harness.vendor.answers(AttemptTimeout("late"), 422)
    manager = harness.manager(key_aware_bank(retry=RetryPolicy(2, 0)))
    with pytest.raises(InvalidRequest):
        await charge(manager)

    with pytest.raises(InvalidRequest) as excinfo:
        await charge(manager)

    assert (True, False) == (excinfo.value.replayed, excinfo.value.may_have_been_processed)
    assert "not_attempted" == buyer_notice(excinfo.value).outcome


@sync_and_async
async def test_refusal_of_an_unkeyed_repeat_is_not_final(harness: Harness) -> None:
    """A PUT without a key may have had an effect, even if its repeat was rejected."""
    harness.vendor.answers(AttemptTimeout("late"), 412)
    manager = harness.manager(bank(retry=RetryPolicy(2, 0)))
    put = Request.put("/orders/7", json={"n": 1})

    with pytest.raises(VendorRejected):
        await charge(manager, put)

    assert 200 == (await charge(manager, put)).status
    assert 3 == len(harness.vendor.requests)


@sync_and_async
async def test_refusal_of_the_first_attempt_is_final(harness: Harness) -> None:
    """If the only attempt gets a 409, it is the vendor's final response."""
    harness.vendor.answers(409)
    manager = harness.manager(bank())

    for _ in range(2):
        with pytest.raises(VendorRejected):
            await charge(manager)

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_unsent_retry_keeps_the_key_unknown(harness: Harness) -> None:
    """If the retry after a lost response cannot be sent, the key's outcome is unknown."""
    manager = over_one_store(harness, key_aware_bank())
    await crash(harness, manager, sent=True)
    harness.clock.advance(LEASE)
    harness.vendor.answers(ConnectionFailed("refused", may_have_been_processed=False))

    with pytest.raises(ConnectionFailed):
        await charge(manager)
    with pytest.raises(IdempotencyConflict):
        await charge(manager, OTHER)
    forgetful = over_one_store(harness, bank())
    with pytest.raises(OutcomeUnknown):
        await charge(forgetful)


# --- settling by hand ---


@sync_and_async
async def test_key_resolved_with_a_response_is_replayed(harness: Harness) -> None:
    """A repeated idempotency key returns the response with which an operator resolved it."""
    harness.vendor.answers(AttemptTimeout("late"))
    manager = harness.manager(bank())
    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    result = Response(201, body=b"found")
    assert await manager.resolve_key("bank", "k", done=True, answer=result)
    assert not await manager.resolve_key("bank", "k", done=True, answer=result)

    assert result.evolve(replayed=True) == await charge(manager)


@sync_and_async
async def test_key_resolved_as_never_done_can_be_sent_again(harness: Harness) -> None:
    """An idempotency key that an operator resolved as never done can be sent again."""
    harness.vendor.answers(AttemptTimeout("late"))
    manager = harness.manager(bank())
    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    assert await manager.resolve_key("bank", "k", done=False)

    assert not (await charge(manager)).replayed
    assert 2 == len(harness.vendor.requests)


@sync_and_async
async def test_key_of_a_function_can_be_resolved_with_any_value(harness: Harness) -> None:
    """A function's idempotency key can be resolved with any value, including None."""
    manager = harness.manager(bank())

    async def perform_effect() -> None:
        raise OSError

    for number, answer in enumerate((None, {"id": 7})):
        key = f"k{number}"
        with pytest.raises(OSError):  # noqa: PT011 - the very one
            await manager.run("bank", perform_effect, idempotency_key=key)
        assert await manager.resolve_key("bank", key, done=True, answer=answer)
        assert answer == await manager.run("bank", perform_effect, idempotency_key=key)


@sync_and_async
async def test_resolving_a_key_affects_only_its_tenant(harness: Harness) -> None:
    """Resolving an idempotency key affects only the key of the named tenant."""
    harness.vendor.answers(AttemptTimeout("late"), AttemptTimeout("late"))
    manager = harness.manager(bank())
    for tenant in (None, "acme"):
        with pytest.raises(OutcomeUnknown):
            await charge(manager, tenant=tenant)

    assert await manager.resolve_key("bank", "k", done=False, tenant="acme")

    assert 200 == (await charge(manager, tenant="acme")).status
    with pytest.raises(OutcomeUnknown):
        await charge(manager)


@sync_and_async
async def test_resolving_as_not_done_ignores_the_value(harness: Harness) -> None:
    """If an idempotency key is resolved as not done, the given value is ignored."""
    harness.vendor.answers(AttemptTimeout("late"))
    manager = harness.manager(bank())
    with pytest.raises(OutcomeUnknown):
        await charge(manager)

    assert await manager.resolve_key("bank", "k", done=False, answer=threading.Lock())


@sync_and_async
async def test_request_fails_if_its_key_was_resolved_without_a_response(harness: Harness) -> None:
    """If a key of a request was resolved with something else than a response, a repeat fails."""
    harness.vendor.answers(AttemptTimeout("late"))
    manager = harness.manager(bank())
    with pytest.raises(OutcomeUnknown):
        await charge(manager)
    await manager.resolve_key("bank", "k", done=True, answer={"id": 7})

    with pytest.raises(InvalidData, match="dict") as excinfo:
        await charge(manager)
    assert "with a Response" in excinfo.value.remedy


@sync_and_async
async def test_only_unknown_keys_are_resolved(harness: Harness) -> None:
    """Only keys with an unknown outcome can be resolved; the error names an unknown service."""
    manager = harness.manager(bank())
    assert not await manager.resolve_key("bank", "k", done=False)
    await charge(manager)
    assert not await manager.resolve_key("bank", "k", done=False)
    assert (await charge(manager)).replayed

    with pytest.raises(Exception, match="No service") as excinfo:
        await manager.resolve_key("banc", "k", done=False)
    assert "banc" == excinfo.value.service  # type: ignore[attr-defined]  # a ConnectorError
