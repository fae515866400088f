"""The ERP's tables; the state of a payment only moves forward."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from back_office.calls import ENDED, TEXTS, UNSENT, Line, Outcome
from sqlalchemy import (
    ForeignKey,
    Numeric,
    String,
    UniqueConstraint,
    create_engine,
    event,
    select,
    update,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)

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

session: Final = scoped_session(sessionmaker(expire_on_commit=False))
"""The session of each request."""


def open_books(url: str) -> Any:
    """Return the ERP's database engine; in SQLite, a transaction locks when it begins."""
    scheme, _, address = url.partition("://")
    url = f"{scheme.replace('postgresql', 'postgresql+psycopg')}://{address}"
    engine = create_engine(url, pool_pre_ping=True)  # the server may have closed a connection
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_tables)
        event.listen(
            engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
        )
    session.remove()
    session.configure(bind=engine)
    return engine


def _prepare_tables(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout = 20000")
    connection.execute("PRAGMA foreign_keys = ON")


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


class Base(DeclarativeBase):
    """The base class of all tables."""


class AddressedParty:
    """A person or company with an address."""

    name: Mapped[str]
    email: Mapped[str] = mapped_column(String(200), unique=True)
    phone: Mapped[str]
    line1: Mapped[str]
    city: Mapped[str]
    region: Mapped[str]
    postal_code: Mapped[str]
    country: Mapped[str]
    endpoint: Mapped[str] = mapped_column(default="")

    @property
    def address(self) -> Address:
        """The address in the form for carriers."""
        names = ("name", "email", "phone", "line1", "city", "region", "postal_code", "country")
        return Address(**{name: getattr(self, name) for name in names})


class Company(AddressedParty, Base):
    """A business that uses the ERP; it is a tenant of moorage."""

    __tablename__ = "company"
    slug: Mapped[str] = mapped_column(String(50), primary_key=True)
    currency: Mapped[str]


class Means(Base):
    """A payment method's token, made by a vendor's form in the browser."""

    __tablename__ = "means"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str]
    token: Mapped[str]
    label: Mapped[str]


class Customer(AddressedParty, Base):
    """A customer of a company."""

    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    company_slug: Mapped[str] = mapped_column(ForeignKey("company.slug"))
    company: Mapped[Company] = relationship(lazy="joined")


class Invoice(Base):
    """An invoice for a customer."""

    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)
    company_slug: Mapped[str] = mapped_column(ForeignKey("company.slug"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    number: Mapped[str] = mapped_column(String(30), unique=True)
    title: Mapped[str]
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    state: Mapped[str] = mapped_column(default="due")
    mailed: Mapped[bool] = mapped_column(default=False)
    company: Mapped[Company] = relationship(lazy="joined")
    customer: Mapped[Customer] = relationship(lazy="joined")

    @property
    def price(self) -> str:
        """The amount in readable form."""
        return f"{self.amount} {self.company.currency}"

    @property
    def last(self) -> Attempt | None:
        """The last attempt to pay the invoice."""
        value = session.query(Attempt).filter_by(invoice_id=self.id)
        return value.order_by(Attempt.number.desc()).first()

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
                return last_attempt
            # The failed attempt's key belongs to the other means of payment.
            last_attempt.advance("declined", message=last_attempt.message)
            number += 1
        payment_means = {"account": means.account, "token": means.token}
        return_url = f"{home}back/{number}/"
        new_attempt = Attempt(
            invoice_id=self.id, number=number, back_url=return_url, **payment_means
        )
        session.add(new_attempt)
        return new_attempt


class Attempt(Base):
    """A payment attempt, stored with its idempotency key before a vendor is called."""

    __tablename__ = "attempt"
    __table_args__ = (UniqueConstraint("invoice_id", "number", name="one_attempt"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    number: Mapped[int]
    account: Mapped[str] = mapped_column(default="")
    token: Mapped[str]
    back_url: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")
    message: Mapped[str] = mapped_column(default="")
    ref: Mapped[str] = mapped_column(default="")
    payment_id: Mapped[str] = mapped_column(default="", index=True)
    next_url: Mapped[str] = mapped_column(default="")
    begun: Mapped[float] = mapped_column(default=lambda: datetime.now(UTC).timestamp())
    invoice: Mapped[Invoice] = relationship(lazy="joined")

    @classmethod
    def of(cls, account: str, payment_id: str, reference: str | None) -> Attempt | None:
        """Return the payment attempt that made a payment in an account; None if no attempt did."""
        attempts_of_account = session.query(cls).filter_by(account=account)
        invoice, _, number = (reference or "").rpartition("-")
        attempts_by_reference = attempts_of_account.join(Invoice).filter(
            Invoice.number == invoice, cls.number == row_number(number)
        )
        attempts_without_payment = attempts_by_reference.filter(
            cls.payment_id.in_(["", reference or ""])
        )
        return (
            attempts_of_account.filter_by(payment_id=payment_id).first()
            or attempts_without_payment.first()
        )

    @property
    def begun_at(self) -> datetime:
        """The time when the payment attempt began."""
        return datetime.fromtimestamp(self.begun, UTC)

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

    def advance(self, state: str, **fields: str) -> bool:
        """Move the payment to a later state in the open transaction.

        Return whether the state changed.
        """
        session.execute(select(Invoice.id).filter_by(id=self.invoice_id).with_for_update())
        earlier_states = STATES[: STATES.index(state)]
        attempt_update = update(Attempt).where(
            Attempt.id == self.id, Attempt.state.in_(earlier_states)
        )
        fields = {"message": "", "next_url": "", "state": state} | fields
        is_moved = bool(session.execute(attempt_update.values(**fields)).rowcount)
        if is_moved:
            invoice = update(Invoice).where(Invoice.id == self.invoice_id)
            session.execute(invoice.values(state=state))
        session.refresh(self)
        return is_moved


class Parcel(Base):
    """A parcel that was sent."""

    __tablename__ = "parcel"
    id: Mapped[int] = mapped_column(primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), unique=True)
    ref: Mapped[str]
    service: Mapped[str]
    tracking_number: Mapped[str]
    cost: Mapped[str]
    label: Mapped[bytes]
    status: Mapped[str] = mapped_column(default="bought")
    invoice: Mapped[Invoice] = relationship(lazy="joined")

    @property
    def sent_with(self) -> str:
        """The carrier and service in readable form."""
        return in_words(self.service)

    @property
    def status_text(self) -> str:
        """The parcel's status in readable form."""
        return self.status.replace("_", " ")


class SentDocument(Base):
    """An electronic invoice, contract, consent request or VAT number that is sent to a vendor.

    It is stored with its key before any vendor is called. One that has ended may be sent again
    under a new number, and so a new key.
    """

    __tablename__ = "sent_document"
    __table_args__ = (
        UniqueConstraint("company_slug", "kind", "subject", "number", name="one_document"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    company_slug: Mapped[str] = mapped_column(ForeignKey("company.slug"))
    kind: Mapped[str]
    subject: Mapped[str]
    number: Mapped[int]
    day: Mapped[str] = mapped_column(default=lambda: datetime.now(UTC).date().isoformat())
    state: Mapped[str] = mapped_column(default="open")
    message: Mapped[str] = mapped_column(default="")
    ref: Mapped[str] = mapped_column(default="", index=True)
    company: Mapped[Company] = relationship(lazy="joined")

    @classmethod
    def last(cls, slug: str, kind: str, subject: str) -> SentDocument | None:
        """Return the newest row for a subject, such as an invoice or customer."""
        rows = session.query(cls).filter_by(company_slug=slug, kind=kind, subject=subject)
        return rows.order_by(cls.number.desc()).first()

    @classmethod
    def begin(cls, slug: str, kind: str, subject: str) -> SentDocument | None:
        """Store and return the row to send now; None if it is being sent or was sent."""
        session.execute(select(Company.slug).filter_by(slug=slug).with_for_update())
        row = cls.last(slug, kind, subject)
        if row is None or row.state in ENDED:
            number = 1 if row is None else row.number + 1
            row = cls(company_slug=slug, kind=kind, subject=subject, number=number)
            session.add(row)
        session.commit()
        return row if row.state in UNSENT else None

    @property
    def key(self) -> str:
        """The row's idempotency key."""
        return f"{self.company_slug}/{self.kind}/{self.subject}/{self.number}"

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
        row = update(SentDocument).where(
            SentDocument.id == self.id, SentDocument.state.not_in(ENDED)
        )
        session.execute(row.values(**fields))
        session.commit()
        session.refresh(self)


class Order(Base):
    """An order of the shop, stored once per reference."""

    __tablename__ = "shop_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    company_slug: Mapped[str] = mapped_column(ForeignKey("company.slug"))
    ref: Mapped[str] = mapped_column(String(200), unique=True)
    number: Mapped[str]
    buyer: Mapped[str]
    total: Mapped[str]
    state: Mapped[str]
    updated: Mapped[float] = mapped_column(default=0.0)

    @classmethod
    def store(cls, slug: str, ref: str, fields: dict[str, Any]) -> None:
        """Store an order, or its changes."""
        session.execute(select(Company.slug).filter_by(slug=slug).with_for_update())
        updated_at = fields.pop("updated_at")
        fields["updated"] = 0.0 if updated_at is None else updated_at.timestamp()
        row = session.query(cls).filter_by(ref=ref).first()
        if row is None:
            session.add(cls(company_slug=slug, ref=ref, **fields))
        else:
            session.execute(update(cls).where(cls.id == row.id).values(**fields))
        session.commit()


class BankLine(Base):
    """A booked bank transaction, and the invoices that it pays."""

    __tablename__ = "bank_line"
    __table_args__ = (UniqueConstraint("company_slug", "line_id", name="one_line"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    company_slug: Mapped[str] = mapped_column(ForeignKey("company.slug"))
    line_id: Mapped[str] = mapped_column(String(200))
    day: Mapped[str] = mapped_column(default="")
    amount: Mapped[str]
    text: Mapped[str] = mapped_column(default="")
    invoices: Mapped[str] = mapped_column(default="")

    @classmethod
    def store(cls, slug: str, line: Line) -> None:
        """Store a bank transaction once, and mark the invoices that it pays as paid."""
        session.execute(select(Company.slug).filter_by(slug=slug).with_for_update())
        row = session.query(cls).filter_by(company_slug=slug, line_id=line.id).first()
        if row is None:
            fields = {"day": line.day, "amount": line.amount, "text": line.text}
            row = cls(company_slug=slug, line_id=line.id, invoices="", **fields)
            session.add(row)
        rows = select(Invoice).where(
            Invoice.company_slug == slug, Invoice.number.in_(line.invoices)
        )
        invoices = session.scalars(rows.with_for_update(of=Invoice)).all()
        open_rows = [invoice for invoice in invoices if invoice.following]
        if line.invoices and not row.invoices and len(open_rows) == len(line.invoices):
            row.invoices = ", ".join(line.invoices)
            for invoice in open_rows:
                invoice.state = "paid"
        session.commit()
