"""The adaptive limits of bulkheads, by the key of the bulkhead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.values.bounded import BoundedCache

if TYPE_CHECKING:
    from moorage.domain.resilience.adaptive_limit import Reduction
    from moorage.domain.service.settings import BulkheadConfig

_MAX_ENTRIES: Final = 10_000


class _Bulkhead:
    """The attempts in progress in one bulkhead, and the latest shrinking of its limit."""

    __slots__ = ("reduction", "running")

    def __init__(self) -> None:
        self.running: set[object] = set()
        self.reduction: Reduction | None = None


class ConcurrencyLimits:
    """The limits of this process's adaptive bulkheads.

    A forgotten bulkhead has its largest limit again.
    """

    __slots__ = ("_bulkheads",)

    def __init__(self) -> None:
        self._bulkheads: BoundedCache[str, _Bulkhead] = BoundedCache(_MAX_ENTRIES)

    def limit(self, key: str, config: BulkheadConfig, now: int) -> int:
        """Return how many calls may be in progress in a bulkhead at this time."""
        from moorage.domain.resilience.adaptive_limit import (  # noqa: PLC0415 - few bulkheads need it
            limit_at,
        )

        bulkhead = self._bulkheads.get(key)
        if config.adaptive is None or bulkhead is None:
            return config.max_concurrent
        return limit_at(config.adaptive, config.max_concurrent, bulkhead.reduction, now)

    def begin(self, key: str, attempt: object) -> None:
        """Record the beginning of an attempt in a bulkhead."""
        bulkhead = self._bulkheads.get(key)
        if bulkhead is None:
            bulkhead = _Bulkhead()
            self._bulkheads.add(key, bulkhead)
        bulkhead.running.add(attempt)

    def end(  # noqa: PLR0917 - the facts of an attempt
        self,
        key: str,
        config: BulkheadConfig,
        attempt: object,
        error: BaseException | None,
        start_time: int,
        now: int,
    ) -> int | None:
        """Record the end of an attempt; return the new limit if it shrank, otherwise None."""
        from moorage.domain.resilience.adaptive_limit import (  # noqa: PLC0415 - as above
            is_overload,
            limit_at,
            shrink,
        )

        bulkhead, rule = self._bulkheads.get(key), config.adaptive
        if bulkhead is None or rule is None:
            return None
        running_count = len(bulkhead.running)
        bulkhead.running.discard(attempt)
        if not is_overload(rule, error, start_time=start_time, now=now):
            return None
        max_limit = config.max_concurrent
        reduction = shrink(
            rule,
            max_limit,
            bulkhead.reduction,
            running=running_count,
            start_time=start_time,
            now=now,
        )
        if reduction is None:
            return None
        bulkhead.reduction = reduction
        return limit_at(rule, max_limit, reduction, now)
