"""Idempotency keys with results that cannot be stored, and with stores that fail."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

import threading

import pytest

from moorage import (
    AuthenticationFailed,
    CircuitBreakerConfig,
    ConnectorError,
    DeadlineExceeded,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    StorageUnavailable,
)
from moorage.domain.idempotency.claims import Claim
from moorage.domain.observation.events import AnswerNotStored
from moorage.domain.state.keys import tag_of
from tests.services.one_effect import (
    LEASE,
    bank,
    charge,
    over_one_store,
)
from tests.support.modes import Harness, sync_and_async

# --- answers that cannot be kept ---


@sync_and_async
async def test_uncopyable_result_is_returned_once(harness: Harness) -> None:
    """If a result cannot be stored, a repeat raises an error and does not call the function."""
    manager = harness.watched(bank())
    lock = threading.Lock()

    async def perform_effect() -> object:
        return lock

    assert lock is await manager.run("bank", perform_effect, idempotency_key="k")
    with pytest.raises(InvalidData, match="could not be stored") as excinfo:
        await manager.run("bank", perform_effect, idempotency_key="k")

    assert "Do not repeat" in excinfo.value.remedy
    assert ("k", "TypeError") == next(
        (event.idempotency_key, event.error)
        for event in harness.events
        if type(event).__name__ == "AnswerNotStored"
    )


class CopyableOnce:
    """A value that can be copied or raises an error, as the test decides."""

    def __init__(self, *copies: Exception | None) -> None:
        self._copies = list(copies)

    def __deepcopy__(self, _: object) -> CopyableOnce:
        error = self._copies.pop(0)
        if error is not None:
            raise error
        return self


@pytest.mark.parametrize("error", [KeyError("hunter2"), InvalidData("unreadable")])
@sync_and_async
async def test_unreadable_stored_answer_raises_an_error(harness: Harness, error: Exception) -> None:
    """An unreadable stored result raises an error that does not quote it."""
    answer = CopyableOnce(None, error)
    manager = harness.manager(bank())

    async def perform_effect() -> object:
        return answer

    await manager.run("bank", perform_effect, idempotency_key="k")
    with pytest.raises(InvalidData) as excinfo:
        await manager.run("bank", perform_effect, idempotency_key="k")

    assert "hunter2" not in repr(excinfo.value)
    if isinstance(error, KeyError):
        assert "raised KeyError" in excinfo.value.message
        assert "Do not repeat" in excinfo.value.remedy
    else:
        assert "unreadable" in excinfo.value.message


# --- a store that fails ---


@sync_and_async
async def test_unclaimed_key_sends_nothing(harness: Harness) -> None:
    """If the store fails while claiming a key, nothing is sent, and the claim is withdrawn."""
    manager = over_one_store(harness, bank())
    harness.store.fails_at[1] = StorageUnavailable("away")

    with pytest.raises(StorageUnavailable) as excinfo:
        await charge(manager)

    assert ("bank", []) == (excinfo.value.service, harness.vendor.requests)
    assert not (await charge(manager)).replayed


@sync_and_async
async def test_unmarked_key_sends_nothing(harness: Harness) -> None:
    """If the store fails to mark an idempotency key as sent, nothing is sent; the key is free."""
    manager = over_one_store(harness, bank())
    harness.store.fails_at[2] = StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        await charge(manager)

    assert [] == harness.vendor.requests
    assert not (await charge(manager)).replayed


@sync_and_async
async def test_unstorable_response_is_returned(harness: Harness) -> None:
    """If a response cannot be stored, the caller still gets it, and observers get an event."""
    manager = over_one_store(harness, bank())
    harness.store.is_deaf = True
    harness.store.fails_at[3] = StorageUnavailable("away")

    assert 200 == (await charge(manager)).status

    assert ["StorageUnavailable"] == [
        event.error for event in harness.events if isinstance(event, AnswerNotStored)
    ]
    harness.clock.advance(LEASE)
    with pytest.raises(OutcomeUnknown):
        await charge(manager)
    assert 1 == len(harness.vendor.requests)


@pytest.mark.parametrize(
    "refusals, error_class",
    [
        pytest.param(1, InvalidData, id="the store keeps plain values only"),
        pytest.param(2, OutcomeUnknown, id="and would not even keep that it was lost"),
    ],
)
@sync_and_async
async def test_refused_response_is_returned(
    harness: Harness, refusals: int, error_class: type[ConnectorError]
) -> None:
    """If the store refuses to save a response, its caller gets it, but a repeat raises an error."""
    manager = over_one_store(harness, bank())
    harness.store.is_deaf = True
    for trip in range(3, 3 + refusals):
        harness.store.fails_at[trip] = InvalidData("no plain value")

    assert 200 == (await charge(manager)).status

    assert [("k", "InvalidData", "id-1")] * refusals == [
        (event.idempotency_key, event.error, event.request_id)
        for event in harness.events
        if isinstance(event, AnswerNotStored)
    ]
    harness.clock.advance(LEASE)
    with pytest.raises(error_class):
        await charge(manager)


@sync_and_async
async def test_response_is_stored_again(harness: Harness) -> None:
    """If storing a response fails, moorage posts it to the store a second time."""
    manager = over_one_store(harness, bank())
    harness.store.fails_at[3] = StorageUnavailable("away")

    await charge(manager)

    assert (await charge(manager)).replayed


@sync_and_async
async def test_unstorable_refusal_is_raised(harness: Harness) -> None:
    """An error that cannot be stored is still raised."""
    harness.vendor.otherwise = 422
    manager = over_one_store(harness, bank())
    harness.store.fails_at[3] = StorageUnavailable("away")

    with pytest.raises(InvalidRequest):
        await charge(manager)


@sync_and_async
async def test_error_survives_a_failed_release(harness: Harness) -> None:
    """If the store fails while an idempotency key is freed, the call's own error is raised."""
    harness.vendor.otherwise = 401
    manager = over_one_store(harness, bank())
    harness.store.fails_at[3] = StorageUnavailable("away")

    with pytest.raises(AuthenticationFailed):
        await charge(manager)


@sync_and_async
async def test_foreign_store_errors_become_storage_unavailable(harness: Harness) -> None:
    """An unexpected exception of a store becomes StorageUnavailable, without its text."""
    manager = over_one_store(harness, bank())
    harness.store.fails_at[1] = ValueError("redis://:hunter2@host")

    with pytest.raises(StorageUnavailable, match="ValueError") as excinfo:
        await charge(manager)

    assert "hunter2" not in repr(excinfo.value)
    assert (None, None) == (excinfo.value.__cause__, excinfo.value.__context__)


@sync_and_async
async def test_failing_post_hides_no_error(harness: Harness) -> None:
    """If the store's `post` wrongly raises an error, the call's own error is raised."""
    manager = over_one_store(harness, bank())
    harness.store.post_fails = ValueError("closed")
    harness.store.fails_at[1] = StorageUnavailable("away")

    with pytest.raises(StorageUnavailable, match="away"):
        await charge(manager)


# --- marks ---


@pytest.mark.parametrize("circuit", [None, CircuitBreakerConfig()])
@sync_and_async
async def test_claim_is_marked_without_other_protection(
    harness: Harness, circuit: CircuitBreakerConfig | None
) -> None:
    """An idempotency key is marked as sent before its request is sent, also without a circuit."""
    manager = over_one_store(harness, bank(circuit=circuit))
    stages: list[int] = []

    async def observe(_: object) -> int:
        cells = harness.store.memory._cells
        (state,) = [state for key, state in cells.items() if key.endswith("}:key")]
        stages.append(state[2])
        return 200

    harness.vendor.answers(observe)
    await charge(manager)

    assert [1] == stages
    assert 3 == len(harness.store.commands)


@sync_and_async
async def test_store_with_nodes_gets_keys_of_one_tag_at_a_time(harness: Harness) -> None:
    """If a store accepts only one hash tag per command, MarkSent is a separate command."""
    harness.store.mixes_tags = False
    manager = over_one_store(harness, bank(circuit=CircuitBreakerConfig()))

    await charge(manager)

    commands = [type(command).__name__.strip("_") for command in harness.store.commands]
    assert ["Claim", "CircuitAdmission", "MarkSent", "Settle"] == commands
    assert [1] * 4 == [len(set(map(tag_of, command.keys))) for command in harness.store.commands]


def leases(harness: Harness) -> list[int]:
    """Return the leases of all claims, in microseconds."""
    return [command.lease for command in harness.store.commands if isinstance(command, Claim)]


@sync_and_async
async def test_lease_covers_the_deadline(harness: Harness) -> None:
    """A claim's lease is the rest of the call's deadline plus five seconds."""
    manager = over_one_store(harness, bank())

    await charge(manager, timeout=100_000)

    assert [100_005_000_000] == leases(harness)


@sync_and_async
async def test_repeat_past_its_deadline_claims_nothing(harness: Harness) -> None:
    """A repeated call that wakes up after its deadline sends no more commands to the store."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(200))
    manager = over_one_store(harness, bank())

    async def charge_first() -> None:
        await charge(manager)

    async def pass_deadline() -> None:
        harness.clock.advance(3)

    running_charge = harness.start(charge_first)
    await gate.reached()
    harness.sleeper.meanwhile.append(pass_deadline)
    with pytest.raises(DeadlineExceeded):
        await charge(manager, timeout=2)
    gate.open()
    await running_charge.result()

    assert [35_000_000, 7_000_000] == leases(harness)
