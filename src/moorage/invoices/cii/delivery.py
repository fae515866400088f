"""The delivery of a CII document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.invoices.binding import (
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Node,
    SpecialElement,
    read_value,
    write_nodes,
)
from moorage.invoices.cii.elements import moment, reference
from moorage.invoices.cii.parties import ADDRESS, id_texts, read_ids
from moorage.invoices.values import InvoiceDelivery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.vendor_sdk.xml_text import XmlElement


def _read_location(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    location_fields: Fields = {}
    read_ids(parent, location_fields, place)
    fields["location"] = next(iter(location_fields["ids"]), None)


def _write_location(value: Any, currency: str | None) -> Iterator[str]:
    del currency
    return id_texts(() if value.location is None else (value.location,))


_SHIP_TO: Final[tuple[Node, ...]] = (
    ElementEntry(
        "ram:ShipToTradeParty",
        (SpecialElement(_read_location, _write_location), FieldEntry("ram:Name", "name"), ADDRESS),
    ),
    ElementEntry("ram:ActualDeliverySupplyChainEvent", (moment("ram:OccurrenceDateTime", "date"),)),
)


def _read_delivery(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    delivery = read_value(InvoiceDelivery, _SHIP_TO, parent, place)
    if delivery != InvoiceDelivery():
        fields["delivery"] = delivery


def _write_delivery(value: Any, currency: str | None) -> Iterator[str]:
    if value.delivery is not None:
        yield write_nodes(_SHIP_TO, value.delivery, currency)


DELIVERY: Final = ElementEntry(
    "ram:ApplicableHeaderTradeDelivery",
    (
        SpecialElement(_read_delivery, _write_delivery),
        reference("ram:DespatchAdviceReferencedDocument", "despatch_advice"),
        reference("ram:ReceivingAdviceReferencedDocument", "receiving_advice"),
    ),
    always=True,
)
