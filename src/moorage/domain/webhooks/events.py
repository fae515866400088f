"""The events of a verified webhook."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from moorage.domain.http.dates import parse_http_date, write_http_date
from moorage.domain.webhooks.choices import DATE_FORMS, TimeForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.webhooks.replies import WebhookReply

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_LENGTH: Final = 40


class _LazyFields:
    """The base class of objects whose fields are parsed at their first use."""

    __slots__ = ("_later",)

    if not TYPE_CHECKING:  # pragma: no branch - a type checker would take every name for a field

        def __getattr__(self, name: str) -> object:
            # Python calls this only for unset attributes, so never for an event that was read at
            # once.
            if name not in _SETTERS:
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
            reader, values, body, tenant = self._later
            if name == "payload":
                payload = reader.payload(values, body)
                _SETTERS[name](self, payload)
                return payload
            event = reader.event(values, body, tenant)
            for field, set_field in _SETTERS.items():
                set_field(self, getattr(event, field))
            return getattr(event, name)


@attrs.frozen(kw_only=True)
class WebhookEvent(_LazyFields):
    """An event that a vendor reports. The `repr` hides its data, which may be personal.

    Without a replay guard, fields that verification did not need are parsed at their first use. A
    body that cannot be parsed then raises `WebhookRejected`.

    Attributes:
        vendor: the name of the webhook's scheme.
        id: the vendor's id of this event; a digest of the webhook if the vendor gives none.
        type: the type of event: moorage's name for it if there is one, otherwise the vendor's.
        vendor_type: the vendor's name of the type.
        time: the time that the vendor gives; None if it gives none.
        data: the object that the event is about.
        payload: the whole payload of this event.
        covers: the parts of the request that the signature covers.
        is_forgeable: whether an attacker who saw a genuine webhook could have forged this event.
        fetch: the URL that returns the object of a weak event; None if there is none, or if it is
            not needed.
        tenant: the tenant of the endpoint.
        confirm: the link that confirms a subscription, which `confirm` follows.
        reply: the response to send immediately, without handling the event; None unless it is a
            handshake.
        answer: the response to send once the event is accepted, if the vendor expects a certain
            one.
        body: the bytes of the request.
        claim: the event's identity for the replay guard; None if there is no guard.
    """

    vendor: str
    id: str
    type: str
    vendor_type: str
    time: datetime | None = None
    data: Any = attrs.field(default=None, repr=False)
    payload: Any = attrs.field(default=None, repr=False)
    covers: frozenset[str] = frozenset()
    is_forgeable: bool = False
    fetch: str | None = None
    tenant: str | None = None
    confirm: str | None = attrs.field(default=None, repr=False)
    reply: WebhookReply | None = attrs.field(default=None, repr=False)
    answer: WebhookReply | None = attrs.field(default=None, repr=False, eq=False)
    body: bytes = attrs.field(default=b"", repr=False)
    claim: tuple[str, int] | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def is_handshake(self) -> bool:
        """Return whether the vendor only checks the endpoint with this webhook."""
        return self.reply is not None or self.confirm is not None


# Only the setters of its slots can fill in a frozen object.
_SETTERS: Final[dict[str, Callable[[object, object], None]]] = {
    field.name: getattr(WebhookEvent, field.name).__set__ for field in attrs.fields(WebhookEvent)
}
_new_event: Final = WebhookEvent.__new__
_set_later: Final = vars(_LazyFields)["_later"].__set__


class Reader(Protocol):
    """A parser of webhooks whose headers and body are verified already."""

    def payload(self, values: dict[str, str], body: bytes) -> Any:
        """Return the payload of the verified webhook."""
        ...

    def event(self, values: dict[str, str], body: bytes, tenant: str | None) -> WebhookEvent:
        """Return the verified webhook as one event."""
        ...


def event_later(
    reader: Reader, values: dict[str, str], body: bytes, tenant: str | None
) -> WebhookEvent:
    """Return an event that is parsed at its first use; parsing may raise an error then."""
    event = _new_event(WebhookEvent)
    _set_later(event, (reader, values, body, tenant))
    return event


def claim_event(event: WebhookEvent, claim: tuple[str, int]) -> None:
    """Store in an event the id by which the replay guard recognises a repeated event."""
    _SETTERS["claim"](event, claim)


def read_time(text: str | None, form: TimeForm) -> datetime | None:
    """Return the time that a text states in the vendor's format; None if it cannot be read."""
    if text is None or len(text) > _MAX_LENGTH:
        return None
    try:
        if form is TimeForm.HTTP:
            return _read_http_date(text)
        if form is TimeForm.ISO:
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        number = float(text)
        if form is TimeForm.MILLISECONDS:
            number /= 1000
        return datetime.fromtimestamp(number, UTC)
    except (OSError, OverflowError, ValueError):
        return None


def _read_http_date(text: str) -> datetime | None:
    """Return the time in an HTTP date; None unless it is in the format that RFC 9110 prefers."""
    moment = parse_http_date(text, _EPOCH)
    return moment if moment is not None and write_http_date(moment) == text else None


def read_stamp(text: str, form: TimeForm) -> datetime | None:
    """Return the signed time of a webhook; None unless it is a date or a whole number."""
    if form not in DATE_FORMS and not (text.isascii() and text.isdigit()):
        return None
    return read_time(text, form)
