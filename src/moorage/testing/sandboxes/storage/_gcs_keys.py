"""The authentication of the Google Cloud Storage sandbox: tokens and signatures."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from moorage.testing.sandboxes.base import Refusal, reply
from moorage.testing.sandboxes.storage._s3_documents import No
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest

_ALGORITHM: Final = "GOOG4-RSA-SHA256"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPES: Final = frozenset(
    {
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/devstorage.full_control",
        "https://www.googleapis.com/auth/devstorage.read_write",
    }
)
_SKEW: Final = timedelta(minutes=15)
_STAMP: Final = "%Y%m%dT%H%M%SZ"


@cache
def pair() -> rsa.RSAPrivateKey:
    """Return the service account's key pair, which all sandboxes share to save time."""
    return rsa.generate_private_key(65_537, 2_048)


def key_file(email: str, token_uri: str) -> str:
    """Return the JSON text of a service account's key file, in Google's format."""
    pem = pair().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "sandbox",
            "private_key_id": "0123456789abcdef",
            "private_key": pem,
            "client_email": email,
            "token_uri": token_uri,
        }
    )


def _is_signed(signature: bytes, text: bytes) -> bool:
    try:
        pair().public_key().verify(signature, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


class GoogleTokens(TokenEndpoint):
    """Grants access tokens for assertions that a service account has signed.

    Args:
        email: names the account.
        audience: where it must think that it asks.
        now: the time.
    """

    def __init__(self, email: str, audience: str, now: Callable[[], datetime]) -> None:
        self._email = email
        self.audience = audience
        self._now = now
        super().__init__("/token", email, "")

    def _grant(self, request: SandboxRequest) -> Response:
        form = dict(request.form)
        if form.pop("grant_type", None) != _GRANT:
            raise Refusal(self.refuse("unsupported_grant_type"))
        assertion = form.pop("assertion", "")
        if form or request.headers.get("authorization") is not None:
            raise Refusal(self.refuse("invalid_request"))
        if not self._vouches(assertion):
            raise Refusal(self.refuse("invalid_grant"))
        self.grants += 1
        token = f"ya29.sandbox-{self.grants}"
        self._good.add(token)
        return reply({"access_token": token, "token_type": "Bearer", "expires_in": 3_599})

    def _vouches(self, assertion: str) -> bool:
        try:
            head, claims, signature = (_decode_base64(part) for part in assertion.split("."))
        except ValueError:
            return False
        text = assertion.rpartition(".")[0].encode()
        claim_fields: dict[str, Any] = json.loads(claims)
        now = int(self._now().timestamp())
        return (
            _is_signed(signature, text)
            and json.loads(head)["alg"] == "RS256"
            and (claim_fields["iss"], claim_fields["aud"]) == (self._email, self.audience)
            and claim_fields["scope"] in _SCOPES
            and claim_fields["iat"] - 300
            <= now
            < claim_fields["exp"]
            <= claim_fields["iat"] + 3_600
        )


def _decode_base64(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _start_time(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise No("AccessDenied", 403, "The date is missing or malformed.") from None


def _check_credential(credential: str, email: str, stamp: str) -> None:
    if credential != f"{email}/{stamp[:8]}/auto/storage/goog4_request":
        raise No("AccessDenied", 403, "The credential is not known.")


def check_url(request: SandboxRequest, email: str, now: datetime) -> None:
    """Check the signature of a signed URL."""
    query = dict(request.query)
    stamp, expires = query.get("X-Goog-Date", ""), query.get("X-Goog-Expires", "")
    start_time = _start_time(stamp)
    if not expires.isdigit() or not 0 < int(expires) <= 604_800:
        raise No("InvalidArgument", 400, "X-Goog-Expires is wrong.")
    if not start_time - _SKEW <= now <= start_time + timedelta(seconds=int(expires)):
        raise No("ExpiredToken", 400, "Invalid argument: the signature has expired.")
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
    """Check the signature of a form's policy."""
    if fields.get("x-goog-algorithm") != _ALGORITHM:
        raise No("InvalidArgument", 400, "The algorithm is not known.")
    credential, stamp = fields.get("x-goog-credential", ""), fields.get("x-goog-date", "")
    _check_credential(credential, email, stamp)
    policy = fields.get("policy", "")
    b64decode(policy, validate=True).decode("ascii")
    _check(fields.get("x-goog-signature", ""), policy.encode())


def _check(signature: str, text: bytes) -> None:
    try:
        is_good = _is_signed(bytes.fromhex(signature), text)
    except ValueError:
        is_good = False
    if not is_good:
        raise No("SignatureDoesNotMatch", 403, "The signature does not match.")
