"""Example calls to shipping vendors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.address import Address
from moorage.contracts.payments import Money
from moorage.contracts.shipping import (
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    Parcel,
    RateRequest,
    ShipmentRequest,
    ShippingCapability,
    Signature,
)

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.testing.uses.asking import At, Use

PARCEL: Final = Parcel(weight="1.5", length="30", width="20", height="10")
SHOP: Final = Address(
    name="ACME",
    line1="417 Montgomery Street",
    city="San Francisco",
    region="CA",
    postal_code="94104",
    country="US",
    phone="+14153334445",
    email="shop@acme.example",
)
ADA: Final = Address(
    name="Ada Lovelace",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    phone="+14155559999",
    email="ada@example.com",
)
ABROAD: Final = attrs.evolve(
    ADA, line1="1 Bloor Street", city="Toronto", region="ON", postal_code="M4W1A8", country="CA"
)


def parcel(at: At, **fields: Any) -> RateRequest:
    """Return a shipment to send."""
    usual: dict[str, Any] = {"sender": SHOP, "recipient": ADA, "parcels": [PARCEL]}
    return RateRequest(**{**usual, **at.trade.words.get("parcel", {}), **fields})


async def offered(at: At, **fields: Any) -> Any:
    """Return the rates of a shipment."""
    return (await at("get_rates", parcel(at, **fields))).rates


async def abroad(at: At) -> Any:
    """Over a border."""
    pen = CustomsItem(
        description="A pen",
        quantity=1,
        value=Money("10.00", "USD"),
        weight="1.0",
        hs_code="960810",
        origin="US",
    )
    return await offered(at, customs=Customs(items=[pen], signer="Ada"), recipient=ABROAD)


async def bought(at: At) -> Ref:
    """A parcel with its label."""
    request = ShipmentRequest(asked=parcel(at))
    return await at.ref("create_shipment", request, idempotency_key="1")


async def label_again(at: At) -> Any:
    """A label that was lost."""
    return (await at("get_label", await bought(at))).content


async def by_reference(at: At) -> Any:
    """An offer of which only the reference was kept."""
    offer = (await offered(at))[0].ref if at.able else await at.ref("")
    return (await at("create_shipment", str(offer), idempotency_key="1")).state


async def converted(at: At) -> Any:
    """A label written otherwise."""
    return (await at("get_label", await bought(at), LabelFormat.ZPL)).content


async def tracked(at: At) -> Any:
    """Return the tracking of a parcel."""
    return (await at("track_shipment", await bought(at))).number


async def called_back(at: At) -> Any:
    """A label that is not needed after all."""
    return (await at("cancel", await bought(at))).state


async def found(at: At) -> Any:
    """Whether there is such a place."""
    return (await at("validate_address", ADA)).verdict


BASIC: Final[dict[str, Use]] = {"get_rates": offered, "create_shipment": bought}

ABLE: Final[dict[str, Use]] = {
    ShippingCapability.MULTI_PARCEL: partial(offered, parcels=[PARCEL, PARCEL]),
    ShippingCapability.CUSTOMS: abroad,
    ShippingCapability.INSURANCE: partial(offered, insurance=Money("100.00", "USD")),
    ShippingCapability.SIGNATURE: partial(offered, signature=Signature.ADULT),
    ShippingCapability.SATURDAY_DELIVERY: partial(offered, saturday=True),
    ShippingCapability.RETURNS: partial(offered, is_return=True),
    ShippingCapability.LABEL_EPL: partial(offered, label=LabelFormat.EPL),
    ShippingCapability.LABEL_PAPER: partial(offered, label_size=LabelSize.A6),
    ShippingCapability.LABEL_AGAIN: label_again,
    ShippingCapability.CONVERT_LABEL: converted,
    ShippingCapability.BUY_BY_REFERENCE: by_reference,
    ShippingCapability.TRACK: tracked,
    ShippingCapability.CANCEL: called_back,
    ShippingCapability.VALIDATE_ADDRESS: found,
}
