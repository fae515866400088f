"""The Stripe sandbox refuses and stores the same requests as Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectorManager, Headers, Request, Service, Timeouts
from moorage.contracts.payments import Charge, Money, PaymentState
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import API_VERSION, Stripe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response

AT = "/v1/payment_intents"
USUAL = {"amount": "14990", "currency": "eur"}
PAID = {**USUAL, "confirm": "true", "payment_method": "pm_card_visa"}
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


class Caller:
    """A client that sends hand-written requests to the sandbox."""

    def __init__(self) -> None:
        self.sandbox = StripeSandbox()
        self.http = SandboxHttpClient(self.sandbox)

    def ask(self, request: Request, **headers: str | None) -> Response:
        """Send a request with the usual headers, unless other ones are given."""
        default_headers: dict[str, str | None] = {
            "Authorization": f"Bearer {self.sandbox.api_key}",
            "Stripe-Version": API_VERSION,
        }
        default_headers |= {name.replace("_", "-"): text for name, text in headers.items()}
        message = {name: text for name, text in default_headers.items() if text is not None}
        request = request.evolve(headers=Headers([*request.headers.pairs, *message.items()]))
        url = f"https://api.stripe.com{request.path}"
        query = "&".join(f"{name}={text}" for name, text in request.query)
        return self.http.send(request, f"{url}?{query}", Timeouts())

    def post(self, path: str, form: Mapping[str, str], **headers: str | None) -> Response:
        """Send a POST request with a form."""
        return self.ask(Request.post(path, form=form), **headers)

    def new_intent(self, **fields: str) -> dict[str, Any]:
        """Create a payment intent, and return it."""
        response = self.post(AT, {**PAID, **fields})
        assert 200 == response.status
        body: dict[str, Any] = response.json()
        return body

    def refusal_of(
        self, path: str, form: Mapping[str, str], **headers: str | None
    ) -> dict[str, Any]:
        """Send a request that must be refused; return the response's status and error."""
        response = self.post(path, form, **headers)
        assert 400 <= response.status < 500
        error: dict[str, Any] = response.json()["error"]
        return {"status": response.status, **error}


@pytest.fixture(name="caller")
def _caller() -> Caller:
    """Return a client that sends requests to a new sandbox."""
    return Caller()


@pytest.mark.parametrize(
    "form, part",
    [
        ({**USUAL, "mode": "red"}, "unknown parameter: mode"),
        ({**USUAL, "description": ""}, "empty string"),
        ({"currency": "eur"}, "Invalid integer: None"),
        ({**USUAL, "amount": "149.90"}, "Invalid integer: 149.90"),
        ({**USUAL, "amount": "0"}, "Invalid amount"),
        ({"amount": "5", "currency": "isk"}, "Invalid amount"),
        ({**USUAL, "currency": "EUR"}, "Invalid currency"),
        ({**USUAL, "confirm": "True"}, "Invalid boolean"),
        ({**USUAL, "return_url": "https://shop.example"}, "confirm=true"),
        ({**USUAL, "off_session": "true"}, "confirm=true"),
        ({**PAID, "automatic_payment_methods[enabled]": "true"}, "return_url"),
        ({**USUAL, "confirm": "true"}, "missing a payment method"),
        ({**USUAL, "payment_method": "pm_nobody"}, "No such PaymentMethod"),
    ],
)
def test_invalid_requests_are_refused(caller: Caller, form: dict[str, str], part: str) -> None:
    """The Stripe sandbox refuses a request that Stripe would refuse, and names the field."""
    error = caller.refusal_of(AT, form)

    assert (400, "invalid_request_error") == (error["status"], error["type"])
    assert part in error["message"]


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Authorization": "Bearer sk_test_other"}, 401),
        ({"Authorization": "Bearer rk_test_sandbox"}, 403),
        ({"Stripe_Version": "latest"}, 400),
        ({"Stripe_Version": None}, 400),
    ],
    ids=str,
)
def test_key_and_version_are_required(
    caller: Caller, headers: dict[str, str | None], status: int
) -> None:
    """Stripe refuses requests without key or version, and refuses writes with a restricted key."""
    assert status == caller.refusal_of(AT, PAID, **headers)["status"]
    assert {} == caller.sandbox.intents


def test_restricted_key_can_read(caller: Caller) -> None:
    """A restricted Stripe key can read."""
    fields = caller.new_intent()
    answer = caller.ask(Request.get(f"{AT}/{fields['id']}"), Authorization="Bearer rk_test_sandbox")

    assert fields["id"] == answer.json()["id"]


def test_stripe_repeats_the_response_of_a_key(caller: Caller) -> None:
    """Stripe repeats the first response to a key, and refuses the key for other parameters."""
    first = caller.post(AT, PAID, Idempotency_Key="k")
    repeated_response = caller.post(AT, PAID, Idempotency_Key="k")
    conflict_error = caller.refusal_of(AT, USUAL, Idempotency_Key="k")

    assert first.json() == repeated_response.json()
    assert "true" == repeated_response.headers.get("idempotent-replayed")
    assert (400, "idempotency_error") == (conflict_error["status"], conflict_error["type"])
    assert 1 == len(caller.sandbox.intents)


def test_declines_are_stored_and_mistakes_are_not(caller: Caller) -> None:
    """Stripe stores a decline under its key, but not an invalid request."""
    declined_intent = {**PAID, "payment_method": "pm_card_visa_chargeDeclinedLostCard"}
    for _ in range(2):
        assert (
            "lost_card"
            == caller.refusal_of(AT, declined_intent, Idempotency_Key="k-1")["decline_code"]
        )
    assert 1 == len(caller.sandbox.intents)
    caller.refusal_of(AT, {**PAID, "amount": "x"}, Idempotency_Key="k-2")

    assert 200 == caller.post(AT, PAID, Idempotency_Key="k-2").status


def test_impossible_transitions_are_refused(caller: Caller) -> None:
    """A Stripe payment cannot return to an earlier state."""
    fields = caller.new_intent(capture_method="manual")
    url = f"{AT}/{fields['id']}"
    larger_capture_error = caller.refusal_of(f"{url}/capture", {"amount_to_capture": "14991"})
    early_refund_error = caller.refusal_of("/v1/refunds", {"payment_intent": fields["id"]})
    assert 200 == caller.post(f"{url}/capture", {}).status

    assert "amount_too_large" == larger_capture_error["code"]
    assert "charge_not_captured" == early_refund_error["code"]
    for verb in ("capture", "cancel", "confirm"):
        error = caller.refusal_of(f"{url}/{verb}", {})
        assert "payment_intent_unexpected_state" == error["code"]


def test_refunds_cannot_exceed_the_charge(caller: Caller) -> None:
    """At Stripe the refunds of a charge cannot exceed the charge."""
    form = {"payment_intent": caller.new_intent()["id"]}
    assert (
        "amount_too_large" == caller.refusal_of("/v1/refunds", {**form, "amount": "14991"})["code"]
    )
    assert "amount" == caller.refusal_of("/v1/refunds", {**form, "amount": "0"})["param"]
    assert "reason" == caller.refusal_of("/v1/refunds", {**form, "reason": "mood"})["param"]
    assert 200 == caller.post("/v1/refunds", form).status

    assert "charge_already_refunded" == caller.refusal_of("/v1/refunds", form)["code"]


def test_an_intent_may_be_tried_again(caller: Caller) -> None:
    """After a decline, a Stripe intent accepts another payment method, and can be cancelled."""
    declined_intent = {**PAID, "payment_method": "pm_card_chargeDeclined"}
    key = caller.refusal_of(AT, declined_intent)["payment_intent"]["id"]
    paid_response = caller.post(f"{AT}/{key}/confirm", {"payment_method": "pm_card_amex"})
    other_intent = caller.refusal_of(AT, declined_intent)["payment_intent"]["id"]

    assert "succeeded" == paid_response.json()["status"]
    assert "canceled" == caller.post(f"{AT}/{other_intent}/cancel", {}).json()["status"]


def test_unknown_resources_are_not_found(caller: Caller) -> None:
    """Stripe answers 404 for unknown paths and resources."""
    for path in ("/v1/customers", f"{AT}/pi_0"):
        assert 404 == caller.ask(Request.get(path)).status
    assert 400 == caller.ask(Request.get(AT, query={"limit": "101"})).status


def test_sandbox_over_a_socket() -> None:
    """The Stripe sandbox can also be reached over a real connection."""
    sandbox = StripeSandbox()
    with sandbox.serving() as server:
        vendor = Stripe(credentials=sandbox.api_key, base_url=server.url)
        with Hub([Account("main", vendor, settings=SETTINGS)]) as hub:
            charge = Charge(Money("149.90", "EUR"), "tok_visa", reference="INV-1")
            payment = hub.payments().charge(charge, idempotency_key="k")
            result = hub.payments().get(payment.ref)

    assert PaymentState.CAPTURED == payment.state == result.state


def test_stripe_sandbox_serves_any_client() -> None:
    """Any HTTP client can use the Stripe sandbox."""
    sandbox = StripeSandbox()
    service = Service("stripe", "https://api.stripe.com", retry=None)
    with ConnectorManager([service], http=SandboxHttpClient(sandbox)) as manager:
        headers = {"Authorization": "Bearer sk_test_sandbox", "Stripe-Version": API_VERSION}
        answer = manager.call("stripe", Request.get(AT, headers=headers))

    assert {"object": "list", "data": [], "has_more": False, "url": AT} == answer.json()
