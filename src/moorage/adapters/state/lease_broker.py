"""A broker that fetches rate-limit tokens in bulk, for all processes of its machine.

The decisions are those of `moorage.domain.resilience.token_leases`, the messages those of
`lease_messages` beside it. Laws:

1. A broker never waits for a process: a process that does not read its replies is disconnected.
2. A malformed line is refused with an error, and ends only its own connection.
3. When the store fails, the broker refers its processes to the store itself.
4. The requests of a connection end with it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from random import random
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency._closing import AsyncContextClosable
from moorage.adapters.state._broker_socket import BrokerSocket, socket_path
from moorage.domain.resilience import token_leases as leases
from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.resilience.gate_commands import Confirm, GiveBack
from moorage.domain.resilience.lease_messages import (
    LONGEST_LINE,
    Reply,
    error_line,
    gates_of,
    most_at_once,
    read_question,
    reply_line,
)
from moorage.domain.resilience.token_leases import LONGEST_WAIT, TokenLease
from moorage.domain.values.durations import SECOND
from moorage.domain.values.functions import check_store_kind
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from moorage.domain.resilience.lease_messages import AdmissionKind, Question
    from moorage.domain.state.commands import Ticket
    from moorage.ports.state import AsyncStateStorage

_STORE_SECONDS: Final = 0.5
"""The seconds that a request to the store may take."""

_MOST_CONNECTIONS: Final = 4_096
_FILES_OF_BROKER: Final = 192
"""Files that a broker may open besides connections; asyncio may accept 100 before a refusal."""
_MOST_QUEUES: Final = 1_024
_MOST_UNREAD: Final = 1_048_576
"""The maximum number of bytes that a process may leave unread."""


class LeaseBroker(AsyncContextClosable):
    """Gives tokens of much-used rate limits to a machine's processes, over a Unix socket.

    `async with` serves until the end of the block.

    Args:
        storage: the store that all machines share.
        path: the path of the socket.
        mode: the permissions of the socket; by default only the user of the broker may connect.

    Raises:
        ConfigurationError: the path or the mode is not valid, or the store belongs to one process
            only.
    """

    def __init__(self, storage: AsyncStateStorage, path: str | Path, *, mode: int = 0o600) -> None:
        check_store(storage)
        check_store_kind(storage, "storage")
        self._storage = storage
        self._path = socket_path(path)
        self._mode = mode
        self._queues: dict[AdmissionKind, _TokenQueue] = {}
        self._connections: set[_Connection] = set()
        self._serving: tuple[asyncio.Server, BrokerSocket] | None = None
        self.most_connections = most_connections(open_files())
        """The maximum number of connections; others are refused."""
        self.handed_out = 0
        """The number of calls that the broker has admitted."""
        self.requests = 0
        """The number of requests to the store."""

    def __repr__(self) -> str:
        return f"<LeaseBroker {str(self._path)!r}>"

    async def __aenter__(self) -> Self:
        """Open the socket and start serving.

        Raises:
            ConfigurationError: another broker serves the socket, or the socket cannot be created.
        """
        broker_socket = BrokerSocket(self._path, self._mode)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(
            lambda: _Connection(self, self._connections), sock=broker_socket.listening
        )
        self._serving = server, broker_socket
        return self

    async def aclose(self) -> None:
        """Stop serving; the broker's unused tokens are lost."""
        server_and_socket, self._serving = self._serving, None
        if server_and_socket is None:
            return
        server, broker_socket = server_and_socket
        server.close()
        broker_socket.close()
        for connection in list(self._connections):
            connection.close()
        tasks = [task for queue in self._queues.values() for task in queue.end()]
        self._queues.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def execute(self, command: Any) -> Any:
        """Send a command to the store."""
        self.requests += 1
        return await self._storage.execute(command, _STORE_SECONDS)

    def give_back(self, command: GiveBack) -> None:
        """Give unused tokens back to the store."""
        self._storage.post(command)

    def token_queue(self, limits: AdmissionKind) -> _TokenQueue | None:
        """Return the queue of calls that wait for tokens of these limits.

        None if there are too many queues.
        """
        queue = self._queues.get(limits)
        if queue is None:
            if len(self._queues) >= _MOST_QUEUES:
                for idle_key in [key for key, queue in self._queues.items() if queue.is_idle()]:
                    del self._queues[idle_key]
            if len(self._queues) >= _MOST_QUEUES:
                return None
            queue = self._queues[limits] = _TokenQueue(self, limits)
        return queue


def open_files() -> int | None:
    """Return the number of files that this process may open; None if unlimited."""
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit  # noqa: PLC0415 - not on Windows

    limit = getrlimit(RLIMIT_NOFILE)[0]
    return None if limit == RLIM_INFINITY else limit


def most_connections(files: int | None) -> int:
    """Return how many connections a broker accepts, given its limit of open files.

    Without a free file it could not even refuse a connection.
    """
    if files is None:
        return _MOST_CONNECTIONS
    return min(_MOST_CONNECTIONS, max(1, files - _FILES_OF_BROKER))


def check_store(storage: object) -> None:
    """Refuse a store that several processes cannot share."""
    if getattr(storage, "reach", None) == "process" or getattr(storage, "claims_only", False):
        raise ConfigurationError(
            f"{type(storage).__name__} does not share limits between processes.",
            path="state",
            remedy="Use a shared store, such as Redis, with the broker.",
        )


class _TokenQueue:
    """The calls that wait for tokens of the same rate limits, and the broker's tokens for them."""

    def __init__(self, broker: LeaseBroker, limits: AdmissionKind) -> None:
        self._broker = broker
        self._gates = gates_of(limits)
        self._costs = tuple([limit[4] for limit in limits])
        self._most = most_at_once(limits)
        self._lease = TokenLease()
        self._calls: dict[int, tuple[_Connection, int]] = {}
        self._last_call = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def ask(self, connection: _Connection, question: Question) -> int:
        """Register a call that waits for a token, and return the broker's id for the call."""
        self._last_call = call = self._last_call + 1
        self._calls[call] = connection, question.number
        self._apply_step(leases.after_call(self._lease, call, question.within, _now(), self._most))
        return call

    def leave(self, calls: frozenset[int]) -> None:
        """Withdraw the token requests of these calls."""
        for call in calls:
            self._calls.pop(call, None)
        self._apply_step(leases.after_leaving(self._lease, calls, _now(), self._most))

    def is_idle(self) -> bool:
        """Return whether no calls wait and no tokens are left for these limits."""
        return not self._calls and self._task is None and _now() > self._lease.until

    def end(self) -> list[asyncio.Task[None]]:
        """Drop all calls; cancel the request to the store, and return its task."""
        self._calls.clear()
        self._apply_step(leases.Step(TokenLease()))
        tasks = [] if self._task is None else [self._task]
        for task in tasks:
            task.cancel()
        return tasks

    def _apply_step(self, step: leases.Step) -> None:
        """Carry out a decision about tokens: answer calls, set a timer, and request more tokens."""
        self._lease = step.lease
        self._broker.handed_out += len(step.granted)
        for call in step.granted:
            self._reply(call, granted=True)
        for call, wait in step.refused:
            self._reply(call, granted=False, wait=wait)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        if step.wake is not None:
            self._timer = loop.call_later((step.wake - _now()) / SECOND, self._after_timer)
        if step.request:
            self._task = loop.create_task(self._request(step.request, step.within))

    def _after_timer(self) -> None:
        self._timer = None
        self._apply_step(leases.next_step(self._lease, _now(), self._most))

    def _reply(self, call: int, *, granted: bool, wait: int | None = None) -> None:
        connection, number = self._calls.pop(call)
        connection.reply(Reply(number, granted, wait))

    async def _request(self, number: int, within: int) -> None:
        """Take tokens for several calls from the store, and distribute them to the calls."""
        try:
            step = await self._step_after(number, within)
        except Exception:  # noqa: BLE001 - the processes meet the same error, and report it
            self._task = None
            self._lease, calls = leases.after_failure(self._lease)
            for call in calls:
                self._reply(call, granted=False)
            return
        self._task = None
        self._apply_step(step)

    async def _step_after(self, number: int, within: int) -> leases.Step:
        """Request tokens, wait until they may be used, and return the next decision."""
        costs = tuple([cost * number for cost in self._costs])
        sent_at = _now()
        admission = Admission(self._gates, within=within, lease=0, costs=costs)
        answer, wait, _, tickets = await self._broker.execute(admission)
        if answer is not Answer.GO:
            return self._step_after_refusal(wait)
        while wait:
            if wait > LONGEST_WAIT + within:
                # A pause began in the meantime.
                self._broker.give_back(GiveBack(self._gates, tickets))
                return self._step_after_refusal(wait)
            sent_at, wait = await self._confirmed_wait(wait, tickets)
        return leases.after_grant(self._lease, number, sent_at, _now(), self._most)

    def _step_after_refusal(self, wait: int) -> leases.Step:
        draw = random()  # noqa: S311 - it only spreads requests
        return leases.after_refusal(self._lease, wait, _now(), self._most, draw)

    async def _confirmed_wait(self, wait: int, tickets: tuple[Ticket, ...]) -> tuple[int, int]:
        """Wait until tokens are due and confirm them; return the time and the remaining wait."""
        self._apply_step(leases.after_delayed_grant(self._lease, wait, _now()))
        await asyncio.sleep(wait / SECOND)
        sent_at = _now()
        _, remaining_wait = await self._broker.execute(Confirm(self._gates, tickets, None))
        return sent_at, remaining_wait


class _Connection(asyncio.Protocol):
    """The broker's connection to one client process.

    Args:
        broker: the broker.
        connections: the broker's open connections.
    """

    def __init__(self, broker: LeaseBroker, connections: set[_Connection]) -> None:
        self._broker = broker
        self._connections = connections
        self._transport: Any = None
        self._unread = b""
        self._calls: dict[int, tuple[_TokenQueue, int]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a client process."""
        self._transport = transport
        if len(self._connections) >= self._broker.most_connections:
            self.refuse(InvalidData("The broker has too many connections."))
            return
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name of asyncio
        """Withdraw the requests of a process that has disconnected."""
        self._connections.discard(self)
        calls_by_queue: defaultdict[_TokenQueue, set[int]] = defaultdict(set)
        for queue, call in self._calls.values():
            calls_by_queue[queue].add(call)
        self._calls.clear()
        for queue, calls in calls_by_queue.items():
            queue.leave(frozenset(calls))

    def data_received(self, data: bytes) -> None:
        """Read requests of the process."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        try:
            for line in lines:
                if self._transport.is_closing():
                    return
                self._read(line)
            _check_length(self._unread)
        except InvalidData as error:
            self.refuse(error)

    def _read(self, line: bytes) -> None:
        _check_length(line)
        question = read_question(line)
        number = question.number
        if not question.kind:
            with suppress(KeyError):
                queue, call = self._calls.pop(number)
                queue.leave(frozenset({call}))
            return
        if number in self._calls:
            raise InvalidData("A request has the same number as another open request.", field="id")
        token_queue = self._broker.token_queue(question.kind)
        if token_queue is None:
            self.reply(Reply(number, granted=False))
            return
        # The broker may answer the question before the call has a number.
        self._calls[number] = token_queue, 0
        call = token_queue.ask(self, question)
        if number in self._calls:
            self._calls[number] = token_queue, call

    def reply(self, reply: Reply) -> None:
        """Send a reply; disconnect a process that does not read its replies."""
        self._calls.pop(reply.number, None)
        if self._transport.is_closing():
            return
        self._transport.write(reply_line(reply))
        if self._transport.get_write_buffer_size() > _MOST_UNREAD:
            self._transport.abort()

    def refuse(self, error: InvalidData) -> None:
        """Send an error to the process, and close the connection."""
        self._transport.write(error_line(error))
        self.close()

    def close(self) -> None:
        """Close the connection, and drop replies that the process has not read."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()


def _check_length(line: bytes) -> None:
    if len(line) > LONGEST_LINE:
        raise InvalidData(f"A message is longer than {LONGEST_LINE} bytes.", field="message")


def _now() -> int:
    """Return the time of the broker's clock in microseconds."""
    return monotonic_ns() // 1_000
