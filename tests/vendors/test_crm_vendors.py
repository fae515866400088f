"""Each CRM vendor passes the conformance kit, synchronously and asynchronously."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from moorage.testing import crm_conformance, name_of
from tests.vendors.crm_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.crm_conformance import AsyncCheck, Check, Factory


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", crm_conformance.CHECKS, ids=name_of)
def test_crm_vendor_conforms(check: Check, subject: Factory) -> None:
    """Each CRM vendor passes the conformance kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", crm_conformance.ASYNC_CHECKS, ids=name_of)
def test_crm_vendor_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each CRM vendor passes the conformance kit with an asynchronous hub."""
    asyncio.run(check(subject))
