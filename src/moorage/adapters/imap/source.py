"""A source of the messages in a folder of a mailbox.

Laws:

1. A message is read until it has the mark, or was moved. The server stores the mark with the
   message, so that it is valid for every connection and worker, also after the server has
   renumbered the messages.
2. A message is marked only by `commit`. Messages without the mark are read again after a crash.
3. A delivery is valid as long as the folder's UIDVALIDITY is the same. With another value the same
   uids stand for other messages, so all deliveries become void, and nothing is marked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

from moorage.adapters.imap._links import connect_async, login_of
from moorage.adapters.wire_links.server import WireServer
from moorage.domain.connectors.imap_failures import renumbered_error
from moorage.domain.connectors.imap_values import flag_name, folder_name, has_flag, not_deleted
from moorage.domain.connectors.interruptions import connection_lost
from moorage.domain.pipelines.records import SinkRecord
from moorage.domain.secrets.frames import with_careful_constructor, without_frames
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError, ConnectionFailed, UnsupportedByVendor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta

    from moorage.adapters.imap._links import AsyncImapLink, OpenFolder
    from moorage.adapters.imap.kind import Imap
    from moorage.domain.connectors.imap_values import ImapMessage
    from moorage.domain.pipelines.records import Offset, Partition
    from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider
    from moorage.ports.pipelines import PollLimits, Revocation

_REPLY_TIMEOUT: Final = 30.0
"""Seconds in which the server must answer a command."""

_SLOWEST_RATE: Final = 50_000
"""The number of bytes per second at which the server must send a message, on average."""

_MIME: Final = "message/rfc822"


@with_careful_constructor
class ImapSource:
    r"""A pipeline source that reads the messages of an IMAP folder, and waits for new ones.

    The payload of a record is a message in MIME format, which
    `moorage.contracts.email_mime.read_mime` reads. Of a message that is larger than the settings
    allow, it is the header, and the attribute "complete" is "false". The messages of one folder are
    for one worker: a second worker would also read messages that the first one is processing.

    Args:
        settings: the server and the user.
        folder: the name of the folder.
        mark: the keyword that a processed message is marked with, or a flag such as "\\Seen".
            Messages that have it are not read.
        move_to: the folder to which a processed message is moved instead.
        provider: the provider of the credentials, which replaces those in the settings. Their
            service is that of the settings, or "imap".
        renew: the seconds after which a wait for messages is renewed, so that a silent connection
            is noticed. Servers give up a wait of half an hour.
        pause: the seconds between two checks for new messages, if the server does not report them.
    """

    commits: Literal["each", "prefix"] = "each"
    extend_every: float | None = None

    def __init__(
        self,
        settings: Imap,
        *,
        folder: str = "INBOX",
        mark: str = "moorage",
        move_to: str | None = None,
        provider: AsyncCredentialProvider | CredentialProvider | None = None,
        renew: float | timedelta = 300.0,
        pause: float | timedelta = 5.0,
    ) -> None:
        self.folder = folder_name(folder)
        self._mark = flag_name(mark)
        self._move_to = None if move_to is None else folder_name(move_to)
        self._condition = not_deleted()
        if move_to is None:
            self._condition &= ~has_flag(mark)
        self._renew = seconds(renew, "renew")
        self._pause = seconds(pause, "pause")
        self._settings = settings
        self._server = WireServer(settings.address(), settings.connect_timeout)
        self._login = login_of(settings, settings.service or "imap", provider)
        self._reading: AsyncImapLink | None = None
        self._marking_link: AsyncImapLink | None = None
        self._section = asyncio.Lock()
        self._selected: OpenFolder | None = None
        self._delivered: set[int] = set()
        self._processed: set[int] = set()
        self._waiting: deque[int] = deque()
        self._ready: deque[SinkRecord] = deque()
        self._round: asyncio.Task[None] | None = None

    async def open(self, revoked: Revocation, /) -> None:
        """Connect and open the folder; if UIDVALIDITY has changed, earlier deliveries are void."""
        await self.close()
        previous_folder = self._selected
        try:
            self._reading, selected = await self._connected()
            self._marking_link, selected_twice = await self._connected()
        except BaseException:
            await self.close()
            raise
        if selected_twice != selected or (
            previous_folder is not None and previous_folder.validity != selected.validity
        ):
            self._delivered.clear()
            self._processed.clear()
            await revoked(None)
        self._selected = selected
        # Messages that were read but not delivered are read again.
        self._waiting.clear()
        self._ready.clear()

    async def _connected(self) -> tuple[AsyncImapLink, OpenFolder]:
        settings = self._settings
        link = await connect_async(self._server, settings, self._login, settings.connect_timeout)
        try:
            selected = await link.select(self.folder, monotonic() + _REPLY_TIMEOUT)
            self._check(selected)
        except BaseException:
            link.close()
            raise
        return link, selected

    def _check(self, selected: OpenFolder) -> None:
        mark = self._mark
        if self._move_to is None and not (
            mark in selected.permanent or (selected.takes_keywords and not mark.startswith("\\"))
        ):
            raise ConfigurationError(
                f"The server cannot store the flag {mark} in the folder, so the source could"
                " not recognise processed messages.",
                path="mark",
                remedy="Set the name of a folder as `move_to`, or use a standard flag such as"
                " \\Seen.",
            )

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord]:
        """Return messages in order of arrival.

        Raises:
            ConnectionFailed: a connection is lost, also the one that marks messages.
        """
        self._link()
        if not self._section.locked() and (
            self._marking_link is None or not self._marking_link.is_connected()
        ):
            # The pipeline opens a source again only if a poll fails.
            raise connection_lost(has_effect=False)
        if not self._ready:
            if self._round is None:
                self._round = asyncio.ensure_future(self._fill(limits))
            # A cancelled poll leaves its search for the next poll.
            await asyncio.wait([self._round], timeout=max(0.0, limits.wait))
            if self._round is not None and self._round.done():
                finished_round, self._round = self._round, None
                _raise_failure(finished_round)
        records: list[SinkRecord] = []
        size = 0
        while self._ready and len(records) < limits.records and (not records or size < limits.size):
            size += len(self._ready[0].payload)
            if records and size > limits.size:
                break
            records.append(self._ready.popleft())
        return records

    async def _fill(self, limits: PollLimits) -> None:
        """Read messages until at least one is ready."""
        link, size = self._link(), 0
        while not self._ready:
            if not self._waiting:
                await self._find_new(link)
            if not self._waiting:
                await self._wait_for_messages(link)
                continue
            chunk = [*islice(self._waiting, limits.records)]
            sizes = await link.sizes(chunk, monotonic() + _REPLY_TIMEOUT)
            for uid in chunk:
                if self._ready and size + sizes.get(uid, 0) > limits.size:
                    break
                message = None
                if uid in sizes and self._selected is not None:
                    timeout = message_timeout(min(sizes[uid], self._settings.largest))
                    message = await link.message(
                        self._selected, uid, sizes[uid], monotonic() + timeout
                    )
                self._waiting.remove(uid)
                if message is not None:
                    size += len(message.content)
                    self._delivered.add(uid)
                    self._ready.append(_record(message))

    async def _find_new(self, link: AsyncImapLink) -> None:
        """Search for messages that have neither been delivered nor processed."""
        previous_uids = set(self._processed)
        result = await link.search(self.folder, self._condition, monotonic() + _REPLY_TIMEOUT)
        # The search result may contain messages that were marked or released during the search.
        known_uids = self._delivered.union(self._waiting, self._processed)
        self._waiting.extend(uid for uid in result.uids if uid not in known_uids)
        self._processed -= previous_uids.difference(result.uids)

    async def _wait_for_messages(self, link: AsyncImapLink) -> None:
        """Wait until there may be new messages."""
        if "IDLE" in link.capabilities:
            await link.idle(self._renew, _REPLY_TIMEOUT)
        else:
            await asyncio.sleep(self._pause)
            await link.ping(_REPLY_TIMEOUT)

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Mark messages as processed, or move them to another folder."""
        uids = self._uids(records)
        if not uids:
            return
        validity = None if self._selected is None else self._selected.validity

        async def mark(link: AsyncImapLink) -> None:
            until = monotonic() + _REPLY_TIMEOUT
            if self._move_to is None:
                await link.flag(self.folder, uids, validity, ("+", (self._mark,)), until)
            else:
                await link.move(self.folder, uids, validity, self._move_to, until)

        await self._on_other_link(mark)
        self._processed.update(uids)
        self._delivered.difference_update(uids)

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Make messages available for delivery again."""
        uids = self._uids(records)
        if not uids:
            return
        self._delivered.difference_update(uids)
        self._waiting.extendleft(sorted(uids, reverse=True))
        if self._reading is not None:
            await self._reading.end_idle(monotonic() + _REPLY_TIMEOUT)

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        """Do nothing, because IMAP has no lease that could expire."""

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Raise an error, because a mailbox has no position: processed messages are marked."""
        del partition, offset
        raise UnsupportedByVendor(
            "A source of emails cannot seek, because a folder has no positions.",
            remedy="Remove the flag from the messages that the source should read again.",
        )

    async def lag(self) -> int | None:
        """Return the number of messages that are not marked as processed."""
        numbers: list[int] = []

        async def count(link: AsyncImapLink) -> None:
            result = await link.search(self.folder, self._condition, monotonic() + _REPLY_TIMEOUT)
            numbers.append(len(result.uids))

        await self._on_other_link(count)
        return numbers[0]

    async def close(self) -> None:
        """Drop the connections; uncommitted messages will be read again."""
        current, self._round = self._round, None
        if current is not None:
            current.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await current
        for link in (self._reading, self._marking_link):
            if link is not None:
                link.close()
        self._reading = self._marking_link = None
        self._delivered.difference_update(int(str(record.offset)) for record in self._ready)
        self._ready.clear()

    def _link(self) -> AsyncImapLink:
        if self._reading is None:
            raise connection_lost(has_effect=False)
        return self._reading

    async def _on_other_link(self, work: Callable[[AsyncImapLink], Awaitable[None]]) -> None:
        """Run an operation on the second connection, which never waits for new messages."""
        async with self._section:
            if self._marking_link is None:
                raise connection_lost(has_effect=False)
            await work(self._marking_link)

    def _uids(self, records: Sequence[SinkRecord]) -> list[int]:
        """Return the uids of records, after a check that the records are from the open folder."""
        self._link()
        validity = None if self._selected is None else str(self._selected.validity)
        for record in records:
            if _validity(record) != validity:
                raise ConnectionFailed(
                    renumbered_error().message, may_have_been_processed=False, retryable=True
                )
        return [int(str(record.offset)) for record in records]


def message_timeout(size: int) -> float:
    """Return the seconds in which the server must have sent a message of this many bytes.

    With the same time for every message, a slow connection would never deliver a large one: the
    source would begin to read it again and again.
    """
    return _REPLY_TIMEOUT + size / _SLOWEST_RATE


def _raise_failure(finished_task: asyncio.Task[None]) -> None:
    """Raise the error with which a background task ended, if any."""
    failure = None if finished_task.cancelled() else finished_task.exception()
    if failure is not None:
        raise without_frames(failure)


def _validity(record: SinkRecord) -> str:
    return next((str(value) for value in record.values_of("validity")), "")


def _record(message: ImapMessage) -> SinkRecord:
    fields: dict[str, Any] = {
        "id": f"{message.validity}-{message.uid}",
        "topic": message.folder,
        # Messages of a folder are processed in the order of their arrival.
        "key": message.folder,
        "offset": message.uid,
        "content_type": _MIME,
        "published_at": message.at,
    }
    attributes = (
        ("validity", str(message.validity)),
        ("flags", " ".join(message.flags)),
        ("size", str(message.size)),
        ("complete", str(message.is_complete).lower()),
    )
    return SinkRecord(message.content, attributes=attributes, **fields)
