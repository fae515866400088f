"""Commands in a database server, written once for both colours: it awaits links, which may block.

The laws of this file:

1. A command has a place first, then a link on it. A place is given back by its holder, and a link
   is used again only if it is between two transactions. So whoever is interrupted, anywhere, leaves
   no place taken and no transaction open.
2. Rows are locked in the order of their ids, and those that are missing are inserted by a
   transaction that locks nothing else. So nobody waits in a circle.
3. What was certainly not executed is tried again while there is time; what may have been, only if
   the command may be sent twice.
4. A state is written under its lock. The one exception is the only key of a command, where no row
   was: it is inserted, and if somebody else was faster, the command decides again.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar
from weakref import WeakSet

from moorage.adapters._sql_link import Denied, FateUnknown, Misfit, NoTable, NotDone, Row
from moorage.adapters._sql_schema import VERSION
from moorage.adapters.forking import in_child
from moorage.domain.codec import pack, unpack
from moorage.domain.durations import HOUR, bounded
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from moorage.adapters._sql_link import Link
    from moorage.adapters._sql_source import Names
    from moorage.domain.state import Command, State, States

Answer = TypeVar("Answer")

_COARSE: Final = HOUR
"""How often the time at which a hot row may go is moved, in microseconds."""

_LONGEST_NAME: Final = 1_000
_REMEMBERED: Final = 4_096
_MANY: Final = 16
"""So many keys are hardly ever the same ones again."""

_BATCH: Final = 500
_NOTHING: Final = Row(b"", None, 0)
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


class Colour(Protocol):
    """What one colour does in its own way."""

    async def enter(self, holder: object, places: int, timeout: float) -> bool:
        """Take a place, or tell that none came free in time."""
        ...

    def leave(self, holder: object) -> None:
        """Give the place back, if the holder has one."""
        ...

    async def open(self, until: float) -> Link:
        """Open a connection of our own."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        ...

    async def create(self) -> None:
        """Create the tables."""
        ...

    def here(self) -> object:
        """Where connections that are opened now can be used."""
        ...

    def gone(self, there: object, /) -> bool:
        """Whether that is no more."""
        ...


class Asked(NamedTuple):
    """The keys of a command as a server knows them.

    Attributes:
        ids: in the order in which rows are locked.
        places: for each key of the command, where its id is in `ids`.
        names: for each id, the key, for people.
    """

    ids: tuple[bytes, ...]
    places: tuple[int, ...]
    names: tuple[str, ...]


@lru_cache(_REMEMBERED)
def asked_of(keys: tuple[str, ...]) -> Asked:
    """The keys of a command as a server knows them."""
    hashed = {key: sha256(key.encode("utf-8", "surrogatepass")).digest() for key in keys}
    ordered = sorted(hashed, key=hashed.__getitem__)
    return Asked(
        tuple(hashed[key] for key in ordered),
        tuple(map(ordered.index, keys)),
        tuple(map(_shown, ordered)),
    )


def _shown(key: str) -> str:
    """A key as any database takes it, whatever its encoding."""
    return key.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:_LONGEST_NAME]


def expiry(state: State, stored: int) -> int:
    """When a row may go: what is stored, as long as that is late enough and not much too late."""
    least: int = state[0] + state[1]
    return stored if least <= stored <= least + 2 * _COARSE else least + _COARSE


class _Shelf:
    """The connections that can be used in one place.

    What an interruption has let fall between two lines is held by nobody, and closes.
    """

    __slots__ = ("idle", "links")

    def __init__(self) -> None:
        self.links: WeakSet[Link] = WeakSet()
        self.idle: list[Link] = []

    def take(self) -> Link | None:
        """An idle connection, the one used last."""
        try:
            return self.idle.pop()
        except IndexError:
            return None

    def drop(self, link: Link) -> None:
        """Close a connection that nobody uses again."""
        self.links.discard(link)
        link.close()

    def clear(self) -> None:
        """Close what is idle."""
        while link := self.take():
            self.drop(link)


class Engine:
    """Executes commands, and keeps the connections for it.

    Args:
        colour: how to wait, and how to open a connection.
        names: what messages call things.
        timeout: seconds for a connection or a reply; a command takes twice as many at most.
        connections: how many at once.
        create: whether to create the tables where they are missing.
    """

    def __init__(
        self,
        colour: Colour,
        *,
        names: Names,
        timeout: float,
        connections: int,
        create: bool,
    ) -> None:
        self._colour = colour
        self._where, self._table, self._stamping = names
        self._timeout = timeout
        self._connections = connections
        self._create_missing = create
        self._checked = False
        self._worked = False
        self._closed = False
        self._shelves: dict[object, _Shelf] = {}
        in_child(self, Engine._start_afresh)

    def _start_afresh(self) -> None:  # pragma: no cover - runs in children only
        # The connections are the parent's.
        shelves, self._shelves = self._shelves, {}
        for shelf in shelves.values():
            for link in shelf.links:
                link.abandon()

    async def execute(self, command: Command[Answer], timeout: float | None = None) -> Answer:
        """Run one command within `timeout` seconds, or the store's own bound if none is given."""
        keys = command.keys
        asked = asked_of(keys) if len(keys) < _MANY else asked_of.__wrapped__(keys)
        until = monotonic() + bounded(2 * self._timeout, timeout)

        async def transact(link: Link) -> Answer:
            return await _transact(link, command, asked, until)

        return await self._try(transact, until, once=command.once)

    async def housekeep(self, limit: int) -> int:
        """Delete rows that cannot matter any more, at most so many; return how many."""
        gone = 0
        while gone < limit:
            most = min(_BATCH, limit - gone)
            until = monotonic() + 2 * self._timeout

            async def forget(link: Link, most: int = most, until: float = until) -> int:
                return await link.forget(most, until)

            batch = await self._try(forget, until, once=False)
            gone += batch
            if batch < most:
                break
        return gone

    def close(self) -> None:
        """Close what is idle now, and what is in use when its command ends."""
        self._closed = True
        for shelf in list(self._shelves.values()):
            shelf.clear()

    async def _try(
        self,
        work: Callable[[Link], Coroutine[Any, Any, Answer]],
        until: float,
        *,
        once: bool,
    ) -> Answer:
        """Do something on a connection; again, if it was certainly not done."""
        holder, pause = object(), _FIRST_PAUSE
        try:
            patience = bounded(self._timeout, until - monotonic())
            if not await self._colour.enter(holder, self._connections, patience):
                raise self._unavailable(
                    f"had no connection free in {patience:.3g} s",
                    "Give the store more `connections`, or more `timeout`.",
                    slow=True,
                )
            while True:
                try:
                    answer = await self._on_a_link(work, until)
                except NotDone as failure:
                    if not failure.again or monotonic() >= until:
                        raise self._unavailable(failure.reason, slow=failure.slow) from None
                except FateUnknown as failure:
                    if once or monotonic() >= until:
                        raise self._unavailable(
                            "had no answer to its commit, so that nobody knows its fate",
                            slow=failure.slow,
                        ) from None
                except (NoTable, Denied, Misfit, ConfigurationError) as failure:
                    await self._mend(failure, until)
                else:
                    self._worked = True
                    return answer
                await self._colour.sleep(pause * random())  # noqa: S311 - so that no two meet again
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            self._colour.leave(holder)

    async def _mend(
        self, failure: NoTable | Denied | Misfit | ConfigurationError, until: float
    ) -> None:
        """Make tables again that were dropped in use, or raise what a failure means.

        That of a store which worked before is an outage.
        """
        error = failure if isinstance(failure, ConfigurationError) else self._misconfigured(failure)
        if not self._worked:
            raise error from None
        if self._create_missing and isinstance(failure, NoTable) and monotonic() < until:
            try:
                await self._colour.create()
            except ConfigurationError as refusal:
                error = refusal
            else:
                return
        raise StorageUnavailable(error.message, remedy=error.remedy) from None

    async def _on_a_link(
        self, work: Callable[[Link], Coroutine[Any, Any, Answer]], until: float
    ) -> Answer:
        shelf = self._shelf()
        link = shelf.take()
        known = link is not None
        link = link or await self._open(shelf, until)
        try:
            return await work(link)
        except (NotDone, FateUnknown) as failure:
            # A server that has just answered whoever connected is there.
            failure.slow = failure.slow or (not known and monotonic() >= until)
            if failure.lost:
                # The server was restarted or cut off: the others are likely to be dead too.
                shelf.clear()
            raise
        finally:
            self._put(shelf, link)

    def _shelf(self) -> _Shelf:
        if self._closed:
            raise StorageUnavailable(
                "the SQL store is closed.",
                retryable=False,
                remedy="Make a new store, or close this one later.",
            )
        here = self._colour.here()
        shelf = self._shelves.get(here)
        if shelf is None:
            for there, left in list(self._shelves.items()):
                if self._colour.gone(there):
                    del self._shelves[there]
                    left.clear()
            shelf = self._shelves.setdefault(here, _Shelf())
        return shelf

    def _put(self, shelf: _Shelf, link: Link) -> None:
        if link.ready and not self._closed:
            shelf.idle.append(link)
        else:
            shelf.drop(link)

    async def _open(self, shelf: _Shelf, until: float) -> Link:
        link = await self._colour.open(until)
        try:
            shelf.links.add(link)
            await link.prepare(self._timeout, until)
            if not self._checked:
                await self._check(link, until)
                self._checked = True
        except BaseException:
            shelf.drop(link)
            raise
        return link

    async def _check(self, link: Link, until: float) -> None:
        """See that the tables are there, and of the version that is known here."""
        version = None
        try:
            version = await link.version(until)
        except NoTable:
            if not self._create_missing:
                raise
        if version is None and self._create_missing:
            # They are not there, or somebody is in the middle of making them: then this waits.
            await self._colour.create()
            version = await link.version(monotonic() + 2 * self._timeout)
        if version is None:
            raise ConfigurationError(
                f"the tables of {self._table} in {self._where} do not say their version.",
                path="state",
                remedy=f"Run `migrate()` of the store, or: {self._stamping};",
            )
        if version != VERSION:
            raise ConfigurationError(
                f"the tables of {self._table} in {self._where} are of version {version}, "
                f"and this release knows version {VERSION}.",
                path="state",
                remedy="Upgrade every process that shares the store.",
            )

    def _misconfigured(self, failure: NoTable | Denied | Misfit) -> ConfigurationError:
        if isinstance(failure, Misfit):
            message, remedy = f"{self._where} {failure.reason}.", failure.remedy
        elif isinstance(failure, Denied):
            message = f"{self._where} does not allow us to use {self._table}."
            remedy = "Grant SELECT, INSERT, UPDATE and DELETE on both tables."
        else:
            message = f"there is no usable table {self._table} in {self._where}."
            remedy = (
                "Run `migrate()` of the store once, or what its `ddl()` prints, or give it"
                " create=True."
            )
        return ConfigurationError(message, path="state", remedy=remedy)

    def _unavailable(
        self, reason: str, remedy: str | None = None, *, slow: bool = False
    ) -> StorageUnavailable:
        message = f"a command to {self._where} {reason}."
        return StorageUnavailable(message, remedy=remedy, slow=slow)


async def _transact(link: Link, command: Command[Answer], asked: Asked, until: float) -> Answer:
    """Lock, decide and write."""
    ids, durable = asked.ids, command.durable
    while True:
        rows, now = await link.lock(ids, until)
        if 0 < len(rows) < len(ids):
            # What is there may be newer than what is missing.
            await _place(link, asked, rows, now, until)
            continue
        try:
            states = [
                None if row.state is None else unpack(row.state, name)
                for row, name in zip(rows, asked.names, strict=False)
            ]
            before = (
                tuple(states[place] for place in asked.places)
                if rows
                else (None,) * len(asked.places)
            )
            after, answer = command.apply(before, now)
            written = _changes(asked, rows, before, after)
        except Exception:
            await link.leave(until)
            raise
        if not written:
            # An answer about a claim must not rest on what a crash could still take back.
            await link.leave(until, durable=durable)
        elif rows:
            await link.write(written, until, durable=durable)
        elif len(ids) > 1:
            await _place(link, asked, rows, now, until)
            continue
        elif not await link.add(written[0], asked.names[0], until, durable=durable):
            continue
        return answer


async def _place(link: Link, asked: Asked, rows: Sequence[Row], now: int, until: float) -> None:
    """Insert the rows that are missing, holding no lock."""
    await link.leave(until)
    there = {row.id for row in rows}
    missing = [place for place, id_ in enumerate(asked.ids) if id_ not in there]
    await link.place(
        [Row(asked.ids[place], None, now + _COARSE) for place in missing],
        [asked.names[place] for place in missing],
        until,
    )


def _changes(asked: Asked, rows: Sequence[Row], before: States, after: States) -> list[Row]:
    """What is to be written."""
    changed: dict[int, Row] = {}
    for place, old, new in zip(asked.places, before, after, strict=True):
        if new is old or new is None:
            continue
        _, stored, expires = rows[place] if rows else _NOTHING
        changed[place] = Row(asked.ids[place], pack(new, old, stored or b""), expiry(new, expires))
    return [*changed.values()]
