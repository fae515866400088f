"""Handing parcels to a carrier: pickups, manifests, and service points."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.contracts.replays import replay_field
from moorage.contracts.shipping.rates import CarrierMessage, ShippingCapability
from moorage.contracts.validators import as_list, is_a, is_maybe, is_moment
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.values.money import Money


def shipment_refs(value: object) -> tuple[Ref, ...]:
    """The references of the given shipments, in their order and each only once.

    Raises:
        InvalidData: there are no references, one is not a reference, or they belong to several
            accounts.
    """
    items = [value] if isinstance(value, (Ref, str)) else as_list(value, "shipments")
    refs = tuple(dict.fromkeys(Ref.parse(item, "shipments") for item in items))
    if not refs:
        raise InvalidData(
            "The list of shipments to hand over is empty.",
            field="shipments",
            remedy="Give the `ref` of at least one bought shipment.",
        )
    if len({(ref.vendor, ref.account) for ref in refs}) > 1:
        raise InvalidData(
            "The shipments belong to several accounts.",
            field="shipments",
            remedy="Call this operation once for the shipments of each account.",
        )
    return refs


@frozen(kw_only=True)
class PickupRequest:
    """A pickup to schedule: a carrier's driver comes for bought shipments.

    Attributes:
        shipments: references of the shipments, all of one account.
        address: place of the shipments, with the person whom the driver asks for.
        earliest, latest: aware times between which the driver may come.
        instructions: note for the driver.
        reference: text of your own that the vendor stores with the pickup.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    shipments: tuple[Ref, ...] = field(converter=shipment_refs)
    address: Address = field(validator=is_a(Address))
    earliest: datetime = field(validator=is_moment)
    latest: datetime = field(validator=is_moment)
    instructions: str | None = field(default=None, validator=is_maybe(str), repr=False)
    reference: str | None = field(default=None, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a pickup whose latest time is not after its earliest time."""
        if self.earliest >= self.latest:
            raise InvalidData(
                "The pickup ends before it begins.",
                field="latest",
                remedy="Give a `latest` time after `earliest`.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this pickup."""
        several_shipments = {ShippingCapability.PICKUP_SEVERAL} if len(self.shipments) > 1 else ()
        return frozenset({ShippingCapability.PICKUP, *several_shipments})


class PickupState(StrEnum):
    """The state of a pickup."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    CANCELED = "canceled"
    FAILED = "failed"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Pickup:
    """A scheduled or cancelled pickup.

    Attributes:
        ref: reference of the pickup at the vendor.
        state: state of the pickup.
        vendor_status: the vendor's own word for the state.
        confirmation: the carrier's number of the pickup, for questions by telephone.
        earliest, latest: times between which the driver comes, if the vendor states them.
        cost: price, if the vendor states it.
        messages: messages of the carrier.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: PickupState
    vendor_status: str | None = None
    confirmation: str | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    cost: Money | None = None
    messages: tuple[CarrierMessage, ...] = ()
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


class ManifestState(StrEnum):
    """The state of a manifest."""

    PENDING = "pending"
    CREATED = "created"
    FAILED = "failed"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Manifest:
    """A manifest: one form by which a driver accepts many shipments together.

    Attributes:
        ref: reference of the manifest at the vendor.
        state: state of the manifest; the forms of a pending one come later.
        vendor_status: the vendor's own word for the state.
        documents: URLs of the forms to print. Anybody with such a URL can read the form.
        messages: messages of the carrier.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: ManifestState
    vendor_status: str | None = None
    documents: tuple[str, ...] = field(default=(), repr=False)
    messages: tuple[CarrierMessage, ...] = ()
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


class ServicePointKind(StrEnum):
    """The kind of a service point."""

    SHOP = "shop"
    LOCKER = "locker"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class ServicePoint:
    """A shop or locker of a carrier where recipients collect their parcels.

    Attributes:
        id: the carrier's id of the place, for `RateRequest.service_point`.
        carrier: carrier, by a name that all vendors share.
        address: address of the place, with its name.
        kind: kind of the place.
        distance: distance from the searched address in metres.
        raw: the vendor's complete response, such as with opening hours.
    """

    id: str
    carrier: str
    address: Address
    kind: ServicePointKind = ServicePointKind.UNKNOWN
    distance: int | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ServicePointResult:
    """The service points near an address, and messages of carriers without one there.

    Attributes:
        points: the service points, the nearest first.
        messages: messages of the carriers.
        raw: the vendor's complete response.
    """

    points: tuple[ServicePoint, ...]
    messages: tuple[CarrierMessage, ...] = ()
    raw: Any = field(default=None, repr=False, eq=False)
