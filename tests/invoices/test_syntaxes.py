"""UBL and CII: equal invoices become equal bytes, and written documents are read back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.invoices import (
    EN16931,
    PEPPOL,
    AllowanceCharge,
    Identifier,
    Invoice,
    InvoiceCard,
    InvoiceLine,
    Note,
    Party,
    PaymentInstructions,
    Period,
    PrecedingInvoice,
    Syntax,
    read_cii,
    read_invoice,
    read_ubl,
    validate,
    write_cii,
    write_invoice,
    write_ubl,
)
from tests.invoices.samples import LINE, full_invoice, received_invoice, small_invoice, with_field

SYNTAXES = [(write_ubl, read_ubl), (write_cii, read_cii)]


Writer = "Callable[[Invoice], bytes]"


Reader = "Callable[[bytes], Invoice]"


TEXTS = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="#\ufffe\uffff"
    ),
    max_size=12,
)


AMOUNTS = st.decimals(-99_999, 99_999, places=2)


MAYBE_TEXT = st.none() | TEXTS


DAYS = st.dates(date(1900, 1, 1), date(2999, 12, 31))


@st.composite
def _allowances(draw: st.DrawFn, *, categories: bool) -> AllowanceCharge:
    return AllowanceCharge(
        amount=draw(AMOUNTS),
        base_amount=draw(st.none() | AMOUNTS),
        percent=draw(st.none() | st.decimals(0, 100, places=3)),
        reason=draw(MAYBE_TEXT),
        reason_code=draw(st.none() | st.just("95")),
        vat_category=draw(st.sampled_from("SZE")) if categories else None,
        vat_rate=draw(st.sampled_from((Decimal(0), Decimal("19.5")))) if categories else None,
    )


@st.composite
def _lines(draw: st.DrawFn) -> InvoiceLine:
    return attrs.evolve(
        LINE,
        id=draw(TEXTS),
        note=draw(MAYBE_TEXT),
        quantity=draw(st.decimals(-999, 999, places=5)),
        net_price=draw(st.decimals(0, 9999, places=4)),
        base_quantity=draw(st.none() | st.decimals("0.01", 1000, places=2)),
        vat_category=draw(st.sampled_from("SZE")),
        vat_rate=draw(st.sampled_from((Decimal(0), Decimal("19.5")))),
        name=draw(TEXTS),
        description=draw(MAYBE_TEXT),
        allowances=tuple(draw(st.lists(_allowances(categories=False), max_size=2))),
        charges=tuple(draw(st.lists(_allowances(categories=False), max_size=2))),
        period=draw(st.none() | st.builds(Period, start=DAYS, end=st.none() | DAYS)),
        standard_item_id=draw(st.none() | st.builds(Identifier, st.just("1"), MAYBE_TEXT)),
    )


@st.composite
def _invoices(draw: st.DrawFn) -> Invoice:
    return attrs.evolve(
        full_invoice() if draw(st.booleans()) else small_invoice(),
        number=draw(TEXTS),
        type_code=draw(st.sampled_from(("380", "381", "384", "389"))),
        issue_date=draw(DAYS),
        buyer_reference=draw(MAYBE_TEXT),
        project=draw(MAYBE_TEXT),
        sales_order=draw(st.none() | st.just("SO-1")),
        purchase_order=draw(st.none() | st.just("PO-1")),
        payment_terms=draw(MAYBE_TEXT),
        notes=tuple(Note(text) for text in draw(st.lists(TEXTS, max_size=2)) if text.strip()),
        prepaid=draw(st.none() | AMOUNTS),
        rounding=draw(st.none() | AMOUNTS),
        allowances=tuple(draw(st.lists(_allowances(categories=True), max_size=2))),
        charges=tuple(draw(st.lists(_allowances(categories=True), max_size=2))),
        lines=tuple(draw(st.lists(_lines(), min_size=1, max_size=3))),
    )


@pytest.mark.untraced
@settings(max_examples=60, deadline=None)
@given(_invoices())
def test_written_invoice_is_read_back(invoice: Invoice) -> None:
    """An invoice loses no data when it is written in one syntax, read, and written in the other."""
    completed = invoice.completed(EN16931)

    for writer, reader in SYNTAXES:
        assert reader(writer(invoice)) == completed
    assert read_ubl(write_ubl(read_cii(write_cii(completed)))) == completed


@pytest.mark.parametrize("syntax", list(Syntax))
def test_invoice_with_every_field_is_read_back_unchanged(syntax: Syntax) -> None:
    """An invoice with every field is written, recognised and read back."""
    invoice = full_invoice()

    assert read_invoice(write_invoice(invoice, syntax=syntax)) == invoice.completed(EN16931)


def test_equal_invoices_give_equal_bytes() -> None:
    """Invoices whose numbers differ only in trailing zeros are written as equal bytes."""
    line = attrs.evolve(LINE, quantity=Decimal("3.000"), net_price=Decimal("9.990"))

    assert write_ubl(small_invoice(lines=[line])) == write_ubl(small_invoice())
    assert write_cii(small_invoice(lines=[line])) == write_cii(small_invoice())


def test_ubl_is_written_as_the_schema_orders() -> None:
    """A small invoice is written with the elements and order of UBL."""
    text = write_ubl(small_invoice()).decode()

    assert text.startswith(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"'
        ' xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"'
        ' xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">'
        "<cbc:CustomizationID>urn:cen.eu:en16931:2017</cbc:CustomizationID>"
        "<cbc:ID>2041</cbc:ID><cbc:IssueDate>2026-11-25</cbc:IssueDate>"
        "<cbc:DueDate>2026-12-09</cbc:DueDate><cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>"
        "<cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>"
    )
    assert text.endswith(
        '<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">5.69</cbc:TaxAmount><cac:TaxSubtotal>'
        '<cbc:TaxableAmount currencyID="EUR">29.97</cbc:TaxableAmount>'
        '<cbc:TaxAmount currencyID="EUR">5.69</cbc:TaxAmount><cac:TaxCategory><cbc:ID>S</cbc:ID>'
        "<cbc:Percent>19</cbc:Percent><cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"
        "</cac:TaxCategory></cac:TaxSubtotal></cac:TaxTotal><cac:LegalMonetaryTotal>"
        '<cbc:LineExtensionAmount currencyID="EUR">29.97</cbc:LineExtensionAmount>'
        '<cbc:TaxExclusiveAmount currencyID="EUR">29.97</cbc:TaxExclusiveAmount>'
        '<cbc:TaxInclusiveAmount currencyID="EUR">35.66</cbc:TaxInclusiveAmount>'
        '<cbc:PayableAmount currencyID="EUR">35.66</cbc:PayableAmount></cac:LegalMonetaryTotal>'
        '<cac:InvoiceLine><cbc:ID>1</cbc:ID><cbc:InvoicedQuantity unitCode="C62">3'
        '</cbc:InvoicedQuantity><cbc:LineExtensionAmount currencyID="EUR">29.97'
        "</cbc:LineExtensionAmount><cac:Item><cbc:Name>Bolt</cbc:Name><cac:ClassifiedTaxCategory>"
        "<cbc:ID>S</cbc:ID><cbc:Percent>19</cbc:Percent><cac:TaxScheme><cbc:ID>VAT</cbc:ID>"
        "</cac:TaxScheme></cac:ClassifiedTaxCategory></cac:Item><cac:Price>"
        '<cbc:PriceAmount currencyID="EUR">9.99</cbc:PriceAmount></cac:Price></cac:InvoiceLine>'
        "</Invoice>\n"
    )


def test_cii_is_written_as_the_schema_orders() -> None:
    """The settlement of a small invoice is written with the elements and order of CII."""
    text = write_cii(small_invoice()).decode()

    assert text.endswith(
        "<ram:ApplicableHeaderTradeSettlement><ram:InvoiceCurrencyCode>EUR"
        "</ram:InvoiceCurrencyCode><ram:SpecifiedTradeSettlementPaymentMeans><ram:TypeCode>58"
        "</ram:TypeCode><ram:PayeePartyCreditorFinancialAccount><ram:IBANID>DE02120300000000202051"
        "</ram:IBANID></ram:PayeePartyCreditorFinancialAccount>"
        "</ram:SpecifiedTradeSettlementPaymentMeans><ram:ApplicableTradeTax><ram:CalculatedAmount>"
        "5.69</ram:CalculatedAmount><ram:TypeCode>VAT</ram:TypeCode><ram:BasisAmount>29.97"
        "</ram:BasisAmount><ram:CategoryCode>S</ram:CategoryCode><ram:RateApplicablePercent>19"
        "</ram:RateApplicablePercent></ram:ApplicableTradeTax><ram:SpecifiedTradePaymentTerms>"
        '<ram:DueDateDateTime><udt:DateTimeString format="102">20261209</udt:DateTimeString>'
        "</ram:DueDateDateTime></ram:SpecifiedTradePaymentTerms>"
        "<ram:SpecifiedTradeSettlementHeaderMonetarySummation><ram:LineTotalAmount>29.97"
        "</ram:LineTotalAmount><ram:TaxBasisTotalAmount>29.97</ram:TaxBasisTotalAmount>"
        '<ram:TaxTotalAmount currencyID="EUR">5.69</ram:TaxTotalAmount><ram:GrandTotalAmount>35.66'
        "</ram:GrandTotalAmount><ram:DuePayableAmount>35.66</ram:DuePayableAmount>"
        "</ram:SpecifiedTradeSettlementHeaderMonetarySummation>"
        "</ram:ApplicableHeaderTradeSettlement></rsm:SupplyChainTradeTransaction>"
        "</rsm:CrossIndustryInvoice>\n"
    )


def test_ubl_writes_credit_note_as_credit_note() -> None:
    """UBL writes a credit note as CreditNote, which has due date and project in other elements."""
    note = small_invoice(type_code="381", project="P-7")
    body = write_ubl(note)

    assert b"<CreditNote " in body
    assert b"<cbc:PaymentDueDate>2026-12-09</cbc:PaymentDueDate>" in body
    assert read_ubl(body) == note.completed(EN16931)


def test_elements_that_only_the_schema_requires_are_invented_and_dropped() -> None:
    """UBL's order reference and card network are 'NA' in the file if the invoice has none."""
    payment = PaymentInstructions(code="48", card=InvoiceCard(last_digits="1234"))
    invoice = small_invoice(sales_order="SO-1", payment=payment)
    body = write_ubl(invoice)

    assert b"<cbc:ID>NA</cbc:ID><cbc:SalesOrderID>SO-1" in body
    assert b"<cbc:NetworkID>NA</cbc:NetworkID>" in body
    assert read_ubl(body) == invoice.completed(EN16931)


def test_ubl_needs_payment_instructions_for_a_reference() -> None:
    """UBL cannot contain a payment reference without payment instructions.

    The error says so.
    """
    with pytest.raises(InvalidData, match="only together with payment instructions") as excinfo:
        write_ubl(small_invoice(payment=None, payment_reference="2041"))

    assert excinfo.value.field == "payment"


def test_cii_d16b_cannot_carry_two_preceding_invoices() -> None:
    """CII D16B cannot carry two preceding invoices; UBL can."""
    preceding = (PrecedingInvoice(number="1"), PrecedingInvoice(number="2"))
    invoice = small_invoice(preceding=preceding)

    assert read_ubl(write_ubl(invoice)).preceding == preceding
    with pytest.raises(InvalidData, match="one preceding invoice, not 2") as excinfo:
        write_cii(invoice)
    assert excinfo.value.field == "preceding"


@pytest.mark.parametrize("party", ["buyer", "payee"])
def test_ubl_carries_one_identifier_of_buyer_and_payee(party: str) -> None:
    """UBL's rules refuse two identifiers of a buyer or a payee; CII carries them."""
    invoice = full_invoice()
    ids = [Identifier("K 1"), Identifier("4012345000023", "0088")]
    invoice = with_field(invoice, f"{party}.ids", ids).completed(EN16931)

    assert read_cii(write_cii(invoice)) == invoice
    with pytest.raises(InvalidData, match=f"one identifier of the {party}, not 2") as excinfo:
        write_ubl(invoice)
    assert excinfo.value.field == f"{party}.ids"


@pytest.mark.parametrize("write, read", SYNTAXES)
def test_price_with_a_unit_but_no_quantity_is_written_for_one_unit(write: Any, read: Any) -> None:
    """A price per kilogram, given by the unit alone, is written as the price of 1 kilogram."""
    line = attrs.evolve(LINE, base_unit="C62")
    [received_line] = read(write(small_invoice(lines=[line]))).lines

    assert received_line.base_quantity == Decimal(1)
    assert received_line.base_unit == "C62"


def test_ubl_needs_a_subject_of_three_letters() -> None:
    """UBL puts a note's subject code into the text, so only three capitals can be read back."""
    invoice = small_invoice(notes=[Note("Thank you.", subject="x")])

    with pytest.raises(InvalidData, match="three capital letters"):
        write_ubl(invoice)


@pytest.mark.parametrize(
    "gross, discount, expected",
    [
        (None, "0.01", ("10.00", "0.01")),
        ("10.00", None, ("10.00", "0")),
        ("10.00", "0.02", ("10.00", "0.02")),
        (None, None, (None, None)),
    ],
)
def test_gross_price_and_discount_go_together(
    gross: str | None, discount: str | None, expected: tuple[str | None, str | None]
) -> None:
    """UBL and CII require gross price and discount together, so a missing one is added."""
    line = attrs.evolve(
        LINE,
        gross_price=None if gross is None else Decimal(gross),
        price_discount=None if discount is None else Decimal(discount),
    )
    invoice = small_invoice(lines=[line])

    for writer, reader in SYNTAXES:
        received_invoice = reader(writer(invoice)).lines[0]
        prices = (received_invoice.gross_price, received_invoice.price_discount)
        assert prices == tuple(None if text is None else Decimal(text) for text in expected)


def test_cii_writes_groups_that_its_schema_requires() -> None:
    """CII requires the delivery element, so it is written even if it is empty."""
    body = write_cii(small_invoice(delivery=None))

    assert b"<ram:ApplicableHeaderTradeDelivery></ram:ApplicableHeaderTradeDelivery>" in body
    assert read_cii(body).delivery is None


def test_missing_total_vat_is_reported() -> None:
    """A CII document without the total VAT of a taxed invoice violates BR-CO-15, as officially."""
    total = b'<ram:TaxTotalAmount currencyID="EUR">5.69</ram:TaxTotalAmount>'
    body = write_cii(small_invoice()).replace(total, b"")
    assert body != write_cii(small_invoice())

    invoice = read_cii(body)

    assert invoice.stated_totals is not None
    assert invoice.stated_totals.vat is None
    assert [(item.rule, item.field) for item in validate(invoice)] == [
        ("BR-CO-15", "stated_totals.vat")
    ]
    with pytest.raises(InvalidData, match="The total VAT is missing"):
        read_invoice(body)


def test_missing_total_vat_of_an_untaxed_invoice_is_zero() -> None:
    """A CII document may omit a total VAT of zero; the UBL document then states it."""
    untaxed_invoice = small_invoice(
        lines=[attrs.evolve(LINE, vat_category="Z", vat_rate=Decimal(0))]
    )
    total = b'<ram:TaxTotalAmount currencyID="EUR">0.00</ram:TaxTotalAmount>'
    body = write_cii(untaxed_invoice)
    assert total in body

    invoice = read_invoice(body.replace(total, b""))

    assert invoice == untaxed_invoice.completed(EN16931)
    assert b'<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">0.00</cbc:TaxAmount>' in write_ubl(
        invoice
    )


@pytest.mark.parametrize(
    "path, value",
    [
        ("number", "a\x00b"),
        ("number", "a\ud800"),
        ("number", 5),
        ("prepaid", 1.5),
        ("prepaid", Decimal("NaN")),
        ("prepaid", Decimal("1e40")),
        ("issue_date", "2026-11-25"),
        ("seller", "Muster"),
        ("lines", "Bolt"),
        ("lines", [5]),
    ],
)
def test_field_refuses_a_type_that_xml_cannot_represent(path: str, value: Any) -> None:
    """A field refuses a value of a type that XML cannot represent exactly."""
    with pytest.raises(InvalidData) as excinfo:
        small_invoice(**{path: value})

    assert excinfo.value.field is not None
    assert excinfo.value.field.startswith(path)


def test_personal_data_is_not_in_the_repr() -> None:
    """The repr of an invoice has no names, addresses or accounts."""
    text = repr(full_invoice())

    for secret in ("Muster", "Hafen", "DE0212", "Stadt", "M-1", "Works"):
        assert secret not in text
    assert "2041" in text


@pytest.mark.parametrize(
    "quantity, price, base, expected",
    [
        ("1", "0.005", None, "0.01"),
        ("1", "0.0049", None, "0.00"),
        ("-1", "0.005", None, "-0.01"),
        ("3", "10", "4", "7.50"),
        ("1", "1", "3", "0.33"),
        ("2", "1", "3", "0.67"),
    ],
)
def test_net_amounts_are_rounded_half_up(
    quantity: str, price: str, base: str | None, expected: str
) -> None:
    """A line's net amount is computed exactly, and rounded once at the end."""
    line = attrs.evolve(
        LINE,
        quantity=Decimal(quantity),
        net_price=Decimal(price),
        base_quantity=None if base is None else Decimal(base),
    )

    assert str(line.net_amount) == expected


def test_totals_are_computed_by_category_and_rate() -> None:
    """Totals add up lines, allowances, charges, VAT, prepaid amount and rounding."""
    totals = full_invoice().totals

    assert totals.lines == Decimal("639.72")
    assert (totals.allowances, totals.charges) == (Decimal("10.00"), Decimal("2.50"))
    assert totals.net == Decimal("632.22")
    assert [(part.category, part.taxable, part.tax) for part in totals.breakdown] == [
        ("S", Decimal("599.75"), Decimal("113.95")),
        ("E", Decimal("32.47"), Decimal(0)),
    ]
    assert totals.gross == Decimal("746.17")
    assert totals.due == Decimal("696.19")
    assert small_invoice().totals.allowances is None


def test_stated_totals_are_not_replaced() -> None:
    """A received invoice keeps its stated totals, even if they are wrong."""
    wrong_invoice = with_field(small_invoice().completed(EN16931), "stated_totals.due", Decimal(1))

    assert wrong_invoice.completed(EN16931) == wrong_invoice
    assert wrong_invoice.totals.due == Decimal("35.66")


def test_empty_invoice_is_read_back() -> None:
    """An invoice without any field can be written and read; the rules name the missing fields."""
    for writer, reader in SYNTAXES:
        received_invoice = reader(writer(Invoice()))

        assert attrs.evolve(received_invoice, stated_totals=None) == Invoice(
            specification=EN16931.specification
        )
        assert {"BR-02", "BR-06", "BR-16", "BR-CO-18"} <= {
            item.rule for item in validate(received_invoice)
        }


def test_creditor_identifier_needs_no_seller() -> None:
    """UBL writes the creditor identifier into the seller's element, even without other fields."""
    received_invoice = read_ubl(write_ubl(Invoice(creditor_id="DE98ZZZ09999999999")))

    assert received_invoice.creditor_id == "DE98ZZZ09999999999"


def test_contact_may_be_a_department() -> None:
    """If a CII contact has a department's name but no person's, this name is read."""
    read_back = received_invoice(write_cii, "PersonName", "DepartmentName")

    assert read_back.seller is not None
    assert read_back.seller.contact is not None
    assert read_back.seller.contact.name == "A. Muster"


def test_other_taxes_are_not_vat() -> None:
    """A tax that is not VAT appears in the tax breakdown without a VAT category."""
    read_back = received_invoice(
        write_cii,
        "5.69</ram:CalculatedAmount><ram:TypeCode>VAT",
        "5.69</ram:CalculatedAmount><ram:TypeCode>GST",
    )

    assert "BR-47" in {item.rule for item in validate(read_back)}


def test_same_currency_for_vat_is_read_and_reported() -> None:
    """A second total in the invoice's own currency is read, and violates the official rules."""
    other = '<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">5.69</cbc:TaxAmount></cac:TaxTotal>'
    read_back = received_invoice(
        write_ubl,
        "<cac:LegalMonetaryTotal>",
        f"{other}<cac:LegalMonetaryTotal>",
        tax_currency="EUR",
    )

    assert read_back.vat_in_tax_currency == Decimal("5.69")
    rules = {item.rule for item in validate(read_back, PEPPOL)}
    assert {"BR-CO-15", "PEPPOL-EN16931-R005"} <= rules


def test_base_quantity_of_the_gross_price_counts() -> None:
    """A base quantity that CII states only with the gross price is read."""
    read_back = received_invoice(
        write_cii,
        "<ram:NetPriceProductTradePrice>",
        "<ram:GrossPriceProductTradePrice><ram:ChargeAmount>9.99</ram:ChargeAmount>"
        '<ram:BasisQuantity unitCode="C62">2</ram:BasisQuantity>'
        "</ram:GrossPriceProductTradePrice><ram:NetPriceProductTradePrice>",
    )

    assert read_back.lines[0].base_quantity == Decimal(2)
    assert read_back.lines[0].base_unit == "C62"


def test_datetime_is_refused_as_a_date() -> None:
    """A datetime is refused, because its date depends on the time zone."""
    with pytest.raises(InvalidData, match="must be a date"):
        small_invoice(issue_date=datetime(2026, 11, 25, tzinfo=UTC))


def test_string_becomes_an_identifier_without_a_scheme() -> None:
    """A string is read as an identifier without a scheme, and a blank string as no identifier."""
    texts: dict[str, Any] = {"ids": ["K 1"], "legal_id": "HRB 1", "endpoint": " "}
    party = Party(**texts)

    assert (party.ids, party.legal_id) == ((Identifier("K 1"),), Identifier("HRB 1"))
    assert party.endpoint is None
    with pytest.raises(InvalidData):
        Party(ids=5)


def test_line_without_a_price_has_no_net_amount() -> None:
    """The net amount of an unfinished line is None, and does not count in the totals."""
    line = attrs.evolve(LINE, net_price=None)

    assert line.net_amount is None
    assert small_invoice(lines=[line, LINE]).totals.lines == Decimal("29.97")


def test_totals_do_not_depend_on_the_decimal_context() -> None:
    """A caller's decimal context with few digits changes no amount and no result of a rule."""
    allowance = AllowanceCharge(
        amount=Decimal("1234.56"), reason="Deal", vat_category="S", vat_rate=Decimal(19)
    )
    line = attrs.evolve(LINE, quantity=Decimal(1), net_price=Decimal("1234567.89"))
    invoice = small_invoice(lines=[line], allowances=[allowance])
    expected = invoice.totals
    with localcontext(prec=3):
        assert (invoice.totals, validate(invoice)) == (expected, ())
        assert read_invoice(write_invoice(invoice)).stated_totals == expected

    assert expected.net == Decimal("1233333.33")


def test_large_amounts_keep_their_cents() -> None:
    """Amounts with more digits than Python's default decimal context holds are exact."""
    line = attrs.evolve(
        LINE, quantity=Decimal(99999999999999), net_price=Decimal("99999999999999.99")
    )

    assert str(line.net_amount) == "9999999999999899000000000000.01"


@pytest.mark.parametrize("function", [validate, write_invoice, write_ubl, write_cii])
def test_arguments_of_a_wrong_type_are_named(function: Any) -> None:
    """A str in place of an invoice or a profile is refused, and the error names the argument."""
    for arguments, field in ((("x",), "invoice"), ((small_invoice(), "peppol"), "profile")):
        with pytest.raises(InvalidData) as excinfo:
            function(*arguments)
        assert excinfo.value.field == field
