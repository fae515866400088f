"""Responses 429 and 409 of each vendor: whether they prove that the request had no effect."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    IdempotencyInProgress,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    Response,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.resilience.classify import classify
from moorage.domain.resilience.health import may_have_acted
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from moorage import ConnectorError

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced

OVER_HTTP: Final = sorted(set(vendor_names()) - {"smtp", "local_files", "fsspec"})
WITH_KEYS: Final = {
    *("adyen", "bird", "checkout_com", "mollie", "paypal", "quickbooks", "resend", "square"),
    "mercado_pago",
    *("gocardless_payments", "open_banking_uk", "razorpay", "stripe", "stripe_tax", "usps", "xero"),
}
WITHOUT_KEYS_TOO: Final = {"open_banking_uk"}
"""Vendors with a service that honours keys, and another one that does not."""

BODIES: Final = {
    "empty": ("text/plain", b""),
    "bare": ("application/json", b"{}"),
    "proxy": ("text/html", b"<html>Slow down.</html>"),
}
PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "http-failures.md"
WORDED: Final = {
    "message": "The request timed out.",
    "code": "timeout",
    "error": {"code": "timeout", "message": "x", "errors": [{"reason": "timeout"}]},
    "errors": [{"code": "timeout", "message": "x"}],
    "scimType": "timeout",
    "detail": "x",
}
"""A body with the vendors' usual fields for a code and a text."""
ODD: Final[dict[str, Any]] = {
    **dict.fromkeys(("message", "title", "detail", "error_message", "ErrorMessage"), "No."),
    **dict.fromkeys(("type", "code", "error_code", "ErrorCode"), "odd"),
    "error": {"code": "odd", "message": "No.", "error_name": "odd", "error_msg": "No."},
    "errors": [{"code": "odd", "message": "No."}],
}
"""A body with the vendors' usual fields, and a code that no vendor has."""
ODD_BODIES: Final[dict[str, Any]] = {
    "mailtrap": {"errors": ["No."]},
    "recommand": {"errors": {"root": ["No."]}},
    "storecove": [{"source": "odd", "details": "No."}],
}
"""Such bodies of vendors with other fields."""
at_each = pytest.mark.parametrize("name", OVER_HTTP)
with_each = pytest.mark.parametrize("body", BODIES)


def classified_error(name: str, status: int, body: str, folder: Path) -> list[ConnectorError]:
    """Return the error that each service of a vendor raises for a response to a POST."""
    worded = ODD_BODIES.get(name, ODD) if body == "odd" else WORDED
    kind, content = BODIES.get(body, ("application/json", json.dumps(worded).encode()))
    request, response = Request.post("/"), Response(status, {"Content-Type": kind}, content)
    vendor, fixture = cast("Any", vendor_class(name)), fixture_of(name, folder)
    fields = {field.name for field in attrs.fields(vendor)}
    account = vendor(**{key: value for key, value in fixture.options.items() if key in fields})
    errors: list[ConnectorError] = []
    for service in account.services().values():
        matches = service.classify(request, response) if service.classify else None
        is_keyed = service.idempotency_memory is not None and service.idempotency_replays
        matches = matches or classify(response, safe=False, keyed=is_keyed)
        assert matches is not None
        errors.append(matches)
    fixture.close()
    return errors


@at_each
@with_each
def test_429_proves_that_nothing_was_done(name: str, body: str, tmp_path: Path) -> None:
    """A 429 from any vendor proves that the request had no effect."""
    for error in classified_error(name, 429, body, tmp_path):
        assert isinstance(error, RateLimitExceeded)
        assert error.by_vendor
        assert not may_have_acted(error)


@at_each
@with_each
def test_bare_409_refuses_unless_a_key_may_be_in_use(name: str, body: str, tmp_path: Path) -> None:
    """A 409 without a reason may mean that the key is in use, at vendors that honour keys."""
    errors = classified_error(name, 409, body, tmp_path)
    kinds = {IdempotencyInProgress if name in WITH_KEYS else VendorRejected}
    if name in WITHOUT_KEYS_TOO:
        kinds.add(VendorRejected)
    assert kinds == {type(error) for error in errors}
    for error in errors:
        assert may_have_acted(error) == isinstance(error, IdempotencyInProgress)


@at_each
@pytest.mark.parametrize("status", [408, 425])
@pytest.mark.parametrize("body", [*BODIES, "worded"])
def test_timed_out_request_may_have_been_carried_out(
    name: str, body: str, status: int, tmp_path: Path
) -> None:
    """A 408 or 425 is never a rejection: the request may have had an effect, and may be retried."""
    for error in classified_error(name, status, body, tmp_path):
        assert isinstance(error, VendorFailed)
        assert error.retryable
        assert may_have_acted(error)


@at_each
@pytest.mark.parametrize("status", [500, 502])
@pytest.mark.parametrize("body", [*BODIES, "worded"])
def test_server_error_may_have_been_carried_out(
    name: str, body: str, status: int, tmp_path: Path
) -> None:
    """A server error with an unknown code is no rejection: the request may have had an effect."""
    for error in classified_error(name, status, body, tmp_path):
        assert isinstance(error, VendorFailed)
        assert may_have_acted(error)


STATUSES: Final = {
    "acrobat_sign": ("400 413 415", "401"),
    "amazon_sp_api": ("400 413 415", "401 403"),
    "anthropic": ("400 413", "401 403"),
    "avalara": ("400 409 422", "401 403"),
    "berlin_group": ("400", "401"),
    "brevo": ("400 405 406 413 422", "401"),
    "brreg": ("400 422", "401 403"),
    "docusign": ("413 415", "401 403"),
    "dropbox_sign": ("400 413", "401 403"),
    "gocardless": ("400", "401 403"),
    "hmrc": ("400", "401 403"),
    "infobip": ("400 405 415 422", "401 403"),
    "ksef": ("400", "401 403"),
    "mailersend": ("400 405 413 422", "401 403"),
    "mailjet": ("400 405 413", "401"),
    "mailtrap": ("400", "401"),
    "mercado_pago": ("400", "401"),
    "messagemedia": ("400 422", "401"),
    "mistral": ("400 413 422", "401 403"),
    "openai": ("400 413 422", "401 403"),
    "paystack": ("400 422", "401 403"),
    "plaid": ("400", "401"),
    "plivo": ("400 405 422", "401"),
    "recommand": ("400", "401 403"),
    "scaleway": ("400", "401"),
    "sinch": ("400 405 415", "401"),
    "sparkpost": ("400 405 406 413 415 422", "401 403"),
    "storecove": ("400 422", "401 403"),
    "stripe_tax": ("400", "401 403"),
    "taxjar": ("400 406 410 422", "401 403"),
    "teams": ("400 413", "401 403"),
    "telnyx": ("400 422", "401"),
    "twilio": ("400", "401 403"),
    "unisender_go": ("400 413", "401"),
    "vonage": ("400 422", "401 403"),
    "woocommerce": ("400", "401 403"),
}
"""The statuses that mean a wrong request or refused credentials, by vendor."""


@pytest.mark.parametrize("name", STATUSES)
def test_status_of_an_unknown_code_decides(name: str, tmp_path: Path) -> None:
    """If a vendor's code is unknown, the status tells a wrong request from refused credentials."""
    kinds = dict.fromkeys((400, 401, 403, 404, 405, 406, 410, 413, 415, 422), VendorRejected)
    invalid, login = STATUSES[name]
    expected = {
        **kinds,
        **dict.fromkeys(map(int, invalid.split()), InvalidRequest),
        **dict.fromkeys(map(int, login.split()), AuthenticationFailed),
    }

    assert {status: {kind} for status, kind in expected.items()} == {
        status: {type(error) for error in classified_error(name, status, "odd", tmp_path)}
        for status in expected
    }


def test_vendors_with_keys_are_listed() -> None:
    """The test's list of vendors that honour idempotency keys is complete."""
    assert WITH_KEYS == {name for name in OVER_HTTP if vendor_class(name).idempotency is not None}


@pytest.mark.parametrize(
    "title, vendors",
    [("## A refused request: 429", OVER_HTTP), ("## A conflict: 409", sorted(WITH_KEYS))],
)
def test_tables_of_the_page_list_vendors(title: str, vendors: list[str]) -> None:
    """Each table on the page lists vendors once, in order, and only those that it applies to."""
    listed_vendors = rows(title)

    assert len(listed_vendors) > 5
    assert [vendor for vendor in vendors if vendor in listed_vendors] == listed_vendors


def rows(title: str) -> list[str]:
    """Return the vendors in the table below a heading of the page, in order."""
    section = PAGE.read_text().partition(f"{title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
