"""Where one effect is brought about, and who has the turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import IdempotencyInProgress
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.http.fingerprint import digest
from moorage.domain.idempotency.claims import LEASE, Claim, Record, release
from moorage.services.contracts.key_ownership import KeyOwnership
from moorage.services.core.renewal import Renewals, Unrenewed
from moorage.testing import VirtualClock
from tests.support.modes import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import Command

START = datetime(2030, 1, 1, tzinfo=UTC)
KEEP = 3600.0
LAPSE = 60.0


class Desk:
    """The ports of a turn, in a time that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.memory = MemoryStorage(self.clock)
        self.commands: list[Any] = []
        self.slept: list[float] = []
        self.meanwhile: Callable[[Any], None] = lambda _: None
        self.nanoseconds = self.clock.nanoseconds
        self.utc = self.clock.utc
        self.renewals: Any = Unrenewed()
        self._tokens = 0

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Do it, after whatever happens meanwhile."""
        self.commands.append(command)
        self.meanwhile(command)
        return self.memory.execute(command, timeout)

    def post(self, command: Command[Any]) -> None:
        """Do it."""
        self.commands.append(command)
        self.memory.post(command)

    async def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def token(self) -> int:
        """Another one each time."""
        self._tokens += 1
        return self._tokens

    def fraction(self) -> float:
        """A draw that can be foreseen."""
        return 0.5

    def turn(self, *names: Any, seconds: float = 1.0) -> KeyOwnership:
        """A turn of this kind, tenant and key."""
        kind, tenant, key = names or ("sms", "acme", "order-1")
        core: Any = self
        return KeyOwnership(core, kind, tenant, key, remembered=KEEP, seconds=seconds)

    def settled(self, turn: KeyOwnership, first: str, *, movable: bool) -> tuple[str, bool]:
        """Where a turn's effect belongs."""
        results: tuple[str, bool] = run_plain(turn.recorded(first, movable=movable))
        return results


def test_a_key_belongs_to_one_account() -> None:
    """The first call decides the account of a key; all later ones get the same."""
    desk = Desk()

    assert ("a", False) == desk.settled(desk.turn(), "a", movable=False)
    assert ("a", False) == desk.settled(desk.turn(), "b", movable=False)
    assert ("a", False) == desk.settled(desk.turn(), "b", movable=True)


@pytest.mark.parametrize(
    "names", [("fax", "acme", "order-1"), ("sms", None, "order-1"), ("sms", "acme", "order-2")]
)
def test_keys_depend_on_kind_tenant_and_key(names: tuple[Any, ...]) -> None:
    """Another kind, tenant or key has its own account."""
    desk = Desk()
    desk.settled(desk.turn(), "a", movable=False)

    assert ("b", False) == desk.settled(desk.turn(*names), "b", movable=False)


def test_key_owners_expire() -> None:
    """A key's owner expires together with the account's memory of the key."""
    desk = Desk()
    desk.settled(desk.turn(), "a", movable=False)
    desk.clock.advance(KEEP - 1)
    assert ("a", False) == desk.settled(desk.turn(), "b", movable=False)
    desk.clock.advance(KEEP + LAPSE)
    assert ("b", False) == desk.settled(desk.turn(), "b", movable=False)


def test_a_claim_says_how_long_it_may_last() -> None:
    """A turn is held for as long as a call may take, and a margin, by its caller alone."""
    desk = Desk()
    desk.settled(desk.turn(seconds=20.0), "a", movable=True)
    claims = [command for command in desk.commands if isinstance(command, Claim)]

    assert [(25_000_000, 3_600_000_000, digest([]), "", 0)] * 3 == [
        (claim.lease, claim.ttl, claim.fingerprint, claim.target, claim.remembered)
        for claim in claims
    ]
    assert [1, 2, 3] == [claim.owner for claim in claims]
    assert [["place", "0"], ["turn"], ["place", "1"]] == [
        [part for part in claim.keys[0].split(":") if part in {"place", "turn", "0", "1"}]
        for claim in claims
    ]


def test_an_effect_moves_on() -> None:
    """Where it moved to is where the next caller goes on, however often it moved."""
    desk = Desk()
    turn = desk.turn()
    assert ("a", True) == desk.settled(turn, "a", movable=True)
    run_plain(turn.move("b"))
    run_plain(turn.move("c"))
    turn.give_back()

    following = desk.turn()
    assert ("c", True) == desk.settled(following, "x", movable=True)
    run_plain(following.move("d"))
    following.give_back()

    assert ("d", True) == desk.settled(desk.turn(), "x", movable=False)


def test_claim_is_released_once() -> None:
    """Only the holder of a claim releases it, and only once."""
    desk = Desk()
    turn = desk.turn()
    turn.give_back()
    assert [] == desk.commands
    desk.settled(turn, "a", movable=True)
    before = len(desk.commands)
    turn.give_back()
    turn.give_back()

    assert before + 1 == len(desk.commands)
    assert ("a", True) == desk.settled(desk.turn(), "x", movable=True)
    assert [] == desk.slept


def test_a_turn_that_is_held_is_waited_for() -> None:
    """Looks become rarer, and then it is said when the holder's time is over."""
    desk = Desk()
    desk.settled(desk.turn(seconds=20.0), "a", movable=True)
    desk.clock.advance(2)

    with pytest.raises(IdempotencyInProgress, match="Another caller is working") as raised:
        desk.settled(desk.turn(seconds=1.04875), "x", movable=True)

    looks = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25, 0.25]
    assert [look * 0.75 for look in looks] == pytest.approx(desk.slept)
    assert START + timedelta(seconds=25) == raised.value.retry_at


def test_waiting_caller_gets_a_released_claim() -> None:
    """A waiting caller takes a claim that is released meanwhile."""
    desk = Desk()
    first = desk.turn()
    desk.settled(first, "a", movable=True)
    looked: list[Any] = []

    def look(command: Any) -> None:
        looked.append(command)
        if len(looked) == 4:
            first.give_back()

    desk.meanwhile = look

    assert ("a", True) == desk.settled(desk.turn(), "x", movable=True)
    assert [0.00375, 0.0075] == pytest.approx(desk.slept)


def test_no_look_up_at_the_end_of_the_wait() -> None:
    """A caller does not look again at the moment its wait ends."""
    desk = Desk()
    desk.settled(desk.turn(seconds=20.0), "a", movable=True)

    with pytest.raises(IdempotencyInProgress):
        desk.settled(desk.turn(seconds=0.005), "x", movable=True)

    assert [] == desk.slept


def test_overtaken_caller_gets_the_recorded_owner() -> None:
    """A caller whose claim expired gets the owner that another caller recorded."""
    desk = Desk()

    def overtake(command: Any) -> None:
        if not isinstance(command, Claim):
            desk.meanwhile = lambda _: None
            desk.clock.advance(LAPSE)
            desk.settled(desk.turn(), "b", movable=False)

    desk.meanwhile = overtake

    assert ("b", False) == desk.settled(desk.turn(), "a", movable=True)


# --- holders that are gone, or late ---


class Heart:
    """A heartbeat that renews only when a test says so."""

    def __init__(self, work: Any, target: Callable[[], bool]) -> None:
        self.beat = work
        self.wanted = target

    def able(self) -> bool:
        """It can be done here."""
        return True

    def wake(self) -> None:
        """Nothing."""


class Shared(Desk):
    """A dispatcher whose store is shared with other processes."""

    def __init__(self) -> None:
        super().__init__()
        self.hearts: list[Heart] = []
        self.renewals = Renewals(self.execute, self.nanoseconds, by_tag=True, heartbeat=self._heart)

    def _heart(self, work: Any, target: Callable[[], bool]) -> Heart:
        self.hearts.append(Heart(work, target))
        return self.hearts[-1]

    def lapse(self) -> None:
        """Let a lease pass without any renewal."""
        self.clock.advance(LEASE / 1e6)


def test_a_turn_is_renewed_while_its_holder_lives() -> None:
    """Others wait for it however long it takes, and no longer than a lease for one that is gone."""
    desk = Shared()
    turn = desk.turn(seconds=30.0)
    desk.settled(turn, "a", movable=True)
    for _ in range(5):
        desk.clock.advance(1)
        run_plain(desk.hearts[0].beat())
    with pytest.raises(IdempotencyInProgress):
        desk.settled(desk.turn(seconds=1.0), "x", movable=True)
    assert desk.hearts[0].wanted()

    began = desk.nanoseconds()
    assert ("a", True) == desk.settled(desk.turn(seconds=30.0), "x", movable=True)
    assert desk.nanoseconds() - began <= LEASE * 1000


def test_replaced_holder_cannot_move_the_key() -> None:
    """A late holder cannot record a new account for a key that another caller works on."""
    desk = Shared()
    late = desk.turn()
    desk.settled(late, "a", movable=True)
    desk.lapse()
    other = desk.turn(seconds=30.0)
    assert ("a", True) == desk.settled(other, "x", movable=True)
    with pytest.raises(IdempotencyInProgress, match="may still be working"):
        run_plain(late.move("b"))
    late.give_back()
    desk.lapse()
    assert ("a", True) == desk.settled(desk.turn(), "x", movable=False)


def test_late_holder_without_successor_can_move_the_key() -> None:
    """A late holder that was not replaced keeps its claim, and may move the key."""
    desk = Shared()
    late = desk.turn(seconds=30.0)
    desk.settled(late, "a", movable=True)
    desk.lapse()
    run_plain(late.move("b"))
    late.give_back()
    assert ("b", True) == desk.settled(desk.turn(), "x", movable=True)


def test_successor_moves_the_key_after_the_first_holders_term() -> None:
    """A successor moves the key only after the first holder could no longer continue."""
    desk = Shared()
    desk.settled(desk.turn(seconds=20.0), "a", movable=True)
    desk.lapse()
    for _ in range(2):
        early = desk.turn()
        desk.settled(early, "x", movable=True)
        with pytest.raises(IdempotencyInProgress) as raised:
            run_plain(early.move("b"))
        early.give_back()
        assert START + timedelta(seconds=25) == raised.value.retry_at
        desk.lapse()

    desk.clock.advance(25)
    later = desk.turn()
    assert ("a", True) == desk.settled(later, "x", movable=True)
    run_plain(later.move("b"))
    later.give_back()
    assert ("b", True) == desk.settled(desk.turn(), "x", movable=True)


def test_only_the_holder_records_the_account() -> None:
    """Only the holder records a new account; recording it again is no error."""
    desk = Desk()
    turn = desk.turn()
    desk.settled(turn, "a", movable=True)
    run_plain(turn.move("b"))
    record = next(command for command in desk.commands if isinstance(command, Record))
    assert desk.memory.execute(record)
    claim, place = record.keys

    def again(fence: int, answer: object) -> bool:
        options = {"fingerprint": digest([]), "ttl": 1}
        return desk.memory.execute(Record(claim, fence, place, answer, **options))  # type: ignore[arg-type]  # as they are

    assert not again(record.fence, ("c", True))
    assert not again(record.fence + 1, ("b", True))
    desk.memory.execute(release(claim, record.fence, ttl=1))
    assert not again(record.fence, ("b", True))
    assert not desk.memory.execute(Record("other", 1, "place", "b", fingerprint=digest([]), ttl=1))
