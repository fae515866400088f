"""The reference pages about contracts, their vendors and sandboxes."""

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Final

import moorage
from moorage import vendor_sdk
from moorage.contracts.catalog import CONTRACTS
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tools.reference_pages.page import Page, public_classes


def _values(path: str) -> Iterator[str]:
    """Yield a module's or package's public classes, such as a contract's values."""
    module = importlib.import_module(path)
    if not hasattr(module, "__path__"):
        yield f"{module.__name__}:*"
        return
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) and value.__module__.startswith(f"{module.__name__}."):
            yield f"{module.__name__}:{name}"


def _vendors(kind: str) -> Iterator[str]:
    """Yield a contract's built-in vendors, each followed by its sandbox."""
    for name in vendor_names():
        vendor = vendor_class(name)
        if kind not in vendor.kinds or not vendor.__module__.startswith("moorage."):
            continue
        yield f"{vendor.__module__}:{vendor.__name__}"
        sandbox = f"moorage.testing.sandboxes.{kind}.{name}"
        if importlib.util.find_spec(sandbox) is not None:
            names = dict(public_classes(importlib.import_module(sandbox)))
            yield from (f"{sandbox}:{item}" for item in names if item.endswith("Sandbox"))


def _contract(kind: str, title: str, about: str, *others: str) -> Page:
    """Return a contract's page: operations, values, vendors, and other names."""
    operations = f"moorage.operations.{kind}:"
    name = kind.capitalize()
    return Page(
        kind,
        title,
        about,
        (
            f"{operations}{name}",
            f"{operations}Async{name}",
            *_values(f"moorage.contracts.{kind}"),
            *_vendors(kind),
            *others,
        ),
    )


_PAGES: Final = (
    Page(
        "contracts",
        "Contracts",
        "Vendors behind a common interface: the hub, its accounts and routes.",
        (
            "open",
            "aopen",
            "Hub",
            "AsyncHub",
            "Account",
            "Route",
            "HubConfiguration",
            "Safety",
            "moorage.contracts.hub_configuration:Changes",
            "moorage.hub.reloading:ConfigurationWatch",
            "moorage.hub.reloading:AsyncConfigurationWatch",
            "Ref",
            "moorage.config:read_configuration",
            "moorage.config:Configured",
            "moorage.config:Migrated",
            "moorage.config:json_schema",
            "moorage.exporting:describe_requests",
            "moorage.exporting:openapi",
            "moorage.exporting:postman",
            "ConfigurationWarning",
            "moorage.contracts.routes:Prefer",
        ),
    ),
    Page(
        "vendor-sdk",
        "What vendors are written with",
        "Everything that a vendor imports besides the values of its contract. `moorage.vendor_sdk`"
        " has these names, and those of `moorage` that vendors need, such as `Request`, `Service`"
        " and the errors. *Write a vendor of your own* has examples.",
        (
            *(
                f"moorage.vendor_sdk:{name}"
                for name in vendor_sdk.__all__
                if name not in moorage.__all__ and callable(getattr(vendor_sdk, name))
            ),
            "moorage.scaffold:scaffold",
            "moorage.scaffold:write",
        ),
    ),
    _contract(
        "email",
        "Mail",
        "Messages, receipts, and the vendors. *Send mail* has examples.",
        "moorage.contracts.email_address:*",
        "moorage.contracts.email_bulk:*",
        "moorage.contracts.email_suppressions:*",
        "moorage.contracts.email_unsubscribe:*",
        "moorage.contracts.email_outcomes:*",
        "moorage.contracts.email_received:*",
        "moorage.contracts.email_mime:read_mime",
        "moorage.adapters.mail.smtp:SmtpTransport",
        "moorage.adapters.mail.smtp:AsyncSmtpTransport",
        "moorage.testing.sandboxes.email.mailbox:*",
        "moorage.testing.kits.email_conformance:",
        "moorage.testing.kits.email_conformance:EmailHarness",
    ),
    _contract(
        "sms",
        "Text messages",
        "Text messages, receipts, and the vendors. *Send text messages* has examples.",
        "moorage.contracts.sms_opt_outs:*",
        "moorage.contracts.sms_templates:*",
        "moorage.contracts.verification:*",
        "moorage.contracts.sms:segments",
        "moorage.contracts.calling_codes:country_of",
        "moorage.contracts.sms:is_gsm",
        "moorage.testing.sandboxes.sms.base:SmsSandbox",
        "moorage.testing.sandboxes.sms.sent_codes:SentCodes",
        "moorage.testing.sandboxes.sms.sent_templates:SentTemplate",
        "moorage.testing.kits.sms_conformance:SmsSubject",
    ),
    _contract(
        "chat",
        "Chat messages",
        "Chat messages, receipts, and the vendors. *Post messages into chats* has examples.",
        "moorage.testing.sandboxes.chat.base:ChatSandbox",
        "moorage.testing.sandboxes.chat.base:ShownMessage",
        "moorage.testing.kits.chat_conformance:ChatSubject",
    ),
    _contract(
        "einvoices",
        "Delivery of electronic invoices",
        "Sent and received invoices, their states, and the vendors. *Send and receive electronic"
        " invoices* has examples.",
        "moorage.invoices:outgoing_invoice",
        "moorage.testing.sandboxes.einvoices.base:EinvoicesSandbox",
        "moorage.testing.sandboxes.einvoices.base:DeliveredDocument",
        "moorage.testing.kits.einvoices_conformance:EinvoicesSubject",
    ),
    _contract(
        "people",
        "People",
        "Accounts in directories, their groups, and the vendors. *Keep accounts of people* has"
        " examples.",
        "moorage.testing.sandboxes.people.base:PeopleSandbox",
        "moorage.testing.sandboxes.people.base:StoredAccount",
        "moorage.testing.kits.people_conformance:PeopleSubject",
    ),
    _contract(
        "calendars",
        "Calendars",
        "Calendars, events and busy times, and the vendors. *Write events into calendars* has"
        " examples.",
        "moorage.testing.sandboxes.calendars.base:CalendarsSandbox",
        "moorage.testing.sandboxes.calendars.base:StoredEvent",
        "moorage.testing.kits.calendars_conformance:CalendarsSubject",
    ),
    _contract(
        "accounting",
        "Accounting",
        "Invoices, payments, contacts and journals in the books, and the vendors. *Write invoices"
        " into your books* has examples.",
        "moorage.contracts.accounting:datev_bookings",
        "moorage.contracts.accounting:read_datev",
        "moorage.contracts.accounting:write_datev",
        "moorage.testing.sandboxes.accounting.base:AccountingSandbox",
        "moorage.testing.kits.accounting_conformance:AccountingSubject",
    ),
    _contract(
        "signatures",
        "Electronic signatures",
        "Documents, signers, the state of envelopes, and the vendors. *Have documents signed* has"
        " examples.",
        "moorage.testing.sandboxes.signatures.base:SignaturesSandbox",
        "moorage.testing.sandboxes.signatures.base:StoredEnvelope",
        "moorage.testing.sandboxes.signatures.base:StoredSigner",
        "moorage.testing.kits.signatures_conformance:SignaturesSubject",
    ),
    _contract(
        "push",
        "Push notifications",
        "Notifications, receipts, and the vendors. *Send push notifications* has examples.",
        "moorage.contracts.push:outcome_of",
        "moorage.testing.sandboxes.push.base:PushSandbox",
        "moorage.testing.sandboxes.push.base:DeliveredNotification",
        "moorage.testing.kits.push_conformance:PushSubject",
    ),
    _contract(
        "shipping",
        "Shipping",
        "Shipments, rates, labels, tracking, and the vendors. *Ship parcels* has examples.",
        "moorage.contracts.address:Address",
        "moorage.contracts.shipping:convert_measure",
        "moorage.testing.kits.shipping_conformance:ShippingSubject",
    ),
    _contract(
        "currencies",
        "Exchange rates",
        "The official rates of a day, conversions by them, and who publishes them. *Convert amounts"
        " by official rates* has examples.",
        "moorage.testing.sandboxes.currencies.base:CurrencySandbox",
        "moorage.testing.kits.currencies_conformance:CurrenciesSubject",
    ),
    _contract(
        "tax",
        "Taxes",
        "VAT numbers, and what the registers say about them; the taxes of sales. *Check VAT numbers"
        " and calculate taxes* has examples.",
        "moorage.contracts.tax_calculation:*",
        "moorage.contracts.tax_oss:*",
        "moorage.contracts.tax_oss:oss_report",
        "moorage.contracts.tax_rates:standard_rate",
        "moorage.testing.kits.tax_conformance:TaxSubject",
        "moorage.testing.kits.tax_calculation_conformance:TaxCalculationSubject",
    ),
    _contract(
        "shops",
        "Shops",
        "Orders, parcels, stock and prices of shops. *Connect shops* has examples.",
        "moorage.testing.sandboxes.shops.base:ShopSandbox",
        "moorage.testing.sandboxes.shops.base:SeenParcel",
        "moorage.testing.kits.shops_conformance:ShopsSubject",
    ),
    _contract(
        "storage",
        "Files",
        "Stored objects, their properties, and the vendors. *Keep files* has examples.",
        "moorage.operations.storage:Download",
        "moorage.operations.storage:AsyncDownload",
        "moorage.contracts.checksum:Checksum",
        "moorage.contracts.checksum:ChecksumAlgorithm",
        "moorage.contracts.signed:*",
        "moorage.vendors.storage.local_files:Grant",
        "moorage.testing.kits.storage_conformance:Subject",
    ),
    _contract(
        "payments",
        "Payments",
        "Payments, their states, and the vendors. *Take payments* has examples.",
        "moorage.contracts.payments:advance",
        "moorage.contracts.payments:state_of",
        "moorage.contracts.payments:buyer_notice",
        "moorage.contracts.payments:unexplained_amount",
        "moorage.testing.sandboxes.payments.checkout_com:token",
        "moorage.testing.kits.payments_conformance:PaymentsSubject",
    ),
    Page(
        "scim",
        "SCIM server",
        "A server by which an identity provider keeps your people. *Let an identity provider keep"
        " your people* has examples.",
        tuple(
            f"moorage.scim:{name}"
            for name in (
                "ScimServer",
                "AsyncScimServer",
                "ScimAnswer",
                "ScimApp",
                "AsyncScimApp",
                "ScimStore",
                "AsyncScimStore",
                "ScimKind",
                "ScimResource",
                "ScimMatches",
                "ScimCondition",
                "fulfils",
                "MemoryScimStore",
                "AsyncMemoryScimStore",
            )
        ),
    ),
    Page(
        "invoices",
        "Electronic invoices",
        "The values of an invoice, its business rules, and its syntaxes. *Write and read electronic"
        " invoices* has examples.",
        (
            *_values("moorage.invoices.values"),
            "moorage.invoices:validate",
            "moorage.invoices:check",
            "moorage.invoices:read_invoice",
            "moorage.invoices:write_invoice",
            "moorage.invoices:Syntax",
            "moorage.invoices:embed_invoice",
            "moorage.invoices:read_pdf_invoice",
            "moorage.invoices.ubl:read_ubl",
            "moorage.invoices.ubl:write_ubl",
            "moorage.invoices.cii:read_cii",
            "moorage.invoices.cii:write_cii",
            "moorage.invoices.fatturapa:FatturaPa",
            "moorage.invoices.fatturapa:Withholding",
            "moorage.invoices.fatturapa:write_fatturapa",
            "moorage.invoices.fatturapa:read_fatturapa",
            "moorage.invoices.fatturapa:validate_fatturapa",
            "moorage.invoices.fatturapa:read_sdi_notice",
            "moorage.invoices.fatturapa:SdiNotice",
            "moorage.invoices.fatturapa:SdiNoticeKind",
            "moorage.invoices.fatturapa:SdiError",
            "moorage.invoices.ksef:KsefInvoice",
            "moorage.invoices.ksef:write_fa3",
            "moorage.invoices.ksef:read_fa3",
            "moorage.invoices.ksef:validate_fa3",
            "moorage.invoices.ksef:read_upo",
            "moorage.invoices.ksef:KsefReceipt",
            "moorage.invoices.ksef:AcceptedInvoice",
            "moorage.invoices.ksef:is_ksef_number",
            "moorage.invoices.profiles:Profile",
            "moorage.invoices.rules:Violation",
            "moorage.invoices.rules:Rule",
        ),
    ),
    _contract(
        "bank",
        "Bank accounts and files",
        "Access to bank accounts, account numbers, SEPA files, statements, and the matching of"
        " payments. *Read bank accounts and pay from them* and *Write SEPA files and read"
        " statements* show them at work.",
        *(
            f"moorage.contracts.bank:{name}"
            for name in (
                "iban_length",
                "is_latin",
                "match",
                "maybe_bic",
                "maybe_iban",
                "read_camt",
                "read_credit_transfers",
                "read_direct_debits",
                "read_mt940",
                "transliterate",
                "write_credit_transfers",
                "write_direct_debits",
            )
        ),
        "moorage.testing.sandboxes.bank.base:BankSandbox",
        "moorage.testing.kits.bank_conformance:BankSubject",
    ),
    Page(
        "sandboxes",
        "Sandboxes",
        "The base classes of vendor sandboxes, and the HTTP clients that reach them. Each vendor's"
        " sandbox is on the page of its contract.",
        (
            "moorage.testing.sandboxes.base:*",
            "moorage.testing.sandboxes.base:reply",
            "moorage.testing.sandboxes.base:existing",
            "moorage.testing.sandboxes.base:first_problem",
            "moorage.testing.sandboxes.base:moment",
            "moorage.testing.sandboxes.webhook_signatures:hex_hmac",
            "moorage.testing.sandboxes.webhook_signatures:base64_hmac",
            "moorage.testing.sandboxes.webhook_signatures:standard_headers",
        ),
    ),
)


def _pages_of_contracts() -> Iterator[Page]:
    """Yield a page for each contract that has no entry in the list of pages."""
    existing = {page.path for page in _PAGES}
    for kind, title in CONTRACTS.items():
        if kind not in existing:
            yield _contract(
                kind, title, f"The operations on {title.lower()}, their values, and the vendors."
            )


CONTRACT_PAGES: Final = (*_PAGES, *_pages_of_contracts())
