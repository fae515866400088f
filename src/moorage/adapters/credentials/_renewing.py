"""Renewing credentials, wherever they are kept.

A credential is renewed by one caller at a time: the first to ask takes off, the others wait until
it has landed. They are told apart by the place that a flight takes in a dictionary, which only one
can get; so no lock is held while somebody renews.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from copy import copy
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.errors import ConnectorError, CredentialNotFound, CredentialRefreshFailed, InvalidData

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable

    from moorage.domain.auth.keeping import Kept

Owner: TypeAlias = "tuple[str, str | None]"
"""A service and a tenant. What belongs to None belongs to no tenant, and serves none."""

Renew: TypeAlias = "Callable[[str, str | None, Any], Kept]"
AsyncRenew: TypeAlias = "Callable[[str, str | None, Any], Awaitable[Kept]]"


class Vault(Protocol):
    """Where credentials are kept.

    `get` raises what `missing` gives where there is nothing. `replace` keeps a new one, unless the
    old one has been replaced already.
    """

    def get(self, owner: Owner, /) -> Any: ...

    def has(self, owner: Owner, /) -> bool: ...

    def put(self, owner: Owner, new: Kept, /) -> None: ...

    def replace(self, owner: Owner, old: Kept, new: Kept, /) -> None: ...


class AsyncVault(Protocol):
    """The asynchronous `Vault`."""

    async def get(self, owner: Owner, /) -> Any: ...

    async def has(self, owner: Owner, /) -> bool: ...

    async def put(self, owner: Owner, new: Kept, /) -> None: ...

    async def replace(self, owner: Owner, old: Kept, new: Kept, /) -> None: ...


class _Flight:
    """A renewal under way. It lands renewed or failed; or neither, if it was interrupted."""

    def __init__(self) -> None:
        self.renewed = False
        self.failure: CredentialRefreshFailed | None = None

    def settled(self) -> bool:
        """Return whether the renewal succeeded; raise a copy of its error if it failed."""
        if self.failure is not None:
            raise copy(self.failure) from self.failure.__cause__
        return self.renewed

    def fail(self, owner: Owner, error: Exception) -> None:
        """Land with what went wrong."""
        self.failure = _failed(owner, error)


class _ThreadFlight(_Flight):
    def __init__(self) -> None:
        super().__init__()
        self._landed = Event()
        self.land = self._landed.set
        self.wait = self._landed.wait


class Renewing:
    """A provider over a vault.

    Args:
        vault: where the credentials are.
        renew: gives a new one; without it nothing can be refreshed.
    """

    def __init__(self, vault: Vault, renew: Renew | None) -> None:
        self._vault = vault
        self._renew = renew or _cannot
        self._forget_flights()
        in_child(self, Renewing._forget_flights)

    def _forget_flights(self) -> None:
        self._flights: dict[Owner, _ThreadFlight] = {}

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of a service and tenant."""
        return self._vault.get((service, tenant))

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return self._vault.has((service, tenant))

    def rotate(self, service: str, tenant: str | None, new: Kept, /) -> None:
        """Store new credentials in place of the old ones, if any."""
        self._vault.put((service, tenant), new)

    def refresh(self, service: str, tenant: str | None, stale: Kept, /) -> Any:
        """Renew stale credentials, or return those that another caller has renewed."""
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
            self._vault.replace(owner, current, checked(self._renew(*owner, current)))
            flight.renewed = True
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


class AsyncRenewing:
    """The asynchronous `Renewing`.

    Args:
        vault: where the credentials are.
        renew: gives a new one; without it nothing can be refreshed.
    """

    def __init__(self, vault: AsyncVault, renew: AsyncRenew | None) -> None:
        self._vault = vault
        self._renew = renew or _cannot_either
        self._forget_flights()
        in_child(self, AsyncRenewing._forget_flights)

    def _forget_flights(self) -> None:
        self._flights: dict[Owner, _TaskFlight] = {}

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of a service and tenant."""
        return await self._vault.get((service, tenant))

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return await self._vault.has((service, tenant))

    async def rotate(self, service: str, tenant: str | None, new: Kept, /) -> None:
        """Store new credentials in place of the old ones, if any."""
        await self._vault.put((service, tenant), new)

    async def refresh(self, service: str, tenant: str | None, stale: Kept, /) -> Any:
        """Renew stale credentials, or return those that another caller has renewed."""
        vault, owner, settled = self._vault, (service, tenant), False
        while not settled and await vault.get(owner) == stale:
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
        return await vault.get(owner)

    async def _fly(self, flight: _Flight, owner: Owner, stale: Kept) -> None:
        current = await self._vault.get(owner)
        if current != stale:  # somebody else has landed just now
            return
        try:
            new = checked(await self._renew(*owner, current))
            await self._vault.replace(owner, current, new)
            flight.renewed = True
        except Exception as error:  # noqa: BLE001 - raised as what it means
            flight.fail(owner, error)


def _tell(told: Future[None]) -> None:
    if not told.done():
        told.set_result(None)


def checked(new: object) -> Kept:
    """Return the value if it is a credential; otherwise raise an error."""
    if isinstance(new, (Credentials, OAuthCredentials)):
        return new
    raise InvalidData(
        f"A {type(new).__name__} is no credential.",
        field="credentials",
        remedy="Give Credentials or OAuthCredentials.",
    )


def missing(owner: Owner) -> CredentialNotFound:
    """Return the error for missing credentials."""
    return CredentialNotFound(f"No credential of {_whose(owner)} is kept.", service=owner[0])


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
