"""Lost responses at Authorize.Net, and the lists in which their transactions are found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import (
    BuyerOutcome,
    DeclineReason,
    MoveState,
    PaymentQuery,
    PaymentState,
    SettledAs,
    buyer_notice,
)
from moorage.contracts.ref import Ref
from moorage.errors import ConnectionFailed, OutcomeUnknown, PaymentDeclined, VendorFailed
from moorage.testing.sandboxes.base import AlteredAnswer, Lost
from moorage.testing.sandboxes.payments._authorize_net_rules import answer, error, unsuccessful
from tests.vendors.authorize_net_account import EUROS, PART, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.contracts.payments import Payment
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError

DAY = 86_400.0


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Authorize.Net."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def lose_a_charge(shop: SandboxHub, **fields: Any) -> None:
    """Charge a payment with the key "k", whose response is lost."""
    shop.sandbox.fail(Lost())
    with pytest.raises(OutcomeUnknown):
        shop.payments.charge(order(**fields), idempotency_key="k")


def test_lost_charge_is_found_by_its_mark(shop: SandboxHub) -> None:
    """A lost charge is found among payments of the same invoice, and not made again."""
    shop.pay()
    lose_a_charge(shop)
    shop.pay()
    payment = shop.payments.charge(order(), idempotency_key="k")
    repeated_payment = shop.payments.charge(order(), idempotency_key="k")

    assert 3 == len(shop.sandbox.transactions) == len(shop.transactions_sent())
    assert list(shop.sandbox.transactions)[1] == payment.ref.id == repeated_payment.ref.id
    assert (PaymentState.CAPTURED, EUROS, "INV-1") == (
        payment.state,
        payment.captured,
        payment.reference,
    )
    assert {
        "sorting": {"orderBy": "submitTimeUTC", "orderDescending": True},
        "paging": {"limit": 1000, "offset": 1},
    } == shop.sent("getUnsettledTransactionList")[0]


def test_first_charge_asks_for_no_list(shop: SandboxHub) -> None:
    """A charge whose response arrives needs only one request."""
    shop.pay()

    assert 1 == len(shop.sandbox.requests)


@pytest.mark.parametrize("stored_as", ["order.purchaseOrderNumber", "transrefId"])
def test_mark_is_read_from_either_field(shop: SandboxHub, stored_as: str) -> None:
    """A payment is found by its mark in the purchase order number or in the reference id."""
    lose_a_charge(shop)
    [transaction] = shop.sandbox.transactions.values()
    transaction["refId" if stored_as.startswith("order") else "po"] = None

    assert transaction["transId"] == shop.payments.charge(order(), idempotency_key="k").ref.id


def test_transaction_without_the_mark_is_another_one(shop: SandboxHub) -> None:
    """An equal transaction without the mark is not taken for the lost charge."""
    lose_a_charge(shop)
    [transaction] = shop.sandbox.transactions.values()
    transaction |= {"refId": None, "po": None}
    with pytest.raises(OutcomeUnknown):
        shop.payments.charge(order(), idempotency_key="k")

    assert 1 == len(shop.sandbox.transactions)


def test_lost_decline_is_found(shop: SandboxHub) -> None:
    """A decline whose response was lost is found by its mark."""
    lose_a_charge(shop, source="nonce-code-8")
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(order(source="nonce-code-8"), idempotency_key="k")
    [transaction] = shop.sandbox.transactions.values()

    assert DeclineReason.EXPIRED_CARD == excinfo.value.reason
    assert transaction["transId"] == Ref.parse(excinfo.value.payment or "").id


def test_lost_charge_that_is_not_listed_is_not_made_again(shop: SandboxHub) -> None:
    """Until the list has a lost charge, its outcome is unknown, and nothing is charged."""
    shop.sandbox.hides = True
    lose_a_charge(shop)
    with pytest.raises(OutcomeUnknown):
        shop.payments.charge(order(), idempotency_key="k")
    assert 1 == len(shop.sandbox.transactions)

    shop.sandbox.hides = False
    payment = shop.payments.charge(order(), idempotency_key="k")
    assert PaymentState.CAPTURED is payment.state
    assert 1 == len(shop.sandbox.transactions)


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionFailed("Nobody is there.", may_have_been_processed=False),
        error("E00011", "Access denied. You do not have the appropriate permissions.").response,
        error("E00040", "The record cannot be found.").response,
    ],
    ids=["unreachable", "denied", "refused"],
)
@pytest.mark.parametrize("step", [0, 1], ids=["list", "details"])
def test_failed_look_up_leaves_the_outcome_open(
    shop: SandboxHub, step: int, failure: Response | ConnectorError
) -> None:
    """If the look-up of a lost charge fails, the error does not say that nothing was charged."""
    lose_a_charge(shop)
    shop.sandbox.fail(*[None] * step, failure)
    with pytest.raises(OutcomeUnknown) as excinfo:
        shop.payments.charge(order(), idempotency_key="k")

    assert BuyerOutcome.UNKNOWN is buyer_notice(excinfo.value).outcome
    assert 1 == len(shop.sandbox.transactions)
    assert PaymentState.CAPTURED is shop.payments.charge(order(), idempotency_key="k").state


def test_failed_look_up_of_a_duplicate_leaves_the_outcome_open(shop: SandboxHub) -> None:
    """If the earlier payment that a duplicate refers to cannot be read, the outcome is unknown."""
    payment = shop.pay()
    denied = error("E00011", "Access denied.").response
    shop.sandbox.fail(unsuccessful("11", {"transId": payment.ref.id}), denied)
    with pytest.raises(OutcomeUnknown) as excinfo:
        shop.payments.charge(order(), idempotency_key="k")

    assert BuyerOutcome.UNKNOWN is buyer_notice(excinfo.value).outcome


def test_retry_after_a_lost_response_does_not_charge_again() -> None:
    """With retries, a charge whose response is lost is not sent again."""
    shop = SandboxHub(retried=True)
    with shop.hub:
        lose_a_charge(shop)

        assert 1 == len(shop.sandbox.requests) == len(shop.sandbox.transactions)


def test_lost_refund_is_found_by_its_mark(shop: SandboxHub) -> None:
    """A lost refund is found among refunds of the same invoice, and not made again."""
    payment = shop.settled()
    shop.payments.refund(payment.ref, PART, idempotency_key="r-1")
    shop.sandbox.fail(None, Lost())
    with pytest.raises(OutcomeUnknown):
        shop.payments.refund(payment.ref, PART, idempotency_key="r-2")
    refund = shop.payments.refund(payment.ref, PART, idempotency_key="r-2")

    assert 3 == len(shop.sandbox.transactions)
    assert list(shop.sandbox.transactions)[2] == refund.ref.id
    assert (MoveState.PENDING, PART, payment.ref) == (refund.state, refund.amount, refund.payment)


def test_duplicate_returns_the_earlier_payment(shop: SandboxHub) -> None:
    """If Authorize.Net refuses a repeated charge as a duplicate, the first payment is returned."""
    payment = shop.payments.charge(order(), idempotency_key="k")
    other_shop = SandboxHub()
    other_shop.sandbox.transactions.update(shop.sandbox.transactions)
    with other_shop.hub:
        repeated_payment = other_shop.payments.charge(order(), idempotency_key="k")

    assert payment.ref == repeated_payment.ref
    assert PaymentState.CAPTURED is repeated_payment.state
    assert 1 == len(other_shop.sandbox.transactions)


def test_duplicate_returns_the_earlier_decline(shop: SandboxHub) -> None:
    """A charge that repeats a declined one with the same key raises the earlier decline."""
    with pytest.raises(PaymentDeclined):
        shop.payments.charge(order(source="nonce-code-2"), idempotency_key="k")
    other_shop = SandboxHub()
    other_shop.sandbox.transactions.update(shop.sandbox.transactions)
    with other_shop.hub, pytest.raises(PaymentDeclined) as excinfo:
        other_shop.payments.charge(order(source="nonce-code-2"), idempotency_key="k")

    assert "2" == excinfo.value.vendor_code


@pytest.mark.parametrize("is_named", [False, True], ids=["unnamed", "of another key"])
def test_duplicate_of_something_else_is_unknown(shop: SandboxHub, *, is_named: bool) -> None:
    """If a refused duplicate does not refer to this key's charge, the outcome is unknown."""
    other_payment = shop.pay()
    fields = {"transId": other_payment.ref.id} if is_named else {}
    shop.sandbox.fail(unsuccessful("11", fields))
    with pytest.raises(OutcomeUnknown, match="duplicate of an earlier request"):
        shop.payments.charge(order(), idempotency_key="k")

    assert 1 == len(shop.sandbox.transactions)


def test_equal_charge_is_made_again_after_eight_hours(shop: SandboxHub) -> None:
    """The sandbox forgets an equal transaction after eight hours, as Authorize.Net does."""
    shop.payments.charge(order(), idempotency_key="k")
    [sent] = shop.sandbox.requests
    for hours, expected in ((7.9, 1), (0.2, 2)):
        shop.clock.advance(hours * 3_600)
        shop.sandbox.answer(sent)
        assert expected == len(shop.sandbox.transactions)


@pytest.mark.parametrize("is_settled", [False, True], ids=["unsettled", "settled"])
def test_lost_charge_is_settled_by_the_job(shop: SandboxHub, *, is_settled: bool) -> None:
    """The job for unknown outcomes finds a lost charge, before and after its settlement."""
    lose_a_charge(shop)
    if is_settled:
        shop.sandbox.settle()
    shop.clock.advance(3 * DAY)
    settlements = shop.hub.settle_payments()
    payment = shop.payments.charge(order(), idempotency_key="k")

    assert [SettledAs.DONE] == [settlement.outcome for settlement in settlements]
    assert [payment.ref.id] == list(shop.sandbox.transactions)
    assert payment.replayed


def listed(shop: SandboxHub, query: PaymentQuery) -> list[Payment]:
    """Return the payments on all pages of a list."""
    payments: list[Payment] = []
    page = shop.payments.payments(query)
    payments += page.items
    while page.next is not None:
        page = shop.payments.payments(query, after=page.next)
        payments += page.items
    return payments


def test_list_goes_over_unsettled_transactions_and_batches(shop: SandboxHub) -> None:
    """A list has each payment once, newest first, over pages and periods, and no refunds."""
    first = shop.pay(reference="INV-1")
    shop.sandbox.settle()
    shop.payments.refund(first.ref, PART, idempotency_key="r")
    ids = [first.ref.id]
    for number in range(6):
        shop.clock.advance(20 * DAY)
        ids += [shop.pay(reference=f"INV-{number}-{part}").ref.id for part in range(3)]
        if number < 5:
            shop.sandbox.settle()
        shop.clock.advance(60.0)

    for size in (1, 2, 50, 5_000):
        payments = listed(shop, PaymentQuery(limit=size))
        assert len(ids) == len(payments)
        assert set(ids) == {payment.ref.id for payment in payments}
        times = [payment.created_at for payment in payments if payment.created_at is not None]
        assert sorted(times, reverse=True) == times
    periods = [
        (sent["firstSettlementDate"], sent["lastSettlementDate"])
        for sent in shop.sent("getSettledBatchList")
    ]
    lengths = {
        datetime.fromisoformat(last) - datetime.fromisoformat(start) for start, last in periods
    }
    assert max(lengths) == timedelta(days=31)
    assert all(start.endswith("Z") for start, _ in periods)


def test_list_of_a_period_has_only_its_payments(shop: SandboxHub) -> None:
    """A list of a period has the payments since its start and before its end."""
    ids, start = [], shop.clock.utc()
    for _ in range(3):
        ids.append(shop.settled().ref.id)
        shop.clock.advance(DAY)
    since, until = start + timedelta(seconds=DAY), start + timedelta(seconds=2 * DAY)
    payments = listed(shop, PaymentQuery(since=since, until=until))

    assert [ids[1]] == [payment.ref.id for payment in payments]
    assert (PaymentState.CAPTURED, EUROS, EUROS, "INV-1") == (
        payments[0].state,
        payments[0].amount,
        payments[0].captured,
        payments[0].reference,
    )
    assert payments[0].means is not None
    assert ("visa", "1111") == (payments[0].means.brand, payments[0].means.last4)
    batches, *_ = shop.sent("getSettledBatchList")
    assert since == datetime.fromisoformat(batches["firstSettlementDate"])


def test_batch_at_the_end_of_a_period_is_listed_once(shop: SandboxHub) -> None:
    """A batch that was settled in the second in which two periods meet is listed once."""
    ids = set[str]()
    for _ in range(3):
        ids.add(shop.settled().ref.id)
        shop.clock.advance(1.0)
    shop.clock.advance(31 * DAY - 3.0)

    payments = listed(shop, PaymentQuery())

    assert 3 == len(payments)
    assert ids == {payment.ref.id for payment in payments}


def test_list_without_a_start_goes_back_two_years(shop: SandboxHub) -> None:
    """Without a start, a list ends with the batches of two years ago."""
    shop.settled()
    shop.clock.advance(740 * DAY)

    assert [] == listed(shop, PaymentQuery())
    starts = [sent["firstSettlementDate"] for sent in shop.sent("getSettledBatchList")]
    oldest = datetime.fromisoformat(min(starts))
    assert timedelta(days=731) == shop.clock.utc().replace(microsecond=0, tzinfo=UTC) - oldest
    assert 24 == len(starts)


def test_declined_payment_in_a_list_has_no_amount(shop: SandboxHub) -> None:
    """A declined payment is in the list, which does not state its amount."""
    with pytest.raises(PaymentDeclined):
        shop.pay(source="nonce-code-2")
    [payment] = listed(shop, PaymentQuery())

    assert (PaymentState.FAILED, None) == (payment.state, payment.amount)


def test_list_without_transactions_is_an_error_if_it_is_not_empty(shop: SandboxHub) -> None:
    """A response with neither transactions nor a success is an error, not an empty list."""

    def change(_: object) -> Any:
        return answer({}, ("Perhaps", "I00001", "Successful."))

    shop.sandbox.fail(AlteredAnswer(change))
    with pytest.raises(VendorFailed, match="transactions"):
        shop.payments.payments()
