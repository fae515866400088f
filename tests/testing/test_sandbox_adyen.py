"""The Adyen sandbox behaves like Adyen."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import pytest

from moorage.domain.http.headers import Headers
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.payments.adyen import AdyenSandbox

Json: TypeAlias = Any
"""Any JSON value."""

PAYMENT: dict[str, Json] = {
    "merchantAccount": "SandboxMerchant",
    "amount": {"value": 14990, "currency": "EUR"},
    "reference": "INV-2041",
    "returnUrl": "https://erp.example/back",
    "paymentMethod": {"type": "scheme", "holderName": "APPROVED"},
    "additionalData": {"manualCapture": "true"},
}


class Client:
    """A client that sends requests to the sandbox as an application does."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = AdyenSandbox(**options)
        self.base = "/v72"

    def post(self, path: str, body: object, key: str | None = None, **headers: str) -> Json:
        """Send a POST request; return the status and the body of the response."""
        fields = {"X-API-Key": self.sandbox.api_key, "Content-Type": "application/json"}
        if key is not None:
            fields["Idempotency-Key"] = key
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent_bytes = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = SandboxRequest("POST", "", self.base + path, (), Headers(fields), sent_bytes)
        self.answer = self.sandbox.answer(request)
        return self.answer.status, json.loads(self.answer.body)

    def pay(self, **changes: Json) -> Json:
        """Send a payment with the given fields changed; return the response."""
        return self.post("/payments", {**PAYMENT, **changes})[1]

    def move(self, psp: str, verb: str, value: int | None = None, **more: Any) -> Json:
        """Request an operation on a payment; return the response."""
        body = {"merchantAccount": "SandboxMerchant", **more}
        if value is not None:
            body["amount"] = {"value": value, "currency": "EUR"}
        return self.post(f"/payments/{psp}/{verb}", body)

    def settled_events(self) -> list[tuple[str, str, str]]:
        """Return the event, the success and the reason that each new webhook contains."""
        items = [notification_item(item.body) for item in self.sandbox.settle()]
        return [(item["eventCode"], item["success"], item["reason"]) for item in items]


def notification_item(body: bytes) -> Json:
    """Return the single item of a webhook."""
    return json.loads(body)["notificationItems"][0]["NotificationRequestItem"]


def code(answer: Json) -> tuple[int, str]:
    """Return the status and the error code of a response."""
    return answer[0], answer[1]["errorCode"]


def test_a_payment_is_authorised() -> None:
    """Adyen authorises an approved payment, and confirms it by webhook."""
    client = Client()
    message = client.pay()
    assert ("Authorised", "INV-2041") == (message["resultCode"], message["merchantReference"])
    assert [("AUTHORISATION", "true", "")] == client.settled_events()


def test_sandbox_accepts_the_paths_of_the_live_platform() -> None:
    """The Adyen sandbox also accepts the paths of the live platform."""
    client = Client()
    client.base = "/checkout/v72"
    assert "Authorised" == client.pay()["resultCode"]


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"paymentMethod": {"type": "scheme", "holderName": "CARD_EXPIRED"}}, ("Refused", "6")),
        (
            {"additionalData": {"RequestedTestAcquirerResponseCode": "12"}},
            ("Refused", "12"),
        ),
        (
            {
                "paymentMethod": {"type": "scheme", "storedPaymentMethodId": "FRAUD"},
                "shopperReference": "buyer-1",
            },
            ("Refused", "20"),
        ),
        ({"paymentMethod": {"holderName": "ERROR"}}, ("Error", "4")),
        ({"paymentMethod": {"holderName": "FRAUD_CANCELLED"}}, ("Cancelled", "22")),
        ({"paymentMethod": {"holderName": "PENDING"}}, ("Received", None)),
        ({"paymentMethod": {"holderName": "J. Smith"}}, ("Authorised", None)),
    ],
    ids=["name", "number", "stored", "error", "cancelled", "received", "nobody"],
)
def test_adyen_documented_test_values_select_payment_outcome(
    changes: Json, expected: tuple[str, str | None]
) -> None:
    """Adyen's documented test values select a payment's outcome."""
    message = Client().pay(**changes)
    assert expected == (message["resultCode"], message.get("refusalReasonCode"))


def test_adyen_reports_refused_payment_by_webhook() -> None:
    """Adyen reports a refused payment by webhook, with the reason for the refusal."""
    client = Client()
    client.pay(paymentMethod={"holderName": "CARD_EXPIRED"})
    assert [("AUTHORISATION", "false", "Expired Card")] == client.settled_events()


@pytest.mark.parametrize("manual", ["true", "false"])
def test_received_payment_is_authorised_later(manual: str) -> None:
    """An Adyen payment with the result `Received` is authorised later, by webhook."""
    client = Client()
    body = {"paymentMethod": {"holderName": "PENDING"}}
    psp = client.pay(**body, additionalData={"manualCapture": manual})["pspReference"]
    assert 0 == client.sandbox.payments[psp].authorised
    assert [("AUTHORISATION", "true", "")] == client.settled_events()
    captured = 0 if manual == "true" else 14990
    payment = client.sandbox.payments[psp]
    assert (14990, captured) == (payment.authorised, payment.captured)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"merchantAccount": "Other"}, (403, "901")),
        ({"amount": {"currency": "EUR"}}, (422, "100")),
        ({"amount": {"value": "149.90", "currency": "EUR"}}, (422, "137")),
        ({"amount": {"value": -1, "currency": "EUR"}}, (422, "137")),
        ({"amount": {"value": 1, "currency": "eur"}}, (422, "138")),
        ({"amount": 1}, (400, "702")),
        ({"capture": True}, (400, "702")),
        ({"reference": ""}, (422, "130")),
        ({"paymentMethod": {}}, (400, "702")),
        ({"returnUrl": ""}, (422, "14_030")),
        ({"additionalData": {"manualCapture": True}}, (400, "702")),
        ({"metadata": {"k" * 21: "v"}}, (422, "177")),
        ({"metadata": {"k": "v" * 81}}, (422, "177")),
        ({"metadata": {str(number): "v" for number in range(21)}}, (422, "177")),
        ({"billingAddress": {"city": "Berlin"}}, (422, "702")),
        ({"paymentMethod": {"storedPaymentMethodId": "APPROVED"}}, (422, "702")),
        (
            {"paymentMethod": {"storedPaymentMethodId": "x"}, "shopperReference": "buyer-1"},
            (422, "803"),
        ),
    ],
    ids=str,
)
def test_wrong_payments_are_refused(changes: Json, expected: tuple[int, str]) -> None:
    """Adyen refuses invalid payments with its error codes."""
    assert expected == code(Client().post("/payments", {**PAYMENT, **changes}))


def test_other_api_keys_are_refused() -> None:
    """Adyen refuses a wrong API key."""
    assert (401, "000") == code(Client().post("/payments", PAYMENT, X_API_Key="other"))


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_body_must_be_an_object(body: bytes) -> None:
    """Adyen refuses a body that is not a JSON object."""
    assert (400, "702") == code(Client().post("/payments", body))


def test_content_type_must_be_json() -> None:
    """Adyen refuses a body without a JSON content type."""
    client = Client()
    assert (400, "702") == code(client.post("/payments", PAYMENT, Content_Type="text/plain"))


@pytest.mark.parametrize("path", ["/nothing", "/payments/SBX0000000000001/nothing"])
def test_unknown_paths_are_not_found(path: str) -> None:
    """Adyen answers 404 for unknown paths."""
    assert (404, "000") == code(Client().post(path, {}))


def test_first_response_is_repeated_for_a_key() -> None:
    """Adyen repeats the first response to a key, and marks it in a header."""
    client = Client()
    first = client.post("/payments", PAYMENT, key="k-1")
    assert first == client.post("/payments", PAYMENT, key="k-1")
    assert ("k-1", 1) == (
        client.answer.headers.get("idempotency-key"),
        len(client.sandbox.payments),
    )


def test_a_refusal_is_kept_for_a_key() -> None:
    """Adyen repeats an error response for its key, but stores none for an unreadable request."""
    client = Client()
    assert (422, "130") == code(client.post("/payments", {**PAYMENT, "reference": ""}, key="k-1"))
    assert (422, "130") == code(client.post("/payments", {**PAYMENT, "reference": ""}, key="k-1"))
    assert (400, "702") == code(client.post("/payments", {"what": 1}, key="k-2"))
    assert 200 == client.post("/payments", PAYMENT, key="k-2")[0]


def test_adyen_permanently_refuses_key_that_is_used_with_another_request() -> None:
    """Adyen permanently refuses a key that is used with another request."""
    client = Client()
    client.post("/payments", PAYMENT, key="k-1")
    assert (422, "704") == code(client.post("/payments", {**PAYMENT, "reference": "x"}, key="k-1"))
    assert client.answer.headers.get("transient-error") is None


def test_a_key_that_is_busy_is_refused_for_now() -> None:
    """Adyen refuses a key while its first request is running, and accepts it again later."""
    client = Client()
    client.sandbox.busy("k-1")
    assert (409, "704") == code(client.post("/payments", PAYMENT, key="k-1"))
    assert "true" == client.answer.headers.get("transient-error")
    client.sandbox.busy()
    assert 200 == client.post("/payments", PAYMENT, key="k-1")[0]


def test_a_key_has_at_most_64_characters() -> None:
    """Adyen refuses a key that is too long."""
    client = Client()
    assert 200 == client.post("/payments", PAYMENT, key="k" * 64)[0]
    assert (400, "702") == code(client.post("/payments", PAYMENT, key="k" * 65))


def test_a_capture_is_received_and_done_later() -> None:
    """Adyen answers a capture or refund with `received`, and reports its result by webhook."""
    client = Client()
    psp = client.pay()["pspReference"]
    status, message = client.move(psp, "captures", 10000, reference="c-1")
    assert (201, "received", psp) == (status, message["status"], message["paymentPspReference"])
    assert 0 == client.sandbox.payments[psp].captured
    client.move(psp, "refunds", 5000, merchantRefundReason="RETURN")
    reports = [("AUTHORISATION", "true", ""), ("CAPTURE", "true", ""), ("REFUND", "true", "")]
    assert reports == client.settled_events()
    assert 5000 == client.sandbox.payments[psp].refunded


NOTHING_LEFT = "Insufficient balance on payment"


@pytest.mark.parametrize(
    "moves, why",
    [
        ([("cancels", None), ("captures", 1)], "cancelled, capture"),
        ([("captures", 14991)], NOTHING_LEFT),
        ([("captures", 1), ("captures", 1)], NOTHING_LEFT),
        ([("captures", 1), ("cancels", None)], "captured, cancellation"),
        ([("cancels", None), ("cancels", None)], "has been cancelled"),
        ([("refunds", 1)], "hasn't been captured"),
        ([("captures", 100), ("refunds", 101)], NOTHING_LEFT),
        ([("captures", 100), ("refunds", 60), ("refunds", 41)], NOTHING_LEFT),
    ],
    ids=["cancelled", "above", "twice", "taken", "again", "nothing", "more", "together"],
)
def test_impossible_operations_fail_by_webhook(moves: Json, why: str) -> None:
    """Adyen reports by webhook that an operation is not allowed in the payment's state."""
    client = Client()
    psp = client.pay()["pspReference"]
    assert [201] * len(moves) == [client.move(psp, *move)[0] for move in moves]
    *_, (_, success, reason) = client.settled_events()
    assert ("false", True) == (success, why in reason)


@pytest.mark.parametrize("verb, value", [("captures", 1), ("refunds", 1)])
def test_another_currency_fails(verb: str, value: int) -> None:
    """At Adyen an operation in a currency other than the payment's fails."""
    client = Client()
    psp = client.pay()["pspReference"]
    client.move(psp, "captures", 100)
    client.settled_events()
    client.post(
        f"/payments/{psp}/{verb}",
        {"merchantAccount": "SandboxMerchant", "amount": {"value": value, "currency": "USD"}},
    )
    assert "false" == client.settled_events()[0][1]


def test_support_may_allow_several_captures() -> None:
    """At Adyen an account that may capture in several steps can capture the rest later."""
    client = Client(multiple_captures=True)
    psp = client.pay()["pspReference"]
    client.move(psp, "captures", 1)
    client.move(psp, "captures", 14989)
    assert ["true"] * 3 == [success for _, success, _ in client.settled_events()]


@pytest.mark.parametrize(
    "manual, does", [("true", "cancel"), ("false", "refund")], ids=["cancel", "refund"]
)
def test_reversal_cancels_or_refunds(manual: str, does: str) -> None:
    """Adyen's reversal cancels an uncaptured payment, and refunds a captured one."""
    client = Client()
    psp = client.pay(additionalData={"manualCapture": manual})["pspReference"]
    client.move(psp, "reversals")
    client.sandbox.settle()
    item = notification_item(client.sandbox.sent[-1].body)
    assert ("CANCEL_OR_REFUND", does, "true") == (
        item["eventCode"],
        item["additionalData"]["modification.action"],
        item["success"],
    )


def test_a_payment_is_cancelled_by_our_reference() -> None:
    """Adyen can cancel a payment by the merchant's reference."""
    client = Client()
    client.pay()
    client.pay(reference="INV-2042")
    body = {"merchantAccount": "SandboxMerchant", "paymentReference": "INV-2041"}
    status, message = client.post("/cancels", body)
    assert (201, "received") == (status, message["status"])
    assert ("TECHNICAL_CANCEL", "true", "") == client.settled_events()[-1]
    assert (422, "167") == code(client.post("/cancels", {"merchantAccount": "SandboxMerchant"}))


@pytest.mark.parametrize("verb", ["captures", "refunds", "cancels"])
def test_refused_payment_cannot_be_changed(verb: str) -> None:
    """At Adyen a payment that was not authorised cannot be changed."""
    client = Client()
    psp = client.pay(paymentMethod={"holderName": "DECLINED"})["pspReference"]
    value = None if verb == "cancels" else 1
    assert (422, "167") == code(client.move(psp, verb, value))
    assert (422, "167") == code(client.move("SBX9", verb, value))


def test_adyen_accepts_only_its_own_reasons_for_refund() -> None:
    """Adyen accepts only its own reasons for a refund."""
    client = Client()
    psp = client.pay()["pspReference"]
    assert (422, "702") == code(client.move(psp, "refunds", 1, merchantRefundReason="WHIM"))


@pytest.mark.parametrize("method", ["ideal", "klarna"])
def test_redirected_buyer_completes_the_payment(method: str) -> None:
    """At Adyen a redirected buyer completes the payment with the parameters of the redirect."""
    client = Client()
    message = client.pay(paymentMethod={"type": method})
    assert ("RedirectShopper", "redirect") == (message["resultCode"], message["action"]["type"])
    assert "pspReference" not in message
    (psp,) = client.sandbox.payments
    return_parameters = client.sandbox.buyer_returns(psp)
    _, details_answer = client.post("/payments/details", {"details": return_parameters})
    assert ("Authorised", psp) == (details_answer["resultCode"], details_answer["pspReference"])


@pytest.mark.parametrize(
    "native, kind", [("preferred", "threeDSResult"), ("disabled", "redirectResult")]
)
def test_card_holder_passes_3d_secure_natively_or_by_redirect_at_adyen(
    native: str, kind: str
) -> None:
    """At Adyen a card holder passes 3-D Secure natively or by redirect."""
    client = Client()
    message = client.pay(
        paymentMethod={"type": "scheme", "encryptedCardNumber": "test_4212345678901237"},
        authenticationData={"threeDSRequestData": {"nativeThreeDS": native}},
    )
    return_parameters = client.sandbox.buyer_returns(
        message["pspReference"], "NOT_3D_AUTHENTICATED"
    )
    assert [kind] == list(return_parameters)
    _, details_answer = client.post("/payments/details", {"details": return_parameters})
    assert ("Refused", "11") == (details_answer["resultCode"], details_answer["refusalReasonCode"])


def test_unknown_redirect_result_is_refused() -> None:
    """Adyen completes no payment if the result of the redirect is unknown."""
    client = Client()
    body = {"details": {"redirectResult": "X"}}
    assert (422, "14_018") == code(client.post("/payments/details", body))


def test_sandbox_sends_a_webhook_for_each_event_of_a_payment() -> None:
    """The Adyen sandbox sends a webhook for each event of a payment."""
    client = Client()
    psp = client.pay()["pspReference"]
    notice = client.sandbox.apply_event(
        "CHARGEBACK", psp, value=5, by="SBX9", reason="Fraud", disputeStatus="Undefended"
    )
    item = notification_item(notice.body)
    assert (psp, "SBX9", 5, "Undefended") == (
        item["originalReference"],
        item["pspReference"],
        item["amount"]["value"],
        item["additionalData"]["disputeStatus"],
    )
    assert client.sandbox.webhook_url == notice.url


def test_removed_card_of_a_shopper_cannot_be_charged() -> None:
    """Adyen charges a stored card for its shopper only, and no longer after its removal."""
    client = Client()
    stored = client.post(
        "/storedPaymentMethods",
        {
            "merchantAccount": "SandboxMerchant",
            "paymentMethod": {"type": "scheme", "holderName": "APPROVED"},
            "recurringProcessingModel": "CardOnFile",
            "shopperReference": "buyer-1",
        },
    )[1]
    payment = {**PAYMENT, "paymentMethod": {"storedPaymentMethodId": stored["id"]}}
    other_shopper = client.post("/payments", {**payment, "shopperReference": "buyer-2"})
    own_payment = client.post("/payments", {**payment, "shopperReference": "buyer-1"})
    del client.sandbox.stored[stored["id"]]
    late_payment = client.post("/payments", {**payment, "shopperReference": "buyer-1"})

    assert [(422, "803"), (422, "803")] == [code(other_shopper), code(late_payment)]
    assert "Authorised" == own_payment[1]["resultCode"]
