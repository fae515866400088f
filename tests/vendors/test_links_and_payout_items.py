"""Payment links and the transactions of payouts: differences between the payment vendors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moorage.contracts.payments import (
    Customer,
    LinkRequest,
    LinkState,
    Money,
    PayoutItemKind,
    StoredState,
    StoreRequest,
)
from moorage.contracts.ref import Ref
from moorage.errors import InvalidData, VendorRejected
from moorage.testing.sandboxes.base import Lost
from moorage.vendor_sdk import Answer
from moorage.vendors.payments._mollie_links import link_body as mollie_link_body
from moorage.vendors.payments._mollie_mandates import was_revoked as mollie_was_revoked
from moorage.vendors.payments._square_answers import payout_item_of as square_item_of
from moorage.vendors.payments._stripe_answers import payout_item_of
from moorage.vendors.payments._stripe_links import link_body
from tests.vendors import adyen_account, mollie_account, stripe_account

EUROS = Money("149.90", "EUR")
LINK = LinkRequest(EUROS, reference="INV-2041")


def ref(id: str, /, **_: str | None) -> Ref:
    """Return a reference to an object in a vendor's test account."""
    return Ref("vendor", "main", id)


def test_stripe_link_is_paid_once() -> None:
    """A Stripe payment link that was paid has the state paid, even if Stripe calls it active."""
    shop = stripe_account.SandboxHub()
    link = shop.payments.create_link(LINK, idempotency_key="1")
    shop.sandbox.use_link(link.ref.id)
    shop.sandbox.links[link.ref.id]["active"] = True

    assert LinkState.PAID is shop.payments.get_link(link.ref).state


def test_stripe_link_redirects_to_the_return_url() -> None:
    """A Stripe payment link redirects to the return URL after payment."""
    body = link_body(LinkRequest(EUROS, reference="1", return_url="https://shop.example/paid"))

    assert {
        "type": "redirect",
        "redirect": {"url": "https://shop.example/paid"},
    } == body["after_completion"]


def test_adyen_link_needs_a_short_reference() -> None:
    """A reference that is too long for Adyen is refused before anything is sent."""
    shop = adyen_account.SandboxHub()
    with pytest.raises(InvalidData, match="80 characters"):
        shop.payments.create_link(LinkRequest(EUROS, reference="x" * 81), idempotency_key="1")
    assert [] == shop.sandbox.requests


def test_mollie_link_has_the_reference_in_its_description() -> None:
    """A Mollie payment link's description begins with the reference and is cut to a length."""
    body = mollie_link_body(LinkRequest(EUROS, reference="INV-1", description="x" * 300))

    assert ("INV-1: xxx", 255) == (body["description"][:10], len(body["description"]))


@pytest.mark.parametrize(
    "change, state",
    [
        ({"paidAt": "2026-01-01T00:00:00+00:00"}, LinkState.PAID),
        ({"expiresAt": "2000-01-01T00:00:00+00:00"}, LinkState.EXPIRED),
        ({"archived": True}, LinkState.CLOSED),
        ({}, LinkState.OPEN),
    ],
)
def test_mollie_link_has_a_state(change: dict[str, Any], state: LinkState) -> None:
    """The state of a Mollie payment link follows from its times and archive flag."""
    shop = mollie_account.SandboxHub()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    request = LinkRequest(EUROS, reference="1", expires_at=tomorrow)
    link = shop.payments.create_link(request, idempotency_key="1")
    shop.sandbox.links[link.ref.id] |= change

    assert state is shop.payments.get_link(link.ref).state


@pytest.mark.parametrize(
    "fields, kind",
    [
        ({"type": "charge"}, PayoutItemKind.PAYMENT),
        ({"type": "adjustment", "reporting_category": "dispute"}, PayoutItemKind.DISPUTE),
        ({"type": "adjustment", "reporting_category": "other_adjustment"}, "adjustment"),
        ({"type": "climate_order_purchase"}, PayoutItemKind.OTHER),
        ({"type": "payout"}, None),
        ({}, None),
    ],
)
def test_stripe_transaction_has_a_kind(fields: dict[str, Any], kind: str | None) -> None:
    """Each transaction of a Stripe payout has a kind; the payout's own transaction is left out."""
    item = payout_item_of(ref, Answer({"id": "txn_1", **fields}))

    assert kind == (None if item is None else item.kind)


def test_stripe_transaction_charge_without_payment_intent_is_itself_payment() -> None:
    """If a charge in a Stripe payout has no payment intent, the charge itself is the payment."""
    source = {"object": "charge", "id": "ch_1"}
    item = payout_item_of(ref, Answer({"id": "txn_1", "type": "charge", "source": source}))

    assert item is not None
    assert ref("ch_1") == item.payment


def test_square_fee_is_gross_minus_net_amount() -> None:
    """Square's fee is the gross minus the net amount, or None if the net is missing."""
    money = {"amount": 100, "currency": "EUR"}
    entry = {"id": "poe_1", "type": "CHARGE", "gross_amount_money": money}
    net = {"amount": 97, "currency": "EUR"}
    items = [
        square_item_of(ref, Answer(fields))
        for fields in ({**entry, "net_amount_money": net}, entry, {"id": "poe_1"})
    ]

    assert [Money("0.03", "EUR"), None, "malformed"] == [
        "malformed" if item is None else item.fee for item in items
    ]


def test_repeat_of_a_lost_adyen_removal_succeeds() -> None:
    """If a repeated removal finds no stored method at Adyen, it counts as removed."""
    shop = adyen_account.SandboxHub()
    request = StoreRequest('{"type": "scheme"}', customer=Customer(id="ada-1"))
    stored = shop.payments.store_means(request, idempotency_key="1")
    shop.sandbox.fail(Lost())

    assert StoredState.REMOVED is shop.payments.remove_means(stored.ref, idempotency_key="2").state
    with pytest.raises(VendorRejected, match="not found"):
        shop.payments.remove_means(stored.ref, idempotency_key="3")


@pytest.mark.parametrize(
    "status, attempts, was_revoked",
    [(410, 1, True), (404, 2, True), (404, 1, False), (422, 2, False)],
)
def test_mollie_mandate_that_is_gone_was_revoked(
    status: int, attempts: int, *, was_revoked: bool
) -> None:
    """Removing a Mollie mandate succeeds if it was already revoked, or is missing in a retry."""
    error = VendorRejected("No.", status=status)
    error.attempts = attempts

    assert was_revoked is mollie_was_revoked(error)


def test_adyen_link_that_is_closed_stays_closed() -> None:
    """Closing an Adyen link that is already closed returns the closed link."""
    shop = adyen_account.SandboxHub()
    link = shop.payments.create_link(LINK, idempotency_key="1")
    shop.payments.close_link(link.ref, idempotency_key="2")

    assert LinkState.EXPIRED is shop.payments.close_link(link.ref, idempotency_key="3").state


def test_adyen_link_that_is_paid_cannot_be_closed() -> None:
    """If Adyen refuses to close a link that is still open, an error is raised."""
    shop = adyen_account.SandboxHub()
    link = shop.payments.create_link(LINK, idempotency_key="1")
    shop.sandbox.links[link.ref.id]["status"] = "completed"
    with pytest.raises(VendorRejected, match="status is not possible"):
        shop.payments.close_link(link.ref, idempotency_key="2")
