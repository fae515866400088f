"""Google's service accounts: key files and OAuth clients, and the vendors that use them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage.domain.oauth.client import OAuthClient
from moorage.domain.oauth.grants import JwtBearer
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.signing.jwt import JwtSigning
from moorage.domain.signing.keys import SignatureAlgorithm, check_key
from moorage.errors import ConfigurationError, InvalidData
from moorage.vendor_sdk.api_vendor import HttpVendor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_TOKENS: Final = "https://oauth2.googleapis.com/token"
_HOUR: Final = timedelta(hours=1)
_WRITTEN: Final = {
    "client_email": "email",
    "private_key": "key",
    "private_key_id": "key_id",
    "project_id": "project",
    "token_uri": "token_uri",
}


@attrs.frozen(kw_only=True)
class GoogleAccount:
    """A service account, from a key file of Google's.

    Attributes:
        email: id of the service account.
        key: private key in PEM format.
        key_id: id of the key.
        project: id of the project that the account belongs to.
        token_uri: URL of the token endpoint.
    """

    email: str
    key: Secret = attrs.field(converter=as_secret)
    key_id: str | None = None
    project: str | None = None
    token_uri: str = _TOKENS

    def client(self, scope: str, *, subject: str | None = None) -> OAuthClient:
        """Return the account's OAuth client, which requests tokens by signed assertions (RFC 7523).

        Args:
            scope: scope of the tokens.
            subject: address of the person on whose behalf the account acts (domain-wide
                delegation).
        """
        signing = JwtSigning(
            algorithm="RS256",
            issuer=self.email,
            subject=subject,
            audience=self.token_uri,
            lifetime=_HOUR,
            key_id=self.key_id,
            claims={"scope": scope},
        )
        return OAuthClient(
            server=self.token_uri, client_id=self.email, grant=JwtBearer(signing, self.key)
        )


def google_account(credentials: Secret) -> GoogleAccount:
    """Parse the key file of a service account.

    Raises:
        ConfigurationError: the text is not a key file.
    """
    try:
        key_file = json.loads(credentials.reveal_bytes())
        fields: dict[str, Any] = {
            field: key_file[name]
            for name, field in _WRITTEN.items()
            if isinstance(key_file.get(name), str) and key_file[name]
        }
        account = GoogleAccount(**fields)
    except (AttributeError, TypeError, ValueError):
        pass  # raised below, where no stack frame contains the key
    else:
        return account
    raise _no_key_error()


def is_google_account(_: object, __: object, credentials: Secret | None) -> None:
    """Raise an error if an option is neither None nor a service account's key file.

    Checking a valid key is slow, so use this only for the options of an account.

    Raises:
        ConfigurationError: the text is not a key file, or the key cannot sign.
    """
    if credentials is None:
        return
    account = google_account(credentials)
    try:
        check_key(SignatureAlgorithm.RSA_V1_5_SHA256, account.key)
    except InvalidData:
        pass
    else:
        return
    raise _no_key_error()


def _no_key_error() -> ConfigurationError:
    return ConfigurationError(
        "The credentials are not the key of a service account.",
        path="credentials",
        remedy="Give the content of a service account's JSON key file.",
    )


@attrs.frozen(kw_only=True)
class GoogleVendor(HttpVendor):
    """A vendor with a Google API, for which a service account gets tokens.

    Attributes:
        credentials: JSON key of the service account; by default the credential provider supplies a
            token.
        google_scope: scopes of the tokens, separated by spaces.
    """

    google_scope: ClassVar[str]

    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), validator=is_google_account
    )

    def google_subject(self) -> str | None:
        """Return the person for whom the service account acts; None if it acts for itself."""
        return None

    def clients(self) -> Mapping[str, OAuthClient]:
        """Return the OAuth client of the service account, for the main service."""
        if self.credentials is None:
            return {}
        account = google_account(self.credentials)
        return {"": account.client(self.google_scope, subject=self.google_subject())}
