"""A local sandbox that imitates ShipEngine.

No carrier delivers to the postal code 00000; for 00001 a label is offered and then refused; nothing
can be delivered to the city Nowhere; a parcel of more than 70 pounds gets no rates. A label is not
voided once its parcel is on its way.
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
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping._shipengine_rules import (
    ADDRESS,
    LABEL,
    MANIFEST,
    PICKUP,
    POINTS,
    RATES,
    REQUEST_ID,
    refusal,
)
from moorage.testing.sandboxes.shipping.shipments import (
    HEAVIEST,
    LABEL_TEXTS,
    NO_LABEL,
    NO_RATES,
    SERVICES,
    UNKNOWN_CITY,
    event_time,
    label_content,
    number,
    rate_problem,
)

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

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
_NOT_HANDED_OVER: Final = {"NY", "AC"}
_STATUS_WORDS: Final = {
    "AC": "Accepted",
    "AT": "Delivery Attempt",
    "DE": "Delivered",
    "EX": "Exception",
    "IT": "In Transit",
    "NY": "Not Yet In System",
    "SP": "Delivered To Service Point",
}
_KINDS: Final = {"pdf": "application/pdf", "png": "image/png", "zpl": "application/zpl"}
_CARRIER: Final = "stamps_com"
_WAREHOUSE: Final = "se-10"
_NO_ERRORS: Final[dict[str, Any]] = {"request_id": REQUEST_ID, "errors": []}
_POINTS: Final = (
    ("614941", "Far Locker", "9 Far Street", 912.5, "locker"),
    ("614940", "Corner Shop", "1 Near Street", 120.0, "pudo"),
)
"""Each service point: its id, name, street, distance in metres and kind; not in order."""
_MADE_AT: Final = "2030-01-01T00:00:00Z"
_KEY_ID: Final = "11111111-2222-3333-4444-555555555555"
_HOST: Final = "api.shipengine.com"


@cache
def _signer() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class ShipEngineSandbox(base.Sandbox):
    """A sandbox of ShipEngine with one carrier: rates, labels, tracking and addresses.

    Attributes:
        api_key: credentials that requests must have.
        files: host of the label files; by default the URL of ShipEngine.
        carriers: the ids of the carriers' accounts that are connected.
        shipments, rates, labels, tracks, contents: the stored objects, by id; tracks by number,
            contents of labels by path.
        pickups, manifests: the pickups and the manifests, by id.
        manifest_requests: the ids of the manifests that are made later, by id of the request.
        slow: True to make labels later, by `finish`.
    """

    open_routes = frozenset({"GET /v1/downloads/{path*}"})

    api_key: str = "TEST_sandbox_key_of_shipengine"
    files: str = f"https://{_HOST}"
    slow: bool = False
    carriers: list[str] = base.state_field(lambda: ["se-100"])
    shipments: dict[str, dict[str, Any]] = base.state_field(dict)
    rates: dict[str, dict[str, Any]] = base.state_field(dict)
    labels: dict[str, dict[str, Any]] = base.state_field(dict)
    tracks: dict[str, dict[str, Any]] = base.state_field(dict)
    _rate_of: dict[str, str] = base.state_field(dict)
    contents: dict[str, bytes] = base.state_field(dict)
    pickups: dict[str, dict[str, Any]] = base.state_field(dict)
    manifests: dict[str, dict[str, Any]] = base.state_field(dict)
    manifest_requests: dict[str, str] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.hosts = tuple({_HOST, urlsplit(self.files).netloc})

    @property
    def webhook_key(self) -> str:
        """The public key for verifying the sandbox's webhooks."""
        public_key = _signer().public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return public_key.public_bytes(serialization.Encoding.PEM, form).decode()

    def routes(self) -> base.Routes:
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
            "POST /v1/pickups": self._schedule_pickup,
            "GET /v1/pickups": self._list_pickups,
            "GET /v1/pickups/{id}": self._pickup,
            "DELETE /v1/pickups/{id}": self._cancel_pickup,
            "POST /v1/manifests": self._create_manifest,
            "GET /v1/manifests": self._list_manifests,
            "GET /v1/manifests/{id}": self._manifest,
            "GET /v1/manifests/requests/{id}": self._manifest_request,
            "POST /v1/service_points/list": self._points,
            "GET /v1/downloads/{path*}": self._file,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - whoever asks
        """Return the response to a request that matches no route."""
        return _missing_resource().response

    # --- what happens at the carrier -----------------------------------------

    def refund(self, id: str, status: str) -> None:
        """Move the refund of a void label to a status."""
        amount = {"currency": "usd", "amount": self.labels[id]["shipment_cost"]["amount"]}
        amounts = {"amount_paid": amount, "amount_requested": amount}
        if status == "approved":
            amounts |= {"amount_approved": amount, "amount_credited": amount}
        self.labels[id]["refund_details"] = {"refund_status": status, **amounts}

    def move(self, number: str, status: str, detail: str | None = None) -> None:
        """Move a tracked parcel to a status."""
        track = self.tracks[number]
        event = _event(status, detail, len(track["events"]))
        track["events"].insert(0, event)
        track |= _status(status, detail)
        if detail is None:
            track.pop("status_detail_code", None)
        if status == "DE":
            track["actual_delivery_date"] = event["occurred_at"]

    def finish(self, id: str, status: str = "completed") -> None:
        """Complete a pending label."""
        self._settle(self.labels[id], status)

    def report(self, url: str, number: str, *, at: datetime) -> base.Notice:
        """Return a signed webhook about a parcel's tracking."""
        track = self.tracks[number]
        label = next(
            (
                labelled["label_id"]
                for labelled in self.labels.values()
                if number in _numbers(labelled)
            ),
            None,
        )
        base_url = f"https://{_HOST}/v1"
        location = None if label is None else f"{base_url}/labels/{label}"
        body = encode_json(
            {
                "resource_url": f"{base_url}/tracking?carrier_code={_CARRIER}"
                f"&tracking_number={number}",
                "resource_type": "API_TRACK",
                "data": {"label_url": location, **track},
            }
        )
        stamp = at.isoformat()
        signed_bytes = _signer().sign(
            f"{stamp}.".encode() + body, padding.PKCS1v15(), hashes.SHA256()
        )
        headers = {
            "Content-Type": "application/json",
            "X-ShipEngine-Timestamp": stamp,
            "X-ShipEngine-RSA-SHA256-Key-ID": _KEY_ID,
            "X-ShipEngine-RSA-SHA256-Signature": b64encode(signed_bytes).decode(),
        }
        return self.notify(url, body, headers)

    # --- requests ------------------------------------------------------------

    def _carriers(self, _: base.SandboxRequest) -> Response:
        carriers = [{"carrier_id": carrier, "carrier_code": _CARRIER} for carrier in self.carriers]
        return base.reply({"carriers": carriers, **_NO_ERRORS})

    def _offer(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, RATES)
        shipment = body["shipment"]
        _check_shipment(shipment)
        for carrier in body["rate_options"]["carrier_ids"]:
            if carrier not in self.carriers:
                raise refusal(400, "invalid_identifier", "validation", f"{carrier} is not known.")
        id = f"se-{self.number()}"
        self.shipments[id] = {
            **_full_shipment(shipment),
            "shipment_id": id,
            "carrier_id": self.carriers[0],
        }
        errors = _weight_errors(shipment)
        rates = [] if errors else [self._rate(id, *service) for service in SERVICES]
        ids = {"shipment_id": id, "rate_request_id": f"se-{self.number()}", "status": "completed"}
        answer = {**ids, "rates": rates, "invalid_rates": [], "errors": errors}
        return base.reply({**self.shipments[id], "rate_response": answer})

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
            "carrier_nickname": "Sandbox",
            "carrier_friendly_name": "Stamps.com",
            "package_type": "package",
            "negotiated_rate": False,
            "trackable": True,
            "zone": 4,
            "validation_status": "valid",
            "warning_messages": [],
            "error_messages": [],
        }
        self.rates[id] = {**rate, "shipment_id": shipment}
        return rate

    def _buy(self, request: base.SandboxRequest, id: str) -> Response:
        body = self._body(request, LABEL)
        rate = self.rates.get(id)
        if rate is None:
            raise _missing_resource()
        shipment = self.shipments[rate["shipment_id"]]
        if len(body.get("custom_field1", "")) > 100:
            raise refusal(400, "invalid_string_length", "validation", "custom_field1 is too long.")
        if shipment["ship_to"].get("postal_code") == NO_LABEL:
            message = "The carrier refused the shipment."
            raise refusal(400, "unspecified", "business_rules", message, carrier_code=_CARRIER)
        if "custom_field1" in body:
            shipment["advanced_options"]["custom_field1"] = body["custom_field1"]
        shipment |= {
            "service_code": rate["service_code"],
            "shipment_status": "label_purchased",
        }
        label: dict[str, Any] = {
            "label_id": f"se-{self.number()}",
            "status": "processing",
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
            "packages": [],
        }
        self.labels[label["label_id"]] = label
        self._rate_of[label["label_id"]] = id
        if not self.slow:
            self._settle(label, "completed")
        return base.reply(label)

    def _settle(self, label: dict[str, Any], status: str) -> None:
        label["status"] = status
        if status == "error":
            return
        packages: list[dict[str, Any]] = []
        for package in label["shipment"]["packages"]:
            code = f"9400{self.number():018d}"
            self.tracks[code] = _track(code)
            packages.append(
                {
                    "weight": package["weight"],
                    "tracking_number": code,
                    "label_download": self._store_labels(code),
                }
            )
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

    def _list(self, request: base.SandboxRequest) -> Response:
        rate = dict(request.query).get("rate_id")
        labels = [label for id, label in self.labels.items() if rate in {None, self._rate_of[id]}]
        return self._page(request, "labels", labels[::-1])

    def _fetch(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._label(id))

    def _void(self, _: base.SandboxRequest, id: str) -> Response:
        label = self._label(id)
        message, reason = "Request for refund submitted. This label has been voided.", None
        if label["voided"]:
            message, reason = "This label has been voided.", "label_already_voided"
        elif label["status"] != "completed":
            message, reason = "There is no label to void.", "validation_failed"
        elif self.tracks[label["tracking_number"]]["status_code"] not in _NOT_HANDED_OVER:
            message, reason = "This label has been used.", "label_already_used"
        else:
            label |= {"voided": True, "status": "voided"}
            self.refund(id, "request_scheduled")
        reason_field = {} if reason is None else {"reason_code": reason}
        return base.reply({"approved": reason is None, "message": message, **reason_field})

    def _track_label(self, _: base.SandboxRequest, id: str) -> Response:
        label = self._label(id)
        if "tracking_number" not in label:
            return base.reply(_track("") | {"status_code": "UN"})
        return base.reply(self.tracks[label["tracking_number"]])

    def _track(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        track = self.tracks.get(query.get("tracking_number", ""))
        if query.get("carrier_code") != _CARRIER:
            raise refusal(400, "carrier_not_supported", "validation", "The carrier is not known.")
        if track is None:
            raise _missing_resource()
        return base.reply(track)

    def _validate(self, request: base.SandboxRequest) -> Response:
        return base.reply([_judge_address(address) for address in self._body(request, [ADDRESS])])

    def _schedule_pickup(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, PICKUP)
        labels = [self._label(id) for id in body["label_ids"]]
        if not labels or any(label["status"] != "completed" for label in labels):
            raise refusal(400, "invalid_field_value", "validation", "A label is not completed.")
        origin_address = labels[0]["shipment"]["ship_from"]
        if origin_address.get("postal_code") == NO_RATES:
            message = "The carrier does not come to this address."
            raise refusal(400, "unspecified", "business_rules", message, carrier_code=_CARRIER)
        id = f"pik_{self.number()}"
        self.pickups[id] = {
            "pickup_id": id,
            "label_ids": body["label_ids"],
            "created_at": _MADE_AT,
            "carrier_id": self.carriers[0],
            "confirmation_number": f"CONFIRM{self.number()}",
            "warehouse_id": _WAREHOUSE,
            "pickup_address": origin_address,
            "contact_details": body["contact_details"],
            "pickup_notes": body.get("pickup_notes", ""),
            "pickup_windows": [body["pickup_window"]],
        }
        return base.reply({**self.pickups[id], **_NO_ERRORS})

    def _list_pickups(self, request: base.SandboxRequest) -> Response:
        return self._page(request, "pickups", list(self.pickups.values()))

    def _pickup(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(base.existing(self.pickups, id, _missing_resource()))

    def _cancel_pickup(self, _: base.SandboxRequest, id: str) -> Response:
        pickup = base.existing(self.pickups, id, _missing_resource())
        if "cancelled_at" in pickup:
            raise refusal(400, "invalid_status", "business_rules", "The pickup is cancelled.")
        pickup["cancelled_at"] = _MADE_AT
        return base.reply({"pickup_id": id, **_NO_ERRORS})

    def _create_manifest(self, request: base.SandboxRequest) -> Response:
        labels = self._body(request, MANIFEST)["label_ids"]
        used_labels = {label for item in self.manifests.values() for label in item["label_ids"]}
        for label in labels:
            if self._label(label)["status"] != "completed" or label in used_labels:
                message = f"{label} cannot be on a manifest."
                raise refusal(400, "invalid_field_value", "business_rules", message)
        id = f"se-{self.number()}"
        manifest = {
            "manifest_id": id,
            "form_id": f"se-{self.number()}",
            "created_at": _MADE_AT,
            "ship_date": _MADE_AT,
            "shipments": len(labels),
            "label_ids": labels,
            "warehouse_id": _WAREHOUSE,
            "submission_id": f"{self.number():022d}",
            "carrier_id": self.carriers[0],
            "manifest_download": {"href": f"{self.files}/v1/downloads/11/{id}/manifest.pdf"},
        }
        self.manifests[id] = manifest
        if not self.slow:
            answer = {"manifests": [manifest], "manifest_requests": [], **manifest}
            return base.reply({**answer, **_NO_ERRORS})
        made_later = f"se-{self.number()}"
        self.manifest_requests[made_later] = id
        request_state = {"manifest_request_id": made_later, "status": "in_progress"}
        return base.reply({"manifests": [], "manifest_requests": [request_state], **_NO_ERRORS})

    def _list_manifests(self, request: base.SandboxRequest) -> Response:
        label_id = dict(request.query).get("label_ids")
        labels: set[str] = set() if label_id is None else set(label_id.split(","))
        manifests = [
            item
            for item in self.manifests.values()
            if not labels or labels.intersection(item["label_ids"])
        ]
        return self._page(request, "manifests", manifests)

    def _manifest(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(base.existing(self.manifests, id, _missing_resource()))

    def _manifest_request(self, _: base.SandboxRequest, id: str) -> Response:
        manifest = base.existing(self.manifest_requests, id, _missing_resource())
        status = "in_progress" if self.slow else "completed"
        request_state = {"manifest_request_id": id, "status": status}
        manifests = [] if self.slow else [self.manifests[manifest]]
        return base.reply({"manifest_requests": [request_state], "manifests": manifests})

    def _points(self, request: base.SandboxRequest) -> Response:
        body = self._body(request, POINTS)
        if body["address"].get("postal_code") == NO_RATES:
            error = {
                "error_source": "carrier",
                "error_type": "business_rules",
                "error_code": "unspecified",
                "carrier_code": _CARRIER,
                "message": "The carrier has no service points there.",
            }
            return base.reply({"service_points": [], "errors": [error]})
        points = [
            {
                "carrier_code": _CARRIER,
                "service_codes": ["usps_priority_mail"],
                "service_point_id": id,
                "company_name": name,
                "address_line1": line,
                "city_locality": body["address"].get("city_locality", "HOUSTON"),
                "state_province": body["address"].get("state_province", "TX"),
                "postal_code": body["address"].get("postal_code", "77063"),
                "country_code": body["address"]["country_code"],
                "phone_number": "+1 555 0100",
                "distance_in_meters": distance,
                "features": ["pickup_point"],
                "type": kind,
            }
            for id, name, line, distance, kind in _POINTS
        ]
        return base.reply({"lat": 48.8, "long": 0.03, "service_points": points, "errors": []})

    def _page(
        self, request: base.SandboxRequest, name: str, items: list[dict[str, Any]]
    ) -> Response:
        query = dict(request.query)
        number, size = int(query.get("page", "1")), int(query.get("page_size", "25"))
        if number < 1 or size < 1:
            raise refusal(400, "invalid_field_value", "validation", "page is invalid.")
        pages = max(1, -(-len(items) // size))

        def link_to(page: int) -> dict[str, str]:
            url = f"https://{_HOST}{request.path}?page={page}&page_size={size}"
            return {"href": url} if 1 <= page <= pages else {}

        targets = {"first": 1, "last": pages, "prev": number - 1, "next": number + 1}
        links = {kind: link_to(page) for kind, page in targets.items()}
        counts = {"total": len(items), "page": number, "pages": pages}
        rows = items[(number - 1) * size : number * size]
        return base.reply({name: rows, **counts, "links": links})

    def _file(self, request: base.SandboxRequest, path: str) -> Response:
        content = label_content(request, self.contents, path, secret="api-key", missing=404)
        return Response(200, {"Content-Type": _KINDS[path.rpartition(".")[2]]}, content)

    def _label(self, id: str) -> dict[str, Any]:
        return base.existing(self.labels, id, _missing_resource())

    def _body(self, request: base.SandboxRequest, rule: Any) -> Any:
        body = request.json()
        for location, name, problem in problems(rule, body):
            code = "field_value_required" if problem == "missing" else "invalid_field_value"
            path = f"{location}/{name}"
            raise refusal(400, code, "validation", f"{path} is {problem}.", field_name=path)
        return body

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if request.headers.get("api-key") != self.api_key:
            raise refusal(401, "unauthorized", "security", "The API key is not valid.")


def _check_shipment(shipment: dict[str, Any]) -> None:
    if not shipment["packages"]:
        raise refusal(400, "invalid_field_value", "validation", "The shipment has no package.")
    for side in ("ship_from", "ship_to"):
        if not shipment[side].get("name") and not shipment[side].get("company_name"):
            message = f"{side} has neither a name nor a company."
            raise refusal(400, "field_value_required", "validation", message)
    insured = any("insured_value" in package for package in shipment["packages"])
    if insured and shipment.get("insurance_provider", "none") == "none":
        message = "insured_value takes an insurance_provider."
        raise refusal(400, "field_value_required", "business_rules", message)
    origin_country, destination_country = (
        shipment[side]["country_code"] for side in ("ship_from", "ship_to")
    )
    goods = any(package.get("products") for package in shipment["packages"])
    if origin_country != destination_country and not ("customs" in shipment and goods):
        message = "International shipments take customs and products."
        raise refusal(400, "customs_items_required", "business_rules", message)


def _full_shipment(shipment: dict[str, Any]) -> dict[str, Any]:
    """Return a shipment with the fields that ShipEngine adds."""
    ounces = sum(
        number(package["weight"]["value"]) * _POUNDS[package["weight"]["unit"]] * 16
        for package in shipment["packages"]
    )
    return {
        "ship_date": _MADE_AT,
        "return_to": shipment["ship_from"],
        "confirmation": "none",
        "customs": None,
        "insurance_provider": "none",
        "advanced_options": {},
        **{name: value for name, value in shipment.items() if name != "validate_address"},
        "created_at": _MADE_AT,
        "modified_at": _MADE_AT,
        "shipment_status": "pending",
        "tags": [],
        "total_weight": {"value": float(ounces), "unit": "ounce"},
        "warehouse_id": None,
    }


def _weight_errors(shipment: dict[str, Any]) -> list[dict[str, Any]]:
    pounds = [
        number(package["weight"]["value"]) * _POUNDS[package["weight"]["unit"]]
        for package in shipment["packages"]
    ]
    text = rate_problem(shipment["ship_to"].get("postal_code"), too_heavy=max(pounds) > HEAVIEST)
    if text is None:
        return []
    error = {"error_source": "carrier", "error_type": "business_rules", "error_code": "unspecified"}
    return [{**error, "carrier_code": _CARRIER, "message": text}]


def _judge_address(address: dict[str, Any]) -> dict[str, Any]:
    if address.get("address_line1") and address.get("city_locality") != UNKNOWN_CITY:
        matched_address = {
            name: value if name == "address_residential_indicator" else value.upper()
            for name, value in address.items()
        }
        return {
            "status": "verified",
            "original_address": address,
            "matched_address": matched_address,
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
        **_status("NY", None),
        "carrier_code": _CARRIER,
        "carrier_id": 1,
        "estimated_delivery_date": "2030-01-05T00:00:00Z",
        "events": [],
    }


def _status(status: str, detail: str | None) -> dict[str, Any]:
    words = _STATUS_WORDS.get(status, "Unknown")
    return {
        "status_code": status,
        "status_description": words,
        "carrier_status_code": status,
        "carrier_detail_code": status,
        "carrier_status_description": words,
        **({} if detail is None else {"status_detail_code": detail}),
    }


def _event(status: str, detail: str | None, count: int) -> dict[str, Any]:
    return {
        "occurred_at": f"{event_time(count)}Z",
        "description": f"The parcel is {status}",
        "city_locality": "HOUSTON",
        "state_province": "TX",
        "postal_code": "77063",
        "country_code": "US",
        "signer": "",
        **_status(status, detail),
    }


def _missing_resource() -> base.Refusal:
    return refusal(404, "invalid_identifier", "validation", "There is no such thing.")


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = ShipEngineSandbox()
    return SandboxFixture(sandbox=sandbox, options={"credentials": sandbox.api_key})
