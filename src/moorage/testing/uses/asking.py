"""Calls to a vendor behind a synchronous or asynchronous hub."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from moorage.contracts.ref import Ref

if TYPE_CHECKING:
    from moorage.testing.trades import Trade


async def given(value: Any) -> Any:
    """Return the result of a call, awaited if the hub is asynchronous."""
    return await value if inspect.isawaitable(value) else value


@attrs.frozen(kw_only=True)
class At:
    """A vendor behind a hub.

    Attributes:
        face: what the operations are called on, of either colour.
        trade: what the vendor needs.
        vendor: its name, and its account's.
        able: whether it says that it is able; else nothing is prepared, for nothing may be sent.
    """

    face: Any
    trade: Trade
    vendor: str
    able: bool

    async def __call__(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """Do something there."""
        return await given(getattr(self.face, operation)(*arguments, **named))

    async def ref(self, operation: str, *arguments: Any, **named: Any) -> Ref:
        """Return the reference of a result, or a plausible one."""
        if not self.able:
            return Ref.parse(f"{self.vendor}:{self.vendor}:1")
        made: Ref = (await self(operation, *arguments, **named)).ref
        return made


Use: TypeAlias = Callable[[At], Awaitable[Any]]
