"""The stored state of cached responses, and the commands that change it."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData, Response
from moorage.domain.cache.rules import CacheEntry
from moorage.domain.cache.state import (
    LONGEST_FLIGHT,
    CachedAnswers,
    ReadCachedAnswers,
    RemoveCachedAnswers,
    StoreCachedAnswers,
    pack_entries,
    unpack_entries,
)
from moorage.domain.state.packing import pack_values
from tests.domain.state_store import NOON, StateStore

SECOND = 1_000_000


def store_response(
    store: StateStore, content: bytes = b"kept", *, version: int | None = None
) -> bool:
    """Store a response in the cache for ten seconds."""
    known_version = store.execute(ReadCachedAnswers("key")).version if version is None else version
    return store.execute(StoreCachedAnswers("key", known_version, content, 10 * SECOND))


def look_up(store: StateStore) -> CachedAnswers:
    """Return the result of looking up the cache key."""
    return store.execute(ReadCachedAnswers("key"))


def test_unknown_cache_key_has_no_entry() -> None:
    """A lookup with an unknown cache key finds no entry, and writes nothing."""
    store = StateStore()
    assert CachedAnswers(0) == look_up(store)
    assert {} == store.cells


def test_cache_entry_is_returned_with_its_age_until_it_expires() -> None:
    """A cache entry is returned with its age until it expires."""
    store = StateStore()
    assert store_response(store)
    assert CachedAnswers(NOON, 0, b"kept") == look_up(store)
    store.now += 10 * SECOND - 1
    assert CachedAnswers(NOON, 10 * SECOND - 1, b"kept") == look_up(store)
    store.now += 1
    assert CachedAnswers(0) == look_up(store)
    assert store_response(store, b"again")


def test_marker_of_a_removed_key_outlives_running_requests() -> None:
    """The marker of a removed cache key outlives any request that is still running."""
    store = StateStore()
    store_response(store)
    first_version = look_up(store).version
    store.execute(RemoveCachedAnswers("key"))
    assert CachedAnswers(first_version + 1, 0, None) == look_up(store)

    store.now += round(LONGEST_FLIGHT * SECOND) - 1
    for version in (0, first_version):
        assert not store_response(store, version=version)
    store.now += 1
    assert CachedAnswers(0) == look_up(store)
    assert not store_response(store, version=first_version)
    assert store_response(store, version=0)


def test_only_the_latest_mark_may_replace() -> None:
    """Only a writer with the latest version replaces a cache entry."""
    store = StateStore()
    store_response(store)
    first_version = look_up(store).version

    assert store_response(store, b"other")
    assert CachedAnswers(first_version + 1, 0, b"other") == look_up(store)
    assert not store_response(store, b"late", version=first_version)


def test_repeated_command_has_the_same_answer() -> None:
    """A cache command that is repeated after a lost reply gets the same reply."""
    store = StateStore()
    command = StoreCachedAnswers("key", 0, b"kept", 10 * SECOND)
    assert store.execute(command)
    assert store.execute(command)
    store.execute(RemoveCachedAnswers("key"))
    assert not store.execute(command)


@pytest.mark.parametrize("back", [1, SECOND, 3_600 * SECOND])
def test_small_clock_step_back_ages_no_cache_entry(back: int) -> None:
    """A small backward step of the clock does not age cache entries; a large step removes them."""
    store = StateStore()
    store_response(store)
    store.now -= back

    is_small = back <= SECOND
    assert (CachedAnswers(NOON, 0, b"kept") if is_small else CachedAnswers(0)) == look_up(store)
    assert is_small is not store_response(store, b"other", version=0)
    store.execute(RemoveCachedAnswers("key"))
    assert store.cells["key"][2] > NOON


@given(st.lists(st.tuples(st.sampled_from("lkf"), st.integers(-5, 15)), max_size=50))
def test_response_requested_before_a_change_is_not_stored_after_it(
    steps: list[tuple[str, int]],
) -> None:
    """A response that was requested before a cache change is not stored after the change."""
    store = StateStore()
    version, is_changed, versions = 0, False, set[int]()
    for step, seconds in steps:
        store.now += seconds * SECOND
        if step == "l":
            version, is_changed = look_up(store).version, False
        elif step == "f":
            store.execute(RemoveCachedAnswers("key"))
            is_changed = True
        elif store.execute(StoreCachedAnswers("key", version, b"%d" % len(versions), 10 * SECOND)):
            # An entry may be stored after a change only if there was no entry before or after.
            assert not is_changed or version == 0
            new_value = store.cells["key"][2]
            assert new_value not in versions
            versions.add(new_value)
            is_changed = True


# --- responses as bytes --------------------------------------------------------------

ENTRY = CacheEntry(
    Response(
        200, [("A", "1"), ("a", "\xff")], b"\x00body", reason="OK", url="http://x", elapsed=1.5
    ),
    60.0,
    1.25,
    ("accept",),
    b"\x00\xff",
)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_cached_responses_are_unpacked_unchanged(count: int) -> None:
    """Cached responses are returned unchanged and in order."""
    entries = tuple(attrs.evolve(ENTRY, age=float(number)) for number in range(count))
    assert entries == unpack_entries(pack_entries(entries))


def test_cached_flag_is_not_stored() -> None:
    """The flag that a response came from the cache is not stored."""
    repeated_entry = attrs.evolve(ENTRY, response=ENTRY.response.evolve(cached=True))
    assert (ENTRY,) == unpack_entries(pack_entries((repeated_entry,)))


@pytest.mark.parametrize(
    "values",
    [
        (),
        (2,),
        (1, 2),
        (1, (1, 2, 3, 4, 5)),
        (1, (ENTRY.response, 1.0, 1.0, ())),
        (1, (ENTRY.response, "a", 1.0, (), b"")),
        (1, (ENTRY.response, 1.0, None, (), b"")),
        (1, (ENTRY.response, 1.0, 1.0, (1,), b"")),
        (1, (ENTRY.response, 1.0, 1.0, 1, b"")),
        (1, (ENTRY.response, 1.0, 1.0, (), "text")),
        (1, (b"answer", 1.0, 1.0, (), b"")),
    ],
)
def test_cache_entry_of_another_release_is_refused(values: tuple[object, ...]) -> None:
    """Reading a cache entry of another kind or release raises an error that says so."""
    with pytest.raises(InvalidData, match="Another release of moorage may have written it"):
        unpack_entries(pack_values(values))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(packed: bytes) -> None:
    """Any bytes are read as cache entries, or raise InvalidData."""
    try:
        entries = unpack_entries(packed)
    except InvalidData:
        return
    assert entries == unpack_entries(pack_entries(entries))
