"""FA(3) invoices: written files fit the schema and are read back; invalid files are refused."""

from __future__ import annotations

import pickle
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.invoices import (
    AllowanceCharge,
    ContactPoint,
    Identifier,
    Invoice,
    InvoiceDelivery,
    InvoiceLine,
    KsefInvoice,
    Note,
    Party,
    PayeeAccount,
    PaymentInstructions,
    Period,
    PostalAddress,
    PrecedingInvoice,
    VatExemption,
    is_ksef_number,
    read_fa3,
    read_upo,
    validate_fa3,
    write_fa3,
)
from tests.contracts.bank.schema_facts import element_faults, table

_FACTS = table("fa_3", Path(__file__).parent / "tables")
_SPACE = "{http://crd.gov.pl/wzor/2025/06/25/13775/}"
NOW = datetime(2026, 11, 25, 9, 30, 1, 5, tzinfo=timezone(timedelta(hours=1)))
NUMBER = "5265877635-20250826-0100001AF629-AF"
GDANSK = PostalAddress(line1="ul. Długa 1", city="80-001 Gdańsk", country="PL")
SELLER = Party(
    name="Alfa sp. z o.o.",
    vat_id="PL5260250274",
    address=GDANSK,
    contact=ContactPoint(phone="+48 58 1234567", email="alfa@example.pl"),
)
BUYER = Party(name="Beta SA", vat_id="PL5252248481", address=GDANSK)
LINE = InvoiceLine(
    id="1",
    name="Śruba",
    quantity=Decimal(3),
    unit="C62",
    net_price=Decimal("9.99"),
    vat_category="S",
    vat_rate=Decimal(23),
)


def _ksef(**fields: Any) -> KsefInvoice:
    """A valid FA(3) invoice; arguments replace fields of the invoice or the file."""
    details: dict[str, Any] = {"created_at": NOW}
    details |= {name: fields.pop(name) for name in list(fields) if hasattr(KsefInvoice, name)}
    values: dict[str, Any] = {
        "number": "FV/2041",
        "issue_date": date(2026, 11, 25),
        "type_code": "380",
        "currency": "PLN",
        "seller": SELLER,
        "buyer": BUYER,
        "lines": [LINE],
    }
    return KsefInvoice(**details, invoice=Invoice(**(values | fields)))


def _line(category: str, rate: str, **fields: Any) -> InvoiceLine:
    return attrs.evolve(LINE, vat_category=category, vat_rate=Decimal(rate), **fields)


def full_ksef() -> KsefInvoice:
    """A valid FA(3) invoice with every field that a file can carry."""
    return _ksef(
        due_date=date(2026, 12, 9),
        despatch_advice="WZ-1",
        contract="U-1",
        purchase_order="PO-1",
        delivery=InvoiceDelivery(date=date(2026, 11, 20)),
        notes=[Note("Dziękujemy."), Note("A & B\nC")],
        payment=PaymentInstructions(
            code="30",
            accounts=(
                PayeeAccount(iban="PL61109010140000071219812874", bic="WBKPPLPP", name="Alfa"),
            ),
        ),
        prepaid=Decimal("10.00"),
        exemptions=[VatExemption(category="E", reason="art. 43 ust. 1")],
        lines=[
            attrs.evolve(
                LINE,
                allowances=(AllowanceCharge(amount=Decimal("1.50"), reason="Rabat"),),
                standard_item_id=Identifier("5901234123457", "0160"),
                seller_item_id="S-1",
            ),
            _line("S", "8", id="2"),
            _line(
                "S",
                "5",
                id="3",
                charges=(AllowanceCharge(amount=Decimal(1), reason="Opłata dodatkowa"),),
            ),
            _line("E", "0", id="4"),
        ],
        place="Gdańsk",
        cash_method=True,
        split_payment=True,
        exemption_law="art. 43 ust. 1",
        paid_on=date(2026, 11, 24),
        is_local_unit=True,
        is_group_member=True,
        system="erp",
    )


def _faults(body: bytes) -> list[str]:
    root = ET.fromstring(body)  # noqa: S314 - the tests wrote it
    heading = root.find(f"{_SPACE}Naglowek")
    assert heading is not None
    assert [child.tag.removeprefix(_SPACE) for child in heading][:3] == [
        "KodFormularza",
        "WariantFormularza",
        "DataWytworzeniaFa",
    ]
    problems = element_faults(root, "Faktura", _SPACE, _FACTS)
    return [item for item in problems if not item.startswith("Faktura/Naglowek")]


def _rules(ksef: KsefInvoice | bytes) -> list[tuple[str, str]]:
    return [(item.rule, item.field) for item in validate_fa3(ksef)]


_WORDS = st.from_regex(r"\A[A-Za-zżółćĄ&<\"']{1,8}(?: [0-9a-z]{1,5})?\Z")
_CATEGORIES = st.sampled_from(
    [("S", "23"), ("S", "22"), ("S", "8"), ("S", "7"), ("S", "5"), ("S", "4"), ("S", "3")]
    + [(category, "0") for category in ("Z", "K", "G", "E", "O", "AE")]
)


@st.composite
def _lines(draw: st.DrawFn) -> InvoiceLine:
    category, rate = draw(_CATEGORIES)
    amounts = st.decimals("0.01", 99, places=2).map(lambda amount: AllowanceCharge(amount=amount))
    return _line(
        category,
        rate,
        name=draw(_WORDS),
        quantity=draw(st.decimals(-999, 999, places=4)),
        net_price=draw(st.decimals(0, 9999, places=4)),
        base_quantity=draw(st.none() | st.decimals("0.5", 100, places=1)),
        allowances=tuple(draw(st.lists(amounts, max_size=2))),
        charges=tuple(draw(st.lists(amounts, max_size=2))),
    )


@st.composite
def _invoices(draw: st.DrawFn) -> KsefInvoice:
    base = full_ksef() if draw(st.booleans()) else _ksef()
    sums = st.builds(
        AllowanceCharge,
        amount=st.decimals("0.01", 99, places=2),
        reason=st.none() | _WORDS,
        vat_category=st.just("S"),
        vat_rate=st.just(Decimal(23)),
    )
    invoice = attrs.evolve(
        base.invoice,
        currency=draw(st.sampled_from(["PLN", "EUR"])),
        type_code=draw(st.sampled_from(["380", "381", "384", "386", "389"])),
        preceding=(PrecedingInvoice(number="FV/1", issue_date=date(2026, 11, 1)),),
        exemptions=(VatExemption(category="E", reason="art. 43"),),
        lines=tuple(draw(st.lists(_lines(), min_size=1, max_size=4))),
        allowances=tuple(draw(st.lists(sums, max_size=1))),
        charges=tuple(draw(st.lists(sums, max_size=1))),
        notes=tuple(Note(text) for text in draw(st.lists(_WORDS, max_size=3))),
    )
    rate = None if invoice.currency == "PLN" else Decimal("4.2512")
    numbers = draw(st.sampled_from([{}, {"FV/1": NUMBER}]))
    return attrs.evolve(base, invoice=invoice, exchange_rate=rate, ksef_numbers=numbers)


@settings(max_examples=60, deadline=None)
@given(_invoices())
def test_written_file_fits_the_schema_and_is_read_back(ksef: KsefInvoice) -> None:
    """Each invoice becomes a file that fits the schema.

    Reading and rewriting the file gives the same bytes.
    """
    body = write_fa3(ksef)
    received_invoice = read_fa3(body)

    assert _faults(body) == []
    assert write_fa3(received_invoice) == body


def test_invoice_with_every_field_is_read_back_unchanged() -> None:
    """An invoice with every field is written and read back, totals included."""
    ksef = full_ksef()
    body = write_fa3(ksef)
    received_invoice = read_fa3(body)

    assert _faults(body) == []
    assert received_invoice == attrs.evolve(
        ksef,
        invoice=received_invoice.invoice,
        created_at=datetime(2026, 11, 25, 8, 30, 1, tzinfo=UTC),
    )
    lines = tuple(attrs.evolve(line, stated_net=None) for line in received_invoice.invoice.lines)
    assert attrs.evolve(received_invoice.invoice, lines=lines, stated_totals=None) == ksef.invoice
    assert received_invoice.invoice.stated_totals is not None
    assert received_invoice.invoice.stated_totals.due == ksef.invoice.totals.due
    assert received_invoice.invoice.stated_totals.vat == ksef.invoice.totals.vat


def test_small_file_is_written_as_the_schema_orders() -> None:
    """A small invoice is written with the elements and order of the format."""
    text = write_fa3(_ksef()).decode()

    assert text.startswith(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Faktura xmlns="http://crd.gov.pl/wzor/2025/06/25/13775/"><Naglowek>'
        '<KodFormularza kodSystemowy="FA (3)" wersjaSchemy="1-0E">FA</KodFormularza>'
        "<WariantFormularza>3</WariantFormularza>"
        "<DataWytworzeniaFa>2026-11-25T08:30:01Z</DataWytworzeniaFa></Naglowek>"
        "<Podmiot1><DaneIdentyfikacyjne><NIP>5260250274</NIP>"
    )
    assert "<P_13_1>29.97</P_13_1><P_14_1>6.89</P_14_1><P_15>36.86</P_15>" in text


BUYERS: list[tuple[str | None, str]] = [
    ("PL5252248481", "<NIP>5252248481</NIP>"),
    ("DE123456789", "<KodUE>DE</KodUE><NrVatUE>123456789</NrVatUE>"),
    ("CH123", "<KodKraju>CH</KodKraju><NrID>123</NrID>"),
    (None, "<BrakID>1</BrakID>"),
]


@pytest.mark.parametrize("vat_id,element", BUYERS)
def test_buyer_is_identified_by_its_country(vat_id: str | None, element: str) -> None:
    """The buyer's country decides in which XML element the buyer's identifier is written."""
    buyer = attrs.evolve(BUYER, vat_id=vat_id)
    body = write_fa3(_ksef(buyer=buyer))

    assert element in body.decode()
    assert read_fa3(body).invoice.buyer == buyer


def test_reverse_charge_at_home_and_abroad_differ() -> None:
    """With reverse charge, the rate depends on whether the buyer is Polish, and a note is added."""
    lines = [_line("AE", "0")]
    domestic = write_fa3(_ksef(lines=lines))
    foreign_invoice = write_fa3(_ksef(lines=lines, buyer=attrs.evolve(BUYER, vat_id="DE123456789")))
    nobody = attrs.evolve(BUYER, vat_id=None, address=None)

    assert b"<P_12>oo</P_12>" in domestic
    assert b"<P_13_10>29.97</P_13_10>" in domestic
    assert b"<P_12>np II</P_12>" in foreign_invoice
    assert b"<P_18>1</P_18>" in foreign_invoice
    assert b"<P_12>np II</P_12>" in write_fa3(_ksef(lines=lines, buyer=nobody))


def test_supply_within_the_eu_has_the_sellers_prefix() -> None:
    """For a supply within the EU, the file has the seller's country prefix and the period."""
    body = write_fa3(
        _ksef(
            lines=[_line("K", "0")],
            buyer=attrs.evolve(BUYER, vat_id="DE123456789"),
            period=Period(start=date(2026, 11, 1), end=date(2026, 11, 30)),
        )
    )
    invoice = read_fa3(body).invoice

    assert b"<PrefiksPodatnika>PL</PrefiksPodatnika>" in body
    assert invoice.period == Period(start=date(2026, 11, 1), end=date(2026, 11, 30))
    assert invoice.seller is not None
    assert invoice.seller.vat_id == "PL5260250274"


def test_credit_note_has_negative_amounts() -> None:
    """A credit note is written as a correction with the differences, and refers to its invoice."""
    ksef = _ksef(
        type_code="381",
        preceding=[PrecedingInvoice(number="FV/1", issue_date=date(2026, 11, 1))],
        ksef_numbers={"FV/1": NUMBER},
        correction_reason="Zwrot",
        prepaid=Decimal(1),
    )
    body = write_fa3(ksef)
    received_invoice = read_fa3(body)

    assert b"<P_15>-36.86</P_15>" in body
    assert b"<DoZaplaty>-35.86</DoZaplaty>" in body
    assert f"<NrKSeF>1</NrKSeF><NrKSeFFaKorygowanej>{NUMBER}</NrKSeFFaKorygowanej>".encode() in body
    assert received_invoice.invoice.type_code == "384"
    assert received_invoice.ksef_numbers == {"FV/1": NUMBER}
    assert received_invoice.correction_reason == "Zwrot"


def test_foreign_currency_states_vat_in_zloty() -> None:
    """An invoice in a foreign currency also states its VAT in zloty, by the exchange rate."""
    body = write_fa3(_ksef(currency="EUR", exchange_rate=Decimal("4.25")))

    assert b"<P_14_1>6.89</P_14_1><P_14_1W>29.28</P_14_1W>" in body
    assert read_fa3(body).exchange_rate == Decimal("4.25")


def _settlement(name: str, amount: str) -> str:
    return f"<{name}><Kwota>{amount}</Kwota><Powod>Saldo</Powod></{name}>"


@pytest.mark.parametrize(
    "content,due",
    [
        (f"{_settlement('Obciazenia', '10.00')}<DoZaplaty>46.86</DoZaplaty>", "46.86"),
        (_settlement("Obciazenia", "10.00") + _settlement("Odliczenia", "2.00"), "44.86"),
        ("<SumaObciazen>10.00</SumaObciazen>", "46.86"),
        ("<SumaOdliczen>6.86</SumaOdliczen>", "30.00"),
        ("<DoZaplaty>30.00</DoZaplaty>", "30.00"),
        (f"{_settlement('Odliczenia', '40')}<DoRozliczenia>3.14</DoRozliczenia>", "-3.14"),
    ],
)
def test_amount_due_has_charges_beside_the_invoice(content: str, due: str) -> None:
    """The amount due is read from the file, and may include charges that are not on the invoice."""
    settlement = f"<Rozliczenie>{content}</Rozliczenie></Fa>".encode()
    invoice = read_fa3(write_fa3(_ksef()).replace(b"</Fa>", settlement)).invoice

    assert invoice.stated_totals is not None
    assert invoice.stated_totals.due == Decimal(due)
    assert invoice.prepaid == Decimal("36.86") - Decimal(due)


MEANS: list[tuple[str, str | None, str, str | None]] = [
    ("10", None, "10", None),
    ("58", None, "30", None),
    ("ZZZ", "Kompensata", "ZZZ", "Kompensata"),
    ("97", None, "ZZZ", "97"),
]


@pytest.mark.parametrize("code,text,read_code,read_text", MEANS)
def test_means_of_payment_are_read_back(
    code: str, text: str | None, read_code: str, read_text: str | None
) -> None:
    """A means of payment without a code in FA(3) is written as 'other' with a description."""
    body = write_fa3(_ksef(payment=PaymentInstructions(code=code, text=text)))

    assert read_fa3(body).invoice.payment == PaymentInstructions(code=read_code, text=read_text)


def test_means_of_payment_without_untdid_4461_code_is_read_as_zzz_with_its_name() -> None:
    """A means of payment without a UNTDID 4461 code is read as ZZZ with its name."""
    body = write_fa3(_ksef(payment=PaymentInstructions(code="10")))
    body = body.replace(b"<FormaPlatnosci>1<", b"<FormaPlatnosci>7<")

    assert read_fa3(body).invoice.payment == PaymentInstructions(
        code="ZZZ", text="Płatność mobilna"
    )


def test_accounts_without_means_are_read() -> None:
    """An FA(3) file may state only bank accounts, or only a means of payment."""
    account = b"<RachunekBankowy><NrRB>PL61109010140000071219812874</NrRB></RachunekBankowy>"
    body = write_fa3(_ksef(due_date=date(2026, 12, 9)))
    body = body.replace(b"</Platnosc>", account + b"</Platnosc>")
    payment = read_fa3(body).invoice.payment

    assert payment is not None
    assert payment.accounts == (PayeeAccount(iban="PL61109010140000071219812874"),)
    assert read_fa3(write_fa3(_ksef())).invoice.payment is None


def test_repeated_elements_are_read_once() -> None:
    """If a file has several contacts or due dates, only the first is read."""
    body = write_fa3(full_ksef())
    for tag in (b"DaneKontaktowe", b"TerminPlatnosci", b"Umowy", b"Zamowienia"):
        start, end = body.index(b"<%s>" % tag), body.index(b"</%s>" % tag) + len(tag) + 3
        body = body[:end] + body[start:end] + body[end:]

    assert _faults(body) == []
    assert read_fa3(body) == read_fa3(write_fa3(full_ksef()))


def test_line_with_only_amount_is_read_as_one_unit_at_this_price() -> None:
    """A line with only an amount is read as one unit at this price."""
    body = write_fa3(_ksef())
    start, end = body.index(b"<P_8A>"), body.index(b"<P_11>")
    line = read_fa3(body[:start] + body[end:]).invoice.lines[0]

    assert (line.quantity, line.net_price) == (Decimal(1), Decimal("29.97"))
    assert line.unit == "C62"


def test_line_with_gross_price_is_read_without_vat() -> None:
    """A line whose price and amount include VAT is read with both converted to exclude VAT."""
    body = write_fa3(_ksef(currency="EUR", exchange_rate=Decimal("4.25")))
    body = body.replace(b"<KursWalutyZ>4.25</KursWalutyZ>", b"")
    body = body.replace(b"<P_9A>9.99</P_9A>", b"<P_9B>12.29</P_9B>")
    body = body.replace(b"<P_11>29.97</P_11>", b"<P_11A>36.86</P_11A>")
    body = body.replace(b"</P_12>", b"</P_12><KursWaluty>4.25</KursWaluty>")
    received_invoice = read_fa3(body)
    line = received_invoice.invoice.lines[0]

    assert _faults(body) == []
    assert (line.net_price, line.stated_net) == (Decimal("9.99186992"), Decimal("29.97"))
    assert received_invoice.exchange_rate == Decimal("4.25")
    unrated = body.replace(b">VAT<", b">UPR<").replace(b"<P_12>23</P_12>", b"")
    assert read_fa3(unrated).invoice.lines[0].stated_net == Decimal("36.86")


def test_state_before_a_correction_is_subtracted() -> None:
    """A correction file has lines before and after the change; the read amounts are differences."""
    lines = [
        attrs.evolve(LINE, allowances=(AllowanceCharge(amount=Decimal(1)),)),
        attrs.evolve(LINE, quantity=Decimal(2)),
    ]
    preceding = [PrecedingInvoice(number="FV/1", issue_date=date(2026, 11, 1))]
    body = write_fa3(_ksef(type_code="384", lines=lines, preceding=preceding))
    body = body.replace(b"</P_12>", b"</P_12><StanPrzed>1</StanPrzed>", 1)
    invoice = read_fa3(body, check=False).invoice

    assert [line.quantity for line in invoice.lines] == [Decimal(-3), Decimal(2)]
    assert [line.computed_net for line in invoice.lines] == [Decimal("-28.97"), Decimal("19.98")]
    assert invoice.totals.net == Decimal("-8.99")


def test_simplified_invoice_may_lack_rates() -> None:
    """A simplified invoice has lines without a VAT rate, and states its own total."""
    body = write_fa3(_ksef()).replace(b">VAT<", b">UPR<").replace(b"<P_12>23</P_12>", b"")
    line = read_fa3(body).invoice.lines[0]

    assert (line.vat_category, line.vat_rate) == (None, None)


def test_two_vat_rates_that_share_sum_in_file_become_one_part_of_vat_breakdown() -> None:
    """Two VAT rates that share one sum in the file become one part of the VAT breakdown."""
    invoice = read_fa3(write_fa3(_ksef(lines=[LINE, _line("S", "22")]))).invoice

    assert invoice.stated_totals is not None
    assert [item.taxable for item in invoice.stated_totals.breakdown] == [Decimal("59.94")]


SPOILED: list[tuple[str, str, dict[str, Any]]] = [
    ("P_2", "number", {"number": None}),
    ("P_2", "number", {"number": "x" * 257}),
    ("P_2", "number", {"number": "a  b"}),
    ("P_1", "day", {"issue_date": None}),
    ("KodWaluty", "currency", {"currency": None}),
    ("Podmiot1", "seller", {"seller": None}),
    ("Podmiot2", "buyer", {"buyer": None}),
    ("NIP", "seller.nip", {"seller": attrs.evolve(SELLER, vat_id="PL5260250275")}),
    ("NIP", "seller.nip", {"seller": attrs.evolve(SELLER, vat_id="DE123456789")}),
    ("NIP", "seller.nip", {"seller": attrs.evolve(SELLER, vat_id=None)}),
    ("KodKraju", "seller.country", {"seller": attrs.evolve(SELLER, address=None)}),
    (
        "AdresL1",
        "buyer.address",
        {"buyer": attrs.evolve(BUYER, address=PostalAddress(country="PL"))},
    ),
    ("Nazwa", "seller.name", {"seller": attrs.evolve(SELLER, name=None)}),
    ("OkresFa", "start", {"period": Period(start=date(2026, 11, 1))}),
    ("P_12", "lines[0].rate", {"lines": [_line("S", "19")]}),
    ("P_7", "lines[0].name", {"lines": [attrs.evolve(LINE, name=None)]}),
    ("P_11", "lines[0].net", {"lines": [attrs.evolve(LINE, net_price=None)]}),
    ("P_8B", "lines[0].quantity", {"lines": [attrs.evolve(LINE, quantity=Decimal("0.1234567"))]}),
    ("P_19", "exemption_law", {"lines": [_line("E", "0")]}),
    ("P_14_1W", "exchange_rate", {"currency": "EUR"}),
    ("DaneFaKorygowanej", "corrected", {"type_code": "384"}),
    (
        "DataWystFaKorygowanej",
        "corrected[0].day",
        {"type_code": "384", "preceding": [PrecedingInvoice(number="1")]},
    ),
    (
        "NrKSeFFaKorygowanej",
        "corrected[0].ksef_number",
        {
            "type_code": "384",
            "preceding": [PrecedingInvoice(number="1", issue_date=date(2026, 1, 1))],
            "ksef_numbers": {"1": "5265877635-20250826-0100001AF629-AE"},
        },
    ),
    ("PrzyczynaKorekty", "correction_reason", {"correction_reason": "Zwrot"}),
    ("P_1", "day", {"issue_date": date(1999, 1, 1)}),
    ("P_1", "day", {"issue_date": date(2050, 1, 2)}),
    ("P_6_Od", "start", {"period": Period(start=date(1999, 1, 1), end=date(2026, 1, 1))}),
    ("DataZaplaty", "paid_on", {"paid_on": date(2016, 6, 30)}),
    ("Termin", "terms[0].day", {"due_date": date(2050, 1, 2)}),
    (
        "DataWystFaKorygowanej",
        "corrected[0].day",
        {
            "type_code": "384",
            "preceding": [PrecedingInvoice(number="1", issue_date=date(1999, 1, 1))],
        },
    ),
    ("DataWytworzeniaFa", "created_at", {"created_at": datetime(2025, 8, 31, tzinfo=UTC)}),
    ("KodKraju", "buyer.country", {"buyer": attrs.evolve(BUYER, address=PostalAddress(city="X"))}),
    ("P_7", "lines[0].name", {"lines": [attrs.evolve(LINE, name="a\x80")]}),
    ("Nazwa", "buyer.name", {"buyer": attrs.evolve(BUYER, name="a\U0001fffe")}),
    ("P_1M", "place", {"place": "a\x7f"}),
    ("StopkaFaktury", "footers[0].text", {"notes": [Note("a\ufdd0")]}),
    ("Informacje", "footers", {"notes": [Note("a")] * 4}),
    ("FaWiersz", "lines", {"lines": [LINE] * 10_001}),
    (
        "NrRB",
        "accounts[0].number",
        {"payment": PaymentInstructions(code="30", accounts=(PayeeAccount(iban="1"),))},
    ),
]


@pytest.mark.parametrize("rule,field,fields", SPOILED)
def test_invoice_that_violates_a_rule_is_refused(
    rule: str, field: str, fields: dict[str, Any]
) -> None:
    """An invoice that violates a rule is not written.

    The error names the element and the field.
    """
    ksef = _ksef(**fields)

    assert (rule, field) in _rules(ksef)
    with pytest.raises(InvalidData, match="FA\\(3\\)"):
        write_fa3(ksef)


@pytest.mark.parametrize("name", ["place", "system", "correction_reason", "exemption_law"])
def test_characters_that_xml_forbids_are_refused(name: str) -> None:
    """A text with a character that XML forbids is refused before a file is written."""
    for character in ("\x00", "\x1f", "\ufffe", "\uffff"):
        with pytest.raises(InvalidData) as excinfo:
            _ksef(**{name: f"a{character}b"})
        assert name == excinfo.value.field


def test_total_that_is_not_the_sum_is_refused() -> None:
    """A total that is not the sum of the amounts is refused, unless checks are turned off."""
    body = write_fa3(_ksef()).replace(b"<P_15>36.86<", b"<P_15>36.87<")

    assert _rules(body) == [("P_15", "gross")]
    with pytest.raises(InvalidData, match="P_15"):
        read_fa3(body)
    assert read_fa3(body, check=False).invoice.number == "FV/2041"


@pytest.mark.parametrize(
    "rule, old, new",
    [
        ("P_13_1", b"<P_13_1>29.97</P_13_1>", b"<P_13_1>29.99</P_13_1>"),
        ("P_13_1", b"<P_11>29.97</P_11>", b"<P_11>39.97</P_11>"),
        ("P_14_1", b"<P_14_1>6.89</P_14_1>", b"<P_14_1>5.89</P_14_1>"),
        ("P_13_2", b"<P_12>23</P_12>", b"<P_12>8</P_12>"),
    ],
)
def test_sums_by_rate_are_compared_with_the_lines(rule: str, old: bytes, new: bytes) -> None:
    """A sum that does not equal the lines with its rate is refused.

    The error names the sum's element.
    """
    body = write_fa3(_ksef())
    assert old in body

    assert rule in [name for name, _ in _rules(body.replace(old, new))]


@pytest.mark.parametrize(
    "rule, old, new",
    [
        ("KodFormularza", b"FA (3)", b"FA (2)"),
        ("KodFormularza", b">FA<", b"><"),
        ("WariantFormularza", b"<WariantFormularza>3<", b"<WariantFormularza>2<"),
        ("JST", b"<JST>2</JST>", b""),
        ("GV", b"<GV>2</GV>", b""),
        ("BrakID", b"<NIP>5252248481</NIP>", b""),
        ("P_19N", b"<P_19N>1</P_19N>", b""),
        ("P_19N", b"<P_19N>1</P_19N>", b"<P_19>1</P_19><P_19A>x</P_19A><P_19N>1</P_19N>"),
        ("P_22N", b"<P_22N>1</P_22N>", b""),
        ("P_PMarzyN", b"<P_PMarzyN>1</P_PMarzyN>", b""),
        ("P_PMarzy", b"<P_PMarzyN>1</P_PMarzyN>", b"<P_PMarzy>1</P_PMarzy>"),
    ],
)
def test_elements_that_the_schema_demands_are_checked(rule: str, old: bytes, new: bytes) -> None:
    """A file without an element that the schema demands is refused, with the element's name."""
    body = write_fa3(_ksef())
    assert old in body
    spoiled = body.replace(old, new)

    assert rule in [name for name, _ in _rules(spoiled)]
    with pytest.raises(InvalidData, match=rule):
        read_fa3(spoiled)


def test_country_of_the_buyers_address_is_needed() -> None:
    """The address of the buyer needs its country."""
    body = write_fa3(_ksef())
    start = body.index(b"<KodKraju>", body.index(b"<Podmiot2>"))
    spoiled = body[:start] + body[body.index(b"<AdresL1>", start) :]

    assert [("KodKraju", "buyer.country")] == _rules(spoiled)


def test_total_of_rounded_lines_may_differ_by_cents() -> None:
    """Shops round each line of prices with VAT, so the total may differ from the sums by cents."""
    body = write_fa3(_ksef(lines=[LINE, attrs.evolve(LINE, id="2")]))
    total = b"<P_15>73.73</P_15>"
    assert total in body

    assert [] == _rules(body.replace(total, b"<P_15>73.72</P_15>"))
    assert [("P_15", "gross")] == _rules(body.replace(total, b"<P_15>73.75</P_15>"))


def test_received_correction_may_name_a_number_with_a_wrong_checksum() -> None:
    """A received correction may name a KSeF number whose checksum is wrong."""
    correction = _ksef(
        type_code="384",
        preceding=[PrecedingInvoice(number="1", issue_date=date(2026, 1, 1))],
        ksef_numbers={"1": NUMBER},
    )
    wrong_number = f"{NUMBER[:-2]}00"
    body = write_fa3(correction).replace(NUMBER.encode(), wrong_number.encode())

    received = read_fa3(body)
    assert {"1": wrong_number} == received.ksef_numbers
    assert [("NrKSeFFaKorygowanej", "corrected[0].ksef_number")] == _rules(received)


def test_settlement_of_advances_is_not_written_with_another_total() -> None:
    """A read invoice is not written if its stated total would change, as after advances."""
    body = write_fa3(_ksef())
    body = body.replace(b">VAT</Rodzaj", b">ROZ</Rodzaj").replace(b"_15>36.86<", b"_15>16.86<")

    settlement = read_fa3(body)
    assert [("P_15", "stated_totals.gross")] == _rules(settlement)
    with pytest.raises(InvalidData, match="stated total is not that of the lines"):
        write_fa3(settlement)


def test_unknown_rate_is_read_without_the_checks() -> None:
    """A VAT rate unknown to FA(3) is refused; without checks, its category is read as unknown."""
    body = write_fa3(_ksef()).replace(b"<P_12>23<", b"<P_12>19<")

    assert ("P_12", "lines[0].rate") in _rules(body)
    invoice = read_fa3(body, check=False).invoice
    assert invoice.lines[0].vat_category is None
    assert invoice.stated_totals is not None
    assert invoice.stated_totals.breakdown == ()


def test_incomplete_file_is_read_without_the_checks() -> None:
    """A file without a buyer is read unchanged if the rules are not checked."""
    body = write_fa3(_ksef())
    start, end = body.index(b"<Podmiot2>"), body.index(b"<Fa>")

    assert read_fa3(body[:start] + body[end:], check=False).invoice.buyer is None


def test_error_lists_twenty_violations_and_counts_the_rest() -> None:
    """The error message lists twenty violations, and states how many more there are."""
    with pytest.raises(InvalidData, match=r"and \d+ more"):
        write_fa3(_ksef(lines=[attrs.evolve(LINE, name=None)] * 30))


UNREADABLE: list[tuple[bytes, bytes, str]] = [
    (b"13775", b"12648", "not an FA"),
    (b"<Faktura", b"<Fatura", "not well-formed"),
    (b"2026-11-25T08:30:01Z", b"yesterday", "when it was made"),
    (b"<P_15>36.86", b"<P_15>x", "not a decimal"),
]


@pytest.mark.parametrize("old,new,words", UNREADABLE)
def test_unreadable_files_are_refused(old: bytes, new: bytes, words: str) -> None:
    """A file of another format, or with an unreadable element, is refused."""
    with pytest.raises(InvalidData, match=words):
        read_fa3(write_fa3(_ksef()).replace(old, new, 1))


def test_time_without_a_zone_is_in_utc() -> None:
    """A file's creation time without a time zone is read as UTC."""
    body = write_fa3(_ksef()).replace(b"08:30:01Z", b"08:30:01")

    assert read_fa3(body).created_at == datetime(2026, 11, 25, 8, 30, 1, tzinfo=UTC)


WRONG: list[tuple[str, Any]] = [
    ("invoice", "FV/2041"),
    ("created_at", None),
    ("created_at", datetime(2026, 11, 25)),  # noqa: DTZ001 - the mistake
    ("place", ""),
    ("cash_method", 1),
    ("split_payment", None),
    ("exchange_rate", 4.25),
    ("exchange_rate", Decimal("Infinity")),
    ("ksef_numbers", "x"),
    ("ksef_numbers", {"a": 1}),
    ("paid_on", "2026-11-25"),
    ("system", 5),
]


@pytest.mark.parametrize("field,value", WRONG)
def test_fields_of_wrong_types_are_refused(field: str, value: Any) -> None:
    """A field of a wrong type is refused, and the error names the field."""
    with pytest.raises(InvalidData) as refusal:
        attrs.evolve(_ksef(), **{field: value})

    assert refusal.value.field == field


def test_value_that_is_not_an_invoice_is_not_written() -> None:
    """`write_fa3` refuses a value that is not a KSeF invoice."""
    with pytest.raises(InvalidData, match="KsefInvoice"):
        write_fa3("invoice")  # type: ignore[arg-type] # the mistake


NUMBERS: list[tuple[str, bool]] = [
    (NUMBER, True),
    ("5265877635-20250916-010040741B3E-46", True),
    ("5265877635-20250916-0200A0D6723E-C2", True),
    ("5265877635-20250916-0200A0D6723E-C3", False),
    ("5265877635-20230916-0200A0-D6723E-C3", True),
    ("5265877635-20250916-0200a0d6723e-c2", False),
    ("", False),
]


@pytest.mark.parametrize("text,is_valid", NUMBERS)
def test_number_has_a_check_sum(text: str, is_valid: bool) -> None:
    """A KSeF number must have the right form and a matching checksum."""
    assert is_valid is is_ksef_number(text)


def upo(document: bytes, heading: str = "") -> bytes:
    """Return a KSeF receipt for one file."""
    digest = b64encode(sha256(document).digest()).decode()
    return (
        '<Potwierdzenie xmlns="http://upo.schematy.mf.gov.pl/KSeF/v4-3">'
        f"<NumerReferencyjnySesji>S-1</NumerReferencyjnySesji>{heading}<Dokument>"
        f"<NipSprzedawcy>5265877635</NipSprzedawcy><NumerKSeFDokumentu>{NUMBER}"
        "</NumerKSeFDokumentu><NumerFaktury>FV/1</NumerFaktury>"
        "<DataWystawieniaFaktury>2025-08-26</DataWystawieniaFaktury>"
        "<DataPrzeslaniaDokumentu>2025-08-26T11:02:41</DataPrzeslaniaDokumentu>"
        "<DataNadaniaNumeruKSeF>2025-08-26T11:02:42.084+02:00</DataNadaniaNumeruKSeF>"
        f"<SkrotDokumentu>{digest}</SkrotDokumentu></Dokument></Potwierdzenie>"
    ).encode()


def test_receipt_proves_which_file_was_accepted() -> None:
    """A KSeF receipt lists each file's number, which can be looked up by the file's bytes."""
    document = write_fa3(_ksef())
    pages = "<OpisPotwierdzenia><Strona>1</Strona><LiczbaStron>2</LiczbaStron></OpisPotwierdzenia>"
    receipt = read_upo(upo(document, pages))
    entry = receipt.find(document)

    assert (receipt.session, receipt.page, receipt.pages) == ("S-1", 1, 2)
    assert entry is not None
    assert (entry.ksef_number, entry.number, entry.seller_nip) == (NUMBER, "FV/1", "5265877635")
    assert entry.issue_date == date(2025, 8, 26)
    assert entry.sent_at is None
    assert entry.accepted_at == datetime(2025, 8, 26, 9, 2, 42, 84_000, tzinfo=UTC)
    assert receipt.find(document + b" ") is None


def test_ksef_receipt_for_single_file_has_no_pages() -> None:
    """A KSeF receipt for a single file has no pages, and may lack a readable date."""
    receipt = read_upo(upo(b"x").replace(b">2025-08-26<", b">soon<"))

    assert (receipt.page, receipt.pages) == (None, None)
    assert receipt.invoices[0].issue_date is None


BAD_RECEIPTS: list[tuple[bytes, bytes, str]] = [
    (b"Potwierdzenie", b"Upo", "not a receipt"),
    (b"KSeF/v4-3", b"KSeF/v3-0", "not a receipt"),
    (b"NumerReferencyjnySesji", b"Sesja", "NumerReferencyjnySesji"),
    (b"NumerFaktury", b"Numer", "NumerFaktury"),
    (b"-AF<", b"-AE<", "NumerKSeFDokumentu"),
    (b"<SkrotDokumentu>", b"<SkrotDokumentu>A", "SkrotDokumentu"),
    (b"</SkrotDokumentu>", b"AAAA</SkrotDokumentu>", "SkrotDokumentu"),
]


@pytest.mark.parametrize("old,new,words", BAD_RECEIPTS)
def test_incomplete_receipt_is_refused(old: bytes, new: bytes, words: str) -> None:
    """An incomplete receipt is refused, and the error names the missing element."""
    body = upo(b"x")
    assert old in body

    with pytest.raises(InvalidData, match=words):
        read_upo(body.replace(old, new))


def test_pickled_invoice_keeps_its_fields() -> None:
    """An invoice can be pickled, and its repr shows neither the seller nor the buyer."""
    value = full_ksef()

    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - made by the test
    assert "Beta" not in repr(value)
    assert "@" not in repr(value)
