"""Writes IMAP commands as bytes, and reads the server's replies.

A reply is a line, in which literals may stand: a number of bytes that follow the line's end, after
which the line goes on. Parsing a malformed reply always raises `ValueError`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.values.json_text import is_list
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_LITERAL: Final = re.compile(rb"\{([0-9]{1,10})\}\r\n\Z")
_STATUS: Final = re.compile(
    rb"(OK|NO|BAD|BYE|PREAUTH)(?: (?:\[([^\]]*)\] ?)?(.*))?", re.IGNORECASE | re.DOTALL
)
_TOKEN: Final = re.compile(rb'[ ]*(?:(\()|(\))|"((?:[^"\\\r\n]|\\["\\])*)"|([^ ()"\r\n]+))')
_ESCAPE: Final = re.compile(rb"\\(.)")
_PRINTABLE_ASCII: Final = late_pattern(r"[ -~]*")
_ENCODED_CHARACTERS: Final = late_pattern(r"[^ -~]+|&")
_MAX_DEPTH: Final = 20
_LONGEST_LINE: Final = 1_000_000
_NIL: Final = b"NIL"


class ImapReply(NamedTuple):
    """One reply of an IMAP server.

    Attributes:
        tag: the tag of the command that it ends; "*" for other replies, and "+" if the server waits
            for more.
        status: "OK", "NO", "BAD", "BYE" or "PREAUTH"; empty for replies with data.
        code: the code in brackets, such as "UIDVALIDITY 3"; empty if there is none.
        items: the data: bytes, None, and lists of these.
    """

    tag: str
    status: str = ""
    code: str = ""
    items: tuple[Any, ...] = ()


class ReplyBuffer:
    """The bytes that arrived from a server, cut into replies.

    Args:
        largest: the largest number of bytes of one reply.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._arrived = bytearray()
        self._place = 0
        self._parts: list[bytes] = []
        self._literal: int | None = None
        self._size = 0

    def __bool__(self) -> bool:
        """Return whether bytes have arrived that do not form a complete reply yet."""
        return bool(self._arrived or self._parts)

    def add(self, data: bytes) -> None:
        """Add bytes that arrived."""
        self._arrived += data

    def next(self) -> list[bytes] | None:
        """Return the next reply's parts: lines and literals in turn; None if it is incomplete.

        Raises:
            ValueError: a line or the reply is larger than it may be.
        """
        while True:
            if self._literal is not None:
                if len(self._arrived) < self._literal:
                    return None
                self._take_bytes(self._literal)
                self._literal = None
                continue
            end = self._arrived.find(b"\n", self._place)
            if end < 0:
                self._place = len(self._arrived)
                if self._place > _LONGEST_LINE:
                    raise ValueError("a line exceeds the maximum length")
                return None
            line = self._take_bytes(end + 1)
            literal = _LITERAL.search(line)
            if literal is None:
                parts, self._parts, self._size = self._parts, [], 0
                return parts
            self._literal = int(literal[1])
            if self._size + self._literal > self._largest:
                raise ValueError("a reply exceeds the maximum size")

    def _take_bytes(self, size: int) -> bytes:
        part = bytes(self._arrived[:size])
        del self._arrived[:size]
        self._place = 0
        self._parts.append(part)
        self._size += size
        if self._size > self._largest:
            raise ValueError("a reply exceeds the maximum size")
        return part


def read_reply(parts: Sequence[bytes]) -> ImapReply:
    """Return the IMAP reply that consists of these parts: lines and literals in turn.

    Raises:
        ValueError: the parts do not form an IMAP reply.
    """
    tag, _, remainder = parts[0].partition(b" ")
    name = tag.strip().decode("ascii", "replace")
    if name == "+":
        return ImapReply("+")
    text = remainder.rstrip(b"\r\n")
    status = _STATUS.fullmatch(text) if len(parts) == 1 else None
    if status is not None:
        code = (status[2] or b"").decode("ascii", "replace")
        return ImapReply(name, status[1].decode().upper(), code)
    if name != "*":
        raise ValueError("a reply has no status and no data")
    return ImapReply("*", items=tuple(values_of([remainder, *parts[1:]])))


def values_of(parts: Sequence[bytes]) -> list[Any]:
    """Return the values in the parts of an IMAP reply: bytes, None, and lists of these.

    Raises:
        ValueError: the parts break a rule of IMAP.
    """
    return _values(_tokens(parts), 0)


def _tokens(parts: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the kind and content of each token in the lines and literals of an IMAP reply."""
    for number, part in enumerate(parts):
        if number % 2:
            yield "value", part
            continue
        line = _LITERAL.sub(b"", part).rstrip(b"\r\n ")
        place = 0
        while place < len(line):
            match = _TOKEN.match(line, place)
            if match is None:
                raise ValueError("a reply contains an unknown character")
            place = match.end()
            if match[1] or match[2]:
                yield "bracket", match[1] or match[2]
            elif match[4] is None:
                yield "value", _ESCAPE.sub(rb"\1", match[3])
            else:
                yield "atom", match[4]


def _values(tokens: Iterator[tuple[str, bytes]], depth: int) -> list[Any]:
    """Return the values up to the bracket that closes them, or up to the end."""
    values: list[Any] = []
    if depth > _MAX_DEPTH:
        raise ValueError("a reply is nested too deeply")
    for kind, content in tokens:
        if kind == "bracket" and content == b"(":
            values.append(_values(tokens, depth + 1))
        elif kind == "bracket":
            if not depth:
                raise ValueError("a reply has a closing bracket without an opening one")
            return values
        elif kind == "atom" and content.upper() == _NIL:
            values.append(None)
        else:
            values.append(content)
    if depth:
        raise ValueError("a reply has an opening bracket without a closing one")
    return values


def pairs_of(items: object) -> dict[str, Any]:
    """Return a list of alternating names and values as a dictionary; names in upper case.

    Raises:
        ValueError: the list does not alternate between names and values.
    """
    if not is_list(items) or len(items) % 2:
        raise ValueError("a reply has names without values")
    values = items
    return {
        as_text(name).upper(): value for name, value in zip(values[::2], values[1::2], strict=True)
    }


def as_text(value: object) -> str:
    """Return a value in an IMAP reply as a text.

    Raises:
        ValueError: the value is a list, or is missing.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise ValueError("a required text is missing in a reply")


def as_number(value: object) -> int:
    """Return a value in an IMAP reply as a number.

    Raises:
        ValueError: the value is not a number.
    """
    text = as_text(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ValueError("a required number is missing in a reply")
    return int(text)


def command_chunks(tag: str, words: Iterable[str | bytes]) -> list[bytes]:
    """Return a command as chunks; the server must ask for each chunk after the first.

    Args:
        tag: the tag of the command.
        words: texts, which are sent as they are, and bytes, which are sent as strings.
    """
    chunks: list[bytes] = []
    line = tag.encode()
    for item in words:
        if isinstance(item, str):
            line += b" " + item.encode("ascii")
        elif _PRINTABLE_ASCII.fullmatch(text := item.decode("latin-1")) and len(text) <= 1_000:
            line += b' "' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
        else:
            chunks.append(line + b" {%d}\r\n" % len(item))
            line = item
    return [*chunks, line + b"\r\n"]


def mailbox_bytes(name: str) -> bytes:
    """Return the name of a folder as IMAP sends it (RFC 3501, 5.1.3)."""

    def utf7_text(text: str) -> str:
        if text == "&":
            return "&-"
        code = b64encode(text.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return f"&{code.decode()}-"

    return _ENCODED_CHARACTERS.sub(lambda match: utf7_text(match[0]), name).encode()


def uid_set(uids: Sequence[int]) -> str:
    """Return message numbers as an IMAP set, in which consecutive numbers are a range."""
    ranges: list[list[int]] = []
    for uid in sorted(set(uids)):
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in ranges)
