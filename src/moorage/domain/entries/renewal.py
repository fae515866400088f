"""Decides which leases of claims and of inbox or outbox entries to renew now."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeVar

from moorage.domain.idempotency.claims import LEASE, RENEWAL
from moorage.domain.state.keys import tag_of
from moorage.domain.values.durations import SECOND, maybe_seconds
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from moorage.domain.entries.queue import Entry

CLAIM_LEASE: Final = LEASE * 1000
"""Nanoseconds that a lease lasts, from the moment when it was requested."""

MOST_TOGETHER: Final = 200
"""The maximum number of claims that one command renews."""

ENTRY_LEASE: Final = LEASE / SECOND
"""Seconds that a worker's lease on an entry lasts; also the minimum that can be configured."""

FILE_LEASE: Final = 10.0
"""Seconds that a worker's lease lasts in a file that allows one writing transaction at a time.

While a handler of the host holds the file's lock, nothing can be renewed. It is renewed once a
sixth of it has passed, so a transaction of seven seconds ends before the lease does.
"""

UNRENEWED: Final = 300.0
"""Seconds that a worker's lease on an entry lasts in a process that cannot renew it."""

_DUE_MICROSECONDS: Final = (LEASE - RENEWAL // 2) * 1000
_SPARE_SHARE: Final = _DUE_MICROSECONDS / CLAIM_LEASE
"""The fraction of an entry's lease that is left when it is due for renewal."""

H = TypeVar("H")


class HeldClaim:
    """A claim on an idempotency key that belongs to this process.

    Attributes:
        key, fence: the key and fencing number of the claim.
        ttl: the lifetime of its stored result in microseconds.
        until: the time at which its lease may have ended, in nanoseconds of the local clock.
        lost: whether its renewal failed, or it belongs to the parent of this forked process.
    """

    __slots__ = ("__weakref__", "fence", "key", "lost", "ttl", "until")

    def __init__(self, key: str, fence: int, *, ttl: int, until: int) -> None:
        self.key = key
        self.fence = fence
        self.ttl = ttl
        self.until = until
        self.lost = False


class HeldEntry:
    """The lease of an entry that this process works on.

    Attributes:
        entry: the entry at the time when it was taken.
        lease: the seconds for which it is leased without a renewal.
        until: the time at which its lease may have ended, in nanoseconds of the local clock.
    """

    __slots__ = ("__weakref__", "entry", "lease", "until")

    def __init__(self, entry: Entry, *, lease: float, until: int) -> None:
        self.entry = entry
        self.lease = lease
        self.until = until


def entry_lease(value: float | timedelta | None) -> float | None:
    """Return the seconds of a lease that can be renewed in time; None stays None.

    Raises:
        ConfigurationError: the value is not a duration, or is too short.
    """
    lease = maybe_seconds(value, "lease")
    if lease is not None and lease < ENTRY_LEASE:
        raise ConfigurationError(
            f"A lease of {lease:g} seconds is too short: a worker cannot renew it in time.",
            path="lease",
            remedy=f"Set at least {ENTRY_LEASE:g} seconds, or omit the lease.",
        )
    return lease


def entries_due(entries: Iterable[HeldEntry], now: int) -> list[HeldEntry]:
    """Return the entries to renew now, in the order in which their leases end."""
    selected_entries = [
        held_entry
        for held_entry in entries
        if held_entry.until <= now + held_entry.lease * _SPARE_SHARE * 1e9
    ]
    return sorted(selected_entries, key=lambda held: held.until)


def claims_due(claims: Iterable[HeldClaim], now: int, *, by_tag: bool) -> list[list[HeldClaim]]:
    """Return the claims to renew now, in groups that one command renews together.

    With `by_tag`, all keys of a group have the same tag, the part of a key in braces. Some stores
    choose the node of a key by its tag.
    """
    # If two callers seem to hold a key, only the later one can still hold it.
    latest = {claim.key: claim for claim in claims}
    selected_claims = [claim for claim in latest.values() if claim.until <= now + _DUE_MICROSECONDS]
    if not by_tag:
        return _chunks(selected_claims)
    selected_claims.sort(key=_tag)
    return [
        chunk for _, tagged in groupby(selected_claims, _tag) for chunk in _chunks(list(tagged))
    ]


def split_in_half(group: list[H]) -> list[list[H]]:
    """Return a group of leases in two halves, because renewing the whole group failed.

    A single claim may have caused the failure.
    """
    middle_index = len(group) // 2
    return [group[:middle_index], group[middle_index:]] if middle_index else []


def _chunks(claims: list[HeldClaim]) -> list[list[HeldClaim]]:
    return [claims[at : at + MOST_TOGETHER] for at in range(0, len(claims), MOST_TOGETHER)]


def _tag(held: HeldClaim) -> str:
    return tag_of(held.key)
