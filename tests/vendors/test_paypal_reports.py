"""PayPal's lists of disputes, payments and payouts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from moorage.contracts.payments import DisputeState, PaymentQuery, PaymentState, PayoutState
from moorage.contracts.ref import Ref
from moorage.errors import InvalidData
from moorage.testing.sandboxes.base import reply
from tests.vendors.paypal_account import EUROS, TEN, SandboxHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.contracts.payments import Payment


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by PayPal."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- disputes --------------------------------------------------------------


def test_disputes_come_in_pages(shop: SandboxHub) -> None:
    """PayPal disputes are listed page by page, without those after the requested period."""
    assert () == shop.payments.disputes().items
    payment = shop.charged()
    capture = payment.captures[0].ref.id
    keys = [shop.sandbox.dispute(capture)["dispute_id"] for _ in range(3)]
    now = datetime.now(UTC)
    query = PaymentQuery(since=now - timedelta(days=1), until=now + timedelta(days=1), limit=2)
    first = shop.payments.disputes(query)
    assert "2" == dict(shop.last_request().query)["page_size"]
    second = shop.payments.disputes(query, after=first.next)
    results = [item.ref.id for page in (first, second) for item in page.items]
    late_disputes = shop.payments.disputes(PaymentQuery(until=now - timedelta(hours=1), limit=500))

    assert keys[::-1] == results
    assert second.next is None
    assert () == late_disputes.items
    assert "50" == dict(shop.last_request().query)["page_size"]
    dispute = first.items[0]
    assert (DisputeState.NEEDS_RESPONSE, EUROS, None) == (
        dispute.state,
        dispute.amount,
        dispute.payment,
    )
    assert dispute.respond_by is not None


def test_dispute_list_from_before_paypals_history_is_refused(shop: SandboxHub) -> None:
    """A list of PayPal disputes must not begin more than 180 days ago."""
    start = datetime.now(UTC) - timedelta(days=181)
    with pytest.raises(InvalidData, match="last 180 days") as excinfo:
        shop.payments.disputes(PaymentQuery(since=start))

    assert "since" == excinfo.value.field
    assert [] == shop.sandbox.requests


@pytest.mark.parametrize(
    "fields, state",
    [
        ({"status": "OPEN", "dispute_life_cycle_stage": "INQUIRY"}, DisputeState.INQUIRY),
        ({"status": "OPEN"}, DisputeState.UNDER_REVIEW),
        ({"status": "UNDER_REVIEW"}, DisputeState.UNDER_REVIEW),
        ({"status": "RESOLVED"}, DisputeState.CLOSED),
        ({"status": "NEW WORD"}, DisputeState.UNKNOWN),
    ],
)
def test_each_paypal_dispute_status_has_state(
    fields: dict[str, str], state: DisputeState, shop: SandboxHub
) -> None:
    """Each PayPal dispute status has a state; for an unknown status, PayPal's word is kept."""
    items = [{"dispute_id": "PP-1", **fields}, {"dispute_id": "PP-2"}, "garbage"]
    shop.sandbox.fail(reply({"items": items}))
    [dispute] = shop.payments.disputes().items

    assert (state, fields["status"]) == (dispute.state, dispute.vendor_state)


def test_strange_link_to_the_next_page_ends_the_list(shop: SandboxHub) -> None:
    """A next-page link that lacks its parameter, or is not a URL, ends the list."""
    links = [{"rel": "next", "href": "http://[?page=2"}]
    shop.sandbox.fail(reply({"items": [], "links": links}))

    assert shop.payments.disputes().next is None


# --- reports ---------------------------------------------------------------


def test_paypal_payments_are_listed_by_capture(shop: SandboxHub) -> None:
    """PayPal payments are listed by capture; each payment can be looked up by its capture."""
    first, second = shop.charged(), shop.charged(amount=TEN)
    shop.payments.refund(first.ref, TEN, idempotency_key="r-1")
    page = shop.payments.payments()
    newest_payment, oldest = page.items

    assert (None, [TEN, EUROS]) == (page.next, [item.amount for item in page.items])
    assert (PaymentState.CAPTURED, "INV-2041") == (newest_payment.state, newest_payment.reference)
    assert second.captures[0].ref.id == newest_payment.ref.id
    assert first.ref.id == shop.payments.get(oldest.ref).ref.id
    refund = shop.payments.refund(newest_payment.ref, idempotency_key="r-2")
    assert refund.payment is not None
    assert (TEN, second.ref.id) == (refund.amount, refund.payment.id)


def test_report_is_read_page_by_page(shop: SandboxHub) -> None:
    """A PayPal report is read page by page, in periods of 31 days."""
    for _ in range(3):
        shop.charged()
    now = datetime.now(UTC)
    query = PaymentQuery(since=now - timedelta(days=40), until=now + timedelta(days=1), limit=2)
    results: list[Payment] = []
    requests: list[dict[str, str]] = []
    next_page = None
    while True:
        page = shop.payments.payments(query, after=next_page)
        results += page.items
        requests.append(dict(shop.last_request().query))
        if page.next is None:
            break
        next_page = str(page.next)

    assert 3 == len({result.ref.id for result in results}) == len(results)
    assert ["1", "2", "1"] == [request["page"] for request in requests]
    assert requests[0]["start_date"] == requests[1]["start_date"] == requests[2]["end_date"]
    assert query.since is not None
    assert query.since.strftime("%Y-%m-%dT%H:%M:%SZ") == requests[2]["start_date"]
    assert {"fields": "transaction_info", "page_size": "2"}.items() <= requests[0].items()


def test_payment_between_two_report_spans_is_listed_once(shop: SandboxHub) -> None:
    """A payment in the last second of one report period is not listed again in the next one."""
    end = datetime(2031, 5, 6, tzinfo=UTC)
    span_boundary = end - timedelta(days=31)

    def report(*moments: datetime) -> None:
        infos = [
            {
                "transaction_id": f"T{moment:%m%d}",
                "transaction_event_code": "T0006",
                "transaction_status": "S",
                "transaction_amount": {"currency_code": "EUR", "value": "10.00"},
                "transaction_initiation_date": moment.isoformat(),
            }
            for moment in moments
        ]
        reports = [{"transaction_info": info} for info in infos]
        shop.sandbox.fail(reply({"transaction_details": reports, "total_pages": 1}))

    query = PaymentQuery(since=end - timedelta(days=40), until=end)
    report(end, span_boundary)
    newer_page = shop.payments.payments(query)
    report(span_boundary, end - timedelta(days=40))
    older_page = shop.payments.payments(query, after=newer_page.next)

    assert ["T0405", "T0327"] == [
        item.ref.id for page in (newer_page, older_page) for item in page.items
    ]


@pytest.mark.parametrize("text", ["1", "soon,1", "2031-05-06,x", "2031-05-06,²"])
def test_invalid_cursor_is_refused(text: str, shop: SandboxHub) -> None:
    """An invalid cursor of a PayPal report is refused before anything is sent."""
    with pytest.raises(InvalidData, match="does not identify a page"):
        shop.payments.payments(after=Ref("paypal", "main", text))

    assert [] == shop.sandbox.requests


def test_report_from_before_paypal_is_empty(shop: SandboxHub) -> None:
    """A PayPal report for a time before PayPal existed is empty and ends."""
    long_ago = Ref("paypal", "main", "0001-01-01T00:00:00Z,1")

    assert () == shop.payments.payments(after=long_ago).items
    assert "1999-01-01T00:00:00Z" == dict(shop.last_request().query)["end_date"]


@pytest.mark.parametrize(
    "status, state",
    [
        ("S", PayoutState.PAID),
        ("P", PayoutState.PENDING),
        ("D", PayoutState.FAILED),
        ("V", PayoutState.CANCELED),
        ("?", PayoutState.UNKNOWN),
    ],
)
def test_withdrawals_are_payouts(status: str, state: PayoutState, shop: SandboxHub) -> None:
    """PayPal's transfers to the bank are listed as payouts, with the net amount."""
    shop.charged()
    fields = shop.sandbox.withdraw(TEN, status)
    [payout] = shop.payments.payouts().items

    assert (state, status, TEN) == (payout.state, payout.vendor_state, payout.amount)
    assert fields["transaction_id"] == payout.ref.id
    fields["transaction_amount"] = None
    assert shop.payments.payouts().items[0].amount is None


def test_report_with_pending_payments(shop: SandboxHub) -> None:
    """Pending PayPal payments do not count as captured, and outgoing ones are left out."""
    shop.charged()
    [result] = shop.sandbox.transactions
    result["transaction_status"] = "P"
    [payment] = shop.payments.payments().items
    assert (PaymentState.PENDING, None) == (payment.state, payment.captured)
    result["transaction_amount"]["value"] = "-149.90"
    assert () == shop.payments.payments().items
