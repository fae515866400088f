"""HashiCorp Vault or OpenBao: the KV engine, version 2, with its HTTP API.

A secret has the fields of a credential's table, as in a file of credentials; a single field
`secret` is a bearer token.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

import attrs

from moorage.adapters.secret_managers._answers import (
    failure_error,
    refusal,
    seconds_at,
    secret_at,
    table_at,
    unexpected_answer,
    value_at,
)
from moorage.adapters.secret_managers._owner_names import secret_path
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import Headers, Request
from moorage.domain.http.urls import validate_private_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.http.requests import Response
    from moorage.ports.secret_manager import NetworkAccess

_TOKEN: Final = "X-Vault-Token"  # noqa: S105 - the name of a header
_SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_MIN_EXTENSION: Final = timedelta(seconds=1)
_LOGIN_REFUSED: Final = (400, 401, 403)


def _mount(value: str) -> str:
    return value.strip("/")


@with_careful_constructor
@attrs.frozen
class VaultToken:
    """A Vault login with an existing token, renewed while Vault allows it.

    Attributes:
        token: the token.
    """

    token: Secret = attrs.field(converter=as_secret, hash=False)


@attrs.frozen
class VaultTokenFile:
    """A Vault login with the token in a file that another program, such as Vault's agent, renews.

    Attributes:
        path: the path of the file, which is read again when Vault refuses the token.
    """

    path: str


@with_careful_constructor
@attrs.frozen
class VaultAppRole:
    """A Vault login with an AppRole, a role for programs.

    Attributes:
        role_id: the id of the role.
        secret_id: the secret of the role; None for a role that is only bound to addresses.
        mount: the path at which the method is enabled.
    """

    role_id: str
    secret_id: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), hash=False
    )
    mount: str = attrs.field(default="approle", converter=_mount, kw_only=True)


@with_careful_constructor
@attrs.frozen
class VaultKubernetes:
    """A Vault login with the service account of a Kubernetes pod.

    Attributes:
        role: the role that Vault assigns to the account.
        mount: the path at which the method is enabled.
        token_file: the file in which Kubernetes stores the account's token.
    """

    role: str
    mount: str = attrs.field(default="kubernetes", converter=_mount, kw_only=True)
    token_file: str = attrs.field(default=_SERVICE_ACCOUNT, kw_only=True)


VaultLogin: TypeAlias = VaultToken | VaultTokenFile | VaultAppRole | VaultKubernetes


@with_careful_constructor
@attrs.frozen
class HashiCorpVault:
    """A `SecretManager` for the secrets in a KV engine of Vault, version 2.

    The secret of the service `shop` is `moorage/services/shop`, and that of its tenant `acme-fr`
    is `moorage/tenants/acme-fr/shop`, so that a policy may be given for a tenant.

    Attributes:
        address: the URL of the server, such as `https://vault.example:8200`.
        login: a `VaultToken`, `VaultTokenFile`, `VaultAppRole` or `VaultKubernetes`.
        mount: the path at which the engine is enabled.
        namespace: the namespace in Vault Enterprise of both the engine and the login.
        prefix: the beginning of the secrets' names.
    """

    address: str = attrs.field(converter=validate_private_url)
    login: VaultLogin
    mount: str = attrs.field(default="secret", converter=_mount, kw_only=True)
    namespace: str | None = attrs.field(default=None, kw_only=True)
    prefix: str = attrs.field(default="moorage/", kw_only=True)

    @property
    def where(self) -> str:
        """The name of the secret manager in error messages."""
        namespace_phrase = "" if self.namespace is None else f", namespace {self.namespace!r}"
        return f"Vault at {self.address}{namespace_phrase}"

    def name(self, service: str, tenant: str | None, /) -> str | None:
        """Return the name of the secret for a service and tenant; None if it would be ambiguous."""
        return secret_path(self.prefix, service, tenant)

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials:
        """Renew the current Vault token, or get a new one."""
        if held is not None:
            renewed_credentials = await self._renew(wire, held)
            if renewed_credentials is not None:
                return renewed_credentials
        login = self.login
        if isinstance(login, VaultToken):
            return await self._look_up(wire, login.token)
        if isinstance(login, VaultTokenFile):
            return await self._look_up(wire, await wire.read(login.path))
        if isinstance(login, VaultAppRole):
            return await self._enter(wire, login.mount, _role(login))
        account = await wire.read(login.token_file)
        return await self._enter(wire, login.mount, _account(login.role, account))

    async def read(
        self, wire: NetworkAccess, credentials: Credentials, name: str, /
    ) -> Secret | None:
        """Return the current version of a secret; None if it does not exist or is deleted."""
        answer = await wire.send(self.address, self._get(self._path(name)), credentials)
        if answer.status == 404 and not value_at(answer, "errors"):
            return None
        if not answer.ok:
            raise failure_error(
                self.where,
                answer,
                None,
                f"Allow this login to read {self.mount}/data/{name} in a policy.",
            )
        content = table_at(answer, "data", "data")
        if content is None:
            raise unexpected_answer(self.where, answer)
        return content

    async def write(
        self, wire: NetworkAccess, credentials: Credentials, name: str, content: Secret, /
    ) -> None:
        """Store a new version of a secret in Vault."""
        answer = await wire.send(
            self.address, self._post(self._path(name), _version(content)), credentials
        )
        if not answer.ok:
            raise failure_error(
                self.where,
                answer,
                None,
                f"Allow this login to create and update {self.mount}/data/{name} in a policy.",
            )

    async def _renew(self, wire: NetworkAccess, held: Credentials) -> Credentials | None:
        """Extend the lifetime of the Vault token; return None if Vault refuses."""
        answer = await wire.send(
            self.address, self._post("/v1/auth/token/renew-self", Secret("{}")), held
        )
        if answer.status in _LOGIN_REFUSED:
            return None
        renewed_token = self._token_of(answer, wire.utc())
        old_expiry, new_expiry = held.expires_at, renewed_token.expires_at
        return (
            renewed_token
            if old_expiry is None or new_expiry is None or new_expiry - old_expiry > _MIN_EXTENSION
            else None
        )

    async def _look_up(self, wire: NetworkAccess, token: Secret) -> Credentials:
        """Return a Vault token with its expiry, if the token may read its own expiry."""
        credentials = Credentials.api_key(token, header=_TOKEN)
        answer = await wire.send(self.address, self._get("/v1/auth/token/lookup-self"), credentials)
        if answer.status in _LOGIN_REFUSED:
            # The token's policies may forbid the look-up; the first request shows whether the token
            # is valid.
            return credentials
        if not answer.ok:
            raise failure_error(self.where, answer, None, "")
        lifetime = seconds_at(answer, "data", "ttl")
        return attrs.evolve(credentials, expires_at=_expiry(wire.utc(), lifetime))

    async def _enter(self, wire: NetworkAccess, mount: str, proof: Secret) -> Credentials:
        answer = await wire.send(self.address, self._post(f"/v1/auth/{quote(mount)}/login", proof))
        if answer.status in _LOGIN_REFUSED:
            raise refusal(
                self.where,
                answer,
                None,
                f"Check the role and its secret for auth/{mount}, and that neither has expired.",
            )
        return self._token_of(answer, wire.utc())

    def _token_of(self, answer: Response, now: datetime) -> Credentials:
        if not answer.ok:
            raise failure_error(self.where, answer, None, "")
        token = secret_at(answer, "auth", "client_token")
        if token is None:
            raise unexpected_answer(self.where, answer)
        lifetime = seconds_at(answer, "auth", "lease_duration")
        return Credentials.api_key(token, header=_TOKEN, expires_at=_expiry(now, lifetime))

    def _path(self, name: str) -> str:
        return f"/v1/{quote(self.mount)}/data/{quote(name)}"

    def _get(self, path: str) -> Request:
        return Request.get(path, headers=self._headers())

    def _post(self, path: str, content: Secret) -> Request:
        headers = self._headers().with_header("Content-Type", "application/json")
        return Request.post(path, headers=headers, body=content.reveal_bytes())

    def _headers(self) -> Headers:
        # Vault's proxies require this header, which a page in a browser cannot send.
        headers = Headers({"X-Vault-Request": "true"})
        if self.namespace is None:
            return headers
        return headers.with_header("X-Vault-Namespace", self.namespace)


def _role(login: VaultAppRole) -> Secret:
    proof = {"role_id": login.role_id}
    if login.secret_id is not None:
        proof["secret_id"] = login.secret_id.reveal()
    return Secret(json.dumps(proof))


def _account(role: str, token: Secret) -> Secret:
    return Secret(json.dumps({"role": role, "jwt": token.reveal()}))


def _version(content: Secret) -> Secret:
    return Secret(f'{{"data":{content.reveal()}}}')


def _expiry(now: datetime, lifetime: float | None) -> datetime | None:
    """Return the time at which a token expires; None if it never does."""
    return None if lifetime is None else now + timedelta(seconds=lifetime)
