"""The Stripe sandbox refuses and stores the same requests as Stripe."""

from __future__ import annotations

import json
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

INTENTS_PATH = "/v1/payment_intents"
INTENT = {"amount": "14990", "currency": "eur"}
PAID = {**INTENT, "confirm": "true", "payment_method": "pm_card_visa"}
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
        response = self.post(INTENTS_PATH, {**PAID, **fields})
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
        ({**INTENT, "mode": "red"}, "unknown parameter: mode"),
        ({**INTENT, "description": ""}, "empty string"),
        ({"currency": "eur"}, "Invalid integer: None"),
        ({**INTENT, "amount": "149.90"}, "Invalid integer: 149.90"),
        ({**INTENT, "amount": "0"}, "Invalid amount"),
        ({"amount": "5", "currency": "isk"}, "Invalid amount"),
        ({**INTENT, "currency": "EUR"}, "Invalid currency"),
        ({**INTENT, "confirm": "True"}, "Invalid boolean"),
        ({**INTENT, "return_url": "https://shop.example"}, "confirm=true"),
        ({**INTENT, "off_session": "true"}, "confirm=true"),
        ({**PAID, "automatic_payment_methods[enabled]": "true"}, "return_url"),
        ({**INTENT, "confirm": "true"}, "missing a payment method"),
        ({**INTENT, "payment_method": "pm_nobody"}, "No such PaymentMethod"),
    ],
)
def test_invalid_requests_are_refused(caller: Caller, form: dict[str, str], part: str) -> None:
    """The Stripe sandbox refuses a request that Stripe would refuse, and names the field."""
    error = caller.refusal_of(INTENTS_PATH, form)

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
    assert status == caller.refusal_of(INTENTS_PATH, PAID, **headers)["status"]
    assert {} == caller.sandbox.intents


def test_restricted_key_can_read(caller: Caller) -> None:
    """A restricted Stripe key can read."""
    fields = caller.new_intent()
    answer = caller.ask(
        Request.get(f"{INTENTS_PATH}/{fields['id']}"), Authorization="Bearer rk_test_sandbox"
    )

    assert fields["id"] == answer.json()["id"]


def test_stripe_repeats_the_response_of_a_key(caller: Caller) -> None:
    """Stripe repeats the first response to a key, and refuses the key for other parameters."""
    first = caller.post(INTENTS_PATH, PAID, Idempotency_Key="k")
    repeated_response = caller.post(INTENTS_PATH, PAID, Idempotency_Key="k")
    conflict_error = caller.refusal_of(INTENTS_PATH, INTENT, Idempotency_Key="k")

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
            == caller.refusal_of(INTENTS_PATH, declined_intent, Idempotency_Key="k-1")[
                "decline_code"
            ]
        )
    assert 1 == len(caller.sandbox.intents)
    caller.refusal_of(INTENTS_PATH, {**PAID, "amount": "x"}, Idempotency_Key="k-2")

    assert 200 == caller.post(INTENTS_PATH, PAID, Idempotency_Key="k-2").status


def test_impossible_transitions_are_refused(caller: Caller) -> None:
    """A Stripe payment cannot return to an earlier state."""
    fields = caller.new_intent(capture_method="manual")
    url = f"{INTENTS_PATH}/{fields['id']}"
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
    key = caller.refusal_of(INTENTS_PATH, declined_intent)["payment_intent"]["id"]
    paid_response = caller.post(f"{INTENTS_PATH}/{key}/confirm", {"payment_method": "pm_card_amex"})
    other_intent = caller.refusal_of(INTENTS_PATH, declined_intent)["payment_intent"]["id"]

    assert "succeeded" == paid_response.json()["status"]
    assert "canceled" == caller.post(f"{INTENTS_PATH}/{other_intent}/cancel", {}).json()["status"]


def test_unknown_resources_are_not_found(caller: Caller) -> None:
    """Stripe answers 404 for unknown paths and resources."""
    for path in ("/v1/customers", f"{INTENTS_PATH}/pi_0"):
        assert 404 == caller.ask(Request.get(path)).status
    assert 400 == caller.ask(Request.get(INTENTS_PATH, query={"limit": "101"})).status


def test_sandbox_is_reachable_over_a_socket() -> None:
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
        answer = manager.call("stripe", Request.get(INTENTS_PATH, headers=headers))

    assert {"object": "list", "data": [], "has_more": False, "url": INTENTS_PATH} == answer.json()


SUBSCRIPTION = {
    "customer": "cus_1",
    "default_payment_method": "pm_card_visa",
    "items[0][price_data][currency]": "eur",
    "items[0][price_data][recurring][interval]": "month",
    "items[0][price_data][unit_amount]": "990",
}


def new_subscription(caller: Caller, **fields: str) -> dict[str, Any]:
    """Create a subscription, and return it."""
    product = caller.post("/v1/products", {"name": "Tea"}).json()["id"]
    form = {**SUBSCRIPTION, "items[0][price_data][product]": product, **fields}
    response = caller.post("/v1/subscriptions", form)
    assert 200 == response.status
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.parametrize(
    "path, form, part",
    [
        (INTENTS_PATH, {**INTENT, "currency": "eux"}, "Invalid currency"),
        (INTENTS_PATH, {**INTENT, "capture_method": "manuel"}, "Invalid capture_method"),
        ("/v1/transfers", {"amount": "5", "destination": "acct_1"}, "Invalid currency"),
    ],
    ids=["currency", "capture method", "transfer"],
)
def test_misspelt_words_are_refused(
    caller: Caller, path: str, form: dict[str, str], part: str
) -> None:
    """A misspelt currency or capture method is refused, so that nothing is captured."""
    assert part in caller.refusal_of(path, form)["message"]


def test_capture_method_of_a_confirmation_counts(caller: Caller) -> None:
    """An intent that is confirmed for a manual capture is not captured."""
    intent = caller.post(INTENTS_PATH, {**INTENT, "payment_method": "pm_card_visa"}).json()
    confirmed = caller.post(
        f"{INTENTS_PATH}/{intent['id']}/confirm", {"capture_method": "manual"}
    ).json()

    assert "requires_capture" == confirmed["status"]


def test_reason_of_a_cancellation_is_checked(caller: Caller) -> None:
    """Stripe refuses a cancellation with an unknown reason, and the intent stays."""
    intent = caller.new_intent(capture_method="manual")
    path = f"{INTENTS_PATH}/{intent['id']}/cancel"
    error = caller.refusal_of(path, {"cancellation_reason": "mood"})

    assert "cancellation_reason" == error["param"]
    assert 200 == caller.post(path, {"cancellation_reason": "abandoned"}).status


def test_disputed_charge_cannot_be_refunded(caller: Caller) -> None:
    """A disputed charge is refundable only after the dispute is won, or during an inquiry."""
    form = {"payment_intent": caller.new_intent()["id"]}
    dispute = caller.sandbox.dispute(form["payment_intent"])
    assert "charge_disputed" == caller.refusal_of("/v1/refunds", form)["code"]
    caller.sandbox.close_dispute(dispute, "won")
    assert 200 == caller.post("/v1/refunds", form).status

    form = {"payment_intent": caller.new_intent()["id"]}
    inquiry = caller.sandbox.dispute(form["payment_intent"], "warning_needs_response")
    evidence = {"evidence[product_description]": "Chairs", "submit": "true"}
    submitted = caller.post(f"/v1/disputes/{inquiry}", evidence).json()
    assert "warning_under_review" == submitted["status"]
    assert 200 == caller.post("/v1/refunds", form).status


def test_authorised_charge_is_paid_out_after_its_capture(caller: Caller) -> None:
    """A payout has captured charges only; an authorised one follows once it is captured."""
    caller.new_intent()
    authorised = caller.new_intent(capture_method="manual")
    first = caller.sandbox.payouts[caller.sandbox.pay_out_charges()]["amount"]
    caller.post(f"{INTENTS_PATH}/{authorised['id']}/capture", {})
    second = caller.sandbox.payouts[caller.sandbox.pay_out_charges()]["amount"]

    assert first == second > 14_000


def test_idempotency_key_is_short_and_forgotten_after_a_day() -> None:
    """Stripe refuses a key of more than 255 characters, and may forget a key after 24 hours."""
    caller = Caller()
    error = caller.refusal_of(INTENTS_PATH, INTENT, Idempotency_Key="k" * 256)
    assert "idempotency_error" == error["type"]

    now = 0.0
    caller.sandbox = StripeSandbox(now=lambda: now)
    caller.http = SandboxHttpClient(caller.sandbox)
    first, repeated = (
        caller.post(INTENTS_PATH, INTENT, Idempotency_Key="k").json() for _ in range(2)
    )
    now = 86_400.0
    late = caller.post(INTENTS_PATH, INTENT, Idempotency_Key="k").json()
    assert first["id"] == repeated["id"] != late["id"]


def test_lists_are_paged_in_both_directions(caller: Caller) -> None:
    """A page follows or precedes a cursor, even if the filters do not select the cursor's item."""
    keys = [caller.new_intent()["id"] for _ in range(4)][::-1]

    def page(**query: str) -> tuple[list[str], bool]:
        body = caller.ask(Request.get(INTENTS_PATH, query=query)).json()
        return [item["id"] for item in body["data"]], body["has_more"]

    assert (keys[1:3], True) == page(starting_after=keys[0], limit="2")
    assert (keys[1:3], True) == page(ending_before=keys[3], limit="2")
    assert ([], False) == page(starting_after=keys[0], **{"created[lt]": "1"})
    assert 400 == caller.ask(Request.get(INTENTS_PATH, query={"limit": "many"})).status
    both = {"starting_after": keys[0], "ending_before": keys[1]}
    assert 400 == caller.ask(Request.get(INTENTS_PATH, query=both)).status


def test_subscriptions_are_listed_by_customer_and_status(caller: Caller) -> None:
    """A list has the subscriptions of a customer; canceled ones only if the request says so."""
    first, _ = new_subscription(caller), new_subscription(caller, customer="cus_2")
    canceled = new_subscription(caller)
    caller.ask(Request.delete(f"/v1/subscriptions/{canceled['id']}"))

    def listed(**query: str) -> list[str]:
        body = caller.ask(Request.get("/v1/subscriptions", query=query)).json()
        return [item["id"] for item in body["data"]]

    assert [first["id"]] == listed(customer="cus_1")
    assert [canceled["id"], first["id"]] == listed(customer="cus_1", status="all")
    assert [canceled["id"]] == listed(status="canceled")


def test_subscription_ends_with_its_period_unless_that_is_revoked(caller: Caller) -> None:
    """A subscription that is cancelled at its period's end is not charged, but deleted then."""
    key = new_subscription(caller)["id"]
    for word in ("true", "false"):
        changed = caller.post(f"/v1/subscriptions/{key}", {"cancel_at_period_end": word}).json()
        assert (word == "true") is changed["cancel_at_period_end"]
        assert (word == "true") is (changed["cancel_at"] is not None)
    caller.sandbox.billing.renew(key)
    assert "active" == caller.sandbox.billing.subscriptions[key]["status"]

    caller.post(f"/v1/subscriptions/{key}", {"cancel_at_period_end": "true"})
    notices = len(caller.sandbox.sent)
    caller.sandbox.billing.renew(key)
    kinds = [json.loads(notice.body)["type"] for notice in caller.sandbox.sent[notices:]]
    assert ["customer.subscription.deleted"] == kinds


def test_trial_in_days_is_not_charged(caller: Caller) -> None:
    """A subscription with a trial in days is not charged before the trial ends."""
    subscription = new_subscription(caller, trial_period_days="14")

    assert "trialing" == subscription["status"]
    assert 14 * 86_400 == subscription["trial_end"] - subscription["created"]


def test_link_ends_after_its_last_payment(caller: Caller) -> None:
    """A payment link accepts as many payments as it states, all in one currency."""
    line = {
        "[price_data][currency]": "eur",
        "[price_data][unit_amount]": "100",
        "[price_data][product_data][name]": "Tea",
        "[quantity]": "1",
    }
    form = {"restrictions[completed_sessions][limit]": "2"}
    form |= {f"line_items[0]{name}": value for name, value in line.items()}
    key = caller.post("/v1/payment_links", form).json()["id"]
    states: list[bool] = []
    for _ in range(2):
        caller.sandbox.use_link(key)
        states.append(caller.sandbox.links[key]["active"])
    assert [True, False] == states

    dollars = line | {"[price_data][currency]": "usd"}
    mixed = form | {f"line_items[1]{name}": value for name, value in dollars.items()}
    assert "same currency" in caller.refusal_of("/v1/payment_links", mixed)["message"]
