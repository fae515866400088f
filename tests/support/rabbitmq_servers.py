"""Private RabbitMQ servers that tests may kill, and a proxy that loses responses."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from moorage.testing.fakes.http_tls import certificate_files
from tests.support.ports import free_port
from tests.support.servers import rabbitmq_programs
from tests.support.waiting import wait_until


class PrivateRabbitMq:
    """A private `rabbitmq-server` with and without TLS, which listens on this machine only.

    Attributes:
        authorities: the file with the authority of the server's certificate.
        client_certificate: the file with a certificate of a client that the server trusts.
        client_key: the file with the private key of this certificate.
    """

    def __init__(self) -> None:
        server, self._control = rabbitmq_programs()
        self._place = TemporaryDirectory(prefix="moorage-rabbitmq-", ignore_cleanup_errors=True)
        folder = Path(self._place.name)
        self.port, self.tls_port = free_port(), free_port()
        certificate, key = certificate_files(folder)
        (folder / "client").mkdir()
        self.client_certificate, self.client_key = certificate_files(folder / "client")
        self.authorities = str(certificate)
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.certfile = {certificate}\n"
            f"ssl_options.keyfile = {key}\n"
            f"ssl_options.cacertfile = {self.client_certificate}\n"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = false\n"
            # Five and ten seconds are too few on a busy machine.
            "ssl_handshake_timeout = 120000\n"
            "handshake_timeout = 120000\n"
        )
        shutil.copytree(folder, folder / "home")
        node = f"moorage{self.port}@localhost"
        self._environment = {
            **os.environ,
            "HOME": str(folder / "home"),
            "RABBITMQ_NODENAME": node,
            "RABBITMQ_MNESIA_BASE": str(folder),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self.port + 10_000),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "ERL_CRASH_DUMP": str(folder / "crash"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1"
            ),
        }
        self._server = server
        self._process = subprocess.Popen(
            [server],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._listens, "starting rabbitmq-server")

    def _listens(self) -> bool:
        assert self._process.poll() is None, "rabbitmq-server ended at once"
        try:
            for port in (self.port, self.tls_port):
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"amqp://127.0.0.1:{self.port}/"

    @property
    def tls_url(self) -> str:
        """Return the URL of the server with TLS."""
        return f"amqps://127.0.0.1:{self.tls_port}/"

    def control(self, *arguments: str) -> str:
        """Run the server's control program, and return its output."""
        return subprocess.run(
            [self._control, "-q", "-n", self._environment["RABBITMQ_NODENAME"], *arguments],
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def set_memory_watermark(self, share: float) -> None:
        """Set the share of the memory at which the server blocks publishers, with effect at once.

        The control program takes seconds to start, so Erlang's program for single calls is used if
        it is installed.
        """
        program = shutil.which("erl_call")
        if program is None:
            self.control("set_vm_memory_high_watermark", f"{share:.9f}")
            return
        cookie = Path(self._environment["HOME"], ".erlang.cookie").read_text()
        node = self._environment["RABBITMQ_NODENAME"]
        call = f"vm_memory_monitor set_vm_memory_high_watermark [{share:.9f}]"
        subprocess.run(
            [program, "-sname", node, "-c", cookie, "-a", call],
            env=self._environment,
            check=True,
            capture_output=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._place.cleanup()


class LossyProxy:
    """A proxy that can withhold a server's responses and close connections.

    Attributes:
        is_mute: whether requests arrive and answers are lost.
        received: the bytes that arrived while it was mute.
        ended: the number of connections that ended on the side of the client.
        mute_at: bytes of a request with which the proxy becomes mute.

    Args:
        host: the host of the server.
        port: the port of the server.
        mute_at: bytes of a request with which the proxy becomes mute.
    """

    def __init__(self, host: str, port: int, *, mute_at: bytes | None = None) -> None:
        self._target = host, port
        self.mute_at = mute_at
        self.is_mute = False
        self.received = self.ended = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        """Close all connections."""
        for item in self._open:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    arguments = (source, target, source is client)
                    threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_request and self.mute_at is not None and self.mute_at in data:
                    self.is_mute = True
                is_lost = is_request and self.is_mute
                if is_request or not self.is_mute:
                    target.sendall(data)
                if is_lost:
                    self.received += len(data)
        self.ended += is_request
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        for item in self._open:
            item.close()
