"""The service account by which an application acts as an administrator of Google Workspace."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final

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
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCOPES: Final = (
    "https://www.googleapis.com/auth/admin.directory.user",
    "https://www.googleapis.com/auth/admin.directory.group",
)
_TOKENS: Final = "https://oauth2.googleapis.com/token"
_HOUR: Final = timedelta(hours=1)
_FIELDS: Final[Mapping[str, str]] = {
    "client_email": "email",
    "private_key": "key",
    "private_key_id": "key_id",
    "token_uri": "token_uri",
}


@attrs.frozen(kw_only=True)
class ServiceAccount:
    """A service account, from the key file that Google issues.

    Attributes:
        email: id of the service account.
        key: private key in PEM format.
        key_id: id of the key.
        token_uri: URL of the token endpoint.
    """

    email: str
    key: Secret = attrs.field(converter=as_secret)
    key_id: str | None = None
    token_uri: str = _TOKENS

    def client(self, administrator: str) -> OAuthClient:
        """The OAuth client that requests tokens of an administrator (domain-wide delegation)."""
        signing = JwtSigning(
            algorithm="RS256",
            issuer=self.email,
            subject=administrator,
            audience=self.token_uri,
            lifetime=_HOUR,
            key_id=self.key_id,
            claims={"scope": " ".join(_SCOPES)},
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
            for name, field in _FIELDS.items()
            if isinstance(key_file.get(name), str) and key_file[name]
        }
        account = ServiceAccount(**fields)
    except (AttributeError, TypeError, ValueError):
        pass  # raised below, where no frame holds the key
    else:
        return account
    raise _invalid_key()


def check_account(_: object, __: object, credentials: Secret | None) -> None:
    """Refuse a text that is not the key of a service account.

    Raises:
        ConfigurationError: the key cannot sign.
    """
    if credentials is None:
        return
    account = account_of(credentials)
    try:
        check_key(SignatureAlgorithm.RSA_V1_5_SHA256, account.key)
    except InvalidData:
        pass
    else:
        return
    raise _invalid_key()


def _invalid_key() -> ConfigurationError:
    return ConfigurationError(
        "The credentials are not the key of a service account.",
        path="credentials",
        remedy="Give the content of a service account's JSON key file.",
    )
