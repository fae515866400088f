"""The outbox: calls that are stored in a transaction and made after its commit."""

from __future__ import annotations

import inspect
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from moorage import operations
from moorage.contracts.catalog import CONTRACTS
from moorage.contracts.catalog import contract as declaration
from moorage.contracts.undo import FromAnswer, Undo
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.pauses import Pause
from moorage.domain.entries.queue import EntryPage, EntryQuery, EntryState
from moorage.domain.entries.renewal import entry_lease
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.durations import count
from moorage.domain.values.text import with_article
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError, ConnectorError, InvalidData
from moorage.hub.internals import core_of
from moorage.runtime.flows import as_async, async_method, blocking_method, documented_by, run_now
from moorage.runtime.signatures import with_arguments_of
from moorage.services.entries.outbox import REQUEST, DeliveredCalls, OutboxFlows
from moorage.services.entries.processing import Concurrency, ProcessedEntry
from moorage.wiring.core_assembly import audit_verb, sync_core
from moorage.wiring.entry_stores import async_entry_store, sync_entry_store
from moorage.wiring.entry_tracing import HostTracing
from moorage.wiring.ports import Ports
from moorage.wiring.renewing import entry_renewals

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from datetime import timedelta
    from typing import Self

    from moorage.hub.hub import AsyncHub, Hub
    from moorage.ports.audit import AuditTrail
    from moorage.ports.chance import Ids, Randomness
    from moorage.ports.cipher import Cipher
    from moorage.ports.clock import Clock
    from moorage.ports.entry_tracing import EntryTracing
    from moorage.ports.outbox import AsyncOutboxStorage, OutboxStorage
    from moorage.services.core.core import Core
    from moorage.services.entries.outbox import Call
    from moorage.services.entries.processing import StopSignal
    from moorage.services.entries.store import EntryStore

__all__ = [
    "AsyncOutbox",
    "DeliveredCalls",
    "EntryPage",
    "EntryQuery",
    "EntryState",
    "FromAnswer",
    "Outbox",
    "OutboxEntry",
    "Pause",
    "ProcessedEntry",
    "Undo",
]

_MOST_AT_ONCE: Final = 1_000
_RETRY: Final = RetryPolicy(max_attempts=12, base_delay=5.0, max_delay=3_600.0)
_KEY: Final = "idempotency_key"


class _Outbox(Uncopyable):
    """The code that the synchronous and the asynchronous outbox share; no method blocks."""

    _flows: OutboxFlows
    _storage: Any
    _adapt_store: Callable[[Any], EntryStore[Any]]
    _is_async: bool

    def _start(
        self,
        storage: Any,
        core: Core,
        retry: RetryPolicy,
        lease: float | timedelta | None,
        tracing: EntryTracing | None,
    ) -> None:
        self._storage = storage
        store = self._adapt_store(storage)
        self._flows = OutboxFlows(
            core,
            store,
            retry=retry,
            lease=entry_lease(lease),
            renewals=entry_renewals(core, storage, store, is_async=self._is_async),
            tracing=tracing or HostTracing(),
            check=_check_call,
        )

    def within(self, connection: Any, /) -> Self:
        """Return an outbox whose `put` writes in the open transaction of a host's connection.

        Args:
            connection: the connection, in a form that the store's `within` accepts, such as a
                DB-API connection or a session of SQLAlchemy.

        Raises:
            ConfigurationError: the store cannot write to this connection, or the connection cannot
                roll back.
        """
        if not hasattr(self._storage, "within"):
            raise ConfigurationError(
                f"The store {type(self._storage).__name__} cannot write in a transaction of your"
                " application.",
                path="storage",
                remedy="Use SqliteOutbox or SqlOutbox. If the store already writes in the"
                " application's transaction, call `put` of the outbox instead.",
            )
        flows = copy(self._flows)
        flows.store = self._adapt_store(self._storage.within(connection))
        return self._with_flows(flows)

    def with_audit(self, trail: AuditTrail | None) -> Self:
        """Return this outbox with an audit trail that records manual actions on it.

        Args:
            trail: the trail, such as `hub.audit`. An outbox with an audit trail keeps its own.
        """
        if trail is None or self._flows.core.audit is not None:
            return self
        flows = copy(self._flows)
        record = audit_verb(trail, is_async=self._is_async)
        flows.core = attrs.evolve(self._flows.core, audit=record)
        return self._with_flows(flows)

    def _with_flows(self, flows: OutboxFlows) -> Self:
        """Return an outbox with the same store and with these operations."""
        outbox = object.__new__(type(self))
        vars(outbox).update(vars(self), _flows=flows)
        return outbox

    def _deliver(
        self, call: Call, hub: Hub | AsyncHub, at_once: int, **options: Any
    ) -> Coroutine[Any, Any, DeliveredCalls]:
        if not hasattr(hub, "unsettled"):
            raise ConfigurationError(
                f"The outbox delivers calls of a hub, not of {with_article(type(hub).__name__)}.",
                path="hub",
                remedy="Pass the Hub or AsyncHub that has the accounts of the calls.",
            )
        core = core_of(hub.manager)
        concurrency = Concurrency(count(at_once, "at_once", most=_MOST_AT_ONCE), core.run_all)
        return self._flows.deliver(
            call, hub.unsettled, utc=core.utc, concurrency=concurrency, **options
        )

    def arguments_of(self, entry: OutboxEntry) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the values and options with which a call was stored."""
        return self._flows.arguments_of(entry)


class Outbox(_Outbox):
    """Stores calls in the application's own transaction, and makes them after its commit.

    Each call is sent at least once, under an idempotency key of its own, so that it has its effect
    once.

    Args:
        storage: the store of the calls.
        retry: the maximum number of tries of a call, and the delays between them.
        lease: seconds after which other workers may take the call of a worker that died or hangs:
            by default 1.5, and 10 in a SQLite file. A living worker renews its lease for as long
            as the call takes.
        cipher: encrypts the stored calls.
        clock, ids, randomness: the remaining ports.
        tracing: makes spans of the calls; by default OpenTelemetry, if the program uses it.
        audit: records the entries that a person replays, drops or pauses.
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
        tracing: EntryTracing | None = None,
        audit: AuditTrail | None = None,
    ) -> None:
        core = _core(cipher, clock, ids, randomness, audit, is_async=self._is_async)
        self._start(storage, core, retry, lease, tracing)

    _is_async = False
    _adapt_store = staticmethod(sync_entry_store)
    put = blocking_method(OutboxFlows.put)
    put_request = blocking_method(OutboxFlows.put_request)
    stuck = blocking_method(OutboxFlows.stuck)
    backlog = blocking_method(OutboxFlows.backlog)
    find = blocking_method(OutboxFlows.find)
    replay = blocking_method(OutboxFlows.replay)
    cancel = blocking_method(OutboxFlows.cancel)
    drop = blocking_method(OutboxFlows.drop)
    forget = blocking_method(OutboxFlows.forget)
    remove = blocking_method(OutboxFlows.remove)
    pause = blocking_method(OutboxFlows.pause)
    resume = blocking_method(OutboxFlows.resume)
    pauses = blocking_method(OutboxFlows.pauses)

    def deliver(
        self,
        hub: Hub,
        *,
        limit: int = 100,
        ids: Iterable[str] | None = None,
        stop: StopSignal | None = None,
        timeout: float | timedelta | None = None,
        at_once: int = 1,
    ) -> DeliveredCalls:
        """Make up to `limit` calls that are due; return their results.

        If fewer are due, calls that move money and ended `unknown` are settled as well, once their
        outcome was determined by `settle_payments`, a person or another worker. Nothing is sent for
        them.

        Call it outside of the host application's transactions: no transaction of the store is open
        while a vendor is called.

        Args:
            hub: makes the calls.
            limit: the maximum number of calls.
            ids: make only those due calls that have these ids.
            stop: an event; once it is set, no other call is begun.
            timeout: seconds after which no other call is begun, and the store is waited for no
                longer. A call that has begun keeps its own timeout.
            at_once: the number of concurrent calls, each in a thread or a task of its own. Calls
                with the same `order` are made one after another in any case, and so are those of
                `ids`.
        """

        def call(entry: OutboxEntry, values: tuple[Any, ...], options: dict[str, Any]) -> Any:
            return _call(hub, entry, values, options)

        delivery = self._deliver(
            as_async(call), hub, at_once, limit=limit, ids=ids, stop=stop, timeout=timeout
        )
        return run_now(delivery)


@with_arguments_of(Outbox)
class AsyncOutbox(_Outbox):
    """The asynchronous `Outbox`."""

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
        tracing: EntryTracing | None = None,
        audit: AuditTrail | None = None,
    ) -> None:
        core = _core(cipher, clock, ids, randomness, audit, is_async=self._is_async)
        self._start(storage, core, retry, lease, tracing)

    _is_async = True
    _adapt_store = staticmethod(async_entry_store)
    put = async_method(OutboxFlows.put)
    put_request = async_method(OutboxFlows.put_request)
    stuck = async_method(OutboxFlows.stuck)
    backlog = async_method(OutboxFlows.backlog)
    find = async_method(OutboxFlows.find)
    replay = async_method(OutboxFlows.replay)
    cancel = async_method(OutboxFlows.cancel)
    drop = async_method(OutboxFlows.drop)
    forget = async_method(OutboxFlows.forget)
    remove = async_method(OutboxFlows.remove)
    pause = async_method(OutboxFlows.pause)
    resume = async_method(OutboxFlows.resume)
    pauses = async_method(OutboxFlows.pauses)

    @documented_by(Outbox.deliver)
    async def deliver(  # noqa: D102 - documented by its twin
        self,
        hub: AsyncHub,
        *,
        limit: int = 100,
        ids: Iterable[str] | None = None,
        stop: StopSignal | None = None,
        timeout: float | timedelta | None = None,
        at_once: int = 1,
    ) -> DeliveredCalls:

        async def call(entry: OutboxEntry, values: tuple[Any, ...], options: dict[str, Any]) -> Any:
            return await _call(hub, entry, values, options)

        return await self._deliver(
            call, hub, at_once, limit=limit, ids=ids, stop=stop, timeout=timeout
        )


def _core(
    cipher: Cipher | None,
    clock: Clock | None,
    ids: Ids | None,
    randomness: Randomness | None,
    audit: AuditTrail | None,
    *,
    is_async: bool,
) -> Core:
    # Of all ports of an outbox, only the audit trail has to be awaited.
    ports = Ports(cipher=cipher, clock=clock, ids=ids, randomness=randomness, audit=audit)
    core = sync_core(ports).core
    return attrs.evolve(core, audit=audit_verb(audit, is_async=is_async))


def _call(
    hub: Hub | AsyncHub, entry: OutboxEntry, values: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Make the stored call of an entry; return an awaitable if the hub is asynchronous."""
    if entry.verb == REQUEST:
        return hub.manager.call(
            *values,
            tenant=entry.tenant,
            subject=entry.subject,
            idempotency_key=entry.key,
            **options,
        )
    contract_api = getattr(hub, entry.contract)(entry.tenant, subject=entry.subject)
    verb = getattr(contract_api, entry.verb)
    if _KEY in inspect.signature(verb).parameters:
        options = {_KEY: entry.key, **options}
    return verb(*values, **options)


# --- checks when a call is stored -------------------------------------------------------


class _CheckPassedError(Exception):
    """Raised instead of sending a call, because it has passed all checks."""


class _NoDispatcher:
    """A replacement for a dispatcher that checks calls without sending them."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _CheckPassedError(name)


async def _no_dispatcher(_: str | None) -> Any:
    return _NoDispatcher()


def _check_call(contract: str, verb: str, values: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Check a call before it is stored, as far as possible without its vendor."""
    if contract not in CONTRACTS:
        raise InvalidData(
            f"There is no contract {contract!r}.",
            field="contract",
            remedy=f"Use one of: {', '.join(sorted(CONTRACTS))};"
            " or `put_request` for another service.",
        )
    verbs = declaration(contract).deferrable()
    if verb not in verbs:
        raise InvalidData(
            f"The operation {verb!r} of {contract} cannot be stored for later.",
            field="verb",
            remedy=f"Use one of: {', '.join(sorted(verbs))}.",
        )
    if _KEY in options:
        raise InvalidData(
            "The outbox chooses the idempotency key of a stored call itself.",
            field=_KEY,
            remedy="Omit idempotency_key, and pass key= so that the call is stored only once.",
        )
    contract_api = getattr(operations, contract.capitalize())(_no_dispatcher, None)
    method = getattr(contract_api, verb)
    if _KEY in inspect.signature(method).parameters:
        options = {**options, _KEY: "checked"}
    refusal = _refusal(method, values, options)
    if refusal is not None:
        del values, options
        raise without_frames(refusal)


def _is_argument_error(error: AttributeError | TypeError, values: Sequence[Any]) -> bool:
    """Return whether an error comes from a call's arguments, and not from a defect of moorage."""
    if isinstance(error, AttributeError):
        sequences: list[Any] = [value for value in values if isinstance(value, (list, tuple))]
        elements = [argument for value in sequences for argument in value]
        return any(error.obj is argument for argument in (*values, *elements))
    # A TypeError does not name the wrong value; instances of moorage's classes were checked.
    return not all(type(value).__module__.startswith("moorage.") for value in values)


def _refusal(
    method: Any, values: tuple[Any, ...], options: dict[str, Any]
) -> ConnectorError | None:
    """Return why the contract refuses a call; None if the call can be made."""
    try:
        inspect.signature(method).bind(*values, **options)
    except TypeError:
        return _unfit_error(method)
    if any(isinstance(value, FromAnswer) for value in (*values, *options.values())):
        return None
    try:
        with suppress(_CheckPassedError):
            method(*values, **options)
    except ConnectorError as error:
        return error
    except (AttributeError, TypeError) as error:
        if not _is_argument_error(error, [*values, *options.values()]):
            raise
        return _unfit_error(method)
    return None


def _unfit_error(method: Any) -> InvalidData:
    return InvalidData(
        f"{method.__name__} does not accept these values or options.",
        field="values",
        remedy=f"Pass what its signature requires: {inspect.signature(method)}.",
    )
