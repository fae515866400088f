"""The conformance kit of payment vendors finds dropped keys, repeats and incomplete lists."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.payments import Page
from moorage.testing import payments_conformance as kit
from moorage.vendors.payments.mollie import Mollie
from tests.vendors.subjects.mollie import mollie

if TYPE_CHECKING:
    from moorage.contracts.payments import Charge, Payment, PaymentQuery, Refund, Void
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

_NUMBERS = count()


class _KeylessWire:
    """A connection that sends requests without their idempotency key."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    async def send(self, request: Any, **keywords: Any) -> Any:
        """Send the request without its idempotency key."""
        return await self._wire.send(request, **{**keywords, "key": None})


class _VerboseWire(_KeylessWire):
    """A connection that lengthens each idempotency key."""

    async def send(self, request: Any, **keywords: Any) -> Any:
        """Send the request with a longer idempotency key."""
        key = keywords.get("key")
        return await self._wire.send(
            request, **{**keywords, "key": key and f"{key}-for-the-vendor"}
        )


@attrs.frozen(kw_only=True)
class KeylessVendor(Mollie):
    """A faulty vendor that refunds without an idempotency key."""

    async def refund(self, wire: Wire, *options: Any, **keywords: Any) -> Refund:
        """Refund without the idempotency key."""
        keyless: Any = _KeylessWire(wire)
        return await Mollie.refund(self, keyless, *options, **keywords)


@attrs.frozen(kw_only=True)
class TooLongKeyVendor(Mollie):
    """A faulty vendor that charges with an idempotency key that is too long."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge with a longer idempotency key."""
        verbose: Any = _VerboseWire(wire)
        return await Mollie.charge(self, verbose, charge, key=key)


@attrs.frozen(kw_only=True)
class NewKeyPerVoidVendor(Mollie):
    """A faulty vendor that voids with a new idempotency key each time."""

    async def void(self, wire: Wire, ref: Ref, /, *, key: str) -> Void:
        """Void with a new idempotency key."""
        return await Mollie.void(self, wire, ref, key=f"{key}-{next(_NUMBERS)}")


@attrs.frozen(kw_only=True)
class AuthorisesTwiceVendor(Mollie):
    """A faulty vendor that sends each authorisation twice."""

    async def authorize(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise twice."""
        await Mollie.authorize(self, wire, charge, key=f"{key}/first")
        return await Mollie.authorize(self, wire, charge, key=key)


@attrs.frozen(kw_only=True)
class LosesLastPaymentVendor(Mollie):
    """A faulty vendor that loses the last payment of each page."""

    async def payments(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payment]:
        """List payments without the last one of the page."""
        page = await Mollie.payments(self, wire, query, after)
        return Page(page.items[:-1], page.next)


@attrs.frozen(kw_only=True)
class PagesInCircleVendor(Mollie):
    """A faulty vendor whose last page of payments leads to the first page again."""

    async def payments(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payment]:
        """List payments, with a next page after the last one."""
        page = await Mollie.payments(self, wire, query, after)
        return Page(page.items, page.next or (after and page.items[0].ref))


@pytest.mark.parametrize(
    "kind, check, message",
    [
        (KeylessVendor, "each_step_carries_its_key", "without a key"),
        (TooLongKeyVendor, "each_step_carries_its_key", "is longer than 64"),
        (NewKeyPerVoidVendor, "each_step_carries_its_key", "other keys"),
        (AuthorisesTwiceVendor, "each_step_carries_its_key", "twice"),
        (LosesLastPaymentVendor, "a_list_has_every_payment", "is not listed"),
        (PagesInCircleVendor, "a_list_has_every_payment", "repeats payments"),
    ],
)
def test_check_fails_for_a_faulty_vendor(kind: type[Mollie], check: str, message: str) -> None:
    """A payment vendor with one of these faults fails the check, in sync and in async mode."""

    def subject() -> kit.PaymentsSubject:
        subject = mollie()
        vendor: Any = subject.vendor
        webhook_url = vendor.webhook_url
        return attrs.evolve(
            subject, vendor=kind(credentials=subject.secret, webhook_url=webhook_url)
        )

    sync_check = next(item for item in kit.CHECKS if item.__name__ == check)
    async_check = next(item for item in kit.ASYNC_CHECKS if item.__name__ == check)

    with pytest.raises(AssertionError, match=message):
        sync_check(subject)
    with pytest.raises(AssertionError, match=message):
        asyncio.run(async_check(subject))
