"""Taking what was written down: claim an entry, work, and write what became of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import attrs

from moorage.domain.entries import (
    SETTLED,
    STUCK,
    Entry,
    EntryPage,
    EntryQuery,
    EntryState,
    Fate,
    doubt,
    drop,
    finish,
    give_up,
    lease_left,
    longest_pause,
    pause,
    postpone,
    replay,
    take,
    told,
    usual_wait,
)
from moorage.domain.retry import wait_of
from moorage.domain.retry_after import capped
from moorage.domain.sealing import about
from moorage.errors import (
    ConfigurationError,
    IdempotencyInProgress,
    InvalidData,
    StorageUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from moorage.domain.retry import RetryPolicy
    from moorage.ports.cipher import Cipher
    from moorage.services.core import Core, Flow
    from moorage.services.renewal import EntryRenewals

E = TypeVar("E", bound=Entry)
Work: TypeAlias = "Callable[[E], Awaitable[Any]]"

_PLAIN: Final = b"\0"
_SEALED: Final = b"\1"


@attrs.frozen(kw_only=True)
class Shelf(Generic[E]):
    """The verbs of a store of entries, each awaited."""

    now: Callable[[], Flow[datetime]]
    add: Callable[[E], Flow[E]]
    due: Callable[[int], Flow[Sequence[E]]]
    swap: Callable[[E, int], Flow[bool]]
    find: Callable[[EntryQuery], Flow[EntryPage[E]]]
    remove: Callable[[EntryQuery], Flow[int]]


@attrs.frozen(kw_only=True)
class Worked(Generic[E]):
    """What became of one entry: how it is stored now, and what its work gave or raised.

    Attributes:
        entry: as it is stored; where somebody else has it by now, as it would have been.
        answer: what the work gave, if it is done.
        error: what the work raised, if it is not.
    """

    entry: E
    answer: Any = attrs.field(default=None, repr=False)
    error: Exception | None = None


@attrs.frozen(kw_only=True)
class Round(Generic[E]):
    """What became of the entries that were taken.

    Attributes:
        worked: each, in the order in which they were taken.
    """

    worked: tuple[Worked[E], ...] = ()

    def __len__(self) -> int:
        return len(self.worked)

    def _count(self, state: EntryState) -> int:
        return sum(one.entry.state is state for one in self.worked)

    @property
    def done(self) -> int:
        """How many are done."""
        return self._count(EntryState.DONE)

    @property
    def later(self) -> int:
        """How many are to be tried again."""
        return self._count(EntryState.WAITING)

    @property
    def dead(self) -> int:
        """How many were given up."""
        return self._count(EntryState.DEAD)

    @property
    def unknown(self) -> int:
        """How many may have been done, so that a person has to look them up."""
        return self._count(EntryState.UNKNOWN)


class PartlyDoneError(Exception):
    """A part of the work is done, and the rest is refused for good.

    Args:
        error: what the rest ended with.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Keeping(Generic[E]):
    """Entries of one store, on one face.

    Args:
        core: the clock and chance, and the cipher that seals contents.
        shelf: the store.
        name: what the store is for, as the cipher is told.
        retry: how often and at what pace an entry is tried.
        lease: seconds for which a worker has an entry without renewing it; None for the shortest.
        renewals: renews the entries that are being worked on.
        judge: says of an error what is to become of an entry.
    """

    def __init__(
        self,
        core: Core,
        shelf: Shelf[E],
        *,
        name: str,
        retry: RetryPolicy,
        lease: float | None,
        renewals: EntryRenewals,
        judge: Callable[[Exception], Fate],
    ) -> None:
        self.core = core
        self.shelf = shelf
        self._name = name
        self._retry = retry
        self._lease = lease
        self._renewals = renewals
        self._judge = judge

    async def work_off(
        self, work: Work[E], limit: int, utc: Callable[[], datetime]
    ) -> list[Worked[E]]:
        """Take up to `limit` entries that are due, one after another, and do their work.

        Args:
            work: what is done with an entry.
            limit: how many at most.
            utc: the clock by which errors of the work say when to come back.
        """
        worked: list[Worked[E]] = []
        lease = self._renewals.lease(self._lease)
        while len(worked) < limit:
            offered = await self.shelf.due(limit - len(worked))
            before = len(worked)
            for entry in offered:
                now = await self.shelf.now()
                if await self._is_held(entry, now):
                    continue
                taken = take(entry, now, lease, self._retry.max_attempts)
                if await self.shelf.swap(taken, entry.fence):
                    worked.append(await self._renewed(taken, lease, work, utc))
            # What somebody else took is theirs: to go on asking for it would keep nobody busy.
            if len(worked) == before:
                break
        return worked

    async def _is_held(self, offered: E, now: datetime) -> bool:
        """Whether the worker of an entry has renewed it since it was offered."""
        if offered.state is not EntryState.CLAIMED:
            return False
        found = await self.shelf.find(EntryQuery(id=offered.id, limit=1))
        return any(lease_left(entry, now) for entry in found.items)

    async def _renewed(
        self, taken: E, lease: float, work: Work[E], utc: Callable[[], datetime]
    ) -> Worked[E]:
        """Do the work of an entry, and have it renewed until its result is written."""
        if taken.state is EntryState.DEAD:
            return Worked(entry=taken)
        held = self._renewals.hold(taken, lease)
        try:
            return await self._worked(taken, work, utc)
        finally:
            self._renewals.let_go(held)

    async def _worked(self, taken: E, work: Work[E], utc: Callable[[], datetime]) -> Worked[E]:
        try:
            answer = await work(taken)
        except PartlyDoneError as part:
            # Under another key what is done would be done again.
            error, fate = part.error, Fate.NEVER
        except Exception as failed:  # noqa: BLE001 - written down, and told
            error, fate = failed, self._judge(failed)
        else:
            after = finish(taken, await self.shelf.now())
            await self.shelf.swap(after, taken.fence)
            return Worked(entry=after, answer=answer)
        # Of a caller's clock only spans are used: the error's moment is one of that clock.
        wish = capped(wait_of(error, utc()), longest_pause(self._retry, error))
        after = self._failed(taken, error, fate, wish, await self.shelf.now())
        await self.shelf.swap(after, taken.fence)
        return Worked(entry=after, error=error)

    def _failed(
        self, taken: E, error: Exception, fate: Fate, wish: float | None, now: datetime
    ) -> E:
        words = told(error)
        if fate is Fate.DOUBT:
            return doubt(taken, now, words)
        if fate is not Fate.AGAIN or taken.attempts >= self._retry.max_attempts:
            return give_up(taken, now, words, spent=fate is Fate.SPENT)
        wait = pause(self._retry, taken.attempts, wish, self.core.fraction())
        return postpone(taken, now + wait, words)

    # --- by hand ------------------------------------------------------------------------

    async def find(self, query: EntryQuery) -> EntryPage[E]:
        """One page of the entries that match, newest first."""
        return await self.shelf.find(query)

    async def remove(self, query: EntryQuery) -> int:
        """Remove all entries that match, whatever became of them, and say how many those were."""
        return await self.shelf.remove(query)

    async def stuck(self, *, limit: int = 100, after: str | None = None) -> EntryPage[E]:
        """What needs a person, newest first.

        These are the entries that are unknown or dead, and those that were tried and wait for
        another try unusually long: longer than an hour, and than the longest delay of `retry`.
        """
        late = await self.shelf.now() + usual_wait(self._retry)
        pages = [
            await self.shelf.find(attrs.evolve(query, limit=limit, after=after))
            for query in (EntryQuery(states=STUCK), EntryQuery(waits_beyond=late))
        ]
        found = sorted(
            (entry for page in pages for entry in page.items),
            key=lambda entry: entry.number,
            reverse=True,
        )
        items = tuple(found[:limit])
        goes_on = len(found) > limit or any(page.next for page in pages)
        return EntryPage(items=items, next=str(items[-1].number) if goes_on else None)

    async def forget(self, before: datetime | timedelta) -> int:
        """Remove what had come to its end by then, and say how many those were.

        What was forgotten cannot be replayed, and a repeat of it is new.

        Args:
            before: a time by the store's clock, or how long ago by the store's clock.
        """
        if isinstance(before, timedelta):
            before = await self.shelf.now() - before
        return await self.shelf.remove(EntryQuery(states=SETTLED, settled_before=before))

    async def get(self, id: str) -> E:
        """The entry of this id.

        Raises:
            InvalidData: there is none.
        """
        page = await self.shelf.find(EntryQuery(id=id, limit=1))
        if not page.items:
            raise InvalidData(
                f"There is no entry {id[:80]!r}.",
                field="id",
                remedy="Give the `id` of an entry that has not been forgotten.",
            )
        return page.items[0]

    async def replay(self, id: str) -> E:
        """Have an entry done again, whatever became of it, from the first try on."""
        return await self._changed(id, replay)

    async def drop(self, id: str) -> E:
        """Call an entry off."""
        return await self._changed(id, drop)

    async def _changed(self, id: str, change: Callable[[E, datetime], E]) -> E:
        while True:
            entry, now = await self.get(id), await self.shelf.now()
            left = lease_left(entry, now)
            if left:
                raise IdempotencyInProgress(
                    f"somebody is at work on {entry.id}.",
                    retry_at=self.core.utc() + left,
                    remedy="Wait until that is done or its lease is over.",
                )
            changed = change(entry, now)
            if await self.shelf.swap(changed, entry.fence):
                return changed

    # --- contents -----------------------------------------------------------------------

    def closed(self, entry: E, content: bytes) -> E:
        """An entry with its content, sealed if there is a cipher."""
        cipher = self.core.cipher
        if cipher is None:
            return attrs.evolve(entry, content=_PLAIN + content)
        sealed = cipher.seal(content, self._about(entry))
        return attrs.evolve(entry, content=_SEALED + sealed)

    def opened(self, entry: E) -> bytes:
        """The content of an entry.

        Raises:
            ConfigurationError: it is sealed, and there is no cipher.
            InvalidData: it is not what was written down.
        """
        if entry.content[:1] == _PLAIN:
            return entry.content[1:]
        cipher: Cipher | None = self.core.cipher
        if cipher is None:
            raise ConfigurationError(
                "what is written down is sealed, and there is no cipher to open it.",
                path="cipher",
                remedy="Give every process that shares the store the same cipher.",
            )
        return cipher.open(entry.content[1:], self._about(entry))

    def _about(self, entry: E) -> bytes:
        return about(entry.tenant, self._name, entry.id)


def lost(error: Exception) -> StorageUnavailable:
    """What a store of entries raised: nothing is known of what it was to do."""
    return StorageUnavailable(
        f"the store of entries raised {type(error).__name__}.",
        remedy="Check that the store is up; its adapter must raise StorageUnavailable only.",
    )
