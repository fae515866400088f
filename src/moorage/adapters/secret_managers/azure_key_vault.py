"""Azure Key Vault, by its REST API.

A secret's value is a token, or a credential's table in JSON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote, urlsplit

import attrs

from moorage.adapters.secret_managers._answers import (
    failed,
    nonsense,
    refused,
    secret_at,
    token_at,
    word_at,
)
from moorage.adapters.secret_managers._owner_names import in_words
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.json_text import encode_json
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.ports.secret_manager import Line

_AUTHORITY: Final = "https://login.microsoftonline.com"
_METADATA: Final = "http://169.254.169.254"
_PARAMETER: Final = re.compile(r'(authorization|authorization_uri|resource)="([^"]*)"')
_ISSUER: Final = "Microsoft's token service"


@careful
@attrs.frozen
class AzureClient:
    """An application with a secret of its own.

    Attributes:
        client_id: names the application.
        client_secret: proves that we are it.
        tenant: its directory; that of the vault if left out.
        authority: where the directory is asked, which differs between Azure's clouds. The vault may
            name a directory, but not another place to send the secret to.
    """

    client_id: str
    client_secret: Secret = attrs.field(converter=as_secret, hash=False)
    tenant: str | None = attrs.field(default=None, kw_only=True)
    authority: str = attrs.field(default=_AUTHORITY, converter=validate_base_url, kw_only=True)

    async def token(self, wire: Line, tenant: str, resource: str) -> Credentials:
        """An access token for a resource."""
        directory = quote(self.tenant or tenant, safe="")
        answer = await wire.send(
            self.authority, _grant(self, f"/{directory}/oauth2/v2.0/token", resource)
        )
        if answer.status in {400, 401, 403}:
            raise refused(
                _ISSUER,
                answer,
                word_at(answer, "error"),
                "Check the application's id and secret, that the secret has not expired, and the"
                " directory.",
            )
        return token_at(_ISSUER, answer, wire.utc())


@careful
@attrs.frozen
class AzureManagedIdentity:
    """The identity of the machine we run on.

    Attributes:
        client_id: which of several it is, if it has several.
        address: where the machine's metadata is.
    """

    client_id: str | None = None
    address: str = attrs.field(default=_METADATA, converter=validate_base_url, kw_only=True)

    async def token(self, wire: Line, tenant: str, resource: str) -> Credentials:  # noqa: ARG002 - the machine knows
        """The access token that the machine is given for a resource."""
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


@careful
@attrs.frozen
class AzureKeyVault:
    """A `SecretManager`: the secrets of one vault.

    The secret of the service `shop` is `moorage-shop`, and that of its tenant `acme-fr` is
    `moorage-shop--acme-fr`.

    Attributes:
        address: such as `https://ours.vault.azure.net`.
        identity: who we are: an `AzureClient`, or an `AzureManagedIdentity`.
        api_version: of the REST API.
        prefix: what the names of secrets begin with.
    """

    address: str = attrs.field(converter=validate_base_url)
    identity: AzureIdentity = attrs.field(factory=AzureManagedIdentity)
    api_version: str = attrs.field(default="7.4", kw_only=True)
    prefix: str = attrs.field(default="moorage-", kw_only=True)

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"Key Vault at {self.address}"

    def name(self, service: str, tenant: str | None, /) -> str | None:
        """What the secret of an owner is called."""
        return in_words(self.prefix, service, tenant)

    async def log_in(self, wire: Line, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """An access token for what the vault says that it wants one for."""
        challenge = await wire.send(self.address, self._asked("GET", "/secrets"))
        if challenge.status != 401:
            raise nonsense(self.where, challenge)
        said = dict(_PARAMETER.findall(challenge.header("www-authenticate") or ""))
        directory = urlsplit(said.get("authorization") or said.get("authorization_uri") or "")
        resource = said.get("resource", "")
        if not directory.path.strip("/") or not self._is_ours(resource):
            raise ConfigurationError(
                f"{self.where} wants a token for something that is not above it.",
                path="address",
                remedy="Check the vault's address: a token for something else is not given to it.",
            )
        return await self.identity.token(wire, directory.path.strip("/"), resource.rstrip("/"))

    async def read(self, wire: Line, credentials: Credentials, name: str, /) -> Secret | None:
        """What the current version of the secret holds."""
        request = self._asked("GET", f"/secrets/{quote(name, safe='')}")
        answer = await wire.send(self.address, request, credentials)
        if answer.status == 404:
            return None
        if not answer.ok:
            raise self._failed(answer, "get", name)
        content = secret_at(answer, "value")
        if content is None:
            raise nonsense(self.where, answer)
        return content

    async def write(
        self, wire: Line, credentials: Credentials, name: str, content: Secret, /
    ) -> None:
        """Set the secret, which makes a new version of it."""
        request = self._asked("PUT", f"/secrets/{quote(name, safe='')}")
        request = request.with_header("Content-Type", "application/json")
        answer = await wire.send(self.address, request.evolve(body=_value(content)), credentials)
        if not answer.ok:
            raise self._failed(answer, "set", name)

    def _asked(self, method: str, path: str) -> Request:
        return Request(method, path, query={"api-version": self.api_version})

    def _is_ours(self, resource: str) -> bool:
        """Whether a resource is the vault's host, or a domain above it."""
        wanted, host = urlsplit(resource).hostname, urlsplit(self.address).hostname
        return wanted is not None and (host == wanted or f"{host}".endswith(f".{wanted}"))

    def _failed(self, answer: Response, verb: str, name: str) -> ConnectorError:
        code = word_at(answer, "error", "innererror", "code") or word_at(answer, "error", "code")
        remedy = f"Let this identity {verb} secrets of the vault, and enable {name} if it is not."
        return failed(self.where, answer, code, remedy)


def _grant(client: AzureClient, path: str, resource: str) -> Request:
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
