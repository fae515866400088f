"""Leases of rate-limit tokens, by which a limiter takes several tokens in advance.

Laws:

1. At most `size` tokens of a key are held, and none for longer than the limit needs to refill them.
2. One caller at a time fetches a lease; the others ask the store for their own tokens.
3. After a lease was refused, none is requested until the limit may have refilled.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.durations import count
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.resilience.rate_limit import RateLimitConfig

_KEYS: Final = 10_000


class HeldTokens:
    """The leased tokens of one key, and the time at which they expire.

    The next lease may be requested from `after` on; `fetching` is True while a caller requests it.
    """

    __slots__ = ("after", "fetching", "tokens", "until")

    def __init__(self) -> None:
        self.tokens = self.until = self.after = 0
        self.fetching = False


class Leases:
    """The tokens that one limiter has leased from its store, by key."""

    def __init__(self, limits: Sequence[RateLimitConfig], size: int) -> None:
        self.size = count(size, "lease")
        lifetime = 0
        for limit in limits:
            limit.check_cost(size)
            rule = limit.rule
            if not isinstance(rule, TokenBucket):
                raise ConfigurationError(
                    "Tokens of a limit per calendar period cannot be leased in advance.",
                    path="lease",
                    remedy="Remove the lease.",
                )
            lifetime = max(lifetime, size * rule.price * 1_000 // rule.n)
        self._lasting = lifetime
        self._held: BoundedCache[str | None, HeldTokens] = BoundedCache(_KEYS)
        self._forget_all()
        in_child(self, Leases._forget_all)

    def _forget_all(self) -> None:
        # The parent process may still spend the tokens that it holds.
        self._held.clear()
        self._lock = threading.Lock()

    def spend(self, key: str | None, cost: int, now: int) -> bool:
        """Grant `cost` tokens from the lease of a key; return whether it had enough."""
        lease = self._held.get(key)
        if lease is None or now >= lease.until:
            return False
        with self._lock:
            tokens_left = lease.tokens - cost
            if tokens_left >= 0:
                lease.tokens = tokens_left
        return tokens_left >= 0

    def may_fetch(self, key: str | None, cost: int, now: int) -> HeldTokens | None:
        """Return the key's lease if this caller should request a new lease; otherwise None.

        The caller then reports the result with `store_lease`.
        """
        with self._lock:
            lease = self._held.get(key)
            if lease is None:
                lease = HeldTokens()
                self._held.add(key, lease)
            fetches = cost <= self.size and now >= lease.after and not lease.fetching
            lease.fetching = lease.fetching or fetches
        return lease if fetches else None

    def store_lease(self, held: HeldTokens, cost: int, now: int, *, granted: bool) -> None:
        """Store a new lease's tokens after spending some, or record that the store refused a lease.

        A lease that was dropped meanwhile stays dropped, with its tokens.
        """
        with self._lock:
            held.fetching = False
            held.tokens = self.size - cost if granted else 0
            held.until = now + self._lasting
            held.after = now if granted else held.until

    def drop(self, key: str | None) -> None:
        """Discard the lease of a key."""
        self._held.pop(key, None)
