"""Documents of invoices that are damaged, hostile or ambiguous are refused."""

from __future__ import annotations

import contextlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.invoices import (
    XRECHNUNG,
    Invoice,
    InvoiceLine,
    read_cii,
    read_invoice,
    read_ubl,
    write_cii,
    write_ubl,
)
from tests.invoices.samples import full_invoice, received_invoice, small_invoice

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTS = [
    write_ubl(full_invoice()),
    write_cii(full_invoice()),
    write_ubl(small_invoice(type_code="381")),
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(DOCUMENTS),
    st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True),
            st.sampled_from([b"", b"-1", b"NaN", b"x" * 50, b"9" * 31, b"1e9", b"&#9;", b"\xff"]),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_damaged_documents_have_typed_errors(
    body: bytes, damages: list[tuple[float, bytes]]
) -> None:
    """An invoice document with changed texts is read, or refused with a typed error."""
    for position, text in damages:
        texts = [*re.finditer(rb">[^<]+<|=\"[^\"]+\"", body)]
        match = texts[int(position * len(texts))]
        body = (
            body[: match.start() + 1 + (body[match.start()] == ord("="))]
            + text
            + (body[match.end() - 1 :])
        )
    with contextlib.suppress(InvalidData):
        assert read_invoice(body, XRECHNUNG).stated_totals is not None


DTD = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>'


HOSTILE = [
    DTD,
    b"",
    b"not XML",
    b"<Invoice>",
    b"<a>" * 30 + b"</a>" * 30,
    b"<Invoice/>",
    b'<Invoice xmlns="urn:example"/>',
    write_cii(small_invoice()),
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_and_foreign_documents_are_refused(body: bytes) -> None:
    """An invoice document is refused if it has a DTD, is of another kind or is not XML."""
    with pytest.raises(InvalidData):
        read_ubl(body)


@pytest.mark.parametrize(
    "body, words",
    [
        (b'<CrossIndustryDocument xmlns="urn:ferd"/>', "ZUGFeRD 1: ask the sender"),
        (b'<FatturaElettronica xmlns="urn:it"/>', r"read_fatturapa\(\)"),
        (b'<Faktura xmlns="urn:pl"/>', r"read_fa3\(\)"),
        (b"<Order/>", "neither a UBL nor a CII invoice: its root element is 'Order'"),
    ],
)
def test_other_kinds_of_invoices_are_refused_with_what_to_do(body: bytes, words: str) -> None:
    """A document in another format is refused, and the error names the format and the remedy."""
    with pytest.raises(InvalidData, match=words):
        read_invoice(body)


def test_document_passed_as_a_string_is_refused() -> None:
    """A str is refused, because its encoding is unknown."""
    with pytest.raises(InvalidData, match="must be bytes"):
        read_invoice("<Invoice/>")  # type: ignore[arg-type]  # that is the mistake


GARBAGE = [
    (write_ubl, b">2026-11-25<", b">25.11.2026<", "/Invoice/IssueDate"),
    (write_ubl, b">2026-11-25<", b">2026-02-30<", "/Invoice/IssueDate"),
    (
        write_ubl,
        b">9.99<",
        b">9,99<",
        "/Invoice/InvoiceLine[1]/Price/PriceAmount",
    ),
    (write_ubl, b">9.99<", b">1e400<", "/Invoice/InvoiceLine[1]/Price/PriceAmount"),
    (
        write_ubl,
        b'"EUR">9.99<',
        b'"USD">9.99<',
        "/Invoice/InvoiceLine[1]/Price/PriceAmount",
    ),
    (
        write_ubl,
        b'"EUR">9.99<',
        b'"EUX">9.99<',
        "/Invoice/InvoiceLine[1]/Price/PriceAmount",
    ),
    (write_ubl, b"</cbc:ID><cbc:IssueDate", b"</cbc:ID><cbc:ID/><cbc:IssueDate", "/Invoice/ID"),
    (write_ubl, b"TypeCode>380<", b"TypeCode>381<", "/Invoice/InvoiceTypeCode"),
    (
        write_ubl,
        b"<cac:TaxTotal>",
        b"<cac:AllowanceCharge/><cac:TaxTotal>",
        "/Invoice/AllowanceCharge/ChargeIndicator",
    ),
    (
        write_ubl,
        b"<cac:TaxTotal>",
        (
            b"<cac:PaymentMeans><cbc:PaymentMeansCode>1</cbc:PaymentMeansCode></cac:PaymentMeans>"
            b"<cac:TaxTotal>"
        ),
        "/Invoice/PaymentMeans[2]",
    ),
    (
        write_ubl,
        b"<cac:LegalMonetaryTotal>",
        (
            b'<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">1</cbc:TaxAmount></cac:TaxTotal>'
            b"<cac:LegalMonetaryTotal>"
        ),
        "/Invoice/TaxTotal",
    ),
    (
        write_cii,
        b">20261125<",
        b">2026-11-25<",
        "/CrossIndustryInvoice/ExchangedDocument/IssueDateTime/DateTimeString",
    ),
    (
        write_cii,
        b'"102">20261125<',
        b'"203">20261125<',
        "/CrossIndustryInvoice/ExchangedDocument/IssueDateTime/DateTimeString",
    ),
    (
        write_cii,
        b">9.99<",
        b">NaN<",
        (
            "/CrossIndustryInvoice/SupplyChainTradeTransaction/IncludedSupplyChainTradeLineItem[1]"
            "/SpecifiedLineTradeAgreement/NetPriceProductTradePrice/ChargeAmount"
        ),
    ),
]


@pytest.mark.parametrize("writer, old, new, field", GARBAGE)
def test_error_names_the_path_of_an_unreadable_element(
    writer: Callable[[Invoice], bytes], old: bytes, new: bytes, field: str
) -> None:
    """If an element cannot be read, a typed error with the element's path is raised."""
    body = writer(small_invoice())
    assert old in body

    with pytest.raises(InvalidData) as excinfo:
        read_invoice(body.replace(old, new))

    assert excinfo.value.field == field
    assert field in str(excinfo.value)


def test_embedded_document_that_is_not_base64_is_refused() -> None:
    """The error for an embedded document that is not Base64 names the document."""
    for writer, reader in ((write_ubl, read_ubl), (write_cii, read_cii)):
        body = writer(full_invoice()).replace(b"JVBERi0=", b"JVBERi0?")

        with pytest.raises(InvalidData, match="not base64"):
            reader(body)


@pytest.mark.parametrize(
    "writer, old, new, problem",
    [
        (
            write_cii,
            "<ram:GrandTotalAmount>",
            '<ram:TaxTotalAmount currencyID="EUR">1</ram:TaxTotalAmount><ram:GrandTotalAmount>',
            "several totals of VAT",
        ),
        (
            write_cii,
            "<ram:GrandTotalAmount>",
            '<ram:TaxTotalAmount currencyID="SEK">1</ram:TaxTotalAmount><ram:GrandTotalAmount>',
            "several totals of VAT",
        ),
        (
            write_cii,
            "<ram:SpecifiedTradePaymentTerms>",
            "<ram:SpecifiedTradeAllowanceCharge/><ram:SpecifiedTradePaymentTerms>",
            "neither 'true' nor 'false'",
        ),
        (write_cii, "CrossIndustryInvoice:100", "CrossIndustryInvoice:1", "not a CII invoice"),
    ],
)
def test_document_that_can_be_read_in_two_ways_is_refused(
    writer: Callable[[Invoice], bytes], old: str, new: str, problem: str
) -> None:
    """An invoice document that can be read in two ways is refused."""
    with pytest.raises(InvalidData, match=problem):
        received_invoice(writer, old, new)


@pytest.mark.parametrize("number", ["1E+9999999", "1E+30", "0E+30", "-1E+999999999"])
def test_numbers_of_an_unusual_size_are_refused(number: str) -> None:
    """A number with a huge exponent is refused, even if the decimal module cannot compute it."""
    with pytest.raises(InvalidData) as excinfo:
        InvoiceLine(quantity=Decimal(number))

    assert excinfo.value.field == "quantity"


@pytest.mark.untraced
def test_document_of_too_many_elements_is_refused() -> None:
    """A document with too many elements is refused, since small elements need much memory."""
    with pytest.raises(InvalidData, match="too many elements"):
        read_ubl(b"<Invoice>" + b"<a/>" * 500_000 + b"</Invoice>")
