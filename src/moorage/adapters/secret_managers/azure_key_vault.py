"""Azure Key Vault, with its REST API.

A secret's value is a token, or a credential's table in JSON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote, urlsplit

import attrs

from moorage.adapters.secret_managers._answers import (
    failure_error,
    refusal,
    secret_at,
    token_at,
    unexpected_answer,
    word_at,
)
from moorage.adapters.secret_managers._owner_names import secret_word
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import validate_base_url, validate_private_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.json_text import encode_json
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.ports.secret_manager import NetworkAccess

_AUTHORITY: Final = "https://login.microsoftonline.com"
_METADATA: Final = "http://169.254.169.254"
_PARAMETER: Final = re.compile(r'(authorization|authorization_uri|resource)="([^"]*)"')
_ISSUER: Final = "Microsoft's token service"


@with_careful_constructor
@attrs.frozen
class AzureClient:
    """An application's identity in Azure, with a client secret.

    Attributes:
        client_id: the id of the application.
        client_secret: the secret of the application.
        tenant: the directory of the application; by default that of the vault.
        authority: the token service, which differs between Azure's clouds. The vault may name a
            directory, but not another token service.
    """

    client_id: str
    client_secret: Secret = attrs.field(converter=as_secret, hash=False)
    tenant: str | None = attrs.field(default=None, kw_only=True)
    authority: str = attrs.field(default=_AUTHORITY, converter=validate_base_url, kw_only=True)

    async def token(self, wire: NetworkAccess, tenant: str, resource: str) -> Credentials:
        """Return an access token for an Azure resource."""
        directory = quote(self.tenant or tenant, safe="")
        answer = await wire.send(
            self.authority, _grant_request(self, f"/{directory}/oauth2/v2.0/token", resource)
        )
        if answer.status in {400, 401, 403}:
            raise refusal(
                _ISSUER,
                answer,
                word_at(answer, "error"),
                "Check the application's id and secret and the directory, and that the secret"
                " has not expired.",
            )
        return token_at(_ISSUER, answer, wire.utc())


@with_careful_constructor
@attrs.frozen
class AzureManagedIdentity:
    """The managed identity of this machine in Azure.

    Attributes:
        client_id: the id of the identity, if the machine has several.
        address: the URL of the machine's metadata.
    """

    client_id: str | None = None
    address: str = attrs.field(default=_METADATA, converter=validate_base_url, kw_only=True)

    async def token(self, wire: NetworkAccess, tenant: str, resource: str) -> Credentials:  # noqa: ARG002 - the machine has one directory
        """Return this machine's access token for an Azure resource."""
        request = Request.get(
            "/metadata/identity/oauth2/token",
            query={
                "api-version": "2018-02-01",
                "resource": resource,
                "client_id": self.client_id,
            },
            headers={"Metadata": "true"},
        )
        answer = await wire.send(self.address, request)
        return token_at("the machine's metadata", answer, wire.utc())


AzureIdentity: TypeAlias = AzureClient | AzureManagedIdentity


@with_careful_constructor
@attrs.frozen
class AzureKeyVault:
    """A `SecretManager` for the secrets of one Azure key vault.

    The secret of the service `shop` is `moorage-shop`, and that of its tenant `acme-fr` is
    `moorage-shop--acme-fr`.

    Attributes:
        address: the URL of the vault, such as `https://ours.vault.azure.net`.
        identity: an `AzureClient`, or an `AzureManagedIdentity`.
        api_version: the version of the REST API.
        prefix: the beginning of the secrets' names.
    """

    address: str = attrs.field(converter=validate_private_url)
    identity: AzureIdentity = attrs.field(factory=AzureManagedIdentity)
    api_version: str = attrs.field(default="7.4", kw_only=True)
    prefix: str = attrs.field(default="moorage-", kw_only=True)

    @property
    def where(self) -> str:
        """The name of the secret manager in error messages."""
        return f"Key Vault at {self.address}"

    def name(self, service: str, tenant: str | None, /) -> str | None:
        """Return the name of the secret for a service and tenant; None if it would be ambiguous."""
        return secret_word(self.prefix, service, tenant)

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """Return an access token for the resource that the key vault asks for."""
        challenge = await wire.send(self.address, self._request("GET", "/secrets"))
        if challenge.status != 401:
            raise unexpected_answer(self.where, challenge)
        parameters = dict(_PARAMETER.findall(challenge.header("www-authenticate") or ""))
        directory = urlsplit(
            parameters.get("authorization") or parameters.get("authorization_uri") or ""
        )
        resource = parameters.get("resource", "")
        if not directory.path.strip("/") or not self._is_ours(resource):
            raise ConfigurationError(
                f"{self.where} requests a token for a different resource.",
                path="address",
                remedy="Check the vault's address. A vault must not receive a token for"
                " another resource.",
            )
        return await self.identity.token(wire, directory.path.strip("/"), resource.rstrip("/"))

    async def read(
        self, wire: NetworkAccess, credentials: Credentials, name: str, /
    ) -> Secret | None:
        """Return the current version of a secret; None if it does not exist."""
        request = self._request("GET", f"/secrets/{quote(name, safe='')}")
        answer = await wire.send(self.address, request, credentials)
        if answer.status == 404:
            return None
        if not answer.ok:
            raise self._error_of(answer, "get", name)
        content = secret_at(answer, "value")
        if content is None:
            raise unexpected_answer(self.where, answer)
        return content

    async def write(
        self, wire: NetworkAccess, credentials: Credentials, name: str, content: Secret, /
    ) -> None:
        """Store a new version of a secret in the key vault."""
        request = self._request("PUT", f"/secrets/{quote(name, safe='')}")
        request = request.with_header("Content-Type", "application/json")
        answer = await wire.send(self.address, request.evolve(body=_value(content)), credentials)
        if not answer.ok:
            raise self._error_of(answer, "set", name)

    def _request(self, method: str, path: str) -> Request:
        return Request(method, path, query={"api-version": self.api_version})

    def _is_ours(self, resource: str) -> bool:
        """Return whether a token is for the key vault's host or a parent domain of the host."""
        resource_host, host = urlsplit(resource).hostname, urlsplit(self.address).hostname
        return resource_host is not None and (
            host == resource_host or f"{host}".endswith(f".{resource_host}")
        )

    def _error_of(self, answer: Response, verb: str, name: str) -> ConnectorError:
        code = word_at(answer, "error", "innererror", "code") or word_at(answer, "error", "code")
        remedy = f"Allow this identity to {verb} secrets of the vault, and enable {name}."
        return failure_error(self.where, answer, code, remedy)


def _grant_request(client: AzureClient, path: str, resource: str) -> Request:
    return Request.post(
        path,
        form={
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret.reveal(),
            "scope": f"{resource}/.default",
        },
    )


def _value(content: Secret) -> bytes:
    return encode_json({"value": content.reveal()})
