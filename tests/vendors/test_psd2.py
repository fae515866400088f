"""Reading transactions in NextGenPSD2's format, common to several bank vendors."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import pytest

from moorage.contracts.bank import AccountTransaction, Money, maybe_bic, maybe_iban
from moorage.testing.sandboxes.base import reply
from moorage.vendors.bank._psd2 import read_balances, read_page, stable_uuid

EURO: Final = {"currency": "EUR", "amount": "1"}


def read(*items: dict[str, Any]) -> tuple[AccountTransaction, ...]:
    """Return booked transactions; `transactionId`, or else `entryReference`, is their id."""
    booked = [{"transactionAmount": EURO} | item for item in items]
    answer = reply({"transactions": {"booked": booked}})
    return read_page(answer, ("transactionId", "entryReference"), pending=False).booked


def test_transactions_of_a_batch() -> None:
    """A batch has the payments that the bank lists, or else one payment without an amount."""
    amount = {"currency": "EUR", "amount": "-30"}
    common = {"transactionAmount": amount, "batchIndicator": True}
    details = [
        {
            "transactionDetails": {
                "transactionAmount": {"currency": "EUR", "amount": text},
                "endToEndId": f"E{text}",
                "creditorAccount": {"bban": "539"},
                "creditorAgent": "AAAADEBBXXX",
                "ultimateCreditor": "Ada",
            }
        }
        for text in ("-10", "-20")
    ]

    first, second = (
        item.entry
        for item in read(
            {**common, "batchNumberOfTransactions": 2, "entryDetails": [*details, {}]},
            {**common, "transactionId": "T", "bookingDate": "yesterday"},
        )
    )

    assert [Money("-10", "EUR"), Money("-20", "EUR")] == [
        item.amount for item in first.transactions
    ]
    assert ["E-10", "E-20"] == [item.end_to_end_id for item in first.transactions]
    party = first.transactions[0].counterparty
    assert ("539", None, "Ada") == (party.account, party.iban, party.ultimate)
    assert party.bic is not None
    assert first.batch is not None
    assert (2, Money("-30", "EUR")) == (first.batch.count, first.batch.total)
    assert [None] == [item.amount for item in second.transactions]
    assert (None, "T") == (second.booked_on, second.bank_reference)


@pytest.mark.parametrize(
    "fields, references, remittance",
    [
        ({"remittanceInformationStructured": "RF18"}, ("RF18",), ""),
        ({"remittanceInformationStructured": {"reference": "RF18"}}, ("RF18",), ""),
        ({"remittanceInformationStructuredArray": ["RF18", "RF19"]}, ("RF18", "RF19"), ""),
        (
            {"remittanceInformationStructuredArray": [{"reference": "RF18"}, {"reference": "A"}]},
            ("RF18", "A"),
            "",
        ),
        ({"remittanceInformationStructuredArray": [{"reference": "RF18"}, {}]}, ("RF18",), ""),
        (
            {
                "remittanceInformationStructured": "RF18",
                "remittanceInformationStructuredArray": ["RF18", "RF19"],
            },
            ("RF18", "RF19"),
            "",
        ),
        (
            {
                "remittanceInformationUnstructured": "a",
                "remittanceInformationUnstructuredArray": ["a", "b"],
            },
            (),
            "a b",
        ),
    ],
)
def test_remittance_of_each_version(
    fields: dict[str, Any], references: tuple[str, ...], remittance: str
) -> None:
    """References and remittance texts are read from each field that a version uses."""
    payment = read(fields)[0].entry.transactions[0]

    assert (references, remittance) == (payment.references, payment.remittance)


def test_identifiers_of_a_transaction() -> None:
    """A transaction's id is the first id field that is not empty."""
    transactions = read(
        {"transactionId": "T", "entryReference": "E"},
        {"entryReference": "E"},
        {"entryReference": ""},
    )

    assert ["T", "E", None] == [item.id for item in transactions]
    assert ["E", "E", None] == [item.entry.entry_reference for item in transactions]


def test_days_are_read_from_times() -> None:
    """If a bank sends a time for a day, the booking day is the date at the time's own offset."""
    (item,) = read(
        {
            "bookingDateTime": "2031-05-06T23:30:00+02:00",
            "valueDateTime": "2031-05-07T00:30:00+02:00",
        }
    )

    assert (date(2031, 5, 6), date(2031, 5, 7)) == (item.entry.booked_on, item.entry.value_on)


def test_invalid_iban_or_bic_is_none() -> None:
    """An invalid IBAN or BIC is None."""
    assert (None, None) == (maybe_iban("DE0"), maybe_iban(None))
    assert (None, None) == (maybe_bic("?"), maybe_bic(None))


def test_kinds_of_balances() -> None:
    """Each balance type of the standard has a kind in the contract."""
    kinds = {
        "closingBooked": "booked",
        "interimBooked": "booked",
        "interimAvailable": "available",
        "closingAvailable": "available",
        "expected": "expected",
        "openingBooked": "opening",
        "forwardAvailable": "forward",
        "nonInvoiced": "unknown",
    }

    balances = read_balances(
        reply({"balances": [{"balanceAmount": EURO, "balanceType": word} for word in kinds]})
    )

    assert kinds == {item.vendor_kind: item.kind for item in balances}


def test_transaction_without_a_code() -> None:
    """A transaction without a bank code has the code None."""
    assert None is read({})[0].entry.code


def test_same_text_has_the_same_uuid() -> None:
    """Equal strings have equal UUIDs, of version 4."""
    assert "47c83e5d-6074-4333-95d3-fe74bd2abfe8" == stable_uuid("acme\nk-1")
