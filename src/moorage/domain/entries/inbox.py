"""The stored form of a webhook, from which a worker can handle it at any later time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.entries.queue import Entry
from moorage.domain.state.packing import pack_values, unpack_values
from moorage.domain.values.text import storable_text
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.domain.webhooks.replies import WebhookReply

_VERSION: Final = 1
_MARK_LENGTH: Final = 32
_OPERATION: Final = 100


@attrs.frozen(kw_only=True)
class InboxEntry(Entry):
    """A verified webhook in the inbox.

    Attributes:
        reply: the response to a handshake, or the response that the vendor expects to this
            webhook; it
            is not stored.
    """

    reply: WebhookReply | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def account(self) -> str:
        """The account whose vendor sent the webhook."""
        return self.target


def entry_of(
    account: str,
    events: Sequence[WebhookEvent],
    *,
    tenant: str | None,
    subject: str | None,
    lane: str | None,
    now: datetime,
    delivery: str | None = None,
) -> InboxEntry:
    """Return a new inbox entry for a webhook; the caller adds the webhook's content.

    Its id is derived from the account, the tenant and the delivery's own id, so a repeated delivery
    gets the same id.

    Args:
        account: account whose vendor sent the webhook.
        events: events of the webhook.
        tenant: tenant of the webhook.
        subject: person whom the webhook is about, if known.
        lane: ordering lane.
        now: current time.
        delivery: id of this delivery, where the vendor sends the same webhook for each change.
    """
    operation = (events[0].type or events[0].vendor_type) if events else None
    return InboxEntry(
        id=_source_name(account, tenant, events, delivery),
        target=account,
        operation=storable_text((operation or "webhook")[:_OPERATION]),
        tenant=tenant,
        subject=subject,
        lane=lane,
        added_at=now,
        due=now,
    )


def _source_name(
    account: str, tenant: str | None, events: Sequence[WebhookEvent], delivery: str | None
) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

    marks = tuple(event.claim[0] if event.claim else event.id for event in events)
    parts = (account, tenant, marks) if delivery is None else (account, tenant, marks, delivery)
    return sha256(pack_values(parts)).hexdigest()[:_MARK_LENGTH]


def pack_events(events: Sequence[WebhookEvent]) -> bytes:
    """Return the events of a webhook as bytes."""
    event_rows = tuple(
        (
            event.vendor,
            event.id,
            event.type,
            event.vendor_type,
            event.time,
            event.data,
            event.payload,
            tuple(sorted(event.covers)),
            event.is_forgeable,
            event.fetch,
            event.confirm,
        )
        for event in events
    )
    return pack_values((_VERSION, events[0].body, event_rows))


def unpack_events(content: bytes, tenant: str | None) -> tuple[WebhookEvent, ...]:
    """Return the webhook's events in bytes that `pack_events` returned.

    Raises:
        InvalidData: the bytes are not packed events.
    """
    try:
        version, body, event_rows = unpack_values(content)
        if version != _VERSION:
            raise ValueError(version)  # noqa: TRY301 - told below
        return tuple(_event(item, body, tenant) for item in event_rows)
    except (TypeError, ValueError):
        raise InvalidData(
            "A stored webhook cannot be read.",
            field="content",
            remedy="Upgrade every process that shares the store, and configure the same"
            " cipher in each process.",
        ) from None


def _event(values: tuple[object, ...], body: bytes, tenant: str | None) -> WebhookEvent:
    names = (
        "vendor",
        "id",
        "type",
        "vendor_type",
        "time",
        "data",
        "payload",
        "covers",
        "is_forgeable",
        "fetch",
        "confirm",
    )
    fields: dict[str, object] = dict(zip(names, values, strict=True))
    fields["covers"] = frozenset(fields["covers"])  # type: ignore[call-overload]  # stored as a list
    return WebhookEvent(**fields, body=body, tenant=tenant)  # type: ignore[arg-type]  # of the types stored
