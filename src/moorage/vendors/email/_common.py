"""Helpers of email vendors: addresses, headers, files, metadata and results."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, timedelta
from email.utils import formataddr
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import (
    EmailCounts,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    RecipientOutcome,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from moorage.contracts.email import Attachment, EmailMessage
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import StatisticsQuery

_TAG: Final = "tag_"
"""Prefix of a tag's name, for a vendor that has only pairs of names and values."""
_MOST_CONCURRENT: Final = 4
"""The most requests at a time for a bulk message that is sent in single messages."""
_IS_TAG: Final = "true"
"""Value of the pair that stands for a tag, for a vendor that has only pairs of names and values."""
_METADATA: Final = "word_"
"""Prefix for the name of a metadata entry that the vendor would misinterpret."""
_LONGEST_TEXT: Final = 300
_LONGEST_WORD: Final = 75
_REDACTION: Final = sdk.Redaction()
_ANY_TYPE: Final = "application/octet-stream"
TYPES_BY_ENDING: Final = {
    "css": "text/css",
    "csv": "text/csv",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "zip": "application/zip",
}
"""Content types of files, by the ending of their names."""
_IN_BRACKETS: Final = re.compile(r"<([^<>\s]+@[^<>\s]+)>\s*\Z")

SendPart: TypeAlias = (
    "Callable[[BulkMessage, str | None], Awaitable[list[sdk.Result[EmailReceipt]]]]"
)


def sender_of(message: EmailMessage, usual: EmailAddress | None) -> EmailAddress:
    """The sender of a message.

    Raises:
        ConfigurationError: neither the message nor the account has a sender.
    """
    sender = message.from_ or usual
    if sender is None:
        raise sdk.ConfigurationError(
            "The message has no sender.",
            path="sender",
            remedy="Set `from_` in the message, or the account's option `sender`.",
        )
    return sender


def address_header(address: EmailAddress) -> str:
    """An address as an ASCII header value."""
    name = address.name or ""
    if name.isascii():
        return formataddr((name, address.wire))
    # A name may need several encoded words, whose length RFC 2047 limits.
    return f"{ascii_header(name)} <{address.wire}>"


def addresses_header(several: Iterable[EmailAddress]) -> list[str]:
    """Addresses as one header value."""
    return [address_header(item) for item in several]


def ascii_header(text: str) -> str:
    """Return a text as an ASCII header value."""
    if text.isascii():
        return text
    from email.header import Header  # noqa: PLC0415 - most headers are ASCII

    # An encoded word has at most 75 characters, one fewer than a line.
    return Header(text, "utf-8", maxlinelen=_LONGEST_WORD).encode(linesep="")


def in_base64(file: Attachment) -> str:
    """A file's content in base64."""
    return b64encode(file.content).decode()


def utc_moment(at: datetime) -> str:
    """A time in UTC, in ISO 8601 with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole_second(at: datetime) -> datetime:
    """A time in UTC, rounded up to whole seconds, so that no message is sent before its time."""
    moment = at.astimezone(UTC)
    return moment.replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)


def utc_second(at: datetime) -> str:
    """A time in UTC, rounded up to whole seconds, such as `2030-01-01 01:00:00`."""
    return f"{whole_second(at):%Y-%m-%d %H:%M:%S}"


def check_type(file: Attachment, vendor: str) -> None:
    """Refuse a file whose type differs from the one that the vendor derives from its name.

    Raises:
        InvalidData: the recipient would get the file with another type.
    """
    essence = file.content_type.partition(";")[0].lower()
    ending = file.filename.rpartition(".")[2].lower()
    if essence not in {_ANY_TYPE, TYPES_BY_ENDING.get(ending, essence)}:
        raise sdk.InvalidData(
            f"A file's name ends in .{ending}, which means {TYPES_BY_ENDING[ending]!r}, but"
            f" its content_type is {essence}. {vendor} derives the type from the ending.",
            field="attachments",
            remedy=f"Set content_type={TYPES_BY_ENDING[ending]!r}, or use another file name.",
        )


def filled_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


def texts_of(value: object) -> dict[str, str]:
    """The strings and integers among the values of a JSON object, all as strings."""
    return {
        name: str(word)
        for name, word in sdk.as_answer(value).raw.items()
        if isinstance(word, (str, int)) and not isinstance(word, bool)
    }


def bare_address(address: str | None) -> str | None:
    """The address in a text with or without display name, such as `Ada <ada@example.com>`."""
    match = _IN_BRACKETS.search(address or "")
    return address if match is None else match[1]


def derived_message_id(wire: sdk.Wire, key: str | None) -> str:
    """A message id for vendors that assign none; the same key of a tenant gives the same id."""
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL, which opening a hub must not

    of_key = ("key", wire.account, wire.tenant or "", key or "")
    seed = wire.new_id() if key is None else "\0".join(of_key)
    return sha256(seed.encode()).hexdigest()[:32]


def vendor_metadata_name(name: str, taken: Callable[[str], bool]) -> str:
    """The name of a metadata entry at the vendor, changed if the vendor reserves it.

    Args:
        name: name of the entry.
        taken: True if the name has a meaning at the vendor.
    """
    return _METADATA + name if taken(name) or name.startswith(_METADATA) else name


def original_metadata_name(name: str, taken: Callable[[str], bool]) -> str:
    """The original name of a metadata entry; the reverse of `vendor_metadata_name`."""
    short_name = name.removeprefix(_METADATA)
    return short_name if taken(short_name) or short_name.startswith(_METADATA) else name


def _is_like_a_tag(name: str) -> bool:
    return name.startswith(_TAG)


def combined_pairs(
    tags: Iterable[str], metadata: Mapping[str, str], allowed: re.Pattern[str], vendor: str
) -> dict[str, str]:
    """Tags and metadata as name-value pairs, for vendors that have no separate tags.

    The names of tags get the prefix `tag_`, so that they never collide with metadata.

    Raises:
        InvalidData: a name or value has characters that the vendor does not accept.
    """
    words = {_TAG + tag: _IS_TAG for tag in tags}
    words |= {vendor_metadata_name(name, _is_like_a_tag): text for name, text in metadata.items()}
    if not all(allowed.fullmatch(name) and allowed.fullmatch(text) for name, text in words.items()):
        raise sdk.InvalidData(
            f"A tag or a metadata entry contains characters that {vendor} does not accept, or"
            " is too long.",
            field="metadata",
            remedy="Use ASCII letters and digits, '_' and '-', and shorter texts.",
        )
    return words


def split_pairs(pairs: Mapping[str, str | None]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Tags and metadata, split from the pairs of `combined_pairs`."""
    tags = [name for name, text in pairs.items() if _is_like_a_tag(name) and text == _IS_TAG]
    return (
        tuple(name.removeprefix(_TAG) for name in tags),
        {
            original_metadata_name(name, _is_like_a_tag): text
            for name, text in pairs.items()
            if text and name not in tags
        },
    )


def status_of(message: EmailMessage) -> EmailStatus:
    """The status of an accepted message."""
    return EmailStatus.QUEUED if message.send_at is None else EmailStatus.SCHEDULED


def masked(words: str) -> str:
    """A vendor's text without secrets and addresses, cut to 300 characters."""
    return _REDACTION.words(words, _LONGEST_TEXT)


def sum_of(numbers: Iterable[int | None]) -> int | None:
    """The sum of the counts that a vendor states; None if it states none."""
    present_numbers = [number for number in numbers if number is not None]
    return sum(present_numbers) if present_numbers else None


def days_of(
    query: StatisticsQuery,
    response: sdk.Response,
    rows: str,
    day: str,
    names: Mapping[str, str | tuple[str, ...]],
) -> EmailStatistics:
    """The statistics in a response with one row per day.

    Args:
        query: the query for the statistics.
        response: the response.
        rows: the path of the rows.
        day: the field of a row with its day.
        names: for each field of the counts, the field of a row, or several that are added up.

    Raises:
        VendorFailed: the response has no list of rows, or a row has no day.
    """
    body = sdk.read_answer(response)
    if not sdk.is_list(body.value(rows)):
        raise sdk.malformed(response, rows)
    counted_pairs: list[tuple[date, EmailCounts]] = []
    for row in body.objects(rows):
        time = sdk.required(row.time(day), response, day)
        numbers = {
            field: sum_of(map(row.integer, (name,) if isinstance(name, str) else name))
            for field, name in names.items()
        }
        counted_pairs.append((time.date(), EmailCounts(**numbers)))
    return EmailStatistics.of(query, counted_pairs, body.raw)


def outcomes(people: Iterable[EmailAddress], status: EmailStatus) -> tuple[RecipientOutcome, ...]:
    """A result for every recipient, all with the same status."""
    return tuple(RecipientOutcome(email=address.email, status=status) for address in people)


def receipt_of(
    wire: sdk.Wire,
    id_: str,
    people: Iterable[EmailAddress],
    status: EmailStatus,
    raw: Any,
) -> EmailReceipt:
    """The receipt of a message accepted for all recipients."""
    return EmailReceipt(
        ref=wire.ref(id_), status=status, recipients=outcomes(people, status), raw=raw
    )


async def delete_scheduled(wire: sdk.Wire, ref: sdk.Ref, path: str, id_: str) -> EmailReceipt:
    """Delete a scheduled message.

    After a lost response, the request is not repeated: the vendor would refuse to delete the
    message again.

    Args:
        wire: sends the request.
        ref: reference of the message.
        path: path of messages, with a slash at the end.
        id_: id of the message in the path.
    """
    request = sdk.Request.delete(path + quote(id_, safe=""))
    response = await wire.send(request.evolve(idempotent=False))
    raw_answer = {"status": response.status}
    return EmailReceipt(ref=ref, status=EmailStatus.CANCELED, raw=raw_answer)


def messages_of(bulk: BulkMessage) -> list[EmailMessage]:
    """One message per recipient, with the placeholders filled in."""
    messages = [bulk.message_to(recipient) for recipient in bulk.recipients]
    template = bulk.base.template
    if template is None:
        return messages
    return [
        sdk.evolve(message, template=sdk.evolve(template, data={**template.data, **recipient.data}))
        for message, recipient in zip(messages, bulk.recipients, strict=True)
    ]


async def in_parts(
    wire: sdk.Wire,
    bulk: BulkMessage,
    most: int,
    send: SendPart,
    key: str | None,
    *,
    at_once: int = 1,
) -> list[sdk.Result[EmailReceipt]]:
    """Send a bulk message in several size-limited requests, and join the results.

    Each request has its own key, derived from its position; a failed request does not affect the
    others.
    """
    parts = bulk.chunks(most)
    if len(parts) == 1:
        return await send(bulk, key)
    keys = [
        None if key is None else sdk.part_key(key, number) for number in range(1, len(parts) + 1)
    ]
    steps = [partial(send, part, part_key) for part, part_key in zip(parts, keys, strict=True)]
    outcomes = await wire.run_all(steps, at_once=at_once)
    results: list[sdk.Result[EmailReceipt]] = []
    for part, item in zip(parts, outcomes, strict=True):
        results += (
            item.unwrap() if item.ok else [sdk.Result(error=item.error) for _ in part.recipients]
        )
    return results


async def one_by_one(
    wire: sdk.Wire, bulk: BulkMessage, send: Callable[..., Awaitable[EmailReceipt]], key: str | None
) -> list[sdk.Result[EmailReceipt]]:
    """Send the messages of a bulk in separate requests, a few at a time.

    Args:
        wire: the connection to the vendor.
        bulk: the messages.
        send: sends one of them, as a vendor's `send_transactional`.
        key: the idempotency key of all.
    """

    async def send_alone(part: BulkMessage, part_key: str | None) -> list[sdk.Result[EmailReceipt]]:
        [message] = messages_of(part)
        return [sdk.Result(await send(wire, message, key=part_key))]

    return await in_parts(wire, bulk, 1, send_alone, key, at_once=_MOST_CONCURRENT)


def check_some_readable(
    results: Sequence[sdk.Result[EmailReceipt]], response: sdk.Response
) -> None:
    """Refuse a response to a bulk message if no result in it is readable.

    Raises:
        VendorFailed: no recipient's result can be read.
    """
    if all(getattr(result.error, "response", None) is response for result in results):
        raise sdk.malformed(response, "result that can be read")
