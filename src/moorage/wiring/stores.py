"""Shared state behind a core, what stands in for it, and keys in a store of their own."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.values.functions import timed
from moorage.runtime.bridge import blocked, guarded, guarded_async, lift_command, quiet
from moorage.services.core.foreign_errors import store_broke
from moorage.services.state.store_fallback import StoreFallback
from moorage.wiring.defaults import LazyAdapter, memory_storage
from moorage.wiring.renewing import claim_renewals

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.services.core.core import Core
    from moorage.wiring.ports import Ports


def sync_store_verbs(state: Any) -> dict[str, Any]:
    """The verbs of a plain store, which raise nothing foreign."""
    execute, post, waits = timed(state.execute, 1), state.post, not _is_memory(state)
    if waits:
        execute, post = guarded(execute, store_broke), quiet(post)
    return {"execute": lift_command(execute), "ask": execute, "post": post, "waits": waits}


def async_store_verbs(state: Any) -> dict[str, Any]:
    """Return the methods of an asynchronous store, with its foreign errors wrapped."""
    if _is_memory(state):
        # Memory never makes a task wait.
        shared = getattr(state, "shared", state)
        return sync_store_verbs(shared)
    return {
        "execute": guarded_async(timed(state.execute, 1), store_broke),
        "ask": None,
        "post": quiet(state.post),
        "waits": True,
    }


def with_stores(
    core: Core,
    ports: Ports,
    state: Any,
    verbs: Callable[[Any], dict[str, Any]],
) -> tuple[Core, Any]:
    """The core with what stands in for stores that are away, and where its keys live."""
    awaited = verbs is async_store_verbs
    if ports.claims is None or ports.claims is ports.state:
        renewals = claim_renewals(core, state, ports.clock, awaited=awaited)
        core = _with_fallback(core, "state", state, ports.clock)
        return attrs.evolve(core, renewals=renewals), state
    claims = attrs.evolve(core, **verbs(ports.claims))
    renewals = claim_renewals(claims, ports.claims, ports.clock, awaited=awaited)
    core = _with_fallback(core, "state", state, ports.clock)
    claims = _with_fallback(claims, "claims", ports.claims, ports.clock)
    return attrs.evolve(_apart(core, claims), renewals=renewals), ports.claims


def _with_fallback(core: Core, name: str, state: Any, clock: Any) -> Core:
    """The core, going on without its store while that is away."""
    if _is_memory(state):
        return core
    local = LazyAdapter(lambda: memory_storage(clock))
    fallback = StoreFallback(
        core,
        name,
        lambda command: local.get().execute(command),
        getattr(state, "node_of", None),
    )
    return attrs.evolve(
        core,
        execute=fallback.execute,
        ask=None if core.ask is None else blocked(fallback.execute),
        post=fallback.post,
    )


def _apart(core: Core, claims: Core) -> Core:
    """A core that asks another store about claims."""

    async def execute(command: Any, timeout: float | None) -> Any:
        return await (claims if command.durable else core).execute(command, timeout)

    def post(command: Any) -> None:
        (claims if command.durable else core).post(command)

    # Only what guards attempts is asked at once, and that is no claim.
    return attrs.evolve(core, execute=execute, post=post, apart=True)


def sync_and_async_store(storage: Any, clock: Any) -> tuple[Any, Any]:
    """Return a synchronous and an asynchronous store; None for the one that cannot be made.

    Memory never makes a task wait, so the store in memory serves both at once.
    """
    from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage

    if storage is None:
        storage = MemoryStorage(clock)
    if isinstance(storage, AsyncMemoryStorage):
        storage = storage.shared
    if isinstance(storage, MemoryStorage):
        return storage, AsyncMemoryStorage(storage)
    awaited = inspect.iscoroutinefunction(getattr(storage, "execute", None))
    return (None, storage) if awaited else (storage, None)


def _is_memory(state: object) -> bool:
    """Whether this is our own store in memory, which raises nothing foreign and never waits."""
    memory = sys.modules.get("moorage.adapters.state.memory")
    return memory is not None and isinstance(
        state, (memory.MemoryStorage, memory.AsyncMemoryStorage)
    )
