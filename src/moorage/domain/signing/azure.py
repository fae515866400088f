"""The Shared Key scheme of Azure Storage, for its blob, queue and file services."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl

from moorage.domain.http.dates import write_http_date
from moorage.domain.http.requests import BodyStream
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.signing.context import Target
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.http.headers import Headers
    from moorage.domain.http.requests import Request
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.signing.context import SigningContext

_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_OWN_PREFIX = "x-ms-"
_ORDER = str.maketrans({"_": "!", "-": None})
"""Azure's sort order of names: dashes are ignored, and underscores precede digits."""


def _is_account(_: object, __: object, value: str) -> None:
    if _ACCOUNT.fullmatch(value) is None:
        raise InvalidData(
            "The account is not a valid name of a storage account.",
            field="account",
            remedy="Set only the account's name, such as 'acmefiles'.",
        )


@with_careful_constructor
@frozen(kw_only=True)
class AzureSharedKey:
    """Signs requests to Azure Storage with a base64 key of the storage account.

    Attributes:
        account: the name of the storage account.
    """

    method: ClassVar = "azure_shared_key"

    account: str = field(validator=_is_account)

    def check_key(self, key: Secret) -> None:
        """Refuse a secret that is not a storage account's key."""
        _decoded_key(key)

    def sign(self, request: Request, url: str, key: Secret, context: SigningContext) -> Request:
        """Return the request with a new signature in its headers."""
        headers = request.headers.without("date").with_header(
            "x-ms-date", write_http_date(context.now)
        )
        target = Target.of(url)
        text = "\n".join(
            (
                request.method,
                *_fields(request, headers),
                *_own_fields(headers),
                f"/{self.account}{target.path}",
                *_parameters(target.query),
            )
        )
        signature = self.signature(key, text)
        return request.with_only_headers(
            headers.with_header("Authorization", f"SharedKey {self.account}:{signature}")
        )

    def signature(self, key: Secret, text: str) -> str:
        """Return the signature of a string in base64."""
        import hmac  # noqa: PLC0415 - loads OpenSSL

        decoded_secret = key.derive("azure", lambda _: _decoded_key(key))
        new_bytes = hmac.digest(decoded_secret.reveal_bytes(), text.encode(), "sha256")
        return b2a_base64(new_bytes, newline=False).decode()


def _decoded_key(key: Secret) -> bytes:
    """Return the key decoded from base64."""
    try:
        decoded_key = a2b_base64(key.reveal_bytes(), strict_mode=True)
    except ValueError:
        decoded_key = b""
    if decoded_key:
        return decoded_key
    raise InvalidData(
        "The secret is not a key of a storage account.",
        field="secret",
        remedy="Set one of the account's keys, in base64, as the Azure portal shows it.",
    )


def _fields(request: Request, headers: Headers) -> list[str]:
    """Return the values of the headers that Azure signs, in Azure's order.

    An empty body has no length.
    """
    values = {name: headers.get(name, "") for name in _SIGNED_HEADERS}
    body = request.body
    length = body.length if isinstance(body, BodyStream) else len(body)
    values["content-length"] = str(length or "")
    return list(values.values())


def _own_fields(headers: Headers) -> list[str]:
    values: dict[str, list[str]] = {}
    for name, value in headers.pairs:
        if name.lower().startswith(_OWN_PREFIX):
            values.setdefault(name.lower(), []).append(value.strip())
    return [f"{name}:{','.join(values[name])}" for name in sorted(values, key=_sorted_as)]


def _sorted_as(name: str) -> tuple[str, str]:
    return name.translate(_ORDER), name


def _parameters(query: str) -> list[str]:
    """Return the decoded query parameters in the form that Azure signs."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name.lower(), []).append(value)
    return [f"{name}:{','.join(sorted(values[name]))}" for name in sorted(values)]
