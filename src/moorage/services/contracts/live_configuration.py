"""The current configuration of a hub, and its replacement by a reload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar

from moorage.domain.state.keys import checked_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.contracts.routes import Account
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.contracts.tenants import TenantDispatchers

F = TypeVar("F")
P = ParamSpec("P")
R = TypeVar("R")

FindDispatcher: TypeAlias = "Callable[[str | None], Coroutine[Any, Any, Dispatcher]]"
"""A function that finds the dispatcher of a tenant for a call that starts."""


class LiveConfiguration:
    """The current dispatcher of a hub, which is replaced when the configuration is reloaded.

    A call uses one dispatcher from its first step to its last.

    Attributes:
        now: dispatcher of the calls that start now.
        tenants: dispatchers of tenants whose configuration is looked up.
    """

    def __init__(self, now: Dispatcher) -> None:
        self.dispatcher = now
        self.tenants: TenantDispatchers | None = None

    def account(self, name: str) -> Account | None:
        """Return the account of this name from memory; None if its tenant is not in memory."""
        tenant_dispatcher = (
            None if self.tenants is None else self.tenants.cached_dispatcher(_tenant_of(name))
        )
        tenant_account = (
            None if tenant_dispatcher is None else tenant_dispatcher.directory.accounts.get(name)
        )
        return tenant_account or self.dispatcher.directory.accounts.get(name)

    async def find_account(self, name: str) -> Account | None:
        """Return the account of this name; look up the tenant in the name if necessary."""
        general, tenant = self.dispatcher, _tenant_of(name)
        general_account = general.directory.accounts.get(name)
        if (
            self.tenants is None
            or not tenant
            or (general_account is not None and general_account.tenants is None)
        ):
            return general_account
        dispatcher = await self.tenants.dispatcher_for(general, tenant)
        tenant_account = None if dispatcher is None else dispatcher.directory.accounts.get(name)
        return tenant_account or general_account

    def about(self, subject: str | None) -> FindDispatcher:
        """Return a function that finds a tenant's dispatcher for calls about a person."""
        if subject is None:
            return self.dispatcher_of
        checked_name(subject, "subject")

        async def find_dispatcher(tenant: str | None) -> Dispatcher:
            return (await self.dispatcher_of(tenant)).about(subject)

        return find_dispatcher

    async def dispatcher_of(self, tenant: str | None) -> Dispatcher:
        """Return a tenant's current dispatcher; None means the hub without a tenant."""
        if tenant is None or self.tenants is None:
            return self.dispatcher
        return await self.tenants.dispatcher_of(self.dispatcher, tenant)


def _tenant_of(account: str) -> str:
    """Return the tenant in an account's name, such as `acme` in `acme.stripe`."""
    return account.rpartition(".")[0]


class CurrentOperations(Generic[F]):
    """The operations of a contract for one tenant, which use the latest configuration.

    Args:
        flows: makes the operations, for a dispatcher and a tenant.
        find_dispatcher: finds the dispatcher of a starting call.
        tenant: tenant of the operations.
    """

    def __init__(
        self,
        flows: Callable[[Dispatcher, str | None], F],
        find_dispatcher: FindDispatcher,
        tenant: str | None,
    ) -> None:
        self._flows = flows
        self._find_dispatcher = find_dispatcher
        self._tenant = tenant

    async def run(
        self,
        flow: Callable[Concatenate[F, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Execute an operation with the dispatcher that is current now."""
        tenant = self._tenant
        return await flow(self._flows(await self._find_dispatcher(tenant), tenant), *args, **kwargs)
