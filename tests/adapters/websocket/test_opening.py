"""Opening WebSocket connections: TLS, credentials, error responses and forks."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from websockets.asyncio.server import ServerConnection, serve

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    Credentials,
    LocalFailure,
    RateLimitExceeded,
    Secret,
    Service,
    Tls,
    VendorRejected,
)
from moorage.adapters.websocket.connector import AsyncWebSocketConnector, WebSocketConnector
from moorage.domain.service.json_rpc_messages import JsonRpcMessages
from moorage.testing.fakes.http_tls import certificate_files
from tests.adapters.forked import run_in_forked_child
from tests.adapters.websocket.server_process import TOKEN
from tests.adapters.websocket.websocket_harness import AT_ONCE, Harness, Server
from tests.support.frames import is_of_moorage
from tests.support.modules import uninstall
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def tls_server(tmp_path: Path) -> Generator[tuple[Server, Path]]:
    """Yield a WebSocket server with TLS, and the file with its authority."""
    certificate, key = certificate_files(tmp_path)
    running = Server(tmp_path / "effects", str(certificate), str(key))
    yield running, certificate
    running.kill()


def test_websocket_server_whose_certificate_is_not_trusted_gets_no_request(
    harness: Harness, tls_server: tuple[Server, Path]
) -> None:
    """A WebSocket server whose certificate is not trusted gets no request."""
    server, authority = tls_server
    trusting = harness.connector(server.url, tls=Tls(authorities=str(authority)))
    assert {"a": 1} == harness.request(trusting, "echo", a=1)

    with pytest.raises(ConnectionFailed, match="TLS failed") as excinfo:
        harness.change(harness.connector(server.url), "echo")
    assert (False, False) == (
        excinfo.value.may_have_been_processed,
        excinfo.value.retryable,
    )


def test_headers_and_credentials_are_sent_in_the_handshake(
    harness: Harness, server: Server
) -> None:
    """Configured headers and credentials are sent in the opening handshake."""
    header = harness.connector(server.url, headers={"X-Shop": "7"})
    bearer = harness.connector(server.url, credentials=Credentials.bearer(TOKEN))
    parameter = harness.connector(
        f"{server.url}/a?b=c", credentials=Credentials.api_key(TOKEN, query="token")
    )

    assert ["7", "/"] == harness.request(header, "header", name="X-Shop")
    assert [f"Bearer {TOKEN}", "/"] == harness.request(bearer, "header", name="Authorization")
    assert [None, f"/a?b=c&token={TOKEN}"] == harness.request(parameter, "header", name="None")


class Provider:
    """A credential provider whose first token the server refuses."""

    def __init__(self, *, is_async: bool, renewed: str = TOKEN) -> None:
        self.calls: list[str] = []
        self._is_async = is_async
        self._renewed = renewed

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the old token."""
        self.calls.append(f"get {service} {tenant}")
        return self._of_mode(Credentials.bearer("old"))

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Return the new token."""
        self.calls.append(f"refresh {stale.secret.reveal()}")
        return self._of_mode(Credentials.bearer(self._renewed))

    def _of_mode(self, value: Any) -> Any:
        async def later() -> Any:
            return value

        return later() if self._is_async else value


def test_refused_token_is_renewed_once(harness: Harness, server: Server) -> None:
    """A token that the server refuses is renewed once, and the connection then opens."""
    provider = Provider(is_async=harness.mode == "async")
    connector = harness.connector(f"{server.url}/secret", provider=provider)

    assert {} == harness.request(connector, "echo")
    assert ["get orders None", "refresh old"] == provider.calls


@pytest.mark.parametrize("renewed", ["old", "older"])
def test_error_for_credential_refused_even_after_renewal_does_not_show_it(
    harness: Harness, server: Server, renewed: str
) -> None:
    """The error for a credential refused even after renewal does not show it."""
    provider = Provider(is_async=harness.mode == "async", renewed=renewed)
    connectors = [
        harness.connector(f"{server.url}/secret", provider=provider),
        harness.connector(
            f"{server.url}/secret", credentials=Credentials.bearer("wrong-token-4711")
        ),
        harness.connector(f"{server.url}/secret"),
    ]
    for connector in connectors:
        with pytest.raises(AuthenticationFailed, match="HTTP 401") as excinfo:
            harness.request(connector, "echo")
        frames = _values_of_frames(excinfo.value)
        assert "wrong-token-4711" not in f"{excinfo.value!r} {vars(excinfo.value)} {frames}"


def _values_of_frames(error: BaseException) -> str:
    """Return the local values of moorage's frames in a traceback."""
    values, trace = [], error.__traceback__
    while trace is not None:
        if is_of_moorage(trace.tb_frame.f_code.co_filename):
            values.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    return " ".join(values)


@pytest.mark.parametrize(
    "status, kind",
    [
        (302, VendorRejected),
        (403, AuthenticationFailed),
        (404, VendorRejected),
        (429, RateLimitExceeded),
        (503, ConnectionFailed),
    ],
)
def test_nothing_was_processed_if_server_refuses_handshake(
    harness: Harness, server: Server, status: int, kind: Any
) -> None:
    """If the server refuses the handshake, the error has the server's Retry-After.

    Nothing was processed.
    """
    connector = harness.connector(f"{server.url}/status/{status}")
    with pytest.raises(kind, match=f"HTTP {status}") as excinfo:
        harness.change(connector, "echo")

    error: ConnectorError = excinfo.value
    assert 7.0 == error.vendor_retry_after
    assert not getattr(error, "may_have_been_processed", False)


def test_unknown_websocket_host_raises_connection_failed(harness: Harness) -> None:
    """An unknown WebSocket host raises ConnectionFailed, and the error is not retryable."""
    connector = harness.connector("ws://nowhere.invalid")
    with pytest.raises(ConnectionFailed, match="could not be resolved") as excinfo:
        harness.request(connector, "echo")

    assert not excinfo.value.retryable


class Listener:
    """A TCP server that accepts connections, and sends fixed bytes or nothing on each."""

    def __init__(self, answer: bytes | None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.url = f"ws://127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self, number: int) -> None:
        """Accept this number of connections, and send the fixed bytes on each."""
        for _ in range(number):
            connection, _ = self._socket.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(self._answer or b"")

    def cut(self) -> None:
        """Accept one connection, cut it off and stop listening."""
        connection, _ = self._socket.accept()
        connection.close()
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def test_connecting_to_a_silent_server_ends_at_the_timeout(harness: Harness) -> None:
    """If a server never answers the handshake, connecting ends after the connect timeout."""
    listener = Listener(None)
    connector = harness.connector(listener.url, connect_timeout=0.2)
    with pytest.raises(AttemptTimeout, match="did not accept a connection in time") as excinfo:
        harness.change(connector, "echo")
    listener.close()

    assert not excinfo.value.may_have_been_processed


@pytest.mark.parametrize(
    "answer, message",
    [
        (b"", "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "did not answer like a WebSocket server"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "did not answer like a WebSocket server"),
    ],
)
def test_server_without_websocket_raises_an_error(
    harness: Harness, answer: bytes, message: str
) -> None:
    """A server that does not speak WebSocket raises an error, and nothing was processed."""
    listener = Listener(answer)
    thread = threading.Thread(target=listener.serve, args=(1,), daemon=True)
    thread.start()
    connector = harness.connector(listener.url)
    payload = {"method": "echo"}
    with pytest.raises(ConnectorError, match=message) as excinfo:
        harness.finish(connector.open(30.0))
    thread.join()
    listener.close()

    assert not getattr(excinfo.value, "may_have_been_processed", False)
    assert connector.request(payload, name="echo").translate_error(ValueError()) is None


class Greeting(JsonRpcMessages):
    """A codec whose opening message the server never confirms."""

    def opening(self) -> Any:
        """Return a request that gets no reply."""
        return '{"method": "silent"}'


def test_call_raises_attempt_timeout_if_server_does_not_confirm_opening_message(
    harness: Harness, server: Server
) -> None:
    """If the server does not confirm the opening message, the call raises AttemptTimeout."""
    connector = harness.connector(server.url, codec=Greeting(), connect_timeout=0.2)
    with pytest.raises(AttemptTimeout, match="in time"):
        harness.change(connector, "echo")


def test_contradictory_settings_are_refused(harness: Harness) -> None:
    """Contradictory WebSocket settings are refused without showing their secrets."""
    for url, settings, message in (
        ("https://a.example", {}, "not the address of a WebSocket server"),
        ("ws://a.example:99999", {}, "not the address of a WebSocket server"),
        ("wss://[::1/orders", {}, "not the address of a WebSocket server"),
        ("ws:///orders", {}, "not the address of a WebSocket server"),
        ("ws://a.example", {"tls": Tls()}, "has no TLS"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            harness.connector(url, **settings)
    digest = Credentials.digest("ada", "secret")
    with pytest.raises(ConfigurationError, match="answer a challenge"):
        harness.finish(harness.connector("ws://a.example", credentials=digest).open(5.0))
    assert "4711" not in repr(harness.connector(Secret("ws://a.example/?token=4711")))


def test_error_names_extra_to_install_without_websockets_installed(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without websockets installed, the error names the pip extra to install."""
    uninstall(monkeypatch, "websockets", "websockets.", "moorage.adapters.websocket._")
    with pytest.raises(ConfigurationError, match="not installed") as excinfo:
        harness.connector("ws://a.example")

    assert "[websockets]" in (excinfo.value.remedy or "")


def test_close_is_bounded(harness: Harness, server: Server) -> None:
    """Closing a connector ends after `close_timeout` if the server does not respond."""
    connector = harness.connector(server.url, close_timeout=0.2, heartbeat=None)
    payload = {"method": "freeze"}
    with pytest.raises(ConnectorError):
        harness.perform(connector.request(payload, name="freeze"), timeout=0.1)
    begun = time.monotonic()
    harness.finish(connector.close())

    assert time.monotonic() - begun < 60.0


def test_forked_child_opens_its_own_connection(server: Server) -> None:
    """A forked child opens its own connection, and the parent's connection stays open."""
    connector = WebSocketConnector(server.url, reconnect=AT_ONCE)
    find = connector.request({"method": "echo", "params": [1]}, name="echo")
    manager = ConnectorManager([Service("orders")])
    assert [1] == manager.perform("orders", find)
    assert [1] == run_in_forked_child(
        lambda: ConnectorManager([Service("orders")]).perform("orders", find)
    )
    assert [1] == manager.perform("orders", find)
    assert 1 == connector.statistics().created
    connector.close()


def test_forked_child_has_no_waiting_callers() -> None:
    """In a forked child, no caller of the parent counts as waiting for the connection."""
    listener = Listener(None)
    connector = WebSocketConnector(listener.url, connect_timeout=600.0)

    def wait() -> None:
        with suppress(ConnectionFailed):
            connector.open(600.0)

    caller = threading.Thread(target=wait, daemon=True)
    caller.start()
    wait_until(lambda: connector.statistics().waiting, "the waiting caller")
    waiting = run_in_forked_child(lambda: connector.statistics().waiting)
    listener.cut()
    caller.join()

    assert (0, 0) == (waiting, connector.statistics().waiting)


def test_asynchronous_websocket_connector_refuses_second_open_event_loop(server: Server) -> None:
    """An asynchronous WebSocket connector refuses a second open event loop."""
    connector = AsyncWebSocketConnector(server.url)
    first = asyncio.new_event_loop()
    first.run_until_complete(connector.open(30.0))

    with pytest.raises(LocalFailure, match="another event loop"):
        asyncio.run(connector.open(30.0))
    first.run_until_complete(connector.close())
    first.close()
    second = AsyncWebSocketConnector(server.url)

    async def use_connector() -> None:
        await second.open(30.0)
        await (await second.connection.session(30.0)).close()

    for _ in range(2):
        asyncio.run(use_connector())
    assert 2 == second.statistics().created


def test_cancelling_caller_that_opens_connection_leaves_no_connection_behind(
    server: Server,
) -> None:
    """Cancelling a caller that opens the connection leaves no connection behind."""

    async def use_connector() -> None:
        connector = AsyncWebSocketConnector(server.url, codec=Greeting())
        opening = asyncio.create_task(connector.open(30.0))
        await asyncio.sleep(0.1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert (0, 0) == (connector.statistics().size, connector.statistics().waiting)
        await connector.close()

    asyncio.run(use_connector())


def test_connection_that_opens_after_its_connector_was_closed_is_closed() -> None:
    """If the connector is closed while it connects, the new connection is also closed."""

    async def use_connector() -> None:
        is_asked, may_accept, is_over = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def accept_later(_: ServerConnection, __: object) -> None:
            is_asked.set()
            await may_accept.wait()

        async def wait_for_end(connection: ServerConnection) -> None:
            await connection.wait_closed()
            is_over.set()

        async with serve(wait_for_end, "127.0.0.1", 0, process_request=accept_later) as listener:
            [peer] = listener.sockets
            connector = AsyncWebSocketConnector(f"ws://127.0.0.1:{peer.getsockname()[1]}")
            opening = asyncio.create_task(connector.open(30.0))
            await is_asked.wait()
            await connector.close()
            may_accept.set()
            with pytest.raises(LocalFailure, match="connector is closed"):
                await opening
            async with asyncio.timeout(60):
                await is_over.wait()

    asyncio.run(use_connector())


def test_callers_share_the_opening(server: Server) -> None:
    """Callers that open a WebSocket connector at the same time share one connection."""

    async def use_connector() -> int:
        async with AsyncWebSocketConnector(server.url) as connector:
            await asyncio.gather(*(connector.open(30.0) for _ in range(20)))
            return connector.statistics().created

    assert 1 == asyncio.run(use_connector())
    with WebSocketConnector(server.url) as connector:
        connector.open(30.0)
        assert 1 == connector.statistics().created


def test_caller_waits_no_longer_than_its_time_for_the_opening_of_another() -> None:
    """A caller with a short timeout stops waiting while another caller is still connecting."""
    listener = Listener(None)

    async def use_connector() -> int:
        connector = AsyncWebSocketConnector(listener.url, connect_timeout=600.0)
        opening = asyncio.create_task(connector.open(600.0))
        await asyncio.sleep(0)
        assert 1 == connector.statistics().waiting
        with pytest.raises(AttemptTimeout, match="did not accept a connection in time") as excinfo:
            await connector.open(0.05)
        assert not excinfo.value.may_have_been_processed
        opening.cancel()
        await asyncio.wait([opening])
        return connector.statistics().waiting

    assert 0 == asyncio.run(use_connector())
    listener.close()


def test_connection_after_a_fork_in_the_same_event_loop(server: Server) -> None:
    """After a fork, the connector opens its own connection even in the same event loop."""

    async def use_connector() -> tuple[int, int]:
        async with AsyncWebSocketConnector(server.url) as connector:
            inherited = await connector.connection.session(30.0)
            connector.connection.restart_after_fork()  # as in a child process
            assert 0 == connector.statistics().size
            await connector.open(30.0)
            assert inherited.is_open
            await inherited.close()
            return connector.statistics().created, connector.statistics().idle

    assert (2, 1) == asyncio.run(use_connector())


class WelcomeMessages(JsonRpcMessages):
    """A codec that sends an opening message, and answers the server's confirmation of it."""

    def opening(self) -> Any:
        """Return a request that gets a reply."""
        return '{"method": "echo", "id": 999}'

    def read(self, message: str | bytes, /) -> Any:
        """Recognise the server's confirmation, and return the answer to it."""
        arrival = super().read(message)
        if arrival.id != "999":
            return arrival
        return attrs.evolve(
            arrival, id=None, is_ready=True, answer='{"method": "add", "params": {"id": "w"}}'
        )


def test_first_message_that_is_accepted(harness: Harness, killable_server: Server) -> None:
    """Requests are sent once the server has confirmed the opening message."""
    connector = harness.connector(killable_server.url, codec=WelcomeMessages())

    assert {"a": 1} == harness.request(connector, "echo", a=1)
    wait_until(lambda: killable_server.added() == ["w"], "the answer")


class CloseCodeMessages(JsonRpcMessages):
    """A codec that converts the server's close code to an error."""

    def opening(self) -> Any:
        """Return a request after which the server closes the connection."""
        return '{"method": "close", "params": {"code": 4401}}'

    def closing_error(self, code: int, reason: str, /, *, was_sent: bool) -> Any:
        """Return an AuthenticationFailed with the close code."""
        return AuthenticationFailed(f"The code is {code}.")


def test_connection_that_ends_before_it_is_accepted(harness: Harness, server: Server) -> None:
    """If the server closes the connection during opening, its close code determines the error."""
    connector = harness.connector(server.url, codec=CloseCodeMessages())
    with pytest.raises(AuthenticationFailed, match="The code is 4401"):
        harness.change(connector, "echo")
