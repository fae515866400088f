"""A local sandbox that imitates the GraphQL Admin API of a Shopify shop.

It has an item `ROPE-10` with 12 pieces at location 1, and a bucket of points for queries, which
`drain` empties.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems
from moorage.testing.sandboxes._graphql import (
    Field,
    UnreadableError,
    read_operation,
    selected_fields,
)
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shops.base import BUYER, SKU, SeenParcel, ShopSandbox
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from moorage.domain.http.requests import Response

_PATH: Final = "/admin/api/2026-07/graphql.json"
_GID: Final = "gid://shopify"
LOCATION: Final = f"{_GID}/Location/1"
_UPDATED: Final = re.compile("updated_at:>='([0-9T:Z-]+)'")
_SKU: Final = re.compile("sku:'(.*)'")
_FORM: Final = "%Y-%m-%dT%H:%M:%SZ"
_FULFILLMENT: Final = {
    "lineItemsByFulfillmentOrder!": [
        {
            "fulfillmentOrderId!": str,
            "fulfillmentOrderLineItems": [{"id!": str, "quantity!": int}],
        }
    ],
    "trackingInfo": {"company": str, "number": str, "url": str},
    "notifyCustomer": bool,
}
_QUANTITIES: Final = {
    "name!": frozenset({"available", "on_hand"}),
    "reason!": frozenset({"correction", "cycle_count_available", "received", "restock", "other"}),
    "quantities!": [
        {
            "inventoryItemId!": str,
            "locationId!": str,
            "quantity!": int,
            "changeFromQuantity!": (int, type(None)),
        }
    ],
}
_MOST_STOCK: Final = 1_000_000_000
_PRICE: Final = re.compile(r"[0-9]{1,16}(\.[0-9]+)?")
_MOST_POINTS: Final = 1_000
_VARIANT: Final = {"id!": str, "price": str}


class ShopifySandbox(ShopSandbox):
    """A sandbox of a Shopify shop: orders, fulfilments, variants and stock.

    Attributes:
        token: access token that requests must have.
        webhook_secret: client secret of the app, which webhooks are signed with.
        points: remaining points in the bucket.
    """

    hosts = ("harbour-goods.myshopify.com",)
    cancels_later: bool | None = base.state_field(bool)

    token: str = "shpat_for-the-sandbox-only-0123456789"
    webhook_secret: str = "shpss_for-the-sandbox-only-0123456789"
    points: int = 2_000
    _orders: dict[str, dict[str, Any]] = base.state_field(dict)
    _parcels: list[SeenParcel] = base.state_field(list)
    _keys: dict[str, tuple[str, dict[str, Any]]] = base.state_field(dict)
    _variant: dict[str, Any] = base.state_field(
        lambda: {
            "id": f"{_GID}/ProductVariant/20",
            "sku": SKU,
            "displayName": "Rope - 10 m",
            "price": "19.90",
            "inventoryQuantity": 12,
            "product": {"id": f"{_GID}/Product/10"},
            "inventoryItem": {"id": f"{_GID}/InventoryItem/30", "tracked": True},
        }
    )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {f"POST {_PATH}": self._execute}

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return _errors({"message": problem})

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return base.reply({"errors": "Not Found"}, 404)

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token."""
        if request.headers.get("x-shopify-access-token") != self.token:
            message = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            raise base.refusal({"errors": message}, 401)

    def drain(self) -> None:
        """Use up Shopify's rate limit."""
        self.points = 0

    def add_order(self, *quantities: int) -> str:
        """Add a paid order with one line for each given quantity; return the order's id."""
        number = 1_000 + self.number()
        id_, change_time = f"{_GID}/Order/{number}", self.tick().strftime(_FORM)
        lines: list[dict[str, Any]] = [
            {
                "id": f"{_GID}/LineItem/{number}{position}",
                "sku": SKU,
                "name": "Rope - 10 m",
                "quantity": quantity,
                "unfulfilledQuantity": quantity,
                "originalUnitPriceSet": _money_bag("19.9"),
                "discountAllocations": [],
            }
            for position, quantity in enumerate(quantities or (1,), start=1)
        ]
        total = f"{sum(line['quantity'] for line in lines) * 19.9 + 4.5:.2f}"
        parts = [
            {
                "id": f"{line['id'].replace('LineItem', 'FulfillmentOrderLineItem')}",
                "remainingQuantity": line["quantity"],
                "lineItem": {"id": line["id"]},
            }
            for line in lines
        ]
        self._orders[id_] = {
            "id": id_,
            "name": f"#{number}",
            "createdAt": change_time,
            "updatedAt": change_time,
            "cancelledAt": None,
            "closed": False,
            "note": "Please ring twice.",
            "taxesIncluded": True,
            "email": "ada@quayle.example",
            "displayFinancialStatus": "PAID",
            "displayFulfillmentStatus": "UNFULFILLED",
            "currentTotalPriceSet": _money_bag(total),
            "currentTotalTaxSet": _money_bag("0.0"),
            "currentTotalDiscountsSet": _money_bag("0.0"),
            "currentShippingPriceSet": _money_bag("4.5"),
            "billingAddress": _address(),
            "shippingAddress": _address(),
            "lineItems": {"nodes": lines},
            "fulfillments": [],
            "fulfillmentOrders": {
                "nodes": [
                    {
                        "id": f"{_GID}/FulfillmentOrder/{number}",
                        "status": "OPEN",
                        "lineItems": {"nodes": parts},
                    }
                ]
            },
        }
        return id_

    def touch(self, order: str) -> None:
        """Change an order, such as by a merchant's note."""
        self._orders[order]["updatedAt"] = self.tick().strftime(_FORM)

    def hold(self, order: str) -> None:
        """Set an order's fulfilment to "on hold"."""
        self._orders[order]["fulfillmentOrders"]["nodes"][0]["status"] = "ON_HOLD"

    def parcels(self) -> Sequence[SeenParcel]:
        """Return all orders' parcels."""
        return tuple(self._parcels)

    def canceled(self) -> Sequence[str]:
        """Return the ids of cancelled orders."""
        return [id_ for id_, order in self._orders.items() if order["cancelledAt"]]

    def refunds(self) -> Sequence[tuple[str, str]]:
        """Return each refund's order and amount."""
        return ()

    def stock(self) -> int:
        """Return the item's stock."""
        stock: int = self._variant["inventoryQuantity"]
        return stock

    def price(self) -> str:
        """Return the item's price."""
        return str(self._variant["price"])

    def report(self, url: str, order: str, topic: str = "orders/updated") -> base.Notice:
        """Send a webhook about an order, signed with the app's secret."""
        entry = self._orders[order]
        body = json.dumps(
            {
                "id": int(order.rpartition("/")[2]),
                "admin_graphql_api_id": order,
                "currency": "EUR",
                "updated_at": entry["updatedAt"],
            }
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Shopify-Hmac-Sha256": base64_hmac(self.webhook_secret.encode(), body),
            "X-Shopify-Topic": topic,
            "X-Shopify-Webhook-Id": self.uuid(),
            "X-Shopify-Triggered-At": entry["updatedAt"],
        }
        return self.notify(url, body, headers)

    # --- the interpreter ---------------------------------------------------

    def _execute(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if not is_object(body) or not isinstance(body.get("query"), str):
            raise base.refusal({"errors": {"query": "Required parameter missing"}}, 400)
        if self.points < 10:
            raise self._throttled()
        try:
            kind, fields = read_operation(body["query"], body.get("variables") or {})
            cost = sum(map(_cost_of, fields))
            if cost > _MOST_POINTS:
                return _errors(_cost_error(cost))
            data = {field.name: self._root(kind, field) for field in fields}
        except UnreadableError as error:
            return _errors({"message": str(error), "extensions": {"code": "undefinedField"}})
        return base.reply({"data": data, "extensions": {"cost": self._cost()}})

    def _cost(self) -> dict[str, Any]:
        return {
            "requestedQueryCost": 10,
            "actualQueryCost": 10,
            "throttleStatus": {
                "maximumAvailable": 2_000.0,
                "currentlyAvailable": self.points,
                "restoreRate": 100.0,
            },
        }

    def _throttled(self) -> base.Refusal:
        problem = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        body = {"errors": [problem], "extensions": {"cost": self._cost()}}
        return base.Refusal(base.reply(body))

    def _root(self, kind: str, field: Field) -> Any:
        roots: dict[tuple[str, str], Callable[[Field], Any]] = {
            ("query", "shop"): self._shop,
            ("query", "order"): self._order,
            ("query", "fulfillmentOrder"): self._part,
            ("query", "orders"): self._list_orders,
            ("query", "productVariants"): self._list_variants,
            ("mutation", "fulfillmentCreate"): self._fulfil,
            ("mutation", "orderCancel"): self._cancel,
            ("mutation", "inventorySetQuantities"): self._set_quantities,
            ("mutation", "productVariantsBulkUpdate"): self._update_variants,
        }
        if (kind, field.name) not in roots:
            raise UnreadableError(f"Field '{field.name}' doesn't exist on {kind}")
        value = roots[kind, field.name](field)
        return None if value is None else selected_fields(value, field, field.name)

    def _shop(self, _: Field) -> Any:
        return {"id": f"{_GID}/Shop/1", "currencyCode": "EUR"}

    def _order(self, field: Field) -> Any:
        return self._orders.get(field.arguments["id"])

    def _part(self, field: Field) -> Any:
        parts = (
            part for order in self._orders.values() for part in order["fulfillmentOrders"]["nodes"]
        )
        return next((part for part in parts if part["id"] == field.arguments["id"]), None)

    def _list_orders(self, field: Field) -> Any:
        arguments = field.arguments
        if arguments.get("sortKey") != "UPDATED_AT":
            raise UnreadableError("This sandbox sorts by UPDATED_AT only.")
        match = _UPDATED.fullmatch(arguments.get("query") or "")
        start = match[1] if match else ""
        cursor = tuple((arguments.get("after") or "|").split("|"))
        orders = sorted(
            (order["updatedAt"], order["id"])
            for order in self._orders.values()
            if order["updatedAt"] >= start and (order["updatedAt"], order["id"]) > cursor
        )
        page = orders[: arguments["first"]]
        return {
            "nodes": [self._orders[id_] for _, id_ in page],
            "pageInfo": {
                "hasNextPage": len(orders) > len(page),
                "endCursor": "|".join(page[-1]) if page else None,
            },
        }

    def _list_variants(self, field: Field) -> Any:
        match = _SKU.fullmatch(field.arguments.get("query") or "")
        if match is None:
            raise UnreadableError("This sandbox searches by sku only.")
        # Shopify's search finds words, not whole numbers.
        is_match = match[1].partition("-")[0] == SKU.partition("-")[0]
        page = {"hasNextPage": False, "endCursor": None}
        return {"nodes": [self._variant] if is_match else [], "pageInfo": page}

    def _fulfil(self, field: Field) -> Any:
        fields = _input(field, "fulfillment", _FULFILLMENT)
        order = self._with_part(fields["lineItemsByFulfillmentOrder"][0]["fulfillmentOrderId"])
        part = order["fulfillmentOrders"]["nodes"][0]
        items = {item["id"]: item for item in part["lineItems"]["nodes"]}
        taken_items = {
            entry["id"]: entry["quantity"]
            for group in fields["lineItemsByFulfillmentOrder"]
            for entry in group.get("fulfillmentOrderLineItems", [])
        } or {id_: item["remainingQuantity"] for id_, item in items.items()}
        is_wrong = any(
            id_ not in items or not 0 < quantity <= items[id_]["remainingQuantity"]
            for id_, quantity in taken_items.items()
        )
        if is_wrong or part["status"] != "OPEN" or order["cancelledAt"]:
            message = "Fulfillment order line items are invalid or already fulfilled."
            return _payload("fulfillment", field="fulfillment", message=message)
        lines = {line["id"]: line for line in order["lineItems"]["nodes"]}
        for id_, quantity in taken_items.items():
            items[id_]["remainingQuantity"] -= quantity
            lines[items[id_]["lineItem"]["id"]]["unfulfilledQuantity"] -= quantity
        is_whole = not any(item["remainingQuantity"] for item in items.values())
        part["status"] = "CLOSED" if is_whole else "OPEN"
        order["displayFulfillmentStatus"] = "FULFILLED" if is_whole else "PARTIALLY_FULFILLED"
        tracking = fields.get("trackingInfo", {})
        quantity = sum(taken_items.values())
        parcel = {
            "id": f"{_GID}/Fulfillment/{self.number()}",
            "status": "SUCCESS",
            "totalQuantity": quantity,
            "trackingInfo": [{"number": tracking.get("number")}],
        }
        order["fulfillments"].append(parcel)
        self._parcels.append(
            SeenParcel(
                order=order["id"],
                tracking_number=tracking.get("number"),
                quantity=quantity,
                notified=fields.get("notifyCustomer", False),
            )
        )
        self.touch(order["id"])
        return {"fulfillment": parcel, "userErrors": []}

    def _with_part(self, id_: str) -> dict[str, Any]:
        return next(
            order
            for order in self._orders.values()
            if order["fulfillmentOrders"]["nodes"][0]["id"] == id_
        )

    def _cancel(self, field: Field) -> Any:
        arguments = field.arguments
        order = self._orders.get(arguments["orderId"])
        if not {"restock", "reason"} <= arguments.keys():
            raise UnreadableError("Field 'orderCancel' is missing required arguments")
        if order is None or order["cancelledAt"] or order["fulfillments"]:
            code = "NOT_FOUND" if order is None else "INVALID"
            return _payload("job", "orderCancelUserErrors", code=code, message="Cannot cancel.")
        if not self.cancels_later:
            order["cancelledAt"] = self.tick().strftime(_FORM)
            self.touch(order["id"])
        job = {"id": f"{_GID}/Job/{self.uuid()}", "done": not self.cancels_later}
        return {"job": job, "orderCancelUserErrors": []}

    def _set_quantities(self, field: Field) -> Any:
        fields = _input(field, "input", _QUANTITIES)
        key = field.directives.get("idempotent", {}).get("key")
        if not key:
            raise UnreadableError("The @idempotent directive is required for this mutation.")
        content = json.dumps(fields, sort_keys=True)
        earlier_content, earlier_payload = self._keys.get(key, (content, None))
        name = "inventoryAdjustmentGroup"
        if earlier_content != content:
            code = "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
            return _payload(name, code=code, message="The key was used for another request.")
        if earlier_payload is not None:
            return earlier_payload
        change = fields["quantities"][0]
        problems_by_code = {
            "INVALID_INVENTORY_ITEM": change["inventoryItemId"] != f"{_GID}/InventoryItem/30",
            "INVALID_LOCATION": change["locationId"] != LOCATION,
            "INVALID_QUANTITY_NEGATIVE": change["quantity"] < 0,
            "INVALID_QUANTITY_TOO_HIGH": change["quantity"] > _MOST_STOCK,
            "CHANGE_FROM_QUANTITY_STALE": change["changeFromQuantity"]
            not in {None, self._variant["inventoryQuantity"]},
        }
        problem = base.first_problem(problems_by_code)
        if problem is not None:
            return _payload(name, code=problem, message="The quantity was not set.")
        delta = change["quantity"] - self._variant["inventoryQuantity"]
        self._variant["inventoryQuantity"] = change["quantity"]
        item = {**self._variant["inventoryItem"], "variants": {"nodes": [self._variant]}}
        group = {
            "id": f"{_GID}/InventoryAdjustmentGroup/{self.number()}",
            "changes": [{"delta": delta, "item": item}],
        }
        payload: dict[str, Any] = {name: group, "userErrors": []}
        self._keys[key] = content, payload
        return payload

    def _update_variants(self, field: Field) -> Any:
        variants = field.arguments["variants"]
        if any(list(problems(_VARIANT, item)) for item in variants):
            raise UnreadableError("The variants are invalid.")
        is_known = field.arguments["productId"] == self._variant["product"]["id"] and all(
            item["id"] == self._variant["id"] for item in variants
        )
        if any(_PRICE.fullmatch(item.get("price", "0")) is None for item in variants):
            code, message = "INVALID_INPUT", "Price must be greater than or equal to 0"
            return _payload("productVariants", code=code, message=message)
        if not is_known:
            code = "PRODUCT_VARIANT_DOES_NOT_EXIST"
            return _payload("productVariants", code=code, message="Product variant does not exist")
        self._variant.update(variants[0])
        return {"productVariants": [self._variant], "userErrors": []}


def _cost_of(field: Field) -> int:
    """Return the cost of a field in points, by Shopify's rules for full pages: one per object."""
    if not field.selection:
        return 0
    costs = {inner.name: _cost_of(inner) for inner in field.selection}
    size: int = field.arguments.get("first", 1)
    if "nodes" in costs:
        return 2 + size * costs.pop("nodes") + sum(costs.values())
    return size * (1 + sum(costs.values()))


def _cost_error(cost: int) -> dict[str, Any]:
    message = f"Query cost is {cost}, which exceeds the single query max cost limit (1000)."
    code = {"code": "MAX_COST_EXCEEDED", "cost": cost, "maxCost": _MOST_POINTS}
    return {"message": message, "extensions": code}


def _payload(name: str, errors: str = "userErrors", **problem: Any) -> dict[str, Any]:
    return {name: None, errors: [{"field": None, "code": None, **problem}]}


def _input(field: Field, name: str, shape: dict[str, Any]) -> dict[str, Any]:
    value: Any = field.arguments.get(name)
    mistakes = list(problems(shape, value))
    if mistakes:
        raise UnreadableError(f"Variable ${name} was provided invalid value: {mistakes}")
    fields: dict[str, Any] = value
    return fields


def _money_bag(amount: str) -> dict[str, Any]:
    """Return an amount in euros, together with the buyer's Danish crowns."""
    crowns = f"{float(amount) * 7.5:.2f}"
    return {
        "shopMoney": {"amount": amount, "currencyCode": "EUR"},
        "presentmentMoney": {"amount": crowns, "currencyCode": "DKK"},
    }


def _address() -> dict[str, Any]:
    first_name, last_name = BUYER.split()
    return {
        "firstName": first_name,
        "lastName": last_name,
        "company": None,
        "address1": "Kai 1",
        "address2": None,
        "city": "Hamburg",
        "provinceCode": None,
        "zip": "20457",
        "countryCodeV2": "DE",
        "phone": "+4940123456",
    }


def _errors(problem: dict[str, Any]) -> Response:
    return base.reply({"errors": [problem]})


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = ShopifySandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "shop": "harbour-goods",
            "credentials": sandbox.token,
            "location": LOCATION,
        },
        vendor_values={"order": lambda: sandbox.add_order(2)},
    )
