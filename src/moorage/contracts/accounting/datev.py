"""Files of bookings in DATEV's format 700: batches of bookings, written in version 13."""

from __future__ import annotations

import codecs
import csv
import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from moorage.contracts.accounting.datev_values import DatevBatch, DatevBooking, year_end
from moorage.contracts.validators import check_kind
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEADER: Final = ("EXTF", "700", "21", "Buchungsstapel", "13")
_ORIGINS: Final = frozenset({"EXTF", "DTVF"})
"""The first field of a file from another program, and of an export from a program of DATEV."""
_VERSIONS: Final = frozenset(map(str, range(7, 14)))
"""The supported versions of the format; each version adds columns after the earlier ones."""
_LEAST_COLUMNS: Final = 116
_HEADER_LENGTH: Final = 31
_HEADER_TEXTS: Final = frozenset({1, 4, 8, 9, 10, 17, 18, 22, 24, 27, 30, 31})
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""The byte order marks. UTF-32 comes first, because its mark begins with the mark of UTF-16."""
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_EMPTY_LINES: Final = 1_000


def _numbered_names(name: str, count: int) -> list[str]:
    return [
        f"{name} - {part} {number}" for number in range(1, count + 1) for part in ("Art", "Inhalt")
    ]


COLUMNS: Final = (
    *[
        "Umsatz (ohne Soll/Haben-Kz)",
        "Soll/Haben-Kennzeichen",
        "WKZ Umsatz",
        "Kurs",
        "Basis-Umsatz",
        "WKZ Basis-Umsatz",
        "Konto",
        "Gegenkonto (ohne BU-Schlüssel)",
        "BU-Schlüssel",
        "Belegdatum",
        "Belegfeld 1",
        "Belegfeld 2",
        "Skonto",
        "Buchungstext",
        "Postensperre",
        "Diverse Adressnummer",
        "Geschäftspartnerbank",
        "Sachverhalt",
        "Zinssperre",
        "Beleglink",
    ],
    *_numbered_names("Beleginfo", 8),
    *[
        "KOST1 - Kostenstelle",
        "KOST2 - Kostenstelle",
        "Kost-Menge",
        "EU-Land u. UStID (Bestimmung)",
        "EU-Steuersatz (Bestimmung)",
        "Abw. Versteuerungsart",
        "Sachverhalt L+L",
        "Funktionsergänzung L+L",
        "BU 49 Hauptfunktionstyp",
        "BU 49 Hauptfunktionsnummer",
        "BU 49 Funktionsergänzung",
    ],
    *_numbered_names("Zusatzinformation", 20),
    *[
        "Stück",
        "Gewicht",
        "Zahlweise",
        "Forderungsart",
        "Veranlagungsjahr",
        "Zugeordnete Fälligkeit",
        "Skontotyp",
        "Auftragsnummer",
        "Buchungstyp",
        "USt-Schlüssel (Anzahlungen)",
        "EU-Land (Anzahlungen)",
        "Sachverhalt L+L (Anzahlungen)",
        "EU-Steuersatz (Anzahlungen)",
        "Erlöskonto (Anzahlungen)",
        "Herkunft-Kz",
        "Buchungs GUID",
        "KOST-Datum",
        "SEPA-Mandatsreferenz",
        "Skontosperre",
        "Gesellschaftername",
        "Beteiligtennummer",
        "Identifikationsnummer",
        "Zeichnernummer",
        "Postensperre bis",
        "Bezeichnung SoBil-Sachverhalt",
        "Kennzeichen SoBil-Buchung",
        "Festschreibung",
        "Leistungsdatum",
        "Datum Zuord. Steuerperiode",
        "Fälligkeit",
        "Generalumkehr (GU)",
        "Steuersatz",
        "Land",
        "Abrechnungsreferenz",
        "BVV-Position",
        "EU-Land u. UStID (Ursprung)",
        "EU-Steuersatz (Ursprung)",
        "Abw. Skontokonto",
    ],
)
"""The headings of the columns of version 13, in their order."""


def _decimal_text(value: Decimal, least: int = 2) -> str:
    whole_part, _, fraction = f"{value:f}".partition(".")
    return f"{whole_part},{fraction.rstrip('0').ljust(least, '0')}"


def _read_decimal(text: str) -> Decimal:
    if re.fullmatch(r"[0-9]{1,10}(?:,[0-9]{1,6})?", text) is None:
        raise InvalidOperation
    return Decimal(text.replace(",", "."))


def _day_text(value: date) -> str:
    return f"{value.day:02}{value.month:02}{value.year:04}"


def _read_day(text: str) -> date:
    if re.fullmatch("[0-9]{8}", text) is None:
        raise ValueError
    return date(int(text[4:]), int(text[2:4]), int(text[:2]))


@attrs.frozen
class _Column:
    number: int
    field: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_FIELDS: Final = (
    _Column(1, "amount", _decimal_text, _read_decimal),
    _Column(2, "side", _quote, str),
    _Column(3, "currency", _quote, str),
    _Column(4, "exchange_rate", _decimal_text, _read_decimal),
    _Column(5, "base_amount", _decimal_text, _read_decimal),
    _Column(7, "account", str, str),
    _Column(8, "contra_account", str, str),
    _Column(9, "tax_key", _quote, str),
    _Column(11, "document", _quote, str),
    _Column(12, "document2", _quote, str),
    _Column(14, "text", _quote, str),
    _Column(37, "cost_center", _quote, str),
    _Column(38, "cost_center2", _quote, str),
    _Column(40, "vat_id", _quote, str),
    _Column(115, "service_date", _day_text, _read_day),
    _Column(117, "due", _day_text, _read_day),
)
_BASE_CURRENCY: Final = 6
_DATE: Final = 10
_LOCKED_COLUMN: Final = 114
_REVERSAL: Final = 118
_REVERSAL_MARKS: Final = frozenset({"1", "G"})


def write_datev(batch: DatevBatch, *, created_at: datetime) -> bytes:
    """Return a batch as a DATEV file: Windows-1252, semicolons, decimal commas.

    The name of the file begins with "EXTF_" and ends with ".csv".

    Args:
        batch: the batch.
        created_at: time of the file, in the local time of the client.

    Raises:
        InvalidData: an argument has another type.
    """
    check_kind(batch, DatevBatch, "batch")
    check_kind(created_at, datetime, "created_at")
    rows = [_header(batch, created_at), ";".join(COLUMNS)]
    rows += [_row(batch, booking) for booking in batch.bookings]
    return "".join(f"{row}\r\n" for row in rows).encode("cp1252")


def _header(batch: DatevBatch, created_at: datetime) -> str:
    values: dict[int, str] = dict(enumerate(_HEADER, 1))
    values |= {
        6: f"{created_at:%Y%m%d%H%M%S}{created_at.microsecond // 1000:03}",
        11: str(batch.consultant),
        12: str(batch.client),
        13: f"{batch.fiscal_year:%Y%m%d}",
        14: str(batch.account_length),
        15: f"{batch.first:%Y%m%d}",
        16: f"{batch.last:%Y%m%d}",
        17: batch.title,
        18: batch.initials or "",
        19: "1",
        20: "0",
        21: str(int(batch.is_locked)),
        22: batch.currency,
        27: batch.chart or "",
    }
    return ";".join(
        _quote(values.get(number, "")) if number in _HEADER_TEXTS else values.get(number, "")
        for number in range(1, _HEADER_LENGTH + 1)
    )


def _row(batch: DatevBatch, booking: DatevBooking) -> str:
    cells = [""] * len(COLUMNS)
    for column in _FIELDS:
        value = getattr(booking, column.field)
        if value is not None:
            cells[column.number - 1] = column.write(value)
    cells[_DATE - 1] = f"{booking.date:%d%m}"
    cells[_LOCKED_COLUMN - 1] = str(int(batch.is_locked))
    if booking.base_amount is not None:
        cells[_BASE_CURRENCY - 1] = _quote(batch.currency)
    if booking.is_reversal:
        cells[_REVERSAL - 1] = '"1"'
    return ";".join(cells)


def read_datev(body: bytes) -> DatevBatch:
    """Return the batch of bookings that a DATEV file contains.

    Files from programs of DATEV (DTVF) and from other programs (EXTF) are read, in versions 7 to
    13 of the batch of bookings. The text is read as Unicode if the file begins with a byte order
    mark or is valid UTF-8, and as Windows-1252 otherwise. Columns for which `DatevBooking` has no
    field are left out.

    Raises:
        InvalidData: the file is not a batch of bookings of these versions, or a value has the
            wrong format; the error's field names the line and the column.
    """
    check_kind(body, bytes, "body")
    if len(body) > _MOST_BYTES:
        _unreadable_error("file", "is larger than 64 MB, the maximum that moorage reads")
    rows = _rows(body)
    first_line = next(rows, (1, [""]))[1]
    columns = len(next(rows, (2, [""]))[1])
    if not _is_header(first_line) or not _LEAST_COLUMNS <= columns <= len(COLUMNS):
        _unreadable_error(
            "header", "must begin a batch of bookings in DATEV's format 700, version 7 to 13"
        )
    header = _read_header(first_line)
    bookings: list[DatevBooking] = []
    for line, row in rows:
        if row:
            bookings.append(_read_row(row, f"line {line}", header, columns))
            # One locked booking makes the whole batch locked.
            header["is_locked"] |= row[_LOCKED_COLUMN - 1] == "1"
    return DatevBatch(**header, bookings=tuple(bookings))


def _is_header(row: list[str]) -> bool:
    origin, *kind, version = row[:5] if len(row) == _HEADER_LENGTH else [""] * 5
    return origin in _ORIGINS and tuple(kind) == _HEADER[1:4] and version in _VERSIONS


def _encoding(body: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return encoding
    try:
        body.decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _rows(body: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of a DATEV file, with the number of each row's first line; empty lines count too."""
    text = TextIOWrapper(BytesIO(body), _encoding(body), newline="")
    reader = csv.reader(text, delimiter=";", strict=True)
    line, empty_lines = 1, 0
    try:
        for row in reader:
            empty_lines += not row
            if empty_lines > _MOST_EMPTY_LINES:
                _unreadable_error(f"line {line}", f"follows {_MOST_EMPTY_LINES} other empty lines")
            yield line, row
            line = reader.line_num + 1
    except (UnicodeDecodeError, csv.Error):
        _unreadable_error("file", "is not a CSV file in Windows-1252 or Unicode")


def _unreadable_error(place: str, problem: str) -> NoReturn:
    raise InvalidData(
        f"The {place} of the DATEV file {problem}.",
        field=place,
        remedy="Export the batch again as DATEV-Format, Buchungsstapel.",
    )


def _read_header(row: list[str]) -> dict[str, Any]:
    def read(number: int, pattern: str, convert: Callable[[str], Any] = str) -> Any:
        text = row[number - 1]
        try:
            return convert(text) if re.fullmatch(pattern, text) else _raise_wrong_value(number)
        except ValueError:
            return _raise_wrong_value(number)

    def day(text: str) -> date:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))

    return {
        "consultant": read(11, "[0-9]{1,7}", int),
        "client": read(12, "[0-9]{1,5}", int),
        "fiscal_year": read(13, "[0-9]{8}", day),
        "account_length": read(14, "[0-9]", int),
        "first": read(15, "[0-9]{8}", day),
        "last": read(16, "[0-9]{8}", day),
        "title": read(17, ".{0,30}") or "Buchungsstapel",
        "initials": read(18, ".{0,2}") or None,
        "is_locked": read(21, "[01]?") != "0",
        "currency": read(22, "[A-Z]{3}"),
        "chart": read(27, "(?:[0-9]{2})?") or None,
    }


def _raise_wrong_value(number: int) -> NoReturn:
    _unreadable_error(f"header's field {number}", "does not have the format that DATEV prescribes")


def _read_row(row: list[str], place: str, header: dict[str, Any], columns: int) -> DatevBooking:
    """Return the booking in a row; columns that the file's version lacks count as empty."""
    if len(row) != columns:
        _unreadable_error(place, f"has {len(row)} columns, but must have {columns}")
    row += [""] * (len(COLUMNS) - columns)
    if row[_BASE_CURRENCY - 1] not in {"", header["currency"]}:
        _unreadable_error(
            f"{place}, {COLUMNS[_BASE_CURRENCY - 1]}", "must be the currency that the header names"
        )
    values: dict[str, Any] = {"date": _read_date(row[_DATE - 1], place, header["fiscal_year"])}
    for column in _FIELDS:
        text = row[column.number - 1]
        if text:
            try:
                values[column.field] = column.read(text)
            except (ValueError, InvalidOperation):
                _unreadable_error(
                    f"{place}, {COLUMNS[column.number - 1]}",
                    "does not have the format that DATEV prescribes",
                )
    try:
        return DatevBooking(is_reversal=row[_REVERSAL - 1] in _REVERSAL_MARKS, **values)
    except TypeError:
        _unreadable_error(place, "must have an amount and two accounts")


def _read_date(text: str, place: str, fiscal_year: date) -> date:
    """Return a date in the fiscal year, since the file states only its day and month."""
    if re.fullmatch("[0-9]{3,4}", text):
        month, day = int(text[-2:]), int(text[:-2])
        for year in {fiscal_year.year, year_end(fiscal_year).year}:
            try:
                day_of_year = date(year, month, day)
            except ValueError:
                continue
            if fiscal_year <= day_of_year <= year_end(fiscal_year):
                return day_of_year
    _unreadable_error(
        f"{place}, Belegdatum", "is not a day of the fiscal year that the header names"
    )
