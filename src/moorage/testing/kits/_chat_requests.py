"""Checks of the requests of chat operations, and of how their responses are parsed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, TypeAlias

from moorage.contracts.chat import ChatCapability, ChatReceipt, ChatStatus
from moorage.testing.kits._chat_harness import BUTTON, Harness, request_values
from moorage.testing.kits._sent_requests import moment_of
from moorage.testing.kits.checks import require

Open: TypeAlias = Callable[[], Harness]

_ZONE: Final = timezone(timedelta(hours=-7))


async def a_message_is_shown_in_full(make: Open) -> None:
    """Title, text, fields and buttons of a message appear in the channel that it names."""
    async with make() as harness:
        details: dict[str, Any] = {}
        if ChatCapability.BUTTONS in harness.capabilities:
            details["buttons"] = [BUTTON]
        if ChatCapability.CHANNEL in harness.capabilities:
            details["channel"] = harness.subject.channel
        if ChatCapability.SILENT in harness.capabilities:
            details["silent"] = True
        message = harness.message(
            "First line.\n\nSecond line 😀.",
            title="Order 1042 😀",
            fields={"Customer": "Ada", "Total": "12.50 EUR"},
            **details,
        )
        await harness("send", message)
        shown_message = harness.shown()[-1]
        parts = ["Order 1042 😀", "First line.", "Second line 😀.", "Customer: Ada", "12.50 EUR"]
        missing_parts = [part for part in parts if part not in shown_message.text]
        require(not missing_parts, f"People do not see {missing_parts}.")
        positions = [shown_message.text.index(part) for part in parts]
        require(positions == sorted(positions), "The parts of a message are in another order.")
        buttons = [(button.label, button.url) for button in message.buttons]
        require(list(shown_message.buttons) == buttons, f"The buttons are {shown_message.buttons}.")
        require(shown_message.silent is message.silent, "A silent message makes a sound.")


async def a_message_is_scheduled(make: Open) -> None:
    """A scheduled message is sent on time in any time zone, and can be cancelled before."""
    async with make() as harness:
        if ChatCapability.SCHEDULED not in harness.capabilities:
            return
        moment = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
        for send_time in (moment, moment.astimezone(_ZONE)):
            receipt: ChatReceipt = await harness("send", harness.message(send_at=send_time))
            moments = [
                parsed
                for _, value in request_values(harness.sandbox.requests[-1])
                if (parsed := moment_of(value)) is not None
            ]
            require(
                moments == [moment], f"The message is scheduled for {moments}, not for {moment}."
            )
            is_scheduled = receipt.status is ChatStatus.SCHEDULED
            require(is_scheduled, f"A scheduled message is {receipt.status}.")
            require(harness.count() == 0, "A scheduled message was posted at once.")
            if ChatCapability.DELETE in harness.capabilities:
                deleted: ChatReceipt = await harness("delete", receipt.ref)
                require(
                    deleted.status is ChatStatus.DELETED,
                    "The scheduled message could not be cancelled.",
                )


async def a_request_is_in_the_vendors_words(make: Open) -> None:
    """Each field of a message is sent with the name, unit and words that the vendor expects."""
    async with make() as harness:
        for fields, expected_values in harness.subject.requests:
            await harness("send", harness.message(**fields))
            values: dict[str, list[Any]] = {}
            for name, value in request_values(harness.sandbox.requests[-1]):
                values.setdefault(name, []).append(value)
            for name, expected in expected_values.items():
                sent_values = values.get(name, [None])
                require(expected in sent_values, f"{fields} was sent with {sent_values} as {name}.")


async def an_answer_is_read_in_full(make: Open) -> None:
    """Each field of a vendor's response is parsed, with the contract's words and units."""
    async with make() as harness:
        receipt: ChatReceipt = await harness("send", harness.message())
        arguments = {
            "send": (harness.message(),),
            "reply": (receipt.ref, harness.message()),
            "edit": (receipt.ref, harness.message()),
            "delete": (receipt.ref,),
        }
        for operation, answer, expected_fields in harness.subject.answers:
            harness.sandbox.fail(answer)
            result = await harness(operation, *arguments[operation])
            for name, expected in expected_fields.items():
                value = getattr(result, name)
                require(value == expected, f"{operation} read {value!r} as {name}.")
            require(result.raw, "The result lacks the vendor's response.")


REQUESTS: Final = (
    a_message_is_shown_in_full,
    a_message_is_scheduled,
    a_request_is_in_the_vendors_words,
    an_answer_is_read_in_full,
)
