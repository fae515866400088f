"""The state of one call in progress, which its steps share."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from moorage.domain.observation.events import CallFinished
from moorage.domain.resilience.circuit import Outcome
from moorage.domain.resilience.classify import is_success
from moorage.domain.resilience.health import is_internal, may_have_acted
from moorage.domain.resilience.retry import is_unsent
from moorage.domain.service.plan import AFTERWARDS
from moorage.errors import AttemptTimeout, ConnectorError, DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from moorage.domain.auth.sent_values import Sent, Witness
    from moorage.domain.entries.renewal import Held
    from moorage.domain.http.requests import Response
    from moorage.domain.resilience.circuit import Permit
    from moorage.domain.service.plan import Plan
    from moorage.domain.signing.dpop import ProofRefusal
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.regions import Route
    from moorage.services.core.core import Core


Parse: TypeAlias = "Callable[[Response], object]"
"""Reads a successful answer; raises if the answer cannot be read."""


class AroundAttempts(Protocol):
    """A step that surrounds the attempts of a call, and may replace them."""

    async def around(
        self, call: Call, attempts: Callable[[], Coroutine[Any, Any, Ending]]
    ) -> Ending:
        """Run the attempts or replace them; return the ending of the call."""
        ...


class OutOfTimeError(Exception):
    """An awaited operation exceeded its time limit and was cancelled."""


signatures: Final = itertools.count(1)
"""Consecutive numbers in the order in which errors are signed."""


class Call:
    """The state of one call, from its first step to its last.

    Attributes:
        deadline: time limit, in nanoseconds of the local clock.
        attempts: number of attempts that left for the vendor.
        hurried: True if the remaining time is shorter than the plan's, or the caller asked for
            more.
        open_ended: True if an attempt may use all remaining time, during which it keeps its probe.
        replayable: True if the request can be sent again.
        repeatable: True if sending it twice has the same effect as sending it once.
        cached: True if the answer was stored by an earlier call.
        cache: the step around its attempts that caches answers.
        claim: its idempotency claim, while it holds one.
        target: the claim's name of the vendor and account; None to use each plan's.
        route: regions that it may use, if the service has several.
        undecided: True while another region may admit the attempt that one refused.
        acted: True if some attempt may have been processed, and no answer disproves it.
        disproved, unsent: True if the last attempt certainly did nothing; if it certainly never
            left.
        subject: id of the person whose data it is about.
        pause: seconds that the vendor asked all callers to wait.
        sent: credential that the last attempt sent.
        witness: records the credential of each attempt, for the reader of the answers.
        renewed: True if the credential was renewed after a refusal, so that the attempt is
            repeated.
        refused: True if an attempt was not admitted.
        opened: minimum microseconds for which the circuit opened on the last attempt.
        keeps_permit, keeps_place: True if the permit or the bulkhead slot outlives the attempts,
            because a stream still uses it.
        unproven: True if the vendor refused the proof of possession of the credential.
        token: number of this call's probe lease, once it has asked for one.
        permit, outcome: permit and outcome that a stream reports at its end.
        written_by: latest time to record the latest attempt, in nanoseconds of the local clock; 0
            before the recording begins.
        last: error of the previous attempt.
        parse: reads a successful answer; an answer that it cannot read is a failed attempt.
    """

    acted = False
    disproved = False
    unsent = False
    attempts = 0
    cache: AroundAttempts | None = None
    claim: Held | None = None
    hurried = False
    cached = False
    keeps_permit = False
    keeps_place = False
    key: str | None = None
    last: Exception | None = None
    open_ended = False
    opened = 0
    outcome = Outcome.GOOD
    parse: Parse | None = None
    pause: float | None = None
    permit: Permit | None = None
    refused = False
    renewed = False
    repeatable = True
    replayable = True
    replayed = False
    route: Route | None = None
    sent: Sent | None = None
    request_id: str | None = None
    started_at: datetime | None = None
    status: int | None = None
    subject: str | None = None
    target: str | None = None
    token = 0
    undecided = False
    unproven: ProofRefusal | None = None
    witness: Witness | None = None
    written_by = 0

    def __init__(self, plan: Plan, started: int, timeout: int) -> None:
        self.plan = plan
        self.started = started
        self.deadline = started + timeout

    def leave(self) -> None:
        """Mark an attempt as sent: from here on it may be processed."""
        self.attempts += 1
        self.acted = True
        self.written_by = 0

    def disprove(self, error: Exception, since: int | None = None) -> None:
        """Note what an error proves about this attempt.

        An error of another call can arrive through a user's function. It proves nothing about this
        attempt: `since` is a signature from before the function began, and errors signed later are
            ignored.
        """
        is_of_this_attempt = since is None or getattr(error, "_signature", 0) <= since
        self.disproved = is_of_this_attempt and not may_have_acted(error)
        self.unsent = is_of_this_attempt and is_unsent(error)

    def send(self, sent: Sent) -> None:
        """Record the credential that an attempt sends."""
        self.sent = sent
        if self.witness is not None:
            self.witness.append(sent)

    def cleared(self, response: Response) -> Response:
        """Return the answer; if it is a failure, without the credential that was sent."""
        if self.sent is None or is_success(response.status):
            return response
        return self.sent.response(response)

    def masked(self, error: Exception | None) -> Exception | None:
        """Return an error of the last attempt without the credential that was sent."""
        if self.sent is not None and isinstance(error, ConnectorError):
            self.sent.error(error)
        return error

    def fail(self, *, left: bool, before: bool) -> None:
        """Note what a failed attempt proves: an attempt that never left did nothing."""
        if not left:
            self.disproved = self.unsent = True
        self.acted = before or not self.disproved

    def remaining(self, core: Core) -> int:
        """Nanoseconds until the deadline; negative after it."""
        return self.deadline - core.nanoseconds()

    def left(self, core: Core) -> float:
        """Seconds until the deadline, for a step that is about to wait.

        Raises:
            DeadlineExceeded: the deadline has passed.
        """
        remaining = self.remaining(core)
        if remaining <= 0:
            raise self.out_of_time()
        return remaining / 1e9

    def afterwards(self, core: Core) -> float:
        """Seconds for recording the end of an attempt or of the call.

        The record is written even past the deadline, since the attempt did happen; all records
        together then get only a moment.
        """
        now = core.nanoseconds()
        if not self.written_by:
            self.written_by = max(self.deadline, now) + int(AFTERWARDS * 1e9)
        return max(0.0, (self.written_by - now) / 1e9)

    def bound(self, core: Core) -> float:
        """Time limit of the current attempt in seconds."""
        remaining = self.remaining(core) / 1e9
        attempt_timeout = self.plan.attempt_timeout
        return remaining if attempt_timeout is None else min(attempt_timeout, remaining)

    def out_of_time(self, cause: Exception | None = None) -> DeadlineExceeded:
        """The error of this call after its deadline."""
        error = DeadlineExceeded(
            f"The deadline of {(self.deadline - self.started) / 1e9:g} s has passed.",
            may_have_been_processed=self.acted,
            retry_at=cause.retry_at if isinstance(cause, ConnectorError) else None,
        )
        error.__cause__ = cause
        return error

    def event_fields(self, core: Core) -> dict[str, Any]:
        """The fields that every event of this call has."""
        return {
            "at": core.utc(),
            "service": self.plan.service.name,
            "operation": self.plan.operation,
            "tenant": self.plan.tenant,
            "request_id": self.identify(core),
            "region": self.plan.region,
        }

    def identify(self, core: Core) -> str:
        """The correlation id, created at the first use."""
        if self.request_id is None:
            self.request_id = core.new_id()
        return self.request_id

    def sign(self, core: Core, error: ConnectorError) -> None:
        """Mark an error with the call that it ended."""
        # Not part of the error's message, so these are no attributes of its interface.
        vars(error).update(_signature=next(signatures), _acted=self.acted)
        error.service = error.service or self.plan.service.name
        error.operation = error.operation or self.plan.operation
        if self.plan.region is not None and error.service == self.plan.service.name:
            error.region = error.region or self.plan.region
        error.attempts = error.attempts or self.attempts
        error.request_id = error.request_id or self.identify(core)

    def finished(
        self,
        core: Core,
        error: Exception | None,
        *,
        fallback: bool = False,
        cancelled: bool = False,
    ) -> CallFinished:
        """The event that reports the end of this call."""
        return CallFinished(
            **self.event_fields(core),
            started_at=self.started_at or core.utc(),
            duration=(core.nanoseconds() - self.started) / 1e9,
            attempts=self.attempts,
            error=None if error is None else type(error).__name__,
            status=self.status,
            vendor_code=getattr(error, "vendor_code", None),
            idempotency_key=self.key,
            subject=self.subject,
            replayed=self.replayed,
            cached=self.cached and error is None,
            fallback=fallback,
            cancelled=cancelled,
            internal=error is not None and is_internal(error),
        )


def cut_off() -> AttemptTimeout:
    """The error of an attempt that exceeded its time limit."""
    return AttemptTimeout("The attempt exceeded its time limit, and was cancelled.")


def value_of(ending: Ending) -> Any:
    """Return an ending's value or raise its error; no coroutine, so that any exception can pass."""
    value, error = ending
    if error is None:
        return value
    try:
        raise error
    finally:
        # Otherwise the traceback refers to this frame, and the frame to the error.
        del error, ending
