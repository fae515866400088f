"""Signatures by Google service accounts."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

import attrs

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.signed import PostOptions, UrlOptions

_ALGORITHM: Final = "GOOG4-RSA-SHA256"
_RSA: Final = sdk.SignatureAlgorithm.RSA_V1_5_SHA256


@attrs.frozen(kw_only=True)
class Signer:
    """A service account that signs with its private key.

    Attributes:
        email: id of the service account.
        key: private key in PEM format.
    """

    email: str
    key: sdk.Secret = attrs.field(converter=sdk.as_secret)

    def url(self, base: str, path: str, options: UrlOptions, now: datetime) -> str:
        """An object's URL with a signature in its query."""
        stamp, scope = _time_and_scope(now)
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
        """The fields of a browser form that uploads an object."""
        stamp, scope = _time_and_scope(now)
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
        return sdk.sign_bytes(_RSA, self.key, text).hex()


def signer_of(credentials: sdk.Secret) -> Signer:
    """The signer of a service account's key file.

    Raises:
        ConfigurationError: the text is not a key file.
    """
    account = sdk.google_account(credentials)
    return Signer(email=account.email, key=account.key)


def signed_headers(options: UrlOptions) -> dict[str, str]:
    """The headers that must be sent in a request with a signed URL."""
    content_type = options.content_type if options.method == "PUT" else None
    return {} if content_type is None else {"Content-Type": content_type}


def _response_parameters(options: UrlOptions) -> dict[str, str]:
    """The query parameters of a signed URL that set headers of the response."""
    if options.method not in {"GET", "HEAD"}:
        return {}
    response_headers = {
        "response-content-type": options.content_type,
        "response-content-disposition": options.content_disposition,
    }
    return {name: value for name, value in response_headers.items() if value is not None}


def _time_and_scope(now: datetime) -> tuple[str, str]:
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    return stamp, f"{stamp[:8]}/auto/storage/goog4_request"
