"""Checks for every push vendor.

Each check takes a function that makes a new `PushSubject`: the vendor, its sandbox, and what the
kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.push import (
    PushCapability,
    PushMessage,
    PushOutcome,
    PushReceipt,
    PushTopic,
    outcome_of,
)
from moorage.domain.http.requests import Response
from moorage.errors import (
    ConnectorError,
    DeviceGone,
    IdempotencyConflict,
    OutcomeUnknown,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
)
from moorage.testing.kits._contract_harness import (
    require_words,
    through_async_hub,
    through_hub,
    uncertain_answers,
    with_an_address,
)
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from moorage.contracts.push import BrowserSubscription, DeviceToken
    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandboxes.push.base import DeliveredNotification, PushSandbox

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "PushSubject"]

_ACCOUNT: Final = "push"
_TITLE: Final = "Order 1042 of Ada"
_LINK: Final = "https://erp.example/orders/1042"
_OUTAGE: Final = Response(503, body=b"<html></html>")


@attrs.frozen(kw_only=True)
class PushSubject:
    """A push vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox, which records what each device received.
        refusals: error responses of the vendor, each with the error that it must raise.
        pause: a response by which the vendor asks for a pause, and the seconds of the pause.
        unreadable: a response with the status of a success that does not confirm anything.
        secrets: texts that no repr, error, event or log entry may contain, such as a private key.
    """

    vendor: Vendor
    sandbox: PushSandbox
    refusals: tuple[tuple[Response, type[ConnectorError]], ...]
    pause: tuple[Response, float]
    unreadable: Response
    secrets: tuple[str, ...] = attrs.field(repr=False)


class _Harness(RecordedHarness[PushSubject]):
    """A push vendor under test, with its hub, integration log and observer."""

    contract = "push"
    account_name = _ACCOUNT

    @cached_property
    def to(self) -> DeviceToken | BrowserSubscription:
        """The recipient of notifications."""
        return self.subject.sandbox.recipient()

    def message(self, title: str = _TITLE, **fields: Any) -> PushMessage:
        """Return a notification with these fields."""
        values: dict[str, Any] = {"to": self.to, "title": title}
        return PushMessage(**values | fields)

    @property
    def delivered(self) -> list[DeliveredNotification]:
        """The notifications that reached devices."""
        return self.subject.sandbox.delivered

    def hidden(self) -> tuple[str, ...]:
        """Return texts that must stay hidden: secrets, the recipient and the title."""
        return (*self.subject.secrets, self.to.address, _TITLE)


Factory: TypeAlias = Callable[[], PushSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], _Harness]


async def a_notification_arrives_in_full(make: Open) -> None:
    """A device receives a notification once, with all parts that the vendor supports."""
    async with make() as harness:
        fields: dict[str, Any] = {"badge": 3, "sound": "default", "link": _LINK}
        fields |= {"image": f"{_LINK}.png", "collapse_key": "order-1042"}
        fields = {name: value for name, value in fields.items() if name in harness.capabilities}
        options: dict[str, Any] = {"priority": "normal", "time_to_live": timedelta(hours=1)}
        message = harness.message(
            body="It is paid 😀.", data={"order": "1042"}, **options, **fields
        )
        receipt: PushReceipt = await harness("send", message)
        require(len(harness.delivered) == 1, "One notification was not sent once.")
        delivered = harness.delivered[0]
        expected_fields = {
            "to": harness.to.address,
            "title": _TITLE,
            "body": "It is paid 😀.",
            **fields,
        }
        expected_fields |= {"body": "It is paid 😀.", "urgent": False, "seconds": 3_600}
        for name, expected in expected_fields.items():
            value = getattr(delivered, name)
            require(value == expected, f"A device got {value!r} as {name}.")
        require(delivered.data.get("order") == "1042", "The data for the app is lost.")
        require(bool(receipt.raw), "The result lacks the vendor's response.")


async def silence_and_urgency_are_kept(make: Open) -> None:
    """A notification is urgent by default; a silent one shows nothing and is not urgent."""
    async with make() as harness:
        await harness("send", harness.message(time_to_live=timedelta(0)))
        require(harness.delivered[-1].urgent, "A notification is not urgent by default.")
        require(
            harness.delivered[-1].seconds == 0,
            "A notification without a time to live was sent with one.",
        )
        if PushCapability.SILENT in harness.capabilities:
            await harness("send", PushMessage(to=harness.to, data={"order": "1042"}, silent=True))
            delivered = harness.delivered[-1]
            require(delivered.silent and not delivered.urgent, "A silent notification is urgent.")
            require(dict(delivered.data) == {"order": "1042"}, "The data is lost.")


async def a_key_sends_once(make: Open) -> None:
    """A notification is sent once per key; a repeat returns the same receipt."""
    async with make() as harness:
        receipts = [
            await harness("send", harness.message(), idempotency_key="k-1") for _ in range(3)
        ]
        require(
            len(harness.delivered) == 1, "One idempotency key sent its notification more than once."
        )
        require(receipts[0] == receipts[1] == receipts[2], "A repeat has another receipt.")
        require(receipts[2].replayed, "A repeat is reported as sent.")
        await harness("send", harness.message(), idempotency_key="k-2")
        require(len(harness.delivered) == 2, "A second idempotency key sent no second invoice.")
        other_coroutine = harness("send", harness.message("Another."), idempotency_key="k-1")
        await harness.refused(
            IdempotencyConflict, other_coroutine, "A key for another notification"
        )


async def a_doubtful_outcome_is_unknown(make: Open) -> None:
    """After an uncertain failure, the outcome is unknown, and the key never sends again."""
    async with make() as harness:
        outages = uncertain_answers(harness.subject.refusals[0][0])
        answers: tuple[Response | Lost, ...] = (Lost(), *outages, harness.subject.unreadable)
        for number, answer in enumerate(answers):
            harness.sandbox.fail(answer)
            count = len(harness.delivered) + isinstance(answer, Lost)
            for _ in range(2):
                coroutine = harness("send", harness.message(), idempotency_key=f"k-{number}")
                await harness.refused(OutcomeUnknown, coroutine, f"Doubtful answer {number}")
            require(
                len(harness.delivered) == count,
                "A notification that may have been sent was sent again.",
            )
        harness.sandbox.fail(harness.subject.unreadable)
        await harness.refused(
            VendorFailed, harness("send", harness.message()), "An unreadable success"
        )


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error with the vendor's response, and is not retried."""
    async with make() as harness:
        for number, (refusal, kind) in enumerate(harness.subject.refusals):
            answer = with_an_address(refusal)
            harness.sandbox.fail(answer)
            count = len(harness.sandbox.requests)
            error = await harness.refused(
                kind, harness("send", harness.message()), f"Refusal {number}"
            )
            require(error.response is not None, "The answer is lost.")
            require_words(error, refusal, f"Refusal {number}")
            require(len(harness.sandbox.requests) == count + 1, "A refused request was repeated.")
        answer, seconds = harness.subject.pause
        harness.sandbox.fail(answer)
        error = await harness.refused(
            RateLimitExceeded, harness("send", harness.message()), "A rate limit"
        )
        require(error.vendor_retry_after == seconds, "The pause that the vendor asks for is lost.")
        require(harness.delivered == [], "A refused notification was sent.")


async def each_device_has_its_outcome(make: Open) -> None:
    """Each notification of a batch has its own outcome.

    A lost notification is not reported as sent.
    """
    async with make() as harness:
        sandbox = harness.subject.sandbox
        await harness("send", harness.message())
        unregistered = sandbox.recipient()
        sandbox.remove(unregistered)
        await harness.refused(
            DeviceGone, harness("send", harness.message(to=unregistered)), "A device that is gone"
        )
        lacks_topics = PushCapability.TOPIC not in harness.capabilities
        other_recipient = PushTopic("orders") if lacks_topics else sandbox.recipient()
        messages = [
            harness.message(to=recipient)
            for recipient in (harness.to, unregistered, other_recipient, harness.to, harness.to)
        ]
        sandbox.fail(
            None, None, *(() if lacks_topics else (None,)), harness.subject.pause[0], Lost()
        )
        results = await harness("send_bulk", messages, at_once=1, idempotency_key="batch")
        outcomes = [outcome_of(result) for result in results]
        topic_outcome = PushOutcome.REFUSED if lacks_topics else PushOutcome.ACCEPTED
        last = [PushOutcome.THROTTLED, PushOutcome.UNKNOWN]
        expected = [PushOutcome.ACCEPTED, PushOutcome.GONE, topic_outcome, *last]
        require(outcomes == expected, f"The outcomes are {outcomes}, not {expected}.")
        count = len(harness.delivered)
        results = await harness("send_bulk", messages, at_once=1, idempotency_key="batch")
        require(
            len(harness.delivered) == count + 1,
            "A repeat sent notifications that had been sent already.",
        )
        require(
            outcome_of(results[4]) is PushOutcome.UNKNOWN,
            "A notification with a lost response is reported as sent.",
        )


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending."""
    async with make() as harness:
        messages = {
            PushCapability.TOPIC: harness.message(to=PushTopic("orders")),
            PushCapability.SOUND: harness.message(sound="default"),
            PushCapability.SILENT: PushMessage(to=harness.to, silent=True),
        }
        for capability, message in messages.items():
            if capability not in harness.capabilities:
                error = await harness.refused(
                    UnsupportedByVendor, harness("send", message), capability
                )
                require(error.capabilities == (capability,), f"{capability} is not named.")
        require(
            harness.sandbox.requests == [],
            "A request was sent for an operation that the vendor does not support.",
        )


async def nothing_shows_secrets(make: Open) -> None:
    """No error, receipt, event or log entry shows a secret, a recipient or a text."""
    async with make() as harness:
        shown_texts = [f"{harness.hub.account(_ACCOUNT)!r}{harness.message()!r}{harness.to!r}"]
        for answer in (None, harness.subject.refusals[0][0], Lost(), _OUTAGE):
            harness.sandbox.fail(answer)
            try:
                shown_texts.append(repr(await harness("send", harness.message())))
            except ConnectorError as error:
                shown_texts.append("".join(traceback.format_exception(error)) + repr(error))
        await harness.require_hidden(shown_texts, harness.hidden())


_ALL_CHECKS: Final = (
    a_notification_arrives_in_full,
    silence_and_urgency_are_kept,
    a_key_sends_once,
    a_doubtful_outcome_is_unknown,
    a_refusal_has_its_type,
    each_device_has_its_outcome,
    unsupported_features_are_refused,
    nothing_shows_secrets,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, _Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(
    _ALL_CHECKS, _Harness.with_async_hub
)
