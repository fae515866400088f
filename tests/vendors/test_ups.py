"""UPS: what it is told, and how its answers are read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from mooring import ConfigurationError
from mooring.contracts.ref import Ref
from mooring.contracts.routes import Account
from mooring.contracts.shipping import (
    Address,
    AddressVerdict,
    CancelState,
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    Parcel,
    Place,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    Signature,
    TrackingStatus,
)
from mooring.domain.http import Request, Response, Timeouts
from mooring.domain.money import Money
from mooring.errors import (
    AuthenticationFailed,
    CredentialRefreshFailed,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from mooring.hub import Hub
from mooring.testing.sandbox.base import Lost, SandboxHttpClient, reply
from mooring.testing.sandbox.ups import UpsSandbox
from mooring.vendors._ups_answers import classify
from mooring.vendors._ups_requests import (
    address_body,
    by_mark,
    rates_body,
    recovery_body,
    shipment_body,
)
from mooring.vendors.ups import Ups

if TYPE_CHECKING:
    from mooring.contracts.shipping import Shipment
    from mooring.faces.shipping import Shipping

HERE = Address(
    name="Jack Sparrow",
    company="Acme",
    line1="388 Townsend St",
    line2="Apt 20",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="+1 (555) 555-5555",
)
THERE = Address(
    name="Ada Lovelace",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    residential=True,
)
AWAY = attrs.evolve(THERE, city="Toronto", region="ON", postal_code="M4W1A8", country="CA")
PARCEL = Parcel(weight="1.25", length=10, width="30.5", height=20)
REQUEST = RateRequest(sender=HERE, recipient=THERE, parcels=PARCEL)
CUSTOMS = Customs(
    items=[
        CustomsItem(
            description="Shirts of cotton, with short sleeves and a pocket",
            quantity=3,
            value=Money("10.00", "USD"),
            weight=1,
            hs_code="6109.10",
            origin="DE",
            sku="S-1",
        )
    ],
    signer="Steve Brule",
    invoice_number="INV-1",
    incoterm="DAP",
)
OFFER = Ref("ups", "ups", "03")
DAY = date(2030, 1, 2)
MARK = sha256(b"\nk-1").hexdigest()[:32]


class Shop:
    """A hub with UPS, and its sandbox."""

    def __init__(self) -> None:
        self.sandbox = UpsSandbox()
        self.vendor = Ups(
            client_id=self.sandbox.client_id,
            client_secret=self.sandbox.client_secret,
            account_number=self.sandbox.account_number,
        )
        account = Account("ups", self.vendor, settings={"retry": None, "circuit": None})
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.shipping: Shipping = self.hub.shipping()

    def bought(self, key: str = "order-1", **fields: Any) -> Shipment:
        """A shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(ShipmentRequest(asked=request), idempotency_key=key)

    def asked(self, path: str) -> Any:
        """The body of the latest request to a path that ends so."""
        return [one.json() for one in self.sandbox.asked if one.path.endswith(path)][-1]


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """A shop of its own for each test."""
    return Shop()


def told(**fields: Any) -> Any:
    """What buys a shipment."""
    request = attrs.evolve(REQUEST, **fields)
    body = shipment_body(
        request, OFFER, account="A1B2C3", goods="Merchandise", marked="key-1", day=DAY
    )
    return body["ShipmentRequest"]["Shipment"]


def test_a_parcel_is_told_in_the_units_of_its_country() -> None:
    """Sides are whole and the longest is first; nothing is told smaller than it is."""
    (package,) = told()["Package"]

    assert {
        "UnitOfMeasurement": {"Code": "LBS", "Description": "LBS"},
        "Weight": "2.8",
    } == package["PackageWeight"]
    assert {
        "UnitOfMeasurement": {"Code": "IN", "Description": "IN"},
        "Length": "13",
        "Width": "8",
        "Height": "4",
    } == package["Dimensions"]
    (package,) = told(sender=AWAY)["Package"]
    assert ("KGS", "1.3", "CM", "31") == (
        package["PackageWeight"]["UnitOfMeasurement"]["Code"],
        package["PackageWeight"]["Weight"],
        package["Dimensions"]["UnitOfMeasurement"]["Code"],
        package["Dimensions"]["Length"],
    )
    assert "Dimensions" not in told(parcels=Parcel(weight=1))["Package"][0]


def test_who_sends_is_who_pays() -> None:
    """The sender is the shipper, unless what cannot be delivered goes back elsewhere."""
    shipment = told()
    assert {
        "Name": "Acme",
        "AttentionName": "Jack Sparrow",
        "Address": {
            "AddressLine": ["388 Townsend St", "Apt 20"],
            "City": "San Francisco",
            "StateProvinceCode": "CA",
            "PostalCode": "94107",
            "CountryCode": "US",
        },
        "Phone": {"Number": "15555555555"},
        "ShipperNumber": "A1B2C3",
    } == shipment["Shipper"]
    assert "" == shipment["ShipTo"]["Address"]["ResidentialAddressIndicator"]
    assert {"ShipFrom", "Phone"}.isdisjoint({*shipment, *shipment["ShipTo"]})

    shipment = told(return_to=AWAY)
    assert ("Ada Lovelace", "Acme") == (shipment["Shipper"]["Name"], shipment["ShipFrom"]["Name"])


@pytest.mark.parametrize("recipient, home", [(THERE, True), (AWAY, False)])
def test_what_is_wished_is_told_where_ups_wants_it(recipient: Address, home: bool) -> None:  # noqa: FBT001 - a parameter
    """At home signatures and references are those of each package, and else of the shipment."""
    shipment = told(
        recipient=recipient,
        signature=Signature.ADULT,
        saturday=True,
        reference="order 7",
        insurance=Money("100.01", "USD"),
        parcels=[PARCEL, PARCEL],
    )
    references = [{"Value": "order 7"}, {"Value": "key-1"}]
    packages = shipment["Package"]

    assert "" == shipment["ShipmentServiceOptions"]["SaturdayDeliveryIndicator"]
    assert ["50.01", "50.00"] == [
        one["PackageServiceOptions"]["DeclaredValue"]["MonetaryValue"] for one in packages
    ]
    if home:
        assert {"DCISType": "3"} == packages[1]["PackageServiceOptions"]["DeliveryConfirmation"]
        assert references == packages[1]["ReferenceNumber"]
        assert "ReferenceNumber" not in shipment
    else:
        assert {"DCISType": "2"} == shipment["ShipmentServiceOptions"]["DeliveryConfirmation"]
        assert references == shipment["ReferenceNumber"]
        assert "ReferenceNumber" not in packages[1]


def test_what_nobody_wishes_is_not_told() -> None:
    """Without wishes there are no options; what does not fit on a label is refused."""
    shipment = told()

    assert "ShipmentServiceOptions" not in shipment
    assert "PackageServiceOptions" not in shipment["Package"][0]
    with pytest.raises(InvalidData):
        told(reference="o" * 36)


def test_customs_are_told_as_an_invoice() -> None:
    """UPS prints the invoice: with what one piece is worth, and in two lines if that is uneven."""
    shipment = told(recipient=AWAY, customs=CUSTOMS)

    assert {
        "FormType": ["01"],
        "InvoiceNumber": "INV-1",
        "InvoiceDate": "20300102",
        "ReasonForExport": "SALE",
        "TermsOfShipment": "DAP",
        "CurrencyCode": "USD",
        "DeclarationStatement": (
            "The information on this invoice is true and correct. Steve Brule"
        ),
        "Contacts": {
            "SoldTo": {
                "Name": "Ada Lovelace",
                "AttentionName": "Ada Lovelace",
                "Address": {
                    "AddressLine": ["179 N Harbor Dr"],
                    "City": "Toronto",
                    "StateProvinceCode": "ON",
                    "PostalCode": "M4W1A8",
                    "CountryCode": "CA",
                },
            }
        },
        "Product": [
            {
                "Description": ["Shirts of cotton, with short sleeve", "s and a pocket"],
                "Unit": {
                    "Number": count,
                    "UnitOfMeasurement": {"Code": "PCS"},
                    "Value": value,
                },
                "CommodityCode": "610910",
                "PartNumber": "S-1",
                "OriginCountryCode": "DE",
            }
            for count, value in (("2", "3.33"), ("1", "3.34"))
        ],
    } == shipment["ShipmentServiceOptions"]["InternationalForms"]
    assert {"CurrencyCode": "USD", "MonetaryValue": "10.00"} == shipment["InvoiceLineTotal"]
    assert "Shirts of cotton, with short sleeves and a pocket" == shipment["Description"]


def test_an_invoice_needs_a_number(shop: Shop) -> None:
    """A reference of ours will do; elsewhere than in Canada nothing is told besides the invoice."""
    german = attrs.evolve(AWAY, country="DE", region=None)
    customs = attrs.evolve(CUSTOMS, invoice_number=None, contents="other", explanation="Exhibition")
    shipment = told(recipient=german, customs=customs, reference="order 7", saturday=True)
    forms = shipment["ShipmentServiceOptions"]["InternationalForms"]

    assert ("order 7", "Exhibition") == (forms["InvoiceNumber"], forms["ReasonForExport"])
    assert "InvoiceLineTotal" not in shipment
    with pytest.raises(InvalidData):
        told(recipient=german, customs=customs)
    request = attrs.evolve(REQUEST, recipient=german, customs=customs)
    rate = shop.shipping.get_rates(request).rates[0]
    with pytest.raises(InvalidData):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")
    assert not shop.sandbox.shipments
    assert shop.bought(recipient=AWAY, customs=CUSTOMS).labels


def test_a_label_that_ups_does_not_print_is_refused(shop: Shop) -> None:
    """Pictures and other papers are refused before anything is sent, whenever they are asked."""
    wrong: list[dict[str, Any]] = [{"label": "png"}, {"label_size": LabelSize.A6}]
    for fields in wrong:
        with pytest.raises(UnsupportedByVendor):
            rates_body(attrs.evolve(REQUEST, **fields), "A1B2C3")
        with pytest.raises(UnsupportedByVendor):
            told(**fields)
    assert told(label_size="4x6")
    bought = shop.bought()
    asked = len(shop.sandbox.asked)
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label(bought.ref, "png")
    assert asked == len(shop.sandbox.asked)


def test_options_are_put_into_the_body_that_they_name(shop: Shop) -> None:
    """UPS is asked twice, so an option says for which of the two it is."""
    green = {"Shipment": {"ShipmentServiceOptions": {"UPScarbonneutralIndicator": ""}}}
    shop.bought(extra={"ups": {"shipment": green}})

    assert {"UPScarbonneutralIndicator": ""} == (
        shop.asked("/ship")["ShipmentRequest"]["Shipment"]["ShipmentServiceOptions"]
    )
    assert "ShipmentServiceOptions" not in shop.asked("/Shop")["RateRequest"]["Shipment"]


def test_a_price_is_the_one_that_was_negotiated(shop: Shop) -> None:
    """What the account pays counts, and what others pay is told beside it."""
    rates = shop.shipping.get_rates(REQUEST).rates

    assert [
        ("ups_ground", "03", Money("12.34", "USD"), Money("15.20", "USD"), 3),
        ("ups_second_day_air", "02", Money("27.50", "USD"), Money("31.05", "USD"), 2),
        ("ups_next_day_air", "01", Money("62.00", "USD"), Money("62.00", "USD"), 1),
    ] == [
        (one.service, one.vendor_service, one.total, one.list_price, one.delivery_days)
        for one in rates
    ]
    assert ("UPS Ground", True) == (rates[0].service_name, rates[0].guaranteed)
    assert Money("62.00", "USD") == (
        shop.shipping.create_shipment(rates[2], idempotency_key="k-1").cost
    )


def test_an_offer_without_a_price_is_told_apart(shop: Shop) -> None:
    """What cannot be read is no offer; a service that is new keeps its code."""
    rated = [
        {"Service": {"Code": "03"}, "TotalCharges": {"MonetaryValue": "free"}},
        {
            "Service": {"Code": "99"},
            "TotalCharges": {"MonetaryValue": "1.00", "CurrencyCode": "USD"},
        },
    ]
    alerts = {"Response": {"Alert": [{"Code": "110971", "Description": "It may vary."}]}}
    shop.sandbox.fail(reply({"RateResponse": {**alerts, "RatedShipment": rated}}))
    result = shop.shipping.get_rates(REQUEST)

    assert [("ups_99", None, None)] == [
        (one.service, one.service_name, one.guaranteed) for one in result.rates
    ]
    assert ["It may vary.", "An offer could not be read."] == [
        message.text for message in result.messages
    ]


def test_no_service_is_no_error(shop: Shop) -> None:
    """Where UPS has no service there is no offer; what is refused otherwise is refused."""
    shop.sandbox.fail(reply({"RateResponse": {"RatedShipment": []}}))
    result = shop.shipping.get_rates(REQUEST)
    assert ((), 1) == (result.rates, len(result.messages))
    shop.sandbox.fail(reply({"RateResponse": []}))
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)

    with pytest.raises(InvalidRequest) as caught:
        shop.shipping.get_rates(attrs.evolve(REQUEST, parcels=Parcel(weight=100)))
    assert "111035" == caught.value.vendor_code


def test_only_a_whole_offer_is_bought(shop: Shop) -> None:
    """UPS keeps no offers, so a reference alone buys nothing."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    with pytest.raises(UnsupportedByVendor) as caught:
        shop.shipping.create_shipment(str(rate.ref), idempotency_key="k-1")
    assert ("buy_by_reference",) == caught.value.capabilities
    wire: Any = None
    with pytest.raises(UnsupportedByVendor):
        shop.vendor.buy(wire, rate.ref, None, key="k-1").send(None)


def test_a_label_in_pdf_is_recovered_at_once(shop: Shop) -> None:
    """It is sold as a picture; if it cannot be recovered, the picture is what there is."""
    bought = shop.bought()
    assert (
        "GIF"
        == (
            shop.asked("/ship")["ShipmentRequest"]["LabelSpecification"]["LabelImageFormat"]["Code"]
        )
    )
    assert (LabelFormat.PDF, "pdf") == (bought.labels[0].format, bought.ref.other("label"))

    rate = shop.shipping.get_rates(REQUEST).rates[0]
    real = shop.sandbox.answer

    def answer(asked: Any) -> Response:
        lost = asked.path.endswith("/recovery")
        return reply({}, 500) if lost else real(asked)

    shop.sandbox.answer = answer  # type: ignore[method-assign]
    bought = shop.shipping.create_shipment(rate, idempotency_key="k-2")
    (label,) = bought.labels
    assert (LabelFormat.UNKNOWN, "GIF", None) == (
        label.format,
        label.vendor_format,
        bought.ref.other("label"),
    )
    assert (label.content or b"").startswith(b"GIF")
    assert () == shop.shipping.get_shipment(bought.ref).labels


def test_an_empty_recovery_is_none(shop: Shop) -> None:
    """An answer without labels takes nothing from what was sold."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    results = {
        "ShipmentIdentificationNumber": "1Z1",
        "PackageResults": [{"TrackingNumber": "1Z1"}],
        "ShipmentCharges": {},
    }
    alert = {"Alert": [{"Code": "120900", "Description": "User Id and Shipper Number"}]}
    sold = reply({"ShipmentResponse": {"Response": alert, "ShipmentResults": results}})
    shop.sandbox.fail(sold, reply({"LabelRecoveryResponse": {"ShipmentIdentificationNumber": "1"}}))
    bought = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    assert (("1Z1",), rate.total, "120900", None) == (
        bought.tracking_numbers,
        bought.cost,
        bought.warnings[0].code,
        bought.labels[0].content,
    )


@pytest.mark.parametrize("form", ["zpl", "epl", "pdf"])
def test_a_lost_purchase_is_found_with_its_label(shop: Shop, form: str) -> None:
    """What was bought is found by its mark, and its labels are recovered."""
    rate = shop.shipping.get_rates(attrs.evolve(REQUEST, label=form)).rates[0]
    shop.sandbox.fail(Lost())
    found = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    (number,) = shop.sandbox.shipments
    assert ((number,), rate.total, rate.service, form) == (
        found.tracking_numbers,
        found.cost,
        found.service,
        found.labels[0].format,
    )
    assert {"ReferenceNumber": {"Value": MARK}, "ShipperNumber": "A1B2C3"} == (
        shop.asked("/recovery")["LabelRecoveryRequest"]["ReferenceValues"]
    )


@pytest.mark.parametrize("odd", [reply({}), reply({}, 500), reply({"LabelRecoveryResponse": 1})])
def test_what_is_not_found_stays_unknown(shop: Shop, odd: Response) -> None:
    """If nobody can say whether it was bought, nobody says so."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(Lost(), odd)
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")


def test_a_tenants_mark_is_its_own(shop: Shop) -> None:
    """UPS knows the references of all tenants together, so one key of two has two marks."""
    request = ShipmentRequest(asked=REQUEST)
    shipping = shop.hub.shipping(tenant="acme")
    shipping.create_shipment(request, idempotency_key="k-1")
    (package,) = shop.asked("/ship")["ShipmentRequest"]["Shipment"]["Package"]

    (reference,) = package["ReferenceNumber"]
    assert sha256(b"acme\nk-1").hexdigest()[:32] == reference["Value"] != MARK


def test_each_parcel_has_its_label(shop: Shop) -> None:
    """Of several parcels each has a number and a label of its own, then and later."""
    bought = shop.bought(parcels=[PARCEL, PARCEL])

    assert 2 == len(set(bought.tracking_numbers))
    assert list(bought.tracking_numbers) == [one.tracking_number for one in bought.labels]
    second = shop.shipping.get_label(bought.ref, "zpl", parcel=2)
    assert (LabelFormat.ZPL, bought.labels[1].tracking_number) == (
        second.format,
        second.tracking_number,
    )
    found = shop.shipping.get_shipment(bought.ref)
    assert bought.tracking_numbers == found.tracking_numbers


def test_what_tracking_does_not_know_yet_is_bought(shop: Shop) -> None:
    """A label that was sold just now is found all the same; what nobody knows is refused."""
    bought = shop.bought()
    shop.sandbox.fail(reply({"response": {"errors": [{"code": "TW0001"}]}}, 404))
    found = shop.shipping.get_shipment(bought.ref)
    assert (ShipmentState.BOUGHT, bought.labels) == (found.state, found.labels)
    with pytest.raises(VendorRejected):
        shop.shipping.get_shipment("ups:ups:1Z")
    shop.sandbox.fail(reply({"response": {"errors": [{"code": "TV1002"}]}}, 400))
    with pytest.raises(InvalidRequest):
        shop.shipping.get_shipment(bought.ref)


def test_what_is_void_has_no_labels(shop: Shop) -> None:
    """A shipment that was called back is told so; asked again, it still is."""
    bought = shop.bought()
    back = shop.shipping.cancel(bought.ref)
    assert (CancelState.APPROVED, "Voided") == (back.state, back.vendor_status)
    found = shop.shipping.get_shipment(bought.ref)
    assert (ShipmentState.CANCELED, (), "MV") == (found.state, found.labels, found.vendor_status)

    shop.sandbox.fail(reply({"response": {"errors": [{"code": "190117"}]}}, 400))
    again = shop.shipping.cancel(bought.ref)
    assert (CancelState.APPROVED, "MV") == (again.state, again.vendor_status)


def test_a_void_of_which_nothing_is_said_is_unknown(shop: Shop) -> None:
    """An answer that does not say that it is void says nothing."""
    bought = shop.bought()
    shop.sandbox.fail(reply({"VoidShipmentResponse": {"SummaryResult": {"Status": {"Code": "0"}}}}))
    back = shop.shipping.cancel(bought.ref)

    assert (CancelState.UNKNOWN, "0") == (back.state, back.vendor_status)


def test_what_happened_is_told_in_order(shop: Shop) -> None:
    """Events come by the clock of UTC, from the first to the last; who signed is not shown."""
    bought = shop.bought()
    for kind in ("I", "O", "D"):
        shop.sandbox.move(bought.tracking_numbers[0], kind, "SR")
    tracking = shop.shipping.track_shipment(bought.ref)

    assert ["M", "I", "O", "D"] == [event.vendor_status for event in tracking.events]
    assert (TrackingStatus.DELIVERED, "SR") == (tracking.status, tracking.code)
    assert datetime(2030, 1, 4, 16, tzinfo=UTC) == tracking.delivered_at
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery
    assert Place(city="ONTARIO", region="CA", country="US") == tracking.events[0].location
    assert "TESTER" == tracking.signed_by
    assert "TESTER" not in repr(tracking)


def test_what_an_event_does_not_say_is_not_known(shop: Shop) -> None:
    """An event without a time or a place is read as far as it goes; a local time is better."""
    activity = [
        {"date": "20300102", "time": "71356", "status": {"type": "I "}},
        {"location": {"address": {"countryCode": "DE"}}},
    ]
    package = {"activity": activity, "deliveryDate": [{"type": "RDD", "date": "20300107"}]}
    shop.sandbox.fail(reply({"trackResponse": {"shipment": [{"package": [package]}]}}))
    tracking = shop.shipping.track("1Z", "ups")

    assert (TrackingStatus.IN_TRANSIT, datetime(2030, 1, 7, tzinfo=UTC)) == (
        tracking.status,
        tracking.estimated_delivery,
    )
    assert [None, datetime(2030, 1, 2, 7, 13, 56, tzinfo=UTC)] == [
        event.at for event in tracking.events
    ]
    assert Place(country="DE") == tracking.events[0].location
    shop.sandbox.fail(reply({"trackResponse": {"shipment": []}}))
    tracking = shop.shipping.track("1Z", "ups")
    assert (TrackingStatus.UNKNOWN, (), None) == (
        tracking.status,
        tracking.events,
        tracking.estimated_delivery,
    )


def test_parcels_of_others_are_not_followed(shop: Shop) -> None:
    """UPS follows what UPS carries, and says so before it is asked; nor does it know any number."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.track("1", "usps")
    assert [] == shop.sandbox.asked
    with pytest.raises(VendorRejected) as caught:
        shop.shipping.track("1Z", "UPS")
    assert "TW0001" == caught.value.vendor_code


def test_an_address_is_compared(shop: Shop) -> None:
    """What the post writes otherwise is named, and whether people live there is told."""
    checked = shop.shipping.validate_address(THERE)

    assert (AddressVerdict.CORRECTED, ("postal_code",), True) == (
        checked.verdict,
        checked.changes,
        checked.residential,
    )
    assert "90277-2506" == (checked.suggested and checked.suggested.postal_code)
    form = {
        "AddressLine": "179 N HARBOR DR",
        "PoliticalDivision2": "REDONDO BEACH",
        "PoliticalDivision1": "CA",
        "PostcodePrimaryLow": "90277",
        "CountryCode": "US",
    }
    answer = {"ValidAddressIndicator": "", "Candidate": [{"AddressKeyFormat": form}]}
    shop.sandbox.fail(reply({"XAVResponse": answer}))
    checked = shop.shipping.validate_address(THERE)
    assert (AddressVerdict.VALID, None) == (checked.verdict, checked.residential)


def test_an_address_that_is_none_is_told_apart(shop: Shop) -> None:
    """Several such addresses are unknown, none is invalid, and no answer is a failure."""
    shop.sandbox.fail(reply({"XAVResponse": {"AmbiguousAddressIndicator": "", "Candidate": [{}]}}))
    checked = shop.shipping.validate_address(THERE)
    assert (AddressVerdict.UNKNOWN, None, 1) == (
        checked.verdict,
        checked.suggested,
        len(checked.messages),
    )
    shop.sandbox.fail(reply({"XAVResponse": {"ValidAddressIndicator": ""}}))
    assert AddressVerdict.INVALID is shop.shipping.validate_address(THERE).verdict
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed):
        shop.shipping.validate_address(THERE)
    asked = len(shop.sandbox.asked)
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.validate_address(AWAY)
    assert asked == len(shop.sandbox.asked)


@pytest.mark.parametrize(
    "body, code",
    [
        ({"response": {"errors": [{"code": "250003", "message": "No."}]}}, "250003"),
        ({"errors": [{"code": "TV1002", "message": "No."}]}, "TV1002"),
    ],
)
def test_an_error_keeps_its_code(body: object, code: str) -> None:
    """UPS writes its errors in two places."""
    error: Any = classify(Request.get("/"), reply(body, 401))

    assert (AuthenticationFailed, code, "No.") == (
        type(error),
        error.vendor_code,
        error.vendor_message,
    )


@pytest.mark.parametrize(
    "answer",
    [
        Response(502, body=b"<html>"),
        Response(200, body=b"{}"),
        reply([], 400),
        reply({"response": {"errors": "none"}}, 400),
    ],
)
def test_an_error_without_a_code_is_told_by_its_status(answer: Response) -> None:
    """What UPS does not say is not read into its answer."""
    assert None is classify(Request.get("/"), answer)


def test_a_token_is_got_once_and_again_when_it_is_refused(shop: Shop) -> None:
    """One token serves many requests; who is refused gets another, and a wrong secret gets none."""
    shop.bought()
    shop.bought("order-2")
    assert 1 == shop.sandbox.tokens.granted
    shop.sandbox.tokens.forget()
    shop.shipping.get_rates(REQUEST)
    assert 2 == shop.sandbox.tokens.granted

    wrong = attrs.evolve(shop.vendor, client_secret="hush-hush")
    account = Account("ups", wrong, settings={"retry": None, "circuit": None})
    hub = Hub([account], http=SandboxHttpClient(shop.sandbox))
    with pytest.raises((AuthenticationFailed, CredentialRefreshFailed)) as caught:
        hub.shipping().get_rates(REQUEST)
    assert "hush-hush" not in f"{caught.value}{caught.value!r}"


def test_an_account_is_checked() -> None:
    """An id without a secret is told at once; without both a provider is asked for tokens."""
    with pytest.raises(ConfigurationError):
        Ups(account_number="A1B2C3", client_id="app")
    vendor = Ups(account_number="A1B2C3")
    assert ({}, True) == (vendor.clients(), vendor.services()[""].needs_credentials)
    vendor = Ups(account_number="A1B2C3", client_id="app-of-ours", client_secret="hush-hush")
    for hidden in ("A1B2C3", "app-of-ours", "hush-hush"):
        assert hidden not in repr(vendor)


def sent(shop: Shop, asked: Request) -> Response:
    """What the sandbox answers to who comes in."""
    shop.shipping.validate_address(THERE)
    token = shop.sandbox.asked[-1].headers.get("authorization") or ""
    url = f"https://onlinetools.ups.com{asked.path}"
    known = asked.with_header("Authorization", token)
    return SandboxHttpClient(shop.sandbox).send(known, url, Timeouts())


RATE = rates_body(REQUEST, "A1B2C3")
SHIP = shipment_body(REQUEST, OFFER, account="A1B2C3", goods="Goods", marked="k", day=DAY)
_RATE, _SHIP = RATE["RateRequest"]["Shipment"], SHIP["ShipmentRequest"]["Shipment"]
_PACKAGE = _RATE["Package"][0]
ABROAD = {"Name": "Ada", "Address": {"AddressLine": [], "CountryCode": "DE"}}


def rate(**fields: Any) -> Request:
    """A question that differs in this."""
    body = {"RateRequest": {"Request": {}, "Shipment": {**_RATE, **fields}}}
    return Request.post("/api/rating/v2409/Shop", json=body)


def boxed(length: str) -> Request:
    """A question for a box of this length."""
    dimensions = {**_PACKAGE["Dimensions"], "Length": length}
    return rate(Package=[{**_PACKAGE, "Dimensions": dimensions}])


def ship(code: str = "ZPL", **fields: Any) -> Request:
    """A purchase that differs in this."""
    label = {
        "LabelImageFormat": {"Code": code},
        "LabelStockSize": {"Height": "6", "Width": "4"},
    }
    shipment = {**_SHIP, **fields}
    body = {"ShipmentRequest": {"Request": {}, "Shipment": shipment, "LabelSpecification": label}}
    return Request.post("/api/shipments/v2409/ship", json=body)


def recover(label: LabelFormat = LabelFormat.PDF, **which: Any) -> Request:
    """A question for labels."""
    return Request.post("/api/labels/v1/recovery", json=recovery_body(label, which))


@pytest.mark.parametrize(
    "asked, code",
    [
        (Request.post("/api/rating/v2409/Shop", json={}), "9120002"),
        (rate(Colour="red"), "9120002"),
        (rate(Package={}), "9120002"),
        (rate(Shipper={**_RATE["Shipper"], "ShipperNumber": "ZZZZZZ"}), "120100"),
        (
            rate(ShipFrom={"Name": "A", "Address": {"AddressLine": [], "CountryCode": "DE"}}),
            "111057",
        ),
        (
            rate(Package=[{**_PACKAGE, "Dimensions": {**_PACKAGE["Dimensions"], "Length": "1.5"}}]),
            "111055",
        ),
        (
            rate(Package=[{**_PACKAGE, "Dimensions": {**_PACKAGE["Dimensions"], "Length": "1"}}]),
            "111050",
        ),
        (ship("PDF"), "120213"),
        (ship(Service={"Code": "99"}), "121100"),
        (ship(ReferenceNumber=[{"Value": "k"}]), "120541"),
        (recover(), "300068"),
        (recover(**by_mark("k", "ZZZZZZ")), "300068"),
        (recover(**by_mark("k", "A1B2C3")), "300070"),
        (recover(TrackingNumber="1Z"), "TW0001"),
        (Request.get("/api/track/v1/details/1Z"), "VSS002"),
        (Request.post("/api/addressvalidation/v2/3", json=address_body(AWAY)), "264002"),
    ],
)
def test_a_sandbox_is_as_strict_as_ups(shop: Shop, asked: Request, code: str) -> None:
    """Unknown, missing and mistyped fields are refused, and whatever else UPS refuses."""
    answer = sent(shop, asked)

    assert 400 <= answer.status < 500
    assert f'"code":"{code}"' in answer.text


def test_a_sandbox_recovers_what_it_may(shop: Shop) -> None:
    """Labels of what is void are gone, and a picture is no format of labels."""
    bought = shop.bought()
    body = recovery_body(LabelFormat.PDF, {"TrackingNumber": bought.ref.id})
    picture = {**body["LabelRecoveryRequest"]}
    picture["LabelSpecification"] = {"LabelImageFormat": {"Code": "PNG"}}
    path = "/api/labels/v1/recovery"
    answer = sent(shop, Request.post(path, json={"LabelRecoveryRequest": picture}))
    assert "300071" in answer.text
    shop.shipping.cancel(bought.ref)
    assert "300069" in sent(shop, Request.post(path, json=body)).text
    refused = SandboxHttpClient(shop.sandbox).send(
        Request.post(path, json=body), f"https://onlinetools.ups.com{path}", Timeouts()
    )
    assert 401 == refused.status
