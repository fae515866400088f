"""Reading of single secrets from a secret manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency._closing import ContextClosable
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.secret_managers._session import HttpWire, Session, content_of
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.http.timeouts import Timeouts
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.clock import Clock
    from moorage.ports.http import HttpClient
    from moorage.ports.secret_manager import LoginProvider, SecretManager

P = TypeVar("P", bound="LoginProvider")
_UNLIMITED_QUEUE = 10**9


@with_careful_constructor
class ManagedSecrets(ContextClosable):
    """Reads secrets by name from a secret manager.

    Args:
        manager: the secret manager: `HashiCorpVault`, `AwsSecretsManager`, `GcpSecretManager`,
            `AzureKeyVault`, or a class of your own.
        http: the HTTP client; by default its own.
        timeout: seconds, or a timedelta, for each request. The first use may make several requests.
        clock: measures time.
    """

    def __init__(
        self,
        manager: SecretManager,
        *,
        http: HttpClient | None = None,
        timeout: float | timedelta = 5.0,
        clock: Clock | None = None,
    ) -> None:
        client: HttpClient = StdlibHttpClient() if http is None else http
        self._close = client.close if http is None else None
        self._session = session_now(manager, client, timeout, clock)

    def read(self, name: str) -> Secret | None:
        """Return the current value of a secret; None if it does not exist."""
        manager, wire = self._session.manager, self._session.wire

        async def read_secret(credentials: Credentials) -> Secret | None:
            return await manager.read(wire, credentials, name)

        return run_now(self._session.do(read_secret))

    def close(self) -> None:
        """Close the HTTP client, unless the application passed it."""
        if self._close is not None:
            self._close()


def session_now(
    manager: P, client: HttpClient, timeout: float | timedelta, clock: Clock | None
) -> Session[P]:
    """Return a session with a secret manager whose operations block the caller."""
    locks = ThreadLocks()

    async def send_request(request: Request, url: str, timeouts: Timeouts) -> Response:
        return client.send(request, url, timeouts)

    async def enter_store(holder: object, timeout: float) -> bool:
        return locks.acquire("", holder, slots=1, queue=_UNLIMITED_QUEUE, timeout=timeout)

    async def read(path: str) -> Any:
        return content_of(path)

    timeout_seconds = seconds(timeout, "timeout")
    wire = HttpWire(manager.where, send_request, read, timeout_seconds, clock or SystemClock())
    return Session(manager, wire, enter_store, lambda holder: locks.release("", holder))
