"""Checks of stored payment methods, payment links and payout transactions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.payments import (
    LinkRequest,
    LinkState,
    Money,
    PaymentsCapability,
    PayoutItemKind,
    StoredState,
    StoreRequest,
    unexplained_amount,
)
from moorage.contracts.payments.requests import Customer
from moorage.contracts.ref import Ref
from moorage.errors import ConnectionFailed, InvalidData, VendorFailed
from moorage.testing.kits._contract_harness import with_body
from moorage.testing.kits._payments_harness import EUROS, FIRST, Harness
from moorage.testing.kits._payments_times import check_times
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

if TYPE_CHECKING:
    from moorage.contracts.payments import PaymentLink, StoredMeans

Open: TypeAlias = Callable[[], Harness]

FAR: Final = datetime(2100, 1, 1, tzinfo=UTC)
_NEW_WORD: Final = "levitated"
_LINK_AMOUNTS: Final = (
    EUROS,
    Money("500", "JPY"),
    Money("1.230", "KWD"),
    Money("9999999.99", "USD"),
)
_ENDED: Final = frozenset({LinkState.CLOSED, LinkState.EXPIRED})


def stored_request(harness: Harness) -> StoreRequest:
    """Return a request to store the subject's payment method."""
    return harness.subject.stores or StoreRequest("token", customer=Customer(id="ada-1"))


def link_request(amount: Money = EUROS, **fields: Any) -> LinkRequest:
    """Return a payment link for an invoice."""
    return LinkRequest(amount, reference="INV-2041", **fields)


async def means_are_stored_and_removed(make: Open) -> None:
    """A payment method is stored once per idempotency key, is listed, and can be removed."""
    async with make() as harness:
        if PaymentsCapability.STORE_MEANS not in harness.capabilities:
            return
        request = stored_request(harness)
        customer = request.customer_id
        await harness.refused(
            InvalidData,
            harness("store_means", request, idempotency_key=None),
            "Storing without a key",
        )
        ids_before = await _stored_ids(harness, customer)
        harness.sandbox.fail(Lost())
        lost_call = harness("store_means", request, idempotency_key="s-1")
        await harness.refused(ConnectionFailed, lost_call, "A lost answer")
        means: StoredMeans = await harness("store_means", request, idempotency_key="s-1")
        require(means.state is StoredState.STORED, f"Stored means are {means.state}.")
        _check_same_key(harness, "A repeated request to store")
        require(
            means.means is not None and means.means.stored,
            "The stored means of payment is not marked as stored.",
        )
        require(means.raw, "The result lacks the vendor's raw response.")
        require(request.source not in f"{request!r}{means!r}", "A source is shown.")
        ids = await _stored_ids(harness, customer)
        require(
            ids - ids_before == {means.ref.id},
            "The vendor does not have exactly one stored means of payment.",
        )
        require(
            not await _stored_ids(harness, "somebody-else"),
            "Another buyer sees the stored payment methods of a buyer.",
        )
        removed: StoredMeans = await harness("remove_means", means.ref, idempotency_key="s-2")
        require(removed.state is StoredState.REMOVED, f"Removed means are {removed.state}.")
        require(
            await _stored_ids(harness, customer) == ids_before,
            "The removed means of payment is still listed.",
        )
        harness.sandbox.fail(AlteredAnswer(partial(with_body, b"{}")))
        broken_call = harness("store_means", request, idempotency_key="s-3")
        await harness.refused(VendorFailed, broken_call, "An empty answer")


async def an_unknown_state_of_a_stored_method_is_unknown(make: Open) -> None:
    """A stored payment method in an unknown state is reported as unknown, never as stored."""
    async with make() as harness:
        if PaymentsCapability.STORE_MEANS not in harness.capabilities:
            return
        request = stored_request(harness)
        means: StoredMeans = await harness("store_means", request, idempotency_key="s-1")
        if isinstance(means.vendor_state, str):
            changed_means: StoredMeans = await harness.with_status(
                _NEW_WORD, "store_means", request, idempotency_key="s-2", other_key="s-3"
            )
            require(
                changed_means.state is StoredState.UNKNOWN,
                f"An unknown state is read as {changed_means.state}.",
            )


async def links_are_created_once(make: Open) -> None:
    """A payment link has the exact amount, is created once per key, and can be closed."""
    async with make() as harness:
        if PaymentsCapability.LINKS not in harness.capabilities:
            return
        created: list[PaymentLink] = []
        for number, amount in enumerate(_LINK_AMOUNTS):
            key = f"l-{number}"
            request = link_request(amount)
            harness.sandbox.fail(Lost())
            try:
                await harness("create_link", request, idempotency_key=key)
            except InvalidData:
                harness.sandbox.forget_faults()
                continue  # the vendor cannot represent the amount, and has reported that
            except ConnectionFailed:
                pass
            else:
                require(False, "A lost response raised no error.")
            link: PaymentLink = await harness("create_link", request, idempotency_key=key)
            _check_same_key(harness, "A repeated request for a link")
            require(link.state is LinkState.OPEN, f"A new link is {link.state}.")
            require(link.amount in {amount, None}, f"{amount} became {link.amount}.")
            require(link.url and link.url not in repr(link), "The URL is missing or shown.")
            created.append(link)
        require(created, "A payment link is created without an amount.")
        last_link = created[-1]
        known_link: PaymentLink = await harness("get_link", last_link.ref)
        require(
            (known_link.ref, known_link.url) == (last_link.ref, last_link.url),
            "Another link was looked up.",
        )
        closed: PaymentLink = await harness("close_link", last_link.ref, idempotency_key="c-1")
        require(closed.state in _ENDED, f"A closed link is {closed.state}.")
        harness.sandbox.fail(AlteredAnswer(partial(with_body, b"{}")))
        broken_call = harness("create_link", link_request(), idempotency_key="l-x")
        await harness.refused(VendorFailed, broken_call, "An empty answer")


async def transactions_explain_a_payout(make: Open) -> None:
    """A payout is listed once; its transactions name their payments and add up to its amount.

    Each transaction has the kind of what it is, and its own amounts add up too.
    """
    async with make() as harness:
        if PaymentsCapability.PAYOUT_ITEMS not in harness.capabilities:
            return
        require(
            harness.subject.pay_out is not None,
            "The subject has no `pay_out`, which pays out the charged money.",
        )
        payments = [
            await harness("charge", harness.order(), idempotency_key=f"k-{n}") for n in range(2)
        ]
        await harness("refund", payments[0].ref, Money("5.00", "EUR"), idempotency_key="r-1")
        harness.subject.happen()
        if harness.subject.pay_out is not None:
            harness.subject.pay_out()
        payouts = (await harness("payouts")).items
        require(payouts, "The list of payouts does not contain the payout.")
        require(len({item.ref for item in payouts}) == len(payouts), "A payout is listed twice.")
        payout = payouts[0]
        items, next_page = [], None
        while True:
            page = await harness("payout_items", payout.ref, after=next_page)
            items += page.items
            next_page = page.next
            if next_page is None:
                break
        require(unexplained_amount(payout, items).minor == 0, "The transactions do not add up.")
        paid_ids = {item.payment.id for item in items if item.payment is not None}
        require({payment.ref.id for payment in payments} <= paid_ids, "A payment is not named.")
        require(any(item.fee is not None and item.fee.minor > 0 for item in items), "No fee.")
        for item in items:
            check_times(item)
            amounts = (item.gross, item.fee, item.net)
            is_complete = None not in amounts
            require(
                not is_complete or item.gross - item.fee == item.net,
                f"The amounts of a transaction do not add up: {amounts}.",
            )
        kinds = [item.kind for item in items]
        require(
            kinds.count(PayoutItemKind.PAYMENT) == len(payments),
            f"{len(payments)} payments were paid out as {kinds}.",
        )
        require(PayoutItemKind.REFUND in kinds, f"A refund was paid out as one of {kinds}.")
        harness.sandbox.fail(AlteredAnswer(partial(with_body, b"[]")))
        broken_call = harness(
            "payout_items", Ref(harness.subject.vendor.name, FIRST, payout.ref.id)
        )
        await harness.refused(VendorFailed, broken_call, "A malformed list")


async def _stored_ids(harness: Harness, customer: str) -> set[str]:
    page = await harness("stored_means", customer, account=FIRST)
    return {item.ref.id for item in page.items}


def _check_same_key(harness: Harness, action: str) -> None:
    """Check that the last two requests that changed something had the same idempotency key."""
    changing_requests = [request for request in harness.sandbox.requests if request.method != "GET"]
    first_key, second_key = [harness.key_of(request) for request in changing_requests[-2:]]
    require(first_key is not None and first_key == second_key, f"{action} has another key.")


STORED: Final = (
    means_are_stored_and_removed,
    an_unknown_state_of_a_stored_method_is_unknown,
    links_are_created_once,
    transactions_explain_a_payout,
)
