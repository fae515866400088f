"""What PayPal is sent, and what becomes of its orders, captures, refunds and disputes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import mooring
from mooring.adapters.memory_credentials import MemoryCredentialProvider
from mooring.contracts.payments import (
    Customer,
    DeclineReason,
    DisputeState,
    Money,
    MoveState,
    PaymentQuery,
    PaymentState,
    PayoutState,
    RefundReason,
    ThreeDs,
)
from mooring.contracts.ref import Ref
from mooring.contracts.routes import Account
from mooring.domain.auth import Credentials
from mooring.domain.http import Response
from mooring.domain.retry import RetryPolicy
from mooring.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    CredentialRefreshFailed,
    InvalidData,
    PaymentDeclined,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from mooring.hub import Hub
from mooring.testing.sandbox.base import Lost, SandboxHttpClient, reply
from mooring.vendors._paypal_answers import amount_body
from mooring.vendors.paypal import PayPal
from tests.vendors.paypal_shop import BACK, EUROS, SETTINGS, Shop, order
from tests.vendors.subjects.paypal import paypal_says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mooring.contracts.payments import Payment

TEN = Money("10.00", "EUR")
PARTNER = "PayPal-Partner-Attribution-Id"


@pytest.fixture(name="shop")
def _shop() -> Iterator[Shop]:
    """A shop that takes payments by PayPal."""
    shop = Shop()
    with shop.hub:
        yield shop


# --- the account -----------------------------------------------------------


def test_where_it_is() -> None:
    """PayPal itself, its sandbox, or wherever the account says."""
    assert "https://api-m.paypal.com" == PayPal().services()[""].base_url
    assert "https://api-m.sandbox.paypal.com" == PayPal(sandbox=True).services()[""].base_url
    elsewhere = PayPal(base_url="https://proxy.example/", client_id="a", client_secret="b")
    assert "https://proxy.example/v1/oauth2/token" == elsewhere.clients()[""].server.token_endpoint
    assert "paypal" == PayPal().verifying()["scheme"]


def test_an_app_has_both() -> None:
    """Half of what tokens are asked for with is refused, and the other half is named."""
    with pytest.raises(ConfigurationError) as caught:
        PayPal(client_id="a")
    assert "client_secret" == caught.value.path
    with pytest.raises(ConfigurationError) as caught:
        PayPal(client_secret="b")
    assert "client_id" == caught.value.path


def test_where_no_secret_is_sent() -> None:
    """A configuration that would send the secret in the clear is refused, with its place."""
    wrong = {"client_id": "a", "client_secret": "b", "base_url": "http://paypal.example"}
    with pytest.raises(ConfigurationError, match="not HTTPS") as caught:
        mooring.open({"vendors": {"paypal": wrong}})

    assert "vendors.paypal.token_endpoint" == caught.value.path


def test_a_token_from_elsewhere(shop: Shop) -> None:
    """Without an app the credential provider is asked for a token."""
    shop.charged()
    token = shop.last().bearer()
    assert token is not None
    known = MemoryCredentialProvider({("main", None): Credentials.bearer(token)})
    http = SandboxHttpClient(shop.sandbox)
    account = Account("main", PayPal(sandbox=True), settings=SETTINGS)
    with Hub([account], http=http, credentials=known) as hub:
        payment = hub.payments().charge(order(), idempotency_key="other")

    assert PaymentState.CAPTURED is payment.state
    assert 1 == shop.sandbox.desk.granted


def test_a_token_that_has_ended_is_renewed(shop: Shop) -> None:
    """A 401 brings another token, and the payment is made once."""
    shop.charged()
    shop.sandbox.desk.forget()
    shop.charged()

    assert (2, 2) == (shop.sandbox.desk.granted, len(shop.sandbox.taken))


def test_an_app_that_is_not_known(shop: Shop) -> None:
    """Nothing is asked for with a wrong secret, and the secret is not shown."""
    vendor = PayPal(client_id="paypal-client", client_secret="wrong-secret", sandbox=True)
    account = Account("main", vendor, settings=SETTINGS)
    with Hub([account], http=SandboxHttpClient(shop.sandbox)) as hub:
        with pytest.raises(CredentialRefreshFailed) as caught:
            hub.payments().charge(order(), idempotency_key="k")
        assert "wrong-secret" not in f"{caught.value!r}{caught.value}{vendor!r}{account!r}{hub!r}"

    assert [] == shop.sandbox.asked


def test_who_is_refused_with_a_new_token(shop: Shop) -> None:
    """A second 401 is believed."""
    shop.sandbox.fail(*[paypal_says(401, "AUTHENTICATION_FAILURE")] * 2)
    with pytest.raises(AuthenticationFailed) as caught:
        shop.charged()

    assert "AUTHENTICATION_FAILURE" == caught.value.vendor_code


# --- what is sent ----------------------------------------------------------


def test_an_order_as_it_is_written(shop: Shop) -> None:
    """Everything has its place; the key and the token go along, and the wish to be told all."""
    shop.charged(description="Two chairs " * 20, statement_descriptor="ACME CHAIRS")
    asked = shop.last()

    assert ("POST", "/v2/checkout/orders") == (asked.method, asked.path)
    assert "k-1" == asked.headers.get("PayPal-Request-Id")
    assert "return=representation" == asked.headers.get("Prefer")
    assert "token-paypal-client-1" == asked.bearer()
    context = {"return_url": BACK, "cancel_url": BACK}
    assert {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "amount": {"currency_code": "EUR", "value": "149.90"},
                "custom_id": "INV-2041",
                "description": ("Two chairs " * 20)[:127],
                "soft_descriptor": "ACME CHAIRS",
            }
        ],
        "payment_source": {"card": {"vault_id": "visa-1", "experience_context": context}},
    } == shop.sent()


def test_headers_of_the_account() -> None:
    """An account may have headers of its own, and PayPal is asked for all of its answer still."""
    shop = Shop({"headers": {PARTNER: "ACME"}})
    with shop.hub:
        shop.payments.void(shop.authorized().ref, idempotency_key="v-1")
    told = [(one.headers.get(PARTNER), one.headers.get("Prefer")) for one in shop.sandbox.asked]

    assert [("ACME", "return=representation")] * 2 == told


@pytest.mark.parametrize(
    "amount, value",
    [
        (Money("500", "JPY"), "500"),
        (Money("500.00", "HUF"), "500"),
        (Money("500.00", "TWD"), "500"),
        (Money("0.05", "EUR"), "0.05"),
        (Money("1.230", "BHD"), "1.23"),
        (Money("9999999999.99", "USD"), "9999999999.99"),
    ],
)
def test_amounts_are_texts(amount: Money, value: str) -> None:
    """An amount has the decimals that PayPal takes of its currency."""
    assert {"currency_code": amount.currency, "value": value} == amount_body(amount)


@pytest.mark.parametrize("amount", [Money("500.50", "HUF"), Money("1.234", "BHD")])
def test_an_amount_that_cannot_be_written(amount: Money, shop: Shop) -> None:
    """Nothing is rounded, and nothing is sent."""
    with pytest.raises(InvalidData):
        shop.charged(amount=amount)

    assert [] == shop.sandbox.asked


BUYER = Customer(id="ada-1", email="ada@example.com")
STORED = {"store_in_vault": "ON_SUCCESS", "usage_type": "MERCHANT"}
CONTEXT = {"return_url": BACK, "cancel_url": BACK}
MERCHANT = {
    "payment_initiator": "MERCHANT",
    "payment_type": "UNSCHEDULED",
    "usage": "SUBSEQUENT",
}


@pytest.mark.parametrize(
    "source, fields, sent",
    [
        (
            "paypal",
            {"customer": BUYER, "store_method": True},
            {
                "paypal": {
                    "email_address": "ada@example.com",
                    "attributes": {"vault": STORED, "customer": {"id": "ada-1"}},
                    "experience_context": {**CONTEXT, "user_action": "PAY_NOW"},
                }
            },
        ),
        (
            "paypal:wallet-1",
            {"off_session": True, "return_url": None},
            {"paypal": {"vault_id": "wallet-1"}},
        ),
        ("venmo:venmo-1", {"customer": BUYER}, {"venmo": {"vault_id": "venmo-1"}}),
        (
            "card:visa-1",
            {"off_session": True, "return_url": None},
            {"card": {"vault_id": "visa-1", "stored_credential": MERCHANT}},
        ),
        (
            "card:visa-1",
            {"three_ds": ThreeDs.ALWAYS},
            {
                "card": {
                    "vault_id": "visa-1",
                    "experience_context": CONTEXT,
                    "attributes": {"verification": {"method": "SCA_ALWAYS"}},
                }
            },
        ),
    ],
)
def test_what_is_paid_with(
    source: str, fields: dict[str, Any], sent: dict[str, Any], shop: Shop
) -> None:
    """Each kind of source is written as PayPal wants it."""
    shop.charged(source, **fields)

    assert sent == shop.sent()["payment_source"]


@pytest.mark.parametrize(
    "fields, sent",
    [
        ({"return_url": None}, None),
        ({"customer": Customer(id="ada-1")}, {"paypal": {"experience_context": CONTEXT}}),
        (
            {"return_url": None, "store_method": True, "three_ds": ThreeDs.ALWAYS},
            {
                "card": {
                    "attributes": {
                        "vault": {"store_in_vault": "ON_SUCCESS"},
                        "verification": {"method": "SCA_ALWAYS"},
                    }
                }
            },
        ),
    ],
)
def test_an_intent_leaves_the_choice(
    fields: dict[str, Any], sent: dict[str, Any] | None, shop: Shop
) -> None:
    """An intent is no payment yet, even if a stored means is named; the buyer chooses."""
    charge = order("card:visa-1", **fields)
    payment = shop.payments.create_intent(charge, idempotency_key="k")

    assert sent == shop.sent().get("payment_source")
    assert PaymentState.REQUIRES_ACTION is payment.state
    assert payment.ref.id == payment.client_token
    assert [] == shop.sandbox.taken


@pytest.mark.parametrize(
    "source, fields, field",
    [
        ("8kk8451t", {}, "source"),
        ("card", {}, "source"),
        ("venmo", {}, "source"),
        ("paypal", {"off_session": True}, "source"),
        ("paypal", {"return_url": None}, "return_url"),
        ("card:visa-1", {"reference": "x" * 128}, "reference"),
        ("card:visa-1", {"statement_descriptor": "x" * 23}, "statement_descriptor"),
    ],
)
def test_what_is_refused_here(source: str, fields: dict[str, Any], field: str, shop: Shop) -> None:
    """What PayPal could not take is refused before anything is sent, by the field."""
    with pytest.raises(InvalidData) as caught:
        shop.charged(source, **fields)

    assert field == caught.value.field
    assert [] == shop.sandbox.asked


def test_only_cards_are_confirmed(shop: Shop) -> None:
    """A bank cannot be asked to have a wallet's payment confirmed."""
    with pytest.raises(UnsupportedByVendor) as caught:
        shop.charged("paypal", three_ds=ThreeDs.ALWAYS)

    assert ("three_ds",) == caught.value.capabilities
    assert [] == shop.sandbox.asked


def test_a_long_key_and_a_tenants(shop: Shop) -> None:
    """Keys that PayPal could not keep, or that tenants share, are told by their digests."""
    shop.payments.charge(order(), idempotency_key="k" * 109)
    assert 64 == len(shop.last().headers.get("PayPal-Request-Id") or "")
    shop.hub.payments(tenant="acme").charge(order(), idempotency_key="k")
    assert 64 == len(shop.last().headers.get("PayPal-Request-Id") or "")


# --- buyers ----------------------------------------------------------------


def test_a_buyer_approves(shop: Shop) -> None:
    """A buyer is sent to PayPal; when they are back the order is captured, and their means kept."""
    customer = Customer(id="ada-1")
    payment = shop.charged("paypal", store_method=True, customer=customer)
    assert payment.next_action is not None
    assert "PAYER_ACTION_REQUIRED" == payment.vendor_state
    early = shop.payments.complete(payment.ref, idempotency_key="early")
    assert PaymentState.REQUIRES_ACTION is early.state
    returned = shop.sandbox.buyer(str(payment.next_action.url))
    waiting = shop.payments.get(payment.ref)
    assert (PaymentState.PENDING, "APPROVED") == (waiting.state, waiting.vendor_state)
    done = shop.payments.complete(str(payment.ref), returned, idempotency_key="back")

    assert (PaymentState.CAPTURED, EUROS) == (done.state, done.captured)
    assert done.captures[0].ref.id == done.ref.other("capture")
    assert done == shop.payments.complete(done.ref, returned, idempotency_key="again")
    assert done.means is not None
    assert "paypal" == done.means.type
    assert PaymentState.CAPTURED is shop.charged(str(done.means.stored)).state


def test_a_card_in_paypals_form(shop: Shop) -> None:
    """A card that was entered is captured, if its holder confirmed what there was to confirm."""
    for number, shift in enumerate((None, "POSSIBLE")):
        payment = shop.payments.create_intent(order(None), idempotency_key=f"i-{number}")
        shop.sandbox.enter_card(payment.ref.id, shift)
        shop.sandbox.orders[payment.ref.id]["status"] = "CREATED"
        done = shop.payments.complete(payment.ref, idempotency_key=f"b-{number}")
        assert PaymentState.CAPTURED is done.state
        assert done.means is not None
        assert ("card", "7704") == (done.means.type, done.means.last4)
    for number, shift in enumerate(("NO", "UNKNOWN")):
        payment = shop.payments.create_intent(order(None), idempotency_key=f"n-{number}")
        shop.sandbox.enter_card(payment.ref.id, shift)
        shop.sandbox.approve(payment.ref.id)
        with pytest.raises(PaymentDeclined) as caught:
            shop.payments.complete(payment.ref, idempotency_key=f"c-{number}")
        assert DeclineReason.AUTHENTICATION_REQUIRED == caught.value.reason
        assert (shift, str(payment.ref)) == (caught.value.vendor_code, caught.value.payment)

    assert 2 == len(shop.sandbox.taken)


def test_an_authorisation_is_completed_as_one(shop: Shop) -> None:
    """What was asked to be set aside is set aside when the buyer is back."""
    payment = shop.authorized("paypal")
    assert payment.next_action is not None
    returned = shop.sandbox.buyer(str(payment.next_action.url))
    done = shop.payments.complete(payment.ref, returned, idempotency_key="back")

    assert (PaymentState.AUTHORIZED, EUROS) == (done.state, done.remaining)
    assert done.authorized_until is not None
    assert PaymentState.AUTHORIZED is shop.told(payment).state


def test_another_buyer_comes_back(shop: Shop) -> None:
    """Who comes back from another payment does not complete this one."""
    payment = shop.charged("paypal")
    with pytest.raises(InvalidData, match="another payment"):
        shop.payments.complete(payment.ref, {"token": "other"}, idempotency_key="back")


def test_a_buyer_whose_means_are_refused(shop: Shop) -> None:
    """What is declined when the buyer is back names the payment, each time it is asked."""
    payment = shop.charged("card:confirms-1")
    returned = shop.sandbox.approve(payment.ref.id)
    shop.sandbox.orders[payment.ref.id]["payment_source"]["card"]["vault_id"] = "declined-5120"
    for key in ("back", "again"):
        with pytest.raises(PaymentDeclined) as caught:
            shop.payments.complete(payment.ref, returned, idempotency_key=key)
        assert DeclineReason.INSUFFICIENT_FUNDS == caught.value.reason
        assert payment.ref.id == Ref.parse(str(caught.value.payment)).id
        assert "5120" == caught.value.vendor_code


def test_a_wallet_that_is_refused(shop: Shop) -> None:
    """A refusal is a decline, with PayPal's own issue; before there is an order none is named."""
    with pytest.raises(PaymentDeclined) as caught:
        shop.charged("paypal:refused-1")

    assert DeclineReason.DO_NOT_HONOR == caught.value.reason
    assert ("INSTRUMENT_DECLINED", None) == (caught.value.vendor_code, caught.value.payment)


def test_a_refusal_after_the_buyer_is_back(shop: Shop) -> None:
    """A refusal that names no order is of the order that was completed."""
    payment = shop.charged("card:confirms-1")
    returned = shop.sandbox.approve(payment.ref.id)
    shop.sandbox.orders[payment.ref.id]["payment_source"] = {"paypal": {"vault_id": "refused-1"}}
    with pytest.raises(PaymentDeclined) as caught:
        shop.payments.complete(payment.ref, returned, idempotency_key="back")

    assert payment.ref.id == Ref.parse(str(caught.value.payment)).id


def test_a_decline_that_is_complete(shop: Shop) -> None:
    """An order that PayPal calls complete though its card was declined is a failed payment."""
    with pytest.raises(PaymentDeclined) as caught:
        shop.authorized("card:declined-5400")
    assert (201, DeclineReason.EXPIRED_CARD) == (caught.value.status, caught.value.reason)
    known = shop.payments.get(str(caught.value.payment))

    assert PaymentState.FAILED is known.state
    assert known.decline is not None
    assert DeclineReason.EXPIRED_CARD is known.decline.reason


# --- captures --------------------------------------------------------------


def test_parts_are_captured(shop: Shop) -> None:
    """One part after another is taken, and the last sets the rest free."""
    payment = shop.authorized()
    first = shop.payments.capture(payment.ref, TEN, final=False, idempotency_key="c-1")
    written = {"currency_code": "EUR", "value": "10.00"}
    assert {"final_capture": False, "amount": written} == shop.sent()
    assert "c-1" == shop.last().headers.get("PayPal-Request-Id")
    known = shop.payments.get(payment.ref)
    assert (PaymentState.PARTIALLY_CAPTURED, EUROS - TEN) == (known.state, known.remaining)
    assert known.ref.other("capture") is None
    last = shop.payments.capture(payment.ref, TEN, idempotency_key="c-2")
    known = shop.payments.get(payment.ref)

    assert (TEN * 2, TEN * 0) == (known.captured, known.remaining)
    assert [first.ref, last.ref] == [one.ref for one in known.captures]
    assert (MoveState.SUCCEEDED, payment.ref) == (first.state, first.payment)
    assert PaymentState.PARTIALLY_CAPTURED is shop.told(payment).state
    with pytest.raises(VendorRejected) as caught:
        shop.payments.capture(payment.ref, TEN, idempotency_key="c-3")
    assert "AUTHORIZATION_ALREADY_CAPTURED" == caught.value.vendor_code


def test_all_is_captured_of_what_is_whole(shop: Shop) -> None:
    """Without an amount all is taken, unless a part was taken before: it would be too much."""
    payment = shop.authorized()
    capture = shop.payments.capture(payment.ref, idempotency_key="c-1")
    assert (EUROS, {"final_capture": True}) == (capture.amount, shop.sent())
    other = shop.authorized()
    shop.payments.capture(other.ref, TEN, final=False, idempotency_key="c-2")
    with pytest.raises(InvalidData, match="A part of this payment was captured already"):
        shop.payments.capture(other.ref, final=False, idempotency_key="c-3")


def test_a_capture_whose_answer_was_lost(shop: Shop) -> None:
    """A capture is taken once, however often it is asked for."""
    payment = shop.authorized()
    shop.payments.get(payment.ref)
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(payment.ref, TEN, idempotency_key="c-1")
    capture = shop.payments.capture(payment.ref, TEN, idempotency_key="c-1")

    assert [capture.ref.id] == list(shop.sandbox.captures)


def test_the_authorisation_is_looked_up(shop: Shop) -> None:
    """A reference that knows only the order is enough, if anything was authorised."""
    payment = shop.authorized()
    bare = Ref("paypal", "main", payment.ref.id)
    assert TEN == shop.payments.capture(bare, TEN, idempotency_key="c-1").amount
    waiting = shop.authorized("paypal")
    with pytest.raises(InvalidData, match="Nothing was authorised"):
        shop.payments.capture(waiting.ref, TEN, idempotency_key="c-2")


def test_a_capture_that_is_under_way(shop: Shop) -> None:
    """What PayPal looks at first is pending until it says that the money is there."""
    payment = shop.charged("card:pending-1")
    assert (PaymentState.PENDING, EUROS * 0) == (payment.state, payment.captured)
    assert "PENDING_REVIEW" == payment.captures[0].reason
    with pytest.raises(VendorRejected) as caught:
        shop.payments.refund(payment.ref, idempotency_key="r-1")
    assert "PENDING_CAPTURE" == caught.value.vendor_code
    shop.sandbox.arrive(payment.captures[0].ref.id)

    assert PaymentState.CAPTURED is shop.payments.get(payment.ref).state
    assert PaymentState.CAPTURED is shop.told(payment).state


# --- giving up -------------------------------------------------------------


def test_a_void_needs_no_key(shop: Shop) -> None:
    """What is given up twice is given up once: PayPal takes no key, and none is sent."""
    payment = shop.authorized()
    first = shop.payments.void(payment.ref, idempotency_key="v-1")
    assert shop.last().headers.get("PayPal-Request-Id") is None
    again = shop.payments.void(payment.ref, idempotency_key="v-1")

    assert (MoveState.SUCCEEDED, "VOIDED") == (first.state, first.vendor_state)
    assert first == again
    known = shop.payments.get(payment.ref)
    assert (PaymentState.VOIDED, EUROS * 0) == (known.state, known.remaining)
    assert PaymentState.VOIDED is shop.told(payment).state


def test_a_void_whose_answer_was_lost() -> None:
    """It is sent again at once, and what PayPal then refuses is what was wanted."""
    shop = Shop({"retry": RetryPolicy(2, base_delay=0.001)})
    with shop.hub:
        payment = shop.authorized()
        shop.sandbox.fail(Lost())
        void = shop.payments.void(payment.ref, idempotency_key="v-1")

    assert MoveState.SUCCEEDED is void.state


def test_a_void_that_comes_too_late(shop: Shop) -> None:
    """What was captured cannot be given up any more."""
    payment = shop.authorized()
    shop.payments.capture(payment.ref, idempotency_key="c-1")
    with pytest.raises(VendorRejected) as caught:
        shop.payments.void(payment.ref, idempotency_key="v-1")

    assert "PREVIOUSLY_CAPTURED" == caught.value.vendor_code


def test_the_rest_is_given_up(shop: Shop) -> None:
    """After a part was captured the rest can be given up."""
    payment = shop.authorized()
    shop.payments.capture(payment.ref, TEN, final=False, idempotency_key="c-1")
    shop.payments.void(payment.ref, idempotency_key="v-1")
    known = shop.payments.get(payment.ref)

    assert (PaymentState.PARTIALLY_CAPTURED, TEN * 0) == (known.state, known.remaining)


def test_a_void_of_another_status(shop: Shop) -> None:
    """A status that is new is unknown, and kept."""
    payment = shop.authorized()
    shop.sandbox.fail(reply({"id": "0A1", "status": "VOIDING"}))
    void = shop.payments.void(payment.ref, idempotency_key="v-1")

    assert (MoveState.UNKNOWN, "VOIDING") == (void.state, void.vendor_state)


# --- giving back -----------------------------------------------------------


def test_a_refund_knows_its_order(shop: Shop) -> None:
    """The order's id goes along, so that what PayPal tells of the refund names the payment."""
    payment = shop.charged()
    asked = len(shop.sandbox.asked)
    refund = shop.payments.refund(
        payment.ref, TEN, idempotency_key="r-1", reason=RefundReason.DUPLICATE
    )
    assert asked + 1 == len(shop.sandbox.asked)
    assert {
        "amount": {"currency_code": "EUR", "value": "10.00"},
        "custom_id": f"order-{payment.ref.id}",
    } == shop.sent()
    assert (MoveState.SUCCEEDED, payment.ref) == (refund.state, refund.payment)
    found = shop.payments.get_refund(refund.ref)
    assert found.payment is not None
    assert (refund.ref, payment.ref.id) == (found.ref, found.payment.id)
    bare = shop.payments.get_refund(Ref("paypal", "main", refund.ref.id))
    assert bare.payment is not None
    assert payment.ref.id == bare.payment.id
    rest = shop.payments.refund(payment.ref, idempotency_key="r-2")
    assert (EUROS - TEN, {"custom_id"}) == (rest.amount, set(shop.sent()))
    assert PaymentState.REFUNDED is shop.payments.get(payment.ref).state
    assert PaymentState.REFUNDED is shop.told(payment).state


def test_a_refund_of_nobody_in_particular(shop: Shop) -> None:
    """A refund that was made elsewhere belongs to a payment that it does not name."""
    payment = shop.charged()
    refund = shop.payments.refund(payment.ref, TEN, idempotency_key="r-1")
    shop.sandbox.refunds[refund.ref.id]["custom_id"] = "by hand"
    found = shop.payments.get_refund(Ref("paypal", "main", refund.ref.id))

    assert found.payment is None


def test_refunds_of_several_captures(shop: Shop) -> None:
    """Each capture is given back by its own reference, or the first that is large enough."""
    payment = shop.authorized()
    small = shop.payments.capture(payment.ref, TEN, final=False, idempotency_key="c-1")
    large = shop.payments.capture(payment.ref, TEN * 3, idempotency_key="c-2")
    with pytest.raises(InvalidData, match="captured more than once"):
        shop.payments.refund(payment.ref, idempotency_key="r-1")
    with pytest.raises(InvalidData, match="No capture of this payment is as large"):
        shop.payments.refund(payment.ref, TEN * 4, idempotency_key="r-2")
    shop.payments.refund(payment.ref, TEN * 2, idempotency_key="r-3")
    assert f"/v2/payments/captures/{large.ref.id}/refund" == shop.last().path
    refund = shop.payments.refund(small.ref, idempotency_key="r-4")

    assert refund.payment is not None
    assert (TEN, payment.ref.id) == (refund.amount, refund.payment.id)
    assert TEN * 3 == shop.payments.get(small.ref).refunded


def test_a_capture_of_which_nothing_else_is_known(shop: Shop) -> None:
    """A payment is found by a capture, as news of disputes have it."""
    payment = shop.charged()
    capture = payment.captures[0].ref.id
    lone = Ref("paypal", "main", capture, {"capture": capture})

    assert payment == shop.payments.get(lone)
    refund = shop.payments.refund(lone, TEN, idempotency_key="r-1")
    assert refund.payment is not None
    assert payment.ref.id == refund.payment.id
    shop.sandbox.fail(reply({"id": capture, "status": "COMPLETED"}))
    with pytest.raises(VendorFailed, match="no order"):
        shop.payments.get(lone)


def test_another_currency_is_not_given_back(shop: Shop) -> None:
    """A reference that knows no currency is looked up first."""
    payment = shop.charged()
    bare = Ref("paypal", "main", payment.ref.id)
    with pytest.raises(InvalidData, match="The payment is in EUR"):
        shop.payments.refund(bare, Money("1.00", "USD"), idempotency_key="r-1")


# --- disputes --------------------------------------------------------------


def test_disputes_come_in_pages(shop: Shop) -> None:
    """One page leads to the next; what began later than is asked for is left out."""
    assert () == shop.payments.disputes().items
    payment = shop.charged()
    capture = payment.captures[0].ref.id
    keys = [shop.sandbox.dispute(capture)["dispute_id"] for _ in range(3)]
    now = datetime.now(UTC)
    query = PaymentQuery(since=now - timedelta(days=1), until=now + timedelta(days=1), limit=2)
    first = shop.payments.disputes(query)
    assert "2" == dict(shop.last().query)["page_size"]
    second = shop.payments.disputes(query, after=first.next)
    found = [one.ref.id for page in (first, second) for one in page.items]
    late = shop.payments.disputes(PaymentQuery(until=now - timedelta(hours=1), limit=500))

    assert keys[::-1] == found
    assert second.next is None
    assert () == late.items
    assert "50" == dict(shop.last().query)["page_size"]
    dispute = first.items[0]
    assert (DisputeState.NEEDS_RESPONSE, EUROS, None) == (
        dispute.state,
        dispute.amount,
        dispute.payment,
    )
    assert dispute.respond_by is not None


@pytest.mark.parametrize(
    "fields, state",
    [
        ({"status": "OPEN", "dispute_life_cycle_stage": "INQUIRY"}, DisputeState.INQUIRY),
        ({"status": "OPEN"}, DisputeState.UNDER_REVIEW),
        ({"status": "UNDER_REVIEW"}, DisputeState.UNDER_REVIEW),
        ({"status": "RESOLVED"}, DisputeState.CLOSED),
        ({"status": "NEW WORD"}, DisputeState.UNKNOWN),
    ],
)
def test_how_far_a_dispute_has_come(
    fields: dict[str, str], state: DisputeState, shop: Shop
) -> None:
    """Every status has a meaning, and one that is new is kept."""
    items = [{"dispute_id": "PP-1", **fields}, {"dispute_id": "PP-2"}, "garbage"]
    shop.sandbox.fail(reply({"items": items}))
    [dispute] = shop.payments.disputes().items

    assert (state, fields["status"]) == (dispute.state, dispute.vendor_state)


# --- reports ---------------------------------------------------------------


def test_payments_are_reported(shop: Shop) -> None:
    """What was captured is listed by its capture, from which everything else is found."""
    first, second = shop.charged(), shop.charged(amount=TEN)
    shop.payments.refund(first.ref, TEN, idempotency_key="r-1")
    page = shop.payments.payments()
    newest, oldest = page.items

    assert (None, [TEN, EUROS]) == (page.next, [one.amount for one in page.items])
    assert (PaymentState.CAPTURED, "INV-2041") == (newest.state, newest.reference)
    assert second.captures[0].ref.id == newest.ref.id
    assert first.ref.id == shop.payments.get(oldest.ref).ref.id
    refund = shop.payments.refund(newest.ref, idempotency_key="r-2")
    assert refund.payment is not None
    assert (TEN, second.ref.id) == (refund.amount, refund.payment.id)


def test_a_report_goes_on(shop: Shop) -> None:
    """Page after page, and then stretch after stretch of 31 days, until the beginning."""
    for _ in range(3):
        shop.charged()
    now = datetime.now(UTC)
    query = PaymentQuery(since=now - timedelta(days=40), until=now + timedelta(days=1), limit=2)
    found: list[Payment] = []
    asked: list[dict[str, str]] = []
    after = None
    while True:
        page = shop.payments.payments(query, after=after)
        found += page.items
        asked.append(dict(shop.last().query))
        if page.next is None:
            break
        after = str(page.next)

    assert 3 == len({one.ref.id for one in found}) == len(found)
    assert ["1", "2", "1"] == [one["page"] for one in asked]
    assert asked[0]["start_date"] == asked[1]["start_date"] == asked[2]["end_date"]
    assert query.since is not None
    assert query.since.strftime("%Y-%m-%dT%H:%M:%SZ") == asked[2]["start_date"]
    assert {"fields": "transaction_info", "page_size": "2"}.items() <= asked[0].items()


@pytest.mark.parametrize("text", ["1", "soon,1", "2031-05-06,x", "2031-05-06,²"])
def test_a_report_that_cannot_go_on(text: str, shop: Shop) -> None:
    """What is no `next` of a page is refused before anything is sent."""
    with pytest.raises(InvalidData, match="no page"):
        shop.payments.payments(after=Ref("paypal", "main", text))

    assert [] == shop.sandbox.asked


def test_a_report_of_long_ago(shop: Shop) -> None:
    """Who goes back to before there was PayPal finds nothing, and no end of the calendar."""
    long_ago = Ref("paypal", "main", "0001-01-01T00:00:00Z,1")

    assert () == shop.payments.payments(after=long_ago).items
    assert "1999-01-01T00:00:00Z" == dict(shop.last().query)["end_date"]


@pytest.mark.parametrize(
    "status, state",
    [
        ("S", PayoutState.PAID),
        ("P", PayoutState.PENDING),
        ("D", PayoutState.FAILED),
        ("V", PayoutState.CANCELED),
        ("?", PayoutState.UNKNOWN),
    ],
)
def test_withdrawals_are_payouts(status: str, state: PayoutState, shop: Shop) -> None:
    """Money that went to the bank is listed as what arrives there, and nothing else is."""
    shop.charged()
    made = shop.sandbox.withdraw(TEN, status)
    [payout] = shop.payments.payouts().items

    assert (state, status, TEN) == (payout.state, payout.vendor_state, payout.amount)
    assert made["transaction_id"] == payout.ref.id
    made["transaction_amount"] = None
    assert shop.payments.payouts().items[0].amount is None


def test_a_payment_in_the_report_that_is_under_way(shop: Shop) -> None:
    """Only what has succeeded was captured; what was paid by us is no payment."""
    shop.charged()
    [told] = shop.sandbox.transactions
    told["transaction_status"] = "P"
    [payment] = shop.payments.payments().items
    assert (PaymentState.PENDING, None) == (payment.state, payment.captured)
    told["transaction_amount"]["value"] = "-149.90"
    assert () == shop.payments.payments().items


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
def test_orders_that_are_none(body: object, shop: Shop) -> None:
    """What holds no order is a failure whose outcome nobody knows."""
    shop.sandbox.fail(reply(body))
    with pytest.raises(VendorFailed):
        shop.charged()


def test_moves_that_are_none(shop: Shop) -> None:
    """So is a capture, a refund or a list of disputes that is none."""
    payment, taken = shop.authorized(), shop.charged()
    for number, answer in enumerate((reply({"id": "3C1"}), reply([]), Response(200, body=b"<p>"))):
        shop.sandbox.fail(answer)
        with pytest.raises(VendorFailed):
            shop.payments.capture(payment.ref, TEN, idempotency_key=f"c-{number}")
        shop.sandbox.fail(answer)
        with pytest.raises(VendorFailed):
            shop.payments.refund(taken.ref, TEN, idempotency_key=f"r-{number}")
    shop.sandbox.fail(reply({"items": {}}))
    with pytest.raises(VendorFailed, match="no items"):
        shop.payments.disputes()
    shop.sandbox.fail(reply({"transaction_details": {}}))
    with pytest.raises(VendorFailed, match="no transaction_details"):
        shop.payments.payments()


def test_what_is_new_is_kept(shop: Shop) -> None:
    """New words, new fields and fields of another shape break nothing."""
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


def test_a_card_that_was_used(shop: Shop) -> None:
    """What may be known of a card is told."""
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
    assert ("VISA", "7704", (2031, 5)) == (
        payment.means.brand,
        payment.means.last4,
        payment.means.expires,
    )
    assert payment.next_action is None


def test_an_order_that_names_no_means(shop: Shop) -> None:
    """An order may not say what is paid with, nor where the buyer is to go."""
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
def test_how_far_an_authorisation_has_come(status: str, state: PaymentState, shop: Shop) -> None:
    """An order is as far as what was authorised under it."""
    payment = shop.authorized()
    [made] = shop.sandbox.authorizations.values()
    made["status"] = status
    known = shop.payments.get(payment.ref)

    assert (state, None) == (known.state, known.authorized)


def test_money_that_paypal_took_back(shop: Shop) -> None:
    """A capture that is given back with no refund to be seen is given back all the same."""
    payment = shop.charged()
    [capture] = shop.sandbox.captures.values()
    capture["status"] = "REFUNDED"
    known = shop.payments.get(payment.ref)

    assert (PaymentState.REFUNDED, EUROS) == (known.state, known.refunded)
    capture["amount"] = None
    assert PaymentState.UNKNOWN is shop.payments.get(payment.ref).state
    bare = Ref("paypal", "main", payment.ref.id)
    with pytest.raises(InvalidData, match="No capture"):
        shop.payments.refund(bare, TEN, idempotency_key="r-1")
