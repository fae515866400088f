"""A cache whose failures neither fail a call nor delay it for long.

An unreachable cache is not used for a while; one caller at a time probes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.observation.events import CacheSkipped
from moorage.domain.values.bounded import BoundedCache
from moorage.errors import ConnectorError, StorageUnavailable
from moorage.services.calling.call import OutOfTimeError
from moorage.services.core.outage_probe import OutageProbe

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.cache.rules import CacheInquiry, Entries, StoredAnswers
    from moorage.domain.resilience.outage import Outage
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core, Flow

_FOREVER: Final = float("inf")
_MOST_INQUIRIES: Final = 1_024
"""The number of requests whose cache lookups are remembered."""


class GuardedCache:
    """The operations of a cache, which return None instead of raising an error.

    No operation takes longer than the policy's limit, and a lookup takes no longer than its call's
    time limit. Storing and removing after a call may exceed the call's deadline by the policy's
    limit.

    Attributes:
        inquiries: the latest look-ups, by plan and the parts of a request.
    """

    def __init__(
        self,
        core: Core,
        find: Callable[[str, float | None], Flow[StoredAnswers]],
        store: Callable[[str, int, Entries, float, float | None], Flow[bool]],
        delete: Callable[[str, float | None], Flow[None]],
        find_now: Callable[[str], StoredAnswers] | None = None,
    ) -> None:
        """Wrap the methods of a cache; `find_now` is the lookup of a cache that never waits."""
        self._core = core
        self._find = find
        self._store = store
        self._delete = delete
        self._find_now = find_now
        self._probe = OutageProbe(core, "cache")
        self.inquiries: BoundedCache[tuple[Any, ...], CacheInquiry] = BoundedCache(_MOST_INQUIRIES)

    def restart_after_fork(self) -> None:
        """Allow callers of a forked child to probe the cache."""
        self._probe.restart_after_fork()

    async def find(self, call: Call, key: str) -> StoredAnswers | None:
        """Look up the responses stored under a cache key."""
        if self._find_now is not None:
            return self._find_now(key)
        time_left = max(0.0, call.remaining(self._core) / 1e9)
        entries: StoredAnswers | None = await self._guarded_use(call, time_left, self._find, key)
        if entries is not None and entries.unreadable is not None:
            self._notify_skipped(call, entries.unreadable)
        return entries

    async def store(
        self, call: Call, key: str, version: int, entries: Entries, seconds: float
    ) -> bool | None:
        """Store responses under a cache key; return True if they are now stored."""
        return await self._guarded_use(call, _FOREVER, self._store, key, version, entries, seconds)  # type: ignore[no-any-return]  # as the port says

    async def delete(self, call: Call, key: str) -> None:
        """Remove the responses stored under a cache key."""
        await self._guarded_use(call, _FOREVER, self._delete, key)

    async def _guarded_use(
        self,
        call: Call,
        left: float,
        verb: Callable[..., Flow[Any]],
        *arguments: Any,
    ) -> Any:
        probe, core = self._probe, self._core
        outage = probe.outage
        if outage is not None and not probe.claim_probe(outage):
            self._notify_skipped(call, type(outage.error).__name__)
            return None
        wait_limit = call.plan.cache_wait
        start_time = core.nanoseconds()
        answer: Any = None
        error: ConnectorError | None = None
        try:
            time_limit = min(left, wait_limit)
            answer = await core.within(verb(*arguments, time_limit), time_limit)
        except OutOfTimeError:
            error = _too_late(wait_limit)
            if left < wait_limit:
                # The call had no time left for the cache, which does not mean that the cache is
                # unhealthy.
                self._end_probe(outage)
                return None
        except ConnectorError as failure:
            error = failure
        except BaseException:
            self._end_probe(outage)
            raise
        if error is None and core.nanoseconds() - start_time > wait_limit * 1e9:
            error = _too_late(wait_limit)
        if isinstance(error, StorageUnavailable):
            probe.record_loss(outage, error, start_time)
        elif outage is not None:
            probe.record_recovery(outage)
        if error is not None:
            self._notify_skipped(call, type(error).__name__)
        return answer

    def _end_probe(self, outage: Outage | None) -> None:
        """End this caller's probe of the unreachable cache, so that another caller may probe it."""
        if outage is not None:
            outage.turn.append(None)

    def _notify_skipped(self, call: Call, error: str) -> None:
        core = self._core
        if core.observers:
            call.emit(core, CacheSkipped, error=error)


def _too_late(bound: float) -> StorageUnavailable:
    return StorageUnavailable(
        f"The cache did not answer within {bound:g} s.",
        remedy="Find out why the cache is slow, or set a longer CachePolicy(max_wait=…).",
    )
