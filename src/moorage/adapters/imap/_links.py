"""Connections to mailboxes, for synchronous and asynchronous programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from moorage.adapters.http.connections._threads import run
from moorage.adapters.imap._commands import ImapCommands
from moorage.adapters.links.credentials import current_credentials
from moorage.adapters.wire_links.link import WireLink
from moorage.adapters.wire_links.server import LOOPS, THREADS
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.connectors import imap_values, imap_wire
from moorage.domain.connectors.imap_failures import (
    copied_error,
    imap_error,
    no_folder_error,
    renumbered_error,
)
from moorage.domain.connectors.imap_values import ImapMessage, ImapSearchResult
from moorage.domain.resilience.health import may_have_acted
from moorage.domain.secrets.frames import without_frames
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    UnsupportedByVendor,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.adapters.http.connections._wire import Network, Wire
    from moorage.adapters.imap.kind import Imap
    from moorage.adapters.wire_links.server import WireServer
    from moorage.domain.connectors.imap_values import ImapCondition
    from moorage.domain.connectors.imap_wire import ImapReply

    Lookup = Callable[[Any], Awaitable[Credentials | OAuthCredentials | None]]

_CHUNK: Final = 500
"""The number of messages whose sizes are asked for at once."""


class Login(NamedTuple):
    """A mailbox user, and the source of the user's credentials.

    Attributes:
        user: the name of the user.
        lookup: returns the credentials, or newer ones than those that were refused.
    """

    user: str
    lookup: Lookup


class OpenFolder(NamedTuple):
    """The folder that is open on a connection.

    Attributes:
        folder: the folder's name.
        validity: the folder's UIDVALIDITY, the number under which its uids are valid.
        takes_keywords: whether the server accepts new keywords as marks on messages.
        permanent: the flags that the server keeps.
    """

    folder: str
    validity: int
    takes_keywords: bool
    permanent: frozenset[str]


def login_of(settings: Imap, service: str, provider: Any) -> Login:
    """Return the login of a mailbox, from the provider or the settings.

    Raises:
        ConfigurationError: there are no credentials.
    """
    if provider is None and settings.password is None and settings.token is None:
        raise ConfigurationError(
            "The mailbox needs a password or a token.",
            path="password",
            remedy="Pass a password, a token, or a credential provider.",
        )

    async def credentials_of(stale: Any) -> Credentials | OAuthCredentials | None:
        if provider is None:
            if settings.token is not None:
                return OAuthCredentials(access_token=settings.token)
            return Credentials.basic(settings.user, settings.password or "")
        return await current_credentials(provider, service, stale)

    return Login(settings.user, credentials_of)


def connect_sync(server: WireServer, settings: Imap, login: Login, timeout: float) -> ImapLink:
    """Open and authenticate a connection for a synchronous program."""
    return ImapLink(run(_connected_link(server, settings, login, timeout, THREADS)))


async def connect_async(
    server: WireServer, settings: Imap, login: Login, timeout: float
) -> AsyncImapLink:
    """Open and authenticate a connection for an asynchronous program."""
    return await _connected_link(server, settings, login, timeout, LOOPS)


async def _connected_link(
    server: WireServer, settings: Imap, login: Login, timeout: float, network: Network
) -> AsyncImapLink:
    until = server.deadline(timeout)
    credentials = await login.lookup(None)
    failure = None
    for _ in range(2):
        link = await server.opened(
            lambda wire: AsyncImapLink(wire, settings.largest), until, network
        )
        try:
            await link.log_in(login.user, credentials, until)
        except AuthenticationFailed as error:
            link.close()
            failure = error
        except BaseException:
            link.close()
            raise
        else:
            return link
        stale, credentials = credentials, await login.lookup(credentials)
        if credentials is None or credentials == stale:
            break
    raise without_frames(cast("AuthenticationFailed", failure))


class AsyncImapLink(ImapCommands):
    """A connection to a mailbox, for one task at a time.

    Attributes:
        selected: the open folder; None if none is open.
    """

    def __init__(self, wire: Wire, largest: int) -> None:
        super().__init__(wire, largest)
        self.selected: OpenFolder | None = None
        self._largest = largest

    async def select(self, folder: str, until: float) -> OpenFolder:
        """Open a folder; if it is open already, ask the server for changes."""
        if self.selected is not None and self.selected.folder == folder:
            # A server reports uids of new messages on this connection only after a command such as
            # NOOP.
            await self.command(["NOOP"], until, is_preparation=True)
            return self.selected
        self.selected = None
        codes: dict[str, str] = {}

        def note_reply(reply: ImapReply) -> None:
            name, _, value = reply.code.partition(" ")
            codes[name.upper()] = value

        words: list[str | bytes] = ["SELECT", imap_wire.mailbox_bytes(folder)]
        reply = await self.reply_to(words, until, note_reply, is_preparation=True)
        if reply.status != "OK":
            raise imap_error(reply) if reply.code else no_folder_error()
        validity = codes.get("UIDVALIDITY", "")
        if not validity.isdigit():
            raise UnsupportedByVendor(
                "The server does not give the messages of this folder permanent numbers (UIDs).",
                remedy="Use another folder, or another server.",
            )
        permanent = frozenset(codes.get("PERMANENTFLAGS", "\\*").strip("()").split())
        self.selected = OpenFolder(folder, int(validity), "\\*" in permanent, permanent)
        return self.selected

    async def search(self, folder: str, condition: ImapCondition, until: float) -> ImapSearchResult:
        """Return the uids of the messages that match a condition."""
        open_folder = await self.select(folder, until)
        uids: list[int] = []

        def note_reply(reply: ImapReply) -> None:
            if reply.items and reply.items[0] == b"SEARCH":
                uids.extend(map(imap_wire.as_number, reply.items[1:]))

        words = list(condition.words)
        if any(isinstance(item, bytes) and not item.isascii() for item in words):
            words = ["CHARSET", "UTF-8", *words]
        await self.command(["UID", "SEARCH", *words], until, note_reply)
        return ImapSearchResult(open_folder.validity, tuple(sorted(set(uids))))

    async def sizes(self, uids: Sequence[int], until: float) -> dict[int, int]:
        """Return the sizes of messages in the open folder, without deleted messages."""
        sizes: dict[int, int] = {}

        def note_reply(reply: ImapReply) -> None:
            fields = _fetched_fields(reply)
            if fields is not None and "RFC822.SIZE" in fields:
                uid = imap_wire.as_number(fields.get("UID"))
                sizes[uid] = imap_wire.as_number(fields["RFC822.SIZE"])

        for start in range(0, len(uids), _CHUNK):
            words = ["UID", "FETCH", imap_wire.uid_set(uids[start : start + _CHUNK])]
            await self.command([*words, "(UID RFC822.SIZE)"], until, note_reply)
        return sizes

    async def fetch(
        self, folder: str, uids: Sequence[int], validity: int | None, until: float
    ) -> tuple[ImapMessage, ...]:
        """Return the messages with these uids, up to a maximum total size."""
        open_folder = await self._valid(folder, validity, until)
        sizes = await self.sizes(uids, until)
        if sum(size for size in sizes.values() if size <= self._largest) > self._largest:
            raise InvalidData(
                "The fetched messages exceed the memory limit `largest`.",
                field="uids",
                remedy="Fetch fewer messages at a time, or raise `largest`.",
            )
        messages = [
            await self.message(open_folder, uid, sizes[uid], until) for uid in sorted(sizes)
        ]
        return tuple(message for message in messages if message is not None)

    async def message(
        self, open_folder: OpenFolder, uid: int, size: int, until: float
    ) -> ImapMessage | None:
        """Return a message of the open folder; None if it is deleted."""
        part = "BODY[]" if size <= self._largest else "BODY[HEADER]"
        messages: list[ImapMessage] = []

        def note_reply(reply: ImapReply) -> None:
            fields = _fetched_fields(reply)
            if fields is None or not isinstance(fields.get(part), bytes):
                return
            if imap_wire.as_number(fields.get("UID")) != uid:
                raise ValueError("the server sent a message that was not requested")
            flags: Any = fields.get("FLAGS") or ()
            messages.append(
                ImapMessage(
                    folder=open_folder.folder,
                    validity=open_folder.validity,
                    uid=uid,
                    flags=tuple(imap_wire.as_text(flag) for flag in flags),
                    at=imap_values.moment(imap_wire.as_text(fields.get("INTERNALDATE") or b"")),
                    size=size,
                    content=fields[part],
                    is_complete=part == "BODY[]",
                )
            )

        fields_text = f"(UID FLAGS INTERNALDATE {part.replace('BODY', 'BODY.PEEK')})"
        await self.command(["UID", "FETCH", str(uid), fields_text], until, note_reply)
        return messages[0] if messages else None

    async def flag(
        self,
        folder: str,
        uids: Sequence[int],
        validity: int | None,
        change: tuple[str, Sequence[str]],
        until: float,
    ) -> None:
        """Add ("+") or remove ("-") flags of messages."""
        await self._valid(folder, validity, until)
        sign, flags = change
        words = ["UID", "STORE", imap_wire.uid_set(uids), f"{sign}FLAGS.SILENT"]
        await self.command([*words, f"({' '.join(flags)})"], until, has_effect=True)

    async def move(
        self, folder: str, uids: Sequence[int], validity: int | None, target: str, until: float
    ) -> None:
        """Move messages to another folder."""
        await self._valid(folder, validity, until)
        messages, name = imap_wire.uid_set(uids), imap_wire.mailbox_bytes(target)
        if "MOVE" in self.capabilities:
            await self.command(["UID", "MOVE", messages, name], until, has_effect=True)
            return
        if "UIDPLUS" not in self.capabilities:
            raise UnsupportedByVendor(
                "The server cannot move messages or delete single messages.",
                remedy="Mark the messages with a flag instead.",
            )
        await self.command(["UID", "COPY", messages, name], until, has_effect=True)
        deleted = ["UID", "STORE", messages, "+FLAGS.SILENT", "(\\Deleted)"]
        try:
            await self.command(deleted, until, has_effect=True)
            await self.command(["UID", "EXPUNGE", messages], until, has_effect=True)
        except ConnectorError as error:
            if may_have_acted(error):
                raise
            failure = copied_error(error)
        else:
            return
        raise failure

    async def _valid(self, folder: str, validity: int | None, until: float) -> OpenFolder:
        open_folder = await self.select(folder, until)
        if validity is not None and open_folder.validity != validity:
            raise renumbered_error()
        return open_folder


def _fetched_fields(reply: ImapReply) -> dict[str, Any] | None:
    """Return the fields of a message in a reply; None for any other reply."""
    if len(reply.items) == 3 and reply.items[1] == b"FETCH":
        return imap_wire.pairs_of(reply.items[2])
    return None


class ImapLink(WireLink[AsyncImapLink]):
    """A connection to a mailbox, for one thread at a time."""

    def search(self, folder: str, condition: ImapCondition, until: float) -> ImapSearchResult:
        """Return the uids of the messages that match a condition."""
        return run(self._link.search(folder, condition, until))

    def fetch(
        self, folder: str, uids: Sequence[int], validity: int | None, until: float
    ) -> tuple[ImapMessage, ...]:
        """Return the messages with these uids, up to a maximum total size."""
        return run(self._link.fetch(folder, uids, validity, until))

    def flag(
        self,
        folder: str,
        uids: Sequence[int],
        validity: int | None,
        change: tuple[str, Sequence[str]],
        until: float,
    ) -> None:
        """Add flags to messages, or remove some."""
        run(self._link.flag(folder, uids, validity, change, until))

    def move(
        self, folder: str, uids: Sequence[int], validity: int | None, target: str, until: float
    ) -> None:
        """Move messages to another folder."""
        run(self._link.move(folder, uids, validity, target, until))
