"""Stored payment methods: differences between the payment vendors."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.contracts.payments import Customer, StoredState, StoreRequest
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.errors import InvalidData, PaymentDeclined, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendor_sdk import Answer
from moorage.vendors.payments._adyen_stored import removed
from moorage.vendors.payments._adyen_stored import stored_of as adyen_stored_of
from moorage.vendors.payments._mollie_mandates import mandate_body, mandate_of, revoked_mandate
from moorage.vendors.payments._square_answers import stored_of as square_stored_of
from moorage.vendors.payments._stripe_stored import setup_body, stored_of
from tests.vendors import adyen_account, mollie_account, stripe_account

ADA = Customer(id="cus_ada", name="Ada Byron")


def ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference to an object in a vendor's test account."""
    return Ref("vendor", "main", id, {name: text for name, text in related.items() if text})


def stripe_request(source: str, **fields: Any) -> StoreRequest:
    """Return a request to store a payment method at Stripe."""
    return StoreRequest(source, customer=ADA, **fields)


def test_stripe_stores_no_card_token() -> None:
    """A request to store a single-use card token at Stripe is refused before sending."""
    with pytest.raises(InvalidData, match="without a payment"):
        setup_body(stripe_request("tok_visa"))


def test_stripe_sends_confirmation_tokens_and_return_urls() -> None:
    """A confirmation token is sent in its own field; a return URL allows redirects."""
    request = stripe_request("ctoken_1", return_url="https://shop.example/back")
    body = setup_body(request)

    assert ("ctoken_1", "https://shop.example/back") == (
        body["confirmation_token"],
        body["return_url"],
    )
    assert {"enabled": True} == body["automatic_payment_methods"]


def test_stripe_waits_for_the_bank() -> None:
    """A card whose bank must ask the buyer is not stored yet, and has a next action."""
    shop = stripe_account.SandboxHub()
    request = stripe_request("pm_card_threeDSecure2Required", return_url="https://shop.example")
    stored = shop.payments.store_means(request, idempotency_key="1")

    assert StoredState.REQUIRES_ACTION is stored.state
    assert stored.next_action is not None
    assert "redirect" == stored.next_action.type
    assert () == shop.payments.stored_means("cus_ada").items


def test_stripe_payment_methods_are_stored_for_a_customer() -> None:
    """A Stripe payment method is stored while attached to a customer, and removed otherwise."""
    body = {"id": "pm_1", "type": "card", "customer": "cus_ada"}
    stored = stored_of(ref, Answer(body))
    removed = stored_of(ref, Answer({**body, "customer": None}))

    assert stored is not None
    assert removed is not None
    assert (StoredState.STORED, "attached", "cus_ada") == (
        stored.state,
        stored.vendor_state,
        stored.customer,
    )
    assert (StoredState.REMOVED, "detached", None) == (
        removed.state,
        removed.vendor_state,
        removed.customer,
    )


def test_stripe_reports_a_refused_card() -> None:
    """A card that its bank refuses is declined with the bank's reason."""
    with pytest.raises(PaymentDeclined) as excinfo:
        stripe_account.SandboxHub().payments.store_means(
            stripe_request("pm_card_chargeDeclinedLostCard"), idempotency_key="1"
        )
    assert "lost_or_stolen" == excinfo.value.reason


def test_malformed_payment_methods_are_left_out() -> None:
    """A stored payment method without an id or a state is left out of the list."""
    assert [None] * 4 == [
        stored_of(ref, Answer({"id": "pm_1"})),
        square_stored_of(ref, Answer({"id": "ccof:1"})),
        adyen_stored_of(ref, Answer({"brand": "visa"}), "ada-1"),
        mandate_of(ref, Answer({"id": "mdt_1"}), "cst_1"),
    ]


def test_stored_bank_account_shows_last_digits_of_its_iban() -> None:
    """A stored bank account shows the last digits of its IBAN."""
    stored = adyen_stored_of(ref, Answer({"id": "8", "iban": "NL91ABNA0417164300"}), "ada-1")

    assert stored is not None
    assert stored.means is not None
    assert "4300" == stored.means.last4


@pytest.mark.parametrize(
    "name, shop", [("adyen", adyen_account.SandboxHub), ("mollie", mollie_account.SandboxHub)]
)
def test_removal_needs_the_whole_reference(name: str, shop: Any) -> None:
    """At some vendors, removing a stored payment method needs the customer's id."""
    with pytest.raises(InvalidData) as excinfo:
        shop().payments.remove_means(Ref(name, "main", "1"), idempotency_key="1")
    assert "ref" == excinfo.value.field


@pytest.mark.parametrize("read", [removed, revoked_mandate])
def test_removal_has_an_empty_answer(read: Any) -> None:
    """A response to a removal with a body, where the vendor sends none, raises an error."""
    assert StoredState.REMOVED is read(ref("1"), "ada-1", Response(204)).state
    with pytest.raises(VendorFailed):
        read(ref("1"), "ada-1", Response(200, body=b"<html></html>"))


@pytest.mark.parametrize("response", [Response(404), reply({"errorCode": "803"}, 422)])
def test_repeated_removal_at_adyen_finds_nothing_more(response: Response) -> None:
    """Status 404 or code 803 proves a removal only if the response to an earlier one was lost."""
    shop = adyen_account.SandboxHub()
    stored = Ref("adyen", "shop", "1", {"customer": "ada-1"})
    shop.sandbox.fail(Lost(), response, response)

    removed_means = shop.payments.remove_means(stored, idempotency_key="1")
    assert StoredState.REMOVED is removed_means.state
    with pytest.raises(VendorRejected):
        shop.payments.remove_means(stored, idempotency_key="2")


def test_adyen_stored_methods_are_read_only_from_a_list() -> None:
    """Adyen's stored methods are read from a list; if it is missing, there are none."""
    shop = adyen_account.SandboxHub()
    shop.sandbox.fail(reply({"storedPaymentMethods": {}}))

    with pytest.raises(VendorFailed):
        shop.payments.stored_means("ada-1")
    assert () == shop.payments.stored_means("ada-1").items


@pytest.mark.parametrize(
    "source, name, field",
    [("tkn_visa", "Ada Byron", "source"), ("NL55INGB0000000000", None, "customer.name")],
)
def test_mollie_stores_named_bank_accounts(source: str, name: str | None, field: str) -> None:
    """A Mollie mandate needs an IBAN and the name of the account's holder."""
    request = StoreRequest(source, customer=Customer(id="cst_1", name=name))
    with pytest.raises(InvalidData) as excinfo:
        mandate_body(request)
    assert field == excinfo.value.field


def test_card_on_file_at_square_is_a_card() -> None:
    """A stored card of Square has the type of a card, its brand and its last digits."""
    card = {"id": "ccof:1", "enabled": True, "card_brand": "VISA", "last_4": "1111"}
    stored = square_stored_of(ref, Answer({**card, "customer_id": "ADA"}))

    assert stored is not None
    assert stored.means is not None
    assert ("ADA", "card", "1111") == (stored.customer, stored.means.type, stored.means.last4)
