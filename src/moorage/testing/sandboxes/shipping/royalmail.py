"""A local sandbox that imitates the API of Royal Mail's Click & Drop.

Royal Mail takes no order to the postal code 00001; an order to 00002 is created, and its label is
refused.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import LABEL_TEXTS, NO_LABEL, event_time

if TYPE_CHECKING:
    from pathlib import Path

_ADDRESS: Final = {
    **typed(str, "addressLine1! city! countryCode!"),
    **typed(str, "fullName companyName addressLine2 addressLine3"),
    **typed(str, "county postcode"),
}
_CATEGORIES: Final = words(
    "none gift commercialSample documents other returnedGoods saleOfGoods mixedContent"
)
_CONTENT: Final = {
    **typed(str, "name customsDescription extendedCustomsDescription"),
    **typed(str, "SKU customsCode originCountryCode"),
    "quantity!": int,
    "unitValue": NUMBER,
    "unitWeightInGrams": int,
    "customsDeclarationCategory": _CATEGORIES,
}
_ORDER: Final = {
    "orderReference": str,
    "recipient!": {"address": _ADDRESS, "phoneNumber": str, "emailAddress": str},
    "sender": {"tradingName": str, "phoneNumber": str, "emailAddress": str},
    "packages": [
        {
            "weightInGrams!": int,
            "packageFormatIdentifier!": words(
                "undefined letter largeLetter smallParcel mediumParcel largeParcel parcel documents"
            ),
            "dimensions": typed(int, "heightInMms! widthInMms! depthInMms!"),
            "contents": [_CONTENT],
        }
    ],
    **typed(str, "orderDate! plannedDespatchDate currencyCode"),
    **typed(NUMBER, "subtotal! shippingCostCharged! total!"),
    "specialInstructions": str,
    "postageDetails": {"serviceCode": str, "commercialInvoiceNumber": str, "safePlace": str},
    "label": {"includeLabelInResponse!": bool, "includeCN": bool, "includeReturnsLabel": bool},
}
_NO_PRINT: Final = "00002"
_Fields = dict[str, Any]


class RoyalMailSandbox(base.Sandbox):
    """A sandbox of Click & Drop: orders, their labels, and their deletion.

    Attributes:
        api_key: the authorisation key of the account.
        orders: the orders with a label, by number.
    """

    hosts = ("api.parcel.royalmail.com",)

    api_key: str = "11111111-2222-4333-8444-555555555555"
    orders: dict[str, _Fields] = base.state_field(dict)
    _sold: int = base.state_field(int)

    @property
    def sold(self) -> int:
        """The number of labels that were ever sold."""
        return self._sold

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /api/v1/orders": self._create,
            "GET /api/v1/orders": self._list,
            "GET /api/v1/orders/{identifiers}": self._get,
            "DELETE /api/v1/orders/{identifiers}": self._delete,
            "GET /api/v1/orders/{identifiers}/label": self._label,
        }

    def move(self, number: str, status: str) -> None:
        """Set the time of a step: printedOn, manifestedOn or shippedOn."""
        order = next(item for item in self.orders.values() if item["trackingNumber"] == number)
        order[status] = f"{event_time(1)}Z"

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's authorisation key."""
        if request.bearer() != self.api_key:
            raise base.Refusal(Response(401))

    def _create(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        for location, name, problem in problems({"items!": [_ORDER]}, body):
            details = {"code": "BadRequest", "message": f"{location}/{name} is {problem}."}
            raise base.refusal(details, 400)
        created: list[_Fields] = []
        failed: list[_Fields] = []
        for order in body["items"]:
            if order["recipient"]["address"].get("postcode") == NO_LABEL:
                field = {"fieldName": "Recipient.Address.Postcode", "value": NO_LABEL}
                error = {"errorCode": 11, "errorMessage": "It is invalid.", "fields": [field]}
                failed.append({"order": order, "errors": [error]})
            else:
                created.append(self._created(order))
        counts = {"successCount": len(created), "errorsCount": len(failed)}
        return base.reply({**counts, "createdOrders": created, "failedOrders": failed})

    def _created(self, order: _Fields) -> _Fields:
        number = self.number()
        is_printed = order["recipient"]["address"].get("postcode") != _NO_PRINT
        tracking_number = f"{number:09d}GB" if is_printed else None
        created = {
            "orderIdentifier": number,
            "orderReference": order.get("orderReference"),
            "createdOn": f"{event_time(0)}Z",
            "orderDate": order["orderDate"],
            "trackingNumber": tracking_number,
            "packages": [{"packageNumber": 1, "trackingNumber": tracking_number}],
        }
        self.orders[str(number)] = created
        if not is_printed:
            error = {"code": "E1189", "message": "The label could not be generated."}
            return {**created, "labelErrors": [error], "generatedDocuments": []}
        self._sold += 1
        return {
            **created,
            "label": b64encode(_label(number)).decode(),
            "labelErrors": [],
            "generatedDocuments": ["postageLabel"],
        }

    def _list(self, _: base.SandboxRequest) -> Response:
        return base.reply({"orders": [*self.orders.values()]})

    def _get(self, request: base.SandboxRequest, **_: str) -> Response:
        return base.reply(self._orders_in_path(request))

    def _label(self, request: base.SandboxRequest, **_: str) -> Response:
        if dict(request.query).get("documentType") != "postageLabel":
            raise base.Refusal(
                base.reply([{"code": "DocumentType", "message": "It is missing."}], 400)
            )
        texts = [_label(order["orderIdentifier"]) for order in self._orders_in_path(request)]
        return Response(200, {"Content-Type": "application/pdf"}, b"".join(texts))

    def _delete(self, request: base.SandboxRequest, **_: str) -> Response:
        deleted: list[_Fields] = []
        errors: list[_Fields] = []
        for order in self._orders_in_path(request):
            names = {name: order[name] for name in ("orderIdentifier", "orderReference")}
            if "shippedOn" in order:
                text = "A despatched order cannot be deleted."
                errors.append({**names, "code": "OrderDespatched", "message": text})
            else:
                del self.orders[str(order["orderIdentifier"])]
                deleted.append({**names, "orderInfo": "The label is no longer valid."})
        return base.reply({"deletedOrders": deleted, "errors": errors})

    def _orders_in_path(self, request: base.SandboxRequest) -> list[_Fields]:
        # A reference may have an encoded semicolon, so the path is split before it is decoded.
        encoded_text = request.path.removeprefix("/api/v1/orders/").partition("/")[0]
        identifiers = [unquote(text) for text in encoded_text.split(";")]
        orders = [
            order
            for number, order in self.orders.items()
            if number in identifiers or f'"{order["orderReference"]}"' in identifiers
        ]
        if not orders:
            raise base.Refusal(
                base.reply([{"code": "OrderNotFound", "message": "The order does not exist."}], 404)
            )
        return orders


def _label(number: int) -> bytes:
    return LABEL_TEXTS["pdf"] + str(number).encode()


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = RoyalMailSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={"credentials": sandbox.api_key},
        vendor_values={"service": "royalmail_tpn24"},
    )
