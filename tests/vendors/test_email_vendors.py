"""Each email vendor passes the conformance kit, synchronously and asynchronously."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from moorage.testing import email_conformance as kit
from moorage.testing import name_of
from moorage.wiring.installed_vendors import vendor_class
from tests.vendors.email_sandboxes import LABS

WITH_MANY = "sendgrid"
"""The vendor tested with the kit's full bulk; the others get two chunks."""


def smallest_bulk(vendor: str, many: int) -> int:
    """Return how many recipients, at most `many`, make a bulk email need two requests."""
    batch = vendor_class(vendor).limits.get("batch", many)
    return min(many, batch + 1)


@pytest.mark.parametrize("vendor", LABS)
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_email_vendor_conforms(vendor: str, check: kit.Check) -> None:
    """Each email vendor passes the conformance kit with a synchronous hub."""
    with LABS[vendor]("") as make_subject:
        vendor_limit = make_subject().many
        message_count = vendor_limit if vendor == WITH_MANY else smallest_bulk(vendor, vendor_limit)
        check(lambda: attrs.evolve(make_subject(), many=message_count))


@pytest.mark.parametrize("vendor", LABS)
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_email_vendor_conforms_async(vendor: str, check: kit.AsyncCheck) -> None:
    """Each email vendor passes the conformance kit with an asynchronous hub."""
    with LABS[vendor]("Async") as make_subject:
        message_count = smallest_bulk(vendor, make_subject().many)
        asyncio.run(check(lambda: attrs.evolve(make_subject(), many=message_count)))
