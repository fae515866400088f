"""IMAP commands over one connection: greeting, authentication, replies and waiting."""

from __future__ import annotations

from base64 import b64encode
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.adapters.wire_links.link import AsyncWireLink
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.connectors import imap_wire
from moorage.domain.connectors.imap_failures import INTERRUPTIONS, imap_error
from moorage.domain.connectors.imap_wire import ImapReply, ReplyBuffer
from moorage.domain.connectors.unreachable import unreachable_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.adapters.http.connections._wire import Wire

_MOST_REPLIES: Final = 1_000_000


class ImapCommands(AsyncWireLink):
    """A connection that performs IMAP commands, for one task at a time.

    Attributes:
        capabilities: the extensions that the server has.
    """

    failures = INTERRUPTIONS

    def __init__(self, wire: Wire, largest: int) -> None:
        super().__init__(wire)
        self.capabilities: frozenset[str] = frozenset()
        self._replies = ReplyBuffer(largest + 100_000)
        self._number = 0
        self._is_authenticated = False
        self._is_idle = False
        self._ends_idle_at_once = False

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the server has not announced its closing."""
        if self._is_closed:
            return False
        while received_bytes := self._wire.read_available():
            self._replies.add(received_bytes)
        if received_bytes is not None:
            return False
        try:
            while (parts := self._replies.next()) is not None:
                if imap_wire.read_reply(parts).status == "BYE":
                    return False
        except ValueError:
            return False
        return True

    async def ping(self, timeout: float) -> None:
        """Check that the server responds, with the command NOOP."""
        await self.command(["NOOP"], monotonic() + timeout, is_preparation=True)

    async def greet(self, until: float) -> None:
        """Wait for the server's greeting."""
        try:
            reply = await self._reply(until)
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self.interrupted(error, has_effect=False, is_preparation=True)
        else:
            if reply.tag == "*" and reply.status in {"OK", "PREAUTH"}:
                self._is_authenticated = reply.status == "PREAUTH"
                return
            failure = unreachable_error("")
        raise failure

    async def accepts_tls(self, until: float) -> bool:
        """Ask the server to start TLS; return False if it refused or sent unexpected data."""
        # A greeting without TLS could come from an attacker, so its claim of authentication is
        # ignored.
        if self._is_authenticated:
            return False
        reply = await self.reply_to(["STARTTLS"], until, is_preparation=True)
        return reply.status == "OK" and not self._replies

    async def log_in(
        self, user: str, credentials: Credentials | OAuthCredentials | None, until: float
    ) -> None:
        """Authenticate a user with a password or a token.

        Raises:
            AuthenticationFailed: the server refused the credentials.
        """
        if not self._is_authenticated:
            await self._ask_capabilities(until)
            if isinstance(credentials, OAuthCredentials):
                token = credentials.access_token.reveal()
                response = f"user={user}\1auth=Bearer {token}\1\1"
                await self._authenticate("XOAUTH2", response.encode(), until)
            elif credentials is not None and credentials.secret is not None:
                password = credentials.secret.reveal_bytes()
                name = (credentials.username or user).encode()
                if "AUTH=PLAIN" in self.capabilities:
                    await self._authenticate("PLAIN", b"\0" + name + b"\0" + password, until)
                elif "LOGINDISABLED" in self.capabilities:
                    raise imap_error(ImapReply("", "NO", "PRIVACYREQUIRED"), is_login=True)
                else:
                    words: list[str | bytes] = ["LOGIN", name, password]
                    await self.command(words, until, is_login=True, is_preparation=True)
        await self._ask_capabilities(until)

    async def _authenticate(self, mechanism: str, response: bytes, until: float) -> None:
        encoded = b64encode(response)
        words = ["AUTHENTICATE", mechanism]
        answers = [encoded + b"\r\n"]
        if "SASL-IR" in self.capabilities:
            words.append(encoded.decode())
            answers = []
        reply = await self.reply_to(words, until, answers=answers, is_preparation=True)
        if reply.status != "OK":
            raise imap_error(reply, is_login=True)

    async def _ask_capabilities(self, until: float) -> None:
        names: list[str] = []

        def add_capabilities(reply: ImapReply) -> None:
            if reply.items and reply.items[0] == b"CAPABILITY":
                names.extend(imap_wire.as_text(item).upper() for item in reply.items[1:])

        await self.command(["CAPABILITY"], until, add_capabilities, is_preparation=True)
        self.capabilities = frozenset(names)

    async def idle(self, seconds: float, patience: float) -> None:
        """Wait until the open folder changes or the time is over.

        Args:
            seconds: the seconds to wait at most.
            patience: the seconds in which the server must answer before and after.
        """
        ends = monotonic() + seconds
        self._ends_idle_at_once = False
        try:
            tag = self._tag()
            await self._send([f"{tag} IDLE\r\n".encode()], monotonic() + patience)
            until = monotonic() + patience
            while (reply := await self._reply(until)).tag not in {"+", tag}:
                continue
            if reply.tag == "+":
                self._is_idle = True
                last = await self._next_change(-inf if self._ends_idle_at_once else ends)
                until = monotonic() + patience
                await self.end_idle(until)
                while last is None or last.tag != tag:
                    last = await self._reply(until)
                reply = last
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self.interrupted(error, has_effect=False)
        else:
            if reply.status == "OK":
                return
            failure = imap_error(reply)
        raise failure

    async def _next_change(self, until: float) -> ImapReply | None:
        """Return the reply that reports a change or ends the wait; None after the deadline."""
        try:
            while not _reports_change(reply := await self._reply(until)):
                continue
        except DeadlinePassed:
            return None
        return reply

    async def end_idle(self, until: float) -> None:
        """End a running `idle`, also one that the server has not accepted yet.

        Other tasks may call this too.
        """
        self._ends_idle_at_once = True
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
        is_preparation: bool = False,
        is_login: bool = False,
    ) -> None:
        """Perform a command; raise an error if the server refuses it.

        Args:
            words: the words of the command.
            until: the deadline.
            note: is called with each reply of data.
            has_effect: whether the command changes something.
            is_preparation: whether the command only prepares the actual command of the operation.
            is_login: whether the command authenticates the user.
        """
        reply = await self.reply_to(
            words, until, note, has_effect=has_effect, is_preparation=is_preparation
        )
        if reply.status != "OK":
            raise imap_error(reply, is_login=is_login)

    async def reply_to(
        self,
        words: Sequence[str | bytes],
        until: float,
        note: Callable[[ImapReply], None] | None = None,
        *,
        answers: Sequence[bytes] = (),
        has_effect: bool = False,
        is_preparation: bool = False,
    ) -> ImapReply:
        """Perform a command, and return its final reply."""
        try:
            tag = self._tag()
            first, *further_chunks = imap_wire.command_chunks(tag, words)
            await self._send([first], until)
            return await self._last_reply(tag, [*further_chunks, *answers], until, note)
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self.interrupted(error, has_effect=has_effect, is_preparation=is_preparation)
        raise failure

    async def _last_reply(
        self,
        tag: str,
        chunks: list[bytes],
        until: float,
        note: Callable[[ImapReply], None] | None,
    ) -> ImapReply:
        """Send the rest of a command when the server requests it, and return the final reply."""
        for _ in range(_MOST_REPLIES):
            reply = await self._reply(until)
            if reply.tag == tag:
                return reply
            if reply.tag == "+":
                # A challenge after the last reply reports a refusal, and expects an empty reply.
                await self._send([chunks.pop(0) if chunks else b"\r\n"], until)
            elif reply.status == "BYE":
                raise ConnectionResetError
            elif note is not None:
                note(reply)
        raise ValueError("a command has more replies than allowed")

    def _tag(self) -> str:
        self._number += 1
        return f"m{self._number}"

    async def _send(self, chunks: Sequence[bytes], until: float) -> None:
        for chunk in chunks:
            await self._wire.send(chunk, until)

    async def _reply(self, until: float) -> ImapReply:
        while (parts := self._replies.next()) is None:
            self._replies.add(await self.receive(until))
        return imap_wire.read_reply(parts)


def _reports_change(reply: ImapReply) -> bool:
    """Return whether a reply announces possible new messages."""
    if reply.status == "BYE":
        raise ConnectionResetError
    return (len(reply.items) == 2 and reply.items[1] in {b"EXISTS", b"RECENT"}) or reply.tag != "*"
