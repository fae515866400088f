"""Mailgun: email, address checks and statistics.

Forms with a key, in the region of the sending domain. Mailgun takes no idempotency key, so a
message that may have been sent is not sent again. A bulk message is one request with variables for
each recipient, and all of them share one message id; a bulk that does not fit this form is sent in
single requests.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage.contracts.email import EmailCapability
from moorage.contracts.email_address import EmailAddress, as_address
from moorage.contracts.email_outcomes import (
    AddressCheck,
    EmailCounts,
    EmailEvent,
    EmailStatistics,
    EmailStatus,
    RejectReason,
    Verdict,
)
from moorage.vendor_sdk import (
    ApiVendor,
    ConfigurationError,
    Credentials,
    Mode,
    RateLimitExceeded,
    Redaction,
    Request,
    Result,
    Secret,
    VendorRejected,
    as_answer,
    as_time,
    choices,
    error_answer,
    is_list,
    is_success,
    malformed,
    read_answer,
    required,
)
from moorage.vendors.email._common import (
    bare,
    in_parts,
    messages_of,
    receipt_of,
    status_of,
    texts_of,
)
from moorage.vendors.email._mailgun_forms import bulk_request, fits_one, mail_request
from moorage.vendors.email._mailgun_suppressions import list_suppressed, send_again, suppress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import EmailReceipt, StatisticsQuery
    from moorage.contracts.email_received import ReceivedEmail
    from moorage.contracts.email_suppressions import SuppressionPage
    from moorage.vendor_sdk import (
        Answer,
        ConnectorError,
        MakeRef,
        Ref,
        Response,
        WebhookEvent,
        Wire,
    )

_LONGEST: Final = 300
_AT_ONCE: Final = 4
_PAGE: Final = 1_000
_WORDS: Final = Redaction()
_DOMAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_REGIONS: Final = {"us": "https://api.mailgun.net", "eu": "https://api.eu.mailgun.net"}
_ASTRAY: Final = b"Mailgun Magnificent"
_BARRED: Final = "not allowed to send"
_TRY_AGAIN: Final = "try again after "
_TOO_MANY: Final = 429
_EVENTS: Final = {
    "accepted": EmailStatus.QUEUED,
    "delivered": EmailStatus.DELIVERED,
    "rejected": EmailStatus.REJECTED,
    "opened": EmailStatus.OPENED,
    "clicked": EmailStatus.CLICKED,
    "unsubscribed": EmailStatus.UNSUBSCRIBED,
    "complained": EmailStatus.COMPLAINED,
}
_FAILED: Final = {"permanent": EmailStatus.BOUNCED, "temporary": EmailStatus.DEFERRED}
_PERMANENT: Final = {"permanent": True, "temporary": False}
_CAUSES: Final = {
    **dict.fromkeys(("bounce", "suppress-bounce"), RejectReason.BOUNCED),
    "suppress-complaint": RejectReason.SPAM,
    "suppress-unsubscribe": RejectReason.UNSUBSCRIBED,
    "espblock": RejectReason.BLOCKED,
}
"""Causes of failures, by Mailgun's reasons."""
_REACTIONS: Final = {
    "complained": RejectReason.SPAM,
    "unsubscribed": RejectReason.UNSUBSCRIBED,
    "rejected": RejectReason.OTHER,
}
_SUPPRESSED: Final = "suppress-"
_INBOUND: Final = "stored"
_VERDICTS: Final = {
    "deliverable": Verdict.DELIVERABLE,
    "catch_all": Verdict.RISKY,
    "do_not_send": Verdict.RISKY,
    "undeliverable": Verdict.UNDELIVERABLE,
}
_NO_MX: Final = frozenset({"no_mx", "No MX host found"})
_COUNTS: Final = (
    ("accepted_outgoing_count", "requested"),
    ("processed_count", "processed"),
    ("delivered_smtp_count", "delivered"),
    ("temporary_failed_count", "deferred"),
    ("bounced_count", "bounced"),
    ("permanent_failed_esp_block_count", "blocked"),
    ("suppressed_bounces_count", "dropped"),
    ("suppressed_unsubscribed_count", "dropped"),
    ("suppressed_complaints_count", "dropped"),
    ("opened_count", "opened"),
    ("unique_opened_count", "unique_opened"),
    ("clicked_count", "clicked"),
    ("unique_clicked_count", "unique_clicked"),
    ("complained_count", "complained"),
    ("unsubscribed_count", "unsubscribed"),
)


def _is_domain(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or _DOMAIN.fullmatch(value) is None:
        raise ConfigurationError(
            "This is not the name of a sending domain.",
            path="domain",
            remedy="Give it as Mailgun shows it, such as 'mail.example.com'.",
        )


def _is_region(_: object, __: object, value: Any) -> None:
    if value not in _REGIONS:
        raise ConfigurationError(
            "Mailgun has no region of this name.",
            path="region",
            remedy=f"Use {' or '.join(_REGIONS)}.",
        )


_SCHEMES: Final = {"events": "mailgun", "received": "mailgun-inbound"}


def _is_content(_: object, __: object, value: Any) -> None:
    if value not in _SCHEMES:
        raise ConfigurationError(
            "Mailgun's webhooks have no such content.",
            path="webhook_content",
            remedy=f"Use {' or '.join(_SCHEMES)}.",
        )


def classify(_: Request, response: Response) -> ConnectorError | None:
    """The error in an answer whose status does not show it."""
    if is_success(response.status):
        return _greeting_error(response)
    error = error_answer(response)
    message = error.text("message") or ""
    fields: dict[str, Any] = {
        "status": response.status,
        "vendor_message": _WORDS.words(message, _LONGEST),
        "response": response,
    }
    if response.status in {400, 403} and _BARRED in message:
        return VendorRejected(f"Mailgun refused: {fields['vendor_message']}", **fields)
    at = as_time(message.partition(_TRY_AGAIN)[2])
    if response.status == _TOO_MANY and at is not None:
        return RateLimitExceeded(
            f"Mailgun refused: {fields['vendor_message']}", by_vendor=True, retry_at=at, **fields
        )
    return None


def _auth(_: Mailgun, secret: Secret) -> Credentials:
    """Basic authentication as the user "api"."""
    return Credentials.basic("api", secret)


@attrs.frozen(kw_only=True)
class Mailgun(ApiVendor):
    """A sending domain of an account at Mailgun.

    Attributes:
        domain: sending domain.
        region: region of the domain, "us" or "eu".
        credentials: API key; by default the credential provider supplies `Credentials`, with the
            user "api".
        sender: sender of messages without one of their own.
        test_mode: True to have messages accepted and not delivered.
        webhook_content: what the webhooks of this account contain: "events", or the messages that
            a route hands on, "received". For both, configure two accounts.
        base_url: URL of Mailgun; by default that of the region.
    """

    name = "mailgun"
    kinds = ("email",)
    api_version = "v3"
    capabilities = frozenset(EmailCapability) - {
        EmailCapability.ENVELOPE_SENDER,
        EmailCapability.CANCEL,
        EmailCapability.LOOK_UP,
        EmailCapability.INTERNATIONAL,
        EmailCapability.RECEIVED,
    }
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 1_000,
        "recipients": 1_000,
        "message_bytes": 25 * 1024 * 1024,
    }
    webhook = "mailgun"

    urls: ClassVar[Mapping[str, str]] = {"": "_url"}
    auth = _auth
    refusals = staticmethod(classify)
    ping_path = "/v4/domains/{domain}"

    domain: str = attrs.field(validator=_is_domain)
    region: str = attrs.field(default="us", validator=_is_region, metadata=choices(*_REGIONS))
    sender: EmailAddress | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_address)
    )
    test_mode: bool = False
    webhook_content: str = attrs.field(
        default="events", validator=_is_content, metadata=choices(*_SCHEMES)
    )
    base_url: str | None = None

    def mode(self) -> Mode | None:
        """Live or test mode, by the options; None if unknown."""
        return Mode.TEST if self.test_mode else None

    @property
    def _url(self) -> str:
        return self.base_url or _REGIONS[self.region]

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = mail_request(self.domain, message, self.sender, **self._fields())
        id_, raw_answer = await wire.send(request, key=key, parse=read_id)
        return receipt_of(wire, id_, message.everybody, status_of(message), raw_answer)

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        """Send a message to each recipient: in one request if it can express the differences."""
        if not fits_one(bulk):
            send_alone = partial(self._send_alone, wire)
            return await in_parts(wire, bulk, 1, send_alone, key, at_once=_AT_ONCE)
        request = bulk_request(self.domain, bulk, self.sender, **self._fields())
        id_, raw_answer = await wire.send(request, key=key, parse=read_id)
        status = status_of(bulk.base)
        return [
            Result(receipt_of(wire, id_, recipient.everybody, status, raw_answer))
            for recipient in bulk.recipients
        ]

    async def _send_alone(
        self, wire: Wire, bulk: BulkMessage, key: str | None
    ) -> list[Result[EmailReceipt]]:
        [message] = messages_of(bulk)
        return [Result(await self.send_transactional(wire, message, key=key))]

    async def validate_address(self, wire: Wire, address: EmailAddress, /) -> AddressCheck:
        """Check an address."""
        request = Request.get("/v4/address/validate", query={"address": address.wire})
        return read_check(address, await wire.send(request))

    async def get_statistics(self, wire: Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days, summed over pages."""
        rows: list[Answer] = []
        days = (query.end - query.start).days + 1
        while True:
            body = metrics_body(self.domain, query, len(rows))
            request = Request.post("/v1/analytics/metrics", json=body).evolve(idempotent=True)
            response = await wire.send(request)
            fields = read_answer(response)
            page_rows = read_rows(fields, response)
            rows += page_rows
            # Mailgun may allow a shorter page than requested, and states its length.
            page = fields.integer("pagination.limit") or _PAGE
            if len(page_rows) < page or len(rows) >= days:
                return read_metrics(query, rows, response)

    async def suppressions(self, wire: Wire, after: Ref | None, /) -> SuppressionPage:
        """Get a page of the suppressed addresses of the domain, list by list."""
        return await list_suppressed(wire, self.domain, after)

    async def add_suppression(self, wire: Wire, address: EmailAddress, /) -> None:
        """Add an address to the unsubscribes of the domain."""
        await suppress(wire, self.domain, address)

    async def remove_suppression(self, wire: Wire, address: EmailAddress, /) -> None:
        """Remove an address from all lists of the domain."""
        await send_again(wire, self.domain, address)

    def verifying(self) -> Mapping[str, Any]:
        """The scheme of the webhooks: of events, or of received mail."""
        return {"scheme": _SCHEMES[self.webhook_content]}

    def events(
        self, event: WebhookEvent, ref: MakeRef
    ) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
        """Convert a webhook to events, or to a received message."""
        if event.vendor == _SCHEMES["received"]:
            from moorage.vendors.email._mailgun_received import read_received  # noqa: PLC0415 - few accounts receive mail

            return read_received(event, ref)
        fields = as_answer(event.payload).object("event-data")
        id_, kind = fields.text("message.headers.message-id"), fields.text("event")
        if id_ is None or kind in {None, _INBOUND}:
            return ()
        status, severity = fields.object("delivery-status"), fields.text("severity") or ""
        return (
            EmailEvent(
                id=event.id,
                ref=ref(_bare_message_id(id_)),
                status=_status(fields),
                vendor_status=kind,
                at=fields.time("timestamp"),
                email=bare(fields.text("recipient")),
                code=status.text("enhanced-code") or status.text("code") or fields.text("reason"),
                reason=status.text("description")
                or status.text("message")
                or fields.text("reject.reason"),
                cause=_cause(fields),
                permanent=_PERMANENT.get(severity),
                url=fields.text("url"),
                user_agent=fields.text("client-info.user-agent"),
                tags=fields.texts("tags"),
                metadata=texts_of(fields.value("user-variables")),
                raw=fields.raw,
            ),
        )

    def _fields(self) -> dict[str, Any]:
        return {"o:testmode": "yes"} if self.test_mode else {}


def _bare_message_id(id_: str) -> str:
    """The bare id of a message: headers enclose it in brackets, events do not."""
    return id_.strip("<>")


def _status(fields: Answer) -> EmailStatus:
    kind = fields.text("event") or ""
    if kind == "failed":
        # A recipient on a suppression list was not even tried.
        if (fields.text("reason") or "").startswith(_SUPPRESSED):
            return EmailStatus.REJECTED
        return _FAILED.get(fields.text("severity") or "", EmailStatus.FAILED)
    return _EVENTS.get(kind, EmailStatus.UNKNOWN)


def _cause(fields: Answer) -> RejectReason | None:
    kind = fields.text("event") or ""
    if kind == "failed":
        return _CAUSES.get(fields.text("reason") or "", RejectReason.OTHER)
    return _REACTIONS.get(kind)


def read_id(response: Response) -> tuple[str, Any]:
    """The id of an accepted message, and the complete answer."""
    fields = read_answer(response)
    id_ = _bare_message_id(fields.text("id") or "")
    if not id_:
        raise malformed(response, "id")
    return id_, fields.raw


def read_check(address: EmailAddress, response: Response) -> AddressCheck:
    """Parse the check of an address."""
    fields = read_answer(response)
    verdict = required(fields.text("result"), response, "result")
    reasons = fields.texts("reason")
    return AddressCheck(
        email=address.email,
        verdict=_VERDICTS.get(verdict, Verdict.UNKNOWN),
        vendor_verdict=verdict,
        reasons=reasons,
        did_you_mean=fields.text("did_you_mean"),
        disposable=fields.flag("is_disposable_address"),
        role=fields.flag("is_role_address"),
        mx=False if _NO_MX.intersection(reasons) else None,
        raw=fields.raw,
    )


def metrics_body(domain: str, query: StatisticsQuery, skip: int) -> dict[str, Any]:
    """The body that requests statistics."""
    return {
        "start": _moment(query.start, time.min),
        "end": _moment(query.end, time(23, 59, 59)),
        "resolution": "day",
        "dimensions": ["time"],
        "metrics": [metric_name for metric_name, _ in _COUNTS],
        "filter": {
            "AND": [
                {
                    "attribute": "domain",
                    "comparator": "=",
                    "values": [{"label": domain, "value": domain}],
                }
            ]
        },
        "pagination": {"skip": skip, "limit": _PAGE},
    }


def _moment(day: date, at: time) -> str:
    return format_datetime(datetime.combine(day, at, UTC))


def read_rows(fields: Answer, response: Response) -> list[Answer]:
    """The rows of a page of statistics."""
    if not is_list(fields.value("items")):
        raise malformed(response, "items")
    return list(fields.objects("items"))


def read_metrics(query: StatisticsQuery, rows: list[Answer], response: Response) -> EmailStatistics:
    """Parse statistics."""
    counted_pairs: list[tuple[date, EmailCounts]] = []
    for row in rows:
        day = required(row.time("dimensions.0.value"), response, "time")
        if query.start <= day.date() <= query.end:
            numbers = row.object("metrics")
            counted_pairs += [
                (day.date(), EmailCounts(**{field_name: numbers.integer(metric_name)}))
                for metric_name, field_name in _COUNTS
            ]
    return EmailStatistics.of(query, counted_pairs, [row.raw for row in rows])


def _greeting_error(response: Response) -> ConfigurationError | None:
    """The error for Mailgun's greeting, which it sends with success from a wrong URL."""
    if _ASTRAY not in response.body[:200]:
        return None
    return ConfigurationError(
        "Mailgun has no API at this URL, and sent no message.",
        path="base_url",
        remedy="Correct the base_url and the domain.",
    )
