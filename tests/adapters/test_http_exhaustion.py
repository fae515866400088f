"""Errors of each HTTP client when this machine has no free sockets."""

from __future__ import annotations

import gc
import os
import resource
import ssl
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.adapters.mail.smtp import SmtpTransport
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.transport import Proxy
from moorage.errors import ConnectionFailed, LocalFailure
from moorage.testing.kits._http_harness import ThreadedClient
from moorage.testing.sandboxes.email.smtp import SmtpSandbox
from tests.adapters import borrowed_clients, http_modes, pyreqwest_modes
from tests.adapters.http_modes import GET, LONG, in_loop
from tests.support.threads import no_new_threads
from tests.vendors.email_sandboxes import smtp_vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.ports.http import AsyncHttpClient

NOBODY = "http://127.0.0.1:9/"


def _threaded_client(kind: Callable[..., object]) -> AsyncHttpClient:
    return ThreadedClient(kind())  # type: ignore[arg-type]  # each of them is a client


class _ClientInLoop(ThreadedClient):
    """A synchronous client whose requests block the event loop, and need no thread."""

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request, and return its response."""
        return self._client.send(request, url, timeouts)


CLIENTS: dict[str, Callable[..., AsyncHttpClient]] = {
    "stdlib": http_modes.sync_in_threads,
    "stdlib async": AsyncStdlibHttpClient,
    "pyreqwest": pyreqwest_modes.sync_in_threads,
    "pyreqwest async": AsyncPyreqwestHttpClient,
    **{name: partial(_threaded_client, kind) for name, kind in borrowed_clients.SYNC.items()},
    **{f"{name} async": kind for name, kind in borrowed_clients.ASYNC.items()},
}


@contextmanager
def no_files_left() -> Generator[None]:
    """Prevent the process from opening further files or sockets during the block.

    Garbage collection is off during the block: it could close a socket that another test left open,
    whose file number would then be free.
    """
    gc.disable()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        gc.enable()


@pytest.mark.parametrize("name", ["stdlib", "stdlib async"])
@in_loop
async def test_no_free_thread_is_a_local_failure(name: str) -> None:
    """If no thread can look up the host, a call raises LocalFailure, and nothing was sent."""
    client: AsyncHttpClient = AsyncStdlibHttpClient()
    if name == "stdlib":
        client = _ClientInLoop(StdlibHttpClient())
    with no_new_threads(), pytest.raises(LocalFailure, match="another thread") as excinfo:
        await client.send(GET, "http://localhost:9/", LONG)

    assert excinfo.value.retryable
    assert not excinfo.value.may_have_been_processed


@pytest.mark.parametrize("name", CLIENTS)
@in_loop
async def test_no_free_socket_is_a_local_failure(name: str) -> None:
    """Without a free socket, a call raises LocalFailure instead of blaming the vendor."""
    client = CLIENTS[name]()
    with pytest.raises(ConnectionFailed) as excinfo:
        await client.send(GET, NOBODY, LONG)
    with no_files_left(), pytest.raises(LocalFailure, match="not contacted") as failed_excinfo:
        await client.send(GET, NOBODY, LONG)
    await client.close()

    assert not isinstance(excinfo.value, LocalFailure)
    assert failed_excinfo.value.retryable
    assert not failed_excinfo.value.may_have_been_processed


@http_modes.with_both_clients
async def test_no_free_socket_for_a_proxy_is_a_local_failure(make: http_modes.Make) -> None:
    """Without a free socket for the proxy connection, a call raises LocalFailure."""
    client = make(proxy=Proxy(url="http://127.0.0.1:9"))
    with pytest.raises(ConnectionFailed):
        await client.send(GET, "http://127.0.0.1:8/", LONG)
    with no_files_left(), pytest.raises(LocalFailure, match=r"proxy .* not contacted"):
        await client.send(GET, "http://127.0.0.1:8/", LONG)
    await client.close()


def test_no_free_socket_for_mail_is_a_local_failure() -> None:
    """Without a free socket for the mail server, sending mail raises LocalFailure."""
    with SmtpSandbox() as sandbox:
        transport = SmtpTransport(smtp_vendor(sandbox), ssl.create_default_context())
        credentials = Credentials.basic(sandbox.username, sandbox.password)
        envelope = {"sender": "a@b.c", "recipients": ["a@b.c"], "wide": False}
        with no_files_left(), pytest.raises(LocalFailure, match="mail server was not contacted"):
            transport.deliver(credentials, envelope, b"\r\n")
