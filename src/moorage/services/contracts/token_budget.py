"""The budget of an account: tokens that its requests may use in a calendar day or month.

Each attempt of a request takes the most tokens that it may use before it is sent, and gives back
those that it did not use. So an attempt whose answer was lost counts with all of its tokens, and
the next attempt of the same request takes its own. If the vendor counted more than was taken, for
example because of an option in `extra`, the difference is taken afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.resilience.billed_tokens import billed_tokens
from moorage.domain.resilience.gate_commands import GiveBack
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.durations import FOREVER
from moorage.errors import ConnectorError, InvalidData, RateLimitExceeded
from moorage.services.calling.attempt_result import AttemptResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Headers
    from moorage.domain.resilience.admission import Gates
    from moorage.domain.service.plan import Plan
    from moorage.domain.state.commands import Ticket
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.call import Call
    from moorage.services.calling.streaming import Stream
    from moorage.services.core.core import Core

_TOKENS_POSITION: Final = 2
"""The position of the number of tokens in a ticket."""


class BudgetedAttempts:
    """A step that takes the tokens of each attempt from the budget before the attempt is sent.

    Args:
        core: the ports.
        plan: plan of the budget.
        most: most tokens that an attempt may use.
        count: returns the tokens that the vendor counted in an answer; None if the answer is still
            arriving, so that its tokens are settled later.
        inner_step: makes one attempt.
    """

    __slots__ = ("_core", "_count", "_inner", "_most", "_plan")

    def __init__(
        self,
        core: Core,
        plan: Plan,
        most: int,
        count: Callable[[Any, TakenTokens], int | None],
        inner_step: AttemptStep,
    ) -> None:
        self._core = core
        self._plan = plan
        self._most = most
        self._count = count
        self._inner = inner_step

    async def __call__(self, call: Call) -> AttemptResult:
        """Make one attempt if the budget has enough tokens; otherwise refuse it."""
        try:
            tokens = await take_tokens(self._core, self._plan, self._most, call.left(self._core))
        except ConnectorError as error:
            refused_error = error
        else:
            return await self._attempt(call, tokens)
        return AttemptResult(error=without_frames(refused_error), refused=True)

    async def _attempt(self, call: Call, tokens: TakenTokens) -> AttemptResult:
        counted: int | None = None
        try:
            result = await self._inner(call)
            if result.error is None:
                counted = self._count(result.value, tokens)
        finally:
            tokens.settle(billed_tokens(call.ledger.current, self._most, counted))
        return result


class TakenTokens:
    """Tokens that an attempt took from the budget of its account.

    Args:
        core: the ports.
        gates: limits of the budget.
        tickets: a ticket of each limit.
        taken: number of tokens that were taken from each limit.
    """

    def __init__(self, core: Core, gates: Gates, tickets: tuple[Ticket, ...], taken: int) -> None:
        self._core = core
        self._gates = gates
        self._tickets = tickets
        self._taken = taken

    def settle(self, used: int) -> None:
        """Give back the tokens that were not used; never wait for the store.

        If the vendor counted more tokens than were taken, take the difference too, but from each
        limit at most all of its tokens.
        """
        unused = self._taken - used
        if unused:
            tickets = tuple(
                (*item[:_TOKENS_POSITION], max(unused, -rule.burst), *item[_TOKENS_POSITION + 1 :])
                for rule, item in zip(self._gates.limits, self._tickets, strict=True)
            )
            self._core.post(GiveBack(self._gates, tickets))


class MeteredStream:
    """A streamed response of a vendor that counts with the most tokens until it is complete.

    Args:
        stream: the response.
        tokens: tokens that the request took; None if the account has no budget.
    """

    def __init__(self, stream: Stream, tokens: TakenTokens | None) -> None:
        self._stream = stream
        self._tokens = tokens

    @property
    def status(self) -> int:
        """The status code of the response."""
        return self._stream.status

    @property
    def headers(self) -> Headers:
        """The headers of the response."""
        return self._stream.headers

    async def read(self) -> bytes:
        """Read the next bytes of the response; b"" at the end."""
        return await self._stream.read()

    def settle(self) -> None:
        """Close the response early, and drop the remaining bytes."""
        self._stream.settle()

    def count_tokens(self, used: int, /) -> None:
        """Give back the tokens of the budget that the vendor did not count."""
        if self._tokens is not None:
            self._tokens.settle(max(0, used))
            self._tokens = None


async def take_tokens(
    core: Core, plan: Plan, max_tokens: int, seconds: float | None
) -> TakenTokens:
    """Take as many tokens from the budget of an account as an attempt may use at most.

    Raises:
        InvalidData: the request may use more than the whole budget.
        RateLimitExceeded: too few tokens of this period are left.
    """
    gates = plan.gates
    whole_budget = min(rule.burst for rule in gates.limits)
    if max_tokens > whole_budget:
        raise InvalidData(
            f"The request may use up to {max_tokens} tokens, but the account's budget has only"
            f" {whole_budget} tokens.",
            field="request",
            service=plan.service.name,
            remedy="Lower `max_tokens`, shorten the request, or raise the account's budget.",
        )
    admission_request = Admission(
        gates, within=0, lease=0, costs=(max_tokens,) * len(gates.limits), ticketed=True
    )
    answer, wait, _, tickets = await core.execute(admission_request, seconds)
    if answer is Answer.GO:
        return TakenTokens(core, gates, tickets, max_tokens)
    error = RateLimitExceeded(
        f"The account's budget is nearly used up: this request may use up to {max_tokens} tokens.",
        service=plan.service.name,
        remedy="Wait until the budget is renewed at `retry_at`, lower `max_tokens`, or raise the"
        " account's budget.",
    )
    error.due = core.moment, core.nanoseconds() + min(wait, FOREVER) * 1000
    raise error
