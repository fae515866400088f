"""XMP metadata of PDF files with an embedded invoice, by Factur-X 1.0 and PDF/A-3."""

from __future__ import annotations

import re
from typing import Final

from moorage.errors import InvalidData
from moorage.vendor_sdk.xml_text import NotXmlError, read_xml

_NAMESPACE: Final = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES: Final = (
    ("DocumentFileName", "name of the embedded XML invoice file"),
    ("DocumentType", "INVOICE"),
    ("Version", "version of the standard that the embedded invoice follows"),
    ("ConformanceLevel", "conformance level of the embedded invoice"),
)
_PART: Final = re.compile(r"(pdfaid:part\s*=\s*['\"]|<pdfaid:part>\s*)([0-9]+)")
_SCHEMA_BAG: Final = re.compile(r"<pdfaExtension:schemas>\s*<rdf:Bag>")
_RDF_END: Final = "</rdf:RDF>"
_HEAD: Final = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_EMPTY_METADATA: Final = (
    f'{_HEAD}\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n</rdf:RDF>\n'
    '</x:xmpmeta>\n<?xpacket end="w"?>'
)
_SCHEMA_NAMES: Final = (
    'xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#"'
    ' xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"'
)
_PARTS: Final = ("1", "2", "3")
"""The parts of PDF/A whose files may become PDF/A-3 by an embedded file."""


def invoice_metadata(existing: bytes | None, *, name: str, level: str, accept_plain: bool) -> bytes:
    """Return the XMP metadata of a PDF with an embedded invoice.

    Args:
        existing: metadata of the original PDF; None if it has none.
        name: name of the embedded file.
        level: conformance level, such as "EN 16931".
        accept_plain: True to accept a PDF that does not claim to be PDF/A.

    Raises:
        InvalidData: the metadata is unreadable, describes an invoice already, or does not claim
            PDF/A-1, PDF/A-2 or PDF/A-3.
    """
    text = _EMPTY_METADATA if existing is None else _readable_metadata(existing)
    if _NAMESPACE in text:
        raise already_there()
    part = _PART.search(text)
    if part is None and not accept_plain:
        raise InvalidData(
            "The PDF does not claim to be PDF/A.",
            field="pdf",
            remedy="Convert it to PDF/A-3 first; or pass accept_plain=True if the recipient accepts"
            " other PDFs.",
        )
    if part is not None and part[2] not in _PARTS:
        raise InvalidData(
            f"The PDF is PDF/A-{part[2]}, which cannot become PDF/A-3.",
            field="pdf",
            remedy="Write the file as PDF/A-3.",
        )
    text = _PART.sub(lambda match: f"{match[1]}3", text)
    bag_match = _SCHEMA_BAG.search(text)
    if bag_match is not None:
        text = f"{text[: bag_match.end()]}{_schema()}{text[bag_match.end() :]}"
    head_text, end, tail_text = text.rpartition(_RDF_END)
    new_metadata = (
        _invoice(name, level) if bag_match is not None else _extension() + _invoice(name, level)
    )
    return _check_metadata(f"{head_text}{new_metadata}{end}{tail_text}".encode())


def already_there() -> InvalidData:
    """Return the error for a PDF that already contains an invoice."""
    return InvalidData(
        "The PDF contains an invoice already.",
        field="pdf",
        remedy="Embed the invoice into the PDF as it was before.",
    )


def _readable_metadata(existing: bytes) -> str:
    _check_metadata(existing)
    try:
        text = existing.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if _RDF_END not in text:
        raise _unreadable_error()
    return text


def _check_metadata(metadata: bytes) -> bytes:
    try:
        read_xml(metadata)
    except NotXmlError:
        raise _unreadable_error() from None
    return metadata


def _unreadable_error() -> InvalidData:
    return InvalidData(
        "The metadata of the PDF cannot be read.",
        field="pdf",
        remedy="Write the PDF with XMP metadata in UTF-8, as PDF/A requires.",
    )


def _schema() -> str:
    properties = "".join(
        '<rdf:li rdf:parseType="Resource">'
        f"<pdfaProperty:name>{name}</pdfaProperty:name>"
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType>"
        "<pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{description}</pdfaProperty:description>"
        "</rdf:li>"
        for name, description in _PROPERTIES
    )
    return (
        f'<rdf:li rdf:parseType="Resource" {_SCHEMA_NAMES}>'
        "<pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>"
        f"<pdfaSchema:namespaceURI>{_NAMESPACE}</pdfaSchema:namespaceURI>"
        "<pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{properties}</rdf:Seq></pdfaSchema:property>"
        "</rdf:li>"
    )


def _extension() -> str:
    return (
        '<rdf:Description rdf:about=""'
        ' xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/">'
        f"<pdfaExtension:schemas><rdf:Bag>{_schema()}</rdf:Bag></pdfaExtension:schemas>"
        "</rdf:Description>\n"
    )


def _invoice(name: str, level: str) -> str:
    return (
        f'<rdf:Description rdf:about="" xmlns:fx="{_NAMESPACE}">'
        f"<fx:DocumentType>INVOICE</fx:DocumentType><fx:DocumentFileName>{name}"
        "</fx:DocumentFileName><fx:Version>1.0</fx:Version>"
        f"<fx:ConformanceLevel>{level}</fx:ConformanceLevel></rdf:Description>\n"
    )
