"""Invoices are checked before they become documents that a vendor sends."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage import InvalidData
from moorage.contracts.einvoices import EinvoiceSyntax
from moorage.invoices import EN16931, PEPPOL, Identifier, outgoing_invoice, write_invoice
from tests.invoices.samples import BUYER, small_invoice


def test_invoice_goes_to_its_buyer() -> None:
    """An invoice becomes a Peppol document that is addressed to the buyer's electronic address."""
    outgoing = outgoing_invoice(small_invoice())

    assert write_invoice(small_invoice(), PEPPOL) == outgoing.document
    assert str(outgoing.recipient) == "0204:04011000-1234512345-06"
    assert outgoing.extra == {}


def test_document_keeps_its_bytes_and_its_syntax() -> None:
    """A document has the same bytes and syntax even if it goes to another recipient."""
    document = write_invoice(small_invoice(), syntax="cii")
    extra: dict[str, dict[str, Any]] = {"storecove": {"attachments": []}}
    outgoing = outgoing_invoice(document, recipient="0088:1", profile=EN16931, extra=extra)

    assert document == outgoing.document
    assert outgoing.syntax is EinvoiceSyntax.CII
    assert str(outgoing.recipient) == "0088:1"
    assert extra == outgoing.extra


def test_invoice_is_written_in_the_syntax() -> None:
    """An outgoing invoice is written in the requested syntax and profile."""
    outgoing = outgoing_invoice(small_invoice(), profile=EN16931, syntax="cii")

    assert write_invoice(small_invoice(), syntax="cii") == outgoing.document


@pytest.mark.parametrize(
    "invoice, field",
    [
        (small_invoice(number=None), "number"),
        (write_invoice(small_invoice()).replace(b">35.66<", b">36.00<"), "stated_totals.gross"),
        (b"<a/>", "/a"),
        ("<a/>", "body"),
    ],
)
def test_invalid_or_unreadable_invoice_is_refused(invoice: Any, field: str) -> None:
    """An invoice that violates rules, or that cannot be read, is refused."""
    with pytest.raises(InvalidData) as excinfo:
        outgoing_invoice(invoice, profile=EN16931)
    assert field == excinfo.value.field


@pytest.mark.parametrize("endpoint", [None, Identifier("1", None), Identifier(None, "0088")])
def test_invoice_without_electronic_address_needs_a_recipient(endpoint: Identifier | None) -> None:
    """Without an electronic address of the buyer, a recipient has to be given."""
    invoice = small_invoice(buyer=attrs.evolve(BUYER, endpoint=endpoint))
    with pytest.raises(InvalidData) as excinfo:
        outgoing_invoice(invoice, profile=EN16931)
    assert excinfo.value.field.startswith("buyer.endpoint")  # type: ignore[union-attr]  # names one
    if endpoint is None:
        assert str(outgoing_invoice(invoice, recipient="0088:1", profile=EN16931).recipient)
