"""The IMAP source, tested with scripted servers for situations that are rare in practice."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, ConnectionFailed, ConnectorError, UnsupportedByVendor
from moorage.adapters.imap.source import ImapSource, message_timeout
from moorage.contracts.email_mime import read_mime
from moorage.contracts.ref import Ref
from moorage.ports.pipelines import PollLimits
from tests.pipelines.broker_harness import Revocations
from tests.support.imap_servers import PrivateDovecot, ScriptedImap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage import SinkRecord

LIMITS = PollLimits(100, 1_000_000, 60.0)
MAIL = b"From: ada@example.org\r\nSubject: Hello\r\n\r\nText"


class Folder:
    """A scripted IMAP folder, whose messages a test changes.

    Attributes:
        validity: the number under which the uids are valid.
        sizes: the sizes of the messages, by uid.
        marked: the uids of messages that a search does not find.
        gone: the uids of messages that have no content any more.
    """

    def __init__(self, *uids: int) -> None:
        self.validity = 7
        self.sizes = dict.fromkeys(uids, 10)
        self.gone: set[int] = set()
        self.marked: set[int] = set()
        self.permanent = "\\Seen \\*"

    def answer(self, line: str) -> bytes | None:
        """Return the server's response to a command."""
        if line.startswith("SELECT"):
            codes = f"[PERMANENTFLAGS ({self.permanent})]", f"[UIDVALIDITY {self.validity}]"
            return b"".join(f"* OK {code} x\r\n".encode() for code in codes) + b"TAG OK\r\n"
        if "SEARCH" in line:
            uids = " ".join(str(uid) for uid in self.sizes if uid not in self.marked)
            return f"* SEARCH {uids}\r\nTAG OK\r\n".encode()
        if "FETCH" in line:
            return self._fetched(line).encode()
        return None

    def _fetched(self, line: str) -> str:
        uids = [uid for uid in self.sizes if uid not in self.gone or "SIZE" in line]
        numbers = re.findall(r"\d+", line.partition("(")[0])
        if "SIZE" not in line:
            uids = [uid for uid in uids if str(uid) in numbers]
        body = "RFC822.SIZE 10" if "SIZE" in line else 'BODY[] "Subject: x"'
        return "".join(f"* 1 FETCH (UID {uid} {body})\r\n" for uid in uids) + "TAG OK\r\n"


async def open_source(source: ImapSource) -> Revocations:
    """Open a source, and return the list in which its revocations will appear."""
    revocations = Revocations()
    await source.open(revocations)
    return revocations


def uids(records: Sequence[SinkRecord]) -> list[Any]:
    """Return the UIDs of records."""
    return [record.offset for record in records]


async def test_changed_uids_invalidate_deliveries() -> None:
    """If a folder's UIDs change, old deliveries cannot be committed and all mails come again."""
    folder = Folder(1, 2)
    with ScriptedImap(folder.answer) as server:
        source = ImapSource(server.settings())
        await open_source(source)
        records = await source.poll(LIMITS)
        folder.validity = 8
        revocations = await open_source(source)
        with pytest.raises(ConnectionFailed, match="renumbered"):
            await source.commit(records)
        repeated = await source.poll(LIMITS)
        await source.commit(repeated)
        await source.close()
        marks = [line for line in server.lines if "STORE" in line]

    assert [None] == [*revocations]
    assert ([1, 2], [1, 2]) == (uids(records), uids(repeated))
    assert ["UID STORE 1:2 +FLAGS.SILENT (moorage)"] == marks
    assert records[0].id != repeated[0].id


async def test_deliveries_outlive_their_connection() -> None:
    """A reopened source delivers nothing twice, and can commit earlier deliveries."""
    folder = Folder(1, 2)
    with ScriptedImap(folder.answer) as server:
        source = ImapSource(server.settings())
        await open_source(source)
        records = await source.poll(LIMITS)
        revocations = await open_source(source)
        folder.sizes[3] = 10
        new_records = await source.poll(LIMITS)
        await source.commit([*records, *new_records])
        assert 3 == await source.lag()
        await source.close()

    assert ([], [1, 2], [3]) == ([*revocations], uids(records), uids(new_records))


async def test_lost_connection_for_marking_messages_is_reopened() -> None:
    """If only the connection that marks messages is lost, the next poll reports it."""
    folder = Folder(1)
    marks: list[str] = []

    def answer(line: str) -> bytes | None:
        if "STORE" in line:
            marks.append(line)
            if len(marks) == 1:
                raise ConnectionResetError
        return folder.answer(line)

    with ScriptedImap(answer) as server:
        source = ImapSource(server.settings())
        await open_source(source)
        records = await source.poll(LIMITS)
        with pytest.raises(ConnectionFailed):
            await source.commit(records)
        with pytest.raises(ConnectionFailed):
            await source.poll(LIMITS)
        revocations = await open_source(source)
        await source.commit(records)
        await source.close()

    assert ([], 2) == ([*revocations], len(marks))


async def test_message_marked_as_processed_during_a_search_is_not_delivered_again() -> None:
    """A message that is marked as processed while the server searches is not delivered again."""
    folder = Folder(1)
    searching, marked = threading.Event(), threading.Event()

    def answer(line: str) -> bytes | None:
        if "SEARCH" in line and folder.sizes == {1: 10, 2: 10}:
            reply = folder.answer(line)
            searching.set()
            assert marked.wait(60)
            folder.marked.add(1)
            return reply
        return folder.answer(line)

    with ScriptedImap(answer) as server:
        source = ImapSource(server.settings(), pause=0.01)
        await open_source(source)
        first = await source.poll(LIMITS)
        folder.sizes[2] = 10
        polling = asyncio.ensure_future(source.poll(LIMITS))
        assert await asyncio.to_thread(searching.wait, 60)
        await source.commit(first)
        marked.set()
        second = await polling
        await source.commit(second)
        folder.marked.add(2)
        folder.sizes[3] = 10
        third = await source.poll(LIMITS)
        await source.close()

    assert ([1], [2], [3]) == (uids(first), uids(second), uids(third))


async def test_poll_respects_its_limits_and_skips_deleted_messages() -> None:
    """A poll respects its limits, and skips a message that was deleted during the poll."""
    folder = Folder(1, 2, 3, 4)
    folder.gone = {2}
    with ScriptedImap(folder.answer) as server:
        source = ImapSource(server.settings())
        await open_source(source)
        first = await source.poll(LIMITS._replace(size=12))
        second = await source.poll(LIMITS._replace(records=1))
        third = await source.poll(LIMITS)
        await source.close()

    assert ([1], [3], [4]) == (uids(first), uids(second), uids(third))


async def test_released_messages_are_delivered_again_in_order() -> None:
    """Released messages are delivered again, in order and before all others."""
    folder = Folder(1, 2, 3)
    with ScriptedImap(folder.answer) as server:
        source = ImapSource(server.settings())
        await open_source(source)
        records = await source.poll(LIMITS)
        await source.release(records[:2])
        await source.release([])
        repeated = await source.poll(LIMITS._replace(records=2))
        await source.extend(repeated)
        await source.commit([])
        await source.close()

    assert [1, 2] == uids(repeated)


async def test_released_message_comes_again_although_server_has_not_begun_to_wait() -> None:
    """A message released while the server is told to wait (IDLE) is delivered at once."""
    folder = Folder(1)
    is_asked, may_answer = threading.Event(), threading.Event()

    def answer(line: str) -> bytes | None:
        if line != "IDLE":
            return folder.answer(line)
        is_asked.set()
        may_answer.wait(60)
        return b"+ waiting\r\n"

    with ScriptedImap(answer, capabilities="IDLE") as server:
        source = ImapSource(server.settings())
        await open_source(source)
        records = await source.poll(LIMITS)
        next_poll = asyncio.create_task(source.poll(LIMITS._replace(wait=20.0)))
        await asyncio.to_thread(is_asked.wait, 60)
        await source.release(records)
        may_answer.set()
        assert [1] == uids(await next_poll)
        await source.close()


async def test_server_without_idle_is_polled_at_intervals() -> None:
    """If a server does not support IDLE, the source polls it at intervals."""
    folder = Folder()
    with ScriptedImap(folder.answer) as server:
        source = ImapSource(server.settings(), pause=0.01)
        await open_source(source)
        assert [] == await source.poll(LIMITS._replace(wait=0.05))
        folder.sizes[5] = 10
        assert [5] == uids(await source.poll(LIMITS))
        await source.close()


@pytest.mark.parametrize("event", ["* 1 EXISTS", "* OK still here", ""])
async def test_wait_ends_with_new_message(event: str) -> None:
    """Waiting for mail ends with a new message, and is renewed after its time limit."""
    folder = Folder()

    def answer(line: str) -> bytes | None:
        if line == "IDLE":
            folder.sizes[5] = 10
            return b"* 3 RECENT\r\n+ waiting\r\n" + (f"{event}\r\n".encode() if event else b"")
        return folder.answer(line)

    with ScriptedImap(answer, capabilities="IDLE") as server:
        source = ImapSource(server.settings(), renew=0.05)
        await open_source(source)
        assert [5] == uids(await source.poll(LIMITS))
        await source.close()

    assert "DONE" in server.lines


@pytest.mark.parametrize("reply", [b"TAG NO no\r\n", b"+ \r\n* BYE\r\n", b"+ \r\n* )\r\n"])
async def test_next_poll_raises_error_if_server_refuses_or_ends_wait(reply: bytes) -> None:
    """If the server refuses or ends the waiting, the next poll raises an error."""
    folder = Folder()

    def answer(line: str) -> bytes | None:
        return reply if line == "IDLE" else folder.answer(line)

    with ScriptedImap(answer, capabilities="IDLE") as server:
        source = ImapSource(server.settings())
        await open_source(source)
        with pytest.raises(ConnectorError):
            await source.poll(LIMITS)
        await source.close()


@pytest.mark.parametrize(
    "permanent, mark, is_kept",
    [
        ("\\Seen \\*", "moorage", True),
        ("\\Seen moorage", "moorage", True),
        ("\\Seen", "moorage", False),
        ("\\Seen", "\\Seen", True),
        ("\\*", "\\Seen", False),
    ],
)
async def test_flag_that_the_server_would_not_store_is_refused(
    permanent: str, mark: str, *, is_kept: bool
) -> None:
    """A flag that the server would not store is refused when the source opens."""
    folder = Folder()
    folder.permanent = permanent
    with ScriptedImap(folder.answer) as server:
        source = ImapSource(server.settings(), mark=mark)
        if is_kept:
            await open_source(source)
        else:
            with pytest.raises(ConfigurationError, match="cannot store the flag"):
                await open_source(source)
        await source.close()


async def test_seek_and_use_of_a_closed_source_raise_errors() -> None:
    """An IMAP folder has no positions; using a closed source raises an error."""
    with ScriptedImap(Folder(1).answer) as server:
        source = ImapSource(server.settings())
        with pytest.raises(UnsupportedByVendor):
            await source.seek(("INBOX", None), 1)
        for method in (source.poll(LIMITS), source.lag(), source.commit([])):
            with pytest.raises(ConnectionFailed):
                await method


async def test_record_is_a_mime_message_or_the_header_of_a_large_one() -> None:
    """A record is a MIME message; for a large message, only its header."""
    with PrivateDovecot() as server:
        await asyncio.to_thread(server.add, "ada", MAIL, MAIL + b"x" * 1000)
        source = ImapSource(server.settings("ada", largest=500))
        await open_source(source)
        records = await source.poll(LIMITS)
        await source.close()

    message = read_mime(records[0].payload, Ref("imap", "post", "1"))
    assert ("Hello", "Text") == (message.subject, (message.text or "").strip())
    assert [["true"], ["false"]] == [[*record.values_of("complete")] for record in records]
    assert records[0].published_at is not None


@pytest.mark.parametrize("size, seconds", [(0, 30.0), (50_000, 31.0), (30_000_000, 630.0)])
def test_time_for_a_message_grows_with_its_size(size: int, seconds: float) -> None:
    """A large message may take as long as a slow connection needs to deliver it."""
    assert message_timeout(size) == seconds
