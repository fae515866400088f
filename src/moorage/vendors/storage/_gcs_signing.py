"""Google service accounts: their tokens and signatures."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

import attrs

from moorage.vendor_sdk import (
    ConfigurationError,
    InvalidData,
    JwtBearer,
    JwtSigning,
    OAuthClient,
    Secret,
    SignatureAlgorithm,
    as_secret,
    check_key,
    sign_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.signed import PostOptions, UrlOptions

_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.full_control"
_TOKENS: Final = "https://oauth2.googleapis.com/token"
_ALGORITHM: Final = "GOOG4-RSA-SHA256"
_RSA: Final = SignatureAlgorithm.RSA_V1_5_SHA256
_HOUR: Final = timedelta(hours=1)


@attrs.frozen(kw_only=True)
class Signer:
    """The service account and private key that sign.

    Attributes:
        email: id of the service account.
        key: private key in PEM format.
    """

    email: str
    key: Secret = attrs.field(converter=as_secret)

    def url(self, base: str, path: str, options: UrlOptions, now: datetime) -> str:
        """The URL of an object with a signature in its query."""
        stamp, scope = _dated(now)
        headers = {"host": urlsplit(base).netloc, **signed_headers(options)}
        lines = "".join(
            f"{name.lower()}:{headers[name]}\n" for name in sorted(headers, key=str.lower)
        )
        names = ";".join(sorted(name.lower() for name in headers))
        pairs = {
            **_response_parameters(options),
            "X-Goog-Algorithm": _ALGORITHM,
            "X-Goog-Credential": f"{self.email}/{scope}",
            "X-Goog-Date": stamp,
            "X-Goog-Expires": str(options.expires),
            "X-Goog-SignedHeaders": names,
        }
        query = urlencode(sorted(pairs.items()), quote_via=quote, safe="~")
        canonical = f"{options.method}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        digest = sha256(canonical.encode()).hexdigest()
        signature = self._signature(f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode())
        return f"{base}{path}?{query}&X-Goog-Signature={signature}"

    def form(self, bucket: str, key: str, options: PostOptions, now: datetime) -> Mapping[str, str]:
        """The fields of a form by which a browser uploads an object."""
        stamp, scope = _dated(now)
        fields = {"key": key}
        if options.content_type is not None:
            fields["Content-Type"] = options.content_type
        fields |= {
            "x-goog-algorithm": _ALGORITHM,
            "x-goog-credential": f"{self.email}/{scope}",
            "x-goog-date": stamp,
        }
        expires_at = now + timedelta(seconds=options.expires)
        policy = {
            "conditions": [
                {"bucket": bucket},
                ["content-length-range", options.smallest, options.largest],
                *({name: value} for name, value in fields.items()),
            ],
            "expiration": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        # Characters outside ASCII must be escaped.
        text = b64encode(json.dumps(policy).encode())
        return {**fields, "policy": text.decode(), "x-goog-signature": self._signature(text)}

    def _signature(self, text: bytes) -> str:
        return sign_bytes(_RSA, self.key, text).hex()


@attrs.frozen(kw_only=True)
class ServiceAccount(Signer):
    """A service account, from the key file that Google issues.

    Attributes:
        key_id: id of the key.
        token_uri: URL of the token endpoint.
    """

    key_id: str | None = None
    token_uri: str = _TOKENS

    @property
    def client(self) -> OAuthClient:
        """The account's OAuth client, which requests tokens by signed assertions (RFC 7523)."""
        signing = JwtSigning(
            algorithm="RS256",
            issuer=self.email,
            audience=self.token_uri,
            lifetime=_HOUR,
            key_id=self.key_id,
            claims={"scope": _SCOPE},
        )
        return OAuthClient(
            server=self.token_uri, client_id=self.email, grant=JwtBearer(signing, self.key)
        )


def account_of(credentials: Secret) -> ServiceAccount:
    """Parse the key of a service account.

    Raises:
        ConfigurationError: the text is not such a key.
    """
    try:
        key_file = json.loads(credentials.reveal_bytes())
        fields = {
            field: key_file[name]
            for name, field in _WRITTEN.items()
            if isinstance(key_file.get(name), str) and key_file[name]
        }
        account = ServiceAccount(**fields)
    except (AttributeError, TypeError, ValueError):
        pass  # raised below, where no frame holds the key
    else:
        return account
    raise _no_key()


def check_account(credentials: Secret) -> None:
    """Refuse a text that is not the key of a service account; checking a valid key takes a while.

    Raises:
        ConfigurationError: the key cannot sign.
    """
    account = account_of(credentials)
    try:
        check_key(_RSA, account.key)
    except InvalidData:
        pass
    else:
        return
    raise _no_key()


def _no_key() -> ConfigurationError:
    return ConfigurationError(
        "The credentials are not the key of a service account.",
        path="credentials",
        remedy="Give the content of a service account's JSON key file.",
    )


_WRITTEN: Final = {
    "client_email": "email",
    "private_key": "key",
    "private_key_id": "key_id",
    "token_uri": "token_uri",
}


def signed_headers(options: UrlOptions) -> dict[str, str]:
    """The headers that must be sent with a signed URL."""
    content_type = options.content_type if options.method == "PUT" else None
    return {} if content_type is None else {"Content-Type": content_type}


def _response_parameters(options: UrlOptions) -> dict[str, str]:
    """The query parameters by which a signed URL sets headers of the answer."""
    if options.method not in {"GET", "HEAD"}:
        return {}
    response_headers = {
        "response-content-type": options.content_type,
        "response-content-disposition": options.content_disposition,
    }
    return {name: value for name, value in response_headers.items() if value is not None}


def _dated(now: datetime) -> tuple[str, str]:
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    return stamp, f"{stamp[:8]}/auto/storage/goog4_request"
