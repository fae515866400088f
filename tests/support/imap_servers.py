"""Private IMAP servers that tests may kill."""

from __future__ import annotations

import imaplib
import os
import pwd
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from moorage.adapters.imap.kind import Imap
from moorage.domain.connectors.imap_wire import mailbox_bytes
from moorage.testing import ImapServer
from moorage.testing.fakes.http_tls import certificate_files
from tests.support.ports import free_port
from tests.support.servers import dovecot_program
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD = "correct-horse-4711"
_OWNER = "nobody"


class PrivateDovecot:
    """A private Dovecot server that accepts the password `PASSWORD` for every user.

    Args:
        lines: further lines of its configuration.
    """

    def __init__(self, *lines: str) -> None:
        self.port, self.secure_port = free_port(), free_port()
        # Dovecot's sockets have long names, and its processes run as other users.
        self._place = TemporaryDirectory(prefix="dc-", dir="/tmp")
        self.folder = folder = Path(self._place.name)
        folder.chmod(0o755)
        self.certificate, key = certificate_files(folder)
        owner = pwd.getpwnam(_OWNER)
        (folder / "home").mkdir()
        os.chown(folder / "home", owner.pw_uid, owner.pw_gid)
        self._config = folder / "dovecot.conf"
        self._config.write_text(
            "\n".join(
                [
                    "protocols = imap",
                    f"base_dir = {folder}/run",
                    f"state_dir = {folder}/state",
                    f"log_path = {folder}/log",
                    "listen = 127.0.0.1",
                    "ssl = yes",
                    f"ssl_cert = <{self.certificate}",
                    f"ssl_key = <{key}",
                    "disable_plaintext_auth = no",
                    "auth_failure_delay = 0",
                    "mail_location = sdbox:~/mail",
                    "mail_max_userip_connections = 100",
                    "mailbox_idle_check_interval = 1s",
                    f"first_valid_uid = {owner.pw_uid}",
                    "service imap-login {",
                    "  inet_listener imap {",
                    f"    port = {self.port}",
                    "  }",
                    "  inet_listener imaps {",
                    f"    port = {self.secure_port}",
                    "    ssl = yes",
                    "  }",
                    "}",
                    "passdb {",
                    "  driver = static",
                    f"  args = password={PASSWORD}",
                    "}",
                    "userdb {",
                    "  driver = static",
                    f"  args = uid={owner.pw_uid} gid={owner.pw_gid} home={folder}/home/%u",
                    "}",
                    *lines,
                    "",
                ]
            )
        )
        self._process = self._start_process()

    def _start_process(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [dovecot_program(), "-F", "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def is_listening() -> bool:
            assert process.poll() is None, "dovecot ended at once"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                return False
            return True

        wait_until(is_listening, "starting dovecot")
        return process

    def settings(self, user: str, port: int | None = None, **settings: Any) -> Imap:
        """Return a connector's settings for the server, or for a proxy before it."""
        standard: dict[str, Any] = {
            "url": f"imap://127.0.0.1:{port or self.port}",
            "user": user,
            "password": PASSWORD,
            "start_tls": False,
        }
        return Imap(**{**standard, **settings})

    def client(self, user: str) -> imaplib.IMAP4:
        """Return a client of Python's standard library that is logged in."""
        client = imaplib.IMAP4("127.0.0.1", self.port)
        client.login(user, PASSWORD)
        return client

    def add(self, user: str, *messages: bytes, folder: str = "INBOX", flags: str = "") -> None:
        """Store messages in a folder."""
        with self.client(user) as client:
            for message in messages:
                status, words = client.append(folder, flags, "", message)
                assert "OK" == status, words

    def create(self, user: str, folder: str) -> None:
        """Create a mailbox folder."""
        with self.client(user) as client:
            client.create(mailbox_bytes(folder).decode())

    def count(self, user: str, keyword: str) -> int:
        """Return the number of messages in the inbox that have a keyword."""
        with self.client(user) as client:
            client.select("INBOX", readonly=True)
            return len(client.search(None, "KEYWORD", keyword)[1][0].split())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._place.cleanup()


class FakeMailboxes:
    """Fake IMAP servers, one for each user, with the same methods as `PrivateDovecot`."""

    secure_port: int
    """A port without TLS, where a client expects it."""

    def __init__(self) -> None:
        self._servers: dict[str, ImapServer] = {}
        self.secure_port = self._server("nobody").port

    def settings(self, user: str, port: int | None = None, **settings: Any) -> Imap:
        """Return a connector's settings for a user's server, or for a proxy before it."""
        url = self._server(user).url if port is None else f"imap://127.0.0.1:{port}"
        standard: dict[str, Any] = {"password": PASSWORD, "start_tls": False, **settings}
        fields: dict[str, Any] = {"url": url, "user": user, **standard}
        return Imap(**fields)

    def add(self, user: str, *messages: bytes) -> None:
        """Store messages in the inbox."""
        for message in messages:
            self._server(user).add(message)

    def create(self, user: str, folder: str) -> None:
        """Start a user's server with a folder."""
        self._servers[user] = ImapServer({folder: []}, password=PASSWORD).start()

    def count(self, user: str, keyword: str) -> int:
        """Return the number of messages in the inbox that have a keyword."""
        return sum(keyword in message.flags for message in self._server(user).messages())

    def _server(self, user: str) -> ImapServer:
        if user not in self._servers:
            self._servers[user] = ImapServer(password=PASSWORD).start()
        return self._servers[user]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.stop()


class ScriptedImap:
    """An IMAP server that responds to each line as a function says, and records the lines.

    Args:
        answer: returns the reply to a line without its tag, or None for a standard one. In it
            "TAG" stands for the tag of the command.
        capabilities: the extensions that the server has.
        greeting: the server's first line.

    Attributes:
        lines: the lines that arrived, without tags.
    """

    def __init__(
        self,
        answer: Callable[[str], bytes | None],
        *,
        capabilities: str = "AUTH=PLAIN SASL-IR",
        greeting: bytes = b"* OK ready\r\n",
    ) -> None:
        self.lines: list[str] = []
        self._answer = answer
        self._capabilities = capabilities.encode()
        self._greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def settings(self, **settings: Any) -> Imap:
        """Return a connector's settings for the server."""
        port = self._listener.getsockname()[1]
        standard: dict[str, Any] = {
            "url": f"imap://127.0.0.1:{port}",
            "user": "ada",
            "start_tls": False,
        }
        fields: dict[str, Any] = {**standard, "password": PASSWORD, **settings}
        return Imap(**fields)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._threads.append(Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(self._greeting)
            tag = ""
            with connection.makefile("rb") as lines:
                for line in lines:
                    text = line.decode().rstrip("\r\n")
                    head, _, remainder = text.partition(" ")
                    if head[:1] == "m" and head[1:].isdigit():
                        tag, text = head, remainder
                    self.lines.append(text)
                    reply = self._answer(text)
                    connection.sendall(
                        (self._standard(text) if reply is None else reply).replace(
                            b"TAG", tag.encode()
                        )
                    )

    def _standard(self, line: str) -> bytes:
        if line == "CAPABILITY":
            return b"* CAPABILITY IMAP4rev1 " + self._capabilities + b"\r\nTAG OK\r\n"
        if line.startswith("SELECT"):
            flags = b"* OK [PERMANENTFLAGS (\\Seen \\*)] kept\r\n"
            return flags + b"* OK [UIDVALIDITY 7] valid\r\nTAG OK\r\n"
        return b"TAG OK\r\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(60)
