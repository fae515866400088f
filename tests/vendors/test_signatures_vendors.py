"""Each vendor of electronic signatures passes the conformance kit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing import name_of, signatures_conformance
from moorage.testing.sandbox_scenarios.signatures import request
from tests.vendors.signatures_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.signatures_conformance import AsyncCheck, Check, Factory


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", signatures_conformance.CHECKS, ids=name_of)
def test_signatures_vendor_conforms(check: Check, subject: Factory) -> None:
    """Each vendor of signatures passes the kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", signatures_conformance.ASYNC_CHECKS, ids=name_of)
def test_signatures_vendor_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each vendor of signatures passes the kit with an asynchronous hub."""
    asyncio.run(check(subject))


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
def test_vendor_is_reached_over_a_socket(subject: Factory) -> None:
    """An envelope is sent over a real connection, once for each idempotency key."""
    new_subject = subject()
    vendor: Any = new_subject.vendor
    with new_subject.sandbox.serving() as server:
        base_url = f"{server.url}{urlsplit(vendor.base_url).path}"
        account = Account("contracts", attrs.evolve(vendor, base_url=base_url))
        with Hub([account]) as hub:
            receipts = [hub.signatures().send(request({}), idempotency_key="k-1") for _ in range(2)]

    assert receipts[0] == receipts[1]
    assert [receipts[0].ref.id] == list(new_subject.sandbox.envelopes)
