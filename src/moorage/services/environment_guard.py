"""The environment guard, which detects a database copied from another environment.

Laws:

1. A store without an owner belongs to the first environment that names itself.
2. In an environment of another name, or without a name, nothing is sent until a person has allowed
   it.
3. The owner stays recorded: a copy of the store names the environment of the original.
4. Each process checks once, with one command of the store, so that processes never wait for others.
5. While the store is unreachable, the owner is unknown and calls continue. Failed checks take at
   most a tenth of a process's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.http.fingerprint import SAME_FINGERPRINT
from moorage.domain.idempotency.claims import ReadRecord, WriteRecordOnce
from moorage.domain.state.keys import checked_name, state_key
from moorage.errors import CopiedStore, StorageUnavailable

if TYPE_CHECKING:
    from moorage.services.core.core import Core

_OWNER: Final = state_key("fence", "moorage", None, "home")
_EVER: Final = 100 * 365 * 86_400 * 1_000_000
_PAUSE_FACTOR: Final = 9
"""The pause after a failed check of the environment, as a multiple of that check's duration."""


class EnvironmentGuard:
    """Refuses calls of an environment that does not own the store, such as a test system.

    Args:
        core: the ports.
        environment: name of this environment; None without one.

    Attributes:
        passed: True once the store is known to belong here.

    Raises:
        InvalidData: `environment` is not a name.
    """

    def __init__(self, core: Core, environment: str | None) -> None:
        if environment is not None:
            checked_name(environment, "environment_id")
        self._core = core
        self._environment = environment
        self.passed = False
        self._rests_until = 0

    async def check(self, timeout: float | None = None) -> None:
        """Check that the store belongs to this environment, until one check has succeeded.

        Args:
            timeout: seconds for the store to respond; without a response the owner counts as
                unknown.

        Raises:
            CopiedStore: the store belongs to another environment.
        """
        core = self._core
        start_time = core.nanoseconds()
        if start_time < self._rests_until:
            return
        end_time = None if timeout is None else start_time + int(timeout * 1e9)
        try:
            owner = await self._claimed_owner(end_time)
            is_allowed = owner in {None, self._environment} or await self._has_permission(end_time)
        except StorageUnavailable:
            now = core.nanoseconds()
            self._rests_until = now + _PAUSE_FACTOR * (now - start_time)
            return
        if not is_allowed:
            raise self._refusal(owner)
        self.passed = True

    async def rearm(self) -> str | None:
        """Allow this environment to use the store; return the name of its first owner.

        Raises:
            InvalidData: this environment has no name.
        """
        environment = checked_name(self._environment, "environment_id")
        owner = await self._claimed_owner(None)
        await self._written_value(_permission_key(environment), environment, None)
        return owner

    async def owner(self) -> str | None:
        """Return the environment that first used the store, if any, without writing anything."""
        return await self._read(_OWNER, None)

    async def refusal(self) -> CopiedStore | None:
        """Return the error for calls in this environment; None if they are allowed.

        Raises:
            StorageUnavailable: the store is unreachable.
        """
        owner = await self.owner()
        is_allowed = owner in {None, self._environment} or await self._has_permission(None)
        return None if is_allowed else self._refusal(owner)

    def _refusal(self, owner: str | None) -> CopiedStore:
        environment = self._environment
        return CopiedStore(
            f"The store belongs to the environment {owner!r}, but this environment is"
            f" {'not named' if environment is None else repr(environment)}.",
            owner=owner,
        )

    async def _claimed_owner(self, until: int | None) -> str | None:
        if self._environment is None:
            return await self._read(_OWNER, until)
        return await self._written_value(_OWNER, self._environment, until)

    async def _has_permission(self, until: int | None) -> bool:
        if self._environment is None:
            return False
        return await self._read(_permission_key(self._environment), until) is not None

    async def _read(self, key: str, until: int | None) -> str | None:
        return await self._core.execute(ReadRecord(key), self._seconds_left(until))  # type: ignore[no-any-return]  # the stored name

    async def _written_value(self, key: str, name: str, until: int | None) -> str:
        """Write a value if the store has none, and return the stored value."""
        write = WriteRecordOnce(key, name, fingerprint=SAME_FINGERPRINT, ttl=_EVER)
        record = await self._core.execute(write, self._seconds_left(until))
        return record.value  # type: ignore[no-any-return]  # the stored name

    def _seconds_left(self, until: int | None) -> float | None:
        """Return the seconds until a time of the local clock; None if no time is given.

        Raises:
            StorageUnavailable: no time is left.
        """
        if until is None:
            return None
        time_left = (until - self._core.nanoseconds()) / 1e9
        if time_left <= 0:
            raise StorageUnavailable(
                "The store did not return the name of its environment in time."
            )
        return time_left


def _permission_key(environment: str) -> str:
    return state_key("fence", "moorage", None, "armed", environment)
