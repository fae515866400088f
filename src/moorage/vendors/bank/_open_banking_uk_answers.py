"""Reads the responses of banks with the UK's Open Banking API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import (
    AccountTransaction,
    BalanceKind,
    BankAccount,
    BankConsent,
    ConsentStatus,
    Counterparty,
    CurrentBalance,
    EntryStatus,
    StatementEntry,
    Transaction,
    TransactionPage,
    maybe_bic,
    maybe_iban,
)
from moorage.vendors.bank._psd2 import maybe_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from moorage.contracts.bank import Bic, Iban
    from moorage.vendor_sdk import Answer, Ref, Response

CONSENTS: Final[Mapping[str, ConsentStatus]] = {
    **sdk.words(ConsentStatus.PENDING, "AWAU AwaitingAuthorisation"),
    **sdk.words(ConsentStatus.GRANTED, "AUTH Authorised"),
    **sdk.words(ConsentStatus.REFUSED, "RJCT Rejected"),
    **sdk.words(ConsentStatus.REVOKED, "CANC Revoked"),
    "EXPD": ConsentStatus.EXPIRED,
}
"""The states of consents by the words of version 4, and of version 3.1."""
BALANCES: Final[Mapping[str, BalanceKind]] = {
    **sdk.words(BalanceKind.BOOKED, "CLBD ITBD ClosingBooked InterimBooked"),
    **sdk.words(BalanceKind.AVAILABLE, "CLAV ITAV ClosingAvailable InterimAvailable"),
    **sdk.words(BalanceKind.EXPECTED, "XPCD Expected"),
    **sdk.words(BalanceKind.OPENING, "OPBD OpeningBooked"),
    **sdk.words(BalanceKind.FORWARD, "FWAV ForwardAvailable"),
}
"""The kinds of balances by their words; any other word means an unknown kind."""
ENTRIES: Final[Mapping[str, EntryStatus]] = {
    **sdk.words(EntryStatus.BOOKED, "BOOK Booked"),
    **sdk.words(EntryStatus.PENDING, "PDNG Pending"),
}
"""The states of transactions; transactions with another word, such as rejected ones, are left out.
"""
_IBAN: Final = "UK.OBIE.IBAN"
_BIC: Final = "UK.OBIE.BICFI"
_SIGNS: Final = {"Credit": 1, "Debit": -1}


def read_consent(ref: Ref, response: Response, now: datetime) -> BankConsent:
    """The consent in a response; a granted one whose period is over is reported as expired."""
    data = sdk.read_answer(response).object("Data")
    vendor_status = sdk.required(data.text("Status"), response, "Data.Status")
    status = CONSENTS.get(vendor_status, ConsentStatus.UNKNOWN)
    end = data.time("ExpirationDateTime")
    if status is ConsentStatus.GRANTED and end is not None and end <= now:
        status = ConsentStatus.EXPIRED
    return BankConsent(
        ref=ref,
        status=status,
        vendor_status=vendor_status,
        valid_until=maybe_day(data.text("ExpirationDateTime")),
        raw=sdk.read_answer(response).raw,
    )


def read_accounts(response: Response, make_ref: sdk.MakeRef, consent: str) -> Iterable[BankAccount]:
    """The accounts in a response, each with its IBAN, or with another number if it has none."""
    for item in _items(response, "Account"):
        id_ = sdk.required(item.text("AccountId"), response, "AccountId")
        numbers = list(item.objects("Account"))
        number = next(
            (part for part in numbers if part.text("SchemeName") == _IBAN),
            next(iter(numbers), sdk.as_answer({})),
        )
        yield BankAccount(
            ref=make_ref(id_, consent=consent),
            iban=_iban_of(number),
            number=number.text("Identification"),
            bic=_bic_of(item.object("Servicer")),
            currency=item.text("Currency"),
            name=item.text("Nickname") or item.text("Description"),
            owner=number.text("Name"),
            vendor_status=item.text("Status"),
            raw=item.raw,
        )


def read_balances(response: Response) -> tuple[CurrentBalance, ...]:
    """The balances in a response; the amount of a debit balance is negative."""
    return tuple(
        CurrentBalance(
            kind=BALANCES.get(item.text("Type") or "", BalanceKind.UNKNOWN),
            vendor_kind=item.text("Type"),
            amount=_amount(item, response),
            day=maybe_day(item.text("DateTime")),
            at=item.time("DateTime"),
            with_credit=_with_credit(item),
            raw=item.raw,
        )
        for item in _items(response, "Balance")
    )


def read_page(response: Response, *, pending: bool, next_page: Ref | None) -> TransactionPage:
    """The page of transactions in a response."""
    read = [
        (ENTRIES[word], _transaction(item, response, ENTRIES[word]))
        for item in _items(response, "Transaction")
        for word in [sdk.required(item.text("Status"), response, "Status")]
        if word in ENTRIES
    ]
    booked, unbooked = (
        tuple(transaction for own_state, transaction in read if own_state is state)
        for state in (EntryStatus.BOOKED, EntryStatus.PENDING)
    )
    return TransactionPage(
        booked=booked,
        pending=unbooked if pending else (),
        next=next_page,
        raw=sdk.read_answer(response).raw,
    )


def _items(response: Response, name: str) -> tuple[Answer, ...]:
    data = sdk.read_answer(response).object("Data")
    # The list may be missing if it is empty; the object around it may not.
    if not sdk.is_object(sdk.read_answer(response).value("Data")) or not sdk.is_list(
        data.raw.get(name, [])
    ):
        raise sdk.malformed(response, f"Data.{name}")
    return tuple(data.objects(name))


def _amount(item: Answer, response: Response) -> sdk.Money:
    """The amount of a balance or transaction, with its sign."""
    amount = sdk.as_money(item.value("Amount.Amount"), item.value("Amount.Currency"))
    sign = _SIGNS.get(item.text("CreditDebitIndicator") or "")
    if amount is None or sign is None or amount.minor < 0:
        raise sdk.malformed(response, "readable Amount")
    return amount * sign


def _with_credit(item: Answer) -> bool | None:
    lines = [line.flag("Included") for line in item.objects("CreditLine")]
    return any(lines) if lines else None


def _transaction(item: Answer, response: Response, status: EntryStatus) -> AccountTransaction:
    amount = _amount(item, response)
    entry = StatementEntry(
        amount=amount,
        status=status,
        booked_on=maybe_day(item.text("BookingDateTime")) if status is EntryStatus.BOOKED else None,
        value_on=maybe_day(item.text("ValueDateTime")),
        bank_reference=item.text("TransactionReference"),
        bank_code=item.text("ProprietaryBankTransactionCode.Code"),
        transactions=[_payment(item, amount)],
    )
    return AccountTransaction(id=item.text("TransactionId"), entry=entry, raw=item.raw)


def _payment(item: Answer, amount: sdk.Money) -> Transaction:
    role = "Debtor" if amount.minor > 0 else "Creditor"
    account = item.object(f"{role}Account")
    return Transaction(
        amount=amount,
        counterparty=Counterparty(
            name=account.text("Name") or item.text("MerchantDetails.MerchantName"),
            iban=_iban_of(account),
            account=account.text("Identification"),
            bic=_bic_of(item.object(f"{role}Agent")),
            ultimate=item.text(f"Ultimate{role}.Name"),
        ),
        remittance=item.text("TransactionInformation") or "",
    )


def _iban_of(account: Answer) -> Iban | None:
    return maybe_iban(_number(account, _IBAN))


def _bic_of(agent: Answer) -> Bic | None:
    return maybe_bic(_number(agent, _BIC))


def _number(item: Answer, scheme: str) -> str | None:
    """The identification of an account or a bank, if it is of this scheme."""
    return item.text("Identification") if item.text("SchemeName") == scheme else None
