"""Customers and invoices, independent of their source, and their conversion from Odoo's records.

A record of the JSON-RPC API has `False` where a value is missing, and `[id, name]` for a reference.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.address import Address
from moorage.contracts.payments import Charge, Money
from moorage.contracts.payments import Customer as Buyer

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class Customer:
    """A customer, with an address for labels and payments.

    Attributes:
        id: the id in Odoo.
        address: the customer's address.
    """

    id: int
    address: Address


@attrs.frozen(kw_only=True)
class Invoice:
    """A posted invoice.

    Attributes:
        id: the id in Odoo.
        number: the number that the customer sees.
        open_amount: the unpaid amount.
        customer: the customer who must pay.
        is_paid: True if nothing is left to pay.
        changed_at: the time of the last change, by the clock of Odoo's database.
    """

    id: int
    number: str
    open_amount: Money
    customer: Customer
    is_paid: bool
    changed_at: datetime

    def charge(self, source: str) -> Charge:
        """Return the charge for the open amount, for any payment vendor.

        Args:
            source: the vendor's token of the means of payment.
        """
        address = self.customer.address
        return Charge(
            self.open_amount,
            source,
            reference=self.number,
            customer=Buyer(
                name=address.name or address.company, email=address.email, country=address.country
            ),
        )


def customer_of(record: Mapping[str, Any]) -> Customer:
    """Return the customer of a `res.partner` record."""
    name = record["name"]
    return Customer(
        id=record["id"],
        address=Address(
            name=None if record["is_company"] else name,
            company=name if record["is_company"] else None,
            line1=record["street"] or None,
            line2=record["street2"] or None,
            city=record["city"] or None,
            postal_code=record["zip"] or None,
            country=record["country_code"],
            email=record["email"] or None,
            phone=record["phone"] or None,
            tax_id=record["vat"] or None,
        ),
    )


def invoice_of(record: Mapping[str, Any], customer: Customer) -> Invoice:
    """Return the invoice of an `account.move` record, with its currency as a code."""
    return Invoice(
        id=record["id"],
        number=record["name"],
        # The digits of a JSON number are kept, because a float could change them.
        open_amount=Money(Decimal(str(record["amount_residual"])), record["currency"]),
        customer=customer,
        is_paid=record["payment_state"] == "paid",
        changed_at=moment(record["write_date"]),
    )


def moment(value: str | datetime) -> datetime:
    """Return an Odoo time as UTC; Odoo's times have no zone."""
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time.replace(tzinfo=UTC)
