"""Reading MT940 statements, and refusing other files."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.contracts.bank import (
    EntryStatus,
    Iban,
    Money,
    Statement,
    StatementEntry,
    StatementKind,
    Transaction,
    read_mt940,
)
from moorage.errors import InvalidData

IBAN = "DE89370400440532013000"


def _file(*lines: str, opening: str = "C261124EUR0,00", closing: str = "C261125EUR0,00") -> bytes:
    """Return a file with one statement that has these lines between its balances."""
    return "\r\n".join(
        (
            ":20:STARTUMS",
            f":25:{IBAN}",
            ":28C:231/1",
            f":60F:{opening}",
            *lines,
            f":62F:{closing}",
            "-",
            "",
        )
    ).encode()


GERMAN = _file(
    ":61:2611251125C59,90NTRFNONREF//BANK-1",
    ":86:166?00GUTSCHRIFT?100399?20EREF+PAY-1?21MREF+MND-1?22CRED+DE98ZZZ0999",
    "9999999?23SVWZ+Rechnung 2026-0815 und?24 Danke?25ABWA+Max Mustermann?30BYL",
    "ADEM1001?31DE02120300000000202051?32Erika Muster?33mann?34000",
    ":61:2611251125D59,90NTRFKREF+//BANK-2",
    ":86:116?00UEBERWEISUNG?20KREF+RUN-1?21SVWZ+Miete",
)


REPORT = b"""\
:20:RUNNING
:25:DE89370400440532013000
:28C:231/1
:34F:EURD0,00
:34F:EURC0,00
:13D:2611251430+0100
:61:2611251125C59,90NTRFNONREF//BANK-1
:86:166?00GUTSCHRIFT?20EREF+PAY-1
:61:2611251125D0,90NTRFNONREF//BANK-2
:61:2611251125RD1,00NTRFNONREF//BANK-3
:90D:1EUR0,90
:90C:2EUR60,90
-
"""


def _only_statement(source: bytes, **options: Any) -> Statement:
    (statement,) = read_mt940(source, **options)
    return statement


def _entry(line: str, *details: str) -> StatementEntry:
    """Return the entry of a line :61: that is followed by these lines in a field :86:."""
    (entry,) = _only_statement(_file(f":61:{line}", *details), check_sums=False).entries
    return entry


def _details(*lines: str) -> Transaction:
    """Return the payment that a field 86 describes."""
    return _entry("2611251125C59,90NTRFNONREF", *lines).transactions[0]


def _euros(amount: str) -> Money:
    return Money(amount, "EUR")


@pytest.mark.parametrize("mark, amount", [("EC", "59.90"), ("ED", "-59.90")])
def test_expected_entries_are_pending(mark: str, amount: str) -> None:
    """An expected credit or debit is not booked, and the balances do not include it."""
    statement = _only_statement(_file(f":61:2611251125{mark}59,90NTRFNONREF//BANK-1"))

    (entry,) = statement.entries
    assert (EntryStatus.PENDING, _euros(amount)) == (entry.status, entry.amount)
    assert _euros("0.00") == statement.difference


def test_a_german_statement_is_read() -> None:
    """In German statements, the party, identifiers and text are read from field 86."""
    statement = _only_statement(GERMAN)

    assert ("STARTUMS", 231, 1, "EUR") == (
        statement.id,
        statement.number,
        statement.page,
        statement.currency,
    )
    assert Iban(IBAN) == statement.account.iban
    assert _euros("0.00") == statement.difference
    assert ["60F", "62F"] == [balance.code for balance in statement.balances]
    first, second = statement.entries
    assert (date(2026, 11, 25), date(2026, 11, 25)) == (first.booked_on, first.value_on)
    assert ("NTRF", "NTRF+166", "GUTSCHRIFT") == (first.code, first.bank_code, first.text)
    (payment,) = first.transactions
    assert ("PAY-1", "MND-1", "DE98ZZZ09999999999", "BANK-1") == (
        payment.end_to_end_id,
        payment.mandate_id,
        payment.creditor_id,
        payment.bank_reference,
    )
    assert "Rechnung 2026-0815 und Danke" == payment.remittance
    assert ("Erika Mustermann", "Max Mustermann") == (
        payment.counterparty.name,
        payment.counterparty.ultimate,
    )
    assert Iban("DE02120300000000202051") == payment.counterparty.iban
    assert "BYLADEM1001" == getattr(payment.counterparty.bic, "value", None)
    assert _euros("-59.90") == second.amount
    assert ("RUN-1", "Miete") == (
        second.transactions[0].customer_reference,
        second.transactions[0].remittance,
    )


def test_german_texts_without_keywords_are_text() -> None:
    """Old German bookings have plain text, national account numbers and bank codes."""
    payment = _details(
        ":86:051?00UEBERWEISUNG?20Gehalt Oktob", "er?21 Firma?3050060400?310847564700?32MUELLER"
    )

    assert "Gehalt Oktober Firma" == payment.remittance
    assert ("0847564700", None, None) == (
        payment.counterparty.account,
        payment.counterparty.iban,
        payment.counterparty.bic,
    )


def test_full_parts_of_a_text_are_joined() -> None:
    """A text part of full length is joined to the next one directly; a shorter one with a space."""
    payment = _details(
        ":86:166?20SVWZ+12345678901234567890AB?21CD word?22other?23EREF+PAY?24-1",
    )

    assert "12345678901234567890ABCD word other" == payment.remittance
    assert "PAY-1" == payment.end_to_end_id


def test_returns_have_a_reason() -> None:
    """The return reason is read from part 34 of field 86; that part may also hold other codes."""
    assert "912" == _details(":86:109?20EREF+PAY-1?34912").return_reason
    assert _details(":86:109?20EREF+PAY-1?34000").return_reason is None
    assert "AC04" == _details(":86:/EREF/PAY-1/RTRN/AC04/").return_reason


def test_character_after_the_code_separates_the_parts_of_field_86() -> None:
    """In field 86, the character after the code separates the parts; a keyword may follow it."""
    payment = _details(
        ":86:166>00GUTSCHRIFT>20EREF+PAY-1 SVWZ+Danke>60 sehr>31DE02120300000000202051"
    )

    assert ("PAY-1", "Danke sehr") == (payment.end_to_end_id, payment.remittance)
    assert payment.counterparty.iban is not None


def test_iso_keywords_are_read() -> None:
    """From keywords between slashes, the party, the identifiers and the text are read."""
    payment = _details(
        ":86:/TRTP/SEPA OVERBOEKING/IBAN/NL91ABNA0417164300/BIC/ABNANL2A",
        "/NAME/Bakker BV/REMI/Factuur 2026-08",
        "15/EREF/PAY-1/MARF/MND-1/CSID/DE98ZZZ09999999999",
    )

    assert "Factuur 2026-0815" == payment.remittance
    assert ("PAY-1", "MND-1", "DE98ZZZ09999999999") == (
        payment.end_to_end_id,
        payment.mandate_id,
        payment.creditor_id,
    )
    assert ("Bakker BV", Iban("NL91ABNA0417164300")) == (
        payment.counterparty.name,
        payment.counterparty.iban,
    )


@pytest.mark.parametrize(
    "text, remittance, references",
    [
        ("/REMI/USTD//Factuur 1/", "Factuur 1", ()),
        ("/REMI/STRD/CUR/9999123456789012/", "", ("9999123456789012",)),
        ("/REMI/STRD/ISO/RF18539007547034/", "", ("RF18539007547034",)),
        ("/REMI/Danke/CDTRREFTP//CD/SCOR/ISSR/CUR/CDTRREF/9999/", "Danke", ("9999",)),
        ("/BENM//NAME/JOHN DOE/REMI//ISDT/2013-01-02", "", ()),
    ],
)
def test_remittance_texts_and_references_are_distinguished(
    text: str, remittance: str, references: tuple[str, ...]
) -> None:
    """Unstructured remittance texts and structured references are distinguished."""
    payment = _details(f":86:{text}")

    assert (remittance, references) == (payment.remittance, payment.references)


def test_one_keyword_may_hold_account_bank_and_name() -> None:
    """One keyword may hold account, bank and name together."""
    payment = _details(
        ":86:/EREF/NOTPROVIDED//CNTP/NL91ABNA0417164300/ABNANL2A/Bakker BV///REMI/USTD//x/"
    )

    assert payment.end_to_end_id is None
    assert ("Bakker BV", "NL91ABNA0417164300", "ABNANL2A") == (
        payment.counterparty.name,
        payment.counterparty.account,
        getattr(payment.counterparty.bic, "value", None),
    )


def test_unstructured_details_are_read_as_text() -> None:
    """Unstructured details are text; a space joins their lines."""
    assert (
        "GIRO 428428 KPN BETREFT FACTUUR"
        == _details(":86:GIRO   428428 KPN", "BETREFT FACTUUR").remittance
    )
    assert "" == _details().remittance
    assert "12/34 is no keyword" == _details(":86:12/34 is no keyword").remittance


@pytest.mark.parametrize(
    "line, amount, reversal",
    [
        ("2611251125C1,5NTRFNONREF", "1.50", False),
        ("2611251125D1,NTRFNONREF", "-1.00", False),
        ("2611251125D1NTRFNONREF", "-1.00", False),
        ("2611251125RC1,50NTRFNONREF", "-1.50", True),
        ("2611251125RD1,50NTRFNONREF", "1.50", True),
        ("2611251125CR1,50NTRFNONREF", "1.50", False),
        ("2611251125RCR1,50NTRFNONREF", "-1.50", True),
        ("2611251125DR000000001,50N062NONREF", "-1.50", False),
        ("2611251125D0000000000000001,50N062NONREF", "-1.50", False),
    ],
)
def test_credits_are_positive_and_debits_negative(line: str, amount: str, reversal: bool) -> None:
    """Credits and reversed debits are positive; debits and reversed credits are negative."""
    entry = _entry(line)

    assert (_euros(amount), reversal) == (entry.amount, entry.reversal)


@pytest.mark.parametrize(
    "line, booked_on, value_on",
    [
        ("2612310102C1,NTRF", date(2027, 1, 2), date(2026, 12, 31)),
        ("2701021231C1,NTRF", date(2026, 12, 31), date(2027, 1, 2)),
        ("240229C1,NTRF", None, date(2024, 2, 29)),
        ("240229    C1,NTRF", None, date(2024, 2, 29)),
        ("2403010229C1,NTRF", date(2024, 2, 29), date(2024, 3, 1)),
        ("9912310101C1,NTRF", date(2000, 1, 1), date(1999, 12, 31)),
        ("2602300301C1,NTRF", date(2026, 3, 1), date(2026, 2, 28)),
        ("2402300301C1,NTRF", date(2024, 3, 1), date(2024, 2, 29)),
    ],
)
def test_booking_date_without_a_year_is_near_the_value_date(
    line: str, booked_on: date | None, value_on: date
) -> None:
    """A booking date without a year is taken near the value date; a bank may count 30 February."""
    entry = _entry(line)

    assert (booked_on, value_on) == (entry.booked_on, entry.value_on)


@pytest.mark.parametrize(
    "line, code",
    [
        ("2611251125C1,50 NRTIEREF+//1", "NRTI"),
        ("261125C1,50NOV NONREF", "NOV"),
        ("2611251125C1,50MCI0NONREF", "MCI0"),
    ],
)
def test_unusual_entry_codes_are_read(line: str, code: str) -> None:
    """The code of an entry may follow a space, end with spaces, or begin with any letter."""
    entry = _entry(line)

    assert (_euros("1.50"), code) == (entry.amount, entry.code)
    assert entry.transactions[0].customer_reference is None


@pytest.mark.parametrize("minutes", ["25", "26", "59"])
def test_text_wrapped_within_a_time_is_read_whole(minutes: str) -> None:
    """A line of text that looks like a time's minutes does not begin a new field."""
    details = _details(":86:106?20SVWZ+Pickup 10 May 16", f":{minutes}:37 No.?21 2026-0815")

    assert f"Pickup 10 May 16:{minutes}:37 No. 2026-0815" == details.remittance


def test_references_of_an_entry_are_read_from_line_61() -> None:
    """The customer's and bank's references are read from line :61:, the text from the next line."""
    entry = _entry("2611251125C1,NTRFRUN-1//BANK-1\r\nCard transaction")

    assert ("BANK-1", "Card transaction") == (entry.bank_reference, entry.text)
    assert ("RUN-1", "BANK-1") == (
        entry.transactions[0].customer_reference,
        entry.transactions[0].bank_reference,
    )


@pytest.mark.parametrize(
    "references, customer, bank",
    [
        ("MARF//BANK-1", None, "BANK-1"),
        ("RUN-1//NONREF", "RUN-1", None),
        ("NONREF          T. Jansen Utrecht", None, None),
        ("0121470966      T. Jansen", "0121470966      T. Jansen", None),
    ],
)
def test_words_without_a_reference_are_none(
    references: str, customer: str | None, bank: str | None
) -> None:
    """A placeholder such as NONREF is not read as a reference, wherever it stands."""
    entry = _entry(f"2611251125C1,NTRF{references}")

    assert (customer, bank) == (entry.transactions[0].customer_reference, entry.bank_reference)


@pytest.mark.parametrize(
    "account, number, iban",
    [
        (IBAN, IBAN, IBAN),
        (f"{IBAN}EUR", f"{IBAN}EUR", IBAN),
        (f"COBADEFF/{IBAN}", f"COBADEFF/{IBAN}", IBAN),
        ("50880050/0194787400888", "50880050/0194787400888", None),
        ("0001234567", "0001234567", None),
    ],
)
def test_account_is_an_iban_or_a_national_number(
    account: str, number: str, iban: str | None
) -> None:
    """An account is an IBAN, alone or with its bank or currency, or a national number."""
    statement = _only_statement(_file().replace(f":25:{IBAN}".encode(), f":25:{account}".encode()))

    assert number == statement.account.number
    assert (iban and Iban(iban)) == statement.account.iban


def test_blocks_and_headers_are_skipped() -> None:
    """SWIFT blocks, a bank's lines before a statement, and unknown fields are skipped."""
    statements = read_mt940(
        b"{1:F01BANKDEFFXXXX0000000000}{2:I940BANKDEFFXXXXN}{4:\r\n"
        + GERMAN.removesuffix(b"-\r\n")
        + b":86:closing text\r\n:64:C261125EUR5,00\r\n-}{5:{CHK:1}}\r\nBANKDEFF\r\n940\r\n"
        + GERMAN.replace(b":28C:231/1", b":28C:232")
        + b"\xef\xbb\xbf"
    )

    assert [(231, 1), (232, None)] == [(item.number, item.page) for item in statements]
    assert ["60F", "62F", "64"] == [balance.code for balance in statements[0].balances]
    assert read_mt940(b"\xef\xbb\xbf{4::20:X" + GERMAN[12:])


def test_statement_ends_where_next_one_begins() -> None:
    """A statement ends where the next one begins, and may have no number."""
    content = GERMAN.removesuffix(b"-\r\n").replace(b":28C:231/1\r\n", b"")

    assert [None, None] == [item.number for item in read_mt940(content + content)]


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_accented_letters_are_read_as_utf8_or_latin_1(encoding: str) -> None:
    """Accented letters are decoded as UTF-8 or, if that fails, as ISO 8859-1."""
    content = _file(":61:2611251125C1,NTRF", ":86:Größe", closing="C261125EUR1,").decode()

    assert (
        "Größe" == _only_statement(content.encode(encoding)).entries[0].transactions[0].remittance
    )


def test_page_of_statement_may_have_intermediate_balances() -> None:
    """A page of a statement may have intermediate balances."""
    content = GERMAN.replace(b"60F", b"60M").replace(b"62F", b"62M")

    assert ["60M", "62M"] == [balance.code for balance in _only_statement(content).balances]


def test_statement_whose_entries_do_not_add_up_is_refused() -> None:
    """A statement whose entries do not add up to its balance is refused if sums are checked."""
    content = GERMAN.replace(b"C59,90", b"C58,90")

    with pytest.raises(InvalidData, match=r"1\.00 EUR") as excinfo:
        read_mt940(content)
    assert "line 11 :62F:" == excinfo.value.field
    assert _euros("1.00") == _only_statement(content, check_sums=False).difference


@pytest.mark.parametrize(
    "old, new, field",
    [
        (b":25:", b":26:", "line 11 :62F:"),
        (b":60F:", b":61F:", "line 11 :62F:"),
        (b":62F:C261125EUR0,00\r\n", b"", "line 10 :86:"),
        (IBAN.encode(), b" ", "line 2 :25:"),
        (b"C261124EUR", b"X261124EUR", "line 4 :60F:"),
        (b"C261124EUR", b"C261324EUR", "line 4 :60F:"),
        (b"C261124EUR", b"C261124EUX", "line 4 :60F:"),
        (b"C261124EUR0,00", b"C261124EUR0.00", "line 4 :60F:"),
        (b":61:2611251125C59,90", b":61:2611251125C59,905", "line 5 :61:"),
        (b":61:2611251125C59,90", b":61:2611311125C59,90", "line 5 :61:"),
        (b":61:2611251125C59,90", b":61:2611251131C59,90", "line 5 :61:"),
        (b":61:2611251125C59,90", b":61:2611251125X59,90", "line 5 :61:"),
        (b":61:2611251125C59,90", b":61:", "line 5 :61:"),
    ],
)
def test_errors_name_the_line(old: bytes, new: bytes, field: str) -> None:
    """A wrong field is refused with the number of its line and its tag."""
    assert old in GERMAN

    with pytest.raises(InvalidData) as excinfo:
        read_mt940(GERMAN.replace(old, new, 1))

    assert field == excinfo.value.field
    assert "Mustermann" not in str(excinfo.value)


def test_a_report_of_the_current_day_is_read() -> None:
    """An MT942 report has a time and entries, but no balances."""
    report = _only_statement(REPORT)

    assert (StatementKind.REPORT, "RUNNING", "EUR", 231) == (
        report.kind,
        report.id,
        report.currency,
        report.number,
    )
    assert datetime(2026, 11, 25, 13, 30, tzinfo=UTC) == report.created
    assert (None, None, None) == (report.opening, report.closing, report.difference)
    assert [_euros(amount) for amount in ("59.90", "-0.90", "1.00")] == [
        entry.amount for entry in report.entries
    ]
    assert "PAY-1" == report.entries[0].transactions[0].end_to_end_id


@pytest.mark.parametrize(
    "old, new, field",
    [
        (b":90D:1EUR0,90", b":90D:2EUR0,90", "line 11 :90D:"),
        (b":90C:2EUR60,90", b":90C:1EUR60,90", "line 12 :90C:"),
        (b":90C:2EUR60,90", b":90C:twoEUR60,90", "line 12 :90C:"),
        (b":34F:EURD0,00", b":34F:EUR", "line 4 :34F:"),
        (b":13D:2611251430+0100", b":13D:2611251430", "line 6 :13D:"),
        (b":13D:2611251430+0100", b":13D:2611311430+0100", "line 6 :13D:"),
        (b":25:DE89370400440532013000\n", b"", "line 11 :90C:"),
    ],
)
def test_a_wrong_report_is_refused(old: bytes, new: bytes, field: str) -> None:
    """A report with a wrong field or another number of entries is refused with the line."""
    assert old in REPORT

    with pytest.raises(InvalidData) as excinfo:
        read_mt940(REPORT.replace(old, new, 1))

    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "limits", [b":34F:EUR5,00\n", b":34F:EURD5,00\n:34F:EURC0,00\n"], ids=["both", "debits"]
)
def test_entries_below_the_floor_limit_need_not_be_listed(limits: bytes) -> None:
    """A report need not list entries below the floor limit, which the bank still counts."""
    source = REPORT.replace(b":34F:EURD0,00\n:34F:EURC0,00\n", limits)

    assert 3 == len(_only_statement(source.replace(b":90D:1EUR0,90", b":90D:7EUR9,90")).entries)


def test_unchecked_report_may_have_fewer_entries_than_stated() -> None:
    """Without the check of sums, a report may have fewer entries than the bank states."""
    source = REPORT.replace(b":90D:1", b":90D:2").replace(b":13D:2611251430+0100\n", b"")

    report = _only_statement(source, check_sums=False)

    assert (3, None) == (len(report.entries), report.created)


@pytest.mark.parametrize("source", [b"", b"garbage", b"<?xml version='1.0'?>", b"\xff" * 99])
def test_file_without_a_statement_is_refused(source: bytes) -> None:
    """A file without a statement is refused."""
    with pytest.raises(InvalidData, match=":20:") as excinfo:
        read_mt940(source)

    assert "line 1" == excinfo.value.field


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_bank_files(content: bytes) -> None:
    """Arbitrary bytes are read, or refused with a moorage error."""
    with pytest.raises(InvalidData):
        read_mt940(content)


@given(st.data())
def test_any_change_is_a_statement_or_refused(data: st.DataObject) -> None:
    """A file with some changed bytes is read, or refused with a moorage error."""
    content = bytearray(GERMAN)
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[place] = byte
    try:
        statements = read_mt940(bytes(content), check_sums=data.draw(st.booleans()))
    except InvalidData as error:
        assert error.field  # noqa: PT017 - either end is right
        return
    assert statements


@given(st.integers(0, len(GERMAN) - 9))
def test_truncated_files_are_refused(length: int) -> None:
    """A file that was cut off within a statement is refused with a moorage error."""
    with pytest.raises(InvalidData) as excinfo:
        read_mt940(GERMAN[:length])

    assert (excinfo.value.field or "").startswith("line")


def test_files_are_read_up_to_a_limit() -> None:
    """An open file gives the same statements as its bytes.

    A file above the size limit is refused.
    """
    assert read_mt940(GERMAN) == read_mt940(io.BytesIO(GERMAN))
    with pytest.raises(InvalidData, match="larger than 99 bytes"):
        read_mt940(GERMAN, largest=99)


@pytest.mark.untraced
def test_long_fields_are_read_in_linear_time() -> None:
    """The time to read a megabyte-long field is linear in the field's length."""
    for line in (
        ":86:166?00X?20" + "?" * 1_000_000,
        ":86:/EREF/" + "/" * 1_000_000,
        ":86:" + " " * 1_000_000,
        ":86:166?20" + "?20abcdef" * 400_000,
        ":86:166?20" + "EREF+abcde " * 400_000,
    ):
        assert _details(line).amount == _euros("59.90")


@pytest.mark.parametrize(
    "currency, amount, expected", [("DEM", "117,45", "117.45"), ("ITL", "11745,", "11745")]
)
def test_statement_in_a_withdrawn_currency_is_read(
    currency: str, amount: str, expected: str
) -> None:
    """An old statement in a currency of before the euro is read, with that currency's decimals."""
    balance = f"C981124{currency}{amount}"
    statement = _only_statement(_file(opening=balance, closing=balance))

    assert statement.closing is not None
    assert Money(expected, currency) == statement.closing.amount


def test_closing_balance_in_another_currency_than_opening_one_is_refused() -> None:
    """A closing balance in another currency than the opening one is refused."""
    with pytest.raises(InvalidData, match="is not in EUR") as excinfo:
        read_mt940(_file(closing="C261125USD999,00"))

    assert excinfo.value.field == "line 5 :62F:"


def test_account_is_of_a_bounded_length() -> None:
    """A field 25 that is longer than any bank writes is refused before it is parsed."""
    with pytest.raises(InvalidData, match="too long for an account number") as excinfo:
        read_mt940(_file().replace(IBAN.encode(), b"/" * 101))

    assert excinfo.value.field == "line 2 :25:"
