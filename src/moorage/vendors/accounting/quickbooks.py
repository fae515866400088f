"""QuickBooks Online: a company's books, by version 3 of the Accounting API.

A request with a `requestid` is carried out once, so each creation with a key may be repeated. A
change names the version of its record; if another client has changed the record meanwhile, the
change is sent once more with the new version. Sales invoices have items instead of accounts, and
there are no drafts.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.accounting import (
    AccountingCapability,
    AccountingEvent,
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
    LedgerAccount,
    PaymentRecord,
    TaxRate,
)
from moorage.vendors.accounting._common import (
    BILL,
    CUSTOMER,
    INVOICE,
    INVOICE_TYPES,
    JOURNAL,
    SUPPLIER,
    check_contact,
    check_currency,
    check_has_new_records,
    check_unpaid,
    filled_fields,
    type_at,
    with_equal_total,
)
from moorage.vendors.accounting._quickbooks_answers import (
    ENTITIES,
    GONE,
    STALE,
    classify,
    entity_of,
    queried,
    read_account,
    read_attachment,
    read_contact,
    read_events,
    read_invoice,
    read_journal,
    read_payment,
    read_tax_codes,
)
from moorage.vendors.accounting._quickbooks_requests import (
    PAYMENTS,
    contact_body,
    escaped_text,
    invoice_body,
    journal_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


R = TypeVar("R")

_LIVE: Final = "https://quickbooks.api.intuit.com"
_TEST: Final = "https://sandbox-quickbooks.api.intuit.com"
_KEY: Final = 50
_PAGE: Final = 1_000
_ROLES: Final = (CUSTOMER, SUPPLIER)
_INVOICES: Final = (INVOICE, BILL)
_KEYS: Final = sdk.VendorKeys(
    # Intuit publishes no retention time; an hour covers the usual repeats.
    memory=3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=("https://blogs.intuit.com/2015/04/06/15346/",),
)


@attrs.frozen(kw_only=True)
class QuickBooks(sdk.ApiVendor):
    """A company at QuickBooks Online.

    Attributes:
        credentials: access token of the company; by default the credential provider supplies it,
            and renews it.
        realm_id: Intuit's id of the company.
        minor_version: minor version of the API.
        base_url: URL of the API; its sandbox is https://sandbox-quickbooks.api.intuit.com.
    """

    name = "quickbooks"
    kinds = ("accounting",)
    api_version = "3"
    capabilities = frozenset({AccountingCapability.ITEMS, AccountingCapability.INVOICE_NUMBERS})
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": _KEY, "invoice_number": 21}
    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    webhook = "intuit"
    idempotency = _KEYS

    refusals = staticmethod(classify)
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}
    ping_path = "/v3/company/{realm_id}/companyinfo/{realm_id}"

    realm_id: str = attrs.field(
        validator=sdk.matches(
            "[0-9]{1,20}",
            problem="The value is not the id of a company at QuickBooks Online.",
            remedy="Copy the realm id, which is a number, from the authorization's redirect.",
        )
    )
    minor_version: int = attrs.field(default=75, validator=sdk.whole_number())
    base_url: str = _LIVE

    async def create_contact(
        self, wire: sdk.Wire, contact: Contact, /, *, key: str | None
    ) -> ContactRecord:
        """Create a customer or vendor with a unique name."""
        name = ENTITIES[contact.role.value]
        body = sdk.merged(contact_body(contact), sdk.extra_for(self.name, contact.extra))
        parse = partial(_contact, wire, contact.role.value)
        return await self._create(wire, f"/{name.lower()}", body, key, parse)

    async def update_contact(
        self, wire: sdk.Wire, ref: sdk.Ref, contact: Contact, /
    ) -> ContactRecord:
        """Change the given details of a customer or vendor."""
        role = type_at(ref, *_ROLES)
        details = sdk.merged(contact_body(contact), sdk.extra_for(self.name, contact.extra))
        path = f"/{ENTITIES[role].lower()}"
        for attempt in range(2):
            body = {"sparse": True, **details, **await self._version(wire, ref)}
            request = self._post(path, body).evolve(idempotent=True)
            try:
                return _contact(wire, role, await wire.send(request))
            except sdk.VendorRejected as refusal:
                if refusal.vendor_code != STALE or attempt:
                    raise
        raise AssertionError  # pragma: no cover - the second attempt returns or raises

    async def find_contacts(
        self, wire: sdk.Wire, query: ContactQuery, /
    ) -> tuple[ContactRecord, ...]:
        """Search customers or vendors by name or email address."""
        field, text = "DisplayName", query.name
        if text is None:
            field, text = "PrimaryEmailAddr", query.email
        name = ENTITIES[query.role.value]
        items = await self._query(wire, name, f"where {field} = '{escaped_text(text or '')}'")
        return tuple(
            read_contact(wire.ref, query.role.value, item) for item in items if item.text("Id")
        )

    async def accounts(self, wire: sdk.Wire, /) -> tuple[LedgerAccount, ...]:
        """Get the active accounts."""
        items = await self._query(wire, "Account", "where Active = true")
        return tuple(filter(None, map(read_account, items)))

    async def tax_rates(self, wire: sdk.Wire, /) -> tuple[TaxRate, ...]:
        """Get the tax codes for invoice lines, with the percentages of their rates."""
        codes = await self._query(wire, "TaxCode", "")
        return read_tax_codes(codes, await self._query(wire, "TaxRate", ""))

    async def create_invoice(
        self, wire: sdk.Wire, contact: sdk.Ref, invoice: BookInvoice, /, *, key: str | None
    ) -> InvoiceRecord:
        """Create an invoice or a bill, and compare its total."""
        check_contact(contact, invoice)
        kind = INVOICE_TYPES[invoice.kind]
        body = sdk.merged(invoice_body(contact, invoice), sdk.extra_for(self.name, invoice.extra))
        parse = partial(read_invoice, wire, kind)
        path = f"/{ENTITIES[kind].lower()}"
        record: InvoiceRecord = await self._create(wire, path, body, key, parse)
        # Without a total, the outcome is unknown.
        with suppress(sdk.ConnectorError):
            record = await self._with_amounts(wire, record)
        return await with_equal_total(
            record, invoice, "QuickBooks", lambda: self._undo(wire, record.ref)
        )

    async def get_invoice(self, wire: sdk.Wire, ref: sdk.Ref, /) -> InvoiceRecord:
        """Get an invoice or a bill."""
        record = read_invoice(wire, type_at(ref, *_INVOICES), await self._read(wire, ref))
        return await self._with_amounts(wire, record)

    async def void_invoice(self, wire: sdk.Wire, ref: sdk.Ref, /) -> InvoiceRecord:
        """Void an invoice, which sets its amounts to zero at QuickBooks."""
        type_at(ref, INVOICE)
        return await self._void(wire, ref, "void")

    async def record_payment(
        self, wire: sdk.Wire, ref: sdk.Ref, payment: InvoicePayment, /, *, key: str | None
    ) -> PaymentRecord:
        """Record the payment of an invoice, or of a bill from a bank account."""
        kind = type_at(ref, *_INVOICES)
        response = await self._read(wire, ref)
        record = read_invoice(wire, kind, response)
        check_currency(await self._with_amounts(wire, record), payment)
        name, make = PAYMENTS[kind]
        body = make(ref, payment, entity_of(response, ENTITIES[kind]))
        body = sdk.merged(filled_fields(body), sdk.extra_for(self.name, payment.extra))
        parse = partial(read_payment, wire, ref, payment.amount, name)
        return await self._create(wire, f"/{name.lower()}", body, key, parse)

    async def post_journal(
        self, wire: sdk.Wire, journal: Journal, /, *, key: str | None
    ) -> JournalRecord:
        """Post a journal entry."""
        body = sdk.merged(journal_body(journal), sdk.extra_for(self.name, journal.extra))
        return await self._create(wire, "/journalentry", body, key, partial(read_journal, wire))

    async def attach(
        self, wire: sdk.Wire, ref: sdk.Ref, document: BookDocument, /, *, key: str | None
    ) -> DocumentRecord:
        """Upload a file for an invoice, bill or journal entry; the upload is never repeated."""
        entity = ENTITIES[type_at(ref, INVOICE, BILL, JOURNAL)]
        metadata = {
            "AttachableRef": [{"EntityRef": {"type": entity, "value": ref.id}}],
            "FileName": document.name,
            "ContentType": document.content_type,
        }
        form = sdk.FormFile
        files = [
            ("file_metadata_01", form("file.json", sdk.encode_json(metadata), "application/json")),
            ("file_content_01", form(document.name, document.content, document.content_type)),
        ]
        request = sdk.Request.post(
            self._path("/upload"), query=self._versioned_query(), files=files
        )
        return await wire.send(request, key=key, parse=partial(read_attachment, wire))

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[AccountingEvent, ...]:
        """The record change that a webhook reports."""
        return read_events(event, ref, self.realm_id)

    def _path(self, path: str) -> str:
        return f"/v3/company/{self.realm_id}{path}"

    def _versioned_query(self, **query: str) -> dict[str, str]:
        return {**query, "minorversion": str(self.minor_version)}

    def _post(self, path: str, body: Mapping[str, Any], **query: str) -> sdk.Request:
        return sdk.Request.post(self._path(path), query=self._versioned_query(**query), json=body)

    async def _create(
        self,
        wire: sdk.Wire,
        path: str,
        body: Mapping[str, Any],
        key: str | None,
        parse: Callable[[sdk.Response], R],
    ) -> R:
        """Create a record; QuickBooks executes requests with the same `requestid` once."""
        if key is None:
            return await wire.send(self._post(path, body), parse=parse)
        vendor_key = sdk.key_for_vendor(wire, key, _KEY)[:_KEY]
        request = self._post(path, body, requestid=vendor_key)
        return await wire.send(request.evolve(idempotent=True), key=key, parse=parse)

    async def _read(self, wire: sdk.Wire, ref: sdk.Ref) -> sdk.Response:
        name = ENTITIES[type_at(ref, *_INVOICES, *_ROLES)]
        path = self._path(f"/{name.lower()}/{_id_of(ref)}")
        return await wire.send(sdk.Request.get(path, query=self._versioned_query()))

    async def _with_amounts(self, wire: sdk.Wire, record: InvoiceRecord) -> InvoiceRecord:
        """The invoice with its amounts.

        An invoice without a currency is in the company's home currency.
        """
        fields = sdk.as_answer(record.raw)
        if fields.value("CurrencyRef") is not None:
            return record
        request = sdk.Request.get(self._path("/preferences"), query=self._versioned_query())
        preferences = sdk.read_answer(await wire.send(request)).object("Preferences")
        currency = preferences.text("CurrencyPrefs.HomeCurrency.value")
        return attrs.evolve(
            record,
            total=sdk.as_money(fields.value("TotalAmt"), currency),
            due_amount=sdk.as_money(fields.value("Balance"), currency),
        )

    async def _version(self, wire: sdk.Wire, ref: sdk.Ref) -> dict[str, Any]:
        response = await self._read(wire, ref)
        item = entity_of(response, ENTITIES[type_at(ref, *_INVOICES, *_ROLES)])
        token = sdk.required(item.text("SyncToken"), response, "SyncToken")
        return {"Id": ref.id, "SyncToken": token}

    async def _query(self, wire: sdk.Wire, name: str, condition: str) -> list[sdk.Answer]:
        """All records that a query finds, page by page."""
        records: list[sdk.Answer] = []
        earlier_ids: set[str] = set()
        while True:
            place = f"startposition {len(records) + 1} maxresults {_PAGE}"
            parts = (f"select * from {name}", condition, place)  # noqa: S608 - no SQL
            text = " ".join(filter(None, parts))
            query = self._versioned_query(query=text)
            response = await wire.send(sdk.Request.get(self._path("/query"), query=query))
            items = queried(response, name)
            check_has_new_records(items, "Id", earlier_ids, response)
            records += items
            if len(items) < _PAGE:
                return records

    async def _void(self, wire: sdk.Wire, ref: sdk.Ref, operation: str) -> InvoiceRecord:
        """Void an invoice without payments.

        Retry once if another client has changed it meanwhile.
        """
        path = f"/{ENTITIES[INVOICE].lower()}"
        for attempt in range(2):
            response = await self._read(wire, ref)
            record = read_invoice(wire, INVOICE, response)
            if record.state is InvoiceState.VOID:
                return await self._with_amounts(wire, record)
            check_unpaid(record, "TotalAmt", "Balance")
            item = entity_of(response, ENTITIES[INVOICE])
            body = {"Id": ref.id, "SyncToken": item.text("SyncToken")}
            request = self._post(path, body, operation=operation).evolve(idempotent=True)
            try:
                voided = read_invoice(wire, INVOICE, await wire.send(request))
                return await self._with_amounts(wire, voided)
            except sdk.VendorRejected as refusal:
                if refusal.vendor_code != STALE or attempt:
                    raise
        raise AssertionError  # pragma: no cover - the second attempt returns or raises

    async def _undo(self, wire: sdk.Wire, ref: sdk.Ref) -> None:
        """Void an invoice; delete a bill, because QuickBooks cannot void bills."""
        if ref.other("type") == INVOICE:
            await self.void_invoice(wire, ref)
            return
        try:
            body = await self._version(wire, ref)
            request = self._post("/bill", body, operation="delete").evolve(idempotent=True)
            await wire.send(request)
        except sdk.VendorRejected as refusal:
            if refusal.vendor_code != GONE:
                raise


def _contact(wire: sdk.Wire, role: str, response: sdk.Response) -> ContactRecord:
    return read_contact(wire.ref, role, entity_of(response, ENTITIES[role]))


def _id_of(ref: sdk.Ref) -> str:
    if ref.id.isascii() and ref.id.isdigit():
        return ref.id
    raise sdk.InvalidData(
        "The reference does not contain the id of a record at QuickBooks Online.",
        field="ref",
        remedy="Pass the `ref` of a record or an event, or the text that str(ref) returned.",
    )
