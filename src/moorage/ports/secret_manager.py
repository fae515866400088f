"""How somebody's secret manager is asked: written once, for both colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.auth import Credentials
    from moorage.domain.http import Request, Response
    from moorage.domain.secret import Secret


class Line(Protocol):
    """What a manager reaches the world through. Time and files are the caller's, too.

    `send` sends a request to a base URL with these credentials, and returns whatever is answered;
    where nothing is, it raises StorageUnavailable. `read` returns a small file of secrets without
    the white space around it, and raises ConfigurationError if it cannot.
    """

    async def send(
        self, base: str, request: Request, credentials: Credentials | None = None, /
    ) -> Response: ...

    async def read(self, path: str, /) -> Secret: ...

    def utc(self) -> datetime: ...

    def nonce(self) -> str: ...


class SecretManager(Protocol):
    """How a secret manager is asked.

    `where` names it in messages. `name` says what the secret of an owner is called, or None if
    another owner's could be called so. `log_in` returns what requests are to carry, and until when
    it holds, if that is known; it is given what was held before, to renew that if it can. `read`
    returns what a secret holds now, or None if there is no such secret; `write` replaces that, or
    makes the secret.

    What is refused raises AuthenticationFailed, which is tried once more with a new login; who
    cannot be reached or does not work, StorageUnavailable; what will never work,
    ConfigurationError. No error shows a secret.
    """

    @property
    def where(self) -> str: ...

    def name(self, service: str, tenant: str | None, /) -> str | None: ...

    async def log_in(self, wire: Line, held: Credentials | None, /) -> Credentials: ...

    async def read(self, wire: Line, credentials: Credentials, name: str, /) -> Secret | None: ...

    async def write(
        self, wire: Line, credentials: Credentials, name: str, content: Secret, /
    ) -> None: ...
