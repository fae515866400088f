"""A local sandbox that imitates Square.

Magic sources, most of them as in Square's own sandbox: `cnon:card-nonce-ok` and
`ccof:customer-card-id-ok` pay; `cnon:card-nonce-declined`, `cnon:card-nonce-rejected-cvv`,
`cnon:card-nonce-rejected-expiration`, `cnon:card-nonce-rejected-postalcode`,
`cnon:gift-card-nonce-insufficient-funds` and `ccof:customer-card-id-requires-verification` are
declined, and so is `cnon:sandbox-CARD_EXPIRED`, with any code in place of CARD_EXPIRED;
`bnon:bank-nonce-ok` is pending until `arrive`. Refunds are pending until `settle`.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.payments._square_rules import (
    CARD,
    COMPLETE,
    EVIDENCE,
    PAY,
    REFUND,
    UPDATE,
    VERSION,
    amount_of,
    check,
    error,
    invalid_request,
    magic,
    missing_object,
    require_fields,
)
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.contracts.ref import Ref
    from moorage.domain.http.requests import Response

_PAYMENTS = "/v2/payments"
_DAY = 86_400


class SquareSandbox(base.Sandbox):
    """A sandbox of Square: payments, refunds, disputes, payouts and webhooks.

    Attributes:
        access_token: credentials that requests must have.
        signature_key: secret with which webhooks are signed.
        webhook_url: URL that webhooks are sent to; it is signed too.
        now: returns the time, in seconds since 1970.
        location_id: the only location.
        customers: ids of the known customers.
        payments, refunds, disputes, payouts, cards: all objects, by id.
        evidence: all texts that were stored for disputes.
        entries: the entries of each payout, by its id.
    """

    hosts = ("connect.squareup.com", "connect.squareupsandbox.com")

    access_token: str = "EAAA-sandbox"
    signature_key: str = "square-sandbox-key"
    webhook_url: str = "https://shop.example/webhooks/square"
    now: Callable[[], float] = time.time
    location_id: str = "L88917AVBK2S5"
    customers: set[str] = base.state_field(lambda: {"CUSTOMER0SANDBOX"})
    payments: dict[str, dict[str, Any]] = base.state_field(dict)
    refunds: dict[str, dict[str, Any]] = base.state_field(dict)
    disputes: dict[str, dict[str, Any]] = base.state_field(dict)
    evidence: list[dict[str, Any]] = base.state_field(list)
    payouts: dict[str, dict[str, Any]] = base.state_field(dict)
    cards: dict[str, dict[str, Any]] = base.state_field(dict)
    entries: dict[str, list[dict[str, Any]]] = base.state_field(dict)
    _paid_out: set[str] = base.state_field(set)
    _replays: base.Replays = base.state_field(
        lambda: base.Replays(_key_reused, refusals=lambda _: True)
    )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        payment_path = f"{_PAYMENTS}/{{id}}"
        return {
            f"POST {_PAYMENTS}": self._keyed_handler(PAY, self._pay),
            f"GET {_PAYMENTS}": self._lists(lambda: self.payments, "created_at"),
            f"GET {payment_path}": self._show_payment,
            f"PUT {payment_path}": self._keyed_handler(UPDATE, self._update),
            f"POST {payment_path}/complete": self._complete,
            f"POST {payment_path}/cancel": self._cancel,
            "POST /v2/refunds": self._keyed_handler(REFUND, self._refund),
            "GET /v2/refunds/{id}": self._show_refund,
            "GET /v2/disputes": self._lists(lambda: self.disputes),
            "GET /v2/disputes/{id}": self._show_dispute,
            "POST /v2/disputes/{id}/accept": self._accept_dispute,
            "POST /v2/disputes/{id}/evidence-text": self._keyed_handler(
                EVIDENCE, self._store_evidence
            ),
            "POST /v2/disputes/{id}/submit-evidence": self._submit_evidence,
            "POST /v2/cards": self._keyed_handler(CARD, self._store),
            "GET /v2/cards": self._list_cards,
            "POST /v2/cards/{id}/disable": self._disable,
            "GET /v2/payouts/{id}/payout-entries": self._list_entries,
            "GET /v2/payouts": self._lists(lambda: self.payouts, "created_at"),
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        detail = f"API endpoint for URL path {request.path} is not found."
        return error(404, "INVALID_REQUEST_ERROR", "NOT_FOUND", detail)

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return error(400, "INVALID_REQUEST_ERROR", "BAD_REQUEST", problem)

    # --- events outside of the API -----------------------------------------

    def settle(self, *, success: bool = True) -> None:
        """Complete or fail all pending refunds."""
        for refund in self.refunds.values():
            if refund["status"] == "PENDING":
                refund |= {
                    "status": "COMPLETED" if success else "FAILED",
                    "updated_at": self._moment(),
                }
                payment = self.payments[refund["payment_id"]]
                if success:
                    refunded_amount = refund["amount_money"]["amount"] + _minor_amount(
                        payment, "refunded_money"
                    )
                    payment["refunded_money"] = {
                        **refund["amount_money"],
                        "amount": refunded_amount,
                    }
                self._send_webhook("refund.updated", "refund", refund)
                self._send_change(payment)

    def arrive(self, id: str, *, success: bool = True) -> None:
        """Complete or fail a pending debit."""
        payment = self.payments[id]
        payment["status"] = "COMPLETED" if success else "FAILED"
        if not success:
            came_back = {
                "category": "PAYMENT_METHOD_ERROR",
                "code": "INSUFFICIENT_FUNDS",
                "detail": "Not enough on the account.",
            }
            payment["bank_account_details"] = {"errors": [came_back]}
        self._send_change(payment)

    def dispute(self, id: str, state: str = "EVIDENCE_REQUIRED") -> str:
        """Open a dispute about a payment, and return its id."""
        key = f"dsp-{self.number():08d}"
        self.disputes[key] = {
            "id": key,
            "dispute_id": key,
            "amount_money": self.payments[id]["total_money"],
            "reason": "NOT_AS_DESCRIBED",
            "state": state,
            "due_at": self._moment(10 * _DAY),
            "disputed_payment": {"payment_id": id},
            "created_at": self._moment(),
            "updated_at": self._moment(),
        }
        self._send_webhook("dispute.created", "dispute", self.disputes[key])
        return key

    def decide(self, id: str, state: str) -> None:
        """Set a dispute's next state: "PROCESSING", "WON", "LOST" or "ACCEPTED"."""
        dispute = self.disputes[id]
        dispute |= {"state": state, "updated_at": self._moment()}
        self._send_webhook("dispute.state.updated", "dispute", dispute)

    def pay_out(self, amount: int, currency: str, status: str = "SENT") -> str:
        """Pay out money to the merchant's bank, and return the payout's id."""
        key = f"po_{self.number():08d}"
        self.payouts[key] = {
            "id": key,
            "status": status,
            "location_id": self.location_id,
            "created_at": self._moment(),
            "updated_at": self._moment(),
            "amount_money": {"amount": amount, "currency": currency},
            "arrival_date": self._moment(2 * _DAY)[:10],
        }
        self._send_webhook(f"payout.{status.lower()}", "payout", self.payouts[key])
        return key

    def pay_out_payments(self) -> str:
        """Pay out the completed payments and refunds that no payout has; return the payout's id."""
        completed = [item for item in self.payments.values() if item["status"] == "COMPLETED"]
        entries = [
            self._entry("CHARGE", item["total_money"], item["id"])
            for item in completed
            if item["id"] not in self._paid_out
        ]
        entries += [
            self._entry("REFUND", refund["amount_money"], refund["payment_id"], refund["id"])
            for refund in self.refunds.values()
            if refund["status"] != "FAILED" and refund["id"] not in self._paid_out
        ]
        self._paid_out |= {item["id"] for item in completed} | self.refunds.keys()
        net = sum(entry["net_amount_money"]["amount"] for entry in entries)
        key = self.pay_out(net, completed[0]["total_money"]["currency"])
        self.entries[key] = [{**entry, "payout_id": key} for entry in entries]
        return key

    def _entry(
        self, kind: str, amount: dict[str, Any], payment: str, refund: str | None = None
    ) -> dict[str, Any]:
        is_charge = refund is None
        gross = amount["amount"] if is_charge else -amount["amount"]
        fee = 10 + gross * 26 // 1000 if is_charge else 0
        details = {"payment_id": payment} | ({} if is_charge else {"refund_id": refund})
        return {
            "id": f"poe_{self.number():08d}",
            "type": kind,
            "effective_at": self._moment(),
            "gross_amount_money": {**amount, "amount": gross},
            "fee_amount_money": {**amount, "amount": fee},
            "net_amount_money": {**amount, "amount": gross - fee},
            f"type_{kind.lower()}_details": details,
        }

    # --- how it is asked ---------------------------------------------------

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token and API version."""
        if request.bearer() != self.access_token:
            detail = "This request could not be authorized."
            raise base.Refusal(error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED", detail))
        if VERSION.fullmatch(request.headers.get("square-version") or "") is None:
            raise invalid_request(
                "INVALID_SQUARE_VERSION_FORMAT", "The value is not a version of the API."
            )

    def _keyed_handler(
        self, shapes: Mapping[str, Any], handle: Callable[..., Response]
    ) -> Callable[..., Response]:
        def answer(request: base.SandboxRequest, **names: str) -> Response:
            body = check(request.json(), shapes)
            require_fields(body, "idempotency_key")
            key = request.path, body["idempotency_key"]
            return self._replays.respond(key, body, lambda: handle(body, **names))

        return answer

    def _lists(
        self, resources: Callable[[], dict[str, dict[str, Any]]], time_field: str | None = None
    ) -> Callable[..., Response]:
        names = {"cursor", "location_id"}
        if time_field is not None:
            names |= {"begin_time", "end_time", "limit", "sort_order"}

        def answer(request: base.SandboxRequest) -> Response:
            query = dict(request.query)
            for name in set(query) - names:
                raise invalid_request(
                    "UNKNOWN_QUERY_PARAMETER", "The request has an unknown parameter.", field=name
                )
            limit, cursor = int(query.get("limit", "100")), query.get("cursor")
            newest_last = [*resources()]
            ids = newest_last if query.get("sort_order") == "ASC" else newest_last[::-1]
            if not 1 <= limit <= 100 or cursor not in {None, *ids}:
                raise invalid_request(
                    "INVALID_CURSOR", "The cursor or the limit is not valid.", field="cursor"
                )
            start_time, end_time = _moment_of(query, "begin_time"), _moment_of(query, "end_time")
            # A cursor names an item, so that new items do not shift the next page.
            start = 0 if cursor is None else ids.index(cursor)
            matches = [
                resource
                for resource in map(resources().__getitem__, ids[start:])
                if query.get("location_id") in {None, resource.get("location_id", self.location_id)}
                and (
                    time_field is None
                    or (start_time or "") <= resource[time_field][:19] <= (end_time or "9999")
                )
            ]
            page, name = matches[:limit], request.path.rpartition("/")[2]
            # Square leaves out an empty list.
            body: dict[str, Any] = {name: page} if page else {}
            next_cursor = {"cursor": matches[limit]["id"]} if len(matches) > limit else {}
            return base.reply({**body, **next_cursor})

        return answer

    # --- what it does ------------------------------------------------------

    def _pay(self, body: dict[str, Any]) -> Response:
        require_fields(body, "source_id", "amount_money")
        money, source = body["amount_money"], body["source_id"]
        amount, customer = amount_of(money), body.get("customer_id")
        if customer is not None and customer not in self.customers:
            raise invalid_request(
                "CUSTOMER_NOT_FOUND",
                "The account has no customer with this id.",
                field="customer_id",
            )
        if source.startswith("ccof:") and customer is None:
            raise invalid_request(
                "MISSING_REQUIRED_PARAMETER", "A stored card needs a customer.", field="customer_id"
            )
        if body.get("location_id", self.location_id) != self.location_id:
            raise invalid_request(
                "INVALID_LOCATION", "The account has no location with this id.", field="location_id"
            )
        code = None if self._is_stored(source, customer) else magic(source)
        is_completed = body.get("autocomplete", True)
        key = f"sq{self.number():08d}"
        total = {**money, "amount": amount + body.get("tip_money", {"amount": 0})["amount"]}
        payment: dict[str, Any] = {
            "id": key,
            "created_at": self._moment(),
            "amount_money": money,
            "total_money": total,
            "approved_money": total,
            "status": "COMPLETED" if is_completed else "APPROVED",
            "source_type": "CARD",
            "location_id": self.location_id,
            "delayed_until": self._moment(7 * _DAY),
        }
        copied_names = ("reference_id", "customer_id", "note", "statement_description_identifier")
        payment |= {name: body[name] for name in copied_names if name in body}
        if source.startswith("bnon:"):
            payment |= {"status": "PENDING", "source_type": "BANK_ACCOUNT"}
        else:
            payment["card_details"] = {"card": _card(source)}
        self.payments[key] = payment
        if code is not None:
            return self._declined(payment, code)
        self._send_change(payment, "payment.created")
        return base.reply({"payment": payment})

    def _is_stored(self, source: str, customer: str | None) -> bool:
        card = self.cards.get(source)
        return card is not None and card["enabled"] and card["customer_id"] == customer

    def _declined(self, payment: dict[str, Any], code: str) -> Response:
        detail = f"Authorization error: '{code}'"
        problem = {"category": "PAYMENT_METHOD_ERROR", "code": code, "detail": detail}
        payment["status"] = "FAILED"
        del payment["approved_money"]
        payment["card_details"]["errors"] = [problem]
        self._send_change(payment, "payment.created")
        return base.reply({"errors": [problem], "payment": payment}, 402)

    def _show_payment(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply({"payment": self._payment(id)})

    def _show_refund(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply({"refund": base.existing(self.refunds, id, missing_object(id))})

    def _update(self, body: dict[str, Any], id: str) -> Response:
        payment = self._approved(id)
        money = body.get("payment", {}).get("amount_money")
        if money is None:
            raise invalid_request("NO_FIELDS_SET", "The request changes no field.", field="payment")
        amount = amount_of(money, payment["amount_money"]["currency"])
        if amount > payment["approved_money"]["amount"]:
            raise invalid_request(
                "VALUE_TOO_HIGH", "The amount exceeds the approved amount.", field="amount_money"
            )
        payment |= {"amount_money": money, "total_money": money}
        self._send_change(payment)
        return base.reply({"payment": payment})

    def _complete(self, request: base.SandboxRequest, id: str) -> Response:
        check(request.json(), COMPLETE)
        payment = self._approved(id)
        payment["status"] = "COMPLETED"
        self._send_change(payment)
        return base.reply({"payment": payment})

    def _cancel(self, request: base.SandboxRequest, id: str) -> Response:
        if request.body:
            raise invalid_request("UNKNOWN_BODY_PARAMETER", "The request has no evidence.")
        payment = self._approved(id)
        payment["status"] = "CANCELED"
        self._send_change(payment)
        return base.reply({"payment": payment})

    def _refund(self, body: dict[str, Any]) -> Response:
        require_fields(body, "payment_id", "amount_money")
        payment, money = self._payment(body["payment_id"]), body["amount_money"]
        amount = amount_of(money, payment["amount_money"]["currency"])
        if payment["status"] != "COMPLETED":
            raise _not_refundable("REFUND_ERROR_PAYMENT_NEEDS_COMPLETION")
        refunded_total = sum(
            refund_made["amount_money"]["amount"]
            for refund_made in self.refunds.values()
            if refund_made["payment_id"] == payment["id"] and refund_made["status"] != "FAILED"
        )
        if amount > payment["total_money"]["amount"] - refunded_total:
            raise _not_refundable("REFUND_AMOUNT_INVALID")
        key = f"{payment['id']}_r{self.number()}"
        refund = {
            "id": key,
            "status": "PENDING",
            "amount_money": money,
            "payment_id": payment["id"],
            "location_id": self.location_id,
            "created_at": self._moment(),
            "updated_at": self._moment(),
            **{name: body[name] for name in ("reason",) if name in body},
        }
        self.refunds[key] = refund
        payment["refund_ids"] = [*payment.get("refund_ids", ()), key]
        self._send_webhook("refund.created", "refund", refund)
        return base.reply({"refund": refund})

    def _show_dispute(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply({"dispute": self._dispute(id)})

    def _accept_dispute(self, _: base.SandboxRequest, id: str) -> Response:
        dispute = self._open_dispute(id)
        self.decide(id, "ACCEPTED")
        return base.reply({"dispute": dispute})

    def _store_evidence(self, body: dict[str, Any], id: str) -> Response:
        self._open_dispute(id)
        texts = {name: value for name, value in body.items() if name != "idempotency_key"}
        evidence = {**texts, "id": f"evd-{self.number():08d}", "dispute_id": id}
        self.evidence.append(evidence)
        return base.reply({"evidence": evidence})

    def _submit_evidence(self, _: base.SandboxRequest, id: str) -> Response:
        dispute = self._open_dispute(id)
        self.decide(id, "PROCESSING")
        return base.reply({"dispute": dispute})

    def _open_dispute(self, id: str) -> dict[str, Any]:
        dispute = self._dispute(id)
        if dispute["state"] != "EVIDENCE_REQUIRED":
            raise invalid_request("BAD_REQUEST", "This dispute cannot be answered any more.")
        return dispute

    def _dispute(self, id: str) -> dict[str, Any]:
        if id not in self.disputes:
            raise invalid_request("NOT_FOUND", "The dispute is not found.", 404)
        return self.disputes[id]

    def _store(self, body: dict[str, Any]) -> Response:
        require_fields(body, "source_id", "card")
        require_fields(body["card"], "customer_id")
        customer = body["card"]["customer_id"]
        if customer not in self.customers:
            raise invalid_request(
                "CUSTOMER_NOT_FOUND",
                "The account has no customer with this id.",
                field="customer_id",
            )
        code = magic(body["source_id"])
        if code is not None:
            detail = f"Authorization error: '{code}'"
            raise base.Refusal(error(400, "INVALID_REQUEST_ERROR", code, detail))
        key = f"ccof:{self.number():08d}"
        self.cards[key] = {
            **_card(""),
            **body["card"],
            "id": key,
            "enabled": True,
            "merchant_id": "MSANDBOX",
            "version": 1,
        }
        return base.reply({"card": self.cards[key]})

    def _list_cards(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        cards = [
            card
            for card in self.cards.values()
            if card["enabled"] and query.get("customer_id") in {None, card["customer_id"]}
        ]
        return base.reply({"cards": cards} if cards else {})

    def _disable(self, _: base.SandboxRequest, id: str) -> Response:
        card = base.existing(self.cards, id, missing_object(id))
        card["enabled"] = False
        return base.reply({"card": card})

    def _list_entries(self, _: base.SandboxRequest, id: str) -> Response:
        base.existing(self.payouts, id, missing_object(id))
        return base.reply({"payout_entries": self.entries.get(id, [])})

    # --- its ledger ---------------------------------------------------------

    def _payment(self, id: str) -> dict[str, Any]:
        return base.existing(self.payments, id, missing_object(id))

    def _approved(self, id: str) -> dict[str, Any]:
        payment = self._payment(id)
        if payment["status"] == "APPROVED" and payment["delayed_until"] <= self._moment():
            payment["status"] = "CANCELED"
            self._send_change(payment)
        if payment["status"] != "APPROVED":
            detail = f"Payment {id} is in state {payment['status']}, not APPROVED."
            raise invalid_request("BAD_REQUEST", detail)
        return payment

    def _moment(self, later: float = 0) -> str:
        moment = datetime.fromtimestamp(self.now() + later, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _send_change(self, payment: dict[str, Any], kind: str = "payment.updated") -> None:
        payment["updated_at"] = self._moment()
        self._send_webhook(kind, "payment", payment)

    def _send_webhook(self, kind: str, name: str, resource: dict[str, Any]) -> None:
        """Send a signed webhook about an object."""
        event = {
            "merchant_id": "MSANDBOX",
            "type": kind,
            "event_id": f"evt-{self.number():08d}",
            "created_at": self._moment(),
            "data": {"type": name, "id": resource["id"], "object": {name: resource}},
        }
        body = json.dumps(event).encode()
        signed_bytes = self.webhook_url.encode() + body
        signature = base64_hmac(self.signature_key.encode(), signed_bytes)
        headers = {
            "Content-Type": "application/json",
            "x-square-hmacsha256-signature": signature,
        }
        self.notify(self.webhook_url, body, headers)


def _card(source: str) -> dict[str, Any]:
    card = {"card_brand": "VISA", "last_4": "5858", "exp_month": 12, "exp_year": 2034}
    return {"id": source, **card} if source.startswith("ccof:") else card


def _minor_amount(payment: Mapping[str, Any], name: str) -> int:
    return int(payment.get(name, {"amount": 0})["amount"])


def _key_reused() -> base.Refusal:
    detail = "Different request parameters used for the same idempotency_key."
    return invalid_request("IDEMPOTENCY_KEY_REUSED", detail, field="idempotency_key")


def _not_refundable(code: str) -> base.Refusal:
    return base.Refusal(error(400, "REFUND_ERROR", code, "This cannot be given back."))


def _moment_of(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name)
    if text is not None and not (text.endswith("Z") and text[10:11] == "T"):
        raise invalid_request(
            "INVALID_TIME", "The value is not a time in the format of RFC 3339.", field=name
        )
    return None if text is None else text[:19]


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = SquareSandbox()
    sandbox.customers.add("ada-1")

    def open_dispute(payment: Ref) -> str:
        return sandbox.dispute(payment.id)

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.access_token,
            "location_id": sandbox.location_id,
            "volatile_keys": True,
        },
        vendor_values={
            "dispute": open_dispute,
            "pay_out": sandbox.pay_out_payments,
        },
        token="cnon:card-nonce-ok",
    )
