"""Each accounting vendor passes the conformance kit, synchronously and asynchronously."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from moorage.testing import accounting_conformance, name_of
from tests.vendors.accounting_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.accounting_conformance import AsyncCheck, Check, Factory


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", accounting_conformance.CHECKS, ids=name_of)
def test_accounting_vendor_conforms(check: Check, subject: Factory) -> None:
    """Each accounting vendor passes the conformance kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", accounting_conformance.ASYNC_CHECKS, ids=name_of)
def test_accounting_vendor_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each accounting vendor passes the conformance kit with an asynchronous hub."""
    asyncio.run(check(subject))
