"""Validation of invoices, used also before writing and after reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from moorage.contracts.validators import OneOf, check_kind
from moorage.errors import InvalidData
from moorage.invoices.binding import read_root
from moorage.invoices.cii import NAMESPACE as CII_NAMESPACE
from moorage.invoices.cii import read_cii_root, write_cii
from moorage.invoices.profiles import EN16931, Profile
from moorage.invoices.rules import raise_violations
from moorage.invoices.ubl import NAMESPACES as UBL_NAMESPACES
from moorage.invoices.ubl import read_ubl_root, write_ubl
from moorage.invoices.values import Invoice

if TYPE_CHECKING:
    from moorage.invoices.rules import Violation
    from moorage.vendor_sdk.xml_text import XmlElement


_READERS: Final = {"FatturaElettronica": "read_fatturapa()", "Faktura": "read_fa3()"}
"""The functions that read the documents of single countries, by their root elements."""


class Syntax(OneOf, field="syntax"):
    """A syntax of EN 16931: UBL 2.1, or UN/CEFACT CII D16B."""

    UBL = "ubl"
    CII = "cii"


def validate(invoice: Invoice, profile: Profile = EN16931) -> tuple[Violation, ...]:
    """Return the violated business rules of a profile, including recommendations.

    Missing totals are computed first. The totals of a received invoice are checked.
    """
    check_kind(invoice, Invoice, "invoice")
    check_kind(profile, Profile, "profile")
    completed_invoice = invoice.completed(profile)
    return tuple(item for rule in profile.rules for item in rule.violations(completed_invoice))


def check(invoice: Invoice, profile: Profile = EN16931) -> None:
    """Raise an error if an invoice violates business rules; recommendations raise none.

    Raises:
        InvalidData: the invoice violates rules. The error's field is that of the first violation,
            and its message names all violated rules.
    """
    violations = (item for item in validate(invoice, profile) if item.fatal)
    raise_violations(violations, f"The invoice violates rules of {profile.name}", "validate")


def read_invoice(body: bytes, profile: Profile = EN16931) -> Invoice:
    """Return the invoice in a UBL or CII document, if it is valid.

    Raises:
        InvalidData: the document cannot be read, or the invoice violates rules of the profile, such
            as stated totals that do not add up. `read_ubl` and `read_cii` accept such invoices.
    """
    root = read_root(body, "The invoice")
    if root.namespace != CII_NAMESPACE and root.namespace not in UBL_NAMESPACES:
        _raise_other_document(root)
    reader = read_cii_root if root.namespace == CII_NAMESPACE else read_ubl_root
    invoice = reader(root)
    check(invoice, profile)
    return invoice


def _raise_other_document(root: XmlElement) -> NoReturn:
    """Refuse a document in another syntax, with a remedy for the frequent cases."""
    name = root.name[:40]
    remedy = "Give a UBL 2.1 Invoice or CreditNote, or a UN/CEFACT CrossIndustryInvoice."
    if name == "CrossIndustryDocument":
        remedy = "The document is of ZUGFeRD 1: ask the sender for ZUGFeRD 2, which is Factur-X."
    elif name in _READERS:
        remedy = f"Read the document with {_READERS[name]}."
    raise InvalidData(
        f"The document is neither a UBL nor a CII invoice: its root element is {name!r}.",
        field=f"/{name}",
        remedy=remedy,
    )


def write_invoice(
    invoice: Invoice, profile: Profile = EN16931, *, syntax: Syntax | str = Syntax.UBL
) -> bytes:
    """Return a valid invoice as a document; equal invoices give equal bytes.

    Raises:
        InvalidData: the invoice violates rules of the profile, or the syntax cannot carry it.
    """
    writer = write_cii if Syntax(syntax) is Syntax.CII else write_ubl
    check(invoice, profile)
    return writer(invoice, profile)
