"""A local sandbox that imitates Odoo's JSON-RPC API with the models of its Invoicing app.

The database `shop` has the user 2, the accounts 1 (bank), 2 (sales) and 3 (advertising), the bank
journal 7, the product 10, the taxes 1 and 2 of 20% on sales and on purchases, and the currencies
EUR and USD.
"""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base as sandboxes
from moorage.testing.sandboxes._fields import typed
from moorage.testing.sandboxes.accounting.base import (
    AccountingSandbox,
    cents,
    exact_decimal,
    number,
)
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response

DATABASE: Final = "shop"
USER: Final = 2
_CURRENCIES: Final = {1: "EUR", 2: "USD", 3: "JPY"}
_RATE: Final = Decimal(20)
_FIXED_RECORDS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "res.currency": tuple({"id": id_, "name": name} for id_, name in _CURRENCIES.items()),
    "res.country": ({"id": 57, "code": "DE"}, {"id": 231, "code": "GB"}, {"id": 75, "code": "FR"}),
    "product.product": ({"id": 10, "name": "Bolt"},),
    "account.account": (
        {
            "id": 1,
            "code": "101401",
            "name": "Bank",
            "account_type": "asset_cash",
            "currency_id": [1, "EUR"],
        },
        {
            "id": 2,
            "code": "400000",
            "name": "Sales",
            "account_type": "income",
            "currency_id": False,
        },
        {
            "id": 3,
            "code": "600000",
            "name": "Advertising",
            "account_type": "expense_direct_cost",
            "currency_id": False,
        },
    ),
    "account.tax": (
        {
            "id": 1,
            "name": "20%",
            "amount": 20.0,
            "amount_type": "percent",
            "type_tax_use": "sale",
            "active": True,
        },
        {
            "id": 2,
            "name": "20% purchases",
            "amount": 20.0,
            "amount_type": "percent",
            "type_tax_use": "purchase",
            "active": True,
        },
    ),
    "account.journal": ({"id": 7, "name": "Bank", "type": "bank", "default_account_id": 1},),
}
_PARTNER: Final = {
    **typed(str, "name ref email phone vat street street2 city zip comment"),
    **typed(int, "country_id customer_rank supplier_rank"),
}
_MOVE: Final = {
    **typed(str, "move_type ref invoice_date invoice_date_due date"),
    **typed((str, bool), "narration invoice_origin"),
    **typed(int, "partner_id currency_id"),
    "invoice_payment_term_id": bool,
    "invoice_line_ids": list,
    "line_ids": list,
}
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "res.partner": _PARTNER,
    "account.move": _MOVE,
    "account.payment.register": {
        "amount": (int, float),
        "payment_date": str,
        "journal_id": int,
        "communication": (str, bool),
        "group_payment": bool,
    },
    "ir.attachment": {
        **typed(str, "name datas mimetype res_model"),
        "description": (str, bool),
        "res_id": int,
    },
}
"""The fields of each model that can be created, and their types."""
_LINE_TYPES: Final[dict[str, Any]] = {
    "name": str,
    **typed((int, float), "quantity price_unit debit credit"),
    **typed(int, "account_id product_id"),
    "tax_ids": list,
}


class _RpcError(Exception):
    """An error of Odoo, which rolls back the call."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


def _user_error(message: str) -> _RpcError:
    return _RpcError("odoo.exceptions.UserError", message)


class OdooSandbox(AccountingSandbox):
    """A sandbox of Odoo: one database with a company's books.

    Attributes:
        api_key: API key of the user.
        records: the records of each model, by id.
    """

    hosts = ("shop.odoo.example",)

    api_key: str = "0d00sandb0xap1key0000000000000000000001"
    records: dict[str, dict[int, dict[str, Any]]] = sandboxes.state_field(
        lambda: {
            model: {item["id"]: dict(item) for item in items}
            for model, items in _FIXED_RECORDS.items()
        }
    )

    def __attrs_post_init__(self) -> None:
        for model in (*FIELDS, "account.payment"):
            self.records[model] = {}
        self._methods: dict[str, Callable[..., Any]] = {
            "search_read": self._search_read,
            "create": self._create,
            "write": self._write,
            "unlink": self._unlink,
            "action_post": self._post,
            "button_draft": self._make_draft,
            "button_cancel": self._cancel,
            "action_create_payments": self._pay,
        }

    def routes(self) -> sandboxes.Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /jsonrpc": self._call}

    def counts(self) -> Mapping[str, int]:
        """Return the number of records of each kind."""
        moves = self.records["account.move"].values()
        valid_moves = [item for item in moves if item["state"] != "cancel"]
        return {
            "contacts": len(self.records["res.partner"]),
            "invoices": len([item for item in valid_moves if item["move_type"] != "entry"]),
            "payments": len(self.records["account.payment"]),
            "journals": len([item for item in valid_moves if item["move_type"] == "entry"]),
            "files": len(self.records["ir.attachment"]),
        }

    def _call(self, request: sandboxes.SandboxRequest) -> Response:
        body: dict[str, Any] = request.json()
        answer = {"jsonrpc": "2.0", "id": body.get("id")}
        try:
            result = self._execute(body)
        except _RpcError as error:
            data: dict[str, Any] = {
                "name": error.name,
                "message": error.message,
                "arguments": [error.message],
                "context": {},
                "debug": "Traceback (most recent call last): …",
            }
            problem = {"code": 200, "message": "Odoo Server Error", "data": data}
            return sandboxes.reply({**answer, "error": problem})
        return sandboxes.reply({**answer, "result": result})

    def _execute(self, body: Mapping[str, Any]) -> Any:
        parameters = body.get("params", {})
        if (body.get("jsonrpc"), body.get("method")) != ("2.0", "call") or (
            parameters.get("service"),
            parameters.get("method"),
        ) != ("object", "execute_kw"):
            raise _RpcError("builtins.ValueError", "The call is not a call of execute_kw.")
        database, user, key, model, method, arguments, options = parameters["args"]
        if (database, user, key) != (DATABASE, USER, self.api_key):
            raise _RpcError("odoo.exceptions.AccessDenied", "Access Denied")
        if model not in self.records:
            raise _RpcError("builtins.KeyError", model)
        if method not in self._methods:
            raise _RpcError("builtins.AttributeError", f"{model} has no attribute {method}")
        return self._methods[method](model, *arguments, **options)

    def _existing(self, model: str, ids: list[int]) -> list[dict[str, Any]]:
        try:
            return [self.records[model][id_] for id_ in ids]
        except KeyError:
            message = "Record does not exist or has been deleted."
            raise _RpcError("odoo.exceptions.MissingError", message) from None

    def _search_read(
        self, model: str, condition: list[Any], *, fields: list[str], order: str
    ) -> list[dict[str, Any]]:
        if order != "id":
            raise _RpcError("builtins.ValueError", "Invalid order")
        matches = [
            item
            for _, item in sorted(self.records[model].items())
            if all(_fulfils(item, *term) for term in condition)
        ]
        return [
            {"id": item["id"], **{name: _field_value(item, name) for name in fields}}
            for item in matches
        ]

    def _create(
        self, model: str, values: dict[str, Any], *, context: Mapping[str, Any] | None = None
    ) -> int:
        self._check(model, values)
        id_ = 100 + self.number()
        record = {**values, "id": id_}
        if model == "account.move":
            record |= self._move_fields(values)
        if model == "res.partner":
            if not values.get("name"):
                message = "Contacts require a name"
                raise _RpcError("odoo.exceptions.ValidationError", message)
            record["active"] = True
        if model == "account.payment.register":
            record["moves"] = self._payable(context or {})
        if model == "ir.attachment":
            self._existing(values["res_model"], [values["res_id"]])
            base64.b64decode(values["datas"], validate=True)
        self.records[model][id_] = record
        return id_

    def _check(self, model: str, values: Mapping[str, Any]) -> None:
        types: Mapping[str, Any] = FIELDS.get(model, {})
        for name, value in values.items():
            if name not in types:
                raise _RpcError("builtins.ValueError", f"Invalid field {name!r} on model {model!r}")
            if not isinstance(value, types[name]):
                raise _RpcError("builtins.ValueError", f"Wrong value for {model}.{name}: {value!r}")

    def _move_fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "state": "draft",
            "payment_state": "not_paid",
            "name": "/",
            "write_date": "2031-05-06 07:08:09",
        }
        kind = values["move_type"]
        if kind == "entry":
            self._check_entry(values["line_ids"])
            return {**fields, "currency_id": 1, "amount_total": 0.0, "amount_residual": 0.0}
        self._existing("res.partner", [values["partner_id"]])
        self._existing("res.currency", [values["currency_id"]])
        net, tax = Decimal(0), self.rounding
        for command, zero, line in values["invoice_line_ids"]:
            self._check_line(command, zero, line)
            amount = cents(exact_decimal(line["quantity"]) * exact_decimal(line["price_unit"]))
            net += amount
            for tax_id in line["tax_ids"][0][2]:
                self._existing("account.tax", [tax_id])
                tax += cents(amount * _RATE / 100)
        total = number(net + tax)
        return {**fields, "amount_total": total, "amount_residual": total}

    def _check_line(self, command: int, zero: int, line: Mapping[str, Any]) -> None:
        mistakes = [
            name
            for name, value in line.items()
            if name not in _LINE_TYPES or not isinstance(value, _LINE_TYPES[name])
        ]
        if (command, zero) != (0, 0) or mistakes:
            raise _RpcError("builtins.ValueError", f"Invalid line: {mistakes}")
        if "account_id" in line:
            self._existing("account.account", [line["account_id"]])
        if "product_id" in line:
            self._existing("product.product", [line["product_id"]])

    def _check_entry(self, lines: list[Any]) -> None:
        balance = Decimal(0)
        for command, zero, line in lines:
            self._check_line(command, zero, line)
            balance += exact_decimal(line["debit"]) - exact_decimal(line["credit"])
        if balance:
            raise _user_error("The entry is not balanced.")

    def _payable(self, context: Mapping[str, Any]) -> list[int]:
        ids: list[int] = context.get("active_ids", [])
        for move in self._existing("account.move", ids):
            if context.get("active_model") != "account.move" or move["state"] != "posted":
                raise _user_error("You can only register payment for posted journal entries.")
            if not move["amount_residual"]:
                raise _user_error(
                    "You can't register a payment because there is nothing left to pay."
                )
        return ids

    def _write(self, model: str, ids: list[int], values: Mapping[str, Any]) -> bool:
        self._check(model, values)
        for item in self._existing(model, ids):
            item.update(values)
        return True

    def _unlink(self, model: str, ids: list[int]) -> bool:
        for item in self._existing(model, ids):
            if item.get("state") == "posted":
                raise _user_error("You can't delete a posted journal item.")
            del self.records[model][item["id"]]
        return True

    def _post(self, model: str, ids: list[int]) -> bool:
        for move in self._existing(model, ids):
            if move["state"] != "draft":
                raise _user_error(f"The entry {move['name']} must be in draft.")
            move |= {"state": "posted", "name": f"INV/2031/{self.number():05d}"}
            if move["move_type"] != "entry" and not move["amount_total"]:
                move["payment_state"] = "paid"
        return False

    def _make_draft(self, model: str, ids: list[int]) -> None:
        for move in self._existing(model, ids):
            if move["state"] not in {"posted", "cancel"}:
                raise _user_error("Only posted/cancelled journal entries can be reset to draft.")
            move |= {"state": "draft", "payment_state": "not_paid"}

    def _cancel(self, model: str, ids: list[int]) -> None:
        for move in self._existing(model, ids):
            if move["state"] != "draft":
                raise _user_error("Only draft journal entries can be cancelled.")
            move["state"] = "cancel"

    def _pay(self, model: str, ids: list[int]) -> dict[str, Any]:
        (form,) = self._existing(model, ids)
        (move,) = self._existing("account.move", form["moves"])
        residual = exact_decimal(move["amount_residual"]) - exact_decimal(form["amount"])
        self._existing("account.journal", [form["journal_id"]])
        move["amount_residual"] = number(max(residual, Decimal(0)))
        move["payment_state"] = "partial" if residual > 0 else "in_payment"
        id_ = 100 + self.number()
        self.records["account.payment"][id_] = {
            "id": id_,
            "amount": form["amount"],
            "currency_id": move["currency_id"],
            "memo": form["communication"],
            "state": "in_process",
        }
        return {
            "type": "ir.actions.act_window",
            "res_model": "account.payment",
            "view_mode": "form",
            "res_id": id_,
        }


def _fulfils(item: Mapping[str, Any], name: str, operator: str, value: Any) -> bool:
    field_value = item.get(name, False)
    if operator == "in":
        return field_value in value
    if operator == "like":
        return isinstance(field_value, str) and value in field_value
    return operator == "=" and field_value == value


def _field_value(item: Mapping[str, Any], name: str) -> Any:
    value = item.get(name, False)
    if name == "currency_id" and type(value) is int:
        return [value, _CURRENCIES[value]]
    return value


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with a database that every scenario can use."""
    sandbox = OdooSandbox()
    return SandboxFixture(
        options={
            "base_url": "https://shop.odoo.example",
            "database": DATABASE,
            "user_id": USER,
            "api_key": sandbox.api_key,
        },
        sandbox=sandbox,
        vendor_values={
            "sale": {"account": "2", "tax_rate": "1"},
            "item": {"item": "10", "tax_rate": "1"},
            "purchase": {"account": "3", "tax_rate": "2"},
            "bank": "1",
            "ledger": ("2", "3"),
        },
    )
