"""Calls that are stored in the host's database transaction and made after its commit."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.payments import KIND
from moorage.contracts.undo import Undo
from moorage.contracts.value_codec import pack, unpack
from moorage.domain.entries.chains import joined_ids, predecessor_ids
from moorage.domain.entries.outbox import OutboxEntry, fate_of
from moorage.domain.entries.queue import (
    STUCK,
    EntryQuery,
    EntryState,
    ErrorConsequence,
    cancel_entry,
    lane_of,
    with_trace,
)
from moorage.domain.http.requests import Request
from moorage.domain.idempotency.claims import checked_key
from moorage.domain.secrets.frames import without_frames
from moorage.domain.secrets.sensitive import is_sensitive
from moorage.domain.values.json_text import is_list
from moorage.domain.values.kinds import checked_kind
from moorage.domain.values.result import Result
from moorage.domain.values.text import storable_text, with_article
from moorage.errors import ConnectorError, InvalidData, StorageUnavailable
from moorage.services.contracts.payment_effects import Request as PaymentRequest
from moorage.services.entries.chains import (
    ChainPosition,
    ChainProcessing,
    checked_undo,
    refuse_parts_of_answers,
)
from moorage.services.entries.processing import ONE_AT_A_TIME, PartlyDoneError, Round

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from moorage.domain.entries.queue import EntryPage
    from moorage.domain.resilience.retry import RetryPolicy
    from moorage.ports.entry_tracing import EntryTracing
    from moorage.services.contracts.unsettled_payments import UnsettledFlows
    from moorage.services.core.core import Core
    from moorage.services.core.renewal import EntryRenewals
    from moorage.services.entries.processing import Concurrency, ProcessedEntry, StopSignal
    from moorage.services.entries.store import EntryStore

_PAGE: Final = 100
"""The number of outbox calls with unknown outcome that a worker reads in one round."""

_WORST: Final = (
    ErrorConsequence.DOUBT,
    ErrorConsequence.AGAIN,
    ErrorConsequence.NEVER,
    ErrorConsequence.SPENT,
)

_CANCELLABLE_STATES: Final = frozenset({EntryState.WAITING, EntryState.BLOCKED, EntryState.DEAD})

REQUEST: Final = "call"
"""The operation's name for an outbox entry that is a request to a service."""

Check: TypeAlias = "Callable[[str, str, tuple[Any, ...], dict[str, Any]], None]"
Call: TypeAlias = "Callable[[OutboxEntry, tuple[Any, ...], dict[str, Any]], Awaitable[Any]]"


@attrs.define
class _UnknownCallsCursor:
    """A worker's position in the list of stored calls with an unknown outcome.

    Attributes:
        after: the position at which the next page begins.
        seen: ids and fencing tokens of the calls that the current pass over the list has looked up.
        known: ids and fencing tokens of the calls that the current or the previous pass has
            looked up; these calls are not looked up again.
    """

    after: str | None = None
    seen: set[tuple[str, int]] = attrs.field(factory=set)
    known: set[tuple[str, int]] = attrs.field(factory=set)

    def needs_lookup(self, entry: OutboxEntry) -> bool:
        """Return whether to look up the outcome of this call in this round."""
        if entry.state is not EntryState.UNKNOWN:
            return False
        name = (entry.id, entry.fence)
        if name not in self.known:
            return True
        self.seen.add(name)
        return False

    def count_lookup(self, entry: OutboxEntry) -> None:
        """Record that a call was looked up, so that this round does not look it up again."""
        self.seen.add((entry.id, entry.fence))

    def next_page(self, page: EntryPage[OutboxEntry]) -> None:
        """Continue with the next page of calls; after the last page, with the first."""
        self.after = page.next
        if self.after is None:
            self.known, self.seen = self.seen, set()


@attrs.frozen(kw_only=True)
class DeliveredCalls(Round[OutboxEntry]):
    """The results of the outbox calls that were made; `worked` contains the vendors' responses."""


class OutboxFlows(ChainProcessing):
    """The operations of an outbox of calls.

    Args:
        core: clock, randomness, and the cipher of contents.
        store: the store.
        retry: maximum number of attempts for a call, and the delays between them.
        lease: seconds that a worker keeps a call without renewing its lease; None for the minimum.
        renewals: renews the calls that are being worked on.
        tracing: makes spans of calls that are stored and made.
        check: refuses a call that no vendor could execute.
    """

    _kind = OutboxEntry

    def __init__(
        self,
        core: Core,
        store: EntryStore[OutboxEntry],
        *,
        retry: RetryPolicy,
        lease: float | None,
        renewals: EntryRenewals,
        tracing: EntryTracing,
        check: Check,
    ) -> None:
        super().__init__(
            core,
            store,
            name="outbox",
            retry=retry,
            lease=lease,
            renewals=renewals,
            tracing=tracing,
            judge=fate_of,
        )
        self._check = check
        self._look = _UnknownCallsCursor()
        self._position = ChainPosition()

    async def put(
        self,
        contract: str,
        verb: str,
        /,
        *values: Any,
        tenant: str | None = None,
        key: str | None = None,
        order: str | None = None,
        subject: str | None = None,
        not_before: datetime | timedelta | None = None,
        priority: int = 0,
        after: Iterable[str | OutboxEntry] = (),
        undo: Undo | None = None,
        store_timeout: float | timedelta | None = None,
        **options: Any,
    ) -> OutboxEntry:
        """Store a contract's operation, to be executed after the surrounding transaction commits.

        Nothing is sent to a vendor yet. The call is checked immediately, as far as that is possible
        without the vendor.

        Args:
            contract: the name of the contract, such as "email".
            verb: the name of the operation, such as "send_transactional"; it must have an effect.
            values: the arguments of the operation.
            tenant: the tenant of the call.
            key: identifies this call: of several calls with one key only the first is made.
            order: calls with the same order are made one after another, each when the call before
                it is done.
            subject: the person whose data the call is about.
            not_before: the earliest time of the call: a moment, or a duration from now. The store's
                clock counts, not the caller's.
            priority: due calls with a higher priority are made first; calls with the same order
                keep their sequence.
            after: the stored calls that must be done before this one, or their ids. If one of them
                fails for good, this call is given up.
            undo: the call that undoes this one, if a later call of its chain fails for good.
            store_timeout: the maximum number of seconds for the store; by default the store's own
                limit. In your own transaction, the limits of your connection apply.
            options: the arguments of the operation by name.

        Raises:
            InvalidData: no vendor could execute the call, or it has a value that cannot be stored.
            StorageUnavailable: the call could not be stored.
        """
        refuse_parts_of_answers((*values, *options.values()))
        self._check(contract, verb, values, options)
        if undo is not None:
            self._check_undo(undo)
        return await self._add(
            contract,
            verb,
            (values, options) if undo is None else (values, options, undo),
            tenant=tenant,
            key=key,
            order=order,
            subject=subject,
            not_before=not_before,
            priority=priority,
            after=after,
            store_timeout=store_timeout,
        )

    def _check_undo(self, undo: Undo) -> None:
        checked_undo(undo)
        self._check(undo.contract, undo.verb, tuple(undo.values), dict(undo.options))

    async def put_request(
        self,
        service: str,
        request: Request,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        key: str | None = None,
        order: str | None = None,
        subject: str | None = None,
        not_before: datetime | timedelta | None = None,
        priority: int = 0,
        after: Iterable[str | OutboxEntry] = (),
        undo: Request | None = None,
        store_timeout: float | timedelta | None = None,
    ) -> OutboxEntry:
        """Store a request to a service, to be sent after the surrounding transaction commits.

        Args:
            service: the name of the service.
            request: the request, without credentials, which the service adds.
            tenant: the tenant of the call.
            endpoint: the endpoint whose settings apply.
            key: identifies this call: of several calls with one key only the first is made.
            order: calls with the same order are made one after another, each when the call before
                it is done.
            subject: the person whose data the call is about.
            not_before: the earliest time of the call: a moment, or a duration from now.
            priority: due calls with a higher priority are made first; calls with the same order
                keep their sequence.
            after: the stored calls that must be done before this one, or their ids. If one of them
                fails for good, this request is given up.
            undo: the request to the same service that undoes this one, if a later call of its chain
                fails for good.
            store_timeout: the maximum number of seconds for the store; by default the store's own
                limit. In your own transaction, the limits of your connection apply.
        """
        _check_request(request)
        if endpoint is not None:
            checked_kind(endpoint, str, "endpoint")
        options = {"endpoint": endpoint}
        call_arguments: tuple[Any, ...] = ((service, request), options)
        if undo is not None:
            _check_request(undo)
            call_arguments = (*call_arguments, Undo(service, REQUEST, (service, undo), options))
        return await self._add(
            service,
            REQUEST,
            call_arguments,
            tenant=tenant,
            key=key,
            order=order,
            subject=subject,
            not_before=not_before,
            priority=priority,
            after=after,
            store_timeout=store_timeout,
        )

    async def _add(
        self,
        target: str,
        verb: str,
        call_arguments: tuple[Any, ...],
        *,
        tenant: str | None,
        key: str | None,
        order: str | None,
        subject: str | None,
        not_before: datetime | timedelta | None,
        priority: int,
        after: Iterable[str | OutboxEntry],
        store_timeout: float | timedelta | None,
    ) -> OutboxEntry:
        flows = self._with_time_limit(store_timeout, "store_timeout")
        _check_storable(tenant, "tenant")
        _check_storable(subject, "subject")
        if order is not None:
            checked_kind(order, str, "order")
        predecessors = joined_ids(after)
        if predecessors is not None and not_before is not None:
            raise InvalidData(
                "A call that waits for other calls cannot also have a start time.",
                field="not_before",
                remedy="Pass not_before or after, but not both.",
            )
        entry = OutboxEntry(
            id=self.core.new_id() if key is None else _digest(tenant, checked_key(key)),
            target=target,
            operation=verb,
            tenant=tenant,
            subject=subject,
            lane=None if order is None else lane_of(tenant, order, digest=_target_name),
            added_at=self.core.utc(),
            due=await flows._start(not_before),  # noqa: SLF001 - a copy of this
            priority=priority,
            state=EntryState.WAITING if predecessors is None else EntryState.BLOCKED,
            predecessors=predecessors,
        )
        if entry.id in predecessor_ids(entry):
            raise InvalidData(
                "`after` contains the call's own key, and a call cannot wait for itself.",
                field="after",
                remedy="Remove this key from `after`, or pass another key.",
            )
        closed_entry = self.closed(entry, pack(call_arguments))
        with self._tracing.sending(self._name, entry, None) as trace:
            return await flows.store.add(with_trace(closed_entry, trace))

    async def cancel(self, key: str, *, tenant: str | None = None) -> bool:
        """Cancel the stored call under a key; return False if it has already begun.

        The call is not cancelled if it was made, is being made, or may have been made. A cancelled
        call is never made, unless a person replays it.

        Args:
            key: the key that `put` received.
            tenant: the tenant of the call.

        Raises:
            InvalidData: no call was put under this key, or it was forgotten.
        """
        id = _digest(tenant, checked_key(key))
        while True:
            entry = await self.get(id)
            if entry.state not in _CANCELLABLE_STATES:
                return entry.state is EntryState.DROPPED
            if await self.store.swap(cancel_entry(entry, await self.store.now()), entry.fence):
                return True

    async def _start(self, not_before: datetime | timedelta | None) -> datetime | None:
        """Return the earliest time at which a call may be made, according to the store's clock."""
        if not_before is None:
            return None
        if isinstance(not_before, timedelta):
            now = await self.store.now()
            with suppress(OverflowError):
                return now + not_before
        elif isinstance(not_before, datetime) and not_before.utcoffset() is not None:
            # A store could write a time after the year 9999 in UTC, but could never read it again.
            with suppress(OverflowError):
                return not_before.astimezone(UTC)
        raise InvalidData(
            "not_before must be an aware datetime or a timedelta within the supported range,"
            f" not {not_before!r}.",
            field="not_before",
            remedy="Pass datetime.now(UTC), another datetime with a time zone, or a timedelta.",
        )

    async def deliver(
        self,
        call: Call,
        payments: UnsettledFlows,
        *,
        limit: int,
        utc: Callable[[], datetime],
        ids: Iterable[str] | None = None,
        stop: StopSignal | None = None,
        timeout: float | timedelta | None = None,
        concurrency: Concurrency = ONE_AT_A_TIME,
    ) -> DeliveredCalls:
        """Make up to `limit` due calls.

        If fewer are due, calls that move money and have an unknown outcome are settled as well, if
        their outcome has been stored meanwhile.

        Args:
            call: makes one call.
            payments: the register of payments whose outcome is unknown.
            limit: maximum number of calls.
            utc: the clock of the hub that makes the calls.
            ids: make only the due calls with these ids.
            stop: event; once it is set, no other call is begun.
            timeout: seconds after which no other call is begun, and waiting for the store ends.
            concurrency: number of concurrent calls.
        """

        async def work(entry: OutboxEntry) -> Any:
            values, options, undo = self._parts_of(entry)
            answer = await call(entry, values, options)
            failed_error = _failure(answer)
            if failed_error is not None:
                raise failed_error
            if undo is not None:
                await self._prepare_undo(entry, undo, answer)
            return answer

        flows = self._with_time_limit(timeout)
        given_up = [] if ids is not None else await flows._advance_chains(stop)  # noqa: SLF001 - a copy of this
        results = await flows.process_due_entries(
            work, limit, utc, ids, stop, concurrency=concurrency
        )
        if ids is None:
            # The results must be returned even if the store fails now; the next round reports the
            # failure.
            with suppress(StorageUnavailable):
                await flows._settle_unknown_calls(payments, results, limit, stop)  # noqa: SLF001 - a copy of this
        return DeliveredCalls(worked=(*given_up, *results))

    async def _settle_unknown_calls(
        self,
        payments: UnsettledFlows,
        processed_entries: list[ProcessedEntry[OutboxEntry]],
        limit: int,
        stop: StopSignal | None,
    ) -> None:
        """Settle calls of unknown outcome for which an outcome has been stored since.

        No request is sent to a vendor. Each round inspects another page of the calls of unknown
        outcome.
        """
        if len(processed_entries) >= limit or self._must_stop(stop):
            return
        # Entries that were given up are read too, because stores use one index for both states.
        query = EntryQuery(target=KIND, states=STUCK, limit=_PAGE, after=self._look.after)
        page = await self.store.find(query)
        unknown_calls = [
            candidate for candidate in page.items if self._look.needs_lookup(candidate)
        ]
        settlements = await payments.closed(
            [(candidate.tenant, candidate.key) for candidate in unknown_calls]
        )
        for entry in (
            candidate
            for candidate, is_closed in zip(unknown_calls, settlements, strict=True)
            if is_closed
        ):
            if len(processed_entries) >= limit or self._must_stop(stop):
                return
            outcome = await self._stored_outcome(payments, entry)
            self._look.count_lookup(entry)
            if outcome is not None:
                undo = self._parts_of(entry)[2]
                if undo is not None and outcome.error is None:
                    await self._prepare_undo(entry, undo, outcome.value)
                processed_entries += await self.settled(entry, outcome)
        self._look.next_page(page)

    async def _stored_outcome(
        self, payments: UnsettledFlows, entry: OutboxEntry
    ) -> Result[Any] | None:
        """Return the stored outcome of a call; None if it is missing or unreadable."""
        try:
            values, options = self.arguments_of(entry)
        except ConnectorError:
            return None
        return await payments.stored(
            entry.tenant, entry.key, PaymentRequest(entry.verb, values, options)
        )

    def arguments_of(self, entry: OutboxEntry) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a stored call: its values and its options."""
        values, options, _ = self._parts_of(entry)
        return values, options

    def _parts_of(self, entry: OutboxEntry) -> tuple[tuple[Any, ...], dict[str, Any], Undo | None]:
        """Return the arguments of a stored call, and the call that undoes it, if there is one."""
        values, options, *undos = unpack(self.open_content(entry))
        return values, options, undos[0] if undos else None


def _check_storable(value: str | None, field: str) -> None:
    """Refuse a string that some databases cannot store, before it breaks the host's transaction."""
    if isinstance(value, str) and storable_text(value) != value:
        raise InvalidData(
            f"{field} contains a NUL character or an unpaired surrogate.",
            field=field,
            remedy="Remove such characters, or pass an id of your system.",
        )


def _check_request(request: object) -> None:
    if not isinstance(request, Request):
        raise InvalidData(
            f"The request is {with_article(type(request).__name__)}.",
            field="request",
            remedy="Pass a moorage.Request, such as Request.post('/path', json={…}).",
        )
    sensitive_name = next((name for name in request.headers if is_sensitive(name)), None)
    if sensitive_name is not None:
        raise without_frames(
            InvalidData(
                f"The header {sensitive_name!r} may contain a secret, and would be stored with"
                " the call.",
                field="request.headers",
                remedy="Remove the header, and set credentials for the service.",
            )
        )


def _failure(answer: object) -> Exception | None:
    """Return the error that decides how an entry continues; None after a success."""
    errors = (
        [result.error for result in answer if isinstance(result, Result)] if is_list(answer) else []
    )
    worst_error = min(filter(None, errors), key=_uncertainty_rank, default=None)
    if (
        worst_error is not None
        and None in errors
        and fate_of(worst_error) is ErrorConsequence.SPENT
    ):
        return PartlyDoneError(worst_error)
    return worst_error


def _uncertainty_rank(error: Exception) -> int:
    return _WORST.index(fate_of(error))


def _digest(tenant: str | None, key: str) -> str:
    return _target_name(pack((tenant, key)))[:32]


def _target_name(name: bytes) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

    return sha256(name).hexdigest()
