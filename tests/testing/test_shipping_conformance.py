"""The conformance kit of shipping vendors passes correct ones, and finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.shipping import (
    AddressVerdict,
    CancelState,
    LabelFormat,
    PickupState,
    ShipmentState,
    ShippingCapability,
    TrackingStatus,
    WeightUnit,
)
from moorage.contracts.shipping.duties import declared_goods
from moorage.domain.values.money import Money
from moorage.errors import VendorFailed, VendorRejected
from moorage.testing import name_of
from moorage.testing import shipping_conformance as kit
from moorage.vendors.shipping.dhl_express import DhlExpress
from moorage.vendors.shipping.easypost import EasyPost
from moorage.vendors.shipping.shipengine import ShipEngine
from moorage.vendors.shipping.shippo import Shippo
from tests.vendors import shipping_subjects
from tests.vendors.subjects.dhl_express import dhl_express
from tests.vendors.subjects.shipengine import shipengine

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping import (
        AddressResult,
        CancelResult,
        DutiesEstimate,
        Label,
        Manifest,
        Pickup,
        PickupRequest,
        RateRequest,
        RateResult,
        ServicePointResult,
        Shipment,
        Tracking,
    )
    from moorage.contracts.wire import Wire


def as_easypost(kind: type[EasyPost]) -> kit.Factory:
    """Return a function that makes a test subject of EasyPost with another vendor class."""

    def new_subject() -> kit.ShippingSubject:
        subject = shipping_subjects.easypost()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=kind(credentials=sandbox.api_key))

    return new_subject


def as_shippo(kind: type[Shippo]) -> kit.Factory:
    """Return a function that makes a test subject of Shippo with another vendor class."""

    def new_subject() -> kit.ShippingSubject:
        subject = shipping_subjects.shippo()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=kind(credentials=sandbox.token))

    return new_subject


def as_dhl_express(kind: type[DhlExpress]) -> kit.Factory:
    """Return a function that makes a test subject of DHL Express with another vendor class."""

    def new_subject() -> kit.ShippingSubject:
        subject = dhl_express()
        sandbox: Any = subject.sandbox
        vendor = kind(
            username=sandbox.username,
            credentials=sandbox.password,
            account_number=sandbox.account_number,
        )
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


@attrs.frozen(kw_only=True)
class LesserVendor(EasyPost):
    """A correct vendor that can only quote prices, sell labels, and find its labels again."""

    capabilities = frozenset({ShippingCapability.RATES, ShippingCapability.FIND_LOST_LABEL})
    webhook = None  # type: ignore[assignment]  # every vendor may have none


def minimal_subject() -> kit.ShippingSubject:
    """Return a test subject with few capabilities and no webhooks."""
    return attrs.evolve(as_easypost(LesserVendor)(), report=None, webhook_secret=None)


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_capabilities_that_shipping_vendor_does_not_declare_are_not_checked(
    check: kit.Check,
) -> None:
    """The kit does not check capabilities that a shipping vendor does not declare."""
    check(minimal_subject)


@attrs.frozen(kw_only=True)
class KeylessLabelsVendor(Shippo):
    """A faulty vendor that ignores idempotency keys: it buys a label for every request."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy the label with a new key."""
        return await super().buy(wire, rate, request, key=f"{key}-{wire.new_id()}")


@attrs.frozen(kw_only=True)
class UnreadableIsSuccessVendor(EasyPost):
    """A faulty vendor that treats unreadable responses as a success."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy the label, and ignore an unreadable response."""
        try:
            return await super().buy(wire, rate, request, key=key)
        except VendorFailed:
            return await super().get(wire, wire.ref(rate.other("shipment") or ""))


@attrs.frozen(kw_only=True)
class ShowsRecipientVendor(EasyPost):
    """A faulty vendor whose results show a recipient's name."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy the label, and put the recipient's name into the status."""
        shipment = await super().buy(wire, rate, request, key=key)
        return attrs.evolve(shipment, vendor_status="for Elizabeth Swan")


@attrs.frozen(kw_only=True)
class RequestsRatesTwiceVendor(EasyPost):
    """A faulty vendor that requests the same rates twice."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request the rates twice."""
        await super().get_rates(wire, request, key=None)
        return await super().get_rates(wire, request, key=key)


@attrs.frozen(kw_only=True)
class ErrorsQuoteResponseVendor(EasyPost):
    """A faulty vendor whose errors quote the whole response."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy the label, and quote the response in the error."""
        try:
            return await super().buy(wire, rate, request, key=key)
        except VendorRejected as error:
            text = error.response.body.decode() if error.response else ""
            raise type(error)(
                "EasyPost refused.", status=error.status, vendor_message=text
            ) from None


@attrs.frozen(kw_only=True)
class FirstParcelVendor(Shippo):
    """A faulty vendor that ships only the first of several parcels."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates for the first parcel."""
        return await super().get_rates(
            wire, attrs.evolve(request, parcels=request.parcels[:1]), key=key
        )


class BuysWithRatesVendor(EasyPost):
    """A faulty vendor that buys a label when rates are requested."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates, and buy the first rate."""
        result = await super().get_rates(wire, request, key=key)
        if result.rates:
            await self.buy(wire, result.rates[0].ref, request, key=wire.new_id())
        return result


@attrs.frozen(kw_only=True)
class WrongResultsVendor(EasyPost):
    """A faulty vendor that reports wrong states, label formats and address checks."""

    async def get(self, wire: Wire, ref: Ref, /) -> Shipment:
        """Return the shipment with the state changed to bought."""
        return attrs.evolve(await super().get(wire, ref), state=ShipmentState.BOUGHT)

    async def get_labels(
        self, wire: Wire, ref: Ref, label: LabelFormat | None, /
    ) -> tuple[Label, ...]:
        """Return each label as a PNG image."""
        labels = await super().get_labels(wire, ref, label)
        return tuple(attrs.evolve(label, format=LabelFormat.PNG) for label in labels)

    async def track_shipment(self, wire: Wire, ref: Ref, /) -> Tracking:
        """Return the tracking result with the state changed to in transit."""
        tracking = await super().track_shipment(wire, ref)
        return attrs.evolve(tracking, status=TrackingStatus.IN_TRANSIT)

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelResult:
        """Return the cancellation with the state changed to rejected."""
        return attrs.evolve(await super().cancel(wire, ref), state=CancelState.REJECTED)

    async def validate_address(self, wire: Wire, address: Address, /) -> AddressResult:
        """Return the address marked as valid."""
        address_check = await super().validate_address(wire, address)
        return attrs.evolve(address_check, verdict=AddressVerdict.VALID)


def forged_secret_subject() -> kit.ShippingSubject:
    """Return a test subject whose sandbox signs webhooks with another secret."""
    subject = shipping_subjects.easypost()
    return attrs.evolve(subject, webhook_secret="another secret, also long enough")


def accepted_code_subject() -> kit.ShippingSubject:
    """Return a test subject whose "bad" postal code is in fact accepted."""
    return attrs.evolve(shipping_subjects.easypost(), no_label="90277")


@attrs.frozen(kw_only=True)
class OneAddressLineVendor(EasyPost):
    """A faulty vendor that sends only the first line of an address."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates with a shortened address."""
        recipient = attrs.evolve(request.recipient, line2=None, line3=None)
        narrow = attrs.evolve(request, recipient=recipient)
        return await super().get_rates(wire, narrow, key=key)


@attrs.frozen(kw_only=True)
class WrongGoodsCurrencyVendor(EasyPost):
    """A faulty vendor that declares goods in a wrong currency."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates for goods in euros."""
        customs = request.customs
        if customs is not None:
            items = [attrs.evolve(item, value=Money("40", "EUR")) for item in customs.items]
            request = attrs.evolve(request, customs=attrs.evolve(customs, items=items))
        return await super().get_rates(wire, request, key=key)


@attrs.frozen(kw_only=True)
class WrongInsuranceCurrencyVendor(Shippo):
    """A faulty vendor that insures parcels in a wrong currency."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates with an insurance in euros."""
        if request.insurance is not None:
            request = attrs.evolve(request, insurance=Money("100", "EUR"))
        return await super().get_rates(wire, request, key=key)


@attrs.frozen(kw_only=True)
class OtherUnitVendor(EasyPost):
    """A faulty vendor that sends weights in kilograms as if they were in pounds."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates for parcels whose unit of weight was mistaken."""
        units = {WeightUnit.KILOGRAM: WeightUnit.POUND}
        parcels = [
            attrs.evolve(parcel, weight_unit=units.get(parcel.weight_unit, parcel.weight_unit))
            for parcel in request.parcels
        ]
        return await super().get_rates(wire, attrs.evolve(request, parcels=parcels), key=key)


@attrs.frozen(kw_only=True)
class SwappedUnitWordsVendor(Shippo):
    """A faulty vendor that names kilograms as pounds, and pounds as kilograms."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates for parcels whose units of weight were swapped."""
        units = {WeightUnit.KILOGRAM: WeightUnit.POUND, WeightUnit.POUND: WeightUnit.KILOGRAM}
        parcels = [
            attrs.evolve(parcel, weight_unit=units.get(parcel.weight_unit, parcel.weight_unit))
            for parcel in request.parcels
        ]
        return await super().get_rates(wire, attrs.evolve(request, parcels=parcels), key=key)


@attrs.frozen(kw_only=True)
class OneWayVendor(EasyPost):
    """A faulty vendor that sends a customer's return like a shipment to the customer."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates for the way to the customer."""
        return await super().get_rates(wire, attrs.evolve(request, is_return=False), key=key)


@attrs.frozen(kw_only=True)
class KeylessRatesVendor(EasyPost):
    """A faulty vendor that requests rates without sending the idempotency key."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Request rates without the key."""
        return await super().get_rates(wire, request, key=None)


@attrs.frozen(kw_only=True)
class NeverCancelsPickupVendor(EasyPost):
    """A faulty vendor that does not cancel pickups, and returns no manifest forms."""

    async def cancel_pickup(self, wire: Wire, ref: Ref, /) -> Pickup:
        """Cancel the pickup, but report that it is still scheduled."""
        cancelled = await super().cancel_pickup(wire, ref)
        return attrs.evolve(cancelled, state=PickupState.SCHEDULED)

    async def create_manifest(
        self, wire: Wire, shipments: tuple[Ref, ...], /, *, key: str
    ) -> Manifest:
        """Create the manifest, but drop its forms."""
        created = await super().create_manifest(wire, shipments, key=key)
        return attrs.evolve(created, documents=())


@attrs.frozen(kw_only=True)
class KeylessPickupsVendor(EasyPost):
    """A faulty vendor that ignores the keys of pickups, and so books one for every request."""

    async def schedule_pickup(self, wire: Wire, request: PickupRequest, /, *, key: str) -> Pickup:
        """Schedule the pickup with a new key."""
        return await super().schedule_pickup(wire, request, key=f"{key}-{wire.new_id()}")


@attrs.frozen(kw_only=True)
class FarthestFirstVendor(ShipEngine):
    """A faulty vendor that lists the farthest service point first."""

    async def find_service_points(
        self, wire: Wire, address: Address, /, *, limit: int
    ) -> ServicePointResult:
        """Find the service points, and reverse their order."""
        result = await super().find_service_points(wire, address, limit=limit)
        return attrs.evolve(result, points=result.points[::-1])


@attrs.frozen(kw_only=True)
class ReordersItemsVendor(DhlExpress):
    """A faulty vendor that returns the charges on items in an order of its own."""

    async def estimate_duties(
        self, wire: Wire, shipment: RateRequest, /, *, freight: Money | None
    ) -> DutiesEstimate:
        """Estimate the duties, and sort the items by their charges."""
        estimate = await super().estimate_duties(wire, shipment, freight=freight)
        items = sorted(estimate.items, key=lambda item: item.total)
        return attrs.evolve(estimate, items=tuple(items))


@attrs.frozen(kw_only=True)
class DropsCentsVendor(DhlExpress):
    """A faulty vendor that sends the value of a piece without its cents."""

    async def estimate_duties(
        self, wire: Wire, shipment: RateRequest, /, *, freight: Money | None
    ) -> DutiesEstimate:
        """Estimate the duties on goods whose pieces have whole values."""
        customs = declared_goods(shipment)
        items = [
            attrs.evolve(
                item,
                value=Money(int(item.value.amount) // item.quantity * item.quantity, "USD"),
            )
            for item in customs.items
        ]
        shipment = attrs.evolve(shipment, customs=attrs.evolve(customs, items=items))
        estimate = await super().estimate_duties(wire, shipment, freight=freight)
        return attrs.evolve(estimate, goods=customs.value)


@attrs.frozen(kw_only=True)
class FreightlessVendor(DhlExpress):
    """A faulty vendor that does not send the price of the transport."""

    async def estimate_duties(
        self, wire: Wire, shipment: RateRequest, /, *, freight: Money | None
    ) -> DutiesEstimate:
        """Estimate the duties without the price of the transport."""
        estimate = await super().estimate_duties(wire, shipment, freight=None)
        return attrs.evolve(estimate, freight=freight)


@attrs.frozen(kw_only=True)
class PaperInvoiceVendor(DhlExpress):
    """A faulty vendor that sends no invoice electronically."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy the label with an invoice on paper."""
        if request is not None and request.customs is not None:
            customs = attrs.evolve(request.customs, paperless=False, invoice_file=None)
            request = attrs.evolve(request, customs=customs)
        return await super().buy(wire, rate, request, key=key)


@attrs.frozen(kw_only=True)
class OtherInvoiceVendor(DhlExpress):
    """A faulty vendor that sends an invoice of its own instead of the caller's."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy the label with another invoice."""
        if request is not None and request.customs is not None and request.customs.invoice_file:
            customs = attrs.evolve(request.customs, invoice_file=b"%PDF-1.4 another")
            request = attrs.evolve(request, customs=customs)
        return await super().buy(wire, rate, request, key=key)


class ShowsKeyVendor(EasyPost):
    """A faulty vendor whose repr shows its key."""

    def __repr__(self) -> str:
        """Show the key."""
        return f"EasyPost({self.credentials and self.credentials.reveal()})"


def indirect_subject() -> kit.ShippingSubject:
    """Return a test subject of ShipEngine with a faulty vendor."""
    subject = shipengine()
    sandbox: Any = subject.sandbox
    return attrs.evolve(subject, vendor=FarthestFirstVendor(credentials=sandbox.api_key))


@pytest.mark.parametrize(
    "factory, check",
    [
        (as_easypost(NeverCancelsPickupVendor), "a_pickup_is_scheduled_once"),
        (as_easypost(NeverCancelsPickupVendor), "a_manifest_is_created_once"),
        (as_easypost(KeylessPickupsVendor), "a_pickup_is_scheduled_once"),
        (indirect_subject, "service_points_are_offered"),
        (as_dhl_express(ReordersItemsVendor), "duties_are_estimated"),
        (as_dhl_express(DropsCentsVendor), "duties_are_estimated"),
        (as_dhl_express(FreightlessVendor), "duties_include_the_freight"),
        (as_dhl_express(PaperInvoiceVendor), "an_invoice_is_sent_electronically"),
        (as_dhl_express(OtherInvoiceVendor), "an_invoice_is_sent_electronically"),
        (as_easypost(WrongGoodsCurrencyVendor), "money_keeps_its_currency"),
        (as_shippo(WrongInsuranceCurrencyVendor), "money_keeps_its_currency"),
        (as_easypost(OtherUnitVendor), "a_weight_keeps_its_unit"),
        (as_shippo(SwappedUnitWordsVendor), "a_weight_keeps_its_unit"),
        (as_easypost(OneWayVendor), "a_return_goes_back"),
        (as_easypost(KeylessRatesVendor), "a_repeat_requests_no_new_rates"),
        (as_shippo(FirstParcelVendor), "each_parcel_has_a_label"),
        (as_shippo(KeylessLabelsVendor), "a_key_buys_once"),
        (as_shippo(KeylessLabelsVendor), "a_lost_answer_buys_nothing_twice"),
        (as_shippo(KeylessLabelsVendor), "an_interrupted_batch_is_completed"),
        (as_easypost(UnreadableIsSuccessVendor), "a_malformed_answer_is_no_success"),
        (as_easypost(ShowsRecipientVendor), "a_label_is_bought"),
        (as_easypost(OneAddressLineVendor), "an_address_arrives_whole"),
        (as_easypost(BuysWithRatesVendor), "rates_are_returned"),
        (as_easypost(RequestsRatesTwiceVendor), "each_request_is_sent_once"),
        (as_easypost(ErrorsQuoteResponseVendor), "no_error_shows_a_secret"),
        (as_easypost(ShowsKeyVendor), "no_log_shows_a_secret"),
        (as_easypost(WrongResultsVendor), "a_label_is_bought"),
        (as_easypost(WrongResultsVendor), "a_label_is_converted_or_refused"),
        (as_easypost(WrongResultsVendor), "a_parcel_is_tracked"),
        (as_easypost(WrongResultsVendor), "a_shipment_is_cancelled"),
        (as_easypost(WrongResultsVendor), "an_address_is_checked"),
        (accepted_code_subject, "a_refusal_has_its_type"),
    ],
)
def test_check_fails_for_a_faulty_vendor(factory: kit.Factory, check: str) -> None:
    """A shipping vendor with one fault fails the check for it, in sync and in async mode."""
    sync_check = {name_of(check): check for check in kit.CHECKS}
    async_checks = {name_of(check): check for check in kit.ASYNC_CHECKS}
    with pytest.raises(AssertionError):
        sync_check[check](factory)
    with pytest.raises(AssertionError):
        asyncio.run(async_checks[check](factory))


def test_check_fails_for_a_vendor_that_accepts_forged_webhooks() -> None:
    """A shipping vendor that accepts webhooks with forged signatures fails the check."""
    checks = {name_of(check): check for check in kit.CHECKS}
    with pytest.raises(Exception, match=r"signature|believed"):
        checks["events_are_accepted_if_signed"](forged_secret_subject)
