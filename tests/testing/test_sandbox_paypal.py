"""The PayPal sandbox behaves like PayPal."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import pytest

from moorage.contracts.payments import PaymentState
from moorage.contracts.routes import Account
from moorage.domain.http.headers import Headers
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.payments.paypal import PayPalSandbox
from moorage.vendors.payments.paypal import PayPal
from tests.vendors.paypal_account import SETTINGS, order

Json: TypeAlias = Any
"""Any JSON value."""

AMOUNT = {"currency_code": "EUR", "value": "149.90"}
UNIT = {"amount": AMOUNT, "custom_id": "INV-2041"}
VISA = {"card": {"vault_id": "visa-1"}}
ORDER = {"intent": "AUTHORIZE", "purchase_units": [UNIT], "payment_source": VISA}


class Client:
    """A client that sends requests to the sandbox as an application does."""

    def __init__(self) -> None:
        self.sandbox = PayPalSandbox()
        self.authorize()

    def authorize(self) -> None:
        """Get an access token."""
        form = b"grant_type=client_credentials"
        fields = {
            "Authorization": "Basic cGF5cGFsLWNsaWVudDpwYXlwYWwtc2FuZGJveC1zZWNyZXQ=",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        request = SandboxRequest("POST", "", "/v1/oauth2/token", (), Headers(fields), form)
        self.token = self.sandbox.at("/v1/oauth2/token").answer(request).json()["access_token"]

    def ask(
        self, method: str, path: str, body: Json = None, *, key: str | None = None, **more: Any
    ) -> Json:
        """Send a request; return the status and the body of the response."""
        fields = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key is not None:
            fields["PayPal-Request-Id"] = key
        if more.pop("all", True):
            fields["Prefer"] = "return=representation"
        query = tuple((name, str(value)) for name, value in more.items())
        sent_bytes = b"" if body is None else json.dumps(body).encode()
        answer = self.sandbox.answer(
            SandboxRequest(method, "", path, query, Headers(fields), sent_bytes)
        )
        return answer.status, json.loads(answer.body or b"null")

    def post(self, path: str, body: Json = None, **more: Any) -> Json:
        """Send a POST request; return the status and the body of the response."""
        return self.ask("POST", path, {} if body is None else body, **more)

    def new_authorization_path(self) -> str:
        """Create an authorisation, and return its path."""
        key = f"key-{len(self.sandbox.requests)}"
        order = self.post("/v2/checkout/orders", ORDER, key=key)[1]
        [authorization] = order["purchase_units"][0]["payments"]["authorizations"]
        return f"/v2/payments/authorizations/{authorization['id']}"

    def new_capture_path(self) -> str:
        """Create a capture, and return its path."""
        order = self.post(f"{self.new_authorization_path()}/capture", {"final_capture": True})[1]
        return f"/v2/payments/captures/{order['id']}"


@pytest.fixture(name="client")
def _client() -> Client:
    """Return a client that sends requests to a new sandbox."""
    return Client()


def issue(answer: Json) -> Json:
    """Return the status and the first issue of a refused request."""
    status, body = answer
    return status, body["details"][0]["issue"] if body["details"] else body["name"]


def test_token_is_required(client: Client) -> None:
    """PayPal refuses a request without a valid token."""
    client.token = "other"
    assert (401, "AUTHENTICATION_FAILURE") == issue(client.post("/v2/checkout/orders", ORDER))
    assert (404, "INVALID_RESOURCE_ID") == issue(client.ask("GET", "/v2/nothing"))


def changed_order(**fields: Json) -> Json:
    """Return an order with the given fields changed."""
    return {**ORDER, **fields}


def unit(**fields: Json) -> Json:
    """Return an order whose only purchase unit has the given fields changed."""
    return {**ORDER, "purchase_units": [{**UNIT, **fields}]}


@pytest.mark.parametrize(
    "body, message",
    [
        ([], (400, "MALFORMED_REQUEST_JSON")),
        ({}, (400, "MISSING_REQUIRED_PARAMETER")),
        (changed_order(intent="SALE"), (400, "INVALID_PARAMETER_VALUE")),
        (changed_order(itent="x"), (400, "INVALID_PARAMETER")),
        (changed_order(purchase_units=[]), (400, "INVALID_ARRAY_MIN_ITEMS")),
        (changed_order(purchase_units={}), (400, "INVALID_ARRAY_MIN_ITEMS")),
        (unit(custom_id=7), (400, "INVALID_PARAMETER_SYNTAX")),
        (unit(custom_id="x" * 128), (400, "INVALID_STRING_LENGTH")),
        (unit(items={}), (400, "INVALID_ARRAY_MIN_ITEMS")),
        (unit(amount={"value": "1"}), (400, "MISSING_REQUIRED_PARAMETER")),
        (unit(amount={**AMOUNT, "currency_code": "XXX"}), (422, "INVALID_CURRENCY_CODE")),
        (unit(amount={**AMOUNT, "value": "one"}), (400, "INVALID_PARAMETER_SYNTAX")),
        (unit(amount={**AMOUNT, "value": "1.999"}), (422, "DECIMAL_PRECISION")),
        (unit(amount={**AMOUNT, "value": "0.00"}), (422, "CANNOT_BE_ZERO_OR_NEGATIVE")),
        (
            unit(amount={"value": "1.00", "currency_code": "HUF"}),
            (422, "DECIMALS_NOT_SUPPORTED"),
        ),
        (changed_order(payment_source={"card": {"vault_id": "none"}}), (422, "TOKEN_ID_NOT_FOUND")),
        (
            changed_order(payment_source={"card": {"vault_id": "wallet-1"}}),
            (422, "MISMATCHED_VAULT_ID_TO_PAYMENT_SOURCE"),
        ),
        (
            changed_order(payment_source={"paypal": {"vault_id": "refused-1"}}),
            (422, "INSTRUMENT_DECLINED"),
        ),
    ],
)
def test_invalid_orders_are_refused(body: Json, message: Json, client: Client) -> None:
    """PayPal refuses an order with missing, misspelt or malformed fields."""
    assert message == issue(client.post("/v2/checkout/orders", body, key="k"))
    assert {} == client.sandbox.orders


def test_paypal_requires_short_request_id_for_payment(client: Client) -> None:
    """PayPal requires a short request id for a payment, and makes the payment once per id."""
    keyless_answer = client.post("/v2/checkout/orders", ORDER)
    assert (400, "PAYPAL_REQUEST_ID_REQUIRED") == issue(keyless_answer)
    long_key_answer = client.post("/v2/checkout/orders", ORDER, key="k" * 109)
    assert (400, "INVALID_STRING_LENGTH") == issue(long_key_answer)
    first = client.post("/v2/checkout/orders", ORDER, key="k")
    assert first == client.post("/v2/checkout/orders", ORDER, key="k")
    assert 1 == len(client.sandbox.orders)


def test_answers_are_minimal_by_default(client: Client) -> None:
    """By default PayPal answers an order with only its id, status and links."""
    status, order = client.post("/v2/checkout/orders", ORDER, key="k", all=False)
    assert (201, {"id", "status", "links"}) == (status, set(order))
    [authorization] = client.sandbox.authorizations
    path = f"/v2/payments/authorizations/{authorization}/void"
    assert (204, None) == client.post(path, all=False)
    assert (422, "PREVIOUSLY_VOIDED") == issue(client.post(path))


def test_approved_order_follows_its_intent(client: Client) -> None:
    """PayPal completes an approved order only once, and only in the way that its intent says."""
    plain_order = {"intent": "CAPTURE", "purchase_units": [UNIT]}
    order = client.post("/v2/checkout/orders", plain_order)[1]
    assert ("CREATED", "approve") == (order["status"], order["links"][-1]["rel"])
    path = f"/v2/checkout/orders/{order['id']}"
    assert (422, "ORDER_NOT_APPROVED") == issue(client.post(f"{path}/capture"))
    client.sandbox.approve(order["id"])
    assert (422, "ACTION_DOES_NOT_MATCH_INTENT") == issue(client.post(f"{path}/authorize"))
    assert (400, "INVALID_PARAMETER") == issue(client.post(f"{path}/capture", {"amount": AMOUNT}))
    assert 201 == client.post(f"{path}/capture")[0]
    assert (422, "ORDER_ALREADY_CAPTURED") == issue(client.post(f"{path}/capture"))
    assert (422, "ORDER_ALREADY_AUTHORIZED") == issue(client.post(f"{path}/authorize"))
    assert (404, "INVALID_RESOURCE_ID") == issue(client.post("/v2/checkout/orders/x/capture"))


def euros(value: str) -> Json:
    """Return a request body with an amount in euros."""
    return {"amount": {"currency_code": "EUR", "value": value}}


def test_captures_that_are_refused(client: Client) -> None:
    """A PayPal capture may slightly exceed its authorisation, while the authorisation is open."""
    path = client.new_authorization_path()
    dollars = {"amount": {"currency_code": "USD", "value": "1.00"}}
    larger_capture = client.post(f"{path}/capture", euros("172.39"))
    assert (422, "MAX_CAPTURE_AMOUNT_EXCEEDED") == issue(larger_capture)
    dollar_capture = client.post(f"{path}/capture", dollars)
    assert (422, "AUTH_CAPTURE_CURRENCY_MISMATCH") == issue(dollar_capture)
    assert 201 == client.post(f"{path}/capture", euros("172.38"))[0]
    assert "CAPTURED" == client.ask("GET", path)[1]["status"]
    repeated_capture = client.post(f"{path}/capture", euros("1.00"))
    assert (422, "AUTHORIZATION_ALREADY_CAPTURED") == issue(repeated_capture)
    assert (422, "PREVIOUSLY_CAPTURED") == issue(client.post(f"{path}/void"))
    other_path = client.new_authorization_path()
    client.post(f"{other_path}/void")
    late_capture = client.post(f"{other_path}/capture")
    assert (422, "AUTHORIZATION_VOIDED") == issue(late_capture)


def test_denied_or_expired_authorisation_cannot_be_captured(client: Client) -> None:
    """PayPal captures no authorisation that was denied, or whose 29 days have passed."""
    now = client.sandbox.now()
    client.sandbox.now = lambda: now
    path = client.new_authorization_path()
    order = {**ORDER, "payment_source": {"card": {"vault_id": "declined-5120"}}}
    denied_order = client.post("/v2/checkout/orders", order, key="denied")[1]
    [denied] = denied_order["purchase_units"][0]["payments"]["authorizations"]
    denied_path = f"/v2/payments/authorizations/{denied['id']}"
    assert (422, "AUTHORIZATION_DENIED") == issue(client.post(f"{denied_path}/capture"))

    now += 29 * 86_400
    assert (422, "AUTHORIZATION_EXPIRED") == issue(client.post(f"{path}/capture"))


def test_declined_or_disputed_captures_are_refundable_within_limits(client: Client) -> None:
    """PayPal refunds no declined capture, and during a dispute a capture only as a whole."""
    order = {
        **ORDER,
        "intent": "CAPTURE",
        "payment_source": {"card": {"vault_id": "declined-5120"}},
    }
    declined_order = client.post("/v2/checkout/orders", order, key="declined")[1]
    [declined] = declined_order["purchase_units"][0]["payments"]["captures"]
    refused_refund = client.post(f"/v2/payments/captures/{declined['id']}/refund")
    assert (422, "REFUND_NOT_ALLOWED") == issue(refused_refund)

    path = client.new_capture_path()
    client.sandbox.dispute(path.rpartition("/")[2])
    partial_refund = client.post(f"{path}/refund", euros("1.00"))
    assert (422, "TRANSACTION_DISPUTED") == issue(partial_refund)
    assert 201 == client.post(f"{path}/refund")[0]


def test_keys_are_remembered_for_hours_or_days() -> None:
    """PayPal remembers the key of an order for six hours, and of a payment for 45 days."""
    client = Client()
    start = client.sandbox.now()
    now = start
    client.sandbox = PayPalSandbox(now=lambda: now)
    client.authorize()
    orders: list[str] = []
    for delay in (0.0, 6 * 3_600.0 - 1, 6 * 3_600.0):
        now = start + delay
        orders.append(client.post("/v2/checkout/orders", ORDER, key="k")[1]["id"])
    assert orders[0] == orders[1] != orders[2]

    path, now = client.new_capture_path(), start
    refunds: list[str] = []
    for delay in (0.0, 45 * 86_400.0 - 1, 45 * 86_400.0):
        now = start + delay
        refunds.append(client.post(f"{path}/refund", euros("1.00"), key="r")[1]["id"])
    assert refunds[0] == refunds[1] != refunds[2]


def test_refunds_that_are_refused(client: Client) -> None:
    """PayPal refuses a refund that is too high or in another currency."""
    path = client.new_capture_path()
    dollars = {"amount": {"currency_code": "USD", "value": "1.00"}}
    dollar_refund = client.post(f"{path}/refund", dollars)
    assert (422, "REFUND_CAPTURE_CURRENCY_MISMATCH") == issue(dollar_refund)
    larger_refund = client.post(f"{path}/refund", euros("149.91"))
    assert (422, "REFUND_AMOUNT_EXCEEDED") == issue(larger_refund)
    assert 201 == client.post(f"{path}/refund", euros("49.90"))[0]
    assert "PARTIALLY_REFUNDED" == client.ask("GET", path)[1]["status"]
    assert 201 == client.post(f"{path}/refund")[0]
    assert (422, "CAPTURE_FULLY_REFUNDED") == issue(client.post(f"{path}/refund"))


def test_lists_that_are_refused(client: Client) -> None:
    """PayPal lists at most fifty disputes per page, and checks a list's parameters."""
    path = "/v1/customer/disputes"
    assert (400, "INVALID_PARAMETER") == issue(client.ask("GET", path, since="x"))
    assert (400, "INVALID_PARAMETER_VALUE") == issue(client.ask("GET", path, page_size=51))


def test_reports_that_are_refused(client: Client) -> None:
    """A PayPal report covers at most 31 days, and its parameters are checked."""
    path = "/v1/reporting/transactions"
    dates = {"start_date": "2031-05-01T00:00:00Z", "end_date": "2031-06-01T00:00:00Z"}
    assert (400, "INVALID_PARAMETER") == issue(client.ask("GET", path, start_date="x"))
    assert (400, "INVALID_PARAMETER") == issue(client.ask("GET", path, **dates, since="x"))
    undated_query = {**dates, "end_date": "2031-06-01"}
    assert (400, "INVALID_PARAMETER_SYNTAX") == issue(client.ask("GET", path, **undated_query))
    long_query = {**dates, "end_date": "2031-06-01T00:00:01Z"}
    assert (400, "DATE_RANGE_TOO_LONG") == issue(client.ask("GET", path, **long_query))
    for page_options in ({"page": "0"}, {"page_size": "501"}, {"page_size": "0"}):
        answer = client.ask("GET", path, **{**dates, **page_options})
        assert (400, "INVALID_PARAMETER_VALUE") == issue(answer)
    empty = {"page": 1, "total_items": 0, "total_pages": 0}
    assert (200, empty) == client.ask("GET", path, **dates)


def test_sandbox_is_reachable_over_a_socket() -> None:
    """The PayPal sandbox can also be reached over a socket."""
    sandbox = PayPalSandbox()
    with sandbox.serving() as server:
        vendor = PayPal(
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            base_url=server.url,
        )
        with Hub([Account("main", vendor, settings=SETTINGS)]) as hub:
            payment = hub.payments().charge(order(), idempotency_key="k")

    assert PaymentState.CAPTURED is payment.state


def test_paypal_authorisation_cannot_be_voided_after_its_final_capture(client: Client) -> None:
    """After its final capture, a PayPal authorisation cannot be voided, even if money is left."""
    path = client.new_authorization_path()
    client.post(f"{path}/capture", {"amount": {**AMOUNT, "value": "1.00"}, "final_capture": True})

    assert (422, "PREVIOUSLY_CAPTURED") == issue(client.post(f"{path}/void"))


PRICE: Json = {"fixed_price": {"currency_code": "EUR", "value": "10.00"}}
FREQUENCY: Json = {"interval_unit": "MONTH", "interval_count": 13}
CYCLE: Json = {"frequency": {"interval_unit": "MONTH"}, "tenure_type": "REGULAR", "sequence": 1}
PLAN: Json = {
    "product_id": "PROD-00000001",
    "name": "Tea",
    "billing_cycles": [CYCLE | {"pricing_scheme": PRICE}],
    "payment_preferences": {},
}


def test_paypal_plan_needs_product() -> None:
    """A PayPal plan needs a product, and an interval of at most a year."""
    client = Client()
    assert 404 == client.post("/v1/billing/plans", PLAN)[0]
    client.post("/v1/catalogs/products", {"name": "Tea", "type": "SERVICE"})
    long_cycle = CYCLE | {"frequency": FREQUENCY, "pricing_scheme": PRICE}
    assert 400 == client.post("/v1/billing/plans", PLAN | {"billing_cycles": [long_cycle]})[0]
    assert 201 == client.post("/v1/billing/plans", PLAN)[0]


def test_subscription_needs_plan_quantity_and_future_start() -> None:
    """A PayPal subscription needs a plan, a quantity and a start in the future."""
    client = Client()
    path = "/v1/billing/subscriptions"
    client.post("/v1/catalogs/products", {"name": "Tea", "type": "SERVICE"})
    plan = client.post("/v1/billing/plans", PLAN)[1]["id"]

    assert 404 == client.post(path, {"plan_id": "P-1"})[0]
    assert 400 == client.post(path, {"plan_id": plan, "quantity": "some"})[0]
    assert 400 == client.post(path, {"plan_id": plan, "start_time": "2000-01-01T00:00:00Z"})[0]
    id_ = client.post(path, {"plan_id": plan})[1]["id"]
    assert 422 == client.post(f"{path}/{id_}/revise", {"quantity": "2"})[0]
    client.sandbox.billing.approve(id_)
    client.sandbox.billing.approve(id_)
    cycles = [{"sequence": 2, "pricing_scheme": PRICE}]
    assert 422 == client.post(f"{path}/{id_}/revise", {"plan": {"billing_cycles": cycles}})[0]
    assert "plan" not in client.ask("GET", f"{path}/{id_}")[1]
    assert 400 == client.ask("GET", path, page_size=21)[0]
