"""DATEV booking batches: written batches can be read back, and wrong values are refused."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.contracts.accounting import (
    DatevBatch,
    DatevBooking,
    Journal,
    JournalLine,
    datev_bookings,
    read_datev,
    write_datev,
)

NOW = datetime(2026, 11, 25, 9, 30, 1, 250_000)  # noqa: DTZ001 - the format has local time
BOOKING = DatevBooking(
    date=date(2026, 2, 28), amount=Decimal("119.00"), account="10001", contra_account="8400"
)
FULL_BOOKING = DatevBooking(
    date=date(2026, 3, 1),
    amount=Decimal("1234567.89"),
    side="H",
    account="0420",
    contra_account="70000",
    tax_key="9",
    document="RE-1042",
    document2="150326",
    text='Schrauben "M5"; Größe ß €',
    cost_center="100",
    cost_center2="A 7",
    currency="USD",
    exchange_rate=Decimal("1.083215"),
    base_amount=Decimal("1139742.00"),
    vat_id="FR12345678901",
    service_date=date(2026, 2, 27),
    due=date(2026, 3, 31),
    is_reversal=True,
)


def _batch(**fields: Any) -> DatevBatch:
    values: dict[str, Any] = {
        "consultant": 29098,
        "client": 55003,
        "fiscal_year": date(2026, 1, 1),
        "first": date(2026, 2, 1),
        "last": date(2026, 3, 31),
        "bookings": (BOOKING,),
    }
    return DatevBatch(**(values | fields))


_TEXTS = st.text(st.sampled_from("abcZ 019;\"'äöüß€–,.%&"), min_size=1, max_size=60)
_BOOKINGS = st.builds(
    DatevBooking,
    date=st.dates(date(2025, 7, 1), date(2026, 6, 30)),
    amount=st.decimals("0.01", "999999999", places=2),
    side=st.sampled_from(["S", "H"]),
    account=st.integers(1000, 99_999).map(str),
    contra_account=st.integers(1000, 99_999).map(str),
    text=st.none() | _TEXTS,
    document=st.none() | st.text("RE-0123456789/$%&*+", min_size=1, max_size=36),
    currency=st.sampled_from([None, "EUR"]),
    due=st.none() | st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    is_reversal=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_BOOKINGS, max_size=5))
def test_written_batch_is_read_back(bookings: list[DatevBooking]) -> None:
    """A batch for a fiscal year from July to June is read back, although its dates have no year."""
    batch = _batch(
        fiscal_year=date(2025, 7, 1),
        first=date(2025, 7, 1),
        last=date(2026, 6, 30),
        bookings=bookings,
    )

    assert read_datev(write_datev(batch, created_at=NOW)) == batch


def test_file_has_the_header_and_the_form_of_the_format() -> None:
    """The header, the column headings and a row match DATEV's format."""
    batch = _batch(
        title="Rechnungen", initials="WD", is_locked=True, chart="03", bookings=(FULL_BOOKING,)
    )
    body = write_datev(batch, created_at=NOW)
    header, headings, row, end = body.decode("cp1252").split("\r\n")

    assert header == (
        '"EXTF";700;21;"Buchungsstapel";13;20261125093001250;;"";"";"";29098;55003;20260101;4;'
        '20260201;20260331;"Rechnungen";"WD";1;0;1;"EUR";;"";;;"03";;;"";""'
    )
    assert headings.startswith("Umsatz (ohne Soll/Haben-Kz);Soll/Haben-Kennzeichen;WKZ Umsatz;")
    assert len(headings.split(";")) == 125
    assert row.startswith(
        '1234567,89;"H";"USD";1,083215;1139742,00;"EUR";0420;70000;"9";0103;"RE-1042";"150326";;'
        '"Schrauben ""M5""; Größe ß €";;'
    )
    assert row.endswith(';1;27022026;;31032026;"1";;;;;;;')
    assert end == ""
    assert read_datev(body) == batch


def test_smallest_batch_has_no_bookings() -> None:
    """A batch without bookings is written and read."""
    assert read_datev(write_datev(_batch(bookings=()), created_at=NOW)).bookings == ()


def test_leap_day_is_found_in_the_fiscal_year() -> None:
    """29 February is read as a day of that calendar year in the fiscal year which has it."""
    batch = _batch(
        fiscal_year=date(2027, 7, 1),
        first=date(2027, 7, 1),
        last=date(2028, 6, 30),
        bookings=(attrs.evolve(BOOKING, date=date(2028, 2, 29)),),
    )

    assert read_datev(write_datev(batch, created_at=NOW)) == batch


_LINES = [
    JournalLine(account="1200", debit=Decimal("119.00")),
    JournalLine(account="8400", credit=Decimal("100.00"), description="Erlös"),
    JournalLine(account="1776", credit=Decimal("19.00")),
]


def test_journal_entry_becomes_bookings() -> None:
    """If one side of a journal entry has a single line, each line of the other is a booking."""
    journal = Journal(date=date(2026, 2, 28), narration="Verkauf", lines=tuple(_LINES))
    bookings = datev_bookings(journal, document="RE-1")
    mirrored = Journal(
        date=date(2026, 2, 28),
        narration="Storno",
        lines=tuple(
            JournalLine(account=line.account, debit=line.credit, credit=line.debit)
            for line in _LINES
        ),
    )

    assert [(item.account, item.contra_account, item.amount, item.text) for item in bookings] == [
        ("1200", "8400", Decimal("100.00"), "Erlös"),
        ("1200", "1776", Decimal("19.00"), "Verkauf"),
    ]
    assert {item.document for item in bookings} == {"RE-1"}
    assert [(item.account, item.contra_account) for item in datev_bookings(mirrored)] == [
        ("8400", "1200"),
        ("1776", "1200"),
    ]


def test_journal_entry_of_many_to_many_is_refused() -> None:
    """A journal entry with several lines on both sides is refused: it has no contra account."""
    lines = (
        *_LINES,
        JournalLine(account="4900", debit=Decimal(5)),
        JournalLine(account="1000", credit=Decimal(5)),
    )

    with pytest.raises(InvalidData, match="both sides"):
        datev_bookings(Journal(date=date(2026, 2, 28), narration="x", lines=lines))


WRONG_BOOKINGS: list[tuple[str, Any]] = [
    ("date", "2026-02-28"),
    ("amount", Decimal(0)),
    ("amount", Decimal("1.005")),
    ("amount", Decimal(-1)),
    ("amount", Decimal("NaN")),
    ("amount", 1.5),
    ("side", "D"),
    ("account", ""),
    ("account", "0"),
    ("account", "1" * 10),
    ("contra_account", 8400),
    ("tax_key", "12345"),
    ("document", "RE 1042"),
    ("document", "x" * 37),
    ("document2", "Ä"),
    ("text", "x" * 61),
    ("text", "a\nb"),
    ("text", "名前"),
    ("text", ""),
    ("cost_center", "x" * 37),
    ("currency", "usd"),
    ("exchange_rate", Decimal(0)),
    ("exchange_rate", Decimal("1.0832151")),
    ("exchange_rate", Decimal("Infinity")),
    ("exchange_rate", Decimal(10_000)),
    ("exchange_rate", 1.1),
    ("base_amount", Decimal(0)),
    ("vat_id", "12"),
    ("service_date", 5),
    ("due", "x"),
    ("is_reversal", 1),
]


@pytest.mark.parametrize("field,value", WRONG_BOOKINGS)
def test_wrong_field_of_a_booking_is_refused(field: str, value: Any) -> None:
    """A booking value that DATEV would refuse is refused with its field."""
    with pytest.raises(InvalidData) as refusal:
        attrs.evolve(BOOKING, **{field: value})

    assert refusal.value.field == field


WRONG_BATCHES: list[tuple[str, str, Any]] = [
    ("consultant", "consultant", 1000),
    ("consultant", "consultant", True),
    ("client", "client", 100_000),
    ("account_length", "account_length", 9),
    ("title", "title", "x" * 31),
    ("initials", "initials", "wd"),
    ("chart", "chart", "SKR03"),
    ("currency", "currency", "€"),
    ("first", "first", date(2025, 12, 31)),
    ("last", "first", date(2027, 1, 1)),
    ("last", "first", date(2026, 1, 1)),
    ("fiscal_year", "fiscal_year", date(2024, 2, 29)),
    ("fiscal_year", "first", date(2027, 1, 1)),
    ("bookings", "bookings[0].date", (attrs.evolve(BOOKING, date=date(2026, 4, 1)),)),
    ("bookings", "bookings[0].account", (attrs.evolve(BOOKING, account="100001"),)),
    ("bookings", "bookings[0].contra_account", (attrs.evolve(BOOKING, contra_account="840000"),)),
    ("bookings", "bookings[0].exchange_rate", (attrs.evolve(BOOKING, currency="USD"),)),
    ("bookings", "bookings[0].base_amount", (attrs.evolve(BOOKING, base_amount=Decimal(1)),)),
    ("bookings", "bookings[0]", ("x",)),
    ("bookings", "bookings", (BOOKING,) * 100_000),
    ("is_locked", "is_locked", "yes"),
]


@pytest.mark.parametrize("field,named,value", WRONG_BATCHES)
def test_wrong_field_of_a_batch_is_refused(field: str, named: str, value: Any) -> None:
    """A batch value that DATEV would refuse is refused with its field."""
    with pytest.raises(InvalidData) as refusal:
        _batch(**{field: value})

    assert refusal.value.field == named


BODY = write_datev(_batch(bookings=(BOOKING, FULL_BOOKING)), created_at=NOW)
SPOILED: list[tuple[bytes, bytes, str]] = [
    (b"700", b"510", "header"),
    (b";13;", b";14;", "header"),
    (b";13;", b";6;", "header"),
    (b"EXTF", b"XTFE", "header"),
    (b'";"";""', b'";""', "header"),
    (b"29098", b"x", "header's field 11"),
    (b"20260101", b"20261301", "header's field 13"),
    (b"20260101", b"2026", "header's field 13"),
    (b'119,00;"S"', b'119.00;"S"', "line 3, Umsatz (ohne Soll/Haben-Kz)"),
    (b'119,00;"S"', b'119,00;"X"', "side"),
    (b"119,00", b"", "line 3"),
    (b'1139742,00;"EUR"', b'1139742,00;"CHF"', "line 4, WKZ Basis-Umsatz"),
    (b"27022026", b"270226", "line 4, Leistungsdatum"),
    (b"27022026", b"31022026", "line 4, Leistungsdatum"),
    (b";2802;", b";3002;", "line 3, Belegdatum"),
    (b";2802;", b";;", "line 3, Belegdatum"),
    (b"119,00;", b"119,00;;", "line 3"),
    (b'"S"', b'"S"x', "file"),
    (b"ue", b"\x81", "file"),
    (BODY, b"", "header"),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_unicode_files_are_read(encoding: str) -> None:
    """A file in UTF-8, or with a Unicode byte order mark, gives the same texts as Windows-1252."""
    assert read_datev(BODY.decode("cp1252").encode(encoding)) == read_datev(BODY)


def test_exports_of_programs_of_datev_are_read() -> None:
    """A file that a program of DATEV wrote begins with DTVF instead of EXTF."""
    assert read_datev(BODY.replace(b"EXTF", b"DTVF")) == read_datev(BODY)


@pytest.mark.parametrize("version,columns", [(7, 116), (9, 120), (12, 124), (13, 125)])
def test_older_versions_are_read(version: int, columns: int) -> None:
    """The rows of older versions have fewer columns; the fields of missing columns are empty."""
    header, *rows, _ = BODY.split(b"\r\n")
    older_rows = [b";".join(row.split(b";")[:columns]) for row in rows[:2]]
    header = header.replace(b";13;", b";%d;" % version)

    assert read_datev(b"\r\n".join([header, *older_rows])).bookings == (BOOKING,)


def test_general_reversal_may_be_a_letter() -> None:
    """DATEV marks a general reversal with 1 or with G; 0 marks none."""
    mark = b'31032026;"1";'
    assert BODY.count(mark) == 1

    assert read_datev(BODY.replace(mark, b'31032026;"G";')) == read_datev(BODY)
    assert not read_datev(BODY.replace(mark, b'31032026;"0";')).bookings[1].is_reversal


def test_batch_is_locked_by_default_and_by_a_single_booking() -> None:
    """A batch is locked by default, and a locked booking locks its whole batch."""
    locked = _batch(bookings=(BOOKING, FULL_BOOKING), is_locked=True)
    rows = BODY.split(b"\r\n")
    rows[3] = rows[3].replace(b";0;27022026;", b";1;27022026;")

    assert read_datev(BODY.replace(b";1;0;0;", b";1;0;;", 1)) == locked
    assert read_datev(b"\r\n".join(rows)) == locked


@pytest.mark.parametrize("old,new,field", SPOILED)
def test_file_in_another_format_is_refused_with_line_and_column(
    old: bytes, new: bytes, field: str
) -> None:
    """A file in another format is refused, and the error names the line and the column."""
    body = BODY.replace(b"Buchungstext", b"Buchungstue") if old == b"ue" else BODY
    assert old in body

    with pytest.raises(InvalidData) as refusal:
        read_datev(body.replace(old, new, 1))

    assert refusal.value.field == field


def test_arguments_of_wrong_types_and_large_files_are_refused() -> None:
    """Arguments of wrong types, and files that are too large, are refused."""
    with pytest.raises(InvalidData, match="batch"):
        write_datev("x", created_at=NOW)  # type: ignore[arg-type] # the mistake
    with pytest.raises(InvalidData, match="created_at"):
        write_datev(_batch(), created_at="now")  # type: ignore[arg-type] # the mistake
    with pytest.raises(InvalidData, match="body"):
        read_datev("EXTF")  # type: ignore[arg-type] # the mistake
    with pytest.raises(InvalidData, match="64 MB"):
        read_datev(bytes(64 * 1024 * 1024 + 1))


def test_empty_lines_at_the_end_are_ignored() -> None:
    """Empty lines are not bookings, and a batch without a title gets the default title."""
    batch = read_datev(BODY.replace(b'"Buchungsstapel";"";1', b'"";"";1') + b"\r\n")

    assert len(batch.bookings) == 2
    assert batch.title == "Buchungsstapel"


def test_empty_lines_are_bounded() -> None:
    """A file with more than a thousand empty lines is refused as soon as the limit is passed."""
    assert 2 == len(read_datev(BODY + b"\r\n" * 1_000).bookings)
    with pytest.raises(InvalidData, match="follows 1000 other empty lines") as refusal:
        read_datev(BODY + b"\n" * 60_000_000)

    assert refusal.value.field == "line 1005"


def test_errors_name_the_line_of_the_file() -> None:
    """An error contains the file line where its row begins, even after empty or broken lines."""
    header, headings, row, _ = BODY.split(b"\r\n", 3)
    cells = row.split(b";")
    cells[20] = b'"two\r\nlines"'
    rows = [header, headings, b"", b";".join(cells), row.replace(b"119,00", b"119.00")]

    with pytest.raises(InvalidData) as refusal:
        read_datev(b"\r\n".join(rows))

    assert refusal.value.field == "line 6, Umsatz (ohne Soll/Haben-Kz)"
