"""Bookings and batches of bookings for DATEV, with the limits of its format."""

from __future__ import annotations

import datetime as dt
import re
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.accounting.amounts import is_positive_or_zero
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_tuple,
    check_text,
    is_a,
    is_day,
    is_maybe_day,
)
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.accounting.journals import Journal, JournalLine

_ACCOUNT: Final = re.compile("[1-9][0-9]{0,8}|0[0-9]{1,8}")
_DOCUMENT: Final = "[A-Za-z0-9$&%*+/-]"
_RATE_DECIMALS: Final = 6
_MOST_BOOKINGS: Final = 99_999
_PRINTABLE_CHARACTER: Final = "[^\x00-\x1f\x7f]"


class DebitCredit(OneOf, field="side"):
    """The side of a booking's account; the contra account is on the other side."""

    DEBIT = "S"
    CREDIT = "H"


def _raise_invalid(field: str, problem: str, remedy: str) -> None:
    raise InvalidData(f"The {field.replace('_', ' ')} {problem}.", field=field, remedy=remedy)


def _matches(pattern: str, remedy: str, *, is_optional: bool = False) -> Any:
    form = re.compile(pattern)

    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if is_optional and value is None:
            return
        check_text(value, attribute.name)
        if form.fullmatch(str(value)) is None:
            _raise_invalid(attribute.name, "has a form that DATEV does not accept", remedy)
        try:
            str(value).encode("cp1252")
        except UnicodeEncodeError:
            _raise_invalid(
                attribute.name,
                "has a character that DATEV's character set Windows-1252 does not have",
                "Replace this character, for example an emoji or a letter that is not Western"
                " European.",
            )

    return check_value


def _is_between(least: int, most: int) -> Any:
    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if type(value) is not int or not least <= value <= most:
            _raise_invalid(
                attribute.name,
                f"is not a whole number from {least} to {most}",
                f"Give a number from {least} to {most}.",
            )

    return check_value


def _is_amount(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_positive_or_zero(None, attribute, value)
    if not value or Decimal(str(value)) * 100 % 1:
        _raise_invalid(
            attribute.name,
            "must be above zero and have at most two decimals",
            "Give a positive Decimal, such as Decimal('149.90'); `side` says whether it is a"
            " debit or a credit.",
        )


def _is_maybe_amount(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _is_amount(None, attribute, value)


def _is_rate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if (
        not isinstance(value, Decimal)
        or not value.is_finite()
        or not 0 < value < 10_000
        or Fraction(value) * 10**_RATE_DECIMALS % 1
    ):
        _raise_invalid(
            attribute.name,
            "is not an exact number above 0 and below 10000",
            "Give the exchange rate of the booking's currency as a Decimal above 0 and below"
            f" 10000, with at most {_RATE_DECIMALS} decimals.",
        )


_account = _matches(_ACCOUNT.pattern, "Give the number of an account, such as '8400'.")


@frozen(kw_only=True)
class DatevBooking:
    """A booking of an amount between two accounts.

    Attributes:
        date: date of the document.
        amount: positive amount in the currency of the booking.
        side: side of `account`.
        account: account, or number of a customer or supplier.
        contra_account: account on the other side.
        tax_key: posting key of one to four digits that states the tax (BU-Schlüssel); None for
            accounts that post it automatically.
        document: number of the document (Belegfeld 1), which matches open items.
        document2: second number, such as the due date as TTMMJJ (Belegfeld 2).
        text: text of at most 60 characters.
        cost_center, cost_center2: cost centres.
        currency: currency of the amount, if it differs from the batch's currency.
        exchange_rate: rate of a foreign currency.
        base_amount: amount of a foreign currency in the currency of the batch.
        vat_id: the EU country and VAT identifier of the destination.
        service_date: date of the supply.
        due: day when an open item is due.
        is_reversal: True if it reverses a booking, so that the turnover is reduced (Generalumkehr).
    """

    date: dt.date = field(validator=is_day)
    amount: Decimal = field(validator=_is_amount)
    side: DebitCredit = field(default=DebitCredit.DEBIT, converter=DebitCredit)
    account: str = field(validator=_account)
    contra_account: str = field(validator=_account)
    tax_key: str | None = field(
        default=None,
        validator=_matches("[0-9]{1,4}", "Give a tax key of one to four digits.", is_optional=True),
    )
    document: str | None = field(
        default=None,
        validator=_matches(
            f"{_DOCUMENT}{{1,36}}", "Give up to 36 letters, digits or $&%*+-/.", is_optional=True
        ),
    )
    document2: str | None = field(
        default=None,
        validator=_matches(
            f"{_DOCUMENT}{{1,12}}", "Give up to 12 letters, digits or $&%*+-/.", is_optional=True
        ),
    )
    text: str | None = field(
        default=None,
        repr=False,
        validator=_matches(
            f"{_PRINTABLE_CHARACTER}{{1,60}}",
            "Shorten the text to 60 printable characters.",
            is_optional=True,
        ),
    )
    cost_center: str | None = field(
        default=None,
        validator=_matches("[ -~]{1,36}", "Give up to 36 characters.", is_optional=True),
    )
    cost_center2: str | None = field(
        default=None,
        validator=_matches("[ -~]{1,36}", "Give up to 36 characters.", is_optional=True),
    )
    currency: str | None = field(
        default=None,
        validator=_matches("[A-Z]{3}", "Give a currency code such as 'USD'.", is_optional=True),
    )
    exchange_rate: Decimal | None = field(default=None, validator=_is_rate)
    base_amount: Decimal | None = field(default=None, validator=_is_maybe_amount)
    vat_id: str | None = field(
        default=None,
        repr=False,
        validator=_matches(
            "[A-Z]{2}[A-Z0-9+*]{1,13}",
            "Give the VAT id with its country, such as 'FR123'.",
            is_optional=True,
        ),
    )
    service_date: dt.date | None = field(default=None, validator=is_maybe_day)
    due: dt.date | None = field(default=None, validator=is_maybe_day)
    is_reversal: bool = field(default=False, validator=is_a(bool))


@frozen(kw_only=True)
class DatevBatch:
    """A batch of bookings of one client (Buchungsstapel).

    Attributes:
        consultant: number of the tax consultant at DATEV (Berater).
        client: number of the client at the consultant (Mandant).
        fiscal_year: first day of the fiscal year, in which all bookings are.
        first, last: first and last day of the bookings.
        bookings: the bookings, at most 99999.
        account_length: number of digits of a ledger account; the numbers of customers and
            suppliers have one digit more.
        title: title of the batch.
        initials: two capital letters of the person who made it.
        is_locked: True if the bookings cannot be changed at DATEV.
        currency: currency of the batch.
        chart: chart of accounts, such as '03' or '04'; None if none is stated.
    """

    consultant: int = field(validator=_is_between(1001, 9_999_999))
    client: int = field(validator=_is_between(1, 99_999))
    fiscal_year: date = field(validator=is_day)
    first: date = field(validator=is_day)
    last: date = field(validator=is_day)
    bookings: tuple[DatevBooking, ...] = field(converter=as_tuple, validator=are_all(DatevBooking))
    account_length: int = field(default=4, validator=_is_between(4, 8))
    title: str = field(
        default="Buchungsstapel",
        validator=_matches(
            f"{_PRINTABLE_CHARACTER}{{1,30}}", "Shorten the title to 30 printable characters."
        ),
    )
    initials: str | None = field(
        default=None,
        validator=_matches(
            "[A-Z]{2}", "Give the two capital letters of a person's initials.", is_optional=True
        ),
    )
    is_locked: bool = field(default=False, validator=is_a(bool))
    currency: str = field(
        default="EUR", validator=_matches("[A-Z]{3}", "Give a currency code such as 'EUR'.")
    )
    chart: str | None = field(
        default=None,
        validator=_matches(
            "[0-9]{2}",
            "Give the two digits of the chart of accounts, such as '03'.",
            is_optional=True,
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Refuse days outside of the fiscal year, too many bookings, and long account numbers."""
        if not self.fiscal_year <= self.first <= self.last <= year_end(self.fiscal_year):
            raise InvalidData(
                "The period of the batch must be within the fiscal year, and must not end before"
                " it begins.",
                field="first",
                remedy="Write one batch for each fiscal year.",
            )
        if len(self.bookings) > _MOST_BOOKINGS:
            raise InvalidData(
                f"The batch has {len(self.bookings)} bookings, but DATEV reads at most"
                f" {_MOST_BOOKINGS} of a file.",
                field="bookings",
                remedy="Write several batches, for example one for each month.",
            )
        for number, booking in enumerate(self.bookings):
            self._check(booking, f"bookings[{number}]")

    def _check(self, booking: DatevBooking, path: str) -> None:
        if not self.first <= booking.date <= self.last:
            raise InvalidData(
                f"The date of the booking {booking.date} is not within the batch's period.",
                field=f"{path}.date",
                remedy="Move the booking to the batch of its period.",
            )
        is_foreign = booking.currency not in {None, self.currency}
        for name in ("exchange_rate", "base_amount"):
            if (getattr(booking, name) is not None) is not is_foreign:
                raise InvalidData(
                    "The booking must have a currency, an exchange rate and a base amount"
                    " together, or none of them.",
                    field=f"{path}.{name}",
                    remedy="Add what is missing, or leave out all three fields.",
                )
        for name in ("account", "contra_account"):
            if len(getattr(booking, name)) > self.account_length + 1:
                raise InvalidData(
                    f"The {name.replace('_', ' ')} has more digits than the batch's accounts.",
                    field=f"{path}.{name}",
                    remedy="Give an account of the client's length, or set `account_length`.",
                )


def year_end(start: date) -> date:
    """The last day of a fiscal year that begins on this day.

    Raises:
        InvalidData: the first day is 29 February, or the last day is after the year 9999.
    """
    try:
        if (start.month, start.day) == (1, 1):
            return date(start.year, 12, 31)
        return date(start.year + 1, start.month, start.day) - timedelta(days=1)
    except ValueError:
        raise InvalidData(
            "The fiscal year must not begin on February 29 or end after the year 9999.",
            field="fiscal_year",
            remedy="Give the first day of the fiscal year, such as 2026-01-01.",
        ) from None


def datev_bookings(journal: Journal, *, document: str | None = None) -> tuple[DatevBooking, ...]:
    """Convert a journal entry to bookings; its debit or credit side must be a single line.

    Args:
        journal: the entry.
        document: number of the document, for all bookings.

    Raises:
        InvalidData: the entry has several lines on both sides, or a line does not fit the format.
    """
    debits = [line for line in journal.lines if line.debit]
    credit_lines = [line for line in journal.lines if line.credit]
    if len(debits) != 1 and len(credit_lines) != 1:
        raise InvalidData(
            "The journal entry has several lines on both sides, but DATEV books each amount"
            " between two accounts.",
            field="lines",
            remedy="Split the journal entry, or book it through a clearing account.",
        )
    pairs: list[tuple[JournalLine, JournalLine]] = (
        [(line, credit_lines[0]) for line in debits]
        if len(credit_lines) == 1
        else [(debits[0], line) for line in credit_lines]
    )
    return tuple(
        DatevBooking(
            date=journal.date,
            amount=min(debit.debit, credit.credit),
            account=debit.account,
            contra_account=credit.account,
            document=document,
            text=_text(journal, debit, credit),
        )
        for debit, credit in pairs
    )


def _text(journal: Journal, debit: JournalLine, credit: JournalLine) -> str:
    text = debit.description or credit.description or journal.narration
    return " ".join(text.split())[:60]
