"""HashiCorp Vault, or OpenBao: the KV engine, version 2, by its HTTP API.

A secret's keys are the fields of a credential's table, as a file of credentials has them; the least
is one key called `secret`, which is then a bearer token.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

import attrs

from moorage.adapters.secret_managers._answers import (
    failed,
    found,
    nonsense,
    refused,
    seconds_at,
    secret_at,
    table_at,
)
from moorage.adapters.secret_managers._owner_names import in_folders
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import Headers, Request
from moorage.domain.http.urls import validate_base_url
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.http.requests import Response
    from moorage.ports.secret_manager import Line

_TOKEN: Final = "X-Vault-Token"  # noqa: S105 - the name of a header
_SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_MOVED: Final = timedelta(seconds=1)
_NO_LOGIN: Final = (400, 401, 403)


def _mount(value: str) -> str:
    return value.strip("/")


@careful
@attrs.frozen
class VaultToken:
    """A token that somebody else got, which is renewed as long as Vault lets us.

    Attributes:
        token: what Vault knows us by.
    """

    token: Secret = attrs.field(converter=as_secret, hash=False)


@attrs.frozen
class VaultTokenFile:
    """A token that somebody else keeps in a file and renews, such as Vault's agent.

    Attributes:
        path: of the file; it is read again whenever Vault refuses what it held.
    """

    path: str


@careful
@attrs.frozen
class VaultAppRole:
    """A role for programs.

    Attributes:
        role_id: names the role.
        secret_id: proves that we may take it; None for a role that is bound to addresses only.
        mount: where the method is enabled.
    """

    role_id: str
    secret_id: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), hash=False
    )
    mount: str = attrs.field(default="approle", converter=_mount, kw_only=True)


@careful
@attrs.frozen
class VaultKubernetes:
    """The service account of a pod.

    Attributes:
        role: the role that Vault gives it.
        mount: where the method is enabled.
        token_file: where Kubernetes puts the account's token.
    """

    role: str
    mount: str = attrs.field(default="kubernetes", converter=_mount, kw_only=True)
    token_file: str = attrs.field(default=_SERVICE_ACCOUNT, kw_only=True)


VaultLogin: TypeAlias = VaultToken | VaultTokenFile | VaultAppRole | VaultKubernetes


@careful
@attrs.frozen
class HashiCorpVault:
    """A `SecretManager`: secrets in a KV engine, version 2.

    The secret of the service `shop` is `moorage/services/shop`, and that of its tenant `acme-fr`
    is `moorage/tenants/acme-fr/shop`, so that a policy may be given for a tenant.

    Attributes:
        address: such as `https://vault.example:8200`.
        login: who we are: a `VaultToken`, `VaultTokenFile`, `VaultAppRole` or `VaultKubernetes`.
        mount: where the engine is enabled.
        namespace: of Vault Enterprise, in which both the engine and the login are.
        prefix: what the names of secrets begin with.
    """

    address: str = attrs.field(converter=validate_base_url)
    login: VaultLogin
    mount: str = attrs.field(default="secret", converter=_mount, kw_only=True)
    namespace: str | None = attrs.field(default=None, kw_only=True)
    prefix: str = attrs.field(default="moorage/", kw_only=True)

    @property
    def where(self) -> str:
        """What messages call it."""
        inside = "" if self.namespace is None else f", namespace {self.namespace!r}"
        return f"Vault at {self.address}{inside}"

    def name(self, service: str, tenant: str | None, /) -> str | None:
        """What the secret of an owner is called."""
        return in_folders(self.prefix, service, tenant)

    async def log_in(self, wire: Line, held: Credentials | None, /) -> Credentials:
        """Renew the token that is held, or get one."""
        if held is not None:
            renewed = await self._renewed(wire, held)
            if renewed is not None:
                return renewed
        login = self.login
        if isinstance(login, VaultToken):
            return await self._looked_up(wire, login.token)
        if isinstance(login, VaultTokenFile):
            return await self._looked_up(wire, await wire.read(login.path))
        if isinstance(login, VaultAppRole):
            return await self._entered(wire, login.mount, _role(login))
        account = await wire.read(login.token_file)
        return await self._entered(wire, login.mount, _account(login.role, account))

    async def read(self, wire: Line, credentials: Credentials, name: str, /) -> Secret | None:
        """What the secret holds now; None if it is not there, or deleted."""
        answer = await wire.send(self.address, self._get(self._path(name)), credentials)
        if answer.status == 404 and not found(answer, "errors"):
            return None
        if not answer.ok:
            raise failed(
                self.where,
                answer,
                None,
                f"Let a policy of this login read {self.mount}/data/{name}.",
            )
        content = table_at(answer, "data", "data")
        if content is None:
            raise nonsense(self.where, answer)
        return content

    async def write(
        self, wire: Line, credentials: Credentials, name: str, content: Secret, /
    ) -> None:
        """Write a new version of the secret."""
        answer = await wire.send(
            self.address, self._post(self._path(name), _version(content)), credentials
        )
        if not answer.ok:
            raise failed(
                self.where,
                answer,
                None,
                f"Let a policy of this login create and update {self.mount}/data/{name}.",
            )

    async def _renewed(self, wire: Line, held: Credentials) -> Credentials | None:
        """What is held for longer than before; None if Vault lets it be held no longer."""
        answer = await wire.send(
            self.address, self._post("/v1/auth/token/renew-self", Secret("{}")), held
        )
        if answer.status in _NO_LOGIN:
            return None
        again = self._granted(answer, wire.utc())
        before, after = held.expires_at, again.expires_at
        return again if before is None or after is None or after - before > _MOVED else None

    async def _looked_up(self, wire: Line, token: Secret) -> Credentials:
        """A token, with the time for which it holds as far as it may know that."""
        credentials = Credentials.api_key(token, header=_TOKEN)
        answer = await wire.send(self.address, self._get("/v1/auth/token/lookup-self"), credentials)
        if answer.status in _NO_LOGIN:
            # Its policies may not let it look: whether it holds is found out when it is used.
            return credentials
        if not answer.ok:
            raise failed(self.where, answer, None, "")
        lifetime = seconds_at(answer, "data", "ttl")
        return attrs.evolve(credentials, expires_at=_ends(wire.utc(), lifetime))

    async def _entered(self, wire: Line, mount: str, proof: Secret) -> Credentials:
        answer = await wire.send(self.address, self._post(f"/v1/auth/{quote(mount)}/login", proof))
        if answer.status in _NO_LOGIN:
            raise refused(
                self.where,
                answer,
                None,
                f"Check the role and its secret for auth/{mount}, and that they have not expired.",
            )
        return self._granted(answer, wire.utc())

    def _granted(self, answer: Response, now: datetime) -> Credentials:
        if not answer.ok:
            raise failed(self.where, answer, None, "")
        token = secret_at(answer, "auth", "client_token")
        if token is None:
            raise nonsense(self.where, answer)
        lifetime = seconds_at(answer, "auth", "lease_duration")
        return Credentials.api_key(token, header=_TOKEN, expires_at=_ends(now, lifetime))

    def _path(self, name: str) -> str:
        return f"/v1/{quote(self.mount)}/data/{quote(name)}"

    def _get(self, path: str) -> Request:
        return Request.get(path, headers=self._headers())

    def _post(self, path: str, content: Secret) -> Request:
        headers = self._headers().with_header("Content-Type", "application/json")
        return Request.post(path, headers=headers, body=content.reveal_bytes())

    def _headers(self) -> Headers:
        # Vault's own proxies want the first, so that no page in a browser can ask them.
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


def _ends(now: datetime, lifetime: float | None) -> datetime | None:
    """When a token ends; a lifetime of zero is for ever."""
    return None if lifetime is None else now + timedelta(seconds=lifetime)
