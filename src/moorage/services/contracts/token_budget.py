"""The budget of an account: tokens that its requests may use in a calendar day or month.

A request takes the most tokens that it may use before it is sent, and gives back those that it did
not use. If the vendor counted more, for example because of an option in `extra`, the difference is
taken afterwards. A request that failed and may have been billed counts as if it had used all of its
tokens. All attempts of one request count once: if an answer was lost and the next attempt succeeds,
the vendor may bill more than was counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.resilience.gate_commands import GiveBack
from moorage.domain.values.durations import FOREVER
from moorage.errors import InvalidData, RateLimitExceeded

if TYPE_CHECKING:
    from moorage.domain.resilience.admission import Gates
    from moorage.domain.service.plan import Plan
    from moorage.domain.state.commands import Ticket
    from moorage.services.core.core import Core

BUDGET: Final = "budget"
"""The name of the service in whose limits the tokens of an account are counted."""

_TOKENS_POSITION: Final = 2
"""The position of the number of tokens in a ticket."""


class TakenTokens:
    """Tokens that a request took from the budget of its account.

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
        unused = self._taken - max(0, used)
        if unused:
            tickets = tuple(
                (*item[:_TOKENS_POSITION], max(unused, -rule.burst), *item[_TOKENS_POSITION + 1 :])
                for rule, item in zip(self._gates.limits, self._tickets, strict=True)
            )
            self._core.post(GiveBack(self._gates, tickets))


async def take_tokens(
    core: Core, plan: Plan, max_tokens: int, seconds: float | None
) -> TakenTokens:
    """Take as many tokens from the budget of an account as its request may use at most.

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
    vars(error)["_acted"] = False
    raise error
