"""Values of IMAP: search conditions and messages.

A condition is built from values, never by joining texts: a value can never become a part of the
surrounding condition.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import is_encodable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

_MONTHS: Final = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
]
_SYSTEM_FLAGS: Final = frozenset({"ANSWERED", "DELETED", "DRAFT", "FLAGGED", "RECENT", "SEEN"})
"""The flags with a backslash that have a search condition (RFC 3501, 6.4.4)."""
_FLAG: Final = late_pattern(r"\\?[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|~]{1,100}")
_HEADER: Final = late_pattern(r"[!-9;-~]{1,100}")
_DATE_TIME: Final = late_pattern(
    r"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r" ([+-])([0-9]{2})([0-9]{2})"
)
_MAX_DEPTH: Final = 20
_UIDS: Final = 2**32
_MOST_SHOWN: Final = 80


@attrs.frozen
class ImapCondition:
    """A search condition; functions of this module such as `sent_by` create it.

    Attributes:
        words: the condition as IMAP sends it: texts as they are, and bytes as strings.
    """

    words: tuple[str | bytes, ...] = attrs.field(repr=False)

    def __and__(self, other: ImapCondition) -> ImapCondition:
        """Return the condition that is true if both this and the other condition are true."""
        return ImapCondition((*self.words, *other.words))

    def __or__(self, other: ImapCondition) -> ImapCondition:
        """Return the condition that is true if this or the other condition is true."""
        return ImapCondition(("OR", "(", *self.words, ")", "(", *other.words, ")"))

    def __invert__(self) -> ImapCondition:
        """Return the condition that is true if this condition is false."""
        return ImapCondition(("NOT", "(", *self.words, ")"))


def all_messages() -> ImapCondition:
    """Return the condition that every message fulfils."""
    return ImapCondition(("ALL",))


def not_deleted() -> ImapCondition:
    """Return the condition that a message is not marked for deletion."""
    return ImapCondition(("UNDELETED",))


def has_flag(flag: str) -> ImapCondition:
    r"""Return the condition that a message has a flag such as "\\Seen", or a keyword.

    Raises:
        InvalidData: the flag is not valid, or IMAP cannot search for it.
    """
    name = flag_name(flag)
    if not name.startswith("\\"):
        return ImapCondition(("KEYWORD", name))
    word = name[1:].upper()
    if word in _SYSTEM_FLAGS:
        return ImapCondition((word,))
    raise InvalidData(
        f"IMAP cannot search for the flag {name[:_MOST_SHOWN]!r}.",
        field="flag",
        remedy="Pass one of \\Answered, \\Deleted, \\Draft, \\Flagged, \\Recent and \\Seen, or a"
        " keyword without a backslash.",
    )


def sent_by(text: str) -> ImapCondition:
    """Return the condition that the sender contains a text."""
    return ImapCondition(("FROM", _text(text)))


def sent_to(text: str) -> ImapCondition:
    """Return the condition that the recipients contain a text."""
    return ImapCondition(("TO", _text(text)))


def subject_contains(text: str) -> ImapCondition:
    """Return the condition that the subject contains a text."""
    return ImapCondition(("SUBJECT", _text(text)))


def header_contains(name: str, text: str) -> ImapCondition:
    """Return the condition that a header field contains a text; "" accepts any value."""
    if not _HEADER.fullmatch(name):
        raise InvalidData(
            f"{name[:_MOST_SHOWN]!r} is not the name of a header field.",
            field="name",
            remedy="Pass a name such as List-Id.",
        )
    return ImapCondition(("HEADER", name.encode(), _text(text)))


def arrived_since(day: date) -> ImapCondition:
    """Return the condition that a message arrived on this day or later."""
    return ImapCondition(("SINCE", _day(day)))


def arrived_before(day: date) -> ImapCondition:
    """Return the condition that a message arrived before this day."""
    return ImapCondition(("BEFORE", _day(day)))


def _day(day: date) -> str:
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04}"


def _text(text: str) -> bytes:
    if isinstance(text, str) and is_encodable(text) and "\0" not in text:  # pyright: ignore[reportUnnecessaryIsInstance]  # from JSON
        return text.encode()
    raise InvalidData(
        "IMAP cannot send the text to search for.",
        field="where",
        remedy="Pass a string without unpaired surrogates and NUL characters.",
    )


def flag_name(flag: object) -> str:
    """Check that a value is the name of an IMAP flag, and return it.

    Raises:
        InvalidData: the value is not a valid flag.
    """
    if isinstance(flag, str) and _FLAG.fullmatch(flag):
        return flag
    raise InvalidData(
        f"{str(flag)[:_MOST_SHOWN]!r} is not the name of a flag.",
        field="flag",
        remedy="Pass a flag such as \\Seen, or a keyword of letters and digits.",
    )


_TEXTS: Final[dict[str, Callable[[str], ImapCondition]]] = {
    "flag": has_flag,
    "from": sent_by,
    "to": sent_to,
    "subject": subject_contains,
}


def condition_of(value: object, depth: int = 0) -> ImapCondition:
    """Return the condition that plain JSON describes.

    Raises:
        InvalidData: the JSON does not describe a condition.
    """
    if is_object(value) and depth < _MAX_DEPTH:
        parts = [_part(name, content, depth + 1) for name, content in value.items()]
        condition = all_messages()
        for part in parts:
            condition &= part
        return condition
    raise _malformed_error()


def _part(name: str, content: Any, depth: int) -> ImapCondition:
    if name in _TEXTS and isinstance(content, str):
        return _TEXTS[name](content)
    if name == "not":
        return ~condition_of(content, depth)
    if name == "any" and is_list(content) and content:
        condition = condition_of(content[0], depth)
        for other_part in content[1:_MAX_DEPTH]:
            condition |= condition_of(other_part, depth)
        if len(content) <= _MAX_DEPTH:
            return condition
    raise _malformed_error()


def _malformed_error() -> InvalidData:
    return InvalidData(
        "The condition has the wrong form.",
        field="where",
        remedy='Pass an object such as {"from": "ada@example.org", "not": {"flag": "\\\\Seen"}}.',
    )


@attrs.frozen
class ImapSearchResult:
    """The messages that a search found.

    Attributes:
        validity: the number under which the uids of the folder are valid. Under another validity,
            the same uids belong to other messages.
        uids: the numbers of the messages, in the order in which they arrived.
    """

    validity: int
    uids: tuple[int, ...]


@attrs.frozen(kw_only=True)
class ImapMessage:
    r"""A message in a folder.

    Attributes:
        folder: the name of the folder.
        validity: the number under which the uid is valid.
        uid: the number of the message in the folder.
        flags: the message's flags and keywords, such as "\\Seen".
        at: the time at which the message arrived; None if the server states none.
        size: the bytes of the whole message.
        content: the message in MIME format; only its header if it is larger than allowed.
        is_complete: False if `content` is the header only.
    """

    folder: str
    validity: int
    uid: int
    flags: tuple[str, ...] = ()
    at: datetime | None = None
    size: int
    content: bytes = attrs.field(repr=False)
    is_complete: bool = True


def moment(text: str) -> datetime | None:
    """Parse an IMAP time such as "17-Jul-1996 02:44:25 -0700"; return None for other text.

    Months have their English names, whatever language the machine has.
    """
    match = _DATE_TIME.fullmatch(text.strip())
    if match is None or match[2].title() not in _MONTHS:
        return None
    month = _MONTHS.index(match[2].title()) + 1
    day, year, hour, minute, second = (int(match[place]) for place in (1, 3, 4, 5, 6))
    hours, minutes = int(match[8]), int(match[9])
    try:
        offset = timedelta(hours=hours, minutes=minutes) * (-1 if match[7] == "-" else 1)
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset))
    except ValueError:
        return None


def folder_name(name: object) -> str:
    """Check that a value can be the name of a folder, and return it.

    Raises:
        InvalidData: the value is not a valid folder name.
    """
    if isinstance(name, str) and name and is_encodable(name) and not set(name) & {"\0", "\r", "\n"}:
        return name
    raise InvalidData(
        "IMAP cannot send this folder name.",
        field="folder",
        remedy="Pass a string such as INBOX, without line breaks.",
    )


def uids_of(numbers: Iterable[object]) -> tuple[int, ...]:
    """Check that values are message numbers (UIDs), and return them as a tuple.

    Raises:
        InvalidData: `numbers` is empty, or contains a value that is not a message number.
    """
    values = tuple(numbers)
    uids = tuple(value for value in values if type(value) is int and 0 < value < _UIDS)
    if uids and len(uids) == len(values):
        return uids
    raise InvalidData(
        "The message numbers (UIDs) are missing or invalid.",
        field="uids",
        remedy="Pass numbers that a search returned.",
    )


def pack_result(result: Any) -> object:
    """Return an operation's result as plain values that can be stored."""
    if isinstance(result, ImapSearchResult):
        return "search", (result.validity, result.uids)
    if result is None:
        return "none", ()
    return "messages", tuple(attrs.astuple(message, recurse=False) for message in result)


def unpack_result(stored: Any) -> Any:
    """Return an operation's result from the plain values that `pack_result` made."""
    kind, values = stored
    if kind == "search":
        return ImapSearchResult(values[0], tuple(values[1]))
    if kind == "none":
        return None
    return tuple(_unpacked_message(*fields) for fields in values)


def _unpacked_message(folder: str, validity: int, uid: int, flags: Any, *rest: Any) -> ImapMessage:
    at, size, content, is_complete = rest
    return ImapMessage(
        folder=folder,
        validity=validity,
        uid=uid,
        flags=tuple(flags),
        at=at,
        size=size,
        content=content,
        is_complete=is_complete,
    )


def plain_search(result: ImapSearchResult) -> dict[str, Any]:
    """Return the result of a search as plain JSON."""
    return {"validity": result.validity, "uids": list(result.uids)}


def plain_messages(messages: Iterable[ImapMessage]) -> list[dict[str, Any]]:
    """Return messages as plain JSON; the content is decoded where it is ASCII."""
    return [
        {
            "uid": message.uid,
            "validity": message.validity,
            "flags": list(message.flags),
            "at": message.at and message.at.isoformat(),
            "size": message.size,
            "content": message.content.decode("utf-8", "replace"),
            "is_complete": message.is_complete,
        }
        for message in messages
    ]
