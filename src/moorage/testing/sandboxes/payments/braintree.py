"""A local sandbox that imitates Braintree's GraphQL API, with one merchant account in euros.

Magic means of payment: `fake-valid-nonce` and the stored `paymentmethod_vaulted` pay;
`fake-processor-declined-2004-nonce` is declined, with any code of a processor in place of 2004, and
`fake-gateway-rejected-FRAUD-nonce` is rejected, with any reason in place of FRAUD. `settle`
settles the captured transactions; only settled transactions can be refunded.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha1
from hmac import digest
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes._graphql import (
    Field,
    UnreadableError,
    read_operation,
    selected_fields,
)
from moorage.testing.sandboxes.base import Routes, Sandbox, SandboxRequest, reply, state_field
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.payments._braintree_rules import (
    VAULTED,
    amount_of,
    checked_input,
    decline_code,
    errors,
    invalid,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.domain.http.requests import Response

_VERSION: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_WEEK: Final = timedelta(days=7)


class BraintreeSandbox(Sandbox):
    """A sandbox of Braintree: transactions, refunds, the vault and webhooks.

    Attributes:
        public_key, private_key: the API key that requests must have.
        webhook_url: URL that webhooks are sent to.
        now: returns the time, in seconds since 1970.
        transactions, refunds: all transactions and refunds, by their ids for GraphQL.
        vault: the means of payment in the vault, by id, with their customers.
        hides: True if searches do not find the newest transactions, as if they were not indexed
            yet.
    """

    hosts = ("payments.braintree-api.com", "payments.sandbox.braintree-api.com")

    public_key: str = "sandboxpublickey"
    private_key: str = "sandbox-private-key-0123456789"
    webhook_url: str = "https://shop.example/webhooks/braintree"
    now: Callable[[], float] = time.time
    hides: bool = False
    transactions: dict[str, dict[str, Any]] = state_field(dict)
    refunds: dict[str, dict[str, Any]] = state_field(dict)
    vault: dict[str, dict[str, Any]] = state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.store("ada-1")

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /graphql": self._execute}

    def check_access(self, request: SandboxRequest) -> None:
        """Check a request's API key and version."""
        if request.basic() != (self.public_key, self.private_key):
            raise errors(None, "Invalid credentials.", "AUTHENTICATION")
        if _VERSION.fullmatch(request.headers.get("braintree-version") or "") is None:
            raise errors(None, "Invalid Braintree-Version.", "UNSUPPORTED_CLIENT")

    # --- events outside of the API -----------------------------------------

    def store(self, customer: str) -> str:
        """Store a customer's card in the vault, and return its id."""
        id_ = f"{VAULTED}_{self.number()}" if self.vault else VAULTED
        details = {"__typename": "CreditCardDetails", **_card()}
        self.vault[id_] = {
            "id": id_,
            "createdAt": self._moment(),
            "details": details,
            "customer": customer,
        }
        return id_

    def settle(self, *, success: bool = True) -> None:
        """Settle or decline all captured transactions and refunds."""
        for transaction in self.transactions.values():
            if transaction["status"] == "SUBMITTED_FOR_SETTLEMENT":
                self._move(transaction, "SETTLED" if success else "SETTLEMENT_DECLINED")
                kind = "settled" if success else "settlement_declined"
                self._send_webhook(f"transaction_{kind}", transaction)
        for refund in self.refunds.values():
            if refund["status"] == "SUBMITTED_FOR_SETTLEMENT":
                self._move(refund, "SETTLED" if success else "FAILED")
                if not success:
                    self._send_webhook("refund_failed", refund)

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return errors(None, problem, "VALIDATION").response

    # --- how it is asked ---------------------------------------------------

    def _execute(self, request: SandboxRequest) -> Response:
        body = request.json()
        if not is_object(body) or not isinstance(body.get("query"), str):
            raise errors(None, "The request has no query.", "VALIDATION")
        try:
            kind, fields = read_operation(body["query"], body.get("variables") or {})
            data = {field.name: self._root(kind, field) for field in fields}
        except UnreadableError as error:
            raise errors(None, str(error), "VALIDATION") from None
        return reply({"data": data, "extensions": {"requestId": "a-request-of-the-sandbox"}})

    def _root(self, kind: str, field: Field) -> Any:
        roots: dict[tuple[str, str], Callable[[Field], Any]] = {
            ("query", "node"): self._node,
            ("query", "idFromLegacyId"): self._resolve,
            ("query", "search"): self._search,
            ("mutation", "chargePaymentMethod"): self._pay,
            ("mutation", "authorizePaymentMethod"): self._pay,
            ("mutation", "captureTransaction"): self._capture,
            ("mutation", "reverseTransaction"): self._reverse,
            ("mutation", "refundTransaction"): self._refund,
            ("mutation", "deletePaymentMethodFromVault"): self._delete,
        }
        if (kind, field.name) not in roots:
            raise UnreadableError(f"Field '{field.name}' doesn't exist on {kind}")
        value = roots[kind, field.name](field)
        return selected_fields(value, field, field.name) if is_object(value) else value

    def _node(self, field: Field) -> Any:
        id_ = field.arguments["id"]
        if id_ in self.transactions:
            return self._transaction_fields(self.transactions[id_])
        if id_ in self.refunds:
            return self._shown_refund(self.refunds[id_])
        means = [item for item in self.vault.values() if item["customer"] == id_]
        if not means:
            raise errors("node", f"No node with id {id_}.", "NOT_FOUND")
        edges = [{"node": {**item, "customer": {"id": id_}}} for item in means]
        page = {"hasNextPage": False, "endCursor": None}
        connection = {"edges": edges, "pageInfo": page}
        return {"__typename": "Customer", "paymentMethods": connection}

    def _resolve(self, field: Field) -> Any:
        kinds = {"TRANSACTION": self.transactions, "REFUND": self.refunds}
        for id_, record in kinds[field.arguments["type"]].items():
            if record["legacyId"] == field.arguments["legacyId"]:
                return id_
        raise errors("idFromLegacyId", "The account has no record with this id.", "NOT_FOUND")

    def _search(self, field: Field) -> Any:
        searches: dict[str, Any] = {}
        for inner in field.selection:
            records = self.transactions if inner.name == "transactions" else self.refunds
            show = self._transaction_fields if inner.name == "transactions" else self._shown_refund
            filters = inner.arguments["input"]
            period = filters.get("createdAt", {})
            order_id = filters.get("orderId", {}).get("is")
            rows = [
                record
                for record in reversed(records.values())
                if order_id in {None, record["orderId"]}
                and not self.hides
                and _is_within(record["createdAt"], period)
            ]
            size, cursor = inner.arguments["first"], inner.arguments.get("after")
            # A cursor names a record, so that new records do not shift the next page.
            start = 0 if cursor is None else [row["id"] for row in rows].index(cursor) + 1
            page, end = rows[start : start + size], start + size
            searches[inner.name] = {
                "edges": [{"node": show(row)} for row in page],
                "pageInfo": {
                    "hasNextPage": len(rows) > end,
                    "endCursor": page[-1]["id"] if page else None,
                },
            }
        return searches

    # --- what it does ------------------------------------------------------

    def _pay(self, field: Field) -> Any:
        fields = checked_input(field.name, field.arguments["input"])
        order, source = fields["transaction"], fields["paymentMethodId"]
        amount = amount_of(field.name, order["amount"])
        if source.startswith(VAULTED) and source not in self.vault:
            raise invalid(field.name, "Payment method does not exist.", "91565")
        code = decline_code(field.name, source)
        is_charge = field.name == "chargePaymentMethod"
        number = self.number()
        status = "SUBMITTED_FOR_SETTLEMENT" if is_charge else "AUTHORIZED"
        transaction: dict[str, Any] = {
            "id": f"dHJhbnNhY3Rpb25f{number:08d}",
            "legacyId": f"tr{number:06d}",
            "createdAt": self._moment(),
            "orderId": order.get("orderId"),
            "amount": amount,
            "initial": amount,
            "status": "",
            "statusHistory": [],
            "means": source if source in self.vault else None,
        }
        self.transactions[transaction["id"]] = transaction
        if code is None:
            self._move(transaction, "AUTHORIZED")
            if is_charge:
                self._move(transaction, status)
            if order.get("vaultPaymentMethodAfterTransacting") and transaction["means"] is None:
                transaction["means"] = self.store(order.get("customerId", ""))
        elif code.isdigit():
            self._move(transaction, "PROCESSOR_DECLINED", code)
        else:
            self._move(transaction, "GATEWAY_REJECTED", code)
        return {"transaction": self._transaction_fields(transaction)}

    def _capture(self, field: Field) -> Any:
        fields = checked_input(field.name, field.arguments["input"])
        transaction = self._transaction(field.name, fields["transactionId"])
        if transaction["status"] != "AUTHORIZED":
            text = "Cannot submit for settlement unless status is authorized."
            raise invalid(field.name, text, "91507")
        text = fields.get("transaction", {}).get("amount", str(transaction["amount"]))
        transaction["amount"] = amount_of(field.name, text, transaction["amount"], "91522")
        self._move(transaction, "SUBMITTED_FOR_SETTLEMENT")
        return {"transaction": self._transaction_fields(transaction)}

    def _reverse(self, field: Field) -> Any:
        fields = checked_input(field.name, field.arguments["input"])
        transaction = self._transaction(field.name, fields["transactionId"])
        if transaction["status"] == "SETTLED":
            if self._refunds_of(transaction):
                raise invalid(field.name, "Refund amount is too large.", "91521")
            refund = self._new_refund(transaction, transaction["amount"], None)
            return {"reversal": self._shown_refund(refund)}
        if transaction["status"] not in {"AUTHORIZED", "SUBMITTED_FOR_SETTLEMENT"}:
            raise invalid(field.name, "Transaction cannot be voided.", "91504")
        self._move(transaction, "VOIDED")
        return {"reversal": self._transaction_fields(transaction)}

    def _refund(self, field: Field) -> Any:
        fields = checked_input(field.name, field.arguments["input"])
        transaction = self._transaction(field.name, fields["transactionId"])
        if transaction["status"] != "SETTLED":
            raise invalid(field.name, "Cannot refund a transaction unless it is settled.", "91506")
        refunded = sum(
            (refund["amount"] for refund in self._refunds_of(transaction)), start=Decimal(0)
        )
        refundable, options = transaction["amount"] - refunded, fields.get("refund", {})
        if refundable <= 0:
            raise invalid(field.name, "Transaction has already been fully refunded.", "91512")
        amount = amount_of(field.name, options.get("amount", str(refundable)), refundable)
        refund = self._new_refund(transaction, amount, options.get("orderId"))
        return {"refund": self._shown_refund(refund)}

    def _delete(self, field: Field) -> Any:
        id_ = checked_input(field.name, field.arguments["input"])["paymentMethodId"]
        if id_ not in self.vault:
            raise errors(field.name, "Payment method not found.", "NOT_FOUND")
        del self.vault[id_]
        return {"clientMutationId": None}

    # --- its ledger ---------------------------------------------------------

    def _transaction(self, name: str, id_: str) -> dict[str, Any]:
        if id_ not in self.transactions:
            raise errors(name, "Transaction not found.", "NOT_FOUND")
        return self.transactions[id_]

    def _refunds_of(self, transaction: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            refund
            for refund in self.refunds.values()
            if refund["transaction"] is transaction and refund["status"] != "FAILED"
        ]

    def _new_refund(
        self, transaction: dict[str, Any], amount: Decimal, order_id: str | None
    ) -> dict[str, Any]:
        number = self.number()
        refund: dict[str, Any] = {
            "id": f"cmVmdW5kX{number:08d}",
            "legacyId": f"rf{number:06d}",
            "createdAt": self._moment(),
            "orderId": order_id or transaction["orderId"],
            "amount": amount,
            "status": "",
            "statusHistory": [],
            "transaction": transaction,
        }
        self.refunds[refund["id"]] = refund
        self._move(refund, "SUBMITTED_FOR_SETTLEMENT")
        return refund

    def _move(self, record: dict[str, Any], status: str, code: str | None = None) -> None:
        """Set the status of a transaction or refund, and add it to its history."""
        record["status"] = status
        event: dict[str, Any] = {
            "__typename": _EVENTS.get(status, "SettledEvent"),
            "status": status,
            "timestamp": self._moment(),
        }
        if status == "AUTHORIZED":
            event["authorizationExpiresAt"] = self._moment(_WEEK)
        elif status == "PROCESSOR_DECLINED":
            event["processorResponse"] = {"legacyCode": code, "message": "Processor declined."}
        elif status == "GATEWAY_REJECTED":
            event["gatewayRejectionReason"] = code
        record["statusHistory"].insert(0, event)

    def _transaction_fields(self, transaction: dict[str, Any]) -> dict[str, Any]:
        return {
            "__typename": "Transaction",
            **transaction,
            "amount": _money(transaction["amount"]),
            "initialRequestedAuthorizationAmount": _money(transaction["initial"]),
            "paymentMethodSnapshot": {"__typename": "CreditCardDetails", **_card()},
            "paymentMethod": None if transaction["means"] is None else {"id": transaction["means"]},
            "refunds": [
                {**refund, "amount": _money(refund["amount"])}
                for refund in self.refunds.values()
                if refund["transaction"] is transaction
            ],
        }

    def _shown_refund(self, refund: dict[str, Any]) -> dict[str, Any]:
        transaction = refund["transaction"]
        return {
            "__typename": "Refund",
            **refund,
            "amount": _money(refund["amount"]),
            "refundedTransaction": {"id": transaction["id"], "legacyId": transaction["legacyId"]},
        }

    def _moment(self, later: timedelta = timedelta()) -> str:
        moment = datetime.fromtimestamp(self.now(), UTC) + later
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def _send_webhook(self, kind: str, record: dict[str, Any]) -> None:
        """Send a signed webhook about a transaction."""
        document = (
            f'<notification><timestamp type="datetime">{self._moment()[:19]}Z</timestamp>'
            f"<kind>{kind}</kind><subject><transaction><id>{record['legacyId']}</id>"
            f"<status>{record['status'].lower()}</status><type>sale</type>"
            f"<currency-iso-code>EUR</currency-iso-code><amount>{record['amount']:.2f}</amount>"
            "</transaction></subject></notification>"
        )
        payload = f"{b64encode(document.encode()).decode()}\n"
        key = sha1(self.private_key.encode()).digest()  # noqa: S324 - the vendor's own way
        signature = digest(key, payload.encode(), "sha1").hex()
        form = {"bt_signature": f"{self.public_key}|{signature}", "bt_payload": payload}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.notify(self.webhook_url, urlencode(form).encode(), headers)


_EVENTS: Final = {
    "AUTHORIZED": "AuthorizedEvent",
    "SUBMITTED_FOR_SETTLEMENT": "SubmittedForSettlementEvent",
    "PROCESSOR_DECLINED": "ProcessorDeclinedEvent",
    "GATEWAY_REJECTED": "GatewayRejectedEvent",
    "SETTLEMENT_DECLINED": "SettlementDeclinedEvent",
    "VOIDED": "VoidedEvent",
    "FAILED": "FailedEvent",
}


def _card() -> dict[str, Any]:
    return {
        "brandCode": "VISA",
        "last4": "1111",
        "expirationMonth": "12",
        "expirationYear": "2034",
    }


def _money(amount: Decimal) -> dict[str, str]:
    return {"value": f"{amount:.2f}", "currencyCode": "EUR"}


def _is_within(created_at: str, period: dict[str, str]) -> bool:
    created = datetime.fromisoformat(created_at)
    since, until = period.get("greaterThanOrEqualTo"), period.get("lessThanOrEqualTo")
    return (since is None or datetime.fromisoformat(since) <= created) and (
        until is None or created <= datetime.fromisoformat(until)
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = BraintreeSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "public_key": sandbox.public_key,
            "credentials": sandbox.private_key,
            "currency": "EUR",
            "volatile_keys": True,
        },
        vendor_values={"is_stored": True, "settle": sandbox.settle},
        token="fake-valid-nonce",
    )
