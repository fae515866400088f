"""A limit or circuit whose settings change while a program runs keeps its state."""

from __future__ import annotations

from typing import Any

import pytest

import moorage
from moorage import CircuitBreakerOpen, RateLimitExceeded, Request, Response, VendorFailed
from moorage.testing import FakeVendor, ScriptedHttpClient


def settings(rate: int, burst: int) -> dict[str, Any]:
    """Return a configuration with a limit of the given number of calls an hour."""
    limits = {"rate": rate, "per": "hour", "burst": burst}
    return {"services": {"vat": {"base_url": "https://vat.example", "limits": limits}}}


def count_granted(hub: moorage.Hub, attempts: int) -> int:
    """Make this many calls at once, and return how many the limit grants without waiting."""
    count = 0
    for _ in range(attempts):
        try:
            hub.manager.call("vat", Request.get("/rates"), timeout=1)
        except RateLimitExceeded:
            continue
        count += 1
    return count


@pytest.mark.parametrize("rate, burst, expected", [(90, 10, 3), (90, 2, 2), (200, 200, 3)])
def test_reload_gives_no_new_tokens(rate: int, burst: int, expected: int) -> None:
    """After a reload with another rate or burst, only the remaining tokens are granted."""
    vendor = FakeVendor()
    vendor.always(Response(200))
    with moorage.open(settings(100, 10), http=ScriptedHttpClient(vendor)) as hub:
        assert 7 == count_granted(hub, 7)
        hub.reload(settings(rate, burst))

        assert expected == count_granted(hub, 20)


def circuit_settings(**circuit: Any) -> dict[str, Any]:
    """Return a configuration with a circuit and without retries."""
    service = {"base_url": "https://vat.example", "circuit": circuit, "retry": {"max_attempts": 1}}
    return {"services": {"vat": service}}


def test_reload_leaves_a_circuit_open() -> None:
    """An open circuit still refuses calls after a reload that changes its window."""
    vendor = FakeVendor()
    vendor.always(Response(500))
    http = ScriptedHttpClient(vendor)
    with moorage.open(circuit_settings(failures=1), http=http) as hub:
        with pytest.raises(VendorFailed):
            hub.manager.call("vat", Request.get("/rates"))
        hub.reload(circuit_settings(failures=9, window=5.0))

        with pytest.raises(CircuitBreakerOpen):
            hub.manager.call("vat", Request.get("/rates"))
