"""Reader of SWIFT's MT940 statements and MT942 reports, as banks deliver them to customers."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, NoReturn

from moorage.contracts.bank.iban import maybe_iban
from moorage.contracts.bank.mt940_details import read_details
from moorage.contracts.bank.sources import LARGEST, pieces
from moorage.contracts.bank.statements import (
    AccountBalance,
    EntryStatus,
    Statement,
    StatementAccount,
    StatementEntry,
    StatementKind,
    Transaction,
    check_balances,
    check_entry_count,
)
from moorage.domain.values.frozen_values import evolve, frozen
from moorage.domain.values.money import EXPONENTS, Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.contracts.bank.sources import BankFile

_TAG: Final = re.compile(
    r":(20|21|25P?|28C?|60[FM]|61|62[FM]|6[45]F?|86|13D?|34F|90[CD]|NS):(.*)", re.DOTALL
)
"""A tag of MT940 or MT942; a text may be wrapped before others, such as the minutes of a time."""
_HEADER: Final = re.compile("2[158].*")
"""Tags that are not repeated after an entry."""
_BALANCE: Final = re.compile(r"([CD])([0-9]{6})([A-Z]{3})([0-9]{1,18}(?:,[0-9]*)?)")
_LINE: Final = re.compile(
    r"([0-9]{6})([0-9]{4}| {4})?(R?[CD]|E[CD])([A-Z])?([0-9]{1,18}(?:,[0-9]*)?)"
    r" *([A-Z][A-Z0-9 ]{3})(.*)"
)
"""An entry; its code may follow a space, be filled up with spaces, or begin with any letter."""
_FLOOR_LIMIT: Final = re.compile(r"([A-Z]{3})([CD])?([0-9]{1,15}(?:,[0-9]*)?)")
_TOTAL: Final = re.compile(r"([0-9]{1,5})([A-Z]{3})[0-9]{1,15}(?:,[0-9]*)?")
_WRITTEN_AT: Final = re.compile(r"[0-9]{10}[+-][0-9]{4}")
_LINE_END: Final = re.compile("\r\n|\n|\r")
_NUMBER: Final = re.compile(r"([0-9]{1,15})(?:/([0-9]{1,15}))?")
_POINTERS: Final = frozenset({"", "NONREF", "EREF", "KREF", "MREF", "MARF", "PREF"})
"""Words in the place of a reference: there is none, or field 86 has it."""
_REFERENCE_LENGTH: Final = 16
"""The length of a reference; some Dutch banks write the name of the other party behind it."""

_OLD_YEARS: Final = 80
_LONGEST_ACCOUNT: Final = 100
"""SWIFT allows 35 characters, and some banks add a currency or a name."""
_REMEDY: Final = "Ask the bank for the file again; compare its size with the original."


def read_mt940(
    source: BankFile, *, largest: int = LARGEST, check_sums: bool = True
) -> tuple[Statement, ...]:
    """The statements of an MT940 file, or the reports of an MT942 file.

    The text is read as UTF-8, or as ISO 8859-1 if it is not valid UTF-8. Field 86 is read in
    Germany's structure (`?20`), in that of ISO keywords (`/REMI/`), and as text otherwise. A
    statement whose entries do not lead from its opening to its closing balance is refused. An
    MT942 report covers the current day so far and has no balances; a report that must list all
    entries is refused if their number differs from the number that the bank states.

    Args:
        source: bytes of the file, or a file opened for reading bytes.
        largest: maximum number of bytes; a larger file is refused.
        check_sums: False to accept a statement whose sums differ; `Statement.difference` is
            the amount.

    Raises:
        InvalidData: the file is truncated, malformed, too large, or its sums differ; the field is
            the number of the line and the tag.
    """
    content = b"".join(pieces(source, largest))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("iso-8859-1")
    statements: list[Statement] = []
    for fields in _messages(text):
        if _is_report(fields):
            statement = _report(fields)
            if check_sums:
                _check_totals(statement, fields)
        else:
            statement = _statement(fields)
            if check_sums:
                closing = [field for field in fields if field.tag[:2] == "62"]
                check_balances(statement, closing[-1].place)
        statements.append(statement)
    if not statements:
        raise InvalidData(
            "The file has no line that begins with ':20:', so it is not an MT940 statement.",
            field="line 1",
            remedy="Give the unchanged file from the bank; use read_camt() for XML statements.",
        )
    return tuple(statements)


@frozen
class _Field:
    """A field of an MT940 file: its tag, its line number, and its lines of text."""

    tag: str
    line: int
    lines: list[str]

    @property
    def place(self) -> str:
        return f"line {self.line} :{self.tag}:"

    def refuse(self, fault: str) -> NoReturn:
        raise InvalidData(
            f"The MT940 file's field :{self.tag}: on line {self.line} {fault}.",
            field=self.place,
            remedy=_REMEDY,
        ) from None


def _messages(text: str) -> Iterator[list[_Field]]:
    """Yield the fields of each message; other blocks and headers are skipped."""
    fields: list[_Field] = []
    # Not splitlines(), which would also split at the separators of old terminals.
    for number, line in enumerate(_LINE_END.split(text), 1):
        match = _TAG.fullmatch(line.removeprefix("{4:"))
        if match is not None and _HEADER.fullmatch(match[1]) and _has_entries(fields):
            match = None
        if match is not None and match[1] == "20":
            if fields:
                yield fields
            fields = [_Field("20", number, [match[2]])]
        elif not fields:
            continue
        elif match is not None:
            fields.append(_Field(match[1], number, [match[2]]))
        elif line.rstrip() == "-" or line.startswith("-}"):
            yield fields
            fields = []
        else:
            fields[-1].lines.append(line)
    if fields:
        yield fields


def _has_entries(fields: list[_Field]) -> bool:
    return bool(fields) and fields[-1].tag in {"61", "86"}


def _statement(fields: list[_Field]) -> Statement:
    first_fields: dict[str, _Field] = {}
    last_fields: dict[str, _Field] = {}
    for field in fields:
        first_fields.setdefault(field.tag, field)
        last_fields[field.tag] = field
    opening_field = first_fields.get("60F") or first_fields.get("60M")
    closing_field = last_fields.get("62F") or last_fields.get("62M")
    if opening_field is None or closing_field is None or "25" not in first_fields:
        missing_tag = (
            ":25:" if "25" not in first_fields else ":60F:" if opening_field is None else ":62F:"
        )
        fields[-1].refuse(
            f"is the last field of a statement that has no {missing_tag}; the file may be cut off"
            " here"
        )
    opening, closing = _balance(opening_field), _balance(closing_field)
    currency = opening.amount.currency
    if closing.amount.currency != currency:
        closing_field.refuse(f"is not in {currency}, the currency of the opening balance")
    number, page = _number(first_fields.get("28C") or first_fields.get("28"))
    return Statement(
        id=first_fields["20"].lines[0].strip(),
        account=_account(first_fields["25"]),
        currency=currency,
        number=number,
        page=page,
        opening=opening,
        closing=closing,
        balances=[_balance(field) for field in fields if field.tag[:2] in {"60", "62", "64", "65"}],
        entries=list(_entries(fields, currency)),
    )


def _is_report(fields: list[_Field]) -> bool:
    """Return whether a message is a report of MT942, which has a floor limit and no balances."""
    tags = {field.tag for field in fields}
    return "34F" in tags and not tags & {"60F", "60M", "62F", "62M"}


def _report(fields: list[_Field]) -> Statement:
    first_fields: dict[str, _Field] = {}
    for field in fields:
        first_fields.setdefault(field.tag, field)
    if "25" not in first_fields:
        fields[-1].refuse(
            "is the last field of a report that has no :25:; the file may be cut off here"
        )
    currency = _floor_limit(first_fields["34F"])[0]
    number, page = _number(first_fields.get("28C") or first_fields.get("28"))
    return Statement(
        id=first_fields["20"].lines[0].strip(),
        kind=StatementKind.REPORT,
        account=_account(first_fields["25"]),
        currency=currency,
        number=number,
        page=page,
        created=_written_at(first_fields.get("13D")),
        entries=list(_entries(fields, currency)),
    )


def _floor_limit(field: _Field) -> tuple[str, str, bool]:
    """Return a limit's currency, its sign (C, D or CD for both), and whether it is zero."""
    match = _FLOOR_LIMIT.fullmatch(field.lines[0].strip())
    if match is None:
        field.refuse("is not a floor limit such as EURC0,00")
    return match[1], match[2] or "CD", _money(field, match[3], match[1]).minor == 0


def _written_at(field: _Field | None) -> datetime | None:
    if field is None:
        return None
    text = field.lines[0].strip()
    try:
        if _WRITTEN_AT.fullmatch(text):
            return datetime.strptime(text, "%y%m%d%H%M%z")
    except ValueError:
        pass
    return field.refuse("is not a time such as 2611251430+0100")


def _check_totals(report: Statement, fields: list[_Field]) -> None:
    """Refuse a complete report whose number of debits or credits differs from the stated number."""
    whole_signs = ""
    for field in fields:
        if field.tag == "34F":
            _, signs, is_zero = _floor_limit(field)
            whole_signs += signs if is_zero else ""
    for field in fields:
        if field.tag in {"90C", "90D"} and field.tag[-1] in whole_signs:
            match = _TOTAL.fullmatch(field.lines[0].strip())
            if match is None:
                field.refuse("is not a number of entries and their sum, such as 2EUR12,34")
            check_entry_count(report, int(match[1]), field.place, is_credit=field.tag == "90C")


def _number(field: _Field | None) -> tuple[int | None, int | None]:
    match = None if field is None else _NUMBER.fullmatch(field.lines[0].strip())
    if match is None:
        return None, None
    return int(match[1]), None if match[2] is None else int(match[2])


def _account(field: _Field) -> StatementAccount:
    """Return the account in a field: IBAN, `BLZ/number` or `BIC/number`, with any currency."""
    text = field.lines[0].strip()
    if not 0 < len(text) <= _LONGEST_ACCOUNT:
        field.refuse("has no account number" if not text else "is too long for an account number")
    for part in (text, *text.split("/")):
        for candidate in (part, part[:-3]):
            iban = maybe_iban(candidate)
            if iban is not None:
                return StatementAccount(number=text, iban=iban)
    return StatementAccount(number=text)


def _day(field: _Field, text: str) -> date:
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:])
    year += 1900 if year >= _OLD_YEARS else 2000
    if month == 2 and day in {29, 30}:  # banks that count 30 days per month use such value dates
        day = min(day, monthrange(year, month)[1])
    try:
        return date(year, month, day)
    except ValueError:
        field.refuse("has a date that does not exist")


def _money(field: _Field, text: str, currency: str) -> Money:
    integer, _, fraction = text.partition(",")
    try:
        return Money(f"{integer}.{fraction}" if fraction else integer, currency)
    except InvalidData:
        field.refuse(
            "has an amount with more decimals than its currency"
            if currency in EXPONENTS
            else "has an unknown currency code"
        )


def _balance(field: _Field) -> AccountBalance:
    match = _BALANCE.fullmatch(field.lines[0].strip())
    if match is None:
        field.refuse("is not a balance such as C261125EUR12,34")
    amount = _money(field, match[4], match[3])
    return AccountBalance(
        code=field.tag,
        amount=amount if match[1] == "C" else -amount,
        day=_day(field, match[2]),
    )


def _entries(fields: list[_Field], currency: str) -> Iterator[StatementEntry]:
    for number, field in enumerate(fields):
        if field.tag == "61":
            next_field = fields[number + 1] if number + 1 < len(fields) else None
            details = next_field if next_field is not None and next_field.tag == "86" else None
            yield _entry(field, details, currency)


def _entry(field: _Field, details: _Field | None, currency: str) -> StatementEntry:
    match = _LINE.fullmatch(field.lines[0].strip())
    if match is None:
        field.refuse("is not an entry such as 2611251125C12,34NTRFNONREF//REF")
    value_text, booked_text, direction, _, amount_text, kind, references = match.groups()
    value_on = _day(field, value_text)
    kind = kind.rstrip()
    amount = _money(field, amount_text, currency)
    if direction in {"D", "RC", "ED"}:
        amount = -amount
    customer, _, bank = references.partition("//")
    content = read_details(details.lines if details is not None else [], amount)
    reference, bank_reference = _reference(customer), _reference(bank)
    return StatementEntry(
        amount=amount,
        booked_on=_booked_on(field, booked_text, value_on),
        value_on=value_on,
        bank_reference=bank_reference,
        code=kind,
        bank_code=None if content.code is None else f"{kind}+{content.code}",
        status=EntryStatus.PENDING if direction.startswith("E") else EntryStatus.BOOKED,
        reversal=direction.startswith("R"),
        text=" ".join(filter(None, [content.title, *map(str.strip, field.lines[1:])])),
        transactions=[_with_reference(content.transaction, reference, bank_reference)],
    )


def _reference(text: str) -> str | None:
    """Return the customer's or the bank's reference.

    None if a word in the field means that there is no reference.
    """
    first_part = text[:_REFERENCE_LENGTH].strip().removesuffix("+")
    return None if first_part in _POINTERS else text.strip()


def _with_reference(
    transaction: Transaction, reference: str | None, bank_reference: str | None
) -> Transaction:
    return evolve(
        transaction,
        customer_reference=transaction.customer_reference or reference,
        bank_reference=transaction.bank_reference or bank_reference,
    )


def _booked_on(field: _Field, text: str | None, value_on: date) -> date | None:
    """The day of booking; since its field has no year, the date nearest to the value date."""
    if text is None or not text.strip():
        return None
    days: list[date] = []
    for year in (value_on.year - 1, value_on.year, value_on.year + 1):
        try:
            days.append(date(year, int(text[:2]), int(text[2:])))
        except ValueError:
            continue
    if not days:
        field.refuse("has a booking date that does not exist")
    return min(days, key=lambda day: abs(day - value_on))
