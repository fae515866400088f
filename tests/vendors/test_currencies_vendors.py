"""Every exchange-rate vendor passes the conformance kit."""

from __future__ import annotations

import asyncio

import pytest

from moorage.testing import currencies_conformance as kit
from moorage.testing import name_of
from tests.vendors.currencies_subjects import SUBJECTS

at_each = pytest.mark.parametrize("make", SUBJECTS.values(), ids=SUBJECTS)


@at_each
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_of_exchange_rates_passes_each_check_synchronously(
    check: kit.Check, make: kit.Factory
) -> None:
    """An exchange-rate vendor passes each check synchronously."""
    check(make)


@at_each
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_vendor_conforms_asynchronously(check: kit.AsyncCheck, make: kit.Factory) -> None:
    """An exchange-rate vendor passes each check asynchronously."""
    asyncio.run(check(make))
