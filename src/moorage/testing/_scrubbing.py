"""What may be written down of a real exchange.

Three things are masked. What stands where credentials stand, by the rules of `Redaction`. Every
secret that is known, wherever it stands and however it is spelt. And every value that stood where
credentials stand, wherever else it turns up, because vendors echo what they are sent.
"""

from __future__ import annotations

import json
import re
import sys
from base64 import b64decode, b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final, TypeVar, cast
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit
from xml.sax.saxutils import escape

from moorage.domain.headers import Headers
from moorage.domain.media_type import essence, is_json
from moorage.domain.oauth.dpop import challenge, refusal_of
from moorage.domain.sensitive import MASK, is_sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.domain.redaction import Redaction
    from moorage.domain.secret import Secret

Text = TypeVar("Text", str, bytes)

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_USER_INFO: Final = re.compile(r"((?<=://)|(?<=:\\/\\/))[^/?#\s\"'<>\\]*@")
_ELEMENT: Final = re.compile(r"<([\w.:\-]{1,80})(?:\s[^<>]{0,1000})?>([^<]{6,4000})<")
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[^"\s,:{}\[\]]+')
_PART_NAME: Final = re.compile(rb'name="([^"]*)"', re.IGNORECASE)
_PART_TYPE: Final = re.compile(rb"content-type:[ \t]*([^\r\n]+)", re.IGNORECASE)
_BOUNDARY: Final = re.compile(r'boundary="?([^";,]+)', re.IGNORECASE)
_TELLS_NOTHING: Final = re.compile(r"[A-Z]?[a-z]{1,15}|[0-9.]+")
_SHORTEST: Final = 6
_ALSO: Final = {"/": {"\\/"}, " ": {"+"}, '"': {"&quot;"}, "'": {"&apos;"}}


class Scrubber:
    """Masks what must not be written down.

    Args:
        redaction: the rules of names, and of what is personal.
    """

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._known: set[bytes] = set()
        self._learned: set[str] = set()
        self._found: tuple[re.Pattern[str], re.Pattern[bytes]] | None = None

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Mask these, wherever they stand."""
        self._known.update(secret.reveal_bytes() for secret in secrets if secret)
        self._found = None

    def learn(self, url: str, headers: Headers, body: bytes) -> None:
        """Notice what stands where credentials stand, so that it is masked elsewhere too."""
        text = body.decode("utf-8", "replace")
        found = [*self._in_url(url), *self._in_headers(headers)]
        kind = headers.get("content-type", "")
        if essence(kind) == _FORM:
            found += self._in_pairs(text)
        elif essence(kind).startswith("multipart/"):
            found += self._in_parts(body, kind)
        else:
            found += self._in_json(body)
        found += [value for name, value in _ELEMENT.findall(text) if self._hides(name)]
        learned = {value for value in map(str.strip, found) if _is_telling(value)}
        if learned - self._learned:
            self._learned |= learned
            self._found = None

    def url(self, url: str) -> str:
        """A URL as it may be written down."""
        return self._redaction.query(self.plain(url))

    def headers(self, headers: Headers) -> Headers:
        """Headers as they may be written down."""
        plain = [(name, _no_user(self.plain(value))) for name, value in headers.pairs]
        shown = self._redaction.headers(Headers(plain))
        refusal = refusal_of(headers)
        # Whoever replays it decides by this, and it tells nothing.
        return shown if refusal is None else shown.with_header(*challenge(refusal))

    def text(self, text: str, content_type: str | None) -> str:
        """Text as it may be written down."""
        plain = _no_user(self.plain(text))
        if essence(content_type) == _FORM:
            return self._redaction.body(plain.encode(), _FORM, sys.maxsize)
        if not is_json(content_type):
            return self._redaction.text(plain)
        redacted = self._redaction.body(plain.encode(), _JSON, sys.maxsize)
        # A number that was masked is none any more.
        return _JSON_TOKEN.sub(lambda found: _quoted(found[0]), redacted)

    def parts(self, body: bytes, content_type: str, *, boundary: bytes | None = None) -> bytes:
        """A body of several parts as it may be written down, with another boundary if given."""
        own = _edge(content_type)
        edge = own if boundary is None else b"--" + boundary
        return edge.join(self._part(part) for part in body.split(own))

    def binary(self, body: bytes) -> bytes:
        """Bytes that are no text, without the secrets that are known."""
        return self._patterns()[1].sub(MASK.encode(), body)

    def plain(self, text: str) -> str:
        """Text without the secrets that are known, whatever else it holds."""
        return self._patterns()[0].sub(MASK, text)

    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[bytes]]:
        if self._found is None:
            self._found = _patterns_of(self._known, self._learned)
        return self._found

    def _part(self, part: bytes) -> bytes:
        head, gap, content = part.partition(b"\r\n\r\n")
        end = b"\r\n" if content.endswith(b"\r\n") else b""
        content = content.removesuffix(end)
        if self._hides(_name_of(head)):
            content = MASK.encode()
        else:
            try:
                text = content.decode()
            except UnicodeDecodeError:
                content = self.binary(content)
            else:
                kind = _PART_TYPE.search(head)
                content = self.text(text, kind and kind[1].decode("latin-1")).encode()
        return self.binary(head) + gap + content + end

    def _hides(self, name: str) -> bool:
        rules = self._redaction
        names = rules.body_keys | rules.query_names | rules.header_names
        return is_sensitive(name) or name.lower() in names

    def _in_url(self, url: str) -> Iterator[str]:
        found = urlsplit(url)
        yield from found.netloc.rpartition("@")[0].split(":")
        yield from self._in_pairs(found.query)

    def _in_pairs(self, text: str) -> Iterator[str]:
        for name, value in parse_qsl(text):
            if self._hides(name):
                yield value

    def _in_headers(self, headers: Headers) -> Iterator[str]:
        for name, value in headers.pairs:
            if self._hides(name):
                yield value
                for pair in value.split(";"):
                    yield pair.partition("=")[2]
                scheme, _, rest = value.partition(" ")
                yield rest
                if scheme.lower() == "basic":
                    yield from _user_and_password(rest)

    def _in_parts(self, body: bytes, content_type: str) -> Iterator[str]:
        for part in body.split(_edge(content_type)):
            head, _, content = part.partition(b"\r\n\r\n")
            if self._hides(_name_of(head)):
                yield content.decode("utf-8", "replace")
            yield from self._in_json(content)

    def _in_json(self, body: bytes) -> Iterator[str]:
        try:
            value: object = json.loads(body)
        except (ValueError, RecursionError):
            return
        yield from self._in_value(value, hidden=False)

    def _in_value(self, value: object, *, hidden: bool) -> Iterator[str]:
        if isinstance(value, dict):
            for name, item in cast("dict[str, object]", value).items():
                yield from self._in_value(item, hidden=hidden or self._hides(name))
        elif isinstance(value, list):
            for item in cast("list[object]", value):
                yield from self._in_value(item, hidden=hidden)
        elif hidden and isinstance(value, str):
            yield value


def _edge(content_type: str) -> bytes:
    """What stands between the parts of a body."""
    found = _BOUNDARY.search(content_type)
    return b"--" + (found[1].strip().encode() if found else b"")


def _name_of(head: bytes) -> str:
    found = _PART_NAME.search(head)
    return found[1].decode("utf-8", "replace") if found else ""


def _no_user(text: str) -> str:
    return _USER_INFO.sub(f"{MASK}@", text)


def _is_telling(value: str) -> bool:
    """Whether a value is so much itself that it is the same thing wherever it turns up."""
    return (
        len(value) >= _SHORTEST
        and "://" not in value
        and MASK not in value
        and _TELLS_NOTHING.fullmatch(value) is None
    )


def _user_and_password(encoded: str) -> Iterator[str]:
    try:
        both = b64decode(encoded, validate=True).decode()
    except ValueError:
        return
    yield both
    yield from both.split(":", 1)


def _quoted(token: str) -> str:
    return f'"{token}"' if MASK in token and token[0] != '"' else token


def _patterns_of(
    known: Iterable[bytes], learned: Iterable[str]
) -> tuple[re.Pattern[str], re.Pattern[bytes]]:
    """Find secrets in any spelling, and what was learned in the usual ones and as whole words."""
    certain: dict[str, str] = {}
    needles: set[bytes] = set()
    for secret in known:
        text = secret.decode("utf-8", "replace")
        encoded = b64encode(secret).decode(), urlsafe_b64encode(secret).decode(), secret.hex()
        certain[text] = "".join(map(_letter, text))
        certain |= {each.rstrip("="): re.escape(each.rstrip("=")) for each in encoded}
        needles.add(secret)
    words = {each for value in learned for each in _spellings(value)} - certain.keys()
    patterns = {each: rf"(?<![A-Za-z0-9]){re.escape(each)}(?![A-Za-z0-9])" for each in words}
    patterns |= certain
    needles |= {
        spelling.encode(charset)
        for text in patterns
        for spelling in _spellings(text)
        for charset in ("utf-8", "utf-16-le", "utf-16-be")
    }
    return (
        re.compile("|".join(patterns[each] for each in _longest_first(patterns)) or "(?!)"),
        re.compile(b"|".join(map(re.escape, _longest_first(needles))) or b"(?!)"),
    )


def _letter(letter: str) -> str:
    """A letter in any spelling: as it is, and as JSON, URLs and XML write it."""
    wide = letter.encode("utf-16-be").hex()
    units = [wide[at : at + 4] for at in range(0, len(wide), 4)]
    spellings = {letter, json.dumps(letter)[1:-1], escape(letter), f"&#{ord(letter)};"}
    for cased in (str.lower, str.upper):
        spellings.add("".join(f"\\u{cased(unit)}" for unit in units))
        spellings.add("".join(f"%{cased(f'{byte:02x}')}" for byte in letter.encode()))
    spellings |= _ALSO.get(letter, set())
    return f"(?:{'|'.join(map(re.escape, _longest_first(spellings)))})"


def _spellings(text: str) -> set[str]:
    """How a text is usually written: as it is, in JSON, in URLs and forms, and in XML."""
    quoted = {quote(text, safe=""), quote(text), quote_plus(text)}
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    slashed = {each.replace("/", "\\/") for each in escaped}
    return {text, escape(text), *quoted, *escaped, *slashed}


def _longest_first(texts: Iterable[Text]) -> list[Text]:
    return sorted(texts, key=len, reverse=True)
