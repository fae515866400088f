"""Token renewals that continue after the caller that needed them has gone."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from moorage import (
    AsyncConnectorManager,
    AsyncOAuthTokenRefresher,
    ConnectorManager,
    CredentialRefreshFailed,
    LocalFailure,
    OAuthTokenRefresher,
    Request,
    Response,
    RetryPolicy,
    Secret,
    Service,
)
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.testing import Behaviour, FakeVendor, ScriptedHttpClient, VendorServer
from tests.adapters.forked import run_in_forked_child
from tests.oauth.refresher_harness import OWNER, client, token, token_response
from tests.support.threads import no_new_threads

SERVICE = Service("crm", base_url="https://crm.example", needs_credentials=True)
CLIENTS = {"crm": client()}
SILENT = ScriptedHttpClient(FakeVendor())


class HeldServer:
    """An authorisation server that holds each request until the test releases it."""

    def __init__(self) -> None:
        self.asked = 0
        self.reached = threading.Event()
        self.let = threading.Event()

    def send(self, _: Request, __: str, ___: object, /) -> Response:
        """Hold the request until the test releases it, then return a token."""
        self.asked += 1
        self.reached.set()
        assert self.let.wait(20)
        return token_response(2)

    def open(self, *_: object) -> Any:
        """Fail the test, since no test opens a stream."""
        raise AssertionError

    def close(self) -> None:
        """Do nothing; the fake holds no connection."""


def store_with_expired_token() -> MemoryCredentialProvider:
    """Return a credential store with an expired token."""
    return MemoryCredentialProvider({OWNER: token(1, ago=10**9)})


def test_a_call_ends_in_time_and_the_renewal_later() -> None:
    """A call times out while the authorisation server is silent; the late token is still stored."""
    held_client = HeldServer()
    vault = store_with_expired_token()
    refresher = OAuthTokenRefresher(CLIENTS, vault=vault, http=held_client)
    manager = ConnectorManager([SERVICE], credentials=refresher, http=SILENT)

    with pytest.raises(CredentialRefreshFailed, match="longer than this call can wait"):
        manager.call("crm", Request.get("/"), tenant="acme", timeout=0.2)
    held_client.let.set()
    for thread in threading.enumerate():
        if thread.name == "moorage-oauth":
            thread.join(20)

    assert Secret("at-2") == vault.get(*OWNER).access_token
    assert Secret("at-2") == refresher.get(*OWNER).access_token
    assert 1 == held_client.asked


def test_renewal_in_a_thread_returns_its_result() -> None:
    """An error of a token renewal in a background thread reaches the caller."""
    vendor = FakeVendor()
    vendor.queue(Response(400, {}, b'{"error": "invalid_client"}'))
    http = ScriptedHttpClient(vendor)
    refresher = OAuthTokenRefresher(
        CLIENTS, vault=store_with_expired_token(), http=http, retry=None
    )
    manager = ConnectorManager([SERVICE], credentials=refresher, http=SILENT)

    with pytest.raises(CredentialRefreshFailed, match="invalid_client"):
        manager.call("crm", Request.get("/"), tenant="acme", timeout=5)


def test_a_renewal_in_a_thread_serves_the_call() -> None:
    """A synchronous call with a short timeout uses the token that a background thread renewed."""
    server, service = FakeVendor(), FakeVendor()
    server.queue(token_response(2))
    service.queue(Response(200))
    refresher = OAuthTokenRefresher(
        CLIENTS, vault=store_with_expired_token(), http=ScriptedHttpClient(server)
    )
    manager = ConnectorManager([SERVICE], credentials=refresher, http=ScriptedHttpClient(service))

    manager.call("crm", Request.get("/"), tenant="acme", timeout=5)

    (sent_delivery,) = service.requests
    assert "Bearer at-2" == sent_delivery.headers.get("Authorization")


def test_cancelled_waiter_does_not_cancel_the_renewal() -> None:
    """If one task that waits for a token renewal is cancelled, the renewal continues."""

    async def run_scenario() -> None:
        let, reached_event = asyncio.Event(), asyncio.Event()
        requests: list[object] = []

        class Server:
            async def send(self, request: Request, _: str, __: object, /) -> Response:
                requests.append(request)
                reached_event.set()
                await let.wait()
                return token_response(2)

            async def open(self, *_: object) -> Any:
                raise AssertionError

            async def close(self) -> None:
                """Do nothing; the fake holds no connection."""

        vault = AsyncMemoryCredentialProvider({OWNER: token(1, ago=10**9)})
        http: Any = Server()
        refresher = AsyncOAuthTokenRefresher(CLIENTS, vault=vault, http=http)
        lost_task = asyncio.ensure_future(refresher.get(*OWNER))
        await reached_event.wait()
        lost_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lost_task
        waiter = asyncio.ensure_future(refresher.get(*OWNER))
        let.set()

        assert Secret("at-2") == (await waiter).access_token
        assert 1 == len(requests)

    asyncio.run(run_scenario())


def test_closing_event_loop_cancels_its_token_renewals() -> None:
    """When an event loop closes, its running token renewals are cancelled silently."""

    async def run_scenario() -> AsyncOAuthTokenRefresher:
        class UnansweringClient:
            async def send(self, *_: object) -> Response:
                await asyncio.Event().wait()
                raise AssertionError

            async def open(self, *_: object) -> Any:
                raise AssertionError

            async def close(self) -> None:
                """Do nothing; the fake holds no connection."""

        http: Any = UnansweringClient()
        vault = AsyncMemoryCredentialProvider({OWNER: token(1, ago=10**9)})
        refresher = AsyncOAuthTokenRefresher(CLIENTS, vault=vault, http=http)
        manager = AsyncConnectorManager([SERVICE], credentials=refresher)
        with pytest.raises(Exception, match="deadline"):
            await manager.call("crm", Request.get("/"), tenant="acme", timeout=0.1)
        return refresher

    assert "AsyncOAuthTokenRefresher" in repr(asyncio.run(run_scenario()))


def test_child_process_forked_during_token_renewal_does_not_wait_for_parent_thread() -> None:
    """A child process forked during a token renewal does not wait for the parent's thread."""
    held_client = HeldServer()
    refresher = OAuthTokenRefresher(
        CLIENTS, vault=store_with_expired_token(), http=held_client, request_timeout=0.5
    )
    thread = threading.Thread(target=refresher.get, args=OWNER)
    thread.start()
    assert held_client.reached.wait(20)

    def get_token() -> bool:
        held_client.let.set()
        return bool(refresher.get(*OWNER).access_token == Secret("at-2"))

    assert run_in_forked_child(get_token)
    held_client.let.set()
    thread.join(20)


def test_closing_token_refresher_closes_http_client_that_it_created() -> None:
    """Closing a token refresher closes the HTTP client that it created."""
    with VendorServer() as server:
        server.always(Behaviour(503))
        clients = {"crm": client(server=f"{server.url}/token")}
        plain_refresher = OAuthTokenRefresher(
            clients, vault=store_with_expired_token(), retry=RetryPolicy.none()
        )
        with plain_refresher, pytest.raises(CredentialRefreshFailed):
            plain_refresher.get(*OWNER)
        with OAuthTokenRefresher(clients) as unused:
            assert unused.has("crm", None) is False

        async def check_async() -> None:
            vault = AsyncMemoryCredentialProvider({OWNER: token(1, ago=10**9)})
            options: Any = {"vault": vault, "retry": RetryPolicy.none()}
            async with AsyncOAuthTokenRefresher(clients, **options) as refresher:
                with pytest.raises(CredentialRefreshFailed):
                    await refresher.get(*OWNER)
            async with AsyncOAuthTokenRefresher(clients) as unused:
                assert await unused.has("crm", None) is False

        asyncio.run(check_async())


def test_machine_without_threads_is_a_local_failure() -> None:
    """If no thread can be started for a renewal, only this call fails, with a typed error.

    The next call renews the token.
    """
    server, service = FakeVendor(), FakeVendor()
    server.queue(token_response(2))
    service.queue(Response(200))
    refresher = OAuthTokenRefresher(
        CLIENTS, vault=store_with_expired_token(), http=ScriptedHttpClient(server)
    )
    manager = ConnectorManager([SERVICE], credentials=refresher, http=ScriptedHttpClient(service))

    with no_new_threads(), pytest.raises(LocalFailure, match="could not start another thread"):
        manager.call("crm", Request.get("/"), tenant="acme", timeout=5)
    manager.call("crm", Request.get("/"), tenant="acme", timeout=5)

    (sent_delivery,) = service.requests
    assert "Bearer at-2" == sent_delivery.headers.get("Authorization")
