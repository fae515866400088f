"""The conformance kit for signature vendors passes correct ones, and finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.signatures import (
    Envelope,
    EnvelopeStatus,
    SignatureEventType,
    SignatureReceipt,
    SignedFile,
    SignerState,
    SignerStatus,
)
from moorage.errors import ConnectorError, OutcomeUnknown, VendorFailed, VendorRejected
from moorage.testing import name_of
from moorage.testing import signatures_conformance as kit
from moorage.testing.kits.checks import OTHER_SECRET
from moorage.vendors.signatures.docusign import Docusign
from moorage.vendors.signatures.dropbox_sign import DropboxSign
from tests.vendors import signatures_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.ref import Ref
    from moorage.contracts.signatures import SignatureEvent, SignatureRequest, SigningLink
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.service.settings import Service
    from moorage.domain.webhooks.events import WebhookEvent


def as_docusign(kind: Callable[..., Docusign]) -> kit.Factory:
    """Return a function that makes a test subject of DocuSign with another vendor class."""

    def new_subject() -> kit.SignaturesSubject:
        subject = signatures_subjects.docusign()
        sandbox: Any = subject.sandbox
        vendor = kind(credentials=sandbox.token, account_id=sandbox.account_id)
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


def as_dropbox_sign(kind: Callable[..., DropboxSign]) -> kit.Factory:
    """Return a function that makes a test subject of Dropbox Sign with another vendor class."""

    def new_subject() -> kit.SignaturesSubject:
        subject = signatures_subjects.dropbox_sign()
        sandbox: Any = subject.sandbox
        vendor = kind(credentials=sandbox.key, client_id=sandbox.client_id, test_mode=True)
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


@attrs.frozen(kw_only=True)
class LesserVendor(DropboxSign):
    """A correct vendor without optional features."""

    capabilities = frozenset()


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_without_optional_features_passes_all_checks(check: kit.Check) -> None:
    """A vendor without optional features passes all checks."""
    check(as_dropbox_sign(LesserVendor))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_vendor_without_optional_features_passes_all_checks_asynchronously(
    check: kit.AsyncCheck,
) -> None:
    """A vendor without optional features passes all checks asynchronously, too."""
    asyncio.run(check(as_dropbox_sign(LesserVendor)))


class _SendingTwiceVendor(Docusign):
    """A faulty vendor that sends each envelope twice."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        await super().send(wire, request, key=None)
        return await super().send(wire, request, key=key)


class _KeylessVendor(Docusign):
    """A faulty vendor that loses the idempotency key."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        return await super().send(wire, request, key=None)


class _RetryingVendor(Docusign):
    """A faulty vendor that repeats a failed request by itself."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        try:
            return await super().send(wire, request, key=key)
        except ConnectorError:
            return await super().send(wire, request, key=key)


class _SendingAfterTheSearchVendor(Docusign):
    """A faulty vendor that sends an envelope again if a search does not find it."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        try:
            return await super().send(wire, request, key=key)
        except OutcomeUnknown:
            return await super().send(wire, request, key=None)


class _WithoutSearchVendor(Docusign):
    """A faulty vendor that never looks up an envelope after a lost response."""

    async def _look_up(self, wire: Wire, mark: str) -> SignatureReceipt | None:
        return None


class _SendingAgainVendor(_SendingAfterTheSearchVendor, _WithoutSearchVendor):
    """A faulty vendor that sends an envelope again after a lost response."""


class _UnknownIsRetryableVendor(Docusign):
    """A faulty vendor that reports an unknown outcome as a retryable failure."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        try:
            return await super().send(wire, request, key=key)
        except OutcomeUnknown as error:
            raise VendorFailed("Try again.") from error


class _FailureIsSuccessVendor(DropboxSign):
    """A faulty vendor that reports each failure as a success."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        try:
            return await super().send(wire, request, key=key)
        except VendorFailed:
            return SignatureReceipt(ref=wire.ref("1"), status=EnvelopeStatus.SENT)


class _NewIsCompletedVendor(Docusign):
    """A faulty vendor that reports a new envelope as completed."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        receipt = await super().send(wire, request, key=key)
        return attrs.evolve(receipt, status=EnvelopeStatus.COMPLETED)


class _ChangedStateVendor(Docusign):
    """A base class for faulty vendors that change the state of each envelope."""

    def changed(self, envelope: Envelope) -> Envelope:
        raise NotImplementedError

    async def get(self, wire: Wire, ref: Ref, /) -> Envelope:
        return self.changed(await super().get(wire, ref))


class _UnknownIsCompletedVendor(_ChangedStateVendor):
    """A faulty vendor that reads an unknown status as completed."""

    def changed(self, envelope: Envelope) -> Envelope:
        is_unknown = envelope.status is EnvelopeStatus.UNKNOWN
        return attrs.evolve(envelope, status=EnvelopeStatus.COMPLETED) if is_unknown else envelope


class _CompletedTooEarlyVendor(_ChangedStateVendor):
    """A faulty vendor that reports an envelope as completed after one signature."""

    def changed(self, envelope: Envelope) -> Envelope:
        is_signed = any(state.status is SignerStatus.SIGNED for state in envelope.signers)
        return attrs.evolve(envelope, status=EnvelopeStatus.COMPLETED) if is_signed else envelope


class _DropsDeclineReasonVendor(_ChangedStateVendor):
    """A faulty vendor that drops the signer's reason for declining."""

    def changed(self, envelope: Envelope) -> Envelope:
        return attrs.evolve(envelope, reason=None)


class _AskedOutOfTurnVendor(_ChangedStateVendor):
    """A faulty vendor that reports a signer as asked to sign although it is not their turn."""

    def changed(self, envelope: Envelope) -> Envelope:
        signers = [
            attrs.evolve(state, status=SignerStatus.SENT)
            if state.status is SignerStatus.WAITING
            else state
            for state in envelope.signers
        ]
        return attrs.evolve(envelope, signers=tuple(signers))


class _AnyResponseVendor(Docusign):
    """A faulty vendor that does not check to which envelope a response belongs."""

    async def get(self, wire: Wire, ref: Ref, /) -> Envelope:
        try:
            return await super().get(wire, ref)
        except VendorFailed:
            return Envelope(ref=ref, status=EnvelopeStatus.SENT)


class _VoidTooEarlyVendor(DropboxSign):
    """A faulty vendor that reports an envelope as void before it is."""

    async def void(self, wire: Wire, ref: Ref, reason: str | None, /) -> SignatureReceipt:
        receipt = await super().void(wire, ref, reason)
        return attrs.evolve(receipt, status=EnvelopeStatus.VOIDED)


class _EveryEnvelopeVoidVendor(Docusign):
    """A faulty vendor that reports every envelope as void."""

    async def void(self, wire: Wire, ref: Ref, reason: str | None, /) -> SignatureReceipt:
        try:
            return await super().void(wire, ref, reason)
        except VendorRejected:
            return SignatureReceipt(ref=ref, status=EnvelopeStatus.VOIDED)


class _DropsVoidReasonVendor(Docusign):
    """A faulty vendor that drops the reason for voiding an envelope."""

    async def void(self, wire: Wire, ref: Ref, reason: str | None, /) -> SignatureReceipt:
        return await super().void(wire, ref, None)


class _KeylessRemindersVendor(DropboxSign):
    """A faulty vendor that loses the idempotency key of reminders."""

    async def remind(self, wire: Wire, ref: Ref, /, *, key: str | None) -> SignatureReceipt:
        return await super().remind(wire, ref, key=None)


class _OpenLinksVendor(Docusign):
    """A faulty vendor that creates a signing link for any person."""

    async def signing_link(
        self, wire: Wire, ref: Ref, email: str, return_url: str | None, /
    ) -> SigningLink:
        return await super().signing_link(wire, ref, "ada@example.com", return_url)


class _HtmlAsFileVendor(Docusign):
    """A faulty vendor that returns a file although it got an HTML page."""

    async def download(self, wire: Wire, ref: Ref, /) -> SignedFile:
        try:
            return await super().download(wire, ref)
        except VendorFailed:
            return SignedFile(content=b"%PDF-1.7")


class _OneErrorClassVendor(Docusign):
    """A faulty vendor that gives all error responses the same error class."""

    def services(self) -> Mapping[str, Service]:
        refusals = attrs.evolve(Docusign.refusals, codes={}, statuses={})
        return {
            name: attrs.evolve(service, classify=refusals)
            for name, service in super().services().items()
        }


class _LosesOptionsVendor(DropboxSign):
    """A faulty vendor that loses options."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        return await super().send(wire, attrs.evolve(request, extra={}), key=key)


class _TokenInReferencesVendor(Docusign):
    """A faulty vendor that puts the secret token into references."""

    async def send(
        self, wire: Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        receipt = await super().send(wire, request, key=key)
        token = self.credentials
        token_text = "" if token is None else token.reveal()
        return attrs.evolve(receipt, ref=receipt.ref.with_related(token=token_text))


@attrs.frozen(kw_only=True)
class _ShownState(SignerState):
    """A signer's state whose repr shows the signer's email address."""

    def __repr__(self) -> str:
        return f"SignerState({self.email})"


class _ShowsPersonalDataVendor(_ChangedStateVendor):
    """A faulty vendor whose signers' repr() contains personal data."""

    def changed(self, envelope: Envelope) -> Envelope:
        signers = tuple(_ShownState(email=state.email) for state in envelope.signers)
        return attrs.evolve(envelope, signers=signers)


class _ReadsNoWebhooksVendor(Docusign):
    """A faulty vendor that reads no webhooks."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SignatureEvent, ...]:
        return ()


class _EveryWebhookIsCompletionVendor(DropboxSign):
    """A faulty vendor that reads every webhook as the completion of an envelope."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SignatureEvent, ...]:
        completed = SignatureEventType.COMPLETED
        return tuple(attrs.evolve(item, type=completed) for item in super().events(event, ref))


def _forgeable_subject() -> kit.SignaturesSubject:
    """Return a test subject whose webhooks the kit can forge, as it knows their secret."""
    subject = signatures_subjects.docusign()
    sandbox: Any = subject.sandbox
    sandbox.connect_key = OTHER_SECRET
    return attrs.evolve(subject, webhook_secret=sandbox.connect_key)


WRONG = [
    ("an_envelope_is_sent", as_docusign(_SendingTwiceVendor), "twice"),
    ("an_envelope_is_sent", as_docusign(_NewIsCompletedVendor), "is completed"),
    ("a_key_sends_once", as_docusign(_KeylessVendor), "more than once"),
    ("a_failed_request_is_not_repeated", as_docusign(_RetryingVendor), "no error|by itself"),
    ("a_lost_answer_is_looked_up", as_docusign(_SendingAgainVendor), "was sent again"),
    ("a_late_search_is_no_proof", as_docusign(_SendingAfterTheSearchVendor), "was no error"),
    ("a_late_search_is_no_proof", as_docusign(_UnknownIsRetryableVendor), "raised VendorFailed"),
    (
        "an_uncertain_failure_is_unknown",
        as_docusign(_UnknownIsRetryableVendor),
        "raised VendorFailed",
    ),
    (
        "an_unreadable_success_is_no_success",
        as_dropbox_sign(_FailureIsSuccessVendor),
        "was no error",
    ),
    ("signatures_are_followed", as_docusign(_CompletedTooEarlyVendor), "The envelope is completed"),
    ("signatures_are_followed", as_docusign(_AskedOutOfTurnVendor), "The signers are"),
    (
        "a_refused_signature_has_its_reason",
        as_docusign(_DropsDeclineReasonVendor),
        "reason for declining",
    ),
    (
        "an_unknown_word_is_unknown",
        as_docusign(_UnknownIsCompletedVendor),
        "The envelope is completed",
    ),
    ("an_answer_is_about_its_envelope", as_docusign(_AnyResponseVendor), "was no error"),
    ("an_envelope_is_voided", as_dropbox_sign(_VoidTooEarlyVendor), "reported as void before"),
    ("an_envelope_is_voided", as_docusign(_DropsVoidReasonVendor), "reason for voiding is lost"),
    ("a_completed_envelope_stays", as_docusign(_EveryEnvelopeVoidVendor), "was no error"),
    ("a_reminder_is_sent_once", as_dropbox_sign(_KeylessRemindersVendor), "The emails went to"),
    ("a_link_belongs_to_its_signer", as_docusign(_OpenLinksVendor), "was no error"),
    ("files_are_downloaded", as_docusign(_HtmlAsFileVendor), "was no error"),
    ("a_refusal_has_its_type", as_docusign(_OneErrorClassVendor), "raised VendorRejected"),
    ("a_pause_is_obeyed", as_docusign(_OneErrorClassVendor), "raised VendorRejected"),
    ("options_arrive", as_dropbox_sign(_LosesOptionsVendor), "option is lost"),
    ("secrets_are_shown_nowhere", as_docusign(_TokenInReferencesVendor), "secret is shown"),
    ("nothing_shows_the_signers", as_docusign(_ShowsPersonalDataVendor), "Personal data is shown"),
    ("events_are_accepted_if_signed", as_docusign(_ReadsNoWebhooksVendor), "became 0 events"),
    (
        "events_are_accepted_if_signed",
        as_dropbox_sign(_EveryWebhookIsCompletionVendor),
        "became completed",
    ),
    ("events_are_accepted_if_signed", _forgeable_subject, "with a forged signature"),
]
PLAIN = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """A signature vendor with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        PLAIN[check](wrong)


def test_notices_a_vendor_without_a_look_up() -> None:
    """A vendor that does not look up an envelope after a lost response fails the check."""
    with pytest.raises(OutcomeUnknown):
        PLAIN["a_lost_answer_is_looked_up"](as_docusign(_WithoutSearchVendor))
