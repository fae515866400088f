"""Each vendor's ping: a harmless request that shows if a key is valid."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode

import attrs
import pytest

from moorage import AuthenticationFailed, ConnectorManager, Secret
from moorage.domain.http.requests import HttpMethod, Request
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
    "hubspot",
)
WITH_TOKENS = ("amazon_sp_api",)
"""Vendors whose accounts get tokens themselves; here they have one of the sandbox."""
OPEN = ("vies",)
"""Vendors that take no credentials, and have a ping all the same."""
TARGETS: Final = {
    "stripe": "/v1/payment_intents?limit=1",
    "mollie": "/v2/payments?limit=1",
    "square": "/v2/payments?limit=1",
    "checkout_com": "/disputes?limit=1",
    "gocardless_payments": "/payments?limit=1",
    "razorpay": "/v1/payments?count=1",
    "mercado_pago": "/v1/payment_methods",
    "paystack": "/transaction?perPage=1",
    "infobip": "/account/1/balance",
    "messagemedia": "/v1/number_authorisation/mt/blacklist",
    "twilio": "/2010-04-01/Accounts/AC00000000000000000000000000000000/Balance.json",
    "plivo": "/v1/Account/MA000000000000000000/",
    "sinch": "/xms/v1/5a0db0c9e5e64a9d8a0db0c9e5e64a9d/batches?page_size=1",
    "telnyx": "/v2/balance",
    "vonage": "/account/get-balance",
    "slack": "/auth.test",
    "telegram": "/getMe",
    "recommand": "/companies/c_sandbox",
    "storecove": "/legal_entities/4711",
    "scim": "/Users?startIndex=1&count=1",
    "quickbooks": "/v3/company/4620816365000000001/companyinfo/4620816365000000001",
    "acrobat_sign": "/baseUris",
    "docusign": "/restapi/v2.1/accounts/e8d46e34-1111-4222-8333-944455556666",
    "dropbox_sign": "/signature_request/list?page_size=1",
    "sendgrid": "/v3/scopes",
    "postmark": "/server",
    "resend": "/domains",
    "mailgun": "/v4/domains/mail.example.com",
    "mailjet": "/v3/REST/sender",
    "sparkpost": "/api/v1/account",
    "brevo": "/v3/account",
    "mailersend": "/v1/api-quota",
    "scaleway": "/transactional-email/v1alpha1/regions/fr-par/domains",
    "easypost": "/v2/shipments?page_size=1",
    "royalmail": "/api/v1/orders?pageSize=1",
    "shippo": "/transactions?results=1",
    "shipengine": "/v1/carriers",
    "s3": "/?list-type=2&max-keys=1",
    "azure_blob": "/sandbox-container?restype=container&comp=list&maxresults=1",
    "woocommerce": "/wp-json/wc/v3/orders?per_page=1&_fields=id",
    "ebay": "/sell/fulfillment/v1/order?limit=1",
    "amazon_sp_api": "/sellers/v1/marketplaceParticipations",
    "avalara": "/api/v2/utilities/ping",
    "stripe_tax": "/v1/tax/settings",
    "taxjar": "/v2/categories",
    "anthropic": "/v1/models",
    "mistral": "/v1/models",
    "openai": "/models",
    "hubspot": "/crm/v3/objects/contacts?limit=1",
    "vies": "/check-status",
}
"""The path and query of each ping, for the account of the sandbox."""


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


@pytest.mark.parametrize("name", TARGETS)
def test_ping_reads_a_documented_resource(name: str, tmp_path: Path) -> None:
    """A ping is a GET of the resource that is listed for the vendor, at this account."""
    vendor, fixture = vendor_and_sandbox(name, tmp_path)
    request = vendor.ping()
    fixture.close()
    assert request is not None
    path, _, query = TARGETS[name].partition("?")

    assert (HttpMethod.GET, path, query) == (request.method, request.path, urlencode(request.query))


def test_every_ping_has_a_target() -> None:
    """The list of targets has each vendor with a ping."""
    assert {*PINGED, *OPEN} == set(TARGETS)


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
