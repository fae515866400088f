"""Payments at Authorize.Net: requests, marks of keys, captures, refunds and stored cards."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.address import Address
from moorage.contracts.payments import (
    Customer,
    DeclineReason,
    Money,
    MoveState,
    PaymentState,
    RefundReason,
    StoredState,
)
from moorage.contracts.ref import Ref
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    OutcomeUnknown,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import AlteredAnswer, Lost
from moorage.testing.sandboxes.payments._authorize_net_rules import answer, error, unsuccessful
from moorage.testing.sandboxes.payments.authorize_net import STORED
from moorage.vendor_sdk import Mode
from moorage.vendors.payments.authorize_net import AuthorizeNet
from tests.vendors.authorize_net_account import EUROS, PART, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.http.requests import Response

ADA = Address(
    name="Ada Byron",
    company="Engines Ltd",
    line1="Weg 1",
    line2="Hof 2",
    city="Berlin",
    region="BE",
    postal_code="10115",
    country="DE",
)
ADA_SENT = {
    "firstName": "Ada",
    "lastName": "Byron",
    "company": "Engines Ltd",
    "address": "Weg 1, Hof 2",
    "city": "Berlin",
    "state": "BE",
    "zip": "10115",
    "country": "DE",
}


def address_with(part: str, size: int) -> Address:
    """Return an address with a text of the given length in one of its parts."""
    values: dict[str, Any] = {part: "x" * size}
    return attrs.evolve(ADA, **values)


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Authorize.Net."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def mark(key: str, tenant: str = "") -> str:
    """Return the mark that stands for a key: 20 hex digits of the hash of tenant and key."""
    return sha256(f"{tenant}\n{key}".encode()).hexdigest()[:20]


def changed_transaction(**fields: Any) -> AlteredAnswer:
    """Return a planned fault that changes fields of the transaction in a response."""

    def change(response: Response) -> Response:
        body = response.json()
        body.get("transactionResponse", body.get("transaction")).update(fields)
        messages = body.pop("messages")
        [message] = messages["message"]
        return answer(body, (messages["resultCode"], message["code"], message["text"]))

    return AlteredAnswer(change)


def test_request_of_a_charge(shop: SandboxHub) -> None:
    """A charge sends all its fields in the order of the schema, with the mark of its key."""
    payment = shop.pay(
        customer=Customer(id="ada-7", email="ada@erp.example", ip="192.0.2.1"),
        description="Two chairs",
        metadata={"order": "7"},
        billing_address=ADA,
        shipping_address=ADA,
        off_session=True,
        store_method=True,
    )
    [content] = shop.sent("createTransaction")

    assert {
        "refId": mark("k-1"),
        "transactionRequest": {
            "transactionType": "authCaptureTransaction",
            "amount": "149.90",
            "currencyCode": "EUR",
            "payment": {
                "opaqueData": {
                    "dataDescriptor": "COMMON.ACCEPT.INAPP.PAYMENT",
                    "dataValue": "nonce-ok",
                }
            },
            "profile": {"createProfile": True},
            "order": {"invoiceNumber": "INV-1", "description": "Two chairs"},
            "poNumber": mark("k-1"),
            "customer": {"id": "ada-7", "email": "ada@erp.example"},
            "billTo": ADA_SENT,
            "shipTo": ADA_SENT,
            "customerIP": "192.0.2.1",
            "transactionSettings": {
                "setting": [
                    {"settingName": "allowPartialAuth", "settingValue": "false"},
                    {"settingName": "duplicateWindow", "settingValue": "28800"},
                ]
            },
            "userFields": {"userField": [{"name": "order", "value": "7"}]},
            "processingOptions": {"isSubsequentAuth": True},
        },
    } == content
    assert (PaymentState.CAPTURED, EUROS, EUROS, "INV-1", "1") == (
        payment.state,
        payment.amount,
        payment.captured,
        payment.reference,
        payment.vendor_state,
    )
    assert payment.means is not None
    assert ("creditCard", "visa", "1111") == (
        payment.means.type,
        payment.means.brand,
        payment.means.last4,
    )
    customer, means = (payment.means.stored or "").split("/")
    assert {means: "1111"} == shop.sandbox.profiles[customer]


def test_credentials_are_only_in_what_is_sent(shop: SandboxHub) -> None:
    """The credentials are the first field of each request, and appear in no error and no repr."""
    shop.pay()
    shop.sandbox.transaction_key = "another-key"
    with pytest.raises(AuthenticationFailed) as excinfo:
        shop.pay()
    [request, _] = shop.sandbox.requests

    assert request.body.startswith(
        b'{"createTransactionRequest":{"merchantAuthentication":'
        b'{"name":"5KP3sandbox","transactionKey":"sandboxKey012345"},"refId":'
    )
    shown = f"{excinfo.value!r}{excinfo.value.response!r}{shop.hub.account('main')!r}"
    assert "sandboxKey012345" not in shown
    assert "E00007" == excinfo.value.vendor_code


def test_stored_payment_method_is_charged(shop: SandboxHub) -> None:
    """A stored payment method is charged by its ids, as chosen by the buyer or by the shop."""
    for off_session, name in ((False, "isStoredCredentials"), (True, "isSubsequentAuth")):
        payment = shop.pay(source=STORED, off_session=off_session, customer=Customer(id="ada-1"))
        sent = shop.transactions_sent()[-1]

        assert {
            "customerProfileId": "8000001",
            "paymentProfile": {"paymentProfileId": "9000001"},
        } == sent["profile"]
        assert {name: True} == sent["processingOptions"]
        assert sent.keys().isdisjoint({"payment", "customer", "billTo"})
        assert payment.means is not None
        known_payment = shop.payments.get(payment.ref)
        assert known_payment.means is not None
        assert STORED == known_payment.means.stored


def test_source_may_begin_with_the_descriptor_of_its_nonce(shop: SandboxHub) -> None:
    """A payment source may state its nonce's descriptor first, such as the one of Google Pay."""
    shop.pay(source="COMMON.GOOGLE.INAPP.PAYMENT:nonce-ok")
    [sent] = shop.transactions_sent()

    assert {
        "opaqueData": {"dataDescriptor": "COMMON.GOOGLE.INAPP.PAYMENT", "dataValue": "nonce-ok"}
    } == sent["payment"]


@pytest.mark.parametrize(
    "fields, name",
    [
        ({"amount": Money("1.00", "USD")}, "amount"),
        ({"source": None}, "source"),
        ({"reference": "r" * 21}, "reference"),
        ({"description": "d" * 256}, "description"),
        ({"customer": Customer(id="c" * 21)}, "customer.id"),
        ({"metadata": {f"n{number}": "v" for number in range(21)}}, "metadata"),
        ({"store_method": True}, "customer"),
        ({"source": STORED, "store_method": True}, "store_method"),
        ({"source": STORED, "billing_address": ADA}, "billing_address"),
        *(
            ({"billing_address": address_with(part, size)}, f"billing_address.{part}")
            for part, size in (
                ("name", 51),
                ("company", 51),
                ("line1", 61),
                ("city", 41),
                ("region", 41),
                ("postal_code", 21),
            )
        ),
        *(
            ({"shipping_address": Address(country="DE", name=name)}, "shipping_address.name")
            for name in (f"{'x' * 51} Byron", f"Ada {'x' * 51}")
        ),
    ],
)
def test_charge_is_refused_before_it_is_sent(
    shop: SandboxHub, fields: dict[str, Any], name: str
) -> None:
    """A charge that Authorize.Net cannot take is refused, with the name of the wrong field."""
    with pytest.raises(InvalidData) as excinfo:
        shop.pay(**fields)

    assert name == excinfo.value.field
    assert [] == shop.sandbox.requests


def test_longest_values_are_sent(shop: SandboxHub) -> None:
    """Values of the greatest length that Authorize.Net accepts are sent."""
    address = Address(
        name=f"{'f' * 50} {'l' * 50}",
        company="c" * 50,
        line1="a" * 60,
        city="c" * 40,
        region="s" * 40,
        postal_code="z" * 20,
        country="DE",
    )
    payment = shop.pay(
        reference="r" * 20,
        description="d" * 255,
        customer=Customer(id="i" * 20),
        metadata={f"n{number}": "v" for number in range(20)},
        billing_address=address,
    )

    assert PaymentState.CAPTURED is payment.state


def test_extra_options_are_put_in_their_place(shop: SandboxHub) -> None:
    """Extra options override the fields of a transaction, and take their place in the order."""
    options = {"employeeId": "0042", "taxExempt": True, "order": {"description": "Chairs"}}
    shop.pay(extra={"authorize_net": options})
    [sent] = shop.transactions_sent()

    assert {"invoiceNumber": "INV-1", "description": "Chairs"} == sent["order"]
    assert (True, "0042") == (sent["taxExempt"], sent["employeeId"])
    names = list(sent)
    assert names.index("order") < names.index("taxExempt") < names.index("poNumber")
    assert names.index("employeeId") < names.index("transactionSettings")


def test_marks_differ_by_tenant_and_key(shop: SandboxHub) -> None:
    """Equal charges of two tenants, or of two keys, are not duplicates of each other."""
    for tenant, key in (("north", "k"), ("south", "k"), ("south", "l")):
        shop.hub.payments(tenant=tenant).charge(order(), idempotency_key=key)

    assert [mark("k", "north"), mark("k", "south"), mark("l", "south")] == [
        item["po"] for item in shop.sandbox.transactions.values()
    ]


@pytest.mark.parametrize(
    "code, reason",
    [
        ("2", DeclineReason.OTHER),
        ("4", DeclineReason.LOST_OR_STOLEN),
        ("6", DeclineReason.INCORRECT_NUMBER),
        ("7", DeclineReason.INVALID_EXPIRY),
        ("8", DeclineReason.EXPIRED_CARD),
        ("17", DeclineReason.CARD_NOT_SUPPORTED),
        ("27", DeclineReason.INCORRECT_ADDRESS),
        ("28", DeclineReason.CARD_NOT_SUPPORTED),
        ("37", DeclineReason.INCORRECT_NUMBER),
        ("44", DeclineReason.INCORRECT_CVC),
        ("78", DeclineReason.INCORRECT_CVC),
        ("251", DeclineReason.FRAUD_SUSPECTED),
    ],
)
def test_failed_charge_is_a_decline(shop: SandboxHub, code: str, reason: DeclineReason) -> None:
    """A declined card raises an error with the reason, also if the charge repeats its key."""
    declined_payment: str | None = None
    for _ in range(2):
        with pytest.raises(PaymentDeclined) as excinfo:
            shop.payments.charge(order(source=f"nonce-code-{code}"), idempotency_key="k")
        assert (reason, code) == (excinfo.value.reason, excinfo.value.vendor_code)
        declined_payment = excinfo.value.payment
    [transaction] = shop.sandbox.transactions.values()

    payment = shop.payments.get(Ref.parse(declined_payment or ""))
    assert transaction["transId"] == payment.ref.id
    assert PaymentState.FAILED is payment.state
    assert payment.decline is not None
    assert (reason, code) == (payment.decline.reason, payment.decline.vendor_code)


@pytest.mark.parametrize(
    "response, kind, code",
    [
        (unsuccessful("13", {}), AuthenticationFailed, "13"),
        (unsuccessful("39", {}), VendorRejected, "39"),
        (unsuccessful("57", {}), OutcomeUnknown, None),
        (unsuccessful("120", {}), OutcomeUnknown, None),
        (error("E00001", "An error occurred.").response, OutcomeUnknown, None),
        (error("E00053", "Server too busy").response, OutcomeUnknown, None),
    ],
    ids=["login", "currency", "bank", "timeout", "system", "busy"],
)
def test_error_of_a_charge(
    shop: SandboxHub, response: Response, kind: type[ConnectorError], code: str | None
) -> None:
    """An error at the bank leaves a charge's outcome unknown; other errors refuse the charge."""
    shop.sandbox.fail(response)
    with pytest.raises(kind) as excinfo:
        shop.pay()

    assert kind is type(excinfo.value)
    assert code == getattr(excinfo.value, "vendor_code", None)


def test_held_charge_is_pending(shop: SandboxHub) -> None:
    """A charge that is held for review is pending, and nothing of it is captured yet."""
    payment = shop.pay(source="nonce-held")
    known_payment = shop.payments.get(payment.ref)

    assert ("4", "FDSPendingReview") == (payment.vendor_state, known_payment.vendor_state)
    for state in (payment, known_payment):
        assert (PaymentState.PENDING, EUROS, EUROS * 0) == (
            state.state,
            state.amount,
            state.captured,
        )


def test_partial_capture_keeps_the_authorised_amount(shop: SandboxHub) -> None:
    """A capture of a part takes only that part, and keeps the amount that was authorised."""
    payment = shop.hold()
    capture = shop.payments.capture(payment.ref, PART, idempotency_key="c")
    known_payment = shop.payments.get(payment.ref)

    assert (PaymentState.AUTHORIZED, EUROS, EUROS * 0) == (
        payment.state,
        payment.authorized,
        payment.captured,
    )
    assert {
        "transactionType": "priorAuthCaptureTransaction",
        "amount": "50.00",
        "currencyCode": "EUR",
        "refTransId": payment.ref.id,
    } == shop.transactions_sent()[-1]
    assert (MoveState.SUCCEEDED, PART, "1") == (
        capture.state,
        capture.amount,
        capture.vendor_state,
    )
    assert (PaymentState.PARTIALLY_CAPTURED, EUROS, PART) == (
        known_payment.state,
        known_payment.amount,
        known_payment.captured,
    )


def test_capture_with_a_lost_response_can_be_repeated(shop: SandboxHub) -> None:
    """A repeated capture returns the first one, although Authorize.Net says "already captured"."""
    payment = shop.hold()
    shop.sandbox.fail(None, Lost())
    with pytest.raises(ConnectorError):
        shop.payments.capture(payment.ref, PART, idempotency_key="c")
    capture = shop.payments.capture(payment.ref, PART, idempotency_key="c")

    assert (MoveState.SUCCEEDED, PART) == (capture.state, capture.amount)
    assert PART == shop.payments.get(payment.ref).captured


@pytest.mark.parametrize("amount", [None, EUROS, PART])
def test_second_capture_is_refused(shop: SandboxHub, amount: Money | None) -> None:
    """A second capture is refused, although Authorize.Net approves it with another message."""
    payment = shop.hold()
    shop.payments.capture(payment.ref, PART, idempotency_key="c-1")
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.capture(payment.ref, amount, idempotency_key="c-2")

    assert ("311", PART) == (
        excinfo.value.vendor_code,
        shop.payments.get(payment.ref).captured,
    )
    assert [] == shop.hub.unsettled_payments()


def test_payment_is_voided_until_it_is_settled(shop: SandboxHub) -> None:
    """A payment can be voided until it is settled, and a second void has no further effect."""
    for payment in (shop.hold(), shop.pay()):
        for key in ("v-1", "v-2"):
            void = shop.payments.void(payment.ref, idempotency_key=f"{payment.ref.id}{key}")
            assert (MoveState.SUCCEEDED, payment.ref) == (void.state, void.payment)
        assert {
            "transactionType": "voidTransaction",
            "refTransId": payment.ref.id,
        } == shop.transactions_sent()[-1]
        known_payment = shop.payments.get(payment.ref)
        assert (PaymentState.VOIDED, EUROS * 0) == (known_payment.state, known_payment.captured)


def test_void_after_settlement_is_refused(shop: SandboxHub) -> None:
    """A settled payment cannot be voided."""
    payment = shop.settled()
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.void(payment.ref, idempotency_key="v")

    assert "16" == excinfo.value.vendor_code


def test_capture_of_a_voided_payment_is_refused(shop: SandboxHub) -> None:
    """A capture of a voided payment is refused, although Authorize.Net approves it."""
    payment = shop.hold()
    shop.payments.void(payment.ref, idempotency_key="v")
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.capture(payment.ref, idempotency_key="c")

    assert "310" == excinfo.value.vendor_code


def test_refund_is_complete_once_it_is_settled(shop: SandboxHub) -> None:
    """A refund names the payment and its card's last digits, and is complete once it is settled."""
    payment = shop.settled()
    refund = shop.payments.refund(
        payment.ref, PART, reason=RefundReason.REQUESTED_BY_CUSTOMER, idempotency_key="r"
    )

    assert {
        "refId": mark("r"),
        "transactionRequest": {
            "transactionType": "refundTransaction",
            "amount": "50.00",
            "currencyCode": "EUR",
            "payment": {"creditCard": {"cardNumber": "1111", "expirationDate": "XXXX"}},
            "refTransId": payment.ref.id,
            "order": {"invoiceNumber": "INV-1", "description": "requested by customer"},
            "poNumber": mark("r"),
            "transactionSettings": {
                "setting": [{"settingName": "duplicateWindow", "settingValue": "28800"}]
            },
        },
    } == shop.sent("createTransaction")[-1]
    assert (MoveState.PENDING, PART, payment.ref) == (refund.state, refund.amount, refund.payment)
    pending_refund = shop.payments.get_refund(refund.ref)
    shop.sandbox.settle()
    settled_refund = shop.payments.get_refund(refund.ref)
    assert ("refundPendingSettlement", "refundSettledSuccessfully") == (
        pending_refund.vendor_state,
        settled_refund.vendor_state,
    )
    assert (MoveState.PENDING, MoveState.SUCCEEDED, PART, payment.ref.id) == (
        pending_refund.state,
        settled_refund.state,
        settled_refund.amount,
        settled_refund.payment and settled_refund.payment.id,
    )
    assert (None, PaymentState.CAPTURED) == (
        shop.payments.get(payment.ref).refunded,
        shop.payments.get(payment.ref).state,
    )


def test_equal_refunds_are_both_made(shop: SandboxHub) -> None:
    """Two equal refunds with different keys are not duplicates; a third one exceeds the amount."""
    payment = shop.settled()
    for key in ("r-1", "r-2"):
        shop.payments.refund(payment.ref, PART, idempotency_key=key)
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.refund(payment.ref, PART, idempotency_key="r-3")

    assert "55" == excinfo.value.vendor_code


def test_refund_of_an_account_number(shop: SandboxHub) -> None:
    """A refund of a bank account names the account as far as Authorize.Net shows it."""
    payment = shop.settled()
    account = {
        "accountType": "checking",
        "routingNumber": "XXXX0024",
        "accountNumber": "XXXX9999",
        "nameOnAccount": "Ada Byron",
        "echeckType": "WEB",
    }
    shop.sandbox.fail(changed_transaction(payment={"bankAccount": account}))
    with pytest.raises(VendorRejected):
        shop.payments.refund(payment.ref, PART, idempotency_key="r")

    del account["echeckType"]
    assert {"bankAccount": account} == shop.transactions_sent()[-1]["payment"]


def test_refund_before_settlement_is_refused(shop: SandboxHub) -> None:
    """A captured payment is refunded only after its settlement, and an uncaptured one never."""
    captured_payment, held_payment = shop.pay(), shop.hold()
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.refund(captured_payment.ref, PART, idempotency_key="r-1")
    sent = len(shop.transactions_sent())
    with pytest.raises(VendorRejected, match="Nothing of the payment was captured"):
        shop.payments.refund(held_payment.ref, idempotency_key="r-2")

    assert ("54", sent) == (excinfo.value.vendor_code, len(shop.transactions_sent()))


def test_refund_of_the_rest_needs_an_amount(shop: SandboxHub) -> None:
    """Without an amount, a first refund returns the whole payment; a later one is refused."""
    whole_refund = shop.payments.refund(shop.settled().ref, idempotency_key="r-0")
    payment = shop.settled()
    shop.payments.refund(payment.ref, PART, idempotency_key="r-1")
    with pytest.raises(VendorRejected, match="Give the amount"):
        shop.payments.refund(payment.ref, idempotency_key="r-2")

    assert EUROS == whole_refund.amount


def test_id_of_a_payment_is_no_refund(shop: SandboxHub) -> None:
    """A refund cannot be looked up by the id of a payment."""
    payment = shop.settled()
    with pytest.raises(VendorRejected, match="not a refund"):
        shop.payments.get_refund(payment.ref)


@pytest.mark.parametrize("customer", ["8000001", "ada-1"])
def test_stored_payment_methods_are_listed_and_removed(shop: SandboxHub, customer: str) -> None:
    """A customer's stored means are listed by either id, and removed; a repeat changes nothing."""
    [means] = shop.payments.stored_means(customer).items
    removed = [shop.payments.remove_means(means.ref, idempotency_key=key) for key in ("a", "b")]

    assert (STORED, StoredState.STORED, "8000001") == (
        means.ref.id,
        means.state,
        means.customer,
    )
    assert means.means is not None
    assert ("visa", "1111", STORED) == (
        means.means.brand,
        means.means.last4,
        means.means.stored,
    )
    assert [StoredState.REMOVED] * 2 == [item.state for item in removed]
    assert () == shop.payments.stored_means(customer).items


def test_unknown_customer_has_no_stored_payment_methods(shop: SandboxHub) -> None:
    """An unknown customer has no stored payment methods, but a refused login is an error."""
    assert () == shop.payments.stored_means("nobody").items
    shop.sandbox.transaction_key = "another-key"
    with pytest.raises(AuthenticationFailed):
        shop.payments.stored_means("nobody")
    with pytest.raises(AuthenticationFailed):
        shop.payments.remove_means(Ref("authorize_net", "main", STORED), idempotency_key="k")


def test_reference_of_a_payment_is_no_stored_payment_method(shop: SandboxHub) -> None:
    """A payment's reference is refused as the reference of a stored payment method."""
    with pytest.raises(InvalidData, match="stored means of payment"):
        shop.payments.remove_means(Ref("authorize_net", "main", "60000000001"), idempotency_key="k")

    assert [] == shop.sandbox.requests


@pytest.mark.parametrize("name", ["transId", "transactionStatus", "authAmount", "settleAmount"])
def test_payment_without_a_field_is_malformed(shop: SandboxHub, name: str) -> None:
    """A payment without an id, a status or an amount is an error of the vendor."""
    payment = shop.pay()
    shop.sandbox.fail(changed_transaction(**{name: None}))
    with pytest.raises(VendorFailed):
        shop.payments.get(payment.ref)


@pytest.mark.parametrize(
    "url, mode",
    [
        ("https://api.authorize.net", Mode.LIVE),
        ("https://apitest.authorize.net", Mode.TEST),
        ("https://another.example", None),
    ],
)
def test_url_tells_the_mode(url: str, mode: Mode | None) -> None:
    """The account's URL decides between live mode and test mode."""
    vendor = AuthorizeNet(login_id="a", transaction_key="b", currency="EUR", base_url=url)

    assert mode is vendor.mode()


@pytest.mark.parametrize(
    "options", [{"login_id": "a b"}, {"login_id": "a" * 26}, {"currency": "eur"}]
)
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    """A malformed login id or currency is refused."""
    values: dict[str, Any] = {"login_id": "a" * 25, "transaction_key": "b", "currency": "EUR"}
    AuthorizeNet(**values)
    with pytest.raises(ConfigurationError):
        AuthorizeNet(**values | options)
