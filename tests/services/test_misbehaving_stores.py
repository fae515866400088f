"""Stores that respond to commands with values of wrong types."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    ConnectorError,
    ConnectorManager,
    Idempotency,
    RateLimitConfig,
    Service,
    StorageUnavailable,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.idempotency.claims import Claim, Settle, WriteRecordOnce
from moorage.domain.resilience.admission import Admission

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command

SHOP = Service("shop", retry=None, limits=RateLimitConfig.per_second(1_000))
MODES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
GARBAGE = pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        "go",
        (),
        (None,) * 4,
        (0, "soon", None, ()),
        (0, 0, 5, ()),
        (0, 0, None, None),
        (77, 0, None, ()),
        ([], 0, None, ()),
        (3, float("nan"), None, ()),
    ],
)


class WrongStore:
    """A store that executes all commands, but returns a wrong value for one kind of command."""

    durable = False

    def __init__(self, kind: type, value: object) -> None:
        self._kind = kind
        self._value = value
        self._memory = MemoryStorage()

    def execute(self, command: Command[Any], timeout: float | None = None) -> Any:
        """Execute the command."""
        answer = self._memory.execute(command, timeout)
        return self._value if isinstance(command, self._kind) else answer

    def post(self, command: Command[Any]) -> None:
        """Execute the command without returning its result."""
        self._memory.post(command)


class AsyncWrongStore(WrongStore):
    """An asynchronous store that returns a wrong value for one kind of command."""

    async def execute(self, command: Command[Any], timeout: float | None = None) -> Any:
        """Execute the command."""
        return WrongStore.execute(self, command, timeout)


def call_twice(
    kind: type, value: object, key: str | None, *, is_async: bool
) -> tuple[list[Any], list[int]]:
    """Call a function twice; return the outcome of each call, and the effects that it had."""
    effects: list[int] = []
    results: list[Any] = []

    def order() -> int:
        effects.append(1)
        return len(effects)

    async def order_async() -> int:
        return order()

    async def twice() -> None:
        store: Any = AsyncWrongStore(kind, value)
        manager = AsyncConnectorManager([SHOP], state=store)
        for _ in range(2):
            try:
                results.append(await manager.run("shop", order_async, idempotency_key=key))
            except ConnectorError as error:
                results.append(error)
        await manager.close()

    if is_async:
        asyncio.run(twice())
        return results, effects
    with ConnectorManager([SHOP], state=WrongStore(kind, value)) as manager:
        for _ in range(2):
            try:
                results.append(manager.run("shop", order, idempotency_key=key))
            except ConnectorError as error:
                results.append(error)
    return results, effects


@MODES
@GARBAGE
def test_claim_of_a_wrong_type_refuses_the_call(value: object, *, is_async: bool) -> None:
    """If the store's response to a claim is invalid, the function is not called."""
    results, effects = call_twice(Claim, value, "order-7", is_async=is_async)

    assert [] == effects
    for error in results:
        assert isinstance(error, StorageUnavailable)
        assert error.message.endswith(f" {type(value).__name__} for the command Claim.")


@MODES
@GARBAGE
def test_invalid_reply_to_a_written_record_is_an_outage(value: object, *, is_async: bool) -> None:
    """If the store's reply to writing a record is invalid, StorageUnavailable is raised."""
    store: Any = AsyncWrongStore if is_async else WrongStore
    part = Idempotency(storage=store(WriteRecordOnce, value))

    def record() -> object:
        if is_async:
            return asyncio.run(part.astore("order-7", "paid"))
        return part.store("order-7", "paid")

    with pytest.raises(StorageUnavailable, match="for the command WriteRecordOnce"):
        record()


@MODES
@GARBAGE
def test_admission_of_a_wrong_type_is_an_outage(value: object, *, is_async: bool) -> None:
    """If the store's reply to an admission is invalid, limits in the process's memory apply."""
    results, effects = call_twice(Admission, value, None, is_async=is_async)

    assert ([1, 2], [1, 1]) == (results, effects)


@MODES
@GARBAGE
def test_settlement_of_a_wrong_type_repeats_nothing(value: object, *, is_async: bool) -> None:
    """If the store does not confirm a stored result, the function still has only one effect."""
    results, effects = call_twice(Settle, value, "order-7", is_async=is_async)

    assert ([1, 1], [1]) == (results, effects)
