"""The fake IMAP mailbox, with and without TLS, and clients that wait for messages."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, ConnectorManager, Service
from moorage.adapters.imap.connector_sync import ImapConnector
from moorage.adapters.imap.kind import Imap
from moorage.adapters.imap.source import ImapSource
from moorage.ports.pipelines import PollLimits
from moorage.testing import ImapServer
from moorage.testing.fakes.http_tls import tls_pem
from tests.pipelines.broker_harness import Revocations

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

PASSWORD = "battery-staple"
MAIL = b"Subject: Hello\r\n\r\nText"


class Mailbox:
    """A fake mailbox, together with the settings that its clients need to connect.

    Attributes:
        server: the fake server.
        trust: the TLS context of clients that trust it; None if it has no TLS.
        settings: the settings of a connector.
    """

    def __init__(self, folder: Path, *, has_tls: bool) -> None:
        context, authority = tls_pem() if has_tls else (None, b"")
        certificate = folder / "authority.pem"
        certificate.write_bytes(authority)
        self.server = ImapServer(password=PASSWORD, tls=context).start()
        self.trust = ssl.create_default_context(cadata=authority.decode()) if has_tls else None
        options: dict[str, Any] = (
            {"authorities": str(certificate)} if has_tls else {"start_tls": False}
        )
        self.settings = Imap(url=self.server.url, user="ada", password=PASSWORD, **options)


@pytest.fixture(name="mailbox", params=[False, True], ids=["plain", "tls"])
def _mailbox(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Mailbox]:
    mailbox = Mailbox(tmp_path, has_tls=request.param)
    yield mailbox
    mailbox.server.stop()


def test_connector_reads_the_mailbox(mailbox: Mailbox) -> None:
    """A connector finds and reads a message, whether the connection is encrypted or not."""
    mailbox.server.add(MAIL)
    manager = ConnectorManager([Service("imap")])
    with ImapConnector(mailbox.settings) as connector:
        result = manager.perform("imap", connector.search())
        (message,) = manager.perform("imap", connector.fetch(result.uids))

    assert MAIL == message.content


def test_unknown_certificate_is_refused(tmp_path: Path) -> None:
    """A client that does not trust the server's certificate sends it no password."""
    mailbox = Mailbox(tmp_path, has_tls=True)
    settings = Imap(url=mailbox.server.url, user="ada", password=PASSWORD)
    manager = ConnectorManager([Service("imap")])
    with ImapConnector(settings) as connector, pytest.raises(ConnectionFailed, match="TLS"):
        manager.perform("imap", connector.search(), timeout=5.0)
    mailbox.server.stop()


def test_idle_reports_message_that_arrived_since_search(mailbox: Mailbox) -> None:
    """IDLE reports a message that arrived since the last search, and later messages at once."""
    raw = socket.create_connection(("127.0.0.1", mailbox.server.port), 60)
    client = (
        raw
        if mailbox.trust is None
        else mailbox.trust.wrap_socket(raw, server_hostname="127.0.0.1")
    )
    with client, client.makefile("rb") as lines:

        def send_command(line: str, last: bytes) -> list[bytes]:
            """Send a line; return the replies up to the one that begins with the given prefix."""
            client.sendall(line.encode() + b"\r\n")
            replies: list[bytes] = []
            while not replies or not replies[-1].startswith(last):
                replies.append(lines.readline())
            return replies

        assert b"* OK ready\r\n" == lines.readline()
        send_command(f"a LOGIN ada {PASSWORD}", b"a OK")
        send_command("b SELECT INBOX", b"b OK")
        mailbox.server.add(MAIL)
        send_command("c UID SEARCH ALL", b"c OK")
        mailbox.server.add(MAIL)
        # A message in another folder does not concern the client.
        mailbox.server.add(MAIL, folder="Drafts")
        send_command("d IDLE", b"+")
        assert b"* 2 EXISTS\r\n" == lines.readline()
        mailbox.server.add(MAIL, folder="Drafts")
        mailbox.server.add(MAIL)
        assert b"* 3 EXISTS\r\n" == lines.readline()
        assert [b"d OK done\r\n"] == send_command("DONE", b"d OK")
        mailbox.server.add(MAIL)
        assert [b"e OK done\r\n"] == send_command("e NOOP", b"e OK")


def test_waiting_source_is_woken_by_each_message(mailbox: Mailbox) -> None:
    """Each new message wakes a waiting source; a message that the source committed is flagged."""

    async def numbers() -> list[Any]:
        limits = PollLimits(10, 1_000_000, 60.0)
        source = ImapSource(mailbox.settings)
        await source.open(Revocations())
        offsets: list[Any] = []
        for _ in range(3):
            mailbox.server.add(MAIL)
            records = await source.poll(limits)
            offsets += [record.offset for record in records]
            await source.commit(records)
        await source.close()
        return offsets

    assert [1, 2, 3] == asyncio.run(numbers())
    assert [("moorage",)] * 3 == [message.flags for message in mailbox.server.messages()]


def test_dropped_clients_may_connect_again(mailbox: Mailbox) -> None:
    """If the server drops a connection, the next operation opens a new one."""
    manager = ConnectorManager([Service("imap")])
    with ImapConnector(mailbox.settings) as connector:
        manager.perform("imap", connector.search())
        mailbox.server.drop()
        assert () == manager.perform("imap", connector.search()).uids
