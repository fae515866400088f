"""Running what never suspends: flows of adapters, written once for both colours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from moorage.adapters._renewing import AsyncVault, Owner
    from moorage.domain.keeping import Kept

Answer = TypeVar("Answer")


def run_now(flow: Coroutine[Any, Any, Answer]) -> Answer:
    """Run what never suspends to its end."""
    try:
        flow.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what the coroutine returned
    flow.close()
    raise RuntimeError(f"{flow!r} of a synchronous adapter was made to wait without blocking.")


class PlainVault:
    """A vault that never suspends, as one that is not awaited."""

    def __init__(self, vault: AsyncVault) -> None:
        self._vault = vault

    def get(self, owner: Owner) -> Any:
        """What is current."""
        return run_now(self._vault.get(owner))

    def has(self, owner: Owner) -> bool:
        """Whether there is one."""
        return run_now(self._vault.has(owner))

    def put(self, owner: Owner, new: Kept) -> None:
        """Keep a new one."""
        run_now(self._vault.put(owner, new))

    def replace(self, owner: Owner, old: Kept, new: Kept) -> None:
        """Keep a new one, unless the old one has been replaced already."""
        run_now(self._vault.replace(owner, old, new))


class ThreadedVault:
    """A vault that never suspends and may block, for an event loop: threads wait for it."""

    def __init__(self, vault: AsyncVault) -> None:
        self._vault = PlainVault(vault)

    async def get(self, owner: Owner) -> Any:
        """What is current."""
        return await asyncio.to_thread(self._vault.get, owner)

    async def has(self, owner: Owner) -> bool:
        """Whether there is one."""
        return await asyncio.to_thread(self._vault.has, owner)

    async def put(self, owner: Owner, new: Kept) -> None:
        """Keep a new one."""
        await asyncio.to_thread(self._vault.put, owner, new)

    async def replace(self, owner: Owner, old: Kept, new: Kept) -> None:
        """Keep a new one, unless the old one has been replaced already."""
        await asyncio.to_thread(self._vault.replace, owner, old, new)
