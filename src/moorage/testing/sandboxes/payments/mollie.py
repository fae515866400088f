"""A local sandbox that imitates Mollie.

A payment by a method such as `ideal` or `creditcard`, or without a method, waits for the buyer at
its checkout, where `visit` acts as the buyer. Magic tokens of cards: `tkn_visa` pays immediately;
`tkn_3dsecure` waits for the buyer; a token with one of Mollie's reasons, such as
`tkn_insufficient_funds` or `tkn_card_expired`, fails with that reason. A payment whose
`sequenceType` is `first` leaves a mandate when it is paid, and `mdt_sandbox` is a mandate that
exists from the start; a recurring payment by a mandate is paid at once, and one by `directdebit`
is pending until `arrive`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from moorage.domain.values.money import Money
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture, action_url
from moorage.testing.sandboxes.payments._mollie_rules import (
    API,
    CAPTURE,
    CHANGE_LINK,
    CONFIRMED,
    DOCUMENTATION,
    LINK,
    MANDATE,
    REFUND,
    amount_fields,
    amount_of,
    check_fields,
    check_order,
    check_payment,
    error,
    link,
    magic,
    missing_resource,
    unprocessable_request,
)
from moorage.testing.sandboxes.payments._mollie_subscriptions import MollieSubscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.domain.http.requests import Response

_DASHBOARD = "https://my.mollie.com/dashboard/org_sandbox"
_KEY_MEMORY = 3_600.0
_PAYMENTS = "/v2/payments"
_SUBSCRIPTIONS = "/v2/customers/{customer}/subscriptions"
_MANDATES = "/v2/customers/{customer}/mandates"


class MollieSandbox(base.Sandbox):
    """A sandbox of Mollie: payments, captures, refunds, chargebacks and webhooks.

    Attributes:
        api_key: credentials that requests must have.
        webhook_token: value of the parameter `token` in the URL of webhooks.
        now: returns the time, in seconds since 1970.
        webhook_url: URL at which an account may receive its webhooks.
        checkout: URL at which buyers pay.
        customers: ids of the known customers.
        mandates: the customer of each stored means of payment, by mandate id.
        debits: the mandates for direct debits that were stored without a payment, by id.
        payments, captures, refunds, chargebacks, links: all objects, by id.
        billing: the subscriptions.
    """

    hosts = ("api.mollie.com",)

    api_key: str = "test_sandbox"
    webhook_token: str = "mollie-sandbox-token"
    now: Callable[[], float] = time.time
    mandates: dict[str, str] = base.state_field(lambda: {"mdt_sandbox": "cst_sandbox"})
    checkout: str = "https://www.mollie.com/checkout"
    customers: set[str] = base.state_field(lambda: {"cst_sandbox"})
    debits: dict[str, dict[str, Any]] = base.state_field(dict)
    links: dict[str, dict[str, Any]] = base.state_field(dict)
    payments: dict[str, dict[str, Any]] = base.state_field(dict)
    captures: dict[str, dict[str, Any]] = base.state_field(dict)
    refunds: dict[str, dict[str, Any]] = base.state_field(dict)
    chargebacks: dict[str, dict[str, Any]] = base.state_field(dict)
    _urls: dict[str, str | None] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self._replays = base.Replays(
            _key_reused,
            headers={"Idempotent-Replayed": "true"},
            refusals=lambda _: True,
            memory=_KEY_MEMORY,
            now=self.now,
        )
        self.billing = MollieSubscriptions(self.now, self.mandates, self.number)
        self.webhook_url = f"https://shop.example/webhooks/mollie?token={self.webhook_token}"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        payment_path = f"{_PAYMENTS}/{{id}}"
        return {
            f"POST {_PAYMENTS}": self._keyed_handler(self._create),
            f"GET {_PAYMENTS}": self._lists(lambda: self.payments),
            f"GET {payment_path}": self._as_hal(self._show),
            f"DELETE {payment_path}": self._as_hal(self._cancel),
            f"POST {payment_path}/release-authorization": self._keyed_handler(self._release),
            f"POST {payment_path}/captures": self._keyed_handler(self._capture),
            f"POST {payment_path}/refunds": self._keyed_handler(self._refund),
            f"GET {payment_path}/refunds/{{refund}}": self._as_hal(self._show_refund),
            f"POST {_MANDATES}": self._keyed_handler(self._store_mandate),
            f"GET {_MANDATES}": self._list_mandates,
            f"DELETE {_MANDATES}/{{id}}": self._revoke_mandate,
            f"POST {_SUBSCRIPTIONS}": self._keyed_handler(self.billing.create),
            f"GET {_SUBSCRIPTIONS}/{{id}}": self._as_hal(self.billing.show),
            f"PATCH {_SUBSCRIPTIONS}/{{id}}": self._keyed_handler(self.billing.change),
            f"DELETE {_SUBSCRIPTIONS}/{{id}}": self._keyed_handler(self.billing.cancel),
            "GET /v2/subscriptions": self._lists(lambda: self.billing.subscriptions),
            "POST /v2/payment-links": self._keyed_handler(self._create_link),
            "GET /v2/payment-links/{id}": self._as_hal(self._show_link),
            "PATCH /v2/payment-links/{id}": self._keyed_handler(self._change_link),
            "GET /v2/chargebacks": self._lists(lambda: self.chargebacks),
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return error(404, "Not Found", f"No such endpoint: {request.path}")

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return error(422, "Unprocessable Entity", problem)

    # --- events outside of the API -----------------------------------------

    def visit(self, where: str, status: str = "paid") -> None:
        """Act as the buyer on a checkout page, given by URL or payment id.

        Args:
            where: the payment.
            status: the payment's new status: "paid", which only authorises a payment with manual
                capture, "pending", "failed", "canceled" or "expired".
        """
        id_ = where.rpartition("/")[2]
        payment = self.payments[id_]
        base.check_step(f"The payment {id_}", payment["status"], "open", "pending")
        if status == "paid":
            self._mark_paid(payment)
        else:
            self._set_unpaid_status(payment, status)
        self._send_webhook(payment)

    def arrive(self, id: str) -> None:
        """Complete a pending payment."""
        self._mark_paid(self.payments[id])
        self._send_webhook(self.payments[id])

    def arrive_refund(self, id: str, *, success: bool = True) -> None:
        """Complete or fail a pending refund."""
        refund = self.refunds[id]
        refund["status"] = "refunded" if success else "failed"
        payment = self.payments[refund["paymentId"]]
        if not success:
            amount = amount_of(refund["amount"])
            self._add(payment, "amountRefunded", amount * -1)
        self._send_webhook(payment)

    def renew(self, id: str, *, success: bool = True) -> None:
        """Charge a subscription's next period by a payment, which may fail."""
        subscription = self.billing.advance(id)
        key = f"tr_{self.number():08d}"
        payment: dict[str, Any] = {
            "resource": "payment",
            "id": key,
            "mode": "test",
            "createdAt": self._moment(),
            "amount": subscription["amount"],
            "captureMode": "automatic",
            "customerId": subscription["customerId"],
            "description": subscription["description"],
            "mandateId": subscription["mandateId"],
            "metadata": subscription["metadata"],
            "method": "directdebit",
            "sequenceType": "recurring",
            "status": "pending",
            "subscriptionId": id,
            "_links": {"self": link(f"{API}{_PAYMENTS}/{key}")},
        }
        self.payments[key] = payment
        self._urls[key] = subscription["webhookUrl"]
        if success:
            self._mark_paid(payment)
        else:
            self._set_unpaid_status(payment, "failed")
        self._send_webhook(payment)

    def charge_back(self, id: str) -> str:
        """Charge back a payment, and return the chargeback's id."""
        payment, key = self.payments[id], f"chb_{self.number():08d}"
        self.chargebacks[key] = {
            "resource": "chargeback",
            "id": key,
            "amount": payment["amount"],
            "paymentId": id,
            "reason": {"code": "AC01", "description": "Account identifier incorrect"},
            "createdAt": self._moment(),
            "reversedAt": None,
            "_links": _links_of(id, "chargebacks", key),
        }
        payment["amountChargedBack"] = payment["amount"]
        self._send_webhook(payment)
        return key

    def reverse(self, id: str) -> None:
        """Reverse a chargeback."""
        chargeback = self.chargebacks[id]
        chargeback["reversedAt"] = self._moment()
        payment = self.payments[chargeback["paymentId"]]
        del payment["amountChargedBack"]
        self._send_webhook(payment)

    # --- how it is asked ---------------------------------------------------

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API key."""
        if request.bearer() != self.api_key:
            detail = "Missing authentication, or failed to authenticate"
            raise base.Refusal(error(401, "Unauthorized Request", detail))

    def _as_hal(self, handle: Callable[..., Response]) -> Callable[..., Response]:
        def answer(request: base.SandboxRequest, **names: str) -> Response:
            response = handle(request, **names)
            date = format_datetime(datetime.fromtimestamp(self.now(), UTC), usegmt=True)
            fields = {"Content-Type": "application/hal+json", "Date": date}
            return response.evolve(headers={**dict(response.headers), **fields})

        return answer

    def _keyed_handler(self, handle: Callable[..., Response]) -> Callable[..., Response]:
        return self._as_hal(self._replays.once(handle))

    def _lists(self, resources: Callable[[], dict[str, dict[str, Any]]]) -> Callable[..., Response]:
        def answer(request: base.SandboxRequest) -> Response:
            query = _check_query(request, "from", "limit", "sort")
            limit, names = query.get("limit", "50"), list(resources())[::-1]
            if not limit.isdigit() or not 1 <= int(limit) <= 250:
                return error(400, "Bad Request", "The limit is invalid", "limit")
            start = query.get("from")
            if start is not None and start not in names:
                return error(400, "Bad Request", "Invalid cursor value", "from")
            start_index = 0 if start is None else names.index(start)
            end = start_index + int(limit)
            page = [resources()[name] for name in names[start_index:end]]
            url, next_names = f"{API}{request.path}", names[end : end + 1]
            next_link = link(f"{url}?from={next_names[0]}&limit={limit}") if next_names else None
            name = request.path.rpartition("/")[2]
            links = {
                "self": link(url),
                "previous": None,
                "next": next_link,
                "documentation": link(f"{DOCUMENTATION}/list-{name}", "text/html"),
            }
            body = {"count": len(page), "_embedded": {name: page}, "_links": links}
            return base.reply(body)

        return self._as_hal(answer)

    # --- what it does ------------------------------------------------------

    def _create(self, request: base.SandboxRequest) -> Response:
        fields = check_payment(request.json())
        amount = amount_of(fields["amount"])
        customer = fields.get("customerId")
        if customer is not None and customer not in self.customers:
            raise unprocessable_request("The customer id is invalid", "customerId")
        self._check_mandate(fields)
        failure = magic(fields.get("cardToken"))
        key = f"tr_{self.number():08d}"
        payment: dict[str, Any] = {
            "resource": "payment",
            "id": key,
            "mode": "test",
            "createdAt": self._moment(),
            "amount": amount_fields(amount),
            "description": fields["description"],
            "method": fields.get("method") if isinstance(fields.get("method"), str) else None,
            "metadata": fields.get("metadata"),
            "status": "open",
            "isCancelable": True,
            "profileId": "pfl_sandbox",
            "sequenceType": fields.get("sequenceType", "oneoff"),
            "captureMode": fields.get("captureMode", "automatic"),
            "redirectUrl": fields.get("redirectUrl"),
            "_links": {
                "self": link(f"{API}{_PAYMENTS}/{key}"),
                "dashboard": link(f"{_DASHBOARD}/payments/{key}", "text/html"),
            },
        }
        payment |= {name: fields[name] for name in ("customerId", "mandateId") if name in fields}
        self.payments[key] = payment
        self._urls[key] = fields.get("webhookUrl")
        self._begin(payment, failure, tokenised="cardToken" in fields)
        return base.reply(payment, 201)

    def _check_mandate(self, fields: Mapping[str, Any]) -> None:
        customer, mandate = fields.get("customerId"), fields.get("mandateId")
        if mandate is not None and (customer is None or self.mandates.get(mandate) != customer):
            raise unprocessable_request("The mandate is invalid", "mandateId")
        if fields.get("sequenceType") == "recurring":
            if "cardToken" in fields:
                raise unprocessable_request(
                    "A card token cannot be used for a recurring payment", "cardToken"
                )
            if customer not in self.mandates.values():
                raise unprocessable_request("No suitable mandates found for customer", "customerId")

    def _begin(self, payment: dict[str, Any], failure: str | None, *, tokenised: bool) -> None:
        recurring = payment["sequenceType"] == "recurring"
        if recurring and payment["method"] == "directdebit":
            payment["status"] = "pending"
        elif failure is not None and failure != CONFIRMED:
            self._set_unpaid_status(payment, "failed", failure)
        elif failure is None and (tokenised or recurring):
            self._mark_paid(payment)
        else:
            payment["expiresAt"] = self._moment(900)
            url = f"{self.checkout}/{payment['id']}"
            payment["_links"]["checkout"] = link(url, "text/html")
            return
        self._send_webhook(payment)

    def _show(self, request: base.SandboxRequest, id: str) -> Response:
        embed = _check_query(request, "embed").get("embed", "")
        payment, embeddable_resources = (
            self._payment(id),
            {"captures": self.captures, "refunds": self.refunds},
        )
        embedded_names = [name for name in embed.split(",") if name]
        if not set(embedded_names) <= set(embeddable_resources):
            return error(400, "Bad Request", "The embed is invalid", "embed")
        embedded_resources = {
            name: [move for move in embeddable_resources[name].values() if move["paymentId"] == id]
            for name in embedded_names
        }
        return base.reply(
            {**payment, "_embedded": embedded_resources} if embedded_names else payment
        )

    def _show_refund(self, _: base.SandboxRequest, id: str, refund: str) -> Response:
        resource = self.refunds.get(refund)
        if resource is None or resource["paymentId"] != id:
            raise missing_resource(refund)
        return base.reply(resource)

    def _cancel(self, _: base.SandboxRequest, id: str) -> Response:
        payment = self._payment(id)
        if not payment.get("isCancelable"):
            raise unprocessable_request("The payment cannot be canceled")
        self._set_unpaid_status(payment, "canceled")
        self._send_webhook(payment)
        return base.reply(payment)

    def _release(self, request: base.SandboxRequest, id: str) -> Response:
        check_fields(request.json(), {})
        payment = self._payment(id)
        if payment["status"] != "authorized":
            raise unprocessable_request("The payment is not authorized")
        if self._amount_of(payment, "amountCaptured").minor:
            payment |= {"status": "paid", "paidAt": self._moment()}
        else:
            self._set_unpaid_status(payment, "canceled")
        self._send_webhook(payment)
        return base.reply({}, 202).evolve(body=b"")

    def _capture(self, request: base.SandboxRequest, id: str) -> Response:
        fields, payment = check_fields(request.json(), CAPTURE), self._payment(id)
        if payment["status"] != "authorized":
            raise unprocessable_request("The payment is not authorized")
        payment_amount = amount_of(payment["amount"])
        remaining_amount = payment_amount - self._amount_of(payment, "amountCaptured")
        amount = (
            amount_of(fields["amount"], payment_amount.currency)
            if "amount" in fields
            else remaining_amount
        )
        if amount > remaining_amount:
            raise unprocessable_request("The amount is higher than the maximum", "amount")
        key = f"cpt_{self.number():08d}"
        capture = {
            "resource": "capture",
            "id": key,
            "mode": "test",
            "amount": amount_fields(amount),
            "status": "succeeded",
            "paymentId": id,
            "createdAt": self._moment(),
            "_links": _links_of(id, "captures", key),
        }
        self.captures[key] = capture
        self._add(payment, "amountCaptured", amount)
        if amount == remaining_amount:
            payment |= {"status": "paid", "paidAt": self._moment()}
        self._send_webhook(payment)
        # Mollie first accepts the capture, and executes it a little later.
        return base.reply({**capture, "status": "pending"}, 201)

    def _refund(self, request: base.SandboxRequest, id: str) -> Response:
        fields, payment = check_fields(request.json(), REFUND), self._payment(id)
        if "amount" not in fields:
            raise unprocessable_request("The amount is missing", "amount")
        payment_amount = amount_of(payment["amount"])
        amount = amount_of(fields["amount"], payment_amount.currency)
        captured_amount = self._amount_of(payment, "amountCaptured")
        if payment["status"] == "paid" and payment["captureMode"] == "automatic":
            captured_amount = payment_amount
        lost_amount = self._amount_of(payment, "amountChargedBack")
        if amount > captured_amount - self._amount_of(payment, "amountRefunded") - lost_amount:
            raise unprocessable_request("The amount is higher than the maximum", "amount")
        key = f"re_{self.number():08d}"
        refund = {
            "resource": "refund",
            "id": key,
            "mode": "test",
            "description": fields.get("description", ""),
            "amount": amount_fields(amount),
            "status": "pending",
            "metadata": fields.get("metadata"),
            "paymentId": id,
            "createdAt": self._moment(),
            "_links": _links_of(id, "refunds", key),
        }
        self.refunds[key] = refund
        self._add(payment, "amountRefunded", amount)
        self._send_webhook(payment)
        return base.reply(refund, 201)

    def _store_mandate(self, request: base.SandboxRequest, customer: str) -> Response:
        fields = check_fields(request.json(), MANDATE)
        if customer not in self.customers:
            raise missing_resource(customer)
        for name in ("method", "consumerName", "consumerAccount"):
            if not fields.get(name):
                raise unprocessable_request(f"The {name} is missing", name)
        key = f"mdt_{self.number():08d}"
        self.mandates[key] = customer
        self.debits[key] = {
            "resource": "mandate",
            "id": key,
            "mode": "test",
            "status": "valid",
            "method": fields["method"],
            "details": {
                "consumerName": fields["consumerName"],
                "consumerAccount": fields["consumerAccount"],
                "consumerBic": None,
            },
            "customerId": customer,
            "mandateReference": fields.get("mandateReference"),
            "signatureDate": fields.get("signatureDate", self._moment()[:10]),
            "createdAt": self._moment(),
            "_links": {
                "self": link(f"{API}/v2/customers/{customer}/mandates/{key}"),
                "customer": link(f"{API}/v2/customers/{customer}"),
            },
        }
        mandate = self.debits[key]
        # Only a response about a single mandate links to its documentation.
        documentation = link(f"{DOCUMENTATION}/create-mandate", "text/html")
        links = {**mandate["_links"], "documentation": documentation}
        return base.reply({**mandate, "_links": links}, 201)

    def _list_mandates(self, request: base.SandboxRequest, customer: str) -> Response:
        def of_customer() -> dict[str, dict[str, Any]]:
            return {
                key: item for key, item in self.debits.items() if item["customerId"] == customer
            }

        return self._lists(of_customer)(request)

    def _revoke_mandate(self, _: base.SandboxRequest, customer: str, id: str) -> Response:
        if self.mandates.get(id) != customer:
            raise missing_resource(id)
        del self.mandates[id]
        self.debits.pop(id, None)
        return base.reply({}, 204).evolve(body=b"")

    def _create_link(self, request: base.SandboxRequest) -> Response:
        fields = check_fields(request.json(), LINK)
        check_order(fields)
        amount = amount_of(fields["amount"])
        key = f"pl_{self.number():08d}"
        url = f"https://paymentlink.mollie.com/payment/{key}"
        self.links[key] = {
            "resource": "payment-link",
            "id": key,
            "mode": "test",
            "description": fields["description"],
            "amount": amount_fields(amount),
            "allowedMethods": fields.get("allowedMethods"),
            "archived": False,
            "profileId": "pfl_sandbox",
            "createdAt": self._moment(),
            "paidAt": None,
            "expiresAt": fields.get("expiresAt"),
            "reusable": fields.get("reusable", False),
            "redirectUrl": fields.get("redirectUrl"),
            "webhookUrl": fields.get("webhookUrl"),
            "_links": {
                "self": link(f"{API}/v2/payment-links/{key}"),
                "paymentLink": link(url, "text/html"),
            },
        }
        return base.reply(self.links[key], 201)

    def _show_link(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._payment_link(id))

    def _change_link(self, request: base.SandboxRequest, id: str) -> Response:
        fields = check_fields(request.json(), CHANGE_LINK)
        link = self._payment_link(id)
        link |= fields
        return base.reply(link)

    def _payment_link(self, id: str) -> dict[str, Any]:
        if id not in self.links:
            raise missing_resource(id)
        return self.links[id]

    # --- its ledger ---------------------------------------------------------

    def _mark_paid(self, payment: dict[str, Any]) -> None:
        self._remove_checkout(payment)
        if payment["captureMode"] == "manual":
            zero_amount = amount_of(payment["amount"]) * 0
            payment |= {"status": "authorized", "authorizedAt": self._moment()}
            payment |= {
                "amountCaptured": amount_fields(zero_amount),
                "captureBefore": self._moment(604_800),
            }
        else:
            payment |= {"status": "paid", "paidAt": self._moment()}
        payment["method"] = payment["method"] or "creditcard"
        if payment["method"] == "creditcard":
            payment["details"] = {
                "cardLabel": "Visa",
                "cardNumber": "1005",
                "cardExpiryDate": "12/34",
            }
        if payment["sequenceType"] == "first":
            payment["mandateId"] = f"mdt_{self.number():08d}"
            self.mandates[payment["mandateId"]] = payment["customerId"]

    def _set_unpaid_status(
        self, payment: dict[str, Any], status: str, reason: str | None = None
    ) -> None:
        payment["status"] = status
        if status != "pending":
            self._remove_checkout(payment)
            payment[f"{status}At"] = self._moment()
        if status == "failed":
            words = "The payment was declined."
            code = reason or "refused_by_issuer"
            payment["details"] = {"failureReason": code, "failureMessage": words}

    def _remove_checkout(self, payment: dict[str, Any]) -> None:
        for name in ("isCancelable", "expiresAt"):
            payment.pop(name, None)
        payment["_links"].pop("checkout", None)

    def _payment(self, id: str) -> dict[str, Any]:
        if id not in self.payments:
            raise missing_resource(id)
        return self.payments[id]

    def _amount_of(self, payment: dict[str, Any], name: str) -> Money:
        amount = payment.get(name)
        if amount is None:
            return amount_of(payment["amount"]) * 0
        return Money(amount["value"], amount["currency"])

    def _add(self, payment: dict[str, Any], name: str, amount: Money) -> None:
        payment[name] = amount_fields(self._amount_of(payment, name) + amount)

    def _moment(self, later: float = 0) -> str:
        return datetime.fromtimestamp(self.now() + later, UTC).isoformat(timespec="seconds")

    def _send_webhook(self, payment: dict[str, Any]) -> None:
        """Send a webhook with a payment's id, if the payment has a webhook URL."""
        url = self._urls[payment["id"]]
        if url is not None:
            body = urlencode({"id": payment["id"]}).encode()
            self.notify(url, body, {"Content-Type": "application/x-www-form-urlencoded"})


def _links_of(payment: str, kind: str, id: str) -> dict[str, Any]:
    url = f"{API}{_PAYMENTS}/{payment}"
    return {
        "self": link(f"{url}/{kind}/{id}"),
        "payment": link(url),
        "documentation": link(f"{DOCUMENTATION}/get-{kind[:-1]}", "text/html"),
    }


def _check_query(request: base.SandboxRequest, *names: str) -> dict[str, str]:
    query = dict(request.query)
    for name in query:
        if name not in names:
            raise base.Refusal(
                error(400, "Bad Request", f"Non-existent query parameter {name}", name)
            )
    return query


def _key_reused() -> base.Refusal:
    detail = "The idempotency key was used before with other parameters"
    return base.Refusal(error(400, "Bad Request", detail))


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MollieSandbox()
    sandbox.customers.add("ada-1")
    sandbox.mandates["mdt_ada"] = "ada-1"

    def buyer(payment: Payment) -> dict[str, str]:
        sandbox.visit(action_url(payment))
        return {}

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
            "return_url": "https://erp.example/back",
            "webhook_url": sandbox.webhook_url,
            "volatile_keys": True,
        },
        vendor_values={"stores": "NL55INGB0000000000", "subscriber": "mdt_ada"},
        token="creditcard",
        buyer=buyer,
    )
