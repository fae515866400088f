"""The official receipts (UPO) of KSeF, and the numbers that KSeF assigns to invoices."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import attrs

from moorage.errors import InvalidData
from moorage.invoices.binding import read_root, text_at
from moorage.invoices.moments import zoned_moment

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.vendor_sdk.xml_text import XmlElement

_NAMESPACE: Final = re.compile(r"http://upo\.schematy\.mf\.gov\.pl/KSeF/v4-[0-9]{1,2}")
_NUMBER: Final = re.compile(
    r"(?:[1-9][0-9]{9}|M[0-9]{9}|[A-Z]{3}[0-9]{7})-[0-9]{8}-[0-9A-F]{6}-?[0-9A-F]{6}-[0-9A-F]{2}"
)
_POLYNOMIAL: Final = 0x07
_DIGEST_LENGTH: Final = 32


def is_ksef_number(text: str) -> bool:
    """Return whether a text is a KSeF number with a correct checksum.

    Numbers of KSeF's first version have a fourth hyphen; their checksum is not checked.
    """
    if _NUMBER.fullmatch(text) is None:
        return False
    content, _, check_sum = text.rpartition("-")
    return content.count("-") == 3 or f"{_crc8(content.encode()):02X}" == check_sum


def _crc8(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ (_POLYNOMIAL if crc & 0x80 else 0)) & 0xFF
    return crc


@attrs.frozen(kw_only=True)
class AcceptedInvoice:
    """An invoice that KSeF accepted.

    Attributes:
        ksef_number: number that KSeF assigned to it.
        number: number that the seller assigned to it.
        seller_nip: NIP of the seller.
        issue_date: day of issue.
        sent_at: time when it was sent.
        accepted_at: time when KSeF assigned the number, which counts as the time of receipt by the
            buyer.
        digest: SHA-256 of the file.
    """

    ksef_number: str
    number: str
    seller_nip: str | None = None
    issue_date: date | None = None
    sent_at: datetime | None = None
    accepted_at: datetime | None = None
    digest: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class KsefReceipt:
    """A receipt of KSeF for the invoices of a session or for one invoice.

    Attributes:
        session: reference of the session in which the invoices were sent.
        page, pages: number of this page, and of all pages; None for a single invoice.
        invoices: the invoices.
    """

    session: str
    page: int | None = None
    pages: int | None = None
    invoices: tuple[AcceptedInvoice, ...] = ()

    def find(self, document: bytes) -> AcceptedInvoice | None:
        """Return the receipt's entry with the digest of this file; None if there is none."""
        digest = sha256(document).digest()
        return next((item for item in self.invoices if item.digest == digest), None)


def read_upo(body: bytes) -> KsefReceipt:
    """Return the receipt in a UPO file of version 4.

    The signature is not checked, so read only files that came from KSeF.

    Raises:
        InvalidData: the file is not safe XML, not a receipt, or incomplete.
    """
    root = read_root(body, "The receipt of KSeF")
    if root.name != "Potwierdzenie" or _NAMESPACE.fullmatch(root.namespace) is None:
        raise InvalidData(
            f"The document is not a receipt of KSeF: its root element is {root.name[:40]!r}.",
            field=f"/{root.name[:40]}",
            remedy="Give an UPO of version 4.",
        )
    return KsefReceipt(
        session=_required_text(root, "NumerReferencyjnySesji"),
        page=_count(text_at(root, "OpisPotwierdzenia", "Strona")),
        pages=_count(text_at(root, "OpisPotwierdzenia", "LiczbaStron")),
        invoices=tuple(_accepted_invoice(item) for item in root.all("Dokument")),
    )


def _accepted_invoice(element: XmlElement) -> AcceptedInvoice:
    number = _required_text(element, "NumerKSeFDokumentu")
    if not is_ksef_number(number):
        raise _incomplete("NumerKSeFDokumentu", "is not a KSeF number, or its checksum is wrong")
    return AcceptedInvoice(
        ksef_number=number,
        number=_required_text(element, "NumerFaktury"),
        seller_nip=text_at(element, "NipSprzedawcy"),
        issue_date=_day(text_at(element, "DataWystawieniaFaktury")),
        sent_at=zoned_moment(text_at(element, "DataPrzeslaniaDokumentu")),
        accepted_at=zoned_moment(text_at(element, "DataNadaniaNumeruKSeF")),
        digest=_digest(_required_text(element, "SkrotDokumentu")),
    )


def _incomplete(name: str, problem: str) -> InvalidData:
    return InvalidData(
        f"The element {name} in the receipt of KSeF {problem}.",
        field=f"/Potwierdzenie/{name}",
        remedy="Fetch the receipt again.",
    )


def _required_text(element: XmlElement, name: str) -> str:
    text = text_at(element, name)
    if text is None:
        raise _incomplete(name, "is missing")
    return text


def _digest(text: str) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _DIGEST_LENGTH:
        raise _incomplete("SkrotDokumentu", "is not a SHA-256 in base64")
    return digest


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,9}", text) else None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
