"""The payment of a CII document, and its terms."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from moorage.invoices.binding import (
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
from moorage.invoices.cii.elements import moment
from moorage.invoices.codes import CREDIT_TRANSFERS
from moorage.invoices.values import DirectDebit, InvoiceCard, PayeeAccount, PaymentInstructions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Za-z0-9 ]{10,40}")
_CARD: Final[tuple[Node, ...]] = (
    FieldEntry("ram:ID", "last_digits"),
    FieldEntry("ram:CardholderName", "holder"),
)
_MEANS: Final[tuple[Node, ...]] = (
    FieldEntry("ram:TypeCode", "code"),
    FieldEntry("ram:Information", "text"),
    Group("ram:ApplicableTradeSettlementFinancialCard", "card", InvoiceCard, _CARD),
    ElementEntry("ram:PayerPartyDebtorFinancialAccount", (FieldEntry("ram:IBANID", "debited"),)),
    ElementEntry(
        "ram:PayeePartyCreditorFinancialAccount",
        (
            FieldEntry("ram:IBANID", "iban"),
            FieldEntry("ram:AccountName", "account_name"),
            FieldEntry("ram:ProprietaryID", "other_account"),
        ),
    ),
    ElementEntry(
        "ram:PayeeSpecifiedCreditorFinancialInstitution", (FieldEntry("ram:BICID", "bic"),)
    ),
)
_MEANS_TAG: Final = "SpecifiedTradeSettlementPaymentMeans"


def _read_payment(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    """Read one payment whose accounts are spread over several elements."""
    payment: Fields = {}
    is_coded = True
    accounts: list[PayeeAccount] = []
    elements = list(parent.all(_MEANS_TAG))
    for number, element in enumerate(elements, 1):
        inner_place = place.inside(f"{_MEANS_TAG}[{number}]")
        means: Fields = {}
        for node in _MEANS:
            node.read(element, means, inner_place)
        merge_fields(payment, means, ("code", "text", "card", "debited"), inner_place)
        is_coded = is_coded and means.get("code") is not None
        account = PayeeAccount(
            iban=means.get("iban") or means.get("other_account"),
            name=means.get("account_name"),
            bic=means.get("bic"),
        )
        is_incomplete = len(elements) > 1 and means.get("code") in CREDIT_TRANSFERS
        if is_incomplete or account != PayeeAccount():
            accounts.append(account)
    if not is_coded:
        payment["code"] = None
    terms: Fields = {}
    _TERMS.read(parent, terms, place)
    fields["payment_terms"] = terms.get("payment_terms")
    fields["due_date"] = terms.get("due_date")
    debit = DirectDebit(mandate=terms.get("mandate"), account=payment.pop("debited", None))
    debited = debit != DirectDebit()
    if elements or debited:
        fields["payment"] = PaymentInstructions(
            accounts=tuple(accounts), direct_debit=debit if debited else None, **payment
        )


def _write_means(value: Any, currency: str | None) -> Iterator[str]:
    payment = value.payment
    if payment is None:
        return
    accounts: list[PayeeAccount] = list(payment.accounts) or [PayeeAccount()]
    for number, account in enumerate(accounts):
        debit = None if number else payment.direct_debit
        iban = account.iban is not None and _IBAN.fullmatch(account.iban) is not None
        means = SimpleNamespace(
            code=payment.code,
            text=payment.text,
            card=None if number else payment.card,
            debited=None if debit is None else debit.account,
            iban=account.iban if iban else None,
            account_name=account.name,
            other_account=None if iban else account.iban,
            bic=account.bic,
        )
        yield f"<ram:{_MEANS_TAG}>{write_nodes(_MEANS, means, currency)}</ram:{_MEANS_TAG}>"


_TERMS: Final = ElementEntry(
    "ram:SpecifiedTradePaymentTerms",
    (
        FieldEntry("ram:Description", "payment_terms"),
        moment("ram:DueDateDateTime", "due_date"),
        FieldEntry("ram:DirectDebitMandateID", "mandate"),
    ),
)


def _read_no_terms(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    """Do nothing, because the payment's table entry reads the terms too."""


def _write_terms(value: Any, currency: str | None) -> Iterator[str]:
    debit = None if value.payment is None else value.payment.direct_debit
    terms = SimpleNamespace(
        payment_terms=value.payment_terms,
        due_date=value.due_date,
        mandate=None if debit is None else debit.mandate,
    )
    return _TERMS.write(terms, currency)


PAYMENT: Final = SpecialElement(_read_payment, _write_means)
PAYMENT_TERMS: Final = SpecialElement(_read_no_terms, _write_terms)
