"""A local sandbox that imitates Plaid with its Hosted Link.

Its bank has two accounts and sends two transactions per page, so that pages can be tested. A token
belongs to one Item, and each link leads to one Item.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.bank.base import BALANCES, BOOKED, IBANS, PENDING, BankSandbox
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response

_PAGE: Final = 2
_MOST: Final = 500
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LIFETIME: Final = timedelta(minutes=30)
_BIC: Final = "COBADEFFXXX"
_COUNTRIES: Final = words("AT BE CA DE DK EE ES FI FR GB IE IT LT LV NL NO PL PT SE US")
_PRODUCTS: Final = words("assets auth identity investments liabilities transactions")
_NO_RESULTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("bank_income_results", "cra_item_add_results", "cra_update_results"), ()),
    "document_income_results": dict.fromkeys(
        (
            "num_1099s_uploaded",
            "num_bank_statements_uploaded",
            "num_paystubs_uploaded",
            "num_w2s_uploaded",
        ),
        0,
    ),
    "payroll_income_results": (),
}
"""The results of a session with products that moorage does not request."""
LINK: Final[Mapping[str, Any]] = {
    "client_name!": str,
    "language!": str,
    "country_codes!": [_COUNTRIES],
    "user!": {"client_user_id!": str, "email_address": str, "phone_number": str},
    "products!": [_PRODUCTS],
    "transactions": {"days_requested": int},
    **typed(str, "webhook redirect_uri link_customization_name"),
    "hosted_link": {
        "completion_redirect_uri": str,
        "url_lifetime_seconds": int,
        "is_mobile_app": bool,
        "delivery_method": words("sms email"),
    },
}
"""The fields of a link."""
_ITEM: Final[Mapping[str, Any]] = {"access_token!": str}
_SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "/link/token/create": LINK,
    "/link/token/get": {"link_token!": str},
    "/item/public_token/exchange": {"public_token!": str},
    "/item/get": _ITEM,
    "/item/remove": _ITEM,
    "/accounts/get": {**_ITEM, "options": {"account_ids": [str]}},
    "/accounts/balance/get": {
        **_ITEM,
        "options": {"account_ids": [str], "min_last_updated_datetime": str},
    },
    "/auth/get": {**_ITEM, "options": {"account_ids": [str]}},
    "/transactions/get": {
        **_ITEM,
        "start_date!": str,
        "end_date!": str,
        "options": {
            "account_ids": [str],
            "count": int,
            "offset": int,
            "include_original_description": bool,
        },
    },
}


class PlaidSandbox(BankSandbox):
    """A sandbox of Plaid, with links, Items and their accounts.

    Attributes:
        client_id, secret: the client.
        links: the links, by token.
        return_urls: the pages to which their owners return, by token of the link.
        items: the Items, by access token; removed ones are missing.
    """

    hosts = ("production.plaid.com", "sandbox.plaid.com")

    client_id: str = "5d5ed3d2b7e0c50011e3a1c4"
    secret: str = "plaid-sandbox-secret-00000001"
    links: dict[str, dict[str, Any]] = base.state_field(dict)
    return_urls: dict[str, str | None] = base.state_field(dict)
    items: dict[str, dict[str, Any]] = base.state_field(dict)
    _links_of_tokens: dict[str, str] = base.state_field(dict)
    _exchanges: int = base.state_field(int)

    def __attrs_post_init__(self) -> None:
        self.booked = [_transaction(item, number) for number, item in enumerate(BOOKED)]
        self.pending = [_transaction(part, 90, pending=True) for part in PENDING]
        self._accounts = {f"plaid-account-{number}": iban for number, iban in enumerate(IBANS)}

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /link/token/create": self._create,
            "POST /link/token/get": self._link,
            "POST /item/public_token/exchange": self._exchange,
            "POST /item/get": self._item,
            "POST /item/remove": self._remove,
            "POST /accounts/get": self._list,
            "POST /accounts/balance/get": self._list,
            "POST /auth/get": self._numbers,
            "POST /transactions/get": self._transactions,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return _error("INVALID_REQUEST", "NOT_FOUND", "the path is not known", 404).response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the client, the version and the fields of a request."""
        headers = request.headers
        if (headers.get("plaid-client-id"), headers.get("plaid-secret")) != (
            self.client_id,
            self.secret,
        ):
            message = "invalid client_id or secret provided"
            raise _error("INVALID_INPUT", "INVALID_API_KEYS", message)
        if headers.get("plaid-version") != "2020-09-14":
            raise _error("INVALID_REQUEST", "INVALID_HEADERS", "the version is unknown")
        for location, name, kind in problems(_SHAPES[request.path], request.json()):
            code = {"missing": "MISSING_FIELDS", "extraneous": "UNKNOWN_FIELDS"}.get(
                kind, "INVALID_FIELD"
            )
            raise _error("INVALID_REQUEST", code, f"{location}/{name}: {kind}")

    def grant(self, consent: str) -> None:
        """Link an Item, as happens when its owner agrees."""
        public = f"public-sandbox-{self.uuid()}"
        self._links_of_tokens[public] = consent
        accounts = [{"id": id_, **_account_fields(iban)} for id_, iban in self._accounts.items()]
        institution = {"name": "Tartan Bank", "institution_id": "ins_1"}
        session_result = {"public_token": public, "accounts": accounts, "institution": institution}
        self._end_session(consent, results={**_NO_RESULTS, "item_add_results": [session_result]})

    def refuse(self, consent: str) -> None:
        """End the session of a link without an Item, as happens when its owner leaves."""
        metadata = {"status": "requires_credentials", "request_id": "8C7jNbDScC24THu"}
        self._end_session(consent, exit={"error": None, "metadata": metadata})

    def expire(self, consent: str) -> None:
        """End the consent of an Item, or the lifetime of a link that has none."""
        for item in self._items_of(consent):
            item["error"] = _error(
                "ITEM_ERROR",
                "ITEM_LOGIN_REQUIRED",
                "the login details of this item have changed and a user login is required",
            ).response.json()
        self.links[consent]["expiration"] = "2020-01-01T00:00:00Z"

    def consent_count(self) -> int:
        """Return the number of links."""
        return len(self.links)

    def _items_of(self, consent: str) -> list[dict[str, Any]]:
        return [item for item in self.items.values() if item["link"] == consent]

    def _end_session(self, consent: str, **ending: Any) -> None:
        session: dict[str, Any] = {
            "link_session_id": self.uuid(),
            "started_at": _written_time(),
            "finished_at": _written_time(),
            "events": [],
            **ending,
        }
        self.links[consent]["link_sessions"].append(session)

    def _create(self, request: base.SandboxRequest) -> Response:
        body: dict[str, Any] = request.json()
        if len(body["client_name"]) > 30:
            raise _error("INVALID_REQUEST", "INVALID_FIELD", "client_name is too long")
        token = f"link-sandbox-{self.uuid()}"
        times = {
            "created_at": _written_time(),
            "expiration": _written_time(_LIFETIME),
        }
        metadata = {
            "initial_products": body["products"],
            "webhook": body.get("webhook"),
            "country_codes": body["country_codes"],
            "language": body["language"],
            "redirect_uri": body.get("redirect_uri"),
            "client_name": body["client_name"],
        }
        self.links[token] = {
            "link_token": token,
            **times,
            "link_sessions": [],
            "metadata": metadata,
        }
        self.return_urls[token] = body.get("hosted_link", {}).get("completion_redirect_uri")
        hosted = f"https://secure.plaid.com/hl/{self.number():08d}"
        url = {"hosted_link_url": hosted} if "hosted_link" in body else {}
        return self._reply({"link_token": token, "expiration": times["expiration"], **url})

    def _link(self, request: base.SandboxRequest) -> Response:
        missing = _error("INVALID_INPUT", "INVALID_LINK_TOKEN", "the link_token is not valid")
        return self._reply(base.existing(self.links, request.json()["link_token"], missing))

    def _exchange(self, request: base.SandboxRequest) -> Response:
        message = "could not find matching public token"
        missing = _error("INVALID_INPUT", "INVALID_PUBLIC_TOKEN", message)
        public = request.json()["public_token"]
        link = base.existing(self._links_of_tokens, public, missing)
        del self._links_of_tokens[public]
        self._exchanges += 1
        token, id_ = f"access-sandbox-{self._exchanges:036d}", self.uuid()
        self.items[token] = {"id": id_, "link": link, "error": None}
        return self._reply({"access_token": token, "item_id": id_})

    def _item(self, request: base.SandboxRequest) -> Response:
        return self._reply({"item": _shown_item(self._item_of(request)), "status": None})

    def _remove(self, request: base.SandboxRequest) -> Response:
        self._item_of(request)
        del self.items[request.json()["access_token"]]
        return self._reply({})

    def _list(self, request: base.SandboxRequest) -> Response:
        item = self._working_item(request)
        ids = self._ids(request)
        return self._reply(
            {"accounts": [self._account(id_) for id_ in ids], "item": _shown_item(item)}
        )

    def _numbers(self, request: base.SandboxRequest) -> Response:
        item = self._working_item(request)
        if "auth" not in self.links[item["link"]]["metadata"]["initial_products"]:
            message = "the product auth is not supported for this item"
            raise _error("ITEM_ERROR", "PRODUCTS_NOT_SUPPORTED", message)
        ids = self._ids(request)
        international = [
            {"account_id": id_, "iban": self._accounts[id_], "bic": _BIC} for id_ in ids
        ]
        numbers = {"ach": [], "eft": [], "international": international, "bacs": []}
        accounts = [self._account(id_) for id_ in ids]
        return self._reply({"accounts": accounts, "numbers": numbers, "item": _shown_item(item)})

    def _transactions(self, request: base.SandboxRequest) -> Response:
        item, body = self._working_item(request), request.json()
        ids, options = self._ids(request), body.get("options", {})
        for name in ("start_date", "end_date"):
            if _DAY.fullmatch(body[name]) is None:
                message = f"{name} must be in the format YYYY-MM-DD"
                raise _error("INVALID_REQUEST", "INVALID_FIELD", message)
        if body["start_date"] > body["end_date"]:
            raise _error("INVALID_REQUEST", "INVALID_FIELD", "start_date is after end_date")
        first_account = next(iter(self._accounts))
        transactions = [
            {**transaction, "account_id": first_account}
            for transaction in [*self.pending, *self.booked]
            if first_account in ids and body["start_date"] <= transaction["date"]
            if transaction["date"] <= body["end_date"]
        ]
        if not options.get("include_original_description"):
            transactions = [{**part, "original_description": None} for part in transactions]
        start, count = options.get("offset", 0), options.get("count", 100)
        if start < 0 or not 1 <= count <= _MOST:
            message = f"offset must be at least 0, and count between 1 and {_MOST}"
            raise _error("INVALID_REQUEST", "INVALID_FIELD", message)
        page = transactions[start : start + min(count, _PAGE)]
        accounts = [self._account(id_) for id_ in ids]
        return self._reply(
            {
                "accounts": accounts,
                "transactions": page,
                "total_transactions": len(transactions),
                "item": _shown_item(item),
            }
        )

    def _item_of(self, request: base.SandboxRequest) -> dict[str, Any]:
        missing = _error(
            "INVALID_INPUT", "INVALID_ACCESS_TOKEN", "could not find matching access token"
        )
        return base.existing(self.items, request.json()["access_token"], missing)

    def _working_item(self, request: base.SandboxRequest) -> dict[str, Any]:
        item = self._item_of(request)
        if item["error"] is not None:
            raise base.refusal(item["error"], 400)
        return item

    def _ids(self, request: base.SandboxRequest) -> list[str]:
        ids: list[str] = request.json().get("options", {}).get("account_ids", [*self._accounts])
        if not set(ids) <= self._accounts.keys():
            message = "one or more account_ids are not valid"
            raise _error("INVALID_INPUT", "INVALID_ACCOUNT_ID", message)
        return ids

    def _account(self, id_: str) -> dict[str, Any]:
        booked, available = (item["balanceAmount"] for item in BALANCES)
        return {
            **_account_fields(self._accounts[id_]),
            "account_id": id_,
            "balances": {
                "available": float(available["amount"]),
                "current": float(booked["amount"]),
                "limit": None,
                "iso_currency_code": booked["currency"],
                "unofficial_currency_code": None,
            },
            "official_name": None,
            "holder_category": "business",
        }

    def _reply(self, body: Mapping[str, Any]) -> Response:
        return base.reply({**body, "request_id": f"{self.number():015d}"})


def _account_fields(iban: str) -> dict[str, Any]:
    return {
        "name": "Current account",
        "mask": iban[-4:],
        "type": "depository",
        "subtype": "checking",
    }


def _shown_item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "item_id": item["id"],
        "institution_id": "ins_1",
        "institution_name": "Tartan Bank",
        "webhook": None,
        "auth_method": "INSTANT_AUTH",
        "error": item["error"],
        "available_products": [],
        "billed_products": ["auth", "transactions"],
        "products": ["auth", "transactions"],
        "consent_expiration_time": "2031-11-02T00:00:00Z",
        "update_type": "background",
    }


def _transaction(item: Mapping[str, Any], number: int, *, pending: bool = False) -> dict[str, Any]:
    """Return a transaction in Plaid's format, where positive amounts leave the account."""
    amount = item["transactionAmount"]
    role = "debtor" if float(amount["amount"]) > 0 else "creditor"
    text, name = item["remittanceInformationUnstructured"], item.get(f"{role}Name")
    numbers = {
        "bacs": None,
        "international": {
            "iban": item.get(f"{role}Account", {}).get("iban"),
            "bic": item.get(f"{role}Agent"),
        },
    }
    party = {
        "name": name,
        "entity_id": None,
        "type": "merchant",
        "website": None,
        "logo_url": None,
        "confidence_level": "VERY_HIGH",
        "account_numbers": numbers,
    }
    day = item.get("bookingDate", item["valueDate"])
    return {
        "transaction_id": f"plaid-transaction-{number}",
        "account_id": "",
        "account_owner": None,
        "amount": -float(amount["amount"]),
        "iso_currency_code": amount["currency"],
        "unofficial_currency_code": None,
        "check_number": None,
        "date": day,
        "datetime": None,
        "authorized_date": day,
        "authorized_datetime": None,
        "name": name or text,
        "merchant_name": None,
        "original_description": item.get("additionalInformation"),
        "pending": pending,
        "pending_transaction_id": None,
        "payment_channel": "other",
        "transaction_code": None if pending else "transfer",
        "counterparties": [party] if name else [],
        "payment_meta": {
            "by_order_of": None,
            "payee": None,
            "payer": None,
            "payment_method": None,
            "payment_processor": None,
            "ppd_id": None,
            "reason": text,
            "reference_number": None,
        },
        "location": dict.fromkeys(
            ("address", "city", "region", "postal_code", "country", "lat", "lon", "store_number")
        ),
    }


def _written_time(after: timedelta = timedelta(0)) -> str:
    """Return the current time, or a later one, in Plaid's format."""
    return (datetime.now(UTC) + after).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(kind: str, code: str, message: str, status: int = 400) -> base.Refusal:
    return base.refusal(
        {
            "error_type": kind,
            "error_code": code,
            "error_message": message,
            "display_message": None,
            "request_id": "HNTDNrA8F1shFEW",
        },
        status,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = PlaidSandbox()
    options = {
        "client_id": sandbox.client_id,
        "credentials": sandbox.secret,
        "client_name": "Harbour ERP",
        "countries": "DE FR",
        "base_url": "https://sandbox.plaid.com",
    }
    return SandboxFixture(sandbox=sandbox, options=options)
