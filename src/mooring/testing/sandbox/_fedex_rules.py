"""What the sandbox of FedEx takes, as tables of fields."""

from __future__ import annotations

from typing import Any, Final

from mooring.testing.sandbox._fields import NUMBER

_ACCOUNT: Final = {"value!": str}
_MONEY: Final = {"amount!": NUMBER, "currency!": str}
_WEIGHT: Final = {"units!": str, "value!": NUMBER}
_PLACE: Final = {
    "city": str,
    "stateOrProvinceCode": str,
    "postalCode": str,
    "countryCode!": str,
    "residential": bool,
}
_STREET: Final = {"streetLines!": [str], **_PLACE}
_PARTY: Final = {
    "contact!": {
        "personName": str,
        "companyName": str,
        "phoneNumber!": str,
        "emailAddress": str,
    },
    "address!": _STREET,
}
_REFERENCE: Final = {"customerReferenceType!": str, "value!": str}
_PACKAGE: Final[dict[str, Any]] = {
    "groupPackageCount": int,
    "weight!": _WEIGHT,
    "dimensions": {"length!": int, "width!": int, "height!": int, "units!": str},
    "packageSpecialServices": {"specialServiceTypes": [str], "signatureOptionType": str},
}
_COMMODITY: Final = {
    "description!": str,
    "countryOfManufacture": str,
    "harmonizedCode": str,
    "partNumber": str,
    "numberOfPieces": int,
    "quantity": int,
    "quantityUnits": str,
    "weight": _WEIGHT,
    "unitPrice": _MONEY,
    "customsValue": _MONEY,
}
_SERVICES: Final = {"specialServiceTypes": [str], "returnShipmentDetail": {"returnType!": str}}
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
        "pickupType!": str,
        "packagingType": str,
        "shipDateStamp": str,
        "rateRequestType": [str],
        "totalPackageCount": int,
        "requestedPackageLineItems!": [_PACKAGE],
        "shipmentSpecialServices": _SERVICES,
        "customsClearanceDetail": {"commodities!": [_COMMODITY]},
    },
}
SHIPMENT: Final[dict[str, Any]] = {
    "accountNumber!": _ACCOUNT,
    "labelResponseOptions!": str,
    "processingOptionType": str,
    "requestedShipment!": {
        "shipper!": _PARTY,
        "recipients!": [_PARTY],
        "pickupType!": str,
        "serviceType!": str,
        "packagingType!": str,
        "shipDatestamp": str,
        "totalWeight!": NUMBER,
        "shippingChargesPayment!": {"paymentType!": str},
        "labelSpecification!": {"imageType!": str, "labelStockType!": str},
        "rateRequestType": [str],
        "totalPackageCount": int,
        "requestedPackageLineItems!": [
            {**_PACKAGE, "sequenceNumber": int, "customerReferences": [_REFERENCE]}
        ],
        "shipmentSpecialServices": _SERVICES,
        "customsClearanceDetail": {
            "commercialInvoice!": {
                "originatorName": str,
                "shipmentPurpose": str,
                "specialInstructions": str,
                "termsOfSale": str,
                "customerReferences": [_REFERENCE],
            },
            "dutiesPayment": {"paymentType": str},
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
    "deletionControl": str,
    "senderCountryCode": str,
}
TRACK: Final[dict[str, Any]] = {
    "includeDetailedScans!": bool,
    "trackingInfo!": [{"trackingNumberInfo!": {"trackingNumber!": str}}],
}
REFERENCES: Final[dict[str, Any]] = {
    "includeDetailedScans": bool,
    "referencesInformation!": {
        "type": str,
        "value!": str,
        "accountNumber": str,
        "shipDateBegin!": str,
        "shipDateEndDate!": str,
    },
}
ADDRESSES: Final[dict[str, Any]] = {
    "addressesToValidate!": [
        {
            "address!": {
                "streetLines!": [str],
                "city!": str,
                "stateOrProvinceCode": str,
                "postalCode!": str,
                "countryCode": str,
            }
        }
    ]
}
