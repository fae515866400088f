"""A local sandbox that imitates Mercado Pago.

The source `visa:card-approved` pays immediately; `visa:card-funds`, `visa:card-cvc` and
`visa:card-other` are declined, and the payment of `visa:card-review` is under way until `settle`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import Customer
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.domain.http.requests import Response

BUYER: Final = "ada@erp.example"
FIELDS: Final = {
    "transaction_amount!": NUMBER,
    "payment_method_id!": str,
    "installments!": int,
    "payer!": dict,
    **typed(
        str,
        "callback_url coupon_code date_of_expiration description external_reference"
        " notification_url statement_descriptor three_d_secure_mode token",
    ),
    **typed(bool, "binary_mode capture"),
    **typed(NUMBER, "application_fee coupon_amount"),
    **typed(int, "campaign_id differential_pricing_id issuer_id sponsor_id"),
    **typed(dict, "additional_info forward_data metadata payment_method point_of_interaction"),
    "transaction_details": dict,
}
"""The allowed fields of a payment, with their types."""
_DETAILS: Final = {
    "card-approved": ("approved", "accredited"),
    "card-cvc": ("rejected", "cc_rejected_bad_filled_security_code"),
    "card-funds": ("rejected", "cc_rejected_insufficient_amount"),
    "card-other": ("rejected", "cc_rejected_other_reason"),
    "card-review": ("in_process", "pending_review_manual"),
}
"""The card tokens, with the status and the detail of their payments."""
_CARD_TYPES: Final = {"visa": "credit_card", "master": "credit_card", "debvisa": "debit_card"}
_MOST_ROWS: Final = 1_000
_KEY: Final = "X-Idempotency-Key"
_LONGEST_KEY: Final = 128


class MercadoPagoSandbox(base.Sandbox):
    """A sandbox of Mercado Pago: payments, refunds and their webhooks.

    Attributes:
        access_token: token that requests must have.
        currency: currency of the account's country.
        webhook_secret: secret that signs webhooks.
        webhook_url: URL that webhooks are sent to.
        now: returns the time, in seconds since 1970.
        payments: all payments by id, the oldest first.
        refunds: all refunds by id, the oldest first.
    """

    hosts = ("api.mercadopago.com",)

    access_token: str = "TEST-sandbox-token"
    currency: str = "BRL"
    webhook_secret: str = "mercado-pago-sandbox-secret"
    webhook_url: str = "https://erp.example/webhooks/mercado-pago"
    now: Callable[[], float] = time.time
    payments: dict[str, dict[str, Any]] = base.state_field(dict)
    refunds: dict[str, dict[str, Any]] = base.state_field(dict)
    replays: base.Replays = base.state_field(
        lambda: base.Replays(_used_key, header=_KEY, longest=_LONGEST_KEY, invalid=_long_key)
    )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v1/payments": self._keyed(self._pay),
            "GET /v1/payments/search": self._search,
            "GET /v1/payments/{id_}": self._show,
            "PUT /v1/payments/{id_}": self._change,
            "POST /v1/payments/{id_}/refunds": self._keyed(self._refund),
            "GET /v1/payments/{id_}/refunds/{refund}": self._show_refund,
            "GET /v1/payment_methods": self._list_methods,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the access token of a request."""
        if request.bearer() != self.access_token:
            raise _error(401, "5", "Must provide your access_token to proceed.")

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as in the base class
        """Return the response to a request that matches no route."""
        return _error(404, "2000", "Not found").response

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return _error(400, "1", problem).response

    def _keyed(self, handle: Callable[..., Response]) -> Callable[..., Response]:
        """Return a route handler that requires an idempotency key."""
        respond = self.replays.once(handle)

        def check_key(request: base.SandboxRequest, **names: str) -> Response:
            if request.headers.get(_KEY) is None:
                raise _error(400, "4292", "Header X-Idempotency-Key can't be null")
            return respond(request, **names)

        return check_key

    # --- what happens besides requests --------------------------------------

    def settle(self, status: str = "approved", detail: str = "accredited") -> None:
        """Give all payments that are under way this status, and send their webhooks."""
        for payment in self.payments.values():
            if payment["status"] in {"in_process", "pending"}:
                payment |= {"status": status, "status_detail": detail}
                self._notify(payment, "updated")

    def dispute(self, id_: str, status: str = "charged_back") -> None:
        """Give a payment the status of a dispute, and send its webhook."""
        self.payments[id_] |= {"status": status, "status_detail": "in_process"}
        self._notify(self.payments[id_], "updated")

    # --- requests -----------------------------------------------------------

    def _pay(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        problem = next(problems(FIELDS, body), None)
        if problem is not None:
            raise _error(400, "1", f"The name of the following parameters is wrong {problem}")
        method, token = body["payment_method_id"], body.get("token", "")
        refusal = base.first_problem(
            {
                ("4037", "Invalid transaction_amount"): body["transaction_amount"] <= 0,
                ("4050", "payer.email must be a valid email"): "@"
                not in str(body["payer"].get("email")),
                ("3028", "Invalid payment_method_id"): method not in _CARD_TYPES,
                ("2006", "Card Token not found"): token not in _DETAILS,
                ("4020", "notification_url attribute must be url valid"): not str(
                    body.get("notification_url", "https://")
                ).startswith("https://"),
            }
        )
        if refusal is not None:
            raise _error(400, *refusal)
        status, detail = _DETAILS[token]
        if status == "approved" and not body.get("capture", True):
            status, detail = "authorized", "pending_capture"
        payment = self._new_payment(body, status, detail)
        self.payments[str(payment["id"])] = payment
        self._notify(payment, "created")
        return base.reply(payment, 201)

    def _new_payment(self, body: dict[str, Any], status: str, detail: str) -> dict[str, Any]:
        return {
            "id": 1_321_000_000 + self.number(),
            "date_created": self._moment(),
            "date_approved": self._moment() if status == "approved" else None,
            "date_last_updated": self._moment(),
            "operation_type": "regular_payment",
            "payment_method_id": body["payment_method_id"],
            "payment_type_id": _CARD_TYPES[body["payment_method_id"]],
            "status": status,
            "status_detail": detail,
            "currency_id": self.currency,
            "description": body.get("description"),
            "live_mode": False,
            "payer": body["payer"],
            "metadata": body.get("metadata", {}),
            "external_reference": body.get("external_reference"),
            "transaction_amount": body["transaction_amount"],
            "transaction_amount_refunded": 0,
            "installments": body["installments"],
            "captured": status == "approved",
            "binary_mode": body.get("binary_mode", False),
            "statement_descriptor": body.get("statement_descriptor"),
            "card": {
                "first_six_digits": "503143",
                "last_four_digits": "6351",
                "expiration_month": 11,
                "expiration_year": 2030,
            },
            "refunds": [],
        }

    def _existing(self, id_: str) -> dict[str, Any]:
        return base.existing(self.payments, id_, _error(404, "2000", "Payment not found"))

    def _show(self, _: base.SandboxRequest, id_: str) -> Response:
        return base.reply(self._existing(id_))

    def _change(self, request: base.SandboxRequest, id_: str) -> Response:
        payment, body = self._existing(id_), request.json()
        if body == {"capture": True} and payment["status"] == "authorized":
            payment |= {"status": "approved", "status_detail": "accredited", "captured": True}
        elif body == {"status": "cancelled"} and payment["status"] in {
            "authorized",
            "in_process",
            "pending",
        }:
            payment |= {"status": "cancelled", "status_detail": "by_collector"}
        else:
            raise _error(400, "2018", "The action requested is not valid for the current state")
        payment["date_last_updated"] = self._moment()
        self._notify(payment, "updated")
        return base.reply(payment)

    def _refund(self, request: base.SandboxRequest, id_: str) -> Response:
        payment, body = self._existing(id_), request.json()
        if set(body) - {"amount"}:
            raise _error(400, "1", "Params Error")
        rest = payment["transaction_amount"] - payment["transaction_amount_refunded"]
        amount = body.get("amount", rest)
        if payment["status"] != "approved" or amount > round(rest, 2):
            raise _error(400, "2063", "The action requested is not valid for the current state")
        if amount <= 0:
            raise _error(400, "4040", "amount attribute must be positive")
        refund = {
            "id": 1_009_000_000 + self.number(),
            "payment_id": payment["id"],
            "amount": amount,
            "metadata": {},
            "source": {"id": "1003743392", "name": "Ada's shop", "type": "collector"},
            "date_created": self._moment(),
            "unique_sequence_number": None,
            "refund_mode": "standard",
            "adjustment_amount": 0,
            "status": "approved",
            "reason": None,
        }
        self.refunds[str(refund["id"])] = refund
        total = round(payment["transaction_amount_refunded"] + amount, 2)
        is_complete = total >= payment["transaction_amount"]
        payment |= {
            "transaction_amount_refunded": total,
            "status": "refunded" if is_complete else "approved",
            "status_detail": "refunded" if is_complete else "partially_refunded",
            "refunds": [*payment["refunds"], refund],
        }
        self._notify(payment, "updated")
        return base.reply(refund, 201)

    def _show_refund(self, _: base.SandboxRequest, id_: str, refund: str) -> Response:
        record = base.existing(self.refunds, refund, _error(404, "2032", "Refund not found"))
        if str(record["payment_id"]) != id_:
            raise _error(404, "2032", "Refund not found")
        return base.reply(record)

    def _search(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", "30"))
        if limit > _MOST_ROWS:
            raise _error(400, "1000", "Number of rows exceeded the limits")
        if query.get("sort", "date_created") not in _SORTS or query.get("criteria") not in _ORDERS:
            raise _error(400, "1003", "Invalid sort value.")
        begin, end = (self._date(query.get(name, "NOW")) for name in ("begin_date", "end_date"))
        rows = [
            payment
            for payment in reversed(self.payments.values())
            if begin <= datetime.fromisoformat(payment["date_created"]) <= end
            and query.get("external_reference") in {None, payment["external_reference"]}
        ]
        paging = {"total": len(rows), "limit": limit, "offset": offset}
        return base.reply({"paging": paging, "results": rows[offset : offset + limit]})

    def _date(self, text: str) -> datetime:
        """Return a date of a query, which may be relative to the current time."""
        now = datetime.fromtimestamp(self.now(), UTC) + timedelta(seconds=1)
        if text == "NOW":
            return now
        if text == "NOW-12MONTHS":
            return now - timedelta(days=365)
        return datetime.fromisoformat(text)

    def _list_methods(self, _: base.SandboxRequest) -> Response:
        return base.reply(
            [{"id": id_, "payment_type_id": kind} for id_, kind in _CARD_TYPES.items()]
        )

    # --- helpers ------------------------------------------------------------

    def _moment(self) -> str:
        at = datetime.fromtimestamp(self.now(), UTC)
        return at.isoformat(timespec="milliseconds")

    def _notify(self, payment: dict[str, Any], step: str) -> None:
        """Send a signed webhook; the signature covers the id in the URL, and not the body."""
        id_, request_id = str(payment["id"]), self.uuid()
        body = {
            "id": self.number(),
            "live_mode": False,
            "type": "payment",
            "date_created": self._moment(),
            "user_id": 44444,
            "api_version": "v1",
            "action": f"payment.{step}",
            "data": {"id": id_},
        }
        stamp = str(int(self.now()))
        content = f"id:{id_};request-id:{request_id};ts:{stamp};".encode()
        headers = {
            "Content-Type": "application/json",
            "x-request-id": request_id,
            "x-signature": f"ts={stamp},v1={hex_hmac(self.webhook_secret, content)}",
        }
        url = f"{self.webhook_url}?data.id={id_}&type=payment"
        self.notify(url, encode_json(body), headers)


_SORTS: Final = frozenset(
    {"date_approved", "date_created", "date_last_updated", "id", "money_release_date"}
)
_ORDERS: Final = frozenset({"asc", "desc"})


def _error(status: int, code: str, description: str) -> base.Refusal:
    body = {
        "message": description,
        "error": "bad_request" if status == 400 else "not_found",
        "status": status,
        "cause": [{"code": int(code), "description": description}],
    }
    return base.refusal(body, status)


def _used_key() -> base.Refusal:
    return _error(409, "2001", "The X-Idempotency-Key has already been used")


def _long_key() -> base.Refusal:
    return _error(400, "1", "X-Idempotency-Key length exceeds 128 characters")


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MercadoPagoSandbox(currency="EUR")
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.access_token,
            "currency": sandbox.currency,
            "volatile_keys": True,
        },
        vendor_values={"buyer": Customer(email=BUYER), "settle": sandbox.settle},
        token="visa:card-approved",
    )
