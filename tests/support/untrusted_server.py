"""A TLS server whose certificate no client trusts."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Self

from moorage.testing.fakes.http_tls import certificate_files

if TYPE_CHECKING:
    from pathlib import Path


class UntrustedServer:
    """A TLS server whose certificate an unknown authority signed.

    Attributes:
        port: its port at 127.0.0.1.
    """

    def __init__(self, folder: Path) -> None:
        certificate, key = certificate_files(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # Every client refuses the certificate, which the handshake reports here.
            with connection, suppress(OSError):
                connection.settimeout(5.0)
                self._context.wrap_socket(connection, server_side=True).close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
