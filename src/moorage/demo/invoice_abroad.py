"""The demo's invoice to another country, and the bank statement that shows its payment."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from moorage.contracts.bank import OpenItem, match, read_mt940
from moorage.contracts.payments import Money
from moorage.invoices import (
    Invoice,
    InvoiceDelivery,
    InvoiceLine,
    Party,
    PayeeAccount,
    PaymentInstructions,
    PostalAddress,
    VatExemption,
)

if TYPE_CHECKING:
    from moorage.contracts.tax import VatCheck

NUMBER: Final = "2041"
"""The number of the invoice."""

DAY: Final = date(2022, 2, 25)
"""The day of the invoice."""

SELLER: Final = "DE136695976"
"""The VAT number of the seller."""

BUYER: Final = "FR40303265045"
"""The VAT number of the buyer."""

PRICE: Final = Money("1190.00", "USD")
"""The price that was agreed."""

_IBAN: Final = "DE89370400440532013000"
_STATEMENT: Final = b"""\
:20:STARTUMS
:25:DE89370400440532013000
:28C:00057/001
:60F:C220301EUR5000,00
:61:2203020302C1061,46NTRFNONREF//1
:86:166?00GUTSCHRIFT?20SVWZ+Facture 2041?32QUAI SARL
:61:2203020302C75,00NTRFNONREF//2
:86:166?00GUTSCHRIFT?20SVWZ+Merci?32Max Muster
:62F:C220302EUR6136,46
-
"""


def reverse_charge_invoice(total: Money, check: VatCheck) -> Invoice:
    """Return an invoice without VAT, as allowed by the check of the buyer's VAT number.

    Args:
        total: the amount in euros.
        check: the answer of the register about the buyer.
    """
    line = InvoiceLine(
        id="1",
        name="Lamp",
        quantity=Decimal(1),
        unit="C62",
        net_price=total.amount,
        vat_category="AE",
        vat_rate=Decimal(0),
    )
    return Invoice(
        number=NUMBER,
        issue_date=DAY,
        due_date=date(2022, 3, 11),
        type_code="380",
        currency=total.currency,
        seller=Party(
            name="ACME",
            vat_id=SELLER,
            address=PostalAddress(city="Hamburg", postal_code="20457", country="DE"),
        ),
        buyer=Party(
            name=check.name,
            vat_id=str(check.number),
            address=PostalAddress(city="Marseille", postal_code="13002", country="FR"),
        ),
        delivery=InvoiceDelivery(date=DAY),
        payment=PaymentInstructions(code="58", accounts=(PayeeAccount(iban=_IBAN),)),
        lines=(line,),
        exemptions=(VatExemption(category="AE", reason="Reverse charge"),),
    )


def paid_invoices(total: Money) -> list[str]:
    """Return the numbers of open invoices paid according to the bank statement.

    Args:
        total: the amount of the only open invoice.
    """
    open_items = [OpenItem(id=NUMBER, amount=total, invoice_number=NUMBER)]
    (statement,) = read_mt940(_STATEMENT)
    result = match(statement.entries, open_items)
    return [item.id for payment in result.matched for item in payment.items]
