"""Responses and field orders of Authorize.Net, as other programs state them.

The responses are those in the tests of Authnet-JSON (stymiee/authnetjson 17546b0, Apache 2.0) and,
from XML, of Active Merchant (activemerchant/active_merchant, MIT). The order of fields is that of
the classes of python-authorizenet 0.3.0 (MIT), and that of Authorize.Net's own message in issue 106
of AuthorizeNet/sample-code-csharp.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.contracts.payments import DeclineReason, MoveState, PaymentState
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.errors import OutcomeUnknown, PaymentDeclined, VendorRejected
from moorage.vendors.payments._authorize_net_requests import transaction
from tests.vendors.authorize_net_account import EUROS, SandboxHub

if TYPE_CHECKING:
    from collections.abc import Iterator

APPROVED: Final[dict[str, Any]] = {
    "transactionResponse": {
        "responseCode": "1",
        "authCode": "QWX20S",
        "avsResultCode": "Y",
        "cvvResultCode": "P",
        "cavvResultCode": "2",
        "transId": "2228446239",
        "refTransID": "",
        "transHash": "56B2D50D73CAB8C6EDE7A92B9BB235BD",
        "testRequest": "0",
        "accountNumber": "XXXX1111",
        "accountType": "Visa",
        "messages": [{"code": "1", "description": "This transaction has been approved."}],
        "userFields": [{"name": "favorite_color", "value": "blue"}],
    },
    "refId": "94564789",
    "messages": {"resultCode": "Ok", "message": [{"code": "I00001", "text": "Successful."}]},
}
UNSUCCESSFUL: Final[dict[str, Any]] = {
    "resultCode": "Error",
    "message": [{"code": "E00027", "text": "The transaction was unsuccessful."}],
}
DETAILS: Final[dict[str, Any]] = {
    "transaction": {
        "transId": "2162566217",
        "submitTimeUTC": "2011-09-01T16:30:49.39Z",
        "submitTimeLocal": "2011-09-01T10:30:49.39",
        "transactionType": "authCaptureTransaction",
        "transactionStatus": "settledSuccessfully",
        "responseCode": 1,
        "responseReasonCode": 1,
        "responseReasonDescription": "Approval",
        "authCode": "JPG9DJ",
        "AVSResponse": "Y",
        "batch": {
            "batchId": "1221577",
            "settlementTimeUTC": "2011-09-01T16:38:54.52Z",
            "settlementTimeUTCSpecified": True,
            "settlementState": "settledSuccessfully",
        },
        "order": {"invoiceNumber": "60", "description": "Auto-charge for Invoice #60"},
        "requestedAmountSpecified": False,
        "authAmount": 1018.88,
        "settleAmount": 1018.88,
        "prepaidBalanceRemainingSpecified": False,
        "taxExempt": False,
        "payment": {
            "creditCard": {
                "cardNumber": "XXXX4444",
                "expirationDate": "XXXX",
                "cardType": "MasterCard",
            }
        },
        "recurringBilling": False,
        "product": "Card Not Present",
        "marketType": "eCommerce",
    },
    "messages": APPROVED["messages"],
}
UNSETTLED: Final[dict[str, Any]] = {
    "transactions": [
        {
            "transId": "2228546203",
            "submitTimeUTC": "2015-02-16T03:34:43Z",
            "submitTimeLocal": "2015-02-15T20:34:43",
            "transactionStatus": "authorizedPendingCapture",
            "invoiceNumber": "1324567890",
            "firstName": "Ellen",
            "lastName": "Johnson",
            "accountType": "MasterCard",
            "accountNumber": "XXXX0015",
            "settleAmount": 5.00,
            "marketType": "eCommerce",
            "product": "Card Not Present",
            "hasReturnedItemsSpecified": False,
        }
    ],
    "messages": APPROVED["messages"],
}
PROFILE: Final[dict[str, Any]] = {
    "profile": {
        "paymentProfiles": [
            {
                "customerPaymentProfileId": "28393490",
                "payment": {"creditCard": {"cardNumber": "XXXX1111", "expirationDate": "XXXX"}},
                "customerTypeSpecified": False,
                "billTo": {"firstName": "John", "lastName": "Smith"},
            }
        ],
        "shipToList": [{"customerAddressId": "29366174", "firstName": "John"}],
        "customerProfileId": "31390172",
        "merchantCustomerId": "12345",
        "email": "user@example.com",
    },
    "messages": APPROVED["messages"],
}
ORDER: Final = (
    *("transactionType", "amount", "currencyCode", "payment", "profile", "solution", "callId"),
    *("terminalNumber", "authCode", "refTransId", "splitTenderId", "order", "lineItems", "tax"),
    *("duty", "shipping", "taxExempt", "poNumber", "customer", "billTo"),
)
AFTER_BILL_TO: Final = (
    *("shipTo", "customerIP", "cardholderAuthentication", "retail", "employeeId"),
    *("transactionSettings", "userFields", "surcharge", "merchantDescriptor", "subMerchant"),
    *("tip", "processingOptions", "subsequentAuthInformation", "otherTax", "shipFrom"),
    "authorizationIndicatorType",
)
"""The fields that Authorize.Net's message names as those that may follow `billTo`."""


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Authorize.Net."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def answer(content: Any) -> Response:
    """Return a response as Authorize.Net sends it, which begins with a byte order mark."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Response(200, headers, codecs.BOM_UTF8 + encode_json(content))


def refused(code: str, text: str, **fields: str) -> Response:
    """Return the response about a transaction that ended with an error."""
    transaction_fields = {
        "responseCode": "3",
        "authCode": "",
        "avsResultCode": "P",
        "transId": "0",
        "refTransID": "",
        "accountNumber": "XXXX0015",
        "accountType": "MasterCard",
        "errors": [{"errorCode": code, "errorText": text}],
    }
    return answer({"transactionResponse": transaction_fields | fields, "messages": UNSUCCESSFUL})


def test_published_approval_is_read(shop: SandboxHub) -> None:
    """A published response to a charge is a captured payment."""
    shop.sandbox.fail(answer(APPROVED))
    payment = shop.pay()

    assert ("2228446239", PaymentState.CAPTURED, EUROS) == (
        payment.ref.id,
        payment.state,
        payment.captured,
    )


def test_published_review_is_pending(shop: SandboxHub) -> None:
    """The response about a payment that is held for review is pending."""
    held = {**APPROVED["transactionResponse"], "responseCode": "4"}
    shop.sandbox.fail(answer({**APPROVED, "transactionResponse": held}))

    assert PaymentState.PENDING is shop.pay().state


def test_published_duplicate_is_an_unknown_outcome(shop: SandboxHub) -> None:
    """The published response to a duplicate, without the first id, leaves the outcome unknown."""
    shop.sandbox.fail(refused("11", "A duplicate transaction has been submitted."))
    with pytest.raises(OutcomeUnknown):
        shop.pay()


def test_published_decline_is_read(shop: SandboxHub) -> None:
    """A published error about the card is a decline."""
    shop.sandbox.fail(refused("6", "The credit card number is invalid."))
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay()

    assert (DeclineReason.INCORRECT_NUMBER, "6", "The credit card number is invalid.") == (
        excinfo.value.reason,
        excinfo.value.vendor_code,
        excinfo.value.vendor_message,
    )


@pytest.mark.parametrize(
    "code, text",
    [
        ("16", "The transaction cannot be found."),
        ("54", "The referenced transaction does not meet the criteria for issuing a credit."),
        ("55", "The sum of credits against the referenced transaction would exceed the amount."),
    ],
)
def test_published_refusal_of_a_refund_is_read(shop: SandboxHub, code: str, text: str) -> None:
    """Published rejections of refunds are read with their codes."""
    payment = shop.settled()
    shop.sandbox.fail(None, refused(code, text))
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.refund(payment.ref, EUROS, idempotency_key="r")

    assert (code, text) == (excinfo.value.vendor_code, excinfo.value.vendor_message)


@pytest.mark.parametrize("code", ["310", "311"])
def test_published_repeat_of_a_capture_is_no_capture(shop: SandboxHub, code: str) -> None:
    """An approval that says the payment was voided or captured before is not a new capture."""
    payment = shop.hold()
    message = {"code": code, "description": "This transaction has already been captured."}
    repeat = {**APPROVED["transactionResponse"], "messages": [message]}
    shop.sandbox.fail(None, answer({**APPROVED, "transactionResponse": repeat}))
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.capture(payment.ref, idempotency_key="c")

    assert code == excinfo.value.vendor_code


def test_published_void_is_read(shop: SandboxHub) -> None:
    """A published response to a repeated void is a void."""
    payment = shop.hold()
    message = {"code": "310", "description": "This transaction has already been voided."}
    repeat = {**APPROVED["transactionResponse"], "messages": [message]}
    shop.sandbox.fail(answer({**APPROVED, "transactionResponse": repeat}))

    assert MoveState.SUCCEEDED is shop.payments.void(payment.ref, idempotency_key="v").state


def test_published_details_are_read(shop: SandboxHub) -> None:
    """Published details are a payment with its amount, its card and its time."""
    shop.sandbox.fail(answer(DETAILS))
    payment = shop.payments.get(Ref("authorize_net", "main", "2162566217"))

    assert (PaymentState.CAPTURED, "1018.88 EUR", "60") == (
        payment.state,
        str(payment.captured),
        payment.reference,
    )
    assert payment.means is not None
    assert ("mastercard", "4444") == (payment.means.brand, payment.means.last4)
    assert "2011-09-01T16:30:49.390000+00:00" == str(payment.created_at).replace(" ", "T")


def test_published_list_is_read(shop: SandboxHub) -> None:
    """A published list of unsettled transactions is a page of payments."""
    shop.sandbox.fail(answer(UNSETTLED))
    [payment] = shop.payments.payments().items

    assert (PaymentState.AUTHORIZED, "5.00 EUR", "0.00 EUR", "1324567890") == (
        payment.state,
        str(payment.authorized),
        str(payment.captured),
        payment.reference,
    )


def test_published_profile_is_read(shop: SandboxHub) -> None:
    """A published customer profile has a stored card of an unknown brand."""
    shop.sandbox.fail(answer(PROFILE))
    [means] = shop.payments.stored_means("12345").items

    assert ("31390172/28393490", "31390172") == (means.ref.id, means.customer)
    assert means.means is not None
    assert ("creditCard", None, "1111") == (means.means.type, means.means.brand, means.means.last4)


def test_fields_have_the_order_that_the_vendor_requires() -> None:
    """The fields of a transaction have the order of other libraries and of the vendor's message."""
    names = (*ORDER, *AFTER_BILL_TO)
    request = transaction(dict.fromkeys(reversed(names), "x"))
    body = request.body if isinstance(request.body, bytes) else b""

    places = [body.index(f'"{name}"'.encode()) for name in names]
    assert sorted(places) == places
