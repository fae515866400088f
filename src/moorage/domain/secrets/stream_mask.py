"""Masking of secrets in a stream of bytes, such as the output of a program.

Laws:

1. The masked stream does not depend on how the stream was cut into parts.
2. A secret is found unchanged, in Base64 at every alignment and in both alphabets, in hexadecimal
   digits, and with the escapes of URLs, JSON, HTML and XML, of some or of all of its characters;
   also if line breaks are inside it. A character of Base64 that a secret shares with its neighbours
   is not masked; it contains up to four bits of the secret.
3. A mask takes the place of a secret together with as many line breaks as were inside it, so a line
   of the stream stays a line.
4. Only bytes that may be the beginning of a secret are held back until more bytes arrive. Up to
   three characters before a line break do not count as a beginning, so that lines appear
   immediately.
5. The memory is bounded by the part that is fed and the longest form of a secret.

Secrets are looked for by machine words. A form of at least `7 + n` bytes covers a word of 8 bytes
whose position is a multiple of n, wherever it is; so only every n-th byte is the start of a word to
compare. Each known word leads to the forms of secrets that contain it, which are compared as a
whole.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from bisect import bisect_left, bisect_right
from html import escape
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote_from_bytes

from moorage.domain.secrets.sensitive import MASK
from moorage.domain.secrets.value_mask import SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_Code: TypeAlias = Literal["Q", "I"]
"""The format of a machine word of 8 or of 4 bytes."""

_MASK: Final = MASK.encode()
_LINE_BREAK_BYTES: Final = b"\r\n"
_LINE_BREAK: Final = re.compile(rb"[\r\n]")
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_PERCENT: Final = re.compile(rb"%[0-9A-F]{2}")
_ESCAPES: Final = ("%", "\\x", "\\u00")
"""The beginnings of escapes that name a byte by two hexadecimal digits."""
_BLOCK: Final = 256 * 1024
_GROUP: Final = 256
"""The number of words that are compared at once before they are compared individually."""

_LONG_WORD: Final = 8
_SHORT_WORD: Final = 4
_STEPS: Final = (32, 16, 8)
_LINE: Final = 16
"""The minimum length of a line of a secret that is a secret itself, as in a key file."""


class StreamMask:
    """Masks secrets in one stream of bytes, part by part.

    Args:
        secrets: the secrets; secrets of fewer than four bytes are not searched.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._forms = sorted({form for secret in secrets for form in _forms(secret)})
        self._beginnings = {form[:size] for form in self._forms for size in (1, 2)}
        self._reach = max(map(len, self._forms), default=0)
        long_forms = [form for form in self._forms if len(form) >= 2 * _LONG_WORD - 1]
        short_forms = [form for form in self._forms if len(form) < 2 * _LONG_WORD - 1]
        words = [form for form in short_forms if len(form) >= 2 * _SHORT_WORD - 1]
        self._tiny = [form for form in short_forms if len(form) < 2 * _SHORT_WORD - 1]
        self._searches: list[tuple[_Code, int, int, dict[int, list[tuple[bytes, int]]]]] = [
            ("Q", _LONG_WORD, _step(long_forms), _words_of_forms(long_forms, "Q", _LONG_WORD)),
            ("I", _SHORT_WORD, _SHORT_WORD, _words_of_forms(words, "I", _SHORT_WORD)),
        ]
        self._held = b""
        self._before = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next part of the stream, and return the bytes that can be shown now."""
        if not self._forms:
            return data
        masked_parts = [
            self._advance(data[start : start + _BLOCK], is_last=False)
            for start in range(0, len(data), _BLOCK)
        ]
        return b"".join(masked_parts)

    def finish(self) -> bytes:
        """Return the rest of the masked stream at its end, ready for another stream."""
        last_bytes = self._advance(b"", is_last=True)
        self._before = b""
        return last_bytes

    def _advance(self, data: bytes, *, is_last: bool) -> bytes:
        seen_length = len(self._before)
        text = self._before + self._held + data
        text_without_breaks = text.translate(None, _LINE_BREAK_BYTES)
        line_breaks: _LineBreaks | None = None
        end = len(text) if is_last else self._release_position(text, text_without_breaks)
        masked_parts: list[bytes] = []
        at = seen_length
        for span_start, span_end in self._spans(text_without_breaks):
            line_breaks = line_breaks or _LineBreaks(text)
            start, stop = line_breaks.span(span_start, span_end)
            if start >= end:
                break
            if stop > end:
                end = start
                break
            if stop > at:
                # Characters that two secrets share are masked already.
                is_masked = start < at and at > seen_length
                masked_parts.append(text[at:start] + (b"" if is_masked else _MASK))
                masked_parts.append(b"\n" * text.count(b"\n", max(at, start), stop))
                at = stop
        end = max(end, at)
        masked_parts.append(text[at:end])
        self._held = text[end:]
        # A line break may follow the first characters of a secret, which were passed on already.
        self._before = text[max(0, end - 2 * SHORTEST) : end]
        return b"".join(masked_parts)

    def _release_position(self, text: bytes, text_without_breaks: bytes) -> int:
        """Return the position before which no unfinished secret can begin."""
        size = min(self._reach, len(text_without_breaks))
        for length in range(size, 0, -1):
            kept_start = len(text_without_breaks) - length
            if text_without_breaks[kept_start : kept_start + 2] not in self._beginnings:
                continue
            tail_bytes = text_without_breaks[kept_start:]
            at = bisect_left(self._forms, tail_bytes)
            if at == len(self._forms) or not self._forms[at].startswith(tail_bytes):
                continue
            start = _position_back(text, length)
            if length >= SHORTEST or not text.endswith((b"\r", b"\n")):
                return max(start, len(self._before))
        return len(text)

    def _spans(self, text_without_breaks: bytes) -> list[tuple[int, int]]:
        """Return the positions of secrets in a text without line breaks, in order."""
        spans = {(at, at + len(form)) for at, form in self._matches(text_without_breaks)}
        return sorted(spans, key=lambda span: (span[0], -span[1]))

    def _matches(self, text_without_breaks: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the position and the form of each secret in a text without line breaks."""
        for code, size, step, words in self._searches:
            if not words:
                continue
            full_blocks = memoryview(text_without_breaks)[: len(text_without_breaks) // size * size]
            compared_words = full_blocks.cast(code)[:: step // size]
            for number in _known_positions(words, compared_words):
                for form, offset in words[compared_words[number]]:
                    at = number * step - offset
                    if at >= 0 and text_without_breaks.startswith(form, at):
                        yield at, form
        for form in self._tiny:
            at = text_without_breaks.find(form)
            while at >= 0:
                yield at, form
                at = text_without_breaks.find(form, at + 1)


def _known_positions(words: Mapping[int, object], compared_words: memoryview[int]) -> Iterator[int]:
    """Yield the positions of those words of a text that also occur in a secret, in order."""
    if words.keys().isdisjoint(compared_words):
        return
    for start in range(0, len(compared_words), _GROUP):
        group = compared_words[start : start + _GROUP]
        if not words.keys().isdisjoint(group):
            yield from (number for number, word in enumerate(group, start) if word in words)


class _LineBreaks:
    """The line breaks of a text, which convert positions without them to positions in the text."""

    __slots__ = ("_after", "_shift")

    def __init__(self, text: bytes) -> None:
        self._after: list[int] = []
        self._shift: list[int] = []
        total = 0
        for match in _LINE_BREAK.finditer(text):
            self._after.append(match.start() - total)
            total += match.end() - match.start()
            self._shift.append(total)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Convert a span in the text without line breaks to the span in the whole text."""
        return self._position(first), self._position(last - 1) + 1

    def _position(self, at: int) -> int:
        count = bisect_right(self._after, at)
        return at + (self._shift[count - 1] if count else 0)


def _forms(secret: bytes) -> Iterator[bytes]:
    """Yield a secret in each encoding in which it may appear, without line breaks."""
    lines = [line.strip() for line in secret.splitlines()]
    stripped_secret = secret.strip(b"\r\n")
    for text in {stripped_secret, *(line for line in lines if len(line) >= _LINE)}:
        if len(text) < SHORTEST:
            continue
        for form in {text, *_escaped_forms(text), text.hex().encode(), text.hex().upper().encode()}:
            yield form.translate(None, _LINE_BREAK_BYTES)
        for bytes_before in range(3):
            # The first and last characters may depend on neighbouring bytes.
            start, end = -(-bytes_before * 8 // 6), (bytes_before + len(text)) * 8 // 6
            form = b64encode(bytes(bytes_before) + text)[start:end]
            if len(form) >= SHORTEST:
                yield form
                yield form.translate(_URL_SAFE)


def _escaped_forms(text: bytes) -> Iterator[bytes]:
    """Yield a secret as it is escaped in URLs, JSON, HTML and XML."""
    for unescaped_characters in ("", "/", "/:@", "~!*'()"):
        quoted_text = quote_from_bytes(text, unescaped_characters)
        for variant in {quoted_text, quoted_text.replace("%20", "+")}:
            form = variant.encode()
            yield form
            yield _PERCENT.sub(lambda code: code[0].lower(), form)
    # Some programs escape every character.
    for escape_before in _ESCAPES:
        for digits in ("{:02x}", "{:02X}"):
            yield "".join(escape_before + digits.format(byte) for byte in text).encode()
    try:
        words = text.decode()
    except UnicodeDecodeError:
        return
    for ascii_only in (True, False):
        form = json.dumps(words, ensure_ascii=ascii_only)[1:-1].encode()
        yield form
        yield form.replace(b"/", b"\\/")
        # A document inside another document is escaped twice.
        yield json.dumps(form.decode(), ensure_ascii=ascii_only)[1:-1].encode()
    yield escape(words, quote=False).encode()
    yield escape(words).encode()
    yield escape(words).replace("&#x27;", "&#39;").encode()


def _step(forms: Iterable[bytes]) -> int:
    """Return the distance between the positions of a text at which words are compared."""
    shortest_length = min(map(len, forms), default=0)
    return next((step for step in _STEPS if shortest_length >= step + _LONG_WORD - 1), _LONG_WORD)


def _words_of_forms(
    forms: Iterable[bytes], code: _Code, size: int
) -> dict[int, list[tuple[bytes, int]]]:
    """Return all blocks of this size in the encoded secrets, with their positions."""
    words: dict[int, list[tuple[bytes, int]]] = {}
    for form in forms:
        for at in range(len(form) - size + 1):
            word = memoryview(form[at : at + size]).cast(code)[0]
            words.setdefault(word, []).append((form, at))
    return words


def _position_back(text: bytes, length: int) -> int:
    """Return the position of the last `length` characters that are not line breaks."""
    at = len(text)
    while length:
        at -= 1
        length -= text[at] not in _LINE_BREAK_BYTES
    return at
