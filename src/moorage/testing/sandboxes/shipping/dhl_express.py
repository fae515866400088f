"""A local sandbox that imitates DHL Express."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.money import Money
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import (
    IMPORT_FEE,
    LABEL_TEXTS,
    NO_LABEL,
    NO_RATES,
    UNKNOWN_CITY,
    import_duty,
    import_tax,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response

_DOMESTIC_PRODUCTS: Final = (
    ("N", "EXPRESS DOMESTIC", 12.4, 1),
    ("1", "EXPRESS DOMESTIC 12:00", 21.9, 1),
)
_FOREIGN_PRODUCTS: Final = (("P", "EXPRESS WORLDWIDE", 48.75, 3), ("Y", "EXPRESS 12:00", 66.1, 2))
_MAX_WEIGHT: Final = 70
_PLANNED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d ?GMT[+-]\d\d:\d\d")
_PLACE: Final = typed(
    str,
    "postalCode! cityName! countryCode! provinceCode addressLine1 addressLine2 addressLine3"
    " countyName",
)
_STREET: Final = {
    **{name: kind for name, kind in _PLACE.items() if name != "addressLine1"},
    "addressLine1!": str,
}
_PARTY: Final = {
    "postalAddress!": _STREET,
    "contactInformation!": typed(str, "fullName! companyName! phone! email"),
}
_REFERENCES: Final = [{"value!": str, "typeCode": str}]
_ACCOUNTS: Final = [{"typeCode!": str, "number!": str}]
_SERVICES: Final = [{"serviceCode!": str, "value": NUMBER, "currency": str}]
_PACKAGE: Final = {
    "weight!": NUMBER,
    "dimensions!": {"length!": NUMBER, "width!": NUMBER, "height!": NUMBER},
}
_RATES: Final = {
    "customerDetails!": {"shipperDetails!": _PLACE, "receiverDetails!": _PLACE},
    "accounts": _ACCOUNTS,
    "valueAddedServices": _SERVICES,
    "plannedShippingDateAndTime!": str,
    "unitOfMeasurement!": str,
    "isCustomsDeclarable!": bool,
    "nextBusinessDay": bool,
    "monetaryAmount": [{"typeCode!": str, "value!": NUMBER, "currency!": str}],
    "packages!": [_PACKAGE],
}
_TAXED: Final = {
    "customerDetails!": {"shipperDetails!": _PLACE, "receiverDetails!": _PLACE},
    "accounts!": _ACCOUNTS,
    "productCode": str,
    **typed(str, "unitOfMeasurement! currencyCode!"),
    **typed(bool, "isCustomsDeclarable! getCostBreakdown! isDTPRequested isInsuranceRequested"),
    "charges": [{"typeCode!": str, "amount!": NUMBER, "currencyCode!": str}],
    "shipmentPurpose": frozenset({"commercial", "personal"}),
    "transportationMode": frozenset({"air", "ocean", "ground"}),
    "merchantSelectedCarrierName": str,
    "packages!": [_PACKAGE],
    "items!": [
        {
            "number!": int,
            **typed(str, "description manufacturerCountry partNumber quantityType commodityCode"),
            "quantity!": int,
            "unitPrice!": NUMBER,
            "unitPriceCurrencyCode!": str,
        }
    ],
}
_LINE: Final = {
    "number!": int,
    "description!": str,
    "price!": NUMBER,
    "quantity!": {"value!": int, "unitOfMeasurement!": str},
    "commodityCodes": [{"typeCode!": str, "value!": str}],
    "manufacturerCountry!": str,
    "weight!": {"netValue": NUMBER, "grossValue": NUMBER},
}
_ANY_TIME: Final = "2030-01-01T17:00:00 GMT+00:00"
_SHIPMENT: Final = {
    "plannedShippingDateAndTime!": str,
    "pickup!": {"isRequested!": bool},
    "productCode!": str,
    "localProductCode": str,
    "getRateEstimates": bool,
    "accounts!": _ACCOUNTS,
    "valueAddedServices": _SERVICES,
    "outputImageProperties": {
        "encodingFormat": str,
        "imageOptions": [
            {
                **typed(str, "typeCode! templateName invoiceType"),
                **typed(bool, "hideAccountNumber isRequested"),
            }
        ],
        "splitTransportAndWaybillDocLabels": bool,
        "splitDocumentsByPages": bool,
        "printerDPI": int,
    },
    "customerReferences": _REFERENCES,
    "customerDetails!": {"shipperDetails!": _PARTY, "receiverDetails!": _PARTY},
    "content!": {
        "packages!": [{**_PACKAGE, "customerReferences": _REFERENCES}],
        "isCustomsDeclarable!": bool,
        "declaredValue": NUMBER,
        **typed(str, "declaredValueCurrency description! incoterm! unitOfMeasurement!"),
        "exportDeclaration": {
            "lineItems!": [_LINE],
            "invoice": {"number!": str, "date!": str, "signatureName": str},
            "exportReason": str,
            "exportReasonType": str,
        },
    },
    "documentImages": [typed(str, "typeCode imageFormat content!")],
}
_MAX_LENGTHS: Final = {"addressLine1": 45, "cityName": 45, "value": 35}


class DhlExpressSandbox(base.Sandbox):
    """A sandbox of DHL Express: products, shipments with labels, tracking and address checks.

    Attributes:
        username, password: credentials that requests must have.
        account_number: number of the paying account.
        shipments: the sold shipments, by number.
    """

    hosts = ("express.api.dhl.com",)

    username: str = "demo-key"
    password: str = "demo-secret-of-dhl"
    account_number: str = "123456789"
    shipments: dict[str, dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"{method} /mydhlapi{test}{path}": handle
            for test in ("", "/test")
            for method, path, handle in (
                ("POST", "/rates", self._rates),
                ("POST", "/landed-cost", self._import_charges),
                ("POST", "/shipments", self._buy),
                ("GET", "/shipments/{number}/tracking", self._track),
                ("GET", "/tracking", self._search),
                ("GET", "/address-validate", self._validate),
            )
        }

    # --- what happens on the way ---------------------------------------------

    def move(self, number: str, code: str, offset: str = "+02:00") -> None:
        """Move a parcel to a checkpoint, given as DHL's code."""
        events = self._shipment(number)["events"]
        events.append(
            {
                "date": f"2030-01-{1 + len(events):02}",
                "time": "08:00:00",
                "GMTOffset": offset,
                "typeCode": code,
                "description": f"The shipment is at {code}",
                "serviceArea": [{"code": "LEJ", "description": "Leipzig-Germany"}],
                "signedBy": "John Tester" if code == "OK" else "",
            }
        )

    # --- requests ------------------------------------------------------------

    def _rates(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, _RATES, "/rates")
        sender, receiver = (
            body["customerDetails"][f"{entry}Details"] for entry in ("shipper", "receiver")
        )
        if receiver["postalCode"] == NO_RATES or any(
            entry["weight"] > _MAX_WEIGHT for entry in body["packages"]
        ):
            words = "1001: The requested product(s) not available based on your search criteria."
            raise _refusal(400, words, "/rates")
        table = (
            _DOMESTIC_PRODUCTS
            if sender["countryCode"] == receiver["countryCode"]
            else _FOREIGN_PRODUCTS
        )
        return base.reply({"products": [_product(*entry) for entry in table]})

    def _import_charges(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, _TAXED, "/landed-cost")
        currency = body["currencyCode"]
        zero = Money.from_minor(0, currency)
        sums: dict[str, Money] = {"DUTY": zero, "TAX": zero}
        items: list[dict[str, Any]] = []
        for item in body["items"]:
            if "commodityCode" not in item:
                raise _refusal(400, "200201: The HS code is missing.", "/landed-cost")
            value = _money(item["unitPrice"], currency).times(item["quantity"], rounding="ROUND_UP")
            duty = import_duty(item["commodityCode"], value)
            charges = {"DUTY": duty, "TAX": import_tax(value + duty)}
            sums = {kind: sums[kind] + amount for kind, amount in charges.items()}
            breakdown = [{"name": "CIF", **_price(value)}]
            breakdown += [
                {"name": kind, "typeCode": kind, **_price(charges[kind])} for kind in sums
            ]
            items.append({"number": item["number"], "breakdown": breakdown})
        for charge in body.get("charges", []):
            sums["TAX"] += import_tax(_money(charge["amount"], currency))
        sums["FEE"] = Money(IMPORT_FEE, currency)
        totals = {"DUTY": "TOTAL DUTIES", "TAX": "TOTAL TAXES", "FEE": "TOTAL FEES"}
        breakdown = [{"name": "SPRQN", "price": 204.19, "priceCurrency": "GBP"}]
        breakdown += [
            {"name": totals[kind], "typeCode": kind, **_price(amount)}
            for kind, amount in sums.items()
        ]
        breakdown.append({"name": "PROCESSING", "typeCode": "FEE", **_price(sums["FEE"])})
        product = {
            "weight": {"volumetric": 1, "provided": 1, "unitOfMeasurement": "metric"},
            "totalPrice": [_price(sum(sums.values(), zero))],
            "detailedPriceBreakdown": [{"priceCurrency": currency, "breakdown": breakdown}],
            "items": items,
        }
        return base.reply({"products": [product]})

    def _buy(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, _SHIPMENT, "/shipments")
        sender_address, receiver_address = (
            body["customerDetails"][f"{entry}Details"]["postalAddress"]
            for entry in ("shipper", "receiver")
        )
        content, product = body["content"], body["productCode"]
        abroad = sender_address["countryCode"] != receiver_address["countryCode"]
        if content["isCustomsDeclarable"] and "exportDeclaration" not in content:
            raise _refusal(400, "1026: exportDeclaration is missing.", "/shipments")
        offered_prices = {
            code: price
            for code, _, price, _ in (_FOREIGN_PRODUCTS if abroad else _DOMESTIC_PRODUCTS)
        }
        if product not in offered_prices or receiver_address["postalCode"] == NO_LABEL:
            words = f"410135: Requested product(s) not available at origin, {product}/{product}"
            raise _refusal(
                400, "Multiple problems found, see Additional Details", "/shipments", words
            )
        _check_invoice(body)
        number = f"{1_000_000_000 + self.number()}"
        pieces = [f"JD0146{number}{entry:04}" for entry, _ in enumerate(content["packages"], 1)]
        documents = _documents(body.get("outputImageProperties", {}), number, pieces)
        self.shipments[number] = {
            "shipmentTrackingNumber": number,
            "status": "Success",
            "productCode": product,
            "events": [],
            "pieces": [
                {"number": n, "trackingNumber": entry, "events": []}
                for n, entry in enumerate(pieces, 1)
            ],
            "numberOfPieces": len(pieces),
            "estimatedDeliveryDate": "2030-01-05",
            "shipperReferences": body.get("customerReferences", []),
            "order": body,
        }
        charge = {"currencyType": "BILLC", "priceCurrency": "USD", "price": offered_prices[product]}
        return base.reply(
            {
                "url": "https://express.api.dhl.com/mydhlapi/shipments",
                "shipmentTrackingNumber": number,
                "packages": [
                    {"referenceNumber": n, "trackingNumber": entry}
                    for n, entry in enumerate(pieces, 1)
                ],
                "documents": documents,
                "shipmentCharges": [charge] if body.get("getRateEstimates") else [],
            },
            201,
        )

    def _track(self, request: base.SandboxRequest, number: str) -> Response:
        return self._view_response(request, [self._shipment(number)])

    def _search(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        if "pieceTrackingNumber" in query:
            return self._view_response(request, [self._shipment(query["pieceTrackingNumber"])])
        for name in ("shipmentReference", "shipperAccountNumber", "dateRangeFrom", "dateRangeTo"):
            if name not in query:
                raise _refusal(400, f"Missing mandatory parameters: {name}", "/tracking")
        mark = query["shipmentReference"]
        days = date.fromisoformat(query["dateRangeFrom"]), date.fromisoformat(query["dateRangeTo"])
        if not timedelta(0) <= days[1] - days[0] <= timedelta(90):
            raise _refusal(400, "dateRangeTo is out of range", "/tracking")
        shipments = [
            shipment
            for shipment in self.shipments.values()
            if any(reference["value"] == mark for reference in shipment["shipperReferences"])
        ]
        if not shipments:
            raise _refusal(404, f"No Shipments Found for ReferenceID | {mark}", "/tracking")
        return self._view_response(request, shipments)

    def _view_response(
        self, request: base.SandboxRequest, shipments: list[dict[str, Any]]
    ) -> Response:
        """Return the response with the shipments in the requested view."""
        view = dict(request.query).get("trackingView", "all-checkpoints")
        ahead = view == "advance-shipment"
        visible_shipments = [shipment for shipment in shipments if ahead or shipment["events"]]
        if not visible_shipments:
            raise _refusal(404, "No data found", request.path)
        return base.reply(
            {
                "shipments": [
                    {name: value for name, value in shipment.items() if name != "order"}
                    for shipment in visible_shipments
                ]
            }
        )

    def _validate(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        for name in ("type", "countryCode"):
            if name not in query:
                raise _refusal(400, f"Missing mandatory parameters: {name}", "/address-validate")
        if query.get("cityName") == UNKNOWN_CITY:
            raise _refusal(404, "No data found", "/address-validate")
        place = {
            "countryCode": query["countryCode"],
            "postalCode": query.get("postalCode", ""),
            "cityName": query.get("cityName", "").upper(),
            "serviceArea": {"code": "LAX", "description": "LOS ANGELES-USA"},
        }
        return base.reply({"address": [place]})

    def _shipment(self, number: str) -> dict[str, Any]:
        for shipment_number, shipment in self.shipments.items():
            if number == shipment_number or number in [
                piece["trackingNumber"] for piece in shipment["pieces"]
            ]:
                return shipment
        raise _refusal(404, "No data found", "/tracking")

    def _body(self, request: base.SandboxRequest, shape: object, path: str) -> dict[str, Any]:
        body: dict[str, Any] = request.json()
        problem_texts = [_problem_text(*account) for account in problems(shape, body)]
        problem_texts += _too_long(body, "#")
        if len(problem_texts) == 1:
            raise _refusal(422, problem_texts[0], path)
        if problem_texts:
            raise _refusal(
                422, "Multiple problems found, see Additional Details", path, *problem_texts
            )
        if _PLANNED.fullmatch(body.get("plannedShippingDateAndTime", _ANY_TIME)) is None:
            raise _refusal(400, "998: ShipTimeStamp is not well formatted.", path)
        if {account["number"] for account in body["accounts"]} != {self.account_number}:
            words = "The account number is not found or invalid."
            raise _refusal(400, words, path)
        return body

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if request.basic() != (self.username, self.password):
            raise _refusal(401, "Invalid Credentials", request.path)
        if "x-version" not in request.headers:
            raise _refusal(400, "Missing mandatory parameters: x-version", request.path)


def _money(amount: float, currency: str) -> Money:
    return Money(Decimal(str(amount)), currency)


def _price(money: Money) -> dict[str, Any]:
    return {"price": float(money.amount), "priceCurrency": money.currency}


def _product(code: str, name: str, price: float, days: int) -> dict[str, Any]:
    return {
        "productName": name,
        "productCode": code,
        "localProductCode": code,
        "networkTypeCode": "TD",
        "weight": {"volumetric": 1, "provided": 1, "unitOfMeasurement": "metric"},
        "totalPrice": [
            {"currencyType": "BASEC", "priceCurrency": "EUR", "price": price + 1},
            {"currencyType": "BILLC", "priceCurrency": "USD", "price": price},
        ],
        "deliveryCapabilities": {
            "deliveryTypeCode": "QDDC",
            "estimatedDeliveryDateAndTime": f"2030-01-0{1 + days}T23:59:00",
            "totalTransitDays": days,
        },
    }


def _check_invoice(body: Mapping[str, Any]) -> None:
    """Refuse an electronic invoice without its service, and the service without such an invoice."""
    options = body.get("outputImageProperties", {}).get("imageOptions", [])
    has_invoice = "documentImages" in body or any(
        option["typeCode"] == "invoice" for option in options
    )
    services = {service["serviceCode"] for service in body.get("valueAddedServices", [])}
    if has_invoice is not ("WY" in services):
        raise _refusal(400, "7120: Required either an invoice or documentImages", "/shipments")


def _documents(image: Mapping[str, Any], number: str, pieces: list[str]) -> list[dict[str, Any]]:
    kind = image.get("encodingFormat", "pdf")
    if kind not in LABEL_TEXTS:
        raise _refusal(400, f"encodingFormat {kind} is not supported", "/shipments")
    is_split = image.get("splitDocumentsByPages", False)
    documents: list[dict[str, Any]] = []
    for page, of in enumerate(pieces if is_split else [number], 1):
        content = b64encode(LABEL_TEXTS[kind] + of.encode()).decode()
        document = {"imageFormat": kind.upper(), "content": content, "typeCode": "label"}
        documents.append({**document, "packageReferenceNumber": page} if is_split else document)
    invoice = {
        "imageFormat": "PDF",
        "content": b64encode(b"%PDF receipt").decode(),
        "typeCode": "receipt",
    }
    return [*documents, invoice]


def _problem_text(at: str, name: str, problem: str) -> str:
    if problem == "missing":
        return f"{at}: required key [{name}] not found"
    if problem == "extraneous":
        return f"{at}: extraneous key [{name}] is not permitted"
    return f"{at}: expected type: {name}"


def _too_long(value: object, at: str) -> Iterator[str]:
    if is_list(value):
        for number, element in enumerate(value):
            yield from _too_long(element, f"{at}/{number}")
    elif is_object(value):
        for name, element in value.items():
            longest = _MAX_LENGTHS.get(name)
            if isinstance(element, str) and longest is not None and len(element) > longest:
                yield f"{at}/{name}: expected maxLength: {longest}, actual: {len(element)}"
            yield from _too_long(element, f"{at}/{name}")


def _refusal(status: int, detail: str, path: str, *more: str) -> base.Refusal:
    titles = {401: "Unauthorized", 404: "Not data found", 422: "Validation error"}
    title = titles.get(status, "Bad request")
    body = {
        "instance": f"/expressapi{path}",
        "detail": detail,
        "title": title,
        "message": title,
        "status": str(status),
    }
    return base.Refusal(
        base.reply({**body, "additionalDetails": list(more)} if more else body, status)
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = DhlExpressSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "username": sandbox.username,
            "credentials": sandbox.password,
            "account_number": sandbox.account_number,
        },
    )
