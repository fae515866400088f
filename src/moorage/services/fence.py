"""The fence against copied databases: a store belongs to the environment that used it first.

Laws:

1. A store that belongs to nobody belongs to the first environment that names itself.
2. Under another name, or under none, nothing is sent until somebody has said that this is right.
3. What is written down stays: a copy of the store says whose the original was.
4. It is asked once by each process, in one step that claims nothing: nobody waits for another.
5. While the store is away nothing is known, and calls go on. Looking in vain takes no more than a
   tenth of a process' time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.fingerprint import digest
from moorage.domain.idempotency import WriteOnce, Written
from moorage.domain.keys import checked_name, state_key
from moorage.errors import CopiedStore, StorageUnavailable

if TYPE_CHECKING:
    from moorage.services.core import Core

_HOME: Final = state_key("fence", "moorage", None, "home")
_SAME: Final = digest([])
_EVER: Final = 100 * 365 * 86_400 * 1_000_000
_RESTS: Final = 9
"""How many times as long as a look in vain took nobody looks again."""


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
        self._rests_until = 0

    async def check(self, timeout: float | None = None) -> None:
        """Let the caller out if the store belongs here, and do not ask again.

        Args:
            timeout: seconds for the store to answer; what it has not said by then is unknown.

        Raises:
            CopiedStore: it belongs to another environment.
        """
        core = self._core
        began = core.nanoseconds()
        if began < self._rests_until:
            return
        until = None if timeout is None else began + int(timeout * 1e9)
        try:
            home = await self._home(until)
            armed = home in {None, self._environment} or await self._is_armed(until)
        except StorageUnavailable:
            now = core.nanoseconds()
            self._rests_until = now + _RESTS * (now - began)
            return
        if not armed:
            here = self._environment
            raise CopiedStore(
                f"the store belongs to the environment {home!r}, and this is"
                f" {'none that has a name' if here is None else repr(here)}.",
                home=home,
            )
        self.passed = True

    async def rearm(self) -> str | None:
        """Say that this environment may use the store, and tell whose it was first."""
        home = await self._home(None)
        if self._environment is not None:
            await self._written(_armed(self._environment), self._environment, None)
        return home

    async def home(self) -> str | None:
        """Whose the store was first, if it is anybody's; nothing is written."""
        return await self._read(_HOME, None)

    async def _home(self, until: int | None) -> str | None:
        if self._environment is None:
            return await self._read(_HOME, until)
        environment = checked_name(self._environment, "environment")
        return await self._written(_HOME, environment, until)

    async def _is_armed(self, until: int | None) -> bool:
        if self._environment is None:
            return False
        return await self._read(_armed(self._environment), until) is not None

    async def _read(self, key: str, until: int | None) -> str | None:
        return await self._core.execute(Written(key), self._left(until))  # type: ignore[no-any-return]  # a name

    async def _written(self, key: str, name: str, until: int | None) -> str:
        """What is written down there: this, if nothing was."""
        write = WriteOnce(key, name, fingerprint=_SAME, ttl=_EVER)
        return await self._core.execute(write, self._left(until))  # type: ignore[no-any-return]  # a name

    def _left(self, until: int | None) -> float | None:
        """Seconds until then.

        Raises:
            StorageUnavailable: there are none.
        """
        if until is None:
            return None
        left = (until - self._core.nanoseconds()) / 1e9
        if left <= 0:
            raise StorageUnavailable("the store did not say in time whose it is.")
        return left


def _armed(environment: str) -> str:
    return state_key("fence", "moorage", None, "armed", environment)
