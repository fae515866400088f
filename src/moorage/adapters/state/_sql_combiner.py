"""Commands of one process that share transactions, so that a slow connection serves many at once.

A row that a decision changes is locked for one round trip. Callers of one process who each made
that trip would queue behind each other, so:

1. A trip decides the commands that wait for it when the server says that the rows are locked. Until
   then whoever needs no other row joins it. Whoever needs another, or decides about an effect,
   waits for the next trip over the same rows, which begins when this one has read them.
2. Commands are decided one after another, each over what those before it left. One that raises
   changes nothing.
3. A caller leaves when its own time is over. Before it was decided it is taken out; what is granted
   to it later is given back.
4. A trip ends in time, too. Whoever waits longer than that goes with another one.
5. A question that usually changes nothing is answered by one trip that locks nothing.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache, partial
from hashlib import sha256
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from moorage.adapters.databases._sql_link import SLOWEST, FateUnknown, Row
from moorage.domain.resilience.admission import Confirm, ReadCircuit
from moorage.domain.resilience.outage import is_slow
from moorage.domain.state.codec import pack, unpack
from moorage.domain.values.durations import HOUR
from moorage.errors import ConnectorError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moorage.adapters.databases._sql_engine import Door, Engine
    from moorage.adapters.databases._sql_link import Link
    from moorage.adapters.databases._sql_pool import LinkPool, Running
    from moorage.domain.state.commands import Command, State, States

Answer = TypeVar("Answer")

COARSE: Final = HOUR
"""How often the time at which a hot row may go is moved, in microseconds."""

_LONGEST_NAME: Final = 1_000
_REMEMBERED: Final = 4_096
_MANY: Final = 16
"""So many keys are hardly ever the same ones again."""

_TOGETHER: Final = 64
"""How many commands one trip decides."""

_FAR: Final = 0.02
"""Seconds of a round trip from which on a connection is slow."""

_STEADY: Final = 16
"""For how many round trips a trip waits for its rows, even if its first caller leaves."""

_GRACE: Final = 0.1
"""Seconds to hear from a trip that ends with its caller's time."""

_LOOKS: Final = (Confirm, ReadCircuit)
"""Commands that usually change nothing."""


class Asked(NamedTuple):
    """The keys of a command as a server knows them.

    Attributes:
        ids: in the order in which rows are locked.
        own: the id of each key, in the order of the command's keys.
        names: for each of `ids`, the key, for people.
    """

    ids: tuple[bytes, ...]
    own: tuple[bytes, ...]
    names: tuple[str, ...]


@lru_cache(_REMEMBERED)
def asked_of(keys: tuple[str, ...]) -> Asked:
    """The keys of a command as a server knows them."""
    hashed = {key: sha256(key.encode("utf-8", "surrogatepass")).digest() for key in keys}
    ordered = sorted(hashed, key=hashed.__getitem__)
    return Asked(
        tuple(hashed[key] for key in ordered),
        tuple(hashed[key] for key in keys),
        tuple(map(_shown, ordered)),
    )


def _shown(key: str) -> str:
    """A key as any database takes it, whatever its encoding."""
    return key.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:_LONGEST_NAME]


def expiry(state: State, stored: int) -> int:
    """When a row may go: what is stored, as long as that is late enough and not much too late."""
    least: int = state[0] + state[1]
    return stored if least <= stored <= least + 2 * COARSE else least + COARSE


class _Ride:
    """A command, and the caller who waits for its answer until a time of `monotonic()`.

    Attributes:
        ended: whether the caller has its answer or its error, or is to go again.
        granted: whether it has an answer that is written.
        left: whether the caller does not wait any more.
        again: whether the caller is to go with another trip.
    """

    __slots__ = (
        "again",
        "answer",
        "asked",
        "command",
        "door",
        "ended",
        "error",
        "granted",
        "left",
        "until",
    )

    def __init__(self, command: Command[Any], asked: Asked, until: float) -> None:
        self.command = command
        self.asked = asked
        self.until = until
        self.door: Door | None = None
        self.answer: Any = None
        self.error: Exception | None = None
        self.ended = self.left = self.again = self.granted = False


class _Trip:
    """One transaction, and the rides that wait for it.

    Attributes:
        asked: its rows, known when it begins.
        until: when it ends, as a time of `monotonic()`.
        apart: whether it is made apart from its callers, so that it can last longer than they wait.
        following: the next trip over rows of this one.
        running: what makes it apart.
    """

    __slots__ = (
        "apart",
        "asked",
        "begun",
        "closed",
        "following",
        "ids",
        "rides",
        "running",
        "until",
    )

    def __init__(self) -> None:
        self.asked = Asked((), (), ())
        self.ids: frozenset[bytes] = frozenset()
        self.until = 0.0
        self.rides: list[_Ride] = []
        self.following: _Trip | None = None
        self.running: Running | None = None
        self.apart = self.begun = self.closed = False

    def begin(self, least: float) -> None:
        """Fix the rows, and the time to end: that of whoever waits longest."""
        self.begun = True
        asked = [ride.asked for ride in self.rides]
        if all(each is asked[0] for each in asked):
            self.asked = asked[0]
        else:
            pairs = (zip(each.ids, each.names, strict=True) for each in asked)
            names = dict(chain.from_iterable(pairs))
            ids = tuple(sorted(names))
            self.asked = Asked(ids, (), tuple(map(names.__getitem__, ids)))
        self.ids = frozenset(self.asked.ids)
        self.until = max(least, *(ride.until for ride in self.rides))

    def takes(self, ride: _Ride) -> bool:
        """Whether a ride can join."""
        if self.closed or len(self.rides) >= _TOGETHER:
            return False
        return not self.begun or (not ride.command.durable and self.ids.issuperset(ride.asked.ids))


class SharedRows:
    """The rows that several callers wanted at once.

    Args:
        bound: with more rows than this, all are forgotten before new ones are added.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._ids: set[bytes] = set()

    def add(self, ids: frozenset[bytes]) -> None:
        """Remember rows."""
        if len(self._ids) > self._bound:
            self._ids.clear()
        self._ids |= ids

    def has_any(self, ids: Iterable[bytes]) -> bool:
        """Whether at least one of these rows is known."""
        return not self._ids.isdisjoint(ids)


class Combiner:
    """Executes commands on the connections of an engine.

    Args:
        engine: has the connections.
        returned: takes a command whose caller has left, and what it was answered.
    """

    def __init__(self, engine: Engine, returned: Callable[[Command[Any], Any], None]) -> None:
        self._engine = engine
        self._colour = engine.colour
        self._returned = returned
        self._shared = SharedRows(_REMEMBERED)

    async def execute(self, command: Command[Answer], timeout: float | None = None) -> Answer:
        """Run one command within `timeout` seconds, or the store's own bound if none is given."""
        keys = command.keys
        asked = asked_of(keys) if len(keys) < _MANY else asked_of.__wrapped__(keys)
        engine = self._engine
        began, until = monotonic(), engine.until(timeout)
        try:
            if isinstance(command, _LOOKS):
                look = await engine.attempt(
                    partial(_look, command, asked, until), until, once=False
                )
                if look is not None:
                    return look[0]
            return await self._decided(command, asked, until)  # type: ignore[no-any-return]  # as above
        except StorageUnavailable as error:
            now, heard = monotonic(), engine.heard
            silent = None if heard is None else int((now - heard) * 1e9)
            # A server that answered others not long ago is there.
            error.slow = error.slow or is_slow(int((now - began) * 1e9), until - began, silent)
            raise

    async def _decided(self, command: Command[Any], asked: Asked, until: float) -> Any:
        while True:
            ride = _Ride(command, asked, until)
            await self._ride(self._engine.pool(), ride)
            if ride.error is not None:
                # Whoever waits for it is its only owner.
                error, ride.error = ride.error, None
                raise error
            if not ride.again:
                return ride.answer

    async def _ride(self, pool: LinkPool, ride: _Ride) -> None:
        """Have a ride ended."""
        trip: _Trip | None = None
        try:
            with pool.lock:
                trip, is_new = self._trip_for(pool, ride)
                trip.rides.append(ride)
                if is_new:
                    trip.apart = not (self._colour.blocks and self._is_quick(pool, ride))
                    self._begin(pool, trip)
                if trip.apart or not is_new:
                    ride.door = self._colour.door()
            if is_new and not (trip.apart and self._start(pool, trip)):
                await self._drive(pool, trip)
            if not ride.ended and ride.door is not None:
                await ride.door.wait(ride.until - monotonic())
                if not ride.ended and trip.begun and trip.until <= ride.until:
                    await ride.door.wait(_GRACE)
        except BaseException:
            if ride.granted:
                self._returned(ride.command, ride.answer)
            raise
        finally:
            with pool.lock:
                ride.left = not ride.ended
        if ride.left:
            raise self._engine.unavailable("was not answered in time")

    def _is_quick(self, pool: LinkPool, ride: _Ride) -> bool:
        """Whether a caller makes its trip itself: it does not take long, or nobody joins it."""
        return pool.trip < _FAR or not self._shared.has_any(ride.asked.ids)

    def _trip_for(self, pool: LinkPool, ride: _Ride) -> tuple[_Trip, bool]:
        """The trip to go with, and whether it is a new one."""
        now = monotonic()
        for id_ in ride.asked.ids:
            trip = pool.trips.get(id_)
            while trip is not None and (not trip.begun or trip.until > now):
                self._shared.add(trip.ids)
                if trip.takes(ride):
                    return trip, False
                if trip.closed:
                    break
                if trip.following is None:
                    trip.following = _Trip()
                trip = trip.following
        return _Trip(), True

    def _begin(self, pool: LinkPool, trip: _Trip) -> None:
        least = monotonic() + min(SLOWEST, _STEADY * pool.trip) if trip.apart else 0.0
        trip.begin(least)
        for id_ in trip.asked.ids:
            pool.trips[id_] = trip

    def _start(self, pool: LinkPool, trip: _Trip) -> bool:
        """Have a trip made apart from its callers, if the system allows that."""
        # Its callers may all leave, and nobody else would hold it.
        pool.apart.add(trip)
        trip.running = self._colour.apart(self._drive(pool, trip))
        return trip.running is not None

    async def _drive(self, pool: LinkPool, trip: _Trip) -> None:
        """Make a trip, and end every ride of it."""
        work = partial(self._transact, pool, trip)
        try:
            await self._engine.attempt(work, trip.until, once=False)
        except Exception as error:  # noqa: BLE001 - raised in whoever waits for it
            late = isinstance(error, StorageUnavailable) and monotonic() >= trip.until
            self._fail(pool, trip, error, late=late)
        except BaseException:
            self._fail(pool, trip, None, late=True)
            raise
        finally:
            pool.apart.discard(trip)
            following = trip.following
            if following is not None and following.running is None and following.rides:
                await self._drive(pool, following)

    async def _transact(self, pool: LinkPool, trip: _Trip, link: Link) -> None:
        """Lock, decide and write."""
        asked = trip.asked
        while True:
            rows, now = await link.lock(asked.ids, trip.until)
            if 0 < len(rows) < len(asked.ids):
                # What is there may be newer than what is missing.
                await _place(link, asked, rows, now, trip.until)
                continue
            written = _decide(self._cut(pool, trip), asked, rows, now)
            if written and not rows and len(asked.ids) > 1:
                await _place(link, asked, rows, now, trip.until)
                continue
            began = monotonic()
            try:
                done = await _commit(link, trip, written, is_new=not rows)
            except FateUnknown as failure:
                error = self._forget(pool, trip, slow=failure.slow)
                if trip.rides:
                    raise
                pool.clear()
                raise error from None
            except BaseException as failure:
                if not isinstance(failure, Exception):
                    self._forget(pool, trip)
                raise
            if done:
                pool.trip = monotonic() - began
                self._answer(pool, trip)
                return

    def _cut(self, pool: LinkPool, trip: _Trip) -> list[_Ride]:
        """Close a trip to others, and begin the next one. Returns the rides that still wait."""
        self._close(pool, trip)
        with pool.lock:
            trip.rides = [ride for ride in trip.rides if not ride.left]
            if trip.apart:
                # Whose time is over leaves, and all others are answered.
                trip.until = max((trip.until, *(ride.until for ride in trip.rides)))
            return trip.rides

    def _close(self, pool: LinkPool, trip: _Trip) -> None:
        """Let nobody join any more, and begin the next trip."""
        with pool.lock:
            if trip.closed:
                return
            trip.closed = True
            for id_ in trip.asked.ids:
                if pool.trips.get(id_) is trip:
                    del pool.trips[id_]
            following = trip.following
            while following is not None:
                following.rides = [ride for ride in following.rides if not ride.left]
                if following.rides:
                    break
                following = following.following
            trip.following = following
            if following is None:
                return
            following.apart = True
            self._begin(pool, following)
        self._start(pool, following)

    def _forget(self, pool: LinkPool, trip: _Trip, *, slow: bool = False) -> StorageUnavailable:
        """End the rides that must not be decided twice, as nobody knows whether they were."""
        error = self._engine.unavailable(
            "had no answer to its commit, so that nobody knows its fate", slow=slow
        )
        with pool.lock:
            for ride in trip.rides:
                if ride.command.once:
                    ride.error = copy(error)
                    _wake(ride)
            trip.rides = [ride for ride in trip.rides if not ride.ended]
        return error

    def _fail(self, pool: LinkPool, trip: _Trip, error: Exception | None, *, late: bool) -> None:
        """End every ride with an error; where the trip was late, whoever has time goes again."""
        self._close(pool, trip)
        now = monotonic()
        with pool.lock:
            for ride in trip.rides:
                ride.again = late and ride.until > now
                ride.error = None if ride.again else _own(error)
                _wake(ride)
            trip.rides = []

    def _answer(self, pool: LinkPool, trip: _Trip) -> None:
        """Let every caller have its answer, or take back what nobody waits for any more."""
        with pool.lock:
            lost = [ride for ride in trip.rides if ride.left and ride.error is None]
            for ride in trip.rides:
                ride.granted = ride.error is None
                _wake(ride)
            trip.rides = []
        for ride in lost:
            self._returned(ride.command, ride.answer)


def _wake(ride: _Ride) -> None:
    ride.ended = True
    if ride.door is not None:
        ride.door.open()


def _own(error: Exception | None) -> Exception | None:
    """An error for one caller alone."""
    return copy(error) if isinstance(error, ConnectorError) else error


async def _look(command: Command[Any], asked: Asked, until: float, link: Link) -> tuple[Any] | None:
    """The answer to a command that changes nothing; None if this one would change something."""
    rows, now = await link.read(asked.ids, until)
    ride = _Ride(command, asked, until)
    if _decide([ride], asked, rows, now):
        return None
    if ride.error is not None:
        raise ride.error
    return (ride.answer,)


async def _commit(link: Link, trip: _Trip, written: Sequence[Row], *, is_new: bool) -> bool:
    """Write and commit; tell whether nobody else has inserted the row meanwhile, if it is new."""
    until = trip.until
    durable = any(ride.command.durable for ride in trip.rides if ride.error is None)
    if not written:
        # An answer about a claim must not rest on what a crash could still take back.
        await link.leave(until, durable=durable)
    elif is_new:
        return await link.add(written[0], trip.asked.names[0], until, durable=durable)
    else:
        await link.write(written, until, durable=durable)
    return True


async def _place(link: Link, asked: Asked, rows: Sequence[Row], now: int, until: float) -> None:
    """Insert the rows that are missing, holding no lock."""
    await link.leave(until)
    there = {row.id for row in rows}
    missing = [place for place, id_ in enumerate(asked.ids) if id_ not in there]
    await link.place(
        [Row(asked.ids[place], None, now + COARSE) for place in missing],
        [asked.names[place] for place in missing],
        until,
    )


def _decide(rides: Sequence[_Ride], asked: Asked, rows: Sequence[Row], now: int) -> list[Row]:
    """Decide commands one after another over what was read. Returns what is to be written."""
    known = {row.id: row for row in rows}
    states: dict[bytes, State | None] = {}
    written: dict[bytes, Row] = {}
    for ride in rides:
        own = ride.asked.own
        try:
            for id_ in own:
                if id_ not in states:
                    states[id_] = _state(known.get(id_), asked, id_)
            before = tuple(map(states.__getitem__, own))
            after, answer = ride.command.apply(before, now)
            changed = _changes(own, known, before, after)
        except Exception as error:  # noqa: BLE001 - raised in whoever waits for it
            ride.answer, ride.error = None, error
            continue
        ride.answer, ride.error = answer, None
        known |= changed
        written |= changed
        states |= {id_: new for id_, new in zip(own, after, strict=True) if id_ in changed}
    return [*written.values()]


def _state(row: Row | None, asked: Asked, id_: bytes) -> State | None:
    if row is None or row.state is None:
        return None
    return unpack(row.state, asked.names[asked.ids.index(id_)])


def _changes(
    own: Sequence[bytes], known: dict[bytes, Row], before: States, after: States
) -> dict[bytes, Row]:
    """The rows that a command changes, as they are stored."""
    changed: dict[bytes, Row] = {}
    for id_, old, new in zip(own, before, after, strict=True):
        if new is old or new is None:
            continue
        row = known.get(id_)
        stored, expires = (b"", 0) if row is None else (row.state or b"", row.expires)
        changed[id_] = Row(id_, pack(new, old, stored), expiry(new, expires))
    return changed
