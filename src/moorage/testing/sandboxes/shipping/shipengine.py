"""ShipEngine on this machine.

To the postal code 00000 nobody carries; to 00001 a label is offered and then refused; the city
Nowhere cannot be delivered to; more than 70 pounds are not offered. A label is not voided once its
parcel is on its way.
"""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes._fields import problems
from moorage.testing.sandboxes.base import Notice, Refusal, Sandbox, SandboxRequest, reply
from moorage.testing.sandboxes.shipping._shipengine_rules import ADDRESS, LABEL, RATES, refusal
from moorage.testing.sandboxes.shipping.shipments import (
    HEAVIEST,
    LABEL_TEXTS,
    NO_LABEL,
    NO_RATES,
    SERVICES,
    UNKNOWN_CITY,
    number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

_POUNDS: Final = {
    "pound": Decimal(1),
    "ounce": Decimal(1) / 16,
    "kilogram": Decimal("2.20462"),
    "gram": Decimal("0.00220462"),
}
_SERVICES: Final = {
    "usps_priority": "usps_priority_mail",
    "usps_priority_express": "usps_priority_mail_express",
}
_STILL_HERE: Final = {"NY", "AC"}
_CARRIER: Final = "stamps_com"
_KEY_ID: Final = "11111111-2222-3333-4444-555555555555"
_HOST: Final = "api.shipengine.com"


@cache
def _signer() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class ShipEngineSandbox(Sandbox):
    """Rates, labels, voids, tracking and addresses, by one carrier.

    Args:
        api_key: who may come in.
        files: where its labels are kept; by default where ShipEngine keeps them.

    Attributes:
        carriers: the ids of the carriers' accounts that are connected.
        shipments, rates, labels, tracks, contents: what it has, by id; tracks by their number,
            contents of labels by their path.
        slow: whether labels are made later, by `finish`.
    """

    hosts: tuple[str, ...] = (_HOST,)

    def __init__(
        self, api_key: str = "TEST_sandbox_key_of_shipengine", files: str = f"https://{_HOST}"
    ) -> None:
        super().__init__()
        self.api_key = api_key
        self.files = files
        self.hosts = tuple({_HOST, urlsplit(files).netloc})
        self.slow = False
        self.carriers = ["se-100"]
        self.shipments: dict[str, dict[str, Any]] = {}
        self.rates: dict[str, dict[str, Any]] = {}
        self.labels: dict[str, dict[str, Any]] = {}
        self.tracks: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}

    @property
    def webhook_key(self) -> str:
        """The public key that its webhooks are verified with."""
        public = _signer().public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return public.public_bytes(serialization.Encoding.PEM, form).decode()

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """The sandbox's routes, by method and path."""
        return {
            "GET /v1/carriers": self._carriers,
            "POST /v1/rates": self._offer,
            "POST /v1/labels/rates/{id}": self._buy,
            "GET /v1/labels": self._list,
            "GET /v1/labels/{id}": self._fetch,
            "PUT /v1/labels/{id}/void": self._void,
            "GET /v1/labels/{id}/track": self._track_label,
            "GET /v1/tracking": self._track,
            "POST /v1/addresses/validate": self._validate,
            "GET /v1/downloads/{path*}": self._file,
        }

    def unknown(self, request: SandboxRequest) -> Response:  # noqa: ARG002 - whoever asks
        """The answer to what no route is for."""
        return _missing().response

    # --- what happens at the carrier -----------------------------------------

    def move(self, number: str, status: str, detail: str | None = None) -> None:
        """Move a parcel to a status."""
        track = self.tracks[number]
        event = _event(status, detail, len(track["events"]))
        track["events"].insert(0, event)
        track |= {"status_code": status, "status_detail_code": detail}
        if status == "DE":
            track["actual_delivery_date"] = event["occurred_at"]

    def finish(self, id: str, status: str = "completed") -> None:
        """Make a label that was to be made later."""
        self._settle(self.labels[id], status)

    def report(self, url: str, number: str, *, at: datetime) -> Notice:
        """A webhook of where a parcel is, signed at this time."""
        track = self.tracks[number]
        label = next(
            (
                labelled["label_id"]
                for labelled in self.labels.values()
                if number in _numbers(labelled)
            ),
            None,
        )
        home = f"https://{_HOST}/v1"
        where = None if label is None else f"{home}/labels/{label}"
        body = encode_json(
            {
                "resource_url": f"{home}/tracking?carrier_code={_CARRIER}&tracking_number={number}",
                "resource_type": "API_TRACK",
                "data": {"label_url": where, **track},
            }
        )
        stamp = at.isoformat()
        signed = _signer().sign(f"{stamp}.".encode() + body, padding.PKCS1v15(), hashes.SHA256())
        headers = {
            "Content-Type": "application/json",
            "X-ShipEngine-Timestamp": stamp,
            "X-ShipEngine-RSA-SHA256-Key-ID": _KEY_ID,
            "X-ShipEngine-RSA-SHA256-Signature": b64encode(signed).decode(),
        }
        return self.notify(url, body, headers)

    # --- requests ------------------------------------------------------------

    def _carriers(self, request: SandboxRequest) -> Response:
        self._let_in(request)
        carriers = [{"carrier_id": carrier, "carrier_code": _CARRIER} for carrier in self.carriers]
        return reply({"carriers": carriers, "request_id": "0" * 8, "errors": []})

    def _offer(self, request: SandboxRequest) -> Response:
        body = self._body(request, RATES)
        shipment = body["shipment"]
        _check_shipment(shipment)
        for carrier in body["rate_options"]["carrier_ids"]:
            if carrier not in self.carriers:
                raise refusal(400, "invalid_identifier", "validation", f"{carrier} is not known.")
        id = f"se-{self.number()}"
        self.shipments[id] = {"advanced_options": {}, **shipment, "shipment_id": id}
        errors = _weight_errors(shipment)
        rates = [] if errors else [self._rate(id, *service) for service in SERVICES]
        ids = {"shipment_id": id, "rate_request_id": f"se-{self.number()}", "status": "completed"}
        answer = {**ids, "rates": rates, "invalid_rates": [], "errors": errors}
        return reply({**self.shipments[id], "rate_response": answer})

    def _rate(self, shipment: str, word: str, _: str, name: str, price: Any, days: int) -> Any:
        id = f"se-{self.number()}"
        rate: dict[str, Any] = {
            "rate_id": id,
            "rate_type": "shipment",
            "carrier_id": self.carriers[0],
            "shipping_amount": _usd(price),
            "insurance_amount": _usd(0),
            "confirmation_amount": _usd(0),
            "other_amount": _usd(0),
            "delivery_days": days,
            "guaranteed_service": False,
            "estimated_delivery_date": "2030-01-05T00:00:00Z",
            "service_type": name,
            "service_code": _SERVICES.get(word, word),
            "carrier_code": _CARRIER,
            "validation_status": "valid",
            "warning_messages": [],
            "error_messages": [],
        }
        self.rates[id] = {**rate, "shipment_id": shipment}
        return rate

    def _buy(self, request: SandboxRequest, id: str) -> Response:
        body = self._body(request, LABEL)
        rate = self.rates.get(id)
        if rate is None:
            raise _missing()
        shipment = self.shipments[rate["shipment_id"]]
        if len(body.get("custom_field1", "")) > 100:
            raise refusal(400, "invalid_string_length", "validation", "custom_field1 is too long.")
        if shipment["ship_to"].get("postal_code") == NO_LABEL:
            message = "The carrier refused the shipment."
            raise refusal(400, "unspecified", "business_rules", message, carrier_code=_CARRIER)
        shipment["advanced_options"]["custom_field1"] = body.get("custom_field1")
        label: dict[str, Any] = {
            "label_id": f"se-{self.number()}",
            "status": "processing",
            "rate_id": id,
            "shipment_id": rate["shipment_id"],
            "shipment": shipment,
            "shipment_cost": rate["shipping_amount"],
            "insurance_cost": rate["insurance_amount"],
            "carrier_code": rate["carrier_code"],
            "carrier_id": rate["carrier_id"],
            "service_code": rate["service_code"],
            "label_format": body.get("label_format", "pdf"),
            "label_layout": body.get("label_layout", "4x6"),
            "voided": False,
            "tracking_number": None,
            "tracking_url": None,
            "label_download": None,
            "form_download": None,
            "packages": [],
        }
        self.labels[label["label_id"]] = label
        if not self.slow:
            self._settle(label, "completed")
        return reply(label)

    def _settle(self, label: dict[str, Any], status: str) -> None:
        label["status"] = status
        if status == "error":
            return
        packages: list[dict[str, Any]] = []
        for _ in label["shipment"]["packages"]:
            code = f"9400{self.number():018d}"
            self.tracks[code] = _track(code)
            packages.append({"tracking_number": code, "label_download": self._store_labels(code)})
        code = packages[0]["tracking_number"]
        label |= {
            "packages": packages,
            "tracking_number": code,
            "tracking_url": f"https://tools.usps.com/go/{code}",
            "label_download": packages[0]["label_download"],
        }

    def _store_labels(self, code: str) -> dict[str, str]:
        links: dict[str, str] = {}
        for kind in ("pdf", "png", "zpl"):
            path = f"10/{code}/label.{kind}"
            self.contents[path] = LABEL_TEXTS[kind] + code.encode()
            links[kind] = f"{self.files}/v1/downloads/{path}"
        return {**links, "href": links["pdf"]}

    def _list(self, request: SandboxRequest) -> Response:
        self._let_in(request)
        rate = dict(request.query).get("rate_id")
        labels = [label for label in self.labels.values() if rate in {None, label["rate_id"]}]
        return reply({"labels": labels[::-1], "total": len(labels), "page": 1, "pages": 1})

    def _fetch(self, request: SandboxRequest, id: str) -> Response:
        self._let_in(request)
        return reply(self._label(id))

    def _void(self, request: SandboxRequest, id: str) -> Response:
        self._let_in(request)
        label = self._label(id)
        message, reason = "Request for refund submitted. This label has been voided.", None
        if label["voided"]:
            message, reason = "This label has been voided.", "label_already_voided"
        elif label["status"] != "completed":
            message, reason = "There is no label to void.", "validation_failed"
        elif self.tracks[label["tracking_number"]]["status_code"] not in _STILL_HERE:
            message, reason = "This label has been used.", "label_already_used"
        else:
            label |= {"voided": True, "status": "voided"}
        reason_field = {} if reason is None else {"reason_code": reason}
        return reply({"approved": reason is None, "message": message, **reason_field})

    def _track_label(self, request: SandboxRequest, id: str) -> Response:
        self._let_in(request)
        label = self._label(id)
        if label["tracking_number"] is None:
            return reply({"tracking_number": None, "status_code": "UN", "events": []})
        return reply(self.tracks[label["tracking_number"]])

    def _track(self, request: SandboxRequest) -> Response:
        self._let_in(request)
        query = dict(request.query)
        track = self.tracks.get(query.get("tracking_number", ""))
        if query.get("carrier_code") != _CARRIER:
            raise refusal(400, "carrier_not_supported", "validation", "The carrier is not known.")
        if track is None:
            raise _missing()
        return reply(track)

    def _validate(self, request: SandboxRequest) -> Response:
        return reply([_judged(address) for address in self._body(request, [ADDRESS])])

    def _file(self, request: SandboxRequest, path: str) -> Response:
        if "api-key" in request.headers:
            raise Refusal(Response(400, body=b"A stranger was told the key."))
        content = self.contents.get(path)
        if content is None:
            raise Refusal(Response(404))
        return Response(200, {"Content-Type": "application/octet-stream"}, content)

    def _label(self, id: str) -> dict[str, Any]:
        if id not in self.labels:
            raise _missing()
        return self.labels[id]

    def _body(self, request: SandboxRequest, rule: Any) -> Any:
        self._let_in(request)
        body = request.json()
        for where, name, wrong in problems(rule, body):
            code = "field_value_required" if wrong == "missing" else "invalid_field_value"
            at = f"{where}/{name}"
            raise refusal(400, code, "validation", f"{at} is {wrong}.", field_name=at)
        return body

    def _let_in(self, request: SandboxRequest) -> None:
        if request.headers.get("api-key") != self.api_key:
            raise refusal(401, "unauthorized", "security", "The API key is not valid.")


def _check_shipment(shipment: dict[str, Any]) -> None:
    if not shipment["packages"]:
        raise refusal(400, "invalid_field_value", "validation", "There is no package.")
    for side in ("ship_from", "ship_to"):
        if not shipment[side].get("name") and not shipment[side].get("company_name"):
            message = f"{side} has neither a name nor a company."
            raise refusal(400, "field_value_required", "validation", message)
    insured = any("insured_value" in package for package in shipment["packages"])
    if insured and shipment.get("insurance_provider", "none") == "none":
        message = "insured_value takes an insurance_provider."
        raise refusal(400, "field_value_required", "business_rules", message)
    home, away = (shipment[side]["country_code"] for side in ("ship_from", "ship_to"))
    goods = any(package.get("products") for package in shipment["packages"])
    if home != away and not ("customs" in shipment and goods):
        message = "International shipments take customs and products."
        raise refusal(400, "customs_items_required", "business_rules", message)


def _weight_errors(shipment: dict[str, Any]) -> list[dict[str, Any]]:
    pounds = [
        number(package["weight"]["value"]) * _POUNDS[package["weight"]["unit"]]
        for package in shipment["packages"]
    ]
    text = None
    if shipment["ship_to"].get("postal_code") == NO_RATES:
        text = "No rates are available for this destination."
    elif max(pounds) > HEAVIEST:
        text = "The parcel is too heavy."
    if text is None:
        return []
    error = {"error_source": "carrier", "error_type": "business_rules", "error_code": "unspecified"}
    return [{**error, "carrier_code": _CARRIER, "message": text}]


def _judged(address: dict[str, Any]) -> dict[str, Any]:
    if address.get("address_line1") and address.get("city_locality") != UNKNOWN_CITY:
        matched = {
            name: value if name == "address_residential_indicator" else value.upper()
            for name, value in address.items()
        }
        return {
            "status": "verified",
            "original_address": address,
            "matched_address": matched,
            "messages": [],
        }
    message = {
        "code": "a1004",
        "message": "Address not found",
        "type": "error",
        "detail_code": "address_not_found",
    }
    return {
        "status": "error",
        "original_address": address,
        "matched_address": None,
        "messages": [message],
    }


def _usd(amount: Decimal | int) -> dict[str, Any]:
    return {"currency": "usd", "amount": float(amount)}


def _numbers(label: dict[str, Any]) -> set[str]:
    return {package["tracking_number"] for package in label["packages"]}


def _track(code: str) -> dict[str, Any]:
    return {
        "tracking_number": code,
        "tracking_url": f"https://tools.usps.com/go/{code}",
        "status_code": "NY",
        "status_detail_code": None,
        "status_description": "Not Yet In System",
        "carrier_code": _CARRIER,
        "estimated_delivery_date": "2030-01-05T00:00:00Z",
        "actual_delivery_date": None,
        "events": [],
    }


def _event(status: str, detail: str | None, count: int) -> dict[str, Any]:
    return {
        "occurred_at": f"2030-01-0{1 + count % 9}T08:00:00Z",
        "description": f"The parcel is {status}",
        "city_locality": "HOUSTON",
        "state_province": "TX",
        "postal_code": "77063",
        "country_code": "US",
        "signer": "",
        "status_code": status,
        "status_detail_code": detail,
    }


def _missing() -> Refusal:
    return refusal(404, "invalid_identifier", "validation", "There is no such thing.")
