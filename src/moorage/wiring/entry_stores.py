"""Adapters that give synchronous and asynchronous inbox and outbox stores the same methods."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from moorage.errors import ConfigurationError
from moorage.runtime.flows import as_async, guarded_async, guarded_port
from moorage.services.entries.store import EntryStore, lost_command_error
from moorage.wiring.ports import check_verb

if TYPE_CHECKING:
    from collections.abc import Callable

_VERBS: Final = ("add", "due", "swap", "find", "remove", "now")
_BATCH_METHODS: Final = ("claim", "settle")


def sync_entry_store(storage: Any) -> EntryStore[Any]:
    """Return the methods of a synchronous entry store as async functions."""
    return _entry_store(
        storage, lambda verb: as_async(guarded_port(verb, lost_command_error)), is_async=False
    )


def async_entry_store(storage: Any) -> EntryStore[Any]:
    """Return the methods of an asynchronous entry store."""
    return _entry_store(
        storage, lambda verb: guarded_async(verb, lost_command_error), is_async=True
    )


def _entry_store(storage: Any, guard: Callable[[Any], Any], *, is_async: bool) -> EntryStore[Any]:
    batches = _BATCH_METHODS if all(hasattr(storage, name) for name in _BATCH_METHODS) else ()
    for name in (*_VERBS, *batches):
        check_verb(storage, "storage", name)
        if inspect.iscoroutinefunction(getattr(storage, name)) is not is_async:
            expected_kind, actual_kind, hub = ("synchronous", "asynchronous", "AsyncHub")
            if is_async:
                expected_kind, actual_kind, hub = ("asynchronous", "synchronous", "Hub")
            raise ConfigurationError(
                f"{type(storage).__name__}.{name} is {actual_kind}, but this class needs"
                f" {expected_kind} stores.",
                path="storage",
                remedy=f"Use the {expected_kind} store, or the classes for {hub}.",
            )
    verbs = {name: guard(getattr(storage, name)) for name in (*_VERBS, *batches)}

    def bounded_store(left: Callable[[], float]) -> EntryStore[Any]:
        timed_verbs = [name for name in verbs if _accepts_timeout(getattr(storage, name))]
        return EntryStore(
            **verbs | {name: _with_remaining_time(verbs[name], left) for name in timed_verbs}
        )

    return EntryStore(**verbs, bounded=bounded_store)


def _accepts_timeout(verb: Callable[..., Any]) -> bool:
    """Return whether a store's method accepts a time limit."""
    return "timeout" in inspect.signature(verb).parameters


def _with_remaining_time(verb: Callable[..., Any], left: Callable[[], float]) -> Callable[..., Any]:
    """Return a method that passes on the seconds that remain at each call."""

    def call_with_timeout(*arguments: Any) -> Any:
        return verb(*arguments, timeout=left())

    return call_with_timeout
