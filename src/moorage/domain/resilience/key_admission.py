"""One command that claims an idempotency key and admits the first attempt of its call.

A store in the memory of this process replies immediately, so a caller has nothing to do between its
claim and the admission of its first attempt. This command decides the two usual cases as `Claim`
and `Admission` would decide them one after another at the same moment: a new key whose attempt
every gate admits at once, and a key with a stored result. In every other case it changes nothing,
and the caller continues with the two commands themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.idempotency.claims import CLAIMS, DONE, SENT, Withdraw, release_claim, unexpired
from moorage.domain.resilience.admission import AT_ONCE, Admission, Admitted
from moorage.domain.state.commands import (
    MISREAD,
    misread_state_error,
    refusing_unreadable_states,
    with_times_moved_back,
)

if TYPE_CHECKING:
    from moorage.domain.state.commands import State, States
    from moorage.domain.values.fingerprints import Fingerprint

KeyAdmitted: TypeAlias = "tuple[int, Admitted, Any]"
"""The fencing number of a claim that is marked as sent, and the admission of its first attempt; or
0, no admission, and the result that is stored under the key.
"""


class KeyAdmission:
    """The command that claims an idempotency key and admits an attempt, or does neither.

    `question` is the admission command; the other arguments are those of `Claim`. The claim is not
    renewed, so it lasts for the whole `term`.
    """

    __slots__ = (
        "fingerprint",
        "keys",
        "owner",
        "question",
        "target",
        "term",
        "ttl",
    )
    once = True
    durable = True

    def __init__(  # noqa: PLR0917 - every keyed call makes one, and names would cost time
        self,
        key: str,
        question: Admission,
        fingerprint: bytes | Fingerprint,
        owner: int,
        term: int,
        ttl: int,
        target: str,
    ) -> None:
        self.question = question
        self.keys = (*question.keys, key)
        self.fingerprint = fingerprint
        self.owner = owner
        self.term = term
        self.ttl = ttl
        self.target = target

    def apply(self, states: States, now: int) -> tuple[States, KeyAdmitted | None]:
        """Return the states after claim and admission; no admission if either is impossible."""
        gate_states, claim_state = states[:-1], states[-1]
        if claim_state is not None:
            return self._repeated_answer(gate_states, claim_state, now)
        gate_states, admission = self.question.apply(gate_states, now)
        if admission[0] or admission[1]:
            return states, None
        end, keep_for, owner, target = (
            now + self.term,
            self.term + self.ttl,
            self.owner,
            self.target,
        )
        sent_claim = (
            now,
            keep_for,
            SENT,
            self.fingerprint,
            now,
            owner,
            end,
            end,
            now,
            target,
            None,
        )
        return (*gate_states, sent_claim), (now, admission, None)

    def _repeated_answer(
        self, gate_states: States, claim_state: State, now: int
    ) -> tuple[States, KeyAdmitted | None]:
        """Return the stored response of the key; None if the ordinary steps must decide."""
        try:
            entry = unexpired(claim_state, now)
            if entry is None or entry[2] != DONE or entry[3] != self.fingerprint:
                return (*gate_states, claim_state), None
            claim_states = with_times_moved_back(CLAIMS, (claim_state,), now)
        except MISREAD as error:
            failure = misread_state_error(error, self.keys[-1:], CLAIMS, (claim_state,), now)
        else:
            return (*gate_states, *claim_states), (0, AT_ONCE, entry[10])
        raise failure


class WithdrawUnsent(Withdraw):
    """The command that frees an idempotency key after the reply to its `KeyAdmission` was lost.

    Its caller, `owner`, has sent nothing, although the claim may be marked as sent.
    """

    __slots__ = ()

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the state without the claim of this owner; a claim of another owner is kept."""
        entry = unexpired(states[0], now)
        if entry is None:
            return states, None
        if entry[5] != self.owner:
            return with_times_moved_back(CLAIMS, states, now), None
        return release_claim(self.keys[0], entry[4], ttl=self.ttl).apply(states, now)[0], None
