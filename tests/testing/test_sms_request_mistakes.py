"""The conformance kit of SMS vendors finds dropped keys, repeats, and wrong texts and units."""

from __future__ import annotations

from datetime import UTC
from itertools import count
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.sms import Balance, Price, SmsReceipt, SmsStatus
from moorage.errors import VendorRejected
from moorage.testing import name_of
from moorage.testing import sms_conformance as kit
from moorage.vendors.sms.bird import Bird
from moorage.vendors.sms.infobip import Infobip
from moorage.vendors.sms.twilio import Twilio
from tests.vendors.sms_subjects import twilio
from tests.vendors.subjects.bird import bird
from tests.vendors.subjects.infobip import infobip

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.ref import Ref
    from moorage.contracts.sms import SmsEvent, SmsMessage
    from moorage.contracts.sms_templates import TemplateMessage
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.webhooks.events import WebhookEvent

_NUMBERS = count()


class _KeyChangingWire:
    """A connection that changes the idempotency key of each request."""

    def __init__(self, wire: Any, change: Callable[[str], str | None]) -> None:
        self._wire = wire
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    async def send(self, request: Any, **keywords: Any) -> Any:
        """Send the request with a changed idempotency key."""
        key = keywords.get("key")
        return await self._wire.send(request, **{**keywords, "key": key and self._change(key)})


class _ChangedKeysVendor(Bird):
    """A faulty vendor that sends messages with changed idempotency keys."""

    def changed_key(self, key: str) -> str | None:
        raise NotImplementedError

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        other_wire: Any = _KeyChangingWire(wire, self.changed_key)
        receipt: SmsReceipt = await Bird.send.__get__(self, type(self))(
            other_wire, message, key=key
        )
        return receipt


class _KeylessVendor(_ChangedKeysVendor):
    """A faulty vendor that sends no idempotency key."""

    def changed_key(self, key: str) -> str | None:
        return None


class _NewKeyPerRepeatVendor(_ChangedKeysVendor):
    """A faulty vendor that sends a different idempotency key at each repeat of a message."""

    def changed_key(self, key: str) -> str | None:
        return f"{key}-{next(_NUMBERS)}"


class _CutsOffKeysVendor(_ChangedKeysVendor):
    """A faulty vendor that cuts off long idempotency keys, so that different ones become equal."""

    def changed_key(self, key: str) -> str | None:
        return key[:8]


class _LookingUpTwiceVendor(Twilio):
    """A faulty vendor that sends each look-up twice."""

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        await super().get(wire, ref)
        return await super().get(wire, ref)


class _ChangedMessageVendor(Twilio):
    """A base class for faulty vendors that change each message before sending."""

    def changed_message(self, message: SmsMessage) -> SmsMessage:
        raise NotImplementedError

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        return await super().send(wire, self.changed_message(message), key=key)


class _DropsLastCharacterVendor(_ChangedMessageVendor):
    """A faulty vendor that drops the last character of a text."""

    def changed_message(self, message: SmsMessage) -> SmsMessage:
        return attrs.evolve(message, text=message.text[:-1])


class _IgnoresSenderVendor(_ChangedMessageVendor):
    """A faulty vendor that ignores the sender of a message."""

    def changed_message(self, message: SmsMessage) -> SmsMessage:
        return attrs.evolve(message, sender=None)


class _ShortensDeliveryTimeVendor(_ChangedMessageVendor):
    """A faulty vendor that shortens the delivery time of a message to a tenth."""

    def changed_message(self, message: SmsMessage) -> SmsMessage:
        validity = message.validity
        return attrs.evolve(message, validity=validity and validity / 10)


class _LocalTimeAsUtcVendor(_ChangedMessageVendor):
    """A faulty vendor that sends a local time as UTC."""

    def changed_message(self, message: SmsMessage) -> SmsMessage:
        send_time = message.send_at
        return attrs.evolve(message, send_at=send_time and send_time.replace(tzinfo=UTC))


class _DropsMessageOfBatchVendor(Twilio):
    """A faulty vendor that drops one message of a batch."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        if message.text == "Number 3.":
            return SmsReceipt(ref=wire.ref("SM0"), status=SmsStatus.QUEUED, raw={})
        return await super().send(wire, message, key=key)


class _InventsReceiptVendor(Twilio):
    """A faulty vendor that invents a receipt for a missing message."""

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        try:
            return await super().get(wire, ref)
        except VendorRejected:
            return SmsReceipt(ref=ref, status=SmsStatus.UNKNOWN)


class _CentsVendor(Twilio):
    """A faulty vendor that reads a balance in cents."""

    async def check_balance(self, wire: Wire, /) -> Balance:
        amount = (await super().check_balance(wire)).amount
        return Balance(amount=Price(amount.amount * 100, amount.currency), raw={})


class _FailedIsInProgressVendor(Twilio):
    """A faulty vendor that reads reports of failed messages as messages in progress."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        return tuple(
            attrs.evolve(report, status=SmsStatus.SENT)
            if report.status is SmsStatus.FAILED
            else report
            for report in super().events(event, ref)
        )


class _ReturnsEventsTwiceVendor(Twilio):
    """A faulty vendor that returns each event of a webhook twice."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        return super().events(event, ref) * 2


class _ChangedTemplatesVendor(Infobip):
    """A base class for faulty vendors that change each message from a template before sending."""

    def changed_template(self, message: TemplateMessage) -> TemplateMessage:
        raise NotImplementedError

    async def send_template(
        self, wire: Wire, message: TemplateMessage, /, *, key: str | None
    ) -> SmsReceipt:
        return await super().send_template(wire, self.changed_template(message), key=key)


class _EmptyTemplatesVendor(_ChangedTemplatesVendor):
    """A faulty vendor that drops the variables of a template."""

    def changed_template(self, message: TemplateMessage) -> TemplateMessage:
        return attrs.evolve(message, variables=())


class _ReversedTemplatesVendor(_ChangedTemplatesVendor):
    """A faulty vendor that sends the variables of a template in the wrong order."""

    def changed_template(self, message: TemplateMessage) -> TemplateMessage:
        return attrs.evolve(message, variables=tuple(message.variables.values())[::-1])


class _OnlyWhatsAppVendor(_ChangedTemplatesVendor):
    """A faulty vendor that sends every template by WhatsApp."""

    def changed_template(self, message: TemplateMessage) -> TemplateMessage:
        return attrs.evolve(message, channel="whatsapp")


class _OwnSenderVendor(_ChangedTemplatesVendor):
    """A faulty vendor that ignores the sender of a message from a template."""

    def changed_template(self, message: TemplateMessage) -> TemplateMessage:
        return attrs.evolve(message, sender=None)


class _WithoutFallbackVendor(_ChangedTemplatesVendor):
    """A faulty vendor that drops the SMS that a recipient gets instead of a template."""

    def changed_template(self, message: TemplateMessage) -> TemplateMessage:
        return attrs.evolve(message, sms_fallback=None)


class _InventsReferenceVendor(Infobip):
    """A faulty vendor that returns an invented reference of a message from a template."""

    async def send_template(
        self, wire: Wire, message: TemplateMessage, /, *, key: str | None
    ) -> SmsReceipt:
        receipt = await super().send_template(wire, message, key=key)
        return attrs.evolve(receipt, ref=wire.ref("1"))


class _ReadIsDeliveredVendor(Infobip):
    """A faulty vendor that reports a message as delivered although its recipient has read it."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        return tuple(
            attrs.evolve(report, status=SmsStatus.DELIVERED)
            if report.status is SmsStatus.READ
            else report
            for report in super().events(event, ref)
        )


class _TemplatesTwiceVendor(Infobip):
    """A faulty vendor that sends each message from a template twice."""

    async def send_template(
        self, wire: Wire, message: TemplateMessage, /, *, key: str | None
    ) -> SmsReceipt:
        await super().send_template(wire, message, key=None)
        return await super().send_template(wire, message, key=key)


def _as_infobip(kind: type[Infobip]) -> kit.Factory:
    def subject() -> kit.SmsSubject:
        usual_subject = infobip()
        vendor: Any = usual_subject.vendor
        fields = {
            name: getattr(vendor, name)
            for name in ("base_url", "credentials", "sender", "whatsapp_sender", "rcs_sender")
        }
        return attrs.evolve(usual_subject, vendor=kind(**fields))

    return subject


def _as_twilio(kind: type[Twilio]) -> kit.Factory:
    def subject() -> kit.SmsSubject:
        usual_subject = twilio()
        sandbox: Any = usual_subject.sandbox
        vendor = kind(
            account_sid=sandbox.account_sid, credentials=sandbox.auth_token, sender="+15005550006"
        )
        return attrs.evolve(usual_subject, vendor=vendor)

    return subject


def _as_bird(kind: type[Bird]) -> kit.Factory:
    def subject() -> kit.SmsSubject:
        usual_subject = bird()
        sandbox: Any = usual_subject.sandbox
        vendor = kind(region=sandbox.region, credentials=sandbox.api_key, sender="Acme")
        return attrs.evolve(usual_subject, vendor=vendor)

    return subject


def _with_other_code() -> kit.SmsSubject:
    """Return a test subject of Twilio that expects a wrong error code in an error response."""
    subject = twilio()
    answer, error_type, *_ = subject.refusals[0]
    return attrs.evolve(subject, refusals=((answer, error_type, "21610"),))


WRONG = [
    (
        "each_message_carries_its_key",
        _as_bird(_KeylessVendor),
        "A message was sent without its idempotency key",
    ),
    ("each_message_carries_its_key", _as_bird(_NewKeyPerRepeatVendor), "sends other keys"),
    ("each_message_carries_its_key", _as_bird(_CutsOffKeysVendor), "under one key"),
    ("each_request_is_sent_once", _as_twilio(_LookingUpTwiceVendor), "`get` sent GET .* twice"),
    ("a_message_is_sent_as_written", _as_twilio(_DropsLastCharacterVendor), "text is not sent"),
    ("a_request_is_in_the_vendors_words", _as_twilio(_IgnoresSenderVendor), "as From"),
    (
        "a_request_is_in_the_vendors_words",
        _as_twilio(_ShortensDeliveryTimeVendor),
        "as ValidityPeriod",
    ),
    ("a_time_of_sending_arrives", _as_twilio(_LocalTimeAsUtcVendor), "is scheduled for"),
    (
        "each_message_of_a_batch_is_sent_as_written",
        _as_twilio(_DropsMessageOfBatchVendor),
        "was lost",
    ),
    (
        "a_message_that_does_not_exist_is_not_found",
        _as_twilio(_InventsReceiptVendor),
        "an unknown message returned",
    ),
    ("an_answer_is_read_in_full", _as_twilio(_CentsVendor), "check_balance read .* as amount"),
    (
        "a_report_is_of_its_message",
        _as_twilio(_FailedIsInProgressVendor),
        "failed was read as sent",
    ),
    ("a_report_is_of_its_message", _as_twilio(_ReturnsEventsTwiceVendor), "became 2 events"),
    ("a_template_is_sent_as_written", _as_infobip(_EmptyTemplatesVendor), "variables are not sent"),
    (
        "a_template_is_sent_as_written",
        _as_infobip(_ReversedTemplatesVendor),
        "variables are not sent",
    ),
    ("a_template_is_sent_as_written", _as_infobip(_OnlyWhatsAppVendor), "went by whatsapp"),
    ("a_template_is_sent_as_written", _as_infobip(_OwnSenderVendor), "sender of the message is"),
    (
        "a_template_is_sent_as_written",
        _as_infobip(_InventsReferenceVendor),
        "is of another message",
    ),
    (
        "an_sms_takes_the_place_of_a_template",
        _as_infobip(_WithoutFallbackVendor),
        "in its place has another text",
    ),
    (
        "a_report_is_of_its_template",
        _as_infobip(_ReadIsDeliveredVendor),
        "SEEN was read as delivered",
    ),
    ("a_template_is_sent_once", _as_infobip(_TemplatesTwiceVendor), "sent POST .* twice|two mess"),
    ("a_refusal_has_its_type", _with_other_code, "has the code '20429'"),
]
CHECKS = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_wrong_request_or_reading(
    check: str, wrong: kit.Factory, sentence: str
) -> None:
    """An SMS vendor that sends or reads something wrong fails the check for this mistake."""
    with pytest.raises(AssertionError, match=sentence):
        CHECKS[check](wrong)
