"""The ports of a manager as async functions, or as ordinary functions if they never wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from moorage.domain.observation.call_identity import CallIdentity
from moorage.domain.observation.success_listeners import NO_LISTENERS, SuccessListeners
from moorage.domain.service.plan import AFTERWARDS
from moorage.domain.values.frozen_values import Factory, evolve, field, frozen
from moorage.services.core.concurrency_limits import ConcurrencyLimits
from moorage.services.core.digests import DigestChallenges
from moorage.services.core.nonces import Nonces
from moorage.services.core.refreshes import UnprovenRefreshes
from moorage.services.core.renewal import NoRenewals
from moorage.services.core.waiting import Waiters

if TYPE_CHECKING:
    from moorage.domain.auth.methods import Credentials, OAuthCredentials
    from moorage.domain.auth.sent_values import SecretLearner
    from moorage.domain.connectors.pool_statistics import PoolSource
    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.domain.observation.call_events import AttemptStarted, SuccessFacts
    from moorage.domain.observation.events import Event
    from moorage.domain.pipelines.settings import ObservedPipeline
    from moorage.domain.resilience.admission import Admission
    from moorage.domain.service.plan import Ask, Slots
    from moorage.domain.state.commands import Command
    from moorage.ports.cipher import Cipher
    from moorage.ports.http import AsyncIncoming
    from moorage.services.calling.guarded_cache import GuardedCache
    from moorage.services.core.renewal import Renewals
    from moorage.services.core.tenant_records import TenantRecords

R = TypeVar("R")
Flow: TypeAlias = Coroutine[Any, Any, R]
Step: TypeAlias = Callable[[], Awaitable[R]]

_LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def seconds_left(core: Core, until: int) -> float:
    """Return the seconds until a time of the local clock, as a time limit for the store.

    A record that must be written gets a moment even if no time is left.
    """
    return max(AFTERWARDS, (until - core.nanoseconds()) / 1e9)


def _wall_clock(utc: Callable[[], datetime]) -> Callable[[], int]:
    """Return a wall clock in nanoseconds since the Unix epoch, made from a clock of datetimes."""
    return lambda: (utc() - _EPOCH) // _MICROSECOND * 1_000


def _ignore_event(*_: object) -> None:
    """Ignore an event; used if the manager has no observers."""


def _no_listeners() -> SuccessListeners:
    """Return an empty list of observers; used if the manager has none."""
    return NO_LISTENERS


def _ignore_pools(pools: PoolSource, /) -> None:
    """Ignore an object that reports pool metrics, because no observer uses pool metrics."""


def _ignore_pipeline(pipeline: ObservedPipeline, /) -> None:
    """Ignore a pipeline, because no observer observes pipelines."""


async def _run_directly(work: Callable[[], R]) -> R:
    """Run a computation directly, because there is no event loop to keep free."""
    return work()


@frozen(kw_only=True)
class Core:
    """The ports of one manager, in one form for synchronous and asynchronous operations.

    Attributes:
        execute: runs a command in the store, with the seconds left until the caller's deadline, or
            None without one.
        separate_keys: whether idempotency keys are in another store or on another node than
            circuits and limits, so that no command may combine them.
        compares_bytes: whether the store of the keys is this process's memory, which may hold the
            bytes from which a fingerprint is computed.
        waits: whether the store may make its callers wait.
        ask: `execute` if the store never makes its callers wait; otherwise None.
        prepare: returns a faster `ask` for the admissions of one plan; None if the store has none.
        post: runs a command whose answer is not needed, without waiting for it.
        send: sends a request and returns the whole response.
        open: sends a request and returns the response with its body still to be read.
        learn: receives the credential of each attempt, if the HTTP client logs what it sends.
        sleep: waits for some seconds.
        acquire: waits for a slot of a lock or bulkhead; returns whether the caller got one.
        slots: returns the functions that take and release a slot of a bulkhead without waiting;
            None if the locks cannot decide immediately whether a slot is free.
        release: gives a slot of a lock or bulkhead back.
        run_all: runs several steps at once and returns their results.
        first: starts steps one after another, and returns the first good result.
        cache: stores HTTP responses.
        get_credentials: returns the current credentials of a service and a tenant.
        refresh_credentials: returns credentials that replace those that the vendor refused.
        store_credentials: stores the credentials of a consent; None if the credential provider
            cannot store any.
        unstored_tokens: new tokens of consents that could not be stored yet, each with the token
            that it replaces, by the name and the tenant of the consent.
        negotiate: makes a token for a host, for Negotiate.
        settle: receives the result of a user's function: the async manager awaits an awaitable,
            the sync one refuses it.
        within: waits for an awaitable for a limited number of seconds.
        copy: makes an independent copy of a user's value.
        run_computation: runs a long computation without blocking an event loop.
        nanoseconds: reads the local clock.
        utc: reads the wall clock.
        wall: reads the wall clock as nanoseconds since the Unix epoch.
        new_id: makes a correlation id.
        late_id: makes the correlation id of a call that started at a given time, in milliseconds
            since the Unix epoch, when the id is first read; None if `new_id` has to make it at the
            start.
        fraction: draws a random number between 0 and 1.
        token: draws a number that identifies the owner of a lease or of a claim.
        observers: true if there are observers.
        notify: passes an event to all observers.
        notify_observers: passes an event to some observers.
        notify_success: passes the end of a call and of its only attempt to its listeners.
        listeners: returns the observers of a call that starts now, as long as it succeeds.
        traced: adds the headers of tracing observers to a request whose attempt begins; None if
            there are no such observers.
        trace_headers: returns these headers for an operation; None if there are no such observers.
        watch_pools: gives the observers of connection pools a source of their numbers.
        watch_pipeline: gives the observers of pipelines another pipeline.
        observes_attempt_starts: whether an observer may want `AttemptStarted`.
        observes_starts: whether an observer may want `CallStarted`.
        observes_attempts: whether an observer may want a success's `AttemptFinished`.
        observes_ends: whether an observer may want a success's `CallFinished`.
        stores_content: whether an integration log stores the requests and responses of some
            services.
        cipher: encrypts what is stored; None if nothing is encrypted.
        audit: records a manual action; None if there is no audit trail.
        nonces: the values that servers require in proofs of possession.
        digests: the Digest challenges of servers.
        refreshes: renewals whose credential was not accepted yet.
        renewals: keep claims from expiring.
        waiters: the callers of this process that wait for a limit.
        concurrency_limits: the limits of adaptive bulkheads.
        tenant_records: bounds the idempotency records of each tenant; None if nothing bounds them.
        reporter: names the process, anew in a forked child.
    """

    execute: Callable[[Command[Any], float | None], Flow[Any]]
    separate_keys: bool = False
    compares_bytes: bool = False
    waits: bool = False
    ask: Callable[[Command[Any], float | None], Any] | None = None
    prepare: Callable[[Admission], Ask] | None = None
    post: Callable[[Command[Any]], None]
    send: Callable[[Request, str, Timeouts], Flow[Response]]
    open: Callable[[Request, str, Timeouts], Flow[AsyncIncoming]]
    learn: SecretLearner | None = None
    sleep: Callable[[float], Flow[None]]
    acquire: Callable[..., Flow[bool]]
    slots: Callable[[], Slots] | None = None
    release: Callable[[str, object], None]
    run_all: Callable[..., Flow[list[Any]]]
    first: Callable[..., Flow[Any]]
    cache: GuardedCache = None  # type: ignore[assignment]  # the core of every manager has one
    get_credentials: Callable[[str, str | None], Flow[Credentials]]
    refresh_credentials: Callable[[str, str | None, Credentials], Flow[Credentials]]
    store_credentials: Callable[[str, str | None, Any], Flow[None]] | None = None
    unstored_tokens: dict[tuple[str, str | None], tuple[OAuthCredentials, OAuthCredentials]] = (
        field(factory=dict)
    )
    negotiate: Callable[[str], Flow[bytes]]
    settle: Callable[[Any], Flow[Any]]
    within: Callable[[Awaitable[Any], float], Flow[Any]]
    copy: Callable[[Any], Any]
    run_computation: Callable[[Callable[[], Any]], Flow[Any]] = _run_directly
    nanoseconds: Callable[[], int]
    utc: Callable[[], datetime]
    wall: Callable[[], int] = Factory(lambda self: _wall_clock(self.utc), takes_self=True)
    new_id: Callable[[], str]
    late_id: Callable[[int], str] | None = None
    fraction: Callable[[], float]
    token: Callable[[], int]
    observers: object = None
    notify: Callable[[Event], None] = _ignore_event
    notify_observers: Callable[[Any, Event], None] = _ignore_event
    notify_success: Callable[[SuccessListeners, SuccessFacts], None] = _ignore_event
    listeners: Callable[[], SuccessListeners] = _no_listeners
    traced: Callable[[Request, AttemptStarted], Request] | None = None
    trace_headers: Callable[[AttemptStarted], tuple[tuple[str, str], ...]] | None = None
    watch_pools: Callable[[PoolSource], None] = _ignore_pools
    watch_pipeline: Callable[[ObservedPipeline], None] = _ignore_pipeline
    observes_attempt_starts: bool = False
    observes_starts: bool = False
    observes_attempts: bool = False
    observes_ends: bool = False
    stores_content: bool = False
    cipher: Cipher | None = None
    audit: Callable[..., Flow[object]] | None = None
    nonces: Nonces = field(factory=Nonces)
    digests: DigestChallenges = field(factory=DigestChallenges)
    refreshes: UnprovenRefreshes = field(factory=UnprovenRefreshes)
    renewals: Renewals | NoRenewals = field(factory=NoRenewals)
    waiters: Waiters = field(factory=Waiters)
    concurrency_limits: ConcurrencyLimits = field(factory=ConcurrencyLimits)
    tenant_records: TenantRecords | None = None
    reporter: Callable[[], str]

    @property
    def observes_successes(self) -> bool:
        """True if an observer needs the state of every call, even of a successful one.

        If a store makes callers wait, the start of an attempt is not the start of its call.
        """
        observes_success = self.observes_starts or self.observes_attempts or self.observes_ends
        observes_success = observes_success or self.observes_attempt_starts
        return bool(self.observers) and (self.waits or observes_success)

    def unobserved(self) -> Core:
        """Return a copy without observers, for calls that send nothing."""
        return evolve(
            self,
            observers=None,
            notify=_ignore_event,
            notify_observers=_ignore_event,
            notify_success=_ignore_event,
            listeners=_no_listeners,
            observes_attempt_starts=False,
            observes_starts=False,
            observes_attempts=False,
            observes_ends=False,
        )

    @property
    def claims_at_once(self) -> bool:
        """True if the store can claim a key and admit an attempt in one step, without waiting.

        A store that needs renewed claims outlives this process, and cannot do so.
        """
        return not (self.ask is None or self.waits or self.separate_keys or self.renewals.renews)

    def moment(self, due: int) -> datetime:
        """Return the wall-clock time that corresponds to `due` nanoseconds of the local clock.

        A time that no calendar has is the last one of the calendar.
        """
        try:
            return self.utc() + timedelta(0, 0, -((self.nanoseconds() - due) // 1000))
        except OverflowError:
            return _LAST_MOMENT

    def wall_at(self, due: int) -> int:
        """Return the nanoseconds since 1970 that correspond to `due` of the local clock."""
        return self.wall() - (self.nanoseconds() - due)

    def identify(self, started: int) -> CallIdentity:
        """Return the identity of a call that started at this local-clock time."""
        return self.identity(started, self.wall_at(started))

    def id_of(self, started: int) -> str:
        """Return a new id for a call that started at this time."""
        return self.identify(started).request_id

    def identity(self, started: int, wall: int, request_id: str | None = None) -> CallIdentity:
        """Return the identity of a call, from its start by the local and the wall clock."""
        identity = CallIdentity(started, wall, self.late_id)
        if request_id is not None:
            identity.request_id = request_id
        elif self.late_id is None:
            # The host's id function may depend on the task or thread that calls it.
            identity.request_id = self.new_id()
        return identity
