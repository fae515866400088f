"""Every vendor of payments keeps the contract, through either hub."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from moorage.testing import name_of, payments_conformance
from tests.vendors.payments_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.payments_conformance import AsyncCheck, Check, Factory


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", payments_conformance.CHECKS, ids=name_of)
def test_a_vendor_keeps_the_contract(check: Check, subject: Factory) -> None:
    """Every payment vendor passes the contract's checks."""
    check(subject)


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", payments_conformance.ASYNC_CHECKS, ids=name_of)
def test_a_vendor_keeps_the_contract_awaited(check: AsyncCheck, subject: Factory) -> None:
    """The same holds when it is awaited."""
    asyncio.run(check(subject))
