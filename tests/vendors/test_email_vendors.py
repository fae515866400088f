"""Every vendor of mail does what the contract says, synchronously and asynchronously."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from moorage.testing import email_conformance as kit
from moorage.testing import name_of
from tests.vendors.email_labs import LABS


@pytest.mark.parametrize("vendor", LABS)
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_keeps_the_contract(vendor: str, check: kit.Check) -> None:
    """A vendor passes the kit behind a plain hub."""
    with LABS[vendor]("") as make:
        check(make)


@pytest.mark.parametrize("vendor", LABS)
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_keeps_the_contract_awaited(vendor: str, check: kit.AsyncCheck) -> None:
    """A vendor passes the kit behind a hub that is awaited."""
    with LABS[vendor]("Async") as make:
        # Three chunks show what ten do, and the plain hub is tried with these.
        few = min(make().many, 2_001)
        asyncio.run(check(lambda: attrs.evolve(make(), many=few)))
