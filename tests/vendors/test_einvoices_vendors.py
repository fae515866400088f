"""Each vendor of electronic invoices passes the conformance kit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from moorage.contracts.einvoices import OutgoingInvoice
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing import einvoices_conformance, name_of
from tests.vendors.einvoices_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.einvoices_conformance import AsyncCheck, Check, Factory


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", einvoices_conformance.CHECKS, ids=name_of)
def test_vendor_of_einvoices_conforms(check: Check, subject: Factory) -> None:
    """Each vendor of electronic invoices passes the kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", einvoices_conformance.ASYNC_CHECKS, ids=name_of)
def test_vendor_of_einvoices_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each vendor of electronic invoices passes the kit with an asynchronous hub."""
    asyncio.run(check(subject))


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
def test_vendor_of_einvoices_is_reached_over_a_socket(subject: Factory) -> None:
    """An invoice is sent over a real connection, once for each idempotency key."""
    new_subject = subject()
    vendor: Any = new_subject.vendor
    with new_subject.sandbox.serving() as server:
        base_url = f"{server.url}{urlsplit(vendor.base_url).path}"
        account = Account("access_point", attrs.evolve(vendor, base_url=base_url))
        with Hub([account]) as hub:
            sandbox = new_subject.sandbox
            invoice = OutgoingInvoice(document=sandbox.document, recipient=sandbox.recipient)
            results = [hub.einvoices().send(invoice, idempotency_key="k-1") for _ in range(2)]

    assert results[0] == results[1]
    assert [new_subject.sandbox.document] == [
        item.document for item in new_subject.sandbox.deliveries()
    ]
