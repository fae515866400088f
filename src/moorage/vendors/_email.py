"""What vendors of mail have in common."""

from __future__ import annotations

import re
from base64 import b64encode
from email.header import Header
from email.utils import formataddr
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus, RecipientOutcome
from moorage.domain.result import Result
from moorage.errors import ConfigurationError, InvalidData
from moorage.vendors._reading import malformed, read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from moorage.contracts.email import Attachment, EmailMessage
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.wire import Wire
    from moorage.domain.http import Response

_TAG: Final = "tag_"
"""What the name of a tag begins with at a vendor that has words with values only."""
_IS_TAG: Final = "true"
"""The value of such a word."""
_METADATA: Final = "word_"
"""What stands before the name of metadata that the vendor would take for something else."""
_IN_BRACKETS: Final = re.compile(r"<([^<>\s]+@[^<>\s]+)>\s*\Z")

SendPart: TypeAlias = "Callable[[BulkMessage, str | None], Awaitable[list[Result[EmailReceipt]]]]"


def sender_of(message: EmailMessage, usual: EmailAddress | None) -> EmailAddress:
    """Who a message is from.

    Raises:
        ConfigurationError: neither the message nor the account says.
    """
    sender = message.from_ or usual
    if sender is None:
        raise ConfigurationError(
            "Nobody is named as the sender of a message.",
            path="sender",
            remedy="Give the message a `from_`, or the account a `sender`.",
        )
    return sender


def written(one: EmailAddress) -> str:
    """An address as a header has it, in ASCII."""
    return formataddr((one.name or "", one.wire))


def all_written(several: Iterable[EmailAddress]) -> list[str]:
    """Addresses as a header has them."""
    return [written(one) for one in several]


def in_ascii(text: str) -> str:
    """What a header says, in ASCII."""
    return text if text.isascii() else Header(text, "utf-8").encode(linesep="")


def in_base64(file: Attachment) -> str:
    """What a file holds, as JSON can have it."""
    return b64encode(file.content).decode()


def without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


def words_of(value: object) -> dict[str, str]:
    """The words of a table, numbers written out."""
    return {
        name: str(word)
        for name, word in read(value).raw.items()
        if isinstance(word, (str, int)) and not isinstance(word, bool)
    }


def bare(written: str | None) -> str | None:
    """The address alone of one that may have a name before it, such as `Ada <ada@example.com>`."""
    found = _IN_BRACKETS.search(written or "")
    return written if found is None else found[1]


def id_of_ours(wire: Wire, key: str | None) -> str:
    """An id for a message that its vendor does not name: the same for the same key of a tenant."""
    of_key = ("key", wire.account, wire.tenant or "", key or "")
    seed = wire.new_id() if key is None else "\0".join(of_key)
    return sha256(seed.encode()).hexdigest()[:32]


def name_at(name: str, taken: Callable[[str], bool]) -> str:
    """The name that metadata has at a vendor, where some names mean something else.

    Args:
        name: its own name.
        taken: whether a name means something else at the vendor.
    """
    return _METADATA + name if taken(name) or name.startswith(_METADATA) else name


def name_here(name: str, taken: Callable[[str], bool]) -> str:
    """The metadata's own name, of the one that `name_at` has made for the vendor."""
    own = name.removeprefix(_METADATA)
    return own if taken(own) or own.startswith(_METADATA) else name


def _is_like_a_tag(name: str) -> bool:
    return name.startswith(_TAG)


def pairs_of(
    tags: Iterable[str], metadata: Mapping[str, str], allowed: re.Pattern[str], vendor: str
) -> dict[str, str]:
    """Tags and metadata together, where a vendor has words with values for both.

    Neither is lost beside the other, whatever their names: the name of a tag has `tag_` before it.

    Raises:
        InvalidData: a word has characters that the vendor does not take.
    """
    words = {_TAG + tag: _IS_TAG for tag in tags}
    words |= {name_at(name, _is_like_a_tag): text for name, text in metadata.items()}
    if not all(allowed.fullmatch(name) and allowed.fullmatch(text) for name, text in words.items()):
        raise InvalidData(
            f"A tag or a word of the metadata has characters that {vendor} does not take.",
            field="metadata",
            remedy="Use letters and digits of ASCII, '_' and '-', and fewer of them.",
        )
    return words


def tags_and_words(pairs: Mapping[str, str | None]) -> tuple[tuple[str, ...], dict[str, str]]:
    """What `pairs_of` has put together."""
    tags = [name for name, text in pairs.items() if _is_like_a_tag(name) and text == _IS_TAG]
    return (
        tuple(name.removeprefix(_TAG) for name in tags),
        {
            name_here(name, _is_like_a_tag): text
            for name, text in pairs.items()
            if text and name not in tags
        },
    )


def status_of(message: EmailMessage) -> EmailStatus:
    """How far a message is that was taken."""
    return EmailStatus.QUEUED if message.send_at is None else EmailStatus.SCHEDULED


def outcomes(people: Iterable[EmailAddress], status: EmailStatus) -> tuple[RecipientOutcome, ...]:
    """The same of everybody."""
    return tuple(RecipientOutcome(email=one.email, status=status) for one in people)


def receipt_of(
    wire: Wire,
    id_: str,
    people: Iterable[EmailAddress],
    status: EmailStatus,
    raw: Any,
) -> EmailReceipt:
    """A message that was taken for everybody."""
    return EmailReceipt(
        ref=wire.ref(id_), status=status, recipients=outcomes(people, status), raw=raw
    )


def messages_of(bulk: BulkMessage) -> list[EmailMessage]:
    """What each recipient gets, templates filled in with what is theirs."""
    messages = [bulk.message_to(one) for one in bulk.recipients]
    template = bulk.base.template
    if template is None:
        return messages
    return [
        attrs.evolve(message, template=attrs.evolve(template, data={**template.data, **one.data}))
        for message, one in zip(messages, bulk.recipients, strict=True)
    ]


async def in_parts(
    wire: Wire,
    bulk: BulkMessage,
    most: int,
    send: SendPart,
    key: str | None,
    *,
    at_once: int = 1,
) -> list[Result[EmailReceipt]]:
    """What became of a bulk that goes in several requests, each to at most so many people.

    Each request has a key of its own under the bulk's, by its place; one that fails loses no other.
    """
    parts = bulk.chunks(most)
    if len(parts) == 1:
        return await send(bulk, key)
    keys = [None if key is None else f"{key}/{number}" for number in range(1, len(parts) + 1)]
    steps = [partial(send, part, own) for part, own in zip(parts, keys, strict=True)]
    told = await wire.every(steps, at_once=at_once)
    results: list[Result[EmailReceipt]] = []
    for part, one in zip(parts, told, strict=True):
        results += one.unwrap() if one.ok else [Result(error=one.error) for _ in part.recipients]
    return results


def check_some_readable(results: Sequence[Result[EmailReceipt]], response: Response) -> None:
    """Refuse the answer to a bulk of which nothing can be read.

    Raises:
        VendorFailed: what is said of each recipient cannot be read.
    """
    if all(getattr(one.error, "response", None) is response for one in results):
        raise malformed(response, "result that can be read")
