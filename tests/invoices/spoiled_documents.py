"""Invoices of many kinds as documents, and documents spoiled by one removed or emptied element."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import InvalidData
from moorage.invoices import (
    EN16931,
    PEPPOL,
    XRECHNUNG,
    InvoiceCard,
    InvoiceDelivery,
    PaymentInstructions,
    PostalAddress,
    PrecedingInvoice,
    VatExemption,
    write_cii,
    write_ubl,
)
from tests.invoices.samples import BUYER, LINE, SELLER, full_invoice, small_invoice, with_field
from tests.invoices.spoiled_fields import (
    MISSING,
    RECOMMENDED,
    SPOILED,
    SPOILED_PEPPOL,
    SPOILED_XRECHNUNG,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.invoices import Invoice, Profile

PROFILES: Final = {"en16931": EN16931, "peppol": PEPPOL, "xrechnung": XRECHNUNG}
SYNTAXES: Final = ("ubl", "cii")
GROUPS: Final = [(profile, syntax) for profile in PROFILES for syntax in SYNTAXES]
"""The profiles and syntaxes in which the documents are written."""

_PARTS_OF: Final = {"en16931": "full", "peppol": "small", "xrechnung": "small"}
"""The kind of invoice from whose documents parts are removed, by profile."""

_CHANGES: Final[dict[str, list[tuple[str, str, str, Any]]]] = {
    "en16931": [
        *(("full", rule, path, None) for rule, path in MISSING),
        *(("full", rule, path, value) for rule, _, path, value in SPOILED),
    ],
    "peppol": [("full", rule, path, value) for rule, _, path, value in SPOILED_PEPPOL],
    "xrechnung": [
        (kind, rule, path, value)
        for rule, _, kind, path, value in (*SPOILED_XRECHNUNG, *RECOMMENDED)
    ],
}
"""By profile, the changes of fields: a kind of invoice, the broken rule, the field, its value."""

_RATES: Final = {"Z": "0", "E": "0", "AE": "0", "K": "0", "G": "0", "L": "7", "M": "4"}


def kinds(profile: Profile) -> dict[str, Invoice]:
    """Return valid invoices of many kinds by their names."""
    full = full_invoice()
    debit = with_field(with_field(full, "payment.code", "59"), "payment.accounts", ())
    card = PaymentInstructions(code="48", card=InvoiceCard(last_digits="6789", holder="A. Muster"))
    invoices = {
        "small": small_invoice(),
        "full": full,
        "debit": debit,
        "card": small_invoice(payment=card),
        "credit note": small_invoice(type_code="381"),
        "correction": small_invoice(type_code="384", preceding=[PrecedingInvoice(number="2040")]),
        **{f"VAT category {code}": _in_category(code, rate) for code, rate in _RATES.items()},
    }
    return {name: invoice.completed(profile) for name, invoice in invoices.items()}


def _in_category(code: str, rate: str) -> Invoice:
    line = attrs.evolve(LINE, vat_category=code, vat_rate=Decimal(rate))
    delivery = small_invoice().delivery
    if code == "K":
        delivery = InvoiceDelivery(
            date=attrs.evolve(small_invoice()).issue_date,
            address=PostalAddress(city="Malmö", postal_code="21119", country="SE"),
        )
    reasons = [] if code in {"Z", "L", "M"} else [VatExemption(category=code, reason="Why")]
    return small_invoice(
        seller=SELLER, buyer=BUYER, lines=[line], exemptions=reasons, delivery=delivery
    )


def documents(profile: str, syntax: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of each document: first the valid ones, then the spoiled ones."""
    write = write_ubl if syntax == "ubl" else write_cii
    invoices = kinds(PROFILES[profile])
    bodies = {name: write(invoice, PROFILES[profile]) for name, invoice in invoices.items()}
    yield from bodies.items()
    kind = _PARTS_OF[profile]
    for change, body in _spoiled(bodies[kind]):
        yield f"{kind} {change}", body
    for number, (kind, rule, path, value) in enumerate(_CHANGES[profile]):
        invoice = with_field(invoices[kind], path, value)
        try:
            yield (
                f"{kind} breaking {rule} by change {number} of {path}",
                write(invoice, PROFILES[profile]),
            )
        except InvalidData:  # the syntax has no element for it
            continue


def _spoiled(body: bytes) -> Iterator[tuple[str, bytes]]:
    for _, (prefix, namespace) in ET.iterparse(BytesIO(body), ("start-ns",)):  # noqa: S314 - a document that moorage wrote
        ET.register_namespace(prefix or "invoice", namespace)  # an official rule names a prefix
    root = ET.fromstring(body)  # noqa: S314 - a document that moorage wrote
    yield from _without_parts(root, root, "")


def _without_parts(root: ET.Element, parent: ET.Element, path: str) -> Iterator[tuple[str, bytes]]:
    for place, child in enumerate(list(parent)):
        child_path = f"{path}/{child.tag.rpartition('}')[2]}"
        same = [item for item in parent if item.tag == child.tag]
        if len(same) > 1:
            child_path += f"[{same.index(child) + 1}]"
        parent.remove(child)
        yield f"without {child_path}", ET.tostring(root)
        parent.insert(place, child)
        if len(child):
            yield from _without_parts(root, child, child_path)
        else:
            text, child.text = child.text, ""
            yield f"with empty {child_path}", ET.tostring(root)
            child.text = text
