"""Mercado Pago: requests, responses, refusals, webhooks and the sandbox's rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    Money,
    PaymentDeclined,
    RateLimitExceeded,
    Request,
    Timeouts,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.contracts.payments import (
    Charge,
    Customer,
    DeclineReason,
    MoveState,
    PaymentQuery,
    PaymentState,
)
from moorage.contracts.routes import Account
from moorage.domain.webhooks.events import WebhookEvent
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.payments.mercado_pago import BUYER, MercadoPagoSandbox
from moorage.vendor_sdk import as_answer
from moorage.vendors.payments._mercado_pago_answers import classify, payment_of, read_refund
from moorage.vendors.payments.mercado_pago import MercadoPago, payment_body
from tests.vendors.sms_subjects import Refs
from tests.vendors.subjects.mercado_pago import mercado_pago_error, payment

PAYS: Final = "visa:card-approved"
REAIS: Final = Money("58.80", "BRL")
VENDOR: Final = MercadoPago(currency="BRL")
PAY: Final = Request.post("/v1/payments", json={})


class RefsOfPayments(Refs):
    """A stand-in for an account whose references contain no ids of related objects."""

    def ref_with(self, name: str, **_: str | None) -> Any:
        """Return a reference with the given id."""
        return self.ref(name)


REFS: Final[Any] = RefsOfPayments("mercado_pago")


def order(source: str = PAYS, **fields: Any) -> Charge:
    """Return a charge with the given fields."""
    options: dict[str, Any] = {"reference": "INV-7", "customer": Customer(email=BUYER)} | fields
    return Charge(options.pop("amount", REAIS), source, **options)


def body(*, capture: bool = True, **fields: Any) -> dict[str, Any]:
    """Return the body that creates a payment with the given fields."""
    return payment_body(VENDOR, order(**fields), capture=capture)


def hub(sandbox: MercadoPagoSandbox, **options: Any) -> Hub:
    """Return a hub with one account at Mercado Pago."""
    vendor = MercadoPago(
        **{"credentials": sandbox.access_token, "currency": sandbox.currency} | options
    )
    settings = {"retry": None, "volatile_keys": True}
    return Hub([Account("till", vendor, settings=settings)], http=SandboxHttpClient(sandbox))


def read(**fields: Any) -> Any:
    """Return the payment that is read from the given fields."""
    return payment_of(REFS.ref_with, as_answer(payment(**fields)))


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {}),
        ({"description": "Two lamps"}, {"description": "Two lamps"}),
        ({"statement_descriptor": "ACME"}, {"statement_descriptor": "ACME"}),
        ({"metadata": {"shop": "7"}}, {"metadata": {"shop": "7"}}),
        ({"amount": Money("7", "BRL")}, {"transaction_amount": 7.0}),
        (
            {"extra": {"mercado_pago": {"installments": 3, "payer": {"type": "customer"}}}},
            {"installments": 3, "payer": {"email": BUYER, "type": "customer"}},
        ),
    ],
)
@pytest.mark.parametrize("capture", [True, False])
def test_body_of_a_payment(fields: dict[str, Any], expected: dict[str, Any], capture: bool) -> None:
    """A payment has its fields in Mercado Pago's words, and nothing else."""
    usual_fields = {
        "transaction_amount": 58.8,
        "token": "card-approved",
        "payment_method_id": "visa",
        "installments": 1,
        "capture": capture,
        "external_reference": "INV-7",
        "payer": {"email": BUYER},
    }

    assert usual_fields | expected == body(capture=capture, **fields)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"source": "card-approved"}, "source"),
        ({"source": "visa:"}, "source"),
        ({"source": ":card"}, "source"),
        ({"customer": None}, "customer.email"),
        ({"customer": Customer(id="1")}, "customer.email"),
        ({"amount": Money("58.80", "ARS")}, "amount"),
        ({"amount": Money("12345678901234567.89", "BRL")}, "amount"),
    ],
)
def test_charge_that_mercado_pago_cannot_take(fields: dict[str, Any], field: str) -> None:
    """A charge that lacks what Mercado Pago requires is refused before anything is sent."""
    sandbox = MercadoPagoSandbox()
    with pytest.raises(InvalidData) as excinfo:
        hub(sandbox).payments().charge(order(**fields), idempotency_key="k-1")

    assert field == excinfo.value.field
    assert [] == sandbox.requests


@pytest.mark.parametrize("currency", ["", "brl", "BR", "REAL"])
def test_currency_is_a_code(currency: str) -> None:
    """An account whose currency is not a currency code is refused."""
    with pytest.raises(ConfigurationError, match="currency"):
        MercadoPago(currency=currency)


def test_key_of_a_request() -> None:
    """A payment is sent with its key in Mercado Pago's header, and a long key as its digest."""
    sandbox = MercadoPagoSandbox()
    payments = hub(sandbox).payments()
    for key in ("k" * 128, "k" * 129):
        payments.charge(order(), idempotency_key=key)
    first_key, second_key = (
        request.headers.get("X-Idempotency-Key") or "" for request in sandbox.requests
    )

    assert "k" * 128 == first_key
    assert (64, True) == (len(second_key), second_key != first_key)
    assert MercadoPago.idempotency is not None
    assert 3_600.0 == MercadoPago.idempotency.memory


@pytest.mark.parametrize(
    "word, state, captured",
    [
        ("pending", PaymentState.PENDING, 0),
        ("in_process", PaymentState.PENDING, 0),
        ("authorized", PaymentState.AUTHORIZED, 0),
        ("approved", PaymentState.CAPTURED, 1),
        ("refunded", PaymentState.REFUNDED, 1),
        ("in_mediation", PaymentState.DISPUTED, 1),
        ("charged_back", PaymentState.DISPUTED, 1),
        ("cancelled", PaymentState.VOIDED, 0),
        ("rejected", PaymentState.FAILED, 0),
    ],
)
def test_states_of_payments(word: str, state: PaymentState, captured: int) -> None:
    """Each documented status becomes a state, with the authorised and the captured amount."""
    result = read(status=word)

    assert (state, word, REAIS) == (result.state, result.vendor_state, result.amount)
    assert REAIS * captured == result.captured
    assert REAIS * (1 if word == "authorized" else captured) == result.authorized


def test_partly_refunded_payment_states_its_refunds() -> None:
    """A payment states its refunds, and is partly refunded although its status is `approved`."""
    result = read(status="approved", transaction_amount_refunded=8.8)

    assert PaymentState.PARTIALLY_REFUNDED is result.state
    assert (Money("8.80", "BRL"), Money("50.00", "BRL")) == (result.refunded, result.refundable)


def test_payment_has_its_reference_time_and_card() -> None:
    """A payment has its reference, its time and its card."""
    card = {"last_four_digits": "6351", "expiration_month": 11, "expiration_year": 2030}
    result = read(
        status="approved",
        external_reference="INV-7",
        date_created="2026-05-06T07:08:09.000-04:00",
        payment_type_id="credit_card",
        payment_method_id="visa",
        card=card,
    )

    assert ("INV-7", 11) == (result.reference, result.created_at.astimezone(UTC).hour)
    assert ("credit_card", "visa", "6351", (2030, 11)) == (
        result.means.type,
        result.means.brand,
        result.means.last4,
        result.means.expires,
    )
    assert None is read(status="approved").means.expires


@pytest.mark.parametrize(
    "fields",
    [{"id": None}, {"status": None}, {"transaction_amount": None}, {"currency_id": None}],
)
def test_payment_without_id_status_or_amount_is_not_read(fields: dict[str, Any]) -> None:
    """A response with a payment that lacks its id, status or amount is read as None."""
    assert read(**{"status": "approved"} | fields) is None


@pytest.mark.parametrize(
    "code, reason",
    [
        ("cc_rejected_insufficient_amount", DeclineReason.INSUFFICIENT_FUNDS),
        ("insufficient_amount", DeclineReason.INSUFFICIENT_FUNDS),
        ("cc_rejected_bad_filled_card_number", DeclineReason.INCORRECT_NUMBER),
        ("cc_rejected_bad_filled_security_code", DeclineReason.INCORRECT_CVC),
        ("cc_rejected_bad_filled_date", DeclineReason.INVALID_EXPIRY),
        ("cc_rejected_call_for_authorize", DeclineReason.CALL_ISSUER),
        ("cc_rejected_card_disabled", DeclineReason.CALL_ISSUER),
        ("cc_rejected_high_risk", DeclineReason.FRAUD_SUSPECTED),
        ("cc_rejected_blacklist", DeclineReason.FRAUD_SUSPECTED),
        ("cc_rejected_3ds_mandatory", DeclineReason.AUTHENTICATION_REQUIRED),
        ("cc_rejected_3ds_challenge", DeclineReason.AUTHENTICATION_REQUIRED),
        ("cc_rejected_card_type_not_allowed", DeclineReason.CARD_NOT_SUPPORTED),
        ("cc_amount_rate_limit_exceeded", DeclineReason.LIMIT_EXCEEDED),
        ("cc_rejected_max_attempts", DeclineReason.LIMIT_EXCEEDED),
        ("cc_rejected_duplicated_payment", DeclineReason.DUPLICATE),
        ("rejected_by_bank", DeclineReason.DO_NOT_HONOR),
        ("bank_error", DeclineReason.PROCESSING_ERROR),
        ("cc_rejected_card_error", DeclineReason.PROCESSING_ERROR),
        ("cc_rejected_other_reason", DeclineReason.OTHER),
    ],
)
def test_detail_of_a_rejected_payment_becomes_the_decline_reason(
    code: str, reason: DeclineReason
) -> None:
    """The detail of a rejected payment is the reason of its decline."""
    decline = read(status="rejected", status_detail=code).decline

    assert (reason, code, code) == (decline.reason, decline.vendor_code, decline.vendor_message)
    assert "rejected" == read(status="rejected").decline.vendor_code
    assert None is read(status="approved", status_detail=code).decline


def test_declined_payment_names_the_payment() -> None:
    """The error of a declined payment has the reference of the payment."""
    sandbox = MercadoPagoSandbox()
    with pytest.raises(PaymentDeclined) as excinfo:
        hub(sandbox).payments().charge(order("visa:card-cvc"), idempotency_key="k-1")
    (id_,) = sandbox.payments

    assert DeclineReason.INCORRECT_CVC == excinfo.value.reason
    assert f":{id_}" in str(excinfo.value.payment)


@pytest.mark.parametrize(
    "word, state",
    [
        ("approved", MoveState.SUCCEEDED),
        ("pending", MoveState.PENDING),
        ("in_process", MoveState.PENDING),
        ("rejected", MoveState.FAILED),
        ("cancelled", MoveState.FAILED),
        ("levitated", MoveState.UNKNOWN),
    ],
)
def test_states_of_refunds(word: str, state: MoveState) -> None:
    """A refund has its state, its amount in the payment's currency, and its time."""
    wire: Any = type("Wire", (), {"ref": staticmethod(REFS.ref_with)})
    content = {"id": 9, "status": word, "amount": 5, "date_created": "2026-05-06T07:08:09Z"}
    of_payment: Any = type("Ref", (), {"id": "1321", "other": lambda *_: "BRL"})()
    result = read_refund(wire, of_payment, reply(content))

    assert (state, word, "9") == (result.state, result.vendor_state, result.ref.id)
    assert (Money("5", "BRL"), 2026) == (result.amount, result.at.year if result.at else None)
    for name in ("id", "status"):
        with pytest.raises(VendorFailed, match="id or status"):
            read_refund(wire, of_payment, reply({**content, name: None}))


@pytest.mark.parametrize(
    "status, code, kind",
    [
        *((400, code, VendorRejected) for code in (2016, 2018, 2024, 2063, 3005, 3024, 15016)),
        (400, 2006, InvalidRequest),
        (401, 5, AuthenticationFailed),
        (403, 4, VendorRejected),
        (404, 2000, VendorRejected),
        (429, 429, RateLimitExceeded),
    ],
)
def test_code_or_status_decides_the_error_class(
    status: int, code: int, kind: type[ConnectorError]
) -> None:
    """The code, or else the status, decides the error's class; code and text are kept."""
    error: Any = classify(PAY, mercado_pago_error(status, code, "Not so."))

    assert (kind, str(code), "Not so.") == (type(error), error.vendor_code, error.vendor_message)


@pytest.mark.parametrize(
    "content, code, words",
    [
        (
            {"message": "No.", "error": "unauthorized", "status": 400, "cause": []},
            "unauthorized",
            "No.",
        ),
        ({"message": "No.", "error": "bad_request", "cause": [{"code": 3}]}, "3", "No."),
        ({"message": "No."}, None, "No."),
    ],
)
def test_error_without_a_cause(content: dict[str, Any], code: str | None, words: str) -> None:
    """An error without a cause has the error name of the whole response as its code."""
    error: Any = classify(PAY, reply(content, 400))

    assert (code, words) == (error.vendor_code, error.vendor_message)


@pytest.mark.parametrize("code", [2001, 2032])
@pytest.mark.parametrize("status", [400, 404, 409])
def test_outcome_of_a_repeated_request_stays_open(code: int, status: int) -> None:
    """If a key was used before, a write may have had an effect, but a look-up is rejected."""
    answer = mercado_pago_error(status, code)
    error = classify(PAY, answer)
    look_up = classify(Request.get("/v1/payments/1"), answer)

    assert isinstance(error, VendorFailed)
    assert isinstance(look_up, VendorRejected)


def test_authorised_payment_is_captured_once() -> None:
    """An authorised payment can be captured once, and only completely."""
    sandbox = MercadoPagoSandbox()
    payments = hub(sandbox).payments()
    held = payments.authorize(order(), idempotency_key="k-1")
    capture = payments.capture(held.ref, idempotency_key="c-1")
    changes = [item for item in sandbox.requests if item.method == "PUT"]

    assert (MoveState.SUCCEEDED, REAIS) == (capture.state, capture.amount)
    assert [(f"/v1/payments/{held.ref.id}", {"capture": True})] == [
        (item.path, item.json()) for item in changes
    ]
    with pytest.raises(VendorRejected):
        payments.capture(held.ref, idempotency_key="c-2")


def test_capture_that_changes_nothing_has_an_unknown_state() -> None:
    """If the payment is not captured after a capture that was accepted, its state is unknown."""
    sandbox = MercadoPagoSandbox()
    payments = hub(sandbox).payments()
    held = payments.authorize(order(), idempotency_key="k-1")
    payments.get(held.ref)
    unchanged = reply(sandbox.payments[held.ref.id])
    sandbox.fail(unchanged, unchanged)

    assert MoveState.UNKNOWN is payments.capture(held.ref, idempotency_key="c-1").state


@pytest.mark.parametrize("step", ["capture", "void"])
def test_lost_capture_or_void_is_repeated(step: str) -> None:
    """A repeat of a capture or void whose response was lost reports the success."""
    sandbox = MercadoPagoSandbox()
    payments = hub(sandbox).payments()
    held = payments.authorize(order(), idempotency_key="k-1")
    if step == "capture":
        payments.get(held.ref)
        sandbox.fail(reply(sandbox.payments[held.ref.id]), Lost())
    else:
        sandbox.fail(Lost())
    with pytest.raises(ConnectorError):
        getattr(payments, step)(held.ref, idempotency_key="s-1")

    assert MoveState.SUCCEEDED is getattr(payments, step)(held.ref, idempotency_key="s-1").state


def test_payment_is_cancelled_unless_it_was_captured() -> None:
    """A payment can be cancelled unless it was captured."""
    sandbox = MercadoPagoSandbox()
    payments = hub(sandbox).payments()
    held = payments.authorize(order(), idempotency_key="k-1")
    void = payments.void(held.ref, idempotency_key="v-1")
    taken = payments.charge(order(), idempotency_key="k-2")

    assert (MoveState.SUCCEEDED, "cancelled") == (void.state, void.vendor_state)
    assert {"status": "cancelled"} == sandbox.requests[1].json()
    with pytest.raises(VendorRejected):
        payments.void(taken.ref, idempotency_key="v-2")


def test_part_or_rest_of_a_payment_is_refunded() -> None:
    """A part or the rest of a payment is refunded; a refund is looked up by both ids."""
    sandbox = MercadoPagoSandbox()
    payments = hub(sandbox).payments()
    taken = payments.charge(order(), idempotency_key="k-1")
    part = payments.refund(taken.ref, Money("8.80", "BRL"), idempotency_key="r-1")
    rest = payments.refund(taken.ref, idempotency_key="r-2")
    looked_up = payments.get_refund(rest.ref)
    posts = [item for item in sandbox.requests if item.path.endswith("/refunds")]

    assert (Money("8.80", "BRL"), Money("50.00", "BRL")) == (part.amount, rest.amount)
    assert (rest.ref.id, rest.amount) == (looked_up.ref.id, looked_up.amount)
    assert [{"amount": 8.8}, {"amount": 50.0}] == [item.json() for item in posts]
    assert f"/v1/payments/{taken.ref.id}/refunds/{rest.ref.id}" == sandbox.requests[-1].path
    assert PaymentState.REFUNDED is payments.get(taken.ref).state


def test_query_of_a_list() -> None:
    """A list is sorted and limited by the time of creation."""
    sandbox = MercadoPagoSandbox()
    since = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=timezone(timedelta(hours=-3)))
    until = since + timedelta(days=1)
    payments = hub(sandbox).payments()
    payments.payments(PaymentQuery(since=since, until=until, limit=20))
    payments.payments(PaymentQuery(limit=100))
    first_query, second_query = (dict(request.query) for request in sandbox.requests)

    assert "/v1/payments/search" == sandbox.requests[0].path
    assert {
        "sort": "date_created",
        "criteria": "desc",
        "range": "date_created",
        "begin_date": "2026-05-06T10:08:09.123Z",
        "end_date": "2026-05-07T10:08:09.123Z",
        "offset": "0",
        "limit": "20",
    } == first_query
    assert ("NOW-12MONTHS", "NOW", "50") == (
        second_query["begin_date"],
        second_query["end_date"],
        second_query["limit"],
    )
    assert 50 == VENDOR.limits["page"]


@pytest.mark.parametrize("content", [{}, {"results": {}}, {"results": [7]}])
def test_response_without_a_list_of_payments_is_an_error(content: dict[str, Any]) -> None:
    """A response without a list of payments is an error, not an empty list."""
    sandbox = MercadoPagoSandbox()
    sandbox.fail(reply(content))
    with pytest.raises(VendorFailed, match="results"):
        hub(sandbox).payments().payments()


def test_empty_page_ends_a_list() -> None:
    """A page without payments ends the list, whatever the total is."""
    sandbox = MercadoPagoSandbox()
    sandbox.fail(reply({"results": [], "paging": {"total": 7}}))

    assert None is hub(sandbox).payments().payments().next


def test_webhook_is_a_hint() -> None:
    """A webhook contains only a payment's signed id, so that the payment has to be looked up."""
    sandbox = MercadoPagoSandbox()
    own_hub = hub(sandbox)
    charged = own_hub.payments().charge(order(), idempotency_key="k-1")
    notice = sandbox.sent[0]
    verifier = own_hub.webhooks("till", secrets=sandbox.webhook_secret)
    changed = attrs.evolve(notice, body=notice.body.replace(charged.ref.id.encode(), b"1"))
    (webhook,) = verifier.verify(**changed.arguments())
    (event,) = own_hub.events("till", webhook)

    assert ("payment.created", charged.ref.id, True) == (
        webhook.vendor_type,
        event.ref.id,
        event.ask,
    )
    assert f"{charged.ref.id}.{notice.headers['x-request-id']}" == event.id
    assert json.loads(notice.body)["date_created"][:10] == event.at.isoformat()[:10]
    for forged in (
        attrs.evolve(notice, url=notice.url.replace(charged.ref.id, "1")),
        attrs.evolve(notice, headers={**notice.headers, "x-request-id": "another"}),
    ):
        with pytest.raises(WebhookRejected):
            verifier.verify(**forged.arguments())


def test_webhook_of_another_object_gives_no_events() -> None:
    """A webhook that is not about a payment gives no events."""
    payload = {"type": "topic_claims_integration_wh", "data": {"id": "1"}}
    webhook = WebhookEvent(
        vendor="mercado-pago", id="1.r", type="", vendor_type="", payload=payload, data=payload
    )

    assert () == VENDOR.events(webhook, REFS.ref_with)


def test_states_in_the_sandbox() -> None:
    """A payment under review is pending until it is settled, and may be disputed afterwards."""
    sandbox = MercadoPagoSandbox()
    payments = hub(sandbox).payments()
    reviewed = payments.charge(order("visa:card-review"), idempotency_key="k-1")
    sandbox.settle()
    settled = payments.get(reviewed.ref)
    sandbox.dispute(reviewed.ref.id)

    assert [PaymentState.PENDING, PaymentState.CAPTURED, PaymentState.DISPUTED] == [
        item.state for item in (reviewed, settled, payments.get(reviewed.ref))
    ]


@pytest.mark.parametrize(
    "method, path, fields, code",
    [
        ("POST", "/v1/payments", {"transaction_amount": 0}, 4037),
        ("POST", "/v1/payments", {"transaction_amount": "1"}, 1),
        ("POST", "/v1/payments", {"payer": {}}, 4050),
        ("POST", "/v1/payments", {"payment_method_id": "gold"}, 3028),
        ("POST", "/v1/payments", {"token": "card-unknown"}, 2006),
        ("POST", "/v1/payments", {"notification_url": "http://a.example"}, 4020),
        ("POST", "/v1/payments", {"instalments": 3}, 1),
        ("POST", "/v1/payments/7/refunds", {}, 2000),
        ("PUT", "/v1/payments/7", {}, 2000),
        ("GET", "/v1/payments/7/refunds/8", {}, 2032),
        ("GET", "/v1/payments/search?limit=1001", {}, 1000),
        ("GET", "/v1/payments/search?sort=amount", {}, 1003),
        ("GET", "/v1/nowhere", {}, 2000),
    ],
)
def test_sandbox_is_strict(method: str, path: str, fields: dict[str, Any], code: int) -> None:
    """The sandbox refuses the requests that Mercado Pago documents as wrong, and has no effect."""
    sandbox = MercadoPagoSandbox()
    content = body() | fields if path.endswith("payments") else fields
    path, _, text = path.partition("?")
    query = dict(pair.split("=") for pair in text.split("&")) if text else None
    headers = {"Authorization": f"Bearer {sandbox.access_token}", "X-Idempotency-Key": "k-1"}
    if method == "GET":
        request = Request.get(path, query=query, headers=headers)
    else:
        make = {"POST": Request.post, "PUT": Request.put}[method]
        request = make(path, json=content, headers=headers)
    url = f"https://api.mercadopago.com{path}?{text}"
    response: Any = SandboxHttpClient(sandbox).send(request, url, Timeouts())

    assert code == response.json()["cause"][0]["code"]
    assert {} == sandbox.payments


@pytest.mark.parametrize("amount, code", [(58.81, 2063), (0, 4040), (58.8, None)])
def test_sandbox_refunds_no_more_than_was_taken(amount: float, code: int | None) -> None:
    """The sandbox refunds an amount up to what was captured, and requires a key."""
    sandbox = MercadoPagoSandbox()
    taken = hub(sandbox).payments().charge(order(), idempotency_key="k-1")
    path = f"/v1/payments/{taken.ref.id}/refunds"

    def answer(**headers: str) -> Any:
        sent = {"Authorization": f"Bearer {sandbox.access_token}", **headers}
        request = Request.post(path, json={"amount": amount}, headers=sent)
        url = f"https://api.mercadopago.com{path}"
        return SandboxHttpClient(sandbox).send(request, url, Timeouts()).json()

    keyless, keyed = answer(), answer(**{"X-Idempotency-Key": "r-1"})
    too_long = answer(**{"X-Idempotency-Key": "r" * 129})

    assert (4292, 1) == (keyless["cause"][0]["code"], too_long["cause"][0]["code"])
    assert code == (None if code is None else keyed["cause"][0]["code"])
    assert (code is None) == bool(sandbox.refunds)
    if code is None:
        (refund_id,) = sandbox.refunds
        wrong = Request.get(
            f"/v1/payments/{taken.ref.id}/refunds/7",
            headers={"Authorization": f"Bearer {sandbox.access_token}"},
        )
        assert (
            404
            == SandboxHttpClient(sandbox)
            .send(wrong, f"https://api.mercadopago.com{wrong.path}", Timeouts())
            .status
        )
        assert keyed["id"] == int(refund_id)


def test_sandbox_replays_keys_and_refuses_wrong_credentials() -> None:
    """The sandbox repeats a key's payment, and refuses another body for it, or a wrong token."""
    sandbox = MercadoPagoSandbox()
    headers = {"Authorization": f"Bearer {sandbox.access_token}", "X-Idempotency-Key": "k-1"}
    client, url = SandboxHttpClient(sandbox), "https://api.mercadopago.com/v1/payments"
    first, repeat = (
        client.send(Request.post("/v1/payments", json=body(), headers=headers), url, Timeouts())
        for _ in range(2)
    )
    other = client.send(
        Request.post("/v1/payments", json=body(description="x"), headers=headers), url, Timeouts()
    )

    assert (first.json(), 409) == (repeat.json(), other.status)
    with pytest.raises(AuthenticationFailed):
        hub(sandbox, credentials="another").payments().charge(order(), idempotency_key="k-2")
