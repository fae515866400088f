"""Masking by value: known secrets are found in any text, in whatever encoding.

A vendor may echo a secret unchanged, percent-encoded once or twice, with escapes of JSON, XML or
HTML, in Base64 at any offset of a longer text, in hexadecimal digits, in other capitals, broken
over lines, or truncated. So the text is decoded in steps, as long as it changes. At each step the
secret is searched, together with its Base64 and hexadecimal forms.

The part of a secret that is masked depends on its length. Secrets of fewer than four characters are
not searched: masking them would destroy the text and protect nothing. A secret of four to seven
characters is masked as a separate word. Of a longer one the first or the last eight characters are
enough, unless they are letters only, as a word is; and twelve or more from its middle.

No function here raises, and the time is linear in the text.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from moorage.domain.secrets.sensitive import MASK, is_sensitive
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

Masker: TypeAlias = "Callable[[bytes], bytes]"
"""A function that masks secrets in a text; a closure, so that no `repr` shows the secrets."""

SHORTEST: Final = 4
"""The minimum length of secrets that are searched for."""

_SHORTEST_WORD: Final = 6
_TELLS_NOTHING: Final = late_pattern(r"[A-Z]?[a-z]{1,15}|[0-9.]{1,11}")
_EDGE: Final = 8
_MIDDLE: Final = 12
_BLOCKS: Final = 16
_CONTEXT_BYTES: Final = 64
_STEPS: Final = 4
_MASK: Final = MASK.encode()

_ESCAPE: Final = late_pattern(
    rb"\x00+|%[0-9a-f]{2}|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\u[0-9a-f]{4}"
    rb"|\\x[0-9a-f]{2}|\\[nrt]|\\[^\s\w]"
    rb"|&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});"
)
_SPACE: Final = late_pattern(rb"\s+")
_ARMOUR: Final = late_pattern(rb"-----(?:BEGIN|END)[A-Z0-9 ]*-----")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_BASE64: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789+/=-_")
_ALPHANUMERIC: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")


def _unchanged_value(value: Any) -> Any:
    return value


class _Needle(NamedTuple):
    """A secret in one encoding and in lower case, for which a text is searched.

    `partly`: a long part of the encoding is enough. `encoded`: it is Base64 or hexadecimal, so
    adjoining characters belong to it.
    """

    text: bytes
    partly: bool
    encoded: bool


class _View(NamedTuple):
    """A text in lower case after some decoding steps, which is searched for secrets.

    `starts[n]` and `ends[n]` are the positions of the text's n-th byte in the original. `joined`:
    white space was removed, so neighbouring characters need not belong together.
    """

    text: bytes
    starts: Sequence[int]
    ends: Sequence[int]
    joined: bool = False


def value_mask(secrets: Iterable[bytes], words: Iterable[bytes] = ()) -> Masker:
    """Return a function that masks these secrets in a text.

    Args:
        secrets: masked in every encoding, and also if only a long part of a secret appears.
        words: masked where they appear as separate words, with every escaping.
    """
    certain_parts = {part for secret in secrets for part in _parts(secret)}
    needles = [needle for secret in certain_parts for needle in _needles(secret)]
    needles += [
        _Needle(word.lower(), partly=False, encoded=False)
        for word in {*words} - certain_parts
        if len(word) >= SHORTEST
    ]
    distinct = tuple(dict.fromkeys(needles))

    def mask(text: bytes) -> bytes:
        return _masked(text, distinct) if distinct else text

    return mask


def masked_text(text: str, mask: Masker) -> str:
    """Return a text in which a mask function has masked the secrets."""
    encoded = text.encode("utf-8", "surrogatepass")
    masked_bytes = mask(encoded)
    return text if masked_bytes == encoded else masked_bytes.decode("utf-8", "ignore")


def is_telling(value: str) -> bool:
    """Return whether a value is so distinctive that it never occurs in a text by chance."""
    return (
        len(value) >= _SHORTEST_WORD
        and "://" not in value
        and MASK not in value
        and _TELLS_NOTHING.fullmatch(value) is None
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

    The armour of a key file and the names in a JSON document are left out.
    """
    if secret.lstrip().startswith(b"{"):
        yield from _values(secret)
    elif _ARMOUR.search(secret):
        yield b"".join(_ARMOUR.sub(b"", secret).split())
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


def _needles(secret: bytes) -> Iterator[_Needle]:
    """Yield the encodings of a secret for which a text is searched."""
    size = len(secret)
    if size < SHORTEST:
        return
    plain = secret.lower()
    for text in {plain, plain.replace(b" ", b"+"), b"".join(plain.split())}:
        yield _Needle(text, partly=len(text) >= _EDGE, encoded=False)
    encoded = {secret.hex().encode(), b64encode(secret).rstrip(b"=").lower()}
    for before in range(3):
        # The first and last base64 characters may depend on neighbouring bytes, so they are cut.
        start, end = -(-before * 8 // 6), (before + size) * 8 // 6
        encoded.add(b64encode(bytes(before) + secret)[start:end].lower())
    for text in encoded:
        yield _Needle(text, partly=len(text) >= 2 * _EDGE, encoded=True)


def _masked(text: bytes, needles: Iterable[_Needle]) -> bytes:
    spans: list[tuple[int, int]] = []
    for view in _views(text):
        base64 = view.text.translate(_URL_SAFE)
        for needle in needles:
            read = base64 if needle.encoded else view.text
            for start, end in _hits(read, needle):
                widens = needle.encoded and not view.joined
                first, last = _widened_span(read, start, end) if widens else (start, end)
                spans.append((view.starts[first], view.ends[last - 1]))
    if not spans:
        return text
    shown_parts: list[bytes] = []
    masked_to = 0
    for start, end in sorted(spans):
        if start >= masked_to:
            shown_parts += [text[masked_to:start], _MASK]
        masked_to = max(masked_to, end)
    return b"".join([*shown_parts, text[masked_to:]])


def _views(text: bytes) -> Iterator[_View]:
    """Yield the text, each of its decoded forms, and the text without white space."""
    view = _View(text.lower(), range(len(text)), range(1, len(text) + 1))
    yield view
    for _ in range(_STEPS):
        decoded = _rewritten(view, _ESCAPE, _character)
        if decoded is None:
            break
        view = decoded
        yield view
    unspaced = _rewritten(view, _SPACE, lambda _: b"")
    if unspaced is not None:
        yield unspaced._replace(joined=True)


def _rewritten(
    view: _View, pattern: re.Pattern[bytes], replace: Callable[[bytes], bytes]
) -> _View | None:
    """Return the text with each match of a pattern replaced; None if there is no match."""
    text = bytearray()
    starts: list[int] = []
    ends: list[int] = []
    rewritten_to = 0
    for match in pattern.finditer(view.text):
        start, end = match.span()
        new = replace(match[0])
        text += view.text[rewritten_to:start] + new
        starts.extend(view.starts[rewritten_to:start])
        starts.extend([view.starts[start]] * len(new))
        ends.extend(view.ends[rewritten_to:start])
        ends.extend([view.ends[end - 1]] * len(new))
        rewritten_to = end
    if not rewritten_to:
        return None
    text += view.text[rewritten_to:]
    starts.extend(view.starts[rewritten_to:])
    ends.extend(view.ends[rewritten_to:])
    return _View(bytes(text).lower(), starts, ends)


def _character(escape: bytes) -> bytes:
    """Return the character that an escape sequence stands for."""
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


def _hits(text: bytes, needle: _Needle) -> Iterator[tuple[int, int]]:
    """Yield the positions in a text of a secret, or of a long enough part of it."""
    spelling = needle.text
    if not needle.partly:
        start = text.find(spelling)
        while start >= 0:
            end = start + len(spelling)
            if (needle.encoded and len(spelling) >= _EDGE) or _is_word(text, start, end):
                yield start, end
            start = text.find(spelling, end)
        return
    size = len(spelling)
    step = max(_EDGE, size // _BLOCKS)
    # Several blocks of one match are found in turn, from the first: it is measured once.
    measured: dict[int, int] = {}
    for offset in sorted({*range(0, size - _EDGE + 1, step), size - _EDGE}):
        block = spelling[offset : offset + _EDGE]
        at = text.find(block)
        while at >= 0:
            shift = at - offset
            if at < measured.get(shift, 0):
                at = text.find(block, measured[shift])
                continue
            first, last = offset, offset + _EDGE
            while first and at and text[at - 1] == spelling[first - 1]:
                first, at = first - 1, at - 1
            end = at + last - first
            while last < size and end < len(text) and text[end] == spelling[last]:
                last, end = last + 1, end + 1
            measured[shift] = end
            edge = not first or last == size
            whole_or_long = last - first >= min(_MIDDLE, size)
            if whole_or_long or (edge and not spelling[first:last].isalpha()):
                yield at, end
            at = text.find(block, end)


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
