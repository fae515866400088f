"""Reads MIME messages from untrusted senders, even if they are malformed."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import collapse_rfc2231_value, parseaddr, parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email_received import ReceivedEmail, ReceivedFile, valid_address
from moorage.domain.values.json_text import is_list
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.ref import Ref

_MOST_PARTS: Final = 1_000
_MOST_CONTAINERS: Final = 100
_MOST_NESTED: Final = 30
_MOST_HEADERS: Final = 2_000
_LONGEST_HEADER: Final = 20_000
_LONGEST_PARAMETERS: Final = 4_000
_MOST_ADDRESSES: Final = 1_000
_LONGEST_ADDRESS: Final = 2_000
_CODECS: Final = re.compile(
    r"(?:ascii|big5|cp|euc|gb|hz|iso|johab|koi8|latin|mac|ptcp|shift|tis|utf)"
)
"""Beginnings of the codecs that mail uses. Other codecs are slow, or do not encode text."""
_LATIN: Final = {"iso8859-1": "cp1252", "iso8859-9": "cp1254"}
"""Codecs that also read the characters where these have control characters.

Many mail programs state a charset, and write characters that only a wider charset has. Browsers
read the wider ones (WHATWG Encoding Standard).
"""
_WIDER_CODECS: Final = {
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
}
"""Codecs for texts that cannot be read by the stated codec."""
_JIS: Final = "iso2022_jp"
_JIS_NAMES: Final[Mapping[str, str]] = dict.fromkeys(
    ("cp50220", "cp50221", "cp50222", "iso-2022-jp-ms"), _JIS
)
"""Names of ISO-2022-JP with added letters that mail programs use, and Python does not know."""
_JIS_ESCAPE: Final = re.compile(rb"(\x1b\$[@B]|\x1b\([BIJ]|\r?\n)")
_JIS_WORDS: Final = frozenset({b"\x1b$@", b"\x1b$B"})
_JIS_KANA: Final = b"\x1b(I"
_LONGEST_JIS: Final = 500_000
"""The bytes of a text up to which its added letters are read, since this takes long."""
_JIS_LETTERS: Final = 94 * 94
_ADDRESS: Final = re.compile(
    r'((?:"(?:[^"\\]|\\.)*"|\([^()]*\)|<[^<>]*>|\\.?|[^,;"(<\\])+|["(<])[,;]?'
)
"""One address of a list; what is quoted, commented or in brackets may contain a comma.

Escaped quotes begin no quotation, so that a list of them is read in linear time.
"""
_GROUP: Final = re.compile(r"\A[^\"<@:]{1,100}:")
_ID: Final = re.compile(r"<([^<>\s]{1,998})>")
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f]")
_BODIES: Final = {"text/plain": "text", "text/html": "html", "text/x-amp-html": "amp_html"}
"""Fields of a received message with its bodies, by their content types."""
_AUTOMATIC_VALUES: Final = frozenset({"bulk", "junk", "auto_reply"})
_PARSER_ERRORS: Final = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    LookupError,
    TypeError,
    ValueError,
)
"""Errors that Python's reader raises for broken messages."""


class _Part(Message):
    """An email part with limits, because nested parts and parameters may take long to parse."""

    counts: dict[str, int]
    """Numbers of parts and of containers so far, which all parts of a message share."""

    def get_boundary(self, failobj: Any = None) -> Any:
        """Return the boundary that separates the parts of a multipart message."""
        self.counts["containers"] += 1
        if self.counts["containers"] > _MOST_CONTAINERS:
            raise _excess_error()
        return super().get_boundary(failobj)

    def get_param(self, param: str, failobj: Any = None, *args: Any, **options: Any) -> Any:
        """Return a parameter of a header; the default if the header is too long."""
        header = args[0] if args else options.get("header", "content-type")
        if len(str(self.get(header, ""))) > _LONGEST_PARAMETERS:
            return failobj
        return super().get_param(param, failobj, *args, **options)


def read_mime(content: bytes, ref: Ref, **fields: Any) -> ReceivedEmail:
    """Read a message in MIME format, such as one that Amazon SES has stored in your bucket.

    Broken parts are read as far as possible: letters that cannot be decoded become U+FFFD, and a
    part that cannot be taken apart becomes a file.

    Args:
        content: the message.
        ref: reference of the message, such as the reference in the event.
        **fields: further fields of the `ReceivedEmail`, instead of those of the message.

    Raises:
        InvalidData: the content is not bytes, or has too many or too deeply nested parts.
    """
    if not isinstance(content, bytes):
        raise InvalidData(
            f"The message must be bytes, not {with_article(type(content).__name__)}.",
            field="content",
            remedy="Give the bytes of the message as they were received.",
        )
    counts = {"parts": 0, "containers": 0}

    def part(**options: Any) -> _Part:
        counts["parts"] += 1
        if counts["parts"] > _MOST_PARTS:
            raise _excess_error()
        part = _Part(**options)
        part.counts = counts
        return part

    try:
        message = BytesParser(part, policy=compat32).parsebytes(content)
    except RecursionError:
        raise _excess_error() from None
    bodies, files = _contents(message)
    headers = _headers_of(message)
    return received_email(headers, ref, **{"id": None, **bodies, "files": files, **fields})


def read_headers(content: bytes) -> tuple[tuple[str, str], ...]:
    """The header fields of a message; encoded words are not decoded yet."""
    return _headers_of(BytesParser(_Part, policy=compat32).parsebytes(content, headersonly=True))


def received_email(headers: Iterable[tuple[str, str]], ref: Ref, **fields: Any) -> ReceivedEmail:
    """A received message; fields that are not given are read from its headers.

    Addresses are read before encoded words are decoded: a decoded display name may look like an
    address, and would hide the real one.
    """
    written_pairs = tuple(headers)
    pairs = tuple((name, header_text(value)) for name, value in written_pairs)
    values: dict[str, str] = {}
    for name, value in pairs:
        values.setdefault(name.lower(), value)

    def written_values(name: str) -> tuple[str, ...]:
        return tuple(value for key, value in written_pairs if key.lower() == name)

    header_fields: dict[str, Any] = {
        "at": _date(values.get("date")),
        "from_": sender_in(*written_values("from")),
        "to": addresses_in(*written_values("to")),
        "cc": addresses_in(*written_values("cc")),
        "reply_to": addresses_in(*written_values("reply-to")[:1]),
        "subject": values.get("subject", ""),
        "message_id": next(iter(ids_in(values.get("message-id"))), None),
        "in_reply_to": next(iter(ids_in(values.get("in-reply-to"))), None),
        "references": ids_in(values.get("references")),
        "is_automatic": _is_automatic(values),
    }
    stated_fields = {name: value for name, value in fields.items() if value is not None}
    all_fields: dict[str, Any] = {"id": None, "headers": pairs, **header_fields, **stated_fields}
    return ReceivedEmail(**all_fields, ref=ref)


def header_text(value: object) -> str:
    """The text of a header field: unfolded, and its encoded words decoded."""
    text = _unfolded(value)
    # Python's parser searches for the end of each encoded word up to the end of the text.
    whole_part, end, remainder = text.rpartition("?=")
    if "=?" not in whole_part:
        return text
    try:
        words = [*decode_header(whole_part + end), (remainder, None)]
    except (HeaderParseError, ValueError):
        return text
    joined_text = "".join(
        word if isinstance(word, str) else decode_text(word, charset) for word, charset in words
    )
    return _CONTROL_CHARACTERS.sub(" ", joined_text)


def _unfolded(value: object) -> str:
    """The text of a header field as one line; its encoded words are not decoded."""
    # Bytes beyond ASCII are represented by surrogates here.
    encoded_text = str(value)[:_LONGEST_HEADER].encode("utf-8", "surrogateescape")
    text = _CONTROL_CHARACTERS.sub(
        " ", re.sub(r"\r?\n[ \t]*", " ", decode_text(encoded_text, None))
    )
    return " ".join(text.splitlines())


def decode_text(content: bytes, charset: str | None) -> str:
    """Decode a text by the charset that its sender states, or else by the most likely charset."""
    codec = None
    with suppress(LookupError, ValueError):
        name = charset or "utf-8"
        codec = codecs.lookup(_JIS_NAMES.get(name.lower(), name)).name
    if codec is not None and _CODECS.match(codec) and charset:
        codec = _LATIN.get(codec, codec)
        with suppress(LookupError, UnicodeDecodeError):
            return content.decode(codec)
        if codec == _JIS and len(content) <= _LONGEST_JIS:
            return _decode_jis(content)
        if codec != "ascii":
            with suppress(LookupError):
                return content.decode(_WIDER_CODECS.get(codec, codec), "replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _decode_jis(content: bytes) -> str:
    """Decode ISO-2022-JP with the letters that mail adds to it.

    These are the letters of NEC and IBM, such as the sign for a company, and half-width katakana.
    Each line begins in ASCII.
    """
    first_part, *parts = _JIS_ESCAPE.split(content)
    texts = [first_part.decode("cp932", "replace")]
    for escape, part in zip(parts[::2], parts[1::2], strict=True):
        if escape in _JIS_WORDS:
            pairs = zip(part[::2], part[1::2], strict=False)
            texts += [_jis_letter(row, cell) for row, cell in pairs]
            continue
        is_kana = escape == _JIS_KANA
        letters = bytes(byte | 0x80 for byte in part) if is_kana else part
        texts.append((b"" if escape.startswith(b"\x1b") else escape).decode("ascii"))
        texts.append(letters.decode("cp932", "replace"))
    return "".join(texts)


@lru_cache(maxsize=_JIS_LETTERS)
def _jis_letter(row: int, cell: int) -> str:
    """The letter at a row and cell of JIS X 0208, by the Windows variant of Shift JIS."""
    if not (0x20 < row < 0x7F and 0x20 < cell < 0x7F):
        return "\ufffd"
    lead_byte = (row - 0x21 >> 1) + 0x81
    trail = cell + 0x7E if row % 2 == 0 else cell + (0x1F if cell < 0x60 else 0x20)
    return bytes((lead_byte if lead_byte < 0xA0 else lead_byte + 0x40, trail)).decode(
        "cp932", "replace"
    )


def sender_in(*texts: str) -> EmailAddress | None:
    """The address in the values of From; None if there is none, or if there are several.

    The vendor's checks hold for only one of several senders, and it does not say for which.
    """
    senders = addresses_in(*texts)
    return senders[0] if len(senders) == 1 else None


def addresses_in(*texts: str) -> tuple[EmailAddress, ...]:
    """The valid addresses in header values, each once; display names are decoded."""
    addresses: dict[str, EmailAddress] = {}
    for text in texts:
        # Python's parser of address lists drops all addresses if one of them is malformed.
        for match in islice(_ADDRESS.finditer(_unfolded(text)), _MOST_ADDRESSES):
            address = _address(_GROUP.sub("", match[1].strip(), count=1))
            if address is not None:
                addresses.setdefault(address.email.lower(), address)
    return tuple(addresses.values())


def _address(text: str) -> EmailAddress | None:
    try:
        name, email = parseaddr(text[:_LONGEST_ADDRESS])
    except RecursionError:
        # Python's parser recurses for each phrase without an address.
        return None
    return valid_address(email, header_text(name))


def ids_in(text: str | None) -> tuple[str, ...]:
    """The Message-IDs in a header value, without their angle brackets."""
    return tuple(_ID.findall(text or ""))


def plain_filename(text: str | None) -> str | None:
    """The last part of a path as a file name; None if it is empty."""
    name = _CONTROL_CHARACTERS.sub("", (text or "").replace("\\", "/").rpartition("/")[2]).strip()
    return None if name in {"", ".", ".."} else name[:255]


def _headers_of(message: Message) -> tuple[tuple[str, str], ...]:
    pairs = islice(message.raw_items(), _MOST_HEADERS)
    return tuple((name, str(value)) for name, value in pairs)


def _is_automatic(values: dict[str, str]) -> bool:
    auto_submitted = values.get("auto-submitted", "no").partition(";")[0].strip().lower()
    return (
        auto_submitted != "no"
        or "x-auto-response-suppress" in values
        or "list-id" in values
        or values.get("precedence", "").strip().lower() in _AUTOMATIC_VALUES
    )


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (OverflowError, TypeError, ValueError, IndexError):
        return None


def _contents(message: Message) -> tuple[dict[str, str], tuple[ReceivedFile, ...]]:
    bodies: dict[str, str] = {}
    files: list[ReceivedFile] = []
    for part in _content_parts(message):
        kind = part.get_content_type()
        filename, disposition = _filename(part), part.get_content_disposition()
        is_body = kind in _BODIES and _BODIES[kind] not in bodies
        if is_body and filename is None and disposition != "attachment":
            bodies[_BODIES[kind]] = decode_text(_bytes_of(part), _charset(part))
        else:
            content, content_id = (
                _bytes_of(part),
                next(iter(ids_in(_first_header(part, "Content-ID"))), None),
            )
            files.append(
                ReceivedFile(
                    filename=filename,
                    content_type=kind,
                    content=content,
                    size=len(content),
                    content_id=content_id,
                    is_inline=disposition != "attachment" and content_id is not None,
                )
            )
    return bodies, tuple(files)


def _content_parts(message: Message) -> Iterator[Message]:
    """Yield the parts that are not containers; a forwarded message counts as one part."""
    open_parts = [(message, 0)]
    while open_parts:
        part, depth = open_parts.pop()
        if depth > _MOST_NESTED:
            raise _excess_error()
        inner_payload: Any = part.get_payload()
        if part.get_content_maintype() == "multipart" and is_list(inner_payload):
            open_parts += [(item, depth + 1) for item in reversed(inner_payload)]
        else:
            yield part


def _bytes_of(part: Message) -> bytes:
    with suppress(*_PARSER_ERRORS, RecursionError):
        if part.is_multipart():
            return b"".join(item.as_bytes() for item in part.get_payload())  # type: ignore[union-attr]  # a forwarded message
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            return content
    return str(part.get_payload()).encode("utf-8", "surrogateescape")


def _filename(part: Message) -> str | None:
    for header, parameter in (("content-disposition", "filename"), ("content-type", "name")):
        with suppress(*_PARSER_ERRORS):
            value = part.get_param(parameter, header=header)
            if value:
                return plain_filename(header_text(collapse_rfc2231_value(value)))
    return None


def _charset(part: Message) -> str | None:
    with suppress(*_PARSER_ERRORS):
        return part.get_content_charset()
    return None


def _first_header(part: Message, name: str) -> str | None:
    value = part.get(name)
    return None if value is None else str(value)


def _excess_error() -> InvalidData:
    return InvalidData(
        "The email has too many parts, or its parts are nested too deeply.",
        field="content",
        remedy="Do not process this email: it is probably an attack, since no mail program writes"
        " such emails.",
    )
