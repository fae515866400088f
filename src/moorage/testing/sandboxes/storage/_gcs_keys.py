"""The authentication of the Google Cloud Storage sandbox: scopes and signatures."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from moorage.testing.sandboxes._google import is_signed
from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest

_ALGORITHM: Final = "GOOG4-RSA-SHA256"
SCOPES: Final = frozenset(
    {
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/devstorage.full_control",
        "https://www.googleapis.com/auth/devstorage.read_write",
    }
)
_SKEW: Final = timedelta(minutes=15)
_STAMP: Final = "%Y%m%dT%H%M%SZ"


def _start_time(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise ErrorAnswer("AccessDenied", 403, "The date is missing or malformed.") from None


def _check_credential(credential: str, email: str, stamp: str) -> None:
    if credential != f"{email}/{stamp[:8]}/auto/storage/goog4_request":
        raise ErrorAnswer("AccessDenied", 403, "The credential is not known.")


def check_url(request: SandboxRequest, email: str, now: datetime) -> None:
    """Check the signature of a signed URL."""
    query = dict(request.query)
    stamp, expires = query.get("X-Goog-Date", ""), query.get("X-Goog-Expires", "")
    start_time = _start_time(stamp)
    if not expires.isdigit() or not 0 < int(expires) <= 604_800:
        raise ErrorAnswer("InvalidArgument", 400, "X-Goog-Expires is wrong.")
    if not start_time - _SKEW <= now <= start_time + timedelta(seconds=int(expires)):
        raise ErrorAnswer("ExpiredToken", 400, "Invalid argument: the signature has expired.")
    _check_credential(query.get("X-Goog-Credential", ""), email, stamp)
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in request.query
        if name != "X-Goog-Signature"
    )
    names = query.get("X-Goog-SignedHeaders", "").split(";")
    values = {"host": request.host, **{k.lower(): v for k, v in request.headers.pairs}}
    values["host"] = request.host
    lines = "".join(f"{name}:{values.get(name, '')}\n" for name in names)
    canonical = "\n".join(
        (
            request.method,
            quote(unquote(request.path), safe="/~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            lines,
            ";".join(names),
            "UNSIGNED-PAYLOAD",
        )
    )
    digest = sha256(canonical.encode()).hexdigest()
    scope = f"{stamp[:8]}/auto/storage/goog4_request"
    text = f"{query.get('X-Goog-Algorithm')}\n{stamp}\n{scope}\n{digest}"
    _check(query.get("X-Goog-Signature", ""), text.encode())


def check_form(fields: dict[str, str], email: str) -> None:
    """Check the signature of an upload form's policy."""
    if fields.get("x-goog-algorithm") != _ALGORITHM:
        raise ErrorAnswer("InvalidArgument", 400, "The algorithm is not known.")
    credential, stamp = fields.get("x-goog-credential", ""), fields.get("x-goog-date", "")
    _check_credential(credential, email, stamp)
    policy = fields.get("policy", "")
    b64decode(policy, validate=True).decode("ascii")
    _check(fields.get("x-goog-signature", ""), policy.encode())


def _check(signature: str, text: bytes) -> None:
    try:
        is_good = is_signed(bytes.fromhex(signature), text)
    except ValueError:
        is_good = False
    if not is_good:
        raise ErrorAnswer("SignatureDoesNotMatch", 403, "The signature does not match.")
