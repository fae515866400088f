"""Reads, writes and checks whole FA(3) files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from moorage.contracts.validators import check_kind
from moorage.errors import InvalidData
from moorage.invoices.binding import ElementPlace, read_root, read_value, text_at, write_nodes
from moorage.invoices.ksef.incoming import invoice_of
from moorage.invoices.ksef.layout import FaDocument
from moorage.invoices.ksef.outgoing import document_of
from moorage.invoices.ksef.rules import violations
from moorage.invoices.ksef.values import KsefInvoice
from moorage.invoices.layouts import nodes_of
from moorage.invoices.rules import Violation, raise_violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

NAMESPACE: Final = "http://crd.gov.pl/wzor/2025/06/25/13775/"
"""The namespace of FA(3)."""
_PROBLEM: Final = "The invoice violates rules of FA(3)"
_ROOT: Final = "Faktura"
_FORM: Final = ("FA", "FA (3)", "1-0E")
"""The form, its system code and its version."""
_LONGEST_SYSTEM: Final = 256
_FIRST_MOMENT: Final = datetime(2025, 9, 1, tzinfo=UTC)
_LAST_MOMENT: Final = datetime(2050, 1, 1, 23, 59, 59, tzinfo=UTC)
"""The earliest and the latest time that the heading of a file may have."""


def validate_fa3(ksef: KsefInvoice | bytes) -> tuple[Violation, ...]:
    """Return the rules of FA(3) that an invoice, or a file as bytes, violates.

    The rule of a violation is named after its element, such as 'P_19'.

    Raises:
        InvalidData: the bytes cannot be read.
    """
    if isinstance(ksef, KsefInvoice):
        return tuple(_own_violations(ksef, document_of(ksef)))
    root = _root(ksef)
    return (*_heading_violations(root), *violations(_read(root), received=True))


def write_fa3(ksef: KsefInvoice) -> bytes:
    """Return an FA(3) file of version 1-0E; equal invoices give equal bytes.

    Fields for which FA(3) has no element, or which moorage does not map, are left out.

    Raises:
        InvalidData: a rule is violated; the message names all violated rules.
    """
    check_kind(ksef, KsefInvoice, "ksef")
    document = document_of(ksef)
    raise_violations(_own_violations(ksef, document), _PROBLEM, "validate_fa3")
    content = write_nodes(nodes_of(FaDocument), document, None)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{_ROOT} xmlns="{NAMESPACE}">{_heading(ksef)}{content}</{_ROOT}>\n'
    ).encode()


def _own_violations(ksef: KsefInvoice, document: FaDocument) -> Iterator[Violation]:
    """Yield the rules that an invoice violates, and a stated total that is not the file's."""
    yield from violations(document)
    if not _FIRST_MOMENT <= ksef.created_at <= _LAST_MOMENT:
        yield Violation(
            "DataWytworzeniaFa",
            "created_at",
            f"The file was not made between {_FIRST_MOMENT:%Y-%m-%d} and {_LAST_MOMENT:%Y-%m-%d}.",
            "Give the time when you make the file.",
        )
    totals = ksef.invoice.stated_totals
    stated_total = None if totals is None else totals.gross
    if (
        stated_total is not None
        and document.gross is not None
        and abs(stated_total) != abs(document.gross)
    ):
        yield Violation(
            "P_15",
            "stated_totals.gross",
            f"The stated total is not that of the lines and charges, {document.gross}.",
            "Set stated_totals to None to write the total of the lines; an invoice with advance"
            " payments cannot be written.",
        )


def _heading(ksef: KsefInvoice) -> str:
    moment = ksef.created_at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    system = " ".join((ksef.system or "").split())[:_LONGEST_SYSTEM].strip()
    return (
        f'<Naglowek><KodFormularza kodSystemowy="{_FORM[1]}" wersjaSchemy="{_FORM[2]}">{_FORM[0]}'
        "</KodFormularza>"
        "<WariantFormularza>3</WariantFormularza>"
        f"<DataWytworzeniaFa>{moment}Z</DataWytworzeniaFa>"
        + (f"<SystemInfo>{escape(system)}</SystemInfo>" if system else "")
        + "</Naglowek>"
    )


def read_fa3(body: bytes, *, check: bool = True) -> KsefInvoice:
    """Return the invoice in an FA(3) file.

    Elements without a field in the European norm or in `KsefInvoice` are left out, so keep the
    original bytes.

    Args:
        body: the file.
        check: False to read an invoice that violates rules.

    Raises:
        InvalidData: the file cannot be read, or violates a rule.
    """
    root = _root(body)
    document = _read(root)
    if check:
        problems = (*_heading_violations(root), *violations(document, received=True))
        raise_violations(problems, _PROBLEM, "validate_fa3")
    return invoice_of(document, _created_at(root), text_at(root, "Naglowek", "SystemInfo"))


def _root(body: bytes) -> XmlElement:
    root = read_root(body, "The FA(3) file")
    if root.namespace != NAMESPACE or root.name != _ROOT:
        raise InvalidData(
            f"The document is not an FA(3) file: its root element is {root.name[:40]!r}.",
            field=f"/{root.name[:40]}",
            remedy="Give a Faktura of FA(3); FA(2) and PEF are other formats.",
        )
    return root


def _heading_violations(root: XmlElement) -> Iterator[Violation]:
    """Yield the elements that name another form than FA(3), or another version of it."""
    heading = next(root.all("Naglowek"), root)
    form = next(heading.all("KodFormularza"), None)
    attributes = {} if form is None else form.attributes
    stated_form = (
        text_at(heading, "KodFormularza"),
        attributes.get("kodSystemowy"),
        attributes.get("wersjaSchemy"),
    )
    for element, is_right in (
        ("KodFormularza", stated_form == _FORM),
        ("WariantFormularza", text_at(heading, "WariantFormularza") == "3"),
    ):
        if not is_right:
            yield Violation(
                element,
                f"/{_ROOT}/Naglowek/{element}",
                "The heading does not name the form FA (3) in version 1-0E.",
                "Ask the sender to correct it.",
            )


def _read(root: XmlElement) -> FaDocument:
    document: FaDocument = read_value(
        FaDocument, nodes_of(FaDocument), root, ElementPlace(f"/{_ROOT}")
    )
    return document


def _created_at(root: XmlElement) -> datetime:
    try:
        moment = datetime.fromisoformat(text_at(root, "Naglowek", "DataWytworzeniaFa") or "")
    except ValueError:
        raise InvalidData(
            "The FA(3) file does not say when it was made.",
            field=f"/{_ROOT}/Naglowek/DataWytworzeniaFa",
            remedy="Ask the sender to correct it.",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
