"""Checks that every chat vendor must pass.

Each check takes a function that makes a new `ChatSubject`: the vendor, its sandbox, and what the
kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.chat import ChatCapability, ChatReceipt, ChatStatus
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    WebhookRejected,
)
from moorage.testing.kits._chat_harness import (
    ACCOUNT,
    BUTTON,
    TEXT,
    ChatSubject,
    Harness,
    calls_by_capability,
    request_values,
)
from moorage.testing.kits._chat_requests import REQUESTS
from moorage.testing.kits._contract_harness import (
    require_unsupported,
    through_async_hub,
    through_hub,
    with_body,
)
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

if TYPE_CHECKING:
    from moorage.contracts.chat import ChatEvent

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "ChatSubject", "Check", "Factory"]

_URL: Final = "https://erp.example/hooks/chat"
_MALFORMED: Final = (b"[]", b"null", b"<html></html>", b'{"ok": true}')
_MARKUP: Final = (
    '<!channel> <@U0000000007> <users/all> @everyone & "*bold*" _it_ __u__ ~s~ `c` **b**'
    ' [x](https://evil.example) <https://evil.example|x> <a href="https://evil.example">x</a>'
    " <at>Ada</at> &lt;!here&gt; \\*"
)
"""A text with the markup of many vendors, as in the name of a customer."""
_ANSWERED: Final = {ChatStatus.SENT, ChatStatus.ACCEPTED}

Factory: TypeAlias = Callable[[], ChatSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def a_message_is_posted(make: Open) -> None:
    """A message is posted once, and is reported as sent only if the vendor returns its id."""
    async with make() as harness:
        receipt: ChatReceipt = await harness("send", harness.message())
        require(harness.count() == 1, "One message was not posted once.")
        require(harness.shown()[0].text == TEXT, "The message shows a different text.")
        require(receipt.status in _ANSWERED, f"A new message is {receipt.status}.")
        is_sent = receipt.status is ChatStatus.SENT
        require(is_sent is (receipt.ref is not None), "A message with no id is reported as sent.")
        require(receipt.raw, "The result lacks the vendor's response.")
        if receipt.ref is not None:
            require(
                receipt.ref.vendor == harness.subject.vendor.name, "The receipt names no vendor."
            )
            require(receipt.ref.account == ACCOUNT, "The receipt names no account.")
            require(Ref.parse(str(receipt.ref)) == receipt.ref, "A reference changes as text.")
            require(receipt.at is None or receipt.at.tzinfo, "The time has no zone.")


async def a_key_posts_once(make: Open) -> None:
    """A message is posted once per idempotency key; a repeat returns the same receipt."""
    async with make() as harness:
        receipts = [
            await harness("send", harness.message(), idempotency_key="k-1") for _ in range(3)
        ]
        require(harness.count() == 1, "One idempotency key posted its message more than once.")
        require(receipts[0] == receipts[1] == receipts[2], "A repeat has another receipt.")
        await harness("send", harness.message(), idempotency_key="k-2")
        require(harness.count() == 2, "A second idempotency key posted no second message.")
        other_coroutine = harness("send", harness.message("Another."), idempotency_key="k-1")
        await harness.refused(IdempotencyConflict, other_coroutine, "A key for another message")


async def each_request_is_sent_once(make: Open) -> None:
    """No operation repeats a request itself, whether it succeeds or fails."""
    async with make() as harness:
        await harness("send", harness.message())
        require(
            len(harness.sandbox.requests) == 1, "A message was sent with more than one request."
        )
        for answer in (Response(503, body=b"<html></html>"), harness.subject.refusals[0][0]):
            harness.sandbox.fail(answer)
            request_count = len(harness.sandbox.requests)
            try:
                await harness("send", harness.message())
            except ConnectorError:
                sent_count = len(harness.sandbox.requests) - request_count
                require(sent_count == 1, "A vendor repeated a failed request by itself.")
            else:
                raise AssertionError("A failed request did not raise an error.")


async def markup_is_shown_as_written(make: Open) -> None:
    """Markup in a title, text, label or value is shown literally, and mentions nobody."""
    async with make() as harness:
        fields = {_MARKUP: _MARKUP, "Empty": ""}
        message = harness.message(_MARKUP, title=_MARKUP[:100], fields=fields)
        receipt: ChatReceipt = await harness("send", message)
        _require_as_written(harness, 4)
        if ChatCapability.EDIT in harness.capabilities:
            await harness("edit", receipt.ref, harness.message(_MARKUP, title="New"))
            _require_as_written(harness, 1)
        if ChatCapability.THREAD in harness.capabilities:
            await harness("reply", receipt.ref, harness.message(_MARKUP, fields=fields))
            _require_as_written(harness, 3)


def _require_as_written(harness: Harness, times: int) -> None:
    message = harness.shown()[-1]
    require(message.mentions == (), f"A text mentions {message.mentions}.")
    require(message.links == (), f"A text became a link to {message.links}.")
    # The title is shorter, since some vendors allow little.
    is_complete = message.text.count(_MARKUP[:100]) >= times and _MARKUP in message.text
    require(is_complete, "A text is not shown as it was written.")


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness).items())


async def an_answer_is_in_its_thread(make: Open) -> None:
    """A reply is posted in its message's thread, even a reply to a reply."""
    async with make() as harness:
        if ChatCapability.THREAD not in harness.capabilities:
            return
        await harness("send", harness.message("Another message."))
        receipt: ChatReceipt = await harness("send", harness.message())
        first_shown = harness.shown()[-1]
        answer: ChatReceipt = await harness("reply", str(receipt.ref), harness.message("Packed."))
        require(answer.ref not in (None, receipt.ref), "An answer does not have a reference.")
        message = harness.shown()[-1]
        thread = receipt.ref.id if receipt.ref else None
        require(message.thread == thread, f"An answer is in the thread {message.thread}.")
        require(message.channel == first_shown.channel, "An answer is in another channel.")
        await harness("reply", answer.ref, harness.message("Shipped."))
        answered_ids = {thread, answer.ref.id if answer.ref else None}
        require(harness.shown()[-1].thread in answered_ids, "An answer to an answer is elsewhere.")
        require(harness.count() == 4, "An answer was not posted once.")
        reply_call = harness("reply", receipt.ref, harness.message(channel=harness.subject.channel))
        await harness.refused(InvalidData, reply_call, "An answer into a named channel")


async def a_key_answers_once(make: Open) -> None:
    """A reply is posted once per idempotency key."""
    async with make() as harness:
        if ChatCapability.THREAD not in harness.capabilities:
            return
        receipt: ChatReceipt = await harness("send", harness.message())
        reply = partial(
            harness, "reply", receipt.ref, harness.message("Packed."), idempotency_key="k-1"
        )
        require(await reply() == await reply(), "A repeat has another receipt.")
        require(harness.count() == 2, "One idempotency key sent its answer more than once.")


async def a_message_is_replaced(make: Open) -> None:
    """An edited message has the new content and the same reference, and is not posted again."""
    async with make() as harness:
        if ChatCapability.EDIT not in harness.capabilities:
            return
        message = harness.message(title="Old", buttons=[BUTTON])
        receipts: list[ChatReceipt] = [await harness("send", message) for _ in range(2)]
        for _ in range(2):
            edited_receipt: ChatReceipt = await harness(
                "edit", receipts[0].ref, harness.message("Shipped.")
            )
            require(
                edited_receipt.status is ChatStatus.UPDATED, f"An edit is {edited_receipt.status}."
            )
            require(edited_receipt.ref == receipts[0].ref, "An edit changes the reference.")
        texts = [(message.text, message.buttons) for message in harness.shown()]
        require(texts[0] == ("Shipped.", ()), f"An edited message shows {texts[0]}.")
        require(len(texts) == 2, "An edit posted a message.")
        require(TEXT in texts[1][0], "An edit changed another message.")


async def a_message_is_deleted(make: Open) -> None:
    """A deleted message is gone, other messages stay, and a repeated deletion is not an error."""
    async with make() as harness:
        if ChatCapability.DELETE not in harness.capabilities:
            return
        receipts = [
            await harness("send", harness.message(f"Number {number}.")) for number in range(2)
        ]
        for _ in range(2):
            deleted: ChatReceipt = await harness("delete", str(receipts[0].ref))
            require(deleted.status is ChatStatus.DELETED, f"A deletion is {deleted.status}.")
            require(deleted.ref == receipts[0].ref, "A deletion affects another message.")
        texts = [message.text for message in harness.shown()]
        require(texts == ["Number 1."], f"After a deletion people see {texts}.")


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error with the vendor's response, and posts nothing."""
    async with make() as harness:
        for number, (answer, kind, *codes) in enumerate(harness.subject.refusals):
            for key in (None, f"k-{number}"):
                harness.sandbox.fail(answer)
                coroutine = harness("send", harness.message(), idempotency_key=key)
                error = await harness.refused(kind, coroutine, f"Refusal {number}")
                require(error.service == ACCOUNT, "A refusal names no account.")
                kept_answer = getattr(error, "response", None)
                is_kept = kept_answer is not None and kept_answer.body == answer.body
                require(is_kept, "The answer is lost.")
                code = getattr(error, "vendor_code", None)
                require(codes in ([], [code]), f"Refusal {number} has the code {code!r}.")
        require(harness.count() == 0, "A refused message was posted.")


async def a_pause_is_obeyed(make: Open) -> None:
    """If a vendor requests a pause, the error for its response states that pause."""
    async with make() as harness:
        answer, seconds = harness.subject.pause
        harness.sandbox.fail(answer)
        error = await harness.refused(
            RateLimitExceeded, harness("send", harness.message()), "A rate limit"
        )
        pause = error.vendor_retry_after
        require(pause == seconds, f"The vendor asks for a pause of {seconds} s, not of {pause}.")


async def an_uncertain_failure_is_unknown(make: Open) -> None:
    """A message that may have been posted has an unknown outcome, and is not posted again."""
    async with make() as harness:
        outage = Response(503, body=b"<html></html>")
        for number, answer in enumerate((outage, *harness.subject.uncertain)):
            harness.sandbox.fail(answer)
            await harness.refused(
                VendorFailed, harness("send", harness.message()), f"Failure {number}"
            )
            harness.sandbox.fail(answer)
            for _ in range(2):
                coroutine = harness("send", harness.message(), idempotency_key=f"k-{number}")
                await harness.refused(OutcomeUnknown, coroutine, f"Failure {number} under a key")


async def a_lost_answer_is_unknown(make: Open) -> None:
    """A message whose response is lost has an unknown outcome, and is not posted again."""
    async with make() as harness:
        harness.sandbox.fail(Lost())
        for _ in range(2):
            coroutine = harness("send", harness.message(), idempotency_key="k-1")
            await harness.refused(OutcomeUnknown, coroutine, "A lost answer")
        require(harness.count() == 1, "A message that may have been posted was posted again.")


async def an_unreadable_success_is_unknown(make: Open) -> None:
    """An unreadable response is not reported as a success, and the message is not posted again."""
    async with make() as harness:
        bodies = (b"<html></html>",) if harness.subject.answers_empty else (b"", *_MALFORMED)
        for number, body in enumerate(bodies):
            harness.sandbox.fail(Response(200, {"Content-Type": "application/json"}, body))
            error = await harness.refused(
                VendorFailed, harness("send", harness.message()), f"{body!r}"
            )
            require(not error.retryable, "A message that may have been posted is retryable.")
            harness.sandbox.fail(AlteredAnswer(partial(with_body, body)))
            for _ in range(2):
                coroutine = harness("send", harness.message(), idempotency_key=f"k-{number}")
                await harness.refused(OutcomeUnknown, coroutine, f"{body!r} under a key")
            require(harness.count() == number + 1, f"{body!r} was posted twice.")


async def options_arrive(make: Open) -> None:
    """An option in the vendor's format is sent; other vendors' options are ignored."""
    async with make() as harness:
        own_options = dict([harness.subject.option])
        extra_options = {harness.subject.vendor.name: own_options, "another": {"other": "1"}}
        await harness("send", harness.message(extra=extra_options))
        request = harness.sandbox.requests[-1]
        name, option = harness.subject.option
        values = request_values(request)
        is_sent = any(path.split(".")[-1] == name and value == option for path, value in values)
        require(is_sent, "An option is lost.")
        require(b'"other"' not in request.body, "An extra option of another vendor was sent.")


async def secrets_are_shown_nowhere(make: Open) -> None:
    """No error, receipt, event or log entry shows a secret, even if the vendor repeats it."""
    async with make() as harness:
        all_secrets = " and ".join(harness.subject.secrets)
        echo = {"error": all_secrets, "description": all_secrets, "message": all_secrets}
        shown_texts: list[str] = [f"{harness.hub.account(ACCOUNT)!r}"]
        for number in range(3):
            harness.sandbox.fail(
                None if number == 0 else Response(400 + number - 1, body=encode_json(echo))
            )
            try:
                receipt = await harness("send", harness.message())
                shown_texts.append(f"{receipt!r}{receipt.ref}")
            except ConnectorError as error:
                trace = "".join(traceback.format_exception(error))
                shown_texts.append(f"{error}{error!r}{vars(error)!r}{trace}{_text_of(error)}")
        harness.sandbox.fail(Lost())
        try:
            await harness("send", harness.message())
        except ConnectorError as error:
            shown_texts.append("".join(traceback.format_exception(error)))
        await harness.require_hidden(shown_texts, harness.subject.secrets)


def _text_of(error: ConnectorError) -> str:
    response = getattr(error, "response", None)
    return "" if response is None else f"{response.text}{response.url}{response.headers.pairs}"


async def message_texts_are_not_shown(make: Open) -> None:
    """The reprs of messages and receipts do not show the text of the message."""
    async with make() as harness:
        message = harness.message("Be discreet.", title="Discreet", fields={"A": "discreet"})
        representation = f"{message!r}{await harness('send', message)!r}"
        require("iscreet" not in representation, "A text is shown.")


async def events_are_accepted_if_signed(make: Open) -> None:
    """Message webhooks are accepted only if they are signed; their messages can be replied to."""
    async with make() as harness:
        receive, secret = harness.subject.receive, harness.subject.webhook_secret
        if receive is None or secret is None:
            return
        notice = receive("Where is order 1042?")
        verifier = harness.hub.webhooks(ACCOUNT, secrets=secret)
        events: tuple[ChatEvent, ...]
        events = harness.hub.events(
            ACCOUNT, verifier.verify(**attrs.evolve(notice, url=_URL).arguments())[0]
        )
        require(len(events) == 1, f"A message became {len(events)} events.")
        event = events[0]
        require(event.text == "Where is order 1042?", "The text of a message is lost.")
        require(event.sender and not event.automatic, "The sender of a message is lost.")
        require(event.ref.other("channel") == event.channel, "A message has no channel.")
        require(event.at is not None and event.at.tzinfo, "A message has no time.")
        require(event.raw and "1042" not in repr(event), "An event shows what was written.")
        strange_verifier = harness.hub.webhooks(
            ACCOUNT, secrets=harness.subject.strange_secret, replay_guard=False
        )
        try:
            strange_verifier.verify(**attrs.evolve(receive("Hi"), url=_URL).arguments())
        except (WebhookRejected, AuthenticationFailed):
            return
        raise AssertionError("A webhook with a forged signature is accepted.")


_ALL_CHECKS: Final = (
    a_message_is_posted,
    a_key_posts_once,
    each_request_is_sent_once,
    markup_is_shown_as_written,
    unsupported_features_are_refused,
    an_answer_is_in_its_thread,
    a_key_answers_once,
    a_message_is_replaced,
    a_message_is_deleted,
    a_refusal_has_its_type,
    a_pause_is_obeyed,
    an_uncertain_failure_is_unknown,
    a_lost_answer_is_unknown,
    an_unreadable_success_is_unknown,
    options_arrive,
    secrets_are_shown_nowhere,
    message_texts_are_not_shown,
    events_are_accepted_if_signed,
    *REQUESTS,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
