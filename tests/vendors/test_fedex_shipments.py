"""FedEx: rates, labels, cancellations, and purchases with a lost response."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime
from hashlib import sha256

import attrs
import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.shipping import CancelState, LabelFormat, Parcel, ShipmentState
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import (
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendors.shipping.fedex import FedEx
from tests.vendors.fedex_account import (
    FIND,
    PARCEL,
    RATES,
    RECIPIENT,
    REQUEST,
    SHIP,
    SandboxHub,
    fedex_response,
)


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new FedEx sandbox."""
    return SandboxHub()


def test_rates_have_the_accounts_price(shop: SandboxHub) -> None:
    """A FedEx rate has the account's own price, and the list price beside it."""
    rate = shop.shipping.get_rates(REQUEST).rates[1]

    assert (Money("24.42", "USD"), Money("29.42", "USD"), 2) == (
        rate.total,
        rate.list_price,
        rate.delivery_days,
    )
    assert ("fedex_2_day", "FEDEX_2_DAY", "FedEx 2Day®") == (
        rate.service,
        rate.vendor_service,
        rate.service_name,
    )
    assert datetime(2030, 1, 5, 17, tzinfo=UTC) == rate.delivery_date
    account = {
        "rateType": "ACCOUNT",
        "totalNetCharge": 7,
        "shipmentRateDetail": {"currency": "EUR"},
    }
    duration = {"transitDays": {"minimumTransitTime": "ONE_DAY"}, "dateDetail": {"dayFormat": "x"}}
    offers = [
        {"serviceType": "NEW", "ratedShipmentDetails": [account], "commit": duration},
        {"serviceType": "LISTED", "ratedShipmentDetails": [{"rateType": "LIST"}]},
        {"ratedShipmentDetails": [account]},
        "odd",
    ]
    alert = {"code": "NOTE", "message": "All is well."}
    shop.wire.planned[RATES] = [fedex_response(rateReplyDetails=offers, alerts=[alert]), reply({})]
    result = shop.shipping.get_rates(REQUEST)
    assert [(Money("7", "EUR"), 1)] == [(rate.total, rate.delivery_days) for rate in result.rates]
    assert ["NOTE", None, None] == [message.code for message in result.messages]
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)


def test_no_service_becomes_a_message(shop: SandboxHub) -> None:
    """A place or weight for which FedEx has no service gives a message instead of rates."""
    nowhere_result = shop.shipping.get_rates(
        attrs.evolve(REQUEST, recipient=attrs.evolve(RECIPIENT, postal_code="00000"))
    )
    heavy = shop.shipping.get_rates(attrs.evolve(REQUEST, parcels=Parcel(weight=99)))

    assert [(), "RATE.LOCATION.NOSERVICE"] == [
        nowhere_result.rates,
        nowhere_result.messages[0].code,
    ]
    assert [(), "Too heavy."] == [heavy.rates, heavy.messages[0].text]
    with pytest.raises(InvalidRequest) as excinfo:
        shop.shipping.get_rates(
            attrs.evolve(REQUEST, recipient=attrs.evolve(RECIPIENT, country="CA"))
        )
    assert "CUSTOMSCLEARANCEDETAIL.REQUIRED" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "code",
    [
        "RATE.LOCATION.NOSERVICE",
        "SERVICE.NOT.AVAILABLE",
        "POSTALCODE.NOTSERVED",
        "COUNTRY.NOT.SERVICED",
    ],
)
def test_each_code_of_no_service_becomes_a_message(shop: SandboxHub, code: str) -> None:
    """Each FedEx error code for an unserved place gives a message instead of rates."""
    shop.wire.planned[RATES] = [reply({"errors": [{"code": code, "message": "No."}]}, 400)]
    result = shop.shipping.get_rates(REQUEST)

    assert [(), code] == [result.rates, result.messages[0].code]


@pytest.mark.parametrize(
    "wish, image",
    [("pdf", "PDF"), ("png", "PNG"), ("zpl", "ZPLII"), ("epl", "EPL2")],
)
def test_fedex_returns_label_in_requested_format(shop: SandboxHub, wish: str, image: str) -> None:
    """FedEx returns a label in the requested format."""
    label = shop.buy_label_of_order(label=wish).labels[0]

    assert (LabelFormat(wish), image) == (label.format, label.vendor_format)
    assert label.content
    assert label.url is None


def test_several_parcels_have_a_label_each_and_are_cancelled_together(shop: SandboxHub) -> None:
    """A FedEx shipment's parcels have one label each, and are cancelled by its first number."""
    shipment = shop.buy_label_of_order(parcels=[PARCEL, PARCEL, PARCEL])

    assert 3 == len(set(shipment.tracking_numbers)) == len(shipment.labels)
    assert shipment.tracking_numbers == tuple(label.tracking_number for label in shipment.labels)
    assert (
        shipment.tracking_numbers == shop.shipping.get_shipment(str(shipment.ref)).tracking_numbers
    )
    returned_result = shop.shipping.cancel(str(shipment.ref))
    assert (CancelState.APPROVED, "Shipment is successfully cancelled") == (
        returned_result.state,
        returned_result.vendor_status,
    )
    repeated_result = shop.shipping.cancel(shipment.ref)
    assert (CancelState.APPROVED, "CA") == (repeated_result.state, repeated_result.vendor_status)
    assert {"CA"} == {track["latestStatusDetail"]["code"] for track in shop.sandbox.tracks.values()}


def test_failed_cancellation_is_an_error(shop: SandboxHub) -> None:
    """A negative reply to a FedEx cancellation is an error; a malformed reply is a failure."""
    shipment = shop.buy_label_of_order()
    alert = {"code": "SHIPMENT.CANCEL.FAILED", "message": "Too late."}
    cancel = "PUT /ship/v1/shipments/cancel"
    shop.wire.planned[cancel] = [
        fedex_response(cancelledShipment=False, alerts=[alert]),
        fedex_response(cancelledShipment=False),
        fedex_response(),
        fedex_response(cancelledShipment=True),
    ]
    with pytest.raises(VendorRejected, match="Too late") as excinfo:
        shop.shipping.cancel(shipment.ref)
    assert "SHIPMENT.CANCEL.FAILED" == excinfo.value.vendor_code
    with pytest.raises(VendorRejected, match="no reason is given"):
        shop.shipping.cancel(shipment.ref)
    with pytest.raises(VendorFailed):
        shop.shipping.cancel(shipment.ref)
    assert "cancelledShipment" == shop.shipping.cancel(shipment.ref).vendor_status
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.cancel("fedex:fedex:7")
    assert "TRACKINGNUMBER.NOTFOUND" == excinfo.value.vendor_code


def test_incomplete_purchase_answers(shop: SandboxHub) -> None:
    """FedEx's documents, warnings and unusual labels are returned; a missing price is None."""
    document = {"contentType": "LABEL", "docType": "SVG", "url": "https://fedex.example/l"}
    auxiliary_document = {"contentType": "AUXILIARY"}
    sold_shipment = {
        "serviceType": "FEDEX_GROUND",
        "masterTrackingNumber": "1",
        "pieceResponses": [{"packageDocuments": [document, auxiliary_document]}, 7],
        "shipmentDocuments": [{"url": "https://fedex.example/invoice"}, {}],
        "alerts": [{"code": "A", "message": "B"}],
    }
    shop.wire.planned[SHIP] = [
        fedex_response(transactionShipments=[sold_shipment]),
        fedex_response(transactionShipments=[{"pieceResponses": [{"trackingNumber": "2"}]}]),
        fedex_response(transactionShipments=[{}]),
    ]
    first, second = shop.buy_label_of_order("k-1"), shop.buy_label_of_order("k-2")

    assert (("1",), None, ("https://fedex.example/invoice",)) == (
        first.tracking_numbers,
        first.cost,
        first.documents,
    )
    [label] = first.labels
    assert (LabelFormat.UNKNOWN, None, "https://fedex.example/l") == (
        label.format,
        label.content,
        label.url,
    )
    assert ["A"] == [warning.code for warning in first.warnings]
    assert (("2",), (), None) == (second.tracking_numbers, second.labels, second.service)
    with pytest.raises(OutcomeUnknown):
        shop.buy_label_of_order("k-3")


def test_lost_purchase_is_found_by_its_mark(shop: SandboxHub) -> None:
    """After a lost response, a FedEx purchase is found by its reference, but without its label."""
    shop.wire.planned[SHIP] = [Lost()]
    result = shop.buy_label_of_order(parcels=[PARCEL, PARCEL], ship_date=date(2130, 1, 2))

    fields = json.loads(shop.sandbox.requests[-1].body)["referencesInformation"]
    assert (sha256(b"\norder-1").hexdigest()[:32], "2130-01-03") == (
        fields["value"],
        fields["shipDateEndDate"],
    )
    assert [result.ref.id] == [*shop.sandbox.shipments]
    assert (2, (), ShipmentState.BOUGHT) == (
        len(result.tracking_numbers),
        result.labels,
        result.state,
    )
    assert "lost" in str(result.warnings[0].text)


@pytest.mark.parametrize(
    "answer",
    [
        Response(503),
        fedex_response(completeTrackResults=[]),
        fedex_response(completeTrackResults=[{"trackResults": [{}, 7]}, 7]),
        reply([]),
        reply({}),
    ],
    ids=["outage", "none", "odd", "list", "empty"],
)
def test_lost_purchase_that_is_not_found_is_unknown(shop: SandboxHub, answer: Response) -> None:
    """If a lost FedEx purchase is not found, its outcome is unknown."""
    shop.wire.planned[SHIP] = [Response(503)]
    shop.wire.planned[FIND] = [answer]
    with pytest.raises(OutcomeUnknown):
        shop.buy_label_of_order()
    with pytest.raises(OutcomeUnknown):
        shop.buy_label_of_order()

    assert {} == shop.sandbox.shipments


def test_only_a_whole_offer_can_be_bought(shop: SandboxHub) -> None:
    """A FedEx rate cannot be bought by its id alone, because FedEx stores no rates."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    count = len(shop.sandbox.requests)
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.create_shipment(str(rate.ref), idempotency_key="k-1")
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label("fedex:fedex:1")

    assert count == len(shop.sandbox.requests)
    with pytest.raises(UnsupportedByVendor, match="only in the response to the purchase"):
        asyncio.run(FedEx(account_number="1").get_labels(None, rate.ref, None))  # type: ignore[arg-type]  # nothing is sent
    assert rate.total == shop.shipping.create_shipment(rate, idempotency_key="k-1").cost


def test_reference_has_account_and_number() -> None:
    """The reference of a FedEx shipment has its account and tracking number."""
    shipment = SandboxHub().buy_label_of_order()

    assert Ref("fedex", "fedex", shipment.tracking_numbers[0]) == shipment.ref
