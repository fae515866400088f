"""A local sandbox that imitates a bank with NextGenPSD2, version 1.3.

The bank offers a choice of its two accounts, and sends two transactions per page. It wants a
bearer token in place of the client certificate, which a sandbox cannot see.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.bank.base import (
    BALANCES,
    IBANS,
    OWNER,
    PENDING,
    BankSandbox,
)
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOST: Final = "psd2.bank.example"
BASE: Final = "/psd2"
_UUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AMOUNT: Final = re.compile(r"[0-9]{1,14}(\.[0-9]{1,3})?")
_PAGE: Final = 2
_ACCOUNT: Final = {"iban!": str, "currency": str}
_ALL: Final = frozenset({"allAccounts", "allAccountsWithOwnerName"})
CONSENT: Final[Mapping[str, Any]] = {
    "access!": {
        "accounts": [_ACCOUNT],
        "balances": [_ACCOUNT],
        "transactions": [_ACCOUNT],
        "allPsd2": _ALL,
    },
    "recurringIndicator!": bool,
    "validUntil!": str,
    "frequencyPerDay!": int,
    "combinedServiceIndicator!": bool,
}
"""The fields of a consent."""
_CONSENT_FIELDS: Final = words("access consentStatus frequencyPerDay recurringIndicator validUntil")
"""The fields of a consent that its bank shows."""
PAYMENT: Final[Mapping[str, Any]] = {
    "endToEndIdentification": str,
    "debtorAccount!": _ACCOUNT,
    "instructedAmount!": {"currency!": str, "amount!": str},
    "creditorAccount!": _ACCOUNT,
    "creditorAgent": str,
    "creditorName!": str,
    "creditorAddress": typed(str, "streetName buildingNumber townName postCode country!"),
    "remittanceInformationUnstructured": str,
    "chargeBearer": str,
}
"""The fields of a SEPA credit transfer."""
_ENDED: Final = {
    "expired": "CONSENT_EXPIRED",
    "received": "CONSENT_INVALID",
    "rejected": "CONSENT_INVALID",
    "terminatedByTpp": "CONSENT_INVALID",
}


class BerlinGroupSandbox(BankSandbox):
    """A sandbox of a bank, with consents, two accounts and payments.

    Attributes:
        token: bearer token that the bank accepts.
        consents: the consents, by id.
        return_urls: the pages to which their owners return, by id of the consent.
        page: address of the bank's page for owners.
        payments: the payments, by id, each with its product and status.
    """

    hosts = (HOST,)

    token: str = "berlin-group-sandbox-token-0001"
    consents: dict[str, dict[str, Any]] = base.state_field(dict)
    return_urls: dict[str, str] = base.state_field(dict)
    page: str = "https://www.bank.example/authorise"
    payments: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self._accounts = {self.uuid(): iban for iban in IBANS}

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        consent, account = f"{BASE}/v1/consents/{{id_}}", f"{BASE}/v1/accounts/{{id_}}"
        return {
            f"POST {BASE}/v1/consents": self._start,
            f"GET {consent}": self._consent,
            f"DELETE {consent}": self._terminate,
            f"GET {BASE}/v1/accounts": self._list,
            f"GET {account}/balances": self._balances,
            f"GET {account}/transactions": self._transactions,
            f"POST {BASE}/v1/payments/{{product}}": self._pay,
            f"GET {BASE}/v1/payments/{{product}}/{{id_}}/status": self._status,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return _error(404, "RESOURCE_UNKNOWN").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token and its request id."""
        if request.bearer() != self.token:
            raise _error(401, "TOKEN_INVALID")
        if _UUID.fullmatch(request.headers.get("x-request-id", "")) is None:
            raise _error(400, "FORMAT_ERROR", "X-Request-ID is not a UUID.")

    def grant(self, consent: str) -> None:
        """Grant a consent."""
        self.consents[consent]["consentStatus"] = "valid"

    def refuse(self, consent: str) -> None:
        """Refuse a consent."""
        self.consents[consent]["consentStatus"] = "rejected"

    def expire(self, consent: str) -> None:
        """End a consent."""
        self.consents[consent]["consentStatus"] = "expired"

    def consent_count(self) -> int:
        """Return the number of consents."""
        return len(self.consents)

    def payment_count(self) -> int:
        """Return the number of payments."""
        return len(self.payments)

    def set_payment(self, payment: str, status: str) -> None:
        """Set the status of the payment with an id to an ISO 20022 code."""
        self.payments[payment]["transactionStatus"] = status

    def _start(self, request: base.SandboxRequest) -> Response:
        body = _checked_body(request, CONSENT)
        lists = [body["access"].get(name) for name in ("accounts", "balances", "transactions")]
        if not any(lists) and None in lists and "allPsd2" not in body["access"]:
            raise _error(400, "FORMAT_ERROR", "The access is empty.")
        if body["validUntil"] < datetime.now(UTC).date().isoformat():
            raise _error(400, "PERIOD_INVALID")
        id_ = self.uuid()
        self.consents[id_] = {**body, "consentStatus": "received"}
        self.return_urls[id_] = request.headers["tpp-redirect-uri"]
        return self._created({"consentStatus": "received", "consentId": id_}, f"consents/{id_}")

    def _consent(self, _: base.SandboxRequest, id_: str) -> Response:
        consent = base.existing(self.consents, id_, _error(403, "CONSENT_UNKNOWN"))
        body = {name: value for name, value in consent.items() if name in _CONSENT_FIELDS}
        return base.reply({**body, "lastActionDate": datetime.now(UTC).date().isoformat()})

    def _terminate(self, _: base.SandboxRequest, id_: str) -> Response:
        consent = base.existing(self.consents, id_, _error(404, "RESOURCE_UNKNOWN"))
        consent["consentStatus"] = "terminatedByTpp"
        return Response(204)

    def _list(self, request: base.SandboxRequest) -> Response:
        self._check_consent(request)
        accounts = [
            {
                "resourceId": id_,
                "iban": iban,
                "currency": "EUR",
                "name": "Main Account",
                "ownerName": OWNER,
                "status": "enabled",
                "_links": {"balances": {"href": f"{BASE}/v1/accounts/{id_}/balances"}},
            }
            for id_, iban in self._accounts.items()
        ]
        return base.reply({"accounts": accounts})

    def _balances(self, request: base.SandboxRequest, id_: str) -> Response:
        self._check_consent(request)
        iban = base.existing(self._accounts, id_, _error(404, "RESOURCE_UNKNOWN"))
        return base.reply({"account": {"iban": iban}, "balances": BALANCES})

    def _transactions(self, request: base.SandboxRequest, id_: str) -> Response:
        self._check_consent(request)
        iban = base.existing(self._accounts, id_, _error(404, "RESOURCE_UNKNOWN"))
        query = dict(request.query)
        if query.get("bookingStatus") not in {"booked", "both"} or "dateFrom" not in query:
            raise _error(400, "FORMAT_ERROR", "bookingStatus or dateFrom is missing.")
        since, until = query["dateFrom"], query.get("dateTo", "9")
        is_first = id_ == next(iter(self._accounts))
        items = [
            {**item, "transactionId": f"T{number}", "entryReference": f"E{number}"}
            for number, item in self.numbered()
            if is_first and since <= item["bookingDate"] <= until
        ]
        ids = [item["transactionId"] for item in items]
        # A page names the last transaction before it, so that a new one moves no other.
        start = ids.index(f"T{query['pageIndex']}") + 1 if "pageIndex" in query else 0
        part = items[start : start + _PAGE]
        path = f"{BASE}/v1/accounts/{id_}"
        report: dict[str, Any] = {
            "booked": part,
            "_links": {"account": {"href": path}},
        }
        if query["bookingStatus"] == "both":
            report["pending"] = list(PENDING) if is_first and start == 0 else []
        if start + _PAGE < len(items):
            text = urlencode({**query, "pageIndex": part[-1]["transactionId"][1:]})
            report["_links"]["next"] = {"href": f"{path}/transactions?{text}"}
        return base.reply({"account": {"iban": iban}, "transactions": report})

    def _pay(self, request: base.SandboxRequest, product: str) -> Response:
        if product not in {"sepa-credit-transfers", "instant-sepa-credit-transfers"}:
            raise _error(404, "PRODUCT_UNKNOWN")
        body = _checked_body(request, PAYMENT)
        amount = body["instructedAmount"]
        if amount["currency"] != "EUR" or _AMOUNT.fullmatch(amount["amount"]) is None:
            raise _error(400, "FORMAT_ERROR", "The amount is not valid.")
        id_ = self.uuid()
        self.payments[id_] = {**body, "product": product, "transactionStatus": "RCVD"}
        return self._created(
            {"transactionStatus": "RCVD", "paymentId": id_}, f"payments/{product}/{id_}"
        )

    def _status(self, _: base.SandboxRequest, product: str, id_: str) -> Response:
        payment = base.existing(self.payments, id_, _error(404, "RESOURCE_UNKNOWN"))
        if payment["product"] != product:
            raise _error(404, "RESOURCE_UNKNOWN")
        return base.reply({"transactionStatus": payment["transactionStatus"]})

    def _created(self, body: dict[str, Any], path: str) -> Response:
        """Return the response for a new resource, with the link for its owner's approval."""
        links = {
            "scaRedirect": {"href": f"{self.page}/{path}"},
            "self": {"href": f"{BASE}/v1/{path}"},
            "status": {"href": f"{BASE}/v1/{path}/status"},
        }
        location = f"{BASE}/v1/{path}"
        fields = {"Location": location, "ASPSP_SCA_Approach": "REDIRECT"}
        return base.reply({**body, "_links": links}, 201, **fields)

    def _check_consent(self, request: base.SandboxRequest) -> None:
        id_ = request.headers.get("consent-id", "")
        status = base.existing(self.consents, id_, _error(400, "CONSENT_UNKNOWN"))["consentStatus"]
        if status != "valid":
            raise _error(401, _ENDED[status])


def _checked_body(request: base.SandboxRequest, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked body of a request that the account owner must approve."""
    if not request.headers.get("psu-ip-address"):
        raise _error(400, "FORMAT_ERROR", "PSU-IP-Address is missing.")
    if not request.headers.get("tpp-redirect-uri", "").startswith("https://"):
        raise _error(400, "FORMAT_ERROR", "TPP-Redirect-URI is missing.")
    body: dict[str, Any] = request.json()
    mistakes = [f"{location}/{name}: {kind}" for location, name, kind in problems(shape, body)]
    if mistakes:
        raise _error(400, "FORMAT_ERROR", ", ".join(mistakes))
    return body


def _error(status: int, code: str, text: str = "") -> base.Refusal:
    message = {"category": "ERROR", "code": code, **({"text": text} if text else {})}
    return base.refusal({"tppMessages": [message]}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = BerlinGroupSandbox()
    options = {
        "base_url": f"https://{HOST}{BASE}",
        "credentials": sandbox.token,
        "ip_address": "192.0.2.7",
    }
    return SandboxFixture(sandbox=sandbox, options=options)
