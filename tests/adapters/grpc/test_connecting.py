"""Connections of the gRPC connector: TLS, credentials, failures to connect, and forks."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    DeadlineExceeded,
    InvalidData,
    LocalFailure,
    OperationAttempt,
    RetryPolicy,
    Secret,
    Service,
    Tls,
    VendorRejected,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.adapters.grpc import _channel
from moorage.adapters.grpc._calls_sync import state_of
from moorage.adapters.grpc._channel import ChannelSettings
from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.adapters.grpc.kind import GRPC, GrpcSettings
from moorage.testing import TcpProxy
from moorage.testing.fakes.http_tls import certificate_files
from tests.adapters.grpc.grpc_harness import ECHO, Harness, HarnessServer
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "token-4711-very-secret"


def identity(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate and its key into a folder."""
    (folder / name).mkdir()
    return certificate_files(folder / name)


@pytest.fixture
def server_with_token(
    tmp_path: Path, servers: Callable[..., HarnessServer]
) -> tuple[HarnessServer, Path, Path]:
    """Yield a server that demands a client certificate, and a matching certificate with its key."""
    server_certificate, server_key = identity(tmp_path, "server")
    certificate, key = identity(tmp_path, "client")
    (tmp_path / "server.pem").write_bytes(server_certificate.read_bytes())
    (tmp_path / "server.key").write_bytes(server_key.read_bytes())
    (tmp_path / "client-ca.pem").write_bytes(certificate.read_bytes())
    return servers(tmp_path), certificate, key


def test_client_certificate_works_as_files_and_as_text(
    harnesses: Callable[..., Harness],
    server_with_token: tuple[HarnessServer, Path, Path],
    tmp_path: Path,
) -> None:
    """A client certificate works as files and as PEM text with an encrypted key."""
    server, certificate, key = server_with_token
    authorities = str(tmp_path / "server.pem")
    files = Tls(authorities=authorities, certificate=str(certificate), key=str(key))
    harness = harnesses(
        server.address, plaintext=False, tls=files, credentials=Credentials.bearer(TOKEN)
    )
    assert f"Bearer {TOKEN}" == harness.call()["metadata"]["authorization"]
    private_key = load_pem_private_key(key.read_bytes(), None)
    sealed_key = private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")
    )
    texts = Tls(
        authorities=(tmp_path / "server.pem").read_bytes(),
        certificate=certificate.read_bytes(),
        key=Secret(sealed_key),
        password=Secret("open sesame"),
    )
    assert "bolt" == harnesses(server.address, plaintext=False, tls=texts).call(name="bolt")["name"]
    pem_path = tmp_path / "both.pem"
    pem_path.write_bytes(certificate.read_bytes() + key.read_bytes())
    single = Tls(authorities=authorities, certificate=str(pem_path))
    assert (
        "bolt" == harnesses(server.address, plaintext=False, tls=single).call(name="bolt")["name"]
    )


@pytest.mark.parametrize("trust", ["system", "other"])
def test_an_untrusted_server_gets_no_request(
    harnesses: Callable[..., Harness],
    server_with_token: tuple[HarnessServer, Path, Path],
    tmp_path: Path,
    trust: str,
) -> None:
    """If the connector does not trust the server's certificate, the error says nothing was sent."""
    server = server_with_token[0]
    tls = None if trust == "system" else Tls(authorities=str(identity(tmp_path, "other")[0]))
    harness = harnesses(
        server.address, plaintext=False, tls=tls, credentials=Credentials.bearer(TOKEN)
    )
    with pytest.raises(ConnectionFailed, match="TLS failed") as excinfo:
        harness.call()
    assert (False, False) == (excinfo.value.may_have_been_processed, excinfo.value.retryable)
    assert TOKEN not in repr(harness.connector)


def test_certificates_that_cannot_be_read(
    harnesses: Callable[..., Harness], tmp_path: Path
) -> None:
    """A missing certificate file or wrong key password is an error that hides the password."""
    certificate, key = identity(tmp_path, "client")
    missing = Tls(certificate=str(certificate), key=str(tmp_path / "missing.key"))
    locked = Tls(certificate=str(certificate), key=str(key), password=Secret(TOKEN))
    for tls in (missing, locked):
        with pytest.raises(ConfigurationError, match="cannot be read") as excinfo:
            harnesses("127.0.0.1:1", plaintext=False, tls=tls).call()
        assert TOKEN not in str(excinfo.value)


def test_no_server_is_a_failure_before_anything_is_sent(harnesses: Callable[..., Harness]) -> None:
    """A closed port and an unknown host raise different errors; both say that nothing was sent."""
    cases = {
        f"127.0.0.1:{free_port()}": ("Nothing accepts", True),
        "no-such-host.invalid:443": ("host name of the gRPC service could not be resolved", False),
        "unix:/no/such/socket": ("Nothing accepts", True),
    }
    for address, (message, retryable) in cases.items():
        local = Credentials.bearer(TOKEN) if address.startswith("unix:") else None
        with pytest.raises(ConnectionFailed, match=message) as excinfo:
            harnesses(address, credentials=local).call()
        assert (False, retryable) == (
            excinfo.value.may_have_been_processed,
            excinfo.value.retryable,
        )


def test_a_silent_port_ends_with_the_time_for_connecting(harnesses: Callable[..., Harness]) -> None:
    """A port that never answers raises ConnectionFailed at the connect timeout."""
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        harness = harnesses(f"127.0.0.1:{silent.getsockname()[1]}", connect_timeout=0.3)
        with pytest.raises(ConnectionFailed, match="connection in time") as excinfo:
            harness.call()
        assert not excinfo.value.may_have_been_processed
        assert "gRPC" in harness.run(harness.connector.health(0.3)).text


def test_a_server_of_another_protocol_is_recognised(harnesses: Callable[..., Harness]) -> None:
    """If a server speaks HTTP/1, the error states that no request was sent."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.close()
            except OSError:
                return

        Thread(target=answer, daemon=True).start()
        with pytest.raises(ConnectionFailed, match="did not answer with gRPC") as excinfo:
            harnesses(f"127.0.0.1:{listener.getsockname()[1]}").call()
        assert not excinfo.value.may_have_been_processed
        listener.shutdown(socket.SHUT_RDWR)


def provider(mode: str, token: str, renewed: str) -> tuple[Any, list[str]]:
    """Return a token provider, and the list to which it appends each renewal."""
    renewals: list[str] = []
    tokens = [Credentials.bearer(token), Credentials.bearer(renewed)]

    class RenewingCredentials:
        def get(self, service: str, tenant: str | None) -> Any:
            return return_result(tokens[bool(renewals)])

        def refresh(self, service: str, tenant: str | None, stale: Any) -> Any:
            renewals.append(f"{service} {tenant} {stale.secret.reveal()}")
            return return_result(tokens[1])

    def return_result(value: Any) -> Any:
        async def return_later() -> Any:
            return value

        return return_later() if mode == "async" else value

    return RenewingCredentials(), renewals


def test_stale_credentials_are_renewed_once(
    harnesses: Callable[..., Harness], server: HarnessServer, mode: str
) -> None:
    """A call that the server refuses as unauthenticated is repeated with renewed credentials."""
    tokens, renewals = provider(mode, "old", "new")
    harness = harnesses(server.address, credentials=tokens)
    operation = harness.connector.call(ECHO, {"do": "demand", "of": "Bearer new"})
    answer = harness.perform(operation, tenant="acme")

    assert "Bearer new" == answer["metadata"]["authorization"]
    assert "Bearer new" == harness.call()["metadata"]["authorization"]
    assert ["harness acme old"] == renewals


def test_refused_renewed_credentials_are_not_renewed_again_and_again(
    harnesses: Callable[..., Harness], server: HarnessServer, mode: str
) -> None:
    """If a server also refuses renewed credentials, they are not renewed on every call."""
    tokens, renewals = provider(mode, "old", "new")
    harness = harnesses(server.address, credentials=tokens)
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            harness.call(do="demand", of="Bearer other")
    assert ["harness None old"] == renewals


def test_caller_gets_that_attempt_error_if_attempt_after_credential_renewal_fails(
    harnesses: Callable[..., Harness], server: HarnessServer, mode: str
) -> None:
    """If the attempt after a credential renewal fails, the caller gets that attempt's error."""
    tokens, renewals = provider(mode, "old", "new")
    harness = harnesses(server.address, credentials=tokens)
    name = f"stale-{id(harness)}"
    lost = {"do": "fail", "code": "UNAUTHENTICATED", "times": 1, "name": name}
    assert name == harness.call(**lost)["name"]
    assert 1 == len(renewals)
    with pytest.raises(VendorRejected):
        harness.call(do="fail", code="UNAUTHENTICATED", then="NOT_FOUND", name=f"{name}-again")
    fixed = harnesses(server.address, credentials=Credentials.api_key(TOKEN, header="X-Token"))
    with pytest.raises(AuthenticationFailed) as excinfo:
        fixed.call(do="fail", code="UNAUTHENTICATED", text=f"bad {TOKEN}")
    assert "bad ***" == excinfo.value.vendor_message
    assert TOKEN == fixed.call()["metadata"]["x-token"]


def test_credential_providers_of_the_http_client_work_for_grpc(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """The credential providers of the HTTP client also work for gRPC."""
    tokens = MemoryCredentialProvider({("harness", None): Credentials.bearer("abc")})
    harness = Harness("sync", server.address, credentials=tokens)
    assert ["Bearer abc"] * 2 == [harness.call()["metadata"]["authorization"] for _ in range(2)]
    harness.close()


@pytest.mark.parametrize("kind", [GrpcConnector, AsyncGrpcConnector])
@pytest.mark.parametrize(
    "settings,path",
    [
        ({"address": "https://orders.example"}, "address"),
        ({"options": {"grpc.enable_retries": 1}}, "options"),
        ({"tls": Tls(minimum="1.3")}, "tls"),
        ({"tls": Tls(), "plaintext": True}, "plaintext"),
        ({"credentials": Credentials.bearer(TOKEN), "plaintext": True}, "plaintext"),
        ({"credentials": Credentials.digest("user", TOKEN)}, "credentials"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    kind: Any, settings: dict[str, Any], path: str
) -> None:
    """Connector settings that cannot work are refused at construction, without showing secrets."""
    with pytest.raises(ConfigurationError) as excinfo:
        kind(**{"address": "orders.example:443", **settings})
    assert path == excinfo.value.path
    assert TOKEN not in str(excinfo.value)


def test_metadata_that_cannot_be_sent_are_refused(harness: Harness) -> None:
    """Metadata with reserved names, or with line breaks in values, are refused."""
    for metadata in ({"grpc-timeout": "1S"}, {"Host": "x"}, {"a b": "x"}):
        with pytest.raises(InvalidData, match="a name that gRPC"):
            harness.connector.call(ECHO, {}, metadata=metadata)
    with pytest.raises(InvalidData, match="'a' in the metadata contains characters"):
        harness.connector.call(ECHO, {}, metadata={"a": "x\ny"})


def test_keepalive_and_options_reach_the_library(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """Keepalive and channel options are passed to grpcio, and calls still work."""
    settings = {"keepalive": 30.0, "options": {"grpc.primary_user_agent": "harness"}}
    harness = harnesses(
        f"localhost:{server.port}", credentials=Credentials.basic("u", TOKEN), **settings
    )
    answer = harness.call()
    assert answer["metadata"]["user-agent"].startswith("harness ")
    assert answer["metadata"]["authorization"].startswith("Basic ")


def test_asynchronous_connector_refuses_second_running_event_loop(server: HarnessServer) -> None:
    """An asynchronous connector may be used in several event loops, but not in two at once."""

    async def perform() -> Any:
        return await connector.call(ECHO, {"name": "bolt"}).perform(OperationAttempt(1, 5.0))

    connector = AsyncGrpcConnector(server.address, plaintext=True)
    first = asyncio.new_event_loop()
    assert "bolt" == first.run_until_complete(perform())["name"]
    with pytest.raises(LocalFailure, match="another event loop"):
        asyncio.run(perform())
    first.run_until_complete(connector.close())
    first.close()
    connector = AsyncGrpcConnector(server.address, plaintext=True)
    assert ["bolt", "bolt"] == [asyncio.run(perform())["name"] for _ in range(2)]


@pytest.mark.parametrize(
    "support,result", [("0", "parent bolt, child LocalFailure"), ("1", "parent bolt, child bolt")]
)
def test_forked_child_needs_grpc_enable_fork_support_to_call_grpc(
    server: HarnessServer, support: str, result: str
) -> None:
    """A forked child can call gRPC only with GRPC_ENABLE_FORK_SUPPORT; else it raises an error."""
    program = [sys.executable, str(Path(__file__).with_name("forking.py")), server.address]
    environment = {
        **os.environ,
        "GRPC_ENABLE_FORK_SUPPORT": support,
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    printed = subprocess.check_output(program, text=True, env=environment, timeout=120)
    assert result == printed.strip()


def test_only_a_fork_after_the_first_use_is_refused() -> None:
    """A fork after the first use is refused, unless grpcio's fork support is enabled."""
    _channel.check_forks({1}, "")
    _channel.check_forks({1, 2}, "True")
    with pytest.raises(LocalFailure, match="work after a fork"):
        _channel.check_forks({1, 2}, "0")


@pytest.mark.parametrize("build", [GRPC.build, GRPC.build_async])
def test_a_missing_library_is_named(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without grpcio installed, the error contains the name of the extra to install."""
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ConfigurationError, match=r"pip install '\.\[grpc\]'"):
        build("orders", GrpcSettings(address="orders.example:443"), None)


def test_channel_without_a_reported_state_counts_as_ready() -> None:
    """A gRPC channel that does not report its state counts as ready."""
    assert "ready" == state_of(object())


def test_leaving_the_with_block_closes_the_connection(server: HarnessServer) -> None:
    """Leaving a connector's `with` block closes the connection."""
    with GrpcConnector(server.address, plaintext=True) as connector:
        connector.open()
        assert "ready" == connector.connectivity
    with pytest.raises(LocalFailure):
        connector.open()

    async def use_connector() -> str:
        async with AsyncGrpcConnector(server.address, plaintext=True) as connector:
            await connector.open()
            return connector.connectivity

    assert "ready" == asyncio.run(use_connector())
    assert ["methods", "call"] == list(connector.operations)
    assert "127.0.0.1" in repr(connector)
    assert "idle" == connector.connectivity


def test_retries_belong_to_the_manager(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """The manager alone retries: grpcio sends each attempt only once."""
    policy = RetryPolicy(max_attempts=4, base_delay=0.0)
    harness = harnesses(
        server.address, service=Service("harness", timeout=20.0, retry=policy, circuit=None)
    )
    name = f"once-{id(harness)}"
    with pytest.raises(VendorRejected):
        harness.call(do="fail", code="ABORTED", name=name)
    assert 1 == harness.call(do="count", of=name)["count"]


def test_threads_that_connect_at_once_share_one_connection(
    server: HarnessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If several threads create a gRPC channel at the same time, all calls use the same channel."""
    threads = 4
    make_channel = ChannelSettings.new_channel
    barrier = Barrier(threads)

    def make_together(settings: ChannelSettings, kind: Any) -> Any:
        barrier.wait(60.0)
        return make_channel(settings, kind)

    monkeypatch.setattr(ChannelSettings, "new_channel", make_together)
    with TcpProxy("127.0.0.1", server.port) as proxy:
        host, port = proxy.address
        harness = Harness("sync", f"{host}:{port}")
        with ThreadPoolExecutor(threads) as executor:
            answers = list(executor.map(lambda name: harness.call(name=name)["name"], "abcd"))
        statistics = harness.connector.statistics()
        assert list("abcd") == answers
        assert (1, 3) == (statistics.created, statistics.reused)
        assert 1 == proxy.connections
        harness.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_callers_that_wait_for_one_connection_count_it_once(
    server: HarnessServer, mode: str
) -> None:
    """If two callers wait for the same new connection, the statistics count one connection."""
    harness = Harness(mode, server.address)
    harness.call()
    current = harness.connector._current  # noqa: SLF001 - the order of two callers is set here
    current.count_connection(0)
    assert 1 == harness.connector.statistics().created
    current.count_connection(1)
    assert 2 == harness.connector.statistics().created
    harness.close()


def test_connector_that_is_closed_while_it_opens_has_no_connection(
    server: HarnessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connector that is closed while another thread opens it closes the new connection."""
    make_channel = ChannelSettings.new_channel

    def make_and_close(settings: ChannelSettings, kind: Any) -> Any:
        connector.close()
        return make_channel(settings, kind)

    monkeypatch.setattr(ChannelSettings, "new_channel", make_and_close)
    connector = GrpcConnector(server.address, plaintext=True)
    connector.open(60.0)
    assert "idle" == connector.connectivity
    with pytest.raises(LocalFailure):
        connector.open(60.0)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_call_that_only_waited_for_a_connection_did_nothing(
    server: HarnessServer, mode: str
) -> None:
    """If connecting lasts until the call's deadline, the error states that nothing was sent."""
    with TcpProxy("127.0.0.1", server.port) as proxy:
        proxy.withhold()
        host, port = proxy.address
        harness = Harness(mode, f"{host}:{port}")
        with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
            harness.perform(harness.connector.call(ECHO, {"name": "x"}), timeout=0.5)
        assert excinfo.value.may_have_been_processed is False
        harness.close()
