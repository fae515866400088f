"""Invoices that are embedded in PDF files as CII documents, by ZUGFeRD and Factur-X.

Invoices are embedded by an incremental update, which appends new objects to the unchanged PDF. So
the pages stay the same, and the PDF is not converted to PDF/A.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData
from moorage.invoices.binding import read_root, text_at
from moorage.invoices.checking import Syntax, write_invoice
from moorage.invoices.cii import NAMESPACE
from moorage.invoices.pdf_files import PdfFile, PdfStream
from moorage.invoices.pdf_metadata import already_there, invoice_metadata
from moorage.invoices.pdf_objects import PdfName, PdfNumber, PdfReference, damaged_error, text_of
from moorage.invoices.profiles import EN16931, Profile
from moorage.invoices.values import Invoice

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = "factur-x.xml"
_NAMES: Final = (_NAME, "xrechnung.xml", "zugferd-invoice.xml")
"""Names of the embedded invoice, in small letters: Factur-X, XRechnung, and ZUGFeRD 1 and 2.0."""
_LEVELS: Final = {
    "urn:factur-x.eu:1p0:minimum": "MINIMUM",
    "urn:factur-x.eu:1p0:basicwl": "BASIC WL",
    "urn:cen.eu:en16931:2017#compliant#urn:factur-x.eu:1p0:basic": "BASIC",
    "urn:cen.eu:en16931:2017": "EN 16931",
    "urn:cen.eu:en16931:2017#conformant#urn:factur-x.eu:1p0:extended": "EXTENDED",
}
"""The conformance level of Factur-X, by the specification identifier of the document."""
_DATA_ONLY: Final = ("MINIMUM", "BASIC WL")
"""Levels whose document is no whole invoice, so that it only adds data to the PDF."""
_MOST_FILES: Final = 1_000
_MAX_DEPTH: Final = 20


@frozen(kw_only=True)
class PdfInvoice:
    """An invoice that was found in a PDF.

    Attributes:
        name: name of the embedded file.
        document: XML document, which `read_invoice` can read.
        relationship: relation of the document to the PDF, such as "Alternative", if the PDF states
            it.
    """

    name: str
    document: bytes = field(repr=False)
    relationship: str | None = None


def read_pdf_invoice(pdf: bytes) -> PdfInvoice:
    """Return the invoice in a PDF of the format ZUGFeRD, Factur-X or XRechnung.

    Raises:
        InvalidData: the PDF is damaged or encrypted, or contains no invoice.
    """
    file = PdfFile(pdf)
    specifications = {
        name.lower(): fields for name, fields in _files(file) if name.lower() in _NAMES
    }
    for name in _NAMES:
        if name in specifications:
            return _pdf_invoice(file, specifications[name])
    raise InvalidData(
        "The PDF contains no invoice.",
        field="pdf",
        remedy=f"Ask the sender for a PDF by ZUGFeRD or Factur-X, which embeds {_NAME}.",
    )


def embed_invoice(
    pdf: bytes,
    invoice: Invoice | bytes,
    *,
    modified_at: datetime,
    profile: Profile = EN16931,
    accept_plain: bool = False,
) -> bytes:
    """Return a PDF with an embedded invoice in the format Factur-X 1.0 (ZUGFeRD 2).

    The PDF must be PDF/A and show the same invoice. The result is PDF/A-3.

    Args:
        pdf: the PDF for human readers.
        invoice: the invoice, or its CII document.
        modified_at: time of the last change of the document.
        profile: profile whose rules are checked, if `invoice` is an `Invoice`.
        accept_plain: True to accept a PDF that does not claim to be PDF/A; many recipients refuse
            the result.

    Raises:
        InvalidData: the PDF is damaged, encrypted, not PDF/A, or contains an invoice already; or
            the invoice violates rules, or belongs to no level of Factur-X.
    """
    _check_moment(modified_at)
    if isinstance(invoice, Invoice):
        document = write_invoice(invoice, profile, syntax=Syntax.CII)
    else:
        document = invoice
    level = _level(document)
    file = PdfFile(pdf)
    files = dict(_files(file))
    if any(name.lower() in _NAMES for name in files):
        raise already_there()
    root = file.trailer.get("Root")
    catalog = file.fields(root)
    if not isinstance(root, PdfReference) or not catalog:
        raise damaged_error("it has no catalog")
    existing_metadata = file.content(catalog.get("Metadata"))
    metadata = invoice_metadata(
        existing_metadata, name=_NAME, level=level, accept_plain=accept_plain
    )
    number = file.size
    file_reference, specification, metadata_reference = (
        PdfReference(number + step) for step in range(3)
    )
    tree = sorted([*_name_tree_entries(file, catalog), (_NAME.encode(), specification)], key=_key)
    names = {**file.fields(catalog.get("Names")), "EmbeddedFiles": {"Names": _flat(tree)}}
    changed_objects = {
        **catalog,
        "AF": [*file.items(catalog.get("AF")), specification],
        "Names": names,
        "Metadata": metadata_reference,
    }
    return file.appended(
        {
            root.number: changed_objects,
            file_reference.number: _embedded_file(document, modified_at),
            specification.number: _specification(file_reference, level),
            metadata_reference.number: PdfStream(
                {"Type": PdfName("Metadata"), "Subtype": PdfName("XML")}, metadata
            ),
        }
    )


def _check_moment(at: object) -> None:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidData(
            "The time modified_at has no time zone.",
            field="modified_at",
            remedy="Give an aware datetime, such as datetime.now(UTC).",
        )


def _level(document: bytes) -> str:
    root = read_root(document, "The invoice")
    if root.namespace != NAMESPACE:
        raise InvalidData(
            "The invoice is not a CII document, which ZUGFeRD and Factur-X require.",
            field="invoice",
            remedy="Write the invoice with write_invoice(..., syntax='cii').",
        )
    parameter = "GuidelineSpecifiedDocumentContextParameter"
    guideline = text_at(root, "ExchangedDocumentContext", parameter, "ID")
    level = _LEVELS.get(guideline or "")
    if level is None:
        raise InvalidData(
            "The specification identifier of the invoice is unknown in Factur-X.",
            field="invoice",
            remedy=f"Use one of {', '.join(_LEVELS)}; the fourth is the profile EN16931.",
        )
    return level


def _embedded_file(document: bytes, modified_at: datetime) -> PdfStream:
    parameters = {"Size": PdfNumber(len(document)), "ModDate": _moment(modified_at)}
    fields: dict[str, Any] = {
        "Type": PdfName("EmbeddedFile"),
        "Subtype": PdfName("text/xml"),
        "Filter": PdfName("FlateDecode"),
        "Params": parameters,
    }
    return PdfStream(fields, zlib.compress(document))


def _specification(file_reference: PdfReference, level: str) -> dict[str, Any]:
    return {
        "Type": PdfName("Filespec"),
        "F": _NAME.encode(),
        "UF": _NAME.encode(),
        "Desc": b"Factur-X invoice",
        "AFRelationship": PdfName("Data" if level in _DATA_ONLY else "Alternative"),
        "EF": {"F": file_reference, "UF": file_reference},
    }


def _moment(at: datetime) -> bytes:
    zone = at.strftime("%z")
    return at.strftime("D:%Y%m%d%H%M%S").encode() + f"{zone[:3]}'{zone[3:5]}'".encode()


def _key(entry: tuple[bytes, object]) -> bytes:
    return entry[0]


def _flat(tree: list[tuple[bytes, Any]]) -> list[Any]:
    return [part for entry in tree for part in entry]


def _name_tree_entries(file: PdfFile, catalog: dict[str, Any]) -> Iterator[tuple[bytes, Any]]:
    """Yield the entries of the PDF's name tree, which lists the embedded files."""
    names = file.fields(catalog.get("Names"))
    pending_nodes: list[tuple[Any, int]] = [(names.get("EmbeddedFiles"), 0)]
    count = 0
    while pending_nodes:
        node, depth = pending_nodes.pop(0)
        count += 1
        if depth > _MAX_DEPTH or count > _MOST_FILES:
            raise damaged_error("it has too many embedded files")
        fields = file.fields(node)
        entries = file.items(fields.get("Names"))
        count += len(entries) // 2
        for name, value in zip(entries[::2], entries[1::2], strict=False):
            if isinstance(name, bytes):
                yield name, value
        pending_nodes += [(child_node, depth + 1) for child_node in file.items(fields.get("Kids"))]


def _files(file: PdfFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the file specification of each embedded file."""
    catalog = file.fields(file.trailer.get("Root"))
    values = [value for _, value in _name_tree_entries(file, catalog)]
    values += file.items(catalog.get("AF"))[:_MOST_FILES]
    for value in values:
        fields = file.fields(value)
        name = text_of(file.resolve(fields.get("UF"))) or text_of(file.resolve(fields.get("F")))
        if name:
            yield name, fields


def _pdf_invoice(file: PdfFile, fields: dict[str, Any]) -> PdfInvoice:
    streams = file.fields(fields.get("EF"))
    document = file.content(streams.get("UF")) or file.content(streams.get("F"))
    if not document:
        raise damaged_error("the file of the invoice is missing")
    relationship = file.resolve(fields.get("AFRelationship"))
    return PdfInvoice(
        name=text_of(file.resolve(fields.get("UF"))) or str(text_of(fields.get("F"))),
        document=document,
        relationship=str(relationship) if isinstance(relationship, PdfName) else None,
    )
