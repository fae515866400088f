"""Private file servers on this machine: SFTP, FTP and WebDAV, each with one account."""

from __future__ import annotations

import asyncio
import logging
import warnings
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import asyncssh
from wsgidav.wsgidav_app import WsgiDAVApp

from moorage.vendors.storage.fsspec import Fsspec

with warnings.catch_warnings():
    # Up to Python 3.11 its loop is the standard library's, which is deprecated there.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

USER: Final = "erp"
PASSWORD: Final = "canary-of-the-file-server"

logging.getLogger("pyftpdlib").addHandler(logging.NullHandler())


class _SshServer(asyncssh.SSHServer):
    """An SSH server that accepts one account."""

    def __init__(self, connections: list[Any]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


@contextmanager
def sftp(root: Path, *, password: str = PASSWORD) -> Generator[Fsspec]:
    """Yield an account at a private SFTP server that serves a folder."""
    connections: list[Any] = []
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def files(channel: Any) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(root).encode())

    async def start() -> Any:
        return await asyncssh.create_server(
            partial(_SshServer, connections),
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=files,
            allow_scp=False,
        )

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield Fsspec(
            url=f"sftp://{USER}@127.0.0.1:{server.get_port()}/files",
            options={"look_for_keys": False, "allow_agent": False},
            secrets={"password": password},
        )
    finally:

        async def stop() -> None:
            server.close()
            for connection in connections:
                connection.abort()
                await connection.wait_closed()
            await server.wait_closed()

        asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def ftp(root: Path, *, password: str = PASSWORD) -> Generator[Fsspec]:
    """Yield an account at a private FTP server that serves a folder."""
    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(root), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "auth_failed_timeout": 0})
    server = FTPServer(("127.0.0.1", 0), handler)
    stopping: list[bool] = []

    def serve() -> None:
        while not stopping:
            server.ioloop.loop(timeout=0.02, blocking=False)
        server.close_all()

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Fsspec(
            url=f"ftp://{USER}@127.0.0.1:{server.address[1]}/files", secrets={"password": password}
        )
    finally:
        stopping.append(True)
        thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's
        pass


@contextmanager
def webdav(root: Path, *, password: str = PASSWORD) -> Generator[Fsspec]:
    """Yield an account at a private WebDAV server that serves a folder."""
    application = WsgiDAVApp(
        {
            "provider_mapping": {"/": str(root)},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
            "http_authenticator": {"accept_digest": False, "default_to_digest": False},
            "verbose": 0,
            "logging": {"enable": False},
        }
    )

    def with_whole_body(environ: dict[str, Any], start_response: Any) -> Any:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(length))
        return application(environ, start_response)

    server = make_server(
        "127.0.0.1", 0, with_whole_body, server_class=_Server, handler_class=_Handler
    )
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Fsspec(
            url="webdav://files",
            options={"base_url": f"http://127.0.0.1:{server.server_port}/", "username": USER},
            secrets={"password": password},
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def server(kind: str, root: Path, **options: Any) -> AbstractContextManager[Fsspec]:
    """Yield an account at a private server of this kind."""
    return {"sftp": sftp, "ftp": ftp, "webdav": webdav}[kind](root, **options)
