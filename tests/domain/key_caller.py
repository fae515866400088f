"""An idempotency key with short methods, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.idempotency.claims import Claim, Renew, Settle, Verdict
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.values.durations import DAY, HOUR, SECOND
from tests.domain.state_store import StateStore

if TYPE_CHECKING:
    from moorage.domain.idempotency.claims import ClaimResult, SettleResult

KEY = "k"
LEASE = 35 * SECOND
SHORT = 5 * SECOND
TTL = 2 * DAY
MEMORY = {"honours": 3 * HOUR, "forgetful": 40 * SECOND, "ignores": 0}
"""How long each vendor remembers an idempotency key, by the vendor's name."""


def claim(owner: int, target: str = "honours", payload: bytes = b"one", **changes: Any) -> Claim:
    """Return a command that claims an idempotency key."""
    details: dict[str, Any] = {"lease": LEASE, "ttl": TTL, "remembered": MEMORY.get(target, HOUR)}
    return Claim(KEY, fingerprint=payload, owner=owner, target=target, **(details | changes))


class KeyCaller:
    """An idempotency key with a short method for each of its commands."""

    def __init__(self) -> None:
        self.store = StateStore()
        self.owner = 0

    def claim(
        self, target: str = "honours", payload: bytes = b"one", **changes: Any
    ) -> ClaimResult:
        """Claim the idempotency key, and return the answer."""
        self.owner += 1
        return self.store.execute(claim(self.owner, target, payload, **changes))

    def mark(self, fence: int, target: str = "honours") -> bool:
        """Mark the current claim as sent, if that is possible."""
        question = Admission(Gates(), within=0, lease=0, claim=(KEY, fence, target))
        return self.store.execute(question)[0] is Answer.GO

    def claim_and_send(self, target: str = "honours", **changes: Any) -> int:
        """Claim the idempotency key, and mark the claim as sent."""
        claim_answer = self.claim(target, **changes)
        assert Verdict.RUN is claim_answer.verdict
        assert self.mark(claim_answer.fence, target)
        return claim_answer.fence

    def renew(self, fence: int, lease: int = LEASE) -> bool:
        """Renew the lease of the current claim, if that is possible."""
        (renewal,) = self.store.execute(Renew([(KEY, fence, TTL)], lease=lease))
        return renewal

    def settle(self, command: Settle) -> SettleResult:
        """Settle the idempotency key with an outcome."""
        return self.store.execute(command)
