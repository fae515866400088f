"""HMAC signatures in the formats of vendors, which are described by data."""

from __future__ import annotations

from binascii import b2a_base64
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from string import Formatter
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl

from moorage.domain.http.dates import write_http_date
from moorage.domain.http.headers import Headers, check_settable
from moorage.domain.http.query import Pairs, PairsInput, as_pairs, encode_pairs
from moorage.domain.http.requests import BodyStream
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.signing.choice import choose
from moorage.domain.signing.context import Target
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.domain.http.requests import Request
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.signing.context import SigningContext


class HmacAlgorithm(StrEnum):
    """The hash functions of HMAC signatures; SHA-1 only for vendors that require it."""

    SHA1_LEGACY = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"


class HmacEncoding(StrEnum):
    """The encodings of an HMAC signature and of the body's hash."""

    HEX = "hex"
    BASE64 = "base64"


class TimestampForm(StrEnum):
    """The formats of a signature's timestamp."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    ISO = "iso"
    HTTP_DATE = "http_date"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMPS: dict[TimestampForm, Callable[[datetime], str]] = {
    TimestampForm.SECONDS: lambda now: str((now - _EPOCH) // timedelta(seconds=1)),
    TimestampForm.MILLISECONDS: lambda now: str((now - _EPOCH) // timedelta(milliseconds=1)),
    TimestampForm.ISO: lambda now: now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    TimestampForm.HTTP_DATE: write_http_date,
}
_PLACES = frozenset({"method", "host", "path", "query", "url", "body", "header"})
_SENT_PLACES = frozenset({"key_id", "timestamp", "nonce", "body_hash"})
_SIGNATURE = "signature"


def _fields(fields: PairsInput) -> Pairs:
    return as_pairs(fields, "headers")


def _query(parameters: PairsInput) -> Pairs:
    return as_pairs(parameters, "query")


def _algorithm(value: HmacAlgorithm | str) -> HmacAlgorithm:
    return choose(HmacAlgorithm, value, "algorithm")


def _encoding(value: HmacEncoding | str) -> HmacEncoding:
    return choose(HmacEncoding, value, "encoding")


def _timestamp(value: TimestampForm | str) -> TimestampForm:
    return choose(TimestampForm, value, "timestamp")


@with_careful_constructor
@frozen(kw_only=True)
class HmacSigning:
    r"""Signs requests with an HMAC in a format that templates describe.

    Templates determine the text that is signed and the place of the signature.

    Every template may contain `{key_id}`, `{timestamp}`, `{nonce}` and `{body_hash}`. The signed
    text may also contain `{method}`, `{host}`, `{path}`, `{query}` (as it is sent), `{url}`,
    `{body}` and `{header:name}`; headers and query may contain `{signature}`. Headers and
    parameters without the signature are added before signing, so that they can be signed.

    Attributes:
        signs: the text to sign, such as `"{method}\n{path}\n{timestamp}\n{body_hash}"`.
        headers: the headers to add, by name.
        query: the parameters to add to the query, by name.
        key_id: the id of the key at the vendor. The `repr` does not show it.
        algorithm: the hash.
        encoding: the encoding of the signature and of the body's hash.
        timestamp: the format of the timestamp.
    """

    method: ClassVar = "hmac"

    signs: str
    headers: Pairs = field(default=(), converter=_fields)
    query: Pairs = field(default=(), converter=_query)
    key_id: str = field(default="", repr=False)
    algorithm: HmacAlgorithm = field(default=HmacAlgorithm.SHA256, converter=_algorithm)
    encoding: HmacEncoding = field(default=HmacEncoding.HEX, converter=_encoding)
    timestamp: TimestampForm = field(default=TimestampForm.SECONDS, converter=_timestamp)

    def __attrs_post_init__(self) -> None:
        """Refuse templates with unknown placeholders."""
        _check_template(self.signs, _PLACES | _SENT_PLACES, "signs")
        for option in ("headers", "query"):
            for _, text in getattr(self, option):
                _check_template(text, _SENT_PLACES | {_SIGNATURE}, option)
        for name, _ in self.headers:
            check_settable(name, "headers")
        Headers([("key-id", self.key_id)])
        if not any(_is_late(text) for _, text in (*self.headers, *self.query)):
            raise InvalidData(
                "The signature is not used in any header or query parameter.",
                field="headers",
                remedy='Put "{signature}" into a value of headers or query.',
            )

    def check_key(self, key: Secret) -> None:
        """Refuse an empty key."""
        if not key:
            raise InvalidData(
                "The key is empty.", field="secret", remedy="Set the key that the vendor issued."
            )

    def sign(self, request: Request, url: str, key: Secret, context: SigningContext) -> Request:
        """Return the request with the HMAC signature added."""
        now = context.now.astimezone(UTC)
        values = {
            "key_id": self.key_id,
            "timestamp": _TIMESTAMPS[self.timestamp](now),
            "nonce": context.nonce,
        }
        _refuse_doubles(Target.of(url).query, self.query)
        filler = _Filler(self, request, url, values)
        for is_late in (False, True):
            if is_late:
                values[_SIGNATURE] = self._signature(key, filler.fill(self.signs))
            headers, query = self._filled_pairs(filler, signs_late=is_late)
            filler.request = filler.request.with_headers(headers)
            filler.add(query)
        return filler.request

    def digest(self, content: bytes) -> str:
        """Return the encoded hash of a request's body."""
        from hashlib import new  # noqa: PLC0415 - loads OpenSSL

        return self._encoded_text(new(self.algorithm, content).digest())

    def _filled_pairs(self, filler: _Filler, *, signs_late: bool) -> tuple[Pairs, Pairs]:
        headers, query = (
            tuple(
                (name, filler.fill(text).decode())
                for name, text in pairs
                if _is_late(text) is signs_late
            )
            for pairs in (self.headers, self.query)
        )
        return headers, query

    def _signature(self, key: Secret, text: bytes) -> str:
        from hmac import digest  # noqa: PLC0415 - loads OpenSSL

        return self._encoded_text(digest(key.reveal_bytes(), text, self.algorithm))

    def _encoded_text(self, value: bytes) -> str:
        if self.encoding is HmacEncoding.HEX:
            return value.hex()
        return b2a_base64(value, newline=False).decode()


class _Filler:
    """Replaces the placeholders in signature templates with the values of one request."""

    def __init__(
        self, signing: HmacSigning, request: Request, url: str, values: dict[str, str]
    ) -> None:
        self.request = request
        self._signing = signing
        self._url = url
        self._known = values

    def add(self, query: Pairs) -> None:
        """Add parameters to the query of the request's URL."""
        if query:
            self.request = self.request.evolve(query=(*self.request.query, *query))
            self._url += ("&" if "?" in self._url else "?") + encode_pairs(query)

    def fill(self, template: str) -> bytes:
        """Return a template with its placeholders replaced by values."""
        whole_bytes = b""
        for literal, name, spec in _placeholder_names(template):
            whole_bytes += literal.encode() + (b"" if name is None else self._value(name, spec))
        return whole_bytes

    def _value(self, name: str, spec: str) -> bytes:
        if name in self._known:
            return self._known[name].encode()
        if name == "body":
            return self._body()
        if name == "body_hash":
            return self._signing.digest(self._body()).encode()
        if name == "header":
            return self._header(spec)
        if name == "method":
            return self.request.method.encode()
        if name == "url":
            return self._url.encode()
        target: dict[str, str] = Target.of(self._url)._asdict()
        if name == "host":
            return self.request.headers.get("host", target["host"]).encode()
        return target[name].encode()

    def _body(self) -> bytes:
        if not isinstance(self.request.body, BodyStream):
            return self.request.body
        raise InvalidData(
            "The body is a stream, but this signature needs the whole body before it is sent.",
            field="body",
            remedy="Pass the body as bytes.",
        )

    def _header(self, name: str) -> bytes:
        if name in self.request.headers:
            return ", ".join(self.request.headers.get_all(name)).encode("latin-1")
        raise InvalidData(
            f"The signature covers the header {name!r}, but this request does not have the header.",
            field="headers",
            remedy="Add the header to the request or to the service's headers.",
        )


def _placeholder_names(template: str) -> Iterator[tuple[str, str | None, str]]:
    for literal, name, spec, conversion in Formatter().parse(template):
        # Conversions such as `!r` are not supported: the placeholder is kept, and is an unknown
        # name.
        yield literal, f"{name}!{conversion}" if conversion else name, spec or ""


def _is_late(template: str) -> bool:
    return any(name == _SIGNATURE for _, name, _ in _placeholder_names(template))


def _check_template(template: str, allowed: frozenset[str], field: str) -> None:
    try:
        places = [
            (name, spec) for _, name, spec in _placeholder_names(template) if name is not None
        ]
    except ValueError:
        places = [("", "")]
    for name, spec in places:
        if name not in allowed or bool(spec) != (name == "header"):
            raise InvalidData(
                f"{name[:80]!r} is not a known placeholder of a template.",
                field=field,
                remedy=f"Use {', '.join(sorted(allowed))}. Write a literal brace twice, and a"
                " header as {header:name}.",
            )


def _refuse_doubles(query: str, new_pairs: Pairs) -> None:
    present_names = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    for name, _ in new_pairs:
        if name in present_names:
            raise InvalidData(
                f"The request has the parameter {name!r}, but the signature sets this parameter.",
                field="query",
                remedy="Remove the parameter. The signature adds it.",
            )
