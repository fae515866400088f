"""Checks of estimates of duties and taxes, and of electronic invoices for customs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.shipping import Customs, CustomsItem, ShippingCapability
from moorage.domain.values.money import Money
from moorage.errors import InvalidData
from moorage.testing.kits._shipping_harness import Harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.shipping import DutiesEstimate, RateRequest

Open: TypeAlias = Callable[[], Harness]

_FREIGHT: Final = Money("20.00", "USD")
_SHIRTS: Final = CustomsItem(
    description="Shirts",
    quantity=3,
    value=Money("100.00", "USD"),
    weight="0.6",
    hs_code="610910",
    origin="DE",
)
_FILE: Final = b"%PDF-1.4 invoice of Steve Brule"
_PENS: Final = CustomsItem(
    description="Pens",
    quantity=1,
    value=Money("10.00", "USD"),
    weight="0.1",
    hs_code="960810",
    origin="US",
)


def declared(harness: Harness, *items: CustomsItem) -> RateRequest:
    """Return a shipment abroad with these goods, or with shirts and pens."""
    customs = Customs(items=items or (_SHIRTS, _PENS), signer="Steve Brule")
    recipient = harness.address(country="CA", region="ON", postal_code="M4W1A8")
    return harness.request(recipient, customs=customs)


def electronic_invoices() -> dict[ShippingCapability, Customs]:
    """Return declarations whose invoice is sent electronically, by the capability they need."""
    customs = Customs(items=[_SHIRTS], signer="Steve Brule", invoice_number="INV-1")
    return {
        ShippingCapability.PAPERLESS_CUSTOMS: attrs.evolve(customs, paperless=True),
        ShippingCapability.INVOICE_UPLOAD: attrs.evolve(customs, invoice_file=_FILE),
    }


async def duties_are_estimated(make: Open) -> None:
    """Duties are exact amounts for each item and the shipment, and nothing is bought.

    The amounts are in the currency of the goods, and the items in the order of the declaration.
    """
    async with make() as harness:
        if ShippingCapability.DUTIES not in harness.capabilities:
            return
        estimate = partial(harness, "estimate_duties")
        result: DutiesEstimate = await estimate(declared(harness))
        require(result.goods == Money("110.00", "USD"), "The value of the goods is wrong.")
        require(len(result.items) == 2 and result.raw, "An item or the answer is missing.")
        amounts = [result.duties, result.taxes, result.fees, *(item.total for item in result.items)]
        require({amount.currency for amount in amounts} == {"USD"}, "The currency is wrong.")
        require(all(amount.minor >= 0 for amount in amounts), "A charge is negative.")
        on_items = sum((item.total for item in result.items), Money("0", "USD"))
        require(
            Money("0", "USD") < on_items <= result.total,
            "The charges on the items exceed the charges on the shipment.",
        )
        reordered_estimate: DutiesEstimate = await estimate(declared(harness, _PENS, _SHIRTS))
        require(reordered_estimate.items == result.items[::-1], "The items are in another order.")
        one_piece = attrs.evolve(_SHIRTS, quantity=1)
        piece_estimate: DutiesEstimate = await estimate(declared(harness, one_piece, _PENS))
        require(
            piece_estimate == result,
            "The charges depend on the number of pieces of the same value.",
        )
        harness.check_hides(repr(result), "An estimate")
        yen = attrs.evolve(_SHIRTS, value=Money("10000", "JPY"))
        in_yen: DutiesEstimate = await estimate(declared(harness, yen))
        require(in_yen.total.currency == "JPY", "Goods in yen have charges in another currency.")
        require(harness.sold() == 0, "A calculation of duties bought a shipment.")


async def duties_include_the_freight(make: Open) -> None:
    """The price of the transport is sent, and is part of the landed cost."""
    async with make() as harness:
        if ShippingCapability.DUTIES not in harness.capabilities:
            return
        estimate_without_freight: DutiesEstimate = await harness(
            "estimate_duties", declared(harness)
        )
        result: DutiesEstimate = await harness(
            "estimate_duties", declared(harness), freight=_FREIGHT
        )
        require(
            estimate_without_freight.total < result.total,
            "The price of the transport does not change the charges.",
        )
        require(result.freight == _FREIGHT, "The price of the transport is wrong.")
        landed_cost = Money("110.00", "USD") + _FREIGHT + result.total
        require(result.landed_cost == landed_cost, "The landed cost is wrong.")
        count = len(harness.sandbox.requests)
        refused: dict[str, dict[str, Any]] = {
            "Goods that nobody declares": {"shipment": harness.request()},
            "A transport in another currency": {"freight": Money("20.00", "EUR")},
        }
        for name, fields in refused.items():
            shipment = fields.pop("shipment", declared(harness))
            await harness.refused(InvalidData, harness("estimate_duties", shipment, **fields), name)
        require(len(harness.sandbox.requests) == count, "A request was sent for incomplete data.")


async def an_invoice_is_sent_electronically(make: Open) -> None:
    """A purchase orders the electronic invoice only if the declaration does, with your file."""
    async with make() as harness:
        for capability, customs in electronic_invoices().items():
            if capability not in harness.capabilities:
                continue
            marker = harness.subject.paperless
            paper = attrs.evolve(customs, paperless=False, invoice_file=None)
            for declaration in (paper, customs):
                count = len(harness.sandbox.requests)
                request = harness.request(harness.address(country="CA"), customs=declaration)
                key = f"{capability}-{declaration is paper}"
                shipment = await harness(
                    "create_shipment", harness.purchase(request), idempotency_key=key
                )
                bodies = b"".join(item.body for item in harness.sandbox.requests[count:])
                is_electronic = marker is not None and marker in bodies
                require(
                    is_electronic is (declaration is not paper),
                    "The invoice is not sent electronically.",
                )
                is_own = b64encode(_FILE) in bodies
                require(is_own is (declaration.invoice_file is not None), "The file is lost.")
                reprs = repr((request, shipment))
                require(
                    "Brule" not in reprs, "The repr of a request or shipment shows its invoice."
                )


DUTIES: Final = (
    duties_are_estimated,
    duties_include_the_freight,
    an_invoice_is_sent_electronically,
)
