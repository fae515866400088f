"""A shop vendor under test, and a hub with an account there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.ref import Ref
from moorage.contracts.shops import FulfilledLine, Fulfilment, ShopsCapability
from moorage.domain.values.money import Money
from moorage.errors import ConnectionFailed, OutcomeUnknown
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.shops.base import BUYER, SKU

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.contracts.shops import ShopItem, ShopOrder
    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import Notice
    from moorage.testing.sandboxes.shops.base import ShopSandbox

ACCOUNT: Final = "shop"
PARCEL: Final = Fulfilment(
    tracking_number="1Z999", carrier="UPS", tracking_url="https://ups.example/1Z999"
)


@attrs.frozen(kw_only=True)
class ShopsSubject:
    """A shop vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox, with a default location if it needs one.
        sandbox: the sandbox, whose item costs 19.90 euros and whose shipping costs 4.50 euros.
        location: a location of the sandbox; None if the vendor has none.
        refusals: error responses to a request for an order, each with the error that it must raise,
            and the vendor's code that the error must keep.
        answers: responses about an order, with the fields of `ShopOrder` to be read from each.
        secrets: texts that no repr, error, event or log entry may contain, such as a token.
        report: makes the webhook about an order; None if the vendor sends none.
        webhook_secret: secret of the vendor's webhooks; None if it sends none.
    """

    vendor: Vendor
    sandbox: ShopSandbox
    location: str | None = None
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...]
    answers: tuple[tuple[Response, Mapping[str, Any]], ...]
    secrets: tuple[str, ...] = attrs.field(repr=False)
    report: Callable[[str], Notice] | None = None
    webhook_secret: str | None = attrs.field(default=None, repr=False)


class Harness(RecordedHarness[ShopsSubject]):
    """A shop vendor under test, with its hub and sandbox."""

    contract = "shops"
    account_name = ACCOUNT

    @property
    def shop(self) -> ShopSandbox:
        """The sandbox, which shows the shop as the merchant sees it."""
        return self.subject.sandbox

    def ref(self, id_: str) -> Ref:
        """Return the reference of an order in euros by its id."""
        return Ref(self.subject.vendor.name, ACCOUNT, id_, {"currency": "EUR"})

    async def order(self, *quantities: int) -> ShopOrder:
        """Add an order to the shop, and return it as the vendor reports it."""
        order: ShopOrder = await self("get_order", self.ref(self.shop.add_order(*quantities)))
        return order

    async def item(self) -> ShopItem:
        """Return the item of the shop."""
        page = await self("find_items", SKU)
        require(len(page.items) == 1, f"{len(page.items)} items were found, not one.")
        item: ShopItem = page.items[0]
        return item

    async def fulfil(self, ref: Ref, fulfilment: Fulfilment = PARCEL, key: str = "k-1") -> Any:
        """Report a parcel of an order to the shop."""
        return await self("fulfil", ref, fulfilment, idempotency_key=key)

    async def refund(self, ref: Ref, amount: str = "5.00", key: str = "k-1") -> Any:
        """Refund an amount in euros."""
        return await self("refund", ref, Money(amount, "EUR"), idempotency_key=key)

    def hidden(self) -> tuple[str, ...]:
        """Return texts that must stay hidden: the secrets, and the buyer's name."""
        return (*self.subject.secrets, BUYER, "ada@quayle.example", "Kai 1")


async def has_succeeded(doing: Awaitable[Any]) -> bool:
    """Return True if an operation succeeded, False if its response was lost."""
    try:
        await doing
    except (OutcomeUnknown, ConnectionFailed):
        return False
    return True


def calls_by_capability(harness: Harness) -> Mapping[ShopsCapability, Callable[[], Awaitable[Any]]]:
    """Return, for each capability, a call that requires it."""
    ref = harness.ref("1")
    partial_parcel = attrs.evolve(PARCEL, lines=(FulfilledLine(id="1", quantity=1),))
    return {
        ShopsCapability.PARTIAL_FULFILMENT: lambda: harness.fulfil(ref, partial_parcel),
        ShopsCapability.CANCEL: lambda: harness("cancel", ref),
        ShopsCapability.REFUND: lambda: harness.refund(ref),
        ShopsCapability.COMPARE_STOCK: lambda: harness("set_stock", ref, 1, expected=2),
        ShopsCapability.LOCATIONS: lambda: harness("set_stock", ref, 1, location="1"),
    }
