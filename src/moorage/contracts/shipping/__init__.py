"""Shipping: parcels, rates, shipments, labels and tracking.

`units` and `parcels` describe the goods, `rates` the carriers' prices, `duties` the charges on an
import, `shipments` purchases and labels, `handovers` pickups, manifests and service points,
`tracking` the progress of a delivery, and `vendor` the operations of a vendor.
"""

from moorage.contracts.address import Address
from moorage.contracts.shipping.duties import DutiesEstimate, ItemDuties
from moorage.contracts.shipping.handovers import (
    Manifest,
    ManifestState,
    Pickup,
    PickupRequest,
    PickupState,
    ServicePoint,
    ServicePointKind,
    ServicePointResult,
)
from moorage.contracts.shipping.parcels import (
    Contents,
    Customs,
    CustomsItem,
    NonDelivery,
    Parcel,
)
from moorage.contracts.shipping.rates import (
    KIND,
    CarrierMessage,
    Choice,
    LabelFormat,
    LabelSize,
    Rate,
    RateCriterion,
    RateRequest,
    RateResult,
    ShippingCapability,
    Signature,
)
from moorage.contracts.shipping.shipments import (
    AddressResult,
    AddressVerdict,
    CancelResult,
    CancelState,
    Label,
    Shipment,
    ShipmentRequest,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import (
    Place,
    ShippingEvent,
    Tracking,
    TrackingEvent,
    TrackingStatus,
)
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.contracts.shipping.vendor import ShippingVendor

__all__ = [
    "KIND",
    "Address",
    "AddressResult",
    "AddressVerdict",
    "CancelResult",
    "CancelState",
    "CarrierMessage",
    "Choice",
    "Contents",
    "Customs",
    "CustomsItem",
    "DutiesEstimate",
    "ItemDuties",
    "Label",
    "LabelFormat",
    "LabelSize",
    "LengthUnit",
    "Manifest",
    "ManifestState",
    "NonDelivery",
    "Parcel",
    "Pickup",
    "PickupRequest",
    "PickupState",
    "Place",
    "Rate",
    "RateCriterion",
    "RateRequest",
    "RateResult",
    "ServicePoint",
    "ServicePointKind",
    "ServicePointResult",
    "Shipment",
    "ShipmentRequest",
    "ShipmentState",
    "ShippingCapability",
    "ShippingEvent",
    "ShippingVendor",
    "Signature",
    "Tracking",
    "TrackingEvent",
    "TrackingStatus",
    "WeightUnit",
    "convert_measure",
]
