"""The conformance kit for chat vendors passes correct vendors and finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.chat import ChatCapability, ChatReceipt, ChatStatus
from moorage.domain.auth.methods import Credentials
from moorage.errors import (
    ConnectorError,
    InvalidRequest,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
)
from moorage.testing import chat_conformance as kit
from moorage.testing import name_of
from moorage.testing.kits.checks import OTHER_SECRET
from moorage.testing.sandboxes.chat.slack import SlackSandbox
from moorage.vendors.chat._telegram_messages import classify
from moorage.vendors.chat.slack import Slack
from moorage.vendors.chat.teams import Teams
from moorage.vendors.chat.telegram import Telegram
from tests.vendors import chat_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.chat import ChatEvent, ChatMessage
    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.service.settings import Service
    from moorage.domain.webhooks.events import WebhookEvent


def as_slack(kind: Callable[..., Slack]) -> kit.Factory:
    """Return a function that makes a test subject of Slack with another vendor class."""

    def new_subject() -> kit.ChatSubject:
        subject = chat_subjects.slack()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=kind(credentials=sandbox.token, channel="#orders"))

    return new_subject


def as_telegram(kind: Callable[..., Telegram]) -> kit.Factory:
    """Return a function that makes a test subject of Telegram with another vendor class."""

    def new_subject() -> kit.ChatSubject:
        subject = chat_subjects.telegram()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=kind(credentials=sandbox.token, channel="@orders"))

    return new_subject


def as_teams(kind: Callable[..., Teams]) -> kit.Factory:
    """Return a function that makes a test subject of Teams with another vendor class."""

    def new_subject() -> kit.ChatSubject:
        subject = chat_subjects.teams()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=kind(webhook_url=sandbox.webhook_url))

    return new_subject


@attrs.frozen(kw_only=True)
class LesserVendor(Slack):
    """A correct chat vendor that can only send messages to its account's channel."""

    capabilities = frozenset()
    webhook = None  # type: ignore[assignment]  # every vendor may have none


def minimal_subject() -> kit.ChatSubject:
    """Return a test subject whose vendor has no optional features and no webhooks."""
    subject = as_slack(LesserVendor)()
    return attrs.evolve(subject, receive=None, webhook_secret=None, requests=(), answers=())


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_chat_vendor_that_can_only_send_passes_all_checks(check: kit.Check) -> None:
    """A chat vendor that can only send passes all checks."""
    check(minimal_subject)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_chat_vendor_that_can_only_send_passes_all_checks_asynchronously(
    check: kit.AsyncCheck,
) -> None:
    """A chat vendor that can only send passes all checks asynchronously, too."""
    asyncio.run(check(minimal_subject))


class _SendingTwiceVendor(Slack):
    """A faulty vendor that posts each message twice."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        await super().send(wire, message, key=None)
        return await super().send(wire, message, key=key)


class _KeylessVendor(Slack):
    """A faulty vendor that loses the idempotency key of messages."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        return await super().send(wire, message, key=None)


class _KeylessAnswersVendor(Slack):
    """A faulty vendor that loses the idempotency key of replies."""

    async def reply(
        self, wire: Wire, ref: Ref, message: ChatMessage, /, *, key: str | None
    ) -> ChatReceipt:
        return await super().reply(wire, ref, message, key=None)


class _RetryingVendor(Slack):
    """A faulty vendor that repeats a failed request by itself."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        try:
            return await super().send(wire, message, key=key)
        except ConnectorError:
            return await super().send(wire, message, key=key)


class _AnyStatus200IsSuccessVendor(Slack):
    """A faulty vendor that reads every response with status 200 as a success."""

    def services(self) -> Mapping[str, Service]:
        return {
            name: attrs.evolve(service, classify=None)
            for name, service in super().services().items()
        }

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        try:
            return await super().send(wire, message, key=key)
        except VendorFailed as error:
            if error.status != 200:
                raise
            return ChatReceipt(ref=wire.ref("1.1", channel="C1"), status=ChatStatus.SENT)


class _EachFailureRefusesVendor(Slack):
    """A faulty vendor that reports every failure of Slack as `VendorRejected`, even an outage."""

    def services(self) -> Mapping[str, Service]:
        def classify_all(_: Request, response: Response) -> ConnectorError | None:
            if b'"ok":true' in response.body:
                return None
            return VendorRejected("Refused.", status=response.status, response=response)

        return {
            name: attrs.evolve(service, classify=classify_all)
            for name, service in super().services().items()
        }


class _TextIsMarkupVendor(Slack):
    """A faulty vendor that sends the text as markup."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        options = {"text": message.text, "blocks": []}
        return await super().send(wire, attrs.evolve(message, extra={"slack": options}), key=key)


class _MarkedNotificationVendor(Slack):
    """A faulty vendor that does not escape the text of the notification."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        options = {"text": message.text}
        return await super().send(wire, attrs.evolve(message, extra={"slack": options}), key=key)


class _HtmlVendor(Telegram):
    """A faulty vendor that sends the text as HTML without escaping it."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        options = {"parse_mode": "HTML", "text": f'{message.text}<a href="https://x.example">x</a>'}
        plain_message = attrs.evolve(
            message, text="-", title=None, fields=(), extra={"telegram": options}
        )
        return await super().send(wire, plain_message, key=key)


class _MentioningVendor(Telegram):
    """A faulty vendor that lets Telegram turn names in texts into mentions."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        options = {"text": message.text, "entities": None}
        return await super().send(wire, attrs.evolve(message, extra={"telegram": options}), key=key)


class _MarkdownVendor(Teams):
    """A faulty vendor that sends the text as a Markdown block."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        body = [{"type": "TextBlock", "text": message.text}]
        return await super().send(
            wire, attrs.evolve(message, extra={"teams": {"body": body}}), key=key
        )


class _VendorThatReportsAcceptedAsSent(Teams):
    """A faulty vendor that reports an accepted message as sent."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        receipt = await super().send(wire, message, key=key)
        return attrs.evolve(receipt, status=ChatStatus.SENT)


class _RepliesInChannelVendor(Slack):
    """A faulty vendor that posts replies into the channel instead of the thread."""

    async def reply(
        self, wire: Wire, ref: Ref, message: ChatMessage, /, *, key: str | None
    ) -> ChatReceipt:
        return await self.send(wire, message, key=key)


class _OtherThreadVendor(Slack):
    """A faulty vendor that replies to the first message of the channel."""

    async def reply(
        self, wire: Wire, ref: Ref, message: ChatMessage, /, *, key: str | None
    ) -> ChatReceipt:
        first_ref = wire.ref("1900000001.000001", channel=ref.other("channel"))
        return await super().reply(wire, first_ref, message, key=key)


class _AnswersReplyVendor(Slack):
    """A faulty vendor that answers a reply with the reply's timestamp instead of its thread's."""

    async def reply(
        self, wire: Wire, ref: Ref, message: ChatMessage, /, *, key: str | None
    ) -> ChatReceipt:
        own_ref = wire.ref(ref.id, channel=ref.other("channel"))
        return await super().reply(wire, own_ref, message, key=key)


class _RepostingVendor(Telegram):
    """A faulty vendor that posts a new message instead of editing one."""

    async def edit(self, wire: Wire, ref: Ref, message: ChatMessage, /) -> ChatReceipt:
        receipt = await self.send(wire, message, key=None)
        return attrs.evolve(receipt, ref=ref, status=ChatStatus.UPDATED)


class _FakeDeletionVendor(Slack):
    """A faulty vendor that reports a deletion without requesting it."""

    async def delete(self, wire: Wire, ref: Ref, /) -> ChatReceipt:
        return ChatReceipt(ref=ref, status=ChatStatus.DELETED)


class _VendorThatSendsAtOnce(Slack):
    """A faulty vendor that sends scheduled messages at once."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        return await super().send(wire, attrs.evolve(message, send_at=None), key=key)


class _LosesFieldsVendor(Slack):
    """A faulty vendor that loses the fields and options of messages."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        return await super().send(wire, attrs.evolve(message, fields=(), extra={}), key=key)


class _SilentMessagesMakeSoundVendor(Telegram):
    """A faulty vendor whose silent messages make a sound."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        return await super().send(wire, attrs.evolve(message, silent=False), key=key)


class _DropsResponseVendor(Slack):
    """A faulty vendor that drops the response from receipts."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        return attrs.evolve(await super().send(wire, message, key=key), raw=None)


class _IgnoresPauseVendor(Telegram):
    """A faulty vendor that ignores the pause that Telegram requests."""

    def services(self) -> Mapping[str, Service]:
        def without_pause(request: Request, response: Response) -> ConnectorError | None:
            error = classify(request, response)
            if error is not None:
                error.vendor_retry_after = None
            return error

        return {
            name: attrs.evolve(service, classify=without_pause)
            for name, service in super().services().items()
        }


class _ErrorsShowUrlVendor(Telegram):
    """A faulty vendor that raises an error with the request's URL before sending."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        token = "" if self.credentials is None else self.credentials.reveal()
        raise InvalidRequest(f"POST /bot{token}/sendMessage failed.")


class _InReferencesVendor(Telegram):
    """A faulty vendor that puts the secret token into references."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        receipt = await super().send(wire, message, key=key)
        token = self.credentials
        token_text = "" if token is None else token.reveal()
        ref = None if receipt.ref is None else receipt.ref.with_related(token=token_text)
        return attrs.evolve(receipt, ref=ref)


class _OpenUrlVendor(Teams):
    """A faulty vendor whose service URL contains the signature."""

    def __repr__(self) -> str:
        return f"Teams({self.webhook_url.reveal()})"


class _EveryWebhookIsBotMessageVendor(Slack):
    """A faulty vendor that reads every webhook as a message from a bot."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[ChatEvent, ...]:
        return tuple(attrs.evolve(item, automatic=True) for item in super().events(event, ref))


class _ReadsNoWebhooksVendor(Slack):
    """A faulty vendor that reads no webhooks."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[ChatEvent, ...]:
        return ()


class _AcceptsMissingFeaturesVendor(Teams):
    """A faulty vendor that does not refuse features that Teams lacks."""

    capabilities = frozenset({ChatCapability.BUTTONS, ChatCapability.SILENT})


class _UnknownIsRetryableVendor(Slack):
    """A faulty vendor that reports an unknown outcome as a retryable failure."""

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        try:
            return await super().send(wire, message, key=key)
        except OutcomeUnknown as error:
            raise VendorFailed("Try again.") from error


class _WrongPlaceVendor(Telegram):
    """A faulty vendor that sends the secret token in a header instead of the path."""

    def services(self) -> Mapping[str, Service]:
        credentials = Credentials.bearer(self.credentials or "none")
        return {
            name: attrs.evolve(service, credentials=credentials)
            for name, service in super().services().items()
        }


def _forgeable_subject() -> kit.ChatSubject:
    """Return a test subject whose webhooks the kit can forge, as it knows their secret."""
    sandbox = SlackSandbox(signing_secret=OTHER_SECRET)
    subject = chat_subjects.slack()
    return attrs.evolve(
        subject,
        sandbox=sandbox,
        receive=sandbox.receive,
        webhook_secret=sandbox.signing_secret,
    )


WRONG = [
    ("a_message_is_posted", as_slack(_SendingTwiceVendor), "twice"),
    ("a_message_is_posted", as_teams(_VendorThatReportsAcceptedAsSent), "reported as sent"),
    ("a_message_is_posted", as_slack(_DropsResponseVendor), "lacks the vendor's response"),
    ("a_key_posts_once", as_slack(_KeylessVendor), "more than once"),
    ("each_request_is_sent_once", as_slack(_RetryingVendor), "did not raise an error|by itself"),
    ("each_request_is_sent_once", as_slack(_SendingTwiceVendor), "twice"),
    ("markup_is_shown_as_written", as_slack(_TextIsMarkupVendor), "mentions"),
    ("markup_is_shown_as_written", as_slack(_MarkedNotificationVendor), "mentions"),
    ("markup_is_shown_as_written", as_telegram(_MentioningVendor), "mentions"),
    ("markup_is_shown_as_written", as_teams(_MarkdownVendor), "became a link"),
    ("an_answer_is_in_its_thread", as_slack(_RepliesInChannelVendor), "is in the thread None"),
    ("an_answer_is_in_its_thread", as_slack(_OtherThreadVendor), "is in the thread"),
    ("a_key_answers_once", as_slack(_KeylessAnswersVendor), "another receipt|more than once"),
    ("a_message_is_replaced", as_telegram(_RepostingVendor), "shows|posted a message"),
    ("a_message_is_deleted", as_slack(_FakeDeletionVendor), "people see"),
    ("a_refusal_has_its_type", as_slack(_AnyStatus200IsSuccessVendor), "was no error"),
    (
        "a_refusal_has_its_type",
        as_telegram(_ErrorsShowUrlVendor),
        "shows personal data or a secret",
    ),
    ("a_pause_is_obeyed", as_telegram(_IgnoresPauseVendor), "asks for a pause"),
    (
        "an_uncertain_failure_is_unknown",
        as_slack(_EachFailureRefusesVendor),
        "raised VendorRejected",
    ),
    ("an_uncertain_failure_is_unknown", as_slack(_UnknownIsRetryableVendor), "raised VendorFailed"),
    ("a_lost_answer_is_unknown", as_slack(_KeylessVendor), "raised ConnectionFailed"),
    ("an_unreadable_success_is_unknown", as_slack(_AnyStatus200IsSuccessVendor), "was no error"),
    ("options_arrive", as_slack(_LosesFieldsVendor), "option is lost"),
    ("secrets_are_shown_nowhere", as_telegram(_ErrorsShowUrlVendor), "secret is shown"),
    ("secrets_are_shown_nowhere", as_telegram(_InReferencesVendor), "secret is shown"),
    ("secrets_are_shown_nowhere", as_teams(_OpenUrlVendor), "secret is shown"),
    (
        "events_are_accepted_if_signed",
        as_slack(_EveryWebhookIsBotMessageVendor),
        "sender of a message is lost",
    ),
    ("events_are_accepted_if_signed", as_slack(_ReadsNoWebhooksVendor), "became 0 events"),
    ("events_are_accepted_if_signed", _forgeable_subject, "with a forged signature"),
    ("a_message_is_shown_in_full", as_slack(_LosesFieldsVendor), "do not see"),
    ("a_message_is_shown_in_full", as_telegram(_SilentMessagesMakeSoundVendor), "makes a sound"),
    ("a_message_is_shown_in_full", as_teams(_AcceptsMissingFeaturesVendor), "makes a sound"),
    ("a_message_is_scheduled", as_slack(_VendorThatSendsAtOnce), "scheduled for"),
]
PLAIN = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """A chat vendor with one fault fails the check for that fault."""
    with pytest.raises(AssertionError, match=sentence):
        PLAIN[check](wrong)


REFUSED = [
    ("an_answer_is_in_its_thread", as_slack(_AnswersReplyVendor)),
    ("markup_is_shown_as_written", as_telegram(_HtmlVendor)),
    ("a_message_is_posted", as_telegram(_WrongPlaceVendor)),
]


@pytest.mark.parametrize("check, wrong", REFUSED)
def test_sandbox_refuses_a_wrong_vendor(check: str, wrong: kit.Factory) -> None:
    """The sandbox refuses requests that the real vendor would refuse."""
    with pytest.raises(ConnectorError):
        PLAIN[check](wrong)
