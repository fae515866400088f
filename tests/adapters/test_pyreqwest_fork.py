"""The pyreqwest HTTP clients in forked processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.http.connections._settings import ConnectionSettings
from moorage.adapters.http.pyreqwest._clients import (
    Clients,
    ProcessForked,
    _uses,
    async_builder,
    sync_builder,
)
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.domain.http.requests import BodyStream, Request
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError, LocalFailure, VendorFailed
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from tests.adapters.forked import run_in_forked_child
from tests.adapters.http_modes import GET, LONG, Make
from tests.adapters.pyreqwest_modes import with_both_clients

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

LOADED = """
from pyreqwest.client import SyncClientBuilder
"""
USED = f"""{LOADED}
SyncClientBuilder().build().get(sys.argv[1]).build().send()
"""
STREAMED = Request.put("/", body=BodyStream.of(lambda: [b"x"]))


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """Yield a vendor server that answers every request."""
    with VendorServer() as server:
        server.always(Behaviour(200, body=b"x" * 99))
        yield server


@contextmanager
def simulated_fork() -> Generator[None, None, None]:
    """Make this process look like a child forked after its parent had used pyreqwest."""
    first = dict(_uses)
    _uses["pid"] = -1
    try:
        yield
    finally:
        _uses.clear()
        _uses.update(first)


@with_both_clients
async def test_fallback_to_the_standard_library(make: Make, vendor: VendorServer) -> None:
    """In a forked process, the pyreqwest client uses the standard library from the first call."""
    client = make(max_connections=7)
    with simulated_fork():
        with pytest.warns(RuntimeWarning, match="was forked"):
            assert 200 == (await client.send(GET, vendor.url, LONG)).status
        for request in (GET, STREAMED):
            assert 200 == (await client.send(request, vendor.url, LONG)).status
            incoming = await client.open(request, vendor.url, LONG)
            assert b"x" * 99 == await incoming.read()
        result = client.statistics()  # type: ignore[attr-defined]  # which the port has not
        assert (7, False) == (result.limit, result.idle is None)
        await client.close()


@with_both_clients
async def test_first_stream_after_a_fork_warns(make: Make, vendor: VendorServer) -> None:
    """In a forked process, a warning of the fork is issued even if the first call is a stream."""
    client = make()
    with simulated_fork():
        with pytest.warns(RuntimeWarning, match="was forked"):
            incoming = await client.open(GET, vendor.url, LONG)
        assert b"x" * 99 == await incoming.read()
        incoming.close()
        await client.close()


@with_both_clients
async def test_closed_client_stays_closed_after_a_fork(make: Make, vendor: VendorServer) -> None:
    """A pyreqwest client closed before a fork stays closed in the child."""
    client = make()
    await client.close()
    with (
        simulated_fork(),
        pytest.warns(RuntimeWarning, match="was forked"),
        pytest.raises(LocalFailure, match="is closed"),
    ):
        await client.send(GET, vendor.url, LONG)


def test_refused_runtime_means_a_fork() -> None:
    """If pyreqwest's runtime refuses to start, the client treats the process as forked."""

    def refuse() -> None:
        raise RuntimeError("A runtime was initialized before fork()")

    clients = Clients(refuse, ConnectionSettings(), None, http2=False)
    with pytest.raises(ProcessForked):
        clients.find(None, None, proxied=False)


@pytest.mark.parametrize("builder", [async_builder, sync_builder])
def test_child_of_a_loaded_parent_does_not_use_pyreqwest(builder: Callable[[], object]) -> None:
    """If the parent had loaded pyreqwest, a child process does not start pyreqwest's runtime."""

    def run_in_child() -> object:
        try:
            Clients(builder, ConnectionSettings(), None, http2=False).enter()
        except ProcessForked:
            return "refused"
        return "entered"

    builder()
    assert "refused" == run_in_forked_child(run_in_child)


@pytest.mark.parametrize("mode", ["", "Async"])
def test_missing_library_names_the_extra(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyreqwest installed, the error names the pip extra to install."""
    kind = AsyncPyreqwestHttpClient if mode else PyreqwestHttpClient
    monkeypatch.setitem(sys.modules, "pyreqwest", None)

    with pytest.raises(ConfigurationError, match="needs pyreqwest") as excinfo:
        kind()

    assert install("pyreqwest") == excinfo.value.remedy


def test_creating_a_client_does_not_load_pyreqwest() -> None:
    """Creating clients does not load pyreqwest, so the process may still fork."""
    code = (
        "import sys\n"
        "from moorage import Proxy, Tls\n"
        "from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient\n"
        "from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient\n"
        "for kind in (PyreqwestHttpClient, AsyncPyreqwestHttpClient):\n"
        "    kind(tls=Tls(), proxy='http://127.0.0.1:3128').statistics()\n"
        "print('pyreqwest' in sys.modules)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )

    assert "False" == output.stdout.strip()


def test_forked_child_falls_back(vendor: VendorServer) -> None:
    """A child of a process that used pyreqwest uses the standard library, and warns once."""
    client = PyreqwestHttpClient(max_connections=7)
    client.send(GET, vendor.url, LONG)

    def run_in_child() -> object:
        with warnings.catch_warnings(record=True) as reports:
            warnings.simplefilter("always")
            sent_numbers = [
                client.send(request, vendor.url, LONG).status for request in (GET, STREAMED)
            ]
            incoming = client.open(GET, vendor.url, LONG)
            status, body = incoming.status, incoming.read()
            result = client.statistics()
            client.close()
        messages = [str(warning.message) for warning in reports]
        return sent_numbers, status, body, result.limit, result.idle is None, messages

    sent_statuses, status, body, limit, tells_no_idle, messages = run_in_forked_child(run_in_child)

    assert ([200, 200], 200, b"x" * 99, 7, False) == (
        sent_statuses,
        status,
        body,
        limit,
        tells_no_idle,
    )
    (message,) = messages
    assert message.startswith("PyreqwestHttpClient uses the standard library instead of pyreqwest")
    assert 200 == client.send(GET, vendor.url, LONG).status


def test_forked_child_falls_back_for_streams(vendor: VendorServer) -> None:
    """In a forked child, a stream also uses the standard library, with the same limits."""
    client = PyreqwestHttpClient(max_body=50)
    client.open(GET, vendor.url, LONG).close()

    def run_in_child() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            incoming = client.open(GET, vendor.url, LONG)
            body = incoming.read()
            try:
                client.send(GET, vendor.url, LONG)
            except VendorFailed:
                return body
            return None

    assert b"x" * 99 == run_in_forked_child(run_in_child)


def test_warnings_as_errors_break_no_call(vendor: VendorServer) -> None:
    """If warnings are errors, a call in a forked child still succeeds."""
    client = PyreqwestHttpClient()
    client.send(GET, vendor.url, LONG)

    def run_in_child() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return client.send(GET, vendor.url, LONG).status

    assert 200 == run_in_forked_child(run_in_child)


def test_forked_child_falls_back_in_a_loop(vendor: VendorServer) -> None:
    """In a forked child, the asynchronous client also uses the standard library."""
    client, other_client = AsyncPyreqwestHttpClient(), AsyncPyreqwestHttpClient(max_connections=7)
    asyncio.run(_ask(client, vendor.url))

    async def stream_and_send() -> object:
        incoming = await other_client.open(GET, vendor.url, LONG)
        body = await incoming.read()
        sent_status = await _ask(other_client, vendor.url)
        incoming = await other_client.open(GET, vendor.url, LONG)
        incoming.close()
        result = other_client.statistics()
        await other_client.close()
        return body, sent_status, await _ask(client, vendor.url), result.limit

    def run_in_child() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return asyncio.run(stream_and_send())

    assert (b"x" * 99, 200, 200, 7) == run_in_forked_child(run_in_child)


async def _ask(client: AsyncPyreqwestHttpClient, url: str) -> int:
    return (await client.send(GET, url, LONG)).status


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(
    "before, expected",
    [
        ("", "False"),
        (LOADED, "True"),
        (USED, "True"),
    ],
    ids=["unused", "loaded by the host", "used by the host"],
)
def test_fork_before_loading_is_allowed(vendor: VendorServer, before: str, expected: str) -> None:
    """A child forked before pyreqwest was loaded can use it."""
    code = (
        "import os, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient\n"
        "from moorage.domain.http.requests import Request, Timeouts\n"
        "client = PyreqwestHttpClient()\n"
        f"{before}"
        "if not os.fork():\n"
        "    client.send(Request.get('/'), sys.argv[1], Timeouts(total=20))\n"
        "    print(client.statistics().idle is not None, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, vendor.url], capture_output=True, check=True, text=True
    )

    assert expected == output.stdout.strip()
