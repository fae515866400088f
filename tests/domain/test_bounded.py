"""Bounded caches: a full cache drops one entry for each new one."""

from __future__ import annotations

from moorage.domain.values.bounded import BoundedCache


def full_cache(most: int) -> BoundedCache[int, str]:
    """Return a cache that is full."""
    cache: BoundedCache[int, str] = BoundedCache(most)
    for number in range(most):
        cache.add(number, "made")
    return cache


def test_full_cache_drops_one_entry_for_each_new_one() -> None:
    """A full cache drops one entry for each new one: the oldest and the newest alternately."""
    cache = full_cache(5)

    assert [0, 10, 1, 12] == [cache.add(number, "new") for number in (10, 11, 12, 13)]
    assert [2, 3, 4, 11, 13] == list(cache)


def test_replacing_an_entry_of_a_full_cache_drops_no_other() -> None:
    """Replacing an entry of a full cache drops no other."""
    cache = full_cache(5)

    assert cache.add(3, "changed") is None
    assert (5, "changed") == (len(cache), cache[3])


def test_cyclic_use_just_above_the_bound_mostly_hits() -> None:
    """A cache mostly hits even if callers cycle through ten per cent more keys than it holds."""
    cache = full_cache(100)
    hits = 0
    for number in list(range(110)) * 50:
        if cache.get(number) is None:
            cache.add(number, "made")
        else:
            hits += 1

    assert hits > 0.7 * 110 * 50
    assert len(cache) == 100
