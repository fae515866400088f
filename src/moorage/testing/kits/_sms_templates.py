"""Checks of messages from templates, for SMS vendors that can send them by WhatsApp or RCS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.sms import SmsCapability, SmsStatus
from moorage.contracts.sms_templates import TemplateChannel, TemplateMessage
from moorage.errors import IdempotencyConflict, OutcomeUnknown, UnsupportedByVendor
from moorage.testing.kits._sms_harness import ACCOUNT, URL
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.sms import SmsReceipt
    from moorage.testing.kits._sms_harness import Harness
    from moorage.testing.sandboxes.sms.sent_templates import SentTemplate

    Open = Callable[[], Harness]

_NAME: Final = 'Zoë "Z" & <Ada>'
_FALLBACK: Final = "Your order Q-17 is ready."
_CHANNELS: Final = {
    TemplateChannel.WHATSAPP: SmsCapability.WHATSAPP,
    TemplateChannel.RCS: SmsCapability.RCS,
}


def _template(harness: Harness, **fields: Any) -> TemplateMessage:
    default_fields: dict[str, Any] = {
        "channel": _channels(harness)[0],
        "template": harness.subject.template,
        "language": "en",
        "variables": (_NAME, "Q-17"),
    }
    return TemplateMessage(to=harness.subject.to, **{**default_fields, **fields})


def _channels(harness: Harness) -> list[TemplateChannel]:
    """Return the channels that the vendor has."""
    return [channel for channel, item in _CHANNELS.items() if item in harness.capabilities]


def _sent(harness: Harness) -> list[SentTemplate]:
    sent_templates: list[SentTemplate] = getattr(harness.sandbox, "sent_templates")  # noqa: B009 - a sandbox with templates
    return sent_templates


async def a_template_is_sent_as_written(make: Open) -> None:
    """Each channel sends the template with its variables, by position or name, to the number."""
    async with make() as harness:
        variants: tuple[tuple[Any, dict[str, str]], ...] = (
            ((_NAME, "Q-17"), {"1": _NAME, "2": "Q-17"}),
            ({"customer": _NAME}, {"customer": _NAME}),
            ((), {}),
        )
        for channel in _channels(harness):
            for variables, expected in variants:
                message = _template(harness, channel=channel, variables=variables)
                receipt: SmsReceipt = await harness("send_template", message)
                sent = _sent(harness)[-1]
                require(receipt.ref.id == sent.id, "The receipt is of another message.")
                is_open = receipt.status in {SmsStatus.QUEUED, SmsStatus.SENT}
                require(is_open, f"A message that was accepted is {receipt.status}.")
                require(receipt.raw, "The result lacks the vendor's raw response.")
                require(sent.to == harness.subject.to, f"The message went to {sent.to}.")
                require(sent.channel == channel, f"The message went by {sent.channel}.")
                require(sent.template == harness.subject.template, f"{sent.template} was sent.")
                require(sent.language in {"en", None}, f"The language is {sent.language}.")
                require(dict(sent.variables) == expected, "The variables are not sent as written.")
                require(bool(sent.sender), "The message has no sender.")
            message = _template(harness, channel=channel, sender="15005550009")
            await harness("send_template", message)
            require(
                _sent(harness)[-1].sender == "15005550009", "The sender of the message is lost."
            )


async def a_template_is_sent_once(make: Open) -> None:
    """A repeat with the same idempotency key sends nothing; another message is refused."""
    async with make() as harness:
        if not _channels(harness):
            return
        receipt = await harness("send_template", _template(harness), idempotency_key="t-1")
        repeat = await harness("send_template", _template(harness), idempotency_key="t-1")
        require(receipt == repeat, "A repeat with the same key has another receipt.")
        other = harness(
            "send_template", _template(harness, variables=("Bob",)), idempotency_key="t-1"
        )
        await harness.refused(IdempotencyConflict, other, "A key for another message")
        require(len(_sent(harness)) == 1, "A key was used for two messages.")


async def a_lost_template_is_unknown(make: Open) -> None:
    """After a lost response the outcome is unknown, and a call with the same key sends nothing."""
    async with make() as harness:
        if not _channels(harness) or harness.honours_keys():
            return
        harness.sandbox.fail(Lost())
        for _ in range(2):
            lost_call = harness("send_template", _template(harness), idempotency_key="t-1")
            await harness.refused(OutcomeUnknown, lost_call, "A lost answer")
        require(len(_sent(harness)) == 1, "A message that may be sent was sent again.")


async def a_refused_template_has_its_type(make: Open) -> None:
    """Each error response raises the same error for a template as for a text."""
    async with make() as harness:
        if not _channels(harness):
            return
        for number, (answer, kind, *_) in enumerate(harness.subject.refusals):
            harness.sandbox.fail(answer)
            await harness.refused(
                kind, harness("send_template", _template(harness)), f"Refusal {number}"
            )
        require(_sent(harness) == [], "A refused request was sent.")


async def an_sms_takes_the_place_of_a_template(make: Open) -> None:
    """If a template has an SMS as its replacement, the text of this SMS is sent along."""
    async with make() as harness:
        if SmsCapability.SMS_FALLBACK not in harness.capabilities:
            return
        for channel in _channels(harness):
            for text in (_FALLBACK, None):
                await harness(
                    "send_template", _template(harness, channel=channel, sms_fallback=text)
                )
                sent = _sent(harness)[-1]
                require(sent.sms_fallback == text, "The SMS in its place has another text.")
                require(sent.to == harness.subject.to, f"The message went to {sent.to}.")


async def a_report_is_of_its_template(make: Open) -> None:
    """A delivery webhook gives the status of the message that was sent from a template."""
    async with make() as harness:
        report, secret = harness.subject.report, harness.subject.webhook_secret
        if report is None or secret is None:
            return
        url = URL if SmsCapability.CALLBACK in harness.capabilities else None
        words = {harness.subject.delivered: SmsStatus.DELIVERED}
        if harness.subject.read is not None:
            words[harness.subject.read] = SmsStatus.READ
        for channel in _channels(harness):
            receipts = [
                await harness(
                    "send_template", _template(harness, channel=channel, callback_url=url)
                )
                for _ in range(2)
            ]
            for receipt in receipts:
                for word, status in words.items():
                    notice = report(receipt.ref.id, word)
                    verifier = harness.hub.webhooks(ACCOUNT, secrets=secret)
                    events = harness.hub.events(ACCOUNT, verifier.verify(**notice.arguments())[0])
                    require(len(events) == 1, f"{word} became {len(events)} events.")
                    require(events[0].ref == receipt.ref, "A report is of another message.")
                    require(events[0].status is status, f"{word} was read as {events[0].status}.")
                    require(events[0].sender is None, "A report is of a received message.")


async def unsupported_templates_are_refused(make: Open) -> None:
    """A channel, and an SMS in its place, are refused before sending if the vendor lacks them."""
    async with make() as harness:
        fields_by_capability: dict[SmsCapability, dict[str, Any]] = {
            SmsCapability.WHATSAPP: {"channel": TemplateChannel.WHATSAPP},
            SmsCapability.RCS: {"channel": TemplateChannel.RCS},
            SmsCapability.SMS_FALLBACK: {"sms_fallback": _FALLBACK},
        }
        for capability, fields in fields_by_capability.items():
            if capability in harness.capabilities:
                continue
            message_fields: dict[str, Any] = {
                "channel": "whatsapp",
                "template": "order_ready",
                **fields,
            }
            message = TemplateMessage(to=harness.subject.to, **message_fields)
            refused_call = harness("send_template", message)
            error = await harness.refused(UnsupportedByVendor, refused_call, f"{capability}")
            require(capability in error.capabilities, f"{capability} is not named.")
        require(
            harness.sandbox.requests == [],
            "A request was sent for an operation that the vendor does not support.",
        )


async def no_template_is_shown(make: Open) -> None:
    """No message, receipt or account shows the number, a variable or the text of the SMS."""
    async with make() as harness:
        if not _channels(harness):
            return
        message = _template(harness)
        receipt = await harness("send_template", message)
        shown_text = f"{message!r}{receipt!r}"
        for private_text in (harness.subject.to[1:], "Zoë", "Q-17"):
            require(private_text not in shown_text, f"A result shows {private_text!r}.")


TEMPLATES: Final = (
    a_template_is_sent_as_written,
    a_template_is_sent_once,
    a_lost_template_is_unknown,
    a_refused_template_has_its_type,
    an_sms_takes_the_place_of_a_template,
    a_report_is_of_its_template,
    unsupported_templates_are_refused,
    no_template_is_shown,
)
