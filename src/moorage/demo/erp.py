"""A small business system. Its code does not depend on any vendor."""

from __future__ import annotations

from decimal import ROUND_HALF_UP
from typing import TYPE_CHECKING

from moorage.contracts.address import Address
from moorage.contracts.chat import ChatMessage
from moorage.contracts.email import Attachment, EmailMessage
from moorage.contracts.payments import Charge, Customer, Money, buyer_notice
from moorage.contracts.shipping import Parcel, RateRequest, ShipmentRequest
from moorage.contracts.sms import SmsMessage
from moorage.demo.invoice_abroad import (
    BUYER,
    DAY,
    NUMBER,
    PRICE,
    SELLER,
    reverse_charge_invoice,
)
from moorage.errors import PaymentDeclined
from moorage.invoices import write_invoice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage import ExecutionResult, Hub, LogLine, Ref, Result
    from moorage.contracts.chat import ChatReceipt
    from moorage.contracts.email_outcomes import EmailReceipt
    from moorage.contracts.payments import Capture, Payment
    from moorage.contracts.shipping import Shipment
    from moorage.contracts.sms import SmsReceipt

WAREHOUSE = Address(
    name="ACME",
    line1="417 Montgomery Street",
    city="San Francisco",
    region="CA",
    postal_code="94104",
    country="US",
    phone="+14153334445",
    email="shop@acme.example",
)
ADA = Address(
    name="Ada Lovelace",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    phone="+14155559999",
    email="ada@example.com",
)


class Erp:
    """A small business system on a hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def invoice(self, number: str) -> tuple[EmailReceipt, str]:
        """Store and mail an invoice; return the receipt and a URL."""
        pdf = b"%PDF-1.7 " + number.encode()
        files = self.hub.storage()
        files.upload(f"invoices/{number}.pdf", pdf)
        link = files.signed_url(f"invoices/{number}.pdf", expires=3600).url
        return self.mail(number, f"Your invoice {number}", [(f"{number}.pdf", pdf)]), link

    def mail(self, key: str, subject: str, files: Sequence[tuple[str, bytes]] = ()) -> EmailReceipt:
        """Send an email to the buyer, only once per key."""
        message = EmailMessage(
            to="Ada Lovelace <ada@example.com>",
            subject=subject,
            text="Please find the details attached.",
            attachments=[
                Attachment(
                    filename=name,
                    content=content,
                    content_type=f"application/{name.rpartition('.')[2]}",
                )
                for name, content in files
            ],
        )
        return self.hub.email().send_transactional(message, idempotency_key=f"{key}/mail")

    def pay(self, number: str, source: str, tenant: str | None = None) -> Payment:
        """Authorise an order's payment, once per order and card."""
        order = Charge(
            Money("149.90", "EUR"), source, reference=number, customer=Customer(id="ada-1")
        )
        key = f"{number}/pay/{source}"
        return self.hub.payments(tenant).authorize(order, idempotency_key=key)

    def checkout(self, number: str, source: str) -> str:
        """Pay an order; return the text for the buyer."""
        try:
            payment = self.pay(number, source)
        except PaymentDeclined as decline:
            notice = buyer_notice(decline)
            return f"{notice.code}: “{notice.text}”"
        return f"thank you for your {payment.amount}"

    def take(self, number: str, payment: Ref) -> Capture:
        """Capture an authorised payment when the goods are sent."""
        return self.hub.payments().capture(payment, idempotency_key=f"{number}/take")

    def ship(self, number: str) -> Shipment:
        """Buy the cheapest shipping label."""
        parcel = Parcel(weight="1.5", length="30", width="20", height="10")
        request = RateRequest(sender=WAREHOUSE, recipient=ADA, parcels=[parcel])
        return self.hub.shipping().create_shipment(
            ShipmentRequest(rate_request=request), idempotency_key=f"{number}/parcel"
        )

    def remind(self, wave: str, numbers: Sequence[str]) -> list[Result[SmsReceipt]]:
        """Send a text message to many buyers."""
        texts = [
            SmsMessage(to="+4915112345678", text=f"Order {number} is ready.") for number in numbers
        ]
        return self.hub.sms().send_bulk(texts, idempotency_key=wave)

    def pick(self, number: str, article: str) -> int:
        """Take an article from the stock, once per order; return the number left."""
        remaining_pieces: int = self.hub.connectors.run(
            "stock", "take", {"article": article}, idempotency_key=f"{number}/pick/{article}"
        )
        return remaining_pieces

    def announce(self, number: str) -> None:
        """Tell other programs, once per order, that the order was sent."""
        message = {"topic": "parcels", "json": {"order": number, "state": "left"}}
        self.hub.connectors.run("events", "publish", message, idempotency_key=f"{number}/left")

    def invoice_abroad(self) -> Money:
        """Mail an electronic invoice without VAT to a foreign business; return the amount."""
        check = self.hub.tax().check_vat_number(BUYER, requester=SELLER)
        rates = self.hub.currencies().rates(DAY)
        total = rates.convert(PRICE, "EUR", rounding=ROUND_HALF_UP)
        document = write_invoice(reverse_charge_invoice(total, check))
        self.mail(NUMBER, f"Your invoice {NUMBER}", [(f"{NUMBER}.xml", document)])
        return total

    def report_paid(self, number: str) -> None:
        """Tell the team, once per invoice, that it is paid."""
        message = ChatMessage(text=f"Invoice {number} is paid.")
        self.hub.chat().send(message, idempotency_key=f"{number}/paid")

    def alert(self, number: str, text: str) -> ChatReceipt:
        """Post an alert about an invoice into the chat once."""
        message = ChatMessage(text=text)
        return self.hub.chat().send(message, idempotency_key=f"{number}/alert")

    def solve_alert(self, alert: ChatReceipt, text: str) -> None:
        """Replace the text of an alert, by the vendor that posted it."""
        if alert.ref is not None:
            self.hub.chat().edit(alert.ref, ChatMessage(text=text))

    def withdraw_alert(self, alert: ChatReceipt) -> str:
        """Delete an alert, and return its status then."""
        if alert.ref is None:  # Teams returns no reference
            return alert.status
        return self.hub.chat().delete(alert.ref).status

    def close_month(self, key: str, log: Callable[[LogLine], object]) -> ExecutionResult:
        """Close a month in the ledger, once per key; `log` receives the output lines."""
        return self.hub.steps.run("month-end", idempotency_key=key, log=log)
