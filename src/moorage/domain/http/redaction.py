"""Redaction: secrets in requests and responses are masked before they are shown or stored.

A value is masked for its name, such as `client_secret`, or for its content, such as a card number.
Names are found in headers, queries, forms, JSON, XML and plain text. No function here raises or
takes more than linear time. JSON is read token by token, so it may be truncated, deeply nested or
invalid. Content that is not text is not shown.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from moorage.domain.http.headers import Headers
from moorage.domain.http.media_type import decode_body, essence, is_json
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.personal import Personal, mask, mask_personal
from moorage.domain.secrets.secret import Secret, as_secrets
from moorage.domain.secrets.sensitive import MASK, is_sensitive
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Personal", "Redaction", "mask"]

_MARGIN = 512
_LONGEST_CHARACTER = 8
"""The maximum number of bytes of a character; UTF-7 takes the most."""
"""Longer than anything that must be seen whole to be recognised."""

_MIN_LENGTH = len("a:b")

_KEY = late_pattern(
    r"(?<![A-Za-z0-9])(?:[srp]k_(?:live|test)_|rk_|whsec_|gh[oprsu]_|xox[abeoprs]-|SG\.|A[KS]IA)"
    r"[\w\-]{8,}(?:\.[\w\-]+)*",
    re.ASCII,
)
"""The keys of vendors that are recognisable by their prefix."""

_LINE_BREAKS = late_pattern(r"[\t-\r\x85\u2028\u2029]+")
_CONTROLS = late_pattern(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that move a terminal's cursor, or show a text in another order than it is read."""

_LONG_TOKEN = late_pattern(r"(?<![A-Za-z0-9+/_])[A-Za-z0-9+/_]{32,}={0,2}")
_PIECES = late_pattern(r"[A-Za-z0-9]{16,}")

_LABELS = frozenset({"name", "key"})
"""Keys whose value may be the name of the `value` beside them."""

_FORM = "application/x-www-form-urlencoded"
_TEXT_TYPES = late_pattern(r"|text/.*|application/(?:.*[+\-])?(?:json|xml|javascript|graphql)")
_USER_INFO = late_pattern(r"(?<=://)[^/?#]*@")
_TOKEN = late_pattern(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]:,]|[^"{}\[\]:,]+', re.DOTALL)
_JSON_START = late_pattern(r'"?\{')
_NAMED_VALUES = (
    (
        late_pattern(r"<(?:[\w.\-]{1,64}:)?([\w.\-]{1,64})(?:\s[^<>]{0,1024})?>"),
        late_pattern(r"<!\[CDATA\[(?:[^\]]|\](?!\]>))*+(?:\]\]>)?|[^<]+"),
    ),
    (
        late_pattern(r"""(?<![\w.\-\[\]%])([\w.\-\[\]%]{1,64})["']?\s{0,4}[=:]\s{0,4}"""),
        late_pattern(
            r"""(?:(?:basic|bearer|digest|token) {1,4})?"""
            r"""(?:"[^"]*+"?|'[^']*+'?|[^\s&;,"'<>]+)""",
            re.IGNORECASE,
        ),
    ),
)
"""Notations of a name with its value: XML elements, and pairs of many kinds."""


def is_text(content_type: str | None) -> bool:
    """Return whether a body of this type is text; `Redaction.body` shows only text."""
    kind = essence(content_type)
    return kind == _FORM or is_json(content_type) or _TEXT_TYPES.fullmatch(kind) is not None


def _folded_names(names: str | Iterable[str]) -> frozenset[str]:
    name_list = [names] if isinstance(names, str) else list(names)
    if not all(isinstance(name, str) and name for name in name_list):
        raise ConfigurationError(
            "A name to mask is empty or not a string.",
            path="redaction",
            remedy="Pass a list of names, such as ['x-customer'].",
        )
    return frozenset(name.lower() for name in name_list)


def _paths(paths: str | Iterable[str | tuple[str, ...]]) -> frozenset[tuple[str, ...]]:
    path_list = [paths] if isinstance(paths, str) else paths
    # The paths of the redaction of which this one is a changed copy are already split.
    return frozenset(
        tuple(path.lower().split(".")) if isinstance(path, str) else path for path in path_list
    )


def _patterns(
    patterns: str | re.Pattern[str] | Iterable[str | re.Pattern[str]],
) -> tuple[re.Pattern[str], ...]:
    pattern_list = [patterns] if isinstance(patterns, (str, re.Pattern)) else patterns
    try:
        return tuple([re.compile(pattern) for pattern in pattern_list])
    except re.error:
        raise ConfigurationError(
            "A pattern is not a valid regular expression.",
            path="patterns",
            remedy="Correct the pattern. To mask values by name, use header_names,"
            " query_names or body_keys.",
        ) from None


def _kinds(personal_kinds: Iterable[Personal | str]) -> tuple[Personal, ...]:
    return tuple(map(Personal, personal_kinds))


@with_careful_constructor
@frozen(kw_only=True)
class Redaction:
    """The names of a service's fields to mask, in addition to the fields that are always masked.

    Attributes:
        header_names: headers.
        query_names: parameters of queries and forms.
        body_keys: keys of JSON, elements of XML, and names in text.
        body_paths: paths in JSON, as keys with dots between them: `customer.name` is masked, and
            `product.name` is not. Lists on the way are skipped.
        patterns: regular expressions whose matches are masked anywhere. They must be fast on
            hostile text.
        personal: kinds of personal data to mask anywhere; all kinds by default.
        secrets: further secrets of the account. The vendor's responses to failed calls are
            searched for them, whether or not the request carried them. Secret options of the vendor
            are
            included automatically.
    """

    header_names: frozenset[str] = field(default=frozenset(), converter=_folded_names)
    query_names: frozenset[str] = field(default=frozenset(), converter=_folded_names)
    body_keys: frozenset[str] = field(default=frozenset(), converter=_folded_names)
    body_paths: frozenset[tuple[str, ...]] = field(default=frozenset(), converter=_paths)
    patterns: tuple[re.Pattern[str], ...] = field(default=(), converter=_patterns)
    personal: tuple[Personal, ...] = field(default=tuple(Personal), converter=_kinds)
    secrets: tuple[Secret, ...] = field(default=(), converter=as_secrets, hash=False)

    def headers(self, headers: Headers) -> Headers:
        """Return headers with the secrets in them masked."""
        return Headers(
            [
                (name, MASK if _is_hidden(name, self.header_names) else self._redact_text(value))
                for name, value in headers.pairs
            ]
        )

    def query(self, url: str) -> str:
        """Return a URL with its secrets masked: user, password, path, query and fragment."""
        address, *parts = re.split(r"([?#])", url)
        masked_parts = [self._redact_text(_USER_INFO.sub(f"{MASK}@", address))]
        masked_parts += [self._form(part) for part in parts]
        return "".join(masked_parts)

    def body(self, body: bytes, content_type: str | None, limit: int) -> str:
        """Return the first `limit` characters of a body with its secrets masked.

        An ellipsis stands for the rest. A body that is not text is described by its size and type.
        """
        kind = essence(content_type)
        if not is_text(content_type):
            return f"<{len(body)} bytes of {kind[:80]}>"
        redact = self.text
        if kind == _FORM:
            redact = self._form
        elif is_json(content_type):
            redact = self._json
        # Undeclared UTF-16 text would escape the rules, because zero bytes separate its characters.
        window = body[: (limit + _MARGIN) * _LONGEST_CHARACTER]
        text = decode_body(window, content_type).replace("\0", "")
        return _cut_and_redact(text, limit, redact, is_whole=len(window) == len(body))

    def text(self, text: str) -> str:
        """Return a string with its secrets masked, also in JSON that it contains."""
        json_start = _JSON_START.search(text)
        if json_start is None:
            return self._redact_text(text)
        return self._redact_text(text[: json_start.start()]) + self._json(
            text[json_start.start() :]
        )

    def words(self, text: str, limit: int) -> str:
        """Return a vendor's message as one line, with secrets, keys and long tokens masked.

        Control characters are removed, so the message cannot forge a line of a log.
        """
        if not text.isprintable():
            text = _CONTROLS.sub("", _LINE_BREAKS.sub(" ", text)).strip()
        return _cut_and_redact(
            text, limit, lambda part: self.text(_without_keys(part)), is_whole=True
        )

    def _redact_text(self, text: str) -> str:
        if len(text) < _MIN_LENGTH:
            return text
        for name, value in _NAMED_VALUES:
            masked_parts: list[str] = []
            copied_end = 0
            for match in name.finditer(text):
                if match.start() >= copied_end and _is_hidden(match[1], self.body_keys):
                    end = match.end()
                    if value_match := value.match(text, end):
                        masked_parts += [text[copied_end:end], MASK]
                        copied_end = value_match.end()
            text = "".join([*masked_parts, text[copied_end:]])
        for pattern in self.patterns:
            text = pattern.sub(MASK, text)
        return mask_personal(text, self.personal)

    def _form(self, text: str) -> str:
        return "&".join(self._field(field) for field in text.split("&"))

    def _field(self, field: str) -> str:
        name, equals, _ = field.partition("=")
        if equals and _is_hidden(unquote_plus(name), self.query_names):
            return f"{name}={MASK}"
        decoded_field = unquote_plus(field)
        redacted_text = self.text(decoded_field)
        return field if redacted_text == decoded_field else redacted_text

    def _json(self, text: str) -> str:
        masked_parts: list[str] = []
        name = ""
        depth = 0
        hidden_depth: int | None = None
        json_path = _JsonPath(self.body_paths)
        labels = _JsonLabels(self.body_keys)
        for piece in _TOKEN.findall(text):
            depth -= piece in {"}", "]"}
            if hidden_depth is not None and (
                depth < hidden_depth or (piece == "," and depth == hidden_depth)
            ):
                hidden_depth = None
            is_shown = hidden_depth is None
            if is_shown:
                masked_parts.append(self._redact_token(piece))
                json_path.move_to(piece, name)
            is_labelled = labels.move_to(piece, name, masked_parts)
            if piece == ":":
                is_hidden = is_labelled or _is_hidden(name, self.body_keys)
                if is_shown and (is_hidden or json_path.leads_there):
                    masked_parts.append(f'"{MASK}"')
                    hidden_depth = depth
            elif not piece.isspace():
                name = _decoded_text(piece).strip(" \t\r\n'")
            depth += piece in {"{", "["}
        return "".join(masked_parts)

    def _redact_token(self, piece: str) -> str:
        if piece[0] != '"':
            return self._redact_text(piece)
        decoded_piece = _decoded_text(piece)
        shown_text = self.text(decoded_piece)
        return piece if shown_text == decoded_piece else json.dumps(shown_text, ensure_ascii=False)


class _JsonPath:
    """The keys that lead to the current position in a JSON text, compared with paths to mask.

    Attributes:
        leads_there: whether the next value is at the end of a path to mask.
    """

    def __init__(self, paths: frozenset[tuple[str, ...]]) -> None:
        self._paths = paths
        self._longest = max(map(len, paths), default=0)
        self._keys: list[str] = []
        self._opened: list[bool] = []
        self._key: str | None = None
        self.leads_there = False

    def move_to(self, piece: str, name: str) -> None:
        """Move to the next token of the JSON string; `name` is the key that precedes it."""
        if not self._paths:
            return
        self.leads_there = False
        if piece == ":":
            self._key = name.lower()
            if len(self._keys) < self._longest:
                self.leads_there = (*self._keys, self._key) in self._paths
        elif piece in {"{", "["}:
            self._opened.append(self._key is not None)
            if self._key is not None:
                self._keys.append(self._key)
            self._key = None
        elif piece in {"}", "]"}:
            if self._opened and self._opened.pop():
                self._keys.pop()
            self._key = None
        elif piece == ",":
            self._key = None


class _JsonLabels:
    """The objects of a JSON text that name a field, such as `{"name": "password", "value": "…"}`.

    Args:
        names: the names to mask, in addition to those that are always masked.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._objects: list[_LabelledValue] = []
        self._key = ""

    def move_to(self, piece: str, name: str, shown_parts: list[str]) -> bool:
        """Move to the next token; return whether the value after it is labelled as a secret.

        Args:
            piece: the token.
            name: the token before it, decoded.
            shown_parts: the text up to this token; a value that precedes its label is masked there.
        """
        if piece in {"{", "["}:
            self._objects.append(_LabelledValue())
            self._key = ""
        elif piece in {"}", "]"}:
            if self._objects:
                self._objects.pop()
            self._key = ""
        elif not self._objects:
            return False
        elif piece == ":":
            self._key = name.lower()
            return self._key == "value" and self._objects[-1].is_secret
        elif not piece.isspace():
            labelled_value = self._objects[-1]
            if self._key == "value":
                labelled_value.position = len(shown_parts) - 1
            elif self._key in _LABELS and _is_hidden(_decoded_text(piece), self._names):
                labelled_value.is_secret = True
                if labelled_value.position is not None:
                    shown_parts[labelled_value.position] = f'"{MASK}"'
            self._key = ""
        return False


class _LabelledValue:
    """The position of an object's `value` in a text, and whether its name says it is a secret."""

    __slots__ = ("is_secret", "position")

    def __init__(self) -> None:
        self.is_secret = False
        self.position: int | None = None


def mask_keys(text: str) -> str:
    """Return a string in which keys with a known vendor prefix, such as `sk_live_`, are masked."""
    return _KEY.sub(MASK, text)


def _without_keys(text: str) -> str:
    return _LONG_TOKEN.sub(_redact_match, mask_keys(text))


def _redact_match(match: re.Match[str]) -> str:
    # The parts of a path are shorter, and names have no digits between their letters.
    pieces = _PIECES.findall(match[0])
    is_hidden = any(not piece.isalpha() and not piece.isdigit() for piece in pieces)
    return MASK if is_hidden else match[0]


def _is_hidden(name: str, names: frozenset[str]) -> bool:
    return is_sensitive(name) or name.lower() in names


def _decoded_text(piece: str) -> str:
    """Return the text of a JSON string; return any other token unchanged."""
    if piece[0] != '"':
        return piece
    try:
        value = json.loads(piece)
    except ValueError:
        return piece.strip('"')
    return str(value)


def _cut_and_redact(text: str, limit: int, redact: Callable[[str], str], *, is_whole: bool) -> str:
    if len(text) <= limit:
        return redact(text)
    redacted_text = redact(text[: limit + _MARGIN])
    if is_whole and len(text) <= limit + _MARGIN:
        return redacted_text if len(redacted_text) <= limit else f"{redacted_text[:limit]}…"
    # The rules may miss a secret at the end of what they read, so the end is not returned.
    return f"{redacted_text[: max(0, min(limit, len(redacted_text) - _MARGIN))]}…"
