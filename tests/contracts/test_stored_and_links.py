"""The values of stored payment methods, payment links and payout transactions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from moorage.contracts.payments import (
    Customer,
    LinkRequest,
    Money,
    Payout,
    PayoutItem,
    PayoutItemKind,
    PayoutState,
    StoreRequest,
    unexplained_amount,
)
from moorage.contracts.ref import Ref
from moorage.errors import InvalidData


def payout(amount: Money | None) -> Payout:
    """Return a payout of this amount."""
    return Payout(ref=Ref("v", "main", "po_1"), state=PayoutState.PAID, amount=amount)


def item(net: Money | None) -> PayoutItem:
    """Return a transaction that adds this amount to a payout."""
    return PayoutItem(id="t_1", kind=PayoutItemKind.PAYMENT, net=net)


def test_transactions_explain_a_payout() -> None:
    """The unexplained part of a payout is its amount minus the net amounts of its transactions."""
    items = [item(Money("10.00", "EUR")), item(Money("-2.50", "EUR"))]

    assert Money("0.00", "EUR") == unexplained_amount(payout(Money("7.50", "EUR")), items)
    assert Money("7.50", "EUR") == unexplained_amount(payout(Money("7.50", "EUR")), [])


@pytest.mark.parametrize(
    "amount, net, message",
    [
        (None, Money("1", "EUR"), "not state an amount for po_1"),
        (Money("1", "EUR"), None, "not state an amount for t_1"),
        (Money("1", "EUR"), Money("1", "USD"), "is in EUR, but its transaction t_1 is in USD"),
    ],
    ids=["payout", "transaction", "currency"],
)
def test_unexplainable_payouts_are_refused(
    amount: Money | None, net: Money | None, message: str
) -> None:
    """A payout with a missing amount or with mixed currencies is refused."""
    with pytest.raises(InvalidData, match=message):
        unexplained_amount(payout(amount), [item(net)])


@pytest.mark.parametrize(
    "source, customer, field",
    [
        ("tok_1", Customer(name="Ada"), "customer.id"),
        ("4242424242424242", Customer(id="cus_1"), "source"),
        (" ", Customer(id="cus_1"), "source"),
        (None, Customer(id="cus_1"), "source"),
    ],
)
def test_storing_a_payment_method_needs_a_token_and_a_buyer(
    source: str, customer: Customer, field: str
) -> None:
    """Storing a payment method needs a token, and a buyer with an id."""
    with pytest.raises(InvalidData) as excinfo:
        StoreRequest(source, customer=customer)
    assert field == excinfo.value.field


def test_an_expiry_of_a_link_needs_a_capability() -> None:
    """A payment link needs the expiry capability only if it has an expiry."""
    amount, expiry = Money("1", "EUR"), datetime(2026, 1, 1, tzinfo=UTC)

    assert {"links"} == LinkRequest(amount, reference="1").needs
    assert {"links", "link_expiry"} == LinkRequest(amount, reference="1", expires_at=expiry).needs
