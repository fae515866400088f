"""Pausing and resuming the outbox and the inbox."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, InvalidData, Outbox, StorageUnavailable
from moorage.adapters.audit.file import FileAudit
from moorage.adapters.entries.sqlite import SqliteOutbox
from moorage.domain.entries.pauses import Pause
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.hub.audit import AuditTrail
from tests.entries.shop import CHARGE, Shop, shop

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shop"]

REASON = {"reason": "the vendor asked for it", "actor": "ada"}


def put_entry(shop: Shop, **options: Any) -> Any:
    """Store a new call, and return its entry."""
    return shop.do(shop.outbox.put, "payments", "charge", CHARGE, **options)


def deliver(shop: Shop, **options: Any) -> int:
    """Deliver due calls, and return their number."""
    return len(shop.do(shop.outbox.deliver, shop.hub, **options))


@pytest.mark.parametrize(
    "scope",
    [{}, {"target": "payments"}, {"subject": "ada"}, {"target": "payments", "subject": "ada"}],
)
def test_paused_calls_wait_in_outbox(shop: Shop, scope: Any) -> None:
    """Paused calls wait in the outbox, and are made when the pause ends."""
    shop.do(shop.outbox.pause, **scope, **REASON)
    entry = put_entry(shop, subject="ada")

    assert (0, 0) == (deliver(shop), deliver(shop, ids=[entry.id]))
    assert EntryState.WAITING is shop.do(shop.outbox.find, EntryQuery(id=entry.id)).items[0].state
    assert shop.do(shop.outbox.resume, **scope)
    assert 1 == deliver(shop)


@pytest.mark.parametrize("scope", [{"target": "email"}, {"tenant": "acme"}, {"subject": "bob"}])
def test_pause_does_not_stop_calls_that_it_does_not_cover(shop: Shop, scope: Any) -> None:
    """A pause stops only the calls that it covers."""
    shop.do(shop.outbox.pause, **scope, **REASON)
    entry = put_entry(shop, subject="ada")

    assert 1 == deliver(shop, ids=[entry.id])


def test_pauses_are_listed_with_reason_and_start(shop: Shop) -> None:
    """Each pause is listed with its reason and start.

    Starting the same pause again changes nothing.
    """
    start_time = shop.clock.utc()
    shop.do(shop.outbox.pause, "payments", reason="  incident 7 ")
    shop.advance_clock(60)
    shop.do(shop.outbox.pause, "payments", reason="incident 8")
    shop.do(shop.outbox.pause, tenant="acme", reason="overdue")

    payments = Pause(target="payments", reason="incident 7", since=start_time)
    acme = Pause(tenant="acme", reason="overdue", since=start_time + timedelta(seconds=60))
    assert (acme, payments) == shop.do(shop.outbox.pauses)


def test_each_of_many_pauses_is_in_force() -> None:
    """Each of many pauses applies, even if they fill more than one page."""
    shop = Shop()
    for number in range(101):
        shop.outbox.pause(subject=f"person {number}", **REASON)
    entry = put_entry(shop, subject="person 0")

    assert (0, 101) == (deliver(shop, ids=[entry.id]), len(shop.outbox.pauses()))


def test_resuming_ends_pause_of_exactly_these_entries(shop: Shop) -> None:
    """Resuming ends the pause of exactly these entries, and leaves other pauses in force."""
    shop.do(shop.outbox.pause, **REASON)
    shop.do(shop.outbox.pause, "payments", **REASON)
    put_entry(shop)

    assert not shop.do(shop.outbox.resume, tenant="acme")
    assert shop.do(shop.outbox.resume, "payments")
    assert 0 == deliver(shop)
    assert shop.do(shop.outbox.resume)
    assert 1 == deliver(shop)


def test_paused_inbox_handles_webhooks_after_it_is_resumed(shop: Shop) -> None:
    """A paused inbox stores webhooks, and handles them after it is resumed."""
    handled: list[Any] = []
    shop.inbox.on("webhook")(lambda event, _: handled.append(event))
    shop.do(shop.inbox.pause, "stripe", **REASON)
    notice = shop.webhook_of_payment()
    shop.do(shop.inbox.receive, "stripe", headers=notice.headers, body=notice.body)
    assert 0 == len(shop.do(shop.inbox.handle))

    assert ["stripe"] == [pause.target for pause in shop.do(shop.inbox.pauses)]
    assert shop.do(shop.inbox.resume, "stripe")
    assert 1 == len(shop.do(shop.inbox.handle))
    assert handled


def test_pause_without_a_reason_is_refused(shop: Shop) -> None:
    """A pause without a reason is refused."""
    with pytest.raises(InvalidData, match="A pause needs a reason"):
        shop.do(shop.outbox.pause, reason=" ")

    assert () == shop.do(shop.outbox.pauses)


@pytest.mark.parametrize("act", ["replay", "drop"])
def test_pause_cannot_be_replayed_or_dropped(shop: Shop, act: str) -> None:
    """An entry that represents a pause cannot be replayed or dropped."""
    shop.do(shop.outbox.pause, **REASON)
    (entry,) = shop.do(shop.outbox.find, EntryQuery(states={EntryState.PAUSED})).items
    with pytest.raises(InvalidData, match="is a pause of the queue"):
        shop.do(getattr(shop.outbox, act), entry.id)

    assert 1 == len(shop.do(shop.outbox.pauses))


def test_audit_trail_records_who_paused_entries_and_why(tmp_path: Path) -> None:
    """The audit trail records who paused or resumed entries, and why."""
    shop, trail = Shop(), AuditTrail(FileAudit(tmp_path / "trail"))
    outbox = shop.outbox.with_audit(trail)
    outbox.pause("payments", tenant="acme", **REASON)
    outbox.resume("payments", tenant="acme", actor="bob")

    subject = "outbox target payments, tenant acme"
    assert [
        ("outbox.resume", subject, "bob", ""),
        ("outbox.pause", subject, "ada", REASON["reason"]),
    ] == [(item.act, item.subject, item.actor, item.reason) for item in trail.find().items]


def test_pause_that_cannot_be_recorded_is_refused() -> None:
    """If the audit trail is unavailable, a pause is refused."""

    class BrokenTrail:
        """An audit trail that is unavailable."""

        def record(self, **_: Any) -> None:
            raise StorageUnavailable("The trail is away.")

    shop = Shop()
    with pytest.raises((StorageUnavailable, ConfigurationError)):
        shop.outbox.with_audit(BrokenTrail()).pause(**REASON)

    assert () == shop.outbox.pauses()


def test_another_process_obeys_a_stored_pause(tmp_path: Path) -> None:
    """Another process that opens the same store obeys a stored pause."""
    shop, path = Shop(), tmp_path / "shop.db"
    Outbox(SqliteOutbox(path, create=True)).pause(**REASON)
    other = Outbox(SqliteOutbox(path))
    other.put("payments", "charge", CHARGE)

    assert 0 == len(other.deliver(shop.hub))
    assert other.resume()
    assert 1 == len(other.deliver(shop.hub))
