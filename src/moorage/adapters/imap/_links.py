"""Connections to mailboxes, for synchronous and asynchronous programs.

A link is written once, for a network that suspends a task or blocks a thread. A link whose command
was interrupted is closed: a late reply would be taken for that of the next command.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from moorage.adapters.http.connections._loops import Loops
from moorage.adapters.http.connections._reaching import reaching_error
from moorage.adapters.http.connections._threads import Threads, run
from moorage.adapters.http.connections._tls import secured
from moorage.adapters.http.connections._trust import context_for
from moorage.adapters.http.connections._wire import Origin, TimeIsUp, dial
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.connectors import imap_values, imap_wire
from moorage.domain.connectors.imap_failures import (
    connection_lost,
    imap_error,
    malformed,
    no_folder,
    renumbered,
    timed_out,
)
from moorage.domain.connectors.imap_values import ImapMessage, ImapSearchResult
from moorage.domain.connectors.imap_wire import ImapReply, ReplyBuffer
from moorage.domain.connectors.unreachable import unreachable
from moorage.domain.secrets.frames import bare
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidData,
    UnsupportedByVendor,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from ssl import SSLContext

    from moorage.adapters.http.connections._wire import Network, Wire
    from moorage.adapters.imap.kind import Imap
    from moorage.domain.connectors.imap_values import ImapCondition

    Lookup = Callable[[Any], Awaitable[Credentials | OAuthCredentials | None]]

_LOOPS: Final = Loops()
_THREADS: Final = Threads()
_CHUNK: Final = 500
"""The number of messages whose sizes are asked for at once."""

_MOST_REPLIES: Final = 1_000_000


class Login(NamedTuple):
    """The user of a mailbox, and the source of the credentials.

    Attributes:
        user: the name of the user.
        lookup: returns the credentials, or newer ones than those that were refused.
    """

    user: str
    lookup: Lookup


class Selected(NamedTuple):
    """The folder that a connection has open.

    Attributes:
        folder: its name.
        validity: the number under which its uids are valid.
        takes_keywords: whether messages can be marked with new keywords.
        permanent: the flags that the server keeps.
    """

    folder: str
    validity: int
    takes_keywords: bool
    permanent: frozenset[str]


def login_of(settings: Imap, service: str, provider: Any) -> Login:
    """Return the login of a mailbox: of the provider, or of the settings.

    Raises:
        ConfigurationError: there are no credentials.
    """
    if provider is None and settings.password is None and settings.token is None:
        raise ConfigurationError(
            "The mailbox has neither a password nor a token.",
            path="password",
            remedy="Give one of them, or a provider of credentials.",
        )

    async def credentials_of(stale: Any) -> Credentials | OAuthCredentials | None:
        if provider is None:
            if settings.token is not None:
                return OAuthCredentials(access_token=settings.token)
            return Credentials.basic(settings.user, settings.password or "")
        lookup = (
            provider.get(service, None) if stale is None else provider.refresh(service, None, stale)
        )
        return await lookup if asyncio.iscoroutine(lookup) else lookup  # type: ignore[no-any-return]  # of a port

    return Login(settings.user, credentials_of)


def connect_sync(settings: Imap, login: Login, timeout: float) -> ImapLink:
    """Open and authenticate a connection for a synchronous program."""
    return ImapLink(run(_connected(settings, login, timeout, _THREADS)))


async def connect_async(settings: Imap, login: Login, timeout: float) -> AsyncImapLink:
    """Open and authenticate a connection for an asynchronous program."""
    return await _connected(settings, login, timeout, _LOOPS)


async def _connected(
    settings: Imap, login: Login, timeout: float, network: Network
) -> AsyncImapLink:
    until = monotonic() + min(timeout, settings.connect_timeout)
    credentials = await login.lookup(None)
    failure = None
    for _ in range(2):
        link = await _opened(settings, until, network)
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
    raise bare(cast("AuthenticationFailed", failure))


async def _opened(settings: Imap, until: float, network: Network) -> AsyncImapLink:
    """Open a connection, with TLS if the settings want it, but do not authenticate."""
    failure: Exception
    link: AsyncImapLink | None = None
    try:
        address = settings.address()
        is_secure = address.tls is not None
        context = context_for(settings.tls) if is_secure or settings.start_tls else None
        origin = Origin(address.host, address.port, secure=is_secure)
        wire = await dial(network, origin, until, context if is_secure else None)
        link = AsyncImapLink(wire, settings.largest)
        await link.greet(until)
        if context is not None and not is_secure:
            await link.start_tls(context, address.host, until)
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = reaching_error(error)
    except BaseException:
        if link is not None:
            link.close()
        raise
    else:
        return link
    if link is not None:
        link.close()
    raise bare(failure)


class AsyncImapLink:
    """A connection to a mailbox, for one task at a time.

    Attributes:
        version: None, because servers of IMAP need not tell their versions.
        selected: the open folder; None if none is open.
        capabilities: the extensions that the server has.
    """

    version: str | None = None

    def __init__(self, wire: Wire, largest: int) -> None:
        self.selected: Selected | None = None
        self.capabilities: frozenset[str] = frozenset()
        self._wire = wire
        self._largest = largest
        self._replies = ReplyBuffer(largest + 100_000)
        self._number = 0
        self._is_closed = False
        self._is_authenticated = False
        self._is_idle = False

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the server has not said that it ends it."""
        if self._is_closed:
            return False
        while arrived := self._wire.glance():
            self._replies.add(arrived)
        if arrived is not None:
            return False
        try:
            while (parts := self._replies.next()) is not None:
                if imap_wire.read_reply(parts).status == "BYE":
                    return False
        except ValueError:
            return False
        return True

    async def ping(self, timeout: float) -> None:
        """Ask the server for a sign of life."""
        await self.command(["NOOP"], monotonic() + timeout)

    async def greet(self, until: float) -> None:
        """Wait for the greeting of the server."""
        try:
            reply = await self._reply(until)
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self._interrupted(error, has_effect=False)
        else:
            if reply.tag == "*" and reply.status in {"OK", "PREAUTH"}:
                self._is_authenticated = reply.status == "PREAUTH"
                return
            failure = unreachable("")
        raise failure

    async def start_tls(self, context: SSLContext, host: str, until: float) -> None:
        """Encrypt the connection, and verify the certificate of the server."""
        # An authentication that an unencrypted greeting claims could come from anybody.
        if self._is_authenticated:
            raise unreachable("TLS")
        reply = await self._command(["STARTTLS"], until)
        # Bytes that came before the encryption would be taken for encrypted ones.
        if reply.status != "OK" or self._replies:
            raise unreachable("TLS")
        self._wire = await secured(self._wire, context, host, until)

    async def log_in(
        self, user: str, credentials: Credentials | OAuthCredentials | None, until: float
    ) -> None:
        """Authenticate a user with a password or a token.

        Raises:
            AuthenticationFailed: the server refused them.
        """
        if not self._is_authenticated:
            await self._ask_capabilities(until)
            if isinstance(credentials, OAuthCredentials):
                token = credentials.access_token.reveal()
                words = f"user={user}\1auth=Bearer {token}\1\1"
                await self._authenticate("XOAUTH2", words.encode(), until)
            elif credentials is not None and credentials.secret is not None:
                password = credentials.secret.reveal_bytes()
                name = (credentials.username or user).encode()
                if "AUTH=PLAIN" in self.capabilities:
                    await self._authenticate("PLAIN", b"\0" + name + b"\0" + password, until)
                elif "LOGINDISABLED" in self.capabilities:
                    raise imap_error(ImapReply("", "NO", "PRIVACYREQUIRED"), is_login=True)
                else:
                    await self.command(["LOGIN", name, password], until, is_login=True)
        await self._ask_capabilities(until)

    async def _authenticate(self, mechanism: str, response: bytes, until: float) -> None:
        encoded = b64encode(response)
        words = ["AUTHENTICATE", mechanism]
        answers = [encoded + b"\r\n"]
        if "SASL-IR" in self.capabilities:
            words.append(encoded.decode())
            answers = []
        reply = await self._command(words, until, answers=answers)
        if reply.status != "OK":
            raise imap_error(reply, is_login=True)

    async def _ask_capabilities(self, until: float) -> None:
        names: list[str] = []

        def note(reply: ImapReply) -> None:
            if reply.items and reply.items[0] == b"CAPABILITY":
                names.extend(imap_wire.word(item).upper() for item in reply.items[1:])

        await self.command(["CAPABILITY"], until, note)
        self.capabilities = frozenset(names)

    async def select(self, folder: str, until: float) -> Selected:
        """Open a folder, or bring what the server tells of the open one up to date."""
        if self.selected is not None and self.selected.folder == folder:
            # A server passes over the uids of messages that it has not told of on this connection.
            await self.command(["NOOP"], until)
            return self.selected
        self.selected = None
        codes: dict[str, str] = {}

        def note(reply: ImapReply) -> None:
            name, _, value = reply.code.partition(" ")
            codes[name.upper()] = value

        reply = await self._command(["SELECT", imap_wire.mailbox_bytes(folder)], until, note)
        if reply.status != "OK":
            raise imap_error(reply) if reply.code else no_folder()
        validity = codes.get("UIDVALIDITY", "")
        if not validity.isdigit():
            raise UnsupportedByVendor(
                "The server gives the messages of the folder no permanent numbers.",
                remedy="Use another folder, or another server.",
            )
        permanent = frozenset(codes.get("PERMANENTFLAGS", "\\*").strip("()").split())
        self.selected = Selected(folder, int(validity), "\\*" in permanent, permanent)
        return self.selected

    async def search(self, folder: str, condition: ImapCondition, until: float) -> ImapSearchResult:
        """Return the uids of the messages that fulfil a condition."""
        selected = await self.select(folder, until)
        uids: list[int] = []

        def note(reply: ImapReply) -> None:
            if reply.items and reply.items[0] == b"SEARCH":
                uids.extend(map(imap_wire.number, reply.items[1:]))

        words = list(condition.words)
        if any(isinstance(item, bytes) and not item.isascii() for item in words):
            words = ["CHARSET", "UTF-8", *words]
        await self.command(["UID", "SEARCH", *words], until, note)
        return ImapSearchResult(selected.validity, tuple(sorted(set(uids))))

    async def sizes(self, uids: Sequence[int], until: float) -> dict[int, int]:
        """Return the sizes of messages in the open folder, without those that are gone."""
        sizes: dict[int, int] = {}

        def note(reply: ImapReply) -> None:
            fields = _fetched(reply)
            if fields is not None and "RFC822.SIZE" in fields:
                uid = imap_wire.number(fields.get("UID"))
                sizes[uid] = imap_wire.number(fields["RFC822.SIZE"])

        for start in range(0, len(uids), _CHUNK):
            words = ["UID", "FETCH", imap_wire.uid_set(uids[start : start + _CHUNK])]
            await self.command([*words, "(UID RFC822.SIZE)"], until, note)
        return sizes

    async def fetch(
        self, folder: str, uids: Sequence[int], validity: int | None, until: float
    ) -> tuple[ImapMessage, ...]:
        """Return messages that together are no larger than allowed."""
        selected = await self._valid(folder, validity, until)
        sizes = await self.sizes(uids, until)
        if sum(size for size in sizes.values() if size <= self._largest) > self._largest:
            raise InvalidData(
                "The messages are larger than one fetch may hold in memory.",
                field="uids",
                remedy="Fetch fewer at once, or raise `largest`.",
            )
        messages = [await self.message(selected, uid, sizes[uid], until) for uid in sorted(sizes)]
        return tuple(message for message in messages if message is not None)

    async def message(
        self, selected: Selected, uid: int, size: int, until: float
    ) -> ImapMessage | None:
        """Return a message of the open folder; None if it is gone."""
        part = "BODY[]" if size <= self._largest else "BODY[HEADER]"
        messages: list[ImapMessage] = []

        def note(reply: ImapReply) -> None:
            fields = _fetched(reply)
            if fields is None or not isinstance(fields.get(part), bytes):
                return
            if imap_wire.number(fields.get("UID")) != uid:
                raise ValueError("a message is not the one that was asked for")
            flags: Any = fields.get("FLAGS") or ()
            messages.append(
                ImapMessage(
                    folder=selected.folder,
                    validity=selected.validity,
                    uid=uid,
                    flags=tuple(imap_wire.word(flag) for flag in flags),
                    at=imap_values.moment(imap_wire.word(fields.get("INTERNALDATE") or b"")),
                    size=size,
                    content=fields[part],
                    is_complete=part == "BODY[]",
                )
            )

        fields_text = f"(UID FLAGS INTERNALDATE {part.replace('BODY', 'BODY.PEEK')})"
        await self.command(["UID", "FETCH", str(uid), fields_text], until, note)
        return messages[0] if messages else None

    async def flag(
        self,
        folder: str,
        uids: Sequence[int],
        validity: int | None,
        change: tuple[str, Sequence[str]],
        until: float,
    ) -> None:
        """Add flags to messages, or remove some: "+" or "-", and the flags."""
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
                "The server can neither move messages nor delete single ones.",
                remedy="Mark the messages with a flag instead.",
            )
        await self.command(["UID", "COPY", messages, name], until, has_effect=True)
        deleted = ["UID", "STORE", messages, "+FLAGS.SILENT", "(\\Deleted)"]
        await self.command(deleted, until, has_effect=True)
        await self.command(["UID", "EXPUNGE", messages], until, has_effect=True)

    async def idle(self, seconds: float, patience: float) -> None:
        """Wait until the open folder changes, or some seconds.

        Args:
            seconds: the seconds to wait at most.
            patience: the seconds in which the server must answer before and after.
        """
        ends = monotonic() + seconds
        try:
            tag = self._tag()
            await self._send([f"{tag} IDLE\r\n".encode()], monotonic() + patience)
            until = monotonic() + patience
            while (reply := await self._reply(until)).tag not in {"+", tag}:
                continue
            if reply.tag == "+":
                self._is_idle = True
                last = await self._change(ends)
                until = monotonic() + patience
                await self.end_idle(until)
                while last is None or last.tag != tag:
                    last = await self._reply(until)
                reply = last
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self._interrupted(error, has_effect=False)
        else:
            if reply.status == "OK":
                return
            failure = imap_error(reply)
        raise failure

    async def _change(self, until: float) -> ImapReply | None:
        """Return the reply that tells of a change, or ends the wait; None after the deadline."""
        try:
            while not _tells_of_change(reply := await self._reply(until)):
                continue
        except TimeIsUp:
            return None
        return reply

    async def end_idle(self, until: float) -> None:
        """End the wait of `idle`, also from another task; do nothing if there is none."""
        if self._is_idle:
            self._is_idle = False
            await self._wire.send(b"DONE\r\n", until)

    async def command(
        self,
        words: Sequence[str | bytes],
        until: float,
        note: Callable[[ImapReply], None] | None = None,
        *,
        has_effect: bool = False,
        is_login: bool = False,
    ) -> None:
        """Perform a command, and raise the error for its refusal.

        Args:
            words: the words of the command.
            until: the deadline.
            note: is called with each reply of data.
            has_effect: whether the command changes something.
            is_login: whether the command authenticates the user.
        """
        reply = await self._command(words, until, note, has_effect=has_effect)
        if reply.status != "OK":
            raise imap_error(reply, is_login=is_login)

    def close(self) -> None:
        """Drop the connection, without waiting for the server."""
        if not self._is_closed:
            self._is_closed = True
            self._wire.close()

    async def _valid(self, folder: str, validity: int | None, until: float) -> Selected:
        selected = await self.select(folder, until)
        if validity is not None and selected.validity != validity:
            raise renumbered()
        return selected

    async def _command(
        self,
        words: Sequence[str | bytes],
        until: float,
        note: Callable[[ImapReply], None] | None = None,
        *,
        answers: Sequence[bytes] = (),
        has_effect: bool = False,
    ) -> ImapReply:
        """Perform a command, and return the reply that ends it."""
        try:
            tag = self._tag()
            first, *rest = imap_wire.command(tag, words)
            await self._send([first], until)
            return await self._ending(tag, [*rest, *answers], until, note)
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self._interrupted(error, has_effect=has_effect)
        raise failure

    async def _ending(
        self,
        tag: str,
        chunks: list[bytes],
        until: float,
        note: Callable[[ImapReply], None] | None,
    ) -> ImapReply:
        """Send the rest of a command when the server asks for it, and return its last reply."""
        for _ in range(_MOST_REPLIES):
            reply = await self._reply(until)
            if reply.tag == tag:
                return reply
            if reply.tag == "+":
                # A challenge after the last answer reports a refusal, and needs an empty answer.
                await self._send([chunks.pop(0) if chunks else b"\r\n"], until)
            elif reply.status == "BYE":
                raise ConnectionResetError
            elif note is not None:
                note(reply)
        raise ValueError("a command has more replies than it may")

    def _tag(self) -> str:
        self._number += 1
        return f"m{self._number}"

    async def _send(self, chunks: Sequence[bytes], until: float) -> None:
        for chunk in chunks:
            await self._wire.send(chunk, until)

    async def _reply(self, until: float) -> ImapReply:
        while (parts := self._replies.next()) is None:
            data = await self._wire.receive(until)
            if not data:
                raise ConnectionResetError
            self._replies.add(data)
        return imap_wire.read_reply(parts)

    def _interrupted(self, error: BaseException, *, has_effect: bool) -> BaseException:
        """Close the connection, and return the error for what interrupted a command."""
        self.close()
        if isinstance(error, TimeIsUp):
            return timed_out(has_effect=has_effect)
        if isinstance(error, OSError):
            return connection_lost(has_effect=has_effect)
        return malformed(has_effect=has_effect) if isinstance(error, ValueError) else error


def _fetched(reply: ImapReply) -> dict[str, Any] | None:
    """Return the fields of a message in a reply; None if the reply is another one."""
    if len(reply.items) == 3 and reply.items[1] == b"FETCH":
        return imap_wire.pairs_of(reply.items[2])
    return None


def _tells_of_change(reply: ImapReply) -> bool:
    """Return whether a reply says that there may be new messages."""
    if reply.status == "BYE":
        raise ConnectionResetError
    return (len(reply.items) == 2 and reply.items[1] in {b"EXISTS", b"RECENT"}) or reply.tag != "*"


class ImapLink:
    """A connection to a mailbox, for one thread at a time."""

    def __init__(self, link: AsyncImapLink) -> None:
        self._link = link
        self.version: str | None = None

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the server has not said that it ends it."""
        return self._link.is_connected()

    def ping(self, timeout: float) -> None:
        """Ask the server for a sign of life."""
        run(self._link.ping(timeout))

    def search(self, folder: str, condition: ImapCondition, until: float) -> ImapSearchResult:
        """Return the uids of the messages that fulfil a condition."""
        return run(self._link.search(folder, condition, until))

    def fetch(
        self, folder: str, uids: Sequence[int], validity: int | None, until: float
    ) -> tuple[ImapMessage, ...]:
        """Return messages that together are no larger than allowed."""
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

    def close(self) -> None:
        """Drop the connection, without waiting for the server."""
        self._link.close()
