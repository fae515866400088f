"""The state of one call in progress, which all steps of the call share."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from moorage.domain.auth.sent_values import SentCredentials
from moorage.domain.observation.call_events import CallFinished, operation_of
from moorage.domain.observation.call_identity import CallOutcome
from moorage.domain.observation.late_fields import assign_facts, make_late
from moorage.domain.observation.success_listeners import NO_LISTENERS
from moorage.domain.resilience.circuit import Outcome
from moorage.domain.resilience.classify import is_success
from moorage.domain.resilience.health import is_internal, may_have_acted
from moorage.domain.resilience.ledger import BLANK, AttemptEffect
from moorage.domain.resilience.retry import is_unsent
from moorage.domain.service.plan import AFTERWARDS
from moorage.errors import AttemptTimeout, ConnectorError, DeadlineExceeded, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from moorage.domain.auth.sent_values import RecentCredentials
    from moorage.domain.entries.renewal import HeldClaim
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.observation.call_content import CallContent
    from moorage.domain.observation.call_events import AttemptStarted, CallFacts
    from moorage.domain.observation.call_identity import CallIdentity, ContractCall
    from moorage.domain.observation.events import Event
    from moorage.domain.observation.success_listeners import SuccessListeners
    from moorage.domain.resilience.circuit import Permit
    from moorage.domain.resilience.ledger import Ledger
    from moorage.domain.service.operation import HttpOperation
    from moorage.domain.service.plan import Plan
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.regions import Route
    from moorage.services.core.core import Core


Parse: TypeAlias = "Callable[[Response], object]"
"""A function that reads a successful response, and raises an error if it cannot be read."""


class AttemptWrapper(Protocol):
    """A step around a call's attempts, such as the cache, which may replace the attempts."""

    async def run_attempts(
        self, call: Call, attempts: Callable[[], Coroutine[Any, Any, Ending]]
    ) -> Ending:
        """Run the attempts, or get a response without them; return the call's value or error."""
        ...


class OutOfTimeError(Exception):
    """Raised if an asynchronous operation exceeded its time limit and was cancelled."""


_NEARLY_ALL: Final = 0.9
"""Above this share of an operation's timeout, errors do not mention a step's own time limit."""

signatures: Final = itertools.count(1)
"""Consecutive numbers in the order in which errors are signed."""


class Call:
    """The state of one call, from its first step to its last.

    Attributes:
        started: the call's start, in nanoseconds of the local clock.
        deadline: the call's time limit, in nanoseconds of the local clock.
        attempt_started: start of the attempt that the fast path made, in nanoseconds of the local
            clock; None once its end is recorded.
        beginning: event that reported the start of the latest attempt, if an observer receives it.
        bytes_in: size of the body of the latest attempt's response, if it was read.
        content: latest request and response, if the integration log stores them.
        contract: operation of a contract that it belongs to, if any.
        ended: True if the observers were notified of its end.
        hedge: number of the hedged (concurrent extra) request; 0 for the ordinary request.
        has_less_time: True if the remaining time is shorter than the plan's, or if the caller set a
            time limit.
        http_operation: HTTP operation whose request it sends, if any.
        listeners: observers that it notifies as long as no attempt fails.
        streams: True if the response is read as a stream, for as long as the call has time.
        replayable: True if the request can be sent again.
        request: request that it sends, if any.
        repeatable: True if sending it twice has the same effect as sending it once.
        cached: True if an earlier call stored the response.
        cache: the step around its attempts that caches responses.
        claim: the call's idempotency claim, while the call has one.
        identity: the call's correlation id and start, once they are needed.
        target: the name of vendor and account in the claim; None to use each plan's own.
        route: regions that it may use, if the service has several.
        undecided: True while another region may admit the attempt that one region refused.
        subject: id of the person whose data the call is about.
        sent: credential that the last attempt sent.
        recent_credentials: records the credential of each attempt, for the function that parses
            the responses.
        keeps_permit, keeps_place: True if the permit or the bulkhead slot outlives the attempts,
            because a stream still uses it.
        token: number of this call's probe lease, once it has requested one.
        permit, outcome: permit and outcome that a stream reports at its end.
        written_by: latest time to record the latest attempt, in nanoseconds of the local clock; 0
            before the recording begins.
        parse: reads a successful response; a response that it cannot read is a failed attempt.
    """

    ended = False
    attempt_started: int | None = None
    beginning: AttemptStarted | None = None
    bytes_in: int | None = None
    cache: AttemptWrapper | None = None
    claim: HeldClaim | None = None
    content: CallContent | None = None
    contract: ContractCall | None = None
    hedge = 0
    http_operation: HttpOperation[Any] | None = None
    has_less_time = False
    identity: CallIdentity | None = None
    cached = False
    keeps_permit = False
    keeps_place = False
    key: str | None = None
    listeners: SuccessListeners = NO_LISTENERS
    outcome = Outcome.GOOD
    parse: Parse | None = None
    permit: Permit | None = None
    repeatable = True
    replayable = True
    replayed = False
    request: Request | None = None
    route: Route | None = None
    sent: SentCredentials | None = None
    status: int | None = None
    streams = False
    subject: str | None = None
    target: str | None = None
    token = 0
    undecided = False
    recent_credentials: RecentCredentials | None = None
    written_by = 0
    _ledger = BLANK

    def __init__(self, plan: Plan, started: int, timeout: int) -> None:
        self.plan = plan
        self.started: Final = started
        self.deadline: Final = started + timeout

    @property
    def is_open_ended(self) -> bool:
        """True if an attempt may use all the remaining time, and holds its probe permit until then.

        This is the case for a function that cannot be cancelled, if the call has more time than its
        service's timeout; an HTTP client ends an attempt earlier.
        """
        return self.streams or (
            self.request is None and self.deadline - self.started > self.plan.span
        )

    @property
    def ledger(self) -> Ledger:
        """The record of the effects that the call's attempts may have had at the vendor."""
        return self._ledger

    @property
    def attempts(self) -> int:
        """The number of attempts that were sent to the vendor."""
        return self._ledger.attempts

    @property
    def may_have_acted(self) -> bool:
        """True if the vendor may have processed an attempt."""
        return self._ledger.may_have_acted

    @property
    def was_sent(self) -> bool:
        """True if the latest attempt has been sent to the vendor."""
        return self._ledger.current is not AttemptEffect.NOT_LEFT

    @property
    def is_unsent(self) -> bool:
        """True if the latest attempt certainly did not reach the vendor."""
        return self._ledger.is_unsent

    def begin_attempt(self) -> None:
        """Record that an attempt begins, which may still fail before it is sent."""
        self._ledger = self._ledger.begin()

    def leave(self) -> None:
        """Record that the attempt was sent, so that the vendor may have processed it."""
        self._ledger = self._ledger.leave()
        self.written_by = 0

    def record_no_effect(self) -> None:
        """Record a proof that the latest attempt had no effect at the vendor."""
        self._ledger = self._ledger.record_no_effect()

    def weigh_effects(self, error: Exception, since: int | None = None) -> None:
        """Record whether an error proves that the latest attempt had no effect.

        A user's function may raise an error of another call, which proves nothing about this
        attempt. `since` is a number that was drawn from `signatures` before the function began;
        errors that were signed later have higher numbers, and are ignored.
        """
        is_of_this_attempt = since is None or getattr(error, "_signature", 0) <= since
        if is_of_this_attempt and not may_have_acted(error):
            self._ledger = self._ledger.record_no_effect(unsent=is_unsent(error))

    def take_over(self) -> None:
        """Record that an earlier holder of the idempotency key may have sent the request."""
        self._ledger = self._ledger.take_over()

    def concurrent_call(self, hedge: int = 0) -> Call:
        """Return the state for one of several concurrent requests that form one attempt.

        `hedge` is the number of an extra request.
        """
        request_call = Call(self.plan, self.started, self.deadline - self.started)
        request_call.contract, request_call.key, request_call.request = (
            self.contract,
            self.key,
            self.request,
        )
        request_call.beginning, request_call.hedge = self.beginning, hedge
        request_call.identity = self.identity
        request_call.route = self.route
        request_call.parse, request_call.http_operation = self.parse, self.http_operation
        request_call.recent_credentials = self.recent_credentials
        request_call._ledger = self._ledger
        return request_call

    def join(self, concurrent_calls: Iterable[Call]) -> None:
        """Combine the effects that concurrent requests of this attempt may have had."""
        self._ledger = self._ledger.join([call.ledger for call in concurrent_calls])

    def send(self, sent: SentCredentials) -> None:
        """Record which credential the current attempt sends."""
        self.sent = sent
        if self.recent_credentials is not None:
            self.recent_credentials.append(sent)

    def mask_credential(self, response: Response) -> Response:
        """Return the response; if it is a failure, mask the credential that was sent."""
        if self.sent is None or is_success(response.status):
            return response
        return self.sent.response(response)

    def mask(self, error: Exception | None) -> None:
        """Mask the account's secrets in an error of the latest attempt.

        An attempt that sent nothing may have failed at an authorisation server, which knows secrets
        too.
        """
        if not isinstance(error, ConnectorError):
            return
        redaction = self.plan.service.redaction
        if self.sent is not None:
            self.sent.error(error)
        elif redaction.secrets:
            SentCredentials(None, redaction=redaction).error(error)

    def remaining(self, core: Core) -> int:
        """Return the nanoseconds until the call's deadline; negative after it."""
        return self.deadline - core.nanoseconds()

    def left(self, core: Core) -> float:
        """Return the seconds until the call's deadline; raise an error if it has passed.

        Raises:
            DeadlineExceeded: the deadline has passed.
        """
        time_left = self.deadline - core.nanoseconds()
        if time_left <= 0:
            raise self.deadline_error()
        return time_left / 1e9

    def recording_seconds(self, core: Core) -> float:
        """Return the seconds that may still be spent on recording the end of the attempt or call.

        The end is recorded even after the deadline, since the attempt did happen; then writing all
        records may take only a moment.
        """
        now = core.nanoseconds()
        if not self.written_by:
            self.written_by = max(self.deadline, now) + int(AFTERWARDS * 1e9)
        return max(0.0, (self.written_by - now) / 1e9)

    def bound(self, core: Core) -> float:
        """Return the time limit in seconds for the current attempt."""
        time_left = self.remaining(core) / 1e9
        attempt_timeout = self.plan.attempt_timeout
        return time_left if attempt_timeout is None else min(attempt_timeout, time_left)

    def deadline_error(self, cause: Exception | None = None) -> DeadlineExceeded:
        """Return the error of this call after its deadline."""
        error = DeadlineExceeded(
            self._deadline_message(),
            may_have_been_processed=self.may_have_acted,
            retry_at=cause.retry_at if isinstance(cause, ConnectorError) else None,
        )
        error.__cause__ = cause
        return error

    def _deadline_message(self) -> str:
        """Return a sentence with the timeout that the caller gave, or else the service's."""
        span = (self.deadline - self.started) / 1e9
        timeout = None if self.contract is None else self.contract.timeout
        if timeout is None:
            return f"The deadline of {span:g} s has passed."
        message = f"The operation's timeout of {timeout:g} s has passed"
        if span > _NEARLY_ALL * timeout:
            return f"{message}."
        time_left = f"{span:.3g} s" if span >= 1 else f"{span * 1e3:.3g} ms"
        return f"{message}; the last step had only {time_left}."

    def event_fields(self, core: Core) -> dict[str, Any]:
        """Return the fields that all events of this call share."""
        identity, contract = self.identify(core), self.contract
        return {
            "at": identity.moment(core.nanoseconds()),
            "service": self.plan.service.name,
            "operation": operation_of(identity, self.plan),
            "tenant": self.plan.tenant,
            "request_id": identity.request_id,
            "region": self.plan.region,
            "vendor": None if contract is None else contract.vendor,
            "account": None if contract is None else contract.account,
            "idempotency_key": identity.idempotency_key or self.key,
        }

    def emit(self, core: Core, kind: type[Event], **fields: Any) -> None:
        """Emit an event of this call to the observers."""
        event = kind(**self.event_fields(core), **fields)
        assign_facts(event, (self.identify(core), self.plan, core.nanoseconds()))
        core.notify(event)

    def identify(self, core: Core) -> CallIdentity:
        """Return the identity of this call, and create it if this is its first use."""
        if self.identity is None:
            self.identity = core.identify(self.started)
            self.describe(self.identity, self.key)
        return self.identity

    def describe(self, identity: CallIdentity, key: object) -> None:
        """Add the operation of the contract, and the caller's key, to the call's identity."""
        if self.contract is not None:
            identity.contract = self.contract
            key = self.contract.idempotency_key or key
        if isinstance(key, str):
            identity.idempotency_key = key

    def sign(self, core: Core, error: ConnectorError) -> None:
        """Add the service, the operation and the call's id to its final error."""
        # These two fields are not part of the error's public interface.
        vars(error).update(_signature=next(signatures), _acted=self.may_have_acted)
        if self.may_have_acted:
            error.may_have_been_processed = True
        elif isinstance(error, VendorFailed):
            error.may_have_been_processed = False
        error.service = error.service or self.plan.service.name
        contract = self.contract
        error.operation = error.operation or (
            self.plan.operation if contract is None else contract.operation
        )
        if contract is not None:
            error.vendor = error.vendor or contract.vendor
            error.account = error.account or contract.account
        key = self.key if contract is None else contract.idempotency_key or self.key
        if key is not None:
            error.idempotency_key = error.idempotency_key or key
        if self.plan.region is not None and error.service == self.plan.service.name:
            error.region = error.region or self.plan.region
        error.attempts = error.attempts or self.attempts
        if not vars(error).get("_request_id"):
            error.derive_request_id(_id_of, self.identify(core))

    def outcome_at_vendor(self, error: Exception | None, *, cancelled: bool = False) -> CallOutcome:
        """Return the outcome of this call's attempts at the vendor."""
        if error is None and not cancelled:
            return CallOutcome.NOTHING if self.replayed or self.cached else CallOutcome.DONE
        return CallOutcome.UNKNOWN if self.may_have_acted else CallOutcome.NOTHING

    def finished_event(
        self,
        core: Core,
        error: Exception | None,
        *,
        fallback: bool = False,
        cancelled: bool = False,
    ) -> CallFinished:
        """Return the event that reports the end of this call."""
        content = self.content
        if content is not None and content.includes(failed=error is not None or cancelled):
            self.identify(core).content = content
        call_facts: CallFacts = (
            self.identify(core),
            self.plan,
            core.nanoseconds(),
            self.attempts,
            None if error is None else type(error).__name__,
            self.status,
            getattr(error, "vendor_code", None),
            self.key,
            self.replayed,
            self.cached and error is None,
            fallback,
            cancelled,
            error is not None and is_internal(error),
            self.subject,
            self.outcome_at_vendor(error, cancelled=cancelled),
            None if error is None else _message_of(error),
            None if self.request is None else self.request.method,
            None if self.request is None else self.request.headers.get("traceparent"),
        )
        return make_late(CallFinished, call_facts)


def _id_of(identity: CallIdentity) -> str:
    return identity.request_id


def _message_of(error: Exception) -> str | None:
    """Return the message of a moorage error, together with the vendor's message.

    Return None for any other error, whose message may contain a secret.
    """
    if not isinstance(error, ConnectorError) or not error.args:
        return None
    vendor_message = getattr(error, "vendor_message", None)
    return error.message if vendor_message is None else f"{error.message} ({vendor_message})"


def attempt_timeout_error() -> AttemptTimeout:
    """Return the error of an attempt that exceeded its time limit."""
    return AttemptTimeout("The attempt exceeded its time limit and was cancelled.")


def value_of(ending: Ending) -> Any:
    """Return the value with which a call ended, or raise its error.

    This function is not a coroutine, because a coroutine cannot raise every exception.
    """
    value, error = ending
    if error is None:
        return value
    try:
        raise error
    finally:
        # Otherwise the traceback refers to this frame and the frame to the error: a cycle.
        del error, ending
