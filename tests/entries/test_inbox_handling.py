"""Webhooks are handled until a handler succeeds, or until their attempts are used up."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage import ConfigurationError, IdempotencyInProgress, InvalidData
from moorage.adapters.entries.memory import MemoryInbox
from moorage.hub.inbox import EntryQuery, EntryState
from tests.entries.shop import Shop, shop
from tests.entries.webhook_handling import FlakyHandler, receive_notice, reference

__all__ = ["shop"]


def test_failed_webhook_is_retried_later(shop: Shop) -> None:
    """A failed webhook is retried later, and delays later events of the same resource."""
    handling = FlakyHandler(shop, fails=1)
    first, second = (
        receive_notice(shop, shop.webhook_of_payment()),
        receive_notice(shop, shop.stripe.sent[-1]),
    )
    assert first == second
    intent = next(iter(shop.stripe.intents.values()))
    shop.stripe.emit_event("payment_intent.succeeded", intent)
    repeated_entry = receive_notice(shop, shop.stripe.sent[-1])
    assert first.lane == repeated_entry.lane
    other_entry = receive_notice(shop, shop.webhook_of_payment("INV-2"))
    handled_batch = shop.do(shop.inbox.handle)
    assert [(first.id, EntryState.WAITING), (other_entry.id, EntryState.DONE)] == [
        (work.entry.id, work.entry.state) for work in handled_batch.worked
    ]
    assert "RuntimeError" == handled_batch.worked[0].entry.error
    assert isinstance(handled_batch.worked[0].error, RuntimeError)
    assert 0 == len(shop.do(shop.inbox.handle))

    shop.advance_clock(10)
    assert 2 == shop.do(shop.inbox.handle).done
    assert ["INV-2", "INV-1", "INV-1"] == handling.seen


def test_webhook_that_always_fails_is_dead_and_replayable(shop: Shop) -> None:
    """After its last attempt a webhook is dead: it blocks no other webhook, and can be replayed."""
    handling = FlakyHandler(shop, fails=3)
    entry = receive_notice(shop, shop.webhook_of_payment())
    states = []
    for _ in range(4):
        states += [work.entry.state.value for work in shop.do(shop.inbox.handle).worked]
        shop.advance_clock(100)
    assert ["waiting", "waiting", "dead"] == states
    (dead_entry,) = shop.do(shop.inbox.find, EntryQuery(states=["dead"])).items
    assert (3, False, "RuntimeError") == (dead_entry.attempts, dead_entry.holds, dead_entry.error)

    replayed_entry = shop.do(shop.inbox.replay, entry.id)
    assert (EntryState.WAITING, 0) == (replayed_entry.state, replayed_entry.attempts)
    assert 1 == shop.do(shop.inbox.handle).done
    assert ["INV-1"] == handling.seen


def test_done_webhooks_can_be_replayed(shop: Shop) -> None:
    """A done webhook can be handled again later."""
    handling = FlakyHandler(shop)
    entry = receive_notice(shop, shop.webhook_of_payment())
    shop.do(shop.inbox.handle)
    shop.advance_clock(1e6)
    shop.do(shop.inbox.replay, entry.id)
    shop.do(shop.inbox.handle)
    assert ["INV-1", "INV-1"] == handling.seen


def test_dead_workers_webhook_is_taken_over(shop: Shop) -> None:
    """The webhook of a killed worker is taken over when its lease ends."""
    dying_workers = [True]

    @shop.inbox.on("payments")  # type: ignore[untyped-decorator]  # the inbox is of either mode
    def handle(event: Any, entry: Any) -> None:
        if dying_workers:
            dying_workers.pop()
            raise KeyboardInterrupt

    entry = receive_notice(shop, shop.webhook_of_payment())
    with pytest.raises(KeyboardInterrupt):
        shop.do(shop.inbox.handle)
    assert 0 == len(shop.do(shop.inbox.handle))
    with pytest.raises(IdempotencyInProgress, match="A worker is processing"):
        shop.do(shop.inbox.replay, entry.id)
    shop.advance_clock(60)
    assert 1 == shop.do(shop.inbox.handle).done


def test_webhook_that_kills_workers_is_dead(shop: Shop) -> None:
    """A webhook that kills its workers is dead after the maximum number of attempts."""

    @shop.inbox.on("payments")  # type: ignore[untyped-decorator]  # the inbox is of either mode
    def handle(event: Any, entry: Any) -> None:
        raise KeyboardInterrupt

    receive_notice(shop, shop.webhook_of_payment())
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            shop.do(shop.inbox.handle)
        shop.advance_clock(60)
    handled_batch = shop.do(shop.inbox.handle)
    assert 1 == handled_batch.dead
    assert "Every worker that took the entry died." == handled_batch.worked[0].entry.error


def test_late_worker_marks_nothing_done(shop: Shop) -> None:
    """A worker whose lease has ended marks no webhook as done that another worker took over."""

    @shop.inbox.on("payments")  # type: ignore[untyped-decorator]  # the inbox is of either mode
    def handle(event: Any, entry: Any) -> None:
        shop.advance_clock(61)
        stored_entry = shop.received.find(EntryQuery(id=entry.id)).items[0]
        assert shop.received.swap(
            attrs.evolve(stored_entry, fence=99, error="mine"), stored_entry.fence
        )

    entry = receive_notice(shop, shop.webhook_of_payment())
    shop.do(shop.inbox.handle, limit=1)
    stored_entry = shop.received.find(EntryQuery(id=entry.id)).items[0]
    assert (99, "mine", EntryState.CLAIMED) == (
        stored_entry.fence,
        stored_entry.error,
        stored_entry.state,
    )


def test_webhook_that_another_worker_claims_first_is_skipped(shop: Shop) -> None:
    """A webhook is skipped if another worker claims it first."""

    class ContestedInbox(MemoryInbox):
        def due(self, limit: int, /) -> Any:
            offered_entries = super().due(limit)
            for entry in offered_entries:
                self.swap(attrs.evolve(entry, fence=entry.fence + 1), entry.fence)
            return offered_entries

    contested = ContestedInbox(shop.clock)
    shop.inbox = shop.inbox_over(contested)
    handling = FlakyHandler(shop)
    receive_notice(shop, shop.webhook_of_payment())
    assert 0 == len(shop.do(shop.inbox.handle))
    assert [] == handling.seen
    assert 1 == contested.find(EntryQuery()).items[0].fence


def test_only_an_asynchronous_hub_accepts_asynchronous_handlers() -> None:
    """An asynchronous hub accepts asynchronous handlers; a synchronous hub refuses them."""
    seen_references = []

    async def handle(event: Any, entry: Any) -> None:
        seen_references.append(reference(event))

    shop = Shop(is_async=True)
    shop.inbox.on("payments")(handle)
    receive_notice(shop, shop.webhook_of_payment())
    assert 1 == shop.do(shop.inbox.handle).done
    assert ["INV-1"] == seen_references

    plain_shop = Shop()
    plain_shop.inbox.on("payments")(handle)
    receive_notice(plain_shop, plain_shop.webhook_of_payment())
    assert isinstance(plain_shop.do(plain_shop.inbox.handle).worked[0].error, ConfigurationError)


def test_forget_removes_settled_webhooks_and_remove_and_drop_change_one(shop: Shop) -> None:
    """`forget` removes settled webhooks; `remove` and `drop` each change one webhook."""
    FlakyHandler(shop)
    result = receive_notice(shop, shop.webhook_of_payment())
    shop.do(shop.inbox.handle)
    waiting = receive_notice(shop, shop.webhook_of_payment("INV-2"))
    assert 0 == shop.do(shop.inbox.forget, shop.clock.utc())
    shop.advance_clock(1)
    assert 1 == shop.do(shop.inbox.forget, shop.clock.utc())
    with pytest.raises(InvalidData, match="No entry has the id") as excinfo:
        shop.do(shop.inbox.replay, result.id)
    assert "id" == excinfo.value.field
    assert "still stored" in excinfo.value.remedy
    with pytest.raises(InvalidData, match=r"id 'x{80}'\."):
        shop.do(shop.inbox.replay, "x" * 81)
    assert EntryState.DROPPED is shop.do(shop.inbox.drop, waiting.id).state
    assert 0 == len(shop.do(shop.inbox.handle))
    assert 1 == shop.do(shop.inbox.remove, EntryQuery(states=["dropped"]))


def test_finished_webhook_cannot_be_cancelled(shop: Shop) -> None:
    """A handled webhook cannot be dropped, because its effect has already happened."""
    FlakyHandler(shop)
    entry = receive_notice(shop, shop.webhook_of_payment())
    shop.do(shop.inbox.handle)
    with pytest.raises(InvalidData, match="cannot be cancelled, because it is already") as excinfo:
        shop.do(shop.inbox.drop, entry.id)
    assert ("id", True) == (excinfo.value.field, "refund" in excinfo.value.remedy)
    (stored_entry,) = shop.do(shop.inbox.find, EntryQuery(id=entry.id)).items
    assert EntryState.DONE is stored_entry.state


def test_round_handles_a_hundred_webhooks(shop: Shop) -> None:
    """By default one round handles up to a hundred webhooks; the rest wait for the next round."""
    FlakyHandler(shop)
    entry = receive_notice(shop, shop.webhook_of_payment())
    for number in range(101):
        shop.received.add(attrs.evolve(entry, id=f"e{number}", lane=None))
    assert [100, 2] == [len(shop.do(shop.inbox.handle)) for _ in range(2)]


def test_only_the_webhooks_of_some_ids_are_handled(shop: Shop) -> None:
    """If ids are passed, only the webhooks with these ids are handled.

    All others wait for a worker.
    """
    handling = FlakyHandler(shop)
    receive_notice(shop, shop.webhook_of_payment())
    chosen_entry = receive_notice(shop, shop.webhook_of_payment("INV-2"))

    assert 1 == shop.do(shop.inbox.handle, ids=[chosen_entry.id]).done
    assert ["INV-2"] == handling.seen
    assert 1 == shop.do(shop.inbox.handle).done


def test_no_webhook_begins_after_the_timeout(shop: Shop) -> None:
    """After the timeout the current webhook is finished, and no other begins."""
    shop.inbox.on("webhook")(lambda *_: shop.clock.advance(2.0))
    for number in range(3):
        receive_notice(shop, shop.webhook_of_payment(f"INV-{number}"))

    assert 1 == len(shop.do(shop.inbox.handle, timeout=1.0))
    assert 2 == len(shop.do(shop.inbox.handle, timeout=60.0))
