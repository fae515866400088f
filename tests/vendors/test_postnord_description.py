"""PostNord's requests and responses use only the field names of PostNord's API descriptions.

The names are those of the descriptions of the booking 3.5.29.1, and of "PostNord Track & Trace API
v7 - FindByIdentifier - Public" 1.0.1.
"""

from __future__ import annotations

import json
from typing import Final

from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from tests.support.known_names import Shape, unknown_names

AMOUNT: Final[Shape] = {"": "unit value"}
PARTY: Final[Shape] = {
    "": "address contact glnLocation gpsLocation legalEntity nameIdentification",
    "nameIdentification": {"": "careOfName companyName name"},
    "address": {"": "city countryCode placeName postalCode state streets"},
    "contact": {"": "contactName emailAddress phoneNo smsNo"},
}
BOOKING: Final[Shape] = {
    "": "application language messageDate messageFunction messageId releaseDate shipment"
    " testIndicator updateIndicator",
    "application": {"": "applicationId name userId userIdClassification version"},
    "shipment": {
        "": "cashOnDelivery customsDeclarationCN22 customsDeclarationCN23 customsInvoice"
        " customsTransit customsTvinn dateAndTimes equipment freeText goodsContentInfo goodsItem"
        " goodsValue insurance loadingMetres numberOfPackages numberOfPalletFootPrints parties"
        " references service shipmentIdentification termsOfDelivery totalFreightCost"
        " totalGrossWeight totalVolume transportLeg",
        "shipmentIdentification": {"": "shipmentId"},
        "dateAndTimes": {
            "": "earliestDeliveryDate earliestPickupDate latestDeliveryDate latestPickupDate"
            " loadingDate orderExpireDate"
        },
        "service": {"": "additionalServiceCode basicServiceCode"},
        "references": {"": "referenceDesc referenceNo referenceType"},
        "parties": {
            "": "consignee consignor deliveryParty freightPayer notifyParty originalShipper"
            " pickupParty returnParty",
            "consignor": {
                "": "account issuerCode party partyIdentification reference",
                "partyIdentification": {"": "partyId partyIdType"},
                "party": PARTY,
            },
            "consignee": {
                "": "account issuerCode party partyIdentification reference",
                "party": PARTY,
            },
        },
        "goodsItem": {
            "": "dangerousGoods goodsDescription isEmpty items marking"
            " numberOfPackageTypeCodeItems packageTypeCode references temperature",
            "items": {
                "": "articles dimensions freeText freightCost grossWeight itemIdentification"
                " itemValue references volume",
                "itemIdentification": {"": "itemId itemIdType"},
                "grossWeight": AMOUNT,
                "dimensions": {
                    "": "height length width",
                    "height": AMOUNT,
                    "length": AMOUNT,
                    "width": AMOUNT,
                },
            },
        },
    },
}
BOOKED: Final[Shape] = {
    "": "bookingResponse labelPrintout",
    "bookingResponse": {
        "": "bookingId handlingResponse idInformation",
        "idInformation": {
            "": "attributes errorResponse ids references status urls",
            "ids": {"": "idType printId value"},
            "urls": {"": "type url"},
        },
    },
    "labelPrintout": {
        "": "itemIds nextPage printout printoutComposition",
        "printout": {"": "data dataValue encoding id labelFormat type uriResource uriStoreLabel"},
    },
}
TRACKED: Final[Shape] = {
    "": "TrackingInformationResponse",
    "TrackingInformationResponse": {
        "": "compositeFault shipments",
        "shipments": {
            "": "items shipmentId status",
            "items": {
                "": "deliveryDate estimatedTimeOfArrival eventStatus events itemId status",
                "events": {
                    "": "eventCode eventDescription eventTime localEventCode location status",
                    "location": {
                        "": "city country countryCode depotId displayName locationId"
                        " locationType name postcode servicePointType"
                    },
                },
            },
        },
    },
}
QUERY: Final = frozenset({"apikey", "paperSize"})


def test_each_name_in_request_or_in_sandbox_answer_is_one_that_postnord_knows() -> None:
    """Each field name in a request or a response of the sandbox is a field name of PostNord."""
    seen: set[str] = set()
    problems: list[str] = []
    for exchange in recorded_exchanges("postnord"):
        method = exchange.request.method.value
        seen.add(method)
        if method == "POST":
            problems += unknown_names(json.loads(as_bytes(exchange.request)), BOOKING, "sent")
        shape = BOOKED if method == "POST" else TRACKED
        problems += unknown_names(exchange.response.json(), shape, "answered")
        problems += {name for name, _ in exchange.request.query} - QUERY

    assert [] == problems
    assert {"GET", "POST"} == seen
