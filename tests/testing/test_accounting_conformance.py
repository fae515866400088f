"""The conformance kit for accounting vendors finds faulty vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.accounting import (
    AccountClass,
    BookRecord,
    DocumentRecord,
    InvoiceState,
    JournalState,
)
from moorage.errors import ConnectorError, OutcomeUnknown, VendorFailed
from moorage.testing import accounting_conformance as kit
from moorage.testing import name_of
from moorage.testing.kits.checks import OTHER_SECRET
from moorage.testing.sandboxes.accounting.quickbooks import QuickBooksSandbox
from moorage.vendors.accounting.odoo import Odoo
from moorage.vendors.accounting.quickbooks import QuickBooks
from tests.vendors import accounting_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.domain.service.settings import Service


def as_quickbooks(kind: Callable[..., Vendor]) -> kit.Factory:
    """Return a function that makes a test subject of QuickBooks with another vendor class."""

    def new_subject() -> kit.AccountingSubject:
        subject = accounting_subjects.quickbooks()
        original: Any = subject.vendor
        vendor = kind(realm_id=original.realm_id, credentials=original.credentials)
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


def as_odoo(kind: Callable[..., Vendor]) -> kit.Factory:
    """Return a function that makes a test subject of Odoo with another vendor class."""

    def new_subject() -> kit.AccountingSubject:
        subject = accounting_subjects.odoo()
        original: Any = subject.vendor
        vendor = kind(**attrs.asdict(original, recurse=False))
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


class _CreatesTwiceVendor(Odoo):
    """A faulty vendor that creates each record twice."""

    async def _create(self, wire: Any, *values: Any, **__: Any) -> int:
        model, fields, _, condition = values
        await super()._create(wire, model, fields, None, condition)
        return await super()._create(wire, *values)


class _KeylessVendor(QuickBooks):
    """A faulty vendor that loses idempotency keys."""

    async def _create(self, *values: Any, **__: Any) -> Any:
        wire, path, body, _, parse = values
        return await super()._create(wire, path, body, None, parse)


class _KeylessFilesVendor(QuickBooks):
    """A faulty vendor that loses the idempotency key of files."""

    async def attach(self, *values: Any, key: str | None) -> DocumentRecord:
        return await super().attach(*values, key=None)


class _RecreatingAfterLossVendor(Odoo):
    """A faulty vendor that creates a record again if the first response was lost."""

    async def _recover_id(self, *values: Any, **__: Any) -> int:
        wire, model, *_ = values
        records = await self._search(wire, model, [], ("invoice_origin", "name", "datas"))
        copy = {name: value for name, value in records[-1].raw.items() if name == "name"}
        return await self._create(wire, model, copy, None, [])


class _ReportsFailureAsSuccessVendor(Odoo):
    """A faulty vendor that reports any failure as a success."""

    async def attach(self, *values: Any, key: str | None) -> DocumentRecord:
        try:
            return await super().attach(*values, key=key)
        except ConnectorError:
            return DocumentRecord(ref=values[0].ref("1"), name="guess.pdf")


class _RepeatsWithoutKeyVendor(QuickBooks):
    """A faulty vendor that repeats a request without its key after an unreadable response."""

    async def _create(self, *values: Any, **__: Any) -> Any:
        wire, path, body, _, parse = values
        try:
            return await super()._create(*values)
        except (OutcomeUnknown, VendorFailed):
            return await super()._create(wire, path, body, None, parse)


class _AnyStatus200IsSuccessVendor(QuickBooks):
    """A faulty vendor that reads every response with status 200 as a success."""

    def services(self) -> Mapping[str, Service]:
        return {
            name: attrs.evolve(service, classify=None)
            for name, service in super().services().items()
        }


def vendor_changing(base: type[Any], **changes: Any) -> type[Any]:
    """Return a faulty vendor that reads invoices with some fields changed.

    Args:
        base: the correct vendor.
        changes: values, or functions of the correct record, by the name of the field.
    """

    def changed_record(record: Any) -> Any:
        values = {
            name: change(record) if callable(change) else change for name, change in changes.items()
        }
        return attrs.evolve(record, **values)

    class _ChangingVendor(base):  # type: ignore[misc]  # a class that the caller chooses
        async def create_invoice(self, *values: Any, key: str | None) -> Any:
            return changed_record(await super().create_invoice(*values, key=key))

        async def get_invoice(self, *values: Any) -> Any:
            return changed_record(await super().get_invoice(*values))

    return _ChangingVendor


_CENTS = vendor_changing(QuickBooks, total=lambda record: record.total * 100)
_HOPEFUL = vendor_changing(
    Odoo,
    state=lambda record: (
        InvoiceState.PAID if record.state is InvoiceState.UNKNOWN else record.state
    ),
)
_UNPAID_IF_REVERSED = vendor_changing(
    Odoo,
    state=lambda record: (
        InvoiceState.OPEN if "reversed" in str(record.vendor_state) else record.state
    ),
)
_EARLY = vendor_changing(
    QuickBooks,
    state=lambda record: InvoiceState.PAID if record.due_amount != record.total else record.state,
)
_POSTED = vendor_changing(
    Odoo,
    state=lambda record: InvoiceState.OPEN if record.state is InvoiceState.DRAFT else record.state,
)
_OTHER = vendor_changing(QuickBooks, kind=None)


class _KeepsWrongInvoiceVendor(QuickBooks):
    """A faulty vendor that does not void an invoice whose total is wrong."""

    async def _undo(self, *_: Any, **__: Any) -> None:
        return None


class _FakeVoidVendor(QuickBooks):
    """A faulty vendor that reports an invoice as void without voiding it."""

    async def void_invoice(self, *values: Any) -> Any:
        return attrs.evolve(await self.get_invoice(*values), state=InvoiceState.VOID)


class _UnfilteredContactsVendor(Odoo):
    """A faulty vendor whose contact search returns every contact."""

    async def _search(self, *values: Any, **__: Any) -> Any:
        wire, model, condition, fields = values
        is_search = model == "res.partner" and condition[0][0] in {"name", "email"}
        return await super()._search(wire, model, [] if is_search else condition, fields)


class _CreatesInsteadOfChangingVendor(QuickBooks):
    """A faulty vendor that creates another contact instead of changing one."""

    async def update_contact(self, *values: Any) -> Any:
        wire, _, contact = values
        renamed = attrs.evolve(contact, name=f"{contact.name} new {wire.new_id()}")
        return await self.create_contact(wire, renamed, key=None)


class _FakePaymentVendor(QuickBooks):
    """A faulty vendor that reports a payment as recorded without recording it."""

    async def record_payment(self, *values: Any, key: str | None) -> Any:
        record = await super().record_payment(*values, key=key)
        return attrs.evolve(record, invoice=record.ref)


class _WithoutAccountClassVendor(QuickBooks):
    """A faulty vendor that does not read the class of an account."""

    async def accounts(self, *values: Any) -> Any:
        records = await super().accounts(*values)
        return tuple(attrs.evolve(item, account_class=AccountClass.UNKNOWN) for item in records)


class _LeavesDraftsVendor(QuickBooks):
    """A faulty vendor that leaves journal entries as drafts."""

    async def post_journal(self, *values: Any, key: str | None) -> Any:
        record = await super().post_journal(*values, key=key)
        return attrs.evolve(record, state=JournalState.DRAFT)


class _RateLimitIsFailureVendor(Odoo):
    """A faulty vendor that reports a rate limit as a failure."""

    def services(self) -> Mapping[str, Service]:
        def classify(_: Any, response: Any) -> ConnectorError | None:
            return VendorFailed("Busy.", response=response) if response.status == 429 else None

        return {
            name: attrs.evolve(service, classify=classify)
            for name, service in super().services().items()
        }


class _AcceptsForeignReferenceVendor(Odoo):
    """A faulty vendor that accepts another record's reference in place of an invoice's."""

    async def get_invoice(self, *values: Any) -> Any:
        wire, ref = values
        return await super().get_invoice(wire, attrs.evolve(ref, related={"type": "invoice"}))


class _LosesOptionsVendor(QuickBooks):
    """A faulty vendor that loses vendor-specific options."""

    async def create_invoice(self, *values: Any, key: str | None) -> Any:
        wire, ref, invoice = values
        return await super().create_invoice(wire, ref, attrs.evolve(invoice, extra={}), key=key)


class _RecordsContainTokenVendor(QuickBooks):
    """A faulty vendor whose records contain the token."""

    async def create_contact(self, *values: Any, key: str | None) -> Any:
        record = await super().create_contact(*values, key=key)
        assert self.credentials is not None
        return attrs.evolve(record, number=self.credentials.reveal())


class _ShowsPersonNameVendor(QuickBooks):
    """A faulty vendor whose records show a person's name."""

    async def create_contact(self, *values: Any, key: str | None) -> Any:
        record = await super().create_contact(*values, key=key)
        return attrs.evolve(record, number=record.name)


class _ReportsBillsVendor(QuickBooks):
    """A faulty vendor that reports each change as a change of a bill."""

    def events(self, *values: Any, **__: Any) -> Any:
        return tuple(attrs.evolve(item, record=BookRecord.BILL) for item in super().events(*values))


class _ReadsNoWebhooksVendor(QuickBooks):
    """A faulty vendor that reads no webhooks."""

    def events(self, *_: Any, **__: Any) -> Any:
        return ()


def _forgeable_subject() -> kit.AccountingSubject:
    """Return a test subject whose webhooks the kit can forge, as it knows their secret."""
    sandbox = QuickBooksSandbox(verifier_token=OTHER_SECRET)
    subject = accounting_subjects.quickbooks()
    return attrs.evolve(
        subject, sandbox=sandbox, report=sandbox.report, webhook_secret=sandbox.verifier_token
    )


WRONG = [
    (
        "the_chart_and_the_taxes_are_read",
        as_quickbooks(_WithoutAccountClassVendor),
        "is not an asset",
    ),
    ("a_contact_is_found", as_odoo(_UnfilteredContactsVendor), "contacts were found"),
    ("a_contact_is_found", as_quickbooks(_CreatesInsteadOfChangingVendor), "a different reference"),
    ("an_invoice_is_written", as_odoo(_CreatesTwiceVendor), "not written once each|twice"),
    ("an_invoice_is_written", as_quickbooks(_CENTS), "The total is"),
    ("an_invoice_is_written", as_quickbooks(_OTHER), "is read as None"),
    ("a_draft_stays_a_draft", as_odoo(_POSTED), "A draft is open"),
    ("a_different_total_is_undone", as_quickbooks(_KeepsWrongInvoiceVendor), "still listed"),
    ("an_invoice_is_voided_once", as_quickbooks(_FakeVoidVendor), "still listed"),
    ("a_payment_settles_an_invoice", as_quickbooks(_EARLY), "paid in part is paid"),
    ("a_payment_settles_an_invoice", as_quickbooks(_FakePaymentVendor), "of another invoice"),
    ("a_journal_is_posted", as_quickbooks(_LeavesDraftsVendor), "is draft"),
    ("a_key_writes_once", as_quickbooks(_KeylessVendor), "another reference|raised"),
    ("a_key_writes_once", as_quickbooks(_KeylessFilesVendor), "has another reference"),
    ("a_lost_answer_writes_once", as_odoo(_RecreatingAfterLossVendor), "wrote more or less|raised"),
    (
        "an_unreadable_answer_writes_once",
        as_quickbooks(_RepeatsWithoutKeyVendor),
        "was no error|raised|twice",
    ),
    ("an_outage_is_no_success", as_odoo(_ReportsFailureAsSuccessVendor), "was no error"),
    ("a_refusal_has_its_type", as_quickbooks(_AnyStatus200IsSuccessVendor), "raised"),
    ("a_pause_is_obeyed", as_odoo(_RateLimitIsFailureVendor), "raised VendorFailed"),
    ("an_unknown_state_is_unknown", as_odoo(_HOPEFUL), "is read as paid"),
    ("further_states_are_read", as_odoo(_UNPAID_IF_REVERSED), "reversed is open, not paid"),
    ("another_record_is_refused", as_odoo(_AcceptsForeignReferenceVendor), "raised|was no error"),
    ("options_arrive", as_quickbooks(_LosesOptionsVendor), "option is lost"),
    ("secrets_are_shown_nowhere", as_quickbooks(_RecordsContainTokenVendor), "secret is shown"),
    ("nothing_shows_personal_data", as_quickbooks(_ShowsPersonNameVendor), "name is shown"),
    ("events_are_accepted_if_signed", as_quickbooks(_ReportsBillsVendor), "is of bill"),
    ("events_are_accepted_if_signed", as_quickbooks(_ReadsNoWebhooksVendor), "became 0 events"),
    ("events_are_accepted_if_signed", _forgeable_subject, "with a forged signature"),
]
CHECKS = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_accounting_vendor(
    check: str, wrong: kit.Factory, sentence: str
) -> None:
    """An accounting vendor with one fault fails the check for that fault."""
    with pytest.raises(AssertionError, match=sentence):
        CHECKS[check](wrong)
