"""The conformance kit of email vendors finds vendors that drop keys or change emails."""

from __future__ import annotations

import asyncio
from datetime import UTC
from html import escape
from itertools import count
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.email import TemplateRef
from moorage.contracts.email_bulk import fill_placeholders
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus
from moorage.errors import VendorRejected
from moorage.testing import email_conformance as kit
from moorage.testing import name_of
from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.vendor_sdk import Result
from moorage.vendors.email.resend import Resend
from moorage.vendors.email.sendgrid import SendGrid
from tests.vendors.email_hubs import hub
from tests.vendors.email_sandboxes import sendgrid_harnesses
from tests.vendors.subjects.resend import resend_harnesses

if TYPE_CHECKING:
    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.vendor_sdk import Wire

_NUMBERS = count()


class _ChangedEmailVendor(Resend):
    """A base class for faulty vendors that change an email or its key before sending."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return message

    def changed_key(self, key: str | None) -> str | None:
        return key

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        changed_message, changed_key = self.changed_message(message), self.changed_key(key)
        return await Resend.send_transactional(self, wire, changed_message, key=changed_key)

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        changed_bulk = attrs.evolve(bulk, base=self.changed_message(bulk.base))
        return await Resend.send_bulk(self, wire, changed_bulk, key=self.changed_key(key))


class _KeylessVendor(_ChangedEmailVendor):
    """A faulty vendor that sends no idempotency key."""

    def changed_key(self, key: str | None) -> str | None:
        return None


class _NewKeyPerRepeatVendor(_ChangedEmailVendor):
    """A faulty vendor that sends a different idempotency key at each repeat of an email."""

    def changed_key(self, key: str | None) -> str | None:
        return key and f"{key}-{next(_NUMBERS)}"


class _CutsOffKeysVendor(_ChangedEmailVendor):
    """A faulty vendor that cuts off long idempotency keys, so that different ones become equal."""

    def changed_key(self, key: str | None) -> str | None:
        return key and key[:40]


class _SendingTwiceVendor(_ChangedEmailVendor):
    """A faulty vendor that sends every email twice."""

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        await super().send_transactional(wire, message, key=None)
        return await super().send_transactional(wire, message, key=key)


class _OneRecipientVendor(_ChangedEmailVendor):
    """A faulty vendor that sends an email only to its first recipient."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return attrs.evolve(message, to=message.to[:1])


class _LosesRecipientNamesVendor(_ChangedEmailVendor):
    """A faulty vendor that loses the names of recipients."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return attrs.evolve(
            message, to=[attrs.evolve(address, name=None) for address in message.to]
        )


class _LosesReplyAddressVendor(_ChangedEmailVendor):
    """A faulty vendor that loses the reply address."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return attrs.evolve(message, reply_to=())


class _InventsReplyAddressVendor(_ChangedEmailVendor):
    """A faulty vendor that sets the sender as the reply address without being asked."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return attrs.evolve(message, reply_to=message.reply_to or "shop@example.com")


class _CutsTextAtDotVendor(_ChangedEmailVendor):
    """A faulty vendor that cuts off an email's text at a line that contains only a dot."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return attrs.evolve(message, text=message.text and message.text.partition("\n.\n")[0])


class _TextAsHtmlVendor(_ChangedEmailVendor):
    """A faulty vendor that turns a plain text into HTML."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return attrs.evolve(message, html=message.html or message.text)


class _AmplessVendor(SendGrid):
    """A faulty vendor that loses the AMP content of a single email."""

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        changed_message = attrs.evolve(message, amp_html=None)
        return await SendGrid.send_transactional(self, wire, changed_message, key=key)


class _AmpInsteadVendor(SendGrid):
    """A faulty vendor that sends the AMP content of an email in place of its HTML."""

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        changed_message = attrs.evolve(message, html=message.amp_html or message.html)
        return await SendGrid.send_transactional(self, wire, changed_message, key=key)


class _UnfilledAmpVendor(SendGrid):
    """A faulty vendor that sends all recipients of a bulk the same AMP content."""

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        amp_html = fill_placeholders(bulk.base.amp_html or "", {"name": "<0>"}, escape)
        changed_bulk = attrs.evolve(bulk, base=attrs.evolve(bulk.base, amp_html=amp_html))
        return await SendGrid.send_bulk(self, wire, changed_bulk, key=key)


class _LosesTemplateDataVendor(SendGrid):
    """A faulty vendor that sends a template without its values."""

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        template = message.template and TemplateRef(message.template.id)
        changed_message = attrs.evolve(message, template=template)
        return await SendGrid.send_transactional(self, wire, changed_message, key=key)


class _FlattensTemplateDataVendor(SendGrid):
    """A faulty vendor that loses the nested values of a template."""

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        template = message.template
        if template is not None:
            data = {name: value for name, value in template.data.items() if isinstance(value, str)}
            message = attrs.evolve(message, template=TemplateRef(template.id, data))
        return await SendGrid.send_transactional(self, wire, message, key=key)


class _LosesOwnDataVendor(SendGrid):
    """A faulty vendor that loses the values of single recipients of a bulk."""

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        recipients = [attrs.evolve(recipient, data={}) for recipient in bulk.recipients]
        changed_bulk = attrs.evolve(bulk, recipients=recipients)
        return await SendGrid.send_bulk(self, wire, changed_bulk, key=key)


class _LosesSharedDataVendor(SendGrid):
    """A faulty vendor that loses the values that all recipients of a bulk share."""

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        template = bulk.base.template and TemplateRef(bulk.base.template.id)
        changed_bulk = attrs.evolve(bulk, base=attrs.evolve(bulk.base, template=template))
        return await SendGrid.send_bulk(self, wire, changed_bulk, key=key)


class _LocalTimeAsUtcVendor(_ChangedEmailVendor):
    """A faulty vendor that sends a local time as UTC."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        send_time = message.send_at
        return attrs.evolve(message, send_at=send_time and send_time.replace(tzinfo=UTC))


class _LosesAttachmentsVendor(_ChangedEmailVendor):
    """A faulty vendor that loses attachments."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return attrs.evolve(message, attachments=(), text=message.text or "A file.")


class _LosesHeadersVendor(_ChangedEmailVendor):
    """A faulty vendor that loses headers."""

    def changed_message(self, message: EmailMessage) -> EmailMessage:
        return attrs.evolve(message, headers={})


class _DropsCopiesVendor(_ChangedEmailVendor):
    """A faulty vendor that drops the copies (Cc and Bcc) of a bulk email."""

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        recipients = [attrs.evolve(recipient, cc=(), bcc=()) for recipient in bulk.recipients]
        return await super().send_bulk(wire, attrs.evolve(bulk, recipients=recipients), key=key)


class _RefusedIsSentVendor(_ChangedEmailVendor):
    """A faulty vendor that reports the refused recipients of a bulk email as sent."""

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        results = await super().send_bulk(wire, bulk, key=key)
        receipt = EmailReceipt(ref=wire.ref("1"), status=EmailStatus.QUEUED)
        return [result if result.ok else Result(receipt) for result in results]


class _ErrorsQuoteResponseVendor(_ChangedEmailVendor):
    """A faulty vendor whose error texts quote the whole response."""

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        try:
            return await super().send_transactional(wire, message, key=key)
        except VendorRejected as error:
            body = error.response.body.decode() if error.response else ""
            raise VendorRejected(body, status=error.status) from None


def _harness(vendor: type[Resend]) -> kit.EmailHarness:
    sandbox = ResendSandbox()
    with resend_harnesses("Async") as make:
        usual_harness = make()
    sandbox_hub: Any = hub(vendor(credentials=sandbox.api_key), sandbox, mode="Async")
    return attrs.evolve(
        usual_harness, hub=sandbox_hub, delivered=sandbox.delivered, sandbox=sandbox
    )


def _sendgrid_harness(vendor: type[SendGrid], mode: str = "Async") -> kit.EmailHarness:
    sandbox = SendGridSandbox()
    with sendgrid_harnesses(mode) as make:
        usual_harness = make()
    sandbox_hub: Any = hub(vendor(credentials=sandbox.api_key), sandbox, mode=mode)
    return attrs.evolve(
        usual_harness, hub=sandbox_hub, delivered=sandbox.delivered, sandbox=sandbox
    )


CHECKS = {name_of(check): check for check in kit.ASYNC_CHECKS}


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        ("each_request_is_sent_once", _SendingTwiceVendor, "A message sent POST /emails twice"),
        (
            "each_message_carries_its_key",
            _KeylessVendor,
            "A message was sent without its idempotency key",
        ),
        ("each_message_carries_its_key", _NewKeyPerRepeatVendor, "sends other keys"),
        ("each_message_carries_its_key", _CutsOffKeysVendor, "under one key"),
        ("each_recipient_is_addressed", _OneRecipientVendor, "as to"),
        (
            "each_recipient_is_addressed",
            _LosesRecipientNamesVendor,
            "The name 'Lovelace, Ada' is lost",
        ),
        ("each_recipient_is_addressed", _LosesReplyAddressVendor, "for replies is lost"),
        ("each_recipient_is_addressed", _InventsReplyAddressVendor, "without reply addresses has"),
        ("each_text_is_sent_as_written", _CutsTextAtDotVendor, "The text is not sent"),
        ("each_text_is_sent_as_written", _TextAsHtmlVendor, "HTML was sent that"),
        ("a_time_of_sending_arrives", _LocalTimeAsUtcVendor, "is scheduled for"),
        ("each_bulk_recipient_has_own_copies", _DropsCopiesVendor, "A message of a bulk went to"),
        (
            "each_bulk_recipient_has_own_copies",
            _LosesHeadersVendor,
            "A header of the whole bulk is lost",
        ),
        (
            "each_bulk_recipient_has_own_copies",
            _LosesReplyAddressVendor,
            "Replies of a bulk are lost",
        ),
        ("each_bulk_recipient_has_own_copies", _LosesAttachmentsVendor, "A file of a bulk is lost"),
        ("a_refused_recipient_is_reported", _RefusedIsSentVendor, "is reported as sent to"),
        ("no_error_shows_a_secret", _ErrorsQuoteResponseVendor, "An error shows a secret"),
    ],
)
def test_check_fails_for_a_wrong_request(check: str, wrong: type[Resend], sentence: str) -> None:
    """An email vendor that sends a faulty request fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(CHECKS[check](lambda: _harness(wrong)))


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (_AmplessVendor, "The AMP content is not sent as written"),
        (_AmpInsteadVendor, "The HTML beside it is changed"),
        (_UnfilledAmpVendor, "The AMP content of a bulk is not that of its recipient"),
    ],
)
def test_check_fails_for_lost_or_mixed_up_amp_content(wrong: type[SendGrid], sentence: str) -> None:
    """An email vendor that loses or mixes up AMP content fails the check of AMP content."""
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(CHECKS["amp_content_arrives"](lambda: _sendgrid_harness(wrong)))


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (_LosesTemplateDataVendor, "A value of the template is lost: q17x"),
        (_FlattensTemplateDataVendor, "A value of the template is lost: lines"),
        (_LosesOwnDataVendor, "A value of a recipient of a bulk is lost"),
        (_LosesSharedDataVendor, "A value that all recipients of a bulk share is lost"),
    ],
)
def test_check_fails_for_lost_values_of_a_template(wrong: type[SendGrid], sentence: str) -> None:
    """An email vendor that loses values of a template fails the check, in sync and async mode."""
    sync_checks = {name_of(check): check for check in kit.CHECKS}
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(CHECKS["template_data_arrive"](lambda: _sendgrid_harness(wrong)))
    with pytest.raises(AssertionError, match=sentence):
        sync_checks["template_data_arrive"](lambda: _sendgrid_harness(wrong, ""))
