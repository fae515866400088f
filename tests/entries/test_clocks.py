"""Due times and leases of entries depend only on the store's clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from moorage import IdempotencyInProgress, InvalidData, RateLimitExceeded
from moorage.domain.resilience.retry import RetryPolicy
from moorage.hub.inbox import EntryQuery, EntryState
from moorage.hub.internals import core_of
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import reply
from tests.entries.shop import CHARGE, Shop, shop

__all__ = ["shop"]

HOUR = timedelta(hours=1)
SKEWS = pytest.mark.parametrize("skew", [HOUR, -HOUR], ids=["ahead", "behind"])


class OffsetClock(VirtualClock):
    """A clock that follows another clock at a constant offset.

    Args:
        clock: the other clock.
        skew: the time by which this clock is ahead.
    """

    def __init__(self, clock: VirtualClock, skew: timedelta) -> None:
        super().__init__()
        self.nanoseconds = clock.nanoseconds  # type: ignore[method-assign]  # shares the other clock
        self.advance = clock.advance  # type: ignore[method-assign]  # shares the other clock
        self._clock, self._skew = clock, skew

    def utc(self) -> datetime:
        """Return the time of this skewed clock."""
        return self._clock.utc() + self._skew


def _shop_elsewhere(shop: Shop, skew: timedelta) -> Shop:
    """Return the shop as a machine with a wrong clock would open it."""
    other_shop = Shop(is_async=shop.is_async, clock=OffsetClock(shop.clock, skew))
    other_shop.received, other_shop.sent = shop.received, shop.sent
    other_shop.inbox = other_shop.inbox_over(shop.received)
    other_shop.outbox = other_shop.outbox_over(shop.sent)
    return other_shop


def _put_entry(shop: Shop, **options: Any) -> Any:
    return shop.do(shop.outbox.put, "payments", "charge", CHARGE, **options)


def _deliver(shop: Shop) -> Any:
    return shop.do(shop.outbox.deliver, shop.hub)


# --- what is due ------------------------------------------------------------------------


@SKEWS
def test_wrong_clock_of_the_host_that_stores_a_call_does_not_delay_it(
    shop: Shop, skew: timedelta
) -> None:
    """A call stored by a host with a wrong clock is made at once, by any worker."""
    entry = _put_entry(_shop_elsewhere(shop, skew))

    assert [shop.clock.utc()] * 2 == [entry.added_at, entry.due]
    assert 1 == _deliver(shop).done


@SKEWS
def test_deferred_call_becomes_due_by_store_clock(shop: Shop, skew: timedelta) -> None:
    """A deferred call becomes due by the store's clock, not by a worker's."""
    _put_entry(shop, not_before=shop.time_after(60))
    worker = _shop_elsewhere(shop, skew)
    assert 0 == len(_deliver(worker))
    shop.advance_clock(60)
    assert 1 == _deliver(worker).done


@SKEWS
def test_delay_is_measured_by_the_clock_of_the_store(shop: Shop, skew: timedelta) -> None:
    """A delay is measured by the store's clock, regardless of the caller's."""
    entry = _put_entry(_shop_elsewhere(shop, skew), not_before=timedelta(minutes=5))

    assert shop.time_after(300) == entry.due


@SKEWS
def test_absolute_start_time_is_the_same_moment_for_all_clocks(shop: Shop, skew: timedelta) -> None:
    """An absolute start time means the same moment on hosts with different clocks."""
    entry = _put_entry(_shop_elsewhere(shop, skew), not_before=shop.time_after(300))

    assert shop.time_after(300) == entry.due


def test_past_start_is_due_at_once(shop: Shop) -> None:
    """A call with a start in the past is due at once."""
    for past_start in (shop.time_after(-300), timedelta(minutes=-5)):
        entry = _put_entry(shop, not_before=past_start)
        assert shop.clock.utc() == entry.due


@pytest.mark.parametrize(
    "start",
    [
        "now",
        60,
        datetime(2026, 3, 1),  # noqa: DTZ001 - a time without a zone is refused
        timedelta.max,
        datetime.max.replace(tzinfo=timezone(-HOUR)),  # in the year 10000 in UTC
        datetime.min.replace(tzinfo=timezone(HOUR)),
    ],
    ids=str,
)
def test_invalid_start_times_are_refused(shop: Shop, start: Any) -> None:
    """An invalid start is refused, and nothing is stored."""
    with pytest.raises(InvalidData) as excinfo:
        _put_entry(shop, not_before=start)
    assert "not_before" == excinfo.value.field
    assert () == shop.sent.find(EntryQuery()).items


# --- whose lease is over ----------------------------------------------------------------


@SKEWS
def test_fast_clock_of_another_worker_does_not_end_a_lease(shop: Shop, skew: timedelta) -> None:
    """A webhook in progress stays with its worker, even if another worker's clock is fast."""
    other_process, handled_steps = _shop_elsewhere(shop, skew), list[str]()

    @other_process.inbox.on("payments")  # type: ignore[untyped-decorator]  # the inbox is of either mode
    def handle_late(event: Any, entry: Any) -> None:
        handled_steps.append("late")

    @shop.inbox.on("payments")  # type: ignore[untyped-decorator]  # the inbox is of either mode
    def handle(event: Any, entry: Any) -> None:
        handled_steps.append("begun")
        assert 0 == len(other_process.do(other_process.inbox.handle))
        handled_steps.append("ended")

    shop.do(shop.inbox.receive, "stripe", **shop.webhook_of_payment().arguments())
    shop.do(shop.inbox.handle, limit=1)
    assert ["begun", "ended"] == handled_steps


@SKEWS
def test_lease_ends_by_the_clock_of_the_store(shop: Shop, skew: timedelta) -> None:
    """A dead worker's entry is taken over when its lease ends according to the store's clock."""
    entry = _put_entry(shop)
    stored_entry = shop.sent.find(EntryQuery(id=entry.id)).items[0]
    _die(_shop_elsewhere(shop, skew))
    shop.advance_clock(59)
    assert 0 == len(_deliver(shop))
    shop.advance_clock(1)
    assert 1 == _deliver(shop).done
    assert stored_entry.added_at == entry.added_at


def _die(worker: Shop) -> None:
    """Claim the due entries, like a worker that dies before processing them."""

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    worker.hub.payments = interrupt
    with pytest.raises(KeyboardInterrupt):
        _deliver(worker)


@SKEWS
def test_retry_at_is_in_the_callers_clock(shop: Shop, skew: timedelta) -> None:
    """If a caller must wait for a lease, the error's `retry_at` is a time by the caller's clock."""
    entry = _put_entry(shop)
    _die(shop)
    person = _shop_elsewhere(shop, skew)
    with pytest.raises(IdempotencyInProgress) as excinfo:
        person.do(person.outbox.drop, entry.id)
    assert person.time_after(60) == excinfo.value.retry_at


# --- when to try again ------------------------------------------------------------------


@SKEWS
def test_retry_after_is_measured_without_the_clock_of_the_worker(
    shop: Shop, skew: timedelta
) -> None:
    """A worker waits as long as `Retry-After` states, regardless of the worker's own clock."""
    _put_entry(shop)
    worker = _shop_elsewhere(shop, skew)
    worker.stripe.fail(reply({}, 429, Retry_After="120"))
    (worked_entry,) = _deliver(worker).worked

    assert worker.time_after(120) == worked_entry.error.retry_at
    assert shop.time_after(120) == worked_entry.entry.due


@SKEWS
def test_retry_time_uses_the_hub_clock(shop: Shop, skew: timedelta) -> None:
    """An outbox waits as long as the vendor requested, even if its clock and its hub's differ."""
    hub = _shop_elsewhere(shop, skew).hub
    _put_entry(shop)
    outbox = shop.outbox_over(shop.sent, clock=OffsetClock(shop.clock, 3 * skew))
    _refuse_payments(hub, seconds=120)
    (worked_entry,) = shop.do(outbox.deliver, hub).worked

    assert shop.time_after(120) == worked_entry.entry.due


def _refuse_payments(hub: Any, *, seconds: float, by_vendor: bool = True) -> None:
    """Make a hub refuse payments with this `Retry-After`."""

    def raise_rate_limit(*_: Any, **__: Any) -> Any:
        time = core_of(hub.manager).utc() + timedelta(seconds=seconds)
        raise RateLimitExceeded("too many calls.", retry_at=time, by_vendor=by_vendor)

    hub.payments = raise_rate_limit


@pytest.mark.parametrize(
    "message", ["1795392000", "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"], ids=str
)
def test_pause_that_a_vendor_asks_for_is_at_most_an_hour(shop: Shop, message: str) -> None:
    """An entry is retried within an hour, even if the vendor asks for a longer pause."""
    _put_entry(shop)
    shop.stripe.fail(reply({}, 429, Retry_After=message))
    (worked_entry,) = _deliver(shop).worked
    assert worked_entry.entry.due <= shop.time_after(3_600)
    shop.advance_clock(3_600)
    assert 1 == len(_deliver(shop))


def test_outbox_caps_retry_at(shop: Shop) -> None:
    """The outbox waits at most an hour, even if an error's `retry_at` is later."""
    _put_entry(shop)
    _refuse_payments(shop.hub, seconds=1_795_392_000)
    (worked_entry,) = _deliver(shop).worked

    assert shop.time_after(1_795_392_000) == worked_entry.error.retry_at
    assert shop.time_after(3_600) == worked_entry.entry.due


def test_entry_waits_for_used_up_quota_without_losing_an_attempt(shop: Shop) -> None:
    """If the service's quota is used up, an entry waits without losing an attempt."""
    entry = _put_entry(shop)
    _refuse_payments(shop.hub, seconds=20 * 3_600, by_vendor=False)
    (worked_entry,) = _deliver(shop).worked

    assert shop.time_after(20 * 3_600) == worked_entry.entry.due
    assert [entry.id] == [item.id for item in shop.do(shop.outbox.stuck).items]


def test_retry_policy_may_allow_pauses_of_days(shop: Shop) -> None:
    """A retry policy can allow pauses of days, and a waiting entry can still be found."""
    policy = RetryPolicy(max_attempts=3, base_delay=10.0, max_retry_after=7_200.0)
    shop.outbox = shop.outbox_over(shop.sent, retry=policy)
    entry = _put_entry(shop)
    _refuse_payments(shop.hub, seconds=86_400)
    (worked_entry,) = _deliver(shop).worked

    assert shop.time_after(7_200) == worked_entry.entry.due
    assert [entry.id] == [item.id for item in shop.do(shop.outbox.stuck).items]
    shop.advance_clock(3_600)
    assert () == shop.do(shop.outbox.stuck).items


# --- what needs a person ----------------------------------------------------------------


def test_unusually_long_waits_are_listed_as_stuck(shop: Shop) -> None:
    """An entry that a wrong clock delayed by decades is listed as stuck; a deferred one is not."""
    _put_entry(shop, not_before=timedelta(days=365))
    entries = [_put_entry(shop) for _ in range(3)]
    _leave_entry(shop, entries[0], EntryState.WAITING, shop.time_after(57 * 365 * 86_400))
    _leave_entry(shop, entries[1], EntryState.DEAD, None)
    _leave_entry(shop, entries[2], EntryState.WAITING, shop.time_after(3_600))

    assert [entries[1].id, entries[0].id] == [item.id for item in shop.do(shop.outbox.stuck).items]
    first = shop.do(shop.outbox.stuck, limit=1)
    assert [entries[1].id] == [item.id for item in first.items]
    last_page = shop.do(shop.outbox.stuck, limit=1, after=first.next)
    assert [entries[0].id] == [item.id for item in last_page.items]
    assert None is last_page.next


def test_dead_webhooks_are_listed_as_stuck(shop: Shop) -> None:
    """The inbox lists dead webhooks as stuck, as the outbox lists dead calls."""
    entry = shop.do(shop.inbox.receive, "stripe", **shop.webhook_of_payment().arguments())
    assert () == shop.do(shop.inbox.stuck).items
    stored_entry = shop.received.find(EntryQuery(id=entry.id)).items[0]
    shop.received.swap(_changed_entry(stored_entry, EntryState.DEAD, None), stored_entry.fence)
    assert [entry.id] == [item.id for item in shop.do(shop.inbox.stuck).items]


def _leave_entry(shop: Shop, entry: Any, state: EntryState, due: datetime | None) -> None:
    shop.sent.swap(_changed_entry(entry, state, due), entry.fence)


def _changed_entry(entry: Any, state: EntryState, due: datetime | None) -> Any:
    return attrs.evolve(entry, state=state, due=due, attempts=1, fence=entry.fence + 1)


# --- what is old ------------------------------------------------------------------------


@SKEWS
def test_housekeeping_removes_old_entries_by_the_clock_of_the_store(
    shop: Shop, skew: timedelta
) -> None:
    """Housekeeping removes old entries by the store's clock, not by the caller's."""
    _put_entry(shop)
    assert 1 == _deliver(shop).done
    keeper = _shop_elsewhere(shop, skew)
    shop.advance_clock(600)
    assert 0 == keeper.do(keeper.outbox.forget, timedelta(minutes=10))
    shop.advance_clock(1)
    assert 1 == keeper.do(keeper.outbox.forget, timedelta(minutes=10))


def test_outbox_in_memory_ignores_changes_of_the_clock(shop: Shop) -> None:
    """An outbox in memory is not affected when the computer's clock is set."""
    entry = _put_entry(shop, not_before=timedelta(minutes=1))
    shop.clock.step_utc(HOUR)
    assert 0 == len(_deliver(shop))
    shop.advance_clock(60)
    assert entry.due == shop.sent.now()
    assert 1 == _deliver(shop).done
