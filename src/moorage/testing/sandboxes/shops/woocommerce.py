"""A local sandbox that imitates a WooCommerce shop.

It has an item `ROPE-10`, and `ROPE-20`, which is a variation of product 30.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shops.base import BUYER, SKU, SeenParcel, ShopSandbox
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from moorage.domain.http.requests import Response

_API: Final = "/wp-json/wc/v3"
_AMOUNT: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_FORM: Final = "%Y-%m-%dT%H:%M:%S"
_STATUSES: Final = words("pending processing on-hold completed cancelled refunded failed trash")
_META: Final = [{"key!": str, "value!": str}]
_ORDER: Final = {"status": _STATUSES, "meta_data": _META}
_REFUND: Final = {"amount!": str, "reason": str, "api_refund": bool, "meta_data": _META}
_NOTE: Final = {"note!": str, "customer_note": bool}
_ITEM: Final = {"manage_stock": bool, "stock_quantity": int, "regular_price": str}
_LIST_NAMES: Final = {
    "orders": words("orderby order per_page page dates_are_gmt modified_after exclude _fields"),
    "products": frozenset(["sku", "per_page", "page"]),
}


class WooCommerceSandbox(ShopSandbox):
    """A sandbox of a WooCommerce shop: orders, notes, refunds and products.

    Attributes:
        consumer_key, consumer_secret: the REST API key of the shop.
        webhook_secret: secret that webhooks are signed with.
    """

    hosts = ("shop.example",)

    consumer_key: str = "ck_sandbox"
    consumer_secret: str = "cs_for-the-sandbox-only-0123456789"
    webhook_secret: str = "woo-for-the-sandbox-only-0123456789"
    _orders: dict[str, dict[str, Any]] = base.state_field(dict)
    _notes: dict[str, list[dict[str, Any]]] = base.state_field(dict)
    _refunds: dict[str, list[dict[str, Any]]] = base.state_field(dict)
    _items: dict[str, dict[str, Any]] = base.state_field(
        lambda: {
            "10": _product(10, SKU, "19.90", stock=12),
            "31": _product(31, "ROPE-20", "34.90", stock=5, parent=30),
        }
    )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        order = f"{_API}/orders/{{id}}"
        return {
            f"GET {_API}/orders": self._list_orders,
            f"GET {order}": self._fetch_order,
            f"PUT {order}": self._change_order,
            f"GET {order}/notes": self._list_notes,
            f"POST {order}/notes": self._add_note,
            f"GET {order}/refunds": self._list_refunds,
            f"POST {order}/refunds": self._refund,
            f"GET {_API}/products": self._list_items,
            f"PUT {_API}/products/{{id}}": self._change_item,
            f"PUT {_API}/products/{{parent}}/variations/{{id}}": self._change_item,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return _error(404, "rest_no_route", "No route was found.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's REST API key."""
        if request.basic() != (self.consumer_key, self.consumer_secret):
            raise _error(
                401, "woocommerce_rest_authentication_error", "Consumer secret is invalid."
            )

    def add_order(self, *quantities: int) -> str:
        """Add a paid order with one line for each given quantity; return the order's id."""
        id_ = str(1_000 + self.number())
        change_time = self.tick()
        lines: list[dict[str, Any]] = [
            {
                "id": number,
                "name": "Rope, 10 m",
                "product_id": 10,
                "variation_id": 0,
                "quantity": quantity,
                "sku": SKU,
                "price": 19.9,
                "total": f"{quantity * 19.9:.2f}",
                "total_tax": "0.00",
            }
            for number, quantity in enumerate(quantities or (1,), start=1)
        ]
        total = f"{sum(line['quantity'] for line in lines) * 19.9 + 4.5:.2f}"
        self._orders[id_] = {
            "id": int(id_),
            "number": id_,
            "status": "processing",
            "currency": "EUR",
            "date_created_gmt": change_time.strftime(_FORM),
            "date_modified_gmt": change_time.strftime(_FORM),
            "discount_total": "0.00",
            "shipping_total": "4.50",
            "total": total,
            "total_tax": "0.00",
            "customer_note": "Please ring twice.",
            "billing": {**_address(), "email": "ada@quayle.example", "phone": "+4940123456"},
            "shipping": _address(),
            "date_paid_gmt": change_time.strftime(_FORM),
            "date_completed_gmt": None,
            "meta_data": [],
            "line_items": lines,
            "refunds": [],
        }
        return id_

    def touch(self, order: str) -> None:
        """Change an order, such as by a merchant's note."""
        self._orders[order]["date_modified_gmt"] = self.tick().strftime(_FORM)

    def parcels(self) -> Sequence[SeenParcel]:
        """Return all orders' parcels."""
        return [
            SeenParcel(
                order=id_,
                tracking_number=next(iter(item["value"].split()[1:2]), None),
                quantity=sum(line["quantity"] for line in order["line_items"]),
                notified=any(note["customer_note"] for note in self._notes.get(id_, [])),
            )
            for id_, order in self._orders.items()
            for item in order["meta_data"]
            if order["status"] == "completed"
        ]

    def canceled(self) -> Sequence[str]:
        """Return the ids of cancelled orders."""
        return [id_ for id_, order in self._orders.items() if order["status"] == "cancelled"]

    def refunds(self) -> Sequence[tuple[str, str]]:
        """Return each refund's order and amount."""
        return [(id_, item["amount"]) for id_, items in self._refunds.items() for item in items]

    def stock(self) -> int:
        """Return the item's stock."""
        stock: int = self._items["10"]["stock_quantity"]
        return stock

    def price(self) -> str:
        """Return the item's price."""
        return str(self._items["10"]["regular_price"])

    def report(self, url: str, order: str, topic: str = "order.updated") -> base.Notice:
        """Send a webhook about an order."""
        body = json.dumps(self._orders[order]).encode()
        headers = {
            "Content-Type": "application/json",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": topic.partition(".")[0],
            "X-WC-Webhook-Event": topic.partition(".")[2],
            "X-WC-Webhook-Signature": base64_hmac(self.webhook_secret.encode(), body),
            "X-WC-Webhook-Delivery-ID": self.uuid(),
        }
        return self.notify(url, body, headers)

    def notes(self, order: str) -> Sequence[str]:
        """Return an order's notes to the buyer."""
        return [note["note"] for note in self._notes.get(order, []) if note["customer_note"]]

    def _list_orders(self, request: base.SandboxRequest) -> Response:
        query = _query(request, "orders")
        modified_after = query.get("modified_after")
        excluded = set(query.get("exclude", "").split(","))
        if query.get("orderby") == "modified" and query.get("dates_are_gmt") != "true":
            raise _error(400, "rest_invalid_param", "Invalid parameter(s): dates_are_gmt")
        orders = [
            order
            for order in self._orders.values()
            if str(order["id"]) not in excluded
            and (modified_after is None or order["date_modified_gmt"] > _time(modified_after))
        ]
        orders.sort(key=lambda order: (order["date_modified_gmt"], order["id"]))
        return _page(request, query, orders)

    def _order(self, id_: str) -> dict[str, Any]:
        missing_error = _error(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        return base.existing(self._orders, id_, missing_error)

    def _fetch_order(self, request: base.SandboxRequest, id: str) -> Response:
        fields = dict(request.query).get("_fields")
        order = self._order(id)
        names = order if fields is None else fields.split(",")
        return base.reply({name: order[name] for name in names})

    def _change_order(self, request: base.SandboxRequest, id: str) -> Response:
        order, body = self._order(id), _body(request, _ORDER)
        for item in body.get("meta_data", []):
            other_fields = [field for field in order["meta_data"] if field["key"] != item["key"]]
            order["meta_data"] = [*other_fields, {"id": self.number(), **item}]
        order["status"] = body.get("status", order["status"])
        self.touch(id)
        if order["status"] == "completed" and order["date_completed_gmt"] is None:
            order["date_completed_gmt"] = order["date_modified_gmt"]
        return base.reply(order)

    def _list_notes(self, request: base.SandboxRequest, id: str) -> Response:
        self._order(id)
        if dict(request.query) not in ({}, {"type": "customer"}):
            raise _error(400, "rest_invalid_param", "Invalid parameter(s): type")
        return base.reply([note for note in self._notes.get(id, []) if note["customer_note"]])

    def _add_note(self, request: base.SandboxRequest, id: str) -> Response:
        self._order(id)
        body = _body(request, _NOTE)
        note = {"id": self.number(), "author": "WooCommerce", "customer_note": False, **body}
        self._notes.setdefault(id, []).append(note)
        return base.reply(note, 201)

    def _list_refunds(self, _: base.SandboxRequest, id: str) -> Response:
        self._order(id)
        return base.reply(self._refunds.get(id, []))

    def _refund(self, request: base.SandboxRequest, id: str) -> Response:
        order, body = self._order(id), _body(request, _REFUND)
        refunded_cents = sum(_cents(item["amount"]) for item in self._refunds.get(id, []))
        is_amount = _AMOUNT.fullmatch(body["amount"]) is not None
        if (
            not is_amount
            or not 0 < _cents(body["amount"]) <= _cents(order["total"]) - refunded_cents
        ):
            raise _error(
                500, "woocommerce_rest_cannot_create_order_refund", "Invalid refund amount."
            )
        refund = {
            "id": self.number(),
            "amount": body["amount"],
            "reason": body.get("reason", ""),
            "refunded_payment": body.get("api_refund", True),
            "meta_data": body.get("meta_data", []),
        }
        self._refunds.setdefault(id, []).append(refund)
        order["refunds"].append({"id": refund["id"], "total": f"-{body['amount']}"})
        if _cents(order["total"]) == refunded_cents + _cents(body["amount"]):
            order["status"] = "refunded"
        self.touch(id)
        return base.reply(refund, 201)

    def _list_items(self, request: base.SandboxRequest) -> Response:
        query = _query(request, "products")
        skus = {query.get("sku", ""), *query.get("sku", "").split(",")}
        return _page(request, query, [item for item in self._items.values() if item["sku"] in skus])

    def _change_item(
        self,
        request: base.SandboxRequest,
        id: str,
        parent: str = "0",
    ) -> Response:
        item = self._items.get(id)
        if item is None or str(item["parent_id"]) != parent:
            raise _error(404, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        item.update(_body(request, _ITEM))
        return base.reply(item)


def _product(number: int, sku: str, price: str, *, stock: int, parent: int = 0) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"Rope {sku}",
        "type": "variation" if parent else "simple",
        "parent_id": parent,
        "sku": sku,
        "regular_price": price,
        "manage_stock": True,
        "stock_quantity": stock,
    }


def _address() -> dict[str, str]:
    first_name, last_name = BUYER.split()
    return {
        "first_name": first_name,
        "last_name": last_name,
        "company": "",
        "address_1": "Kai 1",
        "address_2": "",
        "city": "Hamburg",
        "state": "",
        "postcode": "20457",
        "country": "DE",
    }


def _cents(text: str) -> int:
    whole_part, _, remainder = text.partition(".")
    return int(whole_part) * 100 + int(f"{remainder:0<2}"[:2])


def _time(text: str) -> str:
    """Return a time in MySQL's format; a time with zone is converted to local time."""
    parsed_time = datetime.fromisoformat(text)
    shifted = (
        parsed_time
        if parsed_time.tzinfo is None
        else parsed_time.astimezone(UTC) + timedelta(hours=2)
    )
    return shifted.strftime(_FORM)


def _query(request: base.SandboxRequest, name: str) -> dict[str, str]:
    query = dict(request.query)
    extra = sorted(query.keys() - _LIST_NAMES[name])
    if extra or not 1 <= int(query.get("per_page", "10")) <= 100:
        raise _error(400, "rest_invalid_param", f"Invalid parameter(s): {extra or 'per_page'}")
    return query


def _page(
    request: base.SandboxRequest, query: dict[str, str], items: list[dict[str, Any]]
) -> Response:
    size, number = int(query.get("per_page", "10")), int(query.get("page", "1"))
    pages = -(-len(items) // size)
    page = items[(number - 1) * size : number * size]
    totals = {"X-WP-Total": str(len(items)), "X-WP-TotalPages": str(pages)}
    url = f"https://{request.host}{request.path}?page={number + 1}"
    links = {"Link": f'<{url}>; rel="next"'} if number < pages else {}
    response = base.reply(page)
    return response.evolve(headers={**dict(response.headers), **totals, **links})


def _body(request: base.SandboxRequest, shape: dict[str, Any]) -> dict[str, Any]:
    body = request.json()
    wrong_fields = [name for _, name, _ in problems(shape, body)]
    if wrong_fields:
        raise _error(400, "rest_invalid_param", f"Invalid parameter(s): {', '.join(wrong_fields)}")
    fields: dict[str, Any] = body
    return fields


def _error(status: int, code: str, message: str) -> base.Refusal:
    return base.refusal({"code": code, "message": message, "data": {"status": status}}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = WooCommerceSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "base_url": f"https://{sandbox.hosts[0]}",
            "consumer_key": sandbox.consumer_key,
            "credentials": sandbox.consumer_secret,
            "currency": "EUR",
        },
        vendor_values={"order": lambda: sandbox.add_order(2)},
    )
