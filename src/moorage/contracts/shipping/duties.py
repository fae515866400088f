"""Duties: an estimate of what a country charges for the import of a shipment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.shipping.parcels import Customs
    from moorage.contracts.shipping.rates import CarrierMessage, RateRequest
    from moorage.domain.values.money import Money


def declared_goods(shipment: RateRequest) -> Customs:
    """The customs declaration of a shipment.

    Raises:
        InvalidData: the shipment has none.
    """
    if shipment.customs is None:
        raise InvalidData(
            "The shipment must have a customs declaration.",
            field="shipment.customs",
            remedy="Declare the goods with their values and countries of origin.",
        )
    return shipment.customs


@frozen(kw_only=True)
class ItemDuties:
    """The estimated charges on one item of a customs declaration.

    Attributes:
        duties: customs duties.
        taxes: taxes on the import, such as VAT.
        fees: other charges on the item; also other taxes, if the vendor does not separate them.
        hs_code: customs tariff number by which the vendor calculated, if the vendor states it.
    """

    duties: Money
    taxes: Money
    fees: Money
    hs_code: str | None = None

    @property
    def total(self) -> Money:
        """The sum of duties, taxes and fees."""
        return self.duties + self.taxes + self.fees


@frozen(kw_only=True)
class DutiesEstimate:
    """The estimated charges on the import of a shipment, all in the currency of its goods.

    Attributes:
        goods: value of the goods.
        freight: price of the transport, as the caller gave it.
        items: charges on each item, in the order of the customs declaration.
        duties: customs duties on the whole shipment.
        taxes: taxes on the whole shipment.
        fees: fees for the whole shipment, such as the customs broker's fee.
        messages: messages of the vendor.
        raw: the vendor's complete response.
    """

    goods: Money
    freight: Money | None = None
    items: tuple[ItemDuties, ...]
    duties: Money
    taxes: Money
    fees: Money
    messages: tuple[CarrierMessage, ...] = ()
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def total(self) -> Money:
        """The sum of duties, taxes and fees, including those on the items."""
        return self.duties + self.taxes + self.fees

    @property
    def landed_cost(self) -> Money:
        """The sum of goods, freight, duties, taxes and fees."""
        cost = self.goods + self.total
        return cost if self.freight is None else cost + self.freight
