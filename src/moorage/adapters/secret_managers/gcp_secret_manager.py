"""Google Cloud Secret Manager, with its REST API.

A secret's newest version is a token, or a credential's table in JSON.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

import attrs

from moorage.adapters.secret_managers._answers import (
    failure_error,
    refusal,
    secret_at,
    token_at,
    unexpected_answer,
    value_at,
    word_at,
)
from moorage.adapters.secret_managers._owner_names import secret_word
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import validate_base_url, validate_private_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.jwt import JwtSigning
from moorage.domain.values.crc32c import crc32c
from moorage.domain.values.json_text import encode_json
from moorage.errors import ConfigurationError, ConnectorError, StorageUnavailable

if TYPE_CHECKING:
    import os

    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.ports.secret_manager import NetworkAccess

_API: Final = "https://secretmanager.googleapis.com"
_METADATA: Final = "http://metadata.google.internal"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR: Final = timedelta(hours=1)
_KEY_FILE_FIELDS: Final = ("client_email", "private_key", "private_key_id", "token_uri")


@with_careful_constructor
@attrs.frozen
class GcpServiceAccount:
    """A service account's key; it signs an assertion to get an access token.

    Attributes:
        client_email: the email address of the account.
        private_key: the key in PEM.
        private_key_id: the id of the key.
        token_uri: the URL of the token service.
    """

    client_email: str
    private_key: Secret = attrs.field(converter=as_secret, hash=False)
    private_key_id: str | None = None
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    def __attrs_post_init__(self) -> None:
        """Refuse a key that cannot sign, or an invalid URL."""
        _assertion(self).check_key(self.private_key)
        Request.post(validate_base_url(self.token_uri))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> GcpServiceAccount:
        """Return the service account of a Google key file."""
        account = _account(path)
        if account is not None:
            return account
        raise ConfigurationError(
            f"The file {path} cannot be read, or is not the key file of a service account.",
            path="path",
            remedy="Pass the JSON key file of a service account, and let this process read it.",
        )

    async def token(self, wire: NetworkAccess) -> Credentials:
        """Return an access token in exchange for a signed assertion."""
        context = SigningContext(wire.utc(), wire.nonce())
        assertion = _assertion(self).token(self.private_key, context)
        answer = await wire.send(self.token_uri, _exchange(assertion))
        if answer.status in {400, 401, 403}:
            raise refusal(
                "Google's token service",
                answer,
                word_at(answer, "error"),
                "Check that the key of the service account was not deleted, and check the"
                " clock of this machine.",
            )
        return token_at("Google's token service", answer, wire.utc())


@with_careful_constructor
@attrs.frozen
class GcpMetadata:
    """The service account of this machine or container; Google's metadata server gives its tokens.

    Attributes:
        address: the URL of the machine's metadata.
    """

    address: str = attrs.field(default=_METADATA, converter=validate_base_url)

    async def token(self, wire: NetworkAccess) -> Credentials:
        """Return the access token of this machine."""
        request = Request.get(
            "/computeMetadata/v1/instance/service-accounts/default/token",
            headers={"Metadata-Flavor": "Google"},
        )
        answer = await wire.send(self.address, request)
        return token_at("the machine's metadata", answer, wire.utc())


GcpIdentity: TypeAlias = GcpServiceAccount | GcpMetadata


@attrs.frozen
class GcpSecretManager:
    """A `SecretManager` for the secrets of one Google Cloud project.

    The secret of the service `shop` is `moorage-shop`, and that of its tenant `acme-fr` is
    `moorage-shop--acme-fr`.

    Attributes:
        project: the id of the project.
        identity: a `GcpServiceAccount`, or `GcpMetadata` for the machine's account.
        endpoint: the URL of the service.
        prefix: the beginning of the secrets' names.
    """

    project: str
    identity: GcpIdentity = attrs.field(factory=GcpMetadata)
    endpoint: str = attrs.field(default=_API, converter=validate_private_url, kw_only=True)
    prefix: str = attrs.field(default="moorage-", kw_only=True)

    @property
    def where(self) -> str:
        """The name of the secret manager in error messages."""
        return f"Secret Manager of Google's project {self.project!r}"

    def name(self, service: str, tenant: str | None, /) -> str | None:
        """Return the name of the secret for a service and tenant; None if it would be ambiguous."""
        return secret_word(self.prefix, service, tenant)

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """Return an access token for the secret manager."""
        return await self.identity.token(wire)

    async def read(
        self, wire: NetworkAccess, credentials: Credentials, name: str, /
    ) -> Secret | None:
        """Return the newest version of a secret, after checking its checksum."""
        request = Request.get(f"{self._secrets}/{quote(name, safe='')}/versions/latest:access")
        answer = await wire.send(self.endpoint, request, credentials)
        if answer.status == 404:
            return None
        if not answer.ok:
            raise self._error_of(answer, "secretmanager.versions.access", name)
        content = _content(answer)
        if content is None:
            raise unexpected_answer(self.where, answer)
        checksum = str(crc32c(content.reveal_bytes()))
        if value_at(answer, "payload", "dataCrc32c") not in {None, checksum}:
            raise StorageUnavailable(
                f"{self.where} returned a secret with an incorrect checksum.",
                remedy="Try again, and check any proxy in front of the secret manager.",
            )
        return content

    async def write(
        self, wire: NetworkAccess, credentials: Credentials, name: str, content: Secret, /
    ) -> None:
        """Store a new version of a secret, creating the secret if necessary."""
        add_request = Request.post(
            f"{self._secrets}/{quote(name, safe='')}:addVersion",
            headers={"Content-Type": "application/json"},
            body=_version(content),
        )
        answer = await wire.send(self.endpoint, add_request, credentials)
        if answer.status == 404:
            await self._create(wire, credentials, name)
            answer = await wire.send(self.endpoint, add_request, credentials)
        if not answer.ok:
            raise self._error_of(answer, "secretmanager.versions.add", name)

    async def _create(self, wire: NetworkAccess, credentials: Credentials, name: str) -> None:
        request = Request.post(
            self._secrets, query={"secretId": name}, json={"replication": {"automatic": {}}}
        )
        answer = await wire.send(self.endpoint, request, credentials)
        if not answer.ok and answer.status != 409:
            raise self._error_of(answer, "secretmanager.secrets.create", name)

    @property
    def _secrets(self) -> str:
        return f"/v1/projects/{quote(self.project, safe='')}/secrets"

    def _error_of(self, answer: Response, permission: str, name: str) -> ConnectorError:
        code = word_at(answer, "error", "status")
        if answer.status == 400 and code == "FAILED_PRECONDITION":
            return ConfigurationError(
                f"The newest version of {name!r} in {self.where} is disabled or destroyed.",
                path="manager",
                remedy="Enable the version, or add a new version.",
            )
        remedy = f"Grant this identity the permission {permission} on {name}."
        return failure_error(self.where, answer, code, remedy)


def _assertion(account: GcpServiceAccount) -> JwtSigning:
    return JwtSigning(
        algorithm="RS256",
        issuer=account.client_email,
        audience=account.token_uri,
        lifetime=_HOUR,
        key_id=account.private_key_id,
        claims={"scope": _SCOPE},
    )


def _exchange(assertion: Secret) -> Request:
    return Request.post("", form={"grant_type": _GRANT, "assertion": assertion.reveal()})


def _account(path: str | os.PathLike[str]) -> GcpServiceAccount | None:
    try:
        key_file = json.loads(Path(path).read_bytes())
        fields = {name: key_file[name] for name in _KEY_FILE_FIELDS if name in key_file}
        return GcpServiceAccount(**fields)
    except (OSError, ValueError, TypeError, AttributeError, ConnectorError):
        return None


def _content(answer: Response) -> Secret | None:
    encoded_secret = secret_at(answer, "payload", "data")
    if encoded_secret is None:
        return None
    try:
        return Secret(a2b_base64(encoded_secret.reveal(), strict_mode=True))
    except ValueError:
        return None


def _version(content: Secret) -> bytes:
    payload = content.reveal_bytes()
    data = b2a_base64(payload, newline=False).decode()
    return encode_json({"payload": {"data": data, "dataCrc32c": str(crc32c(payload))}})
