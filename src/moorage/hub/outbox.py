"""Calls that are written down in the host's transaction and made afterwards, plain and awaited."""

from __future__ import annotations

import inspect
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Final, NoReturn

from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import EntryPage, EntryQuery, EntryState
from moorage.domain.entries.renewal import entry_lease
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.secrets.frames import bare
from moorage.errors import ConfigurationError, ConnectorError, InvalidData
from moorage.faces.email import Email
from moorage.faces.payments import Payments
from moorage.faces.shipping import Shipping
from moorage.faces.sms import Sms
from moorage.faces.storage import Storage
from moorage.runtime.bridge import awaited, blocking, lift, run_now
from moorage.services.entries.outbox import REQUEST, Delivered, OutboxFlows
from moorage.services.entries.processing import Worked
from moorage.wiring.core_assembly import sync_core
from moorage.wiring.entry_stores import async_entry_store, sync_entry_store
from moorage.wiring.ports import Ports
from moorage.wiring.renewing import entry_renewals

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Self

    from moorage.hub.hub import AsyncHub, Hub
    from moorage.ports.chance import Ids, Randomness
    from moorage.ports.cipher import Cipher
    from moorage.ports.clock import Clock
    from moorage.ports.outbox import AsyncOutboxStorage, OutboxStorage
    from moorage.services.core.core import Core
    from moorage.services.entries.outbox import Call
    from moorage.services.entries.processing import EntryStore, Stop

__all__ = [
    "AsyncOutbox",
    "Delivered",
    "EntryPage",
    "EntryQuery",
    "EntryState",
    "Outbox",
    "OutboxEntry",
    "Worked",
]

_RETRY: Final = RetryPolicy(max_attempts=12, base_delay=5.0, max_delay=3_600.0)
_KEY: Final = "idempotency_key"

VERBS: Final[Mapping[str, tuple[Any, frozenset[str]]]] = {
    "email": (Email, frozenset({"send_transactional", "send_bulk"})),
    "payments": (
        Payments,
        frozenset(
            {"create_intent", "authorize", "charge", "complete", "capture", "void", "refund"}
        ),
    ),
    "shipping": (Shipping, frozenset({"create_shipment", "create_many", "cancel"})),
    "sms": (Sms, frozenset({"send", "send_bulk", "cancel"})),
    "storage": (Storage, frozenset({"upload", "delete", "delete_many", "copy"})),
}
"""The contracts, with what has an effect there. What has no key does the same if it is repeated."""


class _Outbox:
    """What both colours share: what calls are made of."""

    _flows: OutboxFlows
    _storage: Any
    _adapt_store: Callable[[Any], EntryStore[Any]]

    def within(self, connection: Any, /) -> Self:
        """This outbox, but `put` writes in the transaction that a connection of yours has open.

        Args:
            connection: what `within` of the store takes, such as a DB-API connection or a session
                of SQLAlchemy.

        Raises:
            ConfigurationError: the store cannot write there, or nothing can be rolled back there.
        """
        if not hasattr(self._storage, "within"):
            raise ConfigurationError(
                f"a {type(self._storage).__name__} cannot write in a transaction that it is given.",
                path="storage",
                remedy="Use SqliteOutbox or SqlOutbox; or call `put` itself, if the store knows"
                " the host's transaction.",
            )
        other = copy(self)
        other._flows = copy(self._flows)  # noqa: SLF001 - a copy of this
        other._flows.store = self._adapt_store(self._storage.within(connection))  # noqa: SLF001 - as above
        return other

    def _deliver(
        self, call: Call, hub: Hub | AsyncHub, **options: Any
    ) -> Coroutine[Any, Any, Delivered]:
        return self._flows.deliver(call, hub.unsettled, utc=_clock_of(hub), **options)

    def made_of(self, entry: OutboxEntry) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The values that a call was put with, and its options."""
        return self._flows.made_of(entry)


class Outbox(_Outbox):
    """Writes calls down in the host's own transaction, and makes them once that is committed.

    Each call is made at least once, under a key of its own, so that it has its effect once.

    Args:
        storage: where calls are written down.
        retry: how often and at what pace a call is tried before it is given up.
        lease: seconds for which a worker that died or stands still keeps a call from others: by
            default 1.5. A living worker renews it, however long it takes.
        cipher: seals what is written down.
        clock, ids, randomness: the remaining ports.
    """

    def __init__(
        self,
        storage: OutboxStorage,
        *,
        retry: RetryPolicy = _RETRY,
        lease: float | timedelta | None = None,
        cipher: Cipher | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self._storage = storage
        core, store = _core(cipher, clock, ids, randomness), self._adapt_store(storage)
        self._flows = OutboxFlows(
            core,
            store,
            retry=retry,
            lease=entry_lease(lease),
            renewals=entry_renewals(core, storage, store, awaited=False),
            check=_check,
        )

    _adapt_store = staticmethod(sync_entry_store)
    put = blocking(OutboxFlows.put)
    put_request = blocking(OutboxFlows.put_request)
    stuck = blocking(OutboxFlows.stuck)
    find = blocking(OutboxFlows.find)
    replay = blocking(OutboxFlows.replay)
    cancel = blocking(OutboxFlows.cancel)
    drop = blocking(OutboxFlows.drop)
    forget = blocking(OutboxFlows.forget)
    remove = blocking(OutboxFlows.remove)

    def deliver(
        self,
        hub: Hub,
        *,
        limit: int = 100,
        ids: Iterable[str] | None = None,
        stop: Stop | None = None,
        timeout: float | timedelta | None = None,
    ) -> Delivered:
        """Make up to `limit` calls that are due, one after another, and say what became of each.

        If there are fewer, calls that move money and ended `unknown` are settled as well, once
        their outcome is known: by `settle_payments`, by a person, or by another worker. Nothing is
        sent for them.

        Use it outside of the host's transactions: nothing of ours is held while a vendor is called.

        Args:
            hub: makes the calls.
            limit: how many calls at most.
            ids: makes only the calls of these ids that are due, so that nobody has to wait for the
                calls of others.
            stop: an event; when it is set, no other call is begun.
            timeout: seconds after which no other call is begun, and the store is waited for no
                longer. A call that was begun has its own time.
        """

        def call(entry: OutboxEntry, values: tuple[Any, ...], options: dict[str, Any]) -> Any:
            return _call(hub, entry, values, options)

        delivery = self._deliver(lift(call), hub, limit=limit, ids=ids, stop=stop, timeout=timeout)
        return run_now(delivery)


class AsyncOutbox(_Outbox):
    """As `Outbox`, awaited.

    Args:
        storage: where calls are written down.
        retry: how often and at what pace a call is tried before it is given up.
        lease: seconds for which a worker that died or stands still keeps a call from others: by
            default 1.5. A living worker renews it, however long it takes.
        cipher: seals what is written down.
        clock, ids, randomness: the remaining ports.
    """

    def __init__(
        self,
        storage: AsyncOutboxStorage,
        *,
        retry: RetryPolicy = _RETRY,
        lease: float | timedelta | None = None,
        cipher: Cipher | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self._storage = storage
        core, store = _core(cipher, clock, ids, randomness), self._adapt_store(storage)
        self._flows = OutboxFlows(
            core,
            store,
            retry=retry,
            lease=entry_lease(lease),
            renewals=entry_renewals(core, storage, store, awaited=True),
            check=_check,
        )

    _adapt_store = staticmethod(async_entry_store)
    put = awaited(OutboxFlows.put)
    put_request = awaited(OutboxFlows.put_request)
    stuck = awaited(OutboxFlows.stuck)
    find = awaited(OutboxFlows.find)
    replay = awaited(OutboxFlows.replay)
    cancel = awaited(OutboxFlows.cancel)
    drop = awaited(OutboxFlows.drop)
    forget = awaited(OutboxFlows.forget)
    remove = awaited(OutboxFlows.remove)

    async def deliver(
        self,
        hub: AsyncHub,
        *,
        limit: int = 100,
        ids: Iterable[str] | None = None,
        stop: Stop | None = None,
        timeout: float | timedelta | None = None,
    ) -> Delivered:
        """Make up to `limit` calls that are due, one after another, and say what became of each.

        If there are fewer, calls that move money and ended `unknown` are settled as well, once
        their outcome is known: by `settle_payments`, by a person, or by another worker. Nothing is
        sent for them.

        Use it outside of the host's transactions: nothing of ours is held while a vendor is called.

        Args:
            hub: makes the calls.
            limit: how many calls at most.
            ids: makes only the calls of these ids that are due, so that nobody has to wait for the
                calls of others.
            stop: an event; when it is set, no other call is begun.
            timeout: seconds after which no other call is begun, and the store is waited for no
                longer. A call that was begun has its own time.
        """

        async def call(entry: OutboxEntry, values: tuple[Any, ...], options: dict[str, Any]) -> Any:
            return await _call(hub, entry, values, options)

        return await self._deliver(call, hub, limit=limit, ids=ids, stop=stop, timeout=timeout)


def _core(
    cipher: Cipher | None, clock: Clock | None, ids: Ids | None, randomness: Randomness | None
) -> Core:
    # What an outbox needs of its ports is plain in both colours.
    return sync_core(Ports(cipher=cipher, clock=clock, ids=ids, randomness=randomness)).core


def _clock_of(hub: Hub | AsyncHub) -> Callable[[], datetime]:
    """The clock by which errors of a hub say when to come back."""
    return hub.manager.flows.core.utc


def _call(
    hub: Hub | AsyncHub, entry: OutboxEntry, values: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Make a call of an entry; of a hub that is awaited, what is to be awaited."""
    if entry.verb == REQUEST:
        return hub.manager.call(
            *values,
            tenant=entry.tenant,
            subject=entry.subject,
            idempotency_key=entry.key,
            **options,
        )
    operations = getattr(hub, entry.contract)(entry.tenant, subject=entry.subject)
    verb = getattr(operations, entry.verb)
    if _KEY in inspect.signature(verb).parameters:
        options = {_KEY: entry.key, **options}
    return verb(*values, **options)


# --- what is checked at once ------------------------------------------------------------


class _ReachedError(Exception):
    """A call has passed all checks, and would be handed to a vendor now."""


class _NoDispatcher:
    """Stands where calls are handed to vendors."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _ReachedError(name)


async def _no_dispatcher(_: str | None) -> Any:
    return _NoDispatcher()


def _check(contract: str, verb: str, values: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Take a call as far as it goes without a vendor."""
    if contract not in VERBS:
        raise InvalidData(
            f"There is no contract {contract!r}.",
            field="contract",
            remedy=f"Use one of: {', '.join(VERBS)}; or `put_request` for another service.",
        )
    face, verbs = VERBS[contract]
    if verb not in verbs:
        raise InvalidData(
            f"{verb!r} of {contract} cannot be put off.",
            field="verb",
            remedy=f"Use one of: {', '.join(sorted(verbs))}.",
        )
    if _KEY in options:
        raise InvalidData(
            "A call that is written down names itself to the vendor.",
            field=_KEY,
            remedy="Leave it out, and give key= so that the call is written down once.",
        )
    method = getattr(face(_no_dispatcher, None), verb)
    if _KEY in inspect.signature(method).parameters:
        options = {**options, _KEY: "checked"}
    refused = _refusal(method, values, options)
    if refused is not None:
        del values, options
        raise bare(refused)


def _is_of(error: AttributeError | TypeError, values: Sequence[Any]) -> bool:
    """Whether an error is about values that were given, and no mistake of moorage's own."""
    if isinstance(error, AttributeError):
        several: list[Any] = [value for value in values if isinstance(value, (list, tuple))]
        inner = [argument for value in several for argument in value]
        return any(error.obj is argument for argument in (*values, *inner))
    # A type error does not say of which value it is. Values of the contracts were checked.
    return not all(type(value).__module__.startswith("moorage.") for value in values)


def _refusal(
    method: Any, values: tuple[Any, ...], options: dict[str, Any]
) -> ConnectorError | None:
    """Why a call cannot be made; None if nothing speaks against it."""
    try:
        inspect.signature(method).bind(*values, **options)
    except TypeError:
        return _unfit(method)
    try:
        with suppress(_ReachedError):
            method(*values, **options)
    except ConnectorError as error:
        return error
    except (AttributeError, TypeError) as error:
        if not _is_of(error, [*values, *options.values()]):
            raise
        return _unfit(method)
    return None


def _unfit(method: Any) -> InvalidData:
    return InvalidData(
        f"{method.__name__} takes other values, or other options.",
        field="values",
        remedy=f"Give what it takes: {inspect.signature(method)}.",
    )
