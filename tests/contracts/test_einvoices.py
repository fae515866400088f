"""Electronic invoices: addresses, documents and limits; wrong arguments are refused."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import InvalidData
from moorage.contracts.einvoices import (
    EinvoiceSyntax,
    EinvoiceType,
    ElectronicAddress,
    OutgoingInvoice,
    address_or_none,
    check_fits,
)
from moorage.hub.hub import Hub
from moorage.packing import pack, unpack
from moorage.testing.kits._einvoices_harness import CII, outgoing_invoice
from moorage.testing.sandboxes.einvoices.base import DOCUMENT, FA3, RECIPIENT

CREDIT_NOTE = DOCUMENT.replace(b"Invoice", b"CreditNote")


def test_address_is_read_and_written() -> None:
    """An address consists of a scheme and an identifier; the identifier may contain a colon."""
    address = ElectronicAddress.parse("9915:b:1")

    assert ElectronicAddress("9915", "b:1") == address
    assert str(address) == "9915:b:1"
    assert address == ElectronicAddress.parse(address)
    assert address == address_or_none("9915:b:1")
    assert "b:1" not in repr(address)


@pytest.mark.parametrize(
    "text, field",
    [
        ("0088", "recipient"),
        (88, "recipient"),
        (None, "recipient"),
        ("88:1", "scheme"),
        ("٠٠٨٨:1", "scheme"),
        ("0088:", "identifier"),
        ("0088:a b", "identifier"),
        ("0088:ä", "identifier"),
        (f"0088:{'1' * 136}", "identifier"),
    ],
)
def test_wrong_address_is_refused(text: Any, field: str) -> None:
    """A text that is not an address is refused; the error contains the wrong part."""
    with pytest.raises(InvalidData) as excinfo:
        OutgoingInvoice(document=DOCUMENT, recipient=text)

    assert field == excinfo.value.field
    assert address_or_none(text) is None


@pytest.mark.parametrize(
    "document, syntax, document_type, needs",
    [
        (DOCUMENT, EinvoiceSyntax.UBL, EinvoiceType.INVOICE, {"ubl"}),
        (CREDIT_NOTE, EinvoiceSyntax.UBL, EinvoiceType.CREDIT_NOTE, {"ubl"}),
        (CII, EinvoiceSyntax.CII, EinvoiceType.INVOICE, {"cii"}),
    ],
)
def test_document_is_recognised(
    document: bytes, syntax: EinvoiceSyntax, document_type: EinvoiceType, needs: set[str]
) -> None:
    """The root element of a document determines its syntax, type and needed capabilities."""
    invoice = outgoing_invoice(document)

    assert (syntax, document_type) == (invoice.syntax, invoice.document_type)
    assert needs == invoice.needs
    assert invoice == unpack(pack(invoice))


def test_fa3_file_takes_no_recipient() -> None:
    """An FA(3) file must have no recipient, and every other document needs a recipient."""
    invoice = OutgoingInvoice(document=FA3)

    assert EinvoiceSyntax.FA3 is invoice.syntax
    assert {"fa3"} == invoice.needs
    assert invoice == unpack(pack(invoice))
    for document, recipient in ((FA3, RECIPIENT), (DOCUMENT, None)):
        with pytest.raises(InvalidData, match="recipient") as excinfo:
            OutgoingInvoice(document=document, recipient=recipient)
        assert "recipient" == excinfo.value.field
    with pytest.raises(InvalidData, match="cannot be sent to a recipient's electronic address"):
        _ = invoice.address


@pytest.mark.parametrize(
    "document",
    [
        "<Invoice/>",
        None,
        b"",
        b"<html></html>",
        b"<Invoice/>",
        b"%PDF-1.7",
        b'<?xml version="1.0" encoding="nothing"?><a/>',
        DOCUMENT[:-3],
        DOCUMENT.replace(b"<Invoice", b"<!DOCTYPE Invoice><Invoice", 1),
        DOCUMENT.replace(b"Invoice-2", b"Invoice-3"),
        b" " * (16 * 1024 * 1024 + 1),
    ],
    ids=range(11),
)
def test_wrong_document_is_refused(document: Any) -> None:
    """Anything other than the safe XML of an invoice is refused with the name of the field."""
    with pytest.raises(InvalidData) as excinfo:
        outgoing_invoice(document)

    assert excinfo.value.field == "document"


def test_document_larger_than_the_vendor_takes_is_refused() -> None:
    """A document above its vendor's size limit is refused; a vendor may have no limit."""
    check_fits(outgoing_invoice(), {})
    check_fits(outgoing_invoice(), {"document_bytes": len(DOCUMENT)})
    with pytest.raises(InvalidData, match=f"accepts at most {len(DOCUMENT) - 1}") as excinfo:
        check_fits(outgoing_invoice(), {"document_bytes": len(DOCUMENT) - 1})
    assert excinfo.value.field == "document"


@pytest.mark.parametrize(
    "operation, arguments, options, field",
    [
        ("send", (DOCUMENT,), {}, "invoice"),
        ("check_recipient", ("0088",), {}, "address"),
        ("check_recipient", ("0088:1",), {"document_type": "order"}, "document_type"),
        ("get", ("a",), {}, "ref"),
    ],
)
def test_wrong_arguments_are_refused(
    operation: str, arguments: tuple[Any, ...], options: dict[str, Any], field: str
) -> None:
    """A wrong argument is refused with its name before an account is chosen."""
    with Hub([]) as hub, pytest.raises(InvalidData) as excinfo:
        getattr(hub.einvoices(), operation)(*arguments, **options)
    assert field == excinfo.value.field
