"""Where an effect is being brought about, so that no other account ever brings it about again.

Laws:

1. An effect with a key goes to the account that was written down for the key first, whatever the
   routes say by then.
2. It moves on to another account only while this caller has the turn, and only when it is certain
   that the last one did nothing; where it moves is written down before anything is sent there.
3. A turn outlives whoever has it, so that nobody else begins while something may be under way.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from moorage.domain.durations import micros
from moorage.domain.fingerprint import digest
from moorage.domain.idempotency import Claim, Claimed, Verdict, complete, release
from moorage.domain.keys import state_key
from moorage.domain.plan import AFTERWARDS, MARGIN
from moorage.errors import IdempotencyInProgress

if TYPE_CHECKING:
    from moorage.services.core import Core

_FIRST_LOOK: Final = 0.005
_SLOWEST_LOOK: Final = 0.25
_SAME: Final = digest([])


class Turn:
    """One effect's key, of one kind and tenant.

    Args:
        core: the ports.
        kind: the contract.
        tenant: whose key it is.
        key: the key.
        remembered: seconds for which it is kept where the effect was brought about.
        seconds: how long a caller may have the turn.
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
        self._lease = micros(seconds + MARGIN)
        self._patience = core.nanoseconds() + int(seconds * 1e9)
        self._held: tuple[str, int] | None = None
        self._moves = 0

    async def settled(self, first: str, *, movable: bool) -> tuple[str, bool]:
        """The account that the key belongs to, and whether it may still move on from there.

        It is `first` if the key belongs to none yet. Who gets a key that may move has the turn.

        Raises:
            IdempotencyInProgress: somebody else had the turn all the time.
        """
        account, may_move = await self._written(0, first, movable=movable)
        if not may_move:
            return account, False
        self._held = self._at("turn"), (await self._claimed(self._at("turn"))).fence
        while (following := await self._read(self._moves + 1)) is not None:
            account = following
            self._moves += 1
        return account, True

    async def move(self, account: str) -> None:
        """Write down that the effect is to be brought about at another account from now on."""
        self._moves += 1
        await self._written(self._moves, account, movable=True)

    def give_back(self) -> None:
        """Let the next caller have the turn."""
        if self._held is not None:
            at, fence = self._held
            self._held = None
            self._core.post(release(at, fence, ttl=self._ttl))

    async def _written(self, number: int, account: str, *, movable: bool) -> tuple[str, bool]:
        """What is written down as the place of this number: this account, if nothing was."""
        at = self._at("place", str(number))
        claimed = await self._claimed(at)
        if claimed.verdict is Verdict.RUN:
            kept = complete(at, claimed.fence, (account, movable), ttl=self._ttl)
            settled = await self._core.execute(kept, self._left())
            account, movable = settled.answer if settled.done else (account, movable)
            return account, movable
        account, movable = claimed.answer
        return account, movable

    async def _read(self, number: int) -> str | None:
        at = self._at("place", str(number))
        claimed = await self._claimed(at)
        if claimed.verdict is Verdict.RUN:
            await self._core.execute(release(at, claimed.fence, ttl=self._ttl), self._left())
            return None
        account: str = claimed.answer[0]
        return account

    async def _claimed(self, at: str) -> Claimed:
        """A claim that was granted, or what is written there; waits for whoever holds it."""
        core, look = self._core, _FIRST_LOOK
        owner = core.token()
        while True:
            claimed: Claimed = await core.execute(
                Claim(
                    at,
                    fingerprint=_SAME,
                    owner=owner,
                    lease=self._lease,
                    ttl=self._ttl,
                    target="",
                    remembered=0,
                ),
                self._left(),
            )
            if claimed.verdict is not Verdict.BUSY:
                return claimed
            if core.nanoseconds() + look * 1e9 >= self._patience:
                raise IdempotencyInProgress(
                    "another caller is working on this key.",
                    retry_at=core.utc() + timedelta(microseconds=claimed.wait),
                )
            await core.sleep(look * (0.5 + core.fraction() / 2))
            look = min(2 * look, _SLOWEST_LOOK)

    def _left(self) -> float:
        """Seconds that a store may take of what a caller has; a little where nothing is left."""
        return max(AFTERWARDS, (self._patience - self._core.nanoseconds()) / 1e9)

    def _at(self, what: str, *more: str) -> str:
        kind, tenant, key = self._names
        return state_key(what, kind, tenant, key, *more)
