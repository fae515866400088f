"""Conversion of Shopify's responses and errors to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shops import (
    Completion,
    FulfilmentReceipt,
    OrderFulfilment,
    OrderLine,
    OrderPayment,
    OrderState,
    ShopEvent,
    ShopItem,
    ShopOrder,
    ShopTopic,
)
from moorage.vendors.shops._common import address_of, full_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from moorage.contracts.address import Address

PAYMENTS: Final[Mapping[str, OrderPayment]] = {
    "PENDING": OrderPayment.PENDING,
    "AUTHORIZED": OrderPayment.AUTHORIZED,
    "PARTIALLY_PAID": OrderPayment.PARTIALLY_PAID,
    "PARTIALLY_REFUNDED": OrderPayment.PARTIALLY_REFUNDED,
    "VOIDED": OrderPayment.VOIDED,
    "PAID": OrderPayment.PAID,
    "REFUNDED": OrderPayment.REFUNDED,
    "EXPIRED": OrderPayment.EXPIRED,
}
FULFILMENTS: Final[Mapping[str, OrderFulfilment]] = {
    **sdk.words(OrderFulfilment.UNFULFILLED, "UNFULFILLED OPEN SCHEDULED REQUEST_DECLINED"),
    **sdk.words(OrderFulfilment.IN_PROGRESS, "IN_PROGRESS PENDING_FULFILLMENT"),
    "PARTIALLY_FULFILLED": OrderFulfilment.PARTIALLY_FULFILLED,
    "FULFILLED": OrderFulfilment.FULFILLED,
    "RESTOCKED": OrderFulfilment.RESTOCKED,
    "ON_HOLD": OrderFulfilment.ON_HOLD,
}
_COMPLETIONS: Final[Mapping[str, Completion]] = {
    "SUCCESS": Completion.DONE,
    "PENDING": Completion.PENDING,
    "OPEN": Completion.PENDING,
}
_ERRORS: Final[Mapping[str, type[Any]]] = {
    "THROTTLED": sdk.RateLimitExceeded,
    "ACCESS_DENIED": sdk.AuthenticationFailed,
    "SHOP_INACTIVE": sdk.VendorRejected,
    "INTERNAL_SERVER_ERROR": sdk.VendorFailed,
    "INTERNAL_ERROR": sdk.VendorFailed,
    "TIMEOUT": sdk.VendorFailed,
    "IDEMPOTENCY_CONCURRENT_REQUEST": sdk.VendorFailed,
}
_STATUSES: Final[Mapping[int, type[Any]]] = {
    400: sdk.InvalidRequest,
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    429: sdk.RateLimitExceeded,
}
_USER_ERRORS: Final = ("userErrors", "orderCancelUserErrors")
_TOPICS: Final[Mapping[str, ShopTopic]] = {
    "orders/create": ShopTopic.ORDER_CREATED,
    "orders/cancelled": ShopTopic.ORDER_CANCELED,
    "orders/delete": ShopTopic.ORDER_DELETED,
    **sdk.words(
        ShopTopic.ORDER_UPDATED,
        "orders/updated orders/edited orders/paid orders/fulfilled orders/partially_fulfilled",
    ),
}
_TIMEOUT: Final = 408
_ORDER_ID: Final = "gid://shopify/Order/"


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response; Shopify sends most errors with a success status."""
    answer = sdk.error_answer(response)
    if response.status >= 500 or response.status == _TIMEOUT:
        return None
    if not sdk.is_success(response.status):
        words = answer.text("errors") or answer.text("errors.0.message")
        kind = _STATUSES.get(response.status, sdk.VendorRejected)
        code, words = answer.text("errors.0.extensions.code"), sdk.masked_words(words)
        return sdk.refusal(kind, "Shopify", response, code, words, otherwise=response.status)
    problem = next(answer.objects("errors"), None)
    if problem is not None:
        code = problem.text("extensions.code")
        error = _refusal(response, sdk.InvalidRequest, code, problem)
        error.vendor_retry_after = _pause(answer.object("extensions.cost"))
        return error
    for name in answer.object("data").raw:
        for list_name in _USER_ERRORS:
            problem = next(answer.objects(f"data.{name}.{list_name}"), None)
            if problem is not None:
                return _refusal(response, sdk.VendorRejected, problem.text("code"), problem)
    return None


def _refusal(
    response: sdk.Response, otherwise: type[Any], code: str | None, problem: sdk.Answer
) -> sdk.ConnectorError:
    kind = _ERRORS.get(code or "", otherwise)
    words = sdk.masked_words(problem.text("message"))
    return sdk.refusal(kind, "Shopify", response, code, words)


def _pause(cost: sdk.Answer) -> float | None:
    """The seconds to wait until Shopify's rate limit allows the same request again."""
    needed, points_left, rate = (
        cost.decimal(path)
        for path in (
            "requestedQueryCost",
            "throttleStatus.currentlyAvailable",
            "throttleStatus.restoreRate",
        )
    )
    if needed is None or points_left is None or not rate or rate < 0:
        return None
    return max(0.0, float((needed - points_left) / rate))


def required_object(response: sdk.Response, path: str) -> sdk.Answer:
    """The object in a response, which must exist because its id was requested.

    Raises:
        VendorRejected: the shop has no object with this id.
        VendorFailed: the response does not state whether the object exists.
    """
    answer = sdk.read_answer(response)
    if answer.object("data").raw.get(path, answer) is None:
        raise sdk.refusal(
            sdk.VendorRejected,
            "Shopify",
            response,
            "NOT_FOUND",
            None,
            otherwise=f"The shop has no {path} with this id.",
        )
    return sdk.required(answer.object(f"data.{path}") or None, response, f"data.{path}")


def _money(answer: sdk.Answer, path: str) -> sdk.Money | None:
    return sdk.as_money(answer.value(f"{path}.amount"), answer.value(f"{path}.currencyCode"))


def _address(answer: sdk.Answer) -> Address | None:
    return address_of(
        answer.text("countryCodeV2"),
        name=full_name(answer.text("firstName"), answer.text("lastName")),
        company=answer.text("company"),
        line1=answer.text("address1"),
        line2=answer.text("address2"),
        city=answer.text("city"),
        region=answer.text("provinceCode"),
        postal_code=answer.text("zip"),
        phone=answer.text("phone"),
    )


def next_cursor(response: sdk.Response, page: sdk.Answer) -> str | None:
    """The cursor of the next page; None after the last page.

    Raises:
        VendorFailed: the response does not say whether there is a next page.
    """
    has_next = sdk.required(page.flag("pageInfo.hasNextPage"), response, "pageInfo.hasNextPage")
    if not has_next:
        return None
    return sdk.required(page.text("pageInfo.endCursor"), response, "pageInfo.endCursor")


async def all_nodes(
    response: sdk.Response,
    page: sdk.Answer,
    name: str,
    read_page: Callable[[str], Awaitable[tuple[sdk.Response, sdk.Answer]]],
) -> list[sdk.Answer]:
    """The entries of a list, from its first page and all further pages.

    Args:
        response: response with the first page.
        page: first page.
        name: name of the list.
        read_page: reads the page after a cursor.

    Raises:
        VendorFailed: a page has no list, or leads back to an earlier page.
    """
    nodes: list[sdk.Answer] = []
    earlier_cursors: set[str] = set()
    while True:
        if not sdk.is_list(page.value("nodes")):
            raise sdk.malformed(response, f"{name}.nodes")
        nodes += page.objects("nodes")
        cursor = next_cursor(response, page)
        if cursor is None:
            return nodes
        if cursor in earlier_cursors:
            raise sdk.malformed(response, f"new {name}.pageInfo.endCursor")
        earlier_cursors.add(cursor)
        response, page = await read_page(cursor)


def _line_total(item: sdk.Answer, quantity: int) -> sdk.Money | None:
    """The price of a line after the discounts of the line and its share of the order's.

    Shopify's own total of a line leaves out discounts of the order and of codes.
    """
    unit_price = item.object("originalUnitPriceSet.shopMoney")
    total = unit_price.decimal("amount")
    if total is None or not sdk.is_list(item.value("discountAllocations")):
        return None
    total *= quantity
    for part in item.objects("discountAllocations"):
        amount = part.decimal("allocatedAmountSet.shopMoney.amount")
        if amount is None:
            return None
        total -= amount
    return sdk.as_money(total, unit_price.value("currencyCode"))


def _lines(response: sdk.Response, items: Iterable[sdk.Answer]) -> Iterator[OrderLine]:
    for item in items:
        quantity = sdk.required(item.integer("quantity"), response, "lineItems.quantity")
        yield OrderLine(
            id=sdk.required(item.text("id"), response, "lineItems.id"),
            sku=item.text("sku"),
            title=item.text("name"),
            quantity=quantity,
            unfulfilled=item.integer("unfulfilledQuantity"),
            unit_price=_money(item, "originalUnitPriceSet.shopMoney"),
            total=_line_total(item, quantity),
        )


def _state(answer: sdk.Answer) -> OrderState:
    if answer.text("cancelledAt") is not None:
        return OrderState.CANCELED
    words = {True: OrderState.CLOSED, False: OrderState.OPEN}
    is_closed = answer.flag("closed")
    return OrderState.UNKNOWN if is_closed is None else words[is_closed]


def read_order(
    ref: sdk.MakeRef,
    response: sdk.Response,
    answer: sdk.Answer,
    lines: Iterable[sdk.Answer],
) -> ShopOrder:
    """An order with its lines.

    Raises:
        VendorFailed: the response lacks a field that every order has.
    """
    id_ = sdk.required(answer.text("id"), response, "id")
    total = _money(answer, "currentTotalPriceSet.shopMoney")
    total = sdk.required(total, response, "currentTotalPriceSet")
    paid = answer.text("displayFinancialStatus")
    shipped = answer.text("displayFulfillmentStatus")
    shipped = sdk.required(shipped, response, "displayFulfillmentStatus")
    return ShopOrder(
        ref=ref(id_, currency=total.currency),
        number=answer.text("name"),
        state=_state(answer),
        payment=PAYMENTS.get(paid or "", OrderPayment.UNKNOWN),
        fulfilment=FULFILMENTS.get(shipped, OrderFulfilment.UNKNOWN),
        vendor_status=f"{paid}/{shipped}",
        lines=tuple(_lines(response, lines)),
        total=total,
        buyer_total=_money(answer, "currentTotalPriceSet.presentmentMoney"),
        tax=_money(answer, "currentTotalTaxSet.shopMoney"),
        shipping=_money(answer, "currentShippingPriceSet.shopMoney"),
        discount=_money(answer, "currentTotalDiscountsSet.shopMoney"),
        prices_include_tax=answer.flag("taxesIncluded"),
        email=answer.text("email"),
        billing_address=_address(answer.object("billingAddress")),
        shipping_address=_address(answer.object("shippingAddress")),
        note=answer.text("note"),
        created_at=answer.time("createdAt"),
        updated_at=sdk.required(answer.time("updatedAt"), response, "updatedAt"),
        raw=answer.raw,
    )


def read_fulfilment(ref: sdk.Ref, response: sdk.Response, answer: sdk.Answer) -> FulfilmentReceipt:
    """The receipt of a fulfilment."""
    status = sdk.required(answer.text("status"), response, "fulfillment.status")
    return FulfilmentReceipt(
        ref=ref,
        id=sdk.required(answer.text("id"), response, "fulfillment.id"),
        completion=_COMPLETIONS.get(status, Completion.UNKNOWN),
        vendor_status=status,
        raw=answer.raw,
    )


def read_item(
    ref: sdk.MakeRef, response: sdk.Response, answer: sdk.Answer, currency: str
) -> ShopItem:
    """A variant; its reference also contains its product and inventory item."""
    id_ = sdk.required(answer.text("id"), response, "productVariants.id")
    is_counted = answer.flag("inventoryItem.tracked")
    return ShopItem(
        ref=ref(
            id_,
            currency=currency,
            product=sdk.required(answer.text("product.id"), response, "product.id"),
            stock=sdk.required(answer.text("inventoryItem.id"), response, "inventoryItem.id"),
        ),
        sku=sdk.required(answer.text("sku"), response, "sku"),
        title=answer.text("displayName"),
        price=sdk.as_money(answer.value("price"), currency),
        stock=answer.integer("inventoryQuantity") if is_counted else None,
        raw=answer.raw,
    )


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[ShopEvent, ...]:
    """The order change in a webhook; empty if it reports anything else."""
    answer = sdk.as_answer(event.payload)
    topic, number = _TOPICS.get(event.type or ""), answer.text("id")
    if topic is None or number is None:
        return ()
    return (
        ShopEvent(
            id=event.id,
            ref=ref(f"{_ORDER_ID}{number}", currency=answer.text("currency")),
            topic=topic,
            at=answer.time("updated_at"),
            raw=answer.raw,
        ),
    )
