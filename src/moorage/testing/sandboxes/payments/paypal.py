"""A local sandbox that imitates PayPal.

Magic means of payment, in the vault: the card `visa-1`, the wallet `wallet-1` and `venmo-1` pay;
the cards `declined-5120` and `declined-5400` are declined with that code, though the order is
complete, and the wallet `refused-1` is refused; the card `confirms-1` waits for its holder;
captures from the card `pending-1` are pending until `arrive`. `approve` acts as a buyer. Unlike
PayPal, the sandbox accepts every currency of ISO 4217 (PayPal about two dozen), and refuses unknown
fields (PayPal may ignore them).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.base import Refusal, Replays, reply
from moorage.testing.sandboxes.fixture import SandboxFixture, action_url
from moorage.testing.sandboxes.payments._paypal_disputes import PayPalDisputes
from moorage.testing.sandboxes.payments._paypal_ledger import (
    PayPalLedger,
    Resource,
    link,
    read_amount,
    usual_now,
)
from moorage.testing.sandboxes.payments._paypal_payees import PayPalPayees
from moorage.testing.sandboxes.payments._paypal_rules import (
    CAPTURE,
    NOTHING,
    ORDER,
    REFUND,
    amount_fields,
    amount_of,
    check_breakdown,
    checked_body,
    refusal,
    unprocessable,
)
from moorage.testing.sandboxes.payments._paypal_subscriptions import PayPalSubscriptions
from moorage.testing.sandboxes.payments._paypal_webhooks import CERTIFICATE, Certificates
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.contracts.ref import Ref
    from moorage.testing.sandboxes.base import Routes, SandboxRequest

_KEY: Final = 108
_ORDER_MEMORY: Final = 6 * 3_600.0
_PAYMENT_MEMORY: Final = 45 * 86_400.0
_BILLING_MEMORY: Final = 72 * 3_600.0
_PAGE: Final = 50
_REPORTED: Final = 500
_REPORT: Final = frozenset({"start_date", "end_date", "fields", "page_size", "page"})
_HIDDEN_FIELDS: Final = words("billing_address experience_context stored_credential vault_id")
_DONE_ISSUES: Final = {"CAPTURE": "ORDER_ALREADY_CAPTURED", "AUTHORIZE": "ORDER_ALREADY_AUTHORIZED"}
_DISPUTES: Final = words(
    "start_time disputed_transaction_id page_size next_page_token dispute_state update_time_before"
    " update_time_after"
)


class PayPalSandbox(PayPalLedger):
    """A sandbox of PayPal: orders, captures, refunds, disputes, reports and webhooks.

    Args:
        client_id, client_secret: credentials that requests must have.
        webhook_id: id that the signatures of webhooks contain.
        webhook_url: URL that webhooks are sent to.
        now: returns the time, in seconds since 1970.

    Attributes:
        token_endpoint: the endpoint that grants access tokens.
        payees: the payouts to payees.
        billing: the products, plans and subscriptions.
        vault: the stored means of payment, each with its kind.
        orders, authorizations, captures, refunds, disputes: all objects, by id.
        transactions: the transactions of the report.
    """

    hosts = ("api-m.sandbox.paypal.com", "api.sandbox.paypal.com")

    def __init__(
        self,
        client_id: str = "paypal-client",
        client_secret: str = "paypal-sandbox-secret",
        webhook_id: str = "4JH86294D6297924G",
        webhook_url: str = "https://shop.example/webhooks/paypal",
        now: Callable[[], float] = usual_now,
    ) -> None:
        self.payees = PayPalPayees(self._time)
        self.billing = PayPalSubscriptions(self._time, self._notify_about)
        self.claims = PayPalDisputes(self._time, lambda: self.disputes, self.resolve)
        super().__init__(webhook_id, webhook_url, now)
        self._replays = self._new_replays(_PAYMENT_MEMORY)
        self._order_replays = self._new_replays(_ORDER_MEMORY)
        self._billing_replays = self._new_replays(_BILLING_MEMORY)
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_endpoint = TokenEndpoint(
            "/v1/oauth2/token", client_id, client_secret, expires_in=32_400
        )
        self.mounts = {self.token_endpoint.path: self.token_endpoint, CERTIFICATE: Certificates()}

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        orders, payments = "/v2/checkout/orders", "/v2/payments"
        replay, replay_order = self._replays.once, self._order_replays.once
        replay_billing = self._billing_replays.once
        return {
            f"POST {orders}": replay_order(self._create),
            f"GET {orders}/{{id}}": self._shows(lambda: self.orders),
            f"POST {orders}/{{id}}/capture": replay_order(self._finish("CAPTURE")),
            f"POST {orders}/{{id}}/authorize": replay_order(self._finish("AUTHORIZE")),
            f"GET {payments}/authorizations/{{id}}": self._shows(lambda: self.authorizations),
            f"POST {payments}/authorizations/{{id}}/capture": replay(self._capture),
            f"POST {payments}/authorizations/{{id}}/void": self._void,
            f"GET {payments}/captures/{{id}}": self._shows(lambda: self.captures),
            f"POST {payments}/captures/{{id}}/refund": replay(self._refund),
            f"GET {payments}/refunds/{{id}}": self._shows(lambda: self.refunds),
            "GET /v1/customer/disputes": self._list,
            "GET /v1/customer/disputes/{id}": self.claims.show,
            "POST /v1/customer/disputes/{id}/provide-evidence": self.claims.provide,
            "POST /v1/customer/disputes/{id}/accept-claim": self.claims.accept,
            "POST /v1/catalogs/products": replay_billing(self.billing.create_product),
            "POST /v1/billing/plans": replay_billing(self.billing.create_plan),
            "POST /v1/billing/subscriptions": replay_billing(self.billing.create),
            "GET /v1/billing/subscriptions": self.billing.list,
            "GET /v1/billing/subscriptions/{id}": self.billing.show,
            "POST /v1/billing/subscriptions/{id}/revise": self.billing.change,
            "POST /v1/billing/subscriptions/{id}/cancel": self.billing.cancel,
            "POST /v1/payments/payouts": self.payees.create,
            "GET /v1/payments/payouts/{id}": self.payees.show,
            "GET /v1/reporting/transactions": self._search,
        }

    def unknown(self, request: SandboxRequest) -> Response:  # noqa: ARG002 - whatever it is
        """Return the response to a request that matches no route."""
        return refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX", problem)

    def buyer(self, url: str) -> dict[str, str]:
        """Approve an order at the buyer's URL; return the URL to which the buyer is sent back."""
        return self.approve(parse_qs(urlsplit(url).query)["token"][0])

    def _new_replays(self, memory: float) -> Replays:
        return Replays(
            header="PayPal-Request-Id",
            by_path=True,
            longest=_KEY,
            invalid=lambda: Refusal(
                refusal(400, "INVALID_REQUEST", "INVALID_STRING_LENGTH", "PayPal-Request-Id")
            ),
            memory=memory,
            now=self.now,
        )

    # --- how it is asked ---------------------------------------------------

    def check_access(self, request: SandboxRequest) -> None:
        """Check a request's access token."""
        if not self.token_endpoint.allows(request):
            raise Refusal(refusal(401, "AUTHENTICATION_FAILURE"))

    def _shows(self, resources: Callable[[], Mapping[str, Resource]]) -> Callable[..., Response]:
        def answer(_: SandboxRequest, id: str) -> Response:
            return reply(_without_hidden_fields(self._found_or_404(resources(), id)))

        return answer

    # --- orders ------------------------------------------------------------

    def _create(self, request: SandboxRequest) -> Response:
        body = checked_body(request.json(), ORDER)
        unit = body["purchase_units"][0]
        amount_of(unit["amount"])
        check_breakdown(unit)
        source: Resource = body.get("payment_source", {})
        if source and request.headers.get("PayPal-Request-Id") is None:
            raise Refusal(refusal(400, "INVALID_REQUEST", "PAYPAL_REQUEST_ID_REQUIRED"))
        is_waiting = self._waits_for_buyer(source)
        key = self._id("5O")
        order: Resource = {
            "id": key,
            "intent": body["intent"],
            "payment_source": source or {"paypal": {}},
            "purchase_units": [{"reference_id": "default", **unit}],
            "create_time": self._time(),
        }
        if is_waiting:
            self._move(order, "PAYER_ACTION_REQUIRED" if source else "CREATED", ())
            query = urlencode({"token": key})
            action_link = {"rel": "payer-action" if source else "approve", "method": "GET"}
            action_link["href"] = f"https://www.sandbox.paypal.com/checkoutnow?{query}"
            order["links"].append(action_link)
        else:
            self._perform(order)
        self.orders[key] = order
        return _representation(request, order, 200 if is_waiting else 201)

    def _waits_for_buyer(self, source: Resource) -> bool:
        """Return whether the buyer must approve the payment first."""
        kind = next(iter(source), "")
        means: Resource = source.get(kind, {})
        vault_id = means.get("vault_id")
        if vault_id is None:
            return True
        if vault_id not in self.vault:
            raise unprocessable("TOKEN_ID_NOT_FOUND")
        if self.vault[vault_id] != kind:
            raise unprocessable("MISMATCHED_VAULT_ID_TO_PAYMENT_SOURCE")
        verification: Resource = means.get("attributes", {}).get("verification", {})
        return vault_id == "confirms-1" or verification.get("method") == "SCA_ALWAYS"

    def _finish(self, intent: str) -> Callable[..., Response]:
        def answer(request: SandboxRequest, id: str) -> Response:
            order = self._found_or_404(self.orders, id)
            checked_body(request.json(), NOTHING)
            if order["status"] == "COMPLETED":
                raise unprocessable(_DONE_ISSUES[intent])
            if order["intent"] != intent:
                raise unprocessable("ACTION_DOES_NOT_MATCH_INTENT")
            is_entered = "last_digits" in order["payment_source"].get("card", {})
            if order["status"] != "APPROVED" and not is_entered:
                raise unprocessable("ORDER_NOT_APPROVED")
            self._perform(order)
            return _representation(request, order, 201)

        return answer

    # --- what was authorised, captured and given back ------------------------

    def _capture(self, request: SandboxRequest, id: str) -> Response:
        authorization = self._found_or_404(self.authorizations, id)
        order = self.orders[self._order_of[id]]
        body = checked_body(request.json(), CAPTURE)
        authorized_amount, captured_amount = (
            read_amount(authorization["amount"]),
            self._captured(order),
        )
        amount = amount_of(body["amount"]) if "amount" in body else authorized_amount
        if authorization["status"] == "VOIDED":
            raise unprocessable("AUTHORIZATION_VOIDED")
        if authorization["status"] == "DENIED":
            raise unprocessable("AUTHORIZATION_DENIED")
        if authorization["expiration_time"] <= self._time():
            raise unprocessable("AUTHORIZATION_EXPIRED")
        if amount.currency != authorized_amount.currency:
            raise unprocessable("AUTH_CAPTURE_CURRENCY_MISMATCH")
        if authorization["status"] == "CAPTURED" or _is_order_closed(order):
            raise unprocessable("AUTHORIZATION_ALREADY_CAPTURED")
        # PayPal allows slightly more than the authorised amount.
        if (captured_amount + amount).minor * 100 > authorized_amount.minor * 115:
            raise unprocessable("MAX_CAPTURE_AMOUNT_EXCEEDED")
        is_final = bool(body.get("final_capture", False))
        capture = self._add_capture(order, amount_fields(amount), "", final=is_final)
        is_finished = captured_amount + amount >= authorized_amount
        authorization["status"] = "CAPTURED" if is_finished else "PARTIALLY_CAPTURED"
        return _representation(request, capture, 201)

    def _void(self, request: SandboxRequest, id: str) -> Response:
        authorization = self._found_or_404(self.authorizations, id)
        if authorization["status"] == "VOIDED":
            raise unprocessable("PREVIOUSLY_VOIDED")
        if authorization["status"] == "CAPTURED" or _is_order_closed(
            self.orders[self._order_of[id]]
        ):
            raise unprocessable("PREVIOUSLY_CAPTURED")
        authorization |= {"status": "VOIDED", "update_time": self._time()}
        self._notify_about("PAYMENT.AUTHORIZATION.VOIDED", "authorization", authorization)
        if not _wants_all(request):
            return Response(204)
        return reply(authorization)

    def _refund(self, request: SandboxRequest, id: str) -> Response:
        capture = self._found_or_404(self.captures, id)
        body = checked_body(request.json(), REFUND)
        remaining_amount = read_amount(capture["amount"]) - self._refunded(capture)
        amount = amount_of(body["amount"]) if "amount" in body else remaining_amount
        if capture["status"] == "PENDING":
            raise unprocessable("PENDING_CAPTURE")
        if capture["status"] == "DECLINED":
            raise unprocessable("REFUND_NOT_ALLOWED")
        if amount.currency != remaining_amount.currency:
            raise unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH")
        if capture["status"] == "REFUNDED":
            raise unprocessable("CAPTURE_FULLY_REFUNDED")
        if amount > remaining_amount:
            raise unprocessable("REFUND_AMOUNT_EXCEEDED")
        if amount < read_amount(capture["amount"]) and self._is_disputed(id):
            raise unprocessable("TRANSACTION_DISPUTED")
        return _representation(
            request, self._refund_capture(capture, amount, body.get("custom_id")), 201
        )

    # --- lists ---------------------------------------------------------------

    def _list(self, request: SandboxRequest) -> Response:
        query = dict(request.query)
        if not query.keys() <= _DISPUTES:
            raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER"))
        size, start = int(query.get("page_size", "10")), int(query.get("next_page_token", "0"))
        if not 1 <= size <= _PAGE:
            raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE", "page_size"))
        start_time = query.get("start_time", "")
        disputes = [
            dispute for dispute in self.disputes.values() if dispute["create_time"] >= start_time
        ][::-1]
        links = [link("self", "/v1/customer/disputes")]
        if start + size < len(disputes):
            next_query = urlencode({"page_size": size, "next_page_token": start + size})
            links.append(link("next", f"/v1/customer/disputes?{next_query}"))
        items = [_summary(dispute) for dispute in disputes[start : start + size]]
        return reply({"items": items, "links": links})

    def _search(self, request: SandboxRequest) -> Response:
        query = dict(request.query)
        if not {"start_date", "end_date"} <= query.keys() <= _REPORT:
            raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER"))
        start_time, end_time = (_parsed_time(query[name]) for name in ("start_date", "end_date"))
        size, page = int(query.get("page_size", "100")), int(query.get("page", "1"))
        if page < 1 or not 1 <= size <= _REPORTED:
            raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE"))
        if end_time - start_time > timedelta(days=31):
            raise Refusal(refusal(400, "INVALID_REQUEST", "DATE_RANGE_TOO_LONG"))
        matches = [
            {"transaction_info": transaction}
            for transaction in reversed(self.transactions)
            if start_time <= _parsed_time(transaction["transaction_initiation_date"]) <= end_time
        ]
        pages = -(-len(matches) // size)
        rows = {"transaction_details": matches[(page - 1) * size : page * size]}
        counts = {"page": page, "total_items": len(matches), "total_pages": pages}
        return reply({**(rows if matches else {}), **counts})


def _parsed_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX")) from None


def _wants_all(request: SandboxRequest) -> bool:
    return request.headers.get("Prefer") == "return=representation"


def _representation(request: SandboxRequest, resource: Resource, status: int) -> Response:
    """Return the response with a resource, complete if the request asks for that."""
    summary = {name: resource[name] for name in ("id", "status", "links") if name in resource}
    return reply(_without_hidden_fields(resource) if _wants_all(request) else summary, status)


def _without_hidden_fields(resource: Resource) -> Resource:
    """Return a resource without payment fields that PayPal accepts but never returns."""
    if "payment_source" not in resource:
        return resource
    means = {
        kind: {name: value for name, value in fields.items() if name not in _HIDDEN_FIELDS}
        for kind, fields in resource["payment_source"].items()
    }
    for fields in means.values():
        vault = fields.pop("attributes", {}).get("vault", {})
        if "id" in vault:
            fields["attributes"] = {"vault": vault}
    return {**resource, "payment_source": means}


def _is_order_closed(order: Resource) -> bool:
    captures: list[Resource] = order["purchase_units"][0].get("payments", {}).get("captures", [])
    return any(capture["final_capture"] for capture in captures)


def _summary(dispute: Resource) -> Resource:
    """Return a dispute in the short form of lists."""
    hidden_names = {"disputed_transactions", "dispute_outcome", "evidences"}
    path = f"/v1/customer/disputes/{dispute['dispute_id']}"
    dispute_fields: dict[str, Any] = {
        name: field_value for name, field_value in dispute.items() if name not in hidden_names
    }
    return {**dispute_fields, "links": [link("self", path)]}


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = PayPalSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        return sandbox.buyer(action_url(payment))

    def open_dispute(payment: Ref) -> str:
        dispute_id: str = sandbox.dispute(payment.other("capture") or "")["dispute_id"]
        return dispute_id

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "sandbox": True,
            "return_url": "https://erp.example/back",
            "volatile_keys": True,
        },
        token="card:visa-1",
        vendor_values={
            "asks": "paypal",
            "payee": "grace@erp.example",
            "dispute": open_dispute,
            "consent": sandbox.billing.approve,
        },
        buyer=buyer,
    )
