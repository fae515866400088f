"""Accounts, balances and transactions in the NextGenPSD2 format, common to several vendors."""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from uuid import UUID

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import (
    NOT_PROVIDED,
    AccountTransaction,
    BalanceKind,
    Counterparty,
    CurrentBalance,
    EntryBatch,
    EntryStatus,
    StatementEntry,
    Transaction,
    TransactionPage,
    maybe_bic,
    maybe_iban,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


BALANCES: Final[Mapping[str, BalanceKind]] = {
    "closingBooked": BalanceKind.BOOKED,
    "interimBooked": BalanceKind.BOOKED,
    "interimAvailable": BalanceKind.AVAILABLE,
    "closingAvailable": BalanceKind.AVAILABLE,
    "expected": BalanceKind.EXPECTED,
    "openingBooked": BalanceKind.OPENING,
    "forwardAvailable": BalanceKind.FORWARD,
}
"""The kinds of balances by their words; any other word means an unknown kind."""


def stable_uuid(text: str) -> str:
    """A UUID derived from a text; the same text always gives the same UUID."""
    return str(UUID(bytes=sha256(text.encode()).digest()[:16], version=4))


def maybe_day(text: str | None) -> date | None:
    """Return the date in a text; None if the text is not a date."""
    try:
        return None if text is None else date.fromisoformat(text[:10])
    except ValueError:
        return None


def read_balances(response: sdk.Response) -> tuple[CurrentBalance, ...]:
    """The balances in a response; an unreadable amount is an error."""
    answer = sdk.read_answer(response)
    if not sdk.is_list(answer.value("balances")):
        raise sdk.malformed(response, "balances")
    return tuple(_balance(item, response) for item in answer.objects("balances"))


def _balance(item: sdk.Answer, response: sdk.Response) -> CurrentBalance:
    balance_type = item.text("balanceType")
    return CurrentBalance(
        kind=BALANCES.get(balance_type or "", BalanceKind.UNKNOWN),
        vendor_kind=balance_type,
        amount=_amount(item, "balanceAmount", response),
        day=maybe_day(item.text("referenceDate")),
        at=item.time("lastChangeDateTime"),
        with_credit=item.flag("creditLimitIncluded"),
        raw=item.raw,
    )


def _amount(item: sdk.Answer, path: str, response: sdk.Response) -> sdk.Money:
    amount = sdk.as_money(item.value(f"{path}.amount"), item.value(f"{path}.currency"))
    return sdk.required(amount, response, f"readable {path}")


def read_page(
    response: sdk.Response,
    id_names: tuple[str, ...],
    *,
    pending: bool,
    next_ref: Callable[[sdk.Answer], sdk.Ref | None] = lambda _: None,
) -> TransactionPage:
    """The page of transactions in a response.

    Args:
        response: the response.
        id_names: names of the fields with the identifier; the first one with a value is used.
        pending: True to return the pending transactions, too.
        next_ref: takes a response, and returns the reference of the next page, if there is one.

    Raises:
        VendorFailed: the response has no list of booked transactions, or a transaction has no
            amount that can be read.
    """
    answer = sdk.read_answer(response)
    if not sdk.is_list(answer.value("transactions.booked")):
        raise sdk.malformed(response, "transactions.booked")
    booked, unbooked = (
        tuple(
            AccountTransaction(
                id=next((text for name in id_names if (text := item.text(name))), None),
                entry=_entry(item, response, status),
                raw=item.raw,
            )
            for item in answer.objects(f"transactions.{status}")
        )
        for status in (EntryStatus.BOOKED, EntryStatus.PENDING)
    )
    return TransactionPage(
        booked=booked,
        pending=unbooked if pending else (),
        next=next_ref(answer),
        raw=answer.raw,
    )


def _entry(item: sdk.Answer, response: sdk.Response, status: EntryStatus) -> StatementEntry:
    total = _amount(item, "transactionAmount", response)
    is_batch = item.flag("batchIndicator") is True
    details = [part.object("transactionDetails") for part in item.objects("entryDetails")]
    payments = [
        _payment(part, _amount(part, "transactionAmount", response)) for part in details if part
    ]
    if not payments:
        payment = _payment(item, total)
        payments = [attrs.evolve(payment, amount=None) if is_batch else payment]
    return StatementEntry(
        amount=total,
        status=status,
        booked_on=maybe_day(item.text("bookingDate") or item.text("bookingDateTime")),
        value_on=maybe_day(item.text("valueDate") or item.text("valueDateTime")),
        bank_reference=item.text("transactionId"),
        entry_reference=item.text("entryReference"),
        code=(item.text("bankTransactionCode") or "").replace("-", "/") or None,
        bank_code=item.text("proprietaryBankTransactionCode"),
        text=item.text("additionalInformation") or "",
        batch=EntryBatch(count=item.integer("batchNumberOfTransactions"), total=total)
        if is_batch
        else None,
        transactions=payments,
    )


def _payment(item: sdk.Answer, amount: sdk.Money) -> Transaction:
    end_to_end_id = item.text("endToEndId")
    return Transaction(
        amount=amount,
        counterparty=_counterparty(item, "debtor" if amount.minor > 0 else "creditor"),
        end_to_end_id=None if end_to_end_id == NOT_PROVIDED else end_to_end_id,
        mandate_id=item.text("mandateId"),
        creditor_id=item.text("creditorId"),
        references=_references(item),
        remittance=" ".join(_remittance(item)),
    )


def _counterparty(item: sdk.Answer, role: str) -> Counterparty:
    account = item.object(f"{role}Account")
    number = next((text for name in ("iban", "bban") if (text := account.text(name))), None)
    return Counterparty(
        name=item.text(f"{role}Name"),
        iban=maybe_iban(number),
        account=number,
        bic=maybe_bic(item.text(f"{role}Agent")),
        ultimate=item.text(f"ultimate{role.capitalize()}"),
    )


def _remittance(item: sdk.Answer) -> tuple[str, ...]:
    """The remittance texts, from the list of strings or else the single text."""
    texts = item.texts("remittanceInformationUnstructuredArray")
    single_text = item.text("remittanceInformationUnstructured")
    return texts or (() if single_text is None else (single_text,))


def _references(item: sdk.Answer) -> tuple[str, ...]:
    """The structured references, which older versions send as a single object."""
    name = "remittanceInformationStructured"
    texts = item.texts(f"{name}Array") or tuple(
        text for part in item.objects(f"{name}Array") if (text := part.text("reference"))
    )
    single_text = item.text(name) or item.text(f"{name}.reference")
    return texts or (() if single_text is None else (single_text,))


def quoted_path_step(text: str) -> str:
    """An id as one segment of a path, percent-encoded."""
    return quote(text, safe="")
