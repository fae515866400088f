"""Approval by two people: the first proposes an outcome, the second confirms it.

The proposal is stored next to the register of open effects, so that every process sees it. Laws:

1. There is at most one proposal for an operation; a later one replaces it.
2. A proposal expires after `LIFE`.
3. A proposal changes nothing by itself: the second person's confirmation closes the operation.

The state of a proposal is `(seen, keep_for, at, person, done, receipt, reason)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.state.commands import reading_time, refusing_unreadable_states
from moorage.domain.state.keys import REGISTER, state_key

if TYPE_CHECKING:
    from moorage.domain.state.commands import States

LIFE: Final = 86_400_000_000
"""Microseconds after which a proposal to close an operation expires."""

_GONE_TTL: Final = 1


class Proposal(NamedTuple):
    """The outcome that a first person proposes for an operation of unknown outcome.

    Attributes:
        person: name of the first person.
        done: True if the person says that the operation was done.
        receipt: the vendor's id of the operation; "" to look it up by our reference.
        reason: the person's reason.
        age: seconds since the proposal was made.
    """

    person: str
    done: bool
    receipt: str
    reason: str
    age: float = 0.0


def _name(contract: str, tenant: str | None, key: str) -> str:
    tenant_suffix = "" if tenant is None else f"@{tenant}"
    return state_key(REGISTER, contract, None, "proposal", tenant_suffix, key)


class Propose:
    """The command that stores a proposed outcome instead of an earlier one, or withdraws it."""

    __slots__ = ("keys", "proposal")
    once = False
    durable = True

    def __init__(
        self, contract: str, tenant: str | None, key: str, proposal: Proposal | None
    ) -> None:
        self.keys = (_name(contract, tenant, key),)
        self.proposal = proposal

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the state with the new proposal, or with no proposal."""
        if self.proposal is None:
            (state,) = states
            return (None if state is None else (now, _GONE_TTL, *state[2:]),), None
        return ((now, LIFE, now, *self.proposal[:4]),), None


class ReadProposal:
    """The command that reads the proposed outcome of an operation."""

    __slots__ = ("keys",)
    once = False
    durable = True

    def __init__(self, contract: str, tenant: str | None, key: str) -> None:
        self.keys = (_name(contract, tenant, key),)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, Proposal | None]:
        """Return the proposed outcome of an operation; None if there is none or it has expired."""
        (state,) = states
        if state is None:
            return states, None
        state_time, keep_for, at, person, is_done, receipt, reason = state
        time, clock_step = reading_time(state_time, now)
        if keep_for == _GONE_TTL or time - state_time + clock_step >= keep_for:
            return states, None
        return states, Proposal(person, is_done, receipt, reason, (time - at + clock_step) / 1e6)
