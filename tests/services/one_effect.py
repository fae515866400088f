"""Charges that must happen once, and points at which a caller dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    Request,
    Service,
)
from tests.support.virtual_tasks import Interruption

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager, World

LEASE = 35.0
"""The deadline of a call, and five seconds."""
POST = Request.post("/charges", json={"amount": "9.99"})
OTHER = Request.post("/charges", json={"amount": "99.90"})


def bank(**options: object) -> Service:
    """A vendor without idempotency keys and without further protection."""
    value = {"base_url": "https://bank.example", "circuit": None, "retry": None} | options
    return Service("bank", **value)  # type: ignore[arg-type]  # as each test says


def key_aware_bank(**options: object) -> Service:
    """A vendor that honours idempotency keys."""
    keys = {"idempotency_header": "Idempotency-Key", "idempotency_memory": 86_400}
    return bank(**(keys | options))


async def charge(
    manager: AwaitedManager, request: Request = POST, key: str = "k", **options: Any
) -> Any:
    """Charge once for the key."""
    return await manager.call("bank", request, idempotency_key=key, **options)


async def crash(
    world: World, manager: AwaitedManager, *, sent: bool, request: Request = POST
) -> None:
    """Kill a caller before or after its request was sent, without any clean-up."""
    world.store.is_deaf = True
    if sent:
        world.vendor.answers(Interruption())
        died_class: type[BaseException] = Interruption
    else:
        # The admission with the sent mark is the second trip.
        world.store.fails_at[len(world.store.commands) + 2] = Interruption()
        died_class = Interruption
    with pytest.raises(died_class):
        await charge(manager, request)
    world.store.is_deaf = False


def over_one_store(world: World, *services: Service, **ports: Any) -> AwaitedManager:
    """A manager over a store that counts its commands, in every mode."""
    return world.watched(*services, state=world.of_mode(world.store), **ports)
