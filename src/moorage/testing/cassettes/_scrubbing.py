"""Masks secrets in requests and responses before they are recorded.

Three kinds of values are masked: values in fields for credentials, by the rules of `Redaction`;
every known secret, in any place and spelling; and every value that was once in a field for
credentials, in any other place too, because vendors repeat what they receive.

A request may have credentials in fields whose names do not reveal it, because vendors invent
names. So only headers that HTTP itself or tracing needs are written unmasked. A value of a query
stays unmasked if it is a word, a number, a date or short. A mask has four digits of the value's
hash, so that equal values have equal masks.
"""

from __future__ import annotations

import re
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from moorage.domain.auth.sent_values import (
    SensitiveNames,
    as_valid_json,
    distinctive_values,
    multipart_delimiter,
    part_name,
)
from moorage.domain.http.headers import Headers
from moorage.domain.http.media_type import essence, is_json
from moorage.domain.secrets.sensitive import MASK
from moorage.domain.secrets.value_mask import is_distinctive, masked_text, value_mask
from moorage.domain.signing.proof_refusals import challenge, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.domain.http.redaction import Redaction
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.secrets.value_mask import Masker

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_USER_INFO: Final = re.compile(r"((?<=://)|(?<=:\\/\\/))[^/?#\s\"'<>\\]*@")
_PART_TYPE: Final = re.compile(rb"content-type:[ \t]*([^\r\n]+)", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d{2}(?:-\d{2}(?:[T ][\d:.]{5,15}(?:Z|[+\- ]\d{2}:?\d{2})?)?)?")
_KEY: Final = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])\S{20,}")
_DIGITS: Final = 4

_KEPT_NAMES: Final = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "baggage",
    "cache-control", "connection", "content-disposition", "content-encoding",
    "content-language", "content-length", "content-md5", "content-range", "content-type",
    "date", "depth", "expect", "forwarded", "from", "host", "idempotency-key", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "max-forwards",
    "origin", "pragma", "prefer", "range", "referer", "request-id", "soapaction", "te",
    "traceparent", "tracestate", "transfer-encoding", "upgrade", "user-agent", "via",
    "x-correlation-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    "x-http-method-override", "x-idempotency-key", "x-request-id", "x-requested-with",
})  # fmt: skip
"""Headers of a request that are written to the cassette unmasked."""


class Scrubber:
    """Masks secrets in the text of a cassette.

    Args:
        redaction: the rules by which fields and personal data are masked.
    """

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._names = SensitiveNames(redaction)
        self._secrets: set[bytes] = set()
        self._words: set[bytes] = set()
        self._doubtful: set[bytes] = set()
        self._made: tuple[Masker, Masker] | None = None

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Mask these secret values everywhere in the cassette."""
        self.know([secret.reveal_bytes() for secret in secrets])

    def know(self, secrets: Iterable[bytes], words: Iterable[bytes] = ()) -> None:
        """Mask the secrets everywhere, and the words only where a word is a complete value."""
        new_chunks = {*secrets} - self._secrets, {*words} - self._words
        if any(new_chunks):
            self._secrets |= new_chunks[0]
            self._words |= new_chunks[1]
            self._made = None

    def learn(self, url: str, headers: Headers, body: bytes) -> None:
        """Collect the values of fields that contain credentials, to mask them elsewhere too."""
        kind = headers.get("content-type", "")
        head = self._names.credentials_in_head(url, headers)
        self.know(
            (),
            [
                *distinctive_values(head),
                *distinctive_values(self._names.credentials_in_body(body, kind)),
            ],
        )

    def learn_request(self, url: str, headers: Headers, body: bytes) -> None:
        """Collect secrets as `learn` does, and also possible credentials in unknown fields."""
        self.learn(url, headers, body)
        possible_secrets = {*distinctive_values(_unlisted_values(url, headers))}
        if possible_secrets - self._doubtful:
            self._doubtful |= possible_secrets
            self._made = None

    def url(self, url: str) -> str:
        """Return a URL with its secrets masked, for a cassette."""
        # A query value that may be a key is replaced by its hash, to distinguish different values.
        redacted_url = self._redaction.query(masked_text(url, self._masks()[0]))
        return self.plain(with_short_query(redacted_url))

    def request_headers(self, headers: Headers) -> Headers:
        """Return the headers of a request with secrets masked, for a cassette."""
        pairs = [
            (name, value if name.lower() in _KEPT_NAMES else MASK)
            for name, value in self.headers(headers).pairs
        ]
        return Headers(pairs)

    def headers(self, headers: Headers) -> Headers:
        """Return the headers of a response with secrets masked, for a cassette."""
        header_pairs = [(name, _no_user(self.plain(value))) for name, value in headers.pairs]
        # The query of a redirect may have a code that the client exchanges for a token.
        header_pairs = [
            (name, with_short_query(value) if name.lower() == "location" else value)
            for name, value in header_pairs
        ]
        shown_headers = self._redaction.headers(Headers(header_pairs))
        refusal = refusal_of(headers)
        # This value is not secret, and the replay of the recording needs it.
        return shown_headers if refusal is None else shown_headers.with_header(*challenge(refusal))

    def text(self, text: str, content_type: str | None) -> str:
        """Return a text with its secrets masked, for a cassette."""
        plain_text = _no_user(self.plain(text))
        if essence(content_type) == _FORM:
            return self._redaction.body(plain_text.encode(), _FORM, sys.maxsize)
        if not is_json(content_type):
            return self._redaction.text(plain_text)
        redacted_body = self._redaction.body(plain_text.encode(), _JSON, sys.maxsize)
        return as_valid_json(redacted_body.encode()).decode()

    def parts(self, body: bytes, content_type: str, *, boundary: bytes | None = None) -> bytes:
        """Return a multipart body with its secrets masked, and with another boundary if given."""
        delimiter = multipart_delimiter(content_type)
        edge = delimiter if boundary is None else b"--" + boundary
        return edge.join(self._part(part) for part in body.split(delimiter))

    def binary(self, body: bytes) -> bytes:
        """Return a binary body with the known secrets masked."""
        return self._masks()[1](body)

    def plain(self, text: str) -> str:
        """Return a text with all collected secrets masked."""
        return masked_text(text, self._masks()[1])

    def _masks(self) -> tuple[Masker, Masker]:
        """Return two functions: one masks known secrets, the other also masks possible ones."""
        if self._made is None:
            secret_mask = value_mask(self._secrets, self._words)
            self._made = secret_mask, value_mask(self._secrets, self._words | self._doubtful)
        return self._made

    def _part(self, part: bytes) -> bytes:
        head, gap, content = part.partition(b"\r\n\r\n")
        end = b"\r\n" if content.endswith(b"\r\n") else b""
        content = content.removesuffix(end)
        if self._names.is_sensitive_name(part_name(head)):
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


def with_short_query(url: str) -> str:
    """Return a URL with query values masked if they might be keys."""
    address, mark, query_and_fragment = url.partition("?")
    query, hash_mark, fragment = query_and_fragment.partition("#")
    fields = "&".join(map(_short_field, query.split("&")))
    return f"{address}{mark}{fields}{hash_mark}{fragment}"


def _short_field(field: str) -> str:
    name, equals_sign, value = field.partition("=")
    plain_text = unquote_plus(value)
    if not is_distinctive(plain_text) or _DATE.fullmatch(plain_text):
        return field
    digest = sha256(plain_text.encode("utf-8", "replace")).hexdigest()
    return f"{name}{equals_sign}{MASK}{digest[:_DIGITS]}"


def _unlisted_values(url: str, headers: Headers) -> Iterator[str]:
    """Yield a request's values that may be credentials although their field names are unknown."""
    for name, value in headers.pairs:
        if name.lower() not in _KEPT_NAMES and _DATE.fullmatch(value) is None:
            yield value
            yield from filter(_KEY.fullmatch, value.split())
    for _, value in parse_qsl(urlsplit(url).query):
        if _KEY.fullmatch(value) and _DATE.fullmatch(value) is None:
            yield value


def _no_user(text: str) -> str:
    return _USER_INFO.sub(f"{MASK}@", text)
