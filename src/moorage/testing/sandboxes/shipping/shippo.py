"""A local sandbox that imitates Shippo.

The carrier "shippo" has the tracking numbers SHIPPO_PRE_TRANSIT, SHIPPO_TRANSIT, SHIPPO_DELIVERED,
SHIPPO_RETURNED, SHIPPO_FAILURE and SHIPPO_UNKNOWN, as Shippo's own test mode does. No carrier
delivers to the postal code 00000; for 00001 a label is offered and then refused, with HTTP 201;
nothing can be delivered to the city Nowhere; a parcel of more than 70 pounds gets no rates.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping._shippo_rules import (
    ADDRESS,
    CUSTOMS,
    EXTRA,
    PICKUP_ADDRESS,
)
from moorage.testing.sandboxes.shipping.shipments import (
    HEAVIEST,
    LABEL_TEXTS,
    NO_LABEL,
    NO_RATES,
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
    from datetime import datetime
    from pathlib import Path

_STATUSES: Final = {"PRE_TRANSIT", "TRANSIT", "DELIVERED", "RETURNED", "FAILURE", "UNKNOWN"}
_FIELDS: Final = words(
    "address_from address_return address_to async carrier_accounts customs_declaration extra"
    " metadata parcels shipment_date"
)
_PICKUP_FIELDS: Final = words(
    "carrier_account location metadata requested_end_time requested_start_time transactions"
)
_MANIFEST_FIELDS: Final = words("address_from async carrier_account shipment_date transactions")
_PICKUP_LOCATIONS: Final = {
    "Back Door",
    "Front Door",
    "In/At Mailbox",
    "Knock on Door",
    "Mail Room",
    "Office",
    "Other",
    "Reception",
    "Ring Bell",
    "Security Deck",
    "Shipping Dock",
    "Side Door",
}
_FILES: Final = {
    "PDF": "pdf",
    "PDF_4x6": "pdf",
    "PDF_4x8": "pdf",
    "PDF_A4": "pdf",
    "PDF_A5": "pdf",
    "PDF_A6": "pdf",
    "PNG": "png",
    "ZPLII": "zpl",
}
_POUNDS: Final = {
    "lb": Decimal(1),
    "oz": Decimal(1) / 16,
    "kg": Decimal("2.20462"),
    "g": Decimal("0.00220462"),
}
_LENGTHS: Final = {"cm", "in", "ft", "m", "mm", "yd"}
_LARGEST_PAGE: Final = 100
_HOST: Final = "deliver.goshippo.com"
_VERSION: Final = "2018-02-08"
_MADE_AT: Final = "2030-01-01T00:00:00Z"
_MADE_FIELDS: Final = {"object_created": _MADE_AT, "object_updated": _MADE_AT}
_OWNED_FIELDS: Final = {**_MADE_FIELDS, "object_owner": "sandbox@shop.example", "test": True}


class ShippoSandbox(base.Sandbox):
    """A sandbox of Shippo: shipments, transactions, refunds, tracking and addresses.

    Attributes:
        token: credentials that requests must have.
        webhook_secret: secret with which its webhooks are signed.
        files: host of the label files; by default the URL of Shippo.
        shipments, rates, transactions, refunds, tracks, labels: the stored objects, by id; tracks
            by number, labels by path.
        pickups, manifests: the pickups and the manifests, by id.
        slow: True to make labels later, by `finish`.
    """

    hosts = ("api.goshippo.com", _HOST)
    open_routes = frozenset({"GET /{path*}"})

    token: str = "shippo_test_sandbox"
    webhook_secret: str = "shippo-sandbox-secret"
    files: str = f"https://{_HOST}"
    slow: bool = False
    shipments: dict[str, dict[str, Any]] = base.state_field(dict)
    rates: dict[str, dict[str, Any]] = base.state_field(dict)
    transactions: dict[str, dict[str, Any]] = base.state_field(dict)
    refunds: dict[str, dict[str, Any]] = base.state_field(dict)
    tracks: dict[str, dict[str, Any]] = base.state_field(dict)
    labels: dict[str, bytes] = base.state_field(dict)
    pickups: dict[str, dict[str, Any]] = base.state_field(dict)
    manifests: dict[str, dict[str, Any]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /shipments": self._create,
            "GET /rates/{id}": self._rate,
            "POST /transactions": self._buy,
            "GET /transactions": self._list,
            "GET /transactions/{id}": self._fetch,
            "POST /refunds": self._refund,
            "GET /tracks/{carrier}/{number}": self._track,
            "POST /addresses": self._validate,
            "GET /shipments/{id}": self._shipment,
            "POST /pickups": self._schedule_pickup,
            "POST /manifests": self._create_manifest,
            "GET /manifests": self._list_manifests,
            "GET /manifests/{id}": self._manifest,
            "GET /{path*}": self._file,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request without a route, after checking its API token."""
        self.check_access(request)
        return base.reply({"detail": "Not found."}, 404)

    # --- what happens at the carrier -----------------------------------------

    def move(self, number: str, status: str, substatus: str | None = None) -> None:
        """Move a tracked parcel to a status."""
        track = self.tracks[number]
        event = _event(status, substatus, len(track["tracking_history"]))
        track["tracking_history"].append(event)
        track["tracking_status"] = event

    def finish(self, id: str, status: str = "SUCCESS") -> None:
        """Complete a pending label."""
        self._settle(self.transactions[id], status)

    def settle_refund(self, id: str, status: str = "SUCCESS") -> None:
        """Set the result of a transaction's refund, as the carrier would do."""
        states = {"SUCCESS": "REFUNDED", "ERROR": "REFUNDREJECTED"}
        self.refunds[id]["status"] = status
        self.transactions[id]["status"] = states[status]

    def report(self, url: str, event: str, data: Mapping[str, Any], *, at: datetime) -> base.Notice:
        """Return a signed webhook, such as `track_updated` with a track."""
        body = encode_json({"event": event, "test": True, "data": dict(data)})
        stamp = str(int(at.timestamp()))
        signature = f"t={stamp},v1={hex_hmac(self.webhook_secret, f'{stamp}.'.encode() + body)}"
        headers = {"Content-Type": "application/json", "Shippo-Auth-Signature": signature}
        return self.notify(url, body, headers)

    # --- requests ------------------------------------------------------------

    def _create(self, request: base.SandboxRequest) -> Response:
        body = body_of(request)
        for name in ("address_from", "address_to", "parcels"):
            if not body.get(name):
                raise _field_refusal(name, "This field is required.")
        for name in set(body) - _FIELDS:
            raise _field_refusal(name, "This field is not known.")
        _check_shipment(body)
        pounds = sum((_pounds(parcel) for parcel in body["parcels"]), Decimal())
        origin_country, destination_country = (
            body["address_from"].get("country"),
            body["address_to"].get("country"),
        )
        if origin_country != destination_country and not body.get("customs_declaration"):
            raise _field_refusal(
                "customs_declaration", "International shipments need a customs declaration."
            )
        id = f"{self.number():032x}"
        messages = _messages(body["address_to"], too_heavy=pounds > HEAVIEST * len(body["parcels"]))
        shipment = {
            "carrier_accounts": [],
            "metadata": "",
            "shipment_date": _MADE_AT,
            **{name: value for name, value in body.items() if name != "async"},
            **_OWNED_FIELDS,
            "object_id": id,
            "status": "SUCCESS",
            "messages": messages,
            "parcels": [{**parcel, **self._object_fields("VALID")} for parcel in body["parcels"]],
            "rates": [] if messages else [self._offer(id, *service) for service in SERVICES],
        }
        for name in ("address_from", "address_to", "address_return"):
            if name in body:
                shipment[name] = {**body[name], **self._object_fields()}
        if "customs_declaration" in body:
            items = [f"{self.number():032x}" for _ in body["customs_declaration"]["items"]]
            declaration = {**body["customs_declaration"], "items": items}
            shipment["customs_declaration"] = {**declaration, **self._object_fields("VALID")}
        self.shipments[id] = shipment
        return base.reply(shipment, 201)

    def _object_fields(self, state: str | None = None) -> dict[str, Any]:
        """Return the fields that Shippo adds to an object."""
        fields: dict[str, Any] = {**_OWNED_FIELDS, "object_id": f"{self.number():032x}"}
        return fields if state is None else {**fields, "object_state": state}

    def _offer(self, shipment: str, token: str, _: str, name: str, price: Any, days: int) -> Any:
        id = f"{self.number():032x}"
        self.rates[id] = {
            "object_id": id,
            "object_created": _MADE_AT,
            "object_owner": _OWNED_FIELDS["object_owner"],
            "test": True,
            "shipment": shipment,
            "amount": str(price),
            "currency": "USD",
            "amount_local": str(price),
            "currency_local": "USD",
            "provider": "USPS",
            "servicelevel": {"token": token, "name": name},
            "estimated_days": days,
            "attributes": [],
            "carrier_account": "0" * 32,
            "messages": [],
        }
        return self.rates[id]

    def _rate(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(_found_or_404(self.rates, id))

    def _buy(self, request: base.SandboxRequest) -> Response:
        body = body_of(request)
        rate = self.rates.get(str(body.get("rate")))
        if rate is None:
            raise _field_refusal("rate", "Rate does not exist.")
        if body.get("label_file_type", "PDF") not in _FILES:
            raise _field_refusal("label_file_type", "This is not a valid choice.")
        if len(body.get("metadata") or "") > 100:
            raise _field_refusal("metadata", "Ensure this field has no more than 100 characters.")
        shipment = self.shipments[rate["shipment"]]
        transactions: list[dict[str, Any]] = []
        for _ in shipment["parcels"]:
            id = f"{self.number():032x}"
            self.transactions[id] = {
                **_OWNED_FIELDS,
                "object_id": id,
                "object_state": "VALID",
                "status": "QUEUED",
                "rate": rate["object_id"],
                "label_file_type": body.get("label_file_type", "PDF"),
                "metadata": body.get("metadata", ""),
                "tracking_number": None,
                "tracking_url_provider": None,
                "label_url": None,
                "commercial_invoice_url": None,
                "messages": [],
            }
            transactions.append(self.transactions[id])
        for transaction in () if self.slow else transactions:
            is_refused = shipment["address_to"].get("zip") == NO_LABEL
            self._settle(transaction, "ERROR" if is_refused else "SUCCESS")
        return base.reply(transactions[0], 201)

    def _settle(self, transaction: dict[str, Any], status: str) -> None:
        transaction["status"] = status
        if status == "ERROR":
            text = "The carrier refused the shipment."
            transaction["messages"] = [{"source": "USPS", "code": "carrier_error", "text": text}]
            return
        code = f"9200{self.number():018d}"
        kind = _FILES[transaction["label_file_type"]]
        path = f"{transaction['object_id']}.{kind}"
        self.labels[path] = LABEL_TEXTS[kind] + code.encode()
        self.tracks[code] = _track("usps", code, "PRE_TRANSIT", transaction["object_id"])
        transaction |= {
            "tracking_number": code,
            "tracking_url_provider": f"https://tools.usps.com/go/{code}",
            "label_url": f"{self.files}/{path}?Expires=1893456000&Signature=a%2Fb~c-d_e",
        }

    def _list(self, request: base.SandboxRequest) -> Response:
        rate = dict(request.query).get("rate")
        transactions = [
            transaction
            for transaction in self.transactions.values()
            if rate in {None, transaction["rate"]}
        ]
        return _page(request, transactions)

    def _fetch(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(_found_or_404(self.transactions, id))

    def _refund(self, request: base.SandboxRequest) -> Response:
        id = str(body_of(request).get("transaction"))
        transaction = self.transactions.get(id)
        if transaction is None or transaction["status"] not in {"SUCCESS", "REFUNDREJECTED"}:
            raise _field_refusal("transaction", "This transaction cannot be refunded.")
        status = self.tracks[transaction["tracking_number"]]["tracking_status"]["status"]
        if status not in {"PRE_TRANSIT", "UNKNOWN"}:
            raise _field_refusal("transaction", "The parcel has already been shipped.")
        transaction["status"] = "REFUNDPENDING"
        self.refunds[id] = {
            **_OWNED_FIELDS,
            "object_id": f"{self.number():032x}",
            "status": "PENDING",
            "transaction": id,
        }
        return base.reply(self.refunds[id], 201)

    def _track(self, _: base.SandboxRequest, carrier: str, number: str) -> Response:
        status = number.removeprefix("SHIPPO_")
        if carrier == "shippo" and status in _STATUSES:
            self.tracks.setdefault(number, _track(carrier, number, status, None))
        track = _found_or_404(self.tracks, number)
        if track["carrier"] != carrier:
            raise base.refusal({"detail": "Not found."}, 404)
        return base.reply(track)

    def _validate(self, request: base.SandboxRequest) -> Response:
        body = body_of(request)
        _check(ADDRESS, body)
        if not body["country"]:
            raise _field_refusal("country", "This field is required.")
        results: dict[str, Any] = {}
        address = body
        if body.get("validate"):
            results = {"is_valid": True, "messages": []}
            address = {name: v.upper() if isinstance(v, str) else v for name, v in body.items()}
            if not body.get("street1") or body.get("city") == UNKNOWN_CITY:
                text = "The address could not be found."
                message = {
                    "source": "Shippo Address Validator",
                    "code": "Address Not Found",
                    "type": "address_error",
                    "text": text,
                }
                address, results = body, {"is_valid": False, "messages": [message]}
        fields = {name: value for name, value in address.items() if name != "validate"}
        return base.reply({**fields, **self._object_fields(), "validation_results": results}, 201)

    def _shipment(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(_found_or_404(self.shipments, id))

    def _schedule_pickup(self, request: base.SandboxRequest) -> Response:
        body = body_of(request)
        for name in ("carrier_account", "location", "requested_start_time", "requested_end_time"):
            if not body.get(name):
                raise _field_refusal(name, "This field is required.")
        for name in set(body) - _PICKUP_FIELDS:
            raise _field_refusal(name, "This field is not known.")
        if body["location"].get("building_location_type") not in _PICKUP_LOCATIONS:
            raise _field_refusal("building_location_type", "This is not a valid choice.")
        _check(PICKUP_ADDRESS, body["location"].get("address"), "location")
        transactions = self._bought_labels(body)
        is_refused = body["location"]["address"].get("zip") == NO_RATES
        id = f"{self.number():032x}"
        self.pickups[id] = {
            **{name: body[name] for name in ("carrier_account", "location")},
            **_MADE_FIELDS,
            "object_id": id,
            "requested_start_time": body["requested_start_time"],
            "requested_end_time": body["requested_end_time"],
            "confirmed_start_time": None if is_refused else body["requested_start_time"],
            "confirmed_end_time": None if is_refused else body["requested_end_time"],
            "transactions": [item["object_id"] for item in transactions],
            "metadata": body.get("metadata", ""),
            "status": "ERROR" if is_refused else "CONFIRMED",
            "confirmation_code": None if is_refused else f"WTC{self.number():08d}",
            "messages": ["The carrier does not come to this address."] if is_refused else [],
            "is_test": True,
        }
        return base.reply(self.pickups[id], 201)

    def _create_manifest(self, request: base.SandboxRequest) -> Response:
        body = body_of(request)
        for name in ("carrier_account", "shipment_date", "address_from"):
            if not body.get(name):
                raise _field_refusal(name, "This field is required.")
        for name in set(body) - _MANIFEST_FIELDS:
            raise _field_refusal(name, "This field is not known.")
        transactions = [item["object_id"] for item in self._bought_labels(body)]
        used_codes = {
            label
            for item in self.manifests.values()
            if item["status"] != "ERROR"
            for label in item["transactions"]
        }
        id = f"{self.number():032x}"
        status = "ERROR" if used_codes.intersection(transactions) else "SUCCESS"
        status = "QUEUED" if self.slow else status
        url = f"{self.files}/{id}.pdf?Expires=1893456000&Signature=a%2Fb~c-d_e"
        self.manifests[id] = {
            **{name: body[name] for name in ("carrier_account", "shipment_date", "address_from")},
            **_MADE_FIELDS,
            "object_id": id,
            "object_owner": _OWNED_FIELDS["object_owner"],
            "transactions": transactions,
            "status": status,
            "documents": [url] if status == "SUCCESS" else [],
            "errors": ["A shipment is on another manifest."] if status == "ERROR" else [],
        }
        return base.reply(self.manifests[id], 201)

    def _bought_labels(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the bought labels named in a request."""
        ids: list[str] = body.get("transactions") or []
        transactions = [self.transactions.get(id) for id in ids]
        bought_labels = [item for item in transactions if item and item["status"] == "SUCCESS"]
        if not bought_labels or len(bought_labels) < len(ids):
            raise _field_refusal("transactions", "These transactions have no labels.")
        return bought_labels

    def _list_manifests(self, request: base.SandboxRequest) -> Response:
        return _page(request, list(self.manifests.values()))

    def _manifest(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(_found_or_404(self.manifests, id))

    def _file(self, request: base.SandboxRequest, path: str) -> Response:
        if request.host not in self.files:
            return self.unknown(request)
        content = label_content(request, self.labels, path, secret="authorization", missing=403)
        if dict(request.query).get("Signature") != "a/b~c-d_e":
            raise base.Refusal(Response(403))
        return Response(200, {"Content-Type": "application/octet-stream"}, content)

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if request.headers.get("authorization") != f"ShippoToken {self.token}":
            raise base.refusal({"detail": "Invalid token"}, 401)
        if request.headers.get("shippo-api-version") != _VERSION:
            raise base.refusal({"detail": "This version of the API is not known."}, 400)


def _check(shape: Any, value: Any, field: str | None = None) -> None:
    """Refuse a value that does not have the fields of a table.

    Args:
        shape: the table.
        value: the value.
        field: name of the value in the request; None if it is the whole request.
    """
    for location, name, problem in problems(shape, value):
        [_, *steps] = [*location.split("/"), name]
        raise _field_refusal(field or steps[0], f"{'.'.join(steps)} is {problem}.")


def _check_shipment(body: dict[str, Any]) -> None:
    for name in ("address_from", "address_to", "address_return"):
        if name in body:
            _check(ADDRESS, body[name], name)
    if "customs_declaration" in body:
        _check(CUSTOMS, body["customs_declaration"], "customs_declaration")
    extra = body.get("extra", {})
    _check(dict, extra, "extra")
    _check(EXTRA, {name: extra[name] for name in EXTRA if name in extra}, "extra")


def _pounds(parcel: dict[str, Any]) -> Decimal:
    weight = parcel.get("weight")
    if not isinstance(weight, str) or not number(weight) > 0:
        raise _field_refusal("parcels", "Weight must be a positive number.")
    for side in ("length", "width", "height"):
        if not isinstance(parcel.get(side), str) or not number(parcel[side]) > 0:
            raise _field_refusal("parcels", f"{side} must be a positive number.")
    if parcel.get("mass_unit") not in _POUNDS or parcel.get("distance_unit") not in _LENGTHS:
        raise _field_refusal("parcels", "The unit of weight or length is not known.")
    return number(weight) * _POUNDS[parcel["mass_unit"]]


def _messages(to: dict[str, Any], *, too_heavy: bool) -> list[dict[str, Any]]:
    text = rate_problem(to.get("zip"), too_heavy=too_heavy)
    return [] if text is None else [{"source": "USPS", "code": "rate_error", "text": text}]


def _track(carrier: str, code: str, status: str, transaction: str | None) -> dict[str, Any]:
    event = _event(status, None, 0)
    return {
        "carrier": carrier,
        "tracking_number": code,
        "transaction": transaction,
        "eta": "2030-01-05T00:00:00Z",
        "messages": [],
        "tracking_status": event,
        "tracking_history": [event],
    }


def _event(status: str, substatus: str | None, count: int) -> dict[str, Any]:
    detail = None
    if substatus is not None:
        detail = {"code": substatus, "text": substatus, "action_required": False}
    return {
        **_MADE_FIELDS,
        "object_id": f"{count:032x}",
        "status": status,
        "substatus": detail,
        "status_details": f"The parcel is {status}",
        "status_date": f"{event_time(count)}Z",
        "location": {"city": "HOUSTON", "state": "TX", "zip": "77063", "country": "US"},
    }


def _page(request: base.SandboxRequest, items: list[dict[str, Any]]) -> Response:
    query = dict(request.query)
    number, size = int(query.get("page", "1")), min(int(query.get("results", "5")), _LARGEST_PAGE)
    if number < 1 or size < 1:
        raise base.refusal({"detail": "Invalid page."}, 404)
    rows = items[(number - 1) * size : number * size]
    url = f"https://api.goshippo.com{request.path}?results={size}&page="
    links = {
        "next": f"{url}{number + 1}" if len(items) > number * size else None,
        "previous": f"{url}{number - 1}" if number > 1 else None,
    }
    return base.reply({**links, "results": rows})


def _found_or_404(resources: Mapping[str, dict[str, Any]], id: str) -> dict[str, Any]:
    return base.existing(resources, id, base.refusal({"detail": "Not found."}, 404))


def _field_refusal(field: str, text: str) -> base.Refusal:
    return base.refusal({field: [text]}, 400)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = ShippoSandbox()
    return SandboxFixture(sandbox=sandbox, options={"credentials": sandbox.token})
