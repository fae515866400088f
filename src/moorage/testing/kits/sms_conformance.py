"""Checks for every SMS vendor.

`moorage scaffold vendor NAME --contract sms` writes a vendor, and a test that runs all
checks.

Each check takes a function that makes a new `SmsSubject`: the vendor, its sandbox, and what
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.ref import Ref
from moorage.contracts.sms import KIND, SmsCapability, SmsReceipt, SmsStatus
from moorage.domain.http.requests import Response
from moorage.errors import (
    IdempotencyConflict,
    OutcomeUnknown,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    WebhookRejected,
)
from moorage.testing.kits._contract_harness import (
    through_async_hub,
    through_hub,
    with_body,
)
from moorage.testing.kits._sms_harness import (
    ACCOUNT,
    URL,
    Harness,
    SmsSubject,
    async_harness,
    calls_by_capability,
    request_values,
    sync_harness,
)
from moorage.testing.kits._sms_requests import REQUESTS
from moorage.testing.kits._sms_templates import TEMPLATES
from moorage.testing.kits._sms_verification import VERIFICATIONS
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost
from moorage.wiring.installed_vendors import names_with_capabilities

if TYPE_CHECKING:
    from moorage.domain.values.result import Result

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "SmsSubject"]

_WORD: Final = "a-word-nobody-knows"
_REPEATED_TEXT: Final = "A repeat sent messages that had been sent already."
_MALFORMED: Final = (b"{}", b"[]", b"null", b"", b"<html></html>", b'{"messages": [{}]}')

Factory: TypeAlias = Callable[[], SmsSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def a_message_is_sent(make: Open) -> None:
    """A message is sent once; its receipt has its state and the vendor's whole response."""
    async with make() as harness:
        receipt: SmsReceipt = await harness("send", harness.message())
        require(harness.subject.sent() == 1, "One message was not sent once.")
        require(receipt.ref.vendor == harness.subject.vendor.name, "The receipt names no vendor.")
        require(receipt.ref.account == ACCOUNT, "The receipt names no account.")
        require(not receipt.status.final, "An accepted message is reported as final.")
        require(receipt.status is not SmsStatus.UNKNOWN, "An accepted message has no status.")
        require(
            receipt.vendor_status or harness.subject.wordless,
            "The result lacks the vendor's own status.",
        )
        require(receipt.raw, "The result lacks the vendor's raw response.")


async def a_reference_survives_as_text(make: Open) -> None:
    """A reference stored as text equals the original, and finds the message."""
    async with make() as harness:
        receipt: SmsReceipt = await harness("send", harness.message())
        require(Ref.parse(str(receipt.ref)) == receipt.ref, "A reference changes as text.")
        if SmsCapability.LOOK_UP in harness.capabilities:
            receipt_found: SmsReceipt = await harness("get", str(receipt.ref))
            require(receipt_found.ref == receipt.ref, "A reference leads to another message.")


async def a_key_sends_once(make: Open) -> None:
    """A message is sent once per idempotency key; a repeat returns the same receipt."""
    async with make() as harness:
        receipts = [
            await harness("send", harness.message(), idempotency_key="k-1") for _ in range(3)
        ]
        require(harness.subject.sent() == 1, "One idempotency key sent its message more than once.")
        require(receipts[0] == receipts[1] == receipts[2], "A repeat has another receipt.")
        await harness("send", harness.message(), idempotency_key="k-2")
        require(harness.subject.sent() == 2, "A second idempotency key sent no second invoice.")


async def a_key_is_for_one_message(make: Open) -> None:
    """An idempotency key used for one message is refused for another."""
    async with make() as harness:
        await harness("send", harness.message(), idempotency_key="k-1")
        other_coroutine = harness("send", harness.message("Something else."), idempotency_key="k-1")
        await harness.refused(IdempotencyConflict, other_coroutine, "A key for another message")
        require(harness.subject.sent() == 1, "A key was used for two messages.")


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        for capability, ask in calls_by_capability(harness).items():
            if capability in harness.capabilities:
                continue
            error = await harness.refused(
                UnsupportedByVendor, ask(), f"{capability} at a vendor without it"
            )
            require(error.capabilities == (capability,), f"{capability} is not named.")
            require(
                error.supported_by == names_with_capabilities(KIND, frozenset({capability})),
                "The error does not name the vendors that support the operation.",
            )
        require(
            harness.sandbox.requests == [],
            "A request was sent for an operation that the vendor does not support.",
        )


async def declared_capabilities_work(make: Open) -> None:
    """Each capability that an SMS vendor declares works."""
    async with make() as harness:
        calls = calls_by_capability(harness)
        for capability in (
            SmsCapability.SENDER_POOL,
            SmsCapability.MEDIA,
            SmsCapability.CALLBACK,
            SmsCapability.VALIDITY,
        ):
            if capability in harness.capabilities:
                await calls[capability]()
        if SmsCapability.BALANCE in harness.capabilities:
            amount = (await harness("check_balance")).amount
            require(
                type(amount.amount) is Decimal and amount.currency, "The balance has no amount."
            )
        if SmsCapability.OPT_OUTS in harness.capabilities:
            await harness("remove_opt_out", harness.subject.to, account=ACCOUNT)
            require(await calls[SmsCapability.OPT_OUTS]() == (), "A number is still opted out.")
            require(
                (await harness("opt_outs")).next is None,
                "A list that fits on one page has a second page.",
            )
        if SmsCapability.VALIDATE_NUMBER in harness.capabilities:
            check = await harness("validate_number", harness.subject.to)
            require(
                check.valid and check.number == harness.subject.to,
                "A valid number is reported as invalid.",
            )
            require(harness.subject.to not in repr(check), "The repr of a check shows the number.")
            has_carrier = check.carrier or SmsCapability.CARRIER not in harness.capabilities
            require(has_carrier, "The carrier is missing.")


async def a_scheduled_text_can_be_cancelled(make: Open) -> None:
    """A vendor that can schedule and cancel messages can cancel a scheduled one."""
    async with make() as harness:
        if not {SmsCapability.SCHEDULED, SmsCapability.CANCEL} <= harness.capabilities:
            return
        send_time = datetime.now(UTC) + timedelta(hours=1)
        pool = "pool" if SmsCapability.SENDER_POOL in harness.capabilities else None
        receipt = await harness("send", harness.message(send_at=send_time, sender_pool=pool))
        require(receipt.status is SmsStatus.SCHEDULED, "A message with `send_at` is not scheduled.")
        for _ in range(2):
            returned_receipt: SmsReceipt = await harness("cancel", receipt.ref)
            require(
                returned_receipt.status is SmsStatus.CANCELED,
                "A cancelled message is not CANCELED.",
            )


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error, with the vendor's response."""
    async with make() as harness:
        for number, (answer, kind, *codes) in enumerate(harness.subject.refusals):
            for key in (None, f"k-{number}"):
                harness.sandbox.fail(answer)
                coroutine = harness("send", harness.message(), idempotency_key=key)
                error = await harness.refused(kind, coroutine, f"Refusal {number}")
                require(error.service == ACCOUNT, "A refusal names no account.")
                kept_answer = getattr(error, "response", None)
                require(
                    kept_answer is not None and kept_answer.body == answer.body,
                    "The answer is lost.",
                )
                code = getattr(error, "vendor_code", None)
                require(codes in ([], [code]), f"Refusal {number} has the code {code!r}.")
        require(harness.subject.sent() == 0, "A refused request was sent.")


async def an_outage_is_no_refusal(make: Open) -> None:
    """In an outage of the SMS vendor, a message's outcome is unknown, and not a rejection."""
    async with make() as harness:
        harness.sandbox.fail(Response(503, body=b"<html></html>"))
        await harness.refused(VendorFailed, harness("send", harness.message()), "An outage")
        if not harness.honours_keys():
            harness.sandbox.fail(Response(503, body=b"<html></html>"))
            coroutine = harness("send", harness.message(), idempotency_key="k-1")
            await harness.refused(OutcomeUnknown, coroutine, "An outage under a key")


async def a_malformed_answer_is_no_success(make: Open) -> None:
    """A successful response without content is an error, and nothing is sent again."""
    async with make() as harness:
        for body in _MALFORMED:
            harness.sandbox.fail(Response(200, {"Content-Type": "application/json"}, body))
            error = await harness.refused(
                VendorFailed, harness("send", harness.message()), f"{body!r}"
            )
            require(
                not error.retryable, "The error allows a retry, although the message may be sent."
            )


async def a_malformed_list_is_not_empty(make: Open) -> None:
    """A response without a list of opt-outs is an error, because the list may have entries."""
    async with make() as harness:
        if SmsCapability.OPT_OUTS not in harness.capabilities:
            return
        for body in _MALFORMED:
            for operation, arguments in (
                ("opt_outs", ()),
                ("find_opt_outs", (harness.subject.to,)),
                ("remove_opt_out", (harness.subject.to,)),
            ):
                harness.sandbox.fail(Response(200, {"Content-Type": "application/json"}, body))
                coroutine = harness(operation, *arguments, account=ACCOUNT)
                await harness.refused(VendorFailed, coroutine, f"{operation} with {body!r}")


async def an_unreadable_success_is_unknown(make: Open) -> None:
    """After an unreadable response the outcome is unknown, and nothing is sent twice."""
    async with make() as harness:
        for number, body in enumerate(_MALFORMED):
            harness.sandbox.fail(AlteredAnswer(partial(with_body, body)))
            key = f"k-{number}"
            kind = VendorFailed if harness.honours_keys() else OutcomeUnknown
            coroutine = harness("send", harness.message(), idempotency_key=key)
            await harness.refused(kind, coroutine, f"{body!r}")
            request_count = len(harness.sandbox.requests)
            repeated_coroutine = harness("send", harness.message(), idempotency_key=key)
            if harness.honours_keys():
                await repeated_coroutine
                require(
                    len(harness.sandbox.requests) > request_count,
                    f"After {body!r}, a repeat with the same key sent nothing.",
                )
            else:
                await harness.refused(
                    OutcomeUnknown, repeated_coroutine, "A repeat after an unknown outcome"
                )
                require(harness.subject.sent() == number + 1, f"{body!r} was sent twice.")


async def a_lost_answer_is_unknown(make: Open) -> None:
    """After a lost response the outcome is unknown, and a call with the same key sends nothing."""
    async with make() as harness:
        if any(
            service.idempotency_header is not None
            for service in harness.subject.vendor.services().values()
        ):
            return
        harness.sandbox.fail(Lost())
        for _ in range(2):
            coroutine = harness("send", harness.message(), idempotency_key="k-1")
            await harness.refused(OutcomeUnknown, coroutine, "A lost answer")
        require(harness.subject.sent() == 1, "A message that may be sent was sent again.")


async def an_unknown_status_is_kept(make: Open) -> None:
    """An undocumented status is reported as unknown, with the vendor's word."""
    async with make() as harness:
        if harness.subject.unknown is None:
            return
        harness.sandbox.fail(harness.subject.unknown)
        receipt = await harness("send", harness.message())
        require(
            receipt.status is SmsStatus.UNKNOWN,
            "An undocumented status is read as a known status.",
        )
        require(receipt.vendor_status, "The result lacks the vendor's own status.")


async def each_message_of_a_batch_has_its_result(make: Open) -> None:
    """A refused message of a batch does not affect others.

    A repeat sends only the missing messages.
    """
    async with make() as harness:
        answer, kind = harness.subject.refusals[0][:2]
        messages = [harness.message(f"Number {number}.") for number in range(3)]
        send = partial(harness, "send_bulk", messages, idempotency_key="batch", at_once=1)
        harness.sandbox.fail(answer)
        first_results: list[Result[SmsReceipt]] = await send()
        require(
            type(first_results[0].error) is kind, "The rejected message does not have its error."
        )
        require(
            [result.error for result in first_results[1:]] == [None, None],
            "A refused message of a batch affected the other messages.",
        )
        require(
            harness.subject.sent() == 2, "A refused message of a batch affected the other messages."
        )
        repeated_receipts: list[Result[SmsReceipt]] = await send()
        require(
            [result.value for result in repeated_receipts[1:]]
            == [result.value for result in first_results[1:]],
            _REPEATED_TEXT,
        )
        turned_away = kind is RateLimitExceeded
        require(
            repeated_receipts[0].ok or not turned_away,
            "A repeat does not send a message that was refused for its rate.",
        )
        require(
            first_results[1].value != first_results[2].value, "Two messages have the same receipt."
        )
        require(harness.subject.sent() <= 3, _REPEATED_TEXT)


async def options_arrive(make: Open) -> None:
    """The caller's extra options for this vendor are sent.

    Options for other vendors are ignored.
    """
    async with make() as harness:
        extra_options = {
            harness.subject.vendor.name: dict([harness.subject.option]),
            "another": {"other": "1"},
        }
        await harness("send", harness.message(extra=extra_options))
        request = harness.sandbox.requests[-1]
        require(
            (harness.subject.arrives or harness.subject.option) in request_values(request),
            "An option is lost.",
        )
        require(b"other" not in request.body, "An extra option of another vendor was sent.")


async def recipients_are_not_shown(make: Open) -> None:
    """No repr of a message or receipt shows a phone number, and accounts hide their secrets."""
    async with make() as harness:
        message = harness.message("Be discreet.")
        representation = (
            f"{message!r}{await harness('send', message)!r}{harness.hub.account(ACCOUNT)!r}"
        )
        for private_text in (harness.subject.to[1:], "discreet", harness.subject.secret):
            require(private_text not in representation, "A number, a text or a secret is shown.")


async def events_are_accepted_if_signed(make: Open) -> None:
    """Signed delivery webhooks are accepted for every status, and others are refused."""
    async with make() as harness:
        report, secret = harness.subject.report, harness.subject.webhook_secret
        if report is None or secret is None:
            return
        url = URL if SmsCapability.CALLBACK in harness.capabilities else None
        receipt: SmsReceipt = await harness("send", harness.message(callback_url=url))
        words = {harness.subject.delivered: SmsStatus.DELIVERED, _WORD: SmsStatus.UNKNOWN}
        for word, status in words.items():
            notice = report(receipt.ref.id, word)
            require(
                notice.url.startswith(URL),
                "A delivery report is not sent to the URL of the message.",
            )
            verifier = harness.hub.webhooks(ACCOUNT, secrets=secret)
            event = harness.hub.events(ACCOUNT, verifier.verify(**notice.arguments())[0])[0]
            require(event.ref == receipt.ref, "The event is about another message.")
            require(event.status is status, f"{word} was read as {event.status}.")
            require(
                event.vendor_status == word and event.raw,
                "The event lacks the vendor's status or raw data.",
            )
        strange_verifier = harness.hub.webhooks(
            ACCOUNT, secrets=harness.subject.strange_secret, replay_guard=False
        )
        try:
            strange_verifier.verify(**report(receipt.ref.id, _WORD).arguments())
        except WebhookRejected:
            return
        raise AssertionError("A webhook with a forged signature is accepted.")


_ALL_CHECKS: Final = (
    a_message_is_sent,
    a_reference_survives_as_text,
    a_key_sends_once,
    a_key_is_for_one_message,
    unsupported_features_are_refused,
    declared_capabilities_work,
    a_scheduled_text_can_be_cancelled,
    a_refusal_has_its_type,
    an_outage_is_no_refusal,
    a_malformed_answer_is_no_success,
    a_malformed_list_is_not_empty,
    an_unreadable_success_is_unknown,
    a_lost_answer_is_unknown,
    an_unknown_status_is_kept,
    each_message_of_a_batch_has_its_result,
    options_arrive,
    recipients_are_not_shown,
    events_are_accepted_if_signed,
    *REQUESTS,
    *VERIFICATIONS,
    *TEMPLATES,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, sync_harness)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, async_harness)
