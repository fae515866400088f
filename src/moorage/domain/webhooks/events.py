"""What a webhook said, once it is believed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from moorage.domain.webhooks.choices import TimeForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.webhooks.replies import WebhookReply

_LONGEST: Final = 40


class _ReadLater:
    """A value whose fields are read when they are asked for."""

    __slots__ = ("_later",)

    if not TYPE_CHECKING:  # pragma: no branch - a type checker would take every name for a field

        def __getattr__(self, name: str) -> object:
            # Only what was never set comes here; of a value that was read at once, nothing.
            if name not in _SETTERS:
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
            reader, found, body, tenant = self._later
            if name == "payload":
                payload = reader.payload(found, body)
                _SETTERS[name](self, payload)
                return payload
            event = reader.event(found, body, tenant)
            for field, put in _SETTERS.items():
                put(self, getattr(event, field))
            return getattr(event, name)


@attrs.frozen(kw_only=True)
class WebhookEvent(_ReadLater):
    """One thing that a vendor says happened. Its data is not shown: it may be personal.

    Without a guard against replays, what the scheme need not know is read when it is asked for. A
    body that cannot be read is refused then, with `WebhookRejected`.

    Attributes:
        vendor: the name of the scheme that it came by.
        id: the vendor's name for this event; a digest of the webhook where it gives none.
        type: what happened, by our name for it where there is one, else by the vendor's.
        vendor_type: what happened, as the vendor calls it.
        time: when, as the vendor says; None if it does not.
        data: the thing it is about.
        payload: all that was said of this event.
        covers: what the signature vouches for.
        weak: whether somebody who saw a genuine webhook could have made up what this one says.
        fetch: where the truth can be read, for a weak one; None if nowhere, or not needed.
        tenant: whose it is.
        confirm: the link that a subscription is confirmed with, for `confirm` to follow.
        reply: what to answer at once, without handling it; None unless it is a handshake.
        body: the bytes that it came in.
        claim: what the guard against replays knows it by; None if it was not asked.
    """

    vendor: str
    id: str
    type: str
    vendor_type: str
    time: datetime | None = None
    data: Any = attrs.field(default=None, repr=False)
    payload: Any = attrs.field(default=None, repr=False)
    covers: frozenset[str] = frozenset()
    weak: bool = False
    fetch: str | None = None
    tenant: str | None = None
    confirm: str | None = attrs.field(default=None, repr=False)
    reply: WebhookReply | None = attrs.field(default=None, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    claim: tuple[str, int] | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def is_handshake(self) -> bool:
        """Whether it is a question about the endpoint rather than an event."""
        return self.reply is not None or self.confirm is not None


# A frozen value has no other way of being filled in.
_SETTERS: Final[dict[str, Callable[[object, object], None]]] = {
    field.name: getattr(WebhookEvent, field.name).__set__ for field in attrs.fields(WebhookEvent)
}
_new: Final = WebhookEvent.__new__
_set_later: Final = vars(_ReadLater)["_later"].__set__


class Reader(Protocol):
    """Reads an event, or only what was said, of headers that were looked at and a body."""

    def payload(self, found: dict[str, str], body: bytes) -> Any:
        """What was said."""
        ...

    def event(self, found: dict[str, str], body: bytes, tenant: str | None) -> WebhookEvent:
        """All of it."""
        ...


def event_later(
    reader: Reader, found: dict[str, str], body: bytes, tenant: str | None
) -> WebhookEvent:
    """The event that is read once somebody looks at it, and raises there if it cannot be."""
    event = _new(WebhookEvent)
    _set_later(event, (reader, found, body, tenant))
    return event


def claim_event(event: WebhookEvent, claim: tuple[str, int]) -> None:
    """Note what an event is claimed by, before anybody has it."""
    _SETTERS["claim"](event, claim)


def read_time(text: str | None, form: TimeForm) -> datetime | None:
    """The moment that a sender wrote; None if it is none."""
    if text is None or len(text) > _LONGEST:
        return None
    try:
        if form is TimeForm.ISO:
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        number = float(text)
        if form is TimeForm.MILLISECONDS:
            number /= 1000
        return datetime.fromtimestamp(number, UTC)
    except (OSError, OverflowError, ValueError):
        return None


def read_stamp(text: str, form: TimeForm) -> datetime | None:
    """As `read_time`, of what a signature covers: whole numbers only, in one form."""
    if form is not TimeForm.ISO and not (text.isascii() and text.isdigit()):
        return None
    return read_time(text, form)
