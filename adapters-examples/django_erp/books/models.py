"""The ERP's tables; the state of a payment only moves forward."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from back_office.calls import ENDED, TEXTS, UNSENT, Line, Outcome
from django.db import models, transaction
from django.utils import timezone

from moorage.contracts.address import Address
from moorage.contracts.payments import PaymentState

STATES: Final = ("open", "failed", "unknown", "waiting", "pending", "declined", "paid")
"""The states of a payment attempt; each state may only follow states to its left."""
HELD: Final = ("open", "unknown", "waiting", "pending")
"""The states with an unknown outcome, in which no other attempt may begin."""

_STATES_OF_PAYMENTS: Final = {
    PaymentState.REQUIRES_ACTION: "waiting",
    **dict.fromkeys((PaymentState.UNKNOWN, PaymentState.PENDING), "pending"),
    PaymentState.AUTHORIZED: "pending",
    **dict.fromkeys((PaymentState.REQUIRES_PAYMENT_METHOD, PaymentState.FAILED), "declined"),
    **dict.fromkeys((PaymentState.VOIDED, PaymentState.EXPIRED), "declined"),
}
_TEXTS: Final = {
    "open": "A payment is under way, and we do not know yet whether you were charged. "
    "Please do not pay again: we look it up.",
    "waiting": "Your bank wants you to confirm the payment.",
    "pending": "The payment is under way. We tell you when it has arrived.",
    "paid": "It is paid. Thank you.",
    "declined": "The payment was declined. Please use another means of payment.",
}


_NUMBER: Final = re.compile("[1-9][0-9]{0,8}")


def row_number(text: str | None) -> int:
    """Return the number in a string.

    If the string is not a number, return 0, which is not a row's id.
    """
    return int(text) if text and _NUMBER.fullmatch(text) else 0


def in_words(text: str | None) -> str:
    """Return a carrier's word, such as "dhl_paket", in readable form: "DHL paket"."""
    carrier, _, remaining_words = (text or "").partition("_")
    return f"{carrier.upper()} {remaining_words.replace('_', ' ')}".strip()


def state_of(payment: PaymentState) -> str:
    """Convert a vendor's payment state to the state of the ERP's payment attempt."""
    return _STATES_OF_PAYMENTS.get(payment, "paid")


def today() -> str:
    """Return the current day in UTC, such as "2031-05-06"."""
    return timezone.now().date().isoformat()


class AddressedParty(models.Model):
    """A person or company with an address."""

    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)
    phone = models.CharField(max_length=30)
    line1 = models.CharField(max_length=100)
    city = models.CharField(max_length=100)
    region = models.CharField(max_length=10)
    postal_code = models.CharField(max_length=20)
    country = models.CharField(max_length=2)
    endpoint = models.CharField(max_length=150, default="")

    class Meta:
        """The model is abstract, so that it has no table of its own."""

        abstract = True

    @property
    def address(self) -> Address:
        """The address in the form for carriers."""
        names = ("name", "email", "phone", "line1", "city", "region", "postal_code", "country")
        return Address(**{name: getattr(self, name) for name in names})


class Company(AddressedParty):
    """A business that uses the ERP; it is a tenant of moorage."""

    slug = models.SlugField(primary_key=True)
    currency = models.CharField(max_length=3)


class Means(models.Model):
    """A payment method's token, made by a vendor's form in the browser."""

    account = models.CharField(max_length=50)
    token = models.CharField(max_length=100)
    label = models.CharField(max_length=100)


class Customer(AddressedParty):
    """A customer of a company."""

    company = models.ForeignKey(Company, models.PROTECT)


class Invoice(models.Model):
    """An invoice for a customer."""

    company = models.ForeignKey(Company, models.PROTECT)
    customer = models.ForeignKey(Customer, models.PROTECT)
    number = models.CharField(max_length=30, unique=True)
    title = models.CharField(max_length=100)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    state = models.CharField(max_length=10, default="due")
    mailed = models.BooleanField(default=False)

    @property
    def price(self) -> str:
        """The amount in readable form."""
        return f"{self.amount} {self.company.currency}"

    @property
    def last(self) -> Attempt | None:
        """The last attempt to pay the invoice."""
        return self.attempts.order_by("number").last()

    @property
    def following(self) -> int | None:
        """The number of the next payment attempt; None if no attempt is allowed now."""
        last_attempt = self.last
        if self.state == "paid":
            return None
        if last_attempt is None:
            return 1
        if last_attempt.held or last_attempt.state == "paid":
            return None
        return last_attempt.number + (last_attempt.state == "declined")

    def begin(self, means: Means, home: str) -> Attempt:
        """Return the next attempt, marked as started; the caller must have locked the invoice.

        With the same means of payment, a failed attempt is repeated with its key.
        """
        last_attempt, number = self.last, self.following or 1
        if last_attempt is not None and last_attempt.state == "failed":
            if (last_attempt.account, last_attempt.token) == (means.account, means.token):
                last_attempt.state, last_attempt.message = "open", ""
                last_attempt.save(update_fields=["state", "message"])
                return last_attempt
            # The failed attempt's key belongs to the other means of payment.
            last_attempt.advance("declined", message=last_attempt.message)
            number += 1
        payment_means = {"account": means.account, "token": means.token}
        return self.attempts.create(
            number=number, back_url=f"{home}back/{number}/", **payment_means
        )


class Attempt(models.Model):
    """A payment attempt, stored with its idempotency key before a vendor is called."""

    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    account = models.CharField(max_length=50, default="")
    token = models.CharField(max_length=100)
    back_url = models.CharField(max_length=300)
    state = models.CharField(max_length=10, default="open")
    message = models.TextField(default="")
    ref = models.TextField(default="")
    payment_id = models.CharField(max_length=100, default="", db_index=True)
    next_url = models.TextField(default="")
    begun_at = models.DateTimeField(default=timezone.now)

    class Meta:
        """The table has one row per idempotency key."""

        constraints: ClassVar = [models.UniqueConstraint("invoice", "number", name="one_attempt")]

    @classmethod
    def of(cls, account: str, payment_id: str, reference: str | None) -> Attempt | None:
        """Return the payment attempt that made a payment in an account; None if no attempt did."""
        attempts_of_account = cls.objects.filter(account=account)
        invoice, _, number = (reference or "").rpartition("-")
        attempts_by_reference = attempts_of_account.filter(
            invoice__number=invoice, number=row_number(number)
        )
        attempts_without_payment = attempts_by_reference.filter(
            payment_id__in=["", reference or ""]
        )
        return (
            attempts_of_account.filter(payment_id=payment_id).first()
            or attempts_without_payment.first()
        )

    @property
    def reference(self) -> str:
        """The reference of the payment attempt, both in the ERP and at the vendor."""
        return f"{self.invoice.number}-{self.number}"

    @property
    def held(self) -> bool:
        """True if the outcome of the payment attempt is still unknown."""
        return self.state in HELD

    @property
    def text(self) -> str:
        """The text that tells the buyer the state of the payment attempt."""
        return self.message or _TEXTS.get(self.state, "")

    def advance(self, state: str, **fields: Any) -> bool:
        """Move the payment to a later state; return whether this call changed it."""
        with transaction.atomic():
            Invoice.objects.select_for_update().get(pk=self.invoice.pk)
            earlier_states = STATES[: STATES.index(state)]
            attempts_to_move = Attempt.objects.filter(pk=self.pk, state__in=earlier_states)
            is_moved = bool(
                attempts_to_move.update(state=state, **({"message": "", "next_url": ""} | fields))
            )
            if is_moved:
                Invoice.objects.filter(pk=self.invoice.pk).update(state=state)
        self.refresh_from_db()
        return is_moved


class Parcel(models.Model):
    """A parcel that was sent."""

    invoice = models.OneToOneField(Invoice, models.PROTECT)
    ref = models.TextField()
    service = models.CharField(max_length=100)
    tracking_number = models.CharField(max_length=100)
    cost = models.CharField(max_length=30)
    label = models.BinaryField()
    status = models.CharField(max_length=30, default="bought")

    @property
    def sent_with(self) -> str:
        """The carrier and service in readable form."""
        return in_words(self.service)

    @property
    def status_text(self) -> str:
        """The parcel's status in readable form."""
        return self.status.replace("_", " ")


class SentDocument(models.Model):
    """An electronic invoice, contract, consent request or VAT number that is sent to a vendor.

    It is stored with its key before any vendor is called. One that has ended may be sent again
    under a new number, and so a new key.
    """

    company = models.ForeignKey(Company, models.PROTECT)
    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=50)
    number = models.PositiveIntegerField()
    day = models.CharField(max_length=10, default=today)
    state = models.CharField(max_length=20, default="open")
    message = models.TextField(default="")
    ref = models.TextField(default="", db_index=True)

    class Meta:
        """The table has one row per idempotency key."""

        constraints: ClassVar = [
            models.UniqueConstraint("company", "kind", "subject", "number", name="one_document")
        ]

    @classmethod
    def last(cls, company: Company, kind: str, subject: str) -> SentDocument | None:
        """Return the newest row for a subject, such as an invoice or customer."""
        rows = cls.objects.filter(company=company, kind=kind, subject=subject)
        return rows.select_related("company").order_by("number").last()

    @classmethod
    def begin(cls, company: Company, kind: str, subject: str) -> SentDocument | None:
        """Return the row to send now; None if it is being sent or was sent."""
        with transaction.atomic():
            Company.objects.select_for_update().get(pk=company.pk)
            last_row = cls.last(company, kind, subject)
            if last_row is None or last_row.state in ENDED:
                number = 1 if last_row is None else last_row.number + 1
                fields = {"company": company, "kind": kind, "subject": subject, "number": number}
                return cls.objects.create(**fields)
        return last_row if last_row.state in UNSENT else None

    @property
    def key(self) -> str:
        """The row's idempotency key."""
        return f"{self.company.slug}/{self.kind}/{self.subject}/{self.number}"

    @property
    def text(self) -> str:
        """The text that tells people the state of the document."""
        return self.message or TEXTS["open"]

    @property
    def may_begin(self) -> bool:
        """True if a person may send the document now, or again."""
        return self.state in (*UNSENT, *ENDED)

    def store_outcome(self, outcome: Outcome) -> None:
        """Store the document's new state, unless the stored state is final."""
        fields = {"state": outcome.state, "message": outcome.message}
        fields |= {"ref": outcome.ref} if outcome.ref else {}
        SentDocument.objects.filter(pk=self.pk).exclude(state__in=ENDED).update(**fields)
        self.refresh_from_db()


class Order(models.Model):
    """An order of the shop, stored once per reference."""

    company = models.ForeignKey(Company, models.PROTECT)
    ref = models.CharField(max_length=200, unique=True)
    number = models.CharField(max_length=50)
    buyer = models.CharField(max_length=200)
    total = models.CharField(max_length=30)
    state = models.CharField(max_length=30)
    updated_at = models.DateTimeField(null=True)


class BankLine(models.Model):
    """A booked bank transaction, and the invoice that it pays."""

    company = models.ForeignKey(Company, models.PROTECT)
    line_id = models.CharField(max_length=200)
    day = models.CharField(max_length=10, default="")
    amount = models.CharField(max_length=30)
    text = models.TextField(default="")
    invoices = models.CharField(max_length=200, default="")

    class Meta:
        """The table has one row per bank transaction."""

        constraints: ClassVar = [models.UniqueConstraint("company", "line_id", name="one_line")]

    @classmethod
    def store(cls, company: Company, line: Line) -> None:
        """Store a bank transaction once, and mark the invoices that it pays as paid."""
        fields = {"day": line.day, "amount": line.amount, "text": line.text}
        with transaction.atomic():
            Company.objects.select_for_update().get(pk=company.pk)
            row, _ = cls.objects.get_or_create(company=company, line_id=line.id, defaults=fields)
            rows = Invoice.objects.filter(company=company, number__in=line.invoices)
            open_rows = [invoice for invoice in rows.select_for_update() if invoice.following]
            if line.invoices and not row.invoices and len(open_rows) == len(line.invoices):
                rows.update(state="paid")
                cls.objects.filter(pk=row.pk).update(invoices=", ".join(line.invoices))
