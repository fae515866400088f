"""Checks of an order's addresses and lines, sent with payments and payment links."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.contracts.address import Address
from moorage.contracts.payments import LineItem, Money, PaymentsCapability
from moorage.testing.kits._payments_harness import Harness
from moorage.testing.kits._payments_stored import link_request
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.payments import Charge, LinkRequest, Payment, PaymentLink

Open: TypeAlias = Callable[[], Harness]

BILLING: Final = Address(
    name="Ada Byron", line1="Skalitzer 12", city="Berlin", postal_code="10999", country="DE"
)
SHIPPING: Final = Address(
    name="Grace Hopper", line1="Rua Augusta 7", city="Lisboa", postal_code="11001", country="PT"
)
LINES: Final = (
    LineItem(
        "Chair",
        Money("60.00", "EUR"),
        quantity=2,
        tax=Money("24.00", "EUR"),
        tax_rate=Decimal(20),
        sku="CH-1",
    ),
    LineItem("Delivery", Money("5.90", "EUR")),
)
"""Order lines whose sum is the amount of the usual order."""
_WORDS: Final = {
    PaymentsCapability.BILLING_ADDRESS: (b"Skalitzer", b"Berlin", b"10999"),
    PaymentsCapability.SHIPPING_ADDRESS: (b"Augusta", b"Lisboa", b"11001"),
    PaymentsCapability.LINE_ITEMS: (b"Chair", b"Delivery"),
    PaymentsCapability.LINK_ADDRESSES: (b"Skalitzer", b"Augusta"),
    PaymentsCapability.LINK_LINE_ITEMS: (b"Chair", b"Delivery"),
}


async def order_addresses_and_lines_are_sent(make: Open) -> None:
    """An order's addresses and lines are sent with the payment, and do not change its amount."""
    async with make() as harness:
        orders: dict[PaymentsCapability, Charge] = {
            PaymentsCapability.BILLING_ADDRESS: harness.order(
                harness.subject.billed, billing_address=BILLING
            ),
            PaymentsCapability.SHIPPING_ADDRESS: harness.order(shipping_address=SHIPPING),
            PaymentsCapability.LINE_ITEMS: harness.order(lines=LINES),
        }
        for capability, order in orders.items():
            if capability in harness.capabilities:
                request_count = len(harness.sandbox.requests)
                payment: Payment = await harness("charge", order, idempotency_key=capability.value)
                payment = await harness.settled(payment)
                require(payment.amount == order.amount, f"{order.amount} became {payment.amount}.")
                _check_words(harness, request_count, capability)


async def order_addresses_and_lines_are_sent_with_a_link(make: Open) -> None:
    """An order's addresses and lines are sent with the link, and do not change its amount."""
    async with make() as harness:
        requests: dict[PaymentsCapability, LinkRequest] = {
            PaymentsCapability.LINK_ADDRESSES: link_request(
                billing_address=BILLING, shipping_address=SHIPPING
            ),
            PaymentsCapability.LINK_LINE_ITEMS: link_request(lines=LINES),
        }
        for capability, request in requests.items():
            if capability in harness.capabilities:
                request_count = len(harness.sandbox.requests)
                link: PaymentLink = await harness(
                    "create_link", request, idempotency_key=capability.value
                )
                require(link.amount == request.amount, f"{request.amount} became {link.amount}.")
                _check_words(harness, request_count, capability)


def _check_words(harness: Harness, sent: int, capability: PaymentsCapability) -> None:
    """Check that the requests after the first `sent` contain the words for a capability."""
    body = b"".join(request.body for request in harness.sandbox.requests[sent:])
    lost_words = [word.decode() for word in _WORDS[capability] if word not in body]
    require(not lost_words, f"{capability} lost {', '.join(lost_words)}.")


ORDERS: Final = (order_addresses_and_lines_are_sent, order_addresses_and_lines_are_sent_with_a_link)
