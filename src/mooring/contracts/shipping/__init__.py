"""Shipping: what is sent, what it costs, the labels, and where it is.

`units` and `parcels` say what is sent, `rates` what carriers ask for it, `shipments` what was
bought, `tracking` where it is, `vendor` what a vendor does.
"""

from mooring.contracts.address import Address
from mooring.contracts.shipping.parcels import (
    Contents,
    Customs,
    CustomsItem,
    NonDelivery,
    Parcel,
)
from mooring.contracts.shipping.rates import (
    KIND,
    CarrierMessage,
    Choice,
    LabelFormat,
    LabelSize,
    Prize,
    Rate,
    RateRequest,
    RateResult,
    ShippingCapability,
    Signature,
)
from mooring.contracts.shipping.shipments import (
    AddressResult,
    AddressVerdict,
    CancelResult,
    CancelState,
    Label,
    Shipment,
    ShipmentRequest,
    ShipmentState,
)
from mooring.contracts.shipping.tracking import (
    Place,
    ShippingEvent,
    Tracking,
    TrackingEvent,
    TrackingStatus,
)
from mooring.contracts.shipping.units import LengthUnit, WeightUnit, converted
from mooring.contracts.shipping.vendor import ShippingVendor

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
    "Label",
    "LabelFormat",
    "LabelSize",
    "LengthUnit",
    "NonDelivery",
    "Parcel",
    "Place",
    "Prize",
    "Rate",
    "RateRequest",
    "RateResult",
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
    "converted",
]
