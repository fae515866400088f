"""Consents, payments and queries of bank accounts are checked before anything is sent."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest

from moorage.contracts.bank import (
    AccountTransaction,
    BankAccount,
    BankCapability,
    BankConsent,
    ConsentRequest,
    ConsentStatus,
    Iban,
    Money,
    PaymentOrder,
    SortCodeAccount,
    StatementEntry,
    Transaction,
    TransactionPage,
    TransactionQuery,
)
from moorage.contracts.declared.bank import BankContract
from moorage.contracts.ref import Ref
from moorage.errors import InvalidData
from moorage.packing import pack, unpack
from moorage.testing.sandbox_scenarios.bank import STERLING, TRANSFER
from moorage.testing.sandboxes.bank.base import RETURN_URL

IBAN = "DE89370400440532013000"
ACCOUNT = SortCodeAccount(sort_code="20-00-00", number="55779911")
REF = Ref("berlin_group", "main", "1")
REQUEST = ConsentRequest(return_url=RETURN_URL)


def plan(operation: str, *arguments: Any, **named: Any) -> Any:
    """Return the requirements that an operation has for its vendor."""
    return BankContract.operations()[operation].plan(BankContract(), *arguments, **named)


def needs_of(operation: str, *arguments: Any, **named: Any) -> frozenset[str]:
    """Return the capabilities that a vendor needs for an operation with these arguments."""
    needs = plan(operation, *arguments, **named).needs
    return BankContract.operations()[operation].needs.union(needs)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"return_url": "http://erp.example/return"}, "return_url"),
        ({"return_url": "https://"}, "return_url"),
        ({"return_url": "https://[erp/return"}, "return_url"),
        ({"return_url": "https://erp.example/a b"}, "return_url"),
        ({"return_url": None}, "return_url"),
        ({"days": 0}, "days"),
        ({"accounts": [IBAN, "DE00"]}, "iban"),
        ({"accounts": 5}, "accounts"),
        ({"accounts": IBAN}, "accounts"),
        ({"institution": 5}, "institution"),
        ({"extra": []}, "extra"),
    ],
)
def test_wrong_requests_are_refused(fields: dict[str, Any], field: str) -> None:
    """A consent request with a wrong field is refused; the error contains the field's name."""
    with pytest.raises(InvalidData) as excinfo:
        ConsentRequest(**dict[str, Any](return_url=RETURN_URL) | fields)
    assert field == excinfo.value.field


def test_wrong_periods_and_orders_are_refused() -> None:
    """A period that ends before it begins is refused, as is an order without a valid account."""
    with pytest.raises(InvalidData, match="ends before it begins"):
        TransactionQuery(since=date(2031, 5, 6), until=date(2031, 5, 5))
    with pytest.raises(InvalidData):
        PaymentOrder(debtor="DE00", transfer=TRANSFER, return_url=RETURN_URL)
    with pytest.raises(InvalidData, match="must name the IBAN") as excinfo:
        PaymentOrder(debtor=ACCOUNT, transfer=TRANSFER, return_url=RETURN_URL)
    assert "debtor" == excinfo.value.field
    with pytest.raises(InvalidData):
        PaymentOrder(debtor=IBAN, transfer=None, return_url=RETURN_URL)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"amount": Money("1.00", "EUR")}, "amount"),
        ({"amount": Money("0.00", "GBP")}, "amount"),
        ({"amount": Money("-1.00", "GBP")}, "amount"),
        ({"amount": Money("10000000000000.00", "GBP")}, "amount"),
        ({"amount": "1.00"}, "amount"),
        ({"end_to_end_id": "X" * 32}, "end_to_end_id"),
        ({"end_to_end_id": "a//b"}, "end_to_end_id"),
        ({"reference": "X" * 19}, "reference"),
        ({"creditor_name": ""}, "creditor_name"),
        ({"creditor_account": IBAN}, "creditor_account"),
        ({"instruction_id": "X" * 36}, "instruction_id"),
    ],
)
def test_wrong_sterling_transfers_are_refused(fields: dict[str, Any], field: str) -> None:
    """A payment in pounds with a wrong field is refused, and the error names the field."""
    with pytest.raises(InvalidData) as excinfo:
        attrs.evolve(STERLING, **fields)
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"sort_code": "20-00"}, "sort_code"),
        ({"sort_code": "20-00-0O"}, "sort_code"),
        ({"sort_code": 200000}, "sort_code"),
        ({"number": "5577991"}, "number"),
        ({"number": "\N{SUPERSCRIPT TWO}5779911"}, "number"),
        ({"number": "557799111"}, "number"),
    ],
)
def test_wrong_sort_codes_are_refused(fields: dict[str, Any], field: str) -> None:
    """A sort code has six digits, and an account number eight."""
    with pytest.raises(InvalidData) as excinfo:
        attrs.evolve(ACCOUNT, **fields)
    assert field == excinfo.value.field


def test_account_with_a_sort_code_shows_four_digits() -> None:
    """In a sort code, separators are removed, and the repr shows only the last four digits."""
    same_account = SortCodeAccount(sort_code="20 00 00", number="55 77 99 11")
    assert (ACCOUNT, "20000055779911") == (same_account, same_account.value)
    assert "SortCodeAccount('…9911')" == f"{ACCOUNT!r}"
    order = PaymentOrder(debtor=ACCOUNT, transfer=STERLING, return_url=RETURN_URL)
    shown_text = f"{order!r}"
    for text in ("200000", "55779911", "21325698", "Harbour", "erp.example"):
        assert text not in shown_text


def test_requirements_follow_from_the_arguments() -> None:
    """A named bank, chosen accounts, pending entries and instant payments need capabilities."""
    order = PaymentOrder(debtor=IBAN, transfer=TRANSFER, return_url=RETURN_URL)
    sterling = PaymentOrder(debtor=ACCOUNT, transfer=STERLING, return_url=RETURN_URL)
    request = attrs.evolve(REQUEST, institution="B", accounts=[IBAN])
    needs = {
        "plain": needs_of("start_consent", REQUEST),
        "chosen": needs_of("start_consent", request),
        "all": needs_of("transactions", REF),
        "pending": needs_of("transactions", REF, TransactionQuery(pending=True)),
        "end_to_end": needs_of("transactions", REF, TransactionQuery(end_to_end=True)),
        "pay": needs_of("pay", order, idempotency_key="k"),
        "instant": needs_of("pay", attrs.evolve(order, instant=True), idempotency_key="k"),
        "sterling": needs_of("pay", sterling, idempotency_key="k"),
        "get_payment": needs_of("get_payment", REF),
    }
    assert {
        "plain": set(),
        "chosen": {BankCapability.INSTITUTION, BankCapability.CHOSEN_ACCOUNTS},
        "all": set(),
        "pending": {BankCapability.PENDING},
        "end_to_end": {BankCapability.END_TO_END},
        "pay": {BankCapability.PAY},
        "instant": {BankCapability.PAY, BankCapability.INSTANT},
        "sterling": {BankCapability.PAY, BankCapability.STERLING},
        "get_payment": {BankCapability.PAY},
    } == needs
    currencies = [plan("pay", item, idempotency_key="k").currency for item in (order, sterling)]
    assert ["EUR", "GBP"] == currencies
    assert {"query": TransactionQuery(), "after": REF} == plan(
        "transactions", REF, after=str(REF)
    ).arguments


@pytest.mark.parametrize(
    "operation, arguments, named",
    [
        ("start_consent", ("a",), {}),
        ("pay", ("a",), {"idempotency_key": "k"}),
        ("transactions", (REF, "a"), {}),
    ],
)
def test_other_types_are_refused(
    operation: str, arguments: tuple[Any, ...], named: dict[str, Any]
) -> None:
    """An argument of another type is refused."""
    with pytest.raises(InvalidData):
        plan(operation, *arguments, **named)


def test_values_hide_personal_data_and_can_be_stored() -> None:
    """A repr shows no link, owner or account number, and each value can be packed and read back."""
    consent = BankConsent(ref=REF, status=ConsentStatus.PENDING, link="https://bank.example/secret")
    account = BankAccount(ref=REF, iban=Iban(IBAN), number=IBAN, owner="Ada", name="Ada's")
    national = attrs.evolve(account, iban=None, number="12345")
    shown_text = f"{consent!r}{account!r}{national!r}{REQUEST!r}"
    for text in ("secret", IBAN, "Ada", "12345", "erp.example"):
        assert text not in shown_text
    assert "number=None" in repr(attrs.evolve(account, number=None))
    assert consent == unpack(pack(consent))


def test_page_gives_the_entries_of_booked_transactions() -> None:
    """A page's entries are its booked transactions."""
    amount = Money("1.00", "EUR")
    entry = StatementEntry(amount=amount, transactions=[Transaction(amount=amount)])
    item = AccountTransaction(id="1", entry=entry)
    assert (entry,) == TransactionPage(booked=(item,), pending=(item, item)).entries
