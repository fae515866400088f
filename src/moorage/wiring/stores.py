"""The stores of a core: the shared state, its fallback, and a separate store for keys."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.idempotency.claims import (
    Claim,
    ClaimResult,
    Settle,
    SettleResult,
    WriteRecordOnce,
    WrittenRecord,
)
from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.state.keys import REGISTER, class_of
from moorage.domain.values.frozen_values import evolve
from moorage.domain.values.functions import with_timeout
from moorage.errors import ConfigurationError
from moorage.runtime.flows import (
    blocking_function,
    command_as_async,
    guarded_async,
    guarded_port,
    without_errors,
)
from moorage.services.core.foreign_errors import store_failure, wrong_store_answer_error
from moorage.wiring.defaults import LazyAdapter, is_ours, memory_storage
from moorage.wiring.renewing import claim_renewals
from moorage.wiring.service_checks import CLAIMS_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.service.plan import Ask
    from moorage.services.core.core import Core
    from moorage.wiring.ports import Ports


_DECISIONS: Final = frozenset(map(int, Answer))


def _is_admitted(answer: object) -> bool:
    """Return whether a store's answer has the form of an admission's result."""
    match answer:
        case (int(decision), int(), None | tuple(), tuple()) if isinstance(answer, tuple):
            return decision in _DECISIONS
        case _:
            return False


def _checked_answer(command: object, answer: Any) -> Any:
    """Return a store's answer to a command, after checking its type.

    Raises:
        StorageUnavailable: a decision about a call is of a wrong type.
    """
    match command:
        case Admission():
            is_right = _is_admitted(answer)
        case Claim():
            is_right = isinstance(answer, ClaimResult)
        case Settle():
            is_right = isinstance(answer, SettleResult)
        case WriteRecordOnce():
            is_right = isinstance(answer, WrittenRecord)
        case _:
            return answer
    if not is_right:
        raise wrong_store_answer_error(command, answer)
    return answer


def _with_checked_answers(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Return a synchronous store's method `execute`, which then checks the store's answers."""

    def checked_execute(command: Any, timeout: float | None) -> Any:
        return _checked_answer(command, execute(command, timeout))

    return checked_execute


def _with_checked_async_answers(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Return an asynchronous store's method `execute`, which then checks the store's answers."""

    async def checked_execute(command: Any, timeout: float | None) -> Any:
        return _checked_answer(command, await execute(command, timeout))

    return checked_execute


def sync_store_verbs(state: Any) -> dict[str, Any]:
    """Return a synchronous store's methods, which convert exceptions foreign to moorage."""
    execute, post, is_waiting = with_timeout(state.execute, 1), state.post, not _is_memory(state)
    if not is_ours(state):
        execute = _with_checked_answers(execute)
    if is_waiting:
        execute, post = guarded_port(execute, store_failure), without_errors(post)
    return {
        "execute": command_as_async(execute),
        "ask": execute,
        "prepare": _preparing_function(state),
        "post": post,
        "waits": is_waiting,
    }


def async_store_verbs(state: Any) -> dict[str, Any]:
    """Return an asynchronous store's methods, which convert exceptions foreign to moorage."""
    if _is_memory(state):
        # A store in memory never makes a task wait.
        shared_store = getattr(state, "shared", state)
        return sync_store_verbs(shared_store)
    execute = with_timeout(state.execute, 1)
    if not is_ours(state):
        execute = _with_checked_async_answers(execute)
    return {
        "execute": guarded_async(execute, store_failure),
        "ask": None,
        "prepare": None,
        "post": without_errors(state.post),
        "waits": True,
    }


def with_stores(
    core: Core,
    ports: Ports,
    state: Any,
    verbs: Callable[[Any], dict[str, Any]],
) -> tuple[Core, Any]:
    """Return the core with its stores for shared state and for keys, each with a fallback."""
    is_async = verbs is async_store_verbs
    if ports.claims is not None and getattr(ports.state, "claims_only", False):
        raise ConfigurationError(
            f"{type(ports.state).__name__} stores only claims, such as idempotency keys.",
            path="state",
            remedy=CLAIMS_ONLY,
        )
    if ports.claims is None or ports.claims is ports.state:
        renewals = claim_renewals(core, state, ports.clock, is_async=is_async)
        core = _with_fallback(core, "state", state, ports.clock)
        compares_bytes = _may_hold_bytes(core, state)
        core = evolve(
            core,
            renewals=renewals,
            compares_bytes=compares_bytes,
            # A claim has its own hash tag, so the store may keep it on another node.
            separate_keys=not getattr(state, "mixes_tags", False),
        )
        return core, state
    claims = evolve(core, **verbs(ports.claims))
    renewals = claim_renewals(claims, ports.claims, ports.clock, is_async=is_async)
    core = _with_fallback(core, "state", state, ports.clock)
    claims = _with_fallback(claims, "claims", ports.claims, ports.clock)
    compares_bytes = _may_hold_bytes(core, ports.claims)
    core = evolve(
        _with_separate_keys(
            core, claims, register=core if getattr(ports.claims, "claims_only", False) else claims
        ),
        renewals=renewals,
        compares_bytes=compares_bytes,
    )
    return core, ports.claims


def _may_hold_bytes(core: Core, claims: Any) -> bool:
    """Return whether the key store may contain bytes of requests.

    Memory may, since they never leave the process. If a cipher seals the answers, the requests
    must not be readable there either.
    """
    return core.cipher is None and _is_memory(claims)


def _with_fallback(core: Core, name: str, state: Any, clock: Any) -> Core:
    """Return the core with a fallback for outages of its store, and a memory of rejections."""
    if _is_memory(state):
        return core
    from moorage.services.state.refusals import Refusals
    from moorage.services.state.store_fallback import StoreFallback

    local_store = LazyAdapter("moorage's MemoryStorage", lambda: memory_storage(clock))
    fallback = StoreFallback(
        core,
        name,
        lambda command: local_store.get().execute(command),
        getattr(state, "node_of", None),
    )
    in_child(fallback, StoreFallback.restart_after_fork)
    refusals = Refusals(fallback.execute, fallback.post, fallback.next_probe, core.nanoseconds)
    return evolve(
        core,
        execute=refusals.execute,
        ask=None if core.ask is None else blocking_function(refusals.execute),
        post=refusals.post,
    )


def _with_separate_keys(core: Core, claims: Core, *, register: Core) -> Core:
    """Return a core that keeps idempotency keys in a separate store.

    Args:
        core: reaches the store of limits and circuits.
        claims: reaches the store of keys.
        register: reaches the store of the open operations: that of keys, unless it holds nothing
            but claims. Then its commands use one key each, and those of the register use several.
    """

    def core_for(command: Any) -> Core:
        if not command.durable:
            return core
        return register if class_of(command.keys[0]) == REGISTER else claims

    async def execute(command: Any, timeout: float | None) -> Any:
        return await core_for(command).execute(command, timeout)

    def post(command: Any) -> None:
        core_for(command).post(command)

    # Only the protections of attempts are asked at once, and a claim is not one of them.
    return evolve(core, execute=execute, post=post, separate_keys=True)


def sync_and_async_store(storage: Any, clock: Any) -> tuple[Any, Any]:
    """Return a synchronous and an asynchronous store; None for one that cannot be made.

    The store in memory never makes a task wait, so one object serves as both.
    """
    from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage

    if storage is None:
        storage = MemoryStorage(clock)
    if isinstance(storage, AsyncMemoryStorage):
        storage = storage.shared
    if isinstance(storage, MemoryStorage):
        return storage, AsyncMemoryStorage(storage)
    is_async = inspect.iscoroutinefunction(getattr(storage, "execute", None))
    return (None, storage) if is_async else (storage, None)


def _memory_module() -> Any:
    """Return the module of the store in memory; None if it is not completely imported yet."""
    module = sys.modules.get("moorage.adapters.state.memory")
    return module if hasattr(module, "AsyncMemoryStorage") else None


def _is_memory(state: object) -> bool:
    """Return whether a store is the in-memory one, which never has to wait."""
    memory = _memory_module()
    return memory is not None and isinstance(
        state, (memory.MemoryStorage, memory.AsyncMemoryStorage)
    )


def _preparing_function(state: object) -> Callable[[Admission], Ask] | None:
    """Return the method of a store that prepares admissions; None if it has none.

    If a subclass overrides `execute`, a prepared admission would bypass it.
    """
    memory = _memory_module()
    is_exact = memory is not None and type(state) is memory.MemoryStorage
    return state.prepare if is_exact else None  # type: ignore[attr-defined]  # it has one
