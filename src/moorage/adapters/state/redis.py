"""Shared state in Redis (or Valkey), for any number of processes and machines.

Every command that many callers ask at once is decided inside Redis, by one call of a script, with
Redis' own clock; the script is the twin of the pure rules, and proven so by comparison. Laws:

1. One round trip for a command that the script knows. Others (by hand, or of one's own) are
   decided here, over what is stored, and written if that is stored still: two round trips, or more
   while somebody else is faster.
2. Callers of one event loop that are waiting at the same time share one round trip.
3. Keys vanish by themselves once they cannot matter any more.
4. A request whose reply was lost is sent again once, and only if all that it asks may be repeated.
   A request that was not answered in time is not sent again.
5. Nothing foreign passes: what goes wrong with Redis is `StorageUnavailable`.

What Redis was told and has not yet saved or replicated is lost with it. So a store says
`durable=True` only of a Redis that saves and replicates every write.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from copy import copy
from math import inf
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from redis import exceptions as wrong

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.state._redis_async_links import AsyncClusterLink, AsyncLink
from moorage.adapters.state._redis_cluster import ClusterLinks
from moorage.adapters.state._redis_lanes import FAILED, TOGETHER, Lane, is_kept, pauses
from moorage.adapters.state._redis_links import Links
from moorage.adapters.state._redis_place import Place, UnsentError
from moorage.adapters.state._redis_wire import Questions, Swap, answer_of
from moorage.domain.secrets.frames import refusing
from moorage.domain.values.durations import seconds
from moorage.errors import ConnectorError, StorageUnavailable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from os import PathLike

    from moorage.adapters.state._redis_wire import Batch, Question
    from moorage.domain.state.commands import Command

Answer = TypeVar("Answer")

_DEFERRED: Final = 1_000


class _Store:
    """The common part of the synchronous and the asynchronous store."""

    reach = "network"
    _awaited: bool

    def __init__(
        self,
        where: object = "redis://127.0.0.1:6379/0",
        *,
        timeout: float = 0.5,
        prefix: str = "moorage:",
        ca: str | PathLike[str] | None = None,
        durable: bool = False,
        may_evict: bool = False,
    ) -> None:
        self.durable = durable
        self._timeout = seconds(timeout, "timeout")
        self._place = Place(
            where, awaited=self._awaited, timeout=self._timeout, ca=ca, may_evict=may_evict
        )
        self.mixes_tags = not self._place.clustered
        self._questions = Questions(prefix)
        self._nothing = Swap(self._questions, ()).look
        self._posted: deque[Command[Any]] = deque(maxlen=_DEFERRED)
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place.shown!r})"

    def _require_open(self) -> None:
        if self._closed:
            raise StorageUnavailable(
                "The store is closed.", remedy="Make a new one.", retryable=False
            )

    def _of(self, error: BaseException) -> ConnectorError:
        """Return our error for an error of redis-py, as a copy for one caller."""
        if isinstance(error, ConnectorError):
            return copy(error)
        cause = error.__cause__ if isinstance(error, UnsentError) else error
        return self._place.unavailable(cause or error)

    def _due(self) -> tuple[list[tuple[Command[Any], Question]], list[Command[Any]]]:
        """Return the posted commands to send: those for the script, and the others."""
        known: list[tuple[Command[Any], Question]] = []
        others: list[Command[Any]] = []
        while self._posted and len(known) < TOGETHER:
            try:
                command = self._posted.popleft()
                question = self._questions.of(command)
            except Exception:  # noqa: BLE001, S112 - taken by another thread, or nothing that can be stored
                continue
            if question is None:
                others.append(command)
            else:
                known.append((command, question))
        return known, others


class RedisStorage(_Store):
    """A `StateStorage` in Redis, safe to share between threads; forked children connect anew.

    Args:
        where: a URL (`redis://user:password@host:port/0`, `rediss://…` for TLS, `unix:///path`,
            `redis+cluster://host:port,host:port`,
            `redis+sentinel://host:port,host:port/name-of-the-primary`, and `rediss+…`), or a client
            of redis-py's, whose settings are taken over; connections are the store's own.
        timeout: seconds for connecting, and for each reply, where the caller has no deadline; a
            call's own is what counts otherwise. Without one an operation takes no longer than that
            on a connection that is there, or four times as long where it is decided here.
        prefix: what all keys in Redis begin with. No other program may write to these.
        ca: a file with the certificates to trust, instead of the system's.
        durable: says of this Redis that a write which it answered survives its crash.
        may_evict: go on with a Redis that throws out what still matters when it is full.

    Raises:
        ConfigurationError: `where` is no place of a Redis. At the first use: Redis is too old, or
            throws out what still matters.
    """

    _awaited = False

    @refusing
    def __init__(
        self,
        where: object = "redis://127.0.0.1:6379/0",
        *,
        timeout: float = 0.5,
        prefix: str = "moorage:",
        ca: str | PathLike[str] | None = None,
        durable: bool = False,
        may_evict: bool = False,
    ) -> None:
        super().__init__(
            where,
            timeout=timeout,
            prefix=prefix,
            ca=ca,
            durable=durable,
            may_evict=may_evict,
        )
        self._start_afresh()
        in_child(self, RedisStorage._start_afresh)

    def _start_afresh(self) -> None:
        # A child of a fork must not speak on its parent's connections.
        place = self._place
        self._links = ClusterLinks(place) if place.clustered else Links(place)
        self._deciding = RLock()
        self._away = False

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command."""
        self._require_open()
        until = inf if timeout is None else time.monotonic() + timeout
        question = self._questions.of(command)
        if question is None:
            return self._swapped(command, until)  # type: ignore[no-any-return]  # as the command answers
        if self._posted:
            self._send_posted(until)
        return answer_of(question, self._ask([question], until)[0])  # type: ignore[no-any-return]  # as the command answers

    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for: now, or with the next if that fails."""
        try:
            # Else it would open a connection that nobody closes any more.
            self._require_open()
            self._posted.append(command)
            if not self._away:
                self._send_posted()
        except Exception:  # noqa: BLE001 - nobody is there to be told, as the port says
            return

    def node_of(self, command: Command[Any], /) -> str:
        """The node of a cluster that has the keys of a command; empty where there is no other."""
        links = self._links
        if not isinstance(links, ClusterLinks) or not command.keys:
            return ""
        return links.node_of(self._questions.key(command.keys[0]))

    def housekeep(self, *, limit: int = 1_000) -> int:  # noqa: ARG002 - as of every store
        """Forget nothing: Redis does so by itself. It only tells whether Redis is there."""
        self._require_open()
        self._ask([self._nothing])
        return 0

    def close(self) -> None:
        """Send what was posted, and disconnect."""
        if self._posted and not self._closed:
            with suppress(Exception):
                self._send_posted()
        self._closed = True
        self._links.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, batch: Batch, until: float = inf) -> list[Any]:
        """Have a batch done, by a time of `monotonic()`.

        Raises:
            StorageUnavailable: it was not done, or that is not known.
        """
        try:
            return self._try(batch, until)
        except FAILED as error:
            failure = self._of(error)
        # Out here, or it would carry along the frames of redis-py, which hold the password.
        raise failure

    def _try(self, batch: Batch, until: float) -> list[Any]:
        """Have a batch done; again, where its reply was lost and all of it may be repeated."""
        self._away = True
        try:
            replies = self._links.ask(batch, until)
        except wrong.ConnectionError:
            if any(question.once for question in batch):
                raise
            replies = self._links.ask(batch, until)
        except wrong.ResponseError:
            self._away = False
            raise
        self._away = False
        return replies

    def _send_posted(self, until: float = inf) -> None:
        """Do what was posted; what could not be sent, or may be repeated, is kept for the next."""
        posted, others = self._due()
        try:
            while posted:
                # In a cluster each may have another home.
                batch = posted[:1] if self._place.clustered else posted
                self._try([question for _, question in batch], until)
                posted = posted[len(batch) :]
        except BaseException as error:
            kept = [command for command, asked in posted if is_kept(error, once=asked.once)]
            self._posted.extend((*kept, *others))
            if not isinstance(error, FAILED):
                raise
            failure = self._of(error)
        else:
            for command in others:
                with suppress(Exception):
                    self._swapped(command, until)
            return
        raise failure

    def _swapped(self, command: Command[Any], until: float) -> Any:
        """Decide here, and write if what was decided over is stored still."""
        swap = Swap(self._questions, [command])
        waits = pauses(self._timeout, until)
        # One at a time in this process; two that wait for each other go on all the same.
        patience = self._timeout if until == inf else max(0.0, until - time.monotonic()) / 2
        alone = self._deciding.acquire(timeout=patience)
        try:
            while True:
                write = swap.decide(answer_of(swap.look, self._ask([swap.look], until)[0]))
                if write is None or self._ask([write], until)[0]:
                    break
                time.sleep(next(waits))
        finally:
            if alone:
                self._deciding.release()
        return swap.answer(0)


class AsyncRedisStorage(_Store):
    """An `AsyncStateStorage` in Redis, for callers of one event loop or of several.

    Callers that are waiting at the same time share one round trip. The arguments are those of
    `RedisStorage`; a client must be one of `redis.asyncio`.
    """

    _awaited = True

    @refusing
    def __init__(
        self,
        where: object = "redis://127.0.0.1:6379/0",
        *,
        timeout: float = 0.5,
        prefix: str = "moorage:",
        ca: str | PathLike[str] | None = None,
        durable: bool = False,
        may_evict: bool = False,
    ) -> None:
        super().__init__(
            where,
            timeout=timeout,
            prefix=prefix,
            ca=ca,
            durable=durable,
            may_evict=may_evict,
        )
        self._start_afresh()
        in_child(self, AsyncRedisStorage._start_afresh)

    def _start_afresh(self) -> None:
        self._links: dict[AbstractEventLoop, AsyncLink | AsyncClusterLink] = {}
        self._lanes: dict[tuple[AbstractEventLoop, str], Lane] = {}
        self._latest: Lane | None = None

    async def execute(
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,
    ) -> Answer:
        """Run one command."""
        self._require_open()
        question = self._questions.of(command)
        lane = self._lane(command)
        if self._posted:
            self._hand_over()
        if question is None:
            return await lane.decide(command, timeout)  # type: ignore[no-any-return]  # as the command answers
        return answer_of(question, await lane.ask(question, timeout, command))  # type: ignore[no-any-return]  # as the command answers

    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for: at once where a loop runs."""
        with suppress(Exception):
            self._require_open()
            self._posted.append(command)
            asyncio.get_running_loop()
            self._hand_over()

    def node_of(self, command: Command[Any], /) -> str:
        """The node of a cluster that has the keys of a command; empty where there is no other."""
        link = self._links.get(asyncio.get_running_loop())
        if not isinstance(link, AsyncClusterLink) or not command.keys:
            return ""
        return link.node_of(self._questions.key(command.keys[0]))

    async def housekeep(self, *, limit: int = 1_000) -> int:  # noqa: ARG002 - as of every store
        """Forget nothing: Redis does so by itself. It only tells whether Redis is there."""
        self._require_open()
        await self._lane(None).ask(self._nothing)
        return 0

    async def aclose(self) -> None:
        """Send what was posted, and disconnect."""
        loop = asyncio.get_running_loop()
        if self._posted and not self._closed:
            with suppress(Exception):
                self._hand_over()
        self._closed = True
        for lane in [lane for (of, _), lane in list(self._lanes.items()) if of is loop]:
            await lane.finish()
        link = self._links.pop(loop, None)
        if link is not None:
            await link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _lane(self, command: Command[Any] | None) -> Lane:
        """Where callers of this loop queue who may share a call of the script."""
        loop = asyncio.get_running_loop()
        latest = self._latest
        if latest is not None and latest.loop is loop and not self._place.clustered:
            return latest
        where = (loop, _home(command) if self._place.clustered else "")
        lane = self._lanes.get(where)
        if lane is None:
            for key, old in list(self._lanes.items()):
                if key[0].is_closed() or (self._place.clustered and old.idle()):
                    self._lanes.pop(key, None)
            lane = self._lanes[where] = Lane(
                loop,
                self._link(loop),
                questions=self._questions,
                timeout=self._timeout,
                posted=self._posted,
                error_of=self._of,
            )
        self._latest = lane
        return lane

    def _link(self, loop: AbstractEventLoop) -> AsyncLink | AsyncClusterLink:
        link = self._links.get(loop)
        if link is None:
            for ended in [each for each in list(self._links) if each.is_closed()]:
                self._links.pop(ended, None)
            kind = AsyncClusterLink if self._place.clustered else AsyncLink
            link = self._links[loop] = kind(self._place)
        return link

    def _hand_over(self) -> None:
        """Queue what was posted."""
        posted, others = self._due()
        for command, question in posted:
            self._lane(command).post(command, question)
        for command in others:
            self._lane(command).post(command, None)


def _home(command: Command[Any] | None) -> str:
    """Return the hash tag of a command's keys, by which a cluster assigns them to a node."""
    _, _, rest = command.keys[0].partition("{") if command and command.keys else ("", "", "")
    return rest.partition("}")[0]
