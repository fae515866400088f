"""Checks of a shared state store with a limited number of states."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.durations import DAY, SECOND
from moorage.errors import StorageUnavailable
from moorage.testing.kits._state_commands import (
    Write,
    new_key,
)
from moorage.testing.kits._state_subject import SHORT, Stores, Subject
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.domain.state.commands import Command

_BOUND: Final = 20


async def a_full_store_refuses_new_states(stores: Stores) -> None:
    """A full store refuses new states, but still changes existing ones and removes none."""
    store = stores(_BOUND)
    keys = await _fill_store(store, DAY)
    command = Write({keys[0]: "changed", new_key(): "new"})
    await _require_refusal(store, command)
    store.post(command)
    for key in keys:
        state = await store.read(key)
        require(state and state[2] == "full", "A refused command changed a state that was there.")
        await store.execute(Write({key: "changed"}))
    require(await store.read(command.keys[1]) is None, "A state was stored that was refused.")


async def a_full_store_makes_room(stores: Stores) -> None:
    """A full store accepts new states once the old ones have expired."""
    store = stores(_BOUND)
    for _ in range(3):
        await _fill_store(store, SHORT)
        store.pass_time(2 * SHORT / SECOND)


async def a_full_store_keeps_unexpired_states(stores: Stores) -> None:
    """A full store removes only expired states."""
    store = stores(_BOUND)
    keys = [new_key() for _ in range(_BOUND // 2)]
    for key in keys:
        await store.execute(Write({key: "kept"}))
    with _require_room("A full store did not remove states that are no longer in use."):
        for _ in range(3):
            for _ in range(_BOUND - len(keys)):
                await store.execute(Write({new_key(): "dust"}, keep_for=SHORT))
            store.pass_time(2 * SHORT / SECOND)
    for key in keys:
        state = await store.read(key)
        require(
            state and state[2] == "kept", "A state that is still in use was removed to make room."
        )


async def reads_store_nothing(stores: Stores) -> None:
    """Reading a missing state does not create it."""
    store = stores(_BOUND)
    with _require_room("A store refused to be read."):
        for _ in range(2 * _BOUND):
            await store.read(new_key())
        await _fill_store(store, DAY)
        await store.read(new_key())


async def _fill_store(store: Subject, keep_for: int) -> list[str]:
    """Write as many states as the store has room for."""
    keys = [new_key() for _ in range(_BOUND)]
    with _require_room(
        f"A store with a limit of {_BOUND} states refused a state before the limit was reached."
    ):
        for key in keys:
            await store.execute(Write({key: "full"}, keep_for=keep_for))
    return keys


@contextmanager
def _require_room(sentence: str) -> Generator[None]:
    try:
        yield
    except StorageUnavailable:
        raise AssertionError(sentence) from None


async def _require_refusal(store: Subject, command: Command[Any]) -> None:
    try:
        await store.execute(command)
    except StorageUnavailable:
        return
    raise AssertionError(f"A store with a limit of {_BOUND} states accepted one more.")
