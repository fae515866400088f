"""Where the faces of a hub hand their calls in: at the desk that is there when a call begins."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar

from moorage.domain.keys import checked_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.services.desk import Desk
    from moorage.services.tenants import TenantDesks

F = TypeVar("F")
P = ParamSpec("P")
R = TypeVar("R")

FindDesk: TypeAlias = "Callable[[str | None], Coroutine[Any, Any, Desk]]"
"""Finds the desk of a call that begins, for a tenant."""


class Desks:
    """The desk of a hub, which another takes the place of when its configuration is read anew.

    A call goes to one desk from its first step to its last.

    Attributes:
        now: the desk of calls that begin.
        tenants: has the desks of tenants, where these are looked up.
    """

    def __init__(self, now: Desk) -> None:
        self.now = now
        self.tenants: TenantDesks | None = None

    def all(self) -> tuple[Desk, ...]:
        """Everybody's desk, and those of tenants that were looked up."""
        return self.now, *(() if self.tenants is None else self.tenants.held())

    def about(self, subject: str | None) -> FindDesk:
        """Finds the desk of each call that begins; its operations are about somebody's data."""
        if subject is None:
            return self.of
        checked_name(subject, "subject")

        async def found(tenant: str | None) -> Desk:
            return (await self.of(tenant)).about(subject)

        return found

    async def of(self, tenant: str | None) -> Desk:
        """The desk of a call that begins, for this tenant."""
        if tenant is None or self.tenants is None:
            return self.now
        return await self.tenants.of(self.now, tenant)


class Counter(Generic[F]):
    """The operations of a contract, for one tenant, at whichever desk is there.

    Args:
        flows: makes the operations, at a desk and for a tenant.
        desk: finds the desk of a call that begins.
        tenant: whose operations they are.
    """

    def __init__(
        self, flows: Callable[[Desk, str | None], F], desk: FindDesk, tenant: str | None
    ) -> None:
        self._flows = flows
        self._desk = desk
        self._tenant = tenant

    async def now(self) -> F:
        """The operations of a call that begins."""
        return self._flows(await self._desk(self._tenant), self._tenant)


def current(
    flow: Callable[Concatenate[F, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Counter[F], P], Coroutine[Any, Any, R]]:
    """A flow at a desk as one at the counter before it."""

    @wraps(flow)
    async def at_once(counter: Counter[F], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await flow(await counter.now(), *args, **kwargs)

    return at_once
