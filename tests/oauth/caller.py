"""A child process that calls a service with OAuth tokens, for the multi-process tests.

Run it as `python -m tests.oauth.caller`, with its job as JSON on the standard input. It prints
"ready", starts its calls at the next input line, and prints their results. A job may make it kill
itself just before its token request, just after the response, or just after storing the token. It
prints that point first. A job that dies at the second renewal prints "renewed" after the first
one, and calls again at the next input line.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

from moorage import (
    AsyncConnectorManager,
    AsyncOAuthTokenRefresher,
    ConnectorError,
    ConnectorManager,
    Consent,
    OAuthClient,
    OAuthTokenRefresher,
    RefreshToken,
    Request,
    Service,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher
from moorage.adapters.credentials.sqlite import (
    AsyncSqliteCredentialProvider,
    SqliteCredentialProvider,
)
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.state.sealing import KeyRing


def write_line(line: str) -> None:
    """Write a line to standard output, for the parent process."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def kill_itself(point: str) -> None:
    """Print the name of this point, and kill this process with SIGKILL."""
    write_line(point)
    os.kill(os.getpid(), signal.SIGKILL)


class ProcessKillingClient(StdlibHttpClient):
    """An HTTP client that kills its process before a token request or right after its response."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self._when = when
        self._answers = 0

    def send(self, request: Request, url: str, timeouts: Any, /) -> Any:  # noqa: D102 - the client's
        if self._when == "before":
            kill_itself("before")
        answer = super().send(request, url, timeouts)
        self._answers += 1
        if self._when == "between" or (self._when, self._answers) == ("second", 2):
            kill_itself(self._when)
        return answer


class ProcessKillingVault:
    """A credential store that kills its process right after storing new credentials."""

    def __init__(self, vault: Any) -> None:
        self._vault = vault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)

    def rotate(self, *options: Any) -> None:  # noqa: D102 - the vault's
        self._vault.rotate(*options)
        kill_itself("after")


def main() -> None:
    """Run the job that the parent process gave."""
    job = json.loads(sys.stdin.readline())
    endings = asyncio.run(call_from_tasks(job)) if job["async"] else call_from_threads(job)
    write_line(json.dumps(Counter(endings)))


def parts(job: dict[str, Any]) -> tuple[dict[str, OAuthClient], Service, AesGcmCipher]:
    """Return the OAuth clients, the service and the cipher for synchronous and async callers."""
    refresh_token = job["refresh_token"]
    client = OAuthClient(
        server=job["token_url"],
        client_id="erp",
        secret="s3cr3t",
        grant=Consent() if refresh_token is None else RefreshToken(refresh_token),
    )
    service = Service(
        "crm",
        base_url=job["url"],
        needs_credentials=True,
        circuit=None,
        retry=None,
        timeout=120.0,
    )
    return {"crm": client}, service, AesGcmCipher(KeyRing.parse(job["keys"]))


def call_from_threads(job: dict[str, Any]) -> list[str]:
    """Call the service from several threads at once; return the results."""
    clients, service, cipher = parts(job)
    folder, dies = Path(job["folder"]), job["dies"]
    vault: Any = SqliteCredentialProvider(folder / "tokens.db", cipher)
    if dies == "after":
        vault = ProcessKillingVault(vault)
    refresher = OAuthTokenRefresher(
        clients,
        vault=vault,
        storage=SqliteStorage(folder / "state.db"),
        http=ProcessKillingClient(dies) if dies in {"before", "between", "second"} else None,
        request_timeout=job["request_timeout"],
    )
    manager = ConnectorManager([service], credentials=refresher)
    endings: list[str] = []
    barrier = Barrier(job["callers"] + 1)

    def call() -> None:
        barrier.wait()
        try:
            endings.append(str(manager.call("crm", Request.get("/resource")).status))
        except ConnectorError as error:
            endings.append(type(error).__name__)

    threads = [Thread(target=call) for _ in range(job["callers"])]
    for thread in threads:
        thread.start()
    write_line("ready")
    sys.stdin.readline()
    barrier.wait()
    for thread in threads:
        thread.join()
    if dies == "second":
        write_line("renewed")
        sys.stdin.readline()
        manager.call("crm", Request.get("/resource"))
    return endings


async def call_from_tasks(job: dict[str, Any]) -> list[str]:
    """Call the service from several asyncio tasks at once; return the results."""
    clients, service, cipher = parts(job)
    folder = Path(job["folder"])
    refresher = AsyncOAuthTokenRefresher(
        clients,
        vault=AsyncSqliteCredentialProvider(folder / "tokens.db", cipher),
        storage=AsyncSqliteStorage(folder / "state.db"),
        request_timeout=job["request_timeout"],
    )
    manager = AsyncConnectorManager([service], credentials=refresher)

    async def call() -> str:
        try:
            return str((await manager.call("crm", Request.get("/resource"))).status)
        except ConnectorError as error:
            return type(error).__name__

    write_line("ready")
    sys.stdin.readline()
    return list(await asyncio.gather(*(call() for _ in range(job["callers"]))))


if __name__ == "__main__":
    main()
