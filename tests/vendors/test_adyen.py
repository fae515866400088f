"""Payments at Adyen: outcomes arrive later by webhook."""

from __future__ import annotations

import pytest

from moorage.contracts.payments import (
    DeclineReason,
    MeansOfPayment,
    Money,
    MoveState,
    NextActionType,
    PaymentState,
    RefundReason,
    ThreeDs,
    advance,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Request
from moorage.errors import (
    InvalidData,
    PaymentDeclined,
    UnsupportedByVendor,
)
from moorage.testing.sandboxes.base import (
    reply,
)
from moorage.vendors.payments._adyen_answers import classify, decline_of
from moorage.vendors.payments._adyen_requests import details_body
from tests.vendors.adyen_account import EUR_149, IDEAL, Json, SandboxHub, charge


@pytest.fixture
def shop() -> SandboxHub:
    """Return a hub with an account at a new Adyen sandbox."""
    return SandboxHub()


def test_authorisation_is_captured_and_refunded_later(shop: SandboxHub) -> None:
    """Captures and refunds at Adyen are pending until their webhooks arrive."""
    payment = shop.payments.authorize(charge(), idempotency_key="k-1")
    assert (PaymentState.AUTHORIZED, EUR_149, EUR_149 * 0) == (
        payment.state,
        payment.authorized,
        payment.captured,
    )
    assert {"manualCapture": "true"} == shop.last_request["additionalData"]
    part, returned_amount = Money("100.00", "EUR"), Money("50.00", "EUR")
    capture = shop.payments.capture(str(payment.ref), part, idempotency_key="k-2")
    refund = shop.payments.refund(
        payment.ref, returned_amount, reason=RefundReason.DUPLICATE, idempotency_key="k-3"
    )
    assert (MoveState.PENDING, "received", part) == (
        capture.state,
        capture.vendor_state,
        capture.amount,
    )
    assert (MoveState.PENDING, "received", returned_amount) == (
        refund.state,
        refund.vendor_state,
        refund.amount,
    )
    assert "DUPLICATE" == shop.last_request["merchantRefundReason"]
    states = []
    for events in shop.webhook_events():
        payment = advance(payment, events)
        states.append(payment.state)
    assert [
        PaymentState.AUTHORIZED,
        PaymentState.PARTIALLY_CAPTURED,
        PaymentState.PARTIALLY_REFUNDED,
    ] == states
    assert (part, returned_amount) == (payment.captured, payment.refunded)
    assert [capture.ref] == [capture.ref for capture in payment.captures]
    assert [refund.ref] == [refund.ref for refund in payment.refunds]


def test_charge_is_captured_by_adyen(shop: SandboxHub) -> None:
    """A charge at Adyen is captured with its authorisation, and a webhook confirms it."""
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    assert (PaymentState.CAPTURED, EUR_149, 0) == (
        payment.state,
        payment.captured,
        shop.last_request["captureDelayHours"],
    )
    (events,) = shop.webhook_events()
    assert (PaymentState.CAPTURED, EUR_149, "INV-2041") == (
        events.state,
        events.captured,
        events.reference,
    )


def test_payment_method_details(shop: SandboxHub) -> None:
    """A payment at Adyen has the card's brand, last digits and expiry date."""
    means = shop.payments.charge(charge(), idempotency_key="k-1").means
    assert means is not None
    assert ("visa", "1111", (2030, 3)) == (means.brand, means.last4, means.expires)


@pytest.mark.parametrize(
    "date", ["", "3", "\u00b2/2030", "3/\u00b2\u00b2\u00b2\u00b2", "3/" + "9" * 5_000]
)
def test_successful_adyen_payment_with_invalid_expiry_date_is_still_read(
    shop: SandboxHub, date: str
) -> None:
    """A successful Adyen payment with an invalid expiry date is still read."""
    answer = {"resultCode": "Authorised", "pspReference": "P1"}
    additional_data = {"paymentMethod": "visa", "expiryDate": date}
    shop.sandbox.fail(reply({**answer, "additionalData": additional_data}))

    payment = shop.payments.charge(charge(), idempotency_key="k-1")

    assert ("P1", MeansOfPayment(brand="visa")) == (payment.ref.id, payment.means)


def test_expiry_with_a_short_year_is_in_this_century(shop: SandboxHub) -> None:
    """An expiry date at Adyen may state the year with two digits."""
    answer = {"resultCode": "Authorised", "pspReference": "P1"}
    additional_data = {"paymentMethod": "visa", "expiryDate": "03/30"}
    shop.sandbox.fail(reply({**answer, "additionalData": additional_data}))

    means = shop.payments.charge(charge(), idempotency_key="k-1").means

    assert means is not None
    assert (2030, 3) == means.expires


def test_void_is_pending(shop: SandboxHub) -> None:
    """A void at Adyen is pending until its webhook arrives, and a capture then fails."""
    payment = shop.payments.authorize(charge(), idempotency_key="k-1")
    void = shop.payments.void(payment.ref, idempotency_key="k-2")
    assert (MoveState.PENDING, payment.ref) == (void.state, void.payment)
    shop.payments.capture(payment.ref, idempotency_key="k-3")
    assert EUR_149.minor == shop.last_request["amount"]["value"]
    _, voided_event, failed_event = shop.webhook_events()
    assert PaymentState.VOIDED == advance(payment, voided_event).state
    assert failed_event.capture is not None
    assert (MoveState.FAILED, EUR_149) == (failed_event.capture.state, failed_event.capture.amount)
    assert "cancelled" in (failed_event.capture.reason or "")


def test_refund_above_the_charge_fails(shop: SandboxHub) -> None:
    """Adyen accepts a refund above the charge, and reports its failure by webhook."""
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    shop.payments.refund(payment.ref, Money("100", "EUR"), idempotency_key="k-2")
    shop.payments.refund(payment.ref, Money("49.91", "EUR"), idempotency_key="k-3")
    _, finished_event, failed_event = shop.webhook_events()
    assert finished_event.refund is not None
    assert failed_event.refund is not None
    assert [MoveState.SUCCEEDED, MoveState.FAILED] == [
        finished_event.refund.state,
        failed_event.refund.state,
    ]


def test_all_of_a_payment_is_refunded(shop: SandboxHub) -> None:
    """An Adyen refund without an amount refunds the amount stored in the payment's reference."""
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    refund = shop.payments.refund(payment.ref, idempotency_key="k-2")
    assert EUR_149 == refund.amount


def test_refund_at_adyen_needs_amount_if_payment_reference_has_none(shop: SandboxHub) -> None:
    """A refund at Adyen needs an amount if the payment's reference has none."""
    with pytest.raises(InvalidData) as excinfo:
        shop.payments.refund(Ref("adyen", "shop", "SBX1"), idempotency_key="k-2")
    assert ("amount", 0) == (excinfo.value.field, len(shop.sandbox.requests))


def test_another_currency_is_refused(shop: SandboxHub) -> None:
    """A refund in another currency is refused before anything is sent."""
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    with pytest.raises(InvalidData):
        shop.payments.refund(payment.ref, Money("1", "USD"), idempotency_key="k-2")
    assert 1 == len(shop.sandbox.requests)


def test_payments_cannot_be_looked_up(shop: SandboxHub) -> None:
    """Looking up a payment is unsupported, and the error names vendors that can."""
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.payments.get(Ref("adyen", "shop", "SBX1"))
    assert (("look_up",), True) == (
        excinfo.value.capabilities,
        "stripe" in excinfo.value.supported_by,
    )


def test_several_captures_need_a_setting(shop: SandboxHub) -> None:
    """A partial capture is refused unless the account allows several captures."""
    payment = shop.payments.authorize(charge(), idempotency_key="k-1")
    with pytest.raises(UnsupportedByVendor, match="one capture per payment"):
        shop.payments.capture(payment.ref, Money("1", "EUR"), final=False, idempotency_key="k-2")
    multi_capture_shop = SandboxHub(multiple_captures=True)
    payment = multi_capture_shop.payments.authorize(charge(), idempotency_key="k-1")
    part = multi_capture_shop.payments.capture(
        payment.ref, Money("1", "EUR"), final=False, idempotency_key="k-2"
    )
    assert MoveState.PENDING == part.state


@pytest.mark.parametrize(
    "word, reason, code",
    [
        ("DECLINED", DeclineReason.DO_NOT_HONOR, "2"),
        ("CARD_EXPIRED", DeclineReason.EXPIRED_CARD, "6"),
        ("NOT_ENOUGH_BALANCE", DeclineReason.INSUFFICIENT_FUNDS, "12"),
        ("CVC_DECLINED", DeclineReason.INCORRECT_CVC, "24"),
        ("FRAUD", DeclineReason.FRAUD_SUSPECTED, "20"),
        ("FRAUD_CANCELLED", DeclineReason.FRAUD_SUSPECTED, "22"),
        ("UNKNOWN", DeclineReason.PROCESSING_ERROR, "0"),
    ],
)
def test_refusal_is_a_decline(shop: SandboxHub, word: str, reason: str, code: str) -> None:
    """A payment that Adyen refuses with HTTP 200 is declined, with a neutral reason and code."""
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(charge(word), idempotency_key="k-1")
    error = excinfo.value
    assert (reason, code, 200) == (error.reason, error.vendor_code, error.status)
    (psp,) = shop.sandbox.payments
    assert f"adyen:shop:{psp}?amount=149.90&currency=EUR" == error.payment
    with pytest.raises(PaymentDeclined) as repeated_excinfo:
        shop.payments.charge(charge(word), idempotency_key="k-1")
    assert (error.payment, 1) == (repeated_excinfo.value.payment, len(shop.sandbox.requests))


def test_refusal_may_come_later(shop: SandboxHub) -> None:
    """If Adyen refuses a payment later, the webhook's event has the reason."""
    shop.sandbox.fail()
    with pytest.raises(PaymentDeclined):
        shop.payments.charge(charge("CARD_EXPIRED"), idempotency_key="k-1")
    (events,) = shop.webhook_events()
    assert events.decline is not None
    assert (PaymentState.FAILED, DeclineReason.EXPIRED_CARD, "6") == (
        events.state,
        events.decline.reason,
        events.decline.vendor_code,
    )


@pytest.mark.parametrize(
    "code, message, reason",
    [
        ("101", "Invalid card number", DeclineReason.INCORRECT_NUMBER),
        ("103", "CVC is not the right length", DeclineReason.INCORRECT_CVC),
    ],
)
def test_error_for_wrong_card_has_no_reference(
    shop: SandboxHub, code: str, message: str, reason: DeclineReason
) -> None:
    """The error for a wrong card has no reference, since Adyen has created no payment."""
    body = {"status": 422, "errorCode": code, "message": message}
    shop.sandbox.fail(reply({**body, "errorType": "validation"}, 422))
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(charge(), idempotency_key="k-1")
    assert (reason, code, None) == (
        excinfo.value.reason,
        excinfo.value.vendor_code,
        excinfo.value.payment,
    )


def test_buyer_who_cancels_has_declined() -> None:
    """An Adyen payment that is cancelled without a reason counts as cancelled by the buyer."""
    error = classify(Request.post("/"), reply({"resultCode": "Cancelled"}))
    assert isinstance(error, PaymentDeclined)
    assert DeclineReason.CANCELED_BY_BUYER == error.reason


@pytest.mark.parametrize(
    "code, words, expected",
    [
        ("6", None, ("6", DeclineReason.EXPIRED_CARD)),
        (None, "expired card", ("6", DeclineReason.EXPIRED_CARD)),
        ("999", "Something new", ("999", DeclineReason.OTHER)),
        (None, None, (None, DeclineReason.OTHER)),
    ],
    ids=["code", "words", "new", "nothing"],
)
def test_decline_reason_by_code_or_text(
    code: str | None, words: str | None, expected: Json
) -> None:
    """A decline's reason at Adyen follows from its code, or from its text if it has no code."""
    decline = decline_of(code, words)
    assert expected == (decline.vendor_code, decline.reason)


def test_received_payment_is_pending(shop: SandboxHub) -> None:
    """A payment that Adyen has only received is pending until its webhook arrives."""
    payment = shop.payments.authorize(charge("PENDING"), idempotency_key="k-1")
    assert (PaymentState.PENDING, None) == (payment.state, payment.captured)
    (events,) = shop.webhook_events()
    assert PaymentState.AUTHORIZED == advance(payment, events).state


# --- buyers who have something to do -----------------------------------------


def test_redirected_payment_is_completed(shop: SandboxHub) -> None:
    """Until the buyer returns, a redirected Adyen payment is identified by our own reference."""
    payment = shop.payments.charge(charge(IDEAL), idempotency_key="k-1")
    assert (PaymentState.REQUIRES_ACTION, "INV-2041") == (payment.state, payment.ref.id)
    assert payment.next_action is not None
    assert (NextActionType.REDIRECT, "GET", "redirect") == (
        payment.next_action.type,
        payment.next_action.method,
        payment.next_action.vendor_type,
    )
    (psp,) = shop.sandbox.payments
    return_parameters = {**shop.sandbox.buyer_returns(psp), "order": "7"}
    finished_payment = shop.payments.complete(
        str(payment.ref), return_parameters, idempotency_key="k-2"
    )
    assert (PaymentState.CAPTURED, psp, EUR_149, None) == (
        finished_payment.state,
        finished_payment.ref.id,
        finished_payment.captured,
        finished_payment.next_action,
    )


def test_redirected_payment_may_be_declined(shop: SandboxHub) -> None:
    """If Adyen refused a redirected payment, it is declined once the buyer returns."""
    payment = shop.payments.authorize(charge(IDEAL), idempotency_key="k-1")
    (psp,) = shop.sandbox.payments
    return_parameters = shop.sandbox.buyer_returns(psp, "SHOPPER_CANCELLED")
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(payment.ref, return_parameters, idempotency_key="k-2")
    assert (DeclineReason.CANCELED_BY_BUYER, psp) == (
        excinfo.value.reason,
        Ref.parse(excinfo.value.payment or "").id,
    )


def test_return_without_adyens_fields_is_refused(shop: SandboxHub) -> None:
    """A redirected Adyen payment cannot be completed without the parameters that Adyen returns."""
    with pytest.raises(InvalidData):
        shop.payments.complete(Ref("adyen", "shop", "SBX1"), {"order": "7"}, idempotency_key="k-2")
    assert [] == shop.sandbox.requests


def test_payment_data_is_returned() -> None:
    """If an older Adyen redirect gave `paymentData`, it is sent when the payment is completed."""
    expected = {"details": {"redirectResult": "X"}, "paymentData": "Y"}
    assert expected == details_body({"redirectResult": "X", "paymentData": "Y"})


def test_unnamed_payment_is_cancelled_by_our_reference(shop: SandboxHub) -> None:
    """An Adyen payment without an id is cancelled by our own reference."""
    payment = shop.payments.authorize(charge(IDEAL), idempotency_key="k-1")
    void = shop.payments.void(payment.ref, idempotency_key="k-2")
    assert ("INV-2041", MoveState.PENDING) == (shop.last_request["paymentReference"], void.state)
    (events,) = shop.webhook_events()
    assert (PaymentState.VOIDED, "TECHNICAL_CANCEL") == (events.state, events.vendor_type)


def test_native_3ds_challenge(shop: SandboxHub) -> None:
    """The data of a 3-D Secure challenge are sufficient for Adyen's browser component."""
    native_3ds = {"authenticationData": {"threeDSRequestData": {"nativeThreeDS": "preferred"}}}
    request = charge("CHALLENGE", three_ds=ThreeDs.ALWAYS, extra={"adyen": native_3ds})
    payment = shop.payments.authorize(request, idempotency_key="k-1")
    assert "always" == shop.last_request["authenticationData"]["attemptAuthentication"]
    action = payment.next_action
    assert action is not None
    assert (NextActionType.SDK, f"token-{payment.ref.id}", "fingerprint") == (
        action.type,
        action.token,
        action.fields["subtype"],
    )
    return_parameters = shop.sandbox.buyer_returns(payment.ref.id)
    finished_payment = shop.payments.complete(payment.ref, return_parameters, idempotency_key="k-2")
    assert (PaymentState.AUTHORIZED, payment.ref) == (finished_payment.state, finished_payment.ref)


@pytest.mark.parametrize(
    "action, expected",
    [
        (
            {"type": "redirect", "method": "POST", "url": "u", "data": {"MD": "m"}},
            (NextActionType.POST, {"MD": "m"}),
        ),
        ({"type": "hologram", "method": "POST"}, (NextActionType.UNKNOWN, None)),
        ({"type": "qrCode", "qrCodeData": "q"}, (NextActionType.DISPLAY, None)),
        ({"type": "await"}, (NextActionType.AWAIT, None)),
        ({"type": "hologram"}, (NextActionType.UNKNOWN, None)),
    ],
    ids=["post", "new post", "display", "await", "new"],
)
def test_adyen_known_next_actions_are_translated(
    shop: SandboxHub, action: Json, expected: Json
) -> None:
    """Adyen's known next actions are translated, and unknown next actions are kept unchanged."""
    shop.sandbox.fail(reply({"resultCode": "PresentToShopper", "action": action}))
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    result = payment.next_action
    assert result is not None
    assert (expected[0], expected[1] or action) == (result.type, result.fields)
