"""Requests to DHL Express and UPS match the carriers' own API descriptions."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.shipping import (
    Address,
    Contents,
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    Parcel,
    RateRequest,
    Signature,
)
from moorage.domain.values.money import Money
from moorage.vendors.shipping import _dhl_express_requests as dhl
from moorage.vendors.shipping import _ups_requests as ups
from tests.support.openapi import excerpt_problems, problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.openapi import Json

SENDER = Address(
    name="Jack Sparrow",
    company="Acme",
    line1="388 Townsend St",
    line2="Apt 20",
    line3="Back door",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="+1 555 555 5555",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="1 Bloor Street",
    city="Toronto",
    region="ON",
    postal_code="M4W1A8",
    country="CA",
    phone="+1 416 555 0100",
    residential=True,
)
CUSTOMS = Customs(
    items=[
        CustomsItem(
            description="Shirts of cotton, with short sleeves and a pocket",
            quantity=3,
            value=Money("46.50", "USD"),
            weight="0.3",
            hs_code="6109.10",
            origin="DE",
            sku="S-1",
        )
    ],
    signer="Steve Brule",
    contents=Contents.GIFT,
    explanation="A present",
    incoterm="DDP",
    invoice_number="INV-1",
)
BOX = Parcel(weight="1.2345", length=10, width="20.5", height=10, reference="box 1")
PLAIN_REQUEST = RateRequest(
    sender=SENDER, recipient=SENDER, parcels=Parcel(weight=1, length=1, width=2, height=3)
)
RICH = RateRequest(
    sender=SENDER,
    recipient=RECIPIENT,
    return_to=SENDER,
    parcels=[BOX, BOX],
    customs=CUSTOMS,
    insurance=Money("100", "USD"),
    signature=Signature.ADULT,
    saturday=True,
    reference="order 7",
)
SIZED = RateRequest(
    sender=SENDER, recipient=RECIPIENT, parcels=BOX, label_size=LabelSize.A6, customs=CUSTOMS
)
ACCOUNT, PLANNED, DAY = "A1B2C3", "2030-01-02T17:00:00 GMT+00:00", date(2030, 1, 2)
OFFER = Ref("carrier", "ours", "03", {"local": "03"})

DHL: Final = [
    *(("/rates", dhl.rates_body(item, ACCOUNT, PLANNED)) for item in (PLAIN_REQUEST, RICH, SIZED)),
    *(
        (
            "/shipments",
            dhl.shipment_body(
                item, OFFER, account=ACCOUNT, planned=PLANNED, goods="Goods", marked="key-1"
            ),
        )
        for item in (PLAIN_REQUEST, RICH, SIZED)
    ),
]
RATING, SHIP, RECOVERY = (
    "/rating/v2409/Shop",
    "/shipments/v2409/ship",
    "/labels/v1/recovery",
)
UPS: Final = [
    *(("ups-Rating.json", RATING, ups.rates_body(item, ACCOUNT)) for item in (PLAIN_REQUEST, RICH)),
    *(
        (
            "ups-Shipping.json",
            SHIP,
            ups.shipment_body(item, OFFER, account=ACCOUNT, goods="Goods", marked="key-1", day=DAY),
        )
        for item in (PLAIN_REQUEST, RICH)
    ),
    (
        "ups-Shipping.json",
        RECOVERY,
        ups.recovery_body(LabelFormat.PDF, {"TrackingNumber": "1ZA1B2C30000000001"}),
    ),
    (
        "ups-Shipping.json",
        RECOVERY,
        ups.recovery_body(LabelFormat.ZPL, ups.by_mark("key-1", ACCOUNT)),
    ),
    ("ups-AddressValidation.json", "/addressvalidation/v2/3", ups.address_body(SENDER)),
]


def table(required: str, **properties: Json) -> Json:
    """Return the schema of an object with the given fields and no others."""
    return {"type": "object", "required": required.split(), "properties": properties}


def list_schema(items: Json) -> Json:
    """Return the schema of a list of the given items."""
    return {"type": "array", "items": items}


def text(most: int = 10_000, *words: str) -> Json:
    """Return an API description with the given request bodies by path."""
    return {"type": "string", "maxLength": most, **({"enum": list(words)} if words else {})}


def paths(bodies: Mapping[str, Json]) -> Json:
    """Return an API description that consists of the given requests."""
    return {
        "paths": {
            path: {"post": {"requestBody": {"content": {"application/json": {"schema": body}}}}}
            for path, body in bodies.items()
        }
    }


CODE = table("Code", Code=text(4), Description=text(35))
STREET = table(
    "AddressLine CountryCode",
    AddressLine=list_schema(text(35)),
    City=text(30),
    StateProvinceCode=text(5),
    PostalCode=text(9),
    CountryCode=text(2),
    ResidentialAddressIndicator=text(),
)


def contact(required: str = "Name Address", **more: Json) -> Json:
    """Return the schema of a sender or recipient in UPS's description."""
    return table(required, Name=text(35), AttentionName=text(35), Address=STREET, **more)


PHONE = table("Number", Number=text(15))
BILLED = table(
    "ShipmentCharge",
    ShipmentCharge=list_schema(
        table("Type", Type=text(2), BillShipper=table("AccountNumber", AccountNumber=text(6)))
    ),
)
SIGNED = table("DCISType", DCISType=text(1, "1", "2", "3"))
MONEY = table("CurrencyCode MonetaryValue", CurrencyCode=text(3), MonetaryValue=text(11))
MEASURED: dict[str, Json] = {
    "PackageWeight": table("UnitOfMeasurement Weight", UnitOfMeasurement=CODE, Weight=text(5)),
    "Dimensions": table(
        "UnitOfMeasurement Length Width Height",
        UnitOfMeasurement=CODE,
        Length=text(3),
        Width=text(3),
        Height=text(3),
    ),
    "PackageServiceOptions": table("", DeliveryConfirmation=SIGNED, DeclaredValue=MONEY),
}
VALUES = list_schema(table("Value", Value=text(35)))
FORMS = table(
    "FormType Product",
    FormType=list_schema(text(2)),
    InvoiceNumber=text(35),
    InvoiceDate=text(8),
    ReasonForExport=text(20),
    TermsOfShipment=text(3),
    CurrencyCode=text(3),
    DeclarationStatement=text(550),
    Contacts=table("", SoldTo=contact("Name AttentionName Address", Phone=PHONE)),
    Product=list_schema(
        table(
            "Description",
            Description=list_schema(text(35)),
            Unit=table(
                "Number UnitOfMeasurement Value",
                Number=text(7),
                UnitOfMeasurement=CODE,
                Value=text(19),
            ),
            CommodityCode=text(15),
            PartNumber=text(35),
            OriginCountryCode=text(2),
        )
    ),
)
LABEL = table(
    "LabelImageFormat",
    LabelImageFormat=CODE,
    LabelStockSize=table("Height Width", Height=text(3), Width=text(3)),
)
OUR_UPS: Json = paths(
    {
        RATING: table(
            "RateRequest",
            RateRequest=table(
                "Request Shipment",
                Request=table("RequestOption", RequestOption=text(15)),
                Shipment=table(
                    "Shipper ShipTo Package",
                    Shipper=contact("Address", ShipperNumber=text(6)),
                    ShipTo=contact(),
                    ShipFrom=contact(),
                    PaymentDetails=BILLED,
                    ShipmentRatingOptions=table("", NegotiatedRatesIndicator=text()),
                    ShipmentServiceOptions=table(
                        "", SaturdayDeliveryIndicator=text(), DeliveryConfirmation=SIGNED
                    ),
                    NumOfPieces=text(),
                    Package=list_schema(table("", PackagingType=CODE, **MEASURED)),
                ),
            ),
        ),
        SHIP: table(
            "ShipmentRequest",
            ShipmentRequest=table(
                "Request Shipment",
                Request=table("RequestOption", RequestOption=text(15)),
                Shipment=table(
                    "Shipper ShipTo Service Package",
                    Description=text(50),
                    Shipper=contact(
                        "Name ShipperNumber Address", ShipperNumber=text(6), Phone=PHONE
                    ),
                    ShipTo=contact(Phone=PHONE),
                    ShipFrom=contact(Phone=PHONE),
                    PaymentInformation=BILLED,
                    ShipmentRatingOptions=table("", NegotiatedRatesIndicator=text()),
                    ReferenceNumber=VALUES,
                    Service=CODE,
                    InvoiceLineTotal=MONEY,
                    ShipmentServiceOptions=table(
                        "",
                        SaturdayDeliveryIndicator=text(),
                        DeliveryConfirmation=SIGNED,
                        InternationalForms=FORMS,
                    ),
                    Package=list_schema(
                        table(
                            "Packaging",
                            Description=text(35),
                            Packaging=CODE,
                            ReferenceNumber=VALUES,
                            **MEASURED,
                        )
                    ),
                ),
                LabelSpecification=LABEL,
            ),
        ),
        RECOVERY: table(
            "LabelRecoveryRequest",
            LabelRecoveryRequest=table(
                "Request",
                Request=table(""),
                LabelSpecification=LABEL,
                TrackingNumber=text(18),
                ReferenceValues=table(
                    "ReferenceNumber ShipperNumber",
                    ReferenceNumber=table("Value", Value=text(35)),
                    ShipperNumber=text(6),
                ),
            ),
        ),
        "/addressvalidation/v2/3": table(
            "XAVRequest",
            XAVRequest=table(
                "AddressKeyFormat",
                AddressKeyFormat=table(
                    "CountryCode",
                    AddressLine=list_schema(text(100)),
                    PoliticalDivision2=text(30),
                    PoliticalDivision1=text(30),
                    PostcodePrimaryLow=text(10),
                    CountryCode=text(2),
                ),
            ),
        ),
    }
)


@pytest.mark.parametrize("path, body", DHL)
def test_dhl_requests_match_the_description(path: str, body: Any) -> None:
    """Each request to DHL Express matches the carrier's API description."""
    assert [] == excerpt_problems("dhl_express", "POST", path, body)


@pytest.mark.parametrize("_, path, body", UPS)
def test_ups_requests_match_our_excerpt(_: str, path: str, body: Any) -> None:
    """Each request to UPS matches the excerpt of its API description."""
    assert [] == problems(OUR_UPS, "POST", path, body)
