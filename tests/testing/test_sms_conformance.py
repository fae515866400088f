"""The conformance kit of SMS vendors passes correct ones, and finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.sms import (
    Balance,
    NumberCheck,
    Price,
    SmsEvent,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
)
from moorage.contracts.vendor import RepeatedKey, VendorKeys
from moorage.errors import VendorFailed, VendorRejected
from moorage.testing import name_of
from moorage.testing import sms_conformance as kit
from moorage.testing.kits.checks import OTHER_SECRET
from moorage.testing.sandboxes.sms.vonage import VonageSandbox
from moorage.vendors.sms.twilio import Twilio
from moorage.vendors.sms.vonage import Vonage, classify
from tests.vendors import sms_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.service.settings import Service
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.errors import ConnectorError

KEYS = VendorKeys(
    memory=86_400,
    repeat=RepeatedKey.REPLAYED,
    documentation=["https://vonage.example/keys"],
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class LesserVendor(Vonage):
    """A correct vendor that can only send messages, and honours idempotency keys."""

    capabilities = frozenset()
    webhook = None  # type: ignore[assignment]  # every vendor may have none
    idempotency = KEYS

    def services(self) -> Mapping[str, Service]:
        """Return Vonage's services, with a header for idempotency keys."""
        return {
            name: attrs.evolve(service, **KEYS.settings)
            for name, service in super().services().items()
        }


def minimal_subject() -> kit.SmsSubject:
    """Return a test subject with few capabilities and no webhooks."""
    subject = as_vonage(LesserVendor)()
    return attrs.evolve(subject, report=None, webhook_secret=None, requests=(), answers=())


def as_vonage(kind: Callable[..., Vonage]) -> kit.Factory:
    """Return a function that makes a test subject of Vonage with another vendor class."""

    def new_subject() -> kit.SmsSubject:
        subject = sms_subjects.vonage()
        sandbox: Any = subject.sandbox
        vendor = kind(api_key=sandbox.api_key, credentials=sandbox.api_secret, sender="Acme")
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


def as_twilio(kind: Callable[..., Twilio]) -> kit.Factory:
    """Return a function that makes a test subject of Twilio with another vendor class."""

    def new_subject() -> kit.SmsSubject:
        subject = sms_subjects.twilio()
        sandbox: Any = subject.sandbox
        vendor = kind(
            account_sid=sandbox.account_sid, credentials=sandbox.auth_token, sender="+15005550006"
        )
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sms_vendor_that_can_only_send_passes_all_checks(check: kit.Check) -> None:
    """An SMS vendor that can only send passes all checks."""
    check(minimal_subject)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_sms_vendor_that_can_only_send_passes_all_checks_asynchronously(
    check: kit.AsyncCheck,
) -> None:
    """An SMS vendor that can only send passes all checks asynchronously, too."""
    asyncio.run(check(minimal_subject))


class _SendingVendor(Twilio):
    """A base class for faulty vendors that change each receipt."""

    def changed_receipt(self, receipt: SmsReceipt) -> SmsReceipt:
        raise NotImplementedError

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        return self.changed_receipt(await super().send(wire, message, key=key))


class _QueuedIsDeliveredVendor(_SendingVendor):
    """A faulty vendor that reports each queued message as delivered."""

    def changed_receipt(self, receipt: SmsReceipt) -> SmsReceipt:
        return attrs.evolve(receipt, status=SmsStatus.DELIVERED)


class _ClaimingSentVendor(_SendingVendor):
    """A faulty vendor that reports each message as sent."""

    def changed_receipt(self, receipt: SmsReceipt) -> SmsReceipt:
        return attrs.evolve(receipt, status=SmsStatus.SENT)


class _DropsResponseVendor(_SendingVendor):
    """A faulty vendor that drops the response from receipts."""

    def changed_receipt(self, receipt: SmsReceipt) -> SmsReceipt:
        return attrs.evolve(receipt, raw=None)


class _DropsStatusWordVendor(_SendingVendor):
    """A faulty vendor that drops the vendor's own status word from receipts."""

    def changed_receipt(self, receipt: SmsReceipt) -> SmsReceipt:
        return attrs.evolve(receipt, vendor_status=None)


class _SendingTwiceVendor(Twilio):
    """A faulty vendor that sends each message twice."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        await super().send(wire, message, key=None)
        return await super().send(wire, message, key=key)


class _KeylessVendor(Twilio):
    """A faulty vendor that sends no idempotency key."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        return await super().send(wire, message, key=None)


class _ChangingKeysVendor(Twilio):
    """A faulty vendor that sends a new idempotency key with each request."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        return await super().send(wire, message, key=wire.new_id())


class _ReportsFailureAsSuccessVendor(Twilio):
    """A faulty vendor that reports a failure as a success."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        try:
            return await super().send(wire, message, key=key)
        except VendorFailed:
            return SmsReceipt(ref=wire.ref("1"), status=SmsStatus.SENT)


class _LosingOptionsVendor(Twilio):
    """A faulty vendor that drops its vendor-specific options."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        return await super().send(wire, attrs.evolve(message, extra={}), key=key)


class _SendsScheduledAtOnceVendor(Twilio):
    """A faulty vendor that sends scheduled messages at once."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        return await super().send(wire, attrs.evolve(message, send_at=None), key=key)


class _FakeCancellationVendor(Twilio):
    """A faulty vendor that reports a message as cancelled without requesting it."""

    async def cancel(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        return await self.get(wire, ref)


class _WrongReferenceVendor(Twilio):
    """A faulty vendor that returns another message's reference."""

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        return attrs.evolve(await super().get(wire, ref), ref=wire.ref("SM0"))


class _DropsCarrierVendor(Twilio):
    """A faulty vendor that drops the carrier of a phone number."""

    async def validate_number(
        self, wire: Wire, number: str, /, *, country: str | None
    ) -> NumberCheck:
        result = await super().validate_number(wire, number, country=country)
        return attrs.evolve(result, carrier=None)


class _RoundedVendor(Twilio):
    """A faulty vendor that rounds its balance to an integer."""

    async def check_balance(self, wire: Wire, /) -> Balance:
        cents: Any = 25
        return Balance(amount=Price(cents, "USD"))


class _EveryWebhookIsDeliveryVendor(Twilio):
    """A faulty vendor that reads every webhook as a delivery report."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        reports = super().events(event, ref)
        return tuple(attrs.evolve(report, status=SmsStatus.DELIVERED) for report in reports)


class _ShowsCredentialsVendor(Twilio):
    """A faulty vendor that shows its credentials in its repr."""

    def __repr__(self) -> str:
        return f"Twilio({self.credentials and self.credentials.reveal()})"


class _ClassifyingVendor(Vonage):
    """A faulty vendor that classifies failures by its own method."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        raise NotImplementedError

    def services(self) -> Mapping[str, Service]:
        return {
            name: attrs.evolve(service, classify=self.how)
            for name, service in super().services().items()
        }


class _ClassifyingByStatusVendor(_ClassifyingVendor):
    """A faulty vendor that classifies failures only by status."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        return None


class _ErrorsQuoteResponseVendor(_ClassifyingVendor):
    """A faulty vendor whose errors quote the response."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        error = classify(request, response)
        return None if error is None else type(error)(f"Refused: {response.body.decode()}")


class _ErrorsWithoutResponseVendor(_ClassifyingVendor):
    """A faulty vendor whose errors lack the response."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        error = classify(request, response)
        return None if error is None else type(error)("Refused.")


class _OutageIsRejectionVendor(_ClassifyingVendor):
    """A faulty vendor that reports an outage as a rejection."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        return VendorRejected("Refused.", status=response.status, response=response)


def _forgeable_subject() -> kit.SmsSubject:
    """Return a test subject whose webhooks the kit can forge, as it knows their secret."""
    sandbox = VonageSandbox(signature_secret=OTHER_SECRET)
    subject = sms_subjects.vonage()
    return attrs.evolve(
        subject,
        sandbox=sandbox,
        report=sandbox.report,
        webhook_secret=sandbox.signature_secret,
    )


def _unreachable() -> kit.SmsSubject:
    """Return a test subject that always says that its sandbox got no message."""
    return attrs.evolve(sms_subjects.vonage(), sent=lambda: 0)


WRONG = [
    ("a_message_is_sent", as_twilio(_SendingTwiceVendor), "twice in a row"),
    ("a_message_is_sent", _unreachable, "not sent once"),
    ("a_message_is_sent", as_twilio(_QueuedIsDeliveredVendor), "reported as final"),
    (
        "a_message_is_sent",
        as_twilio(_DropsStatusWordVendor),
        "The result lacks the vendor's own status",
    ),
    (
        "a_message_is_sent",
        as_twilio(_DropsResponseVendor),
        "The result lacks the vendor's raw response",
    ),
    ("a_reference_survives_as_text", as_twilio(_WrongReferenceVendor), "another message"),
    ("a_key_sends_once", as_twilio(_KeylessVendor), "more than once"),
    ("a_key_is_for_one_message", as_twilio(_KeylessVendor), "was no error"),
    ("declared_capabilities_work", as_twilio(_RoundedVendor), "The balance has no amount"),
    ("declared_capabilities_work", as_twilio(_DropsCarrierVendor), "carrier is missing"),
    ("a_scheduled_text_can_be_cancelled", as_twilio(_SendsScheduledAtOnceVendor), "not scheduled"),
    ("a_scheduled_text_can_be_cancelled", as_twilio(_FakeCancellationVendor), "is not CANCELED"),
    ("a_refusal_has_its_type", as_vonage(_ClassifyingByStatusVendor), "raised VendorFailed"),
    (
        "a_refusal_has_its_type",
        as_vonage(_ErrorsQuoteResponseVendor),
        "shows personal data or a secret",
    ),
    ("a_refusal_has_its_type", as_vonage(_ErrorsWithoutResponseVendor), "answer is lost"),
    ("an_outage_is_no_refusal", as_vonage(_OutageIsRejectionVendor), "raised VendorRejected"),
    ("a_malformed_answer_is_no_success", as_twilio(_ReportsFailureAsSuccessVendor), "was no error"),
    ("a_lost_answer_is_unknown", as_twilio(_ChangingKeysVendor), "was no error"),
    ("an_unknown_status_is_kept", as_twilio(_ClaimingSentVendor), "as a known status"),
    ("each_message_of_a_batch_has_its_result", as_twilio(_KeylessVendor), "sent already"),
    ("options_arrive", as_twilio(_LosingOptionsVendor), "option is lost"),
    ("recipients_are_not_shown", as_twilio(_ShowsCredentialsVendor), "is shown"),
    ("events_are_accepted_if_signed", as_twilio(_EveryWebhookIsDeliveryVendor), "was read as"),
    ("events_are_accepted_if_signed", _forgeable_subject, "with a forged signature"),
]
PLAIN = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """An SMS vendor with one fault fails the check for that fault."""
    with pytest.raises(AssertionError, match=sentence):
        PLAIN[check](wrong)
