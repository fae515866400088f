"""Account statements, as values that are independent of the bank's file format."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.bank.bic import Bic
from moorage.contracts.bank.iban import Iban
from moorage.contracts.validators import OneOf, are_all, as_tuple, is_a, is_maybe
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

_REMEDY: Final = (
    "Ask the bank for the file again, or pass check_sums=False to read the statement as it is."
)


class StatementKind(OneOf, field="kind"):
    """The kind of a statement.

    A `statement` has the entries that were booked between two balances. A `report` covers the
    current day so far, and a `notification` reports single entries. The entries of both may appear
    again in a statement.
    """

    STATEMENT = "statement"
    REPORT = "report"
    NOTIFICATION = "notification"


class EntryStatus(OneOf, field="status"):
    """The state of an entry; `unknown` if moorage does not know the bank's status."""

    BOOKED = "booked"
    PENDING = "pending"
    INFORMATION = "information"
    UNKNOWN = "unknown"


def _last_digits(text: str) -> str:
    """The last four characters of an account number."""
    return f"'…{text[-4:]}'" if len(text) > 8 else "'…'"


@frozen(kw_only=True)
class StatementAccount:
    """The account of a statement. The repr shows the last four characters of the number only.

    Attributes:
        number: number as the bank wrote it.
        iban: IBAN; None if the account has only a national number.
        bic: code of the bank, where the file has it.
    """

    number: str = field(repr=_last_digits, validator=is_a(str))
    iban: Iban | None = field(default=None, validator=is_maybe(Iban))
    bic: Bic | None = field(default=None, validator=is_maybe(Bic))


@frozen(kw_only=True)
class AccountBalance:
    """A balance of an account.

    Attributes:
        code: kind as the bank's file writes it, such as `OPBD` or `60F`.
        amount: negative if the account is overdrawn.
        day: day of the balance.
    """

    code: str = field(validator=is_a(str))
    amount: Money = field(validator=is_a(Money))
    day: date | None = field(default=None, validator=is_maybe(date))


@frozen(kw_only=True)
class Counterparty:
    """The other party of a payment. The repr shows neither name nor number.

    Attributes:
        name: name, where the bank states it.
        iban: account number; None if the bank states none, or states a number that is not an
            IBAN.
        account: account number as the bank wrote it.
        bic: code of its bank.
        ultimate: name of the party for whom it paid or was paid.
    """

    name: str | None = field(default=None, repr=False, validator=is_maybe(str))
    iban: Iban | None = field(default=None, validator=is_maybe(Iban))
    account: str | None = field(default=None, repr=False, validator=is_maybe(str))
    bic: Bic | None = field(default=None, validator=is_maybe(Bic))
    ultimate: str | None = field(default=None, repr=False, validator=is_maybe(str))


@frozen(kw_only=True)
class Transaction:
    """A payment within an entry. The repr does not show texts, which contain personal data.

    Attributes:
        amount: positive if it was credited to the account; None if the bank states the sum of a
            batch only.
        counterparty: other party.
        end_to_end_id: identifier of the payer; None if there is none.
        customer_reference: your reference of the order, as MT940 and some banks repeat it.
        instruction_id: identifier of the order for the bank.
        mandate_id, creditor_id: mandate and creditor of a direct debit.
        bank_reference: the bank's identifier.
        references: structured references of the remittance, as the bank wrote them.
        documents: numbers of the documents that are paid, such as invoices.
        remittance: text of the remittance.
        return_reason: code of a return, such as `AC04`, or Germany's of three digits in MT940.
    """

    amount: Money | None = field(validator=is_maybe(Money))
    counterparty: Counterparty = field(factory=Counterparty, validator=is_a(Counterparty))
    end_to_end_id: str | None = field(default=None, validator=is_maybe(str))
    customer_reference: str | None = field(default=None, validator=is_maybe(str))
    instruction_id: str | None = field(default=None, validator=is_maybe(str))
    mandate_id: str | None = field(default=None, validator=is_maybe(str))
    creditor_id: str | None = field(default=None, validator=is_maybe(str))
    bank_reference: str | None = field(default=None, validator=is_maybe(str))
    references: tuple[str, ...] = field(default=(), converter=as_tuple, validator=are_all(str))
    documents: tuple[str, ...] = field(default=(), converter=as_tuple, validator=are_all(str))
    remittance: str = field(default="", repr=False, validator=is_a(str))
    return_reason: str | None = field(default=None, validator=is_maybe(str))


@frozen(kw_only=True)
class EntryBatch:
    """A batch of payments that one statement entry books as a single sum.

    Attributes:
        message_id: identifier of the file that had the batch.
        batch_id: identifier of the batch in it.
        count: number of payments.
        total: sum of the payments, positive if it was credited to the account.
    """

    message_id: str | None = field(default=None, validator=is_maybe(str))
    batch_id: str | None = field(default=None, validator=is_maybe(str))
    count: int | None = field(default=None, validator=is_maybe(int))
    total: Money | None = field(default=None, validator=is_maybe(Money))


@frozen(kw_only=True)
class StatementEntry:
    """An entry of an account.

    Attributes:
        amount: positive if it was credited to the account, even if it is a reversal.
        status: booked, pending, or for information.
        status_word: the bank's own word for the status.
        booked_on: day of the booking.
        value_on: day from which it counts for interest.
        bank_reference: the bank's identifier of the entry.
        entry_reference: identifier of the entry within the account, where the bank has one.
        code: the bank's code of the kind of transaction: `PMNT/RCDT/ESCT` of ISO 20022, or
            MT940's three letters.
        bank_code: the bank's own code, such as `NTRF+166` in Germany.
        reversal: True if the entry undoes another entry, such as a returned direct debit.
        has_charges: True if the bank states charges, which it may have deducted from the payments.
        text: text of the bank on the entry.
        batch: batch of payments whose sum the entry is; None if the bank states no batch.
        transactions: the payments; there is always at least one.
    """

    amount: Money = field(validator=is_a(Money))
    status: EntryStatus = field(default=EntryStatus.BOOKED, converter=EntryStatus)
    status_word: str | None = field(default=None, validator=is_maybe(str))
    booked_on: date | None = field(default=None, validator=is_maybe(date))
    value_on: date | None = field(default=None, validator=is_maybe(date))
    bank_reference: str | None = field(default=None, validator=is_maybe(str))
    entry_reference: str | None = field(default=None, validator=is_maybe(str))
    code: str | None = field(default=None, validator=is_maybe(str))
    bank_code: str | None = field(default=None, validator=is_maybe(str))
    reversal: bool = field(default=False, validator=is_a(bool))
    has_charges: bool = field(default=False, validator=is_a(bool))
    text: str = field(default="", repr=False, validator=is_a(str))
    batch: EntryBatch | None = field(default=None, validator=is_maybe(EntryBatch))
    transactions: tuple[Transaction, ...] = field(
        converter=as_tuple, validator=are_all(Transaction)
    )

    @property
    def difference(self) -> Money | None:
        """The amount minus the amounts of the payments.

        Zero if the payments are complete. None if it cannot be computed: an amount is missing or
        in another currency, the bank states charges, or does not list the whole batch.
        """
        amounts = [item.amount for item in self.transactions if item.amount is not None]
        is_whole = len(amounts) == len(self.transactions)
        if self.batch is not None and self.batch.count not in {None, len(amounts)}:
            is_whole = False
        if not is_whole or self.has_charges:
            return None
        return _difference(Money(0, self.amount.currency), self.amount, amounts)


@frozen(kw_only=True)
class Statement:
    """A statement of an account.

    Attributes:
        id: the bank's identifier of the statement.
        kind: statement, report or notification.
        account: the account.
        currency: currency of the account; None if the file does not state it.
        number: number of the statement, as the bank counts; None if it has none.
        page: number of the page, for a statement in several parts.
        created: time at which the bank wrote it.
        opening, closing: balances before and after the entries; None if the file has none.
        balances: all balances, including the opening and the closing balance.
        entries: the entries in the order of the file.
    """

    id: str = field(validator=is_a(str))
    kind: StatementKind = field(default=StatementKind.STATEMENT, converter=StatementKind)
    account: StatementAccount = field(validator=is_a(StatementAccount))
    currency: str | None = field(default=None, validator=is_maybe(str))
    number: int | None = field(default=None, validator=is_maybe(int))
    page: int | None = field(default=None, validator=is_maybe(int))
    created: datetime | None = field(default=None, validator=is_maybe(datetime))
    opening: AccountBalance | None = field(default=None, validator=is_maybe(AccountBalance))
    closing: AccountBalance | None = field(default=None, validator=is_maybe(AccountBalance))
    balances: tuple[AccountBalance, ...] = field(
        default=(), converter=as_tuple, validator=are_all(AccountBalance)
    )
    entries: tuple[StatementEntry, ...] = field(
        default=(), converter=as_tuple, validator=are_all(StatementEntry)
    )

    @property
    def difference(self) -> Money | None:
        """The closing balance minus the opening balance and minus the booked entries.

        Zero if the statement is complete. None if it cannot be computed, since a balance is
        missing, or the amounts are of several currencies.
        """
        if self.opening is None or self.closing is None:
            return None
        return _difference(
            self.opening.amount,
            self.closing.amount,
            [entry.amount for entry in self.entries if entry.status is EntryStatus.BOOKED],
        )


def _difference(opening: Money, closing: Money, amounts: Iterable[Money]) -> Money | None:
    amount_list = list(amounts)
    if {opening.currency} != {amount.currency for amount in (closing, *amount_list)}:
        return None
    minor_difference = closing.minor - opening.minor - sum(amount.minor for amount in amount_list)
    return Money.from_minor(minor_difference, opening.currency)


def check_balances(statement: Statement, field: str) -> None:
    """Refuse a statement whose entries do not add up to the change of its balance.

    Raises:
        InvalidData: entries are missing, repeated, changed, or in another currency than both
            balances.
    """
    currency = statement.opening.amount.currency if statement.opening else None
    if statement.closing and statement.closing.amount.currency == currency:
        for number, entry in enumerate(statement.entries, 1):
            if entry.status is EntryStatus.BOOKED and entry.amount.currency != currency:
                raise InvalidData(
                    f"The statement's entry {number} is in {entry.amount.currency}, but its"
                    f" balances are in {currency}, so the sums cannot be checked.",
                    field=field,
                    remedy=_REMEDY,
                )
    difference: Any = statement.difference
    if difference is not None and difference.minor != 0:
        raise InvalidData(
            f"The statement's closing balance differs by {difference} from the sum of its opening"
            " balance and entries.",
            field=field,
            remedy=_REMEDY,
        )


def check_entry_count(statement: Statement, expected: int, field: str, *, is_credit: bool) -> None:
    """Refuse a statement that does not have the number of entries that the bank states.

    Args:
        statement: the statement.
        expected: the number.
        field: the place of the number in the file.
        is_credit: whether the number is of the incoming amounts, or of the outgoing amounts.

    Raises:
        InvalidData: entries are missing or repeated.
    """
    count = sum(
        entry.amount.minor > 0 if is_credit else entry.amount.minor < 0
        for entry in statement.entries
    )
    if count != expected:
        raise InvalidData(
            f"The bank states {expected} {'incoming' if is_credit else 'outgoing'} amounts, but the"
            f" file has {count}.",
            field=field,
            remedy=_REMEDY,
        )


def check_payments(statement: Statement, field: str) -> None:
    """Refuse a statement with an entry whose payments do not add up to its amount.

    Args:
        statement: the statement.
        field: the beginning of the path of its entries, such as `Stmt[1]/Ntry`.

    Raises:
        InvalidData: payments of an entry are missing, repeated or changed.
    """
    if statement.difference is None:
        return
    for number, entry in enumerate(statement.entries, 1):
        difference = entry.difference
        if difference is not None and difference.minor != 0:
            raise InvalidData(
                f"The amount of the statement's entry {number} differs by {difference} from the sum"
                " of its payments.",
                field=f"{field}[{number}]/NtryDtls",
                remedy=_REMEDY,
            )
