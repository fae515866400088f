"""Chains of outbox calls: a call waits for its predecessors; if it fails, they are undone."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import (
    ConnectionFailed,
    FromAnswer,
    Hub,
    InvalidData,
    Outbox,
    Request,
    Response,
    RetryPolicy,
    Service,
    StorageUnavailable,
    Undo,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.entries.memory import MemoryOutbox
from moorage.contracts.payments import Charge, Money
from moorage.hub.outbox import EntryQuery, EntryState
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import Lost, reply
from tests.entries.shop import CHARGE, RETRY, Shop, shop

if TYPE_CHECKING:
    from moorage.domain.http.requests import Timeouts

__all__ = ["shop"]

DECLINED = Charge(Money("9.90", "EUR"), "pm_card_chargeDeclined", reference="INV-9")
REFUND = Undo("payments", "refund", [FromAnswer("ref")])


def put_charge(shop: Shop, charge: Charge = CHARGE, **options: Any) -> Any:
    """Store a charge, and return its entry."""
    return shop.do(shop.outbox.put, "payments", "charge", charge, **options)


def deliver(shop: Shop, rounds: int = 1, **options: Any) -> Any:
    """Run this number of delivery rounds; return the result of the last round."""
    for _ in range(rounds - 1):
        shop.do(shop.outbox.deliver, shop.hub, **options)
    return shop.do(shop.outbox.deliver, shop.hub, **options)


def stored_entry_of(shop: Shop, id: str) -> Any:
    """Return an entry as it is stored."""
    return shop.do(shop.outbox.find, EntryQuery(id=id)).items[0]


def refunds(shop: Shop) -> int:
    """Return the number of refunds that the vendor has made."""
    return len(shop.stripe.refunds)


# --- waiting for others -----------------------------------------------------------------


def test_call_that_waits_for_another_is_made_in_delivery_after_that_one_is_done(shop: Shop) -> None:
    """A call that waits for another call is made in the delivery after the other call is done."""
    first = put_charge(shop, key="first")
    second = put_charge(shop, key="second", after=[first])
    assert (EntryState.BLOCKED, None) == (second.state, second.due)
    assert first.id == second.predecessors

    assert [first.id] == [work.entry.id for work in deliver(shop).worked]
    assert [second.id] == [work.entry.id for work in deliver(shop).worked]
    assert 2 == len(shop.stripe.charges)


def test_waiting_call_is_not_made_even_if_its_id_is_requested(shop: Shop) -> None:
    """A call that waits for another call is not made, even if its id is requested."""
    second = put_charge(shop, after=[put_charge(shop)])
    assert 0 == len(deliver(shop, ids=[second.id]))


def test_a_call_whose_predecessor_fails_is_given_up_and_listed(shop: Shop) -> None:
    """If a call fails, its successors are dropped, and `stuck` lists them."""
    first = put_charge(shop, DECLINED)
    second = put_charge(shop, after=[first])
    third = put_charge(shop, after=[second.id])
    deliver(shop)
    delivered = deliver(shop)
    assert [second.id] == [work.entry.id for work in delivered.worked]
    assert 1 == delivered.dead
    deliver(shop, 3)

    stuck_ids = [entry.id for entry in shop.do(shop.outbox.stuck).items]
    assert [third.id, second.id, first.id] == stuck_ids
    assert (
        f"The earlier call {first.id} failed permanently." == stored_entry_of(shop, second.id).error
    )
    assert {} == shop.stripe.charges


def test_replayed_call_waits_for_its_predecessors_again(shop: Shop) -> None:
    """A replayed call waits for its predecessors again; if one was cancelled, the call fails."""
    first = put_charge(shop, DECLINED)
    second = put_charge(shop, after=[first])
    deliver(shop, 3)
    shop.do(shop.outbox.drop, first.id)
    assert EntryState.BLOCKED is shop.do(shop.outbox.replay, second.id).state
    deliver(shop, 2)
    assert "was cancelled" in stored_entry_of(shop, second.id).error
    assert {} == shop.stripe.charges


def test_a_waiting_call_can_be_cancelled(shop: Shop) -> None:
    """`cancel` and `drop` end a call that waits for other calls."""
    first = put_charge(shop)
    put_charge(shop, key="second", after=[first])
    third = put_charge(shop, after=[first])
    assert shop.do(shop.outbox.cancel, "second")
    assert EntryState.DROPPED is shop.do(shop.outbox.drop, third.id).state
    deliver(shop, 3)
    assert 1 == len(shop.stripe.charges)


def test_requests_wait_for_calls_of_contracts(shop: Shop) -> None:
    """A request to a service can wait for a call of a contract, and another request can undo it."""
    first = put_charge(shop)
    request, undo = Request.post("/orders"), Request.delete("/orders/1")
    second = shop.do(shop.outbox.put_request, "erp", request, after=[first], undo=undo)
    assert EntryState.BLOCKED is second.state
    assert (("erp", request), {"endpoint": None}) == shop.outbox.arguments_of(second)


# --- what is refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, field",
    [
        ({"after": "abc"}, "after"),
        ({"after": [5]}, "after"),
        ({"after": ["a"], "not_before": timedelta(hours=1)}, "not_before"),
        ({"undo": "refund"}, "undo"),
        ({"undo": Undo("payments", "get")}, "verb"),
        ({"undo": Undo("nothing", "refund")}, "contract"),
        ({"undo": Undo("payments", "refund", [FromAnswer("ref"), 1, 2, 3])}, "values"),
        ({"undo": Undo("email", "send_transactional", [CHARGE])}, "message"),
    ],
)
def test_invalid_chains_are_refused_at_once(
    shop: Shop, options: dict[str, Any], field: str
) -> None:
    """`put` refuses a call with an invalid predecessor or undo, and stores nothing."""
    with pytest.raises(InvalidData) as excinfo:
        put_charge(shop, **options)
    assert field == excinfo.value.field
    assert () == shop.do(shop.outbox.find, EntryQuery()).items


def test_call_that_would_wait_for_itself_is_refused(shop: Shop) -> None:
    """A call that names itself as a predecessor is refused, since it would wait forever."""
    first = put_charge(shop, key="k-1")
    with pytest.raises(InvalidData, match="cannot wait for itself"):
        put_charge(shop, key="k-1", after=[first])


def test_from_answer_is_only_valid_in_an_undo(shop: Shop) -> None:
    """Only an undo can refer to a part of another call's result."""
    with pytest.raises(InvalidData, match="FromAnswer can be used only in the"):
        shop.do(shop.outbox.put, "payments", "refund", FromAnswer("ref"))


def test_undo_must_be_a_request_without_secrets(shop: Shop) -> None:
    """The undo of a request must be a request that contains no secrets."""
    for undo in (5, Request.delete("/orders", headers={"Authorization": "x"})):
        with pytest.raises(InvalidData):
            shop.do(shop.outbox.put_request, "erp", Request.post("/o"), undo=undo)


# --- undoing ----------------------------------------------------------------------------


def test_charge_before_it_is_refunded_exactly_once_if_later_call_is_refused(shop: Shop) -> None:
    """If a later call is refused, the charge before it is refunded exactly once."""
    first = put_charge(shop, undo=REFUND, subject="ada")
    second = put_charge(shop, DECLINED, after=[first])
    deliver(shop)
    prepared = stored_entry_of(shop, f"{first.id}-undo")
    assert (EntryState.PREPARED, "refund", "ada") == (
        prepared.state,
        prepared.operation,
        prepared.subject,
    )
    assert EntryState.UNDOING is deliver(shop).worked[0].entry.state
    assert [prepared.id] == [work.entry.id for work in deliver(shop).worked]
    deliver(shop, 3)
    assert 1 == refunds(shop)
    assert EntryState.DEAD is stored_entry_of(shop, second.id).state
    assert EntryState.DONE is stored_entry_of(shop, prepared.id).state


def test_prepared_undo_that_is_not_needed_is_never_made(shop: Shop) -> None:
    """A prepared undo that is not needed is never made, and is removed together with its call."""
    first = put_charge(shop, undo=REFUND)
    put_charge(shop, after=[first])
    deliver(shop, 4)
    assert (2, 0) == (len(shop.stripe.charges), refunds(shop))
    shop.advance_clock(60)
    assert 3 == shop.do(shop.outbox.forget, timedelta(seconds=30))


def test_replaying_a_prepared_undo_makes_it_run(shop: Shop) -> None:
    """An operator can undo a call by replaying its prepared undo."""
    first = put_charge(shop, undo=REFUND)
    deliver(shop)
    shop.do(shop.outbox.replay, f"{first.id}-undo")
    assert 1 == deliver(shop).done
    assert 1 == refunds(shop)


def test_failing_undo_is_retried_until_its_attempts_are_used_up(shop: Shop) -> None:
    """A failing undo is retried until its attempts are used up; then an operator can replay it."""
    first = put_charge(shop, undo=REFUND)
    second = put_charge(shop, DECLINED, after=[first])
    deliver(shop, 2)
    undo = f"{first.id}-undo"
    down = reply({"error": {"type": "api_error", "message": "down"}}, status=500)
    states: list[str] = []
    for _ in range(RETRY.max_attempts):
        shop.stripe.fail(down)
        deliver(shop)
        shop.advance_clock(600)
        states.append(stored_entry_of(shop, undo).state.value)
    assert ["waiting", "waiting", "dead"] == states
    assert 0 == refunds(shop)
    deliver(shop, 2)
    assert undo in {entry.id for entry in shop.do(shop.outbox.stuck).items}

    shop.do(shop.outbox.replay, undo)
    deliver(shop, 3)

    assert EntryState.DONE is stored_entry_of(shop, undo).state
    assert 1 == refunds(shop)
    assert EntryState.DEAD is stored_entry_of(shop, second.id).state


def test_undo_that_lacks_a_part_of_the_result_is_given_up(shop: Shop) -> None:
    """If the result lacks a part that the undo needs, the undo is given up (dead).

    Its call stays done.
    """
    first = put_charge(shop, undo=Undo("payments", "refund", [FromAnswer("nothing")]))
    second = put_charge(shop, after=[first])
    assert 1 == deliver(shop).done
    (dead,) = shop.do(shop.outbox.stuck).items
    assert f"{first.id}-undo" == dead.id
    assert "has no 'nothing'" in dead.error
    deliver(shop, 2)
    assert "cannot be undone" in stored_entry_of(shop, second.id).error


@pytest.mark.parametrize("is_async", [False, True])
def test_call_with_unknown_outcome_undoes_nothing(*, is_async: bool) -> None:
    """If the outcome of a call is unknown, the calls after it wait for an operator.

    Nothing is undone.
    """
    shop = Shop(is_async=is_async, idempotency_header=None)
    first = put_charge(shop, undo=REFUND)
    second = put_charge(shop, after=[first])
    third = put_charge(shop, after=[second])
    deliver(shop)
    shop.stripe.fail(Lost())
    assert 1 == deliver(shop).unknown
    deliver(shop, 3)
    assert ["done", "unknown", "blocked", "prepared"] == [
        stored_entry_of(shop, id).state.value
        for id in (first.id, second.id, third.id, f"{first.id}-undo")
    ]
    shop.do(shop.outbox.drop, second.id)
    deliver(shop, 3)
    assert "Nothing was undone" in stored_entry_of(shop, third.id).error
    assert 0 == refunds(shop)


def test_undo_is_encrypted_like_its_call() -> None:
    """With a cipher, an undo is stored encrypted, and a worker can decrypt it."""
    shop = Shop(cipher=AesGcmCipher(generate_keys()))
    first = put_charge(shop, undo=REFUND)
    put_charge(shop, DECLINED, after=[first])
    deliver(shop)
    assert b"refund" not in stored_entry_of(shop, f"{first.id}-undo").content
    deliver(shop, 4)
    assert 1 == refunds(shop)


def test_stopped_worker_does_not_check_calls_that_wait_for_others(shop: Shop) -> None:
    """A worker that was asked to stop does not check the calls that wait for other calls."""

    class StopEvent:
        def is_set(self) -> bool:
            return True

    first = put_charge(shop)
    second = put_charge(shop, after=[first])
    deliver(shop)
    deliver(shop, stop=StopEvent())
    assert EntryState.BLOCKED is stored_entry_of(shop, second.id).state


def test_later_deliveries_check_the_remaining_waiting_calls() -> None:
    """Waiting calls that one delivery does not reach are checked by later deliveries."""
    shop = Shop()
    first = put_charge(shop)
    deliver(shop)
    waiting = [put_charge(shop, after=[first]) for _ in range(1_001)]
    deliver(shop, limit=1)
    assert EntryState.BLOCKED is stored_entry_of(shop, waiting[0].id).state
    deliver(shop, limit=1)
    assert EntryState.BLOCKED is not stored_entry_of(shop, waiting[0].id).state


# --- any chain, and crashes anywhere ----------------------------------------------------


class ErpVendor:
    """A vendor that acts as a request's body asks, and records its effects."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Process a request, refuse it, or lose the response."""
        assert isinstance(request.body, bytes)
        name, _, outcome = request.body.decode().partition(":")
        if outcome == "refused":
            return Response(422)
        self.done.append(name)
        if outcome == "lost":
            raise ConnectionFailed("The connection broke.")
        return Response(200)


class FragileOutbox(MemoryOutbox):
    """A store that fails at chosen writes, as if the worker had died at that moment."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.fails: set[int] = set()
        self.writes = 0

    def _fail(self) -> None:
        self.writes += 1
        if self.writes in self.fails:
            raise StorageUnavailable("The worker died here.")

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Replace an entry; the write may fail, as if the process had died before or after it."""
        self._fail()
        is_written = super().swap(entry, fence)
        self._fail()
        return is_written


@attrs.frozen
class Plan:
    """One call of a generated chain, with its outcome and its predecessors.

    Attributes:
        outcome: the vendor's reaction to the call.
        after: the positions of the calls before it.
        undoes: whether it has an undo.
    """

    outcome: str
    after: tuple[int, ...]
    undoes: bool


@st.composite
def plans(draw: st.DrawFn) -> list[Plan]:
    """Draw a few calls, each of which waits for some of the earlier calls."""
    count = draw(st.integers(1, 6))
    return [
        Plan(
            draw(st.sampled_from(["done", "done", "done", "refused", "lost"])),
            tuple(sorted(draw(st.sets(st.integers(0, max(0, number - 1)), max_size=2))))
            if number
            else (),
            draw(st.booleans()),
        )
        for number in range(count)
    ]


def positions_before(plan: list[Plan], number: int) -> set[int]:
    """Return the positions of all direct and indirect predecessors of a call."""
    return {
        other
        for direct in plan[number].after
        for other in ({direct} | positions_before(plan, direct))
    }


@attrs.frozen
class ChainEnd:
    """The results of a generated chain after it has ended.

    Attributes:
        states: the state of each call, by its position.
        made: the positions of the calls that the vendor carried out, in this order.
        undone: the positions of the calls that the vendor undid, in this order.
        undos: the states of the entries that undo calls.
    """

    states: list[EntryState]
    made: list[int]
    undone: list[int]
    undos: list[EntryState]


def ending_of(plan: list[Plan], crashes: set[int]) -> ChainEnd:
    """Deliver a plan's calls with workers that die at these writes; return the chain's end."""
    clock, vendor = VirtualClock(), ErpVendor()
    store = FragileOutbox(clock)
    outbox = Outbox(store, clock=clock, lease=2.0, retry=RetryPolicy(max_attempts=50))
    service = Service("erp", base_url="https://erp.example", retry=RetryPolicy(max_attempts=1))
    hub = Hub([], services=[service], http=vendor, clock=clock)
    ids: list[str] = []
    for number, call in enumerate(plan):
        undo = Request.post("/do", body=f"undo {number}:done".encode()) if call.undoes else None
        entry = outbox.put_request(
            "erp",
            Request.post("/do", body=f"{number}:{call.outcome}".encode()),
            after=[ids[position] for position in call.after],
            undo=undo,
        )
        ids.append(entry.id)
    store.fails = crashes
    for _ in range(60):
        with suppress(StorageUnavailable):
            outbox.deliver(hub)
        clock.advance(100.0)
    states = {entry.id: entry.state for entry in outbox.find(EntryQuery()).items}
    return ChainEnd(
        states=[states[id] for id in ids],
        made=[int(name) for name in vendor.done if not name.startswith("undo")],
        undone=[int(name.removeprefix("undo ")) for name in vendor.done if name.startswith("undo")],
        undos=[state for id, state in states.items() if id not in ids],
    )


@pytest.mark.untraced
@settings(deadline=None)
@given(plan=plans(), crashes=st.sets(st.integers(1, 60), max_size=6))
def test_chain_runs_calls_and_undos_by_its_rules_despite_failures_and_dead_workers(
    plan: list[Plan], crashes: set[int]
) -> None:
    """Despite failures and killed workers, each call and undo runs as the rules of chains require.

    No call is made or undone twice, or before the calls for which it waits. No call waits forever,
    except for a call with an unknown outcome. Calls that were done before a call that failed for
    good are undone.
    """
    ending = ending_of(plan, crashes)
    assert len(set(ending.made)) == len(ending.made)
    assert len(set(ending.undone)) == len(ending.undone)
    assert set(ending.undos) <= {EntryState.DONE, EntryState.PREPARED}

    failed = {
        number
        for number, state in enumerate(ending.states)
        if state in {EntryState.DEAD, EntryState.UNDOING}
    }
    for number, state in enumerate(ending.states):
        waits_for_unknown = any(
            ending.states[other] is EntryState.UNKNOWN for other in positions_before(plan, number)
        )
        if state in {EntryState.BLOCKED, EntryState.UNDOING}:
            assert waits_for_unknown
        else:
            assert state in {EntryState.DONE, EntryState.DEAD, EntryState.UNKNOWN}
        if number in ending.made:
            assert all(plan[other].outcome == "done" for other in positions_before(plan, number))
            assert set(positions_before(plan, number)) <= set(ending.made)
        if state is EntryState.DEAD:
            assert not waits_for_unknown
        if state is EntryState.DEAD and plan[number].after:
            done_positions = {
                other for other in positions_before(plan, number) if other in ending.made
            }
            assert {other for other in done_positions if plan[other].undoes} <= set(ending.undone)
    for number in ending.undone:
        assert any(number in positions_before(plan, other) for other in failed)


@pytest.mark.untraced
@given(length=st.integers(1, 6), crashes=st.sets(st.integers(1, 60), max_size=6))
@settings(deadline=None)
def test_refused_last_call_undoes_the_chain_in_reverse_order(
    length: int, crashes: set[int]
) -> None:
    """If the last call of a chain is rejected, the earlier calls are undone in reverse order."""
    line = [Plan("done", (number - 1,) if number else (), undoes=True) for number in range(length)]
    ending = ending_of([*line, Plan("refused", (length - 1,), undoes=True)], crashes)
    assert list(range(length)) == ending.made
    assert list(range(length))[::-1] == ending.undone
    assert [EntryState.DONE] * length + [EntryState.DEAD] == ending.states
