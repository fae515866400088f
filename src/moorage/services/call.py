"""One call under way: what its steps have to tell each other."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from moorage.domain.circuit import Outcome
from moorage.domain.classify import is_success
from moorage.domain.events import CallFinished
from moorage.domain.health import is_internal, may_have_acted
from moorage.domain.plan import AFTERWARDS
from moorage.domain.retry import is_unsent
from moorage.errors import AttemptTimeout, ConnectorError, DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from moorage.domain.circuit import Permit
    from moorage.domain.http import Response
    from moorage.domain.oauth.dpop import ProofRefusal
    from moorage.domain.plan import Plan
    from moorage.domain.renewal import Held
    from moorage.domain.sent_values import Sent, Witness
    from moorage.services.attempts import Ending
    from moorage.services.core import Core
    from moorage.services.regions import Route


Parse: TypeAlias = "Callable[[Response], object]"
"""Reads a successful answer, and raises if it cannot be read."""


class AroundAttempts(Protocol):
    """What a call does before its attempts, instead of them and after them."""

    async def around(
        self, call: Call, attempts: Callable[[], Coroutine[Any, Any, Ending]]
    ) -> Ending:
        """How the call ended, with or without attempts."""
        ...


class OutOfTimeError(Exception):
    """What was awaited did not come within its bound, and has been cancelled."""


signatures: Final = itertools.count(1)
"""Numbers in the order in which errors are signed."""


class Call:
    """The facts of one call, from its first step to its last.

    Attributes:
        deadline: when it must have ended, in nanoseconds of the local clock.
        attempts: how many reached for the vendor.
        hurried: less time is left than the plan gives, or more was asked for.
        open_ended: an attempt may take all the time that is left, and holds its probe so long.
        replayable: whether what is sent can be sent again at all.
        repeatable: whether doing it twice does what doing it once does.
        cached: the answer was kept from an earlier call.
        cache: what is done around its attempts because its service's answers are kept.
        claim: its idempotency claim, while it holds one.
        target: what the claim calls whoever it is sent to, unless as each plan says.
        route: where it may go, if the service is in several regions.
        undecided: another region may let in what one refuses.
        acted: some attempt may have been processed, and no answer says that it was not.
        disproved, unsent: the last attempt certainly did nothing; it certainly never left.
        subject: whose data it is about.
        pause: seconds that the vendor asked everybody to wait.
        sent: what the last attempt sent as a credential.
        witness: keeps what each attempt sent as a credential, for whoever reads the answers.
        renewed: the credential was renewed after a refusal, so the same attempt is due again.
        refused: an attempt was not let out.
        opened: the circuit opened on the last attempt, for this many microseconds at least.
        keeps_permit, keeps_place: the permit and the bulkhead's place outlive the attempts, because
            a stream goes on.
        unproven: the vendor refused the proof that came along with the credential.
        token: this call's own number for a probe's lease, once it has asked for one.
        permit, outcome: what a stream is to report at its end.
        written_by: when it must be written down at last how the latest attempt ended, in
            nanoseconds of the local clock; 0 while nobody has begun to.
        last: the error of the attempt before.
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
        """An attempt leaves for the vendor: from here on it may be processed."""
        self.attempts += 1
        self.acted = True
        self.written_by = 0

    def disprove(self, error: Exception, since: int | None = None) -> None:
        """Take an error's word for what it proves of this attempt.

        Through a user's function the error of another call may come here, which tells only of that
        call: then `since` is a signature from before the function began, and an error that has
        been signed after it proves nothing.
        """
        own = since is None or getattr(error, "_signature", 0) <= since
        self.disproved = own and not may_have_acted(error)
        self.unsent = own and is_unsent(error)

    def send(self, sent: Sent) -> None:
        """Note what an attempt sends as a credential."""
        self.sent = sent
        if self.witness is not None:
            self.witness.append(sent)

    def cleared(self, response: Response) -> Response:
        """An answer; one of a failure comes without what was sent as a credential."""
        if self.sent is None or is_success(response.status):
            return response
        return self.sent.response(response)

    def masked(self, error: Exception | None) -> Exception | None:
        """An error of the last attempt, without what that sent as a credential."""
        if self.sent is not None and isinstance(error, ConnectorError):
            self.sent.error(error)
        return error

    def fail(self, *, left: bool, before: bool) -> None:
        """Remember what an attempt that failed proves: one that never left did nothing."""
        if not left:
            self.disproved = self.unsent = True
        self.acted = before or not self.disproved

    def remaining(self, core: Core) -> int:
        """Nanoseconds until the deadline; negative past it."""
        return self.deadline - core.nanoseconds()

    def left(self, core: Core) -> float:
        """Seconds until the deadline, for whoever is about to wait.

        Raises:
            DeadlineExceeded: it has passed.
        """
        remaining = self.remaining(core)
        if remaining <= 0:
            raise self.out_of_time()
        return remaining / 1e9

    def afterwards(self, core: Core) -> float:
        """Seconds for writing down how an attempt or the call ended.

        That is written past the deadline too, because it has happened; but all of it together gets
        no more than a moment there.
        """
        now = core.nanoseconds()
        if not self.written_by:
            self.written_by = max(self.deadline, now) + int(AFTERWARDS * 1e9)
        return max(0.0, (self.written_by - now) / 1e9)

    def bound(self, core: Core) -> float:
        """Seconds that the attempt under way may take."""
        remaining = self.remaining(core) / 1e9
        own = self.plan.attempt_timeout
        return remaining if own is None else min(own, remaining)

    def out_of_time(self, cause: Exception | None = None) -> DeadlineExceeded:
        """The error of this call once its deadline has passed."""
        error = DeadlineExceeded(
            f"the deadline of {(self.deadline - self.started) / 1e9:g} s has passed.",
            may_have_been_processed=self.acted,
            retry_at=cause.retry_at if isinstance(cause, ConnectorError) else None,
        )
        error.__cause__ = cause
        return error

    def told(self, core: Core) -> dict[str, Any]:
        """What every event of this call says."""
        return {
            "at": core.utc(),
            "service": self.plan.service.name,
            "operation": self.plan.operation,
            "tenant": self.plan.tenant,
            "request_id": self.identify(core),
            "region": self.plan.region,
        }

    def identify(self, core: Core) -> str:
        """The correlation id, made when it is first needed."""
        if self.request_id is None:
            self.request_id = core.new_id()
        return self.request_id

    def sign(self, core: Core, error: ConnectorError) -> None:
        """Write on an error which call it ended."""
        # No part of what an error says, so no attributes of its interface.
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
        """The event that tells how this call ended."""
        return CallFinished(
            **self.told(core),
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
    """The error of an attempt that was stopped at its bound."""
    return AttemptTimeout("the attempt took longer than it may, and was cancelled.")


def value_of(ending: Ending) -> Any:
    """The value of an ending, or its error raised: outside any coroutine, so that all can pass."""
    value, error = ending
    if error is None:
        return value
    try:
        raise error
    finally:
        # Else the traceback holds this frame, and the frame the error.
        del error, ending
