"""Error responses and unusual responses of Adyen."""

from __future__ import annotations

import pytest

from moorage.contracts.payments import (
    Money,
    MoveState,
    PaymentState,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Request, Response
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import (
    Lost,
    reply,
)
from moorage.vendors.payments._adyen_answers import classify
from tests.vendors.adyen_account import EUR_149, Json, SandboxHub, charge


@pytest.fixture
def shop() -> SandboxHub:
    """Return a hub with an account at a new Adyen sandbox."""
    return SandboxHub()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"resultCode": "Authorised"},
        {"resultCode": "Levitated", "action": {"type": "x"}},
    ],
    ids=["nothing", "nameless", "new-and-nameless"],
)
def test_malformed_success_is_a_failure(shop: SandboxHub, body: Json) -> None:
    """A successful Adyen response without the required fields is a failure."""
    shop.sandbox.fail(reply(body), reply(body))
    with pytest.raises(VendorFailed):
        shop.payments.charge(charge(), idempotency_key="k-1")


def test_capture_without_a_reference_is_a_failure(shop: SandboxHub) -> None:
    """If Adyen's response to a capture has no reference, that is a failure."""
    nameless_reply = reply({"status": "received"}, 201)
    shop.sandbox.fail(nameless_reply, nameless_reply)
    with pytest.raises(VendorFailed):
        shop.payments.capture(Ref("adyen", "shop", "S"), EUR_149, idempotency_key="k-1")


def test_unknown_states_are_kept(shop: SandboxHub) -> None:
    """An unknown result code of Adyen becomes the state UNKNOWN, and the code is kept."""
    shop.sandbox.fail(
        reply({"resultCode": "Levitated", "pspReference": "S", "more": [1]}),
        reply({"status": "pondered", "pspReference": "T"}, 201),
    )
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    assert (PaymentState.UNKNOWN, "Levitated", [1], None) == (
        payment.state,
        payment.vendor_state,
        payment.raw["more"],
        payment.means,
    )
    capture = shop.payments.capture(payment.ref, idempotency_key="k-2")
    assert (MoveState.UNKNOWN, "pondered") == (capture.state, capture.vendor_state)


def test_partially_authorised_payment_has_the_authorised_amount(shop: SandboxHub) -> None:
    """If Adyen authorises only a part of a payment, the payment has the authorised amount."""
    body = {
        "resultCode": "PartiallyAuthorised",
        "pspReference": "S",
        "amount": {"value": 10000, "currency": "EUR"},
        "additionalData": {"paymentMethod": "visa", "expiryDate": "never"},
    }
    shop.sandbox.fail(reply(body))
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    part = Money("100", "EUR")
    assert (PaymentState.PARTIALLY_CAPTURED, EUR_149, part, part) == (
        payment.state,
        payment.amount,
        payment.authorized,
        payment.captured,
    )
    assert payment.means is not None
    assert ("visa", None) == (payment.means.brand, payment.means.expires)


def test_amount_may_be_unknown(shop: SandboxHub) -> None:
    """A payment has no amount if neither its reference nor Adyen's response has one."""
    shop.sandbox.fail(reply({"resultCode": "Authorised", "pspReference": "S"}))
    return_parameters = {"redirectResult": "X"}
    finished_payment = shop.payments.complete(
        Ref("adyen", "shop", "S"), return_parameters, idempotency_key="k-2"
    )
    assert (PaymentState.AUTHORIZED, None, None) == (
        finished_payment.state,
        finished_payment.amount,
        finished_payment.captured,
    )


# --- errors ------------------------------------------------------------------


def error(status: int, code: str, kind: str, **headers: str) -> Response:
    """Return an error response of Adyen."""
    body = {"status": status, "errorCode": code, "message": "No.", "errorType": kind}
    return reply(body, status, **headers)


@pytest.mark.parametrize(
    "response, kind",
    [
        (error(422, "130", "validation"), InvalidRequest),
        (error(403, "901", "security"), AuthenticationFailed),
        (error(401, "000", "security"), AuthenticationFailed),
        (error(500, "905", "configuration"), VendorRejected),
        (error(422, "905_1", "configuration"), VendorRejected),
        (error(500, "999", "internal"), VendorFailed),
        (error(422, "999", "internal"), VendorFailed),
        (error(503, "703", "validation"), VendorFailed),
        (error(409, "704", "validation"), IdempotencyConflict),
        (error(422, "704", "validation", transient_error="true"), IdempotencyInProgress),
        (error(429, "", ""), RateLimitExceeded),
        (error(429, "010", "security"), RateLimitExceeded),
        (error(418, "1", "novel"), VendorRejected),
        (Response(502, body=b"<html>"), VendorFailed),
        (Response(400, body=b"[]"), InvalidRequest),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_error_code_decides_the_error_class_before_the_status(
    shop: SandboxHub, response: Response, kind: type[ConnectorError]
) -> None:
    """An Adyen error's class follows from its code and type, and only then from the status."""
    shop.sandbox.fail(response, response)
    with pytest.raises(ConnectorError) as excinfo:
        shop.payments.charge(charge(), idempotency_key="k-1")
    assert kind is type(excinfo.value)


def test_errors_keep_adyens_code_and_text(shop: SandboxHub) -> None:
    """An error has Adyen's own code and text."""
    shop.sandbox.fail(error(422, "130", "validation"))
    with pytest.raises(InvalidRequest) as excinfo:
        shop.payments.charge(charge(), idempotency_key="k-1")
    assert ("130", "No.", 422) == (
        excinfo.value.vendor_code,
        excinfo.value.vendor_message,
        excinfo.value.status,
    )


def test_lost_answer_is_retried_with_its_key(shop: SandboxHub) -> None:
    """If Adyen's response to a payment is lost, the payment is requested again with its key."""
    shop.sandbox.fail(Lost())
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    assert [payment.ref.id] == list(shop.sandbox.payments)
    assert ["k-1", "k-1"] == [
        request.headers.get("idempotency-key") for request in shop.sandbox.requests
    ]


def test_key_in_progress_is_retried(shop: SandboxHub) -> None:
    """While Adyen is still processing an idempotency key, the request is repeated."""
    busy_response = error(409, "704", "validation", transient_error="true")
    shop.sandbox.fail(busy_response)
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    assert PaymentState.CAPTURED == payment.state


def test_long_key_is_sent_as_a_digest(shop: SandboxHub) -> None:
    """A key of more than 64 characters is sent to Adyen as its digest."""
    for key in ("k" * 64, "k" * 65, "k" * 65):
        shop.payments.charge(charge(), idempotency_key=key)
    first, second = (request.headers.get("idempotency-key") for request in shop.sandbox.requests)
    assert ("k" * 64, 64) == (first, len(second or ""))
    assert first != second


def test_tenants_share_no_keys() -> None:
    """Two tenants' payments with the same key are separate at a shared Adyen account."""
    shop = SandboxHub()
    for tenant in ("one", "two"):
        shop.hub.payments(tenant).charge(charge(), idempotency_key="k-1")
    assert 2 == len(shop.sandbox.payments)


def test_card_numbers_in_refusals_are_masked() -> None:
    """A card number in the text of an Adyen error is masked."""
    body = {"resultCode": "Refused", "refusalReason": "Refused 4111 1111 1111 1111"}
    error = classify(Request.post("/"), reply(body))
    assert "1111 1111" not in f"{error}{vars(error)['vendor_message']}"
