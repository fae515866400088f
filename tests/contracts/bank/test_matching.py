"""Matching of payments with open items."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.contracts.bank import (
    Counterparty,
    CreditorReference,
    EntryBatch,
    EntryStatus,
    Iban,
    MatchReason,
    MatchResult,
    Money,
    OpenItem,
    StatementEntry,
    Transaction,
    match,
)
from moorage.domain.values.frozen_values import evolve
from moorage.errors import InvalidData

IBAN = Iban("DE02120300000000202051")
OTHER = Iban("NL91ABNA0417164300")


def _euros(amount: str) -> Money:
    return Money(amount, "EUR")


def _item(name: str, amount: str = "100.00", **fields: Any) -> OpenItem:
    return OpenItem(id=name, amount=_euros(amount), **fields)


def _entry(amount: str | None = "100.00", *, entry: Any = None, **fields: Any) -> StatementEntry:
    payment = Transaction(amount=None if amount is None else _euros(amount), **fields)
    return StatementEntry(
        amount=_euros(amount or "100.00"), transactions=[payment], **(entry or {})
    )


def _decision(result: MatchResult) -> tuple[str, str, list[str]]:
    """Return the name of the result list that has the payment, the reason, and the items' ids."""
    for name in ("matched", "ambiguous", "unmatched"):
        for payment in getattr(result, name):
            return name, payment.reason, [item.id for item in payment.items]
    raise AssertionError


INVOICE = _item("A", invoice_number="RE-2026/0815")
LONGEST_REFERENCE = CreditorReference.of("539007547034ABCDEFGH1")


@pytest.mark.parametrize(
    "payment, items, decision",
    [
        # Identifiers.
        (
            {"end_to_end_id": "PAY-1"},
            [_item("A", end_to_end_id="PAY-1"), _item("B")],
            ("matched", "end_to_end_id", ["A"]),
        ),
        (
            {"customer_reference": "PAY-1"},
            [_item("A", end_to_end_id="PAY-1")],
            ("matched", "end_to_end_id", ["A"]),
        ),
        (
            {"references": ["RF18 5390 0754 7034"]},
            [_item("A", reference="RF18539007547034")],
            ("matched", "reference", ["A"]),
        ),
        (
            {"documents": ["RE-2026/0815"]},
            [INVOICE],
            ("matched", "invoice_number", ["A"]),
        ),
        (
            {"remittance": "Ref RF18 5390 0754 7034 thanks"},
            [_item("A", reference="RF18539007547034")],
            ("matched", "invoice_number", ["A"]),
        ),
        (
            {"remittance": f"Ref {LONGEST_REFERENCE.spaced} thanks"},
            [_item("A", reference=LONGEST_REFERENCE.value)],
            ("matched", "invoice_number", ["A"]),
        ),
        (
            {"end_to_end_id": "RE-2026/0815"},
            [INVOICE],
            ("matched", "invoice_number", ["A"]),
        ),
        # Amounts that differ.
        (
            {"end_to_end_id": "PAY-1", "amount": "98.00"},
            [_item("A", end_to_end_id="PAY-1"), _item("B", "98.00")],
            ("ambiguous", "amount_differs", ["A"]),
        ),
        (
            {"remittance": "RE-2026/0815", "amount": "-100.00"},
            [INVOICE],
            ("ambiguous", "amount_differs", ["A"]),
        ),
        # Several invoices.
        (
            {"remittance": "4711, 4712", "amount": "150.00"},
            [_item("A", invoice_number="4711"), _item("B", "50.00", invoice_number="4712")],
            ("matched", "invoice_number", ["A", "B"]),
        ),
        (
            {"remittance": "4711, 4712"},
            [_item("A", invoice_number="4711"), _item("B", "50.00", invoice_number="4712")],
            ("ambiguous", "several_items", ["A", "B"]),
        ),
        (
            {"references": ["9999"]},
            [_item("A", reference="9999"), _item("B", reference="9999")],
            ("ambiguous", "several_items", ["A", "B"]),
        ),
        (
            {"remittance": "invoice 4711"},
            [_item("A", invoice_number="4711"), _item("B", reference="4711")],
            ("ambiguous", "several_items", ["A", "B"]),
        ),
        (
            {"references": ["9999"], "remittance": "invoice 4712"},
            [_item("A", reference="9999"), _item("B", reference="9999", invoice_number="4712")],
            ("matched", "reference", ["B"]),
        ),
        (
            {"end_to_end_id": "PAY-1", "remittance": "4712"},
            [_item("A", end_to_end_id="PAY-1"), _item("B", invoice_number="4712")],
            ("ambiguous", "contradiction", ["A", "B"]),
        ),
        # The longest number at a place.
        (
            {"remittance": "RE 2026 0815"},
            [_item("B", invoice_number="2026"), INVOICE],
            ("matched", "invoice_number", ["A"]),
        ),
        # Amounts alone.
        ({}, [_item("A"), _item("B", "50.00")], ("ambiguous", "amount_only", ["A"])),
        ({}, [_item("A"), _item("B")], ("ambiguous", "amount_only", ["A", "B"])),
        (
            {"counterparty": Counterparty(iban=IBAN)},
            [_item("A", iban=IBAN)],
            ("matched", "amount_and_account", ["A"]),
        ),
        (
            {"counterparty": Counterparty(iban=OTHER)},
            [_item("A", iban=IBAN)],
            ("ambiguous", "amount_only", ["A"]),
        ),
        (
            {"counterparty": Counterparty(iban=IBAN)},
            [_item("A", iban=IBAN), _item("B", iban=IBAN)],
            ("ambiguous", "amount_only", ["A", "B"]),
        ),
        # Nothing.
        ({"remittance": "thanks"}, [_item("A", "50.00")], ("unmatched", "no_item", [])),
        ({}, [], ("unmatched", "no_item", [])),
        (
            {"remittance": "123"},
            [_item("A", "1.00", invoice_number="123")],
            ("unmatched", "no_item", []),
        ),
        (
            {"remittance": "XRE20260815 2026/08157"},
            [_item("A", "1.00", invoice_number="2026/0815")],
            ("unmatched", "no_item", []),
        ),
        # Entries that settle nothing.
        (
            {"end_to_end_id": "PAY-1", "entry": {"reversal": True}},
            [_item("A", end_to_end_id="PAY-1")],
            ("ambiguous", "reversal", ["A"]),
        ),
        (
            {"return_reason": "AC04"},
            [_item("A")],
            ("unmatched", "reversal", []),
        ),
        (
            {"end_to_end_id": "PAY-1", "entry": {"status": EntryStatus.PENDING}},
            [_item("A", end_to_end_id="PAY-1")],
            ("unmatched", "not_booked", []),
        ),
        (
            {"amount": None, "entry": {"batch": EntryBatch(count=2)}},
            [_item("A")],
            ("unmatched", "batch", []),
        ),
    ],
)
def test_payment_is_matched_by_identifier_and_its_amount(
    payment: dict[str, Any], items: list[OpenItem], decision: tuple[str, str, list[str]]
) -> None:
    """A payment matches by identifier and amount; weaker evidence makes the match ambiguous."""
    entry = _entry(payment.pop("amount", "100.00"), **payment)
    result = match([entry], items)

    assert decision == _decision(result)
    matched_items = decision[2] if decision[0] == "matched" else []
    assert [item.id for item in items if item.id not in matched_items] == [
        item.id for item in result.open_items
    ]


def test_item_that_was_paid_twice_is_matched_with_neither_payment() -> None:
    """An item that was paid twice is matched with neither payment."""
    entry = _entry(end_to_end_id="PAY-1")
    item = _item("A", end_to_end_id="PAY-1")

    result = match([entry, entry], [item])

    assert [MatchReason.SEVERAL_PAYMENTS] * 2 == [payment.reason for payment in result.ambiguous]
    assert (item,) == result.open_items


def test_all_payments_of_a_batch_are_matched() -> None:
    """Each payment of a batch entry is matched separately."""
    entry = StatementEntry(
        amount=_euros("30.00"),
        transactions=[
            Transaction(amount=_euros("10.00"), end_to_end_id="PAY-1"),
            Transaction(amount=_euros("20.00"), end_to_end_id="PAY-2"),
        ],
    )
    items = [_item("A", "10.00", end_to_end_id="PAY-1"), _item("B", "20.00", end_to_end_id="PAY-2")]

    result = match([entry], items)

    assert [["A"], ["B"]] == [[item.id for item in payment.items] for payment in result.matched]
    assert () == result.open_items


def test_payments_that_contradict_their_entry_are_matched_with_nothing() -> None:
    """If payments do not add up to their entry, and no charges explain it, an operator decides."""
    entry = StatementEntry(
        amount=_euros("10.00"),
        transactions=[
            Transaction(amount=_euros("90.00"), end_to_end_id="PAY-1"),
            Transaction(amount=_euros("1.00")),
        ],
    )
    items = [_item("A", "90.00", end_to_end_id="PAY-1")]

    result = match([entry], items)
    assert [MatchReason.CONTRADICTION] == [payment.reason for payment in result.ambiguous]
    assert [MatchReason.CONTRADICTION] == [payment.reason for payment in result.unmatched]
    with_charges = evolve(entry, has_charges=True)
    assert ["A"] == [item.id for item in match([with_charges], items).matched[0].items]


def test_wrong_arguments_are_refused() -> None:
    """Two items with the same id, and values of other types, are refused."""
    with pytest.raises(InvalidData, match="'A'") as excinfo:
        match([], [_item("A"), _item("A")])
    assert "open_items[1].id" == excinfo.value.field
    with pytest.raises(InvalidData, match="entries"):
        match(["x"], [])  # type: ignore[list-item]  # the test is about it
    with pytest.raises(InvalidData, match="open_items"):
        match([], [5])  # type: ignore[list-item]  # the test is about it


_NUMBERS = st.sampled_from(["4711", "4712", "47 11", "RE4711"])
_ENTRIES = st.lists(
    st.builds(
        _entry,
        st.sampled_from(["10.00", "20.00", "-10.00"]),
        end_to_end_id=st.none() | st.sampled_from(["PAY-1", "PAY-2"]),
        remittance=st.lists(_NUMBERS, max_size=3).map(", ".join),
    ),
    max_size=6,
)
_ITEMS = st.lists(
    st.builds(
        _item,
        st.sampled_from("ABCDEF"),
        st.sampled_from(["10.00", "20.00", "-10.00"]),
        end_to_end_id=st.none() | st.sampled_from(["PAY-1", "PAY-2"]),
        invoice_number=st.none() | _NUMBERS,
    ),
    max_size=6,
    unique_by=lambda item: item.id,
)


@given(_ENTRIES, _ITEMS, st.randoms())
def test_order_of_the_input_does_not_change_the_matches(
    entries: list[StatementEntry], items: list[OpenItem], random: Any
) -> None:
    """Each payment is in one result list, and no item is settled twice, in any input order."""
    result = match(entries, items)
    payments = [*result.matched, *result.ambiguous, *result.unmatched]
    settled_ids = [item.id for payment in result.matched for item in payment.items]

    assert len(entries) == len(payments)
    assert len(settled_ids) == len(set(settled_ids))
    assert {item.id for item in items} == {*settled_ids, *(item.id for item in result.open_items)}
    for payment in result.matched:
        assert payment.transaction.amount is not None
        assert payment.transaction.amount.minor == sum(item.amount.minor for item in payment.items)
    shuffled = [*entries], [*items]
    for values in shuffled:
        random.shuffle(values)
    other = match(*shuffled)
    assert sorted(map(_summary, payments)) == sorted(
        map(_summary, [*other.matched, *other.ambiguous, *other.unmatched])
    )


def _summary(payment: Any) -> tuple[str, ...]:
    return (
        repr(payment.transaction),
        payment.transaction.remittance,
        payment.reason,
        *sorted(item.id for item in payment.items),
    )


def test_many_payments_are_matched() -> None:
    """Each of thousands of payments is matched with its own item among thousands."""
    count = 4_000
    entries = [_entry(remittance=f"Invoice RE-{number:06} thanks") for number in range(count)]
    items = [_item(str(number), invoice_number=f"RE-{number:06}") for number in range(count)]

    result = match(entries, items)

    assert count == len(result.matched)


def test_payments_with_equal_amounts_share_one_list_of_candidate_items() -> None:
    """Payments with equal amounts share one list of candidate items."""
    items = [_item(str(number)) for number in range(50)]

    result = match([_entry(), _entry()], items)

    first, second = result.ambiguous
    assert first.items is second.items
    assert first.items == tuple(items)
