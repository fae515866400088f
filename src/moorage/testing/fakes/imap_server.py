"""A local IMAP mailbox, for tests of programs that use the IMAP connector."""

from __future__ import annotations

import re
import select
import socket
from base64 import b64decode
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from email.policy import default
from imaplib import Time2Internaldate
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.connectors import imap_wire
from moorage.domain.connectors.imap_values import ImapMessage, moment
from moorage.domain.values.json_text import is_list
from moorage.testing.fakes._tcp_server import TcpServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

_LITERAL: Final = re.compile(rb"\{([0-9]{1,9})\}\r\n\Z")
_MAX_BYTES: Final = 16 * 1024 * 1024
_VALIDITY: Final = 1
_CAPABILITIES: Final = "IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR MOVE UIDPLUS IDLE"
_FLAGS: Final = ("ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN")
_HEADERS: Final = ("FROM", "SUBJECT", "TO")
_OK: Final = "OK done"
_UNKNOWN: Final = "BAD unknown command"
_NO_FOLDER: Final = "NO [NONEXISTENT] no such folder"


@attrs.define
class _Client:
    """The state of one connection: its socket, and its open folder.

    `waker` is a socket to which a byte is written when a message arrives while the client waits.
    `last_uid` is the uid of the last message that the client has searched. `idle_tag` is the tag of
    the command IDLE while the client waits for new messages.
    """

    connection: socket.socket
    waker: socket.socket
    folder: str | None = None
    is_authenticated: bool = False
    last_uid: int = 0
    idle_tag: str | None = None


class ImapServer(TcpServer):
    """An IMAP server with a mailbox in memory, which runs during its `with` block.

    Every user has the same folders. Messages that are moved get new uids, and none is deleted.

    Args:
        folders: the messages at the start, in MIME format, by the name of the folder.
        password: the password, and the token, of every user.
        tls: speaks TLS with this context (`moorage.testing.fakes.http_tls` makes some).

    Attributes:
        failures: the codes with which the next operations are refused, such as "UNAVAILABLE".
    """

    def __init__(
        self,
        folders: Mapping[str, Sequence[bytes]] | None = None,
        *,
        password: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls)
        self.failures: deque[str] = deque()
        self._password = password
        self._folders: dict[str, dict[int, ImapMessage]] = {"INBOX": {}}
        self._last_uids: dict[str, int] = {}
        self._clients: list[_Client] = []
        for folder, contents in (folders or {}).items():
            self._folders.setdefault(folder, {})
            for content in contents:
                self.add(content, folder=folder)

    @property
    def url(self) -> str:
        """The URL of the server, for a connector with `start_tls=False` if there is no TLS."""
        return f"{'imap' if self._tls is None else 'imaps'}://127.0.0.1:{self.port}"

    def add(self, content: bytes, *, folder: str = "INBOX", flags: Iterable[str] = ()) -> int:
        """Store a message in a folder, notify waiting clients, and return the message's uid."""
        with self.lock:
            uid = self._stored(folder, content, tuple(flags))
            for client in self._clients:
                if client.idle_tag is not None:
                    # A socket whose buffer is full wakes its reader anyway.
                    with suppress(BlockingIOError):
                        client.waker.send(b"!")
            return uid

    def messages(self, folder: str = "INBOX") -> tuple[ImapMessage, ...]:
        """Return the messages in a folder, in order of arrival."""
        with self.lock:
            return tuple(self._folders.get(folder, {}).values())

    def _answer_requests(self, connection: socket.socket) -> None:
        """Execute the commands of one connection until it ends."""
        wakeups, waker = socket.socketpair()
        client = _Client(connection, waker)
        with wakeups, waker:
            waker.setblocking(False)
            with self.lock:
                self._clients.append(client)
            try:
                connection.sendall(b"* OK ready\r\n")
                with connection.makefile("rb") as stream:
                    while parts := _command(connection, stream):
                        with self.lock:
                            connection.sendall(b"".join(self._answer(client, parts)))
                        if client.idle_tag is not None:
                            self._watch(client, wakeups)
            finally:
                with self.lock:
                    self._clients.remove(client)

    def _watch(self, client: _Client, wakeups: socket.socket) -> None:
        """Notify a client of new messages until it sends something.

        Only the connection's own thread writes to it, because two threads cannot read from and
        write to TLS concurrently.
        """
        while True:
            with self.lock:
                client.connection.sendall(b"".join(self._changes(client)))
            readable, _, _ = select.select([client.connection, wakeups], [], [])
            if client.connection in readable:
                return
            wakeups.recv(4096)

    def _changes(self, client: _Client) -> Iterator[bytes]:
        """Notify a client of messages that arrived in its folder since its last search."""
        folder = client.folder or ""
        last_uid = self._last_uids.get(folder, 0)
        if last_uid > client.last_uid:
            client.last_uid = last_uid
            yield f"* {len(self._folders[folder])} EXISTS\r\n".encode()

    def _answer(self, client: _Client, parts: list[bytes]) -> Iterator[bytes]:
        if client.idle_tag is not None:
            tag, client.idle_tag = client.idle_tag, None
            yield f"{tag} {_OK}\r\n".encode()
            return
        first, second, *arguments = imap_wire.values_of(parts)
        tag, verb = imap_wire.as_text(first), imap_wire.as_text(second).upper()
        if verb == "UID":
            verb, arguments = f"UID {imap_wire.as_text(arguments[0]).upper()}", arguments[1:]
        if verb == "IDLE":
            client.idle_tag = tag
            yield b"+ waiting\r\n"
            return
        lines: list[bytes] = []
        ending = self._execute(client, verb, arguments, lines)
        if verb == "UID SEARCH" and client.folder is not None:
            client.last_uid = self._last_uids.get(client.folder, 0)
        yield from lines
        yield f"{tag} {ending}\r\n".encode()

    def _execute(self, client: _Client, verb: str, arguments: list[Any], lines: list[bytes]) -> str:
        """Execute a command and return its last reply line; add earlier reply lines to `lines`."""
        if verb == "CAPABILITY":
            lines.append(f"* CAPABILITY {_CAPABILITIES}\r\n".encode())
            return _OK
        if verb in {"AUTHENTICATE", "LOGIN"}:
            client.is_authenticated = self._password == _password_in(arguments)
            return _OK if client.is_authenticated else "NO [AUTHENTICATIONFAILED] refused"
        if verb == "NOOP":
            return _OK
        if verb == "SELECT":
            return self._selected(client, arguments[0], lines)
        if not client.is_authenticated or client.folder is None or verb not in self._VERBS:
            return _UNKNOWN
        if self.failures:
            return f"NO [{self.failures.popleft()}] refused"
        return self._VERBS[verb](self, client.folder, arguments, lines)

    def _selected(self, client: _Client, name: bytes, lines: list[bytes]) -> str:
        names = {imap_wire.mailbox_bytes(folder): folder for folder in self._folders}
        if not client.is_authenticated or name not in names:
            return _NO_FOLDER
        client.folder, client.last_uid = names[name], 0
        lines += [
            f"* {len(self._folders[client.folder])} EXISTS\r\n".encode(),
            b"* OK [PERMANENTFLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen \\*)] kept\r\n",
            f"* OK [UIDVALIDITY {_VALIDITY}] valid\r\n".encode(),
        ]
        return _OK

    def _search(self, folder: str, arguments: list[Any], lines: list[bytes]) -> str:
        if arguments[0] == b"CHARSET":
            del arguments[:2]
        test = _all_conditions(arguments)
        uids = [str(uid) for uid, message in self._folders[folder].items() if test(message)]
        lines.append(f"* SEARCH {' '.join(uids)}".strip().encode() + b"\r\n")
        return _OK

    def _fetch(self, folder: str, arguments: list[Any], lines: list[bytes]) -> str:
        messages = self._folders[folder]
        positions = {uid: position for position, uid in enumerate(messages, 1)}
        for message in self._messages_in(folder, arguments[0]):
            field_texts = b" ".join(_field(message, name.decode().upper()) for name in arguments[1])
            lines.append(b"* %d FETCH (%s)\r\n" % (positions[message.uid], field_texts))
        return _OK

    def _store(self, folder: str, arguments: list[Any], _: list[bytes]) -> str:
        changed_flags = [flag.decode() for flag in arguments[2]]
        for message in self._messages_in(folder, arguments[0]):
            other_flags = [flag for flag in message.flags if flag not in changed_flags]
            added_flags = changed_flags if arguments[1].startswith(b"+") else []
            flags = (*other_flags, *added_flags)
            self._folders[folder][message.uid] = attrs.evolve(message, flags=flags)
        return _OK

    def _move(self, folder: str, arguments: list[Any], _: list[bytes]) -> str:
        names = {imap_wire.mailbox_bytes(name): name for name in self._folders}
        target = names.get(arguments[1])
        if target is None:
            return "NO [TRYCREATE] no such folder"
        for message in self._messages_in(folder, arguments[0]):
            del self._folders[folder][message.uid]
            self._stored(target, message.content, message.flags)
        return _OK

    def _stored(self, folder: str, content: bytes, flags: tuple[str, ...]) -> int:
        uid = self._last_uids[folder] = self._last_uids.get(folder, 0) + 1
        self._folders.setdefault(folder, {})[uid] = ImapMessage(
            folder=folder,
            validity=_VALIDITY,
            uid=uid,
            flags=flags,
            at=datetime.now(UTC).replace(microsecond=0),
            size=len(content),
            content=content,
        )
        return uid

    def _messages_in(self, folder: str, uids: bytes) -> list[ImapMessage]:
        """Return the messages whose uids are in a set such as "1:3,7"."""
        ranges = [part.partition(":") for part in uids.decode().split(",")]
        return [
            message
            for uid, message in self._folders[folder].items()
            if any(int(low) <= uid <= int(high or low) for low, _, high in ranges)
        ]

    _VERBS: Final = {
        "UID SEARCH": _search,
        "UID FETCH": _fetch,
        "UID STORE": _store,
        "UID MOVE": _move,
    }


def _command(connection: socket.socket, stream: BinaryIO) -> list[bytes]:
    """Return the lines and literals of the next command; empty at the end of the connection."""
    parts = [stream.readline()]
    while literal := _LITERAL.search(parts[-1]):
        if int(literal[1]) > _MAX_BYTES:
            raise ValueError("a literal is too large")
        connection.sendall(b"+ go on\r\n")
        parts += [stream.read(int(literal[1])), stream.readline()]
    return parts if parts[-1] else []


def _password_in(arguments: list[bytes]) -> str:
    """Return the password or token that a login command contains."""
    if len(arguments) > 1 and arguments[0].upper() in {b"PLAIN", b"XOAUTH2"}:
        words = re.split(rb"[\x00\x01]", b64decode(arguments[1]).rstrip(b"\1"))
        return words[-1].decode().removeprefix("auth=Bearer ")
    return arguments[-1].decode()


def _field(message: ImapMessage, name: str) -> bytes:
    """Return one field of a message as FETCH writes it."""
    arrival_time = message.at or datetime.now(UTC)
    fields = {
        "UID": str(message.uid),
        "FLAGS": f"({' '.join(message.flags)})",
        "INTERNALDATE": Time2Internaldate(arrival_time),
        "RFC822.SIZE": str(message.size),
    }
    if name in fields:
        return f"{name} {fields[name]}".encode()
    header, blank, _ = message.content.partition(b"\r\n\r\n")
    content = header + blank if name.endswith("[HEADER]") else message.content
    return name.replace(".PEEK", "").encode() + b" {%d}\r\n" % len(content) + content


def _all_conditions(words: list[Any]) -> Callable[[ImapMessage], bool]:
    """Return a test whether a message meets all conditions of a search."""
    remaining_words = deque(words)
    tests: list[Callable[[ImapMessage], bool]] = []
    while remaining_words:
        tests.append(_read_condition(remaining_words))
    return lambda message: all(test(message) for test in tests)


def _read_condition(words: deque[Any]) -> Callable[[ImapMessage], bool]:
    """Parse the next condition of a search, and return a test for it.

    Raises:
        ValueError: the condition is unknown.
    """
    word = words.popleft()
    if is_list(word):
        return _all_conditions(word)
    name = word.decode().upper()
    if name == "ALL":
        return lambda _: True
    if name == "NOT":
        inner = _read_condition(words)
        return lambda message: not inner(message)
    if name == "OR":
        first, second = _read_condition(words), _read_condition(words)
        return lambda message: first(message) or second(message)
    if name == "KEYWORD" or name.removeprefix("UN") in _FLAGS:
        flag = words.popleft().decode() if name == "KEYWORD" else f"\\{name.removeprefix('UN')}"
        is_set = not name.startswith("UN")
        return lambda message: is_set is (flag.upper() in map(str.upper, message.flags))
    if name in {"SINCE", "BEFORE"}:
        day = moment(f"{words.popleft().decode()} 00:00:00 +0000")
        if day is None:
            raise ValueError("a day cannot be read")
        return lambda message: (message.at is not None and message.at >= day) is (name == "SINCE")
    if name == "HEADER" or name in _HEADERS:
        header = words.popleft().decode() if name == "HEADER" else name
        text = words.popleft().decode().casefold()
        return lambda message: any(
            text in str(value).casefold()
            for value in BytesHeaderParser(policy=default)
            .parsebytes(message.content)
            .get_all(header, [])
        )
    raise ValueError("an unknown condition")
