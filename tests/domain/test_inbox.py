"""Inbox entries: the id and the stored content of a webhook delivery."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from moorage import InvalidData
from moorage.domain.entries.inbox import InboxEntry, entry_of, pack_events, unpack_events
from moorage.domain.webhooks.events import WebhookEvent

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(**changes: Any) -> WebhookEvent:
    """Return a webhook event with only its required fields."""
    default_options: dict[str, Any] = {
        "vendor": "stripe",
        "id": "evt_1",
        "type": "",
        "vendor_type": "",
    }
    return WebhookEvent(**{**default_options, **changes})


def entry_of_delivery(
    *events: WebhookEvent, account: str = "stripe", tenant: str | None = None
) -> InboxEntry:
    """Return the inbox entry for a webhook with these events."""
    return entry_of(account, events, tenant=tenant, subject="ada", lane="a", now=NOW)


def test_entry_of_a_delivery_is_due_at_once() -> None:
    """A webhook delivery's inbox entry is due at once, with account, tenant and lane."""
    entry = entry_of_delivery(event(type="payment.captured"), tenant="acme")
    assert ("stripe", "acme", "ada", "a") == (
        entry.target,
        entry.tenant,
        entry.subject,
        entry.lane,
    )
    assert (NOW, NOW) == (entry.added_at, entry.due)


@pytest.mark.parametrize(
    "types, operation",
    [
        (("payment.captured", "charge.succeeded"), "payment.captured"),
        (("", "charge.succeeded"), "charge.succeeded"),
        (("", ""), "webhook"),
        (("x" * 300, ""), "x" * 100),
    ],
)
def test_operation_of_an_entry_is_its_event_type(types: tuple[str, str], operation: str) -> None:
    """An inbox entry's operation is our event type, else the vendor's, else a default."""
    assert operation == entry_of_delivery(event(type=types[0], vendor_type=types[1])).operation


def test_entry_id_of_a_delivery() -> None:
    """A repeated webhook delivery has the same entry id in every release."""
    claimed_event = event(claim=("mark", 0))
    other_entries = [
        entry_of_delivery(claimed_event, tenant="acme"),
        entry_of_delivery(claimed_event, account="other"),
        entry_of_delivery(event(id="mark2")),
        entry_of_delivery(claimed_event, claimed_event),
    ]
    assert "81ce9e99b6c629e2371b7f0e3b3d6393" == entry_of_delivery(claimed_event).id
    assert 5 == len(
        {entry_of_delivery(claimed_event).id, *(other_entry.id for other_entry in other_entries)}
    )


def test_entry_id_prefers_the_replay_guards_mark() -> None:
    """Without a verified id, the replay guard's mark determines a delivery's entry id."""
    assert (
        entry_of_delivery(event(claim=("mark", 0))).id
        == entry_of_delivery(event(id="evt_2", claim=("mark", 0))).id
    )
    assert (
        entry_of_delivery(event(claim=("mark", 0))).id
        != entry_of_delivery(event(claim=("other", 0))).id
    )
    assert (
        entry_of_delivery(event(claim=None)).id
        != entry_of_delivery(event(id="evt_2", claim=None)).id
    )


def test_events_round_trip() -> None:
    """A webhook delivery's verified events are read back unchanged, with the entry's tenant."""
    message = event(
        data={"a": 1}, time=NOW, covers=frozenset({"body"}), is_forgeable=True, body=b"{}"
    )
    (returned_event,) = unpack_events(pack_events([message]), "acme")
    assert "acme" == returned_event.tenant
    assert message == attrs.evolve(returned_event, tenant=None)


def test_foreign_content_is_refused() -> None:
    """Inbox content that another release or program wrote is refused; the error has a remedy."""
    for content in (b"", b"\x02\xc4\x00\x90", b"\x01\xc4\x00\x91\x90", b"\xff"):
        with pytest.raises(InvalidData, match="cannot be read") as excinfo:
            unpack_events(content, None)
        assert "content" == excinfo.value.field
        assert "Upgrade every process" in excinfo.value.remedy
