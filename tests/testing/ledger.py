"""A small text server and its connectors, from which tests derive faulty ones."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from datetime import UTC, datetime
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

import attrs

from moorage import (
    AsyncLinkPool,
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    ConnectorHealth,
    ConnectorVersions,
    HealthState,
    LinkPool,
    NamedOperation,
    PoolConfig,
    Secret,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage import OperationAttempt
    from moorage.domain.connectors.pool_statistics import PoolStatistics

PASSWORD = "hunter2"


class LedgerServer:
    """A text server: clients send a password first, then `echo TEXT` or `add TEXT`.

    Attributes:
        entries: the number of times that each text was added.
    """

    def __init__(self) -> None:
        self.entries: Counter[str] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._lock = Lock()
        self._clients: list[socket.socket] = []
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def count(self, text: str) -> int:
        """Return how often a text was added."""
        with self._lock:
            return self.entries[text]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            try:
                if lines.readline().decode().strip() != PASSWORD:
                    client.sendall(b"denied\n")
                    return
                client.sendall(b"welcome\n")
                for line in lines:
                    client.sendall(self._answer(line.decode().strip()).encode())
            except OSError:
                return

    def _answer(self, line: str) -> str:
        verb, _, text = line.partition(" ")
        if verb == "add":
            with self._lock:
                self.entries[text] += 1
        return f"{text}\n"


def _denial(answer: str) -> ConnectorError:
    if not answer:
        return _lost_error(is_sent=False)
    return AuthenticationFailed("The ledger refused the password.")


def _lost_error(is_sent: bool) -> ConnectionFailed:
    return ConnectionFailed("The connection broke.", may_have_been_processed=is_sent)


class LedgerLink:
    """A synchronous connection to the text server."""

    version = "ledger 1.0"

    def __init__(self, address: tuple[str, int], password: Secret, timeout: float) -> None:
        deadline = monotonic() + timeout
        try:
            self.socket = socket.create_connection(address, timeout)
            self.lines = self.socket.makefile("rb")
        except OSError:
            raise _lost_error(is_sent=False) from None
        self.is_open = True
        try:
            answer = self.ask(password.reveal(), deadline)
        except ConnectionFailed:
            # The stack frames contain the password.
            answer = ""
        if answer != "welcome":
            self.close()
            raise _denial(answer)

    def is_connected(self) -> bool:
        """Return whether the connection is open."""
        return self.is_open

    def ask(self, line: str, until: float) -> str:
        """Send a line and return the response."""
        try:
            self.socket.settimeout(max(0.001, until - monotonic()))
            self.socket.sendall(f"{line}\n".encode())
            answer = self.lines.readline().decode()
        except TimeoutError:
            self.close()
            raise AttemptTimeout("The ledger is silent.") from None
        except OSError:
            answer = ""
        if not answer:
            self.close()
            raise _lost_error(is_sent=True)
        return answer.strip()

    def ping(self, timeout: float, /) -> None:
        """Check that the server responds."""
        self.ask("echo ping", monotonic() + timeout)

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self.lines.close()
        self.socket.close()


class AsyncLedgerLink:
    """An asynchronous connection to the text server."""

    version = "ledger 1.0"

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.is_open = True
        self.is_welcome = False

    @classmethod
    async def open(cls, address: tuple[str, int], password: Secret) -> AsyncLedgerLink:
        """Open a connection and send the password."""
        try:
            link = cls(*await asyncio.open_connection(*address))
        except OSError:
            raise _lost_error(is_sent=False) from None
        try:
            answer = await link.ask(password.reveal())
        except ConnectionFailed:
            # The stack frames contain the password.
            answer = ""
        finally:
            if not link.is_welcome:
                link.close()
        if answer != "welcome":
            raise _denial(answer)
        return link

    def is_connected(self) -> bool:
        """Return whether the connection is open."""
        return self.is_open

    async def ask(self, line: str) -> str:
        """Send a line and return the response."""
        try:
            self.writer.write(f"{line}\n".encode())
            await self.writer.drain()
            answer = (await self.reader.readline()).decode()
        except OSError:
            answer = ""
        if not answer:
            self.close()
            raise _lost_error(is_sent=True)
        self.is_welcome = self.is_welcome or answer == "welcome\n"
        return answer.strip()

    async def ping(self, timeout: float, /) -> None:
        """Check that the server responds."""
        async with asyncio.timeout(timeout):
            await self.ask("echo ping")

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self.writer.transport.abort()


@attrs.frozen
class Line:
    """An operation that sends one line to the text server."""

    ledger: Ledger
    verb: str
    text: str
    system: str = "ledger"

    @property
    def name(self) -> str:
        """Return the operation's name in events."""
        return f"ledger.{self.verb}"

    @property
    def safe(self) -> bool:
        """Return True if the operation is an echo, which changes nothing."""
        return self.verb == "echo"

    @property
    def repeatable(self) -> bool:
        """Return True if the operation is an echo, which may be repeated."""
        return self.safe

    def perform(self, attempt: OperationAttempt) -> str:
        """Send the line and return the response."""
        line = f"{self.verb} {self.text}"
        answer: str = self.ledger.send(line, self.name, attempt.timeout)
        return answer

    def translate_error(self, error: Exception) -> ConnectorError | None:
        """Return None, because there is no exception to convert."""
        del error
        return None


class AsyncLine(Line):
    """An asynchronous operation that sends one line to the text server."""

    async def perform(self, attempt: OperationAttempt) -> str:  # type: ignore[override]  # awaited
        """Send the line and return the response."""
        ledger: Any = self.ledger
        answer: str = await ledger.send(f"{self.verb} {self.text}", self.name, attempt.timeout)
        return answer


class Ledger:
    """A synchronous connector of the text server."""

    kind = "ledger"
    service = "connector"
    line: type[Line] = Line

    def __init__(self, address: tuple[str, int], password: str = PASSWORD) -> None:
        self.name = "ledger"
        self.address = address
        self.versions = ConnectorVersions(library="lines 1.0")
        self.pool: Any = self._pool(address, Secret(password), PoolConfig(maximum=3))

    def _pool(self, address: tuple[str, int], password: Secret, config: PoolConfig) -> Any:
        return LinkPool(lambda timeout: LedgerLink(address, password, timeout), config)

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """Return the operation that adds a text, keyed by its name."""
        return {
            "add": NamedOperation(
                name="add",
                about="Adds a text.",
                arguments={"text": "The text."},
                required=frozenset({"text"}),
                build=lambda arguments: self.line(self, "add", arguments["text"]),
            )
        }

    def statistics(self) -> PoolStatistics | None:
        """Return the statistics of the connection pool."""
        statistics: PoolStatistics = self.pool.statistics()
        return statistics

    def send(self, line: str, operation: str, timeout: float) -> Any:
        """Send a line over a pooled connection, and return the response."""
        deadline = monotonic() + timeout
        with self.pool.link(operation, timeout) as link:
            return link.ask(line, deadline)

    def open(self, timeout: float, /) -> Any:
        """Open a connection."""
        self.pool.open(timeout)

    def health(self, timeout: float, /) -> Any:
        """Return the connector's health, which is checked with an echo."""
        start_time = monotonic()
        try:
            self.send("echo health", "health", timeout)
        except ConnectorError as error:
            return self.healthy(start_time, error)
        return self.healthy(start_time, None)

    def healthy(self, begun: float, error: ConnectorError | None) -> ConnectorHealth:
        """Return the health that an echo's error shows, or good health if there is none."""
        return ConnectorHealth(
            connector=self.name,
            at=datetime.now(UTC),
            state=HealthState.HEALTHY if error is None else HealthState.UNAVAILABLE,
            seconds=monotonic() - begun if error is None else None,
            text=None if error is None else error.message,
            remedy=None if error is None else error.remedy,
        )

    def close(self) -> Any:
        """Close the connection pool."""
        self.pool.close()


class AsyncLedger(Ledger):
    """An asynchronous connector of the text server."""

    line = AsyncLine

    def _pool(self, address: tuple[str, int], password: Secret, config: PoolConfig) -> Any:
        async def connect(_: float) -> AsyncLedgerLink:
            return await AsyncLedgerLink.open(address, password)

        return AsyncLinkPool(connect, config)

    async def send(self, line: str, operation: str, timeout: float) -> Any:
        """Send a line over a pooled connection, and return the response."""
        async with self.pool.link(operation, timeout) as link:
            return await link.ask(line)

    async def open(self, timeout: float, /) -> None:
        """Open a connection."""
        await self.pool.open(timeout)

    async def health(self, timeout: float, /) -> ConnectorHealth:
        """Return the connector's health, which is checked with an echo."""
        start_time = monotonic()
        try:
            async with asyncio.timeout(timeout):
                await self.send("echo health", "health", timeout)
        except TimeoutError:
            return self.healthy(start_time, AttemptTimeout("The ledger is silent."))
        except ConnectorError as error:
            return self.healthy(start_time, error)
        return self.healthy(start_time, None)

    async def close(self) -> None:
        """Close the connection pool."""
        await self.pool.close()
