"""Clients of secret managers, written once for synchronous and asynchronous use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.secrets.secret import Secret


class NetworkAccess(Protocol):
    """The network and file access that a secret manager's client gets from its caller.

    `send` sends a request to a base URL with these credentials, and returns any answer; without an
    answer it raises StorageUnavailable. `read` returns the content of a small file of secrets
    without white space around it, and raises ConfigurationError if it cannot.
    """

    async def send(
        self, base: str, request: Request, credentials: Credentials | None = None, /
    ) -> Response: ...

    async def read(self, path: str, /) -> Secret: ...

    def utc(self) -> datetime: ...

    def nonce(self) -> str: ...


class LoginProvider(Protocol):
    """Obtains the credentials for requests to one service.

    `where` names the service in messages. `log_in` returns the credentials for requests, and the
    time until which they are valid, if known; it receives the previous credentials as `held`, to
    renew them if possible.
    """

    @property
    def where(self) -> str: ...

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials: ...


class SecretManager(LoginProvider, Protocol):
    """Reads secrets from one secret manager.

    `name` returns the name of an owner's secret, or None if another owner's secret could have that
    name. `read` returns the current content of a secret, or None if there is no such secret;
    `write` replaces the content, or creates the secret.

    If the login is rejected, this raises AuthenticationFailed; the caller then logs in again, and
    retries once. A manager that cannot be reached or does not work raises StorageUnavailable; a
    permanent problem raises ConfigurationError. No error shows a secret.
    """

    def name(self, service: str, tenant: str | None, /) -> str | None: ...

    async def read(
        self, wire: NetworkAccess, credentials: Credentials, name: str, /
    ) -> Secret | None: ...

    async def write(
        self, wire: NetworkAccess, credentials: Credentials, name: str, content: Secret, /
    ) -> None: ...
