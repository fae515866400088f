"""The sandbox of Razorpay refuses what Razorpay would refuse."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from moorage import Timeouts
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.razorpay import RazorpaySandbox

ORDER: dict[str, Any] = {"amount": 100, "currency": "INR"}
LINK: dict[str, Any] = {"amount": 100, "currency": "INR", "reference_id": "L-1"}
PLAN: dict[str, Any] = {"period": "daily", "interval": 7, "item": {"name": "Tea", **ORDER}}
TOKEN: dict[str, Any] = {
    "amount": 100,
    "currency": "INR",
    "customer_id": "cust_ada",
    "email": "ada@erp.example",
    "contact": "+919000090000",
    "token": "token_sandbox",
    "recurring": "1",
}


def answer_of(
    sandbox: RazorpaySandbox, method: str, path: str, body: object = None, **headers: str
) -> Response:
    """Return the sandbox's response to a request."""
    login = b64encode(f"{sandbox.key_id}:{sandbox.key_secret}".encode()).decode()
    fields = {"Authorization": f"Basic {login}", **headers}
    if body is None:
        request = Request(method, path, headers=fields)
    else:
        request = Request.post(path, json=body, headers=fields)
    return SandboxHttpClient(sandbox).send(request, f"https://api.razorpay.com{path}", Timeouts())


def problem_of(response: Response) -> str:
    """Return the description of an error response with status 400."""
    assert 400 == response.status
    return str(response.json()["error"]["description"])


def paid_order(sandbox: RazorpaySandbox, *, capture: bool) -> dict[str, Any]:
    """Create an order, and return a payment for it."""
    fields = ORDER | {"payment_capture": capture}
    order = answer_of(sandbox, "POST", "/v1/orders", fields).json()
    return sandbox.visit(order["id"])


@pytest.mark.parametrize(
    "path, body, problem",
    [
        ("/v1/orders", [], "not a JSON object"),
        ("/v1/orders", ORDER | {"colour": "red"}, "colour is/are not required"),
        ("/v1/orders", ORDER | {"amount": "100"}, "The amount is invalid"),
        ("/v1/orders", ORDER | {"receipt": "R" * 41}, "The receipt is too long"),
        ("/v1/orders", ORDER | {"notes": {"a": "x" * 257}}, "The notes are too many"),
        ("/v1/orders", ORDER | {"notes": dict.fromkeys(map(str, range(16)), "x")}, "notes"),
        ("/v1/orders", ORDER | {"currency": "XYZ"}, "The currency is not supported"),
        ("/v1/orders", ORDER | {"amount": 0}, "The amount is invalid"),
        ("/v1/orders", {"amount": 1_234, "currency": "KWD"}, "The amount is invalid"),
        ("/v1/payment_links", LINK | {"callback_url": "https://x.example"}, "callback method"),
        ("/v1/plans", PLAN | {"period": "fortnightly"}, "The interval is invalid"),
        ("/v1/plans", PLAN | {"interval": 6}, "The interval is invalid"),
        ("/v1/plans", PLAN | {"item": ORDER}, "item.name"),
        ("/v1/subscriptions", {"plan_id": "plan_1"}, "does not exist"),
        ("/v1/payments?count=101", None, "The count must be"),
        ("/v1/payments/pay_1", None, "does not exist"),
        ("/v1/nothing", None, "was not found"),
    ],
)
def test_wrong_requests_are_refused(path: str, body: object, problem: str) -> None:
    """A request with a wrong, unknown or missing field is refused."""
    assert problem in problem_of(answer_of(RazorpaySandbox(), "GET", path, body))


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"email": None}, "The email field is required"),
        ({"amount": 200}, "differs from the amount of the order"),
        ({"token": "token_new"}, "cannot be used for later payments"),
        ({"customer_id": "cust_bob"}, "cannot be used for later payments"),
    ],
)
def test_wrong_payments_with_a_token_are_refused(changes: dict[str, Any], problem: str) -> None:
    """A payment by token must have its order's amount and all details of its customer."""
    sandbox = RazorpaySandbox()
    sandbox.store("cust_ada", "token_new", "initiated")
    order = answer_of(sandbox, "POST", "/v1/orders", ORDER).json()
    fields = {
        name: value
        for name, value in (TOKEN | {"order_id": order["id"]} | changes).items()
        if value is not None
    }

    response = answer_of(sandbox, "POST", "/v1/payments/create/recurring", fields)

    assert problem in problem_of(response)


def test_steps_in_the_wrong_state_are_refused() -> None:
    """A captured amount must be the authorised one; only a captured payment can be refunded."""
    sandbox = RazorpaySandbox()
    held_payment, captured_payment = (
        paid_order(sandbox, capture=capture) for capture in (False, True)
    )
    failed = sandbox.visit(held_payment["order_id"], reason="payment_failed")

    def step(payment: dict[str, Any], verb: str, **fields: Any) -> str:
        path = f"/v1/payments/{payment['id']}/{verb}"
        return problem_of(answer_of(sandbox, "POST", path, fields))

    assert "must be equal" in step(held_payment, "capture", amount=50, currency="INR")
    assert "have been authorized" in step(failed, "capture", amount=100, currency="INR")
    assert "should be captured" in step(held_payment, "refund")
    assert "is greater" in step(captured_payment, "refund", amount=101)
    path = f"/v1/payments/{captured_payment['id']}/refund"
    assert "key is invalid" in problem_of(
        answer_of(sandbox, "POST", path, {}, **{"X-Refund-Idempotency": "short"})
    )
    key = {"X-Refund-Idempotency": "a-long-key"}
    assert 200 == answer_of(sandbox, "POST", path, {}, **key).status
    assert "different payload" in problem_of(answer_of(sandbox, "POST", path, {"amount": 1}, **key))
    assert "fully refunded" in step(captured_payment, "refund")


def test_links_and_tokens_end_once() -> None:
    """A link cannot be cancelled twice, and a token cannot be deleted twice."""
    sandbox = RazorpaySandbox()
    link = answer_of(sandbox, "POST", "/v1/payment_links", LINK).json()
    path, token = f"/v1/payment_links/{link['id']}/cancel", "/v1/customers/cust_ada/tokens"

    assert "cancelled" == answer_of(sandbox, "POST", path, {}).json()["status"]
    assert "cannot be cancelled" in problem_of(answer_of(sandbox, "POST", path, {}))
    assert 200 == answer_of(sandbox, "DELETE", f"{token}/token_sandbox").status
    assert "does not exist" in problem_of(answer_of(sandbox, "DELETE", f"{token}/token_sandbox"))
    assert [link["id"]] == [
        item["id"]
        for item in answer_of(sandbox, "GET", "/v1/payment_links").json()["payment_links"]
    ]


def test_subscription_with_impossible_dates_or_changes_is_refused() -> None:
    """A subscription with a past start, no end or impossible changes is refused."""
    sandbox = RazorpaySandbox(now=lambda: 1_000_000)
    plan = answer_of(sandbox, "POST", "/v1/plans", PLAN).json()["id"]
    fields = {"plan_id": plan, "total_count": 2}

    def refusal_of(body: Any) -> str:
        return problem_of(answer_of(sandbox, "POST", "/v1/subscriptions", body))

    assert "total count" in refusal_of(fields | {"total_count": 0})
    assert "total count" in refusal_of(fields | {"total_count": 36_500})
    assert "start_at" in refusal_of(fields | {"start_at": 999_999})
    id_ = answer_of(sandbox, "POST", "/v1/subscriptions", fields).json()["id"]
    path = f"/v1/subscriptions/{id_}"
    scheduled = f"{path}/retrieve_scheduled_changes"
    assert "no scheduled changes" in problem_of(answer_of(sandbox, "GET", scheduled))
    sandbox.consent(id_)
    sandbox.consent(id_)
    assert 1 == sandbox.billing.subscriptions[id_]["paid_count"]
    change = {"quantity": 0}
    client, url = SandboxHttpClient(sandbox), f"https://api.razorpay.com{path}"
    login = b64encode(f"{sandbox.key_id}:{sandbox.key_secret}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    request = Request.patch(path, json=change, headers=headers)
    assert "quantity" in problem_of(client.send(request, url, Timeouts()))
    request = Request.patch(path, json={"quantity": 3}, headers=headers)
    assert 3 == client.send(request, url, Timeouts()).json()["quantity"]
    cancelled_later = answer_of(sandbox, "POST", f"{path}/cancel", {"cancel_at_cycle_end": True})
    assert "active" == cancelled_later.json()["status"]


def test_settlement_has_each_payment_once() -> None:
    """A later settlement pays out the payments that no earlier one did, minus later refunds."""
    sandbox = RazorpaySandbox()
    first = paid_order(sandbox, capture=True)
    amounts = [sandbox.settle_balance()["amount"]]
    paid_order(sandbox, capture=True)
    answer_of(sandbox, "POST", f"/v1/payments/{first['id']}/refund", {"amount": 100})
    paid_order(sandbox, capture=True)
    amounts.append(sandbox.settle_balance()["amount"])

    assert [100, 100] == amounts
