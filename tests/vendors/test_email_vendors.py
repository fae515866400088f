"""Each email vendor passes the conformance kit, synchronously and asynchronously."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

import moorage
from moorage.contracts.email import EmailCapability
from moorage.contracts.email_unsubscribe import Unsubscribe
from moorage.errors import UnsupportedByVendor
from moorage.testing import email_conformance as kit
from moorage.testing import name_of
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.wiring.installed_vendors import vendor_class
from tests.vendors.email_hubs import mail
from tests.vendors.email_sandboxes import HARNESSES

if TYPE_CHECKING:
    from pathlib import Path

WITH_MANY = "sendgrid"
"""The vendor tested with the kit's full bulk; the others get two chunks."""


def smallest_bulk(vendor: str, many: int) -> int:
    """Return how many recipients, at most `many`, make a bulk email need two requests."""
    batch = vendor_class(vendor).limits.get("batch", many)
    return min(many, batch + 1)


@pytest.mark.parametrize("vendor", HARNESSES)
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_email_vendor_conforms(vendor: str, check: kit.Check) -> None:
    """Each email vendor passes the conformance kit with a synchronous hub."""
    with HARNESSES[vendor]("") as make_subject:
        vendor_limit = make_subject().many
        message_count = vendor_limit if vendor == WITH_MANY else smallest_bulk(vendor, vendor_limit)
        check(lambda: attrs.evolve(make_subject(), many=message_count))


@pytest.mark.parametrize("vendor", HARNESSES)
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_email_vendor_conforms_async(vendor: str, check: kit.AsyncCheck) -> None:
    """Each email vendor passes the conformance kit with an asynchronous hub."""
    with HARNESSES[vendor]("Async") as make_subject:
        message_count = smallest_bulk(vendor, make_subject().many)
        asyncio.run(check(lambda: attrs.evolve(make_subject(), many=message_count)))


FEATURES: Final[dict[EmailCapability, tuple[dict[str, Any], bytes]]] = {
    EmailCapability.ENVELOPE_SENDER: ({"envelope_sender": "bounces@example.com"}, b"bounces@"),
    EmailCapability.METADATA: ({"metadata": {"berth": "7"}}, b"berth"),
    EmailCapability.TAGS: ({"tags": ("harbour",)}, b"harbour"),
    EmailCapability.CUSTOM_HEADERS: ({"headers": {"X-Berth": "7"}}, b"X-Berth"),
    EmailCapability.UNSUBSCRIBE: (
        {"unsubscribe": Unsubscribe(url="https://a.example/4f7a")},
        b"4f7a",
    ),
}
"""Fields of a message that need a capability, and a text in a request with these fields."""


@pytest.mark.parametrize("vendor", [name for name in HARNESSES if name != "smtp"])
@pytest.mark.parametrize("capability", FEATURES)
def test_declared_features_of_a_message_are_sent(
    vendor: str, capability: EmailCapability, tmp_path: Path
) -> None:
    """A request contains the value of a feature that the vendor declares, and no other is sent."""
    fixture = fixture_of(vendor, tmp_path)
    fields, text = FEATURES[capability]
    message = mail(from_="shop@example.com", **fields)
    sandbox = fixture.sandbox
    assert sandbox is not None
    configuration = {"vendors": {vendor: fixture.options}}
    with moorage.open(configuration, http=SandboxHttpClient(sandbox)) as hub:
        if capability in vendor_class(vendor).capabilities:
            hub.email().send_transactional(message)
            assert any(text in request.body for request in sandbox.requests)
        else:
            with pytest.raises(UnsupportedByVendor):
                hub.email().send_transactional(message)
            assert [] == sandbox.requests
