"""The conformance kit of email vendors finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import Result
from moorage.contracts.email_outcomes import AddressCheck, EmailReceipt, EmailStatus, Verdict
from moorage.testing import email_conformance as kit
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.vendors.email.sendgrid import SendGrid
from tests.vendors.email_hubs import hub
from tests.vendors.email_sandboxes import sendgrid_harnesses

if TYPE_CHECKING:
    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.wire import Wire


class _LosesAttachmentsVendor(SendGrid):
    """A faulty vendor that loses attachments, changes the text and sends no key."""

    async def send_transactional(
        self,
        wire: Wire,
        message: EmailMessage,
        /,
        *,
        key: str | None,
    ) -> EmailReceipt:
        plain_message = attrs.evolve(message, attachments=(), text="Something else.")
        return await super().send_transactional(wire, plain_message, key=None)


class _UntaggedVendor(SendGrid):
    """A faulty vendor that drops a tag whose name is also a metadata name."""

    async def send_transactional(
        self,
        wire: Wire,
        message: EmailMessage,
        /,
        *,
        key: str | None,
    ) -> EmailReceipt:
        custom_tags = tuple(tag for tag in message.tags if tag not in message.metadata)
        return await super().send_transactional(
            wire, attrs.evolve(message, tags=custom_tags), key=key
        )


class _LosesMetadataVendor(SendGrid):
    """A faulty vendor that loses metadata."""

    async def send_transactional(
        self,
        wire: Wire,
        message: EmailMessage,
        /,
        *,
        key: str | None,
    ) -> EmailReceipt:
        return await super().send_transactional(wire, attrs.evolve(message, metadata={}), key=key)


class _SendsNothingVendor(SendGrid):
    """A faulty vendor that sends nothing and reports success."""

    async def send_transactional(
        self,
        wire: Wire,
        message: EmailMessage,
        /,
        *,
        key: str | None,
    ) -> EmailReceipt:
        return EmailReceipt(ref=wire.ref("1"), status=EmailStatus.DELIVERED)

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        receipt = EmailReceipt(ref=wire.ref("1"), status=EmailStatus.DELIVERED)
        return [Result(receipt) for _ in bulk.recipients]


class _ShorteningVendor(SendGrid):
    """A faulty vendor that shortens subjects, ignores tracking options, and loses bulk metadata."""

    async def send_transactional(
        self,
        wire: Wire,
        message: EmailMessage,
        /,
        *,
        key: str | None,
    ) -> EmailReceipt:
        short_message = attrs.evolve(
            message, subject=message.subject[:78], track_opens=None, track_clicks=None
        )
        return await super().send_transactional(wire, short_message, key=key)

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        recipients = tuple(attrs.evolve(person, metadata={}) for person in bulk.recipients)
        return await super().send_bulk(wire, attrs.evolve(bulk, recipients=recipients), key=key)


class _EveryAddressDeliverableVendor(SendGrid):
    """A faulty vendor that reports each address as deliverable."""

    async def validate_address(self, wire: Wire, address: EmailAddress, /) -> AddressCheck:
        check = await super().validate_address(wire, address)
        return attrs.evolve(check, verdict=Verdict.DELIVERABLE)


def _harness(vendor: type[SendGrid]) -> kit.EmailHarness:
    sandbox = SendGridSandbox()
    with sendgrid_harnesses("Async") as make:
        default_harness = make()
    sandbox_hub: Any = hub(vendor(credentials=sandbox.api_key), sandbox, mode="Async")
    return attrs.evolve(
        default_harness,
        hub=sandbox_hub,
        stranger=sandbox_hub,
        delivered=sandbox.delivered,
        sandbox=sandbox,
        many=3,
    )


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (kit.a_message_arrives, _LosesAttachmentsVendor, "The text is"),
        (kit.a_message_arrives, _SendsNothingVendor, "0 messages arrived"),
        (kit.tags_and_metadata_arrive, _UntaggedVendor, "A tag is lost"),
        (kit.tags_and_metadata_arrive, _LosesMetadataVendor, "Metadata is lost"),
        (kit.a_long_subject_arrives, _ShorteningVendor, "The subject is"),
        (kit.tracking_options_arrive, _ShorteningVendor, "The value of track_opens is lost"),
        (kit.each_bulk_recipient_has_own_metadata, _ShorteningVendor, "a bulk are lost"),
        (kit.files_and_images_arrive, _LosesAttachmentsVendor, "did not arrive"),
        (kit.a_key_is_used_once, _LosesAttachmentsVendor, "another receipt"),
        (kit.a_lost_answer_is_unknown, _SendsNothingVendor, "call raised None"),
        (kit.failures_have_their_types, _SendsNothingVendor, "throttled ended with None"),
        (kit.an_unreadable_success_is_an_error, _SendsNothingVendor, "call raised None"),
        (
            kit.an_unknown_verdict_is_unknown,
            _EveryAddressDeliverableVendor,
            "An unknown verdict is deliverable",
        ),
        (kit.each_bulk_recipient_has_own_texts, _SendsNothingVendor, "To others"),
        (kit.a_large_bulk_goes_in_chunks, _SendsNothingVendor, "another order"),
        (kit.a_repeated_bulk_sends_missing_chunks, _SendsNothingVendor, "0 failed"),
    ],
)
def test_check_fails_for_a_faulty_vendor(
    check: kit.AsyncCheck, wrong: type[SendGrid], sentence: str
) -> None:
    """An email vendor with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(lambda: _harness(wrong)))
