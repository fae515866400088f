"""Stores idempotency keys and other claims in a JetStream key-value bucket.

A bucket changes one key at a time, by compare-and-set. This suits claims, which have one writer at
a time. A limit that many callers change concurrently would need many attempts per write. Laws:

1. A command on one key reads the key's last write, decides, and writes with the revision that it
   has read. If another write came between, it begins again.
2. If the answer to a write is lost, the write is looked up by its mark, so its effect is known.
3. The time is the server's: each write has one, and the local boot clock only measures how long ago
   that was.
4. No state is deleted before it expires: a full bucket refuses writes, and an expired state is
   purged only up to the revision that was read.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency._closing import AsyncContextClosable, ContextClosable
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.concurrency.background import Background
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.messages.nats import Nats
from moorage.adapters.state._nats_bucket import Bucket
from moorage.adapters.state._nats_wire import ServerClock, subject_of
from moorage.adapters.state._posted_commands import MAX_POSTED, PostedCommands, seconds_until
from moorage.domain.idempotency.claims import Renew
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.state.codec import pack, unpack
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.state.keys import GUARDS, class_of
from moorage.domain.values.durations import SECOND, bounded_seconds, count, seconds
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, StateUnavailable, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta
    from typing import TypeAlias

    from moorage.domain.state.commands import Command
    from moorage.ports.clock import Clock

    _Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]

Answer = TypeVar("Answer")

_MEASURE_EVERY: Final = 30 * SECOND
_WRITES_PER_CLEANUP: Final = 100
"""Writes of a process after which it looks for expired states."""
_CLEANUP_SIZE: Final = 200
_DURABLE_REPLICAS: Final = 3
_BUCKET: Final = late_pattern(r"[A-Za-z0-9_-]{1,64}")
_BACKGROUND_LOOP: Final = Background()


@without_arguments_in_errors
def _settings_of(url: str | Nats) -> tuple[Nats, str | None]:
    """Return the server settings, and the bucket if the URL names one."""
    if isinstance(url, Nats):
        return url, None
    if not isinstance(url, str):
        raise ConfigurationError(
            f"`url` must be a str or NATS settings, not {type(url).__name__}.",
            path="url",
            remedy="Pass a URL such as nats://user@host/bucket.",
        )
    start, slashes, remainder = url.rpartition("://")
    host, _, bucket = remainder.partition("/")
    return Nats(url=f"{start}{slashes}{host}"), bucket or None


class _NatsStorageCore(ABC):
    """The common code of the synchronous and asynchronous stores."""

    reach: Final = "network"
    mixes_tags: Final = True
    claims_only: Final = True

    @without_arguments_in_errors
    def __init__(
        self,
        url: str | Nats,
        *,
        bucket: str | None = None,
        timeout: float | timedelta = 1.0,
        replicas: int = 1,
        create: bool = True,
        durable: bool | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings, bucket_in_url = _settings_of(url)
        name = bucket or bucket_in_url or "moorage"
        if _BUCKET.fullmatch(name) is None:
            raise ConfigurationError(
                "The name of the bucket is not valid in NATS.",
                path="bucket",
                remedy="Use up to 64 letters, digits, hyphens and underscores.",
            )
        self._timeout = seconds(timeout, "timeout")
        replicas = count(replicas, "replicas")
        self.durable = replicas >= _DURABLE_REPLICAS if durable is None else durable
        local_clock = SystemClock() if clock is None else clock
        server_clock = ServerClock(local_clock.nanoseconds, step=SMALL_STEP, every=_MEASURE_EVERY)
        self._bucket = Bucket(settings, name, replicas, server_clock, creates=create)
        self._writes = 0
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Set the attributes that differ between the synchronous and asynchronous store."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._bucket.name!r} of {self._bucket.where}>"

    async def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run a coroutine of the bucket to its end, and return its result."""
        return await work

    async def _execute(self, command: Command[Any], timeout: float | None) -> Any:
        """Run one command by compare-and-set, and return its answer."""
        until = monotonic() + bounded_seconds(self._timeout, timeout)
        if isinstance(command, Renew) and len(command.keys) != 1:
            return await self._run(self._renew_all(command, until))
        return await self._apply_command(command, until, self._run)

    async def _renew_all(self, command: Renew, until: float) -> tuple[bool, ...]:
        """Renew several leases at the same time, because they do not depend on each other."""
        await self._bucket.prepare(until)
        renewals = [
            self._apply_command(Renew((claim,), lease=command.lease), until, _run_here)
            for claim in command.held
        ]
        outcomes: list[Any] = await asyncio.gather(*renewals, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return tuple([is_held for (is_held,) in outcomes])

    async def _apply_command(self, command: Command[Any], until: float, run: _Run) -> Any:
        """Apply a command to the state of its key; `run` runs the coroutines of the bucket."""
        bucket, key = self._bucket, _only_key(command)
        subject = subject_of(bucket.name, key)
        await run(bucket.prepare(until))
        lost_answers: dict[str, Any] = {}
        lost_after = 0
        while True:
            record = await run(bucket.read(subject, until))
            if record is not None and record.mark in lost_answers:
                return lost_answers[record.mark]
            revision = 0 if record is None else record.revision
            if lost_answers and revision != lost_after and command.once:
                # Another write followed the lost one, or replaced it.
                raise bucket.unconfirmed()
            state = unpack(record.value, key) if record is not None and record.value else None
            (new_state,), answer = command.apply((state,), bucket.clock.now())
            if new_state is state or new_state is None:
                return answer
            value, mark = pack(new_state), token_hex(8)
            is_stored = await run(bucket.write(subject, value, revision, mark, until))
            if is_stored:
                self._writes += 1
                return answer
            if is_stored is None:
                lost_answers[mark], lost_after = answer, revision
            if monotonic() >= until:
                raise bucket.unconfirmed()


async def _run_here(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine of the bucket in the running event loop."""
    return await work


def _only_key(command: Command[Any]) -> str:
    """Return the key of a command, after checking that this store supports the command."""
    keys = command.keys
    if len(keys) < 1 or any(class_of(key) in GUARDS for key in keys):
        raise ConfigurationError(
            "A NATS bucket can store claims such as idempotency keys, but not limits, circuits,"
            " retry budgets and bulkheads.",
            path="state",
            remedy="Pass the bucket as `claims=`, and pass a store in Redis, SQL or memory as"
            " `state=`.",
        )
    if len(keys) > 1:
        raise ConfigurationError(
            "A NATS bucket changes one key at a time, but this operation must change several"
            " together, such as the transfer of an idempotency key to another account.",
            path="claims",
            remedy="Pass a store in Redis, SQL or SQLite as `claims=` instead, or as `state=`"
            " without `claims=`.",
        )
    return keys[0]


class NatsStorage(_NatsStorageCore, ContextClosable):
    """A `StateStorage` for claims in a JetStream bucket, for any number of processes.

    The store runs commands on one key only, such as those of idempotency keys, and refuses limits,
    circuits, retry budgets and bulkheads with `ConfigurationError`: give it as `claims=` beside
    another store.

    Args:
        url: `nats://host:4222/bucket`, `tls://…`, several servers separated by commas before the
            bucket, or the settings `moorage.adapters.messages.nats.Nats`.
        bucket: the name of the bucket, if it is not in the URL; by default "moorage".
        timeout: the time limit of a command, in seconds or as a timedelta.
        replicas: the number of servers that must hold the bucket.
        create: whether to create a missing bucket.
        durable: whether a confirmed write survives the crash of a machine; by default if three
            servers hold the bucket. A single server survives it only with `sync_interval: always`.
        clock: measures the time between two answers of the server.
    """

    def _begin(self) -> None:
        self._restart_after_fork()
        in_child(self, NatsStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The parent process executes the commands that it has posted.
        self._posted: deque[Command[Any]] = deque(maxlen=MAX_POSTED)
        self._is_unavailable = False

    async def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return _BACKGROUND_LOOP.run(work)

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command on its state, and return the command's result."""
        end_time = None if timeout is None else monotonic() + timeout
        if self._posted:
            self._send(end_time)
        try:
            answer: Answer = run_now(self._execute(command, seconds_until(end_time)))
        except StateUnavailable:
            raise
        except StorageUnavailable:
            self._is_unavailable = True
            raise
        self._is_unavailable = False
        if self._writes >= _WRITES_PER_CLEANUP:
            self._writes = 0
            _BACKGROUND_LOOP.start(_housekeep_quietly(self._bucket, self._timeout))
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for a result, now or together with the next command."""
        self._posted.append(command)
        if not self._is_unavailable:
            self._send(None)

    def housekeep(self, *, limit: int = 10_000) -> int:
        """Purge the expired states among the next `limit` states, and return their number.

        Commands that write also do so from time to time.
        """
        until = monotonic() + self._timeout * limit
        return _BACKGROUND_LOOP.run(self._bucket.housekeep(count(limit, "limit"), until))

    def close(self) -> None:
        """Close the connection."""
        _BACKGROUND_LOOP.run(self._bucket.close())

    def _send(self, until: float | None) -> None:
        """Run the queued commands; during an outage, leave them for the next command."""
        while self._posted:
            command = self._posted.popleft()
            try:
                run_now(self._execute(command, seconds_until(until)))
            except StateUnavailable:
                # The other keys have separate states.
                continue
            except StorageUnavailable:
                if not command.once:
                    self._posted.appendleft(command)
                self._is_unavailable = True
                return
            except Exception:  # noqa: BLE001, S112 - no caller waits for it
                continue


class AsyncNatsStorage(_NatsStorageCore, AsyncContextClosable):
    """The asynchronous `NatsStorage`.

    Args:
        url: `nats://host:4222/bucket`, `tls://…`, several servers separated by commas before the
            bucket, or the settings `moorage.adapters.messages.nats.Nats`.
        bucket: the name of the bucket, if it is not in the URL; by default "moorage".
        timeout: the time limit of a command, in seconds or as a timedelta.
        replicas: the number of servers that must hold the bucket.
        create: whether to create a missing bucket.
        durable: whether a confirmed write survives the crash of a machine; by default if three
            servers hold the bucket. A single server survives it only with `sync_interval: always`.
        clock: measures the time between two answers of the server.
    """

    def _begin(self) -> None:
        self._posts = PostedCommands(partial(self._execute, timeout=None), self._timeout)
        self._restart_after_fork()
        in_child(self, AsyncNatsStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        self._cleaning: asyncio.Task[None] | None = None

    async def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command on its state, and return the command's result."""
        posts = self._posts
        end_time = None if timeout is None else monotonic() + timeout
        if posts.queue or posts.task:
            await posts.settle(timeout)
        answer: Answer = await self._execute(command, seconds_until(end_time))
        if self._writes >= _WRITES_PER_CLEANUP:
            self._writes = 0
            self._cleaning = asyncio.create_task(_housekeep_quietly(self._bucket, self._timeout))
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its reply, soon or together with the next command."""
        self._posts.post(command)

    async def housekeep(self, *, limit: int = 10_000) -> int:
        """Purge the expired states among the next `limit` states, and return their number.

        Commands that write also do so from time to time.
        """
        until = monotonic() + self._timeout * limit
        return await self._bucket.housekeep(count(limit, "limit"), until)

    async def aclose(self) -> None:
        """Run the queued commands, and close the connection."""
        posts = self._posts
        if posts.queue or posts.task:
            await posts.settle()
        cleaning_task, self._cleaning = self._cleaning, None
        if cleaning_task is not None:
            cleaning_task.cancel()
        await self._bucket.close()


async def _housekeep_quietly(bucket: Bucket, timeout: float) -> None:
    """Purge some expired states, and ignore failures: the next command will show them."""
    try:
        await bucket.housekeep(_CLEANUP_SIZE, monotonic() + timeout * _CLEANUP_SIZE)
    except StorageUnavailable:
        return
