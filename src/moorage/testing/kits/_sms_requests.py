"""Checks of the requests of SMS operations, and of how responses are parsed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any, Final, TypeAlias

from moorage.contracts.sms import SmsCapability, SmsReceipt, SmsStatus
from moorage.errors import ConnectorError, VendorRejected
from moorage.testing.kits._sent_requests import moment_of, require_no_repeats
from moorage.testing.kits._sms_harness import ACCOUNT, URL, Harness, request_values
from moorage.testing.kits.checks import require

Open: TypeAlias = Callable[[], Harness]

_SHORT: Final = "k"
_LONG: Final = "a-key-of-an-order-" * 12
_TEXTS: Final = ("Your code is 1234.", "Grüße & more: 100 % = {all}.")
_ZONE: Final = timezone(timedelta(hours=-7))


async def each_request_is_sent_once(make: Open) -> None:
    """Check that no operation repeats a request itself, because the hub decides on retries."""
    async with make() as harness:
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "send": partial(harness, "send", harness.message()),
            "send under a key": partial(harness, "send", harness.message(), idempotency_key="k-1"),
        }
        if SmsCapability.LOOK_UP in harness.capabilities:
            receipt: SmsReceipt = await harness("send", harness.message())
            calls["get"] = partial(harness, "get", receipt.ref)
        if SmsCapability.VALIDATE_NUMBER in harness.capabilities:
            calls["validate_number"] = partial(harness, "validate_number", harness.subject.to)
        if SmsCapability.BALANCE in harness.capabilities:
            calls["check_balance"] = partial(harness, "check_balance")
        for name, call in calls.items():
            request_count = len(harness.sandbox.requests)
            await call()
            require_no_repeats(name, harness.sandbox.requests[request_count:])
        answer, kind = harness.subject.refusals[0][:2]
        harness.sandbox.fail(answer)
        request_count = len(harness.sandbox.requests)
        await harness.refused(kind, harness("send", harness.message()), "A refusal")
        require_no_repeats("refused send", harness.sandbox.requests[request_count:])


async def each_message_carries_its_key(make: Open) -> None:
    """Check that each message has its own idempotency key, which is the same in every process.

    A key that is too long for the vendor is replaced by a shorter one, which differs from those of
    other keys with the same beginning.
    """
    first_keys, second_keys = await _sent_keys(make), await _sent_keys(make)
    require(first_keys == second_keys, "Another process sends other keys for the same messages.")
    distinct_keys = {key for keys in first_keys for key in keys}
    require(
        len(distinct_keys) == sum(len(keys) for keys in first_keys),
        "Two messages were sent under one key.",
    )


async def _sent_keys(make: Open) -> list[frozenset[str]]:
    """Send messages with short and long idempotency keys, and return the keys in their requests."""
    async with make() as harness:
        if not harness.honours_keys():
            return []
        longest_key = harness.subject.vendor.limits.get("idempotency_key", 255)
        sent_keys: list[frozenset[str]] = []
        for our_key in (_SHORT, f"{_LONG}-1", f"{_LONG}-2"):
            request_count = len(harness.sandbox.requests)
            await harness("send", harness.message(), idempotency_key=our_key)
            is_sent = len(harness.sandbox.requests) > request_count
            require(is_sent, "Two messages were sent under one key.")
            keys = frozenset(
                key
                for request in harness.sandbox.requests[request_count:]
                for name in harness.key_headers()
                if (key := request.headers.get(name)) is not None
            )
            require(keys, "A message was sent without its idempotency key.")
            is_short = all(len(key) <= longest_key for key in keys)
            require(is_short, f"A key is longer than {longest_key} characters.")
            sent_keys.append(keys)
        return sent_keys


async def a_message_is_sent_as_written(make: Open) -> None:
    """A message's text and number are sent unchanged."""
    async with make() as harness:
        for text in _TEXTS:
            request_count = len(harness.sandbox.requests)
            await harness("send", harness.message(text))
            values = [
                value
                for request in harness.sandbox.requests[request_count:]
                for _, value in request_values(request)
            ]
            require(text in values, "The text is not sent as it was written.")
            numbers = {harness.subject.to, harness.subject.to.removeprefix("+")}
            is_addressed = any(value in numbers for value in values if isinstance(value, str))
            require(is_addressed, "The number is not sent as it was written.")


async def each_message_of_a_batch_is_sent_as_written(make: Open) -> None:
    """Every message of a batch is sent, and each result belongs to its message."""
    async with make() as harness:
        texts = [f"Number {number}." for number in range(4)]
        messages = [harness.message(text) for text in texts]
        results = await harness("send_bulk", messages, idempotency_key="batch", at_once=1)
        values = [
            value for request in harness.sandbox.requests for _, value in request_values(request)
        ]
        sent_texts = [value for value in values if isinstance(value, str) and value in texts]
        require(sent_texts == texts, "A message of a batch was lost, repeated or changed.")
        refs = [result.unwrap().ref for result in results]
        require(len(set(refs)) == len(texts), "Two messages have the same reference.")
        if SmsCapability.LOOK_UP in harness.capabilities:
            for ref in refs:
                receipt: SmsReceipt = await harness("get", ref)
                require(receipt.ref == ref, "A reference leads to another message.")


async def a_message_that_does_not_exist_is_not_found(make: Open) -> None:
    """Looking up a message that the vendor does not know raises an error."""
    async with make() as harness:
        if SmsCapability.LOOK_UP not in harness.capabilities:
            return
        receipt: SmsReceipt = await harness("send", harness.message())
        id_ = receipt.ref.id
        other_ref = (
            f"{harness.subject.vendor.name}:{ACCOUNT}:{id_[:-1]}{'1' if id_[-1] == '0' else 0}"
        )
        try:
            other_receipt = await harness("get", other_ref)
        except VendorRejected as error:
            harness.check_hides(f"{error}{error!r}", "A look-up")
        except ConnectorError as error:
            raise AssertionError(
                f"The look-up of an unknown message raised {error!r}, not VendorRejected."
            ) from error
        else:
            raise AssertionError(f"The look-up of an unknown message returned {other_receipt!r}.")


async def a_time_of_sending_arrives(make: Open) -> None:
    """Check that a scheduled message is sent on time in any time zone."""
    async with make() as harness:
        if SmsCapability.SCHEDULED not in harness.capabilities:
            return
        moment = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
        pool = "pool" if SmsCapability.SENDER_POOL in harness.capabilities else None
        for send_time in (moment, moment.astimezone(_ZONE)):
            await harness("send", harness.message(send_at=send_time, sender_pool=pool))
            moments = [
                parsed
                for _, value in request_values(harness.sandbox.requests[-1])
                if (parsed := moment_of(value)) is not None
            ]
            require(
                moments == [moment], f"The message is scheduled for {moments}, not for {moment}."
            )


async def a_request_is_in_the_vendors_words(make: Open) -> None:
    """Each field of a message is sent with the name, unit and words that the vendor expects."""
    async with make() as harness:
        for fields, expected_values in harness.subject.requests:
            request_count = len(harness.sandbox.requests)
            await harness("send", harness.message(**fields))
            values: dict[str, list[Any]] = {}
            for request in harness.sandbox.requests[request_count:]:
                for name, value in request_values(request):
                    values.setdefault(name, []).append(value)
            for name, expected in expected_values.items():
                sent_values = values.get(name, [None])
                require(expected in sent_values, f"{fields} was sent with {sent_values} as {name}.")


async def an_answer_is_read_in_full(make: Open) -> None:
    """Each field of a vendor's response is parsed, with its status words and units converted."""
    async with make() as harness:
        receipt: SmsReceipt = await harness("send", harness.message())
        arguments = {
            "send": (harness.message(),),
            "get": (receipt.ref,),
            "cancel": (receipt.ref,),
            "validate_number": (harness.subject.to,),
            "check_balance": (),
        }
        for operation, answer, expected_fields in harness.subject.answers:
            harness.sandbox.fail(answer)
            result = await harness(operation, *arguments[operation])
            for name, expected in expected_fields.items():
                value = getattr(result, name)
                require(value == expected, f"{operation} read {value!r} as {name}.")
            require(result.raw, "The result lacks the vendor's raw response.")


async def a_report_is_of_its_message(make: Open) -> None:
    """A delivery webhook gives its message's status, and contains no sender or text."""
    async with make() as harness:
        report, secret = harness.subject.report, harness.subject.webhook_secret
        if report is None or secret is None:
            return
        url = URL if SmsCapability.CALLBACK in harness.capabilities else None
        words = {harness.subject.delivered: SmsStatus.DELIVERED, **harness.subject.words}
        for word, status in words.items():
            receipts = [await harness("send", harness.message(callback_url=url)) for _ in range(2)]
            for receipt in receipts:
                notice = report(receipt.ref.id, word)
                verifier = harness.hub.webhooks(ACCOUNT, secrets=secret)
                events = harness.hub.events(ACCOUNT, verifier.verify(**notice.arguments())[0])
                require(len(events) == 1, f"{word} became {len(events)} events.")
                event = events[0]
                require(event.ref == receipt.ref, "A report is of another message.")
                require(event.status is status, f"{word} was read as {event.status}.")
                require(event.vendor_status == word, "The result lacks the vendor's own status.")
                is_ours = event.sender is None and event.text is None
                require(is_ours, "A report is reported as a message that was received.")
                require(event.at is None or event.at.tzinfo, "The time of a report has no zone.")


REQUESTS: Final = (
    each_request_is_sent_once,
    each_message_carries_its_key,
    a_message_is_sent_as_written,
    each_message_of_a_batch_is_sent_as_written,
    a_message_that_does_not_exist_is_not_found,
    a_time_of_sending_arrives,
    a_request_is_in_the_vendors_words,
    an_answer_is_read_in_full,
    a_report_is_of_its_message,
)
