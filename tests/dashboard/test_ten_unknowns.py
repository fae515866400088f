"""Ten payments with an unknown outcome, decided by a visitor who sees only the page."""

from __future__ import annotations

import re
from copy import deepcopy
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectorError
from moorage.contracts.payments import Charge, Money
from moorage.testing.sandboxes.base import Lost
from tests.dashboard.harness import BEN, WAIT, Harness

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dashboard.harness import Visitor

CHARGES = (
    ("INV-1", "20.00", "EUR", True),
    ("INV-2", "35.50", "EUR", False),
    ("INV-3", "1200.00", "USD", True),
    ("INV-4", "0.99", "USD", False),
    ("INV-5", "10.00", "EUR", True),
    ("INV-5", "12.00", "EUR", False),
    ("INV-6", "500", "JPY", True),
)
"""Reference, amount and currency of each charge, and whether the vendor carried it out."""


def make_unknown_payment(harness: Harness, call: Callable[[], Any], *, done: bool) -> None:
    """Make a call whose response is lost; unless `done`, its request is lost as well."""
    state_before = deepcopy({k: v for k, v in vars(harness.stripe).items() if isinstance(v, dict)})
    harness.stripe.fail(Lost())
    with pytest.raises(ConnectorError):
        call()
    if not done:
        vars(harness.stripe).update(state_before)


def make_unknown_payments(harness: Harness) -> dict[str, tuple[Callable[[], Any], bool]]:
    """Make ten payments with unknown outcomes; return whether the vendor has each of them."""
    payments = harness.hub.payments()
    truth: dict[str, tuple[Callable[[], Any], bool]] = {}

    def add(key: str, call: Callable[..., Any], *values: Any, done: bool) -> None:
        def repeat() -> Any:
            return call(*values, idempotency_key=key)

        make_unknown_payment(harness, repeat, done=done)
        truth[key] = repeat, done

    for number, (reference, amount, currency, is_done) in enumerate(CHARGES):
        charge = Charge(Money(amount, currency), "pm_card_visa", reference=reference)
        add(f"charge-{number}", payments.charge, charge, done=is_done)
    for number, is_done in enumerate((True, False)):
        order = Charge(Money("80.00", "EUR"), "pm_card_visa", reference=f"ORDER-{number}")
        taken_payment = payments.charge(order, idempotency_key=f"taken-{number}")
        add(
            f"refund-{number}",
            payments.refund,
            taken_payment.ref,
            Money("8.00", "EUR"),
            done=is_done,
        )
    shop = harness.hub.payments("acme")
    order = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="ACME-1")
    add("acme-1", shop.charge, order, done=True)
    return truth


def facts_of(page: str) -> dict[str, str]:
    """Return the evidence that a payment's page shows, by the name of each item."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page)
    return {unescape(name): unescape(re.sub("<[^>]+>", "", value)).strip() for name, value in pairs}


def link_of(page: str, act: str) -> str | None:
    """Return the URL of an action's button on the page; None if the page has no such button."""
    match = re.search(rf'href="(/acts/{act}\?[^"]*)"', page)
    return None if match is None else unescape(match[1])


def matching_payment_at_vendor(harness: Harness, facts: dict[str, str]) -> str | None:
    """Return the id of the matching payment at the vendor; None if the vendor has no match."""
    amount, currency = facts["Amount"].split()
    minor = int(Money(amount, currency).amount * (1 if currency == "JPY" else 100))
    vendor_tables = [value for value in vars(harness.stripe).values() if isinstance(value, dict)]
    objects = [item for values in vendor_tables for item in values.values()]
    object_type = "refund" if facts["Operation"] == "refund" else "payment_intent"
    for item in objects:
        if not isinstance(item, dict) or item.get("object") != object_type:
            continue
        is_same = (item["amount"], item["currency"]) == (minor, currency.lower())
        if object_type == "refund":
            whole_payment = facts["Payment of this refund, at the vendor"]
            if is_same and str(item["payment_intent"]) in whole_payment:
                return str(item["id"])
        elif is_same and facts["Your reference"] in repr(item):
            return str(item["id"])
    return None


def decide(harness: Harness, first: Visitor, second: Visitor, address: str) -> str:
    """Decide about one payment from what its page shows, and return the decision."""
    page = first.get(address).text
    ask = link_of(page, "payment-ask")
    if ask is not None:
        answer = first.act(ask).text
        if "It is settled" in answer:
            return "asked"
    receipt = matching_payment_at_vendor(harness, facts_of(page))
    action = "payment-not-done" if receipt is None else "payment-done"
    link = link_of(page, action)
    assert link is not None
    assert (
        "A second person has to confirm your proposal."
        in first.act(link, reason="looked it up", receipt=receipt or "").text
    )
    check = second.get(address).text
    expected = "not done" if action == "payment-not-done" else "done"
    assert f"says that the operation was {expected}." in check
    confirm = link_of(check, "payment-confirm")
    assert confirm is not None
    assert f"is closed as {expected}" in second.act(confirm, reason="seen too").text
    return "decided"


def test_newcomer_decides_ten_unknown_payments_rightly() -> None:
    """An operator without experience can decide all payments without repeating or losing one."""
    with Harness() as harness:
        truth = make_unknown_payments(harness)
        assert 10 == len(harness.hub.unsettled_payments())
        harness.clock.advance(WAIT)
        ann, ben = harness.visitor(), harness.visitor(BEN)
        addresses = [
            unescape(link)
            for link in re.findall(r'href="(/payment\?[^"]*)"', ann.get("/unknown").text)
        ]
        assert 10 == len(set(addresses))
        ways = [decide(harness, ann, ben, address) for address in addresses]

        assert {"asked", "decided"} == set(ways)
        assert [] == harness.hub.unsettled_payments()
        assert "every payment of the payments contract is known." in ann.get("/unknown").text
        for key, (repeat, is_done) in truth.items():
            assert is_done is repeat().replayed, key
