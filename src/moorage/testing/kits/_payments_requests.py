"""Checks of the requests of payment operations, and of list contents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.payments import Money, Page, Payment, PaymentQuery, PaymentsCapability
from moorage.errors import UnsupportedByVendor, VendorRejected
from moorage.testing.kits._payments_harness import FIRST, Harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.testing.sandboxes.base import SandboxRequest

Open: TypeAlias = Callable[[], Harness]
Call: TypeAlias = Callable[[], Awaitable[Any]]

_PART: Final = Money("50.00", "EUR")
_SHORT: Final = "k"
_LONG: Final = "a-key-of-an-order-" * 14 + "no"
"""A prefix of 254 characters: one more letter makes the longest allowed key, of 255 characters."""


async def each_step_carries_its_key(make: Open) -> None:
    """Each money-moving request is sent once, with the same idempotency key in each process.

    A key that is too long is replaced by one that the vendor accepts.
    """
    for key in (_SHORT, _LONG):
        first_keys, second_keys = (
            await _keys_of_moving_requests(make, key),
            await _keys_of_moving_requests(make, key),
        )
        require(
            first_keys == second_keys, "Another process sends other keys for the same operations."
        )


async def _keys_of_moving_requests(make: Open, prefix: str) -> list[str | None]:
    """Return the idempotency keys of all money-moving requests, in order."""
    async with make() as harness:

        def key(name: str) -> str:
            return f"{prefix}{name}"

        request_count = len(harness.sandbox.requests)
        payment = await harness.held(key("a"))
        request_count = _is_sent_once(harness, request_count, "authorize")
        if PaymentsCapability.PARTIAL_CAPTURE in harness.capabilities:
            await harness("capture", payment.ref, _PART, idempotency_key=key("b"))
            request_count = _is_sent_once(harness, request_count, "capture")
        if PaymentsCapability.AUTHORIZE in harness.capabilities:
            whole_payment = await harness.held(key("c"))
            request_count = len(harness.sandbox.requests)
            await harness("capture", whole_payment.ref, idempotency_key=key("d"))
            request_count = _is_sent_once(harness, request_count, "capture")
        if PaymentsCapability.VOID in harness.capabilities:
            voided_payment = await harness.held(key("e"))
            request_count = len(harness.sandbox.requests)
            await harness("void", voided_payment.ref, idempotency_key=key("f"))
            request_count = _is_sent_once(harness, request_count, "void")
        charged_payment: Payment = await harness(
            "charge", harness.order(), idempotency_key=key("g")
        )
        request_count = _is_sent_once(harness, request_count, "charge")
        charged_payment = await harness.settled(charged_payment)
        request_count = len(harness.sandbox.requests)
        await harness("refund", charged_payment.ref, _PART, idempotency_key=key("h"))
        request_count = _is_sent_once(harness, request_count, "refund")
        harness.subject.happen()
        try:
            await harness("refund", charged_payment.ref, idempotency_key=key("i"))
        except VendorRejected:
            require(
                request_count == len(harness.sandbox.requests),
                "A refused operation was sent to the vendor.",
            )
        request_count = _is_sent_once(harness, request_count, "refund")
        if PaymentsCapability.INTENT in harness.capabilities:
            order = harness.order(harness.subject.asks)
            intent: Payment = await harness("create_intent", order, idempotency_key=key("j"))
            request_count = _is_sent_once(harness, request_count, "create_intent")
            # A vendor may let the link expire instead.
            with suppress(VendorRejected, UnsupportedByVendor):
                await harness("void", intent.ref, idempotency_key=key("k"))
            request_count = _is_sent_once(harness, request_count, "void")
        for operation, read_call in _read_operations(harness, charged_payment.ref):
            await read_call()
            request_count = _is_sent_once(harness, request_count, operation)
        return [harness.key_of(request) for request in harness.sandbox.requests]


def _read_operations(harness: Harness, ref: Ref) -> list[tuple[str, Call]]:
    """Return the vendor's read-only operations."""
    look_ups: dict[PaymentsCapability, tuple[str, Call]] = {
        PaymentsCapability.LOOK_UP: ("get", partial(harness, "get", ref)),
        PaymentsCapability.LIST: ("payments", partial(harness, "payments", account=FIRST)),
        PaymentsCapability.DISPUTES: ("disputes", partial(harness, "disputes", account=FIRST)),
        PaymentsCapability.PAYOUTS: ("payouts", partial(harness, "payouts", account=FIRST)),
    }
    return [
        read_call
        for capability, read_call in look_ups.items()
        if capability in harness.capabilities
    ]


async def a_list_has_every_payment(make: Open) -> None:
    """A list of payments contains each payment exactly once, for any page size."""
    async with make() as harness:
        if PaymentsCapability.LIST not in harness.capabilities:
            return
        for number in range(3):
            await harness.settled(
                await harness("charge", harness.order(), idempotency_key=f"k-{number}")
            )
        full_page: Page[Payment] = await harness("payments", account=FIRST)
        refs = [payment.ref for payment in full_page.items]
        require(
            len(set(refs)) == len(refs) == harness.subject.charged(), "A payment is not listed."
        )
        listed_refs: list[Ref] = []
        next_ref: Ref | None = None
        while True:
            page: Page[Payment] = await harness(
                "payments", PaymentQuery(limit=2), after=next_ref, account=FIRST
            )
            listed_refs += [payment.ref for payment in page.items]
            require(len(listed_refs) <= len(refs), "A page repeats payments.")
            if page.next is None:
                break
            next_ref = page.next
        require(listed_refs == refs, "Pages of another size have other payments.")


def _is_sent_once(harness: Harness, sent: int, step: str) -> int:
    """Check that an operation repeats no request; return the number of its requests."""
    requests = harness.sandbox.requests[sent:]
    for number, request in enumerate(requests):
        repeated = [
            earlier_request
            for earlier_request in requests[:number]
            if _is_same_request(request, earlier_request)
        ]
        require(not repeated, f"A {step} sent {request.method} {request.path} twice.")
        if request.method == "GET" or harness.is_sign_in(request):
            continue
        if request.path.endswith(harness.subject.keyless):
            continue
        key = harness.key_of(request)
        require(key, f"A {step} sent {request.method} {request.path} without a key.")
        longest_key = harness.subject.longest_key
        require(len(key or "") <= longest_key, f"The key of a {step} is longer than {longest_key}.")
    return sent + len(requests)


def _is_same_request(one: SandboxRequest, other: SandboxRequest) -> bool:
    return (one.method, one.host, one.path, one.query, one.body) == (
        other.method,
        other.host,
        other.path,
        other.query,
        other.body,
    )


REQUESTS: Final = (
    each_step_carries_its_key,
    a_list_has_every_payment,
)
