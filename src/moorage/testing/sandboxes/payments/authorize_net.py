"""A local sandbox that imitates Authorize.Net's JSON API, with one account in euros.

Magic nonces: `nonce-ok` pays, `nonce-held` is held for review, and `nonce-code-2` fails with this
code of a reason, or any other code in its place. `8000001/9000001` is a stored means of payment.
`settle` settles the captured transactions and the refunds in a batch; only settled transactions can
be refunded. Fields in another order than that of the schema are refused.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from hmac import digest
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes.base import Routes, Sandbox, SandboxRequest, existing, state_field
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.payments._authorize_net_rules import (
    NOTHING,
    amount_of,
    answer,
    checked_request,
    error,
    nonce_code,
    unsuccessful,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from moorage.domain.http.requests import Response

STORED: Final = "8000001/9000001"
"""The stored means of payment."""
_CAPTURED: Final = "capturedPendingSettlement"
_AUTHORIZED: Final = "authorizedPendingCapture"
_REFUNDED: Final = "refundPendingSettlement"
_SETTLED: Final = {
    _CAPTURED: "settledSuccessfully",
    _REFUNDED: "refundSettledSuccessfully",
}
_HELD: Final = "FDSPendingReview"
_VOIDABLE: Final = frozenset({_CAPTURED, _AUTHORIZED, _REFUNDED, _HELD})
_USUAL_WINDOW: Final = 120
_LONGEST_PERIOD: Final = 31 * 86_400
_ANSWERED: Final = ("transId", "refTransID", "authCode", "accountNumber", "accountType")


class AuthorizeNetSandbox(Sandbox):
    """A sandbox of Authorize.Net: transactions, batches, customer profiles and webhooks.

    Attributes:
        login_id, transaction_key: the credentials that requests must have.
        signature_key: the key that signs webhooks.
        webhook_url: URL that webhooks are sent to.
        now: returns the time, in seconds since 1970.
        transactions: all transactions and refunds by id.
        profiles: the last digits of cards by the id of their payment profile, below the id of the
            customer profile.
        customers: the ids of customer profiles, by the merchant's own ids of the customers.
        hides: True if the lists do not have the newest transactions yet.
    """

    hosts = ("api.authorize.net", "apitest.authorize.net")

    login_id: str = "5KP3sandbox"
    transaction_key: str = "sandboxKey012345"
    signature_key: str = "52CB4A002C634B84E397DC8A218E1A16" * 4
    webhook_url: str = "https://shop.example/webhooks/authorize-net"
    now: Callable[[], float] = time.time
    hides: bool = False
    transactions: dict[str, dict[str, Any]] = state_field(dict)
    profiles: dict[str, dict[str, str]] = state_field(dict)
    customers: dict[str, str] = state_field(dict)

    def __attrs_post_init__(self) -> None:
        customer, means = STORED.split("/")
        self.profiles[customer] = {means: "1111"}
        self.customers["ada-1"] = customer

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /xml/v1/request.api": self._execute}

    # --- events outside of the API -----------------------------------------

    def settle(self) -> None:
        """Settle the captured transactions and the refunds, in the batch of this day."""
        for transaction in self.transactions.values():
            if transaction["status"] in _SETTLED:
                transaction["status"] = _SETTLED[transaction["status"]]
                transaction["settled"] = self.now()

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return error("E00003", problem).response

    # --- how it is asked ---------------------------------------------------

    def _execute(self, request: SandboxRequest) -> Response:
        name, fields = checked_request(request.json())
        login = fields["merchantAuthentication"]
        if (login["name"], login["transactionKey"]) != (self.login_id, self.transaction_key):
            raise error(
                "E00007", "User authentication failed due to invalid authentication values."
            )
        methods: dict[str, Callable[[dict[str, Any]], Response]] = {
            "createTransaction": self._create,
            "getTransactionDetails": self._details,
            "getUnsettledTransactionList": self._unsettled,
            "getSettledBatchList": self._batches,
            "getTransactionList": self._batch,
            "getCustomerProfile": self._profile,
            "deleteCustomerPaymentProfile": self._delete,
        }
        return methods[name](fields)

    def _details(self, fields: dict[str, Any]) -> Response:
        transaction = self._transaction(fields["transId"])
        order = {**transaction["order"], "purchaseOrderNumber": transaction["po"]}
        details = {
            "transId": transaction["transId"],
            "submitTimeUTC": self._moment(transaction["at"], digits=3),
            "submitTimeLocal": self._moment(transaction["at"], digits=3).rstrip("Z"),
            "transactionType": transaction["type"],
            "transactionStatus": transaction["status"],
            "responseCode": int(transaction["responseCode"]),
            "responseReasonCode": int(transaction["code"]),
            "responseReasonDescription": "Approval" if transaction["code"] == "1" else "Refused",
            "order": {name: value for name, value in order.items() if value},
            "authAmount": float(transaction["auth"]),
            "settleAmount": float(transaction["settle"]),
            "taxExempt": False,
            "payment": {
                "creditCard": {
                    "cardNumber": transaction["accountNumber"],
                    "expirationDate": "XXXX",
                    "cardType": transaction["accountType"],
                }
            },
            "recurringBilling": False,
            "product": "Card Not Present",
            "marketType": "eCommerce",
        }
        if transaction["refTransID"]:
            details["refTransId"] = transaction["refTransID"]
        if transaction["profile"]:
            details["profile"] = transaction["profile"]
        if transaction["settled"] is not None:
            details["batch"] = self._shown_batch(transaction["settled"])
        mark = {} if transaction["refId"] is None else {"transrefId": transaction["refId"]}
        return answer({"transaction": details, **mark})

    def _unsettled(self, fields: dict[str, Any]) -> Response:
        rows = (item for item in self.transactions.values() if item["settled"] is None)
        return self._page([] if self.hides else rows, fields)

    def _batches(self, fields: dict[str, Any]) -> Response:
        names = ("firstSettlementDate", "lastSettlementDate")
        start, end = (datetime.fromisoformat(fields[name]).timestamp() for name in names)
        if not 0 <= end - start <= _LONGEST_PERIOD:
            raise error("E00013", "The date range is invalid: it must not exceed 31 days.")
        moments = {
            _day_of(item["settled"]): item["settled"]
            for item in self.transactions.values()
            # The bounds are whole seconds.
            if item["settled"] is not None and start - 1 <= item["settled"] <= end + 1
        }
        if not moments or self.hides:
            return answer({}, NOTHING)
        return answer({"batchList": [self._shown_batch(moment) for moment in moments.values()]})

    def _batch(self, fields: dict[str, Any]) -> Response:
        rows = [
            item
            for item in self.transactions.values()
            if item["settled"] is not None and _day_of(item["settled"]) == fields["batchId"]
        ]
        return self._page(rows, fields)

    def _page(self, rows: Iterable[dict[str, Any]], fields: dict[str, Any]) -> Response:
        newest_first = sorted(rows, key=lambda row: (row["at"], row["transId"]), reverse=True)
        size, number = fields["paging"]["limit"], fields["paging"]["offset"]
        if not 1 <= size <= 1_000 or not 1 <= number <= 100_000:
            raise error("E00013", "The paging is invalid.")
        page = newest_first[(number - 1) * size : number * size]
        if not page:
            return answer({}, NOTHING)
        total = len(newest_first)
        listed_rows = [self._row(row) for row in page]
        return answer({"transactions": listed_rows, "totalNumInResultSet": total})

    def _row(self, transaction: dict[str, Any]) -> dict[str, Any]:
        row = {
            "transId": transaction["transId"],
            "submitTimeUTC": self._moment(transaction["at"]),
            "submitTimeLocal": self._moment(transaction["at"]).rstrip("Z"),
            "transactionStatus": transaction["status"],
            "accountType": transaction["accountType"],
            "accountNumber": transaction["accountNumber"],
            "settleAmount": float(transaction["settle"]),
            "marketType": "eCommerce",
            "product": "Card Not Present",
        }
        if "invoiceNumber" in transaction["order"]:
            row["invoiceNumber"] = transaction["order"]["invoiceNumber"]
        if transaction["profile"]:
            row["profile"] = transaction["profile"]
        return row

    def _profile(self, fields: dict[str, Any]) -> Response:
        own_id = fields.get("merchantCustomerId", "")
        customer = fields.get("customerProfileId") or self.customers.get(own_id, "")
        missing = error("E00040", "The record cannot be found.")
        means = existing(self.profiles, customer, missing)
        profiles = [
            {
                "customerPaymentProfileId": id_,
                "payment": {
                    "creditCard": {
                        "cardNumber": f"XXXX{number}",
                        "expirationDate": "XXXX",
                        "cardType": "Visa",
                    }
                },
            }
            for id_, number in means.items()
        ]
        own_ids = {profile_id: id_ for id_, profile_id in self.customers.items()}
        head = {"customerProfileId": customer, "merchantCustomerId": own_ids.get(customer, "")}
        return answer({"profile": {"paymentProfiles": profiles, **head}})

    def _delete(self, fields: dict[str, Any]) -> Response:
        missing = error("E00040", "The record cannot be found.")
        means = existing(self.profiles, fields["customerProfileId"], missing)
        existing(means, fields["customerPaymentProfileId"], missing)
        del means[fields["customerPaymentProfileId"]]
        return answer({})

    # --- what it does ------------------------------------------------------

    def _create(self, fields: dict[str, Any]) -> Response:
        order = fields["transactionRequest"]
        changes: dict[str, Callable[[dict[str, Any]], Response]] = {
            "priorAuthCaptureTransaction": self._capture,
            "voidTransaction": self._void,
        }
        kind = order["transactionType"]
        if kind in changes:
            return changes[kind](order)
        amount = amount_of(order.get("amount"))
        if amount is None:
            return unsuccessful("5", {})
        if order.get("currencyCode", "EUR") != "EUR":
            return unsuccessful("39", {})
        original = self._equal_transaction(order)
        if original is not None:
            is_shown = int(_setting(order, "duplicateWindow") or 0) > 0
            shown_fields = {name: original[name] for name in _ANSWERED} if is_shown else {}
            return unsuccessful("11", shown_fields)
        transaction = self._new_transaction(order, amount, fields.get("refId"))
        if kind == "refundTransaction":
            return self._refund(order, transaction)
        return self._pay(order, transaction)

    def _pay(self, order: dict[str, Any], transaction: dict[str, Any]) -> Response:
        capture = order["transactionType"] == "authCaptureTransaction"
        payment, profile = order.get("payment", {}), order.get("profile", {})
        code, nonce = None, payment.get("opaqueData", {}).get("dataValue")
        answered: dict[str, Any] = {}
        if "paymentProfile" in profile:
            if payment or "billTo" in order:
                raise error("E00093", "PaymentProfile cannot be sent with billing data.")
            customer, means = profile["customerProfileId"], profile["paymentProfile"]
            id_ = means["paymentProfileId"]
            missing = error("E00040", "Customer Profile ID or Payment Profile ID not found.")
            existing(existing(self.profiles, customer, missing), id_, missing)
            transaction["profile"] = {
                "customerProfileId": customer,
                "customerPaymentProfileId": id_,
            }
        elif nonce is not None:
            code = nonce_code(nonce)
        else:
            raise error("E00029", "Payment information is required.")
        transaction["auth"] = transaction["settle"] = transaction["amount"]
        self.transactions[transaction["transId"]] = transaction
        if code is not None:
            transaction |= {"status": "declined", "code": code, "auth": Decimal(0)}
            transaction["settle"] = Decimal(0)
            transaction["authCode"] = ""
            response = unsuccessful(code, {name: transaction[name] for name in _ANSWERED})
            content = response.json()["transactionResponse"]
            transaction["responseCode"] = content["responseCode"]
            if content["responseCode"] == "3":
                transaction["status"] = "generalError"
            return response
        if nonce == "nonce-held":
            transaction |= {"status": _HELD, "responseCode": "4", "code": "253"}
            self._send_webhook("fraud.held", transaction)
            return self._answer(transaction)
        transaction["status"] = _CAPTURED if capture else _AUTHORIZED
        if profile.get("createProfile"):
            answered = self._stored(order, transaction)
        self._send_webhook(
            "authcapture.created" if capture else "authorization.created", transaction
        )
        return self._answer(transaction, **answered)

    def _stored(self, order: dict[str, Any], transaction: dict[str, Any]) -> dict[str, Any]:
        """Store the means of payment of a transaction with a new customer profile."""
        if not order.get("customer"):
            raise error("E00102", "Customer Info is missing.")
        own_id = order["customer"].get("id")
        if own_id in self.customers:
            text = "A duplicate record already exists."
            messages = {"resultCode": "Error", "message": [{"code": "E00039", "text": text}]}
            return {"profileResponse": {"messages": messages}}
        customer, means = (str(8_100_000 + self.number()) for _ in range(2))
        self.profiles[customer] = {means: "1111"}
        self.customers[own_id or customer] = customer
        transaction["profile"] = {
            "customerProfileId": customer,
            "customerPaymentProfileId": means,
        }
        messages = {"resultCode": "Ok", "message": [{"code": "I00001", "text": "Successful."}]}
        profile = {"messages": messages, "customerProfileId": customer}
        profile |= {"customerPaymentProfileIdList": [means], "customerShippingAddressIdList": []}
        return {"profileResponse": profile}

    def _capture(self, order: dict[str, Any]) -> Response:
        transaction = self.transactions.get(order.get("refTransId", ""))
        if transaction is None or transaction["type"] == "refundTransaction":
            return unsuccessful("16", {"refTransID": order.get("refTransId", "")})
        if transaction["status"] == "voided":
            return self._answer(transaction, code="310")
        if transaction["status"] in {_CAPTURED, "settledSuccessfully"}:
            return self._answer(transaction, code="311")
        amount = amount_of(order.get("amount", transaction["auth"]))
        if amount is None or transaction["status"] != _AUTHORIZED:
            return unsuccessful("5" if amount is None else "16", {})
        if amount > transaction["auth"]:
            return unsuccessful("47", {"refTransID": transaction["transId"]})
        transaction |= {"status": _CAPTURED, "settle": amount}
        self._send_webhook("priorAuthCapture.created", transaction)
        return self._answer(transaction, refTransID=transaction["transId"])

    def _void(self, order: dict[str, Any]) -> Response:
        transaction = self.transactions.get(order.get("refTransId", ""))
        if transaction is not None and transaction["status"] == "voided":
            return self._answer(transaction, code="310")
        if transaction is None or transaction["status"] not in _VOIDABLE:
            return unsuccessful("16", {"refTransID": order.get("refTransId", "")})
        transaction["status"] = "voided"
        self._send_webhook("void.created", transaction)
        return self._answer(transaction, refTransID=transaction["transId"])

    def _refund(self, order: dict[str, Any], transaction: dict[str, Any]) -> Response:
        original = self.transactions.get(order.get("refTransId", ""))
        if original is None:
            return unsuccessful("16", {"refTransID": order.get("refTransId", "")})
        card = order.get("payment", {}).get("creditCard", {})
        is_same_card = original["accountNumber"].endswith(card.get("cardNumber", "?")[-4:])
        if original["status"] != "settledSuccessfully" or not is_same_card:
            return unsuccessful("54", {"refTransID": original["transId"]})
        refunded = sum(
            (
                item["settle"]
                for item in self.transactions.values()
                if item["type"] == "refundTransaction"
                and item["refTransID"] == original["transId"]
                and item["status"] != "voided"
            ),
            start=Decimal(0),
        )
        if refunded + transaction["amount"] > original["settle"]:
            return unsuccessful("55", {"refTransID": original["transId"]})
        transaction |= {
            "status": _REFUNDED,
            "auth": transaction["amount"],
            "settle": transaction["amount"],
            "refTransID": original["transId"],
        }
        self.transactions[transaction["transId"]] = transaction
        self._send_webhook("refund.created", transaction)
        return self._answer(transaction)

    # --- its ledger ---------------------------------------------------------

    def _transaction(self, id_: str) -> dict[str, Any]:
        missing = error("E00040", "The record cannot be found.")
        return existing(self.transactions, id_, missing)

    def _new_transaction(
        self, order: dict[str, Any], amount: Decimal, ref_id: str | None
    ) -> dict[str, Any]:
        return {
            "transId": str(60_000_000_000 + self.number()),
            "refTransID": "",
            "type": order["transactionType"],
            "status": "",
            "responseCode": "1",
            "code": "1",
            "authCode": "HH5414",
            "amount": amount,
            "auth": amount,
            "settle": amount,
            "order": order.get("order", {}),
            "po": order.get("poNumber"),
            "refId": ref_id,
            "accountNumber": "XXXX1111",
            "accountType": "Visa",
            "profile": {},
            "at": self.now(),
            "settled": None,
            "compared": _compared_fields(order),
        }

    def _equal_transaction(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """Return the transaction of which this order is a duplicate."""
        window = int(_setting(order, "duplicateWindow") or _USUAL_WINDOW)
        compared_fields = _compared_fields(order)
        earlier_transactions = (
            item
            for item in self.transactions.values()
            if item["compared"] == compared_fields and self.now() - item["at"] < window
        )
        return next(earlier_transactions, None)

    def _answer(self, transaction: dict[str, Any], *, code: str = "1", **fields: Any) -> Response:
        texts = {
            "1": "This transaction has been approved.",
            "310": "This transaction has already been voided.",
            "311": "This transaction has already been captured.",
        }
        ref_trans_id = fields.pop("refTransID", transaction["refTransID"])
        details: dict[str, Any] = {name: transaction[name] for name in _ANSWERED}
        details |= {
            "responseCode": transaction["responseCode"],
            "refTransID": ref_trans_id,
            "avsResultCode": "Y",
            "cvvResultCode": "P",
            "testRequest": "0",
            "messages": [{"code": code, "description": texts[code]}],
        }
        mark = {} if transaction["refId"] is None else {"refId": transaction["refId"]}
        return answer({"transactionResponse": details, **fields, **mark})

    def _shown_batch(self, moment: float) -> dict[str, Any]:
        return {
            "batchId": _day_of(moment),
            "settlementTimeUTC": self._moment(moment),
            "settlementTimeLocal": self._moment(moment).rstrip("Z"),
            "settlementState": "settledSuccessfully",
            "paymentMethod": "creditCard",
        }

    def _moment(self, seconds: float, *, digits: int = 0) -> str:
        moment = datetime.fromtimestamp(seconds, UTC)
        text = moment.isoformat(timespec="milliseconds" if digits else "seconds")
        return text.replace("+00:00", "Z")

    def _send_webhook(self, kind: str, transaction: dict[str, Any]) -> None:
        """Send a signed webhook about a transaction."""
        payload: dict[str, Any] = {
            "responseCode": int(transaction["responseCode"]),
            "authCode": transaction["authCode"],
            "avsResponse": "Y",
            "authAmount": float(transaction["settle"]),
            "entityName": "transaction",
            "id": transaction["transId"],
        }
        if transaction["refId"] is not None:
            payload["merchantReferenceId"] = transaction["refId"]
        body = encode_json(
            {
                "notificationId": self.uuid(),
                "eventType": f"net.authorize.payment.{kind}",
                "eventDate": f"{self._moment(self.now()).rstrip('Z')}.7722007Z",
                "webhookId": "849eb87e-078a-4169-a34b-c0bded5019a8",
                "payload": payload,
            }
        )
        signature = digest(self.signature_key.encode(), body, "sha512").hex().upper()
        headers = {"Content-Type": "application/json", "X-ANET-Signature": f"sha512={signature}"}
        self.notify(self.webhook_url, body, headers)


def _setting(order: dict[str, Any], name: str) -> str | None:
    settings = order.get("transactionSettings", {}).get("setting", [])
    values = {setting["settingName"]: setting["settingValue"] for setting in settings}
    return values.get(name)


def _compared_fields(order: dict[str, Any]) -> dict[str, Any]:
    """Return the fields by which Authorize.Net finds duplicates."""
    names = ("transactionType", "amount", "payment", "profile", "poNumber", "billTo")
    fields = {name: order.get(name) for name in names}
    invoice, customer = order.get("order", {}), order.get("customer", {})
    return {**fields, "invoice": invoice.get("invoiceNumber"), "customer": customer.get("id")}


def _day_of(moment: float) -> str:
    """Return the id of the batch of a day."""
    return str(4_000_000 + int(moment) // 86_400)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = AuthorizeNetSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "login_id": sandbox.login_id,
            "transaction_key": sandbox.transaction_key,
            "currency": "EUR",
            "volatile_keys": True,
        },
        vendor_values={"is_stored": True, "settle": sandbox.settle},
        token="nonce-ok",
    )
