"""The payment of a UBL document."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.errors import InvalidData
from moorage.invoices.binding import (
    DAY,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Group,
    Node,
    SpecialElement,
    merge_fields,
    write_nodes,
)
from moorage.invoices.codes import CREDIT_TRANSFERS
from moorage.invoices.ubl.elements import UNNAMED, reference, root_of
from moorage.invoices.values import DirectDebit, InvoiceCard, PayeeAccount, PaymentInstructions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

_ACCOUNT: Final[tuple[Node, ...]] = (
    FieldEntry("cbc:ID", "iban"),
    FieldEntry("cbc:Name", "name"),
    reference("cac:FinancialInstitutionBranch", "bic"),
)
_PAYEE_ACCOUNT: Final = Group(
    "cac:PayeeFinancialAccount", "accounts", PayeeAccount, _ACCOUNT, many=True
)
_MEANS: Final[tuple[Node, ...]] = (
    FieldEntry("cbc:PaymentMeansCode", "code", attributes={"name": "text"}),
    FieldEntry("cbc:PaymentDueDate", "due_date", DAY),
    FieldEntry("cbc:PaymentID", "payment_reference"),
    Group(
        "cac:CardAccount",
        "card",
        InvoiceCard,
        (
            FieldEntry("cbc:PrimaryAccountNumberID", "last_digits"),
            FieldEntry("cbc:NetworkID", "network"),
            FieldEntry("cbc:HolderName", "holder"),
        ),
    ),
    _PAYEE_ACCOUNT,
    Group(
        "cac:PaymentMandate",
        "direct_debit",
        DirectDebit,
        (
            FieldEntry("cbc:ID", "mandate"),
            ElementEntry("cac:PayerFinancialAccount", (FieldEntry("cbc:ID", "account"),)),
        ),
    ),
)
_SINGLE_FIELDS: Final = ("code", "text", "due_date", "payment_reference", "card", "direct_debit")


def _read_payment(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    """Read one payment whose accounts are spread over several elements."""
    payment: Fields = {"accounts": ()}
    is_coded = True
    elements = list(parent.all("PaymentMeans"))
    for number, element in enumerate(elements, 1):
        inner_place = place.inside(f"PaymentMeans[{number}]")
        means: Fields = {}
        for node in _MEANS:
            node.read(element, means, inner_place)
        if not means["accounts"] and len(elements) > 1 and means.get("code") in CREDIT_TRANSFERS:
            means["accounts"] = (PayeeAccount(),)  # a payment account without a number
        payment["accounts"] += means["accounts"]
        merge_fields(payment, means, _SINGLE_FIELDS, inner_place, " (UBL-SR-44, UBL-SR-47)")
        is_coded = is_coded and means.get("code") is not None
    if not elements:
        return
    if not is_coded:
        payment["code"] = None
    due_date = payment.pop("due_date", None)
    if fields.get("due_date") is None:
        fields["due_date"] = due_date
    fields["payment_reference"] = payment.pop("payment_reference", None)
    fields["payment"] = PaymentInstructions(**payment)


def _write_payment(value: Any, currency: str | None) -> Iterator[str]:
    payment = value.payment
    due_date = value.due_date if root_of(value) == "CreditNote" else None
    if payment is None:
        if due_date is not None or value.payment_reference is not None:
            raise InvalidData(
                "UBL can contain a payment reference, or a credit note's due date, only"
                " together with payment instructions.",
                field="payment",
                remedy="Give payment=PaymentInstructions(code=...).",
            )
        return
    accounts: list[tuple[PayeeAccount, ...]] = [(account,) for account in payment.accounts]
    for number, account in enumerate(accounts or [()]):
        means = SimpleNamespace(
            code=payment.code,
            text=None if number else payment.text,  # the rule UBL-SR-46 allows only one
            due_date=due_date,
            payment_reference=value.payment_reference,
            card=None if number else _with_network(payment.card),
            accounts=account,
            direct_debit=None if number else payment.direct_debit,
        )
        yield f"<cac:PaymentMeans>{write_nodes(_MEANS, means, currency)}</cac:PaymentMeans>"


def _with_network(card: InvoiceCard | None) -> InvoiceCard | None:
    """Return the card; if its network name is missing, add one, because the schema requires it."""
    if card is None or card.network is not None:
        return card
    return attrs.evolve(card, network=UNNAMED)


PAYMENT: Final = SpecialElement(_read_payment, _write_payment)
