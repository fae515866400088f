"""Electronic invoices: values, states, and the vendors' operations to send and receive them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, Self
from xml.parsers import expat

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import OneOf, is_a
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    import attrs

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

KIND: Final = "einvoices"

_SCHEME: Final = re.compile("[0-9]{4}")
_IDENTIFIER: Final = re.compile("[!-~]{1,135}")
_UBL: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
_MOST_BYTES: Final = 16 * 1024 * 1024


class EinvoiceCapability(StrEnum):
    """An optional feature of a vendor of electronic invoices."""

    UBL = "ubl"
    CII = "cii"
    FA3 = "fa3"
    LOOK_UP = "look_up"
    STATUS = "status"
    DOWNLOAD = "download"
    INBOX = "inbox"


class EinvoiceStatus(StrEnum):
    """The state of a sent invoice.

    `accepted` means that the vendor accepted the invoice and has yet to deliver it. `delivered`
    means that the recipient's access point accepted it, not that a person has read it. `refused`
    means that the recipient refused it, and `failed` that it could not be delivered.
    """

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class EinvoiceType(OneOf, field="document_type"):
    """The type of a document."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class EinvoiceSyntax(StrEnum):
    """The syntax of a document: UBL 2.1, UN/CEFACT CII, or FA(3) of Poland."""

    UBL = "ubl"
    CII = "cii"
    FA3 = "fa3"


class EinvoiceEventType(StrEnum):
    """The kind of an event: an invoice that arrived, or a sent invoice's new state."""

    RECEIVED = "received"
    STATUS = "status"


_ROOTS: Final = {
    f"{_UBL}Invoice-2 Invoice": (EinvoiceSyntax.UBL, EinvoiceType.INVOICE),
    f"{_UBL}CreditNote-2 CreditNote": (EinvoiceSyntax.UBL, EinvoiceType.CREDIT_NOTE),
    "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100 CrossIndustryInvoice": (
        EinvoiceSyntax.CII,
        EinvoiceType.INVOICE,
    ),
    "http://crd.gov.pl/wzor/2025/06/25/13775/ Faktura": (EinvoiceSyntax.FA3, EinvoiceType.INVOICE),
}
"""The syntax and the type of a document, by the namespace and the name of its root."""


def _is_scheme(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _SCHEME.fullmatch(value) is None:
        raise InvalidData(
            "The scheme of an electronic address must be a code of four digits.",
            field=attribute.name,
            remedy="Give a code of the list of electronic address schemes (EAS), such as '0088'"
            " for a GLN.",
        )


def _is_identifier(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _IDENTIFIER.fullmatch(value) is None:
        raise InvalidData(
            "The identifier of an electronic address must not be empty, longer than 135"
            " characters, or have spaces or non-ASCII characters.",
            field=attribute.name,
            remedy="Give the identifier under which the recipient is registered, with at most 135"
            " characters.",
        )


@frozen
class ElectronicAddress:
    """The electronic address of a business, such as a participant of Peppol.

    Attributes:
        scheme: code of the list that the identifier is from, such as "0208".
        identifier: the identifier itself, such as "0123456789".
    """

    scheme: str = field(validator=_is_scheme)
    identifier: str = field(validator=_is_identifier, repr=False)

    @classmethod
    def parse(cls, text: ElectronicAddress | str, field: str = "address") -> Self:
        """Parse an address such as "0208:0123456789"; errors name the `field` passed as argument.

        Raises:
            InvalidData: the text is not an address.
        """
        if isinstance(text, cls):
            return text
        if not isinstance(text, str) or ":" not in text:
            raise InvalidData(
                "The electronic address must be a scheme and an identifier, joined by a colon.",
                field=field,
                remedy="Give an address such as '0208:0123456789'.",
            )
        scheme, _, identifier = text.partition(":")
        return cls(scheme, identifier)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.identifier}"


def address_or_none(text: str | None) -> ElectronicAddress | None:
    """The electronic address in a vendor's text; None if the text contains none."""
    try:
        return None if text is None else ElectronicAddress.parse(text)
    except InvalidData:
        return None


def document_root(document: bytes) -> tuple[EinvoiceSyntax, EinvoiceType]:
    """The syntax and the type of a document, read from its XML root element.

    Raises:
        InvalidData: the document is not XML, has a DTD, or is not an invoice.
    """
    roots: list[str] = []

    def start(name: str, _: dict[str, str]) -> None:
        if not roots:
            roots.append(name)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = start
    try:
        parser.Parse(document, True)
        return _ROOTS[roots[0]]
    except (expat.ExpatError, LookupError, ValueError):
        # Python raises errors of its own for an encoding that is unknown, or not allowed in XML.
        raise InvalidData(
            "The document must be a UBL invoice, a UBL credit note, a CII invoice or an FA(3) file,"
            " without a DTD.",
            field="document",
            remedy="Give the XML of an invoice, which outgoing_invoice or write_fa3 of"
            " moorage.invoices creates.",
        ) from None


def _refuse_doctype(*_: object) -> NoReturn:
    raise ValueError


def _is_document(_: object, attribute: attrs.Attribute[bytes], value: object) -> None:
    if not isinstance(value, bytes):
        raise InvalidData(
            f"The document must be bytes, not {type(value).__name__}.",
            field=attribute.name,
            remedy="Give the bytes that write_invoice returned, or the bytes of an XML file.",
        )
    if len(value) > _MOST_BYTES:
        raise InvalidData(
            f"The document has {len(value)} bytes, but an invoice may have at most {_MOST_BYTES}.",
            field=attribute.name,
            remedy="Make the attachments smaller, or replace them with links.",
        )
    document_root(value)


def _as_address(value: Any) -> Any:
    return None if value is None else ElectronicAddress.parse(value, "recipient")


@frozen(kw_only=True)
class OutgoingInvoice:
    """An invoice or a credit note to send, as a document in XML.

    Make it with `moorage.invoices.outgoing_invoice`, which checks the business rules, or from the
    file that `write_fa3` writes. This class itself only detects the syntax and the type of the
    document.

    Attributes:
        document: XML document, in UBL, CII or FA(3).
        recipient: electronic address of the recipient, or its text; None for an FA(3) file, which
            names its buyer itself.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    document: bytes = field(validator=_is_document, repr=False)
    recipient: ElectronicAddress | None = field(default=None, converter=_as_address)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an invoice without a recipient, and an FA(3) file with one."""
        is_fa3 = self.syntax is EinvoiceSyntax.FA3
        if (self.recipient is None) is not is_fa3:
            raise InvalidData(
                "An FA(3) file already names its buyer, so it must not have another recipient."
                if is_fa3
                else "The invoice must have a recipient.",
                field="recipient",
                remedy="Leave out the recipient."
                if is_fa3
                else "Give the electronic address of the recipient, such as '0208:0123456789'.",
            )

    @property
    def address(self) -> ElectronicAddress:
        """The electronic address of the recipient.

        Raises:
            InvalidData: the invoice is an FA(3) file, which has none.
        """
        if self.recipient is None:
            raise InvalidData(
                "An FA(3) file cannot be sent to a recipient's electronic address.",
                field="recipient",
                remedy="Send the file through a vendor that accepts FA(3).",
            )
        return self.recipient

    @property
    def syntax(self) -> EinvoiceSyntax:
        """The syntax of the document."""
        return document_root(self.document)[0]

    @property
    def document_type(self) -> EinvoiceType:
        """The type of the document; a credit note in CII or FA(3) counts as an invoice."""
        return document_root(self.document)[1]

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this document."""
        return frozenset({EinvoiceCapability(self.syntax.value)})


def check_fits(invoice: OutgoingInvoice, limits: Mapping[str, int]) -> None:
    """Refuse a document that exceeds the vendor's limit.

    Args:
        invoice: invoice to send.
        limits: limits of the vendor; only "document_bytes" is read.
    """
    size = len(invoice.document)
    maximum = limits.get("document_bytes", size)
    if size > maximum:
        raise InvalidData(
            f"The document has {size} bytes, but the vendor accepts at most {maximum}.",
            field="document",
            remedy="Make the attachments smaller, or replace them with links.",
        )


@frozen(kw_only=True)
class SentInvoice:
    """A sent invoice, and its state.

    Attributes:
        ref: reference of the invoice at the vendor.
        status: state of the invoice.
        vendor_status: the vendor's own word for the state.
        official_number: number that a national system gave the invoice, such as KSeF's.
        reason: reason of a rejection or a failure, if the vendor states it.
        at: time of the state, if the vendor states it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    status: EinvoiceStatus
    vendor_status: str | None = None
    official_number: str | None = None
    reason: str | None = field(default=None, repr=False)
    at: datetime | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class RecipientCheck:
    """The result of checking whether a recipient can receive a type of document.

    Attributes:
        address: electronic address of the recipient.
        document_type: type of the document.
        can_receive: True if the recipient can receive it, False if not; None if the vendor does
            not distinguish a recipient who cannot receive it from a failed look-up.
        raw: the vendor's complete answer.
    """

    address: ElectronicAddress
    document_type: EinvoiceType
    can_receive: bool | None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ReceivedInvoice:
    """An invoice that arrived at the vendor.

    Attributes:
        ref: reference of the invoice, for `download` and `mark_fetched`.
        sender: electronic address of the sender, if the vendor states one.
        recipient: electronic address that received it, if the vendor states one.
        vendor_type: the vendor's own word for the type of the document.
        at: time of arrival, if the vendor states it.
        document: XML document; None in a list.
        raw: the vendor's complete response.
    """

    ref: Ref
    sender: ElectronicAddress | None = None
    recipient: ElectronicAddress | None = None
    vendor_type: str | None = None
    at: datetime | None = None
    document: bytes | None = field(default=None, repr=False)
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class EinvoiceInbox:
    """The invoices that arrived and are not marked as fetched yet.

    Attributes:
        invoices: the invoices, without their documents.
        raw: the vendor's complete response.
    """

    invoices: tuple[ReceivedInvoice, ...]
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class EinvoiceEvent:
    """An invoice that arrived, or the new state of a sent one.

    Attributes:
        id: unique id of the event, if the vendor states one.
        type: subject of the event.
        ref: reference of the invoice.
        status: state of the sent invoice; None for an invoice that arrived.
        vendor_status: the vendor's own word for the state.
        reason: reason of a rejection or a failure, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    type: EinvoiceEventType
    ref: Ref
    status: EinvoiceStatus | None = None
    vendor_status: str | None = None
    reason: str | None = field(default=None, repr=False)
    raw: Any = field(default=None, repr=False, eq=False)


class EinvoicesVendor(Protocol):
    """The operations of a vendor of electronic invoices; its `capabilities` list the optional ones.

    `mark_fetched` may be repeated: a document that is marked already stays so.
    """

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice: ...

    async def get(self, wire: Wire, ref: Ref, /) -> SentInvoice: ...

    async def check_recipient(
        self, wire: Wire, address: ElectronicAddress, /, *, document_type: EinvoiceType
    ) -> RecipientCheck: ...

    async def list_received(self, wire: Wire, /) -> EinvoiceInbox: ...

    async def download(self, wire: Wire, ref: Ref, /) -> ReceivedInvoice: ...

    async def mark_fetched(self, wire: Wire, ref: Ref, /) -> None: ...
