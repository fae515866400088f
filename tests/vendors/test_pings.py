"""Each vendor's ping: a harmless request that shows if a key is valid."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

from moorage import AuthenticationFailed, ConnectorManager, Secret
from moorage.domain.http.requests import Request
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.vendor import Vendor

PINGED = (
    *("stripe", "mollie", "square", "checkout_com", "gocardless_payments", "razorpay"),
    *("mercado_pago", "paystack"),
    *("infobip", "messagemedia", "twilio", "plivo", "sinch", "telnyx", "vonage"),
    *("slack", "telegram"),
    *("recommand", "storecove"),
    "scim",
    "quickbooks",
    *("acrobat_sign", "docusign", "dropbox_sign"),
    *("sendgrid", "postmark", "resend", "mailgun", "mailjet", "sparkpost", "brevo"),
    *("mailersend", "scaleway"),
    *("easypost", "royalmail", "shippo", "shipengine"),
    *("s3", "azure_blob"),
    *("woocommerce", "ebay", "amazon_sp_api"),
    *("avalara", "stripe_tax", "taxjar"),
    *("anthropic", "mistral", "openai"),
)
WITH_TOKENS = ("amazon_sp_api",)
"""Vendors whose accounts get tokens themselves; here they have one of the sandbox."""
OPEN = ("vies",)
"""Vendors that take no credentials, and have a ping all the same."""


def vendor_and_sandbox(name: str, folder: Path) -> tuple[Vendor, Any]:
    """Return a vendor and its sandbox."""
    fixture, kind = fixture_of(name, folder), vendor_class(name)
    fields = {field.name for field in attrs.fields(cast("Any", kind))}
    options = {key: value for key, value in fixture.options.items() if key in fields}
    if name in WITH_TOKENS:
        options["credentials"] = cast("Any", fixture.sandbox).token
    return kind(**options), fixture


def calling(vendor: Vendor, fixture: Any) -> ConnectorManager:
    """Return a manager that calls the vendor's main service at its sandbox."""
    service = attrs.evolve(vendor.services()[""], name="pinged", volatile_keys=True)
    return ConnectorManager([service], http=SandboxHttpClient(fixture.sandbox))


@pytest.mark.parametrize("name", [*PINGED, *OPEN])
def test_good_key_is_accepted(name: str, tmp_path: Path) -> None:
    """A vendor's ping with a valid key succeeds and changes nothing."""
    vendor, fixture = vendor_and_sandbox(name, tmp_path)
    request = vendor.ping()
    assert isinstance(request, Request)
    assert request.method.safe
    with calling(vendor, fixture) as manager:
        assert manager.call("pinged", request).ok
    fixture.close()


@pytest.mark.parametrize("name", PINGED)
def test_bad_key_is_refused(name: str, tmp_path: Path) -> None:
    """A vendor's ping with a wrong key raises an authentication error."""
    vendor, fixture = vendor_and_sandbox(name, tmp_path)
    wrong_secret = Secret(b64encode(b"another key of the right length!").decode())
    unauthorized_vendor = attrs.evolve(cast("Any", vendor), credentials=wrong_secret)
    with calling(unauthorized_vendor, fixture) as manager, pytest.raises(AuthenticationFailed):
        manager.call("pinged", unauthorized_vendor.ping())
    fixture.close()


@pytest.mark.parametrize("name", sorted(set(vendor_names()) - {*PINGED, *OPEN}))
def test_vendors_without_a_ping(name: str, tmp_path: Path) -> None:
    """A vendor without a known harmless request has no ping."""
    vendor, fixture = vendor_and_sandbox(name, tmp_path)
    assert vendor.ping() is None
    fixture.close()


@pytest.mark.parametrize("name", sorted(vendor_names()))
def test_ping_of_a_list_asks_for_one_entry(name: str) -> None:
    """A ping that reads a list limits it to one entry."""
    query = getattr(vendor_class(name), "ping_query", None) or {}

    assert {1} >= {value for value in query.values() if isinstance(value, int)}
