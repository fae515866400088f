"""UPS: rates, labels, cancellations, and purchases with a lost response."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.shipping import (
    CancelState,
    LabelFormat,
    Parcel,
    ShipmentRequest,
    ShipmentState,
)
from moorage.domain.values.money import Money
from moorage.errors import (
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, reply
from tests.vendors.ups_account import MARK, PARCEL, REQUEST, SandboxHub

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new UPS sandbox."""
    return SandboxHub()


def test_rates_have_the_negotiated_price(shop: SandboxHub) -> None:
    """A UPS rate has the account's negotiated price and also the list price."""
    rates = shop.shipping.get_rates(REQUEST).rates

    assert [
        ("ups_ground", "03", Money("12.34", "USD"), Money("15.20", "USD"), 3),
        ("ups_second_day_air", "02", Money("27.50", "USD"), Money("31.05", "USD"), 2),
        ("ups_next_day_air", "01", Money("62.00", "USD"), Money("62.00", "USD"), 1),
    ] == [
        (rate.service, rate.vendor_service, rate.total, rate.list_price, rate.delivery_days)
        for rate in rates
    ]
    assert ("UPS Ground", True) == (rates[0].service_name, rates[0].guaranteed)
    assert Money("62.00", "USD") == (
        shop.shipping.create_shipment(rates[2], idempotency_key="k-1").cost
    )


def test_unreadable_rate_becomes_a_message(shop: SandboxHub) -> None:
    """A UPS rate with an unreadable price becomes a message; an unknown service keeps its code."""
    rated_shipments = [
        {"Service": {"Code": "03"}, "TotalCharges": {"MonetaryValue": "free"}},
        {
            "Service": {"Code": "99"},
            "TotalCharges": {"MonetaryValue": "1.00", "CurrencyCode": "USD"},
        },
    ]
    alerts = {"Response": {"Alert": [{"Code": "110971", "Description": "It may vary."}]}}
    shop.sandbox.fail(reply({"RateResponse": {**alerts, "RatedShipment": rated_shipments}}))
    result = shop.shipping.get_rates(REQUEST)

    assert [("ups_99", None, None)] == [
        (rate.service, rate.service_name, rate.guaranteed) for rate in result.rates
    ]
    assert ["It may vary.", "A rate could not be read."] == [
        message.text for message in result.messages
    ]


def test_no_service_is_no_error(shop: SandboxHub) -> None:
    """If UPS has no service for a shipment there are no rates; other errors are raised."""
    shop.sandbox.fail(reply({"RateResponse": {"RatedShipment": []}}))
    result = shop.shipping.get_rates(REQUEST)
    assert ((), 1) == (result.rates, len(result.messages))
    shop.sandbox.fail(reply({"RateResponse": []}))
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)

    with pytest.raises(InvalidRequest) as excinfo:
        shop.shipping.get_rates(attrs.evolve(REQUEST, parcels=Parcel(weight=100)))
    assert "111035" == excinfo.value.vendor_code


@pytest.mark.parametrize("code", ["111210", "111217"])
def test_ups_without_a_service_between_two_places_has_no_rates(shop: SandboxHub, code: str) -> None:
    """If UPS reports that no service is available, there are no rates and no error."""
    words = "The requested service is unavailable between the selected locations."
    shop.sandbox.fail(reply({"response": {"errors": [{"code": code, "message": words}]}}, 400))
    result = shop.shipping.get_rates(REQUEST)

    assert ((), [(code, words)]) == (
        result.rates,
        [(message.code, message.text) for message in result.messages],
    )


def test_services_of_ups_have_names(shop: SandboxHub) -> None:
    """Each code of a UPS service has its name; an unknown one has none."""
    names = {
        "01": "UPS Next Day Air",
        "02": "UPS 2nd Day Air",
        "03": "UPS Ground",
        "07": "UPS Worldwide Express",
        "08": "UPS Worldwide Expedited",
        "11": "UPS Standard",
        "12": "UPS 3 Day Select",
        "13": "UPS Next Day Air Saver",
        "14": "UPS Next Day Air Early",
        "17": "UPS Worldwide Economy DDU",
        "54": "UPS Worldwide Express Plus",
        "59": "UPS 2nd Day Air AM",
        "65": "UPS Worldwide Saver",
        "72": "UPS Worldwide Economy DDP",
        "99": None,
    }
    price = {"MonetaryValue": "1.00", "CurrencyCode": "USD"}
    rated_shipments = [{"Service": {"Code": code}, "TotalCharges": price} for code in names]
    shop.sandbox.fail(reply({"RateResponse": {"RatedShipment": rated_shipments}}))
    rates = shop.shipping.get_rates(REQUEST).rates

    assert names == {rate.vendor_service: rate.service_name for rate in rates}


def test_shipment_costs_the_list_price_without_a_negotiated_one(shop: SandboxHub) -> None:
    """The cost of a bought shipment is UPS's negotiated price, or else its list price."""

    def without_negotiated_price(response: Any) -> Any:
        body = response.json()
        results = body["ShipmentResponse"]["ShipmentResults"]
        del results["NegotiatedRateCharges"]
        results["ShipmentCharges"]["TotalCharges"] = {"CurrencyCode": "USD", "MonetaryValue": "99"}
        return reply(body)

    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(AlteredAnswer(without_negotiated_price))
    shipment = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    assert Money("99", "USD") == shipment.cost


def test_only_a_whole_offer_is_bought(shop: SandboxHub) -> None:
    """A UPS rate cannot be bought by its id alone, because UPS stores no rates."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.shipping.create_shipment(str(rate.ref), idempotency_key="k-1")
    assert ("buy_by_reference",) == excinfo.value.capabilities
    wire: Any = None
    with pytest.raises(UnsupportedByVendor):
        shop.vendor.buy(wire, rate.ref, None, key="k-1").send(None)


def test_label_in_pdf_is_recovered_at_once(shop: SandboxHub) -> None:
    """A UPS label as PDF is fetched after the purchase; if that fails, the GIF is returned."""
    shipment = shop.buy_label_of_order()
    assert (
        "GIF"
        == (
            shop.last_request("/ship")["ShipmentRequest"]["LabelSpecification"]["LabelImageFormat"][
                "Code"
            ]
        )
    )
    assert (LabelFormat.PDF, "pdf") == (shipment.labels[0].format, shipment.ref.other("label"))

    rate = shop.shipping.get_rates(REQUEST).rates[0]
    real_answer = shop.sandbox.answer

    def answer(request: Any) -> Response:
        recovery_fails = request.path.endswith("/recovery")
        return reply({}, 500) if recovery_fails else real_answer(request)

    shop.sandbox.answer = answer  # type: ignore[method-assign]  # one answer fails
    shipment = shop.shipping.create_shipment(rate, idempotency_key="k-2")
    (label,) = shipment.labels
    assert (LabelFormat.UNKNOWN, "GIF", None) == (
        label.format,
        label.vendor_format,
        shipment.ref.other("label"),
    )
    assert (label.content or b"").startswith(b"GIF")
    assert () == shop.shipping.get_shipment(shipment.ref).labels


def test_labels_from_purchase_are_kept_if_ups_recovers_no_labels(shop: SandboxHub) -> None:
    """If UPS does not return the labels again, the labels from the purchase are returned."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    results = {
        "ShipmentIdentificationNumber": "1Z1",
        "PackageResults": [{"TrackingNumber": "1Z1"}],
        "ShipmentCharges": {},
    }
    alert = {"Alert": [{"Code": "120900", "Description": "User Id and Shipper Number"}]}
    sold_response = reply({"ShipmentResponse": {"Response": alert, "ShipmentResults": results}})
    shop.sandbox.fail(
        sold_response, reply({"LabelRecoveryResponse": {"ShipmentIdentificationNumber": "1"}})
    )
    bought_shipment = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    assert (("1Z1",), rate.total, "120900", None) == (
        bought_shipment.tracking_numbers,
        bought_shipment.cost,
        bought_shipment.warnings[0].code,
        bought_shipment.labels[0].content,
    )


@pytest.mark.parametrize("form", ["zpl", "epl", "pdf"])
def test_lost_purchase_is_found_with_its_label(shop: SandboxHub, form: str) -> None:
    """After a lost response, a UPS purchase and its label are found by the shipment's reference."""
    rate = shop.shipping.get_rates(attrs.evolve(REQUEST, label=form)).rates[0]
    shop.sandbox.fail(Lost())
    result = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    (number,) = shop.sandbox.shipments
    assert ((number,), rate.total, rate.service, form) == (
        result.tracking_numbers,
        result.cost,
        result.service,
        result.labels[0].format,
    )
    assert {"ReferenceNumber": {"Value": MARK}, "ShipperNumber": "A1B2C3"} == (
        shop.last_request("/recovery")["LabelRecoveryRequest"]["ReferenceValues"]
    )


@pytest.mark.parametrize("odd", [reply({}), reply({}, 500), reply({"LabelRecoveryResponse": 1})])
def test_unfound_purchase_is_unknown(shop: SandboxHub, odd: Response) -> None:
    """If a lost UPS purchase is not found, its outcome is unknown."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(Lost(), odd)
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")


def test_each_tenant_look_up_mark_is_different(shop: SandboxHub) -> None:
    """Tenants' look-up marks differ, because UPS searches references across all tenants."""
    request = ShipmentRequest(rate_request=REQUEST)
    shipping = shop.hub.shipping(tenant="acme")
    shipping.create_shipment(request, idempotency_key="k-1")
    (package,) = shop.last_request("/ship")["ShipmentRequest"]["Shipment"]["Package"]

    (reference,) = package["ReferenceNumber"]
    assert sha256(b"acme\nk-1").hexdigest()[:32] == reference["Value"] != MARK


def test_each_parcel_of_ups_shipment_has_its_own_number_and_label(shop: SandboxHub) -> None:
    """Each parcel of a UPS shipment has its own number and label, at once and later."""
    shipment = shop.buy_label_of_order(parcels=[PARCEL, PARCEL])

    assert 2 == len(set(shipment.tracking_numbers))
    assert list(shipment.tracking_numbers) == [label.tracking_number for label in shipment.labels]
    second = shop.shipping.get_label(shipment.ref, "zpl", parcel=2)
    assert (LabelFormat.ZPL, shipment.labels[1].tracking_number) == (
        second.format,
        second.tracking_number,
    )
    result = shop.shipping.get_shipment(shipment.ref)
    assert shipment.tracking_numbers == result.tracking_numbers


def test_shipment_unknown_to_tracking_is_bought(shop: SandboxHub) -> None:
    """A UPS shipment that was just bought can be read even if tracking does not know it yet."""
    shipment = shop.buy_label_of_order()
    shop.sandbox.fail(reply({"response": {"errors": [{"code": "TW0001"}]}}, 404))
    result = shop.shipping.get_shipment(shipment.ref)
    assert (ShipmentState.BOUGHT, shipment.labels) == (result.state, result.labels)
    with pytest.raises(VendorRejected):
        shop.shipping.get_shipment("ups:ups:1Z")
    shop.sandbox.fail(reply({"response": {"errors": [{"code": "TV1002"}]}}, 400))
    with pytest.raises(InvalidRequest):
        shop.shipping.get_shipment(shipment.ref)


def test_void_shipment_has_no_labels(shop: SandboxHub) -> None:
    """A voided UPS shipment has no labels, and voiding it again reports it as void."""
    shipment = shop.buy_label_of_order()
    returned_result = shop.shipping.cancel(shipment.ref)
    assert (CancelState.APPROVED, "Voided") == (
        returned_result.state,
        returned_result.vendor_status,
    )
    result = shop.shipping.get_shipment(shipment.ref)
    assert (ShipmentState.CANCELED, (), "MV") == (result.state, result.labels, result.vendor_status)

    shop.sandbox.fail(reply({"response": {"errors": [{"code": "190117"}]}}, 400))
    repeated_result = shop.shipping.cancel(shipment.ref)
    assert (CancelState.APPROVED, "MV") == (repeated_result.state, repeated_result.vendor_status)


def test_unclear_void_is_unknown(shop: SandboxHub) -> None:
    """If UPS does not confirm a void, the state of the cancellation is unknown."""
    shipment = shop.buy_label_of_order()
    shop.sandbox.fail(reply({"VoidShipmentResponse": {"SummaryResult": {"Status": {"Code": "0"}}}}))
    returned_result = shop.shipping.cancel(shipment.ref)

    assert (CancelState.UNKNOWN, "0") == (returned_result.state, returned_result.vendor_status)
