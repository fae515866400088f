"""Helpers for tests of idempotency keys: a payment vendor, charges, and crashes of the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    Request,
    Service,
)
from tests.support.virtual_tasks import Interruption

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager, Harness

LEASE = 35.0
"""The lease of a claim in seconds: a call's deadline plus five."""
POST = Request.post("/charges", json={"amount": "9.99"})
OTHER = Request.post("/charges", json={"amount": "99.90"})


def bank(**options: object) -> Service:
    """A service named "bank" whose vendor supports no idempotency keys."""
    value = {"base_url": "https://bank.example", "circuit": None, "retry": None} | options
    return Service("bank", **value)  # type: ignore[arg-type]  # as each test says


def key_aware_bank(**options: object) -> Service:
    """A service named "bank" whose vendor honours idempotency keys for a day."""
    keys = {"idempotency_header": "Idempotency-Key", "idempotency_memory": 86_400}
    return bank(**(keys | options))


async def charge(
    manager: AwaitedManager, request: Request = POST, key: str = "k", **options: Any
) -> Any:
    """Call the bank once with this idempotency key."""
    return await manager.call("bank", request, idempotency_key=key, **options)


async def crash(
    harness: Harness, manager: AwaitedManager, *, sent: bool, request: Request = POST
) -> None:
    """Simulate a process that dies before or after its request is sent, without any clean-up."""
    harness.store.is_deaf = True
    if sent:
        harness.vendor.answers(Interruption())
        died_class: type[BaseException] = Interruption
    else:
        # The admission with the sent mark is the second trip.
        harness.store.fails_at[len(harness.store.commands) + 2] = Interruption()
        died_class = Interruption
    with pytest.raises(died_class):
        await charge(manager, request)
    harness.store.is_deaf = False


def over_one_store(harness: Harness, *services: Service, **ports: Any) -> AwaitedManager:
    """Return a manager, sync or async, whose store records the commands that it gets."""
    return harness.watched(*services, state=harness.of_mode(harness.store), **ports)
