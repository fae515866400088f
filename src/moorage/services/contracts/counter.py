"""The live configuration of a hub: each call uses the dispatcher that is current at its start."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar

from moorage.domain.state.keys import checked_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.contracts.routes import Account
    from moorage.services.contracts.dispatcher import Desk
    from moorage.services.contracts.tenants import TenantDesks

F = TypeVar("F")
P = ParamSpec("P")
R = TypeVar("R")

FindDesk: TypeAlias = "Callable[[str | None], Coroutine[Any, Any, Desk]]"
"""Finds the dispatcher of a starting call, for a tenant."""


class Desks:
    """The current dispatcher of a hub, which a reload of the configuration replaces.

    A call uses one dispatcher from its first step to its last.

    Attributes:
        now: dispatcher of the calls that start now.
        tenants: dispatchers of tenants whose configuration is looked up.
    """

    def __init__(self, now: Desk) -> None:
        self.now = now
        self.tenants: TenantDesks | None = None

    def account(self, name: str) -> Account | None:
        """The account of this name if it is known in memory; nothing is looked up."""
        own = None if self.tenants is None else self.tenants.held(_tenant_of(name))
        found = None if own is None else own.directory.accounts.get(name)
        return found or self.now.directory.accounts.get(name)

    async def find_account(self, name: str) -> Account | None:
        """The account of this name; the tenant of such a name is looked up first if necessary."""
        now, tenant = self.now, _tenant_of(name)
        found = now.directory.accounts.get(name)
        if self.tenants is None or not tenant or (found is not None and found.tenants is None):
            return found
        desk = await self.tenants.serving(now, tenant)
        own = None if desk is None else desk.directory.accounts.get(name)
        return own or found

    def about(self, subject: str | None) -> FindDesk:
        """Find the dispatcher of each starting call, for operations about one person's data."""
        if subject is None:
            return self.of
        checked_name(subject, "subject")

        async def found(tenant: str | None) -> Desk:
            return (await self.of(tenant)).about(subject)

        return found

    async def of(self, tenant: str | None) -> Desk:
        """The dispatcher of a starting call, for this tenant."""
        if tenant is None or self.tenants is None:
            return self.now
        return await self.tenants.of(self.now, tenant)


def _tenant_of(account: str) -> str:
    """The tenant part of an account's name, such as `acme` of `acme.stripe`; None without one."""
    return account.rpartition(".")[0]


class Counter(Generic[F]):
    """The operations of a contract for one tenant, on the current dispatcher.

    Args:
        flows: makes the operations, for a dispatcher and a tenant.
        desk: finds the dispatcher of a starting call.
        tenant: tenant of the operations.
    """

    def __init__(
        self, flows: Callable[[Desk, str | None], F], desk: FindDesk, tenant: str | None
    ) -> None:
        self._flows = flows
        self._desk = desk
        self._tenant = tenant

    async def now(self) -> F:
        """The operations of a starting call, on the current dispatcher."""
        return self._flows(await self._desk(self._tenant), self._tenant)


def current(
    flow: Callable[Concatenate[F, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Counter[F], P], Coroutine[Any, Any, R]]:
    """Wrap a flow of a dispatcher so that each call uses the current dispatcher."""

    @wraps(flow)
    async def at_once(counter: Counter[F], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await flow(await counter.now(), *args, **kwargs)

    return at_once
