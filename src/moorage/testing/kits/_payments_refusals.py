"""Checks that a vendor refuses the features that it lacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from moorage.contracts.payments import KIND, Customer, PaymentsCapability, ThreeDs
from moorage.contracts.ref import Ref
from moorage.errors import UnsupportedByVendor
from moorage.testing.kits._payments_disputes import EVIDENCE
from moorage.testing.kits._payments_harness import EUROS, FIRST, Harness
from moorage.testing.kits._payments_orders import BILLING, LINES, SHIPPING
from moorage.testing.kits._payments_payees import transfer_to
from moorage.testing.kits._payments_stored import FAR, link_request, stored_request
from moorage.testing.kits._payments_subscriptions import subscription_request
from moorage.testing.kits.checks import require
from moorage.wiring.installed_vendors import names_with_capabilities

Open: TypeAlias = Callable[[], Harness]


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        ref = Ref(harness.subject.vendor.name, FIRST, "1")

        def charge(**fields: Any) -> Callable[[], Awaitable[Any]]:
            return lambda: harness("charge", harness.order(**fields), idempotency_key="4")

        calls: Mapping[PaymentsCapability, Callable[[], Awaitable[Any]]] = {
            PaymentsCapability.INTENT: lambda: harness(
                "create_intent", harness.order(), idempotency_key="1"
            ),
            PaymentsCapability.COMPLETE: lambda: harness("complete", ref, idempotency_key="2"),
            PaymentsCapability.AUTHORIZE: lambda: harness(
                "authorize", harness.order(), idempotency_key="7"
            ),
            PaymentsCapability.VOID: lambda: harness("void", ref, idempotency_key="8"),
            PaymentsCapability.PARTIAL_CAPTURE: lambda: harness(
                "capture", ref, EUROS, idempotency_key="9"
            ),
            PaymentsCapability.MULTIPLE_CAPTURES: lambda: harness(
                "capture", ref, EUROS, final=False, idempotency_key="3"
            ),
            PaymentsCapability.LOOK_UP: lambda: harness("get", ref),
            PaymentsCapability.LOOK_UP_REFUND: lambda: harness("get_refund", ref),
            PaymentsCapability.LIST: lambda: harness("payments"),
            PaymentsCapability.DISPUTES: lambda: harness("disputes"),
            PaymentsCapability.LOOK_UP_DISPUTE: lambda: harness("get_dispute", ref),
            PaymentsCapability.ACCEPT_DISPUTE: lambda: harness(
                "accept_dispute", ref, idempotency_key="10"
            ),
            PaymentsCapability.DISPUTE_EVIDENCE: lambda: harness(
                "submit_evidence", ref, EVIDENCE, idempotency_key="11"
            ),
            PaymentsCapability.PAYOUTS: lambda: harness("payouts"),
            PaymentsCapability.OFF_SESSION: charge(off_session=True),
            PaymentsCapability.STORE_METHOD: charge(store_method=True),
            PaymentsCapability.STATEMENT_DESCRIPTOR: charge(statement_descriptor="ACME"),
            PaymentsCapability.BILLING_ADDRESS: charge(billing_address=BILLING),
            PaymentsCapability.SHIPPING_ADDRESS: charge(shipping_address=SHIPPING),
            PaymentsCapability.LINE_ITEMS: charge(lines=LINES),
            PaymentsCapability.THREE_DS: charge(three_ds=ThreeDs.ALWAYS),
            PaymentsCapability.STORE_MEANS: lambda: harness(
                "store_means", stored_request(harness), idempotency_key="5"
            ),
            PaymentsCapability.STORED_MEANS: lambda: harness("stored_means", "ada-1"),
            PaymentsCapability.LINKS: lambda: harness("get_link", ref),
            PaymentsCapability.LINK_EXPIRY: lambda: harness(
                "create_link", link_request(expires_at=FAR), idempotency_key="6"
            ),
            PaymentsCapability.LINK_ADDRESSES: lambda: harness(
                "create_link", link_request(billing_address=BILLING), idempotency_key="7"
            ),
            PaymentsCapability.LINK_LINE_ITEMS: lambda: harness(
                "create_link", link_request(lines=LINES), idempotency_key="8"
            ),
            PaymentsCapability.PAYOUT_ITEMS: lambda: harness("payout_items", ref),
            PaymentsCapability.PAYEES: lambda: harness(
                "pay_payee", transfer_to("1"), idempotency_key="12"
            ),
            PaymentsCapability.SUBSCRIPTIONS: lambda: harness("list_subscriptions"),
            PaymentsCapability.SUBSCRIPTION_SOURCE: lambda: harness(
                "create_subscription",
                subscription_request(harness, source="token", customer=Customer(id="ada-1")),
                idempotency_key="15",
            ),
            PaymentsCapability.SUBSCRIPTION_CONSENT: lambda: harness(
                "create_subscription",
                subscription_request(harness, source=None),
                idempotency_key="16",
            ),
            PaymentsCapability.SUBSCRIPTION_QUANTITY: lambda: harness(
                "create_subscription",
                subscription_request(harness, quantity=2),
                idempotency_key="13",
            ),
            PaymentsCapability.SUBSCRIPTION_PERIOD_END: lambda: harness(
                "cancel_subscription", ref, at_period_end=True, idempotency_key="14"
            ),
        }
        for capability in set(PaymentsCapability) - harness.capabilities:
            error = await harness.refused(UnsupportedByVendor, calls[capability](), str(capability))
            require(capability in error.capabilities, f"{capability} is not named.")
            needed_capabilities = frozenset(error.capabilities)
            if capability is PaymentsCapability.SUBSCRIPTION_QUANTITY:
                needed_capabilities |= subscription_request(harness, quantity=2).needs
            require(
                error.supported_by == names_with_capabilities(KIND, needed_capabilities),
                "The error does not name the vendors that support the operation.",
            )
        require(
            harness.sandbox.requests == [],
            "A request was sent for an operation that the vendor does not support.",
        )


REFUSALS: Final = (unsupported_features_are_refused,)
