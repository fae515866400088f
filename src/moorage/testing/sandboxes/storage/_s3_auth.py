"""The S3 sandbox's authentication: an independent implementation of Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

import attrs

from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SKEW: Final = timedelta(minutes=15)
_STAMP: Final = "%Y%m%dT%H%M%SZ"


class AuthenticationError(ErrorAnswer):
    """S3's error for a request that fails authentication."""

    def __init__(self, code: str, status: int = 403, message: str = "Access Denied") -> None:
        super().__init__(code, status, message)


@attrs.frozen(kw_only=True)
class Key:
    """An S3 access key, with its secret and region."""

    id: str
    secret: str
    token: str | None
    region: str


def _parsed_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise AuthenticationError(
            "AccessDenied", message="X-Amz-Date is missing or malformed"
        ) from None


def _sign(key: Key, day: str, text: bytes) -> str:
    key_bytes = b"AWS4" + key.secret.encode()
    for part in (day, key.region, "s3", "aws4_request"):
        key_bytes = hmac.new(key_bytes, part.encode(), hashlib.sha256).digest()
    return hmac.new(key_bytes, text, hashlib.sha256).hexdigest()


def _scope_text(key: Key, credential: str, day: str) -> str:
    id_, _, scope = credential.partition("/")
    if id_ != key.id:
        raise AuthenticationError(
            "InvalidAccessKeyId", message="The key Id you provided does not exist"
        )
    expected = f"{day}/{key.region}/s3/aws4_request"
    if scope != expected:
        message = f"The credential is malformed; expecting {expected!r}"
        raise AuthenticationError("AuthorizationHeaderMalformed", 400, message)
    return scope


def _canonical(
    request: SandboxRequest, names: list[str], payload: str, leave_out: str | None
) -> str:
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in request.query
        if name != leave_out
    )
    query = "&".join(f"{name}={value}" for name, value in pairs)
    path = quote(unquote(request.path), safe="/-_.~")
    lines = ""
    for name in names:
        values = request.headers.get_all(name) if name != "host" else [request.host]
        if not values:
            raise AuthenticationError(
                "SignatureDoesNotMatch", message=f"{name} is signed and was not sent"
            )
        lines += f"{name}:{','.join(' '.join(value.split()) for value in values)}\n"
    return "\n".join([request.method, path, query, lines, ";".join(names), payload])


def _matches(key: Key, stamp: str, scope: str, canonical: str, signature: str) -> None:
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode()
    if not hmac.compare_digest(_sign(key, scope[:8], text), signature):
        raise AuthenticationError("SignatureDoesNotMatch", message="The signature does not match")


def check_header(request: SandboxRequest, key: Key, now: datetime, sha256: str) -> None:
    """Check the signature in a request's header."""
    kind, _, authorization_fields = (request.headers.get("authorization") or "").partition(" ")
    if kind != _ALGORITHM:
        raise AuthenticationError("AccessDenied")
    pairs = (part.strip().partition("=") for part in authorization_fields.split(","))
    parts = {name: value for name, _, value in pairs}
    stamp = request.headers.get("x-amz-date") or ""
    if abs(now - _parsed_time(stamp)) > _SKEW:
        raise AuthenticationError(
            "RequestTimeTooSkewed", message="The difference in time is too large"
        )
    scope = _scope_text(key, parts.get("Credential", ""), stamp[:8])
    if request.headers.get("x-amz-security-token") != key.token:
        raise AuthenticationError(
            "InvalidToken", 400, "The provided token is malformed or otherwise invalid"
        )
    names = parts.get("SignedHeaders", "").split(";")
    amz_headers = {name.lower() for name in request.headers if name.lower().startswith("x-amz-")}
    if names != sorted(names) or "host" not in names or amz_headers - set(names):
        raise AuthenticationError(
            "AccessDenied", message="There were headers present which were not signed"
        )
    payload = request.headers.get("x-amz-content-sha256")
    if payload is None:
        raise AuthenticationError(
            "InvalidRequest", 400, "Missing required header: x-amz-content-sha256"
        )
    _matches(
        key, stamp, scope, _canonical(request, names, payload, None), parts.get("Signature", "")
    )
    if payload not in {sha256, "UNSIGNED-PAYLOAD"}:
        raise AuthenticationError(
            "XAmzContentSHA256Mismatch", 400, "The SHA256 of the body does not match"
        )


def check_query(request: SandboxRequest, key: Key, now: datetime) -> None:
    """Check the signature of a signed URL."""
    query = dict(request.query)
    stamp, expires = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
    start_time = _parsed_time(stamp)
    if not expires.isdigit() or not 0 < int(expires) <= 604_800:
        raise AuthenticationError(
            "AuthorizationQueryParametersError", 400, "X-Amz-Expires is wrong"
        )
    if not start_time - _SKEW <= now <= start_time + timedelta(seconds=int(expires)):
        raise AuthenticationError("AccessDenied", message="Request has expired")
    scope = _scope_text(key, query.get("X-Amz-Credential", ""), stamp[:8])
    if query.get("X-Amz-Security-Token") != key.token:
        raise AuthenticationError(
            "InvalidToken", 400, "The provided token is malformed or otherwise invalid"
        )
    names = query.get("X-Amz-SignedHeaders", "").split(";")
    canonical = _canonical(request, names, "UNSIGNED-PAYLOAD", "X-Amz-Signature")
    _matches(key, stamp, scope, canonical, query.get("X-Amz-Signature", ""))


def check_form(fields: dict[str, str], key: Key) -> None:
    """Check the signature of an upload form's policy."""
    stamp = fields.get("x-amz-date", "")
    _scope_text(key, fields.get("x-amz-credential", ""), stamp[:8])
    if fields.get("x-amz-security-token") != key.token:
        raise AuthenticationError(
            "InvalidToken", 400, "The provided token is malformed or otherwise invalid"
        )
    signature = _sign(key, stamp[:8], fields.get("policy", "").encode())
    if not hmac.compare_digest(signature, fields.get("x-amz-signature", "")):
        raise AuthenticationError("SignatureDoesNotMatch", message="The signature does not match")
