"""A webhook as it is kept: its name, and what it said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from moorage import InvalidData
from moorage.domain.inbox import InboxEntry, entry_of, pack_events, unpack_events
from moorage.domain.webhooks.events import WebhookEvent

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(**changes: Any) -> WebhookEvent:
    """An event with nothing that it need not have."""
    usual: dict[str, Any] = {"vendor": "stripe", "id": "evt_1", "type": "", "vendor_type": ""}
    return WebhookEvent(**{**usual, **changes})


def kept(*events: WebhookEvent, account: str = "stripe", tenant: str | None = None) -> InboxEntry:
    """What is written down of a delivery."""
    return entry_of(account, events, tenant=tenant, subject="ada", lane="a", now=NOW)


def test_what_is_written_down_of_a_delivery() -> None:
    """It is due at once, for whom and about whom it is."""
    entry = kept(event(type="payment.captured"), tenant="acme")
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
def test_what_has_happened(types: tuple[str, str], operation: str) -> None:
    """It is called as we call it, else as the vendor does, else what it is; never too long."""
    assert operation == kept(event(type=types[0], vendor_type=types[1])).operation


def test_the_name_of_a_delivery() -> None:
    """A repeat is told by it in every release, and nothing else has it."""
    claimed = event(claim=("mark", 0))
    others = [
        kept(claimed, tenant="acme"),
        kept(claimed, account="other"),
        kept(event(id="mark2")),
        kept(claimed, claimed),
    ]
    assert "81ce9e99b6c629e2371b7f0e3b3d6393" == kept(claimed).id
    assert 5 == len({kept(claimed).id, *(one.id for one in others)})


def test_what_vouches_names_a_delivery() -> None:
    """Where an id is not vouched for, the guard's mark counts; without a guard's, the id."""
    assert kept(event(claim=("mark", 0))).id == kept(event(id="evt_2", claim=("mark", 0))).id
    assert kept(event(claim=("mark", 0))).id != kept(event(claim=("other", 0))).id
    assert kept(event(claim=None)).id != kept(event(id="evt_2", claim=None)).id


def test_what_a_delivery_said_is_kept() -> None:
    """Its events come back as they were verified, of the tenant whose the entry is."""
    said = event(data={"a": 1}, time=NOW, covers=frozenset({"body"}), weak=True, body=b"{}")
    (back,) = unpack_events(pack_events([said]), "acme")
    assert "acme" == back.tenant
    assert said == attrs.evolve(back, tenant=None)


def test_what_is_no_delivery() -> None:
    """Bytes of another release, or none of ours, are told with what to do."""
    for content in (b"", b"\x02\xc4\x00\x90", b"\x01\xc4\x00\x91\x90", b"\xff"):
        with pytest.raises(InvalidData, match="cannot be read") as caught:
            unpack_events(content, None)
        assert "content" == caught.value.field
        assert "Upgrade every process" in caught.value.remedy
