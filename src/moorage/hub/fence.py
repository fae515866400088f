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
from moorage.services.fence import Fence
from moorage.wiring.cores import awaited_core, plain_core
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
    return run_now(Fence(plain_core(Ports(state=storage)).core, environment_id).rearm())


async def arearm(storage: AsyncStateStorage, environment_id: str) -> str | None:
    """As `rearm`, awaited."""
    return await Fence(awaited_core(Ports(state=storage)).core, environment_id).rearm()


def home(storage: StateStorage) -> str | None:
    """Which environment used a store first, if one did that has a name."""
    return run_now(Fence(plain_core(Ports(state=storage)).core, None).home())


async def ahome(storage: AsyncStateStorage) -> str | None:
    """As `home`, awaited."""
    return await Fence(awaited_core(Ports(state=storage)).core, None).home()


def neutralize(*kept: Any) -> int:
    """Take away what a copy could act with, and say how much that was.

    Idempotency keys stay, so that nothing is done a second time.

    Args:
        kept: what keeps credentials, tokens, tenants or secrets of webhooks, and has `clear`; and
            outboxes and inboxes, all of whose entries go.
    """
    return sum(_cleared(one) for one in kept)


async def aneutralize(*kept: Any) -> int:
    """As `neutralize`, awaited."""
    return sum([await _cleared(one) for one in kept])


def _cleared(kept: Any) -> Any:
    clear = getattr(kept, "clear", None)
    if clear is not None:
        return clear()
    remove = getattr(kept, "remove", None)
    if remove is None or len(inspect.signature(remove).parameters) != 1:
        raise ConfigurationError(
            f"a {type(kept).__name__} cannot be emptied.",
            path="kept",
            remedy="Give what has `clear`, or an outbox or an inbox.",
        )
    return remove(EntryQuery())
