"""The fence against copied databases: a store belongs to the environment that used it first.

Laws:

1. A store that belongs to nobody belongs to the first environment that names itself.
2. Under another name, or under none, nothing is sent until somebody has said that this is right.
3. What is written down stays: a copy of the store says whose the original was.
4. It is asked once by each process. While the store is away nothing is known, and calls go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.fingerprint import digest
from moorage.domain.idempotency import Claim, Verdict, complete, release
from moorage.domain.keys import checked_name, state_key
from moorage.errors import CopiedStore, StorageUnavailable

if TYPE_CHECKING:
    from moorage.domain.idempotency import Claimed
    from moorage.services.core import Core

_HOME: Final = state_key("fence", "moorage", None, "home")
_SAME: Final = digest([])
_LEASE: Final = 10_000_000
_EVER: Final = 100 * 365 * 86_400 * 1_000_000
_LOOK: Final = 0.02
_LOOKS: Final = 500


class Fence:
    """Lets calls out of the environment that a store belongs to.

    Args:
        core: the ports.
        environment: the name of this one; None if it has none.

    Attributes:
        passed: whether it is known that the store belongs here.
    """

    def __init__(self, core: Core, environment: str | None) -> None:
        self._core = core
        self._environment = environment
        self.passed = False

    async def check(self) -> None:
        """Let the caller out if the store belongs here, and do not ask again.

        Raises:
            CopiedStore: it belongs to another environment.
        """
        try:
            home = await self._home()
        except StorageUnavailable:
            return
        if home not in {None, self._environment} and not await self._is_armed():
            here = self._environment
            raise CopiedStore(
                f"the store belongs to the environment {home!r}, and this is"
                f" {'none that has a name' if here is None else repr(here)}.",
                home=home,
            )
        self.passed = True

    async def rearm(self) -> str | None:
        """Say that this environment may use the store, and tell whose it was first."""
        home = await self._home()
        if self._environment is not None:
            await self._written(_armed(self._environment), self._environment)
        return home

    async def home(self) -> str | None:
        """Whose the store was first, if it is anybody's; nothing is written."""
        return await self._read(_HOME)

    async def _home(self) -> str | None:
        if self._environment is None:
            return await self._read(_HOME)
        return await self._written(_HOME, checked_name(self._environment, "environment"))

    async def _is_armed(self) -> bool:
        if self._environment is None:
            return False
        return await self._read(_armed(self._environment)) is not None

    async def _read(self, key: str) -> str | None:
        claimed = await self._claimed(key)
        if claimed.verdict is Verdict.RUN:
            await self._core.execute(release(key, claimed.fence, ttl=_EVER), None)
            return None
        found: str = claimed.answer
        return found

    async def _written(self, key: str, name: str) -> str:
        """What is written down there: this, if nothing was."""
        claimed = await self._claimed(key)
        if claimed.verdict is Verdict.RUN:
            await self._core.execute(complete(key, claimed.fence, name, ttl=_EVER), None)
            return name
        found: str = claimed.answer
        return found

    async def _claimed(self, key: str) -> Claimed:
        """A claim that was granted, or what is written there."""
        core = self._core
        for _ in range(_LOOKS):
            claimed: Claimed = await core.execute(
                Claim(
                    key,
                    fingerprint=_SAME,
                    owner=core.token(),
                    lease=_LEASE,
                    ttl=_EVER,
                    target="",
                    remembered=0,
                ),
                None,
            )
            if claimed.verdict is not Verdict.BUSY:
                return claimed
            await core.sleep(_LOOK)
        raise StorageUnavailable(
            "somebody else is asking whose the store is, and does not come to an end.",
            remedy="Try again.",
        )


def _armed(environment: str) -> str:
    return state_key("fence", "moorage", None, "armed", environment)
