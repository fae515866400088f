"""The owner of an idempotency key: the account at which a call with the key is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import IdempotencyInProgress, StorageUnavailable, TenantRecordsExhausted
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.http.fingerprint import digest
from moorage.domain.idempotency.claims import LEASE, Claim, WriteRecordOfHolder, release_claim
from moorage.domain.idempotency.tenant_records import CountRecords, Reserve
from moorage.services.contracts.key_ownership import KeyOwnership
from moorage.services.core.renewal import NoRenewals, Renewals
from moorage.services.core.tenant_records import TenantRecords
from moorage.testing import VirtualClock
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import Command

START = datetime(2030, 1, 1, tzinfo=UTC)
KEEP = 3600.0
PAST_THE_LEASE = 60.0


class VirtualPorts:
    """A fake core for tests of idempotency key ownership, with a memory store and virtual time."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.memory = MemoryStorage(self.clock)
        self.commands: list[Any] = []
        self.events: list[Any] = []
        self.slept: list[float] = []
        self.meanwhile: Callable[[Any], None] = lambda _: None
        self.nanoseconds = self.clock.nanoseconds
        self.utc = self.clock.utc
        self.renewals: Any = NoRenewals()
        self.tenant_records: TenantRecords | None = None
        self.notify = self.events.append
        self._tokens = 0

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Record the command, run the test's callback, and execute the command."""
        self.commands.append(command)
        self.meanwhile(command)
        return self.memory.execute(command, timeout)

    def post(self, command: Command[Any]) -> None:
        """Record the command and execute it."""
        self.commands.append(command)
        self.memory.post(command)

    async def sleep(self, seconds: float) -> None:
        """Record the wait and advance the clock."""
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def token(self) -> int:
        """Return a new token each time."""
        self._tokens += 1
        return self._tokens

    def fraction(self) -> float:
        """Return a fixed number in place of a random one."""
        return 0.5

    def turn(self, *names: Any, seconds: float = 1.0) -> KeyOwnership:
        """Return the object that finds the account that owns this tenant's idempotency key."""
        kind, tenant, key = names or ("sms", "acme", "order-1")
        core: Any = self
        return KeyOwnership(core, kind, tenant, key, remembered=KEEP, seconds=seconds)

    def settled(self, turn: KeyOwnership, first: str, *, movable: bool) -> tuple[str, bool]:
        """Record a key's account; return the account on record, and whether the key may move."""
        results: tuple[str, bool] = run_plain(turn.record_owner(first, movable=movable))
        return results


def test_first_call_with_key_decides_its_account() -> None:
    """The first call with an idempotency key decides its account; later calls use the same one."""
    dispatcher = VirtualPorts()

    assert ("a", False) == dispatcher.settled(dispatcher.turn(), "a", movable=False)
    assert ("a", False) == dispatcher.settled(dispatcher.turn(), "b", movable=False)
    assert ("a", False) == dispatcher.settled(dispatcher.turn(), "b", movable=True)


@pytest.mark.parametrize(
    "names", [("fax", "acme", "order-1"), ("sms", None, "order-1"), ("sms", "acme", "order-2")]
)
def test_keys_depend_on_kind_tenant_and_key(names: tuple[Any, ...]) -> None:
    """Each kind of call and each tenant has its own owner for the same idempotency key."""
    dispatcher = VirtualPorts()
    dispatcher.settled(dispatcher.turn(), "a", movable=False)

    assert ("b", False) == dispatcher.settled(dispatcher.turn(*names), "b", movable=False)


def test_key_owners_expire() -> None:
    """An idempotency key's owner is forgotten once the account no longer remembers the key."""
    dispatcher = VirtualPorts()
    dispatcher.settled(dispatcher.turn(), "a", movable=False)
    dispatcher.clock.advance(KEEP - 1)
    assert ("a", False) == dispatcher.settled(dispatcher.turn(), "b", movable=False)
    dispatcher.clock.advance(KEEP + PAST_THE_LEASE)
    assert ("b", False) == dispatcher.settled(dispatcher.turn(), "b", movable=False)


def test_claim_lasts_as_long_as_call_may_take_plus_margin() -> None:
    """A claim belongs to one caller, and lasts as long as a call may take, plus a margin."""
    dispatcher = VirtualPorts()
    dispatcher.settled(dispatcher.turn(seconds=20.0), "a", movable=True)
    claims = [command for command in dispatcher.commands if isinstance(command, Claim)]

    assert [(25_000_000, 3_600_000_000, digest([]), "", 0)] * 3 == [
        (claim.lease, claim.ttl, claim.fingerprint, claim.target, claim.remembered)
        for claim in claims
    ]
    assert [1, 2, 3] == [claim.owner for claim in claims]
    assert [["place", "0"], ["turn"], ["place", "1"]] == [
        [part for part in claim.keys[0].split(":") if part in {"place", "turn", "0", "1"}]
        for claim in claims
    ]


def test_moved_key_is_followed() -> None:
    """The next caller uses the account to which the idempotency key moved last."""
    dispatcher = VirtualPorts()
    turn = dispatcher.turn()
    assert ("a", True) == dispatcher.settled(turn, "a", movable=True)
    run_plain(turn.move("b"))
    run_plain(turn.move("c"))
    turn.give_back()

    following_ownership = dispatcher.turn()
    assert ("c", True) == dispatcher.settled(following_ownership, "x", movable=True)
    run_plain(following_ownership.move("d"))
    following_ownership.give_back()

    assert ("d", True) == dispatcher.settled(dispatcher.turn(), "x", movable=False)


def test_claim_is_released_once() -> None:
    """Only the caller that holds a claim can release it, and only once."""
    dispatcher = VirtualPorts()
    turn = dispatcher.turn()
    turn.give_back()
    assert [] == dispatcher.commands
    dispatcher.settled(turn, "a", movable=True)
    commands_before = len(dispatcher.commands)
    turn.give_back()
    turn.give_back()

    assert commands_before + 1 == len(dispatcher.commands)
    assert ("a", True) == dispatcher.settled(dispatcher.turn(), "x", movable=True)
    assert [] == dispatcher.slept


def test_held_claim_is_awaited() -> None:
    """A waiting caller polls more and more rarely; its error says when the claim ends."""
    dispatcher = VirtualPorts()
    dispatcher.settled(dispatcher.turn(seconds=20.0), "a", movable=True)
    dispatcher.clock.advance(2)

    with pytest.raises(
        IdempotencyInProgress, match=("Another call is using this idempotency key")
    ) as excinfo:
        dispatcher.settled(dispatcher.turn(seconds=1.04875), "x", movable=True)

    look_intervals = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25, 0.25]
    assert [interval * 0.75 for interval in look_intervals] == pytest.approx(dispatcher.slept)
    assert START + timedelta(seconds=25) == excinfo.value.retry_at


def test_waiting_caller_gets_a_released_claim() -> None:
    """A waiting caller gets the claim as soon as it is released."""
    dispatcher = VirtualPorts()
    first = dispatcher.turn()
    dispatcher.settled(first, "a", movable=True)
    seen_commands: list[Any] = []

    def observe(command: Any) -> None:
        seen_commands.append(command)
        if len(seen_commands) == 4:
            first.give_back()

    dispatcher.meanwhile = observe

    assert ("a", True) == dispatcher.settled(dispatcher.turn(), "x", movable=True)
    assert [0.00375, 0.0075] == pytest.approx(dispatcher.slept)


def test_no_look_up_at_the_end_of_the_wait() -> None:
    """A waiting caller does not poll again at the end of its wait."""
    dispatcher = VirtualPorts()
    dispatcher.settled(dispatcher.turn(seconds=20.0), "a", movable=True)

    with pytest.raises(IdempotencyInProgress):
        dispatcher.settled(dispatcher.turn(seconds=0.005), "x", movable=True)

    assert [] == dispatcher.slept


def test_overtaken_caller_gets_the_recorded_owner() -> None:
    """If a caller's claim expires, the caller uses the account that another caller has recorded."""
    dispatcher = VirtualPorts()

    def claim_first(command: Any) -> None:
        if not isinstance(command, Claim):
            dispatcher.meanwhile = lambda _: None
            dispatcher.clock.advance(PAST_THE_LEASE)
            dispatcher.settled(dispatcher.turn(), "b", movable=False)

    dispatcher.meanwhile = claim_first

    assert ("b", False) == dispatcher.settled(dispatcher.turn(), "a", movable=True)


# --- holders that are gone, or late ---


class ManualHeartbeat:
    """A heartbeat that renews claims only when a test calls it."""

    def __init__(self, work: Any, target: Callable[[], bool]) -> None:
        self.beat = work
        self.wanted = target

    def is_available(self) -> bool:
        """Return True, because claims can be renewed in these tests."""
        return True

    def wake(self) -> None:
        """Do nothing."""


class SharedPorts(VirtualPorts):
    """A fake core whose store is shared with other processes, so that it renews its claims."""

    def __init__(self) -> None:
        super().__init__()
        self.hearts: list[ManualHeartbeat] = []
        self.renewals = Renewals(self.execute, self.nanoseconds, by_tag=True, heartbeat=self._heart)

    def _heart(self, work: Any, target: Callable[[], bool]) -> ManualHeartbeat:
        self.hearts.append(ManualHeartbeat(work, target))
        return self.hearts[-1]

    def lapse(self) -> None:
        """Advance the time by one lease without renewing any claim."""
        self.clock.advance(LEASE / 1e6)


def test_claim_is_renewed_while_its_holder_lives() -> None:
    """While a claim is renewed, other callers wait; after that they wait one lease at most."""
    dispatcher = SharedPorts()
    turn = dispatcher.turn(seconds=30.0)
    dispatcher.settled(turn, "a", movable=True)
    for _ in range(5):
        dispatcher.clock.advance(1)
        run_plain(dispatcher.hearts[0].beat())
    with pytest.raises(IdempotencyInProgress):
        dispatcher.settled(dispatcher.turn(seconds=1.0), "x", movable=True)
    assert dispatcher.hearts[0].wanted()

    start_time = dispatcher.nanoseconds()
    assert ("a", True) == dispatcher.settled(dispatcher.turn(seconds=30.0), "x", movable=True)
    assert dispatcher.nanoseconds() - start_time <= LEASE * 1000


def test_replaced_holder_cannot_move_the_key() -> None:
    """If another caller took over a key, the first caller cannot move it to another account."""
    dispatcher = SharedPorts()
    late_holder = dispatcher.turn()
    dispatcher.settled(late_holder, "a", movable=True)
    dispatcher.lapse()
    other_ownership = dispatcher.turn(seconds=30.0)
    assert ("a", True) == dispatcher.settled(other_ownership, "x", movable=True)
    with pytest.raises(IdempotencyInProgress, match="may still be using"):
        run_plain(late_holder.move("b"))
    late_holder.give_back()
    dispatcher.lapse()
    assert ("a", True) == dispatcher.settled(dispatcher.turn(), "x", movable=False)


def test_late_holder_without_successor_can_move_the_key() -> None:
    """A caller whose lease ended can still move the idempotency key if nobody took it over."""
    dispatcher = SharedPorts()
    late_holder = dispatcher.turn(seconds=30.0)
    dispatcher.settled(late_holder, "a", movable=True)
    dispatcher.lapse()
    run_plain(late_holder.move("b"))
    late_holder.give_back()
    assert ("b", True) == dispatcher.settled(dispatcher.turn(), "x", movable=True)


def test_successor_moves_the_key_after_the_first_holders_term() -> None:
    """A key that was taken over cannot be moved before its first caller's time limit has ended."""
    dispatcher = SharedPorts()
    dispatcher.settled(dispatcher.turn(seconds=20.0), "a", movable=True)
    dispatcher.lapse()
    for _ in range(2):
        early_ownership = dispatcher.turn()
        dispatcher.settled(early_ownership, "x", movable=True)
        with pytest.raises(IdempotencyInProgress) as excinfo:
            run_plain(early_ownership.move("b"))
        early_ownership.give_back()
        assert START + timedelta(seconds=25) == excinfo.value.retry_at
        dispatcher.lapse()

    dispatcher.clock.advance(25)
    later_ownership = dispatcher.turn()
    assert ("a", True) == dispatcher.settled(later_ownership, "x", movable=True)
    run_plain(later_ownership.move("b"))
    later_ownership.give_back()
    assert ("b", True) == dispatcher.settled(dispatcher.turn(), "x", movable=True)


def test_only_the_holder_records_the_account() -> None:
    """Only the holder of an idempotency key can record its account, any number of times."""
    dispatcher = VirtualPorts()
    turn = dispatcher.turn()
    dispatcher.settled(turn, "a", movable=True)
    run_plain(turn.move("b"))
    record = next(
        command for command in dispatcher.commands if isinstance(command, WriteRecordOfHolder)
    )
    assert dispatcher.memory.execute(record)
    claim, place = record.keys

    def record_again(fence: int, answer: object) -> bool:
        command = WriteRecordOfHolder(claim, fence, place, answer, fingerprint=digest([]), ttl=1)
        return dispatcher.memory.execute(command)

    assert not record_again(record.fence, ("c", True))
    assert not record_again(record.fence + 1, ("b", True))
    dispatcher.memory.execute(release_claim(claim, record.fence, ttl=1))
    assert not record_again(record.fence, ("b", True))
    assert not dispatcher.memory.execute(
        WriteRecordOfHolder("other", 1, "place", "b", fingerprint=digest([]), ttl=1)
    )


def test_new_key_at_the_tenants_bound_gets_no_owner() -> None:
    """A tenant at its record limit can use existing idempotency keys, but no new ones."""
    ports = VirtualPorts()
    ports.tenant_records = TenantRecords(1)
    new_key = ("sms", "acme", "order-2")
    assert ("a", True) == ports.settled(ports.turn(seconds=1.0), "a", movable=True)

    with pytest.raises(TenantRecordsExhausted):
        ports.settled(ports.turn(*new_key), "b", movable=True)

    assert ("a", True) == ports.settled(ports.turn(seconds=100.0), "b", movable=True)
    assert ("b", False) == ports.settled(ports.turn("sms", None, "order-2"), "b", movable=False)


def test_key_moves_at_the_tenants_bound() -> None:
    """A key in use can move to another account even if its tenant is at the record limit."""
    ports = VirtualPorts()
    ports.tenant_records = TenantRecords(1)
    turn = ports.turn()
    ports.settled(turn, "a", movable=True)
    run_plain(turn.move("b"))
    turn.give_back()

    assert ("b", True) == ports.settled(ports.turn(), "a", movable=True)


def test_replays_of_a_key_are_counted_once() -> None:
    """An idempotency key uses two records, for its account and its claim, even if it repeats."""
    ports = VirtualPorts()
    ports.tenant_records = TenantRecords(100)
    for _ in range(20):
        turn = ports.turn()
        assert ("a", True) == ports.settled(turn, "a", movable=True)
        turn.give_back()

    assert 2 == ports.memory.execute(CountRecords("acme"))


def test_existing_key_continues_while_the_count_is_away() -> None:
    """While records cannot be counted, existing keys work, and new keys are refused."""
    ports = VirtualPorts()
    turn = ports.turn()
    ports.settled(turn, "a", movable=True)
    turn.give_back()

    def lose_count(command: object) -> None:
        if isinstance(command, Reserve):
            raise StorageUnavailable("the store that counts the records is unreachable")

    ports.meanwhile = lose_count
    ports.tenant_records = TenantRecords(100)

    assert ("a", True) == ports.settled(ports.turn(), "b", movable=True)
    with pytest.raises(StorageUnavailable):
        ports.settled(ports.turn("sms", "acme", "order-2"), "b", movable=True)
