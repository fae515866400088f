"""The stores of entries in memory."""

from __future__ import annotations

import asyncio

import pytest

from moorage.adapters.entries.memory import (
    AsyncMemoryInbox,
    AsyncMemoryOutbox,
    MemoryInbox,
    MemoryOutbox,
)
from moorage.testing import inbox_conformance, name_of, outbox_conformance


@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_webhooks(check: inbox_conformance.Check) -> None:
    """It does what every store of webhooks must."""
    check(MemoryInbox)


@pytest.mark.parametrize("check", inbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_webhooks_awaited(check: inbox_conformance.AsyncCheck) -> None:
    """So does the one that is awaited."""
    asyncio.run(check(AsyncMemoryInbox))


@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_calls(check: outbox_conformance.Check) -> None:
    """It does what every store of calls must."""
    check(MemoryOutbox)


@pytest.mark.parametrize("check", outbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_calls_awaited(check: outbox_conformance.AsyncCheck) -> None:
    """So does the one that is awaited."""
    asyncio.run(check(AsyncMemoryOutbox))
