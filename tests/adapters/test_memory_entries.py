"""The in-memory inbox and outbox."""

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
def test_memory_inbox_passes_conformance_kit(check: inbox_conformance.Check) -> None:
    """MemoryInbox passes the conformance kit."""
    check(MemoryInbox)


@pytest.mark.parametrize("check", inbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_memory_inbox_passes_conformance_kit(check: inbox_conformance.AsyncCheck) -> None:
    """AsyncMemoryInbox passes the conformance kit."""
    asyncio.run(check(AsyncMemoryInbox))


@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_memory_outbox_passes_conformance_kit(check: outbox_conformance.Check) -> None:
    """MemoryOutbox passes the conformance kit."""
    check(MemoryOutbox)


@pytest.mark.parametrize("check", outbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_memory_outbox_passes_conformance_kit(check: outbox_conformance.AsyncCheck) -> None:
    """AsyncMemoryOutbox passes the conformance kit."""
    asyncio.run(check(AsyncMemoryOutbox))
