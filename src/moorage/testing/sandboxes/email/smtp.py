"""A local SMTP server that imitates a mail server.

Magic addresses: refused@example.com is refused, and greylisted@example.com is refused temporarily.
A message to throttled@example.com exceeds the rate limit. For outage@example.com the server closes
the connection; for lost@example.com it closes the connection after it has accepted the message, but
before it replies. Senders at unverified.example are refused.
"""

from __future__ import annotations

import re
import ssl
from base64 import b64decode
from contextlib import ExitStack, suppress
from email import message_from_bytes
from email.policy import default
from email.utils import parseaddr
from math import inf
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, Final, Self

from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, Item
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

_MAGIC: Final = {
    "refused@example.com": "550 5.1.1 There is no such mailbox",
    "greylisted@example.com": "451 4.2.0 Come back later",
    "throttled@example.com": "450 4.7.1 Too much mail",
    "outage@example.com": "421 4.3.2 The service is shutting down",
}
_LOST_ADDRESS: Final = "lost@example.com"
_NOT_ASCII: Final = "553 5.6.7 The address takes SMTPUTF8"
_TOO_LARGE: Final = "552 5.3.4 The message is too large"
_SIZE: Final = re.compile(r" SIZE=(\d{1,20})\b", re.IGNORECASE)


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    sandbox: SmtpSandbox


class SmtpSandbox:
    """An SMTP server, which runs during its `with` block.

    Args:
        username, password: credentials that clients must send.
        tls: the context for TLS; if None, `starttls` is not offered.
        implicit: True to begin each connection with TLS.
        extensions: further SMTP extensions that the server announces.
        login: True to require authentication.

    Attributes:
        delivered: the accepted messages.
        envelopes: the sender and the recipients of each accepted message.
        said: the commands that the server received, without secrets.
        refusals: responses to the next recipients, one for each.
        greeting, invitation, taken: the server's replies to a new connection, to DATA, and to a
            message.
        leaves_at: the command at which the server closes the connection; None to never close it.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        username: str = "mailer",
        password: str = "smtp-sandbox-password",
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        extensions: tuple[str, ...] = ("SIZE 10485760", "8BITMIME", "SMTPUTF8"),
        login: bool = True,
    ) -> None:
        self.username, self.password = username, password
        self.tls, self.implicit = tls, implicit
        self.extensions, self.login = extensions, login
        self.greeting = "220 sandbox ESMTP"
        self.invitation = "354 Go on"
        self.taken = "250 2.0.0 Queued as {number}"
        self.leaves_at: str | None = None
        self.delivered: list[DeliveredEmail] = []
        self.envelopes: list[tuple[str, tuple[str, ...]]] = []
        self.said: list[str] = []
        self.refusals: list[str] = []
        self.lock = RLock()
        self._server = _Server((self.host, 0), _Conversation)
        self._server.sandbox = self

    @property
    def port(self) -> int:
        """The port of the SMTP server."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, sender: str, recipients: tuple[str, ...], message: bytes) -> int:
        """Record a delivered email, and return its number."""
        with self.lock:
            self.envelopes.append((sender, recipients))
            self.delivered.append(read_message(message, recipients))
            return len(self.delivered)


class _Conversation(StreamRequestHandler):
    """One client's SMTP session."""

    @property
    def sandbox(self) -> SmtpSandbox:
        """The sandbox of this SMTP session."""
        server: Any = self.server
        sandbox: SmtpSandbox = server.sandbox
        return sandbox

    def handle(self) -> None:
        """Respond to SMTP commands until the client disconnects."""
        sandbox = self.sandbox
        self.known = not sandbox.login
        self._forget_message()
        with suppress(OSError, ValueError):
            if sandbox.implicit:
                self._start_tls()
            self._send_lines(sandbox.greeting)
            while sandbox.greeting.startswith("220") and (line := self.rfile.readline(4_096)):
                text = line.decode(errors="replace").strip()
                verb = text.partition(" ")[0].upper()
                with sandbox.lock:
                    sandbox.said.append(verb if verb == "AUTH" else text)
                if not self._answer_command(verb, text):
                    return

    def finish(self) -> None:
        """Close the connection, whichever side has closed first."""
        with suppress(OSError, ValueError):
            super().finish()
        with suppress(OSError):
            self.connection.close()

    def _send_lines(self, *lines: str) -> None:
        *leading_lines, last_line = lines
        text = "".join(f"{line[:3]}-{line[4:]}\r\n" for line in leading_lines) + f"{last_line}\r\n"
        self.wfile.write(text.encode())
        self.wfile.flush()

    def _start_tls(self) -> None:
        tls = self.sandbox.tls or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.connection = tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")

    def _answer_command(self, verb: str, text: str) -> bool:
        if verb == self.sandbox.leaves_at:
            return False
        answer = self._commands().get(verb)
        if answer is None:
            self._send_lines("502 5.5.1 There is no such command")
            return True
        return answer(text)

    def _commands(self) -> Mapping[str, Callable[[str], bool]]:
        return {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }

    def _forget_message(self) -> None:
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.is_wide = False

    def _helo(self, _: str) -> bool:
        self._forget_message()
        self._send_lines("250 sandbox")
        return True

    def _rset(self, _: str) -> bool:
        self._forget_message()
        self._send_lines("250 2.0.0 Fine")
        return True

    def _noop(self, _: str) -> bool:
        self._send_lines("250 2.0.0 Fine")
        return True

    def _ehlo(self, _: str) -> bool:
        sandbox = self.sandbox
        self._forget_message()
        offers = [f"250 {extension}" for extension in sandbox.extensions]
        if sandbox.tls is not None and not isinstance(self.connection, ssl.SSLSocket):
            offers.append("250 STARTTLS")
        if sandbox.login:
            offers.append("250 AUTH PLAIN XOAUTH2")
        self._send_lines("250 sandbox", *offers)
        return True

    def _starttls(self, _: str) -> bool:
        self._send_lines("220 2.0.0 Go ahead")
        self._start_tls()
        return True

    def _auth(self, text: str) -> bool:
        sandbox = self.sandbox
        _, method, encoded_credentials = (*text.split(" ", 2), "", "")[:3]
        expected = {
            "PLAIN": f"\0{sandbox.username}\0{sandbox.password}",
            "XOAUTH2": f"user={sandbox.username}\1auth=Bearer {sandbox.password}\1\1",
        }
        method = method.upper()
        if method not in expected:
            self._send_lines("504 5.5.4 There is no such authentication")
            return True
        try:
            credentials = b64decode(encoded_credentials, validate=True).decode()
        except ValueError:
            self._send_lines("501 5.5.2 The credentials cannot be decoded")
            return True
        self.known = credentials == expected[method]
        if self.known:
            self._send_lines("235 2.7.0 Welcome")
        elif method == "XOAUTH2":
            self._send_lines("334 eyJzdGF0dXMiOiI0MDEifQ==")
            self.rfile.readline(4_096)
            self._send_lines("535 5.7.8 Nobody is known by that")
        else:
            self._send_lines("535 5.7.8 Nobody is known by that")
        return True

    def _mail(self, text: str) -> bool:
        self._forget_message()
        sender = _path(text)
        is_wide = "SMTPUTF8" in self.sandbox.extensions and "SMTPUTF8" in text.upper().split()
        size = _SIZE.search(text)
        if not self.known:
            self._send_lines("530 5.7.0 Say who you are first")
        elif sender is None:
            self._send_lines("501 5.1.7 There is no address in angle brackets")
        elif sender.endswith("@unverified.example"):
            self._send_lines("553 5.1.8 Nobody here sends from there")
        elif not sender.isascii() and not is_wide:
            self._send_lines(_NOT_ASCII)
        elif size is not None and int(size[1]) > self._most_bytes():
            self._send_lines(_TOO_LARGE)
        else:
            self.sender, self.is_wide = sender, is_wide
            self._send_lines("250 2.1.0 Fine")
        return True

    def _rcpt(self, text: str) -> bool:
        recipient = _path(text)
        sandbox = self.sandbox
        if self.sender is None:
            self._send_lines("503 5.5.1 Name the sender first")
            return True
        if not recipient:
            self._send_lines("501 5.1.3 There is no address in angle brackets")
            return True
        if not recipient.isascii() and not self.is_wide:
            self._send_lines(_NOT_ASCII)
            return True
        with sandbox.lock:
            refusal = sandbox.refusals.pop(0) if sandbox.refusals else _MAGIC.get(recipient)
        if refusal is not None:
            self._send_lines(refusal)
            return not refusal.startswith("421")
        self.recipients.append(recipient)
        self._send_lines("250 2.1.5 Fine")
        return True

    def _data(self, _: str) -> bool:
        sandbox, sender, recipients = self.sandbox, self.sender, tuple(self.recipients)
        if sender is None or not recipients:
            self._send_lines("503 5.5.1 Name the sender and a recipient first")
            return True
        self._send_lines(sandbox.invitation)
        if not sandbox.invitation.startswith("354"):
            return True
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                # A message is accepted only as a whole.
                return False
            lines.append(line[1:] if line.startswith(b"..") else line)
        message = b"".join(lines)
        self._forget_message()
        if not sandbox.taken.startswith("250") or len(message) > self._most_bytes():
            self._send_lines(_TOO_LARGE if sandbox.taken.startswith("250") else sandbox.taken)
            return True
        number = sandbox.take(sender, recipients, message)
        if _LOST_ADDRESS in recipients:
            return False
        self._send_lines(sandbox.taken.format(number=number))
        return True

    def _most_bytes(self) -> float:
        """Return the size of the largest message that the server accepts."""
        sizes = [name.partition(" ")[2] for name in self.sandbox.extensions if "SIZE " in name]
        return int(sizes[0]) if sizes and sizes[0] != "0" else inf

    def _quit(self, _: str) -> bool:
        self._send_lines("221 2.0.0 Goodbye")
        return False


def _path(text: str) -> str | None:
    """Return the address in a command, which may be empty; None if there is none."""
    start, bracket, address_text = text.partition("<")
    return address_text.partition(">")[0] if start.rstrip().endswith(":") and bracket else None


def read_message(message: bytes, recipients: tuple[str, ...]) -> DeliveredEmail:
    """Parse an email as its recipients see it."""
    parsed_message: Any = message_from_bytes(message, policy=default)
    items: list[Item] = []
    texts: dict[str, str] = {}
    for part in parsed_message.walk():
        kind, disposition = part.get_content_type(), part.get_content_disposition()
        if part.is_multipart():
            continue
        if disposition is None:
            texts[kind] = part.get_content().removesuffix("\n").removesuffix("\r")
            continue
        cid = part["content-id"]
        content = part.get_payload(decode=True)
        content_id = None if cid is None else str(cid).strip("<>")
        items.append(Item(part.get_filename(), content, kind, disposition, content_id))
    visible_recipients = {name: _emails(parsed_message, name) for name in ("to", "cc")}
    name, sender = parseaddr(str(parsed_message["from"]))
    return DeliveredEmail(
        id=str(parsed_message["message-id"]),
        sender=sender,
        sender_name=name or None,
        to=visible_recipients["to"],
        cc=visible_recipients["cc"],
        bcc=tuple(
            address
            for address in recipients
            if address not in visible_recipients["to"] + visible_recipients["cc"]
        ),
        subject=str(parsed_message["subject"] or ""),
        text=texts.get("text/plain"),
        html=texts.get("text/html"),
        amp_html=texts.get("text/x-amp-html"),
        headers={key: str(value) for key, value in parsed_message.items()},
        items=tuple(items),
        raw=message,
    )


def _emails(read: Any, name: str) -> tuple[str, ...]:
    header = read[name]
    return () if header is None else tuple(address.addr_spec for address in header.addresses)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    opened_stack = ExitStack()
    server = opened_stack.enter_context(SmtpSandbox())
    return SandboxFixture(
        options={
            "host": server.host,
            "port": server.port,
            "security": "none",
            "username": server.username,
            "credentials": server.password,
            "sender": "shop@acme.example",
        },
        close=opened_stack.close,
    )
