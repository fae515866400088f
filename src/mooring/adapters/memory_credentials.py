"""Credentials in the memory of one process.

A credential is renewed by one caller at a time: the first to ask takes off, the others wait until
it has landed. They are told apart by the place that a flight takes in a dictionary, which only one
can get; so no lock is held while somebody renews.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from copy import copy
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from mooring.adapters.forking import in_child
from mooring.domain.auth import Credentials, OAuthCredentials
from mooring.errors import ConnectorError, CredentialNotFound, CredentialRefreshFailed, InvalidData

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable, Mapping

Owner: TypeAlias = "tuple[str, str | None]"
"""A service and a tenant. What belongs to None belongs to no tenant, and serves none."""

Kept: TypeAlias = "Credentials | OAuthCredentials"
Renew: TypeAlias = "Callable[[str, str | None, Any], Kept]"
AsyncRenew: TypeAlias = "Callable[[str, str | None, Any], Awaitable[Kept]]"


class _Vault:
    """Who has which credential."""

    def __init__(self, credentials: Mapping[Owner, Kept]) -> None:
        self._kept: dict[Owner, Kept] = {}
        self._forget_lock()
        in_child(self, _Vault._forget_lock)
        for owner, kept in credentials.items():
            self.put(owner, kept)

    def _forget_lock(self) -> None:
        self._lock = Lock()

    def get(self, owner: Owner) -> Any:  # noqa: ANN401 - of either kind
        """What is current."""
        kept = self._kept.get(owner)
        if kept is None:
            raise CredentialNotFound(f"No credential of {_whose(owner)} is kept.", service=owner[0])
        return kept

    def has(self, owner: Owner) -> bool:
        """Whether there is one."""
        return owner in self._kept

    def put(self, owner: Owner, new: Kept) -> None:
        """Keep a new one."""
        new = _checked(new)
        with self._lock:
            self._kept[owner] = new

    def replace(self, owner: Owner, old: Kept, new: Kept) -> None:
        """Keep a new one, unless the old one has been replaced already."""
        kept = self._kept
        with self._lock:
            if kept[owner] is old:
                kept[owner] = new


class _Flight:
    """A renewal under way. It lands renewed or failed; or neither, if it was interrupted."""

    def __init__(self) -> None:
        self.renewed = False
        self.failure: CredentialRefreshFailed | None = None

    def settled(self) -> bool:
        """Whether it renewed; where it failed, that is raised, anew for each who asks."""
        if self.failure is not None:
            raise copy(self.failure) from self.failure.__cause__
        return self.renewed

    def take(self, vault: _Vault, owner: Owner, old: Kept, new: object) -> None:
        """Land with a new credential."""
        vault.replace(owner, old, _checked(new))
        self.renewed = True

    def fail(self, owner: Owner, error: Exception) -> None:
        """Land with what went wrong."""
        self.failure = _failed(owner, error)


class _ThreadFlight(_Flight):
    def __init__(self) -> None:
        super().__init__()
        self._landed = Event()
        self.land = self._landed.set
        self.wait = self._landed.wait


class MemoryCredentialProvider:
    """Keeps credentials in the memory of this process, safe for several threads.

    Args:
        credentials: what there is at first, by service and tenant.
        renew: asked for a new credential with the service, the tenant and the stale one; without
            it nothing can be refreshed. It is called by one thread at a time for each credential.
            Its result is dropped if `rotate` was called meanwhile.
    """

    def __init__(
        self, credentials: Mapping[Owner, Kept] | None = None, *, renew: Renew | None = None
    ) -> None:
        self._vault = _Vault(credentials or {})
        self._renew = renew or _cannot
        self._forget_flights()
        in_child(self, MemoryCredentialProvider._forget_flights)

    def _forget_flights(self) -> None:
        self._flights: dict[Owner, _ThreadFlight] = {}

    def get(self, service: str, tenant: str | None, /) -> Any:  # noqa: ANN401 - of either kind
        """What is current for this service and tenant."""
        return self._vault.get((service, tenant))

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Whether there is anything for this service and tenant."""
        return self._vault.has((service, tenant))

    def rotate(self, service: str, tenant: str | None, new: Kept, /) -> None:
        """Put a new credential in place of the old, or where there was none."""
        self._vault.put((service, tenant), new)

    def refresh(self, service: str, tenant: str | None, stale: Kept, /) -> Any:  # noqa: ANN401
        """Renew what is stale, or return what somebody else has renewed."""
        vault, owner, settled = self._vault, (service, tenant), False
        while not settled and vault.get(owner) == stale:
            mine = _ThreadFlight()
            try:
                flight = self._flights.setdefault(owner, mine)
                if flight is mine:
                    self._fly(mine, owner, stale)
            finally:
                if self._flights.get(owner) is mine:
                    del self._flights[owner]
                mine.land()
            flight.wait()
            settled = flight.settled()
        return vault.get(owner)

    def _fly(self, flight: _Flight, owner: Owner, stale: Kept) -> None:
        current = self._vault.get(owner)
        if current != stale:  # somebody else has landed just now
            return
        try:
            flight.take(self._vault, owner, current, self._renew(*owner, current))
        except Exception as error:  # noqa: BLE001 - raised as what it means
            flight.fail(owner, error)


class _TaskFlight(_Flight):
    def __init__(self) -> None:
        super().__init__()
        self._landed = False
        self._waiting: deque[tuple[AbstractEventLoop, Future[None]]] = deque()

    async def wait(self) -> None:
        """Wait, in whichever event loop, until it has landed."""
        from asyncio import get_running_loop  # noqa: PLC0415 - the other colour needs none

        loop = get_running_loop()
        told = loop.create_future()
        self._waiting.append((loop, told))
        if not self._landed:
            await told

    def land(self) -> None:
        """Tell those who wait."""
        self._landed = True
        while self._waiting:
            loop, told = self._waiting.popleft()
            with suppress(RuntimeError):  # a closed loop waits for nothing
                loop.call_soon_threadsafe(_tell, told)


class AsyncMemoryCredentialProvider:
    """As `MemoryCredentialProvider`, awaited; safe in several event loops.

    Args:
        credentials: what there is at first, by service and tenant.
        renew: awaited for a new credential with the service, the tenant and the stale one; without
            it nothing can be refreshed. It runs in one task at a time for each credential. Its
            result is dropped if `rotate` was called meanwhile. When its task is cancelled, another
            that waits starts over.
    """

    def __init__(
        self, credentials: Mapping[Owner, Kept] | None = None, *, renew: AsyncRenew | None = None
    ) -> None:
        self._vault = _Vault(credentials or {})
        self._renew = renew or _cannot_either
        self._forget_flights()
        in_child(self, AsyncMemoryCredentialProvider._forget_flights)

    def _forget_flights(self) -> None:
        self._flights: dict[Owner, _TaskFlight] = {}

    async def get(self, service: str, tenant: str | None, /) -> Any:  # noqa: ANN401 - either kind
        """What is current for this service and tenant."""
        return self._vault.get((service, tenant))

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Whether there is anything for this service and tenant."""
        return self._vault.has((service, tenant))

    async def rotate(self, service: str, tenant: str | None, new: Kept, /) -> None:
        """Put a new credential in place of the old, or where there was none."""
        self._vault.put((service, tenant), new)

    async def refresh(self, service: str, tenant: str | None, stale: Kept, /) -> Any:  # noqa: ANN401
        """Renew what is stale, or return what somebody else has renewed."""
        vault, owner, settled = self._vault, (service, tenant), False
        while not settled and vault.get(owner) == stale:
            mine = _TaskFlight()
            try:
                flight = self._flights.setdefault(owner, mine)
                if flight is mine:
                    await self._fly(mine, owner, stale)
            finally:
                if self._flights.get(owner) is mine:
                    del self._flights[owner]
                mine.land()
            await flight.wait()
            settled = flight.settled()
        return vault.get(owner)

    async def _fly(self, flight: _Flight, owner: Owner, stale: Kept) -> None:
        current = self._vault.get(owner)
        if current != stale:  # somebody else has landed just now
            return
        try:
            flight.take(self._vault, owner, current, await self._renew(*owner, current))
        except Exception as error:  # noqa: BLE001 - raised as what it means
            flight.fail(owner, error)


def _tell(told: Future[None]) -> None:
    if not told.done():
        told.set_result(None)


def _checked(new: object) -> Kept:
    if isinstance(new, (Credentials, OAuthCredentials)):
        return new
    raise InvalidData(
        f"A {type(new).__name__} is no credential.",
        field="credentials",
        remedy="Give Credentials or OAuthCredentials.",
    )


def _failed(owner: Owner, error: Exception) -> CredentialRefreshFailed:
    if isinstance(error, CredentialRefreshFailed):
        return error
    known = error if isinstance(error, ConnectorError) else None
    failed = CredentialRefreshFailed(
        f"Renewing the credential of {_whose(owner)} failed with {type(error).__name__}.",
        service=owner[0],
        retryable=known is not None and known.retryable,
        retry_at=None if known is None else known.retry_at,
    )
    failed.__cause__ = error
    return failed


def _whose(owner: Owner) -> str:
    return "no tenant" if owner[1] is None else f"tenant {owner[1]!r}"


def _cannot(service: str, _tenant: str | None, _stale: Kept, /) -> Kept:
    raise CredentialRefreshFailed(
        "This provider has no way to renew credentials.",
        remedy="Give it `renew=`, or put a new credential in place with `rotate`.",
        service=service,
    )


async def _cannot_either(service: str, tenant: str | None, stale: Kept, /) -> Kept:
    return _cannot(service, tenant, stale)
