"""Masking by value: known secrets are found in any text, in any encoding.

A vendor may echo a secret unchanged, percent-encoded once or twice, with escapes of JSON, XML or
HTML, in Base64 at any offset of a longer text, in hexadecimal digits, in other capitals, broken
over lines, or truncated. So the text is decoded in steps, as long as it changes. At each step the
secret is searched, together with its Base64 and hexadecimal forms.

The part of a secret that is masked depends on its length. Secrets of fewer than four characters are
not searched: masking them would destroy the text and protect nothing. A secret of four to seven
characters is masked as a separate word. Of a longer secret, the first or last eight characters are
enough for a match, unless they are only letters, like a word; and so are twelve or more from its
middle.

No function here raises, and the time is linear in the text: however many secrets there are, a text
is read once for all of them.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from bisect import bisect_left, bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from moorage.domain.secrets.sensitive import MASK, is_sensitive
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Container, Iterable, Iterator

Masker: TypeAlias = "Callable[[bytes], bytes]"
"""A function that masks secrets in a text; a closure, so that no `repr` shows the secrets."""

SHORTEST: Final = 4
"""The minimum length of secrets that are searched for."""

_SHORTEST_WORD: Final = 6
_COMMON_WORD: Final = late_pattern(r"[A-Z]?[a-z]{1,15}|[0-9.]{1,11}")
_EDGE: Final = 8
_MIDDLE: Final = 12
_BLOCKS: Final = 16
_CONTEXT_BYTES: Final = 64
_STEPS: Final = 4
_GRAM: Final = 4
_FEW_BLOCKS: Final = 16
_MASK: Final = MASK.encode()

_ESCAPE: Final = late_pattern(
    rb"\x00+|%[0-9a-f]{2}|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\u[0-9a-f]{4}"
    rb"|\\x[0-9a-f]{2}|\\[nrt]|\\[^\s\w]"
    rb"|&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});"
)
_SPACE: Final = late_pattern(rb"\s+")
_PEM_LINE: Final = late_pattern(rb"-----(?:BEGIN|END)[A-Z0-9 ]*-----")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_BASE64: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789+/=-_")
_ALPHANUMERIC: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")


def _unchanged_value(value: Any) -> Any:
    return value


class _EncodedSecret(NamedTuple):
    """A secret in one encoding and in lower case, for which a text is searched.

    `partly`: a long part of the encoding is enough for a match. `encoded`: it is Base64 or
    hexadecimal, so adjoining characters belong to it. `blocks`: the parts that are searched, each
    after its position in `text`: the whole text, or short parts if a part is enough.
    """

    text: bytes
    partly: bool
    encoded: bool
    blocks: tuple[tuple[int, bytes], ...]


class _Step(NamedTuple):
    """A step of decoding: the pattern to replace, and the bytes that replace it."""

    pattern: re.Pattern[bytes]
    replacement: bytes | Callable[[re.Match[bytes]], bytes]


class _DecodedText:
    """A text in lower case after some decoding steps, which is searched for secrets."""

    def __init__(
        self, text: bytes, before: _DecodedText | None = None, step: _Step | None = None
    ) -> None:
        self.text = text
        self._before = before
        self._step = step

    @property
    def is_joined(self) -> bool:
        """True if white space was removed, so that characters now adjacent may have been apart."""
        return self._step is _SPACE_STEP

    def after(self, step: _Step) -> _DecodedText:
        """Return the text after one more decoding step; the same object if nothing changed."""
        text = step.pattern.sub(step.replacement, self.text)
        return self if text == self.text else _DecodedText(text.lower(), self, step)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the part of the original text from which a part of this text was decoded."""
        if self._before is None:
            return start, end
        return self._before.original(self._source(start)[0], self._source(end - 1)[1])

    def _source(self, place: int) -> tuple[int, int]:
        """Return the part of the text before the last step from which a byte was decoded."""
        places, parts = self._changes
        number = bisect_right(places, place) - 1
        if number < 0:
            return place, place + 1
        size, start, end = parts[number]
        distance = place - places[number] - size
        return (start, end) if distance < 0 else (end + distance, end + distance + 1)

    @cached_property
    def _changes(self) -> tuple[list[int], list[tuple[int, int, int]]]:
        """The positions and sizes of the last step's replacements, and the parts they replaced.

        They are needed only if a secret was found, which is rare.
        """
        places: list[int] = []
        parts: list[tuple[int, int, int]] = []
        growth = 0
        if self._before is not None and self._step is not None:
            replacement = self._step.replacement
            for match in self._step.pattern.finditer(self._before.text):
                start, end = match.span()
                size = len(replacement if isinstance(replacement, bytes) else replacement(match))
                places.append(start + growth)
                parts.append((size, start, end))
                growth += size - (end - start)
        return places, parts


class _Neighbourhood:
    """The bytes before and after one block in all the secrets that contain it.

    A text contains the block at some place. The part of the text to mask reaches as far as any of
    the secrets goes on there, so it is found without comparing the text with each of them.
    """

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._parts = list[tuple[bytes, bytes]]()

    def add(self, before: bytes, after: bytes) -> None:
        """Add the bytes before and after the block in one more secret."""
        self._parts.append((before, after))

    def match(self, text: bytes, at: int) -> tuple[int, int] | None:
        """Return the part of a text, around the block at a position, that matches a secret.

        The result is None if the matching part is too short.
        """
        parts_after, parts_before = self._sorted_parts
        end = at + len(self._block)
        right = _longest_start(parts_after, text[end : end + self._reach])
        left = _longest_start(parts_before, text[max(0, at - self._reach) : at][::-1])
        is_long = max(left, right) >= _MIDDLE - _EDGE
        if is_long or any(
            (text[at - before : at], text[end : end + after]) in self._distinctive_parts
            for before in range(left + 1)
            for after in range(right + 1)
        ):
            return at - left, end + right
        return None

    @cached_property
    def _reach(self) -> int:
        return max(max(len(before), len(after)) for before, after in self._parts)

    @cached_property
    def _sorted_parts(self) -> tuple[list[bytes], list[bytes]]:
        """The bytes after the block, and the bytes before it, reversed; each list is sorted."""
        return (
            sorted({after for _, after in self._parts}),
            sorted({before[::-1] for before, _ in self._parts}),
        )

    @cached_property
    def _distinctive_parts(self) -> frozenset[tuple[bytes, bytes]]:
        """The few bytes before and after the block that suffice for a match."""
        return frozenset(
            pair
            for before, after in self._parts
            for pair in _distinctive_parts(before, self._block, after)
        )


class _EncodedSecrets:
    """Secrets in one encoding; a text that contains none of their blocks contains no secret.

    Of a block of seven bytes or more, four bytes in a row begin at a multiple of four in the text.
    They are looked up as one number, so a text is read once, and not once per block.
    """

    def __init__(self, encoded_secrets: Iterable[_EncodedSecret], *, encoded: bool) -> None:
        self._encoded_forms = tuple(encoded_secrets)
        self._encoded = encoded
        sizes = {
            block: len(block) >= 2 * _GRAM - 1
            for encoded_secret in self._encoded_forms
            for _, block in encoded_secret.blocks
        }
        self._short_blocks = tuple(block for block, is_long in sizes.items() if not is_long)
        self._long_blocks = tuple(block for block, is_long in sizes.items() if is_long)
        self._grams = frozenset(
            _number(block, place)
            for block in self._long_blocks
            for place in range(len(block) - _GRAM + 1)
        )
        self._short_grams = frozenset(_number(block) for block in self._short_blocks)

    def may_be_in(self, text: bytes) -> bool:
        """Return whether a text may contain a secret.

        False means that the text certainly contains none.
        """
        if not self._grams.isdisjoint(_numbers(text)):
            return True
        if len(self._short_blocks) <= _FEW_BLOCKS:
            return any(block in text for block in self._short_blocks)
        return any(
            not self._short_grams.isdisjoint(_numbers(text, shift)) for shift in range(_GRAM)
        )

    def positions_in(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Yield the positions in a text of secrets, or of long enough parts of them."""
        for start, size in self._places_in(text):
            block = text[start : start + size]
            if block in self._neighbourhoods:
                position = self._neighbourhoods[block].match(text, start)
                if position is not None:
                    yield position
            if block in self._whole_spellings and (
                (self._encoded and size >= _EDGE) or _is_word(text, start, start + size)
            ):
                yield start, start + size

    def _places_in(self, text: bytes) -> set[tuple[int, int]]:
        """Return the positions in a text where a block may begin, with the size of the block."""
        candidates = self._block_places
        return {
            (_GRAM * position + shift - place, size)
            for shift in range(_GRAM if self._short_blocks else 1)
            for position, number in enumerate(_numbers(text, shift))
            if number in candidates
            for place, size in candidates[number]
            if _GRAM * position + shift >= place
        }

    @cached_property
    def _block_places(self) -> dict[int, set[tuple[int, int]]]:
        """The places in blocks of each four bytes (as a number), and the sizes of these blocks."""
        places: dict[int, set[tuple[int, int]]] = {}
        for block in self._long_blocks:
            for place in range(len(block) - _GRAM + 1):
                places.setdefault(_number(block, place), set()).add((place, len(block)))
        for block in self._short_blocks:
            places.setdefault(_number(block), set()).add((0, len(block)))
        return places

    @cached_property
    def _neighbourhoods(self) -> dict[bytes, _Neighbourhood]:
        """The neighbourhood of each block of those secrets that are found even in part."""
        neighbourhoods: dict[bytes, _Neighbourhood] = {}
        for text, is_partial, _, blocks in self._encoded_forms:
            for offset, block in blocks if is_partial else ():
                neighbourhood = neighbourhoods.setdefault(block, _Neighbourhood(block))
                neighbourhood.add(text[:offset], text[offset + len(block) :])
        return neighbourhoods

    @cached_property
    def _whole_spellings(self) -> frozenset[bytes]:
        """The encoded secrets that are found only as a whole."""
        return frozenset(
            encoded_secret.text
            for encoded_secret in self._encoded_forms
            if not encoded_secret.partly
        )


def value_mask(secrets: Iterable[bytes], words: Iterable[bytes] = ()) -> Masker:
    """Return a function that masks these secrets in a text.

    Args:
        secrets: masked in every encoding, and also if only a long part of a secret appears.
        words: masked where they appear as separate words, with every escaping.
    """
    certain_parts = {part for secret in secrets for part in _parts(secret)}
    encoded_secrets = [
        encoded_secret for secret in certain_parts for encoded_secret in _encoded_forms(secret)
    ]
    encoded_secrets += [
        _encoded_form(word.lower(), is_partial=False, encoded=False)
        for word in {*words} - certain_parts
        if len(word) >= SHORTEST
    ]
    distinct_secrets = tuple(dict.fromkeys(encoded_secrets))
    plain_form, encoded = (
        _EncodedSecrets((n for n in distinct_secrets if n.encoded is kind), encoded=kind)
        for kind in (False, True)
    )

    def mask(text: bytes) -> bytes:
        spans: list[tuple[int, int]] = []
        for view in _views(text) if distinct_secrets else ():
            if plain_form.may_be_in(view.text):
                spans += [view.original(*span) for span in plain_form.positions_in(view.text)]
            base64 = view.text.translate(_URL_SAFE)
            if encoded.may_be_in(base64):
                spans += _spans_of_encoded(view, base64, encoded)
        return _mask_spans(text, spans) if spans else text

    return mask


def masked_text(text: str, mask: Masker) -> str:
    """Return a text in which a mask function has masked the secrets."""
    encoded = text.encode("utf-8", "surrogatepass")
    masked_bytes = mask(encoded)
    return text if masked_bytes == encoded else masked_bytes.decode("utf-8", "ignore")


def is_distinctive(value: str) -> bool:
    """Return whether a value is so distinctive that texts never contain it by chance."""
    return (
        len(value) >= _SHORTEST_WORD
        and "://" not in value
        and MASK not in value
        and _COMMON_WORD.fullmatch(value) is None
    )


_SEQUENCES: Final[frozenset[Callable[..., Any]]] = frozenset({list, tuple, set, frozenset})


def masked_value(value: Any, mask: Masker, other: Callable[[Any], Any] = _unchanged_value) -> Any:
    """Return a value with all its texts masked; `other` converts values of other types."""
    if isinstance(value, str):
        return masked_text(value, mask)
    if isinstance(value, bytes):
        return mask(value)
    kind = cast("Callable[..., Any]", type(value))
    if hasattr(kind, "_fields") and isinstance(value, tuple):
        fields = cast("tuple[object, ...]", value)
        return kind(*[masked_value(item, mask, other) for item in fields])
    if kind in _SEQUENCES:
        return kind(masked_value(item, mask, other) for item in cast("Iterable[object]", value))
    if kind is dict:
        return {
            masked_value(key, mask, other): masked_value(item, mask, other)
            for key, item in cast("dict[Any, Any]", value).items()
        }
    return other(value)


def mask_error(
    error: BaseException,
    mask: Masker,
    other: Callable[[Any], Any] = _unchanged_value,
    *,
    except_for: Container[str] = (),
) -> None:
    """Mask an error's message and fields, except the fields in `except_for`."""
    error.args = masked_value(error.args, mask, other)
    fields = vars(error)
    fields.update({n: masked_value(fields[n], mask, other) for n in fields if n not in except_for})


def _parts(secret: bytes) -> Iterator[bytes]:
    """Yield the parts of a secret that are secrets themselves, such as the values in JSON.

    The header and footer lines of a key file and the names in a JSON document are left out.
    """
    if secret.lstrip().startswith(b"{"):
        yield from _values(secret)
    elif _PEM_LINE.search(secret):
        yield b"".join(_PEM_LINE.sub(b"", secret).split())
    else:
        yield secret.strip()


def _values(document: bytes) -> Iterator[bytes]:
    try:
        parsed: object = json.loads(document)
    except (ValueError, RecursionError):
        yield document
        return
    pending_items = [parsed]
    while pending_items:
        item = pending_items.pop()
        if isinstance(item, dict):
            for name, value in cast("dict[str, object]", item).items():
                if isinstance(value, str) and is_sensitive(name):
                    yield from _parts(value.encode("utf-8", "replace"))
                else:
                    pending_items.append(value)
        elif isinstance(item, list):
            pending_items += cast("list[object]", item)


def _encoded_forms(secret: bytes) -> Iterator[_EncodedSecret]:
    """Yield the encoded forms of a secret for which a text is searched."""
    size = len(secret)
    if size < SHORTEST:
        return
    plain_form = secret.lower()
    for text in {plain_form, plain_form.replace(b" ", b"+"), b"".join(plain_form.split())}:
        yield _encoded_form(text, is_partial=len(text) >= _EDGE, encoded=False)
    encoded = {secret.hex().encode(), b64encode(secret).rstrip(b"=").lower()}
    for before in range(3):
        # The first and last base64 characters may depend on neighbouring bytes, so they are cut.
        start, end = -(-before * 8 // 6), (before + size) * 8 // 6
        encoded.add(b64encode(bytes(before) + secret)[start:end].lower())
    for text in encoded:
        yield _encoded_form(text, is_partial=len(text) >= 2 * _EDGE, encoded=True)


def _encoded_form(text: bytes, *, is_partial: bool, encoded: bool) -> _EncodedSecret:
    offsets = [0]
    size = len(text)
    if is_partial:
        step = max(_EDGE, size // _BLOCKS)
        offsets = sorted({*range(0, size - _EDGE + 1, step), size - _EDGE})
    length = _EDGE if is_partial else size
    offset_blocks = tuple((offset, text[offset : offset + length]) for offset in offsets)
    return _EncodedSecret(text, is_partial, encoded, offset_blocks)


def _spans_of_encoded(
    view: _DecodedText, text: bytes, encoded_secrets: _EncodedSecrets
) -> Iterator[tuple[int, int]]:
    """Yield the positions, in the original text, of encoded secrets found in its decoded form."""
    for start, end in encoded_secrets.positions_in(text):
        span = (start, end) if view.is_joined else _widened_span(text, start, end)
        yield view.original(*span)


def _mask_spans(text: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """Return a text with each of these parts masked."""
    shown_parts: list[bytes] = []
    masked_to = 0
    for start, end in sorted(spans):
        if start >= masked_to:
            shown_parts += [text[masked_to:start], _MASK]
        masked_to = max(masked_to, end)
    return b"".join([*shown_parts, text[masked_to:]])


def _views(text: bytes) -> Iterator[_DecodedText]:
    """Yield the text, each of its decoded forms, and the text without white space."""
    view = _DecodedText(text.lower())
    yield view
    for _ in range(_STEPS):
        decoded = view.after(_ESCAPE_STEP)
        if decoded is view:
            break
        view = decoded
        yield view
    unspaced = view.after(_SPACE_STEP)
    if unspaced is not view:
        yield unspaced


def _character(match: re.Match[bytes]) -> bytes:
    """Return the character that an escape sequence stands for."""
    escape = match[0]
    match escape[:2]:
        case b"\\u":
            units = bytes.fromhex(escape.decode().replace("\\u", ""))
            return units.decode("utf-16-be", "replace").encode()
        case b"\\x":
            return bytes.fromhex(escape[2:].decode())
        case b"\\n" | b"\\r" | b"\\t":
            return b"\n"
        case _ if escape.startswith(b"%"):
            return bytes.fromhex(escape[1:].decode())
        case _ if escape.startswith(b"\\"):
            return escape[1:]
        case _ if escape.startswith(b"&"):
            from html import unescape  # noqa: PLC0415 - its table takes long to load

            return unescape(escape.decode()).encode("utf-8", "replace")
        case _:
            return b""


_ESCAPE_STEP: Final = _Step(_ESCAPE, _character)
_SPACE_STEP: Final = _Step(_SPACE, b"")


def _number(block: bytes, place: int = 0) -> int:
    """Return the four bytes at a position in a block as one number."""
    return int.from_bytes(block[place : place + _GRAM], sys.byteorder)


def _numbers(text: bytes, shift: int = 0) -> memoryview[int]:
    """Convert a text, beginning at byte `shift`, to integers of four bytes each."""
    size = (len(text) - shift) // _GRAM * _GRAM
    return memoryview(text)[shift : shift + max(0, size)].cast("I")


def _distinctive_parts(before: bytes, block: bytes, after: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the bytes around a secret's block that are enough to confirm a match.

    Together with the block they are twelve bytes of the secret, the whole secret, or its first or
    last bytes that are not only letters. Four bytes on one side are always enough, and are left
    out.
    """
    few = _MIDDLE - _EDGE - 1
    for size in range(1, few + 1):
        if size <= len(before) and few + 1 - size <= len(after):
            yield before[-size:], after[: few + 1 - size]
    if len(before) <= few:
        for size in range(min(few, len(after)) + 1):
            if size == len(after) or not (before + block + after[:size]).isalpha():
                yield before, after[:size]
    if len(after) <= few:
        for size in range(min(few, len(before)) + 1):
            if not (before[len(before) - size :] + block + after).isalpha():
                yield before[len(before) - size :], after


def _longest_start(sorted_texts: list[bytes], text: bytes) -> int:
    """Return the length of the longest beginning that a text shares with any of these texts."""
    place = bisect_left(sorted_texts, text)
    return max(_shared_start(other, text) for other in sorted_texts[max(0, place - 1) : place + 1])


def _shared_start(first: bytes, second: bytes) -> int:
    """Return the length of the beginning that two byte strings share."""
    equal_length, unequal_length = 0, min(len(first), len(second)) + 1
    while unequal_length - equal_length > 1:
        middle_length = (equal_length + unequal_length) // 2
        if first[equal_length:middle_length] == second[equal_length:middle_length]:
            equal_length = middle_length
        else:
            unequal_length = middle_length
    return equal_length


def _is_word(text: bytes, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before and before[0] in _ALPHANUMERIC) and not (after and after[0] in _ALPHANUMERIC)


def _widened_span(text: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the position of the whole Base64 text that contains a secret."""
    first, last = max(0, start - _CONTEXT_BYTES), min(len(text), end + _CONTEXT_BYTES)
    while start > first and text[start - 1] in _BASE64:
        start -= 1
    while end < last and text[end] in _BASE64:
        end += 1
    return start, end
