"""The limit on a tenant's stored records: each record occupies a slot until it expires."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.idempotency.claims import Claim, Verdict, release_claim
from moorage.domain.idempotency.tenant_records import (
    ClaimExisting,
    CountRecords,
    Reservation,
    Reserve,
    ReturnSlots,
    extra_record_count,
    for_existing_record,
    has_room_again,
    is_nearly_full,
    records_key,
    rounded_life,
    rounding_step,
)
from moorage.domain.state.packing import pack_values
from moorage.domain.values.durations import DAY, HOUR, SECOND
from tests.domain.state_store import StateStore
from tests.support.examples import examples

KEY = records_key("acme")


def reserve(
    store: StateStore, *, bound: int = 10, number: int = 1, life: int = DAY, forced: bool = False
) -> Reservation:
    """Reserve slots for the records of one tenant."""
    return store.execute(Reserve("acme", bound=bound, number=number, life=life, forced=forced))


def slots_used(store: StateStore) -> int:
    """Return the number of slots in use."""
    return store.execute(CountRecords("acme"))


def claim(key: str = "{@acme:bank:k}:key", ttl: int = DAY) -> Claim:
    """Return the claim of an idempotency key."""
    return Claim(key, fingerprint=b"", owner=1, lease=SECOND, ttl=ttl, target="bank", remembered=0)


def test_tenant_gets_as_many_slots_as_its_limit_allows() -> None:
    """A tenant gets as many slots as its limit allows, and no more."""
    store = StateStore()

    granted = [reserve(store).granted for _ in range(12)]

    assert [1] * 10 + [0] * 2 == granted
    assert 10 == slots_used(store)


def test_large_responses_take_further_slots() -> None:
    """A large stored response occupies one more slot per 4,096 bytes beyond its record's space."""
    packing = len(pack_values((b"x" * 4_096,))) - 4_096
    sizes = [0, 4_096 - packing, 4_097 - packing, 8_192 - packing, 8_193 - packing]

    assert [0, 0, 1, 1, 2] == [extra_record_count((b"x" * size,)) for size in sizes]
    assert 0 == extra_record_count((object(),))


def test_tenants_are_counted_separately() -> None:
    """A tenant at its limit does not take slots away from other tenants."""
    store = StateStore()
    reserve(store, bound=1)

    other = store.execute(Reserve("other", bound=1, number=1, life=DAY))

    assert (0, 1) == (reserve(store, bound=1).granted, other.granted)


def test_slot_is_counted_until_its_record_expires() -> None:
    """A slot is counted until its record expires, or up to 1/16 of its lifetime longer."""
    store = StateStore()
    answer = reserve(store, bound=1)
    start = store.now

    store.now = start + DAY + answer.lasts
    assert 1 == slots_used(store)
    store.now = start + DAY + DAY // 16
    assert 0 == slots_used(store)
    assert 1 == reserve(store, bound=1).granted


def test_refused_reservation_says_when_next_slot_becomes_free() -> None:
    """A rejected reservation contains the time at which the next slot becomes free."""
    store = StateStore()
    end = reserve(store, bound=1).end

    answer = reserve(store, bound=1)

    assert (0, 1, end - store.now) == (answer.granted, answer.used, answer.wait)


def test_first_reservation_has_no_wait() -> None:
    """The result of a first reservation does not state when the next slot becomes free."""
    assert 0 == reserve(StateStore()).wait


def test_reservation_may_take_fewer_slots_than_requested() -> None:
    """A reservation gets at most 1/512 of the free slots, but at least one slot."""
    store = StateStore()

    assert 100 == reserve(store, bound=100_000, number=100).granted
    assert 195 == reserve(store, bound=100_000, number=256).granted
    assert 1 == reserve(store, bound=1_000, number=256).granted


def test_forced_reservation_exceeds_the_bound() -> None:
    """A forced reservation, made for an existing record, may exceed the limit, and is counted."""
    store = StateStore()
    reserve(store, bound=1)

    answer = reserve(store, bound=1, forced=True)

    assert (1, 2) == (answer.granted, slots_used(store))
    assert 0 == reserve(store, bound=1).granted


def test_returned_slot_is_free_again() -> None:
    """A returned slot is free again; returning an expired slot has no effect."""
    store = StateStore()
    answer = reserve(store, bound=1)

    store.execute(ReturnSlots("acme", number=1, end=answer.end))
    assert 0 == slots_used(store)
    assert 1 == reserve(store, bound=1).granted

    store.now += 2 * DAY
    store.execute(ReturnSlots("acme", number=1, end=answer.end))
    assert 0 == slots_used(store)


def test_expired_state_counts_as_missing() -> None:
    """A state whose slots have all expired is treated as empty, and may be deleted."""
    store = StateStore()
    reserve(store)
    store.now += 2 * DAY

    assert 0 == slots_used(store)
    store.forget()
    assert {} == store.cells


def test_slots_are_counted_for_as_long_as_before_after_clock_step_back() -> None:
    """After a clock step back, slots are counted for as long as before."""
    store = StateStore()
    reserve(store, bound=1)
    store.now -= HOUR

    assert 0 == reserve(store, bound=1).granted  # the refusal stores the new times
    store.now += DAY + DAY // 16
    assert 1 == reserve(store, bound=1).granted


def test_state_without_slots_grants_next_reservation() -> None:
    """A state without slots grants the next reservation at any time."""
    store = StateStore()
    reserve(store, bound=1)
    store.now += 3 * DAY

    assert 1 == reserve(store, bound=1).granted


@examples(30)
@given(
    moments=st.lists(
        st.tuples(st.integers(1, HOUR), st.integers(SECOND, 400 * DAY)), min_size=1, max_size=40
    )
)
def test_there_are_never_fewer_counted_slots_than_unexpired_records(
    moments: list[tuple[int, int]],
) -> None:
    """There are never fewer counted slots than unexpired records."""
    store = StateStore()
    end_events: list[int] = []
    for pause, drawn_life in moments:
        store.now += pause
        life = rounded_life(drawn_life)
        answer = reserve(store, bound=10**6, life=life)
        end_events.append(store.now + answer.lasts + life)
        assert sum(end > store.now for end in end_events) <= slots_used(store)


def test_state_has_a_bounded_number_of_expiry_times() -> None:
    """A state stores at most 256 expiry times.

    Further slots may expire later than their time, never earlier.
    """
    store = StateStore()
    lives = [2**power + part * 2**power // 32 for power in range(22, 36) for part in range(32)]
    for life in lives:
        reserve(store, bound=10_000, life=life)

    assert 256 == len(store.cells[KEY][2])
    assert len(lives) == slots_used(store)
    start = store.now
    for life in lives:
        store.now = start + life
        assert sum(other > life for other in lives) <= slots_used(store)


def test_lifetimes_that_differ_by_less_than_call_deadline_are_rounded_to_same_value() -> None:
    """Lifetimes that differ by less than a call's deadline are rounded to the same value."""
    assert 1 == len({rounded_life(DAY + micros) for micros in range(1, 30 * SECOND, SECOND)})
    assert DAY // 64 < rounding_step(DAY) <= DAY // 32
    assert 1 == rounding_step(1)


def test_existing_key_is_claimed_and_no_record_is_made() -> None:
    """A claim for existing records returns ABSENT if there is none; otherwise it works as usual."""
    store = StateStore()
    command = claim()
    (key,) = command.keys

    assert Verdict.ABSENT is store.execute(for_existing_record(command)).verdict
    assert key not in store.cells

    fencing_token = store.execute(command).fence
    store.execute(release_claim(key, fencing_token, ttl=DAY))
    claim_result = store.execute(for_existing_record(command))
    assert (Verdict.RUN, fencing_token + 1) == (claim_result.verdict, claim_result.fence)


def test_claim_of_existing_record_has_the_fields_of_its_claim() -> None:
    """A claim that requires an existing record has the same fields as an ordinary claim."""
    command = Claim(
        "k",
        fingerprint=b"f",
        owner=7,
        lease=1,
        term=2,
        ttl=3,
        target="t",
        remembered=4,
    )
    copied = for_existing_record(command)

    assert isinstance(copied, ClaimExisting)
    for name in ("keys", *Claim.__slots__):
        assert getattr(command, name) == getattr(copied, name)


def test_warning_begins_at_80_percent_and_ends_below_70() -> None:
    """A tenant's limit counts as nearly full from 80 % in use until less than 70 % are in use."""
    assert [False, True, True] == [
        is_nearly_full(record_count, 100) for record_count in (79, 80, 100)
    ]
    assert [True, False] == [has_room_again(record_count, 100) for record_count in (69, 70)]
