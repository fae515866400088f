"""Reads, writes and checks whole FatturaPA files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.contracts.validators import check_kind
from moorage.errors import InvalidData
from moorage.invoices.binding import ElementPlace, read_root, read_value, write_nodes
from moorage.invoices.fatturapa.incoming import fattura_of
from moorage.invoices.fatturapa.layout import Document
from moorage.invoices.fatturapa.outgoing import document_of
from moorage.invoices.fatturapa.rules import violations
from moorage.invoices.fatturapa.values import FatturaPa
from moorage.invoices.layouts import nodes_of
from moorage.invoices.rules import raise_violations
from moorage.vendor_sdk.xml_text import XmlElement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.invoices.rules import Violation

NAMESPACE: Final = "http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.2"
"""The namespace of the root element."""
_PROBLEM: Final = "The SdI would refuse the invoice"
_ROOT: Final = "FatturaElettronica"
_BODY: Final = "FatturaElettronicaBody"
_MOST_BYTES: Final = 5_000_000


def validate_fatturapa(fattura: FatturaPa | bytes) -> tuple[Violation, ...]:
    """Return the SdI's checks that an invoice or a file violates.

    The field of a violation is a path in the file's layout, such as 'lines[0].nature'. The SdI has
    more checks, for example whether tax identifiers exist and whether the invoice was sent before.

    Raises:
        InvalidData: the bytes cannot be read.
    """
    if isinstance(fattura, FatturaPa):
        return tuple(violations(document_of(fattura)))
    return tuple(violations(_read(fattura)))


def write_fatturapa(fattura: FatturaPa) -> bytes:
    """Return a FatturaPA file that passes the SdI's checks; equal invoices give equal bytes.

    The file is not signed. The buyer's reference, line identifiers, notes of lines, VATEX codes,
    terms of payment and everything else for which the format has no element are left out.

    Raises:
        InvalidData: a check is violated; the message names all violated checks.
    """
    check_kind(fattura, FatturaPa, "fattura")
    document = document_of(fattura)
    raise_violations(violations(document), _PROBLEM, "validate_fatturapa")
    content = write_nodes(nodes_of(Document), document, None)
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<p:{_ROOT} xmlns:p="{NAMESPACE}" versione="{document.format}">{content}</p:{_ROOT}>\n'
    ).encode()
    if len(body) > _MOST_BYTES:
        raise InvalidData(
            "The file is larger than the 5 MB that the SdI accepts (00003).",
            field="documents",
            remedy="Embed smaller documents.",
        )
    return body


def read_fatturapa(body: bytes, *, check: bool = True) -> FatturaPa:
    """Return the invoice in a FatturaPA file.

    A signed file (`.xml.p7m`) has to be unpacked first. Elements without a field in the European
    norm or in `FatturaPa` are left out, so keep the original bytes.

    Args:
        body: the file.
        check: False to read an invoice that violates the SdI's checks.

    Raises:
        InvalidData: the file cannot be read, has several invoices, or violates a check.
    """
    document = _read(body)
    if check:
        raise_violations(violations(document), _PROBLEM, "validate_fatturapa")
    return fattura_of(document)


def read_fatturapa_batch(body: bytes, *, check: bool = True) -> tuple[FatturaPa, ...]:
    """Return the invoices in a FatturaPA file with one or several invoices (a *lotto*).

    Args:
        body: the file.
        check: False to read invoices that violate the SdI's checks.

    Raises:
        InvalidData: the file cannot be read, or an invoice violates a check; the field begins with
            the invoice, such as 'invoices[1].lines[0].nature'.
    """
    documents = [_document(root) for root in _single_roots(_root(body))]
    if check:
        problems = (
            attrs.evolve(violation, field=f"invoices[{number}].{violation.field}")
            for number, document in enumerate(documents)
            for violation in violations(document)
        )
        raise_violations(problems, _PROBLEM, "validate_fatturapa")
    return tuple(map(fattura_of, documents))


def _read(body: bytes) -> Document:
    root = _root(body)
    if len(list(root.all(_BODY))) > 1:
        raise InvalidData(
            "The FatturaPA file has several invoices.",
            field=_BODY,
            remedy="Read it with read_fatturapa_batch().",
        )
    return _document(root)


def _single_roots(root: XmlElement) -> Iterator[XmlElement]:
    """Yield, for each invoice, a root element with the header and this invoice alone."""
    others = [child for child in root.children if child.name != _BODY]
    for bodies in [[body] for body in root.all(_BODY)] or [[]]:
        single_root = XmlElement(root.name, root.attributes, root.namespace)
        single_root.children = [*others, *bodies]
        yield single_root


def _root(body: bytes) -> XmlElement:
    root = read_root(body, "The FatturaPA file")
    if root.namespace != NAMESPACE or root.name != _ROOT:
        raise InvalidData(
            f"The document is not a FatturaPA file: its root element is {root.name[:40]!r}.",
            field=f"/{root.name[:40]}",
            remedy="Give a FatturaElettronica of version 1.2; a simplified invoice has another"
            " format.",
        )
    return root


def _document(root: XmlElement) -> Document:
    document: Document = read_value(Document, nodes_of(Document), root, ElementPlace(f"/{_ROOT}"))
    version = root.attributes.get("versione")
    if version != document.format:
        raise InvalidData(
            "The version of the FatturaPA file differs from its FormatoTrasmissione (00428).",
            field="format",
            remedy="Ask the sender to correct it.",
        )
    return document
