"""AWS Signature Version 4, in a header or in the query.

S3 and compatible services sign the path unchanged and need the body's hash in a header; every other
service normalises the path and encodes it twice. A header `x-amz-content-sha256` of the request is
used as the body's hash.
"""

from __future__ import annotations

from binascii import b2a_base64
from datetime import UTC, timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, unquote_to_bytes

from moorage.domain.http.query import encode_pairs
from moorage.domain.http.requests import BodyStream
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret, check_sendable
from moorage.domain.signing.context import Target
from moorage.domain.values.durations import is_true_or_false
from moorage.domain.values.frozen_values import Factory, field, frozen, optional
from moorage.domain.values.json_text import encode_json
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import attrs

    from moorage.domain.http.headers import Headers
    from moorage.domain.http.requests import Request
    from moorage.domain.signing.context import SigningContext

_TEMPORARY_PREFIX = "ASIA"
"""The prefix of AWS access key ids that belong to a session token."""
_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED_HASH = "UNSIGNED-PAYLOAD"
_HASH = "x-amz-content-sha256"
_TOKEN = "X-Amz-Security-Token"  # noqa: S105 - the name of a field
_OWN_HEADERS = ("authorization", "x-amz-date", "x-amz-security-token")
# Headers that proxies may add or change.
_NEVER_SIGNED = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
_S3 = frozenset({"s3", "s3-outposts", "s3-object-lambda", "s3express"})
_WORD = late_pattern(r"[A-Za-z0-9._\-]+")
_SPACES = late_pattern(" {2,}")
_WEEK = 604_800


def _is_word(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if _WORD.fullmatch(value) is None:
        raise InvalidData(
            f"The {attribute.name} is empty, or contains characters that AWS does not allow.",
            field=attribute.name,
            remedy="Set it as AWS writes it, such as 'eu-central-1' or 's3'.",
        )


def _not_s3(signing: AwsSigV4) -> bool:
    return signing.service not in _S3


@with_careful_constructor
@frozen(kw_only=True)
class AwsSigV4:
    """Signs requests for AWS with a secret access key.

    Attributes:
        access_key_id: the id of the key. The `repr` does not show it.
        region: the region of the service, such as `eu-central-1`.
        service: the service's name in signatures, such as `s3` or `execute-api`.
        session_token: the token of temporary credentials.
        sign_session_token: whether the token is signed too; a few services require it unsigned.
        normalise_path: whether dots and doubled slashes are resolved first; not for S3.
        encode_path_twice: whether the encoded path of the request is encoded again; not for S3.
    """

    method: ClassVar = "aws_sigv4"

    access_key_id: str = field(repr=False, validator=_is_word)
    region: str = field(validator=_is_word)
    service: str = field(validator=_is_word)
    session_token: Secret | None = field(default=None, converter=optional(as_secret), hash=False)
    sign_session_token: bool = field(default=True, validator=is_true_or_false)
    normalise_path: bool = field(
        default=Factory(_not_s3, takes_self=True), validator=is_true_or_false
    )
    encode_path_twice: bool = field(
        default=Factory(_not_s3, takes_self=True), validator=is_true_or_false
    )

    def __attrs_post_init__(self) -> None:
        """Check that headers can carry the session token, and that temporary keys come with one."""
        if self.session_token is not None:
            check_sendable(self.session_token, "session_token")
        elif self.access_key_id.startswith(_TEMPORARY_PREFIX):
            raise InvalidData(
                "The access key is temporary, and its session token is missing.",
                field="session_token",
                remedy="Set the session token, or a permanent key. The id of a permanent key"
                " begins with AKIA.",
            )

    def check_key(self, key: Secret) -> None:
        """Refuse a secret that does not have the form of a secret access key."""
        check_sendable(key, "secret")

    def sign(self, request: Request, url: str, key: Secret, context: SigningContext) -> Request:
        """Return the request with a new signature in its headers."""
        stamp = _timestamp_text(context.now)
        scope = self._scope(stamp)
        headers = request.headers.without(*_OWN_HEADERS)
        payload = headers.get(_HASH) or self._payload(request)
        headers = headers.with_header("X-Amz-Date", stamp)
        if self.service in _S3:
            headers = headers.with_header(_HASH, payload)
        token = self.session_token
        if token is not None and self.sign_session_token:
            headers = headers.with_header(_TOKEN, token.reveal())
        target = Target.of(url)
        fields = _fields(headers, target)
        text = _text_to_sign(stamp, scope, self._canonical(request.method, target, fields, payload))
        signature = self._signature(key, scope, text)
        if token is not None and not self.sign_session_token:
            headers = headers.with_header(_TOKEN, token.reveal())
        return request.with_only_headers(
            headers.with_header(
                "Authorization",
                f"{_ALGORITHM} Credential={self.access_key_id}/{scope},"
                f" SignedHeaders={fields[0]}, Signature={signature}",
            )
        )

    def presign(
        self, request: Request, url: str, key: Secret, now: datetime, *, expires: int
    ) -> str:
        """Return a URL with the signature in its query, valid for `expires` seconds.

        Its user must send the request's method and headers. For S3 the body may be anything.
        """
        if not 0 < expires <= _WEEK:
            raise InvalidData(
                f"A signed URL cannot be valid for {expires} seconds.",
                field="expires",
                remedy="Pass a number of seconds from 1 to 604800 (a week).",
            )
        stamp = _timestamp_text(now)
        scope = self._scope(stamp)
        target = Target.of(url)
        fields = _fields(request.headers, target)
        added_pairs = [
            ("X-Amz-Algorithm", _ALGORITHM),
            ("X-Amz-Credential", f"{self.access_key_id}/{scope}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(expires)),
            ("X-Amz-SignedHeaders", fields[0]),
        ]
        token = self.session_token
        token_suffix = "" if token is None else f"&{_token_pair(token)}"
        query = "&".join(part for part in (target.query, encode_pairs(tuple(added_pairs))) if part)
        if self.sign_session_token:
            query, token_suffix = query + token_suffix, ""
        payload = _UNSIGNED_HASH if self.service in _S3 else self._payload(request)
        signed_target = target._replace(query=query)
        text = _text_to_sign(
            stamp, scope, self._canonical(request.method, signed_target, fields, payload)
        )
        signature = self._signature(key, scope, text)
        return f"{url.partition('?')[0]}?{query}{token_suffix}&X-Amz-Signature={signature}"

    def sign_form(
        self, conditions: Iterable[object], key: Secret, now: datetime, *, expires: int
    ) -> tuple[tuple[str, str], ...]:
        """Return the fields of a form with which a browser can upload an object.

        A condition is a pair as a dict, or a list of an operator and its operands, in S3's own
        format. Conditions and fields that name the signer are added.
        """
        stamp = _timestamp_text(now)
        scope = self._scope(stamp)
        signer = {
            "x-amz-algorithm": _ALGORITHM,
            "x-amz-credential": f"{self.access_key_id}/{scope}",
            "x-amz-date": stamp,
        }
        if self.session_token is not None:
            signer[_TOKEN.lower()] = self.session_token.reveal()
        end_time = (now.astimezone(UTC) + timedelta(seconds=expires)).strftime("%Y-%m-%dT%H:%M:%SZ")
        signer_conditions = [{name: value} for name, value in signer.items()]
        policy = {"expiration": end_time, "conditions": [*conditions, *signer_conditions]}
        text = b2a_base64(encode_json(policy), newline=False)
        signature = self._signature(key, scope, text)
        return (*signer.items(), ("policy", text.decode()), ("x-amz-signature", signature))

    def _payload(self, request: Request) -> str:
        import hashlib  # noqa: PLC0415 - loads OpenSSL

        if not isinstance(request.body, BodyStream):
            return hashlib.sha256(request.body).hexdigest()
        if self.service in _S3:
            return _UNSIGNED_HASH
        raise InvalidData(
            "The body is a stream, but this service needs its hash before it is sent.",
            field="body",
            remedy=f"Pass the body as bytes, or its SHA-256 in hex as the header {_HASH}.",
        )

    def _canonical(self, method: str, target: Target, fields: tuple[str, str], payload: str) -> str:
        path, query = self.canonical_path(target.path), _query(target.query)
        names, lines = fields
        return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"

    def canonical_path(self, path: str) -> str:
        """Return the request's path in the encoded form that the signature covers."""
        if self.normalise_path:
            path = _normal_path(path)
        return quote(path if self.encode_path_twice else unquote_to_bytes(path), safe="/~")

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"

    def _signature(self, key: Secret, scope: str, text: bytes) -> str:
        import hmac  # noqa: PLC0415 - loads OpenSSL

        signing_key = key.derive(scope, partial(self._own_key, scope[:8]))
        return hmac.digest(signing_key.reveal_bytes(), text, "sha256").hex()

    def _own_key(self, day: str, secret: bytes) -> bytes:
        """Return the key that signs requests of one day, region and service."""
        from hmac import digest  # noqa: PLC0415 - loads OpenSSL

        key = b"AWS4" + secret
        for part in (day, self.region, self.service, "aws4_request"):
            key = digest(key, part.encode(), "sha256")
        return key


def _text_to_sign(stamp: str, scope: str, canonical: str) -> bytes:
    """Return the text to sign for a request in canonical form."""
    import hashlib  # noqa: PLC0415 - loads OpenSSL

    # The hash covers the sent bytes: header values are Latin-1, everything else is ASCII.
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    return f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode()


def _token_pair(token: Secret) -> str:
    return encode_pairs(((_TOKEN, token.reveal()),))


def _timestamp_text(now: datetime) -> str:
    return (now if now.tzinfo is UTC else now.astimezone(UTC)).strftime("%Y%m%dT%H%M%SZ")


def _fields(headers: Headers, target: Target) -> tuple[str, str]:
    """Return the names of the signed headers, and their lines in the canonical request."""
    values: dict[str, list[str]] = {}
    for name, value in headers.pairs:
        lower_name = name.lower()
        if lower_name not in _NEVER_SIGNED:
            values.setdefault(lower_name, []).append(value)
    values.setdefault("host", [target.host])
    names = sorted(values)
    lines = "".join(f"{name}:{','.join(values[name])}\n" for name in names)
    return ";".join(names), _SPACES.sub(" ", lines) if "  " in lines else lines


def _query(query: str) -> str:
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(
            (_encode_path(name_text), _encode_path(value_text))
            for name_text, _, value_text in pairs
        )
    )


def _encode_path(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="~")


def _normal_path(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in {"", "."}:
            segments.append(segment)
    suffix = "/" if segments and path.endswith("/") else ""
    return f"/{'/'.join(segments)}{suffix}"
