"""PayPal's orders and their states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.contracts.payments import Customer, DeclineReason, MoveState, PaymentState
from moorage.contracts.ref import Ref
from moorage.errors import InvalidData, PaymentDeclined, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import reply
from tests.vendors.paypal_account import EUROS, TEN, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by PayPal."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- buyers ----------------------------------------------------------------


def test_approved_order_is_captured(shop: SandboxHub) -> None:
    """After the buyer's approval, a PayPal order is captured and its method stored."""
    customer = Customer(id="ada-1")
    payment = shop.charged("paypal", store_method=True, customer=customer)
    assert payment.next_action is not None
    assert "PAYER_ACTION_REQUIRED" == payment.vendor_state
    early_payment = shop.payments.complete(payment.ref, idempotency_key="early")
    assert PaymentState.REQUIRES_ACTION is early_payment.state
    return_parameters = shop.sandbox.buyer(str(payment.next_action.url))
    waiting = shop.payments.get(payment.ref)
    assert (PaymentState.PENDING, "APPROVED") == (waiting.state, waiting.vendor_state)
    finished_payment = shop.payments.complete(
        str(payment.ref), return_parameters, idempotency_key="back"
    )

    assert (PaymentState.CAPTURED, EUROS) == (finished_payment.state, finished_payment.captured)
    assert finished_payment.captures[0].ref.id == finished_payment.ref.other("capture")
    assert finished_payment == shop.payments.complete(
        finished_payment.ref, return_parameters, idempotency_key="again"
    )
    assert finished_payment.means is not None
    assert "paypal" == finished_payment.means.type
    assert PaymentState.CAPTURED is shop.charged(str(finished_payment.means.stored)).state


def test_card_in_paypals_form(shop: SandboxHub) -> None:
    """A card at PayPal is captured after its holder's confirmation."""
    for number, shift in enumerate((None, "POSSIBLE")):
        payment = shop.payments.create_intent(order(None), idempotency_key=f"i-{number}")
        shop.sandbox.enter_card(payment.ref.id, shift)
        shop.sandbox.orders[payment.ref.id]["status"] = "CREATED"
        finished_payment = shop.payments.complete(payment.ref, idempotency_key=f"b-{number}")
        assert PaymentState.CAPTURED is finished_payment.state
        assert finished_payment.means is not None
        assert ("card", "7704") == (finished_payment.means.type, finished_payment.means.last4)
    for number, shift in enumerate(("NO", "UNKNOWN")):
        payment = shop.payments.create_intent(order(None), idempotency_key=f"n-{number}")
        shop.sandbox.enter_card(payment.ref.id, shift)
        shop.sandbox.approve(payment.ref.id)
        with pytest.raises(PaymentDeclined) as excinfo:
            shop.payments.complete(payment.ref, idempotency_key=f"c-{number}")
        assert DeclineReason.AUTHENTICATION_REQUIRED == excinfo.value.reason
        assert (shift, str(payment.ref)) == (excinfo.value.vendor_code, excinfo.value.payment)

    assert 2 == len(shop.sandbox.charged_orders)


def test_redirected_authorisation_is_completed(shop: SandboxHub) -> None:
    """A redirected PayPal authorisation is completed as an authorisation."""
    payment = shop.authorized("paypal")
    assert payment.next_action is not None
    return_parameters = shop.sandbox.buyer(str(payment.next_action.url))
    finished_payment = shop.payments.complete(
        payment.ref, return_parameters, idempotency_key="back"
    )

    assert (PaymentState.AUTHORIZED, EUROS) == (finished_payment.state, finished_payment.remaining)
    assert finished_payment.authorized_until is not None
    assert PaymentState.AUTHORIZED is shop.payment_after_events(payment).state


def test_return_from_another_payment_is_refused(shop: SandboxHub) -> None:
    """If a buyer returns from another PayPal payment, this one is not completed."""
    payment = shop.charged("paypal")
    with pytest.raises(InvalidData, match="different payment"):
        shop.payments.complete(payment.ref, {"token": "other"}, idempotency_key="back")


def test_decline_after_the_return(shop: SandboxHub) -> None:
    """A decline after the buyer's return has the payment's reference, even when repeated."""
    payment = shop.charged("card:confirms-1")
    return_parameters = shop.sandbox.approve(payment.ref.id)
    shop.sandbox.orders[payment.ref.id]["payment_source"]["card"]["vault_id"] = "declined-5120"
    for key in ("back", "again"):
        with pytest.raises(PaymentDeclined) as excinfo:
            shop.payments.complete(payment.ref, return_parameters, idempotency_key=key)
        assert DeclineReason.INSUFFICIENT_FUNDS == excinfo.value.reason
        assert payment.ref.id == Ref.parse(str(excinfo.value.payment)).id
        assert "5120" == excinfo.value.vendor_code


def test_decline_of_paypal_wallet_has_paypal_issue(shop: SandboxHub) -> None:
    """A PayPal wallet's decline has PayPal's issue; without an order it has no reference."""
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.charged("paypal:refused-1")

    assert DeclineReason.DO_NOT_HONOR == excinfo.value.reason
    assert ("INSTRUMENT_DECLINED", None) == (excinfo.value.vendor_code, excinfo.value.payment)


def test_refusal_after_the_buyer_is_back(shop: SandboxHub) -> None:
    """If a PayPal error has no order id, it is about the order that is being completed."""
    payment = shop.charged("card:confirms-1")
    return_parameters = shop.sandbox.approve(payment.ref.id)
    shop.sandbox.orders[payment.ref.id]["payment_source"] = {"paypal": {"vault_id": "refused-1"}}
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(payment.ref, return_parameters, idempotency_key="back")

    assert payment.ref.id == Ref.parse(str(excinfo.value.payment)).id


def test_completed_order_with_a_declined_card_has_failed(shop: SandboxHub) -> None:
    """A completed PayPal order with a declined card is a failed payment."""
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.authorized("card:declined-5400")
    assert (201, DeclineReason.EXPIRED_CARD) == (excinfo.value.status, excinfo.value.reason)
    existing_payment = shop.payments.get(str(excinfo.value.payment))

    assert PaymentState.FAILED is existing_payment.state
    assert existing_payment.decline is not None
    assert DeclineReason.EXPIRED_CARD is existing_payment.decline.reason


# --- odd answers -----------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"id": "5O1", "status": "COMPLETED"},
        {"id": "5O1", "status": "COMPLETED", "purchase_units": {"0": 1}},
        {"id": "5O1", "status": "COMPLETED", "purchase_units": [{"amount": "149.90"}]},
        {"id": {"x": 1}, "status": [], "purchase_units": [{}]},
        [1, 2],
        "COMPLETED",
    ],
)
def test_malformed_orders_are_failures(body: object, shop: SandboxHub) -> None:
    """If a PayPal response has no order, the call fails and its outcome is unknown."""
    shop.sandbox.fail(reply(body))
    with pytest.raises(VendorFailed):
        shop.charged()


def test_unknown_fields_are_kept(shop: SandboxHub) -> None:
    """Unknown values and fields of a PayPal order cause no error."""
    body = {
        "id": "5O1",
        "status": "TRANSMOGRIFIED",
        "new": {"field": 1},
        "links": [{"rel": 7}, "x"],
        "payment_source": {"cowrie": {"expiry": 7}},
        "purchase_units": [
            {
                "amount": {"currency_code": "EUR", "value": "149.90"},
                "payments": {
                    "authorizations": "none",
                    "captures": [{"id": "3C1"}, 7],
                    "refunds": [{"id": "1R1", "status": "TELEPORTED", "amount": 7}],
                },
            }
        ],
    }
    shop.sandbox.fail(reply(body))
    payment = shop.charged()

    assert (PaymentState.UNKNOWN, "TRANSMOGRIFIED") == (payment.state, payment.vendor_state)
    assert (MoveState.UNKNOWN, None) == (payment.refunds[0].state, payment.refunds[0].amount)
    assert payment.means is not None
    assert "cowrie" == payment.means.type
    assert body == payment.raw


def test_payment_has_card_brand_last_digits_and_expiry(shop: SandboxHub) -> None:
    """A PayPal payment has the card's brand, last digits and expiry."""
    card = {"brand": "VISA", "last_digits": "7704", "expiry": "2031-05"}
    body = {
        "id": "5O1",
        "status": "PAYER_ACTION_REQUIRED",
        "payment_source": {"card": card},
        "purchase_units": [{"amount": {"currency_code": "EUR", "value": "149.90"}}],
    }
    shop.sandbox.fail(reply(body))
    payment = shop.charged()

    assert payment.means is not None
    assert ("visa", "7704", (2031, 5)) == (
        payment.means.brand,
        payment.means.last4,
        payment.means.expires,
    )
    assert payment.next_action is None


def test_order_may_lack_a_payment_method(shop: SandboxHub) -> None:
    """A PayPal order may lack a payment method and a redirect."""
    unit = {"amount": {"currency_code": "EUR", "value": "149.90"}}
    shop.sandbox.fail(reply({"id": "5O1", "status": "CREATED", "purchase_units": [unit]}))
    payment = shop.payments.create_intent(order(None), idempotency_key="k")

    assert (None, None, "5O1") == (payment.means, payment.next_action, payment.client_token)


@pytest.mark.parametrize(
    "status, state",
    [
        ("PENDING", PaymentState.PENDING),
        ("DENIED", PaymentState.FAILED),
        ("EXPIRED", PaymentState.EXPIRED),
        ("NEW WORD", PaymentState.UNKNOWN),
    ],
)
def test_state_of_paypal_order_follows_from_its_authorisation(
    status: str, state: PaymentState, shop: SandboxHub
) -> None:
    """The state of a PayPal order follows from the state of its authorisation."""
    payment = shop.authorized()
    [fields] = shop.sandbox.authorizations.values()
    fields["status"] = status
    existing_payment = shop.payments.get(payment.ref)

    assert (state, None) == (existing_payment.state, existing_payment.authorized)


def test_reversed_paypal_capture_counts_as_refunded(shop: SandboxHub) -> None:
    """A reversed PayPal capture counts as refunded, even without a visible refund."""
    payment = shop.charged()
    [capture] = shop.sandbox.captures.values()
    capture["status"] = "REFUNDED"
    existing_payment = shop.payments.get(payment.ref)

    assert (PaymentState.REFUNDED, EUROS) == (existing_payment.state, existing_payment.refunded)
    capture["amount"] = None
    assert PaymentState.UNKNOWN is shop.payments.get(payment.ref).state
    bare_ref = Ref("paypal", "main", payment.ref.id)
    with pytest.raises(VendorRejected, match="No capture"):
        shop.payments.refund(bare_ref, TEN, idempotency_key="r-1")
