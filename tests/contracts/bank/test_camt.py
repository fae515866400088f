"""Reading ISO 20022 statements, and refusing other files."""

from __future__ import annotations

import io
import tracemalloc
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.contracts.bank import EntryStatus, Iban, Money, Statement, StatementKind, read_camt
from moorage.errors import InvalidData
from tests.contracts.bank import camt_examples as examples
from tests.contracts.bank.camt_examples import balance, document, entry, head


def _only_statement(source: bytes, **options: Any) -> Statement:
    (statement,) = read_camt(source, **options)
    return statement


def _euros(amount: str) -> Money:
    return Money(amount, "EUR")


def test_a_statement_is_read() -> None:
    """A statement of version 08 has its account, balances, entries and payments."""
    statement = _only_statement(examples.STATEMENT)

    assert StatementKind.STATEMENT is statement.kind
    assert ("ST-231", 231, "EUR") == (statement.id, statement.number, statement.currency)
    assert Iban(examples.IBAN) == statement.account.iban
    assert statement.opening is not None
    assert statement.closing is not None
    assert ("OPBD", _euros("5000.00")) == (statement.opening.code, statement.opening.amount)
    assert ("CLBD", _euros("3869.90")) == (statement.closing.code, statement.closing.amount)
    assert _euros("0.00") == statement.difference
    first, second, third = statement.entries
    assert _euros("59.90") == first.amount
    assert (date(2026, 11, 25), date(2026, 11, 26)) == (first.booked_on, first.value_on)
    assert ("BANK-1", "N-1") == (first.bank_reference, first.entry_reference)
    assert ("PMNT/RCDT/ESCT", "NTRF+166") == (first.code, first.bank_code)
    (payment,) = first.transactions
    assert _euros("59.90") == payment.amount
    assert ("PAY-1", "INS-1", "MND-1") == (
        payment.end_to_end_id,
        payment.instruction_id,
        payment.mandate_id,
    )
    assert ("Erika Mustermann", "Max Mustermann") == (
        payment.counterparty.name,
        payment.counterparty.ultimate,
    )
    assert Iban("DE02120300000000202051") == payment.counterparty.iban
    assert "BYLADEM1001" == getattr(payment.counterparty.bic, "value", None)
    assert "Rechnung 2026-0815" == payment.remittance
    assert (("RF18539007547034",), ("INV-7",)) == (payment.references, payment.documents)
    assert _euros("-1190.00") == second.amount
    assert ["Rent"] == [item.remittance for item in second.transactions]
    assert [_euros("-1190.00")] == [item.amount for item in second.transactions]
    assert EntryStatus.PENDING is third.status


def test_statement_of_version_02_is_read() -> None:
    """A statement of version 02, which names many elements differently, is read."""
    statement = _only_statement(examples.OLD_STATEMENT)

    (line,) = statement.entries
    (payment,) = line.transactions
    assert EntryStatus.BOOKED is line.status
    assert _euros("59.90") == payment.amount
    assert payment.end_to_end_id is None
    assert ("Erika Mustermann", "4711", None) == (
        payment.counterparty.name,
        payment.counterparty.account,
        payment.counterparty.iban,
    )
    assert "BYLADEM1001" == getattr(payment.counterparty.bic, "value", None)
    assert _euros("-10.00") == getattr(statement.opening, "amount", None)


@pytest.mark.parametrize(
    "message, kind, word",
    [
        ("camt.052.001.08", "Rpt", StatementKind.REPORT),
        ("camt.052.001.02", "Rpt", StatementKind.REPORT),
        ("camt.054.001.08", "Ntfctn", StatementKind.NOTIFICATION),
        ("camt.054.001.04", "Ntfctn", StatementKind.NOTIFICATION),
        ("camt.052.001.14", "Rpt", StatementKind.REPORT),
        ("camt.054.001.13", "Ntfctn", StatementKind.NOTIFICATION),
    ],
)
def test_reports_and_notifications_are_read(message: str, kind: str, word: StatementKind) -> None:
    """Reports and notifications have their own classes, and their sums are not checked."""
    page = f"<{kind}Pgntn><PgNb>3</PgNb><LastPgInd>true</LastPgInd></{kind}Pgntn>"
    content = page + head() + balance("OPBD", "1.00") + balance("CLBD", "1.00") + entry("59.90")

    statement = _only_statement(document(content, message=message, kind=kind))

    assert (word, 3) == (statement.kind, statement.page)
    assert _euros("-59.90") == statement.difference


@pytest.mark.parametrize("version", range(2, 15))
def test_each_version_is_read(version: int) -> None:
    """The elements that moorage reads are the same in versions 08 to 14 of the schema."""
    content = head() + balance("OPBD", "1.00") + balance("CLBD", "60.90") + entry("59.90")

    assert _only_statement(document(content, message=f"camt.053.001.{version:02}")).entries
    with pytest.raises(InvalidData, match=r"camt\.052\.001\.02 to camt\.054\.001\.14"):
        read_camt(document(content, message="camt.053.001.15"))


def test_batch_entry_has_its_id_and_payments() -> None:
    """A batch entry has the batch's id; each payment of the batch may have its own sign."""
    details = (
        "<NtryDtls><Btch><MsgId>RUN-1</MsgId><PmtInfId>B-1</PmtInfId><NbOfTxs>2</NbOfTxs>"
        '<TtlAmt Ccy="EUR">30.00</TtlAmt></Btch>'
        '<TxDtls><Amt Ccy="EUR">40.00</Amt><CdtDbtInd>DBIT</CdtDbtInd></TxDtls>'
        '<TxDtls><Amt Ccy="EUR">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd></TxDtls>'
        "<TxDtls><Refs><EndToEndId>PAY-3</EndToEndId></Refs></TxDtls></NtryDtls>"
    )
    (line,) = _only_statement(document(head() + entry("30.00", "DBIT", details=details))).entries

    assert line.batch is not None
    assert ("RUN-1", "B-1", 2) == (line.batch.message_id, line.batch.batch_id, line.batch.count)
    assert _euros("-30.00") == line.batch.total
    assert [_euros("-40.00"), _euros("10.00"), None] == [
        payment.amount for payment in line.transactions
    ]


def test_references_of_payments_tell_the_batch() -> None:
    """If no element contains the batch's id, it is read from the references of the payments."""
    payment = "<TxDtls><Refs><MsgId>RUN-1</MsgId><PmtInfId>{}</PmtInfId></Refs></TxDtls>"
    same, different = (
        f"<NtryDtls>{payment.format(first)}{payment.format('B-1')}</NtryDtls>"
        for first in ("B-1", "B-2")
    )
    first, second = _only_statement(
        document(head() + entry("1.00", details=same) + entry("1.00", details=different))
    ).entries

    assert ("RUN-1", "B-1") == (
        getattr(first.batch, "message_id", None),
        getattr(first.batch, "batch_id", None),
    )
    assert second.batch is None


def _paid(*amounts: str, more: str = "", charges: str = "") -> bytes:
    """Return a statement with an entry of 9.00 euros and payments of these amounts."""
    payments = "".join(
        f'<TxDtls><Amt Ccy="EUR">{amount}</Amt>{charges}</TxDtls>' for amount in amounts
    )
    details = f"<NtryDtls>{more}{payments}</NtryDtls>"
    return document(
        head() + balance("OPBD", "1.00") + balance("CLBD", "10.00") + entry("9.00", details=details)
    )


@pytest.mark.parametrize(
    "source, difference",
    [
        (_paid("4.00", "5.00"), _euros("0.00")),
        (
            _paid(
                "8.00", charges="<Chrgs><TtlChrgsAndTaxAmt Ccy='EUR'>1</TtlChrgsAndTaxAmt></Chrgs>"
            ),
            None,
        ),
        (_paid("4.00", more="<Btch><NbOfTxs>2</NbOfTxs></Btch>"), None),
    ],
)
def test_payments_may_be_less_for_a_reason(source: bytes, difference: Money | None) -> None:
    """Payments add up to their entry, unless the bank states charges or omits payments."""
    (line,) = _only_statement(source).entries

    assert difference == line.difference


@pytest.mark.parametrize("amounts", [("90.00",), ("9.00", "9.00"), ("4.00",)])
def test_payments_that_do_not_add_up_are_refused(amounts: tuple[str, ...]) -> None:
    """If the payments of an entry do not add up to its amount, the statement is refused.

    The error names the entry.
    """
    with pytest.raises(InvalidData, match="entry 1 differs") as excinfo:
        read_camt(_paid(*amounts))
    assert "Stmt[1]/Ntry[1]/NtryDtls" == excinfo.value.field
    (line,) = _only_statement(_paid(*amounts), check_sums=False).entries
    assert len(amounts) == len(line.transactions)


def test_bank_may_be_the_other_party() -> None:
    """A bank that is itself the debtor of a payment is the counterparty, by its name."""
    details = (
        "<NtryDtls><TxDtls><RltdPties><Dbtr><Agt><FinInstnId><Nm>Hafenbank</Nm></FinInstnId></Agt>"
        "</Dbtr></RltdPties></TxDtls></NtryDtls>"
    )
    (line,) = _only_statement(document(head() + entry("5.00", details=details))).entries

    assert "Hafenbank" == line.transactions[0].counterparty.name


@pytest.mark.parametrize("sign, name", [("CRDT", "Lieferant AG"), ("DBIT", "Erika Mustermann")])
def test_a_reversal_keeps_the_roles_of_the_first_payment(sign: str, name: str) -> None:
    """The counterparty of a reversal is the creditor for a credit, the debtor for a debit."""
    details = (
        "<NtryDtls><TxDtls><RltdPties><Dbtr><Pty><Nm>Erika Mustermann</Nm></Pty></Dbtr>"
        "<Cdtr><Pty><Nm>Lieferant AG</Nm></Pty></Cdtr></RltdPties>"
        "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf></TxDtls></NtryDtls>"
    )
    (line,) = _only_statement(
        document(head() + entry("5.00", sign, details=details, more="<RvslInd>true</RvslInd>"))
    ).entries

    assert line.reversal
    assert (name, "AC04") == (
        line.transactions[0].counterparty.name,
        line.transactions[0].return_reason,
    )


@pytest.mark.parametrize(
    "status, word",
    [("<Cd>INFO</Cd>", "information"), ("<Cd>FUTR</Cd>", "unknown"), ("", "unknown")],
)
def test_entry_of_unknown_status_is_not_treated_as_booked(status: str, word: str) -> None:
    """An unknown status is stored as the bank wrote it, and the entry is not treated as booked."""
    (line,) = _only_statement(document(head() + entry("5.00", status=status))).entries

    assert word == line.status
    assert line.status_word == (status[4:8] or None)


def test_statement_whose_entries_do_not_add_up_is_refused() -> None:
    """A statement whose entries do not add up to its balance is refused if sums are checked."""
    content = document(head() + balance("OPBD", "1.00") + balance("CLBD", "4.00") + entry("2.00"))

    with pytest.raises(InvalidData, match=r"1\.00 EUR") as excinfo:
        read_camt(content)
    assert "Stmt[1]/Bal" == excinfo.value.field
    assert _euros("1.00") == _only_statement(content, check_sums=False).difference


def test_entry_in_another_currency_than_the_balances_is_refused_if_sums_are_checked() -> None:
    """A booked entry in a foreign currency is refused, because the sums cannot be checked."""
    foreign = entry("2.00").replace('Ccy="EUR"', 'Ccy="USD"')
    balances = balance("OPBD", "1.00") + balance("CLBD", "9.00")
    content = document(head() + balances + entry("1.00") + foreign)

    with pytest.raises(InvalidData, match="entry 2 is in USD, but its balances are in EUR"):
        read_camt(content)
    assert _only_statement(content, check_sums=False).difference is None
    pending = foreign.replace("<Cd>BOOK</Cd>", "<Cd>PDNG</Cd>")
    statement = _only_statement(document(head() + balances + entry("8.00") + pending))
    assert _euros("0.00") == statement.difference


@pytest.mark.parametrize(
    "balances",
    [
        "",
        balance("OPBD", "1.00"),
        balance("CLAV", "1.00") + balance("OPAV", "1.00"),
        balance("OPBD", "1.00") + balance("CLBD", "9.00", currency="USD"),
        balance("ITBD", "1.00"),
    ],
)
def test_sums_without_two_balances_are_not_checked(balances: str) -> None:
    """Without an opening and a closing balance in one currency, the sums are not checked."""
    statement = _only_statement(document(head() + balances + entry("2.00")))

    assert statement.difference is None


@pytest.mark.parametrize(
    "first, second", [("ITBD", "ITBD"), ("ITBD", "CLBD"), ("OPBD", "ITBD"), ("PRCD", "CLBD")]
)
def test_pages_have_interim_balances(first: str, second: str) -> None:
    """A page of a statement may begin or end with an interim balance."""
    content = head() + balance(first, "1.00") + balance(second, "3.00") + entry("2.00")

    assert _euros("0.00") == _only_statement(document(content)).difference


def test_a_file_may_have_several_statements() -> None:
    """All statements of a file are read, and an error names the faulty one."""
    valid_statement = f"{head('1')}{balance('OPBD', '1.00')}{balance('CLBD', '1.00')}"
    bad = f"{head('2')}{balance('OPBD', '1.00')}{balance('CLBD', '2.00')}"

    statements = read_camt(document(f"{valid_statement}</Stmt><Stmt>{valid_statement}"))
    assert ["ST-1", "ST-1"] == [statement.id for statement in statements]
    with pytest.raises(InvalidData) as excinfo:
        read_camt(document(f"{valid_statement}</Stmt><Stmt>{bad}"))
    assert "Stmt[2]/Bal" == excinfo.value.field


@pytest.mark.parametrize(
    "old, new, field",
    [
        ('<Amt Ccy="EUR">59.90</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>', "<Sts>", "Ntry/Amt"),
        ('Ccy="EUR">59.90', 'Ccy="EUR">59,90', "Ntry/Amt"),
        ('Ccy="EUR">59.90', 'Ccy="EUR">NaN', "Ntry/Amt"),
        ('Ccy="EUR">59.90', 'Ccy="EUR">59.905', "Ntry/Amt"),
        ('Ccy="EUR">59.90', 'Ccy="EUX">59.90', "Ntry/Amt"),
        ('Ccy="EUR">59.90', ">59.90", "Ntry/Amt"),
        ("CRDT</CdtDbtInd><Sts>", "PLUS</CdtDbtInd><Sts>", "Ntry/CdtDbtInd"),
        ("2026-11-25</Dt></BookgDt>", "2026-11-31</Dt></BookgDt>", "Ntry/BookgDt/Dt"),
        ("2026-11-26T00:00:00", "tomorrow", "Ntry/ValDt/DtTm"),
        ("1190.00", "", "Ntry[2]/Amt"),
        ("5000.00", "5.000.00", "Bal/Amt"),
        ("3869.90", "x", "Bal[2]/Amt"),
        (">231<", ">23A<", "ElctrncSeqNb"),
        ("<Id>ST-231</Id>", "", "Id"),
        (f"<IBAN>{examples.IBAN}</IBAN>", "", "Acct/Id"),
        ("<CdtDbtInd>CRDT</CdtDbtInd><RltdPties>", "<CdtDbtInd/><RltdPties>", None),
        (
            "<CdtDbtInd>CRDT</CdtDbtInd><RltdPties>",
            "<CdtDbtInd>X</CdtDbtInd><RltdPties>",
            "Ntry/NtryDtls/TxDtls/CdtDbtInd",
        ),
    ],
)
def test_errors_name_the_element(old: str, new: str, field: str | None) -> None:
    """A wrong value is refused with its element's path, and the message does not show it."""
    content = examples.STATEMENT.decode()
    assert old in content

    if field is None:
        assert read_camt(content.replace(old, new, 1).encode())
        return
    with pytest.raises(InvalidData) as excinfo:
        read_camt(content.replace(old, new, 1).encode())

    assert f"Document/BkToCstmrStmt/Stmt/{field}" == excinfo.value.field
    assert "line" in str(excinfo.value)
    assert "Mustermann" not in str(excinfo.value)


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"   ",
        b"garbage",
        b":20:STARTUMS",
        b"<Document/>",
        b"<a xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'/>",
        examples.STATEMENT.replace(b"camt.053.001.08", b"camt.053.001.01"),
        examples.STATEMENT.replace(b"camt.053.001.08", b"pain.001.001.09"),
        examples.STATEMENT.replace(b'encoding="UTF-8"', b'encoding="klingon"'),
        examples.STATEMENT.replace(b'encoding="UTF-8"', b'encoding="utf-7"'),
        document("").replace(b"<Stmt></Stmt>", b""),
        examples.STATEMENT + b"<more/>",
        examples.STATEMENT.replace(b"Erika", b"\xff\xfe"),
    ],
)
def test_file_that_is_not_a_statement_is_refused(source: bytes) -> None:
    """A file that is not a statement is refused with a field and a remedy."""
    with pytest.raises(InvalidData) as excinfo:
        read_camt(source)

    assert excinfo.value.field
    assert excinfo.value.remedy


@pytest.mark.parametrize(
    "declaration",
    [
        b"<!DOCTYPE Document>",
        b'<!DOCTYPE Document SYSTEM "file:///etc/passwd">',
        b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        b'<!DOCTYPE d [<!ENTITY % a SYSTEM "http://127.0.0.1/"> %a;]>',
    ],
)
def test_document_types_are_refused(declaration: bytes) -> None:
    """A file with a DTD is refused before an entity is expanded or another file is read."""
    start = b'<?xml version="1.0" encoding="UTF-8"?>\n'

    with pytest.raises(InvalidData, match="document type"):
        read_camt(examples.STATEMENT.replace(start, start + declaration))


def test_file_with_too_many_or_too_deep_elements_is_refused() -> None:
    """A file with too many elements, or too deeply nested ones, is refused."""
    with pytest.raises(InvalidData, match="nested"):
        read_camt(document(head() + "<a>" * 100 + "</a>" * 100))
    with pytest.raises(InvalidData, match="too many elements"):
        read_camt(document(head() + "<a/>" * 60_000))


@given(st.integers(0, len(examples.STATEMENT) - 12))
def test_truncated_files_are_refused(length: int) -> None:
    """A file that was cut off at any position is refused with a moorage error."""
    with pytest.raises(InvalidData) as excinfo:
        read_camt(examples.STATEMENT[:length])

    assert excinfo.value.field


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_bank_files(content: bytes) -> None:
    """Arbitrary bytes are read, or refused with a moorage error."""
    with pytest.raises(InvalidData):
        read_camt(content)


@given(st.data())
def test_any_change_is_a_statement_or_refused(data: st.DataObject) -> None:
    """A file with some changed bytes is read, or refused with a moorage error."""
    content = bytearray(examples.STATEMENT)
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[place] = byte
    try:
        statements = read_camt(bytes(content))
    except InvalidData:
        return
    assert statements


def test_files_are_read_in_pieces_up_to_a_limit() -> None:
    """An open file gives the same statements as its bytes.

    A file above the size limit is refused.
    """
    assert read_camt(examples.STATEMENT) == read_camt(io.BytesIO(examples.STATEMENT))
    size = len(examples.STATEMENT)
    assert read_camt(examples.STATEMENT, largest=size)
    with pytest.raises(InvalidData, match=f"larger than {size - 1} bytes"):
        read_camt(io.BytesIO(examples.STATEMENT), largest=size - 1)


def test_elements_of_other_standards_are_skipped() -> None:
    """Elements of supplementary data that are named like entries are not read as entries."""
    foreign = '<x:Ntry xmlns:x="urn:x">5</x:Ntry><Ntry xmlns=""/>'
    supplement = f"<SplmtryData><Envlp>{foreign}</Envlp></SplmtryData>"
    content = document(head() + entry("59.90") + supplement)

    assert 1 == len(_only_statement(content).entries)


def test_names_may_have_a_namespace_prefix() -> None:
    """In a document, each name may have a namespace prefix."""
    content = examples.STATEMENT.decode().replace("<", "<b:").replace("<b:/", "</b:")
    content = content.replace("<b:?", "<?").replace("xmlns=", "xmlns:b=")

    assert read_camt(examples.STATEMENT) == read_camt(content.encode())


def test_file_that_never_ends_is_read_only_up_to_the_limit() -> None:
    """A file that never ends is read only up to the limit."""

    class EndlessFile:
        def __init__(self) -> None:
            self.size = 0

        def read(self, size: int, /) -> bytes:
            piece = (
                examples.STATEMENT[: examples.STATEMENT.index(b"<Ntry>")] if not self.size else b""
            )
            piece += b" " * (size - len(piece))
            self.size += size
            return piece

    endless = EndlessFile()
    with pytest.raises(InvalidData, match="larger"):
        read_camt(endless)
    assert endless.size < 70 * 1024 * 1024


@pytest.mark.parametrize("source", [None, "text", io.StringIO("text"), ["a"]])
def test_sources_without_bytes_are_refused(source: Any) -> None:
    """A str, a file opened in text mode and other values are refused with a remedy."""
    with pytest.raises(InvalidData) as excinfo:
        read_camt(source)

    assert "source" == excinfo.value.field
    assert "rb" in excinfo.value.remedy


@pytest.mark.untraced
def test_reading_a_large_statement_frees_its_elements() -> None:
    """Reading a large statement frees each XML element, so that only the values stay in memory."""
    details = f"<NtryDtls>{examples.PAYMENT * 20}</NtryDtls>"
    content = document(head() + entry("59.90", details=details) * 80)
    assert content.count(b"</") > 50_000

    tracemalloc.start()
    try:
        (statement,) = read_camt(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 1_600 == sum(len(line.transactions) for line in statement.entries)
    assert peak < 7 * len(content)


def test_reprs_have_no_personal_data() -> None:
    """The repr of a statement shows no names, texts or complete numbers."""
    shown_text = repr(read_camt(examples.STATEMENT))

    for text in ("Mustermann", "Rechnung", "Rent", examples.IBAN, "02120300000000202051"):
        assert text not in shown_text
