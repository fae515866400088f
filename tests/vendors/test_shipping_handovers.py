"""Pickups, manifests and service points at EasyPost, ShipEngine and Shippo."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
    Manifest,
    ManifestState,
    Pickup,
    PickupRequest,
    PickupState,
    RateRequest,
    ServicePointKind,
    ShipmentRequest,
    ShippingCapability,
)
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import (
    InvalidData,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandbox_scenarios.shipping import ADA, PARCEL, SHOP, pickup
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.shipping.shipengine import ShipEngineSandbox
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox
from moorage.vendors.shipping._easypost_handovers import pickup_body as easypost_pickup
from moorage.vendors.shipping._shipengine_handovers import pickup_body as shipengine_pickup
from moorage.vendors.shipping._shipengine_handovers import points_body
from moorage.vendors.shipping._shippo_handovers import pickup_body as shippo_pickup
from moorage.vendors.shipping.easypost import EasyPost
from moorage.vendors.shipping.shipengine import ShipEngine
from moorage.vendors.shipping.shippo import Shippo

if TYPE_CHECKING:
    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Request, Timeouts
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import Sandbox

PICKUPS = {"easypost": "/v2/pickups/", "shipengine": "/v1/pickups", "shippo": "/pickups"}
MANIFESTS = {"easypost": "/v2/scan_forms", "shipengine": "/v1/manifests", "shippo": "/manifests"}
JUNK = [b"{}", b"[]", b"null", b"", b"<html>", b'{"id": {}, "pickup_id": [], "object_id": {}}']


class PlannedClient(SandboxHttpClient):
    """An HTTP client that returns planned responses in order, for expected methods and paths."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.sandbox = sandbox
        self.planned: list[tuple[str, Response | ConnectorError | Lost]] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return the next planned response if it is for this request."""
        if self.planned and f"{request.method.value} {request.path}".startswith(self.planned[0][0]):
            self.sandbox.fail(self.planned.pop(0)[1])
        return super().send(request, url, timeouts)


class SandboxHub:
    """A hub with an account at the sandbox of one vendor."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sandbox: Any
        vendor: Vendor
        if name == "easypost":
            self.sandbox = EasyPostSandbox()
            vendor = EasyPost(credentials=self.sandbox.api_key)
        elif name == "shipengine":
            self.sandbox = ShipEngineSandbox()
            vendor = ShipEngine(credentials=self.sandbox.api_key)
        else:
            self.sandbox = ShippoSandbox()
            vendor = Shippo(credentials=self.sandbox.token)
        self.line = PlannedClient(self.sandbox)
        account = Account(name, vendor, settings={"retry": None, "circuit": None})
        self.hub = Hub([account], http=self.line)
        self.shipping = self.hub.shipping()

    def buy_label_of_order(self, key: str = "1") -> Ref:
        """Buy a label and return its reference."""
        request = ShipmentRequest(
            rate_request=RateRequest(sender=SHOP, recipient=ADA, parcels=PARCEL)
        )
        return self.shipping.create_shipment(request, idempotency_key=key).ref

    def schedule(self, request: PickupRequest, key: str = "p") -> Pickup:
        """Schedule a pickup."""
        return self.shipping.schedule_pickup(request, idempotency_key=key)

    def manifest(self, *refs: Ref, key: str = "m") -> Manifest:
        """Create a manifest."""
        return self.shipping.create_manifest(refs, idempotency_key=key)


@pytest.fixture(name="shop", params=["easypost", "shipengine", "shippo"])
def _shop(request: pytest.FixtureRequest) -> SandboxHub:
    """Return a hub with an account at this vendor's sandbox."""
    return SandboxHub(request.param)


def ref(id: str = "1", account: str = "a") -> Ref:
    """Return the reference of a shipment."""
    return Ref("easypost", account, id)


@pytest.mark.parametrize(
    "fields, problem",
    [
        ({"shipments": []}, "list of shipments"),
        ({"shipments": 7}, "shipments"),
        ({"shipments": [ref(), ref("2", "b")]}, "several accounts"),
        ({"latest": datetime(2030, 1, 1, tzinfo=UTC)}, "ends before it begins"),
        ({"earliest": datetime(2030, 1, 2)}, "earliest"),  # noqa: DTZ001 - the mistake
        ({"address": None}, "address"),
    ],
)
def test_impossible_pickups_are_refused(fields: dict[str, Any], problem: str) -> None:
    """A pickup without shipments, for several accounts, or without a time span is refused."""
    with pytest.raises(InvalidData, match=problem):
        attrs.evolve(pickup([ref()]), **fields)


def test_pickup_names_each_shipment_once() -> None:
    """A shipment listed twice is picked up once; several shipments need their own capability."""
    assert (ref(),) == pickup([ref(), ref()]).shipments
    assert {ShippingCapability.PICKUP} == pickup([ref()]).needs
    assert {ShippingCapability.PICKUP, ShippingCapability.PICKUP_SEVERAL} == (
        pickup([ref(), ref("2")]).needs
    )


def test_service_point_needs_its_capability() -> None:
    """A shipment to a service point is refused unless the vendor has that capability."""
    request = RateRequest(sender=SHOP, recipient=ADA, parcels=PARCEL, service_point="7")
    assert {ShippingCapability.SERVICE_POINTS} == request.needs


def test_pickups_are_sent_in_the_vendors_terms() -> None:
    """Each vendor gets the shipments, the contact, the time span and its own options."""
    request = attrs.evolve(
        pickup([ref("7"), ref("8")]),
        reference="tour 1",
        extra={
            "easypost": {"carrier_accounts": ["ca_1"]},
            "shipengine": {"pickup_notes": "Ring twice."},
            "shippo": {"location": {"building_location_type": "Office"}},
        },
    )
    start, end = "2030-01-02T09:00:00+00:00", "2030-01-02T17:00:00+00:00"

    easypost = easypost_pickup(request)["pickup"]
    assert ("7", start, end, "tour 1", ["ca_1"], False) == (
        easypost["shipment"]["id"],
        easypost["min_datetime"],
        easypost["max_datetime"],
        easypost["reference"],
        easypost["carrier_accounts"],
        easypost["is_account_address"],
    )
    assert {
        "label_ids": ["7", "8"],
        "contact_details": {"name": SHOP.name, "email": SHOP.email, "phone": SHOP.phone},
        "pickup_notes": "Ring twice.",
        "pickup_window": {"start_at": start, "end_at": end},
    } == shipengine_pickup(request)
    shippo = shippo_pickup(request, "acc", "key")
    assert ("acc", ["7", "8"], "tour 1", start, end) == (
        shippo["carrier_account"],
        shippo["transactions"],
        shippo["metadata"],
        shippo["requested_start_time"],
        shippo["requested_end_time"],
    )
    assert ("Office", "At the back door.") == (
        shippo["location"]["building_location_type"],
        shippo["location"]["instructions"],
    )
    assert "key" == shippo_pickup(pickup([ref()]), "acc", "key")["metadata"]


@pytest.mark.parametrize("field", ["email", "phone"])
def test_shipengine_needs_a_contact(field: str) -> None:
    """A ShipEngine pickup without a complete contact is refused before anything is sent."""
    address = attrs.evolve(SHOP, **{field: None})
    with pytest.raises(InvalidData, match=f"contact's {field}"):
        shipengine_pickup(attrs.evolve(pickup([ref()]), address=address))


def test_pickup_is_read(shop: SandboxHub) -> None:
    """A scheduled pickup is read with the carrier's number and its time span."""
    scheduled = shop.schedule(pickup([shop.buy_label_of_order()]))
    assert PickupState.SCHEDULED is scheduled.state
    assert scheduled.confirmation
    assert (9, 17) == (
        scheduled.earliest and scheduled.earliest.hour,
        scheduled.latest and scheduled.latest.hour,
    )
    assert {"easypost": Money("0.00", "USD")}.get(shop.name) == scheduled.cost
    words = {"easypost": "scheduled", "shipengine": "scheduled", "shippo": "CONFIRMED"}
    assert words[shop.name] == scheduled.vendor_status


def test_pickup_that_no_carrier_makes_is_refused(shop: SandboxHub) -> None:
    """If no carrier comes to the address, the error has the carrier's message."""
    shipment = shop.buy_label_of_order()
    if shop.name == "shipengine":
        shop.sandbox.labels[shipment.id]["shipment"]["ship_from"]["postal_code"] = "00000"
    request = attrs.evolve(pickup([shipment]), address=attrs.evolve(SHOP, postal_code="00000"))
    with pytest.raises(VendorRejected) as excinfo:
        shop.schedule(request)
    assert excinfo.value.vendor_message


def test_lost_pickup_is_looked_up_or_unknown(shop: SandboxHub) -> None:
    """A pickup whose response was lost is looked up, and booked only once."""
    shipment = shop.buy_label_of_order()
    shop.line.planned = [(f"POST {PICKUPS[shop.name]}", Lost())]
    if shop.name == "easypost":
        shop.line.planned = [(f"POST {PICKUPS[shop.name]}pickup_", Lost())]
    if shop.name == "shippo":
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                shop.schedule(pickup([shipment]))
    else:
        scheduled = shop.schedule(pickup([shipment]))
        assert [scheduled.ref.id] == [*shop.sandbox.pickups]
        assert PickupState.SCHEDULED is scheduled.state
    assert 1 == len(shop.sandbox.pickups)


@pytest.mark.parametrize("name", ["easypost", "shipengine"])
def test_lost_pickup_that_is_not_found_is_unknown(name: str) -> None:
    """A lost pickup that cannot be found has an unknown outcome, and is not booked again."""
    shop = SandboxHub(name)
    shipment = shop.buy_label_of_order()
    path = f"POST {PICKUPS[name]}{'pickup_' if name == 'easypost' else ''}"
    shop.line.planned = [(path, Response(503)), (f"GET {PICKUPS[name]}", Response(503))]
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            shop.schedule(pickup([shipment]))
    assert "scheduled" not in json.dumps([*shop.sandbox.pickups.values()])


def test_lost_pickup_is_not_mistaken_for_one_of_other_labels() -> None:
    """A pickup of other labels, or a cancelled one, is not mistaken for the lost pickup."""
    shop = SandboxHub("shipengine")
    first, second = shop.buy_label_of_order("1"), shop.buy_label_of_order("2")
    cancelled = shop.schedule(pickup([second]), "a")
    shop.shipping.cancel_pickup(cancelled.ref)
    shop.schedule(pickup([first]), "b")
    shop.line.planned = [("POST /v1/pickups", Response(503))]
    with pytest.raises(OutcomeUnknown):
        shop.schedule(pickup([second]), "c")


def test_lost_pickup_is_found_on_a_later_page() -> None:
    """A lost pickup is found although there are many earlier pickups."""
    shop = SandboxHub("shipengine")
    shipment = shop.buy_label_of_order()
    other = {"pickup_id": "pik_0", "label_ids": ["se-0"]}
    shop.sandbox.pickups |= {f"pik_0{number}": other for number in range(150)}
    shop.line.planned = [("POST /v1/pickups", Lost())]
    scheduled = shop.schedule(pickup([shipment]))

    assert scheduled.ref.id == [*shop.sandbox.pickups][-1]


def test_lost_manifest_is_found_on_a_later_page() -> None:
    """A lost manifest is found although there are many earlier manifests."""
    shop = SandboxHub("shippo")
    shipment = shop.buy_label_of_order()
    other = {"object_id": "0", "status": "SUCCESS", "transactions": ["0"]}
    shop.sandbox.manifests |= {f"0{number}": other for number in range(150)}
    shop.line.planned = [("POST /manifests", Lost())]
    created = shop.manifest(shipment)

    assert created.ref.id == [*shop.sandbox.manifests][-1]
    searches = [dict(request.query) for request in shop.sandbox.requests if request.method == "GET"]
    assert {"page": "2", "results": "100"} in searches


def test_errors_of_a_manifest_at_shippo_are_its_messages() -> None:
    """A manifest that Shippo could not create has state failed, with Shippo's texts."""
    shop = SandboxHub("shippo")
    manifest = {"object_id": "m-1", "status": "ERROR", "errors": ["No labels.", "No date."]}
    shop.line.planned = [("GET /manifests", reply(manifest))]
    result = shop.shipping.get_manifest("shippo:shippo:m-1")

    assert (ManifestState.FAILED, "ERROR") == (result.state, result.vendor_status)
    assert ["No labels.", "No date."] == [message.text for message in result.messages]


@pytest.mark.parametrize("body", JUNK)
def test_malformed_answers_schedule_nothing(shop: SandboxHub, body: bytes) -> None:
    """A response without a pickup or manifest is an error."""
    shipment = shop.buy_label_of_order()
    answer = Response(200, {"Content-Type": "application/json"}, body)
    shop.line.planned = [(f"POST {PICKUPS[shop.name]}".removesuffix("/"), answer)]
    with pytest.raises((VendorFailed, OutcomeUnknown, VendorRejected)):
        shop.schedule(pickup([shipment]))
    shop.line.planned = [(f"POST {MANIFESTS[shop.name]}", answer)]
    with pytest.raises((VendorFailed, OutcomeUnknown)):
        shop.manifest(shipment)


@pytest.mark.parametrize("name", ["easypost", "shipengine"])
def test_pickup_that_cannot_be_cancelled_is_refused(name: str) -> None:
    """If the vendor refuses to cancel a pickup, an error is raised."""
    shop = SandboxHub(name)
    scheduled = shop.schedule(pickup([shop.buy_label_of_order()]))
    refusal = {
        "easypost": reply({"error": {"code": "PICKUP.CANCEL.ERROR", "message": "No."}}, 422),
        "shipengine": reply(
            {"request_id": "1", "errors": [{"error_type": "business_rules", "message": "No."}]}, 400
        ),
    }[name]
    method = {"easypost": "POST", "shipengine": "DELETE"}[name]
    shop.line.planned = [(f"{method} {PICKUPS[name]}", refusal)]
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.cancel_pickup(scheduled.ref)
    assert VendorRejected is type(excinfo.value)


def test_easypost_takes_the_cheapest_pickup() -> None:
    """The cheapest EasyPost pickup is booked; prices in several currencies are refused."""
    shop = SandboxHub("easypost")
    request = pickup([shop.buy_label_of_order()])
    shop.schedule(request)
    assert "NextDay" == json.loads(shop.sandbox.requests[-1].body)["service"]
    rates = [
        {"carrier": "USPS", "service": "A", "rate": "1.00", "currency": "USD"},
        {"carrier": "DHL", "service": "B", "rate": "1.00", "currency": "EUR"},
        {"carrier": "UPS", "service": "C", "rate": "free", "currency": "EUR"},
    ]
    offered = {"id": "pickup_1", "status": "unknown", "pickup_rates": rates}
    shop.line.planned = [("POST /v2/pickups", reply(offered))]
    with pytest.raises(VendorRejected, match="No carrier"):
        shop.schedule(request, "other")


def test_shippo_pickup_states_are_read() -> None:
    """A pending Shippo pickup is pending, and an unknown status is UNKNOWN."""
    shop = SandboxHub("shippo")
    shipment = shop.buy_label_of_order()
    states = {"PENDING": PickupState.PENDING, "ON_ICE": PickupState.UNKNOWN}
    for word, state in states.items():
        shop.line.planned = [("POST /pickups", reply({"object_id": "7", "status": word}, 201))]
        scheduled = shop.schedule(pickup([shipment]), word)
        assert (state, word) == (scheduled.state, scheduled.vendor_status)


def test_shipments_of_several_carriers_are_refused_by_shippo() -> None:
    """Shippo takes pickups and manifests of one carrier account at a time."""
    shop = SandboxHub("shippo")
    refs = [shop.buy_label_of_order("1"), shop.buy_label_of_order("2")]
    rate = shop.sandbox.transactions[refs[1].id]["rate"]
    shop.sandbox.rates[rate]["carrier_account"] = "1" * 32
    with pytest.raises(InvalidData, match="several carrier accounts"):
        shop.schedule(pickup(refs))
    with pytest.raises(InvalidData, match="several carrier accounts"):
        shop.manifest(*refs)
    shop.sandbox.transactions[refs[1].id]["rate"] = {"object_id": rate}
    with pytest.raises(VendorRejected, match="does not contain the carrier_account"):
        shop.schedule(pickup([refs[1]]))


def test_second_manifest_for_same_shipment_is_refused(shop: SandboxHub) -> None:
    """A second manifest for the same shipment is refused, and nothing is created."""
    shipment = shop.buy_label_of_order()
    shop.manifest(shipment)
    with pytest.raises(VendorRejected):
        shop.manifest(shipment, key="other")
    with pytest.raises(InvalidData, match="list of shipments"):
        shop.manifest(key="empty")


def test_lost_manifest_is_looked_up(shop: SandboxHub) -> None:
    """After a lost response, the manifest that has all these shipments is found."""
    refs = [shop.buy_label_of_order("1"), shop.buy_label_of_order("2")]
    shop.line.planned = [(f"POST {MANIFESTS[shop.name]}", Lost())]
    created = shop.manifest(*refs)
    records = shop.sandbox.forms if shop.name == "easypost" else shop.sandbox.manifests
    assert [created.ref.id] == [*records]
    assert ManifestState.CREATED is created.state
    assert 1 == len(created.documents)


def test_lost_manifest_that_is_not_found_is_unknown(shop: SandboxHub) -> None:
    """If a lost manifest is not found, its outcome is unknown."""
    refs = [shop.buy_label_of_order("1"), shop.buy_label_of_order("2")]
    shop.manifest(refs[0], key="other")
    path = "/v2/shipments" if shop.name == "easypost" else MANIFESTS[shop.name]
    for answers in ([], [(f"GET {path}", Response(503))]):
        shop.line.planned = [(f"POST {MANIFESTS[shop.name]}", Response(503)), *answers]
        with pytest.raises(OutcomeUnknown):
            shop.manifest(*refs)


def test_lost_manifest_is_searched_once() -> None:
    """After a lost response, ShipEngine is asked once for these labels' manifests."""
    shop = SandboxHub("shipengine")
    refs = [shop.buy_label_of_order(number) for number in ("1", "2")]
    shop.line.planned = [("POST /v1/manifests", Lost())]
    shop.manifest(*refs)
    [search] = [
        request
        for request in shop.sandbox.requests
        if (request.method, request.path) == ("GET", "/v1/manifests")
    ]

    assert {"label_ids": f"{refs[0].id},{refs[1].id}", "page_size": "100"} == dict(search.query)


@pytest.mark.parametrize("name", ["shipengine", "shippo"])
def test_manifest_that_is_made_later_is_pending(name: str) -> None:
    """A manifest that is not ready yet is pending, and can be read later."""
    shop = SandboxHub(name)
    shipment = shop.buy_label_of_order()
    shop.sandbox.slow = True
    created = shop.manifest(shipment)
    assert (ManifestState.PENDING, ()) == (created.state, created.documents)
    assert ManifestState.PENDING is shop.shipping.get_manifest(str(created.ref)).state
    shop.sandbox.slow = False
    if name == "shipengine":
        finished = shop.shipping.get_manifest(str(created.ref))
        assert (ManifestState.CREATED, 1) == (finished.state, len(finished.documents))
        assert [finished.ref.id] == [*shop.sandbox.manifests]


def test_scan_form_that_easypost_could_not_create_has_state_failed() -> None:
    """A scan form that EasyPost could not create has state failed, with EasyPost's message."""
    shop = SandboxHub("easypost")
    form = {"id": "sf_1", "status": "failed", "message": "No address.", "form_url": None}
    shop.line.planned = [("GET /v2/scan_forms", reply(form))]
    result = shop.shipping.get_manifest("easypost:easypost:sf_1")
    assert (ManifestState.FAILED, "No address.") == (result.state, result.messages[0].text)


def test_service_points_are_read_with_kind_and_distance() -> None:
    """Service points have their kind, and their distance if ShipEngine states it."""
    shop = SandboxHub("shipengine")
    points = shop.shipping.find_service_points(ADA).points
    assert [(120, ServicePointKind.SHOP), (912, ServicePointKind.LOCKER)] == [
        (point.distance, point.kind) for point in points
    ]
    assert ("usps", "Corner Shop", "US") == (
        points[0].carrier,
        points[0].address.company,
        points[0].address.country,
    )
    service_point = {"service_point_id": "1", "carrier_code": "dpd", "distance_in_meters": 1e300}
    answers = [{"service_points": [service_point | {"type": "pod"}]}, {"service_points": [{}]}, {}]
    for answer in answers:
        shop.line.planned = [("POST /v1/service_points/list", reply(answer))]
        if answer is answers[0]:
            [point] = shop.shipping.find_service_points(ADA).points
            assert (None, ServicePointKind.UNKNOWN) == (point.distance, point.kind)
        else:
            with pytest.raises(VendorFailed):
                shop.shipping.find_service_points(ADA)


def test_service_points_are_searched_by_address() -> None:
    """A search for service points sends the address, carriers and limit, but no person's name."""
    address = Address(name="Ada", line1="1 Near Street", postal_code="1000", country="BE")
    assert {
        "address": {"address_line1": "1 Near Street", "postal_code": "1000", "country_code": "BE"},
        "providers": [{"carrier_id": "se-1"}],
        "max_results": 5,
    } == points_body(address, ["se-1"], 5)
