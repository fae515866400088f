"""Each SMS vendor passes the conformance kit, synchronously and asynchronously."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.sms import SmsMessage
from moorage.hub.hub import Hub
from moorage.testing import name_of, sms_conformance
from tests.vendors.sms_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.sms_conformance import AsyncCheck, Check, Factory


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", sms_conformance.CHECKS, ids=name_of)
def test_sms_vendor_conforms(check: Check, subject: Factory) -> None:
    """Each SMS vendor passes the conformance kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", sms_conformance.ASYNC_CHECKS, ids=name_of)
def test_sms_vendor_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each SMS vendor passes the conformance kit with an asynchronous hub."""
    asyncio.run(check(subject))


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
def test_vendor_is_reached_over_a_socket(subject: Factory) -> None:
    """A text message is sent over a real connection, once for each idempotency key."""
    new_subject = subject()
    vendor: Any = new_subject.vendor
    with new_subject.sandbox.serving() as server:
        account = Account("texts", attrs.evolve(vendor, base_url=server.url))
        with Hub([account]) as hub:
            message = SmsMessage(to=new_subject.to, text="Grüße & more")
            receipts = [hub.sms().send(message, idempotency_key="k-1") for _ in range(2)]

    assert receipts[0] == receipts[1]
    assert 1 == new_subject.sent()
