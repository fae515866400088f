"""Copied databases: allow their use in another environment, or delete their pending work.

A store records the first environment that uses it as its owner. In another environment nothing is
sent until `rearm` allows it. `neutralize` deletes everything from a copy that could cause calls.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from moorage.domain.entries.queue import EntryQuery
from moorage.errors import ConfigurationError
from moorage.runtime.flows import run_now
from moorage.services.environment_guard import EnvironmentGuard
from moorage.wiring.core_assembly import async_core, sync_core
from moorage.wiring.ports import Ports

if TYPE_CHECKING:
    from moorage.ports.state import AsyncStateStorage, StateStorage


def rearm(storage: StateStorage, environment_id: str) -> str | None:
    """Allow an environment to make calls with a store that another environment owns.

    Args:
        storage: the store of shared state.
        environment_id: the configuration's `state.environment_id`, or else the name of the
            environment.

    Returns:
        The owner of the store.
    """
    return run_now(EnvironmentGuard(sync_core(Ports(state=storage)).core, environment_id).rearm())


async def arearm(storage: AsyncStateStorage, environment_id: str) -> str | None:
    """Allow an environment to make calls with an asynchronous store of another environment."""
    return await EnvironmentGuard(async_core(Ports(state=storage)).core, environment_id).rearm()


def owner(storage: StateStorage) -> str | None:
    """Return the environment that first used a store; None if it had no name."""
    return run_now(EnvironmentGuard(sync_core(Ports(state=storage)).core, None).owner())


async def aowner(storage: AsyncStateStorage) -> str | None:
    """Return the name of the environment that used an asynchronous store first."""
    return await EnvironmentGuard(async_core(Ports(state=storage)).core, None).owner()


def neutralize(*stores: Any) -> int:
    """Delete from a copied database's stores everything that could cause calls to vendors.

    Idempotency keys stay, so that no effect happens a second time.

    Args:
        stores: outboxes, inboxes, and stores with a method `clear` (of credentials, tokens, tenants
            or webhook secrets).

    Returns:
        The number of deleted items.
    """
    return sum(_clear_store(store) for store in stores)


async def aneutralize(*stores: Any) -> int:
    """Delete from a copied database's asynchronous stores everything that could cause calls."""
    return sum([await _clear_store(store) for store in stores])


def _clear_store(store: Any) -> Any:
    clear = getattr(store, "clear", None)
    if clear is not None:
        return clear()
    remove = getattr(store, "remove", None)
    if remove is None or len(inspect.signature(remove).parameters) != 1:
        raise ConfigurationError(
            f"The object {type(store).__name__} has no method to empty it.",
            path="stores",
            remedy="Give a store with a method `clear`, an outbox or an inbox.",
        )
    return remove(EntryQuery())
