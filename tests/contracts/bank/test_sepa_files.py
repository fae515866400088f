"""SEPA files: the bytes that are written, their limits, and reading them back."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage.contracts.bank import (
    NOT_PROVIDED,
    BankParty,
    CreditTransfer,
    CreditTransferFile,
    DirectDebitFile,
    Mandate,
    MandateAmendment,
    Money,
    PartyAddress,
    read_credit_transfers,
    read_direct_debits,
    write_credit_transfers,
    write_direct_debits,
)
from moorage.errors import InvalidData
from tests.contracts.bank import orders
from tests.contracts.bank.schema_facts import faults

TRANSFERS = ("pain.001.001.03", "pain.001.001.09")
DEBITS = ("pain.008.001.02", "pain.008.001.08")
CREDITOR = BankParty(name="Bakker BV", iban="NL91ABNA0417164300")


def _payment(**changes: Any) -> CreditTransfer:
    fields: dict[str, Any] = {
        "end_to_end_id": "PAY-1",
        "amount": Money("1.00", "EUR"),
        "creditor": CREDITOR,
        **changes,
    }
    return CreditTransfer(**fields)


def _file(*payments: CreditTransfer) -> CreditTransferFile:
    example = orders.transfers_with_everything()
    return attrs.evolve(
        example, batches=[attrs.evolve(example.batches[1], transfers=payments or [_payment()])]
    )


@pytest.mark.parametrize("version", TRANSFERS)
def test_transfers_conform_to_the_schema(version: str) -> None:
    """A credit transfer file with every field has the schema's elements in the schema's order."""
    content = write_credit_transfers(orders.transfers_with_everything(), version=version)

    assert [] == faults(content, version)


@pytest.mark.parametrize("version", DEBITS)
def test_debits_conform_to_the_schema(version: str) -> None:
    """A direct debit file with every field has the schema's elements in the schema's order."""
    content = write_direct_debits(orders.debits_with_everything(), version=version)

    assert [] == faults(content, version)


@pytest.mark.parametrize(
    "old, new",
    [
        (b"<NbOfTxs>3</NbOfTxs>", b""),
        (b"<ChrgBr>SLEV</ChrgBr>", b"<ChrgBr>NONE</ChrgBr>"),
        (b"<PmtMtd>TRF</PmtMtd>", b"<PmtMtd>TRF</PmtMtd><PmtMtd>TRF</PmtMtd>"),
        (b"<MsgId>RUN-1</MsgId>", b"<MsgId>" + b"1" * 36 + b"</MsgId>"),
        (b' Ccy="EUR"', b""),
        (b"0.01<", b"0.000001<"),
        (b"<Dt>2026-11-26</Dt>", b"<Dt>26.11.2026</Dt>"),
        (b"InitgPty", b"Initiator"),
    ],
)
def test_schema_check_reports_an_inserted_fault(old: bytes, new: bytes) -> None:
    """The check against the schema reports a document into which a fault was inserted."""
    content = write_credit_transfers(orders.transfers_with_everything())

    assert old in content
    assert faults(content.replace(old, new), "pain.001.001.09")


@pytest.mark.untraced
@given(orders.transfer_files)
def test_transfers_are_read_as_written(order: CreditTransferFile) -> None:
    """A written file of credit transfers is valid, and reading it returns an equal value."""
    content = write_credit_transfers(order)

    assert [] == faults(content, "pain.001.001.09")
    assert order == read_credit_transfers(content)
    assert content == write_credit_transfers(read_credit_transfers(content))


def test_reference_in_a_countrys_own_form_is_read_as_text() -> None:
    """A structured reference that does not follow ISO 11649, such as a Belgian one, is text."""
    content = write_credit_transfers(orders.transfers_with_everything())
    reference, belgian_reference = b"RF18539007547034", b"010806817183"
    assert reference in content
    order = read_credit_transfers(content.replace(reference, belgian_reference))
    remittances = [item.remittance for batch in order.batches for item in batch.transfers]

    assert belgian_reference.decode() in remittances
    with pytest.raises(InvalidData, match="check digits"):
        read_credit_transfers(content.replace(reference, b"RF19539007547034"))


@pytest.mark.untraced
@given(orders.debit_files)
def test_debits_are_read_as_written(order: DirectDebitFile) -> None:
    """A written file of direct debits is valid, and reading it returns an equal value."""
    content = write_direct_debits(order)

    assert [] == faults(content, "pain.008.001.08")
    assert order == read_direct_debits(io.BytesIO(content))
    assert content == write_direct_debits(read_direct_debits(content))


@pytest.mark.untraced
@given(orders.transfer_files)
def test_old_transfers_are_read_as_written(order: CreditTransferFile) -> None:
    """An older version of a SEPA file differs only in addresses, which it writes as lines."""
    try:
        content = write_credit_transfers(order, version="pain.001.001.03")
    except InvalidData as error:
        assert "two lines" in str(error) or "at most 70" in str(error)  # noqa: PT017 - either end is right
        assume(False)
    assert [] == faults(content, "pain.001.001.03")
    restored = read_credit_transfers(content)
    assert content == write_credit_transfers(restored, version="pain.001.001.03")
    assert (order.count, order.total) == (restored.count, restored.total)
    assert [batch.debtor.iban for batch in order.batches] == [
        batch.debtor.iban for batch in restored.batches
    ]


def test_old_debits_are_read_as_written() -> None:
    """The older version of direct debits also keeps mandates and amendments."""
    order = orders.debits_with_everything()
    restored = read_direct_debits(write_direct_debits(order, version="pain.008.001.02"))

    mandates = [debit.mandate for batch in order.batches for debit in batch.debits]
    assert mandates == [debit.mandate for batch in restored.batches for debit in batch.debits]


def test_counts_and_sums_of_a_file_agree_with_its_payments() -> None:
    """The counts and sums of a file and of each batch agree with the payments."""
    root = ET.fromstring(write_credit_transfers(orders.transfers_with_everything()))  # noqa: S314 - written above

    space = "{*}"
    assert ["3", "2", "1"] == [node.text for node in root.iter() if node.tag.endswith("NbOfTxs")]
    assert ["1000001190.00", "1190.01", "999999999.99"] == [
        node.text for node in root.iter() if node.tag.endswith("CtrlSum")
    ]
    assert root.find(f"{space}CstmrCdtTrfInitn") is not None


def test_equal_orders_produce_equal_files() -> None:
    """Two equal orders produce equal files.

    An order with another message id produces a different file.
    """
    first = write_credit_transfers(orders.transfers_with_everything())

    assert first == write_credit_transfers(orders.transfers_with_everything())
    assert first != write_credit_transfers(orders.transfers_with_everything(message_id="RUN-2"))


def test_file_time_is_one_that_caller_passed() -> None:
    """The file's time is the one that the caller passed, without fractions of a second."""
    zone = timezone(timedelta(hours=1))
    created = datetime(2026, 11, 25, 9, 30, 1, 999, zone)

    content = write_credit_transfers(orders.transfers_with_everything(created=created))

    assert b"<CreDtTm>2026-11-25T09:30:01+01:00</CreDtTm>" in content
    with pytest.raises(InvalidData, match="must be a datetime"):
        orders.transfers_with_everything(
            created=datetime(2026, 11, 25, tzinfo=timezone(timedelta(seconds=3)))
        )
    with pytest.raises(InvalidData, match="must be a datetime"):
        orders.transfers_with_everything(created="2026-11-25")


def test_naive_time_is_written_without_a_zone() -> None:
    """A time without a time zone is the bank's local time, as in ISO 20022."""
    content = write_credit_transfers(
        orders.transfers_with_everything(created=datetime(2026, 11, 25, 9, 30))  # noqa: DTZ001 - the test is about it
    )

    assert b"<CreDtTm>2026-11-25T09:30:00</CreDtTm>" in content


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"amount": Money("0.00", "EUR")}, "amount"),
        ({"amount": Money("-1.00", "EUR")}, "amount"),
        ({"amount": Money("1.00", "USD")}, "amount"),
        ({"amount": Money("1000000000.00", "EUR")}, "amount"),
        ({"amount": "1.00"}, "amount"),
        ({"end_to_end_id": ""}, "end_to_end_id"),
        ({"end_to_end_id": "x" * 36}, "end_to_end_id"),
        ({"end_to_end_id": "/x"}, "end_to_end_id"),
        ({"end_to_end_id": "x/"}, "end_to_end_id"),
        ({"end_to_end_id": "x//y"}, "end_to_end_id"),
        ({"end_to_end_id": " x"}, "end_to_end_id"),
        ({"end_to_end_id": "ü"}, "end_to_end_id"),
        ({"end_to_end_id": None}, "end_to_end_id"),
        ({"instruction_id": "ü"}, "instruction_id"),
        ({"remittance": "x" * 141}, "remittance"),
        ({"remittance": " "}, "remittance"),
        ({"remittance": 5}, "remittance"),
        ({"purpose": "salary"}, "purpose"),
        ({"ultimate_debtor": "x" * 71}, "ultimate_debtor"),
        ({"creditor": "Bakker"}, "creditor"),
    ],
)
def test_wrong_payments_are_refused(changes: dict[str, Any], field: str) -> None:
    """A payment that banks refuse is refused at construction with the name of the field."""
    with pytest.raises(InvalidData) as excinfo:
        _payment(**changes)

    assert field == excinfo.value.field
    assert excinfo.value.remedy


def test_wrong_parties_are_refused() -> None:
    """Names, accounts, addresses, mandates and empty lists are checked at construction."""
    with pytest.raises(InvalidData, match="71 characters"):
        BankParty(name="x" * 71, iban=CREDITOR.iban)
    with pytest.raises(InvalidData, match="check digits"):
        BankParty(name="x", iban="NL91ABNA0417164301")
    with pytest.raises(InvalidData, match="country"):
        PartyAddress(country="XX")
    with pytest.raises(InvalidData, match="two lines"):
        PartyAddress(country="DE", lines=["1", "2", "3"])
    with pytest.raises(InvalidData, match="changes nothing"):
        MandateAmendment()
    with pytest.raises(InvalidData, match="two ways"):
        MandateAmendment(original_iban=CREDITOR.iban, other_account=True)
    with pytest.raises(InvalidData, match="must be a date"):
        Mandate(id="M-1", signed=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidData, match="must not be empty"):
        orders.transfers_with_everything(batches=[])


def test_no_end_to_end_id_may_repeat_in_file() -> None:
    """No end-to-end id may repeat in a file, except the marker for a missing id."""
    with pytest.raises(InvalidData, match="used twice") as excinfo:
        _file(_payment(), _payment())
    assert "end_to_end_id" == excinfo.value.field

    none = _payment(end_to_end_id=NOT_PROVIDED)
    assert 2 == _file(none, none).count
    batch = orders.transfers_with_everything().batches[1]
    with pytest.raises(InvalidData, match="used twice"):
        orders.transfers_with_everything(batches=[batch, batch])


def test_other_characters_are_refused_with_their_field() -> None:
    """By default, a letter outside the Latin set is refused with its field."""
    order = _file(_payment(creditor=attrs.evolve(CREDITOR, name="Müller")))

    with pytest.raises(InvalidData, match="position 2") as excinfo:
        write_credit_transfers(order)

    assert "batches[0].transfers[0].creditor.name" == excinfo.value.field
    assert "Müller" not in str(excinfo.value)
    assert b"<Nm>Mueller</Nm>" in write_credit_transfers(order, characters="transliterate")


def test_spaces_at_the_ends_are_refused_or_cut() -> None:
    """A text with a space at either end is refused, unless transliteration removes the space."""
    order = _file(_payment(creditor=attrs.evolve(CREDITOR, name=" Bakker ")))

    with pytest.raises(InvalidData, match="begins or ends"):
        write_credit_transfers(order)
    assert b"<Nm>Bakker</Nm>" in write_credit_transfers(order, characters="transliterate")


def test_file_with_another_message_type_is_refused() -> None:
    """A file with another type of message is refused."""
    content = write_credit_transfers(orders.transfers_with_everything())

    with pytest.raises(InvalidData) as excinfo:
        read_credit_transfers(content.replace(b"CstmrCdtTrfInitn", b"Other"))
    assert "CstmrCdtTrfInitn" == excinfo.value.field


def test_text_too_long_after_transliteration_is_refused() -> None:
    """If a text is too long after transliteration, it is refused."""
    order = _file(_payment(creditor=attrs.evolve(CREDITOR, name="ß" * 40)))

    with pytest.raises(InvalidData, match="80 characters"):
        write_credit_transfers(order, characters="transliterate")


@given(st.text(min_size=1, max_size=140))
def test_no_text_breaks_the_file(text: str) -> None:
    """Any text is either refused, or produces a valid file with Latin letters only."""
    try:
        content = write_credit_transfers(
            _file(_payment(remittance=text)), characters="transliterate"
        )
    except InvalidData:
        return
    assert content.isascii()
    assert [] == faults(content, "pain.001.001.09")


def test_older_version_refuses_bic_with_digits_in_its_first_letters() -> None:
    """The older version refuses a BIC with digits in its first letters, and long addresses."""
    digits = _file(_payment(creditor=attrs.evolve(CREDITOR, bic="A2345678DE33"[:4] + "DEFF")))
    lines = PartyAddress(country="DE", town="Bonn", street="Weg", lines=["Haus 2"])
    long_file = _file(_payment(creditor=attrs.evolve(CREDITOR, address=lines)))

    assert write_credit_transfers(digits)
    with pytest.raises(InvalidData, match="BIC"):
        write_credit_transfers(digits, version="pain.001.001.03")
    assert write_credit_transfers(long_file)
    with pytest.raises(InvalidData, match="two lines"):
        write_credit_transfers(long_file, version="pain.001.001.03")


def test_unknown_choices_are_refused() -> None:
    """An unknown version or character treatment is refused with the list of valid values."""
    with pytest.raises(InvalidData, match=r"pain\.001\.001\.09"):
        write_credit_transfers(_file(), version="pain.001.001.12")
    with pytest.raises(InvalidData, match="transliterate"):
        write_credit_transfers(_file(), characters="drop")
    with pytest.raises(InvalidData, match="order"):
        write_credit_transfers(orders.debits_with_everything())  # type: ignore[arg-type]  # the test is about it
    with pytest.raises(InvalidData, match="order"):
        write_direct_debits(_file())  # type: ignore[arg-type]  # the test is about it


def test_names_are_in_no_repr() -> None:
    """The repr of an order has no names, account numbers or texts."""
    shown_text = repr(orders.transfers_with_everything()) + repr(orders.debits_with_everything())

    for text in ("Acme", "Lieferant", "Mustermann", "3704004405", "Bahnhof", "Invoice"):
        assert text not in shown_text


@pytest.mark.parametrize(
    "old, new, field",
    [
        (b"<CtrlSum>1000001190.00", b"<CtrlSum>1000001190.01", "CtrlSum"),
        (b"<CtrlSum>1190.01", b"<CtrlSum>1190.02", "Document/CstmrCdtTrfInitn/PmtInf/CtrlSum"),
        (b"<NbOfTxs>3", b"<NbOfTxs>4", "NbOfTxs"),
        (b"<NbOfTxs>3", b"<NbOfTxs>three", "NbOfTxs"),
        (b"<MsgId>RUN-1</MsgId>", b"", "GrpHdr/MsgId"),
        (b"2026-11-25T09:30:00+00:00", b"", "GrpHdr/CreDtTm"),
        (b"2026-11-25T09:30:00+00:00", b"yesterday", "GrpHdr/CreDtTm"),
        (
            b"0.01</InstdAmt>",
            b"0.001</InstdAmt>",
            "Document/CstmrCdtTrfInitn/PmtInf/CdtTrfTxInf[2]/Amt/InstdAmt",
        ),
        (
            b"<ReqdExctnDt><Dt>2026-11-26",
            b"<ReqdExctnDt><Dt>2026-02-30",
            "Document/CstmrCdtTrfInitn/PmtInf/ReqdExctnDt/Dt",
        ),
        (
            b"<ReqdExctnDt><Dt>2026-11-26</Dt></ReqdExctnDt>",
            b"",
            "Document/CstmrCdtTrfInitn/PmtInf/ReqdExctnDt/Dt",
        ),
        (
            b'<Amt><InstdAmt Ccy="EUR">0.01</InstdAmt></Amt>',
            b"",
            "Document/CstmrCdtTrfInitn/PmtInf/CdtTrfTxInf[2]/Amt/InstdAmt",
        ),
        (b"<CtrlSum>1000001190.00", b"<CtrlSum>1,0", "CtrlSum"),
        (b"<CstmrCdtTrfInitn>", b"<a/><CstmrCdtTrfInitn>", None),
        (
            b"<BtchBookg>false",
            b"<BtchBookg>no",
            "Document/CstmrCdtTrfInitn/PmtInf/BtchBookg",
        ),
    ],
)
def test_file_with_changed_sums_or_values_is_refused(
    old: bytes, new: bytes, field: str | None
) -> None:
    """A file whose sums, counts or values are wrong is refused with the path of the element."""
    content = write_credit_transfers(orders.transfers_with_everything())
    assert old in content

    if field is None:
        assert read_credit_transfers(content.replace(old, new, 1)).count
        return
    with pytest.raises(InvalidData) as excinfo:
        read_credit_transfers(content.replace(old, new, 1))

    assert field == excinfo.value.field


@given(st.data())
def test_any_change_is_an_order_or_refused(data: st.DataObject) -> None:
    """Changed or arbitrary bytes are read, or refused with a moorage error."""
    content = bytearray(write_direct_debits(orders.debits_with_everything()))
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[place] = byte
    for source in (bytes(content), data.draw(st.binary(max_size=99))):
        for read in (read_direct_debits, read_credit_transfers):
            try:
                assert read(source).count > 0
            except InvalidData as error:
                assert error.field  # noqa: PT017 - either end is right


@given(st.integers(0, 1_000))
def test_truncated_files_are_refused(length: int) -> None:
    """A file that was cut off is refused."""
    with pytest.raises(InvalidData) as excinfo:
        read_credit_transfers(
            write_credit_transfers(orders.transfers_with_everything())[: -12 - length]
        )

    assert excinfo.value.field


def test_credit_transfer_is_written_with_the_expected_bytes() -> None:
    """A short file of a credit transfer is written with exactly the expected bytes."""
    order = attrs.evolve(_file(), initiator="Acme GmbH")

    assert (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.03"><CstmrCdtTrfInitn>'
        b"<GrpHdr><MsgId>RUN-1</MsgId><CreDtTm>2026-11-25T09:30:00+00:00</CreDtTm>"
        b"<NbOfTxs>1</NbOfTxs><CtrlSum>1.00</CtrlSum><InitgPty><Nm>Acme GmbH</Nm></InitgPty>"
        b"</GrpHdr><PmtInf><PmtInfId>B-2</PmtInfId><PmtMtd>TRF</PmtMtd>"
        b"<BtchBookg>true</BtchBookg><NbOfTxs>1</NbOfTxs><CtrlSum>1.00</CtrlSum>"
        b"<PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl></PmtTpInf>"
        b"<ReqdExctnDt>2026-11-26</ReqdExctnDt><Dbtr><Nm>Acme GmbH</Nm></Dbtr>"
        b"<DbtrAcct><Id><IBAN>AT611904300234573201</IBAN></Id></DbtrAcct>"
        b"<DbtrAgt><FinInstnId><Othr><Id>NOTPROVIDED</Id></Othr></FinInstnId></DbtrAgt>"
        b"<ChrgBr>SLEV</ChrgBr><CdtTrfTxInf><PmtId><EndToEndId>PAY-1</EndToEndId></PmtId>"
        b'<Amt><InstdAmt Ccy="EUR">1.00</InstdAmt></Amt><Cdtr><Nm>Bakker BV</Nm></Cdtr>'
        b"<CdtrAcct><Id><IBAN>NL91ABNA0417164300</IBAN></Id></CdtrAcct></CdtTrfTxInf>"
        b"</PmtInf></CstmrCdtTrfInitn></Document>\n"
    ) == write_credit_transfers(order, version="pain.001.001.03")
    assert date(2026, 11, 26) == order.batches[0].execution_date
