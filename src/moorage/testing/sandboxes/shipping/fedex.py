"""A local sandbox that imitates FedEx.

FedEx does not deliver to the postal code 00000; for 00001 it offers a label, and then refuses it;
the city Nowhere cannot be resolved; a parcel of more than 70 pounds gets no rates. A shipment
cannot be cancelled once it is on its way. As at FedEx, an unknown number is reported inside a
successful response.
"""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping._fedex_rules import (
    ADDRESSES,
    CANCEL,
    RATES,
    REFERENCES,
    SHIPMENT,
    TRACK,
)
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

_SERVICES: Final = {
    "FEDEX_GROUND": ("FedEx Ground®", Decimal("11.07"), "THREE_DAYS"),
    "FEDEX_2_DAY": ("FedEx 2Day®", Decimal("24.42"), "TWO_DAYS"),
    "STANDARD_OVERNIGHT": ("FedEx Standard Overnight®", Decimal("54.15"), "ONE_DAY"),
}
_KINDS: Final = {"PDF": "pdf", "PNG": "png", "ZPLII": "zpl", "EPL2": "epl"}
_POUNDS: Final = {"LB": Decimal(1), "KG": Decimal("2.20462")}
_LABEL_CREATED: Final = "OC"
_CANCELED: Final = "CA"
_DELIVERED: Final = "DL"


class FedExSandbox(base.Sandbox):
    """A sandbox of FedEx: rates, shipments, cancellations, tracking and addresses.

    Attributes:
        client_id, client_secret: credentials that get access tokens.
        account_number: number of the paying account.
        token_endpoint: the endpoint that grants access tokens.
        shipments: the bought shipments, by master tracking number.
        tracks: the tracking of parcels, by number.
    """

    hosts = ("apis.fedex.com", "apis-sandbox.fedex.com")

    client_id: str = "l7-sandbox-client"
    client_secret: str = "sandbox-secret-of-fedex"
    account_number: str = "740561073"
    shipments: dict[str, dict[str, Any]] = base.state_field(dict)
    tracks: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.token_endpoint = TokenEndpoint(
            "/oauth/token", self.client_id, self.client_secret, posted=True
        )
        self.mounts["/oauth/token"] = self.token_endpoint

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /rate/v1/rates/quotes": self._offer,
            "POST /ship/v1/shipments": self._buy,
            "PUT /ship/v1/shipments/cancel": self._cancel,
            "POST /track/v1/trackingnumbers": self._track,
            "POST /track/v1/referencenumbers": self._find,
            "POST /address/v1/addresses/resolve": self._resolve,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - whoever asks
        """Return the response to a request that matches no route."""
        return _refusal(404, "NOT.FOUND.ERROR", "The resource is not available.").response

    # --- what happens on the way ---------------------------------------------

    def move(self, number: str, status: str) -> None:
        """Move a tracked parcel to a status."""
        track = self.tracks[number]
        event = _event(status, len(track["scanEvents"]))
        track["scanEvents"].insert(0, event)
        track["latestStatusDetail"] = {"code": status, "description": event["eventDescription"]}
        if status == _DELIVERED:
            track["dateAndTimes"] = [{"type": "ACTUAL_DELIVERY", "dateTime": event["date"]}]

    # --- requests ------------------------------------------------------------

    def _offer(self, request: base.SandboxRequest) -> Response:
        shipment = self._body(request, RATES)["requestedShipment"]
        _check_border(shipment, shipment["recipient"])
        if shipment["recipient"]["address"].get("postalCode") == NO_RATES:
            raise _refusal(400, "RATE.LOCATION.NOSERVICE", "FedEx does not deliver to this place.")
        if max(_pounds(package) for package in shipment["requestedPackageLineItems"]) > HEAVIEST:
            alert = {"code": "PACKAGE.TOOHEAVY", "alertType": "WARNING", "message": "Too heavy."}
            return _reply({"alerts": [alert], "rateReplyDetails": []})
        offers = [_offered_rates(kind, *package) for kind, package in _SERVICES.items()]
        return _reply({"alerts": [], "rateReplyDetails": offers})

    def _buy(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, SHIPMENT)
        shipment = body["requestedShipment"]
        [recipient] = shipment["recipients"]
        _check_border(shipment, recipient)
        if shipment["serviceType"] not in _SERVICES:
            raise _refusal(400, "SERVICE.TYPE.INVALID", "The service type is not known.")
        if recipient["address"].get("postalCode") == NO_LABEL:
            raise _refusal(400, "SHIPMENT.NOT.ACCEPTED", "The shipment is not accepted.")
        image = shipment["labelSpecification"]["imageType"]
        pieces = [self._piece(package, image) for package in shipment["requestedPackageLineItems"]]
        transaction = _transaction(shipment["serviceType"], pieces)
        self.shipments[transaction["masterTrackingNumber"]] = transaction
        return _reply({"transactionShipments": [transaction], "alerts": []})

    def _piece(self, package: dict[str, Any], image: str) -> dict[str, Any]:
        code = f"7949{self.number():08d}"
        marks = [reference["value"] for reference in package.get("customerReferences", ())]
        self.tracks[code] = {
            "trackingNumberInfo": {"trackingNumber": code, "carrierCode": "FDXE"},
            "additionalTrackingInfo": {"packageIdentifiers": [{"value": marks}]},
            "latestStatusDetail": {"code": _LABEL_CREATED, "description": "Label created"},
            "estimatedDeliveryTimeWindow": {"window": {"ends": "2030-01-05T17:00:00-06:00"}},
            "scanEvents": [],
            "dateAndTimes": [],
        }
        content = b64encode(LABEL_TEXTS[_KINDS[image]] + code.encode()).decode()
        document = {"contentType": "LABEL", "docType": image, "encodedLabel": content}
        return {"trackingNumber": code, "packageDocuments": [document]}

    def _cancel(self, request: base.SandboxRequest) -> Response:
        code = self._body(request, CANCEL)["trackingNumber"]
        shipment = self.shipments.get(code)
        if shipment is None:
            raise _refusal(400, "TRACKINGNUMBER.NOTFOUND", "The tracking number is not known.")
        numbers = [piece["trackingNumber"] for piece in shipment["pieceResponses"]]
        codes = {
            self.tracks[tracking_number]["latestStatusDetail"]["code"]
            for tracking_number in numbers
        }
        if codes != {_LABEL_CREATED}:
            raise _refusal(400, "SHIPMENT.CANCEL.FAILED", "The shipment cannot be cancelled.")
        for tracking_number in numbers:
            self.move(tracking_number, _CANCELED)
        flags = {"cancelledShipment": True, "cancelledHistory": True}
        return _reply({**flags, "message": "Shipment is successfully cancelled"})

    def _track(self, request: base.SandboxRequest) -> Response:
        infos = self._body(request, TRACK)["trackingInfo"]
        numbers = [number["trackingNumberInfo"]["trackingNumber"] for number in infos]
        return _reply({"completeTrackResults": [self._result(number) for number in numbers]})

    def _result(self, code: str) -> dict[str, Any]:
        error = {
            "code": "TRACKING.TRACKINGNUMBER.NOTFOUND",
            "message": "The number cannot be found right now.",
        }
        unknown_result = {"trackingNumberInfo": {"trackingNumber": code}, "error": error}
        return {"trackingNumber": code, "trackResults": [self.tracks.get(code, unknown_result)]}

    def _find(self, request: base.SandboxRequest) -> Response:
        references = self._body(request, REFERENCES)["referencesInformation"]
        if references.get("accountNumber") != self.account_number:
            raise _refusal(400, "TRACKING.ACCOUNTNUMBER.EMPTY", "The account is not known.")
        tracks = [
            code for code, track in self.tracks.items() if references["value"] in _marks_of(track)
        ]
        if not tracks:
            raise _refusal(
                404, "TRACKING.REFERENCENUMBER.NOTFOUND", "No shipment has this reference."
            )
        return _reply({"completeTrackResults": [self._result(match) for match in tracks]})

    def _resolve(self, request: base.SandboxRequest) -> Response:
        [entry] = self._body(request, ADDRESSES)["addressesToValidate"]
        return _reply({"resolvedAddresses": [_resolved_address(entry["address"])], "alerts": []})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token."""
        if not self.token_endpoint.allows(request):
            raise _refusal(401, "NOT.AUTHORIZED.ERROR", "Access token expired.")

    def _body(self, request: base.SandboxRequest, shape: Any) -> Any:
        body = request.json()
        for location, name, problem in problems(shape, body):
            raise _refusal(400, "INVALID.INPUT.EXCEPTION", f"{location}/{name} is {problem}.")
        account = body.get("accountNumber")
        if account is not None and account["value"] != self.account_number:
            raise _refusal(
                400, "ACCOUNT.NUMBER.MISMATCH", "The account does not belong to this client."
            )
        return body


def _check_border(shipment: dict[str, Any], recipient: dict[str, Any]) -> None:
    origin_country, destination_country = (
        party["address"]["countryCode"] for party in (shipment["shipper"], recipient)
    )
    if origin_country != destination_country and "customsClearanceDetail" not in shipment:
        raise _refusal(400, "CUSTOMSCLEARANCEDETAIL.REQUIRED", "Customs details are required.")


def _pounds(package: dict[str, Any]) -> Decimal:
    weight = package["weight"]
    if not number(weight["value"]) > 0:
        raise _refusal(
            400, "PACKAGE.WEIGHT.INVALID", "The weight of the package is not a positive number."
        )
    return number(weight["value"]) * _POUNDS[weight["units"]]


def _offered_rates(kind: str, name: str, price: Decimal, days: str) -> dict[str, Any]:
    list_rate = {"rateType": "LIST", "totalNetCharge": float(price + 5), "currency": "USD"}
    account_rate = {"rateType": "ACCOUNT", "totalNetCharge": float(price), "currency": "USD"}
    return {
        "serviceType": kind,
        "serviceName": name,
        "packagingType": "YOUR_PACKAGING",
        "ratedShipmentDetails": [list_rate, account_rate],
        "operationalDetail": {"transitTime": days, "deliveryDate": "2030-01-05T17:00:00"},
    }


def _transaction(service: str, pieces: list[dict[str, Any]]) -> dict[str, Any]:
    price = float(_SERVICES[service][1])
    account_rate = {
        "rateType": "PAYOR_ACCOUNT_SHIPMENT",
        "totalNetCharge": price,
        "currency": "USD",
    }
    rating = {"actualRateType": account_rate["rateType"], "shipmentRateDetails": [account_rate]}
    return {
        "serviceType": service,
        "masterTrackingNumber": pieces[0]["trackingNumber"],
        "pieceResponses": pieces,
        "shipmentDocuments": [],
        "alerts": [],
        "completedShipmentDetail": {"shipmentRating": rating},
    }


def _event(status: str, count: int) -> dict[str, Any]:
    return {
        "date": f"{event_time(count)}-06:00",
        "eventType": status,
        "derivedStatusCode": status,
        "eventDescription": f"The parcel is {status}",
        "exceptionDescription": "",
        "scanLocation": {
            "city": "MEMPHIS",
            "stateOrProvinceCode": "TN",
            "postalCode": "38118",
            "countryCode": "US",
        },
    }


def _marks_of(track: dict[str, Any]) -> list[str]:
    identifiers = track["additionalTrackingInfo"]["packageIdentifiers"]
    return [value for identifier in identifiers for value in identifier["value"]]


def _resolved_address(address: dict[str, Any]) -> dict[str, Any]:
    is_known = address["city"] != UNKNOWN_CITY
    return {
        "streetLinesToken": [line.upper() for line in address["streetLines"]],
        "city": address["city"].upper(),
        "stateOrProvinceCode": address.get("stateOrProvinceCode"),
        "countryCode": address.get("countryCode"),
        "parsedPostalCode": {"base": address["postalCode"]},
        "classification": "RESIDENTIAL",
        "customerMessage": [],
        "attributes": {"Resolved": is_known, "DPV": is_known},
    }


def _reply(output: dict[str, Any]) -> Response:
    return base.reply({"transactionId": "624deea6-b709-470c-8c39-4b5511281492", "output": output})


def _refusal(status: int, code: str, message: str) -> base.Refusal:
    return base.refusal(
        {"transactionId": "1", "errors": [{"code": code, "message": message}]}, status
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = FedExSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "credentials": sandbox.client_secret,
            "account_number": sandbox.account_number,
        },
    )
