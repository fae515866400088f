"""Helpers for tests of calls: a service named "vat", and calls that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import (
    CircuitBreakerConfig,
    Request,
    Service,
    VendorFailed,
)

if TYPE_CHECKING:
    from tests.support.modes import Harness

GET = Request.get("/rates")
POST = Request.post("/orders", json={"number": 1})
OPENS_AT_ONCE = CircuitBreakerConfig(failures=1, open_for=10)


def vat(**options: object) -> Service:
    """Return a service named "vat" that has only the given settings."""
    value = {"base_url": "https://vat.example", "circuit": None, "retry": None} | options
    return Service("vat", **value)  # type: ignore[arg-type]  # as each test says


async def fail_calls(harness: Harness, manager: object, times: int = 1) -> None:
    """Make the given number of failing calls."""
    for _ in range(times):
        harness.vendor.answers(503)
        with pytest.raises(VendorFailed):
            await manager.call("vat", GET)  # type: ignore[attr-defined]  # a manager of either mode
