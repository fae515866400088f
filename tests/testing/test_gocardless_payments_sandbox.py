"""The sandbox of GoCardless' payments refuses what GoCardless would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import Timeouts
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.gocardless_payments import GoCardlessPaymentsSandbox

PAYMENT: dict[str, Any] = {
    "amount": 100,
    "currency": "EUR",
    "links": {"mandate": "MD_SANDBOX"},
}
ORDER: dict[str, Any] = {"amount": 100, "currency": "EUR"}


def answer_of(
    sandbox: GoCardlessPaymentsSandbox, method: str, path: str, body: object = None, **headers: str
) -> Response:
    """Return the sandbox's response to a request."""
    fields = {
        "Authorization": f"Bearer {sandbox.access_token}",
        "GoCardless-Version": "2015-07-06",
        **headers,
    }
    if body is None:
        request = Request(method, path, headers=fields)
    else:
        request = Request.post(path, json=body, headers=fields)
    url = f"https://api-sandbox.gocardless.com{path}"
    return SandboxHttpClient(sandbox).send(request, url, Timeouts())


def problem_of(response: Response) -> tuple[int, str]:
    """Return an error response's status, with the reason or the field that it names."""
    entry = response.json()["error"]["errors"][0]
    return response.status, entry.get("reason") or entry["field"]


@pytest.mark.parametrize(
    "path, body, problem",
    [
        ("/payments", PAYMENT, (400, "missing_envelope")),
        ("/payments", {"payments": []}, (422, "body")),
        ("/payments", {"payments": PAYMENT | {"colour": "red"}}, (422, "colour")),
        ("/payments", {"payments": PAYMENT | {"amount": "100"}}, (422, "amount")),
        ("/payments", {"payments": PAYMENT | {"amount": 0}}, (422, "amount")),
        ("/payments", {"payments": PAYMENT | {"links": {}}}, (422, "links.mandate")),
        ("/payments", {"payments": PAYMENT | {"currency": "SEK"}}, (422, "currency")),
        (
            "/payments",
            {"payments": PAYMENT | {"metadata": dict.fromkeys("abcd", "x")}},
            (422, "metadata"),
        ),
        ("/payments", {"payments": PAYMENT | {"metadata": {"a": "x" * 501}}}, (422, "metadata")),
        (
            "/billing_requests",
            {"billing_requests": {"payment_request": ORDER | {"currency": "USD"}}},
            (422, "payment_request.currency"),
        ),
        (
            "/billing_request_flows",
            {"billing_request_flows": {"links": {"billing_request": "BRQ1"}}},
            (404, "resource_not_found"),
        ),
        ("/payments?limit=501", None, (422, "limit")),
        ("/nothing", None, (404, "resource_not_found")),
    ],
)
def test_wrong_requests_are_refused(path: str, body: object, problem: tuple[int, str]) -> None:
    """A request with a wrong, unknown or missing field is refused with GoCardless' reason."""
    response = answer_of(GoCardlessPaymentsSandbox(), "GET", path, body)

    assert problem == problem_of(response)


def test_requests_need_a_version() -> None:
    """A request without the version of the API is refused."""
    response = answer_of(
        GoCardlessPaymentsSandbox(), "GET", "/payments", **{"GoCardless-Version": ""}
    )

    assert (400, "missing_version_header") == problem_of(response)


def test_steps_in_the_wrong_state_are_refused() -> None:
    """A refund or cancellation that is impossible in the current state is refused."""
    sandbox = GoCardlessPaymentsSandbox()
    created = answer_of(sandbox, "POST", "/payments", {"payments": PAYMENT}).json()["payments"]
    page = {"billing_requests": {"payment_request": ORDER}}
    request = answer_of(sandbox, "POST", "/billing_requests", page).json()["billing_requests"]
    sandbox.visit(request["id"], agrees=False)

    def refund(amount: int, total: int) -> tuple[int, str]:
        fields = {
            "amount": amount,
            "total_amount_confirmation": total,
            "links": {"payment": created["id"]},
        }
        return problem_of(answer_of(sandbox, "POST", "/refunds", {"refunds": fields}))

    assert (422, "refund_payment_invalid_state") == refund(50, 50)
    sandbox.settle()
    assert (422, "total_amount_confirmation_invalid") == refund(50, 60)
    assert (422, "refund_is_too_large") == refund(101, 101)
    assert (422, "billing_request_not_cancellable") == problem_of(
        answer_of(sandbox, "POST", f"/billing_requests/{request['id']}/actions/cancel", {})
    )


def test_objects_without_a_key_are_created_each_time() -> None:
    """Without an idempotency key each request creates a payment."""
    sandbox = GoCardlessPaymentsSandbox()
    for _ in range(2):
        answer_of(sandbox, "POST", "/payments", {"payments": PAYMENT})

    assert 2 == len(sandbox.payments)


def test_failed_payment_is_final_and_payout_contains_only_euros() -> None:
    """A failed payment does not change again, and a payout contains only payments in euros."""
    sandbox = GoCardlessPaymentsSandbox()
    pounds = sandbox.authorise("CU_BOB", scheme="bacs")
    for mandate, currency in (("MD_SANDBOX", "EUR"), (pounds, "GBP")):
        fields = {"amount": 100, "currency": currency, "links": {"mandate": mandate}}
        answer_of(sandbox, "POST", "/payments", {"payments": fields})
    first_id, second_id = sandbox.payments
    sandbox.settle()
    sandbox.fail_payment(second_id)
    assert [] == sandbox.settle()
    payout = sandbox.pay_out()

    assert 100 == payout["amount"]
    assert ["paid_out", "failed"] == [
        sandbox.payments[key]["status"] for key in (first_id, second_id)
    ]
