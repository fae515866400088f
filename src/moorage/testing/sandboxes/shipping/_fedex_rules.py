"""Tables of the fields that FedEx's sandbox accepts."""

from __future__ import annotations

from typing import Any, Final

from moorage.testing.sandboxes._fields import NUMBER, typed, words

_ACCOUNT: Final = {"value!": str}
_MONEY: Final = {"amount!": NUMBER, "currency!": str}
_WEIGHT: Final = {"units!": words("KG LB"), "value!": NUMBER}
_PICKUPS: Final = words("CONTACT_FEDEX_TO_SCHEDULE DROPOFF_AT_FEDEX_LOCATION USE_SCHEDULED_PICKUP")
_PLACE: Final = {
    **typed(str, "city stateOrProvinceCode postalCode countryCode!"),
    "residential": bool,
}
_STREET: Final = {"streetLines!": [str], **_PLACE}
_PARTY: Final = {
    "contact!": typed(str, "personName companyName phoneNumber! emailAddress"),
    "address!": _STREET,
}
_REFERENCE: Final = {
    "customerReferenceType!": words("CUSTOMER_REFERENCE INVOICE_NUMBER P_O_NUMBER"),
    "value!": str,
}
_PACKAGE: Final[dict[str, Any]] = {
    "groupPackageCount": int,
    "weight!": _WEIGHT,
    "dimensions": {"length!": int, "width!": int, "height!": int, "units!": words("CM IN")},
    "packageSpecialServices": {
        "specialServiceTypes": [str],
        "signatureOptionType": words("SERVICE_DEFAULT INDIRECT DIRECT ADULT"),
    },
}
_COMMODITY: Final = {
    **typed(str, "description! countryOfManufacture harmonizedCode partNumber"),
    "numberOfPieces": int,
    "quantity": int,
    "quantityUnits": str,
    "weight": _WEIGHT,
    "unitPrice": _MONEY,
    "customsValue": _MONEY,
}
_SERVICES: Final = {
    "specialServiceTypes": [str],
    "returnShipmentDetail": {"returnType!": words("PRINT_RETURN_LABEL")},
}
_INVOICE: Final = words("COMMERCIAL_INVOICE")
_DOCUMENTS: Final = {
    "shippingDocumentTypes!": [_INVOICE],
    "commercialInvoiceDetail!": {
        "documentFormat!": {"docType!": words("PDF"), "stockType!": words("PAPER_LETTER")}
    },
}
RATES: Final[dict[str, Any]] = {
    "accountNumber!": _ACCOUNT,
    "rateRequestControlParameters": {
        "returnTransitTimes": bool,
        "servicesNeededOnRateFailure": bool,
    },
    "carrierCodes": [str],
    "requestedShipment!": {
        "shipper!": {"address!": _PLACE},
        "recipient!": {"address!": _PLACE},
        "pickupType!": _PICKUPS,
        "packagingType": str,
        "shipDateStamp": str,
        "rateRequestType": [words("ACCOUNT LIST")],
        "totalPackageCount": int,
        "requestedPackageLineItems!": [_PACKAGE],
        "shipmentSpecialServices": _SERVICES,
        "customsClearanceDetail": {"commodities!": [_COMMODITY]},
    },
}
SHIPMENT: Final[dict[str, Any]] = {
    "accountNumber!": _ACCOUNT,
    "labelResponseOptions!": words("LABEL"),
    "processingOptionType": words("SYNCHRONOUS_ONLY"),
    "requestedShipment!": {
        "shipper!": _PARTY,
        "recipients!": [_PARTY],
        "pickupType!": _PICKUPS,
        **typed(str, "serviceType! packagingType! shipDatestamp"),
        "totalWeight!": NUMBER,
        "shippingChargesPayment!": {"paymentType!": words("SENDER")},
        "labelSpecification!": {
            "imageType!": words("PDF PNG ZPLII EPL2"),
            "labelStockType!": words("PAPER_4X6 STOCK_4X6"),
        },
        "rateRequestType": [words("ACCOUNT LIST")],
        "totalPackageCount": int,
        "requestedPackageLineItems!": [
            {**_PACKAGE, "sequenceNumber": int, "customerReferences": [_REFERENCE]}
        ],
        "shipmentSpecialServices": {
            **_SERVICES,
            "etdDetail": {"requestedDocumentTypes!": [_INVOICE]},
        },
        "shippingDocumentSpecification": _DOCUMENTS,
        "customsClearanceDetail": {
            "commercialInvoice!": {
                "originatorName": str,
                "shipmentPurpose": words("GIFT NOT_SOLD REPAIR_AND_RETURN SAMPLE SOLD"),
                "specialInstructions": str,
                "termsOfSale": str,
                "customerReferences": [_REFERENCE],
            },
            "dutiesPayment": {"paymentType": words("SENDER RECIPIENT")},
            "isDocumentOnly": bool,
            "totalCustomsValue": _MONEY,
            "commodities!": [_COMMODITY],
            "exportDetail": {"exportComplianceStatement": str},
        },
    },
}
CANCEL: Final[dict[str, Any]] = {
    "accountNumber!": _ACCOUNT,
    "trackingNumber!": str,
    "deletionControl": words("DELETE_ALL_PACKAGES"),
    "senderCountryCode": str,
}
TRACK: Final[dict[str, Any]] = {
    "includeDetailedScans!": bool,
    "trackingInfo!": [{"trackingNumberInfo!": {"trackingNumber!": str}}],
}
REFERENCES: Final[dict[str, Any]] = {
    "includeDetailedScans": bool,
    "referencesInformation!": typed(
        str, "type value! accountNumber shipDateBegin! shipDateEndDate!"
    ),
}
ADDRESSES: Final[dict[str, Any]] = {
    "addressesToValidate!": [
        {
            "address!": {
                "streetLines!": [str],
                **typed(str, "city! stateOrProvinceCode postalCode! countryCode"),
            }
        }
    ]
}
