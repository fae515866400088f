"""Xero: an organisation's books, by version 2.0 of the Accounting API.

Records are created with PUT, since POST would change an existing record of the same number. Xero
takes an idempotency key, and remembers it for some minutes.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.accounting import AccountingCapability, InvoiceKind, InvoiceState
from moorage.vendors.accounting._common import (
    BILL,
    CUSTOMER,
    INVOICE,
    JOURNAL,
    SUPPLIER,
    check_contact,
    check_currency,
    check_has_new_records,
    check_unpaid,
    filled_fields,
    json_number,
    lines_of,
    money_number,
    type_at,
    with_equal_total,
)
from moorage.vendors.accounting._xero_answers import (
    classify,
    first_of,
    listed,
    read_account,
    read_attachment,
    read_contact,
    read_events,
    read_invoice,
    read_journal,
    read_payment,
    read_tax_rate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.accounting import (
        AccountingEvent,
        BookDocument,
        BookInvoice,
        BookInvoiceLine,
        Contact,
        ContactQuery,
        ContactRecord,
        DocumentRecord,
        InvoicePayment,
        InvoiceRecord,
        Journal,
        JournalRecord,
        LedgerAccount,
        PaymentRecord,
        TaxRate,
    )
    from moorage.vendor_sdk import MakeRef, Ref, Request, Response, WebhookEvent, Wire

R = TypeVar("R")

_KEY: Final = 128
_PAGE: Final = 100
_UUID: Final = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TYPES: Final = {InvoiceKind.SALES: "ACCREC", InvoiceKind.BILL: "ACCPAY"}
_PATHS: Final = {INVOICE: "Invoices", BILL: "Invoices", JOURNAL: "ManualJournals"}
_ROLES: Final = (CUSTOMER, SUPPLIER)
_FOUR_DECIMALS: Final = {"unitdp": "4"}
_CREATION: Final = {"summarizeErrors": "true"}
_KEYS: Final = sdk.VendorKeys(
    memory=300.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=(
        "https://developer.xero.com/documentation/guides/idempotent-requests/idempotency",
    ),
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class Xero(sdk.OAuthVendor):
    """An organisation at Xero.

    Attributes:
        tenant_id: Xero's id of the organisation, from its list of connections.
        client_id: client id of a custom connection.
        client_secret: client secret of the custom connection; without both, the credential
            provider supplies a token.
        scope: scopes of the custom connection's token.
        base_url: URL of the Accounting API.
        token_url: URL that grants tokens.
    """

    name = "xero"
    kinds = ("accounting",)
    api_version = "2.0"
    capabilities = frozenset(AccountingCapability)
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": _KEY, "invoice_number": 255}
    webhook = "xero"
    idempotency = _KEYS

    refusals = staticmethod(classify)

    tenant_id: str = attrs.field(
        validator=sdk.matches(
            _UUID.pattern,
            problem="The value is not the id of an organisation at Xero.",
            remedy="Copy the tenantId of the organisation from GET https://api.xero.com/connections.",
        )
    )
    scope: str = (
        "accounting.invoices accounting.payments accounting.manualjournals accounting.contacts"
        " accounting.settings.read accounting.attachments"
    )
    base_url: str = "https://api.xero.com/api.xro/2.0"
    token_url: str = "https://identity.xero.com/connect/token"  # noqa: S105 - an address

    def settings(self) -> Mapping[str, Any]:
        """The headers of each request, among them the id of the organisation."""
        return {"headers": {"Accept": "application/json", "Xero-Tenant-Id": self.tenant_id}}

    def oauth_settings(self) -> Mapping[str, Any]:
        """The token endpoint and scopes of a Xero custom connection."""
        return {"server": self.token_url, "scope": self.scope}

    async def create_contact(
        self, wire: Wire, contact: Contact, /, *, key: str | None
    ) -> ContactRecord:
        """Create a contact; its first invoice makes it a customer or supplier at Xero."""
        request = _creation("/Contacts", {"Contacts": [self._contact_body(contact)]})
        return await _send(wire, request, key, partial(_contact, wire, contact.role.value))

    async def update_contact(self, wire: Wire, ref: Ref, contact: Contact, /) -> ContactRecord:
        """Change the given details of a contact."""
        role = type_at(ref, *_ROLES)
        body = {"Contacts": [{"ContactID": ref.id, **self._contact_body(contact)}]}
        request = sdk.Request.post(f"/Contacts/{_quoted_id(ref)}", json=body)
        return _contact(wire, role, await wire.send(request.evolve(idempotent=True)))

    async def find_contacts(self, wire: Wire, query: ContactQuery, /) -> tuple[ContactRecord, ...]:
        """Search for a string; return contacts with exactly this name, email address or number."""
        term = query.name or query.email or query.number or ""
        contacts: list[ContactRecord] = []
        earlier_ids: set[str] = set()
        page, items = 0, [sdk.Answer({})] * _PAGE
        while len(items) == _PAGE:
            page += 1
            filters = {"searchTerm": term, "page": str(page), "pageSize": str(_PAGE)}
            response = await wire.send(sdk.Request.get("/Contacts", query=filters))
            items = listed(response, "Contacts")
            check_has_new_records(items, "ContactID", earlier_ids, response)
            contacts += [read_contact(wire.ref, query.role, item, response) for item in items]
        return tuple(item for item in contacts if _is_match(query, item))

    async def accounts(self, wire: Wire, /) -> tuple[LedgerAccount, ...]:
        """Get the active accounts."""
        items = listed(await wire.send(sdk.Request.get("/Accounts")), "Accounts")
        return tuple(filter(None, map(read_account, items)))

    async def tax_rates(self, wire: Wire, /) -> tuple[TaxRate, ...]:
        """Get the tax rates."""
        items = listed(await wire.send(sdk.Request.get("/TaxRates")), "TaxRates")
        return tuple(filter(None, map(read_tax_rate, items)))

    async def create_invoice(
        self, wire: Wire, contact: Ref, invoice: BookInvoice, /, *, key: str | None
    ) -> InvoiceRecord:
        """Create an invoice or a bill, and compare its total."""
        check_contact(contact, invoice)
        body = sdk.merged(invoice_body(contact, invoice), sdk.extra_for(self.name, invoice.extra))
        request = _creation("/Invoices", {"Invoices": [body]}, **_FOUR_DECIMALS)
        record = await _send(wire, request, key, partial(read_invoice, wire))
        return await with_equal_total(
            record, invoice, "Xero", lambda: self.void_invoice(wire, record.ref)
        )

    async def get_invoice(self, wire: Wire, ref: Ref, /) -> InvoiceRecord:
        """Get an invoice or a bill."""
        type_at(ref, INVOICE, BILL)
        request = sdk.Request.get(f"/Invoices/{_quoted_id(ref)}", query=_FOUR_DECIMALS)
        return read_invoice(wire, await wire.send(request))

    async def void_invoice(self, wire: Wire, ref: Ref, /) -> InvoiceRecord:
        """Void an approved invoice; delete a draft."""
        record = await self.get_invoice(wire, ref)
        if record.state is InvoiceState.VOID:
            return record
        check_unpaid(record, "Total", "AmountDue")
        word = "DELETED" if record.state is InvoiceState.DRAFT else "VOIDED"
        body = {"Invoices": [{"InvoiceID": ref.id, "Status": word}]}
        request = sdk.Request.post(f"/Invoices/{_quoted_id(ref)}", query=_FOUR_DECIMALS, json=body)
        try:
            response = await wire.send(request.evolve(idempotent=True))
        except sdk.VendorRejected:
            # The response to an earlier, successful attempt may have been lost.
            record = await self.get_invoice(wire, ref)
            if record.state is not InvoiceState.VOID:
                raise
            return record
        return read_invoice(wire, response)

    async def record_payment(
        self, wire: Wire, ref: Ref, payment: InvoicePayment, /, *, key: str | None
    ) -> PaymentRecord:
        """Record a payment in its invoice's currency."""
        check_currency(await self.get_invoice(wire, ref), payment)
        body = {
            "Invoice": {"InvoiceID": ref.id},
            "Account": _account(payment.account, "Code"),
            "Date": payment.date.isoformat(),
            "Amount": money_number(payment.amount),
            "Reference": payment.reference,
        }
        item = sdk.merged(filled_fields(body), sdk.extra_for(self.name, payment.extra))
        request = _creation("/Payments", {"Payments": [item]})
        return await _send(wire, request, key, partial(read_payment, wire, ref, payment))

    async def post_journal(
        self, wire: Wire, journal: Journal, /, *, key: str | None
    ) -> JournalRecord:
        """Post a manual journal."""
        body = sdk.merged(journal_body(journal), sdk.extra_for(self.name, journal.extra))
        request = _creation("/ManualJournals", {"ManualJournals": [body]})
        return await _send(wire, request, key, partial(read_journal, wire))

    async def attach(
        self, wire: Wire, ref: Ref, document: BookDocument, /, *, key: str | None
    ) -> DocumentRecord:
        """Attach a file to an invoice, a bill or a manual journal."""
        folder = _PATHS[type_at(ref, *_PATHS)]
        path = f"/{folder}/{_quoted_id(ref)}/Attachments/{quote(document.name, safe='')}"
        headers = {"Content-Type": document.content_type}
        request = sdk.Request.put(path, body=document.content, headers=headers)
        parse = partial(read_attachment, wire)
        return await _send(wire, request.evolve(idempotent=False), key, parse)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[AccountingEvent, ...]:
        """The change of an invoice or contact that a webhook reports."""
        return read_events(event, ref, self.tenant_id)

    def _contact_body(self, contact: Contact) -> dict[str, Any]:
        return sdk.merged(contact_body(contact), sdk.extra_for(self.name, contact.extra))


def contact_body(contact: Contact) -> dict[str, Any]:
    """The fields of a contact, from the details that the caller sets."""
    address = contact.address
    place = {f"AddressLine{number}": line for number, line in enumerate(lines_of(address), 1)}
    if address is not None:
        place |= filled_fields(
            {
                "City": address.city,
                "Region": address.region,
                "PostalCode": address.postal_code,
                "Country": address.country,
            }
        )
    return filled_fields(
        {
            "Name": contact.name,
            "ContactNumber": contact.number,
            "EmailAddress": contact.email,
            "TaxNumber": contact.tax_number,
            "Phones": contact.phone and [{"PhoneType": "DEFAULT", "PhoneNumber": contact.phone}],
            "Addresses": [{"AddressType": "POBOX", **place}] if place else None,
        }
    )


def invoice_body(contact: Ref, invoice: BookInvoice) -> dict[str, Any]:
    """The fields of an invoice or a bill."""
    return filled_fields(
        {
            "Type": _TYPES[invoice.kind],
            "Contact": {"ContactID": contact.id},
            "Date": invoice.date.isoformat(),
            "DueDate": invoice.due.isoformat(),
            "LineAmountTypes": "Exclusive",
            "InvoiceNumber": invoice.number,
            "CurrencyCode": invoice.currency,
            "Status": "AUTHORISED" if invoice.final else "DRAFT",
            "LineItems": [_line_body(line, invoice.currency) for line in invoice.lines],
        }
    )


def _line_body(line: BookInvoiceLine, currency: str) -> dict[str, Any]:
    return filled_fields(
        {
            "Description": line.description,
            "Quantity": json_number(line.quantity),
            "UnitAmount": json_number(line.unit_price),
            "LineAmount": money_number(line.net(currency)),
            "ItemCode": line.item,
            **({} if line.account is None else _account(line.account, "AccountCode")),
            "TaxType": line.tax_rate,
            "TaxAmount": json_number(line.tax),
        }
    )


def journal_body(journal: Journal) -> dict[str, Any]:
    """The fields of a manual journal: debits are positive, credits negative."""
    return {
        "Narration": journal.narration,
        "Date": journal.date.isoformat(),
        "LineAmountTypes": "NoTax",
        "Status": "POSTED",
        "JournalLines": [
            filled_fields(
                {
                    "LineAmount": json_number(line.debit - line.credit),
                    "Description": line.description,
                    **_account(line.account, "AccountCode"),
                }
            )
            for line in journal.lines
        ],
    }


def _account(account: str, name: str) -> dict[str, str]:
    return {"AccountID" if _UUID.fullmatch(account) else name: account}


def _creation(path: str, body: Mapping[str, Any], **query: str) -> Request:
    """A PUT request that creates a new record each time, and is therefore not idempotent."""
    request = sdk.Request.put(path, query={**_CREATION, **query}, json=body)
    return request.evolve(idempotent=False)


async def _send(wire: Wire, request: Request, key: str | None, parse: Callable[[Response], R]) -> R:
    vendor_key = None if key is None else sdk.key_for_vendor(wire, key, _KEY)
    return await wire.send(request, key=vendor_key, parse=parse)


def _contact(wire: Wire, role: str, response: Response) -> ContactRecord:
    return read_contact(wire.ref, role, first_of(response, "Contacts"), response)


def _is_match(query: ContactQuery, record: ContactRecord) -> bool:
    if query.email is not None:
        return (record.email or "").casefold() == query.email.casefold()
    if query.number is not None:
        return record.number == query.number
    return record.name == query.name


def _quoted_id(ref: Ref) -> str:
    return quote(ref.id, safe="")
