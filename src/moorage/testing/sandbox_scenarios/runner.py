"""Calls to a vendor behind a sync or async hub."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from moorage.contracts.ref import Ref

if TYPE_CHECKING:
    from moorage.testing.sandboxes.fixture import SandboxFixture


async def await_if_needed(result: Any) -> Any:
    """Return the result of a call; await it if the hub is asynchronous."""
    return await result if inspect.isawaitable(result) else result


@attrs.frozen(kw_only=True)
class ScenarioVendor:
    """A vendor behind a hub, which scenarios call.

    Attributes:
        operations: the contract's operations, such as `hub.sms()`, synchronous or asynchronous.
        fixture: the vendor's sandbox and the account there.
        name: name of the vendor and of its account.
        is_supported: True if the vendor declares the capability; otherwise the scenario prepares
            nothing, because it must not send anything.
    """

    operations: Any
    fixture: SandboxFixture
    name: str
    is_supported: bool

    async def __call__(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """Call an operation of the vendor's contract."""
        return await await_if_needed(getattr(self.operations, operation)(*arguments, **named))

    async def ref(self, operation: str, *arguments: Any, **named: Any) -> Ref:
        """Return the reference in an operation's result.

        Without a result, an invented reference.
        """
        if not self.is_supported:
            return Ref.parse(f"{self.name}:{self.name}:1")
        ref: Ref = (await self(operation, *arguments, **named)).ref
        return ref


Scenario: TypeAlias = Callable[[ScenarioVendor], Awaitable[Any]]
