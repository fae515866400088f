"""Ownership of an idempotency key: only one account may perform the key's operation.

Laws:

1. An effect with a key goes to the account that was first recorded for the key, even if the routes
   have changed.
2. The effect moves to another account only while this caller holds the claim on the record, and
   only if the previous account certainly did nothing. The move is recorded before anything is sent
   there.
3. The claim is renewed while its holder lives. The successor of a dead holder continues at the same
   account, under the same key. It moves to another account only after the time limit of the dead
   holder has passed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from moorage.domain.entries.renewal import HeldClaim
from moorage.domain.http.fingerprint import SAME_FINGERPRINT
from moorage.domain.idempotency.claims import (
    Claim,
    ClaimResult,
    Verdict,
    WriteRecordOfHolder,
    release_claim,
    store_answer,
)
from moorage.domain.service.plan import MARGIN
from moorage.domain.state.keys import own_key
from moorage.domain.values.durations import SECOND, micros
from moorage.errors import IdempotencyInProgress
from moorage.services.core.core import seconds_left
from moorage.services.core.tenant_records import CountedClaim, NewRecord

if TYPE_CHECKING:
    from moorage.services.core.core import Core

_FIRST_POLL_SECONDS: Final = 0.005
_SLOWEST_LOOK: Final = 0.25
_AFTER: Final = 0.001


class KeyOwnership:
    """The stored record of the account that owns one idempotency key.

    Args:
        core: the ports.
        kind: contract.
        tenant: tenant of the key.
        key: the key.
        remembered: seconds for which the account is recorded.
        seconds: maximum seconds that a caller may work on the effect.
    """

    def __init__(
        self,
        core: Core,
        kind: str,
        tenant: str | None,
        key: str,
        *,
        remembered: float,
        seconds: float,
    ) -> None:
        self._core = core
        self._names = (kind, tenant, key)
        self._ttl = micros(remembered)
        self._term = micros(seconds + MARGIN)
        self._end_time = core.nanoseconds() + int(seconds * 1e9)
        self._claim: HeldClaim | None = None
        self._moves_from = 0
        self._moves = 0

    async def record_owner(self, first_account: str, *, movable: bool) -> tuple[str, bool]:
        """Return the account that owns the key, and whether another account may take the key over.

        A new key is given to `first_account`. A caller that may move the key holds the claim on
        its record.

        Raises:
            IdempotencyInProgress: another caller held the claim on the record all the time.
            TenantRecordsExhausted: the key is new, and its tenant has reached its maximum of
                records.
        """
        account, may_move = await self._record_first(0, first_account, movable=movable)
        if not may_move:
            return account, False
        record_key, core = self._state_key("turn"), self._core
        claim_result, end_time = await self._claim_key(record_key, NewRecord.ALWAYS)
        self._moves_from = core.nanoseconds() + claim_result.wait * 1000
        self._claim = HeldClaim(record_key, claim_result.fence, ttl=self._ttl, until=end_time)
        core.renewals.keep(self._claim)
        while (next_account := await self._read(self._moves + 1)) is not None:
            account = next_account
            self._moves += 1
        return account, True

    async def move(self, account: str) -> None:
        """Record that another account owns the idempotency key from now on.

        Raises:
            IdempotencyInProgress: another caller may be working at the previous account.
        """
        core, claim, too_early_by = (
            self._core,
            self._claim,
            self._moves_from - self._core.nanoseconds(),
        )
        self._moves += 1
        if claim is not None and too_early_by <= 0:
            record = WriteRecordOfHolder(
                claim.key,
                claim.fence,
                self._state_key("place", str(self._moves)),
                (account, True),
                fingerprint=SAME_FINGERPRINT,
                ttl=self._ttl,
            )
            if await core.execute(record, self._seconds_left()):
                return
        raise IdempotencyInProgress(
            "Another call may still be using this idempotency key.",
            retry_at=core.utc() + timedelta(seconds=max(0, too_early_by) / 1e9),
        )

    def give_back(self) -> None:
        """Release the claim on this key's record, so that the next waiting caller continues.

        If an earlier holder may still be working, the claim is left to expire, so that other
        callers wait for that holder.
        """
        claim, self._claim = self._claim, None
        if claim is not None:
            self._core.renewals.stop_renewing(claim)
            if self._core.nanoseconds() >= self._moves_from:
                self._core.post(release_claim(claim.key, claim.fence, ttl=self._ttl))

    async def _record_first(self, number: int, account: str, *, movable: bool) -> tuple[str, bool]:
        """Store the key's first owner under this fencing number, unless an owner is stored."""
        record_key = self._state_key("place", str(number))
        claim_result, _ = await self._claim_key(record_key)
        if claim_result.verdict is Verdict.RUN:
            completion = store_answer(
                record_key, claim_result.fence, (account, movable), ttl=self._ttl
            )
            settlement = await self._core.execute(completion, self._seconds_left())
            account, movable = settlement.answer if settlement.done else (account, movable)
            return account, movable
        account, movable = claim_result.answer
        return account, movable

    async def _read(self, number: int) -> str | None:
        record_key = self._state_key("place", str(number))
        claim_result, _ = await self._claim_key(record_key, NewRecord.NEVER)
        if claim_result.verdict is Verdict.ABSENT:
            return None
        if claim_result.verdict is Verdict.RUN:
            await self._core.execute(
                release_claim(record_key, claim_result.fence, ttl=self._ttl), self._seconds_left()
            )
            return None
        account: str = claim_result.answer[0]
        return account

    async def _claim_key(
        self, record_key: str, new_record: NewRecord = NewRecord.IN_BOUND
    ) -> tuple[ClaimResult, int]:
        """Claim the right to record the key's owner, or return the owner that is already recorded.

        Also returns the end of the claim, in nanoseconds of the local clock.
        """
        core, pause = self._core, _FIRST_POLL_SECONDS
        owner, lease = core.token(), core.renewals.lease(self._term)
        while True:
            start_time = core.nanoseconds()
            claim = Claim(
                record_key,
                fingerprint=SAME_FINGERPRINT,
                owner=owner,
                lease=lease,
                term=self._term,
                ttl=self._ttl,
                target="",
                remembered=0,
            )
            claim_result = await self._execute(claim, new_record)
            if claim_result.verdict is not Verdict.BUSY:
                return claim_result, start_time + lease * 1000
            # The holder may have died; then the record can be claimed when its lease has expired.
            longest_pause = min(pause, claim_result.wait / SECOND + _AFTER)
            if core.nanoseconds() + longest_pause * 1e9 >= self._end_time:
                raise IdempotencyInProgress(
                    "Another call is using this idempotency key.",
                    retry_at=core.utc() + timedelta(microseconds=claim_result.wait),
                )
            await core.sleep(longest_pause * (0.5 + core.fraction() / 2))
            pause = min(2 * pause, _SLOWEST_LOOK)

    async def _execute(self, claim: Claim, new_record: NewRecord) -> ClaimResult:
        """Claim a key's record, and observe the limit on the tenant's records if there is one."""
        core, (kind, tenant, _) = self._core, self._names
        if core.tenant_records is not None and tenant is not None:
            counted_claim = CountedClaim(core, kind, tenant, claim, self._seconds_left, new_record)
            return await core.tenant_records.claim(counted_claim)
        return await core.execute(claim, self._seconds_left())  # type: ignore[no-any-return]  # as Claim says

    def _seconds_left(self) -> float:
        """Return the seconds until the caller's deadline, as the time limit for the store.

        If no time is left, the store gets a moment.
        """
        return seconds_left(self._core, self._end_time)

    def _state_key(self, what: str, *more: str) -> str:
        kind, tenant, key = self._names
        return own_key(what, kind, tenant, key, *more)
