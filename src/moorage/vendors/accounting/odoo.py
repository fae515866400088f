"""Odoo: a company's books, by JSON-RPC calls to the models of its Invoicing app.

Odoo has no idempotency keys. So each new record gets a mark derived from the key, and if the
response is lost, the record is looked up by its mark. If it is not found, its outcome stays
unknown, and it is not created again. Invoices are created as drafts, compared, and only then
posted.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.accounting import (
    AccountingCapability,
    BookDocument,
    BookInvoice,
    Contact,
    ContactQuery,
    ContactRecord,
    DocumentRecord,
    InvoicePayment,
    InvoiceRecord,
    InvoiceState,
    Journal,
    JournalRecord,
    JournalState,
    LedgerAccount,
    PaymentRecord,
    TaxRate,
)
from moorage.vendors.accounting._common import (
    BILL,
    CUSTOMER,
    FILE,
    INVOICE,
    JOURNAL,
    PAYMENT,
    SUPPLIER,
    check_contact,
    check_currency,
    check_unpaid,
    money_number,
    type_at,
    with_equal_total,
)
from moorage.vendors.accounting._odoo_calls import (
    KeyInBody,
    call,
    classify,
    id_of,
    result_of,
    search_read,
)
from moorage.vendors.accounting._odoo_records import (
    ACCOUNT_FIELDS,
    MOVE_FIELDS,
    PARTNER_FIELDS,
    RANKS,
    TAX_FIELDS,
    contact_values,
    invoice_values,
    journal_values,
    read_account,
    read_entry,
    read_move,
    read_partner,
    read_tax,
    whole_id,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Answer, Ref, Request, Response, Secret, Wire

_MOVES: Final = "account.move"
_PARTNERS: Final = "res.partner"
_PAYMENTS: Final = "account.payment"
_PAYMENT_FORM: Final = "account.payment.register"
_FILES: Final = "ir.attachment"
_MARK_LENGTH: Final = 24
_MARKED_FIELDS: Final = {_MOVES: "invoice_origin", _FILES: "description", _PARTNERS: "ref"}
_MEMOS: Final = {17: "ref", 18: "memo", 19: "memo"}
"""The field with the text of a payment, by the release of Odoo."""
_ROLES: Final = (CUSTOMER, SUPPLIER)
_INVOICES: Final = (INVOICE, BILL)
_JOURNAL_TYPES: Final = ["bank", "cash", "credit"]


@attrs.frozen(kw_only=True)
class Odoo(sdk.Vendor):
    """A user of an Odoo database.

    Attributes:
        base_url: URL of Odoo, such as https://shop.odoo.com.
        database: name of the database.
        user_id: id of the user.
        api_key: API key of the user.
        release: release of Odoo.
    """

    name: ClassVar[str] = "odoo"
    kinds: ClassVar[tuple[str, ...]] = ("accounting",)
    capabilities: ClassVar[frozenset[str]] = frozenset(AccountingCapability) - {
        AccountingCapability.INVOICE_NUMBERS
    }

    base_url: str
    database: str
    user_id: int = attrs.field(validator=sdk.whole_number())
    api_key: Secret = attrs.field(converter=sdk.as_secret)
    release: int = sdk.choice(18, *_MEMOS, problem="moorage does not support this release of Odoo.")

    def services(self) -> Mapping[str, sdk.Service]:
        """The JSON-RPC API; the user's key is added to a call when it is sent."""
        return {
            "": sdk.Service(
                self.name,
                self.base_url,
                credentials=sdk.Credentials.none(),
                classify=classify,
                request_transforms=(KeyInBody(self.api_key),),
                redaction=sdk.Redaction(secrets=(self.api_key,)),
            )
        }

    async def create_contact(
        self, wire: Wire, contact: Contact, /, *, key: str | None
    ) -> ContactRecord:
        """Create a partner; if it has no number, its reference is a mark derived from the key.

        If the response is lost, a partner with a number is looked up by all its details, because an
        older partner may have the same number and name.
        """
        values = contact_values(contact, await self._country(wire, contact))
        condition = [
            [name, "=", value] for name, value in values.items() if name not in RANKS.values()
        ]
        if contact.number is None and key is not None:
            values["ref"] = _mark(wire, key)
            condition = [["ref", "=", values["ref"]]]
        values = sdk.merged(values, sdk.extra_for(self.name, contact.extra))
        id_ = await self._create(wire, _PARTNERS, values, key, condition)
        return await self._partner(wire, id_, contact.role.value)

    async def update_contact(self, wire: Wire, ref: Ref, contact: Contact, /) -> ContactRecord:
        """Change the given details of a partner."""
        role, id_ = type_at(ref, *_ROLES), whole_id(ref.id, "ref")
        values = contact_values(contact, await self._country(wire, contact))
        values = sdk.merged(values, sdk.extra_for(self.name, contact.extra))
        request = self._call(_PARTNERS, "write", [[id_], values], repeatable=True)
        result_of(await wire.send(request))
        return await self._partner(wire, id_, role)

    async def find_contacts(self, wire: Wire, query: ContactQuery, /) -> tuple[ContactRecord, ...]:
        """Search partners by name, email address or reference."""
        details = {"name": query.name, "email": query.email, "ref": query.number}
        condition = [[name, "=", value] for name, value in details.items() if value is not None]
        items = await self._search(wire, _PARTNERS, condition, PARTNER_FIELDS)
        return tuple(read_partner(wire.ref, query.role.value, item) for item in items)

    async def accounts(self, wire: Wire, /) -> tuple[LedgerAccount, ...]:
        """Get the accounts."""
        items = await self._search(wire, "account.account", [], ACCOUNT_FIELDS)
        return tuple(map(read_account, items))

    async def tax_rates(self, wire: Wire, /) -> tuple[TaxRate, ...]:
        """Get the active taxes."""
        items = await self._search(wire, "account.tax", [], TAX_FIELDS)
        return tuple(map(read_tax, items))

    async def create_invoice(
        self, wire: Wire, contact: Ref, invoice: BookInvoice, /, *, key: str | None
    ) -> InvoiceRecord:
        """Create a draft, compare its total, and post it if it should be final."""
        check_contact(contact, invoice)
        currency = await self._active_id(wire, "res.currency", [["name", "=", invoice.currency]])
        values = invoice_values(whole_id(contact.id, "ref"), invoice, currency)
        values = sdk.merged(values, sdk.extra_for(self.name, invoice.extra))
        id_ = await self._create_marked(wire, _MOVES, values, key)
        record = read_move(wire.ref, await self._read_move(wire, id_))
        record = await with_equal_total(record, invoice, "Odoo", lambda: self._delete(wire, id_))
        if not invoice.final or record.state is not InvoiceState.DRAFT:
            return record
        return read_move(wire.ref, await self._post(wire, id_))

    async def get_invoice(self, wire: Wire, ref: Ref, /) -> InvoiceRecord:
        """Get an invoice or a bill."""
        type_at(ref, *_INVOICES)
        return read_move(wire.ref, await self._read_move(wire, whole_id(ref.id, "ref")))

    async def void_invoice(self, wire: Wire, ref: Ref, /) -> InvoiceRecord:
        """Reset an invoice to draft, and cancel it."""
        record = await self.get_invoice(wire, ref)
        if record.state is InvoiceState.VOID:
            return record
        check_unpaid(record, "amount_total", "amount_residual")
        id_ = whole_id(ref.id, "ref")
        methods = ("button_draft", "button_cancel")
        for method in methods[record.state is InvoiceState.DRAFT :]:
            result_of(await wire.send(self._call(_MOVES, method, [[id_]])))
        return await self.get_invoice(wire, ref)

    async def record_payment(
        self, wire: Wire, ref: Ref, payment: InvoicePayment, /, *, key: str | None
    ) -> PaymentRecord:
        """Fill in Odoo's payment form, which also reconciles the payment with the invoice."""
        check_currency(await self.get_invoice(wire, ref), payment)
        account = whole_id(payment.account, "account")
        journal = await self._active_id(
            wire,
            "account.journal",
            [["default_account_id", "=", account], ["type", "in", _JOURNAL_TYPES]],
        )
        mark = "" if key is None else _mark(wire, key)
        values = {
            "amount": money_number(payment.amount),
            "payment_date": payment.date.isoformat(),
            "journal_id": journal,
            "communication": " ".join(filter(None, (payment.reference, mark))) or False,
        }
        values = sdk.merged(values, sdk.extra_for(self.name, payment.extra))
        invoices = {"active_model": _MOVES, "active_ids": [whole_id(ref.id, "ref")]}
        # The form changes nothing in the books, and Odoo deletes it later.
        form = self._call(_PAYMENT_FORM, "create", [values], {"context": invoices}, repeatable=True)
        form_key = None if key is None else sdk.part_key(key, "form")
        form_id: int = await wire.send(form, key=form_key, parse=id_of)
        submission = self._call(_PAYMENT_FORM, "action_create_payments", [[form_id]])
        try:
            id_ = await wire.send(submission, key=key, parse=_payment_id)
        except sdk.OutcomeUnknown as unknown_outcome:
            condition = [[_MEMOS[self.release], "like", mark]]
            id_ = await self._recover_id(wire, _PAYMENTS, condition, unknown_outcome)
        item = await self._record(wire, _PAYMENTS, id_, ("amount", "currency_id", "state"))
        amount = sdk.as_money(item.value("amount"), item.text("currency_id.1"))
        return PaymentRecord(
            ref=wire.ref(str(id_), type=PAYMENT),
            invoice=ref,
            amount=amount or payment.amount,
            raw=item.raw,
        )

    async def post_journal(
        self, wire: Wire, journal: Journal, /, *, key: str | None
    ) -> JournalRecord:
        """Create a draft entry in the general journal, and post it."""
        values = sdk.merged(journal_values(journal), sdk.extra_for(self.name, journal.extra))
        id_ = await self._create_marked(wire, _MOVES, values, key)
        record = read_entry(wire.ref, await self._read_move(wire, id_))
        if record.state is not JournalState.DRAFT:
            return record
        return read_entry(wire.ref, await self._post(wire, id_))

    async def attach(
        self, wire: Wire, ref: Ref, document: BookDocument, /, *, key: str | None
    ) -> DocumentRecord:
        """Attach a file to an invoice, a bill or a journal entry."""
        type_at(ref, *_INVOICES, JOURNAL)
        values = {
            "name": document.name,
            "datas": b64encode(document.content).decode(),
            "mimetype": document.content_type,
            "res_model": _MOVES,
            "res_id": whole_id(ref.id, "ref"),
        }
        id_ = await self._create_marked(wire, _FILES, values, key)
        return DocumentRecord(
            ref=wire.ref(str(id_), type=FILE), name=document.name, raw={"result": id_}
        )

    @property
    def _account(self) -> tuple[str, int]:
        return self.database, self.user_id

    def _call(
        self,
        model: str,
        method: str,
        arguments: list[Any],
        options: Mapping[str, Any] | None = None,
        *,
        repeatable: bool = False,
    ) -> Request:
        return call(self._account, model, method, arguments, options, repeatable=repeatable)

    async def _search(
        self, wire: Wire, model: str, condition: list[Any], fields: tuple[str, ...]
    ) -> list[Answer]:
        return await search_read(wire, self._account, model, condition, fields)

    async def _create_marked(
        self, wire: Wire, model: str, values: dict[str, Any], key: str | None
    ) -> int:
        """Create a record with a mark derived from its key, and return its id."""
        field = _MARKED_FIELDS[model]
        mark = False if key is None else _mark(wire, key)
        return await self._create(wire, model, {**values, field: mark}, key, [[field, "=", mark]])

    async def _create(
        self,
        wire: Wire,
        model: str,
        values: dict[str, Any],
        key: str | None,
        condition: list[Any],
    ) -> int:
        """Create a record; if the response is lost, look the record up."""
        request = self._call(model, "create", [values])
        try:
            return await wire.send(request, key=key, parse=id_of)
        except sdk.OutcomeUnknown as unknown_outcome:
            return await self._recover_id(wire, model, condition, unknown_outcome)

    async def _recover_id(
        self,
        wire: Wire,
        model: str,
        condition: list[Any],
        unknown_outcome: sdk.OutcomeUnknown,
    ) -> int:
        """Return the id of the only record that matches a condition, or raise OutcomeUnknown."""
        try:
            items = await self._search(wire, model, condition, ("id",))
        except sdk.ConnectorError:
            items = []
        ids = [id_ for item in items if (id_ := item.integer("id")) is not None]
        if len(ids) != 1:
            raise unknown_outcome from None
        return ids[0]

    async def _record(self, wire: Wire, model: str, id_: int, fields: tuple[str, ...]) -> Answer:
        for item in await self._search(wire, model, [["id", "=", id_]], fields):
            return item
        raise sdk.VendorRejected(
            "Odoo does not have this record, or this user is not allowed to see it.",
            vendor_code="MissingError",
            remedy="Check the reference, and the companies and access rights of the user.",
        )

    async def _read_move(self, wire: Wire, id_: int) -> Answer:
        return await self._record(wire, _MOVES, id_, MOVE_FIELDS)

    async def _partner(self, wire: Wire, id_: int, role: str) -> ContactRecord:
        item = await self._record(wire, _PARTNERS, id_, PARTNER_FIELDS)
        return read_partner(wire.ref, role, item)

    async def _post(self, wire: Wire, id_: int) -> Answer:
        """Post a draft; a draft that is already posted is not an error."""
        try:
            result_of(await wire.send(self._call(_MOVES, "action_post", [[id_]])))
        except sdk.ConnectorError:
            # The response to an earlier, successful attempt may have been lost.
            item = await self._read_move(wire, id_)
            if item.text("state") != "posted":
                raise
            return item
        return await self._read_move(wire, id_)

    async def _delete(self, wire: Wire, id_: int) -> None:
        result_of(await wire.send(self._call(_MOVES, "unlink", [[id_]])))

    async def _country(self, wire: Wire, contact: Contact) -> int | None:
        if contact.address is None:
            return None
        return await self._active_id(wire, "res.country", [["code", "=", contact.address.country]])

    async def _active_id(self, wire: Wire, model: str, condition: list[Any]) -> int:
        """The id of the first active record that matches a condition."""
        for item in await self._search(wire, model, condition, ("id",)):
            if (id_ := item.integer("id")) is not None:
                return id_
        name, _, value = condition[0]
        raise sdk.InvalidData(
            f"Odoo has no active record of {model} with the {name} {value}.",
            field=_NAMED_FIELDS[model],
            remedy="Pass another value, or activate the record in Odoo.",
        )


_NAMED_FIELDS: Final = {
    "res.currency": "currency",
    "res.country": "address.country",
    "account.journal": "account",
}


def _mark(wire: Wire, key: str) -> str:
    """A string derived from a key, without characters that are special in a search."""
    return f"moorage-{sdk.key_for_vendor(wire, key, 0)[:_MARK_LENGTH]}"


def _payment_id(response: Response) -> int:
    """The id of the only payment that Odoo's payment form has created."""
    result = sdk.as_answer(result_of(response))
    return sdk.required(result.integer("res_id"), response, "res_id")
