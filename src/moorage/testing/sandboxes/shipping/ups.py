"""A local sandbox that imitates UPS."""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

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
    number,
)
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response

_DOMESTIC_SERVICES: Final = (
    ("03", "15.20", "12.34", 3),
    ("02", "31.05", "27.50", 2),
    ("01", "62.00", None, 1),
)
_FOREIGN_SERVICES: Final = (("11", "35.10", "30.00", 4), ("65", "98.00", "80.25", 2))
_MAX_WEIGHT: Final = 150
_CODE: Final = {"Code!": str, "Description": str}
_ADDRESS: Final = {
    "AddressLine!": [str],
    **typed(str, "City StateProvinceCode PostalCode CountryCode! ResidentialAddressIndicator"),
}
_PARTY: Final = {"Name!": str, "AttentionName": str, "Address!": _ADDRESS}
_REACHABLE: Final = {**_PARTY, "Phone": {"Number!": str}}
_CHARGES: Final = {
    "ShipmentCharge!": [{"Type!": str, "BillShipper": {"AccountNumber!": str}}],
}
_PACKAGE: Final = {
    "PackageWeight!": {"UnitOfMeasurement!": _CODE, "Weight!": str},
    "Dimensions": {
        "UnitOfMeasurement!": _CODE,
        **typed(str, "Length! Width! Height!"),
    },
    "PackageServiceOptions": {
        "DeliveryConfirmation": {"DCISType!": str},
        "DeclaredValue": {"CurrencyCode!": str, "MonetaryValue!": str},
        "ShipperReleaseIndicator": str,
    },
}
_OPTIONS: Final = {
    "SaturdayDeliveryIndicator": str,
    "DeliveryConfirmation": {"DCISType!": str},
    "UPScarbonneutralIndicator": str,
}
_RATES: Final = {
    "RateRequest!": {
        "Request!": {"RequestOption": str, "SubVersion": str},
        "PickupType": _CODE,
        "Shipment!": {
            "Shipper!": {**_PARTY, "ShipperNumber!": str},
            "ShipTo!": _PARTY,
            "ShipFrom": _PARTY,
            "PaymentDetails": _CHARGES,
            "ShipmentRatingOptions": {"NegotiatedRatesIndicator": str},
            "ShipmentServiceOptions": _OPTIONS,
            "NumOfPieces": str,
            "Package!": [{"PackagingType!": _CODE, **_PACKAGE}],
        },
    },
}
_REFERENCES: Final = [{"Code": str, "Value!": str}]
_PRODUCT: Final = {
    "Description!": [str],
    "Unit!": {"Number!": str, "UnitOfMeasurement!": _CODE, "Value!": str},
    **typed(str, "CommodityCode PartNumber OriginCountryCode"),
}
_FORMS: Final = {
    "FormType!": [str],
    **typed(
        str,
        "InvoiceNumber! InvoiceDate! ReasonForExport! TermsOfShipment CurrencyCode!"
        " DeclarationStatement",
    ),
    "Contacts!": {"SoldTo!": _REACHABLE},
    "Product!": [_PRODUCT],
}
_SHIPMENT: Final = {
    "ShipmentRequest!": {
        "Request!": {"RequestOption": str, "SubVersion": str},
        "Shipment!": {
            "Description": str,
            "Shipper!": {**_REACHABLE, "ShipperNumber!": str},
            "ShipTo!": _REACHABLE,
            "ShipFrom": _REACHABLE,
            "PaymentInformation!": _CHARGES,
            "ShipmentRatingOptions": {"NegotiatedRatesIndicator": str},
            "ReferenceNumber": _REFERENCES,
            "Service!": _CODE,
            "InvoiceLineTotal": {"CurrencyCode!": str, "MonetaryValue!": str},
            "ShipmentServiceOptions": {**_OPTIONS, "InternationalForms": _FORMS},
            "Package!": [
                {
                    "Description": str,
                    "Packaging!": _CODE,
                    "ReferenceNumber": _REFERENCES,
                    **_PACKAGE,
                }
            ],
        },
        "LabelSpecification!": {
            "LabelImageFormat!": _CODE,
            "HTTPUserAgent": str,
            "LabelStockSize!": {"Height!": str, "Width!": str},
        },
    },
}
_RECOVERY: Final = {
    "LabelRecoveryRequest!": {
        "Request!": {"SubVersion": str},
        "LabelSpecification": {
            "LabelImageFormat!": _CODE,
            "LabelStockSize": {"Height!": str, "Width!": str},
        },
        "TrackingNumber": str,
        "ReferenceValues": {"ReferenceNumber!": {"Value!": str}, "ShipperNumber!": str},
    },
}
_ASKED_ADDRESS: Final = {
    "XAVRequest!": {
        "AddressKeyFormat!": {
            "AddressLine": [str],
            **typed(str, "PoliticalDivision2 PoliticalDivision1 PostcodePrimaryLow CountryCode!"),
        },
    },
}
_TAXED: Final = {
    **typed(str, "currencyCode! transID!"),
    "allowPartialLandedCostResult": bool,
    "alversion!": int,
    "shipment!": {
        **typed(str, "id! importCountryCode! importProvince shipDate incoterms exportCountryCode!"),
        **typed(str, "transModes shipmentType"),
        "transportCost": NUMBER,
        "shipmentItems!": [
            {
                **typed(str, "commodityId! commodityCurrencyCode! UOM! originCountryCode!"),
                **typed(str, "grossWeightUnit hsCode description"),
                **typed(NUMBER, "priceEach! grossWeight"),
                "quantity!": int,
            }
        ],
    },
}
_DONE_RESPONSE: Final = {"ResponseStatus": {"Code": "1", "Description": "Success"}}
_POUNDS: Final = {"Code": "LBS", "Description": "Pounds"}
_SERVICE_NAMES: Final = {
    "01": "UPS Next Day Air",
    "02": "UPS 2nd Day Air",
    "03": "UPS Ground",
    "11": "UPS Standard",
    "65": "UPS Worldwide Saver",
}
_DEPOT: Final = {"city": "ONTARIO", "stateProvince": "CA", "country": "US"}
_LABEL_FORMATS: Final = ("GIF", "ZPL", "EPL")
_TEXTS: Final = {**{kind.upper(): text for kind, text in LABEL_TEXTS.items()}, "GIF": b"GIF89a "}


class UpsSandbox(base.Sandbox):
    """A sandbox of UPS: rates, shipments with labels, voids, tracking and addresses.

    Attributes:
        client_id, client_secret: credentials that get access tokens.
        account_number: number of the paying account.
        shipments: the sold shipments, by number.
        tokens: the endpoint that grants access tokens.
    """

    hosts = ("onlinetools.ups.com",)

    client_id: str = "ups-app"
    client_secret: str = "ups-sandbox-secret"
    account_number: str = "A1B2C3"
    shipments: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.tokens = TokenEndpoint(
            "/security/v1/oauth/token", self.client_id, self.client_secret, expires_in="14399"
        )
        self.mounts = {self.tokens.path: self.tokens}

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /api/rating/v2409/Shop": self._rates,
            "POST /api/shipments/v2409/ship": self._ship,
            "DELETE /api/shipments/v2409/void/cancel/{number}": self._void,
            "POST /api/labels/v1/recovery": self._recover,
            "POST /api/landedcost/v1/quotes": self._import_charges,
            "GET /api/track/v1/details/{number}": self._track,
            "POST /api/addressvalidation/v2/3": self._validate,
        }

    # --- what happens on the way ---------------------------------------------

    def move(self, number: str, kind: str, code: str = "ZZ") -> None:
        """Move a parcel to a status, given as UPS's code."""
        activity = self._shipment(number)["activity"]
        day = f"203001{1 + len(activity):02}"
        activity.insert(
            0,
            {
                "date": day,
                "time": "080000",
                "gmtDate": day,
                "gmtTime": "16:00:00",
                "gmtOffset": "-08:00",
                "location": {
                    "address": {"city": "ONTARIO", "stateProvince": "CA", "country": "US"}
                },
                "status": {"type": kind, "code": code, "description": f"The parcel is at {kind}"},
            },
        )

    # --- requests ------------------------------------------------------------

    def _rates(self, request: base.SandboxRequest) -> Response:
        shipment = self._body(request, _RATES)["RateRequest"]["Shipment"]
        self._check_account(shipment, "PaymentDetails")
        _check_packages(shipment)
        if shipment["ShipTo"]["Address"].get("PostalCode") == NO_RATES:
            words = "The requested service is unavailable between the selected locations."
            raise _refusal(400, "111210", words)
        return base.reply(
            {
                "RateResponse": {
                    "Response": _DONE_RESPONSE,
                    "RatedShipment": [
                        _rated_shipment(*service, packages=len(shipment["Package"]))
                        for service in _services(shipment)
                    ],
                }
            }
        )

    def _ship(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, _SHIPMENT)["ShipmentRequest"]
        shipment = body["Shipment"]
        self._check_account(shipment, "PaymentInformation")
        _check_packages(shipment)
        prices = {
            code: (list_price, negotiated_price)
            for code, list_price, negotiated_price, _ in _services(shipment)
        }
        service = shipment["Service"]["Code"]
        kind = body["LabelSpecification"]["LabelImageFormat"]["Code"]
        if kind not in _LABEL_FORMATS:
            raise _refusal(400, "120213", "The label image format is invalid.")
        postal_code = shipment["ShipTo"]["Address"].get("PostalCode")
        if service not in prices or postal_code == NO_LABEL:
            words = "The requested service is invalid from the selected origin."
            raise _refusal(400, "121100", words)
        number = f"1Z{self.account_number}{self.number():010}"
        numbers = [number]
        numbers += [f"1Z{self.account_number}{self.number():010}" for _ in shipment["Package"][1:]]
        references = [
            reference["Value"]
            for labelled in (shipment, *shipment["Package"])
            for reference in labelled.get("ReferenceNumber", [])
        ]
        self.shipments[number] = {
            "numbers": numbers,
            "references": references,
            "activity": [],
            "void": False,
            "order": body,
        }
        self.move(number, "M", "MP")
        list_price, negotiated_price = prices[service]
        results = {
            "ShipmentCharges": _charges(list_price),
            "BillingWeight": {"UnitOfMeasurement": _POUNDS, "Weight": "1.0"},
            "ShipmentIdentificationNumber": number,
            "PackageResults": [
                {
                    "TrackingNumber": reference,
                    "ShippingLabel": _image("ImageFormat", kind, reference),
                }
                for reference in numbers
            ],
        }
        if negotiated_price is not None:
            results["NegotiatedRateCharges"] = {"TotalCharge": _usd(negotiated_price)}
        return base.reply(
            {"ShipmentResponse": {"Response": _DONE_RESPONSE, "ShipmentResults": results}}
        )

    def _import_charges(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, _TAXED)
        shipment, currency = body["shipment"], body["currencyCode"]
        if shipment["importCountryCode"] == shipment["exportCountryCode"]:
            raise _refusal(400, "LC0003", "The import and export countries are the same.")
        fee, freight = (
            Money(IMPORT_FEE, currency),
            _money(shipment.get("transportCost", 0), currency),
        )
        duties = taxes = Money.from_minor(0, currency)
        items: list[dict[str, Any]] = []
        for item in shipment["shipmentItems"]:
            value = _money(item["priceEach"], currency).times(item["quantity"], rounding="ROUND_UP")
            duty = import_duty(item.get("hsCode"), value)
            tax = import_tax(value + duty)
            duties, taxes = duties + duty, taxes + tax
            charges = {
                "commodityDuty": duty,
                "totalCommodityTaxAndFee": Money.from_minor(0, currency),
                "commodityVAT": tax,
                "totalCommodityDutyAndTax": duty + tax,
            }
            items.append(
                {
                    "commodityID": item["commodityId"],
                    "hsCode": f"{item.get('hsCode', '960810')}00",
                    **_amounts(charges),
                    "commodityCurrencyCode": currency,
                    "isCalculable": True,
                }
            )
        on_freight = import_tax(freight)
        totals = {
            "totalBrokerageFees": fee,
            "totalDuties": duties,
            "totalCommodityLevelTaxesAndFees": Money.from_minor(0, currency),
            "totalShipmentLevelTaxesAndFees": on_freight,
            "totalVAT": taxes,
            "totalDutyAndTax": duties + taxes + on_freight,
            "grandTotal": duties + taxes + on_freight + fee,
        }
        charged = {
            "currencyCode": currency,
            "importCountryCode": shipment["importCountryCode"],
            "id": shipment["id"],
            "brokerageFeeItems": [{"chargeName": "Entry Preparation Fee", "chargeAmount": 15.0}],
            **_amounts(totals),
            "shipmentItems": items,
            "transID": body["transID"],
            "alVersion": 1,
        }
        return base.reply({"shipment": charged})

    def _void(self, _: base.SandboxRequest, number: str) -> Response:
        shipment = self._shipment(number)
        if shipment["activity"][0]["status"]["type"] not in {"M", "MV"}:
            words = "No shipment found within the allowed void period."
            raise _refusal(400, "190102", words)
        if not shipment["void"]:
            shipment["void"] = True
            self.move(number, "MV", "VM")
        void_status = {"Status": {"Code": "1", "Description": "Voided"}}
        return base.reply(
            {"VoidShipmentResponse": {"Response": _DONE_RESPONSE, "SummaryResult": void_status}}
        )

    def _recover(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, _RECOVERY)["LabelRecoveryRequest"]
        kind = body.get("LabelSpecification", {}).get("LabelImageFormat", {}).get("Code", "GIF")
        reference = body.get("ReferenceValues")
        if "TrackingNumber" in body:
            shipment = self._shipment(body["TrackingNumber"])
        elif reference is None or reference["ShipperNumber"] != self.account_number:
            raise _refusal(400, "300068", "Missing or invalid Tracking Number.")
        else:
            shipment = self._shipment_with_reference(reference["ReferenceNumber"]["Value"])
        if shipment["void"]:
            raise _refusal(400, "300069", "The shipment is void.")
        if kind not in _TEXTS or kind == "PNG":
            raise _refusal(400, "300071", "The label image format is invalid.")
        results = [
            {"TrackingNumber": number, "LabelImage": _image("LabelImageFormat", kind, number)}
            for number in shipment["numbers"]
        ]
        label_results = {
            "ShipmentIdentificationNumber": shipment["numbers"][0],
            "LabelResults": results,
        }
        return base.reply({"LabelRecoveryResponse": {"Response": _DONE_RESPONSE, **label_results}})

    def _track(self, request: base.SandboxRequest, number: str) -> Response:
        for name in ("transId", "transactionSrc"):
            if name not in request.headers:
                raise _refusal(400, "VSS002", f"Missing {name}")
        shipment = self._shipment(number)
        is_delivered = shipment["activity"][0]["status"]["type"] == "D"
        package = {
            "trackingNumber": number,
            "deliveryDate": [{"type": "SDD", "date": "20300105"}],
            "activity": shipment["activity"],
            "currentStatus": {"code": shipment["activity"][0]["status"]["code"]},
            "deliveryInformation": {"receivedBy": "TESTER"} if is_delivered else {},
            "packageCount": len(shipment["numbers"]),
        }
        return base.reply(
            {"trackResponse": {"shipment": [{"inquiryNumber": number, "package": [package]}]}}
        )

    def _validate(self, request: base.SandboxRequest) -> Response:
        address = self._body(request, _ASKED_ADDRESS)["XAVRequest"]["AddressKeyFormat"]
        if address["CountryCode"] not in {"US", "PR"}:
            raise _refusal(400, "264002", "Country code is invalid or missing.")
        result: dict[str, Any] = {"Response": _DONE_RESPONSE}
        if not address.get("AddressLine") or address.get("PoliticalDivision2") == UNKNOWN_CITY:
            return base.reply({"XAVResponse": {**result, "NoCandidatesIndicator": ""}})
        kind = {"Code": "2", "Description": "Residential"}
        form = {
            **{name: _upper_case(value) for name, value in address.items()},
            "PostcodeExtendedLow": "2506",
        }
        result |= {
            "ValidAddressIndicator": "",
            "AddressClassification": kind,
            "Candidate": [{"AddressClassification": kind, "AddressKeyFormat": form}],
        }
        return base.reply({"XAVResponse": result})

    def _shipment(self, number: str) -> dict[str, Any]:
        for shipment in self.shipments.values():
            if number in shipment["numbers"]:
                return shipment
        raise _refusal(404, "TW0001", "Tracking Information Not Found")

    def _shipment_with_reference(self, reference: str) -> dict[str, Any]:
        for shipment in self.shipments.values():
            if reference in shipment["references"]:
                return shipment
        raise _refusal(400, "300070", "No shipment has this reference.")

    def _check_account(self, shipment: Mapping[str, Any], paid: str) -> None:
        payers = [
            charge.get("BillShipper", {}).get("AccountNumber")
            for charge in shipment.get(paid, {}).get("ShipmentCharge", [])
        ]
        if {shipment["Shipper"]["ShipperNumber"], *payers} != {self.account_number}:
            raise _refusal(400, "120100", "Missing or invalid shipper number")

    def _body(self, request: base.SandboxRequest, shape: object) -> dict[str, Any]:
        body: dict[str, Any] = request.json()
        first_problem = next(problems(shape, body), None)
        if first_problem is not None:
            location, name, problem = first_problem
            words = f"The request is not well-formed: {problem} {name} at {location}."
            raise _refusal(400, "9120002", words)
        return body

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if not self.tokens.allows(request):
            raise _refusal(401, "250002", "Invalid Authentication Information.")


def _services(shipment: Mapping[str, Any]) -> tuple[tuple[str, str, str | None, int], ...]:
    start = shipment.get("ShipFrom", shipment["Shipper"])["Address"]["CountryCode"]
    return (
        _DOMESTIC_SERVICES
        if start == shipment["ShipTo"]["Address"]["CountryCode"]
        else _FOREIGN_SERVICES
    )


def _check_packages(shipment: Mapping[str, Any]) -> None:
    start = shipment.get("ShipFrom", shipment["Shipper"])["Address"]["CountryCode"]
    unit = "LBS" if start in {"US", "PR"} else "KGS"
    if not shipment["Package"]:
        raise _refusal(400, "9120002", "The request is not well-formed: missing Package.")
    for package in shipment["Package"]:
        weight = package["PackageWeight"]
        if weight["UnitOfMeasurement"]["Code"] != unit:
            raise _refusal(400, "111057", "This measurement system is not valid here.")
        if not 0 < number(weight["Weight"]) <= _MAX_WEIGHT or len(weight["Weight"]) > 6:
            raise _refusal(400, "111035", "The maximum per package weight is exceeded.")
        box = package.get("Dimensions", {})
        sides = [box[name] for name in ("Length", "Width", "Height") if name in box]
        if any(len(side) > 3 or not side.isdecimal() for side in sides):
            raise _refusal(400, "111055", "Package dimensions are invalid.")
        if sides and int(sides[0]) < max(map(int, sides)):
            raise _refusal(400, "111050", "The length is not the longest side.")
    is_domestic = start == shipment["ShipTo"]["Address"]["CountryCode"] == "US"
    if is_domestic and "ReferenceNumber" in shipment:
        raise _refusal(400, "120541", "A shipment reference is not valid between these.")


def _rated_shipment(
    code: str, listed: str, negotiated: str | None, days: int, *, packages: int
) -> dict[str, Any]:
    weight = {"UnitOfMeasurement": _POUNDS, "Weight": "1.0"}
    package = {"Weight": "1.0", "BillingWeight": weight}
    rated = {
        "Service": {"Code": code, "Description": _SERVICE_NAMES[code]},
        "BillingWeight": weight,
        **_charges(listed),
        "RatedPackage": [package] * packages,
        "GuaranteedDelivery": {"BusinessDaysInTransit": str(days), "DeliveryByTime": ""},
        "RatedShipmentAlert": [{"Code": "110971", "Description": "Your invoice may vary."}],
    }
    return (
        rated
        if negotiated is None
        else {**rated, "NegotiatedRateCharges": {"TotalCharge": _usd(negotiated)}}
    )


def _money(amount: float, currency: str) -> Money:
    return Money(Decimal(str(amount)), currency)


def _amounts(charges: Mapping[str, Money]) -> dict[str, float]:
    return {name: float(amount.amount) for name, amount in charges.items()}


def _usd(amount: str) -> dict[str, str]:
    return {"CurrencyCode": "USD", "MonetaryValue": amount}


def _charges(total: str) -> dict[str, Any]:
    return {
        "TransportationCharges": _usd(total),
        "ServiceOptionsCharges": _usd("0.00"),
        "TotalCharges": _usd(total),
    }


def _image(name: str, kind: str, number: str) -> dict[str, Any]:
    content = b64encode(_TEXTS[kind] + number.encode()).decode()
    return {name: {"Code": kind}, "GraphicImage": content}


def _upper_case(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else [line.upper() for line in value]


def _refusal(status: int, code: str, message: str) -> base.Refusal:
    return base.refusal({"response": {"errors": [{"code": code, "message": message}]}}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = UpsSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "account_number": sandbox.account_number,
        },
    )
