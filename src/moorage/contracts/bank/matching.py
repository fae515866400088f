"""Matching of payments in statements with open items, such as invoices.

A payment is matched only if an identifier names the item and the amount is equal. A weaker match
is reported as ambiguous, with the reason and the candidates, and a person decides.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from moorage.contracts.bank.iban import Iban
from moorage.contracts.bank.statements import StatementEntry, Transaction
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_list,
    as_tuple,
    check_kind,
    is_a,
    is_maybe,
)
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_WORD: Final = re.compile(r"[A-Z0-9]+")
_LONGEST_NUMBER: Final = 35
_SHORTEST_NUMBER: Final = 4
_MOST_WORDS: Final = 9
"""The words of the longest number in groups of four, as creditor references are printed."""


class MatchReason(OneOf, field="reason"):
    """The reason why a payment is matched, ambiguous or unmatched.

    Matched: `end_to_end_id`, `reference` (structured), `invoice_number` (the text contains the
    invoice number or the reference, or the bank names the document), or `amount_and_account` (the
    amount is that of one open item only, and the account that of its party).

    Ambiguous: `amount_differs` (an identifier names an item of another amount: a part payment, a
    discount, or too much), `several_items` (more items are named, and their sum differs),
    `several_payments` (another payment names the item too), `contradiction` (identifiers name
    different items, or the payments of the entry do not add up to it), `amount_only` (nothing but
    the amount fits), `reversal` (the payment came back).

    Unmatched: `no_item`, `not_booked` (the entry is pending, or for information), `batch` (the bank
    states the sum of a batch only), `contradiction` and `reversal`.
    """

    END_TO_END_ID = "end_to_end_id"
    REFERENCE = "reference"
    INVOICE_NUMBER = "invoice_number"
    AMOUNT_AND_ACCOUNT = "amount_and_account"
    AMOUNT_DIFFERS = "amount_differs"
    SEVERAL_ITEMS = "several_items"
    SEVERAL_PAYMENTS = "several_payments"
    CONTRADICTION = "contradiction"
    AMOUNT_ONLY = "amount_only"
    REVERSAL = "reversal"
    NO_ITEM = "no_item"
    NOT_BOOKED = "not_booked"
    BATCH = "batch"


@frozen(kw_only=True)
class OpenItem:
    """An unpaid item, such as an invoice, that a payment may settle.

    Attributes:
        id: your identifier of the item, unique in a list.
        amount: amount as the account will show it: positive for money that you receive, negative
            for money that you pay.
        end_to_end_id: identifier that you gave the payment or direct debit.
        reference: structured reference on the invoice, also one of a national kind.
        invoice_number: number that a payer may write into the text. It is looked for if it has
            four or more letters and digits; spaces and signs between these do not count.
        iban: account of the other party.
    """

    id: str = field(validator=is_a(str))
    amount: Money = field(validator=is_a(Money))
    end_to_end_id: str | None = field(default=None, validator=is_maybe(str))
    reference: str | None = field(default=None, validator=is_maybe(str))
    invoice_number: str | None = field(default=None, validator=is_maybe(str))
    iban: Iban | None = field(default=None, validator=is_maybe(Iban))


@frozen(kw_only=True)
class PaymentMatch:
    """A payment with the items that it settles, or may settle.

    Attributes:
        entry: entry of the statement.
        transaction: payment in it.
        items: items in the order of the list: the items that a matched payment settles, or the
            candidates of an ambiguous payment.
        reason: reason of the decision.
    """

    entry: StatementEntry = field(validator=is_a(StatementEntry))
    transaction: Transaction = field(validator=is_a(Transaction))
    items: tuple[OpenItem, ...] = field(converter=as_tuple, validator=are_all(OpenItem))
    reason: MatchReason = field(converter=MatchReason)


@frozen(kw_only=True)
class MatchResult:
    """The result of matching: each payment once, and the items without a matched payment.

    Attributes:
        matched: payments with the items that they settle.
        ambiguous: payments for which a person has to decide.
        unmatched: payments without a candidate.
        open_items: items that no payment was matched with.
    """

    matched: tuple[PaymentMatch, ...] = ()
    ambiguous: tuple[PaymentMatch, ...] = ()
    unmatched: tuple[PaymentMatch, ...] = ()
    open_items: tuple[OpenItem, ...] = ()


def match(entries: Iterable[StatementEntry], open_items: Iterable[OpenItem]) -> MatchResult:
    """Match payments with open items; their order does not matter.

    Several invoices that a payment names are matched if the sum of their amounts is equal.

    Raises:
        InvalidData: two items have the same id.
    """
    entry_list = as_list(entries, "entries")
    for number, entry in enumerate(entry_list):
        check_kind(entry, StatementEntry, f"entries[{number}]")
    index = _Index(as_list(open_items, "open_items"))
    matches = [
        index.first_match(entry, transaction, is_whole=is_whole)
        for entry in entry_list
        for is_whole in (_is_whole(entry),)
        for transaction in entry.transactions
    ]
    return _result(_mark_ambiguous(matches), index.items)


def _is_whole(entry: StatementEntry) -> bool:
    """Return whether the payments add up to the entry, as far as this is known."""
    difference = entry.difference
    return difference is None or difference.minor == 0


def _result(matches: list[PaymentMatch], items: list[OpenItem]) -> MatchResult:
    certain_matches = [item for item in matches if item.reason in _CERTAIN_REASONS]
    settled_ids = {item.id for payment in certain_matches for item in payment.items}
    return MatchResult(
        matched=tuple(certain_matches),
        ambiguous=tuple(
            item for item in matches if item.reason not in _CERTAIN_REASONS and item.items
        ),
        unmatched=tuple(item for item in matches if not item.items),
        open_items=tuple(item for item in items if item.id not in settled_ids),
    )


_CERTAIN_REASONS: Final = frozenset(
    {
        MatchReason.END_TO_END_ID,
        MatchReason.REFERENCE,
        MatchReason.INVOICE_NUMBER,
        MatchReason.AMOUNT_AND_ACCOUNT,
    }
)


def _mark_ambiguous(matches: list[PaymentMatch]) -> list[PaymentMatch]:
    """Return the matches; if several payments would settle one item, they become ambiguous."""
    claims: dict[str, int] = defaultdict(int)
    for payment in matches:
        if payment.reason in _CERTAIN_REASONS:
            for item in payment.items:
                claims[item.id] += 1
    return [
        evolve(payment, reason=MatchReason.SEVERAL_PAYMENTS)
        if payment.reason in _CERTAIN_REASONS and any(claims[item.id] > 1 for item in payment.items)
        else payment
        for payment in matches
    ]


def _compact(text: str) -> str:
    return "".join(_WORD.findall(text.upper()))


class _Index:
    """An index of the open items by the identifiers that may name them."""

    def __init__(self, items: list[OpenItem]) -> None:
        self.items = items
        self._order: dict[str, int] = {}
        self._by_id: dict[str, list[OpenItem]] = defaultdict(list)
        self._by_reference: dict[str, list[OpenItem]] = defaultdict(list)
        self._by_number: dict[str, list[OpenItem]] = defaultdict(list)
        by_amount: dict[Money, list[OpenItem]] = defaultdict(list)
        for number, item in enumerate(items):
            check_kind(item, OpenItem, f"open_items[{number}]")
            if item.id in self._order:
                raise InvalidData(
                    f"Two open items have the id {item.id!r}.",
                    field=f"open_items[{number}].id",
                    remedy="Give each item a different id.",
                )
            self._order[item.id] = number
            self._add(item)
            by_amount[item.amount].append(item)
        # Tuples, because many payments may share the same long list of candidates.
        self._by_amount = {amount: tuple(same_items) for amount, same_items in by_amount.items()}

    def _add(self, item: OpenItem) -> None:
        if item.end_to_end_id:
            self._by_id[item.end_to_end_id].append(item)
        reference = _compact(item.reference or "")
        if reference:
            self._by_reference[reference].append(item)
        number = _compact(item.invoice_number or "")
        if _SHORTEST_NUMBER <= len(number) <= _LONGEST_NUMBER:
            self._by_number[number].append(item)

    def first_match(
        self, entry: StatementEntry, transaction: Transaction, *, is_whole: bool
    ) -> PaymentMatch:
        """The match of one payment, found without regard to the other payments.

        Args:
            entry: the entry of the payment.
            transaction: the payment.
            is_whole: False if the payments of the entry do not add up to its amount.
        """
        reason, items = self._match_payment(entry, transaction, is_whole=is_whole)
        # A tuple has the order of the list already.
        ordered_matches = (
            items
            if isinstance(items, tuple)
            else tuple(sorted(items, key=lambda item: self._order[item.id]))
        )
        return PaymentMatch(
            entry=entry, transaction=transaction, items=ordered_matches, reason=reason
        )

    def _match_payment(
        self, entry: StatementEntry, transaction: Transaction, *, is_whole: bool
    ) -> tuple[MatchReason, Sequence[OpenItem]]:
        if entry.status != "booked":
            return MatchReason.NOT_BOOKED, []
        named_payments = list(self._match_by_reference(transaction))
        items_by_id = {item.id: item for _, items in named_payments for item in items}
        if entry.reversal or transaction.return_reason is not None:
            return MatchReason.REVERSAL, list(items_by_id.values())
        amount = transaction.amount
        if amount is None:
            return MatchReason.BATCH, []
        if not is_whole:
            return MatchReason.CONTRADICTION, list(items_by_id.values())
        if named_payments:
            return _named_match(named_payments, items_by_id, amount)
        return self._match_by_amount(transaction, amount)

    def _match_by_reference(
        self, transaction: Transaction
    ) -> Iterator[tuple[MatchReason, list[OpenItem]]]:
        """Yield the open items that a payment refers to, by each kind of identifier."""
        identifiers = {transaction.end_to_end_id, transaction.customer_reference} - {None}
        yield from _with_reason(
            MatchReason.END_TO_END_ID,
            [item for text in identifiers for item in self._by_id.get(text or "", ())],
        )
        yield from _with_reason(
            MatchReason.REFERENCE,
            [
                item
                for text in transaction.references
                for item in self._by_reference.get(_compact(text), ())
            ],
        )
        texts = [transaction.remittance, *transaction.documents]
        if transaction.end_to_end_id is not None:
            texts.append(transaction.end_to_end_id)
        numbers = [number for text in texts for number in self._numbers(text)]
        yield from _with_reason(MatchReason.INVOICE_NUMBER, numbers)

    def _numbers(self, text: str) -> Iterator[OpenItem]:
        """Yield the items whose number or reference occurs in a text; longer matches win."""
        words = _WORD.findall(text.upper())
        end = 0
        for start in range(len(words)):
            if start < end:
                continue
            for stop in range(min(len(words), start + _MOST_WORDS), start, -1):
                number = "".join(words[start:stop])
                items = [*self._by_number.get(number, ()), *self._by_reference.get(number, ())]
                if items and len(number) >= _SHORTEST_NUMBER:
                    yield from items
                    end = stop
                    break

    def _match_by_amount(
        self, transaction: Transaction, amount: Money
    ) -> tuple[MatchReason, tuple[OpenItem, ...]]:
        items = self._by_amount.get(amount, ())
        iban = transaction.counterparty.iban
        if len(items) == 1 and iban is not None and items[0].iban == iban:
            return MatchReason.AMOUNT_AND_ACCOUNT, items
        return (MatchReason.AMOUNT_ONLY if items else MatchReason.NO_ITEM), items


def _with_reason(
    reason: MatchReason, items: list[OpenItem]
) -> Iterator[tuple[MatchReason, list[OpenItem]]]:
    """Yield the reason with its items, each item once; yield nothing if there are no items."""
    by_id = {item.id: item for item in items}
    if by_id:
        yield reason, list(by_id.values())


def _named_match(
    named_items: list[tuple[MatchReason, list[OpenItem]]],
    items_by_id: dict[str, OpenItem],
    amount: Money,
) -> tuple[MatchReason, list[OpenItem]]:
    """The decision about a payment that refers to open items."""
    common_ids = set(items_by_id)
    for _, items in named_items:
        common_ids &= {item.id for item in items}
    if not common_ids:
        return MatchReason.CONTRADICTION, list(items_by_id.values())
    reason, items = named_items[0]
    candidates = list(items_by_id.values())
    settled_ids = [item for item in items if item.id in common_ids]
    if _is_sum(settled_ids, amount):
        return reason, settled_ids
    return (
        MatchReason.SEVERAL_ITEMS if len(candidates) > 1 else MatchReason.AMOUNT_DIFFERS
    ), candidates


def _is_sum(items: list[OpenItem], amount: Money) -> bool:
    return {amount.currency} == {item.amount.currency for item in items} and amount.minor == sum(
        item.amount.minor for item in items
    )
