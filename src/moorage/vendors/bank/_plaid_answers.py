"""Reads the responses of Plaid: consents, accounts, balances and transactions."""

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
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.vendor_sdk import Answer, Ref, Response

ITEMS: Final[Mapping[str, ConsentStatus]] = {
    **sdk.words(
        ConsentStatus.EXPIRED,
        "ITEM_LOGIN_REQUIRED INVALID_CREDENTIALS OAUTH_CONSENT_EXPIRED OAUTH_INVALID_TOKEN",
    ),
    **sdk.words(
        ConsentStatus.REVOKED, "OAUTH_USER_REVOKED USER_ACCOUNT_REVOKED USER_PERMISSION_REVOKED"
    ),
    "ACCESS_NOT_GRANTED": ConsentStatus.REFUSED,
    "ITEM_LOCKED": ConsentStatus.SUSPENDED,
}
"""The states of consents by the error of their Item; without an error the consent is granted."""
_DEBT_TYPES: Final = frozenset({"credit", "loan"})
"""The types of accounts whose current balance is the amount that their owner owes."""
_BALANCES: Final = {"current": BalanceKind.BOOKED, "available": BalanceKind.AVAILABLE}
_NUMBERS: Final = ("ach", "eft", "bacs", "international")


def public_token(answer: Answer) -> str | None:
    """The token to exchange after a finished session of Link; None if there is none."""
    for session in answer.objects("link_sessions"):
        results = session.objects("results.item_add_results")
        tokens = [result.text("public_token") for result in results]
        token = next(filter(None, [*tokens, session.text("on_success.public_token")]), None)
        if token is not None:
            return token
    return None


def read_link(ref: Ref, answer: Answer, response: Response, now: datetime) -> BankConsent:
    """The consent behind a link that has no result yet: pending, refused or expired."""
    sdk.required(answer.text("link_token"), response, "link_token")
    expiration = sdk.required(answer.time("expiration"), response, "expiration")
    sessions = list(answer.objects("link_sessions"))
    status = ConsentStatus.EXPIRED if expiration <= now else ConsentStatus.PENDING
    if sessions and all(session.time("finished_at") for session in sessions):
        status = ConsentStatus.REFUSED
    vendor_status = sessions[-1].text("exit.metadata.status") if sessions else None
    return BankConsent(ref=ref, status=status, vendor_status=vendor_status, raw=answer.raw)


def read_item(ref: Ref, response: Response) -> BankConsent:
    """The consent to which the owner agreed, by the state of its Item."""
    answer = sdk.read_answer(response)
    item = answer.object("item")
    sdk.required(item.text("item_id"), response, "item.item_id")
    code = item.text("error.error_code")
    status = ConsentStatus.GRANTED
    if code is not None:
        reason = item.text("error.error_code_reason")
        status = ITEMS.get(reason or "", ITEMS.get(code, ConsentStatus.UNKNOWN))
    return BankConsent(
        ref=ref,
        status=status,
        vendor_status=code,
        valid_until=maybe_day(item.text("consent_expiration_time")),
        raw=answer.raw,
    )


def read_numbers(response: Response) -> dict[str | None, Answer]:
    """The account numbers of an Item, by the id of the account; an IBAN is preferred to others."""
    answer = sdk.read_answer(response)
    if not sdk.is_object(answer.value("numbers")):
        raise sdk.malformed(response, "numbers")
    return {
        item.text("account_id"): item
        for kind in _NUMBERS
        for item in answer.objects(f"numbers.{kind}")
    }


def read_accounts(response: Response) -> tuple[Answer, ...]:
    """Return the accounts of a response; raise if the response has no list of accounts."""
    answer = sdk.read_answer(response)
    if not sdk.is_list(answer.value("accounts")):
        raise sdk.malformed(response, "accounts")
    return tuple(answer.objects("accounts"))


def account(item: Answer, number: Answer, ref: Ref) -> BankAccount:
    """Return an account of an Item, with its account number if that is known."""
    iban = number.text("iban")
    return BankAccount(
        ref=ref,
        iban=maybe_iban(iban),
        number=iban or number.text("account"),
        bic=maybe_bic(number.text("bic")),
        currency=item.text("balances.iso_currency_code"),
        name=item.text("official_name") or item.text("name"),
        raw=item.raw,
    )


def read_balances(response: Response, id_: str) -> tuple[CurrentBalance, ...]:
    """The balances of an account; a debt of the owner is negative."""
    item = next((item for item in read_accounts(response) if item.text("account_id") == id_), None)
    if item is None:
        raise sdk.malformed(response, "account")
    balances = item.object("balances")
    owes = item.text("type") in _DEBT_TYPES
    return tuple(
        CurrentBalance(
            kind=kind,
            vendor_kind=name,
            amount=-amount if owes and kind is BalanceKind.BOOKED else amount,
            at=balances.time("last_updated_datetime"),
            raw=balances.raw,
        )
        for name, kind in _BALANCES.items()
        if balances.value(name) is not None
        for amount in [_amount(balances, name, response)]
    )


def read_page(
    response: Response, ref: Ref, offset: int, last: str | None, *, pending: bool
) -> TransactionPage | None:
    """The page of transactions in a response, with the position of the next page.

    Args:
        response: Plaid's response.
        ref: the account.
        offset: number of transactions before those of the response.
        last: id of the transaction after which the page begins; None for the first page.
        pending: True to include pending transactions.

    Returns:
        The page, or None if `last` is not in the response because the transactions have moved.
    """
    answer = sdk.read_answer(response)
    if not sdk.is_list(answer.value("transactions")):
        raise sdk.malformed(response, "transactions")
    total = sdk.required(answer.integer("total_transactions"), response, "total_transactions")
    items = list(answer.objects("transactions"))
    read = [(item.flag("pending") is True, _transaction(item, response)) for item in items]
    start = 0
    if last is not None:
        ids = [transaction.id for _, transaction in read]
        if last not in ids:
            return None
        start = ids.index(last) + 1
        offset, read = offset + start, read[start:]
    if offset + len(read) < total and not all(is_pending for is_pending, _ in read):
        # The next page is found by a transaction that will not vanish.
        while read[-1][0]:
            read.pop()
    end = offset + len(read)
    # A response without further transactions is the last page, unless the transactions have only
    # moved.
    last = read[-1][1].id if read else last if start > 1 else None
    page = None if last is None or end >= total else f"{end}:{last}"
    return TransactionPage(
        booked=tuple(transaction for is_pending, transaction in read if not is_pending),
        pending=tuple(transaction for is_pending, transaction in read if is_pending and pending),
        next=None if page is None else ref.with_related(page=page),
        raw=answer.raw,
    )


def _amount(item: Answer, name: str, response: Response) -> sdk.Money:
    amount = sdk.as_money(item.value(name), item.value("iso_currency_code"))
    return sdk.required(amount, response, f"readable {name}")


def _transaction(item: Answer, response: Response) -> AccountTransaction:
    """A transaction; Plaid's amount is positive if the money leaves the account."""
    amount = -_amount(item, "amount", response)
    is_pending = item.flag("pending") is True
    party = next(item.objects("counterparties"), sdk.as_answer({}))
    number = party.object("account_numbers.international")
    text = item.text("original_description") or ""
    names = ("payer", "payee") if amount.minor > 0 else ("payee", "payer")
    name = next(filter(None, (item.text(f"payment_meta.{role}") for role in names)), None)
    payment = Transaction(
        amount=amount,
        counterparty=Counterparty(
            name=name or party.text("name"),
            iban=maybe_iban(number.text("iban")),
            account=number.text("iban") or party.text("account_numbers.bacs.account"),
            bic=maybe_bic(number.text("bic")),
        ),
        bank_reference=item.text("payment_meta.reference_number"),
        remittance=item.text("payment_meta.reason") or text or item.text("name") or "",
    )
    entry = StatementEntry(
        amount=amount,
        status=EntryStatus.PENDING if is_pending else EntryStatus.BOOKED,
        booked_on=None if is_pending else maybe_day(item.text("date")),
        text=text,
        transactions=[payment],
    )
    return AccountTransaction(
        id=sdk.required(item.text("transaction_id"), response, "transaction_id"),
        entry=entry,
        raw=item.raw,
    )
