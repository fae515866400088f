"""A local sandbox that imitates USPS.

USPS does not deliver to the ZIP code 00000; for 00001 it offers a label, and then refuses it; the
city Nowhere is unknown; a parcel of more than 70 pounds gets no rates. Its response has rates for
flat-rate envelopes and for books too.
"""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import (
    HEAVIEST,
    LABEL_TEXTS,
    NO_LABEL,
    NO_RATES,
    UNKNOWN_CITY,
    event_time,
    number,
)
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response

_SIDES: Final = {"weight!": NUMBER, "length!": NUMBER, "width!": NUMBER, "height!": NUMBER}
_PACKAGE: Final = {
    **_SIDES,
    "mailClass!": str,
    "mailingDate": str,
    "extraServices": [int],
    "packageValue": NUMBER,
}
_RATES: Final = {
    "originZIPCode!": str,
    "destinationZIPCode!": str,
    "packageDescription!": _PACKAGE,
    "pricingOptions!": [{"priceType": words("RETAIL COMMERCIAL CONTRACT")}],
    "shippingFilter": words("PRICE SERVICE_STANDARDS"),
}
_ROLE: Final = {
    "roleName!": words("PAYER LABEL_OWNER"),
    **typed(str, "CRID! MID! manifestMID!"),
    "accountType": words("EPS"),
    "accountNumber": str,
}
_PARTY: Final = {
    **typed(str, "firstName lastName firm secondaryAddress ZIPPlus4"),
    **typed(str, "streetAddress! city! state! ZIPCode!"),
    "ignoreBadAddress": bool,
}
_LABEL: Final = {
    "imageInfo": {
        "imageType": words("PDF PNG ZPL203DPI"),
        "labelType": words("4X6LABEL"),
        "receiptOption": words("SAME_PAGE SEPARATE_PAGE NONE"),
    },
    **typed(_PARTY, "fromAddress! toAddress! returnAddress"),
    "packageDescription!": {
        **_PACKAGE,
        "mailingDate!": str,
        "rateIndicator!": str,
        "processingCategory!": words("LETTERS FLATS MACHINABLE NONSTANDARD"),
        "destinationEntryFacilityType!": words("NONE"),
        "weightUOM": words("lb"),
        "dimensionsUOM": words("in"),
        "customerReference": [{"referenceNumber": str, "printReferenceNumber": bool}],
    },
}
_RATED: Final = (
    ("LIBRARY_MAIL", "SP", "NONSTANDARD", "Library Mail", "3.92", "7 Days"),
    ("PRIORITY_MAIL", "FP", "FLATS", "Priority Mail Padded Envelope", "5.85", "2 Days"),
    ("USPS_GROUND_ADVANTAGE", "SP", "MACHINABLE", "USPS Ground Advantage", "6.07", "3 Days"),
    ("PRIORITY_MAIL", "SP", "MACHINABLE", "Priority Mail", "7.42", "2 Days"),
    ("PRIORITY_MAIL_EXPRESS", "PA", "MACHINABLE", "Priority Mail Express", "34.15", "1 Day"),
)
_EXTRAS: Final = {920: "0.00", 921: "3.45", 922: "8.90"}
_KINDS: Final = {"PDF": "pdf", "PNG": "png", "ZPL203DPI": "zpl"}
_CODES: Final = {"Pre-Shipment": "GX", "Delivered": "01"}
_Fields = dict[str, Any]


class UspsSandbox(base.Sandbox):
    """A sandbox of USPS: rates, labels with idempotency keys, tracking and addresses.

    Attributes:
        client_id, client_secret: credentials that get access tokens.
        crid, mid, account_number: numbers of the paying business.
        labels: the responses to bought labels, by idempotency key.
        tracks: the tracking of parcels, by number.
        tokens: the endpoint that grants access tokens.
        payments: the granted authorizations of payments.
    """

    hosts = ("apis.usps.com", "apis-tem.usps.com")

    client_id: str = "usps-consumer-key"
    client_secret: str = "usps-sandbox-secret"
    crid: str = "12345678"
    mid: str = "901234567"
    account_number: str = "1000004321"
    payments: set[str] = base.state_field(set)
    labels: dict[str, tuple[Any, _Fields]] = base.state_field(dict)
    tracks: dict[str, _Fields] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.tokens = TokenEndpoint(
            "/oauth2/v3/token", self.client_id, self.client_secret, posted=True, expires_in="28799"
        )
        self.mounts = {self.tokens.path: self.tokens}

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /shipments/v3/options/search": self._rates,
            "POST /payments/v3/payment-authorization": self._authorize,
            "POST /labels/v3/label": self._label,
            "GET /tracking/v3/tracking/{number}": self._track,
            "GET /addresses/v3/address": self._address,
        }

    def move(self, number: str, category: str) -> None:
        """Move a parcel to a status, given as USPS's category."""
        track = self.tracks[number]
        event = {
            "eventType": f"The parcel is at {category}",
            "eventTimestamp": event_time(len(track["trackingEvents"])),
            "GMTTimestamp": f"{event_time(len(track['trackingEvents']))}Z",
            "GMTOffset": "+00:00",
            "eventCountry": None,
            "eventCity": "ONTARIO",
            "eventState": "CA",
            "eventZIP": "91761",
            "name": None,
            "eventCode": _CODES.get(category, "ZZ"),
        }
        track["trackingEvents"].insert(0, event)
        track |= {"statusCategory": category, "status": event["eventType"]}

    def _rates(self, request: base.SandboxRequest) -> Response:
        body = _body(request, _RATES)
        package = body["packageDescription"]
        destination = body["destinationZIPCode"]
        is_refused = destination == NO_RATES or number(package["weight"]) > HEAVIEST
        options = [] if is_refused else [_option(row, package) for row in _RATED]
        pricing = [
            {"shippingOptions": options, "priceType": body["pricingOptions"][0]["priceType"]}
        ]
        zips = {name: body[name] for name in ("originZIPCode", "destinationZIPCode")}
        return base.reply({**zips, "pricingOptions": pricing})

    def _authorize(self, request: base.SandboxRequest) -> Response:
        body = _body(request, {"roles!": [_ROLE]})
        roles = {role["roleName"]: role for role in body["roles"]}
        if set(roles) != {"PAYER", "LABEL_OWNER"}:
            raise _refusal(400, "010001", "The roles PAYER and LABEL_OWNER are required.")
        payer = roles["PAYER"]
        if (payer["CRID"], payer.get("accountNumber")) != (self.crid, self.account_number):
            raise _refusal(400, "010002", "The account is not active.")
        token = f"payment.{self.number():08d}"
        self.payments.add(token)
        return base.reply({**body, "paymentAuthorizationToken": token})

    def _label(self, request: base.SandboxRequest) -> Response:
        if request.headers.get("x-payment-authorization-token") not in self.payments:
            raise _refusal(401, "160001", "The payment authorization is not valid.")
        if request.headers.get("accept") != "application/vnd.usps.labels+json":
            raise _refusal(400, "160002", "The media type is not supported.")
        body, key = _body(request, _LABEL), request.headers.get("x-idempotency-key") or ""
        earlier_label = self.labels.get(key)
        if earlier_label is not None:
            if earlier_label[0] != body:
                raise _refusal(400, "160003", "The idempotency key is of another label.")
            return base.reply(earlier_label[1])
        label = self._new_label(body)
        self.labels[key or self.uuid()] = (body, label)
        return base.reply(label)

    def _new_label(self, body: _Fields) -> _Fields:
        package = body["packageDescription"]
        prices = {row[:3]: row[4] for row in _RATED}
        price = prices.get(
            (package["mailClass"], package["rateIndicator"], package["processingCategory"])
        )
        if price is None or body["toAddress"]["ZIPCode"] == NO_LABEL:
            raise _refusal(400, "160100", "The mail class is not valid for this destination.")
        for party in (body["fromAddress"], body["toAddress"]):
            if not ({"firstName", "lastName"} <= set(party) or party.get("firm")):
                raise _refusal(400, "160101", "First and last name, or firm, are required.")
        code = f"92001901234567{self.number():08d}"
        self.tracks[code] = {"trackingNumber": code, "trackingEvents": []}
        self.move(code, "Pre-Shipment")
        image = body.get("imageInfo", {}).get("imageType", "PDF")
        return {
            "labelAddress": body["toAddress"],
            "trackingNumber": code,
            "postage": float(price),
            "extraServices": _extra_services(package),
            "fees": [],
            "labelImage": b64encode(LABEL_TEXTS[_KINDS[image]] + code.encode()).decode(),
        }

    def _track(self, request: base.SandboxRequest, number: str) -> Response:
        if dict(request.query).get("expand") != "DETAIL":
            raise _refusal(400, "150001", "The sandbox returns tracking only with expand=DETAIL.")
        if number not in self.tracks:
            raise _refusal(400, "150002", "The tracking number is not found.")
        return base.reply(self.tracks[number])

    def _address(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        if query.get("city") == UNKNOWN_CITY:
            raise base.refusal(
                {
                    "apiVersion": "v3",
                    "error": {
                        "code": "404",
                        "message": "There is no match for the address requested.",
                        "errors": [],
                    },
                },
                404,
            )
        names = ("streetAddress", "secondaryAddress", "city", "state")
        address = {name: query[name].upper() for name in names if name in query}
        return base.reply(
            {
                "address": {**address, "ZIPCode": query["ZIPCode"], "ZIPPlus4": "2231"},
                "additionalInfo": {"DPVConfirmation": "Y", "business": "N"},
                "corrections": [],
            }
        )

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token."""
        if not self.tokens.allows(request):
            raise _refusal(401, "401", "The access token is invalid.")


def _body(request: base.SandboxRequest, shape: Any) -> Any:
    body = request.json()
    for location, name, problem in problems(shape, body):
        raise _refusal(400, "010005", f"{location}/{name} is {problem}.")
    return body


def _extra_services(package: _Fields) -> list[_Fields]:
    codes = package.get("extraServices", [])
    return [
        {"name": f"Service {code}", "extraService": str(code), "price": float(_EXTRAS[code])}
        for code in codes
        if code in _EXTRAS
    ]


def _option(row: tuple[str, ...], package: _Fields) -> _Fields:
    mail_class, indicator, category, name, price, days = row
    extras = _extra_services(package)
    total = Decimal(price) + sum(Decimal(str(extra["price"])) for extra in extras)
    rate = {
        "description": f"{name} Single-piece",
        "price": float(price),
        "priceType": "COMMERCIAL",
        "mailClass": mail_class,
        "productName": name,
        "processingCategory": category,
        "rateIndicator": indicator,
        "destinationEntryFacilityType": "NONE",
    }
    commitment = {
        "name": days,
        "expectedDeliveryDate": "2030-01-05",
        "guaranteedDelivery": mail_class == "PRIORITY_MAIL_EXPRESS",
    }
    entry = {"commitment": commitment, "totalBasePrice": float(price), "rates": [rate]}
    entry |= {"extraServices": extras, "totalPrice": float(total)} if extras else {}
    return {"mailClass": mail_class, "rateOptions": [entry]}


def _refusal(status: int, code: str, detail: str) -> base.Refusal:
    error = {"title": "Bad Request", "code": code, "detail": detail}
    words = {"code": str(status), "message": "Bad Request", "errors": [error]}
    return base.refusal({"apiVersion": "/v3", "error": words}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = UspsSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "crid": sandbox.crid,
            "mid": sandbox.mid,
            "account_number": sandbox.account_number,
        },
    )
