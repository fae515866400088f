"""The conformance kit of vendors of electronic invoices finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from moorage.contracts.einvoices import (
    EinvoiceCapability,
    EinvoiceEvent,
    EinvoiceInbox,
    EinvoiceStatus,
    ReceivedInvoice,
    RecipientCheck,
    SentInvoice,
)
from moorage.domain.http.requests import Request
from moorage.errors import ConnectorError, VendorFailed, VendorRejected
from moorage.testing import einvoices_conformance as kit
from moorage.testing import name_of
from moorage.testing.kits.checks import OTHER_SECRET
from moorage.vendors.einvoices.ksef import Ksef
from moorage.vendors.einvoices.recommand import Recommand
from moorage.vendors.einvoices.storecove import Storecove
from tests.vendors import einvoices_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.einvoices import ElectronicAddress, OutgoingInvoice
    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.service.settings import Service
    from moorage.domain.webhooks.events import WebhookEvent


def as_storecove(kind: Callable[..., Storecove]) -> kit.Factory:
    """Return a function that makes a test subject of Storecove, but with the given vendor class."""

    def new_subject() -> kit.EinvoicesSubject:
        subject = einvoices_subjects.storecove()
        sandbox: Any = subject.sandbox
        vendor = kind(credentials=sandbox.token, legal_entity_id="4711")
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


def as_recommand(kind: Callable[..., Recommand]) -> kit.Factory:
    """Return a function that makes a test subject of Recommand, but with the given vendor class."""

    def new_subject() -> kit.EinvoicesSubject:
        subject = einvoices_subjects.recommand()
        sandbox: Any = subject.sandbox
        vendor = kind(
            credentials=sandbox.secret, api_key=sandbox.api_key, company_id=sandbox.company_id
        )
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


@attrs.frozen(kw_only=True)
class LesserVendor(Recommand):
    """A correct vendor without optional features."""

    capabilities = frozenset({EinvoiceCapability.UBL})


def minimal_subject() -> kit.EinvoicesSubject:
    """Return a test subject whose vendor has no optional features."""
    subject = as_recommand(LesserVendor)()
    return attrs.evolve(subject, requests=(), answers=(), malformed=())


@attrs.frozen(kw_only=True)
class ListingVendor(Recommand):
    """A correct vendor that lists received invoices, but cannot download their documents."""

    capabilities = frozenset({EinvoiceCapability.UBL, EinvoiceCapability.INBOX})


def test_vendor_that_only_lists_received_invoices_passes_their_check() -> None:
    """A vendor that only lists received invoices passes the check without downloading documents."""
    check = next(check for check in kit.CHECKS if name_of(check) == "an_invoice_arrives")
    check(as_recommand(ListingVendor))


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_without_optional_features_passes_all_checks(check: kit.Check) -> None:
    """A vendor without optional features passes all checks."""
    check(minimal_subject)


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_vendor_without_optional_features_passes_all_checks_asynchronously(
    check: kit.AsyncCheck,
) -> None:
    """A vendor without optional features passes all checks asynchronously, too."""
    asyncio.run(check(minimal_subject))


class _CorrectSendVendor(Storecove):
    """A base class for faulty vendors; subclasses can call its correct `send`."""

    async def again(self, wire: Wire, invoice: OutgoingInvoice, key: str | None) -> SentInvoice:
        """Send an invoice the way Storecove does."""
        return await Storecove.send(self, wire, invoice, key=key)


class _SendingTwiceVendor(_CorrectSendVendor):
    """A faulty vendor that sends each invoice twice."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        await self.again(wire, invoice, None)
        return await self.again(wire, invoice, key)


class _KeylessVendor(_CorrectSendVendor):
    """A faulty vendor that loses the idempotency key."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        return await self.again(wire, invoice, None)


class _RetryingVendor(_CorrectSendVendor):
    """A faulty vendor that itself repeats a failed request."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        try:
            return await self.again(wire, invoice, key)
        except ConnectorError:
            return await self.again(wire, invoice, key)


class _PendingIsDeliveredVendor(_CorrectSendVendor):
    """A faulty vendor that reports a pending invoice as delivered."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        sent_invoice = await self.again(wire, invoice, key)
        return attrs.evolve(sent_invoice, status=EinvoiceStatus.DELIVERED)


class _ChangesDocumentVendor(_CorrectSendVendor):
    """A faulty vendor that changes the invoice document that it should send."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        document = invoice.document.replace(b"2041", b"2042")
        return await self.again(wire, attrs.evolve(invoice, document=document), key)


class _WrongRecipientVendor(_CorrectSendVendor):
    """A faulty vendor that sends each invoice to a wrong recipient."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        return await self.again(wire, attrs.evolve(invoice, recipient="0088:1"), key)


class _OptionlessVendor(_CorrectSendVendor):
    """A faulty vendor that drops the options of an invoice."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        return await self.again(wire, attrs.evolve(invoice, extra={}), key)


class _RefusedIsSentVendor(Storecove):
    """A faulty vendor that reports a refused invoice as sent."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        try:
            return await super().send(wire, invoice, key=key)
        except (VendorRejected, VendorFailed):
            return SentInvoice(ref=wire.ref("1"), status=EinvoiceStatus.ACCEPTED)


class _DeliveredWithoutEvidenceVendor(Storecove):
    """A faulty vendor that reports an invoice as delivered without evidence."""

    async def get(self, wire: Wire, ref: Ref, /) -> SentInvoice:
        return attrs.evolve(await super().get(wire, ref), status=EinvoiceStatus.DELIVERED)


class _NeverDeliveredVendor(Storecove):
    """A faulty vendor that never reports a delivery."""

    async def get(self, wire: Wire, ref: Ref, /) -> SentInvoice:
        return attrs.evolve(await super().get(wire, ref), status=EinvoiceStatus.ACCEPTED)


class _ClassifiesByStatusVendor(Storecove):
    """A faulty vendor that classifies error responses only by their HTTP status."""

    def services(self) -> Mapping[str, Service]:
        return {
            name: attrs.evolve(service, classify=None)
            for name, service in super().services().items()
        }


class _LostIsRejectedVendor(Recommand):
    """A faulty vendor that reports an invoice as rejected if the response was lost."""

    refusals: ClassVar[Any] = Storecove.refusals


class _EveryRecipientReachableVendor(Storecove):
    """A faulty vendor that reports every recipient as reachable."""

    async def check_recipient(
        self, wire: Wire, address: ElectronicAddress, /, **options: Any
    ) -> RecipientCheck:
        check = await super().check_recipient(wire, address, **options)
        return attrs.evolve(check, can_receive=True)


class _UnreadableIsSuccessVendor(Recommand):
    """A faulty vendor that reads an unreadable response as an empty list or as success."""

    async def list_received(self, wire: Wire, /) -> EinvoiceInbox:
        try:
            return await super().list_received(wire)
        except VendorFailed:
            return EinvoiceInbox(invoices=())


class _MarksOnDownloadVendor(Recommand):
    """A faulty vendor that marks a document as fetched when it is downloaded."""

    async def download(self, wire: Wire, ref: Ref, /) -> ReceivedInvoice:
        received_invoice = await super().download(wire, ref)
        await self.mark_fetched(wire, ref)
        return received_invoice


class _NeverMarksVendor(Recommand):
    """A faulty vendor that never marks a document as fetched."""

    async def mark_fetched(self, wire: Wire, ref: Ref, /) -> None:
        return None


class _ChangesReceivedDocumentVendor(Recommand):
    """A faulty vendor that changes a received document."""

    async def download(self, wire: Wire, ref: Ref, /) -> ReceivedInvoice:
        received_invoice = await super().download(wire, ref)
        return attrs.evolve(received_invoice, document=(received_invoice.document or b"")[:-1])


class _EveryStateIsDeliveredVendor(Storecove):
    """A faulty vendor that reports an invoice as delivered, even in other states."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[EinvoiceEvent, ...]:
        return tuple(
            attrs.evolve(item, status=EinvoiceStatus.DELIVERED)
            for item in super().events(event, ref)
        )


class _ReadsNoWebhooksVendor(Storecove):
    """A faulty vendor that reads no webhooks."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[EinvoiceEvent, ...]:
        return ()


class _ShowsApiKeyVendor(Storecove):
    """A faulty vendor that shows its API key."""

    def __repr__(self) -> str:
        return f"Storecove({self.credentials and self.credentials.reveal()})"


def as_ksef(kind: Callable[..., Ksef]) -> kit.Factory:
    """Return a function that makes a test subject of KSeF, but with the given vendor class."""

    def new_subject() -> kit.EinvoicesSubject:
        subject = einvoices_subjects.ksef()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=kind(credentials=sandbox.token, nip=sandbox.nip))

    return new_subject


class _RepeatsInNewSessionVendor(Ksef):
    """A faulty vendor that repeats a send in a new session, and so gets another reference."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        other_key = None if key is None else f"{key}-{wire.new_id()}"
        return await super().send(wire, invoice, key=other_key)


class _ExtraLoginVendor(Ksef):
    """A faulty vendor that logs in once more than needed before it sends."""

    async def send(
        self, wire: Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        await wire.send(Request.post("/auth/challenge"))
        return await super().send(wire, invoice, key=key)


class _TooEarlyDeliveredVendor(Ksef):
    """A faulty vendor that reports an invoice as delivered before it has a KSeF number."""

    async def get(self, wire: Wire, ref: Ref, /) -> SentInvoice:
        return attrs.evolve(await super().get(wire, ref), status=EinvoiceStatus.DELIVERED)


class _LosesKsefNumberVendor(Ksef):
    """A faulty vendor that loses the KSeF number of an invoice."""

    async def get(self, wire: Wire, ref: Ref, /) -> SentInvoice:
        return attrs.evolve(await super().get(wire, ref), official_number=None)


class _ShowsTokenVendor(Ksef):
    """A faulty vendor that shows its secret token."""

    def __repr__(self) -> str:
        return f"Ksef({self.credentials.reveal()})"


WRONG = [
    ("a_key_sends_once", as_ksef(_RepeatsInNewSessionVendor), "more than once"),
    ("each_request_is_sent_once", as_ksef(_ExtraLoginVendor), "another number of requests"),
    (
        "pending_is_not_delivered",
        as_ksef(_TooEarlyDeliveredVendor),
        "pending invoice is reported as delivered",
    ),
    ("an_answer_is_read_in_full", as_ksef(_LosesKsefNumberVendor), "as official_number"),
    ("secrets_are_shown_nowhere", as_ksef(_ShowsTokenVendor), "secret is shown"),
    ("an_invoice_is_sent", as_storecove(_SendingTwiceVendor), "twice"),
    ("an_invoice_is_sent", as_storecove(_PendingIsDeliveredVendor), "is delivered"),
    ("an_invoice_is_sent", as_storecove(_ChangesDocumentVendor), "Another document"),
    ("an_invoice_is_sent", as_storecove(_WrongRecipientVendor), "another recipient"),
    ("a_key_sends_once", as_storecove(_KeylessVendor), "more than once"),
    ("each_request_is_sent_once", as_storecove(_SendingTwiceVendor), "twice"),
    ("each_request_is_sent_once", as_storecove(_RetryingVendor), "by itself|not raise an error"),
    ("each_request_is_sent_once", as_storecove(_RefusedIsSentVendor), "did not raise an error"),
    (
        "pending_is_not_delivered",
        as_storecove(_DeliveredWithoutEvidenceVendor),
        "pending invoice is reported as delivered",
    ),
    ("pending_is_not_delivered", as_storecove(_NeverDeliveredVendor), "delivery is not reported"),
    ("a_refusal_has_its_type", as_storecove(_RefusedIsSentVendor), "was no error"),
    (
        "a_refusal_has_its_type",
        as_storecove(_ClassifiesByStatusVendor),
        "raised VendorRejected|has the code",
    ),
    (
        "an_uncertain_failure_is_unknown",
        as_recommand(_LostIsRejectedVendor),
        "raised InvalidRequest",
    ),
    ("an_uncertain_failure_is_unknown", as_storecove(_RefusedIsSentVendor), "was no error"),
    ("a_lost_answer_is_unknown", as_storecove(_KeylessVendor), "raised ConnectionFailed"),
    ("an_unreadable_success_is_none", as_recommand(_UnreadableIsSuccessVendor), "was no error"),
    (
        "a_recipient_is_looked_up",
        as_storecove(_EveryRecipientReachableVendor),
        "unknown recipient is reported",
    ),
    ("an_invoice_arrives", as_recommand(_MarksOnDownloadVendor), "only downloaded"),
    (
        "an_invoice_arrives",
        as_recommand(_NeverMarksVendor),
        "lacks a document that was not fetched",
    ),
    (
        "an_invoice_arrives",
        as_recommand(_ChangesReceivedDocumentVendor),
        "Another document was downloaded",
    ),
    ("options_arrive", as_storecove(_OptionlessVendor), "option is lost"),
    ("secrets_are_shown_nowhere", as_storecove(_ShowsApiKeyVendor), "secret is shown"),
    ("events_are_accepted_if_proven", as_storecove(_ReadsNoWebhooksVendor), "became 0 events"),
    ("events_are_accepted_if_proven", as_storecove(_EveryStateIsDeliveredVendor), "has a state"),
    (
        "a_state_follows_from_its_word",
        as_storecove(_EveryStateIsDeliveredVendor),
        "is reported as delivered",
    ),
    ("a_request_is_in_the_vendors_words", as_storecove(_ChangesDocumentVendor), "was sent as"),
    ("an_answer_is_read_in_full", as_storecove(_DeliveredWithoutEvidenceVendor), "as status"),
]
PLAIN = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """An e-invoice vendor with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        PLAIN[check](wrong)


def test_request_for_operation_that_vendor_cannot_do_fails_check() -> None:
    """If a request is sent for an operation that the vendor cannot do, the check fails."""

    def new_subject() -> kit.EinvoicesSubject:
        subject = minimal_subject()
        subject.sandbox.requests.append(None)  # type: ignore[arg-type]  # any request counts
        return subject

    with pytest.raises(AssertionError, match="A request was sent for an operation"):
        PLAIN["unsupported_features_are_refused"](new_subject)


def test_check_fails_for_a_delivery_without_a_webhook() -> None:
    """A vendor that declares webhooks, but sends none for a delivery, fails the check."""

    def new_subject() -> kit.EinvoicesSubject:
        return attrs.evolve(einvoices_subjects.storecove(), deliver=lambda _: None)

    with pytest.raises(AssertionError, match="no webhook about a new state"):
        PLAIN["a_state_follows_from_its_word"](new_subject)


def test_notices_a_stranger_whose_webhook_is_accepted() -> None:
    """A vendor that accepts a forged webhook fails the check."""

    def new_subject() -> kit.EinvoicesSubject:
        subject = einvoices_subjects.storecove()
        original_hook: Any = subject.sandbox.hook
        tokens = iter(("", OTHER_SECRET))

        def hook(fields: Any) -> Any:
            token = next(tokens)
            return original_hook(fields, token) if token else original_hook(fields)

        subject.sandbox.hook = hook  # type: ignore[assignment, method-assign]  # a wrong sandbox
        return subject

    with pytest.raises(AssertionError, match="with a forged signature is accepted"):
        PLAIN["events_are_accepted_if_proven"](new_subject)
