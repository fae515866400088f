"""The conformance kit of shipping passes good vendors, and notices wrong ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.shipping import (
    AddressVerdict,
    CancelState,
    LabelFormat,
    ShipmentState,
    TrackingStatus,
)
from moorage.domain.values.money import Money
from moorage.errors import VendorFailed, VendorRejected
from moorage.testing import name_of
from moorage.testing import shipping_conformance as kit
from moorage.vendors.shipping.easypost import EasyPost
from moorage.vendors.shipping.shippo import Shippo
from tests.vendors import shipping_subjects

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping import (
        AddressResult,
        CancelResult,
        Label,
        RateRequest,
        RateResult,
        Shipment,
        Tracking,
    )
    from moorage.contracts.wire import Wire


def as_easypost(kind: type[EasyPost]) -> kit.Factory:
    """A subject like EasyPost's, with another vendor."""

    def new_subject() -> kit.ShippingSubject:
        subject = shipping_subjects.easypost()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=kind(credentials=sandbox.api_key))

    return new_subject


def as_shippo(kind: type[Shippo]) -> kit.Factory:
    """A subject like Shippo's, with another vendor."""

    def new_subject() -> kit.ShippingSubject:
        subject = shipping_subjects.shippo()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=kind(credentials=sandbox.token))

    return new_subject


@attrs.frozen(kw_only=True)
class Lesser(EasyPost):
    """A vendor that sells labels, and does nothing else."""

    capabilities = frozenset()
    webhook = None  # type: ignore[assignment]  # every vendor may have none


def lesser() -> kit.ShippingSubject:
    """A vendor with few capabilities, which sends no events."""
    return attrs.evolve(as_easypost(Lesser)(), report=None, webhook_secret=None)


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_lesser_vendor_conforms(check: kit.Check) -> None:
    """Capabilities that a vendor does not declare are not checked."""
    check(lesser)


@attrs.frozen(kw_only=True)
class Forgetful(Shippo):
    """A vendor that buys a label for every request, even with the same key."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy under a new key each time."""
        return await super().buy(wire, rate, request, key=f"{key}-{wire.new_id()}")


@attrs.frozen(kw_only=True)
class Trusting(EasyPost):
    """Treats unreadable answers as success."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy, and be content with anything."""
        try:
            return await super().buy(wire, rate, request, key=key)
        except VendorFailed:
            return await super().get(wire, wire.ref(rate.other("shipment") or ""))


@attrs.frozen(kw_only=True)
class ShowingAddresses(EasyPost):
    """Shows addresses in errors."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Emit a warning that names the recipient."""
        bought = await super().buy(wire, rate, request, key=key)
        return attrs.evolve(bought, vendor_status="for Elizabeth Swan")


@attrs.frozen(kw_only=True)
class Quoting(EasyPost):
    """Requests the same rates twice."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get rates, and get them again."""
        await super().get_rates(wire, request, key=None)
        return await super().get_rates(wire, request, key=key)


@attrs.frozen(kw_only=True)
class Talkative(EasyPost):
    """Shows all that the vendor says in its errors."""

    async def buy(
        self, wire: Wire, rate: Ref, request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy, and repeat a refusal as it is."""
        try:
            return await super().buy(wire, rate, request, key=key)
        except VendorRejected as error:
            text = error.response.body.decode() if error.response else ""
            raise type(error)(
                "EasyPost refused.", status=error.status, vendor_message=text
            ) from None


@attrs.frozen(kw_only=True)
class Wasteful(EasyPost):
    """Buys a label when rates are requested."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Buy at once."""
        result = await super().get_rates(wire, request, key=key)
        if result.rates:
            await self.buy(wire, result.rates[0].ref, request, key=wire.new_id())
        return result


@attrs.frozen(kw_only=True)
class Wrong(EasyPost):
    """Reports wrong facts."""

    async def get(self, wire: Wire, ref: Ref, /) -> Shipment:
        """Report everything as bought."""
        return attrs.evolve(await super().get(wire, ref), state=ShipmentState.BOUGHT)

    async def get_labels(
        self, wire: Wire, ref: Ref, label: LabelFormat | None, /
    ) -> tuple[Label, ...]:
        """Every label is a picture."""
        labels = await super().get_labels(wire, ref, label)
        return tuple(attrs.evolve(label, format=LabelFormat.PNG) for label in labels)

    async def track_shipment(self, wire: Wire, ref: Ref, /) -> Tracking:
        """Report everything as in transit."""
        tracking = await super().track_shipment(wire, ref)
        return attrs.evolve(tracking, status=TrackingStatus.IN_TRANSIT)

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelResult:
        """Refuse every cancellation."""
        return attrs.evolve(await super().cancel(wire, ref), state=CancelState.REJECTED)

    async def validate_address(self, wire: Wire, address: Address, /) -> AddressResult:
        """Every address is good."""
        address_check = await super().validate_address(wire, address)
        return attrs.evolve(address_check, verdict=AddressVerdict.VALID)


def gullible() -> kit.ShippingSubject:
    """A vendor whose webhooks any sender can sign."""
    subject = shipping_subjects.easypost()
    return attrs.evolve(subject, webhook_secret="another secret, also long enough")


def open_handed() -> kit.ShippingSubject:
    """A vendor whose carrier refuses nothing."""
    return attrs.evolve(shipping_subjects.easypost(), no_label="90277")


@attrs.frozen(kw_only=True)
class Narrow(EasyPost):
    """Sends the first line of an address only."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get rates."""
        recipient = attrs.evolve(request.recipient, line2=None, line3=None)
        narrow = attrs.evolve(request, recipient=recipient)
        return await super().get_rates(wire, narrow, key=key)


@attrs.frozen(kw_only=True)
class Exchanging(EasyPost):
    """Declares goods in another currency."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get rates for goods in euros."""
        customs = request.customs
        if customs is not None:
            items = [attrs.evolve(item, value=Money("40", "EUR")) for item in customs.items]
            request = attrs.evolve(request, customs=attrs.evolve(customs, items=items))
        return await super().get_rates(wire, request, key=key)


@attrs.frozen(kw_only=True)
class Overinsuring(Shippo):
    """Insures in another currency."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get rates with an insurance in euros."""
        if request.insurance is not None:
            request = attrs.evolve(request, insurance=Money("100", "EUR"))
        return await super().get_rates(wire, request, key=key)


@attrs.frozen(kw_only=True)
class Reconsidering(EasyPost):
    """Asks for new rates when a purchase is repeated."""

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get rates without the key."""
        return await super().get_rates(wire, request, key=None)


@pytest.mark.parametrize(
    "factory, check",
    [
        (as_easypost(Exchanging), "money_keeps_its_currency"),
        (as_shippo(Overinsuring), "money_keeps_its_currency"),
        (as_easypost(Reconsidering), "a_repeat_keeps_its_offer"),
        (as_shippo(Forgetful), "a_key_buys_once"),
        (as_shippo(Forgetful), "a_lost_answer_buys_nothing_twice"),
        (as_shippo(Forgetful), "a_batch_that_was_cut_off_goes_on"),
        (as_easypost(Trusting), "a_malformed_answer_is_no_success"),
        (as_easypost(ShowingAddresses), "a_label_is_bought"),
        (as_easypost(Narrow), "an_address_arrives_whole"),
        (as_easypost(Wasteful), "offers_are_given"),
        (as_easypost(Quoting), "each_request_is_sent_once"),
        (as_easypost(Talkative), "no_error_shows_a_secret"),
        (as_easypost(Wrong), "a_label_is_bought"),
        (as_easypost(Wrong), "a_label_is_converted_or_not"),
        (as_easypost(Wrong), "a_parcel_is_followed"),
        (as_easypost(Wrong), "a_shipment_is_called_back"),
        (as_easypost(Wrong), "an_address_is_checked"),
        (open_handed, "a_refusal_has_its_type"),
    ],
)
def test_notices_broken_vendors(factory: kit.Factory, check: str) -> None:
    """A vendor with one fault fails the check for it, in both modes."""
    plain = {name_of(check): check for check in kit.CHECKS}
    async_checks = {name_of(check): check for check in kit.ASYNC_CHECKS}
    with pytest.raises(AssertionError):
        plain[check](factory)
    with pytest.raises(AssertionError):
        asyncio.run(async_checks[check](factory))


def test_notices_unverified_webhooks() -> None:
    """A vendor that accepts foreign signatures fails."""
    checks = {name_of(check): check for check in kit.CHECKS}
    with pytest.raises(Exception, match=r"signature|believed"):
        checks["events_are_accepted_if_signed"](gullible)
