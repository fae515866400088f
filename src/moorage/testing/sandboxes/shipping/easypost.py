"""A local sandbox that imitates EasyPost.

Test codes, as EasyPost's own: EZ1000000001 is before transit, EZ2000000002 in transit, EZ3000000003
out for delivery, EZ4000000004 delivered, EZ5000000005 on its way back, EZ6000000006 failed,
EZ7000000007 unknown. No carrier delivers to the postal code 00000; for 00001 a label is offered and
then refused; nothing can be delivered to the city Nowhere; a parcel of more than 70 pounds gets no
rates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from unicodedata import normalize

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import (
    HEAVIEST,
    LABEL_TEXTS,
    NO_LABEL,
    SERVICES,
    UNKNOWN_CITY,
    body_of,
    event_time,
    label_content,
    number,
    rate_problem,
)
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CODES: Final = {
    "EZ1000000001": "pre_transit",
    "EZ2000000002": "in_transit",
    "EZ3000000003": "out_for_delivery",
    "EZ4000000004": "delivered",
    "EZ5000000005": "return_to_sender",
    "EZ6000000006": "failure",
    "EZ7000000007": "unknown",
}
_FIELDS: Final = words(
    "buyer_address carrier_accounts customs_info from_address is_return options parcel reference"
    " return_address tax_identifiers to_address"
)
_PICKUP_FIELDS: Final = words(
    "address carrier_accounts instructions is_account_address max_datetime min_datetime reference"
    " shipment"
)
_MOST_LISTED: Final = 100
_NUMBERS: Final = frozenset({"height", "length", "value", "weight", "width"})
_FORMATS: Final = {
    "PDF": ("application/pdf", "label_pdf_url", "pdf"),
    "PNG": ("image/png", "label_url", "png"),
    "ZPL": ("application/zpl", "label_zpl_url", "zpl"),
    "EPL2": ("application/epl2", "label_epl2_url", "epl"),
}
_FILES: Final = "easypost-files.s3.us-west-2.amazonaws.com"
_CREATED_AT: Final = "2030-01-01T00:00:00Z"


class EasyPostSandbox(base.Sandbox):
    """A sandbox of EasyPost: shipments, labels, refunds, trackers and addresses.

    Attributes:
        api_key: credentials that requests must have.
        webhook_secret: secret with which its webhooks are signed.
        files: host of the label files; by default the URL of EasyPost.
        shipments, trackers, labels: the stored objects, by id; labels are by path.
        pickups, forms: the pickups and the scan forms, by id.
    """

    hosts = ("api.easypost.com", _FILES)
    open_routes = frozenset({"GET /files/{path*}"})

    api_key: str = "EZTK-sandbox"
    webhook_secret: str = "easypost-sandbox-secret"
    files: str = f"https://{_FILES}"
    shipments: dict[str, dict[str, Any]] = base.state_field(dict)
    trackers: dict[str, dict[str, Any]] = base.state_field(dict)
    labels: dict[str, bytes] = base.state_field(dict)
    pickups: dict[str, dict[str, Any]] = base.state_field(dict)
    forms: dict[str, dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v2/shipments": self._create,
            "GET /v2/shipments": self._list,
            "GET /v2/shipments/{id}": self._fetch,
            "POST /v2/shipments/{id}/buy": self._buy,
            "POST /v2/shipments/{id}/refund": self._refund,
            "GET /v2/shipments/{id}/label": self._convert,
            "POST /v2/trackers": self._track,
            "POST /v2/pickups": self._offer_pickup,
            "GET /v2/pickups/{id}": self._pickup,
            "POST /v2/pickups/{id}/buy": self._buy_pickup,
            "POST /v2/pickups/{id}/cancel": self._cancel_pickup,
            "POST /v2/scan_forms": self._create_form,
            "GET /v2/scan_forms/{id}": self._form,
            "POST /v2/addresses": self._verify,
            "GET /files/{path*}": self._file,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request without a route, after checking its API key."""
        self.check_access(request)
        return _missing_resource().response

    # --- what happens at the carrier -----------------------------------------

    def move(self, code: str, status: str, detail: str | None = None) -> None:
        """Move a tracked parcel to a status."""
        tracker = self.trackers[code]
        tracker["status"] = status
        tracker["status_detail"] = detail
        tracker["tracking_details"].append(_detail(status, len(tracker["tracking_details"])))

    def settle_refund(self, id: str, status: str = "refunded") -> None:
        """Set the result of a refund, as the carrier would do."""
        self.shipments[id]["refund_status"] = status

    def report(self, url: str, description: str, result: Mapping[str, Any]) -> base.Notice:
        """Return a webhook, such as `tracker.updated` with a tracker."""
        event = {
            "id": f"evt_{self.number():032x}",
            "object": "Event",
            "description": description,
            "created_at": _CREATED_AT,
            "mode": "test",
            "result": dict(result),
        }
        body = encode_json(event)
        secret = normalize("NFKD", self.webhook_secret)
        signature = f"hmac-sha256-hex={hex_hmac(secret, body)}"
        headers = {"Content-Type": "application/json", "X-Hmac-Signature": signature}
        return self.notify(url, body, headers)

    # --- requests ------------------------------------------------------------

    def _create(self, request: base.SandboxRequest) -> Response:
        body = self._object(request, "shipment")
        unknown_fields = set(body) - _FIELDS
        if unknown_fields:
            raise _refusal(422, "PARAMETER.INVALID", "Unknown parameters.", *sorted(unknown_fields))
        for name in ("from_address", "to_address", "parcel"):
            if not isinstance(body.get(name), dict):
                raise _refusal(422, "PARAMETER.REQUIRED", "Missing required parameter.", name)
        pounds = number(body["parcel"].get("weight")) / 16
        if not pounds > 0:
            raise _refusal(422, "PARCEL.WEIGHT.INVALID", "The weight is invalid.", "weight")
        _check_customs(body)
        format = body.get("options", {}).get("label_format", "PNG")  # noqa: A001 - the vendor's word
        if format not in _FORMATS:
            raise _refusal(
                422, "SHIPMENT.POSTAGE.FORMAT_UNAVAILABLE", "The label format is not supported."
            )
        id = f"shp_{self.number():032x}"
        rate_errors = _rate_errors(body["to_address"], too_heavy=pounds > HEAVIEST)
        shipment = {
            "id": id,
            "object": "Shipment",
            "mode": "test",
            "reference": body.get("reference"),
            "is_return": body.get("is_return", False),
            "options": body.get("options", {}),
            "to_address": body["to_address"],
            "from_address": body["from_address"],
            "parcel": self._parcel(body["parcel"]),
            "customs_info": _customs(body),
            "insurance": None,
            "status": "unknown",
            "tracking_code": None,
            "tracker": None,
            "postage_label": None,
            "selected_rate": None,
            "refund_status": None,
            "scan_form": None,
            "forms": [],
            "fees": [],
            "messages": rate_errors,
            "rates": [] if rate_errors else [self._rate(id, *rate) for rate in SERVICES],
        }
        response = base.reply(shipment, 201)
        self.shipments[id] = shipment
        return response

    def _parcel(self, body: dict[str, Any]) -> dict[str, Any]:
        id = f"prcl_{self.number():032x}"
        return {"id": id, "object": "Parcel", "mode": "test", **_with_numbers(body)}

    def _rate(self, shipment: str, _: str, service: str, __: str, price: Any, days: int) -> Any:
        return {
            "id": f"rate_{self.number():032x}",
            "object": "Rate",
            "carrier": "USPS",
            "service": service,
            "rate": str(price),
            "currency": "USD",
            "list_rate": str(price + 1),
            "list_currency": "USD",
            "delivery_days": days,
            "delivery_date": None,
            "delivery_date_guaranteed": False,
            "shipment_id": shipment,
            "carrier_account_id": "ca_" + "0" * 32,
        }

    def _list(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        size, ids = int(query.get("page_size", "20")), [*self.shipments][::-1]
        start = ids.index(query["before_id"]) + 1 if "before_id" in query else 0
        if not 1 <= size <= _MOST_LISTED:
            raise _refusal(422, "PARAMETER.INVALID", "The page size is invalid.", "page_size")
        page = [self.shipments[id_] for id_ in ids[start : start + size]]
        return base.reply({"shipments": page, "has_more": start + size < len(ids)})

    def _fetch(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._shipment(id))

    def _buy(self, request: base.SandboxRequest, id: str) -> Response:
        body = body_of(request)
        shipment = self._shipment(id)
        rates = {rate_offered["id"]: rate_offered for rate_offered in shipment["rates"]}
        chosen_rate: dict[str, Any] = body.get("rate") or {}
        rate = rates.get(chosen_rate.get("id"))
        if shipment["postage_label"] is not None:
            message = "Postage already exists for this shipment."
            raise _refusal(422, "SHIPMENT.POSTAGE.EXISTS", message)
        if rate is None:
            raise _refusal(422, "SHIPMENT.RATE.INVALID", "The rate belongs to another shipment.")
        if shipment["to_address"].get("zip") == NO_LABEL:
            raise _refusal(422, "SHIPMENT.POSTAGE.FAILURE", "The carrier refused the shipment.")
        code = f"9400{self.number():018d}"
        format = shipment["options"].get("label_format", "PNG")  # noqa: A001 - the vendor's word
        kind, _, file_suffix = _FORMATS[format]
        self.trackers[code] = _tracker(code, "pre_transit", id)
        shipment |= {
            "selected_rate": rate,
            "tracking_code": code,
            "tracker": self.trackers[code],
            "insurance": body.get("insurance"),
            "postage_label": {
                "object": "PostageLabel",
                "label_size": shipment["options"].get("label_size", "4x6"),
                "label_file_type": kind,
                "label_url": self._store_label(code, file_suffix),
                "label_pdf_url": None,
                "label_zpl_url": None,
                "label_epl2_url": None,
            },
        }
        return base.reply(shipment)

    def _refund(self, _: base.SandboxRequest, id: str) -> Response:
        shipment = self._shipment(id)
        if shipment["postage_label"] is None:
            raise _refusal(
                422,
                "SHIPMENT.REFUND.UNAVAILABLE",
                "The shipment has no postage that could be refunded.",
            )
        if shipment["tracker"]["status"] not in {"pre_transit", "unknown"}:
            message = "Unable to request refund. The parcel has already been shipped."
            raise _refusal(422, "SHIPMENT.REFUND.UNAVAILABLE", message)
        if shipment["refund_status"] in {None, "rejected"}:
            shipment["refund_status"] = "submitted"
        return base.reply(shipment)

    def _convert(self, request: base.SandboxRequest, id: str) -> Response:
        shipment = self._shipment(id)
        kind = _FORMATS.get(dict(request.query).get("file_format", ""))
        if shipment["postage_label"] is None:
            raise _refusal(422, "SHIPMENT.POSTAGE.REQUIRED", "The shipment has no postage yet.")
        if kind is None or kind[2] == "png":
            raise _refusal(
                422, "SHIPMENT.POSTAGE.FORMAT_UNAVAILABLE", "The label format is not supported."
            )
        shipment["postage_label"][kind[1]] = self._store_label(shipment["tracking_code"], kind[2])
        return base.reply(shipment)

    def _track(self, request: base.SandboxRequest) -> Response:
        body = self._object(request, "tracker")
        code = str(body.get("tracking_code"))
        if code not in self.trackers:
            if code not in _CODES:
                message = "In test mode, only test tracking numbers are valid."
                raise _refusal(422, "TRACKER.CREATE.ERROR", message)
            self.trackers[code] = _tracker(code, _CODES[code], None)
        return base.reply(self.trackers[code], 201)

    def _offer_pickup(self, request: base.SandboxRequest) -> Response:
        body = self._object(request, "pickup")
        unknown_fields = set(body) - _PICKUP_FIELDS
        if unknown_fields:
            raise _refusal(422, "PARAMETER.INVALID", "Unknown parameters.", *sorted(unknown_fields))
        for name in ("address", "shipment", "min_datetime", "max_datetime"):
            if not body.get(name):
                raise _refusal(422, "PARAMETER.REQUIRED", "Missing required parameter.", name)
        shipment = self._shipment(str(body["shipment"].get("id")))
        if shipment["postage_label"] is None:
            raise _refusal(422, "PICKUP.SHIPMENT.INVALID", "The shipment has no postage.")
        id = f"pickup_{self.number():032x}"
        text = rate_problem(body["address"].get("zip"), too_heavy=False)
        message = {"carrier": "USPS", "type": "rate_error", "message": text}
        rates = [
            {
                "id": f"pickuprate_{self.number():032x}",
                "object": "PickupRate",
                "carrier": "USPS",
                "service": service,
                "rate": price,
                "currency": "USD",
                "pickup_id": id,
            }
            for service, price in (("Today", "5.00"), ("NextDay", "0.00"))
        ]
        self.pickups[id] = {
            "id": id,
            "object": "Pickup",
            "mode": "test",
            "status": "unknown",
            "reference": body.get("reference"),
            "min_datetime": body["min_datetime"],
            "max_datetime": body["max_datetime"],
            "is_account_address": False,
            "instructions": body.get("instructions"),
            "messages": [] if text is None else [message],
            "confirmation": None,
            "address": body["address"],
            "carrier_accounts": [],
            "pickup_rates": rates if text is None else [],
        }
        return base.reply(self.pickups[id])

    def _pickup(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(base.existing(self.pickups, id, _missing_resource()))

    def _buy_pickup(self, request: base.SandboxRequest, id: str) -> Response:
        pickup = base.existing(self.pickups, id, _missing_resource())
        body = body_of(request)
        offers = [(rate["carrier"], rate["service"]) for rate in pickup["pickup_rates"]]
        if (body.get("carrier"), body.get("service")) not in offers:
            raise _refusal(422, "PICKUP.RATE.INVALID", "The rate belongs to another pickup.")
        if pickup["status"] != "unknown":
            raise _refusal(422, "PICKUP.SCHEDULED", "The pickup is scheduled already.")
        pickup |= {"status": "scheduled", "confirmation": f"WTC{self.number():08d}"}
        return base.reply(pickup)

    def _cancel_pickup(self, _: base.SandboxRequest, id: str) -> Response:
        pickup = base.existing(self.pickups, id, _missing_resource())
        if pickup["status"] != "scheduled":
            raise _refusal(422, "PICKUP.CANCEL.ERROR", "The pickup is not scheduled.")
        pickup["status"] = "canceled"
        return base.reply(pickup)

    def _create_form(self, request: base.SandboxRequest) -> Response:
        chosen_shipments: list[dict[str, Any]] = (
            self._object(request, "scan_form").get("shipments") or []
        )
        shipments = [self._shipment(str(item.get("id"))) for item in chosen_shipments]
        if not shipments:
            raise _refusal(422, "PARAMETER.REQUIRED", "Missing required parameter.", "shipments")
        if any(item["postage_label"] is None or item["refund_status"] for item in shipments):
            raise _refusal(422, "SCAN_FORM.SHIPMENT.INVALID", "A shipment has no postage.")
        if any(item["scan_form"] is not None for item in shipments):
            raise _refusal(422, "SCAN_FORM.SHIPMENT.EXISTS", "A shipment is on another form.")
        id = f"sf_{self.number():032x}"
        form = {
            "id": id,
            "object": "ScanForm",
            "tracking_codes": [item["tracking_code"] for item in shipments],
            "address": shipments[0]["from_address"],
            "status": "created",
            "message": None,
            "form_url": f"{self.files}/files/scan_form/{id}.pdf",
            "form_file_type": None,
            "batch_id": f"batch_{self.number():032x}",
        }
        self.forms[id] = form
        for item in shipments:
            item["scan_form"] = form
        return base.reply(form)

    def _form(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(base.existing(self.forms, id, _missing_resource()))

    def _verify(self, request: base.SandboxRequest) -> Response:
        body = body_of(request)
        address = self._object(request, "address")
        verifications: dict[str, Any] = {}
        corrected_address = address
        if body.get("verify"):
            verifications = {
                "success": True,
                "errors": [],
                "details": {"time_zone": "America/New_York"},
            }
            corrected_address = {
                name: v.upper() if isinstance(v, str) else v for name, v in address.items()
            }
            if not address.get("street1") or address.get("city") == UNKNOWN_CITY:
                corrected_address = address
                error = {
                    "code": "E.ADDRESS.NOT_FOUND",
                    "field": "address",
                    "message": "Address not found",
                    "suggestion": None,
                }
                verifications = {"success": False, "errors": [error], "details": {}}
            verifications = {"delivery": verifications}
        id = f"adr_{self.number():032x}"
        return base.reply(
            {**corrected_address, "id": id, "object": "Address", "verifications": verifications},
            201,
        )

    def _file(self, request: base.SandboxRequest, path: str) -> Response:
        content = label_content(request, self.labels, path, secret="authorization", missing=404)
        return Response(200, {"Content-Type": "application/octet-stream"}, content)

    def _store_label(self, code: str, short: str) -> str:
        path = f"postage_label/{code}.{short}"
        self.labels[path] = LABEL_TEXTS[short] + code.encode()
        return f"{self.files}/files/{path}"

    def _shipment(self, id: str) -> dict[str, Any]:
        return base.existing(self.shipments, id, _missing_resource())

    def _object(self, request: base.SandboxRequest, name: str) -> dict[str, Any]:
        fields = body_of(request).get(name)
        if not is_object(fields) or not fields:
            raise _refusal(422, "PARAMETER.REQUIRED", "Missing required parameter.", name)
        return fields

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if request.basic() != (self.api_key, ""):
            raise _refusal(401, "APIKEY.INACTIVE", "This api key is no longer active.")


def _with_numbers(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with sizes, weights and values converted from text to numbers."""
    return {
        name: float(value) if name in _NUMBERS and isinstance(value, str) else value
        for name, value in fields.items()
    }


def _customs(shipment: dict[str, Any]) -> dict[str, Any] | None:
    customs: dict[str, Any] | None = shipment.get("customs_info")
    if customs is None:
        return None
    return {**customs, "customs_items": list(map(_with_numbers, customs.get("customs_items", [])))}


def _check_customs(shipment: dict[str, Any]) -> None:
    origin_country, destination_country = (
        shipment[name].get("country") for name in ("from_address", "to_address")
    )
    customs: dict[str, Any] = shipment.get("customs_info") or {}
    if origin_country != destination_country and not customs:
        raise _refusal(422, "SHIPMENT.CUSTOMS_INFO.REQUIRED", "Customs information is required.")
    items: list[dict[str, Any]] = customs.get("customs_items", [])
    for item in items:
        if not item.get("description"):
            message = "A customs item has no description."
            raise _refusal(422, "SHIPMENT.CUSTOMS_INFO.DESCRIPTION_REQUIRED", message)


def _rate_errors(to: dict[str, Any], *, too_heavy: bool) -> list[dict[str, Any]]:
    text = rate_problem(to.get("zip"), too_heavy=too_heavy)
    message = {"carrier": "USPS", "type": "rate_error", "message": text}
    return [] if text is None else [message]


def _tracker(code: str, status: str, shipment: str | None) -> dict[str, Any]:
    return {
        "id": f"trk_{code}",
        "object": "Tracker",
        "tracking_code": code,
        "status": status,
        "status_detail": "status_update",
        "carrier": "USPS",
        "shipment_id": shipment,
        "signed_by": "John Tester" if status == "delivered" else None,
        "est_delivery_date": "2030-01-05T00:00:00Z",
        "public_url": f"https://track.easypost.com/{code}",
        "tracking_details": [_detail(status, 0)],
    }


def _detail(status: str, count: int) -> dict[str, Any]:
    place = {"city": "HOUSTON", "state": "TX", "country": None, "zip": "77063"}
    return {
        "object": "TrackingDetail",
        "status": status,
        "status_detail": "status_update",
        "message": f"The parcel is {status}",
        "datetime": f"{event_time(count)}Z",
        "tracking_location": place,
    }


def _missing_resource() -> base.Refusal:
    return _refusal(404, "NOT_FOUND", "The requested resource could not be found.")


def _refusal(status: int, code: str, message: str, *fields: str) -> base.Refusal:
    errors = [{"field": field, "message": "is wrong"} for field in fields]
    return base.refusal({"error": {"code": code, "message": message, "errors": errors}}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = EasyPostSandbox()
    return SandboxFixture(sandbox=sandbox, options={"credentials": sandbox.api_key})
