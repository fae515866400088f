"""What is done by hand about copies of a database: one may send, or is made harmless.

A store remembers the environment that used it first. Under another name nothing is sent, until
`rearm` says that this is right. `neutralize` takes away what a copy could act with.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from moorage.domain.entries.queue import EntryQuery
from moorage.errors import ConfigurationError
from moorage.runtime.bridge import run_now
from moorage.services.environment_guard import EnvironmentGuard
from moorage.wiring.core_assembly import async_core, sync_core
from moorage.wiring.ports import Ports

if TYPE_CHECKING:
    from moorage.ports.state import AsyncStateStorage, StateStorage


def rearm(storage: StateStorage, environment_id: str) -> str | None:
    """Say that an environment may send with a store that another used first.

    Args:
        storage: the store of shared state.
        environment_id: what the configuration says as `state.environment_id`, or else the name of
            the environment.

    Returns:
        Whose the store was first.
    """
    return run_now(EnvironmentGuard(sync_core(Ports(state=storage)).core, environment_id).rearm())


async def arearm(storage: AsyncStateStorage, environment_id: str) -> str | None:
    """As `rearm`, awaited."""
    return await EnvironmentGuard(async_core(Ports(state=storage)).core, environment_id).rearm()


def home(storage: StateStorage) -> str | None:
    """Which environment used a store first, if one did that has a name."""
    return run_now(EnvironmentGuard(sync_core(Ports(state=storage)).core, None).home())


async def ahome(storage: AsyncStateStorage) -> str | None:
    """As `home`, awaited."""
    return await EnvironmentGuard(async_core(Ports(state=storage)).core, None).home()


def neutralize(*stores: Any) -> int:
    """Take away what a copy could act with, and say how much that was.

    Idempotency keys stay, so that nothing is done a second time.

    Args:
        stores: what keeps credentials, tokens, tenants or secrets of webhooks, and has `clear`; and
            outboxes and inboxes, all of whose entries go.
    """
    return sum(_cleared(store) for store in stores)


async def aneutralize(*stores: Any) -> int:
    """As `neutralize`, awaited."""
    return sum([await _cleared(store) for store in stores])


def _cleared(store: Any) -> Any:
    clear = getattr(store, "clear", None)
    if clear is not None:
        return clear()
    remove = getattr(store, "remove", None)
    if remove is None or len(inspect.signature(remove).parameters) != 1:
        raise ConfigurationError(
            f"a {type(store).__name__} cannot be emptied.",
            path="kept",
            remedy="Give what has `clear`, or an outbox or an inbox.",
        )
    return remove(EntryQuery())
